"""A project's pipeline.py: loaded alone, checked, its faults shown with file and line."""

import sys
from pathlib import Path

import polars as pl
import pytest

from anew.adapters.pipeline_module import load_pipeline
from anew.domain.errors import SettingsError

GOOD = "def train(data, params):\n    return None\n"


def written(folder: Path, source: str) -> Path:
    path = folder / "pipeline.py"
    path.write_text(source)
    return path


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("def train(data params): ...", 1, "not Python"),
        ("\n\nimport no_such_package\n" + GOOD, 3, "no_such_package"),
        (GOOD + "1 / 0\n", 3, "ZeroDivisionError"),
        (GOOD + "raise SystemExit(3)\n", 3, "SystemExit"),
        ("x = 1\n", 1, "defines no `train`"),
        ("train = 5\n", 1, "`train` is int"),
        ("\ndef train(data): ...\n", 2, "cannot be called as `train(data, params)`"),
        (GOOD + "async def features(rows): ...\n", 3, "asynchronous"),
        (GOOD + "def features(): ...\n", 3, "`features(rows)`"),
        (GOOD + "def f():\n    from beside import x\n", 4, "carries pipeline.py alone"),
        (GOOD + "from . import beside\n", 3, "carries pipeline.py alone"),
    ],
)
def test_faults_are_shown_with_file_and_line(tmp_path: Path, source: str, line: int, says: str) -> None:
    (tmp_path / "beside.py").write_text("x = 1")
    path = written(tmp_path, source)
    with pytest.raises(SettingsError) as caught:
        load_pipeline(path)
    assert f"{path}:{line}: " in str(caught.value)
    assert says in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.py: cannot be read"):
        load_pipeline(tmp_path / "nowhere.py")


def test_without_features_the_numbers_go_through(tmp_path: Path) -> None:
    pipeline = load_pipeline(written(tmp_path, GOOD))
    rows = pl.DataFrame({"a": [1.0, None], "c": ["x", None], "b": [2.0, 3.0]})
    assert pipeline.inputs_are_numbers
    assert pipeline.features(rows).columns == ["a", "b"]


def test_modules_are_isolated_and_leave_no_trace(tmp_path: Path) -> None:
    source = GOOD + "from dataclasses import dataclass\nseen = []\n@dataclass\nclass Kept:\n    a: 'int'\n"
    source += "def features(rows):\n    seen.append(1)\n    return rows.with_columns(n=len(seen))\n"
    path, before = written(tmp_path, source), list(sys.path)
    one, two = load_pipeline(path), load_pipeline(path)
    rows = pl.DataFrame({"a": [1.0]})
    one.features(rows)
    assert two.features(rows)["n"].to_list() == [1]
    assert one.digest == two.digest
    assert one.source == path.read_bytes()
    assert sys.path == before
    assert [file.name for file in tmp_path.iterdir()] == ["pipeline.py"]
    written(tmp_path, source + "\n")
    assert load_pipeline(path).digest != one.digest
