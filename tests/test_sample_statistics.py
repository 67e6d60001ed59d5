"""Statistics of two samples against scipy, brute force and permutations."""

import itertools
import warnings

import numpy as np
import pytest
from scipy import stats

from prodnb import resampling as r
from prodnb import row_tests as t
from prodnb import sample_statistics as s
from prodnb.ordered_distances import anderson_darling_counts, cramer_von_mises_counts, kuiper_counts

RNG = np.random.default_rng(0)
SAMPLES = {
    "plain": (RNG.normal(size=120), RNG.normal(0.3, 1.2, 80)),
    "small": (RNG.normal(size=9), RNG.normal(1, 1, 7)),
    "heavy": (RNG.standard_cauchy(300), RNG.standard_cauchy(150) + 0.2),
    "ties": (RNG.poisson(3, 150).astype(float), RNG.poisson(4, 90).astype(float)),
    "large": (RNG.normal(size=6000), RNG.normal(0.02, 1, 2500)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_values_equal_scipy(name):
    x, y = SAMPLES[name]
    few = {"repeats": 99}
    assert s.kolmogorov_smirnov(x, y, **few).statistic == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-9)
    assert s.cramer_von_mises(x, y, **few).statistic == pytest.approx(stats.cramervonmises_2samp(x, y).statistic, abs=1e-9)
    assert s.mann_whitney(x, y).statistic == pytest.approx(stats.mannwhitneyu(y, x).statistic, abs=1e-9)
    sd = x.std(ddof=1)
    assert s.wasserstein(x, y, **few).statistic == pytest.approx(stats.wasserstein_distance(x, y) / sd, abs=1e-9)
    assert s.energy(x, y, **few).statistic == pytest.approx(stats.energy_distance(x / sd, y / sd), abs=1e-9)
    assert s.wasserstein(x, y, sd=3.0, **few).statistic == pytest.approx(stats.wasserstein_distance(x, y) / 3, abs=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stats.anderson_ksamp([x, y], variant="midrank").statistic
    assert s.anderson_darling(x, y, **few).statistic == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["plain", "small", "heavy", "large"])
def test_p_is_that_of_scipy_where_it_has_it(name):
    x, y = SAMPLES[name]
    assert s.kolmogorov_smirnov(x, y).p == pytest.approx(stats.ks_2samp(x, y).pvalue, rel=1e-9)
    assert s.cramer_von_mises(x, y).p == pytest.approx(stats.cramervonmises_2samp(x, y).pvalue, abs=2e-7)
    assert s.mann_whitney(x, y).p == pytest.approx(stats.mannwhitneyu(y, x).pvalue, rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_scipy = stats.anderson_ksamp([x, y], variant="midrank").pvalue
    if name != "small" and 0.001 < by_scipy < 0.25:
        assert s.anderson_darling(x, y).p == pytest.approx(by_scipy, rel=0.15)


def test_how_p_was_found_is_said():
    x, y = SAMPLES["ties"]
    for function in (s.kolmogorov_smirnov, s.cramer_von_mises, s.anderson_darling, s.kuiper):
        assert "permutations" in function(x, y, repeats=99).method
    assert s.kolmogorov_smirnov(*SAMPLES["plain"]).method == "exact"
    assert s.cramer_von_mises(*SAMPLES["plain"]).method == "asymptotic"
    assert s.mann_whitney(*SAMPLES["small"]).method == "exact"
    assert s.mann_whitney(x, y).method == "normal approximation"


def test_far_tails_are_neither_zero_nor_cut():
    x = RNG.normal(size=400)
    small = [s.cramer_von_mises(x, x + shift).p for shift in (0.3, 0.6, 1.2, 2.4)]
    assert all(1 > a > b > 0 for a, b in itertools.pairwise(small))
    small = [s.anderson_darling(x, x + shift + 1e-9).p for shift in (0.3, 0.6, 1.2, 2.4)]
    assert all(1 > a > b > 0 for a, b in itertools.pairwise(small))
    assert small[-1] < 1e-30


@pytest.mark.parametrize(
    ("p_of", "counts_of", "shift"),
    [
        (lambda v, n, m: s.cramer_von_mises_p(v, n, m), cramer_von_mises_counts, 0.2),
        (lambda v, n, m: s.kuiper_p(v, n, m), kuiper_counts, 0.3),
        (lambda v, n, m: s.anderson_darling_p(1 + v * np.sqrt(s.anderson_darling_variance(n, m))), anderson_darling_counts, 0.2),
    ],
)
def test_asymptotic_p_agrees_with_permutations(p_of, counts_of, shift):
    rng = np.random.default_rng(5)
    for move in (0, shift / 2, shift):
        x, y = rng.normal(size=300), rng.normal(move, 1, 200)
        a, b, _ = r.count_values(x, y)
        by_permutation = r.resampled_p(counts_of, a, b, repeats=4000, seed=1)
        assert p_of(float(counts_of(a, b)), 300, 200) == pytest.approx(by_permutation, abs=4 * np.sqrt(0.25 / 4000))


def test_tails_join_the_series():
    for p_of, near in ((lambda v: s.cramer_von_mises_p(v, 10**6, 10**6), (1.5, 2.6)), (s.anderson_darling_p, (5.0, 7.0))):
        values = [p_of(v) for v in np.linspace(*near, 400)]
        assert (np.diff(values) <= 0).all()
        assert np.abs(np.diff(np.log(values))).max() < 0.1


def test_kuiper_p_against_its_published_table():
    """Stephens (1970): upper points of the modified statistic, 1.620, 1.747 and 2.001 at 10, 5 and 1 %."""
    for point, level in ((1.620, 0.10), (1.747, 0.05), (2.001, 0.01)):
        rows = 10**8
        e = np.sqrt(rows * rows / (2 * rows))
        assert s.kuiper_p(point / (e + 0.155 + 0.24 / e), rows, rows) == pytest.approx(level, rel=0.01)


def test_permutation_p_is_right_at_its_level():
    rng, seen = np.random.default_rng(2), []
    for i in range(300):
        a, b = rng.multinomial(40, [0.2] * 5), rng.multinomial(15, [0.2] * 5)
        seen.append(r.resampled_p(kuiper_counts, a, b, repeats=199, seed=i))
    assert np.mean(np.array(seen) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert 0.4 < np.mean(seen) < 0.75
    assert min(seen) >= 1 / 200


def test_resampled_counts_keep_both_margins_and_both_ways_agree():
    def totals(a, b):
        assert (a + b == np.array([3, 0, 4, 2])).all()
        return a.sum(-1)

    assert (r.resampled(totals, [2, 0, 1, 1], [1, 0, 3, 1], repeats=50) == 4).all()
    first = r.resampled(lambda a, b: a[:, 0], [20, 20], [10, 10], repeats=4000)  # counts
    rows = r.resampled(lambda a, b: a[:, :30].sum(-1), [1] * 40 + [0] * 20, [0] * 40 + [1] * 20, repeats=4000)  # rows
    for found in (first, rows):
        assert found.mean() == pytest.approx(20, abs=0.2)
        assert found.var() == pytest.approx(stats.hypergeom(60, 30, 40).var(), rel=0.12)


def test_levels():
    rng = np.random.default_rng(1)
    x, y = rng.choice([*"abc"], 300), rng.choice([*"abc"], 200)
    for likelihood, kind in ((False, "pearson"), (True, "log-likelihood")):
        counts = r.count_values(x, y)[:2]
        expected = stats.chi2_contingency(np.stack(counts), correction=False, lambda_=kind)
        p, how = t.chi_square_p(*counts, likelihood=likelihood)
        assert (p, how) == (pytest.approx(expected.pvalue, rel=1e-9), "asymptotic")
        assert "permutations" in t.chi_square_p(*r.count_values(x, np.append(y, "rare"))[:2], likelihood=likelihood)[1]
    few = t.chi_square_p([8, 1], [1, 3])
    assert few == (pytest.approx(stats.fisher_exact([[8, 1], [1, 3]]).pvalue), "Fisher's exact test")
    assert t.chi_square_p([5], [3])[0] == 1


def mmd_by_loops(x, y, bandwidth):
    def alike(u, v):
        return np.exp(-np.sum((u - v) ** 2) / (2 * bandwidth**2))

    xx = sum(alike(u, v) for i, u in enumerate(x) for j, v in enumerate(x) if i != j)
    yy = sum(alike(u, v) for i, u in enumerate(y) for j, v in enumerate(y) if i != j)
    xy = sum(alike(u, v) for u in x for v in y)
    return xx / len(x) / (len(x) - 1) + yy / len(y) / (len(y) - 1) - 2 * xy / len(x) / len(y)


@pytest.mark.parametrize("dimensions", [1, 4])
def test_mmd_by_loops_and_its_level(dimensions):
    rng = np.random.default_rng(dimensions)
    x, y = rng.normal(size=(25, dimensions)), rng.normal(0.5, 1, (18, dimensions))
    both = np.concatenate([x, y])
    width = np.median([np.linalg.norm(u - v) for i, u in enumerate(both) for v in both[:i]])
    assert t.mmd(x, y, repeats=9).statistic == pytest.approx(mmd_by_loops(x, y, width), abs=1e-9)
    p = [t.mmd(*rng.normal(size=(2, 20, dimensions)), repeats=99, seed=i).p for i in range(120)]
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
    assert t.mmd(x, x + 3, repeats=199).p == 1 / 200
    assert t.mmd([1.0, 1.0], [1.0, 1.0]).p == 1


def test_huge_values_do_not_overflow():
    x, y = SAMPLES["plain"]
    for factor in (1e300, 1e-300):
        assert s.wasserstein(x * factor, y * factor).statistic == pytest.approx(s.wasserstein(x, y).statistic, rel=1e-9)
        assert s.energy(x * factor, y * factor).statistic == pytest.approx(s.energy(x, y).statistic, rel=1e-9)


@pytest.mark.parametrize("bad", [[], [1.0, np.nan], [np.inf, 2.0], [[1.0], [2.0]]])
def test_what_cannot_be_used_is_refused(bad):
    for function in (s.kolmogorov_smirnov, s.wasserstein, s.kuiper, s.mann_whitney):
        with pytest.raises(ValueError, match=r"finite numbers"):
            function([1.0, 2.0], bad)
    with pytest.raises(ValueError, match="constant"):
        s.wasserstein([1.0, 1.0], [2.0])
    with pytest.raises(ValueError, match="two different values"):
        s.anderson_darling([1.0, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="two rows"):
        t.mmd([1.0], [2.0, 3.0])
