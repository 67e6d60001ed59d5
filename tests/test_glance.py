"""A look at a Parquet file says what opening it as a table says, or nothing."""

import subprocess
import sys

import pandas as pd
import pytest

from prodnb.errors import InputError
from prodnb.glance import glance
from prodnb.inputs import fingerprints
from prodnb.settings import load_settings
from prodnb.tables import open_table

FRAMES = {
    "plain": pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c d": [0.5, None, 1.0]}),
    "nested": pd.DataFrame({"l": [[1], [2, 3]], "s": [{"x": 1, "y": {"z": "a"}}] * 2, "last": [1, 2]}),
    "empty": pd.DataFrame({"a": pd.Series([], dtype="int64")}),
    "times": pd.DataFrame({"t": pd.to_datetime(["2026-01-01", None]), "k": pd.Categorical(["u", "v"])}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_look_and_a_table_say_the_same(tmp_path, name):
    FRAMES[name].to_parquet(tmp_path / "it's.parquet")
    seen, table = glance("it's.parquet", tmp_path), open_table("it's.parquet", folder=tmp_path)
    assert seen.columns == list(table.columns)
    assert seen.rows == int(table.count().to_pyarrow().as_py())


@pytest.mark.parametrize("name", ["a[1].parquet", "a*.parquet", "a?.parquet"])
def test_a_name_is_no_pattern(tmp_path, name):
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / name)
    pd.DataFrame({"b": [1, 2, 3]}).to_parquet(tmp_path / "a1.parquet")
    seen = glance(name, tmp_path)
    assert (seen.columns, seen.rows) == (["a"], 2)


def test_a_table_opens_files_and_folders_whose_names_hold_signs_of_patterns(tmp_path):
    inside = tmp_path / "shop [1]"
    (inside / "old [a]").mkdir(parents=True)
    for n in (1, 2):
        FRAMES["plain"].to_parquet(inside / "old [a]" / f"a[{n}].parquet")
    pd.DataFrame({"b": [1]}).to_parquet(inside / "a1.parquet")
    assert open_table("old [a]/a[1].parquet", folder=inside).count().execute() == 3
    assert open_table("old [a]/*.parquet", folder=inside).count().execute() == 6
    assert open_table("a?.parquet", folder=inside).columns == ("b",)


def test_a_damaged_arrow_schema_is_left_to_whoever_opens_the_table(tmp_path):
    FRAMES["plain"].to_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    at = whole.index(b"ARROW:schema") + 12
    for place in (at + 8, at + 40, at + 200):
        (tmp_path / "t.parquet").write_bytes(whole[:place] + b"\x7f\x01" + whole[place + 2 :])
        assert glance("t.parquet", tmp_path) is None
        with pytest.raises(InputError, match=r"t\.parquet"):
            open_table("t.parquet", folder=tmp_path)


def test_columns_of_one_name_are_refused(tmp_path):
    pd.DataFrame([[1, 2]], columns=["a", "A"]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="differ only in case"):
        glance("t.parquet", tmp_path)


@pytest.mark.parametrize("fault", ["cut", "no rows", "missing column"])
def test_what_is_wrong_is_said_as_before(tmp_path, fault):
    frame = pd.DataFrame({"a": [1, 2]})
    (frame.iloc[:0] if fault == "no rows" else frame).to_parquet(tmp_path / "t.parquet")
    if fault == "cut":
        (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-9])
    more = "target = b\n" if fault == "missing column" else ""
    (tmp_path / "settings.ini").write_text(f"[project]\nname = p\nreference = t.parquet\n{more}")
    words = {"cut": "truncated", "no rows": "has no rows", "missing column": "names the column 'b'"}
    with pytest.raises(Exception, match=words[fault]):
        fingerprints(load_settings(tmp_path / "settings.ini"))


def test_planning_a_run_imports_no_engine(tmp_path):
    FRAMES["plain"].to_parquet(tmp_path / "t.parquet")
    (tmp_path / "settings.ini").write_text("[project]\nname = p\nreference = t.parquet\ntarget = a\n")
    code = (
        "import sys; from pathlib import Path; import prodnb.run; from prodnb.plan import plan_run; from prodnb.settings import load_settings;"
        "plan_run(load_settings(Path('settings.ini'))); print({'pandas', 'numpy', 'ibis', 'papermill', 'nbformat', 'nbclient', 'mlflow'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout == "set()\n", said.stderr
