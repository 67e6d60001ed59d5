"""Nothing is run twice: what is taken over, every reason for running it again, and what an archive says of both."""

import json
import os
import shutil
import sqlite3
from dataclasses import replace
from importlib.metadata import distributions
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import duckdb
import jsonschema
import pandas as pd
import pytest
from project import KERNEL, prodnb, showing, write_project, write_template

import prodnb.plan as planning
import prodnb.run as running
from prodnb.archive import load_run, read_file, read_json, summary, write_run
from prodnb.deliver import _metrics
from prodnb.errors import ArchiveError, TemplateError
from prodnb.forking import Forking
from prodnb.gate import junit, markdown
from prodnb.history import past_records
from prodnb.log import open_log
from prodnb.plan import plan_run
from prodnb.record import Record, canonical, read_record, sha256
from prodnb.report import render_report
from prodnb.reuse import changed
from prodnb.run import run_checks
from prodnb.run_check import verify_run
from prodnb.settings import load_settings
from prodnb.template import find_templates
from prodnb.trail import announce
from prodnb.verdict import CheckResult, Limit, Statistic, judge
from prodnb.verify import verify

PARAMETERS = "limit: float = 2.0  # agreed\nfile: str | None = None  # rules\nday: str | None = None  # compare with that day\n"


def installed(name: str, version: str) -> SimpleNamespace:
    """A package as `importlib.metadata` tells of it."""
    return SimpleNamespace(name=name, read_text=lambda file: f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n")


INSTALLED = [installed(d.metadata["Name"], d.version) for d in distributions()]  # read once: it takes long


@pytest.fixture
def ran(monkeypatch):
    """Notebooks without kernels: each shows one statistic; returns the names of those that ran, in the order of the runs."""
    names: list[str] = []

    def execute(plan, staging, say, *, workers, forking):
        done = {}
        for name, template in plan.templates.items():
            names.append(name)
            result = CheckResult(
                name,
                [judge(Statistic(name="s", value=1.0, n=10, about="dataset"), Limit(fail=2.0, reason="agreed"))],
                state={"n": len(names)},
            )
            broken = (
                {"kind": "raised", "cell": 1, "message": "it raised", "log": ""}
                if plan.settings.get("archive", "run_by") == "bad"
                else None
            )
            learned = {
                "results": [result.to_dict()],
                "outcome": "errored" if broken else "passed",
                "cause": broken,
                "resources": {},
            }
            learned |= {"started": f"2026-01-{len(names):02}T00:00:00.000+00:00", "seconds": 7.0}
            notebook = {"cells": [], "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5, "n": len(names)}
            data = json.dumps(notebook).encode()
            page = render_report(notebook, {**plan.facts(template), **learned, "check": name, "message": "fine"}).encode()
            (staging / f"{name}.ipynb").write_bytes(data)
            (staging / f"{name}.html").write_bytes(page)
            done[name] = {
                "event": "done",
                "check": name,
                **learned,
                "notebook_digest": sha256(data),
                "report_digest": sha256(page),
            }
        return done

    monkeypatch.setattr(running, "execute_all", execute)
    ids = count()
    monkeypatch.setattr(
        planning, "new_run_id", lambda now: f"20260101T{next(ids):06}Z-00000000"
    )  # runs within a second have no order
    monkeypatch.setattr(planning, "distributions", lambda: INSTALLED)
    monkeypatch.setattr(running, "start_forking", lambda *a, **k: Forking(why="a test"))
    return names


@pytest.fixture
def folder(tmp_path):
    """A project with one check that may be taken over."""
    write_project(tmp_path, {}, "[looks]\nlimit = 2\n")
    write_template(tmp_path, "looks", [showing("looks")], PARAMETERS, reuse=True, unless=["day"])
    return tmp_path


def run(folder, *checks, reuse=True, **options):
    """Plan and run; returns what is finished and why checks ran."""
    overrides = options.pop("overrides", {})
    plan = plan_run(load_settings(folder / "settings.ini", overrides), checks or ["looks"], reuse=reuse, **options)
    return run_checks(plan), plan.because


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_second_run_takes_over_and_says_so(folder, ran):
    first, why = run(folder)
    assert why == {"looks": "there is no earlier record of it"}
    assert first.records[0].reused is None
    again, why = run(folder)
    third, _ = run(folder)
    assert ran == ["looks"]
    assert why == {}
    old = first.records[0]
    for later in (again, third):  # the third points at the original, not at the second
        new = later.records[0]
        assert new.reused == {"run": first.run.id, "record": old.id, "started": old.started}
        assert (new.results, new.outcome, new.started, new.seconds) == (old.results, "passed", old.started, 7.0)
        assert new.id != old.id
        assert new.notebook_digest == old.notebook_digest
        page = (folder / "archive" / "runs" / later.run.id / "looks.html").read_text()
        words = f"aken over from run {first.run.id} of 2026-01-01, nothing that it rests on has changed since"
        assert words in page
        assert words in (folder / "archive" / "runs" / later.run.id / "index.html").read_text()
        assert f"taken over from run {first.run.id}".replace("_", "&#95;") in markdown(
            later.archive, later.run, later.records
        ).replace("&#45;", "-")
        assert b'timestamp="2026-01-01' in junit(later.run, later.records, later.settings)
        assert junit(later.run, later.records, later.settings).count(b'time="7.000"') == 0  # its notebook did not run now
        assert [_metrics(done.records)["looks/seconds"] for done in (first, later)] == [7.0, 0.0]
    assert verify(first.archive) == ([], 3)


def test_off_by_default(folder, ran):
    run(folder, reuse=False)
    run(folder, reuse=False)
    assert ran == ["looks", "looks"]


def test_json_names_the_original(folder, ran):
    schema = json.loads((Path(running.__file__).parent / "assets" / "run.schema.json").read_text())
    first, _ = run(folder)
    again, _ = run(folder)
    for done, expected in ((first, None), (again, first.records[0].id)):
        found = json.loads(json.dumps(summary(done.archive, done.run, done.records)))
        jsonschema.validate(found, schema)
        assert (found["records"][0]["reused"] or {}).get("record") == expected


def _template_byte(folder, patch):
    edit(folder / "templates" / "looks.ipynb", "end well?", "end well ?")


def _parameter(folder, patch):
    edit(folder / "settings.ini", "limit = 2", "limit = 1.5")


def _role(folder, patch):
    edit(folder / "settings.ini", "owner =", "target = b\nowner =")


def _row(folder, patch):
    pd.DataFrame({"a": [*range(99), 7], "b": list("xy") * 50}).to_parquet(folder / "reference.parquet")


def _place(folder, patch):
    shutil.copy(folder / "reference.parquet", folder / "other.parquet")
    edit(folder / "settings.ini", "reference = reference.parquet", "reference = other.parquet")


def _current(folder, patch):
    shutil.copy(folder / "reference.parquet", folder / "other.parquet")
    edit(folder / "settings.ini", "owner =", "current = other.parquet\nowner =")


def _packages(folder, patch):
    other = installed("numpy", "0.0.1")
    patch.setattr(planning, "distributions", lambda: [d for d in INSTALLED if d.name != "numpy"] + [other])


def _python(folder, patch):
    patch.setattr(planning.platform, "python_version", lambda: "3.99.0")


def _machine(folder, patch):
    patch.setattr(planning, "cpus", lambda: 99)


def _library(folder, patch):
    patch.setattr(planning, "library_digest", lambda: "0" * 64)


CHANGES = {
    _template_byte: "its template changed",
    _parameter: "parameter limit changed",
    _role: "what [project] or [archive] says changed",
    _row: "reference changed",
    _place: "reference changed",
    _current: "current changed",
    _packages: "the packages changed",
    _python: "Python changed",
    _machine: "the machine changed",
    _library: "prodnb changed",
}


@pytest.mark.parametrize(("plant", "why"), CHANGES.items(), ids=lambda p: getattr(p, "__name__", "")[1:])
def test_every_change_runs_it_again_and_is_named(folder, ran, monkeypatch, plant, why):
    run(folder)
    with monkeypatch.context() as patch:
        plant(folder, patch)
        _, because = run(folder)
        assert because == {"looks": why}
        assert run(folder)[1] == {}  # what ran under the change answers from then on
    assert ran == ["looks", "looks"]


def test_a_comment_an_owner_or_the_same_value_elsewhere_changes_nothing(folder, ran):
    run(folder)
    edit(folder / "settings.ini", "limit = 2", "# looser\nlimit = 2.0")
    edit(folder / "settings.ini", "ann's team", "ben's team")
    done, why = run(folder, overrides={"looks.limit": "2"})
    assert why == {}
    assert ran == ["looks"]
    assert done.records[0].parameters["limit"]["source"] == "this run"
    assert done.run.owner == "ben's team"


def test_what_ran_before_the_change_answers_when_it_is_taken_back(folder, ran):
    first, _ = run(folder)
    run(folder, overrides={"looks.limit": "1"})
    back, why = run(folder)
    assert (why, back.records[0].reused["run"]) == ({}, first.run.id)
    assert len(ran) == 2


def test_a_file_that_a_parameter_names_counts(folder, ran):
    (folder / "rules.txt").write_text("a > 0")
    edit(folder / "settings.ini", "limit = 2", "file = rules.txt")
    run(folder)
    assert run(folder)[1] == {}
    (folder / "rules.txt").write_text("a > 1")
    assert run(folder)[1] == {"looks": "the file file changed"}


def test_a_file_that_changes_during_the_run_is_not_sealed_under_its_new_digest(folder, ran):
    (folder / "rules.txt").write_text("a > 0")
    edit(folder / "settings.ini", "limit = 2", "file = rules.txt")
    plan = plan_run(load_settings(folder / "settings.ini"), ["looks"])
    (folder / "rules.txt").write_text("a > 1")
    with pytest.raises(Exception, match="the file file changed while the checks ran"):
        run_checks(plan)


def test_a_check_may_write_the_file_that_a_parameter_names_and_is_not_taken_over_then(folder, ran):
    write_template(folder, "looks", [showing("looks")], 'cases: str = ""  # where to write them\n', reuse=True, unless=["cases"])
    edit(folder / "settings.ini", "limit = 2", "cases = cases.json")
    plan = plan_run(load_settings(folder / "settings.ini"), ["looks"])
    (folder / "cases.json").write_text("{}")
    assert run_checks(plan).records[0].outcome == "passed"
    assert "cases" in run(folder)[1]["looks"]
    plan = plan_run(load_settings(folder / "settings.ini"), ["looks"])
    (folder / "cases.json").write_text("{1}")
    with pytest.raises(Exception, match="the file cases changed"):
        run_checks(plan)


def test_a_template_that_is_never_taken_over_may_write_what_a_parameter_names(folder, ran):
    (folder / "rules.txt").write_text("a > 0")
    edit(folder / "settings.ini", "limit = 2", "file = rules.txt")
    write_template(folder, "looks", [showing("looks")], PARAMETERS)
    plan = plan_run(load_settings(folder / "settings.ini"), ["looks"])
    (folder / "rules.txt").write_text("a > 1")
    assert run_checks(plan).records[0].outcome == "passed"


NAMED = {
    "a folder": "rules",
    "a folder in a folder": "rules/deep",
    "a pattern": "rules/**/*.yml",
    "a list": "none.yml, rules/deep/a.yml",
    "a table of a file": "rules/deep/a.yml::t",
}


@pytest.mark.parametrize("how", NAMED)
def test_what_a_parameter_names_counts(folder, ran, how):
    (folder / "rules" / "deep").mkdir(parents=True)
    (folder / "rules" / "deep" / "a.yml").write_text("a > 0")
    edit(folder / "settings.ini", "limit = 2", f"file = {NAMED[how]}")
    run(folder)
    assert run(folder)[1] == {}
    (folder / "rules" / "deep" / "a.yml").write_text("a > 1")
    assert run(folder)[1] == {"looks": "what file names changed"}
    (folder / "rules" / "deep" / "b.yml").write_text("")
    again = run(folder)[1]
    assert again == ({} if how in ("a list", "a table of a file") else {"looks": "what file names changed"})


@pytest.mark.parametrize("text", ["s3://store/rules.yml", "models:/m@prod", "own:rules", "."])
def test_what_lies_elsewhere_has_no_fingerprint(folder, ran, text):
    (folder / "own.py").write_text("def rules(): ...")
    edit(folder / "settings.ini", "limit = 2", f"file = {text}")
    run(folder)
    assert run(folder)[1] == {"looks": "what file names has no fingerprint"}


def test_a_long_text_is_no_file(folder, ran):
    edit(folder / "settings.ini", "limit = 2", f"file = {'a' * 300}")
    run(folder)
    assert run(folder)[1] == {}


def test_a_file_that_cannot_be_read_has_no_fingerprint(folder, ran, monkeypatch):
    from prodnb import alongside

    real = alongside.hash_files

    def refuse(files, root):
        if (folder / "rules.txt") in files:
            raise PermissionError(13, "Permission denied")
        return real(files, root)

    (folder / "rules.txt").write_text("a > 0")
    edit(folder / "settings.ini", "limit = 2", "file = rules.txt")
    monkeypatch.setattr(alongside, "hash_files", refuse)
    run(folder)
    assert run(folder)[1] == {"looks": "the file file has no fingerprint"}


def test_an_input_that_is_replaced_before_the_start_is_not_archived_under_its_old_fingerprint(folder, ran):
    plan = plan_run(load_settings(folder / "settings.ini"), ["looks"])
    pd.DataFrame({"a": [*range(99), 7], "b": list("xy") * 50}).to_parquet(folder / "reference.parquet")
    with pytest.raises(Exception, match="an input changed while the checks ran"):
        run_checks(plan)


def test_code_that_is_edited_during_a_run_costs_the_reuse_and_not_the_run(folder, ran):
    plan = plan_run(load_settings(folder / "settings.ini"), ["looks"])
    (folder / "mine.py").write_text("limit = 3\n")
    assert run_checks(plan).run.id
    assert run(folder)[1] == {"looks": "the project's own modules changed"}
    assert run(folder)[1] == {}


def test_the_projects_own_modules_count(folder, ran):
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").write_text("")
    (folder / "own.py").write_text("x = 1")
    run(folder)
    (folder / "parts").mkdir()
    for name in ("own.py", "mine/__init__.py", "mine/more.py", "mine/towns.json", "parts/without_init.py"):
        assert run(folder)[1] == {}
        (folder / name).write_text("x = 2")
        assert run(folder)[1] == {"looks": "the project's own modules changed"}


def test_code_that_is_installed_in_place_counts(folder, ran, tmp_path_factory, monkeypatch):
    from prodnb import alongside

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    place = elsewhere / "lib"
    (place / "pkg").mkdir(parents=True)
    (place / "pkg" / "__init__.py").write_text("x = 1")
    told = SimpleNamespace(read_text=lambda n: json.dumps({"url": place.as_uri(), "dir_info": {"editable": True}}))
    for plant in ("a package says so", "a line of a .pth file", "PYTHONPATH"):
        with monkeypatch.context() as patch:
            site = elsewhere / plant / "site-packages"
            site.mkdir(parents=True)
            patch.setattr(alongside.sys, "path", [*alongside.sys.path, str(site)])
            said = [told] * plant.startswith("a package")
            patch.setattr(alongside, "distributions", lambda said=said: said)
            if ".pth" in plant:
                (site / "pkg.pth").write_text(f"# of pkg\n{place}\n")
            if plant == "PYTHONPATH":
                patch.setenv("PYTHONPATH", str(place))
            assert place.resolve() in alongside.folders_in_place(), plant
            run(folder)
            assert run(folder)[1] == {}
            (place / "pkg" / "__init__.py").write_text(f"x = {plant!r}")
            assert run(folder)[1] == {"looks": "the modules that are installed in place changed"}
            (place / "more.py").unlink(missing_ok=True)
            patch.setattr(alongside, "MOST_FILES", 0)
            assert run(folder)[1]["looks"].endswith("no fingerprint")


@pytest.mark.parametrize("suffix", ["duckdb", "sqlite"])
@pytest.mark.parametrize("change", ["types", "order", "a view", "nothing"])
def test_a_table_of_a_database_file(folder, tmp_path_factory, change, suffix):
    from prodnb.reuse import _input_digest

    rows = "SELECT CAST(value AS BIGINT) AS a, CAST(value % 2 AS VARCHAR) AS b FROM plain"
    turned = {"types": rows.replace("AS BIGINT", "AS INTEGER"), "order": f"{rows} ORDER BY value DESC"}.get(change, rows)
    found = []
    for sql in (rows, turned):
        place = tmp_path_factory.mktemp("place")
        _database(place / f"t.{suffix}", "VIEW" if change == "a view" else "TABLE", sql)
        shutil.copy(folder / "settings.ini", place)
        edit(place / "settings.ini", "= reference.parquet", f"= t.{suffix}::t")
        found.append(planning.fingerprints(load_settings(place / "settings.ini"))[0])
    old, new = found
    assert old["digest"] == new["digest"]
    same = _input_digest(old, False) == _input_digest(new, False)
    if change == "a view":  # it may read other files, and has no order of its own
        assert (_input_digest(old, False), "exact" in old) == ("", False)
    elif suffix == "sqlite" and change in ("nothing", "types"):  # it has one type of whole numbers
        assert same
    elif change != "nothing":  # two files of DuckDB with the same rows may differ in other bytes
        assert not same
    if suffix == "duckdb":
        assert (old["types"] != new["types"]) == (change == "types")


def _database(file, kind, sql):
    numbers = "CREATE TABLE plain AS WITH RECURSIVE r(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM r WHERE value < 9) SELECT * FROM r"
    con = duckdb.connect(str(file)) if file.suffix == ".duckdb" else sqlite3.connect(file)
    for statement in (numbers, f"CREATE {kind} t AS {sql}"):
        con.execute(statement)
    con.commit()
    con.close()


@pytest.mark.parametrize("engine", ["trino", "polars"])
def test_a_table_without_a_known_order_has_no_fingerprint_for_this(engine):
    from prodnb.reuse import _input_digest

    row = {
        "role": "reference",
        "location": f"{engine}://host::t",
        "algorithm": "sum of SHA-256 of rows as JSON, DuckDB 2",
        "digest": "ab",
    }
    assert _input_digest(row, False) == ""
    assert _input_digest({**row, "exact": "cd"}, False) != _input_digest({**row, "exact": "ef"}, False)
    assert _input_digest({**row, "exact": "cd", "types": "x"}, False) != _input_digest(
        {**row, "exact": "cd", "types": "y"}, False
    )


def test_a_template_that_sets_a_forbidding_parameter_itself(folder, ran):
    edit(folder / "settings.ini", "limit = 2", "")
    write_template(folder, "looks", [showing("looks")], 'day: str = "monday"  # compare\n', reuse=True, unless=["day"])
    run(folder)
    assert run(folder)[1] == {"looks": "its result may depend on the day when day is set"}


def test_a_table_from_a_function_is_never_taken_for_the_same(folder, ran):
    (folder / "mytables.py").write_text(
        "import pandas as pd\n\n\ndef rows():\n    return pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\n"
    )
    edit(folder / "settings.ini", "reference = reference.parquet", "reference = mytables:rows")
    run(folder)
    assert run(folder)[1] == {"looks": "reference has no fingerprint"}


WORDS = {
    "ahead of the clock": "rows of it lie ahead of the clock, so its result depends on the day",
    "far beyond the rest": "rows of it lie far beyond the rest and were not looked at, so its result may not stand",
    True: "rows of it lie ahead of the clock or far beyond the rest, so its result depends on the day",
}


@pytest.mark.parametrize(("where", "why"), WORDS.items())
def test_rows_that_cannot_be_yet_forbid_it(folder, ran, monkeypatch, where, why):
    real = CheckResult.to_dict
    state = {"state": {"rests_on_the_day": where}}
    monkeypatch.setattr(CheckResult, "to_dict", lambda self: real(self) | state)
    run(folder)
    assert run(folder)[1] == {"looks": why}


@pytest.mark.parametrize(
    ("at", "rests"), [("2024-01-20", None), ("2099-12-31", "ahead of the clock"), ("2025-08-01", "far beyond the rest")]
)
def test_a_watch_says_that_its_result_rests_on_the_day(at, rests):
    from prodnb.inputs import Roles
    from prodnb.watch import check_watch

    frame = pd.DataFrame({"at": pd.date_range("2024-01-01", periods=400, freq="h"), "x": [0.0, 1.0, 2.0, 3.0] * 100})
    late = pd.DataFrame({"at": pd.to_datetime([at]), "x": [1.0]})
    done = check_watch(frame[:200], pd.concat([frame[200:], late]), roles=Roles(time="at"))
    assert done.state.get("rests_on_the_day") == rests


def test_models(folder, ran):
    from prodnb.reuse import basis_of, why_never

    settings = load_settings(folder / "settings.ini")
    template, place = find_templates(folder)["looks"], planning.environment()

    def basis(**row):
        given = {"role": "model", "location": "m.onnx", "algorithm": "SHA-256", "digest": "ab", **row}
        return basis_of(template, settings, [given], place, read={}, trust=given.pop("trust", False))

    assert why_never(template, settings, basis()) == ""
    assert basis() != basis(digest="cd")
    for blind in ({"digest": ""}, {"algorithm": "SHA-256 of the module's file alone"}, {"trust": True}):
        assert why_never(template, settings, basis(**blind)) == "model has no fingerprint"


def test_unknown_equals_nothing():
    assert changed({"a": "x"}, {"a": "x"}) == ""
    assert changed({"a": ""}, {"a": ""}) == "a changed"
    assert changed({"a": "x", "b": "y"}, {"a": "x"}) == "b changed"


def test_a_changed_model_file(folder, ran, monkeypatch):
    from prodnb.inputs import fingerprints

    def with_model(settings, *, trust=False):
        digest = sha256((folder / "m.onnx").read_bytes())
        return [
            *fingerprints(settings),
            {"role": "model", "location": "m.onnx", "algorithm": "SHA-256", "digest": digest, "rows": None, "columns": None},
        ]

    monkeypatch.setattr(planning, "fingerprints", with_model)
    (folder / "m.onnx").write_bytes(b"1")
    run(folder)
    assert run(folder)[1] == {}
    (folder / "m.onnx").write_bytes(b"2")
    assert run(folder)[1] == {"looks": "model changed"}


def test_an_input_without_a_fingerprint_is_never_taken_for_the_same(folder, ran, monkeypatch):
    found = {"algorithm": "unfingerprinted: rows stay in trino", "digest": ""}
    real = planning.fingerprints
    monkeypatch.setattr(planning, "fingerprints", lambda s, **k: [{**row, **found} for row in real(s, **k)])
    run(folder)
    assert run(folder)[1] == {"looks": "reference has no fingerprint"}
    assert ran == ["looks", "looks"]


def test_a_changed_password_runs_it_again_though_no_record_holds_it(folder, ran):
    edit(folder / "settings.ini", "limit = 2", "day = postgres://ann:secret1@host/db")
    write_template(folder, "looks", [showing("looks")], PARAMETERS, reuse=True)
    first, _ = run(folder)
    edit(folder / "settings.ini", "secret1", "secret2")
    again, why = run(folder)
    assert why == {"looks": "what day names has no fingerprint"}
    assert changed(first.records[0].basis, again.records[0].basis).startswith("parameter day")
    assert not any(b"secret" in f.read_bytes() for f in (folder / "archive").rglob("*") if f.is_file())


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({}, "its template does not say that its result may be taken over (`reuse` in its metadata)"),
        ({"reuse": False}, "its result depends on more than its inputs, as its template says"),
    ],
)
def test_a_template_that_says_no_or_nothing(folder, ran, meta, why):
    write_template(folder, "looks", [showing("looks")], PARAMETERS, **meta)
    run(folder)
    assert run(folder)[1] == {"looks": why}


