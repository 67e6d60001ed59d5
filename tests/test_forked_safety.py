"""What a review of forked kernels found: nothing is set too late, nothing at work is killed, nothing is left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from project import prodnb, showing, write_project
from test_forked import alive, gone, text_of, way_of, write_notebook
from test_run import sleepers, wait_for

from prodnb import pool
from prodnb.budget import cpus
from prodnb.forked import START, ForkedProcess, start_server
from prodnb.kernels import execute
from prodnb.plan import plan_run
from prodnb.preloads import preloads, set_too_late
from prodnb.run import run_checks
from prodnb.settings import load_settings
from prodnb.warm import start_warm, stop_warm, warm_servers

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")]


@pytest.fixture(scope="module")
def server():
    server = start_server("kernel", ["ipykernel.kernelapp", "matplotlib"], os.environ)
    assert server.refused() is None
    yield server
    server.stop()


@pytest.fixture
def request_of(tmp_path):
    with open(os.devnull, "r+b") as null:
        yield {"argv": ["x"], "cwd": "/", "env": dict(os.environ)}, [null.fileno()] * 3


# ---- variables that libraries read while they are imported ----

NAMED = {
    "import os\nos.environ['OMP_NUM_THREADS'] = '1'": "OMP_NUM_THREADS",
    "from os import environ\nenviron.setdefault('MKL_NUM_THREADS', '1')": "MKL_NUM_THREADS",
    "import os\nos.environ.update({'A': '1', 'NUMBA_NUM_THREADS': n})": "NUMBA_NUM_THREADS",
    "import os\nos.environ.update(TZ='UTC')": "TZ",
    "import os\nos.environ |= {'MPLBACKEND': 'agg'}": "MPLBACKEND",
    "import os\ndel os.environ['OMP_NUM_THREADS']": "OMP_NUM_THREADS",
    "import os\nos.putenv('OPENBLAS_NUM_THREADS', '1')": "OPENBLAS_NUM_THREADS",
    "%env SCIPY_ARRAY_API=1": "SCIPY_ARRAY_API",
    "%%time\nif True:\n    %set_env KMP_BLOCKTIME 0": "KMP_BLOCKTIME",
    "import os\nfor name in ('OMP_NUM_THREADS', 'A'): os.environ[name] = '1'": "OMP_NUM_THREADS",
    "import os\nf = !ls\nos.environ['OMP_NUM_THREADS'] = '1'": "OMP_NUM_THREADS",
    "import os\nos.environ.update(read())": "a variable whose name it works out",
    "import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ.get('TZ'))": None,
    "import os, subprocess\nsubprocess.run('x', env={**os.environ, 'OMP_NUM_THREADS': '1'})": None,
    "import os\nos.environ['MINE'] = 'TZ'": None,
    "%env OMP_NUM_THREADS\nx = 'os.environ'": None,
}


@pytest.mark.parametrize("source", NAMED)
def test_what_a_notebook_sets_is_read_from_its_source(tmp_path, source):
    write_notebook(tmp_path / "n.ipynb", ["import numpy", source])
    assert set_too_late(tmp_path / "n.ipynb") == NAMED[source]


def test_a_notebook_that_sets_the_threads_of_its_libraries_has_them_so(tmp_path):
    source = "import os\nos.environ['OPENBLAS_NUM_THREADS'] = '1'\nimport numpy\nfrom threadpoolctl import threadpool_info\nprint([p['num_threads'] for p in threadpool_info()])"
    folder = write_project(tmp_path / "p", {"one": [source, showing("one")], "two": ["import numpy", showing("two")]})
    said = prodnb("run", "one", "two", "--json", cwd=folder)
    place = folder / "archive" / "runs" / said.json["run"]
    ways = {n: json.loads((place / "records" / f"{n}.json").read_text())["resources"]["kernel"] for n in ("one", "two")}
    assert ways["two"] == "forked from the run's server, unix sockets"
    assert ways["one"].startswith("own process: it sets OPENBLAS_NUM_THREADS, and libraries read such variables when they are")
    assert '"[1]' in (place / "one.ipynb").read_text()


def test_where_no_kernel_is_forked_no_server_for_kernels_is_started(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("prodnb.forking.start_server", lambda kind, *given, **more: started.append(kind))
    folder = write_project(tmp_path / "p", {"one": ["%env OMP_NUM_THREADS=1", showing("one")]})
    assert way_of(folder) == (None, "own process: there is no server")
    assert started == ["worker"]


@pytest.mark.parametrize(
    ("name", "way"), [("OMP_NUM_THREADS", "own process: its kernel sets OMP_NUM_THREADS"), ("MINE", "forked")]
)
def test_a_kernelspec_that_sets_one_is_not_forked(server, tmp_path, monkeypatch, name, way):
    spec = tmp_path / "jupyter" / "kernels" / "other"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    made = {"argv": argv, "display_name": "other", "language": "python", "env": {name: "17"}}
    (spec / "kernel.json").write_text(json.dumps(made))
    write_notebook(tmp_path / "n.ipynb", [f"import os; print(os.environ[{name!r}])"])
    notebook = json.loads((tmp_path / "n.ipynb").read_text())
    notebook["metadata"]["kernelspec"]["name"] = "other"
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    ending = execute(tmp_path / "n.ipynb", tmp_path / "o.ipynb", {}, cwd=tmp_path, server=server.path, way="forked")
    assert ending.resources["kernel"].startswith(way)
    assert text_of(nbformat.read(tmp_path / "o.ipynb", as_version=4)) == "17\n"


# ---- what lies beside the settings ----


@pytest.mark.parametrize(("name", "found"), [("matplotlibrc", "matplotlibrc"), ("calendar.py", "calendar"), ("mine.py", None)])
def test_what_would_be_found_first_means_plain_kernels(server, tmp_path, name, found):
    (tmp_path / "json").mkdir()  # a folder without code hides no module of Python's own
    (tmp_path / name).write_text("")
    assert server.shadowed(tmp_path) == found


# ---- servers ----


def test_a_warm_server_that_is_replaced_lets_its_kernels_end(monkeypatch, request_of):
    with tempfile.TemporaryDirectory(prefix="pnb") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        old = start_warm("kernel", "a" * 64, ["ipykernel.kernelapp"], os.environ, idle=30.0)
        kernel = ForkedProcess(Path(warm_servers()[0]["socket"]), *request_of)
        new = start_warm("kernel", "a" * 64, ["ipykernel.kernelapp", "csv"], os.environ, idle=30.0)
        time.sleep(0.5)
        assert kernel.poll() is None
        assert [found["pid"] for found in warm_servers()] == [new["pid"]]
        kernel.kill()
        assert kernel.wait(5) == -signal.SIGKILL
        assert gone([old["pid"]], 5.0)
        assert [found["pid"] for found in warm_servers()] == [new["pid"]]  # its socket has the same name
        assert stop_warm() == 1


def test_a_client_that_is_gone_before_the_answer_leaves_no_kernel(server, request_of):
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(server.path))
            socket.send_fds(client, [json.dumps(request_of[0]).encode() + b"\n"], request_of[1])
    time.sleep(0.3)
    assert wait_for(lambda: not psutil.Process(server.process.pid).children(), 10)


FAILS_ONCE = """
import os
fork, calls = os.fork, []
def once():
    calls.append(1)
    if len(calls) == 2:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()
