"""The declared columns of a model: what a row is made of."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from anew.domain.errors import SchemaError

__all__ = ["GREATEST", "Column", "ColumnKind", "Columns", "Task", "Value", "out_of_reach"]

Value = float | str | tuple[float, ...] | None
"""A cell of a row: a number, a category, a vector or nothing."""

GREATEST: Final = 1e100
"""How far from 0 a number may lie that is averaged: a label, an answer, the value of an event, one of a vector. Of a
few that lie further the mean, or that of the squares, is infinite, and then nothing is measured."""

MOST_WIDTH = 4096
_VECTOR = re.compile(r"vector\(([1-9][0-9]{0,3})\)")


def out_of_reach(number: float) -> str:
    """Return what is wrong with a number that is to be averaged, empty when nothing is.

    >>> out_of_reach(1e308)
    '1e+308 is no number from -1e+100 to 1e+100'
    """
    if abs(number) <= GREATEST:
        return ""
    found = f"one of {number.bit_length()} bits" if isinstance(number, int) else repr(number)
    return f"{found} is no number from {-GREATEST:g} to {GREATEST:g}"


class Task(StrEnum):
    """What kind of answer the model gives."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def classifies(self) -> bool:
        """Is the answer one of a set of classes?"""
        return self is not Task.REGRESSION


class ColumnKind(StrEnum):
    """Numbers are compared by size, categories by equality, vectors (embeddings) by distance."""

    NUMBER = "number"
    CATEGORY = "category"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One declared feature column.

    Attributes
    ----------
    nullable
        Is null a value that it may take?
    width
        Numbers in each value of a vector, 1 to 4,096; 0 for the other kinds.
    """

    name: str
    kind: ColumnKind
    nullable: bool = True
    width: int = 0

    def __post_init__(self) -> None:
        if (self.width > 0) != (self.kind is ColumnKind.VECTOR) or not 0 <= self.width <= MOST_WIDTH:
            raise SchemaError(
                f"column {self.name!r}: a vector has 1 to {MOST_WIDTH} numbers, a {self.kind} no width; "
                f"found a width of {self.width}",
                self.name,
            )

    @classmethod
    def declared_as(cls, name: str, kind: str) -> "Column":
        """Read a kind as it is declared: ``number``, ``category`` or ``vector(WIDTH)``.

        Raises
        ------
        SchemaError
            It is none of them.
        """
        if found := _VECTOR.fullmatch(kind):
            return cls(name=name, kind=ColumnKind.VECTOR, width=int(found[1]))
        if kind not in (ColumnKind.NUMBER, ColumnKind.CATEGORY):
            raise SchemaError("a feature is number, category or vector(WIDTH), such as vector(384)", name)
        return cls(name=name, kind=ColumnKind(kind))

    @property
    def declared(self) -> str:
        """The kind as it is declared."""
        return f"{self.kind}({self.width})" if self.width else str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The row contract of a model.

    Attributes
    ----------
    time, target
        Names of the event-time column and of the label.
    features
        Columns that requests carry, in order; names are unique and do not begin with an underscore.
    task
        What the target is.
    classes
        For classification, the class labels as they stand in JSON (numbers or strings), sorted.
    key
        Column that keeps a user on one arm (sticky assignment); empty: the prediction id.
    sensitive
        Columns never given to the model, recorded for the fairness gate.
    """

    time: str
    target: str
    features: tuple[Column, ...]
    task: Task
    classes: tuple[int | str, ...] = ()
    key: str = ""
    sensitive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [column.name for column in self.features]
        if not names:
            raise SchemaError("no feature column is declared; a model needs at least one", "columns.features")
        for name in names:
            if not name or name.startswith("_") or any(ord(c) < 32 for c in name) or len(name) > 200:
                raise SchemaError(
                    f"column name {name!r}: use 1 to 200 printable characters, the first not an underscore", name
                )
            if name.startswith("^") and name.endswith("$"):
                raise SchemaError(f"column name {name!r} reads as a pattern of names; rename the column", name)
        folded = [name.casefold() for name in names]
        if len(set(folded)) != len(folded):
            twins = sorted(name for name in names if folded.count(name.casefold()) > 1)
            raise SchemaError(f"columns {twins} differ at most in case; rename them", "columns.features")
        if any(column.name == self.key and column.width for column in self.features):
            raise SchemaError(f"the key {self.key!r} is a vector; a key is text or a number", "columns.key")
        if {self.time, self.target} & set(names):
            raise SchemaError("the time or target column is also listed as a feature", "columns.features")
        if self.task.classifies and len(self.classes) < 2:
            raise SchemaError(
                f"task {self.task} needs at least two classes, found {list(self.classes)}", "columns.classes"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(column.name for column in self.features)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the features that are categories, in order."""
        return tuple(column.name for column in self.features if column.kind is ColumnKind.CATEGORY)

    @property
    def numbered(self) -> bool:
        """Are answers numbers: those of a regression, or classes that are all declared as numbers?"""
        return all(isinstance(each, int) for each in self.classes)
