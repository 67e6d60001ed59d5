"""What every test sees: this folder on the path, no telemetry, a quiet matplotlib, fast tests first."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("any machine")
sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def pytest_collection_modifyitems(items):
    """Run the fast tests first, so that a mistake shows early."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def flights(tmp_path_factory):
    """The flights example, made once for all tests that look at it and change nothing in it: the folder with its settings.ini."""
    pytest.importorskip("sklearn")
    from prodnb.example import make_flights

    folder = tmp_path_factory.mktemp("example")
    make_flights(folder, say=lambda line: None)
    return folder
