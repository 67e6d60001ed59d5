"""The definition against another writing of it and its axioms; and engines that are wrong in every way we could think of, all found."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from prodnb.explanation import Explainer, Explanation
from prodnb.shapley import coalition_weights, sampled_shapley, self_check, shapley
from prodnb.walks import walk_frames

RNG = np.random.default_rng(0)


def by_orders(f, x, background):
    """The other definition: the mean gain over all orders, pair by pair."""
    m, phi = len(x), np.zeros(len(x))
    for order in itertools.permutations(range(m)):
        row, before = background.copy(), f(background)
        for j in order:
            row[:, j] = x[j]
            after = f(row)
            phi[j] += (after - before).mean() / math.factorial(m)
            before = after
    return phi


def curved(a):
    a = np.asarray(a, dtype=float)
    return np.sin(a[:, 0] * a[:, 1]) + a[:, 2] * (a[:, 3] > 0) + a[:, 0] * a[:, 2] * a[:, 3]


def frame(rows, columns=4, rng=RNG):
    return pd.DataFrame(rng.normal(size=(rows, columns)), columns=list("abcdefghijklmnop")[:columns])


@pytest.mark.parametrize("seed", range(3))
def test_coalitions_give_what_all_orders_give(seed):
    rng = np.random.default_rng(seed)
    rows, background = frame(3, rng=rng), frame(9, rng=rng)
    found = shapley(lambda f: curved(f)[:, None], rows, background, scale="value", blocks=3)
    expected = [by_orders(curved, x, background.to_numpy()) for x in rows.to_numpy()]
    np.testing.assert_allclose(found.values[:, :, 0], expected, atol=1e-12)
    first = [by_orders(curved, x, background.to_numpy()[:3]) for x in rows.to_numpy()]
    np.testing.assert_allclose(found.blocks[:, 0, :, 0], first, atol=1e-12)


@pytest.mark.parametrize("features", [1, 2, 5, 12])
def test_weights_keep_the_axioms(features):
    weights, every = coalition_weights(features), 2**features - 1
    worth = np.random.default_rng(features).normal(size=every + 1)
    assert np.isclose((weights @ worth).sum(), worth[every] - worth[0])  # efficiency
    assert np.allclose(weights @ np.bitwise_count(np.arange(every + 1)), 1)  # symmetry
    idle = worth[np.arange(every + 1) & ~1]
    assert np.isclose((weights @ idle)[0], 0)  # a player who brings nothing gets nothing


def test_a_text_that_both_rows_hold_is_asked_once_and_gets_nothing():
    rows = pd.DataFrame({"t": ["x", "y"], "n": [1.0, 2.0], "m": [np.nan, 1.0]})
    background = pd.DataFrame({"t": ["x"] * 6, "n": [0.0, 1, 2, 3, 4, 5], "m": [np.nan] * 6})
    asked = []

    def predict(f):
        asked.append(len(f))
        return ((f["t"] == "x") * f["n"] + f["m"].isna()).to_numpy(float)[:, None]

    found = shapley(predict, rows, background, scale="value")
    assert np.abs(found.values[0, [0, 2], 0]).max() < 1e-15
    assert asked[0] < 8 * 6 / 3
    assert np.allclose(found.base + found.values.sum(axis=1), found.predictions)


def test_sampled_orders_say_how_far_they_are_off():
    background, rows = frame(40), frame(30)
    truth = shapley(lambda f: curved(f)[:, None], rows, background, scale="value").values
    estimate, error = sampled_shapley(lambda f: curved(f)[:, None], rows, background, orders=4, seed=1)
    off = np.abs(estimate - truth)[error > 1e-9] / error[error > 1e-9]
    assert 0.4 < np.sqrt((off**2).mean()) < 1.3
    assert off.max() < 4.5


def test_a_rare_row_of_the_background_is_met():
    background = pd.DataFrame({"a": np.r_[np.ones(1), np.zeros(199)], "b": np.arange(200.0)})
    rows = pd.DataFrame({"a": [0.0], "b": [3.5]})
    estimate, error = sampled_shapley(lambda f: (1000 * f["a"] + f["b"]).to_numpy()[:, None], rows, background, orders=2)
    np.testing.assert_allclose(estimate[0, :, 0], [-5, 3.5 - 99.5])
    assert error.max() < 1e-9


def test_what_happens_once_in_many_orders_has_an_error_too():
    zeros, ones = pd.DataFrame(np.zeros((10, 9))), pd.DataFrame(np.ones((1, 9)))
    last = lambda f: f.to_numpy().prod(axis=1, keepdims=True)  # noqa: E731
    estimate, error = sampled_shapley(last, ones, zeros, orders=2)
    assert np.all(np.abs(estimate - 1 / 9) < 4 * error)
    assert error.min() > 0


def opened(background, spoil=lambda found: found, predict=lambda f: curved(f)[:, None], **more):
    """An exact engine, or one that is spoilt."""

    def explain(rows, blocks=1):
        return spoil(shapley(lambda f: curved(f)[:, None], rows[list(background)], background, scale="value", blocks=blocks))

    fields = {"features": tuple(background), "scale": "value", "engine": "trees", "method": "by hand", "exact": True}
    return Explainer(
        **{**fields, **more},
        background=background,
        predict=predict,
        explain=explain,
        reopen=lambda less: opened(less.reset_index(drop=True), spoil, predict, **more),
    )


BACKGROUND, ROWS = frame(80), frame(20)


def test_a_sound_engine_holds():
    found = self_check(opened(BACKGROUND), ROWS)
    assert found.holds
    assert found.error < 1e-12
    assert found.additivity < 1e-12
    assert "all 16 coalitions of 4 features, 3 rows against 50 background rows" in found.how


SPOILT = {
    "two features swapped": lambda e: replace(e, blocks=e.blocks[:, :, [1, 0, 2, 3]]),
    "one sign turned, the sum kept": lambda e: replace(e, blocks=e.blocks + np.array([1, -1, 0, 0])[:, None] * 0.01),
    "a thousandth too small": lambda e: replace(e, blocks=e.blocks * 0.999),
    "the base score forgotten": lambda e: replace(e, base=e.base - 0.5),
    "blocks weighed wrongly": lambda e: replace(e, weights=np.r_[1.0, np.zeros(len(e.weights) - 1)]),
    "rows shifted by one": lambda e: replace(e, blocks=np.roll(e.blocks, 1, axis=0)),
    "all credit to the largest": lambda e: replace(
        e, blocks=np.where(np.arange(4)[:, None] == 0, e.blocks.sum(axis=2, keepdims=True), 0.0)
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_wrong_engine_is_found(name):
    assert not self_check(opened(BACKGROUND, SPOILT[name]), ROWS).holds


def test_an_engine_that_explains_another_model_is_found():
    found = self_check(opened(BACKGROUND, predict=lambda f: (curved(f) + 0.05 * f["a"].to_numpy())[:, None]), ROWS)
    assert not found.holds
    other = self_check(opened(BACKGROUND, predict=lambda f: 1 / (1 + np.exp(-curved(f)[:, None]))), ROWS)
    assert not other.holds


def test_the_tolerance_of_an_engine_in_single_precision_is_its_own():
    rounded = lambda e: replace(e, blocks=e.blocks.astype(np.float32) + 2e-6)  # noqa: E731
    assert not self_check(opened(BACKGROUND, rounded), ROWS).holds
    assert self_check(opened(BACKGROUND, rounded, tolerance=1e-4), ROWS).holds


def many(a):
    a = np.asarray(a, dtype=float)
    return a @ np.linspace(1, 0, a.shape[1]) + a[:, 0] * a[:, 1] + 5 * a[:, 2] * (a[:, 0] > 2)


def by_pairs_of_features(background, swap=False):
    """Exact for this model of 14 features, or with two of them swapped."""

    def explain(rows, blocks=1):
        found = walk_frames(lambda f: many(f)[:, None], rows, background, scale="value", blocks=blocks)
        order = [1, 0, *range(2, 14)] if swap else list(range(14))
        return replace(found, exact=True, blocks=found.blocks[:, :, order])

    return Explainer(
        features=tuple(background),
        scale="value",
        engine="trees",
        method="by hand",
        exact=True,
        background=background,
        predict=lambda f: many(f)[:, None],
        explain=explain,
        reopen=lambda less: by_pairs_of_features(less, swap),
    )


def test_more_than_twelve_features_are_held_against_sampled_orders():
    background, rows = frame(60, 14), frame(20, 14)
    sound = self_check(by_pairs_of_features(background), rows)
    assert sound.holds
    assert "sampled orders" in sound.how
    assert sound.error < 1e-9  # forth and back is exact for features that interact in pairs
    swapped = self_check(by_pairs_of_features(background, swap=True), rows)
    assert not swapped.holds
    assert swapped.additivity < 1e-9


def test_sampled_orders_do_not_cry_wolf():
    background, rows = frame(60, 14), frame(60, 14)
    assert all(self_check(by_pairs_of_features(background), rows, seed=s, max_seconds=0.1).holds for s in range(8))


def test_what_sampled_orders_cannot_see_is_in_the_bound():
    background, rows = frame(60, 14), frame(20, 14)
    cubic = lambda f: (many(f) + f["a"] * f["b"] * f["c"]).to_numpy()[:, None]  # noqa: E731

    def engine(others, wrong=0.0):
        def explain(rows, blocks=1):
            exact = shapley(
                lambda f: (f["a"] * f["b"] * f["c"]).to_numpy()[:, None], rows[["a", "b", "c"]], others[["a", "b", "c"]], scale=""
            )
            found = by_pairs_of_features(others).explain(rows)
            more = np.pad(exact.blocks, ((0, 0), (0, 0), (0, 11), (0, 0)))
            shift = np.zeros((14, 1))
            shift[:2, 0] = wrong, -wrong
            return replace(found, blocks=found.blocks + more + shift, base=found.base + exact.base)

        reopen = lambda less: engine(less.reset_index(drop=True), wrong)  # noqa: E731
        return replace(by_pairs_of_features(others), predict=cubic, explain=explain, reopen=reopen, background=others)

    sound = self_check(engine(background), rows)
    assert sound.holds
    assert 1e-3 < sound.bound < 0.5
    assert not self_check(engine(background, wrong=2.0), rows).holds


def by_walking(background, order=(0, 1, 2, 3)):
    def explain(rows, blocks=1):
        found = walk_frames(lambda f: curved(f)[:, None], rows, background, scale="value", blocks=blocks)
        return replace(found, blocks=found.blocks[:, :, list(order)])

    return replace(opened(background), engine="walks", exact=False, explain=explain, reopen=lambda less: by_walking(less, order))


def test_sampled_walks_are_held_against_the_definition_within_their_own_error():
    assert all(self_check(by_walking(BACKGROUND), ROWS, seed=s).holds for s in range(10))
    assert not self_check(by_walking(BACKGROUND, (1, 2, 0, 3)), ROWS + 3).holds


def test_path_dependent_values_are_checked_for_additivity_alone():
    found = self_check(opened(BACKGROUND, interventional=False), ROWS)
    assert (found.error, found.holds) == (None, True)
    assert not self_check(opened(BACKGROUND, SPOILT["the base score forgotten"], interventional=False), ROWS).holds


def test_a_model_that_answers_differently_each_time_is_found():
    rng = np.random.default_rng(0)
    noisy = lambda f: (curved(f) + 0.01 * rng.normal(size=len(f)))[:, None]  # noqa: E731
    assert not self_check(opened(BACKGROUND, predict=noisy), ROWS).holds


def test_constant_predictions_hold():
    def explain(rows, blocks=1):
        shape = (len(rows), 1, 4, 1)
        return Explanation(np.zeros(shape), np.ones(1), np.ones(1), np.ones((len(rows), 1)), tuple("abcd"), "value", "", True, 80)

    constant = replace(opened(BACKGROUND), predict=lambda f: np.ones((len(f), 1)), explain=explain, reopen=lambda less: constant)
    assert self_check(constant, ROWS).holds


def test_no_row_within_the_budget_is_told():
    nothing = replace(opened(BACKGROUND), explain=lambda rows, blocks=1: opened(BACKGROUND).explain(rows).take(slice(0, 0)))
    found = self_check(nothing, ROWS)
    assert (found.error, found.holds, found.rows) == (None, False, 0)


def test_a_slow_model_is_checked_against_fewer_rows():
    import time

    def slow(f):
        time.sleep(0.0002 * len(f))
        return curved(f)[:, None]

    start = time.perf_counter()
    found = self_check(opened(BACKGROUND, predict=slow), ROWS, max_seconds=0.5)
    assert time.perf_counter() - start < 3
    assert found.holds
