"""A server that speaks the protocol of S3 on loopback, one request at a time, with the faults of a network planted on demand."""

import contextlib
import io
import os
import re
import threading
from collections.abc import Callable, Iterator

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


class Quiet(WSGIRequestHandler):
    """Writes no line for a request."""

    def log_request(self, *args: object) -> None:
        """Nothing."""


class Faulty:
    """The server's application; `lose` and `refuse` choose requests by their method and path, each at most `times` times."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.lose: str | None = None  # the request is carried out, and its answer is an error
        self.refuse: str | None = None  # it is not carried out: access denied
        self.times = 0
        self.after = 0  # so many that they could have hit go well first
        self.seen: list[str] = []

    def __call__(self, environ: dict, start: Callable) -> list[bytes]:
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        self.seen.append(asked)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        if len(body) < length:  # a client that was killed: S3 keeps nothing of it, this server would
            return _answer(start, "400 Bad Request", "IncompleteBody")
        environ["wsgi.input"] = io.BytesIO(body)
        if self.times and self.refuse and re.search(self.refuse, asked):
            self.after -= 1
            self.times -= self.after < 0
            if self.after >= 0:
                return self.app(environ, start)
            return _answer(start, "403 Forbidden", "AccessDenied")
        answer = self.app(environ, start if not self._loses(asked) else (lambda *_: None))
        if self._loses(asked):
            self.times -= 1
            list(answer)
            return _answer(start, "500 Internal Server Error", "InternalError")
        return answer

    def _loses(self, asked: str) -> bool:
        return bool(self.times and self.lose and re.search(self.lose, asked))

    @contextlib.contextmanager
    def faults(
        self, *, lose: str | None = None, refuse: str | None = None, times: int = 1_000_000, after: int = 0
    ) -> Iterator[None]:
        """Plant faults for a while."""
        self.lose, self.refuse, self.times, self.after = lose, refuse, times, after
        try:
            yield
        finally:
            self.lose, self.refuse, self.times, self.after = None, None, 0, 0


def _answer(start: Callable, status: str, code: str) -> list[bytes]:
    start(status, [("Content-Type", "application/xml")])
    return [f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()]


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[str, Faulty]]:
    """Yield the URL of a running server, for which the environment of this process is set, and its application."""
    app = Faulty()
    server = make_server("127.0.0.1", 0, app, threaded=False, request_handler=Quiet)
    url = f"http://127.0.0.1:{server.server_port}"
    before = dict(os.environ)
    os.environ |= {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url, app
    finally:
        server.shutdown()
        thread.join()
        os.environ.clear()
        os.environ.update(before)
