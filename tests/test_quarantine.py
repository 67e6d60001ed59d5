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

from prodnb import quarantine, replacing
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


def settings_of(con):
    return con.raw_sql("SELECT name, value FROM duckdb_settings() ORDER BY ALL").fetchall()


REPEATED = "SELECT range AS i, md5((range % {keys})::VARCHAR) AS k, md5(range::VARCHAR) AS l FROM range({rows})"


def test_the_disk_is_used_again_and_again_and_the_engine_stays_as_it_was(tmp_path, monkeypatch):
    import ibis

    from prodnb.embedded import engine

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quarantine, "ROOM", 100)
    opened, connect = [], ibis.duckdb.connect
    monkeypatch.setattr(ibis.duckdb, "connect", lambda *a, **config: opened.append(config) or connect(*a, **config))
    duckdb.sql(f"COPY ({REPEATED.format(rows=900_000, keys=600_000)}) TO 'in.parquet'")
    mine = ibis.duckdb.connect(memory_limit="150MB", temp_directory=str(tmp_path / "mine"))
    mine.raw_sql("CREATE VIEW in_parquet AS FROM 'in.parquet'").fetchall()
    before = settings_of(engine()), settings_of(mine)
    for table in ("in.parquet", "in.parquet", mine.table("in_parquet")):
        counts = split([Rule(kind="unique", columns=("k",))], table, "good.parquet", "bad.parquet", overwrite=True)
        assert counts == Counts(900_000, 300_000, 600_000, {"unique(k)": 600_000})
        assert not list(tmp_path.glob(".prodnb_*"))
        spill = Path(opened[-1]["temp_directory"])
        assert (spill.parent.parent.resolve(), spill.parent.name[:8], opened[-1]["memory_limit"]) == (
            tmp_path,
            ".prodnb_",
            "100MB",
        )
    assert (settings_of(engine()), settings_of(mine)) == before
    kept = duckdb.sql("SELECT bool_and(i BETWEEN 300000 AND 599999), count(DISTINCT i) FROM 'good.parquet'").fetchall()
    assert kept == [(True, 300_000)]
    after = mine.raw_sql("SELECT count(*) FROM (SELECT k, l, count(*) FROM in_parquet GROUP BY ALL)").fetchall()
    assert after == [(900_000,)]
    # rows keep their order
    assert duckdb.sql("SELECT bool_and(i > before) FROM (SELECT i, lag(i) OVER () AS before FROM 'bad.parquet')").fetchall()[0][0]


def test_one_thread_is_tried_where_several_have_no_room(tmp_path, monkeypatch):
    real, tried = quarantine._write, []

    def short(rules, table, folder, parts, threads):
        tried.append(threads)
        if len(tried) == 1:
            raise duckdb.OutOfMemoryException("no room")
        return real(rules, table, folder, parts, threads)

    monkeypatch.setattr(quarantine, "_write", short)
    assert split(RULES, table_of([(1.0, "a", 1)]), tmp_path / "g.csv", tmp_path / "b.csv").rows == 1
    assert tried[1] == 1


def test_marks_stand_beside_their_own_rows(tmp_path):
    """Rules about rows and about rows among rows together: each row is named by exactly the rules it breaks."""
    duckdb.sql(f"COPY (SELECT range AS i, range % 700 AS k, (range * 7919) % 1000 AS x FROM range(300000) WHERE range <> 5) TO '{tmp_path}/in.parquet'")  # fmt: skip
    pa_other = pa.table({"id": list(range(600))})
    parquet.write_table(pa_other, tmp_path / "other.parquet")
    rules = [
        Rule(kind="between", columns=("x",), options={"max": 499}, name="x"),
        Rule(kind="in_table", columns=("k",), options={"table": "other.parquet", "columns": ["id"]}, name="k"),
        Rule(kind="unique_together", columns=("k", "x"), where="x > 900", name="kx"),
    ]
    split(rules, "in.parquet", tmp_path / "g.parquet", tmp_path / "b.parquet", folder=tmp_path)
    found = {r["i"]: r[BROKEN] for r in parquet.read_table(tmp_path / "b.parquet", columns=["i", BROKEN]).to_pylist()}
    pairs = Counter((i % 700, i * 7919 % 1000) for i in range(300000) if i != 5 and i * 7919 % 1000 > 900)
    for i in range(300000):
        k, x = i % 700, i * 7919 % 1000
        names = ["x"] * (x > 499) + ["k"] * (k >= 600) + ["kx"] * (x > 900 and pairs[k, x] > 1)
        assert found.get(i, "") == ("; ".join(names) if i != 5 else "")


