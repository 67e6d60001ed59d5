"""Old reports go, records and the log stay, and everything still verifies; a file that was changed is never removed."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sealed import DAY, SIGNER, log_in, made_run, sealed_run

import prodnb.archive
from prodnb.archive import load_records, load_run, open_archive, run_ids
from prodnb.errors import ArchiveError
from prodnb.log import read_log
from prodnb.log_batch import entry
from prodnb.prune import ENDINGS, drop_unfinished, old_runs, prune, started_of
from prodnb.verify import verify

LATER = DAY + timedelta(days=30)
TEN = timedelta(days=10)


@pytest.fixture
def log(tmp_path):
    """A signed archive with runs of day 0, 15 and 29; it is day 30."""
    log = log_in(tmp_path)
    log.runs = [sealed_run(log, started=DAY + timedelta(days=n)) for n in (0, 15, 29)]
    log.clock = lambda: LATER
    return log


def names(log, run):
    root = f"{log.archive.root}/runs/{run.id}/"
    return sorted(p.removeprefix(root) for p in log.archive.fs.find(root))


def faults(log):
    return [f for f in verify(log.archive)[0] if f.fault]


def events(log):
    return [e.content for e in read_log(log.archive) if e.kind == "pruned"]


def test_old_reports_go_and_everything_verifies(log):
    before = {run.id: names(log, run) for run in log.runs}
    assert faults(log) == []
    gone = prune(log, TEN, words="10d")
    old, new = log.runs[:2], log.runs[2]
    pages = ["cost.html", "cost.ipynb", "drift.html", "drift.ipynb", "index.html"]
    assert gone.files == {run.id: pages for run in old}
    assert (gone.count, list(gone.kept)) == (10, [])
    assert gone.bytes > 1000
    for run in old:
        assert names(log, run) == [n for n in before[run.id] if n not in pages]
        assert {"run.json", "records/drift.json", "records/drift.dsse"} <= set(names(log, run))
        assert load_records(log.archive, load_run(log.archive, run.id))
    assert names(log, new) == before[new.id]
    assert [{k: e[k] for k in ("runs", "files", "older_than")} for e in events(log)] == [
        {"runs": [r.id for r in old], "files": list(ENDINGS), "older_than": "10d"}
    ]
    assert faults(log) == []
    assert prune(log, TEN).files == {}
    assert len(events(log)) == 1


def test_only_said(log):
    before = {run.id: names(log, run) for run in log.runs}
    said = prune(log, TEN, dry=True)
    assert said.count == 10
    assert {run.id: names(log, run) for run in log.runs} == before
    assert events(log) == []


def test_what_was_not_pruned_on_purpose_is_still_missed(log):
    prune(log, TEN)
    os.unlink(log.archive.path(log.runs[0].id, "records/drift.dsse"))
    os.unlink(log.archive.path(log.runs[2].id, "index.html"))
    found = {(f.run, f.file.rpartition("/")[2]) for f in faults(log)}
    assert {(log.runs[0].id, "drift.dsse"), (log.runs[2].id, "index.html")} <= found
    assert len(found) == 2


def test_a_file_that_was_changed_stays_and_is_still_found(log):
    run, page = log.runs[0], log.archive.path(log.runs[0].id, "drift.html")
    with open(page, "ab") as file:
        file.write(b"forged")
    with open(log.archive.path(run.id, "more.html"), "wb") as file:
        file.write(b"slipped in")
    gone = prune(log, TEN)
    assert len(gone.kept) == 2
    assert f"runs/{run.id}/drift.html: it is not as it was written" in gone.kept[0]
    assert f"runs/{run.id}/more.html: it is not the run's" in gone.kept[1]
    assert os.path.exists(page)
    assert {"drift.html", "more.html"} <= {f.file.rpartition("/")[2] for f in faults(log)}


def test_a_run_json_that_the_log_does_not_know_removes_nothing(log, tmp_path):
    """Whoever rewrites run.json to list other digests must not have the true files removed as evidence."""
    run, files, _ = made_run({"drift": 3.0}, started=DAY + timedelta(days=1))
    prodnb.archive.write_run(log.archive, run, files)  # never announced, never concluded
    other = log.runs[0]
    path = Path(log.archive.path(other.id, "run.json"))
    path.write_bytes(path.read_bytes().replace(b'"seconds":2', b'"seconds":3'))
    assert load_run(log.archive, other.id).digest != other.digest
    gone = prune(log, TEN)
    assert list(gone.files) == [log.runs[1].id]
    assert sorted(gone.kept) == sorted(
        [f"runs/{other.id}: its run.json is not the one that the log concluded", f"runs/{run.id}: the log does not conclude it"]
    )


def test_stopped_in_the_middle_it_goes_on_and_says_it_once(log, monkeypatch):
    taken = []

    def remove(archive, place):
        if len(taken) == 4:
            raise KeyboardInterrupt
        taken.append(place)
        os.unlink(archive.at(place))

    with monkeypatch.context() as patch:
        patch.setattr(prodnb.archive.Archive, "remove", remove)
        with pytest.raises(KeyboardInterrupt):
            prune(log, TEN)
    assert len(events(log)) == 1
    assert faults(log) == []  # what is left of what may be gone is as it was
    assert prune(log, TEN).count == 6
    assert len(events(log)) == 1
    assert faults(log) == []


def test_nothing_is_removed_where_the_log_cannot_be_written(log):
    log.signer = None
    before = {run.id: names(log, run) for run in log.runs}
    with pytest.raises(ArchiveError, match="no private key"):
        prune(log, TEN)
    assert {run.id: names(log, run) for run in log.runs} == before


def test_a_store_that_holds_files_keeps_them(log, monkeypatch):
    def remove(archive, place):
        raise ArchiveError("cannot remove from the archive: it is locked until 2036")

    monkeypatch.setattr(prodnb.archive.Archive, "remove", remove)
    gone = prune(log, TEN)
    assert (gone.count, len(gone.kept)) == (0, 10)
    assert "locked until 2036" in gone.kept[0]
    assert faults(log) == []


def test_the_entry_is_there_before_the_first_file_goes(log, monkeypatch):
    monkeypatch.setattr(prodnb.archive.Archive, "remove", lambda archive, place: seen.append(len(events(log))))
    seen = []
    prune(log, TEN)
    assert seen == [1] * 10


def test_many_runs_are_said_in_several_entries(log, monkeypatch):
    monkeypatch.setattr("prodnb.prune.RUNS_AN_ENTRY", 1)
    prune(log, TEN)
    assert [e["runs"] for e in events(log)] == [[r.id] for r in log.runs[:2]]
    assert faults(log) == []


def test_an_unsigned_archive(tmp_path):
    log = log_in(tmp_path, signer=None)
    sealed_run(log, started=DAY)
    log.clock = lambda: LATER
    assert prune(log, TEN).count == 5
    assert faults(log) == []


def test_the_boundary_and_ids_that_name_no_time(tmp_path):
    log = log_in(tmp_path)
    run = sealed_run(log, started=DAY)
    assert old_runs(log.archive, DAY) == []
    assert old_runs(log.archive, DAY + timedelta(seconds=1)) == [run.id]
    strange = "00000000T000000Z-00000000"
    os.makedirs(log.archive.path(strange))
    with open(log.archive.path(strange, "run.json"), "w") as file:
        file.write("{}")
    assert strange in run_ids(log.archive)
    assert old_runs(log.archive, LATER) == [run.id]
    with pytest.raises(ArchiveError, match="names no time"):
        started_of(strange)
    assert started_of(run.id) == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_run_that_cannot_be_read_is_left_alone(log):
    with open(log.archive.path(log.runs[0].id, "run.json"), "w") as file:
        file.write("[" * 100_000)
    gone = prune(log, TEN)
    assert list(gone.files) == [log.runs[1].id]
    assert re.match(rf"runs/{log.runs[0].id}: ", gone.kept[0])
    assert "drift.html" in names(log, log.runs[0])


def test_links_are_not_followed(log, tmp_path):
    secret = tmp_path / "secret.html"
    page = Path(log.archive.path(log.runs[0].id, "drift.html"))
    secret.write_bytes(page.read_bytes())
    page.unlink()
    page.symlink_to(secret)
    gone = prune(log, TEN)
    assert "drift.html" not in gone.files[log.runs[0].id]
    assert any("drift.html" in line for line in gone.kept)
    assert secret.exists()


def test_an_archive_in_a_store(tmp_path, log):
    import fsspec

    store = fsspec.filesystem("memory")
    if store.exists("/pruned"):
        store.rm("/pruned", recursive=True)
    store.put(log.archive.root, "/pruned", recursive=True)
    other = log_in(tmp_path, SIGNER, open_archive("memory://pruned"))
    other.clock = log.clock
    gone = prune(other, TEN)
    assert gone.count == 10
    assert gone.bytes > 1000
    assert not [p for p in store.find("/pruned/runs") if log.runs[0].id in p and p.endswith(".html")]
    assert not [f for f in verify(other.archive)[0] if f.fault]


def test_an_entry_of_pruned_has_the_form_that_is_documented():
    assert set(entry("pruned", runs=[], files=[".html", ".ipynb"], older_than="400d")) == {"format", "kind", "runs", "files", "older_than"}  # fmt: skip


def test_what_killed_writers_left_goes_after_a_day(log, tmp_path):
    place, outside = Path(log.archive.root, ".unfinished"), tmp_path / "outside"
    place.mkdir(exist_ok=True)
    outside.mkdir()
    (outside / "kept.txt").write_text("x")
    for name in ("20260101T000000Z-00000000-12345678", "new"):
        (place / name).mkdir()
        (place / name / "run.json").write_text("{}")
    (place / ".0123456789abcdef.part").write_text("x")
    (place / "link").symlink_to(outside)
    for path in place.iterdir():
        if path.name != "new":
            os.utime(path, (0, 0), follow_symlinks=False)
    assert drop_unfinished(log.archive, dry=True) == 3
    assert drop_unfinished(log.archive) == 3
    assert [p.name for p in place.iterdir()] == ["new"]
    assert (outside / "kept.txt").exists()
