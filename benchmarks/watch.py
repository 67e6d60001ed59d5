"""How often the long watch cries wolf in a year of weekly looks, and how soon it sees a change: `python benchmarks/watch.py [HISTORIES] [SHARED]`.

Tables of 20 columns, of six distributions and of 2 to 50 levels, cut into 52 chunks after a reference of the same distribution. *Any alarm*: the share of
histories in which any column alarms at any look, which the watch bounds by 5 %, beside the default rules of other tools on the same chunks (on a few
histories: one is enough to see it). *Delay*: rows from a change of half a standard deviation, at look 26, to the alarm, in the middle of histories, beside
the rows that a two-sided test of fixed size needs for it, at the level 0.05 / (52 x 20), with 80 % and with 50 % power. *Change point*: how often the
interval holds the change. *Rows that hang together*: the same alarms where chunks differ, and resemble the chunk before, more than independent rows
would, for references of few chunks. At last the sets of real data in the folder SHARED (`../shared/data` beside the project), with dates that are known.

Counts are taken with numpy as the engine takes them (see `made_profiles.py`). HISTORIES is the number in each line (default 40: the standard error of
5 % is then 3.4 %).
"""

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from drift_rates import columns
from made_profiles import made_chunks, made_profile
from peer_rules import RULES
from scipy import stats

from prodnb.baseline import Baseline
from prodnb.counted import Profile
from prodnb.inputs import Roles
from prodnb.watch import check_watch
from prodnb.watch_state import Watch, start_watch

LOOKS, ALPHA, SHIFT, AT = 52, 0.05, 0.5, 26
SIZES = [(1000, 50), (1000, 200), (1000, 1000), (10_000, 50), (10_000, 200), (10_000, 1000)]
PEERS = 2  # histories that the other rules look at


def history(rng: np.random.Generator, n: int, m: int, shift: float = 0.0) -> tuple[dict, dict]:
    """A reference and the rows after it; from look 26 on the first column of each distribution has moved."""
    reference, clean = columns(rng, n), columns(rng, LOOKS * m)
    for name, values in clean.items() if shift else ():
        if name.endswith(" 0"):
            values[AT * m :] += shift * columns_sd(name)
    return reference, clean


def columns_sd(name: str, held: dict = {}) -> float:  # noqa: B006 (drawn once)
    """Standard deviation of a distribution."""
    if not held:
        held |= {c: float(v.std()) for c, v in columns(np.random.default_rng(0), 200_000).items() if v.dtype.kind == "f"}
    return held[name]


def watched(reference: dict, current: dict, m: int) -> Watch:
    """The watch after all looks."""
    like: Profile = made_profile(reference)
    return start_watch(Baseline(like, None), Roles(time="time"), alpha=ALPHA, every=f"{m} rows").update(
        made_chunks(current, like, m)
    )


def fixed_size(n: int, power: float) -> float:
    """Rows that a two-sided test of fixed size needs."""
    z = stats.norm.isf(ALPHA / LOOKS / 20 / 2) + stats.norm.ppf(power)
    return 1 / ((SHIFT / z) ** 2 - 1 / n) if (SHIFT / z) ** 2 > 1 / n else np.inf


def peers(reference: Mapping[str, np.ndarray], current: Mapping[str, np.ndarray], m: int) -> dict[str, int]:
    """Alarms of each rule over all looks and columns."""
    looks = [(c, values[t * m : (t + 1) * m]) for c, values in current.items() for t in range(LOOKS)]
    return {name: sum(rule(reference[c], part) for c, part in looks) for name, rule in RULES.items()}


def clean_lines(histories: int) -> Iterator[str]:
    """Histories without any change."""
    yield (
        f"{'reference':>9} {'chunk':>6} {'any alarm':>10} {'(95 % interval)':>18}   alarms in 1,040 looks at a clean column: "
        + ", ".join(RULES)
    )
    for n, m in SIZES:
        rng, alarmed, others = np.random.default_rng([n, m]), 0, []
        for i in range(histories):
            reference, current = history(rng, n, m)
            alarmed += bool(watched(reference, current, m).alarms)
            others += [peers(reference, current, m)] if i < PEERS else []
        low, high = stats.binomtest(alarmed, histories).proportion_ci()
        seen = ", ".join(f"{np.mean([o[k] for o in others]):.0f}" for k in RULES)
        yield f"{n:9,} {m:6,} {alarmed / histories:10.1%} {f'{low:.1%} to {high:.1%}':>18}   {seen}"


def restless(rng: np.random.Generator, chunks: int, m: int, effect: float, memory: float) -> dict[str, np.ndarray]:
    """Twenty columns of which the chunks' means vary like those of rows / effect independent rows, and remember the chunk before."""
    found = {}
    for i in range(20):
        steps, mean = rng.normal(size=chunks), np.zeros(chunks)
        mean[0] = steps[0]
        for t in range(1, chunks):
            mean[t] = memory * mean[t - 1] + np.sqrt(1 - memory**2) * steps[t]
        found[f"normal {i}"] = np.repeat(mean * np.sqrt((effect - 1) / m), m) + rng.normal(size=chunks * m)
    return found


