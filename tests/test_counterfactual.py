"""Counterfactuals: rules kept whatever the model, closed forms and exhaustive search as oracles, budgets, and models that cannot be turned."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from shared import shared_data
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from prodnb.allowed_changes import Changes, read_space
from prodnb.counterfactual import Change, Counterfactual, counterfactual_verdicts, counterfactuals
from prodnb.errors import InputError
from prodnb.intervals import wilson
from prodnb.probe import threads
from prodnb.verdict import Limit

LOG_ODDS = "log-odds of 'yes'"


def people(rows=300, seed=0):
    """A table of every kind: whole and real numbers, missing values, text, a category, a boolean, a date, a nullable integer."""
    rng = np.random.default_rng(seed)
    real = rng.normal(50, 10, rows).round(2)
    real[rng.random(rows) < 0.1] = np.nan
    text = rng.choice(["own", "rent", "free"], rows).astype(object)
    text[rng.random(rows) < 0.1] = None
    return pd.DataFrame(
        {
            "whole": rng.integers(0, 30, rows),
            "real": real,
            "text": text,
            "category": pd.Categorical(rng.choice(list("xyz"), rows)),
            "flag": rng.random(rows) < 0.5,
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 30, rows), unit="D"),
            "nullable": pd.array(np.where(rng.random(rows) < 0.1, None, rng.integers(0, 9, rows)), dtype="Int64"),
        }
    )


def jagged(seed):
    """A score without any order in it: random weights for bins and levels, and for pairs of them."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(7, 8))
    pairs = rng.normal(size=(8, 8))

    def score(frame):
        keys = [
            pd.to_numeric(frame["whole"]) // 4,
            (frame["real"].fillna(99) // 5 % 8),
            frame["text"].map({"own": 0, "rent": 1, "free": 2}).fillna(3),
            frame["category"].astype(str).map({"x": 0, "y": 1, "z": 2}),
            frame["flag"].astype(int),
            frame["day"].dt.day % 8,
            frame["nullable"].astype(float).fillna(7) % 8,
        ]
        keys = [k.to_numpy(float).astype(int) for k in keys]
        return (sum(table[n][k] for n, k in enumerate(keys)) + pairs[keys[0], keys[2]] - 0.5)[:, None]

    return score


def changed(frame, made):
    """The case with its changes, as a person would apply them."""
    for c in made.changes:
        frame = frame.assign(**{c.feature: pd.Series([c.after], index=frame.index).astype(frame[c.feature].dtype)})
    return frame


RULES = {"whole": "up", "real": "down", "text": "free", "category": "never", "flag": "free", "nullable": "up"}


@pytest.mark.parametrize("seed", range(4))
def test_rules_hold_and_the_model_itself_says_that_the_decision_turned(seed):
    frame, score = people(seed=seed), jagged(seed)
    cases = frame.tail(8)
    made = counterfactuals(score, cases, frame.head(250), Changes(RULES), scale=LOG_ODDS)
    assert len(made) == 8
    assert any(m.found for m in made)
    for n, m in enumerate(made):
        if not m.found:
            assert m.why
            continue
        case = cases.iloc[[n]]
        before, after = score(case)[0, 0], score(changed(case, m))[0, 0]
        assert (before >= 0) != (after >= 0)
        assert m.before == (before,)
        assert m.after[0] == pytest.approx(after)
        for c in m.changes:
            assert RULES.get(c.feature) not in (None, "never")
            assert c.before != c.after
            if RULES[c.feature] in ("up", "down"):
                assert (c.after > c.before) == (RULES[c.feature] == "up")
            if c.feature in ("whole", "nullable"):
                assert isinstance(c.after, int)
            elif c.feature == "real":
                assert round(c.after, 2) == c.after
            else:
                assert c.after is None or c.after in set(frame.head(250)[c.feature])


def test_a_linear_score_has_a_closed_form():
    rng = np.random.default_rng(1)
    pool = pd.DataFrame(rng.uniform(0, 100, (15, 3)), columns=list("abc"))  # few: the next real value is far away
    pool.loc[0, "a"] = 100

    def score(frame):
        return (frame["a"] + 0.1 * frame["b"] - 0.05 * frame["c"] - 60).to_numpy()[:, None]

    cases = pd.DataFrame({"a": [20.0, 50.0, 59.0], "b": [10.0, 20.0, 30.0], "c": [50.0, 60.0, 70.0]})
    for n, m in enumerate(counterfactuals(score, cases, pool, Changes({"a": "up"}), scale=LOG_ODDS)):
        needed = cases["a"][n] - score(cases.iloc[[n]])[0, 0]
        (only,) = m.changes
        assert only.feature == "a"
        assert needed <= only.after <= needed + (100 - cases["a"][n]) / 250


def test_only_what_the_decision_hangs_on_changes():
    """Two of eight columns decide together: whatever real row it started from, the other six go back."""
    pool = pd.DataFrame(np.random.default_rng(2).integers(0, 20, (60, 8)), columns=list("abcdefgh"))

    def score(frame):
        return np.where((frame["c"] >= 12) & (frame["f"] >= 12), 1.0, -1.0)[:, None]

    cases = pd.DataFrame(5, index=range(3), columns=list("abcdefgh"))
    for m in counterfactuals(score, cases, pool, Changes({}, default="free"), scale=LOG_ODDS):
        assert m.changes == (Change("c", 5, 12), Change("f", 5, 12))


def test_nothing_smaller_is_missed_by_much():
    """Every table of three whole columns is searched exhaustively: ours is never smaller than the best, and mostly the best."""
    grid = pd.DataFrame(list(product(range(6), repeat=3)), columns=list("abc"))
    best_found, total = 0, 0
    for seed in range(6):
        values = (
            np.random.default_rng(seed).normal(size=(6, 6, 6))
            + np.add.outer(np.add.outer(np.arange(6), np.arange(6)), np.arange(6)) / 4
            - 2.5
        )

        def score(frame, values=values):
            return values[frame["a"], frame["b"], frame["c"]][:, None]

        space, known, _ = read_space(grid, grid.head(0), Changes({}, default="free"))
        cases = grid.iloc[np.random.default_rng(seed).choice(216, 5, replace=False)]
        for n, m in enumerate(counterfactuals(score, cases, grid, Changes({}, default="free"), scale=LOG_ODDS)):
            x = cases.iloc[n].to_numpy(float)
            other = (score(grid)[:, 0] >= 0) != (score(cases.iloc[[n]])[0, 0] >= 0)
            best = space.sizes(x, known[other]).sum(axis=1).min()
            assert m.found
            assert m.size >= best - 1e-9
            best_found, total = best_found + (m.size <= best + 1e-9), total + 1
    assert best_found / total >= 0.95


def test_the_same_seed_gives_the_same_and_a_large_pool_is_drawn_from():
    frame, score = people(6000), jagged(2)
    one, two = (counterfactuals(score, frame.tail(2), frame, Changes(RULES), scale=LOG_ODDS, seed=3) for _ in range(2))
    assert one == two


def test_a_budget_of_rows_is_kept():
    rows = 0

    def score(frame):
        nonlocal rows
        rows += len(frame)
        return jagged(1)(frame)

    frame = people(200)
    counterfactuals(score, frame.tail(4), frame, Changes(RULES), scale=LOG_ODDS, max_rows=100)
    assert rows <= 200 + 4 + 4 * (100 + 16)  # the pool, the cases, and the last check of each


def test_what_the_budget_of_time_left_out_is_named():
    frame = people(100)
    made = counterfactuals(jagged(1), frame.tail(3), frame, Changes(RULES), scale=LOG_ODDS, max_seconds=-1)
    assert [m.tried for m in made] == [False] * 3
    assert counterfactual_verdicts(made)[0][0].outcome == "skipped"


# Models that cannot be turned


def test_a_decision_on_what_never_changes_cannot_be_turned():
    def score(frame):
        return np.where(frame["category"] == "x", -1.0, 1.0)[:, None]

    frame = people()
    made = counterfactuals(score, frame.tail(20), frame, Changes(RULES), scale=LOG_ODDS)
    assert not any(m.found for m in made)
    assert "may change" in made[0].why
    verdicts, table = counterfactual_verdicts(made, {"counterfactual_feasibility": Limit(fail=0.5, side="min", reason="agreed")})
    assert verdicts[0].outcome == "failed"
    assert table == []


def test_a_constant_model_and_no_column_that_may_change():
    frame = people(50)
    constant = counterfactuals(lambda f: np.ones((len(f), 1)), frame.tail(2), frame, Changes(RULES), scale=LOG_ODDS)
    assert "other side" in constant[0].why
    assert counterfactuals(jagged(0), frame.tail(2), frame, Changes({}), scale=LOG_ODDS)[0].why == "no column may change"
    assert counterfactuals(jagged(0), frame.head(0), frame, Changes(RULES), scale=LOG_ODDS) == []


def test_a_model_that_answers_otherwise_alone_is_caught():
    def score(frame):
        return (np.full(len(frame), -1.0) if len(frame) == 1 else frame["whole"].to_numpy(float) - 15)[:, None]

    frame = people(100)
    cases = frame[frame["whole"] < 10].head(1)
    (made,) = counterfactuals(score, cases, frame, Changes({"whole": "up"}), scale=LOG_ODDS)
    assert not made.found
    assert "scored alone" in made.why


# Values


def test_missing_is_proposed_only_where_it_was_seen():
    def score(frame):
        return np.where(frame["real"].isna(), 1.0, -1.0)[:, None]

    frame = people(200)
    case = frame[frame["real"].notna()].head(1)
    (seen,) = counterfactuals(score, case, frame, Changes({"real": "free"}), scale=LOG_ODDS)
    assert seen.changes == (Change("real", case["real"].item(), None),)
    (never,) = counterfactuals(score, case, frame[frame["real"].notna()], Changes({"real": "free"}), scale=LOG_ODDS)
    assert not never.found
    (upward,) = counterfactuals(score, case, frame, Changes({"real": "up"}), scale=LOG_ODDS)
    assert not upward.found  # missing is neither up nor down


def test_an_unseen_level_of_the_case_stays_but_is_never_proposed():
    frame = people(200).assign(category=lambda f: f["category"].astype(str))
    case = frame.head(1).assign(category="unseen", whole=0)

    def score(f):
        return (f["whole"] - 15.0 + 100 * (f["category"] == "unseen") * (f["whole"] == 1)).to_numpy(float)[:, None]

    (made,) = counterfactuals(score, case, frame, Changes({"whole": "up"}), scale=LOG_ODDS)
    assert made.changes == (Change("whole", 0, 1),)


def test_values_come_back_with_their_types():
    frame = people(50)
    space, known, _ = read_space(frame, frame.head(1), Changes(RULES))
    pd.testing.assert_frame_equal(space.frame(known), frame)


def test_a_category_of_another_frame_gets_the_type_of_the_pool():
    pool = pd.DataFrame({"c": pd.Categorical(list("xyz"))})
    for case, typed in (("x", True), ("unseen", False)):
        space, known, asked = read_space(pool, pd.DataFrame({"c": pd.Categorical([case])}), Changes({"c": "free"}))
        assert space.frame(asked)["c"].tolist() == [case]
        assert space.frame(known)["c"].tolist() == list("xyz")
        assert (space.frame(known)["c"].dtype == pool["c"].dtype) == typed


def test_numbers_too_large_for_floats_are_levels():
    frame = pd.DataFrame({"key": [2**60 + 1, 2**60 + 3, 2**60 + 5], "n": [1, 2, 3]})
    space, known, _ = read_space(frame, frame.head(0), Changes({"n": "up"}))
    assert space.frame(known)["key"].tolist() == frame["key"].tolist()


# Decisions of other kinds


def test_a_wanted_class_among_several():
    def score(frame):
        return np.column_stack(
            [frame["whole"] < 10, (frame["whole"] >= 10) & (frame["whole"] < 20), frame["whole"] >= 20]
        ).astype(float)

    frame = people(200)
    cases = frame[frame["whole"] < 8].head(3)
    any_other = counterfactuals(score, cases, frame, Changes({"whole": "up"}), scale="probability of each class")
    wanted = counterfactuals(score, cases, frame, Changes({"whole": "up"}), scale="probability of each class", wanted=2)
    assert [m.changes[0].after for m in any_other] == [10] * 3
    assert [m.changes[0].after for m in wanted] == [20] * 3
    (there,) = counterfactuals(score, cases.head(1), frame, Changes({"whole": "up"}), scale="probability of each class", wanted=0)
    assert "already" in there.why


def test_a_threshold_of_a_value():
    frame = people(200)
    made = counterfactuals(
        lambda f: f[["whole"]].to_numpy(float),
        frame[frame["whole"] < 5].head(2),
        frame,
        Changes({"whole": "up"}),
        scale="predicted value",
        threshold=12,
    )
    assert [m.changes[0].after for m in made] == [12, 12]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"reel": "up"}, "mean 'real'"),
        ({"real": "upward"}, "never, up, down, free"),
        ({"text": "up"}, "number"),
        ({"flag": "down"}, "number"),
    ],
)
def test_rules_that_cannot_be(rules, words):
    with pytest.raises(InputError, match=words):
        counterfactuals(jagged(0), people(30).head(1), people(30), Changes(rules), scale=LOG_ODDS)


