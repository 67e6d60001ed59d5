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


# from day to day


def day_by_day(reference: pd.DataFrame, batches: list[pd.DataFrame]) -> list:
    results, state, known = [], None, baseline(reference, roles=ROLES, every="day")
    for batch in batches:
        past = SimpleNamespace(state=json.loads(json.dumps(state))) if state else None
        results.append(check_watch(known, batch, roles=ROLES, past=past))
        state = results[-1].state
    return results


@pytest.fixture(scope="module", params=["dates", "times"])
def stream(request) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(11)
    frame = days(rng, 50)[["at", "normal", "town", "even"]].assign(target=rng.random(3000) < 0.5)
    if request.param == "dates":
        frame["at"] = frame["at"].dt.normalize()
    return frame[: 38 * 60], frame[38 * 60 :].reset_index(drop=True)


def windows(current: pd.DataFrame, how: str) -> list[pd.DataFrame]:
    last = [60 * d for d in range(2, 12, 3)] if how == "new" else [60 * d for d in range(7, 11)]
    if current["at"].dt.hour.any():
        last = [n + 25 for n in last]  # a job at ten o'clock
    starts = {"new": [0, *last[:-1]], "growing": [0] * 4, "window": [max(n - 7 * 60, 0) for n in last]}[how]
    return [current[a:b] for a, b in zip(starts, last, strict=True)]


@pytest.mark.parametrize("how", ["new", "growing", "window"])
def test_a_daily_job_counts_every_row_once_however_it_hands_them_over(stream, how):
    reference, current = stream
    batches = windows(current, how)
    results = day_by_day(reference, batches)
    for batch, result in zip(batches, results, strict=True):
        given = batch.index[-1] + 1 - batches[0].index[0]
        watch = result.state["watch"]
        pending = sum(watch["pending"]["rows"]) if watch["pending"] else 0
        assert watch["rows"] + pending == given
        assert outcomes(result)["dataset"] != "failed"
        assert "not looked at" not in message(result, "dataset")
    assert outcomes(results[-1])["dataset"] == "passed"
    assert any("were counted in an earlier look" in n for n in results[-1].notes) == (how != "new")


def test_one_row_of_the_year_2099_does_not_blind_the_watch(quiet):
    reference, current = quiet
    current = changed(current, "shift")
    first = current[: 10 * 60].copy()
    first.loc[5, "at"] = pd.Timestamp("2099-12-31")
    one, two = day_by_day(reference, [first, current[10 * 60 :]])
    assert "1 row of a time that cannot be (2099-12-31" in message(one, "dataset")
    assert one.state["watch"]["rows"] == 599
    assert list(alarms(two)) == ["normal"]
    assert (two.state["watch"]["count"], two.state["watch"]["rows"]) == (50, 2999)
    many = current[: 10 * 60].copy()
    many.loc[many.index[:60], "at"] = pd.Timestamp("2099-12-31")
    [result] = day_by_day(reference, [many])
    assert outcomes(result)["dataset"] == "unknown"
    assert "but 10 % of the current rows were not looked at" in message(result, "dataset")
    [result] = day_by_day(reference, [many[:60]])
    assert outcomes(result)["dataset"] == "unknown"
    assert "60 rows of a time that cannot be" in message(result, "dataset")


def test_a_number_far_beyond_the_rest_does_not_blind_the_watch(quiet):
    reference, current = (t.assign(at=np.arange(3000) + 3000 * i) for i, t in enumerate(quiet))
    now = changed(current, "shift")
    first = now[:600].copy()
    first.loc[[7, 8], "at"] = [10**9, 10**15]
    one = check_watch(reference, first, roles=ROLES, every="100 rows")
    assert "2 rows of a time that cannot be (1000000000 to 1e+15" in message(one, "dataset")
    two = check_watch(reference, now[600:], roles=ROLES, every="100 rows", past=SimpleNamespace(state=one.state))
    assert list(alarms(two)) == ["normal"]
    pause = current.assign(at=current["at"] + 10**6)
    assert check_watch(reference, pause, roles=ROLES, every="100 rows").state["watch"]["rows"] == 3000


def test_an_event_of_the_future_is_no_look(quiet):
    watch = start_watch(baseline(quiet[0], roles=ROLES, every="day"), ROLES)
    row = quiet[1].iloc[0].to_dict()
    odd = watch.update([row | {"at": pd.Timestamp("2099-01-01")}, row])
    assert (odd.waiting, odd.arrived.beyond, odd.last) == (1, 1, row["at"].timestamp())


