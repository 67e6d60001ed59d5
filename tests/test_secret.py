"""A secret is named in settings, used in the kernel, and in no file."""

import base64
import html
import json
import os
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import prodnb, showing, write_project, write_template

from prodnb import secret
from prodnb.console import safe
from prodnb.errors import InputError, SettingsError
from prodnb.kernels import execute
from prodnb.scrub import passwords
from prodnb.secret import (
    Secret,
    as_reference,
    mask,
    read_secret,
    require_secrets,
    resolved,
    secret_forms,
    secret_name,
    written_forms,
)
from prodnb.tables import open_table

TOKEN = 'tok/en+"9f8e7d6c5b4a&3<2>1\\x'


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch, tmp_path):
    monkeypatch.setattr(secret, "_known", {})
    monkeypatch.setattr(secret, "_forms", [])
    monkeypatch.setattr(secret, "FOLDER", str(tmp_path / "none"))
    monkeypatch.delenv("PRODNB_SECRETS_DIR", raising=False)


@pytest.mark.parametrize(
    "text", ["secret:", "secret:../x", "secret:a b", "secret:/etc/passwd", "secret:9x", "secret:a..b", "secret:" + "n" * 200]
)
def test_what_is_no_name_is_refused_without_being_repeated(text):
    with pytest.raises(SettingsError) as e:
        secret_name(text, "settings.ini, line 3")
    assert text[7:] not in str(e.value) or not text[7:]
    assert "line 3" in str(e.value)


def test_the_environment_comes_before_a_file(monkeypatch, tmp_path):
    (tmp_path / "DB").write_bytes(b"from a file\r\n")
    monkeypatch.setenv("PRODNB_SECRETS_DIR", str(tmp_path))
    assert read_secret("DB") == "from a file"
    monkeypatch.setenv("DB", "from the environment")
    assert read_secret("DB") == "from the environment"
    monkeypatch.delenv("DB")
    monkeypatch.delenv("PRODNB_SECRETS_DIR")
    monkeypatch.setattr(secret, "FOLDER", str(tmp_path))
    assert read_secret("DB") == "from a file"


@pytest.mark.parametrize(("content", "words"), [(b"", "no secret"), (b"12345", "fewer than 6"), (b"x" * 70_000, "larger than")])
def test_a_secret_that_cannot_be_one_is_refused(content, words, monkeypatch, tmp_path):
    (tmp_path / "PIN").write_bytes(content)
    monkeypatch.setenv("PRODNB_SECRETS_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match=words) as e:
        require_secrets({"pin": "secret:PIN"}, lambda name: f"settings.ini, {name}")
    assert "12345" not in str(e.value)


def test_shown_it_is_its_name(monkeypatch):
    monkeypatch.setenv("DB", TOKEN)
    value = resolved(["secret:DB", "plain", 3])
    assert value[0] == TOKEN
    assert TOKEN not in repr(value) + repr({"a": value[0]}) + f"{value}"
    assert as_reference(value) == ["secret:DB", "plain", 3]
    assert as_reference(pickle.loads(pickle.dumps(value[0]))) == "secret:DB"
    assert isinstance(value[0], Secret)


FORMS = {
    "itself": lambda s: s,
    "quoted": lambda s: quote(s, safe=""),
    "half quoted": quote,
    "json": lambda s: json.dumps({"a": s}),
    "repr": lambda s: repr([str(s)]),
    "html": html.escape,
    "basic": lambda s: base64.b64encode(f"user:{s}".encode()).decode(),
    "basic, too": lambda s: base64.b64encode(f"me:{s}".encode()).decode(),
    "url": lambda s: f"https://u:{quote(s, safe='')}@host/x",
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30, deadline=None)
@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cs"]), min_size=8, max_size=40).filter(
        str.strip
    )
)
def test_it_is_masked_in_every_dress(form, text):
    secret._known, secret._forms = {"S": Secret(text, "S")}, []
    shown = mask({"k": [FORMS[form](text)]})["k"][0]
    assert "***" in shown
    assert text not in shown


def test_lines_of_a_key_are_masked_one_by_one():
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----"
    assert "MIIEvQIBADANBgkqhkiG9w0" in written_forms(key)


def test_masking_costs_nothing_where_nothing_is_known():
    body = {"text": "as it is"}
    assert mask(body) is body


def test_what_is_said_at_a_terminal_holds_none(monkeypatch):
    monkeypatch.setenv("DB", TOKEN)
    read_secret("DB")
    assert safe(f"cannot log in with {TOKEN!r}\x1b") == f"cannot log in with '{secret.MASK}'\N{REPLACEMENT CHARACTER}"


def test_a_reference_is_no_password():
    assert passwords({"asks.token": "secret:DB", "asks.api_key": "hunter22"}) == ["hunter22"]
    assert secret_forms(["secret:NOT_THERE", 3, None, ["secret:NEITHER"]]) == []


