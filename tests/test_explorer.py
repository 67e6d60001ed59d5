"""The explorer: recounted slices equal what the check says of the filtered rows; the widget; the static picture; a person in JupyterLab."""

import base64
import json
import os
from dataclasses import replace
from pathlib import Path

import browser
import numpy as np
import pandas as pd
import pytest
from test_lab import project, served  # noqa: F401

from prodnb.blocks import memory_of
from prodnb.drift import check_drift, drift_of_profiles
from prodnb.errors import InputError
from prodnb.explorer import explore_drift, picture
from prodnb.profile import profile
from prodnb.roles import Roles
from prodnb.slices import ALL, NO_VALUE, Choice, explore, open_ground, slices
from prodnb.verdict import CheckResult, skip

ROLES = Roles(time="day", id="key")


def flights(rows: int, late: float, start: str, seed: int = 0) -> pd.DataFrame:
    """Delays in three towns; in Chur they are later, from the second half on more so."""
    rng = np.random.default_rng(seed)
    town = rng.choice(["Bern", "Chur", "Zug"], rows)
    frame = pd.DataFrame(
        {
            "delay": rng.normal(10, 4, rows) + late * (town == "Chur") * (1 + (np.arange(rows) > rows / 2)),
            "town": town,
            "price": rng.exponential(50, rows),
            "cancelled": rng.random(rows) < 0.1,
            "day": pd.date_range(start, periods=rows, freq="h"),
            "key": [f"k{i}" for i in range(rows)],
        }
    )
    frame.loc[::17, "town"] = None
    frame.loc[::13, "delay"] = np.nan
    return frame


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return flights(3000, 0, "2024-01-01"), flights(2000, 2, "2025-01-01", 1)


@pytest.fixture(scope="module")
def ground(tables):
    return open_ground(*tables, roles=ROLES)


def as_filtered(ground, before: pd.DataFrame, now: pd.DataFrame):
    """What the check says of profiles of the filtered rows, in sd of the whole reference."""
    like = ground.known.profile
    old = profile(before, like=like)
    kept = [
        replace(c, **{k: getattr(like[c.name], k) for k in ("mean", "sd", "low", "high")}) for c in old.columns if c.name in like
    ]
    memory = memory_of(ground.known.chunks, like, ground.now, "day")
    found = drift_of_profiles(replace(old, columns=tuple(kept)), profile(now, like=like), memory=memory, roles=ROLES)
    return {v.statistic.about: v for v in found.verdicts if v.statistic.name == "drift"}


@pytest.mark.parametrize("part", ["Bern", "Chur", NO_VALUE])
def test_a_slice_is_what_the_filtered_rows_are(ground, tables, part):
    before, now = (t[t.town.isna()] if part == NO_VALUE else t[t.town == part] for t in tables)
    expected = as_filtered(ground, before, now)
    for column in ("delay", "price", "town", "cancelled"):
        seen = explore(ground, Choice(column, by="town", part=part))
        assert seen.rows == (len(before), len(now))
        found, same = seen.verdict.statistic, expected[column].statistic
        assert seen.verdict.outcome == expected[column].outcome, column
        assert found.unit == same.unit
        assert found.value == pytest.approx(same.value, rel=0.05, abs=1e-9)  # outermost bins end at the extremes of all rows
        assert found.p == pytest.approx(same.p)
        assert found.detectable == pytest.approx(same.detectable)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"correction": "benjamini-hochberg"},
        {"season": "hour_of_day"},
        {"season": "town", "alpha": 0.2},
        {"must_see_sd": 0.05},
    ],
)
@pytest.mark.parametrize("limit", [0.02, 0.1, 0.6])
def test_what_it_says_of_all_rows_is_what_the_check_says(tables, settings, limit):
    """With five columns that moved a little: Bonferroni, or no season, would say otherwise."""
    now = tables[1].assign(price=tables[1].price * 1.07, cancelled=tables[1].cancelled | (np.arange(len(tables[1])) % 50 == 0))
    told = check_drift(tables[0], now, roles=ROLES, max_effect=limit, **settings)
    checked = {v.statistic.about: v for v in told.verdicts if v.statistic.name == "drift"}
    ground = open_ground(tables[0], now, roles=ROLES, **settings)
    assert set(ground.columns) == {"delay", "price", "town", "cancelled"} - {settings.get("season")}
    for column in ground.columns:
        assert explore(ground, Choice(column, limit=limit)).verdict.statistic == checked[column].statistic, column
        assert explore(ground, Choice(column, limit=limit)).verdict.message == checked[column].message