def test_a_parameter_may_forbid_it(folder, ran):
    edit(folder / "settings.ini", "limit = 2", "day = monday")
    run(folder)
    assert run(folder)[1] == {"looks": "its result may depend on the day when day is set"}


def test_a_template_that_reads_records_must_say_which(folder, ran):
    write_template(folder, "looks", ["import prodnb.history", showing("looks")], PARAMETERS, reuse=True)
    run(folder)
    assert "its template does not say of which checks" in run(folder)[1]["looks"]


def test_metadata_that_is_none_is_refused(folder):
    for wrong in ({"reuse": "yes"}, {"reads": "drift"}, {"unless": ["dya"]}):
        write_template(folder, "looks", [showing("looks")], PARAMETERS, **wrong)
        with pytest.raises(TemplateError):
            find_templates(folder)


def test_every_shipped_template_says_whether_it_may_be_taken_over():
    said = {name: t.reuse for name, t in find_templates().items()}
    assert said == dict.fromkeys(said, True) | {"cost": False}
    for template in find_templates().values():
        assert bool(template.reads) == ("prodnb.history" in template.path.read_text()), template.name
        assert "contract" not in template.parameters or "contract" in template.unless, template.name


def test_an_errored_record_is_no_answer(folder, ran):
    first, _ = run(folder, overrides={"archive.run_by": "bad"})
    assert first.records[0].outcome == "errored"
    assert run(folder)[1] == {"looks": f"it ended with an error in run {first.run.id}"}


