"""An archive in S3, against a server that speaks its protocol on loopback: first come, complete or not there, held until a date."""

import hashlib
import os
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from crashing import account, write_one
from sealed import SIGNER, log_in, made_run, sealed_run
from test_crash import assert_all_well, assert_goes_on, assert_verifies, crashed

from prodnb import store
from prodnb.archive import (
    check_writable,
    find_run,
    listed,
    load_records,
    open_archive,
    run_folders,
    run_ids,
    write_deliveries,
    write_run,
)
from prodnb.errors import ArchiveError
from prodnb.log import newest_checkpoint, open_log, read_log

pytest.importorskip("moto")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server():
    import s3fs
    from s3_server import s3_server

    s3fs.S3FileSystem.clear_instance_cache()
    with s3_server() as (_, app):
        yield app


@pytest.fixture
def bucket(server, request):
    """A bucket of this test's own."""
    import s3fs

    name = re.sub("[^a-z0-9]+", "-", request.node.name)[5:60].strip("-")
    s3fs.S3FileSystem().call_s3("create_bucket", Bucket=name, ObjectLockEnabledForBucket="held" in request.node.name)
    return name


@pytest.fixture
def archive(bucket):
    return open_archive(f"s3://{bucket}/team/archive")


def test_runs_and_their_log_in_a_bucket(archive, tmp_path):
    check_writable(archive)
    log = log_in(tmp_path, archive=archive)
    runs = [sealed_run(log, {"drift": 1.0 + n}, number=n) for n in range(2)]
    again = open_archive(archive.url)
    assert run_ids(again) == [run.id for run in runs]
    assert find_run(again) == runs[1]
    assert [r.bytes for r in load_records(again, runs[0])] == [again.read(f"runs/{runs[0].id}/records/drift.json")]
    kinds = [entry.kind for entry in read_log(again)]
    assert kinds == ["opened", "key", "started", "record", "concluded", "started", "record", "concluded"]
    assert newest_checkpoint(again).size == 8
    write_deliveries(again, runs[0].id, [{"to": "mlflow"}])
    write_deliveries(again, runs[0].id, [])
    assert again.read(f"runs/{runs[0].id}/deliveries.json") == b"[]"
    assert again.shown(runs[0].id, "drift.html") == f"s3://{archive.root}/runs/{runs[0].id}/drift.html"
    with pytest.raises(ArchiveError, match="already"):
        write_run(again, runs[0], {})
    left = {path.removeprefix(f"{archive.root}/").split("/")[0] for path in archive.fs.find(archive.root)}
    assert left == {"runs", "log"}


def test_places_of_a_bucket(archive, monkeypatch):
    assert archive.create("log/checkpoint", b"")
    assert archive.read("log/checkpoint") == b""
    assert not archive.create("log/checkpoint", b"x")
    assert archive.digest("log/checkpoint") == hashlib.sha256(b"").hexdigest()
    archive.replace("log/checkpoint", b"1234")
    assert open_archive(archive.url).read("log/checkpoint") == b"1234"
    with pytest.raises(ArchiveError, match="larger than 3 bytes"):
        archive.read("log/checkpoint", 3)
    monkeypatch.setattr(store, "_PIECE", 1000)
    for size in (999, 1000, 1001, 2000):
        data = os.urandom(size)
        archive.replace("log/large", data)
        assert archive.digest("log/large") == hashlib.sha256(data).hexdigest()
    archive.remove("log/checkpoint")
    assert not archive.exists("log/checkpoint")
    with pytest.raises(ArchiveError, match="there is no log/checkpoint"):
        archive.read("log/checkpoint")


def test_a_listing_is_never_an_old_one(archive):
    """Another client adds and replaces; this one has listed and looked before."""
    other = replace(archive, fs=type(archive.fs)(skip_instance_cache=True))
    write_run(archive, *made_run(["drift"], number=1)[:2])
    archive.create("log/checkpoint", b"1")
    before = run_ids(archive), run_ids(archive, 9), listed(archive, "log"), archive.exists("log/new")
    assert before[2:] == (["checkpoint"], False)
    run, files, _ = made_run(["drift"], number=2)
    write_run(other, run, files)
    other.replace("log/checkpoint", b"22")
    other.create("log/new", b"")
    assert run_ids(archive) == run_ids(archive, 9) == [*before[0], run.id]
    assert run_ids(archive, 1) == [run.id]
    assert listed(archive, "log") == ["checkpoint", "new"]
    assert archive.read("log/checkpoint") == b"22"
    assert archive.exists("log/new")


