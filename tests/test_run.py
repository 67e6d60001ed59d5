"""The journey as a user makes it: the command line on a small project, every way a check can end, every mistake that can be made."""

import getpass
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from project import CELLS, prodnb, showing, write_project, write_template

from prodnb.archive import open_archive, run_ids
from prodnb.log import read_log
from prodnb.plan import plan_run
from prodnb.pool import planned_copy
from prodnb.run import seal
from prodnb.settings import load_settings
from prodnb.verify import verify

pytestmark = pytest.mark.slow
SCHEMA = json.loads((Path(__file__).parents[1] / "prodnb" / "assets" / "run.schema.json").read_text())
OWN = list(CELLS)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project in which every check has run once."""
    folder = write_project(tmp_path_factory.mktemp("every"))
    said = prodnb("run", *OWN, "--json", "--junit", "junit.xml", cwd=folder)
    return folder, said


def outcomes(said):
    return {r["check"]: r["outcome"] for r in said.json["records"]}


def test_every_way_a_check_can_end(done):
    _, said = done
    assert said.code == 2, said.err
    jsonschema.validate(said.json, SCHEMA)
    assert outcomes(said) == {
        "passes": "passed", "warns": "warned", "doubts": "unknown", "fails": "failed", "skips": "skipped", "raises": "errored",
        "dies": "errored", "silent": "errored", "lies": "errored",
    }  # fmt: skip
    causes = {r["check"]: r["cause"] for r in said.json["records"] if r["cause"]}
    assert {c: causes[c]["kind"] for c in causes} == {
        "raises": "raised",
        "dies": "died",
        "silent": "no result",
        "lies": "wrong result",
    }
    assert causes["dies"]["cell"] == 4
    assert "exited with code 0" in causes["dies"]["message"]
    assert "ZeroDivisionError" in causes["raises"]["message"]
    assert said.json["outcome"] == "errored"


def test_dead_notebooks_never_read_as_completed(done):
    folder, said = done
    for r in said.json["records"]:
        notebook = json.loads(Path(r["notebook"]).read_text())
        status = [c["metadata"]["papermill"]["status"] for c in notebook["cells"]]
        if r["check"] in ("dies", "raises"):
            assert status.count("failed") == 1
            assert status[-1] == "not run"
            assert notebook["metadata"]["papermill"]["exception"] is True
        else:
            assert set(status) == {"completed"}
        page = Path(r["report"]).read_text()
        assert "<script" not in page
        assert r["outcome"] in page
    assert "so far so good" in (folder / "archive" / "runs" / said.json["run"] / "dies.html").read_text()


def test_the_archive_is_whole_and_verified(done):
    folder, said = done
    shown = prodnb("show", "--json", cwd=folder)
    assert shown.code == 0
    assert shown.json == said.json
    assert prodnb("verify", cwd=folder).code == 0
    report = folder / "archive" / "runs" / said.json["run"] / "raises.html"
    data = report.read_bytes()
    report.write_bytes(data.replace(b"errored", b"passed"))
    found = prodnb("verify", cwd=folder)
    assert found.code == 1
    assert "raises.html" in found.out
    assert "the log was cut off" in found.out
    report.write_bytes(data)
    assert prodnb("verify", "--json", cwd=folder).json["findings"] == []


def test_nothing_of_this_machine_is_kept(done):
    folder, _ = done
    for path in (folder / "archive").rglob("*"):
        if path.is_file():
            text = path.read_text()
            for place in (str(folder), str(Path.home()) + "/", sys.prefix, os.path.realpath(sys.prefix)):
                assert place not in text, f"{place} in {path.name}"
            assert not re.search(rf"(?:/home|/Users)/{re.escape(getpass.getuser())}\b", text)


def test_the_words_for_people(done):
    folder, _ = done
    said = prodnb("show", cwd=folder)
    for words in ("demo", "✖ errored", "ann's team", "see the wiki", "index.html", "ZeroDivisionError"):
        assert words in said.out, words
    markdown = prodnb("show", "--markdown", cwd=folder)
    assert markdown.out.startswith("## ✖ demo: errored")


def test_failed_repeats_what_did_not_pass(done, tmp_path):
    folder = shutil.copytree(done[0], tmp_path / "copy")
    write_template(folder, "raises", [showing("raises")])
    said = prodnb("run", "--failed", "--json", cwd=folder)
    assert set(outcomes(said)) == {"warns", "doubts", "fails", "raises", "dies", "silent", "lies"}
    assert outcomes(said)["raises"] == "passed"
    assert len(run_ids(open_archive("archive", folder))) == 2
    assert verify(open_archive("archive", folder))[0] == []


PARAMETERS = "number: float = 1.0  # a number\nname: str | None = None  # a name\nmany: list[int] = []  # some\nflag: bool = False  # yes or no\n"
OVERLAY = "from prodnb.template import overlay\nvalues = overlay('own', globals())\nvalues"
SHOW = f"{showing('own')}\n"


def test_values_are_the_same_in_the_runner_and_in_the_notebook(tmp_path):
    folder = write_project(
        tmp_path / "p", {}, '[own]\n# agreed in May\nnumber = 2.5\nname = it\'s "quoted" \\ # %% $x\nmany = 1, 2\n'
    )
    write_template(folder, "own", [OVERLAY, "print('SEEN', repr((number, name, many, flag)))", SHOW], PARAMETERS)
    said = prodnb("run", "own", "-p", "own.flag=yes", "--set", "project.seed=7", "--json", cwd=folder)
    assert said.code == 0, said.err
    notebook = Path(said.json["records"][0]["notebook"])
    expected = "SEEN (2.5, 'it\\'s \"quoted\" \\\\ # %% $x', [1, 2], True)"
    cells = json.loads(notebook.read_text())["cells"]
    printed = "".join("".join(o.get("text", "")) for c in cells for o in c.get("outputs", []))
    assert expected in printed
    injected = next("".join(c["source"]) for c in cells if "injected-parameters" in c["metadata"].get("tags", []))
    assert "number = 2.5" in injected
    record = json.loads((notebook.parent / "records" / "own.json").read_text())
    assert record["parameters"]["number"] == {"value": 2.5, "source": "settings.ini, line 10", "reason": "agreed in May"}
    assert record["parameters"]["flag"]["source"] == "this run"
    run = json.loads((notebook.parent / "run.json").read_text())
    assert run["overrides"] == {"own.flag": "yes", "project.seed": "7"}
    run_all = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--output-dir",
        str(tmp_path),
        "--output",
        "all.ipynb",
    ]
    shutil.copy(folder / "templates" / "own.ipynb", folder / "own.ipynb")
    subprocess.run([*run_all, "own.ipynb"], cwd=folder, check=True, capture_output=True)
    text = (tmp_path / "all.ipynb").read_text()
    assert expected.replace("True", "False").replace("\\", "\\\\").replace('"', '\\"') in text


def test_passwords_reach_no_file(tmp_path):
    secret = "s3cr3t-pass"
    url = f"postgres://ann:{secret}@localhost:1/db::t"
    folder = write_project(tmp_path / "p", {}, f"[own]\nurl = {url}\n")
    write_template(folder, "own", [OVERLAY, "print(url)", "raise ValueError('cannot reach ' + url)"], 'url: str = ""  # where\n')
    said = prodnb("run", "own", "--json", cwd=folder)
    assert said.code == 2
    assert secret not in said.out
    for path in (folder / "archive").rglob("*"):
        if path.is_file():
            assert secret not in path.read_text(), path.name


def test_a_deadline_of_the_template_holds(tmp_path):
    folder = write_project(tmp_path / "p", {})
    write_template(folder, "slow", ["import time; time.sleep(100)"], deadline=6)
    said = prodnb("run", "slow", "--json", cwd=folder)
    assert said.code == 2
    assert said.json["records"][0]["cause"]["kind"] == "deadline"


def test_a_check_that_wants_another_runs_after_it(tmp_path):
    folder = write_project(tmp_path / "p", {})
    write_template(folder, "a", [showing("a")], after=["b"])
    write_template(folder, "b", [showing("b")])
    said = prodnb("run", "a", "b", "--workers", "2", cwd=folder)
    assert said.code == 0
    assert said.err.index("b: passed") < said.err.index("a: started")


def test_a_killed_run_leaves_nothing_that_reads_as_complete(tmp_path):
    folder = write_project(tmp_path / "p", {})
    write_template(folder, "slow", ["import time; time.sleep(4)", showing("slow")])
    child = subprocess.Popen(
        [sys.executable, "-m", "prodnb", "run", "slow"], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    child.stderr.readline()
    time.sleep(2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert run_ids(open_archive("archive", folder)) == []
    deadline = time.monotonic() + 15
    while (left := kernels_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left == []


def test_what_a_notebook_had_when_its_worker_was_killed_is_kept(tmp_path):
    folder = write_project(tmp_path / "p", {})
    write_template(folder, "half", ["'what it had'", "2 + 2"])
    plan, staging = plan_run(load_settings(folder / "settings.ini"), ["half"]), tmp_path / "staging"
    (staging / "templates").mkdir(parents=True)
    notebook = json.loads(planned_copy(plan.templates["half"], staging).read_text())
    shown = {"output_type": "execute_result", "execution_count": 2, "metadata": {}, "data": {"text/plain": "'what it had'"}}
    notebook["cells"][1]["execution_count"] = 1
    notebook["cells"][2] |= {"execution_count": 2, "outputs": [shown]}
    for saved, kept, at in ((json.dumps(notebook), True, 3), ("{half a", False, -1)):
        (staging / "half.raw.ipynb").write_text(saved)
        (record,) = seal(plan, {"half": {"event": "broken", "check": "half", "message": "its worker ended"}}, staging)
        left = json.loads((staging / "half.ipynb").read_text())
        assert record.outcome == "errored"
        assert ("what it had" in json.dumps(left["cells"][2]["outputs"])) is kept
        assert left["metadata"]["prodnb"]["cell"] == at
        assert left["cells"][3]["outputs"] == []


def kernels_of(folder):
    import psutil

    found = []
    for p in psutil.process_iter():
        try:
            if p.cwd() == os.path.realpath(folder):
                found.append(p.pid)
        except psutil.Error:
            continue
    return found


def test_two_runs_at_once_do_not_collide(tmp_path):
    folder = write_project(tmp_path / "p", {"passes": CELLS["passes"]})
    command = [sys.executable, "-m", "prodnb", "run", "passes"]
    both = [subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [p.wait() for p in both] == [0, 0]
    archive = open_archive("archive", folder)
    assert len(run_ids(archive)) == 2
    assert verify(archive)[0] == []


def test_mlflow_out_of_reach_is_noted_and_the_run_kept(tmp_path):
    folder = write_project(tmp_path / "p", {"passes": CELLS["passes"]})
    (folder / "settings.ini").write_text(
        (folder / "settings.ini").read_text().replace("mlflow = off", "mlflow = http://127.0.0.1:9")
    )
    said = prodnb("run", "passes", cwd=folder)
    assert said.code == 0
    assert "MLflow did not take it" in said.err
    run = run_ids(open_archive("archive", folder))[0]
    line = json.loads((folder / "archive" / "runs" / run / "deliveries.json").read_text())[0]
    assert line["outcome"] == "not delivered"
    assert prodnb("verify", cwd=folder).code == 0


NO_NETWORK = """
import os, socket
_connect = socket.socket.connect
def connect(self, address, *rest):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(("127.", "::1", "localhost")):
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write(repr(address) + "\\n")
        raise OSError("no network in this test")
    return _connect(self, address, *rest)
