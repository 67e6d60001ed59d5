"""Profiles add up, both ways of counting agree, and what is new in them equals pandas."""

import dataclasses
import datetime as dt
import unicodedata

import hypothesis.strategies as st
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from prodnb.errors import InputError
from prodnb.profile import Profile, merge, profile

NUMBERS = st.one_of(
    st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32), st.sampled_from([0.0, -0.0, -1.0, 999.0, 1e200, 5.0])
)
TEXTS = st.one_of(
    st.none(), st.sampled_from(["", " ", "N/A", "AB-12", "Zürich", "日本", "a'b\\c", "x" * 150]), st.text(max_size=5)
)
TIMES = st.one_of(st.none(), st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)))
ROWS = st.lists(st.tuples(NUMBERS, TEXTS, TIMES, st.sampled_from([None, True, False])), max_size=40)
DISTINCT = ("distinct", "distinct_error", "distinct_most")


def table(rows):
    types = {"number": pa.float64(), "text": pa.string(), "time": pa.timestamp("us"), "flag": pa.bool_()}
    columns = list(zip(*rows, strict=True)) or [()] * 4
    clean = [[str(v).encode("utf-8", "ignore").decode() if isinstance(v, str) else v for v in c] for c in columns]
    return pa.table({name: pa.array(c, kind) for (name, kind), c in zip(types.items(), clean, strict=True)})


def additive(found: Profile):
    """All but distinct, mean and sd."""
    return [{k: v for k, v in dataclasses.asdict(c).items() if k not in (*DISTINCT, "mean", "sd")} for c in found.columns]


REFERENCE = table(
    [
        (
            float(i % 50) / 3,
            ["AB-12", "Zürich", "N/A", "rare"][i % 4 if i < 90 else 0],
            dt.datetime(2020, 1, 1 + i % 28),
            i % 2 == 0,
        )
        for i in range(100)
    ]
    + [(-1.0, " ", None, None)] * 6
)


def check_union(a, b):
    reference = profile(ibis.memtable(REFERENCE))
    first, second, union = (profile(ibis.memtable(table(rows)), like=reference) for rows in (a, b, a + b))
    merged = merge(first, second)
    assert additive(merged) == additive(union)
    assert additive(merge(second, first)) == additive(merged)
    for found, true in zip(merged.columns, union.columns, strict=True):
        if true.mean is not None:
            scale = max(true.sd or 0, abs(true.mean) * 1e-6, 1e-12)
            assert found.mean == pytest.approx(true.mean, rel=1e-7, abs=1e-7 * scale)
            assert (found.sd or 0) == pytest.approx(true.sd or 0, rel=1e-6, abs=1e-6 * scale)
        if true.distinct_error == 0 and found.distinct is not None:
            assert found.distinct <= true.distinct <= (found.distinct if found.distinct_most is None else found.distinct_most)
    for column in merged.columns:
        assert sum(column.distribution.values()) == column.rows
    assert Profile.from_json(merged.to_json()) == merged


def check_both_ways(rows):
    reference = profile(ibis.memtable(REFERENCE))
    both = [profile(ibis.memtable(table(rows)), like=reference, portable=p) for p in (True, False)]
    assert additive(both[0]) == additive(both[1])
    both = [profile(ibis.memtable(table(rows)), portable=p, min_level_rows=2) for p in (True, False)]
    assert additive(both[0]) == additive(both[1])


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(a=ROWS, b=ROWS)
def test_merged_profiles_are_the_profile_of_the_union(a, b):
    check_union(a, b)


@settings(max_examples=9, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def test_the_fast_and_the_portable_way_agree(rows):
    check_both_ways(rows)


@pytest.mark.prove
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(a=ROWS, b=ROWS)
def test_merged_profiles_are_the_profile_of_the_union_in_long(a, b):
    check_union(a, b)
    check_both_ways(a)


def test_only_profiles_over_the_same_cells_are_merged():
    one, other = (profile(ibis.memtable({"x": [1, 2, high]})) for high in (3, 9))
    with pytest.raises(InputError, match="differ in edges"):
        merge(one, other)
    with pytest.raises(InputError, match="only one of the two"):
        merge(one, profile(ibis.memtable({"y": [1]})))


def test_a_text_equals_pandas():
    rng = np.random.default_rng(0)
    texts = pd.Series(rng.choice(["AB-12", "CD-99", "é-1", "\t", "", "none ", None, "Ünï x"], 500).tolist(), dtype="object")
    column = profile(ibis.memtable(pa.table({"x": pa.array(texts, pa.string())}))).columns[0]
    held = texts.dropna()
    assert column.nulls == texts.isna().sum()
    assert (column.empty, column.blank) == ((held == "").sum(), ((held != "") & (held.str.strip() == "")).sum())
    assert (column.length_low, column.length_high, column.length_total) == (
        held.str.len().min(),
        held.str.len().max(),
        held.str.len().sum(),
    )
    assert column.length_mean == pytest.approx(held.str.len().mean())
    assert (column.distinct, column.distinct_error) == (held.nunique(), 0)
    assert column.coded == {"none": (held == "none ").sum()}

    def shape(text):
        kinds = [unicodedata.category(c) for c in text]
        return "".join(
            "A" if k == "Lu" else "a" if k[0] == "L" else "9" if k[0] == "N" else c for k, c in zip(kinds, text, strict=True)
        )

    assert dict(zip(column.patterns, column.pattern_counts, strict=True)) == held[held != ""].map(shape).value_counts().to_dict()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (list(range(18, 90)) * 5 + [999] * 9, {"999": 9}),
        (list(range(40)) * 5 + [-1] * 9, {"-1": 9}),
        (list(range(-40, 40)) * 5 + [-1] * 9, {}),
        ([1, -1] * 50, {}),
        ([-1, 0, 1] * 50, {}),
        (list(range(1000, 9999)) + [9999] * 9, {}),
        (list(range(18, 90)) * 5 + [999] * 4, {}),
        (list(range(40)) * 5 + [-1] * 9 + [999] * 7, {"-1": 9, "999": 7}),
    ],
)
def test_codes_that_stand_out(values, expected):
    for kind in (int, float):
        assert profile(ibis.memtable({"x": [kind(v) for v in values]}))["x"].coded == expected


