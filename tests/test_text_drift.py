"""Drift of texts and embeddings: how they are written, what they say, where they lie; quiet where nothing has moved, and no name named."""

import json
import re
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from prodnb.inputs import Roles
from prodnb.tables import open_table
from prodnb.text_columns import find_texts, text_properties
from prodnb.text_drift import check_text_drift, embedding_tests, standardised
from prodnb.text_terms import carrying_terms, score_texts, word_array

WORDS = "room bed staff breakfast view quiet clean nice small street noisy cheap warm open late dinner".split()  # noqa: SIM905


def verdict(result, about):
    [found] = [v for v in result.verdicts if v.statistic.about == about]
    return found


def texts(rng: np.random.Generator, n: int, *, extra=(), share: float = 0.0, words: tuple[int, int] = (6, 15)) -> list[str]:
    found = []
    for k in range(n):
        said = list(rng.choice(WORDS, rng.integers(*words))) + (list(extra) if rng.random() < share else [])
        found.append(f"{' '.join(rng.permutation(said))} {k}.")
    return found


def lists(rng: np.random.Generator, n: int, shift: float = 0.0) -> list[np.ndarray]:
    x = rng.normal(size=(n, 64))
    x[:, :6] += shift
    return list(x)


def test_texts_are_told_from_levels_and_identifiers():
    rng, n = np.random.default_rng(0), 300
    frame = pd.DataFrame({"mail": texts(rng, n), "town": ["Bern"] * n, "order": [f"A-{k}" for k in range(n)]})
    frame = frame.assign(full_name=[f"Ann van der Berg {k}" for k in range(n)], phrase=["one of few long phrases"] * n)
    table = open_table(frame.assign(number=1.5))
    found, why = find_texts(table, table.columns)
    assert found == ["mail"]
    assert set(why) == {"order", "full_name"}
    assert find_texts(table, ["number"]) == ([], {})


def test_properties_are_those_that_python_counts():
    samples = ["Zürich: 12 Rooms.  Nice!\n\tYes", "ok", "a.b c? 3.5 d...", " ÄÖ  lead", "日本 語 text", "x" * 300, " ", "", None]
    rows = (
        text_properties(open_table(pd.DataFrame({"t": samples, "n": range(9)})), "t", ["n"])
        .order_by("n")
        .to_pyarrow()
        .to_pylist()
    )
    assert [row["n"] for row in rows] == [0, 1, 2, 3, 4, 5]
    for text, row in zip(samples, rows, strict=False):
        assert row["t: length"] == len(text)
        assert row["t: words"] == len(text.split())
        assert row["t: sentences"] == len(re.findall(r"[.!?](?:\s|$)", text))
        assert row["t: digits"] == pytest.approx(len(re.findall("[0-9]", text)) / len(text))
        assert row["t: capitals"] == pytest.approx(sum(unicodedata.category(c) == "Lu" for c in text) / len(text))
        assert row["t: non-ASCII"] == pytest.approx(sum(ord(c) > 127 for c in text) / len(text))


def test_a_new_topic_fails_and_the_same_topics_pass():
    rng = np.random.default_rng(1)
    before = pd.DataFrame({"mail": texts(rng, 900), "town": "Bern"})
    now = pd.DataFrame({"mail": texts(rng, 900, extra=("refund", "password"), share=0.4), "town": "Bern"})
    result = check_text_drift(before, now)
    assert verdict(result, "mail").outcome == "failed"
    assert {"refund", "password"} <= {row["term"] for row in result.tables["terms"] if row["stands out"]}
    row = next(row for row in result.tables["terms"] if row["term"] == "refund")
    assert row["low"] <= 0.4 <= row["high"]
    again = check_text_drift(before, now)
    assert again.to_dict() == result.to_dict()
    json.dumps(result.to_dict(), allow_nan=False)
    same = check_text_drift(before, pd.DataFrame({"mail": texts(rng, 900), "town": "Bern"}))
    assert same.outcome == "passed"
    assert {v.statistic.name for v in same.verdicts} == {"text_drift"}


def test_no_person_no_address_and_no_number_is_named():
    rng, n = np.random.default_rng(2), 400
    old = texts(rng, n)
    new = [f"{t} Miller ann@example.org 5551234 AB12 rareword{k}" for k, t in enumerate(texts(rng, n))]
    result = check_text_drift(pd.DataFrame({"mail": old}), pd.DataFrame({"mail": new}))
    assert verdict(result, "mail").outcome == "failed"
    shown = json.dumps(result.to_dict()).lower()
    for secret in ("miller", "example", "5551234", "ab12", "rareword"):
        assert secret not in shown, secret


