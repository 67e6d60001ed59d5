"""Take the README's picture from a run of the example: `python docs/picture.py archive/runs/<run id>/index.html` (needs Chromium)."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

QUIET = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"


def main(page: str) -> None:
    """Write docs/report.png."""
    browser = shutil.which("chromium") or shutil.which("google-chrome") or sys.exit("this needs Chromium")
    target = Path(__file__).parent / "report.png"
    place = [f"--user-data-dir={tempfile.mkdtemp()}", f"--screenshot={target}", "--window-size=1000,1240", "--hide-scrollbars"]
    subprocess.run([browser, *QUIET.split(), *place, Path(page).resolve().as_uri()], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main(sys.argv[1])
