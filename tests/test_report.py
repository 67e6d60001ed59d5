"""The pages: verdict first, nothing runs, nothing loads, nothing is lost; seen with a real browser."""

import base64
import copy
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import browser
import pages
import pytest

from prodnb.report import MEANINGS, NEXT_STEP, POLICY, render_index, render_report, run_sentence
from prodnb.static import safe_html, safe_markdown
from prodnb.verdict import COLOURS, OUTCOMES, CheckResult, Limit, Statistic, judge

ATTACKS = [
    "<script>alert('planted')</script>",
    "<img src=x onerror=alert('planted')>",
    "<svg onload=alert('planted')><circle/></svg>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<div style=\"background:url('https://evil.example/x.png')\">x</div>",
    "<img src='https://evil.example/x.png'>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='>",
    "<form action='https://evil.example'><input name=a></form>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href='https://evil.example'>",
    "<object data='https://evil.example'></object>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<script\n>alert(1)</script\n>",
    "<<script>script>alert(1)<</script>/script>",
    '"><script>alert(1)</script>',
    "</title><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "<table><td background='https://evil.example/x'>",
    "<video src='https://evil.example/x' autoplay>",
    "<p id=verdict class=x>ok",
]


class Walls(HTMLParser):
    """Collects what a page must not hold."""

    ALLOWED = ("data:image/png", "data:image/jpeg", "data:image/gif", "data:image/webp", "data:,", "#")

    def __init__(self, page, links=()):
        super().__init__()
        self.faults, self.links, self.headings, self.images, self.style = [], links, [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "iframe", "object", "embed", "svg", "math", "form", "input", "base", "video", "audio", "source"):
            self.faults.append(tag)
        for name, value in attrs:
            address = name in ("src", "href", "srcset", "action", "data", "background", "poster", "xlink:href", "formaction")
            if name.startswith("on") or (address and not (value or "").startswith(self.ALLOWED) and value not in self.links):
                self.faults.append(f"{tag} {name}={value}")
            if name == "style" and ("url" in value or "position" in value):
                self.faults.append(f"style {value}")
        if tag == "img":
            self.images.append(dict(attrs).get("alt"))
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append(int(tag[1:]))


def code(source="x", outputs=(), count=1, **metadata):
    return {
        "cell_type": "code",
        "source": source,
        "outputs": list(outputs),
        "execution_count": count,
        "metadata": metadata,
        "id": "c",
    }


def text(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}, "id": "m"}


def book(*cells):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}


