"""The review of a contract: decisions as plain data, then the widget, then a person's clicks in JupyterLab in a real browser."""

import json
import os
from pathlib import Path

import browser
import pytest
from test_lab import project, served  # noqa: F401

from prodnb.contract import Contract, Field, read_contract, write_contract
from prodnb.errors import InputError
from prodnb.review import PAGE, accept, change, drop, editable, review_contract, save_review, start_review, undo
from prodnb.rules import Evidence, Rule

EVIDENCE = Evidence(support=4000, held_out=1000, violations=2, bound=0.0123, level=0.9995)


def rules(columns: int = 3) -> tuple[Rule, ...]:
    made = [Rule(kind="row_count", options={"min": 10}, severity="warn")]
    for k in range(columns):
        c = f"c{k}"
        made += [
            Rule(kind="between", columns=(c,), options={"min": 0, "max": 100}, max_share=0.0123, evidence=EVIDENCE, reason="range of the reference"),
            Rule(kind="not_null", columns=(c,), evidence=EVIDENCE, max_share=0.0123),
        ]  # fmt: skip
    return tuple(made)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "orders.yaml"
    write_contract(Contract("orders", rules(), tuple(Field(f"c{k}", "number") for k in range(3))), path)
    path.write_text("# agreed with the shop\n" + path.read_text())
    return path


def test_decisions_are_counted_and_can_be_undone(file):
    start = start_review(file)
    assert start.counts == {"accepted": 0, "changed": 0, "dropped": 0, "open": 7}
    review = drop(accept(start, "not_null(c0)"), "not_null(c1)")
    review = change(review, "between(c0)", {"max": "90"})
    assert review.counts == {"accepted": 1, "changed": 1, "dropped": 1, "open": 4}
    assert drop(review, "not_null(c0)").status("not_null(c0)") == "dropped"
    assert undo(undo(undo(review, "not_null(c0)"), "not_null(c1)"), "between(c0)") == start
    assert set(start.names("c1")) == {"between(c1)", "not_null(c1)"}
    assert start.names("") == ["row_count()"]


def test_a_change_says_that_a_person_made_it(file):
    review = change(
        start_review(file), "between(c0)", {"min": "0", "max": "90", "max_share": "0.0123", "severity": "warn"}, by="Ann"
    )
    rule = review.rule("between(c0)")
    assert (rule.options["max"], rule.severity, rule.max_share) == (90, "warn", 0.0123)
    assert rule.evidence is None  # it was gathered with the other range
    assert rule.reason == "range of the reference; reviewed by Ann: max from 100 to 90, severity from fail to warn"
    nobody = change(start_review(file), "between(c0)", {"max_share": "0.05"}).rule("between(c0)")
    assert nobody.reason.endswith("reviewed by a person: max_share from 0.0123 to 0.05")
    assert nobody.evidence == EVIDENCE
    assert change(start_review(file), "between(c0)", {"max": "100", "severity": "fail"}).counts["changed"] == 0
    assert "max" not in change(start_review(file), "between(c0)", {"max": ""}).rule("between(c0)").options


@pytest.mark.parametrize(
    "fields",
    [
        {"max": "ninety"},
        {"max_share": "1.5"},
        {"max_share": ""},
        {"min": "200"},
        {"severity": "worry"},
        {"min": "", "max": ""},
        {"max": "nan"},
    ],
)
def test_a_mistake_is_said_and_changes_nothing(file, fields):
    review = start_review(file)
    with pytest.raises(InputError):
        change(review, "between(c0)", fields)
    assert review.counts["open"] == 7


def test_unknown_rules_are_named_with_the_nearest(file):
    with pytest.raises(InputError, match=r"between\(c0\)"):
        drop(start_review(file), "betwen(c0)")


def test_dates_stay_dates(tmp_path):
    rule = Rule(kind="between", columns=("day",), options={"min": "2024-01-01"})
    write_contract(Contract("t", (rule,), (Field("day", "date"),)), tmp_path / "t.yaml")
    review = change(start_review(tmp_path / "t.yaml"), rule.name, {"max": "2025-01-01"})
    assert review.rule(rule.name).options["max"] == "2025-01-01"
    with pytest.raises(InputError):
        change(review, rule.name, {"max": "soon"})


def test_saving_keeps_comments_and_twice_is_harmless(file):
    review = drop(change(start_review(file), "between(c0)", {"max": "90"}), "not_null(c2)")
    saved, words = save_review(review)
    assert words == "Saved orders.yaml: 6 rules; 1 changed, 1 dropped."
    assert file.read_text().startswith("# agreed with the shop\n")
    found = read_contract(file)
    assert "not_null(c2)" not in [r.name for r in found.rules]
    assert next(r for r in found.rules if r.name == "between(c0)").options["max"] == 90
    before = file.read_bytes()
    again, words = save_review(saved)
    assert words.startswith("Nothing to save")
    assert file.read_bytes() == before
    assert again == saved
    assert not list(file.parent.glob("*.tmp*"))


def test_a_file_that_changed_meanwhile_is_not_overwritten(file):
    review = drop(start_review(file), "not_null(c0)")
    file.write_text(file.read_text() + "# by somebody else\n")
    before = file.read_bytes()
    with pytest.raises(InputError, match="changed since"):
        save_review(review)
    file_now = file.read_bytes()
    assert file_now == before


