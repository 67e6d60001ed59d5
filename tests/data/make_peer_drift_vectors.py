"""What Evidently and NannyML return for fixed samples, written to peer_drift_vectors.json; run by hand, once in each tool's environment:

python make_peer_drift_vectors.py evidently      # pip install evidently "pandas<3"
python make_peer_drift_vectors.py nannyml        # pip install nannyml "pandas<3" statsmodels "setuptools<81"

The samples are computed from seeds here and in the tests; the file holds their sizes and sums, so that a stream that changed is seen.
"""

import json
import os
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
VECTORS = HERE / "peer_drift_vectors.json"


def bell(seed, n, mean=0.0, sd=1.0):
    """Rounded, so that the last bit of a logarithm does not matter."""
    u, v = np.random.default_rng(seed).random((2, n))
    return np.round(mean + sd * np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v), 9)


def flat(seed, n, low=0.0, high=1.0):
    return np.round(low + (high - low) * np.random.default_rng(seed).random(n), 9)


def heavy(seed, n, shift=0.0):
    return np.round(shift + np.tan(np.pi * (np.random.default_rng(seed).random(n) - 0.5)), 6)


def drawn(seed, n, levels, weights):
    edges = np.cumsum(np.asarray(weights, float) / np.sum(weights))
    return np.asarray(levels)[np.minimum(np.searchsorted(edges, np.random.default_rng(seed).random(n)), len(levels) - 1)]


def samples():
    """Name -> (reference, current)."""
    many = [f"level {i:03d}" for i in range(60)]
    rare = 1 / np.arange(1, 61)
    return {
        "bell, small": (bell(1, 400), bell(2, 300, 0.2)),
        "bell, tiny": (bell(3, 18), bell(4, 12, 1.0)),
        "bell, middle": (bell(5, 3000, 10, 2), bell(6, 1200, 10.3, 2.2)),
        "bell, large": (bell(7, 12_000), bell(8, 5000, 0.05, 1.3)),
        "bell, large, inside": (bell(9, 15_000), np.clip(bell(10, 900, 0.1), -3, 3)),
        "bell, one size": (bell(11, 900), bell(12, 900, 0.05)),
        "heavy tails": (heavy(13, 2500), heavy(14, 900, 0.3)),
        "heavy tails, large": (heavy(15, 11_000), heavy(16, 2000, 0.1)),
        "long tail, small": (np.round(np.exp(bell(17, 200)), 6), np.round(np.exp(bell(18, 90, 0.3)), 6)),
        "empty cells": (flat(19, 20_000), flat(20, 20_000, 0.5, 1.5)),
        "few empty cells": (np.append(flat(21, 12_000), 3.0), flat(22, 4000, 0.1, 2.9)),
        "apart": (flat(23, 1200), flat(24, 800, 5, 6)),
        "eight values": (np.floor(flat(25, 1500, 0, 8)), np.floor(flat(26, 700, 1, 9))),
        "four values": (np.floor(flat(27, 300, 0, 4)), np.floor(flat(28, 260, 0, 4) ** 1.2)),
        "four values, large": (np.floor(flat(29, 3000, 0, 4)), np.floor(flat(30, 260, 0, 4))),
        "two values": (np.floor(flat(31, 300, 0, 2)), np.floor(flat(32, 200, 0, 1.7))),
        "whole numbers": (np.round(bell(33, 1600, 50, 9)).astype(int), np.round(bell(34, 1100, 51, 9)).astype(int)),
        "few whole numbers": (np.floor(flat(35, 800, 0, 7)).astype(int), np.floor(flat(36, 800, 0, 7)).astype(int)),
        "constant, moved": (np.full(60, 2.0), np.full(50, 2.5)),
        "levels": (drawn(37, 500, list("abcde"), [5, 4, 3, 2, 1]), drawn(38, 500, list("abcde"), [4, 4, 3, 2, 2])),
        "levels, large": (drawn(39, 5000, list("abcde"), [5, 4, 3, 2, 1]), drawn(40, 1300, list("abcde"), [5, 4, 3, 2, 1])),
        "unseen levels": (drawn(41, 1200, list("abcd"), [4, 3, 2, 1]), drawn(42, 400, list("abcdxy"), [4, 3, 2, 1, 0.3, 0.2])),
        "lost levels": (drawn(43, 900, list("abcdef"), [4, 3, 2, 1, 1, 1]), drawn(44, 900, list("abcd"), [4, 3, 2, 1])),
        "many levels": (drawn(45, 20_000, many, rare), drawn(46, 3000, many[5:], rare[5:])),
        "two levels": (drawn(47, 250, ["no", "yes"], [3, 1]), drawn(48, 250, ["no", "yes"], [3, 2])),
        "two levels, few rows": (drawn(49, 12, ["no", "yes"], [3, 1]), drawn(50, 12, ["no", "yes"], [1, 2])),
        "one level": (drawn(51, 40, ["a"], [1]), drawn(52, 30, ["a"], [1])),
    }


