"""A forked kernel gives what a kernel of its own gives, keeps to itself, and nothing of it stays behind."""

import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from project import prodnb, showing, write_project, write_template

from prodnb.forked import ForkedProcess, start_server
from prodnb.forking import start_forking
from prodnb.kernels import correct, execute
from prodnb.preloads import KERNEL, gpu_library, is_library, preloads, server_key
from prodnb.settings import load_settings
from prodnb.template import find_templates
from prodnb.warm import warm_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only"),
]
KERNELSPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
LIBRARIES = [*KERNEL, "numpy", "pandas", "matplotlib.pyplot", "sklearn.ensemble", "threadpoolctl"]
INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "OMP_WAIT_POLICY": "passive"}  # as every run sets them


@pytest.fixture(scope="module", autouse=True)
def _inline():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in INLINE.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def server(_inline):
    server = start_server("kernel", LIBRARIES, os.environ)
    assert server.refused() is None, server.hello
    yield server
    server.stop()
    assert not server.folder.exists()


def write_notebook(path, sources):
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": textwrap.dedent(s)}
        for n, s in enumerate(sources)
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": KERNELSPEC, "nbformat": 4, "nbformat_minor": 5}))


def run(folder, server, *sources, name="n", **more):
    """Execute cells as a notebook, forked or not; return how it ended and what is kept."""
    template, output = folder / f"{name}.ipynb", folder / f"{name}.{'forked' if server else 'plain'}.ipynb"
    write_notebook(template, sources)
    ending = execute(template, output, {}, cwd=folder, server=server and server.path, way="forked" if server else "plain", **more)
    return ending, correct(nbformat.read(output, as_version=4), ending)


def canonical(notebook):
    """What two runs of one notebook have in common: no times, streams in one piece, addresses of objects and processes blanked."""
    kept = []
    for cell in notebook["cells"]:
        outputs, streams = [], {}
        for o in cell.get("outputs", []):
            if o["output_type"] == "stream":
                streams[o["name"]] = streams.get(o["name"], "") + o["text"]
            else:
                outputs.append(o)
        text = json.dumps(
            [cell["source"], streams, outputs, cell.get("execution_count"), cell["metadata"]["papermill"]["status"]]
        )
        kept.append(re.sub(r"0x[0-9a-f]+|(ipykernel_|pid )\d+", "@", text))
    return [kept, notebook["metadata"]["kernelspec"], notebook["metadata"].get("language_info"), notebook["metadata"]["prodnb"]]


def text_of(notebook):
    return "".join(o.get("text", "") for c in notebook["cells"] for o in c["outputs"])


def alive(pids):
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]


def children(server):
    return psutil.Process(server.process.pid).children(recursive=True)


def gone(pids, seconds=10.0):
    until = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pids)


# ---- the same result ----

