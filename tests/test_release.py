"""The gate of a model version: whatever is missing, old, changed, about another model, or cannot be told, is a no."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from released import MODEL, about, fill, make_project
from sealed import OTHER, SIGNER, parts, run_of

from prodnb.archive import load_record, write_run
from prodnb.errors import InputError, SettingsError
from prodnb.evidence import newest_first
from prodnb.gate_files import gate_to_dict
from prodnb.log import ENTRIES, batch_names
from prodnb.record import canonical, new_run_id
from prodnb.release import Asked, Gate, asked_model, is_about
from prodnb.template import read_template
from prodnb.trail import announce, give_up

GOOD = {"drift": 1.0, "cost": 1.0}
LATER = Asked("", "cd" * 32)


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def decisions(gate):
    return {line.check: line.decision for line in gate.lines}


def why(gate, check="drift"):
    return next(line.why for line in gate.lines if line.check == check)


def test_it_opens_when_everything_is_there(project):
    run = project.run(GOOD)
    gate = project.gate()
    assert (gate.decision, gate.code, gate.signed) == ("go", 0, True)
    assert decisions(gate) == {"drift": "go", "cost": "go"}
    assert gate.notes == []
    assert all(line.evidence.logged and line.evidence.run == run.id for line in gate.lines)
    assert gate.note.startswith("example.org/demo/")


@pytest.mark.parametrize(
    ("values", "code"),
    [({"drift": 3.0, "cost": 1.0}, 1), ({"drift": 1.0}, 1), ({"extra": 1.0}, 1), ({"drift": 1.6, "cost": 1.0}, 0)],
)
def test_what_failed_or_is_missing_stops(project, values, code):
    project.run(values)
    assert project.gate().code == code


def test_a_gate_that_asked_nothing_is_shut():
    assert (Gate("demo", MODEL, "", [], {}, "", False).decision, Gate("demo", MODEL, "", [], {}, "", False).code) == ("stop", 1)


def test_an_empty_archive_stops(project):
    assert (project.gate().decision, why(project.gate())) == ("stop", "there is no record of it on this model")


def test_strict_stops_on_a_warning(project):
    project.run({"drift": 1.6, "cost": 1.0})
    assert (project.gate().code, project.gate(strict=True).code) == (0, 1)


@pytest.mark.parametrize(("cause", "code"), [({"kind": "died", "cell": 1, "message": "it died"}, 2), (None, 1)])
def test_errored_and_skipped_stop(project, cause, code):
    from prodnb.verdict import CheckResult, skip

    results = [] if cause else [CheckResult("drift", [skip("no model")]).to_dict()]
    project.run(GOOD, cause=cause, results=results)
    gate = project.gate()
    assert (gate.code, set(decisions(gate).values())) == (code, {"stop"})


def test_unknown_stops_unless_the_team_allows_it(tmp_path):
    from prodnb.verdict import CheckResult, Limit, Statistic, judge

    doubt = judge(Statistic(name="s", value=2.1, low=1.0, high=3.0, level=0.95), Limit(fail=2.0, reason="agreed"))
    results = [CheckResult("drift", [doubt]).to_dict()]
    for folder, more, code in (("a", "", 1), ("b", "allow_unknown = cost\n", 1), ("c", "allow_unknown = drift\n", 0)):
        project = make_project(tmp_path / folder, f"required = drift\n{more}")
        project.run({"drift": 1.0}, results=results)
        assert project.gate().code == code


def test_the_newest_record_counts_and_not_the_best(project):
    project.run(GOOD)
    project.run({"drift": 3.0})
    assert decisions(project.gate()) == {"drift": "stop", "cost": "go"}
    project.run({"drift": 1.0})
    assert project.gate().decision == "go"


def test_only_records_on_this_model_count(project):
    project.run(GOOD)
    project.run({"drift": 3.0, "cost": 3.0}, model=LATER)
    assert project.gate().decision == "go"
    assert project.gate(model=LATER).decision == "stop"
    assert project.gate(model=Asked("", "ef" * 32)).decision == "stop"
    assert project.gate(model=None).decision == "stop"


def test_a_project_without_a_model_has_records_without_one(project):
    project.run(GOOD, model=None)
    assert (project.gate(model=None).decision, project.gate().decision) == ("go", "stop")


def test_records_of_another_project_do_not_count(project):
    project.run(GOOD, project="other")
    assert project.gate().decision == "stop"


def test_what_is_not_required_stops_where_it_failed_and_not_where_it_is_missing(project):
    project.run({**GOOD, "extra": 3.0})
    assert decisions(project.gate()) == {"drift": "go", "cost": "go", "extra": "stop"}
    (project.folder / "templates" / "extra.ipynb").unlink()
    assert decisions(project.gate()) == {"drift": "go", "cost": "go"}


def test_what_is_not_required_is_left_out_where_it_does_not_count_and_stops_where_it_was_changed(project):
    run = project.run({**GOOD, "extra": 3.0})
    template = project.folder / "templates" / "extra.ipynb"
    before = template.read_text()
    template.write_text(before.replace("extra'", "extra' "))
    assert (decisions(project.gate())["extra"], project.gate().decision) == ("left out", "go")
    damaged(project, f"runs/{run.id}/records/extra.json", lambda data: data[:-1])
    assert (decisions(project.gate())["extra"], project.gate().decision) == ("stop", "stop")


# fresh


def test_old_results_do_not_count(tmp_path):
    project = make_project(tmp_path, "required = drift, cost\nmax_age = 7d\n")
    project.run(GOOD)
    assert project.gate(now=project.now + timedelta(days=6)).decision == "go"
    gate = project.gate(now=project.now + timedelta(days=8))
    assert (gate.decision, why(gate)) == ("stop", "there is no record of it on this model in the last 7 days")


def test_a_result_that_was_taken_over_is_as_old_as_its_original(tmp_path):
    project = make_project(tmp_path, "required = drift\nmax_age = 7d\n")
    first = project.run({"drift": 1.0}, after=timedelta(days=6))
    original = load_record(project.archive, first.id, "drift")
    taken = {"run": first.id, "record": original.id, "started": original.started}
    again = project.run({"drift": 1.0}, reused=taken, started=original.started)
    gate = project.gate()
    assert (gate.decision, gate.lines[0].evidence.run) == ("go", again.id)
    assert gate.lines[0].age > timedelta(days=6)
    gate = project.gate(now=project.now + timedelta(days=2))
    assert gate.decision == "stop"
    assert "of the run that it was taken over from is 8 days old" in why(gate)
    Path(project.archive.path(first.id, "records/drift.json")).unlink()
    assert "that record is not here" in why(project.gate())


def test_a_clock_that_was_set_back_makes_nothing_fresh_and_a_start_in_the_future_counts_for_nothing(tmp_path):
    project = make_project(tmp_path, "required = drift\nmax_age = 7d\n")
    project.run({"drift": 1.0}, after=timedelta(days=20))
    project.run({"cost": 1.0})
    gate = project.gate(now=project.now - timedelta(days=20))
    assert gate.decision == "stop"
    project.run({"drift": 1.0}, started=project.now + timedelta(days=300))
    assert "in the future" in why(project.gate())


# the notebook and the limits of today


def test_a_changed_notebook_or_limit_is_another_question(project):
    project.run(GOOD)
    assert project.gate().decision == "go"
    settings = project.folder / "settings.ini"
    before = settings.read_text()
    settings.write_text(before + "[drift]\nfail = 1.5\n")
    assert why(project.gate()) == "it was judged with fail = 2, today it is 1.5"
    settings.write_text(before)
    assert project.gate().decision == "go"
    template = project.folder / "templates" / "drift.ipynb"
    template.write_text(template.read_text().replace("drift'", "drift' "))
    assert why(project.gate()) == "its notebook has changed since it ran"


def test_a_limit_that_was_raised_for_one_run_does_not_open_the_gate(project):
    rows = {"settings": {"value": "settings.ini"}, "fail": {"value": 99.0, "source": "this run"}, "words": {"value": ""}}
    project.run(GOOD, parameters=rows, overrides={"drift.fail": "99.0"})
    gate = project.gate()
    assert (gate.decision, why(gate)) == ("stop", "it was judged with fail = 99, today it is 2")


def test_places_in_parameters_are_compared_as_they_are_kept(project):
    settings = project.folder / "settings.ini"
    settings.write_text(settings.read_text() + f"[drift]\nwords = {project.folder.resolve()}/prices.csv\n")
    rows = {"settings": {"value": "settings.ini"}, "fail": {"value": 2.0}, "words": {"value": "<project>/prices.csv"}}
    project.run({"drift": 1.0}, parameters=rows)
    project.run({"cost": 1.0})
    assert project.gate().decision == "go"


def test_what_was_set_for_a_run_is_shown(project):
    project.run(GOOD, overrides={"project.current": "today.parquet"})
    gate = project.gate()
    assert gate.decision == "go"
    assert any("project.current = today.parquet" in note for note in gate.notes)


# the record is what was written


def damaged(project, place, change):
    file = Path(project.archive.root, place)
    file.write_bytes(change(file.read_bytes()))


def rewritten(data):
    """Turn a failed record into one that passed, with everything in it that follows from that."""
    return data.replace(b'"failed"', b'"passed"').replace(b"failed", b"passed")


def test_a_record_that_was_made_better_does_not_count(project):
    run = project.run({"drift": 3.0, "cost": 1.0})
    damaged(project, f"runs/{run.id}/records/drift.json", rewritten)
    gate = project.gate()
    assert (gate.decision, gate.code) == ("stop", 1)
    assert why(gate) == "its record is not the one that is in the log"


def test_a_failure_that_was_made_to_be_about_another_model_does_not_bring_an_older_pass_back(project):
    project.run(GOOD)
    run = project.run({"drift": 3.0})
    damaged(project, f"runs/{run.id}/records/drift.json", lambda data: data.replace(b"abababab", b"cdcdcdcd"))
    gate = project.gate()
    assert (gate.decision, why(gate)) == ("stop", "its record is not the one that is in the log")


def test_a_whole_run_that_was_made_better_does_not_count(project):
    import hashlib

    run = project.run({"drift": 3.0, "cost": 1.0})
    record, place = project.archive.at(f"runs/{run.id}/records/drift.json"), project.archive.at(f"runs/{run.id}/run.json")
    data = rewritten(Path(record).read_bytes())
    Path(record).write_bytes(data)
    head = json.loads(Path(place).read_bytes())
    old, new = head["files"]["records/drift.json"], hashlib.sha256(data).hexdigest()
    Path(place).write_bytes(rewritten(Path(place).read_bytes()).replace(old.encode(), new.encode()))
    assert "is not as it was concluded" in why(project.gate())


def test_a_record_that_was_concluded_without_being_a_leaf_does_not_count(project):
    from sealed import made_run

    from prodnb.archive import write_run
    from prodnb.log_batch import entry

    project.run({"cost": 1.0})
    inputs = [{"role": "model", "digest": MODEL.digest}]
    run, files, records = made_run({"drift": 1.0}, started=project.now, inputs=inputs)
    write_run(project.archive, run, files)
    ids = {record.check: record.id for record in records}
    project.log.add(entry("concluded", run=run.id, digest=run.digest, outcome=run.outcome, records=ids))
    assert why(project.gate()) == "its record is not the one that is in the log"


@pytest.mark.parametrize(
    "more",
    [
        {"results": [{"check": "drift", "verdicts": [{"outcome": "failed"}]}]},
        {"results": [{"verdicts": [{"outcome": "failed", "message": "m", "name": 7, "about": ["x"]}]}]},
        {"results": [{"verdicts": [{"outcome": "passed"}]}]},
        {"parameters": [1, 2]},
        {"parameters": {"fail": 2.0}},
        {"inputs": [3, {"role": "model", "digest": MODEL.digest}]},
        {"inputs": [{"role": "model", "digest": MODEL.digest}, {"role": "model", "digest": LATER.digest}]},
        {"started": "yesterday"},
        {"started": "2026-07-01T00:00:00"},
    ],
)
def test_a_sealed_record_in_a_strange_form_stops_and_breaks_nothing(project, more):
    from prodnb.gate_files import gate_junit, gate_markdown
    from prodnb.sarif import sarif

    fill(project, 1, GOOD, **more)  # our own runner could not write all of these
    gate = project.gate()
    assert (gate.decision, gate.code) == (("go", 0) if "inputs" in more and 3 in more["inputs"] else ("stop", 1))
    assert json.loads(json.dumps(gate_to_dict(gate)))["decision"] == gate.decision
    assert gate_junit(gate)
    assert gate_markdown(gate)
    assert sarif(gate, project.settings, project.templates)


def test_a_removed_failure_does_not_bring_an_older_pass_back(project):
    project.run(GOOD)
    run = project.run({"drift": 3.0})
    shutil.rmtree(project.archive.path(run.id))
    gate = project.gate()
    assert gate.decision == "stop"
    assert "is not as it was concluded" in why(gate)


def test_a_planted_run_is_not_looked_at(project):
    project.run({"drift": 3.0, "cost": 1.0})
    kept = Path(project.folder, "kept")
    other = make_project(kept)
    other.now = project.now
    run = other.run(GOOD)
    shutil.copytree(other.archive.path(run.id), project.archive.path(run.id))
    assert decisions(project.gate()) == {"drift": "stop", "cost": "go"}


def test_a_conclusion_that_is_hidden_behind_the_place_of_a_record_does_not_bring_an_older_pass_back(project):
    project.run(GOOD)
    run = project.run({"drift": 3.0})
    project.run({"cost": 1.0})
    hide(project, lambda e: e.kind == "concluded" and e.content["run"] == run.id, f"runs/{run.id}/records/other.json")
    gate = project.gate()
    assert (gate.decision, "there is no event in it" in why(gate)) == ("stop", True)


def hide(project, which, place):
    """Put a place where an event stands in the log: no hash of a leaf changes, so every root and signature still holds."""
    from prodnb.log import read_batches

    [(batch, leaf)] = [(b, e) for b in read_batches(project.archive) for e in b.leaves if which(e)]
    file = Path(project.archive.at(f"{ENTRIES}/{batch.first:012d}"))
    lines = file.read_text().split("\n")
    n = next(n for n, line in enumerate(lines) if line.partition(" ")[2] == canonical(leaf.content).decode())
    lines[n] = f"{lines[n].partition(' ')[0]} {place}"
    file.write_text("\n".join(lines))


def test_an_event_that_is_hidden_among_others_stops(project):
    first_format(project, GOOD)
    project.run({"cost": 1.0})
    hide(project, lambda e: e.kind == "adopted", "runs/20260701T060000Z-00000000/records/other.json")
    gate = project.gate()
    assert (gate.decision, "holds records that no event concludes" in why(gate)) == ("stop", True)


def planted(project, values):
    """Write a run beside the log, as somebody without the key can, and return its record of drift."""
    name, records, files = new_run_id(project.now), [], {}
    for check, value in values.items():
        records.append(project.made(check, name, value, previous=records[-1].id if records else None))
        files |= parts(records[-1], value, None)
    write_run(project.archive, run_of(records, files, started=project.now), files)
    return records[0]


@pytest.mark.parametrize("gate", ["required = drift\n", "required = drift\nmax_age = 7d\n", "required = cost\n"])
def test_a_result_that_was_taken_over_from_a_run_beside_the_log_counts_for_nothing(tmp_path, gate):
    project = make_project(tmp_path, gate)
    project.run({"cost": 1.0, "drift": 3.0})
    original = planted(project, {"drift": 1.0})
    taken = {"run": original.run, "record": original.id, "started": original.started}
    project.run({"drift": 1.0}, reused=taken, started=original.started)
    assert (project.gate().decision, "which the log does not conclude" in why(project.gate())) == ("stop", True)


def test_a_result_may_be_taken_over_from_a_run_far_back_or_from_before_the_log(project):
    old = first_format(project, {"drift": 1.0})
    first = load_record(project.archive, old.id, "drift")
    taken = {"run": old.id, "record": first.id, "started": first.started}
    again = project.run({"drift": 1.0}, reused=taken, started=first.started)
    for _ in range(3):
        project.run({"cost": 1.0})
    gate = project.gate(known=lambda: [])
    assert (gate.decision, gate.lines[0].evidence.run) == ("go", again.id)


def test_an_adopted_run_that_cannot_be_read_does_not_bring_an_older_pass_back(project):
    first_format(project, GOOD)
    failed = first_format(project, {"drift": 3.0})
    project.run({"extra": 1.0})
    assert project.gate().decision == "stop"
    shutil.rmtree(project.archive.path(failed.id))
    gate = project.gate()
    assert (gate.decision, f"run {failed.id} is not as it was concluded" in why(gate)) == ("stop", True)


def cut(project, batches):
    """Cut batches off the log's end, with the checkpoints that tell of them."""
    names = batch_names(project.archive)[-batches:]
    for name in names:
        Path(project.archive.at(f"{ENTRIES}/{name}")).unlink()
    return int(names[0])