os.fork = once
"""


def test_a_fork_that_fails_costs_no_other_kernel(tmp_path, request_of, monkeypatch):
    monkeypatch.setattr("prodnb.forked.START", f"{FAILS_ONCE}\n{START}")
    server = start_server("kernel", ["ipykernel.kernelapp"], os.environ)
    assert server.refused() is None
    first = ForkedProcess(server.path, *request_of)
    with pytest.raises(OSError, match="the server ended"):
        ForkedProcess(server.path, *request_of)
    third = ForkedProcess(server.path, *request_of)
    assert (first.poll(), third.poll(), server.process.poll()) == (None, None, None)
    server.stop()


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGKILL])
def test_the_folder_of_a_server_goes_with_its_owner(how):
    source = "import os, signal, time\nfrom prodnb.forked import start_server\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\ns = start_server('kernel', ['json'], os.environ)\ns.refused()\nprint(s.folder, flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as owner:
        folder = Path(owner.stdout.readline().strip())
        assert folder.exists()
        owner.send_signal(how)
        assert owner.wait(timeout=20) == -how  # whoever runs the tests with `nohup` has SIGHUP ignored, which is inherited
    assert wait_for(lambda: not folder.exists(), 10)


# ---- the run around them ----


def test_a_worker_that_is_killed_leaves_nothing_and_the_run_goes_on(tmp_path):
    cell = "import subprocess, time\nsubprocess.Popen(['sleep', '641'], start_new_session=True)\ntime.sleep(90)"
    folder = write_project(tmp_path / "p", {"slow": [cell, showing("slow")]})
    command = [sys.executable, "-m", "prodnb", "run", "slow", "--json"]
    runner = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: sleepers("641"))
    below = [child for found in psutil.Process(runner.pid).children() for child in found.children()]
    kernel = next(p.ppid() for p in sleepers("641"))
    worker = next(p for p in below if p.pid != kernel)
    worker.kill()
    said = json.loads(runner.communicate(timeout=30)[0])
    assert (runner.returncode, said["records"][0]["cause"]["kind"]) == (2, "died")
    assert not sleepers("641")
    assert not alive([p.pid for p in below])


def test_a_worker_that_overstays_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "GRACE", -597.0)
    cells = {"slow": ["import time; time.sleep(60)", showing("slow")], "zz": [showing("zz")]}
    folder = write_project(tmp_path / "p", cells, "[slow]\ndeadline = 600\n")
    done = run_checks(plan_run(load_settings(folder / "settings.ini"), ["slow", "zz"]), workers=1)
    assert [(r.check, r.outcome) for r in done.records] == [("slow", "errored"), ("zz", "passed")]
    assert "its worker did not end in time" in done.records[0].cause["message"]


def test_a_run_that_is_stopped_while_it_is_planned_ends_with_two(tmp_path):
    folder = write_project(tmp_path / "p", {"one": [showing("one")]})
    (folder / "mine.py").write_text("import time\ndef rows():\n    open('here', 'w').close()\n    time.sleep(60)\n")
    text = (folder / "settings.ini").read_text().replace("reference.parquet", "mine:rows")
    (folder / "settings.ini").write_text(text)
    command = [sys.executable, "-m", "prodnb", "run", "one"]
    runner = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert wait_for((folder / "here").exists)
    below = [child.pid for child in psutil.Process(runner.pid).children(recursive=True)]
    runner.terminate()
    said = runner.communicate(timeout=30)[1]
    assert runner.returncode == 2, said
    assert "nothing of this run was archived" in said
    assert gone(below, 5.0)


def test_as_many_at_a_time_as_processors_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert cpus() == 1


def test_what_some_models_only_need_is_not_preloaded():
    found = preloads([Path(__file__).parents[1] / "templates" / "explainability.ipynb"])
    assert "prodnb.explainability" in found
    assert not {m.partition(".")[0] for m in found} & {"xgboost", "catboost", "treelite", "shap", "lightgbm"}
