"""`prodnb keys ...` and `prodnb witness` as people type them."""

import json
import re
import stat

import pytest
import typer
from typer.testing import CliRunner

from prodnb.archive import archive_of
from prodnb.errors import ArchiveError, ProdnbError, SettingsError
from prodnb.key_commands import keys_app, witness_command
from prodnb.keys import find_signer, kept_keys, read_key_file, trusted_keys
from prodnb.log import COSIGNED, entry, listed, open_log, read_log
from prodnb.settings import load_settings
from prodnb.signed_note import NOTE_KEY, parse_vkey, read_note, verify_note

app = typer.Typer()
app.add_typer(keys_app, name="keys")
app.command("witness")(witness_command)
RUN = "20261123T081234Z-0a1b2c3d"


@pytest.fixture(autouse=True, scope="module")
def disk_in_no_hurry():
    """What is written is not waited for: no test here takes the power away."""
    with pytest.MonkeyPatch.context() as m:
        m.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "250")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "settings.ini").write_text("[project]\nname = flights\n")
    monkeypatch.chdir(folder)
    return folder


def typed(*words, error=None, match=""):
    result = CliRunner().invoke(app, list(words))
    if error:
        assert isinstance(result.exception, error), result.output
        assert re.search(match, str(result.exception)), result.exception
    elif result.exception:
        raise result.exception
    return result.output


def trust(folder, printed):
    """Put into the settings what the command printed, as a person does."""
    lines = re.search(r"^\[archive\]\n(.*?)\n\n", printed, re.M | re.S)[0]
    (folder / "settings.ini").write_text("[project]\nname = flights\n" + lines)
    return load_settings(folder / "settings.ini")


def log_of(folder):
    settings = load_settings(folder / "settings.ini")
    return open_log(archive_of(settings), find_signer(settings), trusted_keys(settings), settings.name)


def test_from_the_first_key_to_the_third(project):
    printed = typed("keys", "init")
    settings = trust(project, printed)
    first = find_signer(settings)
    assert first.name == "prodnb.local/flights"
    path = re.search(r"Private key: (\S+)", printed)[1]
    assert stat.S_IMODE(project.joinpath(path).stat().st_mode) == 0o600
    assert read_key_file(project.joinpath(path)) == first
    assert first.secret() not in printed
    log_of(project).add(entry("stopped", run=RUN, why="x"))

    printed = typed("keys", "rotate")
    with pytest.raises(ArchiveError, match=r"was replaced\. Put its successor"):
        log_of(project).add(entry("stopped", run=RUN, why="with the old key"))
    shown = typed("keys", "show")
    assert "signs no more, replaced by" in shown
    assert "NOT in the settings" in shown
    assert "NOT VERIFIED, as the settings do not name this key" in shown
    settings = trust(project, printed)
    second = find_signer(settings)
    assert second != first
    assert trusted_keys(settings) == [second.vkey, first.vkey]
    assert verify_note(read_note(log_of(project).archive.read("log/checkpoint")), [first.vkey, second.vkey])[1] == second.vkey
    log_of(project).add(entry("stopped", run=RUN, why="with the new key"))

    (project / path).parent.joinpath(f"{second.vkey.id.hex()}.signing-key").unlink()
    typed("keys", "rotate", error=ArchiveError, match="was replaced")
    printed = typed("keys", "rotate", "--lost", second.vkey.id.hex())
    assert "by another way than the archive" in printed
    third = find_signer(trust(project, printed))
    log_of(project).add(entry("stopped", run=RUN, why="with the third"))
    named = [e.content for e in read_log(log_of(project).archive) if e.kind == "key"]
    assert [(k["replaces"] and parse_vkey(k["replaces"]), k["lost"]) for k in named] == [
        (None, False),
        (first.vkey, False),
        (second.vkey, True),
    ]
    shown = json.loads(typed("keys", "show", "--json"))
    assert [k["key"] for k in shown["keys"]] == [str(s.vkey) for s in (third, second, first)]
    assert [k["replaced_by"] for k in shown["keys"]] == [None, third.vkey.id.hex(), second.vkey.id.hex()]
    assert [k["here"] for k in shown["keys"]] == [True, False, True]
    assert shown["checkpoint"]["signed_by"] == [{"name": third.name, "id": third.vkey.id.hex(), "known": True}]