NOTEBOOKS = {
    "table": ["import pandas as pd\nd = pd.DataFrame({'a': range(100), 'b': list('xy') * 50})", "d.groupby('b').describe()", "print(d.dtypes)"],
    "plot": [
        "import matplotlib.pyplot as plt, matplotlib\nfig, ax = plt.subplots()\nax.plot([1, 3, 2]);",
        "print(matplotlib.get_backend(), len(plt.get_fignums()))\nprint(sorted((k, repr(v)) for k, v in matplotlib.rcParams.items()))",
    ],
    "model": [
        "import numpy as np\nfrom sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier\nr = np.random.default_rng(0)",
        "x = r.normal(size=(3000, 8)); y = (x[:, 0] + x[:, 1] ** 2 > 1).astype(int)\nHistGradientBoostingClassifier(random_state=0).fit(x, y).predict_proba(x)[:5]",
        "RandomForestClassifier(20, random_state=0, n_jobs=2).fit(x, y).feature_importances_",
        "np.linalg.svd(x[:200] @ x[:200].T)[1][:5]",
    ],
    "surroundings": [
        "import os, random, signal, sys, threading\nprint(sys.path, sys.argv[1:2], sys.flags, os.getcwd(), os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid())",
        "print({k: v for k, v in os.environ.items() if k not in ('JPY_PARENT_PID', 'LINES', 'COLUMNS')})",
        "print([signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)], __name__, sys.stdin.read() if os.isatty(0) else '')",
        "import numpy as np\nrandom.seed(3); np.random.seed(3)\nprint(random.random(), np.random.random(), random.Random(1).random())",
        "%timeit -n1 -r1 -q None\n!echo from a shell\nimport subprocess; subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True).stdout",
        "raise KeyError('the end')",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_both_ways_give_the_same_notebook(server, tmp_path, name):
    (forked, ours), (plain, theirs) = run(tmp_path, server, *NOTEBOOKS[name]), run(tmp_path, None, *NOTEBOOKS[name])
    assert forked.resources["kernel"] == "forked, unix sockets"
    assert plain.resources["kernel"] == "plain, unix sockets"
    assert (forked.kind, forked.cell, forked.message) == (plain.kind, plain.cell, plain.message)
    assert canonical(ours) == canonical(theirs)


def test_a_suite_gives_the_same_verdicts_and_notebooks(tmp_path):
    folder = write_project(
        tmp_path / "p", {"passes": [showing("passes")], "fails": [showing("fails", 3.0)], "breaks": [showing("breaks"), "1 / 0"]}
    )
    found = {}
    for way in ("--fork", "--no-fork"):
        said = prodnb("run", "passes", "fails", "breaks", way, "--json", "--set", f"archive.path={tmp_path / way}", cwd=folder)
        assert said.code == 2, said.err
        place = tmp_path / way / "runs" / said.json["run"]
        records = {r["check"]: json.loads((place / "records" / f"{r['check']}.json").read_text()) for r in said.json["records"]}
        kernels = {r["resources"]["kernel"] for r in records.values()}
        assert kernels == {
            "forked from the run's server, unix sockets" if way == "--fork" else "own process: --no-fork, unix sockets"
        }
        notebooks = {n: canonical(nbformat.read(place / f"{n}.ipynb", as_version=4)) for n in records}
        found[way] = [{n: (r["outcome"], r["results"], r["cause"]) for n, r in records.items()}, notebooks]
    assert found["--fork"] == found["--no-fork"]


# ---- the end of a kernel ----

STUCK = (
    "import atexit, time; from ipykernel.kernelapp import IPKernelApp; IPKernelApp.instance().reset_io = lambda: time.sleep(60)"
)
LAST = "atexit.register(lambda: (time.sleep(0.5), open('ended', 'w').write('x')))"


def test_a_kernel_that_does_not_close_is_ended_after_what_the_notebook_wants_done_at_its_end(server, tmp_path):
    usual, _ = run(tmp_path, server, "1 + 1")
    ending, notebook = run(tmp_path, server, STUCK, LAST, "print('the last word')")
    assert (tmp_path / "ended").read_text() == "x"
    assert ending.kind is None
    assert "the last word" in text_of(notebook)
    assert ending.seconds < usual.seconds + 2.4  # after 2.5 it would be ended by a signal


# ---- nothing leaks ----


def test_nothing_goes_from_one_notebook_to_the_next(server, tmp_path):
    look = """
        import json, matplotlib, os, random, sys, warnings, threading
        import numpy as np, pandas as pd
        seen = [os.getcwd(), sys.path, sorted(os.environ.items()), "left" in globals(), matplotlib.rcParams["lines.linewidth"], pd.get_option("display.max_rows"),
                hasattr(pd, "mark"), "left_module" in sys.modules, os.umask(0o22), len(warnings.filters) > 0, sorted(os.listdir("/proc/self/fd"))[:3]]
        print(json.dumps(seen, default=str))
    """
    spoil = """
        import matplotlib, os, random, sys, types, warnings
        import numpy as np, pandas as pd
        left = 1; os.environ["LEFT"] = "x"; os.chdir("/"); sys.path.insert(0, "/left"); matplotlib.rcParams["lines.linewidth"] = 9
        pd.set_option("display.max_rows", 3); pd.mark = 1; sys.modules["left_module"] = types.ModuleType("l"); os.umask(0o77); np.random.seed(0); random.seed(0)
    """
    _, before = run(tmp_path, server, look, name="before")
    run(tmp_path, server, spoil)
    _, after = run(tmp_path, server, look, name="after")
    blank = re.compile(r'\["(JPY_PARENT_PID|LINES|COLUMNS)", "[^"]*"\]')
    assert blank.sub("", text_of(before)) == blank.sub("", text_of(after))
    assert "/left" not in text_of(after)


def test_random_streams_differ_from_kernel_to_kernel(server, tmp_path):
    draw = "import random, uuid, secrets\nimport numpy as np\nprint(random.random(), np.random.random(), np.random.default_rng().random(), uuid.uuid4(), secrets.token_hex(4))"
    drawn = [text_of(run(tmp_path, server, draw)[1]).split() for _ in range(3)]
    assert all(len(set(values)) == 3 for values in zip(*drawn, strict=True))


def test_a_kernel_holds_no_file_of_the_server_or_of_another_kernel(server, tmp_path):
    source = "import os\nprint([t for f in os.listdir('/proc/self/fd') if os.path.lexists(p := f'/proc/self/fd/{f}') and 'epoll' not in (t := os.readlink(p)) and ('pidfd' in t)])"
    assert text_of(run(tmp_path, server, source)[1]) == "[]\n"


# ---- how it ended ----

DEATHS = {
    "exit code": "import os; os._exit(3)",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "exit": "import sys; sys.exit(0)",
    "deadline": "import signal, subprocess, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsubprocess.Popen(['sleep', '613'])\ntime.sleep(600)",
}


@pytest.mark.parametrize("kind", DEATHS)
def test_a_death_reads_the_same_both_ways_and_costs_no_other_run(server, tmp_path, kind):
    cells = ["print('before')", DEATHS[kind], "print('never')"]
    deadline = 8.0 if kind == "deadline" else 120.0
    (forked, ours), (plain, theirs) = [run(tmp_path, s, *cells, deadline=deadline) for s in (server, None)]
    assert (forked.kind, forked.cell, forked.message) == (plain.kind, plain.cell, plain.message)
    for n, (one, other) in enumerate(zip(canonical(ours)[0], canonical(theirs)[0], strict=True)):
        assert n == 1 or one == other  # whether the number of the cell that died was still sent is a race, both ways
    assert run(tmp_path, server, "1 + 1")[0].kind is None
    until = time.monotonic() + 5
    while (left := children(server)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not left
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "613"]]


CLIENT = """
import sys
from pathlib import Path
from prodnb.kernels import execute
execute(Path(sys.argv[1]), Path(sys.argv[1] + ".out.ipynb"), {}, cwd=Path(sys.argv[1]).parent, server=sys.argv[2])
"""


def test_a_killed_client_leaves_no_process(server, tmp_path):
    write_notebook(
        tmp_path / "n.ipynb",
        [
            f"import subprocess, time, os\nsubprocess.Popen(['sleep', '617'])\nopen(r'{tmp_path}/here', 'w').close()\ntime.sleep(600)"
        ],
    )
    client = subprocess.Popen([sys.executable, "-c", CLIENT, str(tmp_path / "n.ipynb"), str(server.path)])
    until = time.monotonic() + 60
    while not (tmp_path / "here").exists() and time.monotonic() < until:
        time.sleep(0.05)
    started = [p.pid for p in children(server)]
    assert len(started) == 2
    client.kill()
    client.wait()
    assert gone(started, 3.0)


def test_a_killed_owner_leaves_no_server_and_no_kernel(tmp_path):
    source = """
        import os, sys, time
        from prodnb.forked import ForkedProcess, start_server
        server = start_server("kernel", ["ipykernel.kernelapp"], os.environ)
        assert server.refused() is None
        with open(os.devnull, "r+b") as null:
            child = ForkedProcess(server.path, {"argv": ["x"], "cwd": "/", "env": dict(os.environ)}, [null.fileno()] * 3)
        print(server.process.pid, child.pid, server.path, flush=True)
        time.sleep(600)
    """
    owner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(source)], stdout=subprocess.PIPE, text=True)
    first, second, path = owner.stdout.readline().split()
    assert len(alive([int(first), int(second)])) == 2
    owner.kill()
    owner.wait()
    assert gone([int(first), int(second)], 5.0)
    assert not Path(path).exists()


