"""Every plot is drawn from tables alone, survives odd names, and says so where there is nothing to draw."""

import json

import matplotlib.pyplot as plt
import pytest

from prodnb.model_plots import plot_contributions, plot_cost, plot_importance, plot_importance_change, plot_latency
from prodnb.verdict import CheckResult, Limit, Statistic, judge, skip

PLOTS = {
    "Importance": plot_importance,
    "Importance in reference and current": plot_importance_change,
    "Contribution by value": plot_contributions,
    "Latency": plot_latency,
    "Cost of a month": plot_cost,
}
ODD = ["plain", "a $b$ c", "<script>", "x" * 90, "wind\nspeed", "100 %", "emoji 🚀", ""]


def rows(title, names):
    if title == "Importance":
        return [
            {
                "feature": n,
                "contribution": 0.5,
                "low": 0.4,
                "high": 0.6,
                "permutation": 0.1,
                "permutation_low": -0.1,
                "permutation_high": 0.3,
            }
            for n in names
        ]
    if title == "Importance in reference and current":
        values = {
            f"{w}_{k}": v
            for w in ("reference", "current")
            for k, v in (("contribution", 0.5), ("low", 0.4), ("high", 0.6), ("share", 0.1))
        }
        return [{"feature": n, **values} for n in names]
    if title == "Contribution by value":
        return [
            {"feature": f, "value": v, "n": 9, "q10": -1, "q25": 0, "q50": 0.5, "q75": 1, "q90": 2}
            for f in names
            for v in names[:3]
        ]
    if title == "Latency":
        return [{"quantile": q, "ms": 2.0, "low": 1.0, "high": 4.0, "bounded": q < 0.99, "calls": 200} for q in (0.5, 0.95, 0.99)]
    return [{"item": n, "amount": "12.50", "currency": "EUR", "period": "month"} for n in names]


@pytest.mark.parametrize("title", PLOTS)
@pytest.mark.parametrize("names", [["one"], ODD, [f"f{n}" for n in range(60)]], ids=["one", "odd", "many"])
def test_plots_draw_odd_and_many_names_in_a_bounded_size(title, names, tmp_path):
    limit = Limit(fail=200.0, reason="test")
    latency = judge(Statistic(name="latency_p95_ms", value=2.0, unit="ms", n=200, about="model"), limit)
    fig = PLOTS[title](CheckResult("check", [latency], {title: rows(title, names)}))
    fig.savefig(tmp_path / "plot.png")
    width, height = fig.get_size_inches() * fig.dpi
    assert width <= 900
    assert height <= 3000
    assert fig.get_suptitle()
    plt.close(fig)


@pytest.mark.parametrize("title", PLOTS)
def test_a_plot_of_nothing_says_why(title):
    fig = PLOTS[title](CheckResult("check", [skip("no model")]))
    assert "skipped" in fig.axes[0].texts[0].get_text()
    plt.close(fig)


def test_plots_need_nothing_but_the_archived_json():
    result = CheckResult("check", [skip("no model")], {t: rows(t, ["a", "b"]) for t in PLOTS})
    stored = json.loads(json.dumps(result.to_dict()))
    for plot in PLOTS.values():
        plt.close(plot(CheckResult("check", [skip("read back")], stored["tables"])))


def test_bars_have_the_length_of_the_table():
    table = [{"feature": f, "contribution": v, "low": v, "high": v} for f, v in (("a", 3.0), ("b", 1.0))]
    fig = plot_importance(CheckResult("check", [skip("x")], {"Importance": table}))
    assert [bar.get_width() for bar in fig.axes[0].patches] == [3.0, 1.0]
    plt.close(fig)
