"""A project with a signed archive, made without kernels, to ask the gate about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from project import showing, write_project
from sealed import SIGNER, make_record, page_of, parts, run_of, shown

from prodnb.archive import Archive, open_archive
from prodnb.log import Log, open_log, stamped
from prodnb.log_batch import entry, write_batch
from prodnb.merkle import EMPTY, leaf_hash
from prodnb.record import Record, Run, canonical, new_run_id
from prodnb.release import Asked, Gate, ask_gate
from prodnb.settings import load_settings
from prodnb.signed_note import Checkpoint, sign_note
from prodnb.template import find_templates, values_in_force
from prodnb.trail import announce, conclude

MODEL = Asked("", "ab" * 32)
START = datetime(2026, 7, 1, 6, tzinfo=UTC)
LIMIT = 'fail: float = 2.0  # fail above this\nwords: str = ""  # anything\n'


@dataclass
class Project:
    """A project, its archive, and what time it is."""

    folder: Path
    now: datetime = START
    signer: object = SIGNER

    @property
    def settings(self):
        """The settings as they are now."""
        return load_settings(self.folder / "settings.ini")

    @property
    def templates(self):
        """The project's own checks."""
        return {name: t for name, t in find_templates(self.folder).items() if t.origin == "project"}

    @property
    def archive(self) -> Archive:
        """Its archive."""
        return open_archive("archive", self.folder)

    @property
    def keys(self) -> list:
        """The keys that may sign."""
        return [self.signer.vkey] if self.signer else []

    @property
    def log(self) -> Log:
        """Its log, at the project's time."""
        return open_log(self.archive, self.signer, self.keys, "demo", clock=lambda: self.now)

    def made(self, check: str, run: str, value: float, model: Asked | None = MODEL, **more) -> Record:
        """Return a record as the runner would make it today."""
        template = self.templates[check]
        values = values_in_force(template, self.settings)
        rows = {k: {"value": v, "source": values.sources[k], "reason": values.reasons[k]} for k, v in values.values.items()}
        inputs = [{"role": "reference", "location": "reference.parquet", "digest": "00" * 32}]
        inputs += [{"role": "model", "location": "model.onnx", "digest": model.digest}] if model else []
        facts = {"template_digest": template.digest, "parameters": rows, "inputs": inputs, "started": self.now}
        return make_record(check, run, value=value, page=page_of(check, value), **(facts | more))

    def run(self, values: Mapping[str, float], *, project="demo", overrides=None, after=timedelta(hours=1), **more) -> Run:
        """Seal a run of some checks (1.0 passes, 1.6 warns, 3.0 fails) and let an hour pass."""
        name, records, files = new_run_id(self.now), [], {"index.html": b"<p>"}
        for check, value in values.items():
            before = records[-1].id if records else None
            records.append(self.made(check, name, value, previous=before, **more))
            files |= parts(records[-1], value, self.signer)
        run = run_of(records, files, project=project, started=self.now, overrides=overrides or {})
        log = self.log
        announce(log, run=run.id, project=project, checks=list(values), seconds=900.0)
        conclude(log, run, files)
        self.now += after
        return run

    def gate(self, **more) -> Gate:
        """Ask the gate now."""
        given = {"model": MODEL, "keys": self.keys, "now": self.now} | more
        return ask_gate(self.settings, self.archive, self.templates, **given)

    def waive(self, *waivers: Mapping[str, str]) -> None:
        """Write waivers.yml."""
        (self.folder / "waivers.yml").write_text(json.dumps({"waivers": list(waivers)}))


def make_project(folder: Path, gate: str = "required = drift, cost\n", **more) -> Project:
    """Write a project with two checks that may be required, and one that is not."""
    checks = {name: [showing(name)] for name in ("drift", "cost", "extra")}
    write_project(folder, {}, more=f"[gate]\n{gate}")
    from project import write_template

    for check, cells in checks.items():
        write_template(folder, check, cells, LIMIT)
    return Project(folder, **more)


def about(check: str, *columns: str, value: float = 3.0) -> list[dict]:
    """Results that fail about some columns."""
    return [shown(check, value, about=columns)]


def fill(project: Project, runs: int, values: Mapping[str, float], **more) -> None:
    """Put many runs into an empty archive quickly: true records, batches and signatures, but no pages, proofs or checkpoint files."""
    frontier, origin, last = EMPTY, f"{project.signer.name}/00000000", ""
    root = Path(project.archive.root)
    (root / "log/entries").mkdir(parents=True)

    def write(*leaves: Mapping | tuple[str, bytes]) -> None:
        nonlocal frontier, last
        stamp = [("", canonical(stamped(x, last, project.now))) if isinstance(x, Mapping) else x for x in leaves]
        after = frontier.add(leaf_hash(data) for _, data in stamp)
        note = sign_note(Checkpoint(origin, after.size, after.root).body, project.signer)
        (root / f"log/entries/{frontier.size:012d}").write_bytes(write_batch(frontier, stamp, note))
        frontier, last = after, max(last, project.now.isoformat(timespec="milliseconds"))

    write(entry("opened", origin=origin), entry("key", key=str(project.signer.vkey), replaces=None, lost=False))
    for _ in range(runs):
        name = new_run_id(project.now)
        records = [project.made(check, name, value, **more) for check, value in values.items()]
        files = {f"records/{r.check}.json": r.bytes for r in records}
        run = run_of(records, files, started=project.now)
        for place, data in {**files, "run.json": run.bytes}.items():
            (root / "runs" / name / place).parent.mkdir(parents=True, exist_ok=True)
            (root / "runs" / name / place).write_bytes(data)
        due = {"expected_by": project.now.isoformat(timespec="milliseconds"), "where": "here", "schedule": {}}
        write(entry("started", run=name, project="demo", checks=list(values), **due))
        ids = {r.check: r.id for r in records}
        ended = entry("concluded", run=name, digest=run.digest, outcome=run.outcome, records=ids)
        write(*((f"runs/{name}/{place}", data) for place, data in files.items()), ended)
        project.now += timedelta(minutes=1)
