"""Versions without a model: they answer what their folder says, or misbehave as it says."""

import json
import math
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from anew.domain.column import Column, ColumnKind, Columns, Task, Value
from anew.domain.errors import IntegrityError, NotFoundError, PolicyError
from anew.domain.observation import Answer

__all__ = ["FAKE_COLUMNS", "FakeLoader", "FakePredictor", "FakeStore"]

FAKE_COLUMNS = Columns(
    time="at",
    target="y",
    features=(
        Column(name="amount", kind=ColumnKind.NUMBER),
        Column(name="shop", kind=ColumnKind.CATEGORY),
        Column(name="count", kind=ColumnKind.NUMBER, nullable=False),
    ),
    task=Task.REGRESSION,
    key="customer",
    sensitive=("age",),
)


@dataclass(frozen=True, slots=True)
class FakePredictor:
    """Answers the number `value` to everything, unless told to misbehave.

    Attributes
    ----------
    behaviour
        ``constant``, ``amount`` (returns that column), ``width`` (how many columns it
        got), ``slow`` (sleeps `seconds`), ``slow_rows`` (so
        long for each row), ``hang``, ``raise``,
        ``raise_sometimes`` (when the amount is a multiple of 100), ``crash`` (ends the process), ``crash_sometimes``
        (likewise), ``nan``, ``short`` (an answer
        too few), ``text`` (a class that nobody declared), ``proba`` (impossible probabilities).
    weight
        Bytes that it holds in memory, as a real model does.
    """

    version: str
    digest: str
    columns: Columns = FAKE_COLUMNS
    value: float = 0.0
    behaviour: str = "constant"
    seconds: float = 0.0
    weight: bytes = field(default=b"", repr=False)

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Answer, or do what the behaviour says."""
        match self.behaviour:
            case "slow" | "slow_rows" | "hang":
                time.sleep({"slow": self.seconds, "slow_rows": self.seconds * len(rows)}.get(self.behaviour, 3600))
            case "raise":
                raise RuntimeError("ordered")
            case "raise_sometimes" if any(_multiple(row["amount"]) for row in rows):
                raise RuntimeError("ordered")
            case "crash":
                os._exit(3)
            case "crash_sometimes" if any(_multiple(row["amount"]) for row in rows):
                os._exit(3)
            case "nan":
                return [Answer(output=math.nan) for _ in rows]
            case "short":
                return [Answer(output=self.value) for _ in rows[1:]]
            case "text":
                return [Answer(output="undeclared") for _ in rows]
            case "width":
                return [Answer(output=float(len(row))) for row in rows]
            case "amount":
                return [Answer(output=_number(row["amount"])) for row in rows]
        return [Answer(output=self.value) for _ in rows]


@dataclass(frozen=True, slots=True)
class FakeLoader:
    """Makes a FakePredictor of the file ``fake.json`` in a folder: its fields, and ``load``.

    That is ok, raise, slow (takes `seconds`), hang or crash.

    ``features`` there names the columns that it knows, also such as no request carries; else it knows all.
    """

    columns: Columns = FAKE_COLUMNS

    def load(self, folder: Path, *, version: str, digest: str) -> FakePredictor:
        """Load, or fail as told."""
        told = json.loads((folder / "fake.json").read_text("utf-8"))
        match told.get("load", "ok"):
            case "raise":
                raise IntegrityError(f"{version} was told not to load")
            case "slow":
                time.sleep(told["seconds"])
            case "hang":
                time.sleep(3600)
            case "crash":
                os._exit(4)
        known = told.get("features", self.columns.names)
        features = tuple(column for column in self.columns.features if column.name in known)
        strange = [name for name in known if name not in self.columns.names]
        features += tuple(Column(name=name, kind=ColumnKind.NUMBER) for name in strange)
        return FakePredictor(
            version=version,
            digest=digest,
            columns=replace(self.columns, features=features),
            value=float(told.get("value", 0.0)),
            behaviour=told.get("behaviour", "constant"),
            seconds=float(told.get("seconds", 0.0)),
            weight=b"w" * int(told.get("weight", 0)),
        )


@dataclass(frozen=True, slots=True)
class FakeStore:
    """An `ArtifactStore` that neither signs nor verifies; the digest is that of ``fake.json`` alone."""

    root: Path
    gone: set[str] = field(default_factory=set)

    def make(self, **told: object) -> str:
        """Store a fake version and return its digest."""
        data = json.dumps(told, sort_keys=True).encode()
        digest = sha256(data).hexdigest()
        folder = self.root / digest
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fake.json").write_bytes(data)
        return digest

    def put(self, folder: Path) -> str:
        """Store the fake of `folder`."""
        return self.make(**json.loads((folder / "fake.json").read_text("utf-8")))

    def get(self, digest: str) -> Path:
        """Return the folder."""
        if not self.has(digest):
            raise NotFoundError(f"no artifact {digest}")
        return self.root / digest

    def has(self, digest: str) -> bool:
        """Is it there, and not hidden by `gone`?"""
        return digest not in self.gone and (self.root / digest).is_dir()

    def forget(self, digest: str, *, pinned: Collection[str]) -> bool:
        """Hide it from now on."""
        if digest in pinned:
            raise PolicyError(f"artifact {digest} is pinned")
        there = self.has(digest)
        self.gone.add(digest)
        return there


def _number(value: Value) -> float:
    return value if isinstance(value, float) else 0.0


def _multiple(amount: Value) -> bool:
    return isinstance(amount, float) and amount % 100 == 0