def test_a_killed_server_ends_its_kernels_and_the_run_says_so(tmp_path):
    server = start_server("kernel", ["ipykernel.kernelapp"], os.environ)
    assert server.refused() is None
    with open(os.devnull, "r+b") as null:
        child = ForkedProcess(server.path, {"argv": ["x"], "cwd": "/", "env": dict(os.environ)}, [null.fileno()] * 3)
    server.process.kill()
    assert child.wait(timeout=10) == -signal.SIGKILL
    assert gone([child.pid])
    ending, _ = run(tmp_path, server, "1 + 1")
    assert ending.kind is None
    assert ending.resources["kernel"].startswith("own process: the fork server did not answer")
    server.stop()


# ---- when not to fork ----

RUN_OPENMP = """
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
x = np.random.default_rng(0).normal(size=(20_000, 5))
HistGradientBoostingClassifier(max_iter=3).fit(x, x[:, 0] > 0)
"""


@pytest.fixture
def careless(tmp_path, monkeypatch):
    """Put a library on the path that runs OpenMP code when it is imported."""
    (tmp_path / "careless.py").write_text(RUN_OPENMP)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    return tmp_path


def test_a_server_that_ran_openmp_refuses(careless):
    source = "from prodnb.forkable import unexplained_threads\nimport numpy, sklearn.ensemble\nprint(unexplained_threads())\nimport careless\nprint(unexplained_threads())"
    said = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == "[]"
    assert len(said[1].split(",")) == 3
    server = start_server("kernel", [*LIBRARIES, "careless"], os.environ)
    assert "careless is not an installed library" in server.refused()
    server.stop()


