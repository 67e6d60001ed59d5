"""`prodnb gate` and `prodnb diff` as a pipeline and a person use them: exit codes, files, tables, and mistakes that are named."""

import json
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
import typer
from released import MODEL, about, make_project
from typer.testing import CliRunner

from prodnb.errors import ArchiveError, InputError, ProdnbError, SettingsError
from prodnb.gate_commands import diff_command, gate_command

GOOD = {"drift": 1.0, "cost": 1.0}
app = typer.Typer()
app.command("gate")(gate_command)
app.command("diff")(diff_command)


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = make_project(tmp_path, "required = drift, cost\n", now=datetime.now(UTC) - timedelta(hours=9))
    settings = tmp_path / "settings.ini"
    settings.write_text(settings.read_text().replace("[archive]\n", f"[archive]\nkeys = {made.signer.vkey}\n"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("prodnb.console.out.width", 160, raising=False)
    return made


def said(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, ProdnbError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def flat(text):
    """The words of a table, without its lines."""
    return " ".join("".join(" " if c in "│┃┏┓┡┩└┘─━┳╇┴┼" else c for c in text).split())


def test_the_gate_opens_stops_and_errs_with_its_code(project):
    assert "stop" in said("gate", MODEL.digest, code=1)
    project.run(GOOD)
    text = flat(said("gate", MODEL.digest))
    assert "Gate: ✔ go model SHA-256 abab" in text
    assert "Checkpoint: example.org/demo/" in text
    assert "signed by a key that the settings name" in text
    project.run({"drift": 3.0})
    assert "✖ stop" in said("gate", MODEL.digest, code=1)
    project.run({"drift": 1.0}, cause={"kind": "died", "cell": 1, "message": "it died"}, results=[])
    said("gate", MODEL.digest, code=2)


def test_the_model_is_that_of_the_settings_or_the_named_file(project):
    (project.folder / "m.onnx").write_bytes(b"one")
    from prodnb.release import asked_model

    project.run(GOOD, model=asked_model(project.settings, "m.onnx"))
    assert "go" in said("gate", "m.onnx")
    assert "no record of it on this model" in flat(said("gate", code=1))
    (project.folder / "m.onnx").write_bytes(b"two")
    said("gate", "m.onnx", code=1)


def test_json_is_all_that_is_printed(project):
    project.run(GOOD)
    found = json.loads(said("gate", MODEL.digest, "--json"))
    assert (found["decision"], found["code"], found["signed"]) == ("go", 0, True)


def test_the_files_for_ci_are_written_whatever_the_decision(project):
    for run, code in (({"drift": 3.0, "cost": 1.0}, 1), (GOOD, 0)):
        project.run(run)
        said("gate", MODEL.digest, "--markdown", "g.md", "--junit", "g.xml", "--sarif", "g.sarif", code=code)
        page = (project.folder / "g.md").read_text()
        assert project.gate().note.strip() in page
        assert ("✖ demo: stop" in page) == (code == 1)
        failures = [s.get("failures") for s in ElementTree.parse(project.folder / "g.xml").getroot()]
        assert failures == (["1", "0"] if code else ["0", "0"])
        run = json.loads((project.folder / "g.sarif").read_text())["runs"][0]
        assert (len(run["results"]), run["invocations"][0]["exitCode"]) == (code, code)


def test_a_waived_finding_is_shown_as_waived(project):
    project.run({"drift": 3.0}, results=about("drift", "temp"))
    project.run({"cost": 1.0})
    until = (datetime.now(UTC) + timedelta(days=3)).date()
    project.waive({"check": "drift", "column": "temp", "owner": "ann", "reason": "sensors replaced", "until": str(until)})
    text = flat(said("gate", MODEL.digest))
    assert "! waived" in text
    assert "✖ failed" in text
    assert f"by ann until {until}" in text


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["--settings", "none.ini"], SettingsError, "there is no file"),
        (["nowhere.onnx"], InputError, "nowhere"),
        (["what.is"], InputError, "cannot tell what model"),
        (["--markdown", "none/x.md"], SettingsError, "there is no folder"),
        (["--markdown", "x", "--sarif", "x"], SettingsError, "two outputs"),
        (["--junit", "."], SettingsError, "it is a folder"),
    ],
)
def test_mistakes_are_named(project, arguments, error, words):
    with pytest.raises(error, match=words):
        said("gate", *arguments)


