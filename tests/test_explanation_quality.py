"""Explanation quality: gaps against closed forms, wrong explanations and shaky engines planted and found, leaks told from strong columns, and everything odd."""

import time

import numpy as np
import pandas as pd
import pytest
from shared import shared_data
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import r2_score, roc_auc_score

from prodnb.engines import open_explainer
from prodnb.errors import InputError
from prodnb.explanation import Explanation
from prodnb.explanation_quality import (
    Gaps,
    explanation_stability,
    faithfulness,
    prediction_gaps,
    quality_table,
    quality_verdicts,
    replaced,
)
from prodnb.likely_leaks import leak_table, leak_verdicts, model_strength, suspects
from prodnb.probe import threads
from prodnb.small_noise import changed_rows, noisy
from prodnb.subject import Subject

RNG = np.random.default_rng(0)
WEIGHTS = np.array([3.0, -2.0, 1.5, 1.0, 0.5, 0.1])
TABLE = pd.DataFrame(RNG.normal(size=(400, 6)), columns=list("abcdef"))
ROWS, BACKGROUND = TABLE[:120].reset_index(drop=True), TABLE[120:].reset_index(drop=True)


def linear(frame):
    return (frame.to_numpy(float) @ WEIGHTS)[:, None]


def exact(frame, background=BACKGROUND):
    """The closed form for a linear model: weight x (value - mean)."""
    values = (frame.to_numpy(float) - background.to_numpy(float).mean(axis=0)) * WEIGHTS
    base = linear(background).mean(axis=0)
    return Explanation(
        values[:, None, :, None],
        np.ones(1),
        base,
        linear(frame),
        tuple(frame.columns),
        "value",
        "closed form",
        True,
        len(background),
    )


def with_values(found, values):
    return Explanation(
        values[:, None],
        np.ones(1),
        found.base,
        found.predictions,
        found.features,
        found.scale,
        found.method,
        False,
        found.background,
    )


def gaps(importance, **options):
    return prediction_gaps(linear, ROWS, BACKGROUND, importance, seed=0, **options)


# Prediction gaps and faithfulness


def test_gaps_are_those_of_the_closed_form():
    one = BACKGROUND[:1]
    importance = exact(ROWS, one).importance
    found = prediction_gaps(linear, ROWS, one, importance, k=2, draws=3, seed=0)
    each = (one.to_numpy() - ROWS.to_numpy()) * WEIGHTS
    order = np.argsort(-importance, axis=1)
    np.testing.assert_allclose(found.important, np.abs(np.take_along_axis(each, order[:, :2], axis=1).sum(axis=1)))
    np.testing.assert_allclose(found.unimportant, np.abs(np.take_along_axis(each, order[:, -2:], axis=1).sum(axis=1)))
    np.testing.assert_allclose(found.best, found.important)  # one background row: measuring one by one finds the same order
    np.testing.assert_allclose(found.least, found.unimportant)
    assert found.draws == 3


def test_only_a_right_explanation_is_faithful():
    right = exact(ROWS).importance
    value, low, high = faithfulness(gaps(right), seed=0)
    assert low > 0.65  # where a value is near the mean, its contribution is less than what replacing it does
    assert low <= value <= high
    wrong = {
        "noise": np.random.default_rng(1).random(right.shape),
        "shuffled": np.random.default_rng(2).permuted(right, axis=1),
        "misnamed": np.roll(right, 3, axis=1),
        "upside down": 1 / (right + 1e-9),
    }
    for name, importance in wrong.items():
        found = faithfulness(gaps(importance), seed=0)
        assert found[2] < 0.5, name
        verdict = quality_verdicts(gaps(importance), "not asked")[0]
        assert verdict.outcome == "failed", name
    assert quality_verdicts(gaps(right), "not asked")[0].outcome == "passed"


def test_a_random_order_has_no_faithfulness():
    inside = 0
    for i in range(20):
        found = prediction_gaps(linear, ROWS[:60], BACKGROUND, np.random.default_rng(i).random((60, 6)), draws=6, seed=i)
        _, low, high = faithfulness(found, seed=i)
        inside += low <= 0 <= high
    assert inside >= 16