socket.socket.connect = connect
_lookup = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host not in (None, "", "localhost", "127.0.0.1", "::1", socket.gethostname()):
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write("lookup " + repr(host) + "\\n")
        raise OSError("no network in this test")
    return _lookup(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


def test_nothing_asks_the_network(tmp_path):
    folder = write_project(tmp_path / "p", {})
    (folder / "settings.ini").write_text((folder / "settings.ini").read_text().replace("mlflow = off", "mlflow = sqlite:///m.db"))
    frame = pd.DataFrame({"a": range(300), "b": list("xyz") * 100})
    frame.to_parquet(folder / "current.parquet")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    env = {"PYTHONPATH": str(tmp_path / "site"), "NETWORK_LOG": str(tmp_path / "log")}
    probe = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 9), 1)"],
        env={**os.environ, **env},
        capture_output=True,
    )
    assert b"no network in this test" in probe.stderr
    (tmp_path / "log").unlink()
    said = prodnb("run", "data_quality", "drift", "--set", "project.current=current.parquet", cwd=folder, env=env)
    assert said.code in (0, 1), said.err
    assert "MLflow" not in said.err
    assert not (tmp_path / "log").exists(), (tmp_path / "log").read_text()


def test_hostile_names_stay_text_all_the_way(tmp_path):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    folder = write_project(tmp_path / "p", {"own": [showing("own", 3.0, about=hostile)]})
    said = prodnb("run", "own", cwd=folder)
    assert said.code == 1
    for page in (folder / "archive").rglob("*.html"):
        text = page.read_text()
        assert "<script" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;" in text