def test_a_time_after_today_is_believed_where_the_reference_holds_such(quiet):
    ahead = [t.assign(at=t["at"] + pd.Timedelta(days=365 * 60)) for t in quiet]
    result = check_watch(*ahead, roles=ROLES, every="day")
    assert outcomes(result)["dataset"] in ("passed", "unknown")
    past = [quiet[0].assign(at=ahead[1]["at"]), quiet[1].assign(at=ahead[0]["at"])]
    assert check_watch(*past, roles=ROLES, every="day").state["watch"]["rows"] == 3000


def test_late_rows_are_counted_where_they_can_be_told(stream):
    reference, current = stream
    late = current.index % 60 == 7
    morning = current[: 5 * 60]
    results = day_by_day(reference, [morning[~late[: 5 * 60]], morning, current[: 6 * 60], current[: 6 * 60]])
    assert [r.state["watch"]["rows"] + sum((r.state["watch"]["pending"] or {"rows": []})["rows"]) for r in results] == [
        295, 300, 360, 360
    ]  # fmt: skip
    assert "5 rows of chunks that were looked at before came later and were counted now" in message(results[1], "dataset")
    assert "no new rows came: all 360 current rows were counted before" in message(results[3], "dataset")
    assert results[2].state["watch"] == results[3].state["watch"]
    assert outcomes(results[3]) == outcomes(results[2])


def test_late_rows_that_cannot_be_told_are_counted_and_not_passed(stream):
    reference, current = stream
    few = pd.concat([current[3 * 60 : 3 * 60 + 2], current[8 * 60 : 11 * 60]])
    results = day_by_day(reference, [current[: 8 * 60], few, current[3 * 60 : 3 * 60 + 20]])
    assert "2 rows up to 2024-02-" in message(results[1], "dataset")
    assert "could not be told from rows counted before" in message(results[1], "dataset")
    assert outcomes(results[1])["dataset"] == "passed"
    assert outcomes(results[2])["dataset"] == "unknown"
    assert "but 100 % of the current rows were not looked at" in message(results[2], "dataset")
    assert "no new rows came" in message(results[2], "dataset")
    assert any("20 rows up to" in n for n in results[2].notes)
    assert results[2].state["watch"]["rows"] == results[1].state["watch"]["rows"]


def test_another_half_of_a_day_with_dates_only_is_counted_or_told():
    frame = days(np.random.default_rng(2), 60).assign(at=lambda t: t["at"].dt.normalize())
    reference, current = frame[: 50 * 60], frame[50 * 60 :]
    halves = day_by_day(reference, [current[: 9 * 60 + 30], current[9 * 60 + 30 :]])
    assert outcomes(halves[1])["dataset"] == "unknown"
    assert "30 rows up to 2024-02-29 could not be told" in message(halves[1], "dataset")


def test_a_target_that_is_known_later_is_no_new_row(stream):
    reference, current = stream
    roles = Roles(time="at", target="target")
    batches = [
        current[: 60 * d].assign(target=lambda t, d=d: t.target.astype(object).where(t.index < 60 * (d - 1))) for d in range(4, 8)
    ]
    state = None
    for batch in batches:
        past = SimpleNamespace(state=state) if state else None
        result = check_watch(reference, batch, roles=roles, every="day", past=past)
        state = result.state
        assert "not looked at" not in message(result, "dataset")
        assert state["watch"]["rows"] == len(batch)


def test_rows_without_a_time_are_told_every_day_and_not_passed_if_many(quiet):
    reference, current = quiet
    now = current[20 * 60 : 30 * 60].copy()
    now.loc[now.index[:100], "at"] = pd.NaT
    results = day_by_day(reference, [current[: 20 * 60], now])
    assert "100 rows without a time were not looked at" in message(results[1], "dataset")
    assert outcomes(results[1])["dataset"] == "unknown"


# an alarm is not forgotten


