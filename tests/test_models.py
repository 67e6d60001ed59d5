"""Every kind of model opens, tells what it knows, and cannot answer wrongly unseen."""

import logging
import os
import re
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from prodnb.errors import InputError
from prodnb.mlflow_models import digest_folder
from prodnb.models import as_model, open_model, tracking_uri
from prodnb.settings import load_settings

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": RNG.normal(size=300), "b": RNG.normal(size=300), "c": RNG.choice(["x", "y"], 300)})
LATE = (FRAME.a + FRAME.b > 0).astype(int)


def pipeline():
    prepare = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder="passthrough")
    return make_pipeline(prepare, HistGradientBoostingClassifier(max_iter=5, random_state=0)).fit(FRAME, LATE)


def refused(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    for word in words:
        assert word.lower() in str(caught.value).lower(), str(caught.value)
    return str(caught.value)


class Says:
    """Answers what it is told to."""

    def __init__(self, predict=None, proba=None, classes=None):
        self.answer = predict
        if proba is not None:
            self.predict_proba = lambda frame: proba
        if classes is not None:
            self.classes_ = np.asarray(classes)

    def predict(self, frame):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Says(ValueError("shapes (3,1) and (4,) not aligned\nmore")), "raised ValueError: shapes"),
        (Says(KeyError("/home/ann/secret/model.bin")), ".../model.bin"),
        (Says([1, 2]), "returned 2 for 3 rows"),
        (Says(0.5), "a single value"),
        (Says(np.zeros((3, 2, 2))), "3x2x2"),
        (Says([1, np.nan, 2]), "1 values that are NaN or infinite, of 3"),
        (Says([1, np.inf, 2]), "NaN or infinite"),
        (Says([1, None, 2]), "labels and no probabilities"),
        (Says(["x", "y", "z"]), "labels and no probabilities"),
        (Says([1, 2, 1], np.full((3, 2), 0.6), [1, 2]), "do not add up to 1"),
        (Says([1, 2, 1], [[1.5, -0.5]] * 3, [1, 2]), "from -0.5 to 1.5"),
        (Says([1, 2, 1], [[np.nan, 1]] * 3, [1, 2]), "NaN"),
        (Says([1, 2, 1], [[0.5, 0.5]] * 2, [1, 2]), "2x2"),
        (Says([1, 2, 1], [["u", "v"]] * 3, [1, 2]), "of type"),
        (Says([1, 2, 3], classes=[1, 2]), "from 1 to 3"),
        (Says([1, 2, 9], classes=[1, 2, 3]), "a class that it does not list"),
        (Says([[0.4, 0.5], [0.1, 0.9], [0.5, 0.5]]), "do not add up"),
    ],
)
def test_a_wrong_answer_is_refused(model, words):
    refused(lambda: as_model(model, "the model").score(ROWS), words, "the model")


@pytest.mark.parametrize(
    ("model", "score"),
    [
        (Says([1, 2, 1], [[0.2, 0.8]] * 3, [1, 2]), [0.8] * 3),
        (Says([1.5, -2, 0]), [1.5, -2, 0]),
        (Says([[1.5], [-2], [0]]), [1.5, -2, 0]),
        (Says([True, False, True]), [1, 0, 1]),
        (Says(["n", "y", "y"], classes=["n", "y"]), [0, 1, 1]),
        (Says([1, 2, 2], classes=[1, 2]), [0, 1, 1]),
        (Says([0.25, 0.5, 1], classes=[0, 1]), [0.25, 0.5, 1]),
        (Says([[0.2, 0.8]] * 3), [0.8] * 3),
        (Says([1, 2, 3], classes=[1, 2, 3]), np.eye(3)),
        (lambda frame: frame.a / 10, [0.1, 0.2, 0.3]),
        (lambda frame: frame[["a"]] / 10, [0.1, 0.2, 0.3]),
    ],
)
def test_a_right_answer_is_taken(model, score):
    assert np.allclose(as_model(model).score(ROWS), score)


