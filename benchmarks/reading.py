"""How long the questions about 10,000 runs take: the index, `show`, and the site at once and bit by bit. Usage: reading.py [RUNS]"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from many_runs import make_runs

from prodnb.archive import find_run, load_records, open_archive
from prodnb.index import open_index
from prodnb.record_commands import newest_runs
from prodnb.site import build_site


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the time by the clock and that of the processors."""
    clock, own = time.perf_counter(), time.process_time()
    yield
    print(f"{what:58} {time.perf_counter() - clock:8.2f} s   (processor {time.process_time() - own:6.2f} s)", flush=True)


def measured(folder: Path, runs: int) -> None:
    """Time each question on an archive of so many runs in `folder`."""
    archive, site = open_archive("archive", folder), folder / "site"
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    with timed("index, from nothing"), open_index(archive) as index:
        counts = [index.rows(f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in ("runs", "records", "statistics", "events")]
    print("  runs, records, statistics, entries of the log:", *(f"{n:,}" for n in counts))
    with timed("index, nothing new"), open_index(archive):
        pass
    with timed("show: find and read the newest run"):
        load_records(archive, find_run(archive))
    with timed("show --runs 20"):
        newest_runs(archive, 20)
    with timed("site, from nothing"):
        build_site(archive, site)
    with timed("site, nothing new"):
        build_site(archive, site)
    list(make_runs(folder, 1, skip_first=runs))
    with timed("site, after one more run"):
        build_site(archive, site)
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    print(f"  {sum(1 for _ in site.rglob('*.html')):,} pages, {size / 1e6:.0f} MB")


def main(make: Callable = make_runs) -> None:
    """Make the archive, and measure."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    folder = Path(tempfile.mkdtemp())
    try:
        with timed(f"(making {runs:,} runs)"):
            list(make(folder, runs))
        measured(folder, runs)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
