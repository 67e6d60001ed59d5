"""Association: scipy as the oracle, calibration and power by simulation, planted changes found, moved margins not blamed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association as raw_association

from prodnb.association import check_association
from prodnb.association_change import Measured, detectable_change, measure
from prodnb.baseline import Baseline, baseline
from prodnb.contingency import (
    MOST_CELLS,
    association,
    association_design,
    pattern_change,
    pooled_tables,
    raked,
    same_association,
)
from prodnb.crossed import count_with
from prodnb.drift import check_drift
from prodnb.errors import InputError
from prodnb.joint_drift import check_joint_drift
from prodnb.profile import profile
from prodnb.roles import Roles
from prodnb.text_drift import check_text_drift
from prodnb.watch import check_watch

ROLES = Roles(target="y")


def tables(rng, k: int, r: int, n: int, strength: float) -> np.ndarray:
    """Cell probabilities of a random association with uneven margins."""
    odds = np.exp(strength * rng.normal(size=(k, r)))
    found = odds * rng.dirichlet(np.full(k, 5.0))[:, None] * rng.dirichlet(np.full(r, 5.0))
    return found / found.sum()


def draw(rng, shares: np.ndarray, rows: int) -> np.ndarray:
    return rng.multinomial(rows, shares.ravel()).reshape(shares.shape)


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (10, 4)])
def test_v_is_scipys_without_the_bias(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = draw(rng, tables(rng, *shape, 0, 1.0), 400) + 1
        n, (k, r) = counts.sum(), shape
        plain = raw_association(counts, method="cramer")
        phi = max(plain**2 * min(k - 1, r - 1) - (k - 1) * (r - 1) / (n - 1), 0)
        least = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
        assert float(association(counts)) == pytest.approx(min(np.sqrt(phi / least), 1), abs=1e-9)
        assert float(association(counts * 1e9)) == pytest.approx(plain, abs=1e-6)


def test_v_is_unbiased_where_nothing_goes_together():
    rng = np.random.default_rng(1)
    drawn = np.stack([draw(rng, tables(rng, 10, 5, 0, 0.0), 200) for _ in range(300)])
    plain = np.mean([raw_association(t[t.sum(1) > 0][:, t.sum(0) > 0], method="cramer") for t in drawn])
    assert association(drawn).mean() < 0.06 < 0.2 < plain


def test_for_two_by_two_it_is_the_change_of_the_correlation():
    a, b = np.array([[300, 100], [100, 300]]), np.array([[100, 300], [300, 100]])
    assert float(pattern_change(a * 1000, b * 1000)) == pytest.approx(1.0, abs=1e-4)  # from 0.5 to -0.5
    assert float(pattern_change(a, a)) == pytest.approx(0.0, abs=2e-3)


def test_raking_keeps_odds_ratios_and_gives_the_margins():
    rng = np.random.default_rng(2)
    t = rng.integers(5, 100, (3, 4)).astype(float)
    rows, columns = np.array([0.2, 0.3, 0.5]), np.full(4, 0.25)
    found = raked(t, rows, columns, steps=100)
    np.testing.assert_allclose(found.sum(1), rows, atol=1e-9)
    np.testing.assert_allclose(found.sum(0), columns, atol=1e-9)
    for i in range(2):
        for j in range(3):
            odds = [x[i, j] * x[i + 1, j + 1] / (x[i, j + 1] * x[i + 1, j]) for x in (t, found)]
            assert odds[0] == pytest.approx(odds[1])


def test_margins_alone_change_nothing():
    rng = np.random.default_rng(3)
    shares = tables(rng, 4, 3, 0, 1.0)
    moved = shares * np.array([1, 3, 0.5, 2])[:, None] * np.array([2, 1, 0.5])
    a, b = shares * 1e7, moved / moved.sum() * 1e7
    assert float(pattern_change(a, b)) < 1e-3
    assert same_association(a, b).p > 0.99


def test_the_test_is_that_of_a_logistic_model():
    """For two levels and a yes or no the fitted counts solve a cubic; compared with a plain search for them."""
    from scipy.optimize import brentq

    a, b = np.array([[40, 20], [30, 50]]), np.array([[10, 25], [22, 13]])

    def odds(t, x):
        return np.log((t[0, 0] + x) * (t[1, 1] + x) / ((t[0, 1] - x) * (t[1, 0] - x)))

    x = brentq(lambda x: odds(a, x) - odds(b, -x), -9.9, 9.9)
    sign = np.array([[1, -1], [-1, 1]])
    fitted = a + x * sign, b - x * sign
    expected = sum(((t - f) ** 2 / f).sum() for t, f in zip((a, b), fitted, strict=True))
    assert same_association(a, b).statistic == pytest.approx(expected, rel=1e-5)
    assert same_association(a, b).df == 1


CASES = [
    (2, 2, 100, 30, 0.0),
    (26, 10, 1000, 100, 1.0),
    (26, 10, 10_000, 500, 1.0),
    (50, 2, 5000, 300, 2.0),
    (50, 30, 5000, 1000, 2.0),
]


def chances(case: tuple, repeats: int, seed: int) -> np.ndarray:
    """p of pairs of samples of one table, as often as asked."""
    k, r, n, m, strength = case
    rng, found = np.random.default_rng(seed), []
    for _ in range(repeats):
        shares = tables(rng, k, r, 0, strength)
        pair = pooled_tables(draw(rng, shares, n), draw(rng, shares, m), ordered=(False, False))
        found.append(same_association(*pair).p if min(pair[0].shape) > 1 else 1.0)
    return np.array(found)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_false_alarms_are_as_rare_as_promised(case):
    found = chances(case, 200, 4)
    for alpha in (0.05, 0.01):
        assert (found < alpha).mean() <= alpha + 3 * np.sqrt(alpha / 200), (alpha, (found < alpha).mean())


@pytest.mark.prove
@pytest.mark.parametrize("case", CASES, ids=str)
def test_false_alarms_far_out_are_as_rare_as_promised(case):
    """At the level that twenty features leave to each; ten times as long."""
    found = chances(case, 3000, 5)
    assert (found < 0.0025).mean() <= 0.0025 + 2 * np.sqrt(0.0025 / 3000)


def test_the_detectable_change_is_detected():
    """At the size that is called detectable the test finds the change in about four of five samples."""
    rng, alpha = np.random.default_rng(5), 0.05 / 20
    for k, r, n, m in ((2, 2, 5000, 1000), (10, 2, 20_000, 3000), (6, 5, 20_000, 4000)):
        rows, columns = np.full(k, 1 / k), np.full(r, 1 / r)
        pattern = rng.normal(size=(k, r))
        pattern -= pattern.mean(0) + (pattern - pattern.mean(0)).mean(1, keepdims=True)
        seen = Measured(0, 0, 0, 1, (k - 1) * (r - 1), min(k, r) - 1, (0, 0, 0), (0, 0, 0), n, m, 0.0)
        size = detectable_change(seen, alpha=alpha)
        now = rows[:, None] * columns + pattern * size / np.sqrt((pattern**2).sum()) * np.sqrt((min(k, r) - 1) / (k * r))
        assert float(pattern_change(rows[:, None] * columns * 1e9, now * 1e9)) == pytest.approx(size, rel=0.02)
        hits = [same_association(draw(rng, rows[:, None] * columns, n), draw(rng, now, m)).p < alpha for _ in range(250)]
        assert 0.7 < np.mean(hits) < 0.9


def test_rare_cells_of_one_side_make_less_detectable():
    """A level of half the reference and of one row in a hundred now: what goes on there cannot be seen as well."""
    even = np.array([[2000, 2000], [2000, 2000]])
    rare = np.array([[20, 20], [3980, 3980]])
    sizes = [detectable_change(measure(even, now), alpha=0.01) for now in (even, rare)]
    assert sizes[1] > 4 * sizes[0]


def test_the_interval_covers_what_is_true():
    rng = np.random.default_rng(6)
    a, b = tables(rng, 6, 4, 0, 1.0), tables(rng, 6, 4, 0, 1.0)
    truth, held, values = float(pattern_change(a * 1e9, b * 1e9)), 0, []
    for i in range(30):
        found = measure(draw(rng, a, 2000), draw(rng, b, 800), seed=i)
        held += found.low <= truth <= found.high
        values.append(found.value)
    assert held / 30 > 0.8
    assert np.mean(values) == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize("ordered", [(True, True), (False, False)])
def test_pooled_tables_keep_rows_and_hold_enough(ordered):
    rng = np.random.default_rng(7)
    for n, m in ((50, 5000), (3000, 400), (100_000, 100_000), (40, 12)):
        shares = rng.dirichlet(np.full(60 * 12, 0.2)).reshape(60, 12)
        a, b = draw(rng, shares, n), draw(rng, shares, m)
        x, y = pooled_tables(a, b, ordered=ordered)
        assert x.sum() <= n
        assert y.sum() <= m
        assert max(x.shape) <= MOST_CELLS
        if min(x.shape) > 1:
            both, small = x + y, min(n, m)
            assert np.outer(both.sum(1), both.sum(0)).min() / both.sum() ** 2 * small >= 5 - 1e-9


def test_a_level_that_came_or_went_is_no_change_of_association():
    a, b = np.array([[200, 100], [100, 200], [50, 50], [0, 0]]), np.array([[100, 50], [50, 100], [0, 0], [80, 20]])
    assert float(pattern_change(a, b)) < 0.01
    assert [x.shape for x in pooled_tables(a, b, ordered=(False, False))] == [(2, 2), (2, 2)]


def clustered(rng, rows: int, per: int, turned: bool = False) -> pd.DataFrame:
    """Rows that come in bursts of `per` which share x, and how it goes with y."""
    bursts = -(-rows // per)
    x, slope = rng.normal(size=bursts), rng.normal(-1 if turned else 1, 1, bursts)
    at = np.arange(rows) // per
    y = slope[at] * x[at] + rng.normal(size=rows) > 0
    return pd.DataFrame(
        {
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), unit="h"),
            "x": x[at],
            "u": rng.normal(size=rows),
            "y": y,
        }
    )


def test_rows_that_come_in_bursts_count_for_fewer():
    """Taken for independent rows they alarm in nearly every run; counted by blocks hardly ever, and a real change is still found."""
    rng, naive, ours, roles = np.random.default_rng(11), 0, 0, Roles(target="y", time="day")
    for _ in range(4):
        before, now = clustered(rng, 12_000, 50), clustered(rng, 4000, 50)
        naive += check_association(before, now, roles=Roles(target="y", ignore=("day",))).outcome == "failed"
        ours += check_association(before, now, roles=roles).outcome == "failed"
    assert naive >= 2
    assert ours == 0
    result = check_association(clustered(rng, 12_000, 50), clustered(rng, 4000, 50, turned=True), roles=roles)
    assert outcomes(result)["x"] == "failed"
    assert "count like" in next(v.message for v in result.verdicts if v.statistic.about == "x")


def test_the_design_of_independent_rows_is_found_by_chance_only():
    rng, found = np.random.default_rng(12), []
    for _ in range(200):
        shares = tables(rng, 6, 4, 0, 1.0)
        found.append(association_design(np.stack([draw(rng, shares, 900) for _ in range(12)])).p)
    assert np.mean(np.array(found) < 0.05) < 0.1


def shop(rows: int, seed: int, *, turned: bool = False, moved: float = 0.0, noise: float = 0.8) -> pd.DataFrame:
    """Ten features, of which x0 decides y; turned round in the middle half of its range, or moved."""
    rng = np.random.default_rng(seed)
    x = rng.normal(moved, 1, (rows, 10))
    sign = np.where(turned & (abs(x[:, 0]) < 0.674), -1, 1)
    y = sign * x[:, 0] + rng.normal(0, noise, rows) > 0
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(10)])
    return frame.assign(town=rng.choice(list("abcdefgh"), rows), y=y)


def outcomes(result) -> dict[str, str]:
    return {v.statistic.about: v.outcome for v in result.verdicts}


def test_a_target_turned_round_in_half_a_range_is_found_and_named():
    before, now = shop(8000, 1), shop(2000, 2, turned=True)
    result = check_association(before, now, roles=ROLES)
    assert [c for c, o in outcomes(result).items() if o == "failed"] == ["dataset", "x0"]
    assert "x0" in result.verdicts[0].message
    assert abs(before.y.mean() - now.y.mean()) < 0.03


def test_a_feature_or_a_target_that_moves_is_not_blamed():
    before = shop(8000, 1)
    assert check_association(before, shop(4000, 2, moved=0.5), roles=ROLES).outcome == "passed"
    now = shop(8000, 3)
    rare = pd.concat([now[now.y].iloc[:800], now[~now.y]])  # four fifths of the buyers are gone
    assert check_association(before, rare, roles=ROLES).outcome == "passed"


def test_independent_columns_are_quiet():
    rng, alarms = np.random.default_rng(8), 0
    for i in range(4):
        frames = [pd.DataFrame(rng.normal(size=(n, 6)), columns=list("abcdef")).assign(y=rng.normal(size=n)) for n in (1500, 400)]
        alarms += "failed" in outcomes(check_association(*frames, roles=ROLES, seed=i)).values()
    assert alarms <= 1


@pytest.mark.parametrize("kind", ["number", "level", "boolean", "codes", "rare"])
def test_targets_of_every_kind(kind):
    rng = np.random.default_rng(9)

    def frame(rows, sign):
        x = rng.normal(size=rows)
        z = sign * x + rng.normal(0, 0.5, rows)
        y = {
            "number": z, "level": pd.cut(z, [-99, -1, 0, 1, 99], labels=list("abcd")).astype(str), "boolean": z > 0,
            "codes": (z > 0) + (z > 1) + 0, "rare": (z > 2) + 0,
        }[kind]  # fmt: skip
        return pd.DataFrame({"x": x, "u": rng.normal(size=rows), "y": y})

    assert outcomes(check_association(frame(6000, 1), frame(3000, 1), roles=ROLES))["x"] in ("passed", "unknown")
    found = outcomes(check_association(frame(6000, 1), frame(3000, -1), roles=ROLES))
    assert (found["x"], found["u"]) == ("failed", "passed")


def test_without_a_target_the_prediction_serves_and_is_named():
    before, now = shop(6000, 1), shop(3000, 2, turned=True)
    before, now = before.assign(p=before.y.astype(float)), now.assign(p=now.y.astype(float)).drop(columns="y")
    result = check_association(before, now, roles=Roles(target="y", prediction="p"))
    assert outcomes(result)["x0"] == "failed"
    assert "prediction" in result.message
    assert result.tables["association"][0]["with"] == "prediction"


def test_what_it_needs_is_said():
    frame = shop(300, 1)
    for given, words in (
        ((None, frame), "reference"), ((frame, frame.drop(columns="y")), "target 'y'"), ((frame, None), "current"),
    ):  # fmt: skip
        result = check_association(*given, roles=ROLES)
        assert result.outcome == "skipped"
        assert words in result.message
    assert check_association(frame, frame).outcome == "skipped"
    assert check_association(frame, frame.assign(y="text"), roles=ROLES).outcome == "skipped"


def test_odd_columns_give_words_and_no_nan():
    rng = np.random.default_rng(10)

    def frame(rows):
        y = rng.integers(0, 2, rows).astype(float)
        y[: rows // 10] = np.nan
        return pd.DataFrame(
            {
                "y": y, "constant": 1.0, "gone": np.nan, "huge": rng.choice([1e300, -1e300, 0.0], rows), "one": np.r_[1.0, np.zeros(rows - 1)],
                "id": [f"u{rng.integers(1e12)}" for _ in range(rows)], "day": pd.Timestamp("2024-01-01"), "levels": rng.integers(0, 200, rows).astype(str),
                "x": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
            }
        )  # fmt: skip

    result = check_association(frame(4000), frame(2000), roles=ROLES)
    text = str(result.to_dict()).lower()
    assert "nan" not in text.replace("nannyml", "")
    assert outcomes(result)["x"] == "passed"
    assert outcomes(result)["one"] == "unknown"
    assert "constant" not in outcomes(result)
    assert any("constant" in n for n in result.notes)
    assert result.verdicts[0].statistic.n == 1800


def test_too_few_rows_are_unknown_and_say_how_many_more():
    result = check_association(shop(8000, 1), shop(60, 2), roles=ROLES)
    assert result.outcome == "unknown"
    assert "more rows would decide" in next(v.message for v in result.verdicts if v.statistic.about == "x0")


def test_the_reference_is_not_read_again(monkeypatch):
    """The next run goes on from the counts of the last one, if the reference is still the same."""
    from types import SimpleNamespace

    before, now = shop(3000, 1), shop(1000, 2, turned=True)
    known = baseline(before, roles=ROLES)
    first = check_association(before, now, roles=ROLES, before=known)
    past = SimpleNamespace(results=[first.to_dict()])
    counted = []
    monkeypatch.setattr("prodnb.association.count_with", lambda *a, **k: counted.append(1) or count_with(*a, **k))
    again = check_association(before, now, roles=ROLES, before=known, past=past)
    assert again.to_dict() == first.to_dict()
    assert len(counted) == 1
    check_association(before, now, roles=ROLES, before=replace(known, key="another"), past=past)
    assert len(counted) == 3


def test_no_row_of_anybody_is_shown():
    secret = pd.DataFrame({"name": [f"Ann {i % 40}" for i in range(800)], "y": [0, 1] * 400})
    assert "Ann" not in str(check_association(secret, secret, roles=ROLES).to_dict())


CHECKS = {
    "association": (check_association, ("alpha", "max_change", "must_see")),
    "drift": (check_drift, ("alpha", "max_effect", "must_see_sd", "must_see_share")),
    "joint": (check_joint_drift, ("alpha", "max_auc", "sample")),
    "text": (check_text_drift, ("alpha", "max_auc", "max_effect", "sample")),
    "watch": (check_watch, ("alpha", "must_see_sd", "must_see_share")),
}


@pytest.mark.parametrize(("check", "name"), [(c, n) for c, (_, names) in CHECKS.items() for n in names])
def test_an_argument_out_of_its_range_is_refused_by_every_check_of_drift(check, name):
    """Also where there is nothing to compare yet: a limit that nothing reaches would pass everything."""
    wrong = [-5, 0, float("nan"), float("inf"), "much", True]
    wrong += {"alpha": [1, 2], "max_auc": [0.4, 7], "sample": [10, 60.5]}.get(name, [])
    for value in wrong:
        with pytest.raises(InputError, match=f"(?s){name} is .*Expected a (whole )?number"):
            CHECKS[check][0](None, None, **{name: value})


def test_nothing_measured_has_no_value():
    before = pd.DataFrame({"x": np.arange(200.0), "target": [0, 1] * 100})
    result = check_association(before, before[:0], roles=Roles(target="target"))
    [whole] = [v for v in result.verdicts if v.statistic.about == "dataset"]
    assert (whole.outcome, whole.statistic.value) == ("unknown", None)


def test_a_target_named_target_is_named_once():
    rng = np.random.default_rng(0)
    before = pd.DataFrame({"x": rng.normal(size=2000), "target": rng.integers(0, 2, 2000)})
    result = check_association(before[:1000], before[1000:], roles=Roles(target="target"))
    assert "target target" not in str(result.to_dict())
    assert "target 'target'" not in str(result.to_dict())


def test_a_reference_without_the_time_is_one_without_order_for_every_check():
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(["room", "bed", "view", "staff", "quiet"], 8)) + f" {k % 600}" for k in range(1200)]
    frame = pd.DataFrame({"x": rng.normal(size=1200), "y": rng.integers(0, 2, 1200), "said": words})
    now, roles = frame[600:].assign(at=pd.date_range("2024-01-01", periods=600, freq="h")), Roles(time="at", target="y")
    for check, _ in CHECKS.values():
        assert check(frame[:600], now, roles=roles).outcome in ("passed", "unknown"), check
        assert (
            check(Baseline(profile(frame[:600]), None), now, roles=roles).outcome if check in (check_drift, check_watch) else True
        )
        with pytest.raises(InputError, match="the reference has no column 'at'"):
            check(frame[:600], frame[600:], roles=roles)
    found = next(v for v in check_drift(frame[:600], now, roles=roles).verdicts if v.statistic.about == "at")
    assert found.outcome == "skipped"
