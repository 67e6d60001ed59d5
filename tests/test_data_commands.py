"""`prodnb contract ...` and `prodnb find-errors` as a user types them."""

import json

import numpy as np
import pandas as pd
import pytest
import typer
from project import prodnb
from shared import shared_data
from typer.testing import CliRunner

from prodnb.contract import Contract, Field, read_contract, write_contract
from prodnb.data_commands import contract_app, find_errors_command, split_table
from prodnb.errors import InputError
from prodnb.rules import Rule


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rides")
    rng = np.random.default_rng(0)
    rides = pd.DataFrame(
        {"id": range(2000), "fare": rng.gamma(3, 5, 2000).round(2), "town": rng.choice(["Bern", "Chur", "Genf"], 2000)}
    )
    rides.to_parquet(folder / "rides.parquet")
    bad = rides.copy()
    bad.loc[5:14, "fare"] = -1
    bad.loc[7, "town"] = "\x1b[31mMordor"
    bad.to_csv(folder / "bad.csv", index=False)
    rides[:0].to_parquet(folder / "none.parquet")
    rules = [Rule(kind="between", columns="fare", options={"min": 0}, reason="nobody is paid for a ride"), Rule(kind="in_set", columns="town", options={"values": ["Bern", "Chur", "Genf"]}, severity="warn"), Rule(kind="row_count", options={"min": 1}), Rule(kind="column_present", columns="id")]  # fmt: skip
    write_contract(Contract("rides", tuple(rules), tuple(Field(c) for c in ("id", "fare", "town"))), folder / "rides.yaml")
    return folder


KEYS = ["rule", "about", "outcome", "n", "failed", "share", "severity", "message"]


@pytest.mark.slow
def test_check_says_what_broke_and_ends_as_it_should(place):
    good = prodnb("contract", "check", "rides.yaml", "rides.parquet", "--json", cwd=place)
    assert (good.code, good.json["outcome"]) == (0, "passed")
    assert list(good.json) == ["outcome", "rules"]
    assert all(list(rule) == KEYS for rule in good.json["rules"])
    bad = prodnb("contract", "check", "rides.yaml", "bad.csv", "--json", cwd=place)
    found = {r["rule"]: r for r in bad.json["rules"]}
    assert (bad.code, bad.json["outcome"]) == (1, "failed")
    assert (found["between(fare)"]["outcome"], found["between(fare)"]["failed"], found["between(fare)"]["n"]) == (
        "failed",
        10,
        2000,
    )
    assert (found["in_set(town)"]["outcome"], found["in_set(town)"]["failed"]) == ("warned", 1)
    shown = prodnb("contract", "check", "rides.yaml", "bad.csv", cwd=place)
    assert shown.code == 1
    assert "between(fare)" in shown.out
    assert "Verdict" in shown.out
    assert "\x1b" not in shown.out + shown.err
    assert "Checking 4 rules" in shown.err


@pytest.mark.slow
def test_an_empty_table_fails_volume_and_all_else_is_unknown(place):
    said = prodnb("contract", "check", "rides.yaml", "none.parquet", "--json", cwd=place)
    outcomes = {r["rule"]: r["outcome"] for r in said.json["rules"]}
    assert said.code == 1
    assert outcomes["row_count()"] == "failed"
    assert outcomes["between(fare)"] == outcomes["in_set(town)"] == "unknown"


@pytest.mark.slow
def test_a_rule_that_cannot_be_judged_is_an_error_and_says_why(place, tmp_path):
    contract = read_contract(place / "rides.yaml")
    rules = (
        *contract.rules,
        Rule(kind="in_table", columns="town", options={"table": "towns.csv"}),
        Rule(kind="between", columns="town", options={"min": 3}),
    )
    write_contract(Contract("rides", rules, contract.columns), tmp_path / "c.yaml")
    said = prodnb("contract", "check", tmp_path / "c.yaml", place / "rides.parquet", "--json", cwd=place)
    found = {r["rule"]: r for r in said.json["rules"]}
    assert (said.code, said.json["outcome"]) == (2, "errored")
    assert "towns.csv" in found["in_table(town)"]["message"]
    assert found["between(fare)"]["outcome"] == "passed"


