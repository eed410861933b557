"""How a trained object becomes bytes without code in them, and bytes a model that answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

__all__ = ["Blending", "Exporter", "Formats", "ModelFormat", "Scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a model says to `n` rows.

    `values`, shape `(n,)`: for classification the position of the answer among the model's classes, else the number.
    `proba`, shape `(n, k)`: probabilities in the order of the model's classes; None for regression.
    """

    values: "npt.NDArray[np.float64] | npt.NDArray[np.intp]"
    proba: "npt.NDArray[np.float64] | None" = None


class ModelFormat(Protocol):
    """One data-only file format. Stateless and thread-safe; so is `score` of a decoded model."""

    @property
    def name(self) -> str:
        """What manifests call it."""
        ...

    @property
    def file(self) -> str:
        """Name of the model's file in the artifact."""
        ...

    def accepts(self, model: object) -> bool:
        """Is this object, as `train` returned it, of a type that the format can write?"""
        ...

    def classes(self, model: object) -> Sequence[object] | None:
        """Return the labels that the trained object knows, in the order of its probabilities; None if it names none."""
        ...

    def encode(self, model: object) -> bytes:
        """Write a trained object; equal models give equal bytes.

        Raises
        ------
        TrainingError
            It holds something that the format will not read back.
        """
        ...

    def decode(self, data: bytes) -> object:
        """Read what `encode` wrote; never runs anything that the bytes bring.

        Raises
        ------
        IntegrityError
            The bytes are not of this format or name types that are not allowed.
        """
        ...

    def score(self, model: object, inputs: "pl.DataFrame | npt.NDArray[np.float64]", *, classify: bool) -> Scores:
        """Ask a decoded model; `inputs` has shape `(n, d)`, missing values as null or NaN."""
        ...


@runtime_checkable
class Blending(Protocol):
    """A format that can also make one model of several, which it writes and reads as any other."""

    def blend(self, models: Sequence[object], weights: Sequence[float]) -> object:
        """Return a model whose raw answer is the weighted mean of theirs; they stay as they are.

        Parameters
        ----------
        models, weights
            Decoded models, and the share of each: positive numbers with the sum 1.

        Raises
        ------
        TrainingError
            They do not go together: other inputs, classes or objectives, or a kind that has no mean.
        """
        ...


class Formats(Protocol):
    """The formats that are installed."""

    def accepting(self, model: object) -> ModelFormat:
        """Return the format that writes this object; raises TrainingError, naming the formats, when none does."""
        ...

    def named(self, name: str) -> ModelFormat:
        """Return the format with this name; raises IntegrityError, naming the formats, when there is none."""
        ...


class Exporter(Protocol):
    """Writes a model a second time, in a format that others read. Stateless."""

    @property
    def file(self) -> str:
        """Name of the exported file in the artifact."""
        ...

    def export(self, model: object, kind: str, width: int) -> bytes:
        """Convert a model as decoded from the format called `kind`, taking `width` inputs; always to the same bytes.

        Raises
        ------
        TrainingError
            Models of this kind cannot be converted.
        """
        ...

    def decode(self, data: bytes) -> object:
        """Read what `export` wrote."""
        ...

    def score(self, model: object, inputs: "pl.DataFrame | npt.NDArray[np.float64]", *, classify: bool) -> Scores:
        """Ask a decoded export; see `ModelFormat.score`."""
        ...
