"""Attribution drift: p-values against all ways by brute force, false alarms and power by simulation, memory in time, and everything odd."""

import itertools

import numpy as np
import pandas as pd
import pytest
from shared import shared_data
from sklearn.metrics import ndcg_score

from prodnb.attribution_drift import attribution_table, attribution_verdicts, compare_attribution, ndcg
from prodnb.errors import InputError
from prodnb.intervals import clopper_pearson
from prodnb.share_test import resampled_shares, share_test, share_variances, step_down, time_blocks, unit_sums

PROFILE = np.array([0.34, 0.24, 0.18, 0.14, 0.1])
NAMES = list("abcde")


def made(rng, rows, shares=PROFILE):
    return np.abs(rng.normal(size=(rows, len(shares)))) * shares


def compared(reference, current, **options):
    return compare_attribution(reference, current, [f"x{j}" for j in range(reference.shape[1])], **options)


# The test


def plain_shares(rows):
    return rows.sum(axis=0) / rows.sum()


def plain_step_down(seen, draws):
    """The definition, feature by feature."""
    order, p, worst = sorted(range(len(seen)), key=lambda j: -seen[j]), [0.0] * len(seen), 0.0
    for place, j in enumerate(order):
        left = order[place:]
        worst = max(worst, sum(max(d[k] for k in left) >= seen[j] - 1e-12 for d in draws) / len(draws))
        p[j] = worst
    return p


def test_few_units_give_the_p_of_all_ways():
    rng = np.random.default_rng(1)
    reference, current = made(rng, 5), made(rng, 3, PROFILE[[4, 1, 2, 3, 0]])
    found = share_test(unit_sums(reference), unit_sums(current), repeats=999)
    both = np.concatenate([current, reference])
    away = np.abs(both / both.sum(axis=1, keepdims=True) - plain_shares(both))
    spread = np.maximum(1.4826 * np.median(away, axis=0), 0.1 * np.sqrt((away**2).mean(axis=0))) * np.sqrt(1 / 3 + 1 / 5)
    ways = []
    for taken in itertools.combinations(range(8), 3):
        rest = [i for i in range(8) if i not in taken]
        change = plain_shares(both[list(taken)]) - plain_shares(both[rest])
        ways.append((np.abs(change) / spread, np.abs(change).sum() / 2))
    features, wholes = np.array([w[0] for w in ways]), np.array([w[1] for w in ways])
    scale = np.quantile(features.max(axis=1), 0.95) / np.quantile(wholes, 0.95)
    draws = np.column_stack([features, wholes * scale])
    np.testing.assert_allclose([*found.p, found.whole_p], plain_step_down(draws[0], draws))
    assert found.method.startswith("all 56 ways")
    np.testing.assert_allclose(found.change, plain_shares(current) - plain_shares(reference))
    assert found.whole == pytest.approx(wholes[0])


def test_step_down_is_the_definition():
    draws = np.abs(np.random.default_rng(0).normal(size=(300, 7)))
    draws[0, :3] = 4.0, 2.5, 2.5
    np.testing.assert_allclose(step_down(draws), plain_step_down(draws[0], draws))


def test_standard_errors_are_those_of_resampling():
    rng = np.random.default_rng(2)
    rows, blocks = made(rng, 600) * np.repeat(np.exp(rng.normal(size=(60, 5)) * 0.3), 10, axis=0), np.repeat(np.arange(60), 10)
    for sums in (unit_sums(rows), unit_sums(rows, blocks)):
        share, variance = share_variances(sums.sum(axis=0, keepdims=True), len(sums))
        np.testing.assert_allclose(share[0], plain_shares(rows))
        np.testing.assert_allclose(np.sqrt(variance[0]), resampled_shares(sums, repeats=2000, seed=0).std(axis=0), rtol=0.1)
    assert len(unit_sums(rows, blocks)) == 60


