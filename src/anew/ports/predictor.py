"""A version that is loaded and can answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from anew.domain.column import Columns, Value
from anew.domain.manifest import Manifest
from anew.domain.observation import Answer
from anew.ports.candidate import Candidate
from anew.ports.pipeline import Pipeline

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

__all__ = ["Loader", "Predictions", "Predictor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Answers to the `n` rows of a frame, in order.

    `output`, length `n`: class labels as declared (Int64 or String), or Float64. `proba`, shape `(n, k)`: in the order
    of the declared classes, 0 for a class that the model never saw; None for regression.
    """

    output: "pl.Series"
    proba: "npt.NDArray[np.float64] | None" = None


class Predictor(Protocol):
    """A loaded version with the very code it was trained with. Thread-safe, free of side effects."""

    @property
    def version(self) -> str:
        """Name of the version, e.g. ``v3``."""
        ...

    @property
    def digest(self) -> str:
        """Digest of the artifact it was loaded from."""
        ...

    @property
    def columns(self) -> Columns:
        """The row contract it was trained under."""
        ...

    @property
    def manifest(self) -> Manifest:
        """What the artifact says of itself."""
        ...

    @property
    def model(self) -> object:
        """The model object: what the next training gets as `TrainingData.previous`."""
        ...

    def inputs(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        """Return what `features` makes of the declared columns of `frame`: what the model itself is asked about.

        Raises
        ------
        SchemaError
            As `predict`.
        """
        ...

    def predict(self, frame: "pl.DataFrame") -> Predictions:
        """Answer all rows of `frame`, which has the declared features (other columns are ignored).

        The same rows get the same answers as from `answer`: bit for bit from models that score row by row (trees), up
        to the last digit from those that multiply whole matrices.

        Raises
        ------
        SchemaError
            A declared column is missing or of another kind, or `features` or the model returned nonsense (another
            height, not finite). Whatever else the user's code raises passes through.
        """
        ...

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Answer each of `rows`, in order; rows carry exactly the declared features, missing values as None.

        Raises whatever the user's code raises; the caller is at an outermost loop and turns it into a fact.
        """
        ...


class Loader(Protocol):
    """Turns a verified artifact folder into a predictor."""

    def load(self, folder: Path, *, version: str, digest: str) -> Predictor:
        """Load and answer one row of zeros or nulls; raises IntegrityError or SchemaError when it cannot."""
        ...

    def assemble(self, candidate: Candidate, *, pipeline: Pipeline, version: str) -> Predictor:
        """Make the predictor that `load` would make of the candidate's artifact, without any file."""
        ...
