"""Our conventions against what Evidently and NannyML returned for the same samples (data/make_peer_drift_vectors.py)."""

import csv
import importlib.util
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from shared import SHARED

from prodnb import distances as d
from prodnb import peer_conventions as pc
from prodnb import peer_scores as ps

HERE = Path(__file__).parent / "data"
spec = importlib.util.spec_from_file_location("make_peer_drift_vectors", HERE / "make_peer_drift_vectors.py")
maker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(maker)

STORED = json.loads((HERE / "peer_drift_vectors.json").read_text(encoding="utf-8"))
SAMPLES = maker.samples()
KINDS = {"cat": "level", "num": "number", "text": "text"}
PERMUTED = {"total_variation": 1000, "mmd": 100}  # seeds of theirs: unknown, or of a global stream


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_are_those_that_the_peers_saw(name):
    for values, (n, check) in zip(SAMPLES[name], STORED["samples"][name], strict=True):
        assert len(values) == n
        found = float(np.sum(values)) if values.dtype.kind in "fi" else len(set(values.tolist()))
        assert found == pytest.approx(check, rel=1e-12)


def test_the_stored_file_says_which_versions_it_is_of():
    assert STORED["versions"]["evidently"]["evidently"].startswith("0.7.")
    assert STORED["versions"]["nannyml"]["nannyml"].startswith("0.13.")
    assert set(STORED["evidently"]) == set(STORED["nannyml"]) == set(SAMPLES)


EVIDENTLY = [(name, test) for name in SAMPLES for test in STORED["evidently"][name]["scores"]]


@pytest.mark.parametrize(("name", "test"), EVIDENTLY)
def test_scores_are_those_of_evidently(name, test):
    x, y = SAMPLES[name]
    expected = STORED["evidently"][name]["scores"][test]
    kind = "level" if maker.levels_of(x) else "number"
    if expected == "NaN":  # one level: they divide nothing by nothing
        assert ps.evidently_score(x, y, test=test, kind=kind).score == 1.0
        return
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=r"one size|levels"):
            ps.evidently_score(x, y, test=test, kind=kind)
        return
    found = ps.evidently_score(x, y, test=test, kind=kind).score
    if test in PERMUTED:
        error = 4 * math.sqrt(max(expected * (1 - expected), 0.01) * 2 / PERMUTED[test])
        assert found == pytest.approx(expected, abs=error + 1e-9)
    else:
        loose = test == "cramer_von_mises"  # an older copy of scipy's function, in other steps
        assert found == pytest.approx(expected, rel=1e-6 if loose else 1e-9, abs=1e-9 if loose else 1e-12)


@pytest.mark.parametrize("name", SAMPLES)
def test_kind_default_test_and_threshold_are_those_of_evidently(name):
    x, y = SAMPLES[name]
    stored = STORED["evidently"][name]
    assert ps.evidently_kind(x) == KINDS[stored["kind"]]
    for kind, (test, threshold, drifted) in stored["default"].items():
        assert ps.evidently_test(x, y, kind=KINDS[kind]) == (test, threshold)
        if drifted is not None:
            found = ps.evidently_score(x, y, kind=KINDS[kind])
            assert (found.test, found.threshold, found.drifted) == (test, threshold, drifted)


def test_kinds_of_other_columns():
    assert ps.evidently_kind(pd.Series([True, False])) == "level"
    assert ps.evidently_kind(pd.Series(pd.to_datetime(["2026-01-01"]))) == "time"
    assert ps.evidently_kind(pd.Series([f"a long text {i}" for i in range(9)])) == "text"
    assert ps.evidently_kind(pd.Series([[1], [2]])) == "list"
    assert ps.evidently_kind(pd.Series([None, None], dtype=object)) == "unknown"
    assert ps.evidently_test(pd.Series([f"text {i}" for i in range(9)]), ["x"]) == ("text_classifier_percentile", 0.95)
    with pytest.raises(ValueError, match="no default test"):
        ps.evidently_test([[1], [2]], [[1]], kind="list")


NANNYML = [(name, method) for name in SAMPLES for method in STORED["nannyml"][name]]


@pytest.mark.parametrize(("name", "method"), NANNYML)
def test_values_and_thresholds_are_those_of_nannyml(name, method):
    x, y = SAMPLES[name]
    stored, levels = STORED["nannyml"][name][method], maker.levels_of(x)
    assert ps.nannyml_value(x, y, method=method, levels=levels) == pytest.approx(stored["value"], rel=1e-6, abs=1e-7)
    chunks = [ps.nannyml_value(x, chunk, method=method, levels=levels) for chunk in ps.nannyml_chunks(x)]
    assert chunks == pytest.approx(stored["chunks"], rel=1e-6, abs=1e-7)
    if stored["threshold"] is not None:
        upper = 1.0 if method == "kolmogorov_smirnov" else None
        assert ps.nannyml_threshold(chunks, upper=upper) == pytest.approx(stored["threshold"], rel=1e-6, abs=1e-7)


