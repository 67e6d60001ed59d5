"""`prodnb reproduce` and `prodnb prune` as a person calls them."""

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import typer
from sealed import SIGNER, log_in, sealed_run
from test_reproduce import folder, kernels, run  # noqa: F401
from typer.testing import CliRunner

from prodnb.errors import SettingsError
from prodnb.life_commands import prune_command, reproduce_command
from prodnb.verify import verify

app = typer.Typer()
app.command("reproduce")(reproduce_command)
app.command("prune")(prune_command)


def said(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def mistake(*arguments):
    found = said(*arguments)
    assert isinstance(found.exception, SettingsError)
    return str(found.exception)


def test_reproduce_says_so_and_ends_with_0_or_1(folder, kernels, monkeypatch):  # noqa: F811
    done = run(folder)
    monkeypatch.chdir(folder)
    found = said("reproduce", done.id)
    assert found.exit_code == 0, found.output
    assert "1 verdict agrees" in " ".join(found.output.split())
    assert found.output.rstrip().endswith(f"Run {done.id}: agrees")
    assert said("reproduce").exit_code == 0  # the newest
    kernels.off = 500.0
    found = said("reproduce", done.id[:16], "looks")
    assert found.exit_code == 1
    assert "looks: s of dataset: outcome was passed, is failed" in found.output
    data = json.loads(said("reproduce", done.id, "--json").stdout)
    assert (data["format"], data["run"], data["outcome"], data["checks"][0]["check"]) == ("prodnb.reproduction.v1", done.id, "differs", "looks")  # fmt: skip
    assert data["checks"][0]["agreement"]["shown"][0] == {"where": "s of dataset: outcome", "kind": "outcome", "recorded": "passed", "found": "failed"}  # fmt: skip
    assert said("reproduce", done.id, "--tolerance", "1e9", "--json").exit_code == 1


def test_reproduce_names_the_input(folder, kernels, monkeypatch):  # noqa: F811
    done = run(folder)
    monkeypatch.chdir(folder)
    pd.DataFrame({"a": [1], "b": ["x"]}).to_parquet("reference.parquet")
    found = said("reproduce", done.id)
    assert found.exit_code == 1
    assert "reference (reference.parquet) is no longer what it was" in " ".join(found.output.replace("│", " ").split())
    assert kernels.ran == ["looks"]


def test_mistakes_of_reproduce(folder, kernels, monkeypatch):  # noqa: F811
    done = run(folder)
    monkeypatch.chdir(folder)
    assert "is not an assignment" in mistake("reproduce", done.id, "--set", "current")
    assert "hunter22" not in mistake("reproduce", done.id, "--set", "nonsense=hunter22")
    assert "there is no file" in mistake("reproduce", "--settings", "nowhere.ini")


@pytest.fixture
def old(tmp_path, monkeypatch):
    """An unsigned archive with one run of years ago and one of today."""
    (tmp_path / "settings.ini").write_text("[project]\nname = demo\n[archive]\nkeep_reports = 400d\n")
    log = log_in(tmp_path, signer=None)
    now = datetime.now(UTC)
    log.runs = [sealed_run(log, started=now - timedelta(days=days)) for days in (900, 1)]
    monkeypatch.chdir(tmp_path)
    return log


def pages(log):
    return [p for p in log.archive.fs.find(f"{log.archive.root}/runs") if p.endswith((".html", ".ipynb"))]


def test_prune_removes_what_the_settings_say(old):
    found = said("prune", "--dry-run", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout) | {"removed": None} == {
        "format": "prodnb.pruned.v1", "runs": 1, "files": 5, "bytes": json.loads(found.stdout)["bytes"], "removed": None, "kept": [], "dry": True, "unfinished": 0,
    }  # fmt: skip
    assert len(pages(old)) == 10
    found = said("prune")
    assert "Removed 5 reports and notebooks of 1 runs older than 400d" in found.output
    assert len(pages(old)) == 5
    assert said("prune", "--older-than", "1h").exit_code == 0
    assert pages(old) == []
    assert not [f for f in verify(old.archive)[0] if f.fault]


def test_prune_that_leaves_something_ends_with_2(old):
    with open(old.archive.path(old.runs[0].id, "drift.html"), "a") as file:
        file.write("forged")
    found = said("prune")
    assert found.exit_code == 2
    assert "Kept: runs/" in found.output


def test_mistakes_of_prune(old, tmp_path):
    text = (tmp_path / "settings.ini").read_text()
    (tmp_path / "settings.ini").write_text(text.replace("400d", "400"))
    assert "no length of time" in mistake("prune")
    assert "no length of time" in mistake("prune", "--older-than", "soon")
    (tmp_path / "settings.ini").write_text(text.replace("keep_reports = 400d\n", ""))
    assert "nothing says how long reports are kept" in mistake("prune")
    (tmp_path / "settings.ini").write_text(text + f"keys = {SIGNER.vkey}\n")
    assert "no private key" in mistake("prune")
    assert len(pages(old)) == 10
