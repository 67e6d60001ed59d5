"""Reasons: the certificate against closed forms, fresh backgrounds and planted ties; the file of words; what a report may say of them."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from shared import shared_data

from prodnb.errors import InputError
from prodnb.explanation import Explanation
from prodnb.probe import threads
from prodnb.reason_map import Reason, ReasonMap, draft_reasons, read_reasons, unworded
from prodnb.reasons import certified_counts, certify, decisions, limit_for, reason_verdicts, survival, toward
from prodnb.verdict import Limit

NAMES = ("a", "b", "c", "d", "e", "f")


def explained(blocks, scale="log-odds of 'yes'", predictions=None, features=None, weights=None):
    """An explanation by hand: blocks of shape (rows, blocks, features), every case accepted unless told otherwise."""
    blocks = np.asarray(blocks, float)
    blocks = blocks if blocks.ndim == 4 else blocks[..., None]
    rows, count, width, outputs = blocks.shape
    predictions = np.full((rows, outputs), 2.0) if predictions is None else np.asarray(predictions, float).reshape(rows, outputs)
    weights = np.full(count, 1 / count) if weights is None else weights
    names = features or tuple(f"x{n}" for n in range(width))
    return Explanation(blocks, weights, np.zeros(outputs), predictions, names, scale, "by hand", True, 1000)


def noisy(values, error, blocks=100, seed=0):
    """Blocks around values (rows, features), each mean with a standard error of exactly `error`."""
    values = np.asarray(values, float)
    noise = np.random.default_rng(seed).normal(size=(len(values), blocks, values.shape[1]))
    noise -= noise.mean(axis=1, keepdims=True)
    noise /= noise.std(axis=1, ddof=1, keepdims=True)
    return values[:, None] + error * np.sqrt(blocks) * noise


# The certificate


@pytest.mark.parametrize("gap", [0.02, 0.1, 0.2, 0.4])
def test_survival_of_two_reasons_has_a_closed_form(gap):
    """Both values move with variance s^2 in each of the two backgrounds: the difference of two has 4 s^2, but for the correlation of the noise drawn."""
    blocks = noisy([[1 + gap, 1.0]], 0.05, blocks=200)
    spread = (blocks[0, :, 0] - blocks[0, :, 1]).std(ddof=1) / np.sqrt(200)
    found = survival(blocks, np.full(200, 1 / 200), 2, seed=1, repeats=4000)
    assert found[0, 0] == pytest.approx(norm.cdf(gap / (np.sqrt(2) * spread)), abs=0.025)
    assert found[0, 1] == 1


def test_survival_matches_a_plain_loop_over_sets():
    rng = np.random.default_rng(3)
    blocks = rng.normal(0.1, 1, (6, 30, 5))
    weights = rng.dirichlet(np.full(30, 5.0))
    found = survival(blocks, weights, 4, seed=7, repeats=300)
    rng = np.random.default_rng(7)
    drawn = [rng.multinomial(30, np.full(30, 1 / 30), 300) * weights for _ in range(2)]
    first, second = (d / d.sum(axis=1, keepdims=True) for d in drawn)

    def leading(values, j):
        return {n for n in sorted(range(5), key=lambda n: -values[n])[:j] if values[n] > 0}

    for row in range(6):
        ours = weights @ blocks[row]
        others = ours + (first - second) @ blocks[row] * np.sqrt(30 / 29)
        expected = [np.mean([leading(o, j) == leading(ours, j) for o in others]) for j in range(1, 5)]
        assert np.allclose(found[row], expected)


def population(rows=150, size=1500, width=8, seed=0):
    """Contributions of each case against each row of a population: skewed, correlated, close to each other."""
    rng = np.random.default_rng(seed)
    loading = rng.normal(size=(width, width)) * 0.6
    background = rng.gamma(1.0, 1.0, (size, width)) @ loading
    return rng.normal(0, 1, (rows, 1, width)) * np.linspace(1.5, 0.3, width) + background[None] * 0.4


def drawn(whole, seed, size=400):
    """Contributions against one background of `size` rows, in 40 blocks."""
    rows = np.random.default_rng(seed).integers(0, whole.shape[1], size)
    return whole[:, rows].reshape(len(whole), 40, size // 40, -1).mean(axis=2)


def test_the_chance_is_that_of_fresh_backgrounds_and_a_plain_bootstrap_says_too_much():
    whole, weights, rng = population(), np.full(40, 1 / 40), np.random.default_rng(0)
    said, kept, plain = [], [], []
    for seed in range(12):
        ours, fresh = drawn(whole, seed), [drawn(whole, 1000 + 50 * seed + n).mean(axis=1) for n in range(12)]
        said.append(survival(ours, weights, 4, seed=seed, repeats=300)[:, 3])
        mean = ours.mean(axis=1)
        kept.append(np.mean([same(mean, other, 4) for other in fresh], axis=0))
        again = [ours[:, rng.integers(0, 40, 40)].mean(axis=1) for _ in range(100)]
        plain.append(np.mean([same(mean, other, 4) for other in again], axis=0))
    said, kept, plain = map(np.concatenate, (said, kept, plain))
    assert abs(said.mean() - kept.mean()) < 0.02
    assert plain.mean() - kept.mean() > 0.02  # the usual way: more than two of a hundred promises too many
    for low, high in ((0.2, 0.6), (0.6, 0.9), (0.9, 1.01)):  # and it holds at every level of the promise
        at = (said >= low) & (said < high)
        assert abs(said[at].mean() - kept[at].mean()) < 0.06


def same(one, other, k):
    """Is the set of the k leading reasons that push toward the decision the same?"""

    def top(values):
        chosen = np.zeros(values.shape, bool)
        np.put_along_axis(chosen, np.argsort(-values, axis=1)[:, :k], True, axis=1)
        return chosen & (values > 0)

    return (top(one) == top(other)).all(axis=1)


def test_given_reasons_change_in_at_most_one_case_of_a_hundred():
    whole, changed, told, cases = population(seed=4), 0.0, 0, 0
    for seed in range(8):
        found = certify(explained(drawn(whole, seed)), seed=seed)
        ours = found.pushes
        fresh = [drawn(whole, 5000 + 50 * seed + n).mean(axis=1) for n in range(10)]
        for j in range(1, 5):
            mine = found.given == j
            changed += sum((~same(ours[mine], other[mine], j)).sum() for other in fresh) / len(fresh)
        told, cases = told + int((found.given > 0).sum()), cases + len(found.given)
    assert changed / told <= 0.01
    assert told / cases > 0.8


def test_two_equal_columns_are_never_told_apart():
    blocks = noisy([[3.0, 1.0, 1.0, 0.2]], 0.01)
    blocks[..., 2] = blocks[..., 1]
    found = certify(explained(blocks))
    assert found.survival[0].tolist() == [1.0, 0.0, 1.0, 1.0]
    assert found.given[0] == 4
    only = certify(explained(blocks), k=2, at_least=2)
    assert only.abstained[0]
    assert "leading 2 reasons" in only.why(0)


def test_noise_gets_no_reasons():
    blocks = np.random.default_rng(0).normal(size=(100, 50, 10))
    assert certify(explained(blocks)).abstained.mean() > 0.95


def test_sampling_error_in_the_blocks_lowers_the_promise():
    exact, rough = noisy([[2.0, 1.0, 0.9, 0.3]], 0.005), noisy([[2.0, 1.0, 0.9, 0.3]], 0.2)
    assert certify(explained(exact)).survival[0, 1] > 0.99 > certify(explained(rough)).survival[0, 1]


def test_a_case_that_nothing_pushes_toward_its_decision_is_told_so():
    found = certify(explained(noisy([[-1.0, -2.0, -0.5]], 0.01)))
    assert found.abstained[0]
    assert "base" in found.why(0)


def test_all_the_reasons_there_are_may_be_fewer_than_asked_for():
    blocks = noisy([[2.0, -1.0, -1.0, 0.0]], 0.001)
    blocks[..., 3] = 0
    found = certify(explained(blocks), at_least=3)
    assert found.given[0] == 1
    assert found.order[0, 1:].tolist() == [-1, -1, -1]
    assert found.why(0) == ""
    assert found.certified[0] == 1


def test_a_column_near_zero_may_join_and_that_counts():
    found = certify(explained(noisy([[2.0, 0.0001, -3.0]], 0.1)), k=2, at_least=2)
    assert found.survival[0, 1] < 0.7


def test_higher_limits_give_fewer_reasons():
    blocks = drawn(population(seed=2), 0)
    given = [certify(explained(blocks), limit=limit, at_least=1).given for limit in (0.8, 0.9, 0.95, 0.99)]
    assert all((a >= b).all() for a, b in pairwise(given))
    told = certify(explained(blocks), limit=0.9)
    assert told.certified[~told.abstained].min() >= 0.9


def test_one_case_gets_the_same_alone_and_among_others():
    found = explained(drawn(population(), 0))
    every = certify(found, seed=3)
    alone = [certify(found.take(slice(n, n + 1)), seed=3) for n in range(5)]
    assert all(np.array_equal(a.survival[0], every.survival[n]) for n, a in enumerate(alone))


def test_the_order_of_the_columns_does_not_matter():
    blocks = drawn(population(), 1)
    turned = certify(explained(blocks[..., ::-1], features=tuple("hgfedcba")))
    straight = certify(explained(blocks, features=tuple("abcdefgh")))
    assert np.allclose(turned.survival, straight.survival)
    names = [[c.reasons.reasons[p].name for p in c.order[0]] for c in (turned, straight)]
    assert names[0] == names[1]


# Which decision


@pytest.mark.parametrize(
    ("scale", "threshold", "edge"),
    [
        ("log-odds of 'yes'", None, 0.0),
        ("log-odds of 'yes'", 0.2, np.log(0.25)),
        ("probability of 'yes'", None, 0.5),
        ("probability of 'yes'", 0.3, 0.3),
        ("predicted value", 7, 7.0),
    ],
)
def test_the_edge_of_a_decision(scale, threshold, edge):
    made = decisions(np.array([[edge - 0.01], [edge], [edge + 0.01]]), scale, threshold=threshold)
    assert made.edge == pytest.approx(edge)
    assert made.sign.tolist() == [-1, 1, 1]


@pytest.mark.parametrize(
    ("scale", "threshold", "outputs", "words"),
    [
        ("predicted value", None, 1, "without a threshold"),
        ("probability of 'yes'", 1.0, 1, "between 0 and 1"),
        ("log-odds of 'yes'", -0.3, 1, "between 0 and 1"),
        ("probability of each class", 0.5, 3, "several classes"),
    ],
)
def test_decisions_that_cannot_be(scale, threshold, outputs, words):
    with pytest.raises(InputError, match=words):
        decisions(np.zeros((2, outputs)), scale, threshold=threshold)


def test_reasons_push_toward_what_was_decided():
    values = [[2.0, -1.0, 0.5], [2.0, -1.0, -0.5]]
    found = certify(explained(noisy(values, 0.001), predictions=[1.0, -1.0]), at_least=1)
    assert [list(o[:2]) for o in found.order] == [[0, 2], [1, 2]]
    assert found.pushes[1].round(2).tolist() == [-2.0, 1.0, 0.5]


def test_of_several_classes_the_winner_is_explained():
    blocks = np.stack([noisy([[1.0, 2.0]], 0.001), noisy([[3.0, -1.0]], 0.001)], axis=3)
    found = certify(explained(blocks, scale="probability of each class", predictions=[[0.3, 0.7]]), at_least=1)
    assert found.made.output.tolist() == [1]
    assert found.pushes[0].round(2).tolist() == [3.0, -1.0]


@pytest.mark.parametrize("wrong", [{"k": 0}, {"at_least": 5}, {"limit": 1.0}, {"at_least": 0}])
def test_arguments_that_make_no_sense(wrong):
    with pytest.raises(InputError, match="at_least"):
        certify(explained(noisy([[1.0, 2.0]], 0.1)), **wrong)


def test_too_few_blocks_certify_nothing():
    with pytest.raises(InputError, match="blocks=50"):
        certify(explained(np.ones((2, 1, 3))))


def test_no_cases_and_one_column():
    assert certify(explained(np.ones((0, 20, 3)))).given.shape == (0,)
    assert certify(explained(noisy([[1.0]], 0.1))).given.tolist() == [1]


# Reasons of several columns


def test_columns_of_one_reason_are_added_up():
    blocks = noisy([[1.0, 0.9, 1.5]], 0.05)
    words = ReasonMap((Reason("work", ("x0", "x1")), Reason("home", ("x2",))))
    found = certify(explained(blocks), words, at_least=1)
    assert found.pushes[0].round(6).tolist() == [1.9, 1.5]
    assert (
        found.survival[0, 0] > certify(explained(blocks), at_least=1).survival[0, 1]
    )  # what is told together need not be told apart


def test_a_map_of_other_columns_is_an_error():
    found = explained(noisy([[1.0, 2.0]], 0.1))
    with pytest.raises(InputError, match="x1"):
        toward(found, unworded(["x0"]), decisions(found.predictions, found.scale))


# The file


def write(tmp_path, text):
    file = tmp_path / "reasons.yaml"
    file.write_text(text)
    return file


def test_a_draft_reads_back_without_any_words(tmp_path):
    found = read_reasons(write(tmp_path, draft_reasons(NAMES)), NAMES)
    assert [r.name for r in found.reasons] == list(NAMES)
    assert found.unworded == NAMES
    assert not found.reviewed
    assert set(found.changes.values()) == {"never"}


GOOD = """schema: prodnb.reasons/1
reviewed: {by: Ann, on: 2026-11-02}
reasons:
  a: {raises: A is high, lowers: A is low}
  both:
    features: [b, c]
    raises: B and C