def test_conventions_differ_where_they_should():
    x, y = SAMPLES["empty cells"]
    values = {
        c: float(pc.cell_statistic("psi", c)(*pc.convention_cells("psi", x, y, levels=False, convention=c)))
        for c in ("prodnb", "evidently")
    }
    assert values["evidently"] > 1.5 * values["prodnb"]
    x, y = SAMPLES["levels"]
    cells = pc.level_cells(x, y)
    two = stats.chi2_contingency(np.stack(cells), correction=False).statistic
    assert pc.one_sample_chi_square(*cells) > 1.7 * two
    assert pc.one_sample_chi_square([3, 0], [3, 1]) == np.inf


def test_what_a_convention_does_not_have_is_said():
    with pytest.raises(ValueError, match=r"nannyml has no 'psi'.*jensen_shannon"):
        pc.convention_cells("psi", [1.0, 2.0], [1.0], levels=False, convention="nannyml")
    with pytest.raises(ValueError, match="convention is one of"):
        pc.cell_statistic("psi", "whylogs")
    with pytest.raises(ValueError, match="no method"):
        ps.nannyml_value(["a", "b"], ["a"], method="wasserstein", levels=True)
    with pytest.raises(ValueError, match="10 chunks"):
        ps.nannyml_chunks([1, 2, 3])


def test_missing_and_infinite_values_are_left_out():
    x, y = SAMPLES["bell, small"]
    dirty = np.concatenate([x, [np.nan, np.inf, -np.inf]])
    for test in ("psi", "wasserstein", "kolmogorov_smirnov"):
        assert ps.evidently_score(dirty, y, test=test) == ps.evidently_score(x, y, test=test)
    assert [c.tolist() for c in pc.level_cells(["a", None, "b"], ["b", None])] == [[1, 1], [0, 1]]


PUBLISHED = {
    "psi": "psi",
    "jensenshannon": "jensen_shannon",
    "hellinger": "hellinger",
    "chisquare": "chi_square",
    "ks": "kolmogorov_smirnov",
    "wasserstein": "wasserstein",
    "kolmogorov_smirnov": "kolmogorov_smirnov",
    "jensen_shannon": "jensen_shannon",
    "chi2": "chi_square",
    "l_infinity": "l_infinity",
}


@pytest.mark.prove
def test_figures_measured_earlier_on_a_hundred_thousand_rows():
    """Needs the folder of the peers' data sets in PEERS_DATA (bench_peers/make_data.py writes it)."""
    table, data = SHARED / "bench_peers" / "correctness.csv", Path(os.environ.get("PEERS_DATA", "nowhere"))
    files = [data / f"{side}_100k.parquet" for side in ("reference", "current")]
    if not table.exists() or not all(f.exists() for f in files):
        pytest.skip("needs bench_peers/correctness.csv and the data sets in the folder PEERS_DATA")
    rows = [r for r in csv.DictReader(table.open()) if r["dataset"] == "100k" and r["metric"] in PUBLISHED]
    assert len({r["column"] for r in rows}) > 8
    seen = 0
    for column in {r["column"] for r in rows}:
        frames = [pd.read_parquet(f, columns=[column])[column].dropna() for f in files]
        levels = not pd.api.types.is_numeric_dtype(frames[0]) or frames[0].dtype == bool
        x, y = (f.astype(str).to_numpy(dtype=object) if levels else f.to_numpy(float) for f in frames)
        for row in (r for r in rows if r["column"] == column and r["peer"] in ("evidently", "nannyml")):
            name = PUBLISHED[row["metric"]]
            if row["peer"] == "evidently":
                found = ps.evidently_score(x, y, test=name, kind="level" if levels else "number").score
            else:
                found = ps.nannyml_value(x, y, method=name, levels=levels)
            assert found == pytest.approx(float(row["value"]), rel=1e-6, abs=1e-9), (column, row["peer"], name)
            seen += 1
    assert seen > 50


@pytest.mark.prove
def test_scipy_and_deepchecks_figures_measured_earlier():
    table, data = SHARED / "bench_peers" / "correctness.csv", Path(os.environ.get("PEERS_DATA", "nowhere"))
    files = [data / f"{side}_100k.parquet" for side in ("reference", "current")]
    if not table.exists() or not all(f.exists() for f in files):
        pytest.skip("needs bench_peers/correctness.csv and the data sets in the folder PEERS_DATA")
    published = {
        (r["column"], r["peer"], r["metric"]): r["value"] for r in csv.DictReader(table.open()) if r["dataset"] == "100k"
    }
    x, y = (pd.read_parquet(f, columns=["num_18"])["num_18"].dropna().to_numpy(float) for f in files)
    assert d.psi(*pc.decile_cells(x, y)) == pytest.approx(
        float(published["num_18", "scipy", "psi_q10"]), rel=1e-5
    )  # ties at an edge
    x, y = (pd.read_parquet(f, columns=["cat_7"])["cat_7"].dropna().to_numpy(dtype=object) for f in files)
    cells = pc.level_cells(x, y)
    assert d.psi(*cells) == pytest.approx(float(published["cat_7", "scipy", "psi_eps1e-4"]), rel=1e-9)
    assert d.cramers_v(*cells) == pytest.approx(float(published["cat_7", "scipy", "cramers_v"]), rel=1e-9)
    assert d.cramers_v(*cells, corrected=True) == pytest.approx(float(published["cat_7", "deepchecks", "cramers_v"]), abs=1e-3)
