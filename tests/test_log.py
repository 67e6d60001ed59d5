"""The log: what is written is what its description says, what is added stays, and nothing is added to what was changed."""

import base64
import contextlib
import hashlib
import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed import DAY, OTHER, SIGNER, log_in, made_run, sealed_run

from prodnb.archive import Archive, open_archive
from prodnb.errors import ArchiveError
from prodnb.log import (
    CHECKPOINTS,
    ENTRIES,
    NEWEST,
    Log,
    batch_names,
    entry,
    last_batch,
    newest_checkpoint,
    numbered,
    open_log,
    read_batch,
    read_batches,
    read_log,
    replaced_keys,
    write_batch,
)
from prodnb.merkle import EMPTY, consistency_proof, leaf_hash, root_of, verify_consistency, verify_inclusion
from prodnb.record import canonical
from prodnb.signed_note import Checkpoint, Signer, read_checkpoint, read_note, read_proof, sign_note, verify_note

RUN = "20261123T081234Z-0a1b2c3d"
NEXT = Signer(SIGNER.name, bytes(range(2, 34)))


@pytest.fixture(autouse=True, scope="module")
def disk_in_no_hurry():
    """What is written is not waited for: no test here takes the power away."""
    with pytest.MonkeyPatch.context() as m:
        m.setattr("os.fsync", lambda handle: None)
        yield


def stopped(why="Ctrl-C"):
    return entry("stopped", run=RUN, why=why)


def record(name, data=b"{}"):
    return f"runs/{RUN}/records/{name}.json", data


def filled(folder, signer=SIGNER, batches=3):
    log = log_in(folder, signer)
    for n in range(batches):
        log.add(*[record(f"check{n}_{m}", f"{n}{m}".encode()) for m in range(n)], stopped(f"number {n}"))
    return log


# ---- the files are what the description says: a second reading of it, from the text alone


def parsed(data):
    head, body, *note = data.decode().split("\n\n")
    form, first, *roots = head.split("\n")
    assert form == "prodnb.log.v1"
    leaves = [line.split(" ", 1) for line in body.split("\n")]
    text, signatures = note[0] + "\n", note[1]
    return int(first.removeprefix("first ")), [base64.b64decode(r) for r in roots], leaves, text, signatures


