"""Money to the last decimal, times that know their noise, planted slow and hungry models, and every way to spoil a price table."""

import time
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from shared import shared_data
from sklearn.linear_model import LogisticRegression

from prodnb.cost import check_cost
from prodnb.errors import InputError
from prodnb.example import PRICES
from prodnb.models import Model
from prodnb.prices import Price, cost_of, find_machine, read_prices, rounded
from prodnb.timing import Timing

TODAY = date(2026, 11, 22)
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)), columns=list("abc"))
FITTED = LogisticRegression().fit(FRAME, FRAME.a > 0)
HEAD = "machine,currency,price_per_hour,vcpus,memory_gb,source,date\n"


def model(predict, **more):
    return Model(name="planted", task="regression", features=("a", "b", "c"), predict=predict, **more)


def quick(fitted=FITTED, reference=FRAME, **more):
    return check_cost(fitted, reference, **{"today": TODAY, "repeats": 80, "max_seconds": 3.0, "batch_rows": 200, **more})


def only(result, name):
    return next(v for v in result.verdicts if v.statistic.name == name)


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text(PRICES)
    return path


def test_a_quick_model_is_priced_with_decimals_intervals_and_sizes(prices):
    result = quick(prices=prices, machine="example-2cpu-8gb")
    assert result.outcome in ("passed", "warned"), result
    assert len(result.verdicts) >= 10
    for name in ("cost_per_1k_single", "cost_per_1k_batch"):
        s = only(result, name).statistic
        assert isinstance(s.value, Decimal)
        assert s.low <= s.value <= s.high
        assert s.unit == "USD"
        assert s.n >= 6
    flat = {v["name"]: v for v in result.to_dict()["verdicts"]}
    assert isinstance(flat["cost_per_1k_single"]["value"], str)
    assert flat["latency_p95_ms"]["low"] <= flat["latency_p95_ms"]["value"] <= flat["latency_p95_ms"]["high"]


def test_the_cost_is_price_times_time_over_utilisation(prices):
    result = quick(prices=prices, machine="example-2cpu-8gb", utilisation=0.25)
    seconds = Decimal(repr(only(result, "latency_p50_ms").statistic.value / 1e3))
    expected = 1000 * seconds / 3600 * Decimal("0.096") * 4
    assert abs(only(result, "cost_per_1k_single").statistic.value - expected) <= Decimal("0.00000002")


def test_the_month_adds_up_to_the_cent(prices):
    trained = model(lambda f: f["a"].to_numpy(), training={"seconds": 7200.0})
    result = quick(trained, prices=prices, machine="example-2cpu-8gb", predictions_per_month=300_000, retrainings_per_month=2)
    lines = result.tables["Cost of a month"]
    total = sum(line["amount"] for line in lines)
    assert only(result, "cost_per_month").statistic.value == total == Decimal("70.08") + Decimal("0.38")
    assert only(result, "training_cost").statistic.value == Decimal("0.19200000")
    assert {line["currency"] for line in lines} == {"USD"}


def test_zero_traffic_still_pays_for_the_machine(prices):
    result = quick(prices=prices, machine="example-2cpu-8gb", predictions_per_month=0)
    assert only(result, "cost_per_month").statistic.value == Decimal("70.08")


def test_more_traffic_than_a_machine_can_take_buys_more_machines(prices):
    slow = model(lambda f: (time.sleep(0.02), f["a"].to_numpy())[1])
    result = quick(
        slow, prices=prices, machine="example-2cpu-8gb", predictions_per_month=100_000_000, batch_rows=10, min_rows_per_second=1.0
    )
    assert only(result, "cost_per_month").statistic.value > Decimal("140")
    assert "machines always on" in only(result, "cost_per_month").statistic.method


def test_without_prices_times_are_judged_and_costs_are_skipped():
    result = quick()
    assert only(result, "latency_p95_ms").outcome in ("passed", "warned")
    assert only(result, "cost_per_1k_single").outcome == "skipped"
    assert "[cost] prices" in only(result, "cost_per_1k_single").message
    assert check_cost(None, FRAME).outcome == "skipped"
    assert check_cost(FITTED, None).outcome == "skipped"


