"""Importance against scikit-learn, closed forms and coverage; planted twins, idle columns, moved cohorts; and what cannot be told."""

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from prodnb.cohorts import Cohort, cut_values, find_cohorts
from prodnb.errors import InputError
from prodnb.explanation import Explanation
from prodnb.importance import (
    cohort_importance,
    compare_importance,
    contribution_bands,
    contribution_density,
    folded,
    importance_agreement,
    importance_change,
    importance_table,
    importance_verdicts,
    mean_importance,
    output_names,
)
from prodnb.permutation import (
    Labelled,
    affordable_rows,
    importance_drops,
    labelled_rows,
    quality,
    quality_drops,
    shuffled_scores,
    weighted_quality,
)
from prodnb.subject import Subject

RNG = np.random.default_rng(0)


def linear(rows, background, slopes, blocks=None):
    """The contributions to a linear model, of which everything is known; `slopes` (features,) or (features, outputs)."""
    slopes = np.atleast_2d(np.asarray(slopes, float).T).T
    parts = np.array_split(background, blocks or len(background))
    gains = np.stack([(rows - part.mean(axis=0))[:, :, None] * slopes for part in parts], axis=1)
    weights = np.array([len(p) for p in parts]) / len(background)
    names = tuple(f"x{i}" for i in range(rows.shape[1]))
    return Explanation(
        gains, weights, (background @ slopes).mean(0), rows @ slopes, names, "value", "closed form", True, len(background)
    )


@pytest.mark.parametrize("seed", range(4))
def test_weighted_quality_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 3, size=(5, 80)).astype(float)
    scores, truth = rng.integers(0, 8, size=(80, 1)) / 8, rng.random(80) < 0.4
    ours = weighted_quality(truth, scores, weights, "binary")
    np.testing.assert_allclose(ours, [roc_auc_score(truth, scores[:, 0], sample_weight=w) for w in weights])
    np.testing.assert_allclose(weighted_quality(truth, np.log(scores + 1), weights, "binary"), ours)
    number, guess = rng.normal(size=80), rng.normal(size=(80, 1))
    ours = weighted_quality(number, guess, weights, "regression")
    np.testing.assert_allclose(ours, [r2_score(number, guess[:, 0], sample_weight=w) for w in weights])
    answers, votes = rng.choice(list("xyz"), 80), rng.random((80, 3))
    ours = weighted_quality(answers, votes, weights, "multiclass", list("xyz"))
    theirs = [accuracy_score(answers, np.array(list("xyz"))[votes.argmax(1)], sample_weight=w) for w in weights]
    np.testing.assert_allclose(ours, theirs)


def test_quality_that_is_not_defined_is_none():
    assert quality(np.ones(5, bool), RNG.random((5, 1)), "binary") is None
    assert quality(np.ones(5), RNG.random((5, 1)), "regression") is None
    assert quality(np.empty(0), np.empty((0, 1)), "regression") is None
    assert quality(np.array(["a", "b"]), np.array([[0.2], [0.9]]), "binary") == 1


MODELS = {
    "binary": (lambda x: x[:, 0] + 0.5 * x[:, 1] > 0, LogisticRegression(), "roc_auc"),
    "multiclass": (lambda x: np.digitize(x[:, 0] + 0.5 * x[:, 1], [-0.5, 0.5]), LogisticRegression(), "accuracy"),
    "regression": (lambda x: x[:, 0] + 0.5 * x[:, 1], LinearRegression(), "r2"),
}


@pytest.mark.parametrize("task", MODELS)
def test_drops_are_those_of_scikit_learn(task):
    make, model, scoring = MODELS[task]
    x = pd.DataFrame(RNG.normal(size=(300, 3)), columns=list("abc"))
    y = make(x.to_numpy() + RNG.normal(size=(300, 3)) * 0.3)
    model.fit(x, y)
    predict = (lambda f: model.predict(f)[:, None]) if task == "regression" else model.predict_proba
    told = shuffled_scores(predict, x, [["a"], ["b"], ["c"]], seed=0, repeats=40)
    truth = y == 1 if task == "binary" else y
    ours = quality_drops(told, truth, task, getattr(model, "classes_", ()), seed=0)
    theirs = permutation_importance(model, x, y, scoring=scoring, n_repeats=40, random_state=0)
    error = theirs.importances_std * np.sqrt(2 / 40)
    assert (np.abs(ours.value - theirs.importances_mean) <= 4 * error + 1e-12).all()
    assert ours.quality == pytest.approx(model.score(x, y) if task != "binary" else roc_auc_score(y, predict(x)[:, 1]))


