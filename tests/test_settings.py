"""settings.ini: values, reasons, places, and clear words for every mistake."""

import configparser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodnb.errors import SettingsError, nearest
from prodnb.settings import check_columns, load_settings, split_list

GOOD = """\
; the project
[project]
name = demo
reference = a.parquet
target = late

[drift]
# agreed with operations
# in the spring review
max_effect = 0.2

# not directly above

alpha = 0.01
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="settings.ini"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_values_reasons_and_places(write):
    s = load_settings(write(GOOD))
    assert s.get("drift", "max_effect") == "0.2"
    assert s.reasons["drift"]["max_effect"] == "agreed with operations in the spring review"
    assert "alpha" not in s.reasons["drift"]
    assert s.where("drift", "max_effect") == "settings.ini, line 10"
    assert s.seed == 0


def test_overrides_win_and_are_named(write):
    s = load_settings(write(GOOD), {"drift.max_effect": "0.3", "quality.rows": "7"})
    assert s.get("drift", "max_effect") == "0.3"
    assert s.get("quality", "rows") == "7"
    assert s.where("drift", "max_effect") == "drift.max_effect of this run"
    assert s.digest != load_settings(write(GOOD)).digest


def test_the_digest_ignores_comments_and_layout(write):
    assert load_settings(write(GOOD)).digest == load_settings(write(GOOD.replace("# agreed with operations\n", ""))).digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[project]\nname = x\nreferense = a\n", ["line 3", "'referense'", "Did you mean 'reference'?"]),
        ("name = x\n", ["line 1", "[project]"]),
        ("[project]\nname = x\nname = y\n", ["line 3", "twice"]),
        ("[project]\nname = x\n[project]\n", ["line 3", "twice"]),
        ("[project]\nreference = x\n", ["no name"]),
        ("[drift]\nx = 1\n", ["no section [project]"]),
        ("[project]\nname = x\ntask = clustering\n", ["line 3", "'clustering'", "binary or multiclass or regression"]),
        ("[project]\nname = x\nseed = 1.5\n", ["line 3", "'1.5'"]),
        ("[project]\nname = x\n[archive]\npaht = y\n", ["line 4", "Did you mean 'path'?"]),
        ("[project]\nname = x\nowner = me\n  target = late\n", ["line 4", "'target'", "indented"]),
        ("[project]\nname = x\n[gate]\nrequired = drift  ; all\n", ["line 4", "comment"]),
        ("[project]\nname = x\njust words\n", ["line 3", "key = value"]),
    ],
)
def test_every_mistake_is_named_with_its_place(write, text, words):
    with pytest.raises(SettingsError) as caught:
        load_settings(write(text))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(SettingsError, match="prodnb init"):
        load_settings(tmp_path / "nothing.ini")
    (tmp_path / "latin.ini").write_bytes("[project]\nname = Zürich\n".encode("latin-1"))
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings(tmp_path / "latin.ini")
    (tmp_path / "good.ini").write_text(GOOD)
    with pytest.raises(SettingsError, match=r"SECTION\.KEY=VALUE"):
        load_settings(tmp_path / "good.ini", {"nodot": "1"})


def test_no_interpolation_and_no_code(write):
    s = load_settings(write("[project]\nname = 100 % of %(home)s ${x} {y}\n"))
    assert s.name == "100 % of %(home)s ${x} {y}"


def test_columns_that_are_not_there(write):
    s = load_settings(write(GOOD))
    check_columns(s, ["late", "b"], "reference")
    with pytest.raises(SettingsError, match="Did you mean 'lates'"):
        check_columns(s, ["lates"], "reference")
    check_columns(s, ["b"], "current", optional=["target"])


names = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters='",'), min_size=1).filter(
    lambda t: t == t.strip() and t
)


@given(st.lists(names, max_size=6))
def test_a_list_survives_quoting(items):
    assert split_list(", ".join(f'"{item}"' for item in items)) == items


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_clearly(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("any") / "settings.ini"
    file.write_text("[project]\nname = x\n" + text, encoding="utf-8", errors="replace")
    try:
        loaded = load_settings(file)
    except SettingsError:
        return
    parser = configparser.ConfigParser(interpolation=None, default_section="\0", empty_lines_in_values=False)
    parser.read_string(file.read_text(encoding="utf-8"))
    assert set(loaded.values) == set(parser.sections())


def test_nearest():
    assert nearest("drfit", ["drift", "cost"]) == "did you mean 'drift'?"
    assert "'cost'" in nearest("zzz", ["drift", "cost"])
    assert nearest("x", []) == "there are none"
