"""Files that appear whole and are never written over: several writers, full and read-only disks, links, pipes and names."""

import errno
import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from prodnb import store
from prodnb.archive import archive_of, check_writable, listed, open_archive, read_file
from prodnb.duration import read_duration
from prodnb.errors import ArchiveError, SettingsError
from prodnb.settings import load_settings


@pytest.fixture(params=["folder", "memory"])
def archive(request, tmp_path):
    if request.param == "folder":
        return open_archive("archive", tmp_path)
    import fsspec

    fsspec.filesystem("memory").store.clear()
    return open_archive(f"memory://{tmp_path.name}/archive")


def test_a_file_is_created_once_and_replaced_whole(archive):
    assert archive.create("log/entries/000000000000", b"first")
    assert not archive.create("log/entries/000000000000", b"second")
    assert archive.read("log/entries/000000000000") == b"first"
    assert archive.digest("log/entries/000000000000") == hashlib.sha256(b"first").hexdigest()
    for text in (b"one", b"three", b""):
        archive.replace("log/checkpoint", text)
        assert archive.read("log/checkpoint") == text
    assert listed(archive, "log/entries") == ["000000000000"]
    assert archive.exists("log/checkpoint")
    assert not archive.exists("log/nothing")
    archive.remove("log/checkpoint")
    with pytest.raises(ArchiveError, match="there is no log/checkpoint"):
        archive.read("log/checkpoint")


@pytest.mark.parametrize(
    "place", ["../x", "log/../../x", "/etc/passwd", "log//x", ".hidden", "log/.x", "", "log/", "a\nb", "log\\x"]
)
def test_no_place_leads_out_of_the_archive(archive, place):
    for call in (archive.read, archive.exists, archive.digest, archive.remove, lambda p: archive.create(p, b"x")):
        with pytest.raises(ArchiveError, match="not a place"):
            call(place)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(archive, tmp_path):
    archive.create("log/checkpoint", b"x" * 1000)
    assert len(archive.read("log/checkpoint", 1000)) == 1000
    with pytest.raises(ArchiveError, match="larger than 999 bytes"):
        archive.read("log/checkpoint", 999)
    if archive.local:
        run = "20260101T000000Z-00000000"
        os.makedirs(archive.path(run))
        with open(archive.path(run, "run.json"), "wb") as file:
            file.truncate(1 << 40)
        with pytest.raises(ArchiveError, match="larger than"):
            read_file(archive, run, "run.json")


def test_what_is_no_plain_file_is_not_read(tmp_path):
    archive = open_archive("archive", tmp_path)
    archive.create("log/checkpoint", b"x")
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", archive.at("log/link"))
    os.mkfifo(archive.at("log/pipe"))
    for name in ("link", "pipe", "../log"):
        with pytest.raises(ArchiveError) as error:
            archive.read(f"log/{name}") if ".." not in name else archive.read("log")
        assert "secret" not in str(error.value)


def create_all(root, mark, go, won):
    archive = open_archive("archive", Path(root))
    go.wait()
    won.put([n for n in range(200) if archive.create(f"log/entries/{n:012}", f"{mark}-{n}".encode() * 50)])


def test_of_several_writers_exactly_one_creates_a_file(tmp_path):
    spawn = multiprocessing.get_context("fork")
    go, won = spawn.Event(), spawn.Queue()
    writers = [spawn.Process(target=create_all, args=(str(tmp_path), mark, go, won)) for mark in range(4)]
    for writer in writers:
        writer.start()
    go.set()
    claims = [won.get(timeout=60) for _ in writers]
    for writer in writers:
        writer.join()
    assert sorted(n for claim in claims for n in claim) == list(range(200))
    archive = open_archive("archive", tmp_path)
    for n in range(200):
        content = archive.read(f"log/entries/{n:012}").decode()
        assert content == f"{content[0]}-{n}" * 50
    assert os.listdir(tmp_path / "archive" / ".unfinished") == []


def test_a_reader_never_sees_half_a_file(tmp_path):
    archive, stop, seen = open_archive("archive", tmp_path), threading.Event(), set()
    archive.replace("log/checkpoint", b"0" * 100_000)

    def read_on():
        while not stop.is_set():
            seen.add(hashlib.sha256(archive.read("log/checkpoint")).hexdigest())

    reader = threading.Thread(target=read_on)
    reader.start()
    whole = {hashlib.sha256(b"0" * 100_000).hexdigest()}
    for n in range(30):
        archive.replace("log/checkpoint", b"%d" % n * 100_000)
        whole.add(hashlib.sha256(b"%d" % n * 100_000).hexdigest())
    stop.set()
    reader.join()
    assert seen <= whole


