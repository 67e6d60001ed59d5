"""Waivers: one finding, one owner, one reason, one last day; a mistake in the file is named, and nothing passes by it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodnb.errors import InputError
from prodnb.waivers import Waiver, read_waivers, waive

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
GOOD = {"check": "drift", "column": "temp", "owner": "ann", "reason": "sensors replaced", "until": "2026-08-20"}


def written(folder, *waivers):
    """Write waivers, each a dict, as YAML by hand."""
    lines = ["waivers:"]
    for waiver in waivers:
        lines += [f"  {'-' if not n else ' '} {k}: {v}" for n, (k, v) in enumerate(waiver.items())]
    file = folder / "waivers.yml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def finding(name="distance", about="temp", outcome="failed"):
    return {"name": name, "about": about, "outcome": outcome}


def waiver(**more):
    return Waiver(**{**GOOD, "until": date(2026, 8, 20), **more})


def test_a_good_file_is_read_with_its_lines(tmp_path):
    file = written(tmp_path, GOOD, {**GOOD, "column": "'2024'", "statistic": "null_share"})
    first, second = read_waivers(file, NOW)
    assert first == waiver(where="waivers.yml, line 2")
    assert (second.column, second.statistic, second.where) == ("2024", "null_share", "waivers.yml, line 7")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        *[({k: v for k, v in GOOD.items() if k != key}, f"does not say its {key}") for key in GOOD],
        *[({**GOOD, key: "''"}, f"{key} is ''") for key in GOOD],
        ({**GOOD, "owner": "[ann, bob]"}, "owner is"),
        ({**GOOD, "column": "2024"}, "in quotes"),
        ({**GOOD, "column": "null"}, "column is None"),
        ({**GOOD, "until": "2026-02-30"}, "a day such as"),
        ({**GOOD, "until": "2026-08-20T00:00:00Z"}, "a day such as"),
        ({**GOOD, "until": "2026-W32-1"}, "a day such as"),
        ({**GOOD, "until": "2026-8-20"}, "a day such as"),
        ({**GOOD, "until": "20260820"}, "a day such as|in quotes"),
        ({**GOOD, "until": "2027-07-12"}, "more than a year"),
        ({**GOOD, "expires": "2026-08-20"}, "no key 'expires'"),
        ({**GOOD, "reasn": "x"}, "Did you mean 'reason'"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, wrong, words):
    with pytest.raises(InputError, match=words) as caught:
        read_waivers(written(tmp_path, wrong), NOW)
    assert "waivers.yml, line" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "waivers",
        "waivers: {}",
        "waivers: none",
        "waivers: []\nmore: 1",
        "waivers:\n- drift",
        "waivers: [" * 200,
        "a: &a [*a]\nwaivers: []",
        "!!python/object:os.system {}",
        "waivers:\n- {check: a, check: b}",
    ],
)
def test_what_is_no_list_of_waivers_is_refused(tmp_path, text):
    (tmp_path / "waivers.yml").write_text(text)
    with pytest.raises(InputError):
        read_waivers(tmp_path / "waivers.yml", NOW)


def test_a_missing_file_is_an_error_and_not_an_empty_list(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_waivers(tmp_path / "waivers.yml", NOW)


def test_the_same_finding_cannot_be_waived_twice(tmp_path):
    with pytest.raises(InputError, match="waived twice"):
        read_waivers(written(tmp_path, GOOD, {**GOOD, "until": "2026-09-01"}), NOW)


def test_a_year_is_the_longest(tmp_path):
    longest = (NOW + timedelta(days=366)).date()
    assert read_waivers(written(tmp_path, {**GOOD, "until": longest}), NOW)[0].until == longest


@given(st.datetimes(datetime(2026, 8, 1), datetime(2026, 9, 1)), st.integers(-12, 14))
def test_it_ends_with_its_last_day_in_utc_wherever_the_clock_is(naive, hours):
    from datetime import timezone

    now = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert waiver().expired(now) == (now.timestamp() >= datetime(2026, 8, 21, tzinfo=UTC).timestamp())


def test_only_the_named_finding_passes():
    now = NOW
    assert waive([waiver()], "drift", [finding()], now).through.keys() == {0}
    for other in (finding(about="wind"), finding(about="Temp"), finding(about="temp ")):
        assert waive([waiver()], "drift", [other], now).through == {}
    assert waive([waiver()], "data_quality", [finding()], now).through == {}
    assert waive([waiver(statistic="null_share")], "drift", [finding()], now).through == {}
    assert waive([waiver()], "drift", [finding()], datetime(2026, 8, 21, tzinfo=UTC)).through == {}


NAMES = st.sampled_from(["a", "b", "c"])


@given(
    st.lists(st.builds(waiver, column=NAMES, statistic=st.none() | NAMES, check=NAMES), max_size=8),
    st.lists(st.builds(finding, name=NAMES, about=NAMES), max_size=6),
)
def test_a_waiver_never_lets_more_than_one_finding_through(waivers, findings):
    found = waive(waivers, "a", findings, NOW)
    for n, used in found.through.items():
        assert used.check == "a"
        assert used.fits("a", findings[n])
        assert sum(used.fits("a", f) for f in findings) == 1
    assert len({id(w) for w in found.through.values()}) == len(found.through)
    assert found.rest(findings) == [f for n, f in enumerate(findings) if n not in found.through]
    assert all(sum(w.fits("a", f) for f in findings) > 1 for w in found.unclear)
