"""The archive: complete or not there, tamper-evident, clear when it cannot be written."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
from dataclasses import fields
from pathlib import Path

import pytest
from sealed import SIGNER, log_in, made_run, parts, run_of, sealed_run
from test_record import record, verdict

from prodnb.archive import (
    check_writable,
    find_run,
    last_good,
    latest_outcomes,
    load_record,
    load_records,
    load_run,
    open_archive,
    run_ids,
    summary,
    write_deliveries,
    write_run,
)
from prodnb.errors import ArchiveError
from prodnb.record import Record, Run, sha256
from prodnb.store import Folder
from prodnb.verify import verify


def make_run(number=0, previous=None, project="demo", outcome="failed"):
    """Two chained records, their files, and the run over them."""
    pages = {f"{c}{e}": f"{c}{e}{number}".encode() for c in ("cost", "drift") for e in (".ipynb", ".html")}
    records, before, name = [], None, f"20260101T00{number // 60:02}{number % 60:02}Z-00000000"
    for check in ("cost", "drift"):
        digests = {"notebook_digest": sha256(pages[f"{check}.ipynb"]), "report_digest": sha256(pages[f"{check}.html"])}
        records.append(record(check, outcome, verdicts=[verdict(outcome)], previous=before, run=name, **digests))
        before = records[-1].id
    files = pages | {f"records/{r.check}.json": r.bytes for r in records} | {"index.html": b"<p>"}
    listed = [{"check": r.check, "id": r.id, "outcome": r.outcome} for r in records]
    run = Run(
        id=name, project=project, question=None, owner=None, runbook=None, outcome=outcome,
        started="", seconds=1.0, records=listed, files={k: sha256(v) for k, v in files.items()},
        previous=previous and {"id": previous.id, "digest": previous.digest},
    )  # fmt: skip
    return run, files, records


@pytest.fixture
def archive(tmp_path):
    """Three runs of two checks, the first of which passed."""
    log = log_in(tmp_path)
    for number, value in enumerate((1.0, 3.0, 3.0)):
        sealed_run(log, {"cost": value, "drift": value}, number=number)
    return log.archive


def found(archive):
    """What is wrong, and where."""
    return {(finding.kind, finding.place) for finding in verify(archive, [SIGNER.vkey])[0]}


def test_what_is_written_is_read(archive):
    run = find_run(archive)
    assert len(run_ids(archive)) == 3
    assert load_run(archive, run.id) == run
    assert [r.check for r in load_records(archive, run)] == ["cost", "drift"]
    assert find_run(archive, "20260101T13").id == run_ids(archive)[1]
    assert last_good(archive, "demo").id == run_ids(archive)[0]
    assert last_good(archive, "other") is None
    write_deliveries(archive, run.id, [{"to": "mlflow"}])
    assert verify(archive, [SIGNER.vkey]) == ([], 3)


def test_only_as_many_runs_are_looked_at_as_are_asked_for(archive, monkeypatch):
    ids, seen = run_ids(archive), []
    monkeypatch.setattr(Folder, "exists", lambda self, path: seen.append(path) or os.path.exists(path))
    assert run_ids(archive, 1) == ids[-1:]
    assert run_ids(archive, 9) == ids
    assert len(seen) == 1 + 3
    assert latest_outcomes(archive, "demo") == {"cost": "failed", "drift": "failed"}
    monkeypatch.setattr(Folder, "cat_file", lambda self, path, own=Folder.cat_file: seen.append(path) or own(self, path))
    seen.clear()
    assert latest_outcomes(archive, "demo", ["drift"]) == {"cost": "failed", "drift": "failed"}
    assert len(seen) == 1


def all_files(root):
    return sorted(p for p in Path(root).rglob("*") if p.is_file())


def test_every_changed_byte_and_every_missing_file_is_found(archive):
    for path in all_files(archive.path(find_run(archive).id)):
        data = path.read_bytes()
        for broken in (data[:-1], data + b" \n", None):
            if broken is None:
                path.unlink()
            else:
                path.write_bytes(broken)
            wrong = {place for _, place in found(archive)}
            assert path.relative_to(archive.root).as_posix() in wrong, (path, wrong)
        path.write_bytes(data)
    assert found(archive) == set()


def test_an_added_file_a_dropped_run_and_a_replaced_run_are_found(archive):
    second = run_ids(archive)[1]
    extra = Path(archive.path(second, "extra.html"))
    extra.write_text("x")
    assert found(archive) == {("extra", f"runs/{second}/extra.html")}
    extra.unlink()
    shutil.move(archive.path(second), Path(archive.root).parent / "kept")
    assert ("missing", f"runs/{second}") in found(archive)
    write_run(archive, *rewritten(second, made_run(number=1)[2]))
    assert ("changed", f"runs/{second}/run.json") in found(archive)


def rewritten(name, records):
    """The same records as another run would have them, and their files."""
    own, files, before = [], {"index.html": b"<p>"}, None
    for old in records:
        facts = {f.name: getattr(old, f.name) for f in fields(old)} | {"run": name, "previous": before, "id": ""}
        own.append(Record(**facts))
        files |= parts(own[-1])
        before = own[-1].id
    return run_of(own, files), files


def test_a_consistently_edited_record_is_found_by_its_run(archive):
    run = find_run(archive)
    old = load_records(archive, run)[1]
    facts = {f.name: getattr(old, f.name) for f in fields(old)} | {"seconds": 1.25, "id": ""}
    Path(archive.path(run.id, "records/drift.json")).write_bytes(Record(**facts).bytes)
    assert ("changed", f"runs/{run.id}/records/drift.json") in found(archive)
    with pytest.raises(ArchiveError, match=r"run[.]json says"):
        load_records(archive, run)


@pytest.mark.parametrize("edit", [lambda d: d.replace(b",", b", ", 1), lambda d: b'{"seconds":1,' + d[1:], lambda d: d + b"\n"])
@pytest.mark.parametrize("name", ["run.json", "records/drift.json"])
def test_what_says_the_same_in_other_bytes_is_another_file(archive, name, edit):
    """White space, a key that is there twice: JSON reads the same, the SHA-256 is another."""
    run = find_run(archive)
    path = Path(archive.path(run.id, name))
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(ArchiveError, match="canonical form"):
        load_records(archive, load_run(archive, run.id))


def test_a_record_of_another_run_or_check_is_refused(archive):
    first, second, _ = run_ids(archive)
    for there, name in ((first, "records/drift.json"), (second, "records/cost.json")):
        kept = Path(archive.path(second, "records/drift.json"))
        data = kept.read_bytes()
        shutil.copy(archive.path(there, name), kept)
        with pytest.raises(ArchiveError, match="it says that it is"):
            load_record(archive, second, "drift")
        kept.write_bytes(data)


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
    run = find_run(archive)
    with pytest.raises(ArchiveError, match="already"):
        write_run(archive, run, {})
    assert find_run(archive) == run


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


def test_an_archive_behind_a_url_is_the_same(tmp_path):
    import fsspec

    archive = open_archive("memory://bucket/archive", tmp_path)
    check_writable(archive)
    run = sealed_run(log_in(tmp_path, archive=archive), ["drift"])
    assert found(archive) == set()
    assert find_run(archive) == run
    fsspec.filesystem("memory").rm_file(archive.path(run.id, "run.json"))
    assert run_ids(archive) == []
    assert {kind for kind, _ in found(archive)} == {"missing"}


def test_nothing_to_verify_is_not_all_well(tmp_path):
    with pytest.raises(ArchiveError, match="nothing to verify"):
        verify(open_archive("typo", tmp_path))


def test_what_is_no_run_is_named(archive):
    (Path(archive.root) / "runs" / "copy.bak").mkdir()
    run = find_run(archive)
    os.symlink("/", archive.path(run.id, "link"))
    assert {kind for kind, _ in found(archive)} == {"extra"}
    assert ("extra", f"runs/{run.id}/link") in found(archive)
    assert any("copy.bak" in place for _, place in found(archive))


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
    with pytest.raises(ArchiveError):
        load_run(archive, run.id)
    assert ("changed", f"runs/{run.id}/run.json") in found(archive)


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
        assert ("changed", f"runs/{run.id}/run.json") in found(archive)


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
