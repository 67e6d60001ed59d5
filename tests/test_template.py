"""Templates: parameters with types, values with sources, and the overlay that gives the notebook what the runner uses."""

import contextlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodnb.errors import SettingsError, TemplateError
from prodnb.settings import load_settings
from prodnb.template import (
    Parameter,
    check_sections,
    find_templates,
    overlay,
    parse_parameters,
    parse_value,
    read_template,
    values_in_force,
)

CELL = 'settings: str = "settings.ini"  # the file\nmax_effect: float = 0.1  # fail above\nnames: list[str] = []  # some\nlimit: int | None = None  # none'


def notebook(*cells, tags=("parameters",)):
    made = [{"cell_type": "markdown", "id": "m", "metadata": {}, "source": "# Title\n> Question?"}]
    for n, source in enumerate(cells):
        made.append(
            {
                "cell_type": "code",
                "id": f"c{n}",
                "metadata": {"tags": list(tags)},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
        )
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def project(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "own.ipynb").write_text(notebook(CELL))
    (tmp_path / "settings.ini").write_text("[project]\nname = demo\n[own]\n# because\nmax_effect = 0.3\n")
    return tmp_path


def test_reading_a_template(project):
    t = read_template(project / "templates" / "own.ipynb")
    assert (t.name, t.title, t.question) == ("own", "Title", "Question?")
    assert t.parameters["max_effect"] == Parameter("max_effect", "float", 0.1, "fail above")
    assert t.parameters["limit"].optional


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (notebook(CELL, CELL), "2 cells are tagged"),
        (notebook(CELL, tags=()), "0 cells are tagged"),
        (notebook("max_effect: float = 1.0"), "first parameter is not"),
        (notebook('settings: str = "s"\nx = 3'), "`x = 3`"),
        (notebook('settings: str = "s"\nx: float = f()'), "expression"),
        (notebook('settings: str = "s"\nx: dict = {}'), "'dict'"),
        (notebook('settings: str = "s"\nimport os'), "import os"),
        (notebook("settings: str = "), "not Python"),
        (notebook('settings: str = "s"\nx: float = "abc"'), "type float"),
        (notebook('settings: str = "s"\nx: float = 1e999'), "type float"),
        (notebook('settings: str = "s"\nx: int | str = 1'), "'int | str'"),
        (notebook('settings: str = "s"\nx: None = None'), "'None'"),
        (notebook('settings: str = "s"\nx: list[float] = (1.0,)'), "list[float]"),
        (notebook('settings: str = "s"\nx: int = None'), "type int"),
        (notebook('settings: str = "s"\nBig: int = 1'), "capitals"),
        (notebook('settings: str = "s"\nx: int = 1\nx: int = 2'), "twice"),
        ("{", "not a notebook"),
        ("[]", "not a notebook"),
    ],
)
def test_what_is_no_template_is_refused(tmp_path, content, words):
    (tmp_path / "bad.ipynb").write_text(content)
    with pytest.raises(TemplateError, match=r"templates/bad\.ipynb") as caught:
        read_template(tmp_path / "bad.ipynb")
    assert words in str(caught.value)


def test_a_template_may_not_shadow_a_fixed_section(tmp_path):
    (tmp_path / "gate.ipynb").write_text(notebook(CELL))
    with pytest.raises(TemplateError, match="fixed section"):
        read_template(tmp_path / "gate.ipynb")


def test_own_templates_come_first(project):
    (project / "templates" / "drift.ipynb").write_text(notebook(CELL))
    found = find_templates(project)
    assert found["drift"].origin == "project"
    assert found["own"].origin == "project"
    assert found["data_quality"].origin == "prodnb"


def test_values_have_sources_and_reasons(project):
    template = find_templates(project)["own"]
    found = values_in_force(template, load_settings(project / "settings.ini"))
    assert (found.values["max_effect"], found.sources["max_effect"], found.reasons["max_effect"]) == (
        0.3,
        "settings.ini, line 5",
        "because",
    )
    assert (found.values["names"], found.sources["names"], found.reasons["names"]) == ([], "default", "some")


def test_precedence_this_run_then_by_hand_then_settings_then_default(project):
    template = find_templates(project)["own"]
    plain, forced = load_settings(project / "settings.ini"), load_settings(project / "settings.ini", {"own.max_effect": "0.1"})
    assert values_in_force(template, plain, {"max_effect": 0.7}).values["max_effect"] == 0.7
    assert values_in_force(template, plain, {"max_effect": 0.1}).values["max_effect"] == 0.3
    assert values_in_force(template, forced, {"max_effect": 0.1}).values["max_effect"] == 0.1
    assert values_in_force(template, forced, {"max_effect": 0.1}).sources["max_effect"] == "this run"