def test_what_can_be_edited_follows_the_kind():
    found = {r.kind: editable(r) for r in rules(1)}
    assert found == {
        "row_count": ["min", "max", "severity"],
        "between": ["max_share", "min", "max", "severity"],
        "not_null": ["max_share", "severity"],
    }


def parts(view):
    _, top, _, rows, end, message = view.children
    return top, rows, end.children[0], end.children[1], message


def test_the_widget_without_a_browser(file):
    top, rows, save, counts, message = parts(view := review_contract(file))
    assert len(rows.children) == 7
    row = next(r for r in rows.children if "between(c0)" in r.children[0].value)
    row.children[2].value = "a lot"
    assert "a number" in message.value
    save.click()
    assert "Nothing was saved" in message.value
    assert start_review(file).counts["open"] == 7
    row.children[2].value = "90"
    assert "1 changed" in counts.value
    save.click()
    assert "1 changed, 0 dropped" in message.value
    assert {r.name: r for r in read_contract(file).rules}["between(c0)"].options["max"] == 90
    top.children[0].value = "c1"
    assert len(parts(view)[1].children) == 2


def test_hundreds_of_rules_come_in_pages(tmp_path):
    path = tmp_path / "wide.yaml"
    write_contract(Contract("wide", rules(200), tuple(Field(f"c{k}", "number") for k in range(200))), path)
    top, rows, *_ = parts(review_contract(path))
    assert len(rows.children) == PAGE
    top.children[3].click()
    assert top.children[2].value == f"{PAGE + 1} to {2 * PAGE} of 401 rules"
    for _ in range(30):
        top.children[3].click()
    assert top.children[2].value == "401 to 401 of 401 rules"
    assert top.children[3].disabled


def test_names_are_text_and_not_html(tmp_path):
    rule = Rule(kind="not_null", columns=("<img src=x onerror=alert(1)>",))
    write_contract(Contract("t", (rule,), (Field(rule.columns[0], "text"),)), tmp_path / "t.yaml")
    html = parts(review_contract(tmp_path / "t.yaml"))[1].children[0].children[0].value
    assert "<img" not in html


NOTEBOOK = 'from prodnb.review import review_contract\n\nreview_contract("orders.yaml", by="Ann")'


@pytest.mark.slow
def test_a_person_reviews_in_jupyterlab(project, file):  # noqa: F811
    """In a browser: open the notebook, run it, drop a rule, tighten another, make a mistake, save."""
    browser.chromium()
    target = project / "orders.yaml"
    target.write_bytes(file.read_bytes())
    cell = {"cell_type": "code", "id": "a", "outputs": [], "execution_count": None, "metadata": {}, "source": NOTEBOOK}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (project / "review.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": [cell]}))
    with served(project, "--LabApp.expose_app_in_browser=True") as (_, url, token), browser.browse() as page:
        page.open(f"{url}lab/tree/review.ipynb?token={token}", 1100, 900)
        page.wait("document.querySelectorAll('.jp-NotebookPanel .jp-Cell').length === 1", 90)
        panel = "[...jupyterapp.shell.widgets('main')].find(w => w.sessionContext)"
        running = f"{panel}?.sessionContext?.session?.kernel"
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area').catch(() => true)")
        page.evaluate(f"jupyterapp.shell.activateById({panel}.id)")
        page.wait(f"{running}?.connectionStatus === 'connected' && {running}?.status === 'idle'", 90)
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells').then(() => true)")
        page.wait("document.querySelectorAll('.prodnb-rule').length === 7", 90)
        counts, said = (f"document.querySelector('.prodnb-review-{k}').innerText" for k in ("counts", "message"))
        page.evaluate("document.querySelector('button[title=\"Drop not_null(c1)\"]').click()")
        page.wait(f"{counts}.includes('1 dropped')")
        row = "[...document.querySelectorAll('.prodnb-rule')].find(r => r.innerText.includes('between(c0)'))"
        typed = "(() => {{ const i = {0}.querySelectorAll('input[type=text]')[1]; i.focus(); i.value = '{1}'; i.dispatchEvent(new Event('input', {{bubbles: true}})); i.dispatchEvent(new Event('change', {{bubbles: true}})); i.blur() }})()"
        save = "document.querySelector('button[title=\"Write orders.yaml\"]').click()"
        page.evaluate(typed.format(row, "a lot"))
        page.wait(f"{said}.includes('expected a number') || {said}.includes('Expected a number')")
        page.evaluate(save)
        page.wait(f"{said}.includes('Nothing was saved')")
        assert target.read_bytes() == file.read_bytes()
        page.evaluate(typed.format(row, "80"))
        page.wait(f"{counts}.includes('1 changed')")
        assert page.evaluate(
            "(() => { const b = document.querySelector('.prodnb-review'); return b.scrollWidth <= b.clientWidth + 1 })()"
        )
        pictures = os.environ.get("PRODNB_PICTURES")
        if pictures:
            page.picture(Path(pictures) / "review.png", whole=False)
        page.evaluate(save)
        page.wait(f"{said}.includes('1 changed, 1 dropped')")
        found = {r.name: r for r in read_contract(target).rules}
        assert "not_null(c1)" not in found
        assert found["between(c0)"].options["max"] == 80
        assert "reviewed by Ann: max from 100 to 80" in found["between(c0)"].reason
        assert target.read_text().startswith("# agreed with the shop")
