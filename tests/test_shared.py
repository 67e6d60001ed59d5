"""No number of fewer than five rows is kept: neither in a reference's counts, nor in a result, nor in its state."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shared import shared_data

from prodnb.association import check_association
from prodnb.bins import bin_edges
from prodnb.drift import check_drift, drift_of_profiles
from prodnb.inputs import Roles
from prodnb.lean import lean_profile
from prodnb.profile import profile
from prodnb.shared import LARGEST, outside, shared_edges
from prodnb.watch import check_watch

ENDS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60)
@given(ENDS, st.floats(0, 1e300), st.booleans(), st.booleans())
def test_an_end_is_rounded_beyond_itself(value, width, up, whole):
    value = float(np.round(value)) if whole else value
    found = outside(value, width, up=up, whole=whole)
    assert np.isfinite(found)
    if value and abs(value) < LARGEST:
        assert found > value if up else found < value


@settings(deadline=None, max_examples=60)
@example([-1.7e308, -1.7e308])
@given(st.lists(st.one_of(ENDS, st.integers(-50, 50).map(float), st.sampled_from([0.0, 7.0])), min_size=1, max_size=120))
def test_all_rows_lie_between_rounded_ends(values):
    values = np.sort(values)
    edges, centres = bin_edges(values, values[0], values[-1], least=5)
    assert (np.diff(edges) > 0).all()
    assert edges[0] < values[0] <= values[-1] <= edges[-1]
    assert (centres[1:-1] >= np.maximum(edges[:-1], centres[0])).all()
    assert (centres[1:-1] <= edges[1:]).all()


def test_shared_values_stay_and_bins_hold_enough_rows():
    rng = np.random.default_rng(0)
    digits = np.sort(rng.integers(0, 10, 500)).astype(float)
    edges, centres = bin_edges(digits, 0.0, 9.0, least=5)
    assert edges[1:].tolist() == centres[1:-1].tolist() == list(range(10))
    values = np.sort(rng.normal(size=200))
    cuts, low, high = shared_edges(
        np.quantile(values, np.linspace(0.01, 0.99, 60), method="inverted_cdf"), values, *values[[0, -1]], least=5
    )
    assert np.histogram(values, [low, *cuts, high])[0].min() >= 3  # five before rounding
    assert 20 < len(cuts) < 60


def seldom(frame: pd.DataFrame) -> set[str]:
    """Numbers to 12 digits, and seconds of times, that fewer than five rows hold.

    Without small whole ones, which counts are, too, and those of three digits, on which a rounded number may fall.
    """
    found = set()
    for name in frame:
        held = frame[name].value_counts()
        values = held[held < 5].index
        if pd.api.types.is_datetime64_any_dtype(frame[name]):
            values = values.astype("datetime64[s]").astype("int64")
        if pd.api.types.is_numeric_dtype(values):
            found |= {f"{v:.12g}" for v in values if (abs(v) > 5000 or v != round(v)) and v != float(f"{v:.3g}")}
    return found


def numbers_of(raw) -> set[str]:
    """All numbers of a result, to 12 digits."""
    found = set()
    json.loads(
        json.dumps(raw), parse_float=lambda t: found.add(f"{float(t):.12g}"), parse_int=lambda t: found.add(f"{int(t):.12g}")
    )
    return found


def people(rows: int, seed: int, *, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    salary = np.round(rng.lognormal(10 + shift, 0.6, rows), 2)
    salary[rng.integers(rows)] = 987_654.21 / seed
    at = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 300 * 86400, rows)), unit="s")
    return pd.DataFrame(
        {
            "at": at, "born": pd.Timestamp("1980-01-01") + pd.to_timedelta(rng.integers(0, 10**9, rows), unit="s"), "salary": salary,
            "account": rng.integers(10_000, 10**9, rows), "points": rng.integers(0, 10, rows), "age": rng.integers(18, 90, rows),
            "score": rng.normal(shift, size=rows), "rate": np.where(rng.random(rows) < 0.8, 0.25, rng.random(rows)),
        }
    )  # fmt: skip


@pytest.mark.parametrize("rows", [3, 60, 3000])
def test_no_seldom_number_is_in_a_baseline(rows):
    frame = people(rows, 1)
    kept = numbers_of(json.loads(lean_profile(frame).to_json()))
    assert not kept & seldom(frame)
    assert numbers_of(json.loads(profile(frame).to_json())) & seldom(frame)  # which a full profile does hold
    points = lean_profile(frame)["points"]
    if rows >= 400:
        assert points.edges[1:] == tuple(map(float, range(10)))


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_no_seldom_number_is_in_a_drift_check(shift):
    before, now = people(3000, 1), people(900, 2, shift=shift)
    result = check_drift(before, now, roles=Roles(time="at"))
    found = {v.statistic.about: v.outcome for v in result.verdicts if v.statistic.name == "drift"}
    assert found["score"] == found["salary"] == ("failed" if shift else "passed")
    assert found["points"] == found["rate"] == "passed"
    assert not numbers_of(result.to_dict()) & (seldom(before) | seldom(now))


def test_no_seldom_number_is_in_a_watch_nor_in_an_association():
    before, now = people(3000, 1), people(1500, 2).assign(at=lambda t: t["at"] + pd.Timedelta(days=301))
    before["y"], now["y"] = before["points"] > 4, now["points"] > 4
    rare = seldom(before.drop(columns="at")) | seldom(now.drop(columns="at"))  # its chunks begin and end with a row
    roles = Roles(time="at", target="y")
    for result in (check_watch(before, now, roles=roles), check_association(before, now, roles=roles)):
        assert result.outcome != "skipped"
        assert not numbers_of(result.to_dict()) & rare


@pytest.mark.parametrize("rows", [60, 3000])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_verdicts_are_those_of_exact_cells(rows, shift):
    before, now = people(3000, 1).drop(columns="at"), people(rows, 2, shift=shift).drop(columns="at")
    exact = profile(before)
    by_cells = [v for v in drift_of_profiles(exact, profile(now, like=exact)).verdicts if v.statistic.name == "drift"]
    rounded = {v.statistic.about: v for v in check_drift(before, now).verdicts if v.statistic.name == "drift"}
    for v in by_cells:
        same = rounded[v.statistic.about]
        assert same.outcome == v.outcome, v.statistic.about
        if v.statistic.unit == "sd":
            assert same.statistic.value == pytest.approx(v.statistic.value, abs=0.03)


def test_a_real_table():
    before, now = (
        pd.read_parquet(shared_data(f"nannyml_car_loan/{name}.parquet"))[:20_000] for name in ("reference", "analysis")
    )
    found = check_drift(before, now, roles=Roles(id="id", time="timestamp"))
    assert len(found.tables["distributions"]) > 50
    assert not numbers_of(found.to_dict()) & (seldom(before.drop(columns="id")) | seldom(now.drop(columns="id")))


@pytest.mark.parametrize("values", [np.arange(1000.0) % 5, np.random.default_rng(0).normal(size=1000)], ids=["few", "many"])
@pytest.mark.parametrize("high", [5.0, 50.0, 1e6])
def test_a_sample_without_the_largest_value_has_bins(values, high):
    edges, centres = bin_edges(values, values.min(), high, least=5)
    assert edges[-1] >= high
    assert len(centres) == len(edges) + 1
    assert (np.diff(edges) > 0).all()
    assert np.isfinite(centres).all()
