"""Quarantine loses nothing: every row on exactly one side, as often as it was there."""

import math
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prodnb import quarantine
from prodnb.errors import InputError
from prodnb.quarantine import BROKEN, Counts, split
from prodnb.rules import Rule

RULES = [
    Rule(kind="between", columns=("x",), options={"min": 0}),
    Rule(kind="not_null", columns=("s",), severity="warn", max_share=0.9),
    Rule(kind="condition", options={"sql": "x > n OR s = 'a'"}, name="x above n"),
    Rule(kind="unique", columns=("n",), where="x > 1"),
    Rule(kind="depends_on", columns=("s", "n")),
    Rule(kind="increasing", columns=("n",)),
    Rule(kind="row_count", options={"min": 10**6}),
]
FLOATS = st.one_of(st.none(), st.sampled_from([0.0, 1.5, -2.0, math.nan, math.inf, -math.inf]), st.floats(width=64))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", " ", 'q"uo,te', "line\nbreak", "\r\n", "ü🙂", "NULL", "nan"]), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4))  # fmt: skip
ROWS = st.lists(st.tuples(FLOATS, TEXTS, st.one_of(st.none(), st.integers(-3, 3))), min_size=0, max_size=30)


def table_of(rows):
    x, s, n = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table({"x": pa.array(x, pa.float64()), "s": pa.array(s, pa.string()), "n": pa.array(n, pa.int64())})


