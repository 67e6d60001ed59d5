"""The archive: complete or not there, tamper-evident, clear when it cannot be written."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_record import record, verdict

from prodnb.archive import (
    check_writable,
    find_run,
    last_good,
    load_records,
    load_run,
    open_archive,
    run_ids,
    summary,
    write_deliveries,
    write_run,
)
from prodnb.errors import ArchiveError
from prodnb.record import Run, new_run_id, sha256
from prodnb.verify import verify


def make_run(number=0, previous=None, project="demo", outcome="failed"):
    """Two chained records, their files, and the run over them."""
    pages = {f"{c}{e}": f"{c}{e}{number}".encode() for c in ("cost", "drift") for e in (".ipynb", ".html")}
    records, before = [], None
    for check in ("cost", "drift"):
        digests = {"notebook_digest": sha256(pages[f"{check}.ipynb"]), "report_digest": sha256(pages[f"{check}.html"])}
        records.append(record(check, outcome, verdicts=[verdict(outcome)], previous=before, **digests))
        before = records[-1].id
    files = pages | {f"records/{r.check}.json": json.dumps(r.to_dict()).encode() for r in records} | {"index.html": b"<p>"}
    listed = [{"check": r.check, "id": r.id, "outcome": r.outcome} for r in records]
    run = Run(
        id=f"20260101T00{number // 60:02}{number % 60:02}Z-00000000", project=project, question=None, owner=None, runbook=None, outcome=outcome,
        started="", seconds=1.0, records=listed, files={k: sha256(v) for k, v in files.items()},
        previous=previous and {"id": previous.id, "digest": previous.digest},
    )  # fmt: skip
    return run, files, records


@pytest.fixture
def archive(tmp_path):
    made = open_archive("archive", tmp_path)
    previous = None
    for n in range(3):
        previous, files, _ = make_run(n, previous, outcome=["passed", "failed", "failed"][n])
        write_run(made, previous, files)
    return made


def test_what_is_written_is_read(archive):
    run = find_run(archive)
    assert len(run_ids(archive)) == 3
    assert load_run(archive, run.id) == run
    assert [r.check for r in load_records(archive, run)] == ["cost", "drift"]
    assert find_run(archive, "20260101T000001").id.startswith("20260101T000001")
    assert last_good(archive, "demo").outcome == "passed"
    assert last_good(archive, "other") is None
    write_deliveries(archive, run.id, [{"to": "mlflow"}])
    assert verify(archive) == ([], 3)


def all_files(root):
    return sorted(p for p in Path(root).rglob("*") if p.is_file())


def test_every_changed_byte_and_every_missing_file_is_found(archive):
    for path in all_files(archive.root):
        data = path.read_bytes()
        relative = path.relative_to(Path(archive.root) / "runs").as_posix()
        for broken in (
            data[:-1],
            data + b" \n" if path.name != "run.json" else data.replace(b"failed", b"passed").replace(b"demo", b"dema"),
            None,
        ):
            if broken is None:
                path.unlink()
            else:
                path.write_bytes(broken)
            findings, _ = verify(archive)
            assert any(f"{f.run}/{f.file}" == relative for f in findings), (relative, findings)
        path.write_bytes(data)
    assert verify(archive) == ([], 3)


def test_an_added_file_a_dropped_run_and_a_replaced_run_are_found(archive):
    first, second, _ = run_ids(archive)
    extra = Path(archive.path(second, "extra.html"))
    extra.write_text("x")
    assert [(f.kind, f.file) for f in verify(archive)[0]] == [("extra", "extra.html")]
    extra.unlink()
    shutil.move(archive.path(second), Path(archive.root) / "kept")
    assert [(f.kind, f.run) for f in verify(archive)[0]] == [("missing", second)]
    other, files, _ = make_run(1, load_run(archive, first), outcome="passed")
    write_run(archive, other, files)
    assert [(f.kind, f.run) for f in verify(archive)[0]] == [("changed", second)]


def test_a_consistently_edited_record_is_found_by_its_run(archive):
    run = find_run(archive)
    forged = record("drift", "passed", verdicts=[verdict("passed")], notebook_digest="x", report_digest="y")
    Path(archive.path(run.id, "records/drift.json")).write_text(json.dumps(forged.to_dict()))
    assert any(f.file == "records/drift.json" for f in verify(archive)[0])


def test_names_cannot_lead_out_of_the_archive(archive):
    for name in ("../../etc", "20260101T000000Z-00000000/../..", ""):
        with pytest.raises(ArchiveError):
            archive.path(name)
    with pytest.raises(ArchiveError, match="no run"):
        find_run(archive, "../")


def test_an_ambiguous_or_unknown_name_is_refused(archive):
    with pytest.raises(ArchiveError, match="beginning of 3 runs"):
        find_run(archive, "2026")
    with pytest.raises(ArchiveError, match="there is no run"):
        find_run(archive, "2031")


def test_an_empty_archive_says_what_to_do(tmp_path):
    with pytest.raises(ArchiveError, match="prodnb run"):
        find_run(open_archive("nothing", tmp_path))


def test_a_run_is_never_written_twice(archive):
    run, files, _ = make_run(2)
    with pytest.raises(ArchiveError, match="already"):
        write_run(archive, run, files)


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArchiveError, match="cannot write"):
        check_writable(open_archive("file/archive", tmp_path))
    with pytest.raises(ArchiveError, match="cannot open"):
        open_archive("nosuchprotocol://x", tmp_path)


def write_with_little_room(folder):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    archive = open_archive("archive", Path(folder))
    check_writable(archive)
    run, files, _ = make_run(5)
    big = {**files, "index.html": b"x" * 100_000}
    try:
        write_run(archive, Run(**{**run.to_dict(), "files": {k: sha256(v) for k, v in big.items()}, "digest": ""}), big)
    except ArchiveError:
        os._exit(3)
    os._exit(0)


def test_a_full_disk_leaves_no_run(tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=write_with_little_room, args=(str(tmp_path),))
    child.start()
    child.join()
    assert child.exitcode == 3
    assert run_ids(open_archive("archive", tmp_path)) == []
    assert all_files(tmp_path) == []


WRITER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_archive import make_run
from prodnb.archive import open_archive, write_run
from prodnb.verify import verify
archive = open_archive("archive", Path(sys.argv[1]))
print("ready", flush=True)
for n in range(3000):
    run, files, _ = make_run(n)
    write_run(archive, run, {**files})
"""