def shows(result):
    return {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": result._repr_mimebundle_()}


def html(fragment):
    return {"output_type": "display_data", "metadata": {}, "data": {"text/html": fragment, "text/plain": "plain"}}


def result_about(name, outcome_value=0.5):
    statistic = Statistic(name="null_share", value=outcome_value, n=100, about=name, method=name)
    return CheckResult("quality", [judge(statistic, Limit(fail=0.1, reason=name or "x"))], {name: [{name: name}]}, [name])


def poisoned(attack):
    """A notebook and a record with the attack in every place that foreign text can reach."""
    result = result_about(attack)
    error = {"output_type": "error", "ename": attack, "evalue": attack, "traceback": [f"\x1b[31m{attack}\x1b[0m"]}
    stream = {"output_type": "stream", "name": "stderr", "text": attack}
    markdown = {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": attack}}
    plain = {"output_type": "display_data", "metadata": {"alt": attack}, "data": {"text/plain": attack}}
    png = {"output_type": "display_data", "metadata": {"alt": attack}, "data": {"image/png": attack}}
    widget = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"application/vnd.jupyter.widget-view+json": {}, "text/html": attack},
    }
    svg = {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": attack}}
    live = {"output_type": "display_data", "metadata": {}, "data": {"application/javascript": attack, "text/javascript": attack}}
    raw = {"cell_type": "raw", "source": attack, "metadata": {"raw_mimetype": "text/html"}, "id": "r"}
    outputs = [shows(result), html(attack), error, stream, markdown, plain, png, widget, svg, live]
    notebook = book(text(f"# {attack}\n{attack}\n\n[x]({attack})\n## When this fails\n{attack}"), code(attack, outputs), raw)
    named = dict.fromkeys(
        ("title", "question", "message", "project", "run", "owner", "runbook", "run_by", "started", "template_digest"), attack
    )
    record = {
        **named,
        "check": "quality",
        "outcome": "errored",
        "results": [result.to_dict()],
        "cause": {"kind": attack, "cell": 1, "message": attack},
        "parameters": {attack: {"value": attack, "source": attack, "reason": attack}, "b": attack},
        "inputs": [{"role": attack, "location": attack, "digest": attack, "algorithm": attack, "rows": 1, "columns": 2}],
        "environment": {attack: {attack: attack}},
        "resources": {attack: attack},
    }
    return notebook, record


def poisoned_index(attack):
    _, record = poisoned(attack)
    change = dict.fromkeys(("check", "statistic", "about", "before", "after", "outcome_before", "outcome_after"), attack)
    run = {
        "id": attack,
        "project": attack,
        "question": attack,
        "owner": attack,
        "runbook": attack,
        "outcome": "errored",
        "previous": attack,
    }
    return render_index(run, [record], [change])


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_planted_becomes_alive(attack):
    page = render_report(*poisoned(attack))
    assert Walls(page).faults == []
    index = poisoned_index(attack)
    assert Walls(index, links=("quality.html",)).faults == []
    assert POLICY in page
    assert POLICY in index


def test_the_walls_see_a_live_page():
    """The judge above can fail: raw attacks are found."""
    found = [attack for attack in ATTACKS if Walls(attack).faults]
    assert len(found) >= 17


@pytest.mark.parametrize("attack", ATTACKS[:2])
def test_names_that_look_like_tags_stay_text(attack):
    page = render_report(*poisoned(attack))
    shown = attack.replace("<", "&lt;").replace(">", "&gt;")
    assert page.count(shown) + page.count(shown.replace("'", "&#39;")) + page.count(shown.replace("'", "&#x27;")) > 20


def test_sanitiser_keeps_what_people_need():
    table = '<table border="1" class="dataframe"><thead><tr><th style="text-align: right">a</th></tr></thead><tr><td>&lt;b&gt;</td></tr></table>'
    kept = safe_html(f"<style scoped>.dataframe tbody {{}}</style><!-- note -->{table}")
    assert kept.startswith('<table class="dataframe">')
    assert "text-align:right" in kept
    assert "&lt;b&gt;" in kept
    assert "scoped" not in kept
    assert safe_html("1 < 2 & a<b") == "1 &lt; 2 &amp; a&lt;b"
    assert safe_html("<h1>x</h1>") == "<h3>x</h3>"
    assert "left out" in safe_html(f"<script>{'x' * 5000}</script>")


def test_markdown_keeps_structure_and_loses_addresses():
    page = safe_markdown(
        "# A\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[here](https://example.org/x) ![p](https://example.org/x.png) `<b>` $a<b$ ![q](attachment:q.png)"
    )
    assert "<h3>" in page
    assert "<table>" in page
    assert "here (https://example.org/x)" in page
    assert "[picture: p]" in page
    assert "[picture: q]" in page
    assert "href" not in page
    assert "src" not in page


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_words(outcome):
    record = {"check": "quality", "outcome": outcome, "results": []}
    page = render_report(book(text("# Quality")), record)
    assert MEANINGS[outcome] in page
    assert NEXT_STEP[outcome][:20] in page
    assert run_sentence(outcome, [record])
    run = {"id": "r", "project": "p", "outcome": outcome}
    assert outcome in render_index(run, [record], None)
    assert "no earlier good run" in render_index(run, [], None)


def test_order_of_the_page():
    """Verdict, why, what to do, facts, notebook: in this order; the worst reason first."""
    ok, bad = Statistic(name="ok_share", value=0.0, n=9), Statistic(name="bad_share", value=0.9, n=9)
    limit = Limit(fail=0.1, reason="agreed")
    result = CheckResult("quality", [judge(ok, limit), judge(bad, limit)])
    notebook = book(text("# Quality"), code("result", [shows(result)]), text("## When this fails\n1. Wake *Ann*."))
    record = {
        "check": "quality",
        "outcome": "failed",
        "message": result.message,
        "results": [result.to_dict()],
        "owner": "Ann",
        "runbook": "https://x.example",
    }
    page = render_report(notebook, record)
    marks = [
        "<h1>",
        'id="why"',
        "bad_share of dataset",
        "ok_share of dataset",
        'id="todo"',
        "Ann",
        "https://x.example",
        "Wake <em>Ann</em>",
        'id="facts"',
        'id="notebook"',
    ]
    place = 0
    for mark in marks:
        place = page.index(mark, place)
    assert page.count("Wake <em>Ann</em>") == 2
    walls = Walls(page)
    assert walls.faults == []
    assert walls.headings[0] == 1
    assert walls.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(walls.headings, walls.headings[1:], strict=False))


