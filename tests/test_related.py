"""Associations against scipy and the library's own tables of counts; groups that hold what complete linkage promises."""

import itertools
import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from prodnb.contingency import association
from prodnb.errors import InputError
from prodnb.explanation import Explanation
from prodnb.related import associations, code_columns, related_features, related_verdicts, related_words

RNG = np.random.default_rng(0)


def strength(**columns):
    frame = pd.DataFrame(columns)
    return float(associations(code_columns(frame, list(frame.columns)))[0, 1])


@pytest.mark.parametrize("seed", range(3))
def test_levels_have_the_cramer_of_their_table(seed):
    rng = np.random.default_rng(seed)
    a = rng.choice(list("abcd"), 300)
    b = np.where(rng.random(300) < 0.5, a, rng.choice(list("abx"), 300))
    expected = association(pd.crosstab(a, b).to_numpy())
    assert strength(a=a, b=b) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_numbers_have_the_spearman_of_scipy(seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=400)
    b = np.exp(-a + 0.3 * rng.normal(size=400))
    assert strength(a=a, b=b) == pytest.approx(
        abs(spearmanr(a, b).statistic), abs=0.004
    )  # ranks over ten cells may know a little more
    gaps = np.where(rng.random(400) < 0.2, np.nan, b)
    kept = ~np.isnan(gaps)
    assert strength(a=a, b=gaps) == pytest.approx(abs(spearmanr(a[kept], b[kept]).statistic), abs=0.01)


def test_a_number_and_levels_have_the_correlation_ratio_of_ranks():
    level = RNG.choice(list("abc"), 300)
    number = RNG.normal(size=300) + 3 * (level == "b")
    ranks = pd.Series(number).rank()
    within = sum(((g - g.mean()) ** 2).sum() for _, g in ranks.groupby(level)) / ((ranks - ranks.mean()) ** 2).sum()
    expected = np.sqrt(1 - within * 299 / 297)
    cells = float(association(pd.crosstab(pd.qcut(number, 10), level).to_numpy()))
    assert strength(level=level, number=number) == pytest.approx(max(expected, cells), abs=1e-5)


def test_weights_are_repeated_rows():
    frame = pd.DataFrame(
        {
            "a": RNG.normal(size=60),
            "b": RNG.choice(list("xyz"), 60),
            "c": np.where(RNG.random(60) < 0.3, np.nan, RNG.normal(size=60)),
        }
    )
    coded, weights = code_columns(frame, list("abc")), RNG.integers(0, 4, 60)
    repeated = np.repeat(np.arange(60), weights)
    again = type(coded)(coded.features, coded.cells[repeated], coded.starts, coded.named, coded.ranks[repeated])
    np.testing.assert_allclose(associations(coded, weights), associations(again), atol=1e-5)


def test_a_curve_and_common_gaps_are_found():
    x = RNG.normal(size=500)
    assert abs(spearmanr(x, x**2).statistic) < 0.15
    assert strength(x=x, square=x**2) > 0.95
    gone = RNG.random(500) < 0.5
    assert strength(a=np.where(gone, np.nan, RNG.normal(size=500)), b=np.where(gone, None, RNG.choice(list("uv"), 500))) > 0.6


def test_independent_columns_of_any_type_make_no_group():
    groups = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(
            {f"n{i}": rng.normal(size=150) for i in range(4)}
            | {f"t{i}": rng.choice(list("abcdefghij"), 150) for i in range(4)}
            | {"flag": rng.random(150) < 0.1, "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, 150), "D")}
            | {"id": [f"id {i}" for i in range(150)], "same": 1, "nothing": None}
        )
        groups += len(related_features(frame, list(frame.columns), seed=seed).groups)
        assert associations(code_columns(frame, list(frame.columns)))[np.triu_indices(13, 1)].max() < 0.45
    assert groups == 0


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_every_two_of_a_group_are_associated_and_chains_are_cut(threshold):
    steps = np.cumsum(RNG.normal(size=(800, 12)), axis=1)  # neighbours are alike, ends are not
    frame = pd.DataFrame(steps, columns=[f"s{i}" for i in range(12)])
    found = related_features(frame, list(frame.columns), threshold=threshold, seed=0)
    matrix = pd.DataFrame(associations(code_columns(frame, list(frame.columns))), frame.columns, frame.columns)
    assert len(found.groups) >= 2
    assert found.alone + sum(map(len, found.groups)) == 12
    for group, (value, low, high) in zip(found.groups, found.association, strict=True):
        weakest = min(matrix.loc[a, b] for a, b in itertools.combinations(group, 2))
        assert weakest >= threshold
        assert value == pytest.approx(weakest)
        assert low <= value <= high


def test_the_interval_of_the_weakest_pair_covers():
    met, truth = 0, 6 / np.pi * np.arcsin(0.9 / 2)  # Spearman of a normal pair with correlation 0.9
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a = rng.normal(size=200)
        frame = pd.DataFrame({"a": a, "b": 0.9 * a + np.sqrt(1 - 0.81) * rng.normal(size=200)})
        _, low, high = related_features(frame, ["a", "b"], seed=seed, draws=50).association[0]
        met += low <= truth <= high
    assert met / 40 > 0.8


def explained(frame, slopes):
    values = (frame.to_numpy() * slopes)[:, None, :, None]
    return Explanation(
        values, np.ones(1), np.zeros(1), values.sum(axis=(1, 2)), tuple(frame.columns), "value", "made up", True, 10
    )


def test_what_a_group_does_together():
    a = RNG.normal(size=300)
    frame = pd.DataFrame({"a": a, "twin": a + 0.01 * RNG.normal(size=300), "other": RNG.normal(size=300)})
    related = related_features(frame, list(frame.columns))
    drops = [{"features": "a, twin", "columns": 2, "cohort": "", "drop": 0.5, "low": 0.4, "high": 0.6}]
    verdicts, table = related_verdicts(related, explained(frame, [5.0, -5.0, 1.0]), drops=drops)
    assert table[0]["contribution"] < 0.1  # one gives what the other takes
    assert (table[0]["permutation"], table[0]["permutation_low"], table[0]["permutation_high"]) == (0.5, 0.4, 0.6)
    assert [v.statistic.name for v in verdicts] == ["related_groups", "group_association"]
    assert "a, twin" in related_words(related)
    nothing, rows = related_verdicts(related_features(frame[["a"]], ["a"]))
    assert (nothing[0].statistic.value, rows) == (0, [])


def test_many_columns_take_little_time():
    base = RNG.normal(size=(1000, 20))
    frame = pd.DataFrame(np.hstack([base + 0.2 * RNG.normal(size=base.shape) for _ in range(10)])).rename(columns=str)
    start = time.process_time()
    found = related_features(frame, list(frame.columns), draws=5)
    assert time.process_time() - start < 8
    assert len(found.groups) == 20
    assert {len(g) for g in found.groups} == {10}


def test_an_unknown_column_is_named():
    with pytest.raises(InputError, match="Did you mean 'age'"):
        code_columns(pd.DataFrame({"age": [1.0]}), ["agee"])