def test_show_says_what_is_unsigned_and_what_is_the_logs_own_word(project):
    assert "The settings name no key: what is recorded is unsigned." in typed("keys", "show")
    log_of(project).add(entry("stopped", run=RUN, why="x"))
    assert "unsigned: whoever can write to the archive can write it anew" in typed("keys", "show")
    trust(project, typed("keys", "init"))
    assert "not yet in the log" in typed("keys", "show")
    log_of(project).add(entry("stopped", run=RUN, why="x"))
    shown = typed("keys", "show")
    assert "its private half is here, in the log" in shown
    assert "signed by prodnb.local/flights" in shown
    assert "compare it with what its holder tells you" in typed("keys", "show", "--archive", "archive")


def test_a_second_key_of_the_same_name_is_not_made(project):
    typed("keys", "init")
    typed("keys", "init", error=ArchiveError, match=r"of yours already.*keys = prodnb\.local/flights\+[0-9a-f]{8}\+")
    typed("keys", "init", "--name", "example.com/ann")
    assert len(kept_keys(NOTE_KEY)) == 2


def test_mistakes_are_named_and_leave_nothing_behind(project):
    typed("keys", "rotate", error=SettingsError, match="name no key to replace")
    typed("keys", "init", "--name", "a b", error=ProdnbError, match="not a name of a key")
    typed("keys", "init", "-s", "none.ini", error=SettingsError, match="no settings file here")
    typed("keys", "init", "--witness", error=SettingsError, match="needs a name")
    trust(project, typed("keys", "init"))
    typed("keys", "rotate", "--lost", "12345678", error=SettingsError, match="there is no key '12345678'")
    log_of(project).add(entry("stopped", run=RUN, why="x"))
    (project / "archive" / "log" / "checkpoint").write_text("damaged")
    typed("keys", "rotate", error=ArchiveError, match="nothing is added")
    assert len(kept_keys(NOTE_KEY)) == 1


def test_a_witness_from_its_key_to_the_refusal(project):
    trust(project, typed("keys", "init"))
    log_of(project).add(entry("stopped", run=RUN, why="x"))
    typed("witness", error=ArchiveError, match="no witness's key here")
    line = re.search(r"^witnesses = (\S+)", typed("keys", "init", "--witness", "--name", "audit.example/ann"), re.M)[1]
    key = parse_vkey(line)
    assert key.kind == 4
    printed = typed("witness")
    assert "first look" in printed
    assert "3 leaves" in printed
    log_of(project).add(entry("stopped", run=RUN, why="y"))
    found = json.loads(typed("witness", "--json"))
    assert (found["seen_before"], found["size"]) == (3, 4)
    assert "4 leaves, as before" in typed("witness", "--archive", "archive", "-o", "seen.note")
    assert read_note((project / "seen.note").read_bytes()).signatures[1].name == "audit.example/ann"
    archive = log_of(project).archive
    assert listed(archive, COSIGNED) == [f"{n:012d}.{key.id.hex()}" for n in (3, 4)]
    with open(project / "settings.ini", "a") as file:
        file.write(f"witnesses = {line}\n")
    assert "co-signed by audit.example/ann at 20" in typed("keys", "show")
    archive.remove("log/entries/000000000003")
    typed("witness", error=ArchiveError, match="only 3 are here")
    typed("witness", "-o", "no/such/folder.note", error=ArchiveError, match="cannot write")
    typed("witness", "--key", "rubbish", error=ArchiveError, match="not a public key")


def test_nothing_that_is_printed_commands_a_terminal(project):
    (project / "settings.ini").write_text("[project]\nname = a\x1b[31mb\n")
    assert "\x1b" not in typed("keys", "init")
