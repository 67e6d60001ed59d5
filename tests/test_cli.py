"""The command line as a user types it: exit codes, words for every mistake, and what `list` shows."""

import pytest
from project import CELLS, prodnb, write_project, write_template

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("checks", "more", "flags", "code"),
    [
        (["passes", "warns", "skips"], "", [], 0),
        (["passes", "warns"], "", ["--strict"], 1),
        (["doubts"], "", [], 1),
        (["doubts"], "[gate]\nallow_unknown = doubts\n", [], 0),
        (["skips"], "[gate]\nrequired = skips\n", [], 1),
    ],
)
def test_exit_codes_of_the_command(tmp_path, checks, more, flags, code):
    folder = write_project(tmp_path / "p", {c: CELLS[c] for c in checks}, more)
    said = prodnb("run", *checks, *flags, cwd=folder)
    assert said.code == code, said.out + said.err
    assert "Report:" in said.out
    assert "1 of" in said.err


MISTAKES = [
    (["run", "drfit"], 2, ["'drfit'", "Did you mean 'drift'?"]),
    (["run", "-p", "passes.x=1"], 2, ["passes", "no parameter 'x'"]),
    (["run", "-p", "x"], 2, ["-p", "CHECK.NAME=VALUE"]),
    (["run", "--set", "project.referense=x"], 2, ["'referense'", "Did you mean 'reference'?"]),
    (["run", "--set", "project.reference=nothing.parquet"], 2, ["nothing.parquet"]),
    (["run", "--set", "project.target=c"], 2, ["'c'", "target"]),
    (["run", "--set", "archive.path=reference.parquet/x"], 2, ["cannot write", "reference.parquet/x"]),
    (["run", "--settings", "other.ini"], 2, ["other.ini", "prodnb init"]),
    (["run", "--failed"], 2, ["holds no run"]),
    (["show"], 2, ["holds no run", "prodnb run"]),
    (["show", "2020"], 2, ["holds no run"]),
    (["example", "flihgts", "x"], 2, ["Did you mean 'flights'?"]),
    (["init"], 2, ["--reference"]),
    (["lst"], 2, ["lst"]),
]


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_a_mistake_is_a_clear_error_and_leaves_nothing(tmp_path, arguments, code, words):
    folder = write_project(tmp_path / "p", {"passes": CELLS["passes"]})
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    said = prodnb(*arguments, cwd=folder)
    assert said.code == code
    assert "Traceback" not in said.err
    assert said.out == ""
    assert all(word in said.err for word in words), said.err
    left = [p for p in folder.rglob("*") if p.relative_to(folder) not in before and p.is_file()]
    assert left == []


def test_a_template_that_is_none_is_refused(tmp_path):
    folder = write_project(tmp_path / "p", {})
    write_template(folder, "bad", ["1"], "import os\n")
    said = prodnb("run", cwd=folder)
    assert said.code == 2
    assert "templates/bad.ipynb" in said.err


def test_list_shows_checks_and_parameters(tmp_path):
    folder = write_project(tmp_path / "p", {"passes": CELLS["passes"]})
    said = prodnb("list", "--json", cwd=folder)
    found = {t["name"]: t for t in said.json}
    assert found["passes"]["origin"] == "project"
    assert found["drift"]["origin"] == "prodnb"
    assert all(p["help"] for t in found.values() for p in t["parameters"] if t["origin"] == "prodnb")
    assert "drift" in prodnb("list", cwd=folder).out


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = write_project(tmp_path_factory.mktemp("ran") / "p", {"passes": CELLS["passes"]})
    assert prodnb("run", "passes", cwd=folder).code == 0
    return folder


@pytest.mark.parametrize(
    "command", ["--help", "run --help", "list", "list --json", "show", "show --json", "verify", "warm --status"]
)
def test_light_commands_import_nothing_heavy(ran, command):
    said = prodnb(*command.split(), cwd=ran, env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in said.err.splitlines() if line.startswith("import time:")}
    assert said.code == 0
    assert "prodnb.cli" in imported
    assert (
        not {"papermill", "nbformat", "nbclient", "pandas", "numpy", "ibis", "pyarrow", "duckdb", "mlflow", "matplotlib"}
        & imported
    )