def test_a_runner_that_slept_goes_on(tmp_path):
    folder = write_project(tmp_path / "p", {"passes": CELLS["passes"]})
    child = subprocess.Popen(
        [sys.executable, "-m", "prodnb", "run", "passes"], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    child.stderr.readline()
    child.send_signal(signal.SIGSTOP)
    time.sleep(8)
    child.send_signal(signal.SIGCONT)
    assert child.wait(timeout=60) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_runner_leaves_no_process_and_no_folder(tmp_path, how):
    folder = write_project(tmp_path / "p", {})
    write_template(folder, "slow", ["import subprocess, time\nsubprocess.Popen(['sleep', '633'])\ntime.sleep(100)"])
    (tmp_path / "tmp").mkdir()
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-m", "prodnb", "run", "slow"]
    child = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env, start_new_session=True
    )
    child.stderr.readline()
    assert wait_for(lambda: sleepers("633"))
    child.send_signal(how)
    rest = child.stderr.read().decode()
    assert child.wait(timeout=60) == (-9 if how == signal.SIGKILL else 2)
    assert how == signal.SIGKILL or "nothing of this run was archived" in rest
    assert wait_for(lambda: not sleepers("633") and not kernels_of(folder))
    assert wait_for(lambda: not list((tmp_path / "tmp").glob("p*nb-*"))), sorted((tmp_path / "tmp").rglob("*"))
    assert run_ids(open_archive("archive", folder)) == []
    said = [e.content for e in read_log(open_archive("archive", folder))]
    assert [e["kind"] for e in said] == ["opened", "started", *([] if how == signal.SIGKILL else ["stopped"])]


