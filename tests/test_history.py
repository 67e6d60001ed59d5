"""History: a state survives a real run, cannot be changed unseen, and only a record that can be trusted is gone on from."""

import json
import shutil

import pytest
from pages import results
from project import RESULT, prodnb, write_project, write_template

from prodnb.archive import load_records, load_run, open_archive, read_json, run_ids, write_run
from prodnb.history import go_on_from, model_importance, past_records, read_history
from prodnb.record import Record, Run, canonical, sha256
from prodnb.settings import load_settings
from prodnb.store import Folder
from prodnb.verdict import CheckResult, result_html, result_text, skip
from prodnb.worker import rebuilt

SECRET = "4711 -3 1213141516"
STATE = {"format": "x.v1", "counts": SECRET, "columns": {'we"ird ü': [1, 2.5, None, True]}}


def shows_state(check: str, state: dict) -> str:
    return f"{RESULT}CheckResult({check!r}, [skip('nothing')], state={state!r})"


def made_run(
    n: int, check: str = "drift", *, project: str = "demo", state: dict | None = None, cause=None, tables=None, then=()
) -> tuple[Run, dict]:
    shown = [CheckResult(check, [skip("nothing")], tables or {}, state=s).to_dict() for s in (state, *then)]
    facts = dict.fromkeys(("template_digest", "settings_digest", "notebook_digest", "report_digest"), "0" * 64)
    facts |= {"parameters": {}, "inputs": [], "environment": {}, "resources": {}, "started": "", "seconds": 1.0, "run_by": None}
    outcome = "errored" if cause else "skipped"
    record = Record(
        check=check, results=shown, outcome=outcome, cause=cause, previous=None, run=f"202601{n:02}T000000Z-00000000", **facts
    )
    listed = [{"check": check, "id": record.id, "outcome": outcome}]
    about = {"question": None, "owner": None, "runbook": None, "started": f"day {n}", "seconds": 1.0, "files": {}}
    run = Run(id=f"202601{n:02}T000000Z-00000000", project=project, outcome=outcome, records=listed, **about)
    return run, {f"records/{check}.json": record.bytes}


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "settings.ini").write_text("[project]\nname = demo\nreference = r.parquet\n")
    return load_settings(tmp_path / "settings.ini")


def kept(settings, *runs) -> None:
    for run, files in runs:
        write_run(open_archive("archive", settings.folder), run, files)


def test_a_state_is_plain_json_or_refused():
    assert CheckResult("x", [skip("y")], state={"a": (1, 2)}).state == {"a": [1, 2]}
    assert "state" not in CheckResult("x", [skip("y")]).to_dict()
    for wrong in ({"a": float("nan")}, {"a": {1, 2}}):
        with pytest.raises((ValueError, TypeError)):
            CheckResult("x", [skip("y")], state=wrong)


def test_a_state_is_rebuilt_and_never_shown():
    result = CheckResult("x", [skip("y")], state=STATE)
    assert rebuilt(json.loads(json.dumps(result.to_dict())))["state"] == STATE
    assert SECRET not in result_text(result) + result_html(result) + repr(result)
    assert SECRET not in str(result._repr_mimebundle_()["text/html"])
    assert "state" not in rebuilt(CheckResult("x", [skip("y")]).to_dict())


@pytest.mark.slow
def test_a_state_survives_a_real_run_and_is_sealed(tmp_path):
    folder = write_project(tmp_path / "p", {})
    (folder / "state.json").write_text(json.dumps(STATE))  # the page shows the code of the cells
    write_template(
        folder, "watch", [shows_state("watch", {}).replace("state={}", "state=__import__('json').load(open('state.json'))")]
    )
    again = "from prodnb.settings import load_settings\nfrom prodnb.history import read_history\n"
    again += "past = read_history(load_settings(settings), 'watch')\n"
    write_template(
        folder, "later", [again + shows_state("later", {}).replace("state={}", "state={'seen': past.state, 'run': past.run}")]
    )
    first = prodnb("run", "watch", "--json", cwd=folder)
    assert first.code == 0, first.err
    assert SECRET not in first.out
    assert "state" not in first.json["records"][0]
    archive = open_archive("archive", folder)
    [run] = run_ids(archive)
    [record] = load_records(archive, load_run(archive, run))
    assert record.results[0]["state"] == STATE
    changed = record.to_dict()
    changed["results"][0]["state"]["counts"] = "4712 -3 1213141516"
    assert sha256(canonical({k: v for k, v in changed.items() if k != "id"})) != record.id
    page = (folder / "archive" / "runs" / run / "watch.html").read_text()
    notebook = json.loads((folder / "archive" / "runs" / run / "watch.ipynb").read_text())
    assert SECRET not in page
    assert SECRET not in (folder / "archive" / "runs" / run / "index.html").read_text()
    assert results(notebook)[0]["state"] == STATE
    assert SECRET not in prodnb("show", "--json", cwd=folder).out
    second = prodnb("run", "later", "--json", cwd=folder)  # in the kernel, beside settings.ini, as in Lab
    assert second.code == 0, second.err
    past = read_history(load_settings(folder / "settings.ini"), "later")
    assert past.state == {"seen": STATE, "run": run}


def test_the_newest_state_is_found(settings):
    assert read_history(settings, "drift") is None  # no archive at all
    kept(settings, *(made_run(n, state={"n": n}) for n in (1, 2, 3)), made_run(4), made_run(5, "cost", state={"n": 5}))
    past = read_history(settings, "drift")
    assert (past.state, past.started, past.run) == ({"n": 3}, "day 3", "20260103T000000Z-00000000")
    assert past.results[0]["check"] == "drift"
    assert read_history(settings, "drift", want=lambda s: s["n"] < 3).state == {"n": 2}
    assert read_history(settings, "drift", want=lambda s: s["n"] > 3) is None
    assert read_history(settings, "other") is None


