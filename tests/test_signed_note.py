"""Signed notes, checkpoints, co-signatures and proofs as files: against published notes and against a second reading of the specification."""

import base64
import contextlib
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from prodnb.errors import ArchiveError
from prodnb.merkle import inclusion_proof, leaf_hash, root_of
from prodnb.signed_note import (
    WITNESS_KEY,
    Checkpoint,
    Note,
    Signer,
    Vkey,
    cosign,
    parse_vkey,
    proof_text,
    read_checkpoint,
    read_note,
    read_proof,
    read_signer,
    sign_note,
    verify_cosignature,
    verify_note,
)

# golang.org/x/mod/sumdb/note: the reference implementation's example.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
NOTE = f"{TEXT}\n{LINE}".encode()

# github.com/transparency-dev/formats: checkpoints with co-signatures that it made.
COSIGNED = (
    "example.com/vector-log\n1234\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n"
    "— example.com/vector-log RRah2qlLrSlk6J8DA1HmNewppUM15Quhs5cAIb1KjBsV3otVirJTW8AFVsQtJkTW1Zny7GuoAxZpI6bUPcpM68QOIgE=\n"
    "— witness.example.com/vector QW8QPQAAAABqwLUbDdj7sDNRIVjmjYgqFI6y4UJhPg/UAA8J8wAdqSd3q4PedRhkgXA4xFN/Jg5uWn7ZkBA+H/UHQs5d9hITdXmQAA==\n"
)
LOG_KEY = "example.com/vector-log+4516a1da+ARGkVJ4QEa2MOOLGBO6i7NVSJ1FQ97tIX+w+Ku0RZ6Em"
WITNESS_VKEY = "witness.example.com/vector+416f103d+BK/QmJFVP3SKJOqAMhFxBQPtylo3sjwWibyFDAlZKK8B"
WITNESS_SKEY = "PRIVATE+KEY+witness.example.com/vector+416f103d+BJEX3xv88eoQIKT4E+GkxZcXaJCYlQfi/GJ3NDFmZIW8"
OTHER_VKEY = "vec.example/cosigv10+c12688da+BLMSTPoQj0PojM8eKiPf9xUT8g6b0OuMyvYb5sSu9JH5"
OTHER_NOTE = base64.b64decode(
    "dmVjLmV4YW1wbGUvY29zaWd2MTAKNDIKQ3NVWWFwR0dQbzRka01nSUFVcW9tL1hhamo3aDJmQjJNUEEzajJqeHEyST0KCuKAlCB2ZWMuZXhhbXBsZS9jb3NpZ3YxMCB3U2FJMmdB"
    "QUFBQnFiTDVRM0hqYlRDSmVxTWczdG1wZFlHQWcwNWlqVGk3azBweXJlSlNVTG10djNnK3lYSCtHL0tvODdKRytRa0xGNmFmOStHVlZObEVJZ2Y2VDBidzB3UXlNRHc9PQo="
)
ANN = Signer("prodnb.local/flights", bytes(range(32)))
WITNESS = Signer("audit.example/w1", bytes(range(1, 33)), WITNESS_KEY)
BODY = Checkpoint("prodnb.local/flights/0a1b2c3d", 3, bytes(range(32))).body


def test_the_published_note_is_reproduced_byte_for_byte():
    signer = read_signer(SKEY)
    assert str(signer.vkey) == VKEY
    assert signer.secret() == SKEY
    assert sign_note(TEXT, signer) == NOTE
    assert verify_note(read_note(NOTE), [parse_vkey(VKEY)]) == [signer.vkey]


def test_the_published_cosignatures_hold_and_are_reproduced():
    note, witness = read_note(COSIGNED.encode()), parse_vkey(WITNESS_VKEY)
    assert verify_note(note, [parse_vkey(LOG_KEY), witness]) == [parse_vkey(LOG_KEY)]
    assert verify_cosignature(note, witness) == 1791014171
    assert cosign(Note(note.text, note.signatures[:1]), read_signer(WITNESS_SKEY), 1791014171).to_bytes() == COSIGNED.encode()
    assert read_checkpoint(note).size == 1234
    assert verify_cosignature(read_note(OTHER_NOTE), parse_vkey(OTHER_VKEY)) > 1_600_000_000
    with pytest.raises(ArchiveError, match="not of this text"):
        verify_cosignature(read_note(COSIGNED.replace("1234", "1235").encode()), witness)