def test_fitted_estimators_tell_what_they_are():
    model = as_model(pipeline())
    assert (model.task, model.classes, model.features) == ("binary", (0, 1), ("a", "b", "c"))
    shuffled = FRAME.assign(extra=1)[["c", "extra", "b", "a"]]
    assert np.allclose(model.score(shuffled), pipeline().predict_proba(FRAME)[:, 1])
    refused(lambda: model.score(FRAME.drop(columns="b")), "needs the column 'b'")
    regression = as_model(RandomForestRegressor(5).fit(FRAME[["a"]], FRAME.b))
    assert (regression.task, regression.predict_proba) == ("regression", None)
    three = as_model(LogisticRegression().fit(FRAME[["a"]], np.digitize(FRAME.a, [-0.5, 0.5])))
    assert three.task == "multiclass"
    assert three.score(FRAME).shape == (300, 3)
    assert set(as_model(LinearSVC().fit(FRAME[["a"]], LATE)).score(FRAME)) == {0, 1}
    refused(lambda: as_model(3), "is no model")


def test_functions_factories_and_objects(tmp_path):
    (tmp_path / "mymodels.py").write_text(
        "import numpy as np\n"
        "class M:\n    def predict(self, frame):\n        return np.full(len(frame), 7.0)\n"
        "def factory():\n    return M()\n"
        "def function_factory():\n    return share\n"
        "def share(frame):\n    return np.full(len(frame), 0.5)\n"
        "thing = M()\n"
        "def broken():\n    raise RuntimeError('no weights')\n"
        "def nothing():\n    return None\n"
        "number = 3\n"
    )
    for name, value in (("factory", 7), ("thing", 7), ("M", 7), ("share", 0.5), ("function_factory", 0.5)):
        model = open_model(f"mymodels:{name}", folder=tmp_path)
        assert (model.score(ROWS) == value).all(), name
        assert re.fullmatch("[0-9a-f]{64}", model.digest["digest"])
        assert model.name == f"mymodels:{name}"
    refused(lambda: open_model("mymodels:broken", folder=tmp_path), "raised RuntimeError: no weights")
    refused(lambda: open_model("mymodels:nothing", folder=tmp_path), "type NoneType is no model")
    refused(lambda: open_model("mymodels:number", folder=tmp_path), "is no model")
    refused(lambda: open_model("mymodels:factori", folder=tmp_path), "did you mean 'factory'?")
    refused(lambda: open_model("nomodels:x", folder=tmp_path), "no module 'nomodels'")


@pytest.mark.parametrize("end", ["pkl", "pickle", "joblib"])
def test_pickles_need_trust(tmp_path, end):
    joblib.dump(pipeline(), tmp_path / f"m.{end}")
    refused(lambda: open_model(f"m.{end}", folder=tmp_path), "--trust", "runs whatever code", "MLflow")
    with pytest.warns(UserWarning, match="runs whatever code"):
        model = open_model(f"m.{end}", folder=tmp_path, trust=True)
    assert np.allclose(model.score(FRAME), pipeline().predict_proba(FRAME)[:, 1])
    assert model.size_bytes == (tmp_path / f"m.{end}").stat().st_size


def test_a_refused_pickle_runs_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "evil"),))

    joblib.dump(Evil(), tmp_path / "m.pkl")
    refused(lambda: open_model("m.pkl", folder=tmp_path), "--trust")
    assert not (tmp_path / "evil").exists()
    (tmp_path / "junk.pkl").write_bytes(b"junk")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused(lambda: open_model("junk.pkl", folder=tmp_path, trust=True), "cannot load junk.pkl")


def test_files_that_are_no_model(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"junk")
    refused(lambda: open_model("model.onnx", folder=tmp_path), "cannot load model.onnx")
    refused(lambda: open_model("modle.onnx", folder=tmp_path), "did you mean 'model.onnx'?")
    refused(lambda: open_model("model.bin", folder=tmp_path), "cannot tell what model", "models:/name@alias")