def test_the_interval_of_a_drop_covers_what_is_known():
    """y = x + noise, predicted by x: shuffling costs 2 var(x) / var(y) of R2 exactly."""
    met, runs, noise = 0, 150, 0.7
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        x = pd.DataFrame({"x": rng.normal(size=150)})
        y = x["x"].to_numpy() + noise * rng.normal(size=150)
        told = shuffled_scores(lambda f: f[["x"]].to_numpy(), x, [["x"]], seed=seed, repeats=5)
        drops = quality_drops(told, y, "regression", seed=seed)
        met += drops.low[0] <= 2 / (1 + noise**2) <= drops.high[0]
    assert met / runs >= 0.9


def mixed(n, rng):
    frame = pd.DataFrame(
        {
            "amount": rng.normal(size=n),
            "town": rng.choice(["a", "b", None], n),
            "flag": rng.random(n) < 0.5,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 300, n), "D"),
            "gap": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
        }
    )
    truth = (frame["amount"] + 2 * (frame["town"] == "a") + frame["flag"] + frame["gap"].fillna(1)).to_numpy()
    return frame, truth


def ready(frame):
    days = (frame["day"] - pd.Timestamp("2020-01-01")).dt.days
    return frame.assign(day=days, town=frame["town"].fillna("none"), flag=frame["flag"].astype(int))


def test_texts_flags_days_and_gaps_with_a_real_model():
    frame, truth = mixed(400, RNG)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["town"]), remainder="passthrough", sparse_threshold=0
    )
    model = make_pipeline(encode, RandomForestClassifier(20, max_depth=6, random_state=0)).fit(ready(frame), truth > 1.5)
    found = Subject(tuple(frame.columns), "binary", (False, True), "probability", lambda f: model.predict_proba(ready(f))[:, 1:])
    later, answers = mixed(300, RNG)
    rows = labelled_rows(frame.assign(y=truth > 1.5), later.assign(y=answers > 1.5), "y")
    assert rows.held_out
    cohorts, _ = find_cohorts(rows.frame, ["town"])
    verdicts, table = importance_drops(found, rows, "y", groups=[("amount", "day")], cohorts=cohorts, seed=0, seconds=120)
    whole = {r["features"]: r for r in table if not r["cohort"]}
    assert set(whole) == {*frame.columns, "amount, day"}
    assert all(whole[name]["low"] > 0 for name in ("amount", "town", "gap"))
    assert whole["day"]["low"] <= 0 <= whole["day"]["high"]
    inside = {r["features"]: r for r in table if r["cohort"] == "town: a"}
    assert inside["town"]["drop"] < whole["town"]["drop"]
    assert "held out" in verdicts[0].statistic.method
    assert verdicts[-1].statistic.name == "joint_permutation_importance"


def test_twins_hide_each_other_one_by_one_and_not_together():
    one = RNG.normal(size=600)
    frame = pd.DataFrame({"one": one, "twin": one + 0.01 * RNG.normal(size=600), "other": RNG.normal(size=600)})
    truth = one + 0.3 * frame["other"] > 0
    forest = RandomForestClassifier(40, max_features=1, min_samples_leaf=5, random_state=0).fit(frame[:300], truth[:300])
    found = Subject(tuple(frame.columns), "binary", (False, True), "probability", lambda f: forest.predict_proba(f)[:, 1:])
    rows = Labelled(frame[300:].assign(y=truth[300:]).reset_index(drop=True), True, "held-out rows")
    _, table = importance_drops(found, rows, "y", groups=[("one", "twin")], seed=0, seconds=120)
    drop = {r["features"]: r["drop"] for r in table}
    assert drop["one, twin"] > 2 * max(drop["one"], drop["twin"])


def test_a_group_changes_places_in_one_order():
    """What is the same in two columns stays the same: a model of their difference loses nothing."""
    x = pd.DataFrame({"a": RNG.normal(size=200), "c": RNG.normal(size=200)})
    x["b"] = x["a"]
    told = shuffled_scores(lambda f: (f["a"] - f["b"] + f["c"]).to_numpy()[:, None], x, [("a", "b"), ("a",)], seed=0)
    drops = quality_drops(told, x["c"].to_numpy(), "regression", seed=0)
    assert drops.value[0] == pytest.approx(0, abs=1e-12)
    assert drops.low[1] > 1


def test_what_cannot_be_measured_is_unknown_and_says_why():
    frame = pd.DataFrame({"x": np.arange(100.0), "y": [True, False] * 50})
    found = Subject(("x",), "binary", (False, True), "probability", lambda f: f[["x"]].to_numpy() / 100)

    def why(rows, subject=found, seconds=5):
        verdicts, table = importance_drops(subject, Labelled(rows, True, "rows"), "y", seed=0, seconds=seconds)
        assert (table, [v.outcome for v in verdicts]) == ([], ["unknown"])
        return verdicts[0].message

    assert "20 rows have a label; it takes 50" in why(frame.head(20))
    assert "the labels do not differ" in why(frame.assign(y=True))
    assert "no label is one of the model's classes" in why(frame.assign(y="maybe"))

    def slow(f):
        time.sleep(0.2)
        return f[["x"]].to_numpy() / 100

    assert "cannot answer for 50 rows within" in why(
        frame, Subject(("x",), "binary", (False, True), "probability", slow), seconds=0.1
    )


