"""Accumulated local effects against closed forms and a naive copy of the definition; planted effects of every type of column."""

import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from prodnb.accumulated_effects import accumulated_effects, effect_change, effect_of, local_effects
from prodnb.cohorts import Cohort
from prodnb.effect_grid import effect_grid, level_distances

RNG = np.random.default_rng(0)


def column(formula):
    """A model of one output from a formula of the frame."""
    return lambda frame: np.asarray(formula(frame), float).reshape(len(frame), 1)


def curve(model, frame, feature, **options):
    return effect_of(local_effects(model, frame, effect_grid(frame, feature, **options)), seed=0)


@pytest.mark.parametrize("slope", [-2.0, 0.0, 3.5])
def test_a_linear_effect_is_a_line_whatever_goes_with_it(slope):
    x = RNG.normal(size=500)
    frame = pd.DataFrame({"x": x, "twin": x + 0.01 * RNG.normal(size=500), "other": RNG.normal(size=500)})
    found = curve(column(lambda f: slope * f["x"] + 5 * f["twin"] + f["other"] ** 2), frame, "x")
    points = found.grid.numbers
    inside = x[(x >= points[0]) & (x <= points[-1])]
    np.testing.assert_allclose(found.value[:, 0], slope * (points - inside.mean()), atol=1e-9)
    np.testing.assert_allclose(found.value[-1] - found.value[0], slope * np.ptp(points))


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_a_product_has_the_effect_that_its_correlation_gives_it(rho):
    """Of x z with correlation rho the effect of x is rho x^2 / 2 less its mean: the partial dependence would be 0."""
    n = 6000
    x = RNG.normal(size=n)
    frame = pd.DataFrame({"x": x, "z": rho * x + np.sqrt(1 - rho**2) * RNG.normal(size=n)})
    found = curve(column(lambda f: f["x"] * f["z"]), frame, "x", bins=40)
    points = found.grid.numbers
    inside = x[(x >= points[0]) & (x <= points[-1])]
    expected = rho * (points**2 - (inside**2).mean()) / 2
    middle = np.abs(points) < 2
    assert np.abs(found.value[middle, 0] - expected[middle]).max() < 0.12
    covered = (found.low[:, 0] <= expected) & (expected <= found.high[:, 0])
    assert covered[middle].mean() > 0.8


def naive(predict, frame, feature, points):
    """The definition, cell by cell and row by row, centred by interpolation."""
    x, gains = frame[feature].to_numpy(float), []
    for k, (low, high) in enumerate(pairwise(points)):
        inside = frame[(x > low if k else x >= low) & (x <= high)]
        gains.append(np.mean([predict(row.to_frame().T.assign(**{feature: high}).astype(float))[0] - predict(row.to_frame().T.assign(**{feature: low}).astype(float))[0] for _, row in inside.iterrows()], axis=0))  # fmt: skip
    path = np.vstack([np.zeros_like(gains[0]), np.cumsum(gains, axis=0)])
    held = x[(x >= points[0]) & (x <= points[-1])]
    return path - np.column_stack([np.interp(held, points, c) for c in path.T]).mean(axis=0)


@pytest.mark.parametrize("seed", range(2))
def test_a_naive_copy_of_the_definition_agrees(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=80), "k": rng.integers(0, 5, 80), "z": rng.normal(size=80)}).astype(float)

    def predict(f):
        a = f.to_numpy(float)
        return np.c_[np.sin(a[:, 0] * a[:, 1]) + a[:, 2], a[:, 0] ** 2 * a[:, 2]]

    for name in ("x", "k"):
        found = curve(predict, frame, name, bins=6)
        np.testing.assert_allclose(found.value, naive(predict, frame, name, found.grid.numbers), atol=1e-10)


def test_levels_get_their_own_effect():
    effects = {"red": 0.0, "green": 2.0, "blue": -1.0, "black": 7.0}
    frame = pd.DataFrame({"colour": RNG.choice(list(effects), 400), "x": RNG.normal(size=400)})
    frame["x"] += frame["colour"].map({"red": 0, "blue": 1, "green": 2, "black": 3})
    found = curve(column(lambda f: f["colour"].map(effects) + 4 * f["x"]), frame, "colour")
    value = dict(zip(found.grid.labels, found.value[:, 0], strict=True))
    mean = frame["colour"].map(effects).mean()
    assert value == pytest.approx({name: e - mean for name, e in effects.items()})
    assert found.grid.labels in (("red", "blue", "green", "black"), ("black", "green", "blue", "red"))
    assert found.rows == 400
    assert dict(zip(found.grid.labels, found.counts, strict=True)) == frame["colour"].value_counts().to_dict()


