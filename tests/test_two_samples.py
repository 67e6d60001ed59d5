"""Tests of counts against scipy, statsmodels, and shuffling itself."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import GofChisquarePower, TTestIndPower

from prodnb import power as d
from prodnb import two_samples as t
from prodnb.dependence import design_effects, design_share
from prodnb.tails import hypergeometric_tail, tail_score

RNG = np.random.default_rng(0)
PAIRS = [(RNG.integers(0, 60, k), RNG.integers(0, 40, k)) for k in (2, 3, 8, 30, 200)] + [(np.array([5, 0]), np.array([0, 9]))]


@pytest.mark.parametrize(("a", "b"), [(a + 20, b + 20) for a, b in PAIRS])
def test_chi_square_equals_scipy(a, b):
    found = t.chi_square(a, b)
    expected = stats.chi2_contingency([a, b], correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.cells == len(a)


@pytest.mark.parametrize("ordered", [True, False])
def test_pooled_cells_expect_enough_rows(ordered):
    for seed in range(50):
        rng = np.random.default_rng(seed)
        a, b = rng.poisson(rng.exponential(8, 20)), rng.poisson(rng.exponential(3, 20))
        x, y = t.pool_cells(a, b, ordered=ordered)
        assert (x.sum(), y.sum()) == (a.sum(), b.sum())
        share = (x + y) / (x + y).sum()
        assert len(x) == 1 or (np.outer([x.sum(), y.sum()], share) >= 5 - 1e-9).all()


def test_pooling_keeps_the_order_of_bins():
    x, _ = t.pool_cells([50, 1, 1, 50, 50], [50, 1, 1, 50, 50], ordered=True)
    assert x.tolist() == [50, 52, 50]


def test_mann_whitney_equals_scipy_on_ties():
    for a, b in PAIRS:
        x, y = (np.repeat(np.arange(len(c)), c) for c in (a, b))
        expected = stats.mannwhitneyu(y, x, use_continuity=False, method="asymptotic").pvalue
        assert t.mann_whitney_counts(a, b).p == pytest.approx(expected)


@pytest.mark.parametrize("counts", [([10, 0], [7, 0]), ([0, 0], [3, 4]), ([1], [1])])
def test_nothing_to_compare_is_no_finding(counts):
    assert t.mann_whitney_counts(*counts).p == 1
    assert t.chi_square(*counts).p == 1


def test_holm_equals_statsmodels():
    p = RNG.random(40) ** 4
    np.testing.assert_allclose(t.holm(p), multipletests(p, method="holm")[1])
    np.testing.assert_allclose(t.benjamini_hochberg(p), multipletests(p, method="fdr_bh")[1])
    assert t.holm([]).size == t.benjamini_hochberg([]).size == 0


def test_detectable_has_the_power_it_names():
    shift = d.detectable_shift(400, 2000, alpha=0.01)
    assert TTestIndPower().power(shift, 400, 0.01, ratio=5) == pytest.approx(0.8, abs=0.005)
    least = d.detectable_variation(400, 2000, 2, alpha=0.01)
    effect, n = 2 * least, 1 / (1 / 400 + 1 / 2000)  # two equal cells
    assert GofChisquarePower().power(effect, n, 0.01, n_bins=2) == pytest.approx(0.8, abs=0.005)
    assert d.detectable_variation(5, 5, 1, alpha=0.05) == 1.0


@pytest.mark.parametrize(("a", "b"), [(a + 20, b + 20) for a, b in PAIRS])
def test_g_equals_scipy(a, b):
    expected = stats.chi2_contingency([a, b], correction=False, lambda_="log-likelihood")
    assert t.g_test(a, b)[:2] == pytest.approx((expected.statistic, expected.pvalue))


def test_location_is_mann_whitney_where_rows_are_many():
    rng = np.random.default_rng(1)
    for _ in range(20):
        weights = rng.dirichlet(np.ones(12))
        a, b = rng.multinomial(4000, weights), rng.multinomial(900, weights)
        found, plain = t.location_test(a, b), t.mann_whitney_counts(a, b)
        assert found.z == pytest.approx(plain.statistic)
        assert found.p == pytest.approx(plain.p, rel=0.15)
        assert found.p >= plain.p * 0.97
        assert found.p == min(1, 2 * min(found.p_greater, found.p_less))


def test_two_cells_are_fishers_exact_test():
    for a, b in (([95, 5], [20, 9]), ([9990, 10], [990, 8]), ([40, 3], [2, 30]), ([50, 0], [40, 4])):
        for side, key in (("less", "p_greater"), ("greater", "p_less")):
            exact = stats.fisher_exact([a, b], alternative=side)[1]  # scipy's side is that of the first cell of the first row
            assert getattr(t.location_test(a, b), key) == pytest.approx(stats.fisher_exact([b, a], alternative=side)[1])
            assert 0 <= exact <= 1
    assert t.shape_test([9990, 10, 0], [990, 4, 4], min_expected=0.5).p == t.location_test([9990, 10], [990, 8]).p


def test_two_cells_by_stratum_are_cochran_mantel_haenszel():
    rng = np.random.default_rng(2)
    a, b = rng.integers(5, 60, (6, 2)), rng.integers(5, 60, (6, 2))
    tables = StratifiedTable([np.array([x, y]) for x, y in zip(a, b, strict=True)])
    assert t._association(a.astype(float), b.astype(float))[0] == pytest.approx(tables.test_null_odds().statistic)


def test_one_stratum_is_pearson_with_the_exact_variance():
    rng = np.random.default_rng(3)
    a, b = rng.multinomial(5000, [0.1] * 10), rng.multinomial(700, [0.1] * 10)
    rows = a.sum() + b.sum()
    assert t.shape_test(a, b).statistic == pytest.approx(t.chi_square(a, b).statistic * (rows - 1) / rows)
    assert t.shape_test(a, b).p == pytest.approx(t.chi_square(a, b).p, rel=0.1)
    by_matrix = t._association(np.stack([a, 0 * a]).astype(float)[:1], b[None].astype(float))[0]
    twice = t._association(np.stack([a, a]).astype(float), np.stack([b, b]).astype(float))
    assert twice == (pytest.approx(2 * by_matrix), 9)


TABLES = {  # rows of both samples by stratum and cell, current rows by stratum
    "thirty against a thousand": ([[1000, *[1] * 30]], [30]),
    "ten rare rows": ([[10_990, *[1] * 10]], [1000]),
    "heavy tail": ([[1000] * 5 + [300, 100, 30, 10, 3, 1]], [300]),
    "five rows": ([[444] * 25], [5]),
    "rare, in a hundred strata": ([[99, 1, 0]] * 50 + [[95, 3, 2]] * 50, [20] * 100),
    "unequal strata": ([[500] * 10, [3, 1, 1] + [0] * 7, [2] * 10], [30, 2, 15]),
}


def dealt(rng, tables, drawn, times):
    return np.stack([rng.multivariate_hypergeometric(c, n, size=times) for c, n in zip(tables, drawn, strict=True)], axis=1)


@pytest.mark.parametrize("name", TABLES)
def test_tails_are_never_too_small(name):
    """Dealt at random, p < level comes no more often than the level says."""
    tables, drawn = (np.array(x) for x in TABLES[name])
    times = 20_000 if len(tables) > 5 else 100_000
    found = dealt(np.random.default_rng(0), tables, drawn, times)
    rows = tables.sum(1, keepdims=True)
    scores = (np.cumsum(tables, 1) - tables / 2 - rows / 2) / (rows + 1)
    sums, which, often = np.unique((found * scores).sum((1, 2)).round(12), return_index=True, return_counts=True)
    beyond = np.cumsum(often[::-1])[::-1] / times  # the chance of such a sum or a larger one
    for chance in (0.1, 0.01, 1e-3):
        at = np.searchsorted(-beyond, -chance)
        for k in range(at, min(at + 3, len(sums))):
            p = t.location_test(tables - found[which[k]], found[which[k]]).p_greater
            assert p > beyond[k] - 3 * np.sqrt(beyond[k] / times), (chance, p, beyond[k])
            assert p < 40 * beyond[k] + 10 / times


@pytest.mark.parametrize(("rows", "drawn", "k"), [(1050, 50, 3), (1050, 50, 10), (101_000, 1000, 5), (200, 100, 8)])
def test_shape_holds_its_level_at_five_expected_rows(rows, drawn, k):
    """Pearson's own p-value is up to six times too small here."""
    cell = int(np.ceil(5 * rows / min(drawn, rows - drawn)))
    tables = np.array([cell] * (k - 1) + [rows - cell * (k - 1)])
    times = 3000
    found = dealt(np.random.default_rng(0), [tables], [drawn], times)[:, 0]
    p = np.array([t.shape_test(tables - x, x).p for x in found])
    for level in (0.2, 0.05, 0.01, 1e-3):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / times)
    assert (p <= 0.2).mean() > 0.1


