"""What an artifact says of itself, and the one digest over all that it holds."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import SchemaError

__all__ = ["FileEntry", "Manifest", "columns_from_json", "columns_to_json", "digest_of"]

MANIFEST_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FileEntry:
    """One file of an artifact: its relative path with ``/``, its size in bytes and the sha256 of its bytes in hex."""

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: str, data: bytes) -> "FileEntry":
        """Describe a file that is at hand as bytes."""
        return cls(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def digest_of(files: Iterable[FileEntry]) -> str:
    """Return the digest (64 hex digits) over all files of an artifact, whatever their order.

    Sizes and lengths stand before what they measure, so that no two sets of files have the same text.

    >>> a, b = FileEntry.of("a", b"1"), FileEntry.of("b", b"2")
    >>> digest_of([a, b]) == digest_of([b, a]) != digest_of([a])
    True
    """
    whole = hashlib.sha256(b"anew.artifact/1\n")
    for file in sorted(files):
        whole.update(f"{len(file.path.encode())}:{file.path}:{file.size}:{file.sha256}\n".encode())
    return whole.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What must be known to load a version and to repeat its training; holds no instant, so repeating gives the same.

    Attributes
    ----------
    format
        Name of the model's format, e.g. ``lightgbm``; says what reads the file `model_file`.
    columns
        The row contract it was trained under.
    inputs
        Names of the columns that `features` returned, in order: the model's inputs.
    classes
        Those of ``columns.classes`` that the model knows, in the order of its probabilities; empty for regression.
    rows, holdout_rows
        Rows trained on, and newest rows of the snapshot that were kept from it.
    seed, params
        What `train` was given.
    code, environment, snapshot, previous
        Digests of pipeline.py, environment.txt, the snapshot and the artifact it was warm-started from (or empty).
    loss_scale
        For regression the robust range of the training labels (quantile 0.995 − quantile 0.005, in units of the
        target, above 0): what absolute errors are divided by where a bounded loss is needed. 0 for classification.
    metrics
        What training measured, by name.
    scorer
        ``export`` when the exported file serves in place of the model, having been measured to be the same and faster.
    blend
        Digests of the artifacts whose models this one is made of, with the weight of each; empty of one.
    """

    format: str
    model_file: str
    columns: Columns
    inputs: tuple[str, ...]
    classes: tuple[int | str, ...]
    rows: int
    holdout_rows: int
    seed: int
    code: str
    environment: str
    params: Mapping[str, Any] = field(default_factory=dict)
    snapshot: str = ""
    previous: str = ""
    loss_scale: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    scorer: str = ""
    blend: tuple[tuple[str, float], ...] = ()

    def to_json(self) -> str:
        """Write as JSON, the same text for the same manifest."""
        plain = {name: getattr(self, name) for name in self.__slots__} | {
            "schema": MANIFEST_SCHEMA,
            "columns": columns_to_json(self.columns),
        }
        for later in ("scorer", "blend"):
            if not plain[later]:
                del plain[later]  # as it was before there was one
        return json.dumps(plain, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read what `to_json` wrote.

        Raises
        ------
        SchemaError
            The text is no manifest, or one of a schema that this anew does not know.
        """
        try:
            plain = json.loads(text)
            found = plain.pop("schema")
            if found != MANIFEST_SCHEMA:
                raise SchemaError(
                    f"the artifact's manifest has schema {found}; this anew reads schema {MANIFEST_SCHEMA}: update it"
                )
            plain["columns"] = columns_from_json(plain["columns"])
            plain["inputs"], plain["classes"] = tuple(plain["inputs"]), tuple(plain["classes"])
            plain["blend"] = tuple((str(digest), float(weight)) for digest, weight in plain.get("blend", ()))
            return cls(**plain)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            if isinstance(exc, SchemaError):
                raise
            raise SchemaError(f"the artifact's manifest cannot be read: {exc!r}") from exc


def columns_to_json(columns: Columns) -> dict[str, object]:
    """Return the row contract as plain JSON values."""
    return {
        "time": columns.time,
        "target": columns.target,
        "task": columns.task.value,
        "classes": list(columns.classes),
        "key": columns.key,
        "sensitive": list(columns.sensitive),
        "features": [
            {"name": column.name, "kind": column.kind.value, "nullable": column.nullable}
            | ({"width": column.width} if column.width else {})
            for column in columns.features
        ],
    }


def columns_from_json(plain: Mapping[str, object]) -> Columns:
    """Read what `columns_to_json` returned; raises KeyError, TypeError or ValueError on anything else."""
    read = cast("Mapping[str, Any]", plain)
    return Columns(
        time=read["time"],
        target=read["target"],
        task=Task(read["task"]),
        classes=tuple(read["classes"]),
        key=read["key"],
        sensitive=tuple(read["sensitive"]),
        features=tuple(
            Column(
                name=column["name"],
                kind=ColumnKind(column["kind"]),
                nullable=column["nullable"],
                width=column.get("width", 0),
            )
            for column in read["features"]
        ),
    )
