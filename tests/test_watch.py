"""The long watch: names what changed and when, is silent before, and goes on from where it stopped."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from shared import shared_data

from prodnb.baseline import Baseline, baseline
from prodnb.chunks import count_chunks
from prodnb.errors import InputError
from prodnb.events import count_events
from prodnb.inputs import Roles
from prodnb.profile import profile
from prodnb.tables import open_table
from prodnb.watch import check_watch
from prodnb.watch_state import read_watch, start_watch

ALARM = re.compile(
    r"alarm in chunk (\d+) \((\S+).* to (\S+).*?\); the change is estimated at (\S+).* \(95 % interval (\S+).* to (\S+?)\)"
)
ROLES = Roles(time="at")


def outcomes(result) -> dict[str, str]:
    assert {v.statistic.name for v in result.verdicts} <= {"drift_watch"}
    return {v.statistic.about: v.outcome for v in result.verdicts}


def alarms(result) -> dict[str, tuple[int, str, str, str, str, str]]:
    found = {v.statistic.about: ALARM.search(v.message) for v in result.verdicts if v.statistic.about != "dataset"}
    return {c: (int(m[1]), *m.groups()[1:]) for c, m in found.items() if m}


def message(result, about: str) -> str:
    return next(v.message for v in result.verdicts if v.statistic.about == about)


def days(rng: np.random.Generator, n: int, *, start: str = "2024-01-01", rows: int = 60) -> pd.DataFrame:
    at = pd.date_range(start, periods=n * rows, freq=f"{86400 // rows}s")
    return pd.DataFrame(
        {
            "at": at,
            "normal": rng.normal(size=len(at)),
            "wide": rng.lognormal(size=len(at)),
            "count": rng.poisson(2, len(at)),
            "gaps": np.where(rng.random(len(at)) < 0.05, np.nan, rng.normal(size=len(at))),
            "town": rng.choice(["Bern", "Chur", "Genf", "Zug"], len(at), p=[0.4, 0.3, 0.2, 0.1]),
            "even": rng.random(len(at)) < 0.5,
        }
    )


@pytest.fixture(scope="module")
def quiet() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(7)
    return days(rng, 50), days(rng, 50, start="2024-02-20")


def test_clean_columns_pass_and_say_what_would_have_been_seen(quiet):
    result = check_watch(*quiet, roles=ROLES, every="day")
    assert set(outcomes(result).values()) == {"passed"}
    assert "no alarm in 50 chunks" in message(result, "dataset")
    for verdict in result.verdicts[1:]:
        s = verdict.statistic
        assert 0 < s.detectable < 0.5
        assert s.value < verdict.limit.fail == pytest.approx(6 / 0.05)
        assert s.p > 0.05
        assert "or more would have been seen" in verdict.message
    json.dumps(result.to_dict(), allow_nan=False)


def changed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    rng, now = np.random.default_rng(3), frame.copy()
    late = np.arange(len(now)) >= 30 * 60
    if name == "shift":
        now.loc[late, "normal"] += 0.5
    elif name == "variance":
        now.loc[late, "normal"] *= 1.6
    elif name == "missing":
        now.loc[late & (rng.random(len(now)) < 0.2), "gaps"] = np.nan
    elif name == "level":
        now.loc[late & (rng.random(len(now)) < 0.15), "town"] = "Basel"
    elif name == "mix":
        now.loc[late & (now.town == "Bern") & (rng.random(len(now)) < 0.4), "town"] = "Zug"
    elif name == "stuck":
        now.loc[late & (rng.random(len(now)) < 0.3), "wide"] = 1.0
    elif name == "truth":
        now.loc[late, "even"] = rng.random(late.sum()) < 0.75
    return now


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("shift", "normal"), ("variance", "normal"), ("missing", "gaps"), ("level", "town"), ("mix", "town"), ("stuck", "wide"),
        ("truth", "even"),
    ],
)  # fmt: skip
def test_every_kind_of_change_is_named_within_days(quiet, name, column):
    reference, current = quiet
    result = check_watch(reference, changed(current, name), roles=ROLES, every="day")
    found = alarms(result)
    assert list(found) == [column]
    chunk, first, last, at, low, high = found[column]
    assert 31 <= chunk <= 37  # the change is at the start of chunk 31
    assert first == last
    assert low <= "2024-03-21" <= high
    assert abs(pd.Timestamp(at) - pd.Timestamp("2024-03-21")) <= pd.Timedelta(days=2)
    assert outcomes(result)[column] == "failed"
    assert f"1 of 6 columns alarmed, first {column} in chunk {chunk}" in message(result, "dataset")
    [row] = result.tables["change points"]
    assert (row["column"], row["alarm in chunk"], row["change"]) == (column, chunk, at)


def test_a_slow_change_is_seen(quiet):
    reference, current = quiet
    slow = current.assign(normal=current.normal + np.linspace(0, 1.2, len(current)))
    found = alarms(check_watch(reference, slow, roles=ROLES, every="day"))
    assert list(found) == ["normal"]
    assert 8 <= found["normal"][0] <= 35


def test_too_few_rows_are_unknown_and_say_how_many_would_do(quiet):
    reference, current = quiet
    result = check_watch(reference, current[:60], roles=ROLES, every="day")
    assert outcomes(result)["dataset"] == outcomes(result)["normal"] == "unknown"
    more = int(re.search(r"about ([\d,]+) more rows would decide", message(result, "normal"))[1].replace(",", ""))
    assert outcomes(check_watch(reference, current[: 60 + more + 60], roles=ROLES, every="day"))["normal"] == "passed"
    small = check_watch(reference[:60], current, roles=ROLES, every="day", must_see_sd=0.1)
    assert "a reference of 60 rows is too small" in message(small, "normal")


def test_a_change_too_small_to_matter_is_a_warning():
    rng = np.random.default_rng(0)
    frame = days(rng, 60, rows=1440)[["at", "count"]]
    frame.loc[frame.index >= 40 * 1440, "count"] = np.where(rng.random(20 * 1440) < 0.004, 12, frame["count"][40 * 1440 :])
    result = check_watch(frame[: 30 * 1440], frame[30 * 1440 :], roles=ROLES, every="day", must_see_sd=0.5)
    assert outcomes(result) == {"dataset": "warned", "count": "warned"}
    assert "less than 0.05 sd is no failure" in message(result, "count")
    assert "count" in alarms(result)


def test_the_watch_goes_on_from_its_state_and_counts_no_row_twice(quiet):
    reference, current = quiet
    current = changed(current, "shift")
    whole = check_watch(reference, current, roles=ROLES, every="day")
    state, looks = None, []
    for end in range(10 * 60, len(current) + 1, 10 * 60):
        past = SimpleNamespace(state=json.loads(json.dumps(state))) if state else None
        result = check_watch(reference, current[:end], roles=ROLES, every="day", past=past)
        state = result.state
        looks.append(state["watch"]["count"])
    assert looks == [10, 20, 30, 40, 50]
    assert outcomes(result) == outcomes(whole)
    assert alarms(result)["normal"][0] == alarms(whole)["normal"][0]
    for a, b in zip(result.verdicts, whole.verdicts, strict=True):
        if a.statistic.about not in ("dataset", "normal"):
            assert a.statistic.value == pytest.approx(b.statistic.value, rel=0.02)
    assert any("rows up to 2024-03-" in n and "are taken as seen" in n for n in result.notes)
    again = check_watch(reference, current, roles=ROLES, every="day", past=SimpleNamespace(state=state))
    assert again.state["watch"] == state["watch"]
    assert len(json.dumps(state["watch"])) < 200_000


def test_a_state_of_another_reference_begins_anew(quiet):
    reference, current = quiet
    first = check_watch(reference, current, roles=ROLES, every="day")
    past = SimpleNamespace(state=first.state)
    other = check_watch(reference[:-60], current, roles=ROLES, every="day", past=past)
    assert other.state["watch"]["count"] == 50
    assert any("begins anew" in n for n in other.notes)
    assert any("alpha was" in n for n in check_watch(reference, current, roles=ROLES, every="day", past=past, alpha=0.01).notes)
    broken = SimpleNamespace(state=first.state | {"watch": {**first.state["watch"], "monitors": {"x": {}}}})
    assert any("cannot be read" in n for n in check_watch(reference, current, roles=ROLES, every="day", past=broken).notes)


def test_an_alarm_stays_and_the_pool_with_it(quiet):
    reference, current = quiet
    gone = current.copy()
    gone.loc[(gone.index >= 10 * 60) & (gone.index < 20 * 60), "normal"] += 1
    result = check_watch(reference, gone, roles=ROLES, every="day")
    assert alarms(result)["normal"][0] in (11, 12)
    rows = [r for r in result.tables["watch"] if r["column"] == "normal"]
    assert [r["alarm"] for r in rows] == sorted(r["alarm"] for r in rows)
    assert len({r["e-value"] for r in rows if r["alarm"]}) == 1
    assert max(r["effect"] for r in rows[25:]) < 0.6 < max(r["effect"] for r in rows[10:20])


# events and batches


def test_events_are_counted_as_the_engine_counts_them():
    rng = np.random.default_rng(0)
    frame = days(rng, 12).assign(
        when=pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**7, 720), "s"),
        code=rng.choice([1.0, 2.5, np.nan], 720),
        huge=rng.choice([1e300, -np.inf, np.inf, 0.0, 1.0], 720),
        text=[f"note {i}" for i in range(720)],
        rare=[f"r{i % 90}" for i in range(720)],
        nothing=None,
    )
    like = profile(open_table(frame[:500]))
    now = frame[400:].copy()
    now.loc[450:500, "town"] = "Basel"
    now["even"] = now["even"].astype(object)
    now.loc[500:520, ["normal", "town", "even"]] = None
    for season in ("none", "day_of_week", "hour_of_week", "month", "town"):
        known = count_chunks(frame[:500], like, "at", every="day", season=season)
        options = {"every": "day", "season": season, "strata": known.strata, "columns": [c for c in like.names if c != "at"]}
        theirs = count_chunks(now, like, "at", **options)
        ours = count_events(now.to_dict("records"), like, "at", **options)
        assert (ours.labels, ours.starts, ours.ends, ours.strata) == (theirs.labels, theirs.starts, theirs.ends, theirs.strata)
        assert (ours.rows == theirs.rows).all()
        for column in theirs.cells:
            assert (ours.cells[column] == theirs.cells[column]).all(), (season, column)


def test_an_event_of_another_kind_is_a_clear_error():
    like = profile(open_table(pd.DataFrame({"at": pd.date_range("2024-01-01", periods=100), "x": np.arange(100.0)})))
    with pytest.raises(InputError, match=r"(?s)holds a str in column 'x'.*a number"):
        count_events([{"at": pd.Timestamp("2024-01-01"), "x": "seven"}], like, "at", every="day")


def test_one_event_after_another_alarms_like_a_table(quiet):
    reference, current = quiet
    known = baseline(reference, roles=ROLES, every="day")
    late = current[["at", "normal", "town"]].head(600).assign(normal=lambda t: t.normal + 1)
    watch = start_watch(known, ROLES)
    for event in late.to_dict("records"):
        before, watch = watch, watch.update(event)
        assert watch.rows + watch.waiting == before.rows + before.waiting + 1
        if "normal" in watch.alarms:
            break
    assert "normal" in watch.alarms
    assert watch.rows <= 240
    by_lists = start_watch(known, ROLES).update(late[:90].to_dict("records")).update(late[90:].to_dict("records"))
    by_chunks = start_watch(known, ROLES).update(
        count_chunks(late, known.profile, "at", every="day", columns=list(by_lists.monitors))
    )
    assert set(by_lists.alarms) == set(by_chunks.alarms) >= {"normal"}
    with pytest.raises(InputError, match="another reference"):
        read_watch(watch.to_dict(), Baseline(known.profile, known.chunks, "x"), ROLES)


# bad input


def test_what_is_not_there_is_skipped_with_the_reason(quiet):
    reference, current = quiet
    for pair, roles, words in (
        ((None, current), ROLES, "needs reference"),
        ((reference, None), ROLES, "needs current"),
        ((reference, current), Roles(), "set time"),
    ):
        result = check_watch(*pair, roles=roles)
        assert (result.outcome, outcomes(result)) == ("skipped", {"dataset": "skipped"})
        assert words in result.message


def test_one_chunk_no_chunk_and_chunks_of_five_rows(quiet):
    reference, current = quiet
    assert outcomes(check_watch(reference, current[:60], roles=ROLES, every="day"))["normal"] == "unknown"
    for rows in (0, 1, 20):
        result = check_watch(reference, current[:rows], roles=ROLES, every="day")
        assert set(outcomes(result).values()) == {"unknown"}
        assert "no chunk to look at yet" in result.message
    five = current[::12].assign(normal=lambda t: t.normal + 2)  # five rows a day
    result = check_watch(reference, five, roles=ROLES, every="day")
    assert alarms(result)["normal"][0] <= 3
    assert result.state["watch"]["count"] == 8  # chunks of 30 rows
    assert "10 rows wait for others" in message(result, "dataset")


def test_a_reference_without_a_time_column(quiet):
    reference, current = quiet
    result = check_watch(reference.drop(columns="at"), changed(current, "shift"), roles=ROLES, every="day")
    assert list(alarms(result)) == ["normal"]
    assert any("Assumes independent rows" in n for n in result.notes)


def test_unsorted_and_duplicate_times_and_rows_without_one(quiet):
    reference, current = quiet
    now = changed(current, "shift").sample(frac=1, random_state=0)
    now["at"] = now["at"].dt.floor("h")
    now.loc[now.index[:50], "at"] = pd.NaT
    result = check_watch(reference, now, roles=ROLES, every="day")
    assert 31 <= alarms(result)["normal"][0] <= 34
    assert "50 rows without a time were not looked at" in message(result, "dataset")


def test_current_older_than_the_reference_is_said(quiet):
    reference, current = quiet
    assert "are older than the reference" in message(check_watch(current, reference, roles=ROLES, every="day"), "dataset")


def test_columns_that_vanish_change_or_cannot_be_compared(quiet):
    reference, current = quiet
    extra = {
        "text": [f"note {i}" for i in range(3000)],
        "list": [[1, 2]] * 3000,
        "key": np.arange(3000),
        "empty": None,
        "same": 7,
    }
    before = reference.assign(**extra)
    now = current.assign(**extra | {"key": np.arange(3000, 6000), "wide": current.town, "target": 1}).drop(columns=["count"])
    result = check_watch(
        before.assign(target=0.5), now.drop(columns="target"), roles=Roles(time="at", target="target"), every="day"
    )
    found = outcomes(result)
    assert found["count"] == "failed"  # every row of it is missing now
    assert found["wide"] == "unknown"
    assert "was number (float64), is now level (string): it cannot be watched" in message(result, "wide")
    assert {found[c] for c in ("text", "list", "key", "target")} == {"skipped"}
    assert "running number" in message(result, "key")
    assert found["same"] == found["empty"] == "passed"
    changed_one = now.assign(same=8, empty="a", text=[None] * 1500 + ["x"] * 1500)
    assert {"same", "empty", "text"} <= set(alarms(check_watch(before, changed_one, roles=ROLES, every="day")))


def test_strange_numbers_and_a_time_that_is_none(quiet):
    reference, current = quiet
    odd = reference.assign(huge=np.tile([1e300, -1e300, 1.0], 1000), infinite=np.tile([1.0, np.inf, 2.0], 1000))
    result = check_watch(odd, odd.assign(at=current["at"]), roles=ROLES, every="day")
    assert set(outcomes(result).values()) == {"passed"}
    json.dumps(result.to_dict(), allow_nan=False)
    text = check_watch(reference, current.assign(at=current["at"].astype(str)), roles=ROLES)
    assert text.outcome == "unknown"
    assert "write it as a timestamp" in text.message
    assert "lack the time column" in check_watch(reference, current.drop(columns="at"), roles=ROLES).message
    with pytest.raises(InputError, match="alpha"):
        check_watch(reference, current, roles=ROLES, alpha=2)


def test_a_number_as_time(quiet):
    reference, current = (t.assign(at=np.arange(3000) + 3000 * i) for i, t in enumerate(quiet))
    result = check_watch(reference, changed(current, "shift"), roles=ROLES, every="100 rows")
    chunk, _, _, at, low, high = alarms(result)["normal"]
    assert 19 <= chunk <= 22
    assert float(low) <= 4800 <= float(high)
    assert abs(float(at) - 4800) <= 200
    assert "failed" not in outcomes(check_watch(reference, current, roles=ROLES)).values()


def test_a_partial_day_waits_for_its_rest():
    """A morning is not compared with whole days: what goes with the hour would alarm every morning."""
    rng = np.random.default_rng(0)
    frame = days(rng, 60).assign(hour=lambda t: t["at"].dt.hour)
    reference, current = frame[: 30 * 60], frame[30 * 60 :]
    morning = check_watch(reference, current[: 10 * 60 + 20], roles=ROLES, every="day")
    assert morning.state["watch"]["count"] == 10
    assert "20 rows wait for others" in message(morning, "dataset")
    past = SimpleNamespace(state=morning.state)
    rest = check_watch(reference, current[: 11 * 60], roles=ROLES, every="day", past=past)
    assert (rest.state["watch"]["count"], rest.state["watch"]["rows"]) == (11, 660)
    assert "failed" not in outcomes(rest).values()


def test_the_ends_of_a_reference_are_counted_with_what_lies_beyond(quiet):
    known = baseline(quiet[0], roles=ROLES, every="day")
    way = start_watch(known, ROLES).ways["normal"]
    assert way.reference[0, [0, way.ordered - 1]].tolist() == [1, 1]
    assert way.rows == 3000


# dependence and seasons


def test_rows_that_hang_together_are_no_alarm_and_it_is_said():
    rng = np.random.default_rng(0)
    level = np.repeat(rng.normal(0, 0.5, 120), 60)
    frame = days(rng, 120)[["at", "normal"]].assign(normal=lambda t: t.normal + level)
    result = check_watch(frame[:4000], frame[4000:], roles=ROLES, every="day")
    assert not alarms(result)
    assert "rows depend on each other: 60 count like" in message(result, "normal")
    moved = frame.assign(normal=frame.normal + (frame.index >= 5000) * 2.0)
    assert "normal" in alarms(check_watch(moved[:4000], moved[4000:], roles=ROLES, every="day"))


def test_a_weekend_is_no_alarm_by_day_of_week():
    rng = np.random.default_rng(0)
    frame = days(rng, 100)[["at", "normal"]]
    frame["normal"] += frame["at"].dt.day_of_week.isin([5, 6]) * 1.0
    frame["late"] = rng.normal(size=6000) + (frame.index >= 5000) * 0.6
    assert alarms(check_watch(frame[:4200], frame[4200:], roles=ROLES, every="day")).keys() == {"normal", "late"}
    by_day = check_watch(frame[:4200], frame[4200:], roles=ROLES, every="day", season="day_of_week")
    assert alarms(by_day).keys() == {"late"}
    assert alarms(by_day)["late"][3][:7] == "2024-03"
    assert "same day of week" in " ".join(by_day.notes)


def test_a_season_that_the_reference_lacks_is_not_passed():
    frame = days(np.random.default_rng(0), 120)[["at", "normal"]]
    result = check_watch(frame[: 31 * 60], frame[40 * 60 :], roles=ROLES, every="week", season="month")
    assert outcomes(result)["normal"] == "unknown"
    assert "the reference has no rows of their season" in message(result, "dataset")


# real data


def test_elec2_is_silent_before_the_link_and_names_its_week():
    frame = pd.read_parquet(shared_data("elec2/elec2.parquet"))
    roles, linked = Roles(time="date_approx", target="class", ignore=("date",)), {"vicprice", "vicdemand", "transfer"}
    reference = frame[:8000]
    early = check_watch(reference, frame[8000:17_424], roles=roles, every="week")
    assert {outcomes(early)[c] for c in linked} == {"passed"}
    found = alarms(check_watch(reference, frame[8000:], roles=roles, every="week", past=SimpleNamespace(state=early.state)))
    assert {found[c][1:] for c in linked} == {("1997-05-05", "1997-05-11", "1997-05-05", "1997-05-05", "1997-05-11")}


@pytest.mark.parametrize("every", ["5000 rows", "week", "auto"])
def test_car_loans_name_the_day_and_the_columns(every):
    reference, current = (shared_data(f"nannyml_car_loan/{name}.parquet") for name in ("reference", "analysis"))
    roles = Roles(target="repaid", prediction="y_pred", probability="y_pred_proba", time="timestamp", id="id")
    result = check_watch(reference, current, roles=roles, every=every)
    found = alarms(result)
    drifted = {"car_value", "salary_range", "repaid_loan_on_prev_car", "loan_length"}
    assert drifted <= set(found)
    assert not {"debt_to_income_ratio", "driver_tenure", "size_of_downpayment"} & set(found)
    for column in drifted:
        _, first, _, at, low, high = found[column]
        assert "2019-03-25" <= first <= "2019-04-01"
        assert "2019-03-28" <= at <= "2019-04-02"
        assert low <= "2019-04-01"
        assert high >= "2019-03-31"
    assert outcomes(result)["repaid"] == "skipped"


def test_used_cars_all_change_on_one_day():
    reference, current = (shared_data(f"nannyml_regression/{name}.parquet") for name in ("reference", "analysis"))
    result = check_watch(
        reference, current, roles=Roles(target="y_true", prediction="y_pred", time="timestamp", id="id"), every="day"
    )
    found = alarms(result)
    assert {"car_age", "km_driven", "price_new", "accident_count", "door_count", "fuel", "transmission"} <= set(found)
    assert {x[3] for x in found.values()} == {"2017-02-28"}


def test_a_winter_alarms_without_a_season_and_not_with_it():
    rain = pd.read_parquet(shared_data("noaa_rain/noaa_rain.parquet")).drop(columns="index")
    rain["at"] = pd.Timestamp("1950-01-01") + pd.to_timedelta(np.arange(len(rain)), "D")
    reference, current, roles = rain[3650:7302], rain[7302:8032], Roles(time="at", target="rain")
    warmth = {"temperature", "minimum temperature", "maximum temperature", "dew point"}
    plain = check_watch(reference, current, roles=roles, every="month")
    assert warmth <= set(alarms(plain))
    seasonal = check_watch(reference, current, roles=roles, every="month", season="month")
    assert not alarms(seasonal)


def test_taxi_fares_get_their_surcharge():
    rides = pd.read_parquet(shared_data("nyc_taxi_2019/yellow_2019.parquet"))
    rides = rides[(rides.pickup_datetime >= "2019-01-21") & (rides.pickup_datetime < "2019-04-01")]
    columns = ["pickup_datetime", "congestion_surcharge", "extra", "trip_distance", "improvement_surcharge"]
    split = rides.pickup_datetime < "2019-01-29"
    found = alarms(check_watch(rides[split][columns], rides[~split][columns], roles=Roles(time="pickup_datetime"), every="day"))
    assert "2019-02-01" <= found["congestion_surcharge"][3] <= "2019-02-03"
    assert "2019-02-01" <= found["congestion_surcharge"][1] <= "2019-02-03"
    assert "improvement_surcharge" not in found
