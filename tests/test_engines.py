"""Any model, any input: the right engine is chosen and told, its numbers hold against the definition, and what cannot be explained says why."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from shared import shared_data
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC

from prodnb import openers
from prodnb.engines import TooSlow, explain_until, open_explainer, reduce_background, reduction_error
from prodnb.errors import InputError
from prodnb.explanation import additivity_error, shares
from prodnb.model import Model, as_model
from prodnb.probe import threads
from prodnb.shapley import self_check, shapley

RNG = np.random.default_rng(0)
N = 400
FRAME = pd.DataFrame(
    {"a": RNG.normal(size=N), "b": RNG.normal(size=N), "c": RNG.choice(["x", "y", "z"], N), "d": RNG.normal(size=N)}
)
YES = (FRAME.a + FRAME.b * FRAME.d + (FRAME.c == "x") + RNG.normal(size=N) > 0).astype(int)
THREE = np.digitize(FRAME.a + FRAME.b, [-1, 1])
NUMBERS = FRAME[["a", "b", "d"]]


def pipeline(estimator, target=YES, **more):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["c"]), remainder=StandardScaler(), **more
    )
    return make_pipeline(columns, estimator).fit(FRAME, target)


def boosted(target=YES):
    return pipeline(HistGradientBoostingClassifier(max_iter=15, random_state=0), target)


LOGISTIC, TREES = pipeline(LogisticRegression()), boosted()


@pytest.fixture(autouse=True)
def _one_thread():
    with threads(1):
        yield


def truth(explainer, rows):
    return shapley(explainer.predict, rows, explainer.background, scale=explainer.scale).values


CHOICES = {
    "logistic": (lambda: LOGISTIC, "linear", "log-odds of 1"),
    "three classes": (lambda: pipeline(LogisticRegression(), THREE), "linear", "log-odds of each class"),
    "least squares": (lambda: pipeline(LinearRegression(), FRAME.a), "linear", "predicted value"),
    "no probabilities": (lambda: pipeline(LinearSVC()), "linear", "decision value of 1"),
    "histograms": (lambda: TREES, "trees", "log-odds of 1"),
    "histograms of three": (lambda: boosted(THREE), "trees", "log-odds of each class"),
    "histograms value": (lambda: pipeline(HistGradientBoostingRegressor(max_iter=10), FRAME.a), "trees", "predicted value"),
    "forest": (lambda: pipeline(RandomForestClassifier(5, max_depth=4, random_state=0)), "trees", "probability of 1"),
    "naive": (lambda: pipeline(GaussianNB()), "all coalitions", "probability of 1"),
    "kernel": (lambda: pipeline(SVC(random_state=0)), "all coalitions", "decision value of 1, the model gives no probabilities"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_every_model_gets_its_exact_engine_and_it_holds(name):
    build, engine, scale = CHOICES[name]
    explainer = open_explainer(build(), FRAME.head(40), rows=5)
    assert (explainer.engine, explainer.exact) == (engine, True), explainer.notes
    assert explainer.scale.startswith(scale)
    found = explainer.explain(FRAME.tail(5), blocks=7)
    assert found.blocks.shape[:3] == (5, 7, 4)
    assert "40" in found.method
    tolerance = max(explainer.tolerance, 1e-9)
    assert np.abs(found.values - truth(explainer, FRAME.tail(5))).max() <= tolerance * max(found.predictions.std(), 1)
    assert additivity_error(found, explainer.predict(FRAME.tail(5))) <= explainer.tolerance
    np.testing.assert_allclose(found.predictions, explainer.predict(FRAME.tail(5)))


def test_the_scale_is_linked_to_the_models_own_probability():
    for model in (LOGISTIC, TREES):
        explainer = open_explainer(model, FRAME.head(40), rows=5)
        np.testing.assert_allclose(1 / (1 + np.exp(-explainer.predict(FRAME)[:, 0])), model.predict_proba(FRAME)[:, 1], atol=1e-9)


def test_blocks_of_every_engine_are_backgrounds_of_their_own():
    forest = RandomForestClassifier(5, max_depth=4, random_state=0).fit(NUMBERS, YES)
    setting = openers.Setting(
        as_model(forest), "binary", (0, 1), NUMBERS.head(30), openers.take_apart(forest, NUMBERS)[0], "", "auto", 5, 0, 9.0
    )
    for opener in (openers.by_trees, openers.by_pairs, openers.by_coalitions):
        explainer, cost = opener(setting)
        assert cost >= 0
        found = explainer.explain(NUMBERS.tail(3), blocks=3)
        one = explainer.reopen(NUMBERS.iloc[10:20]).explain(NUMBERS.tail(3))
        np.testing.assert_allclose(found.blocks[:, 1], one.values, atol=1e-6)


@pytest.mark.parametrize("scale", ["probability", "log-odds", "auto"])
def test_either_scale_is_given_and_named(scale):
    for model in (LOGISTIC, TREES):
        explainer = open_explainer(model, FRAME.head(30), scale=scale, rows=3)
        wanted = {"auto": "log-odds"}.get(scale, scale)
        assert explainer.scale == f"{wanted} of 1"
        found = explainer.explain(FRAME.tail(3))
        assert np.abs(found.values - truth(explainer, FRAME.tail(3))).max() < 1e-6


def test_a_function_is_asked_and_its_scale_is_told():
    explainer = open_explainer(lambda f: (f["a"] * 2 + f["b"]).to_numpy(), FRAME.head(50))
    assert (explainer.engine, explainer.scale) == ("all coalitions", "predicted value")
    odds = open_explainer(lambda f: 1 / (1 + np.exp(-f["a"].to_numpy())), FRAME.head(50), task="binary", scale="log-odds")
    np.testing.assert_allclose(odds.explain(FRAME.tail(4)).values[:, 0, 0], FRAME.a.tail(4) - odds.background.a.mean(), atol=1e-9)


def test_interactions_between_encoded_columns_of_two_users_columns_are_asked_not_guessed():
    model = make_pipeline(PolynomialFeatures(2), LogisticRegression()).fit(NUMBERS, YES)
    explainer = open_explainer(model, NUMBERS.head(40), rows=4)
    assert explainer.engine == "all coalitions"
    assert "more than one column" in explainer.notes[-1]
    assert self_check(explainer, NUMBERS).holds


def dear(monkeypatch, name):
    """Let an opener say that it would take longer than any budget."""
    opener = getattr(openers, name)

    def slow(setting):
        found, cost = opener(setting)
        return found, cost if found is None else 1e6

    monkeypatch.setattr(f"prodnb.engines.{name}", slow)


def test_the_cheapest_exact_engine_is_chosen(monkeypatch):
    forest = RandomForestClassifier(5, max_depth=4, random_state=0).fit(NUMBERS, YES)
    assert open_explainer(forest, NUMBERS, rows=5).engine == "trees"
    dear(monkeypatch, "by_trees")
    explainer = open_explainer(forest, NUMBERS, rows=5)
    assert (explainer.engine, explainer.exact, len(explainer.background)) == ("pairs", True, N)
    assert "cut of the background lifted" in explainer.method
    assert self_check(explainer, NUMBERS).holds
    assert open_explainer(forest, NUMBERS, rows=5, scale="probability").scale == "probability of 1"
    dear(monkeypatch, "by_pairs")
    assert open_explainer(forest, NUMBERS, rows=5).engine == "all coalitions"
    dear(monkeypatch, "by_coalitions")
    assert open_explainer(forest, NUMBERS, rows=5).engine == "walks"
    assert open_explainer(forest, NUMBERS, rows=5, engine="exact").exact


def test_an_exact_engine_on_a_reduced_background_says_so(monkeypatch):
    forest = RandomForestClassifier(5, max_depth=4, random_state=0).fit(NUMBERS, YES)
    dear(monkeypatch, "by_trees")
    pairs, coalitions = openers.by_pairs, openers.by_coalitions
    monkeypatch.setattr("prodnb.engines.by_pairs", lambda s: (pairs(s)[0], 0.15 * len(s.background)))
    monkeypatch.setattr("prodnb.engines.by_coalitions", lambda s: (coalitions(s)[0], 0.3 * len(s.background)))
    explainer = open_explainer(forest, NUMBERS, rows=20, max_seconds=20)
    assert (explainer.engine, explainer.exact, len(explainer.background)) == ("pairs", True, 50)
    assert "reduced from 400 to 50 rows, one from each stratum of equal predictions" in explainer.notes[0]
    assert "off by" in explainer.notes[0]
    assert self_check(explainer, NUMBERS).holds


def test_columns_of_categories_are_explained_as_they_are():
    import lightgbm

    frame = FRAME.assign(c=pd.Categorical(FRAME.c))
    for model in (
        lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1),
        HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype"),
    ):
        explainer = open_explainer(model.fit(frame, YES), frame.head(40), rows=5)
        rows = frame.tail(5).assign(c=pd.Categorical(["x", "never seen", "y", None, "z"]))
        found = explainer.explain(rows)
        assert explainer.exact
        assert np.abs(found.values - truth(explainer, rows)).max() < 1e-6


def test_path_dependent_values_are_named_and_add_up():
    pytest.importorskip("treelite")
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1).fit(NUMBERS, YES)
    explainer = open_explainer(model, NUMBERS.head(40), engine="path-dependent")
    assert "path-dependent" in explainer.method
    assert not explainer.interventional
    found = self_check(explainer, NUMBERS)
    assert (found.holds, found.error) == (True, None)
    exact = open_explainer(model, NUMBERS.head(40))
    assert np.abs(exact.explain(NUMBERS.tail(5)).values - explainer.explain(NUMBERS.tail(5)).values).max() > 1e-3
    with pytest.raises(InputError, match="no path-dependent values"):
        open_explainer(LOGISTIC, FRAME, engine="path-dependent")


def test_exact_or_the_reasons():
    wide = pd.DataFrame(RNG.normal(size=(40, 13)), columns=[f"f{n}" for n in range(13)])
    with pytest.raises(InputError, match="13 features"):
        open_explainer(lambda f: f.sum(axis=1).to_numpy(), wide, engine="exact")
    assert open_explainer(lambda f: f.sum(axis=1).to_numpy(), wide).engine == "walks"


def test_a_fault_in_taking_a_model_apart_shows(monkeypatch):
    apart = openers.take_apart

    def swapped(*arguments):
        parts, why = apart(*arguments)
        exchange = {0: 1, 1: 0}
        return replace(parts, players=tuple(exchange.get(p, p) for p in parts.players)), why

    monkeypatch.setattr("prodnb.engines.take_apart", swapped)
    with pytest.raises(InputError, match="more than one column"):
        open_explainer(LOGISTIC, FRAME.head(60)).explain(FRAME)
    monkeypatch.setattr(openers, "must_stay_apart", lambda *_: None)
    found = self_check(open_explainer(LOGISTIC, FRAME.head(60)), FRAME)
    assert found.additivity < 1e-9
    assert not found.holds
    assert found.error > 0.1


def test_trees_without_their_base_score_are_found(monkeypatch):
    opened = openers.open_trees

    def short(*arguments, **more):
        found, why = opened(*arguments, **more)
        return replace(found, base=found.base - 0.2), why

    monkeypatch.setattr(openers, "open_trees", short)
    found = self_check(open_explainer(TREES, FRAME.head(60)), FRAME)
    assert not found.holds
    assert found.additivity > 0.05


def test_the_same_seed_gives_the_same_explainer():
    for engine in ("auto", "sampled"):
        one, two = (open_explainer(TREES, FRAME.head(60), rows=5, engine=engine, seed=4) for _ in range(2))
        assert (one.notes, one.method) == (two.notes, two.method)
        assert np.array_equal(one.explain(FRAME.tail(5), blocks=5).blocks, two.explain(FRAME.tail(5), blocks=5).blocks)


def test_the_global_random_stream_is_left_alone():
    before = np.random.get_state()[1].copy()
    open_explainer(TREES, FRAME.head(60), engine="sampled", rows=5).explain(FRAME.tail(3))
    assert np.array_equal(before, np.random.get_state()[1])


# Bad input, one by one


def test_a_model_without_probabilities():
    with pytest.raises(InputError, match="no probabilities"):
        open_explainer(pipeline(LinearSVC()), FRAME, scale="probability")
    hard = Model(name="hard", task="binary", predict=lambda f: (f["a"] > 0).astype(int).to_numpy(), classes=(0, 1))
    explainer = open_explainer(hard, FRAME.head(50))
    assert explainer.scale == "predicted class as 0 or 1, the model gives no probabilities"
    found = explainer.explain(FRAME.tail(5))
    np.testing.assert_allclose(found.values[:, 0, 0], (FRAME.a.tail(5) > 0) - (explainer.background.a > 0).mean())
    with pytest.raises(InputError, match="no log-odds"):
        open_explainer(hard, FRAME, scale="log-odds")


def test_probabilities_of_0_and_1_have_no_log_odds():
    sure = RandomForestClassifier(5, random_state=0).fit(NUMBERS, YES)
    with pytest.raises(InputError, match="some probabilities are 0 or 1"):
        open_explainer(sure, NUMBERS, scale="log-odds")


def test_scales_that_do_not_exist():
    with pytest.raises(InputError, match="a regression has no probability"):
        open_explainer(lambda f: f["a"].to_numpy(), FRAME, scale="probability")
    with pytest.raises(InputError, match="a classifier predicts no value"):
        open_explainer(TREES, FRAME, scale="value", engine="sampled")
    with pytest.raises(InputError, match=r"no scale 'logodds'.*Did you mean 'log-odds'"):
        open_explainer(TREES, FRAME, scale="logodds")
    with pytest.raises(InputError, match=r"no engine 'exakt'.*Did you mean 'exact'"):
        open_explainer(TREES, FRAME, engine="exakt")


@pytest.mark.parametrize("model", [lambda f: np.full(len(f), 3.0), LinearRegression().fit(NUMBERS, np.full(N, 3.0))])
def test_constant_predictions_have_contributions_of_zero(model):
    explainer = open_explainer(model, NUMBERS.head(50))
    found = explainer.explain(NUMBERS.tail(20), blocks=5)
    assert np.abs(found.values).max() < 1e-12
    assert np.allclose(found.base, 3)
    assert additivity_error(found, found.predictions) is None
    assert self_check(explainer, NUMBERS).holds


def test_one_feature_gets_all_of_it():
    for model in (LogisticRegression(), HistGradientBoostingClassifier(max_iter=5)):
        explainer = open_explainer(model.fit(FRAME[["a"]], YES), FRAME[["a"]].head(40))
        found = explainer.explain(FRAME.tail(5))
        np.testing.assert_allclose(found.values[:, 0], found.predictions - found.base, atol=1e-9)
        assert self_check(explainer, FRAME).holds
    walks = open_explainer(lambda f: np.exp(f["a"]).to_numpy(), FRAME[["a"]].head(40), engine="sampled")
    assert walks.exact
    assert self_check(walks, FRAME).holds


def test_five_hundred_features():
    wide = pd.DataFrame(np.random.default_rng(5).normal(size=(300, 500)), columns=[f"f{n}" for n in range(500)])
    target = (wide.f0 + wide.f7 > 0).astype(int)
    weights = np.zeros(500)
    weights[[0, 7]] = 1, 2
    for model in (LogisticRegression(), HistGradientBoostingClassifier(max_iter=10)):
        explainer = open_explainer(model.fit(wide, target), wide, rows=20)
        assert explainer.exact
        found = explainer.explain(wide.tail(20), blocks=10)
        assert {*np.argsort(-found.importance.mean(axis=0))[:2]} == {0, 7}
        assert additivity_error(found, explainer.predict(wide.tail(20))) < explainer.tolerance
    walks = open_explainer(lambda f: f.to_numpy() @ weights, wide, rows=10, max_seconds=2)
    found = walks.explain(wide.tail(2))
    expected = weights * (wide.tail(2).to_numpy() - walks.background.to_numpy().mean(axis=0))
    np.testing.assert_allclose(found.values[:, :, 0], expected[: len(found.blocks)], atol=1e-9)
    assert len(walks.background) < 300
    assert "reduced from 300 to" in walks.notes[0]


def test_levels_unseen_in_training_and_in_the_background():
    rows = FRAME.tail(5).assign(c=["never", "seen", "x", "y", None])
    for model in (LOGISTIC, TREES):
        explainer = open_explainer(model, FRAME[FRAME.c != "z"].head(40), rows=5)
        found = explainer.explain(rows)
        assert np.abs(found.values - truth(explainer, rows)).max() < 1e-6
    strict = pipeline(LogisticRegression())
    strict[0].transformers_[0][1].handle_unknown = "error"
    with pytest.raises(InputError, match="unknown categories"):
        open_explainer(strict, FRAME.head(40)).explain(rows)


def test_a_level_that_the_background_lacks_belongs_to_its_own_column():
    for model in (LOGISTIC, TREES):
        one = FRAME[FRAME.c == "y"].head(30)
        explainer = open_explainer(model, one, rows=5)
        rows = FRAME[FRAME.c == "x"].head(5)
        found = explainer.explain(rows)
        assert np.abs(found.values - truth(explainer, rows)).max() < 1e-6
        assert np.abs(found.values[:, 2]).min() > 0


def test_missing_values():
    holes = FRAME.mask(RNG.random(FRAME.shape) < 0.15)
    filled = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), ["c"]),
        (SimpleImputer(add_indicator=True), ["a", "b", "d"]),
    )
    models = [make_pipeline(filled, LogisticRegression()).fit(holes, YES), TREES]
    for model in models:
        explainer = open_explainer(model, holes.head(40), rows=5)
        assert explainer.engine in ("linear", "trees")
        found = explainer.explain(holes.tail(8))
        assert np.abs(found.values - truth(explainer, holes.tail(8))).max() < 1e-6
    with pytest.raises(InputError, match="NaN"):
        open_explainer(LogisticRegression().fit(NUMBERS, YES), NUMBERS.mask(NUMBERS > 2))


@pytest.mark.parametrize("rows", [0, 1, 9])
def test_a_background_of_fewer_than_10_rows(rows):
    with pytest.raises(InputError, match=f"{rows} rows of background|no rows"):
        open_explainer(TREES, FRAME.head(rows))
    assert open_explainer(TREES, FRAME.head(10)).exact


def test_features_that_the_model_does_not_know_are_left_out_and_missing_ones_named():
    explainer = open_explainer(TREES, FRAME.head(40).assign(noise=1.0, name="ann"), rows=5)
    assert explainer.features == ("a", "b", "c", "d")
    assert explainer.explain(FRAME.tail(5).assign(other=2)).values.shape[1] == 4
    with pytest.raises(InputError, match="needs the column 'b'"):
        open_explainer(TREES, FRAME.drop(columns="b"))
    with pytest.raises(InputError, match="needs the column 'c'"):
        explainer.explain(FRAME.drop(columns="c"))
    with pytest.raises(InputError, match="pandas frame"):
        open_explainer(TREES, FRAME.to_numpy())
    with pytest.raises(InputError, match="no rows"):
        explainer.explain(FRAME.head(0))


def test_columns_in_another_order():
    for model in (LOGISTIC, TREES):
        one = open_explainer(model, FRAME.head(40), rows=5)
        two = open_explainer(model, FRAME.head(40)[["d", "c", "b", "a"]], rows=5)
        assert two.features == ("a", "b", "c", "d")
        np.testing.assert_allclose(two.explain(FRAME.tail(5)[["c", "a", "d", "b"]]).values, one.explain(FRAME.tail(5)).values)


def slowly(seconds):
    def slow(frame):
        time.sleep(seconds * len(frame))
        return (frame["a"] * frame["b"] + frame["d"]).to_numpy()

    return slow


def test_a_model_that_takes_longer_than_the_budget():
    with pytest.raises(TooSlow, match="a single row"):
        open_explainer(slowly(0.01), NUMBERS, max_seconds=0.2)
    start = time.perf_counter()
    explainer = open_explainer(slowly(2e-4), NUMBERS, rows=20, max_seconds=2)
    found = explainer.explain(NUMBERS.tail(20))
    assert time.perf_counter() - start < 12
    assert explainer.engine in ("walks", "all coalitions")
    assert len(explainer.background) < N
    assert "reduced from 400 to" in explainer.notes[0]
    assert "contributions are off by" in explainer.notes[0]
    assert 0 < len(found.blocks) <= 20


def test_answers_that_are_no_numbers_are_an_error():
    with pytest.raises(InputError, match="NaN"):
        open_explainer(lambda f: np.full(len(f), np.nan), FRAME)
    with pytest.raises(InputError, match="raised KeyError"):
        open_explainer(lambda f: f["q"], FRAME)


# Reduction and stopping


def test_a_reduction_is_disjoint_and_keeps_the_mean():
    predictions = RNG.exponential(size=(1000, 1))
    means = []
    for seed in range(50):
        first, second = reduce_background(pd.DataFrame(predictions), predictions, 50, seed=seed)
        assert len(first) == len(second) == 50
        assert not set(first) & set(second)
        means.append(predictions[first].mean())
    assert abs(np.mean(means) - predictions.mean()) < 0.02
    assert np.std(means) < 0.4 * predictions.std() / np.sqrt(50)  # strata of equal predictions: closer than a plain draw


def test_the_measured_error_of_a_reduction_is_the_real_one():
    big = pd.DataFrame(np.random.default_rng(1).normal(size=(3000, 3)), columns=list("abd"))
    full = open_explainer(lambda f: (f["a"] * 2 + f["b"] ** 2 + 0.3 * f["d"]).to_numpy(), big, rows=1)
    rows, said, real = big.head(30), [], []
    predictions = full.predict(full.background)
    means = {c: full.background[c].to_numpy() for c in "abd"}
    exact = np.column_stack(
        [2 * (rows.a - means["a"].mean()), rows.b**2 - (means["b"] ** 2).mean(), 0.3 * (rows.d - means["d"].mean())]
    )
    for seed in range(6):
        parts = reduce_background(full.background, predictions, 40, seed=seed)
        one, two = (full.reopen(full.background.iloc[p]).explain(rows) for p in parts)
        said.append(reduction_error(one, two)[0])
        real.append(np.sqrt(((one.values[:, :, 0] - exact) ** 2).mean()) / np.abs(exact).mean())
    assert 0.6 < np.sqrt(np.mean(np.square(said)) / np.mean(np.square(real))) < 1.6


def test_more_rows_are_explained_until_the_interval_is_narrow_enough():
    many = FRAME.sample(3000, replace=True, random_state=0)
    explainer = open_explainer(LOGISTIC, FRAME)
    wide, words = explain_until(explainer, many, width=0.2, blocks=4)
    narrow, _ = explain_until(explainer, many, width=0.05, blocks=4)
    assert "as narrow as asked" in words
    assert len(wide.blocks) < len(narrow.blocks) <= 3000
    everything, words = explain_until(explainer, FRAME.head(150), width=1e-4)
    assert (len(everything.blocks), "no more rows" in words) == (150, True)
    _, words = explain_until(explainer, many, width=1e-4, max_seconds=0)
    assert "budget" in words
    shown = narrow.importance[:, np.argmax(shares(narrow.importance))]
    assert 1.96 * shown.std(ddof=1) / np.sqrt(len(shown)) < 0.05 * shown.mean()


# Real people


def real(name):
    if name == "adult":
        frame = pd.read_parquet(shared_data("adult/adult.parquet"))
        return frame.drop(columns=frame.columns[-1]), frame[frame.columns[-1]]
    frame = pd.read_csv(shared_data("german_credit/german_credit.csv.gz"))
    target = next(c for c in ("class", "credit_risk", "target", "default", frame.columns[-1]) if c in frame.columns)
    return frame.drop(columns=target), frame[target]


@pytest.mark.parametrize("name", ["adult", "german_credit"])
@pytest.mark.parametrize("kind", ["linear", "trees"])
def test_real_decisions_hold_against_sampled_orders(name, kind):
    x, y = real(name)
    x, y = x.head(2000), y.head(2000)
    texts = list(x.select_dtypes(exclude="number").columns)
    estimator = (
        LogisticRegression(max_iter=2000) if kind == "linear" else HistGradientBoostingClassifier(max_iter=30, random_state=0)
    )
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts), remainder=StandardScaler()
    )
    half = len(x) // 2
    model = make_pipeline(prepare, estimator).fit(x.head(half), y.head(half))
    explainer = open_explainer(model, x.iloc[half:].head(300), rows=50)
    assert (explainer.engine, len(explainer.background)) == (kind, min(300, len(x) - half))
    found = explainer.explain(x.tail(50), blocks=20)
    assert found.values.shape[1] == x.shape[1]
    assert additivity_error(found, explainer.predict(x.tail(50))) < explainer.tolerance
    checked = self_check(explainer, x.tail(50), max_seconds=1)
    assert checked.holds, checked


def test_a_number_that_stands_for_missing_values_is_one_also_where_the_background_has_none():
    xgboost = pytest.importorskip("xgboost")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=400), "b": rng.exponential(size=400)})
    y = (frame.a + frame.b > 1).astype(int)
    frame.loc[rng.random(400) < 0.2, "b"] = -999.0
    model = xgboost.XGBClassifier(n_estimators=8, max_depth=3, missing=-999.0).fit(frame, y)
    known = frame[frame.b > 0].head(50).reset_index(drop=True)
    rows = frame[frame.b < 0].head(5)
    explainer = open_explainer(model, known)
    assert explainer.engine == "trees"
    truth = shapley(explainer.predict, rows, known, scale="")
    np.testing.assert_allclose(explainer.explain(rows).values, truth.values, atol=1e-5)


@pytest.mark.parametrize("scale", ["log-odds", "value"])
def test_trees_that_add_up_on_another_scale_do_not_stand_for_the_one_asked_for(scale):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.exponential(size=200)})
    if scale == "log-odds":
        model = GradientBoostingClassifier(n_estimators=5, loss="exponential").fit(frame, frame.a > 0)
        score = lambda x: np.log(model.predict_proba(x)[:, 1] / model.predict_proba(x)[:, 0])  # noqa: E731
    else:
        model = HistGradientBoostingRegressor(max_iter=5, loss="poisson").fit(frame, frame.b)
        score = model.predict
    explainer = open_explainer(model, frame.head(50), scale=scale)
    found = explainer.explain(frame.tail(4))
    assert found.scale.startswith({"log-odds": "log-odds", "value": "predicted value"}[scale])
    np.testing.assert_allclose(found.values.sum(axis=1)[:, 0], score(frame.tail(4)) - score(frame.head(50)).mean(), atol=1e-9)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_two_classes_with_a_score_for_each(library):
    package = pytest.importorskip(library)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.exponential(size=200)})
    two = {"num_class": 2, "n_estimators": 4}
    if library == "lightgbm":
        model = package.LGBMClassifier(objective="multiclass", verbose=-1, **two)
    else:
        model = package.XGBClassifier(objective="multi:softprob", **two)
    explainer = open_explainer(model.fit(frame, (frame.a > 0).astype(int)), frame.head(50))
    truth = shapley(explainer.predict, frame.tail(3), frame.head(50), scale="")
    np.testing.assert_allclose(explainer.explain(frame.tail(3)).values, truth.values, atol=1e-5)
    assert explainer.exact
    assert explainer.scale.startswith("log-odds of each class")


def test_leaves_with_a_number_for_each_class_are_asked_not_read():
    xgboost = pytest.importorskip("xgboost")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.exponential(size=200)})
    model = xgboost.XGBClassifier(n_estimators=3, multi_strategy="multi_output_tree").fit(frame, np.digitize(frame.a, [0, 1]))
    explainer = open_explainer(model, frame.head(20))
    assert explainer.engine == "all coalitions"
    assert explainer.explain(frame.tail(2)).values.shape == (2, 2, 3)


def test_rows_that_cannot_be_prepared_are_told_in_words():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=100), "c": rng.choice(["x", "y"], 100)})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["c"])), HistGradientBoostingClassifier(max_iter=3))
    explainer = open_explainer(model.fit(frame, frame.c == "x"), frame.head(50))
    with pytest.raises(InputError, match="unknown categories"):
        explainer.explain(frame.head(2).assign(c="z"))
    lightgbm = pytest.importorskip("lightgbm")
    typed = frame.astype({"c": "category"})
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(typed, frame.c == "x")
    with pytest.raises(InputError, match="category"):
        open_explainer(model, typed.head(50)).explain(frame.head(2))


@pytest.mark.parametrize("engine", ["auto", "sampled"])
def test_a_column_may_be_called_self_and_come_as_another_type(engine):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"self": rng.integers(0, 9, 60).astype(float), "x": rng.normal(size=60)})
    for made in (HistGradientBoostingClassifier(max_iter=3), LogisticRegression()):
        model = made.fit(frame, frame["self"] + frame.x > 4)
        opened = open_explainer(model, frame, engine=engine, seed=0)
        assert opened.explain(frame.head(3).astype({"self": "int64"})).values.shape[:2] == (3, 2)