@pytest.mark.parametrize(
    "bad",
    [
        TEXT.encode(),
        NOTE[:-1],
        b"\x01" + NOTE,
        b"\xff" + NOTE,
        NOTE.replace(b"PeterNeumann", b"Bad Name"),
        NOTE + b"Unexpected line.\n",
        NOTE.replace("—".encode(), b"-"),
        NOTE.replace(b"x08g", b"x08"),
        NOTE.replace(b"nAM=", b"nAN="),
        b"\n\n" + LINE.encode(),
        b"",
        TEXT.encode() + b"\n" + "— PeterNeumann x08goA==\n".encode()[:-1],
        TEXT.encode() + b"\n" + "— PeterNeumann x08gow==\n".encode(),
        b"a" * (1 << 20) + NOTE,
    ],
)
def test_what_is_no_note_is_refused(bad):
    with pytest.raises(ArchiveError):
        read_note(bad)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("PeterNeumann", "Peter Neumann"),
        VKEY[:-1],
        SKEY,
    ],
)
def test_what_is_no_key_is_refused(bad):
    with pytest.raises(ArchiveError):
        parse_vkey(bad)


def test_no_part_of_a_private_key_is_a_private_key_and_no_error_shows_it():
    for n in range(len(SKEY)):
        for bad in (SKEY[:n], SKEY[:n] + chr(ord(SKEY[n]) ^ 1) + SKEY[n + 1 :]):
            with pytest.raises(ArchiveError) as e:
                read_signer(bad)
            assert "AYEKFALV" not in str(e.value)
    assert "AYEK" not in repr(read_signer(SKEY))


# A second implementation, from C2SP signed-note and tlog-cosignature alone.


def opened(data):
    """Return the text and {(name, key id): bytes} of a note."""
    text, _, lines = data.decode("utf-8").rpartition("\n\n")
    found = {}
    for line in lines.splitlines():
        dash, name, blob = line.split(" ")
        assert dash == "\u2014"
        raw = base64.b64decode(blob)
        found[name, raw[:4]] = raw[4:]
    return text + "\n", found


def holds(public, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


names = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Z", "C")), min_size=1, max_size=20
).filter(lambda t: "+" not in t and not any(c.isspace() for c in t) and t.isprintable())
seeds = st.binary(min_size=32, max_size=32)
texts = st.text(st.characters(min_codepoint=32, exclude_categories=("C",)), min_size=1, max_size=40).map(lambda t: t + "\n")


@given(st.lists(texts, min_size=1, max_size=4).map("".join), names, seeds, st.integers(0, 2**63 - 1))
@settings(max_examples=40)
def test_notes_of_ours_pass_a_second_implementation(text, name, seed, time):
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    data = sign_note(text, Signer(name, seed))
    body, found = opened(data)
    key = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    assert body == text
    assert holds(public, found[name, key], text.encode())
    both, found = opened(cosign(read_note(data), Signer(name, seed, WITNESS_KEY), time).to_bytes())
    other = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    assert both == text
    stamp, signature = found[name, other][:8], found[name, other][8:]
    assert int.from_bytes(stamp, "big") == time
    assert holds(public, signature, f"cosignature/v1\ntime {time}\n{text}".encode())


@given(names, seeds, st.sampled_from([1, 4]))
def test_keys_come_back_from_their_text(name, seed, kind):
    signer = Signer(name, seed, kind)
    assert read_signer(signer.secret()) == signer
    assert parse_vkey(str(signer.vkey)) == signer.vkey


def test_a_signature_of_another_is_passed_over_and_a_false_one_is_not():
    bob = Signer(ANN.name, bytes(32))  # of the same name
    note = read_note(sign_note(BODY, ANN))
    assert verify_note(note, [bob.vkey]) == []
    assert verify_note(note, []) == []
    assert verify_note(read_note(sign_note(BODY, ANN, bob)), [bob.vkey, ANN.vkey]) == [bob.vkey, ANN.vkey]
    moved = Note(note.text.replace("\n3\n", "\n4\n"), note.signatures)
    with pytest.raises(ArchiveError, match="not of this text"):
        verify_note(moved, [ANN.vkey])
    assert verify_note(moved, [bob.vkey]) == []


