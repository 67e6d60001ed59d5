"""H squared against closed forms, brute force and scikit-learn's partial dependence; additive models have none, products nothing else."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.inspection import partial_dependence

from prodnb.cohorts import Cohort
from prodnb.interactions import (
    MIN_POINTS,
    affordable_points,
    h_squared,
    interactions,
    joint_predictions,
    pair_interaction,
    pair_interactions,
)

RNG = np.random.default_rng(0)


def column(formula):
    return lambda frame: np.asarray(formula(frame), float).reshape(len(frame), 1)


def frame_of(n=200, seed=0):
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(n, 4)), columns=list("abcd"))


def by_pair(found):
    return {i.pair: i for i in found}


ADDITIVE = {
    "linear": lambda f: 3 * f["a"] - f["b"] + f["c"],
    "curved": lambda f: np.sin(3 * f["a"]) + f["b"] ** 2 + np.exp(f["c"]),
    "steps": lambda f: 1e6 * (f["a"] > 0) + (f["b"] > 1) + f["c"].round(),
    "elsewhere": lambda f: f["a"] + f["b"] + f["c"] * f["d"],  # a pair interacts, but not this one
}


@pytest.mark.parametrize("name", ADDITIVE)
def test_an_additive_pair_has_none_whatever_the_draw(name):
    for i in pair_interactions(column(ADDITIVE[name]), frame_of(), [("a", "b"), ("a", "c"), ("b", "c")], points=30, seed=1):
        assert i.h_squared == i.strength == (0, 0, 0)


def test_related_columns_do_not_make_an_interaction():
    frame = frame_of()
    frame["b"] = frame["a"] + 0.01 * frame["b"]
    found = pair_interactions(column(lambda f: f["a"] + f["b"] ** 2), frame, [("a", "b")], points=40, seed=0)
    assert found[0].h_squared == (0, 0, 0)


def test_a_pure_product_is_nothing_but_interaction():
    half = frame_of(30)
    balanced = pd.concat([half, -half, half.assign(a=-half["a"]), half.assign(b=-half["b"])], ignore_index=True)
    joint, a, b = (
        joint_predictions(column(lambda f: f["a"] * f["b"]), balanced, balanced, n) for n in (["a", "b"], ["a"], ["b"])
    )
    share, size = h_squared(joint, a, b, np.ones((1, 120)), np.ones((1, 120)))
    assert share[0] == pytest.approx(1)
    assert size[0] == pytest.approx(np.std(balanced["a"] * balanced["b"]))


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_the_interval_covers_the_closed_form(weight):
    """a + b + w a b of independent standard normals: H squared is w^2 / (2 + w^2), the strength w."""
    truth, met, runs = np.array([weight**2 / (2 + weight**2), weight]), np.zeros(2), 50
    for seed in range(runs):
        predict = column(lambda f: f["a"] + f["b"] + weight * f["a"] * f["b"])
        found = pair_interactions(predict, frame_of(200, seed), [("a", "b")], points=50, seed=seed)[0]
        met += [low <= t <= high for t, (_, low, high) in zip(truth, (found.h_squared, found.strength), strict=True)]
    assert (met / runs >= 0.83).all(), met / runs


def test_partial_dependence_is_that_of_scikit_learn():
    frame = frame_of(60)
    model = GradientBoostingRegressor(n_estimators=30, max_depth=3, random_state=0).fit(
        frame, frame["a"] * frame["b"] + frame["c"]
    )
    grid = np.unique(np.quantile(frame["a"], np.linspace(0, 1, 5)))
    theirs = partial_dependence(model, frame, ["a"], custom_values={"a": grid}, method="brute", kind="average")["average"][0]
    points = frame.head(5).assign(a=grid)
    ours = joint_predictions(lambda f: model.predict(f)[:, None], points, frame, ["a"]).mean(axis=1)[:, 0]
    np.testing.assert_allclose(ours, theirs)


def test_brute_force_agrees_for_several_outputs():
    frame = frame_of(25)
    predict = lambda f: np.c_[f["a"] * f["b"] + f["c"], np.maximum(f["a"], f["b"])]  # noqa: E731
    at, over = RNG.random((3, 25)), RNG.random((3, 25))
    found = h_squared(*(joint_predictions(predict, frame, frame, n) for n in (["a", "b"], ["a"], ["b"])), at, over)
    for draw in range(3):
        w, v = at[draw] / at[draw].sum(), over[draw] / over[draw].sum()

        def dependence(names, w=w, v=v):
            rows = np.array([v @ predict(frame.assign(**{n: frame[n].iloc[i] for n in names})) for i in range(25)])
            return rows - w @ rows

        both, a, b = dependence(["a", "b"]), dependence(["a"]), dependence(["b"])
        left, whole = (w @ (both - a - b) ** 2).sum(), (w @ both**2).sum()
        assert found[0][draw] == pytest.approx(left / whole)
        assert found[1][draw] == pytest.approx(np.sqrt(left / 2))


def test_the_planted_pair_comes_first_and_the_share_is_not_what_ranks():
    predict = column(lambda f: 10 * f["a"] + 5 * f["a"] * f["b"] + 0.01 * f["c"] * f["d"])
    verdicts, table = interactions(predict, frame_of(), list("abcd"), scale="value", seed=0, seconds=120)
    assert (table[0]["first"], table[0]["second"]) == ("a", "b")
    assert (table[1]["first"], table[1]["second"]) == ("c", "d")
    assert table[1]["h_squared"] > table[0]["h_squared"]  # of next to nothing, nearly all
    assert table[2]["strength"] == 0
    assert len(table) == 6
    assert verdicts[0].statistic.about == "a x b"
    assert "on the value" in verdicts[0].statistic.method


def test_texts_flags_and_gaps_with_a_forest():
    n = 400
    frame = pd.DataFrame(
        {
            "town": RNG.choice(["a", "b", None], n),
            "flag": RNG.random(n) < 0.5,
            "x": np.where(RNG.random(n) < 0.2, np.nan, RNG.normal(size=n)),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 300, n), "D"),
        }
    )
    types = frame.dtypes

    def code(f):
        assert (f.dtypes == types).all()
        return np.c_[f["town"] == "a", f["flag"], f["x"].fillna(-9), (f["day"] - pd.Timestamp("2020-01-01")).dt.days].astype(
            float
        )

    truth = (frame["town"] == "a").to_numpy() ^ frame["flag"].to_numpy()
    forest = RandomForestClassifier(20, max_depth=5, random_state=0).fit(code(frame), truth)
    _, table = interactions(lambda f: forest.predict_proba(code(f)), frame, list(frame.columns), seed=0, seconds=60)
    assert (table[0]["first"], table[0]["second"]) == ("town", "flag")
    assert table[0]["h_squared_low"] > 0.6


def test_a_change_and_a_cohort_are_seen():
    frame = frame_of(400)
    predict = column(lambda f: f["c"] + f["a"] * f["b"] * (f["d"] > 0))
    cohorts = [Cohort("d", "up", np.flatnonzero(frame["d"] > 0)), Cohort("d", "down", np.flatnonzero(frame["d"] <= 0))]
    current = frame_of(300, seed=5).assign(d=1.0)
    verdicts, table = interactions(predict, frame, list("abc"), current=current, cohorts=cohorts, seed=0, seconds=60)
    rows = {r["data"]: r for r in table if (r["first"], r["second"]) == ("a", "b")}
    assert rows["d: down"]["strength"] == 0
    assert rows["reference"]["low"] < 0.5 < rows["reference"]["high"] < 1 < rows["d: up"]["high"]
    assert rows["d: up"]["low"] > 0.3
    change = next(v.statistic for v in verdicts if v.statistic.name == "interaction_change")
    assert change.about == "a x b"
    assert change.low > 0.1
    few, _ = interactions(predict, frame, list("ab"), current=current.head(5), seed=0, seconds=5)
    assert few[-1].outcome == "unknown"


def test_no_change_is_quiet():
    alarms = 0
    predict = column(lambda f: f["a"] + f["a"] * f["b"])
    for seed in range(20):
        verdicts, _ = interactions(
            predict, frame_of(150, seed), list("ab"), current=frame_of(150, 1000 + seed), seed=seed, seconds=60
        )
        change = verdicts[-1].statistic
        alarms += not change.low <= 0 <= change.high
    assert alarms <= 3


def test_the_budget_decides_how_much_is_asked(monkeypatch):
    clock, asked = [0.0], []
    monkeypatch.setattr("prodnb.interactions.time.perf_counter", lambda: clock[0])

    def slow(f):
        asked.append(len(f))
        clock[0] += 2e-5 * len(f)
        return (f["a"] * f["b"] + f["c"] * f["d"]).to_numpy()[:, None]

    verdicts, table = interactions(slow, frame_of(), list("abcd"), seed=0, seconds=0.05)
    assert len(table) == 3
    assert "1 features further down are not paired" in verdicts[0].statistic.method
    assert 2e-5 * sum(asked) < 0.08  # the budget, and what it took to measure the cost
    whole, table = interactions(slow, frame_of(), list("abcd"), seed=0, seconds=60)
    assert len(table) == 6
    assert "not paired" not in whole[0].statistic.method
    verdicts, table = interactions(slow, frame_of(), list("abcd"), seed=0, seconds=0.001)
    assert (verdicts[0].outcome, table) == ("unknown", [])
    assert "cannot answer" in verdicts[0].message


def test_odd_input_is_skipped_or_unknown():
    predict = column(lambda f: f["a"] * f["b"])
    assert interactions(predict, frame_of(), ["a"], seed=0, seconds=1)[0][0].outcome == "skipped"
    few = interactions(predict, frame_of(MIN_POINTS - 1), ["a", "b"], seed=0, seconds=1)[0][0]
    assert (few.outcome, "it takes 20" in few.message) == ("unknown", True)
    constant, _ = interactions(column(lambda f: np.ones(len(f))), frame_of(), ["a", "b"], seed=0, seconds=1)
    assert constant[0].statistic.value == 0
    assert affordable_points(predict, frame_of(30), 2, seconds=5) == (2, 30)


def test_seeds_decide():
    joint, a, b = (
        joint_predictions(column(lambda f: f["a"] * f["b"] + f["a"]), frame_of(30), frame_of(30, 1), n)
        for n in (["a", "b"], ["a"], ["b"])
    )
    first, again, other = (pair_interaction(("a", "b"), joint, a, b, seed=s) for s in (0, 0, 1))
    assert first.h_squared == again.h_squared
    assert first.h_squared != other.h_squared
    assert by_pair([first])[("a", "b")].h_squared[0] == other.h_squared[0]