def test_nothing_to_tell_is_unknown():
    flat = prediction_gaps(lambda f: np.ones((len(f), 1)), ROWS, BACKGROUND, exact(ROWS).importance, seed=0)
    assert faithfulness(flat, seed=0) is None
    assert quality_verdicts(flat, "x")[0].outcome == "unknown"
    single = prediction_gaps(lambda f: f.to_numpy(), ROWS[["a"]], BACKGROUND[["a"]], np.ones((120, 1)), seed=0)
    assert isinstance(single, str)
    assert quality_verdicts(single, single)[0].outcome == "unknown"


def test_a_model_that_is_too_slow_is_unknown():
    def slow(frame):
        time.sleep(0.03)
        return linear(frame)

    found = prediction_gaps(slow, ROWS, BACKGROUND, exact(ROWS).importance, draws=500, seed=0, max_seconds=0.2)
    assert isinstance(found, str)
    assert "0.12 s" in found
    assert quality_verdicts(found, "x")[0].outcome == "unknown"


def test_columns_in_another_order_and_of_other_types():
    frame = pd.DataFrame({
        "n": pd.array([1, 2, None, 4] * 10, dtype="Int64"),
        "town": pd.Categorical(["Rome", "Oslo", None, "Bern"] * 10),
        "when": pd.date_range("2026-01-01", periods=40),
        "flag": [True, False] * 20,
    })  # fmt: skip
    others = frame[["flag", "when", "town", "n"]].assign(town=pd.Categorical(["Paris", "Rome"] * 20))

    def model(f):
        assert f["when"].dtype == frame["when"].dtype
        return np.where(f["town"] == "Rome", 1.0, 0.0)[:, None] + f["flag"].to_numpy(float)[:, None] * 3

    importance = np.tile([3.0, 0.0, 1.0, 0.0], (40, 1))
    found = prediction_gaps(model, frame, others, importance, k=1, seed=0)  # columns as in the background
    assert found.important.mean() > found.unimportant.mean() == 0


def test_replaced_rows_keep_their_types():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])})
    masks = np.array([[[True, True, True]] * 2, [[False, True, False]] * 2])
    out = replaced(frame, frame, masks, np.array([1, 0]))
    assert out.dtypes.equals(frame.dtypes)
    assert out["a"].tolist() == [2, 1, 1, 2]
    assert out["b"].isna().tolist() == [True, False, True, False]


def test_what_does_not_fit_together():
    none = prediction_gaps(linear, ROWS, BACKGROUND, np.zeros((0, 6)), seed=0)
    assert none == "no row was explained"
    with pytest.raises(InputError, match="contributions of shape"):
        prediction_gaps(linear, ROWS, BACKGROUND, np.ones((120, 5)), seed=0)
    fewer = prediction_gaps(linear, ROWS, BACKGROUND, exact(ROWS).importance[:50], seed=0)
    assert len(fewer.important) == 50


# Stability


def test_an_exact_explanation_of_a_smooth_model_holds():
    found = explanation_stability(exact, ROWS, BACKGROUND, seed=0)
    assert found.unstable.mean() < 0.05
    assert found.repeated.all()
    assert found.moved.mean() < 0.05
    first, *shares = quality_verdicts(gaps(exact(ROWS).importance), found)
    assert [v.outcome for v in (first, *shares)] == ["passed"] * 3


def test_shaky_engines_and_jumping_models_are_told_apart():
    rng = np.random.default_rng(3)

    def shaky(frame):
        found = exact(frame)
        return with_values(found, found.values + rng.normal(size=found.values.shape) * 3)

    def jumping(frame):
        x = frame.to_numpy(float)
        values = np.where(np.sin(2000 * x) > 0, 3.0, -3.0) * np.arange(1, 7) * (1 + np.abs(np.sin(3000 * np.roll(x, 1, axis=1))))
        found = exact(frame)
        predictions = values.sum(axis=1, keepdims=True) + found.base
        return Explanation(
            values[:, None, :, None], np.ones(1), found.base, predictions, found.features, "value", "made", True, 280
        )

    engine, model = (explanation_stability(f, ROWS, BACKGROUND, seed=0) for f in (shaky, jumping))
    assert [v.outcome for v in quality_verdicts("x", engine)] == ["unknown", "failed", "failed"]
    _, unstable, unrepeated = quality_verdicts("x", model)
    assert unstable.outcome != "passed"
    assert unrepeated.outcome == "passed"
    assert engine.predicted.mean() < 0.05 < 0.3 < engine.moved.mean()
    assert model.predicted.mean() > 0.3


