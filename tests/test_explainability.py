"""The whole check: planted leaks, idle columns and moved causes, real data, and everything odd that a model can be."""

import json

import numpy as np
import pandas as pd
import pytest
from shared import shared_data
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.svm import LinearSVC

from prodnb.errors import InputError, ProdnbError
from prodnb.explainability import ExplanationLimits, check_explainability
from prodnb.inputs import Roles
from prodnb.models import Model, as_model
from prodnb.reason_map import draft_reasons


def table(n=900, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"a": rng.normal(size=n), "b": rng.normal(size=n), "c": rng.choice(["x", "y", "z"], n), "d": rng.normal(size=n)}
    )
    frame["y"] = (frame.a + frame.b + (frame.c == "x") + rng.normal(size=n) > 0).astype(int)
    return frame


def pipeline(estimator=None):
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression() if estimator is None else estimator)


FRAME = table()
FITTED = pipeline().fit(FRAME[list("abcd")], FRAME.y)
ROLES = Roles(target="y")


def only(result, name):
    return next(v for v in result.verdicts if v.statistic.name == name)


def quick(model, reference=FRAME, current=None, **more):
    few = {"roles": ROLES, "rows": 100, "background": 200, "importance_rows": 400, "max_seconds": 60.0}
    return check_explainability(model, reference, current, **{**few, **more})


@pytest.fixture(scope="module")
def sound():
    return quick(FITTED, table(4000, 2), table(3000, 1), rows=1000)


def test_a_sound_model_passes_and_says_how_sure_it_is(sound):
    assert sound.outcome in ("passed", "warned"), sound
    statistics = {v.statistic.name: v.statistic for v in sound.verdicts}
    for name in (
        "leading_share",
        "strength_alone",
        "additivity_error",
        "explanation_error",
        "reason_abstention",
        "unstable_reasons",
    ):
        assert statistics[name].value is not None, name
    for name in ("importance_change", "faithfulness", "unstable_cases"):
        assert statistics[name].value is not None, name
    assert statistics["additivity_error"].value < 1e-9
    assert len(sound.verdicts) <= 14  # a person reads them all
    assert sum(s.low is not None for s in statistics.values()) >= 7
    assert set(statistics["leading_share"].about.split(", ")) == {"a", "b", "c"}
    assert only(sound, "importance_change").outcome == "passed"


def test_every_table_is_there_and_plain(sound):
    expected = {
        "Importance", "Importance in reference and current", "Importance by cohort", "Attribution drift", "Contribution densities",
        "Contribution by value", "Accumulated effects", "Interactions", "Reasons", "Cases by certified reasons",
        "Quality of the explanations", "Leading features alone", "How it was explained",
    }  # fmt: skip
    assert expected <= set(sound.tables)
    text = json.dumps(sound.to_dict(), allow_nan=False)
    assert "NaN" not in text
    assert {"permutation", "permutation_low", "permutation_high"} <= set(sound.tables["Importance"][0])
    assert {r["outcome"] for r in sound.tables["Attribution drift"]} <= {"passed", "unknown", "warned", "failed"}
    how = {r["what"]: r["answer"] for r in sound.tables["How it was explained"]}
    assert how["scale"] == "log-odds of 1"
    assert how["exact against this background"] == "yes"


def test_contributions_are_of_the_users_columns(sound):
    assert {r["feature"] for r in sound.tables["Importance"]} == set("abcd")  # c is one-hot inside


def test_the_same_seed_gives_the_same_record():
    first = quick(FITTED, roles=None, max_seconds=300.0).to_dict()
    assert first == quick(as_model(FITTED), roles=None, max_seconds=300.0).to_dict()
    assert first != quick(FITTED, roles=None, seed=1).to_dict()


def test_the_global_random_stream_is_left_alone():
    before = np.random.get_state()[1].copy()
    quick(FITTED)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize("labels", [True, False])
