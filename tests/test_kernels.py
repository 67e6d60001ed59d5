"""How a notebook ended is known, whatever papermill writes: every kind of death, floods, deadlines, the values injected."""

import json
import os
import re
import time

import nbformat
import psutil
import pytest

from prodnb.kernels import correct, execute, shown_results
from prodnb.outputs import Cap
from prodnb.verdict import RESULT_MIME

pytestmark = pytest.mark.slow
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def notebook(*sources):
    cells = [
        {
            "cell_type": "code",
            "id": f"c{n}",
            "metadata": {"tags": ["parameters"] if n == 0 else []},
            "execution_count": None,
            "outputs": [],
            "source": s,
        }
        for n, s in enumerate(sources)
    ]
    return {"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def go(tmp_path):
    def go(*sources, parameters=None, **more):
        template, output = tmp_path / "t.ipynb", tmp_path / "o.ipynb"
        template.write_text(json.dumps(notebook("x: int = 1", *sources)))
        ending = execute(template, output, parameters or {}, cwd=tmp_path, **more)
        written = nbformat.read(output, as_version=4)
        return ending, correct(written, ending)

    return go


def status(nb):
    return [c["metadata"]["papermill"]["status"] for c in nb["cells"]]


def text_of(nb):
    return "".join("".join(o.get("text", "")) for c in nb["cells"] for o in c["outputs"])


DEATHS = {
    "segfault": ("import ctypes; ctypes.string_at(0)", "died", "SIGSEGV"),
    "os._exit": ("import os; os._exit(7)", "died", "code 7"),
    "os._exit(0)": ("import os; os._exit(0)", "died", "code 0"),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "died", "SIGKILL"),
    "abort": ("import os; os.abort()", "died", "SIGABRT"),
    "deadline": ("import time; time.sleep(60)", "deadline", "its deadline"),
    "raised": ("1 / 0", "raised", "ZeroDivisionError: division by zero"),
    "exit": ("raise SystemExit(3)", "raised", "SystemExit"),
    "exit well": ("import sys; sys.exit(0)", "raised", "SystemExit"),
    "exit quietly": ("import sys; sys.exit()", "raised", "SystemExit"),
}


@pytest.mark.parametrize("kind", DEATHS)
def test_no_death_reads_as_completed(go, kind):
    source, ended, words = DEATHS[kind]
    ending, nb = go("print('before')", source, "print('never')", deadline=8.0 if ended == "deadline" else 60.0)
    assert (ending.kind, ending.cell) == (ended, 2)
    assert words in ending.message
    assert status(nb) == ["completed", "completed", "failed", "not run"]
    assert nb["metadata"]["papermill"]["exception"] is True
    assert nb["metadata"]["prodnb"]["ended"] == ended
    assert text_of(nb).startswith("before")
    assert "never" not in text_of(nb)


def test_a_good_run_is_completed_and_measured(go):
    ending, nb = go("y = bytearray(80_000_000); x + 1", parameters={"x": 41})
    assert ending.kind is None
    assert set(status(nb)) == {"completed"}
    assert nb["cells"][-1]["outputs"][0]["data"]["text/plain"] == "42"
    assert ending.resources["peak_memory_mb"] > 80
    assert ending.resources["cpu_seconds"] > 0


def test_native_code_that_ignores_signals_is_stopped_and_leaves_nothing(go):
    started = time.monotonic()
    source = "import signal, subprocess, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsubprocess.Popen(['sleep', '611'])\ntime.sleep(600)"
    ending, _ = go(source, deadline=6.0)
    assert ending.kind == "deadline"
    assert time.monotonic() - started < 20
    time.sleep(0.5)
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "611"]]


def test_a_flood_is_capped_and_the_run_goes_on(go):
    ending, nb = go("for n in range(300_000): print('line', n)", "print('after')", "print('é' * 10)")
    assert ending.kind is None, ending
    flood = nb["cells"][1]["outputs"]
    text = "".join(o["text"] if isinstance(o["text"], str) else "".join(o["text"]) for o in flood)
    assert len(text) < 1_100_000
    assert text.startswith("line 0\n")
    assert text.rstrip().endswith("line 299999")
    assert "characters left out" in text
    assert text_of(nb).endswith("after\n" + "é" * 10 + "\n")