def test_another_project_is_no_answer(folder, ran):
    run(folder)
    edit(folder / "settings.ini", "name = demo", "name = other")
    assert run(folder)[1] == {"looks": "there is no earlier record of it"}


@pytest.mark.parametrize("name", ["looks.html", "looks.ipynb", "records/looks.json", "run.json"])
def test_an_altered_original_is_no_answer(folder, ran, name):
    first, _ = run(folder)
    file = folder / "archive" / "runs" / first.run.id / name
    file.write_bytes(file.read_bytes().replace(b"passed", b"failed") if name == "run.json" else file.read_bytes() + b" ")
    _, why = run(folder)
    assert first.run.id in why["looks"]
    assert "not as it was written" in why["looks"] or "cannot be trusted" in why["looks"]
    assert ran == ["looks", "looks"]


@pytest.mark.parametrize("how", ["beside the log", "in place of one that died", "without a log"])
def test_a_run_that_the_log_does_not_conclude_is_no_answer(folder, ran, how):
    first, _ = run(folder)
    other = "20260101T230000Z-00000000"
    [told] = first.records
    record = replace(told, run=other, seconds=9.0, id="")
    data = read_file(first.archive, first.run.id, "looks.ipynb"), read_file(first.archive, first.run.id, "looks.html")
    files = {"looks.ipynb": data[0], "looks.html": data[1], "records/looks.json": record.bytes}
    entries, digests = [{"check": "looks", "id": record.id, "outcome": "passed"}], {n: sha256(d) for n, d in files.items()}
    if how == "in place of one that died":
        announce(open_log(first.archive), run=other, project="demo", checks=["looks"], seconds=-1.0)
    write_run(first.archive, replace(first.run, id=other, records=entries, files=digests, previous=None, digest=""), files)
    if how == "without a log":
        shutil.rmtree(first.archive.at("log"))
    plan = plan_run(load_settings(folder / "settings.ini"), ["looks"], reuse=True)
    assert not plan.taken
    assert f"the log does not conclude run {other}" in plan.because["looks"]


