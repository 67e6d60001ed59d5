"""Every plot is drawn from tables alone, survives odd names, and says so where there is nothing to draw."""

import json

import matplotlib.pyplot as plt
import pytest

from prodnb.model_plots import plot_cost, plot_latency
from prodnb.verdict import CheckResult, Limit, Statistic, judge, skip

PLOTS = {
    "Latency": plot_latency,
    "Cost of a month": plot_cost,
}
ODD = ["plain", "a $b$ c", "<script>", "x" * 90, "wind\nspeed", "100 %", "emoji 🚀", ""]


def rows(title, names):
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
    table = [{"item": i, "amount": a, "currency": "EUR", "period": "month"} for i, a in (("a", "3.0"), ("b", "1.0"))]
    fig = plot_cost(CheckResult("check", [skip("x")], {"Cost of a month": table}))
    assert [bar.get_width() for bar in fig.axes[0].patches] == [3.0, 1.0]
    plt.close(fig)
