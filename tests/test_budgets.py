"""Budgets of a check: time, memory, output; who waits for memory; and how much was used, in both kinds of kernel."""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from project import prodnb, showing, write_project, write_template

from prodnb import room, usage
from prodnb.budget import budget_in_force
from prodnb.forking import start_forking
from prodnb.kernels import execute
from prodnb.plan import plan_run
from prodnb.room import MARGIN, UNKNOWN_MB, expected_mb, group_bytes
from prodnb.run import run_checks
from prodnb.settings import load_settings
from prodnb.trimmed import output_size, trim_outputs
from prodnb.usage import MB, Meter, family, held_bytes, read_process
from prodnb.verdict import RESULT_MIME
from prodnb.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux only")]
KERNELSPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
WAYS = ["plain", "forked"]


@pytest.fixture(scope="module")
def server():
    """A server that holds 200 MB itself, so that a page counted twice is seen."""
    from prodnb.forked import start_server
    from prodnb.preloads import KERNEL

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        server = start_server("kernel", [*KERNEL, "numpy", "pandas", "sklearn.ensemble"], os.environ)
        assert server.refused() is None, server.hello
        yield server
        server.stop()


@pytest.fixture
def go(tmp_path, server):
    def go(way, *sources, name="n", **more):
        cells = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": s}
            for n, s in enumerate(sources)
        ]
        template = tmp_path / f"{name}.ipynb"
        template.write_text(json.dumps({"cells": cells, "metadata": KERNELSPEC, "nbformat": 4, "nbformat_minor": 5}))
        path = server.path if way == "forked" else None
        return execute(template, tmp_path / f"{name}.out.ipynb", {}, cwd=tmp_path, server=path, way=way, **more)

    return go


FORKING = []  # for all of these runs


@pytest.fixture(scope="module")
def _servers(tmp_path_factory):
    folder = write_project(tmp_path_factory.mktemp("servers"), {"one": [showing("one")]})
    settings = load_settings(folder / "settings.ini")
    FORKING.append(start_forking(settings, plan_run(settings, ["one"]).templates))
    yield
    FORKING.pop().stop()


def run_here(folder, checks, events):
    plan = plan_run(load_settings(folder / "settings.ini"), checks)
    return run_checks(plan, workers=2, say=events.append, forking=FORKING[0])


def processes_with(word):
    return [p for p in psutil.process_iter(["cmdline"]) if word in " ".join(p.info["cmdline"] or [])]


# ---- what was used ----

HOLD = "x = bytearray({0})\nfor i in range(0, len(x), 4096): x[i] = 1\n"
BURN = "import time\nstart = time.process_time()\nwhile time.process_time() - start < {0}: pass\n"


def in_a_child(source, *, word="child of a check"):
    return f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {source!r}, {word!r}], check=True)"


@pytest.mark.parametrize("way", WAYS)
def test_peak_and_processor_time_are_those_of_the_kernel_and_its_child(go, way):
    nothing = go(way, "1 + 1").resources
    used = go(way, "x = 1", in_a_child(HOLD.format(300 * MB) + BURN.format(2)), "x").resources
    assert used["peak_memory_mb"] - nothing["peak_memory_mb"] == pytest.approx(300, rel=0.2)
    assert used["peak_memory_mb"] < 300 + 150
    assert used["cpu_seconds"] - nothing["cpu_seconds"] == pytest.approx(2, rel=0.2, abs=0.5)


def test_the_same_notebook_uses_the_same_in_both_kinds_of_kernel(go):
    plain, forked = (go(way, "import numpy as np; x = np.ones(37_500_000)", BURN.format(1)).resources for way in WAYS)
    assert plain["peak_memory_mb"] == pytest.approx(forked["peak_memory_mb"], rel=0.25)
    assert 1 <= forked["cpu_seconds"] <= plain["cpu_seconds"] + 0.2


def test_the_processor_time_of_the_preload_is_not_the_kernels(go, server):
    assert psutil.Process(server.process.pid).cpu_times().user > 0.5
    assert go("forked", "1 + 1").resources["cpu_seconds"] < 0.5 + 0.5


