"""MLflow gets what a run found, in batches; the version that was judged is tagged; nothing lands in the current folder."""

import os

import pytest
from test_archive import make_run
from test_record import record, verdict

from prodnb.deliver import deliver_mlflow, metric_name
from prodnb.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A local store with one registered version, and an empty current folder."""
    import mlflow
    from mlflow import MlflowClient

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.create_registered_model("m")
    client.create_model_version("m", source=str(tmp_path))
    client.set_registered_model_alias("m", "champion", 1)
    assert mlflow.__version__
    return client, Settings(
        tmp_path / "settings.ini",
        {"project": {"name": "demo", "model": "models:/m@champion"}, "archive": {"mlflow": "sqlite:///store.db"}},
    )


def test_metrics_parameters_pages_and_the_tag(registry, tmp_path):
    client, settings = registry
    run, files, _ = make_run()
    many = [verdict("failed", about=f"col {n} <b>", value=float(n)) for n in range(2300)]
    parameters = {f"p{n}": {"value": "x" * 9000} for n in range(250)}
    judged = [{"role": "model", "version": "1"}]
    line = deliver_mlflow(settings, run, [record("drift", "failed", verdicts=many, parameters=parameters, inputs=judged)], files)
    assert line["outcome"] == "delivered", line
    assert "m version 1" in line["message"]
    found = client.search_runs([client.get_experiment_by_name("prodnb/demo").experiment_id])[0]
    assert len(found.data.metrics) == 2301
    assert found.data.metrics[metric_name("drift", many[7])] == 7.0
    assert len(found.data.params) == 250
    assert found.data.tags["prodnb.run"] == run.id
    assert found.data.tags["prodnb.drift"] == "failed"
    assert {f.path for f in client.list_artifacts(found.info.run_id, "prodnb")} == {
        "prodnb/cost.html",
        "prodnb/drift.html",
        "prodnb/index.html",
    }
    assert client.get_model_version("m", "1").tags == {"prodnb.outcome": "failed", "prodnb.run": run.id, "prodnb.drift": "failed"}
    assert os.listdir(".") == []


def test_a_run_of_some_checks_does_not_overwrite_the_outcome_of_all(registry):
    client, settings = registry
    judged = [{"role": "model", "version": "1"}]
    failed, files, _ = make_run()
    passed, _, _ = make_run(1, outcome="passed")
    deliver_mlflow(settings, failed, [record("drift", "failed", inputs=judged)], files)
    deliver_mlflow(settings, passed, [record("cost", "passed", inputs=judged)], files, complete=False)
    tags = client.get_model_version("m", "1").tags
    assert (tags["prodnb.outcome"], tags["prodnb.run"], tags["prodnb.cost"]) == ("failed", failed.id, "passed")


def test_hostile_column_names_cost_no_delivery(registry):
    client, settings = registry
    run, files, _ = make_run()
    names = ["a*b", "a?b", "km/", "a//b", "./x", "../..", "x" * 900, "é\n"]
    line = deliver_mlflow(settings, run, [record("drift", "failed", verdicts=[verdict("failed", about=n) for n in names])], files)
    assert line["outcome"] == "delivered", line
    found = client.search_runs([client.get_experiment_by_name("prodnb/demo").experiment_id])[0]
    assert len(found.data.metrics) == len(names) + 1


@pytest.mark.parametrize(
    ("mlflow", "outcome"),
    [("off", "off"), ("http://127.0.0.1:9", "not delivered"), ("sqlite:////proc/no/x.db", "not delivered")],
)
def test_out_of_reach_is_said_and_never_raised(registry, mlflow, outcome):
    _, settings = registry
    run, files, records = make_run()
    values = {**settings.values, "archive": {"mlflow": mlflow}}
    assert deliver_mlflow(Settings(settings.file, values), run, records, files)["outcome"] == outcome
