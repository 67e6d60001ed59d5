"""Exact values of trees: against brute force on the model itself, against shap, whatever library grew the trees."""

from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from prodnb.tree_values import open_trees

ROWS = 400


@pytest.fixture(autouse=True)
def one_thread():
    """Many small fits: threads that wait for each other take longer than the work."""
    with threadpool_limits(1):
        yield


def table(seed: int = 0, missing: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "age": rng.integers(18, 80, ROWS).astype(float),
        "pay": rng.lognormal(1, 1, ROWS),
        "debt": rng.normal(size=ROWS),
        "job": rng.choice(["clerk", "cook", "driver", "nurse"], ROWS),
        "town": rng.choice(["a", "b", "c"], ROWS),
    })  # fmt: skip
    for name in ("age", "pay", "debt"):
        frame.loc[rng.random(ROWS) < missing, name] = np.nan
    return frame


def labels(frame: pd.DataFrame, classes: int = 2) -> np.ndarray:
    score = frame.age.fillna(40) / 20 + frame.debt.fillna(0) * (frame.job == "cook") + (frame.town == "b") * frame.pay.fillna(2)
    return pd.qcut(score, classes, labels=False).to_numpy()


def brute_force(score, row: pd.Series, background: pd.DataFrame) -> np.ndarray:
    """Shapley's formula on the pipeline itself, (features, outputs)."""
    names = list(background.columns)
    n = len(names)
    subsets = [c for size in range(n + 1) for c in combinations(range(n), size)]
    frames = [background.assign(**{names[j]: row[names[j]] for j in c}) for c in subsets]
    for f in frames:
        for name in names:
            f[name] = f[name].astype(background[name].dtype)
    answers = (
        np.asarray(score(pd.concat(frames, ignore_index=True)), float).reshape(len(subsets), len(background), -1).mean(axis=1)
    )
    value, found = dict(zip(subsets, answers, strict=True)), np.zeros((n, answers.shape[1]))
    for c in subsets:
        for j in set(range(n)) - set(c):
            weight = factorial(len(c)) * factorial(n - len(c) - 1) / factorial(n)
            found[j] += weight * (value[tuple(sorted((*c, j)))] - value[c])
    return found


def encoded(final):
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "pay", "debt"]), (OneHotEncoder(), ["job", "town"])
    )
    return make_pipeline(encoder, final)


def categories(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"job": "category", "town": "category"})


SKLEARN = {
    "forest": RandomForestClassifier(8, max_depth=6, random_state=0),
    "deep forest": RandomForestClassifier(4, random_state=0),
    "extra trees": ExtraTreesClassifier(8, max_depth=5, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=5, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=10, random_state=0),
    "histograms": HistGradientBoostingClassifier(max_iter=4, random_state=0),
}


def error(model, frame: pd.DataFrame, background: pd.DataFrame, blocks: int = 3) -> float:
    opened, reason = open_trees(model, background)
    assert opened is not None, reason
    values, weights, base = opened.explain(frame, blocks)
    assert values.shape[:2] == (len(frame), blocks)
    mean = np.einsum("rbfo,b->rfo", values, weights)
    truth = np.stack([brute_force(opened.predict, frame.iloc[n], background) for n in range(len(frame))])
    assert np.abs(base + mean.sum(axis=1) - opened.predict(frame)).max() <= 2 * opened.bound
    return np.abs(mean - truth).max()


@pytest.mark.parametrize("name", SKLEARN)
@pytest.mark.parametrize("classes", [2, 3])
def test_pipelines_are_exact_for_the_users_columns(name, classes):
    frame = table(missing=0.05)
    model = encoded(SKLEARN[name]).fit(frame, labels(frame, classes))
    assert error(model, frame.head(3), frame.tail(41)) <= 1e-6


@pytest.mark.parametrize("final", [RandomForestRegressor(5, max_depth=5), GradientBoostingRegressor(n_estimators=10),
                                   HistGradientBoostingRegressor(max_iter=4), HistGradientBoostingRegressor(max_iter=4, loss="poisson")])  # fmt: skip
def test_regressions_are_exact(final):
    frame = table()
    model = encoded(final.set_params(random_state=0)).fit(frame, labels(frame, 40) + 1.0)
    assert error(model, frame.head(3), frame.tail(41)) <= 1e-6
    logarithm = getattr(final, "loss", "") == "poisson"
    assert open_trees(model, frame.tail(41))[0].scale == ("logarithm of the predicted value" if logarithm else "predicted value")


def test_histogram_boosting_with_categories_and_missing_values():
    frame = categories(table(missing=0.1))
    model = HistGradientBoostingClassifier(max_iter=4, categorical_features="from_dtype").fit(frame, labels(frame))
    assert error(model, frame.head(4), frame.tail(41)) <= 1e-6


