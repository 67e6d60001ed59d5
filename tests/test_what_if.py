"""A case that is looked into: what it says is what the model says, nothing of it is saved, and an executed copy shows the picture of all rows."""

import json
import os
from pathlib import Path

import browser
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from test_lab import project, served  # noqa: F401

from prodnb.errors import InputError
from prodnb.opened import open_rows
from prodnb.reason_map import unworded
from prodnb.verdict import CheckResult, skip
from prodnb.what_if import explore_cases, look, ranges, told, turning, turning_words

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {"income": RNG.normal(size=600), "years": RNG.integers(0, 40, 600), "town": RNG.choice(["Bern", "Chur", "<b>Zug</b>"], 600)}
)
SURE = (2 * TABLE.income + (TABLE.years - 20) / 10 + (TABLE.town == "Bern") > 0).astype(int)
COLUMNS = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["town"]), remainder="passthrough")
MODEL = make_pipeline(COLUMNS, LogisticRegression()).fit(TABLE, SURE)


@pytest.fixture(scope="module")
def asked():
    return open_rows(MODEL, TABLE, rows=100, background=300)


def test_a_look_is_what_the_model_says(asked):
    row = asked.rows.iloc[[3]]
    seen = look(asked, row, {"income": 1.5, "town": "Bern"}, unworded(asked.explainer.features))
    moved = row.assign(income=1.5, town="Bern")
    np.testing.assert_allclose(seen.numbers, MODEL.decision_function(pd.concat([row, moved])), atol=1e-9)
    total = seen.found.base + seen.found.values.sum(axis=1)
    np.testing.assert_allclose(total[:, 0], seen.numbers, atol=1e-9)
    assert seen.frame.dtypes.equals(row.dtypes)
    with pytest.raises(InputError, match="income"):
        look(asked, row, {"incme": 1.0}, unworded(asked.explainer.features))


def test_what_turns_it_turns_it(asked):
    row = asked.rows[MODEL.predict(asked.rows) == 0].iloc[[0]].reset_index(drop=True)
    seen = look(asked, row, {}, unworded(asked.explainer.features))
    made = turning(asked, row, {"income": "up"}, seen.line)
    assert [c.feature for c in made.changes] == ["income"]
    changed = row.assign(income=made.changes[0].after)
    assert MODEL.predict(changed)[0] == 1
    assert "income: from" in turning_words(made)
    assert "Nothing was found" in turning_words(turning(asked, row, {"income": "down"}, seen.line))


def test_what_is_offered_is_of_many_rows():
    frame = TABLE.assign(name=[f"Ann {n}" for n in range(600)], when=pd.date_range("2024-01-01", periods=600), same=1)
    offered = {r.name: r for r in ranges(frame, frame.columns)}
    assert set(offered) == {"income", "years", "town"}
    assert offered["income"].high < frame.income.max()  # the 99 % quantile, nobody's value
    assert offered["years"].whole


def test_the_widgets_without_a_browser():
    view = explore_cases(MODEL, TABLE, rows=50, background=200)
    assert view.asked is None  # nothing is opened before somebody asks
    view.open.click()
    assert "50 reference rows" in view.message.value
    view.case.value = 4
    names = [field.description for field in view.fields.children]
    assert set(names) == {"income", "years", "town"}
    first = view.message.value
    view.fields.children[names.index("income")].value = 1.0
    assert view.moved == {"income": 1.0}
    assert view.message.value != first
    view.fields.children[names.index("town")].index = 1
    assert set(view.moved) == {"income", "town"}
    view.turn.click()
    assert "May change" in view.below.value
    view.may.value = ("income", "years")
    view.turn.click()
    assert "turns the decision" in view.below.value or "Nothing was found" in view.below.value
    view.again.click()
    assert view.moved == {}
    view.case.value = 0
    assert (view.message.value, list(view.fields.children)) == ("<p>No case is chosen.</p>", [])
    for widget in (view.open, view.case, view.again, view.turn, view.may):
        assert widget.description
        assert widget.tooltip
    assert 'role="status"' in first
    assert "<svg" in first


def test_names_are_text_and_not_html(asked):
    row = asked.rows[asked.rows.town.str.contains("Zug")].iloc[[0]]
    seen = look(asked, row, {"income": 0.0}, unworded(asked.explainer.features))
    assert "<b>" not in told(seen)


def test_a_missing_value_stays_missing_until_it_is_moved():
    holes = TABLE.assign(income=TABLE.income.where(TABLE.index % 2 > 0))
    model = lambda f: f.income.fillna(0.0) + f.years / 40  # noqa: E731
    view = explore_cases(model, holes, rows=40, background=200, max_seconds=3.0)
    view.open.click()
    missing = next(n for n in range(40) if pd.isna(view.asked.rows.income.iloc[n]))
    view.case.value = missing + 1
    assert pd.isna(view.seen.frame.income).all()
    assert "missing" in view.fields.children[0].tooltip


