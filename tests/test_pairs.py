"""shap as the second engine: against brute force on every kind of tree model, with its cut lifted; what it gets wrong is not offered."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from prodnb.pairs import BOUND, open_pairs, pairs_values
from prodnb.probe import threads
from prodnb.shapley import shapley

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 5))
SCORE = X[:, 0] * X[:, 1] + X[:, 2] + (X[:, 3] > 0)
TWO, THREE = (SCORE > 0.5).astype(int), np.digitize(SCORE, [-0.5, 1])


@pytest.fixture(autouse=True)
def _one_thread():
    with threads(1):
        yield


def lightgbm(kind, **more):
    return lambda: getattr(pytest.importorskip("lightgbm"), kind)(n_estimators=10, verbose=-1, n_jobs=1, **more)


def xgboost(kind):
    return lambda: getattr(pytest.importorskip("xgboost"), kind)(n_estimators=10, max_depth=4, n_jobs=1)


CASES = {
    "forest": (lambda: RandomForestClassifier(5, max_depth=5, random_state=0), TWO, "probability of 1"),
    "forest of three": (lambda: RandomForestClassifier(5, max_depth=5, random_state=0), THREE, "probability of each class"),
    "forest value": (lambda: RandomForestRegressor(5, max_depth=5, random_state=0), SCORE, "predicted value"),
    "extra": (lambda: ExtraTreesClassifier(5, max_depth=5, random_state=0), TWO, "probability of 1"),
    "one tree": (lambda: DecisionTreeClassifier(max_depth=4), TWO, "probability of 1"),
    "boosted": (lambda: GradientBoostingClassifier(n_estimators=10), TWO, "log-odds of 1"),
    "boosted value": (lambda: GradientBoostingRegressor(n_estimators=10), SCORE, "predicted value"),
    "histograms": (lambda: HistGradientBoostingClassifier(max_iter=10), TWO, "log-odds of 1"),
    "histograms value": (lambda: HistGradientBoostingRegressor(max_iter=10), SCORE, "predicted value"),
    "lightgbm": (lightgbm("LGBMClassifier"), TWO, "log-odds of 1"),
    "lightgbm of three": (lightgbm("LGBMClassifier"), THREE, "log-odds of each class, up to a number that all classes share"),
    "lightgbm value": (lightgbm("LGBMRegressor"), SCORE, "predicted value"),
    "xgboost": (xgboost("XGBClassifier"), TWO, "log-odds of 1"),
    "xgboost value": (xgboost("XGBRegressor"), SCORE, "predicted value"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_tree_model_against_all_coalitions_beyond_the_cut(name):
    build, target, scale = CASES[name]
    model = build().fit(X, target)
    classes = tuple(np.unique(target).tolist()) if hasattr(model, "classes_") and target is not SCORE else ()
    opened, why = open_pairs(model, X[:130], classes)
    assert (why, opened.scale) == ("", scale)
    values, weights = pairs_values(opened, X[-3:], blocks=4)
    truth = shapley(lambda f: opened.predict(f.to_numpy()), pd.DataFrame(X[-3:]), pd.DataFrame(X[:130]), scale=scale, blocks=4)
    np.testing.assert_allclose(weights, truth.weights)
    assert np.abs(values - truth.blocks).max() < BOUND * truth.predictions.std(axis=0).max() + 1e-6
    np.testing.assert_allclose(opened.base, truth.base, atol=1e-6)
    assert opened.seconds > 0


def test_missing_values_go_where_the_model_sends_them():
    holes = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    for model in (HistGradientBoostingClassifier(max_iter=10), lightgbm("LGBMClassifier")()):
        model.fit(holes, TWO)
        opened, why = open_pairs(model, holes[:60], (0, 1))
        assert why == ""
        values = pairs_values(opened, holes[-4:])[0][:, 0]
        truth = shapley(lambda f, o=opened: o.predict(f.to_numpy()), pd.DataFrame(holes[-4:]), pd.DataFrame(holes[:60]), scale="")
        assert np.abs(values - truth.values).max() < 1e-6


def test_rows_that_lie_on_a_threshold_go_to_the_right_side_where_shap_alone_sends_some_to_the_wrong():
    import shap

    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(X, TWO)
    truth = shapley(
        lambda f: model.decision_function(f.to_numpy())[:, None], pd.DataFrame(X[:30]), pd.DataFrame(X[:50]), scale=""
    ).values[:, :, 0]
    masker = shap.maskers.Independent(X[:50], max_samples=50)
    alone = shap.TreeExplainer(model, masker).shap_values(X[:30], check_additivity=False)
    ours = pairs_values(open_pairs(model, X[:50], (0, 1))[0], X[:30])[0][:, 0, :, 0]
    assert np.abs(ours - truth).max() < 1e-6 < np.abs(alone - truth).max()


def test_why_the_probability_of_a_boosted_model_is_not_offered():
    import shap

    model = GradientBoostingClassifier(n_estimators=20, random_state=0).fit(X, TWO)
    masker = shap.maskers.Independent(X[:50], max_samples=50)
    theirs = shap.TreeExplainer(model, masker, model_output="probability").shap_values(X[:10])
    truth = shapley(
        lambda f: model.predict_proba(f.to_numpy())[:, 1:], pd.DataFrame(X[:10]), pd.DataFrame(X[:50]), scale=""
    ).values[:, :, 0]
    assert np.abs(theirs - truth).max() > 0.005
    assert open_pairs(model, X[:50], (0, 1))[0].scale == "log-odds of 1"


def test_a_model_that_shap_reads_wrongly_is_refused():
    model = RandomForestClassifier(5, max_depth=3, random_state=0).fit(X, TWO)
    shifted = RandomForestClassifier(5, max_depth=3, random_state=0).fit(X, TWO)
    shifted.predict_proba = lambda rows: np.clip(model.predict_proba(rows) * 0.9 + 0.05, 0, 1)
    opened, why = open_pairs(shifted, X[:50], (0, 1))
    assert opened is None
    assert "not what the model predicts" in why


def test_a_model_that_shap_cannot_read_is_a_reason():
    assert "cannot read this LogisticRegression" in open_pairs(LogisticRegression().fit(X, TWO), X[:50], (0, 1))[1]


def test_splits_by_category_are_never_explained_wrongly():
    codes = np.column_stack([RNG.integers(0, 8, 400), X[:, 0]]).astype(float)
    target = (np.isin(codes[:, 0], [1, 4, 6]) ^ (codes[:, 1] > 0)).astype(int)
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features=[0]).fit(codes, target)
    opened, why = open_pairs(model, codes[:60], (0, 1))
    assert opened is None
    assert why
