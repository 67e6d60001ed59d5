"""An evidence bundle is checked by its own verifier with nothing installed, and no change to it goes unseen."""

import ast
import functools
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed import DAY, OTHER, SIGNER, log_in, made_run, sealed_run
from typer.testing import CliRunner

from prodnb.archive import open_archive, write_run
from prodnb.bundle import write_bundle
from prodnb.bundle_texts import bundle_assets, environment_text
from prodnb.errors import ArchiveError
from prodnb.log import entry, last_batch, newest_checkpoint
from prodnb.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of
from prodnb.record import Run, canonical, sha256
from prodnb.signed_note import WITNESS_KEY, Signer, cosign, read_note
from prodnb.trail import announce, conclude
from prodnb.verdict import worst

VERIFIER = bundle_assets() / "verify_bundle.py"
WITNESS = Signer("example.org/witness", bytes(range(2, 34)), WITNESS_KEY)
STRANGER = Signer("example.org/late", bytes(range(3, 35)), WITNESS_KEY)
KEYS = ("--key", str(SIGNER.vkey))


def load_verifier():
    spec = importlib.util.spec_from_file_location("verify_bundle", VERIFIER)
    module, kept = importlib.util.module_from_spec(spec), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # nothing is left beside a file that is shipped
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = kept
    return module


verifier = load_verifier()
verifier.holds = functools.cache(verifier.holds)  # one signature takes it some milliseconds


def check(path, *arguments):
    """Run the verifier as an auditor does: nothing installed, nothing in the environment. Return its exit code and its lines."""
    command = [sys.executable, "-I", "-S", str(VERIFIER), str(path), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, env={}, cwd="/", check=False)
    assert "Traceback" not in answer.stderr, answer.stderr
    return answer.returncode, answer.stdout.splitlines()


@pytest.fixture(scope="module")
def checked_here(tmp_path_factory):
    """The same in this process, over a dict of files or the bytes of a zip file: (number of problems, what was said)."""
    target = tmp_path_factory.mktemp("here") / "evidence.zip"

    def run(files, keys=(SIGNER,), witnesses=()):
        target.write_bytes(files if isinstance(files, bytes) else zipped(files))
        found = verifier.Check(
            target, [verifier.read_key(str(k.vkey)) for k in keys], [verifier.read_key(str(k.vkey)) for k in witnesses]
        )
        said, count = [], found.say
        found.say = lambda word, text: (said.append((word, text)), count(word, text))
        found.everything(())
        return found.problems, said

    return run


