"""A witness signs what only grew, and nothing else: rewritten, cut, forked, begun anew, under another key."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from sealed import OTHER, SIGNER, log_in, sealed_run

from prodnb.archive import open_archive
from prodnb.errors import ArchiveError
from prodnb.log import COSIGNED, ENTRIES, batch_names, entry, open_log
from prodnb.signed_note import WITNESS_KEY, Signer, read_checkpoint, read_note, verify_cosignature, verify_note
from prodnb.witness import recall, witness

AUDITOR = Signer("audit.example/w1", bytes(range(1, 33)), WITNESS_KEY)
NEXT = Signer(SIGNER.name, bytes(range(2, 34)))
RUN = "20261123T081234Z-0a1b2c3d"


@pytest.fixture(autouse=True, scope="module")
def disk_in_no_hurry():
    """What is written is not waited for: no test here takes the power away."""
    with pytest.MonkeyPatch.context() as m:
        m.setattr("os.fsync", lambda handle: None)
        yield


def stopped(why="Ctrl-C"):
    return entry("stopped", run=RUN, why=why)


def filled(folder, signer=SIGNER, batches=3):
    log = log_in(folder, signer)
    for n in range(batches):
        log.add(*[(f"runs/{RUN}/records/c{n}_{m}.json", b"%d" % m) for m in range(n)], stopped(f"number {n}"))
    return log


def look(folder, **more):
    keys = more.pop("keys", [])
    archive = more.pop("archive", None) or open_archive("archive", folder)
    return witness(archive, AUDITOR, keys=keys, folder=folder / "auditor", now=more.pop("now", 1_795_000_000), **more)


def files_of(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def nothing_signed(folder, match, **more):
    """The witness refuses, writes nothing, and remembers what it remembered."""
    before = files_of(folder)
    with pytest.raises(ArchiveError, match=match):
        look(folder, **more)
    assert files_of(folder) == before


@pytest.mark.parametrize("batches", range(1, 9))
def test_a_log_that_grew_is_cosigned(tmp_path, batches):
    log = filled(tmp_path, batches=batches)
    first = look(tmp_path, keys=[SIGNER.vkey])
    assert first.before is None
    for n in range(batches):
        log.add(stopped(f"later {n}"))
    second = look(tmp_path, now=1_795_086_400)
    assert (second.before, second.time) == (first.checkpoint, 1_795_086_400)
    note = read_note(log.archive.read(second.place))
    assert verify_cosignature(note, AUDITOR.vkey) == 1_795_086_400
    assert verify_note(note, [SIGNER.vkey]) == [SIGNER.vkey]
    assert read_checkpoint(note) == second.checkpoint
    assert second.place == f"{COSIGNED}/{second.checkpoint.size:012d}.{AUDITOR.vkey.id.hex()}"


def test_the_same_checkpoint_is_cosigned_once(tmp_path):
    filled(tmp_path)
    first, again = look(tmp_path), look(tmp_path, now=1_796_000_000)
    assert again.time == first.time
    assert again.note == first.note
    open_archive("archive", tmp_path).replace(first.place, first.note.replace(b"audit", b"audio"))
    nothing_signed(tmp_path, "not this witness's co-signature")


def test_a_log_that_was_cut_short_is_not_signed(tmp_path):
    log = filled(tmp_path)
    look(tmp_path)
    log.archive.remove(f"{ENTRIES}/{batch_names(log.archive)[-1]}")
    nothing_signed(tmp_path, "seen 8 leaves of .*, and only 5 are here")


def test_a_log_that_was_cut_and_went_on_is_not_signed(tmp_path):
    """Rolled back and continued: every signature in it holds, and it is longer than before."""
    log = filled(tmp_path)
    shutil.copytree(tmp_path / "archive", tmp_path / "kept")
    log.add(stopped("a failed run"))
    look(tmp_path)
    shutil.rmtree(tmp_path / "archive")
    shutil.copytree(tmp_path / "kept", tmp_path / "archive")
    again = log_in(tmp_path)
    for n in range(4):
        again.add(stopped(f"a passed run {n}"))
    nothing_signed(tmp_path, "it was rewritten")


def test_a_fork_of_the_same_length_is_not_signed(tmp_path):
    log = filled(tmp_path)
    shutil.copytree(tmp_path / "archive", tmp_path / "kept")
    log.add(stopped("ours"))
    look(tmp_path)
    shutil.rmtree(tmp_path / "archive")
    shutil.copytree(tmp_path / "kept", tmp_path / "archive")
    log_in(tmp_path).add(stopped("theirs"))
    nothing_signed(tmp_path, "it was rewritten")


def test_the_end_of_a_longer_batch_is_not_taken_for_what_was_seen(tmp_path):
    log = filled(tmp_path)
    shutil.copytree(tmp_path / "archive", tmp_path / "kept")
    log.add(stopped("ours"))
    look(tmp_path)
    shutil.rmtree(tmp_path / "archive")
    shutil.copytree(tmp_path / "kept", tmp_path / "archive")
    log_in(tmp_path).add(stopped("ours"), stopped("and another, at once"))
    nothing_signed(tmp_path, "it was rewritten")


def test_a_log_that_was_begun_anew_is_not_signed(tmp_path):
    filled(tmp_path)
    look(tmp_path)
    shutil.rmtree(tmp_path / "archive")
    filled(tmp_path)
    nothing_signed(tmp_path, "log was begun anew")


def test_logs_of_two_archives_are_kept_apart(tmp_path):
    for name in "ab":
        filled(tmp_path / name)
        found = witness(open_archive("archive", tmp_path / name), AUDITOR, folder=tmp_path / "auditor")
        assert found.before is None
    assert len(list((tmp_path / "auditor").glob("*.json"))) == 2


def test_a_damaged_batch_is_not_signed(tmp_path):
    log = filled(tmp_path)
    look(tmp_path)
    log.add(stopped("one"))
    log.add(stopped("two"))
    place = f"{ENTRIES}/{batch_names(log.archive)[-2]}"
    log.archive.replace(place, log.archive.read(place).replace(b"one", b"own"))
    nothing_signed(tmp_path, "not what its hash says")
    log.archive.remove(place)
    nothing_signed(tmp_path, "does not continue|it was rewritten")


# ---- keys


def test_a_key_that_the_witness_was_not_given_is_refused(tmp_path):
    filled(tmp_path)
    nothing_signed(tmp_path, "this witness knows no such key", keys=[OTHER.vkey])
    assert look(tmp_path).signed  # without any key it takes the log's word, the first time


def test_a_key_that_hands_over_is_followed(tmp_path):
    log = filled(tmp_path)
    look(tmp_path)
    log.rotate(NEXT)
    log.add(stopped("under the new key"))
    found = look(tmp_path)
    assert recall(tmp_path / "auditor", found.checkpoint.origin).keys == (NEXT.vkey,)
    log.add(stopped("on"))
    assert look(tmp_path).before == found.checkpoint


def test_a_key_that_replaces_a_lost_one_needs_a_person(tmp_path):
    log = filled(tmp_path)
    look(tmp_path)
    open_log(log.archive, None, [SIGNER.vkey]).rotate(NEXT, lost=SIGNER.vkey)
    nothing_signed(tmp_path, "its holder confirms it: --key")
    look(tmp_path, keys=[NEXT.vkey])
    open_log(log.archive, NEXT).add(stopped("on"))
    assert look(tmp_path).before is not None


def test_a_key_that_does_not_sign_that_it_takes_over_is_refused(tmp_path):
    log = filled(tmp_path)
    look(tmp_path)
    log._append([entry("key", key=str(NEXT.vkey), replaces=str(SIGNER.vkey), lost=False)], [SIGNER])
    nothing_signed(tmp_path, "knows no such key")
    with pytest.raises(ArchiveError, match="was replaced"):
        log.add(stopped("by the old key"))


def test_an_old_key_signs_no_more(tmp_path, monkeypatch):
    log = filled(tmp_path)
    log.rotate(NEXT)
    look(tmp_path)
    thief = log_in(tmp_path)
    thief.keys = (SIGNER.vkey, NEXT.vkey)
    monkeypatch.setattr(thief, "_introduction", list)
    monkeypatch.setattr(thief, "_check_signed", lambda batch: None)
    thief.add(stopped("by the thief"))
    nothing_signed(tmp_path, "knows no such key")
    nothing_signed(tmp_path, "knows no such key", keys=[NEXT.vkey, SIGNER.vkey])  # as settings name both
    shutil.rmtree(tmp_path / "auditor")
    nothing_signed(tmp_path, "knows no such key", keys=[NEXT.vkey, SIGNER.vkey])


def test_an_old_key_cannot_hand_over_once_more(tmp_path, monkeypatch):
    log, both = filled(tmp_path), [NEXT.vkey, SIGNER.vkey]
    log.rotate(NEXT)
    look(tmp_path, keys=both)
    thief = open_log(log.archive, SIGNER, both)
    monkeypatch.setattr(thief, "_introduction", list)
    monkeypatch.setattr(thief, "_check_signed", lambda batch: None)
    thief._append([entry("key", key=str(OTHER.vkey), replaces=str(SIGNER.vkey), lost=False)], [SIGNER, OTHER])
    nothing_signed(tmp_path, "knows no such key", keys=both)
    with pytest.raises(ArchiveError, match="a key that was replaced"):
        log.add(stopped("by the key in force"))


def test_a_second_key_of_the_team_has_to_be_told(tmp_path):
    log = filled(tmp_path)
    look(tmp_path)
    open_log(log.archive, OTHER, [SIGNER.vkey, OTHER.vkey]).add(stopped("by bob"))
    nothing_signed(tmp_path, "knows no such key")
    assert look(tmp_path, keys=[OTHER.vkey]).before is not None


def test_a_signed_log_that_goes_on_unsigned_is_refused(tmp_path):
    log = filled(tmp_path)
    look(tmp_path)
    thief = log_in(tmp_path, None)
    thief._end = log._end
    thief.add(stopped("unsigned"))
    nothing_signed(tmp_path, "it is unsigned, and it must not be")


def test_an_unsigned_log_can_be_witnessed_too(tmp_path):
    log = filled(tmp_path, None)
    assert not look(tmp_path).signed
    log.add(stopped("on"))
    found = look(tmp_path)
    assert verify_cosignature(read_note(found.note), AUDITOR.vkey) == found.time
    shutil.rmtree(tmp_path / "archive")
    filled(tmp_path, None, batches=9)
    nothing_signed(tmp_path, "begun anew")


# ---- its memory


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"format": "prodnb.witness.v9"}',
        '{"format": "prodnb.witness.v1"}',
        "[" * 100_000,
        '{"format": 1, "note": 2}',
    ],
)
def test_a_damaged_memory_is_an_error_and_no_first_look(tmp_path, content):
    filled(tmp_path)
    found = look(tmp_path)
    next((tmp_path / "auditor").glob("*.json")).write_text(content)
    with pytest.raises(ArchiveError, match="cannot read what this witness remembers"):
        look(tmp_path)
    with pytest.raises(ArchiveError):
        recall(tmp_path / "auditor", found.checkpoint.origin)


def test_a_memory_of_another_log_is_refused(tmp_path):
    filled(tmp_path)
    look(tmp_path)
    file = next((tmp_path / "auditor").glob("*.json"))
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "note": data["note"].replace("example.org", "example.net")}))
    nothing_signed(tmp_path, "about another log")


def test_it_remembers_before_it_signs(tmp_path, monkeypatch):
    """A witness that is killed in between may have signed too little, and never two histories."""
    filled(tmp_path)
    with monkeypatch.context() as m:
        m.setattr("prodnb.archive.Archive.create", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            look(tmp_path)
    assert look(tmp_path).before is not None


def test_two_looks_at_once_are_one_after_the_other(tmp_path):
    log = filled(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: look(tmp_path, now=1_795_000_000 + n), range(4)))
    assert len({f.note for f in found}) == 1
    assert len(log.archive.fs.ls(f"{log.archive.root}/{COSIGNED}")) == 1


def test_an_archive_that_it_may_only_read_is_left_alone(tmp_path):
    filled(tmp_path)
    found = look(tmp_path, write=False)
    assert not open_archive("archive", tmp_path).exists(found.place)
    assert verify_cosignature(read_note(found.note), AUDITOR.vkey)


def test_nothing_to_see_is_an_error(tmp_path):
    with pytest.raises(ArchiveError, match="has no log"):
        look(tmp_path)


def test_real_runs_are_witnessed(tmp_path):
    log = log_in(tmp_path)
    sealed_run(log, ["drift"])
    look(tmp_path)
    sealed_run(log, ["drift", "cost"], number=1)
    assert look(tmp_path).checkpoint.size == 9
