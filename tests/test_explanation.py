"""An explanation checks itself, adds up, and says by how much it would move with another draw of the background."""

from dataclasses import replace

import numpy as np
import pytest

from prodnb.errors import InputError
from prodnb.explanation import (
    Explanation,
    additivity_error,
    again,
    block_slices,
    bootstrap,
    join,
    leading,
    shares,
    standard_errors,
    top_survival,
)

RNG = np.random.default_rng(0)


def linear(rows, background, slope, blocks=8):
    """Contributions to a linear score, known in closed form."""
    cuts = block_slices(len(background), blocks)
    means = np.stack([background[c].mean(axis=0) for c in cuts])
    return Explanation(
        blocks=(slope * (rows[:, None, :] - means[None]))[..., None],
        weights=np.array([c.stop - c.start for c in cuts]) / len(background),
        base=np.array([(background @ slope).mean()]),
        predictions=(rows @ slope)[:, None],
        features=tuple("abcdefgh"[: len(slope)]),
        scale="predicted value",
        method="by hand",
        exact=True,
        background=len(background),
    )


SLOPE = np.array([3.0, -1.0, 0.0])
ROWS, BACKGROUND = RNG.normal(size=(20, 3)), RNG.normal(size=(50, 3))
FOUND = linear(ROWS, BACKGROUND, SLOPE)


def test_unequal_blocks_weigh_by_their_rows():
    assert len(set(np.round(FOUND.weights, 6))) == 2
    np.testing.assert_allclose(FOUND.values[:, :, 0], SLOPE * (ROWS - BACKGROUND.mean(axis=0)), atol=1e-12)
    np.testing.assert_allclose(FOUND.importance, np.abs(FOUND.values[:, :, 0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": np.ones(8)}, "add up to 1"),
        ({"weights": np.full(8, np.nan)}, "NaN"),
        ({"weights": np.array([1.5, -0.5, 0, 0, 0, 0, 0, 0])}, "add up to 1"),
        ({"base": np.zeros(2)}, "base"),
        ({"predictions": np.zeros((3, 1))}, "predictions"),
        ({"features": ("a",)}, "1 names for 3"),
        ({"blocks": np.full((20, 8, 3, 1), np.nan)}, "NaN"),
        ({"base": np.array([np.inf])}, "infinite"),
    ],
)
def test_what_is_no_explanation_is_not_built(change, words):
    with pytest.raises(InputError, match=words):
        replace(FOUND, **change)


def test_batches_join_to_the_whole():
    parts = [FOUND.take(slice(0, 7)), FOUND.take(np.arange(7, 20))]
    assert np.array_equal(join(parts).values, FOUND.values)
    assert not join([parts[0], replace(parts[1], exact=False)]).exact


@pytest.mark.parametrize(("rows", "blocks"), [(10, 3), (7, 7), (7, 50), (1, 4), (1000, 1), (50, 8)])
def test_blocks_hold_every_row_once(rows, blocks):
    cuts = block_slices(rows, blocks)
    assert np.array_equal(np.concatenate([np.arange(rows)[c] for c in cuts]), np.arange(rows))
    sizes = [c.stop - c.start for c in cuts]
    assert len(cuts) == min(rows, blocks)
    assert max(sizes) - min(sizes) <= 1


def test_additivity_sees_a_missing_base_and_lost_values():
    asked = (ROWS @ SLOPE)[:, None]
    assert additivity_error(FOUND, asked) < 1e-12
    assert additivity_error(replace(FOUND, base=FOUND.base + 0.1), asked) > 0.01
    assert additivity_error(FOUND, np.ones((20, 1))) is None


def test_standard_errors_tell_the_spread_over_backgrounds():
    rows, slope = RNG.normal(size=(5, 3)), np.array([1.0, 2.0, 0.0])
    draws = [linear(rows, RNG.normal(size=(400, 3)), slope, blocks=40) for _ in range(200)]
    spread = np.std([d.values for d in draws], axis=0)
    said = np.mean([standard_errors(d) for d in draws], axis=0)
    np.testing.assert_allclose(said[:, :2], spread[:, :2], rtol=0.2)
    assert np.all(said[:, 2] == 0)


def test_one_block_has_no_standard_error():
    assert standard_errors(linear(ROWS, BACKGROUND, SLOPE, blocks=1)) is None


def test_a_certain_top_survives_and_a_tie_does_not():
    rows, background = RNG.normal(size=(30, 4)) + 5, RNG.normal(size=(50, 4))
    sure = linear(rows, background, np.array([100, 50, 25, 0.01]), blocks=50)
    tied = linear(RNG.normal(size=(30, 4)), background, np.ones(4), blocks=50)
    assert top_survival(sure, 3, seed=0).min() > 0.99
    assert top_survival(tied, 3, seed=0).mean() < 0.95


def test_survival_is_the_share_of_other_backgrounds_that_agree():
    rows, slope = RNG.normal(size=(40, 4)), np.array([1.0, 0.9, 0.8, 0.7])
    said = top_survival(linear(rows, RNG.normal(size=(300, 4)), slope, blocks=50), 2, seed=0, repeats=300).mean()
    sets = [leading(linear(rows, RNG.normal(size=(300, 4)), slope).importance, 2) for _ in range(60)]
    agree = np.mean([(a == b).all(axis=1).mean() for a, b in zip(sets[::2], sets[1::2], strict=True)])
    assert abs(said - agree) < 0.04


def test_rounding_is_no_instability():
    blocks = np.zeros((10, 20, 4, 1))
    blocks[:, :, 0] = 1
    noisy = blocks + RNG.normal(size=blocks.shape) * 1e-16
    found = replace(
        linear(RNG.normal(size=(10, 4)), RNG.normal(size=(60, 4)), np.ones(4), blocks=20),
        blocks=noisy,
        predictions=np.ones((10, 1)),
    )
    assert np.all(top_survival(found, 2, seed=0) == 1)


def test_shares_of_nothing_are_nothing():
    assert np.array_equal(shares(np.zeros((5, 3))), np.zeros(3))
    assert np.isclose(shares(np.abs(ROWS)).sum(), 1)


def test_the_bootstrap_covers_the_mean():
    hits = 0
    for seed in range(100):
        values = np.random.default_rng(seed).exponential(size=(80, 1))
        low, high = bootstrap(lambda rng, v=values: again(rng, v).mean(axis=0), seed=seed, repeats=200)
        hits += bool(low[0] <= 1 <= high[0])
    assert hits >= 85