@pytest.mark.parametrize("kind", ["frame", "database", "csv"])
def test_tables_of_other_kinds_are_split_alike(tmp_path, kind, monkeypatch):
    table = pa.table({"n": [3, 1, 3, 2], "s": ["a", None, "b", ""]})
    if kind == "csv":
        monkeypatch.setattr("prodnb.tables.CSV_IN_MEMORY", 0)
        (tmp_path / "in.csv").write_text("n,s\n3,a\n1,\n3,b\n2,c\n")
        source = "in.csv"
    elif kind == "database":
        with duckdb.connect(str(tmp_path / "shop.duckdb")) as con:
            con.execute("CREATE TABLE t AS SELECT * FROM (VALUES (3, 'a'), (1, NULL), (3, 'b'), (2, '')) AS rows (n, s)")
        source = "shop.duckdb::t"
    else:
        source = table
    counts = split([Rule(kind="unique", columns=("n",))], source, tmp_path / "g.parquet", tmp_path / "b.parquet", folder=tmp_path)
    assert counts == Counts(4, 2, 2, {"unique(n)": 2})
    assert [r["n"] for r in read(tmp_path / "g.parquet")] == [1, 2]


def test_two_files_get_their_names_together(tmp_path, monkeypatch):
    """A failure between the two leaves what was there, and the message is true."""
    good, bad = tmp_path / "g.csv", tmp_path / "b.csv"
    good.write_text("old good")
    bad.write_text("old bad")
    real, calls = os.replace, []

    def fails(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(InputError, match="Nothing was written"):
        split(RULES, table_of([(1.0, "a", 1)]), good, bad, overwrite=True)
    assert (good.read_text(), bad.read_text()) == ("old good", "old bad")
    assert sorted(os.listdir(tmp_path)) == ["b.csv", "g.csv"]


def test_what_cannot_be_put_back_is_kept_and_said(tmp_path, monkeypatch):
    good, bad = tmp_path / "g.csv", tmp_path / "b.csv"
    good.write_text("old good")
    bad.write_text("old bad")
    real, calls = os.replace, []

    def fails(source, target):
        calls.append(target)
        if len(calls) >= 2:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(InputError, match=r"what was there is \.prodnb_.*b\.csv\.old") as raised:
        split(RULES, table_of([(1.0, "a", 1)]), good, bad, overwrite=True)
    assert "othing was written" not in str(raised.value)
    assert [p.read_text() for p in tmp_path.glob(".prodnb_*/b.csv.old")] == ["old bad"]
    assert good.read_text() == "old good"


def test_files_are_on_the_disk_before_they_get_their_names(tmp_path, monkeypatch):
    seen = []
    real, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append("sync"), real(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append("name"), replace(a, b))[1])
    split(RULES, table_of([(1.0, "a", 1)]), tmp_path / "g.csv", tmp_path / "b.csv")
    assert seen == ["sync", "sync", "name", "name", "sync"]
    seen.clear()
    from prodnb.yaml_text import write_whole

    write_whole(tmp_path / "c.yaml", "a: 1\n")
    assert seen == ["sync", "name", "sync"]


def test_names_that_the_file_could_not_tell_apart_are_refused(tmp_path):
    rules = [Rule(kind="not_null", columns=("s",), name="x; y"), Rule(kind="not_null", columns=("x",), name="x, y")]
    with pytest.raises(InputError, match="two rules would be called 'x, y'"):
        split(rules, table_of([(1.0, None, 1)]), tmp_path / "g.csv", tmp_path / "b.csv")


@pytest.mark.parametrize(("kind", "value"), [("HUGEINT", "99999999999999999999999::HUGEINT"), ("HUGEINT", "[9::HUGEINT]"), ("TIME WITH TIME ZONE", "'10:00:00+01'::TIMETZ")])  # fmt: skip
def test_a_type_that_parquet_cannot_hold_is_named_before(tmp_path, kind, value):
    import ibis

    con = ibis.duckdb.connect()
    con.raw_sql(f"CREATE TABLE t AS SELECT 1 AS one, {value} AS big").fetchall()
    with pytest.raises(InputError, match=f"'big' is of type {kind}, whose values Parquet cannot hold"):
        split([], con.table("t"), tmp_path / "g.parquet", tmp_path / "b.csv")
    assert split([], con.table("t"), tmp_path / "g.csv", tmp_path / "b.csv").good == 1