def test_an_answer_that_was_lost_is_no_second_writer(archive, server):
    with server.faults(lose=r"PUT .*/000000000000$", times=1):
        server.seen.clear()
        assert archive.create("log/entries/000000000000", b"ours")
    assert len([line for line in server.seen if line.startswith("PUT")]) == 2
    with server.faults(lose=r"PUT .*/000000000000$", times=1):
        assert not archive.create("log/entries/000000000000", b"theirs")
    assert archive.read("log/entries/000000000000") == b"ours"


def test_of_many_at_once_one_creates(bucket):
    one = open_archive(f"s3://{bucket}/x")
    archives = [replace(one, fs=type(one.fs)(skip_instance_cache=True)) for _ in range(3)]
    won, gate = [], threading.Barrier(len(archives))

    def race(mark, archive):
        gate.wait()
        won.extend((n, mark) for n in range(4) if archive.create(f"log/entries/{n:012}", b"%d" % mark))

    threads = [threading.Thread(target=race, args=pair) for pair in enumerate(archives)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(n for n, _ in won) == list(range(4))
    assert all(archives[0].read(f"log/entries/{n:012}") == b"%d" % mark for n, mark in won)


def test_two_who_append_at_once_both_stand_in_the_log(archive):
    mine = open_log(archive, SIGNER, [SIGNER.vkey], "demo")
    theirs = open_log(archive, SIGNER, [SIGNER.vkey], "demo")
    first, second = sealed_run(mine, ["drift"], number=1), sealed_run(theirs, ["drift"], number=2)
    third = sealed_run(mine, ["drift"], number=3)
    assert [e.content["run"] for e in read_log(archive) if e.kind == "concluded"] == [first.id, second.id, third.id]


def test_a_run_that_ends_while_it_is_written_is_not_listed(archive, server):
    for at in range(6):
        run, files, _ = made_run(["drift"], number=at)
        names = [*files, "run.json"]
        place = names[at].replace(".", "[.]")
        with server.faults(refuse=f"PUT .*/{place}$"), pytest.raises(ArchiveError, match="cannot write"):
            write_run(archive, run, files)
        assert run_ids(archive) == []
        assert len(run_folders(archive)) == at + 1
    assert at == len(names) - 1


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.prove)])
def test_a_writer_that_ends_at_each_of_its_requests(archive, server, stride):
    """After a number of requests nothing comes through any more; then the next writer comes."""
    written, ended = [write_one(archive)], False
    for step in range(0, 100, stride):
        with server.faults(refuse="PUT|GET|HEAD", after=step):
            try:
                written.append(write_one(archive))
                ended = True
            except ArchiveError:
                pass
        found = account(archive)
        assert set(written) <= set(found["concluded"]) <= set(found["listed"])
        if ended:
            break
    assert 20 < step < 60
    assert_goes_on(archive)
    assert_verifies(archive)


@pytest.mark.prove
def test_writers_that_are_killed_at_random(archive, tmp_path):
    numbers = {"writers": 8, "count": 8, "kills": 24}
    told = crashed(archive.url, tmp_path / "notes", **numbers, pause=1.5, seed=1)
    assert_all_well(archive, told, **numbers)
    assert_verifies(archive)
    assert_goes_on(archive)


