"""How often learned rules cry wolf on clean data, and which planted faults they find: `python benchmarks/learning.py [splits] [set ...]`.

Every split of a real set into a reference and current rows is clean: a finding (failed, warned or unknown) is a false one. Printed
are, by set and kind of split, the splits, those with a finding, their share with its exact 95 % interval, and the findings; then, for every
planted fault, what was found; those of `UNSEEN_FAULTS` apart. It ends with 1 when the lower end of the interval over all sets is above 1 in 20, or recall is below 95 %.
"""

import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from faults import FAULTS, SETS, UNSEEN_FAULTS, Fault, findings, names_it, planted, read, splits

from prodnb.intervals import clopper_pearson
from prodnb.learning import learn

AT_MOST, RECALL = 0.05, 0.95


def line(words: str, n: int, bad: int) -> str:
    """One line of the table."""
    low, high = (float(x) for x in clopper_pearson(bad, n))
    return f"{words:32} {n:>6} {bad:>9} {100 * bad / n:>7.1f} %   {100 * low:.1f} to {100 * high:.1f} %"


def clean(names: list[str], repeats: int) -> tuple[int, int]:
    """Count the clean splits with a finding."""
    print(f"{'clean splits':32} {'splits':>6} {'findings':>9} {'share':>9}   95 % interval")
    total, bad = Counter(), Counter()
    for name in names:
        frame, seen = read(name), Counter()
        for kind, before, now in splits(frame, SETS[name].ordered, repeats):
            found = findings(before, now, SETS[name].roles)
            total[name, kind] += 1
            bad[name, kind] += bool(found)
            seen.update(found)
        for key in [key for key in total if key[0] == name]:
            print(line(" ".join(key), total[key], bad[key]), flush=True)
        for finding, n in seen.most_common(8):
            print(f"      {n} x {finding}")
    for kind in dict.fromkeys(kind for _, kind in total):
        print(line(f"all sets {kind}", *(sum(v for k, v in c.items() if k[1] == kind) for c in (total, bad))))
    n, k = sum(total.values()), sum(bad.values())
    print(line("all", n, k))
    return n, k


def recall(names: list[str], seed: int = 0, planned: list[Fault] = FAULTS) -> tuple[int, int]:
    """Count the planted faults that are found."""
    kept, found = {}, 0
    faults = [f for f in planned if f.table in names]
    for fault in faults:
        if fault.table not in kept:
            frame = read(fault.table)
            kept[fault.table] = frame, learn(planted(fault, frame, seed)[0], roles=SETS[fault.table].roles)
        frame, contract = kept[fault.table]
        hits = [f for f in findings(*planted(fault, frame, seed), SETS[fault.table].roles, contract) if names_it(f, fault)]
        found += bool(hits)
        words = f"{fault.table}: {fault.what}, {fault.column}, {100 * fault.share:g} %"
        print(f"{'found ' if hits else 'MISSED'} {words:62} {hits[0] if hits else ''}", flush=True)
    return len(faults), found


def main() -> int:
    """Print both tables."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    names = sys.argv[2:] or list(SETS)
    start = time.perf_counter()
    n, bad = clean(names, repeats)
    planted_faults, found = recall(names)
    print(
        f"planted faults: {planted_faults}, found {found} ({100 * found / max(planted_faults, 1):.1f} %)   {time.perf_counter() - start:.0f} s"
    )
    print("faults that nothing was tuned on:")
    others, seen = recall(names, 1, UNSEEN_FAULTS)
    print(line("found of them", others, seen) if others else "none on these sets")
    crying = float(clopper_pearson(bad, n)[0]) > AT_MOST if n else False
    return int(crying or found < RECALL * planted_faults)


if __name__ == "__main__":
    sys.exit(main())
