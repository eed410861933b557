"""The declared columns of a model: what a row is made of."""

from dataclasses import dataclass
from enum import StrEnum

from anew.domain.errors import SchemaError

__all__ = ["Column", "ColumnKind", "Columns", "Task", "Value"]

Value = float | str | None
"""A cell of a row: a number, a category or nothing."""


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
    """Numbers are compared by size, categories by equality."""

    NUMBER = "number"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One declared feature column; `nullable` says whether null is a value that it may take."""

    name: str
    kind: ColumnKind
    nullable: bool = True


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
        folded = [name.casefold() for name in names]
        if len(set(folded)) != len(folded):
            twins = sorted(name for name in names if folded.count(name.casefold()) > 1)
            raise SchemaError(f"columns {twins} differ at most in case; rename them", "columns.features")
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
