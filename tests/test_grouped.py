"""Grouped counts: the same as a profile of every part, in both ways to count, whatever the columns hold."""

from datetime import date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodnb import grouped as module
from prodnb.columns import open_for_check
from prodnb.errors import InputError
from prodnb.grouped import count_groups
from prodnb.inputs import Roles
from prodnb.profile import profile
from prodnb.tables import open_table

BY = {"g": lambda t: t.g}


def nasty(rng: np.random.Generator, n: int) -> pa.Table:
    x = rng.normal(size=n)
    x[rng.random(n) < 0.1] = np.nan
    x[rng.random(n) < 0.05] = np.inf
    x[rng.random(n) < 0.05] = -np.inf
    big = rng.choice([1e300, -1e300, 1.7976931348623157e308, -1.7976931348623157e308, 0.0, -0.0, 5e-324], n)
    nulls = rng.random(n) < 0.1
    when = np.datetime64("1969-12-30T12:00:00", "us") + rng.integers(0, 10**12, n).astype("timedelta64[us]")
    return pa.table(
        {
            "g": pa.array(rng.integers(0, 2, n), mask=rng.random(n) < 0.1),
            'we"ird. 🙂 name': pa.array(x, mask=nulls),
            "big": pa.array(big, mask=nulls),
            "f32": pa.array(x.astype("float32")),
            "count": pa.array(rng.poisson(3, n).astype("int32"), mask=nulls),
            "long": pa.array(rng.integers(-(2**60), 2**60, n)),
            "money": pa.array([None if k % 7 == 0 else round(float(v), 2) for k, v in enumerate(rng.normal(size=n))]).cast(
                pa.decimal128(12, 2), safe=False
            ),
            "flag": pa.array(rng.random(n) < 0.3, mask=nulls),
            "level": pa.array(rng.choice(["a", "b{}", "it's", "", "ü🙂", "{0}"], n), mask=nulls),
            "many": pa.array([f"name {v}" for v in rng.integers(0, 3 * n, n)]),
            "when": pa.array(when, mask=nulls),
            "zoned": pa.array(when, mask=nulls).cast(pa.timestamp("us", "Europe/Zurich")),
            "day": pa.array([date(2020, 1, 1 + int(k)) for k in rng.integers(0, 28, n)], mask=nulls),
            "list": pa.array([None if k % 3 == 0 else [1.0] for k in range(n)]),
            "bytes": pa.array([b"x"] * n, mask=nulls),
            "nothing": pa.nulls(n),
        }
    )


def parts(table: pa.Table, key: str) -> dict:
    keys = table[key].to_pylist()
    order = sorted(set(keys), key=lambda k: (k is None, 0 if k is None else k))
    return {k: table.filter(pa.array([v == k for v in keys])) for k in order}


def same_as_profiles(now: pa.Table, before, counted, key: str = "g") -> None:
    each = parts(now, key)
    assert counted.keys == tuple((k,) for k in each)
    assert counted.rows.tolist() == [p.num_rows for p in each.values()]
    for row, part in enumerate(each.values()):
        own = profile(part, like=before)
        for column in counted.cells:
            assert counted.cells[column][row].tolist() == own[column].cells.tolist(), column


@pytest.fixture(params=["many columns a query", "a column a query", "portable"])
def way(request, monkeypatch):
    if request.param == "a column a query":
        monkeypatch.setattr(module, "HISTOGRAMS", 1)
    return {"portable": True} if request.param == "portable" else {}


def test_each_group_has_the_cells_of_its_own_profile(way):
    rng = np.random.default_rng(0)
    now, before = nasty(rng, 400), profile(nasty(rng, 300))
    same_as_profiles(now, before, count_groups(now, before, BY, **way))


@pytest.mark.parametrize("few", ["no values", "no rows"])
def test_a_reference_without_values_or_rows(few):
    now = nasty(np.random.default_rng(0), 50)
    hollow = pa.table({c: pa.nulls(5, now.schema.field(c).type) for c in now.column_names})
    before = profile(hollow if few == "no values" else now.slice(0, 0))
    counted = count_groups(now, before, BY)
    same_as_profiles(now, before, counted)
    portable = count_groups(now, before, BY, portable=True)
    assert all((portable.cells[c] == counted.cells[c]).all() for c in counted.cells)


def test_no_rows_and_no_keys(way):
    rng = np.random.default_rng(0)
    now = nasty(rng, 50)
    before = profile(now)
    none = count_groups(now.slice(0, 0), before, BY, **way)
    assert none.keys == ()
    assert none.rows.shape == (0,)
    assert all(c.shape == (0, len(before[name].cells)) for name, c in none.cells.items())
    whole = count_groups(now, before, {}, **way)
    assert whole.keys == ((),)
    assert whole.rows.tolist() == [50]
    for name, cells in whole.cells.items():
        assert cells[0].tolist() == before[name].cells.tolist(), name