def zipped(files):
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def files_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def relisted(files):
    """Make the list of digests agree with the files again, as somebody would who changes a bundle on purpose."""
    listing = json.loads(files["bundle.json"])
    listing["files"] = {name: sha256(data) for name, data in files.items() if name != "bundle.json"}
    return {**files, "bundle.json": canonical(listing)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A log of five runs: the third takes a result over from the second; one was announced and never concluded."""
    folder = tmp_path_factory.mktemp("evidence")
    log = log_in(folder)
    names, first = [], sealed_run(log, number=0)
    second, files, records = made_run({"cost": 1.0, "drift": 3.0}, number=1)
    announce(log, run=second.id, project="demo", checks=["cost", "drift"], seconds=60)
    conclude(log, second, files)
    names += [first.id, second.id]
    names.append(taken_over(log, records[1]).id)
    announce(log, run="20260101T150000Z-00000000", project="demo", checks=["drift"], seconds=60)
    names += [sealed_run(log, {"drift": 1.6}, number=n).id for n in (4, 5)]
    return log.archive, names


def taken_over(log, record):
    from sealed import notebook_of, page_of, parts, run_of

    from prodnb.record import Record

    fields = {k: v for k, v in record.to_dict().items() if k not in ("id", "previous")}
    reused = {"run": record.run, "record": record.id, "started": record.started}
    started = DAY + timedelta(hours=2)
    page = page_of("drift", 9.0)
    name = f"{started:%Y%m%dT%H%M%SZ}-0000000a"
    again = Record(**fields | {"run": name, "reused": reused, "report_digest": sha256(page), "previous": None})
    files = {"index.html": b"<p>"} | parts(again, 9.0)
    assert files["drift.ipynb"] == notebook_of("drift", record.results)
    run = run_of([again], files, started=started)
    announce(log, run=run.id, project="demo", checks=["drift"], seconds=60)
    conclude(log, run, files)
    return run


@pytest.fixture(scope="module")
def bundle(archive, tmp_path_factory):
    opened, names = archive
    return write_bundle(opened, [names[2]], tmp_path_factory.mktemp("bundle") / "evidence.zip", keys=[SIGNER.vkey])


# the verifier is what it says: small, without imports, right about curves and trees


def test_the_verifier_is_one_small_file_without_anything_installed():
    text = VERIFIER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    imported = {a.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import) for a in n.names}
    assert not [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)]
    assert imported <= set(sys.stdlib_module_names)
    ast.parse(text, feature_version=(3, 10))


# RFC 8032, section 7.1, tests 1 to 3: public key, message, signature
RFC8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC8032)
def test_the_verifier_knows_the_published_signatures(public, message, signature):
    key, data, right = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert verifier.holds(key, data, right)
    assert not verifier.holds(key, data + b"x", right)
    assert not verifier.holds(key, data, right[:32] + (int.from_bytes(right[32:], "little") + verifier.L).to_bytes(32, "little"))
    assert not verifier.holds(key, data, right[:-1])
    assert not verifier.holds(key, data, b"")


@settings(max_examples=12, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511))
def test_the_verifier_agrees_with_cryptography_on_signatures(seed, message, bit):
    signer = Signer("example.org/x", seed)
    signature = signer.sign(message)
    assert verifier.holds(signer.vkey.public, message, signature)
    other = bytearray(signature)
    other[bit // 8] ^= 1 << bit % 8
    assert verifier.holds(signer.vkey.public, message, bytes(other)) == signer.vkey.holds(message, bytes(other)) is False


def test_the_verifier_agrees_on_trees():
    hashes = [leaf_hash(bytes([n])) for n in range(33)]
    for size in range(1, 34):
        root = root_of(hashes[:size])
        for index in range(size):
            proof = inclusion_proof(hashes[:size], index)
            assert verifier.climb(index, size - 1, hashes[index], proof)[1] == root
            wrong = [*proof[:-1], bytes(32)] if proof else [bytes(32)]
            assert root not in (quietly(verifier.climb, index, size - 1, hashes[index], wrong) or ())
        for old in range(1, size):
            proof, before = consistency_proof(hashes[:size], old, size), root_of(hashes[:old])
            assert verifier.extends(old, before, size, root, proof)
            assert not quietly(verifier.extends, old, bytes(32), size, root, proof)
            assert not quietly(verifier.extends, old, before, size, bytes(32), proof)
            assert not quietly(verifier.extends, old, before, size, root, proof[:-1])


@pytest.mark.parametrize(("old", "new"), [(0, 5), (-1, 5), (5, 5), (6, 5), (3, 5)])
def test_sizes_that_prove_nothing_are_refused(old, new):
    with pytest.raises(ValueError, match="no proof"):
        verifier.extends(old, bytes(32), new, bytes(32), [] if old == 3 else [bytes(32)])


def test_a_proof_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="too long"):
        verifier.climb(0, 1, bytes(32), [bytes(32)] * 2)


def test_public_keys_that_are_no_points_are_refused():
    """Not on the curve, not reduced, or a sign for x = 0 (RFC 8032, section 5.1.3)."""
    wrong = 0
    for y in range(2, 30):
        square = (y * y - 1) * pow(verifier.D * y * y + 1, -1, verifier.P) % verifier.P
        on_curve = pow(square, (verifier.P - 1) // 2, verifier.P) in (0, 1)
        made = quietly(verifier.point_of, y.to_bytes(32, "little"))
        assert bool(made) == on_curve
        wrong += not on_curve
    assert wrong > 5
    for data in ((verifier.P + 1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little")):
        with pytest.raises(ValueError, match="public key"):
            verifier.point_of(data)


def quietly(what, *arguments):
    try:
        return what(*arguments)
    except ValueError:
        return False


# a good bundle


def test_a_bundle_verifies_in_an_empty_environment_as_a_file_and_as_a_folder(bundle, archive, tmp_path):
    code, lines = check(bundle.file, *KEYS)
    assert (code, lines[-1]) == (0, "VERIFIED")
    assert [line for line in lines if line.startswith("signed")] == [f"signed   by {SIGNER.vkey}"]
    with zipfile.ZipFile(bundle.file) as made:
        made.extractall(tmp_path / "evidence")
    assert check(tmp_path / "evidence", *KEYS) == (0, lines)
    own = [sys.executable, "-I", "-S", str(tmp_path / "evidence" / "verify_bundle.py"), *KEYS]
    answer = subprocess.run(own, capture_output=True, text=True, env={}, cwd="/", check=False)
    assert (answer.returncode, answer.stdout.splitlines()) == (0, lines)
    assert bundle.said.splitlines() == lines


def test_the_run_that_a_result_was_taken_over_from_comes_along(bundle, archive):
    _, names = archive
    assert sorted(bundle.runs) == sorted(names[1:3])
    files = files_of(bundle.file)
    assert {name.split("/")[1] for name in files if name.startswith("runs/")} == set(names[1:3])
    _, lines = check(bundle.file, *KEYS)
    assert f"record   {names[2]} drift: failed, taken over from {names[1]}" in lines


def test_a_bundle_is_the_same_bytes_each_time(bundle, archive, tmp_path, monkeypatch):
    opened, names = archive
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    kept = os.umask(0o077)
    try:
        again = write_bundle(opened, [names[2], names[1]], tmp_path / "again.zip", keys=[SIGNER.vkey])
    finally:
        os.umask(kept)
    assert again.file.read_bytes() == bundle.file.read_bytes()
    assert again.digest == bundle.digest == sha256(bundle.file.read_bytes())


def test_a_bundle_holds_what_was_asked_for_and_nothing_of_other_runs(bundle, archive):
    opened, names = archive
    files = files_of(bundle.file)
    for run in names[1:3]:
        for path in Path(opened.root, "runs", run).rglob("*"):
            if path.is_file():
                assert files[path.relative_to(opened.root).as_posix()] == path.read_bytes()
        assert files[f"log/proofs/{run}/drift.tlog-proof"] == Path(opened.root, f"log/proofs/{run}/drift.tlog-proof").read_bytes()
    everything = b"".join(files.values())
    assert not [run for run in (names[0], *names[3:]) if run.encode() in everything]
    assert files["log/checkpoint"] == Path(opened.root, "log", "checkpoint").read_bytes()


def test_the_page_for_the_auditor_names_the_runs_the_verifier_and_what_is_not_proven(bundle, archive):
    text = files_of(bundle.file)["README.md"].decode()
    assert "{{" not in text
    assert all(run in text for run in archive[1][1:3])
    assert sha256(VERIFIER.read_bytes()) in text
    assert "## What is not" in text
    assert "VERIFIED" in text
    assert str(SIGNER.vkey) not in text


def test_a_crate_is_read_by_a_reader_of_crates(bundle, tmp_path):
    from rocrate.rocrate import ROCrate

    with zipfile.ZipFile(bundle.file) as made:
        made.extractall(tmp_path)
    crate = ROCrate(tmp_path)
    assert crate.metadata["conformsTo"] == "https://w3id.org/ro/crate/1.2"
    root = crate.root_dataset
    assert all(root.get(name) for name in ("name", "description", "datePublished", "license"))
    parts = {part.id: part for part in root["hasPart"]}
    files = files_of(bundle.file)
    assert set(parts) == set(files) - {"bundle.json", "ro-crate-metadata.json"}
    assert all(part["sha256"] == sha256(files[name]) for name, part in parts.items())
    assert all(int(part["contentSize"]) == len(files[name]) for name, part in parts.items())
    actions = [e for e in crate.contextual_entities if e.type == "CreateAction"]
    assert {a["name"] for a in actions} == {"cost of demo: passed", "drift of demo: failed"}
    assert all(part.id in files for a in actions for part in a["result"])


def test_an_environment_is_read_by_pip():
    from packaging.requirements import Requirement

    text = environment_text({"python": "3.13.1\nevil==1", "packages": {"numpy": "2.4.6", "a\nb": "1", "c": "1; os"}})
    asked = [Requirement(line) for line in text.splitlines() if not line.startswith("#")]
    assert [str(r) for r in asked] == ["numpy==2.4.6"]


# what is changed is seen


def mutants(files, seed, count):
    """Yield (what was done, the files after it)."""
    chance, names = random.Random(seed), sorted(files)
    for _ in range(count):
        name, kind = chance.choice(names), chance.choice(["flip", "cut", "gone", "swap", "more", "renamed", "twice"])
        data = files[name]
        if kind == "flip":
            at = chance.randrange(len(data))
            yield (
                f"{kind} {name} {at}",
                {**files, name: data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]},
            )
        elif kind == "cut":
            yield f"{kind} {name}", {**files, name: data[: chance.randrange(len(data))]}
        elif kind == "gone":
            yield f"{kind} {name}", {n: d for n, d in files.items() if n != name}
        elif kind == "swap":
            other = chance.choice([n for n in names if files[n] != data])
            yield f"{kind} {name} {other}", {**files, name: files[other], other: data}
        elif kind == "more":
            yield f"{kind} {name}.more", {**files, f"{name}.more": data}
        elif kind == "renamed":
            yield f"{kind} {name}", {n + (".old" if n == name else ""): d for n, d in files.items()}
        else:
            yield f"{kind} {name}", {**files, name: data + data}


def counts(few, many):
    """A few in the suite; as many as the claim rests on where it is proven."""
    return [few, pytest.param(many, marks=pytest.mark.prove)]


@pytest.mark.parametrize("count", counts(40, 1500))
def test_every_change_of_a_file_is_seen(bundle, checked_here, count):
    files = {n: d for n, d in files_of(bundle.file).items() if n != "bundle.json"}
    listing = files_of(bundle.file)["bundle.json"]
    assert checked_here({**files, "bundle.json": listing})[0] == 0
    for what, changed in mutants(files, 1, count):
        assert checked_here({**changed, "bundle.json": listing})[0], what


def is_evidence(name):
    return name.startswith(("runs/", "log/"))


@pytest.mark.parametrize("count", counts(80, 1500))
def test_every_change_of_the_evidence_is_seen_although_the_list_of_digests_was_made_to_agree(bundle, checked_here, count):
    files = files_of(bundle.file)
    evidence = {n: d for n, d in files.items() if is_evidence(n)}
    rest = {n: d for n, d in files.items() if not is_evidence(n)}
    unseen = []
    for what, changed in mutants(evidence, 2, count):
        if not checked_here(relisted({**changed, **rest}))[0]:
            unseen.append(what)
    optional = re.compile(r"(?:gone|renamed) log/leaves/00000000000[01]\.tlog-proof")  # that the log was opened, and its key
    assert [what for what in unseen if not optional.match(what)] == []


def test_a_verdict_that_was_changed_with_all_digests_and_the_statement_is_seen(bundle, archive, checked_here):
    """Somebody who has everything but the key: the record, its run, the statement and the lists all agree again."""
    files, run = files_of(bundle.file), archive[1][1]
    place = f"runs/{run}/records/drift.json"
    record = json.loads(files[place])
    record["results"][0]["verdicts"][0]["outcome"], record["outcome"] = "passed", "passed"
    files[place] = canonical(record)
    told = json.loads(files[f"runs/{run}/run.json"])
    for line in told["records"]:
        if line["check"] == "drift":
            line.update(id=sha256(files[place]), outcome="passed")
    told["outcome"], told["files"]["records/drift.json"] = "passed", sha256(files[place])
    files[f"runs/{run}/run.json"] = canonical(told)
    problems, said = checked_here(relisted(files))
    assert problems
    assert any("not what the log concluded" in text for word, text in said if word == "PROBLEM")
    for name in [n for n in files if n.startswith("log/leaves/") and n.endswith(".json")]:
        content = json.loads(files[name])
        if content["kind"] == "concluded" and content["run"] == run:
            content["digest"], content["records"]["drift"] = sha256(files[f"runs/{run}/run.json"]), sha256(files[place])
            files[name] = canonical(content)
    problems, said = checked_here(relisted(files))
    assert any("does not prove that log/leaves/" in text for word, text in said if word == "PROBLEM")
    assert any(f"does not prove that {place}" in text for word, text in said if word == "PROBLEM")


def test_an_archive_that_somebody_else_made_up_is_seen_with_the_key_and_says_what_it_needs_without(archive, tmp_path):
    log = log_in(tmp_path, OTHER)
    made = write_bundle(log.archive, [sealed_run(log).id], tmp_path / "made-up.zip")
    code, lines = check(made.file)
    assert (code, lines[-1]) == (0, "VERIFIED, IF THE KEY ABOVE IS THE ONE THAT YOU WERE GIVEN ANOTHER WAY")
    code, lines = check(made.file, *KEYS)
    assert code == 1
    assert "PROBLEM  log/checkpoint: it is not signed by a key that is to be trusted" in lines
    with pytest.raises(ArchiveError, match="not signed by a key"):
        write_bundle(log.archive, made.runs, tmp_path / "again.zip", keys=[SIGNER.vkey])


def test_a_record_of_another_run_put_in_its_place_is_seen(bundle, archive, checked_here):
    files, names = files_of(bundle.file), archive[1]
    for part in ("records/drift.json", "records/drift.dsse", "drift.ipynb", "drift.html"):
        files[f"runs/{names[1]}/{part}"] = files[f"runs/{names[2]}/{part}"]
    assert checked_here(relisted(files))[0]


def test_a_run_that_is_left_out_of_the_list_is_checked_all_the_same(bundle, archive, checked_here):
    files = files_of(bundle.file)
    listing = json.loads(files["bundle.json"])
    files["bundle.json"] = canonical({**listing, "runs": []})
    assert checked_here(files)[0] == 0
    files[f"runs/{archive[1][1]}/drift.html"] += b" "
    assert checked_here(relisted(files))[0]


def test_a_run_that_is_taken_out_is_missed_where_the_log_tells_of_it_and_a_bundle_of_nothing_proves_nothing(bundle, checked_here):
    files = {n: d for n, d in files_of(bundle.file).items() if not n.startswith(("runs/", "log/proofs/"))}
    files["bundle.json"] = canonical({**json.loads(files["bundle.json"]), "runs": []})
    code, lines = checked_here(relisted(files))
    assert (code > 0, any("there is no" in words and "run.json" in words for _, words in lines)) == (True, True)
    told = {n[: -len(".json")] for n, d in files.items() if n.startswith("log/leaves/") and b'"run":' in d}
    files = {n: d for n, d in files.items() if n.partition(".")[0] not in told}
    code, lines = checked_here(relisted(files))
    assert (code > 0, any("there is no run in this bundle" in words for _, words in lines)) == (True, True)


def test_bytes_of_the_zip_file_that_are_changed_change_nothing_that_is_read_or_are_seen(bundle, checked_here):
    data, good = bundle.file.read_bytes(), files_of(bundle.file)
    chance = random.Random(5)
    for _ in range(40):
        at = chance.randrange(len(data))
        changed = data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]
        try:
            problems, _ = checked_here(changed)
        except Exception:  # it is no bundle that can be read
            continue
        if not problems:
            with zipfile.ZipFile(BytesIO(changed)) as archive:
                assert {n: archive.read(n) for n in archive.namelist()} == good


@pytest.mark.parametrize("lie", ["announced after it was concluded", "concluded with another record", "never announced"])
def test_a_log_of_a_holder_of_the_key_that_does_not_tell_the_story_is_not_bundled(lie, tmp_path):
    log = log_in(tmp_path)
    sealed_run(log)
    run, files, records = made_run({"drift": 1.0}, number=1)
    told = {"run": run.id, "digest": run.digest, "outcome": run.outcome, "records": {"drift": records[0].id}}
    if lie == "concluded with another record":
        told["records"]["drift"] = "0" * 64
        announce(log, run=run.id, project="demo", checks=["drift"], seconds=60)
    write_run(log.archive, run, files)
    log.add((f"runs/{run.id}/records/drift.json", records[0].bytes), entry("concluded", **told))
    if lie == "announced after it was concluded":
        announce(log, run=run.id, project="demo", checks=["drift"], seconds=60)
    expected = "does not say that it started" if lie == "never announced" else "tells it otherwise"
    with pytest.raises(ArchiveError, match=expected):
        write_bundle(log.archive, [run.id], tmp_path / "e.zip", keys=[SIGNER.vkey])


@pytest.mark.parametrize("lie", ["an old record", "another page", "another original", "a false signature", "another statement"])
def test_a_record_that_a_holder_of_the_key_put_where_it_does_not_belong_is_seen(lie, tmp_path, monkeypatch):
    log = log_in(tmp_path)
    sealed_run(log)
    _, _, [before] = made_run({"drift": 1.0}, number=1)
    run, files, [record] = made_run({"drift": 1.0}, number=2)
    if lie == "an old record":
        record = before
    elif lie == "another page":
        record = replace(record, report_digest="0" * 64, id="")
    elif lie == "a false signature":
        signed = json.loads(files["records/drift.dsse"])
        signed["signatures"][0]["sig"] = json.loads(made_run({"drift": 1.0})[1]["records/drift.dsse"])["signatures"][0]["sig"]
        files["records/drift.dsse"] = canonical(signed)
    elif lie == "another statement":
        files["records/drift.dsse"] = made_run({"drift": 3.0}, number=3)[1]["records/drift.dsse"]
    else:
        record = replace(record, reused={"run": run.id, "record": "0" * 64, "started": record.started}, id="")
    files["records/drift.json"] = record.bytes
    listed = [{"check": "drift", "id": record.id, "outcome": "passed"}]
    run = replace(run, records=listed, files={n: sha256(d) for n, d in files.items()}, digest="")
    announce(log, run=run.id, project="demo", checks=["drift"], seconds=60)
    conclude(log, run, files)
    monkeypatch.setattr("prodnb.bundle.load_records", lambda archive, run: [record])  # what the archive's own reader would refuse
    expected = {"an old record": "is not the record that", "another page": "another notebook or page"}
    expected |= {"another original": "taken over from is", "a false signature": "signature is false"}
    with pytest.raises(ArchiveError, match=expected.get(lie, "it is about another drift")):
        write_bundle(log.archive, [run.id], tmp_path / "e.zip", keys=[SIGNER.vkey])


# unsigned, witnessed, stamped, rotated, pruned


def test_an_unsigned_log_is_called_so(tmp_path):
    log = log_in(tmp_path, None)
    made = write_bundle(log.archive, [sealed_run(log).id], tmp_path / "evidence.zip")
    code, lines = check(made.file)
    assert (code, lines[-1]) == (0, "VERIFIED, BUT UNSIGNED: the parts belong together; nothing says who made them")
    assert "not signed" in files_of(made.file)["README.md"].decode()
    assert check(made.file, *KEYS)[0] == 1


def test_a_log_whose_signatures_were_taken_away_is_seen(bundle, checked_here):
    files = files_of(bundle.file)
    bare = {n: re.sub(r"\n\n— [^\n]*\n$".encode(), b"\n\n", d) if n.startswith("log/") else d for n, d in files.items()}
    listing = json.loads(bare["bundle.json"])
    bare["bundle.json"] = canonical({**listing, "keys": []})
    assert checked_here(relisted(bare))[0]


def test_the_word_of_a_witness_and_a_time_stamp_come_along(archive, tmp_path, checked_here):
    log = log_in(tmp_path)
    run, last = sealed_run(log), last_batch(log.archive)
    sealed_run(log, number=1)
    place = f"log/cosigned/{last.size:012d}.{WITNESS.vkey.id.hex()}"
    log.archive.create(place, cosign(read_note(last.note), WITNESS, 1_770_000_000).to_bytes())
    log.archive.create(f"log/timestamps/{last.size:012d}.tsr", b"reply over " + bytes.fromhex(sha256(last.note)))
    made = write_bundle(log.archive, [run.id], tmp_path / "e.zip", keys=[SIGNER.vkey], witnesses=[WITNESS.vkey])
    _, lines = check(made.file, *KEYS, "--witness", str(WITNESS.vkey))
    assert f"witness  example.org/witness saw {last.size} leaves at 2026-02-02T02:40:00Z" in lines
    assert any(line.startswith("stamp    for its time and maker: openssl ts -verify") for line in lines)
    files = files_of(made.file)
    text = files["README.md"].decode()
    assert "witness" in text
    text = files[place].decode()
    for at in (text.rindex(" ") + 9, len(text) - 9):
        other = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        assert checked_here(relisted({**files, place: other.encode()}), witnesses=[WITNESS])[0]
    stamp = f"log/timestamps/{last.size:012d}.tsr"
    assert checked_here(relisted({**files, stamp: b"reply over something else"}))[0]
    eager = write_bundle(log.archive, [run.id], tmp_path / "f.zip", keys=[SIGNER.vkey], witnesses=[WITNESS.vkey, STRANGER.vkey])
    assert eager.digest == made.digest
    no_word = {n: d for n, d in files.items() if n != place}
    assert checked_here(relisted(no_word))[0] == 0
    assert checked_here(relisted(no_word), witnesses=[WITNESS])[0] == 1


def test_a_log_that_changed_its_key_verifies_with_the_new_one(tmp_path):
    log = log_in(tmp_path)
    before = sealed_run(log)
    log.rotate(OTHER)
    after = sealed_run(log, number=1)
    made = write_bundle(log.archive, [before.id, after.id], tmp_path / "e.zip", keys=[SIGNER.vkey, OTHER.vkey])
    assert check(made.file, "--key", str(OTHER.vkey))[1][-1] == "VERIFIED"
    assert check(made.file, *KEYS, "--key", str(OTHER.vkey))[0] == 0
    assert check(made.file)[0] == 0
    assert check(made.file, *KEYS)[0] == 1


def test_a_log_that_began_unsigned_verifies_with_its_key_and_says_what_was_not_signed(tmp_path, checked_here):
    before = sealed_run(log_in(tmp_path, None), {"drift": 1.0})
    log = log_in(tmp_path)
    after = sealed_run(log, number=1)
    made = write_bundle(log.archive, [before.id, after.id], tmp_path / "e.zip", keys=[SIGNER.vkey])
    code, lines = check(made.file, *KEYS)
    assert (code, lines[-1]) == (0, "VERIFIED")
    assert f"note     runs/{before.id}/records/drift.dsse is not signed: the log was not yet" in lines
    files, place = files_of(made.file), f"runs/{after.id}/records/drift.dsse"
    stripped = canonical({**json.loads(files[place]), "signatures": []})
    assert checked_here(relisted({**files, place: stripped}))[0]


def test_files_that_the_retention_removed_are_named_and_others_are_missed(tmp_path):
    log = log_in(tmp_path)
    run = sealed_run(log)
    log.add(entry("pruned", runs=[run.id], files=[".html", ".ipynb"], older_than="400d"))
    folder = tmp_path / "archive" / "runs" / run.id
    for name in ("drift.html", "drift.ipynb", "index.html"):
        (folder / name).unlink()
    made = write_bundle(log.archive, [run.id], tmp_path / "e.zip", keys=[SIGNER.vkey])
    code, lines = check(made.file, *KEYS)
    assert (code, lines[-1]) == (0, "VERIFIED")
    assert sum(line.startswith("pruned") for line in lines) == 3
    assert f"runs/{run.id}/drift.html`" in files_of(made.file)["README.md"].decode()
    (folder / "records" / "drift.dsse").unlink()
    with pytest.raises(ArchiveError, match=r"drift\.dsse"):
        write_bundle(log.archive, [run.id], tmp_path / "f.zip", keys=[SIGNER.vkey])


def test_a_checkpoint_that_the_auditor_kept_is_proven_to_be_extended(archive, tmp_path):
    opened, names = archive
    kept, foreign, copied = tmp_path / "kept", tmp_path / "foreign", tmp_path / "copied"
    sizes = sorted(int(p.name) for p in Path(opened.root, "log", "checkpoints").iterdir())
    kept.write_bytes(Path(opened.root, "log", "checkpoints", f"{sizes[1]:012d}").read_bytes())
    copied.write_bytes(kept.read_bytes().rstrip())
    made = write_bundle(opened, [names[4]], tmp_path / "e.zip", keys=[SIGNER.vkey], since=[copied])
    for file in (kept, copied):
        code, lines = check(made.file, *KEYS, "--checkpoint", str(file))
        assert code == 0, lines
        assert f"kept     the log extends the checkpoint of {sizes[1]} leaves in {file}" in lines
    copied.write_bytes(kept.read_bytes().replace(b"\n", b"\r\n"))
    assert check(made.file, *KEYS, "--checkpoint", str(copied))[0] == 0
    copied.write_bytes(Path(opened.root, "log", "checkpoints", f"{sizes[2]:012d}").read_bytes())
    code, lines = check(made.file, *KEYS, "--checkpoint", str(copied))  # a true one, and no part of this bundle
    assert (code, any("nothing here tells of the log" in line for line in lines)) == (1, True)
    log = log_in(tmp_path)
    sealed_run(log)
    foreign.write_bytes(last_batch(log.archive).note)
    assert check(made.file, *KEYS, "--checkpoint", str(foreign))[0] == 1
    with pytest.raises(ArchiveError, match="does not extend the checkpoint"):
        write_bundle(opened, [names[4]], tmp_path / "f.zip", keys=[SIGNER.vkey], since=[foreign])
    forked = kept.read_text().splitlines()
    foreign.write_text("\n".join([*forked[:2], "A" * 43 + "=", ""]))
    with pytest.raises(ArchiveError, match="does not extend the checkpoint"):
        write_bundle(opened, [names[4]], tmp_path / "f.zip", keys=[SIGNER.vkey], since=[foreign])
    with pytest.raises(ArchiveError, match="cannot read the checkpoint"):
        write_bundle(opened, [names[4]], tmp_path / "f.zip", keys=[SIGNER.vkey], since=[tmp_path / "none"])


# what cannot be bundled


def test_what_was_changed_in_the_archive_is_not_bundled(tmp_path):
    log = log_in(tmp_path)
    run = sealed_run(log)
    page = tmp_path / "archive" / "runs" / run.id / "drift.html"
    for data in (page.read_bytes() + b" ", b""):
        page.write_bytes(data)
        with pytest.raises(ArchiveError, match=r"drift\.html is not the file that run\.json names"):
            write_bundle(log.archive, [run.id], tmp_path / "e.zip", keys=[SIGNER.vkey])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive"]


def test_a_run_that_is_not_in_the_log_or_of_an_older_prodnb_is_not_bundled(archive, tmp_path):
    names, log = archive[1], log_in(tmp_path)
    sealed_run(log)
    run, files, _ = made_run(number=3)
    write_run(log.archive, run, files)
    with pytest.raises(ArchiveError, match="not concluded in the log"):
        write_bundle(log.archive, [run.id], tmp_path / "e.zip")
    with pytest.raises(ArchiveError, match=r"there is no runs/.*run\.json"):
        write_bundle(log.archive, [names[0]], tmp_path / "e.zip")
    assert not (tmp_path / "e.zip").exists()


def test_a_run_of_a_prodnb_without_a_log_has_no_proofs_to_bundle(tmp_path):
    run, files, _ = made_run({"drift": 1.0})
    facts = json.loads(run.bytes) | {"format": "prodnb.run.v1", "records": [], "outcome": "passed"}
    old = Run(**facts | {"outcome": worst([]), "files": {"index.html": sha256(files["index.html"])}})
    folder = tmp_path / "archive" / "runs" / old.id
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(old.to_dict()))
    (folder / "index.html").write_bytes(files["index.html"])
    log = log_in(tmp_path)
    new = sealed_run(log, number=1)
    with pytest.raises(ArchiveError, match="recorded by a prodnb without a log"):
        write_bundle(log.archive, [old.id], tmp_path / "e.zip")
    assert write_bundle(log.archive, [new.id], tmp_path / "e.zip").runs == [new.id]


def test_what_was_erased_is_told_and_everything_verifies(tmp_path):
    log, data = log_in(tmp_path), b"age-encryption.org/v1\n" + bytes(range(256))
    run, files, records = made_run(extra={"attachments/rows.age": data})
    announce(log, run=run.id, project="demo", checks=[r.check for r in records], seconds=60)
    conclude(log, run, files)
    log.add(entry("erased", run=run.id, names=["attachments/rows.age"], ground="asked for", by="ann"))
    made = write_bundle(log.archive, [run.id], tmp_path / "e.zip", keys=[SIGNER.vkey])
    kept = files_of(made.file)
    assert kept[f"runs/{run.id}/attachments/rows.age"] == data
    told = [json.loads(d) for n, d in kept.items() if n.startswith("log/leaves/") and n.endswith(".json")]
    assert [e["ground"] for e in told if e["kind"] == "erased"] == ["asked for"]
    assert check(made.file, *KEYS)[1][-1] == "VERIFIED"


def test_a_file_that_is_there_is_not_written_over_and_a_folder_that_is_not_is_named(archive, tmp_path):
    opened, names = archive
    (tmp_path / "e.zip").write_text("mine")
    with pytest.raises(ArchiveError, match="there already"):
        write_bundle(opened, names[:1], tmp_path / "e.zip")
    assert (tmp_path / "e.zip").read_text() == "mine"
    with pytest.raises(ArchiveError, match="cannot write"):
        write_bundle(opened, names[:1], tmp_path / "nowhere" / "e.zip")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"bundle.json": b"["},
        {"bundle.json": b"[" * 100_000},
        {"bundle.json": b"[]"},
        {"bundle.json": b'{"format": "prodnb.bundle.v9"}'},
        {"bundle.json": b'{"format": "prodnb.bundle.v1"}'},
    ],
)
def test_what_is_no_bundle_ends_with_2(files, tmp_path):
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    code, lines = check(tmp_path / "e.zip")
    assert code == 2
    assert "no bundle that can be read" in lines[-1]


def test_a_bundle_of_a_newer_form_ends_with_2(bundle, tmp_path):
    files = files_of(bundle.file)
    files["bundle.json"] = canonical({**json.loads(files["bundle.json"]), "format": "prodnb.bundle.v2"})
    (tmp_path / "e.zip").write_bytes(zipped(files))
    code, lines = check(tmp_path / "e.zip")
    assert code == 2
    assert "does not read prodnb.bundle.v2" in lines[-1]


def test_a_file_that_is_not_there_or_a_key_that_is_none_ends_with_2(bundle, tmp_path):
    assert check(tmp_path / "none")[0] == 2
    for key in ("nonsense", "a+b", f"{SIGNER.vkey}x", str(SIGNER.vkey).replace("89a5", "89a6")):
        assert check(bundle.file, "--key", key)[0] == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[" * 100_000, b"{}", b"7", b"null", b'{"kind": 3}', b"x\n" * 50_000, "\x1b[2J\u202e".encode()],
    ids=range(9),
)
def test_hostile_files_are_problems_and_no_crash(bundle, content, checked_here):
    files = files_of(bundle.file)
    for name in sorted(n for n in files if is_evidence(n))[::8]:
        assert checked_here(relisted({**files, name: content}))[0], name


def test_no_text_of_a_bundle_commands_the_terminal(bundle, tmp_path):
    files = relisted({**files_of(bundle.file), "runs/\x1b[2J\u202eevil": b"x"})
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    code, lines = check(tmp_path / "e.zip")
    assert code == 1
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_a_file_that_is_there_twice_is_seen(bundle, tmp_path):
    target = tmp_path / "e.zip"
    target.write_bytes(bundle.file.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(target, "a") as archive:
        archive.writestr("README.md", files_of(bundle.file)["README.md"])
    code, lines = check(target)
    assert code == 1
    assert any("more than once" in line for line in lines)


# the command


def test_the_command_writes_a_bundle_and_says_what_the_auditor_needs(archive, tmp_path):
    import typer

    from prodnb.evidence_commands import bundle_command

    app = typer.Typer()
    app.command()(bundle_command)
    opened, names = archive
    target = tmp_path / "evidence.zip"
    arguments = [names[4][:-4], "--archive", opened.root, "-o", str(target), "--key", str(SIGNER.vkey), "--json"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert told["sha256"] == sha256(target.read_bytes())
    assert told["verifier"][-1] == "VERIFIED"
    assert told["checkpoint"]["size"] == newest_checkpoint(open_archive(opened.root)).size
    again = CliRunner().invoke(app, [*arguments[:-1], "--from", str(tmp_path / "none")])
    assert isinstance(again.exception, ArchiveError)
    target.unlink()
    shown = CliRunner().invoke(app, arguments[:-1])
    assert str(SIGNER.vkey) in shown.stdout.replace("\n", "")
