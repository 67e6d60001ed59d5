"""A small project whose checks end in every way there is, and a way to run the command line as a user does."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
RESULT = "from prodnb.verdict import CheckResult, Limit, Statistic, judge, skip\n"


def showing(check: str, value: float = 1.0, fail: float = 2.0, interval: float = 0.0, about: str = "dataset") -> str:
    """Return a cell that shows one judged statistic."""
    statistic = (
        f"Statistic(name='s', value={value}, low={value - interval}, high={value + interval}, level=0.95, n=10, about={about!r})"
    )
    return f"{RESULT}CheckResult({check!r}, [judge({statistic}, Limit(fail={fail}, reason='agreed'))])"


CELLS = {
    "passes": [showing("passes")],
    "warns": [showing("warns", 1.9, interval=0.5)],
    "doubts": [showing("doubts", 2.1, interval=0.5)],
    "fails": [showing("fails", 3.0)],
    "skips": [f"{RESULT}CheckResult('skips', [skip('there is no model')])"],
    "raises": [showing("raises"), "1 / 0", "2 + 2"],
    "dies": ["print('so far so good')", "import os; os._exit(0)", showing("dies")],
    "silent": ["1 + 1"],
    "lies": [showing("fails")],
}


def write_template(folder: Path, check: str, cells: list[str], parameters: str = "", **meta: object) -> None:
    """Write a check notebook into the project's own templates."""
    (folder / "templates").mkdir(exist_ok=True)
    lines = 'settings: str = "settings.ini"  # the settings\n' + parameters
    made = [{"cell_type": "markdown", "id": "t", "metadata": {}, "source": f"# {check}\n> Does {check} end well?"}]
    made.append(
        {
            "cell_type": "code",
            "id": "p",
            "metadata": {"tags": ["parameters"]},
            "source": lines,
            "outputs": [],
            "execution_count": None,
        }
    )
    for n, source in enumerate(cells):
        made.append(
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        )
    notebook = {"cells": made, "metadata": {**KERNEL, "prodnb": meta}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "templates" / f"{check}.ipynb").write_text(json.dumps(notebook))


def write_project(folder: Path, checks: dict[str, list[str]] | None = None, more: str = "") -> Path:
    """Write a settings file, a small table and the templates; return the folder."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"a": range(100), "b": list("xy") * 50}).to_parquet(folder / "reference.parquet")
    text = f"[project]\nname = demo\nowner = ann's team\nrunbook = see the wiki\nreference = reference.parquet\n[archive]\nmlflow = off\n{more}"
    (folder / "settings.ini").write_text(text)
    for check, cells in (checks if checks is not None else CELLS).items():
        write_template(folder, check, cells)
    return folder


@dataclass
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """Standard output, which holds JSON and nothing else."""
        return json.loads(self.out)


def prodnb(*arguments: object, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300) -> Said:
    """Run the command line in its own process."""
    command = [sys.executable, "-m", "prodnb", *map(str, arguments)]
    clean = (
        {k: v for k, v in os.environ.items() if not k.startswith("PRODNB_")} | {"COLUMNS": "200", "NO_COLOR": "1"} | (env or {})
    )
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    return Said(done.returncode, done.stdout, done.stderr)
