"""The index: the same rows as the archive's own modules read, whatever was done to its file or to the archive's."""

import json
import multiprocessing
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from many_runs import CHECKS, make_runs

from prodnb.archive import load_records, load_run, open_archive, run_ids
from prodnb.cached import cache_file
from prodnb.errors import ArchiveError
from prodnb.index import Index, open_index
from prodnb.record import canonical, sha256


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "prodnb" / "index"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    list(make_runs(folder, 12, columns=3))
    list(make_runs(folder, 1, columns=3, skip_first=96))  # is announced, and dies
    return folder


@pytest.fixture
def archive(made, tmp_path):
    shutil.copytree(made / "archive", tmp_path / "archive")
    return open_archive("archive", tmp_path)


def tables(archive):
    with open_index(archive) as index:
        return {
            name: sorted(index.con.sql(f"FROM {name}").fetchall(), key=str)
            for name in ("runs", "records", "statistics", "events")
        }


def rewritten(archive, run, check, change):
    """Change one record and make its run agree, as a newer or a hostile writer would."""
    folder = archive.root + f"/runs/{run}"
    data = json.loads(Path(f"{folder}/records/{check}.json").read_bytes())
    change(data)
    raw = json.dumps(data).encode()
    told = json.loads(Path(f"{folder}/run.json").read_bytes())
    for entry in told["records"]:
        entry["id"] = sha256(raw) if entry["check"] == check else entry["id"]
    Path(f"{folder}/records/{check}.json").write_bytes(raw)
    Path(f"{folder}/run.json").write_bytes(canonical(told))


def test_it_says_what_the_archive_says(archive):
    found = tables(archive)
    runs = [load_run(archive, name) for name in run_ids(archive)]
    assert found["runs"] == sorted(
        ((r.id, r.project, r.outcome, r.started, r.seconds, r.digest, True, r.owner, r.question) for r in runs), key=str
    )
    records = [r for run in runs for r in load_records(archive, run)]
    assert [row[:7] for row in found["records"]] == sorted(
        ((r.run, r.check, r.id, r.outcome, r.started, r.seconds, r.message) for r in records), key=str
    )
    assert {row[9] for row in found["records"]} == {r.inputs[0]["digest"] for r in records}
    verdicts = []
    for r in records:
        for v in r.verdicts:
            limit = v["limit"] or {"warn": None, "fail": None, "side": None}
            numbers = [None if v[k] is None else float(v[k]) for k in ("value", "low", "high")]
            edges = (limit["warn"], limit["fail"], limit["side"])
            verdicts.append((r.run, r.check, v["name"], v["about"], *numbers, v["unit"], v["n"], v["outcome"], *edges))
    assert [tuple(row) for row in found["statistics"]] == sorted(verdicts, key=str)
    assert len(verdicts) > 100


def test_the_log_is_in_it(archive):
    events = tables(archive)["events"]
    kinds = [row[1] for row in events]
    assert kinds.count("started") == 13
    assert kinds.count("concluded") == 12
    first = min(events, key=lambda row: row[0])
    assert first[0] == 0
    assert first[1] == "opened"
    assert {json.loads(row[4])["where"] for row in events if row[1] == "started"} == {"ci-7"}
    concluded = sorted(row[0] for row in events if row[1] == "concluded")
    assert concluded == [6 + 6 * n for n in range(12)]  # after one announcement and four records each


def test_only_what_is_new_is_read(archive, tmp_path, monkeypatch):
    tables(archive)
    read = []
    real = type(archive).read
    monkeypatch.setattr(type(archive), "read", lambda self, place, *a: read.append(place) or real(self, place, *a))
    before = tables(archive)
    assert [p for p in read if not p.startswith("log/")] == []
    assert len(read) == 1  # the last batch of the log, to see that it is the one that was read
    read.clear()
    (new,) = make_runs(tmp_path, 1, columns=3, skip_first=97)
    after = tables(archive)
    assert {p for p in read if p.startswith("runs/")} == {
        f"runs/{new.id}/{n}" for n in ("run.json", *(f"records/{c}.json" for c in CHECKS))
    }
    assert len(after["runs"]) == len(before["runs"]) + 1
    assert all(row[6] for row in after["runs"])


