"""What CI reads of the gate: JUnit, markdown and SARIF, valid whatever stands in the data, and waivers shown as such."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, FormatChecker
from released import MODEL, about, make_project

from prodnb.gate import checkpoint_lines
from prodnb.gate_files import gate_junit, gate_markdown
from prodnb.release import Finding, Gate, Line
from prodnb.sarif import sarif, sarif_text
from prodnb.settings import Settings
from prodnb.waivers import Waiver

HOSTILE = "]]><b>&\x00\x1b[31m\ud800 | `x` <img src=x onerror=alert(1)> [win](javascript:alert(1)) {0} \u202e"
PLACE = Settings(Path("project/settings.ini"), {}, lines={("gate", "required"): 7, ("drift", ""): 12})


def made(words="distance of temp: 3 is above 2", column="temp", note="", status="used"):
    """A gate with one check of each decision, and hostile words where the data has a say."""
    waiver = Waiver("drift", column, f"ann {words}", f"replaced {words}", date(2026, 8, 20))
    verdict = {"name": "distance", "about": column, "outcome": "failed", "message": words}
    other = {"name": "null_share", "about": column, "outcome": "unknown", "message": words}
    lines = [
        Line("drift", True, "waived", words, age=timedelta(days=1), findings=(Finding(verdict, waiver),)),
        Line("cost", True, "stop", words, findings=(Finding(verdict), Finding(other))),
        Line("quality", True, "stop", f"there is no record of it ({words})"),
        Line("old", False, "left out", words),
        Line("more", False, "go", words),
    ]
    return Gate(f"demo {words}", MODEL, "2026-07-10T12:00:00.000+00:00", lines, {waiver: status}, note, bool(note), [words])


def test_junit_counts_what_it_holds():
    root = ElementTree.fromstring(gate_junit(made(HOSTILE, HOSTILE)))
    found = {}
    for suite in root:
        tags = [part.tag for case in suite.iter("testcase") for part in case]
        counted = [("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]
        assert all(int(suite.get(name)) == tags.count(tag) for name, tag in counted)
        assert int(suite.get("tests")) == len(list(suite.iter("testcase")))
        found[suite.get("name")] = tags
    assert found == {"drift": ["skipped"], "cost": ["failure"], "quality": ["failure"], "old": ["skipped"], "more": []}


def test_an_errored_check_is_an_error_in_junit(tmp_path):
    project = make_project(tmp_path)
    project.run({"drift": 1.0, "cost": 1.0}, cause={"kind": "died", "cell": 1, "message": "it died"}, results=[])
    root = ElementTree.fromstring(gate_junit(project.gate()))
    assert [part.tag for case in root.iter("testcase") for part in case] == ["error", "error"]


def test_markdown_cannot_be_broken_by_data():
    text = gate_markdown(made(HOSTILE, HOSTILE, note="```\n</code>\n# x\n"))
    head, _, rest = text.partition("````text")
    assert "<img" not in head
    assert "<b>" not in head
    assert "](" not in head
    assert rest.endswith("\n````\n")
    rows = [line for line in head.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {6}
    assert len(rows) == 2 + 5 + 2 + 1


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_checkpoint_stays_in_its_fence(text):
    lines = checkpoint_lines(text.encode("utf-8", "replace"))
    opening, closing = lines[3], lines[-1]
    assert opening == closing + "text"
    assert not any(line.startswith(closing) for line in "\n".join(lines[4:-1]).split("\n"))


def test_the_checkpoint_is_on_the_page_and_says_who_vouches_for_it(tmp_path):
    project = make_project(tmp_path)
    project.run({"drift": 1.0, "cost": 1.0})
    gate = project.gate()
    page = gate_markdown(gate)
    assert gate.note.strip() in page
    assert "signed by a key that the settings name" in page.replace("&#45;", "-")
    assert "name no key" in gate_markdown(project.gate(keys=[]))
    unsigned = make_project(tmp_path / "unsigned", signer=None)
    unsigned.run({"drift": 1.0, "cost": 1.0})
    assert "unsigned" in gate_markdown(unsigned.gate())


# SARIF: the parts of the standard's schema that are used, written from its text; no other property is allowed anywhere


def thing(required="", /, **properties):
    """An object with these properties and no others."""
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": properties}


TEXT, WHOLE, BAG = {"type": "string"}, {"type": "integer"}, {"type": "object"}
MESSAGE = thing("text", text={"type": "string", "minLength": 1}, markdown=TEXT)
LOCATION = thing(
    physicalLocation=thing(
        "artifactLocation",
        artifactLocation=thing("uri", uri={"type": "string", "format": "uri-reference", "pattern": r"^[!-~]+$"}),
        region=thing("startLine", startLine={"type": "integer", "minimum": 1}),
    ),
    logicalLocations={"type": "array", "uniqueItems": True, "items": thing(name=TEXT, fullyQualifiedName=TEXT)},
)
SUPPRESSION = thing(
    "kind",
    kind={"enum": ["inSource", "external"]},
    status={"enum": ["accepted", "underReview", "rejected"]},
    justification=TEXT,
)
RESULT = thing(
    "message",
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": -1},
    kind={"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
    level={"enum": ["none", "note", "warning", "error"]},
    message=MESSAGE,
    locations={"type": "array", "items": LOCATION},
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
    suppressions={"type": "array", "uniqueItems": True, "items": SUPPRESSION},
    properties=BAG,
)
RULES = {"type": "array", "uniqueItems": True, "items": thing("id", id=TEXT, shortDescription=MESSAGE)}
RUN = thing(
    "tool",
    tool=thing("driver", driver=thing("name", name=TEXT, version=TEXT, rules=RULES)),
    automationDetails=thing(id=TEXT),
    invocations={
        "type": "array",
        "items": thing(
            "executionSuccessful",
            executionSuccessful={"type": "boolean"},
            exitCode=WHOLE,
            endTimeUtc={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"},
        ),
    },
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": RESULT},
    properties=BAG,
)
SARIF = thing("version runs", **{"$schema": TEXT, "version": {"enum": ["2.1.0"]}, "runs": {"type": "array", "items": RUN}})
VALID = Draft7Validator(SARIF, format_checker=FormatChecker())


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=40, deadline=None)
def test_sarif_holds_to_the_schema_whatever_the_data(words, column):
    found = json.loads(sarif(made(words + HOSTILE, column), PLACE, {}))
    assert list(VALID.iter_errors(found)) == []


def test_the_schema_sees_what_is_wrong():
    found = json.loads(sarif(made(), PLACE, {}))
    assert VALID.is_valid(found)
    for break_it in (
        lambda run: run["results"][0].pop("message"),
        lambda run: run["results"][0].update(level="fatal"),
        lambda run: run["results"][0].update(extra=1),
        lambda run: run["invocations"][0].update(endTimeUtc="2026-07-10 12:00"),
        lambda run: run["results"][0]["suppressions"][0].update(status="yes"),
    ):
        broken = json.loads(json.dumps(found))
        break_it(broken["runs"][0])
        assert not VALID.is_valid(broken)


def test_sarif_says_what_stands_in_the_way_and_what_is_waived():
    run = json.loads(sarif(made(), PLACE, {}))["runs"][0]
    found = [(r["ruleId"], r["level"], [s["status"] for s in r.get("suppressions", [])]) for r in run["results"]]
    assert found == [
        ("drift/distance", "error", ["accepted"]),
        ("cost/distance", "error", []),
        ("cost/null_share", "error", []),
        ("quality", "error", []),
    ]
    assert all(run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
    lines = [r["locations"][0]["physicalLocation"]["region"]["startLine"] for r in run["results"]]
    assert lines == [12, 7, 7, 7]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "project/settings.ini"
    assert len({json.dumps(r["partialFingerprints"]) for r in run["results"]}) == 4


def test_a_waiver_that_has_expired_is_a_rejected_suppression(tmp_path):
    project = make_project(tmp_path)
    project.run({"drift": 3.0}, results=about("drift", "temp"))
    project.run({"cost": 1.0})
    project.waive({"check": "drift", "column": "temp", "owner": "ann", "reason": "r", "until": "2026-07-02"})
    for now, status in ((project.now, "accepted"), (project.now + timedelta(days=9), "rejected")):
        run = json.loads(sarif(project.gate(now=now), project.settings, project.templates))["runs"][0]
        assert [s["status"] for r in run["results"] for s in r.get("suppressions", [])] == [status]
        assert run["properties"]["decision"] == ("go" if status == "accepted" else "stop")
        assert VALID.is_valid({"version": "2.1.0", "runs": [run]})


def test_a_fingerprint_stays_while_the_number_moves():
    first, second = (
        json.loads(sarif(made(words), PLACE, {}))["runs"][0]["results"] for words in ("0.3 is above", "0.4 is above")
    )
    same = [a["partialFingerprints"] == b["partialFingerprints"] for a, b in zip(first, second, strict=True)]
    assert same == [False] * 4  # the project's name holds the words here
    one, two = made("x"), made("y")
    two = Gate(one.project, two.model, two.at, two.lines, two.waivers, two.note, two.signed)
    first, second = (json.loads(sarif(gate, PLACE, {}))["runs"][0]["results"] for gate in (one, two))
    assert [r["partialFingerprints"] for r in first] == [r["partialFingerprints"] for r in second]


@pytest.mark.parametrize("text", ["[a](b)", "{0}", "{12} [x](y)", "\x00"])
def test_a_message_is_no_link_and_has_no_holes(text):
    found = sarif_text(text)["text"]
    assert "](" not in found
    assert "{0}" not in found
    assert "{12}" not in found
    assert "\x00" not in found


def test_an_interval_stays_readable():
    assert sarif_text("within [0.1, 0.2] {a}")["text"] == "within [0.1, 0.2] {a}"


def test_a_clean_gate_has_no_results(tmp_path):
    project = make_project(tmp_path)
    project.run({"drift": 1.0, "cost": 1.0})
    run = json.loads(sarif(project.gate(now=datetime.now(UTC)), project.settings, project.templates))["runs"][0]
    assert (run["results"], run["invocations"][0]["exitCode"]) == ([], 0)
