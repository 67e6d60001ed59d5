"""Writers that are killed: processes that announce, write and conclude runs, and an account of the archive that trusts none of our readers.

Run as a program it forks the writers of one archive, kills them at random, starts others in their place until the work is done, and
prints what happened as JSON.
"""

import base64
import hashlib
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sealed import SIGNER, log_in, made_run

from prodnb.archive import Archive, open_archive, write_deliveries
from prodnb.trail import announce, conclude


def write_one(archive: Archive, checks: Sequence[str] = ("drift",)) -> str:
    """Announce, write and conclude a run, as the runner does; return its id."""
    log = log_in(Path(), archive=archive)
    run, files, _ = made_run(list(checks), started=datetime.now(UTC))
    announce(log, run=run.id, project="demo", checks=list(checks), seconds=900.0)
    conclude(log, run, files)
    write_deliveries(archive, run.id, [])
    return run.id


def work(url: str, done: Path, count: int) -> None:
    """Write runs until `count` are noted in `done`; a run is noted when its writer knows that it is concluded."""
    archive = open_archive(url)
    while len(done.read_text().split("\n")) - 1 < count:
        run = write_one(archive)
        with open(done, "a") as file:
            file.write(f"{run}\n")


def start(call: Callable[[], None]) -> int:
    """Fork a child that does nothing but `call`."""
    if child := os.fork():
        return child
    try:
        call()
        os._exit(0)
    except BaseException as e:
        print(f"a writer broke: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def crash(url: str, notes: Path, *, writers: int, count: int, kills: int, pause: float, seed: int) -> dict[str, object]:
    """Let writers write `count` runs each and kill `kills` of them at random; return the runs that were finished, and the kills."""
    rng, killed, failed, places = random.Random(seed), 0, 0, {}
    for n in range(writers):
        (notes / f"{n}").write_text("")

    def begin(n: int) -> None:
        places[start(lambda: work(url, notes / f"{n}", count))] = n

    for n in range(writers):
        begin(n)
    due = time.monotonic() + rng.expovariate(1 / pause)
    while places:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended:
            n = places.pop(ended)
            failed += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
            if os.WIFSIGNALED(status):
                begin(n)
        elif killed < kills and time.monotonic() > due:
            os.kill(rng.choice(list(places)), signal.SIGKILL)
            killed, due = killed + 1, time.monotonic() + rng.expovariate(1 / pause)
        else:
            time.sleep(0.002)
    return {"finished": [(notes / f"{n}").read_text().split() for n in range(writers)], "killed": killed, "failed": failed}


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of RFC 6962, section 2.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + root_of(leaves[:k]) + root_of(leaves[k:])).digest()


def _bytes(fs: object, path: str) -> bytes:
    return fs.cat_file(path) if hasattr(fs, "cat_file") else Path(path).read_bytes()


def account(archive: Archive) -> dict[str, list[str]]:
    """Read the files as anybody could and assert that they agree; return the runs that were announced, concluded and are listed whole."""
    fs, base = archive.fs, archive.root
    fs.invalidate_cache()
    files = {str(path).removeprefix(f"{base}/"): str(path) for path in fs.find(base)}
    leaves, events, notes = [], [], set()
    for name in sorted(n for n in files if n.startswith("log/entries/")):
        assert re.fullmatch(r"log/entries/\d{12}", name), name
        assert int(name[-12:]) == len(leaves), f"{name} does not begin at {len(leaves)}"
        _, body, note = _bytes(fs, files[name]).decode().split("\n\n", 2)
        for line in body.split("\n"):
            hashed, _, what = line.partition(" ")
            event = what.startswith("{")
            content = what.encode() if event else _bytes(fs, files[what])
            leaves.append(hashlib.sha256(b"\0" + content).digest())
            assert base64.b64decode(hashed) == leaves[-1], what
            events += [json.loads(what)] if event else []
        _, size, root = note.split("\n")[:3]
        assert int(size) == len(leaves)
        place = files.get(f"log/checkpoints/{len(leaves):012}")
        assert place is None or _bytes(fs, place).decode() == note, f"{place} is not the checkpoint of {name}"
        notes.add(note)
    assert "log/checkpoint" not in files or _bytes(fs, files["log/checkpoint"]).decode() in notes, (
        "log/checkpoint is no checkpoint"
    )
    if leaves:
        assert base64.b64decode(root) == root_of(leaves)
        _signed(note)
    at = [event["at"] for event in events]
    assert at == sorted(at)
    listed = [name.split("/")[1] for name in files if re.fullmatch(r"runs/[^/]+/run\.json", name)]
    for run in listed:
        content = json.loads(_bytes(fs, files[f"runs/{run}/run.json"]))
        assert content["id"] == run
        for name, digest in content["files"].items():
            assert hashlib.sha256(_bytes(fs, files[f"runs/{run}/{name}"])).hexdigest() == digest, name
    concluded = [event for event in events if event["kind"] == "concluded"]
    for event in concluded:
        digest = hashlib.sha256(_bytes(fs, files[f"runs/{event['run']}/run.json"])).hexdigest()
        assert digest == event["digest"], event
    stray = [
        name for name in files if not re.match(r"(runs/\d{8}T\d{6}Z-[0-9a-f]{8}|log|\.unfinished)/", name) or ".part" in name
    ]
    assert [name for name in stray if not name.startswith(".unfinished/")] == []
    started = [event["run"] for event in events if event["kind"] == "started"]
    assert set(listed) <= set(started), "a run that was never announced"
    return {"started": started, "concluded": [event["run"] for event in concluded], "listed": listed}


def _signed(note: str) -> None:
    """The last line signs what is before the empty one, with the key of these tests."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text, _, signatures = note.rpartition("\n\n")
    signature = base64.b64decode(signatures.split("\n")[0].rpartition(" ")[2])[4:]
    Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().verify(signature, f"{text}\n".encode())
    assert SIGNER.name in signatures


if __name__ == "__main__":
    address, folder, numbers = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    if address.startswith("s3:"):
        import s3fs  # noqa: F401  imported once, before the forks; it starts its threads when it is used
    print(json.dumps(crash(address, folder, **numbers)))
