"""An archived run is run again: what agrees, what differs, what is no longer what it was; and nothing is archived."""

import copy
import json
from itertools import count

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from project import RESULT, write_project, write_template

import prodnb.plan as planning
import prodnb.reproduce as reproducing
import prodnb.run as running
from prodnb.agreement import TOLERANCE, compare_results, gap
from prodnb.archive import load_run, open_archive
from prodnb.errors import ArchiveError, SettingsError
from prodnb.forking import Forking
from prodnb.history import past_records
from prodnb.inputs import fingerprints
from prodnb.plan import plan_run
from prodnb.record import canonical, sha256
from prodnb.report import render_report
from prodnb.reproduce import reproduce
from prodnb.restore import archive_before, as_text, environment_changes, pinned_model, template_of
from prodnb.run import run_checks
from prodnb.settings import Settings, load_settings
from prodnb.template import SCALARS, Parameter, parse_value, values_in_force
from prodnb.verdict import CheckResult, Limit, Statistic, judge

PARAMETERS = 'limit: float = 2.0  # agreed\nfile: str | None = None  # rules\nnames: list[str] = ["a"]  # columns\n'


class Kernels:
    """Notebooks without kernels: each shows numbers that follow from its parameters, its inputs and the records that it can see."""

    def __init__(self):
        self.ran: list[str] = []
        self.off = 0.0  # what is added to the value: a planted difference
        self.cause = None

    def execute(self, plan, staging, say, *, workers, forking):
        done = {}
        for name, template in plan.templates.items():
            self.ran.append(name)
            values = values_in_force(template, plan.settings).values
            rows = [row["rows"] for row in plan.inputs]
            seen = len(list(past_records(plan.settings, name))) if template.reads else 0
            value = 0.1 * sum(rows) + values["limit"] / 7 + len(values["names"]) + self.off
            verdict = judge(Statistic(name="s", value=value, n=10, about="dataset"), Limit(fail=100.0, reason="agreed"))
            tables = {"Seen": [{"records": seen, "limit": values["limit"], "names": ",".join(values["names"])}]}
            result = CheckResult(name, [verdict], tables).to_dict()
            learned = {"results": [] if self.cause else [result], "outcome": "errored" if self.cause else result["outcome"]}
            learned |= {
                "cause": self.cause,
                "resources": {},
                "started": f"2026-01-01T00:00:{len(self.ran):02}.000+00:00",
                "seconds": 1.0,
            }
            data, page = self.write(plan, template, learned, staging)
            digests = {"notebook_digest": sha256(data), "report_digest": sha256(page)}
            done[name] = {"event": "done", "check": name, **learned, **digests}
        return done

    def write(self, plan, template, learned, staging):
        """Write the notebook as papermill leaves it: outputs, notes, and a cell with the values that it injected."""
        notebook = json.loads(template.path.read_text())
        for n, cell in enumerate(c for c in notebook["cells"] if c["cell_type"] == "code"):
            cell |= {"execution_count": n + 1, "outputs": [{"output_type": "stream", "name": "stdout", "text": "said"}]}
            cell["metadata"] = {**cell["metadata"], "papermill": {"status": "completed"}}
        injected = {"cell_type": "code", "id": "inj", "metadata": {"tags": ["injected-parameters"]}, "source": "limit = 3"}
        notebook["cells"].insert(2, {**injected, "outputs": [], "execution_count": 9})
        notebook["metadata"] = {**notebook["metadata"], "papermill": {"version": "2"}, "prodnb": {"ended": "completed"}}
        data = json.dumps(notebook).encode()
        page = render_report(notebook, {**plan.facts(template), **learned, "check": template.name, "message": "fine"}).encode()
        (staging / f"{template.name}.ipynb").write_bytes(data)
        (staging / f"{template.name}.html").write_bytes(page)
        return data, page


@pytest.fixture
def kernels(monkeypatch):
    found, ids = Kernels(), count()
    for module in (running, reproducing):
        monkeypatch.setattr(module, "execute_all", found.execute)
        monkeypatch.setattr(module, "start_forking", lambda *a, **k: Forking(why="a test"))
    monkeypatch.setattr(planning, "new_run_id", lambda now: f"20260101T{next(ids):06}Z-00000000")
    said = planning.environment()
    monkeypatch.setattr(planning, "environment", lambda: said)
    monkeypatch.setattr(reproducing, "environment", lambda: said)
    return found