def test_a_connection_url_names_it(monkeypatch):
    asked = []

    def connect(url):
        asked.append(url)
        raise ConnectionError(f"{url} refused: p@ss/word:9")

    monkeypatch.setattr("ibis.connect", connect)
    monkeypatch.setenv("PG", "p@ss/word:9")
    with pytest.raises(InputError) as e:
        open_table("postgres://ann:secret:PG@host/db::orders")
    assert asked == ["postgres://ann:p%40ss%2Fword%3A9@host/db"]
    assert "ann:***@host" in str(e.value)
    assert "word" not in str(e.value)
    monkeypatch.delenv("PG")
    with pytest.raises(SettingsError, match="no secret 'PG'"):
        open_table("postgres://ann:secret:PG@host/db::orders", where="settings.ini, line 4")


SHOWS = """
import base64, html, os, subprocess, sys, warnings
from urllib.parse import quote
from IPython.display import HTML, SVG, Markdown, display
assert token == open(os.environ["PROOF"]).read() and token == extra[1]
print(token, extra); print(repr(str(token)), file=sys.stderr)
display(HTML(f"<b title='{html.escape(token)}'>{token}</b>"), Markdown(token), {token: [token]})
display(SVG(f"<svg xmlns='http://www.w3.org/2000/svg'><text>{html.escape(token)}</text></svg>"))
display({"application/json": {"a": [{token: token}]}}, raw=True, metadata={"note": token})
print(quote(token, safe=""), base64.b64encode(f"user:{token}".encode()).decode())
subprocess.run([sys.executable, "-c", "import os; print(os.environ['DEMO_TOKEN'])"])
warnings.warn(f"refused {token}")
token
"""
AGAIN = "from prodnb.template import overlay\nvalues = overlay('asks', globals())\nvalues = overlay('asks', globals())\nvalues"
PARAMETERS = 'token: str = "none"  # of the service\nextra: list[str] = []  # more of them\n'


def _everywhere(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _project(folder: Path) -> Path:
    checks = {
        "asks": [AGAIN, SHOWS, showing("asks")],
        "breaks": [AGAIN.replace("asks", "breaks"), "raise ValueError(f'refused: {token}')"],
    }
    write_project(
        folder,
        {},
        more="[asks]\n# ask jane.doe@example.org before it changes\ntoken = secret:DEMO_TOKEN\n"
        "extra = a, secret:DEMO_TOKEN, john.doe@example.org\n[breaks]\ntoken = secret:DEMO_TOKEN\n",
    )
    for check, cells in checks.items():
        write_template(folder, check, cells, PARAMETERS)
    return folder


@pytest.mark.slow
def test_it_is_in_no_file_of_a_run_and_in_nothing_that_is_said(tmp_path):
    folder, temp, proof = _project(tmp_path / "p"), tmp_path / "temp", tmp_path / "proof"
    temp.mkdir()
    proof.write_text(TOKEN)
    env = {"DEMO_TOKEN": TOKEN, "PROOF": str(proof), "TMPDIR": str(temp)}
    said = prodnb("run", "asks", "breaks", cwd=folder, env=env)
    proof.unlink()
    kept = _everywhere(tmp_path) | {"said": (said.out + said.err).encode()}
    notebooks = [json.loads(data) for name, data in kept.items() if name.endswith("asks.ipynb") and "/runs/" in name]
    assert notebooks, said
    assert said.code == 2  # the check that breaks
    forms = {form for s in (TOKEN, *TOKEN.split()) for form in written_forms(s)}
    assert not [(name, form) for name, data in kept.items() for form in forms if form.encode() in data]
    text = json.dumps(notebooks[0]["cells"])
    assert text.count("***") >= 8
    assert "secret:DEMO_TOKEN" in text
    assert "this notebook" not in text  # the overlay that is run again takes its own value for nobody's
    records = {Path(n).stem: json.loads(d) for n, d in kept.items() if "/records/" in n and n.endswith(".json")}
    assert records["asks"]["outcome"] == "passed", records["asks"]["cause"]
    assert records["asks"]["parameters"]["token"]["value"] == "secret:DEMO_TOKEN"
    assert "refused: ***" in records["breaks"]["cause"]["message"]


@pytest.mark.slow
def test_not_even_what_the_kernel_hands_to_papermill_holds_it(tmp_path, monkeypatch):
    folder = _project(tmp_path / "p")
    monkeypatch.setenv("DEMO_TOKEN", TOKEN)
    raw = tmp_path / "raw.ipynb"
    ending = execute(folder / "templates" / "breaks.ipynb", raw, {"token": "secret:DEMO_TOKEN"}, cwd=folder)
    assert ending.kind == "raised"
    assert "refused: ***" in ending.message
    data = raw.read_bytes()
    assert not [form for form in written_forms(TOKEN) if form.encode() in data]
    assert b"***" in data


@pytest.mark.slow
def test_one_that_is_not_there_is_said_before_anything_runs(tmp_path):
    folder = _project(tmp_path / "p")
    said = prodnb("run", "asks", cwd=folder, env={k: v for k, v in os.environ.items() if k == "PATH"})
    assert said.code == 2
    assert "there is no secret 'DEMO_TOKEN'" in said.err
    assert "settings.ini, line" in said.err
    assert not list(folder.rglob("run.json"))