def test_a_log_that_was_cut_short_stops(project):
    project.run(GOOD)
    project.run({"drift": 3.0})
    size = cut(project, 2)
    gate = project.gate()
    assert gate.decision == "stop"
    assert "cut short" in why(gate)
    for file in Path(project.archive.at("log/checkpoints")).iterdir():
        if int(file.name) > size:
            file.unlink()
    assert "cut short" in why(project.gate())


def test_a_log_without_a_batch_in_the_middle_stops(project):
    project.run(GOOD)
    project.run({"drift": 3.0})
    project.run({"extra": 1.0})
    names = batch_names(project.archive)
    for gone in names[-4:-1]:
        file = Path(project.archive.at(f"{ENTRIES}/{gone}"))
        data = file.read_bytes()
        file.unlink()
        assert project.gate().decision == "stop"
        assert any("does not lead to" in note for note in project.gate().notes)
        file.write_bytes(data)
    assert decisions(project.gate())["drift"] == "stop"


def test_a_batch_that_somebody_else_signed_stops(project):
    project.run(GOOD)
    settings, signer = project.settings, project.signer
    assert project.gate().decision == "go"
    gate = project.gate(keys=[OTHER.vkey])
    assert gate.decision == "stop"
    assert "none of [archive] keys has signed" in why(gate)
    project.signer = None
    unsigned = make_project(project.folder / "unsigned", signer=None)
    unsigned.run(GOOD)
    assert unsigned.gate().decision == "go"
    assert "nobody vouches" in unsigned.gate().notes[0]
    assert unsigned.gate(keys=[signer.vkey]).decision == "stop"
    assert settings.name == "demo"