def test_a_damaged_run_of_an_original_stops_no_run(folder, ran):
    first, _ = run(folder)
    run(folder)
    (folder / "archive" / "runs" / first.run.id / "run.json").write_text("{")
    _, why = run(folder)
    assert why["looks"].startswith(f"run {first.run.id}, from which it could be taken over, cannot be trusted: ")
    assert ran == ["looks", "looks"]


@pytest.mark.parametrize("how", ["gone", "altered", "rewritten"])
def test_verify_finds_a_broken_pointer(folder, ran, how):
    first, _ = run(folder)
    again, _ = run(folder)
    place = folder / "archive" / "runs" / first.run.id
    file = place / "records" / "looks.json"
    if how == "gone":
        shutil.rmtree(place)
    elif how == "altered":
        file.write_bytes(file.read_bytes().replace(b'"value":', b'"value": '))
    else:  # by somebody who knows how a record is written
        file.write_bytes(read_record({**json.loads(file.read_text()), "seconds": 8.0}).bytes)
    findings, _ = verify(again.archive)
    words = [f.message for f in findings if f"run {again.run.id} took looks over from it" in f.message]
    assert len(words) == 1
    assert {"gone": "that record is not here", "altered": "is not as it was written", "rewritten": "its id was"}[how] in words[0]
    _, why = run(folder)  # and nothing is taken over through it
    assert why["looks"].startswith(f"it was taken over from run {first.run.id}, and")


