"""Places, people and passwords of this machine do not leave it."""

import getpass
import json
import sys
import tempfile
from pathlib import Path

import pandas as pd

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
    for text in ("root mean squared error", f"{getpass.getuser()} cause", "a/b/c", "https://example.org/x", "/srv/pears"):
        assert scrub(text) == text


def test_passwords():
    url = "postgres://ann:p%40ss@host/db"
    assert passwords([url, "plain", "http://["]) == ["p%40ss", "p@ss"]
    scrub = scrubber(Path("/srv"), passwords([url]))
    assert "ss@" not in scrub(f"connect to {url} with p@ss failed")
    assert "other:***@" in scrub("s3://other:word@bucket")


def test_nested_values_but_not_images():
    image = "iVBORw0KGgo/home/ann/"
    value = {"text": ["/home/ann/x"], "data": {"image/png": image}, "n": 3}
    assert scrub_all(value, scrubber(Path("/srv"))) == {"text": ["~/x"], "data": {"image/png": image}, "n": 3}
    json.dumps(value)
