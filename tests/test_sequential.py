"""Bets on counts and what grows from them: fair, exact, and never wearing out."""

import json
from itertools import product

import numpy as np
import pytest
from scipy import stats

from prodnb.bets import bet_weights, log_bets, log_moment, ordered_scores, without_seldom
from prodnb.sequential import (
    Monitor,
    e_bh,
    e_bh_adjusted,
    grown,
    smallest_sustained,
    start_weights,
    weight_left,
)


def all_draws(total: list[int], rows: int) -> np.ndarray:
    """Every way to draw so many rows from the cells."""
    return np.array([c for c in product(*(range(n + 1) for n in total)) if sum(c) == rows])


@pytest.mark.parametrize(("ones", "zeros"), [(3, 60), (1, 40), (20, 60), (40, 2000), (500, 500)])
@pytest.mark.parametrize("tilt", [-2.0, -0.3, 0.2, 1.0, 2.5])
def test_the_price_of_a_bet_is_that_of_scipy(ones, zeros, tilt):
    for rows in (1, 5, 30, 37):
        held = np.arange(max(0, rows - zeros), min(ones, rows) + 1)
        exact = np.log((stats.hypergeom.pmf(held, ones + zeros, ones, rows) * np.exp(tilt * held)).sum())
        price = float(log_moment([tilt, 0.0], [ones, zeros], rows))
        assert price > exact - 1e-4  # never too cheap
        if rows >= 30 and min(rows, ones + zeros - rows) > 20:
            assert price == pytest.approx(exact, abs=1e-3)


def test_the_price_over_many_cells_is_that_of_a_simulation():
    rng = np.random.default_rng(0)
    total, tilt = np.array([30, 5, 200, 12, 90]), np.array([0.2, -0.5, 0.0, 0.4, -0.1])
    draws = rng.multivariate_hypergeometric(total, 80, size=400_000)
    assert float(log_moment(tilt, total, 80)) == pytest.approx(np.log(np.exp(draws @ tilt).mean()), abs=0.02)


@pytest.mark.parametrize("ordered", [0, 3])
@pytest.mark.parametrize(("total", "rows"), [([6, 4, 5, 3], 5), ([12, 0, 9, 1], 9), ([8, 8, 2, 7], 12)])
def test_every_bet_is_fair_over_all_draws(total, rows, ordered):
    draws = all_draws(total, rows)
    chance = np.exp(stats.multivariate_hypergeom.logpmf(draws, total, rows))
    assert chance.sum() == pytest.approx(1)
    bets = np.exp(log_bets((np.array(total) - draws)[:, None], draws[:, None], ordered=ordered))
    mean = chance @ bets
    assert mean.max() < 1 + 1e-3
    weights = bet_weights(len(total), ordered)
    assert weights.sum() == pytest.approx(1)
    assert weights @ mean > 0.6  # not much is given away, though these samples are tiny


def test_nothing_to_compare_is_worth_one():
    empty, some = np.zeros((1, 4)), np.array([[3, 4, 0, 1]])
    for reference, current in (
        (empty, some),
        (some, empty),
        (empty, empty),
        (np.array([[9, 0, 0, 0]]), np.array([[4, 0, 0, 0]])),
    ):
        for ordered in (0, 2):
            bets = log_bets(reference, current, ordered=ordered)
            assert np.abs(bets).max() < 1e-9
            assert bets.shape == bet_weights(4, ordered).shape


def test_strata_are_compared_each_with_its_own():
    rng = np.random.default_rng(0)
    winter, summer = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.2, 0.7])
    reference = np.stack([rng.multinomial(500, winter), rng.multinomial(500, summer)])
    chunk = np.stack([rng.multinomial(300, winter), rng.multinomial(0, summer)])
    weights = bet_weights(3)
    apart = np.log(weights @ np.exp(log_bets(reference, chunk)))
    together = np.log(weights @ np.exp(log_bets(reference.sum(0)[None], chunk.sum(0)[None])))
    assert apart < 1
    assert together > 20


@pytest.mark.parametrize("huge", [10**6, 10**9])
def test_huge_counts_stay_finite_and_a_shift_that_does_not_matter_loses(huge):
    shares = np.full(10, 0.1)
    tiny = shares * (1 + 0.01 * np.linspace(-1, 1, 10))
    for chunk in (shares * huge, tiny * huge, np.eye(10)[3] * huge):
        bets = log_bets(np.round(shares * huge)[None], np.round(chunk)[None], ordered=8)
        assert np.isfinite(bets).all()
    assert log_bets(np.round(shares * huge)[None], np.round(tiny * huge)[None], ordered=8).max() < 2