def subtrees(hashes):
    """The roots of the perfect subtrees, by their definition."""
    found, start = [], 0
    for bit in reversed(range(20)):
        if len(hashes) >> bit & 1:
            found.append(root_of(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    return found


def test_every_batch_is_as_its_description_says(tmp_path):
    log, hashes = filled(tmp_path, batches=9), []
    for name in batch_names(log.archive):
        first, roots, leaves, text, _ = parsed(log.archive.read(f"{ENTRIES}/{name}"))
        assert name == f"{first:012d}"
        assert first == len(hashes)
        assert roots == subtrees(hashes)
        for leaf, what in leaves:
            if what.startswith("{"):
                assert base64.b64decode(leaf) == hashlib.sha256(b"\x00" + what.encode()).digest()
                assert what.encode() == canonical(json.loads(what))
            hashes.append(base64.b64decode(leaf))
        origin, size, root, end = text.split("\n")
        assert (int(size), base64.b64decode(root), end) == (len(hashes), root_of(hashes), "")
        assert origin.startswith(f"{SIGNER.name}/")
        kept = log.archive.read(f"{CHECKPOINTS}/{len(hashes):012d}")
        assert log.archive.read(f"{ENTRIES}/{name}").endswith(b"\n\n" + kept)
        assert verify_note(read_note(kept), [SIGNER.vkey]) == [SIGNER.vkey]
    assert log.archive.read(NEWEST) == kept
    assert newest_checkpoint(log.archive) == read_checkpoint(kept)


def test_every_leaf_is_proven_by_its_batch_alone_and_every_checkpoint_extends_those_before(tmp_path):
    log = filled(tmp_path, batches=9)
    batches = list(read_batches(log.archive))
    hashes = [h for b in batches for h in b.hashes]
    for batch in batches:
        for leaf in batch.leaves:
            proof = read_proof(batch.proof_text(leaf.index))
            held = read_checkpoint(proof.note)
            assert verify_inclusion(leaf.leaf, proof.index, held.size, proof.path, held.root)
        for older in batches:
            if older.size <= batch.size:
                proof = consistency_proof(hashes[: batch.size], older.size)
                assert verify_consistency(older.size, batch.size, older.root, batch.root, proof)


def test_reading_from_any_leaf_on_gives_the_rest(tmp_path):
    log = filled(tmp_path, batches=6)
    leaves = list(read_log(log.archive))
    assert [leaf.index for leaf in leaves] == list(range(len(leaves)))
    for start in range(len(leaves) + 2):
        assert list(read_log(log.archive, start)) == leaves[start:]


def test_text_of_any_kind_stays_on_its_line(tmp_path):
    log = log_in(tmp_path)
    why = 'a\nb\u2028c\x85d\x0be"f\\ü😀'
    log.add(stopped(why))
    assert list(read_log(log.archive))[-1].content["why"] == why


def test_runs_of_the_runner_are_in_it(tmp_path):
    log = log_in(tmp_path)
    run = sealed_run(log, ["cost", "drift"])
    entries = list(read_log(log.archive))
    assert [e.kind for e in entries] == ["opened", "key", "started", "record", "record", "concluded"]
    for e in entries[3:5]:
        assert e.leaf == leaf_hash(log.archive.read(e.place))
    assert entries[5].content["digest"] == run.digest


# ---- adding: one after the other


def test_two_writers_take_turns(tmp_path):
    one, two = log_in(tmp_path), log_in(tmp_path)
    for n in range(5):
        one.add(stopped(f"one {n}"))
        two.add(stopped(f"two {n}"))
    said = [e.content["why"] for e in read_log(one.archive) if e.kind == "stopped"]
    assert said == [f"{who} {n}" for n in range(5) for who in ("one", "two")]


def test_writers_at_once_lose_nothing(tmp_path):
    def write(name):
        log = log_in(tmp_path)
        for n in range(8):
            log.add(stopped(f"{name}-{n}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    said = [e.content["why"] for e in read_log(open_archive("archive", tmp_path)) if e.kind == "stopped"]
    assert sorted(said) == sorted(f"{name}-{n}" for name in "abc" for n in range(8))
    for name in "abc":
        assert [s for s in said if s[0] == name] == [f"{name}-{n}" for n in range(8)]


def test_a_writer_who_came_second_begins_again(tmp_path, monkeypatch):
    log, other = filled(tmp_path), log_in(tmp_path)
    create, faster = type(log.archive).create, [True]

    def second(self, place, data):
        if place.startswith(ENTRIES) and faster:
            faster.clear()
            other.add(stopped("I was first"))
        return create(self, place, data)

    monkeypatch.setattr(type(log.archive), "create", second)
    batch = log.add(record("late"), stopped("I was second"))
    said = [e.content["why"] for e in read_log(log.archive) if e.kind == "stopped"]
    assert said[-2:] == ["I was first", "I was second"]
    assert batch.leaves[0].index == batch.first
    assert batch.leaves[0].place == record("late")[0]


def test_a_checkpoint_whose_writer_was_killed_is_made_up_for(tmp_path, monkeypatch):
    log = filled(tmp_path)
    with monkeypatch.context() as m:
        m.setattr(Log, "_publish", lambda self, batch: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            log.add(stopped("killed"))
    end = last_batch(log.archive)
    place = f"{CHECKPOINTS}/{numbered(end.size)}"
    assert not log.archive.exists(place)
    log_in(tmp_path).add(stopped("the next"))
    assert log.archive.read(place) == end.note
    log.add(stopped("the same writer goes on"))
    assert [e.content["why"] for e in read_log(log.archive) if e.kind == "stopped"][-3:] == [
        "killed",
        "the next",
        "the same writer goes on",
    ]


class Deadly(Archive):
    """An archive whose writer is killed before or after one of its writes."""

    left: ClassVar[list[int | None]] = [None]

    def _maybe(self):
        if self.left[0] is not None:
            self.left[0] -= 1
            if self.left[0] < 0:
                raise KeyboardInterrupt

    def create(self, place, data):
        self._maybe()
        done = super().create(place, data)
        self._maybe()
        return done

    def replace(self, place, data):
        self._maybe()
        super().replace(place, data)
        self._maybe()


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["keep", "open"]), st.none() | st.integers(0, 7)), max_size=8))
@settings(max_examples=12)
def test_writers_that_are_killed_anywhere_lose_nothing_that_was_said_to_be_there(tmp_path_factory, steps):
    made = open_archive("archive", tmp_path_factory.mktemp("deadly"))
    archive = Deadly(made.url, made.root, made.fs)
    logs = [open_log(archive, SIGNER) for _ in range(3)]
    said, tried = [], []
    for n, (who, how, kill) in enumerate(steps):
        if how == "open":
            logs[who] = open_log(archive, SIGNER)
        archive.left[0] = kill
        tried.append(f"{n}")
        with contextlib.suppress(KeyboardInterrupt):
            logs[who].add(stopped(f"{n}"))
            said.append(f"{n}")
    archive.left[0] = None
    open_log(archive, SIGNER).add(stopped("the last"))
    there = [e.content["why"] for e in read_log(archive) if e.kind == "stopped"]
    assert len(set(there)) == len(there)
    assert [why for why in there if why in said] == said
    assert set(there) <= {*tried, "the last"}
    for batch in read_batches(archive):
        assert archive.read(f"{CHECKPOINTS}/{numbered(batch.size)}") == batch.note
        assert verify_note(read_note(batch.note), [SIGNER.vkey]) == [SIGNER.vkey]


def test_a_batch_needs_an_event_and_known_kinds(tmp_path):
    log = log_in(tmp_path)
    with pytest.raises(ArchiveError, match="needs an event"):
        log.add(record("lonely"))
    with pytest.raises(ArchiveError, match="Did you mean 'stopped'"):
        entry("stoped", run=RUN, why="")
    with pytest.raises(ArchiveError, match="Expected run, why"):
        entry("stopped", run=RUN)
    with pytest.raises(ArchiveError, match="neither an event nor"):
        log.add(("runs/../../x", b""), stopped())
    assert [e.kind for e in read_log(log.archive)] == ["opened", "key"]


# ---- time


def clock_of(*times):
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_time_never_goes_back_and_a_slow_clock_is_told(tmp_path):
    log = log_in(tmp_path)
    log.clock = lambda: DAY
    log.add(stopped("first"))
    log.clock = lambda: DAY - timedelta(milliseconds=900)
    log.add(stopped("a little behind"))
    log.clock = lambda: DAY - timedelta(hours=3)
    log.add(stopped("far behind"))
    log.clock = lambda: DAY + timedelta(seconds=1)
    log.add(stopped("ahead"))
    said = {e.content["why"]: e.content for e in read_log(log.archive) if e.kind == "stopped"}
    assert said["first"]["at"] == said["a little behind"]["at"] == said["far behind"]["at"] == "2026-01-01T12:00:00.000+00:00"
    assert said["ahead"]["at"] == "2026-01-01T12:00:01.000+00:00"
    assert {why: c.get("clock") for why, c in said.items()} == {
        "first": None,
        "a little behind": None,
        "far behind": "2026-01-01T09:00:00.000+00:00",
        "ahead": None,
    }


@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), min_size=1, max_size=8))
@settings(max_examples=8)
def test_times_of_any_clock_are_in_order(tmp_path_factory, times):
    log = log_in(tmp_path_factory.mktemp("clock"))
    log.clock = clock_of(*(t.replace(tzinfo=UTC) for t in (times[0], *times)))
    for _ in times:
        log.add(stopped())
    at = [e.content["at"] for e in read_log(log.archive)]
    assert at == sorted(at)
    raw = [e.content.get("clock", e.content["at"]) for e in read_log(log.archive) if e.kind == "stopped"]
    for moment, said in zip(times, raw, strict=True):
        assert abs(datetime.fromisoformat(said) - moment.replace(tzinfo=UTC)) <= timedelta(seconds=1.001)


