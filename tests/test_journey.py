"""The main journey: the flights example made, run, shown, verified and looked at, as the README tells it."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from browser import browse
from project import prodnb

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def journey(flights, tmp_path_factory):
    """One run of all checks on the example."""
    archive = tmp_path_factory.mktemp("journey") / "archive"
    said = prodnb("run", "--json", "--set", f"archive.path={archive}", cwd=flights, timeout=600)
    return flights, archive, said


def test_the_summer_is_not_the_winter(journey):
    _, _, said = journey
    assert said.code == 1, said.err
    jsonschema.validate(said.json, json.loads((ROOT / "prodnb" / "assets" / "run.schema.json").read_text()))
    outcomes = {r["check"]: r["outcome"] for r in said.json["records"]}
    assert outcomes["drift"] == outcomes["data_quality"] == "failed"
    assert outcomes["explainability"] in ("passed", "warned", "unknown")
    assert outcomes["cost"] not in ("errored", "skipped")  # what it says beyond that depends on the machine and its noise
    drifted = {
        v["about"] for r in said.json["records"] if r["check"] == "drift" for v in r["verdicts"] if v["outcome"] == "failed"
    }
    assert {"temp", "dewp"} <= drifted


def test_each_check_gives_honest_statistics_with_reasons(journey):
    for r in journey[2].json["records"]:
        judged = [v for v in r["verdicts"] if v["limit"]]
        assert len({v["name"] for v in r["verdicts"]}) >= 3
        assert len(r["verdicts"]) >= 5
        assert all(v["method"] for v in r["verdicts"]), r["check"]
        assert sum(v["n"] > 0 for v in r["verdicts"]) >= 5, r["check"]
        assert any(v["low"] is not None for v in r["verdicts"]), r["check"]
        assert all(len(v["limit"]["reason"]) > 10 for v in judged), r["check"]


def test_every_notebook_shows_two_plots_and_every_page_is_small(journey):
    for r in journey[2].json["records"]:
        cells = json.loads(Path(r["notebook"]).read_text())["cells"]
        plots = [o for c in cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
        assert len(plots) >= 2, r["check"]
        page = Path(r["report"]).read_text()
        assert page.count("data:image/png") == len(plots)
        assert len(page.encode()) <= 1_000_000
        assert "When this fails" in page


def test_no_row_of_the_data_is_kept(journey):
    import pandas as pd

    folder, archive, _ = journey
    planes = pd.read_parquet(folder / "flights" / "2013-07.parquet", columns=["tailnum"])["tailnum"].dropna().unique()[:300]
    for path in archive.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert not [p for p in planes if p in text], path.name


def test_nothing_of_this_machine_is_kept(journey):
    folder, archive, _ = journey
    for path in archive.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert str(folder) not in text, path.name
            assert str(ROOT) not in text, path.name
            assert f"{Path.home()}/" not in text, path.name


def test_mlflow_has_the_run_and_the_version_its_outcome(journey):
    from mlflow import MlflowClient

    folder, archive, said = journey
    uri = f"sqlite:///{folder / 'flights' / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    version = client.get_model_version_by_alias("flights", "champion")
    assert version.tags["prodnb.outcome"] == "failed"
    assert version.tags["prodnb.run"] == said.json["run"]
    line = json.loads((archive / "runs" / said.json["run"] / "deliveries.json").read_text())[0]
    assert line["outcome"] == "delivered"
    assert not (folder / "mlruns").exists()


def test_verified_and_shown(journey):
    folder, archive, said = journey
    assert prodnb("verify", "--archive", archive, cwd=folder).code == 0
    assert prodnb("show", "--archive", archive, "--json", cwd=folder).json["run"] == said.json["run"]


def test_pages_in_a_browser_are_quiet_and_ask_for_nothing(journey):
    _, archive, said = journey
    pages = sorted((archive / "runs" / said.json["run"]).glob("*.html"))
    assert len(pages) == len(said.json["records"]) + 1  # and the index
    with browse() as tab:
        for page in pages:
            for width in (1100, 390):
                tab.open(page.as_uri(), width=width)
                assert tab.complaints == []
                assert tab.requests == []
                assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (page.name, width)
            assert tab.evaluate("[...document.images].every(i => i.naturalWidth > 200 && i.alt)")


def test_a_reference_alone_is_a_useful_run(flights, tmp_path):
    (tmp_path / "p").mkdir()
    shutil.copy(flights / "flights" / "reference.parquet", tmp_path / "p" / "reference.parquet")
    (tmp_path / "p" / "settings.ini").write_text(
        "[project]\nname = alone\nreference = reference.parquet\n[archive]\nmlflow = off\n"
    )
    said = prodnb("run", "--json", cwd=tmp_path / "p")
    assert said.code in (0, 1), said.err
    found = {r["check"]: r for r in said.json["records"]}
    assert found["data_quality"]["outcome"] != "skipped"
    assert len(found["data_quality"]["verdicts"]) >= 2
    for check, needs in (("drift", "current"), ("explainability", "model"), ("cost", "model")):
        assert found[check]["outcome"] == "skipped"
        assert needs in found[check]["message"]
