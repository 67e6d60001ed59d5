"""What is different between two runs: nothing is missed, nothing is invented, the worst comes first, and a changed file is said."""

import json
import math
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed import DAY, log_in, made_run, sealed_run
from test_record import record, verdict

from prodnb.archive import write_run
from prodnb.compare import cell_changes, compare, metric_changes, relative_change
from prodnb.errors import ArchiveError
from prodnb.verdict import OUTCOMES, CheckResult, Limit, Statistic, judge


def judged(value, name="distance", about="temp", fail=2.0, warn=None):
    limit = Limit(fail=fail, warn=warn, reason="agreed")
    return CheckResult("drift", [judge(Statistic(name=name, about=about, value=value), limit)]).to_dict()["verdicts"][0]


@pytest.fixture
def log(tmp_path):
    return log_in(tmp_path)


def test_a_run_is_the_same_as_itself(log):
    run = sealed_run(log)
    found = compare(log.archive, run, run)
    assert found.same
    assert found.to_dict()["same"] is True


def test_crossed_limits_come_first_and_the_worst_of_them(log):
    first = sealed_run(log, {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, number=0)
    second = sealed_run(log, {"a": 1.3, "b": 1.6, "c": 3.0, "d": 1.0}, number=1)
    found = compare(log.archive, first, second)
    assert [(c.check, c.what, c.outcome_after) for c in found.metrics] == [
        ("c", "crossed", "failed"),
        ("b", "crossed", "warned"),
        ("a", "moved", "passed"),
    ]
    assert [(d.name, d.before, d.after) for d in found.outcomes] == [("b", "passed", "warned"), ("c", "passed", "failed")]
    assert [c.moved for c in found.metrics] == pytest.approx([2.0, 0.6, 0.3])


def test_a_limit_that_was_moved_is_said_even_where_nothing_else_changed():
    found, little = metric_changes(
        [record("drift", "passed", verdicts=[judged(1.0)])], [record("drift", "passed", verdicts=[judged(1.0, fail=9.0)])]
    )
    assert ([c.what for c in found], little) == (["limit"], 0)
    assert (found[0].limit_before["fail"], found[0].limit_after["fail"]) == (2.0, 9.0)


def test_checks_that_came_and_went_are_named(log):
    first, second = sealed_run(log, ["a", "b"], number=0), sealed_run(log, ["b", "c"], number=1)
    found = compare(log.archive, first, second)
    assert [(d.name, d.before, d.after) for d in found.outcomes] == [("c", None, "passed"), ("a", "passed", None)]
    assert found.metrics == []


def test_statistics_that_came_and_went_are_listed(log):
    first = sealed_run(log, {"drift": 1.0}, about=["x", "y"])
    found = compare(log.archive, first, sealed_run(log, {"drift": 1.0}, about=["y", "z"], number=1))
    assert {(c.about, c.what) for c in found.metrics} == {("z", "new"), ("x", "gone")}


VALUES = st.none() | st.floats(-1e6, 1e6) | st.integers(-5, 5) | st.decimals(-9, 9, places=2).map(str)
VERDICTS = st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("ab"), VALUES, st.sampled_from(OUTCOMES[1:5])), max_size=6)


def records_of(verdicts):
    made = [{**verdict(outcome, name, about, 0.0), "value": value} for name, about, value, outcome in verdicts]
    return [record("drift", results_outcome(made), verdicts=made)] if made else []


def results_outcome(made):
    return min((v["outcome"] for v in made), key=OUTCOMES.index)


@given(VERDICTS, VERDICTS)
@settings(max_examples=80, deadline=None)
def test_every_difference_of_two_lists_of_verdicts_is_listed_or_counted(old, new):
    found, little = metric_changes(records_of(old), records_of(new))

    def numbered(verdicts):
        keys = {}
        for name, about, value, outcome in verdicts:
            n = sum((name, about) == k[:2] for k in keys)
            keys[(name, about, n)] = (value, outcome)
        return keys

    a, b = numbered(old), numbered(new)
    differ = sum(a.get(k) != b.get(k) for k in {*a, *b})
    assert len(found) + little == differ
    assert not metric_changes(records_of(old), records_of(old))[0]
    kinds = [{"crossed": 0, "new": 1, "gone": 1, "limit": 2, "moved": 3}[c.what] for c in found]
    assert kinds == sorted(kinds)
    assert all(c.outcome_before != c.outcome_after for c in found if c.what in ("crossed", "new", "gone"))