def test_a_column_that_is_gone_or_changed(way):
    before = profile(
        pa.table({"gone": [1.0, 2.0], "text": ["a", "b"], "number": [1.0, 2.0], "hollow": [1.0, 2.0], "list": [[1], [2]]})
    )
    now = pa.table(
        {
            "g": [1, 1, 2, 2],
            "text": [1.0, float("nan"), None, 2.0],
            "number": ["1", None, "2", "3"],
            "hollow": pa.nulls(4, pa.string()),
            "list": [1, None, 2, 3],
        }
    )
    found = count_groups(now, before, BY, **way).cells
    assert found["gone"].tolist() == [[0, 0, 0, 0, 2, 0]] * 2
    assert found["text"].tolist() == [[1, 1], [1, 1]]
    assert found["number"].tolist() == [[1, 1], [2, 0]]
    assert found["hollow"].tolist() == [[0, 0, 0, 0, 2, 0]] * 2  # no value, so no kind of its own
    assert found["list"].tolist() == [[1, 1], [2, 0]]


def test_several_keys_of_several_types_null_last(way):
    now = pa.table(
        {
            "x": np.arange(8.0),
            "a": [2, 1, None, 1, 2, None, 1, 1],
            "b": [0.5, float("nan"), 0.5, None, -1.0, None, 0.5, -1.0],
            "c": [datetime(2020, 1, 1)] * 7 + [None],
        }
    )
    found = count_groups(now, profile(now.select(["x"])), {"a": lambda t: t.a, "b": lambda t: t.b, "c": lambda t: t.c}, **way)
    one = datetime(2020, 1, 1)
    assert found.keys == (
        (1, -1.0, None),
        (1, 0.5, one),
        (1, None, one),
        (2, -1.0, one),
        (2, 0.5, one),
        (None, 0.5, one),
        (None, None, one),
    )
    assert found.rows.tolist() == [1, 1, 2, 1, 1, 1, 1]
    assert found.cells["x"].sum(axis=1).tolist() == found.rows.tolist()


def test_an_expression_and_a_function_are_the_same():
    table = open_table(pa.table({"x": [1.0, 2.0, 3.0], "k": [1, 2, 3]}))
    before = profile(table)
    one, two = count_groups(table, before, {"odd": table.k % 2}), count_groups(table, before, {"odd": lambda t: t.k % 2})
    assert one.keys == two.keys == ((0,), (1,))
    assert all((one.cells[c] == two.cells[c]).all() for c in one.cells)


def test_categorical_numbers_are_levels(way):
    roles = Roles(categorical=("code",))
    before = profile(open_for_check(pd.DataFrame({"code": [1, 2] * 10}), roles))
    now = open_for_check(pd.DataFrame({"code": [1.0, 2.0, 3.0, np.nan], "g": [1, 1, 2, 2]}), roles)
    found = count_groups(now, before, BY, **way)
    assert found.cells["code"].tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1]]


def test_mistakes_are_named():
    table, before = pa.table({"x": [1.0, 2.0]}), profile(pa.table({"x": [1.0, 2.0], "price": [1.0, 2.0]}))
    with pytest.raises(InputError, match=r"'pirce'. Did you mean 'price'"):
        count_groups(table, before, {}, columns=["pirce"])
    with pytest.raises(InputError, match=r"is a text.*an expression"):
        count_groups(table, before, {"by": "x"})


def test_groups_without_end_are_an_error_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(module, "MAX_COUNTS", 1000)
    table = pa.table({"x": np.arange(500.0)})
    with pytest.raises(InputError, match=r"500 groups.*fewer groups"):
        count_groups(table, profile(table), {"x": lambda t: t.x})


def test_levels_by_the_hundred_thousand():
    rng = np.random.default_rng(0)
    n = 300_000
    table = pa.table({"id": [f"{v:06}" for v in rng.permutation(n)], "g": np.arange(n) % 3, "few": rng.choice(["a", "b"], n)})
    before = profile(table)
    found = count_groups(table, before, BY)
    assert found.cells["id"].sum(axis=1).tolist() == [n // 3] * 3
    assert found.cells["id"].shape == (3, len(before["id"].cells))
    assert found.cells["few"].sum(axis=0).tolist() == before["few"].cells.tolist()


VALUES = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -0.0, 1e300, -1e300, 5e-324, 0.1, 0.30000000000000004]))


@settings(max_examples=12, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=30), st.lists(VALUES, min_size=1, max_size=30), st.booleans())
def test_any_numbers(before, now, portable):
    known = profile(pa.table({"x": pa.array(before, pa.float64())}))
    table = pa.table({"x": pa.array(now, pa.float64()), "g": [i % 2 for i in range(len(now))]})
    same_as_profiles(table, known, count_groups(table, known, BY, portable=portable))


def test_every_row_is_in_one_cell(way):
    rng = np.random.default_rng(5)
    now = nasty(rng, 300)
    for cells in count_groups(now, profile(nasty(rng, 200)), BY, **way).cells.values():
        assert (cells >= 0).all()
        assert cells.sum() == 300
