"""Drift of a table against its reference, whole processes side by side: `python benchmarks/drift.py [DIR] [--rounds 3] [--evidently PYTHON] [--nannyml PYTHON]`.

DIR holds `reference_1m.parquet` and `current_1m.parquet` (43 columns), and may hold the same of 100k rows and `current_20m.parquet`; where there are
none, smaller ones of the same shape are made. Every run is a process of its own that reads the files and ends; its wall time, CPU time and
peak memory are those of the operating system. The order alternates from round to round, medians are shown. What is compared:

* ours: `check_drift(reference, current)`, with p-values, intervals and smallest detectable shifts of all columns;
* bare: DuckDB alone makes deciles of the reference, histograms of both tables and counts of all texts, which is the least that any drift needs;
* Evidently's DataDriftPreset and NannyML's univariate drift with their defaults, if a Python that has them is named.

Then our own memory by the number of rows, and a daily look: a reference that was counted once against 10,000 new rows.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ["peers", "sizes", "daily"]
OURS = """
import sys
from prodnb.drift import check_drift
result = check_drift(*sys.argv[1:3])
judged = [v.statistic for v in result.verdicts if v.statistic.name == "drift" and v.statistic.about != "dataset" and v.statistic.value is not None]
assert all(s.p is not None and s.low is not None and s.detectable is not None for s in judged)
print(len(judged), "columns,", result.outcome)
"""
BARE = """
import sys
import duckdb
reference, current = sys.argv[1:3]
con = duckdb.connect()
types = {name: kind for name, kind, *_ in con.execute(f"DESCRIBE SELECT * FROM '{reference}'").fetchall()}
numbers = [c for c, kind in types.items() if kind in ("DOUBLE", "BIGINT", "INTEGER")]
tenths = [k / 10 for k in range(1, 10)]
row = con.execute("SELECT " + ", ".join(f'approx_quantile("{c}", {tenths})' for c in numbers) + f" FROM '{reference}'").fetchall()[0]
edges = {c: sorted(set(map(float, q))) for c, q in zip(numbers, row)}
for table in (reference, current):
    con.execute("SELECT " + ", ".join(f'histogram("{c}", {edges[c]})' for c in numbers) + f" FROM '{table}'").fetchall()
    for c in (c for c, kind in types.items() if kind == "VARCHAR"):
        con.execute(f'SELECT "{c}", count(*) FROM \\'{table}\\' GROUP BY 1').fetchall()
