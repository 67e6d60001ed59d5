"""Attribution drift and explanation quality, simulated: `nice python benchmarks/attribution.py [PAIRS]`.

*False alarms*: the share of pairs of sets of rows, both from one population, in which any verdict of attribution drift is not "passed" or "unknown", and in which any
p-value (of any feature or of the whole) is below 5 %, whatever the size of the change (199 ways to deal out the rows, which keeps the level and saves time). *Power*: how often the verdict fails after the two leading columns have changed
places. *Random orders*: shares in a random order, against the rule of Amazon SageMaker Clarify (NDCG of the importance before, in the order of now; an alarm below 0.90).

Contributions are made in three ways: independent half-normal ones; skewed ones (log-normal) that go together in a row; and the exact contributions of a linear model on
skewed columns. *Quality*: histogram boosting on made tables, explained exactly; the right explanation, and wrong ones: each contribution under the name of another column, an
order shuffled in each row, noise, and values multiplied by log-normal noise. *Leaks*: the same with a column that repeats the label in 97 of 100 rows, and without. PAIRS is the number of pairs in each line (default 300: the standard error of 5 % is then 1.3 %).
"""

import sys
import time

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from prodnb.attribution_drift import AttributionDrift, attribution_verdicts, compare_attribution, ndcg
from prodnb.engines import open_explainer
from prodnb.explanation import Explainer
from prodnb.explanation_quality import prediction_gaps, quality_verdicts
from prodnb.intervals import wilson
from prodnb.likely_leaks import leak_verdicts, suspects
from prodnb.models import as_model
from prodnb.probe import threads
from prodnb.share_test import time_blocks
from prodnb.subject import Subject
from prodnb.verdict import OUTCOMES, worst

SIZES = [(50, 50), (200, 50), (200, 200), (500, 100), (1000, 1000), (2000, 50), (2000, 2000)]
FEATURES = (5, 20, 100)


def profile(features: int, last: float = 0.1) -> np.ndarray:
    """Shares that fall off evenly, the last one to `last` of the first."""
    found = np.geomspace(1, last, features)
    return found / found.sum()


def half_normal(rng: np.random.Generator, rows: int, shares: np.ndarray) -> np.ndarray:
    """Independent contributions."""
    return np.abs(rng.normal(size=(rows, len(shares)))) * shares


def skewed(rng: np.random.Generator, rows: int, shares: np.ndarray) -> np.ndarray:
    """Skewed contributions, large ones together in some rows."""
    return np.exp(0.7 * rng.normal(size=(rows, 1)) + 0.7 * rng.normal(size=(rows, len(shares)))) * shares


def linear(rng: np.random.Generator, rows: int, shares: np.ndarray) -> np.ndarray:
    """Contributions of a linear model on exponential columns: weight x (value - mean)."""
    return np.abs(rng.exponential(1, (rows, len(shares))) - 1) * shares


MADE = {"half-normal": half_normal, "skewed": skewed, "linear": linear}


def compared(
    reference: np.ndarray, current: np.ndarray, seed: int, *, repeats: int = 199, **blocks: np.ndarray
) -> AttributionDrift:
    """Compare two sets of rows under made-up names."""
    return compare_attribution(
        reference, current, [f"x{j}" for j in range(reference.shape[1])], seed=seed, repeats=repeats, **blocks
    )


def leading_pair(features: int, gap: float) -> np.ndarray:
    """Shares of which the first two, `gap` apart, are 0.6 together."""
    return np.array([0.3 + gap / 2, 0.3 - gap / 2, *0.4 * profile(features - 2, 0.5)])


def alarmed(found: AttributionDrift, alpha: float = 0.05) -> tuple[bool, bool]:
    """Is any p-value below alpha? Does any verdict fail or warn?"""
    outcomes = {v.outcome for v in attribution_verdicts(found)}
    return bool(min(found.test.p.min(), found.test.whole_p) < alpha), bool(outcomes & {"failed", "warned"})


def false_alarms(make: str, n: int, m: int, features: int, pairs: int, *, seed: int = 0) -> tuple[int, int]:
    """Pairs with a p-value below 5 %, pairs with a failed or warned verdict; nothing has changed."""
    rng, shares = np.random.default_rng([seed, n, m, features]), profile(features)
    found = [alarmed(compared(MADE[make](rng, n, shares), MADE[make](rng, m, shares), i)) for i in range(pairs)]
    return sum(p for p, _ in found), sum(v for _, v in found)


def stretched(n: int, m: int, features: int, pairs: int, *, seed: int = 5) -> int:
    """Pairs with a p-value below 5 % where only the spread differs: the shares are the same, the current contributions are skewed, the old ones are not."""
    rng, shares = np.random.default_rng([seed, n, m]), profile(features)
    return sum(alarmed(compared(half_normal(rng, n, shares), skewed(rng, m, shares), i))[0] for i in range(pairs))