def test_a_replaced_key_opens_nothing(project):
    project.run(GOOD)
    log = project.log
    log.keys = (SIGNER.vkey, OTHER.vkey)
    log.rotate(OTHER)
    stolen = make_project(project.folder / "copy")
    both = [SIGNER.vkey, OTHER.vkey]
    assert project.gate(keys=both).decision == "go"
    assert project.gate(keys=[OTHER.vkey]).decision == "go"
    # whoever stole the old key goes on with it behind the new one, and knows how to leave out our checks
    from prodnb.log import last_batch, stamped
    from prodnb.log_batch import entry, write_batch
    from prodnb.merkle import leaf_hash
    from prodnb.record import canonical
    from prodnb.signed_note import Checkpoint, sign_note

    end = last_batch(project.archive)
    leaves = [("", canonical(stamped(entry("stopped", run=new_run_id(project.now), why="x"), end.at, project.now)))]
    after = end.after.add(leaf_hash(data) for _, data in leaves)
    note = sign_note(Checkpoint(end.checkpoint.origin, after.size, after.root).body, SIGNER)
    project.archive.create(f"{ENTRIES}/{end.size:012d}", write_batch(end.after, leaves, note))
    gate = project.gate(keys=both)
    assert gate.decision == "stop"
    assert "a key that was replaced" in why(gate)
    assert stolen.gate().decision == "stop"


