"""The policy file is read with the place of everything, and nothing in it can run, blow up or hide."""

from pathlib import Path

import pytest

from anew.app.yaml_file import read_yaml
from anew.domain.errors import NotFoundError, SettingsError


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "anew.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_every_value_knows_its_place(tmp_path: Path) -> None:
    document = read_yaml(written(tmp_path, "model: a\nslos:\n  - {metric: error}\n  - metric: f1\n"))
    assert document.values == {"model": "a", "slos": [{"metric": "error"}, {"metric": "f1"}]}
    assert document.where(("model",)) == "anew.yaml:1:1"
    assert document.where(("slos", 1)) == "anew.yaml:4:5"
    assert document.where(("slos", 0, "metric")) == "anew.yaml:3:6"


def test_what_is_not_in_the_file_has_the_place_of_its_parent(tmp_path: Path) -> None:
    document = read_yaml(written(tmp_path, "model: a\nmonitor:\n  window: 1d\n"))
    assert document.where(("monitor", "lateness", "x")) == "anew.yaml:2:1"
    assert document.where(("nowhere",)) == "anew.yaml:1:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: {c: 2,\n    c: 3}", "anew.yaml:3:5: the key 'c' stands twice"),
        ("a: [1,\n  b: }", "anew.yaml:2:6"),
        ("a: &x [1]\nb: *x", "anew.yaml:2:4: aliases are not allowed"),
        ("a: &x [*x]", "anew.yaml:1:8: aliases are not allowed"),
        ("<<: {a: 1}", "anew.yaml:1:1: the tag tag:yaml.org,2002:merge is not allowed"),
        ("a: !!python/object/apply:os.system [x]", "anew.yaml:1:4: the tag"),
        ("a: !mine {b: 1}", "anew.yaml:1:4: the tag !mine is not allowed"),
        ("a: !mine x", "anew.yaml:1:4: the tag !mine is not allowed"),
        ("a: 2024-13-45", "anew.yaml:1:4: '2024-13-45' cannot be read"),
        ("a: " + "9" * 5000, "anew.yaml:1:4: '9999"),
        ("1: 2", "anew.yaml:1:1: the key 1 is not text"),
        ("no: 2", "anew.yaml:1:1: the key False is not text; put it in quotes"),
        ("? [1]\n: 3", "is not text"),
        ("- a", "anew.yaml:1:1: the file must be a mapping"),
        ("", "anew.yaml:1:1: the file must be a mapping"),
        ("a: 1\n---\nb: 1", "anew.yaml:2:1"),
        ("a: \x07", "anew.yaml"),
        ("a: " + "[" * 700 + "]" * 700, "nested too deeply"),
        (b"a: \xff", "not UTF-8"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(SettingsError) as found:
        read_yaml(written(tmp_path, text))
    assert said in str(found.value)
    assert len(str(found.value)) < 400


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as found:
        read_yaml(written(tmp_path, "a: 1\na: 2\nb: !x 1\n3: 4"))
    assert len(found.value.problems) == 3


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="anew init"):
        read_yaml(tmp_path / "anew.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "anew.yaml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        read_yaml(tmp_path / "anew.yaml")
