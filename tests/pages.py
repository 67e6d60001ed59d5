"""A realistic executed notebook and its record, for the tests of the pages."""

import tempfile
from pathlib import Path
from typing import Any

from prodnb.verdict import RESULT_MIME

SETUP = """
%matplotlib inline
import numpy as np
from prodnb.verdict import CheckResult, Limit, Statistic, judge, skip
rng = np.random.default_rng(0)
columns = ["dep_time", "carrier", "origin", "distance", "wind_speed", "visib", "plane_age", "temp"]
shifts = [0.02, 0.14, 0.01, 0.03, 0.31, 0.18, 0.04, 0.45]
limit = Limit(warn=0.1, fail=0.25, reason="a shift of this size moved the share of late flights by a tenth in the spring")
share = Limit(warn=0.01, fail=0.05, reason="agreed with the data team on 2013-05-02")
"""
RESULT = """
verdicts = [judge(Statistic(name="effect", value=s, low=max(0, s - 0.02), high=s + 0.02, level=0.95, n=29_425, n_reference=21_000,
    about=c, method="Jensen-Shannon distance, base 2, bins of the reference"), limit) for c, s in zip(columns, shifts)]
verdicts += [judge(Statistic(name="null_share", value=0.031, low=0.029, high=0.033, level=0.95, unit="share", n=29_425, about=c), share)
    for c in columns]
verdicts.append(skip("the settings name no target", name="concept_shift"))
tables = {"Largest shifts": [{"column": c, "effect": s} for c, s in zip(columns, shifts)]}
result = CheckResult("drift", verdicts, tables, ["Sample of 20,000 rows, seed 0."])
result
"""
PLOT = """
import matplotlib.pyplot as plt
def plot_drift_effects():
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    axes.barh(columns[::-1], shifts[::-1], color="#0072B2")
    axes.axvline(0.25, color="#D55E00", label="fail")
    axes.legend()
    axes.set(title="How far each column moved", xlabel="Jensen-Shannon distance")
plot_drift_effects();
"""
PLOT_2 = """
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
axes.hist([rng.normal(0, 1, 5000), rng.normal(1, 1, 5000)], bins=30, label=["reference", "current"], color=["#0072B2", "#E69F00"])
axes.legend()
axes.set(title="temp: reference and current", xlabel="temperature (standard deviations)", ylabel="rows");
"""
TITLE = "# Drift\n> Has the data moved since the model was accepted?"
FAILS = """## When this fails
1. Look at the two columns that moved most: is it the season, or a feed that changed?
2. If a feed changed, ask its owner to mend it, and run the check again.
3. If the world changed, plan a new training; see [the runbook](https://example.org/runbook).
"""


def executed(*sources: str) -> dict[str, Any]:
    """Run cells (markdown when they start with `#`) with papermill and return the notebook."""
    import nbformat
    import papermill

    make = nbformat.v4
    cells = [make.new_markdown_cell(s) if s.startswith("#") else make.new_code_cell(s.strip()) for s in sources]
    metadata = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
    notebook = make.new_notebook(cells=cells, metadata=metadata)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "notebook.ipynb"
        nbformat.write(notebook, file)
        return papermill.execute_notebook(file, None, cwd=folder, progress_bar=False)


def results(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Collect what the cells recorded."""
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", [])]
    return [o["data"][RESULT_MIME] for o in outputs if RESULT_MIME in o.get("data", {})]


def a_record(notebook: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a record as the runner writes it."""
    found = results(notebook)
    table = {"algorithm": "sha256", "rows": 29_425, "columns": 19}
    return {
        "format": 1,
        "check": "drift",
        "title": "Drift",
        "question": "Has the data moved since the model was accepted?",
        "outcome": found[0]["outcome"] if found else "errored",
        "message": found[0]["message"] if found else "",
        "project": "flights",
        "run": "20130801T060000Z-3f9a",
        "owner": "flight data team, on call: +1 555 0100",
        "runbook": "https://wiki.example.org/flights/runbook",
        "started": "2013-08-01T06:00:00+00:00",
        "seconds": 7.31,
        "results": found,
        "cause": None,
        "parameters": {"max_effect": {"value": 0.25, "source": "settings.ini, line 31", "reason": "agreed in the spring"}},
        "inputs": [
            {"role": "reference", "location": "flights/reference.parquet", "digest": "9f2c" * 16, **table},
            {"role": "current", "location": "flights/2013-07.parquet", "digest": "07aa" * 16, **table},
            {"role": "model", "location": "models:/flights@champion", "digest": "55de" * 16, "algorithm": "sha256"},
        ],
        "environment": {"python": "3.11.2", "packages": {"numpy": "2.4.0", "pandas": "3.1.0"}},
        "resources": {"peak_memory_mb": 412.7, "cpu_seconds": 6.9},
        "template_digest": "ab" * 32,
        "settings_digest": "cd" * 32,
        "notebook_digest": "ef" * 32,
        "run_by": None,
        "previous": None,
        **more,
    }
