"""Distances and tests of counts against scipy and statsmodels."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import GofChisquarePower, TTestIndPower

from prodnb import distances as d

RNG = np.random.default_rng(0)
PAIRS = [(RNG.integers(0, 60, k), RNG.integers(0, 40, k)) for k in (2, 3, 8, 30, 200)] + [(np.array([5, 0]), np.array([0, 9]))]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_distances_equal_scipy(a, b):
    p, q = a / a.sum(), b / b.sum()
    assert d.total_variation(a, b) == pytest.approx(0.5 * np.abs(p - q).sum(), abs=1e-12)
    for base in (2, np.e):
        assert d.jensen_shannon(a, b, base=base) == pytest.approx(jensenshannon(p, q, base=base), abs=1e-9)
        assert d.jensen_shannon(a, b, base=base, root=False) == pytest.approx(jensenshannon(p, q, base=base) ** 2, abs=1e-9)
    positions = np.sort(np.random.default_rng(1).normal(size=len(a)))
    expected = stats.wasserstein_distance(positions, positions, a, b)
    assert d.wasserstein_counts(a, b, positions, sd=2.0) == pytest.approx(expected / 2, abs=1e-9)


def test_distances_take_many_counts_at_once():
    a, b = RNG.integers(1, 60, (7, 5)), RNG.integers(1, 60, (7, 5))
    for function in (d.total_variation, d.jensen_shannon, d.psi):
        np.testing.assert_allclose(function(a, b), [function(x, y) for x, y in zip(a, b, strict=True)])
    assert d.wasserstein_counts(a, b, np.arange(5)).shape == (7,)


def test_psi_conventions_for_empty_cells():
    a, b = [50, 50, 0], [40, 40, 20]
    p, q = np.array([0.5, 0.5, 1e-4]), np.array([0.4, 0.4, 0.2])
    assert d.psi(a, b) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert d.psi(a, b, zero="half") == pytest.approx(d.psi(np.add(a, 0.5), np.add(b, 0.5)))
    assert d.psi(a, b) > d.psi(a, b, zero=0.01)
    with pytest.raises(ValueError, match="half"):
        d.psi(a, b, zero="drop")


def test_arrays_equal_scipy():
    x, y = RNG.normal(size=100), RNG.normal(1, 2, size=80)
    assert d.wasserstein(x, y) == pytest.approx(stats.wasserstein_distance(x, y) / x.std(ddof=1))
    assert d.ks(x, y) == pytest.approx(tuple(stats.ks_2samp(x, y))[:2])


@pytest.mark.parametrize(("a", "b"), [(a + 20, b + 20) for a, b in PAIRS])
def test_chi_square_equals_scipy(a, b):
    found = d.chi_square(a, b)
    expected = stats.chi2_contingency([a, b], correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.cells == len(a)


@pytest.mark.parametrize("ordered", [True, False])
def test_pooled_cells_expect_enough_rows(ordered):
    for seed in range(50):
        rng = np.random.default_rng(seed)
        a, b = rng.poisson(rng.exponential(8, 20)), rng.poisson(rng.exponential(3, 20))
        x, y = d.pool_cells(a, b, ordered=ordered)
        assert (x.sum(), y.sum()) == (a.sum(), b.sum())
        share = (x + y) / (x + y).sum()
        assert len(x) == 1 or (np.outer([x.sum(), y.sum()], share) >= 5 - 1e-9).all()


def test_pooling_keeps_the_order_of_bins():
    x, _ = d.pool_cells([50, 1, 1, 50, 50], [50, 1, 1, 50, 50], ordered=True)
    assert x.tolist() == [50, 52, 50]


def test_mann_whitney_equals_scipy_on_ties():
    for a, b in PAIRS:
        x, y = (np.repeat(np.arange(len(c)), c) for c in (a, b))
        expected = stats.mannwhitneyu(y, x, use_continuity=False, method="asymptotic").pvalue
        assert d.mann_whitney_counts(a, b).p == pytest.approx(expected)


@pytest.mark.parametrize("counts", [([10, 0], [7, 0]), ([0, 0], [3, 4]), ([1], [1])])
def test_nothing_to_compare_is_no_finding(counts):
    assert d.mann_whitney_counts(*counts).p == 1
    assert d.chi_square(*counts).p == 1


def test_holm_equals_statsmodels():
    p = RNG.random(40) ** 4
    np.testing.assert_allclose(d.holm(p), multipletests(p, method="holm")[1])
    assert d.holm([]).size == 0


def test_detectable_has_the_power_it_names():
    shift = d.detectable_shift(400, 2000, alpha=0.01)
    assert TTestIndPower().power(shift, 400, 0.01, ratio=5) == pytest.approx(0.8, abs=0.005)
    least = d.detectable_variation(400, 2000, 2, alpha=0.01)
    effect, n = 2 * least, 1 / (1 / 400 + 1 / 2000)  # two equal cells
    assert GofChisquarePower().power(effect, n, 0.01, n_bins=2) == pytest.approx(0.8, abs=0.005)
    assert d.detectable_variation(5, 5, 1, alpha=0.05) == 1.0


def test_negative_or_no_counts_are_refused():
    for bad in ([0, 0], [-1, 2]):
        with pytest.raises(ValueError, match="counts"):
            d.total_variation(bad, [1, 1])
