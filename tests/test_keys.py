"""Private keys stay private, the settings say which are trusted, and a key that is lost or wrong is named before anything runs."""

import os
import stat

import pytest
from sealed import OTHER, SIGNER

from prodnb.errors import ArchiveError, ProdnbError, SettingsError
from prodnb.keys import (
    SIGNING_KEY,
    WITNESS_SIGNING_KEY,
    default_name,
    find_signer,
    find_witness,
    keep_key,
    kept_keys,
    key_file,
    make_key,
    read_key_file,
    trusted_keys,
    trusted_witnesses,
)
from prodnb.settings import load_settings
from prodnb.signed_note import NOTE_KEY, WITNESS_KEY, Signer

WITNESS = Signer("audit.example/w1", bytes(range(1, 33)), WITNESS_KEY)


@pytest.fixture
def home(tmp_path):
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def settings_with(folder, *lines):
    file = folder / "settings.ini"
    file.write_text("\n".join(["[project]", "name = flights", "[archive]", *lines]) + "\n")
    return load_settings(file)


def test_a_key_file_is_readable_by_its_owner_alone(home):
    os.umask(0)
    try:
        path = keep_key(make_key("example.org/a"), home)
    finally:
        os.umask(0o022)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_keys_are_never_the_same_and_never_written_over(home):
    a, b = make_key("x"), make_key("x")
    assert a != b
    path = keep_key(a, home)
    before = path.read_bytes()
    with pytest.raises(ArchiveError, match="File exists"):
        keep_key(a, home)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777])
def test_a_key_that_others_can_read_is_refused(home, mode):
    path = keep_key(SIGNER, home)
    path.chmod(mode)
    with pytest.raises(ArchiveError, match="others can read"):
        read_key_file(path)


def test_what_is_no_key_file_is_refused(home, tmp_path):
    with pytest.raises(ArchiveError, match="there is no private key"):
        read_key_file(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ArchiveError, match="not a private key"):
        read_key_file(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match=r"cannot read|not a private key"):
        read_key_file(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe" * 50)
    (tmp_path / "binary").chmod(0o600)
    with pytest.raises(ArchiveError, match="not text"):
        read_key_file(tmp_path / "binary")


def test_the_signer_is_found_in_the_file_or_the_variable(home, tmp_path):
    settings = settings_with(tmp_path, f"keys = {SIGNER.vkey}, {OTHER.vkey}")
    with pytest.raises(SettingsError, match=r"no private key here for example\.org/demo .* example\.org/other"):
        find_signer(settings, home)
    keep_key(OTHER, home)
    assert find_signer(settings, home) == OTHER
    keep_key(SIGNER, home)
    assert find_signer(settings, home) == SIGNER
    assert find_signer(settings, {**home, SIGNING_KEY: OTHER.secret() + "\n"}) == OTHER


def test_settings_that_name_no_key_are_unsigned_even_where_one_is_here(home, tmp_path):
    keep_key(SIGNER, home)
    assert find_signer(settings_with(tmp_path), home) is None
    with pytest.raises(SettingsError, match="does not name") as e:
        find_signer(settings_with(tmp_path), {**home, SIGNING_KEY: SIGNER.secret()})
    assert f"keys = {SIGNER.vkey}" in str(e.value)


@pytest.mark.parametrize("text", ["garbage", SIGNER.secret()[:-4], WITNESS.secret(), str(SIGNER.vkey)])
def test_a_wrong_variable_is_named_and_not_repeated(home, tmp_path, text):
    settings = settings_with(tmp_path, f"keys = {SIGNER.vkey}")
    with pytest.raises(ProdnbError, match=SIGNING_KEY) as e:
        find_signer(settings, {**home, SIGNING_KEY: text})
    assert text not in str(e.value)


def test_a_file_that_holds_another_key_is_refused(home, tmp_path):
    keep_key(OTHER, home).rename(key_file(SIGNER.vkey, home))
    with pytest.raises(ArchiveError, match="holds another key"):
        find_signer(settings_with(tmp_path, f"keys = {SIGNER.vkey}"), home)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("keys = something", "this is not a public key"),
        (f"keys = {SIGNER.vkey}x", "not a public key|base64"),
        (f"keys = {str(SIGNER.vkey).replace('example', 'exemple')}", "has the id"),
        (f"keys = {WITNESS.vkey}", r"one for \[archive\] witnesses"),
        (f"witnesses = {SIGNER.vkey}", r"one for \[archive\] keys"),
        (f"keys = {SIGNER.secret()}", "whoever can read the settings can sign now"),
    ],
)
def test_a_wrong_line_of_the_settings_is_named(tmp_path, line, match):
    settings = settings_with(tmp_path, line)
    with pytest.raises(SettingsError, match=match) as e:
        [*trusted_keys(settings), *trusted_witnesses(settings)]
    assert "settings.ini, line 4" in str(e.value)
    assert SIGNER.secret().rpartition("+")[2] not in str(e.value)


def test_several_keys_may_stand_on_lines_of_their_own(tmp_path):
    settings = settings_with(tmp_path, f"keys = {SIGNER.vkey},", f"  {OTHER.vkey}", f"witnesses = {WITNESS.vkey}")
    assert trusted_keys(settings) == [SIGNER.vkey, OTHER.vkey]
    assert trusted_witnesses(settings) == [WITNESS.vkey]


def test_the_witness_is_the_one_that_is_here(home):
    with pytest.raises(ArchiveError, match="no witness's key here"):
        find_witness(home)
    keep_key(SIGNER, home)
    keep_key(WITNESS, home)
    assert find_witness(home) == WITNESS
    assert kept_keys(NOTE_KEY, home) == [SIGNER.vkey]
    second = make_key("audit.example/w2", WITNESS_KEY)
    keep_key(second, home)
    with pytest.raises(ArchiveError, match="there are 2"):
        find_witness(home)
    assert find_witness({**home, WITNESS_SIGNING_KEY: second.secret()}) == second


@pytest.mark.parametrize(
    ("project", "name"), [("Flights, 2013", "flights-2013"), ("Übersicht", "bersicht"), ("日本", "project"), ("a+b c", "a-b-c")]
)
def test_a_project_of_any_name_gives_a_key_of_a_good_one(project, name):
    assert make_key(default_name(project)).vkey.name == f"prodnb.local/{name}"


def test_a_name_that_cannot_be_is_refused():
    with pytest.raises(ArchiveError, match="not a name of a key"):
        make_key("a b")
