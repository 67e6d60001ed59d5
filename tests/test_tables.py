"""Every kind of table opens whole, or is refused with words that name the place."""

import contextlib
import csv
import gzip
import random
import sqlite3
import sys

import duckdb
import ibis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared import SHARED, shared_data

from prodnb.errors import InputError
from prodnb.files import location, redact
from prodnb.tables import engine, open_table
from prodnb.text_files import csv_shape

MESSY = SHARED / "data/messy_csv_csvkit/files"
# files that no honest reader can load; the words that the error must hold
REFUSED = {
    "bad.csv": ("line 2 of", "has 4 fields"),
    "bad_skip_lines.csv": ("line 1 of", "is empty"),
    "empty.csv": ("is empty",),
    "join_a_short.csv": ("line 2 of", "has 2 fields"),
    "null_byte.csv": ("line 2 of", "holds a null byte"),
    "sheetsxlsx_converted.csv": ("column 9 of", "has no name"),
    "test_empty_columns.csv": ("line 3 of", "has 4 fields"),
    "test_empty_columns_long_row.csv": ("line 2 of", "has 4 fields"),
    "test_empty_columns_short_row.csv": ("line 2 of", "has 2 fields"),
    "test_extra_header.csv": ("line 2 of", "has 3 fields"),
    "test_join_short_rows.csv": ("line 2 of", "has 2 fields"),
    "test_latin1.csv": ("line 3 of", "is not UTF-8"),
    "test_skip_lines.csv": ("line 1 of", "is empty"),
    "test_utf16_big.csv": ("is in UTF-16",),
    "test_utf16_little.csv": ("is in UTF-16",),
    "FY09_EDU_Recipients_by_State.csv": ("column 10 of", "has no name"),
    "Datagov_FY10_EDU_recp_by_State.csv": ("has no name",),
    "dummy.csv.bz2": ("cannot tell what",),
    "dummy.xls": ("save the sheet as CSV",),
    "dummy.xlsx": ("save the sheet as CSV",),
    "testdbf.dbf": ("cannot tell what",),
}


