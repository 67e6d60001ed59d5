"""How long the light commands take, as a ratio to importing typer and rich: `python benchmarks/startup.py`.

Each command is timed in turn with the yardstick, so that a machine that slows down slows both; medians and the ratios pair by pair
are printed. It ends with 1 when a median ratio is above 5.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS, LIMIT = 9, 5.0
YARDSTICK = [sys.executable, "-c", "import typer, rich"]


def seconds(command: list[str], cwd: Path) -> float:
    """Time one process from start to end."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return time.perf_counter() - start


def main() -> int:
    """Print the table."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from project import CELLS, prodnb, write_project

    folder = write_project(Path(tempfile.mkdtemp()) / "p", {"passes": CELLS["passes"]})
    prodnb("run", "passes", cwd=folder)
    worst = 0.0
    print(f"{'command':28} {'median s':>9} {'yardstick s':>12} {'ratio':>7} {'min':>6} {'max':>6}   n = {REPEATS} pairs")
    for arguments in (["--help"], ["list"], ["list", "--json"], ["show"], ["show", "--json"]):
        command = [sys.executable, "-m", "prodnb", *arguments]
        seconds(command, folder), seconds(YARDSTICK, folder)
        pairs = [(seconds(command, folder), seconds(YARDSTICK, folder)) for _ in range(REPEATS)]
        ratios = [a / b for a, b in pairs]
        median = statistics.median(ratios)
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"prodnb {' '.join(arguments):21} {ours:9.3f} {theirs:12.3f} {median:7.2f} {min(ratios):6.2f} {max(ratios):6.2f}")
        worst = max(worst, median)
    print(f"largest median ratio {worst:.2f}, limit {LIMIT}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
