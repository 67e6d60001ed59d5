"""An archive of many runs as years of use would leave it: records and log entries with the right bytes, small pages, no kernels."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prodnb.log import CHECKPOINTS, ENTRIES, NEWEST, entry, numbered, read_batch
from prodnb.log_batch import write_batch
from prodnb.merkle import Frontier, leaf_hash
from prodnb.record import Record, Run, canonical, outcome_of, sha256
from prodnb.signed_note import Checkpoint
from prodnb.verdict import CheckResult, Limit, Statistic, judge, skip, worst

ORIGIN = "prodnb.local/many-00000000"
FIRST = datetime(2023, 1, 2, 6, tzinfo=UTC)
COLUMNS = ("dep_hour", "carrier", "origin", "distance", "wind_speed", "visibility", "plane_age", "temperature")
CHECKS = ("cost", "data_quality", "drift", "explainability")
LIMITS = {
    "drift": ("effect", "", Limit(warn=0.1, fail=0.25, reason="a shift of this size moved the share of late flights by a tenth")),
    "data_quality": ("null_share", "share", Limit(warn=0.01, fail=0.05, reason="agreed with the data team on 2013-05-02")),
    "explainability": (
        "importance_similarity",
        "",
        Limit(warn=0.9, fail=0.7, side="min", reason="what experts could still follow"),
    ),
}


def _value(check: str, column: int, step: float, rng: random.Random) -> float:
    """Drift grows until a model is fitted anew (every third of the time) and has a season; nulls jump now and then."""
    if check == "drift":
        return max(0.001, 0.02 + 0.03 * column * (step % (1 / 3)) * 3 + 0.02 * math.sin(40 * step + column) + rng.gauss(0, 0.008))
    if check == "data_quality":
        return min(1, max(0, rng.gauss(0.004, 0.001)) + (0.09 if rng.random() < 0.004 else 0))
    return min(1, max(0, 0.97 - 0.02 * column - 0.05 * (step % (1 / 3)) + rng.gauss(0, 0.01)))


def results_of(check: str, step: float, rng: random.Random, columns: int = len(COLUMNS)) -> list[dict[str, Any]]:
    """Return what one check shows at `step`, a share of the whole time."""
    if check == "cost":
        limit = Limit(
            warn=0.08, fail=0.1, reason="a warning that sells for a tenth of a cent may cost a tenth of that to compute"
        )
        cost = round(0.05 + 0.03 * step + rng.gauss(0, 0.002), 5)
        size = Statistic(name="model_size", value=round(3 + 2 * step, 3), unit="MB", about="model")
        spent = Statistic(name="cost_per_1k", value=cost, low=cost * 0.9, high=cost * 1.1, level=0.95, unit="USD", about="model")
        return [CheckResult(check, [judge(spent, limit), judge(size, None), skip("there is no target", name="gain")]).to_dict()]
    name, unit, limit = LIMITS[check]
    verdicts = []
    for n in range(columns):
        value = round(_value(check, n % len(COLUMNS), step, rng), 5)
        about = COLUMNS[n] if n < len(COLUMNS) else f"column_{n}"
        near = {"low": max(0, value - 0.004), "high": value + 0.004, "level": 0.95} if check == "drift" else {}
        verdicts.append(judge(Statistic(name=name, value=value, unit=unit, n=29_425, about=about, **near), limit))
    return [CheckResult(check, verdicts).to_dict()]


def _run_at(number: int, of: int, project: str, rng: random.Random, columns: int) -> tuple[Run, dict[str, bytes]]:
    started = FIRST + timedelta(hours=3 * number)
    name, when, step = (
        f"{started:%Y%m%dT%H%M%SZ}-{rng.getrandbits(32):08x}",
        started.isoformat(timespec="milliseconds"),
        number / of,
    )
    model = {
        "role": "model",
        "location": f"models:/{project}@champion",
        "digest": sha256(b"%d" % (3 * step)),
        "algorithm": "sha256",
    }
    facts = {"template_digest": "ab" * 32, "settings_digest": "cd" * 32, "parameters": {}, "environment": {"python": "3.11.7"}}
    facts |= {"inputs": [model], "resources": {}, "run_by": "nightly", "notebook_digest": "ef" * 32, "report_digest": "01" * 32}
    files, records = {"index.html": b"<!doctype html><title>run</title><p>The run."}, []
    for check in CHECKS:
        cause = {"kind": "raised", "cell": 3, "message": "ValueError: no rows"} if rng.random() < 0.003 else None
        results = [] if cause else results_of(check, step, rng, columns)
        before = records[-1].id if records else None
        took = {"seconds": round(rng.uniform(2, 20), 2), "outcome": outcome_of(results, cause), "previous": before}
        records.append(Record(check=check, run=name, results=results, cause=cause, started=when, **took, **facts))
        files[f"records/{check}.json"] = records[-1].bytes
        files[f"{check}.html"] = f"<!doctype html><title>{check}</title><p>The page of {check}.".encode()
    kept = [{"check": r.check, "id": r.id, "outcome": r.outcome} for r in records]
    words = {
        "question": f"Will this flight be late, judged from what {project} knows before departure?",
        "owner": "the flights team",
    }
    words |= {"runbook": None, "seconds": round(sum(r.seconds for r in records) / 2, 2), "project": project}
    digests = {file: sha256(data) for file, data in files.items()}
    return Run(id=name, outcome=worst(r.outcome for r in records), started=when, records=kept, files=digests, **words), files


class _Log:
    """An unsigned log that is continued in memory: `prodnb.log` would look for its end before each of ten thousand batches."""

    def __init__(self, root: Path):
        self.root, self.frontier = root, Frontier()
        for folder in (ENTRIES, CHECKPOINTS):
            (root / folder).mkdir(parents=True, exist_ok=True)
        if names := sorted(path.name for path in (root / ENTRIES).iterdir()):
            self.frontier = read_batch((root / ENTRIES / names[-1]).read_bytes(), names[-1]).after
        else:
            self.add(_entry("opened", FIRST, origin=ORIGIN))

    def add(self, *leaves: tuple[str, bytes]) -> None:
        after = self.frontier.add([leaf_hash(data) for _, data in leaves])
        note = f"{Checkpoint(ORIGIN, after.size, after.root).body}\n".encode()
        (self.root / ENTRIES / numbered(self.frontier.size)).write_bytes(write_batch(self.frontier, leaves, note))
        (self.root / CHECKPOINTS / numbered(after.size)).write_bytes(note)
        (self.root / NEWEST).write_bytes(note)
        self.frontier = after


def _entry(kind: str, at: datetime, **fields: Any) -> tuple[str, bytes]:
    return "", canonical({**entry(kind, **fields), "at": at.isoformat(timespec="milliseconds")})


def make_runs(
    folder: Path,
    runs: int,
    *,
    projects: tuple[str, ...] = ("flights", "delays"),
    columns: int = 8,
    skip_first: int = 0,
    seed: int = 0,
) -> Iterator[Run]:
    """Write `runs` runs below `folder/archive`, the projects in turn; every 97th run is announced and never concluded."""
    root = folder / "archive"
    log = _Log(root)
    for number in range(skip_first, skip_first + runs):
        rng, at = random.Random(f"{seed} {number}"), FIRST + timedelta(hours=3 * number)
        run, files = _run_at(number, max(runs, 1), projects[number % len(projects)], rng, columns)
        late = (at + timedelta(hours=1)).isoformat(timespec="milliseconds")
        fields = {"run": run.id, "project": run.project, "checks": list(CHECKS), "expected_by": late, "where": "ci-7"}
        log.add(_entry("started", at, schedule={}, **fields))
        if number % 97 == 96:
            continue
        for name, data in {**files, "run.json": run.bytes}.items():
            path = root / "runs" / run.id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        ended = {"digest": run.digest, "outcome": run.outcome, "records": {r["check"]: r["id"] for r in run.records}}
        leaves = [(f"runs/{run.id}/records/{r['check']}.json", files[f"records/{r['check']}.json"]) for r in run.records]
        log.add(*leaves, _entry("concluded", at + timedelta(minutes=2), run=run.id, **ended))
        yield run