def test_a_slow_model_fails():
    slow = model(lambda f: (time.sleep(0.05), f["a"].to_numpy())[1])
    result = quick(slow, max_latency_ms=10.0, max_noise=5.0)
    assert only(result, "latency_p95_ms").outcome == "failed"
    assert only(quick(slow, max_latency_ms=5000.0), "latency_p95_ms").outcome != "failed"


def test_a_model_far_slower_than_the_budget_fails_and_ends():
    crawling = model(lambda f: (time.sleep(0.6), f["a"].to_numpy())[1])
    start = time.perf_counter()
    result = quick(crawling, max_seconds=1.0)
    assert time.perf_counter() - start < 8
    assert only(result, "latency_p95_ms").outcome == "failed"
    assert only(result, "rows_per_second").outcome == "unknown"


def test_few_calls_are_unknown_never_passed():
    result = quick(repeats=10)
    assert only(result, "latency_p95_ms").outcome == "unknown"
    assert "too few" in only(result, "latency_p95_ms").message


def test_a_row_by_row_model_fails_on_throughput():
    rowwise = model(lambda f: np.array([(time.sleep(0.002), a)[1] for a in f["a"]]))
    assert only(quick(rowwise, batch_rows=20), "rows_per_second").outcome == "failed"


def test_a_memory_hog_fails(tmp_path):
    (tmp_path / "p.csv").write_text(HEAD + "tiny,EUR,0.01,1,0.5,x,2026-11-01\n")
    hog = model(lambda f: f["a"].to_numpy() + 0 * np.ones(80_000_000 if len(f) > 1 else 1).sum())
    result = quick(hog, prices=tmp_path / "p.csv", batch_rows=20, max_seconds=2.0, min_rows_per_second=1.0)
    assert only(result, "batch_memory_mb").statistic.value > 500
    assert only(result, "memory_share").outcome == "failed"


def test_a_restless_machine_widens_the_interval_and_warns(monkeypatch):
    def measured(noise):
        return Timing(np.full(100, 0.15), np.full(20, 0.01), 200, noise, 10**8, 10**6, "planted")

    for noise, outcome in ((0.01, "passed"), (0.5, "warned")):
        monkeypatch.setattr("prodnb.cost.measure", lambda *a, noise=noise, **k: measured(noise))
        result = quick(max_latency_ms=200.0)
        assert only(result, "latency_p95_ms").outcome == outcome
        assert only(result, "machine_noise").outcome == outcome
    assert only(quick(max_latency_ms=140.0), "latency_p95_ms").outcome == "unknown"


def test_an_old_price_warns(prices):
    result = quick(prices=prices, machine="example-2cpu-8gb", today=date(2028, 1, 1))
    assert only(result, "price_age").outcome == "warned"


def test_a_limit_on_money_is_held(prices):
    result = quick(
        prices=prices,
        machine="example-2cpu-8gb",
        max_cost_per_month=50.0,
        max_cost_per_1k=100.0,
        reasons={"max_cost_per_month": "our budget"},
    )
    assert only(result, "cost_per_month").outcome == "failed"
    assert only(result, "cost_per_month").limit.reason == "our budget"
    assert only(result, "cost_per_1k_single").outcome == "passed"