def levels_of(values):
    return values.dtype.kind in "US"


def _attempt(function):
    """A result, or the words of its error; a NaN as the word, since JSON has none."""
    try:
        found = function()
        return "NaN" if isinstance(found, float) and np.isnan(found) else found
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:80]


EVIDENTLY = {
    "kolmogorov_smirnov": "ks",
    "wasserstein": "wasserstein",
    "kullback_leibler": "kl_div",
    "psi": "psi",
    "jensen_shannon": "jensenshannon",
    "hellinger": "hellinger",
    "anderson_darling": "anderson",
    "cramer_von_mises": "cramer_von_mises",
    "mann_whitney": "mannw",
    "energy": "ed",
    "epps_singleton": "es",
    "t": "t_test",
    "mmd": "empirical_mmd",
    "chi_square": "chisquare",
    "z": "z",
    "fisher_exact": "fisher_exact",
    "g": "g_test",
    "total_variation": "TVD",
}


def _judged(test, reference, current, kind):
    return test(reference.copy(), current.copy(), kind, None)


def _score(test, reference, current, kind):
    return float(_judged(test, reference, current, kind).drift_score)


def evidently():
    import pandas as pd
    from evidently.core.datasets import infer_column_type
    from evidently.legacy.calculations.stattests.registry import get_stattest
    from evidently.legacy.core import ColumnType

    ours = {theirs: own for own, theirs in EVIDENTLY.items()}
    found = {}
    for name, (x, y) in samples().items():
        reference, current = pd.Series(x), pd.Series(y)
        inferred = infer_column_type(reference)
        kind = ColumnType.Categorical if levels_of(x) else ColumnType.Numerical
        default = {}
        for tried in {kind, inferred} & {ColumnType.Categorical, ColumnType.Numerical}:
            test = get_stattest(reference, current, tried, None)
            result = _attempt(partial(_judged, test, reference, current, tried))
            default[tried.value] = [ours[test.name], test.default_threshold] + (
                [None] if isinstance(result, str) else [bool(result.drifted)]
            )
        scores = {}
        for own, theirs in EVIDENTLY.items():
            if (theirs in ("TVD", "empirical_mmd")) and len(x) > 1000:
                continue  # permutations in lists, or a kernel of all rows
            both_kinds = theirs in ("chisquare", "z", "fisher_exact", "g_test", "TVD")
            if levels_of(x) and not (both_kinds or theirs in ("kl_div", "psi", "jensenshannon", "hellinger")):
                continue
            if not levels_of(x) and both_kinds and len(set(x) | set(y)) > 10:
                continue
            tried = ColumnType.Categorical if both_kinds else kind
            test = get_stattest(reference, current, tried, theirs)
            scores[own] = _attempt(partial(_score, test, reference, current, tried))
        found[name] = {"kind": inferred.value, "default": default, "scores": scores}
    return found


NANNYML = {
    "kolmogorov_smirnov": "kolmogorov_smirnov",
    "jensen_shannon": "jensen_shannon",
    "wasserstein": "wasserstein",
    "hellinger": "hellinger",
    "chi_square": "chi2",
    "l_infinity": "l_infinity",
}


def nannyml():
    import pandas as pd
    from nannyml.chunk import CountBasedChunker
    from nannyml.drift.univariate.calculator import DEFAULT_THRESHOLDS
    from nannyml.drift.univariate.methods import FeatureType, MethodFactory

    found = {}
    for name, (x, y) in samples().items():
        kind = FeatureType.CATEGORICAL if levels_of(x) else FeatureType.CONTINUOUS
        found[name] = {}
        for own, theirs in NANNYML.items():
            if kind not in MethodFactory.registry[theirs]:
                continue

            def run(theirs=theirs, kind=kind, x=x, y=y):
                chunker = CountBasedChunker(10)
                method = MethodFactory.create(theirs, kind, chunker=chunker, threshold=DEFAULT_THRESHOLDS[theirs])
                method.fit(pd.Series(x, name="x"))
                upper = method.upper_threshold_value
                chunks = [float(method.calculate(c.data["x"])) for c in chunker.split(pd.Series(x, name="x").to_frame())]
                return {"value": float(method.calculate(pd.Series(y))), "threshold": upper and float(upper), "chunks": chunks}

            found[name][own] = _attempt(run)
    return found


def main(tool):
    import importlib.metadata as metadata

    warnings.filterwarnings("ignore")
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
    stored = json.loads(VECTORS.read_text(encoding="utf-8")) if VECTORS.exists() else {"versions": {}}
    stored["samples"] = {
        name: [[len(v), float(np.sum(v)) if v.dtype.kind in "fi" else len(set(v.tolist()))] for v in pair]
        for name, pair in samples().items()
    }
    stored["versions"][tool] = {p: metadata.version(p) for p in (tool, "numpy", "scipy", "pandas")}
    stored[tool] = {"evidently": evidently, "nannyml": nannyml}[tool]()
    VECTORS.write_text(json.dumps(stored, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