@pytest.mark.slow
def test_mistakes_end_with_two_and_no_traceback(place, tmp_path):
    (tmp_path / "wrong.yaml").write_text(
        "apiVersion: v3.1.0\nkind: DataContract\nid: x\nname: t\nschema:\n- name: t\n  properties:\n  - name: fare\n    requird: true\n"
    )
    cases = {
        "wrong.yaml, line 9: a column has no key 'requird'": ("contract", "check", tmp_path / "wrong.yaml", "rides.parquet"),
        "no file absent.yaml": ("contract", "check", "absent.yaml", "rides.parquet"),
        "absent.parquet": ("contract", "check", "rides.yaml", "absent.parquet"),
        "rides.yaml is there already": ("contract", "learn", "rides.parquet", "-o", "rides.yaml"),
        "is read by this command": (
            "contract",
            "split",
            "rides.yaml",
            "rides.parquet",
            "--good",
            "rides.parquet",
            "--bad",
            "b.csv",
            "--force",
        ),
        "there is no folder": ("find-errors", "rides.parquet", "--csv", "no/such.csv"),
        "two outputs": ("contract", "split", "rides.yaml", "rides.parquet", "--good", "b.csv", "--bad", "b.csv"),
        "No such command": ("contract", "chek"),
    }
    for words, arguments in cases.items():
        said = prodnb(*arguments, cwd=place)
        assert said.code == 2, words
        assert words in said.err
        assert said.out == ""
        assert "Traceback" not in said.err


@pytest.mark.slow
def test_split_loses_no_row(place, tmp_path):
    order = ["contract", "split", "rides.yaml", "bad.csv", "--good", tmp_path / "good.parquet", "--bad", tmp_path / "bad.csv"]
    said = prodnb(*order, cwd=place)
    assert said.code == 0, said.err
    good, bad = pd.read_parquet(tmp_path / "good.parquet"), pd.read_csv(tmp_path / "bad.csv")
    assert (len(good), len(bad)) == (1990, 10)
    assert bad.loc[bad["id"] == 7, "prodnb_broken"].item().split("; ") == ["between(fare)", "in_set(town)"]
    assert "2,000 rows = 1,990 in good.parquet + 10 in bad.csv" in said.out
    again = prodnb(*order, cwd=place)
    assert again.code == 2
    assert "--force" in again.err


@pytest.mark.slow
def test_import_lists_what_was_not_taken(tmp_path):
    suite = {"expectation_suite_name": "s", "expectations": [{"expectation_type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a"}}, {"expectation_type": "expect_column_values_to_be_pretty", "kwargs": {"column": "a"}}]}  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps(suite))
    said = prodnb("contract", "import", "s.json", "-o", "c.yaml", cwd=tmp_path)
    assert said.code == 0
    assert "Not taken over: 1" in said.out
    assert "expect_column_values_to_be_pretty(a): it is no expectation of the core" in said.out
    assert {r.kind for r in read_contract(tmp_path / "c.yaml").rules} == {"not_null", "column_present"}
    assert prodnb("contract", "import", "s.json", "-o", "c.yaml", "--force", "--strict", cwd=tmp_path).code == 1


@pytest.mark.slow
def test_a_learned_contract_holds_on_its_reference_and_breaks_on_a_fault(place, tmp_path):
    said = prodnb("contract", "learn", "rides.parquet", "-o", tmp_path / "learned.yaml", cwd=place)
    assert said.code == 0, said.err
    assert said.err
    text = (tmp_path / "learned.yaml").read_text()
    assert str(place) not in text
    assert "name: rides" in text
    assert prodnb("contract", "check", tmp_path / "learned.yaml", "rides.parquet", cwd=place).code == 0
    worse = pd.read_parquet(place / "rides.parquet")
    worse.loc[:600, "fare"] = -1
    worse.to_parquet(tmp_path / "worse.parquet")
    assert prodnb("contract", "check", tmp_path / "learned.yaml", tmp_path / "worse.parquet", cwd=place).code == 1


