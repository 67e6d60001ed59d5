"""An archive with everything that it can hold, and seeded ways to damage it, each with the kind of damage that has to be found."""

import base64
import json
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sealed import DAY, OTHER, SIGNER, log_in, made_run, sealed_run

from prodnb.archive import Archive
from prodnb.keys import Signer
from prodnb.log import entry, numbered
from prodnb.log_batch import Batch, read_batch, write_batch
from prodnb.merkle import EMPTY, leaf_hash
from prodnb.record import Record, Run, canonical, sha256
from prodnb.signed_note import WITNESS_KEY, Checkpoint, cosign, read_note, sign_note
from prodnb.trail import announce, give_up

SECOND = Signer("example.org/second", bytes(range(2, 34)))
WITNESS = Signer("witness.example.net", bytes(range(3, 35)), WITNESS_KEY)
ANY = frozenset({"changed", "missing", "extra", "reordered", "back-dated", "wrongly signed", "forked"})
CHANGED, MISSING, EXTRA, REORDERED = (frozenset({k}) for k in ("changed", "missing", "extra", "reordered"))
FORKED, SIGNED, BACK = (frozenset({k}) for k in ("forked", "wrongly signed", "back-dated"))
NOTED = frozenset({"unfinished"})  # seen, and no damage: the file can be made again from the log

Files = dict[str, bytes]


@dataclass
class World:
    """A whole archive, in memory and on disk."""

    root: Path
    files: Files
    runs: list[str] = field(default_factory=list)  # concluded, oldest first

    def write(self, files: Mapping[str, bytes | None]) -> None:
        """Bring the disk to these files."""
        for name, data in files.items():
            path = self.root / name
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        for name in {n.rpartition("/")[0] for n, d in files.items() if d is None}:
            folder = self.root / name
            while folder != self.root and folder.is_dir() and not os.listdir(folder):
                folder.rmdir()
                folder = folder.parent

    def difference(self, files: Files) -> tuple[dict[str, bytes | None], dict[str, bytes | None]]:
        """What to write to get to `files`, and what to write to come back."""
        names = {n for n in {*files, *self.files} if files.get(n) != self.files.get(n)}
        return {n: files.get(n) for n in names}, {n: self.files.get(n) for n in names}


def make_world(folder: Path) -> World:
    """Five runs, a change of keys, two co-signatures, a run that died and one that was stopped."""
    log, runs = log_in(folder), []
    for n in range(3):
        runs.append(sealed_run(log, {"cost": 1.0 + 0.1 * n, "drift": 3.0 if n == 1 else 1.0}, number=n))
    _witness(log.archive.root, 2)
    log.rotate(SECOND)
    log.signer = SECOND
    runs += [
        sealed_run(log, {"cost": 1.3, "drift": 1.6}, number=n, extra={"attachments/rows.age": b"sealed %d" % n}) for n in (3, 4)
    ]
    for n, end in ((5, False), (6, True)):
        run = made_run(number=n)[0]
        log.clock = lambda: DAY + timedelta(hours=8)
        announce(log, run=run.id, project="demo", checks=["drift"], seconds=-1e7)
        if end:
            give_up(log, run.id, "stopped by Ctrl-C")
    _witness(log.archive.root, 8)
    root = Path(log.archive.root)
    return World(root, read_all(root), [r.id for r in runs])


def _witness(root: str, hours: int) -> None:
    note = read_note(Path(root, "log/checkpoint").read_bytes())
    size = int(note.text.split("\n")[1])
    seen = cosign(note, WITNESS, int((DAY + timedelta(hours=hours)).timestamp()))
    place = Path(root, "log/cosigned", f"{numbered(size)}.{WITNESS.vkey.id.hex()}")
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(seen.to_bytes())


