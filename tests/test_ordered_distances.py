"""Distances of counts over ordered cells against scipy on the rows that they stand for."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prodnb import ordered_distances as o
from prodnb.distances import wasserstein_counts

RNG = np.random.default_rng(0)
PAIRS = [(RNG.integers(0, 30, k), RNG.integers(0, 20, k)) for k in (2, 3, 8, 30, 120)]
PAIRS += [(np.array([5, 0, 0]), np.array([0, 0, 9])), (np.array([0, 4, 0, 4]), np.array([3, 0, 0, 1]))]


def rows(counts, positions=None):
    return np.repeat(np.arange(len(counts)) if positions is None else positions, counts)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_counts_give_what_scipy_gives_on_rows(a, b):
    x, y = rows(a), rows(b)
    assert o.ks_counts(a, b) == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-9)
    assert o.cramer_von_mises_counts(a, b) == pytest.approx(stats.cramervonmises_2samp(x, y).statistic, abs=1e-9)
    assert o.mann_whitney_u_counts(a, b) == pytest.approx(stats.mannwhitneyu(y, x).statistic, abs=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stats.anderson_ksamp([x, y], variant="midrank").statistic
    assert o.anderson_darling_counts(a, b) == pytest.approx(expected, abs=1e-9)
    at = np.sort(np.random.default_rng(len(a)).normal(size=len(a)))
    x, y = rows(a, at), rows(b, at)
    assert o.energy_counts(a, b, at, sd=2.0) == pytest.approx(stats.energy_distance(x / 2, y / 2), abs=1e-9)


def kuiper_by_force(x, y):
    points = np.concatenate([x, y])
    gaps = [np.mean(x <= t) - np.mean(y <= t) for t in points]
    return max(0, *gaps) + max(0, *(-g for g in gaps))


def mmd_by_loops(x, y, bandwidth):
    def alike(u, v):
        return np.exp(-((u - v) ** 2) / (2 * bandwidth**2))

    xx = sum(alike(u, v) for i, u in enumerate(x) for j, v in enumerate(x) if i != j)
    yy = sum(alike(u, v) for i, u in enumerate(y) for j, v in enumerate(y) if i != j)
    xy = sum(alike(u, v) for u in x for v in y)
    return xx / len(x) / (len(x) - 1) + yy / len(y) / (len(y) - 1) - 2 * xy / len(x) / len(y)


@pytest.mark.parametrize(("a", "b"), [p for p in PAIRS if len(p[0]) < 30])
def test_kuiper_and_mmd_by_force(a, b):
    at = np.sort(np.random.default_rng(len(a)).normal(size=len(a)))
    x, y = rows(a, at), rows(b, at)
    assert o.kuiper_counts(a, b) == pytest.approx(kuiper_by_force(x, y), abs=1e-9)
    assert o.mmd_counts(a, b, at, bandwidth=0.7) == pytest.approx(mmd_by_loops(x, y, 0.7), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_median_distance_is_that_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    counts, at = rng.integers(0, 4, 12), np.sort(rng.normal(size=12))
    x = rows(counts, at)
    pairs = np.abs(x[:, None] - x)[np.triu_indices(len(x), 1)]
    assert o.median_distance(counts, at) == pytest.approx(np.median(pairs), abs=1e-12)


def test_median_distance_of_mostly_equal_rows():
    assert o.median_distance([50, 1, 1], [0, 1, 3]) == 2.0  # of 50 pairs at 1, one at 2, 50 at 3
    assert o.median_distance([5], [3.0]) == 0


def test_spread_of_anderson_darling_at_many_rows():
    assert o.anderson_darling_variance(400_000, 500_000) == pytest.approx(o.anderson_darling_variance(2e6, 3e6), rel=1e-4)


counts = st.integers(2, 10).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 300), min_size=k, max_size=k).filter(any) for _ in range(2)], st.integers(0, k))
)


@given(drawn=counts)
def test_laws_of_distances_of_ordered_cells(drawn):
    a, b, turn = np.array(drawn[0]), np.array(drawn[1]), drawn[2]
    at = np.arange(len(a))
    functions = {
        "ks": o.ks_counts,
        "kuiper": o.kuiper_counts,
        "energy": lambda r, c: o.energy_counts(r, c, at),
        "wasserstein": lambda r, c: wasserstein_counts(r, c, at),
        "cramer_von_mises": o.cramer_von_mises_counts,
    }
    for name, function in functions.items():
        found = float(function(a, b))
        assert found == pytest.approx(float(function(b, a)), abs=1e-6), name  # symmetric
        assert found == pytest.approx(float(function(a[::-1], b[::-1])), abs=1e-6), name  # up is not better than down
        if name != "cramer_von_mises":
            assert function(a, a) == pytest.approx(0, abs=1e-7)
            assert found >= -1e-12
    assert functions["ks"](a, b) <= functions["kuiper"](a, b) + 1e-12 <= 1 + 1e-9
    assert o.kuiper_counts(np.roll(a, turn), np.roll(b, turn)) == pytest.approx(
        o.kuiper_counts(a, b), abs=1e-9
    )  # a circle has no begin
    u = o.mann_whitney_u_counts(a, b)
    assert u + o.mann_whitney_u_counts(b, a) == pytest.approx(a.sum() * b.sum())
    if a.sum() + b.sum() > 3:
        assert np.isfinite(o.anderson_darling_counts(a, b))
        assert o.anderson_darling_counts(a, b) == pytest.approx(o.anderson_darling_counts(b[::-1], a[::-1]), abs=1e-6)


def test_many_counts_at_once():
    a, b = RNG.multinomial(200, [0.1] * 10, (4, 6)), RNG.multinomial(90, [0.1] * 10, (4, 6))
    at = np.linspace(-1, 1, 10)
    functions = [o.ks_counts, o.kuiper_counts, o.cramer_von_mises_counts, o.anderson_darling_counts, o.mann_whitney_u_counts]
    functions += [lambda r, c: o.energy_counts(r, c, at), lambda r, c: o.mmd_counts(r, c, at, bandwidth=0.5)]
    for function in functions:
        assert function(a, b).shape == (4, 6)
        assert function(a, b)[3, 2] == pytest.approx(function(a[3, 2], b[3, 2]))