def test_a_run_that_is_gone_or_changed_is_so_in_the_index(archive):
    before = tables(archive)
    gone, changed = run_ids(archive)[:2]
    shutil.rmtree(f"{archive.root}/runs/{gone}")
    rewritten(archive, changed, "drift", lambda r: r["results"][0]["verdicts"][0].update(value=77.0))
    after = tables(archive)
    assert len(after["runs"]) == len(before["runs"]) - 1
    assert not [row for name in ("records", "statistics") for row in after[name] if row[0] == gone]
    assert any(row[0] == changed and row[4] == 77.0 for row in after["statistics"])
    assert not next(row for row in after["runs"] if row[0] == changed)[6]  # the log holds another digest


def test_another_log_means_another_archive(archive):
    before = tables(archive)["events"]
    last = f"{archive.root}/log/entries/{max(os.listdir(archive.root + '/log/entries'))}"
    text = Path(last).read_text().replace("ci-7", "ci-8")
    os.unlink(last)
    Path(last).write_text(text)
    after = tables(archive)["events"]
    assert len(before) == len(after)
    assert before != after


def _cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _holed(file):
    data = bytearray(file.read_bytes())
    data[12288:] = os.urandom(len(data) - 12288)
    file.write_bytes(data)


def _foreign(file):
    file.unlink()
    sqlite3.connect(file).execute("CREATE TABLE runs (a)").connection.commit()


@pytest.mark.parametrize(
    "harm", [os.unlink, _cut, _holed, _foreign, lambda f: f.write_bytes(b""), lambda f: (f.unlink(), f.mkdir())]
)
def test_a_lost_or_damaged_index_is_made_anew(archive, cache, harm):
    before = tables(archive)
    (file,) = cache.iterdir()
    harm(file)
    assert tables(archive) == before


def test_an_index_of_another_archive_or_version_is_not_believed(archive, cache, tmp_path):
    before = tables(archive)
    (file,) = cache.iterdir()
    other = open_archive("other", tmp_path)
    shutil.copy(file, cache_file("index", other.root))
    assert tables(other)["runs"] == []
    import duckdb

    with duckdb.connect(str(file)) as con:
        con.execute("UPDATE about SET value = '0' WHERE name = 'version'")
        con.execute("DELETE FROM runs")
    assert tables(archive) == before


def test_a_database_that_came_with_the_archive_is_not_opened(archive):
    before = tables(archive)
    for name in (".index.duckdb", "index.duckdb"):
        shutil.copy(next(cache_file("index", archive.root).parent.iterdir()), f"{archive.root}/{name}")
    assert tables(archive) == before