def test_without_the_look_the_first_region_of_a_child_hangs_and_with_it_it_runs(careless, server):
    unchecked = start_server("kernel", [*LIBRARIES, "careless"], os.environ, unchecked=True)
    assert unchecked.refused() is None
    ending, _ = run(careless, unchecked, RUN_OPENMP, deadline=12.0)
    assert ending.kind == "deadline"
    unchecked.stop()
    ending, notebook = run(
        careless,
        server,
        RUN_OPENMP,
        "from threadpoolctl import threadpool_info\nprint(len(threadpool_info()) > 1)",
        deadline=60.0,
    )
    assert ending.kind is None, ending
    assert text_of(notebook) == "True\n"


THREADED = """
    import polars as pl, pyarrow as pa, pyarrow.parquet as pq, tempfile, duckdb
    frame = pl.DataFrame({"a": [n % 7 for n in range(50_000)], "b": list(range(50_000))})
    file = tempfile.mkdtemp() + "/t.parquet"
    frame.write_parquet(file)
    print(pl.scan_parquet(file).group_by("a").agg(pl.col("b").sum()).sort("a").collect(engine="streaming")["b"].to_list()[:2])
    print(pq.read_table(file, use_threads=True).group_by("a").aggregate([("b", "sum")]).num_rows)
    print(duckdb.connect(config={"threads": 2}).execute(f"SELECT count(DISTINCT a) FROM '{file}'").fetchone())
"""


def test_libraries_with_idle_threads_of_their_own_work_in_a_child(tmp_path):
    pytest.importorskip("polars")
    server = start_server("kernel", [*KERNEL, "polars", "pyarrow.parquet", "duckdb"], os.environ)
    assert server.refused() is None
    ending, notebook = run(tmp_path, server, THREADED, deadline=60.0)
    server.stop()
    assert ending.kind is None, ending
    assert text_of(notebook) == f"[{sum(range(0, 50_000, 7))}, {sum(range(1, 50_000, 7))}]\n7\n(7,)\n"


def test_what_is_the_users_own_is_not_imported_by_the_server(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    write_notebook(tmp_path / "n.ipynb", ["%matplotlib inline\nimport mine, numpy.linalg\n!ls\nimport polars, json"])
    assert not is_library("mine")
    named = preloads([tmp_path / "n.ipynb"])
    assert {"numpy.linalg", "polars"} <= set(named)
    assert not {"mine", "json"} & set(named)


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "p", {"passes": [showing("passes")]})


