"""Verifying: every damage is found and called by its name; what ended badly is told apart from damage; nothing whole is blamed."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mutants import SECOND, WITNESS, all_leaves, first_format, make_world, mutants, rebuilt, true_signers
from sealed import DAY, OTHER, SIGNER, log_in, made_run, sealed_run

from prodnb.archive import open_archive, write_run
from prodnb.errors import ArchiveError
from prodnb.log import entry, open_log
from prodnb.record import canonical
from prodnb.signed_note import Checkpoint, cosign, read_note, sign_note
from prodnb.trail import announce, conclude, give_up
from prodnb.verify import examine, verify

HOURS = timedelta(hours=1)


def seen(archive, **more):
    return [(f.kind, f.place) for f in examine(archive, **more).findings]


def whole(world):
    return examine(open_archive(str(world.root)), keys=[SECOND.vkey], witnesses=[WITNESS.vkey])


def survivors(folder, count, seed):
    """Damage an archive in so many ways; return what was not found, or called by another name or place, and what was found."""
    world = make_world(folder)
    known = set(whole(world).findings)
    assert sorted(f.kind for f in known) == ["died", "stopped"]
    wrong, kinds = [], Counter()
    for mutant in mutants(world, count, seed):
        there, back = world.difference(mutant.files)
        assert there, mutant.name
        world.write(there)
        found = [f for f in whole(world).findings if f not in known]
        world.write(back)
        first = next((f for f in found if f.fault), found[0] if found else None)
        kinds[first.kind if first else "nothing"] += 1
        named = not mutant.place or any(f.place == mutant.place for f in found)
        if first is None or first.kind not in mutant.kinds or not named:
            wrong.append((mutant.name, sorted(mutant.kinds), [(f.kind, f.place, f.message) for f in found][:3]))
    assert set(whole(world).findings) == known  # nothing of it was left behind
    return wrong, kinds


def test_every_sort_of_damage_is_found_and_called_by_its_name(tmp_path):
    wrong, kinds = survivors(tmp_path, 56, seed=1)
    assert wrong == []
    assert set(kinds) >= {"changed", "missing", "extra", "reordered", "back-dated", "wrongly signed", "forked"}


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_and_more_mutants_are_all_found(tmp_path, seed):
    wrong, kinds = survivors(tmp_path, 500, seed=100 + seed)
    assert wrong == []
    assert kinds["nothing"] == 0


# ---- what is whole


def test_a_whole_archive_has_no_finding_whoever_signs(tmp_path):
    for signer in (SIGNER, None):
        log = log_in(tmp_path / str(signer), signer)
        for n in range(3):
            sealed_run(log, {"cost": 1.0, "drift": 3.0}, number=n)
        found = examine(log.archive, keys=log.keys)
        assert (found.findings, found.runs, found.state.size) == ((), 3, 1 + bool(signer) + 3 * 4)
        assert bool(found.signed_by) == bool(signer)
        assert any("unsigned" in spot for spot in found.cannot_see) != bool(signer)


def test_a_log_that_is_signed_later_and_keys_that_change_or_get_lost(tmp_path):
    log = log_in(tmp_path, None)
    sealed_run(log, number=0)
    log = open_log(log.archive, SIGNER, [SIGNER.vkey])
    sealed_run(log, number=1)
    log.rotate(SECOND)
    sealed_run(log, number=2)
    assert verify(log.archive, [SECOND.vkey]) == ([], 3)
    open_log(log.archive, None, [SECOND.vkey]).rotate(OTHER, lost=SECOND.vkey)
    sealed_run(open_log(log.archive, OTHER, [SECOND.vkey, OTHER.vkey]), number=3)
    assert verify(log.archive, [SECOND.vkey, OTHER.vkey]) == ([], 4)
    assert {k for k, _ in seen(log.archive, keys=[SECOND.vkey])} == {"wrongly signed"}
    assert seen(log.archive, keys=[OTHER.vkey]) == []  # it vouches for all that is under its checkpoints


def test_nothing_there_is_not_all_well(tmp_path):
    with pytest.raises(ArchiveError, match="nothing to verify"):
        verify(open_archive("typo", tmp_path))


def test_a_log_that_was_opened_and_holds_no_run_is_whole(tmp_path):
    log = log_in(tmp_path)
    announce(log, run=made_run(number=1)[0].id, project="demo", checks=[], seconds=1e9)
    found = examine(log.archive, keys=log.keys)
    assert (found.findings, found.runs, len(found.running)) == ((), 0, 1)


# ---- runs that did not end


def test_a_run_that_never_ended_is_dead_when_its_time_is_over(tmp_path):
    log, run = log_in(tmp_path), made_run(number=1)[0]
    announce(log, run=run.id, project="demo", checks=["drift"], seconds=600.0)
    assert examine(log.archive).running == (run.id,)
    found = examine(log.archive, now=datetime.now(UTC) + HOURS)
    [dead] = found.findings
    assert (dead.kind, dead.run, dead.fault, found.faults) == ("died", run.id, False, [])
    assert "process" in dead.message  # where
    give_up(log, run.id, "stopped by Ctrl-C")
    [ended] = examine(log.archive, now=datetime.now(UTC) + HOURS).findings
    assert (ended.kind, ended.run, ended.fault, "stopped by Ctrl-C" in ended.message) == ("stopped", run.id, False, True)


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("statements", [False, True])
def test_files_under_the_name_of_a_run_that_died_or_was_stopped_are_a_fault_where_nobody_signed_them(tmp_path, ended, statements):
    log = log_in(tmp_path)
    log.clock = lambda: DAY + HOURS
    run, files, _ = made_run(number=1, signer=None)
    announce(log, run=run.id, project="demo", checks=["cost"], seconds=-600.0)
    if ended:
        give_up(log, run.id, "stopped by Ctrl-C")
    if not statements:
        files = {name: data for name, data in files.items() if not name.endswith(".dsse")}
        run = replace(run, files={name: run.files[name] for name in files}, digest="")
    write_run(log.archive, run, files)
    faults = examine(log.archive).faults
    assert {(f.kind, f.run) for f in faults} == {("wrongly signed" if statements else "extra", run.id)}


def test_a_result_that_was_taken_over_from_a_run_beside_the_log_is_a_fault(tmp_path):
    log = log_in(tmp_path, None)
    log.clock = lambda: DAY + HOURS
    run, files, records = made_run(["drift"], number=1, signer=None)
    announce(log, run=run.id, project="demo", checks=["drift"], seconds=-600.0)
    write_run(log.archive, run, files)  # no key, so nobody can tell who wrote it: unfinished
    assert not examine(log.archive).faults
    taken = {"run": run.id, "record": records[0].id, "started": records[0].started}
    again = sealed_run(log, ["drift"], number=2, reused=taken, started=datetime.fromisoformat(run.started))
    [fault] = examine(log.archive).faults
    assert (fault.kind, fault.run, f"run {again.id} took drift over" in fault.message) == ("extra", run.id, True)


def test_a_run_that_was_written_and_not_concluded_is_unfinished(tmp_path):
    log = log_in(tmp_path)
    log.clock = lambda: DAY + HOURS
    run, files, _ = made_run(number=1)
    announce(log, run=run.id, project="demo", checks=["cost"], seconds=600.0)
    write_run(log.archive, run, files)
    assert seen(log.archive) == [("unfinished", f"runs/{run.id}/run.json")]
    records = [(f"runs/{run.id}/{n}", files[n]) for n in ("records/cost.json", "records/drift.json")]
    log.add(*records, entry("concluded", run=run.id, digest=run.digest, outcome=run.outcome, records={r["check"]: r["id"] for r in run.records}))  # fmt: skip
    assert {k for k, _ in seen(log.archive)} == {"unfinished"}  # the proofs were never written: no fault
    assert not examine(log.archive).faults


def test_a_run_that_was_never_announced_or_concluded_twice_is_a_fault(tmp_path):
    log = log_in(tmp_path)
    sealed_run(log)
    run, files, _ = made_run(number=1)
    conclude(log, run, files)
    assert [k for k, _ in seen(log.archive)] == ["extra"]
    assert "never announced" in examine(log.archive).findings[0].message
    log.add(entry("concluded", run=run.id, digest=run.digest, outcome="passed", records={}))
    assert any("ended before" in f.message for f in examine(log.archive).faults)


def test_what_a_killed_writer_leaves_is_no_fault(tmp_path):
    log = log_in(tmp_path)
    sealed_run(log, number=0)
    sealed_run(log, number=1)
    root = Path(log.archive.root)
    newest = sorted((root / "log/checkpoints").iterdir())
    newest[-1].unlink()
    (root / "log/checkpoint").write_bytes(newest[-2].read_bytes())
    shutil.rmtree(next((root / "log/proofs").iterdir()))
    (root / ".unfinished" / "20260101T000000Z-00000000").mkdir(parents=True)
    found = examine(log.archive, keys=log.keys)
    assert {f.kind for f in found.findings} == {"unfinished"}
    assert len(found.findings) == 5
    sealed_run(log_in(tmp_path), number=2)  # the next writer makes up for it
    assert not any("log/checkpoint" in f.place for f in examine(log.archive, keys=log.keys).findings)


def test_the_place_of_a_leaf_is_held_against_the_run_that_is_concluded(tmp_path):
    log = log_in(tmp_path)
    sealed_run(log)
    path = sorted(Path(log.archive.root, "log/entries").iterdir())[-1]
    path.write_bytes(path.read_bytes().replace(b"/records/cost.json\n", b"/records/coat.json\n"))
    first = examine(log.archive, keys=log.keys).findings[0]
    assert (first.kind, first.place) == ("changed", f"log/entries/{path.name}")
    assert "coat" in first.message


# ---- who signed


def test_a_log_of_somebody_else_or_of_nobody_is_refused_where_keys_are_named(tmp_path):
    for name, signer in (("other", OTHER), ("nobody", None)):
        log = log_in(tmp_path / name, signer)
        sealed_run(log)
        assert seen(log.archive) == []
        assert {k for k, _ in seen(log.archive, keys=[SIGNER.vkey])} == {"wrongly signed"}
        assert "nobody's key that you trust" in " ".join(examine(log.archive).cannot_see) or signer is None


def test_a_key_that_was_replaced_signs_no_more(tmp_path):
    world = make_world(tmp_path)
    true, leaves = true_signers(world), all_leaves(world)
    last = len(leaves) - 1
    files = rebuilt(world, leaves, lambda n: [SIGNER] if n == last else true(n))
    world.write(world.difference(files)[0])
    found = [f for f in whole(world).findings if f.fault]
    assert found[0].kind == "wrongly signed"
    assert "was replaced at leaf" in found[0].message


def test_an_unsigned_entry_after_signed_ones_is_refused(tmp_path):
    world = make_world(tmp_path)
    true, leaves = true_signers(world), all_leaves(world)
    last = len(leaves) - 1
    world.write(world.difference(rebuilt(world, leaves, lambda n: [] if n == last else true(n)))[0])
    assert next(f for f in whole(world).findings if f.fault).kind == "wrongly signed"


# ---- an old checkpoint


def test_an_old_checkpoint_is_extended_or_it_is_said_what_happened(tmp_path):
    log = log_in(tmp_path)
    kept = []
    for n in range(3):
        sealed_run(log, number=n)
        kept.append(Path(log.archive.root, "log/checkpoint").read_bytes())
    proof = next(Path(log.archive.root, "log/proofs").rglob("*.tlog-proof")).read_bytes()
    for old in (*kept, proof, kept[0].strip(), kept[0].replace(b"\n", b"\r\n")):
        found = examine(log.archive, keys=log.keys, since=old)
        assert found.findings == ()
        assert found.since.size <= found.state.size
    later = log_in(tmp_path / "other")  # another log altogether
    sealed_run(later)
    other = Path(later.archive.root, "log/checkpoint").read_bytes()
    assert seen(log.archive, since=other) == [("forked", "the checkpoint that you gave")]
    told = read_note(kept[1])
    size = int(told.text.split("\n")[1])
    origin = told.text.split("\n")[0]
    forged = sign_note(Checkpoint(origin, size, bytes(32)).body, SIGNER)
    assert seen(log.archive, since=forged) == [("forked", "the checkpoint that you gave")]
    ahead = sign_note(Checkpoint(origin, 1000, bytes(32)).body, SIGNER)
    assert [k for k, _ in seen(log.archive, since=ahead)] == ["missing"]
    stranger = sign_note(told.text, OTHER)
    assert seen(log.archive, since=stranger) == [("wrongly signed", "the checkpoint that you gave")]
    assert [k for k, _ in seen(log.archive, since=kept[1].replace(b"\n10\n", b"\n11\n"))] == ["wrongly signed"]
    with pytest.raises(ArchiveError, match="not a checkpoint"):
        examine(log.archive, since=b"hello")


def test_an_entry_that_claims_to_be_older_than_what_a_witness_saw(tmp_path):
    log = log_in(tmp_path)
    sealed_run(log, number=0)
    root = Path(log.archive.root)
    note = read_note((root / "log/checkpoint").read_bytes())
    late = cosign(note, WITNESS, int((DAY + 48 * HOURS).timestamp())).to_bytes()
    (root / "log/cosigned").mkdir()
    (root / f"log/cosigned/{int(note.text.split()[1]):012}.{WITNESS.vkey.id.hex()}").write_bytes(late)
    found = examine(log.archive, keys=log.keys, witnesses=[WITNESS.vkey])
    assert found.findings == ()
    assert [(s, who) for s, who, _ in found.state.witnessed] == [(6, WITNESS.name)]
    sealed_run(log, number=24)  # its `at` is a day before the witness had seen the log without it
    assert [k for k, _ in seen(log.archive, keys=log.keys, witnesses=[WITNESS.vkey])] == ["back-dated"]
    assert [k for k, _ in seen(log.archive, keys=log.keys)] == ["unfinished"]  # nobody to trust: said, and no fault


def test_time_stamps_of_checkpoints(tmp_path):
    client = pytest.importorskip("rfc3161_client")
    from test_timestamp import answer, authority

    from prodnb.timestamp import read_certificates

    def request(data):
        return client.TimestampRequestBuilder(hash_algorithm=client.HashAlgorithm.SHA256).data(data).build()

    ours, other = (authority(tmp_path / name) for name in ("ours", "other"))
    log = log_in(tmp_path)
    sealed_run(log)
    root = Path(log.archive.root)
    note = (root / "log/checkpoint").read_bytes()
    place = root / "log/timestamps/000000000006.tsr"
    place.parent.mkdir()
    place.write_bytes(answer(ours, request(note).as_bytes()))
    certificates = read_certificates(ours / "ca.pem")
    found = examine(log.archive, keys=log.keys, certificates=certificates)
    assert found.findings == ()
    assert [(size, "stamps" in who) for size, who, _ in found.state.witnessed] == [(6, True)]
    assert "newest" not in " ".join(found.cannot_see)
    name = "log/timestamps/000000000006.tsr"
    assert seen(log.archive) == [("unfinished", name)]  # nobody to verify it with: said
    assert seen(log.archive, certificates=read_certificates(other / "ca.pem")) == [("wrongly signed", name)]
    sealed_run(log, number=3)  # of January, under a stamp of today
    assert seen(log.archive, certificates=certificates) == [("back-dated", name)]
    place.write_bytes(answer(ours, request(b"else").as_bytes()))
    assert seen(log.archive, certificates=certificates) == [("changed", name)]
    place.rename(place.with_name("000000000005.tsr"))
    assert seen(log.archive) == [("extra", "log/timestamps/000000000005.tsr")]


def test_two_checkouts_that_were_put_together(tmp_path):
    log = log_in(tmp_path)
    sealed_run(log, number=0)
    shutil.copytree(tmp_path / "archive", tmp_path / "two" / "archive")
    sealed_run(log, number=1)
    there = log_in(tmp_path / "two")
    sealed_run(there, number=2)
    sealed_run(there, number=3)
    for path in sorted((tmp_path / "two").rglob("*")):
        mine = tmp_path / path.relative_to(tmp_path / "two")
        if path.is_file() and not mine.exists():
            mine.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, mine)
    assert "forked" in {k for k, _ in seen(log.archive, keys=log.keys)}
    assert examine(there.archive, keys=log.keys).findings == ()


# ---- what may be gone


def test_what_was_pruned_may_be_gone_and_nothing_else(tmp_path):
    log = log_in(tmp_path)
    runs = [sealed_run(log, number=n, extra={"attachments/rows.age": b"sealed"}) for n in range(2)]
    log.add(entry("pruned", runs=[runs[0].id], files=[".html", ".ipynb"], older_than="400d"))
    log.add(entry("erased", run=runs[1].id, names=["attachments/rows.age"], ground="asked for", by=None))
    folder = Path(log.archive.root, "runs")
    (folder / runs[0].id / "cost.html").unlink()
    assert seen(log.archive, keys=log.keys) == []
    (folder / runs[1].id / "cost.html").unlink()
    (folder / runs[1].id / "attachments/rows.age").unlink()  # erasing destroys the key, the file stays
    (folder / runs[0].id / "records/cost.dsse").unlink()
    (folder / runs[0].id / "drift.html").write_text("still here, and changed")
    expected = {
        ("missing", runs[0].id, "records/cost.dsse"),
        ("changed", runs[0].id, "drift.html"),
        ("missing", runs[1].id, "cost.html"),
    }
    expected |= {("missing", runs[1].id, "attachments/rows.age")}
    assert {(f.kind, f.run, f.file) for f in examine(log.archive, keys=log.keys).findings} == expected


# ---- archives of before the log


def test_an_archive_of_before_the_log_is_verified_and_adopted(tmp_path):
    archive = open_archive("archive", tmp_path)
    first = first_format(archive)
    second = first_format(archive, 1, {"id": first.id, "digest": first.digest})
    found = examine(archive)
    assert (found.findings, found.runs, found.state) == ((), 2, None)
    assert any("there is no log" in spot for spot in found.cannot_see)
    assert [k for k, _ in seen(archive, keys=[SIGNER.vkey])] == ["wrongly signed"]
    sealed_run(open_log(archive, SIGNER, [SIGNER.vkey]), number=2)
    assert seen(archive, keys=[SIGNER.vkey]) == []
    third = first_format(archive, 3)
    assert seen(archive) == [("extra", f"runs/{third.id}")]
    shutil.rmtree(Path(archive.root, "runs", third.id))
    page = Path(archive.root, "runs", second.id, "cost.html")
    page.write_bytes(page.read_bytes() + b" ")
    assert seen(archive) == [("changed", f"runs/{second.id}/cost.html")]
    shutil.rmtree(Path(archive.root, "runs", first.id))
    assert ("missing", f"runs/{first.id}") in seen(archive)
    shutil.rmtree(Path(archive.root, "log"))
    assert seen(archive)[0] == ("missing", "log")


# ---- hostile input


@pytest.mark.parametrize("line", ['{"at":' * 5000, "x" * 100, "{}", '{"kind":["key"]}'])
def test_a_hostile_entry_is_a_finding(tmp_path, line):
    log = log_in(tmp_path)
    sealed_run(log)
    path = sorted(Path(log.archive.root, "log/entries").iterdir())[-1]
    head, _, note = path.read_bytes().decode().split("\n\n", 2)
    from prodnb.log_batch import encode
    from prodnb.merkle import leaf_hash

    path.write_bytes("\n\n".join([head, f"{encode(leaf_hash(line.encode()))} {line}", note]).encode())
    assert path.name in {f.place[-12:] for f in examine(log.archive).faults}


@pytest.mark.parametrize(
    "edit",
    [
        {"previous": {"id": "x"}},
        {"previous": ["x"]},
        {"records": [{"check": "cost", "outcome": "passed"}]},
        {"records": [{"check": "cost", "outcome": "passed", "id": ["x"]}]},
        {"files": {"cost.html": None, "../../x": "y"}},
        {"files": 7},
        {"started": 7},
        {"format": "prodnb.run.v9"},
    ],
)
def test_a_hostile_run_is_a_finding(tmp_path, edit):
    log = log_in(tmp_path)
    run = sealed_run(log)
    path = Path(log.archive.root, "runs", run.id, "run.json")
    path.write_bytes(canonical(json.loads(path.read_bytes()) | edit))
    assert examine(log.archive, keys=log.keys).faults[0].place == f"runs/{run.id}/run.json"
    shutil.rmtree(path.parent)
    path.parent.write_text("a file in the place of a folder")
    assert examine(log.archive, keys=log.keys).faults[0].kind == "missing"


def test_files_that_are_no_files_and_links_are_findings(tmp_path):
    log = log_in(tmp_path)
    run = sealed_run(log)
    page = Path(log.archive.root, "runs", run.id, "cost.html")
    outside = tmp_path / "outside.html"
    outside.write_bytes(page.read_bytes())
    page.unlink()
    page.symlink_to(outside)
    assert seen(log.archive) == [("changed", f"runs/{run.id}/cost.html")]


def test_a_log_of_a_newer_prodnb_is_a_clear_error(tmp_path):
    log = log_in(tmp_path)
    sealed_run(log)
    first = sorted(Path(log.archive.root, "log/entries").iterdir())[0]
    first.write_bytes(first.read_bytes().replace(b"prodnb.log.v1", b"prodnb.log.v2"))
    with pytest.raises(ArchiveError, match="newer prodnb"):
        verify(log.archive)


@pytest.mark.parametrize("columns", [500, pytest.param(5000, marks=pytest.mark.prove)])
def test_a_result_of_many_columns_verifies(tmp_path, columns):
    log = log_in(tmp_path)
    sealed_run(log, ["drift"], about=[f"column_{n}" for n in range(columns)])
    assert verify(log.archive, log.keys) == ([], 1)


def test_documents_are_read_in_pieces(tmp_path, monkeypatch):
    log = log_in(tmp_path)
    sealed_run(log, extra={"big.html": b"x" * 3_000_000})
    from prodnb import store

    sizes = []

    def read(fs, path, most=store.MOST_BYTES):
        sizes.append(Path(path).stat().st_size)
        return Path(path).read_bytes()

    monkeypatch.setattr(store, "read", read)
    assert verify(log.archive, log.keys) == ([], 1)
    assert max(sizes) < 100_000