def test_a_budget_leaves_fewer_copies_or_none():
    def some(share):
        return lambda frame: exact(frame.head(int(share * len(frame))))

    assert explanation_stability(exact, ROWS, BACKGROUND, copies=5, seed=0).copies == 5
    assert explanation_stability(some(0.6), ROWS, BACKGROUND, copies=5, seed=0).copies == 2
    none = explanation_stability(some(0.3), ROWS, BACKGROUND, copies=5, seed=0)
    assert "within the budget" in none
    assert quality_verdicts("x", none)[1].outcome == "unknown"


def test_a_table_that_noise_cannot_move_is_unknown():
    levels = ROWS.assign(**{c: np.where(ROWS[c] > 0, 1.0, 0.0) for c in ROWS})
    found = explanation_stability(exact, levels, levels, seed=0)
    assert "few different values" in found
    assert isinstance(explanation_stability(exact, ROWS[["a"]], BACKGROUND[["a"]], seed=0), str)


def test_noise_is_small_and_keeps_what_it_should():
    rng, n = np.random.default_rng(4), 500
    like = pd.DataFrame({
        "real": rng.lognormal(size=n), "whole": rng.integers(0, 1000, n), "small": pd.array(rng.permutation(n) % 90, dtype="Int64"),
        "zeros": np.where(rng.random(n) < 0.8, 0.0, rng.random(n)), "flag": rng.random(n) < 0.5, "code": rng.integers(0, 3, n),
        "constant": 7.0, "text": "x", "gone": np.nan,
    })  # fmt: skip
    like.loc[::7, ["real", "small"]] = None
    out = noisy(like, like, noise=0.01, rng=rng)
    assert out.dtypes.equals(like.dtypes)
    assert out.isna().equals(like.isna())
    for name in ("flag", "code", "constant", "text", "gone"):
        assert out[name].equals(like[name]), name
    moved = (out["real"] - like["real"]).dropna()
    assert 0.5 < moved.std() / (0.01 * like["real"].std()) < 1.5
    assert out["real"].min() >= like["real"].min()
    assert (out["zeros"][like["zeros"] == 0] == 0).all()
    assert (out["whole"] != like["whole"]).mean() > 0.8
    assert 0.2 < (out["small"] != like["small"]).fillna(False).mean() < 0.8
    assert (out["small"] - like["small"]).abs().max() <= 4
    assert noisy(like, like, noise=0, rng=rng).equals(like)
    assert changed_rows(like, [out]) > 0.95
    assert changed_rows(like.iloc[:0], [like.iloc[:0]]) == 0.0


def test_tables_hold_aggregates_only():
    rows = quality_table(gaps(exact(ROWS).importance), explanation_stability(exact, ROWS, BACKGROUND, seed=0))
    assert len(rows) == 8
    assert all(r["low"] <= r["value"] <= r["high"] and r["n"] == 120 for r in rows)
    few = Gaps(*[np.ones(4)] * 5, k=1, draws=2)
    assert quality_table(few, "none") == []


def test_real_rows_of_german_credit():
    frame = pd.read_csv(shared_data("german_credit/german_credit.csv.gz"))
    target = frame.columns[-1]
    x = frame.drop(columns=target)
    x = x.assign(**{c: pd.factorize(x[c])[0] for c in x.columns if not pd.api.types.is_numeric_dtype(x[c])})
    rows, background = x[600:660].reset_index(drop=True), x[700:760].reset_index(drop=True)
    with threads(1):
        model = HistGradientBoostingClassifier(max_iter=20, max_depth=3, random_state=0).fit(x[:600], frame[target][:600])
        explainer = open_explainer(model, background)
        found = explainer.explain(rows)
        right, wrong = (
            prediction_gaps(explainer.predict, rows, background, i, draws=6, seed=0, max_seconds=60)
            for i in (found.importance, np.roll(found.importance, 10, axis=1))
        )
        held = explanation_stability(explainer.explain, rows, background, copies=2, seed=0)
    assert quality_verdicts(right, "x")[0].outcome == "passed"
    assert quality_verdicts(wrong, "x")[0].outcome == "failed"
    assert held.repeated.all()


# Leaks


def made(rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["age", "bill", "calls"])
    frame["y"] = (rng.random(rows) < 1 / (1 + np.exp(-frame["age"] - frame["bill"]))).astype(int)
    frame["refund"] = np.where(rng.random(rows) < 0.97, frame["y"], 1 - frame["y"]) * 4 + rng.normal(size=rows)
    frame["strong"] = frame["age"] + frame["bill"]
    frame["amount"] = 2 * frame["strong"] + rng.normal(size=rows)
    return frame