def test_a_slice_is_compared_within_its_seasons(tables):
    """In Chur the hours of the day are mixed in another way now: by the hour nothing has moved, and the explorer says so."""
    rng = np.random.default_rng(3)

    def rows(start: str, n: int, late: bool) -> pd.DataFrame:
        day = pd.Series(pd.date_range(start, periods=n, freq="h"))
        frame = pd.DataFrame({"day": day, "town": rng.choice(["Bern", "Chur"], n), "warm": rng.normal(size=n) + day.dt.hour / 8})
        return frame[(frame.town == "Bern") | (frame.day.dt.hour >= 12)] if late else frame

    before, now = rows("2024-01-01", 6000, False), rows("2025-01-01", 4000, True)
    chur = Choice("warm", by="town", part="Chur")
    by_hour, without = (open_ground(before, now, roles=Roles(time="day"), season=s) for s in ("hour_of_day", "none"))
    assert explore(without, chur).verdict.outcome == "failed"
    found = explore(by_hour, chur)
    assert found.verdict.outcome in ("passed", "unknown")
    assert found.verdict.statistic.value < 0.2
    assert found.rows == ((before.town == "Chur").sum(), (now.town == "Chur").sum())


def test_all_rows_are_judged_as_the_check_does(ground, tables):
    found = {v.statistic.about: v for v in check_drift(*tables, roles=ROLES).verdicts if v.statistic.name == "drift"}
    for column in ("delay", "price", "town", "cancelled"):
        seen = explore(ground, Choice(column)).verdict
        assert seen.outcome == found[column].outcome
        assert seen.statistic == found[column].statistic


def test_a_range_of_a_number_is_a_slice(ground, tables):
    labels = slices(ground, "price")
    rows = [explore(ground, Choice("delay", by="price", part=p)).rows for p in labels[1:]]
    assert tuple(map(sum, zip(*rows, strict=True))) == tuple(map(len, tables))
    edge = float(labels[1].removeprefix("up to "))
    assert abs((tables[1].price <= edge).sum() - rows[0][1]) <= 3


def test_a_window_takes_the_current_rows_only(ground, tables):
    labels = ground.periods.labels
    first = explore(ground, Choice("delay", window=(labels[0], labels[0])))
    week = tables[1][tables[1].day < "2025-01-06"]
    assert labels[0] == "2025-W01"
    assert first.rows == (len(tables[0]), len(week))
    whole = explore(ground, Choice("delay", window=(labels[0], labels[-1])))
    assert whole.rows[1] == len(tables[1])
    late = explore(ground, Choice("delay", by="town", part="Chur", window=(labels[-3], labels[-1])))
    assert late.verdict.statistic.value > first.verdict.statistic.value


def test_counted_once_whatever_is_chosen(ground, monkeypatch):
    explore(ground, Choice("delay", by="town"))

    def never(*_args, **_keywords):
        raise AssertionError("counted again")

    monkeypatch.setattr("prodnb.slices.count_groups", never)
    for part in ("Bern", "Zug", ALL):
        for limit in (0.1, 0.5):
            explore(ground, Choice("delay", by="town", part=part, window=("2025-W02", "2025-W04"), limit=limit))


def test_the_limit_decides_the_verdict(ground):
    value = explore(ground, Choice("delay", by="town", part="Chur")).verdict.statistic.value
    assert explore(ground, Choice("delay", by="town", part="Chur", limit=value / 2)).verdict.outcome == "failed"
    assert explore(ground, Choice("delay", by="town", part="Chur", limit=value * 2)).verdict.outcome in ("passed", "unknown")


