"""A lean profile: the same cells, ranges and means as a full one, and nothing made up."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grouped import nasty

from prodnb.effects import column_effect
from prodnb.lean import lean_profile
from prodnb.profile import merge, profile


def guarded(table):
    return profile(table, guarded=True)


def alike(lean, full, *, reference: bool) -> None:
    assert lean.names == full.names
    assert lean.rows == full.rows
    for a in lean.columns:
        b = full[a.name]
        assert a.cells.tolist() == b.cells.tolist(), a.name
        for name in (
            "kind",
            "type",
            "rows",
            "nulls",
            "nan",
            "infinite",
            "edges",
            "centres",
            "levels",
            "other",
            "unseen",
        ):
            assert getattr(a, name) == getattr(b, name), (a.name, name)
        assert (a.mean is None, a.low is None) == (b.mean is None, b.low is None), a.name
        if a.low is not None:
            assert a.low <= b.low <= b.high <= a.high if reference else (a.low, a.high) == (b.low, b.high), a.name
        if a.mean is not None and not (reference and a.finite < 5):
            assert a.mean == pytest.approx(b.mean, rel=1e-6, abs=1e-8 * (b.sd or 0)), a.name
        if reference:
            assert a.sd == (None if b.sd is None else pytest.approx(b.sd, rel=1e-6)), a.name


@pytest.mark.parametrize("portable", [False, True])
def test_the_same_as_a_full_profile(portable):
    rng = np.random.default_rng(0)
    before, now = nasty(rng, 400), nasty(rng, 300)
    lean, full = lean_profile(before, portable=portable), guarded(before)
    alike(lean, full, reference=True)
    alike(lean_profile(now, like=lean, portable=portable), profile(now, like=full), reference=False)


@pytest.mark.parametrize("held", ["no rows", "one row", "no values"])
def test_few_rows_and_no_values(held):
    table = nasty(np.random.default_rng(0), 30)
    hollow = pa.table({c: pa.nulls(5, table.schema.field(c).type) for c in table.column_names})
    few = {"no rows": table.slice(0, 0), "one row": table.slice(0, 1), "no values": hollow}[held]
    lean, full = lean_profile(few), guarded(few)
    alike(lean, full, reference=True)
    alike(lean_profile(table, like=lean), profile(table, like=full), reference=False)
    whole = lean_profile(table)
    alike(lean_profile(few, like=whole), profile(few, like=whole), reference=False)


NUMBERS = st.lists(st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 1e150, -1e151, 1e300, 5e-324])), max_size=25)


@settings(max_examples=10, deadline=None)
@given(NUMBERS, NUMBERS)
def test_any_numbers(before, now):
    a, b = (pa.table({"x": pa.array(v, pa.float64())}) for v in (before, now))
    lean, full = lean_profile(a), guarded(a)
    alike(lean, full, reference=True)
    alike(lean_profile(b, like=lean), profile(b, like=full), reference=False)


def test_columns_that_are_new_or_changed_count_only_what_is_missing():
    before = lean_profile(pa.table({"a": [1.0, 2.0], "b": ["x", "y"], "c": [True, False], "d": [1, 2]}))
    now = pa.table(
        {"a": ["x", None], "b": [1.0, float("nan")], "c": pa.nulls(2, pa.string()), "new": [None, 3.0], "list": [[1], None]}
    )
    found = lean_profile(now, like=before)
    full = profile(now, like=before)
    assert found.names == full.names
    for name in found.names:
        assert (found[name].kind, found[name].missing, found[name].rows) == (full[name].kind, full[name].missing, full[name].rows)
        assert found[name].cells.sum() == 2
    assert found["c"].cells.tolist() == full["c"].cells.tolist()  # no value: it takes the kind of the reference


def test_running_numbers_are_told_from_others():
    before = lean_profile(pd.DataFrame({"id": range(20_000), "code": np.arange(20_000) % 7000}))
    assert before["id"].distinct == 20_000
    assert before["code"].distinct is None  # some repeat
    now = lean_profile(pd.DataFrame({"id": range(20_000, 30_000), "code": np.arange(10_000) % 5000 + 9000}), like=before)
    assert (now["id"].distinct, now["code"].distinct) == (10_000, 5000)
    inside = lean_profile(pd.DataFrame({"id": range(100), "code": range(100)}), like=before)
    assert inside["id"].distinct is None  # nobody needs to know


def test_levels_by_the_hundred_thousand():
    rng = np.random.default_rng(0)
    texts = pd.DataFrame({"t": np.where(rng.random(200_000) < 0.5, "often", rng.permutation(200_000).astype(str))})
    lean, full = lean_profile(texts), guarded(texts)
    alike(lean, full, reference=True)
    assert lean["t"].levels == ("often",)
    alike(lean_profile(texts[:1000], like=lean), profile(texts[:1000], like=full), reference=False)


def test_effects_and_merging_work_on_lean_profiles():
    rng = np.random.default_rng(0)
    before, now = nasty(rng, 300), nasty(rng, 300)
    lean, full = lean_profile(before), guarded(before)
    full = replace(full, columns=tuple(replace(c, low=lean[c.name].low, high=lean[c.name].high) for c in full.columns))
    after, after_full = lean_profile(now, like=lean), profile(now, like=full)
    for column in (c for c in lean.columns if c.kind != "other"):
        a = column_effect(column, after[column.name])
        b = column_effect(full[column.name], after_full[column.name])
        assert (a.value, a.p) == (pytest.approx(b.value, rel=1e-6), pytest.approx(b.p, rel=1e-6))
    parts = [lean_profile(now.slice(k, 150), like=lean) for k in (0, 150)]
    assert all((merge(*parts)[c].cells == after[c].cells).all() for c in after.names)


def test_columns_can_be_chosen():
    table = nasty(np.random.default_rng(0), 50)
    lean = lean_profile(table, columns=["flag", "level"])
    assert lean.names == ["flag", "level"]
    assert lean_profile(table, like=lean, columns=["level"]).names == ["level"]