def test_shape_by_stratum_holds_its_level():
    rng = np.random.default_rng(1)
    tables, drawn = rng.integers(1, 40, (24, 12)) * rng.integers(1, 4, (24, 1)), np.full(24, 12)
    p = np.array([t.shape_test(tables - x, x).p for x in dealt(rng, tables, drawn, 1500)])
    for level in (0.2, 0.05, 0.01):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / len(p))
    assert (p <= 0.2).mean() > 0.1


def test_strata_with_one_side_only_say_nothing_and_many_strata_are_quick():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 30, (168, 200)), rng.integers(0, 3, (168, 200))
    alone = np.concatenate([b, np.full((1, 200), 7)])
    assert t.shape_test(np.concatenate([a, np.zeros((1, 200))]), alone).p == pytest.approx(t.shape_test(a, b).p)
    assert t.location_test(np.concatenate([a, np.zeros((1, 200))]), alone) == pytest.approx(t.location_test(a, b))


@pytest.mark.parametrize(
    ("a", "b"),
    [([0, 0], [3, 4]), ([5, 0], [7, 0]), ([[0, 0], [0, 0]], [[1, 2], [0, 0]]), ([1], [1]), ([0], [0]), ([1, 0], [0, 1])],
)
def test_nothing_to_deal_is_no_finding(a, b):
    assert t.location_test(a, b).p == 1
    assert t.shape_test(a, b).p == 1