def test_levels_that_look_alike_are_close():
    frame = pd.DataFrame({"number": np.r_[np.zeros(50), np.ones(50), np.full(50, 9)], "text": ["a"] * 100 + ["b"] * 50})
    rows = [np.arange(150) // 50 == i for i in range(3)]
    apart = level_distances(frame, rows)
    np.testing.assert_allclose(apart, [[0, 1, 2], [1, 0, 2], [2, 2, 0]])


def test_every_type_of_column_keeps_its_type():
    n = 300
    frame = pd.DataFrame(
        {
            "flag": RNG.random(n) < 0.5,
            "whole": RNG.integers(0, 30, n),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 300, n), "D"),
            "text": RNG.choice(["a", "b", None], n),
            "level": pd.Categorical(RNG.choice(["u", "v"], n)),
            "maybe": pd.array(np.where(RNG.random(n) < 0.2, None, RNG.integers(0, 9, n)), dtype="Int64"),
            "gap": np.where(RNG.random(n) < 0.3, np.nan, RNG.normal(size=n)),
        }
    )
    kinds = frame.dtypes

    def model(f):
        assert (f.dtypes == kinds).all()
        days = (f["day"] - pd.Timestamp("2020-01-01")).dt.days / 100
        return np.asarray(f["flag"] * 3.0 + f["whole"] + days + f["text"].isna() * 2 + (f["level"] == "v"), float)[:, None]

    verdicts, table = accumulated_effects(model, frame, list(frame.columns), seed=0, seconds=60)
    assert {v.outcome for v in verdicts} == {"passed"}
    rows = pd.DataFrame(table)
    ends = rows.groupby("feature")["effect"].agg(np.ptp)
    assert ends["flag"] == pytest.approx(3, rel=1e-3)
    assert ends["text"] == pytest.approx(2, rel=1e-3)
    assert ends["level"] == pytest.approx(1, rel=1e-3)
    assert ends["gap"] == ends["maybe"] == 0
    assert rows.groupby("feature")["kind"].first().to_dict() == {
        "flag": "level", "whole": "number", "day": "time", "text": "level", "level": "level", "maybe": "number", "gap": "number",
    }  # fmt: skip
    assert rows["n"].min() >= 5
    assert set(rows[rows["feature"] == "text"]["value"]) == {"a", "b", "no value"}
    assert "rows without a value" in next(v for v in verdicts if v.statistic.about == "gap").statistic.method


def test_extreme_values_of_one_row_are_not_shown():
    frame = pd.DataFrame({"x": np.r_[RNG.normal(size=200), 1e6, -1e6]})
    _, table = accumulated_effects(column(lambda f: f["x"]), frame, ["x"], seed=0, seconds=60)
    assert max(abs(r["value"]) for r in table) < 10


def test_a_heavy_value_gets_a_point_and_each_step_five_rows():
    values = np.r_[np.zeros(950), RNG.exponential(size=50)]
    grid = effect_grid(pd.DataFrame({"x": values}), "x")
    assert grid.numbers[0] == 0
    steps = np.histogram(values, grid.numbers)[0]
    assert (steps >= 4).all()
    assert effect_grid(pd.DataFrame({"x": np.ones(100)}), "x") is None
    assert effect_grid(pd.DataFrame({"x": [None] * 100}), "x") is None
    assert effect_grid(pd.DataFrame({"x": [f"id {i}" for i in range(100)]}), "x") is None
    assert effect_grid(pd.DataFrame({"x": np.arange(9.0)}), "x") is None
    assert effect_grid(pd.DataFrame({"x": [0.0] * 96 + [1.0] * 4}), "x") is None


def test_several_outputs_are_those_of_the_model_one_by_one():
    x = pd.DataFrame(RNG.normal(size=(300, 3)), columns=list("abc"))
    y = np.digitize(x["a"] + x["b"], [-1, 1])
    forest = RandomForestClassifier(20, max_depth=4, random_state=0).fit(x, y)
    found = curve(forest.predict_proba, x, "a")
    assert found.value.shape[1] == 3
    np.testing.assert_allclose(found.value.sum(axis=1), 0, atol=1e-12)  # probabilities add up to 1
    last = curve(lambda f: forest.predict_proba(f)[:, 2:], x, "a")
    np.testing.assert_allclose(found.value[:, 2], last.value[:, 0])
    _, table = accumulated_effects(forest.predict_proba, x, ["a"], outputs=["low", "middle", "high"], seed=0, seconds=30)
    assert {r["output"] for r in table} == {"low", "middle", "high"}


def test_the_interval_covers():
    """The effect of x in x z is 0 at every point: z has mean 0 whatever x is."""
    met = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(rng.normal(size=(150, 2)), columns=["x", "z"])
        grid = effect_grid(frame, "x", bins=8)
        found = effect_of(local_effects(column(lambda f: f["x"] * f["z"]), frame, grid), seed=seed)
        met.append((found.low[:, 0] <= 0) & (found.high[:, 0] >= 0))
    assert np.concatenate(met).mean() > 0.88