def test_a_leak_fails_by_name(labels):
    leaky = FRAME.assign(refund_date=FRAME.y * 1.0)
    model = pipeline(RandomForestClassifier(30, random_state=0, max_features=None)).fit(leaky[[*"abcd", "refund_date"]], leaky.y)
    result = quick(model, leaky, roles=ROLES if labels else Roles(ignore=("y",)))
    assert result.outcome == "failed"
    name = "strength_alone" if labels else "top_feature_share"
    assert (only(result, name).outcome, only(result, name).statistic.about) == ("failed", "refund_date")
    assert "refund_date" in result.message


def test_a_strong_column_that_is_no_leak_does_not_fail():
    """It carries nearly everything, but the answer is not in it."""
    frame = FRAME.assign(y=(FRAME.a + 3 * np.random.default_rng(5).normal(size=len(FRAME)) > 0).astype(int))
    model = LogisticRegression().fit(frame[["a", "b"]], frame.y)
    assert only(quick(model, frame), "strength_alone").outcome in ("passed", "warned")


def test_a_moved_cause_fails():
    model = Model(
        name="switch", task="regression", features=tuple("abd"), predict=lambda f: np.where(f["d"] > 5, 9 * f["b"] + f["a"] * 0.1, 9 * f["a"] + f["b"] * 0.1)
    )  # fmt: skip
    result = quick(model, current=FRAME.assign(d=FRAME.d + 20), roles=None, rows=300)
    assert only(result, "importance_change").outcome == "failed"
    assert {"a", "b"} <= {
        v.statistic.about for v in result.verdicts if v.statistic.name == "share_change" and v.outcome == "failed"
    }
    table = {r["feature"]: r for r in result.tables["Attribution drift"]}
    assert table["a"]["reference_rank"] == 1
    assert table["b"]["current_rank"] < table["a"]["current_rank"]
    assert table["a"]["outcome"] == "failed"


def test_a_model_that_answers_differently_each_time_fails_additivity():
    rng = np.random.default_rng(0)
    model = Model(
        name="dice", task="regression", features=tuple("abd"), predict=lambda f: f["a"].to_numpy() + rng.normal(size=len(f)) * 0.1
    )
    result = quick(model, roles=None)
    assert only(result, "additivity_error").outcome == "failed"
    assert only(result, "explanation_error").outcome == "skipped"


def test_an_engine_that_is_wrong_shows_nothing(monkeypatch):
    """The planted fault of an engine: contributions that add up, and belong to other columns."""
    import prodnb.linear as linear
    import prodnb.openers as openers

    real = linear.linear_values

    def swapped(*args, **keywords):
        values, weights, base = real(*args, **keywords)
        return values[:, :, ::-1], weights, base

    monkeypatch.setattr(openers, "linear_values", swapped)
    with pytest.raises(ProdnbError, match="miss their definition"):
        quick(FITTED)


def test_without_current_or_labels_it_says_what_it_would_need():
    result = quick(FITTED, roles=None)
    assert only(result, "importance_change").outcome == "skipped"
    assert "target" in only(result, "permutation_importance").message
    assert check_explainability(None, FRAME).outcome == "skipped"
    assert "model" in check_explainability(None, FRAME).message
    assert check_explainability(FITTED, None).outcome == "skipped"


def test_constant_predictions_and_too_few_rows_are_unknown():
    constant = Model(name="constant", task="regression", features=tuple("abd"), predict=lambda f: np.ones(len(f)))
    result = quick(constant, roles=None)
    assert (result.outcome, "nothing to explain" in result.message) == ("unknown", True)
    assert quick(FITTED, FRAME.head(1)).outcome == "unknown"
    assert quick(FITTED, FRAME.head(0)).outcome == "unknown"
    assert quick(FITTED, FRAME.head(12)).outcome in ("passed", "warned", "unknown")


def test_one_feature_is_not_called_a_leak():
    model = LinearRegression().fit(FRAME[["a"]], FRAME.b + FRAME.a)
    result = quick(model, roles=Roles(target="b"))
    assert not [v for v in result.verdicts if v.statistic.name in ("top_feature_share", "strength_alone")]
    assert result.outcome in ("passed", "warned"), result


