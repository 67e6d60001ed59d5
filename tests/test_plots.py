"""Plots: drawn from tables alone, any name as plain text, within the page."""

import io
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")

from prodnb.association import check_association
from prodnb.drift import check_drift
from prodnb.drift_plots import plot_association, plot_distributions, plot_drift_effects
from prodnb.integrity import check_integrity
from prodnb.integrity_plots import plot_shares, plot_strength
from prodnb.plots import label
from prodnb.quality import check_quality
from prodnb.quality_plots import plot_columns, plot_missing, plot_outside, plot_rules
from prodnb.roles import Roles
from prodnb.verdict import CheckResult, skip
from prodnb.watch import check_watch
from prodnb.watch_plots import plot_watch

PLOTS = {
    "data_quality": (plot_rules, plot_missing, plot_outside, plot_columns),
    "integrity": (plot_strength, plot_shares),
    "drift": (plot_drift_effects, plot_distributions),
    "association": (plot_association,),
    "watch": (plot_watch,),
}
NAMES = [
    "$\\frac{",
    "$a$ and $b$",
    "line\nbreak\ttab",
    "🙂",
    "日本語",
    "<script>alert(1)</script>",
    "x" * 400,
    "",
    "a_b^c",
    "50 %",
    "\\",
    "{}",
]


@pytest.fixture(autouse=True)
def closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def texts(fig) -> list[str]:
    return [t.get_text() for t in fig.findobj(matplotlib.text.Text) if t.get_text()]


def draw(fig) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig.savefig(svg := io.StringIO(), format="svg")
        fig.savefig(io.BytesIO(), format="png", dpi=100)
    assert fig.get_size_inches()[0] * 100 <= 900
    return svg.getvalue()


def pair(names: list[str], rows: int = 300) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    before = pd.DataFrame({n: rng.normal(size=rows) for n in names}).assign(town=rng.choice(["$x$", "<b>", "c"], rows))
    now = pd.DataFrame({n: rng.normal(1, 1, rows) for n in names}).assign(town=rng.choice(["$x$", "<b>", "new"], rows))
    return before, now.where(rng.random(now.shape) > 0.2)


def results(names: list[str]) -> dict[str, CheckResult]:
    before, now = pair(names)
    sold = [t.assign(sold=np.arange(len(t)) % 2) for t in (before, now)]
    timed = [t.assign(at=pd.date_range(d, periods=len(t), freq="h")) for t, d in ((before, "2024-01-01"), (now, "2024-03-01"))]
    return {
        "association": check_association(*sold, roles=Roles(target="sold")),
        "watch": check_watch(*timed, roles=Roles(time="at")),
        "data_quality": check_quality(before, now),
        "drift": check_drift(before, now),
        "integrity": check_integrity(before, now),
    }


@pytest.fixture(scope="module")
def hostile() -> dict[str, CheckResult]:
    return results([n for n in NAMES if n])


@pytest.mark.parametrize(("check", "plot"), [(c, p) for c, ps in PLOTS.items() for p in ps])
def test_hostile_names_are_plain_text(hostile, check, plot):
    fig = plot(hostile[check])
    draw(fig)
    shown = texts(fig)
    assert all(len(t) < 110 and "\n" not in t for t in shown)
    if plot is plot_drift_effects:
        assert any(t.startswith("<script>") for t in shown)


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_short_single_lines_of_known_glyphs(name):
    found = label(name)
    assert found
    assert len(found.replace("\\$", "$")) <= 28
    assert "\n" not in found
    assert found.count("$") == found.count("\\$")


@pytest.mark.parametrize(("check", "plot"), [(c, p) for c, ps in PLOTS.items() for p in ps])
def test_a_skipped_check_gives_a_small_figure_that_says_so(check, plot):
    fig = plot(CheckResult(check, [skip("no reference")]))
    draw(fig)
    assert fig.get_size_inches()[1] < 2


def test_only_the_worst_twenty_are_drawn():
    result = results([f"c{i}" for i in range(30)])["drift"]
    fig = plot_drift_effects(result)
    assert len(fig.axes[0].get_yticks()) == 20
    assert "worst 20 of 31" in fig.get_suptitle()


def test_points_are_those_of_the_table(hostile):
    table = hostile["drift"].tables["drift"]
    drawn = {
        round(float(c.get_offsets()[0][0]), 9)
        for c in plot_drift_effects(hostile["drift"]).axes[0].collections
        if len(c.get_offsets())
    }
    assert {round(r["effect"], 9) for r in table} <= drawn


def row(name: str, outcome: str, effect: float, detectable: float, importance: float | None = None) -> dict:
    ends = {"low": 0.8 * effect, "high": 1.2 * effect, "limit": 0.1, "p": 0.5, "detectable": detectable, "importance": importance}
    return {"column": name, "kind": "number", "outcome": outcome, "effect": effect, "unit": "sd", **ends}