def test_an_archive_from_before_the_log_counts_only_where_no_signature_is_asked_for(project):
    run = first_format(project, GOOD)
    assert project.gate().decision == "stop"
    assert "there is no log" in why(project.gate())
    gate = project.gate(keys=[])
    assert gate.decision == "go"
    assert "has no log" in gate.notes[0]
    damaged(project, f"runs/{run.id}/records/drift.json", lambda data: data[:-2])
    assert project.gate(keys=[]).decision == "stop"


def first_format(project, values):
    """Write a run as the first version of prodnb did: indented JSON with the id in it, and no log."""
    from dataclasses import replace

    from sealed import page_of, run_of

    from prodnb.record import FIRST_FORMATS, sha256

    name, records, files = new_run_id(project.now), [], {}
    for check, value in values.items():
        made = project.made(check, name, value, report_digest=sha256(page_of(check, value)))
        records.append(replace(made, run=None, format=FIRST_FORMATS[0], id=""))
        files[f"records/{check}.json"] = json.dumps(records[-1].to_dict(), indent=1).encode()
    listed = [replace(r, run=name, format=made.format, id="") for r in records]
    run = run_of(listed, files, started=project.now)
    entries = [{"check": r.check, "id": r.id, "outcome": r.outcome} for r in records]
    run = replace(run, records=entries, format=FIRST_FORMATS[1], digest="")
    for place, data in {**files, "run.json": json.dumps(run.to_dict(), indent=1).encode()}.items():
        file = Path(project.archive.path(name, place))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    project.now += timedelta(hours=1)
    return run


