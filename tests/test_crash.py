"""Whoever is killed, and whenever: a finished run is there once, the log verifies, and nothing half-written is ever listed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest
from crashing import account, start, write_one
from sealed import SIGNER, log_in

from prodnb import store
from prodnb.archive import load_records, load_run, open_archive, run_folders, run_ids
from prodnb.log import read_log
from prodnb.verify import verify

HERE = Path(__file__).parent


@pytest.fixture
def folder(tmp_path):
    """A folder in memory where there is one: what is tested is the order of the calls, and no disk has to keep up with them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as made:
        yield Path(made)


def crashed(url, notes, **numbers):
    """Run the writers and the killer in a process of their own; return what they say."""
    notes.mkdir()
    place = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    command = [sys.executable, str(HERE / "crashing.py"), url, str(notes), json.dumps(numbers)]
    done = subprocess.run(command, capture_output=True, text=True, env=place, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return {**json.loads(done.stdout), "said": done.stderr}


def assert_all_well(archive, told, *, writers, count, kills):
    """Every run that its writer knew to be finished is there once; of the others at most one for each kill was begun."""
    assert told["failed"] == 0, told["said"]
    assert told["killed"] > kills // 2
    finished = [run for runs in told["finished"] for run in runs]
    assert len(finished) == len(set(finished)) == writers * count
    found = account(archive)
    concluded = found["concluded"]
    assert len(concluded) == len(set(concluded))
    assert set(finished) <= set(concluded) <= set(found["listed"])
    assert len(found["started"]) - len(finished) <= told["killed"]
    assert sorted(found["listed"]) == run_ids(archive)
    for run in run_ids(archive):
        assert load_records(archive, load_run(archive, run))


def assert_goes_on(archive):
    """What the dead left behind is in nobody's way."""
    run = write_one(archive)
    assert run in account(archive)["concluded"]


def assert_verifies(archive):
    """Nothing is at fault: some runs died, or were written and never concluded."""
    findings, runs = verify(archive, [SIGNER.vkey])
    assert [f for f in findings if f.fault] == []
    assert runs == len(run_folders(archive))


@pytest.mark.parametrize("seed", [1])
def test_writers_that_are_killed_at_random(folder, seed):
    numbers = {"writers": 4, "count": 6, "kills": 10}
    told = crashed(str(folder / "archive"), folder / "notes", **numbers, pause=0.03, seed=seed)
    archive = open_archive("archive", folder)
    assert_all_well(archive, told, **numbers)
    assert_goes_on(archive)
    assert_verifies(archive)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(3))
def test_eight_writers_of_fifty_records_that_are_killed_at_random(folder, seed):
    numbers = {"writers": 8, "count": 50, "kills": 100}
    told = crashed(str(folder / "archive"), folder / "notes", **numbers, pause=0.03, seed=seed)
    archive = open_archive("archive", folder)
    assert_all_well(archive, told, **numbers)
    assert_goes_on(archive)
    assert_verifies(archive)


CALLS = ("mkdir", "open", "fsync", "link", "rename", "replace", "unlink", "rmdir")


def die_at(step, archive, torn):
    """Write a run in this process and be killed when it asks the system for the `step`-th time; `torn` halves the file of an fsync."""
    left = [step]

    def counting(name):
        real = getattr(os, name)

        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                if torn and name == "fsync" and os.fstat(args[0]).st_size and os.path.isfile(f"/proc/self/fd/{args[0]}"):
                    os.truncate(f"/proc/self/fd/{args[0]}", os.fstat(args[0]).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(os, name, call)

    for name in CALLS:
        counting(name)
    write_one(archive)


@pytest.mark.parametrize(
    ("torn", "first", "stride"),
    [(False, 0, 4), (True, 2, 4), *(pytest.param(torn, 0, 1, marks=pytest.mark.prove) for torn in (False, True))],
)
def test_a_writer_that_is_killed_at_each_of_its_steps(folder, torn, first, stride):
    """Each call by which a run and the log reach the disk, in turn, is the last; then the next writer comes."""
    ended, step = False, first
    while not ended:
        archive = open_archive(f"archive-{step}", folder)
        concluded, listed, deaths = {write_one(archive)}, set(), 0
        while not ended and deaths < 8:
            child = start(partial(die_at, step, archive, torn))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            found = account(archive)
            assert concluded <= set(found["concluded"]) <= set(found["listed"])
            assert listed <= set(found["listed"])
            concluded, listed = set(found["concluded"]), set(found["listed"])
            assert status in (0, -signal.SIGKILL)
            ended, deaths, step = status == 0, deaths + (status != 0), step + stride
        assert len(found["started"]) - len(found["concluded"]) <= deaths
        assert_goes_on(archive)
        assert_verifies(archive)
    assert 40 < step < 200


def test_the_account_sees_what_is_wrong(folder):
    """The witness of these tests is no yes-man: a halved file, a run that is listed too early and a dropped entry are seen."""
    archive = open_archive("archive", folder)
    run = write_one(archive)
    account(archive)
    for place in (f"runs/{run}/drift.html", f"runs/{run}/run.json", f"runs/{run}/records/drift.json", "log/entries/000000000002"):
        path = Path(archive.at(place))
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises((AssertionError, ValueError)):
            account(archive)
        path.unlink()
        with pytest.raises((AssertionError, KeyError)):
            account(archive)
        path.write_bytes(content)
    account(archive)


def test_a_store_that_does_not_write_whole_files_is_found_out(folder, monkeypatch):
    """Break the one thing that all this rests on, and the suite goes red."""

    def straight(self, path, data, mode="overwrite"):
        if mode == "create" and os.path.exists(path):
            raise FileExistsError
        with open(path, "wb", buffering=0) as file:
            file.write(data[: len(data) // 2])
            os.fsync(file.fileno())
            file.write(data[len(data) // 2 :])

    monkeypatch.setattr(store.Folder, "pipe_file", straight)
    archive = open_archive("archive", folder)
    write_one(archive)
    seen = []
    for step in range(60):
        os.waitpid(start(lambda step=step: die_at(step, archive, False)), 0)
        try:
            account(archive)
        except (AssertionError, ValueError, KeyError, IndexError) as e:
            seen.append(e)
            break
    assert seen


def test_a_run_that_was_killed_is_named_in_the_log(folder):
    archive = open_archive("archive", folder)
    write_one(archive)
    log = log_in(folder)
    before = len(list(read_log(archive)))
    os.waitpid(start(lambda: die_at(30, archive, False)), 0)
    assert log_in(folder).archive.exists("log/checkpoint")
    assert [e.kind for e in read_log(archive)][before:] == ["started"]
    assert log.keys