def swapped(make: str, n: int, m: int, features: int, gap: float, pairs: int, *, seed: int = 1) -> tuple[int, int]:
    """Pairs in which the two leading columns, `gap` apart, changed places: verdicts that fail for both of them, and alarms of the NDCG rule."""
    rng, shares = np.random.default_rng([seed, n, m, features]), leading_pair(features, gap)
    now, ours, theirs = shares[[1, 0, *range(2, features)]], 0, 0
    for i in range(pairs):
        before, after = MADE[make](rng, n, shares), MADE[make](rng, m, now)
        failed = {
            v.statistic.about for v in attribution_verdicts(compared(before, after, i)) if v.outcome in ("failed", "warned")
        }
        ours += {"x0", "x1"} <= failed
        theirs += ndcg(before.mean(axis=0), after.mean(axis=0)) < 0.90
    return ours, theirs


def random_orders(features: int, last: float, n: int, pairs: int, *, seed: int = 2) -> tuple[int, int, int]:
    """Pairs whose current shares are in a random order: failed verdicts, failed or warned ones, and alarms of the NDCG rule."""
    rng, shares = np.random.default_rng([seed, features]), np.linspace(1, last, features)
    shares, found = shares / shares.sum(), np.zeros(3, int)
    for i in range(pairs):
        before, after = half_normal(rng, n, shares), half_normal(rng, n, rng.permutation(shares))
        outcomes = {v.outcome for v in attribution_verdicts(compared(before, after, i))}
        found += "failed" in outcomes, bool(outcomes & {"failed", "warned"}), ndcg(before.mean(axis=0), after.mean(axis=0)) < 0.90
    return tuple(found)


def weeks(rng: np.random.Generator, count: int, rows: int, shares: np.ndarray, mood: float) -> np.ndarray:
    """Rows of weeks, each of which has a mood of its own."""
    own = np.exp(rng.normal(size=(count, len(shares))) * mood)
    return half_normal(rng, count * rows, shares) * np.repeat(own, rows, axis=0)


def in_time(known: bool, pairs: int, *, gap: float = 0.0, mood: float = 0.2, features: int = 10, seed: int = 3) -> int:
    """Pairs with a p-value below 5 %: forty weeks of 25 rows and one of 250 (moods differ), time known or not; optionally with a swap."""
    rng, shares, alarms = np.random.default_rng(seed), leading_pair(features, gap), 0
    now = shares[[1, 0, *range(2, features)]]
    day = np.arange(1000) * 0.28 * 86400
    first, second, _ = time_blocks(day, day[-1] + np.arange(250) * 0.028 * 86400)
    blocks = {"reference_blocks": first, "current_blocks": second} if known else {}
    for i in range(pairs):
        found = compared(weeks(rng, 40, 25, shares, mood), weeks(rng, 1, 250, now, mood), i, **blocks)
        alarms += alarmed(found)[0]
    return alarms


def covered(n: int, m: int, features: int, pairs: int, *, seed: int = 4) -> int:
    """Of the leading feature's change of share in `pairs` pairs (true change 0.05): how many intervals of 95 % hold it."""
    rng, shares, hits = np.random.default_rng([seed, n]), profile(features), 0
    now = shares + np.array([-0.05, 0.05, *[0] * (features - 2)])
    for i in range(pairs):
        low, high = compared(skewed(rng, n, shares), skewed(rng, m, now), i).interval[:, 0]
        hits += low <= -0.05 <= high
    return hits


def table(rng: np.random.Generator, rows: int = 1500) -> pd.DataFrame:
    """Eight columns, of which six matter, and a label."""
    x = rng.normal(size=(rows, 8))
    score = x[:, :6] @ (2 * rng.normal(size=6)) + np.where(x[:, 0] > 0, x[:, 1], -x[:, 2])
    return pd.DataFrame(x, columns=list("abcdefgh")).assign(y=(rng.random(rows) < 1 / (1 + np.exp(-score))).astype(int))


def opened(frame: pd.DataFrame, names: list[str]) -> tuple[Explainer, pd.DataFrame, np.ndarray]:
    """Fit on the first 800 rows; explain 100 others against 100: the explainer, the rows, and their importance."""
    model = HistGradientBoostingClassifier(max_iter=40, max_depth=4, random_state=0).fit(frame[names][:800], frame["y"][:800])
    explainer = open_explainer(as_model(model), frame[names][800:900].reset_index(drop=True))
    rows = frame[names][900:1000].reset_index(drop=True)
    return explainer, rows, explainer.explain(rows).importance


def faithful(models: int, *, seed: int = 6) -> dict[str, list[str]]:
    """Outcomes of faithfulness, for right and for wrong explanations."""
    rng, found = np.random.default_rng(seed), {}
    for i in range(models):
        explainer, rows, right = opened(table(rng), list("abcdefgh"))
        tried = {"right": right, "other names": np.roll(right, 4, axis=1), "shuffled in each row": rng.permuted(right, axis=1)}
        tried |= {"noise": rng.random(right.shape), "times log-normal noise": right * np.exp(rng.normal(size=right.shape))}
        for name, importance in tried.items():
            gaps = prediction_gaps(explainer.predict, rows, explainer.background, importance, seed=i, draws=10, max_seconds=120)
            found.setdefault(name, []).append(quality_verdicts(gaps, "not asked")[0].outcome)
    return found


