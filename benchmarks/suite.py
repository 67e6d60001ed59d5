"""`prodnb run` against plain papermill on the same notebooks: `python benchmarks/suite.py [small | one | flights | starts | cells | runs]...`.

Every way executes the same templates with the same settings in new processes, in one run of this script, in turn; what `prodnb run`
does beyond papermill (fingerprints, pages, records, archive, MLflow where the settings name it) is inside its time. Only ratios of one
run of this script mean anything on a machine that others use too.

small    ten small notebooks, made in a temporary folder: cold and warm
one      one of them alone
flights  the project's own checks on the flights example (making it is not timed): cold, warm, and without forking
starts   200 kernels asked of one server at the same moment
cells    what a cell costs: a notebook of 200 cells, less what the same cells cost a bare client
runs     1,000 notebooks one after the other, and 200 of them 20 at a time: memory, files and processes (long; only if named)
"""

import concurrent.futures
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from prodnb.forked import Server, start_server  # noqa: E402

PRODNB = [sys.executable, "-m", "prodnb"]
REPEATS = int(os.environ.get("REPEATS", "3"))
COLUMNS = "pd.DataFrame({'a': np.arange(1000.0), 'b': list('xy') * 500})"
BODIES = [  # what ten small checks do: a table, a statistic, a model, a plot
    "frame.groupby('b').describe()",
    "import scipy.stats\nscipy.stats.ks_2samp(frame['a'][:500], frame['a'][500:])",
    "from sklearn.linear_model import LogisticRegression\nLogisticRegression().fit(frame[['a']] / 1000, frame['b'])",
    "import matplotlib.pyplot as plt\nplt.plot(frame['a']);",
    "import duckdb\nduckdb.sql('SELECT b, avg(a) FROM frame GROUP BY b').df()",
]


def timed(command: list[str], cwd: Path, allowed: tuple[int, ...] = (0,)) -> float:
    """Time one process."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-800:]}")
    return time.perf_counter() - start


def papermill(folder: Path, names: list[str], at_once: int) -> float:
    """Time plain papermill on the templates of a project, one process each."""
    from prodnb.template import find_templates

    templates, out = find_templates(folder), Path(tempfile.mkdtemp())

    def one(name: str) -> None:
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(templates[name].path), str(out / f"{name}.ipynb")]
        timed([*command, "--cwd", str(folder)], folder)

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        list(threads.map(one, names))
    shutil.rmtree(out)
    return time.perf_counter() - start


def ours(folder: Path, names: list[str]) -> float:
    """Time `prodnb run`; each run has an archive of its own."""
    archive = tempfile.mkdtemp()
    seconds = timed([*PRODNB, "run", *names, "--set", f"archive.path={archive}"], folder, (0, 1))
    shutil.rmtree(archive)
    return seconds


def warm(folder: Path, names: list[str]) -> float:
    """Time `prodnb run` with servers that are kept."""
    timed([*PRODNB, "warm"], folder)
    try:
        return ours(folder, names)
    finally:
        timed([*PRODNB, "warm", "--stop"], folder)


def compare(title: str, ways: dict[str, Callable[[], float]]) -> None:
    """Print the seconds of each way in turn, and how many times as long as each of ours plain papermill takes."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            found[name].append(way())
            print(f"    {title.partition(' (')[0]}: {name} {found[name][-1]:.2f} s", file=sys.stderr, flush=True)
    print(f"\n{title}", flush=True)
    for name, seconds in found.items():
        ratios = ""
        if name.startswith("prodnb"):
            plain = [other for other in found if other.startswith("papermill")]
            shares = {o: [b / a for a, b in zip(seconds, found[o], strict=True)] for o in plain}
            ratios = ", ".join(f"{statistics.median(s):5.2f} x ({min(s):.2f} to {max(s):.2f}) {o}" for o, s in shares.items())
        print(f"  {name:24} median {statistics.median(seconds):6.2f} s   {ratios}")


def small_project(scratch: Path) -> tuple[Path, list[str]]:
    """Write ten small check notebooks."""
    sys.path.insert(0, str(ROOT / "tests"))
    from project import showing, write_project

    checks = {}
    for n in range(10):
        name, body = f"small_{n}", BODIES[n % len(BODIES)]
        checks[name] = [f"import numpy as np\nimport pandas as pd\nframe = {COLUMNS}", body, showing(name)]
    return write_project(scratch / "small", checks), list(checks)