@pytest.mark.slow
def test_find_errors_shows_counts_and_writes_cells(place, tmp_path):
    said = prodnb("find-errors", "bad.csv", "--csv", tmp_path / "cells.csv", cwd=place)
    assert said.code == 0, said.err
    cells = pd.read_csv(tmp_path / "cells.csv")
    assert list(cells.columns) == ["row", "column", "value", "rule", "score"]
    assert ((cells["row"] == 7) & (cells["column"] == "town")).any()
    assert "Mordor" not in said.out + said.err
    (tmp_path / "labels.csv").write_text("row,column,error\n7,town,1\n8,fare,1\n9,town,0\n")
    assert prodnb("find-errors", "bad.csv", "--labels", tmp_path / "labels.csv", cwd=place).code == 0
    (tmp_path / "wrong.csv").write_text("row,column,error\n7,twon,1\n")
    wrong = prodnb("find-errors", "bad.csv", "--labels", tmp_path / "wrong.csv", cwd=place)
    assert wrong.code == 2
    assert "twon" in wrong.err


def test_every_shape_of_csv_is_checked_or_refused_in_words(tmp_path):
    files = sorted(p for p in shared_data("messy_csv_csvkit/files").rglob("*") if p.is_file())
    assert len(files) > 70
    contract = tmp_path / "c.yaml"
    write_contract(Contract("any", (Rule(kind="row_count", options={"min": 0}),)), contract)
    judged = refused = 0
    for file in files:
        said = CliRunner().invoke(contract_app, ["check", str(contract), str(file), "--json"])
        if isinstance(said.exception, InputError):
            refused += 1
            assert file.name in str(said.exception), f"{file.name}: {said.exception}"
            assert str(file.parent.parent) not in str(said.exception)
        else:
            judged += 1
            assert said.exit_code in (0, 1), (file.name, said.exception)
    assert judged > 40
    assert refused > 10


def test_a_contract_without_a_rule_has_looked_at_nothing(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "c.yaml").write_text(
        "apiVersion: v3.1.0\nkind: DataContract\nid: x\nname: t\nschema:\n- name: t\n  quality:\n  - {type: text, description: all is well}\n"
    )
    said = CliRunner().invoke(contract_app, ["check", str(tmp_path / "c.yaml"), str(tmp_path / "t.parquet")])
    assert said.exit_code == 1


def test_a_glob_or_a_folder_of_inputs_is_not_overwritten(tmp_path, monkeypatch):
    for n in (1, 2):
        pd.DataFrame({"a": [n]}).to_parquet(tmp_path / f"p{n}.parquet")
    write_contract(Contract("any", (Rule(kind="not_null", columns="a"),)), tmp_path / "c.yaml")
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "p1.parquet").read_bytes()
    for table in ("p*.parquet", ".", str(tmp_path)):
        for command in (
            ["split", "c.yaml", table, "--good", "p1.parquet", "--bad", "../b.csv"],
            ["learn", table, "-o", "p1.parquet"],
        ):
            said = CliRunner().invoke(contract_app, [*command, "--force"])
            assert "part of the table that this command reads" in str(said.exception), (command, said.exception)
            assert (tmp_path / "p1.parquet").read_bytes() == before
    with pytest.raises(InputError, match="part of the table"):
        find_errors_command("p*.parquet", csv=tmp_path / "p2.parquet", force=True)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="would become"):
        find_errors_command(".", csv=tmp_path / "out" / "cells.csv")
    said = CliRunner().invoke(contract_app, ["split", "c.yaml", "p*.parquet", "--good", "g.parquet", "--bad", "b.csv"])
    assert said.exit_code == 0, said.exception
    assert "2 rows = 2 in g.parquet + 0 in b.csv" in said.output


def test_the_help_says_what_is_done(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    assert "before anything is written" not in split_table.__doc__
    assert "before the files get their names" in split_table.__doc__
    app = typer.Typer()
    app.command()(find_errors_command)
    assert "formula" in CliRunner().invoke(app, ["--help"]).output


def test_cells_are_written_as_they_are(tmp_path, monkeypatch):
    found = pd.DataFrame({"row": [0], "column": ["a"], "value": ["=1+1"], "rule": ["r"], "score": [0.5]})
    monkeypatch.setattr("prodnb.cells.find_errors", lambda *args, **more: found)
    find_errors_command(str(tmp_path / "t.csv"), csv=tmp_path / "cells.csv")
    assert pd.read_csv(tmp_path / "cells.csv")["value"].tolist() == ["=1+1"]
