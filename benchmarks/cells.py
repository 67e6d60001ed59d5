"""Wrong cells found without labels and with 20 labelled rows: `python benchmarks/cells.py [NAME ...]`.

Three kinds of tables: real pairs of dirty and clean tables, real clean tables with planted errors of nine kinds (2 % of the cells), and made
tables with other errors. The labelled rows are drawn at random, ten times. The last column counts false cells per 10,000; clean tables
stand there with nothing else. The generators are in `tests/planted_cells.py`; those of the made tables were at hand while the rules were
written, the seeds here are others.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
SEEDS, LABELLED, SHARE, SEED = 10, 20, 0.02, 11
PAIRS = ("raha_hospital", "raha_beers")
CLEAN = {
    "hospital": "raha_hospital/clean.csv.gz",
    "beers": "raha_beers/clean.csv.gz",
    "adult": "adult/adult.parquet",
    "flights": "nycflights13/flights.parquet",
    "planes": "nycflights13/planes.parquet",
    "airports": "nycflights13/airports.parquet",
    "diamonds": "diamonds/diamonds.parquet",
    "bikes": "bike_sharing/hour.parquet",
    "telco": "telco_churn/telco_churn.csv.gz",
    "credit": "german_credit/german_credit.csv.gz",
    "penguins": "penguins/penguins.csv.gz",
    "billing": "focus_billing/focus_sample.csv.gz",
}


def as_text(path: Path, most: int = 5000) -> pd.DataFrame:
    """Read a table as text, at most so many rows of it, drawn at random."""
    if path.suffix == ".gz":
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    else:
        frame = pd.read_parquet(path).astype(object).map(lambda v: "" if pd.isna(v) else str(v))
    return frame.sample(min(most, len(frame)), random_state=0).reset_index(drop=True)


def tables() -> Iterator[tuple[str, pd.DataFrame, np.ndarray]]:
    """Yield the name of each set, its table and where it is wrong."""
    from planted_cells import articles, films, plant, tax_payers, times_of_day

    for name in PAIRS:
        dirty, clean = (pd.read_csv(DATA / name / f"{f}.csv.gz", dtype=str, keep_default_na=False) for f in ("dirty", "clean"))
        yield name, dirty, dirty.to_numpy() != clean.to_numpy()
    for make in (times_of_day, tax_payers, articles, films):
        yield f"made: {make.__name__}", *make(seed=SEED)
    for name, file in CLEAN.items():
        clean = as_text(DATA / file)
        dirty, kinds = plant(clean, SHARE, seed=SEED)
        yield f"planted: {name}", dirty, kinds != ""
        yield f"clean: {name}", clean, np.zeros(clean.shape, bool)


def reached(found: pd.DataFrame, wrong: np.ndarray, columns: list[str]) -> tuple[float, float, float, float]:
    """Precision, recall, F1, and false cells per 10,000."""
    from planted_cells import marked

    named = marked(found, wrong.shape, columns)
    hit = (named & wrong).sum()
    precision, recall = hit / max(named.sum(), 1), hit / max(wrong.sum(), 1)
    return precision, recall, 2 * hit / max(named.sum() + wrong.sum(), 1), 1e4 * (named & ~wrong).sum() / wrong.size


def main() -> None:
    """Print the table."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from prodnb.cells import gather, judge_cells

    print(
        f"{'set':24} {'rows':>6} {'cols':>4} {'wrong':>6} {'P':>6} {'R':>6} {'F1':>6}   with {LABELLED} rows: F1 (min-max)  {'s':>6} {'false/10k':>9}"
    )
    for name, dirty, wrong in tables():
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        columns, start = list(dirty.columns), time.perf_counter()
        evidence = gather(dirty)
        p, r, f, false = reached(judge_cells(evidence), wrong, columns)
        seconds, told = time.perf_counter() - start, ""
        if wrong.any():
            scores = []
            for seed in range(SEEDS):
                rows = np.random.default_rng(seed).choice(len(dirty), LABELLED, replace=False)
                labels = pd.DataFrame(np.argwhere(wrong[rows]), columns=["row", "column"]).assign(error=1)
                labels = labels.assign(row=rows[labels["row"]], column=[columns[c] for c in labels["column"]])
                right = pd.DataFrame({"row": rows, "column": columns[0], "error": wrong[rows, 0].astype(int)})
                labels = pd.concat([labels, right]).drop_duplicates()
                scores.append(reached(judge_cells(evidence, labels=labels), wrong, columns)[2])
            told = f"{np.mean(scores):.3f} ({min(scores):.3f}-{max(scores):.3f})"
            quality = f"{p:6.3f} {r:6.3f} {f:6.3f}"
        else:
            quality = f"{'':20}"
        print(
            f"{name:24} {len(dirty):6} {len(columns):4} {wrong.sum():6} {quality}   {told:32} {seconds:6.1f} {false:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
