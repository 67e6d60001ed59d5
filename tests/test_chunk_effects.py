"""How much less chunks of rows tell that hang together: found in all columns at once, and enough to keep a watch silent."""

import numpy as np
import pytest
from scipy import stats

from prodnb.bets import directions
from prodnb.chunk_effects import chunk_effects, chunk_spread
from prodnb.sequential import Monitor, e_bh

CELLS = 8
EDGES = stats.norm.ppf(np.arange(1, CELLS) / CELLS)


def chunks(rng: np.random.Generator, count: int, rows: int, effect: float = 1.0, memory: float = 0.0) -> np.ndarray:
    """Counts (count, 1, CELLS + 2) of normal values whose chunks vary like rows / effect independent ones, and resemble the one before."""
    steps, shift = rng.normal(size=count), np.zeros(count)
    shift[0] = steps[0]
    for t in range(1, count):
        shift[t] = memory * shift[t - 1] + np.sqrt(1 - memory**2) * steps[t]
    below = stats.norm.cdf(EDGES[None] - shift[:, None] * np.sqrt((effect - 1) / rows))
    shares = np.diff(np.c_[np.zeros(count), below, np.ones(count)], axis=1)
    return np.pad(rng.multinomial(rows, shares), ((0, 0), (0, 2)))[:, None]


def effects(columns: list[np.ndarray], **options: object) -> np.ndarray:
    found = chunk_effects({str(i): chunk_spread(c, ordered=CELLS) for i, c in enumerate(columns)}, **options)
    return np.array(list(found.values()))


def test_tables_of_independent_rows_are_seldom_taken_for_others():
    rng = np.random.default_rng(0)
    found = [effects([chunks(rng, 20, 100) for _ in range(10)]).max() > 1 for _ in range(100)]
    assert np.mean(found) <= 0.11  # 5 % and 3 standard errors


def test_many_seldom_levels_do_not_look_like_dependence():
    rng, found = np.random.default_rng(6), []
    shares = rng.dirichlet(np.full(40, 0.7))
    for _ in range(60):
        levels = {str(i): chunk_spread(rng.multinomial(71, shares, 28)[:, None]) for i in range(5)}
        found.append(max(e.max() for e in chunk_effects(levels).values()) > 1)
    assert np.mean(found) <= 0.12


def share_above_one(trials: int) -> float:
    """How often twenty copies of one quiet column show an effect of chunks."""
    rng = np.random.default_rng(0)
    return np.mean([effects([chunks(rng, 20, 100)] * 20).max() > 1 for _ in range(trials)])


def test_columns_that_are_copies_of_each_other_count_once():
    assert share_above_one(40) <= 0.11


@pytest.mark.prove
def test_columns_that_are_copies_of_each_other_count_once_in_long():
    assert share_above_one(400) <= 0.08


def test_what_one_column_hides_all_columns_show():
    rng = np.random.default_rng(1)
    columns = [chunks(rng, 13, 96, effect=4) for _ in range(20)]
    alone, together = np.array([effects([c])[0, 0] for c in columns]), effects(columns)[:, 0]
    assert (alone == 1).any()
    assert together.min() > 1
    assert 4 < np.median(together) < 16  # an upper bound, with a margin for what may outlast a chunk


def test_one_restless_column_does_not_speak_for_all():
    rng, found = np.random.default_rng(5), []
    for _ in range(20):
        columns = [chunks(rng, 30, 100, effect=50, memory=0.9)] + [chunks(rng, 30, 100) for _ in range(9)]
        found.append(effects(columns)[:, 0])
    found = np.array(found)
    assert (found[:, 0] > 20).all()
    assert (found[:, 1:].max(1) > 1).mean() < 0.5


def test_effects_have_their_shape_and_are_one_where_nothing_can_be_known():
    rng = np.random.default_rng(2)
    assert effects([chunks(rng, 30, 100)]).shape == (1, directions(CELLS + 2, CELLS))
    assert (effects([chunks(rng, 2, 100, effect=50)]) == 1).all()
    assert chunk_effects({}) == {}
    assert not chunk_spread(np.zeros((0, 1, 4))).known
    assert effects([chunks(rng, 6, 100)], always={"0"}).max() > 1  # taken as found


def test_a_season_that_is_known_is_no_dependence():
    rng, t = np.random.default_rng(3), np.arange(60)
    season = np.column_stack([np.ones(60), np.cos(2 * np.pi * t / 12)])
    below = stats.norm.cdf(EDGES[None] - season[:, [1]])
    waves = rng.multinomial(100, np.diff(np.c_[np.zeros(60), below, np.ones(60)], axis=1))[:, None]
    plain, explained = (chunk_effects({"x": chunk_spread(waves, ordered=CELLS, explained=e)})["x"][0] for e in (None, season))
    assert plain > 20
    assert explained < 3


def test_the_variance_of_long_sums_is_within_the_effect():
    """Oracle: the variance of means over many chunks, of an autoregression whose theory is known."""
    rng, rho, effect = np.random.default_rng(4), 0.6, 3.0
    truth = 1 + (effect - 1) * (1 + rho) / (1 - rho)
    found = [np.median(effects([chunks(rng, 104, 100, effect, rho) for _ in range(20)])[:, 0]) for _ in range(5)]
    assert truth < np.median(found) < 2.5 * truth


@pytest.mark.parametrize(("count", "effect", "memory"), [(13, 4.0, 0.0), (26, 3.0, 0.5)])
def test_a_watch_on_rows_that_hang_together_stays_silent(count, effect, memory):
    alarmed = {True: 0, False: 0}
    for seed in range(12):
        rng = np.random.default_rng([seed, count])
        columns = [chunks(rng, count + 40, 96, effect, memory) for _ in range(12)]
        for allowed in alarmed:
            phi = effects([c[:count] for c in columns]) if allowed else np.ones((12, directions(CELLS + 2, CELLS)))
            watched = zip(columns, phi, strict=True)
            trails = [Monitor(CELLS + 2, CELLS).update(c[:count].sum(0), c[count:], phi=p)[1] for c, p in watched]
            alarmed[allowed] += any(e_bh(look, 0.05).any() for look in np.transpose(trails))
    assert alarmed[False] >= 10  # as if rows were independent
    assert alarmed[True] <= 2
