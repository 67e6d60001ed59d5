"""What every test sees: this folder on the path, no telemetry, a quiet matplotlib, fast tests first."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("any machine")
sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
sys.modules.setdefault("rfc3987_syntax", None)  # jsonschema can do without; it builds 38 grammars, which takes seconds
_CACHE = tempfile.mkdtemp(prefix="prodnb-tests-")  # indexes and keys of test archives are no business of whoever runs the tests
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ.setdefault("MPLCONFIGDIR", str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"))
os.environ.update(XDG_CACHE_HOME=_CACHE, XDG_CONFIG_HOME=_CACHE)
for _key in ("PRODNB_SIGNING_KEY", "PRODNB_WITNESS_KEY"):
    os.environ.pop(_key, None)


def pytest_collection_modifyitems(items):
    """Run the fast tests first, so that a mistake shows early."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def flights(tmp_path_factory):
    """The flights example, made once for all tests that look at it and change nothing in its files: the folder with its settings.ini.

    It is made by the first worker that wants it; the other waits for the example's own lock. A run may add to its MLflow meanwhile.
    """
    pytest.importorskip("sklearn")
    from prodnb.example import make_flights

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "example"
    folder.mkdir(exist_ok=True)
    make_flights(folder, say=lambda line: None)
    return folder