def test_runs_of_the_first_format_count_once_a_log_has_adopted_them(project):
    old = first_format(project, GOOD)
    assert project.gate(keys=[]).decision == "go"
    assert project.gate().decision == "stop"
    project.run({"extra": 1.0})
    gate = project.gate()
    assert (gate.decision, gate.lines[0].evidence.run, gate.lines[0].evidence.logged) == ("go", old.id, True)
    first_format(project, {"drift": 3.0})  # what comes after is not adopted, and nobody looks at it
    assert project.gate().decision == "go"
    damaged(project, f"runs/{old.id}/records/drift.json", lambda data: data.replace(b"1.5", b"2.5"))
    assert project.gate().decision == "stop"


def test_what_a_witness_has_seen_is_said_and_a_log_that_it_has_not_seen_stops(project):
    from prodnb.log import COSIGNED, last_batch
    from prodnb.signed_note import WITNESS_KEY, Checkpoint, Signer, cosign, read_note, sign_note

    witness = Signer("example.org/witness", bytes(range(2, 34)), WITNESS_KEY)
    project.run(GOOD)
    asked = {"witnesses": [witness.vkey]}
    assert project.gate(**asked).notes == ["no witness that the settings name has co-signed this log"]
    end = last_batch(project.archive)
    place = f"{COSIGNED}/{end.size:012d}.{witness.vkey.id.hex()}"
    project.archive.create(place, cosign(read_note(end.note), witness, 1_784_000_000).to_bytes())
    project.run({"extra": 1.0})
    gate = project.gate(**asked)
    assert gate.decision == "go"
    assert gate.notes == [
        f"the witness example.org/witness has co-signed the first {end.size} leaves of the log on 2026-07-14 03:33 UTC"
    ]
    assert project.gate(witnesses=[Signer("example.org/witness", bytes(32), WITNESS_KEY).vkey]).notes[0].startswith("no witness")
    other = sign_note(Checkpoint(end.checkpoint.origin, end.size, bytes(32)).body, SIGNER)
    project.archive.replace(place, cosign(read_note(other), witness, 1_784_000_000).to_bytes())
    gate = project.gate(**asked)
    assert (gate.decision, "it was forked" in why(gate)) == ("stop", True)