def read(path):
    """Read with another reader than the one that verifies."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    import csv

    from pyarrow import csv as reader

    with path.open(newline="") as raw:
        names = next(csv.reader(raw))
    types = {name: {"x": pa.float64(), "n": pa.int64()}.get(name, pa.string()) for name in names}
    # "-nan" and "inf" are not numbers for this reader: texts first
    parse = reader.ParseOptions(newlines_in_values=True)
    convert = reader.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False)  # fmt: skip
    rows = reader.read_csv(path, parse_options=parse, convert_options=convert).to_pylist()
    cast = {pa.float64(): float, pa.int64(): int, pa.string(): str}
    return [{k: None if v is None else cast[types[k]](v) for k, v in row.items()} for row in rows]


def bag(rows):
    return Counter(
        tuple("nan" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items() if k != BROKEN) for row in rows
    )


@pytest.mark.parametrize("form", ["parquet", "csv"])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def test_good_and_bad_together_are_the_input(tmp_path_factory, form, rows):
    place, table = tmp_path_factory.mktemp("q"), table_of(rows)
    good, bad = place / f"good.{form}", place / f"bad.{form}"
    counts = split(RULES, table, good, bad)
    kept, broke = read(good), read(bad)
    assert bag(kept) + bag(broke) == bag(table.to_pylist())
    assert counts.good + counts.bad == counts.rows == len(rows)
    assert (len(kept), len(broke)) == (counts.good, counts.bad)
    assert all(row[BROKEN] for row in broke)
    named = Counter(name for row in broke for name in row[BROKEN].split("; "))
    assert {k: v for k, v in counts.by_rule.items() if v} == dict(named)
    # an oracle for the simplest rule
    wrong = sum(r[0] is not None and not math.isnan(r[0]) and r[0] < 0 for r in rows)
    assert counts.by_rule["between(x)"] == wrong


def test_grouped_rules_against_plain_python(tmp_path):
    rows = [(float(i % 7), f"s{i % 5}", (i * 13) % 11 if i % 4 else i % 5) for i in range(500)] + [(None, None, None)] * 3
    counts = split([Rule(kind="unique_together", columns=("x", "s", "n")), Rule(kind="decreasing", columns=("n",))], table_of(rows), tmp_path / "g.parquet", tmp_path / "b.parquet")  # fmt: skip
    seen = Counter(rows[:500])
    assert counts.by_rule["unique_together(x, s, n)"] == sum(n for n in seen.values() if n > 1)
    order = [r[2] for r in rows[:500]]
    assert counts.by_rule["decreasing(n)"] == sum(b > a for a, b in pairwise(order))
    kept = [r["n"] for r in read(tmp_path / "g.parquet") if r["n"] is not None]
    assert kept == [n for n, before, r in zip(order, [99, *order], rows, strict=False) if seen[r] == 1 and n <= before]


def test_values_of_many_types_survive(tmp_path):
    import decimal

    table = pa.table({
        "d": pa.array([decimal.Decimal("1.10"), None], pa.decimal128(10, 2)), "t": pa.array([datetime(2026, 1, 1, 1, 2, 3, 4), None]),
        "z": pa.array([1, None], pa.timestamp("us", tz="UTC")), "l": pa.array([[1, None], None]), "b": pa.array([True, None]),
        "r": pa.array([{"a": "x; y"}, None]), "i": pa.array([2**63, None], pa.uint64()), "raw": pa.array([b"\x00\xff", None]),
    })  # fmt: skip
    counts = split([Rule(kind="not_null", columns=("b",))], table, tmp_path / "g.parquet", tmp_path / "b.parquet")
    assert counts == Counts(2, 1, 1, {"not_null(b)": 1})
    assert parquet.read_table(tmp_path / "g.parquet").to_pylist()[0] == table.to_pylist()[0]


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("a.parquet", "a.parquet", "both go to"),
        ("a.xlsx", "b.parquet", "neither Parquet nor CSV"),
        ("none/a.parquet", "b.parquet", "there is no folder 'none'"),
        ("old.csv", "b.parquet", "is there already"),
        ("a.parquet", "folder.csv", "is there already"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, good, bad, words):
    (tmp_path / "old.csv").write_text("mine")
    (tmp_path / "folder.csv").mkdir()
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError, match=words):
        split(RULES, table_of([(1.0, "a", 1)]), tmp_path / good, tmp_path / bad)
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "old.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(kind="not_null", columns=("xx",)), "there is no column 'xx'"),
        (Rule(kind="between", columns=("s",), options={"min": 3}), "holds texts"),
        (Rule(kind="condition", options={"sql": "CAST(s AS INTEGER) > 3"}), "could not be split"),
        (Rule(kind="condition", options={"sql": "n > zz"}), "no column 'zz'"),
        (Rule(kind="in_table", columns=("s",), options={"table": "nowhere.csv"}), "nowhere.csv"),
    ],
)
def test_a_rule_that_cannot_be_judged_stops_everything(tmp_path, rule, words):
    with pytest.raises(InputError, match=words):
        split([*RULES, rule], table_of([(1.0, "secret", 1)] * 3), tmp_path / "g.csv", tmp_path / "b.csv")
    assert os.listdir(tmp_path) == []


def test_overwriting_has_to_be_said_and_the_own_column_is_refused(tmp_path):
    good, bad = tmp_path / "g.csv", tmp_path / "b.csv"
    for _ in range(2):
        split(RULES, table_of([(1.0, "a", 1)]), good, bad, overwrite=True)
    with pytest.raises(InputError, match="prodnb_broken"):
        split([], pa.table({"prodnb_broken": [1]}), good, bad, overwrite=True)


def test_what_is_not_read_back_as_it_was_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(quarantine.FORMATS, ".csv", quarantine.FORMATS[".csv"].replace("NULLSTR ''", "NULLSTR 'zz'"))
    with pytest.raises(InputError, match="would not be the same when read back"):
        split([], table_of([(1.0, None, 1)]), tmp_path / "g.csv", tmp_path / "b.csv")
    monkeypatch.setitem(quarantine.FORMATS, ".csv", quarantine.FORMATS[".csv"].replace("HEADER true", "HEADER false"))
    with pytest.raises(InputError, match="2 rows were read and 1 written"):
        split([], table_of([(1.0, "a", 1), (2.0, "b", 2)]), tmp_path / "g.csv", tmp_path / "b.parquet")
    assert os.listdir(tmp_path) == []


def test_the_memory_limit_is_put_back(tmp_path):
    from prodnb.embedded import engine

    before = engine().raw_sql("SELECT current_setting('memory_limit')").fetchall()
    split(RULES, table_of([(1.0, "a", 1)]), tmp_path / "g.csv", tmp_path / "b.csv")
    assert engine().raw_sql("SELECT current_setting('memory_limit')").fetchall() == before


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_nothing_that_looks_finished(tmp_path):
    duckdb.sql(f"COPY (SELECT range AS n, random() AS x FROM range(8000000)) TO '{tmp_path / 'in.parquet'}'")
    code = "from prodnb.quarantine import split; from prodnb.rules import Rule; split([Rule(kind='between', columns=('x',), options={'max': 0.5})], 'in.parquet', 'good.parquet', 'bad.parquet')"
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    )
    while run.poll() is None and not list(tmp_path.glob(".*.part")):
        pass
    run.kill()
    run.wait()
    assert not [p for p in tmp_path.glob("*.parquet") if p.name != "in.parquet"]


@pytest.mark.prove
def test_twenty_million_rows_within_the_memory(tmp_path):
    columns = (
        ", ".join(f"random() AS x{n}" for n in range(10)) + ", " + ", ".join(f"(random() * 1000)::INT AS i{n}" for n in range(8))
    )
    duckdb.sql(
        f"COPY (SELECT range AS n, 'k' || (range % 19999999) AS k, {columns} FROM range(20000000)) TO '{tmp_path / 'in.parquet'}'"
    )
    code = """
from prodnb.embedded import engine
from prodnb.quarantine import split
from prodnb.rules import Rule
engine()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rules = [Rule(kind="between", columns=("x1",), options={"max": 0.9}), Rule(kind="unique", columns=("k",))]
print(split(rules, "in.parquet", "good.parquet", "bad.parquet").rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})  # fmt: skip
    rows, megabytes = map(int, done.stdout.split())
    assert rows == 20_000_000
    assert megabytes <= 500