def test_scores_are_those_of_normal_ranks():
    rng = np.random.default_rng(0)
    total = rng.multinomial(100_000, np.full(40, 1 / 40))
    location, spread = ordered_scores(total)
    share = total / total.sum()
    for score in (location, spread):
        assert share @ score == pytest.approx(0, abs=1e-9)
        assert share @ score**2 == pytest.approx(1)
    assert share @ (location * spread) == pytest.approx(0, abs=1e-9)
    middle = stats.norm.ppf(np.cumsum(share) - share / 2)
    assert np.corrcoef(location, middle)[0, 1] > 0.9999


def test_levels_named_by_luck_do_not_alarm():
    """Hundreds of levels of the same share: those named are the ones that the reference happens to hold often."""
    rng = np.random.default_rng(0)
    n, m, shares = 1000, 500, np.full(300, 1 / 300)
    worst = []
    for kept in (True, False):
        trails = []
        for _ in range(20):
            reference, chunks = rng.multinomial(n, shares), rng.multinomial(m, shares, 20)
            named = reference >= 5
            cells = [
                np.concatenate([x[..., named], x[..., ~named].sum(-1, keepdims=True), 0 * x[..., :2]], -1)
                for x in (reference, chunks)
            ]
            options = {"named": int(named.sum()), "least": 2.4 * 5 / n} if kept else {}
            monitor = Monitor(cells=len(cells[0]), **options)
            trails.append(monitor.update(cells[0][None], cells[1][:, None])[1].max())
        worst.append(max(trails))
    assert worst[0] < np.log(20)
    assert worst[1] > 10 * np.log(20)  # without the rule every one of them alarms
    before, now = without_seldom([[500, 5, 95, 0]], [[50, 0, 10, 0]], named=2, least=0.02)
    assert (before.tolist(), now.tolist()) == ([[500, 0, 100, 0]], [[50, 0, 10, 0]])


def test_starts_sum_to_one_for_ever():
    for looks in (1, 10, 1000):
        assert start_weights(1, looks).sum() + weight_left(looks) == pytest.approx(1)
    assert weight_left(10**6) > 0


def test_grown_is_the_sum_over_all_starts():
    rng = np.random.default_rng(0)
    bets, weights = rng.normal(0, 0.5, (12, 3)), np.array([0.5, 0.3, 0.2])
    _, trail = grown(bets, weights)
    for t in range(12):
        parts = [w * np.exp(bets[j : t + 1].sum(0)) @ weights for j, w in enumerate(start_weights(1, t + 1))]
        assert np.exp(trail[t]) == pytest.approx(sum(parts) + weight_left(t + 1))
    half, first = grown(bets[:5], weights)
    _, rest = grown(bets[5:], weights, stakes=half, first=6)
    assert np.concatenate([first, rest]) == pytest.approx(trail)


def test_a_monitor_goes_on_from_its_json():
    rng = np.random.default_rng(1)
    reference, chunks = rng.multinomial(800, np.full(6, 1 / 6))[None], rng.multinomial(70, np.full(6, 1 / 6), 9)[:, None]
    whole, trail = Monitor(cells=6, ordered=4).update(reference, chunks)
    monitor, seen = Monitor(cells=6, ordered=4), []
    for chunk in chunks:
        monitor, step = Monitor.from_dict(json.loads(json.dumps(monitor.to_dict()))).update(reference, chunk[None])
        seen += step.tolist()
    assert (monitor.looks, monitor.rows, monitor.seen) == (whole.looks, whole.rows, whole.seen)
    assert monitor.stakes == pytest.approx(whole.stakes)
    assert seen == pytest.approx(trail.tolist())
    assert whole.update(reference, chunks[:0])[0] == whole


def test_e_bh_by_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(50):
        e, alpha = np.exp(rng.normal(2, 2.5, 12)), 0.1
        ranked = np.sort(e)[::-1]
        most = max((k for k in range(1, 13) if ranked[k - 1] >= 12 / (k * alpha)), default=0)
        assert e_bh(np.log(e), alpha).sum() == most
        adjusted = e_bh_adjusted(np.log(e))
        assert ((adjusted <= alpha) == e_bh(np.log(e), alpha)).all()
        assert (np.diff(adjusted[np.argsort(-e)]) >= -1e-12).all()