def test_a_column_that_the_cases_lack():
    with pytest.raises(InputError, match="no column 'whole'"):
        counterfactuals(jagged(0), people(30).drop(columns="whole"), people(30), Changes(RULES), scale=LOG_ODDS)


# What a report says


def test_the_rate_has_its_interval_and_small_counts_are_not_shown():
    found = Counterfactual((Change("a", 1, 2),), 1.5, (-1.0,), (1.0,), 9)
    two = Counterfactual((Change("a", 1, 2), Change("b", 1, 2)), 3.0, (-1.0,), (1.0,), 9)
    none = Counterfactual((), 0.0, (-1.0,), (), 9, "no")
    verdicts, table = counterfactual_verdicts([found] * 6 + [two] * 3 + [none] * 11)
    rate = verdicts[0].statistic
    low, high = wilson(9, 20)
    assert (rate.value, rate.n) == (9 / 20, 20)
    assert (rate.low, rate.high) == (pytest.approx(float(low)), pytest.approx(float(high)))
    assert verdicts[1].statistic.value == pytest.approx((6 + 6) / 9)
    assert table == [{"column": "a", "cases": 9, "share": 1.0, "alone": 6}]  # b changed in three cases only
    assert counterfactual_verdicts([])[0][0].outcome == "skipped"


def test_real_credit_decisions():
    frame = pd.read_csv(shared_data("german_credit/german_credit.csv.gz"))
    x, texts = frame.drop(columns="class-label"), frame.drop(columns="class-label").select_dtypes(exclude="number").columns
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(texts)), remainder="passthrough"
    )
    with threads(1):
        model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=30, random_state=0)).fit(
            x[:700], frame["class-label"][:700]
        )

    def score(rows):
        return model.decision_function(rows)[:, None]

    declined = x[700:][score(x[700:])[:, 0] < 0].head(5)
    rules = {"duration": "down", "credit-amount": "down", "savings-account": "free", "age": "never"}
    made = counterfactuals(score, declined, x[:700], Changes(rules), scale=LOG_ODDS)
    assert sum(m.found for m in made) > 0
    for n, m in enumerate(made):
        if m.found:
            assert score(changed(declined.iloc[[n]], m))[0, 0] >= 0
            assert {c.feature for c in m.changes} <= set(rules) - {"age"}
