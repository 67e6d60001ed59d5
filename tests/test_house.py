"""The house keeps its own rules: layers, sizes, words, templates, and modules that match their notebooks."""

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(ROOT.glob("nbs/[0-9]*.ipynb"))
TEMPLATES = sorted(ROOT.glob("templates/*.ipynb"))
MODULES = sorted(p for p in ROOT.glob("prodnb/*.py") if p.name != "_modidx.py")
TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    if (ROOT / name).is_file()
] or [p for p in ROOT.rglob("*") if p.is_file() and not {".venv", ".git", "flights", "archive"} & set(p.relative_to(ROOT).parts)]


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def exported(path):
    return [source(c) for c in cells(path) if c["cell_type"] == "code" and source(c).startswith("#| export")]


def module_of(path):
    return next(m[1] for c in cells(path) if (m := re.search(r"#\| default_exp (\w+)", source(c))))


NUMBERS = {module_of(p): int(p.name[:3]) for p in NOTEBOOKS}


def test_every_notebook_has_a_number_of_its_own():
    assert len(set(NUMBERS.values())) == len(NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_imports_lower_numbers_only(path):
    own = int(path.name[:3])
    for node in ast.walk(ast.parse("\n".join(exported(path)))):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name.startswith("prodnb."):
                assert NUMBERS[name.split(".")[1]] < own, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_stays_small(path):
    found = cells(path)
    assert len(found) <= 80
    assert sum(len(s.strip().splitlines()) for s in exported(path)) <= 350
    assert sum(len(json.dumps(c.get("outputs", []))) for c in found) <= 25_000
    assert source(found[0]).startswith("# ")
    assert "\n> " in source(found[0])
    ids = [c["id"] for c in found]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_has_lessons(path):
    lessons = [source(c) for c in cells(path) if c["cell_type"] == "code" and not source(c).startswith("#|")]
    if lessons:
        assert any("assert " in s for s in lessons), "its lessons assert nothing"
    else:
        assert list(ROOT.glob(f"tests/test_*{module_of(path).rstrip('s')}*.py")), "neither lesson nor test"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_public_names_are_documented_and_annotated(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "no module docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            assert all(a.annotation for a in arguments), f"{node.name}: an argument without a type"
            assert node.returns is not None, f"{node.name}: no return type"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_functions_fit_on_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno < 50, f"{node.name} is too long"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_a_template_holds_no_logic(path):
    from prodnb.template import read_template

    template, found = read_template(path, "prodnb"), cells(path)
    assert template.question.endswith("?")
    assert 6 <= len(found) <= 12
    assert all(p.help for p in template.parameters.values())
    assert any("## When this fails" in source(c) for c in found)
    assert all(not c.get("outputs") for c in found)
    for cell in found:
        if cell["cell_type"] == "code":
            kinds = {type(n) for n in ast.walk(ast.parse(source(cell)))}
            assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda}
            imports = [n for n in ast.walk(ast.parse(source(cell))) if isinstance(n, ast.ImportFrom)]
            assert all(a.name != "*" for n in imports for a in n.names)


def test_the_four_checks_are_there():
    assert {p.stem for p in TEMPLATES} >= {"data_quality", "drift", "explainability", "cost", "integrity"}


def test_public_names_import():
    import prodnb

    for name in prodnb.__all__:
        assert getattr(prodnb, name)


def test_modules_match_their_notebooks(tmp_path):
    for name in ("nbs", "prodnb"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    subprocess.run([Path(sys.executable).parent / "nbdev-export"], cwd=tmp_path, check=True, capture_output=True)
    for path in MODULES:
        assert path.read_bytes() == (tmp_path / "prodnb" / path.name).read_bytes(), (
            f"{path.name} is not what its notebook exports"
        )


def test_cleaning_keeps_the_parameters_tag(tmp_path):
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    subprocess.run(
        [Path(sys.executable).parent / "nbdev-clean", "--fname", "templates"], cwd=tmp_path, check=True, capture_output=True
    )
    from prodnb.template import read_template

    for path in (tmp_path / "templates").glob("*.ipynb"):
        assert read_template(path)


def test_nothing_of_this_machine_and_no_left_overs():
    places = re.compile(r"(?<![\w.])/(?:work|root)/[\w.-]+|/home/(?!ann\b|user\b)[\w.-]+")
    marks = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b|raise Not" + r"ImplementedError")
    for path in TRACKED:
        if path.suffix in (".png", ".parquet", ".ico") or path == Path(__file__).resolve():
            continue
        text = path.read_text(encoding="utf-8")
        assert not places.search(text), f"{path.name}: {places.search(text)[0]}"
        if path.suffix in (".py", ".ipynb"):
            assert not marks.search(text), f"{path.name}: {marks.search(text)[0]}"


def test_importing_the_package_is_light():
    code = "import sys, prodnb, prodnb.cli; heavy = {'pandas', 'numpy', 'ibis', 'papermill', 'nbformat', 'mlflow', 'matplotlib'}; print(heavy & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_the_exported_library_needs_no_nbdev():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [getattr(node, "module", "") or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not any(n.split(".")[0] in ("nbdev", "fastcore") for n in names)


def test_quarto_finds_what_it_is_given():
    import yaml

    site = yaml.safe_load((ROOT / "_quarto.yml").read_text())
    paths = [item for item in walk(site) if isinstance(item, str) and item.endswith((".ipynb", ".md", ".css", ".png"))]
    assert len(paths) > 4
    for path in paths:
        assert list(ROOT.glob(path)), f"{path} is not there"


def walk(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)
    else:
        yield value


def test_the_readme_is_short_and_names_the_commands():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 150
    for words in ("make run", "make test", "check_drift(reference, current)", "check_quality"):
        assert words in readme
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    for link in re.findall(r"\]\((?!https?:|#)([^)]+)\)", readme):
        assert (ROOT / link).exists(), link


@pytest.mark.slow
def test_a_wheel_and_an_editable_install_find_the_templates(tmp_path):
    script = "from prodnb.template import find_templates, shipped_templates; print(sorted(find_templates()), shipped_templates().parent.name)"
    names = sorted(p.stem for p in TEMPLATES)
    editable = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert str(names) in editable
    copy = tmp_path / "source"
    shutil.copytree(
        ROOT,
        copy,
        ignore=shutil.ignore_patterns(".venv", ".git", ".hypothesis", "__pycache__", "flights", "archive", "build", "*.egg-info"),
    )
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(tmp_path / "site"),
        str(copy),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {script}; import prodnb; print(prodnb.__file__)"
    wheel = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert str(names) in wheel
    assert str(tmp_path / "site") in wheel
    assert (tmp_path / "site" / "prodnb" / "assets" / "run.schema.json").exists()
    assert (tmp_path / "site" / "prodnb" / "assets" / "report").is_dir()


def test_every_module_imports():
    for path in MODULES:
        if path.stem not in ("__main__", "__init__"):
            importlib.import_module(f"prodnb.{path.stem}")