def test_the_order_of_features_changes_nothing():
    rng = np.random.default_rng(3)
    a, b, order = made(rng, 60), made(rng, 40, PROFILE[[1, 0, 2, 3, 4]]), [3, 0, 4, 2, 1]
    np.testing.assert_allclose(compared(a, b).test.p[order], compared(a[:, order], b[:, order]).test.p)


def test_ndcg_is_the_one_of_scikit_learn():
    rng = np.random.default_rng(4)
    for size in (2, 5, 30):
        before, now = rng.random(size), rng.random(size)
        assert ndcg(before, now) == pytest.approx(ndcg_score([before], [now]))
    assert ndcg(np.zeros(3), np.ones(3)) == 1.0


# Claims, by simulation


@pytest.mark.parametrize(("n", "m", "features"), [(50, 50, 5), (200, 20, 20), (60, 60, 60)])
def test_unchanged_columns_alarm_in_five_of_a_hundred(n, m, features):
    rng, shares, pairs = np.random.default_rng(n + features), np.geomspace(1, 0.1, features), 150
    alarms = 0
    for i in range(pairs):
        a, b = (np.exp(rng.normal(size=(k, 1)) * 0.5 + rng.normal(size=(k, features))) * shares for k in (n, m))
        found = share_test(unit_sums(a), unit_sums(b), repeats=39, seed=i)
        alarms += min(found.p.min(), found.whole_p) <= 0.05
    low, high = clopper_pearson(alarms, pairs, level=0.99)
    assert low <= 0.05
    assert high >= 0.02  # and it is not merely silent


def test_without_the_correction_columns_would_cry_wolf():
    rng, hits = np.random.default_rng(5), 0
    for i in range(60):
        a, b = made(rng, 60, np.ones(20)), made(rng, 60, np.ones(20))
        found = share_test(unit_sums(a), unit_sums(b), repeats=99, seed=i)
        z = np.abs(found.change) / np.sqrt(
            sum(share_variances(unit_sums(x).sum(axis=0, keepdims=True), 60)[1][0] for x in (a, b))
        )
        hits += (z > 1.96).any()
    assert hits > 25


def test_swapped_leading_columns_are_found():
    rng, found, rule = np.random.default_rng(6), 0, 0
    for i in range(60):
        before, now = made(rng, 200), made(rng, 200, PROFILE[[1, 0, 2, 3, 4]])
        failed = {
            v.statistic.about for v in attribution_verdicts(compared(before, now, repeats=199, seed=i)) if v.outcome == "failed"
        }
        found += {"x0", "x1"} <= failed
        rule += ndcg(before.mean(axis=0), now.mean(axis=0)) < 0.90
    assert clopper_pearson(found, 60)[0] >= 0.9
    assert rule == 0  # the usual rule sees none of them


def test_random_orders_that_the_usual_rule_passes_fail_here():
    rng, shares, passed, failed = np.random.default_rng(7), np.linspace(2, 1, 6) / 9, 0, 0
    for i in range(40):
        before, now = made(rng, 600, shares), made(rng, 600, rng.permutation(shares))
        if ndcg(before.mean(axis=0), now.mean(axis=0)) >= 0.90:
            passed += 1
            failed += any(
                v.outcome in ("failed", "warned") for v in attribution_verdicts(compared(before, now, repeats=199, seed=i))
            )
    assert passed > 20
    assert failed >= passed - 1


def test_another_spread_with_the_same_shares_is_no_change():
    rng, alarms = np.random.default_rng(8), 0
    for i in range(150):
        a, b = made(rng, 400), np.exp(rng.normal(size=(80, 5)) * 0.9) * PROFILE
        alarms += share_test(unit_sums(a), unit_sums(b), repeats=39, seed=i).p.min() <= 0.05
    assert clopper_pearson(alarms, 150)[0] <= 0.05


def weeks(rng, count, rows, shares=PROFILE):
    return made(rng, count * rows, shares) * np.repeat(np.exp(rng.normal(size=(count, 5)) * 0.2), rows, axis=0)


