"""Rules of other tools: each is taken over exactly or listed with the reason, and none vanishes."""

import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from prodnb.contract import contract_yaml, parse_contract
from prodnb.enforce import enforce
from prodnb.errors import InputError
from prodnb.expectations import EXPECTATIONS, rules_of_expectation
from prodnb.kinds import KINDS
from prodnb.row_conditions import NotTranslated, condition_sql
from prodnb.suites import import_suite
from prodnb.table_schemas import from_json_schema, from_table_schema
from prodnb.tables import open_table
from prodnb.yaml_text import parse_yaml

SUITES = Path(__file__).parent / "data" / "suites"
CORE = json.loads((SUITES / "core.json").read_text())["expectations"]
NEW = json.loads((SUITES / "new.json").read_text())["expectations"]


def test_the_suite_holds_every_expectation_of_the_core():
    assert {e["expectation_type"].lower() for e in CORE} == set(EXPECTATIONS)


@pytest.mark.parametrize("expectation", CORE, ids=lambda e: e["expectation_type"])
def test_an_expectation_becomes_the_kinds_that_the_table_names(expectation):
    kinds, _ = EXPECTATIONS[expectation["expectation_type"].lower()]
    rules, left = rules_of_expectation(expectation)
    assert (left is None) == bool(kinds) == bool(rules)
    assert {rule.kind for rule in rules} <= set(kinds.split(", "))
    assert left is None or len(left.why) > 20


def test_none_vanishes():
    for expectations, name in ((CORE, "core.json"), (NEW, "new.json")):
        contract, left = import_suite(SUITES / name)
        taken = [e for e in expectations if rules_of_expectation(e if isinstance(e, dict) else {})[0]]
        assert len(taken) + len(left) == len(expectations)
        said = {(r.kind, r.columns, str(r.options), r.where, r.max_share) for r in contract.rules}
        for expectation in taken:
            for rule in rules_of_expectation(expectation)[0]:
                assert (rule.kind, rule.columns, str(rule.options), rule.where, rule.max_share) in said
        assert parse_contract(parse_yaml(contract_yaml(contract), "x")) == contract


def test_conditions_notes_and_severity_come_along():
    contract, left = import_suite(SUITES / "new.json")
    rules = {r.name: r for r in contract.rules}
    between = rules["between(fare)"]
    assert between.where == """(("tip" > 3) AND ("town" IN ('Bern', 'Chur')))"""
    assert (between.severity, between.reason, between.max_share) == ("warn", "a ride to the moon is a typing error", 0.1)
    assert rules["not_null(town)"].where == """(("note" IS NULL) OR ("fare" = 1))"""
    assert rules["not_null(mail)"].where == """(("tip" > 3) AND ("town" IN ('Bern')))"""
    assert "IS NOT DISTINCT FROM" in rules["not_null(day)"].where
    assert len(left) == 12 - 1
    assert [why.why for why in left if "whole table" in why.why]
    old, _ = import_suite(SUITES / "core.json")
    assert next(r for r in old.rules if r.kind == "not_null").reason == "every ride is paid see the tariff"


@pytest.mark.parametrize(
    "text",
    [
        "a > 5 & b",
        "a in b",
        "lambda: 1",
        "a.b > 3",
        "f(a)",
        "",
        "a ==",
        "a == b''",
        "(x for x in y)",
        "a if b else c",
        "a[0] == 1",
        "a == float('nan')",
        "x" * 6000,
        "a := 3",
    ],
)
def test_what_cannot_be_translated_is_refused(text):
    with pytest.raises(NotTranslated):
        condition_sql(text)


def test_conditions_choose_the_rows_that_pandas_chooses():
    frame = pd.DataFrame({"a": [1, 2, 3, 4, 5], "air time": [1.5, 2.5, 0.5, 9, 2], "s": list("xyxyz")})
    for text in [
        "a > 2",
        "a > 2 and s == 'x'",
        "a in [1, 5] or s != 'y'",
        "not (a == 3)",
        "`air time` < 2",
        "(a > 1) & (a <= 4)",
        "1 < a < 4",
        "a + 1 == 3",
        "s not in ['x']",
        "a.isin([1, 2])",
        "~(a == 1)",
    ]:
        chosen = duckdb.sql(f"SELECT a FROM frame WHERE {condition_sql(text)}").fetchall()
        assert sorted(a for (a,) in chosen) == sorted(frame.query(text)["a"]), text


