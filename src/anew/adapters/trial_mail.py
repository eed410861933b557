"""Attempts and scores as files, between a search that may open no socket and whoever has them scored elsewhere."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from anew.ports.search import Attempt

__all__ = ["ASKED", "TOLD", "TrialMail"]

ASKED, TOLD = "asked", "told"
"""Arguments that name the two folders, where a job's trials are scored elsewhere."""

_LOOK_S = 0.05
_LETTER_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialMail:
    """Two folders of letters, ``N.json``, each whole or not there.

    The search, which runs code of users, writes into `asked` and reads from `told`. Whoever answers reads and writes
    with rights that such code has not: it follows no link, and what it writes the search cannot change.
    """

    asked: Path
    told: Path

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float | str]:
        """Have attempts scored, all at once; see `anew.ports.search.Scores`.

        It waits as long as it takes: whoever bounds the job bounds this.
        """
        self.asked.mkdir(exist_ok=True, mode=0o700)
        number = len(list(self.asked.glob("*.json")))
        _write(self.asked / f"{number}.json", [asdict(each) for each in attempts])
        answer = self.told / f"{number}.json"
        while not answer.exists():
            time.sleep(_LOOK_S)
        found: list[float | str] = json.loads(answer.read_text("utf-8"))
        return found

    def waiting(self) -> tuple[int, Sequence[Attempt]] | None:
        """Return the next letter without an answer, its number and its attempts; None when there is none."""
        number = len(list(self.told.glob("*.json")))
        folder = letter = None
        with suppress(OSError):
            folder = os.open(self.asked, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            letter = os.open(f"{number}.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            if letter is None:
                return None
            plain = json.loads(os.read(letter, _LETTER_BYTES))
            return number, [Attempt(**each) for each in plain]
        finally:
            for each in (folder, letter):
                if each is not None:
                    os.close(each)

    def tell(self, number: int, scores: Sequence[float | str]) -> None:
        """Answer a letter."""
        _write(self.told / f"{number}.json", list(scores))


def _write(letter: Path, plain: object) -> None:
    draft = letter.with_suffix(".part")
    draft.write_text(json.dumps(plain), encoding="utf-8")
    draft.rename(letter)
