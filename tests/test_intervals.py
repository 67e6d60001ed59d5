"""Intervals against statsmodels and scipy, and against their own promise: coverage."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from prodnb.intervals import clopper_pearson, distance_interval, newcombe, quantile_interval, wilson

CASES = [(0, 1), (1, 1), (0, 30), (30, 30), (3, 100), (250, 1000), (1, 10**6), (999_999, 10**6)]
LEVELS = [0.8, 0.95, 1 - 0.05 / 2000]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("ours", "method"), [(wilson, "wilson"), (clopper_pearson, "beta")])
def test_share_equals_statsmodels(ours, method, level):
    for k, n in CASES:
        expected = proportion_confint(k, n, alpha=1 - level, method=method)
        np.testing.assert_allclose(ours(k, n, level=level), expected, atol=1e-12)


def test_shares_are_vectorised():
    k, n = np.array(CASES).T
    for function in (wilson, clopper_pearson):
        low, high = function(k, n)
        np.testing.assert_array_equal(low, [function(*case)[0] for case in CASES])
        assert np.all((low <= k / n) & (k / n <= high) & (low >= 0) & (high <= 1))


@pytest.mark.parametrize("level", LEVELS)
def test_difference_equals_statsmodels(level):
    rng = np.random.default_rng(0)
    for _ in range(50):
        n, m = rng.integers(1, 500, 2)
        k, j = rng.integers(0, n + 1), rng.integers(0, m + 1)
        expected = confint_proportions_2indep(k, n, j, m, method="newcomb", compare="diff", alpha=1 - level)
        np.testing.assert_allclose(newcombe(k, n, j, m, level=level), expected, atol=1e-10)


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError, match="0 <= k <= n"):
        wilson(k, n)


@pytest.mark.parametrize("n", [1, 2, 30, 201])
@pytest.mark.parametrize("q", [0.05, 0.5, 0.95])
def test_quantile_interval_covers(n, q):
    rng = np.random.default_rng(n)
    truth, hits = stats.norm.ppf(q), 0
    for _ in range(400):
        low, high = quantile_interval(rng.normal(size=n), q)
        hits += low <= truth <= high
    enclosed = 1 - q**n - (1 - q) ** n  # by the extremes; where that is less than the level, one tail more is given up
    least = min(0.95, enclosed - 0.025)
    assert hits / 400 >= least - 3 * np.sqrt(max(least * (1 - least), 0) / 400)


def test_quantile_interval_refuses_nan():
    with pytest.raises(ValueError, match="no NaN"):
        quantile_interval([1.0, np.nan], 0.5)


def test_a_distance_holds_its_value_and_its_seed():
    def distance(a, b):
        return 0.5 * np.abs(a / a.sum(-1, keepdims=True) - b / b.sum(-1, keepdims=True)).sum(-1)

    options = {"p": 1e-9, "squared": True, "repeats": 2000}
    low, high = distance_interval(distance, [30_000, 70_000], [60, 40], **options)
    assert (low, high) == distance_interval(distance, [30_000, 70_000], [60, 40], **options)
    assert (low, high) != distance_interval(distance, [30_000, 70_000], [60, 40], seed=1, **options)
    np.testing.assert_allclose((low, high), np.array(wilson(60, 100)) - 0.3, atol=0.02)
    assert distance_interval(distance, [0, 70], [0, 7], p=1, squared=True) == (0.0, 0.0)
