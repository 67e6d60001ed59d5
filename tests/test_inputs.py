"""Inputs are opened as the settings say, their columns are there, and a fingerprint tells every change."""

import hashlib
import os
import sqlite3
import subprocess
import sys
import time

import duckdb
import joblib
import numpy as np
import pandas as pd
import pytest
from shared import shared_data
from sklearn.linear_model import LogisticRegression

from prodnb.errors import InputError, SettingsError
from prodnb.inputs import Inputs, Roles, fingerprints, hash_rows, infer_roles, input_stamps, open_inputs, read_roles
from prodnb.settings import load_settings
from prodnb.tables import open_table

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "id": range(200),
        "when": pd.date_range("2024-01-01", periods=200, freq="h"),
        "x": RNG.normal(size=200),
        "kind": RNG.choice(["a", "b", None], 200),
        "y": RNG.integers(0, 2, 200),
    }
)


@pytest.fixture
def project(tmp_path):
    FRAME.to_parquet(tmp_path / "reference.parquet", index=False)
    FRAME.drop(columns=["y", "id"]).to_csv(tmp_path / "current.csv", index=False)

    def make(**keys):
        given = {
            "name": "shop",
            "reference": "reference.parquet",
            "current": "current.csv",
            "target": "y",
            "time": "when",
            "id": "id",
        } | keys
        lines = [f"{key} = {value}" for key, value in given.items() if value is not None and key != "mlflow"]
        archive = f"[archive]\nmlflow = {keys['mlflow']}\n" if "mlflow" in keys else ""
        (tmp_path / "settings.ini").write_text("[project]\n" + "\n".join(lines) + "\n" + archive)
        return load_settings(tmp_path / "settings.ini")

    return make


def refused(kind, call, *words):
    with pytest.raises(kind) as caught:
        call()
    for word in words:
        assert word.lower() in str(caught.value).lower(), str(caught.value)


def test_roles_and_features(project):
    settings = project(target='"y"', ignore="kind", categorical="x, kind", task="binary", sensitive="kind")
    roles = read_roles(settings)
    assert roles == Roles("y", None, None, "when", "id", None, (), ("x", "kind"), ("kind",), ("kind",), "binary")
    assert roles.feature_names(FRAME) == ["x"]
    assert Roles().feature_names(FRAME) == list(FRAME.columns)
    assert Roles(features="x", target="y", ignore=["x"]).feature_names(open_table(FRAME)) == ["x"]
    refused(SettingsError, lambda: read_roles(project(target="x, y")), "target names 2 columns", "settings.ini, line")
    with pytest.raises(ValueError, match="task"):
        Roles(task="guess")


def test_open_inputs(project):
    inputs = open_inputs(project())
    assert isinstance(inputs, Inputs)
    assert (inputs.reference.count().execute(), inputs.current.count().execute(), inputs.train, inputs.model) == (
        200,
        200,
        None,
        None,
    )
    assert "reference.parquet" in inputs._repr_html_()
    assert "200" in inputs._repr_html_()
    assert "current.csv" in repr(inputs)
    assert open_inputs(project(reference=None, current=None, target=None, time=None, id=None)).reference is None


def test_names_are_escaped(project, tmp_path):
    FRAME.rename(columns={"y": "<img src=x>"}).to_parquet(tmp_path / "<script>.parquet")
    html = open_inputs(project(reference="<script>.parquet", current=None, target="<img src=x>"))._repr_html_()
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_columns_must_be_there(project, tmp_path):
    refused(
        SettingsError,
        lambda: fingerprints(project(target="yy")),
        "target names the column 'yy', which reference does not have",
        "line",
    )
    refused(SettingsError, lambda: fingerprints(project(features="x, knid")), "did you mean 'kind'?")
    FRAME.drop(columns=["x"]).to_parquet(tmp_path / "cut.parquet")
    refused(SettingsError, lambda: open_inputs(project(current="cut.parquet", features="x, kind")), "current does not have")
    refused(SettingsError, lambda: open_inputs(project(train="cut.parquet", features="x, kind")), "train does not have")
    open_inputs(project(train="reference.parquet", current="cut.parquet"))


def test_no_rows(project, tmp_path):
    FRAME.head(0).to_parquet(tmp_path / "none.parquet")
    refused(
        InputError,
        lambda: fingerprints(project(reference="none.parquet")),
        "reference 'none.parquet' has no rows",
        "settings.ini, line 3",
    )
    assert open_inputs(project(current="none.parquet")).current.count().execute() == 0
    refused(InputError, lambda: fingerprints(project(current="nonee.parquet")), "did you mean 'none.parquet'?", "line 4")


