"""The first files: a settings.ini that loads and says why, and workflows that parse, gate and keep history."""

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from prodnb.errors import InputError, SettingsError
from prodnb.init import write_ci, write_settings
from prodnb.settings import load_settings
from prodnb.template import check_sections, find_templates


@pytest.fixture
def tables(tmp_path):
    """Two small tables with a target, a time, an id and a score."""
    n = 400
    frame = pd.DataFrame(
        {
            "flight_id": range(n),
            "time_hour": pd.date_range("2013-01-01", periods=n, freq="h"),
            "distance": [100.5 + i % 37 for i in range(n)],
            "carrier": [["AA", "UA", "B6"][i % 3] for i in range(n)],
            "late": [i % 5 == 0 for i in range(n)],
            "gate, terminal": ["x"] * n,
        }
    )
    data = tmp_path / "data"
    data.mkdir()
    frame.to_parquet(data / "reference.parquet")
    frame.drop(columns="late").to_parquet(data / "current.parquet")
    return data


def written(folder, **given):
    said = []
    file = write_settings(folder, say=said.append, **given)
    return load_settings(file), said, file.read_text()


def test_the_file_loads_and_names_every_input(tables, tmp_path):
    settings, _, text = written(
        tmp_path,
        reference=str(tables / "reference.parquet"),
        current=str(tables / "current.parquet"),
        model="models:/late@champion",
        target="late",
    )
    assert settings.get("project", "reference") == "data/reference.parquet"
    assert settings.get("project", "current") == "data/current.parquet"
    assert settings.get("project", "model") == "models:/late@champion"
    assert settings.get("project", "target") == "late"
    assert settings.name == tmp_path.name
    assert str(tmp_path) not in text
    check_sections(settings, find_templates(tmp_path))


def test_every_inferred_role_has_its_reason_above_it_and_is_said(tables, tmp_path):
    settings, said, _ = written(tmp_path, reference=str(tables / "reference.parquet"), name="late flights")
    inferred = {k: v for k, v in settings.reasons["project"].items() if v.startswith("Inferred: ")}
    assert "time" in inferred
    assert settings.get("project", "time") == "time_hour"
    assert len(said) == len(inferred)
    assert all(any(line.startswith(f"{key} = ") for line in said) for key in inferred)
    assert all(len(why) > 20 for why in inferred.values())
    assert settings.name == "late flights"


def test_what_is_given_beats_what_is_inferred(tables, tmp_path):
    settings, said, _ = written(tmp_path, reference=str(tables / "reference.parquet"), target="carrier")
    assert settings.get("project", "target") == "carrier"
    assert settings.reasons["project"]["target"] == "Given on the command line."
    assert settings.get("project", "task") != "binary"
    assert not any(line.startswith("target") for line in said)


def test_it_never_overwrites(tables, tmp_path):
    file = tmp_path / "settings.ini"
    file.write_text("mine")
    with pytest.raises(SettingsError, match="already"):
        write_settings(tmp_path, reference=str(tables / "reference.parquet"))
    assert file.read_text() == "mine"
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="already"):
        write_settings(tmp_path, reference=str(tables / "reference.parquet"))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"reference": "absent.parquet"}, InputError, "absent"),
        ({"target": "lat"}, SettingsError, "late"),
        ({"current": "absent.parquet"}, InputError, "absent"),
    ],
)
def test_a_mistake_leaves_nothing_behind(tables, tmp_path, given, error, words):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=words):
        write_settings(tmp_path, **{"reference": str(tables / "reference.parquet"), **given})
    assert sorted(tmp_path.rglob("*")) == before


def test_relative_paths_from_another_folder(tables, tmp_path, monkeypatch):
    """Paths are given from where the user stands, and written from where the file stands."""
    monkeypatch.chdir(tables)
    project = tmp_path / "project"
    settings, _, _ = written(project, reference="reference.parquet")
    assert settings.get("project", "reference") == "../data/reference.parquet"
    assert (project / settings.get("project", "reference")).exists()
    assert [p.name for p in project.iterdir()] == ["settings.ini"]


