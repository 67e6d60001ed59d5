"""Files of single cases: private, whole or not at all, never in the place of another unasked; and nothing of them in a report."""

import hashlib
import json
import os
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from prodnb.allowed_changes import Changes
from prodnb.cases import SCHEMA, CaseFile, waterfall_svg, write_cases
from prodnb.counterfactual import counterfactuals
from prodnb.errors import InputError
from prodnb.explanation import Explanation
from prodnb.model import Model
from prodnb.reason_map import Reason, ReasonMap
from prodnb.reasons import certify, reason_verdicts

SLOPE = np.array([2.0, 1.0, -0.5])
NAMES = ("income", "years", "debts")
RNG = np.random.default_rng(0)
BACKGROUND = RNG.normal(size=(400, 3))
PEOPLE = pd.DataFrame(RNG.normal(size=(6, 3)).round(3), columns=NAMES)
MODEL = Model(name="credit", task="binary", predict=lambda f: f, digest={"algorithm": "sha256", "digest": "ab12"})
WORDS = ReasonMap(
    (
        Reason("means", ("income", "debts"), "Your means are good", "Your means are poor"),
        Reason("years", ("years",), "long", None),
    ),
    "Ann",
    "2026-11-02",
    "cd34",
)


def score(frame):
    return (frame[list(NAMES)].to_numpy(float) @ SLOPE)[:, None]


def explained(people=PEOPLE):
    blocks = SLOPE * (people.to_numpy()[:, None] - BACKGROUND.reshape(40, 10, 3).mean(axis=1)[None])
    base = np.array([(BACKGROUND @ SLOPE).mean()])
    return Explanation(
        blocks[..., None], np.full(40, 1 / 40), base, score(people), NAMES, "log-odds of 'paid'", "closed form", True, 400
    )


FOUND = explained()
CERTIFIED = certify(FOUND, WORDS)


def written(tmp_path, **more):
    kept = write_cases(tmp_path / "cases.json", FOUND, CERTIFIED, **more)
    return kept, json.loads((tmp_path / "cases.json").read_text(), parse_constant=pytest.fail)


def test_the_file_says_what_it_stands_on(tmp_path):
    advice = counterfactuals(score, PEOPLE, PEOPLE, Changes({"income": "free"}), scale=FOUND.scale)
    kept, document = written(tmp_path, model=MODEL, ids=list("uvwxyz"), rows=PEOPLE, advice=advice)
    assert document["schema"] == SCHEMA
    assert document["model"] == {"name": "credit", "algorithm": "sha256", "digest": "ab12"}
    assert document["explanation"]["background_rows"] == 400
    assert document["explanation"]["scale"] == "log-odds of 'paid'"
    assert document["certificate"]["limit"] == 0.95
    assert document["reason_map"] == {"sha256": "cd34", "reviewed": True, "by": "Ann", "on": "2026-11-02"}
    assert [c["id"] for c in document["cases"]] == list("uvwxyz")
    assert kept.cases == 6
    for n, case in enumerate(document["cases"]):
        total = document["explanation"]["base"][0] + sum(v[0] for v in case["contributions"].values())
        assert total == pytest.approx(case["prediction"][0])
        assert case["values"] == PEOPLE.iloc[n].to_dict()
        assert case["decision"].startswith(
            "the log-odds of 'paid' " + ("reached" if case["prediction"][0] >= 0 else "stayed below")
        )
        assert (case["status"] == "abstained") == (not case["reasons"]) == bool(case["why"])
        for reason in case["reasons"]:
            assert np.sign(reason["contribution"]) == (1 if case["prediction"][0] >= 0 else -1)
            both = sum(case["contributions"][c][0] for c in reason["columns"])
            assert reason["contribution"] == pytest.approx(both)
        if case["counterfactual"]["found"]:
            (change,) = case["counterfactual"]["changes"]
            assert change["before"] == case["values"]["income"]


def test_words_are_those_of_the_map_and_none_is_invented(tmp_path):
    _, document = written(tmp_path)
    reasons = [(r, c["prediction"][0] >= 0) for c in document["cases"] for r in c["reasons"]]
    assert reasons
    for reason, accepted in reasons:
        expected = {("means", True): "Your means are good", ("means", False): "Your means are poor", ("years", True): "long"}
        assert reason["words"] == expected.get((reason["reason"], accepted))
        assert ("note" in reason) == (reason["words"] is None)


def test_reasons_that_do_not_hold_are_not_in_the_file(tmp_path):
    noise = np.random.default_rng(1).normal(size=(6, 40, 3, 1))
    found = Explanation(
        noise, np.full(40, 1 / 40), np.zeros(1), np.ones((6, 1)), NAMES, "log-odds of 'paid'", "noise", False, 400
    )
    kept = write_cases(tmp_path / "n.json", found, certify(found))
    cases = json.loads((tmp_path / kept.name).read_text())["cases"]
    abstained = [c for c in cases if c["status"] == "abstained"]
    assert len(abstained) >= 4
    assert all(c["reasons"] == [] and c["why"] for c in abstained)


# The file


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_its_owner_can_read_it(tmp_path, mask):
    before = os.umask(mask)
    try:
        written(tmp_path)
        write_cases(tmp_path / "cases.json", FOUND, CERTIFIED, overwrite=True)
    finally:
        os.umask(before)
    assert (tmp_path / "cases.json").stat().st_mode & 0o777 == 0o600


def test_a_readable_file_in_its_place_does_not_stay_readable(tmp_path):
    (tmp_path / "cases.json").write_text("{}")
    os.chmod(tmp_path / "cases.json", 0o644)
    write_cases(tmp_path / "cases.json", FOUND, CERTIFIED, overwrite=True)
    assert (tmp_path / "cases.json").stat().st_mode & 0o777 == 0o600