@given(VALUES, VALUES)
def test_a_relative_change_is_a_number_or_none(a, b):
    found = relative_change(a, b)
    if found is not None:
        assert math.isfinite(found)
        assert float(a) + found * abs(float(a)) == pytest.approx(float(b), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("value", ["", "x", [], {}, True, "nan", "inf", 10**400])
def test_what_is_no_number_has_no_change(value):
    assert relative_change(value, 1.5) is None or isinstance(relative_change(value, 1.5), float)
    assert relative_change(1.5, value) is None or math.isfinite(relative_change(1.5, value))


def test_parameters_inputs_and_environment_are_compared_and_joined_over_checks(log):
    def sealed(number, rows, numpy, limit):
        facts = {"inputs": [{"role": "reference", "location": "r.parquet", "rows": rows, "digest": str(rows)}]}
        facts |= {"environment": {"python": "3.11", "packages": {"numpy": numpy}}, "parameters": {"max": {"value": limit}}}
        return sealed_run(log, ["cost", "drift"], number=number, **facts)

    found = compare(log.archive, sealed(0, 100, "2.0", 0.1), sealed(1, 90, "2.1", 0.2))
    both = ("cost", "drift")
    assert {(d.name, d.before, d.after, d.checks) for d in found.inputs} == {
        ("reference rows", 100, 90, both),
        ("reference digest", "100", "90", both),
    }
    assert [(d.name, d.before, d.after, d.checks) for d in found.environment] == [("numpy", "2.0", "2.1", both)]
    assert [(d.name, d.before, d.after, d.checks) for d in found.parameters] == [("max", 0.1, 0.2, both)]
    assert (found.metrics, found.outcomes, found.cells) == ([], [], [])


def test_another_template_or_other_settings_are_said(log):
    first, second = sealed_run(log, ["drift"]), sealed_run(log, ["drift"], number=1, template_digest="x", settings_digest="y")
    assert {d.name for d in compare(log.archive, first, second).parameters} == {"(template)", "(settings)"}


# cells


def cell(name, source="x", output=None):
    outputs = [{"output_type": "stream", "text": output, "execution_count": 3}] if output else []
    return {"id": name, "cell_type": "code", "source": source, "outputs": outputs}


def test_cells_are_matched_by_their_id_wherever_they_stand():
    old = [cell("a", "1"), cell("b", "2"), cell("c", "3", "three")]
    new = [cell("new", "0"), cell("b", "2"), cell("a", "one"), cell("c", "3", "drei")]
    found = cell_changes("drift", old, new)
    assert [(c.cell, c.what) for c in found] == [("1 (new)", "new"), ("3 (a)", "code"), ("4 (c)", "output")]
    assert found[1].lines == ("@@ -1 +1 @@", "-1", "+one")
    assert [c.what for c in cell_changes("drift", new, old)] == ["code", "output", "gone"]


def test_the_cell_of_the_parameters_and_cells_with_new_ids_are_the_same_cells():
    tagged = {"metadata": {"tags": ["injected-parameters"]}}
    old = [cell("a1"), {**cell("b1", "limit = 1"), **tagged}, cell("c1", "y"), cell("d1", "y")]
    new = [cell("a2"), {**cell("b2", "limit = 2"), **tagged}, cell("c2", "y"), cell("d2", "z")]
    found = cell_changes("drift", old, new)
    assert [(c.cell, c.what) for c in found] == [("2 (injected-parameters)", "code"), ("4 (d2)", "new"), ("4 (d1)", "gone")]


@pytest.mark.parametrize(
    "strange",
    [{}, {"source": None}, {"source": [1, None]}, {"id": 7, "outputs": "x"}, {"outputs": [None, 3]}, {"source": {"a": 1}}],
)
def test_cells_without_what_cells_have_break_nothing(strange):
    assert cell_changes("drift", [strange], [strange]) == []
    assert len(cell_changes("drift", [strange], [cell("a"), strange])) >= 1


def test_cells_of_one_id_are_told_apart_by_their_place():
    twins = [cell("a", "1"), cell("a", "2")]
    assert [(c.cell, c.what) for c in cell_changes("drift", twins, [cell("a", "1"), cell("a", "3")])] == [("2 (#2)", "code")]


def test_a_huge_cell_is_not_compared_line_by_line():
    found = cell_changes("drift", [cell("a", "\n" * 100_000)], [cell("a", "x\n" * 90_000)])
    assert found[0].lines == ("100,000 lines, now 90,000",)
    wide = cell_changes("drift", [cell("a", "a" * 100_000)], [cell("a", "b" * 100_000)])
    assert max(map(len, wide[0].lines)) <= 300


# what is in the archive is not believed


def test_a_changed_record_stops_the_comparison(log):
    first, second = sealed_run(log), sealed_run(log, number=1)
    file = Path(log.archive.path(second.id, "records/drift.json"))
    file.write_bytes(file.read_bytes().replace(b"1.5", b"2.5"))
    with pytest.raises(ArchiveError):
        compare(log.archive, first, second)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"cells": 3}', b'{"cells": [1]}', b"[" * 100_000, None])