def test_errored_page_names_cell_and_cause():
    error = {"output_type": "error", "ename": "ValueError", "evalue": "boom", "traceback": ["\x1b[0;31mValueError\x1b[0m: boom"]}
    notebook = book(text("# T"), code("first"), code("second()", [error], None), code("third", [], None), code("", [], None))
    record = {
        "check": "t",
        "outcome": "errored",
        "cause": {"kind": "raised", "cell": 2, "message": "\x1b[31mValueError\x1b[0m: boom"},
        "results": [],
    }
    page = render_report(notebook, record)
    assert "Cell 3 of 5 raised an error." in page
    assert "\x1b" not in page
    assert page.index("second()") < page.index('id="todo"')
    assert page.count("never ran</strong>") == 1
    assert "1 cell never ran." in page
    assert page.count("stopped here") == 1


def test_a_cause_without_a_cell_and_a_dead_kernel():
    notebook = book(code("a", [], None))
    record = {
        "check": "t",
        "outcome": "errored",
        "cause": {"kind": "died", "cell": None, "message": "killed by signal 11", "log": "\x1b[1mlast words"},
        "results": [],
    }
    page = render_report(notebook, record)
    assert "The notebook ended its kernel." in page
    assert "killed by signal 11" in page
    assert "<pre>last words</pre>" in page
    assert "never ran" in page


def test_lively_outputs_leave_a_note():
    widget = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "IntSlider(3)"},
    }
    svg = {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": "<svg/>"}}
    page = render_report(book(code("w", [widget, svg])), {"check": "t", "outcome": "passed", "results": []})
    assert "An interactive output was left out" in page
    assert "IntSlider(3)" in page
    assert "image/svg+xml" in page


def test_plots_have_words():
    png = base64.b64encode(b"\x89PNG").decode()
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": png, "text/plain": "<Figure>"}}
    named = {**picture, "metadata": {"alt": "Null shares by column"}}
    page = render_report(
        book(code("plot_null_shares(result);", [picture]), code("z", [picture, named])),
        {"check": "t", "outcome": "passed", "results": []},
    )
    assert Walls(page).images == ["Plot: null shares", "Plot drawn by cell 2", "Null shares by column"]


def test_fingerprints_parameters_and_money_are_shown():
    money = {
        "name": "cost_per_1k",
        "about": "model",
        "value": "0.0123",
        "unit": "USD",
        "outcome": "failed",
        "message": "cost_per_1k of model: 0.0123 USD is above 0.01 USD",
        "limit": {"warn": None, "fail": "0.01", "side": "max", "reason": "budget"},
    }
    record = {
        "check": "cost",
        "outcome": "failed",
        "results": [{"verdicts": [money]}],
        "parameters": {"max": 3},
        "inputs": [
            {
                "role": "current",
                "location": "a.parquet",
                "digest": "0123456789abcdef",
                "algorithm": "sha256",
                "rows": 12345,
                "columns": ["a", "b"],
            }
        ],
    }
    page = render_report(book(), record)
    assert "fails above 0.01 USD: budget" in page
    assert "0123456789ab…" in page
    assert "0123456789abcdef" not in page
    assert "12,345" in page


def test_index_links_changes_and_worst_first():
    records = [
        {"check": "drift", "outcome": "passed", "message": "fine", "results": []},
        {"check": "cost", "outcome": "failed", "message": "too dear", "results": []},
    ]
    change = {
        "check": "drift",
        "statistic": "effect",
        "about": "temp",
        "before": 0.1,
        "after": None,
        "outcome_before": "passed",
        "outcome_after": "unknown",
    }
    run = {
        "id": "r1",
        "project": "flights",
        "question": "Late?",
        "owner": "Ann",
        "runbook": "rb",
        "outcome": "failed",
        "previous": None,
    }
    page = render_index(run, records, [change])
    assert page.index("cost.html") < page.index("drift.html")
    assert page.index("too dear") < page.index("Ann") < page.index("effect of temp")
    assert "Open cost first" in page
    assert "Nothing: every statistic" in render_index(run, records, [])
    assert Walls(page, links=("cost.html", "drift.html")).faults == []


def test_the_inputs_are_not_changed_and_the_page_repeats():
    notebook, record = poisoned("<b>x</b>")
    before = copy.deepcopy((notebook, record))
    assert render_report(notebook, record) == render_report(notebook, record)
    assert (notebook, record) == before


def test_a_large_result_is_quick():
    verdicts = [
        judge(Statistic(name="null_share", value=0.5, n=100, about=f"c{i}"), Limit(fail=0.1, reason="agreed")) for i in range(500)
    ]
    result = CheckResult("quality", verdicts)
    notebook = book(code("result", [shows(result)]))
    record = {"check": "quality", "outcome": "failed", "message": result.message, "results": [result.to_dict()]}
    render_report(book(), record)
    start = time.perf_counter()
    page = render_report(notebook, record)
    assert time.perf_counter() - start < 3
    assert len(page) < 1_000_000


def test_colours_have_contrast():
    style = (Path(browser.__file__).parents[1] / "prodnb/assets/report/pages/style.css").read_text()
    assert all(colour in style for colour in COLOURS.values())


@pytest.fixture(scope="module")
def real():
    return pages.executed(pages.TITLE, pages.SETUP, pages.RESULT, pages.PLOT, pages.PLOT_2, pages.FAILS)


@pytest.fixture(scope="module")
def tab():
    with browser.browse() as page:
        yield page


@pytest.mark.slow
def test_a_real_page_in_a_browser(real, tab, tmp_path):
    """Nothing is loaded, nothing complains, it fits a desk and a phone, and the plots are seen."""
    page = render_report(real, pages.a_record(real))
    assert len(page) < 1_000_000
    assert Walls(page).faults == []
    file = tmp_path / "check.html"
    file.write_text(page, encoding="utf-8")
    for width in (1100, 390, 320):
        tab.open(file.as_uri(), width, 844)
        assert tab.requests == []
        assert tab.complaints == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 100 && i.alt.length > 5)")
    assert tab.evaluate("document.images.length") == 2
    assert tab.evaluate("document.documentElement.lang") == "en"
    assert tab.evaluate("[...document.querySelectorAll('details.code')].every(d => !d.open)")
    assert tab.evaluate("document.querySelector('.hero').getBoundingClientRect().bottom < innerHeight")
    assert tab.pdf(tmp_path / "check.pdf").stat().st_size > 20_000


