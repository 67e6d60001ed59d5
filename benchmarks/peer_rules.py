"""The default drift rules of other tools, as their sources state them, through scipy: what they would say of the same tables.

Evidently 0.7.21: the test or distance depends on the rows of the reference, 0.05 or 0.1, no correction. NannyML 0.13.1: Jensen-Shannon distance,
threshold mean + 3 standard deviations over ten chunks of the reference, Doane's bins; the current table is one chunk. The third is the usual
p < 0.05 of Kolmogorov-Smirnov or chi-square. Each takes two arrays, floats for numbers and whole numbers for levels, and answers: drifted?
"""

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon


def evidently(reference: np.ndarray, current: np.ndarray) -> bool:
    """Evidently's default: a test up to 1,000 rows of the reference, a distance beyond."""
    different = len(np.unique(np.concatenate([reference, current])))
    small = len(reference) <= 1000
    if reference.dtype.kind == "f" and different > 5:
        if small:
            return bool(stats.ks_2samp(reference, current).pvalue <= 0.05)
        return bool(stats.wasserstein_distance(reference, current) / max(reference.std(), 0.001) >= 0.1)
    a, b = _shares(reference, current)
    if not small:
        return bool(jensenshannon(a, b) >= 0.1)
    if different <= 2:
        return _proportions(a[0], b[0], len(reference), len(current))
    held = b * len(current)
    expected = a * len(current)  # the reference is taken to be exact
    if (expected == 0).any():
        return True
    return bool(stats.chisquare(held, expected * held.sum() / expected.sum()).pvalue < 0.05) if different > 1 else False


def _proportions(p: float, q: float, n: int, m: int) -> bool:
    middle = (p * n + q * m) / (n + m)
    spread = np.sqrt(middle * (1 - middle) * (1 / n + 1 / m))
    return bool(spread > 0 and 2 * stats.norm.sf(abs(p - q) / spread) < 0.05)


def _shares(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cells, inverse = np.unique(np.concatenate([reference, current]), return_inverse=True)
    found = [np.bincount(part, minlength=len(cells)) for part in (inverse[: len(reference)], inverse[len(reference) :])]
    return tuple(f / f.sum() for f in found)


def nannyml(reference: np.ndarray, current: np.ndarray) -> bool:
    """NannyML's default: Jensen-Shannon distance above mean + 3 sd of ten reference chunks."""
    if reference.dtype.kind == "f":
        edges = np.histogram_bin_edges(reference, bins="doane")
        known = _binned(reference, edges)
    else:
        edges, known = None, np.bincount(reference)

    def distance(part: np.ndarray) -> float:
        held = _binned(part, edges) if edges is not None else np.bincount(part, minlength=len(known))
        both = np.zeros((2, max(len(known), len(held))))
        both[0, : len(known)], both[1, : len(held)] = known, held
        return float(jensenshannon(*both, base=2))

    own = [distance(part) for part in np.array_split(reference, 10)]
    return distance(current) > np.mean(own) + 3 * np.std(own)


def _binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    held = np.histogram(values, edges)[0]
    return np.append(held, len(values) - held.sum())


def classic(reference: np.ndarray, current: np.ndarray) -> bool:
    """p < 0.05 of Kolmogorov-Smirnov for numbers, of chi-square for levels."""
    if reference.dtype.kind == "f":
        return bool(stats.ks_2samp(reference, current).pvalue < 0.05)
    size = max(reference.max(), current.max()) + 1
    table = np.stack([np.bincount(x, minlength=size) for x in (reference, current)])
    table = table[:, table.sum(0) > 0]
    return bool(stats.chi2_contingency(table, correction=False).pvalue < 0.05) if table.shape[1] > 1 else False


RULES = {"Evidently": evidently, "NannyML": nannyml, "KS / chi-square 0.05": classic}
