"""Contracts: what is written is read again, other tools can read it, a person's edit survives, and every mistake has its line."""

import json
import math
import random
import re
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from prodnb.contract import Contract, Field, contract_yaml, parse_contract, read_contract, write_contract
from prodnb.errors import InputError
from prodnb.kinds import COLUMNS, KINDS, LOGICAL_TYPES, OPTION_TYPES
from prodnb.rules import Evidence, Rule
from prodnb.yaml_text import keep_comments, parse_yaml, yaml_text

SCHEMA = json.loads((Path(__file__).parent / "data" / "odcs-json-schema-v3.1.0.json").read_text())
VALIDATOR = jsonschema.Draft201909Validator(SCHEMA)
NAMES = ["amount", "country code", "naïve", 'quo"te', "NO", "012", "a: b", "#x", "no", "null"]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
numbers = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
values = texts | numbers | st.booleans() | st.sampled_from(["NO", "yes", "012", "1e5", "2024-01-31", "null", "~", "12:30", " "])
bounds = numbers | st.dates().map(lambda d: d.isoformat()) | st.datetimes().map(lambda d: d.isoformat())
OPTIONS = {
    "number": numbers,
    "integer": st.integers(0, 10**6),
    "text": texts,
    "flag": st.booleans(),
    "bound": bounds,
    "values": st.lists(values, min_size=1, max_size=5),
    "texts": st.lists(texts, min_size=1, max_size=3),
    "numbers": st.lists(numbers, min_size=1, max_size=4),
    "rows": st.lists(st.lists(values, min_size=2, max_size=2), min_size=1, max_size=3),
    "condition": st.sampled_from(["amount > 0", "\"country code\" IN ('NO', 'SE') OR amount IS NULL", "a = 'x # y'"]),
    "aggregate": st.sampled_from(["sum(amount) / count(*)", "count(*) FILTER (WHERE amount > 0)"]),
}


def test_every_type_of_option_is_tried():
    assert set(OPTIONS) == set(OPTION_TYPES)


@st.composite
def rules_of(draw, kind):
    spec = KINDS[kind]
    least, most = COLUMNS[spec.columns]
    columns = draw(
        st.lists(st.sampled_from(NAMES), min_size=least, max_size=min(3, most if most is not None else 3), unique=True)
    )
    options = {}
    for name, option in spec.options.items():
        if option.required or draw(st.booleans()) or name in spec.one_of[:1]:
            one = st.sampled_from(option.choices) if option.choices else None
            options[name] = draw(
                (st.lists(one, min_size=1, max_size=2) if option.type == "texts" else one)
                if one is not None
                else OPTIONS[option.type]
            )
    row = spec.scope == "row"
    try:
        return Rule(
            kind=kind,
            columns=tuple(columns),
            options=options,
            where=draw(st.none() | OPTIONS["condition"]) if row else None,
            max_share=draw(st.just(0.0) | st.floats(0, 1)) if row else 0.0,
            severity=draw(st.sampled_from(["fail", "warn"])),
            name=draw(st.just("") | texts),
            reason=draw(st.just("") | texts),
            evidence=draw(st.none() | st.just(Evidence(support=10, held_out=5, violations=1, bound=1e-07, level=0.999)))
            if row
            else None,
        )
    except InputError:
        assume(False)


def again(contract: Contract) -> Contract:
    text = contract_yaml(contract)
    VALIDATOR.validate(yaml.safe_load(text))
    return parse_contract(parse_yaml(text, "contract.yaml"))