def test_what_rose_and_fell_between_two_looks_is_seen(go, monkeypatch):
    monkeypatch.setattr(usage, "EVERY", 60.0)
    ending = go("forked", "1", "x = b'x' * 250_000_000; del x", "2")
    assert ending.resources["peak_memory_mb"] > 250


def test_where_the_system_does_not_tell_nothing_is_said(go, monkeypatch):
    monkeypatch.setattr(usage.sys, "platform", "plan9")
    ending = go("plain", "1 + 1")
    assert ending.kind is None
    assert (ending.resources["peak_memory_mb"], ending.resources["cpu_seconds"]) == (None, None)


def test_pages_that_are_shared_count_once():
    source = "import os, time\nx = bytearray(200_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\nfor n in range(3): os.fork() == 0 and time.sleep(60)\nprint(1, flush=True)\ntime.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", source], start_new_session=True, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        found = family(child.pid)
        assert len(found) == 4
        assert sum(p.resident for p in found) > 700 * MB
        assert sum(map(held_bytes, found)) < 260 * MB
    finally:
        usage.end_family(found)
        child.wait()


def test_a_pid_that_is_another_process_now_is_not_ended():
    other = subprocess.Popen(["sleep", "60"])
    try:
        seen = read_process(other.pid)
        usage.end_family([usage.Process(seen.pid, seen.parent, seen.session, 0.0, seen.born - 1, 0)])
        time.sleep(0.1)
        assert other.poll() is None
        usage.end_family([seen])
        assert other.wait(5) == -9
    finally:
        other.kill()


def test_looks_cost_little(go):
    meter = Meter()
    meter.root = os.getpid()
    meter.look()
    start = time.thread_time()
    for _ in range(20):
        meter._quick()
    assert (time.thread_time() - start) / 20 < 0.003


# ---- the memory cap ----