def leaking(models: int, *, leak: bool, seed: int = 7) -> list[str]:
    """The worst outcome over the leading columns, with a leak or without."""
    rng, found = np.random.default_rng(seed), []
    for i in range(models):
        frame = table(rng)
        frame["late"] = np.where(rng.random(len(frame)) < 0.97, frame["y"], 1 - frame["y"]) + 0.1 * rng.normal(size=len(frame))
        names = [*"abcdefgh", *(["late"] if leak else [])]
        explainer, _, importance = opened(frame, names)
        asked = Subject(tuple(names), "binary", (0, 1), explainer.scale, explainer.predict)
        found.append(
            worst(v.outcome for v in leak_verdicts(suspects(asked, importance, frame[900:].reset_index(drop=True), "y", seed=i)))
        )
    return found


def counted(outcomes: list[str]) -> str:
    """How often each outcome came."""
    return ", ".join(f"{outcomes.count(o)} {o}" for o in OUTCOMES if o in outcomes)


def rate(k: int, pairs: int) -> str:
    """A share with its interval, in percent."""
    low, high = wilson(k, pairs)
    return f"{100 * k / pairs:5.1f} % ({100 * float(low):.1f} to {100 * float(high):.1f})"


def main(pairs: int) -> None:
    """Print the tables."""
    start = time.perf_counter()
    print(f"False alarms in {pairs} pairs of sets of rows with nothing changed; 95 % intervals")
    total, runs = np.zeros(2, int), 0
    for features in FEATURES:
        for n, m in SIZES:
            make = list(MADE)[runs // pairs % 3]
            found = false_alarms(make, n, m, features, pairs)
            total, runs = total + found, runs + pairs
            print(
                f"  {make:12} {features:3} features, {n:5,} / {m:5,} rows: any p < 5 % {rate(found[0], pairs)}, failed or warned {rate(found[1], pairs)}",
                flush=True,
            )
    print(f"  together: any p < 5 % {rate(total[0], runs)}, failed or warned {rate(total[1], runs)}")
    print("Same shares, other spread: any p < 5 %")
    for n, m in ((50, 50), (500, 100), (2000, 2000)):
        print(f"  {n:5,} / {m:5,} rows: {rate(stretched(n, m, 10, pairs), pairs)}", flush=True)
    print("Both of the two leading columns found after they changed places (gap: difference of their shares), beside NDCG < 0.90")
    for features, gap, n, m in (
        (5, 0.15, 200, 200),
        (5, 0.1, 200, 200),
        (20, 0.1, 200, 200),
        (20, 0.05, 500, 500),
        (100, 0.05, 500, 500),
        (5, 0.1, 2000, 100),
    ):
        ours, theirs = swapped("half-normal", n, m, features, gap, pairs // 2)
        print(
            f"  {features:3} features, gap {gap:.2f}, {n:5,} / {m:5,} rows: {rate(ours, pairs // 2)}; NDCG rule {rate(theirs, pairs // 2)}",
            flush=True,
        )
    print("A fully random order: our verdict fails; fails or warns; the NDCG rule alarms")
    for features, last in ((5, 0.5), (10, 0.5), (20, 0.5), (10, 0.1)):
        found = random_orders(features, last, 500, pairs // 2)
        print(
            f"  {features:3} features, last has {last:g} of the first: " + "; ".join(rate(k, pairs // 2) for k in found),
            flush=True,
        )
    print("Forty weeks and a new one, each with a mood: any p < 5 %")
    for words, options in (
        ("time unknown", (False, 0.0)),
        ("time known", (True, 0.0)),
        ("time known, leading columns 0.3 apart swapped", (True, 0.3)),
    ):
        print(f"  {words}: {rate(in_time(options[0], pairs // 2, gap=options[1]), pairs // 2)}", flush=True)
    print("Intervals of a change of a share that hold the truth")
    for n, m in ((50, 50), (200, 200), (1000, 1000)):
        print(f"  {n:5,} / {m:5,} rows: {rate(covered(n, m, 10, pairs), pairs)}", flush=True)
    quality(max(pairs // 10, 2))
    print(f"{time.perf_counter() - start:.0f} s")


def quality(models: int) -> None:
    """Print what becomes of right and wrong explanations, and of leaks."""
    with threads(1):
        print(f"Faithfulness of explanations of {models} models")
        for name, outcomes in faithful(models).items():
            print(f"  {name}: {counted(outcomes)}", flush=True)
        print(
            f"Likely leaks of {models} models: with a leak {counted(leaking(models, leak=True))}; without {counted(leaking(models, leak=False))}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
