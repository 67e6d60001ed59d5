"""Statistics refuse nonsense, limits need reasons, and judging looks at the whole interval."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodnb.verdict import (
    OUTCOMES,
    RESULT_MIME,
    CheckResult,
    Limit,
    Statistic,
    Verdict,
    badge,
    html_table,
    judge,
    number,
    skip,
    verdict_to_dict,
    worst,
)

finite = st.floats(-1e6, 1e6)


def share(value, low=None, high=None, **more):
    return Statistic(name="null_share", value=value, low=low, high=high, level=0.95, unit="share", n=100, about="a", **more)


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome"),
    [
        (0.5, 0.4, 0.6, "failed"),
        (0.25, 0.15, 0.35, "unknown"),
        (0.15, 0.1, 0.25, "warned"),
        (0.15, 0.12, 0.18, "warned"),
        (0.05, 0.01, 0.09, "passed"),
        (0.3, None, None, "failed"),
        (0.2, None, None, "warned"),
        (0.1, None, None, "passed"),
    ],
)
def test_table_of_the_judging_rule(value, low, high, outcome):
    assert judge(share(value, low, high), Limit(warn=0.1, fail=0.2, reason="because")).outcome == outcome


@given(value=finite, half=st.floats(0, 1e5), fail=finite, side=st.sampled_from(["max", "min"]))
def test_the_rule_is_symmetric_and_never_passes_beyond_the_limit(value, half, fail, side):
    statistic = Statistic(name="s", value=value, low=value - half, high=value + half, level=0.95)
    outcome = judge(statistic, Limit(fail=fail, side=side, reason="r")).outcome
    mirrored = Statistic(name="s", value=-value, low=-value - half, high=-value + half, level=0.95)
    assert outcome == judge(mirrored, Limit(fail=-fail, side={"max": "min", "min": "max"}[side], reason="r")).outcome
    beyond = value > fail if side == "max" else value < fail
    assert (outcome in ("failed", "unknown")) == beyond


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_no_statistic_holds_a_number_that_is_none(bad):
    for name in ("value", "low", "high", "p", "detectable"):
        with pytest.raises(ValueError, match="not finite"):
            Statistic(**{"name": "s", "value": 0.0, "low": 0.0, "high": 0.0, name: bad})


def test_a_value_lies_in_its_interval():
    with pytest.raises(ValueError, match="outside"):
        share(0.5, 0.1, 0.2)
    with pytest.raises(ValueError, match="two ends"):
        share(0.5, 0.1)


def test_a_limit_needs_a_reason_and_warns_before_it_fails():
    with pytest.raises(ValueError, match="reason"):
        Limit(fail=1.0, reason=" ")
    with pytest.raises(ValueError, match="beyond"):
        Limit(warn=2.0, fail=1.0, reason="r")
    with pytest.raises(ValueError, match="beyond"):
        Limit(warn=1.0, fail=2.0, side="min", reason="r")
    with pytest.raises(ValueError, match="at least one"):
        Limit(reason="r")


def test_no_value_is_unknown_and_says_why():
    verdict = judge(Statistic(name="auc", value=None), Limit(fail=0.5, side="min", reason="r"), why="the target has one class")
    assert verdict.outcome == "unknown"
    assert "one class" in verdict.message


def test_money_travels_as_a_decimal_string():
    verdict = judge(Statistic(name="cost", value=Decimal("0.10"), unit="USD"), Limit(fail=Decimal("0.05"), reason="budget"))
    assert verdict.outcome == "failed"
    flat = json.loads(json.dumps(verdict_to_dict(verdict)))
    assert (flat["value"], flat["limit"]["fail"]) == ("0.10", "0.05")


@given(st.lists(st.sampled_from(OUTCOMES)))
def test_worst_is_the_first_in_the_order(outcomes):
    assert worst(outcomes) == (min(outcomes, key=OUTCOMES.index) if outcomes else "skipped")


def test_a_result_decides_something_and_caps_its_tables():
    with pytest.raises(ValueError, match="at least one verdict"):
        CheckResult("x", [])
    result = CheckResult("x", [skip("no current")], {"t": [{"a": n} for n in range(600)]})
    assert len(result.tables["t"]) == 500
    assert any("100 more rows" in note for note in result.notes)


def test_showing_is_recording():
    result = CheckResult("x", [judge(share(0.5), Limit(fail=0.2, reason="r"))])
    shown = result._repr_mimebundle_()
    assert shown[RESULT_MIME]["verdicts"][0]["outcome"] == "failed"
    assert "50 %" in shown["text/plain"]
    assert "50 %" in shown["text/html"]
    json.dumps(shown[RESULT_MIME], allow_nan=False)


def test_hostile_names_stay_text():
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    statistic = Statistic(name="n", value=1.0, about=hostile, method=hostile)
    result = CheckResult("x", [judge(statistic, Limit(fail=0.5, reason=hostile))], {hostile: [{hostile: hostile}]}, [hostile])
    page = result._repr_mimebundle_()["text/html"]
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_small_writers():
    assert number(0.123456, "share") == "12.3 %"
    assert number(1234567) == "1,234,567"
    assert number(None) == "none"
    assert "passed" in badge("passed")
    assert "(no rows)" in html_table([])
    with pytest.raises(ValueError, match="a verdict is one of"):
        Verdict(Statistic(name="s", value=1.0), None, "great", "")