@pytest.mark.parametrize("classes", [2, 3])
def test_lightgbm_with_categories_and_missing_values(classes):
    lightgbm = pytest.importorskip("lightgbm")
    pytest.importorskip("treelite")
    frame = categories(table(missing=0.1))
    model = lightgbm.LGBMClassifier(n_estimators=15, min_child_samples=5, n_jobs=1, verbose=-1).fit(frame, labels(frame, classes))
    assert error(model, frame.head(4), frame.tail(41)) <= 1e-6


def test_lightgbm_asked_for_missing_values_that_it_never_saw():
    lightgbm = pytest.importorskip("lightgbm")
    pytest.importorskip("treelite")
    frame = table()[["age", "pay", "debt"]]
    model = lightgbm.LGBMRegressor(n_estimators=15, min_child_samples=5, n_jobs=1, verbose=-1).fit(frame, frame.age * frame.debt)
    other = table(missing=0.2)[["age", "pay", "debt"]]
    assert error(model, other.head(4), other.tail(41)) <= 1e-6


@pytest.mark.parametrize("classes", [2, 3])
def test_xgboost_within_single_precision(classes):
    xgboost = pytest.importorskip("xgboost")
    pytest.importorskip("treelite")
    frame = table(missing=0.1)[["age", "pay", "debt"]]
    y = labels(table(missing=0.1), classes)
    model = xgboost.XGBClassifier(n_estimators=15, max_depth=4).fit(frame, y)
    opened = open_trees(model, frame.tail(41))[0]
    assert 1e-6 < opened.bound < 1e-4
    assert error(model, frame.head(4), frame.tail(41)) <= opened.bound


@pytest.mark.parametrize("classes", [2, 3])
def test_catboost_is_exact(classes):
    catboost = pytest.importorskip("catboost")
    frame = table(missing=0.1)[["age", "pay", "debt"]]
    y = labels(table(missing=0.1), classes)
    model = catboost.CatBoostClassifier(iterations=15, depth=4, verbose=0, allow_writing_files=False).fit(frame, y)
    assert error(model, frame.head(4), frame.tail(41)) <= 1e-6


def test_blocks_are_the_values_against_each_stretch():
    frame = table()
    model = encoded(SKLEARN["boosting"]).fit(frame, labels(frame))
    background = frame.tail(90)
    values, weights, _ = open_trees(model, background)[0].explain(frame.head(5), 3)
    assert np.allclose(weights, 1 / 3)
    for n in range(3):
        alone = open_trees(model, background.iloc[30 * n : 30 * n + 30])[0].explain(frame.head(5))[0]
        assert np.abs(values[:, n] - alone[:, 0]).max() <= 1e-12


def test_long_and_short_ways_agree(monkeypatch):
    import prodnb.leaf_patterns as way

    frame = table()
    model = encoded(SKLEARN["forest"]).fit(frame, labels(frame, 3))
    once = open_trees(model, frame)[0].explain(frame.head(50), 2)[0]
    monkeypatch.setattr(way, "is_long", lambda *_: True)
    pairs = open_trees(model, frame)[0].explain(frame.head(50), 2)[0]
    monkeypatch.setattr(way, "is_long", lambda *_: False)
    monkeypatch.setattr(way, "TOGETHER", 2000)
    chunks = open_trees(model, frame)[0].explain(frame.head(50), 2)[0]
    assert max(np.abs(once - pairs).max(), np.abs(once - chunks).max()) <= 1e-12


def test_agrees_with_shap_over_the_whole_background():
    shap = pytest.importorskip("shap")
    frame = table()[["age", "pay", "debt"]]
    model = RandomForestClassifier(10, max_depth=5, random_state=0).fit(frame, labels(table()))
    masker = shap.maskers.Independent(frame, max_samples=len(frame))
    peer = shap.TreeExplainer(model, masker, feature_perturbation="interventional").shap_values(frame.head(20))[..., 1]
    ours = open_trees(model, frame)[0].explain(frame.head(20))[0][:, 0, :, 0]
    assert np.abs(ours - peer).max() <= 1e-6


def test_a_level_that_the_background_does_not_hold_goes_to_its_column():
    frame = table()
    model = encoded(SKLEARN["boosting"]).fit(frame, labels(frame))
    background = frame[frame.job != "cook"].tail(41)
    rows = frame[frame.job == "cook"].head(3)
    assert error(model, rows, background) <= 1e-6