def test_a_cosignature_is_not_a_signature_of_the_log_and_the_other_way_round():
    same = Signer(ANN.name, ANN.private, WITNESS_KEY)
    note = cosign(read_note(sign_note(BODY)), same, 5)
    assert verify_note(note, [ANN.vkey, same.vkey]) == []
    assert verify_cosignature(note, ANN.vkey) is None
    assert verify_cosignature(read_note(sign_note(BODY, ANN)), same.vkey) is None
    with pytest.raises(ArchiveError, match="not a witness"):
        cosign(note, ANN, 5)


def test_the_time_of_a_cosignature_is_signed():
    line = cosign(read_note(sign_note(BODY)), WITNESS, 1000).signatures[0]
    later = type(line)(line.name, line.key, (1001).to_bytes(8, "big") + line.data[8:])
    for false in (
        later,
        type(line)(line.name, line.key, line.data[:40]),
        type(line)(line.name, line.key, b"\xff" + line.data[1:]),
    ):
        with pytest.raises(ArchiveError, match="not of this text"):
            verify_cosignature(Note(BODY, (false,)), WITNESS.vkey)


def test_a_time_that_cannot_be_is_refused_though_it_is_signed():
    with pytest.raises(ArchiveError, match="not of this text"):
        verify_cosignature(cosign(read_note(sign_note(BODY)), WITNESS, 1 << 63), WITNESS.vkey)


def test_of_two_cosignatures_of_one_witness_the_earlier_counts():
    both = cosign(cosign(read_note(sign_note(BODY)), WITNESS, 2000), WITNESS, 1000)
    assert verify_cosignature(both, WITNESS.vkey) == 1000


def test_an_unsigned_checkpoint_is_a_note_without_signatures():
    data = sign_note(BODY)
    assert data == BODY.encode() + b"\n"
    assert read_note(data).signatures == ()
    assert read_checkpoint(data).size == 3


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "body",
    [
        f"origin\n03\n{ROOT}\n",
        f"origin\n-3\n{ROOT}\n",
        f"origin\n\u0663\n{ROOT}\n",
        f"origin\n3\n{ROOT[:-1]}\n",
        f"origin\n3\n{ROOT[:-4]}\n",
        f" \n3\n{ROOT}\n",
        f"origin\n3\n{ROOT}\nmore\n",
        "origin\n3\n",
        f"origin\n{10**20}\n{ROOT}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(body):
    with pytest.raises(ArchiveError):
        read_checkpoint(sign_note(body, ANN))


LEAVES = [leaf_hash(bytes([n])) for n in range(5)]
SIGNED = sign_note(Checkpoint("o", 5, root_of(LEAVES)).body, ANN)


@pytest.mark.parametrize("index", range(5))
def test_a_proof_has_the_form_of_the_specification(index):
    data = proof_text(index, inclusion_proof(LEAVES, index), SIGNED)
    lines = data.decode().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", f"index {index}"]
    end = lines.index("")
    assert [base64.b64decode(x) for x in lines[2:end]] == inclusion_proof(LEAVES, index)
    assert "\n".join(lines[end + 1 :]).encode() == SIGNED
    assert read_proof(data).index == index
    extra = data.replace(b"@v1\n", b"@v1\nextra YWdl\n", 1)
    assert read_proof(extra) == read_proof(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"),
        (b"index 3", b"index 03"),
        (b"index 3", b"index -1"),
        (b"index 3", b"index"),
        (b"\n\n", b"\n"),
        (b"index 3\n", b"index 3\nAAAA\n"),
        (b"index 3\n", b"index 3\n" + base64.b64encode(bytes(32)) + b"\n" + b"\n"),
        (b"\n5\n", b"\n05\n"),
        (b"index 3\n", b"index 3\n" + (base64.b64encode(bytes(32)) + b"\n") * 70),
        (b"index 3", b"index \xff"),
    ],
)
def test_what_is_no_proof_is_refused(old, new):
    data = proof_text(3, inclusion_proof(LEAVES, 3), SIGNED)
    assert old in data
    with pytest.raises(ArchiveError):
        read_proof(data.replace(old, new, 1))


@given(st.binary(max_size=200))
def test_no_bytes_end_in_a_traceback(data):
    for read in (read_note, read_checkpoint, read_proof):
        for content in (data, SIGNED[: len(data)] + data, data + SIGNED):
            with contextlib.suppress(ArchiveError):
                read(content)


def test_names_of_keys_are_kept_apart_from_the_rest_of_a_line():
    for name in ("", "a b", "a+b", "a\u00a0b", "a\nb", "a\u2028b"):
        with pytest.raises(ArchiveError, match="not a name of a key"):
            Vkey(name, bytes(32))