def test_nothing_required_is_a_mistake_and_no_open_gate(project):
    settings = project.folder / "settings.ini"
    settings.write_text(settings.read_text().replace("required = drift, cost", ""))
    with pytest.raises(SettingsError, match="requires no check"):
        said("gate", MODEL.digest)


def test_an_index_that_lies_cannot_open_the_gate(project, monkeypatch):
    import prodnb.evidence
    import prodnb.gate_commands

    monkeypatch.setattr(prodnb.evidence, "PATIENCE", 1)
    project.run(GOOD)
    for _ in range(3):
        project.run({"extra": 1.0})
    monkeypatch.setattr(prodnb.gate_commands, "_known", lambda *a: lambda: set())
    said("gate", MODEL.digest, code=1)
    monkeypatch.undo()
    monkeypatch.chdir(project.folder)
    said("gate", MODEL.digest)


def test_what_is_not_there_is_looked_up_in_the_index(project, monkeypatch):
    import prodnb.evidence

    monkeypatch.setattr(prodnb.evidence, "PATIENCE", 1)
    for _ in range(3):
        project.run({"cost": 1.0})
    read = []
    real = prodnb.evidence.read_batch
    monkeypatch.setattr(prodnb.evidence, "read_batch", lambda data, name: read.append(name) or real(data, name))
    text = flat(said("gate", MODEL.digest, code=1))
    assert "drift ✖ stop none" in text
    assert len(read) == 2


def test_text_of_the_data_cannot_command_the_terminal(project):
    hostile = "\x1b[31mred\x1b[0m [bold]x[/bold]"
    project.run({"drift": 3.0, "cost": 1.0}, results=about("drift", hostile))
    text = said("gate", MODEL.digest, code=1)
    assert "\x1b" not in text
    assert "[bold]" in flat(text)


# diff


def test_diff_compares_the_two_newest_runs(project):
    first, second = project.run(GOOD), project.run({"drift": 3.0, "cost": 1.0})
    text = flat(said("diff"))
    assert text.index(first.id) < text.index(second.id)
    assert "✖ failed" in text
    assert "+200 %" in text
    assert "Nothing is different" in said("diff", second.id, second.id)
    assert first.id in said("diff", first.id[:20])
    project.run({"drift": 3.0})
    assert "Only in the first: cost" in flat(said("diff"))
    found = json.loads(said("diff", first.id, second.id, "--json"))
    assert [m["what"] for m in found["metrics"]] == ["crossed"]


def test_diff_reads_an_archive_without_settings_and_says_what_is_not_there(project, tmp_path):
    with pytest.raises(ArchiveError, match="holds no run"):
        said("diff", "--archive", tmp_path / "archive")
    run = project.run(GOOD)
    with pytest.raises(ArchiveError, match="there is no run of demo before"):
        said("diff", "--archive", tmp_path / "archive")
    assert "Nothing is different" in said("diff", "--archive", tmp_path / "archive", run.id)
    with pytest.raises(ArchiveError, match="there is no run"):
        said("diff", "20990101")


def test_diff_shows_cells_and_long_lists_in_short(project):
    from prodnb.verdict import CheckResult, Limit, Statistic, judge

    def many(value):
        verdicts = [judge(Statistic(name="s", about=f"c{n}", value=value), Limit(fail=9.0, reason="agreed")) for n in range(100)]
        return [CheckResult("drift", verdicts).to_dict()]

    project.run({"drift": 1.0}, results=many(1.0))
    project.run({"drift": 1.0}, results=many(2.0), environment={"python": "3.12"})
    text = flat(said("diff"))
    assert "and 40 more: --json lists all" in text
    assert "drift: the same code and another output in cell 2" in text
    assert "python 3.11.2 3.12 drift" in text
    assert "cell 2" not in said("diff", "--no-cells")