def dependence_lines(histories: int) -> Iterator[str]:
    """Histories without any change, of rows that hang together."""
    yield f"{'design effect':>13} {'memory':>6} {'chunks of the reference':>23} {'any alarm':>10} {'(95 % interval)':>18} {'rows taken as independent':>26}"
    m = 96
    for effect, memory in ((1.5, 0.0), (4.0, 0.0), (3.0, 0.3), (3.0, 0.5), (3.0, 0.8)):
        for chunks in (13, 26, 52):
            rng, alarmed = np.random.default_rng([chunks, int(10 * effect), int(10 * memory)]), [0, 0]
            for _ in range(histories):
                table = restless(rng, chunks + LOOKS, m, effect, memory)
                before, after = ({c: x[part] for c, x in table.items()} for part in (slice(chunks * m), slice(chunks * m, None)))
                like = made_profile(before)
                for i, own in enumerate((made_chunks(before, like, m), None)):
                    watch = start_watch(Baseline(like, own), Roles(time="time"), alpha=ALPHA, every=f"{m} rows")
                    alarmed[i] += bool(watch.update(made_chunks(after, like, m)).alarms)
            low, high = stats.binomtest(alarmed[0], histories).proportion_ci()
            shares = f"{alarmed[0] / histories:10.1%} {f'{low:.1%} to {high:.1%}':>18} {alarmed[1] / histories:26.1%}"
            yield f"{effect:13g} {memory:6g} {chunks:23} {shares}"


def change_lines(histories: int) -> Iterator[str]:
    """Histories with a change at look 26 in six columns."""
    words = "normal: median delay (rows)", "fixed size 80 %", "50 %", "all six: median", "interval holds the change", "its chunks"
    yield f"{'reference':>9} {'chunk':>6}   " + "   ".join(words)
    for n, m in SIZES:
        rng, delays, held, width = np.random.default_rng([n, m, 1]), {}, [], []
        for _ in range(histories):
            watch = watched(*history(rng, n, m, SHIFT), m)
            for name in [c for c in watch.monitors if c.endswith(" 0")]:
                alarm = watch.alarms.get(name)
                delays.setdefault(name, []).append((alarm.number - AT) * m if alarm else np.inf)
                if alarm and alarm.number > AT:
                    change = watch.changes[name]
                    held.append(change.low <= AT * m <= change.high)
                    width.append((change.high - change.low + 1) / m)
        every = np.median(np.concatenate(list(delays.values())))
        facts = np.median(delays["normal 0"]), fixed_size(n, 0.8), fixed_size(n, 0.5), every
        yield f"{n:9,} {m:6,}   " + "   ".join(f"{x:,.0f}" for x in facts) + f"   {np.mean(held):.1%}   {np.mean(width):.1f}"


def real_lines(shared: Path) -> Iterator[str]:
    """Sets of real data."""
    elec2 = pd.read_parquet(shared / "elec2/elec2.parquet")
    roles = Roles(time="date_approx", target="class", ignore=("date",))
    yield "elec2 by week; vicprice, vicdemand and transfer move from 1997-05-05"
    yield from _named(elec2[:8000], elec2[8000:], roles, every="week")
    loans = shared / "nannyml_car_loan"
    roles = Roles(target="repaid", prediction="y_pred", probability="y_pred_proba", time="timestamp", id="id")
    for every in ("5000 rows", "week"):
        yield f"car loans by {every}; a change at 2019-03-31 03:00"
        yield from _named(loans / "reference.parquet", loans / "analysis.parquet", roles, every=every)
    cars, roles = shared / "nannyml_regression", Roles(target="y_true", prediction="y_pred", time="timestamp", id="id")
    yield "used cars by day; all features change at 2017-02-28 08:00"
    yield from _named(cars / "reference.parquet", cars / "analysis.parquet", roles, every="day")
    rain = pd.read_parquet(shared / "noaa_rain/noaa_rain.parquet").drop(columns="index")
    rain["at"] = pd.Timestamp("1950-01-01") + pd.to_timedelta(np.arange(len(rain)), "D")
    for season in ("none", "month"):
        yield f"rain by month, ten years against the next two, season = {season}"
        yield from _named(rain[3650:7302], rain[7302:8032], Roles(time="at", target="rain"), every="month", season=season)


def _named(reference: object, current: object, roles: Roles, **options: str) -> Iterator[str]:
    result = check_watch(reference, current, roles=roles, **options)
    for verdict in result.verdicts:
        if "alarm in chunk" in verdict.message:
            yield f"  {verdict.outcome} {verdict.message[15:150]}"
    silent = [v.statistic.about for v in result.verdicts if v.outcome in ("passed", "unknown") and v.statistic.about != "dataset"]
    yield f"  silent: {', '.join(silent) or 'none'}"


def daily_lines() -> Iterator[str]:
    """What a daily look costs: a million rows of the past, and one day."""
    rng, rows = np.random.default_rng(0), 500_000
    at = pd.date_range("2024-01-01", periods=2 * rows, freq="min")
    table = pd.DataFrame({"at": at} | {f"x{i}": rng.normal(size=2 * rows) for i in range(20)})
    roles, day = Roles(time="at"), 1440
    first = check_watch(table[:rows], table[rows:-day], roles=roles, every="month")
    start = time.perf_counter()
    again = check_watch(table[:rows], table[rows:], roles=roles, every="month", past=SimpleNamespace(state=first.state))
    yield f"one more day of 1,440 rows after {rows - day:,}: {time.perf_counter() - start:.1f} s, {again.notes[0]}"


def main(histories: int = 40, shared: str = "../shared/data") -> None:
    """Print all tables."""
    for title, lines in (
        (f"Any alarm in {LOOKS} looks at 20 clean columns, {histories} histories a line", clean_lines(histories)),
        (f"A change of {SHIFT} standard deviations at look {AT}", change_lines(max(histories // 2, 2))),
        ("Any alarm where rows hang together, 96 a chunk", dependence_lines(max(histories // 2, 2))),
        ("A daily look", daily_lines()),
        ("Real data", real_lines(Path(shared)) if Path(shared).is_dir() else iter(["not here"])),
    ):
        start = time.perf_counter()
        print(f"\n{title}")
        for line in lines:
            print(line, flush=True)
        print(f"({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, str), sys.argv[1:], strict=False)))
