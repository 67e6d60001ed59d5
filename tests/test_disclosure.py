"""What must not be kept is found, said without being repeated, and withheld or redacted; what is no secret raises no alarm."""

import base64
import csv
import gzip
import json

import numpy as np
import pytest
from faults import read
from project import prodnb, showing, write_project, write_template
from shared import shared_data

from prodnb.disclosure import EMAIL, HOME, PERSON, find_in, redact, redact_text, refuse_tokens, without_colours
from prodnb.errors import SettingsError
from prodnb.plan import plan_run
from prodnb.settings import load_settings
from prodnb.verdict import RESULT_MIME
from prodnb.withholding import KIND, disclosures, guard, joined_streams

# made up, with the form of the real ones; put together here so that no scanner takes this file for a leak
LETTERS = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zC0fR"
JWT = ".".join(
    base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in ({"alg": "HS256"}, {"sub": "1234567890"})
)
TOKENS = {
    "AWS Access Key": "AKIA" + "QWERTYUIOPASDFGH",
    "GitHub Token": "ghp_" + (LETTERS * 2)[:36],
    "GitHub Token, fine-grained": "github_pat_" + (LETTERS * 2)[:60],
    "GitLab Token": "glpat-" + LETTERS[:20],
    "Slack Token": "xoxb-" + "123456789012-123456789012-" + LETTERS[:24],
    "Stripe Access Key": "sk_live_" + LETTERS[:24],
    "JSON Web Token": JWT + "." + LETTERS,
    "OpenAI Token": "sk-" + LETTERS[:20] + "T3BlbkFJ" + LETTERS[:20],
    "OpenAI Token, of a project": "sk-proj-" + LETTERS,
    "Anthropic token": "sk-ant-api03-" + LETTERS,
    "Google API key": "AIza" + (LETTERS * 2)[:35],
    "Hugging Face token": "hf_" + (LETTERS * 2)[:34],
    "Databricks token": "dapi" + "0123456789abcdef" * 2,
    "PyPI Token": "pypi-AgEIcHlwaS5vcmc" + LETTERS * 3,
    "npm token": "npm_" + (LETTERS * 2)[:36],
    "SendGrid API Key": "SG." + LETTERS[:22] + "." + (LETTERS * 2)[:43],
    "Twilio API Key": "SK" + "0123456789abcdef" * 2,
    "Telegram Bot Token": "123456789:" + (LETTERS * 2)[:35],
    "Azure Storage Account access key": "AccountKey=" + (LETTERS * 3)[:86] + "==",
    "Basic Auth Credentials": "postgres://ann:" + "hunter22@db/prod",
    "age secret key": "AGE-SECRET-KEY-1" + "Q" * 58,
    "signing key": "PRIVATE+KEY+prodnb+0123abcd+" + "A" * 44,
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END RSA PRIVATE KEY-----",
    "authorization header": "Authorization: Bearer " + "abcdef0123456789",
}
TOKEN = TOKENS["GitHub Token"]
AROUND = ("{}", "token={}", "'{}'", '{{"k": "{}"}}', "see ({}).", "a\n{}\nb", "\x1b[31m{}\x1b[0m", repr("line\n{}"))


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("around", AROUND)
def test_every_named_token_is_found_and_taken_out_whole(kind, around):
    text = around.format(TOKENS[kind])
    found = find_in(without_colours(text))
    assert kind.partition(",")[0] in [f.kind for f in found]
    assert all(f.blocks for f in found)
    clean = redact_text(text)
    assert find_in(clean) == []
    assert not any(part in clean for part in TOKENS[kind].split() if len(part) > 12)
    assert TOKENS[kind].split()[-1][-12:] not in clean