def said_there(name: str, f: pd.DataFrame, pairs: list) -> pd.Series:
    """Which rows break an expectation on pandas over there, where rows without any value are left out: as its source says."""
    f = f[f.notna().any(axis=1)]
    a, b = f["a"], f["b"]
    kept = {
        "expect_compound_columns_to_be_unique": lambda: ~f.duplicated(keep=False),
        "expect_select_column_values_to_be_unique_within_record": lambda: f.nunique(axis=1, dropna=False) == f.shape[1],
        "expect_multicolumn_sum_to_equal": lambda: f.sum(axis=1, skipna=False) == 3,
        "expect_multicolumn_values_to_be_equal": lambda: f.nunique(axis=1, dropna=False) <= 1,
        "expect_column_pair_values_a_to_be_greater_than_b": lambda: a > b,
        "expect_column_pair_values_to_be_equal": lambda: a == b,
        "expect_column_pair_values_to_be_in_set": lambda: pd.Series(
            [[x, y] in pairs for x, y in zip(a, b, strict=True)], index=f.index, dtype=bool
        ),
    }
    return ~kept[name]()


@pytest.mark.parametrize(
    "name", [n for n in EXPECTATIONS if re.search("compound|select_column|multicolumn_(sum|values_to_be_eq)|pair_values", n)]
)
def test_rows_with_gaps_break_what_they_break_there(name):
    rng, pairs, broken, held = np.random.default_rng(0), [[1.0, 2.0], [3.0, 3.0]], 0, 0
    alone = {"column_A": "a", "column_B": "b"} if "pair" in name else {"column_list": ["a", "b"]}
    more = {"value_pairs_set": pairs} if "in_set" in name else {"sum_total": 3} if "sum" in name else {}
    rules, left = rules_of_expectation({"type": name, "kwargs": alone | more})
    assert left is None
    for _ in range(60):
        f = pd.DataFrame(rng.integers(1, 6, (int(rng.integers(1, 4)), 2)).astype(float), columns=["a", "b"])
        if rng.random() < 0.5:
            f = pd.DataFrame([[1.0, 2.0], [3.0, 3.0]][: rng.integers(1, 3)] * int(rng.integers(1, 3)), columns=["a", "b"])
        f = f.mask(rng.random(f.shape) < 0.25)
        want = bool(said_there(name, f, pairs).any())
        findings = enforce(rules, open_table(f))
        assert not [x for x in findings if x.outcome == "errored"]
        assert want == any(x.outcome == "failed" for x in findings), f
        broken, held = broken + want, held + (not want)
    assert min(broken, held) >= 3


def test_the_first_reported_weakenings():
    """Each of these broke there and was silent here."""
    cases = [
        ("expect_compound_columns_to_be_unique", {"column_list": ["a", "b"]}, {"a": [1, 1], "b": [None, None]}),
        ("expect_multicolumn_sum_to_equal", {"column_list": ["a", "b"], "sum_total": 3}, {"a": [1, 1], "b": [2, None]}),
        ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "a", "column_B": "b"}, {"a": [3, 1], "b": [2, None]}),
        (
            "expect_select_column_values_to_be_unique_within_record",
            {"column_list": ["a", "b", "c"]},
            {"a": [1, 1], "b": [2, 1], "c": [3, None]},
        ),
    ]
    for name, kwargs, columns in cases:
        rules, _ = rules_of_expectation({"type": name, "kwargs": kwargs})
        assert "failed" in {f.outcome for f in enforce(rules, open_table(pd.DataFrame(columns, dtype=float)))}, name


@pytest.mark.parametrize(
    ("name", "kwargs", "why"),
    [
        ("expect_compound_columns_to_be_unique", {"column_list": list("ab"), "mostly": 0.9}, "any_value_is_missing it is one"),
        ("expect_compound_columns_to_be_unique", {"column_list": list("abcd")}, "it is unique_together"),
        ("expect_multicolumn_sum_to_equal", {"column_list": list("ab"), "sum_total": 1, "mostly": 0.9}, "any_value_is_missing"),
        ("expect_column_pair_values_to_be_equal", {"column_A": "a", "column_B": "b", "mostly": 0.5}, "either_value_is_missing"),
        ("expect_column_pair_values_to_be_equal", {"column_A": "a", "column_B": "b", "ignore_row_if": "never"}, "would count"),
        ("expect_column_pair_values_to_be_in_set", {"column_A": "a", "column_B": "b", "value_pairs_set": [[1, None]]}, "missing"),
        ("expect_column_values_to_be_increasing", {"column": "a", "parse_strings_as_datetimes": True}, "read as times"),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "a", "column_B": "b", "ignore_row_if": "either_value_is_missing", "parse_strings_as_datetimes": True},
            "read as times",
        ),
        ("expect_column_values_to_be_unique", {"column": "a", "min_value": 3}, "its argument min_value is not known"),
        ("expect_column_values_to_be_increasing", {"column": "a", "strict_min": True}, "its argument strict_min is not known"),
    ],
)
def test_what_is_not_exact_is_listed(name, kwargs, why):
    rules, left = rules_of_expectation({"type": name, "kwargs": kwargs})
    assert rules == []
    assert why in left.why