@pytest.mark.parametrize("source", ["p*.parquet", "p1.parquet", "."])
def test_no_input_is_replaced(tmp_path, source):
    for n in (1, 2):
        parquet.write_table(table_of([(1.0, "a", n)]), tmp_path / f"p{n}.parquet")
    before = (tmp_path / "p1.parquet").read_bytes()
    with pytest.raises(InputError, match="a part of the table that is read"):
        split(RULES, source, tmp_path / "p1.parquet", tmp_path.parent / "b.csv", folder=tmp_path, overwrite=True)
    assert (tmp_path / "p1.parquet").read_bytes() == before


def test_what_dead_runs_left_is_removed_and_nothing_of_the_living(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    machine = replacing._machine()

    def left(process, machine=machine, name="g.csv.part"):
        folder = tmp_path / f".prodnb_{machine}_{process}_abc"
        folder.mkdir()
        (folder / name).write_text("rows")
        return folder

    dead, living, elsewhere = left(gone.pid), left(os.getppid()), left(gone.pid, "another-machine")
    split(RULES, table_of([(1.0, "a", 1)]), tmp_path / "g.csv", tmp_path / "b.csv")
    assert (dead.exists(), living.exists(), elsewhere.exists()) == (False, True, True)
    dead = left(gone.pid, name="other.csv.old")  # the only copy, perhaps
    split(RULES, table_of([(1.0, "a", 1)]), tmp_path / "g.csv", tmp_path / "b.csv", overwrite=True)
    assert dead.exists()
    split(RULES, table_of([(1.0, "a", 1)]), tmp_path / "other.csv", tmp_path / "b.csv", overwrite=True)
    assert not dead.exists()


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_nothing_that_looks_finished(tmp_path):
    duckdb.sql(f"COPY (SELECT range AS n, random() AS x FROM range(8000000)) TO '{tmp_path / 'in.parquet'}'")
    code = "from prodnb.quarantine import split; from prodnb.rules import Rule; split([Rule(kind='between', columns=('x',), options={'max': 0.5})], 'in.parquet', 'good.parquet', 'bad.parquet')"
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    )
    while run.poll() is None and not list(tmp_path.glob(".prodnb_*/*.part")):
        pass
    run.kill()
    run.wait()
    assert not [p for p in tmp_path.glob("*.parquet") if p.name != "in.parquet"]
    assert list(tmp_path.glob(".prodnb_*"))
    split(RULES, table_of([(1.0, "a", 1)]), tmp_path / "g.csv", tmp_path / "b.csv")
    assert not list(tmp_path.glob(".prodnb_*"))


@pytest.mark.prove
def test_millions_of_repeated_keys_twice_and_a_spill_afterwards(tmp_path):
    duckdb.sql(f"COPY ({REPEATED.format(rows=9_000_000, keys=7_000_000)}) TO '{tmp_path / 'in.parquet'}'")
    code = """
import resource
from prodnb.embedded import engine
from prodnb.quarantine import split
from prodnb.rules import Rule
settings = engine().raw_sql("SELECT name, value FROM duckdb_settings()").fetchall()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(2):
    counts = split([Rule(kind="unique", columns=("k",))], "in.parquet", "good.parquet", "bad.parquet", overwrite=True)
    print(counts.rows, counts.good, counts.bad)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
print(settings == engine().raw_sql("SELECT name, value FROM duckdb_settings()").fetchall())
engine().raw_sql("SET memory_limit = '300MB'")
print(engine().raw_sql("SELECT count(*) FROM (SELECT k, l, count(*) FROM 'in.parquet' GROUP BY ALL)").fetchall()[0][0])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})  # fmt: skip
    first, second, megabytes, same, groups = done.stdout.splitlines()
    assert first == second == "9000000 5000000 4000000"
    assert int(megabytes) <= 500
    assert (same, groups) == ("True", "9000000")


@pytest.mark.prove
def test_twenty_million_rows_within_the_memory(tmp_path):
    columns = (
        ", ".join(f"random() AS x{n}" for n in range(10)) + ", " + ", ".join(f"(random() * 1000)::INT AS i{n}" for n in range(8))
    )
    duckdb.sql(
        f"COPY (SELECT range AS n, 'k' || (range % 19999999) AS k, {columns} FROM range(20000000)) TO '{tmp_path / 'in.parquet'}'"
    )
    code = """
import resource
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
