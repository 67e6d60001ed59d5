"""Linear scores of every kind against brute force; models that are not linear are told from those that are."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC

from prodnb.linear import linear_values, numbers, raw_score, read_linear
from prodnb.shapley import shapley

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
SCORE = X @ [2.0, -1.0, 0.5, 0.0] + RNG.logistic(size=300)
TWO, THREE, COUNT = (SCORE > 0).astype(int), np.digitize(SCORE, [-1, 1]), RNG.poisson(np.exp(X[:, 0] / 2)) + 0.01


def values(score, rows, background, players, blocks=1):
    found, weights, base = linear_values(score, rows, background, players, blocks=blocks)
    return np.einsum("rbfo,b->rfo", found, weights), base


CASES = {
    "logistic": (LogisticRegression(), TWO, "log-odds of 1"),
    "multinomial": (LogisticRegression(), THREE, "log-odds of each class, up to a number that all classes share"),
    "discriminant": (LinearDiscriminantAnalysis(), TWO, "log-odds of 1"),
    "sgd": (SGDClassifier(loss="log_loss", random_state=0), TWO, "log-odds of 1"),
    "sgd hinge": (SGDClassifier(random_state=0), TWO, "decision value of 1"),
    "svm": (LinearSVC(), TWO, "decision value of 1"),
    "kernel": (SVC(kernel="linear"), TWO, "decision value of 1"),
    "ridge classes": (RidgeClassifier(), THREE, "decision value of each class"),
    "bernoulli": (BernoulliNB(binarize=None), TWO, "log-odds of 1"),
    "least squares": (LinearRegression(), SCORE, "predicted value"),
    "ridge": (Ridge(), SCORE, "predicted value"),
    "elastic": (ElasticNet(0.01), SCORE, "predicted value"),
    "sgd value": (SGDRegressor(random_state=0), SCORE, "predicted value"),
    "two values": (LinearRegression(), np.column_stack([SCORE, -SCORE]), "predicted value"),
    "poisson": (PoissonRegressor(), COUNT, "logarithm of the predicted value"),
    "gamma": (GammaRegressor(), COUNT, "logarithm of the predicted value"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_linear_model_against_all_coalitions(name):
    model, target, scale = CASES[name]
    x = (X > 0).astype(float) if name == "bernoulli" else X
    model.fit(x, target)
    classes = tuple(np.unique(target).tolist()) if hasattr(model, "classes_") else ()
    score, why = read_linear(model, x, classes)
    assert (score.scale, why) == (scale, "")
    ask = raw_score(model, x, classes)[0]
    predict = ask if not scale.startswith("logarithm") else lambda rows: np.log(ask(rows))
    found, base = values(score, x[:3], x[100:130], range(4))
    truth = shapley(lambda f: predict(f.to_numpy()), pd.DataFrame(x[:3]), pd.DataFrame(x[100:130]), scale=scale)
    np.testing.assert_allclose(found, truth.values, atol=1e-9)
    np.testing.assert_allclose(base, truth.base, atol=1e-9)


@pytest.mark.parametrize("sparse", [True, False])
def test_spread_columns_fold_back_to_the_users_and_missing_values_are_filled(sparse):
    frame = pd.DataFrame({"n": X[:, 0], "kind": RNG.choice(["a", "b", "c", "d"], 300), "hole": X[:, 1]})
    frame.loc[::5, "hole"] = np.nan
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["kind"]),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["hole"]),
        ("passthrough", ["n"]),
        sparse_threshold=1.0 if sparse else 0.0,
    )
    model = make_pipeline(prepare, LogisticRegression()).fit(frame, TWO)
    encoded = model[0].transform(frame)
    assert hasattr(encoded, "toarray") == sparse
    score, _ = read_linear(model[-1], encoded, (0, 1))
    rows = frame.head(4).assign(kind=["a", "never seen", "b", "c"])
    dense = numbers(model[0].transform(rows))
    found, _ = values(score, dense, numbers(encoded)[100:140], [1, 1, 1, 1, 2, 2, 0])
    truth = shapley(lambda f: model.decision_function(f)[:, None], rows, frame.iloc[100:140], scale="log-odds")
    np.testing.assert_allclose(found, truth.values, atol=1e-9)


def test_blocks_are_backgrounds_of_their_own():
    score, _ = read_linear(Ridge().fit(X, SCORE), X)
    found, weights, _ = linear_values(score, X[:5], X[:50], range(4), blocks=3)
    for n, cut in enumerate((slice(0, 17), slice(17, 33), slice(33, 50))):
        np.testing.assert_allclose(found[:, n], values(score, X[:5], X[cut], range(4))[0])
        assert np.isclose(weights[n], (cut.stop - cut.start) / 50)


class Straight:
    """A linear model that shows no coefficients."""

    def predict(self, rows):
        return np.asarray(rows) @ [1.0, 2.0, 3.0, 0.0] + 1e6


class Tangled:
    """Linear on rows whose last two columns agree, and nowhere else."""

    def predict(self, rows):
        a = np.asarray(rows)
        return a[:, 0] + (a[:, 2] - a[:, 3]) * a[:, 1]


def test_what_is_linear_is_found_by_asking():
    np.testing.assert_allclose(read_linear(Straight(), X)[0].coefficients[:, 0], [1, 2, 3, 0], atol=1e-8)
    agree = X.copy()
    agree[:, 3] = agree[:, 2]
    score, why = read_linear(Tangled(), agree)
    assert score is None
    assert "not linear" in why


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (RandomForestRegressor(5, random_state=0), SCORE),
        (HistGradientBoostingClassifier(max_iter=5), TWO),
        (GaussianNB(), TWO),
        (SVC(), TWO),
        (MLPClassifier((4,), max_iter=20, random_state=0), TWO),
        (make_pipeline(PolynomialFeatures(2), Ridge()), SCORE),
    ],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_what_is_not_linear_is_refused(model, target):
    score, why = read_linear(model.fit(X, target), X, (0, 1) if target is TWO else ())
    assert score is None
    assert why


def test_a_false_coefficient_is_not_believed():
    model = Ridge().fit(X, SCORE)
    model.predict = lambda rows: np.asarray(rows)[:, 0] ** 2
    assert read_linear(model, X)[0] is None


def test_missing_values_in_the_encoded_columns_are_a_reason():
    holes = X.copy()
    holes[0, 0] = np.nan
    assert read_linear(HistGradientBoostingClassifier(max_iter=2).fit(holes, TWO), holes, (0, 1)) == (
        None,
        "the encoded columns have missing values",
    )


def test_raw_scores_are_named_by_what_they_are():
    import lightgbm

    boosted = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(X, TWO)
    score, words = raw_score(boosted, X, (0, 1))
    assert words == "log-odds of 1"
    np.testing.assert_allclose(1 / (1 + np.exp(-score(X)[:, 0])), boosted.predict_proba(X)[:, 1])
    assert raw_score(SVC().fit(X, TWO), X, (0, 1))[1] == "decision value of 1"

    class Bare:
        classes_ = np.array([0, 1, 2])

        def predict(self, rows):
            return np.zeros(len(rows))

    assert raw_score(Bare(), X, (0, 1, 2)) is None
