"""Counted once in a run: one builder for a whole input, equal results, and nothing for tables that are not the input as it is."""

import json
import subprocess
import sys
import time
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from project import prodnb, write_project, write_template
from shared import shared_data
from test_grouped import nasty

from prodnb import once
from prodnb.archive import open_archive, read_json
from prodnb.baseline import baseline
from prodnb.drift import check_drift
from prodnb.inputs import fingerprints, open_inputs
from prodnb.lean import lean_profile
from prodnb.once import counted_once, environment_of, prepare, used_by
from prodnb.profile import profile
from prodnb.quality import check_quality
from prodnb.settings import load_settings
from prodnb.tables import open_table

MORE = "current = current.parquet\ncategorical = k\nignore = z\n"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    write_project(tmp_path / "p", {})
    for name, shift in (("reference", 0.0), ("current", 0.3)):
        x = rng.normal(shift, 1, 3000)
        x[:7] = np.nan
        odd = [None, "", " ", "N/A", 'we"ird ü', "\N{GRINNING FACE}"] * 500
        table = {
            "x": x,
            "k": rng.integers(0, 9, 3000),
            "s": odd,
            "b": x > 0,
            "z": 1,
            "t": pd.date_range("2026-01-01", periods=3000, freq="min"),
        }
        pd.DataFrame(table).to_parquet(tmp_path / "p" / f"{name}.parquet")
    text = (tmp_path / "p" / "settings.ini").read_text()
    (tmp_path / "p" / "settings.ini").write_text(text.replace("[archive]", MORE + "[archive]"))
    return tmp_path / "p"


@pytest.fixture
def counting(monkeypatch):
    """How often something was really counted, by kind."""
    from prodnb import lean as lean_module
    from prodnb import profile as profile_module

    counted = {"profile": 0, "lean": 0}
    for module, name, kind in ((profile_module, "_profile", "profile"), (lean_module, "_lean_profile", "lean")):
        real = getattr(module, name)

        def spy(*a, real=real, kind=kind):
            counted[kind] += 1
            return real(*a)

        monkeypatch.setattr(module, name, spy)
    return counted


@pytest.fixture
def in_run(folder, tmp_path, monkeypatch):
    """As the kernel of a check called `first` sees a run."""
    settings = load_settings(folder / "settings.ini")
    prepare(tmp_path / "counted", settings.digest, fingerprints(settings))
    for name, value in environment_of(tmp_path / "counted", "first").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(once, "_WHOLE", {})
    return settings


def kept(tmp_path):
    return [p for p in (tmp_path / "counted").iterdir() if not p.suffix]


def test_results_are_equal_and_counted_once(folder, tmp_path, counting, in_run, monkeypatch):
    def both():
        inputs = open_inputs(load_settings(folder / "settings.ini"))
        quality = check_quality(inputs.reference, inputs.current, roles=inputs.roles)
        drift = check_drift(baseline(inputs.reference, roles=inputs.roles), inputs.current, roles=inputs.roles)
        return [quality.to_dict(), drift.to_dict()]

    first = both()
    assert counting == {"profile": 2, "lean": 1}  # the lean profile of the reference is cut from the full one
    again = both()
    assert counting == {"profile": 2, "lean": 1}
    assert len(kept(tmp_path)) == 4
    monkeypatch.delenv(once.FOLDER)
    without = both()
    assert counting == {"profile": 4, "lean": 3}
    assert json.dumps(first) == json.dumps(again) == json.dumps(without)


def test_what_is_kept_is_what_was_counted(folder, in_run):
    inputs = open_inputs(in_run)
    for count in (profile, lean_profile):
        mine, theirs = count(inputs.reference), count(inputs.reference)
        assert mine == theirs == count(str(folder / "reference.parquet"))
        assert mine.to_json() == theirs.to_json()


def test_other_arguments_are_another_count(tmp_path, counting, in_run):
    reference = open_inputs(in_run).reference
    known = profile(reference)
    profile(reference, columns=["x"])
    profile(reference, min_level_rows=9)
    profile(reference, portable=True)
    profile(reference, like=known)
    lean_profile(reference)
    assert counting == {"profile": 5, "lean": 0}
    lean_profile(reference, min_level_rows=7)
    lean_profile(reference, like=known)
    assert counting == {"profile": 6, "lean": 1}
    assert len(kept(tmp_path)) == 9


def in_a_run(table, folder, monkeypatch):
    """Make a table a whole input of a run."""
    prepare(folder, "", [])
    for name, value in environment_of(folder, "first").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(once, "_WHOLE", {table.op(): ("reference", "ab")})


def counted_apart_and_in_a_run(table, folder, monkeypatch, columns=None):
    """The lean profile counted on its own, the one that is cut from the full one, and the full ones in both ways."""
    monkeypatch.delenv(once.FOLDER, raising=False)
    alone, whole = lean_profile(table, columns=columns), profile(table)
    in_a_run(table, folder, monkeypatch)
    return alone, lean_profile(table, columns=columns), whole, profile(table)