def onnx_types(frame):
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    kinds = {
        c: StringTensorType([None, 1]) if not pd.api.types.is_numeric_dtype(frame[c]) else FloatTensorType([None, 1])
        for c in frame
    }
    return list(kinds.items())


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("k", [2, 3])
def test_onnx_classifiers(tmp_path, zipmap, columns, k):
    skl2onnx = pytest.importorskip("skl2onnx")
    from skl2onnx.common.data_types import FloatTensorType

    target = np.digitize(FRAME.a, np.linspace(-0.5, 0.5, k - 1)) if k > 2 else LATE
    if columns:
        inputs = FRAME[["a", "c"]].astype({"a": "float32"})
        prepare = make_column_transformer((OneHotEncoder(), ["c"]), (StandardScaler(), ["a"]))
        fitted, types = make_pipeline(prepare, LogisticRegression()).fit(inputs, target), onnx_types(inputs)
    else:
        inputs = FRAME[["a", "b"]].astype("float32")
        fitted, types = LogisticRegression().fit(inputs.to_numpy(), target), [("X", FloatTensorType([None, 2]))]
    raw = skl2onnx.convert_sklearn(fitted, initial_types=types, options={LogisticRegression: {"zipmap": zipmap}})
    (tmp_path / "m.onnx").write_bytes(raw.SerializeToString())
    model = open_model("m.onnx", folder=tmp_path)
    oracle = fitted.predict_proba(inputs if columns else inputs.to_numpy())
    assert model.task == ("binary" if k == 2 else "multiclass")
    assert model.classes == tuple(range(k))
    assert model.features == (("a", "c") if columns else None)
    assert np.allclose(model.score(inputs), oracle[:, 1] if k == 2 else oracle, atol=1e-5)
    assert (model.predict(inputs) == fitted.predict(inputs if columns else inputs.to_numpy())).all()


def test_onnx_regression(tmp_path):
    skl2onnx = pytest.importorskip("skl2onnx")
    fitted = LinearRegression().fit(FRAME[["a", "b"]].to_numpy(np.float32), FRAME.a * 2 + FRAME.b)
    (tmp_path / "m.onnx").write_bytes(skl2onnx.to_onnx(fitted, FRAME[["a", "b"]].to_numpy(np.float32)).SerializeToString())
    model = open_model("m.onnx", folder=tmp_path)
    assert model.task == "regression"
    assert np.allclose(model.score(FRAME[["a", "b"]]), FRAME.a * 2 + FRAME.b, atol=1e-4)
    refused(lambda: model.score(FRAME), "predict of the model raised")


def test_the_fingerprint_of_an_onnx_model_covers_the_files_of_its_weights(tmp_path):
    onnx = pytest.importorskip("onnx")
    from prodnb.models import digest_model_file, model_files

    def write(weight, location):
        held = onnx.numpy_helper.from_array(np.full((2, 1), weight, np.float32), "W")
        shapes = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [None, k]) for n, k in (("X", 2), ("Y", 1))]
        graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["X", "W"], ["Y"])], "g", shapes[:1], shapes[1:], [held])
        made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
        (tmp_path / location).unlink(missing_ok=True)
        onnx.save_model(made, str(tmp_path / "m.onnx"), save_as_external_data=True, location=location, size_threshold=0)
        return digest_model_file(tmp_path / "m.onnx")

    for location in ("m.onnx.data", "w" * 200):
        first, again, other = (write(weight, location) for weight in (1.0, 1.0, 5.0))
        assert first == again != other
        assert [f.name for f in model_files(tmp_path / "m.onnx")] == ["m.onnx", location]
    (tmp_path / location).unlink()
    assert digest_model_file(tmp_path / "m.onnx")["digest"] == ""


