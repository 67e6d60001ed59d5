"""Wrong cells are found without labels, better with some, and hardly any where nothing is wrong."""

import numpy as np
import pandas as pd
import pytest
from planted_cells import articles, films, marked, plant, tax_payers, times_of_day
from shared import shared_data

from prodnb.cells import find_errors, gather, judge_cells, suggest_rows
from prodnb.dependencies import trust
from prodnb.errors import InputError


def text(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def f1(found, wrong, columns):
    named = marked(found, wrong.shape, columns)
    return 2 * (named & wrong).sum() / (named.sum() + wrong.sum())


def labels_of(wrong, columns, seed, n=20):
    rows = np.random.default_rng(seed).choice(len(wrong), n, replace=False)
    return pd.DataFrame(wrong[rows].astype(int), columns=columns).assign(row=rows)


def pair(name):
    folder = shared_data(f"{name}/dirty.csv.gz").parent
    dirty, clean = text(folder / "dirty.csv.gz"), text(folder / "clean.csv.gz")
    return folder / "dirty.csv.gz", list(dirty.columns), dirty.to_numpy() != clean.to_numpy()


def shops(n=240):
    rng = np.random.default_rng(0)
    shop = [f"shop {i % 6}" for i in range(n)]
    town = ["Springfield", "Shelbyville", "Ogdenville", "Brockway", "Capital City", "Cypress Creek"]
    frame = {"shop": shop, "town": [town[i % 6] for i in range(n)], "day": [f"2024-0{1 + i % 9}-1{i % 7}" for i in range(n)]}
    return pd.DataFrame(frame | {"price": [f"{p:.2f}" for p in rng.normal(50, 5, n)]})


def test_misspelt_hospital_cells_are_found_without_a_label():
    path, columns, wrong = pair("raha_hospital")
    found = find_errors(path)
    assert f1(found, wrong, columns) >= 0.85
    assert not found.attrs["not_looked_at"]


def test_beers_with_twenty_labelled_rows():
    path, columns, wrong = pair("raha_beers")
    evidence = gather(path)
    assert f1(judge_cells(evidence), wrong, columns) >= 0.9
    reached = [f1(judge_cells(evidence, labels=labels_of(wrong, columns, seed)), wrong, columns) for seed in range(5)]
    assert np.mean(reached) >= 0.90


@pytest.mark.parametrize(("made", "floor"), [(times_of_day, 0.75), (tax_payers, 0.85), (articles, 0.75), (films, 0.85)])
def test_errors_of_other_kinds_are_found(made, floor):
    dirty, wrong = made(seed=3)
    assert f1(find_errors(dirty), wrong, list(dirty.columns)) >= floor


def test_clean_tables_give_few_findings():
    adult = pd.read_parquet(shared_data("adult/adult.parquet")).iloc[:5000]
    assert 10_000 * len(find_errors(adult)) / adult.size <= 5
    hospital = text(shared_data("raha_hospital/clean.csv.gz"))
    assert 10_000 * len(find_errors(hospital)) / hospital.size <= 15
    assert find_errors(shops()).empty


def test_planted_errors_of_every_kind():
    dirty, kinds = plant(shops(2000), 0.02, seed=5)
    named = marked(find_errors(dirty), dirty.shape, list(dirty.columns))
    for kind, least in {"unit": 0.95, "marker": 0.9, "case": 0.9, "typo": 0.8, "outlier": 0.95, "space": 0.9}.items():
        assert named[kinds == kind].mean() >= least, kind
    assert (named & (kinds != "")).sum() >= 0.9 * named.sum()


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("town", "Sprinfield", "typo"),
        ("town", "SPRINGFIELD", "spelling variant"),
        ("town", "Brockway", "dependency on shop"),
        ("town", "", "dependency on shop"),
        ("day", "01/02/2024", "pattern"),
        ("price", "50.00 USD", "unit"),
        ("price", "5000.00", "outlier"),
        ("price", "N/A", "missing marker"),
        ("price", "0.30000000000000004", "float noise"),
        ("price", "shop 1", "misplaced"),
    ],
)
def test_one_wrong_cell_is_found_with_its_rule(column, value, rule):
    frame = shops()
    frame.loc[12, column] = value
    found = find_errors(frame)
    hit = found[(found["row"] == 12) & (found["column"] == column)]
    assert hit["value"].tolist() == [value]
    assert rule in hit["rule"].iloc[0]
    assert len(found) <= 2


def test_a_csv_is_read_as_it_is_written(tmp_path):
    frame = shops()
    frame["code"] = [f"{i % 50:05d}" for i in range(len(frame))]
    frame.loc[33, "code"] = "1"
    frame.loc[50, "price"] = "50.00 kg"
    frame.to_csv(tmp_path / "shops.csv", index=False)
    found = find_errors("shops.csv", folder=tmp_path)
    assert found[["row", "column", "value"]].to_numpy().tolist() == [[33, "code", "1"], [50, "price", "50.00 kg"]]
    pd.testing.assert_frame_equal(found, find_errors(frame))


def test_typed_columns(tmp_path):
    frame = shops().assign(price=lambda f: f["price"].astype(float), day=lambda f: pd.to_datetime(f["day"]), ok=True)
    frame.loc[77, "price"] = 5000.0
    frame.to_parquet(tmp_path / "shops.parquet")
    found = find_errors(tmp_path / "shops.parquet")
    assert found[["row", "column", "value", "rule"]].to_numpy().tolist() == [[77, "price", "5000.0", "outlier"]]


