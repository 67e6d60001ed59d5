"""JupyterLab with our templates: what the extension is told, what the server lists, and a notebook run from the launcher."""

import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import browser
import pytest

from prodnb import lab
from prodnb.errors import InputError
from prodnb.template import find_templates, shipped_templates

OVERLAY = """from prodnb.template import overlay
from prodnb.verdict import CheckResult, Limit, Statistic, judge

values = overlay("row_count", globals())
values"""
RESULT = 'CheckResult("row_count", [judge(Statistic(name="row_count", value=7, n=7), Limit(fail=max_rows, reason="test"))])'
PARAMETERS = 'settings: str = "settings.ini"  # the settings file\nmax_rows: int = 9  # fail above this'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one template of its own, and private Jupyter and cache folders."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "XDG_CACHE_HOME", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(lab.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]))
    try:
        shipped_templates()
    except Exception:
        pytest.skip("needs the templates of prodnb")
    folder = tmp_path / "project"
    (folder / "templates").mkdir(parents=True)
    (folder / "settings.ini").write_text(
        "[project]\nname = tiny\nreference = a.csv\n\n[row_count]\n# seen in review\nmax_rows = 6\n"
    )
    (folder / "templates" / "row_count.ipynb").write_text(json.dumps(notebook()))
    return folder


def notebook():
    code = {"cell_type": "code", "outputs": [], "execution_count": None, "metadata": {}}
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Rows\n> Are there few?"},
        {**code, "id": "b", "metadata": {"tags": ["parameters"]}, "source": PARAMETERS},
        {**code, "id": "c", "source": OVERLAY},
        {**code, "id": "d", "source": RESULT},
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}


@contextmanager
def served(project, *extra):
    """Start JupyterLab and wait for it: its process, address and token."""
    with lab.lab_process(project, extra_args=["--ServerApp.port_retries=50", "--ServerApp.log_level=ERROR", *extra]) as process:
        file = Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"jpserver-{process.pid}.json"
        end = time.monotonic() + 60
        while not file.exists():
            assert process.poll() is None, "JupyterLab ended while it started"
            assert time.monotonic() < end, "JupyterLab did not start"
            time.sleep(0.1)
        time.sleep(0.3)
        server = json.loads(file.read_text())
        yield process, server["url"], server["token"]


def get(url, token):
    with urlopen(f"{url}{'&' if '?' in url else '?'}token={token}", timeout=20) as answer:
        return answer.read().decode()


def test_example_folder_follows_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert lab.example_folder().is_relative_to(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert lab.example_folder().is_relative_to(Path.home())


def test_configuration_goes_in_front_of_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/theirs")
    found = lab._environment(tmp_path)
    assert found["JUPYTER_CONFIG_PATH"].split(os.pathsep) == [str(tmp_path), "/theirs"]
    assert found["PRODNB_EXAMPLE"] == str(lab.example_folder())
    files = lab._configuration(tmp_path)
    assert files["jupyter_lab_config.json"]["LabApp"]["news_url"] is None
    assert "--ip=127.0.0.1" in lab._command(tmp_path, True, 8899, ["--x"])
    assert lab._command(tmp_path, True, 8899, ["--x"])[-1] == "--x"
    assert "--no-browser" not in lab._command(tmp_path, True, None, [])


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no folder"), lab.lab_process(tmp_path / "absent"):
        pass


def test_the_process_is_ended_when_the_block_fails(project, monkeypatch):
    monkeypatch.setattr(lab, "_command", lambda *a: ["sleep", "60"])
    with pytest.raises(RuntimeError, match="planted"), lab.lab_process(project) as started:
        raise RuntimeError("planted")
    assert started.poll() is not None


def test_open_lab_returns_the_exit_code(project, monkeypatch):
    monkeypatch.setattr(lab, "_command", lambda *a: ["sh", "-c", "exit 3"])
    assert lab.open_lab(project, browser=False) == 3


@pytest.mark.slow
def test_the_server_lists_our_templates(project):
    with served(project) as (process, url, token):
        found = json.loads(get(f"{url}templates/names", token))
        listed = {category: {Path(t["name"]).stem for t in names} for category, names in found["templates"].items()}
        shipped = {name for name, t in find_templates(project).items() if t.origin == "prodnb"}
        assert listed == {"prodnb": shipped, "this project": {"row_count"}}
        assert shipped
        for names in found["templates"].values():
            for name in names:
                template = json.loads(get(f"{url}templates/get?template={quote(name['name'])}", token))
                cells = json.loads(template["content"])["cells"]
                assert sum("parameters" in c["metadata"].get("tags", []) for c in cells) == 1
        with pytest.raises(HTTPError, match="403"):
            urlopen(f"{url}api/contents", timeout=20)
        assert '"news": {"disabled": true}' in get(f"{url}lab", token)
        specs = json.loads(get(f"{url}api/kernelspecs", token))
        assert specs["default"] == "python3"
    assert process.poll() is not None


@pytest.mark.slow
def test_the_launcher_opens_a_check_and_runs_it(project):
    """In a browser: the tile, the dialog, the notebook, Run all; the value of settings.ini is in force."""
    browser.chromium()
    with served(project, "--LabApp.expose_app_in_browser=True") as (_, url, token), browser.browse() as page:
        page.open(f"{url}lab?token={token}", 1300, 900)
        tile = "[...document.querySelectorAll('.jp-LauncherCard')].find(c => c.innerText.includes('Production check'))"
        page.wait(f"{tile} !== undefined", 60)
        page.evaluate(f"{tile}.click()")
        page.wait("document.querySelectorAll('.jp-Dialog select').length === 2")
        choose = "(() => {{ const s = document.querySelectorAll('.jp-Dialog select')[{0}]; s.value = '{1}'; s.dispatchEvent(new Event('change', {{bubbles: true}})); return s.value }})()"
        assert page.evaluate(choose.format(0, "this project")) == "this project"
        assert page.evaluate(choose.format(1, "/this project/row_count.ipynb")) == "/this project/row_count.ipynb"
        page.evaluate("document.querySelector('.jp-Dialog .jp-mod-accept').click()")
        page.wait("document.querySelectorAll('.jp-NotebookPanel .jp-Cell').length === 4", 60)
        panel = "[...jupyterapp.shell.widgets('main')].find(w => w.sessionContext)"
        kernel = f"{panel}?.sessionContext?.session?.kernel"
        page.evaluate(f"jupyterapp.shell.activateById({panel}.id)")
        page.wait(f"{kernel}?.connectionStatus === 'connected' && {kernel}?.status === 'idle'", 60)
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells').then(() => true)")
        page.wait("document.querySelector('.prodnb-badge') !== null", 90)
        shown = page.evaluate("document.querySelector('.jp-NotebookPanel').innerText")
        assert "7 is above 6" in shown
        assert "Jupyter news" not in page.evaluate("document.body.innerText")
        asked = [r for r in page.requests if not r.startswith((url, url.replace("http", "ws"), "blob:"))]
        assert asked == []
        picture = os.environ.get("PRODNB_PICTURES")
        if picture:
            page.picture(Path(picture) / "lab.png", whole=False)


@pytest.mark.slow
def test_it_says_what_is_wrong_with_its_port(project):
    """The server's own exit code comes back."""
    assert lab.open_lab(project, browser=False, extra_args=["--ServerApp.port=notaport", "--ServerApp.log_level=CRITICAL"]) != 0