def read_all(root: Path) -> Files:
    """Read every file."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@dataclass
class Mutant:
    """One way to damage an archive."""

    name: str
    files: Files  # all of them, damaged
    kinds: frozenset[str]  # one of which must be the first fault
    place: str = ""  # a file that a finding must name; "" = not determined
    check: Callable[[Sequence], str] | None = None


def batches(files: Files) -> list[Batch]:
    """The batches of a log."""
    return [read_batch(data, name[-12:]) for name, data in sorted(files.items()) if name.startswith("log/entries/")]


def leaves_of(batch: Batch, files: Files) -> list[tuple[str, bytes]]:
    """The leaves of a batch as they were added."""
    return [(e.place, b"" if e.place else canonical(e.content)) for e in batch.leaves]


Leaves = list[list[tuple[str, bytes]]]


def rebuilt(
    world: World, leaves: Leaves, signers: Callable[[int], Sequence[Signer]], origin: str | None = None, keep: bool = False
) -> Files:
    """Write the whole log anew over these leaves, as somebody would who has these keys; proofs and all."""
    files = {n: d for n, d in world.files.items() if not n.startswith("log/") or (keep and n.startswith("log/cosigned/"))}
    frontier, note = EMPTY, b""
    origin = origin or batches(world.files)[0].checkpoint.origin
    for n, batch in enumerate(leaves):
        parts = [(place, data or files.get(place, b"gone")) for place, data in batch]
        after = frontier.add(leaf_hash(data) for _, data in parts)
        note = sign_note(Checkpoint(origin, after.size, after.root).body, *signers(n))
        data = write_batch(frontier, parts, note)
        made = read_batch(data, numbered(frontier.size))
        files[f"log/entries/{numbered(frontier.size)}"] = data
        files[f"log/checkpoints/{numbered(after.size)}"] = note
        for k, (place, _) in enumerate(parts):
            if place:
                _, run, _, name = place.split("/")
                files[f"log/proofs/{run}/{name.removesuffix('.json')}.tlog-proof"] = made.proof_text(frontier.size + k)
        frontier = after
    return files | {"log/checkpoint": note}


def all_leaves(world: World) -> Leaves:
    """The leaves of every batch."""
    return [leaves_of(b, world.files) for b in batches(world.files)]


def true_signers(world: World) -> Callable[[int], Sequence[Signer]]:
    """Who signed each batch."""
    known = {s.name: s for s in (SIGNER, SECOND)}
    names = [[known[s.name] for s in read_note(b.note).signatures] for b in batches(world.files)]
    return lambda n: names[min(n, len(names) - 1)]


# ---- files, as somebody with an editor damages them


def _pick(rng: random.Random, files: Files, pattern: str) -> str:
    return rng.choice(sorted(n for n in files if re.fullmatch(pattern, n)))


RUN_FILES = r"runs/[^/]+/(?!deliveries).*"
LOG_FILES = r"log/.*"


def flip(world: World, rng: random.Random, pattern: str, kinds: frozenset[str]) -> Mutant:
    name = _pick(rng, world.files, pattern)
    data = bytearray(world.files[name])
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    return Mutant(f"flip a bit of byte {at} of {name}", world.files | {name: bytes(data)}, kinds, name)


def truncate(world: World, rng: random.Random, pattern: str, kinds: frozenset[str]) -> Mutant:
    name = _pick(rng, world.files, pattern)
    data = world.files[name]
    cut = rng.randrange(len(data))
    return Mutant(f"cut {name} at {cut} of {len(data)}", world.files | {name: data[:cut]}, kinds, name)


def append(world: World, rng: random.Random, pattern: str, kinds: frozenset[str]) -> Mutant:
    name = _pick(rng, world.files, pattern)
    more = rng.choice([b"\n", b" ", b"\0", rng.randbytes(5), world.files[name]])
    return Mutant(f"append {more[:5]!r} to {name}", world.files | {name: world.files[name] + more}, kinds, name)


def delete(world: World, rng: random.Random, pattern: str, kinds: frozenset[str]) -> Mutant:
    name = _pick(rng, world.files, pattern)
    return Mutant(f"delete {name}", {n: d for n, d in world.files.items() if n != name}, kinds, name)


def replay(world: World, rng: random.Random, pattern: str, kinds: frozenset[str]) -> Mutant:
    """Put one file of a sort in the place of another."""
    while True:
        name, other = (_pick(rng, world.files, pattern) for _ in range(2))
        alike = name.rpartition("/")[2] == other.rpartition("/")[2] or "log/" in name
        if alike and world.files[name] != world.files[other]:
            return Mutant(f"replay {other} as {name}", world.files | {name: world.files[other]}, kinds, name)


def swap(world: World, rng: random.Random, pattern: str, kinds: frozenset[str]) -> Mutant:
    mutant = replay(world, rng, pattern, kinds)
    other = mutant.name.removeprefix("replay ").split(" as ")[0]
    return Mutant(f"swap {other} and {mutant.place}", mutant.files | {other: world.files[mutant.place]}, kinds, mutant.place)


def plant(world: World, rng: random.Random) -> Mutant:
    run = rng.choice(world.runs)
    name = rng.choice(
        [
            f"runs/{run}/extra.html",
            f"runs/{run}/records/late.json",
            f"runs/{run}/attachments/x.age",
            "log/entries/notes.txt",
            f"log/proofs/{run}/late.tlog-proof",
            "log/spare",
            "log/checkpoints/000000000001",
            "log/cosigned/x",
        ]
    )
    data = rng.choice(sorted(world.files.items()))[1] if "checkpoints" not in name else world.files["log/checkpoint"]
    return Mutant(f"plant {name}", world.files | {name: data}, EXTRA if "checkpoints" not in name else ANY, name)


# ---- runs


def drop_run(world: World, rng: random.Random) -> Mutant:
    run = rng.choice(world.runs)
    proofs = rng.random() < 0.5
    gone = [n for n in world.files if n.startswith(f"runs/{run}/") or (proofs and n.startswith(f"log/proofs/{run}/"))]
    return Mutant(f"drop run {run}", {n: d for n, d in world.files.items() if n not in gone}, MISSING, f"runs/{run}")


def replay_run(world: World, rng: random.Random) -> Mutant:
    old, new = rng.sample(world.runs, 2)
    files = {n: d for n, d in world.files.items() if not n.startswith(f"runs/{new}/")}
    files |= {n.replace(old, new): d for n, d in world.files.items() if n.startswith(f"runs/{old}/")}
    return Mutant(f"run {old} in the place of {new}", files, REORDERED, f"runs/{new}/run.json")


def slip_in(world: World, rng: random.Random) -> Mutant:
    """A whole sealed run that the log knows nothing of."""
    signer = rng.choice([SIGNER, SECOND, OTHER, None])
    run, files, _ = made_run({"cost": rng.choice([1.0, 3.0])}, number=rng.randrange(8, 20), signer=signer)
    files = {f"runs/{run.id}/{n}": d for n, d in {**files, "run.json": run.bytes}.items()}
    return Mutant(f"slip in run {run.id}", world.files | files, EXTRA, f"runs/{run.id}")


def edit_record(world: World, rng: random.Random) -> Mutant:
    """Edit one thing of a record, and make everything around it fit: the run's digests and the statement, up to the log."""
    run, check = rng.choice(world.runs), rng.choice(["cost", "drift"])
    names = {e: f"runs/{run}/{check}.{e}" for e in ("ipynb", "html")} | {
        e: f"runs/{run}/records/{check}.{e}" for e in ("json", "dsse")
    }
    record, files = json.loads(world.files[names["json"]]), dict(world.files)
    what = rng.choice(["settings_digest", "html", "seconds", "run_by", "inputs", "template_digest", "value"])
    if what == "html":
        files[names["html"]] = files[names["html"]].replace(b": ", b": 0")
        record["report_digest"] = sha256(files[names["html"]])
    elif what == "value":
        record["results"][0]["verdicts"][0]["value"] = 0.5
    elif what == "inputs":
        record["inputs"] = [{"role": "current", "digest": "0" * 64}]
    else:
        record[what] = {"seconds": 2.25, "run_by": "somebody"}.get(what, sha256(b"other"))
    files[names["json"]] = canonical(record)
    depth = rng.randrange(3)
    if depth:
        files[f"runs/{run}/run.json"] = _fitting(world, files, run, check)
    if depth == 2:
        from prodnb.record import read_record
        from prodnb.statement import envelope, statement_of

        made = read_record(record)
        digests = {f"{check}.{e}": sha256(files[names[e]]) for e in ("ipynb", "html")}
        files[names["dsse"]] = envelope(statement_of(made, digests, files[names["ipynb"]]), OTHER)
        files[f"runs/{run}/run.json"] = _fitting(world, files, run, check)
    place = f"runs/{run}/run.json" if depth else names["json"]
    return Mutant(f"edit {what} of {check} in {run}, {('record', 'run', 'statement')[depth]} made to fit", files, CHANGED, place)


