"""Places, people and passwords of this machine do not leave it."""

import json
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from prodnb.scrub import passwords, scrub_all, scrubber


def test_places_become_names(tmp_path):
    scrub = scrubber(tmp_path)
    pandas = Path(pd.__file__)
    text = f'File "{pandas}", line 3; {tmp_path}/data.parquet; {Path.home()}/x; {sys.prefix}/bin; {tempfile.gettempdir()}/ipykernel_77/12.py'
    clean = scrub(text)
    assert str(Path.home()) not in clean
    assert sys.prefix not in clean
    assert str(tmp_path) not in clean
    assert "<site-packages>/pandas/__init__.py" in clean
    assert "<project>/data.parquet" in clean
    assert "<cell>" in clean


def test_other_peoples_homes_too():
    clean = scrubber(Path("/srv"))("/home/ann/a /Users/bob/b C:\\Users\\eve\\c")
    assert not any(name in clean for name in ("ann", "bob", "eve"))


def test_words_are_left_alone():
    scrub = scrubber(Path("/srv/p"))
    for text in ("root mean squared error", "a/b/c", "https://example.org/x", "/srv/pears"):
        assert scrub(text) == text


def test_passwords():
    url = "postgres://ann:p%40ss@host/db"
    assert passwords({"project.reference": url, "a.b": "plain", "c.d": "http://["}) == ["p%40ss", "p@ss"]
    scrub = scrubber(Path("/srv"), passwords({"a.b": url}))
    assert "ss@" not in scrub(f"connect to {url} with p@ss failed")
    assert "other:***@" in scrub("s3://other:word@bucket")


@pytest.mark.parametrize(
    ("key", "text", "secret"),
    [
        ("own.url", "postgresql://h/db?user=ann&password=hunter2", "hunter2"),
        ("project.runbook", "https://h/?x=1&sig=abcdef", "abcdef"),
        ("own.api_key", "AKIA123", "AKIA123"),
        ("own.slack_token", "xoxb", "xoxb"),
        ("project.reference", "a.parquet, postgres://u:pw1@h/d", "pw1"),
        ("project.reference", "filecache::s3://k:pw2@b", "pw2"),
    ],
)
def test_secrets_in_every_form_that_can_be_told(key, text, secret):
    assert secret in passwords({key: text})
    assert secret not in scrubber(Path("/srv"), passwords({key: text}))(f"seen: {text} and {secret}")


def test_places_in_every_dress():
    scrub = scrubber(Path("/srv/acme"))
    for text in ("&#x27;/srv/acme&#x27;", "/srv/acme.", "/srv/acme|x", "/srv/acme\x1b[0m", "see /srv/acme"):
        assert "/srv/acme" not in scrub(text), text
    for text in (r"C:\\Users\\eve\\x", "/var/home/ann/x", "file=/home/ann&x"):
        assert not {"eve", "ann"} & set(scrub(text).replace("\\", "/").replace("&", "/").split("/")), scrub(text)
    assert scrub("/srv/acme-two") == "/srv/acme-two"


def test_names_of_the_machine(monkeypatch):
    monkeypatch.setattr("platform.node", lambda: "build-host-7")
    monkeypatch.setattr("getpass.getuser", lambda: "marguerite")
    assert scrubber(Path("/srv"))("marguerite on build-host-7; marguerites") == "<user> on <host>; marguerites"
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    assert scrubber(Path("/srv"))("root mean squared error") == "root mean squared error"


def test_nested_values_but_not_images():
    image = "iVBORw0KGgo/home/ann/"
    value = {"text": ["/home/ann/x"], "data": {"image/png": image}, "n": 3}
    assert scrub_all(value, scrubber(Path("/srv"))) == {"text": ["~/x"], "data": {"image/png": image}, "n": 3}
    json.dumps(value)
