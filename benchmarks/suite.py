"""The flights example by `prodnb run` against plain papermill on the same notebooks one by one: `python benchmarks/suite.py [DIR [REPEATS]]`.

Both ways execute the same templates with the same settings in new processes, in one run of this script, in turn. What `prodnb run`
does beyond papermill (fingerprints, pages, records, archive, MLflow) is inside its time. DIR holds the example; without it the
example is made in a temporary folder, which is not timed.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent


def timed(command: list[str], cwd: Path, allowed: tuple[int, ...] = (0,)) -> float:
    """Time one process."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-800:]}")
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from prodnb.template import find_templates

    scratch = Path(tempfile.mkdtemp())
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else scratch / "example"
    timed([sys.executable, "-m", "prodnb", "example", "flights", str(folder)], scratch)
    templates, repeats = find_templates(folder), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    archive = f"archive.path={scratch / 'archive'}"
    ours, theirs, per_check = [], [], {name: [] for name in templates}
    for _ in range(repeats):
        ours.append(timed([sys.executable, "-m", "prodnb", "run", "--set", archive], folder, (0, 1)))
        for name, template in templates.items():
            command = [
                str(BIN / "papermill"),
                "--no-progress-bar",
                str(template.path),
                str(scratch / f"{name}.ipynb"),
                "--cwd",
                str(folder),
            ]
            per_check[name].append(timed(command, folder))
        theirs.append(sum(times[-1] for times in per_check.values()))
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    print(f"cores {os.cpu_count()}, repeats {repeats}, notebooks {len(templates)}")
    for name, times in per_check.items():
        print(f"  papermill {name:16} median {statistics.median(times):6.1f} s")
    print(f"papermill one by one       median {statistics.median(theirs):6.1f} s")
    print(f"prodnb run                 median {statistics.median(ours):6.1f} s")
    print(f"papermill / prodnb run     median {statistics.median(ratios):6.2f}  (min {min(ratios):.2f}, max {max(ratios):.2f})")
    shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