def test_it_can_read_no_file_and_write_none(archive, tmp_path):
    import duckdb

    with open_index(archive) as index:
        for sql in (
            "SELECT * FROM read_text('/etc/hostname')",
            f"COPY runs TO '{tmp_path}/x.csv'",
            "DELETE FROM runs",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                index.rows(sql)


@pytest.mark.parametrize("kind", ["read only", "a file", "of others"])
def test_without_a_cache_folder_the_answer_is_the_same(archive, tmp_path, monkeypatch, kind):
    expected = tables(archive)
    place = tmp_path / "elsewhere"
    if kind == "a file":
        place.write_text("")
    elif kind == "of others":
        (place / "prodnb" / "index").mkdir(parents=True)
        (place / "prodnb" / "index").chmod(0o777)
    else:
        monkeypatch.setattr(
            "prodnb.cached._make_private", lambda folder: (_ for _ in ()).throw(OSError(30, "Read-only file system"))
        )
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    assert tables(archive) == expected
    assert not list(tmp_path.glob("elsewhere/**/*.duckdb"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "JSON"),
        (b"[]", "format"),
        (b"\xff\xfe", "JSON"),
        (b'{"format": "prodnb.record.v9"}', "newer prodnb"),
        (b"[" * 100_000, "JSON"),
        (b'{"format": "prodnb.record.v2"}', "not the record"),
    ],
)
def test_a_record_that_cannot_be_read_counts_as_errored(archive, content, words):
    run = run_ids(archive)[0]
    Path(f"{archive.root}/runs/{run}/records/drift.json").write_bytes(content)
    with open_index(archive) as index:
        (row,) = index.rows("FROM records WHERE run = ? AND \"check\" = 'drift'", [run])
        (problem,) = index.rows("FROM problems")
        assert len(index.rows("FROM runs")) == 12
        assert index.rows("SELECT outcome FROM runs WHERE run = ?", [run]) == [{"outcome": "errored"}]
    assert row["outcome"] == "errored"
    assert "cannot be read" in row["message"]
    assert (problem["run"], problem["file"]) == (run, "records/drift.json")
    assert words in problem["message"]


@pytest.mark.parametrize(
    "content", [b"", b"null", b'{"format": "prodnb.run.v3"}', b'{"format": "prodnb.run.v2", "id": "x"}', b"{" * 99_999]
)
def test_a_run_that_cannot_be_read_is_a_problem_and_no_run(archive, content):
    run = run_ids(archive)[0]
    Path(f"{archive.root}/runs/{run}/run.json").write_bytes(content)
    with open_index(archive) as index:
        assert [p["run"] for p in index.rows("FROM problems")] == [run]
        assert len(index.rows("FROM runs")) == 11


def test_a_file_that_could_not_be_read_is_tried_again(archive):
    expected = tables(archive)
    shutil.rmtree(cache_file("index", archive.root).parent)
    file = f"{archive.root}/runs/{run_ids(archive)[0]}/records/drift.json"
    os.rename(file, file + ".away")
    assert tables(archive) != expected
    os.rename(file + ".away", file)
    assert tables(archive) == expected


def test_hostile_values_become_nothing_or_text(archive):
    run = run_ids(archive)[0]

    def change(record):
        verdict = {"name": "a\ud800", "about": ["x"], "value": "1e999", "low": "0.5", "high": True, "n": 10**400, "unit": 5}
        verdict |= {"outcome": "splendid", "limit": {"warn": {}, "fail": "2", "side": "max" * 100}}
        record["results"] = [{"verdicts": [verdict, 3, None]}, "no", {"verdicts": 7}]
        record["seconds"], record["run_by"] = "NaN", {"a": 1}

    rewritten(archive, run, "drift", change)
    with open_index(archive) as index:
        (row,) = index.rows("FROM statistics WHERE run = ? AND \"check\" = 'drift'", [run])
        (record,) = index.rows("FROM records WHERE run = ? AND \"check\" = 'drift'", [run])
    assert (row["name"], row["about"], row["value"], row["low"], row["high"], row["n"]) == ("a?", "['x']", None, 0.5, None, None)
    assert (row["outcome"], row["warn"], row["fail"], len(row["side"])) == ("errored", None, 2.0, 8)
    assert (record["seconds"], record["run_by"]) == (None, "{'a': 1}")


def test_names_that_lead_out_of_the_archive_are_not_followed(archive, tmp_path):
    run = run_ids(archive)[0]
    (tmp_path / "secret.json").write_text("{}")
    told = json.loads(Path(f"{archive.root}/runs/{run}/run.json").read_text())
    told["records"][0]["check"] = "../../../../secret"
    Path(f"{archive.root}/runs/{run}/run.json").write_text(json.dumps(told))
    with open_index(archive) as index:
        assert "not the name of a check" in index.rows("FROM problems")[0]["message"]