@pytest.fixture
def folder(tmp_path):
    """A project with one check."""
    write_project(tmp_path, {}, "[looks]\n# the owner wants more\nlimit = 3\n")
    write_template(tmp_path, "looks", ["1 + 1"], PARAMETERS, reuse=True)
    return tmp_path


def run(folder, *checks, reuse=False, **overrides):
    settings = load_settings(folder / "settings.ini", {k.replace("__", "."): v for k, v in overrides.items()})
    return run_checks(plan_run(settings, checks or ["looks"], reuse=reuse)).run


def again(folder, run, *checks, **options):
    archive = open_archive("archive", folder)
    return reproduce(archive, load_run(archive, run.id), folder / "settings.ini", checks, **options)


def only(found):
    assert len(found.checks) == 1
    return found.checks[0]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def files_of(folder):
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_it_agrees_to_the_last_bit_and_nothing_is_archived(folder, kernels):
    first = run(folder)
    before = files_of(folder)
    found = again(folder, first)
    check = only(found)
    assert (found.outcome, check.outcome, check.recorded, check.found, check.template) == (
        "agrees",
        "agrees",
        "passed",
        "passed",
        "project",
    )
    assert "1 verdict agrees" in check.message
    assert "equal to the last bit" in check.message
    assert check.agreement.numbers > 3
    assert check.changed == found.environment == ()
    assert kernels.ran == ["looks", "looks"]
    assert files_of(folder) == before
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("off", "tolerance", "outcome"), [(1e-12, TOLERANCE, "agrees"), (1e-12, 0.0, "differs"), (1e-6, TOLERANCE, "differs"), (1e-6, 1e-3, "agrees")])  # fmt: skip
def test_numbers_agree_within_the_tolerance_that_is_said(folder, kernels, off, tolerance, outcome):
    first = run(folder)
    kernels.off = off
    found = only(again(folder, first, tolerance=tolerance))
    assert found.outcome == outcome
    if outcome == "differs":
        assert found.agreement.differences[0].where == "s of dataset: value"
        assert "every verdict has the outcome that it had, but s of dataset: value was" in found.message
        assert found.agreement.verdicts_agree
    else:
        assert f"tolerance {tolerance:g}" in found.message


def test_another_verdict_is_told_first(folder, kernels):
    first = run(folder)
    kernels.off = 500.0
    found = only(again(folder, first, tolerance=1e9))
    assert (found.outcome, found.recorded, found.found) == ("differs", "passed", "failed")
    assert found.message.startswith("s of dataset: outcome was passed, is failed")
    assert not found.agreement.verdicts_agree


def test_an_input_that_is_another_is_named_and_the_check_does_not_run(folder, kernels):
    first = run(folder)
    pd.DataFrame({"a": range(90), "b": list("xyz") * 30}).to_parquet(folder / "reference.parquet")
    found = only(again(folder, first))
    assert found.outcome == "changed"
    assert "reference (reference.parquet) is no longer what it was: SHA-256" in found.message
    assert "100 rows then, 90 now" in found.message
    (folder / "reference.parquet").unlink()
    found = only(again(folder, first))
    assert found.outcome == "changed"
    assert "reference cannot be read" in found.message
    assert kernels.ran == ["looks"]


def test_an_input_more_or_less(folder, kernels):
    first = run(folder)
    edit(folder / "settings.ini", "[archive]", "current = reference.parquet\n[archive]")
    assert "current was not named, is reference.parquet" in only(again(folder, first)).message
    second = run(folder)
    edit(folder / "settings.ini", "current = reference.parquet\n", "")
    assert "current was reference.parquet, is not named" in only(again(folder, second)).message


def test_what_was_set_for_that_run_only_is_set_again(folder, kernels):
    pd.DataFrame({"a": [1], "b": ["x"]}).to_parquet(folder / "today.parquet")
    first = run(folder, project__current="today.parquet", looks__limit="1.5", looks__names='"a, b", c')
    found = only(again(folder, first))
    assert (found.outcome, found.changed) == ("agrees", ())
    assert load_run(open_archive("archive", folder), first.id).overrides["project.current"] == "today.parquet"