def test_the_rows_are_named():
    frame = pd.DataFrame({"x": range(200), "y": [None] * 100 + [1] * 100})
    assert labelled_rows(frame, frame, "y").words == "current rows with a label, held out"
    assert labelled_rows(frame, frame.head(120), "y").words.startswith("reference rows with a label, taken as held out")
    assert not labelled_rows(frame, None, "y", fitted=True).held_out
    assert len(labelled_rows(frame, frame.drop(columns="y"), "y", most=70).frame) == 70


@pytest.mark.parametrize("blocks", [None, 1])
def test_the_interval_of_importance_covers_over_rows_and_backgrounds(blocks):
    """|slope| E|x| of standard normals is what a new draw of rows and background is about."""
    met, runs, truth = np.zeros(2), 200, np.array([2.0, 0.5]) * np.sqrt(2 / np.pi)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        background = rng.normal(size=(40, 2)) if blocks is None else np.zeros((1, 2))
        found = linear(rng.normal(size=(60, 2)), background, [2.0, 0.5], blocks)
        value, low, high = mean_importance(found, seed=seed, repeats=100)
        np.testing.assert_allclose(value, np.abs(found.values[:, :, 0]).mean(0))
        met += (low <= truth) & (truth <= high)
    assert (met / runs >= 0.9).all()
    assert (met / runs <= 0.995).all()


def test_a_noisy_background_widens_the_interval():
    rows = RNG.normal(size=(100, 1)) * 0.1 + 3  # all on one side: only the background can move the mean
    small, large = (linear(rows, RNG.normal(size=(m, 1)), [1.0]) for m in (10, 1000))
    width = [np.ptp(mean_importance(found, seed=0)[1:]) for found in (small, large)]
    assert width[0] > 5 * width[1]


def test_tables_rank_round_and_join():
    found = linear(RNG.normal(size=(50, 3)), RNG.normal(size=(20, 3)), [1.0, 3.0, 0.0])
    table = importance_table(found, seed=0)
    assert [r["feature"] for r in table] == ["x1", "x0", "x2"]
    assert [r["rank"] for r in table] == [1, 2, 3]
    assert sum(r["share"] for r in table) == pytest.approx(1, abs=1e-3)
    assert (table[2]["contribution"], table[2]["low"], table[2]["high"]) == (0, 0, 0)
    later = linear(RNG.normal(size=(50, 3)), RNG.normal(size=(20, 3)), [3.0, 1.0, 0.0])
    joined = compare_importance(table, importance_table(later, seed=0))
    assert (joined[0]["reference_rank"], joined[0]["current_rank"]) == (1, 2)
    assert joined[0]["change_high"] < 0 < joined[1]["change_low"]
    assert joined[2]["change"] == 0
    assert [v.outcome for v in importance_verdicts(table, "value")] == ["passed"] * 3


def test_one_row_or_two_do_not_break_the_interval():
    for n in (1, 2):
        value, low, high = mean_importance(linear(RNG.normal(size=(n, 2)), RNG.normal(size=(5, 2)), [1.0, 0.0]), seed=0)
        assert (low <= value).all()
        assert (value <= high).all()


def test_folding_adds_up_and_rejects_what_is_wrong():
    found = linear(RNG.normal(size=(20, 4)), RNG.normal(size=(6, 4)), RNG.normal(size=(4, 2)))
    both = folded(found, [("x3", "x0")])
    assert both.features == ("x3, x0", "x1", "x2")
    np.testing.assert_allclose(both.values[:, 0], found.values[:, 0] + found.values[:, 3])
    assert folded(found, []).features == found.features
    with pytest.raises(InputError, match="Did you mean 'x1'"):
        folded(found, [("x1 ", "x0")])
    with pytest.raises(InputError, match="in two groups"):
        folded(found, [("x1", "x0"), ("x0", "x2")])


def test_importance_change_is_quiet_without_change_and_finds_a_swap():
    alarms = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        a, b = (rng.gamma(1.0, size=(100, 8)) * np.arange(1, 9) for _ in range(2))
        alarms += importance_change(a, b, seed=seed)[1] > 0.05
    assert alarms <= 2
    moved = RNG.gamma(1.0, size=(100, 8)) * np.arange(8, 0, -1)
    assert importance_change(a, moved, seed=0)[1] > 0.3


