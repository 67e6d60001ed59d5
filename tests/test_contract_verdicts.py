"""Rules of a contract beside the comparison: none of them vanishes, and no finding hides another."""

import numpy as np
import pandas as pd

from prodnb.contract import Contract, read_contract
from prodnb.contract_verdicts import judge_contract
from prodnb.inputs import Roles
from prodnb.quality import check_quality
from prodnb.rules import Evidence, Rule
from prodnb.tables import open_table

SODA = """apiVersion: v3.1.0
kind: DataContract
id: x
name: x
version: 1.0.0
status: active
schema:
- name: x
  properties:
  - name: x
    quality:
    - name: soda_rule
      type: custom
      engine: soda
      implementation: {a: 1}
"""


def frame(rows=500, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=rows), "y": rng.integers(0, 2, rows), "p": rng.random(rows), "c": ["DE", "FR"] * (rows // 2), "v": rng.choice(["a", "b"], rows)})  # fmt: skip


def outcomes(result):
    return {row["rule"]: row["outcome"] for row in result.tables["rules"]}


def said(result, *wanted):
    return {(v.statistic.name, v.statistic.about) for v in result.verdicts if v.outcome in wanted}


def test_rules_that_wait_for_a_column_are_skipped_in_words():
    rules = (
        Rule(kind="in_set", columns="y", options={"values": [0, 1]}),
        Rule(kind="column_present", columns="p"),
        Rule(kind="condition", options={"sql": "p BETWEEN 0 AND 1"}, name="sql on p"),
        Rule(kind="not_null", columns="x", where="y = 1", name="x where y"),
        Rule(kind="not_null", columns="x"),
        Rule(kind="only_columns", columns=("x", "c", "v", "y", "p")),
    )
    roles = Roles(target="y", prediction="p")
    result = check_quality(frame(), frame()[["x", "c", "v"]], roles=roles, contract=Contract(name="c", rules=rules))
    late = {"in_set(y)", "column_present(p)", "sql on p", "x where y"}
    assert {name for name, outcome in outcomes(result).items() if outcome == "skipped"} == late
    assert len(outcomes(result)) == len(rules)
    assert late <= {name for name, _ in said(result, "skipped")}
    assert any("4 skipped" in note for note in result.notes)
    assert not said(result, "failed", "unknown")


def test_what_is_asked_of_other_engines_is_skipped_in_words(tmp_path):
    (tmp_path / "c.yaml").write_text(SODA)
    contract = read_contract(tmp_path / "c.yaml")
    assert len(contract.unenforced) == 1
    result = check_quality(frame()[["x"]], contract=contract)
    skipped = [v.message for v in result.verdicts if v.outcome == "skipped"]
    assert any(contract.unenforced[0].why in message for message in skipped)
    assert any("1 not for this engine" in note for note in result.notes)


def test_a_breach_of_ones_own_rule_is_not_folded_into_a_new_level():
    now = frame()
    now.loc[:99, "v"] = "zz"
    rules = (
        Rule(kind="in_set", columns="v", options={"values": ["a"]}, where="c = 'DE'", name="DE only a"),
        Rule(kind="in_set", columns="v", options={"values": ["b"]}, name="only b"),
    )
    result = check_quality(frame(), now, contract=Contract(name="c", rules=rules))
    assert {("DE only a", "v"), ("only b", "v"), ("new_level_share", "v")} <= said(result, "failed")


def test_a_learned_rule_that_says_the_same_is_said_once():
    now = frame()
    now.loc[:99, "v"] = "zz"
    evidence = Evidence(support=500, held_out=500, violations=0, bound=0.02, level=0.99)
    learned = Rule(kind="in_set", columns="v", options={"values": ["a", "b"]}, max_share=0.02, evidence=evidence)
    result = check_quality(frame(), now, contract=Contract(name="c", rules=(learned,)))
    assert len([about for _, about in said(result, "failed") if about == "v"]) == 1
    some = Rule(kind="in_set", columns="v", options={"values": ["a", "b"]}, max_share=0.02, evidence=evidence, where="c = 'DE'")
    result = check_quality(frame(), now, contract=Contract(name="c", rules=(some,)))
    assert len([about for _, about in said(result, "failed") if about == "v"]) == 2


def test_no_value_of_a_row_reaches_a_verdict():
    dates = pd.DataFrame({"d": ["2024-01-01"] * 50 + ["not-a-date Mary O'Hara 1970"]})
    rule = Rule(kind="condition", options={"sql": "CAST(d AS DATE) > DATE '2020-01-01'"}, name="recent")
    verdicts, findings = judge_contract(Contract(name="c", rules=(rule,)), open_table(dates), [], [])
    assert [f.outcome for f in findings] == ["errored"]
    assert "recent" in verdicts[0].message
    assert "a value of 'd' cannot be converted to DATE" in verdicts[0].message
    assert "Mary" not in verdicts[0].message + findings[0].message


def test_a_contract_reaches_no_file_outside_its_folder(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret.csv").write_text("x\n1\n")
    (home / "beside.csv").write_text("x\n1\n")
    rules = [Rule(kind="row_count_equals", options={"table": spec}, name=spec) for spec in ("beside.csv", "../secret.csv")]
    (home / "c.yaml").write_text("")
    contract = Contract(name="c", rules=tuple(rules), source=home / "c.yaml")
    _, findings = judge_contract(contract, open_table(pd.DataFrame({"x": [1]})), [], [])
    assert {f.rule.name: f.outcome for f in findings} == {"beside.csv": "passed", "../secret.csv": "errored"}