def test_the_parameters_of_then_count_and_the_difference_is_told(folder, kernels):
    first = run(folder)
    edit(folder / "settings.ini", "limit = 3", "limit = 9")
    found = only(again(folder, first))
    assert found.outcome == "agrees"
    assert "limit is 9.0 in today's settings; 3, as recorded, is used" in " ".join(found.changed).replace("3.0,", "3,")


def test_a_default_of_then_counts_although_the_settings_say_otherwise_now(folder, kernels):
    edit(folder / "settings.ini", "limit = 3", "")
    first = run(folder)
    edit(folder / "settings.ini", "[looks]", "[looks]\nlimit = 50\nnames = x, y, z")
    assert only(again(folder, first)).outcome == "agrees"


def test_a_template_that_is_another_runs_from_the_archive_if_that_is_asked_for(folder, kernels):
    first = run(folder)
    old = json.loads((folder / "templates" / "looks.ipynb").read_text())
    write_template(folder, "looks", ["2 + 2"], PARAMETERS + "more: int = 1  # new\n", reuse=True)
    found = only(again(folder, first))
    assert found.outcome == "impossible"
    assert "its template is no longer what it was" in found.message
    assert "--archived-code" in found.message
    assert kernels.ran == ["looks"]
    found = only(again(folder, first, archived_code=True))
    assert (found.outcome, found.template) == ("agrees", "archive")
    kept = json.loads((folder / "archive" / "runs" / first.id / "looks.ipynb").read_text())
    assert [c["source"] for c in template_of(kept)["cells"]] == [c["source"] for c in old["cells"]]
    assert not any(c.get("outputs") or c.get("execution_count") for c in template_of(kept)["cells"])
    (folder / "templates" / "looks.ipynb").unlink()
    edit(folder / "settings.ini", "[looks]\n# the owner wants more\nlimit = 3\n", "")
    assert "no such check any more" in only(again(folder, first)).message
    assert only(again(folder, first, archived_code=True)).outcome == "agrees"


def test_a_key_that_the_template_of_then_does_not_know(folder, kernels):
    first = run(folder)
    write_template(folder, "looks", ["2 + 2"], PARAMETERS + "more: int = 1  # new\n", reuse=True)
    edit(folder / "settings.ini", "limit = 3", "limit = 3\nmore = 2")
    found = only(again(folder, first, archived_code=True))
    assert found.outcome == "impossible"
    assert "settings.ini sets 'more'" in found.message


def test_an_archived_notebook_that_was_changed_does_not_run(folder, kernels):
    first = run(folder)
    edit(folder / "templates" / "looks.ipynb", "1 + 1", "2 + 2")
    edit(folder / "archive" / "runs" / first.id / "looks.ipynb", "1 + 1", "3 + 3")
    found = only(again(folder, first, archived_code=True))
    assert found.outcome == "impossible"
    assert "was changed since" in found.message
    (folder / "archive" / "runs" / first.id / "looks.ipynb").unlink()
    assert "cannot be read" in only(again(folder, first, archived_code=True)).message
    assert kernels.ran == ["looks"]


def test_a_record_that_was_changed_is_refused(folder, kernels):
    first = run(folder)
    file = next((folder / "archive" / "runs" / first.id / "records").glob("looks.json"))
    file.write_text(file.read_text().replace('"agreed"', '"forged"'))
    with pytest.raises(ArchiveError):
        again(folder, first)
    assert kernels.ran == ["looks"]


def test_a_check_that_looks_back_sees_the_records_of_then(folder, kernels):
    write_template(folder, "looks", ["1 + 1"], PARAMETERS, reads=["looks"])
    runs = [run(folder) for _ in range(4)]
    seen = [only(again(folder, r)).outcome for r in runs]
    assert seen == ["agrees"] * 4
    assert len(files_of(folder / "archive" / "runs")) >= 4


def test_the_archive_of_then_holds_no_later_run(folder, kernels, tmp_path):
    runs = [run(folder) for _ in range(3)]
    archive = open_archive("archive", folder)
    view = archive_before(archive, runs[2].id, tmp_path / "view", {"looks"})
    assert sorted(p.name for p in (view / "runs").iterdir()) == [r.id for r in runs[:2]]
    assert list((archive_before(archive, runs[2].id, tmp_path / "none", set()) / "runs").iterdir()) == []
    assert list((archive_before(archive, runs[2].id, tmp_path / "other", {"drift"}) / "runs").iterdir()) == []
    assert len(list((archive_before(archive, runs[2].id, tmp_path / "any", {""}) / "runs").iterdir())) == 2


