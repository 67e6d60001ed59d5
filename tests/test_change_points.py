"""Where it changed: near the truth, in an interval that holds it, and never after the alarm."""

import numpy as np
import pytest
from scipy import stats

from prodnb.change_points import locate_change
from prodnb.sequential import Monitor

QUANTILES = np.r_[0.01, 0.025, np.arange(0.05, 0.96, 0.05), 0.975, 0.99]


def shifted(rng: np.random.Generator, n: int, m: int, shift: float, at: int, part: float, looks: int):
    """A reference over its own bins, and chunks of which one holds the change in its midst."""
    x = np.sort(rng.normal(size=n))
    edges = np.r_[x[0] - 1e-9, np.quantile(x, QUANTILES), x[-1]]
    reference = np.r_[np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1), 0, 0]
    before, after = (np.r_[np.diff(np.r_[0, stats.norm.cdf(edges - s), 1]), 0, 0] for s in (0, shift))
    held = rng.multinomial(int(m * part), before) + rng.multinomial(m - int(m * part), after)
    chunks = np.concatenate([rng.multinomial(m, before, at), held[None], rng.multinomial(m, after, looks - at - 1)])
    return reference, chunks, len(reference) - 2


def levels(rng: np.random.Generator, n: int, m: int, k: int, at: int, looks: int):
    before = rng.dirichlet(np.full(k, 5))
    after = before * np.exp(rng.normal(0, 0.6, k))
    after /= after.sum()
    chunks = np.concatenate([rng.multinomial(m, before, at), rng.multinomial(m, after, looks - at)])
    return rng.multinomial(n, before), chunks, 0


def test_a_clear_change_is_found_where_it_is():
    rng = np.random.default_rng(0)
    for at in (0, 1, 7, 14):
        reference, chunks, ordered = shifted(rng, 5000, 500, 1.0, at, 0.0, 15)
        found = locate_change(reference, chunks, ordered=ordered)
        assert (found.chunk, found.part) == (at, 0.0)
        assert found.low <= at <= found.high
        assert sum(found.likelihood) == pytest.approx(1)


def test_a_change_within_a_chunk_is_found_there():
    rng = np.random.default_rng(0)
    for part in (0.25, 0.5, 0.75):
        reference, chunks, ordered = shifted(rng, 5000, 2000, 1.0, 6, part, 12)
        found = locate_change(reference, chunks, ordered=ordered)
        assert found.chunk == 6
        assert found.part == pytest.approx(part, abs=0.13)


def test_a_change_is_not_after_the_latest_place():
    rng = np.random.default_rng(0)
    reference, chunks, ordered = shifted(rng, 5000, 500, 0.3, 3, 0.0, 12)
    chunks[8:] = shifted(rng, 5000, 500, 3.0, 0, 0.0, 4)[1]
    assert locate_change(reference, chunks, ordered=ordered).chunk in (7, 8)
    assert locate_change(reference, chunks[:8], ordered=ordered, latest=5).chunk in (2, 3, 4)
    assert locate_change(reference, chunks, ordered=ordered, latest=5).high <= 5


def test_seasons_are_no_change():
    """Summer and winter differ; what changed is the same in both."""
    rng = np.random.default_rng(0)
    winter, summer = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.3, 0.6])
    factors = np.array([1.0, 2.0, 1.0])
    shares = [(winter, summer)[t // 4 % 2] for t in range(16)]
    moved = [s * (factors if t >= 11 else 1) for t, s in enumerate(shares)]
    chunks = np.array([rng.multinomial(300, p / p.sum()) for p in moved])
    reference = rng.multinomial(2000, winter) + rng.multinomial(2000, summer)
    found = locate_change(reference, chunks, 300 * np.array(shares))
    assert found.low <= 11 <= found.high
    assert found.high - found.low <= 2
    assert locate_change(reference, chunks).chunk != 11


@pytest.mark.parametrize("cells", [2, 5, 40])
def test_strange_counts_give_an_answer(cells):
    rng = np.random.default_rng(0)
    zeros, some = np.zeros(cells), np.arange(cells) * 10.0
    for reference in (zeros, some):
        for chunks in (some[None] + 1, np.array([some + 1, some[::-1] + 1]), rng.multinomial(50, np.eye(cells)[0], 5)):
            for ordered in (0, cells - 1):
                found = locate_change(reference, chunks, ordered=ordered)
                assert 0 <= found.low <= found.chunk <= found.high < len(chunks)
                assert np.isfinite(found.likelihood).all()


def coverage(repeats: int, seed: int) -> list[tuple[bool, int]]:
    """Whether the interval after an alarm holds the change, and its length, over sizes of change, places and kinds of column."""
    rng, found = np.random.default_rng(seed), []
    for i in range(repeats):
        shift, part = (0.2, 0.35, 0.5, 1.0)[i % 4], (0.0, 0.4, 0.8)[i % 3]
        (n, m), at = ((10_000, 50), (2000, 200))[i % 2], int(rng.integers(3, 20))
        if i % 5 == 4:
            reference, chunks, ordered = levels(rng, n, m, (3, 12, 30)[i % 3], at, at + 40)
        else:
            reference, chunks, ordered = shifted(rng, n, m, shift, at, part, at + 40)
        _, trail = Monitor(cells=len(reference), ordered=ordered).update(reference[None], chunks[:, None])
        alarms = np.flatnonzero(trail > np.log(400))
        if len(alarms) and alarms[0] >= at:
            change = locate_change(reference, chunks[: alarms[0] + 1], ordered=ordered)
            found.append((change.low <= at <= change.high, change.high - change.low + 1))
    return found


def test_the_interval_holds_the_change():
    held, width = zip(*coverage(60, 0), strict=True)
    assert np.mean(held) > 0.95 - 2 * np.sqrt(0.05 * 0.95 / len(held))
    assert np.median(width) <= 5


@pytest.mark.prove
def test_the_interval_holds_the_change_in_long():
    held, _ = zip(*coverage(3000, 1), strict=True)
    assert np.mean(held) > 0.95 - 2 * np.sqrt(0.05 * 0.95 / len(held))