REAL = (
    "nycflights13/flights.parquet",
    "adult/adult.parquet",
    "diamonds/diamonds.parquet",
    "bike_sharing/day.parquet",
    "bike_sharing/hour.parquet",
    "elec2/elec2.parquet",
    "noaa_rain/noaa_rain.parquet",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a_lean_profile_that_is_cut_from_a_full_one_is_the_same_on_real_data(name, tmp_path, monkeypatch, counting):
    table = open_table(shared_data(name))
    alone, cut, whole, own = counted_apart_and_in_a_run(table, tmp_path / "counted", monkeypatch)
    assert counting == {"profile": 2, "lean": 1}
    assert cut.to_json() == alone.to_json()
    assert own.to_json() == whole.to_json()


@pytest.mark.parametrize("case", ["nasty", "no rows", "one row", "no values", "some columns"])
def test_a_lean_profile_that_is_cut_from_a_full_one_is_the_same(case, tmp_path, monkeypatch, counting):
    made = nasty(np.random.default_rng(0), 400)
    hollow = pa.table({c: pa.nulls(5, made.schema.field(c).type) for c in made.column_names})
    few = {"no rows": made.slice(0, 0), "one row": made.slice(0, 1), "no values": hollow}.get(case, made)
    columns = made.column_names[::2] if case == "some columns" else None
    alone, cut, whole, own = counted_apart_and_in_a_run(open_table(few), tmp_path / "counted", monkeypatch, columns)
    assert counting == {"profile": 2, "lean": 1}
    assert cut.to_json() == alone.to_json()
    assert own.to_json() == whole.to_json()


def test_where_fewer_columns_draw_another_sample_the_lean_profile_is_counted_on_its_own(tmp_path, monkeypatch, counting):
    rng = np.random.default_rng(0)
    table = open_table(pd.DataFrame({c: rng.normal(size=120_000) for c in "abc"}))
    alone, inside, *_ = counted_apart_and_in_a_run(table, tmp_path / "counted", monkeypatch, ["a", "b"])
    assert inside.to_json() == alone.to_json()
    assert counting == {"profile": 2, "lean": 2}


DERIVED = {
    "filtered": lambda t: t.filter(t.x > 0),
    "all rows, by a filter": lambda t: t.filter(ibis.literal(True)),
    "limited": lambda t: t.limit(10),
    "a column less": lambda t: t.drop("x"),
    "a changed column": lambda t: t.mutate(x=t.x + 1),
    "renamed": lambda t: t.rename(y="x"),
    "in another order": lambda t: t.order_by("x"),
    "distinct": lambda t: t.distinct(),
    "random": lambda t: t.filter(ibis.random() < 0.5),
    "with itself": lambda t: t.union(t),
    "a frame": lambda t: t.to_pandas(),
    "in memory": lambda t: ibis.memtable(t.to_pandas()),
}


@pytest.mark.parametrize("how", DERIVED)
def test_a_derived_table_is_never_looked_up(tmp_path, counting, in_run, how):
    inputs = open_inputs(in_run)
    profile(inputs.reference)
    before = [p.name for p in kept(tmp_path)]
    for _ in range(2):
        profile(DERIVED[how](inputs.reference))
        lean_profile(DERIVED[how](inputs.current))
    assert counting == {"profile": 3, "lean": 2}
    assert [p.name for p in kept(tmp_path)] == before


def test_two_inputs_two_views_two_counts(tmp_path, counting, in_run):
    from dataclasses import replace

    inputs = open_inputs(in_run)
    for roles in (inputs.roles, replace(inputs.roles, ignore=()), replace(inputs.roles, categorical=())):
        for table in (inputs.reference, inputs.current, inputs.reference):
            check_quality(table, roles=roles)
    assert counting["profile"] == len(kept(tmp_path)) == 6


def test_other_settings_an_unfingerprinted_input_or_no_run_keep_nothing(folder, tmp_path, counting, in_run, monkeypatch):
    profile(open_inputs(load_settings(folder / "settings.ini", {"project.seed": "3"})).reference)
    rows = [{**row, "digest": ""} for row in fingerprints(in_run)]
    prepare(tmp_path / "blind", in_run.digest, rows)
    monkeypatch.setenv(once.FOLDER, str(tmp_path / "blind"))
    profile(open_inputs(in_run).reference)
    monkeypatch.setenv(once.FOLDER, str(tmp_path / "gone"))
    profile(open_inputs(in_run).reference)
    monkeypatch.delenv(once.FOLDER)
    profile(open_inputs(in_run).reference)
    assert counting["profile"] == 4
    assert kept(tmp_path) == []
    assert once._WHOLE == {}


def test_what_was_used_is_named_once(tmp_path, in_run):
    reference = open_inputs(in_run).reference
    profile(reference)
    profile(reference)
    (row,) = used_by(tmp_path / "counted", "first")
    assert row["role"] == "profile of reference"
    assert len(row["digest"]) == 64
    assert used_by(tmp_path / "counted", "second") == []


def test_what_cannot_be_read_is_counted_again_and_what_cannot_be_written_is_not_kept(tmp_path, in_run):
    reference, asked = open_inputs(in_run).reference, []

    def ask(write=str):
        return counted_once("rows", reference, [], lambda: asked.append(1) or 3, write=write, read=int)

    def refuses(value):
        raise ValueError("it holds a NaN")

    assert ask(refuses) == 3
    assert kept(tmp_path) == []
    assert ask() == ask() == 3
    assert len(asked) == 2
    kept(tmp_path)[0].write_text("half a nu")
    assert ask() == 3
    assert len(asked) == 3
    with pytest.raises(ZeroDivisionError):
        counted_once("faults", reference, [], lambda: 1 / 0, write=str, read=int)
    assert counted_once("faults", reference, [], lambda: 4, write=str, read=int) == 4  # an error frees the lock, too


BUILDER = """
import os, sys, time
from prodnb import once
class Table:
    def op(self): return "the input"
once._WHOLE["the input"] = ("reference", "ab")
def count():
    with open(sys.argv[1], "a") as log: log.write("x")
    time.sleep(float(sys.argv[2]))
    return 3
print(once.counted_once("rows", Table(), [], count, write=str, read=int))
"""


def builder(tmp_path, seconds):
    import os

    env = {**os.environ, **environment_of(tmp_path / "counted", "first")}
    command = [sys.executable, "-c", BUILDER, str(tmp_path / "log"), str(seconds)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def wait_for(file):
    for _ in range(400):
        if file.exists() and file.read_text():
            return
        time.sleep(0.05)
    raise AssertionError("it never began to count")


def test_the_second_waits_for_the_first(tmp_path):
    prepare(tmp_path / "counted", "", [])
    both = [builder(tmp_path, 1.5) for _ in range(2)]
    assert [p.communicate(timeout=60)[0] for p in both] == ["3\n", "3\n"]
    assert (tmp_path / "log").read_text() == "x"


def test_a_builder_that_dies_frees_the_others(tmp_path):
    prepare(tmp_path / "counted", "", [])
    dies = builder(tmp_path, 600)
    wait_for(tmp_path / "log")
    waits = builder(tmp_path, 0)
    dies.kill()
    dies.wait()
    assert waits.communicate(timeout=60)[0] == "3\n"
    assert (tmp_path / "log").read_text() == "xx"


ASKS = """from prodnb import profile as module
from prodnb.inputs import open_inputs
from prodnb.settings import load_settings
from prodnb.verdict import CheckResult, skip
real = module._profile
module._profile = lambda *a: (open("built", "a").write("x"), real(*a))[1]
reference = open_inputs(load_settings("settings.ini")).reference
found = module.profile({table})
CheckResult({check!r}, [skip(f"{{found.rows}} rows")])"""


@pytest.mark.slow
def test_in_a_real_run(folder, monkeypatch, tmp_path):
    (tmp_path / "staging").mkdir()
    for check, table in (("one", "reference"), ("two", "reference"), ("some", "reference.filter(reference.x > 0)")):
        write_template(folder, check, [ASKS.format(check=check, table=table)], reuse=True)
    said = prodnb("run", "one", "two", "some", "--json", cwd=folder, env={"TMPDIR": str(tmp_path / "staging")})
    assert said.code == 0, said.err
    assert (folder / "built").read_text() == "xx"  # the whole once, the part by the one that asked
    archive = open_archive(str(folder / "archive"))
    inputs = {c: read_json(archive, said.json["run"], f"records/{c}.json")["inputs"] for c in ("one", "two", "some")}
    roles = {c: [row["role"] for row in rows] for c, rows in inputs.items()}
    assert roles == {c: ["reference", "current", "profile of reference"] for c in ("one", "two")} | {
        "some": ["reference", "current"]
    }
    assert inputs["one"][-1]["digest"] == inputs["two"][-1]["digest"]
    assert "profile of reference" in Path(archive.path(said.json["run"], "one.html")).read_text()
    assert [p.name for p in (tmp_path / "staging").iterdir() if p.name.startswith("prodnb-run")] == []
    again = prodnb("run", "one", "--reuse", "--json", cwd=folder)
    record = read_json(archive, again.json["run"], "records/one.json")
    assert record["reused"]["run"] == said.json["run"]
    assert record["inputs"] == inputs["one"]
    assert prodnb("verify", cwd=folder).code == 0


def test_a_table_from_a_function_is_not_noted(tmp_path):
    row = {"role": "reference", "location": "tables:rows", "algorithm": "SHA-256", "digest": "ab"}
    prepare(tmp_path / "counted", "cd", [row, {**row, "role": "current", "location": "current.parquet"}])
    assert list(json.loads((tmp_path / "counted" / "inputs.json").read_text())["inputs"]) == ["current"]
