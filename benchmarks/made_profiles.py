"""Profiles and chunks made from arrays, without an engine: for simulations of thousands of tables.

The cells are those of `prodnb.profile`, by the same function `bin_edges` and the same rule for levels; a test holds both equal.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from prodnb.bins import bin_edges
from prodnb.chunks import Chunks
from prodnb.counted import ColumnProfile, Profile

NAMED = 5  # rows of the reference that name a level
SAMPLED = 50_000  # rows that the edges are taken from


def number_column(name: str, values: np.ndarray, like: ColumnProfile | None = None) -> ColumnProfile:
    """Profile of a column of numbers without gaps."""
    low, high = float(values.min()), float(values.max())
    if like is None:
        edges, centres = bin_edges(np.sort(values[:: max(len(values) // SAMPLED, 1)]), low, high)
    else:
        edges, centres = np.array(like.edges), np.array(like.centres)
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return ColumnProfile(
        name=name, kind="number", type="float64", rows=len(values), nulls=0, low=low, high=high, mean=float(values.mean()),
        sd=float(values.std(ddof=1)), distinct=len(values), edges=tuple(edges.tolist()), centres=tuple(centres.tolist()),
        counts=tuple(counts.tolist()),
    )  # fmt: skip


def level_column(name: str, codes: np.ndarray, like: ColumnProfile | None = None) -> ColumnProfile:
    """Profile of a column of levels, given as whole numbers."""
    held = np.bincount(codes)
    if like is None:
        named = [int(c) for c in np.argsort(-held, kind="stable") if held[c] >= NAMED]
    else:
        named = [int(v[1:]) for v in like.levels]
    counts = [int(held[c]) if c < len(held) else 0 for c in named]
    rest = len(codes) - sum(counts)
    own = {"other": rest} if like is None or like.other else {"unseen": rest}
    levels = tuple(f"v{c}" for c in named)
    return ColumnProfile(
        name=name, kind="level", type="string", rows=len(codes), nulls=0, levels=levels, level_counts=tuple(counts), **own
    )


def made_profile(columns: Mapping[str, np.ndarray], like: Profile | None = None) -> Profile:
    """Profile of a table: floats are numbers, whole numbers are levels."""
    found = []
    for name, values in columns.items():
        make = number_column if values.dtype.kind == "f" else level_column
        found.append(make(name, values, None if like is None else like[name]))
    return Profile(rows=len(values), columns=tuple(found), min_level_rows=NAMED)


def made_chunks(columns: Mapping[str, np.ndarray], like: Profile, size: int) -> Chunks:
    """Chunks of so many rows of a table that is in the order of time; all levels of it must be named."""
    rows = len(next(iter(columns.values())))
    chunk = np.arange(rows) // size
    cells = {name: _by_chunk(values, like[name], chunk) for name, values in columns.items()}
    counts = np.bincount(chunk)
    ends = np.cumsum(counts)
    labels = tuple(f"rows {e - n + 1}-{e}" for n, e in zip(counts, ends, strict=True))
    starts, last = tuple((ends - counts).astype(float).tolist()), tuple((ends - 1).astype(float).tolist())
    return Chunks(f"{size} rows", "none", ("all",), starts, last, labels, counts, cells, time="time")


def _by_chunk(values: np.ndarray, like: ColumnProfile, chunk: np.ndarray) -> np.ndarray:
    k = len(like.cells)
    if like.kind == "number":
        place = np.searchsorted(like.edges, values)
    else:
        place = np.full(max(int(values.max()), *(int(v[1:]) for v in like.levels)) + 1, k - 3)
        place[[int(v[1:]) for v in like.levels]] = range(len(like.levels))
        place = place[values]
    return np.bincount(chunk * k + place, minlength=(chunk[-1] + 1) * k).reshape(-1, 1, k)


def autocorrelated(rng: np.random.Generator, rows: int, columns: int, rho: float) -> np.ndarray:
    """Stationary AR(1) series of variance 1, of shape (columns, rows)."""
    from scipy.signal import lfilter

    noise = rng.normal(size=(columns, rows)) * np.sqrt(1 - rho**2)
    noise[:, 0] /= np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=1)


def named(prefix: str, series: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Columns by name."""
    return {f"{prefix} {i}": values for i, values in enumerate(series)}