def test_the_digest_is_that_of_the_bytes_and_the_same_again(tmp_path):
    kept, _ = written(tmp_path)
    data = (tmp_path / "cases.json").read_bytes()
    assert kept.sha256 == hashlib.sha256(data).hexdigest()
    assert write_cases(tmp_path / "again.json", FOUND, CERTIFIED).sha256 == kept.sha256


def test_another_file_is_not_replaced_unasked_and_said_when_asked(tmp_path):
    (tmp_path / "cases.json").write_text("something else")
    with pytest.raises(InputError, match="already"):
        write_cases(tmp_path / "cases.json", FOUND, CERTIFIED)
    assert (tmp_path / "cases.json").read_text() == "something else"
    kept = write_cases(tmp_path / "cases.json", FOUND, CERTIFIED, overwrite=True)
    assert kept.replaced == hashlib.sha256(b"something else").hexdigest()
    assert kept.replaced in kept.note
    assert os.listdir(tmp_path) == ["cases.json"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    sync = os.fsync

    def appears(handle):
        (tmp_path / "cases.json").write_text("mine")
        sync(handle)

    monkeypatch.setattr("prodnb.cases.os.fsync", appears)
    with pytest.raises(InputError, match="already"):
        write_cases(tmp_path / "cases.json", FOUND, CERTIFIED)
    assert (tmp_path / "cases.json").read_text() == "mine"
    assert os.listdir(tmp_path) == ["cases.json"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_disk_that_fails_leaves_what_was_there(tmp_path, monkeypatch, overwrite):
    if overwrite:
        (tmp_path / "cases.json").write_text("before")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prodnb.cases.os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_cases(tmp_path / "cases.json", FOUND, CERTIFIED, overwrite=overwrite)
    assert os.listdir(tmp_path) == (["cases.json"] if overwrite else [])
    assert not overwrite or (tmp_path / "cases.json").read_text() == "before"


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refused(*args, **more):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("prodnb.cases.os.link", refused)
    written(tmp_path)
    assert (tmp_path / "cases.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="already"):
        write_cases(tmp_path / "cases.json", FOUND, CERTIFIED)
    assert os.listdir(tmp_path) == ["cases.json"]


def test_folders_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no folder 'nowhere'"):
        write_cases(tmp_path / "nowhere" / "cases.json", FOUND, CERTIFIED)
    with pytest.raises(InputError, match="it is a folder"):
        write_cases(tmp_path, FOUND, CERTIFIED)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ids": [1, 2]}, "2 ids for 6"),
        ({"ids": [1, 1, 2, 3, 4, 5]}, "same id"),
        ({"rows": PEOPLE.head(2)}, "2 rows"),
        ({"advice": []}, "0 counterf"),
    ],
)
def test_what_does_not_belong_together_is_not_written(tmp_path, more, words):
    with pytest.raises(InputError, match=words):
        write_cases(tmp_path / "cases.json", FOUND, CERTIFIED, **more)
    assert os.listdir(tmp_path) == []


def test_nothing_of_a_case_reaches_the_report(tmp_path):
    kept, document = written(tmp_path, ids=[f"person-{n}" for n in range(6)], rows=PEOPLE)
    verdicts, table = reason_verdicts(CERTIFIED)
    told = repr(kept) + kept.note + repr(verdicts) + repr(table)
    assert "person-" not in told
    assert str(tmp_path) not in told
    for case in document["cases"]:
        assert not any(str(v) in told for v in [*case["values"].values(), case["prediction"][0]])


def test_values_of_every_kind_are_plain_json(tmp_path):
    rows = pd.DataFrame(
        {
            "income": [np.nan, 1, 2, 3, 4, 5],
            "years": pd.array([None, 1, 2, 3, 4, 5], "Int64"),
            "debts": [pd.Timestamp("2026-01-01")] * 6,
        }
    )
    _, document = written(tmp_path, rows=rows, ids=[np.int64(n) for n in range(6)])
    assert document["cases"][0]["values"] == {"income": None, "years": None, "debts": "2026-01-01 00:00:00"}
    assert document["cases"][1]["id"] == 1


def test_the_note_names_file_and_digest_only():
    note = CaseFile("cases.json", "ab" * 32, 1200).note
    assert "1,200 single cases" in note
    assert "ab" * 32 in note


# The picture


def bars(svg):
    return [r for r in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect") if r.get("x")]


def test_the_bars_lead_from_the_base_to_the_prediction():
    svg = waterfall_svg(list("abc"), np.array([1.0, -0.5, 0.25]), 2.0, 2.75, scale="s")
    found = [(float(r.get("x")), float(r.get("width"))) for r in bars(svg)]
    unit = found[0][1]  # the bar of 1.0
    assert [w / unit for _, w in found] == pytest.approx([1, 0.5, 0.25], abs=0.01)
    assert found[1][0] + found[1][1] == pytest.approx(found[0][0] + unit, abs=0.2)  # the second begins where the first ends
    assert len({r.get("fill") for r in bars(svg)}) == 2
    assert "+1" in svg
    assert "-0.5" in svg


def test_many_columns_are_added_up_and_names_are_escaped():
    sizes = np.arange(40, 0, -1) / 10
    svg = waterfall_svg(["<script>"] + ["x" * 80] * 39, sizes, 0.0, sizes.sum(), scale="a & b", values=["<b>"] * 40)
    assert "<script>" not in svg
    assert "31 others" in svg
    assert len(bars(svg)) == 10
    assert f"{sizes[9:].sum():+.3g}" in svg


def test_nothing_contributes():
    svg = waterfall_svg(["a"], np.zeros(1), 0.0, 0.0, scale="s")
    assert len(bars(svg)) == 1
