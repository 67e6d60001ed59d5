"""The long proofs behind what the documentation claims; run by `make prove`."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from project import prodnb, write_project
from test_drift import rates

from prodnb.intervals import wilson

pytestmark = pytest.mark.prove


@pytest.mark.parametrize(("n_reference", "n"), rates.SIZES)
def test_drift_cries_wolf_in_at_most_five_percent_of_clean_tables(n_reference, n):
    tables = 600 if n_reference + n < 100_000 else 80
    alarms = round(rates.false_alarms(n_reference, n, tables)["prodnb"] * tables)
    low, high = wilson(alarms, tables, level=0.95)
    print(
        f"reference {n_reference}, current {n}: {alarms} of {tables} clean tables failed, 95 % interval {low:.3f} to {high:.3f}"
    )
    assert alarms / tables <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / tables)


@pytest.mark.parametrize(("shift", "least"), [(0.2, 0.98), (0.15, 0.7)])
def test_drift_is_found(shift, least):
    found = rates.power(10_000, 1000, shift, 200)["prodnb"]
    print(f"moved by {shift} sd, found: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    assert min(found.values()) >= least


def test_two_thousand_columns_go_all_the_way(tmp_path):
    folder = write_project(tmp_path / "p", {})
    rng = np.random.default_rng(0)
    for name, shift in (("reference", 0.0), ("current", 0.0)):
        wide = {f"c{i}": rng.normal(shift + (i == 7 and name == "current"), 1, 400) for i in range(2000)}
        pd.DataFrame(wide).to_parquet(folder / f"{name}.parquet")
    started = time.monotonic()
    said = prodnb("run", "data_quality", "drift", "--json", "--set", "project.current=current.parquet", cwd=folder, timeout=1500)
    assert said.code in (0, 1), said.err
    drift = next(r for r in said.json["records"] if r["check"] == "drift")
    assert "c7" in {v["about"] for v in drift["verdicts"] if v["outcome"] == "failed"}
    sizes = {r["check"]: Path(r["report"]).stat().st_size for r in said.json["records"]}
    print(f"2,000 columns: {time.monotonic() - started:.0f} s, pages {json.dumps(sizes)} bytes")
    assert max(sizes.values()) < 3_000_000
