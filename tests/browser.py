"""A headless Chromium for the tests: opens a page, sees what it loads and logs, takes pictures. Skips where there is none."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-default-apps --disable-extensions --disable-dev-shm-usage --no-default-browser-check --mute-audio "
    "--remote-debugging-port=0"
)


def chromium() -> str:
    """Return the path of a Chromium, or skip the test."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium, which is not on this machine (Debian: apt-get install chromium)")
    pytest.importorskip("websocket", reason="needs websocket-client, which comes with JupyterLab")
    return found


class Page:
    """One tab, driven over the DevTools protocol."""

    def __init__(self, address: str):
        import websocket

        self.socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self.number, self.events = 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result; events that arrive meanwhile are kept."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def evaluate(self, code: str) -> Any:
        """Return the value of an expression of JavaScript in the page (the page's own policy does not apply to it)."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "error in the page"))
        return answer["result"].get("value")

    def wait(self, code: str, seconds: float = 30) -> Any:
        """Wait until an expression is true and return its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(code)):
            if time.monotonic() > end:
                raise TimeoutError(f"not true within {seconds} s: {code}")
            time.sleep(0.1)
        return value

    def open(self, url: str, width: int = 1100, height: int = 900) -> None:
        """Open an address at a window size and wait until it has loaded."""
        self.events.clear()
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Page.navigate", url=url)
        end = time.monotonic() + 60
        while not self._seen("Page.loadEventFired"):
            if time.monotonic() > end:
                raise TimeoutError(f"{url} did not load")
            self.evaluate("1")
            time.sleep(0.05)

    def _seen(self, *methods: str) -> list[dict[str, Any]]:
        return [e["params"] for e in self.events if e["method"] in methods]

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for, itself and data of its own left out."""
        self.evaluate("1")
        asked = [e["request"]["url"] for e in self._seen("Network.requestWillBeSent")]
        return [url for url in asked[1:] if not url.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        """Everything on the console: messages, errors, refusals of the page's policy, exceptions, open dialogs."""
        self.evaluate("1")
        logged = [e["entry"]["text"] for e in self._seen("Log.entryAdded")]
        said = [str(e["args"]) for e in self._seen("Runtime.consoleAPICalled")]
        raised = [e["exceptionDetails"]["text"] for e in self._seen("Runtime.exceptionThrown")]
        return logged + said + raised + [e["message"] for e in self._seen("Page.javascriptDialogOpening")]

    def picture(self, file: Path, whole: bool = True) -> Path:
        """Save a picture of the whole page, or of the window."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        file.write_bytes(base64.b64decode(data))
        return file

    def pdf(self, file: Path) -> Path:
        """Print the page."""
        file.write_bytes(base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"]))
        return file

    def close(self) -> None:
        """Close the connection; the browser is ended by `browse`."""
        self.socket.close()


@contextmanager
def browse() -> Iterator[Page]:
    """Start a Chromium of our own, give one tab, and end it."""
    path = chromium()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [path, *QUIET.split(), f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        page = None
        try:
            page = Page(_tab(Path(folder), process))
            yield page
        finally:
            if page:
                page.close()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _tab(folder: Path, process: subprocess.Popen) -> str:
    """Return the DevTools address of the first tab."""
    from urllib.request import urlopen

    end, file = time.monotonic() + 60, folder / "DevToolsActivePort"
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"Chromium ended with {process.returncode}")
        if file.exists() and len(lines := file.read_text().splitlines()) == 2:
            with urlopen(f"http://127.0.0.1:{lines[0]}/json") as answer:
                tabs = [t for t in json.load(answer) if t["type"] == "page"]
            if tabs:
                return tabs[0]["webSocketDebuggerUrl"]
        time.sleep(0.1)
    raise TimeoutError("Chromium did not start")