def test_a_notebook_that_is_changed_or_gone_is_said_and_costs_nothing_else(log, content):
    first, second = sealed_run(log, {"drift": 1.0}), sealed_run(log, {"drift": 3.0}, number=1)
    file = Path(log.archive.path(second.id, "drift.ipynb"))
    file.write_bytes(content) if content is not None else file.unlink()
    found = compare(log.archive, first, second)
    assert [c.what for c in found.metrics] == ["crossed"]
    assert found.cells == []
    assert "the cells of drift were not compared" in found.notes[0]
    assert compare(log.archive, first, second, cells=False).notes == []


@pytest.mark.parametrize("content", [b'{"cells": 3}', b'{"cells": [1]}', b"[" * 100_000])
def test_a_sealed_file_that_is_no_notebook_is_said(tmp_path, log, content):
    from prodnb.record import sha256

    first, (run, files, records) = sealed_run(log, {"drift": 1.0}), made_run({"drift": 3.0}, number=1)
    from sealed import make_record, page_of, run_of

    made = make_record("drift", run.id, value=3.0, page=page_of("drift", 3.0), notebook=content)
    files |= {"drift.ipynb": content, "records/drift.json": made.bytes}
    second = run_of([made], files, started=DAY + timedelta(hours=1))
    assert second.files["drift.ipynb"] == sha256(content) == made.notebook_digest
    write_run(log.archive, second, files)
    assert "is not a notebook" in compare(log.archive, first, second).notes[0]
    assert records


def test_a_record_in_another_form_is_an_error_of_the_archive(log):
    first, second = sealed_run(log, ["drift"]), sealed_run(log, ["drift"], number=1, parameters=[1, 2])
    with pytest.raises(ArchiveError, match="not in the form"):
        compare(log.archive, first, second)


def test_runs_of_two_projects_are_compared_and_it_is_said(log):
    first, second = sealed_run(log), sealed_run(log, number=1, project="other")
    assert "two projects" in compare(log.archive, first, second).notes[0]


def test_the_json_holds_it_all_and_is_json(log):
    first, second = sealed_run(log, {"a": 1.0, "b": 1.0}), sealed_run(log, {"a": 3.0, "b": 1.0}, number=1)
    found = json.loads(json.dumps(compare(log.archive, first, second).to_dict(), allow_nan=False))
    assert (found["format"], found["same"], found["before"]["id"]) == ("prodnb.diff.v1", False, first.id)
    assert found["metrics"][0] | {"limit_before": 0, "limit_after": 0} == {
        "check": "a", "statistic": "distance", "about": "dataset", "unit": "", "what": "crossed", "before": 1, "after": 3,
        "outcome_before": "passed", "outcome_after": "failed", "moved": 2.0, "limit_before": 0, "limit_after": 0,
    }  # fmt: skip


def test_five_thousand_columns_take_no_time():
    import time
    from types import SimpleNamespace

    one = verdict("passed", "distance")
    made = [[{**one, "about": f"c{n}", "value": value} for n in range(5000)] for value in (1.0, 1.9)]
    old, new = (SimpleNamespace(check="drift", verdicts=verdicts) for verdicts in made)
    start = time.process_time()
    found, little = metric_changes([old], [new])
    assert (len(found), little) == (5000, 0)
    assert time.process_time() - start < 1.0