# ---- what was changed is not added to


def test_no_changed_byte_of_a_batch_goes_unseen(tmp_path):
    log = filled(tmp_path)
    name = batch_names(log.archive)[-1]
    data = log.archive.read(f"{ENTRIES}/{name}")
    good = read_batch(data, name)
    for n in range(len(data)):
        for bit in (1, 32):
            changed = data[:n] + bytes([data[n] ^ bit]) + data[n + 1 :]
            with contextlib.suppress(ArchiveError):
                batch = read_batch(changed, name)
                if verify_note(
                    read_note(batch.note), [SIGNER.vkey]
                ):  # where a record lies is said, and its hash is what is signed
                    assert [e.leaf for e in batch.leaves] == good.hashes
                    assert [e.content for e in batch.leaves] == [e.content for e in good.leaves]
                    assert any(
                        e.place != g.place and len(e.place) == len(g.place)
                        for e, g in zip(batch.leaves, good.leaves, strict=True)
                    )
        with contextlib.suppress(ArchiveError):
            short = read_batch(data[:n], name)
            assert verify_note(read_note(short.note), [SIGNER.vkey]) == [], f"{n} bytes of {len(data)} are taken for the whole"
    with pytest.raises(ArchiveError):
        read_batch(data, "000000000000")


def refuses(folder, match, signer=SIGNER, keys=None):
    archive = open_archive("archive", folder)
    before = sorted(archive.fs.find(f"{archive.root}/log"))
    with pytest.raises(ArchiveError, match=match):
        open_log(archive, signer, keys if keys is not None else [SIGNER.vkey]).add(stopped("must not be added"))
    assert sorted(archive.fs.find(f"{archive.root}/log")) == before