def test_a_model_without_probabilities_is_explained_on_what_it_has():
    result = quick(pipeline(LinearSVC()).fit(FRAME[list("abcd")], FRAME.y))
    scale = next(r["answer"] for r in result.tables["How it was explained"] if r["what"] == "scale")
    assert "no probabilities" in scale or "decision" in scale
    assert only(result, "additivity_error").statistic.value < 1e-9


def test_multiclass_and_text_labels():
    frame = FRAME.assign(y=np.where(FRAME.a > 0.5, "high", np.where(FRAME.a > -0.5, "middle", "low")))
    result = quick(pipeline().fit(frame[list("abcd")], frame.y), frame)
    drops = {r["feature"]: r["permutation"] for r in result.tables["Importance"]}
    assert drops["a"] > 0.2 > abs(drops["d"])
    assert any("the class that wins" in note for note in result.notes)
    assert any("show the last, middle" in note for note in result.notes)
    two = FRAME.assign(y=np.where(FRAME.y == 1, "yes", "no"))
    again = quick(pipeline().fit(two[list("abcd")], two.y), two)
    assert {r["feature"]: r["permutation"] for r in again.tables["Importance"]}["a"] > 0.05
    assert any("a probability of 'yes' of 0.5 or more" in note for note in again.notes)


def test_missing_values_and_levels_unseen_in_training():
    holes = FRAME.assign(a=FRAME.a.where(FRAME.index % 3 > 0), c=FRAME.c.where(FRAME.index % 5 > 0, "never seen"))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["c"]), remainder="passthrough"
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20, random_state=0)).fit(FRAME[list("abcd")], FRAME.y)
    result = quick(model, holes, current=holes, rows=400)
    assert result.outcome in ("passed", "warned", "unknown"), result
    assert only(result, "additivity_error").outcome == "passed"
    values = {str(row["value"]) for row in result.tables["Contribution by value"] if row["feature"] == "a"}
    assert any("no value" in v or "missing" in v for v in values), values


def test_one_class_of_labels_is_unknown_and_missing_labels_are_left_out():
    assert only(quick(FITTED, FRAME.assign(y=1)), "permutation_importance").outcome == "unknown"
    half = FRAME.assign(y=FRAME.y.where(FRAME.index % 2 == 0))
    assert any("labelled" in n or "held out" in n for n in quick(FITTED, half).notes)


def test_a_column_that_is_absent_is_named():
    with pytest.raises(InputError, match="'a'"):
        quick(FITTED, FRAME.drop(columns="a"))
    with pytest.raises(InputError, match="current"):
        quick(FITTED, current=FRAME.drop(columns="a"))


def test_columns_in_another_order_give_the_same():
    one, other = (quick(FITTED, frame, roles=Roles(target="y")) for frame in (FRAME, FRAME[["y", "d", "c", "b", "a"]]))
    names = ("feature", "contribution", "share")
    assert [[r[n] for n in names] for r in one.tables["Importance"]] == [
        [r[n] for n in names] for r in other.tables["Importance"]
    ]


def test_a_slow_model_keeps_to_the_budget():
    import time

    def slow(frame):
        time.sleep(0.02 + 0.0002 * len(frame))
        return (frame["a"] + frame["b"] + frame["d"]).to_numpy()

    start = time.perf_counter()
    result = quick(Model(name="slow", task="regression", predict=slow, features=tuple("abd")), roles=None, max_seconds=4.0)
    assert time.perf_counter() - start < 20
    assert result.outcome in ("unknown", "passed", "warned")
    assert result.outcome == "unknown" or any("reduced" in note or "budget" in note for note in result.notes)


def test_a_model_that_takes_longer_than_the_budget_is_unknown():
    import time

    def slower(frame):
        time.sleep(0.02 * len(frame))
        return frame["a"].to_numpy()

    result = quick(Model(name="slow", task="regression", predict=slower, features=tuple("abd")), roles=None, max_seconds=0.5)
    assert result.outcome == "unknown"
    assert "would take" in result.message


