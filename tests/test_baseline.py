"""The reference, counted once: kept, known again, and never taken for another."""

import json

import numpy as np
import pandas as pd
import pytest

from prodnb.baseline import Baseline, baseline, goes_on, reference_fingerprint
from prodnb.errors import InputError
from prodnb.inputs import Roles
from prodnb.lean import lean_profile

WHEN = Roles(time="when")


class Past:
    """What an earlier run left."""

    def __init__(self, state):
        self.state = state


def table(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    when = pd.date_range("2024-01-01", periods=rows, freq="h")
    return pd.DataFrame(
        {"when": when, "x": rng.normal(size=rows), "town": rng.choice(["Bern", "Chur"], rows), "id": np.arange(rows)}
    )


def test_it_is_the_profile_and_the_chunks_of_the_reference():
    frame = table()
    known = baseline(frame, roles=Roles(time="when", id="id"))
    assert known.profile == lean_profile(frame, columns=[c for c in frame.columns if c != "id"])  # no identifier is kept
    assert set(known.chunks.cells) == {"x", "town"}
    for column in ("x", "town"):
        assert (known.chunks.total(column)[0] == known.profile[column].cells).all()
    assert baseline(frame).chunks is None


def test_it_survives_being_written_down():
    known = baseline(table(), roles=WHEN, season="hour_of_day")
    for form in (known.to_json(), json.loads(known.to_json())):
        again = Baseline.from_json(form)
        assert (again.profile, again.key) == (known.profile, known.key)
        assert (again.chunks.strata, again.chunks.labels) == (known.chunks.strata, known.chunks.labels)
        assert (again.chunks.cells["x"] == known.chunks.cells["x"]).all()
    with pytest.raises(InputError, match="no baseline"):
        Baseline.from_json({"format": "other"})


def test_the_reference_is_not_read_again_while_it_is_the_same(tmp_path, monkeypatch):
    path = tmp_path / "reference.parquet"
    table().to_parquet(path)
    first = baseline(str(path), roles=WHEN)
    past = Past({"baseline": json.loads(first.to_json())})
    monkeypatch.setattr("prodnb.baseline.lean_profile", lambda *a, **k: pytest.fail("the reference was read again"))
    again = baseline(str(path), roles=WHEN, past=past)
    assert again.profile == first.profile
    monkeypatch.undo()
    table(seed=1).to_parquet(path)
    assert baseline(str(path), roles=WHEN, past=past).profile != first.profile


@pytest.mark.parametrize("other", [{"season": "month"}, {"every": "day"}, {"roles": Roles(time="when", ignore=("town",))}])
def test_what_decides_the_counts_is_part_of_the_key(other):
    frame = table()
    known = baseline(frame, roles=WHEN)
    past = Past({"baseline": known.to_json()})
    again = baseline(frame, **({"roles": WHEN, "past": past} | other))
    assert again.key != known.key
    assert known.key == baseline(frame, roles=WHEN, past=past).key


@pytest.mark.parametrize(
    "state", [None, {}, {"baseline": None}, {"baseline": "{"}, {"baseline": {"format": "prodnb.baseline.v1"}}]
)
def test_a_broken_or_absent_past_is_no_obstacle(state):
    assert baseline(table(500), roles=WHEN, past=Past(state)).profile.rows == 500


def test_rows_in_another_order_are_the_same_reference_and_other_rows_are_not():
    frame = table(800)
    assert reference_fingerprint(frame) == reference_fingerprint(frame[::-1])
    changed = frame.copy()
    changed.loc[5, "x"] += 1e-9
    assert reference_fingerprint(frame) != reference_fingerprint(changed)
    assert reference_fingerprint(frame) != reference_fingerprint(frame[:-1])
    assert reference_fingerprint(frame) != reference_fingerprint(frame.rename(columns={"x": "y"}))


def test_what_is_counted_already_is_taken_as_it_is():
    frame = table(900)
    known = baseline(frame, roles=WHEN)
    assert baseline(known, roles=WHEN) is known
    assert baseline(known.profile) == Baseline(known.profile, None)
    with pytest.raises(InputError, match="season"):
        baseline(known.profile, season="month")


def test_chunks_suit_the_current_table_too():
    reference, current = table(3000), table(90_000)
    assert baseline(reference, roles=WHEN, current=reference).chunks.every == baseline(reference, roles=WHEN).chunks.every
    assert baseline(reference, roles=WHEN).chunks.every == "week"
    assert baseline(reference, roles=WHEN, current=current).chunks.every == "month"
    assert (
        baseline(reference, roles=WHEN, current=current.drop(columns="when")).chunks.every
        == baseline(reference, roles=WHEN).chunks.every
    )


def test_a_role_of_a_column_that_is_not_there_is_a_mistake():
    with pytest.raises(InputError, match=r"(?i)'wehn'.*did you mean 'when'"):
        baseline(table(100), roles=Roles(time="wehn"))


def test_a_watch_goes_on_only_from_a_state_of_the_same_settings():
    frame = table()
    known = baseline(frame, roles=WHEN, season="hour_of_day")
    mark = reference_fingerprint(frame)
    state = {"baseline": json.loads(known.to_json()), "watch": {"alpha": 0.05}}
    same = {"roles": WHEN, "season": "hour_of_day", "every": "auto", "alpha": 0.05}
    assert goes_on(mark, **same)(state)
    for other in ({"alpha": 0.01}, {"season": "none"}, {"every": "day"}, {"roles": Roles(time="when", id="id")}):
        assert not goes_on(mark, **same | other)(state)
    assert not goes_on("another", **same)(state)
    assert not goes_on(mark, **same)({"association": {}})


def test_chunks_of_too_few_rows_are_refused():
    frame = pd.DataFrame({"at": np.arange(500.0), "x": np.arange(500.0)})
    for every in ("1 rows", "29 rows"):
        with pytest.raises(InputError, match="at least 30"):
            baseline(frame, roles=Roles(time="at"), every=every)
    assert len(baseline(frame, roles=Roles(time="at"), every="30 rows").chunks) == 17
