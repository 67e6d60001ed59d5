"""What explanations must bear and must not show: exact values of single rows, infinities, lists, columns with awkward names."""

import json
import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from prodnb.accumulated_effects import accumulated_effects
from prodnb.allowed_changes import Changes
from prodnb.cases import case_document, write_cases
from prodnb.cohorts import cut_values
from prodnb.counterfactual import counterfactuals
from prodnb.effect_grid import effect_grid
from prodnb.errors import InputError
from prodnb.explanation import Explanation
from prodnb.interactions import joint_predictions
from prodnb.permutation import shuffled_scores
from prodnb.reason_map import SCHEMA, read_reasons
from prodnb.reasons import certify
from prodnb.related import related_features

CHANCE = "probability of 'yes'"


def chance(frame):
    return (1 / (1 + np.exp(-np.clip(np.nan_to_num(frame["x"].to_numpy(float)), -20, 20))))[:, None]


def test_no_label_shows_the_whole_number_of_one_row():
    values = pd.Series(np.random.default_rng(0).permutation(np.arange(400) * 123_457 + 20_003))
    cells, grid = cut_values(values), effect_grid(pd.DataFrame({"pay": values, "b": 0}), "pay")
    shown = {int(n.replace(",", "")) for label in (*cells.labels, *grid.labels) for n in re.findall(r"\d[\d,]{4,}", label)}
    assert shown
    assert not shown & set(values)


def test_a_whole_number_of_many_rows_is_shown_in_full():
    assert cut_values(pd.Series([90_211, 10_117] * 10)).labels == ("10,117", "90,211")
    pay = pd.Series([*np.arange(30) * 11 + 12_345, *[90_211] * 30, *np.arange(30) * 13 + 100_003])
    assert "90,211" in " ".join(cut_values(pay, bins=3).labels)


def test_no_table_has_the_second_of_one_row():
    seconds = np.random.default_rng(1).choice(10**7, 300, replace=False)
    frame = pd.DataFrame({"when": pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s"), "x": 0.0})
    exact = set((frame["when"] - pd.Timestamp(0)).dt.total_seconds())
    table = accumulated_effects(chance, frame, ["when"], seed=0, seconds=5)[1]
    assert len(table) > 5
    assert not {row["x"] for row in table} & exact
    assert [row["x"] for row in table] == sorted(row["x"] for row in table)


def test_a_column_may_be_called_self():
    frame = pd.DataFrame({"self": np.arange(6.0), "x": np.arange(6.0)})
    assert joint_predictions(chance, frame, frame, ["self", "x"]).shape == (6, 6, 1)
    found = shuffled_scores(chance, frame, [("self",), ("x",)], seed=0, repeats=2)
    assert np.array_equal(found.after[0, 0], found.before)
    assert not np.array_equal(found.after[1, 0], found.before)


def test_a_reason_is_not_called_like_a_column_that_is_another_one(tmp_path):
    path = tmp_path / "reasons.yaml"
    path.write_text(f"schema: {SCHEMA}\nreasons: {{age: {{features: [job], raises: your age}}}}\n")
    with pytest.raises(InputError, match="'age' has the name of a column"):
        read_reasons(path, ["age", "job"])
    path.write_text(f"schema: {SCHEMA}\nreasons: {{age: {{features: [job, age], raises: your age}}}}\n")
    assert [r.features for r in read_reasons(path, ["age", "job"]).reasons] == [("job", "age")]


@pytest.mark.parametrize("odd", [1e300, np.inf, -np.inf, 2.0**60])
@pytest.mark.parametrize("rule", ["up", "free"])
def test_an_extreme_number_leaves_a_column_a_number(odd, rule):
    pool = pd.DataFrame({"x": [odd, *np.linspace(-3, 3, 60)]})
    found = counterfactuals(chance, pd.DataFrame({"x": [-1.0, -2.0]}), pool, Changes({"x": rule}), scale=CHANCE)
    assert all(m.found and -1e-9 <= m.changes[0].after < 0.2 for m in found)


def test_nobody_is_told_to_become_infinite():
    pool = pd.DataFrame({"x": [np.inf] * 20 + [-3.0] * 20})
    found = counterfactuals(chance, pd.DataFrame({"x": [-1.0]}), pool, Changes({"x": "free"}), scale=CHANCE)[0]
    assert not found.found
    assert found.why


def test_a_case_that_is_infinite_or_has_a_list_can_be_written():
    pool = pd.DataFrame({"x": np.linspace(-3, 3, 60), "tags": [np.array([n % 3, 1]) for n in range(60)]})
    cases = pd.DataFrame({"x": [np.inf, -1.0], "tags": [[0, 1], [7, 7]]})
    advice = counterfactuals(chance, cases, pool, Changes({"x": "free"}), scale=CHANCE)
    assert all(m.found for m in advice)
    blocks = np.random.default_rng(0).normal(0.2, 0.01, (2, 20, 2, 1))
    found = Explanation(
        blocks, np.full(20, 0.05), np.array([0.5]), np.array([[0.9], [0.3]]), ("x", "tags"), CHANCE, "made", True, 100
    )
    document = case_document(found, certify(found), rows=cases, advice=advice)
    told = json.loads(json.dumps(document, allow_nan=False))["cases"]
    assert told[0]["values"]["x"] == "inf"
    assert told[0]["counterfactual"]["changes"][0]["before"] == "inf"
    pool = pool.assign(tags=[np.array([n % 3, 1]) for n in range(60)])
    case_document(found, certify(found), rows=pool.head(2))


def test_hundreds_of_columns_do_not_take_a_gigabyte_to_relate():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 300))).rename(columns=str)
    frame["300"] = frame["299"] + 0.01 * frame["0"]
    tracemalloc.start()
    found = related_features(frame, list(frame.columns), draws=5)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ("299", "300") in found.groups
    assert most < 80e6


def test_every_case_has_an_id_of_its_own_and_a_path_that_can_be_written(tmp_path):
    blocks = np.random.default_rng(0).normal(0.2, 0.01, (2, 20, 2, 1))
    found = Explanation(
        blocks, np.full(20, 0.05), np.array([0.5]), np.array([[0.9], [0.3]]), ("x", "y"), CHANCE, "made", True, 100
    )
    told = certify(found)
    for ids in ([None, 1], [np.nan, None], [pd.NaT, "a"]):
        with pytest.raises(InputError, match="no id"):
            case_document(found, told, ids=ids)
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "loop", f"{tmp_path}/a\0b"):
        with pytest.raises(InputError, match="cannot write"):
            write_cases(path, found, told)