def _fitting(world: World, files: Files, run: str, check: str) -> bytes:
    """The run.json that fits changed files."""
    told, start = json.loads(files[f"runs/{run}/run.json"]), f"runs/{run}/"
    told["files"] = {
        n.removeprefix(start): sha256(d) for n, d in files.items() if n.startswith(start) and not n.endswith("run.json")
    }
    for row in told["records"]:
        if row["check"] == check:
            row["id"] = told["files"][f"records/{check}.json"]
    return canonical(told)


def edit_one(world: World, rng: random.Random, ending: str) -> Mutant:
    """Edit words of one page or notebook only."""
    name = _pick(rng, world.files, rf"runs/[^/]+/(cost|drift){ending}")
    return Mutant(f"edit {name}", world.files | {name: world.files[name].replace(b"t", b"T", 1)}, CHANGED, name)


def resign_statement(world: World, rng: random.Random) -> Mutant:
    from prodnb.signed_note import encode
    from prodnb.statement import PAYLOAD_TYPE, key_id, pae, read_envelope

    name = _pick(rng, world.files, r"runs/.*\.dsse")
    payload = read_envelope(world.files[name]).payload
    signatures = [{"keyid": key_id(OTHER.vkey), "sig": encode(OTHER.sign(pae(PAYLOAD_TYPE, payload)))}]
    data = canonical({"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": signatures})
    return Mutant(f"re-sign {name} with another key", world.files | {name: data}, CHANGED, name)


