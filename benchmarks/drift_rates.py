"""How often the drift rule cries wolf, and how often it sees the wolf: `python benchmarks/drift_rates.py [TABLES]`.

Tables of 20 columns, of six distributions and of 2 to 50 levels. *False alarms*: the share of pairs of tables from one and the same distribution
in which any column fails. *Power*: the share of columns found that moved by so many standard deviations, in tables of 20 columns, all compared
at once. Beside it, on the same tables, the default rules of other tools (see `peer_rules.py`). At last a reference with a memory: 20 series of which
each value remembers 0.9 of the last, with the clock told and not told.

Counts are taken with numpy as the engine takes them (see `made_profiles.py`), and judged by the functions that `check_drift` uses; intervals, which
decide nothing, are left out. TABLES is the number of pairs in each line (default 100: the standard error of 5 % is then 2.2 %).
"""

import sys
import time

import numpy as np
from made_profiles import autocorrelated, made_chunks, made_profile, named
from peer_rules import RULES

from prodnb.blocks import memory_of
from prodnb.chunks import Chunks
from prodnb.counted import Profile
from prodnb.drift_rule import DriftLimits, judge_column
from prodnb.effects import Effect, column_effect

SIZES = [(n, n) for n in (30, 100, 300, 1000, 10_000, 100_000)]
SIZES += [(10_000, 1000), (1000, 100), (100_000, 30), (100, 10_000), (30, 1000)]
NUMBERS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "log-normal": lambda rng, n: rng.lognormal(0, 1, n),
    "uniform": lambda rng, n: rng.random(n),
    "heavy tail": lambda rng, n: rng.exponential(1, n) ** 2,
    "zero-inflated": lambda rng, n: np.where(rng.random(n) < 0.7, 0.0, rng.exponential(1, n)),
    "counts": lambda rng, n: rng.poisson(3, n).astype(float),
}
LEVELS = (2, 3, 5, 8, 12, 20, 30, 50)
LIMITS = DriftLimits()
PEERS = 40  # tables that the other rules look at


def columns(rng: np.random.Generator, rows: int, *, shift: float = 0.0) -> dict[str, np.ndarray]:
    """A table of twelve numbers and eight levels; the numbers moved by so many standard deviations."""
    found = {}
    for name, draw in NUMBERS.items():
        sd = draw(np.random.default_rng(0), 100_000).std() if shift else 0.0
        found |= {f"{name} {i}": draw(rng, rows) + shift * sd for i in range(2)}
    for i, k in enumerate(LEVELS):
        weights = 1 / np.arange(1, k + 1) if i % 2 else np.ones(k)
        found[f"{k} levels"] = rng.choice(k, rows, p=weights / weights.sum())
    return found


def effects(before: Profile, now: Profile, chunks: Chunks | None = None) -> dict[str, Effect]:
    """How far each column moved, and its chance."""
    memory = memory_of(chunks, before, now, chunks.time if chunks else None)
    return {c.name: column_effect(c, now[c.name], dependence=memory.of(c.name), repeats=0) for c in before.columns}


def outcomes(found: dict[str, Effect], rows: tuple[int, int]) -> dict[str, str]:
    """What the drift rule says of each column."""
    corrected = LIMITS.corrected([e.p for e in found.values()])
    options = {"columns": len(found), "rows": rows, "limits": LIMITS}
    return {c: judge_column(c, e, float(p), **options).outcome for (c, e), p in zip(found.items(), corrected, strict=True)}


def false_alarms(n_reference: int, n: int, tables: int, *, seed: int = 0, peers: int = 0) -> dict[str, float]:
    """Share of unchanged tables in which any column fails, by rule; of other tools on the first `peers` tables only."""
    rng, found = np.random.default_rng([seed, n_reference, n]), dict.fromkeys(["prodnb", *(RULES if peers else ())], 0)
    for table in range(tables):
        reference, current = columns(rng, n_reference), columns(rng, n)
        before = made_profile(reference)
        said = outcomes(effects(before, made_profile(current, before)), (n_reference, n))
        found["prodnb"] += "failed" in said.values()
        for name in list(found)[1:] if table < peers else ():
            found[name] += any(RULES[name](reference[c], current[c]) for c in reference)
    return {name: k / (tables if name == "prodnb" else min(tables, peers)) for name, k in found.items()}


