"""Candidates for rules: they say what the rows hold to, never by chance, and no row is in them."""

import re

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodnb.column_mining import MIN_LEVEL_ROWS, column_facts, column_rules, pattern_regex
from prodnb.mining import mine
from prodnb.relations import find_dependencies, find_keys, find_orders, find_ratios, find_sums, outward
from prodnb.roles import Roles
from prodnb.tables import open_table


def rules_of(frame: pd.DataFrame, roles: Roles | None = None) -> dict:
    return {rule.name: rule for rule in mine(open_table(frame), roles=roles)}


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_range_is_only_ever_widened_and_not_by_much(a, b, integer):
    low, high = sorted((round(a), round(b)) if integer else (a, b))
    down, up = outward(low, high, integer=integer)
    assert down <= low <= high <= up
    assert up - down <= 1.3 * (high - low) + (2 if integer else 0)
    assert not integer or (isinstance(down, int) and isinstance(up, int))
    assert low < 0 or down >= 0


@given(st.text(alphabet="Aa9-./ ()+*[]", min_size=1, max_size=12))
def test_a_pattern_matches_its_own_texts(pattern):
    text = pattern.replace("A", "Q").replace("a", "q").replace("9", "4")
    assert re.fullmatch(pattern_regex(pattern), text)
    assert not re.fullmatch(pattern_regex(pattern), text + "?")


def test_facts_equal_pandas():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=500).round(2), "s": rng.choice(["a", " b", "C1", "é", ""], 500)})
    frame.loc[::7, "x"] = np.nan
    x, s = column_facts(open_table(frame), ["x", "s"])
    assert (x.rows, x.present, x.distinct) == (500, frame["x"].count(), frame["x"].nunique())
    assert (x.low, x.high) == (frame["x"].min(), frame["x"].max())
    assert x.usual == pytest.approx(tuple(frame["x"].quantile([0.005, 0.995])))
    assert x.fits[1] == (frame["x"] == frame["x"].round(1)).sum()
    assert dict(s.levels) == frame["s"].value_counts().to_dict()
    assert (s.blank, s.edged, s.foreign) == tuple((frame["s"] == v).sum() for v in ("", " b", "é"))


def test_no_value_that_few_hold_is_listed_and_no_name_at_all():
    people = [f"Person Number{i}" for i in range(400)]
    town = ["Bern"] * 300 + ["Chur"] * 97 + ["Secret"] * (MIN_LEVEL_ROWS - 2)
    rules = rules_of(pd.DataFrame({"name": people, "town": town, "mail": [f"p{i}@example.org" for i in range(400)]}))
    text = str([(r.name, dict(r.options)) for r in rules.values()])
    assert "Person" not in text
    assert "Secret" not in text
    assert "example" not in text
    assert rules["in_set(town)"].option("values") == ["Bern", "Chur"]


def test_dependencies_orders_sums_ratios_and_keys_are_found_and_chance_is_not():
    rng = np.random.default_rng(1)
    noise = {f"n{i}": rng.normal(size=3000) for i in range(8)}
    assert find_orders(noise) == []
    assert find_sums(noise) == []
    assert find_ratios(noise) == []
    codes = {f"c{i}": rng.integers(0, 3 + i, 3000) for i in range(8)}
    assert find_dependencies(codes) == []
    assert find_keys(codes) == []
    a, b = rng.gamma(2, 10, 3000).round(2), rng.gamma(2, 10, 3000).round(2)
    held = {"a": a, "b": b, "t": a + b, "k": (a + b) * rng.uniform(0.8, 1.0, 3000)}
    assert find_sums(held) == [(("a", "b"), "t")]
    assert {("a", "<", "t"), ("b", "<", "t"), ("k", "<=", "t")} - {
        (x, "<=" if x == "k" else o, y) for x, o, y in find_orders(held)
    } == set()
    assert [r[:2] for r in find_ratios(held)] == [("t", "k")]


def test_what_follows_from_others_is_left_out():
    shop = np.arange(3000) % 60
    codes = {"shop": shop, "town": shop // 6, "canton": shop // 20, "code": shop[::-1] * 0 + shop}
    found = set(find_dependencies(codes))
    assert ("shop", "town") in found
    assert ("shop", "canton") not in found or ("town", "canton") not in found
    assert {("shop", "code"), ("code", "shop")} <= found
    assert ("code", "town") not in found


def test_clocks_and_identifiers_have_no_range():
    frame = pd.DataFrame(
        {"order_id": np.arange(500), "at": pd.date_range("2024-01-01", periods=500, freq="h"), "hour": np.arange(500) % 24}
    )
    rules = rules_of(frame, Roles(time="at"))
    assert not any(rule.kind in ("between", "in_set") and rule.columns[0] in ("order_id", "at") for rule in rules.values())
    assert rules["same_hour(at, hour)"].option("sql") == 'extract(hour from "at") = "hour"'


def test_every_shape_of_column_is_mined_or_left_alone():
    frame = pd.DataFrame(
        {"empty": [None] * 90, "one": 1, "flag": [True, False, None] * 30, "inf": [np.inf, 1.5, np.nan] * 30, 'q"uote': range(90)}
    )
    frame["list"], frame["bytes"], frame["day"] = [[1]] * 90, [b"x"] * 90, pd.Timestamp("2024-01-01")
    rules = rules_of(frame)
    assert {"null(empty)", "constant(one)", "not_null(list)"} <= set(rules)
    assert rules_of(frame[:0]) is not None
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 60)), columns=[f"c{i}" for i in range(60)])
    assert len(rules_of(wide)) >= 120


def test_column_rules_of_one_column_are_few():
    for values in (["a", "b"] * 200, list(range(400)), np.random.default_rng(0).normal(size=400)):
        [facts] = column_facts(ibis.memtable(pd.DataFrame({"x": values})), ["x"])
        assert 1 <= len(column_rules(facts, Roles())) <= 14