print(len(types), "columns")
"""
COLUMNS = """
numbers = [c for c in reference if c.startswith(("num_", "int_"))]
texts = [c for c in reference if c.startswith("cat_")]
"""
EVIDENTLY = f"""
import sys
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
reference, current = (pd.read_parquet(p) for p in sys.argv[1:3])
{COLUMNS}
about = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
a, b = (Dataset.from_pandas(t[numbers + texts], data_definition=about) for t in (reference, current))
found = Report([DataDriftPreset()]).run(b, a).dict()
print(len(numbers) + len(texts), "columns")
"""
NANNYML = f"""
import os, sys
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import pandas as pd
import nannyml
reference, current = (pd.read_parquet(p) for p in sys.argv[1:3])
{COLUMNS}
found = nannyml.UnivariateDriftCalculator(column_names=numbers + texts).fit(reference).calculate(current).to_df()
print(len(numbers) + len(texts), "columns")
"""
COUNT = """
import sys
from prodnb.baseline import baseline
from prodnb.roles import Roles
print(open(sys.argv[2], "w").write(baseline(sys.argv[1], roles=Roles(time=sys.argv[3])).to_json()), "characters")
"""
FIRST = """
import sys
import pyarrow.parquet as pq
pq.write_table(pq.read_table(sys.argv[1]).slice(0, 10_000), sys.argv[2])
print("written")
"""
DAILY = """
import sys
from prodnb.baseline import Baseline
from prodnb.drift import check_drift
from prodnb.roles import Roles
result = check_drift(Baseline.from_json(open(sys.argv[1]).read()), sys.argv[2], roles=Roles(time=sys.argv[3]))
print(result.outcome)
"""


def run(python: str, code: str, *arguments: object) -> dict[str, float]:
    """Run a program in a process of its own: seconds of wall and of CPU, and its peak memory in MB.

    The peak counts from the memory of this process on, which therefore must stay small: whatever reads a table is a process of its own.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)} if python == sys.executable else dict(os.environ)
    environment |= {"PYTHONWARNINGS": "ignore"}
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen([python, "-c", code, *map(str, arguments)], stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if child.returncode:
            err.seek(0)
            sys.exit(f"{python} failed:\n{err.read()[-2000:]}")
        out.seek(0)
        said = out.read().strip().splitlines()[-1]
    return {"wall": seconds, "cpu": usage.ru_utime + usage.ru_stime, "mb": usage.ru_maxrss / 1024, "said": said}


def median(runs: list[dict], key: str) -> float:
    """The median of one number over several runs."""
    return statistics.median(r[key] for r in runs)


def side_by_side(programs: dict[str, tuple[str, str]], files: tuple[Path, Path], rounds: int) -> dict[str, list[dict]]:
    """Run all programs in turn, every other round from the last to the first."""
    found: dict[str, list[dict]] = {name: [] for name in programs}
    for turn in range(rounds):
        for name in list(programs)[:: 1 if turn % 2 == 0 else -1]:
            found[name].append(run(*programs[name], *files))
    return found


def show(found: dict[str, list[dict]]) -> None:
    """Print the table: medians, and ratios to ours."""
    ours = found["ours"]
    print(f"{'':14}{'wall s':>9}{'CPU s':>9}{'MB':>8}{'wall : ours':>13}{'CPU : ours':>12}   {'rounds, wall s':20}")
    for name, runs in found.items():
        wall, cpu, mb = (median(runs, key) for key in ("wall", "cpu", "mb"))
        each = " ".join(f"{r['wall']:.1f}" for r in runs)
        print(
            f"{name:14}{wall:9.2f}{cpu:9.2f}{mb:8.0f}{wall / median(ours, 'wall'):13.2f}{cpu / median(ours, 'cpu'):12.2f}   {each:20} {runs[-1]['said']}",
            flush=True,
        )


def made(folder: Path, rows: int, name: str) -> Path:
    """A file of the folder, or one of the same shape."""
    path = folder / name
    if not path.exists():
        sys.path.insert(0, str(Path(__file__).parent))
        from profile import make  # the benchmark beside this one

        make(path, rows, 21, 12, (3, 5, 10, 30, 100, 500, 2000, 10000))
    return path


def daily(folder: Path, reference: Path, time_column: str, rounds: int) -> None:
    """Time looks at few new rows, by the size of a reference that was counted before."""
    print("a daily look: 10,000 new rows against a reference that was counted once")
    new = folder / "new_10k.parquet"
    run(sys.executable, FIRST, reference, new)
    for name in ("reference_100k.parquet", "reference_1m.parquet"):
        if not (folder / name).exists():
            continue
        state = folder / "baseline.json"
        counted = run(sys.executable, COUNT, folder / name, state, time_column)
        looks = [run(sys.executable, DAILY, state, new, time_column) for _ in range(rounds)]
        size = state.stat().st_size / 1e6
        print(
            f"  {name:24} counted once in {counted['wall']:.1f} s, {size:.2f} MB; a look {median(looks, 'wall'):.2f} s, CPU {median(looks, 'cpu'):.2f} s, {median(looks, 'mb'):.0f} MB"
        )
        state.unlink()
    new.unlink()


def peers(given: argparse.Namespace, files: tuple[Path, Path]) -> None:
    """Ours, the bare query and what else is named, side by side."""
    programs = {"ours": (sys.executable, OURS), "bare DuckDB": (sys.executable, BARE)}
    for name, python, code in (("Evidently", given.evidently, EVIDENTLY), ("NannyML", given.nannyml, NANNYML)):
        if python and Path(python).exists():
            programs[name] = (python, code)
        else:
            print(f"  {name} is left out: no Python that has it is named with --{name.lower()}")
    show(side_by_side(programs, files, given.rounds))


def sizes(folder: Path) -> None:
    """Our own time and memory by the number of rows."""
    import pyarrow.parquet as pq

    print("ours by the number of rows")
    for first, second in (("reference_100k", "current_100k"), ("reference_1m", "current_1m"), ("current_20m", "current_20m")):
        pair = folder / f"{first}.parquet", folder / f"{second}.parquet"
        if all(p.exists() for p in pair):
            one = run(sys.executable, OURS, *pair)
            print(
                f"  {pq.read_metadata(pair[1]).num_rows:>12,} rows {one['wall']:8.2f} s  CPU {one['cpu']:7.2f} s {one['mb']:6.0f} MB   {one['said']}",
                flush=True,
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--evidently", metavar="PYTHON")
    parser.add_argument("--nannyml", metavar="PYTHON")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="the tables to print")
    parser.add_argument("--time", default="ts", help="the column of time, for the daily look")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    files = made(folder, 200_000, "reference_1m.parquet"), made(folder, 200_000, "current_1m.parquet")
    import pyarrow.parquet as pq

    about = pq.read_metadata(files[1])
    print(
        f"{about.num_rows:,} rows against {pq.read_metadata(files[0]).num_rows:,}, {about.num_columns} columns; {given.rounds} rounds, {os.cpu_count()} cores"
    )
    if "peers" in given.parts:
        peers(given, files)
    if "sizes" in given.parts:
        sizes(folder)
    if "daily" in given.parts:
        daily(folder, files[0], given.time, given.rounds)


if __name__ == "__main__":
    main()