def test_words_are_quiet_where_nothing_has_moved():
    labels, alarms, repeats = np.repeat([0, 1], 80), 0, 60
    from prodnb.domain_classifier import scored_auc

    for seed in range(repeats):
        words = word_array(texts(np.random.default_rng(seed), 160))
        alarms += scored_auc(score_texts(words, labels, seed=seed)).p < 0.05
    assert alarms <= 0.05 * repeats + 2 * np.sqrt(repeats * 0.05 * 0.95)
    assert word_array([f"w{k}" for k in range(99)]) is None


def test_terms_are_measured_on_texts_that_did_not_choose_them():
    rng, labels, out, shown = np.random.default_rng(3), np.repeat([0, 1], 200), 0, 0
    for seed in range(20):
        said = texts(rng, 400)
        words = word_array(said)
        found = carrying_terms(score_texts(words, labels, seed=seed), words, said)
        out, shown = out + sum(t.stands_out for t in found), shown + len(found)
    assert shown > 100
    assert out <= 0.05 * shown + 2 * np.sqrt(shown * 0.05 * 0.95)


def test_how_texts_are_written_is_judged_over_all_rows():
    rng, n = np.random.default_rng(4), 1500
    before = pd.DataFrame({"mail": texts(rng, n)})
    longer = pd.DataFrame({"mail": texts(rng, n, words=(10, 19))})
    found = verdict(check_text_drift(before, longer), "mail: words")
    assert (found.outcome, found.statistic.name) == ("failed", "text_drift")
    assert found.message.startswith("text_drift of mail: words")
    loud = before.assign(mail=before.mail.sample(frac=1, random_state=0).str.upper().to_numpy())
    result = check_text_drift(before, loud)
    assert verdict(result, "mail: capitals").outcome == "failed"
    assert verdict(result, "mail: words").outcome == "passed"
    gone = before.assign(mail=before.mail.where(rng.random(n) > 0.4, ""))
    result = check_text_drift(before, gone)
    assert verdict(result, "mail: has a text").outcome == "failed"
    assert verdict(result, "mail: words").outcome == "passed"


def test_embeddings_are_quiet_where_nothing_has_moved():
    """Evidently 0.7.23 alarms on 40 of 40 such pairs (150 rows, 32 components): MMD with its bootstrap, `ratio` and `distance` as they come."""
    labels, repeats = np.repeat([0, 1], 150), 150
    ps = []
    for seed in range(repeats):
        x = standardised(np.random.default_rng(seed).normal(size=(300, 32)))
        auc, distance = embedding_tests(x, labels, permutations=99, seed=seed)
        ps.append((auc.p, distance.p))
    alarms = (np.array(ps) <= 0.05).sum(axis=0)
    assert (alarms <= 0.05 * repeats + 2 * np.sqrt(repeats * 0.05 * 0.95)).all()


def test_a_small_shift_in_a_few_components_is_found():
    rng = np.random.default_rng(5)
    before, now = ({"v": lists(rng, 1500, shift)} for shift in (0, 0.3))
    result = check_text_drift(pd.DataFrame(before), pd.DataFrame(now))
    assert verdict(result, "v").outcome == "failed"
    assert verdict(result, "v: distance").outcome == "warned"
    assert verdict(result, "v: distance").statistic.p < 0.05
    same = check_text_drift(pd.DataFrame(before), pd.DataFrame({"v": lists(rng, 1500)}))
    assert same.outcome == "passed"
    assert {v.statistic.name for v in same.verdicts} == {"embedding_drift"}


def test_a_change_that_no_line_can_see_is_seen_by_the_distance():
    rng = np.random.default_rng(6)
    wider = [1.3 * x for x in lists(rng, 600)]
    result = check_text_drift(pd.DataFrame({"v": lists(rng, 600)}), pd.DataFrame({"v": wider}))
    assert verdict(result, "v").statistic.p > 0.01
    assert verdict(result, "v: distance").outcome == "warned"


