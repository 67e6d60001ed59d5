"""`prodnb show` and `prodnb site` as a user calls them."""

import json
import shutil

import pytest
import typer
from many_runs import make_runs
from sealed import log_in, sealed_run
from typer.testing import CliRunner

from prodnb.archive import open_archive, run_ids
from prodnb.errors import ArchiveError, SettingsError
from prodnb.record_commands import show_command, site_command

app = typer.Typer()
app.command("show")(show_command)
app.command("site")(site_command)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    list(make_runs(folder, 4, columns=2, skip_first=94))  # the third one dies
    return folder


@pytest.fixture
def url(made, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return str(shutil.copytree(made / "archive", tmp_path / "archive"))


def called(*words):
    answer = CliRunner().invoke(app, [str(w) for w in words])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_one_run_needs_no_index(url, monkeypatch):
    monkeypatch.setattr("prodnb.index.open_index", lambda *a, **k: pytest.fail("the index was opened"))
    newest = run_ids(open_archive(url))[-1]
    assert json.loads(called("show", "--json", "--archive", url))["run"] == newest
    first = run_ids(open_archive(url))[0]
    assert json.loads(called("show", first[:18], "--json", "--archive", url))["run"] == first
    assert called("show", "--markdown", "--archive", url).startswith("## ")
    assert newest in called("show", "--archive", url)


def test_the_newest_runs_are_listed_with_those_that_died(url, capfd):
    told = json.loads(called("show", "--runs", 9, "--json", "--archive", url))
    ids = run_ids(open_archive(url))
    assert told["format"] == "prodnb.runs.v1"
    assert [r["run"] for r in told["runs"] if r["outcome"] != "died"] == ids[::-1]
    (died,) = (r for r in told["runs"] if r["outcome"] == "died")
    assert ids[1] < died["run"] < ids[2]
    assert all(set(r["checks"]) == {"cost", "data_quality", "drift", "explainability"} for r in told["runs"] if r is not died)
    assert [r["run"] for r in json.loads(called("show", "--runs", 2, "--json", "--archive", url))["runs"]] == [
        ids[2],
        died["run"],
    ]
    assert "died" in called("show", "--runs", 9, "--archive", url)


def test_a_named_run_that_died_is_not_called_unknown(url):
    died = next(r for r in json.loads(called("show", "--runs", 9, "--json", "--archive", url))["runs"] if r["outcome"] == "died")
    with pytest.raises(ArchiveError, match=r"announced at 2023.* on ci-7, and never concluded: it died"):
        called("show", died["run"], "--archive", url)
    with pytest.raises(ArchiveError, match="there is no run"):
        called("show", "2033", "--archive", url)


def test_options_that_contradict_each_other(url):
    for words in (["--runs", 3, "2023"], ["--runs", 3, "--markdown"]):
        with pytest.raises(SettingsError, match="--runs"):
            called("show", *words, "--archive", url)


def test_the_site_is_written_where_it_is_asked_for(url, tmp_path):
    assert "3 runs" in called("site", "--archive", url)
    assert (tmp_path / "site" / "index.html").exists()
    assert "site: " not in called("site", "--archive", url, "-o", tmp_path / "other place")
    assert (tmp_path / "other place" / "flights" / "index.html").exists()


def test_an_archive_without_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchiveError, match="holds no run"):
        called("show", "--archive", tmp_path / "nothing")
    assert json.loads(called("show", "--runs", 3, "--json", "--archive", tmp_path / "nothing"))["runs"] == []


def test_a_run_whose_files_are_gone_is_not_gone_from_the_list(tmp_path):
    log = log_in(tmp_path)
    kept, gone = sealed_run(log, ["drift"]), sealed_run(log, ["drift"], number=1)
    shutil.rmtree(tmp_path / "archive" / "runs" / gone.id)
    url = tmp_path / "archive"
    told = json.loads(called("show", "--runs", 9, "--json", "--archive", url))
    assert [(r["run"], r["outcome"]) for r in told["runs"]] == [(gone.id, "missing"), (kept.id, "passed")]
    with pytest.raises(ArchiveError, match="concluded, but its files are gone"):
        called("show", gone.id, "--archive", url)
    called("site", "--output", tmp_path / "site", "--archive", url)
    pages = [(tmp_path / "site" / page).read_text() for page in ("index.html", "demo/index.html")]
    assert "1 run of the log without files that can be read" in pages[0]
    assert gone.id in pages[1]
    assert "its files are gone or cannot be read" in pages[1]