def test_the_overlay_gives_the_notebook_the_values_of_the_runner(project, monkeypatch):
    monkeypatch.chdir(project)
    namespace = {"settings": "settings.ini", "max_effect": 0.1, "names": [], "limit": None}
    found = overlay("own", namespace)
    runner = values_in_force(find_templates(project)["own"], load_settings(project / "settings.ini"))
    assert namespace["max_effect"] == 0.3 == runner.values["max_effect"]
    assert found.values == runner.values
    injected = dict(namespace)
    overlay("own", injected)
    assert injected == namespace
    monkeypatch.setenv("PRODNB_SET", json.dumps({"own.max_effect": "0.9"}))
    overlay("own", namespace)
    assert namespace["max_effect"] == 0.9
    assert "Values in force" in found._repr_html_()


def test_without_settings_the_overlay_is_an_error_and_never_the_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRODNB_EXAMPLE", raising=False)
    with pytest.raises(SettingsError, match=r"settings\.ini"):
        overlay("drift", {"settings": "settings.ini"})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[owm]\nx = 1\n", ["'owm'", "Did you mean 'own'?"]),
        ("[own]\nmax_efect = 1\n", ["'max_efect'", "Did you mean 'max_effect'?", "line 4"]),
        ("[own]\nmax_effect = a lot\n", ["'a lot'", "float", "line 4"]),
        ("[own]\nsettings = x\n", ["no parameter 'settings'"]),
        ("[gate]\nrequired = own, drfit\n", ["'drfit'", "Did you mean 'drift'?"]),
        ("[schedule]\ncots = 1d\n", ["'cots'", "Did you mean 'cost'?"]),
    ],
)
def test_sections_are_compared_with_the_templates(project, text, words):
    (project / "settings.ini").write_text("[project]\nname = demo\n" + text)
    with pytest.raises(SettingsError) as caught:
        check_sections(load_settings(project / "settings.ini"), find_templates(project))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def of(kind):
    return Parameter("x", kind, None, "")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back(value):
    assert parse_value(of("float"), repr(value)) == value


@given(st.integers())
def test_an_int_comes_back_and_keeps_no_zeros(value):
    assert parse_value(of("int"), str(value)) == value
    assert parse_value(of("str"), f"00{value}") == f"00{value}"


@given(st.text())
def test_a_string_is_never_reinterpreted(text):
    assert parse_value(of("str"), text) == text


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "", "1,5", "0x10"])
def test_no_float_that_is_none(text):
    with pytest.raises(SettingsError):
        parse_value(of("float"), text)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("No", False), ("on", True), ("FALSE", False)])
def test_bools(text, value):
    assert parse_value(of("bool"), text) is value


@pytest.mark.parametrize("text", ["1", "maybe", ""])
def test_what_is_no_bool(text):
    with pytest.raises(SettingsError, match="true or false"):
        parse_value(of("bool"), text)


@given(st.text(max_size=100))
def test_any_parameters_cell_is_read_or_refused(source):
    with contextlib.suppress(TemplateError):
        found = parse_parameters(source)
        assert all(p.name.isidentifier() for p in found.values())


@pytest.mark.parametrize("name", ["index", "run", "my check", "Drift", "a-b", "1st"])
def test_names_that_no_check_can_have(tmp_path, name):
    (tmp_path / f"{name}.ipynb").write_text(notebook(CELL))
    with pytest.raises(TemplateError, match="cannot be the name"):
        read_template(tmp_path / f"{name}.ipynb")


@pytest.mark.parametrize(
    "meta", ["x", {"after": "drift"}, {"after": [1]}, {"deadline": "900"}, {"deadline": 0.2}, {"deadline": True}]
)
def test_metadata_is_checked(tmp_path, meta):
    content = json.loads(notebook(CELL))
    content["metadata"]["prodnb"] = meta
    (tmp_path / "own.ipynb").write_text(json.dumps(content))
    with pytest.raises(TemplateError, match="metadata"):
        read_template(tmp_path / "own.ipynb")


def test_after_names_a_check_that_is_there(project):
    content = json.loads(notebook(CELL))
    content["metadata"]["prodnb"] = {"after": ["drfit"]}
    (project / "templates" / "own.ipynb").write_text(json.dumps(content))
    with pytest.raises(TemplateError, match="Did you mean 'drift'"):
        find_templates(project)


def test_the_case_of_an_override_does_not_matter(project):
    found = values_in_force(find_templates(project)["own"], load_settings(project / "settings.ini", {"own.MAX_EFFECT": "0.9"}))
    assert (found.values["max_effect"], found.sources["max_effect"]) == (0.9, "this run")
