"""Losses of models that a backtest has fitted, kept as files named by the content that they follow from."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anew.domain.errors import UnavailableError

__all__ = ["LossStore"]


class LossStore:
    """Arrays of losses by key, one small file each. Safe for several processes: files are replaced whole.

    A cache: what is damaged or of another length is as if it were not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str, rows: int) -> npt.NDArray[np.float32] | None:
        """Return `rows` losses, an empty array where a model could not be trained, or None when nothing is kept."""
        try:
            found = np.load(self._folder / f"{key}.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        fits = found.dtype == np.float32 and found.shape in ((rows,), (0,))
        return found if fits else None

    def put(self, key: str, losses: npt.NDArray[np.float32]) -> None:
        """Keep the losses of a model; an empty array says that it could not be trained.

        Raises
        ------
        UnavailableError
            The folder cannot be written to.
        """
        started = self._folder / f".{key}.{os.getpid()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with started.open("wb") as file:
                np.save(file, losses)
            started.replace(self._folder / f"{key}.npy")
        except OSError as exc:
            with suppress(OSError):
                started.unlink()
            raise UnavailableError(f"losses cannot be kept in {self._folder}: {exc.strerror}") from exc
