"""Time stamps of an authority on loopback, made by `openssl ts`: what it signs is accepted, and nothing else."""

import contextlib
import shutil
import subprocess
import threading
import zipfile
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sealed import SIGNER, log_in, sealed_run

from prodnb.archive import open_archive
from prodnb.bundle import write_bundle
from prodnb.errors import ArchiveError, SettingsError
from prodnb.log import last_batch
from prodnb.signed_note import Checkpoint, sign_note
from prodnb.timestamp import MOST_BYTES, ask_stamp, read_certificates, read_stamp, stamp_checkpoint, verify_stamp

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
NOTE = sign_note(Checkpoint("example.org/demo/00000000", 7, bytes(32)).body, SIGNER)
CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/chain.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
[extension]
extendedKeyUsage = critical, timeStamping
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
"""


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True, **more).stdout


def authority(folder: Path) -> Path:
    """Make a time-stamping authority: a root of its own and a certificate that may do nothing else."""
    folder.mkdir()
    (folder / "openssl.cnf").write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-days", 30, "-subj", "/CN=root")
    openssl("req", *new, "-keyout", folder / "tsa.key", "-out", folder / "tsa.csr", "-subj", "/O=Example/CN=stamps")
    openssl("req", "-x509", *new, "-keyout", folder / "ca.key.old", "-out", folder / "old.pem", "-days", 30, "-subj", "/CN=a")
    signing = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", 30)
    extra = ("-extfile", folder / "openssl.cnf", "-extensions", "extension")
    openssl("x509", "-req", "-in", folder / "tsa.csr", *signing, "-out", folder / "tsa.pem", *extra)
    (folder / "chain.pem").write_bytes((folder / "ca.pem").read_bytes() + (folder / "old.pem").read_bytes())
    return folder


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("tsa") / "ours")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("tsa") / "other")


def answer(folder: Path, query: bytes) -> bytes:
    (folder / "query.tsq").write_bytes(query)
    config = ("-config", folder / "openssl.cnf", "-section", "one")
    openssl("ts", "-reply", *config, "-queryfile", folder / "query.tsq", "-out", folder / "reply.tsr")
    return (folder / "reply.tsr").read_bytes()


class Served:
    """An authority that answers on loopback."""

    def __init__(self, make):
        self.queries = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                query = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.queries.append((handler.headers["Content-Type"], query))
                data = make(query)
                handler.send_response(200 if data else 503)
                handler.send_header("Content-Type", "application/timestamp-reply")
                handler.end_headers()
                handler.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_a_stamp_is_asked_for_kept_and_verified(ours, tmp_path):
    archive, before = open_archive("archive", tmp_path), datetime.now(UTC).replace(microsecond=0)
    with Served(lambda query: answer(ours, query)) as served:
        stamp = stamp_checkpoint(archive.create, NOTE, 7, served.url, ours / "ca.pem")
    assert stamp.verified
    assert stamp.authority == "CN=stamps,O=Example"
    assert before <= stamp.time <= datetime.now(UTC)
    kept = tmp_path / "archive" / "log" / "timestamps" / "000000000007.tsr"
    certificates = read_certificates(ours / "ca.pem")
    assert verify_stamp(kept.read_bytes(), NOTE, certificates) == stamp
    kind, query = served.queries[0]
    assert kind == "application/timestamp-query"
    assert NOTE not in query
    (tmp_path / "note").write_bytes(NOTE)
    said = openssl("ts", "-verify", "-data", tmp_path / "note", "-in", kept, "-CAfile", ours / "ca.pem", stderr=None)
    assert b"OK" in said


def test_the_command_that_a_bundle_names_checks_its_stamp(ours, tmp_path):
    log = log_in(tmp_path)
    run, last = sealed_run(log), last_batch(log.archive)
    with Served(lambda query: answer(ours, query)) as served:
        stamp_checkpoint(log.archive.create, last.note, last.size, served.url, ours / "ca.pem")
    sealed_run(log, number=1)
    bundle = write_bundle(log.archive, [run.id], tmp_path / "e.zip", keys=[SIGNER.vkey])
    with zipfile.ZipFile(bundle.file) as made:
        made.extractall(tmp_path / "e")
    (line,) = [line for line in bundle.said.splitlines() if line.startswith("stamp")]
    command = line.partition("openssl ")[2].replace("AUTHORITY.pem", str(ours / "ca.pem")).split()
    assert b"OK" in openssl(*command, cwd=tmp_path / "e")
    kept = tmp_path / "e" / "log" / "checkpoints" / f"{last.size:012d}"
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(subprocess.CalledProcessError):
        openssl(*command, cwd=tmp_path / "e")


def test_without_certificates_a_stamp_is_read_and_not_called_verified(ours, tmp_path):
    archive = open_archive("archive", tmp_path)
    with Served(lambda query: answer(ours, query)) as served:
        stamp = stamp_checkpoint(archive.create, NOTE, 7, served.url, None)
    assert not stamp.verified
    assert stamp.authority == "CN=stamps,O=Example"


def test_a_stamp_of_another_authority_or_of_something_else_is_refused(ours, other, tmp_path):
    with Served(lambda query: answer(other, query)) as served:
        with pytest.raises(ArchiveError, match="not one of the authority"):
            ask_stamp(NOTE, served.url, read_certificates(ours / "ca.pem"))
        reply = ask_stamp(NOTE, served.url)
    with pytest.raises(ArchiveError, match="of something else"):
        read_stamp(reply, NOTE + b"\n")
    with pytest.raises(ArchiveError, match="of something else"):
        verify_stamp(reply, b"another", read_certificates(other / "ca.pem"))
    with pytest.raises(ArchiveError, match="not one of the authority"):
        verify_stamp(reply, NOTE, read_certificates(ours / "ca.pem"))


def test_certificates_may_come_in_any_order(ours):
    """The client reads only sets that are sorted by bytes, which not every authority sends."""
    from rfc3161_client import decode_timestamp_response

    chain, parts = ours / "chain.pem", [(ours / name).read_bytes() for name in ("ca.pem", "old.pem")]
    unsorted = []
    for order in (parts, parts[::-1]):
        chain.write_bytes(b"".join(order))
        with Served(lambda query: answer(ours, query)) as served:
            reply = ask_stamp(NOTE, served.url, read_certificates(ours / "ca.pem"))
        try:
            decode_timestamp_response(reply)
        except ValueError:
            unsorted.append(reply)
    assert unsorted
    for at in range(0, 60):
        other = bytearray(unsorted[0])
        other[at] ^= 0x81
        with contextlib.suppress(ArchiveError):
            assert verify_stamp(bytes(other), NOTE, read_certificates(ours / "ca.pem")).verified


def test_an_old_reply_is_no_answer(ours):
    with Served(lambda query: answer(ours, query)) as served:
        old = ask_stamp(NOTE, served.url)
    with Served(lambda query: old) as served, pytest.raises(ArchiveError, match="answers another request"):
        ask_stamp(NOTE, served.url)


def test_each_byte_that_is_changed_is_seen(ours):
    with Served(lambda query: answer(ours, query)) as served:
        reply = ask_stamp(NOTE, served.url)
    certificates, time = read_certificates(ours / "ca.pem"), read_stamp(reply, NOTE).time
    unseen = []
    for at in range(0, len(reply), 23):
        other = bytearray(reply)
        other[at] ^= 4
        try:
            if verify_stamp(bytes(other), NOTE, certificates).time != time:
                unseen.append(at)
        except ArchiveError:
            pass
    assert unseen == []


def test_an_authority_that_does_not_answer_refuses_or_floods_is_an_error(ours):
    refused = openssl("ts", "-query", "-data", ours / "serial", "-sha1", "-cert")
    for make, problem in (
        (lambda query: b"", "does not answer"),
        (lambda query: b"<html>busy</html>", "not a time stamp"),
        (lambda query: answer(ours, refused), "refused: status 2"),
        (lambda query: b"0" * (MOST_BYTES + 1), "at most"),
    ):
        with Served(make) as served, pytest.raises(ArchiveError, match=problem):
            ask_stamp(NOTE, served.url, timeout=5)
    with pytest.raises(ArchiveError, match="does not answer"):
        ask_stamp(NOTE, served.url, timeout=0.5)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org", "example.org", ""])
def test_only_a_web_address_is_asked(url):
    with pytest.raises(SettingsError, match="not the address"):
        ask_stamp(NOTE, url)


def test_certificates_that_cannot_be_read_are_a_mistake_in_the_settings(tmp_path):
    (tmp_path / "wrong.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for name in ("wrong.pem", "none.pem"):
        with pytest.raises(SettingsError, match="cannot read the certificates"):
            read_certificates(tmp_path / name)