def test_a_new_week_among_weeks_of_their_own_moods():
    rng, by_row, by_week, swapped = np.random.default_rng(9), 0, 0, 0
    day = np.arange(30 * 40) * 7 / 40
    first, second, words = time_blocks(day * 86400, (day[-1] + np.arange(1, 101) * 0.069) * 86400)
    assert len(np.unique(first)) in (29, 30)
    assert len(np.unique(second)) == 1
    assert "days" in words
    for i in range(60):
        a, b, c = weeks(rng, 30, 40), weeks(rng, 1, 100), weeks(rng, 1, 100, PROFILE[[4, 1, 2, 3, 0]] + [0, 0, 0, 0, 0.2])
        before = unit_sums(a, first)
        by_row += share_test(unit_sums(a), unit_sums(b), repeats=39, seed=i).p.min() <= 0.05
        by_week += share_test(before, unit_sums(b, second)).p.min() <= 0.05
        swapped += share_test(before, unit_sums(c, second)).p.min() <= 0.05
    assert by_row > 30
    assert clopper_pearson(by_week, 60)[0] <= 0.05
    assert swapped > 54


def test_intervals_hold_the_truth():
    rng, hits, now = np.random.default_rng(10), 0, PROFILE + np.array([-0.1, 0.1, 0, 0, 0])
    for i in range(60):
        low, high = compared(made(rng, 150), made(rng, 100, now), repeats=400, seed=i).interval[:, 0]
        hits += low <= -0.1 <= high
    assert clopper_pearson(hits, 60)[1] >= 0.95


# Verdicts


def outcomes(found, **limits):
    return {v.statistic.about: v.outcome for v in attribution_verdicts(found, **limits)}


def test_verdicts_take_chance_and_size():
    rng = np.random.default_rng(11)
    swapped = compared(made(rng, 800), made(rng, 800, PROFILE[[1, 0, 2, 3, 4]]))
    assert outcomes(swapped) == {
        "model": "passed",
        "x0": "failed",
        "x1": "failed",
        "x2": "passed",
        "x3": "passed",
        "x4": "passed",
    }
    assert outcomes(swapped, warn_importance_change=0.05)["model"] == "warned"
    assert outcomes(swapped, max_importance_change=0.05)["model"] == "failed"
    assert outcomes(swapped, max_share_change=0.3)["x0"] == "warned"  # its rank has changed for sure
    assert outcomes(compared(made(rng, 800), made(rng, 10)))["x0"] == "unknown"
    assert set(outcomes(compared(made(rng, 800), made(rng, 800))).values()) == {"passed"}
    verdict = next(v for v in attribution_verdicts(swapped) if v.statistic.about == "x1")
    assert "rank 2 before, 1 now" in verdict.message
    assert verdict.statistic.low < verdict.statistic.value < verdict.statistic.high


