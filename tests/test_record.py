"""Records and runs: one identity, nothing altered unseen."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodnb.errors import ArchiveError
from prodnb.record import (
    RUN_ID,
    Record,
    Run,
    canonical,
    changes,
    message_of,
    new_run_id,
    outcome_of,
    plain,
    read_record,
    read_run,
)
from prodnb.verdict import Statistic, Verdict, verdict_to_dict


def verdict(outcome="failed", name="drift", about="temp", value=0.5):
    statistic = Statistic(name=name, about=about, value=value)
    return {**verdict_to_dict(Verdict(statistic, None, outcome, f"{about} {outcome}"))}


def record(check="drift", outcome="failed", cause=None, verdicts=None, **more):
    results = [] if verdicts == [] else [{"check": check, "verdicts": verdicts or [verdict(outcome)]}]
    facts = dict(
        template_digest="t", settings_digest="s", parameters={"a": {"value": 1}}, inputs=[], environment={}, resources={}
    )
    facts |= dict(started="2026-01-01T00:00:00Z", seconds=1.5, notebook_digest="n", report_digest="r", run_by=None, previous=None)
    facts |= dict(run="20260101T000000Z-00000000")
    return Record(check=check, results=results, outcome=outcome, cause=cause, **(facts | more))


def test_published_vector_of_rfc_8785():
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '€$\x0f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    expected = (
        r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'
        + "'"
        + r'B\"\\\\\"/"}'
    )
    assert canonical(value) == expected.encode()


def test_the_id_is_the_digest_of_the_rest():
    kept = record().to_dict()
    rest = {k: v for k, v in kept.items() if k != "id"}
    assert record().bytes == canonical(rest)
    assert kept["id"] == hashlib.sha256(canonical(rest)).hexdigest()
    assert read_record(json.loads(record().bytes)) == record()
    assert read_record(json.loads(json.dumps(kept))) == record()


@pytest.mark.parametrize("key", [k for k in record().to_dict() if k not in ("id", "format", "outcome")])
def test_every_field_is_under_the_id(key):
    kept = record().to_dict()
    with pytest.raises(ArchiveError):
        read_record(
            kept
            | {
                key: {"x": 1}
                if isinstance(kept[key], dict)
                else [{"verdicts": [verdict("warned")]}]
                if key == "results"
                else "other"
            }
        )


def test_an_outcome_must_follow_from_the_results():
    with pytest.raises(ArchiveError, match="does not follow"):
        record(outcome="passed", verdicts=[verdict("failed")])
    with pytest.raises(ArchiveError, match="does not follow"):
        record(outcome="passed", verdicts=[])
    with pytest.raises(ArchiveError, match="does not follow"):
        record(outcome="passed", verdicts=[verdict("passed")], cause={"kind": "died", "message": "it died"})
    assert outcome_of([], None) == "errored"
    assert message_of("errored", [], {"message": "it died"}) == "it died"


def first_format(made):
    """As the first version of the format kept it: with its id, and without its run."""
    kept = {k: v for k, v in made.to_dict().items() if k not in ("id", "run")} | {"format": "prodnb.record.v1"}
    return kept | {"id": hashlib.sha256(canonical(kept)).hexdigest()}


def test_the_first_format_stays_readable():
    old = first_format(record())
    assert read_record(old).to_dict() == old
    with pytest.raises(ArchiveError, match="its id is"):
        read_record(old | {"seconds": 2.0})
    with pytest.raises(ArchiveError, match="of run '20260101T000000Z-00000000'"):
        read_record({k: v for k, v in old.items() if k != "id"} | {"run": "20260101T000000Z-00000000"})
    with pytest.raises(ArchiveError, match="of run None"):
        record(run=None)
    with pytest.raises(ArchiveError, match="of run"):
        record(run="../x")
    kept = run().to_dict()
    kept = {k: v for k, v in kept.items() if k != "digest"} | {"format": "prodnb.run.v1"}
    old = kept | {"digest": hashlib.sha256(canonical(kept)).hexdigest()}
    assert read_run(old).to_dict() == old


def test_formats_and_fields_that_are_not_ours():
    with pytest.raises(ArchiveError, match="newer prodnb"):
        read_record(record().to_dict() | {"format": "prodnb.record.v9"})
    with pytest.raises(ArchiveError, match="newer prodnb"):
        read_run(run().to_dict() | {"format": "prodnb.run.v3"})
    with pytest.raises(ArchiveError, match="format"):
        read_record(record().to_dict() | {"format": "other"})
    with pytest.raises(ArchiveError, match="not a record"):
        read_record({"a": 1})
    with pytest.raises(ArchiveError, match="not a run"):
        read_run({"a": 1})


def run(**more):
    facts = dict(id="20260101T000000Z-00000000", project="p", question=None, owner=None, runbook=None, outcome="failed")
    facts |= dict(started="", seconds=1.0, records=[{"check": "drift", "id": "x", "outcome": "failed"}], files={})
    return Run(**(facts | more))


def test_a_run_checks_itself():
    kept = run().to_dict()
    assert read_run(kept) == run() == read_run(json.loads(run().bytes))
    with pytest.raises(ArchiveError, match="digest"):
        read_run(kept | {"seconds": 2.0})
    with pytest.raises(ArchiveError, match="does not follow"):
        run(outcome="passed")
    with pytest.raises(ArchiveError, match="not the id"):
        run(id="../../etc")


def test_run_ids_sort_by_time_and_do_not_collide():
    now = datetime.now(UTC)
    ids = {new_run_id(now) for _ in range(1000)}
    assert len(ids) == 1000
    assert all(RUN_ID.fullmatch(i) for i in ids)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_canonical_bytes_survive_the_file_that_keeps_them(value):
    kept = json.dumps(plain(value), indent=1, ensure_ascii=False)
    assert canonical(json.loads(kept)) == canonical(value)
    json.loads(canonical(value))


def test_changes_name_what_moved():
    before = [
        record(outcome="passed", verdicts=[verdict("passed"), verdict("passed", about="gone"), verdict("passed", about="same")])
    ]
    after = [record(verdicts=[verdict("failed", value=0.9), verdict("passed", about="same"), verdict("warned", about="new")])]
    found = {c["about"]: (c["outcome_before"], c["outcome_after"]) for c in changes(before, after)}
    assert found == {"temp": ("passed", "failed"), "gone": ("passed", None), "new": (None, "warned")}
    assert changes(after, after) == []