FRAME = made()
NO = np.zeros(0)


def binary(weights, classes=(0, 1)):
    names = tuple(weights)

    def predict(f):
        return 1 / (1 + np.exp(-(f[list(names)].to_numpy(float) @ np.array(list(weights.values())))))[:, None]

    return Subject(names, "binary", classes, "probability", predict)


def importance(weights, rows=200):
    return np.abs(FRAME[list(weights)].to_numpy(float)[:rows] * np.array(list(weights.values())))


def outcomes(weights, target="y", asked=None, frame=FRAME):
    found = suspects(asked or binary(weights), importance(weights), frame, target, seed=0)
    return {v.statistic.about: v.outcome for v in leak_verdicts(found)}, found


def test_a_planted_leak_fails_and_honest_columns_pass():
    said, found = outcomes({"refund": 2.0, "age": 0.2, "bill": 0.2})
    assert said == {"refund": "failed", "age": "passed", "bill": "passed"}
    assert found[0].without < 0.5 * found[0].model.value
    row = leak_table(found)[0]
    assert row["feature"] == "refund"
    assert row["single_score"] > 0.9 * row["model_score"]
    said, _ = outcomes({"age": 1.0, "bill": 1.0, "calls": 0.1})
    assert set(said.values()) == {"passed"}


def test_a_single_strong_column_of_a_modest_model_is_a_question():
    said, _ = outcomes({"strong": 1.0, "calls": 0.05})
    assert said["strong"] == "warned"
    said, _ = outcomes({"refund": 1.0, "strong": 1.0, "calls": 1.5})  # a leak that the model shares out
    assert said["refund"] in ("warned", "passed")
    assert said["calls"] == "passed"


def test_text_labels_and_regression_and_three_classes():
    words = FRAME.assign(y=np.where(FRAME["y"] == 1, "yes", "no"))
    said, _ = outcomes({"refund": 2.0, "age": 0.2}, asked=binary({"refund": 2.0, "age": 0.2}, ("no", "yes")), frame=words)
    assert said["refund"] == "failed"
    value = Subject(
        ("strong", "calls"), "regression", (), "value", lambda f: 2 * f[["strong"]].to_numpy() + 0.01 * f[["calls"]].to_numpy()
    )
    said, found = outcomes({"strong": 2.0, "calls": 0.01}, "amount", value)
    assert said == {"strong": "failed", "calls": "passed"}
    assert found[0].model.value == pytest.approx(r2_score(FRAME["amount"], 2 * FRAME["strong"] + 0.01 * FRAME["calls"]), abs=0.01)
    three = FRAME.assign(kind=np.array(["low", "mid", "top"])[np.digitize(FRAME["strong"], [-0.7, 0.7])])

    def scores(f):
        raw = np.exp(-((f["strong"].to_numpy()[:, None] - [-2, 0, 2]) ** 2))
        return raw / raw.sum(axis=1, keepdims=True)

    said, _ = outcomes(
        {"strong": 2.0, "calls": 0.01},
        "kind",
        Subject(("strong", "calls"), "multiclass", ("low", "mid", "top"), "p", scores),
        three,
    )
    assert said == {"strong": "failed", "calls": "passed"}


def test_the_strength_of_a_model_is_that_of_scikit_learn():
    score = FRAME[["age"]].to_numpy()
    found = model_strength(FRAME["y"].to_numpy(), score, classes=True)
    assert found.value == pytest.approx(2 * roc_auc_score(FRAME["y"], score[:, 0]) - 1)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (FRAME.head(20), "it takes 50"),
        (FRAME.assign(y=1), "one class only"),
        (FRAME[FRAME["y"] == 0].head(200).assign(y=[1] * 5 + [0] * 195), "no class has 20 rows"),
    ],
)
def test_labels_that_say_nothing_are_skipped_with_the_reason(frame, words):
    _, found = outcomes({"age": 1.0, "bill": 1.0}, frame=frame)
    assert words in found
    assert leak_verdicts(found)[0].outcome == "skipped"
    assert leak_table(found) == []


def test_a_model_no_better_than_chance_is_unknown():
    said, _ = outcomes({"calls": 1.0, "age": -1e-9})
    assert set(said.values()) == {"unknown"}