def test_what_cannot_be_trusted_is_passed_over(settings):
    died = {"kind": "died", "cell": 0, "message": "x", "log": ""}
    kept(
        settings,
        made_run(1, state={"n": 1}),
        made_run(2, state={"n": 2}, cause=died),
        made_run(3, project="other", state={"n": 3}),
    )
    kept(settings, *(made_run(n, state={"n": n}) for n in range(4, 10)))
    runs = settings.folder / "archive" / "runs"
    at = {n: runs / f"202601{n:02}T000000Z-00000000" for n in range(1, 10)}

    def edit(n, name, change):
        data = json.loads((at[n] / name).read_text())
        change(data)
        (at[n] / name).write_text(json.dumps(data))

    edit(4, "records/drift.json", lambda d: d["results"][0]["state"].update(n=99))
    edit(5, "run.json", lambda d: d.update(started="later"))
    (at[6] / "records" / "drift.json").unlink()
    (at[7] / "run.json").unlink()  # never finished
    (at[8] / "records" / "drift.json").write_text('{"half')

    def other_record(data):  # a record that fits its own id, but is not the one that was sealed
        data["results"][0]["state"]["n"] = 99
        data["id"] = sha256(canonical({k: v for k, v in data.items() if k != "id"}))

    edit(9, "records/drift.json", other_record)
    assert [p.state["n"] for p in past_records(settings, "drift")] == [1]


def test_only_two_files_of_a_run_are_read_and_not_of_every_run(settings, monkeypatch):
    kept(settings, *(made_run(n, state={"n": n}) for n in range(1, 8)))
    read = []
    monkeypatch.setattr(Folder, "cat_file", lambda self, path, own=Folder.cat_file: read.append(path) or own(self, path))
    assert read_history(settings, "drift").state == {"n": 7}
    assert [p.rpartition("-00000000/")[2] for p in read] == ["run.json", "records/drift.json"]
    read.clear()
    assert read_history(settings, "cost") is None
    assert {p.rpartition("/")[2] for p in read} == {"run.json"}
    monkeypatch.setattr("prodnb.history.MOST_FOLDERS", 3)
    read.clear()
    assert read_history(settings, "cost") is None
    assert len(read) == 3
    monkeypatch.setattr("prodnb.history.MOST_RUNS", 2)
    read.clear()
    assert len(list(past_records(settings, "drift"))) == 2
    assert len(read) == 4


def test_runs_of_other_checks_do_not_make_a_state_forgotten(settings, monkeypatch):
    monkeypatch.setattr("prodnb.history.MOST_RUNS", 5)
    kept(settings, made_run(1, state={"n": 1}), *(made_run(n, "cost") for n in range(2, 20)))
    assert read_history(settings, "drift").state == {"n": 1}


def test_the_state_of_the_watch_is_found_among_those_of_other_checks(settings):
    kept(settings, made_run(1, state={"watch": {"alpha": 0.05}}, then=[{"association": {}}]))
    assert read_history(settings, "drift").state == {"watch": {"alpha": 0.05}}
    assert read_history(settings, "drift", want=lambda s: "association" in s).state == {"association": {}}
    assert len(read_history(settings, "drift").results) == 2


def test_what_is_gone_on_from_knows_the_newest_state(settings):
    def fits(state):
        return state["watch"] == "a"

    assert go_on_from(settings, "drift", fits) is None
    kept(settings, made_run(1, state={"watch": "b"}))
    past = go_on_from(settings, "drift", fits)
    assert (past.state, past.newest) == ({"watch": "b"}, None)
    kept(settings, made_run(2, state={"watch": "a"}))
    past = go_on_from(settings, "drift", fits)
    assert (past.state, past.newest) == ({"watch": "a"}, None)
    kept(settings, made_run(3, state={"watch": "c"}), made_run(4))
    past = go_on_from(settings, "drift", fits)
    assert (past.state, past.newest.state, past.newest.started) == ({"watch": "a"}, {"watch": "c"}, "day 3")


def test_an_archive_in_memory(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    (tmp_path / "settings.ini").write_text("[project]\nname = demo\nreference = r.parquet\n[archive]\npath = memory://history\n")
    settings = load_settings(tmp_path / "settings.ini")
    assert read_history(settings, "drift") is None
    write_run(open_archive("memory://history"), *made_run(1, state={"n": 1}))
    assert read_history(settings, "drift").state == {"n": 1}
    fsspec.filesystem("memory").rm("/history", recursive=True)


def test_the_importance_of_the_newest_explanation(settings):
    tables = {"Importance": [{"feature": "a", "share": 0.75}, {"feature": "b", "share": 0.25}]}
    kept(settings, made_run(1, "explainability", tables=tables), made_run(2, "explainability"), made_run(3, "drift"))
    assert model_importance(settings) == {"a": 0.75, "b": 0.25}
    shutil.rmtree(settings.folder / "archive")
    assert model_importance(settings) == {}


def test_the_importance_that_a_real_explanation_shows(settings):
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    from sklearn.linear_model import LinearRegression

    from prodnb.explainability import check_explainability

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"strong": rng.normal(size=300), "weak": rng.normal(size=300)})
    model = LinearRegression().fit(frame, 3 * frame.strong + frame.weak)
    result = check_explainability(model, frame, None)
    kept(settings, made_run(1, "explainability", tables=result.tables))
    found = model_importance(settings)
    assert set(found) == {"strong", "weak"}
    assert sum(found.values()) == pytest.approx(1)
    assert found["strong"] > found["weak"]
    assert read_json(open_archive("archive", settings.folder), "20260101T000000Z-00000000", "run.json")["project"] == "demo"