def small(scratch: Path) -> None:
    """Ten small notebooks."""
    folder, names = small_project(scratch)
    compare(
        "ten small notebooks (wanted: cold 8 and 4.5 x, warm 14 and 8 x)",
        {
            "papermill one by one": lambda: papermill(folder, names, 1),
            "papermill two at a time": lambda: papermill(folder, names, 2),
            "prodnb run, cold": lambda: ours(folder, names),
            "prodnb run, warm": lambda: warm(folder, names),
        },
    )


def one(scratch: Path) -> None:
    """One small notebook, with a model in it."""
    folder, names = small_project(scratch / "one")
    compare(
        "one small notebook (wanted: cold 0.91 x or more)",
        {"papermill": lambda: papermill(folder, names[2:3], 1), "prodnb run, cold": lambda: ours(folder, names[2:3])},
    )


def flights(scratch: Path) -> None:
    """The project's own checks."""
    from prodnb.template import find_templates

    folder = scratch / "example"
    timed([*PRODNB, "example", "flights", str(folder)], scratch)
    names = list(find_templates(folder))
    compare(
        f"the {len(names)} checks of the flights example",
        {
            "papermill one by one": lambda: papermill(folder, names, 1),
            "papermill two at a time": lambda: papermill(folder, names, 2),
            "prodnb run, cold": lambda: ours(folder, names),
            "prodnb run, warm": lambda: warm(folder, names),
            "prodnb run --no-fork": lambda: ours(folder, [*names, "--no-fork"]),
        },
    )


def started() -> Server:
    """Start a server for kernels."""
    sys.path.insert(0, str(ROOT / "tests"))
    from test_forked import LIBRARIES

    server = start_server("kernel", LIBRARIES, os.environ)
    if why := server.refused():
        sys.exit(why)
    return server


def starts(scratch: Path) -> None:
    """Many kernels at once."""
    server = started()
    from test_forked import start_processes

    start = time.perf_counter()
    failures = sum(code != 0 for code in start_processes(server, 200))
    print(f"\n200 kernels at the same moment: {failures} failures, {time.perf_counter() - start:.1f} s")
    server.stop()


def cells(scratch: Path) -> None:
    """The cost of a cell."""
    from prodnb.kernels import execute

    server, seconds = started(), {}
    from test_forked import write_notebook

    for _ in range(REPEATS):
        for count in (1, 201):
            write_notebook(scratch / "n.ipynb", ["pass"] * count)
            ending = execute(scratch / "n.ipynb", scratch / "o.ipynb", {}, cwd=scratch, server=server.path)
            if ending.kind:
                sys.exit(ending.message)
            seconds.setdefault(count, []).append(ending.seconds)
    server.stop()
    ours = (statistics.median(seconds[201]) - statistics.median(seconds[1])) / 200
    bare = bare_cell()
    print(
        f"\na cell: {1000 * ours:.1f} ms, of which a bare client needs {1000 * bare:.1f}: {1000 * (ours - bare):.1f} ms (wanted: 6 or less)"
    )


def bare_cell() -> float:
    """Return the seconds that a cell of `pass` costs a client of Jupyter that keeps nothing."""
    from jupyter_client.manager import start_new_kernel

    kernel, client = start_new_kernel()
    client.execute_interactive("pass")
    start = time.perf_counter()
    for _ in range(200):
        client.execute_interactive("pass")
    seconds = (time.perf_counter() - start) / 200
    client.stop_channels()
    kernel.shutdown_kernel(now=True)
    return seconds


def runs(scratch: Path) -> None:
    """Many notebooks of one server."""
    server = started()
    from test_forked import footprint, start_many, write_notebook

    from prodnb.kernels import execute

    start = time.perf_counter()
    failures = sum(kind != "None" for kind in start_many(server, scratch, 200, 20))
    print(f"\n200 notebooks, 20 at a time, each of a client of its own: {failures} failures, {time.perf_counter() - start:.1f} s")
    write_notebook(scratch / "n.ipynb", ["1 + 1"])
    for n in range(1, 1001):
        if execute(scratch / "n.ipynb", scratch / "o.ipynb", {}, cwd=scratch, server=server.path).kind:
            sys.exit(f"run {n} failed")
        if n in (20, 100, 250, 500, 1000):
            print(f"after {n:4} one after the other: {footprint(server)}", flush=True)
    server.stop()


def main() -> None:
    """Run the parts that are named, or all."""
    scratch = Path(tempfile.mkdtemp())
    print(f"cores {os.cpu_count()}, repeats {REPEATS}")
    try:
        for name in sys.argv[1:] or ("small", "one", "flights", "starts", "cells"):
            {"small": small, "one": one, "flights": flights, "starts": starts, "cells": cells, "runs": runs}[name](scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
