"""The schedule: what was due and not recorded, against a count by simulation."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodnb.errors import SettingsError
from prodnb.schedule import GRACE, History, length_text, read_schedule, read_time, times_missed
from prodnb.settings import load_settings

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def run(history, at, checks=("drift",), schedule=None, project="demo", name=None, conclude=True):
    name = name or f"{project} {at}"
    due = {"drift": "1d"} if schedule is None else schedule
    history.add({"kind": "started", "run": name, "project": project, "at": at.isoformat(), "schedule": due})
    if conclude:
        history.add({"kind": "concluded", "run": name, "at": (at + HOUR).isoformat(), "records": dict.fromkeys(checks, "id")})


@given(st.integers(1, 4000), st.integers(1, 400))
def test_missed_times_are_those_that_a_clock_would_count(gap, interval):
    """Walk along the due times: each that lies more than the grace before the next record, and had none, was missed."""
    due, count = 10 * interval, 0
    while 10 * gap - due > interval:  # in tenths; the grace is a tenth of the interval
        count, due = count + 1, due + 10 * interval
    assert GRACE == 0.1
    assert times_missed(timedelta(minutes=gap), timedelta(minutes=interval)) == count


def test_a_punctual_check_is_never_missed():
    history = History()
    for n in range(60):
        run(history, START + n * DAY + timedelta(minutes=97 * (n % 2)))
    assert history.gaps == []
    assert history.overdue(START + 60 * DAY) == []


@pytest.mark.parametrize("silent", [1, 2, 5, 30])
def test_a_gap_is_found_with_its_length(silent):
    history = History()
    for n in (0, 1, 2 + silent):
        run(history, START + n * DAY)
    [gap] = history.gaps
    assert (gap.check, gap.times, gap.last, gap.until) == ("drift", silent, START + DAY, START + (2 + silent) * DAY)
    assert history.overdue(START + (2 + silent) * DAY + HOUR) == []


def test_overdue_now_and_only_then():
    history = History()
    run(history, START)
    assert history.overdue(START + 26 * HOUR) == []  # within the grace
    [late] = history.overdue(START + 27 * HOUR)
    assert late.until is None
    assert "missed once by now" in late.message
    assert history.overdue(START - DAY) == []  # a clock that goes backwards alarms nobody


def test_a_run_that_died_or_did_not_hold_the_check_counts_for_nothing():
    history = History()
    run(history, START)
    run(history, START + DAY, conclude=False)
    run(history, START + 2 * DAY, checks=("cost",))
    assert [m.times for m in history.overdue(START + 2 * DAY + HOUR)] == [1]
    history.add({"kind": "stopped", "run": f"demo {START + DAY}", "at": START.isoformat()})
    assert [m.times for m in history.overdue(START + 2 * DAY + HOUR)] == [1]


def test_projects_have_schedules_of_their_own():
    history = History()
    run(history, START, project="a")
    run(history, START, project="b", schedule={"drift": "1w"})
    late = START + 3 * DAY
    assert [m.project for m in history.overdue(late)] == ["a"]
    assert history.overdue(late, "b") == []


def test_what_was_announced_and_never_recorded_is_overdue():
    history = History()
    run(history, START, schedule={"drift": "1d", "cost": "1h"})
    [late] = history.overdue(START + 3 * HOUR)
    assert (late.check, late.recorded) == ("cost", False)
    assert "first announced" in late.message


def test_a_schedule_that_changes_or_goes_is_judged_by_what_was_in_force():
    history = History()
    run(history, START, schedule={"drift": "1w"})
    run(history, START + 5 * DAY, schedule={"drift": "1d"})
    assert history.gaps == []  # five days were within the week that was in force
    run(history, START + 9 * DAY, schedule={})
    assert history.overdue(START + 900 * DAY) == []
    assert history.overdue(START + 10 * DAY + 3 * HOUR, "demo", {"drift": DAY})  # the settings still want it


def test_the_settings_of_today_count():
    history = History()
    run(history, START, schedule={})
    assert history.overdue(START + 3 * DAY) == []
    assert [m.check for m in history.overdue(START + 3 * DAY, "demo", {"drift": DAY})] == ["drift"]
    assert "was never recorded" in history.overdue(START, "demo", {"cost": DAY})[0].message


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"kind": "started"},
        {"kind": "started", "at": "yesterday", "run": "x"},
        {"kind": "started", "at": START.isoformat(), "schedule": ["drift"]},
        {"kind": "started", "at": START.isoformat(), "schedule": {"drift": "1 fortnight", "cost": 7, "": None}},
        {"kind": "concluded", "at": START.isoformat(), "run": [], "records": 7},
        {"kind": ["started"], "at": 5},
        {"kind": "concluded", "at": "9" * 5000, "run": "x", "records": {}},
    ],
)
def test_hostile_entries_change_nothing(entry):
    history = History()
    history.add(entry)
    assert history.gaps == []
    assert history.overdue(START + 900 * DAY) == []


def test_settings_are_read_and_mistakes_named(tmp_path):
    file = tmp_path / "settings.ini"
    file.write_text("[project]\nname = demo\n[schedule]\ndrift = 1d\ncost =\n")
    assert read_schedule(load_settings(file)) == {"drift": DAY}
    file.write_text("[project]\nname = demo\n[schedule]\ndrift = daily\n")
    with pytest.raises(SettingsError, match="line 4"):
        read_schedule(load_settings(file))


def test_times_and_lengths_of_time():
    assert (
        read_time("2026-03-01T06:00:00Z") == read_time("2026-03-01T07:00:00+01:00") == read_time("2026-03-01T06:00:00") == START
    )
    assert [read_time(x) for x in (None, "", 5, "2026", "2026-13-01")] == [None, None, None, None, None]
    assert length_text(8 * DAY + 3 * HOUR) == "8 d 3 h"
    assert length_text(timedelta(seconds=61)) == "1 min 1 s"
    assert length_text(timedelta(days=400, seconds=1)) == "400 d"