def test_a_log_that_was_removed_is_not_an_archive_from_before_the_log(project):
    project.run(GOOD)
    shutil.rmtree(project.archive.at("log"))
    for keys in (project.keys, []):
        assert (project.gate(keys=keys).decision, "the log is gone" in why(project.gate(keys=keys))) == ("stop", True)


def test_runs_that_never_ended_are_shown(project):
    project.run(GOOD)
    log = project.log
    died, stopped, running = (new_run_id(project.now) for _ in range(3))
    announce(log, run=died, project="demo", checks=["drift"], seconds=-7200.0)
    announce(log, run=stopped, project="demo", checks=["drift"], seconds=60.0)
    give_up(log, stopped, "by a person")
    announce(log, run=running, project="demo", checks=["cost"], seconds=1e9)
    announce(log, run=new_run_id(project.now), project="other", checks=["cost"], seconds=1e9)
    notes = project.gate(now=datetime.now(UTC)).notes
    said = [next(w for w in ("died", "may still be running", "stopped: by a person") if w in n) for n in notes]
    assert said == ["may still be running", "stopped: by a person", "died"]
    assert [run in n for run, n in zip((running, stopped, died), notes, strict=True)] == [True] * 3


def test_the_walk_gives_the_batches_of_the_log_backwards(project):
    for _ in range(5):
        project.run(GOOD)
    found = list(newest_first(project.archive, project.keys))
    assert [b.first for b in found] == [int(n) for n in reversed(batch_names(project.archive))]