def test_a_record_cannot_lie_about_its_original(folder, ran):
    run(folder)
    record = run(folder)[0].records[0]
    kept = record.reused
    forms = [{**kept, "run": "../../x"}, {**kept, "run": None}, {**kept, "record": "ab"}, {}, {**kept, "more": "x"}]
    for wrong in ({"reused": {"run": "x"}}, {"started": "2027-01-01"}, *({"reused": form} for form in forms)):
        with pytest.raises(ArchiveError):
            replace(record, id="", **wrong)


def test_verify_names_a_pointer_that_is_none(folder, ran):
    run(folder)
    done, _ = run(folder)
    file = folder / "archive" / "runs" / done.run.id / "records" / "looks.json"
    data = json.loads(file.read_text())
    data["reused"]["run"] = "../x"
    file.write_bytes(canonical(data))
    held = load_run(done.archive, done.run.id)
    files = {**held.files, "records/looks.json": sha256(file.read_bytes())}
    entries = [{**entry, "id": sha256(file.read_bytes())} for entry in held.records]
    sealed = replace(held, files=files, records=entries, digest="")
    (file.parent.parent / "run.json").write_bytes(sealed.bytes)
    findings, _ = verify_run(done.archive, done.run.id)  # held against itself alone
    assert [(f.run, f.file) for f in findings] == [(done.run.id, "records/looks.json")]
    findings, _ = verify(done.archive)  # and against the log
    assert [(f.run, f.file) for f in findings if f.fault] == [(done.run.id, "run.json")]