def sleepers(seconds):
    import psutil

    return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", seconds]]


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True


FORGED = "from IPython.display import display\ndisplay({'application/vnd.prodnb.result.v1+json': %s}, raw=True)"
WRONG = {
    "empty": "{'check': 'own', 'verdicts': [], 'tables': {}, 'notes': []}",
    "word": "{'check': 'own', 'outcome': 'passed'}",
    "outcome": "{**good, 'verdicts': [{**good['verdicts'][0], 'outcome': 'Failed'}]}",
    "value": "{**good, 'verdicts': [{**good['verdicts'][0], 'value': float('nan')}]}",
    "limit": "{**good, 'verdicts': [{**good['verdicts'][0], 'limit': {'fail': 'much', 'warn': None, 'side': 'max', 'reason': 'x'}}]}",
}


def test_a_result_that_is_none_is_errored_and_never_passed_over(tmp_path):
    folder = write_project(tmp_path / "p", {})
    for name, source in WRONG.items():
        own = source.replace("'own'", repr(name))
        good = f"{showing(name)}".replace("CheckResult(", "shown = CheckResult(", 1) + "\ngood = shown.to_dict()\nshown"
        write_template(folder, name, [good, FORGED % own])
    said = prodnb("run", *WRONG, "--json", cwd=folder)
    assert said.code == 2, said.err
    assert outcomes(said) == dict.fromkeys(WRONG, "errored")
    assert {r["cause"]["kind"] for r in said.json["records"]} == {"wrong result"}