def test_a_file_system_without_hard_links(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *a: (_ for _ in ()).throw(PermissionError(1, "not permitted")))
    settings, _, _ = written(tmp_path, reference=str(tables / "reference.parquet"))
    assert settings.get("project", "reference") == "data/reference.parquet"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(tables, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(SettingsError, match="cannot write"):
        write_settings(folder, reference=str(tables / "reference.parquet"))


def steps(document):
    (job,) = document["jobs"].values()
    return job["steps"]


def test_the_github_workflow(tmp_path):
    file = write_ci(tmp_path, "github")
    assert file == tmp_path / ".github/workflows/prodnb.yml"
    text = file.read_text()
    document = yaml.safe_load(text)
    found = {s.get("name", s.get("uses")): s for s in steps(document)}
    assert document["permissions"] == {"contents": "read"}
    assert "pull_request" in document[True]
    run = found["Run the checks"]
    assert run["run"].startswith("prodnb run --junit ")
    assert "archive.path=$ARCHIVE" in run["run"]
    assert "||" not in run["run"], "the exit code gates"
    assert "continue-on-error" not in text
    summary = found["Show the verdict on the job's page"]
    assert summary["if"] == "always()"
    assert "prodnb.md" in summary["run"]
    assert "$GITHUB_STEP_SUMMARY" in summary["run"]
    restore, save = (next(s for s in steps(document) if f"cache/{kind}@" in s.get("uses", "")) for kind in ("restore", "save"))
    assert save["if"] == "always()", "a failed run is history too"
    assert restore["with"]["key"] == save["with"]["key"]
    assert save["with"]["key"].startswith(restore["with"]["restore-keys"])
    assert "run_id" in save["with"]["key"], "a cache is never changed: the key must be new"
    names = list(found)
    assert (
        names.index("Bring back the archive of earlier runs")
        < names.index("Run the checks")
        < names.index("Keep the archive for the next run")
    )
    assert "artifact alone is not enough" in text
    assert "s3://" in text


def test_the_gitlab_pipeline(tmp_path):
    file = write_ci(tmp_path, "gitlab")
    assert file == tmp_path / ".gitlab-ci.yml"
    document = yaml.safe_load(file.read_text())
    job = document["prodnb"]
    assert any(line.startswith("prodnb run --junit prodnb-junit.xml") for line in job["script"])
    assert "allow_failure" not in job
    assert job["artifacts"]["reports"]["junit"] == "prodnb-junit.xml"
    assert job["artifacts"]["when"] == "always"
    assert any("prodnb.md" in line for line in job["after_script"])
    cache = next(c for c in job["cache"] if "archive/" in c["paths"])
    assert cache["when"] == "always"
    assert "artifact alone is not enough" in file.read_text()


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_the_shell_of_the_workflows_parses(kind, tmp_path):
    document = yaml.safe_load(write_ci(tmp_path, kind).read_text())
    lines = (
        [s["run"] for s in steps(document) if "run" in s]
        if kind == "github"
        else document["prodnb"]["script"] + document["prodnb"]["after_script"]
    )
    assert len(lines) >= 3
    for line in lines:
        assert subprocess.run(["bash", "-n", "-c", line], capture_output=True, check=False).returncode == 0


def test_ci_files_are_never_overwritten_and_kinds_are_known(tmp_path):
    write_ci(tmp_path, "github").write_text("mine")
    with pytest.raises(SettingsError, match="already"):
        write_ci(tmp_path, "github")
    assert (tmp_path / ".github/workflows/prodnb.yml").read_text() == "mine"
    with pytest.raises(SettingsError, match="github"):
        write_ci(tmp_path, "gitub")


def test_our_own_workflow_runs_the_documented_command():
    root = Path(__file__).parents[1]
    document = yaml.safe_load((root / ".github/workflows/tests.yml").read_text())
    commands = [s["run"] for job in document["jobs"].values() for s in job["steps"] if "run" in s]
    assert any(c.startswith("make test") for c in commands)
    assert document["jobs"]["ubuntu"]["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert document["permissions"] == {"contents": "read"}
    assert ".ci/run" in commands


def test_a_reference_without_rows_is_refused(tmp_path):
    (tmp_path / "none.csv").write_text("a,b\n")
    with pytest.raises(InputError, match="no rows"):
        write_settings(tmp_path, reference=str(tmp_path / "none.csv"), say=lambda line: None)
    assert not (tmp_path / "settings.ini").exists()
