"""The form of a notebook survives every way to write it again, and nothing else: against nbformat and a second RFC 8785."""

import json
import random
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodnb.errors import ArchiveError
from prodnb.notebook_form import cell_digests, form_digests, notebook_form
from prodnb.record import sha256

ROOT = Path(__file__).resolve().parents[1]
SOME = sorted(ROOT.glob("templates/*.ipynb")) + sorted(ROOT.glob("nbs/5*.ipynb"))[:12]


def es_number(value):
    """Write a number as ECMAScript does (ECMA-262, Number::toString), from its shortest digits; written for this test."""
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    digits, k = "".join(map(str, digits)), len(digits)
    n = k + exponent
    if k <= n <= 21:
        text = digits + "0" * (n - k)
    elif 0 < n <= 21:
        text = digits[:n] + "." + digits[n:]
    elif -6 < n <= 0:
        text = "0." + "0" * -n + digits
    else:
        power = f"e{'+' if n > 0 else '-'}{abs(n - 1)}"
        text = digits[0] + ("." + digits[1:] if k > 1 else "") + power
    return "-" * sign + text


def jcs(value):
    """A second implementation of RFC 8785, written for this test."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda k: k.encode("utf-16be"))
        return "{" + ",".join(json.dumps(k, ensure_ascii=False) + ":" + jcs(value[k]) for k in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(jcs, value)) + "]"
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return es_number(value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
LINES = st.lists(st.sampled_from(["a", "b\n", "\n", "\u2028", "x\r\n", "é\x0b", ""]), max_size=5).map("".join)
BUNDLE = st.fixed_dictionaries(
    {"text/plain": LINES}, optional={"application/json": JSON, "image/svg+xml": LINES, "application/x+json": JSON}
)
OUTPUT = st.one_of(
    st.builds(lambda t: {"output_type": "stream", "name": "stdout", "text": t}, LINES),
    st.builds(lambda d: {"output_type": "display_data", "metadata": {}, "data": d}, BUNDLE),
    st.builds(
        lambda t: {"output_type": "error", "ename": "E", "evalue": "v", "traceback": t}, st.lists(st.just("line"), max_size=3)
    ),
)
CELL = st.one_of(
    st.builds(
        lambda s, o, t: {
            "cell_type": "code",
            "metadata": {"trusted": t},
            "execution_count": None,
            "source": s,
            "outputs": o,
        },
        LINES,
        st.lists(OUTPUT, max_size=3),
        st.booleans(),
    ),
    st.builds(
        lambda s: {"cell_type": "markdown", "metadata": {}, "source": s, "attachments": {"a.txt": {"text/plain": s}}}, LINES
    ),
)


def notebook_of(cells, metadata):
    named = [{**cell, "id": f"cell-{n}"} for n, cell in enumerate(cells)]
    return {"cells": named, "metadata": {"a": metadata}, "nbformat": 4, "nbformat_minor": 5}


NOTEBOOK = st.builds(notebook_of, st.lists(CELL, max_size=4), JSON)


def as_a_browser(value):
    """What JSON.stringify(JSON.parse(text)) gives: no difference between 1 and 1.0."""
    if isinstance(value, dict):
        return {k: as_a_browser(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_a_browser(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


@settings(max_examples=25, deadline=None)
@given(NOTEBOOK, st.randoms(use_true_random=False))
def test_a_notebook_that_is_written_again_has_the_same_form(notebook, chance):
    read = nbformat.reads(json.dumps(notebook), as_version=4)
    shuffled = {k: notebook[k] for k in chance.sample(list(notebook), len(notebook))}
    ways = [
        json.dumps(notebook, indent=1),
        json.dumps(shuffled, ensure_ascii=False, separators=(",", ":")),
        nbformat.writes(read),
        nbformat.writes(nbformat.reads(nbformat.writes(read), as_version=4)),
        json.dumps(as_a_browser(json.loads(nbformat.writes(read)))),
    ]
    forms = [notebook_form(way) for way in ways]
    assert len(set(forms)) == 1
    joined = json.loads(json.dumps(read))
    for cell in joined["cells"]:
        cell["metadata"].pop("trusted", None)
    assert forms[0] == jcs(joined).encode()
    cells = [{"id": c["id"], "digest": sha256(jcs(c).encode())} for c in joined["cells"]]
    assert cell_digests(notebook) == cells
    assert form_digests(ways[1]) == (sha256(forms[0]), cells)


@pytest.mark.parametrize("path", SOME, ids=lambda p: p.stem)
def test_a_real_notebook_that_nbformat_writes_again_has_the_same_form(path):
    text = path.read_text(encoding="utf-8")
    again = nbformat.writes(nbformat.reads(text, as_version=4))
    assert notebook_form(text) == notebook_form(again) == notebook_form(text.encode())


@settings(max_examples=30, deadline=None)
@given(JSON, st.sampled_from(["", "é", "\u2713", "\ue000", "\U0001f600", "\0", "\\u0000", '"']))
def test_the_short_way_and_the_long_way_give_the_same_form(value, mark):
    notebook = {"cells": [], "metadata": {"a": value, "b" + mark: [mark, 1e-9, -0.0, 1e21, 123456789012345680.0]}, "nbformat": 4}
    expected = jcs(notebook).encode()
    assert notebook_form(notebook) == expected
    for ascii_only in (False, True):
        assert notebook_form(json.dumps(notebook, ensure_ascii=ascii_only)) == expected
        assert notebook_form(json.dumps(notebook, ensure_ascii=ascii_only).encode()) == expected


def leaves(value, path=()):
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    elif value is not None:
        yield path


def test_every_change_of_what_a_notebook_says_changes_its_form_and_one_cell():
    text = next(p for p in SOME if p.stem == "drift").read_text(encoding="utf-8")
    notebook, chance = json.loads(nbformat.writes(nbformat.reads(text, as_version=4))), random.Random(3)
    code = next(c for c in notebook["cells"] if c["cell_type"] == "code")
    data = {"text/plain": ["a\n", "b"], "application/json": {"p": 0.25, "n": [1, 2]}}
    code["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data}]
    before, cells = notebook_form(notebook), cell_digests(notebook)
    found = list(leaves(notebook))
    for path in chance.sample(found, min(80, len(found))):
        other = json.loads(json.dumps(notebook))
        inner = other
        for key in path[:-1]:
            inner = inner[key]
        old = inner[path[-1]]
        inner[path[-1]] = (not old) if isinstance(old, bool) else old + "x" if isinstance(old, str) else old + 1
        if path[0] == "nbformat":
            continue
        assert notebook_form(other) != before, path
        changed = [n for n, (a, b) in enumerate(zip(cells, cell_digests(other), strict=True)) if a["digest"] != b["digest"]]
        assert changed == ([path[1]] if path[0] == "cells" else []), path


def test_numbers_that_a_double_does_not_hold_and_texts_that_are_none_have_a_form():
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": 1, "source": "", "outputs": []}
    shown = '{"big": 9007199254740993, "more": 1e400, "none": NaN, "half": "\\ud800"}'
    text = json.dumps({"cells": [cell], "metadata": {"x": 0}, "nbformat": 4, "nbformat_minor": 5}).replace('{"x": 0}', shown)
    assert b'{"big":9007199254740992,"half":"?","more":"Infinity","none":"NaN"}' in notebook_form(text)


@pytest.mark.parametrize(
    "wrong", [b"", b"\xff", b"[]", b"{}", b'{"nbformat": 3, "cells": []}', b'{"nbformat": 4, "cells": {}}', b"[" * 100_000]
)
def test_what_is_no_notebook_is_refused(wrong):
    with pytest.raises(ArchiveError, match="not a notebook"):
        notebook_form(wrong)


def test_a_notebook_that_is_nested_too_deeply_is_refused():
    deep: list = []
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(ArchiveError, match="nested too deeply"):
        notebook_form({"cells": [], "metadata": {"a": deep}, "nbformat": 4})
    while deep:  # an object that is nested so deeply is taken apart by hand
        deep = deep.pop()


def test_odd_cells_have_a_form_too():
    odd = [1, None, "x", {}, {"id": 5, "source": ["a", 1]}, {"outputs": [3, {}, {"output_type": "stream", "text": ["a", "b"]}]}]
    form = notebook_form({"cells": odd, "nbformat": 4})
    assert b'"text":"ab"' in form
    assert [c["id"] for c in cell_digests({"cells": odd, "nbformat": 4})] == ["", "", "", "", "5", ""]
