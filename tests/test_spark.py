"""The same profile on Spark as on DuckDB, and the checks that rest on it."""

import dataclasses
import datetime as dt
import shutil
import warnings

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodnb.chunks import choose_every, count_chunks
from prodnb.grouped import count_groups
from prodnb.lean import lean_profile
from prodnb.profile import profile
from prodnb.tables import open_table
from prodnb.text_columns import find_embeddings, find_texts, text_properties, usable

pytestmark = pytest.mark.slow
NOT_ADDITIVE = ("distinct", "distinct_error", "distinct_most", "mean", "sd", "type")


@pytest.fixture(scope="module")
def spark():
    pytest.importorskip("pyspark", reason="needs pyspark: pip install pyspark")
    if not shutil.which("java"):
        pytest.skip("needs Java 17, which is not on this machine")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession

        options = {"spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC", "spark.driver.host": "127.0.0.1"}
        options |= {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.adaptive.enabled": "false",
        }
        # a few hundred rows are counted long before the code that would count them quickly is compiled
        options |= {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
        options |= {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
        builder = SparkSession.builder.master("local[2]")
        for key, value in options.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
        yield ibis.pyspark.connect(session)
        session.stop()


def everything(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows).round(2)
    x[:6] = [np.nan, np.inf, -np.inf, 0, -0.0, 1e200]
    day = dt.datetime(1969, 12, 1)
    words = ["AB-12", "Zürich", "日本 7", "", " \t", "N/A", 'it\'s \\ "x"', "y" * 120, None]
    return pa.table(
        {
            "number": pa.array(x, mask=rng.random(rows) < 0.1),
            "whole": pa.array(np.where(rng.random(rows) < 0.1, -1, rng.poisson(9, rows))),
            "text": pa.array(rng.choice(np.array(words, dtype=object), rows).tolist(), pa.string()),
            "time": pa.array(
                [None if i % 9 == 0 else day + dt.timedelta(hours=int(h)) for i, h in enumerate(rng.integers(0, 2000, rows))],
                pa.timestamp("us", tz="UTC"),
            ),
            "day": pa.array([(day + dt.timedelta(days=int(h))).date() for h in rng.integers(0, 90, rows)]),
            "flag": pa.array(rng.choice(np.array([True, False, None], dtype=object), rows).tolist(), pa.bool_()),
            "list": pa.array([[1], None] * (rows // 2)),
            "struct": pa.array([{"a": 1}] * rows),
            "bytes": pa.array([b"\x00", None] * (rows // 2)),
            "nothing": pa.nulls(rows, pa.string()),
        }
    )


def additive(found):
    return {c.name: {k: v for k, v in dataclasses.asdict(c).items() if k not in NOT_ADDITIVE} for c in found.columns}


def test_profiles_are_the_same_as_on_duckdb(spark, tmp_path):
    paths = [tmp_path / f"{name}.parquet" for name in ("reference", "current")]
    for seed, path in enumerate(paths):
        pq.write_table(everything(600, seed), path)
    duck = [ibis.duckdb.connect().read_parquet(p) for p in paths]
    spark_tables = [spark.read_parquet(str(p)) for p in paths]
    own, theirs = profile(duck[0]), profile(spark_tables[0])
    assert additive(theirs) == additive(own)
    now, then = profile(duck[1], like=own), profile(spark_tables[1], like=own)
    assert additive(then) == additive(now)
    for a, b in zip(then.columns, now.columns, strict=True):
        assert (a.mean is None) == (b.mean is None)
        if a.mean is not None:
            assert (a.mean, a.sd or 0) == pytest.approx((b.mean, b.sd or 0), rel=1e-8)
        if a.distinct_error == b.distinct_error == 0:
            assert a.distinct == b.distinct


def test_a_sampled_table_gives_the_same_profile_twice(spark, tmp_path, monkeypatch):
    monkeypatch.setattr("prodnb.profile.SAMPLE_ROWS", 2000)
    pq.write_table(pa.table({"x": np.random.default_rng(0).normal(size=12_000)}), tmp_path / "x.parquet")
    table = spark.read_parquet(str(tmp_path / "x.parquet"))
    found = profile(table)
    assert profile(table) == found
    shares = np.array(found["x"].counts) / 12_000
    assert 0 < shares[1:-1].max() < 0.09  # bins of about 5 %, as even as a sample of 2,000 rows makes them


def test_the_checks_run_there(spark, tmp_path):
    from prodnb.drift import check_drift
    from prodnb.quality import check_quality

    for name, seed in {"reference": 0, "current": 1}.items():
        pq.write_table(everything(600, seed), tmp_path / f"{name}.parquet")
    sides = {name: spark.read_parquet(str(tmp_path / f"{name}.parquet")) for name in ("reference", "current")}
    here = {name: str(tmp_path / f"{name}.parquet") for name in sides}
    for check in (check_quality, check_drift):
        there, local = check(**sides), check(**here)
        assert there.outcome == local.outcome
        assert {(v.statistic.name, v.statistic.about, v.outcome) for v in there.verdicts} == {
            (v.statistic.name, v.statistic.about, v.outcome) for v in local.verdicts
        }


def in_time(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    when = [
        None if i % 20 == 0 else dt.datetime(1969, 11, 1) + dt.timedelta(minutes=int(m))
        for i, m in enumerate(rng.integers(0, 200_000, rows))
    ]
    x = rng.normal(size=rows).round(2)
    x[:6] = [np.nan, np.inf, -np.inf, 0, -0.0, 1e300]
    return pa.table(
        {
            "when": pa.array(when, pa.timestamp("us", tz="UTC")),
            'we"ird. 🙂 `x`': pa.array(x, mask=rng.random(rows) < 0.1),
            "whole": pa.array(rng.poisson(3, rows)),
            "flag": pa.array(rng.random(rows) < 0.3, mask=rng.random(rows) < 0.1),
            "level": pa.array(rng.choice(["a", "it's", "", "{}"], rows), mask=rng.random(rows) < 0.1),
            "step": pa.array(rng.permutation(rows) / 4),
        }
    )


def test_groups_and_chunks_are_the_same(spark, tmp_path):
    pq.write_table(in_time(300, 1), tmp_path / "now.parquet")
    before, there = profile(in_time(200, 0)), spark.read_parquet(str(tmp_path / "now.parquet"))
    here = in_time(300, 1)
    by = {"flag": lambda t: t.flag, "few": lambda t: t.whole % 3}
    one, two = (count_groups(t, before, by) for t in (here, there))
    assert one.keys == two.keys
    assert (one.rows == two.rows).all()
    for column in one.cells:
        assert (one.cells[column] == two.cells[column]).all(), column
    for time, every, season in (("when", "month", "hour_of_day"), ("step", "40 rows", "none")):
        columns = ['we"ird. 🙂 `x`']
        one, two = (count_chunks(t, before, time, every=every, season=season, columns=columns) for t in (here, there))
        assert one.to_json() == two.to_json()
        cut = one.ends[len(one) // 2]
        one, two = (count_chunks(t, before, time, every=every, after=cut, columns=columns) for t in (here, there))
        assert one.to_json() == two.to_json()
    assert choose_every(here, "when") == choose_every(there, "when")


def test_a_lean_profile_is_the_same(spark, tmp_path):
    pq.write_table(in_time(300, 1), tmp_path / "now.parquet")
    before = lean_profile(in_time(200, 0))
    one, two = (lean_profile(t, like=before) for t in (in_time(300, 1), spark.read_parquet(str(tmp_path / "now.parquet"))))
    for column in one.columns:
        assert column.cells.tolist() == two[column.name].cells.tolist(), column.name
        assert (column.low, column.high) == (two[column.name].low, two[column.name].high)


def test_properties_of_texts_are_the_same(spark, tmp_path):
    said, numbers = ["Zürich: 12 Rooms.  Nice! Yes", "ok", " ÄÖ  lead", " ", None], list(range(5))
    vectors = [[1.0, 2.0], [1.0], None, [1.0, float("nan")], [3.0, 4.0]]
    texts = pa.table({"t": said, "n": numbers, "v": vectors})
    pq.write_table(texts, tmp_path / "texts.parquet")
    there, here = spark.read_parquet(str(tmp_path / "texts.parquet")), open_table(texts)
    both = [text_properties(t, "t", ["n"]).order_by("n").to_pyarrow().to_pylist() for t in (there, here)]
    assert both[0] == both[1]
    assert find_texts(there, ["t"])[0] == find_texts(here, ["t"])[0]
    assert find_embeddings(there, ["v"]) == find_embeddings(here, ["v"])
    assert [int(usable(t.v, 2).sum().to_pyarrow().as_py()) for t in (there, here)] == [2, 2]