def test_it_is_not_looked_for_what_the_index_says_is_not_there(project, monkeypatch):
    import prodnb.evidence

    monkeypatch.setattr(prodnb.evidence, "PATIENCE", 4)
    for _ in range(6):
        project.run({"drift": 1.0})
    read = []
    real = prodnb.evidence.read_batch
    monkeypatch.setattr(prodnb.evidence, "read_batch", lambda data, name: read.append(name) or real(data, name))
    gate = project.gate(known=lambda: {"drift"})
    assert (decisions(gate), len(read)) == ({"drift": "go", "cost": "stop"}, 5)
    read.clear()
    project.gate(known=lambda: {"drift", "cost"})
    assert len(read) == len(batch_names(project.archive))


def mutated(root, rng):
    """Change one file of an archive in one way; return what puts it back."""
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix in ("", ".json") and p.name != "deliveries.json")
    file, how = rng.choice(files), rng.choice(["flip", "cut", "gone", "swap", "more", "older"])
    before = {file: file.read_bytes()}
    data = before[file]
    if how == "flip":
        at = rng.randrange(len(data))
        file.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
    elif how == "cut":
        file.write_bytes(data[: rng.randrange(len(data))])
    elif how == "gone":
        file.unlink()
    elif how == "more":
        file.write_bytes(data + rng.randbytes(9))
    else:  # another file of the same kind takes its place
        other = rng.choice([p for p in files if p.suffix == file.suffix and p.parent.name == file.parent.name])
        before[other] = other.read_bytes()
        file.write_bytes(before[other])
        if how == "swap":
            other.write_bytes(data)
    return before


def test_no_change_of_a_file_opens_a_gate_that_is_shut(project, monkeypatch):
    import random

    from released import Project

    project.run(GOOD)
    project.run({"drift": 3.0, "extra": 1.0})
    project.run({"cost": 1.0})
    root, rng = Path(project.archive.root), random.Random(7)
    assert project.gate().decision == "stop"
    for name in ("settings", "templates"):  # these stay as they are
        monkeypatch.setattr(Project, name, getattr(project, name))
    for _ in range(80):
        before = mutated(root, rng)
        gate = project.gate()
        assert (gate.decision, gate.code) == ("stop", 1), before.keys()
        for file, data in before.items():
            file.write_bytes(data)
    assert decisions(project.gate()) == {"drift": "stop", "cost": "go", "extra": "go"}


# waivers

WAIVER = {"check": "drift", "column": "temp", "owner": "ann", "reason": "sensors replaced", "until": "2026-07-20"}


def test_a_waiver_lets_one_finding_through_until_it_expires(project):
    project.run({"drift": 3.0}, results=about("drift", "temp"))
    project.run({"cost": 1.0})
    assert project.gate().decision == "stop"
    project.waive(WAIVER)
    gate = project.gate()
    assert (gate.decision, gate.code, decisions(gate)) == ("go", 0, {"drift": "waived", "cost": "go"})
    assert gate.lines[0].outcome == "failed"
    assert list(gate.waivers.values()) == ["used"]
    late = project.gate(now=project.now + timedelta(days=25))
    assert (late.decision, list(late.waivers.values())) == ("stop", ["expired"])


@pytest.mark.parametrize("other", [{"column": "wind"}, {"check": "cost"}, {"statistic": "null_share"}])
def test_a_waiver_for_something_else_lets_nothing_through(project, other):
    project.run({"drift": 3.0}, results=about("drift", "temp"))
    project.run({"cost": 1.0})
    project.waive({**WAIVER, **other})
    gate = project.gate()
    assert (gate.decision, list(gate.waivers.values())) == ("stop", ["unused"])


def test_a_second_finding_is_not_let_through(project):
    project.run({"drift": 3.0}, results=about("drift", "temp", "wind"))
    project.run({"cost": 1.0})
    project.waive(WAIVER)
    gate = project.gate()
    assert gate.decision == "stop"
    assert [bool(f.waiver) for f in gate.lines[0].findings] == [True, False]
    assert "wind" in why(gate)


def test_a_waiver_that_fits_two_findings_lets_none_through(project):
    project.run({"drift": 3.0}, results=about("drift", "temp") + about("drift", "temp"))
    project.run({"cost": 1.0})
    project.waive(WAIVER)
    gate = project.gate()
    assert (gate.decision, list(gate.waivers.values())) == ("stop", ["unclear"])


