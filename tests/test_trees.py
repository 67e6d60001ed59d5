"""Reading trees: their sum is the library's own prediction, whatever the library; paths, codes and patterns by their definition."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression

from prodnb.leaf_patterns import leaf_terms, spread_terms
from prodnb.tree_paths import Tree, failing, grid_of, trace
from prodnb.trees import read_forest


def rows(seed: int = 0, n: int = 300, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 4))
    values[:, 3] = rng.integers(0, 9, n)
    values[:, :3][rng.random((n, 3)) < missing] = np.nan
    return values


def walk(tree: Tree, row: np.ndarray, strict: bool) -> float:
    """Follow one row by the definition of a node."""
    node = 0
    while tree.left[node] >= 0:
        x = row[tree.column[node]]
        if node in tree.members:
            left, known = tree.members[node]
            goes = tree.missing_left[node] if np.isnan(x) and known is not None else (not np.isnan(x) and int(x) in left.tolist())
        elif np.isnan(x):
            goes = tree.missing_left[node]
        else:
            goes = x < tree.threshold[node] if strict else x <= tree.threshold[node]
        node = tree.left[node] if goes else tree.right[node]
    return tree.value[node]


def models():
    values = rows()
    y = (values[:, 0] + (values[:, 3] % 3 == 1) > 0).astype(int)
    yield RandomForestClassifier(3, max_depth=5, random_state=0).fit(values, y), 0.0
    yield RandomForestRegressor(3, random_state=0).fit(rows(missing=0.1), y), 0.1
    yield ExtraTreesRegressor(3, max_depth=4, random_state=0).fit(values, y), 0.0
    yield GradientBoostingClassifier(n_estimators=4, random_state=0).fit(values, values[:, 3] % 3), 0.0
    yield HistGradientBoostingClassifier(max_iter=4).fit(rows(missing=0.1), y), 0.1
    yield HistGradientBoostingRegressor(max_iter=4, categorical_features=[3]).fit(rows(missing=0.1), y), None


def peers():
    values = rows(missing=0.1)
    y = (np.nan_to_num(values[:, 0]) + (values[:, 3] % 3 == 1) > 0).astype(int)
    lightgbm, xgboost = pytest.importorskip("lightgbm"), pytest.importorskip("xgboost")
    pytest.importorskip("treelite")
    yield lightgbm.LGBMClassifier(n_estimators=4, verbose=-1).fit(values, y), 0.1
    yield lightgbm.LGBMRegressor(n_estimators=4, verbose=-1).fit(values, y, categorical_feature=[3]), 0.1
    yield xgboost.XGBClassifier(n_estimators=4).fit(values, values[:, 3].astype(int) % 3), 0.1


@pytest.mark.parametrize("source", [models, peers])
def test_the_sum_of_the_trees_is_the_prediction(source):
    for model, missing in source():
        forest, reason = read_forest(model)
        assert forest is not None, reason
        values = rows(1, 60, missing or 0.0)
        asked = values
        if missing is None:  # rows as histogram boosting sees them after its own encoder
            asked = model._preprocessor.transform(values)
        total = np.zeros((len(values), forest.outputs))
        seen = asked.astype(np.float32).astype(float) if forest.single else np.asarray(asked, float)
        for tree in forest.trees:
            total[:, list(tree.outputs)] += np.stack([walk(tree, row, forest.strict) for row in seen])
        gap = forest.raw(asked) - total
        assert np.abs(gap - gap.mean(axis=0)).max() < (1e-5 if forest.single_sum else 1e-12), type(model).__name__


def test_values_on_the_threshold_go_where_the_library_says():
    values = np.repeat(np.array([0.1, 0.2, 0.3, 0.7]), 30)[:, None]
    model = RandomForestRegressor(5, random_state=0).fit(values, values[:, 0])
    forest, _ = read_forest(model)
    cuts = np.unique(np.concatenate([t.threshold[t.left >= 0] for t in forest.trees]))
    near = np.concatenate([cuts, np.nextafter(cuts, 9), np.nextafter(cuts, -9), cuts.astype(np.float32)])[:, None]
    grid = grid_of(list(forest.trees), single=True)
    codes, total = grid.codes(near), 0
    for tree in forest.trees:
        paths = trace(tree, grid, np.array([0]))
        total = total + (failing(paths, *codes) == 0).T @ paths.value[:, 0]
    assert np.abs(total - model.predict(near)).max() < 1e-12


def test_patterns_say_which_players_fail():
    values = rows()
    model = RandomForestRegressor(1, max_depth=4, bootstrap=False, max_features=2, random_state=0).fit(
        values, values[:, 0] * values[:, 1]
    )
    tree = read_forest(model)[0].trees[0]
    grid, players = grid_of([tree], single=True), np.array([0, 1, 1, 0])
    paths = trace(tree, grid, players)
    found = failing(paths, *grid.codes(values[:40][:, grid.columns]))
    single = values[:40].astype(np.float32).astype(float)

    def conditions(node: int = 0, so_far: tuple = ()):
        if tree.left[node] < 0:
            yield tree.value[node, 0], so_far
            return
        yield from conditions(tree.left[node], (*so_far, (node, True)))
        yield from conditions(tree.right[node], (*so_far, (node, False)))

    expected = sorted(
        (
            value,
            [
                sorted({int(players[tree.column[n]]) for n, left in path if (x[tree.column[n]] <= tree.threshold[n]) != left})
                for x in single
            ],
        )
        for value, path in conditions()
    )
    ours = sorted(
        (
            paths.value[leaf, 0],
            [
                sorted(int(paths.players[leaf, j]) for j in range(paths.players.shape[1]) if p >> j & 1)
                for p in found[leaf].tolist()
            ],
        )
        for leaf in range(len(found))
    )
    assert ours == expected


@pytest.mark.parametrize("players", [1, 2, 5, 8, 11])
def test_terms_are_the_sum_over_pairs(players):
    from math import comb

    shares = np.random.default_rng(players).dirichlet(np.ones(2**players))
    table = spread_terms(leaf_terms(shares[:, None]))[..., 0]
    for x in np.random.default_rng(0).integers(0, 2**players, 20).tolist():
        expected = np.zeros(players)
        for b in range(2**players):
            p, n = b.bit_count(), x.bit_count()
            for j in range(players) if not b & x else ():
                if b >> j & 1:
                    expected[j] += shares[b] / (p * comb(p + n, p))
                if x >> j & 1:
                    expected[j] -= shares[b] / (n * comb(p + n, n))
        assert np.abs(table[:, x] - expected).max() < 1e-12


def test_what_is_no_tree_is_told():
    frame = pd.DataFrame(rows(), columns=list("abcd"))
    for model in (LinearRegression(), AdaBoostClassifier(n_estimators=2)):
        assert "no ensemble of trees" in read_forest(model.fit(frame, frame.a > 0))[1]
    two = RandomForestRegressor(2).fit(frame, frame[["a", "b"]])
    assert "several targets" in read_forest(two)[1]
    assert "no ensemble" in read_forest(None)[1]