def test_too_few_blocks_cannot_show_anything():
    rng = np.random.default_rng(12)
    blocks = {"reference_blocks": np.arange(200) // 20, "current_blocks": 10 + np.arange(50) // 50}
    found = compared(made(rng, 200), made(rng, 50, PROFILE[[4, 3, 2, 1, 0]]), **blocks)
    assert found.units == (10, 1)
    assert found.interval is None
    assert found.test.detectable is None
    assert set(outcomes(found).values()) == {"unknown"}
    assert all(row["low"] is None for row in attribution_table(found))


def test_idle_and_single_features():
    rng = np.random.default_rng(13)
    a, b = (np.column_stack([made(rng, n), np.zeros(n)]) for n in (300, 200))
    found = compared(a, b)
    assert found.test.p[5] == 1.0
    assert outcomes(found)["x5"] == "passed"
    assert attribution_verdicts(compared(a[:, :1], b[:, :1]))[0].outcome == "skipped"
    woken = compared(a, np.column_stack([b[:, :5], np.full(200, 0.2)]))
    assert outcomes(woken)["x5"] == "failed"


def test_many_features_show_the_leading_and_the_moved():
    rng = np.random.default_rng(14)
    shares = np.geomspace(1, 0.01, 60)
    now = shares.copy()
    now[40] = 1.0
    found = compared(made(rng, 500, shares), made(rng, 500, now))
    shown = outcomes(found)
    assert len(shown) < 40
    assert shown["x40"] == "failed"
    assert len(attribution_table(found)) == 60


def test_the_table_holds_what_was_found():
    rng = np.random.default_rng(15)
    found = compared(made(rng, 300), made(rng, 200, PROFILE[[1, 0, 2, 3, 4]]))
    rows = {r["feature"]: r for r in attribution_table(found)}
    assert sum(r["reference_share"] for r in rows.values()) == pytest.approx(1, abs=1e-3)
    for r in rows.values():
        assert r["change"] == pytest.approx(r["current_share"] - r["reference_share"], abs=2e-4)
        assert r["low"] <= r["change"] <= r["high"]
        assert r["rank_low"] <= r["rank_change"] <= r["rank_high"]
    assert rows["x0"]["rank_change"] == 1


def test_a_seed_gives_the_same_again():
    rng = np.random.default_rng(16)
    a, b = made(rng, 50), made(rng, 50)
    assert attribution_table(compared(a, b, seed=3)) == attribution_table(compared(a, b, seed=3))


@pytest.mark.parametrize(
    ("reference", "current", "words"),
    [
        (np.full((5, 2), np.nan), np.ones((5, 2)), "NaN"),
        (np.ones((5, 2)), -np.ones((5, 2)), "negative"),
        (np.ones((5, 2)), np.zeros((5, 2)), "predicts the same"),
        (np.ones((5, 3)), np.ones((5, 2)), "shape"),
        (np.ones((1, 2)), np.ones((5, 2)), "two rows"),
    ],
)
def test_odd_contributions_are_refused(reference, current, words):
    with pytest.raises(InputError, match=words):
        compare_attribution(reference, current, ["a", "b"])


def test_odd_blocks_are_refused():
    with pytest.raises(InputError, match="one set of rows only"):
        compare_attribution(np.ones((5, 2)), np.ones((5, 2)), ["a", "b"], reference_blocks=np.zeros(5))
    with pytest.raises(InputError, match="one for each row"):
        compare_attribution(
            np.ones((5, 2)), np.ones((5, 2)), ["a", "b"], reference_blocks=np.zeros(4), current_blocks=np.zeros(5)
        )


def test_times_that_make_no_blocks_say_why():
    days = pd.date_range("2026-01-01", periods=100, freq="D").to_numpy()
    assert "no time" in time_blocks(np.array([*days, np.datetime64("NaT")]), days)
    assert "same time" in time_blocks(days, days[:1])
    first, second, words = time_blocks(days, days + np.timedelta64(100, "D"))
    assert not set(first) & set(second)
    assert len(np.unique(first)) == len(np.unique(second)) == 20
    assert "shorter than the current data" in words
    first, second, words = time_blocks(days, days[-2:] + np.timedelta64(5, "D"))
    assert "shorter" not in words
    assert len(np.unique(second)) == 1


def test_real_rows_of_adult():
    from sklearn.linear_model import LogisticRegression

    frame = pd.read_parquet(shared_data("adult/adult.parquet"))
    x = frame.select_dtypes("number").to_numpy(float)
    x = np.log1p(x - x.min(axis=0))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    weights = LogisticRegression().fit(x[:5000], frame["class"].astype(str)[:5000]).coef_[0]
    contributions = np.abs(weights * x)[np.random.default_rng(0).permutation(len(x))]
    alarms = sum(
        outcomes(
            compared(contributions[400 * i : 400 * i + 200], contributions[400 * i + 200 : 400 * i + 400], repeats=199, seed=i),
            must_see=1,
        ).get("model")
        != "passed"
        for i in range(20)
    )
    assert alarms == 0
    moved = contributions[:400].copy()
    moved[:, 0] *= 3
    assert outcomes(compared(contributions[400:800], moved))["x0"] == "failed"
