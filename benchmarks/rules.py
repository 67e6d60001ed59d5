"""Forty rules on a million rows, as whole processes: `python benchmarks/rules.py DIR [pairs]`.

Ours, pandera on Polars and Great Expectations judge the same forty rules on the same Parquet file (1M x 43), each from the start of its interpreter to its
end, in turn, so that a machine that slows down slows all. The peers live in environments of their own, named by PANDERA_VENV and GX_VENV (or DIR/../pandera and
DIR/../gx); one that is absent is skipped, and said so. DIR holds `current_1m.parquet`, or gets it. It ends with 1 when the median of ours is above
that of pandera, or above a seventh of that of Great Expectations.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

OURS = """
from prodnb.enforce import enforce
from prodnb.rules import Rule
R = [Rule(kind="not_null", columns=(c,), max_share=0.2) if i % 2 else Rule(kind="between", columns=(c,), options={"min": -50, "max": 50})
     for i, c in enumerate(NUM)]
R += [Rule(kind="between", columns=(c,), options={"min": 0, "max": 500}) for c in INT]
R += [Rule(kind="matches", columns=(c,), options={"pattern": PATTERN}) if i % 2 else Rule(kind="length_between", columns=(c,), options={"min": 8, "max": 8})
      for i, c in enumerate(CAT)]
R += [Rule(kind="in_set", columns=("flag",), options={"values": [True, False]}), Rule(kind="not_null", columns=("ts",))]
found = enforce(R, PATH)
assert len(found) == 40 and all(f.outcome == "passed" for f in found), [f.message for f in found if f.outcome != "passed"]
"""
PANDERA = """
import polars as pl, pandera.polars as pa
C = pa.Check
df = pl.read_parquet(PATH)
cols = {c: pa.Column(pl.Float64, C.in_range(-50, 50), nullable=True) for c in NUM}
cols |= {c: pa.Column(pl.Int64, C.in_range(0, 500)) for c in INT}
cols |= {c: pa.Column(pl.String, C.str_matches(PATTERN) if i % 2 else C.str_length(8, 8)) for i, c in enumerate(CAT)}
cols |= {"flag": pa.Column(pl.Boolean, C.isin([True, False])), "ts": pa.Column(None, nullable=False)}
pa.DataFrameSchema(cols).validate(df, lazy=True)
"""
GX = """
import pandas as pd, great_expectations as gx, great_expectations.expectations as E
df = pd.read_parquet(PATH)
ctx = gx.get_context(mode="ephemeral")
b = ctx.data_sources.add_pandas("s").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
ex = [E.ExpectColumnValuesToNotBeNull(column=c, mostly=0.8) if i % 2 else E.ExpectColumnValuesToBeBetween(column=c, min_value=-50, max_value=50)
      for i, c in enumerate(NUM)]
ex += [E.ExpectColumnValuesToBeBetween(column=c, min_value=0, max_value=500) for c in INT]
ex += [E.ExpectColumnValuesToMatchRegex(column=c, regex=PATTERN) if i % 2 else E.ExpectColumnValueLengthsToEqual(column=c, value=8)
       for i, c in enumerate(CAT)]
ex += [E.ExpectColumnValuesToBeInSet(column="flag", value_set=[True, False]), E.ExpectColumnValuesToNotBeNull(column="ts")]
s = ctx.suites.add(gx.ExpectationSuite("s", expectations=ex))
r = ctx.validation_definitions.add(gx.ValidationDefinition(name="v", data=b, suite=s)).run(batch_parameters={"dataframe": df})
assert r.success and r.statistics["evaluated_expectations"] == 40
"""
SHARED = """
NUM, INT, CAT = [f"num_{i:02d}" for i in range(20)], [f"int_{i:02d}" for i in range(10)], [f"cat_{i}" for i in range(8)]
PATTERN = r"^c\\d_\\d{5}$"
"""


def make_data(path: Path, rows: int = 1_000_000) -> None:
    """Write 20 numbers with 0 to 19 % nulls, 10 integers, 8 texts, a time, a flag and three columns of a model."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rng, columns = np.random.default_rng(1001), {}
    for i in range(20):
        values = rng.normal(0, 1, rows) if i % 3 else rng.gamma(2.0, 1.0, rows)
        columns[f"num_{i:02d}"] = pa.array(values, mask=rng.random(rows) < i / 100)
    for i in range(10):
        columns[f"int_{i:02d}"] = pa.array(rng.poisson(4.0 * (i + 1), rows))
    for i, levels in enumerate([3, 5, 10, 30, 100, 500, 2000, 10000]):
        names = np.array([f"c{i}_{k:05d}" for k in range(levels)])
        columns[f"cat_{i}"] = pa.array(names[(levels * rng.random(rows) ** 3).astype(int)])
    seconds = np.sort(rng.integers(0, 180 * 86400, rows)).astype("timedelta64[s]")
    columns["ts"] = pa.array(np.datetime64("2024-07-01", "us") + seconds.astype("timedelta64[us]"))
    columns |= {
        "flag": pa.array(rng.random(rows) < 0.4),
        "target": pa.array(rng.integers(0, 2, rows)),
        "prediction": pa.array(rng.integers(0, 2, rows)),
    }
    columns["prediction_proba"] = pa.array(rng.random(rows))
    parquet.write_table(pa.table(columns), path, row_group_size=125_000)


def peers(folder: Path) -> dict[str, tuple[str, str]]:
    """Name -> (interpreter, program) of those that are there."""
    found = {"prodnb": (sys.executable, OURS)}
    for name, variable, program in (("pandera on Polars", "PANDERA_VENV", PANDERA), ("Great Expectations", "GX_VENV", GX)):
        default = folder.resolve().parent / variable.partition("_")[0].lower()
        python = Path(os.environ.get(variable, default)) / "bin" / "python"
        if python.exists():
            found[name] = (str(python), program)
        else:
            print(f"{name} is skipped: {variable} names no environment with it")
    return found


def seconds(python: str, program: str, path: Path) -> float:
    """Time one whole process."""
    start = time.perf_counter()
    done = subprocess.run([python, "-c", f"PATH = {str(path)!r}\n{SHARED}\n{program}"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"it ended with {done.returncode}: {done.stderr[-800:]}")
    return time.perf_counter() - start


def main() -> int:
    """Print the table."""
    folder, pairs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "current_1m.parquet"
    if not path.exists():
        make_data(path)
    programs = peers(folder)
    for python, program in programs.values():
        seconds(python, program, path)
    times: dict[str, list[float]] = {name: [] for name in programs}
    for n in range(pairs):
        for name, (python, program) in programs.items():
            if name != "Great Expectations" or n < 3:
                times[name].append(seconds(python, program, path))
    print(f"40 rules, 1M x 43, whole process\n{'':20} {'median s':>9} {'min':>7} {'max':>7} {'of ours':>8}    n")
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, found in times.items():
        print(
            f"{name:20} {medians[name]:9.2f} {min(found):7.2f} {max(found):7.2f} {medians[name] / medians['prodnb']:8.2f} {len(found):4}"
        )
    late = medians["prodnb"] > medians.get("pandera on Polars", float("inf"))
    return int(late or medians["prodnb"] * 7 > medians.get("Great Expectations", float("inf")))


if __name__ == "__main__":
    sys.exit(main())