def test_all_addresses_of_a_hundred_invented_people_are_found():
    with gzip.open(shared_data("pii_fakenames_small/fakenames_100.csv.gz"), "rt", encoding="utf-8-sig") as file:
        people = list(csv.DictReader(file))
    texts = [f"row {p['Number']}: {p['EmailAddress']} | {p['City']}" for p in people]
    assert all(EMAIL in [f.kind for f in find_in(text)] for text in texts)
    titled = [f"{p['Title']} {p['GivenName']} {p['Surname']}" for p in people]
    assert (
        sum(PERSON in [f.kind for f in find_in(text)] for text in titled) >= 97
    )  # a name without a title is found if it is common
    quiet = (
        "Color",
        "BloodType",
        "GUID",
        "CCNumber",
        "CountryFull",
        "TropicalZodiac",
        "BrowserUserAgent",
        "Vehicle",
        "CCExpires",
        "UPS",
    )
    assert [(p[k], f.kind) for p in people for k in quiet for f in find_in(p[k])] == []


HARMLESS = [
    "numpy 2.1.3, scikit-learn 1.6, sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "git+ssh://git@github.com/pola-rs/polars.git@0f3a1b2 and git@github.com:pandas-dev/pandas.git",
    "postgres://ann:***@db.example.org/prod and s3://key:***@bucket.example.org",
    "W@beta.mean() @property.setter x @ y.T df.query('a > @limit.value()')",
    "root mean squared error, /srv/home, https://example.org/home/user.html, ~/notes, <project>/data.parquet",
    "APARTMENTSIZECATEGORYCODES AKCELERATION SKATEBOARDS eyJ is not one",
    f"a picture iVBORw0{TOKENS['AWS Access Key']}kJggg== and another data:image/png;base64,{'A' * 99}/{TOKENS['AWS Access Key']}/",
    "ssh://deploy@build.example.org/x is a machine",
    "Random Forest, Cramér's V, New York, Kolmogorov-Smirnov, Benjamini-Hochberg, Los Angeles, Hosmer-Lemeshow",
    "[0.9.1](https://example.org), 10.0.0.1, 2013-07-01T00:00:00+00:00, 123456789:12",
    "secret:DB_TOKEN is a reference; token = ***; Authorization: ***",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_none_raises_no_alarm(text):
    assert find_in(text) == []


def test_random_text_and_pictures_raise_no_alarm():
    rng = np.random.default_rng(7)
    for alphabet in ("0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):
        words = rng.choice(list(alphabet), (4000, 64))
        text = " ".join("".join(word) for word in words)
        assert find_in(text) == []
    picture = base64.b64encode(rng.bytes(300_000)).decode()
    assert find_in(f'<img src="data:image/png;base64,{picture}">') == []
    assert [f.kind for f in find_in(f'<img src="data:image/png;base64,{picture}"> ann.lee@example.org')] == [EMAIL]


@pytest.mark.parametrize("name", ["flights", "taxi", "telco_churn", "adult", "car_prices", "bike_sharing", "german_credit"])
def test_tables_of_real_data_raise_no_alarm(name):
    frame = read(name).sample(400, random_state=1)
    cell = {"text/html": frame.to_html(max_cols=60), "text/plain": frame.to_string(max_cols=60)}
    notebook = _notebook({"output_type": "display_data", "metadata": {}, "data": cell})
    assert disclosures(notebook) == []


@pytest.mark.parametrize(
    "text",
    [
        "/home/ann/x",
        "%2Fhome%2Fann%2Fx",
        r"C:\Users\eve",
        "C%3A%5CUsers%5Ceve",
        "file:///Users/bob/a",
        "&#x2F;home&#x2F;ann",
        r"\/home\/ann",
    ],
)
def test_home_folders_in_every_dress(text):
    assert [f.kind for f in find_in(f"see {text}")] == [HOME]
    assert not {"ann", "eve", "bob"} & set(redact_text(f"see {text}").replace("/", " ").split())


@pytest.mark.parametrize("kind", TOKENS)
def test_a_parameter_that_holds_a_token_is_refused_without_repeating_it(kind):
    if kind in ("Basic Auth Credentials",):  # masked, as ever
        return refuse_tokens({"url": TOKENS[kind]})
    for value in (TOKENS[kind], ["plain", TOKENS[kind]]):
        with pytest.raises(SettingsError, match="access = secret:NAME") as e:
            refuse_tokens({"rows": 100, "who": "jane.doe@example.org", "access": value}, lambda name: "settings.ini, line 7")
        assert TOKENS[kind] not in str(e.value)
    return None


# ---- in a notebook ----

ADDRESS = "jane.doe@example.org"
RESULT = {"check": "c", "verdicts": [], "tables": {"worst": [{"customer": ADDRESS}]}, "notes": []}
PLACES = {
    "a stream": {"output_type": "stream", "name": "stdout", "text": f"row of {ADDRESS}"},
    "a text": {"output_type": "display_data", "metadata": {}, "data": {"text/plain": ["a\n", f"{ADDRESS}\n"]}},
    "a page": {"output_type": "display_data", "metadata": {}, "data": {"text/html": f"<td>{ADDRESS.replace('@', '&#64;')}</td>"}},
    "a drawing": {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": f"<svg><text>{ADDRESS}</text></svg>"}},
    "a result": {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {RESULT_MIME: RESULT}},
    "its metadata": {"output_type": "display_data", "metadata": {"by": {ADDRESS: 1}}, "data": {"text/plain": "x"}},
    "an error": {"output_type": "error", "ename": "E", "evalue": ADDRESS, "traceback": [f"\x1b[31m{ADDRESS}\x1b[0m"]},
}
GOOD = {"output_type": "stream", "name": "stdout", "text": "kept as it is, Mary Jones"}


def _notebook(*outputs: dict, **meta: object) -> dict:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": 1, "source": "load()", "outputs": list(outputs)}
    text = {"cell_type": "markdown", "id": "b", "metadata": {}, "source": f"Ask {ADDRESS} when this fails."}
    return {"cells": [text, cell], "metadata": meta, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.parametrize("place", PLACES)
def test_it_is_found_wherever_it_stands(place):
    notebook = _notebook(GOOD, PLACES[place])
    (found,) = [d for d in disclosures(notebook) if d.kind != PERSON]
    assert (found.kind, found.cell) == (EMAIL, 1)
    assert found.where.startswith("cell 2, output 2 (")
    for redacting in (False, True):
        kept = guard(notebook, redacting=redacting)
        rest = json.dumps([kept.notebook["cells"][1], kept.cause, kept.noted, kept.warnings])
        assert "jane" not in rest
        assert kept.notebook["cells"][1]["outputs"][0] == GOOD
        assert kept.notebook["cells"][0] == notebook["cells"][0]  # what the team wrote itself stays
        assert (kept.cause is None) == redacting
        again = guard(kept.notebook)
        assert again.cause is None
        assert again.notebook == kept.notebook
    assert guard(notebook).cause["kind"] == KIND
    assert "cell 2, output 2" in guard(notebook).cause["message"]
    assert guard(notebook, redacting=True).notebook["cells"][1]["outputs"][1]["output_type"] == PLACES[place]["output_type"]


def test_metadata_and_a_token_in_the_source():
    notebook = _notebook(papermill={"exception": f"from /home/ann: {ADDRESS}"})
    notebook["cells"][1]["source"] = f"connect('{TOKENS['GitHub Token']}')"
    assert sorted(d.where for d in disclosures(notebook)) == [
        "cell 2, source",
        "the notebook's metadata",
        "the notebook's metadata",
    ]
    kept = guard(notebook)
    assert kept.notebook["metadata"] == {"papermill": {"exception": "from [home folder]: [e-mail address]"}}
    assert kept.notebook["cells"][1]["source"] == "connect('[GitHub Token]')"
    assert kept.cause["cell"] == 1


def test_lines_of_a_key_in_a_list_go_together():
    lines = TOKENS["private key"].split("\n")
    notebook = _notebook({"output_type": "display_data", "metadata": {}, "data": {"application/json": {"lines": lines}}})
    for redacting in (False, True):
        assert "MIIEvQ" not in json.dumps(guard(notebook, redacting=redacting).notebook)


def test_addresses_that_the_team_wrote_down_itself_are_meant_to_be_read():
    notebook = _notebook(PLACES["a stream"])
    assert guard(notebook, allowed=[f"the risk team <{ADDRESS.upper()}>"]).cause is None
    assert guard(notebook, allowed=["john.doe@example.org"]).cause is not None


def test_a_name_only_warns():
    kept = guard(_notebook(GOOD))
    assert kept.cause is None
    assert kept.notebook == _notebook(GOOD)
    assert kept.noted == {"names": ["a personal name in cell 2, output 1 (stdout)"]}
    assert "Mary" not in str(kept.warnings)


def test_a_cause_of_its_own_stays_without_what_it_held():
    cause = {"kind": "died", "cell": 1, "message": f"it died at {ADDRESS}", "log": f"killed {ADDRESS}"}
    assert guard(_notebook(), cause).cause == {
        **cause,
        "message": "it died at [e-mail address]",
        "log": "killed [e-mail address]",
    }
    both = guard(_notebook(PLACES["an error"]), cause).cause
    assert both["kind"] == "died"
    assert "outputs are withheld" in both["message"]


def test_nothing_found_is_nothing_changed():
    notebook = _notebook(
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "AKIA" * 9, "text/plain": ["a\n", "b"]}}
    )
    kept = guard(notebook)
    assert (kept.notebook, kept.cause, kept.noted, kept.warnings) == (notebook, None, {}, [])
    assert redact(notebook["cells"][1]) == notebook["cells"][1]


def test_what_was_flushed_in_pieces_is_looked_at_whole():
    secret = f"mail jane.doe@example.org or {TOKEN}.\n"
    pieces = [{"output_type": "stream", "name": "stdout", "text": c} for c in secret]
    between = [{"output_type": "stream", "name": "stderr", "text": ["a\n", "b"]}]
    joined = joined_streams(_notebook(*pieces, *between, *pieces))
    assert [o["text"] for o in joined["cells"][1]["outputs"]] == [secret, ["a\n", "b"], secret]
    assert len(disclosures(_notebook(*pieces))) == 0
    assert len(disclosures(joined)) == 4
    assert joined_streams(joined) == joined


# ---- in a run ----


@pytest.mark.slow
def test_a_run_withholds_or_redacts(tmp_path):
    show = "from IPython.display import HTML\nHTML('<td>jane.' + 'doe@' + 'example.org</td>')"
    write_project(tmp_path, {"leaks": [showing("leaks"), show], "passes": [showing("passes"), "print(\"ann's te\" + 'am')"]})
    said = prodnb("run", "leaks", "passes", "--json", cwd=tmp_path)
    assert said.code == 2
    records = {r["check"]: r for r in said.json["records"]}
    assert records["passes"]["outcome"] == "passed"
    assert records["leaks"]["outcome"] == "errored"
    assert records["leaks"]["cause"]["kind"] == KIND
    assert "an e-mail address in cell 5, output 1 (text/html and text/plain)" in records["leaks"]["message"]
    settings = ["project.runbook=https://me:hunter22@wiki.example/a?token=tok99token", "archive.redact=yes"]
    settings.append("on_failure.command=tell 'Authorization: Bearer abcdefghijklmnop123'")
    softer = prodnb("run", "leaks", "--json", *(word for text in settings for word in ("--set", text)), cwd=tmp_path)
    assert softer.code == 0, softer
    assert softer.json["records"][0]["outcome"] == "passed"
    kept = b"".join(p.read_bytes() for p in (tmp_path / "archive").rglob("*") if p.is_file())
    assert b"doe@" + b"example" not in kept
    assert b"[e-mail address]" in kept
    assert b"This output is withheld" in kept
    for secret in (b"hunter22", b"tok99token", b"abcdefghijklmnop123"):
        assert secret not in kept


def test_a_token_among_the_words_of_a_project_is_refused_without_repeating_it(tmp_path):
    write_project(tmp_path, {}, more=f"[passes]\n# as {TOKEN} said\nrows = 5\n")
    write_template(tmp_path, "passes", [showing("passes")], parameters="rows: int = 4  # how many\n")
    settings = tmp_path / "settings.ini"
    texts = [settings.read_text(), *(f"[project]\nname = demo\n{key} = {TOKEN}\n" for key in ("question", "owner", "runbook"))]
    for text in texts:
        settings.write_text(text)
        with pytest.raises(SettingsError, match=r"holds a secret \(GitHub Token\)") as said:
            plan_run(load_settings(settings), ["passes"])
        assert TOKEN not in str(said.value)
    assert not [path for path in (tmp_path / "archive").rglob("*") if path.is_file()]