def way_of(folder, **more):
    settings = load_settings(folder / "settings.ini")
    forking = start_forking(settings, {n: t for n, t in find_templates(folder).items() if t.origin == "project"}, **more)
    try:
        return forking.way(folder)
    finally:
        forking.stop()


def test_gpu_libraries_mean_plain_kernels(project):
    write_template(project, "deep", ["def f():\n    from torch.nn import Linear"])
    assert gpu_library([project / "templates" / "deep.ipynb"]) == "torch"
    assert way_of(project) == (None, "own process: a notebook of the suite imports torch")


def test_a_module_beside_the_settings_means_plain_kernels(project):
    assert way_of(project)[1] == "forked from the run's server"
    (project / "traitlets.py").write_text("")
    assert way_of(project) == (None, "own process: traitlets lies beside the settings")


def test_another_platform_means_plain_kernels(project, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert way_of(project) == (None, "own process: forking is for Linux, this is darwin")


def test_another_kernel_means_its_own_process(server, tmp_path):
    spec = tmp_path / "jupyter" / "kernels" / "other"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-X", "utf8", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "other", "language": "python"}))
    write_notebook(tmp_path / "n.ipynb", ["1 + 1"])
    made = json.loads((tmp_path / "n.ipynb").read_text())
    made["metadata"]["kernelspec"]["name"] = "other"
    (tmp_path / "n.ipynb").write_text(json.dumps(made))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
        ending = execute(tmp_path / "n.ipynb", tmp_path / "o.ipynb", {}, cwd=tmp_path, server=server.path)
    assert ending.kind is None, ending
    assert ending.resources["kernel"].startswith("own process: its kernel is not the plain one")


def test_nobody_else_can_reach_a_server(server):
    assert server.path.stat().st_mode & 0o777 == 0o600
    assert server.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONPATH", "MPLBACKEND", "LD_PRELOAD", "NUMBA_CACHE_DIR", "TZ"])
def test_a_variable_that_libraries_read_makes_a_server_stale(name):
    assert server_key({"A": "1"}) == server_key({"A": "2"})
    assert server_key({"A": "1"}) != server_key({"A": "1", name: "x"})


# ---- kept warm ----


def kernels_of(said, archive):
    place = archive / "runs" / said.json["run"] / "records"
    return {json.loads(file.read_text())["resources"]["kernel"] for file in place.glob("*.json")}


@pytest.fixture
def runtime():
    """A folder with a short name, as a user's runtime folder has: the name of a socket is limited."""
    with tempfile.TemporaryDirectory(prefix="pnb") as folder:
        yield Path(folder)


def test_a_runtime_folder_with_a_long_name_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 20)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert warm_folder(make=True) == tmp_path / f"prodnb-{os.getuid()}"


def test_warm_servers_serve_until_they_are_stale_or_told_to_end(project, tmp_path, runtime):
    env, archive = {"XDG_RUNTIME_DIR": str(runtime)}, tmp_path / "archive"
    command = ("run", "passes", "--json", "--set", f"archive.path={archive}")
    assert prodnb("warm", "--idle", "5", cwd=project, env=env).code == 0
    sockets = sorted((runtime / "prodnb").glob("*.s"))
    assert [s.name.split("-")[0] for s in sockets] == ["kernel", "worker"]
    assert {s.stat().st_mode & 0o777 for s in sockets} == {0o600}
    assert (runtime / "prodnb").stat().st_mode & 0o777 == 0o700
    said = prodnb(*command, cwd=project, env=env)
    assert kernels_of(said, archive) == {"forked from a warm server, unix sockets"}
    stale = prodnb(*command, cwd=project, env=env | {"OMP_NUM_THREADS": "3"})
    assert kernels_of(stale, archive) == {"forked from the run's server, unix sockets"}
    pids = [int(n) for n in re.findall(r"process (\d+)", prodnb("warm", "--status", cwd=project, env=env).out)]
    assert len(alive(pids)) == 2
    assert "Ended 2 servers" in prodnb("warm", "--stop", cwd=project, env=env).out
    assert gone(pids)
    assert not list((runtime / "prodnb").iterdir())


