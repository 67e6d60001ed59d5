"""A run is announced before it starts and concluded after it: whatever ends it, the log says so."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from project import prodnb, write_project, write_template
from sealed import OTHER, SIGNER, log_in, made_run, sealed_run

from prodnb.archive import Archive, load_run, open_archive, run_ids
from prodnb.errors import ArchiveError
from prodnb.keys import SIGNING_KEY
from prodnb.log import PROOFS, open_log, read_log
from prodnb.merkle import leaf_hash, verify_inclusion
from prodnb.record import sha256
from prodnb.signed_note import read_checkpoint, read_note, read_proof, verify_note
from prodnb.statement import verify_envelope
from prodnb.trail import announce, conclude, give_up, where_now


def kinds(folder):
    return [entry.kind for entry in read_log(open_archive("archive", folder))]


def test_a_run_is_announced_then_concluded_with_its_records_as_leaves(tmp_path):
    log = log_in(tmp_path)
    run = sealed_run(log, {"drift": 3.0, "cost": 1.0})
    archive, entries = log.archive, list(read_log(log.archive))
    assert [e.kind for e in entries] == ["opened", "key", "started", "record", "record", "concluded"]
    for entry, listed in zip(entries[3:5], run.records, strict=True):
        data = archive.read(f"runs/{run.id}/records/{listed['check']}.json")
        assert sha256(data) == listed["id"]
        assert leaf_hash(data) == entry.leaf
        assert [str(k) for k in verify_envelope(archive.read(f"runs/{run.id}/records/{listed['check']}.dsse"), [SIGNER.vkey])]
    ended = entries[5].content
    assert ended["digest"] == sha256(archive.read(f"runs/{run.id}/run.json")) == load_run(archive, run.id).digest
    assert ended["records"] == {r["check"]: r["id"] for r in run.records}
    assert entries[2].content["checks"] == ["cost", "drift"]


def test_every_record_has_a_proof_that_stands_alone(tmp_path):
    log = log_in(tmp_path)
    run = [sealed_run(log, number=n) for n in range(5)][3]
    for listed in run.records:
        proof = read_proof(log.archive.read(f"{PROOFS}/{run.id}/{listed['check']}.tlog-proof"))
        record = log.archive.read(f"runs/{run.id}/records/{listed['check']}.json")
        checkpoint = read_checkpoint(proof.note)
        assert verify_note(read_note(proof.note), [SIGNER.vkey]) == [SIGNER.vkey]
        assert verify_inclusion(leaf_hash(record), proof.index, checkpoint.size, proof.path, checkpoint.root)
        assert not verify_inclusion(leaf_hash(record + b" "), proof.index, checkpoint.size, proof.path, checkpoint.root)


def test_what_was_given_up_says_why_and_what_died_says_nothing(tmp_path):
    log = log_in(tmp_path)
    announce(log, run="20260101T120000Z-00000001", project="demo", checks=["drift"], seconds=60.0, schedule={"drift": "1d"})
    give_up(log, "20260101T120000Z-00000001", "an input changed")
    announce(log, run="20260101T120000Z-00000002", project="demo", checks=["drift"], seconds=60.0)
    started, stopped, died = [e.content for e in read_log(log.archive)][-3:]
    assert (stopped["kind"], stopped["run"], stopped["why"]) == ("stopped", started["run"], "an input changed")
    assert (died["kind"], started["schedule"]) == ("started", {"drift": "1d"})
    assert died["where"] == where_now()
    due = datetime.fromisoformat(died["expected_by"]) - datetime.fromisoformat(died["at"])
    assert timedelta(seconds=55) < due <= timedelta(seconds=60)


def test_where_it_ran_names_the_job_and_no_machine():
    job = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/flights", "GITHUB_RUN_ID": "12", "GITHUB_JOB": "gate"}
    assert where_now(job) == "GitHub Actions acme/flights 12 gate"
    assert os.uname().nodename not in where_now({}) or len(os.uname().nodename) < 4


def test_a_run_whose_record_is_not_among_its_files_is_not_concluded(tmp_path):
    log = log_in(tmp_path)
    run, files, _ = made_run()
    with pytest.raises(ArchiveError, match=r"no records/cost\.json"):
        conclude(log, run, {name: data for name, data in files.items() if name != "records/cost.json"})
    assert run_ids(log.archive) == []


def test_a_proof_that_cannot_be_written_costs_no_conclusion(tmp_path, monkeypatch):
    log, real = log_in(tmp_path), Archive.create

    def full(self, place, data):
        if place.startswith(PROOFS):
            raise ArchiveError("no space left on the device")
        return real(self, place, data)

    monkeypatch.setattr(Archive, "create", full)
    run = sealed_run(log)
    assert kinds(tmp_path)[-1] == "concluded"
    assert run_ids(log.archive) == [run.id]


def test_an_archive_of_the_first_format_is_taken_in(tmp_path):
    from test_record import first_format

    archive = open_archive("archive", tmp_path)
    run, files, records = made_run(["drift"], signer=None)
    old = first_format(records[0])
    files |= {"records/drift.json": json.dumps(old).encode()}
    kept = {k: v for k, v in run.to_dict().items() if k != "digest"} | {"format": "prodnb.run.v1"}
    kept |= {"files": {n: sha256(d) for n, d in files.items()}, "records": [{**run.records[0], "id": old["id"]}]}
    from prodnb.record import canonical

    kept["digest"] = sha256(canonical(kept))
    for name, data in {**files, "run.json": json.dumps(kept, indent=1).encode()}.items():
        assert archive.create(f"runs/{run.id}/{name}", data)
    sealed_run(open_log(archive, SIGNER, [SIGNER.vkey], "demo"), number=1)
    adopted = next(e.content for e in read_log(archive) if e.kind == "adopted")
    assert adopted["runs"] == {run.id: kept["digest"]}


@pytest.mark.slow
def test_a_signed_run_whose_notebook_never_sees_the_key(tmp_path):
    more = f"keys = {SIGNER.vkey}\n"
    folder = write_project(tmp_path / "p", {}, more)
    look = f"import os\nassert {SIGNING_KEY!r} not in os.environ, 'the notebook sees the key'"
    from project import showing

    write_template(folder, "looks", [look, showing("looks")])
    refused = prodnb("run", "looks", cwd=folder)
    assert (refused.code, "no private key here" in refused.err) == (2, True), refused.err
    assert not (folder / "archive").exists()
    wrong = prodnb("run", "looks", cwd=folder, env={SIGNING_KEY: OTHER.secret()})
    assert (wrong.code, "does not name" in wrong.err) == (2, True), wrong.err
    for way in ("--fork", "--no-fork"):
        done = prodnb("run", "looks", way, cwd=folder, env={SIGNING_KEY: SIGNER.secret()})
        assert done.code == 0, done.err + done.out
    assert kinds(folder) == ["opened", "key", *["started", "record", "concluded"] * 2]
    secret = SIGNER.secret().encode()
    assert not any(secret in p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_times_never_go_back(tmp_path):
    log = log_in(tmp_path)
    log.clock = lambda: datetime(2026, 5, 1, tzinfo=UTC)
    announce(log, run="20260501T000000Z-00000001", project="demo", checks=[], seconds=1.0)
    log.clock = lambda: datetime(2026, 4, 1, tzinfo=UTC)
    announce(log, run="20260401T000000Z-00000001", project="demo", checks=[], seconds=1.0)
    first, second = [e.content for e in read_log(log.archive) if e.kind == "started"]
    assert second["at"] == first["at"] == "2026-05-01T00:00:00.000+00:00"
    assert second["clock"] == "2026-04-01T00:00:00.000+00:00"