def power(
    n_reference: int, n: int, shift: float, tables: int, *, seed: int = 1, peers: bool = True
) -> dict[str, dict[str, float]]:
    """Share of the columns found that moved, by rule and distribution; one column of the table moves at a time."""
    rng = np.random.default_rng([seed, int(100 * shift)])
    found = {name: dict.fromkeys(NUMBERS, 0) for name in ["prodnb", *(RULES if peers else ())]}
    for _ in range(tables):
        reference, current, moved = columns(rng, n_reference), columns(rng, n), columns(rng, n, shift=shift)
        before = made_profile(reference)
        still, other = (effects(before, made_profile(x, before)) for x in (current, moved))
        for name in NUMBERS:
            column = f"{name} 0"
            found["prodnb"][name] += outcomes(still | {column: other[column]}, (n_reference, n))[column] == "failed"
            for rule in list(found)[1:]:
                found[rule][name] += RULES[rule](reference[column], moved[column])
    return {rule: {name: k / tables for name, k in held.items()} for rule, held in found.items()}


def remembering(tables: int, *, rho: float = 0.9, shift: float = 0.0, seed: int = 2) -> dict[str, float]:
    """Share of tables with a failing column: 20 series that remember, 1,000 current rows after 20,000, the clock told or not."""
    rng, found = np.random.default_rng([seed, int(100 * shift)]), {"told": 0, "not told": 0}
    for _ in range(tables):
        series = named("series", autocorrelated(rng, 21_000, 20, rho))
        reference, current = ({c: x[part] for c, x in series.items()} for part in (slice(20_000), slice(20_000, None)))
        current["series 0"] = current["series 0"] + shift
        before = made_profile(reference)
        now = made_profile(current, before)
        for name, chunks in {"told": made_chunks(reference, before, 1000), "not told": None}.items():
            said = outcomes(effects(before, now, chunks), (before.rows, now.rows))
            found[name] += said["series 0"] == "failed" if shift else "failed" in said.values()
    return {name: k / tables for name, k in found.items()}


def _share(k: float, tables: int) -> str:
    return f"{100 * k:5.1f} ± {200 * np.sqrt(k * (1 - k) / tables):.1f} %"


def main(tables: int) -> None:
    """Print the tables."""
    start = time.perf_counter()
    print(
        f"False alarms: any of 20 unchanged columns fails; {tables} pairs of tables (fewer above 10,000 rows), ± 2 standard errors"
    )
    print(f"{'reference':>10} {'current':>10}  " + "".join(f"{name:>24}" for name in ("prodnb", *RULES)))
    for n_reference, n in SIZES:
        times = tables if n_reference + n < 100_000 else max(tables // 10, 10)
        found = false_alarms(n_reference, n, times, peers=min(times, PEERS))
        shown = [_share(k, times if name == "prodnb" else min(times, PEERS)) for name, k in found.items()]
        print(f"{n_reference:>10,} {n:>10,}  " + "".join(f"{s:>24}" for s in shown), flush=True)
    print("\nPower: one of 20 columns moves, 10,000 reference rows, 1,000 current rows")
    for shift in (0.2, 0.15, 0.1):
        found = power(10_000, 1000, shift, max(tables // 4, 10), peers=True)
        print(f"  by {shift} sd" + "".join(f"{name:>16}" for name in NUMBERS) + f"{'all':>10}")
        for rule, held in found.items():
            print(
                f"  {rule:>24}"
                + "".join(f"{100 * k:14.1f} %" for k in held.values())
                + f"{100 * np.mean(list(held.values())):8.1f} %"
            )
    print("\nRows that remember 0.9 of the last: 20 series, 20,000 reference rows, the 1,000 rows that follow")
    for shift, what in ((0.0, "any fails, unchanged"), (1.0, "found, moved by 1 sd")):
        times = max(tables // 4, 10)
        found = remembering(times, shift=shift)
        print(f"  {what:>22}: " + ", ".join(f"clock {name} {_share(k, times)}" for name, k in found.items()), flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
