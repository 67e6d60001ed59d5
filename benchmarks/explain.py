"""Exact explanations of trees beside shap and woodelf in the same run: `python benchmarks/explain.py [BACKGROUND]`.

Made data of 30 columns, 5,000 background rows (or BACKGROUND). *Ours* is opening the model and explaining; *again* is explaining as many other rows with
the counted background kept. shap's interventional TreeExplainer gets the whole background (its cut lifted); its time grows with every explained row, so it
is measured on a few rows, at least 3 seconds of them, and multiplied (marked x). woodelf is measured whole, where it is installed, on the fewest rows (its time is nearly all fixed). Seconds of the clock with
seconds of the processors beside them, because machines are shared: both cores count in the latter. *Gap* is the largest difference from shap's values.

The goals: at depths up to 8, 300 rows: 50 times faster than shap; 3,000 rows: 400 times; deep forests: never slower; path-dependent values: never slower
than the library's own contributions (`pred_contrib`), which they are; 10,000 rows and 100 trees of depth 6 within a minute; memory bounded.
"""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

from prodnb.tree_values import open_trees

COLUMNS = 30


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what the work gives, seconds of the clock and of the processors."""
    clock, processors = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - clock, time.process_time() - processors


def peer_values(model: Any, rows: pd.DataFrame, background: pd.DataFrame) -> tuple[np.ndarray, float, float]:
    """Explain as many rows as take 3 seconds with shap; return values, and seconds of each row by clock and processors."""
    import shap

    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.TreeExplainer(model, masker, feature_perturbation="interventional")
    few, found = 1, None
    while True:
        found, clock, processors = timed(lambda n=few: explainer.shap_values(rows.head(n), check_additivity=False))
        if clock > 3 or few >= len(rows):
            break
        few = min(len(rows), max(few + 1, int(few * 6 / max(clock, 0.01))))
    values = found[..., 1] if found.ndim == 3 else found
    return values, clock / few, processors / few


def woodelf_seconds(model: Any, rows: pd.DataFrame, background: pd.DataFrame) -> tuple[float, float] | None:
    """Explain all rows with woodelf's own arithmetic; None where it is not installed."""
    try:
        from woodelf.core.cube_metric import ShapleyValues
        from woodelf.high_depth_woodelf import woodelf_for_high_depth
    except ImportError:
        return None
    return timed(lambda: woodelf_for_high_depth(model, rows, background, ShapleyValues(), verbose=False))[1:]


def against_background(
    name: str, model: Any, frame: pd.DataFrame, background: pd.DataFrame, sizes: list[int], woodelf: bool
) -> None:
    """Print one line for each number of explained rows."""
    peer, each, each_processors = peer_values(model, frame, background)
    for rows in sizes:

        def whole(rows: int = rows) -> Any:
            opened = open_trees(model, background)[0]
            return opened, opened.explain(frame.head(rows))[0]

        (opened, values), clock, processors = timed(whole)
        again, again_processors = timed(lambda: opened.explain(frame.tail(rows)))[1:]  # noqa: B023
        guess = opened.estimate_seconds(rows)
        near = min(len(peer), rows)
        gap = np.abs(values[:near, 0, :, 0] - peer[:near]).max()
        other = woodelf_seconds(model, frame.head(rows), background) if woodelf and rows == sizes[0] else None
        shown = f"{other[0]:8.1f} ({other[1]:6.1f})" if other else f"{'-':>17}"
        print(f"{name:26} {rows:6,} {clock:7.2f} ({processors:6.2f}) {again:7.2f} ({again_processors:6.2f}) {guess:8.2f} {shown} "
              f"{each * rows:9.0f}x ({each_processors * rows:7.0f}) {each * rows / clock:8.0f} {each_processors * rows / processors:8.0f} {gap:9.1e}",
              flush=True)  # fmt: skip


def path_dependent(name: str, model: Any, frame: pd.DataFrame, native: Callable[[], Any]) -> None:
    """Print ours beside the library's own call on the same rows."""
    opened = open_trees(model, frame.head(100), method="path-dependent")[0]
    ours, theirs = (min(timed(work)[1] for _ in range(3)) for work in (lambda: opened.explain(frame), native))
    print(
        f"{name:26} {len(frame):6,} rows: ours {ours:.3f} s, the library's own {theirs:.3f} s, ratio {ours / theirs:.2f}",
        flush=True,
    )


def many_rows(model: Any, frame: pd.DataFrame, background: pd.DataFrame) -> None:
    """Print the seconds and the memory of 10,000 rows, with one block and with fifty."""
    for blocks in (1, 50):
        opened = open_trees(model, background)[0]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        values, clock, processors = timed(lambda: opened.explain(frame, blocks)[0])  # noqa: B023
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
        print(f"10,000 rows, {blocks:2} blocks: {clock:.1f} s ({processors:.1f}), result {values.nbytes / 2**20:.0f} MB, "
              f"most memory grew by {more:.0f} MB", flush=True)  # fmt: skip


def main() -> None:
    """Print the tables."""
    import lightgbm

    size = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    X, y = make_classification(10_000 + size + 2_000, COLUMNS, n_informative=12, random_state=0)
    table = pd.DataFrame(X, columns=[f"c{n}" for n in range(COLUMNS)])
    frame, background = table.head(10_000), table.tail(size)
    print(
        f"{'model':26} {'rows':>6} {'ours s (processors)':>16} {'again':>16} {'foreseen':>8} {'woodelf':>17} {'shap':>20} {'clock':>8} {'proc.':>8} {'gap':>9}"
    )
    boosted = lightgbm.LGBMClassifier(n_estimators=100, max_depth=6, num_leaves=64, verbose=-1).fit(table, y)
    against_background("LightGBM 100 of depth 6", boosted, frame, background, [300, 3000], woodelf=True)
    forest = RandomForestClassifier(100, max_depth=8, random_state=0, n_jobs=2).fit(table, y)
    against_background("forest 100 of depth 8", forest, frame, background, [300, 3000], woodelf=True)
    deep = RandomForestClassifier(50, max_depth=12, random_state=0, n_jobs=2).fit(table, y)
    against_background("forest 50 of depth 12", deep, frame, background, [5, 20, 200], woodelf=False)
    whole = RandomForestClassifier(10, random_state=0, n_jobs=2).fit(table, y)
    against_background("forest 10 without a limit", whole, frame, background, [5, 20, 200], woodelf=False)
    path_dependent(
        "LightGBM path-dependent", boosted, frame.head(2000), lambda: boosted.predict(frame.head(2000), pred_contrib=True)
    )
    many_rows(boosted, frame, background)


if __name__ == "__main__":
    main()
