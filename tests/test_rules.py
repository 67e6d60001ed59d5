"""Rules: they check themselves, and what they find agrees with pandas, numpy, scipy and plain Python."""

import json
import math
import random
import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import scipy.stats

from prodnb.conditions import condition_columns, parse_condition
from prodnb.embedded import reading
from prodnb.enforce import enforce, failing_query, verdicts
from prodnb.errors import InputError
from prodnb.formats import IBAN_LENGTHS
from prodnb.kinds import FORMATS, KINDS
from prodnb.rules import Evidence, Rule
from prodnb.verdict import CheckResult


def random_table(rows=400, seed=0):
    """Ties, nulls, NaN, infinities, unicode, a constant, times and flags."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3, rows).round(1)
    x[rng.random(rows) < 0.05] = np.nan
    x[:4] = [np.inf, -np.inf, 0.0, -0.0]
    words = np.array(["", " ", "a", "ab", "Äb", "🙂🙂", "x1", "x22", "a@b.at", "12"], object)
    return pa.table({
        "x": pa.array(x, mask=rng.random(rows) < 0.1),
        "y": pa.array(rng.integers(-5, 6, rows).astype(float), mask=rng.random(rows) < 0.1),
        "n": pa.array(rng.integers(0, 40, rows), mask=rng.random(rows) < 0.1),
        "s": pa.array(words[rng.integers(0, 10, rows)], pa.string(), mask=rng.random(rows) < 0.1),
        "k": pa.array(np.array(["u", "v", "w"], object)[rng.integers(0, 3, rows)], pa.string()),
        "d": pa.array([date(2026, 1, 1) + timedelta(days=int(i)) for i in rng.integers(0, 60, rows)], mask=rng.random(rows) < 0.1),
        "t": pa.array([datetime(2026, 1, 1) + timedelta(hours=int(i)) for i in rng.integers(0, 999, rows)], mask=rng.random(rows) < 0.1),
        "f": pa.array(rng.random(rows) < 0.5, mask=rng.random(rows) < 0.1),
        "c": pa.array([7.0] * rows),
    })  # fmt: skip


def missing(v):
    return v is None or (isinstance(v, float) and math.isnan(v))


def row_oracle(test, *names):
    return lambda row: None if any(missing(row[n]) for n in names) else not test(*(row[n] for n in names))


R = lambda kind, *columns, **options: Rule(kind=kind, columns=columns, options=options)  # noqa: E731
ROW_CASES = [
    (R("not_null", "x"), lambda r: missing(r["x"])),
    (R("null", "x"), lambda r: not missing(r["x"])),
    (R("not_blank", "s"), row_oracle(lambda s: bool(s.strip()), "s")),
    (R("in_set", "s", values=["a", "Äb", "12"]), row_oracle(lambda s: s in ("a", "Äb", "12"), "s")),
    (R("in_set", "x", values=[0, 1.5]), row_oracle(lambda x: x in (0, 1.5), "x")),
    (R("not_in_set", "n", values=[1, 2, 3]), row_oracle(lambda n: n not in (1, 2, 3), "n")),
    (R("in_set", "f", values=[True]), row_oracle(lambda f: f is True, "f")),
    (R("in_set", "d", values=["2026-01-05", "2026-02-01"]), row_oracle(lambda d: d in (date(2026, 1, 5), date(2026, 2, 1)), "d")),
    (R("pair_in_set", "k", "n", values=[["u", 1], ["v", 2]]), row_oracle(lambda k, n: (k, n) in {("u", 1), ("v", 2)}, "k", "n")),
    (R("between", "x", min=-1, max=2.5), row_oracle(lambda x: -1 <= x <= 2.5, "x")),
    (R("between", "x", min=-1, strict_min=True), row_oracle(lambda x: x > -1, "x")),
    (R("between", "y", max=3, strict_max=True), row_oracle(lambda y: y < 3, "y")),
    (R("between", "d", min="2026-01-10", max="2026-02-01"), row_oracle(lambda d: date(2026, 1, 10) <= d <= date(2026, 2, 1), "d")),
    (R("between", "t", min="2026-01-10T12:00:00"), row_oracle(lambda t: t >= datetime(2026, 1, 10, 12), "t")),
    (R("length_between", "s", min=1, max=2), row_oracle(lambda s: 1 <= len(s) <= 2, "s")),
    (R("matches", "s", pattern=r"\d"), row_oracle(lambda s: re.search(r"\d", s), "s")),
    (R("matches", "s", pattern=r"[a-z]\d|a", whole=True), row_oracle(lambda s: re.fullmatch(r"[a-z]\d|a", s), "s")),
    (R("not_matches", "s", pattern="^x"), row_oracle(lambda s: not re.search("^x", s), "s")),
    (R("parses_as", "s", type="integer"), row_oracle(lambda s: re.fullmatch(r"\d+", s.strip()), "s")),
    (R("format", "s", name="email"), row_oracle(lambda s: s == "a@b.at", "s")),
    (R("compare", "x", "y", operator="<="), row_oracle(lambda x, y: x <= y, "x", "y")),
    (R("compare", "d", "t", operator="<"), row_oracle(lambda d, t: datetime(d.year, d.month, d.day) < t, "d", "t")),
    (R("sum_equals", "y", "n", total="c", tolerance=5), row_oracle(lambda y, n, c: abs(y + n - c) <= 5, "y", "n", "c")),
    (R("sum_equals", "y", "n", value=7), row_oracle(lambda y, n: y + n == 7, "y", "n")),
    (R("unique_within_row", "y", "n", "c"), row_oracle(lambda y, n, c: len({y, n, c}) == 3, "y", "n", "c")),
    (R("ratio_between", "x", "y", min=-1, max=1), lambda r: None if missing(r["x"]) or missing(r["y"]) or r["y"] == 0 else not -1 <= r["x"] / r["y"] <= 1),
    (R("condition", sql="n > 10 OR k = 'u'"), lambda r: None if missing(r["n"]) and r["k"] != "u" else not ((not missing(r["n"]) and r["n"] > 10) or r["k"] == "u")),
    (Rule(kind="between", columns=("y",), options={"min": 0}, where="k = 'u' AND f"), lambda r: None if missing(r["y"]) or not (r["k"] == "u" and r["f"]) else r["y"] < 0),
]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1])
def test_rules_about_rows_against_plain_python(seed):
    table = random_table(seed=seed)
    findings = enforce([rule for rule, _ in ROW_CASES], table)
    rows = table.to_pylist()
    for finding, (rule, oracle) in zip(findings, ROW_CASES, strict=True):
        said = [oracle(row) for row in rows]
        assert (finding.n, finding.failed) == (len(said) - said.count(None), said.count(True)), rule.name
        assert finding.outcome == ("failed" if said.count(True) else "passed")
        low, high = (0, 1) if not finding.n else scipy.stats.binomtest(finding.failed, finding.n).proportion_ci(0.95)
        assert (finding.low, finding.high) == pytest.approx((low, high))
        if finding.failed:
            current = table  # noqa: F841 - the query reads it by this name
            assert duckdb.sql(f"SELECT count(*) FROM ({finding.query})").fetchall()[0][0] == finding.failed, finding.query


def groups(rows, names):
    found = {}
    for row in rows:
        if not any(missing(row[n]) for n in names):
            found.setdefault(tuple(row[n] for n in names), []).append(row)
    return found


def disagreeing(rows):
    pairs, total = groups(rows, ("s", "k")), 0
    for s in {key[0] for key in pairs}:
        counts = {k: len(v) for (t, k), v in pairs.items() if t == s}
        right = min(counts, key=lambda k: (-counts[k], k))
        total += sum(n for k, n in counts.items() if k != right)
    return total


def falls(values, strictly=False):
    kept = [v for v in values if not missing(v)]
    return sum(b < a or (strictly and b == a) for a, b in pairwise(kept))


@pytest.mark.parametrize("seed", [0, 1])
def test_rules_about_rows_among_rows_against_plain_python(tmp_path, seed):
    table = random_table(seed=seed)
    rows, known = table.to_pylist(), ["a", "ab", "", None]
    pa.parquet.write_table(pa.table({"word": known}), tmp_path / "words.parquet")
    by = sorted((r for r in rows if not missing(r["n"]) and not missing(r["t"])), key=lambda r: (r["t"], r["n"]))
    cases = [
        (R("unique", "x"), sum(len(v) for v in groups(rows, ("x",)).values() if len(v) > 1), groups(rows, ("x",))),
        (R("unique", "s"), sum(len(v) for v in groups(rows, ("s",)).values() if len(v) > 1), groups(rows, ("s",))),
        (R("unique_together", "y", "n", "k"), sum(len(v) for v in groups(rows, ("y", "n", "k")).values() if len(v) > 1), groups(rows, ("y", "n", "k"))),
        (R("depends_on", "s", "k"), disagreeing(rows), groups(rows, ("s", "k"))),
        (R("in_table", "s", table="words.parquet", columns=["word"]), sum(not missing(r["s"]) and r["s"] not in known for r in rows), groups(rows, ("s",))),
        (R("increasing", "n"), falls([r["n"] for r in rows]), groups(rows, ("n",))),
        (R("increasing", "n", strictly=True), falls([r["n"] for r in rows], True), groups(rows, ("n",))),
        (R("decreasing", "x"), falls([-r["x"] if not missing(r["x"]) else None for r in rows]), groups(rows, ("x",))),
        (R("increasing", "n", by="t"), falls([r["n"] for r in by]), groups(rows, ("n", "t"))),
    ]  # fmt: skip
    current, con = table, duckdb.connect()
    con.register("current", current)
    con.execute(f"CREATE VIEW words AS FROM '{tmp_path / 'words.parquet'}'")
    for finding, (rule, failed, spoken) in zip(enforce([c[0] for c in cases], table, folder=tmp_path), cases, strict=True):
        assert (finding.n, finding.failed) == (sum(map(len, spoken.values())), failed), (rule.name, finding.message)
        assert failed
        assert con.sql(f"SELECT count(*) FROM ({finding.query})").fetchall()[0][0] == failed


def test_statistics_against_pandas_and_numpy():
    table = random_table()
    frame = table.to_pandas()
    n = frame.n.dropna().to_numpy(float)
    expected = {
        ("mean", "n"): n.mean(), ("median", "n"): np.median(n), ("sd", "n"): n.std(ddof=1), ("sum", "n"): n.sum(), ("minimum", "x"): -math.inf,
        ("maximum", "y"): frame.y.max(), ("distinct_count", "x"): frame.x.nunique(), ("distinct_share", "s"): frame.s.nunique() / frame.s.notna().sum(),
        ("null_share", "x"): frame.x.isna().mean(), ("sd", "c"): 0.0, ("median", "x"): np.nanmedian(frame.x.to_numpy(float)),
    }  # fmt: skip
    rules = [R(kind, column, min=0 if kind == "distinct_count" else -1e9) for kind, column in expected] + [
        R("quantile", "n", q=q, max=0) for q in (0, 0.3, 1)
    ]
    found = enforce([*rules, R("mean", "x", min=0), R("measure", sql="sum(n) / count(*)", max=0)], table)
    for finding, value in zip(found, [*expected.values(), *np.quantile(n, [0, 0.3, 1])], strict=False):
        assert finding.value == pytest.approx(value), finding.rule.name
    assert found[-2].outcome == "unknown"
    assert found[-1].value == pytest.approx(n.sum() / 400)
    assert CheckResult("x", verdicts(found)).outcome == "failed"


def test_distributions_against_scipy():
    rng = np.random.default_rng(0)
    values, levels = rng.normal(0, 1, 700), rng.choice(["a", "b", "c"], 700, p=[0.5, 0.3, 0.2])
    table = pa.table({"x": pa.array([*values, None]), "s": [*levels, None]})
    edges, given, shares = [-2.0, -1.0, 0.0, 1.0, 2.0], [3, 14, 34, 34, 14, 3], [5, 3, 2]
    observed = np.histogram(values, [-np.inf, *edges, np.inf])[0]
    counts = [int((levels == level).sum()) for level in "abc"]
    rule = lambda column, **options: R("distribution", column, **options)  # noqa: E731
    found = enforce([
        rule("s", test="chi_square", levels=["a", "b", "c"], counts=shares, alpha=0.01),
        rule("s", test="chi_square", levels=["a", "b", "c"], counts=[300, 200, 100], sample=True, alpha=0.01),
        rule("s", test="kl", levels=["a", "b", "c"], counts=[1, 1, 1], max=0.01),
        rule("x", test="ks", edges=edges, counts=given, alpha=0.01),
        rule("x", test="chi_square", edges=edges, counts=given, max=100),
        rule("s", test="kl", levels=["a", "b"], counts=[1, 1], max=1),
        rule("s", test="chi_square", levels=["a", "b"], counts=[1, 1], alpha=0.01),
    ], table)  # fmt: skip
    one = scipy.stats.chisquare(counts, np.array(shares) / 10 * 700)
    two = scipy.stats.chi2_contingency([counts, [300, 200, 100]], correction=False)
    assert found[0].value == pytest.approx(one.statistic)
    assert (found[0].outcome == "failed") == (one.pvalue < 0.01)
    assert f"p = {one.pvalue:.3g}" in found[0].message
    assert found[1].value == pytest.approx(two.statistic)
    assert f"p = {two.pvalue:.3g}" in found[1].message
    assert found[2].value == pytest.approx(scipy.stats.entropy(np.array(counts) / 700, [1 / 3] * 3))
    distance = np.abs(observed.cumsum() / 700 - np.cumsum(given) / sum(given)).max()
    assert found[3].value == pytest.approx(distance)
    assert f"p = {scipy.stats.kstwobign.sf(math.sqrt(700) * distance):.3g}" in found[3].message
    assert found[4].value == pytest.approx(scipy.stats.chisquare(observed, np.array(given) / sum(given) * 700).statistic)
    assert [f.outcome for f in found[5:]] == ["failed", "failed"]


def test_the_table_itself():
    table = random_table()
    now = datetime(2026, 3, 1, tzinfo=UTC)
    latest = max(t for t in table["t"].to_pylist() if t).replace(tzinfo=UTC)
    cases = {
        R("column_present", "x"): "passed", R("column_present", "xx"): "failed", R("column_type", "x", type="number"): "passed",
        R("column_type", "n", type="number"): "passed", R("column_type", "x", type="integer"): "failed", R("column_type", "t", types=["date", "datetime"]): "passed",
        R("only_columns", *table.column_names): "passed", R("only_columns", "x"): "failed", R("column_order", *table.column_names): "passed",
        R("column_order", *table.column_names[::-1]): "failed", R("column_count", min=9, max=9): "passed", R("row_count", max=399): "failed",
        R("volume", counts=[390, 410, 405, 399]): "passed", R("volume", counts=[900, 910, 905]): "failed", R("not_null", "xx"): "unknown",
        R("freshness", "t", max_age_hours=math.ceil((now - latest).total_seconds() / 3600)): "passed",
        R("freshness", "t", max_age_hours=1): "failed", R("most_common", "k", values=["u", "v", "w"]): "passed", R("most_common", "k", values=["z"]): "failed",
        R("levels_held", "k", values=["u", "v"]): "passed", R("levels_held", "k", values=["u", "v"], exact=True): "failed",
        R("levels_held", "k", values=["u", "zz"]): "failed", R("maximum", "d", max="2026-03-01"): "passed", R("minimum", "d", min="2026-01-03"): "failed",
        R("z_score", "c", max=1): "passed", R("mean", "s", min=0): "errored", R("between", "s", min=0): "errored", R("matches", "s", pattern="("): "errored",
        Rule(kind="not_null", columns=("x",), where="k = 'none'"): "skipped", Rule(kind="not_null", columns=("x",), severity="warn"): "warned",
        R("condition", sql="CAST(s AS INTEGER) > 1"): "errored", R("in_table", "s", table="os:getcwd"): "errored", R("in_table", "s", table="gone.csv"): "errored",
    }  # fmt: skip
    found = enforce(list(cases), table, now=now)
    assert {f.rule.name: f.outcome for f in found} == {r.name: o for r, o in zip(cases, [f.outcome for f in found], strict=True)}
    assert [(f.rule.name, f.outcome, f.message) for f in found if f.outcome != cases[f.rule]] == []
    assert not any("Äb" in f.message or "a@b" in f.message for f in found)


def test_an_empty_table_fails_its_volume_and_the_rest_is_unknown():
    empty = random_table().slice(0, 0)
    rules = [
        R("row_count", min=1),
        R("volume", counts=[5, 3]),
        R("column_present", "x"),
        R("not_null", "x"),
        R("mean", "x", min=0),
        R("unique", "x"),
        R("measure", sql="count(*)", max=3),
    ]
    assert [f.outcome for f in enforce(rules, empty)] == ["failed", "failed", "passed", *["unknown"] * 4]


def test_a_z_score_against_numpy():
    x = np.array([1.0, 2, 3, 4, 100, np.nan, np.inf])
    real = x[np.isfinite(x)]
    found = enforce([R("z_score", "x", max=1.5)], pa.table({"x": x}))[0]
    assert (found.n, found.failed) == (6, int((np.abs(real - real.mean()) / real.std(ddof=1) > 1.5).sum()) + 1)


def test_a_learned_rule_fires_by_its_lower_bound():
    evidence = Evidence(support=1000, held_out=500, violations=1, bound=0.02, level=0.999)
    for failed, outcome in ((3, "passed"), (40, "failed")):
        table = pa.table({"x": [-1.0] * failed + [1.0] * (100 - failed)})
        rule = Rule(kind="between", columns=("x",), options={"min": 0}, max_share=0.02, evidence=evidence)
        assert enforce([rule], table)[0].outcome == outcome


def iban(country, length, rng):
    bban = "".join(rng.choice("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(length - 4))
    digits = "".join(str(int(c, 36)) for c in bban + country + "00")
    return f"{country}{98 - int(digits) % 97:02d}{bban}"


def luhn(digits):
    return sum(sum(map(int, str(int(d) * (1 + n % 2)))) for n, d in enumerate(reversed(digits))) % 10 == 0


def test_check_digits_against_own_arithmetic():
    rng = random.Random(0)
    good = [iban(entry[:2], int(entry[2:]), rng) for entry in IBAN_LENGTHS.split()]
    bad = [s[:-1] + ("0" if s[-1] != "0" else "1") for s in good[:20]] + [good[0] + "0", "XX" + good[0][2:], good[0].lower(), ""]
    cards = ["".join(rng.choice("0123456789") for _ in range(rng.randint(10, 20))) for _ in range(400)]
    expected = [12 <= len(c) <= 19 and luhn(c) for c in cards]
    found = (
        enforce([R("format", "s", name="iban")], pa.table({"s": good}))[0],
        enforce([R("format", "s", name="iban")], pa.table({"s": bad}))[0],
    )
    assert [(f.n, f.failed) for f in found] == [(len(good), 0), (len(bad), len(bad))]
    assert enforce([R("format", "s", name="card")], pa.table({"s": cards}))[0].failed == expected.count(False)
    assert expected.count(True) > 10


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("email", ["a@b.at", "x.y+z@sub.dom.org"], ["a@b", "@b.at", "a@@b.at", "a b@c.at", "a@b.at\n", "a@-b.at"]),
        (
            "url",
            ["http://a.at", "https://a.at:80/x?y=1#z", "ftp://1.2.3.4/", "http://[::1]/"],
            ["a.at", "http://", "http://a b", "//x", "http://a.at\n"],
        ),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "x"]),
        ("date", ["2026-02-28", "2024-02-29"], ["2026-02-29", "28.02.2026", "2026-2-8", "2026-02-28T00:00"]),
        (
            "datetime",
            ["2026-02-28T12:00", "2026-02-28 12:00:00.5Z", "2026-02-28T12:00:00+01:00"],
            ["2026-02-30T12:00", "2026-02-28T25:00", "2026-02-28"],
        ),
        ("ipv4", ["1.2.3.4", "255.255.255.255"], ["256.1.1.1", "1.2.3", "01.2.3.4"]),
        ("json", ['{"a": [1]}', "1"], ["{a}", ""]),
    ],
)
def test_formats(name, good, bad):
    found = [enforce([R("format", "s", name=name)], pa.table({"s": values}))[0] for values in (good, bad)]
    assert [f.failed for f in found] == [0, len(bad)], name


def test_ipv6_against_the_standard_library():
    import ipaddress

    rng, texts = (
        random.Random(1),
        [
            "::",
            "::1",
            "1::",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::ffff:1.2.3.4",
            "1:2:3:4:5:6:1.2.3.4",
            ":::",
            "1::2::3",
            "g::",
        ],
    )
    texts += [str(ipaddress.IPv6Address(rng.getrandbits(128) & rng.getrandbits(128) & rng.getrandbits(128))) for _ in range(100)]
    texts += [t[:n] + c + t[n:] for t in texts[10:60] for n in (0, 3) for c in (":", "12345")]
    for text in texts[:12]:
        assert enforce([R("format", "s", name="ipv6")], pa.table({"s": [text]}))[0].failed == int(not _is_ipv6(text)), text
    valid = [t for t in texts if _is_ipv6(t)]
    assert enforce([R("format", "s", name="ipv6")], pa.table({"s": texts}))[0].failed == len(texts) - len(valid)


def _is_ipv6(text):
    import ipaddress

    try:
        return bool(ipaddress.IPv6Address(text)) or True
    except ValueError:
        return False


@pytest.mark.parametrize(
    "sql",
    [
        "a > 1; DROP TABLE x", "SELECT 1", "(SELECT max(a) FROM t) > 1", "EXISTS (SELECT 1)", "COPY t TO 'x'", "ATTACH 'x'", "PRAGMA x", "INSTALL httpfs",
        "a IN (SELECT b FROM 'f.csv')", "read_text('/etc/passwd') = 'x'", "a = getenv('HOME')", "\"read_csv\"('x') = 1", "a >", "a, b", "a AS x", "*", "", "sum(a) > 1",
        "a > avg(a) OVER ()", "current_setting('x') = 'y'", "query('x')", "?", "$1 > 2", "a > ALL (FROM 'x')", "random() > 0.5", "((" * 2000,
    ],
)  # fmt: skip
def test_conditions_that_could_do_harm_are_refused(sql):
    with pytest.raises(InputError, match="rule 'mine', sql"):
        Rule(kind="condition", options={"sql": sql}, name="mine")


def test_conditions_name_their_columns():
    sql = "date_diff('day', \"from\", until) > 3 AND kind LIKE 'a%' /* ; */"
    assert set(condition_columns(sql)) == {"from", "until", "kind"}
    assert ";" not in parse_condition(sql).sql("duckdb", comments=False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "betwen", "columns": ("x",)}, "Did you mean 'between'"),
        ({"kind": "between", "columns": ("x",), "options": {"mni": 0}}, "Did you mean 'min'"),
        ({"kind": "between", "columns": ("x",), "options": {"min": True}}, "a number, or a date"),
        ({"kind": "between", "columns": ("x",), "options": {"min": math.nan}}, "a number, or a date"),
        ({"kind": "between", "columns": ("x",)}, "none of min and max"),
        ({"kind": "between", "columns": ("x",), "options": {"min": 3, "max": 2}}, "is above max"),
        ({"kind": "in_set", "columns": ("x",), "options": {"values": []}}, "a list of"),
        ({"kind": "compare", "columns": ("x",), "options": {"operator": "<"}}, "two columns"),
        ({"kind": "compare", "columns": ("x", "y"), "options": {"operator": "~"}}, "operator"),
        ({"kind": "row_count", "options": {"min": 1}, "where": "x > 1"}, "takes no where"),
        ({"kind": "not_null", "columns": ("x",), "severity": "error"}, "severity"),
        ({"kind": "not_null", "columns": ("x",), "max_share": 2}, "fraction"),
        ({"kind": "format", "columns": ("x",), "options": {"name": "postcode"}}, "country"),
        (
            {"kind": "distribution", "columns": ("x",), "options": {"test": "ks", "counts": [1], "levels": ["a"], "max": 1}},
            "edges",
        ),
        ({"kind": "not_null", "columns": ("x", "x")}, "one column"),
    ],
)
def test_a_rule_with_a_mistake_names_it(given, words):
    with pytest.raises(InputError, match=words):
        Rule(**given)


def test_rules_are_plain_data():
    rule = Rule(
        kind="between",
        columns=["d"],
        options={"min": date(2026, 1, 1), "max": datetime(2026, 2, 1), "strict_min": np.bool_(True)},
    )
    assert json.loads(json.dumps(rule.options)) == {"min": "2026-01-01", "max": "2026-02-01T00:00:00", "strict_min": True}
    assert len({rule, rule}) == 1
    assert set(FORMATS) == set(KINDS["format"].options["name"].choices)


def test_rules_about_rows_also_compile_for_spark():
    pytest.importorskip("pyspark")
    ibis.pyspark  # noqa: B018 - registers its options
    from prodnb.row_rules import ROW_TESTS, spoken

    table = ibis.table({"x": "float64", "y": "float64", "n": "int64", "s": "string", "k": "string", "d": "date", "t": "timestamp", "f": "boolean", "c": "float64"}, name="current")  # fmt: skip
    rules = [rule for rule, _ in ROW_CASES if rule.kind != "condition" and rule.where is None]
    rules += [
        R("format", "s", name=name, **({"country": "AT"} if name == "postcode" else {})) for name in FORMATS if name != "json"
    ]
    for rule in rules:
        assert ibis.to_sql(table.filter(spoken(rule, table, {}, {}).breaks), dialect="pyspark")
    assert {r.kind for r in rules} | {"condition", "z_score"} == set(ROW_TESTS)


@pytest.mark.slow
def test_many_pairs_are_no_recursion():
    pairs = [["a", n] for n in range(1000)]
    frame = pd.DataFrame({"s": "a", "n": range(1001)})
    [found] = enforce([Rule(kind="pair_in_set", columns=("s", "n"), options={"values": pairs})], frame)
    assert (found.outcome, found.failed, bool(found.query)) == ("failed", 1, True)


def test_a_query_is_readable():
    query = failing_query(Rule(kind="between", columns=("price",), options={"min": 0}, where="NOT free"), ibis.schema({"price": "float64", "free": "boolean"}), called="orders")  # fmt: skip
    assert "orders" in query
    assert "NOT free" in query
    assert "prodnb" not in query
    pd.testing.assert_frame_equal(
        duckdb.sql(query.replace('"orders"', "(SELECT -1.0 AS price, false AS free)")).df(),
        pd.DataFrame({"price": [-1.0], "free": [False]}),
        check_dtype=False,
    )


EVIL = "from pathlib import Path\n\nPath(__file__).with_name('ran').touch()\nf = 1\n"


@pytest.mark.parametrize("blank", ["", " ", "\t", "\n", "\u00a0", "\u2003"])
@pytest.mark.parametrize("kind", ["row_count_equals", "in_table"])
def test_what_a_rule_may_open_is_a_file_and_never_a_function(tmp_path, blank, kind):
    (tmp_path / "evil.py").write_text(EVIL)
    columns = ("x",) if kind == "in_table" else ()
    for spec in (f"evil:f{blank}", f"{blank}evil:f", f"duckdb://evil:f{blank}", f"file://{blank}evil:f"):
        [found] = enforce([Rule(kind=kind, columns=columns, options={"table": spec})], pa.table({"x": [1]}), folder=tmp_path)
        assert (found.outcome, "is no file" in found.message) == ("errored", True), spec
    assert not (tmp_path / "ran").exists()


def test_what_a_rule_may_open_lies_in_its_folder(tmp_path):
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    for file in (tmp_path / "secret.csv", home / "a.csv", home / "sub" / "b.csv"):
        file.write_text("x\n1\n")
    duckdb.connect(str(tmp_path / "out.duckdb")).execute("CREATE TABLE t AS SELECT 1 AS x").close()
    table, one = pa.table({"x": [1]}), lambda spec: Rule(kind="row_count_equals", options={"table": spec})
    fine = ["a.csv", " a.csv ", "sub/b.csv", "sub/../a.csv", "sub/*.csv", str(home / "a.csv")]
    assert [f.message for f in enforce([one(s) for s in fine], table, folder=home) if f.outcome != "passed"] == []
    outside = [
        "../secret.csv",
        str(tmp_path / "secret.csv"),
        "../*.csv",
        "sub/../../secret.csv",
        "../out.duckdb::t",
        f"{tmp_path}/out.duckdb::t",
        "~/x.csv",
        ".. /../secret.csv",
    ]
    found = enforce([one(s) for s in outside], table, folder=home)
    assert [f.rule.option("table") for f in found if f.outcome != "errored"] == []
    assert sum("lies outside the folder" in f.message for f in found) == len(outside) - 1
    assert not any(str(tmp_path) in f.message for f in found)
    assert [f.outcome for f in enforce([one(outside[0]), one(outside[1])], table, folder=tmp_path / "home" / "..")] == [
        "errored",
        "passed",
    ]
    for spec in (
        "postgresql+psycopg2://h/d::t",
        "duckdb.x://h::t",
        "http://h/a.csv",
        "s3://b/a.csv",
        " sqlite:///etc/x.db::t",
        "a\u0000.csv",
        "a\n.csv",
        "::t",
    ):
        [found] = enforce([one(spec)], table, folder=home)
        assert (found.outcome, "is no file" in found.message) == ("errored", True), spec


SECRETS = ["Mary O'Hara-Secret 555", 'say "Secret" (1 * 2)', "Secret to DATE"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CAST(s AS DATE) > DATE '2020-01-01'", "to DATE"), ("CAST(s AS INTEGER) > 1", "to INTEGER"), ("CAST(s AS TIMESTAMP) IS NOT NULL", "to TIMESTAMP"),
        ("CAST(s AS JSON) IS NOT NULL", "to JSON"), ("CAST(s AS DECIMAL(9, 2)) > 1", "to DECIMAL"), ("CAST(s AS BOOLEAN)", "to BOOLEAN"),
        ("strptime(s, '%Y') IS NOT NULL", "cannot be used"), ("regexp_matches('x', s || '(')", "cannot be used"), ("date_part(s, DATE '2020-01-01') = 1", "cannot be converted"),
        ("CAST(n * 999983 AS TINYINT) > 0", "to TINYINT"), ("factorial(CAST(n AS INTEGER)) > 5", "out of range"),
    ],
)  # fmt: skip
def test_an_engines_error_names_rule_column_and_type_but_no_value(secret, sql, words):
    table = pa.table({"s": [secret] * 3, "n": [77777, 77777, 77777]})
    [found] = enforce([Rule(kind="condition", options={"sql": sql}, name="my rule")], table)
    column = "'n'" if "n" in condition_columns(sql) else "'s'"
    assert found.outcome == "errored"
    assert found.message.startswith("my rule: it cannot be judged: ")
    assert words in found.message
    assert column in found.message
    for part in (secret, "Secret", "Mary", "Hara", "77777", "999983", "555"):
        assert part not in found.message


def test_an_engines_words_about_the_expression_stay():
    [unknown, absent] = enforce(
        [R("condition", sql="lower(n) = 'x' AND array_contains(n, 1)"), R("matches", "s", pattern="(")],
        pa.table({"n": [1], "s": ["Secret"]}),
    )
    assert "Binder Error" in unknown.message
    assert "pattern '('" in absent.message
    assert "Secret" not in absent.message


def test_reading_damaged_rows_says_no_value():
    def fails(sql):
        with reading(), duckdb.connect() as con:
            con.sql(sql).fetchall()

    with pytest.raises(InputError, match="a value cannot be converted to DATE") as caught:
        fails("SELECT CAST(x AS DATE) FROM (VALUES ('Mary O''Hara')) v(x)")
    assert "Mary" not in str(caught.value)


def test_a_latest_time_in_the_future_is_not_fresh():
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    rules = [
        R("freshness", "t", max_age_hours=24),
        R("freshness", "d", max_age_hours=24),
        R("freshness", "t", max_age_hours=24, max_ahead_hours=10**9),
    ]

    def judged(t, d):
        return [
            f.outcome for f in enforce(rules, pa.table({"t": [datetime(2026, 2, 1), t], "d": [date(2026, 2, 1), d]}), now=now)
        ]

    assert judged(datetime(2026, 3, 1, 6), date(2026, 3, 1)) == ["passed"] * 3
    assert judged(datetime(2026, 3, 2, 2), date(2026, 3, 2)) == ["passed"] * 3  # another time zone
    assert judged(datetime(2026, 2, 27), date(2026, 2, 27)) == ["failed"] * 3
    assert judged(datetime(2030, 1, 1), date(2030, 1, 1)) == ["failed", "failed", "passed"]
    assert judged(datetime(9999, 12, 31), date(9999, 12, 31)) == ["failed", "failed", "passed"]


def test_a_z_score_without_a_standard_deviation_is_unknown_and_infinities_break():
    nan, inf = math.nan, math.inf
    columns = {
        "one": [1.0, None, nan],
        "endless": [1.0, inf, -inf],
        "same": [2.0, 2.0, 2.0],
        "mixed": [2.0, 2.0, inf],
        "none": pa.array([None] * 3, "float64"),
    }
    found = enforce([R("z_score", c, max=3) for c in columns], pa.table(columns))
    assert [(f.outcome, f.failed) for f in found] == [("unknown", 0), ("failed", 2), ("passed", 0), ("failed", 1), ("unknown", 0)]
    one_sided = R("z_score", "x", max=3, two_sided=False)
    assert enforce([one_sided], pa.table({"x": [1.0, 2, 3, -inf]}))[0].failed == 1


def test_one_column_without_facts_does_not_cost_another_its_own(monkeypatch):
    from prodnb import enforce as module

    asked = module.facts_about

    def fails(rules, table):
        if any(r.columns == ("bad",) for r in rules):
            raise RuntimeError("planted")
        return asked(rules, table)

    monkeypatch.setattr(module, "facts_about", fails)
    table = pa.table({"good": [1.0] * 99 + [50.0], "bad": [1.0] * 99 + [50.0]})
    found = enforce([R("z_score", "bad", max=3), R("z_score", "good", max=3)], table)
    assert [(f.outcome, f.failed) for f in found] == [("errored", None), ("failed", 1)]


def test_a_ratio_of_infinities_lies_in_no_range():
    inf = math.inf
    table = pa.table({"a": [inf, 4.0, inf, None], "b": [inf, 2.0, -inf, 1.0]})
    [low, high] = enforce([R("ratio_between", "a", "b", min=1), R("ratio_between", "a", "b", max=9)], table)
    assert (low.n, low.failed, high.n, high.failed) == (3, 2, 3, 2)


def test_a_learned_rule_that_too_few_rows_cannot_break_is_unknown():
    evidence = Evidence(support=900, held_out=900, violations=5, bound=0.02, level=0.9999)
    rule = Rule(kind="not_null", columns=("x",), max_share=0.02, evidence=evidence)
    judged = lambda *x: enforce([rule], pa.table({"x": pa.array(x, "int64")}))[0]  # noqa: E731
    assert (judged(None, None).outcome, judged(1, 1).outcome) == ("unknown", "passed")
    assert judged(*[None] * 5).outcome == "failed"
    assert judged(*[None] * 1, *[1] * 9).outcome == "passed"  # more could have shown it
    assert verdicts([judged(None, None)])[0].outcome == "unknown"


@pytest.mark.parametrize(
    "sql",
    [
        "length(repeat(chr(65), 3000000000)) > 0", "lpad(s, 1000000000, 'x') = ''", "rpad(s, 1000000000, 'x') = ''", "s = repeat('x', n)", "len(range(10000000000)) > 1",
        "generate_series(1, 1000000000) IS NULL", "replace(s, 'a', s) = ''", "replace(s, '', repeat('x', 9)) = ''", "regexp_replace(s, '.', s, 'g') = ''",
        "replace(replace(replace(replace('aaaaaaaaa', 'a', 'aaaaaaaaa'), 'a', 'aaaaaaaaa'), 'a', 'aaaaaaaaa'), 'a', 'aaaaaaaaa') = ''",
        "hex(" * 30 + "s" + ")" * 30 + " = ''", "array_all(l, x -> x > 1)", "array_any(l, x -> x > 1)", "s = E'\\u0027'", "s = e'a\\U00000027'", "s = E'\\q'",
    ],
)  # fmt: skip
def test_conditions_that_would_take_all_memory_or_change_their_meaning_are_refused(sql):
    with pytest.raises(InputError):
        parse_condition(sql)


@pytest.mark.parametrize(
    ("sql", "value"),
    [("replace(replace(s, ',', ' and '), 'x', '')", "a and b"), ("regexp_replace(s, '[^a-z]', '')", "ab"), ("E'a\\n\\'\\\\'", "a\n'\\"), ("string_split(s, ',')[1]", "a"), ("upper(hex(s))", "612C62")],
)  # fmt: skip
def test_conditions_with_bounded_texts_keep_their_meaning(sql, value):
    tree = parse_condition(f"{sql} = 'x'").this.sql("duckdb")
    assert duckdb.sql(f"SELECT {tree} FROM (VALUES ('a,b')) v(s)").fetchall() == [(value,)]


def test_sql_that_names_a_column_nobody_knows_is_a_mistake_in_the_sql():
    table = pa.table({"a": [1, 2, 3]})
    unknown = Rule(kind="not_null", columns=("gone",))
    mistaken = Rule(kind="condition", options={"sql": "nosuch > 1"}, name="mistaken")
    lost = Rule(kind="condition", options={"sql": "gone > 1"}, name="lost")
    assert [f.outcome for f in enforce([unknown, mistaken, lost], table)] == ["unknown", "errored", "unknown"]


def test_a_changed_type_is_one_failure_and_no_error_of_ours():
    table = pa.table({"age": ["1", "2", "x"], "fee": [1, 2, 3]})
    rules = [
        Rule(kind="column_type", columns=("age",), options={"type": "number"}),
        Rule(kind="between", columns=("age",), options={"min": 0}),
        Rule(kind="between", columns=("fee",), options={"min": "2024-01-01"}),
    ]
    found = enforce(rules, table)
    assert [f.outcome for f in found] == ["failed", "unknown", "errored"]
    assert "age" in found[1].message
