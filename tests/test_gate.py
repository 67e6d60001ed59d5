"""Exit codes, JUnit and markdown: what CI hangs on."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_archive import make_run
from test_record import record, verdict

from prodnb.archive import open_archive
from prodnb.gate import exit_code, junit, markdown, stopping, stops
from prodnb.settings import Settings
from prodnb.verdict import OUTCOMES


def settings(tmp_path, **gate):
    return Settings(tmp_path / "settings.ini", {"project": {"name": "p"}, "gate": gate})


def made(outcome, check="drift", message=None):
    cause = {"kind": "died", "cell": 1, "message": message or "it died"} if outcome == "errored" else None
    one = {**verdict(outcome if outcome != "errored" else "passed")}
    return record(check, outcome, cause, [one | ({"message": message} if message else {})])


@pytest.mark.parametrize(
    ("outcomes", "gate", "strict", "code"),
    [
        (["passed"], {}, False, 0),
        (["passed", "warned"], {}, False, 0),
        (["passed", "warned"], {}, True, 1),
        (["failed"], {}, False, 1),
        (["unknown"], {}, False, 1),
        (["unknown"], {"allow_unknown": "drift"}, False, 0),
        (["unknown"], {"allow_unknown": "cost"}, False, 1),
        (["skipped"], {}, False, 0),
        (["skipped"], {"required": "drift"}, False, 1),
        (["failed", "errored"], {}, False, 2),
        (["errored"], {"allow_unknown": "drift"}, False, 2),
    ],
)
def test_exit_codes(tmp_path, outcomes, gate, strict, code):
    assert exit_code([made(o) for o in outcomes], settings(tmp_path, **gate), strict=strict) == code


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1))
def test_the_gate_never_opens_on_what_is_not_known(outcomes):
    loaded = Settings("settings.ini", {"project": {"name": "p"}})
    code = exit_code([made(o) for o in outcomes], loaded)
    assert (code == 0) == set(outcomes).isdisjoint({"errored", "failed", "unknown"})


def test_what_stops_is_named_worst_first(tmp_path):
    found = stops([made("unknown"), made("errored"), made("passed")], settings(tmp_path))
    assert [r.outcome for r, _ in found] == ["errored", "unknown"]


HOSTILE = "]]><b>&\x00\x1b[31m\ud800 | `x` <img src=x onerror=alert(1)>"


def test_junit_is_valid_xml_whatever_the_data(tmp_path):
    run, _, _ = make_run()
    records = [made("failed", "a", HOSTILE), made("errored", "b", HOSTILE), made("skipped", "c"), made("passed", "d")]
    root = ElementTree.fromstring(junit(run, records, settings(tmp_path)))
    kinds = [[child.tag for child in case] for case in root.iter("testcase")]
    assert kinds == [["failure"], ["error"], ["skipped"], []]
    assert [s.get("failures") for s in root.iter("testsuite")] == ["1", "0", "0", "0"]


def test_markdown_cannot_be_broken_by_data(tmp_path):
    run, _, _ = make_run()
    text = markdown(open_archive("a", tmp_path), run, [made("failed", message=HOSTILE)])
    row = next(line for line in text.splitlines() if line.startswith("| drift"))
    assert row.count("|") == 4
    assert "<img" not in text
    assert run.digest in text


def test_the_verdicts_that_stop_are_those_of_the_record(tmp_path):
    verdicts = [verdict(o, about=o) for o in ("passed", "warned", "unknown", "failed", "skipped")]
    mixed = record("drift", "failed", None, verdicts)
    assert [v["outcome"] for v in stopping(mixed)] == ["failed", "unknown"]
    assert [v["outcome"] for v in stopping(mixed, allow_unknown=True)] == ["failed"]
    assert [v["outcome"] for v in stopping(mixed, strict=True)] == ["failed", "unknown", "warned"]


@given(st.lists(st.sampled_from(OUTCOMES[1:]), min_size=1), st.booleans(), st.booleans())
def test_a_run_stops_where_one_of_its_verdicts_does(outcomes, allowed, strict):
    loaded = Settings("settings.ini", {"project": {"name": "p"}, "gate": {"allow_unknown": "drift"} if allowed else {}})
    verdicts = [verdict(o) for o in outcomes]
    outcome = next(o for o in OUTCOMES if o in outcomes)
    if "skipped" in outcomes:
        return
    made_of = record("drift", outcome, None, verdicts)
    assert bool(stopping(made_of, allow_unknown=allowed, strict=strict)) == bool(stops([made_of], loaded, strict=strict)) or (
        allowed and outcome == "unknown" and strict and "warned" in outcomes
    )


def test_the_page_of_a_run_shows_the_newest_checkpoint_of_the_log(tmp_path):
    from sealed import log_in, sealed_run

    from prodnb.archive import load_records

    log = log_in(tmp_path)
    run = sealed_run(log)
    text = markdown(log.archive, run, load_records(log.archive, run))
    note = log.archive.read("log/checkpoint").decode()
    assert f"```text\n{note}```" in text
    assert "not verified here" in text