def histories(rng: np.random.Generator, n: int, m: int, looks: int, shift: float = 0.0, at: int = 26, repeats: int = 1):
    """Counts of a normal column over bins that the reference chose, chunk by chunk."""
    for _ in range(repeats):
        x = np.sort(rng.normal(size=n))
        edges = np.r_[x[0] - 1e-9, np.quantile(x, np.r_[0.01, 0.025, np.arange(0.05, 0.96, 0.05), 0.975, 0.99]), x[-1]]
        reference = np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1)
        before, after = (np.diff(np.r_[0, stats.norm.cdf(edges - s), 1]) for s in (0, shift))
        chunks = np.concatenate([rng.multinomial(m, before, at), rng.multinomial(m, after, looks - at)])
        yield reference[None], chunks[:, None]


def test_twenty_clean_columns_stay_silent_for_a_year():
    """Any alarm in at most 5 % of the histories: of 20, one at most is what 5 % allow but for one chance in four."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(12):
        trails = []
        for reference, chunks in histories(rng, 1000, 50, 52, repeats=10):
            trails.append(Monitor(cells=reference.shape[1], ordered=reference.shape[1]).update(reference, chunks)[1])
        for k in (2, 2, 3, 5, 8, 12, 20, 30, 50, 50):
            shares = 1 / np.arange(1, k + 1)
            shares /= shares.sum()
            trails.append(
                Monitor(cells=k).update(rng.multinomial(1000, shares)[None], rng.multinomial(50, shares, 52)[:, None])[1]
            )
        alarms += any(e_bh(now, 0.05).any() for now in np.array(trails).T)
    assert alarms <= 1


@pytest.mark.parametrize(("n", "m"), [(10_000, 50), (1000, 50)])
def test_half_a_deviation_is_seen_within_twice_the_rows_of_a_fixed_test(n, m):
    rng, delays = np.random.default_rng(0), []
    for reference, chunks in histories(rng, n, m, 40, shift=0.5, repeats=40):
        _, trail = Monitor(cells=reference.shape[1], ordered=reference.shape[1]).update(reference, chunks)
        delays.append((np.flatnonzero(np.append(trail, np.inf) >= np.log(400))[0] + 1 - 26) * m)
    z = stats.norm.isf(0.05 / (52 * 20) / 2) + stats.norm.ppf(0.8)
    assert np.median(delays) <= 2 / ((0.5 / z) ** 2 - 1 / n)


def test_the_smallest_sustained_shift_is_seen_four_times_in_five():
    rng, n, m, looks = np.random.default_rng(0), 3000, 60, 20
    weights = bet_weights(27, 27)[:4]
    shift = smallest_sustained([m] * looks, n, columns=20, alpha=0.05, weights=weights)
    assert 0.1 < shift < 0.5
    seen = [
        (Monitor(cells=r.shape[1], ordered=r.shape[1]).update(r, c)[1] >= np.log(400)).any()
        for r, c in histories(rng, n, m, looks, shift=shift, at=0, repeats=60)
    ]
    assert 0.68 <= np.mean(seen) <= 0.98
    assert smallest_sustained([m] * looks, n, columns=20, alpha=0.05, weights=weights, phi=5) > 1.5 * shift
    assert smallest_sustained([], n, columns=20, alpha=0.05, weights=weights) == 100


def test_new_extremes_are_a_fair_bet_if_the_old_ones_are_counted_with_them():
    """Rows beyond all n rows of a reference: of the k + 1 largest values of both, the largest k are the chunk's, and the next is the reference's."""
    n, m = 1000, 50
    k = np.arange(12)
    chance = np.cumprod(np.r_[1, (m - k[:-1]) / (n + m - k[:-1])]) * n / (n + m - k)
    assert chance.sum() == pytest.approx(1, abs=1e-9)

    def mean(own: int) -> np.ndarray:
        bets = [log_bets([[own, n - own]], [[held, m - held]])[:8] for held in k]  # on the first cell
        return chance @ np.exp(bets)

    assert mean(1).max() < 1.02
    assert mean(0).max() > 1.5  # as if the reference had none: not fair


def test_formulas_are_whole():
    """A backslash that was read as an escape leaves a tab or a bell where a letter was."""
    words = smallest_sustained.__doc__
    assert r"\theta" in words
    assert r"\frac{K}{\alpha" in words
    assert not {c for c in words if ord(c) < 32} - {"\n"}