SLOW_LEAK = "import time\nkept = []\nwhile True:\n    kept.append(b'x' * 10_000_000)\n    time.sleep(0.01)"
FAST = "import numpy as np\nkept = []\nwhile True: kept.append(np.ones(12_500_000))"
AT_ONCE = "x = b'x' * 4_000_000_000"
OWN_SESSION = (
    f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SLOW_LEAK!r}, 'leaks alone'], start_new_session=True)"
)
LEAKS = {
    "slow": SLOW_LEAK,
    "fast": FAST,
    "child": in_a_child(SLOW_LEAK, word="leaks below"),
    "child in a session of its own": OWN_SESSION,
    "loky": "from joblib import Parallel, delayed\ndef f(n):\n    import time\n    x = b'x' * 150_000_000\n    time.sleep(20)\nParallel(2, backend='loky')(delayed(f)(n) for n in range(2))",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", LEAKS)
def test_what_holds_more_than_it_may_is_stopped_with_all_it_started(go, way, kind):
    ending = go(way, "1", LEAKS[kind], "2", memory_mb=300, advice="raise it there", deadline=60)
    assert (ending.kind, ending.cell) == ("memory", 1), ending
    found = re.search(r"held ([\d,]+) MB, more than the 300 MB that it may, and was stopped; raise it there", ending.message)
    assert found, ending.message
    assert 300 <= float(found[1].replace(",", "")) < 700
    assert ending.seconds < 30
    time.sleep(0.2)
    assert not [p for p in processes_with("leaks ") if p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(("room_mb", "least", "most"), [(40, 10, 60), (1e6, 0, 5), (None, 0, 5)])
def test_looks_come_sooner_near_the_cap(monkeypatch, room_mb, least, most):
    child, looks, quick = subprocess.Popen(["sleep", "60"], start_new_session=True), [], Meter._quick
    monkeypatch.setattr(Meter, "_quick", lambda self: looks.append(1) or quick(self))
    meter = Meter(room_mb)
    try:
        meter.watch(child.pid)
        time.sleep(0.6)
        assert least <= len(looks) <= most
    finally:
        meter.stop()
        child.kill()
        child.wait()


def test_four_gigabytes_at_once_do_not_come_to_be(go):
    ending = go("forked", "1", AT_ONCE, memory_mb=300)
    assert ending.kind == "memory"
    assert ending.resources["peak_memory_mb"] < 2_000


def test_kernels_that_share_their_libraries_are_not_stopped_for_them(go):
    """Three kernels at a time, each with resident memory beyond its cap, most of it shared."""
    probe = "import re; print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\nimport time; time.sleep(1.5)"
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        endings = list(pool.map(lambda n: go("forked", probe, name=f"n{n}", memory_mb=130), range(3)))
    assert [e.kind for e in endings] == [None] * 3
    assert all(e.resources["peak_memory_mb"] < 130 for e in endings)


def test_reserved_addresses_are_no_memory(go):
    """What a limit on addresses or data would stop: an engine with its threads, and a large file that is only mapped."""
    source = "import mmap, duckdb, numpy as np\nx = mmap.mmap(-1, 5_000_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, 'MAP_NORESERVE', 0))\nduckdb.sql('select sum(range) from range(100000)').fetchall()"
    ending = go("plain", source, memory_mb=400)
    assert ending.kind is None, ending


FILES = """
    import mmap, time
    def look(file):
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as seen:
            sum(seen[::4096])
            time.sleep(0.3)
    with open("big", "w+b") as file:
        for n in range(400): file.write(b"x" * 1_000_000)
        file.flush()
        for n in range(3): look(file)
"""


@pytest.mark.parametrize("way", WAYS)
def test_pages_of_mapped_files_are_not_what_a_check_holds(go, way):
    ending = go(way, "1", textwrap.dedent(FILES), "2", memory_mb=300)
    assert ending.kind is None, ending
    assert ending.resources["peak_memory_mb"] < 200


def test_shared_memory_is(go):
    source = "from multiprocessing.shared_memory import SharedMemory\nx = SharedMemory(create=True, size=400_000_000)\ntry:\n    for n in range(0, 400_000_000, 4096): x.buf[n] = 1\nfinally: x.unlink()\nimport time; time.sleep(1)"
    ending = go("forked", "1", source, memory_mb=300)
    assert ending.kind == "memory", ending


def test_a_process_that_ended_since_it_was_seen_holds_nothing():
    child = subprocess.Popen([sys.executable, "-c", "x = b'x' * 50_000_000; print(flush=True); input()"], stdin=-1, stdout=-1)
    child.stdout.readline()
    seen = read_process(child.pid)
    assert held_bytes(seen) > 50 * MB
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert held_bytes(seen) == 0  # nobody has waited for it yet
    child.wait()
    assert held_bytes(seen) == 0


def test_children_that_share_what_a_kernel_holds_cost_it_nothing(go):
    source = "pids = [os.fork() or (time.sleep(1), os._exit(0)) for n in range(4)]\nfor pid in pids: os.waitpid(pid, 0)"
    ending = go("plain", HOLD.format(300 * MB) + "import os, time; time.sleep(0.5)", source, "1", memory_mb=450)
    assert ending.kind is None, ending
    assert ending.resources["peak_memory_mb"] < 450


def test_a_death_that_is_not_ours_keeps_its_words(go):
    ending = go("forked", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", memory_mb=2_000)
    assert ending.kind == "died"
    assert "SIGKILL (out of memory, or killed by somebody)" in ending.message


# ---- where a budget is said ----

LEAKING = "kept = []\nimport time\nfor n in range(60):\n    kept.append(b'x' * 10_000_000)\n    time.sleep(0.005)"


def record_of(said, folder, check):
    return json.loads((folder / "archive" / "runs" / said.json["run"] / "records" / f"{check}.json").read_text())


def test_settings_win_over_the_template_and_the_record_names_what_held(tmp_path):
    folder = write_project(tmp_path / "p", {}, "[granted]\n# seen last night\nmemory_mb = 3000\n[shorter]\ndeadline = 5\n")
    write_template(folder, "leaks", [LEAKING, showing("leaks")], memory_mb=300)
    write_template(folder, "granted", [LEAKING, showing("granted")], memory_mb=300)
    write_template(folder, "shorter", ["import time; time.sleep(100)"], deadline=60)
    said = prodnb_run(folder, "leaks", "granted", "shorter", "--set", "leaks.output_mb=2")
    assert said.code == 2, said.err
    kinds = {r["check"]: r["cause"] and r["cause"]["kind"] for r in said.json["records"]}
    assert kinds == {"leaks": "memory", "granted": None, "shorter": "deadline"}
    record = record_of(said, folder, "leaks")
    assert re.match(r"cell \d of \d: its kernel held \d+ MB, more than the 300 MB", record["cause"]["message"])
    assert "raise it in [leaks] of the settings" in record["cause"]["message"]
    assert record["resources"]["budget"] == {
        "deadline": {"value": 900, "source": "default"},
        "memory_mb": {"value": 300, "source": "template"},
        "output_mb": {"value": 2, "source": "this run"},
    }
    granted = record_of(said, folder, "granted")["resources"]
    assert granted["budget"]["memory_mb"] == {"value": 3000, "source": "settings.ini, line 10"}
    assert granted["peak_memory_mb"] > 600
    assert "used more memory than it may" in (folder / "archive" / "runs" / said.json["run"] / "leaks.html").read_text()


def prodnb_run(folder, *arguments):
    return prodnb("run", *arguments, "--json", cwd=folder)


WRONG = {
    "memory_mb = lots": ("memory_mb is 'lots'", "line 9"),
    "memory_mb = 20": ("at least 100", "line 9"),
    "memory_mb = nan": ("at least 100", "line 9"),
    "memory_mb = 1e400": ("memory_mb is '1e400'", "line 9"),
    "deadline = none": ("seconds, at least 1", "line 9"),
    "deadline = 0": ("seconds, at least 1", "line 9"),
    "output_mb = 0": ("from 0.1 to 1000", "line 9"),
    "memory_md = 500": ("Did you mean 'memory_mb'", "line 9"),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_budget_is_a_mistake_that_is_named(tmp_path, line):
    from prodnb.errors import SettingsError

    folder = write_project(tmp_path / "p", {"own": [showing("own")]}, f"[own]\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        plan_run(load_settings(folder / "settings.ini"), ["own"])
    assert all(words in str(caught.value) for words in WRONG[line]), caught.value


def test_a_wrong_budget_ends_with_two(tmp_path):
    folder = write_project(tmp_path / "p", {"own": [showing("own")]}, "[own]\nmemory = 500\n")
    said = prodnb_run(folder, "own")
    assert said.code == 2
    assert "Did you mean 'memory_mb'" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    "meta", [{"memory_mb": "500"}, {"memory_mb": 5}, {"memory_mb": True}, {"output_mb": []}, {"memory": 500}, {"deadlin": 5}]
)
def test_a_wrong_budget_in_a_template_is_a_mistake_that_is_named(tmp_path, meta):
    from prodnb.errors import TemplateError
    from prodnb.template import find_templates

    folder = write_project(tmp_path / "p", {})
    write_template(folder, "own", ["1"], **meta)
    with pytest.raises(TemplateError, match=r"templates/own.ipynb: .*metadata"):
        find_templates(folder)


def test_a_parameter_cannot_have_the_name_of_a_budget(tmp_path):
    from prodnb.errors import TemplateError
    from prodnb.template import find_templates

    folder = write_project(tmp_path / "p", {})
    write_template(folder, "own", ["1"], "deadline: float = 1.0  # mine\n")
    with pytest.raises(TemplateError, match="name of a budget"):
        find_templates(folder)


def test_none_in_the_settings_takes_the_cap_of_a_template_away(tmp_path):
    folder = write_project(tmp_path / "p", {}, "[own]\nmemory_mb = none\n")
    budget = budget_in_force(load_settings(folder / "settings.ini"), "own", {"memory_mb": 300.0})
    assert budget["memory_mb"] == {"value": None, "source": "settings.ini, line 9"}


# ---- the output cap ----


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def test_head_and_tail_stay_and_what_is_judged_is_never_dropped():
    result = {"output_type": "execute_result", "data": {RESULT_MIME: {"check": "x"}, "text/html": "h" * 50_000}, "metadata": {}}
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t" * 3_000]}
    cells = [{"outputs": [stream(f"{n:04}" * 10_000)]} for n in range(20)]
    cells[10] = {"outputs": [result, error]}
    trimmed, before, left = trim_outputs({"cells": cells}, 0.2)
    assert before == 19 * 40_000 + 50_000
    assert trimmed["cells"][0] == cells[0]
    assert trimmed["cells"][-1] == cells[-1]
    kept = trimmed["cells"][10]["outputs"]
    assert kept[0]["data"][RESULT_MIME] == {"check": "x"}
    assert "An output of 50,000 characters was left out" in kept[0]["data"]["text/plain"]
    assert kept[1] == error
    after = sum(output_size(o) for c in trimmed["cells"] for o in c["outputs"])
    assert after == before - left
    assert after < 200_000 + 20 * 200
    assert trim_outputs({"cells": cells}, 1.0)[0]["cells"] == cells


def test_one_long_stream_keeps_its_head_and_its_tail():
    text = "".join(f"{n:07}," for n in range(100_000))
    trimmed, _, _ = trim_outputs({"cells": [{"outputs": [stream(text)]}]}, 0.1)
    cut = trimmed["cells"][0]["outputs"][0]["text"]
    assert cut.startswith(text[:75_000])
    assert cut.endswith(text[-25_000:])
    assert "700,000 characters left out: this notebook may put out 0.1 MB" in cut


@pytest.mark.usefixtures("_servers")
def test_the_output_of_a_whole_check_is_capped(tmp_path):
    folder = write_project(tmp_path / "p", {}, "[floods]\noutput_mb = 0.5\n")
    write_template(
        folder, "floods", [f"print('cell {n} ' * 20_000)" for n in range(10)] + [showing("floods"), "print('the end')"]
    )
    finished = run_here(folder, ["floods"], [])
    assert finished.run.outcome == "passed"
    run = folder / "archive" / "runs" / finished.run.id
    assert (run / "floods.ipynb").stat().st_size < 700_000
    text = (run / "floods.ipynb").read_text()
    assert "cell 0 " in text
    assert "the end" in text
    for name in ("floods.ipynb", "floods.html"):
        assert "this notebook may put out 0.5 MB" in (run / name).read_text()
    used = finished.records[0].resources
    assert used["output_mb"] == pytest.approx(1.4, rel=0.1)
    assert used["output_left_out_mb"] == pytest.approx(0.9, rel=0.1)
    assert verify(finished.archive)[0] == []


# ---- waiting for memory ----

SLEEPS = "import time; time.sleep(1.5)"


def spans(finished):
    from datetime import datetime

    starts = {r.check: datetime.fromisoformat(r.started).timestamp() for r in finished.records}
    return {r.check: (starts[r.check], starts[r.check] + r.seconds) for r in finished.records}


def overlap(a, b):
    return min(a[1], b[1]) - max(a[0], b[0])


def run_two(folder, events):
    return run_here(folder, ["one", "two"], events)


@pytest.mark.usefixtures("_servers")
def test_a_check_waits_until_another_has_left_the_room(tmp_path, monkeypatch):
    folder = write_project(tmp_path / "p", {c: [SLEEPS, showing(c)] for c in ("one", "two")})
    monkeypatch.setattr(room, "available_mb", lambda: UNKNOWN_MB * 1.5)
    events = []
    finished = run_two(folder, events)
    assert overlap(*spans(finished).values()) < 0
    waits = [e for e in events if e["event"] == "waits"]
    assert [(e["needs_mb"], e["free_mb"] < 500) for e in waits] == [(500, True)]
    waited = {r.check: r.resources["waited_for_memory_seconds"] for r in finished.records}
    assert waited[waits[0]["check"]] > 1.5
    assert sorted(waited.values())[0] == 0


@pytest.mark.usefixtures("_servers")
def test_now_that_they_are_known_to_be_small_they_run_together(tmp_path, monkeypatch):
    folder = write_project(tmp_path / "p", {c: [SLEEPS, showing(c)] for c in ("one", "two")})
    run_two(folder, [])
    plan = plan_run(load_settings(folder / "settings.ini"), ["one", "two"])
    assert all(20 < mb < 200 * MARGIN for mb in expected_mb(plan).values())
    monkeypatch.setattr(room, "available_mb", lambda: UNKNOWN_MB * 1.5)
    events = []
    assert overlap(*spans(run_two(folder, events)).values()) > 0.5
    assert not [e for e in events if e["event"] == "waits"]


@pytest.mark.usefixtures("_servers")
def test_one_always_runs_however_little_there_is(tmp_path, monkeypatch):
    folder = write_project(tmp_path / "p", {c: [showing(c)] for c in ("one", "two")})
    monkeypatch.setattr(room, "available_mb", lambda: 0.0)
    finished = run_two(folder, [])
    assert {r.outcome for r in finished.records} == {"passed"}
    assert overlap(*spans(finished).values()) < 0


@pytest.mark.usefixtures("_servers")
def test_two_that_would_not_fit_together_never_hold_it_together(tmp_path, monkeypatch):
    """A machine of 900 MB, of which the processes of this test take what they hold; each check holds 350 MB and its kernel."""
    hold = HOLD.format(350 * MB) + "import time; time.sleep(1.5)"
    folder = write_project(tmp_path / "p", {c: [hold, showing(c)] for c in ("one", "two")}, "[one]\nmemory_mb = 600\n")

    def available():
        mine = [read_process(p.pid) for p in psutil.Process().children(recursive=True)]
        return 900 - sum(held_bytes(p) for p in mine if p) / MB

    monkeypatch.setattr(room, "available_mb", available)
    for _ in range(2):
        finished = run_two(folder, [])
        assert overlap(*spans(finished).values()) < 0.5  # a kernel that has ended holds nothing, though its page is still written
        assert all(r.resources["peak_memory_mb"] > 350 for r in finished.records)


def test_the_command_line_says_who_waits(tmp_path):
    folder = write_project(tmp_path / "p", {c: [SLEEPS, showing(c)] for c in ("one", "two")})
    (folder / "narrow.py").write_text(
        "from prodnb import room\nroom.available_mb = lambda: 700.0\nfrom prodnb.cli import main\nmain()\n"
    )
    command = [sys.executable, "narrow.py", "run", "one", "two", "--workers", "2", "--json"]
    clean = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"(one|two): waits for memory, it needs about 500 MB and \d+ MB are free", done.stderr)
    assert json.loads(done.stdout)["outcome"] == "passed"


def test_old_and_new_control_groups_are_read(tmp_path):
    old = tmp_path / "memory" / "jobs"
    old.mkdir(parents=True)
    for folder, limit in ((old, 2_000 * MB), (old.parent, 9223372036854771712)):
        (folder / "memory.limit_in_bytes").write_text(str(limit))
        (folder / "memory.usage_in_bytes").write_text(str(1_500 * MB))
        (folder / "memory.stat").write_text(f"cache 1\ntotal_inactive_file {300 * MB}\n")
    assert group_bytes("4:memory:/jobs\n1:cpu:/\n0::/", tmp_path) == 800 * MB
    assert group_bytes("4:cpu,memory:/elsewhere\n", tmp_path) is None
    assert group_bytes("", tmp_path) is None


def test_a_cap_that_nobody_can_watch_is_not_called_one(tmp_path, monkeypatch):
    settings = load_settings(write_project(tmp_path / "p", {}) / "settings.ini")
    assert "enforced" not in budget_in_force(settings, "a", {"memory_mb": 100.0})["memory_mb"]
    monkeypatch.setattr("sys.platform", "darwin")
    assert budget_in_force(settings, "a", {"memory_mb": 100.0})["memory_mb"]["enforced"] is False
    assert "enforced" not in budget_in_force(settings, "a", {})["memory_mb"]