def test_a_log_that_was_cut_short_is_refused(tmp_path):
    log = filled(tmp_path)
    log.archive.remove(f"{ENTRIES}/{batch_names(log.archive)[-1]}")
    refuses(tmp_path, "held 8 leaves, and only 5 are here")


def test_a_log_without_entries_is_refused(tmp_path):
    log = filled(tmp_path)
    shutil.rmtree(f"{log.archive.root}/{ENTRIES}")
    refuses(tmp_path, "the entries are gone")


def test_runs_without_their_log_are_refused(tmp_path):
    log = log_in(tmp_path)
    sealed_run(log, ["drift"])
    shutil.rmtree(f"{log.archive.root}/log")
    archive = open_archive("archive", tmp_path)
    with pytest.raises(ArchiveError, match="concluded in a log, which is gone"):
        open_log(archive, SIGNER).add(stopped())
    assert not archive.exists(NEWEST)


def rewritten(log, signer, change, *, note=None):
    """Replace the last batch by one with other leaves that is consistent in itself, and its checkpoints, too."""
    end = last_batch(log.archive)
    leaves = [("", canonical(change(dict(leaf.content)))) for leaf in end.leaves if leaf.content]
    after = end.frontier.add(leaf_hash(data) for _, data in leaves)
    text = Checkpoint(end.checkpoint.origin, after.size, after.root).body
    note = sign_note(text, signer) if signer else sign_note(text)
    place = f"{ENTRIES}/{numbered(end.first)}"
    log.archive.replace(place, write_batch(end.frontier, leaves, note))
    log.archive.remove(f"{CHECKPOINTS}/{numbered(end.size)}")
    log.archive.create(f"{CHECKPOINTS}/{numbered(after.size)}", note)
    log.archive.replace(NEWEST, note)


def test_a_batch_rewritten_without_the_key_is_refused(tmp_path):
    rewritten(filled(tmp_path), OTHER, lambda c: {**c, "why": "nothing happened"})
    refuses(tmp_path, "a key that the settings do not name")


def test_a_batch_rewritten_without_a_signature_is_refused(tmp_path):
    rewritten(filled(tmp_path), None, lambda c: {**c, "why": "nothing happened"})
    refuses(tmp_path, "it is unsigned, and what is before it is signed")


def test_a_batch_rewritten_under_a_false_signature_is_refused(tmp_path):
    rewritten(filled(tmp_path), Signer(SIGNER.name, bytes(32)), lambda c: c)
    log = open_archive("archive", tmp_path)
    end = last_batch(log)
    false = end.note.replace(
        base64.b64encode(read_note(end.note).signatures[0].key + read_note(end.note).signatures[0].data),
        base64.b64encode(SIGNER.vkey.id + bytes(64)),
    )
    place = f"{ENTRIES}/{numbered(end.first)}"
    log.replace(place, log.read(place).replace(end.note, false))
    refuses(tmp_path, "is not of this text")


def test_a_batch_planted_behind_the_end_is_refused(tmp_path):
    """Whoever can write to the archive and has no key cannot have the next run sign what they made up."""
    log = filled(tmp_path)
    end = last_batch(log.archive)
    forged = {**entry("pruned", runs=[RUN], files=[".html"], older_than="1d"), "at": end.at}
    data = [("", canonical(forged))]
    after = end.after.add([leaf_hash(data[0][1])])
    text = Checkpoint(end.checkpoint.origin, after.size, after.root).body
    for note, why in (
        (sign_note(text), "it is unsigned"),
        (sign_note(text, OTHER), "do not name"),
        (end.note, "not one over its"),
    ):
        log.archive.replace(f"{ENTRIES}/{numbered(end.size)}", write_batch(end.after, data, note))
        refuses(tmp_path, why)
        with pytest.raises(ArchiveError, match=why):
            log.add(stopped("the writer that knew the end before"))


