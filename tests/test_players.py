"""Whose column is it: the encodings of pipelines, found by changing columns."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from prodnb.engines import open_explainer
from prodnb.errors import InputError
from prodnb.players import UNKNOWN, as_numbers, find_players, take_apart


def table(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "a": rng.normal(size=rows), "a_b": rng.normal(size=rows), "b": rng.choice(["x", "y", "z"], rows),
        "a_b_x": rng.choice(["x", "y"], rows, p=[0.97, 0.03]), "n": rng.integers(0, 5, rows).astype(float),
    })  # fmt: skip


TEXTS = ["b", "a_b_x"]
NUMBERS = ["a", "a_b", "n"]
ENCODINGS = {  # names that mislead (a_b_x one-hot of b in a name, or a column), every order, rare levels
    "one-hot": ((OneHotEncoder(), TEXTS), (StandardScaler(), NUMBERS)),
    "one-hot without the first": ((StandardScaler(), ["n", "a"]), (OneHotEncoder(drop="first"), ["a_b_x", "b"])),
    "ordinal": ((OrdinalEncoder(), TEXTS), ("passthrough", NUMBERS)),
    "target": ((TargetEncoder(), TEXTS), ("passthrough", ["n"])),
    "splines": ((SplineTransformer(3), NUMBERS),),
    "bins": ((KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), NUMBERS), (OneHotEncoder(), TEXTS)),
    "missing": ((make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), NUMBERS),),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_each_encoded_column_moves_with_its_own_and_no_other(name):
    frame = table()
    encoder = make_column_transformer(*ENCODINGS[name]).fit(frame, np.arange(len(frame)) % 2)
    encode = lambda rows: as_numbers(encoder.transform(rows))  # noqa: E731
    players, mixed = find_players(encode, frame)
    assert not mixed.any()
    before = encode(frame)
    for column, player in enumerate(players):
        for other, label in enumerate(frame.columns):  # an independent look: one column at a time, shuffled
            order = np.random.default_rng(other).permutation(len(frame))
            after = encode(frame.assign(**{label: frame[label].take(order).set_axis(frame.index)}))
            moved = not np.array_equal(before[:, column], after[:, column], equal_nan=True)
            assert moved == (other == player)


@pytest.mark.parametrize(
    "step", [PCA(2), PolynomialFeatures(interaction_only=True), FunctionTransformer(lambda f: f.assign(a=f.a / f.n.add(1)))]
)
def test_columns_that_mix_are_told(step):
    frame = table()[NUMBERS]
    model = make_pipeline(step, LogisticRegression()).fit(frame, frame.a > 0)
    parts, reason = take_apart(model, frame)
    assert parts is None
    assert "more than one column" in reason


def test_a_column_that_never_moves_is_unknown():
    frame = table()
    encoder = make_column_transformer((OneHotEncoder(), TEXTS)).fit(frame)
    few = frame[frame.b != "y"]
    players, mixed = find_players(lambda rows: as_numbers(encoder.transform(rows)), few.reset_index(drop=True))
    assert players.tolist() == [2, UNKNOWN, 2, 3, 3]
    assert not mixed.any()


def test_five_hundred_columns_take_eighteen_encodings():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 500)), columns=[f"c{n}" for n in range(500)])
    order, calls = np.random.default_rng(1).permutation(500), []

    def encode(rows):
        calls.append(len(rows))
        return rows.to_numpy()[:, order] * 2

    assert find_players(encode, frame)[0].tolist() == order.tolist()
    assert len(calls) == 1 + 2 * 9


def test_pipelines_in_pipelines_and_searches():
    frame = table()
    y = frame.a > 0
    encoder = ColumnTransformer(
        [("texts", OneHotEncoder(), make_column_selector(dtype_exclude="number"))], remainder="passthrough"
    )
    inner = make_pipeline(StandardScaler(with_mean=False), LogisticRegression())
    found = GridSearchCV(make_pipeline(encoder, inner), {"pipeline__logisticregression__C": [1.0]}, cv=2).fit(frame, y)
    parts, reason = take_apart(found, frame)
    assert reason == ""
    assert isinstance(parts.final, LogisticRegression)
    assert np.allclose(parts.final.predict_proba(parts.encode(frame)), found.predict_proba(frame))
    assert [frame.columns[p] for p in parts.players] == ["b", "b", "b", "a_b_x", "a_b_x", "a", "a_b", "n"]


def test_the_encoder_inside_histogram_boosting():
    frame = table().astype(dict.fromkeys(TEXTS, "category"))
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype").fit(frame, frame.a > 0)
    parts, _ = take_apart(model, frame)
    assert [frame.columns[p] for p in parts.players] == ["b", "a_b_x", "a", "a_b", "n"]


def test_other_order_extra_columns_numbers_as_names_and_steps_that_fail():
    frame = table()
    model = make_pipeline(make_column_transformer((StandardScaler(), ["a", "n"])), LogisticRegression()).fit(
        frame[["a", "n"]], frame.a > 0
    )
    parts, _ = take_apart(model, frame[["b", "n", "a"]], features=["a", "n"])
    assert parts.features == ("a", "n")
    assert parts.players == (0, 1)
    array = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame[NUMBERS].to_numpy(), frame.a > 0)
    assert take_apart(array, pd.DataFrame(frame[NUMBERS].to_numpy()))[0].players == (0, 1, 2)
    parts, reason = take_apart(array, frame[TEXTS])
    assert parts is None
    assert "do not give numbers" in reason


class Fallback(BaseEstimator, TransformerMixin):
    """Takes another column where one is missing."""

    def fit(self, frame, y=None):
        return self

    def transform(self, frame):
        return frame.assign(a=frame.a.fillna(frame.n))


@pytest.mark.parametrize("step", [Fallback(), KNNImputer()])
@pytest.mark.parametrize("final", [LinearRegression(), RandomForestRegressor(5, max_depth=4, random_state=0)])
def test_columns_that_mix_only_in_the_rows_are_refused(step, final):
    frame = table()[NUMBERS]
    model = make_pipeline(step, final).fit(frame, frame.a + frame.n)
    explainer = open_explainer(model, frame.head(50))
    assert explainer.exact
    explainer.explain(frame.tail(3))
    with pytest.raises(InputError, match="more than one column"):
        explainer.explain(frame.tail(3).assign(a=np.nan))