def test_a_result_that_was_taken_over_is_run_again(folder, kernels):
    first, second = run(folder), run(folder, reuse=True)
    assert kernels.ran == ["looks"]
    assert only(again(folder, second)).outcome == "agrees"
    assert kernels.ran == ["looks", "looks"]
    assert first.id != second.id


def test_errors_agree_only_with_errors_of_their_kind(folder, kernels):
    good = run(folder)
    kernels.cause = {"kind": "raised", "cell": 1, "message": "cell 2 of 3: ValueError: bad", "log": ""}
    bad = run(folder)
    assert only(again(folder, bad)).outcome == "agrees"
    found = only(again(folder, good))
    assert (found.outcome, found.found) == ("differs", "errored")
    assert "it ended with an error now (raised: cell 2 of 3" in found.message
    kernels.cause = {**kernels.cause, "kind": "died"}
    assert only(again(folder, bad)).outcome == "differs"
    kernels.cause = None
    assert "it runs now; then it ended with an error" in only(again(folder, bad)).message


def test_a_check_that_measures_agrees_in_its_outcome(folder, kernels):
    write_template(folder, "looks", ["1 + 1"], PARAMETERS, reuse=False)
    first = run(folder)
    kernels.off = 3.0
    found = only(again(folder, first))
    assert found.outcome == "agrees"
    assert "measured anew" in found.message
    assert found.agreement.largest > 0.01
    kernels.off = 500.0
    assert only(again(folder, first)).outcome == "differs"


def test_a_check_that_does_what_it_reaches_in_a_time_says_so_where_it_differs(folder, kernels):
    write_template(folder, "looks", ["1 + 1"], PARAMETERS + "max_seconds: float = 60.0  # budget\n", reuse=True)
    first = run(folder)
    assert only(again(folder, first)).changed == ()
    kernels.off = 3.0
    assert only(again(folder, first)).changed == ("it does what it reaches in max_seconds = 60; on a busy machine that is less",)


def test_a_file_that_a_parameter_names_is_an_input(folder, kernels):
    (folder / "rules.yml").write_text("a")
    edit(folder / "settings.ini", "limit = 3", "limit = 3\nfile = rules.yml")
    first = run(folder)
    assert only(again(folder, first)).outcome == "agrees"
    (folder / "rules.yml").write_text("b")
    found = only(again(folder, first))
    assert found.outcome == "changed"
    assert "the file file is no longer what it was" in found.message


def test_a_file_that_a_check_writes_is_written_elsewhere(folder, kernels, monkeypatch):
    write_template(folder, "looks", ["1 + 1"], PARAMETERS + "case_file: str | None = None  # written\n", reuse=True)
    first = run(folder, looks__case_file="cases.parquet")
    (folder / "cases.parquet").write_text("of then")
    seen = []
    whole = kernels.execute
    monkeypatch.setattr(
        reproducing,
        "execute_all",
        lambda plan, *a, **k: (seen.append(plan.settings.values["looks"]["case_file"]), whole(plan, *a, **k))[1],
    )
    assert only(again(folder, first)).outcome == "agrees"
    assert seen[0].endswith("written-looks.case_file.parquet")
    assert not seen[0].startswith(str(folder))
    assert (folder / "cases.parquet").read_text() == "of then"


def test_other_columns_in_the_settings_are_told(folder, kernels):
    first = run(folder)
    edit(folder / "settings.ini", "[archive]", "ignore = b\n[archive]")
    found = only(again(folder, first))
    assert found.changed == ("what [project] or [archive] says: no longer as it was",)


def test_a_place_is_the_project_s_and_a_password_is_asked_for(folder, kernels):
    file = folder / "rules.yml"
    file.write_text("a")
    first = run(folder, looks__file=str(file))
    assert "<project>/rules.yml" in (folder / "archive" / "runs" / first.id / "records" / "looks.json").read_text()
    text = f"postgres://me:hunter22@db/x?file={file}"
    second = run(folder, looks__file=text)
    assert "hunter22" not in "".join(p.read_text() for p in (folder / "archive" / "runs" / second.id).rglob("*.json"))
    found = only(again(folder, second))
    assert found.outcome == "impossible"
    assert "looks.file held a password, which was not kept" in found.message
    assert only(again(folder, second, overrides={"looks.file": text})).outcome == "agrees"
    assert only(again(folder, first)).outcome == "agrees"


