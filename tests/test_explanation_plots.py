"""Every plot of an explanation is drawn from tables alone, survives odd names, and says so where there is nothing to draw."""

import json

import matplotlib.pyplot as plt
import pytest

from prodnb.explanation_plots import (
    HOW,
    plot_attribution_drift,
    plot_cohorts,
    plot_contributions,
    plot_densities,
    plot_effects,
    plot_importance,
    plot_interactions,
)
from prodnb.verdict import CheckResult, skip

PLOTS = {
    "Importance": plot_importance,
    "Attribution drift": plot_attribution_drift,
    "Contribution densities": plot_densities,
    "Contribution by value": plot_contributions,
    "Accumulated effects": plot_effects,
    "Importance by cohort": plot_cohorts,
    "Interactions": plot_interactions,
}
ODD = ["plain", "a $b$ c", "<script>", "x" * 90, "wind\nspeed", "100 %", "emoji 🚀", ""]
ENDS = {"low": 0.4, "high": 0.6}


def rows(title, names):
    if title == "Importance":
        lost = {"permutation": 0.1, "permutation_low": -0.1, "permutation_high": 0.3}
        return [{"feature": n, "contribution": 0.5, **ENDS, **(lost if i % 2 else {})} for i, n in enumerate(names)]
    if title == "Attribution drift":
        ranks = [{"reference_rank": i + 1, "current_rank": len(names) - i} for i in range(len(names))]
        shares = {"reference_share": 0.1, "current_share": 0.2}
        return [
            {"feature": n, **shares, **r, "outcome": "failed" if i else "passed"}
            for i, (n, r) in enumerate(zip(names, ranks, strict=True))
        ]
    if title == "Contribution densities":
        cells = [{"low": -1.0 + k, "high": 0.0 + k, "n": 9, "share": 0.5, "value_rank": None if k else 0.3} for k in range(2)]
        return [{"feature": n, "output": "", **c} for n in names for c in cells]
    if title == "Contribution by value":
        spread = {"n": 9, "mean": 0.4, "q10": -1, "q25": 0, "q50": 0.5, "q75": 1, "q90": 2}
        return [{"feature": f, "output": "", "value": v, **spread} for f in names for v in names[:3]]
    if title == "Accumulated effects":
        kinds = ("number", "level", "time")
        sides = ("reference", "current")
        return [
            {"feature": f, "kind": kinds[i % 3], "data": side, "output": "", "value": v, "x": float(k), "effect": 0.1, "low": 0.0, "high": 0.2, "n": 9}
            for i, f in enumerate(names)
            for side in sides
            for k, v in enumerate(names[:3])
        ]  # fmt: skip
    if title == "Importance by cohort":
        return [{"column": "c", "cohort": f"c: {c}", "feature": f, "share": 0.1, "n": 40} for c in names for f in names]
    both = {"strength": 0.5, **ENDS, "h_squared": 0.1, "h_squared_low": 0.0, "h_squared_high": 0.2, "n": 40}
    return [{"first": a, "second": b, "data": "reference", **both} for a, b in zip(names, reversed(names), strict=True)]


@pytest.mark.parametrize("title", PLOTS)
@pytest.mark.parametrize("names", [["one"], ODD, [f"f{n}" for n in range(40)]], ids=["one", "odd", "many"])
def test_plots_draw_odd_and_many_names_in_a_bounded_size(title, names, tmp_path):
    fig = PLOTS[title](CheckResult("explainability", [skip("no model")], {title: rows(title, names)}))
    fig.savefig(tmp_path / "plot.png")
    width, height = fig.get_size_inches() * fig.dpi
    assert width <= 900
    assert height <= 1200
    assert fig.get_suptitle()
    plt.close(fig)


@pytest.mark.parametrize("title", PLOTS)
def test_a_plot_of_nothing_says_why(title):
    fig = PLOTS[title](CheckResult("explainability", [skip("no model")]))
    assert "skipped" in fig.axes[0].texts[0].get_text()
    plt.close(fig)


def test_plots_need_nothing_but_the_archived_json():
    how = [{"what": "scale", "answer": "log-odds of 'yes'"}]
    result = CheckResult("explainability", [skip("no model")], {HOW: how, **{t: rows(t, ["a", "b"]) for t in PLOTS}})
    stored = json.loads(json.dumps(result.to_dict()))
    for plot in PLOTS.values():
        fig = plot(CheckResult("explainability", [skip("read back")], stored["tables"]))
        words = " ".join(t.get_text() for t in fig.findobj(plt.Text))
        assert "log-odds" in words or plot in (plot_attribution_drift, plot_cohorts)
        plt.close(fig)


def test_bars_have_the_length_of_the_table():
    table = [{"feature": f, "contribution": v, "low": v, "high": v} for f, v in (("a", 3.0), ("b", 1.0))]
    fig = plot_importance(CheckResult("explainability", [skip("x")], {"Importance": table}))
    assert [bar.get_width() for bar in fig.axes[0].patches] == [3.0, 1.0]
    plt.close(fig)


def test_what_moved_is_told_apart_without_colour():
    """In grey: the name is bold, the title counts, the ranks stand beside."""
    fig = plot_attribution_drift(
        CheckResult("explainability", [skip("x")], {"Attribution drift": rows("Attribution drift", ["a", "b"])})
    )
    assert [t.get_fontweight() for t in fig.axes[0].get_yticklabels()] == ["normal", "bold"]
    assert "1 of 2 features" in fig.get_suptitle()
    assert [t.get_text() for t in fig.axes[0].texts] == ["rank 1 → 2", "rank 2 → 1"]
    plt.close(fig)


def test_of_several_classes_the_last_is_drawn():
    table = [{**row, "output": name} for name in ("low", "high") for row in rows("Contribution densities", ["a"])]
    one = plot_densities(CheckResult("explainability", [skip("x")], {"Contribution densities": table}))
    assert len(one.axes[0].patches) == 2
    plt.close(one)