def test_stdout_holds_json_whatever_prints(tmp_path):
    folder = write_project(tmp_path / "p", {"passes": CELLS["passes"]})
    (folder / "loader.py").write_text(
        "import os, pandas\nprint('importing')\ndef table():\n    os.system('echo from a child')\n    print('loading')\n    return pandas.DataFrame({'a': [1, 2]})\n"
    )
    said = prodnb("run", "passes", "--json", "--set", "project.reference=loader:table", cwd=folder)
    assert said.json["outcome"] == "passed"
    assert "from a child" in said.err


def test_trust_is_needed_and_is_enough(tmp_path):
    import joblib
    from sklearn.linear_model import LinearRegression

    folder = write_project(tmp_path / "p", {"passes": CELLS["passes"]})
    joblib.dump(LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]), folder / "m.joblib")
    refused = prodnb("run", "passes", "--set", "project.model=m.joblib", cwd=folder)
    assert refused.code == 2
    assert "--trust" in refused.err
    assert prodnb("run", "passes", "--trust", "--set", "project.model=m.joblib", cwd=folder).code == 0


def test_a_template_that_another_check_edits_runs_as_planned(tmp_path):
    folder = write_project(tmp_path / "p", {})
    write_template(folder, "a", ["import shutil; shutil.copy('other.ipynb', 'templates/z.ipynb')", showing("a")])
    write_template(folder, "z", [showing("z", 3.0)], after=["a"])
    other = write_project(tmp_path / "q", {"z": [showing("z", 1.0)]})
    shutil.copy(other / "templates" / "z.ipynb", folder / "other.ipynb")
    assert outcomes(prodnb("run", "a", "z", "--json", cwd=folder))["z"] == "failed"


def test_an_input_that_changes_during_the_run_is_refused(tmp_path):
    folder = write_project(tmp_path / "p", {})
    source = "import pandas; pandas.DataFrame({'a': [9], 'b': ['z']}).to_parquet('reference.parquet')"
    write_template(folder, "own", [source, showing("own")])
    said = prodnb("run", "own", cwd=folder)
    assert said.code == 2
    assert "changed while the checks ran" in said.err
    last = [e.content for e in read_log(open_archive("archive", folder))][-1]
    assert (last["kind"], "changed while the checks ran" in last["why"]) == ("stopped", True)
    assert run_ids(open_archive("archive", folder)) == []


def test_a_check_whose_kernel_cannot_start_shows_no_old_output(tmp_path):
    folder = write_project(tmp_path / "p", {"own": [showing("own")]})
    path = folder / "templates" / "own.ipynb"
    made = json.loads(path.read_text())
    made["metadata"]["kernelspec"]["name"] = "nope"
    made["cells"][-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "PASSED of old in /home/ann/x"}]
    path.write_text(json.dumps(made))
    said = prodnb("run", "own", "--json", cwd=folder)
    assert said.code == 2
    for name in ("own.html", "own.ipynb"):
        text = (folder / "archive" / "runs" / said.json["run"] / name).read_text()
        assert "PASSED of old" not in text


def test_data_cannot_command_the_terminal(tmp_path):
    folder = write_project(tmp_path / "p", {"own": [showing("own", 3.0, about="\x1b[2J\x1b[Hcol")]})
    assert prodnb("run", "own", cwd=folder).code == 1
    assert "\x1b" not in prodnb("show", cwd=folder).out