def test_a_record_without_the_new_fields_keeps_its_id(folder, ran):
    record = run(folder)[0].records[0]
    old = replace(record, id="", basis=None)
    assert "basis" not in old.to_dict()
    assert "reused" not in old.to_dict()
    assert Record(**old.to_dict()).id == old.id != record.id
    assert changed(None, {"a": "b"}) == "its last record does not say what it rests on"


def watched(folder):
    write_template(folder, "looks", ["import prodnb.history", showing("looks")], PARAMETERS, reuse=True, reads=["looks", "other"])
    write_template(folder, "other", [showing("other")], reuse=False)


def test_history_goes_on_from_a_state_that_was_taken_over_and_counts_its_age_from_the_original(folder, ran):
    watched(folder)
    first, _ = run(folder)
    again, why = run(folder)
    assert why == {}
    newest = next(past_records(again.settings, "looks"))
    assert (newest.run, newest.state, newest.started) == (again.run.id, {"n": 1}, first.records[0].started)


def test_a_check_that_goes_on_from_its_last_record_is_taken_over_from_no_other(folder, ran):
    watched(folder)
    run(folder)
    run(folder, overrides={"looks.limit": "1"})
    _, why = run(folder)
    assert why == {"looks": "it goes on from its last record, which rests on something else"}