def test_no_row_of_the_data_is_in_the_result():
    secret = FRAME.assign(c=[f"xq{n}" for n in range(len(FRAME))])
    model = Model(name="m", task="regression", features=tuple("ac"), predict=lambda f: f["a"] * f["c"].str.len())
    assert "xq" not in str(quick(model, secret, roles=None).to_dict())


def test_reasons_given_reach_the_limits():
    result = quick(FITTED, reasons={"max_additivity_error": "agreed with the auditors"})
    assert only(result, "additivity_error").limit.reason == "agreed with the auditors"
    assert all(reason.strip() for reason in (v.limit.reason for v in result.verdicts if v.limit))
    with pytest.raises(TypeError):
        ExplanationLimits(max_top_shares=0.5)


def test_reviewed_words_and_what_people_can_change(tmp_path):
    path = tmp_path / "reasons.yaml"
    text = draft_reasons(list("abcd")).replace("a: never", "a: up")
    path.write_text(text)
    result = quick(FITTED, reason_map=path)
    feasible = only(result, "counterfactual_feasibility").statistic
    assert 0 < feasible.value < 1  # more of a turns a no, never a yes
    assert {r["column"] for r in result.tables.get("What turns a decision", [])} <= {"a"}
    how = {r["what"]: r["answer"] for r in result.tables["How it was explained"]}
    assert "not reviewed" in how["reason map"]


def test_cases_are_written_only_when_asked_for_and_never_shown(tmp_path):
    path = tmp_path / "cases.json"
    current = table(60, 3).assign(key=[f"client {n}" for n in range(60)])
    result = quick(FITTED, current=current, roles=Roles(target="y", id="key"), case_file=path)
    document = json.loads(path.read_text())
    assert [c["id"] for c in document["cases"]][:2] == ["client 0", "client 1"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert "client" not in str(result.to_dict())
    assert any("sha256" in note and "cases.json" in note for note in result.notes)
    with pytest.raises(InputError, match="already"):
        quick(FITTED, current=current, roles=Roles(target="y", id="key"), case_file=path)
    assert not list(tmp_path.glob("*.tmp"))


def test_cases_of_the_reference_carry_their_own_ids(tmp_path):
    path, frame = tmp_path / "cases.json", FRAME.assign(key=[f"client {n}" for n in range(len(FRAME))])
    quick(FITTED, frame, roles=Roles(target="y", id="key"), case_file=path)
    cases = json.loads(path.read_text())["cases"]
    told = {c["id"]: c for c in cases}
    assert len(told) == len(cases)
    assert all(case["values"]["a"] == pytest.approx(frame.set_index("key").a[name]) for name, case in told.items())


def _b_falls_back_to_a(frame):
    return frame.assign(b=frame.b.fillna(frame.a))


def test_columns_that_mix_only_in_current_rows_are_sampled_and_it_is_said():
    names, later = ["a", "b", "d"], FRAME.head(120).assign(b=np.nan)
    model = make_pipeline(FunctionTransformer(_b_falls_back_to_a), LogisticRegression()).fit(FRAME[names], FRAME.y)
    known = Roles(target="y", features=names)
    assert not any("Sampled" in note for note in quick(model, FRAME, FRAME.head(120), roles=known, rows=40, background=40).notes)
    result = quick(model, FRAME, later, roles=known, rows=40, background=40)
    assert result.notes[0].startswith("Sampled, because")
    assert only(result, "additivity_error").outcome == "passed"
    with pytest.raises(InputError, match="sampled"):
        quick(model, FRAME, later, roles=known, rows=40, background=40, engine="exact")


def test_effects_and_importance_are_told_by_cohort():
    tables = quick(FITTED, cohorts=["d"]).tables
    parts = {row["data"] for row in tables["Accumulated effects"]}
    assert "reference" in parts
    assert any(part.startswith("d: ") for part in parts)
    assert parts - {"reference"} <= {row["cohort"] for row in tables["Importance by cohort"]}


def test_current_rows_that_are_none_are_not_passed_over():
    assert only(quick(FITTED, current=FRAME.head(0)), "importance_change").outcome == "unknown"


def test_a_time_column_makes_blocks_of_rows_that_hang_together():
    days = pd.date_range("2024-01-01", periods=len(FRAME), freq="h")
    result = quick(
        FITTED,
        FRAME.assign(day=days),
        FRAME.head(200).assign(day=days[:200] + pd.Timedelta(days=60)),
        roles=Roles(target="y", time="day"),
    )
    assert any("rows of a block stay together" in note for note in result.notes)


@pytest.mark.slow
def test_real_people_adult():
    frame = pd.read_parquet(shared_data("adult/adult.parquet"))
    target = frame.columns[-1]
    x = frame.drop(columns=target)
    texts = list(x.select_dtypes(exclude="number").columns)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts), remainder="passthrough"
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=30, random_state=0)).fit(
        x.head(8000), frame[target].head(8000)
    )
    result = check_explainability(
        model, frame.iloc[8000:], roles=Roles(target=target), rows=200, background=1000, importance_rows=500
    )
    assert result.outcome in ("passed", "warned"), result
    leading = {row["feature"].replace("-", "_") for row in result.tables["Importance"][:6]}
    assert len(leading & {"age", "capital_gain", "relationship", "marital_status", "education_num"}) >= 2