GOOD = "small,EUR,0.10,2,8,list,2026-01-01\n"
BAD = {
    "negative": (HEAD + GOOD + "b,EUR,-0.1,2,8,x,2026-01-01\n", ["line 3", "price_per_hour", "-0.1"]),
    "unreadable": (HEAD + "b,EUR,\"0,10\",2,8,x,2026-01-01\n", ["line 2", "price_per_hour", "0,10"]),
    "nan": (HEAD + "b,EUR,NaN,2,8,x,2026-01-01\n", ["line 2", "price_per_hour"]),
    "no price": (HEAD + "b,EUR,,2,8,x,2026-01-01\n", ["line 2", "price_per_hour", "empty"]),
    "memory": (HEAD + "b,EUR,1,2,big,x,2026-01-01\n", ["line 2", "memory_gb", "big"]),
    "currencies": (HEAD + GOOD + "b,USD,1,2,8,x,2026-01-01\n", ["line 3", "currency", "USD", "EUR"]),
    "future": (HEAD + "b,EUR,1,2,8,x,2027-01-01\n", ["line 2", "date", "future"]),
    "no date": (HEAD + "b,EUR,1,2,8,x,1.2.2026\n", ["line 2", "date", "1.2.2026"]),
    "column": ("machine,currency,price_per_hr,date\nb,EUR,1,2026-01-01\n", ["line 1", "price_per_hour", "price_per_hr"]),
    "ragged": (HEAD + "b,EUR,1\n", ["line 2", "fields"]),
    "too long": (HEAD + GOOD.strip() + ",more\n", ["line 2", "fields"]),
    "twice": (HEAD + GOOD + GOOD, ["line 3", "twice"]),
    "empty": ("", ["machine"]),
    "no lines": (HEAD, ["no price"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_spoilt_table_is_refused_with_its_place(name, tmp_path):
    text, parts = BAD[name]
    (tmp_path / "prices.csv").write_text(text)
    with pytest.raises(InputError) as error:
        read_prices(tmp_path / "prices.csv", today=TODAY)
    for part in ["prices.csv", *parts] if name not in ("column",) else parts:
        assert part in str(error.value), error.value
    assert str(tmp_path) not in str(error.value)


def test_missing_files_and_machines_are_named(tmp_path, prices):
    with pytest.raises(InputError, match="nowhere"):
        read_prices(tmp_path / "nowhere.csv")
    (tmp_path / "latin.csv").write_bytes(HEAD.encode() + "größe,EUR,1,2,8,x,2026-01-01\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv"):
        read_prices(tmp_path / "latin.csv")
    table = read_prices(prices, today=TODAY)
    with pytest.raises(InputError, match="Did you mean 'example-2cpu-8gb'"):
        find_machine(table, "example-2cpu-8g")
    with pytest.raises(InputError, match="none is named"):
        find_machine(table, None)


def test_the_newest_price_of_a_machine_counts(tmp_path):
    (tmp_path / "p.csv").write_text(HEAD + GOOD + "small,EUR,0.20,2,8,list,2026-06-01\n")
    (price,) = read_prices(tmp_path / "p.csv", today=TODAY)
    assert (price.per_hour, price.date) == (Decimal("0.20"), date(2026, 6, 1))


def test_money_is_exact():
    price = Price("m", "EUR", Decimal("0.1"), TODAY)
    assert cost_of(36.0, price) == Decimal("0.001")
    assert sum(cost_of(0.1, price) for _ in range(36_000)) == Decimal("0.1") * sum([Decimal("0.1") / 3600] * 36_000)
    assert rounded(Decimal("0.005"), 2) == Decimal("0.01")


def test_a_model_that_raises_is_the_users_to_mend():
    def broken(frame):
        raise RuntimeError("no such layer")

    with pytest.raises(InputError, match="no such layer"):
        quick(model(broken))
    with pytest.raises(InputError, match="'c'"):
        quick(model(lambda f: f["a"]), FRAME.drop(columns="c"))


def test_one_row_and_no_row():
    assert only(quick(reference=FRAME.head(1)), "latency_p95_ms").statistic.n == 80
    assert quick(reference=FRAME.head(0)).outcome == "unknown"


def test_real_credit_data():
    frame = pd.read_csv(shared_data("german_credit/german_credit.csv.gz")).select_dtypes("number")
    x = frame.drop(columns=frame.columns[0])
    result = quick(LogisticRegression(max_iter=3000).fit(x, frame.iloc[:, 0] > frame.iloc[:, 0].median()), x)
    assert result.outcome in ("passed", "warned"), result


@pytest.mark.slow
def test_the_flights_example(flights, monkeypatch):
    from prodnb.inputs import open_inputs
    from prodnb.settings import load_settings

    monkeypatch.chdir(flights)
    inputs = open_inputs(load_settings(flights / "settings.ini"))
    result = check_cost(
        inputs.model, inputs.reference, prices="flights/prices.csv", machine="example-2cpu-8gb", roles=inputs.roles, today=TODAY
    )
    assert only(result, "training_cost").statistic.value > 0
    assert only(result, "cost_per_month").statistic.value >= Decimal("70.08")
    assert only(result, "rows_per_second").statistic.value > 1000