def test_a_change_is_seen_and_no_change_is_not():
    model = column(lambda f: f["x"] * f["z"])
    before = pd.DataFrame(RNG.normal(size=(400, 2)), columns=["x", "z"])
    same = pd.DataFrame(RNG.normal(size=(400, 2)), columns=["x", "z"])
    moved = same.assign(z=same["z"] + 1)  # each unit of x now does 1 more
    verdicts = {}
    for name, current in (("same", same), ("moved", moved)):
        found, table = accumulated_effects(model, before, ["x"], current=current, seed=0, seconds=120)
        verdicts[name] = next(v.statistic for v in found if v.statistic.name == "main_effect_change")
        assert {r["data"] for r in table} == {"reference", "current"}
    assert verdicts["same"].low < 0.15
    assert verdicts["moved"].low > 0.5
    whole = curve(model, before, "x")
    assert effect_change(whole, whole)[0] == 0


def test_no_change_is_quiet_over_many_draws():
    high = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a, b = (pd.DataFrame(rng.normal(size=(200, 2)), columns=["x", "z"]) for _ in range(2))
        grid, model = effect_grid(a, "x", bins=8), column(lambda f: f["x"] + f["x"] * f["z"])
        change = effect_change(*(effect_of(local_effects(model, f, grid), seed=s) for s, f in enumerate((a, b))))
        high += change[1] > 0.1
    assert high <= 3


def test_cohorts_cost_no_call_and_are_those_of_their_rows():
    asked = []
    frame = pd.DataFrame({"x": RNG.normal(size=400), "z": np.repeat([1.0, -1.0], 200)})

    def model(f):
        asked.append(len(f))
        return (f["x"] * f["z"]).to_numpy()[:, None]

    cohorts = [Cohort("z", "up", np.arange(200)), Cohort("z", "down", np.arange(200, 400))]
    accumulated_effects(model, frame, ["x"], seed=0, seconds=60)
    alone = len(asked)
    _, table = accumulated_effects(model, frame, ["x"], cohorts=cohorts, seed=0, seconds=60)
    assert len(asked) == 2 * alone
    rows = pd.DataFrame(table)
    up, down = (rows[rows["data"] == f"z: {name}"] for name in ("up", "down"))
    assert (np.diff(up["effect"]) > 0).all()
    assert (np.diff(down["effect"]) < 0).all()


def test_current_rows_beyond_the_grid_or_of_new_levels_are_left_out():
    before = pd.DataFrame({"x": RNG.uniform(size=300), "t": RNG.choice(["a", "b"], 300)})
    far = pd.DataFrame({"x": RNG.uniform(size=200) + 5, "t": ["new"] * 200})
    model = column(lambda f: f["x"] + (f["t"] == "a"))
    verdicts, _ = accumulated_effects(model, before, ["x", "t"], current=far, seed=0, seconds=120)
    changes = [v for v in verdicts if v.statistic.name == "main_effect_change"]
    assert [v.outcome for v in changes] == ["unknown", "unknown"]
    assert "fewer than two points of the grid" in changes[0].message


def test_what_cannot_be_measured_is_unknown():
    frame = pd.DataFrame({"x": RNG.normal(size=200), "one": 1.0})
    verdicts, table = accumulated_effects(column(lambda f: f["x"]), frame, ["one", "x"], seed=0, seconds=60)
    assert [v.outcome for v in verdicts] == ["unknown", "passed"]
    assert {r["feature"] for r in table} == {"x"}
    few, _ = accumulated_effects(column(lambda f: f["x"]), frame.head(30), ["x"], seed=0, seconds=60)
    assert "it takes 50" in few[0].message

    def slow(f):
        time.sleep(0.1)
        return f[["x"]].to_numpy()

    assert "can be asked about within" in accumulated_effects(slow, frame, ["x"], seed=0, seconds=0.05)[0][0].message
    assert accumulated_effects(slow, frame, [], seed=0, seconds=1) == ([], [])


def test_a_pipeline_of_users_columns():
    n = 400
    frame = pd.DataFrame({"town": RNG.choice(list("abc"), n), "age": RNG.integers(18, 80, n)})
    truth = frame["age"] / 10 + (frame["town"] == "b") * 5
    encode = make_column_transformer((OrdinalEncoder(), ["town"]), remainder="passthrough")
    model = make_pipeline(encode, GradientBoostingRegressor(n_estimators=80, random_state=0)).fit(frame, truth)
    _, table = accumulated_effects(lambda f: model.predict(f)[:, None], frame, ["town", "age"], seed=0, seconds=30)
    rows = pd.DataFrame(table)
    town = rows[rows["feature"] == "town"].set_index("value")["effect"]
    assert town["b"] - town["a"] == pytest.approx(5, abs=0.5)
    age = rows[rows["feature"] == "age"]["effect"]
    assert age.iloc[-1] - age.iloc[0] == pytest.approx(5.5, abs=0.8)