def test_a_model_that_uses_one_column_gives_all_to_it():
    frame = table()
    model = encoded(SKLEARN["forest"]).fit(frame, (frame.job == "cook").astype(int))
    values = open_trees(model, frame)[0].explain(frame.head(50))[0][:, 0, :, 0]
    assert np.abs(values).mean(axis=0).argmax() == 3
    alone = make_pipeline(make_column_transformer((OneHotEncoder(), ["job"])), SKLEARN["forest"]).fit(frame, frame.job == "cook")
    values = open_trees(alone, frame)[0].explain(frame.head(50))[0][:, 0, :, 0]
    assert np.abs(np.delete(values, 3, axis=1)).max() == 0


def test_wrong_trees_are_refused(monkeypatch):
    import prodnb.tree_values as module

    frame = table()[["age", "pay", "debt"]]
    model = RandomForestClassifier(5, max_depth=4, random_state=0).fit(frame, labels(table()))
    read = module.read_forest

    def tampered(final):
        forest, reason = read(final)
        first = replace(forest.trees[0], threshold=forest.trees[0].threshold + 3.0)
        return replace(forest, trees=(first, *forest.trees[1:])), reason

    monkeypatch.setattr(module, "read_forest", tampered)
    opened, reason = open_trees(model, frame)
    assert opened is None
    assert "miss the predictions" in reason


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost", "sklearn"])
def test_path_dependent_values_are_the_librarys_own_and_named(library):
    frame = table()[["age", "pay", "debt"]]
    y = labels(table())
    if library == "sklearn":
        pytest.importorskip("shap")
        model = RandomForestClassifier(5, max_depth=4, random_state=0)
    else:
        module = pytest.importorskip(library)
        pytest.importorskip("treelite")
        model = {"lightgbm": lambda: module.LGBMClassifier(n_estimators=10, verbose=-1),
                 "xgboost": lambda: module.XGBClassifier(n_estimators=10),
                 "catboost": lambda: module.CatBoostClassifier(iterations=10, verbose=0, allow_writing_files=False)}[library]()  # fmt: skip
    opened, reason = open_trees(model.fit(frame, y), frame, method="path-dependent")
    assert opened is not None, reason
    values, weights, base = opened.explain(frame.head(30), blocks=7)
    assert values.shape == (30, 1, 3, 1)
    assert weights.tolist() == [1.0]
    assert opened.exact is False
    assert opened.method.startswith("path-dependent")
    assert np.abs(base + values[:, 0].sum(axis=1) - opened.predict(frame.head(30))).max() < 1e-5


def test_scales_and_reasons():
    frame = table()
    forest = encoded(SKLEARN["forest"]).fit(frame, np.where(labels(frame), "yes", "no"))
    assert open_trees(forest, frame)[0].scale == "probability of 'yes'"
    assert "not on the log-odds" in open_trees(forest, frame, scale="log-odds")[1]
    boosting = encoded(SKLEARN["boosting"]).fit(frame, np.where(labels(frame), "yes", "no"))
    assert open_trees(boosting, frame, scale="log-odds")[0].scale == "log-odds of 'yes'"
    assert "not at hand" in open_trees(lambda rows: rows.age, frame[["age"]])[1]


def test_one_row_one_feature_and_a_tree_without_a_split():
    frame = table()[["age"]]
    model = RandomForestClassifier(3, max_depth=2, random_state=0).fit(frame, labels(table()))
    assert error(model, frame.head(1), frame.tail(10), blocks=1) <= 1e-9
    flat = DecisionTreeClassifier().fit(frame, np.r_[np.zeros(ROWS - 1), 1][np.zeros(ROWS, int)])
    values = open_trees(flat, frame)[0].explain(frame.head(2))[0]
    assert np.abs(values).max() == 0


def test_the_estimate_is_near_the_time_taken():
    import time

    frame = pd.concat([table(n) for n in range(5)], ignore_index=True)
    model = encoded(GradientBoostingClassifier(n_estimators=60, max_depth=5, random_state=0)).fit(
        frame, labels(frame, 2)[: len(frame)]
    )
    opened = open_trees(model, frame)[0]
    guess = opened.estimate_seconds(500, 5)
    start = time.process_time()
    opened.explain(frame.head(500), 5)
    assert guess / 10 < time.process_time() - start < guess * 20


@pytest.mark.parametrize("many", [64, 70])
def test_a_path_of_more_columns_than_a_pattern_has_bits_is_refused(many):
    frame = pd.DataFrame(np.eye(many + 1)[:, :many], columns=[f"x{n}" for n in range(many)])
    tree = DecisionTreeRegressor(random_state=0).fit(frame, np.arange(many + 1))
    assert tree.get_depth() >= many - 1
    found, reason = open_trees(tree, frame)
    if many > 64:
        assert found is None
        assert "64" in reason
    else:
        values, _, base = found.explain(frame)
        np.testing.assert_allclose(base + values[:, 0].sum(axis=1), tree.predict(frame)[:, None], atol=1e-9)