def test_what_another_check_found_counts(folder, ran):
    watched(folder)
    run(folder, "looks", "other")
    assert run(folder, "looks", "other")[1]["looks"] == "the newest result of other changed"
    found = run(folder, "looks", "other")[1]
    assert found["looks"] == "the newest result of other changed"  # `other` counts its runs in its state


def test_what_comes_after_a_check_that_runs_runs(folder, ran):
    write_template(folder, "second", [showing("second")], reuse=True, after=["looks"])
    run(folder, "looks", "second")
    assert run(folder, "looks", "second")[1] == {}
    assert run(folder, "looks", "second", overrides={"looks.limit": "1"})[1]["second"] == "looks, which it comes after, runs"


def test_failed_checks_by_name(folder, ran):
    write_template(folder, "second", [showing("second")], reuse=True)
    run(folder, "looks", "second")
    done, _ = run(folder, "second")
    assert [r.check for r in done.records if r.reused] == ["second"]
    with pytest.raises(ArchiveError, match="nothing to repeat"):
        run(folder, "looks", "second", failed_only=True)


@pytest.mark.slow
def test_from_the_command_line(tmp_path):
    folder = write_project(tmp_path / "p", {}, "")
    write_template(folder, "fails", [showing("fails", 3.0)], reuse=True)
    write_template(folder, "dies", ["import os; os._exit(3)"], reuse=True)
    first = prodnb("run", "fails", "dies", "--reuse", "--json", cwd=folder)
    again = prodnb("run", "fails", "dies", "--reuse", "--json", cwd=folder)
    old, new = ({r["check"]: r for r in said.json["records"]} for said in (first, again))
    assert "dies: runs, because it ended with an error in run" in again.err
    assert "fails: runs" not in again.err
    assert new["fails"]["reused"]["record"] == old["fails"]["id"]
    assert new["dies"]["reused"] is None
    assert (first.code, again.code) == (2, 2)
    alone = prodnb("run", "--failed", "fails", "--reuse", cwd=folder)
    assert alone.code == 1  # a failure that was taken over still stops
    assert "taken over from run" in alone.err
    assert prodnb("verify", cwd=folder).code == 0
    kept = read_json(_archive(folder), again.json["run"], "records/fails.json")
    assert (kept["results"], kept["reused"]["started"]) == (_record(folder, first)["results"], _record(folder, first)["started"])
    os.unlink(folder / "archive" / "runs" / first.json["run"] / "records" / "fails.json")
    said = prodnb("verify", cwd=folder)
    assert said.code == 1
    assert f"run {again.json['run']} took fails over from it; that record is not here" in said.out


def _archive(folder):
    from prodnb.archive import open_archive

    return open_archive(str(folder / "archive"))


def _record(folder, said):
    return read_json(_archive(folder), said.json["run"], "records/fails.json")
