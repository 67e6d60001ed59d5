"""A profile against DuckDB's SUMMARIZE, Polars' describe and peers, in turn: `python benchmarks/profiles.py [DIR [PAIRS]]`.

Every run is a fresh process with 2 threads (a busy machine shows in the time, hardly in the ratios); the time of imports is not counted,
memory is the peak above the import. DIR holds `current_1m.parquet` (43 columns) and `current_20m.parquet` (20 columns); where it holds none,
files of that shape are made there (20M rows only with PRODNB_LARGE=1). A peer runs where an environment variable names the Python of a venv
that has it (PEER_EVIDENTLY, PEER_YDATA, PEER_WHYLOGS, PEER_GX), on the first tenth of the rows of the small table.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START = """
import json, resource, sys, threading, time
path = sys.argv[1]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def tenth(rows=100_000):
    import pyarrow.parquet as pq
    return next(pq.ParquetFile(path).iter_batches(rows)).to_pandas()
"""
END = """
before, cpu, start = peak(), time.process_time(), time.perf_counter()
run()
print(json.dumps({"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "mb": peak() - before}))
"""
OURS = {
    "prodnb profile": """
import pandas
from prodnb.embedded import engine
from prodnb.profile import profile
from prodnb.tables import open_table
engine().raw_sql("SET threads = 2")
def run(): profile(open_table(path))
""",
    "duckdb SUMMARIZE": """
import duckdb
con = duckdb.connect(config={"threads": 2})
def run(): con.execute("SUMMARIZE SELECT * FROM read_parquet($1)", [path]).fetchall()
""",
    "polars describe": """
import os
os.environ["POLARS_MAX_THREADS"] = "2"
import polars
def run(): polars.scan_parquet(path).describe()
""",
}
PEERS = {
    "PEER_EVIDENTLY": """
from evidently import Dataset, Report
from evidently.presets import DataSummaryPreset
frame = tenth()
def run(): Report([DataSummaryPreset()]).run(Dataset.from_pandas(frame)).dict()
""",
    "PEER_YDATA": """
from ydata_profiling import ProfileReport
frame = tenth()
def run(): ProfileReport(frame, minimal=True, progress_bar=False).get_description()
""",
    "PEER_WHYLOGS": """
import whylogs
frame = tenth()
def run(): whylogs.log(frame).profile().view()
""",
    "PEER_GX": """
import great_expectations as gx
frame = tenth()
context = gx.get_context(mode="ephemeral")
batch = context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
wide = gx.expectations
ranges = [wide.ExpectColumnValuesToBeBetween(column=c, min_value=-1e6, max_value=1e6) for c in frame.select_dtypes("number").columns[:20]]
nulls = [wide.ExpectColumnValuesToNotBeNull(column=c, mostly=0.5) for c in frame.columns[:40 - len(ranges)]]
suite = gx.ExpectationSuite(name="s", expectations=ranges + nulls)
def run(): batch.get_batch({"dataframe": frame}).validate(suite)
""",
}


def make(path: Path, rows: int, numbers: int, whole: int, levels: tuple[int, ...]) -> None:
    """Write a table of numbers with nulls, whole numbers, texts, a time and a flag; seeded, a million rows at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for part in range(0, rows, 1_000_000):
        rng, n = np.random.default_rng(part), min(1_000_000, rows - part)
        columns = {f"num_{i:02}": pa.array(rng.normal(size=n), mask=rng.random(n) < i / 100) for i in range(numbers)}
        columns |= {f"int_{i:02}": pa.array(rng.poisson(4 * (i + 1), n)) for i in range(whole)}
        for i, k in enumerate(levels):
            columns[f"cat_{i}"] = pa.array(np.array([f"c{i}_{j:05}" for j in range(k)])[(rng.random(n) ** 3 * k).astype(int)])
        columns["ts"] = pa.array(
            np.datetime64("2024-01-01", "us") + np.sort(rng.integers(0, 180 * 86400, n)).astype("timedelta64[s]")
        )
        columns["flag"] = pa.array(rng.random(n) < 0.3)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=125_000)
    writer.close()


def timed(python: str, code: str, path: Path) -> dict[str, float]:
    """Run one program in a new process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([python, "-c", START + code + END, str(path)], capture_output=True, text=True, env=environment)
    if done.returncode:
        return {}
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(name: str, runs: list[dict[str, float]], against: list[dict[str, float]], cells: int) -> None:
    """Print one line of the table."""
    held = [r for r in runs if r]
    if not held:
        print(f"  {name:20} did not run")
        return
    seconds, cpu, mb = (statistics.median(r[k] for r in held) for k in ("seconds", "cpu", "mb"))
    ratios = [[a[k] / b[k] for a, b in zip(runs, against, strict=True) if a and b] for k in ("seconds", "cpu")]
    shown = "  ".join(f"{statistics.median(r):5.2f}" if r else "    -" for r in ratios)
    print(
        f"  {name:20} {seconds:8.2f} s  CPU {cpu:7.2f} s   of SUMMARIZE: time, CPU {shown}   {cells / seconds / 1e6:6.1f} M cells/s   {mb:6.0f} MB",
        flush=True,
    )


def main() -> None:
    """Print the tables."""
    import pyarrow.parquet as pq

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    folder.mkdir(parents=True, exist_ok=True)
    small, large = folder / "current_1m.parquet", folder / "current_20m.parquet"
    if not small.exists():
        make(small, 1_000_000, 21, 12, (3, 5, 10, 30, 100, 500, 2000, 10000))
    if not large.exists() and os.environ.get("PRODNB_LARGE"):
        make(large, 20_000_000, 10, 4, (3, 30, 500, 10000))
    for path in (p for p in (small, large) if p.exists()):
        about = pq.read_metadata(path)
        print(
            f"{path.name}: {about.num_rows:,} rows, {about.num_columns} columns; {pairs} rounds in turn, 2 threads, {os.cpu_count()} cores"
        )
        runs = {name: [] for name in OURS}
        for _ in range(pairs):
            for name, code in OURS.items():
                runs[name].append(timed(sys.executable, code, path))
        for name, found in runs.items():
            report(name, found, runs["duckdb SUMMARIZE"], about.num_rows * about.num_columns)
    print(f"{small.name}, its first 100,000 rows")
    for variable, code in PEERS.items():
        if python := os.environ.get(variable):
            report(variable, [timed(python, code, small)], [{}], 100_000 * pq.read_metadata(small).num_columns)
        else:
            print(f"  {variable:20} skipped: the variable names no Python")


if __name__ == "__main__":
    main()