# ---- the log, by somebody who has no key


def _edit_batch(
    world: World, rng: random.Random, edit: Callable[[list[str], random.Random], list[str]], least: int = 1
) -> tuple[str, bytes]:
    """Change the lines of the leaves of a batch, and nothing else."""
    names = [n for n in sorted(world.files) if n.startswith("log/entries/") and len(read_batch(world.files[n]).leaves) >= least]
    name = rng.choice(names)
    head, body, note = world.files[name].decode().split("\n\n", 2)
    return name, "\n\n".join([head, "\n".join(edit(body.split("\n"), rng)), note]).encode()


def swap_leaves(world: World, rng: random.Random) -> Mutant:
    def edit(lines: list[str], rng: random.Random) -> list[str]:
        a, b = rng.sample(range(len(lines)), 2)
        lines[a], lines[b] = lines[b], lines[a]
        return lines

    name, data = _edit_batch(world, rng, edit, 2)
    return Mutant(f"swap two leaves of {name}", world.files | {name: data}, REORDERED, name)


def drop_leaf(world: World, rng: random.Random) -> Mutant:
    name, data = _edit_batch(world, rng, lambda lines, rng: (lines.pop(rng.randrange(len(lines))), lines)[1], 2)
    return Mutant(f"drop a leaf of {name}", world.files | {name: data}, MISSING, name)


def add_leaf(world: World, rng: random.Random) -> Mutant:
    name, data = _edit_batch(world, rng, lambda lines, rng: [*lines, rng.choice(lines)])
    return Mutant(f"add a leaf to {name}", world.files | {name: data}, EXTRA, name)


def rewrite_entry(world: World, rng: random.Random) -> Mutant:
    """Change what an event says, make its hash, its batch and its checkpoint fit, and sign with a stranger's key, or not at all."""
    made = [b for b in batches(world.files) if any(e.kind in ("concluded", "started") for e in b.leaves)]
    batch = rng.choice(made)
    parts = [(e.place, b"" if e.place else canonical(e.content)) for e in batch.leaves]
    parts = [(p, d or world.files[p]) for p, d in parts]
    event = dict(batch.leaves[-1].content)
    event |= {"outcome": "passed", "digest": sha256(b"x")} if event["kind"] == "concluded" else {"where": "nowhere"}
    parts[-1] = ("", canonical(event))
    after = batch.frontier.add(leaf_hash(d) for _, d in parts)
    old = read_note(batch.note)
    body, how = (
        Checkpoint(batch.checkpoint.origin, after.size, after.root).body,
        rng.choice(["stranger", "unsigned", "old signature"]),
    )
    note = {"stranger": sign_note(body, OTHER), "unsigned": sign_note(body)}.get(how) or type(old)(
        body, old.signatures
    ).to_bytes()
    name = f"log/entries/{numbered(batch.first)}"
    files = world.files | {name: write_batch(batch.frontier, parts, note)}
    kinds, place = CHANGED, name
    if rng.random() < 0.5:  # the copies, too
        files |= {f"log/checkpoints/{numbered(batch.size)}": note}
        kinds = SIGNED
    return Mutant(f"rewrite the event of {name}, {how}", files, kinds, place)