def test_two_checkouts_that_were_put_together_are_refused(tmp_path):
    """A fork: the archive in git, two clones append, and files of both end up in one folder."""
    ours = filled(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    theirs = log_in(tmp_path / "b")
    for log, name in ((ours, "ours"), (theirs, "theirs")):
        for n in range(2):
            log.add(stopped(f"{name} {n}"))
    names = batch_names(ours.archive)
    assert names == batch_names(theirs.archive)
    mixed = theirs.archive.read(f"{ENTRIES}/{names[-1]}")
    ours.archive.replace(f"{ENTRIES}/{names[-1]}", mixed)
    refuses(tmp_path / "a", "does not continue the log of the checkpoint before it")
    with pytest.raises(ArchiveError, match="does not continue"):
        list(read_log(ours.archive))
    for folder in (CHECKPOINTS,):
        ours.archive.replace(f"{folder}/{names[-1]}", theirs.archive.read(f"{folder}/{names[-1]}"))
    refuses(tmp_path / "a", "it is not the checkpoint at the end of the entries")
    with pytest.raises(ArchiveError, match="does not continue"):
        list(read_log(ours.archive))


def test_a_checkpoint_of_another_history_at_the_end_is_refused(tmp_path):
    ours = filled(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    theirs = log_in(tmp_path / "b")
    theirs.add(stopped("theirs"))
    end = ours.add(stopped("ours"))
    place = f"{CHECKPOINTS}/{numbered(end.size)}"
    ours.archive.replace(place, theirs.archive.read(place))
    refuses(tmp_path / "a", "forked or changed")


def test_a_fork_is_refused_by_a_writer_who_knew_the_log_before(tmp_path):
    ours = filled(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    theirs = log_in(tmp_path / "b")
    theirs.add(stopped("theirs"))
    ours.add(stopped("ours"))
    following = theirs.add(stopped("theirs again"))
    place = f"{ENTRIES}/{numbered(following.first)}"
    ours.archive.create(place, theirs.archive.read(place))
    with pytest.raises(ArchiveError, match="does not continue what is before it"):
        ours.add(stopped("more"))


def test_a_batch_of_another_log_is_refused_by_a_writer_who_knew_this_one_before(tmp_path):
    log = filled(tmp_path)
    end = last_batch(log.archive)
    data = [("", canonical({**stopped("theirs"), "at": end.at}))]
    after = end.after.add([leaf_hash(data[0][1])])
    note = sign_note(Checkpoint("another.example/log", after.size, after.root).body, SIGNER)
    log.archive.create(f"{ENTRIES}/{numbered(end.size)}", write_batch(end.after, data, note))
    with pytest.raises(ArchiveError, match="does not continue what is before it"):
        log.add(stopped("more"))


def test_a_newest_checkpoint_of_another_history_is_refused(tmp_path):
    ours = filled(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    theirs = log_in(tmp_path / "b")
    theirs.add(stopped("theirs"))
    ours.add(stopped("ours"))
    ours.archive.replace(NEWEST, theirs.archive.read(NEWEST))
    refuses(tmp_path / "a", "log/checkpoint: it is not the checkpoint at the end")


def test_a_damaged_newest_checkpoint_is_refused(tmp_path):
    filled(tmp_path).archive.replace(NEWEST, b"garbage")
    refuses(tmp_path, "log/checkpoint: this is not a note")


def test_a_newest_checkpoint_that_lags_behind_is_no_fault(tmp_path):
    log = filled(tmp_path)
    log.archive.replace(NEWEST, log.archive.read(f"{CHECKPOINTS}/{numbered(2)}"))
    open_log(log.archive, SIGNER).add(stopped("on"))
    assert log.archive.read(NEWEST) == last_batch(log.archive).note


def test_another_logs_batch_is_refused(tmp_path):
    """Signed by the same key, of another project's archive."""
    a, b = filled(tmp_path / "a"), filled(tmp_path / "b")
    name = batch_names(a.archive)[-1]
    a.archive.replace(f"{ENTRIES}/{name}", b.archive.read(f"{ENTRIES}/{name}"))
    refuses(tmp_path / "a", "does not continue")


# ---- keys


def test_nobody_else_adds_to_a_signed_log(tmp_path):
    filled(tmp_path)
    refuses(tmp_path, "settings name no key", None, [])
    refuses(tmp_path, "there is no private key here", None, [SIGNER.vkey])
    refuses(tmp_path, "do not name", OTHER, [OTHER.vkey])
    with pytest.raises(ArchiveError, match="not one that may sign"):
        open_log(open_archive("archive", tmp_path), OTHER, [SIGNER.vkey])


def test_two_keys_of_a_team_take_turns_and_are_named_once(tmp_path):
    archive, keys = open_archive("archive", tmp_path), [SIGNER.vkey, OTHER.vkey]
    for n in range(3):
        for signer in (SIGNER, OTHER):
            batch = open_log(archive, signer, keys).add(stopped(f"{signer.name} {n}"))
            assert verify_note(read_note(batch.note), keys) == [signer.vkey]
    named = [e.content["key"] for e in read_log(archive) if e.kind == "key"]
    assert named == [str(SIGNER.vkey), str(OTHER.vkey)]


def forced(archive, signer, keys, *leaves):
    """Add what an honest writer would not."""
    log = open_log(archive, signer, keys)
    log._introduction, log._check_signed = list, lambda batch: None
    return log.add(*leaves)


def alternating(archive, keys, rounds):
    for n in range(rounds):
        for signer in (NEXT, OTHER):
            open_log(archive, signer, keys).add(stopped(f"{signer.name} {n}"))


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_a_key_that_was_replaced_long_ago_cannot_come_back(tmp_path, rounds):
    """Not by signing, and not by an event that names it anew: whoever of the team comes next refuses."""
    log = filled(tmp_path)
    log.rotate(NEXT)
    archive, keys = log.archive, [NEXT.vkey, OTHER.vkey, SIGNER.vkey]
    alternating(archive, keys, rounds)
    end = last_batch(archive)
    again = entry("key", key=str(SIGNER.vkey), replaces=None, lost=False)
    for said in ([stopped("by the thief")], [again], [again, stopped("by the thief")]):
        forced(archive, SIGNER, keys, *said)
        forced(archive, SIGNER, keys, stopped("and once more"))
        for signer in (NEXT, OTHER):
            refuses(tmp_path, "a key that was replaced", signer, keys)
        for name in [n for n in batch_names(archive) if int(n) >= end.size]:
            archive.remove(f"{ENTRIES}/{name}")
        for name in archive.fs.ls(f"{archive.root}/{CHECKPOINTS}"):
            if int(name.rpartition("/")[2]) > end.size:
                archive.fs.rm_file(name)
        archive.replace(NEWEST, end.note)
    refuses(tmp_path, r"was replaced\. Put its successor", SIGNER, keys)
    alternating(archive, keys, 1)


def test_who_takes_turns_does_not_read_the_log_from_its_beginning(tmp_path, monkeypatch):
    log = filled(tmp_path)
    log.rotate(NEXT)
    archive, keys, places = log.archive, [NEXT.vkey, OTHER.vkey, SIGNER.vkey], []
    alternating(archive, keys, 12)
    read = Archive.read
    monkeypatch.setattr(Archive, "read", lambda self, place, *more: places.append(place) or read(self, place, *more))
    alternating(archive, keys, 1)
    assert len([p for p in places if p.startswith(ENTRIES)]) <= 10
    assert len(batch_names(archive)) > 30


def test_a_gap_that_is_met_on_the_way_back_is_refused(tmp_path):
    log, keys = filled(tmp_path, batches=5), [SIGNER.vkey, OTHER.vkey]
    log.archive.remove(f"{ENTRIES}/{batch_names(log.archive)[2]}")
    refuses(tmp_path, "it does not continue what is before it", OTHER, keys)


def test_a_key_hands_over(tmp_path):
    log = filled(tmp_path)
    batch = log.rotate(NEXT)
    assert verify_note(read_note(batch.note), [SIGNER.vkey, NEXT.vkey]) == [SIGNER.vkey, NEXT.vkey]
    assert batch.leaves[0].content | {"at": ""} == {
        **entry("key", key=str(NEXT.vkey), replaces=str(SIGNER.vkey), lost=False),
        "at": "",
    }
    after = log.add(stopped("on"))
    assert verify_note(read_note(after.note), [SIGNER.vkey, NEXT.vkey]) == [NEXT.vkey]
    both = [NEXT.vkey, SIGNER.vkey]
    open_log(log.archive, NEXT, both).add(stopped("in another process"))
    refuses(tmp_path, "was replaced", SIGNER, both)
    assert replaced_keys(read_log(log.archive)) == {str(SIGNER.vkey): str(NEXT.vkey), str(NEXT.vkey): None}


def test_a_key_that_was_replaced_signs_no_more_right_after(tmp_path):
    log, old = filled(tmp_path), log_in(tmp_path)
    old.add(stopped("still mine"))
    log.rotate(NEXT)
    with pytest.raises(ArchiveError, match="was replaced"):
        old.add(stopped("no more"))
    refuses(tmp_path, "was replaced", SIGNER, [NEXT.vkey, SIGNER.vkey])


def test_a_batch_signed_with_a_stolen_old_key_is_refused(tmp_path):
    log = filled(tmp_path)
    log.rotate(NEXT)
    log.add(stopped("by the new key"))
    forced(log.archive, SIGNER, [SIGNER.vkey, NEXT.vkey], stopped("by the thief"))
    refuses(tmp_path, "a key that was replaced", NEXT, [NEXT.vkey, SIGNER.vkey])
    with pytest.raises(ArchiveError, match="a key that was replaced"):
        log.add(stopped("in the process that rotated"))


def test_a_lost_key_is_replaced_by_the_new_one_alone(tmp_path):
    log = filled(tmp_path)
    archive = log.archive
    batch = open_log(archive, None, [SIGNER.vkey]).rotate(NEXT, lost=SIGNER.vkey)
    assert verify_note(read_note(batch.note), [SIGNER.vkey, NEXT.vkey]) == [NEXT.vkey]
    assert batch.leaves[0].content["lost"] is True
    assert [e.content["key"] for e in read_log(archive) if e.kind == "key"] == [str(SIGNER.vkey), str(NEXT.vkey)]
    open_log(archive, NEXT, [NEXT.vkey, SIGNER.vkey]).add(stopped("on"))
    refuses(tmp_path, "was replaced", SIGNER, [NEXT.vkey, SIGNER.vkey])
    with pytest.raises(ArchiveError, match="no key of this log, or was replaced"):
        open_log(archive, None, [SIGNER.vkey]).rotate(OTHER, lost=SIGNER.vkey)
    with pytest.raises(ArchiveError, match="no key of this log"):
        open_log(archive, None, [SIGNER.vkey]).rotate(NEXT, lost=OTHER.vkey)
    with pytest.raises(ArchiveError, match="no private key here that could hand over"):
        open_log(archive, None, []).rotate(OTHER)
    with pytest.raises(ArchiveError, match="replace itself"):
        open_log(archive, NEXT, [NEXT.vkey]).rotate(NEXT)


def test_a_rotation_that_fails_changes_nothing(tmp_path, monkeypatch):
    log = filled(tmp_path)
    with monkeypatch.context() as m:
        m.setattr(type(log.archive), "create", lambda *a: (_ for _ in ()).throw(ArchiveError("the disk is full")))
        with pytest.raises(ArchiveError, match="full"):
            log.rotate(NEXT)
        lost = open_log(log.archive, None, [SIGNER.vkey])
        with pytest.raises(ArchiveError, match="full"):
            lost.rotate(NEXT, lost=SIGNER.vkey)
    assert (lost.signer, lost.keys) == (None, (SIGNER.vkey,))
    assert (log.signer, log.keys) == (SIGNER, (SIGNER.vkey,))
    log.add(stopped("still with the old key"))


def test_an_unsigned_log_can_become_signed_and_never_goes_back(tmp_path):
    log = filled(tmp_path, signer=None)
    assert newest_checkpoint(log.archive).origin.startswith("prodnb.local/demo-")
    assert read_note(last_batch(log.archive).note).signatures == ()
    signed = open_log(log.archive, SIGNER)
    signed.add(stopped("signed from here on"))
    kinds = [e.kind for e in read_log(log.archive)]
    assert kinds[-2:] == ["key", "stopped"]
    refuses(tmp_path, "settings name no key", None, [])
    with pytest.raises(ArchiveError, match="settings name no key"):
        log.add(stopped("the unsigned writer"))


# ---- archives of before the log


def first_format(folder, number):
    """Write a run as format 1 had it: indented JSON with its digest inside."""
    run, _, _ = made_run(["drift"], number=number)
    data = {**run.to_dict(), "format": "prodnb.run.v1"}
    data.pop("digest", None)
    digest = hashlib.sha256(canonical(data)).hexdigest()
    target = folder / "archive" / "runs" / run.id
    target.mkdir(parents=True)
    (target / "run.json").write_text(json.dumps({**data, "digest": digest}, indent=1))
    return run.id, digest


def test_a_log_that_begins_in_an_old_archive_takes_its_runs_in(tmp_path):
    old = dict(first_format(tmp_path, n) for n in range(3))
    (tmp_path / "archive" / "runs" / "20200101T000000Z-00000000").mkdir()
    damaged, _ = first_format(tmp_path, 4)
    file = tmp_path / "archive" / "runs" / damaged / "run.json"
    file.write_text(file.read_text().replace("demo", "deno"))
    log = log_in(tmp_path)
    log.add(stopped())
    entries = list(read_log(log.archive))
    assert [e.kind for e in entries] == ["opened", "adopted", "key", "stopped"]
    assert entries[1].content["runs"] == old


# ---- whatever is read


def batch_with(lines, size=None):
    hashes = [base64.b64decode(line.split(b" ")[0]) for line in lines]
    with contextlib.suppress(Exception):
        after = EMPTY.add(hashes)
        note = sign_note(Checkpoint("o", size or after.size, after.root).body, SIGNER)
        return b"prodnb.log.v1\nfirst 0\n\n" + b"\n".join(lines) + b"\n\n" + note


def line_of(text):
    data = text if isinstance(text, bytes) else text.encode()
    return base64.b64encode(leaf_hash(data)) + b" " + data


GOOD = {**entry("stopped", run=RUN, why=""), "at": "2026-01-01T12:00:00.000+00:00"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[" * 100_000, "neither an event nor"),
        ('{"a":' * 100_000, "is not JSON"),
        ("{" + '"a":' + "9" * 5000 + "}", "is not JSON"),
        ('{"format":"prodnb.entry.v2"}', "written by a newer prodnb"),
        ('{"format":7}', "this is not an event"),
        ("{}", "this is not an event"),
        (json.dumps({**GOOD, "kind": "invented"}), "not a kind of event"),
        (json.dumps({**GOOD, "kind": ["stopped"]}), "not a kind of event"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "why"}), "has no why as it must be"),
        (json.dumps({**GOOD, "at": "yesterday"}), "is not a time"),
        (json.dumps({**GOOD, "at": "2026-13-01T12:00:00.000+00:00"}), "is not a time"),
        (json.dumps({**GOOD, "at": 5}), "is not a time"),
        (json.dumps({**GOOD, "at": "2026-01-01T12:00:00Z"}), "is not a time"),
        (json.dumps({**GOOD, "at": "2026-01-01T14:00:00.000+02:00"}), "is not a time"),
        (json.dumps({**GOOD, "run": "../../etc"}), "has no run as it must be"),
        (json.dumps({**GOOD, "why": ["x"]}), "has no why as it must be"),
        (json.dumps({**GOOD, "kind": "adopted", "runs": {RUN: 5}}), "has no runs as it must be"),
        (json.dumps({**GOOD, "kind": "adopted", "runs": {"../x": "y"}}), "has no runs as it must be"),
        (json.dumps({**GOOD, "kind": "key", "key": {}, "replaces": None, "lost": False}), "has no key as it must be"),
        (json.dumps({**GOOD, "kind": "key", "key": "", "replaces": None, "lost": 0}), "has no lost as it must be"),
        ("runs/../records/x.json", "neither an event nor"),
        (f"runs/{RUN}/records/../x.json", "neither an event nor"),
        (f"runs/{RUN}/records/x.json\x00", "neither an event nor"),
        (f"/runs/{RUN}/records/x.json", "neither an event nor"),
    ],
)
def test_what_cannot_be_an_entry_is_refused(text, match):
    with pytest.raises(ArchiveError, match=match):
        read_batch(batch_with([line_of(text)]))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"prodnb.log.v1", b"prodnb.log.v2", "written by a newer prodnb"),
        (b"prodnb.log.v1", b"something", "this is not a batch"),
        (b"first 0", b"first 00", "does not begin"),
        (b"first 0", b"first -1", "does not begin"),
        (b"first 0", b"first 1", "0 hashes stand for 1 leaves"),
        (b"first 0", b"first 0\n" + base64.b64encode(bytes(32)), "1 hashes stand for 0 leaves"),
        (b"first 0\n", b"first 0\n\n", "it does not begin|base64|not a note"),
        (b"\n\n", b"\n", "not begin|base64|not a batch|not a note"),
    ],
)
def test_what_cannot_be_a_batch_is_refused(old, new, match):
    data = batch_with([line_of(json.dumps(GOOD))])
    read_batch(data)
    with pytest.raises(ArchiveError, match=match):
        read_batch(data.replace(old, new, 1))


def test_a_checkpoint_of_another_size_is_not_one_over_the_leaves():
    with pytest.raises(ArchiveError, match="not one over its leaves"):
        read_batch(batch_with([line_of(json.dumps(GOOD))], size=2))


@given(st.binary(max_size=120), st.integers(0, 700), st.integers(0, 200))
@settings(max_examples=200)
def test_no_bytes_end_in_a_traceback(extra, place, cut):
    data = batch_with([line_of(json.dumps(GOOD))])
    with contextlib.suppress(ArchiveError):
        read_batch(data[:place] + extra + data[place + cut :])


def test_a_large_batch_is_quick(tmp_path):
    """A run of 2,000 checks, or of five columns for each: one batch."""
    log = log_in(tmp_path)
    batch = log.add(*[record(f"c{n}", str(n).encode()) for n in range(2000)], stopped())
    assert len(batch.leaves) == 2001
    assert verify_inclusion(batch.hashes[7], batch.first + 7, batch.size, batch.proof(batch.first + 7), batch.root)