def test_far_tails_are_numbers_even_of_a_billion_rows():
    found = t.location_test([10**9, 0], [0, 10**9])
    assert (found.p_greater, found.p_less, found.p) == (0.0, 1.0, 0.0)
    assert t.location_test([10**9, 10**6], [10**9, 10**6]).p == pytest.approx(1, abs=1e-3)
    assert tail_score([[5, 5]], [5], [[-0.5, 0.5]], -2.5) == -np.inf
    assert hypergeometric_tail(5000, 10_000, 5000, 10_000) is None


def test_rows_that_count_less_move_less():
    a, b = np.array([400, 400, 400]), np.array([80, 100, 130])
    for test in (t.location_test, t.shape_test):
        plain, fewer = test(a, b), test(a, b, phi=4.0)
        assert plain.p < fewer.p < test(a, b, phi=4.0, df=7).p
    assert t.location_test(a, b, phi=4.0).p == pytest.approx(t.location_test(a // 4, b // 4).p, rel=0.3)
    assert d.detectable_shift(100, 100, alpha=0.01, df=9) > d.detectable_shift(100, 100, alpha=0.01)
    assert d.detectable_variation(100, 100, 4, alpha=0.01, df=9) > d.detectable_variation(100, 100, 4, alpha=0.01)


def test_location_of_blocks_is_kruskal_wallis():
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 9, (12, 7))
    expected = stats.kruskal(*[np.repeat(np.arange(7), c) for c in counts])
    found = design_effects(counts, level=1.0)
    assert found.p_location == pytest.approx(expected.pvalue)
    assert found.location == pytest.approx(max(expected.statistic / 11, 1))
    counts = rng.integers(20, 40, (12, 7))
    chi, rows = stats.chi2_contingency(counts), counts.sum()
    assert design_effects(counts).p_shape == pytest.approx(stats.chi2.sf(chi.statistic * (rows - 1) / rows, chi.dof))


def test_blocks_of_independent_rows_show_no_dependence_and_alike_rows_do():
    rng = np.random.default_rng(5)
    weights = rng.dirichlet(np.ones(8), 3)  # three strata
    independent = np.stack([[rng.multinomial(60, w) for w in weights] for _ in range(300 * 20)]).reshape(300, 20, 3, 8)
    found = [design_effects(x) for x in independent]
    assert np.mean([f.location == f.shape == 1 for f in found]) > 0.85
    assert stats.kstest([f.p_location for f in found], "uniform").pvalue > 1e-3
    alike = np.stack([[5 * rng.multinomial(60, w) for w in weights] for _ in range(100 * 20)]).reshape(100, 20, 3, 8)
    effects = [design_effects(x) for x in alike]  # each row five times: all directions alike
    assert np.mean([e.location for e in effects]) == pytest.approx(5, rel=0.1)
    assert np.mean([e.shape for e in effects]) == pytest.approx(5, rel=0.15)
    assert np.mean([design_share(x) for x in alike]) > 0.8
    assert design_effects(independent[0, :2]).location == 1