def test_fingerprints_of_files(project, tmp_path):
    reference, current = fingerprints(project())
    raw = (tmp_path / "reference.parquet").read_bytes()
    assert reference == {
        "role": "reference",
        "location": "reference.parquet",
        "algorithm": "SHA-256",
        "digest": hashlib.sha256(raw).hexdigest(),
        "rows": 200,
        "columns": 5,
    }
    assert (current["role"], current["rows"], current["columns"]) == ("current", 200, 3)
    for n in range(2):
        FRAME[n * 100 : n * 100 + 100].to_parquet(tmp_path / f"part{n}.parquet")
    (first,) = fingerprints(project(reference="part*.parquet", current=None))
    assert (first["rows"], first["location"]) == (200, "part*.parquet")
    (tmp_path / "part1.parquet").rename(tmp_path / "part2.parquet")
    (second,) = fingerprints(project(reference=str(tmp_path / "part*.parquet"), current=None))
    assert second["digest"] != first["digest"]
    assert second["location"] == "part*.parquet"


def test_row_hashes_tell_every_change_and_no_shuffle(tmp_path):
    def digest(frame):
        return hash_rows(open_table(frame))["digest"]

    plain = digest(FRAME)
    for seed in range(5):
        assert digest(FRAME.sample(frac=1, random_state=seed)) == plain
    changed = [
        FRAME.assign(**{c: FRAME[c].where(FRAME.index != 77, FRAME[c][78] if FRAME[c][78] != FRAME[c][77] else None)})
        for c in FRAME.columns
    ]
    changed += [FRAME.drop(index=3), pd.concat([FRAME, FRAME[3:4]]), pd.concat([FRAME, FRAME]), FRAME.rename(columns={"x": "z"})]
    changed += [
        FRAME.assign(kind=FRAME.kind.fillna("")),
        FRAME.assign(x=FRAME.x.replace(FRAME.x[5], np.nextafter(FRAME.x[5], 9))),
    ]
    swapped = FRAME.copy()
    swapped.loc[[1, 2], "x"] = FRAME.loc[[2, 1], "x"].to_numpy()
    digests = {digest(frame) for frame in [*changed, swapped]}
    assert len(digests) == len(changed) + 1
    assert plain not in digests
    assert len(plain) == 64
    assert digest(FRAME.head(0)) == "0" * 64


def test_the_same_rows_in_three_places_have_one_fingerprint(project, tmp_path):
    frame = FRAME[["id", "x", "kind"]]
    with duckdb.connect(str(tmp_path / "t.duckdb")) as con:
        con.sql("create table t as select * from frame")
    with sqlite3.connect(tmp_path / "t.sqlite") as con:
        frame.to_sql("t", con, index=False)
    (tmp_path / "fn_inputs.py").write_text(
        "import pandas as pd\ndef t():\n    return pd.read_parquet(__file__.replace('fn_inputs.py', 't.parquet'))\n"
    )
    frame.to_parquet(tmp_path / "t.parquet")
    found = [
        fingerprints(project(reference=spec, current=None, target=None, time=None))[0]
        for spec in ("t.duckdb::t", "t.sqlite::t", "fn_inputs:t")
    ]
    assert {f["digest"] for f in found} == {hash_rows(open_table(frame))["digest"]}
    assert all(f["algorithm"].startswith("sum of SHA-256 of rows as JSON, DuckDB") and f["rows"] == 200 for f in found)
    assert [f["location"] for f in found] == ["t.duckdb::t", "t.sqlite::t", "fn_inputs:t"]


def test_a_clock_zone_does_not_change_a_fingerprint():
    code = (
        "import pandas as pd; from prodnb.inputs import hash_rows; from prodnb.tables import open_table;"
        "print(hash_rows(open_table(pd.DataFrame({'t': pd.date_range('2024-01-01', periods=3, tz='Asia/Tokyo')})))['digest'])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], env=os.environ | {"TZ": zone}, capture_output=True, text=True, check=True)
        for zone in ("America/New_York", "UTC")
    ]
    assert len({run.stdout for run in runs}) == 1


def test_fingerprints_of_models(project, tmp_path, monkeypatch):
    (tmp_path / "fn_models.py").write_text("def boom():\n    raise SystemExit('loaded')\n")
    entry = fingerprints(project(model="fn_models:boom"))[-1]
    assert entry["digest"] == hashlib.sha256((tmp_path / "fn_models.py").read_bytes()).hexdigest()
    assert (entry["role"], entry["rows"], entry["columns"], entry["location"]) == ("model", None, None, "fn_models:boom")
    joblib.dump(LogisticRegression().fit(FRAME[["x"]], FRAME.y), tmp_path / "m.joblib")
    settings = project(model="m.joblib")
    refused(InputError, lambda: fingerprints(settings), "--trust")
    refused(InputError, lambda: open_inputs(settings).model, "--trust")
    assert fingerprints(settings, trust=True)[-1]["role"] == "model"
    monkeypatch.setenv("PRODNB_TRUST", "1")
    assert fingerprints(settings)[-1]["digest"] == hashlib.sha256((tmp_path / "m.joblib").read_bytes()).hexdigest()
    with pytest.warns(UserWarning, match="pickle"):
        model = open_inputs(settings).model
    assert model.task == "binary"
    with pytest.warns(UserWarning, match="pickle"):
        refused(
            SettingsError,
            lambda: open_inputs(project(model="m.joblib", task="regression")).model,
            "task is regression, but the model's is binary",
        )
    refused(
        InputError, lambda: fingerprints(project(model="models:/m@champion", mlflow="off")), "switched off", "settings.ini, line"
    )
    refused(InputError, lambda: fingerprints(project(model="models:/m@champion")), "no MLflow store 'mlflow.db'")
    assert not (tmp_path / "mlflow.db").exists()