def cut_off(world: World, rng: random.Random) -> Mutant:
    """Take off the newest batches, and whatever would show it on this side of the witness."""
    made = batches(world.files)
    keep = rng.randrange(1, len(made))
    size, files = made[keep].first, dict(world.files)
    gone = {e.content["run"] for b in made[keep:] for e in b.leaves if e.kind == "concluded"}
    for name in world.files:
        parts = name.split("/")
        late = (parts[1] == "entries" and int(parts[2]) >= size) or (parts[1] == "checkpoints" and int(parts[2]) > size)
        if late or (parts[0] == "runs" and parts[1] in gone) or (parts[1] == "proofs" and parts[2] in gone):
            del files[name]
    rotated = any(e.kind == "key" and e.content["replaces"] for b in made[:keep] for e in b.leaves)
    kinds = MISSING if rotated else MISSING | SIGNED  # what is left is signed by no key that is trusted today
    return Mutant(
        f"cut the log off at {size}", files | {"log/checkpoint": made[keep - 1].note}, kinds, f"log/entries/{numbered(size)}"
    )


def drop_batch(world: World, rng: random.Random) -> Mutant:
    batch = rng.choice(batches(world.files)[:-1])
    name = f"log/entries/{numbered(batch.first)}"
    return Mutant(f"drop {name}", {n: d for n, d in world.files.items() if n != name}, MISSING, name)


def drop_log(world: World, rng: random.Random) -> Mutant:
    part = rng.choice(["log/", "log/entries/"])
    return Mutant(f"drop {part}", {n: d for n, d in world.files.items() if not n.startswith(part)}, MISSING)


def other_key_log(world: World, rng: random.Random) -> Mutant:
    """Write the whole log anew with another key, events and all."""
    leaves = []
    for batch in all_leaves(world):
        events = [(p, d) for p, d in batch if p or json.loads(d)["kind"] != "key"]
        leaves += [events] if events else []
    key = entry("key", key=str(OTHER.vkey), replaces=None, lost=False) | {"at": json.loads(leaves[0][0][1])["at"]}
    leaves.insert(1, [("", canonical(key))])
    return Mutant("the whole log with another key", rebuilt(world, leaves, lambda n: [OTHER], keep=rng.random() < 0.5), SIGNED)


def take_over(world: World, rng: random.Random) -> Mutant:
    """Append an event that says the key was lost, signed by a stranger."""
    leaves, old = all_leaves(world), SECOND.vkey
    lost = rng.random() < 0.5
    event = entry("key", key=str(OTHER.vkey), replaces=str(old), lost=lost) | {"at": json.loads(leaves[-1][-1][1])["at"]}
    true, count = true_signers(world), len(leaves)
    files = rebuilt(world, [*leaves, [("", canonical(event))]], lambda n: true(n) if n < count else [OTHER], keep=True)
    return Mutant(f"a stranger takes over, lost={lost}", files, SIGNED)


# ---- the log, by somebody who holds the key


def holder_back_dates(world: World, rng: random.Random) -> Mutant:
    """An event gets an earlier time, and the log is signed anew from there on; no witness was there."""
    leaves = all_leaves(world)
    n = rng.randrange(4, len(leaves))
    event = json.loads(leaves[n][-1][1])
    before = json.loads(next(d for p, d in reversed(leaves[n - 1]) if not p))["at"]
    event["at"] = before[:11] + "00" + before[13:]
    leaves[n][-1] = ("", canonical(event))
    return Mutant(f"event {n} dated back by the holder of the key", rebuilt(world, leaves, true_signers(world)), BACK)


def holder_rewrites(world: World, rng: random.Random) -> Mutant:
    """The holder of the key drops a run from the log and from the archive; a witness has seen it."""
    leaves, run = all_leaves(world), rng.choice(world.runs[:3])
    kept = [[(p, d) for p, d in b if run not in p and run.encode() not in d] for b in leaves]
    signers = [true_signers(world)(n) for n, b in enumerate(kept) if b]
    files = rebuilt(world, [b for b in kept if b], lambda n: signers[n], keep=True)
    files = {n: d for n, d in files.items() if not n.startswith(f"runs/{run}/")}
    return Mutant(f"the holder of the key drops run {run}", files, FORKED)


def holder_forks(world: World, rng: random.Random) -> Mutant:
    """Another checkpoint of one size, signed by the right key."""
    batch = rng.choice(batches(world.files)[2:])
    signer = [s for s in (SIGNER, SECOND) if s.name in {x.name for x in read_note(batch.note).signatures}]
    note = sign_note(Checkpoint(batch.checkpoint.origin, batch.size, sha256(rng.randbytes(8)).encode()[:32]).body, *signer)
    name = f"log/checkpoints/{numbered(batch.size)}"
    return Mutant(f"a second signed {name}", world.files | {name: note}, FORKED, name)