def test_a_link_whose_answer_was_lost_is_our_own(tmp_path, monkeypatch):
    real = os.link

    def link_then_fail(a, b):
        real(a, b)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link_then_fail)
    assert open_archive("archive", tmp_path).create("log/checkpoint", b"x")


def test_a_file_system_without_links_is_said_before_anything_runs(tmp_path, monkeypatch):
    def refuse(a, b):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(ArchiveError, match="no hard links"):
        check_writable(open_archive("archive", tmp_path))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_store_that_writes_over_files_is_said_before_anything_runs(monkeypatch):
    import fsspec

    archive, memory = open_archive("memory://heedless/archive"), fsspec.filesystem("memory")
    real = type(memory).pipe_file
    monkeypatch.setattr(type(memory), "pipe_file", lambda self, path, value, mode="overwrite", **k: real(self, path, value))
    with pytest.raises(ArchiveError, match="written over"):
        check_writable(archive)


SMALL_DISK = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_archive import make_run
from prodnb.archive import check_writable, load_records, load_run, open_archive, run_ids, write_run
from prodnb.errors import ArchiveError
from prodnb.record import Run, sha256
archive = open_archive("archive", Path(sys.argv[1]))
def said(call, *args):
    try:
        call(*args)
    except ArchiveError as e:
        return str(e)
    return "nothing"
check_writable(archive)
small, files, _ = make_run(1)
write_run(archive, small, files)
big, files, _ = make_run(2)
files = {**files, "index.html": os.urandom(400_000)}
big = Run(**{**big.to_dict(), "files": {k: sha256(v) for k, v in files.items()}, "digest": ""})
full = [said(write_run, archive, big, files), said(archive.create, "log/entries/000000000000", os.urandom(400_000))]
full.append(said(archive.replace, "log/checkpoint", os.urandom(400_000)))
assert all("No space left" in text and "free space" in text for text in full), full
assert run_ids(archive) == [small.id] and not archive.exists("log/checkpoint"), run_ids(archive)
assert archive.create("log/entries/000000000000", b"x")
os.system(f"mount -o remount,ro {sys.argv[1]}")
read_only = [said(check_writable, archive), said(archive.create, "log/entries/000000000001", b"x"), said(write_run, archive, big, files)]
assert all("Read-only" in text for text in read_only), read_only
load_records(archive, load_run(archive, small.id))
assert sorted(p.name for p in Path(archive.root).iterdir()) == [".unfinished", "log", "runs"]
assert list(Path(archive.root, ".unfinished").iterdir()) == []
print("all said")
"""


def test_a_full_and_a_read_only_disk_are_said_and_leave_no_half_of_anything(tmp_path):
    """A real file system of 300 kB, in a name space of its own where this machine allows one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=300k disk {disk}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a disk in a name space of his own")
    command = f'{mount} && exec "$0" -c "$1" "$2" "$3"'
    arguments = [sys.executable, SMALL_DISK, str(disk), str(Path(__file__).parent)]
    done = subprocess.run(["unshare", "-rm", "sh", "-c", command, *arguments], capture_output=True, text=True)
    assert done.stdout.strip() == "all said", done.stderr[-2000:]


SETTINGS = "[project]\nname = demo\nreference = a.csv\n\n[archive]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retention = 10\n", "is no length of time"),
        ("retention = 10d\nretention_mode = forever\n", "governance or compliance"),
        ("retention_mode = compliance\n", "no retention"),
        ("path = sftp://me:password@host/archive\n", "holds a password"),
    ],
)
def test_a_retention_that_cannot_be_is_refused(tmp_path, text, said):
    (tmp_path / "settings.ini").write_text(SETTINGS + text)
    with pytest.raises((ArchiveError, SettingsError), match=said) as error:
        archive_of(load_settings(tmp_path / "settings.ini"))
    assert "password@" not in str(error.value)


def test_a_retention_that_nothing_holds_is_said_before_anything_runs(tmp_path):
    (tmp_path / "settings.ini").write_text(SETTINGS + "retention = 3650d\n")
    archive = archive_of(load_settings(tmp_path / "settings.ini"))
    assert archive.retention == store.Retention(timedelta(days=3650), "governance")
    with pytest.raises(ArchiveError, match="only a bucket with object lock"):
        check_writable(archive)
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "0d", "1y", "1d 2h", "1e9d", "99999w", "nan d", "1..5d", "٣d"])
def test_a_length_of_time_is_a_number_and_a_unit(text):
    with pytest.raises(SettingsError, match="no length of time"):
        read_duration(text)


def test_lengths_of_time():
    assert [read_duration(t).total_seconds() for t in ("90s", "15m", "36h", "7d", "52w", " 0.5 h ")] == [
        90, 900, 129_600, 604_800, 31_449_600, 1800,
    ]  # fmt: skip
