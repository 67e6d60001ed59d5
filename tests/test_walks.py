"""Random walks against brute force and shap: exact in pairs, honest about their error beyond, true to every type of value, within their time."""

import itertools
import math
import time

import numpy as np
import pandas as pd
import pytest

from prodnb.errors import InputError
from prodnb.explanation import additivity_error, standard_errors
from prodnb.walks import alike, encode, walk, walk_frames

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


def values(predict, rows, background, **more):
    return walk(predict, rows, background, **{"seed": 0, **more})[0].mean(axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_pairwise_models_are_explained_exactly(seed):
    rng = np.random.default_rng(seed)
    linear, pairs = rng.normal(size=5), rng.normal(size=(5, 5))
    rows, background = rng.normal(size=(6, 5)), rng.normal(size=(12, 5))

    def f(a):
        return a @ linear + np.einsum("ni,ij,nj->n", a, pairs, a)

    found = values(lambda a: f(a)[:, None], rows, background, seed=seed)[:, :, 0]
    np.testing.assert_allclose(found, [shapley(f, x, background) for x in rows], atol=1e-10)


@pytest.mark.parametrize("features", [1, 2])
def test_up_to_two_features_are_exact(features):
    rows, background = RNG.normal(size=(5, features)), RNG.normal(size=(20, features))

    def f(a):
        return np.exp(a).prod(axis=1) * (a[:, 0] > 0.1)

    found = values(lambda a: f(a)[:, None], rows, background)[:, :, 0]
    np.testing.assert_allclose(found, [shapley(f, x, background) for x in rows], atol=1e-10)
    shown = walk_frames(lambda d: f(d.to_numpy())[:, None], pd.DataFrame(rows), pd.DataFrame(background), scale="value")
    assert shown.exact


def deep(a):
    return np.prod(1 + (np.asarray(a) > 0), axis=1).astype(float)


def test_deep_interactions_are_met_within_their_standard_error():
    rows, background = pd.DataFrame(RNG.normal(size=(8, 5))), pd.DataFrame(RNG.normal(size=(400, 5)))
    found = walk_frames(lambda f: deep(f)[:, None], rows, background, scale="value", blocks=400)
    expected = np.array([shapley(deep, x, background.to_numpy()) for x in rows.to_numpy()])
    error = standard_errors(found)[:, :, 0]  # over background and orders, so it is wider than the gap to this very background
    assert np.abs((found.values[:, :, 0] - expected) / error).max() < 3
    assert error.mean() < 0.3
    assert not found.exact
    assert additivity_error(found, deep(rows)[:, None]) < 1e-12


def test_standard_errors_of_blocks_tell_the_spread_over_backgrounds_and_orders():
    rows = pd.DataFrame(RNG.normal(size=(5, 3)))
    draws = [
        walk_frames(lambda f: deep(f)[:, None], rows, pd.DataFrame(RNG.normal(size=(40, 3))), scale="value", blocks=20, seed=s)
        for s in range(100)
    ]
    spread, said = np.std([d.values for d in draws], axis=0), np.mean([standard_errors(d) for d in draws], axis=0)
    np.testing.assert_allclose(said, spread, rtol=0.25)


def test_blocks_are_the_means_of_their_rows():
    rows, background = RNG.normal(size=(4, 3)), RNG.normal(size=(11, 3))
    single = walk(lambda a: deep(a)[:, None], rows, background, blocks=11, seed=3)[0]
    three = walk(lambda a: deep(a)[:, None], rows, background, blocks=3, seed=3)[0]
    np.testing.assert_allclose(three[:, 0], single[:, :4].mean(axis=1))
    np.testing.assert_allclose(three[:, 1], single[:, 4:7].mean(axis=1))


def test_steps_that_change_nothing_are_not_asked_and_change_nothing():
    asked = []
    rows, background = RNG.integers(0, 2, (10, 6)).astype(float), RNG.integers(0, 2, (30, 6)).astype(float)

    def predict(a):
        asked.append(len(a))
        return (deep(a - 0.5) + a[:, 0] * a[:, 1])[:, None]

    found = values(predict, rows, background)[:, :, 0]
    assert sum(asked) < 0.65 * 10 * 30 * 2 * 5
    expected = np.array([shapley(lambda a: predict(a)[:, 0], x, background) for x in rows])
    assert np.abs(found - expected).max() < 1
    same = rows[:, None, :] == background[None]
    gains = walk(predict, rows, background, blocks=30, seed=0)[0][..., 0]
    assert np.all(gains[same] == 0)


def test_the_same_seed_gives_the_same_walks_whatever_the_batches():
    rows, background = RNG.normal(size=(6, 4)), RNG.normal(size=(40, 4))

    def slowly(a):
        time.sleep(0.002)
        return deep(a)[:, None]

    first = walk(lambda a: deep(a)[:, None], rows, background, seed=5)[0]
    assert np.array_equal(first, walk(slowly, rows, background, seed=5, max_seconds=0.0201 * 1e3)[0])
    assert not np.array_equal(first, walk(lambda a: deep(a)[:, None], rows, background, seed=6)[0])


def test_rows_beyond_the_budget_are_left_out():
    def slow(frame):
        time.sleep(0.001 * len(frame))
        return frame.to_numpy().sum(axis=1, keepdims=True)

    rows, background = pd.DataFrame(RNG.normal(size=(50, 3))), pd.DataFrame(RNG.normal(size=(10, 3)))
    start = time.perf_counter()
    found = walk_frames(slow, rows, background, scale="value", max_seconds=0.5)
    assert time.perf_counter() - start < 2
    assert 0 < len(found.blocks) < 50
    assert additivity_error(found, rows.head(len(found.blocks)).to_numpy().sum(axis=1, keepdims=True)) < 1e-12


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


def test_rows_are_laid_beside_the_background_without_changing_a_value():
    background = pd.DataFrame(
        {"n": [1, 2], "x": [0.5, 1.5], "level": pd.Categorical(["low", "high"], ["low", "high"], ordered=True), "t": ["a", "b"]}
    )
    rows = pd.DataFrame({"extra": [0], "t": ["never seen"], "level": ["top"], "x": [2], "n": [None]})
    ours, theirs = alike(rows, background)
    assert list(ours) == list(theirs) == ["n", "x", "level", "t"]
    assert ours.dtypes.equals(theirs.dtypes)
    assert ours["level"].tolist() == ["top"]
    assert ours["t"].tolist() == ["never seen"]
    assert ours["x"].tolist() == [2.0]
    assert ours["n"].isna().all()
    assert theirs["n"].tolist() == [1, 2]


def test_a_column_that_is_absent_is_named():
    with pytest.raises(InputError, match=r"'income'.*Did you mean 'incom'"):
        alike(pd.DataFrame({"incom": [1]}), pd.DataFrame({"income": [1]}))


def test_five_hundred_features_are_walked_in_bounded_memory():
    import tracemalloc

    rows, background, weights = RNG.normal(size=(2, 500)), RNG.normal(size=(10, 500)), RNG.normal(size=500)
    tracemalloc.start()
    found = values(lambda a: (a @ weights)[:, None], rows, background)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found[:, :, 0], weights * (rows - background.mean(axis=0)), atol=1e-9)
    assert peak < 700e6


def test_none_and_nan_and_1_and_true_stay_what_they_are():
    values = [None, np.nan, 1, True, "x", None]
    frame = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    (codes,), decode = encode([frame])
    assert len(np.unique(codes)) == 5
    assert [type(v) for v in decode(codes).a] == [type(v) for v in values]