changes: {a: up}
"""


def test_a_filled_file(tmp_path):
    found = read_reasons(write(tmp_path, GOOD), NAMES)
    assert (found.by, found.on, found.reviewed) == ("Ann", "2026-11-02", True)
    assert [r.name for r in found.reasons] == ["a", "both", "d", "e", "f"]
    assert found.reasons[0].words(-1.0) == "A is low"
    assert found.reasons[1].words(-1.0) is None
    assert found.unworded == ("both", "d", "e", "f")
    assert found.changes == {"a": "up"}
    assert len(found.digest) == 64


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  a: {raises", "  aa: {raises", r"line 4.*'aa'.*'a'"),
        ("[b, c]", "[b, a]", "two reasons"),
        ("[b, c]", "[b, b]", "two reasons"),
        ("[b, c]", "[]", "a list of columns"),
        ("[b, c]", "b", "a list of columns"),
        ("raises: B and C", "rises: B and C", "mean 'raises'"),
        ("raises: B and C", "raises: [B]", "expected text|Expected text"),
        ("2026-11-02", "yesterday", "date"),
        ("reasons/1", "reasons/9", "schema"),
        ("{a: up}", "{a: higher}", "never, up, down, free"),
        ("{a: up}", "{q: up}", "'q'"),
        ("reviewed:", "review:", "mean 'reviewed'"),
        ("{by: Ann, on: 2026-11-02}", "Ann", "no mapping"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path, old, new, words):
    with pytest.raises(InputError, match=f"(?s){words}"):
        read_reasons(write(tmp_path, GOOD.replace(old, new)), NAMES)


@pytest.mark.parametrize("review", ["{by: Ann, on: null}", "{by: null, on: 2026-11-02}", "{}", "null"])
def test_words_without_name_and_date_are_not_reviewed(tmp_path, review):
    assert not read_reasons(write(tmp_path, GOOD.replace("{by: Ann, on: 2026-11-02}", review)), NAMES).reviewed


# What a report says


def many(rows=60):
    values = np.random.default_rng(0).normal(size=(rows, 5)) * [3, 2, 1, 0.5, 0.1]
    return explained(noisy(values, 0.05), features=tuple("abcde"))


def by_name(verdicts):
    return {v.statistic.name: v for v in verdicts}


def test_verdicts_are_the_counts():
    found = certify(many())
    verdicts, table = reason_verdicts(found)
    named = by_name(verdicts)
    share = named["reason_abstention"].statistic
    assert share.value == found.abstained.mean()
    assert share.low <= share.value <= share.high
    assert named["unstable_reasons"].statistic.value == pytest.approx(1 - found.certified[~found.abstained].mean())
    assert named["unstable_reasons"].statistic.value <= 0.05
    assert sum(r["given"] or 0 for r in table) <= found.given.sum()
    assert table[0]["reason"] == "a"
    assert sum(r["cases"] or 0 for r in certified_counts(found)) <= 60


def test_planted_noise_fails_the_limit_on_abstention():
    limits = {"reason_abstention": Limit(fail=0.2, reason="agreed")}
    noise = certify(explained(np.random.default_rng(0).normal(size=(100, 50, 10))))
    assert by_name(reason_verdicts(noise, limits)[0])["reason_abstention"].outcome == "failed"
    assert by_name(reason_verdicts(noise)[0])["unstable_reasons"].outcome in ("unknown", "passed")
    assert by_name(reason_verdicts(certify(many()), limits)[0])["reason_abstention"].outcome in ("passed", "warned")


def test_reasons_without_words_are_counted_and_named():
    words = ReasonMap((Reason("a", ("a",), "up", "down"), *(Reason(n, (n,)) for n in "bcde")), "Ann", "2026-11-02")
    limits = {"reasons_without_words": Limit(fail=0, reason="what nobody reviewed is told to nobody")}
    found = by_name(reason_verdicts(certify(many(), words), limits)[0])["reasons_without_words"]
    assert found.outcome == "failed"
    assert "without: b" in found.statistic.method
    assert "reviewed by Ann" in found.statistic.method
    full = ReasonMap(tuple(Reason(n, (n,), "up", "down") for n in "abcde"))
    clean = by_name(reason_verdicts(certify(many(), full), limits)[0])["reasons_without_words"]
    assert (clean.outcome, clean.statistic.value) == ("passed", 0)
    assert "not reviewed by anybody" in clean.statistic.method
    assert by_name(reason_verdicts(certify(many()))[0])["reasons_without_words"].outcome == "skipped"


def test_small_counts_are_not_shown():
    found = certify(many(rows=8))
    counts = [r["given"] for r in reason_verdicts(found)[1]]
    assert None in counts
    assert all(c is None or c >= 5 for c in counts)
    assert all(r["cases"] is None or r["cases"] >= 5 for r in certified_counts(found))
    verdicts, table = reason_verdicts(certify(many(rows=4)))
    assert [v.outcome for v in verdicts] == ["skipped"]
    assert table == []


def test_nothing_explained_is_skipped_with_the_reason():
    verdicts, table = reason_verdicts(None, why="no case was asked for")
    assert (verdicts[0].outcome, table) == ("skipped", [])
    assert "no case was asked for" in verdicts[0].message


def test_real_credit_decisions_with_fresh_backgrounds():
    """A logistic regression on german_credit, whose contributions are known in closed form: given reasons hold against fresh draws."""
    from sklearn.linear_model import LogisticRegression

    frame = pd.read_csv(shared_data("german_credit/german_credit.csv.gz"))
    x = frame.drop(columns="class-label")
    owner = np.repeat(np.arange(x.shape[1]), [x[c].nunique() if x[c].dtype.kind not in "iuf" else 1 for c in x])
    parts = [x[[c]] if x[c].dtype.kind in "iuf" else pd.get_dummies(x[[c]]) for c in x]
    encoded = pd.concat(parts, axis=1).astype(float)
    encoded = ((encoded - encoded.mean()) / encoded.std()).to_numpy()
    with threads(1):
        model = LogisticRegression(C=0.05, max_iter=2000).fit(encoded[:700], frame["class-label"][:700])
    fold = np.eye(x.shape[1])[owner]
    each = (encoded * model.coef_[0]) @ fold
    cases, score = each[700:820], encoded[700:820] @ model.coef_[0] + model.intercept_[0]
    changed, told, rng = 0.0, 0, np.random.default_rng(0)
    for seed in range(4):
        ours, *fresh = (rng.integers(0, 1000, 1000) for _ in range(9))
        blocks = cases[:, None] - each[ours].reshape(50, 20, -1).mean(axis=1)[None]
        found = certify(explained(blocks, predictions=score), at_least=3, seed=seed)
        for other in fresh:
            pushes = (cases - each[other].mean(axis=0)) * found.made.sign[:, None]
            for j in range(1, 5):
                mine = found.given == j
                changed += (~same(found.pushes[mine], pushes[mine], j)).sum() / len(fresh)
        told += int((found.given > 0).sum())
    assert changed / told <= 0.01
    assert 1 - told / (4 * len(cases)) <= 0.2


def test_a_limit_that_keeps_the_rate():
    whole = population(seed=4)
    found = certify(explained(drawn(whole, 0)), k=4, at_least=4)
    limits = [limit_for(found, unstable=rate) for rate in (0.002, 0.01, 0.05)]
    assert limits == sorted(limits, reverse=True)
    again = certify(explained(drawn(whole, 0)), k=4, at_least=4, limit=limits[1])
    told = ~again.abstained
    assert (1 - again.certified[told]).mean() <= 0.01
    assert told.sum() >= (~certify(explained(drawn(whole, 0)), k=4, at_least=4, limit=0.99).abstained).sum()
    assert limit_for(certify(explained(np.random.default_rng(0).normal(size=(50, 50, 10)) / 100), at_least=4)) is None
    assert limit_for(certify(explained(np.ones((0, 20, 3))))) is None