def test_onnx_without_the_extra(tmp_path, monkeypatch):
    (tmp_path / "m.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    refused(lambda: open_model("m.onnx", folder=tmp_path), "onnxruntime is not installed", "prodnb[onnx]")


def settings_file(folder, text=""):
    (folder / "settings.ini").write_text(f"[project]\nname = x\n{text}")
    return load_settings(folder / "settings.ini")


def test_tracking_uri(tmp_path):
    assert tracking_uri(settings_file(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"
    given = {"off": "", "OFF": "", "http://h:5000": "http://h:5000", "sqlite:///a/b.db": f"sqlite:///{tmp_path}/a/b.db"}
    given |= {"sqlite:////abs/b.db": "sqlite:////abs/b.db", "databricks": "databricks", "mlruns": f"{tmp_path}/mlruns"}
    for text, expected in given.items():
        assert tracking_uri(settings_file(tmp_path, f"[archive]\nmlflow = {text}\n")) == expected


def test_mlflow_off_or_absent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(
        lambda: open_model("models:/m@champion", tracking_uri="", where="settings.ini, line 3"),
        "settings.ini, line 3: MLflow is switched off",
    )
    refused(lambda: open_model("models:/m@champion", folder=tmp_path), "there is no MLflow store 'mlflow.db'")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A SQLite store with a scikit-learn model under an alias, a pyfunc, and a run that logged a model."""
    import mlflow

    folder = tmp_path_factory.mktemp("store")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    old = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    experiment = mlflow.create_experiment("flights", artifact_location=(folder / "artifacts").as_uri())

    class Half(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return np.full(len(model_input), 0.5)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.log_params({"max_iter": 5})
            mlflow.log_metrics({"auc": 0.91})
            mlflow.sklearn.log_model(
                pipeline(),
                name="model",
                registered_model_name="flights",
                input_example=FRAME.head(2),
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
            )
            mlflow.pyfunc.log_model(name="half", python_model=Half(), registered_model_name="half", pip_requirements=["numpy"])
    mlflow.MlflowClient().set_registered_model_alias("flights", "champion", 1)
    mlflow.set_tracking_uri(old)
    return folder, run.info.run_id


@pytest.mark.slow
def test_mlflow_models(store, tmp_path, monkeypatch, capfd, caplog):
    import mlflow

    folder, run = store
    monkeypatch.chdir(tmp_path)
    before, digests = mlflow.get_tracking_uri(), set()
    for spec in ("models:/flights@champion", "models:/flights/1", "models:/flights/latest", f"runs:/{run}/model"):
        model = open_model(spec, folder=folder)
        assert np.allclose(model.score(FRAME), pipeline().predict_proba(FRAME)[:, 1])
        assert (model.task, model.features, model.classes) == ("binary", ("a", "b", "c"), (0, 1))
        assert model.training["run_id"] == run
        assert model.training["metrics"] == {"auc": 0.91}
        assert model.training["parameters"] == {"max_iter": "5"}
        assert model.training["seconds"] > 0
        assert model.training.get("version") == (None if spec.startswith("runs") else "1")
        assert model.size_bytes > 1000
        assert type(model.native).__name__ == "Pipeline"
        digests.add(model.digest["digest"])
    assert len(digests) == 1
    half = open_model("models:/half/1", folder=folder)
    assert (half.score(FRAME) == 0.5).all()
    assert list(tmp_path.iterdir()) == []
    assert mlflow.get_tracking_uri() == before
    out = capfd.readouterr()
    assert out.out + out.err == ""


@pytest.mark.slow
def test_mlflow_mistakes(store, monkeypatch):
    folder, run = store
    refused(
        lambda: open_model("models:/flihgts@champion", folder=folder), "no registered model 'flihgts'", "did you mean 'flights'?"
    )
    refused(lambda: open_model("models:/flights@champoin", folder=folder), "no alias 'champoin'", "did you mean 'champion'?")
    refused(lambda: open_model("models:/flights/7", folder=folder), "no version '7'", "there are '1'")
    refused(lambda: open_model("models:/flights/x", folder=folder), "no version 'x'")
    refused(lambda: open_model("models:/flights", folder=folder), "is no MLflow model", "models:/name@alias")
    refused(lambda: open_model(f"runs:/{run[:-1]}/model", folder=folder), "no run", run)
    refused(lambda: open_model(f"runs:/{run}/modle", folder=folder), "modle")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    refused(lambda: open_model("models:/flights/1", folder=folder), "MLFLOW_ALLOW_PICKLE_DESERIALIZATION")
    uri = "http://ann:s3cret@127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    text = refused(lambda: open_model("models:/flights/1", tracking_uri=uri))
    assert "s3cret" not in text


def test_a_store_that_is_no_store(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"junk" * 1000)
    assert str(tmp_path) not in refused(lambda: open_model("models:/m/1", folder=tmp_path), "MLflow")


def test_digest_of_a_folder(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
    for folder, names in (("one", "abc"), ("two", "cba")):
        for name in names:
            (tmp_path / folder / "sub" / name).write_text(name)
    first = digest_folder(tmp_path / "one")
    assert first == digest_folder(tmp_path / "two")
    (tmp_path / "two/registered_model_meta").write_text("written by loading")
    assert first == digest_folder(tmp_path / "two")
    (tmp_path / "two/sub/a").rename(tmp_path / "two/sub/d")
    assert first != digest_folder(tmp_path / "two")


def test_a_model_that_works_in_place_does_not_change_the_rows_of_the_check():
    def greedy(frame):
        frame["x"] = 0.0
        frame.pop("z")
        return np.zeros(len(frame))

    rows = pd.DataFrame({"x": [1.0, 2.0], "z": [3.0, 4.0]})
    as_model(greedy).score(rows)
    assert rows.to_dict("list") == {"x": [1.0, 2.0], "z": [3.0, 4.0]}