def test_a_killed_writer_leaves_complete_runs_only(tmp_path):
    for pause in (0.0, 0.03, 0.07):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent)], stdout=subprocess.PIPE
        )
        child.stdout.readline()
        time.sleep(0.15 + pause)
        child.send_signal(signal.SIGKILL)
        child.wait()
        archive = open_archive("archive", tmp_path)
        findings, runs = verify(archive)
        assert {f.kind for f in findings} <= {"unfinished"}
        assert runs == len(run_ids(archive)) > 0
        shutil.rmtree(tmp_path / "archive")


def test_two_runs_at_once_do_not_collide(tmp_path):
    archive = open_archive("archive", tmp_path)
    from datetime import UTC, datetime

    for _ in range(20):
        run, files, _ = make_run(1)
        write_run(archive, Run(**{**run.to_dict(), "id": new_run_id(datetime.now(UTC)), "digest": ""}), files)
    assert len(run_ids(archive)) == 20
    assert verify(archive)[0] == []


def test_an_archive_behind_a_url_is_the_same(tmp_path):
    import fsspec

    archive = open_archive("memory://bucket/archive", tmp_path)
    run, files, _ = make_run(1)
    check_writable(archive)
    write_run(archive, run, files)
    assert verify(archive) == ([], 1)
    assert find_run(archive) == run
    fsspec.filesystem("memory").rm_file(archive.path(run.id, "run.json"))
    assert run_ids(archive) == []
    assert verify(archive)[0][0].kind == "missing"


def test_nothing_to_verify_is_not_all_well(tmp_path):
    with pytest.raises(ArchiveError, match="nothing to verify"):
        verify(open_archive("typo", tmp_path))


def test_what_is_no_run_is_named(archive):
    (Path(archive.root) / "runs" / "copy.bak").mkdir()
    run = find_run(archive)
    os.symlink("/", archive.path(run.id, "link"))
    found = {(f.kind, f.run, f.file) for f in verify(archive)[0]}
    assert found == {("extra", "copy.bak", ""), ("extra", run.id, "link")}


@pytest.mark.parametrize(
    "change", [{"files": {"../../x": "0"}}, {"records": [{"check": "../../../out", "id": "x", "outcome": "failed"}]}]
)
def test_a_run_that_names_files_elsewhere_is_refused(archive, change):
    run = find_run(archive)
    forged = {**run.to_dict(), **change}
    del forged["digest"]
    Path(archive.path(run.id, "run.json")).write_text(json.dumps(forged))
    with pytest.raises(ArchiveError, match="not the name of a file"):
        find_run(archive)


HOSTILE = [b"[" * 200_000, b'{"records": [{"x": 1}]}', b'{"seconds": NaN}', b"null", b'"x"']


@pytest.mark.parametrize("part", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_json_is_a_finding(archive, part):
    run = find_run(archive)
    whole = json.loads(part) if part[:1] == b"{" else None
    data = json.dumps({**run.to_dict(), **whole}).encode() if whole else part
    Path(archive.path(run.id, "run.json")).write_bytes(data)
    assert [f.run for f in verify(archive)[0]] == [run.id]


def test_a_dropped_run_that_was_damaged_before_is_still_missed(archive, tmp_path):
    from prodnb.run import _previous

    ids = run_ids(archive)
    Path(archive.path(ids[-1], "run.json")).write_text("{}")
    assert _previous(archive, ids) == {"id": ids[-1], "digest": ""}


def test_garbage_is_named_not_crashed_on(archive):
    run = find_run(archive)
    for garbage in (
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"a": 1}',
        json.dumps({**run.to_dict(), "format": "prodnb.run.v99"}).encode(),
    ):
        Path(archive.path(run.id, "run.json")).write_bytes(garbage)
        with pytest.raises(ArchiveError):
            find_run(archive)
        assert any(f.run == run.id for f in verify(archive)[0])


def test_the_summary_follows_the_shipped_schema(archive):
    import jsonschema

    schema = json.loads((Path(__file__).parents[1] / "prodnb" / "assets" / "run.schema.json").read_text())
    run = find_run(archive)
    shown = json.loads(json.dumps(summary(archive, run, load_records(archive, run))))
    jsonschema.validate(shown, schema, cls=jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**shown, "outcome": "great"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({k: v for k, v in shown.items() if k != "run"}, schema)
    assert Path(shown["records"][0]["report"]).exists()