def test_what_is_not_there_is_said(ground, tables):
    for choice, words in (
        (Choice("delays"), "delay"), (Choice("delay", by="tawn"), "town"), (Choice("delay", by="town", part="Brn"), "Bern"), (Choice("key"), "key"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            explore(ground, choice)
    empty = explore(
        open_ground(tables[0], tables[1][tables[1].town != "Zug"], roles=ROLES), Choice("delay", by="town", part="Zug")
    )
    assert empty.verdict.outcome == "unknown"
    assert "no rows here" in empty.verdict.message
    assert picture(empty)["image/png"]


def test_nothing_to_explore_is_no_error(tables):
    assert "needs a reference" in repr(explore_drift(None, tables[1]))
    assert "needs a reference" in repr(explore_drift(tables[0], None))
    assert "no column" in repr(explore_drift(tables[0][["day"]], tables[1][["day"]], roles=ROLES))


@pytest.mark.parametrize("time", [None, "number"])
def test_without_a_calendar(tables, time):
    before, now = (t.drop(columns="day").assign(step=np.arange(len(t))) for t in tables)
    ground = open_ground(before, now, roles=Roles(time="step" if time else None))
    if time is None:
        assert ground.periods is None
        assert explore(ground, Choice("delay", window=("a", "b"))).rows[1] == len(now)
    else:
        labels = ground.periods.labels
        parts = [explore(ground, Choice("delay", window=(x, x))).rows[1] for x in labels]
        assert sum(parts) == len(now)
        assert max(parts) - min(parts) <= 2


def test_the_widget_without_a_browser(tables):
    result = CheckResult("drift", [skip("for the order")], {"drift": [{"column": "price"}, {"column": "delay"}]})
    view = explore_drift(*tables, roles=ROLES, result=result)
    assert view.column.value == "price"
    assert set(view.column.options) == {"delay", "town", "price", "cancelled"}
    assert view.part.disabled
    view.column.value, view.by.value = "delay", "town"
    view.part.value = "Chur"
    assert view.seen.choice == Choice("delay", "town", "Chur", None, 0.1)
    assert "prodnb-failed" in view.message.value
    view.limit.value = 5.0
    assert "prodnb-failed" not in view.message.value
    view.window.index = (1, 3)
    assert view.seen.choice.window == ("2025-W02", "2025-W04")
    view.by.value = None
    assert view.seen.choice.part == ALL
    for widget in (view.column, view.by, view.part, view.limit, view.window):
        assert widget.description
        assert widget.tooltip
    assert 'role="status"' in view.message.value


def test_names_are_text_and_not_html():
    name = "<img src=x onerror=alert(1)>"
    frame = pd.DataFrame({name: ["<script>alert(2)</script>", "b"] * 200})
    view = explore_drift(frame, frame)
    assert "<img" not in view.message.value
    view.by.value = name
    view.part.value = "<script>alert(2)</script>"
    assert "<script" not in view.message.value
    assert picture(view.seen)["image/png"]


def test_the_picture_is_small_and_holds_words(ground):
    shown = picture(explore(ground, Choice("delay", by="town", part="Chur")))
    raw = base64.b64decode(shown["image/png"])
    assert raw.startswith(b"\x89PNG")
    assert len(raw) < 60_000
    assert shown["text/plain"].startswith("delay, town: Chur: drift of delay: moved by")


def test_no_row_of_anybody(tables):
    secret = [t.assign(name=[f"Ann {i}" for i in range(len(t))]) for t in tables]
    ground = open_ground(*secret, roles=ROLES)
    assert "name" not in ground.columns
    seen = explore(ground, Choice("delay", by="town", part="Bern"))
    assert "Ann" not in str((seen, ground.cuts, ground.counted))


CODE = """import matplotlib
%matplotlib inline
import numpy as np
import pandas as pd
from prodnb.explorer import explore_drift
from prodnb.roles import Roles
rng = np.random.default_rng(0)
def flights(rows, late):
    town = rng.choice(["Bern", "Chur"], rows)
    return pd.DataFrame({"delay": rng.normal(10, 4, rows) + late * (town == "Chur"), "town": town, "day": pd.date_range("2024-01-01", periods=rows, freq="h")})
before, now = flights(2000, 0), flights(2000, 3)"""
SHOW = 'explore_drift(before, now, roles=Roles(time="day"))'


@pytest.mark.slow
def test_an_executed_copy_keeps_a_picture_and_runs_nothing():
    """Through papermill and the page of a check: the picture and the words are there, no script and no widget."""
    import pages

    from prodnb.report import render_report
    from prodnb.verdict import Limit, Statistic, judge

    notebook = pages.executed("# Drift\n> Has it moved?", CODE, SHOW)
    shown = [o["data"] for o in notebook["cells"][2]["outputs"]]
    assert sum("image/png" in d for d in shown) == 1
    assert any("application/vnd.jupyter.widget-view+json" in d for d in shown)
    verdict = judge(Statistic(name="drift", value=0.0, n=1), Limit(fail=1, reason="test"))
    record = {"check": "drift", "outcome": "passed", "message": "fine", "results": [CheckResult("drift", [verdict]).to_dict()]}
    page = render_report(notebook, record)
    assert page.count("data:image/png;base64") == 1
    assert "In JupyterLab column, slice, window and limit can be chosen" in page
    for word in ("<script", "widget-view", "VBox("):
        assert word not in page


@pytest.mark.slow
def test_a_person_explores_in_jupyterlab(project):  # noqa: F811
    """In a browser: run the cell, choose a column and a slice by their labels, see the verdict and the picture change."""
    browser.chromium()
    cells = [
        {"cell_type": "code", "id": i, "outputs": [], "execution_count": None, "metadata": {}, "source": s}
        for i, s in (("a", CODE), ("b", SHOW))
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (project / "explore.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}))
    with served(project, "--LabApp.expose_app_in_browser=True") as (_, url, token), browser.browse() as page:
        page.open(f"{url}lab/tree/explore.ipynb?token={token}", 1100, 1000)
        page.wait("document.querySelectorAll('.jp-NotebookPanel .jp-Cell').length === 2", 90)
        panel = "[...jupyterapp.shell.widgets('main')].find(w => w.sessionContext)"
        running = f"{panel}?.sessionContext?.session?.kernel"
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area').catch(() => true)")
        page.evaluate(f"jupyterapp.shell.activateById({panel}.id)")
        page.wait(f"{running}?.connectionStatus === 'connected' && {running}?.status === 'idle'", 90)
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells').then(() => true)")
        page.wait("document.querySelector('.prodnb-explorer-message')?.innerText.includes('drift of')", 120)
        said = "document.querySelector('.prodnb-explorer-message').innerText"
        images = "[...document.querySelectorAll('.jp-OutputArea-output img')].map(i => i.src)"
        page.wait(f"{images}.length === 1")
        first = page.evaluate(images)[0]

        def choose(name: str, value: str) -> None:
            select = f"[...document.querySelectorAll('.prodnb-explorer select')].find(s => document.querySelector(`label[for='${{s.id}}']`)?.innerText === '{name}')"
            page.wait(f"[...({select}?.options ?? [])].some(o => o.text === '{value}')")
            page.evaluate(
                f"(() => {{ const s = {select}; s.selectedIndex = [...s.options].findIndex(o => o.text === '{value}'); s.dispatchEvent(new Event('change', {{bubbles: true}})) }})()"
            )

        choose("Slice by", "town")
        choose("Slice", "Bern")
        page.wait(f"{said}.includes('may be chance')")
        page.wait(f"{images}.length === 1 && {images}[0] !== {json.dumps(first)}")
        second = page.evaluate(images)[0]
        choose("Slice", "Chur")
        page.wait(f"{said}.includes('failed')")
        page.wait(f"{images}.length === 1 && {images}[0] !== {json.dumps(second)}")
        assert page.evaluate(
            "(() => { const b = document.querySelector('.prodnb-explorer'); return b.scrollWidth <= b.clientWidth + 1 })()"
        )
        pictures = os.environ.get("PRODNB_PICTURES")
        if pictures:
            page.picture(Path(pictures) / "explorer.png", whole=False)
        page.evaluate("jupyterapp.commands.execute('docmanager:save').then(() => true)")
        page.wait(f"!{panel}.context.model.dirty")
        saved = json.loads((project / "explore.ipynb").read_text())
        outputs = [o["data"] for o in saved["cells"][1]["outputs"]]
        kept = next("".join(d["text/plain"]) for d in outputs if "image/png" in d)
        assert kept.startswith("delay, town: Chur: drift of delay")
