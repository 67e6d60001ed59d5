"""Whole runs without kernels: records, statements, notebook and pages as the runner seals them, announced and concluded in the log."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prodnb.archive import Archive, open_archive
from prodnb.log import Log, open_log
from prodnb.record import Record, Run, new_run_id, outcome_of, sha256
from prodnb.signed_note import Signer
from prodnb.statement import envelope, statement_of
from prodnb.trail import announce, conclude
from prodnb.verdict import CheckResult, Limit, Statistic, judge, worst

DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)
SIGNER = Signer("example.org/demo", bytes(range(32)))
OTHER = Signer("example.org/other", bytes(range(1, 33)))


def shown(check: str, value: float = 1.0, fail: float = 2.0, about: Sequence[str] = ("dataset",)) -> dict:
    """Return a result with one judged statistic for each of `about`."""
    limit = Limit(warn=0.75 * fail, fail=fail, reason="agreed with the owner")
    return CheckResult(check, [judge(Statistic(name="distance", about=a, value=value, n=100), limit) for a in about]).to_dict()


def notebook_of(check: str, results: Sequence[Mapping]) -> bytes:
    """Return a small executed notebook that shows the results."""
    mime = "application/vnd.prodnb.result.v1+json"
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {check}\n> Does {check} end well?"}]
    for n, result in enumerate(results):
        output = {
            "output_type": "execute_result",
            "execution_count": 1,
            "metadata": {},
            "data": {mime: result, "text/plain": check},
        }
        cell = {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": f"check_{check}()", "execution_count": 1}
        cells.append({**cell, "outputs": [output]})
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()


def make_record(
    check: str,
    run: str,
    *,
    value: float = 1.0,
    fail: float = 2.0,
    about: Sequence[str] = ("dataset",),
    results: Sequence[Mapping] | None = None,
    cause: Mapping | None = None,
    previous: str | None = None,
    started: datetime | str = DAY,
    notebook: bytes | None = None,
    page: bytes | None = None,
    **more: object,
) -> Record:
    """Return a record; its outcome follows from `value` (1.0 passes, 1.6 warns, 3.0 fails) unless `results` are given."""
    results = list(results) if results is not None else [shown(check, value, fail, about)] if cause is None else []
    notebook = notebook or notebook_of(check, results)
    page = page or page_of(check, value)
    facts = {"template_digest": sha256(check.encode()), "settings_digest": sha256(b"settings"), "parameters": {}, "inputs": []}
    facts |= {"environment": {"python": "3.11.2", "packages": {"numpy": "2.0"}}, "resources": {}, "seconds": 1.5, "run_by": None}
    facts |= {"notebook_digest": sha256(notebook), "report_digest": sha256(page)} | more
    when = started if isinstance(started, str) else started.isoformat(timespec="milliseconds")
    outcome = outcome_of(results, cause)
    return Record(check=check, run=run, results=results, outcome=outcome, cause=cause, previous=previous, started=when, **facts)


def page_of(check: str, value: float) -> bytes:
    """Return a page."""
    return f"<!doctype html><title>{check}</title><p>{check}: {value}</p>".encode()


def parts(record: Record, value: float = 1.0, signer: Signer | None = SIGNER) -> dict[str, bytes]:
    """Return the files of one record."""
    notebook, page = notebook_of(record.check, record.results), page_of(record.check, value)
    digests = {f"{record.check}.ipynb": sha256(notebook), f"{record.check}.html": sha256(page)}
    signed = envelope(statement_of(record, digests, notebook), signer)
    names = (f"{record.check}.ipynb", f"{record.check}.html", f"records/{record.check}.json", f"records/{record.check}.dsse")
    return dict(zip(names, (notebook, page, record.bytes, signed), strict=True))


def run_of(
    records: Sequence[Record], files: Mapping[str, bytes], *, project: str = "demo", started: datetime = DAY, **more: object
) -> Run:
    """Return the run over records and files."""
    listed = [{"check": r.check, "id": r.id, "outcome": r.outcome} for r in records]
    facts = {"question": None, "owner": "ann's team", "runbook": None, "seconds": 2.0} | more
    digests = {name: sha256(data) for name, data in sorted(files.items())}
    when, outcome = started.isoformat(timespec="milliseconds"), worst(r.outcome for r in records)
    return Run(id=records[0].run, project=project, outcome=outcome, started=when, records=listed, files=digests, **facts)


def made_run(
    checks: Mapping[str, float] | Sequence[str] = ("cost", "drift"),
    *,
    number: int = 0,
    started: datetime | None = None,
    project: str = "demo",
    signer: Signer | None = SIGNER,
    overrides: Mapping[str, str] | None = None,
    extra: Mapping[str, bytes] | None = None,
    previous: Run | None = None,
    **record: object,
) -> tuple[Run, dict[str, bytes], list[Record]]:
    """Return a run with its files and records; nothing is written.

    `checks` are names, or name -> value (1.0 passes, 1.6 warns, 3.0 fails); run `number` n starts n hours after `DAY`; `record` goes to `make_record`.
    """
    started = started or DAY + timedelta(hours=number)
    values = checks if isinstance(checks, Mapping) else dict.fromkeys(checks, 1.0)
    name, records, files = new_run_id(started), [], {"index.html": b"<!doctype html><p>run</p>", **(extra or {})}
    for check, value in sorted(values.items()):
        before = records[-1].id if records else None
        made = make_record(check, name, value=value, previous=before, page=page_of(check, value), **{"started": started} | record)
        records.append(made)
        files |= parts(made, value, signer)
    knew = previous and {"id": previous.id, "digest": previous.digest}
    run = run_of(records, files, project=project, started=started, overrides=overrides or {}, previous=knew)
    return run, files, records


def sealed_run(log: Log, checks: Mapping[str, float] | Sequence[str] = ("cost", "drift"), **more: object) -> Run:
    """Announce, write and conclude a run in the archive of a log; `more` goes to `made_run`."""
    run, files, _ = made_run(checks, **{"signer": log.signer} | more)
    log.clock = lambda: datetime.fromisoformat(run.started)
    announce(log, run=run.id, project=run.project, checks=[r["check"] for r in run.records], seconds=900.0)
    conclude(log, run, files)
    return run


def log_in(folder: Path, signer: Signer | None = SIGNER, archive: Archive | None = None) -> Log:
    """Open the log of the archive `folder/archive`."""
    return open_log(archive or open_archive("archive", folder), signer, [signer.vkey] if signer else [], "demo")