def test_a_huge_display_is_replaced(go):
    ending, nb = go("from IPython.display import HTML, display\ndisplay(HTML('a' * 5_000_000))\n'small'")
    assert ending.kind is None
    assert len(json.dumps(nb)) < 50_000
    assert re.search(r"5,000,\d{3} bytes was left out", json.dumps(nb))
    assert "small" in json.dumps(nb)


def test_a_flood_from_a_child_process_is_capped_too(go):
    ending, nb = go("import subprocess; subprocess.run(['sh', '-c', 'yes | head -c 8000000'])", "print('after')")
    assert ending.kind is None
    assert len(json.dumps(nb)) < 3_000_000


def test_results_are_collected_from_outputs(go):
    result = "from prodnb.verdict import CheckResult, skip\nCheckResult('x', [skip('nothing')])"
    _, nb = go(result)
    assert [r["check"] for r in shown_results(nb, RESULT_MIME)] == ["x"]


def test_no_sockets_on_the_network_and_a_private_folder(go):
    source = (
        "import json, os, stat\nfrom ipykernel import get_connection_file\ninfo = json.load(open(get_connection_file()))\n"
        "print(info['transport'], oct(os.stat(os.path.dirname(info['ip'])).st_mode & 0o777))"
    )
    _, nb = go(source)
    assert text_of(nb) == "ipc 0o700\n"


def test_what_papermill_knew_of_this_machine_is_gone(go, tmp_path):
    _, nb = go("1 + 1")
    assert str(tmp_path) not in json.dumps(nb["metadata"])
    assert "input_path" not in nb["metadata"]["papermill"]


def test_environment_is_inherited_and_cwd_is_the_project(go, tmp_path, monkeypatch):
    monkeypatch.setenv("PRODNB_SET", '{"a.b": "c"}')
    _, nb = go("import os; print(os.getcwd(), os.environ['PRODNB_SET'])")
    assert text_of(nb) == f"{os.path.realpath(tmp_path)} " + '{"a.b": "c"}\n'


def test_cap_keeps_head_and_tail():
    cap = Cap(cap=100, tail=20)
    out = "".join(cap.stream(f"{n:03} ") for n in range(1000))
    assert out.startswith("000 001")
    assert len(out) == 80
    assert cap.closing().endswith("995 996 997 998 999 ")
    cap.reset()
    assert cap.stream("x") == "x"
    assert cap.closing() == ""
    assert cap.display(98)
    assert not cap.display(2)


RESULT = """
from prodnb.verdict import CheckResult, Limit, Statistic, judge
rows = [{{"a": "x" * 2000}} for _ in range({rows})]
judged = judge(Statistic(name="s", value={value}), Limit(fail=2.0, reason="agreed"))
CheckResult("x", [judged], {{f"t{{n}}": rows for n in range(4)}})
"""


def test_a_large_result_is_never_dropped(go):
    ending, nb = go(RESULT.format(rows=1, value=1.0), RESULT.format(rows=400, value=3.0))
    assert ending.kind is None
    assert [r["outcome"] for r in shown_results(nb, RESULT_MIME)] == ["passed", "failed"]


def test_long_errors_are_shortened(go):
    ending, nb = go("raise ValueError('x' * 5_000_000)")
    assert ending.kind == "raised"
    assert len(ending.message) < 5_000
    assert len(json.dumps(nb)) < 100_000


def test_a_long_cry_of_the_process_is_shortened(go):
    ending, _ = go("import os, sys; sys.__stderr__.write('z' * 20_000_000); sys.__stderr__.flush(); os._exit(1)")
    assert ending.kind == "died"
    assert len(ending.log) < 5_000


def test_an_allowed_error_is_no_failure_and_the_failing_cell_is_named(tmp_path):
    made = notebook("x: int = 1", "1 / 0", "2 + 2", "raise KeyError('here')")
    made["cells"][1]["metadata"]["tags"] = ["raises-exception"]
    (tmp_path / "t.ipynb").write_text(json.dumps(made))
    ending = execute(tmp_path / "t.ipynb", tmp_path / "o.ipynb", {"x": 2}, cwd=tmp_path)
    assert (ending.kind, ending.cell) == ("raised", 4)
    assert "here" in ending.message