def test_real_regression_finds_the_leak_of_bike_sharing():
    frame = pd.read_parquet(shared_data("bike_sharing/hour.parquet"))
    numbers = frame.select_dtypes("number").drop(columns=["instant"], errors="ignore")
    x = numbers.drop(columns="cnt")  # `registered` and `casual` add up to the target
    model = RandomForestRegressor(20, random_state=0, max_depth=8, n_jobs=1).fit(x.head(4000), numbers.cnt.head(4000))
    result = check_explainability(
        model, numbers.iloc[4000:], roles=Roles(target="cnt"), rows=200, background=500, importance_rows=300
    )
    share = only(result, "strength_alone")
    assert (share.statistic.about, share.outcome) == ("registered", "failed"), share.message


@pytest.mark.slow
def test_the_flights_example(flights, monkeypatch):
    from prodnb.inputs import open_inputs
    from prodnb.settings import load_settings

    monkeypatch.chdir(flights)
    inputs = open_inputs(load_settings(flights / "settings.ini"))
    result = check_explainability(inputs.model, inputs.reference, inputs.current, roles=inputs.roles, max_seconds=240)
    assert result.outcome in ("passed", "warned"), result
    assert only(result, "additivity_error").outcome == "passed"
    assert only(result, "importance_change").statistic.value > 0.1  # summer is not winter
    top = [row["feature"] for row in result.tables["Importance"][:5]]
    assert {"dep_minute", "carrier"} <= set(top)


def test_labels_that_cannot_be_used_say_so():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    binary, line = LogisticRegression().fit(x, x.a > 0), LinearRegression().fit(x, x.a)
    yes = np.where(x.a > 0, "yes", "no")
    cases = [
        (binary, yes, None, "no label is one of the model's classes"),
        (LogisticRegression().fit(x, rng.integers(0, 3, 200)), yes, None, "no label is one of the model's classes"),
        (binary, [None] * 200, None, "0 rows have a label"),
        (line, yes, None, "not every label is a finite number"),
        (line, np.where(x.a > 1, np.inf, x.a), None, "not every label is a finite number"),
        (lambda f: 1 / (1 + np.exp(-f.a.to_numpy())), rng.integers(0, 3, 200), "binary", "more than two classes"),
    ]
    for model, labels, task, words in cases:
        result = check_explainability(
            model, x.assign(y=labels), roles=Roles(target="y", task=task), rows=50, background=50, max_seconds=10.0
        )
        found = [v for v in result.verdicts if v.statistic.name == "permutation_importance"]
        assert [v.outcome for v in found] == ["unknown"], words
        assert words in found[0].message
