"""Statements are what in-toto and DSSE say: against securesystemslib, and with each part changed."""

import json
from base64 import b64decode, b64encode, urlsafe_b64encode

import pytest
from sealed import OTHER, SIGNER, made_run, make_record, notebook_of, parts
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from prodnb.errors import ArchiveError
from prodnb.notebook_form import cell_digests, notebook_form
from prodnb.record import canonical, sha256
from prodnb.signed_note import WITNESS_KEY, Signer, Vkey
from prodnb.statement import (
    PAYLOAD_TYPE,
    envelope,
    key_id,
    pae,
    read_envelope,
    statement_of,
    statement_problem,
    verify_envelope,
)

RUN = "20260101T120000Z-00000000"
CAUSE = {"kind": "error", "cell": 1, "message": "cell 2 of 3: ZeroDivisionError", "log": ""}


@pytest.fixture(scope="module")
def record():
    return make_record("drift", RUN, value=1.6, about=("price", "delay"))


@pytest.fixture(scope="module")
def notebook(record):
    return notebook_of("drift", record.results)


@pytest.fixture(scope="module")
def statement(record, notebook):
    return statement_of(record, {"drift.ipynb": record.notebook_digest}, notebook)


def their_key(signer):
    public = {"public": signer.vkey.public.hex()}
    return SSlibKey(key_id(signer.vkey), "ed25519", "ed25519", public)


def test_the_encoding_is_that_of_the_protocol():
    assert pae("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("é", b"") == "DSSEv1 2 é 0 ".encode()


def test_securesystemslib_accepts_our_envelope_and_no_other_key(statement):
    found = TheirEnvelope.from_dict(json.loads(envelope(statement, SIGNER)))
    assert found.payload_type == PAYLOAD_TYPE == "application/vnd.in-toto+json"
    assert list(found.verify([their_key(SIGNER)], 1)) == [key_id(SIGNER.vkey)]
    with pytest.raises(VerificationError):
        found.verify([their_key(OTHER)], 1)
    found.payload += b" "
    with pytest.raises(VerificationError):
        found.verify([their_key(SIGNER)], 1)


def test_we_accept_what_securesystemslib_signs(statement):
    signer = CryptoSigner.generate_ed25519()
    vkey = Vkey("example.org/theirs", bytes.fromhex(signer.public_key.keyval["public"]))
    made = TheirEnvelope(canonical(statement), PAYLOAD_TYPE, {})
    made.sign(signer)
    written = made.to_dict()
    written["signatures"][0]["keyid"] = key_id(vkey)
    assert verify_envelope(json.dumps(written).encode(), [vkey, SIGNER.vkey]) == [vkey]
    assert verify_envelope(json.dumps(written).encode(), [SIGNER.vkey]) == []


def test_a_statement_has_the_fields_of_in_toto(record, notebook, statement):
    assert set(statement) == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    digests = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    files = parts(record, 1.6)
    assert digests == {n: sha256(files[n]) for n in ("drift.ipynb", "drift.html", "records/drift.json")}
    predicate = statement["predicate"]
    assert predicate["result"] in ("PASSED", "WARNED", "FAILED")
    assert all({"name", "digest"} == set(c) and len(c["digest"]["sha256"]) == 64 for c in predicate["configuration"])
    assert predicate["warnedTests"] == ["distance of price", "distance of delay"]
    assert predicate["passedTests"] == predicate["failedTests"] == []
    own = predicate["prodnb"]
    assert own["notebookForm"] == sha256(notebook_form(notebook))
    assert own["cells"] == cell_digests(notebook)
    assert (own["record"], own["run"], own["outcome"]) == (record.id, RUN, "warned")


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        ("passed", "PASSED"),
        ("warned", "WARNED"),
        ("failed", "FAILED"),
        ("unknown", "FAILED"),
        ("skipped", "FAILED"),
        ("errored", "FAILED"),
    ],
)
def test_only_what_passed_or_warned_is_told_as_such(outcome, result):
    told = {"name": "psi", "about": "delay", "outcome": outcome, "message": "", "limit": {"fail": 0.2}}
    shown = [] if outcome == "errored" else [{"check": "drift", "verdicts": [told]}]
    record = make_record("drift", RUN, results=shown, cause=CAUSE if outcome == "errored" else None)
    predicate = statement_of(record, {}, notebook_of("drift", []))["predicate"]
    assert predicate["result"] == result
    lists = {name: predicate[name] for name in ("passedTests", "warnedTests", "failedTests")}
    place = {"passed": "passedTests", "warned": "warnedTests", "failed": "failedTests", "unknown": "failedTests"}.get(outcome)
    assert lists == {name: ["psi of delay"] if name == place else [] for name in lists}