def oracle(path):
    """Header and rows as Python's csv module sees them."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
        mark = {"sniff_limit.csv": ";", "dummy.tsv": "\t"}.get(path.name, ",")
        header, *rows = csv.reader(lines, delimiter=mark)
    return header, [row for row in rows if row]


def refused(source, folder, *words, where="settings.ini, line 3"):
    with pytest.raises(InputError) as caught:
        open_table(source, folder=folder, where=where).count().execute()
    text = str(caught.value)
    assert text.lower().startswith(where.lower()), text
    for word in words:
        assert word.lower() in text.lower(), text
    assert str(folder) not in text
    return text


def messy_files():
    return sorted(p for p in MESSY.rglob("*") if p.is_file()) if MESSY.is_dir() else []


@pytest.mark.parametrize("path", messy_files(), ids=lambda p: p.name)
def test_messy_files_load_whole_or_are_refused(path):
    words = REFUSED.get(path.name) or (("save the sheet",) if path.suffix in (".xls", ".xlsx") else None)
    if words:
        refused(path, path.parent.parent, path.name, *words)
        return
    header, rows = oracle(path)
    table = open_table(path)
    assert list(table.columns) == header
    assert table.count().execute() == len(rows)
    for n, column in enumerate(header):
        filled = sum(row[n] != "" for row in rows)
        assert table[column].count().execute() == filled, column


def test_no_messy_file_is_forgotten():
    shared_data("messy_csv_csvkit/files")
    assert len(messy_files()) >= 80
    assert set(REFUSED) <= {p.name for p in messy_files()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), min_size=3, max_size=3), max_size=8
    ),
    end=st.sampled_from(["\r\n", "\n", "\r"]),
    mark=st.sampled_from([",", ";", "\t", "|"]),
)
def test_any_csv_that_python_writes_keeps_its_rows(tmp_path, rows, end, mark):
    path = tmp_path / "any.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    assert csv_shape(path).rows == len(rows)
    with contextlib.suppress(InputError):  # refused aloud is honest
        table = open_table(path)
        assert list(table.columns) == ["a", "b", "c"]
        assert table.count().execute() == len(rows)


def test_planted_faults_in_a_csv_of_100_000_rows_are_named_by_line(tmp_path):
    lines = ["a,b,c", *(f"{n},{n * 2},x{n}" for n in range(100_000))]
    for fault in ("77,78", "1,2,3,4", '5,"6,7', '8,"9"0,1', "1,\0,2"):
        faulty = list(lines)
        faulty[90_000] = fault
        (tmp_path / "big.csv").write_text("\n".join(faulty) + "\n")
        refused("big.csv", tmp_path, "90001")
    raw = "\n".join(lines).encode().split(b"\n")
    raw[90_000] = b"1,\xff,2"
    (tmp_path / "big.csv").write_bytes(b"\n".join(raw))
    refused("big.csv", tmp_path, "line 90001", "iconv")


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_bom_and_gz(tmp_path, ends):
    text = "\ufeff" + ends.join(["a,b", '1,"x' + ends + 'y"', "2,é", ""])
    (tmp_path / "t.csv").write_text(text, newline="")
    with gzip.open(tmp_path / "t.csv.gz", "wt", newline="") as file:
        file.write(text)
    for name in ("t.csv", "t.csv.gz"):
        table = open_table(name, folder=tmp_path)
        assert table.columns == ("a", "b")
        assert table.count().execute() == 2
        assert table.a.sum().execute() == 3


def test_csv_without_rows_blank_lines_one_column_and_cut_gz(tmp_path):
    (tmp_path / "head.csv").write_text("a,b\n")
    assert open_table("head.csv", folder=tmp_path).count().execute() == 0
    (tmp_path / "blank.csv").write_text("a,b\n1,2\n\n3,4\n\n\n")
    assert open_table("blank.csv", folder=tmp_path).count().execute() == 2
    (tmp_path / "one.csv").write_text("a\n1\n\n3\n")
    one = open_table("one.csv", folder=tmp_path)
    assert (one.count().execute(), one.a.count().execute()) == (3, 2)
    (tmp_path / "none.csv").write_bytes(b"")
    refused("none.csv", tmp_path, "is empty")
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 10_000)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    refused("cut.csv.gz", tmp_path, "cut.csv.gz", "gzip")
    (tmp_path / "no.csv.gz").write_text("a,b\n1,2\n")
    refused("no.csv.gz", tmp_path, "gzip")
    (tmp_path / "dup.csv").write_text("a,b,a\n1,2,3\n")
    refused("dup.csv", tmp_path, "two columns named 'a'")
    (tmp_path / "long.csv").write_text("a,b\n1," + "x" * 3_000_000 + "\n")
    assert open_table("long.csv", folder=tmp_path).b.length().sum().execute() == 3_000_000


def test_dates_are_never_guessed(tmp_path):
    columns = {
        "iso": (["2013-01-02", "2013-01-03"], "date"),
        "us": (["01/02/2013", "01/03/2013"], "string"),
        "us_time": (["01/02/2013 03:04:00", "01/03/2013 03:04:00"], "string"),
        "plain": (["2013-01-02 03:04", "2013-01-02T03:04:05.5"], "timestamp(6)"),
        "zulu": (["2013-01-02T03:04:05Z", "2013-01-02 03:04:05+02:00"], "timestamp('UTC', 6)"),
        "both": (["2013-01-02T03:04:05Z", "2013-01-02 03:04:05"], "string"),
        "never": (["2013-13-45 03:04:05", "2013-01-02 03:04:05"], "string"),
        "none": (["", ""], "string"),
    }
    pd.DataFrame({name: values for name, (values, _) in columns.items()}).to_csv(tmp_path / "d.csv", index=False)
    table = open_table("d.csv", folder=tmp_path)
    assert {name: str(kind) for name, kind in table.schema().items()} == {name: kind for name, (_, kind) in columns.items()}
    late = table.aggregate(plain=table.plain.max(), zulu=table.zulu.min()).to_pandas().iloc[0]
    assert late.plain == pd.Timestamp("2013-01-02 03:04:05.5")
    assert late.zulu == pd.Timestamp("2013-01-02 01:04:05", tz="UTC")


def test_types_are_decided_on_all_rows(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 50_000 + "x,2.5\n")
    table = open_table("t.csv", folder=tmp_path)
    assert [str(kind) for kind in table.schema().values()] == ["string", "float64"]
    assert table.count().execute() == 50_001
    assert table.b.sum().execute() == 100_002.5


def test_every_spelling_opens_the_same_rows(tmp_path, monkeypatch):
    frame = pd.DataFrame({"a": range(10), "b": [f"x{n}" for n in range(10)], "c": [None, *[0.5] * 9]})
    (tmp_path / "many").mkdir()
    for n, part in enumerate((frame[:4], frame[4:])):
        for end, write in (("parquet", part.to_parquet), ("csv", part.to_csv)):
            write(tmp_path / f"part{n}.{end}", index=False)
        part.to_parquet(tmp_path / f"many/part{n}.parquet", index=False)
        part.to_json(tmp_path / f"part{n}.jsonl", orient="records", lines=True)
        feather.write_feather(part, tmp_path / f"part{n}.feather")
    frame.to_parquet(tmp_path / "a [1]*.parquet", index=False)
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    frame.to_json(tmp_path / "t.json", orient="records")
    frame.to_json(tmp_path / "t.ndjson.gz", orient="records", lines=True)
    feather.write_feather(frame, tmp_path / "t.feather", compression="lz4")
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_stream(sink, pa.Schema.from_pandas(frame)) as out:
        out.write_table(pa.Table.from_pandas(frame))
    with sqlite3.connect(tmp_path / "t.sqlite") as con:
        frame.to_sql("sales", con, index=False)
    with duckdb.connect(str(tmp_path / "t.duckdb")) as con:
        con.sql("create table sales as select * from frame")
        con.sql("create schema shop")
        con.sql("create view shop.sales as select * from main.sales")
    (tmp_path / "made_here.py").write_text(
        "import pandas as pd\ndef rows():\n    return pd.read_parquet(__file__.replace('made_here.py', 't2.parquet'))\n"
    )
    frame.to_parquet(tmp_path / "t2.parquet", index=False)
    spellings = [
        "part*.parquet",
        "part?.csv",
        "part*.jsonl",
        "part*.feather",
        "many",
        "many/",
        "a [1]*.parquet",
        "t.tsv",
        "t.csv.gz",
        "t.json",
    ]
    spellings += [
        "t.ndjson.gz",
        "t.feather",
        "t.arrow",
        "t.sqlite::sales",
        "t.duckdb::sales",
        "t.duckdb::shop.sales",
        "made_here:rows",
    ]
    spellings += [
        f"sqlite://{tmp_path}/t.sqlite::sales",
        f"duckdb://{tmp_path}/t.duckdb::main.sales",
        f"file://{tmp_path}/t.tsv",
        tmp_path / "t2.parquet",
    ]
    spellings += [
        frame,
        pl.from_pandas(frame),
        pl.from_pandas(frame).lazy(),
        pa.Table.from_pandas(frame),
        pa.RecordBatch.from_pandas(frame),
        ibis.memtable(frame),
    ]
    for spelling in spellings:
        table = open_table(spelling, folder=tmp_path)
        got = (table.count().execute(), int(table.a.sum().execute()), table.b.max().execute(), float(table.c.sum().execute()))
        assert got == (10, 45, "x9", 4.5), spelling
        assert set(table.columns) == {"a", "b", "c"}, spelling
    assert str(tmp_path) not in sys.path
    both = (
        open_table("t2.parquet", folder=tmp_path).union(open_table("t.duckdb::sales", folder=tmp_path)).union(open_table(frame))
    )
    assert both.count().execute() == 30  # one engine for all of them


def test_connection_urls(tmp_path, monkeypatch):
    seen = []

    class Database:
        def list_tables(self, database=None):
            return ["orders"] if database == "shop" else ["other"]

        def table(self, name, database=None):
            seen.append((name, database))
            return open_table(pd.DataFrame({"a": [1]}))

    monkeypatch.setattr(ibis, "connect", lambda url: seen.append(url) or Database())
    assert open_table("postgres://ann:pw@db/x::shop.orders").count().execute() == 1
    assert seen == ["postgres://ann:pw@db/x", ("orders", "shop")]
    text = refused("postgres://ann:pw@db/x::shop.ordres", tmp_path, "did you mean 'orders'?")
    assert ":pw" not in text

    def fail(url):
        raise RuntimeError(f"password authentication failed for {url}\nDETAIL: p@ss")

    monkeypatch.setattr(ibis, "connect", fail)
    assert "p@ss" not in refused("postgres://ann:p@ss@db/x::shop.orders", tmp_path, "cannot connect to postgres://ann:***@db/x")


def test_missing_drivers_and_tables(tmp_path):
    refused("postgres://ann:pw@localhost/db::t", tmp_path, "driver for postgres is not installed", "ibis-framework[postgres]")
    refused("postgres://ann:pw@localhost/db", tmp_path, "no table is named", "ann:***@")
    refused("nosuch://x/db::t", tmp_path, "cannot connect")
    with sqlite3.connect(tmp_path / "t.db") as con:
        con.execute("create table sales (a)")
    refused("t.db::sale", tmp_path, "no table 'sale'", "did you mean 'sales'?")
    refused("t.db", tmp_path, "no table is named", "t.db::table")
    refused("none.duckdb::t", tmp_path, "there is no file 'none.duckdb'")
    (tmp_path / "junk.duckdb").write_bytes(b"junk" * 5000)
    refused("junk.duckdb::t", tmp_path, "cannot read junk.duckdb")
    assert not (tmp_path / "none.duckdb").exists()


def test_files_that_are_not_there_or_damaged(tmp_path):
    frame = pd.DataFrame({"a": range(1000), "b": np.random.default_rng(0).normal(size=1000)})
    frame.to_parquet(tmp_path / "sales_2013.parquet")
    whole = (tmp_path / "sales_2013.parquet").read_bytes()
    refused("sales_2031.parquet", tmp_path, "there is no file 'sales_2031.parquet'", "did you mean 'sales_2013.parquet'?")
    refused("data/x.parquet", tmp_path, "there is no folder 'data'")
    refused("*.csv", tmp_path, "no file matches '*.csv'")
    (tmp_path / "empty").mkdir()
    refused("empty", tmp_path, "the folder 'empty' holds no data files", ".parquet")
    (tmp_path / "notes.docx").write_text("x")
    refused("notes.docx", tmp_path, "cannot tell what 'notes.docx' is", ".parquet", ".csv")
    for name, damaged in (
        ("cut", whole[: len(whole) // 2]),
        ("zero", b""),
        ("text", b"a,b\n1,2\n"),
        ("foot", whole[:-4] + b"XXXX"),
    ):
        (tmp_path / f"{name}.parquet").write_bytes(damaged)
        refused(f"{name}.parquet", tmp_path, f"cannot read {name}.parquet")
    (tmp_path / "cut.feather").write_bytes(b"ARROW1\0\0garbage")
    refused("cut.feather", tmp_path, "cannot read cut.feather")
    (tmp_path / "mix").mkdir()
    frame.to_parquet(tmp_path / "mix/a.parquet")
    frame.to_csv(tmp_path / "mix/b.csv")
    refused("mix", tmp_path, "different kinds: csv, parquet")
    frame.rename(columns={"b": "c"}).to_parquet(tmp_path / "sales_2014.parquet")
    refused("sales_*.parquet", tmp_path, "sales_2014.parquet", "lacks 'b'", "also has 'c'")


def test_parquet_damaged_in_the_middle_never_gives_fewer_rows(tmp_path):
    frame = pd.DataFrame({"a": np.arange(50_000), "b": np.random.default_rng(0).normal(size=50_000)})
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=5_000)
    raw = bytearray((tmp_path / "t.parquet").read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = bytes(2000)
    (tmp_path / "t.parquet").write_bytes(raw)
    table = open_table("t.parquet", folder=tmp_path)  # the footer is whole; the damage shows when the pages are read
    with pytest.raises(duckdb.Error):
        table.aggregate([table.b.sum(), table.a.sum()]).to_pyarrow()


def test_json_lines(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1, "n": {"x": [1]}}\n\n{"a": 2, "later": "yes"}\n')
    table = open_table("t.jsonl", folder=tmp_path)
    assert table.columns == ("a", "n", "later")
    assert table.count().execute() == 2
    for fault, words in (
        ('{"a": 1', "line 2 of f.jsonl is not JSON"),
        ("[1]", "line 2 of f.jsonl is no JSON object"),
        ('{"a": 1, "a": 2}', "stands twice"),
    ):
        (tmp_path / "f.jsonl").write_text('{"a": 1}\n' + fault + "\n")
        refused("f.jsonl", tmp_path, words)
    (tmp_path / "e.jsonl").write_text("\n")
    refused("e.jsonl", tmp_path, "is empty")
    (tmp_path / "o.json").write_text('{\n "a": 1\n}')
    refused("o.json", tmp_path, "o.json")


def test_functions(tmp_path):
    (tmp_path / "mod_ok.py").write_text(
        "def boom():\n    raise KeyError('x')\n"
        "def nothing():\n    return None\n"
        "def text():\n    return 'x.csv'\n"
        "def rows(n):\n    return n\n"
    )
    (tmp_path / "mod_bad.py").write_text("import no_such_library_at_all\n")
    (tmp_path / "mod_syntax.py").write_text("def x(:\n")
    refused("mod_ok:boom", tmp_path, "mod_ok:boom raised KeyError")
    refused("mod_ok:nothing", tmp_path, "returned a NoneType")
    refused("mod_ok:text", tmp_path, "returned a str")
    refused("mod_ok:rows", tmp_path, "raised TypeError")
    refused("mod_ok:bom", tmp_path, "has no 'bom'", "did you mean 'boom'?")
    refused("mod_none:rows", tmp_path, "there is no module 'mod_none'")
    refused("mod_bad:rows", tmp_path, "no_such_library_at_all")
    refused("mod_syntax:rows", tmp_path, "SyntaxError")
    refused(3, tmp_path, "cannot open")


NAMES = [
    "select",
    "from where",
    'a "quoted" one',
    "it's",
    "dots.in.name",
    "sp ace ",
    "emoji 🛫",
    "a\nb",
    "<b>",
    "%",
    ";drop",
    "ß",
    "prodnb_row",
    "{x}",
]


@pytest.mark.parametrize("form", ["csv", "parquet", "frame", "jsonl"])
def test_odd_column_names(tmp_path, form):
    frame = pd.DataFrame({name: [1.5, None, 3.0] for name in NAMES})
    source = frame
    if form != "frame":
        source = tmp_path / f"t.{form}"
        {"csv": lambda: frame.to_csv(source, index=False), "parquet": lambda: frame.to_parquet(source)}.get(
            form, lambda: frame.to_json(source, orient="records", lines=True)
        )()
    table = open_table(source)
    assert list(table.columns) == NAMES
    sums = table.aggregate([table[n].sum().name(f"s{i}") for i, n in enumerate(NAMES)]).to_pyarrow().to_pylist()[0]
    assert set(sums.values()) == {4.5}


def odd_values():
    return pa.table(
        {
            "nothing": pa.nulls(3),
            "null_float": pa.array([None] * 3, pa.float64()),
            "infinite": [float("inf"), float("-inf"), float("nan")],
            "nested": [{"x": [1, 2]}, None, {"x": []}],
            "binary": [b"\xff\x00", b"", None],
            "zoned": pa.array([0, 1, None], pa.timestamp("us", "America/New_York")),
            "nano": pa.array([0, 1, None], pa.timestamp("ns")),
            "level": pa.array(["a", "b", None]).dictionary_encode(),
            "money": pa.array([1, 2, None], pa.decimal128(20, 4)),
            "large": pa.array(["x", "y", None], pa.large_string()),
            "view": pa.array(["x", "y", None], pa.string_view()),
            "clock": pa.array([1, 2, None], pa.time64("us")),
            "span": pa.array([1, 2, None], pa.duration("us")),
            "half": pa.array([1.5, 2.5, None], pa.float16()),
            "u64": pa.array([2**64 - 1, 0, None], pa.uint64()),
            "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        }
    )


@pytest.mark.parametrize("form", ["frame", "parquet", "feather", "polars"])
def test_odd_types(tmp_path, form):
    data = odd_values()
    if form == "parquet":
        pq.write_table(data, tmp_path / "t.parquet")
        data = tmp_path / "t.parquet"
    elif form == "feather":
        feather.write_feather(data.drop(["view"]), tmp_path / "t.feather")
        data = tmp_path / "t.feather"
    elif form == "polars":
        data = pl.from_arrow(data.drop(["map", "half"]))
    table = open_table(data)
    assert table.count().execute() == 3
    assert not any(kind.is_unknown() for kind in table.schema().values())
    for name in table.columns:
        want = {"nothing": 0, "null_float": 0, "infinite": 3}.get(name, 2)
        assert table[name].count().execute() == want, name


def test_mixed_pandas_columns_become_text_and_frames_are_checked():
    mixed = pd.DataFrame(
        {"m": [1, "a", None, 2.5], "p": pd.period_range("2020", periods=4, freq="M"), "z": [1 + 2j] * 4, "ok": range(4)}
    )
    table = open_table(mixed)
    assert table.m.count().execute() == 3
    assert set(table.m.to_pyarrow().to_pylist()) == {"1", "a", "2.5", None}
    assert table.ok.sum().execute() == 6
    with pytest.raises(InputError, match="two columns named 'a'"):
        open_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(InputError, match="two columns named 'a'"):
        open_table(pa.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(InputError, match="differ only in case"):
        open_table(pl.DataFrame({"a": [1], "A": [2]}))
    assert open_table(pd.DataFrame({0: [1], 1: [2]})).columns == ("0", "1")
    with pytest.raises(InputError, match="no columns"):
        open_table(pd.DataFrame())


def test_duplicate_names_in_parquet(tmp_path):
    for names, words in ((["a", "a"], "two columns named 'a'"), (["a", "A"], "differ only in case"), (["a", ""], "has no name")):
        pq.write_table(pa.table([[1], [2]], names=names), tmp_path / "dup.parquet")
        refused("dup.parquet", tmp_path, words)


def test_two_thousand_columns(tmp_path):
    frame = pd.DataFrame(np.zeros((3, 2000)), columns=[f"c{n}" for n in range(2000)])
    frame.to_parquet(tmp_path / "w.parquet")
    frame.to_csv(tmp_path / "w.csv", index=False)
    for name in ("w.parquet", "w.csv"):
        table = open_table(name, folder=tmp_path)
        assert len(table.columns) == 2000
        assert table.count().execute() == 3


def test_frames_are_let_go():
    import gc

    def tables():
        return engine().raw_sql("select count(*) from duckdb_views() where view_name like 'prodnb%'").fetchall()[0][0]

    gc.collect()
    before = tables()
    for _ in range(20):
        table = open_table(pd.DataFrame({"a": [1, 2]})).filter(ibis._.a > 1)
        assert table.count().execute() == 1
    del table
    gc.collect()
    assert tables() <= before + 1


SECRETS = [
    "postgres://ann:s3cret@db/x::t",
    "postgres://ann:s3/c@ret@db/x::t",
    "postgres://:s3cret@db/x::t",
    "mysql://ann:s3cret:x@db:3306/x",
    "trino://h/c?password=s3cret&x=1::t",
    "snowflake://u@a/d?private_key=s3cret::t",
    "https://h/x.parquet?X-Amz-Signature=s3cret",
    "s3://b/x?sig=s3cret",
]


@pytest.mark.parametrize("spec", SECRETS)
def test_no_password_in_names_or_places(spec, tmp_path):
    for text in (redact(spec), location(spec, tmp_path)):
        assert "s3" not in text.replace("s3://", "")
        assert "***" in text


def test_places_are_relative(tmp_path):
    assert location(tmp_path / "a/b.csv", tmp_path) == "a/b.csv"
    assert location("../x.csv", tmp_path) == "../x.csv"
    assert location("/somewhere/else/b.csv", tmp_path) == ".../b.csv"
    assert location(f"{tmp_path}/t.db::x", tmp_path) == "t.db::x"
    assert location(f"sqlite:///{tmp_path}/t.db::x", tmp_path) == "t.db::x"
    assert location(pd.DataFrame(), tmp_path) == "a pandas DataFrame"


def test_real_files_agree_with_pandas():
    path = shared_data("adult/adult.parquet")
    table, frame = open_table(path), pd.read_parquet(path)
    assert table.count().execute() == len(frame)
    assert list(table.columns) == list(frame.columns)


@pytest.mark.parametrize("path", sorted((SHARED / "data").glob("*/*.csv.gz")), ids=lambda p: p.parent.name + "/" + p.name)
def test_real_csv_files_keep_every_row_and_every_filled_cell(path):
    header, rows = oracle(path)
    table = open_table(path)
    assert list(table.columns) == header
    assert table.count().execute() == len(rows)
    filled = table.aggregate([table[name].count().name(f"n{n}") for n, name in enumerate(header)]).to_pyarrow().to_pylist()[0]
    for n, name in enumerate(header):
        assert filled[f"n{n}"] == sum(row[n] != "" for row in rows), name


def test_random_ragged_rows_are_always_found(tmp_path):
    rng = random.Random(0)
    for _ in range(30):
        width, height = rng.randint(2, 6), rng.randint(1, 30)
        rows = [[str(rng.randint(0, 99)) for _ in range(width)] for _ in range(height + 1)]
        rows[0], at = [f"c{n}" for n in range(width)], rng.randint(1, height)
        rows[at] = rows[at][:-1] if rng.random() < 0.5 else [*rows[at], "7"]
        (tmp_path / "r.csv").write_text("\n".join(map(",".join, rows)))
        refused("r.csv", tmp_path, f"line {at + 1} ")


def test_codes_stay_text(tmp_path):
    (tmp_path / "t.csv").write_text("plz,flag,truth,n,rate,zero,empty\n01067,t,True,10,0.5,0,\n10115,f,false,-2,-0.25,-0,\n")
    table = open_table("t.csv", folder=tmp_path)
    kinds = {name: str(kind) for name, kind in table.schema().items()}
    assert kinds == {
        "plz": "string",
        "flag": "string",
        "truth": "boolean",
        "n": "int64",
        "rate": "float64",
        "zero": "int64",
        "empty": "string",
    }
    assert sorted(table.plz.to_pyarrow().to_pylist()) == ["01067", "10115"]
    assert sorted(table.flag.to_pyarrow().to_pylist()) == ["f", "t"]


def test_remote_files_are_refused_with_a_way_out(tmp_path):
    text = refused("s3://bucket/x.parquet?sig=s3cret", tmp_path, "another machine", "package.module:function")
    assert "s3cret" not in text


def test_small_words_of_mistakes(tmp_path):
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    refused("gone.csv", tmp_path, "is a link to a file that is not there")
    refused(pd.Series([1, 2], name="x"), tmp_path, "one column", "to_frame")
    assert "builtins" not in refused([1, 2], tmp_path, "a list")
