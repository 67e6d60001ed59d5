"""Plots: drawn from tables alone, any name as plain text, within the page."""

import io
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")

from prodnb.drift import check_drift
from prodnb.drift_plots import plot_distributions, plot_drift_effects
from prodnb.integrity import check_integrity
from prodnb.integrity_plots import plot_shares, plot_strength
from prodnb.plots import label
from prodnb.quality import check_quality
from prodnb.quality_plots import plot_columns, plot_missing, plot_outside, plot_rules
from prodnb.verdict import CheckResult, skip

PLOTS = {
    "data_quality": (plot_rules, plot_missing, plot_outside, plot_columns),
    "integrity": (plot_strength, plot_shares),
    "drift": (plot_drift_effects, plot_distributions),
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
    return {
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


def test_redrawn_from_the_record_alone(hostile):
    for check, plots in PLOTS.items():
        saved = CheckResult(check, [skip("read back")], hostile[check].to_dict()["tables"])
        for plot in plots:
            assert texts(plot(saved)) == texts(plot(hostile[check]))


def test_times_and_constants_and_huge_values_are_drawn():
    before = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=200, freq="h"), "c": 1.0, "h": [1e300, -1e300] * 100})
    now = pd.DataFrame({"t": pd.date_range("2024-01-05", periods=200, freq="h"), "c": 2.0, "h": [0.0] * 200})
    draw(plot_distributions(check_drift(before, now)))
