"""Where the files of a job are laid on another machine: under a folder of the job's own, by the paths they had here."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anew.domain.errors import InvariantError
from anew.ports.compute import Job

__all__ = ["PIECE_BYTES", "JobGround", "pieces"]

PIECE_BYTES = 8 << 20


def pieces(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield every file, and every file in the folders, in pieces: its path, and some bytes to be added to it.

    Raises
    ------
    OSError
        One of them cannot be read.
    """
    for name in sorted(set(files)):
        path = Path(name)
        for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else (path,):
            yield from _cut(str(file), file)


def _cut(name: str, file: Path) -> Iterator[tuple[str, bytes]]:
    with file.open("rb") as opened:
        first = True
        while (piece := opened.read(PIECE_BYTES)) or first:
            first = False
            yield name, piece


@dataclass(frozen=True, slots=True)
class JobGround:
    """A folder that stands for the root of the machine which a job was told of.

    Files keep their places relative to each other, so that code which reads what lies beside it finds it.
    """

    root: Path

    def add(self, name: str, piece: bytes) -> None:
        """Add some bytes to a file.

        Raises
        ------
        InvariantError
            Its path leads out of the ground.
        """
        place = self.place(name)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with place.open("ab") as file:
            file.write(piece)

    def place(self, name: str) -> Path:
        """Return where a file is laid."""
        if not name.startswith("/") or ".." in name.split("/"):
            raise InvariantError(f"{name[:200]!r} is no absolute path")
        return self.root / name.lstrip("/")

    def moved(self, job: Job) -> Job:
        """Return the job as it runs here, and change the paths in the JSON files that its arguments name."""
        files = job.files or ()
        for value in job.arguments.values():
            if value in files and value.endswith(".json"):
                place = self.place(value)
                place.write_text(json.dumps(self._in_json(json.loads(place.read_text("utf-8")), files)), "utf-8")
        return replace(
            job,
            arguments={name: self._path(value, files) for name, value in job.arguments.items()},
            reads=self._paths(job.reads, files),
            then=tuple(replace(step, reads=self._paths(step.reads, files)) for step in job.then),
        )

    def _in_json(self, value: object, files: Sequence[str]) -> object:
        if isinstance(value, dict):
            return {key: self._in_json(each, files) for key, each in value.items()}
        if isinstance(value, list):
            return [self._in_json(each, files) for each in value]
        return self._path(value, files) if isinstance(value, str) else value

    def _paths(self, names: Sequence[str] | None, files: Sequence[str]) -> tuple[str, ...] | None:
        return None if names is None else tuple(self._path(name, files) for name in names)

    def _path(self, name: str, files: Sequence[str]) -> str:
        known = any(name == file or name.startswith(f"{file.rstrip('/')}/") for file in files)
        return str(self.place(name)) if known else name