def test_a_cohort_with_another_driver_is_found_and_others_are_not():
    rows = RNG.normal(size=(300, 3))
    rows[:80, 0] *= 0.05
    found = linear(rows, RNG.normal(size=(50, 3)) * 0.01, [3.0, 1.0, 1.0])
    cohorts = [Cohort("town", "planted", np.arange(80)), Cohort("town", "ordinary", np.arange(190, 300))]
    verdicts, table = cohort_importance(found, cohorts, seed=0)
    assert verdicts[0].statistic.low > 0.25
    assert verdicts[1].statistic.low < 0.2
    assert {r["cohort"] for r in table} == {"town: planted", "town: ordinary"}
    leading = next(r for r in table if r["cohort"] == "town: planted" and r["feature"] == "x0")
    assert leading["share"] < 0.2 < 0.4 < leading["share_elsewhere"]
    everybody, _ = cohort_importance(found, [Cohort("town", "all", np.arange(300))], seed=0)
    assert everybody[0].outcome == "skipped"


def test_agreement_needs_four_features_and_variation():
    sizes = [{"feature": f"x{i}", "contribution": float(i)} for i in range(5)]
    drops = [{"features": f"x{i}", "columns": 1, "cohort": "", "drop": float(i)} for i in range(5)]
    assert importance_agreement(sizes, drops)[0].statistic.value == pytest.approx(1)
    assert importance_agreement(sizes[:3], drops) == []
    same = [r | {"drop": 0.0} for r in drops]
    assert importance_agreement(sizes, same)[0].outcome == "unknown"


def test_bands_follow_the_value_for_every_type():
    frame, _ = mixed(300, np.random.default_rng(1))
    values = np.column_stack([np.arange(300.0), np.arange(300.0)])
    found = Explanation(
        np.repeat(values[:, None, None, :], 5, axis=2),
        np.ones(1),
        np.zeros(2),
        values * 5,
        tuple(frame.columns),
        "value",
        "made up",
        True,
        10,
    )
    for name in frame.columns:
        bands = contribution_bands(found, frame, name, outputs=["yes", "no"])
        assert {b["output"] for b in bands} == {"yes", "no"}
        assert min(b["n"] for b in bands) >= 5
        assert sum(b["n"] for b in bands) == 2 * 300
        assert all(b["q10"] <= b["q25"] <= b["q50"] <= b["q75"] <= b["q90"] for b in bands)
        held = frame[name].isna().to_numpy()
        missing = [b for b in bands if b["value"] == "no value"]
        assert bool(missing) == bool(held.any())
        if missing:
            assert missing[0]["mean"] == pytest.approx(values[held, 0].mean(), rel=1e-3)
    fixed = contribution_bands(found, frame.head(300), "amount", cells=cut_values(frame["amount"] + 100))
    assert [b["n"] for b in fixed] == [300, 300]
    few = frame.assign(amount=np.where(np.arange(300) < 3, 99.0, -99.0))  # three rows in the upper cell: nobody's business
    assert [b["n"] for b in contribution_bands(found, few, "amount", cells=cut_values(frame["amount"]))] == [297, 297]


def test_densities_hold_five_rows_and_know_high_values_from_low_ones():
    rows = np.c_[RNG.standard_t(2, size=500), RNG.integers(0, 2, 500)]
    found = linear(rows, np.zeros((1, 2)), [1.0, 1.0])
    frame = pd.DataFrame(rows, columns=["x0", "x1"]).assign(x1=np.where(rows[:, 1] > 0, "b", "a"))
    density = contribution_density(found, frame, "x0")
    assert min(d["n"] for d in density) >= 5
    assert sum(d["n"] for d in density) == 500
    assert density[0]["low"] > rows[:, 0].min()
    assert density[-1]["high"] < rows[:, 0].max()
    ranks = [d["value_rank"] for d in density]
    assert ranks == sorted(ranks)
    levels = contribution_density(found, frame, "x1")
    assert [d["value_rank"] for d in levels] == [None] * len(levels)
    assert sum(d["n"] for d in levels) == 500
    assert contribution_density(found.take(slice(0, 4)), frame.head(4), "x0") == []
    idle = contribution_density(linear(rows, np.zeros((1, 2)), [0.0, 1.0]), frame, "x0")
    assert [d["n"] for d in idle] == [500]


def test_names_of_outputs():
    assert output_names(1) == [""]
    assert output_names(2) == ["output 1", "output 2"]
    assert output_names(2, ["a", 3]) == ["a", "3"]


def test_the_budget_takes_round_numbers_of_rows(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("prodnb.permutation.time.perf_counter", lambda: clock[0])

    def model(f):
        clock[0] += 0.01 + 1e-4 * len(f)
        return f.to_numpy()

    frame = pd.DataFrame({"x": np.arange(3000.0)})
    assert [affordable_rows(model, frame, repeats=2, seconds=s) for s in (1e-3, 0.05, 0.2, 0.5, 100)] == [0, 100, 500, 2000, 3000]
