"""Distances of counts against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

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


def test_negative_or_no_counts_are_refused():
    for bad in ([0, 0], [-1, 2]):
        with pytest.raises(ValueError, match="counts"):
            d.total_variation(bad, [1, 1])


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_further_distances_equal_their_formulas(a, b):
    p, q = a / a.sum(), b / b.sum()
    assert d.l_infinity(a, b) == pytest.approx(max(abs(p - q)), abs=1e-12)
    assert d.hellinger(a, b) == pytest.approx(np.sqrt(max(1 - np.sqrt(p * q).sum(), 0)), abs=1e-7)
    filled = [np.where(s == 0, 1e-4, s) for s in (p, q)]
    for base in (2, np.e):
        assert d.kullback_leibler(a, b, base=base) == pytest.approx(stats.entropy(*filled, base=base), abs=1e-9)
    assert d.kullback_leibler(a, b, zero="half") == pytest.approx(stats.entropy(a + 0.5, b + 0.5), abs=1e-9)


@pytest.mark.parametrize(("a", "b"), [*PAIRS, (np.array([30, 0, 7, 3]), np.array([25, 0, 0, 9]))])
def test_statistics_of_tests_equal_scipy(a, b):
    held = np.stack([a, b])[:, a + b > 0]
    for ours, kind in ((d.chi_square_statistic, "pearson"), (d.g_statistic, "log-likelihood")):
        expected = stats.chi2_contingency(held, correction=False, lambda_=kind).statistic
        assert ours(a, b) == pytest.approx(expected, rel=1e-9)
    assert d.cramers_v(a, b) == pytest.approx(stats.contingency.association(held, method="cramer"), rel=1e-9)


def bergsma(table):
    """The formulas of the paper, one after the other."""
    n, (r, c) = table.sum(), table.shape
    phi2 = max(0, stats.chi2_contingency(table, correction=False).statistic / n - (r - 1) * (c - 1) / (n - 1))
    return np.sqrt(phi2 / min(c - (c - 1) ** 2 / (n - 1) - 1, r - (r - 1) ** 2 / (n - 1) - 1))


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_corrected_cramers_v(a, b):
    held = np.stack([a, b])[:, a + b > 0]
    assert d.cramers_v(a, b, corrected=True) == pytest.approx(min(bergsma(held), 1), abs=1e-9)


def test_corrected_cramers_v_is_near_zero_on_one_distribution():
    rng = np.random.default_rng(3)
    a, b = rng.multinomial(400, [1 / 30] * 30, (2, 500))
    assert d.cramers_v(a, b).mean() > 0.15
    assert d.cramers_v(a, b, corrected=True).mean() < 0.05


def test_empty_cells_by_convention():
    few = [50, 50, 0]
    assert d.filled_shares(few)[2] == 1e-4
    assert d.filled_shares(few, zero="smallest")[2] == 1e-4
    many = [5, 99_995, 0]
    assert d.filled_shares(many, zero="smallest")[2] == pytest.approx(5e-5 / 1e6)
    both = d.filled_shares([few, [1, 1, 2]], zero="smallest")
    assert both.shape == (2, 3)
    assert d.filled_shares(few, zero="half").sum() == pytest.approx(1)
    for bad in (0, -1.0, "none"):
        with pytest.raises(ValueError, match="smallest"):
            d.filled_shares(few, zero=bad)


def test_missing_and_new():
    assert d.missing_rate_difference([90, 10], [60, 40]) == pytest.approx(0.3)
    assert d.new_level_share([5, 0, 0], [5, 3, 2]) == pytest.approx(0.5)
    assert d.new_level_share([[5, 0], [0, 5]], [[1, 1], [4, 1]]).tolist() == [0.5, 0.8]


CELL_DISTANCES = {
    "total_variation": 1,
    "l_infinity": 1,
    "hellinger": 1,
    "jensen_shannon": 1,
    "cramers_v": 1,
    "psi": np.inf,
    "kullback_leibler": np.inf,
    "chi_square_statistic": np.inf,
    "g_statistic": np.inf,
}
counts = st.integers(2, 12).flatmap(
    lambda k: st.tuples(
        *[st.lists(st.integers(0, 500), min_size=k, max_size=k).filter(any) for _ in range(2)], st.permutations(range(k))
    )
)


@pytest.mark.parametrize(("name", "most"), CELL_DISTANCES.items())
@given(drawn=counts)
def test_laws_of_distances_of_cells(name, most, drawn):
    distance, (a, b, order) = getattr(d, name), (np.array(v) for v in drawn)
    found = float(distance(a, b))
    assert 0 <= found <= most + 1e-12
    assert distance(a, a) == pytest.approx(0, abs=1e-6)
    assert found == pytest.approx(float(distance(a[order], b[order])), rel=1e-9, abs=1e-9)  # cells have no order
    if name != "kullback_leibler":
        assert found == pytest.approx(float(distance(b, a)), rel=1e-9, abs=1e-9)
    if name not in ("chi_square_statistic", "g_statistic"):
        assert found == pytest.approx(float(distance(3 * a, 3 * b)), rel=1e-9, abs=1e-9)  # how far is not how surprising


def test_all_distances_take_many_counts_at_once():
    a, b = RNG.integers(1, 60, (3, 7, 5)), RNG.integers(1, 60, (3, 7, 5))
    for name in CELL_DISTANCES:
        function = getattr(d, name)
        assert function(a, b).shape == (3, 7)
        assert function(a, b)[2, 3] == pytest.approx(function(a[2, 3], b[2, 3]))
        assert function(a[0, 0], b).shape == (3, 7)
