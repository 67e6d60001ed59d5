"""The Merkle tree against published vectors, against the RFC's recursive definitions, and against whoever would cheat."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodnb.errors import ArchiveError
from prodnb.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The test tree of the certificate transparency project (merkletree/merkle_tree_test.cc): leaves, roots of its beginnings, proofs.
LEAVES = [
    bytes.fromhex(h) for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A, B, C, D, E, F = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
)
G = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
INCLUSION = [  # index from 0, size, path
    *[(0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, E, ROOTS[4]]), (2, 3, [ROOTS[2]]), (1, 5, [ROOTS[1], B, D])],
]
CONSISTENCY = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[4]]), (2, 5, [B, D]), (6, 7, [F, G, ROOTS[4]])]


def hexes(nodes):
    return [n.hex() for n in nodes]


HASHES = [leaf_hash(data) for data in LEAVES]


def test_roots_are_those_published():
    assert [root_of(HASHES[:n]).hex() for n in range(9)] == ROOTS


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_inclusion_proofs_are_those_published(index, size, path):
    assert hexes(inclusion_proof(HASHES, index, size)) == path
    assert verify_inclusion(HASHES[index], index, size, [bytes.fromhex(h) for h in path], bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "path"), CONSISTENCY)
def test_consistency_proofs_are_those_published(old, new, path):
    assert hexes(consistency_proof(HASHES, old, new)) == path
    roots = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new])
    assert verify_consistency(old, new, *roots, [bytes.fromhex(h) for h in path])


# RFC 6962, 2.1, 2.1.1 and 2.1.2, as they stand there: recursive, over the data itself.


def mth(d):
    if len(d) <= 1:
        return sha256(b"\x00" + d[0]).digest() if d else sha256(b"").digest()
    k = split(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m, d):
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m, d, b):
    if m == len(d):
        return [] if b else [mth(d)]
    k = split(len(d))
    return [*subproof(m, d[:k], b), mth(d[k:])] if m <= k else [*subproof(m - k, d[k:], False), mth(d[:k])]


DATA = [bytes([n, n + 1]) for n in range(34)]
KNOWN = [leaf_hash(d) for d in DATA]


@pytest.mark.parametrize("size", range(1, 35))
def test_every_small_proof_is_the_definitions(size):
    root = root_of(KNOWN[:size])
    assert root == mth(DATA[:size])
    for index in range(size):
        proof = inclusion_proof(KNOWN, index, size)
        assert proof == path(index, DATA[:size])
        assert verify_inclusion(KNOWN[index], index, size, proof, root)
        assert not any(verify_inclusion(KNOWN[index], other, size, proof, root) for other in range(size) if other != index)
    for old in range(1, size + 1):
        proof = consistency_proof(KNOWN, old, size)
        assert proof == subproof(old, DATA[:size], True)
        assert verify_consistency(old, size, root_of(KNOWN[:old]), root, proof)


@pytest.mark.parametrize("first", range(0, 34))
def test_a_frontier_and_what_follows_prove_the_same(first):
    after, rest = EMPTY.add(KNOWN[:first]), KNOWN[first:]
    assert after.add(rest).root == root_of(KNOWN)
    for index in range(first, 34):
        assert inclusion_proof(rest, index, after=after) == inclusion_proof(KNOWN, index)
    for old in range(first, 35):
        assert consistency_proof(rest, old, after=after) == consistency_proof(KNOWN, old)


hashes = st.binary(min_size=32, max_size=32)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=300), st.data())
@settings(max_examples=60)
def test_proofs_of_any_tree_hold_and_no_other_passes(data, draw):
    leaves = [leaf_hash(d) for d in data]
    size, root = len(leaves), root_of(leaves)
    cuts = draw.draw(st.integers(0, size))
    assert EMPTY.add(leaves[:cuts]).add(leaves[cuts:]).root == root == mth(data)
    index = draw.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    old = draw.draw(st.integers(1, size))
    extends, before = consistency_proof(leaves, old), root_of(leaves[:old])
    assert verify_consistency(old, size, before, root, extends)
    other = draw.draw(hashes.filter(lambda h: h not in (root, before, leaves[index])))
    assert not verify_inclusion(other, index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, proof, other)
    assert not verify_inclusion(leaves[index], index, size, [*proof, other], root)
    assert not verify_consistency(old, size, other, root, extends)
    assert not verify_consistency(old, size, before, other, extends)
    assert not verify_consistency(old, size, before, root, [*extends, other])
    for n in range(len(proof)):
        assert not verify_inclusion(leaves[index], index, size, [*proof[:n], other, *proof[n + 1 :]], root)
        assert not verify_inclusion(leaves[index], index, size, [*proof[:n], *proof[n + 1 :]], root)
    for n in range(len(extends)):
        assert not verify_consistency(old, size, before, root, [*extends[:n], other, *extends[n + 1 :]])
        assert not verify_consistency(old, size, before, root, [*extends[:n], *extends[n + 1 :]])


@given(st.lists(st.binary(max_size=4), min_size=2, max_size=80), st.data())
@settings(max_examples=60)
def test_a_rewritten_beginning_cannot_be_proven(data, draw):
    leaves = [leaf_hash(d) for d in data]
    old = draw.draw(st.integers(1, len(leaves)))
    changed = draw.draw(st.integers(0, old - 1))
    rewritten = [*leaves[:changed], leaf_hash(b"rewritten"), *leaves[changed + 1 :]]
    if rewritten != leaves:
        proof = consistency_proof(rewritten, old)
        assert not verify_consistency(old, len(leaves), root_of(leaves[:old]), root_of(rewritten), proof)


@given(st.integers(-3, 40), st.integers(-3, 40), st.lists(hashes, max_size=7), hashes, hashes)
def test_a_made_up_proof_is_refused_without_an_error(a, b, proof, one, two):
    assert not verify_inclusion(one, a, b, proof, two) or ((a, b, proof) == (0, 1, []) and one == two)
    assert not verify_consistency(a, b, one, two, proof) or (a == b and one == two and not proof)


@pytest.mark.parametrize(("index", "size"), [(5, 1), (1, 1), (-1, 1), (0, 0), (34, 34), (-1, 34)])
def test_a_leaf_that_the_tree_does_not_have_is_in_no_tree(index, size):
    assert not verify_inclusion(KNOWN[0], index, size, [], KNOWN[0])
    assert not verify_inclusion(KNOWN[-1], index, size, inclusion_proof(KNOWN, 33), root_of(KNOWN))


def test_an_inner_node_is_no_leaf():
    assert root_of([leaf_hash(HASHES[0] + HASHES[1])]) != root_of(HASHES[:2])


def test_the_empty_tree_is_the_beginning_of_every_other():
    assert consistency_proof(KNOWN, 0) == []
    assert verify_consistency(0, 34, EMPTY.root, root_of(KNOWN), [])
    assert verify_consistency(0, 0, EMPTY.root, EMPTY.root, [])
    assert not verify_consistency(0, 0, EMPTY.root, KNOWN[0], [])
    assert not verify_consistency(0, 34, KNOWN[0], root_of(KNOWN), [])
    assert not verify_consistency(0, 34, EMPTY.root, root_of(KNOWN), [KNOWN[0]])


@pytest.mark.parametrize(
    ("size", "given"),
    [(1, ()), (2, (KNOWN[0], KNOWN[1])), (3, (KNOWN[0],)), (0, (KNOWN[0],)), (1, (b"short",)), (-1, (KNOWN[0],))],
)
def test_a_frontier_that_cannot_be_is_refused(size, given):
    with pytest.raises(ArchiveError):
        Frontier(size, given)


def test_what_is_not_known_is_not_proven():
    after = EMPTY.add(KNOWN[:8])
    for wanted in (lambda: inclusion_proof(KNOWN[8:], 3, after=after), lambda: inclusion_proof(KNOWN, 34)):
        with pytest.raises(ArchiveError):
            wanted()
    with pytest.raises(ArchiveError, match="nothing can be proven of 5"):
        consistency_proof(KNOWN[8:], 5, after=after)