HAND_MADE = {  # kinds whose options depend on each other too much for chance
    "distribution": {"test": "ks", "counts": [1, 2.5], "edges": [0, 1, 2], "alpha": 0.01},
    "volume": {"counts": [10, 12]},
    "column_type": {"types": ["integer", "number"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_being_written(kind):
    seen = 0

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(rules_of(kind), st.sampled_from(["", *LOGICAL_TYPES]), st.booleans(), st.booleans())
    def holds(rule, logical, required, described):
        nonlocal seen
        seen += 1
        columns = tuple(Field(name, logical, "VARCHAR", required, "what: it #is") for name in NAMES) if described else ()
        contract = Contract("orders", (rule,), columns)
        assert again(contract) == contract

    if kind in HAND_MADE:
        least, _ = COLUMNS[KINDS[kind].columns]
        contract = Contract("orders", (Rule(kind=kind, columns=tuple(NAMES[:least]), options=HAND_MADE[kind]),))
        assert again(contract) == contract
    else:
        holds()
        assert seen > 3


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.lists(st.sampled_from([k for k in KINDS if k not in HAND_MADE]).flatmap(rules_of), max_size=8), texts, texts, st.booleans()
)
def test_many_rules_survive_together(rules, name, description, described):
    rules = [replace(rule, name=f"{rule.name} {n}") for n, rule in enumerate(rules)]
    assume(name.strip())
    columns = tuple(Field(column, "integer", "", n % 2 == 0) for n, column in enumerate(NAMES)) if described else ()
    contract = Contract(name, tuple(rules), columns, "2.1.0", description, {"rows": 10, "alpha": 0.05}, table="t")
    assert again(contract) == contract


@pytest.mark.parametrize("share", [0.05, 0.0, 1.0, 1 / 3, 1e-9, math.nextafter(0.05, 0), 0.07, 0.29])
def test_shares_of_missing_values_are_exact(share):
    contract = Contract("t", (Rule(kind="not_null", columns="a", max_share=share, reason="agreed"),), (Field("a"),))
    assert again(contract).rules == contract.rules


def test_what_the_standard_can_say_is_said_in_its_words():
    rules = [
        Rule(kind="not_null", columns="a"),
        Rule(kind="unique", columns="a"),
        Rule(kind="column_present", columns="a"),
        Rule(kind="column_type", columns="a", options={"type": "text"}),
        Rule(kind="length_between", columns="a", options={"min": 1, "max": 9}),
        Rule(kind="matches", columns="a", options={"pattern": "^x"}),
        Rule(kind="format", columns="a", options={"name": "email"}),
        Rule(kind="in_set", columns="b", options={"values": ["x", "y"]}),
        Rule(kind="not_null", columns="b", max_share=0.05, reason="the feed has gaps"),
        Rule(kind="row_count", options={"min": 1, "max": 100}),
        Rule(kind="unique_together", columns=("a", "b")),
    ]
    text = contract_yaml(Contract("t", tuple(rules), (Field("a", "text", required=True), Field("b"))))
    assert yaml.safe_load(text)["schema"][0] == {
        "name": "t",
        "logicalType": "object",
        "properties": [
            {"name": "a", "logicalType": "string", "required": True, "unique": True, "logicalTypeOptions": {"minLength": 1, "maxLength": 9, "pattern": "^x", "format": "email"}},
            {
                "name": "b",
                "customProperties": [{"property": "prodnbNotEnforced", "value": ["column_present"]}],
                "quality": [
                    {"name": "not_null(b)", "description": "the feed has gaps", "metric": "nullValues", "mustBeLessOrEqualTo": 5.0, "unit": "percent"},
                    {"name": "in_set(b)", "metric": "invalidValues", "arguments": {"validValues": ["x", "y"]}, "mustBe": 0},
                ],
            },
        ],
        "quality": [
            {"name": "unique_together(a, b)", "metric": "duplicateValues", "arguments": {"properties": ["a", "b"]}, "mustBe": 0},
            {"name": "row_count()", "metric": "rowCount", "mustBeBetween": [1, 100]},
        ],
    }  # fmt: skip


FOREIGN = """
apiVersion: v3.0.2
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
version: 1.1.0
status: active
domain: sales
team: [{username: ann, role: owner}]
description: {purpose: What was sold., usage: Reports}
schema:
  - name: orders
    physicalName: tbl_orders
    physicalType: table
    properties:
      - name: order_id     # given by the shop
        primaryKey: true
        primaryKeyPosition: 1
        logicalType: integer
        tags: [key]
      - {name: line, primaryKey: true, primaryKeyPosition: 2, logicalType: integer, logicalTypeOptions: {minimum: 1, exclusiveMaximum: 100, multipleOf: 1}}
      - name: mail
        logicalType: string
        required: true
        classification: restricted
        logicalTypeOptions: {minLength: 3, maxLength: 80, format: email, pattern: "@"}
      - name: paid
        logicalType: date
        physicalType: DATE
        logicalTypeOptions: {minimum: "2020-01-01", format: yyyy-MM-dd}
        quality:
          - {metric: nullValues, mustBeLessThan: 10, unit: percent, severity: warning}
          - {type: sql, query: "SELECT COUNT(*) FROM {object} WHERE {property} > current_date", mustBe: 0, dimension: accuracy}
          - {type: library, metric: duplicateValues, mustBeLessThan: 10, unit: rows}
      - {name: unit, logicalType: string, unique: false, quality: [{metric: invalidValues, arguments: {validValues: [pounds, kg]}, mustBe: 0}]}
      - {name: lines, logicalType: array, items: {logicalType: object}}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 10}
      - {type: text, description: Nobody orders twice.}
      - {type: custom, engine: soda, name: soda one, implementation: "type: duplicate_percent"}
      - {type: sql, name: known buyers, query: "SELECT count(*) FROM {object} o JOIN buyers b ON o.mail = b.mail", mustBeGreaterThan: 0}
      - {type: sql, name: mean line, query: "SELECT avg(line) FROM orders", mustBeBetween: [1, 5]}
"""


def line_of(words):
    return next(n for n, line in enumerate(FOREIGN.splitlines(), 1) if words in line)


def test_a_contract_of_others_is_read(tmp_path):
    path = tmp_path / "orders.odcs.yaml"
    path.write_text(FOREIGN)
    contract = read_contract(path)
    said = {(r.kind, r.columns): r for r in contract.rules}
    assert contract.description == "What was sold."
    assert [c.name for c in contract.columns] == ["order_id", "line", "mail", "paid", "unit", "lines"]
    assert said["unique_together", ("order_id", "line")].max_share == 0
    assert {
        ("not_null", ("order_id",)),
        ("not_null", ("line",)),
        ("not_null", ("mail",)),
        ("format", ("mail",)),
        ("matches", ("mail",)),
    } <= set(said)
    assert said["between", ("line",)].options == {"min": 1, "max": 100, "strict_max": True}
    assert said["between", ("paid",)].options == {"min": "2020-01-01"}
    assert said["length_between", ("mail",)].options == {"min": 3, "max": 80}
    assert said["not_null", ("paid",)].severity == "warn"
    assert said["not_null", ("paid",)].max_share == math.nextafter(0.1, 0)
    assert said["in_set", ("unit",)].options == {"values": ["pounds", "kg"]}
    assert said["row_count", ()].options == {"min": 11}
    assert said["measure", ("paid",)].options == {"sql": 'COUNT(*) FILTER(WHERE "paid" > CURRENT_DATE)', "min": 0, "max": 0}
    assert said["measure", ()].options == {"sql": "AVG(line)", "min": 1, "max": 5}
    assert {u.rule: u.why.split()[0] for u in contract.unenforced} == {
        "format of paid": "format",
        f"entry in line {line_of('duplicateValues')}": "the",
        "items of lines": "nested",
        "logicalType array of lines": "nested",
        "Nobody orders twice.": "it",
        "soda one": "it",
        "known buyers": "its",
    }
    assert contract.lines["in_set(unit)"] == line_of("name: unit")
    again = tmp_path / "again.yaml"
    write_contract(contract, again)
    VALIDATOR.validate(yaml.safe_load(again.read_text()))
    assert read_contract(again) == contract
    assert len(read_contract(again).unenforced) == len(contract.unenforced)
    for words in (
        "# given by the shop",
        "domain: sales",
        "username: ann",
        "classification: restricted",
        "tags: [key]",
        "usage: Reports",
        "dimension: accuracy",
        "format: yyyy-MM-dd",
        "primaryKey: true",
    ):
        assert words in again.read_text(), words


def test_dropping_a_rule_of_others_drops_just_that(tmp_path):
    path = tmp_path / "orders.yaml"
    path.write_text(FOREIGN)
    contract = read_contract(path)
    for rule in contract.rules:
        fewer = replace(contract, rules=tuple(r for r in contract.rules if r != rule))
        target = tmp_path / "fewer.yaml"
        write_contract(fewer, target)
        left = read_contract(target)
        assert {(r.kind, r.columns, tuple(r.options), r.severity) for r in left.rules} == {
            (r.kind, r.columns, tuple(r.options), r.severity) for r in fewer.rules
        }, rule.name
        VALIDATOR.validate(yaml.safe_load(target.read_text()))


def test_several_tables_need_a_name(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(
        "apiVersion: v3.1.0\nkind: DataContract\nid: x\nname: shop\nschema:\n- name: orders\n  properties: [{name: a, required: true}]\n- name: buyers\n  properties: [{name: b}]\n"
    )
    with pytest.raises(InputError, match=r"two.yaml, line 5: the contract describes 2 tables. Say which one: 'orders', 'buyers'"):
        read_contract(path)
    with pytest.raises(InputError, match=r"no table 'order'. Did you mean 'orders'"):
        read_contract(path, table="order")
    contract = read_contract(path, table="orders")
    assert contract.table == "orders"
    write_contract(replace(contract, rules=()), path)
    assert [t["name"] for t in yaml.safe_load(path.read_text())["schema"]] == ["orders", "buyers"]
    assert read_contract(path, table="orders").rules == ()
    assert read_contract(path, table="buyers").rules


HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: x\nname: t\nschema:\n- name: t\n  properties:\n"
ENTRY = HEAD + "  - name: price\n    quality:\n    - name: r\n      type: custom\n      engine: prodnb\n      implementation:\n"
MISTAKES = {
    "unknown rule": (ENTRY + "        kind: betwen\n", 10, "there is no kind of rule 'betwen'", "between"),
    "unknown option": (ENTRY + "        kind: between\n        options: {mn: 3}\n", 15, "between has no option 'mn'", "min"),
    "wrong type of option": (ENTRY + "        kind: between\n        options:\n          max: 3\n          min: abc\n", 17, "option 'min' is 'abc'", "a number, or a date"),
    "unknown column": (HEAD + "  - name: price\n  quality:\n  - type: custom\n    engine: prodnb\n    implementation: {kind: not_null, columns: [pirce]}\n", 10, "'pirce'", "price"),
    "unknown column of a metric": (HEAD + "  - name: price\n  quality:\n  - {metric: duplicateValues, mustBe: 0, arguments: {properties: [price, dya]}}\n", 10, "'dya'", "price"),
    "no such metric": (HEAD + "  - name: price\n    quality: [{metric: nullValuse, mustBe: 0}]\n", 9, "there is no metric 'nullValuse'", "nullValues"),
    "no comparison": (HEAD + "  - name: price\n    quality: [{metric: nullValues}]\n", 9, "no comparison", "mustBe"),
    "two comparisons": (HEAD + "  - name: price\n    quality: [{metric: nullValues, mustBe: 0, mustBeLessThan: 3}]\n", 9, "2 comparisons", "mustBe"),
    "misspelt key": (HEAD + "  - name: price\n    requird: true\n", 9, "no key 'requird'", "required"),
    "yes is no boolean": (HEAD + "  - name: price\n    required: yes\n", 9, "required is 'yes'", "true or false"),
    "a share above one": (ENTRY + "        kind: not_null\n        maxShare: 5\n", 10, "max_share is 5", "0 to 1"),
    "a condition that is no SQL": (ENTRY + "        kind: not_null\n        where: price >\n", 10, "price >", "expression"),
    "a file read in a condition": (ENTRY + "        kind: condition\n        columns: []\n        options: {sql: \"(select 1 from 'x.csv')\"}\n", 10, "SUBQUERY", "expression"),
    "wrong logical type": (HEAD + "  - {name: price, logicalType: text}\n", 8, "logicalType is 'text'", "string"),
    "misspelt type option": (HEAD + "  - {name: price, logicalType: integer, logicalTypeOptions: {minimun: 3}}\n", 8, "'minimun'", "minimum"),
    "duplicate column": (HEAD + "  - name: a\n  - name: b\n  - name: a\n", 10, "two columns are called 'a'", "Keep one"),
    "duplicate rule": (HEAD + "  - name: a\n    quality:\n    - {name: r, metric: nullValues, mustBe: 0}\n    - {name: r, metric: duplicateValues, mustBe: 0}\n", 11, "two rules are called 'r'", "another name"),
    "duplicate key": (HEAD + "  - name: a\n    required: true\n    required: false\n", 10, "'required' is there twice", "Keep one"),
    "YAML syntax": (HEAD + "  - name: [a\n", 9, "not YAML", ""),
    "evidence incomplete": (ENTRY + "        kind: not_null\n      customProperties: [{property: prodnbEvidence, value: {support: 3}}]\n", 15, "lacks held_out", "bound"),
    "evidence impossible": (ENTRY + "        kind: not_null\n      customProperties: [{property: prodnbEvidence, value: {support: 3, held_out: 1, violations: 2, bound: 0.1, level: 0.9}}]\n", 15, "(3, 1, 2)", "at most"),
    "severity": (ENTRY + "        kind: not_null\n      severity: waring\n", 15, "severity is 'waring'", "warning"),
    "an old version": (HEAD.replace("v3.1.0", "v2.2.0") + "  - name: a\n", 1, "apiVersion is 'v2.2.0'", "version 3"),
    "no version": ("kind: DataContract\nschema: []\n", 1, "there is no apiVersion", "apiVersion: v3.1.0"),
    "no schema": ("apiVersion: v3.1.0\nkind: DataContract\nname: x\n", 1, "no schema", "the table"),
    "a list": ("- a\n- b\n", 1, "a contract is a list", "mapping"),
    "text": ("hello\n", 1, "a contract is 'hello'", "mapping"),
    "another tool's file": ("models:\n- name: x\n", 1, "no key 'models'", "apiVersion"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_names_file_line_found_and_allowed(tmp_path, case):
    text, line, found, allowed = MISTAKES[case]
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_contract(path)
    said = str(raised.value)
    at = re.search(r"contract\.yaml, line (\d+)", said)
    assert at, said
    assert abs(int(at[1]) - line) <= 1, said
    assert found in said
    assert allowed in said
    assert str(tmp_path) not in said


def test_files_that_are_none(tmp_path):
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "comments.yaml").write_text("# nothing\n")
    (tmp_path / "latin.yaml").write_bytes("name: é\n".encode("latin-1"))
    (tmp_path / "null.yaml").write_bytes(b"a: \0\n")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "deep.yaml").write_text("[" * 100_000)
    (tmp_path / "bomb.yaml").write_text(
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{n}: &{n} [{','.join(['*' + o] * 9)}]\n" for o, n in zip("abcdefgh", "bcdefghi", strict=True))
    )
    words = {"empty": "empty", "comments": "empty", "latin": "line 1 .*not UTF-8", "null": "not YAML", "folder": "is a folder", "deep": "too deeply", "bomb": "aliases make more than", "absent": "no file absent.yaml.*there are: bomb.yaml"}  # fmt: skip
    for name, expected in words.items():
        start = time.perf_counter()
        with pytest.raises(InputError, match=expected) as raised:
            read_contract(tmp_path / f"{name}.yaml")
        assert f"{name}.yaml" in str(raised.value)
        assert str(tmp_path) not in str(raised.value)
        assert time.perf_counter() - start < 20


def test_writing_is_whole_and_names_no_machine(tmp_path):
    contract = Contract("orders", (Rule(kind="row_count", options={"min": 1}),))
    path = tmp_path / "c.yaml"
    write_contract(contract, path)
    assert str(tmp_path) not in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]
    for bad, words in ((tmp_path, "is a folder"), (tmp_path / "no" / "c.yaml", "there is no folder")):
        with pytest.raises(InputError, match=words):
            write_contract(contract, bad)
    before = path.read_bytes()
    write_contract(read_contract(path), path)
    assert path.read_bytes() == before


def test_the_order_of_rules_means_nothing():
    rules = [Rule(kind=k, columns=c) for c in ("b", "a") for k in ("unique", "not_null")]
    columns = (Field("b"), Field("a"))
    assert Contract("t", tuple(rules), columns) == Contract("t", tuple(reversed(rules)), columns)
    assert contract_yaml(Contract("t", tuple(rules), columns)) == contract_yaml(Contract("t", tuple(reversed(rules)), columns))


def test_two_rules_of_one_name_and_columns_that_are_not_there():
    with pytest.raises(InputError, match=r"two rules are called 'x'"):
        Contract("t", (Rule(kind="unique", columns="a", name="x"), Rule(kind="not_null", columns="a", name="x")))
    with pytest.raises(InputError, match=r"'pirce', which is no column. Did you mean 'price'"):
        Contract("t", (Rule(kind="unique", columns="pirce"),), (Field("price"),))


@pytest.mark.parametrize("seed", range(6))
def test_no_comment_is_lost(seed):
    draw = random.Random(seed)
    rules = [Rule(kind=k, columns=c, reason="why: not #1") for c in ("b", "a") for k in ("unique", "not_null", "not_blank")]
    rules += [Rule(kind="matches", columns="a", options={"pattern": "x\n#y\n"})]
    columns = (Field("b", "text", "", False, "line one\n# not a comment\nline three"), Field("a"))
    contract = Contract("t", tuple(rules), columns)
    lines, given = contract_yaml(contract).splitlines()[1:], 0
    value = parse_yaml("\n".join(lines), "c.yaml").value
    for n in range(len(lines) - 1, -1, -1):
        for made in ([" " * draw.randint(0, 8) + f"# comment {given}.", lines[n]], [lines[n] + f"  # comment {given}."]):
            tried = lines[:n] + made + lines[n + 1 :]
            if draw.random() < 0.4 and _value("\n".join(tried)) == value:  # elsewhere it would be part of a text
                lines, given = tried, given + 1
                break
    old = parse_yaml("\n".join(lines) + "\n# the end\n", "c.yaml")
    fewer = replace(contract, rules=tuple(r for r in contract.rules if draw.random() < 0.5))
    new = keep_comments(old, contract_yaml(fewer))
    assert given > 8
    assert parse_yaml(new, "c.yaml").value == parse_yaml(contract_yaml(fewer), "c.yaml").value
    assert [k for k in range(given) if f"# comment {k}." not in new] == []
    assert new.endswith("# the end\n")
    unchanged = keep_comments(old, contract_yaml(contract).partition("\n")[2])
    assert sorted(w.strip() for w in unchanged.splitlines()) == sorted(w.strip() for w in old.text.splitlines())


def _value(text):
    try:
        return parse_yaml(text, "c.yaml").value
    except InputError:
        return None


def test_both_versions_of_yaml_read_the_same():
    for text in [
        "NO",
        "yes",
        "012",
        "1e5",
        "0o17",
        "2024-01-31",
        "12:30:00",
        "y",
        "",
        "~",
        "=",
        "1_000",
        "0x1f",
        ".5",
        "+1",
        "é",
        "a\nb",
        " a",
        "\x85",
        "\u2028",
        "-",
        "? x",
        "a: b",
        "a #b",
    ]:
        written = yaml_text({"v": text, text: [text]})
        assert yaml.safe_load(written) == {"v": text, text: [text]} == parse_yaml(written, "x").value


def test_a_wide_contract_is_read_in_seconds():
    columns = tuple(Field(f"c{n}", "number") for n in range(400))
    evidence = Evidence(support=10, held_out=5, violations=0, bound=0.01, level=0.999)
    rules = tuple(
        Rule(kind=k, columns=c.name, options=o, max_share=0.01, evidence=evidence)
        for c in columns
        for k, o in (("not_null", {}), ("between", {"min": 0, "max": 1}))
    )
    contract = Contract("wide", rules, columns)
    start = time.perf_counter()
    text = contract_yaml(contract)
    assert parse_contract(parse_yaml(text, "wide.yaml")) == contract
    assert time.perf_counter() - start < 30


def test_an_edit_that_is_not_finished_is_not_overwritten(tmp_path):
    path = tmp_path / "c.yaml"
    write_contract(Contract("t", (Rule(kind="row_count", options={"min": 1}),)), path)
    contract = read_contract(path)
    path.write_text(half := path.read_text() + "  oops: [")
    with pytest.raises(InputError, match="not YAML"):
        write_contract(contract, path)
    assert path.read_text() == half


def test_other_tables_stay_when_the_contract_has_the_name_of_one(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(
        "apiVersion: v3.1.0\nkind: DataContract\nid: x\nname: orders\nschema:\n- name: orders\n  properties: [{name: a}]\n- name: buyers\n  properties: [{name: b}]\n"
    )
    contract = read_contract(path, table="orders")
    write_contract(contract, path)
    assert [t["name"] for t in yaml.safe_load(path.read_text())["schema"]] == ["orders", "buyers"]
