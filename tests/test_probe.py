"""The watch: it counts what it says, keeps its budget, and sees memory that is there."""

import time

import numpy as np
import pandas as pd
import pytest

from prodnb.probe import calibrate, peak_memory, resident_memory, threads, time_calls, timing_noise
from prodnb.sample import sample_rows
from prodnb.tables import open_table
from prodnb.timing import quantile_range


def test_warm_up_calls_are_not_counted_and_rows_are_taken_in_turn():
    seen = []
    seconds = time_calls(seen.append, repeats=4, warmup=2)
    assert len(seconds) == 4
    assert seen == [0, 0, 0, 1, 2, 3]


def test_the_budget_holds_and_one_slow_call_still_gives_a_number():
    start = time.perf_counter()
    seconds = time_calls(lambda i: time.sleep(0.1), repeats=1000, max_seconds=0.3)
    assert time.perf_counter() - start < 0.8
    assert 1 <= len(seconds) <= 4
    assert len(time_calls(lambda i: time.sleep(0.05), repeats=5, warmup=1, max_seconds=0.01)) == 1


def test_a_slow_first_call_is_not_in_the_timings():
    def cold(i, state={"warm": False}):  # noqa: B006
        time.sleep(0.001 if state["warm"] else 0.2)
        state["warm"] = True

    assert time_calls(cold, repeats=10).max() < 0.1


@pytest.mark.parametrize("megabytes", [64, 200])
def test_memory_that_is_held_for_a_moment_is_seen(megabytes):
    before = resident_memory()
    peak, extra, method = peak_memory(lambda: np.ones(megabytes * 125_000).sum())
    assert 0.8 * megabytes < extra / 1e6 < 1.5 * megabytes + 20, method
    assert peak >= before


def test_a_call_that_holds_nothing_adds_nothing():
    assert peak_memory(lambda: sum(range(1000)))[1] < 8e6


def test_noise_sees_a_machine_that_slows_down():
    quiet = np.full(20, 0.001)
    assert timing_noise(quiet, quiet) == 0
    assert timing_noise(quiet, 2 * quiet) == timing_noise(2 * quiet, quiet) == pytest.approx(1.0)
    assert timing_noise(quiet, np.repeat([0.001, 0.002], 10)) > 0.2
    assert len(calibrate(4)) == 4


def test_threads_are_limited_and_given_back():
    from threadpoolctl import threadpool_info

    np.ones((4, 4)) @ np.ones((4, 4))
    before = [p["num_threads"] for p in threadpool_info()]
    with threads(1):
        assert {p["num_threads"] for p in threadpool_info()} <= {1}
    assert [p["num_threads"] for p in threadpool_info()] == before


def test_quantile_intervals_cover():
    """The 95 % interval of the 95th percentile of 200 exponential timings holds the truth in 95 % of 400 repeats, within chance."""
    rng, truth, hits = np.random.default_rng(0), -np.log(0.05), 0
    for _ in range(400):
        _, low, high = quantile_range(rng.exponential(size=200), 0.95, 0.0)
        hits += low <= truth <= high
    assert hits / 400 > 0.92


@pytest.mark.parametrize(("n", "q", "bounded"), [(5, 0.5, False), (6, 0.5, True), (71, 0.95, False), (73, 0.95, True)])
def test_too_few_timings_bound_no_quantile(n, q, bounded):
    assert (quantile_range(np.linspace(1, 2, n), q, 0.0)[0] is not None) == bounded


def test_rows_are_drawn_without_bias_and_repeatably():
    table = open_table(pd.DataFrame({"a": range(200), "row_number_0": 1}))
    hits = sum(np.bincount(sample_rows(table, 20, seed=s, columns=["a"])[0].a, minlength=200) for s in range(60))
    assert hits.sum() == 60 * 20
    assert ((hits - 6) ** 2 / 6).sum() < 260  # chi-squared with 199 degrees of freedom, 99.8 %
    first, total = sample_rows(table, 20, seed=3)
    assert total == 200
    pd.testing.assert_frame_equal(first, sample_rows(table, 20, seed=3)[0])
    assert not first.equals(sample_rows(table, 20, seed=4)[0])
    assert list(first.columns) == ["a", "row_number_0"]


def test_an_empty_table_gives_no_rows():
    frame, total = sample_rows(open_table(pd.DataFrame({"a": pd.Series([], dtype=float)})), 10, seed=0)
    assert (len(frame), total, list(frame)) == (0, 0, ["a"])