def test_rows_with_gaps_that_are_left_out_there_are_left_out_here():
    kwargs = {"column_list": ["a", "b"], "ignore_row_if": "any_value_is_missing", "mostly": 0.9}
    rules, left = rules_of_expectation({"type": "expect_compound_columns_to_be_unique", "kwargs": kwargs})
    assert left is None
    assert [(r.kind, r.max_share) for r in rules] == [("unique_together", 0.1)]
    condition = {"row_condition": "c > 3", "condition_parser": "pandas"}
    rules, _ = rules_of_expectation(
        {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["a", "b"]} | condition}
    )
    assert {r.where for r in rules} == {'("c" > 3)', '("c" > 3) AND ("a" IS NULL)', '("c" > 3) AND ("b" IS NULL)'}


def test_a_data_package():
    with pytest.raises(InputError, match=r"describes 2 tables. Say which one: 'orders', 'buyers'"):
        import_suite(SUITES / "datapackage.json")
    contract, left = import_suite(SUITES / "datapackage.json", table="orders")
    rules = {r.name: dict(r.options) for r in contract.rules}
    assert rules["between(id)"] == {"min": 1}
    assert rules["between(price)"] == {"max": 9999.5}
    assert any(o == {"min": 0, "strict_min": True} for o in rules.values())
    assert {
        "unique_together(id, day)",
        "unique_together(mail, day)",
        "format(mail)",
        "in_set(state)",
        "matches(state)",
        "length_between(mail)",
        "not_null(id)",
    } <= set(rules)
    assert rules["in_table(state)"] == {"table": "states.csv", "columns": ["code"]}
    assert {n.rule for n in left} == {
        "where: type geopoint",
        "lines: type array",
        "lines: minLength",
        "year: jsonSchema",
        "foreignKeys buyer",
        "missingValues 'NA'",
    }
    taken = from_table_schema(json.loads((SUITES / "datapackage.json").read_text())["resources"][0]["schema"])
    assert taken.statements == len(taken.rules) + len(taken.left) + 1  # the missing value "" needs nothing
    assert parse_contract(parse_yaml(contract_yaml(contract), "x")) == contract


def test_a_json_schema():
    contract, left = import_suite(SUITES / "person.schema.json")
    rules = {r.name: dict(r.options) for r in contract.rules}
    assert contract.name == "Person"
    assert any(o == {"min": 0} for n, o in rules.items() if n.startswith("between(age)"))
    assert any(o == {"max": 150, "strict_max": True} for n, o in rules.items() if n.startswith("between(age)"))
    assert "not_null(age)" not in rules
    assert "not_null(id)" in rules
    assert rules["in_set(sex)"] == {"values": ["f", "m"]}
    assert rules["length_between(zip)"] == {"min": 1, "max": 5}
    assert rules["column_type(born)"] == {"type": "date"}
    assert set(KINDS) >= {r.kind for r in contract.rules}
    assert {n.rule for n in left} == {"host: format idn-hostname", "tags: type array", "tags: items", "not: not", "anyOf"}
    taken = from_json_schema(json.loads((SUITES / "person.schema.json").read_text()))
    assert taken.statements == len(taken.rules) + len(taken.left) + 1  # age may be null
    assert parse_contract(parse_yaml(contract_yaml(contract), "x")) == contract


def test_a_list_of_rows_is_a_schema_of_rows():
    row = json.loads((SUITES / "person.schema.json").read_text())
    assert len(from_json_schema({"type": "array", "items": row, "$defs": row["$defs"], "minItems": 3}).left) == 6


def test_files_that_are_none(tmp_path):
    words = {
        "empty.json": ("", "is empty"),
        "text.json": ("hello", "line 1: this is not JSON"),
        "list.json": ("[1]", "holds a list"),
        "other.json": ('{"a": 1}', "holds the keys 'a'"),
        "deep.json": ("[" * 100_000, "nested too deeply"),
    }
    for name, (text, expected) in words.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=expected) as raised:
            import_suite(tmp_path / name)
        assert str(tmp_path) not in str(raised.value)
    with pytest.raises(InputError, match=r"no file absent.json"):
        import_suite(tmp_path / "absent.json")


def table_of_counterparts() -> str:
    """The table of docs/rules.md, from the importer itself."""
    lines = ["| Great Expectations | here | |", "|---|---|---|"]
    for name, (kinds, _) in sorted(EXPECTATIONS.items()):
        _, left = rules_of_expectation(next(e for e in CORE if e["expectation_type"].lower() == name))
        lines.append(
            f"| `{name}` | {', '.join(f'`{k}`' for k in kinds.split(', ')) if kinds else 'none'} | {left.why if left else ''} |"
        )
    return "\n".join(lines)


def test_the_docs_name_the_counterparts():
    docs = (Path(__file__).parents[1] / "docs" / "rules.md").read_text()
    assert table_of_counterparts() in docs
