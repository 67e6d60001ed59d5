"""Cells and cohorts of frames: the same parts for any rows, nothing of fewer than five rows, every type of column."""

from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from prodnb.cohorts import NO_VALUE, as_numbers, cut_values, find_cohorts, is_time, rounded, shown_number
from prodnb.errors import InputError

RNG = np.random.default_rng(0)
N = 200
COLUMNS = {
    "real": pd.Series(RNG.normal(size=N)),
    "gaps": pd.Series(np.where(RNG.random(N) < 0.2, np.nan, RNG.normal(size=N))),
    "endless": pd.Series(np.r_[np.inf, -np.inf, RNG.normal(size=N - 2)]),
    "whole": pd.Series(RNG.integers(0, 4, N)),
    "maybe": pd.Series(RNG.integers(0, 50, N)).astype("Int64").mask(RNG.random(N) < 0.1),
    "text": pd.Series(RNG.choice(["a", "b", "c", None], N), dtype=object),
    "string": pd.Series(RNG.choice(["a", "b"], N), dtype="string"),
    "level": pd.Series(pd.Categorical(RNG.choice(["x", "y"], N), categories=["x", "y", "never"])),
    "flag": pd.Series(RNG.random(N) < 0.5),
    "perhaps": pd.Series(RNG.choice([True, False, None], N), dtype="boolean"),
    "when": pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), "D")),
    "zoned": pd.Series(pd.Timestamp("2020-01-01", tz="Europe/Berlin") + pd.to_timedelta(RNG.integers(0, 900, N), "h")),
    "day": pd.Series([date(2020, 1, 1 + i % 28) for i in range(N)], dtype=object),
    "money": pd.Series([Decimal(i) / 7 for i in range(N)], dtype=object),
    "span": pd.Series(pd.to_timedelta(RNG.integers(0, 900, N), "s")),
    "list": pd.Series([[i % 3] for i in range(N)], dtype=object),
    "same": pd.Series(np.ones(N)),
    "nothing": pd.Series([None] * N, dtype=object),
    "unique": pd.Series([f"id-{i}" for i in range(N)]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_row_is_in_a_cell_of_five_or_in_none(name):
    values = COLUMNS[name]
    cells = cut_values(values)
    place = cells.place(values)
    assert place.shape == (N,)
    counts = np.bincount(place[place >= 0], minlength=len(cells.labels))
    assert len(counts) == len(cells.labels) == len(set(cells.labels))
    assert (counts >= 5).all()
    missing = values.isna().to_numpy(bool) | (name == "endless") * ~np.isfinite(
        values.to_numpy(float, na_value=0) if name == "endless" else 0.0
    )
    assert (place[missing] == cells.missing).all()
    shuffled = RNG.permutation(N)
    np.testing.assert_array_equal(cells.place(values.take(shuffled)), place[shuffled])
    assert cells.place(values.iloc[:0]).shape == (0,)


def test_numbers_times_and_the_rest():
    kinds = {name: (as_numbers(values) is not None, is_time(values)) for name, values in COLUMNS.items()}
    assert {n for n, (number, _) in kinds.items() if number} == {
        "real", "gaps", "endless", "whole", "maybe", "when", "zoned", "day", "money", "span", "same",
    }  # fmt: skip
    assert {n for n, (_, time) in kinds.items() if time} == {"when", "zoned", "day"}
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    assert as_numbers(pd.Series([moment]))[0] == moment.timestamp()
    np.testing.assert_allclose(as_numbers(COLUMNS["money"])[:3], [0, 1 / 7, 2 / 7])


def test_outer_values_are_not_shown_and_ranges_hold_equal_counts():
    values = pd.Series(np.r_[RNG.normal(size=598), -12345.0, 98765.0])
    cells = cut_values(values)
    assert not any("12345" in label or "9.8" in label or "98,765" in label for label in cells.labels)
    assert np.ptp(np.bincount(cells.place(values))) <= 1


def test_other_rows_go_into_the_same_cells():
    cells = cut_values(pd.Series(["b"] * 30 + ["a"] * 20 + [None] * 6))
    assert cells.labels == ("b", "a", NO_VALUE)
    assert cells.place(pd.Series(["a", "new", None, "b"])).tolist() == [1, -1, 2, 0]
    few = cut_values(pd.Series([0, 1] * 20))
    assert few.place(pd.Series([0.0, 0.5, 1.0, np.nan])).tolist() == [0, -1, 1, -1]
    assert few.place(pd.Series(["0", "1"])).tolist() == [-1, -1]


def test_cohorts_have_thirty_rows_and_the_rest_is_told():
    frame = pd.DataFrame({"sex": ["f"] * 70 + ["m"] * 100 + ["x"] * 10, "age": np.arange(180.0), "one": 1})
    found, words = find_cohorts(frame, ["sex", "age", "one"])
    assert {c.name: len(c.rows) for c in found if c.column == "sex"} == {"sex: m": 100, "sex: f": 70}
    assert sum(len(c.rows) for c in found if c.column == "age") == 180
    assert words == ["sex: left out 1 cohort of fewer than 30 rows", "one makes no two cohorts of 30 rows: it is not compared"]
    later, _ = find_cohorts(frame.head(70).assign(age=500.0), ["age"], like=frame)
    assert later == []
    with pytest.raises(InputError, match="Did you mean 'sex'"):
        find_cohorts(frame, ["sexx"])


def test_numbers_are_rounded_to_four_digits():
    assert rounded({"a": 1234567.0, "b": np.float32(1 / 3), "n": 1234567, "t": "x", "none": None}) == {
        "a": 1235000.0, "b": 0.3333, "n": 1234567, "t": "x", "none": None,
    }  # fmt: skip
    assert shown_number(3600.0, time=True, span=7200.0) == "1970-01-01 01:00"
    assert shown_number(1e30, time=True) == "1e+30 s"