def test_five_thousand_columns(archive):
    run = run_ids(archive)[0]
    verdict = {"name": "effect", "value": 0.5, "n": 3, "outcome": "passed", "unit": "", "limit": None, "message": "m"}
    columns = [{**verdict, "about": f"c{n}"} for n in range(5000)]
    rewritten(archive, run, "drift", lambda r: r["results"].__setitem__(0, {"verdicts": columns}))
    with open_index(archive) as index:
        assert index.rows("SELECT count(*) AS n FROM statistics WHERE run = ? AND \"check\" = 'drift'", [run]) == [{"n": 5000}]


def test_first_formats_and_other_file_systems(archive, tmp_path):
    run = load_run(archive, run_ids(archive)[0])
    old = {k: v for k, v in run.to_dict().items() if k not in ("digest", "format")} | {"format": "prodnb.run.v1"}
    for entry in old["records"]:
        file = f"{archive.root}/runs/{run.id}/records/{entry['check']}.json"
        record = {k: v for k, v in json.loads(Path(file).read_text()).items() if k not in ("run", "id")} | {
            "format": "prodnb.record.v1"
        }
        entry["id"] = sha256(canonical(record))
        Path(file).write_text(json.dumps({**record, "id": entry["id"]}, indent=1))
    old["digest"] = sha256(canonical(old))
    Path(f"{archive.root}/runs/{run.id}/run.json").write_text(json.dumps(old, indent=1))
    found = tables(archive)
    assert next(row for row in found["runs"] if row[0] == run.id)[5:7] == (old["digest"], False)
    assert {row[2] for row in found["records"] if row[0] == run.id} == {e["id"] for e in old["records"]}
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(archive.root, "/copied", recursive=True)
    try:
        assert tables(open_archive("memory://copied")) == found
        memory.rm(f"/copied/runs/{run.id}/run.json")  # as a writer leaves it that was killed before its last file
        with open_index(open_archive("memory://copied")) as index:
            assert index.rows("FROM problems") == []
    finally:
        memory.rm("/copied", recursive=True)


def _asks(root, expected, answers):
    for _ in range(4):
        with open_index(open_archive(root, Path())) as index:
            found = index.rows("SELECT (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM records) AS records")[0]
            answers.put((found["records"] == 4 * found["runs"], expected <= found["runs"]))


def test_many_may_ask_while_runs_come(archive, tmp_path):
    spawn = multiprocessing.get_context("fork")
    answers = spawn.Queue()
    asking = [spawn.Process(target=_asks, args=(archive.root, 12, answers)) for _ in range(3)]
    for process in asking:
        process.start()
    list(make_runs(tmp_path, 6, columns=3, skip_first=97))
    found = [answers.get(timeout=60) for _ in range(12)]
    for process in asking:
        process.join(60)
    assert found == [(True, True)] * 12
    assert len(tables(archive)["runs"]) == 18
    assert not list(cache_file("index", archive.root).parent.glob("*.part"))


def test_no_archive_is_no_run_and_no_error(tmp_path):
    with open_index(open_archive("nothing", tmp_path)) as index:
        assert isinstance(index, Index)
        assert index.rows("FROM runs") == []
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError):
        open_index(open_archive("file", tmp_path))


def test_runs_that_were_sealed_and_signed_as_the_runner_does(tmp_path):
    from sealed import SIGNER, log_in, sealed_run

    log = log_in(tmp_path)
    runs = [sealed_run(log, {"cost": 1.0, "drift": value}, number=n) for n, value in enumerate((1.0, 3.0))]
    with open_index(log.archive) as index:
        found = index.rows("SELECT run, outcome, digest, logged FROM runs ORDER BY run")
        assert {row["signed"] for row in index.rows("SELECT signed FROM events WHERE kind IN ('started', 'concluded')")} == {
            SIGNER.name
        }
        assert index.rows("FROM problems") == []
    assert found == [{"run": r.id, "outcome": r.outcome, "digest": r.digest, "logged": True} for r in runs]
    assert [r.outcome for r in runs] == ["passed", "failed"]