def holder_old_run(world: World, rng: random.Random) -> Mutant:
    """A run of last year, announced and concluded today."""
    leaves, days = all_leaves(world), rng.randrange(1, 400)
    run, files, _ = made_run({"cost": 1.0}, started=DAY - timedelta(days=days), signer=SECOND)
    at = json.loads(leaves[-1][-1][1])["at"]
    told = entry("started", run=run.id, project="demo", checks=["cost"], expected_by=at, where="x", schedule={}) | {"at": at}
    records = {r["check"]: r["id"] for r in run.records}
    ended = entry("concluded", run=run.id, digest=run.digest, outcome=run.outcome, records=records) | {"at": at}
    place = f"runs/{run.id}/records/cost.json"
    more = [[("", canonical(told))], [(place, files["records/cost.json"]), ("", canonical(ended))]]
    true, count = true_signers(world), len(leaves)
    made = rebuilt(world, leaves + more, lambda n: true(n) if n < count else [SECOND], keep=True)
    made |= {f"runs/{run.id}/{n}": d for n, d in {**files, "run.json": run.bytes}.items()}
    return Mutant(f"a run of {days} days ago, made today", made, BACK, f"runs/{run.id}/run.json")


# ---- all of them

_FILES = [
    (RUN_FILES, CHANGED),
    (LOG_FILES, ANY),
    (r"log/entries/.*", ANY),
    (r"log/(checkpoints|cosigned)/.*", ANY),
    (r"log/proofs/.*", ANY),
]
_DELETED = [
    (RUN_FILES, MISSING), (r"log/(entries|checkpoint)/.*", MISSING), (r"log/checkpoints/.*", MISSING | NOTED),
    (r"log/proofs/.*", NOTED), (r"log/checkpoint", MISSING),
]  # fmt: skip
_REPLAYED = [
    (r"runs/[^/]+/records/.*\.json", REORDERED), (r"runs/[^/]+/run\.json", REORDERED), (r"runs/[^/]+/[^/]+\.(html|ipynb)", CHANGED),
    (r"runs/[^/]+/records/.*\.dsse", CHANGED), (r"log/entries/.*", REORDERED), (r"log/checkpoints/.*", REORDERED),
    (r"log/proofs/.*", frozenset({"reordered", "changed"})),
]  # fmt: skip
_SPECIAL = [
    plant, drop_run, replay_run, slip_in, edit_record, edit_record, edit_record, resign_statement, swap_leaves, drop_leaf, add_leaf,
    rewrite_entry, rewrite_entry, cut_off, drop_batch, drop_log, other_key_log, take_over, holder_back_dates, holder_rewrites, holder_forks,
    holder_old_run, lambda w, r: edit_one(w, r, r"\.html"), lambda w, r: edit_one(w, r, r"\.ipynb"),
]  # fmt: skip


def mutants(world: World, count: int, seed: int) -> Iterator[Mutant]:
    """Yield so many seeded mutants, of every sort."""
    rng = random.Random(seed)
    for n in range(count):
        if n % 2:
            yield rng.choice(_SPECIAL)(world, rng) if n > 2 * len(_SPECIAL) else _SPECIAL[n // 2 % len(_SPECIAL)](world, rng)
            continue
        how = rng.choice([flip, flip, truncate, append, delete, replay, swap])
        sorts = _DELETED if how is delete else _REPLAYED if how in (replay, swap) else _FILES
        yield how(world, rng, *rng.choice(sorts))


# ---- an archive of before the log


def first_format(archive: Archive, number: int = 0, previous: Mapping[str, str] | None = None) -> Run:
    """Write a run as prodnb did before there was a log."""
    run, files, records = made_run({"cost": 1.0}, number=number, signer=None)
    told = json.loads(records[0].bytes) | {"format": "prodnb.record.v1"}
    told.pop("run")
    record = Record(**told)
    files = {n: d for n, d in files.items() if not n.endswith(".dsse")} | {
        "records/cost.json": json.dumps(record.to_dict(), indent=1).encode()
    }
    facts = json.loads(run.bytes) | {
        "format": "prodnb.run.v1",
        "files": {n: sha256(d) for n, d in files.items()},
        "previous": previous,
    }
    facts["records"] = [{"check": "cost", "id": record.id, "outcome": record.outcome}]
    old = Run(**facts)
    folder = Path(archive.root, "runs", old.id)
    for name, data in {**files, "run.json": json.dumps(old.to_dict(), indent=1).encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return old
