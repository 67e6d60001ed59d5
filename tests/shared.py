"""Real data sets that live beside the project, for the tests that need them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_data(name: str) -> Path:
    """Return the path of a shared data file, or skip the test where the data sets are absent."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"needs the data set shared/data/{name}, which is not on this machine")
    return path