def test_an_alarm_that_is_not_gone_on_from_is_told(quiet):
    reference, current = quiet
    alarmed = check_watch(reference, changed(current, "shift"), roles=ROLES, every="day")
    past = SimpleNamespace(state=alarmed.state)
    words = r"an alarm of 2024-03-2\d on column normal, by other settings, is not gone on from"
    state = None
    for options in ({"alpha": 0.04}, {"season": "day_of_week"}, {"every": "week"}):
        other = check_watch(reference, current, roles=ROLES, past=past, **{"every": "day"} | options)
        assert re.search(words, message(other, "dataset"))
        assert outcomes(other)["dataset"] in ("warned", "unknown")
        state = state or other.state
    assert outcomes(check_watch(reference, current, roles=ROLES, every="day", alpha=0.04, past=past))["dataset"] == "warned"
    again = SimpleNamespace(state=state)  # the next day it is still not forgotten
    assert re.search(words, message(check_watch(reference, current, roles=ROLES, every="day", alpha=0.04, past=again), "dataset"))
    fits = check_watch(reference, current[:600], roles=ROLES, every="day", alpha=0.04)
    both = SimpleNamespace(state=fits.state, newest=past)
    told = check_watch(reference, current, roles=ROLES, every="day", alpha=0.04, past=both)
    assert re.search(words, message(told, "dataset"))
    assert told.state["watch"]["count"] == 50
    accepted = check_watch(reference[:-60], current, roles=ROLES, every="day", past=past)
    assert "on column normal, against another reference, is not gone on from" in message(accepted, "dataset")
    later = check_watch(reference[:-60], current, roles=ROLES, every="day", past=SimpleNamespace(state=accepted.state))
    assert "not gone on from" not in message(later, "dataset")
    assert outcomes(later)["dataset"] == "passed"


def test_what_cannot_look_carries_the_state_on(quiet):
    reference, current = quiet
    alarmed = check_watch(reference, changed(current, "shift"), roles=ROLES, every="day")
    past = SimpleNamespace(state=alarmed.state)
    for pair, roles in (
        ((reference, current.drop(columns="at")), ROLES),
        ((reference, current.assign(at="x")), ROLES),
        ((reference, None), ROLES),
        ((reference, current), Roles()),
    ):
        assert check_watch(*pair, roles=roles, every="day", past=past).state == alarmed.state


# words


def test_where_the_rows_lie_is_said_right(quiet):
    reference, current = quiet

    def said(rows: pd.DataFrame) -> str:
        return message(check_watch(reference, rows, roles=ROLES, every="day"), "dataset")

    assert "lie inside the time of the reference, 2024-01-01 to 2024-02-19" in said(reference[600:1800])
    part = said(pd.concat([reference[-120:], current[:600]]))
    assert "overlap the time of the reference, 2024-01-01 to 2024-02-19, by 120 rows" in part
    before = reference.assign(at=reference["at"] - pd.Timedelta(days=30))
    assert "begin before the reference, which begins at 2024-01-01, and overlap" in said(before)
    assert not re.search("inside|overlap|older|begin", said(current))


def test_waiting_rows_name_their_period_and_grammar_is_right(quiet):
    reference, current = quiet
    result = check_watch(reference, current[: 10 * 60 + 1], roles=ROLES, every="day")
    assert "1 row waits for others, to be looked at next (2024-03-01)" in message(result, "dataset")
    one = check_watch(reference[:1], current, roles=ROLES, every="day")
    assert "a reference of 1 row is too small" in message(one, "normal")
    strange = check_watch(reference, current.assign(wide=current.town), roles=ROLES, every="day")
    assert outcomes(strange)["wide"] == "unknown"
    assert "check_drift judges it" in message(strange, "wide")


def test_a_column_named_dataset_is_not_the_data_set(quiet):
    reference, current = (t.rename(columns={"normal": "dataset"}) for t in (quiet[0], changed(quiet[1], "shift")))
    result = check_watch(reference, current, roles=ROLES, every="day")
    found = [v.statistic.about for v in result.verdicts]
    assert len(found) == len(set(found)) == 7
    assert outcomes(result)["dataset (column)"] == "failed"
    assert "first dataset in chunk" in message(result, "dataset")
    assert {r["column"] for r in result.tables["change points"]} == {"dataset"}


def test_the_column_that_tells_the_season_is_watched_itself(quiet):
    reference, current = quiet
    result = check_watch(reference, changed(current, "mix"), roles=ROLES, every="day", season="town")
    assert list(alarms(result)) == ["town"]
    assert alarms(result)["town"][3][:7] == "2024-03"
    again = check_watch(reference, current, roles=ROLES, every="day", season="town")
    assert outcomes(again)["town"] == "passed"
    more = check_watch(
        reference, changed(current, "mix"), roles=ROLES, every="day", season="town", past=SimpleNamespace(state=again.state)
    )
    assert outcomes(more)["town"] == "passed"


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