def test_the_same_twice():
    dirty, _ = tax_payers(seed=1, rows=600)
    one, two = find_errors(dirty), find_errors(dirty)
    pd.testing.assert_frame_equal(one, two)
    assert one.attrs == two.attrs
    assert one["score"].between(0.5, 1).all()
    assert one["row"].is_monotonic_increasing


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": ["x"], "b": ["1"]}),
        pd.DataFrame({"a": pd.Series([], dtype=str), "b": pd.Series([], dtype=float)}),
        pd.DataFrame({"a": [None] * 30, "b": [float("nan")] * 30}),
        pd.DataFrame({"a": ["x", "y"] * 40}),
        pd.DataFrame({"a": ["same"] * 40, "b": range(40)}),
        pd.DataFrame({"a": [[1, 2]] * 3, "b": [b"\x00\xff"] * 3}),
    ],
)
def test_small_and_odd_tables_give_nothing(frame):
    found = find_errors(frame)
    assert list(found.columns) == ["row", "column", "value", "rule", "score"]
    assert found.empty
    assert len(set(suggest_rows(frame, 2))) == min(2, len(frame))


def test_columns_with_names_of_our_own():
    frame = shops().rename(columns={"shop": "row", "town": "c0", "day": 'a "b"', "price": "value"})
    frame.loc[5, "c0"] = "Cypres Creek"
    assert find_errors(frame)[["row", "column"]].to_numpy().tolist() == [[5, "c0"]]


def test_labels_teach_what_is_an_error():
    frame = shops()
    frame["size"] = np.random.default_rng(1).choice(["", "", "12 oz", "16 oz"], len(frame))
    wrong = frame["size"].eq("")
    listed = pd.DataFrame({"row": range(20), "column": "size", "error": wrong[:20].astype(int)})
    found = find_errors(frame, labels=listed)
    assert set(found["row"]) == set(np.flatnonzero(wrong))
    assert set(found["rule"]) == {"labelled", "like labelled errors"}
    assert find_errors(frame).empty


def test_both_forms_of_labels_say_the_same(tmp_path):
    frame = shops()
    frame.loc[[3, 100], "price"] = ["50 EUR", "51 EUR"]
    listed = pd.DataFrame({"row": [3, 4], "column": ["price", "town"], "error": [0, 1]})
    wide = pd.DataFrame({"row": [3, 4], "price": [0, 0], "town": [0, 1]})
    listed.to_csv(tmp_path / "seen.csv", index=False)
    one = find_errors(frame, labels="seen.csv", folder=tmp_path)
    pd.testing.assert_frame_equal(one, find_errors(frame, labels=wide))
    assert (4, "town") in set(zip(one["row"], one["column"], strict=True))
    assert 3 not in set(one["row"])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"row": [999], "column": ["town"], "error": [1]}, "no row 999"),
        ({"row": [-1], "column": ["town"], "error": [1]}, "no row -1"),
        ({"row": [1.5], "column": ["town"], "error": [1]}, "no row 1.5"),
        ({"row": [1], "column": ["twon"], "error": [1]}, "Did you mean 'town'"),
        ({"row": [1], "column": ["town"], "error": [2]}, "error is 2[.]"),
        ({"row": [1, 1], "column": ["town", "town"], "error": [0, 1]}, "both right and wrong"),
        ({"line": [1], "town": [1]}, "no column 'row'"),
        ({"row": [1], "twon": [1]}, "Did you mean 'town'"),
    ],
)
def test_wrong_labels_are_refused(labels, words):
    with pytest.raises(InputError, match=words):
        find_errors(shops(), labels=pd.DataFrame(labels))


def test_a_wrong_limit_or_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="limit"):
        find_errors(shops(), limit=0)
    with pytest.raises(InputError):
        find_errors("absent.csv", folder=tmp_path)


def test_what_is_not_looked_at_is_said(monkeypatch):
    monkeypatch.setattr("prodnb.value_signs.VALUES", 50)
    frame = shops()
    frame.loc[7, "price"] = "50.00 USD"
    found = find_errors(frame)
    assert any(line.startswith("price: ") and "distinct values" in line for line in found.attrs["not_looked_at"])
    assert found[["row", "column"]].to_numpy().tolist() == [[7, "price"]]


def test_dependencies_are_named():
    assert [line.partition(" (")[0] for line in find_errors(shops()).attrs["dependencies"]] == ["shop -> town", "town -> shop"]


def test_trust_against_pairs_drawn_at_random():
    """Columns without relation earn no trust, whatever the sizes of groups and levels."""
    rng = np.random.default_rng(0)
    for groups, levels in ((50, 3), (400, 50), (10, 2)):
        x, y = rng.integers(groups, size=3000), rng.integers(levels, size=3000)
        counts = pd.crosstab(x, y).to_numpy()
        n = counts.sum(1)
        agreement = np.average((counts * (counts - 1)).sum(1) / np.maximum(n - 1, 1) / n, weights=n)
        assert trust(agreement, (counts.sum(0) / 3000 @ counts.sum(0)) / 3000, 0.5, 0.0) < 0.02


def test_suggested_rows_hold_doubtful_cells():
    frame = shops()
    frame.loc[[20, 30, 40], "price"] = ["$1", "N/A", "7 kg"]
    rows = suggest_rows(frame, 5)
    assert {20, 30, 40} <= set(rows)
    assert len(rows) == len(set(rows)) == 5
