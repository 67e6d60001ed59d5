#!/usr/bin/env python3
"""Check an evidence bundle of prodnb. Needs Python 3.10 or newer and nothing else."""
#     python verify_bundle.py [BUNDLE] [--key KEY]... [--witness KEY]... [--checkpoint FILE]
# BUNDLE  the zip file or its unpacked folder; by default the folder that this file lies in
# KEY     a public key, NAME+ID+BASE64, that you were given another way than with this bundle
# FILE    a checkpoint of the log that you kept: the log that is proven here has to agree with it
# Ends with 0 if everything agrees, 1 if something does not, 2 if this is no bundle. It recomputes the SHA-256 of every file, the
# Merkle proofs that each record and entry is in the log and that the log was only added to (RFC 9162), and the Ed25519 signatures
# (RFC 8032) of checkpoints and witnesses (C2SP signed-note, tlog-cosignature) and of statements (in-toto in DSSE envelopes).

import argparse
import base64
import hashlib
import json
import os
import sys
import time
import zipfile

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # of Ed25519
D = -121665 * pow(121666, P - 2, P) % P
decode = lambda text: base64.b64decode(text, validate=True)  # noqa: E731


def point_of(data):
    """Return the point of the curve that 32 bytes stand for, in extended coordinates (RFC 8032, 5.1.3)."""
    y, sign = int.from_bytes(data, "little") & ((1 << 255) - 1), data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x * pow(2, (P - 1) // 4, P) % P if (x * x - square) % P else x
    must(y < P and (x * x - square) % P == 0 and (x or not sign), "a public key is none")
    return (x := P - x if x & 1 != sign else x), y, 1, x * y % P


def holds(public, data, signature):
    """Is this the Ed25519 signature of these bytes by this key? Nothing here is secret, so it need not always take the same time."""
    def added(a, b):
        e, f = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
        g, h = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
        e, f, g, h = (f - e) % P, (h - g) % P, (h + g) % P, (f + e) % P
        return e * f % P, g * h % P, f * g % P, e * h % P

    def times(n, point):
        total = (0, 1, 1, 0)
        for bit in f"{n:b}":
            total = added(added(total, total), point) if bit == "1" else added(total, total)
        return total

    x, y, _, xy = point_of(public)
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + data).digest(), "little") % L
    scalar, base = int.from_bytes(signature[32:], "little"), point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    x, y, z, _ = added(times(scalar, base), times(h, (P - x, y, 1, P - xy)))
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return len(signature) == 64 and scalar < L and (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def climb(place, last, start, proof):
    """Walk up a Merkle tree and return the roots of the smaller and the larger tree (RFC 9162, 2.1.3.2 and 2.1.4.2)."""
    before = after = start
    for other in proof:
        must(last, "a proof is too long")
        if place & 1 or place == last:
            before, after = (hashlib.sha256(b"\x01" + other + one).digest() for one in (before, after))
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = hashlib.sha256(b"\x01" + after + other).digest()
        place, last = place >> 1, last >> 1
    return (before, after) if last == 0 else (None, None)


def extends(old, old_root, new, new_root, proof):
    """Does the log of `new` leaves begin with the `old` ones? (RFC 9162, 2.1.4.2)"""
    proof = [old_root, *proof] if old & (old - 1) == 0 else proof
    must(0 < old < new and proof, "there is no proof")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    return climb(place, last, proof[0], proof[1:]) == (old_root, new_root)


def must(right, problem):
    if not right:
        raise ValueError(problem)


def read_key(text):
    name, number, key = text.strip().split("+", 2)
    data = decode(key)
    must(hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8] == number, f"the key {name} is not written right")
    return name, number, data[0], data[1:]


def read_note(data):
    """Return the text of a signed note, and name, id and signature of each of its lines."""
    body, _, lines = data.decode().rpartition("\n\n")
    signed = [(name, decode(rest)) for _, name, rest in (line.split(" ") for line in lines.split("\n")[:-1])]
    return body + "\n", [(name, rest[:4].hex(), rest[4:]) for name, rest in signed]


