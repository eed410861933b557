"""The user's side of the contract: what `pipeline.py` defines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Pipeline", "TrainingData"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What `train` gets: frames and series of equal height `n`, in time order.

    Attributes
    ----------
    x
        Output of `features`, shape `(n, d)`.
    y
        Labels, length `n`: class labels as declared, or float for regression.
    at
        Event time of each row, UTC microseconds.
    weight
        Non-negative weight of each row.
    previous
        The champion's model object as it was loaded from its artifact, or None.
    seed
        For everything random in the training.
    """

    x: "pl.DataFrame"
    y: "pl.Series"
    at: "pl.Series"
    weight: "pl.Series"
    previous: object | None
    seed: int


class Pipeline(Protocol):
    """The module `pipeline.py` of a project, loaded."""

    @property
    def source(self) -> bytes:
        """The bytes of the file that it was loaded from: what its artifacts carry."""
        ...

    @property
    def digest(self) -> str:
        """The sha256 of `source` in hex."""
        ...

    @property
    def inputs_are_numbers(self) -> bool:
        """Does it define no `features`, so that the declared numbers go to the model as they are?"""
        ...

    @property
    def correct(self) -> "Callable[[pl.DataFrame], pl.DataFrame] | None":
        """Mends rows of history that break a rule; None when the user wrote nothing that does."""
        ...

    @property
    def search_space(self) -> "Callable[[Any], Mapping[str, Any]] | None":
        """Asks a trial for values and returns parameters; None when the user wrote no space to search in."""
        ...

    def features(self, rows: "pl.DataFrame") -> "pl.DataFrame":
        """Turn declared columns into model inputs, row by row: same height, same code offline and online."""
        ...

    def train(self, data: TrainingData, params: Mapping[str, Any]) -> object:
        """Return a model with `predict` and, for classification, `predict_proba`."""
        ...