def test_the_model_is_loaded_once(project, tmp_path):
    (tmp_path / "fn_once.py").write_text("made = []\ndef make():\n    made.append(1)\n    return lambda frame: frame.x\n")
    inputs = open_inputs(project(model="fn_once:make"))
    assert inputs.model is inputs.model
    assert sys.modules["fn_once"].made == [1]


def test_no_absolute_path_and_no_password_in_a_fingerprint(project, tmp_path):
    for spec in (str(tmp_path / "reference.parquet"), f"{tmp_path}/*.parquet"):
        assert str(tmp_path) not in str(fingerprints(project(reference=spec, current=None)))


def test_infer_roles_on_made_data():
    scored = FRAME.assign(probability=0.5, prediction=1, zip_code=[1010, 1020] * 100).rename(
        columns={"y": "target", "id": "order_id"}
    )
    roles, why = infer_roles(scored)
    assert roles == Roles("target", "prediction", "probability", "when", "order_id", None, (), ("zip_code",), (), (), "binary")
    assert set(why) == {"target", "prediction", "probability", "time", "id", "categorical", "task"}
    assert all(len(reason) > 20 for reason in why.values())


def test_infer_roles_is_conservative():
    frame = pd.DataFrame(
        {
            "a": range(100),
            "weight": 1.5,
            "probability": 7.0,
            "identity": range(100),
            "t1": pd.Timestamp("2024"),
            "t2": pd.Timestamp("2024"),
        }
    )
    assert infer_roles(frame) == (Roles(), {})
    assert infer_roles(FRAME.drop(columns="y").assign(bought=1), FRAME.drop(columns="y"))[0].target == "bought"
    assert infer_roles(pd.DataFrame({"target": [1]}))[0].target is None  # one value predicts nothing
    wide = pd.DataFrame(np.zeros((3, 2000)), columns=[f"c{n}" for n in range(2000)]).assign(target=[0, 1, 2])
    started = time.perf_counter()
    assert infer_roles(wide)[0].target == "target"
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("name", "target", "when"),
    [
        ("elec2/elec2.parquet", "class", "date_approx"),
        ("german_credit/german_credit.csv.gz", None, None),
        ("nannyml_car_loan/reference.parquet", None, "timestamp"),
        ("diamonds/diamonds.parquet", None, None),
    ],
)
def test_infer_roles_on_real_data(name, target, when):
    roles, why = infer_roles(shared_data(name))
    assert (roles.target, roles.time) == (target, when)
    assert set(why) >= {r for r in ("target", "time") if getattr(roles, r)}


def test_fingerprints_are_quick(project, tmp_path):
    big = pd.DataFrame(RNG.normal(size=(33_000, 20)), columns=[f"c{n}" for n in range(20)]).assign(s="text")
    big.to_parquet(tmp_path / "reference.parquet")
    big.to_parquet(tmp_path / "current.parquet")
    settings = project(current="current.parquet", target=None, time=None, id=None)
    started = time.perf_counter()
    fingerprints(settings)
    assert time.perf_counter() - started < 2


def test_input_stamps_see_a_changed_file(project, tmp_path):
    settings = project(model="fn_models:boom")
    before = input_stamps(settings)
    assert len(before) == 2
    assert input_stamps(settings) == before
    FRAME.head(50).to_parquet(tmp_path / "reference.parquet", index=False)
    assert input_stamps(settings) != before


@pytest.mark.parametrize("name", ["repaid", "paid", "is_valid"])
def test_a_name_that_happens_to_end_in_id_is_no_identifier(name):
    before = pd.DataFrame({"x": [1.5, 2.5] * 20, name: [0, 1] * 20})
    assert infer_roles(before, before[["x"]])[0].target == name
    assert infer_roles(pd.DataFrame({"x": [1.5] * 40, name: range(40)}))[0].id is None
    for key in ("id", "order_id", "customerID", "userId", "GUID", "row_uuid"):
        assert infer_roles(pd.DataFrame({"x": [1.5] * 40, key: range(40)}))[0].id == key