def read_checkpoint(data):
    origin, size, root, _ = read_note(data)[0].split("\n")
    return origin, int(size), decode(root)


def signed_by(data, keys):
    """Return which keys signed a note, and when a witness did; a false signature in the name of one of them is an error."""
    text, found = read_note(data)[0].encode(), []
    for key in keys:
        for _, _, signature in (line for line in read_note(data)[1] if line[:2] == key[:2]):
            when = int.from_bytes(signature[:8], "big") if key[2] == 4 else None
            message, rest = (text, signature) if when is None else (b"cosignature/v1\ntime %d\n" % when + text, signature[8:])
            must(holds(key[3], message, rest), f"a signature in the name of {key[0]} is false")
            found.append((key, when))
    return found


class Check:
    """A bundle, in a folder or a zip file, and what is found in it, said as it is found."""

    def __init__(self, path, keys, witnesses):
        self.zip = zipfile.ZipFile(path) if os.path.isfile(path) else None
        self.open = self.zip.open if self.zip else lambda name: open(f"{path}/{name}", "rb")  # noqa: SIM115
        files = [] if self.zip else [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        self.names = self.zip.namelist() if self.zip else [os.path.relpath(f, path).replace(os.sep, "/") for f in files]
        self.there, self.keys, self.witnesses, self.problems, self.signers = set(self.names), keys, witnesses, 0, []
        self.leaves, self.entries, self.roots, self.notes, self.digests, self.used = {}, {}, {}, {}, {}, set()
        self.manifest = json.loads(self.read("bundle.json"))
        must(self.manifest["format"] == "prodnb.bundle.v1", f"this file does not read {self.manifest['format']}")

    def read(self, name):
        must(name in self.there, f"there is no {name}")
        self.used.add(name)
        with self.open(name) as file:
            return file.read(1 << 28)

    def say(self, word, text):
        self.problems += word == "PROBLEM"
        print(f"{word:8}", ascii(str(text))[1:-1])

    def each(self, what, names):
        """Apply a check to each of several names; what it raises is a problem of that one. Return how many are good."""
        before = self.problems
        for name in sorted(names):
            try:
                what(name)
            except Exception as e:
                self.say("PROBLEM", f"{name}: {e if isinstance(e, ValueError) else repr(e)}")
        return len(names) - (self.problems - before)

    def file(self, name):
        made, expected = hashlib.sha256(), self.manifest["files"].get(name, "nothing: it is no file of this bundle")
        must(self.names.count(name) == 1, "it is missing" if name not in self.there else "it is there more than once")
        with self.open(name) as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                made.update(part)
        self.digests[name] = made.hexdigest()
        must(made.hexdigest() == expected, f"it was changed: its SHA-256 was {expected}, it is {made.hexdigest()}")

    def newest(self, name):
        """The checkpoint that everything is proven under is signed by a key that is to be trusted, where the log has any."""
        self.origin, self.size, self.roots[self.size] = read_checkpoint(note := self.read(name))
        self.note = self.notes[self.size] = note
        self.say("log", f"{self.origin}, {self.size} leaves, root {base64.b64encode(self.roots[self.size]).decode()}")
        self.keys = self.keys or [read_key(key) for key in self.manifest["keys"]]
        self.signers = [key for key, _ in signed_by(self.note, [key for key in self.keys if key[2] == 1])]
        for key in self.signers:
            self.say("signed", f"by {key[0]}+{key[1]}+{base64.b64encode(bytes([1]) + key[3]).decode()}")
        must(self.signers or not (self.keys or read_note(self.note)[1]), "it is not signed by a key that is to be trusted")

    def proven(self, note):
        """Return the size of a checkpoint that the newest one is known to extend."""
        origin, size, root = read_checkpoint(note)
        must(size in self.roots, f"nothing here tells of the log with {size} leaves; ask for a bundle that is made with it")
        must(origin == self.origin and self.roots.get(size) == root, "the log is not proven to extend its checkpoint")
        return size

    def older(self, name):
        """The log was only added to since an older checkpoint."""
        head, _, note = self.read(name).partition(b"\n\n")
        first, *proof = head.decode().split("\n")
        origin, old, root = read_checkpoint(before := self.read(name.replace("consistency", "checkpoints")))
        signed_by(before, self.keys)
        grew = extends(old, root, self.size, self.roots[self.size], [decode(line) for line in proof])
        same = note == self.note and origin == self.origin and first == f"old {old}"
        must(grew and same, "the log was not only added to since this checkpoint")
        self.roots[old], self.notes[old] = root, before

    def proof(self, name):
        """A leaf, a record or an entry, is in the log."""
        head, _, note = self.read(name).partition(b"\n\n")
        first, index, *path = head.decode().split("\n")
        run, check = name[: -len(".tlog-proof")].split("/")[-2:]
        leaf = f"log/leaves/{check}.json" if run == "leaves" else f"runs/{run}/records/{check}.json"
        data, index = self.read(leaf), int(index.replace("index ", ""))
        size, leaf_hash = self.proven(note), hashlib.sha256(b"\x00" + data).digest()
        _, top = climb(index, size - 1, leaf_hash, [decode(line) for line in path])
        right = first == "c2sp.org/tlog-proof@v1" and note == self.notes[size] and 0 <= index < size and top == self.roots[size]
        must(right, f"it does not prove that {leaf} is in the log")
        self.leaves[leaf] = index
        if run == "leaves" and json.loads(data)["format"] == "prodnb.entry.v1":
            entry = self.entries[index] = json.loads(data)
            self.runs |= {entry["run"]} if entry["kind"] == "concluded" else set()
            self.keys = [*self.keys, read_key(entry["key"])] if self.signers and entry["kind"] == "key" else self.keys

    def run(self, run):
        """The log says that the run started and concluded with these bytes; its files are those that it names, each record is a leaf."""
        folder, data, before = f"runs/{run}/", json.loads(self.read(f"runs/{run}/run.json")), None
        said = {entry["kind"]: (index, entry) for index, entry in sorted(self.entries.items()) if entry.get("run") == run}
        must({"started", "concluded"} <= set(said) and data["id"] == run, "the log does not say that it started and concluded")
        (start, _), (end, entry) = said["started"], said["concluded"]
        must(entry["digest"] == self.digests[folder + "run.json"], f"run.json is not what the log concluded: {entry['digest']}")
        must(start < end and entry["records"] == {r["check"]: r["id"] for r in data["records"]}, "the log tells it otherwise")
        pruned = tuple(x for e in self.entries.values() if e["kind"] == "pruned" and run in e["runs"] for x in e["files"])
        for name, digest in data["files"].items():
            if folder + name not in self.there and "/" not in name and name.endswith(pruned):
                self.say("pruned", f"{folder}{name} was removed by the retention that the log states")
            else:
                must(self.digests.get(folder + name) == digest, f"{name} is not the file that run.json names")
        more = {name for name in self.there if name.startswith(folder)} - {folder + name for name in (*data["files"], "run.json")}
        must(not more, f"these are no files of the run: {sorted(more)}")
        for told in data["records"]:
            check, name = told["check"], f"records/{told['check']}.json"
            record, files = json.loads(self.read(folder + name)), data["files"]
            named = [self.digests[folder + name], *(record[key] for key in ("outcome", "check", "run", "previous"))]
            must(named == [told["id"], told["outcome"], check, run, before], f"{name} is not the record that run.json names")
            must(start < self.leaves.get(folder + name, -1) < end, f"{name} is not proven to be in the log")
            of = [record["notebook_digest"], record["report_digest"]] == [files[f"{check}.ipynb"], files[f"{check}.html"]]
            must(of, f"{name} is about another notebook or page")
            before, of = told["id"], record.get("reused") or {"run": run, "record": told["id"]}
            must(self.digests.get(f"runs/{of['run']}/{name}") == of["record"], f"what {name} was taken over from is another")
            also = "" if of["run"] == run else f", taken over from {of['run']}"
            self.say("record", f"{run} {check}: {record['outcome']}{also}")

    def statement(self, name):
        """A signed statement is about the files of its run."""
        found, folder = json.loads(self.read(name)), name.rsplit("/", 2)[0] + "/"
        payload, kind = decode(found["payload"]), found["payloadType"].encode()
        message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        known = {f"{key[0]}+{key[1]}": key[3] for key in self.keys if key[2] == 1}
        signatures = [(known[s["keyid"]], decode(s["sig"])) for s in found["signatures"]]
        must(all(holds(key, message, signature) for key, signature in signatures), "its signature is false")
        self.say("note", f"{name} is not signed: the log was not yet") if self.signers and not signatures else None
        for subject in json.loads(payload)["subject"]:
            there = self.digests.get(folder + subject["name"], digest := subject["digest"]["sha256"])
            must(there == digest, f"it is about another {subject['name']}")

    def witness(self, name):
        size = self.proven(self.read(name))
        for key, when in signed_by(self.read(name), self.witnesses):
            self.used.add(f"{key[0]}+{key[1]}")
            self.say("witness", f"{key[0]} saw {size} leaves at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(when))}")

    def stamp(self, name):
        self.proven(note := self.read(of := name.replace("timestamps", "checkpoints").replace(".tsr", "")))
        must(hashlib.sha256(note).digest() in self.read(name), "it is the time stamp of something else")
        self.say("stamp", f"for its time and maker: openssl ts -verify -data {of} -in {name} -CAfile AUTHORITY.pem")

    def kept(self, path):
        with open(path, "rb") as file:
            size = self.proven(b"\n".join(file.read().splitlines()[:3]) + b"\n\n")
        self.say("kept", f"the log extends the checkpoint of {size} leaves in {path}")

    def everything(self, kept):
        files, log = {*self.manifest["files"], *self.names} - {"bundle.json"}, {n for n in self.names if n.startswith("log/")}
        self.runs = {*self.manifest["runs"], *(name.split("/")[1] for name in files if name.startswith("runs/"))}
        self.say("files", f"{self.each(self.file, files)} are as they were when the bundle was made")
        self.each(self.newest, {"log/checkpoint"})
        of = lambda part: {n for n in files if part in n and (part == ".dsse" or n in log)}  # noqa: E731
        steps = [(self.older, of("/consistency/")), (self.proof, of(".tlog-proof")), (self.run, self.runs)]
        steps += [(self.statement, of(".dsse"))]
        steps += [(self.witness, of("/cosigned/")), (self.stamp, of("/timestamps/")), (self.kept, set(kept))]
        good = [self.each(*step) for step in steps]
        self.say("PROBLEM", "there is no run in this bundle") if not self.runs else None
        due = {*log, *(f"{key[0]}+{key[1]}" for key in self.witnesses)}
        self.each(lambda name: must(name in self.used, "nothing here leads to it or was seen by it"), due)
        self.say("proven", "{} older checkpoints, {} leaves of the log, {} runs, {} statements, {} co-signatures".format(*good))
        self.say("note", "README.md, environments/ and ro-crate-metadata.json are no evidence: who made the bundle wrote them")


def main():
    parser = argparse.ArgumentParser(description="Check an evidence bundle of prodnb.")
    parser.add_argument("bundle", nargs="?", default=os.path.dirname(os.path.abspath(__file__)))
    for name in ("--key", "--witness", "--checkpoint"):
        parser.add_argument(name, action="append", default=[])
    given = parser.parse_args()
    try:
        check = Check(given.bundle, [read_key(key) for key in given.key], [read_key(key) for key in given.witness])
        check.everything(given.checkpoint)
    except Exception as e:
        print(f"This is no bundle that can be read, or no key: {e!r}")
        return 2
    good = "VERIFIED" if given.key else "VERIFIED, IF THE KEY ABOVE IS THE ONE THAT YOU WERE GIVEN ANOTHER WAY"
    good = good if check.signers else "VERIFIED, BUT UNSIGNED: the parts belong together; nothing says who made them"
    print(f"NOT VERIFIED: {check.problems} problems" if check.problems else good)
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
