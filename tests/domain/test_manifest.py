"""What an artifact says of itself, and its one digest."""

import json

import pytest

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import SchemaError
from anew.domain.manifest import FileEntry, Manifest, digest_of

MANIFEST = Manifest(
    format="lightgbm",
    model_file="model.txt",
    columns=Columns(
        time="at",
        target="y",
        features=(
            Column(name="a", kind=ColumnKind.NUMBER, nullable=False),
            Column(name="ü", kind=ColumnKind.CATEGORY),
        ),
        task=Task.MULTICLASS,
        classes=("10", "9", "no"),
        key="user",
        sensitive=("sex",),
    ),
    inputs=("a", "code"),
    classes=("10", "no"),
    rows=100,
    holdout_rows=10,
    seed=7,
    params={"depth": 3},
    code="c" * 64,
    environment="e" * 64,
    metrics={"training_error": 0.1},
)

FROZEN = (
    '{"schema": 1, "format": "skops", "model_file": "model.skops", "inputs": ["a"], "classes": [], "rows": 5,'
    ' "holdout_rows": 0, "seed": 1, "params": {}, "code": "c", "environment": "e", "snapshot": "", "previous": "",'
    ' "loss_scale": 2.5, "metrics": {}, "columns": {"time": "at", "target": "y", "task": "regression", "classes": [],'
    ' "key": "", "sensitive": [], "features": [{"name": "a", "kind": "number", "nullable": true}]}}'
)


def test_a_manifest_comes_back() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert Manifest.from_json(MANIFEST.to_json()).to_json() == MANIFEST.to_json()


def test_manifests_of_schema_1_are_read_for_ever() -> None:
    found = Manifest.from_json(FROZEN)
    assert (found.format, found.loss_scale, found.columns.task) == ("skops", 2.5, Task.REGRESSION)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", FROZEN.replace('"schema": 1', '"schema": 2'), FROZEN.replace('"rows": 5,', '"row": 5,')]
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="manifest"):
        Manifest.from_json(text)


def test_the_digest_depends_on_every_name_and_byte_and_on_no_order() -> None:
    files = [FileEntry.of("a", b"1"), FileEntry.of("b/c", b"")]
    digests = {
        digest_of(files),
        digest_of(files[:1]),
        digest_of([FileEntry.of("a", b"2"), files[1]]),
        digest_of([files[0], FileEntry.of("b_c", b"")]),
        digest_of([FileEntry.of("b/c", b"1"), FileEntry.of("a", b"")]),
        digest_of([]),
    }
    assert len(digests) == 6
    assert digest_of(reversed(files)) == digest_of(files)
    assert "\\u" not in json.dumps(MANIFEST.to_json(), ensure_ascii=False)