def drift_of(*rows: dict) -> CheckResult:
    return CheckResult("drift", [skip("for the picture")], {"drift": list(rows)})


def test_what_would_have_been_seen_stands_beside_no_drift():
    fig = plot_drift_effects(
        drift_of(row("a", "failed", 0.4, 0.1), row("b", "unknown", 0.1, 0.7), row("c", "passed", 0.02, 0.15))
    )
    draw(fig)
    ax = fig.axes[0]
    ticks = next(c for c in ax.collections if c.get_label().startswith("smallest shift"))
    assert [tuple(map(float, p)) for p in ticks.get_offsets()] == [(0.7, 1.0), (0.15, 2.0)]
    hidden = [p for p in ax.patches if p.get_hatch()]
    assert [(p.get_y() + p.get_height() / 2, p.get_width()) for p in hidden] == [(1.0, 0.7)]
    assert "1 of 3 columns drifted, 1 unknown" in fig.get_suptitle()
    assert len(fig.axes) == 1


def test_importance_stands_beside_where_it_is_known():
    fig = plot_drift_effects(drift_of(row("a", "failed", 0.4, 0.1, 0.31), row("b", "passed", 0.1, 0.2)))
    draw(fig)
    assert len(fig.axes) == 2
    assert "31 %" in " ".join(texts(fig))


@pytest.mark.parametrize("columns", [1, 20, 500])
def test_sizes_stay_sane(columns):
    rows = [row("a rather long name of a column " * 3 + str(i), "passed", 5.0 if i == 0 else 0.01, 0.1) for i in range(columns)]
    fig = plot_drift_effects(drift_of(*rows))
    draw(fig)
    assert 1.5 < fig.get_size_inches()[1] < 8
    trail = [
        {"chunk": i + 1, "label": str(i), "start": f"2024-01-{i + 1:02}", "end": f"2024-01-{i + 1:02}", "rows": 50, "column": f"c{c}", "e-value": 10.0 ** (i - 3),
         "threshold": 400.0, "alarm": i > 5, "effect": i / 10, "unit": "sd"}
        for c in range(min(columns, 50)) for i in range(10)
    ]  # fmt: skip
    fig = plot_watch(CheckResult("drift", [skip("for the picture")], {"watch": trail}))
    draw(fig)
    assert 1.5 < fig.get_size_inches()[1] < 9
    assert len([ax for ax in fig.axes if ax.get_title(loc="left")]) == min(columns, 6)


@pytest.mark.parametrize(
    "ends", [("2024-01-03", "2024-01-05"), ("2024-01-03 07:00", "2024-01-05 10:00"), ("1500", "2500"), ("odd", "times")]
)
def test_the_watch_draws_line_alarm_and_change(ends):
    trail = [
        {"chunk": i + 1, "label": f"chunk {i}", "start": ends[i > 2], "end": ends[i > 2], "rows": 50, "column": "a", "e-value": [0, 1, 2, 1e6, 1e12][i],
         "threshold": 400.0, "alarm": i > 2, "effect": 0.1, "unit": "sd"}
        for i in range(5)
    ]  # fmt: skip
    change = {
        "column": "a",
        "alarm in chunk": 4,
        "label": "chunk 3",
        "from": ends[1],
        "to": ends[1],
        "change": ends[0],
        "change, low": ends[0],
        "change, high": ends[1],
    }
    fig = plot_watch(CheckResult("drift", [skip("for the picture")], {"watch": trail, "change points": [change]}))
    draw(fig)
    ax = fig.axes[0]
    assert ax.get_yscale() == "log"
    assert any(list(line.get_ydata()) == [400.0, 400.0] for line in ax.lines)
    assert [c.get_offsets()[0][1] for c in ax.collections if len(c.get_offsets())] == [1e6]
    assert bool(ax.patches) == (ends[0] != "odd")
    assert "a alarmed in chunk 3" in fig.get_suptitle()


def test_redrawn_from_the_record_alone(hostile):
    for check, plots in PLOTS.items():
        saved = CheckResult(check, [skip("read back")], hostile[check].to_dict()["tables"])
        for plot in plots:
            assert texts(plot(saved)) == texts(plot(hostile[check]))


def test_times_and_constants_and_huge_values_are_drawn():
    before = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=200, freq="h"), "c": 1.0, "h": [1e300, -1e300] * 100})
    now = pd.DataFrame({"t": pd.date_range("2024-01-05", periods=200, freq="h"), "c": 2.0, "h": [0.0] * 200})
    draw(plot_distributions(check_drift(before, now)))