def test_a_warm_server_that_nobody_asks_ends(runtime, monkeypatch):
    from prodnb.warm import find_warm, start_warm, warm_folder

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    hello = start_warm("kernel", "a" * 64, ["json"], os.environ, idle=0.5)
    assert gone([hello["pid"]], 5.0)
    assert find_warm("kernel", "a" * 64, []) is None
    assert not list((runtime / "prodnb").iterdir())
    (runtime / "prodnb").chmod(0o750)
    assert warm_folder() is None


def test_another_user_is_not_answered(monkeypatch):
    import socket

    from prodnb.fork_server import _same_user

    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert _same_user(ours)
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert not _same_user(ours)


# ---- the runner around them ----


def test_a_long_cell_is_saved_while_it_runs(server, tmp_path, monkeypatch):
    monkeypatch.setattr("prodnb.kernels.SAVE_EVERY", 0.2)
    look = "import time, pathlib\ntime.sleep(1.5)\nprint('so far' in pathlib.Path('n.forked.ipynb').read_text().partition('import time')[0])"
    assert text_of(run(tmp_path, server, "print('so' + ' far')", look)[1]) == "so far\nTrue\n"


def test_the_longest_check_starts_first(project, monkeypatch):
    from types import SimpleNamespace

    from prodnb import pool

    write_template(project, "new", ["1"])
    write_template(project, "slow", ["1"])
    plan = SimpleNamespace(archive=None, templates={n: t for n, t in find_templates(project).items() if t.origin == "project"})
    monkeypatch.setattr(pool, "run_ids", lambda archive, newest: ["r"])
    monkeypatch.setattr(pool, "load_run", lambda archive, run: run)
    monkeypatch.setattr(
        pool, "load_records", lambda *_: [SimpleNamespace(check=c, seconds=s) for c, s in (("passes", 1.0), ("slow", 9.0))]
    )
    assert [t.name for t in pool.longest_first(plan)] == ["new", "slow", "passes"]


# ---- many ----


def start_many(server, folder, count, at_once):
    def one(n):
        (place := folder / str(n)).mkdir()
        write_notebook(place / "n.ipynb", [f"{n} + 1"])
        command = [
            sys.executable,
            "-c",
            CLIENT.replace("execute(", "print(execute(", 1).rstrip() + ".kind)",
            str(place / "n.ipynb"),
            str(server.path),
        ]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(one, range(count)))


def start_processes(server, count):
    """Ask for many kernels at the same moment; each answers on its socket and is told to end."""
    with open(os.devnull, "r+b") as null, concurrent.futures.ThreadPoolExecutor(count) as threads:
        request = {"argv": ["x", "--version"], "cwd": "/", "env": dict(os.environ)}
        processes = list(threads.map(lambda _: ForkedProcess(server.path, request, [null.fileno()] * 3), range(count)))
        return [p.wait(timeout=120) for p in processes]


def test_24_at_once_all_start(server, tmp_path):
    assert start_processes(server, 24) == [0] * 24


@pytest.mark.prove
def test_200_at_once_all_start(server, tmp_path):
    assert start_processes(server, 200) == [0] * 200
    assert start_many(server, tmp_path, 200, 20) == ["None"] * 200


def footprint(server):
    process, me = psutil.Process(server.process.pid), psutil.Process()
    return {
        "files": process.num_fds(),
        "children": len(process.children()),
        "mb": int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])
        / 1000,  # not what is shared
        "ours": me.num_fds(),
    }


def no_growth(server, folder, count):
    for _ in range(3):
        run(folder, server, "1 + 1")
    before = footprint(server)
    for _ in range(count):
        assert run(folder, server, "1 + 1")[0].kind is None
    after = footprint(server)
    assert after["children"] == before["children"] == 0
    assert after["files"] <= before["files"]
    assert after["ours"] <= before["ours"] + 2
    assert after["mb"] < before["mb"] + 5


def test_30_one_after_the_other_leave_nothing(server, tmp_path):
    no_growth(server, tmp_path, 30)


@pytest.mark.prove
def test_1000_one_after_the_other_leave_nothing(server, tmp_path):
    no_growth(server, tmp_path, 1000)