def test_what_is_held_cannot_be_removed_or_written_over(bucket):
    kept = store.Retention(timedelta(days=3650), "compliance")
    archive = open_archive(f"s3://{bucket}/a", retention=kept)
    check_writable(archive)
    log = open_log(archive, SIGNER, [SIGNER.vkey], "demo")
    run = sealed_run(log, ["drift"])
    held = {}
    for path in archive.fs.find(archive.root):
        name, key = path.removeprefix(f"{archive.root}/"), path.partition("/")[2]
        seen = archive.fs.call_s3("head_object", Bucket=bucket, Key=key)
        held[name] = seen.get("ObjectLockMode"), seen.get("ObjectLockRetainUntilDate"), seen.get("VersionId")
    assert {name for name, (mode, *_) in held.items() if mode is None} == {"log/checkpoint"}
    assert len(held) == 6 + 3 * 2 + 1 + 1  # a run, entries and checkpoints of three batches, a proof, the newest checkpoint
    expected = datetime.now(UTC) + timedelta(days=3650)
    for mode, until, version in held.values():
        if mode:
            assert mode == "COMPLIANCE"
            assert abs(until - expected) < timedelta(minutes=10)
            assert version
    key, version = f"a/runs/{run.id}/records/drift.json", held[f"runs/{run.id}/records/drift.json"][2]
    content = archive.read(f"runs/{run.id}/records/drift.json")
    with pytest.raises(PermissionError):
        archive.fs.call_s3("delete_object", Bucket=bucket, Key=key, VersionId=version)
    archive.remove(f"runs/{run.id}/records/drift.json")
    assert not archive.exists(f"runs/{run.id}/records/drift.json")
    again = archive.fs.call_s3("get_object", Bucket=bucket, Key=key, VersionId=version)
    assert again["ETag"].strip('"') == hashlib.md5(content).hexdigest()


def test_a_bucket_without_lock_is_said_before_anything_runs(bucket):
    for place in (bucket, "no-such-bucket"):
        archive = open_archive(f"s3://{place}/a", retention=store.Retention(timedelta(days=1)))
        with pytest.raises(ArchiveError, match="does not say that it has object lock"):
            check_writable(archive)
    assert run_ids(open_archive(f"s3://{bucket}/a")) == []


def test_a_bucket_that_is_missing_is_said_and_not_made(server):
    archive = open_archive("s3://a-typing-mistake/archive")
    with pytest.raises(ArchiveError, match=r"cannot write to .*bucket does not exist"):
        check_writable(archive)
    with pytest.raises(ArchiveError, match="bucket does not exist"):
        find_run(archive)
    assert not [line for line in server.seen if line.startswith("PUT /a-typing-mistake") and line.count("/") == 1]


def test_a_bucket_that_may_only_be_read_is_said(archive, server):
    with server.faults(refuse="PUT|POST"), pytest.raises(ArchiveError, match=r"cannot write to .*AccessDenied.*rights"):
        check_writable(archive)
    with server.faults(refuse="GET"), pytest.raises(ArchiveError, match="cannot read"):
        run_ids(archive)


def test_no_credentials_are_a_sentence(server, monkeypatch, tmp_path):
    import s3fs

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in KEYS:
        monkeypatch.delenv(name)
    fs = s3fs.S3FileSystem(skip_instance_cache=True)
    archive = replace(open_archive("s3://somewhere/archive"), fs=fs)
    with pytest.raises(ArchiveError, match=r"cannot write to .*redentials"):
        check_writable(archive)
    with pytest.raises(ArchiveError, match=r"cannot read .*redentials"):
        run_ids(archive)


@pytest.mark.prove
def test_a_project_whose_archive_is_a_bucket(bucket, tmp_path):
    """As a user has it: run, run again, show, verify, and the address of a page; with object lock where it is asked for."""
    import project

    checks = {name: project.CELLS[name] for name in ("passes", "fails")}
    folder = project.write_project(tmp_path / "p", checks, f"path = s3://{bucket}/a\n")
    ran = [project.prodnb("run", "--json", cwd=folder) for _ in range(2)]
    assert [said.code for said in ran] == [1, 1], ran[0].err
    assert ran[0].json["records"][0]["report"].startswith(f"s3://{bucket}/a/runs/")
    shown = project.prodnb("show", "--json", cwd=folder)
    assert shown.json["run"] == ran[1].json["run"]
    verified = project.prodnb("verify", cwd=folder)
    assert verified.code == 0, verified.out + verified.err
    archive = open_archive(f"s3://{bucket}/a")
    archive.fs.invalidate_cache()
    page = archive.at(f"runs/{ran[0].json['run']}/fails.html")
    archive.fs.pipe_file(page, archive.fs.cat_file(page).replace(b"fails", b"does well"))
    verified = project.prodnb("verify", cwd=folder)
    assert verified.code == 1
    assert "fails.html" in verified.out
    (folder / "settings.ini").write_text((folder / "settings.ini").read_text() + "retention = 1d\n")
    refused = project.prodnb("run", cwd=folder)
    assert refused.code == 2
    assert "object lock" in refused.err
    assert not (folder / "archive").exists()