def test_a_statement_about_other_files_than_the_record_is_not_made(record, notebook):
    with pytest.raises(ArchiveError, match=r"drift\.ipynb has the digest"):
        statement_of(record, {"drift.ipynb": sha256(b"another")}, notebook)


def test_the_envelope_of_a_run_of_five_checks_is_small():
    _, files, _ = made_run(["cost", "data_quality", "drift", "explainability", "integrity"])
    assert sum(len(data) for name, data in files.items() if name.endswith(".dsse")) < 25_000


def test_each_change_of_what_is_signed_is_seen(statement):
    signed, key = envelope(statement, SIGNER), SIGNER.vkey
    assert verify_envelope(signed, [key]) == [key]
    found = json.loads(signed)
    payload = b64decode(found["payload"])
    for at in range(0, len(payload), 37):
        other = bytearray(payload)
        other[at] ^= 1
        with pytest.raises(ArchiveError):
            verify_envelope(json.dumps({**found, "payload": b64encode(bytes(other)).decode()}).encode(), [key])
    signature = b64decode(found["signatures"][0]["sig"])
    for at in range(64):
        other = bytearray(signature)
        other[at] ^= 128
        wrong = [{**found["signatures"][0], "sig": b64encode(bytes(other)).decode()}]
        with pytest.raises(ArchiveError, match="not signed by"):
            verify_envelope(json.dumps({**found, "signatures": wrong}).encode(), [key])


def test_who_signed_is_who_signed(statement):
    ours, theirs = json.loads(envelope(statement, SIGNER)), json.loads(envelope(statement, OTHER))
    both = json.dumps({**ours, "signatures": [*ours["signatures"], *theirs["signatures"]]}).encode()
    assert verify_envelope(both, [SIGNER.vkey, OTHER.vkey]) == [SIGNER.vkey, OTHER.vkey]
    assert verify_envelope(both, [OTHER.vkey]) == [OTHER.vkey]
    assert verify_envelope(both, []) == []
    swapped = [{**theirs["signatures"][0], "keyid": key_id(SIGNER.vkey)}]
    with pytest.raises(ArchiveError, match="although it says so"):
        verify_envelope(json.dumps({**ours, "signatures": swapped}).encode(), [SIGNER.vkey])
    witness = Signer(SIGNER.name, SIGNER.private, WITNESS_KEY).vkey
    assert verify_envelope(envelope(statement, SIGNER), [witness]) == []


def test_base64_that_is_safe_for_urls_is_read(statement):
    found = json.loads(envelope(statement, SIGNER))
    found["payload"] = urlsafe_b64encode(b64decode(found["payload"])).decode()
    found["signatures"][0]["sig"] = urlsafe_b64encode(b64decode(found["signatures"][0]["sig"])).decode()
    assert verify_envelope(json.dumps(found).encode(), [SIGNER.vkey]) == [SIGNER.vkey]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b"[" * 100_000,
        json.dumps({"payload": "!", "payloadType": PAYLOAD_TYPE, "signatures": []}).encode(),
        json.dumps({"payload": b64encode(b"{}").decode(), "payloadType": PAYLOAD_TYPE, "signatures": []}).encode(),
        json.dumps({"payload": b64encode(b"1").decode(), "payloadType": PAYLOAD_TYPE, "signatures": 7}).encode(),
    ],
)
def test_what_is_no_envelope_is_refused(wrong):
    with pytest.raises(ArchiveError, match="not a DSSE envelope"):
        read_envelope(wrong)


def test_another_kind_of_payload_is_refused(statement):
    found = json.loads(envelope(statement, SIGNER))
    with pytest.raises(ArchiveError, match="Expected application/vnd"):
        read_envelope(json.dumps({**found, "payloadType": "text/plain"}).encode())
    other = {**statement, "predicateType": "https://slsa.dev/provenance/v1"}
    with pytest.raises(ArchiveError, match="test result"):
        read_envelope(envelope(other, SIGNER))


def leaves(value, path=()):
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    else:
        yield path


def test_a_statement_that_differs_from_its_record_anywhere_is_named(record, notebook, statement):
    files = {"drift.ipynb": record.notebook_digest, "drift.html": record.report_digest}
    assert statement_problem(statement, record, files, notebook) == ""
    assert statement_problem(statement, record, files) == ""
    for path in leaves(statement):
        other = json.loads(json.dumps(statement))
        inner = other
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = "another"
        assert statement_problem(other, record, files, notebook), path
        if "cells" not in path and "notebookForm" not in path:
            assert statement_problem(other, record, files), path
    assert statement_problem({}, record, files)
    assert statement_problem({"predicate": 3}, record, files)
    assert statement_problem({**statement, "predicate": {"prodnb": 3}}, record, files)
    assert "digest" in statement_problem(statement, record, {"drift.html": "0" * 64}, notebook)
