"""`prodnb verify`: what it prints, what it ends with, and what is overdue."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import typer
from mutants import first_format
from sealed import DAY, SIGNER, log_in, made_run, sealed_run
from typer.testing import CliRunner

from prodnb.archive import open_archive
from prodnb.record import sha256
from prodnb.trail import announce, conclude
from prodnb.verify_command import verify_command


def call(*arguments):
    app = typer.Typer()
    app.command()(verify_command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_says_the_first_broken_thing_and_who_signed(tmp_path):
    log = log_in(tmp_path)
    run = sealed_run(log, number=0)
    settings = tmp_path / "settings.ini"
    settings.write_text(f"[project]\nname = demo\n[archive]\nkeys = {SIGNER.vkey}\n")
    said = call("-s", settings)
    assert said.exit_code == 0
    assert "every file and record is as it was written" in said.output
    assert "which the settings name" in said.output
    old = tmp_path / "old"
    shutil.copy(Path(log.archive.root, "log/checkpoint"), old)
    sealed_run(log, number=1)
    assert "is an extension of the checkpoint of 6 leaves" in call("-s", settings, "--from", old).output
    page = Path(log.archive.root, "runs", run.id, "cost.html")
    page.write_bytes(b"all is well")
    said = call("--archive", log.archive.root)
    assert said.exit_code == 1
    assert said.output.startswith("changed  runs/")
    told = json.loads(call("-s", settings, "--json").output)
    assert (told["faults"], told["trusted"], told["findings"][0]["place"]) == (1, True, f"runs/{run.id}/cost.html")
    assert told["findings"][0]["expected"] == run.files["cost.html"]
    assert told["findings"][0]["found"] == sha256(b"all is well")


def test_the_command_knows_what_is_overdue_and_what_was_missed(tmp_path):
    log = log_in(tmp_path)
    due = {"drift": "1d"}
    for days in (0, 1, 5):
        run, files, _ = made_run({"drift": 1.0}, started=DAY + timedelta(days=days))
        log.clock = lambda days=days: DAY + timedelta(days=days)
        announce(log, run=run.id, project="demo", checks=["drift"], seconds=600.0, schedule=due)
        conclude(log, run, files)
    settings = tmp_path / "settings.ini"
    settings.write_text(f"[project]\nname = demo\n[archive]\nkeys = {SIGNER.vkey}\n[schedule]\ndrift = 1d\n")
    said = call("-s", settings)
    assert said.exit_code == 1
    assert "overdue  drift is due every 1 d, last recorded 2026-01-06 12:00 UTC" in said.output
    assert "not before 2026-01-06 12:00 UTC: missed 3 times" in said.output
    settings.write_text(settings.read_text().replace("drift = 1d", "drift = 5200w"))
    said = call("-s", settings)
    assert said.exit_code == 0  # what was missed in the past is no fault of the files
    assert "missed 3 times" in said.output
    told = json.loads(call("-s", settings, "--json").output)
    assert (told["overdue"], [m["times"] for m in told["missed"]]) == (0, [3])


def test_a_check_that_was_never_recorded_is_overdue_even_without_a_log(tmp_path):
    archive = open_archive("archive", tmp_path)
    first_format(archive)
    settings = tmp_path / "settings.ini"
    settings.write_text("[project]\nname = demo\n[schedule]\ncost = 5200w\n")
    assert call("-s", settings).exit_code == 0
    settings.write_text("[project]\nname = demo\n[schedule]\ndrift = 5200w\n")
    said = call("-s", settings)
    assert (said.exit_code, "never recorded" in said.output) == (1, True)
