"""Who is told when a run does not pass: the team's command and webhook, with a time-out, and nothing that must not leave."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sealed import log_in, made_run, sealed_run

from prodnb.archive import load_records
from prodnb.errors import SettingsError
from prodnb.on_failure import check_on_failure, deliver_failure, failure_message, stop_message
from prodnb.settings import Settings


class Listener:
    """A server on loopback that keeps what it gets and answers as it is told."""

    def __init__(self, status=200, headers=(), wait=0.0, drip=False):
        self.got: list[tuple[str, dict, bytes]] = []
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, dict(self.headers), body))
                outer.released.wait(wait)
                if drip:
                    self.wfile.write(b"HTTP/1.0 ")
                    while not outer.released.wait(0.05):
                        self.wfile.write(b"2")
                        self.wfile.flush()
                    return
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/T0K3N-of-the-team"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def listen():
    made = []

    def start(**how):
        made.append(Listener(**how))
        return made[-1]

    yield start
    for listener in made:
        listener.stop()


def settings(folder, more=None, **keys):
    values = {"project": {"name": "demo", "owner": "ann's team"}, "on_failure": keys, **(more or {})}
    return Settings(folder / "settings.ini", values)


@pytest.fixture
def failed(tmp_path):
    """A sealed run in which drift failed, cost warned and latency could not be told."""
    log = log_in(tmp_path)
    run = sealed_run(log, {"cost": 1.6, "drift": 3.0})
    return run, load_records(log.archive, run), log.archive


def command(folder, code):
    (folder / "tell.py").write_text(code)
    return f"{sys.executable} tell.py --to 'ops team'"


SHOW = "import json, os, sys\njson.dump({'got': json.load(sys.stdin), 'argv': sys.argv[1:], 'env': dict(os.environ), 'cwd': os.getcwd()}, open('told.json', 'w'))\n"


def test_the_command_gets_the_message_and_no_key_of_ours(tmp_path, failed, monkeypatch):
    for name in ("PRODNB_SIGNING_KEY", "PRODNB_WITNESS_KEY", "PRODNB_SET"):
        monkeypatch.setenv(name, "private")
    monkeypatch.setenv("CHAT_TOKEN", "their own")
    asked = settings(tmp_path, command=command(tmp_path, SHOW))
    check_on_failure(asked)
    [line] = deliver_failure(asked, failure_message(asked, *failed))
    told = json.loads((tmp_path / "told.json").read_text())
    assert (line["to"], line["outcome"], line["message"]) == ("on_failure command", "delivered", "it ended with 0")
    assert told["argv"] == ["--to", "ops team"]
    assert Path(told["cwd"]).resolve() == tmp_path.resolve()
    assert not [k for k in told["env"] if k.startswith("PRODNB_")]
    assert told["env"]["CHAT_TOKEN"] == "their own"
    run = failed[0]
    assert {k: told["got"][k] for k in ("project", "run", "digest", "outcome", "owner", "stopping")} == {
        "project": "demo",
        "run": run.id,
        "digest": run.digest,
        "outcome": "failed",
        "owner": "ann's team",
        "stopping": 1,
    }
    assert told["got"]["report"] == f"archive/runs/{run.id}/index.html"
    assert told["got"]["checks"][0]["check"] == "drift"
    assert told["got"]["text"].startswith("demo: failed. drift: ")


def test_a_run_that_passes_tells_nobody(tmp_path):
    log = log_in(tmp_path)
    run = sealed_run(log, {"cost": 1.6, "drift": 1.0})
    asked = settings(tmp_path, command=command(tmp_path, SHOW))
    assert failure_message(asked, run, load_records(log.archive, run), log.archive) is None
    assert deliver_failure(asked, None) == []
    assert not (tmp_path / "told.json").exists()


def test_nothing_is_told_where_nothing_is_asked_for(tmp_path, failed):
    asked = settings(tmp_path)
    assert deliver_failure(asked, failure_message(asked, *failed)) == []


def test_the_address_gets_the_message_and_is_in_no_word(tmp_path, failed, listen):
    server = listen()
    asked = settings(tmp_path, webhook=server.url)
    check_on_failure(asked)
    message = failure_message(asked, *failed)
    [line] = deliver_failure(asked, message)
    [(path, headers, body)] = server.got
    assert (path, headers["Content-Type"]) == ("/hook/T0K3N-of-the-team", "application/json")
    assert json.loads(body) == message
    assert (line["outcome"], line["message"]) == ("delivered", "127.0.0.1 answered 200")
    assert "T0K3N" not in json.dumps([line, message])


def test_an_address_in_a_secret(tmp_path, failed, listen, monkeypatch):
    server = listen()
    monkeypatch.setenv("OPS_WEBHOOK", server.url)
    asked = settings(tmp_path, webhook="secret:OPS_WEBHOOK")
    check_on_failure(asked)
    [line] = deliver_failure(asked, stop_message(asked, failed[0].id, f"it posted to {server.url} and {server.url!r}"))
    assert line["outcome"] == "delivered"
    assert b"T0K3N" not in server.got[0][2]
    monkeypatch.delenv("OPS_WEBHOOK")
    with pytest.raises(SettingsError, match="no secret 'OPS_WEBHOOK'"):
        check_on_failure(asked)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 500])
def test_an_address_that_does_not_take_it(tmp_path, failed, listen, status):
    other = listen()
    server = listen(status=status, headers=[("Location", other.url)])
    asked = settings(tmp_path, webhook=server.url)
    [line] = deliver_failure(asked, failure_message(asked, *failed))
    assert (line["outcome"], line["message"]) == ("not delivered", f"127.0.0.1 answered {status}")
    assert other.got == []  # a redirect is not followed


@pytest.mark.parametrize("how", [{"wait": 30.0}, {"drip": True}])
def test_an_address_that_keeps_us_waiting(tmp_path, failed, listen, how):
    asked = settings(tmp_path, webhook=listen(**how).url, timeout="1s")
    start = time.monotonic()
    [line] = deliver_failure(asked, failure_message(asked, *failed))
    assert line["outcome"] == "not delivered"
    assert time.monotonic() - start < 5
    assert "T0K3N" not in json.dumps(line)


def test_an_address_where_nobody_listens(tmp_path, failed, listen):
    server = listen()
    server.stop()
    asked = settings(tmp_path, webhook=server.url)
    [line] = deliver_failure(asked, failure_message(asked, *failed))
    assert line["outcome"] == "not delivered"
    assert "T0K3N" not in json.dumps(line)


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path, failed):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', \"import time; time.sleep(1.5); open('late', 'w').close()\"])\n"
        "time.sleep(60)\n"
    )
    asked = settings(tmp_path, command=command(tmp_path, code), timeout="1s")
    start = time.monotonic()
    [line] = deliver_failure(asked, failure_message(asked, *failed))
    assert (line["outcome"], line["message"]) == ("not delivered", "it was stopped after 1 s")
    assert time.monotonic() - start < 10
    time.sleep(max(0.0, 2.5 - (time.monotonic() - start)))
    assert not (tmp_path / "late").exists()


def test_a_command_that_fails_says_why_without_places_and_secrets(tmp_path, failed):
    code = "import os, sys\nprint('x' * 10_000)\nprint('could not reach', os.getcwd(), 'https://me:hunter22@chat.example/')\nsys.exit(3)\n"
    asked = settings(tmp_path, command=command(tmp_path, code))
    [line] = deliver_failure(asked, failure_message(asked, *failed))
    assert line["outcome"] == "not delivered"
    assert line["message"].startswith("it ended with 3: ")
    assert line["message"].endswith("could not reach <project> https://me:***@chat.example/")
    assert len(line["message"]) < 700
    asked = settings(tmp_path, command=command(tmp_path, "print('> Authorization: Bearer abcdefghijklmnop123'); 1 / 0"))
    [line] = deliver_failure(asked, failure_message(asked, *failed))
    assert "[authorization header]" in line["message"]
    assert "abcdefghijklmnop123" not in line["message"]


def test_a_large_message_does_not_block_a_command_that_does_not_read_it(tmp_path):
    run, _, records = made_run({f"check_{n}": 3.0 for n in range(150)}, about=["x" * 3000])
    log = log_in(tmp_path)
    asked = settings(tmp_path, command=command(tmp_path, "pass"))
    message = failure_message(asked, run, records, log.archive)
    assert (message["stopping"], len(message["checks"])) == (150, 100)
    assert len(json.dumps(message)) < 100_000
    assert deliver_failure(asked, message)[0]["outcome"] == "delivered"


def test_no_secret_in_the_message(tmp_path):
    """Whatever a sentence of a record holds: places of this machine, and what the settings hold of passwords."""
    held = "postgres://me:hunter22@db/x"
    words = f"raised: OperationalError: {held} from {tmp_path}/x and {Path.home()}/y with T0K3N"
    run, _, records = made_run({"drift": 3.0}, cause={"kind": "raised", "cell": 1, "message": words, "log": words})
    log = log_in(tmp_path)
    more = {"drift": {"api_key": "T0K3N"}, "archive": {"path": "archive"}}
    asked = settings(tmp_path, more, command="true")
    said = json.dumps(failure_message(asked, run, records, log.archive))
    for secret in ("hunter22", "T0K3N", str(tmp_path)):
        assert secret not in said
    assert "parameters" not in said


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"command": "tell 'us"}, "the command cannot be read"),
        ({"webhook": "file:///etc/passwd"}, "not an address"),
        ({"webhook": "https://me:hunter22@chat.example/x"}, "not an address"),
        ({"webhook": "https://chat.example:http/x"}, "not an address"),
        ({"webhook": "https://chat.example/a b"}, "not an address"),
        ({"webhook": "chat.example/hook"}, "not an address"),
        ({"timeout": "soon"}, "no length of time"),
        ({"timeout": "11m"}, "at most 10m"),
    ],
)
def test_mistakes_are_found_before_anything_runs_and_never_raise_later(tmp_path, failed, keys, words):
    asked = settings(tmp_path, **keys)
    with pytest.raises(SettingsError, match=words) as caught:
        check_on_failure(asked)
    assert "hunter22" not in str(caught.value)
    lines = deliver_failure(asked, failure_message(asked, *failed))
    assert all(line["outcome"] == "not delivered" for line in lines)
    assert "hunter22" not in json.dumps(lines)
