"""Contributions against brute force and shap; planted leaks, idle columns and moved causes; and everything odd that a model can be."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from shared import shared_data
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from prodnb.attribution import (
    additivity_error,
    contribution_bands,
    encode,
    explain,
    importance_change,
    permutation_importance,
    quality,
    standard_errors,
    top_survival,
)
from prodnb.errors import InputError
from prodnb.explainability import check_explainability
from prodnb.inputs import Roles
from prodnb.models import Model, as_model

RNG = np.random.default_rng(0)


def shapley(f, x, background):
    """Brute force: the definition, over all sets of features."""
    m, phi = len(x), np.zeros(len(x))

    def worth(taken):
        rows = background.copy()
        rows[:, list(taken)] = x[list(taken)]
        return f(rows).mean()

    for j in range(m):
        others = [k for k in range(m) if k != j]
        for size in range(m):
            weight = math.factorial(size) * math.factorial(m - size - 1) / math.factorial(m)
            for taken in itertools.combinations(others, size):
                phi[j] += weight * (worth((*taken, j)) - worth(taken))
    return phi


@pytest.mark.parametrize("seed", range(5))
def test_pairwise_models_are_explained_exactly(seed):
    rng = np.random.default_rng(seed)
    linear, pairs = rng.normal(size=5), rng.normal(size=(5, 5))
    rows, background = rng.normal(size=(6, 5)), rng.normal(size=(12, 5))

    def f(a):
        return a @ linear + np.einsum("ni,ij,nj->n", a, pairs, a)

    found = explain(lambda a: f(a)[:, None], rows, background, seed=seed).values[:, :, 0]
    expected = np.array([shapley(f, x, background) for x in rows])
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_deep_interactions_are_met_within_their_standard_error():
    rows, background = RNG.normal(size=(8, 5)), RNG.normal(size=(400, 5))

    def f(a):
        return np.prod(1 + (a > 0), axis=1).astype(float)

    found = explain(lambda a: f(a)[:, None], rows, background, seed=0)
    expected = np.array([shapley(f, x, background) for x in rows])
    error = standard_errors(found)[:, :, 0]  # over background and orders, so it is wider than the gap to this very background
    assert np.abs((found.values[:, :, 0] - expected) / error).max() < 3
    assert error.mean() < 0.3
    assert additivity_error(found, f(rows)[:, None]) < 1e-12


def test_standard_errors_tell_the_spread_over_backgrounds():
    rows, weights = RNG.normal(size=(5, 3)), np.array([1.0, 2.0, 0.0])
    draws = [explain(lambda a: (a @ weights)[:, None], rows, RNG.normal(size=(40, 3)), seed=s) for s in range(200)]
    spread = np.std([d.values for d in draws], axis=0)
    said = np.mean([standard_errors(d) for d in draws], axis=0)
    np.testing.assert_allclose(said[:, :2], spread[:, :2], rtol=0.2)
    assert np.all(said[:, 2] == 0)


@pytest.mark.slow
def test_shap_agrees():
    import shap

    x = RNG.normal(size=(300, 4))
    forest = RandomForestClassifier(30, max_depth=4, random_state=0).fit(x, x[:, 0] * x[:, 1] + x[:, 2] > 0)
    background, rows = x[:60], x[60:70]
    ours = explain(lambda a: forest.predict_proba(a)[:, 1:], rows, background, seed=0).values[:, :, 0]
    masker = shap.maskers.Independent(background, max_samples=60)
    theirs = shap.explainers.Exact(lambda a: forest.predict_proba(a)[:, 1], masker)(rows).values
    assert np.abs(ours - theirs).max() < 0.03
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.995


def test_values_of_every_type_come_back_as_they_were():
    frame = pd.DataFrame(
        {
            "text": ["a", None, "b", "a"],
            "flag": [True, False, True, True],
            "big": np.array([2**62, 1, 2, 3]),
            "small": np.array([1, 2, 3, 4], dtype="int16"),
            "real": [0.1, np.nan, np.inf, 0.1],
            "when": pd.to_datetime(["2020-01-01", None, "2021-01-01", "2020-01-01"]),
            "level": pd.Categorical(["x", None, "y", "x"]),
            "maybe": pd.array([1, None, 3, 1], dtype="Int64"),
            "list": [[1], [2, 3], [], [1]],
        }
    )
    (first, second), decode = encode([frame.head(3), frame.tail(1)])
    pd.testing.assert_frame_equal(decode(np.concatenate([first, second])), frame)


def test_a_certain_top_survives_and_a_tie_does_not():
    rows, background = RNG.normal(size=(30, 4)) + 5, RNG.normal(size=(50, 4))
    sure = explain(lambda a: (a @ [100, 50, 25, 0.01])[:, None], rows, background, seed=0)
    tied = explain(lambda a: a.sum(axis=1, keepdims=True), RNG.normal(size=(30, 4)), background, seed=0)
    assert top_survival(sure, 3, seed=0).min() > 0.99
    assert top_survival(tied, 3, seed=0).mean() < 0.95


def test_importance_change_is_quiet_without_change_and_finds_a_swap():
    alarms = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        a, b = (rng.gamma(1.0, size=(100, 8)) * np.arange(1, 9) for _ in range(2))
        alarms += importance_change(a, b, seed=seed)[1] > 0.05
    assert alarms <= 2
    moved = RNG.gamma(1.0, size=(100, 8)) * np.arange(8, 0, -1)
    assert importance_change(a, moved, seed=0)[1] > 0.3


def test_shuffling_hurts_only_where_the_model_looks():
    frame = pd.DataFrame({"used": RNG.normal(size=500), "idle": ["a", "b"] * 250})
    truth = frame.used.to_numpy()
    drops = permutation_importance(
        lambda f: f[["used"]].to_numpy(), frame, lambda r, s: quality(truth[r], s[r], "regression"), seed=0
    )
    assert np.abs(drops[:, 0].mean() - 2) < 0.6  # R2 of an independent permutation: 1 - 2
    assert np.all(drops[:, 1] == 0)


def table(n=600, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"a": rng.normal(size=n), "b": rng.normal(size=n), "c": rng.choice(["x", "y", "z"], n), "d": rng.normal(size=n)}
    )
    frame["y"] = (frame.a + frame.b + (frame.c == "x") + rng.normal(size=n) > 0).astype(int)
    return frame


def pipeline(estimator=None):
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression() if estimator is None else estimator)


FRAME = table()
FITTED = pipeline().fit(FRAME[list("abcd")], FRAME.y)
ROLES = Roles(target="y")


def named(result):
    return {(v.statistic.name, v.statistic.about): v for v in result.verdicts}


def only(result, name):
    return next(v for v in result.verdicts if v.statistic.name == name)


def quick(model, reference=FRAME, current=None, **more):
    return check_explainability(
        model, reference, current, **{"roles": ROLES, "rows": 40, "background": 25, "importance_rows": 300, **more}
    )


def test_a_sound_model_passes_with_intervals_and_sizes():
    result = quick(FITTED, current=table(seed=1), rows=100)
    assert result.outcome in ("passed", "warned"), result
    statistics = [v.statistic for v in result.verdicts]
    assert len({s.name for s in statistics}) >= 7
    assert sum(s.low is not None for s in statistics) >= 10
    assert all(s.n > 0 for s in statistics if s.value is not None)
    assert only(result, "additivity_error").statistic.value < 1e-9
    assert only(result, "importance_change").outcome in ("passed", "warned")
    assert "probability of 1" in " ".join(result.notes)


def test_the_same_seed_gives_the_same_record():
    first = quick(FITTED, roles=None, rows=20).to_dict()
    assert first == quick(as_model(FITTED), roles=None, rows=20).to_dict()
    assert first != quick(FITTED, roles=None, rows=20, seed=1).to_dict()


def test_the_global_random_stream_is_left_alone():
    before = np.random.get_state()[1].copy()
    quick(FITTED)
    assert np.array_equal(before, np.random.get_state()[1])


def test_a_leak_fails_by_name():
    leaky = FRAME.assign(refund_date=FRAME.y * 1.0)
    model = pipeline(RandomForestClassifier(30, random_state=0, max_features=None)).fit(leaky[[*"abcd", "refund_date"]], leaky.y)
    result = quick(model, leaky)
    assert result.outcome == "failed"
    assert only(result, "top_feature_share").statistic.about == "refund_date"
    assert "refund_date" in result.message


def test_a_model_that_uses_one_column_only_is_seen():
    model = Model(name="one", task="regression", predict=lambda f: f["a"].to_numpy() * 2, features=("a", "b", "c", "d"))
    result = quick(model, roles=None)
    assert only(result, "unused_features").statistic.value == 3
    assert only(result, "top_feature_share").outcome == "failed"


def test_a_moved_cause_fails():
    model = Model(
        name="switch", task="regression", features=tuple("abd"), predict=lambda f: np.where(f["d"] > 5, 9 * f["b"] + f["a"] * 0.1, 9 * f["a"] + f["b"] * 0.1)
    )  # fmt: skip
    result = quick(model, current=FRAME.assign(d=FRAME.d + 20), roles=None, rows=100)
    assert only(result, "importance_change").outcome == "failed"
    assert {"feature", "reference_share", "current_share"} <= set(result.tables["Importance in reference and current"][0])


def test_a_model_that_answers_differently_each_time_fails_additivity():
    rng = np.random.default_rng(0)
    model = Model(
        name="dice", task="regression", features=tuple("abd"), predict=lambda f: f["a"].to_numpy() + rng.normal(size=len(f)) * 0.1
    )
    assert only(quick(model, roles=None), "additivity_error").outcome == "failed"


def test_without_current_or_labels_it_says_what_it_would_need():
    result = quick(FITTED, roles=None)
    assert only(result, "importance_change").outcome == "skipped"
    assert "target" in only(result, "permutation_importance").message
    assert check_explainability(None, FRAME).outcome == "skipped"
    assert "model" in check_explainability(None, FRAME).message
    assert check_explainability(FITTED, None).outcome == "skipped"


def test_constant_predictions_and_too_few_rows_are_unknown():
    constant = Model(name="constant", task="regression", features=tuple("abd"), predict=lambda f: np.ones(len(f)))
    result = quick(constant, roles=None)
    assert (result.outcome, "nothing to explain" in result.message) == ("unknown", True)
    assert quick(FITTED, FRAME.head(1)).outcome == "unknown"
    assert quick(FITTED, FRAME.head(0)).outcome == "unknown"
    assert quick(FITTED, FRAME.head(12)).outcome in ("passed", "warned", "unknown")


def test_one_feature_is_not_called_a_leak():
    model = LinearRegression().fit(FRAME[["a"]], FRAME.b + FRAME.a)
    result = quick(model, roles=Roles(target="b"))
    assert only(result, "top_feature_share").outcome == "passed"
    assert result.outcome in ("passed", "warned")


def test_a_model_without_probabilities_is_explained_on_its_class():
    model = pipeline(LinearSVC()).fit(FRAME[list("abcd")], FRAME.y)
    result = quick(model)
    assert "gives no probabilities" in " ".join(result.notes)
    assert only(result, "additivity_error").statistic.value < 1e-9


def test_multiclass_and_text_labels():
    frame = FRAME.assign(y=np.where(FRAME.a > 0.5, "high", np.where(FRAME.a > -0.5, "middle", "low")))
    result = quick(pipeline().fit(frame[list("abcd")], frame.y), frame)
    assert "probability of each class" in " ".join(result.notes)
    importance = {v.statistic.about: v.statistic.value for v in result.verdicts if v.statistic.name == "permutation_importance"}
    assert importance["a"] > 0.2 > abs(importance["d"])
    two = FRAME.assign(y=np.where(FRAME.y == 1, "yes", "no"))
    drops = {
        v.statistic.about: v.statistic.value
        for v in quick(pipeline().fit(two[list("abcd")], two.y), two).verdicts
        if v.statistic.name == "permutation_importance"
    }
    assert drops["a"] > 0.05


def test_missing_values_and_levels_unseen_in_training():
    holes = FRAME.assign(a=FRAME.a.where(FRAME.index % 3 > 0), c=FRAME.c.where(FRAME.index % 5 > 0, "never seen"))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["c"]), remainder="passthrough"
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20, random_state=0)).fit(FRAME[list("abcd")], FRAME.y)
    result = quick(model, holes, current=holes)
    assert result.outcome in ("passed", "warned")
    assert "missing" in {row["value"] for row in result.tables["Contribution by value"]}


def test_one_class_of_labels_is_unknown_and_missing_labels_are_left_out():
    assert only(quick(FITTED, FRAME.assign(y=1)), "permutation_importance").outcome == "unknown"
    half = FRAME.assign(y=FRAME.y.where(FRAME.index % 2 == 0))
    assert only(quick(FITTED, half), "permutation_importance").statistic.n <= 300


def test_a_column_that_is_absent_is_named():
    with pytest.raises(InputError, match="'a'"):
        quick(FITTED, FRAME.drop(columns="a"))
    with pytest.raises(InputError, match="current"):
        quick(FITTED, current=FRAME.drop(columns="a"))


def test_a_slow_model_keeps_to_the_budget():
    import time

    def slow(frame):
        time.sleep(0.02 + 0.0002 * len(frame))
        return frame["a"].to_numpy()

    start = time.perf_counter()
    result = quick(Model(name="slow", task="regression", predict=slow, features=tuple("abd")), roles=None, max_seconds=2.0)
    assert time.perf_counter() - start < 8
    assert result.outcome == "unknown" or any("budget" in note for note in result.notes)


def test_no_row_of_the_data_is_in_the_result():
    secret = FRAME.assign(c=[f"person {n}" for n in range(len(FRAME))])
    model = Model(name="m", task="regression", features=tuple("ac"), predict=lambda f: f["a"] * f["c"].str.len())
    assert "person" not in str(quick(model, secret, roles=None).to_dict())
    assert contribution_bands(pd.DataFrame({"v": ["a"] * 4 + ["b"] * 9}), np.zeros(13), "v")[0]["value"] == "b"


def test_reasons_given_reach_the_limits():
    result = quick(FITTED, reasons={"max_additivity_error": "agreed with the auditors"})
    assert only(result, "additivity_error").limit.reason == "agreed with the auditors"


def test_real_people_adult():
    frame = pd.read_parquet(shared_data("adult/adult.parquet"))
    target = frame.columns[-1]
    x = frame.drop(columns=target)
    texts = list(x.select_dtypes(exclude="number").columns)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts), remainder="passthrough"
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=30, random_state=0)).fit(
        x.head(8000), frame[target].head(8000)
    )
    result = check_explainability(
        model, frame.iloc[8000:], roles=Roles(target=target), rows=60, background=40, importance_rows=500
    )
    assert result.outcome in ("passed", "warned"), result
    leading = {row["feature"] for row in result.tables["Importance"][:6]}
    assert (
        len(
            leading
            & {
                "age",
                "capital-gain",
                "capital_gain",
                "relationship",
                "marital-status",
                "marital_status",
                "education-num",
                "education_num",
            }
        )
        >= 2
    )


def test_real_regression_finds_the_leak_of_bike_sharing():
    frame = pd.read_parquet(shared_data("bike_sharing/hour.parquet"))
    numbers = frame.select_dtypes("number").drop(columns=["instant"], errors="ignore")
    x = numbers.drop(columns="cnt")  # `registered` and `casual` add up to the target
    model = RandomForestRegressor(20, random_state=0, max_depth=8, n_jobs=1).fit(x.head(4000), numbers.cnt.head(4000))
    result = check_explainability(model, numbers, roles=Roles(target="cnt"), rows=40, background=30, importance_rows=300)
    share = only(result, "top_feature_share")
    assert (share.statistic.about, share.outcome in ("failed", "unknown")) == ("registered", True), share.message


@pytest.mark.slow
def test_the_flights_example(flights, monkeypatch):
    from prodnb.inputs import open_inputs
    from prodnb.settings import load_settings

    monkeypatch.chdir(flights)
    inputs = open_inputs(load_settings(flights / "settings.ini"))
    result = check_explainability(inputs.model, inputs.reference, inputs.current, roles=inputs.roles, max_seconds=120)
    assert result.outcome in ("passed", "warned"), result
    assert only(result, "additivity_error").statistic.value < 1e-9
    assert only(result, "importance_change").statistic.value > 0.1  # summer is not winter
    top = [row["feature"] for row in result.tables["Importance"][:5]]
    assert {"dep_minute", "carrier"} <= set(top)


def test_labels_that_cannot_be_used_say_so():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    binary, line = LogisticRegression().fit(x, x.a > 0), LinearRegression().fit(x, x.a)
    yes = np.where(x.a > 0, "yes", "no")
    cases = [
        (binary, yes, None, "no label is one of the model's classes"),
        (LogisticRegression().fit(x, rng.integers(0, 3, 200)), yes, None, "no label is one of the model's classes"),
        (binary, [None] * 200, None, "0 rows have a label"),
        (line, yes, None, "not every label is a finite number"),
        (line, np.where(x.a > 1, np.inf, x.a), None, "not every label is a finite number"),
        (lambda f: 1 / (1 + np.exp(-f.a.to_numpy())), rng.integers(0, 3, 200), "binary", "more than two classes"),
    ]
    for model, labels, task, words in cases:
        result = check_explainability(model, x.assign(y=labels), roles=Roles(target="y", task=task), rows=20, background=20)
        found = [v for v in result.verdicts if v.statistic.name == "permutation_importance"]
        assert [v.outcome for v in found] == ["unknown"], words
        assert words in found[0].message