@pytest.mark.slow
def test_print_opens_what_is_folded(real, tab, tmp_path):
    file = tmp_path / "check.html"
    file.write_text(render_report(real, pages.a_record(real)), encoding="utf-8")
    tab.open(file.as_uri(), 750)
    seen = "document.querySelector('details.code pre').checkVisibility()"
    assert tab.evaluate(seen) is False
    tab.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert tab.evaluate(seen) is True
    finally:
        tab.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.slow
def test_attacks_do_nothing_in_a_browser(tab, tmp_path):
    """With the policy taken out, so that the sanitiser stands alone."""
    for n, attack in enumerate(ATTACKS):
        for kind, page in (("check", render_report(*poisoned(attack))), ("index", poisoned_index(attack))):
            file = tmp_path / f"{kind}{n}.html"
            file.write_text(page.replace(f'content="{POLICY}"', 'content=""').replace(POLICY, ""), encoding="utf-8")
            tab.open(file.as_uri())
            asked = [url for url in tab.requests if not url.startswith("data:")]
            assert (asked, tab.complaints) == ([], []), attack


@pytest.mark.slow
def test_the_policy_stands_alone(tab, tmp_path):
    """A script put into a finished page is refused by the browser, and the test sees that."""
    file = tmp_path / "check.html"
    page = render_report(book(), {"check": "t", "outcome": "passed", "results": []})
    file.write_text(
        page.replace("</main>", "<script>window.alive = 1</script><img src='https://evil.example/x.png'></main>"),
        encoding="utf-8",
    )
    tab.open(file.as_uri())
    assert tab.evaluate("window.alive === undefined")
    assert any("Content Security Policy" in c for c in tab.complaints)


@pytest.mark.slow
def test_text_has_contrast(real, tab, tmp_path):
    """Every text on the page has a contrast of 4.5 to 1 or more against what is behind it."""
    file = tmp_path / "check.html"
    file.write_text(render_report(real, pages.a_record(real)), encoding="utf-8")
    tab.open(file.as_uri())
    low = tab.evaluate("""(() => {
      const part = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 };
      const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
      const rgb = s => { const n = s.match(/[\\d.]+/g).map(Number); return n.length > 3 && n[3] === 0 ? null : n };
      const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c } return [255, 255, 255] };
      const found = [];
      document.querySelectorAll('details').forEach(d => d.open = true);
      for (const e of document.querySelectorAll('body *')) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
        const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) found.push(e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 30) + ' ' + ratio.toFixed(2));
      }
      return found;
    })()""")
    assert low == []


def test_a_runner_that_makes_an_index_loads_no_converter():
    """The converter and what it imports take seconds, and only the workers, which make the pages of checks, need them."""
    code = "import sys; from prodnb.report import _plain; print(_plain('\\x1b[1;31mred\\x1b[0m'), 'nbconvert' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["red", "False"]


def test_a_page_costs_no_grammars():
    code = "import sys; from prodnb.static import safe_markdown; print(safe_markdown('# A'), 'lark' in sys.modules, 'rfc3987_syntax' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split()[-2:] == ["False", "False"]