def test_mistakes(folder, kernels):
    first = run(folder)
    with pytest.raises(ArchiveError, match="Did you mean 'looks'"):
        again(folder, first, "look")
    edit(folder / "settings.ini", "name = demo", "name = other")
    with pytest.raises(SettingsError, match=r"run .* is of the project 'demo'"):
        again(folder, first)


def test_a_model_is_asked_for_in_the_version_of_then():
    rows = [{"role": "reference"}, {"role": "model", "version": "2"}]
    for spec in ("models:/flights@champion", "models:/flights/7", "models:/flights/latest"):
        assert pinned_model(Settings(None, {"project": {"model": spec}}), rows) == {"project.model": "models:/flights/2"}
    for spec in ("model.onnx", "runs:/1/model", "pkg.module:function", ""):
        assert pinned_model(Settings(None, {"project": {"model": spec}}), rows) == {}
    assert pinned_model(Settings(None, {"project": {"model": "models:/a@b"}}), rows[:1]) == {}


def test_what_is_another_in_the_environment_is_told(folder, kernels, monkeypatch):
    first = run(folder)
    said = planning.environment()
    monkeypatch.setattr(
        reproducing, "environment", lambda: {**said, "python": "9.9", "packages": {**said["packages"], "numpy": "0.1"}}
    )
    found = again(folder, first)
    assert found.outcome == "agrees"
    assert [line.split(" ")[0] for line in found.environment] == ["python", "numpy"]
    assert environment_changes(said, said) == []
    assert environment_changes(said, {**said, "prodnb_modules_digest": "x"}) == ["prodnb's own modules are others"]


def test_an_archive_in_a_store(folder, kernels):
    import fsspec

    write_template(folder, "looks", ["1 + 1"], PARAMETERS, reads=["looks"])
    runs = [run(folder) for _ in range(3)]
    store = fsspec.filesystem("memory")
    store.rm("/again", recursive=True) if store.exists("/again") else None
    store.put(str(folder / "archive"), "/again", recursive=True)
    archive = open_archive("memory://again")
    for r in runs:
        assert only(reproduce(archive, load_run(archive, r.id), folder / "settings.ini")).outcome == "agrees"


@pytest.mark.slow
def test_with_a_kernel(tmp_path):
    """The number comes out of a real notebook that lays the settings over its parameters itself, also where only the archive holds it."""
    write_project(tmp_path, {}, "[looks]\nlimit = 3\n")
    cell = (
        "from prodnb.template import overlay\nfrom prodnb.settings import load_settings\nfrom prodnb.history import past_records\n"
        "values = overlay('looks', globals())\nseen = len(list(past_records(values.settings, 'looks')))\n"
    )
    show = (
        RESULT
        + "CheckResult('looks', [judge(Statistic(name='s', value=limit / 7 + seen, n=10, about='dataset'), Limit(fail=9.0, reason='agreed'))])"
    )
    write_template(tmp_path, "looks", [cell, show], PARAMETERS, reads=["looks"])
    runs = [run(tmp_path), run(tmp_path)]
    write_template(tmp_path, "looks", ["raise ValueError('the template of today')"], PARAMETERS)
    edit(tmp_path / "settings.ini", "limit = 3", "limit = 5")
    before = files_of(tmp_path)
    found = only(again(tmp_path, runs[1], archived_code=True))
    assert (found.outcome, found.template, found.message[:30]) == ("agrees", "archive", "1 verdict agrees, 3 numbers ar")
    assert files_of(tmp_path) == before


ATOMS = {"str": st.text(), "int": st.integers(), "float": st.floats(allow_nan=False, allow_infinity=False), "bool": st.booleans()}


