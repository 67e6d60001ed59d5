"""Rows that belong to a run are encrypted, can be opened with its key, and are gone for ever without it."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from project import prodnb, showing, write_project
from sealed import log_in, made_run, sealed_run

from prodnb.archive import load_run
from prodnb.attachments import (
    attach,
    attached_files,
    attached_name,
    attachment_environment,
    destroy_run_key,
    destroyed_note,
    key_path,
    keys_folder,
    make_run_key,
    open_attachment,
    read_run_key,
)
from prodnb.erase import erase_run, find_erasure, read_attachment
from prodnb.errors import ArchiveError, InputError
from prodnb.log import Log, read_log
from prodnb.record import FILE_NAME, Run, sha256
from prodnb.settings import load_settings
from prodnb.trail import announce, conclude
from prodnb.verify import verify

RUN = "20261122T153052Z-9f86d081"
ROWS = b"customer,reason\n4711,income\n"


def _attached(folder: Path, run: str = RUN, check: str = "drift", name: str = "cases.csv") -> dict[str, bytes]:
    (folder / name).write_bytes(ROWS)
    assert attach(folder / name, attachment_environment(run, folder / "staging", check, folder / "keys"))
    return attached_files(folder / "staging")


def test_what_is_kept_is_ciphertext_that_the_key_opens(tmp_path):
    ((name, data),) = _attached(tmp_path).items()
    assert name == "attachments/drift_cases.csv.age"
    assert data.startswith(b"age-encryption.org/v1\n")
    assert b"income" not in data
    assert open_attachment(data, read_run_key(tmp_path / "keys", RUN)) == ROWS
    assert stat.S_IMODE(os.stat(key_path(tmp_path / "keys", RUN)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "keys").st_mode) == 0o700
    for position in (30, len(data) // 2, len(data) - 1):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(ArchiveError, match="cannot be opened"):
            open_attachment(changed, read_run_key(tmp_path / "keys", RUN))


def test_beside_a_run_nothing_is_attached(tmp_path):
    (tmp_path / "a.csv").write_bytes(ROWS)
    assert attach(tmp_path / "a.csv", {}) is None
    assert attach(None) is None
    assert not (tmp_path / "keys").exists()


def test_all_checks_of_a_run_share_one_key_even_at_once(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: make_run_key(tmp_path / "keys", RUN), range(64)))
    assert len(keys) == 1
    assert [p.name for p in (tmp_path / "keys").iterdir()] == [f"{RUN}.age-key"]
    assert make_run_key(tmp_path / "keys", RUN[:-1] + "2") not in keys


@pytest.mark.parametrize(
    "file", ["a.csv", "../../x.csv", "Fälle vom Juli.CSV", ".env", "a", "a.b.c.parquet", "x" * 300, "a.7z", "-.-", "\n.csv"]
)
def test_every_name_becomes_one_that_a_run_may_have(file):
    name = attached_name("drift", file)
    assert FILE_NAME.fullmatch(f"attachments/{name}"), name
    assert len(name) < 120


def test_names_that_would_be_the_same_are_told_apart(tmp_path):
    _attached(tmp_path, check="a", name="b_c")
    found = _attached(tmp_path, check="a_b", name="c")
    assert sorted(found) == ["attachments/_a_b_c.age", "attachments/a_b_c.age"]
    assert all(FILE_NAME.fullmatch(name) for name in found)
    with pytest.raises(InputError, match="there already"):
        _attached(tmp_path, check="a", name="b_c")


def test_what_is_no_attachment_is_not_taken(tmp_path):
    place = tmp_path / "staging" / "attachments" / "drift"
    place.mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"x")
    (place / "link.age").symlink_to(tmp_path / "secret")
    (place / "plain.csv").write_bytes(ROWS)
    (place / "sp ace.age").write_bytes(b"x")
    (place / "folder.age").mkdir()
    assert attached_files(tmp_path / "staging") == {}
    assert attached_files(tmp_path / "nowhere") == {}


def test_where_keys_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "settings.ini").write_text("[project]\nname = demo\n")
    assert keys_folder(load_settings(tmp_path / "settings.ini")) == tmp_path / "config" / "prodnb" / "attachment-keys"
    (tmp_path / "settings.ini").write_text("[project]\nname = demo\n[archive]\nattachment_keys = ../keys\n")
    assert keys_folder(load_settings(tmp_path / "settings.ini")) == (tmp_path.parent / "keys").resolve()


def test_a_key_that_others_can_read_is_refused_and_a_lost_one_is_said(tmp_path):
    with pytest.raises(ArchiveError, match=r"is not in .*nobody can read them"):
        read_run_key(tmp_path, RUN)
    make_run_key(tmp_path, RUN)
    os.chmod(key_path(tmp_path, RUN), 0o644)
    with pytest.raises(ArchiveError, match="others can read"):
        read_run_key(tmp_path, RUN)
    with pytest.raises(ArchiveError, match="not the id of a run"):
        key_path(tmp_path, "../../etc/x")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="attachment_keys"):
        make_run_key(tmp_path / "file", RUN)


# ---- erase ----


def _run(folder: Path, number: int = 1) -> tuple[Log, Run, Path]:
    """A sealed run with an attachment, its log and the folder of its key."""
    log = log_in(folder)
    run, files, _ = made_run({"drift": 1.0}, number=number)
    log.clock = lambda: datetime.fromisoformat(run.started)
    files |= _attached(folder, run.id)
    run = replace(run, files={name: sha256(data) for name, data in sorted(files.items())}, digest="")
    announce(log, run=run.id, project=run.project, checks=["drift"], seconds=900.0)
    conclude(log, run, files)
    return log, run, folder / "keys"


def _faults(log: Log) -> list:
    """What `verify` finds."""
    found = verify(log.archive)
    return list(found[0] if isinstance(found, tuple) else found.findings)


def test_erasing_makes_unreadable_and_everything_still_verifies(tmp_path):
    log, run, keys = _run(tmp_path)
    run = load_run(log.archive, run.id)
    before = {p: p.read_bytes() for p in (tmp_path / "archive" / "runs").rglob("*") if p.is_file()}
    assert read_attachment(log.archive, run, "drift_cases.csv", keys) == ROWS
    assert read_attachment(log.archive, run, "drift_cases.csv.age", keys) == ROWS
    key = read_run_key(keys, run.id)
    log.clock = lambda: datetime(2026, 12, 1, tzinfo=UTC)
    erased = erase_run(log, run, keys, ground="request 2026-113", by="the privacy officer")
    assert find_erasure(log.archive, run.id) == erased
    (said,) = [e.content for e in read_log(log.archive) if e.kind == "erased"]
    assert (said["run"], said["names"]) == (run.id, ["attachments/drift_cases.csv.age"])
    assert list(keys.iterdir()) == []
    assert key not in "".join(p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file())
    assert {p: p.read_bytes() for p in before} == before
    with pytest.raises(ArchiveError, match="erased on 2026-12-01: request 2026-113"):
        read_attachment(log.archive, run, "drift_cases.csv", keys)
    assert _faults(log) == []
    with pytest.raises(ArchiveError, match="erased already, on 2026-12-01"):
        erase_run(log, run, keys, ground="again")


def test_a_log_that_cannot_be_written_is_written_by_the_next_call(tmp_path, monkeypatch):
    log, run, keys = _run(tmp_path)

    def full(*leaves):
        raise ArchiveError("the disk is full")

    with monkeypatch.context() as m:
        m.setattr(log, "add", full)
        with pytest.raises(ArchiveError, match="he key is destroyed; when this is mended"):
            erase_run(log, run, keys, ground="request 7")
    assert [p.name for p in keys.iterdir()] == [destroyed_note(keys, run.id).name]
    assert erase_run(log, run, keys, ground="request 7").names == ["attachments/drift_cases.csv.age"]
    assert list(keys.iterdir()) == []


def test_what_cannot_be_erased(tmp_path):
    log, run, keys = _run(tmp_path)
    for words, found in (
        ("ask jane.doe@example.org", "e-mail address"),
        ("for Mary Jones", "personal name"),
        (" ", "no or too many"),
    ):
        with pytest.raises(ArchiveError, match=found) as e:
            erase_run(log, run, keys, ground=words)
        assert "jane" not in str(e.value)
        assert "Mary" not in str(e.value)
    key_path(keys, run.id).rename(tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match="is not in"):
        erase_run(log, run, keys, ground="request 7")
    assert find_erasure(log.archive, run.id) is None
    bare = sealed_run(log, {"drift": 1.0}, number=2)
    with pytest.raises(ArchiveError, match="nothing to erase"):
        erase_run(log, bare, keys, ground="request 7")


def test_a_changed_ciphertext_is_not_opened(tmp_path):
    log, run, keys = _run(tmp_path)
    (file,) = (tmp_path / "archive").rglob("*.age")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArchiveError, match="not as it was written"):
        read_attachment(log.archive, run, "drift_cases.csv", keys)
    with pytest.raises(ArchiveError, match="Did you mean"):
        read_attachment(log.archive, run, "drift_case.csv", keys)


@pytest.mark.parametrize("step", ["touch", "open", "unlink"])
def test_killed_while_it_destroys_it_can_be_called_again(tmp_path, monkeypatch, step):
    make_run_key(tmp_path, RUN)
    target = {"touch": "pathlib.Path.touch", "open": "os.fsync", "unlink": "pathlib.Path.unlink"}[step]

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(target, killed)
        with pytest.raises(KeyboardInterrupt):
            destroy_run_key(tmp_path, RUN)
    destroy_run_key(tmp_path, RUN)
    assert not key_path(tmp_path, RUN).exists()
    assert destroyed_note(tmp_path, RUN).exists()


# ---- in a run ----


@pytest.mark.slow
def test_from_the_notebook_to_the_erasure_on_the_command_line(tmp_path):
    folder, config = tmp_path / "p", tmp_path / "config"
    cell = "from prodnb.attachments import attach\nopen('cases.csv', 'w').write(f'customer,reason\\n{4700 + 11},income\\n')\nattach('cases.csv')"
    write_project(folder, {"asks": [showing("asks"), cell], "passes": [showing("passes")]})
    env = {"XDG_CONFIG_HOME": str(config)}
    said = prodnb("run", "asks", "passes", "--json", cwd=folder, env=env)
    assert said.code == 0, said
    run = said.json["run"]
    files = json.loads((folder / "archive" / "runs" / run / "run.json").read_text())["files"]
    assert [n for n in files if n.startswith("attachments/")] == ["attachments/asks_cases.csv.age"]
    kept = b"".join(p.read_bytes() for p in (folder / "archive").rglob("*") if p.is_file())
    assert b"4711" not in kept
    assert prodnb("open-attachment", run, cwd=folder, env=env).out.split() == ["asks_cases.csv.age"]
    assert prodnb("open-attachment", run, "asks_cases.csv", "-o", "out.csv", cwd=folder, env=env).code == 0
    assert (folder / "out.csv").read_bytes() == ROWS
    assert stat.S_IMODE((folder / "out.csv").stat().st_mode) == 0o600
    refused = prodnb("erase", run, "--ground", "request 7", cwd=folder, env=env)
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert prodnb("erase", run, "--ground", "request 7", "--yes", cwd=folder, env=env).code == 0
    assert list((config / "prodnb" / "attachment-keys").iterdir()) == []
    gone = prodnb("open-attachment", run, "asks_cases.csv", "-o", "again.csv", cwd=folder, env=env)
    assert gone.code == 2
    assert "request 7" in gone.err
    assert not (folder / "again.csv").exists()
    assert prodnb("verify", cwd=folder, env=env).code == 0