def test_nothing_to_look_into_is_no_error():
    assert "needs a model" in repr(explore_cases(None, TABLE))
    view = explore_cases(MODEL, TABLE.drop(columns="town"))
    view.open.click()
    assert "town" in view.message.value


CODE = """import matplotlib
%matplotlib inline
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
from prodnb.explainability import check_explainability
from prodnb.what_if import explore_cases
rng = np.random.default_rng(0)
table = pd.DataFrame({"income": rng.normal(size=600), "years": rng.normal(size=600)}).assign(secret=4711.0)
model = LogisticRegression().fit(table, table.income + table.years > 0)
result = check_explainability(model, table, rows=100, background=200, max_seconds=10)"""
SHOW = "explore_cases(model, table, result=result)"


@pytest.mark.slow
def test_an_executed_copy_keeps_the_picture_of_all_rows_and_no_case():
    """Through papermill and the page of a check: picture and words are there; no script, no widget, no row."""
    import pages

    from prodnb.report import render_report
    from prodnb.verdict import Limit, Statistic, judge

    notebook = pages.executed("# Explainability\n> Why?", CODE, SHOW)
    shown = [o["data"] for o in notebook["cells"][2]["outputs"]]
    assert sum("image/png" in d for d in shown) == 1
    kept = json.dumps([shown, notebook["metadata"].get("widgets", {})])
    assert "4711" not in kept
    assert "Slider" not in kept
    verdict = judge(Statistic(name="additivity_error", value=0.0, n=1), Limit(fail=1, reason="test"))
    record = {
        "check": "explainability",
        "outcome": "passed",
        "message": "fine",
        "results": [CheckResult("e", [verdict]).to_dict()],
    }
    page = render_report(notebook, record)
    assert page.count("data:image/png;base64") == 1
    assert "None is saved with this notebook" in page
    for word in ("<script", "widget-view", "VBox("):
        assert word not in page


def test_without_a_result_there_is_no_picture(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    explore_cases(MODEL, TABLE)._ipython_display_()
    explore_cases(MODEL, TABLE, result=CheckResult("explainability", [skip("x")]))._ipython_display_()
    assert [("image/png" in d) for d in shown] == [False, False, True]


@pytest.mark.slow
def test_a_person_looks_at_a_case_in_jupyterlab(project):  # noqa: F811
    """In a browser: open the cases, choose one, move a value; the words follow, and the saved notebook knows nothing of it."""
    browser.chromium()
    cells = [
        {"cell_type": "code", "id": i, "outputs": [], "execution_count": None, "metadata": {}, "source": s}
        for i, s in (("a", CODE), ("b", SHOW))
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (project / "case.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}))
    with served(project, "--LabApp.expose_app_in_browser=True") as (_, url, token), browser.browse() as page:
        page.open(f"{url}lab/tree/case.ipynb?token={token}", 1100, 1300)
        page.wait("document.querySelectorAll('.jp-NotebookPanel .jp-Cell').length === 2", 90)
        panel = "[...jupyterapp.shell.widgets('main')].find(w => w.sessionContext)"
        running = f"{panel}?.sessionContext?.session?.kernel"
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area').catch(() => true)")
        page.evaluate(f"jupyterapp.shell.activateById({panel}.id)")
        page.wait(f"{running}?.connectionStatus === 'connected' && {running}?.status === 'idle'", 90)
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells').then(() => true)")
        page.wait("document.querySelectorAll('.prodnb-what-if button').length > 0", 120)
        page.evaluate("document.querySelector('.prodnb-what-if button').click()")
        said = "document.querySelector('.prodnb-what-if-message').innerText"
        page.wait(f"{said}.includes('can be looked at')", 90)
        page.evaluate(
            "(() => { const i = document.querySelector('.prodnb-what-if input[type=number]'); i.value = 3; i.dispatchEvent(new Event('input', {bubbles: true})); i.dispatchEvent(new Event('change', {bubbles: true})); i.blur() })()"
        )
        page.wait(f"{said}.includes('as it is:')", 60)
        assert page.evaluate("document.querySelectorAll('.prodnb-what-if-message svg').length") == 1
        assert page.evaluate(
            "(() => { const b = document.querySelector('.prodnb-what-if'); return b.scrollWidth <= b.clientWidth + 1 })()"
        )
        pictures = os.environ.get("PRODNB_PICTURES")
        if pictures:
            page.picture(Path(pictures) / "what_if.png", whole=False)
        page.evaluate("jupyterapp.commands.execute('docmanager:save').then(() => true)")
        page.wait(f"!{panel}.context.model.dirty")
        saved = (project / "case.ipynb").read_text()
        assert "as it is:" not in saved
        assert "image/png" in saved