@given(st.data())
def test_a_value_as_text_is_read_as_itself_or_refused(data):
    base = data.draw(st.sampled_from([*SCALARS, *(f"list[{t}]" for t in SCALARS)]))
    optional = data.draw(st.booleans())
    value = data.draw(st.lists(ATOMS[base[5:-1]], max_size=3) if base.startswith("list") else ATOMS[base])
    parameter = Parameter("x", base + (" | None" if optional else ""), None, "")
    try:
        text = as_text(parameter, value)
    except SettingsError:
        held = value if isinstance(value, list) else [value]
        assert any(isinstance(v, str) for v in held) or value == []  # an empty text, or the word none, where None is allowed
        return
    assert canonical(parse_value(parameter, text)) == canonical(value)


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(finite, finite)
def test_laws_of_the_gap(a, b):
    assert gap(a, b) == gap(b, a) >= 0
    assert (gap(a, b) == 0) == (a == b) or abs(a - b) == 0
    if max(abs(a), abs(b)) > 1e-6 and max(abs(a), abs(b)) < 1e290:
        assert gap(8 * a, 8 * b) == gap(a, b)


def a_result():
    limit = Limit(warn=0.2, fail=0.4, reason="agreed")
    statistics = [
        Statistic(
            name=n, value=0.3 + k / 10, low=0.1, high=0.9, level=0.95, n=100, n_reference=90, p=0.04, about=about, unit="share"
        )
        for k, (n, about) in enumerate([("psi", "price"), ("psi", "place"), ("psi", "price")])
    ]
    tables = {"Bins": [{"bin": "a", "share": 0.25, "n": 3}, {"bin": "b", "share": 0.75, "n": None}]}
    return json.loads(json.dumps(CheckResult("drift", [judge(s, limit) for s in statistics], tables).to_dict()))


def leaves(value, path=()):
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in leaves(v, (*path, k))]
    if isinstance(value, list):
        return [p for k, v in enumerate(value) for p in leaves(v, (*path, k))]
    return [path]


COMPARED = [
    p for p in leaves(a_result())
    if p[0] in ("verdicts", "tables") and p[-1] not in ("message", "reason")
]  # fmt: skip


@pytest.mark.parametrize("path", COMPARED, ids=lambda p: ".".join(map(str, p)))
def test_every_planted_change_of_a_leaf_is_found(path):
    result, other = a_result(), copy.deepcopy(a_result())
    place = other
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    for new in (
        old * 1.001 if isinstance(old, float) else old + 1 if isinstance(old, int) else f"{old}x",
        None if old is not None else 1,
        [old],
    ):
        place[path[-1]] = new
        assert not compare_results([result], [other]).holds
        assert not compare_results([other], [result]).holds
    del place[path[-1]]
    if path[0] == "tables":
        assert not compare_results([result], [other]).holds
    assert compare_results([result], [a_result()], tolerance=0).holds


def test_what_is_missing_or_more_is_found():
    result = a_result()
    for key, n in (("verdicts", 0), ("verdicts", 1), ("verdicts", 2)):
        other = copy.deepcopy(result)
        del other[key][n]
        assert not compare_results([result], [other]).holds
        assert not compare_results([other], [result]).holds
    assert not compare_results([result], [result, result]).holds
    assert not compare_results([result, result], [result], measured=True).holds
    swapped = copy.deepcopy(result)
    swapped["verdicts"] = swapped["verdicts"][1::-1] + swapped["verdicts"][2:]
    assert compare_results([result], [swapped]).holds  # the order says nothing


@hypothesis_settings(max_examples=50)
@given(st.floats(min_value=1e-3, max_value=1e3), st.floats(min_value=-0.5, max_value=0.5))
def test_the_tolerance_is_relative(size, move):
    result, other = a_result(), a_result()
    result["verdicts"][0]["value"], other["verdicts"][0]["value"] = size, size * (1 + move)
    found = compare_results([result], [other], tolerance=0.1)
    moved = abs(size - size * (1 + move)) / max(size, size * (1 + move))
    assert found.holds == (moved <= 0.1)
    assert found.largest == pytest.approx(moved)


def test_many_inputs_are_fingerprinted_one_by_one(folder, kernels):
    pd.DataFrame({"a": [1], "b": ["x"]}).to_parquet(folder / "now.parquet")
    edit(folder / "settings.ini", "[archive]", "current = now.parquet\n[archive]")
    settings = load_settings(folder / "settings.ini")
    assert list(reproducing.inputs_now(settings).values()) == fingerprints(settings)