@pytest.mark.parametrize("how", ["errored", "skipped", "missing", "old", "another model", "changed"])
def test_what_is_no_finding_cannot_be_waived(tmp_path, how):
    from prodnb.verdict import CheckResult, skip

    project = make_project(tmp_path, "required = drift\nmax_age = 7d\n")
    more = {
        "errored": {"cause": {"kind": "died", "cell": 1, "message": "it died"}},
        "skipped": {"results": [CheckResult("drift", [skip("no model", about="temp")]).to_dict()]},
        "another model": {"model": LATER},
    }.get(how, {"results": about("drift", "temp")})
    if how != "missing":
        run = project.run({"drift": 3.0}, after=timedelta(days=8 if how == "old" else 0), **more)
    if how == "changed":
        damaged(project, f"runs/{run.id}/records/drift.json", lambda data: data + b" ")
    project.waive(WAIVER, {**WAIVER, "column": "dataset"})
    assert project.gate().decision == "stop"


def test_a_clock_that_was_set_back_revives_no_waiver(project):
    project.run({"drift": 3.0}, results=about("drift", "temp"), after=timedelta(days=30))
    project.run({"cost": 1.0})
    project.waive(WAIVER)
    assert project.gate(now=project.now - timedelta(days=29)).decision == "stop"


def test_a_named_file_of_waivers_must_be_there(tmp_path):
    project = make_project(tmp_path, "required = drift\nwaivers = allowed.yml\n")
    project.run({"drift": 1.0})
    with pytest.raises(InputError, match=r"allowed\.yml"):
        project.gate()


# asking


@pytest.mark.parametrize(
    ("gate", "words"), [("max_age = 7d\n", "requires no check"), ("required = drfit\n", "did you mean|Did you")]
)
def test_a_gate_that_asks_for_nothing_is_an_error(tmp_path, gate, words):
    with pytest.raises(SettingsError, match=words):
        make_project(tmp_path, gate).gate()


def test_the_model_is_the_one_of_the_settings_or_the_one_that_is_named(project):
    assert asked_model(project.settings) is None
    assert asked_model(project.settings, "AB" * 32) == MODEL
    (project.folder / "m.onnx").write_bytes(b"not really a model")
    found = asked_model(project.settings, "m.onnx")
    import hashlib

    assert (found.location, found.digest) == ("m.onnx", hashlib.sha256(b"not really a model").hexdigest())
    with pytest.raises(InputError):
        asked_model(project.settings, "none.onnx")


def test_a_record_without_a_fingerprint_of_its_model_is_about_none(project):
    record = project.made("drift", new_run_id(project.now), 1.0, model=Asked("", ""))
    assert not is_about(record, MODEL)
    assert not is_about(record, None)


def test_the_json_holds_everything(project):
    project.run({"drift": 3.0}, results=about("drift", "temp"))
    project.run({"cost": 1.0})
    project.waive(WAIVER)
    found = json.loads(json.dumps(gate_to_dict(project.gate())))
    assert (found["format"], found["decision"], found["code"], found["signed"]) == ("prodnb.gate.v1", "go", 0, True)
    drift = found["checks"][0]
    assert (drift["decision"], drift["outcome"], drift["logged"]) == ("waived", "failed", True)
    assert drift["findings"][0]["waiver"]["until"] == "2026-07-20"
    assert found["waivers"][0]["status"] == "used"


def test_the_templates_are_those_of_the_project(project):
    assert read_template(project.folder / "templates" / "drift.ipynb", "project").digest == project.templates["drift"].digest


@pytest.mark.prove
def test_ten_thousand_runs_answer_in_under_a_second(tmp_path, monkeypatch):
    import time

    from released import Project

    from prodnb.index import open_index

    project = make_project(tmp_path)
    with monkeypatch.context() as quick:
        for name in ("settings", "templates"):  # these stay as they are while the archive is filled
            quick.setattr(Project, name, getattr(project, name))
        fill(project, 10_000, {"drift": 1.0})
    question = 'SELECT DISTINCT "check" FROM records JOIN runs USING (run) WHERE project = ? AND model_digest = ?'

    def known():
        with open_index(project.archive) as index:
            return {row["check"] for row in index.rows(question, ["demo", MODEL.digest])}

    assert known() == {"drift"}
    for decision, after in (("stop", {"cost": 1.0}), ("go", None)):
        start = time.process_time()
        gate = project.gate(known=known)
        assert time.process_time() - start < 1.0
        assert gate.decision == decision
        if after:
            project.run(after)