def test_odd_lists_are_counted_and_left_out():
    rng, n = np.random.default_rng(7), 400
    before, now = lists(rng, n), lists(rng, n)
    for k in range(100):
        now[k] = (None, now[k][:5], np.append(now[k][:-1], np.nan), np.append(now[k][:-1], np.inf))[k % 4]
    result = check_text_drift(pd.DataFrame({"v": before}), pd.DataFrame({"v": now}))
    assert verdict(result, "v: usable").outcome == "failed"
    assert verdict(result, "v: usable").statistic.value == pytest.approx(0.25)
    assert verdict(result, "v").outcome == "passed"
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=6400).astype("f4")), 64)
    assert check_text_drift(pa.table({"v": fixed}), pa.table({"v": fixed})).outcome in ("passed", "unknown")
    far = check_text_drift(pd.DataFrame({"v": before}), pd.DataFrame({"v": [x * 1e300 for x in lists(rng, n)]}))
    json.dumps(far.to_dict(), allow_nan=False)
    ragged = pd.DataFrame({"v": [[1.0] * (2 + k % 7) for k in range(100)]})
    result = check_text_drift(ragged, ragged)
    assert result.outcome == "skipped"
    assert "different lengths" in result.notes[-1]


def test_without_texts_it_is_skipped_and_says_so():
    frame = pd.DataFrame({"a": range(99), "town": ["Bern"] * 99})
    result = check_text_drift(frame, frame)
    assert [v.outcome for v in result.verdicts] == ["skipped"]
    assert "no column holds texts or embeddings" in result.message
    assert check_text_drift(None, frame).outcome == "skipped"


@pytest.mark.parametrize(
    ("change", "about", "outcome", "words"),
    [
        (lambda d: d.drop(columns="mail"), "mail", "unknown", "the current data lack it"),
        (lambda d: d.assign(mail=1), "mail", "unknown", "its type has changed"),
        (lambda d: d.assign(v="x"), "v", "unknown", "its type has changed"),
        (lambda d: d.assign(mail=None), "mail: has a text", "failed", "100 %"),
        (lambda d: d.assign(v=None), "v: usable", "failed", "100 %"),
        (lambda d: d.assign(v=[np.ones(64)] * len(d)), "v", "failed", "AUC 1"),
        (lambda d: d[:20], "mail", "unknown", "it takes 50"),
        (lambda d: d[:0], "v", "unknown", "it takes 50"),
    ],
)
def test_bad_input_is_unknown_or_right(change, about, outcome, words):
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"mail": texts(rng, 200), "v": lists(rng, 200)})
    result = check_text_drift(frame, change(frame.copy()))
    assert verdict(result, about).outcome == outcome
    assert words in verdict(result, about).message
    json.dumps(result.to_dict(), allow_nan=False)


def test_roles_leave_out_and_time_makes_blocks():
    rng, n = np.random.default_rng(9), 400
    frames = [
        pd.DataFrame(
            {"when": pd.date_range(start, periods=n, freq="h"), "mail": texts(rng, n), "note": texts(rng, n), "v": lists(rng, n)}
        )
        for start in ("2024-01-01", "2024-03-01")
    ]
    result = check_text_drift(*frames, roles=Roles(time="when", ignore=("note",)))
    assert not any(v.statistic.about.startswith("note") for v in result.verdicts)
    assert verdict(result, "mail").outcome in ("passed", "warned")
    assert verdict(result, "v: distance").statistic.method.count("blocks of rows") == 1


def test_detectable_is_at_the_level_of_all_tests_together():
    """Five columns, each told by itself, or all at once: what would have been seen is more where the level is shared."""
    rng, n = np.random.default_rng(7), 400
    columns = {f"t{k}": texts(rng, 2 * n) for k in range(3)} | {f"v{k}": lists(rng, 2 * n) for k in range(2)}
    frame = pd.DataFrame(columns)
    together = check_text_drift(frame[:n], frame[n:])
    shared = check_text_drift(frame[["t0"]][:n], frame[["t0"]][n:], alpha=0.05 / 7)
    alone = check_text_drift(frame[["t0"]][:n], frame[["t0"]][n:])
    assert verdict(together, "t0").statistic.detectable == pytest.approx(verdict(shared, "t0").statistic.detectable)
    assert verdict(together, "t0").statistic.detectable > verdict(alone, "t0").statistic.detectable
    one = check_text_drift(frame[["v0"]][:n], frame[["v0"]][n:], alpha=2 * 0.05 / 7)
    about = "v0: distance"
    assert verdict(together, about).statistic.detectable == pytest.approx(verdict(one, about).statistic.detectable)


@pytest.mark.parametrize("held", [4, 19])
def test_a_term_that_few_texts_hold_is_not_named(held):
    rng = np.random.default_rng(8)
    new = [t + (" zebra" if k < held else "") + " refund" for k, t in enumerate(texts(rng, 300))]
    result = check_text_drift(pd.DataFrame({"mail": texts(rng, 300)}), pd.DataFrame({"mail": new}))
    shown = json.dumps(result.to_dict())
    assert "refund" in shown
    assert "zebra" not in shown
