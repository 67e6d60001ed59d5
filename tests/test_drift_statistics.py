"""Every statistic with its p, interval and smallest detectable shift, on rows and on counts."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prodnb import detectable as dt
from prodnb.compared import DRIFT_STATISTICS, OF_SHARES, ON_CELLS, ON_ORDER, compare_counts
from prodnb.drift_statistics import GROWING, LIKE_SQUARES, drift_statistic
from prodnb.peer_scores import evidently_score, nannyml_value

RNG = np.random.default_rng(0)
X, Y = RNG.normal(10, 2, 700), RNG.normal(10.9, 2.4, 260)
LEVELS = RNG.choice([*"abcd"], 500), RNG.choice([*"abcde"], 300, p=[0.3, 0.3, 0.2, 0.1, 0.1])


def sound(found):
    """What must hold of any statistic, known or not."""
    assert found.method
    for value in (found.value, found.low, found.high, found.p, found.detectable):
        assert value is None or math.isfinite(value)
    if found.value is None:
        assert "not computed" in found.method
        assert (found.p, found.low, found.detectable) == (None, None, None)
    else:
        assert 0 <= found.p <= 1
        assert "p:" in found.method
        assert "detectable:" in found.method
    return found


@pytest.mark.parametrize("name", DRIFT_STATISTICS)
def test_every_statistic_on_rows_and_on_counts(name):
    rows = LEVELS if name in (*ON_CELLS, *OF_SHARES) else (X, Y)
    if name == "missing_rate_difference":
        rows = (np.where(RNG.random(700) < 0.1, np.nan, X), np.where(RNG.random(260) < 0.3, np.nan, Y))
    found = sound(drift_statistic(name, *rows, about="age"))
    assert (found.name, found.about, found.n_reference, found.n) == (name, "age", len(rows[0]), len(rows[1]))
    assert found.low <= found.value <= found.high
    assert found.p < 0.05
    assert found.detectable is not None
    counts = np.random.default_rng(1).multinomial(600, [0.1] * 10), np.random.default_rng(2).multinomial(250, [0.1] * 10)
    found = sound(drift_statistic(name, *counts, counts=True))
    assert found.p > 0.01
    assert "binned" in found.method
    assert found.detectable is not None


def test_values_are_those_of_scipy():
    sd = X.std(ddof=1)
    expected = {
        "wasserstein": stats.wasserstein_distance(X, Y) / sd,
        "energy": stats.energy_distance(X / sd, Y / sd),
        "kolmogorov_smirnov": stats.ks_2samp(X, Y).statistic,
        "cramer_von_mises": stats.cramervonmises_2samp(X, Y).statistic,
        "mann_whitney": stats.mannwhitneyu(Y, X).statistic,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected["anderson_darling"] = stats.anderson_ksamp([X, Y], variant="midrank").statistic
    for name, value in expected.items():
        assert drift_statistic(name, X, Y).value == pytest.approx(value, abs=1e-9)
    assert drift_statistic("kolmogorov_smirnov", X, Y).p == pytest.approx(stats.ks_2samp(X, Y).pvalue)


def test_counts_are_rows_at_the_midpoints():
    edges = np.linspace(0, 20, 31)
    middles = (edges[1:] + edges[:-1]) / 2
    a, b = (np.histogram(v, edges)[0] for v in (X, Y))
    rows = [np.repeat(middles, c) for c in (a, b)]
    for name in ON_ORDER:
        binned = drift_statistic(name, a, b, counts=True, positions=middles)
        assert binned.value == pytest.approx(drift_statistic(name, *rows).value, abs=1e-9), name
        assert "binned" in binned.method


@pytest.mark.parametrize("convention", ["evidently", "nannyml"])
def test_conventions_give_the_values_of_their_tools(convention):
    theirs = {"evidently": lambda n, **k: evidently_score(X, Y, test=n).score, "nannyml": lambda n: nannyml_value(X, Y, method=n)}
    names = {"evidently": ("psi", "jensen_shannon", "hellinger", "kullback_leibler", "wasserstein", "energy")}
    for name in names.get(convention, ("jensen_shannon", "hellinger", "wasserstein", "kolmogorov_smirnov")):
        found = sound(drift_statistic(name, X, Y, convention=convention))
        assert found.value == pytest.approx(theirs[convention](name), abs=1e-9), name
        assert found.method.startswith(convention)
    large = np.random.default_rng(5).normal(size=11_000)
    found = drift_statistic("wasserstein", large, Y, convention="nannyml")
    assert found.value == pytest.approx(nannyml_value(large, Y, method="wasserstein"))
    one_sample = drift_statistic("chi_square", *LEVELS, convention="evidently")
    assert one_sample.value is None  # a new level: infinite
    seen = LEVELS[1][LEVELS[1] != "e"]
    one_sample = sound(drift_statistic("chi_square", LEVELS[0], seen, convention="evidently"))
    assert one_sample.p == pytest.approx(evidently_score(LEVELS[0], seen, test="chi_square").score)
    assert "reference is taken as exact" in one_sample.method


AWKWARD = {
    "constant": (np.full(50, 3.0), np.full(40, 3.0)),
    "constant, moved": (np.full(50, 3.0), np.full(40, 4.0)),
    "reference constant": (np.full(50, 3.0), RNG.normal(size=40)),
    "current constant": (RNG.normal(size=40), np.full(50, 3.0)),
    "no current": (RNG.normal(size=40), np.array([])),
    "no reference": (np.array([]), RNG.normal(size=40)),
    "nothing": (np.array([]), np.array([])),
    "all missing": (RNG.normal(size=40), np.full(30, np.nan)),
    "all infinite": (np.full(30, np.inf), RNG.normal(size=40)),
    "one row each": (np.array([1.0]), np.array([2.0])),
    "one and two": (np.array([1.0]), np.array([2.0, 3.0])),
    "huge": (RNG.normal(size=25), np.append(RNG.normal(size=20), 1e300)),
    "huge both": (RNG.normal(size=20) * 1e300, RNG.normal(size=15) * 1e300),
    "ends of floats": (np.array([-1.7e308, 0, 1.7e308] * 9), np.array([-1.7e308, 1.0, 1.7e308] * 8)),
    "whole numbers": (RNG.integers(0, 5, 80), RNG.integers(0, 5, 70).astype(float)),
    "truth values": (RNG.random(60) < 0.5, RNG.random(50) < 0.2),
    "levels": LEVELS,
    "one level": (np.array(["a"] * 30), np.array(["a"] * 20)),
    "all new": (np.array(["a"] * 30), np.array(["b"] * 20)),
    "objects": (np.array(["a", None, 3, "b"] * 9, dtype=object), np.array(["a", None, 4] * 9, dtype=object)),
    "times": (np.datetime64("2026-01-01") + np.arange(20), np.datetime64("2026-01-09") + np.arange(15)),
}


THEIRS = {
    "evidently": ("psi", "kullback_leibler", "hellinger", "wasserstein", "chi_square"),
    "nannyml": ("jensen_shannon", "wasserstein"),
}
PAIRS = [("prodnb", name) for name in DRIFT_STATISTICS] + [(c, name) for c, names in THEIRS.items() for name in names]


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_rows_give_a_number_or_a_reason(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for convention, name in PAIRS:
            found = sound(drift_statistic(name, *AWKWARD[case], convention=convention))
            if case in ("no current", "no reference", "nothing"):
                assert found.value is None
            if case in ("constant", "one level") and found.value is not None:
                assert found.p == 1


def test_decided_values_of_constant_columns():
    same, moved = AWKWARD["constant"], AWKWARD["constant, moved"]
    assert drift_statistic("wasserstein", *same).value == 0
    assert drift_statistic("wasserstein", *moved).value is None
    assert "no standard deviation" in drift_statistic("wasserstein", *moved).method
    assert drift_statistic("wasserstein", *moved, convention="nannyml").value == 1
    assert drift_statistic("wasserstein", *moved, convention="evidently").value == 1000  # over a floor of 0.001
    assert drift_statistic("kolmogorov_smirnov", *moved).value == 1
    assert drift_statistic("kolmogorov_smirnov", *moved).p < 0.01
    assert drift_statistic("anderson_darling", *same).value is None
    assert drift_statistic("total_variation", *AWKWARD["all new"]).value == 1
    assert drift_statistic("new_level_share", *AWKWARD["all new"]).value == 1
    only = drift_statistic("total_variation", *AWKWARD["one level"])
    assert (only.value, only.p) == (0, 1)
    assert 0 < only.detectable < 0.5  # a new level would have been seen
    assert drift_statistic("missing_rate_difference", *AWKWARD["all missing"]).value == 1


@pytest.mark.parametrize(
    "counts", [([0, 0], [1, 2]), ([3, 0], [0, 0]), ([5], [7]), ([5, 0, 0], [0, 0, 7]), ([0, 9, 0], [0, 4, 0]), ([1, 0], [1, 1])]
)
def test_awkward_counts(counts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in DRIFT_STATISTICS:
            found = sound(drift_statistic(name, *counts, counts=True))
            assert (found.value is None) or all(sum(c) for c in counts)


@settings(max_examples=25, deadline=None)
@given(
    drawn=st.integers(1, 6).flatmap(
        lambda k: st.tuples(*[st.lists(st.integers(0, 40), min_size=k, max_size=k) for _ in range(2)])
    ),
    name=st.sampled_from(DRIFT_STATISTICS),
)
def test_any_counts_are_sound(drawn, name):
    found = sound(drift_statistic(name, *drawn, counts=True, comparisons=3))
    if found.low is not None:
        assert found.low <= found.value <= found.high


def test_mistakes_are_said():
    with pytest.raises(ValueError, match=r"no drift statistic 'ks'.*kolmogorov_smirnov"):
        drift_statistic("ks", X, Y)
    with pytest.raises(ValueError, match="nannyml has no drift statistic 'psi'"):
        drift_statistic("psi", X, Y, convention="nannyml")
    for bad in (([1, 2], [1, 2, 3]), ([-1, 2], [1, 2])):
        with pytest.raises(ValueError, match="counts >= 0"):
            drift_statistic("psi", *bad, counts=True)
    with pytest.raises(ValueError, match="ascending"):
        drift_statistic("wasserstein", [1, 2], [2, 1], counts=True, positions=[2, 1])
    with pytest.raises(ValueError, match="convention is one of"):
        drift_statistic("psi", X, Y, convention="whylogs")
    assert "levels have no order" in drift_statistic("wasserstein", *LEVELS).method


def test_the_seed_decides():
    first, again, other = (drift_statistic("psi", X, Y, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.value == other.value


FLAT = np.full(12, 250)  # 3,000 rows


@pytest.mark.parametrize(
    "name", ["psi", "jensen_shannon", "kolmogorov_smirnov", "wasserstein", "total_variation", "chi_square", "mmd"]
)
def test_a_detectable_shift_is_found_four_times_in_five(name):
    """The whole path: rows drawn at the reported shift, tested by the p-value that is reported, at the corrected level."""
    alpha, comparisons, m, looks = 0.05, 5, 600, 150
    seen = compare_counts(name, FLAT, FLAT // 5, positions=None)
    found = dt.smallest_detectable(
        seen.measure,
        FLAT,
        m,
        alpha=alpha / comparisons,
        ordered=name in ON_ORDER,
        squared=name not in LIKE_SQUARES,
        grows=name in GROWING,
    )
    stated = drift_statistic(name, FLAT, FLAT // 5, counts=True, alpha=alpha, comparisons=comparisons)
    assert stated.detectable == pytest.approx(found.value, rel=1e-9)
    rng, hits = np.random.default_rng(7), 0
    from prodnb.drift_statistics import _p_value

    for i in range(looks):
        a, b = rng.multinomial(FLAT.sum(), FLAT / FLAT.sum()), rng.multinomial(m, found.shares)
        p = _p_value(compare_counts(name, a, b), 999, i)[0]
        hits += p <= alpha / comparisons
    assert abs(hits / looks - 0.8) < 3 * np.sqrt(0.16 / looks) + 0.02


def test_detectable_shrinks_with_rows_and_grows_with_comparisons():
    sizes = [drift_statistic("psi", FLAT, FLAT // k, counts=True).detectable for k in (50, 5, 1)]
    assert sizes[0] > sizes[1] > sizes[2] > 0
    strict = [drift_statistic("wasserstein", FLAT, FLAT // 5, counts=True, comparisons=c).detectable for c in (1, 20, 1000)]
    assert strict[0] < strict[1] < strict[2]
    assert drift_statistic("kolmogorov_smirnov", [1, 1], [1, 1], counts=True).detectable is None


def test_detectable_agrees_with_the_formula_of_a_test_of_location():
    """Wasserstein on a bell-shaped column: the shift in sd is near that of a z-test."""
    bell = np.random.default_rng(0).multinomial(
        20_000, stats.norm.pdf(np.linspace(-3, 3, 41)) / stats.norm.pdf(np.linspace(-3, 3, 41)).sum()
    )
    found = drift_statistic("wasserstein", bell, bell // 20, counts=True, positions=np.linspace(-3, 3, 41))
    formula = (stats.norm.isf(0.025) + stats.norm.ppf(0.8)) * np.sqrt(1 / 20_000 + 1 / 1000)
    assert 0.9 < found.detectable / formula < 1.3


@pytest.mark.parametrize("amount", [0, 0.1, 0.3])
@pytest.mark.parametrize("name", ["total_variation", "jensen_shannon", "psi", "kolmogorov_smirnov", "wasserstein"])
def test_intervals_cover_the_truth(name, amount):
    """At no drift at all as well: there plain bootstrap intervals of distances nearly always leave out the truth."""
    from prodnb.drift_statistics import _p_value
    from prodnb.intervals import distance_interval

    p, n, m, inside, looks = np.full(10, 0.1), 3000, 800, 0, 80
    q = dt.tilt(p, amount)
    truth = drift_statistic(name, np.round(p * 10**8), np.round(q * 10**8), counts=True).value
    rng = np.random.default_rng(3)
    for i in range(looks):
        c = compare_counts(name, rng.multinomial(n, p), rng.multinomial(m, q), sd=np.std(np.arange(10)))
        low, high = distance_interval(
            c.measure, c.reference, c.current, p=_p_value(c, 199, i)[0], squared=name not in LIKE_SQUARES, repeats=200, seed=i
        )
        inside += low <= truth + 1e-6 and truth <= high + 1e-6
    assert inside / looks > 0.95 - 3 * np.sqrt(0.05 * 0.95 / looks)