def test_codes_of_times():
    days = [dt.datetime(2020, 1, 1) + dt.timedelta(days=i) for i in range(100)]
    column = profile(ibis.memtable(pa.table({"x": days + [dt.datetime(1900, 1, 1)] * 6})))["x"]
    assert column.coded == {"1900-01-01": 6}


def test_a_new_code_is_seen_against_a_reference_without_it():
    before = profile(ibis.memtable({"x": list(range(18, 90)) * 5}))
    assert profile(ibis.memtable({"x": list(range(18, 90)) + [999] * 5}), like=before)["x"].coded == {"999": 5}


def test_a_gap_in_time_is_found():
    hours = pd.date_range("2024-01-01", periods=24 * 60, freq="h").to_series()
    held = hours[(hours < "2024-01-20") | (hours >= "2024-01-25")]
    column = profile(ibis.memtable(pd.DataFrame({"t": held.to_numpy()})))["t"]
    assert column.largest_gap == 5 * 86400
    assert sum(column.period_counts) == len(held)
    cells = (held.astype("int64") // 10 ** (9 if held.dtype == "datetime64[ns]" else 6)) // column.period
    assert dict(zip(column.periods, column.period_counts, strict=True)) == cells.value_counts().to_dict()


@pytest.mark.parametrize(
    "draw",
    [
        lambda r: r.normal(size=5000),
        lambda r: r.poisson(3, 5000).astype(float),
        lambda r: np.full(9, 2.0),
        lambda r: r.lognormal(0, 3, 5000),
    ],
)
def test_a_quantile_lies_where_it_is_said_to_lie(draw):
    x = draw(np.random.default_rng(1))
    column = profile(ibis.memtable({"x": x}))["x"]
    for p in (0, 0.01, 0.1, 0.333, 0.5, 0.9, 0.999, 1):
        found, true = column.quantile(p), np.quantile(x, p, method="inverted_cdf")
        assert found.low <= true <= found.high
        assert found.low <= found.value <= found.high
        assert np.mean((x > found.low) & (x < found.high)) <= 0.06


def test_few_values_are_counted_exactly_and_many_within_the_stated_error():
    rng = np.random.default_rng(0)
    frame = {"few": rng.integers(0, 30, 50_000), "many": rng.normal(size=50_000)}
    found = profile(ibis.memtable(frame))
    assert (found["few"].distinct, found["few"].distinct_error) == (30, 0)
    assert found["many"].distinct == pytest.approx(50_000, rel=3 * found["many"].distinct_error)


def test_nothing_rare_is_in_the_json():
    names = ["Bern"] * 50 + ["x-1234567-Q"] + ["ÄÖ#~7"] * 4
    text = profile(ibis.memtable({"x": names})).to_json()
    for rare in ("x-1234567-Q", "a-9999999-A", "AA#~9", "ÄÖ"):
        assert rare not in text


@pytest.mark.prove
def test_memory_is_flat_in_the_number_of_rows(tmp_path):
    import subprocess
    import sys

    big = tmp_path / "big.parquet"
    ibis.duckdb.connect().raw_sql(
        f"COPY (SELECT {', '.join(f'random() AS n{i}' for i in range(14))}, {', '.join(f'(random() * 500)::INT::TEXT AS t{i}' for i in range(6))} "
        f"FROM range(20_000_000)) TO '{big}'"
    ).fetchall()
    code = (
        "import resource, sys, pandas, duckdb; from prodnb.profile import profile; from prodnb.tables import open_table;"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024; t = open_table(sys.argv[1]); a = used(); profile(t); print(used() - a)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(big)], capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) <= 500
