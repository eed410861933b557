"""Leaves each champion in a folder, for a server that is not ours: its files, and one small file that names them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from anew.domain.errors import AnewError, UnavailableError
from anew.domain.facts import TrafficShifted
from anew.domain.manifest import Manifest
from anew.ports.artifact import ArtifactStore
from anew.ports.eventlog import Recorded

__all__ = ["CHAMPION", "HandoverSink"]

CHAMPION = "champion.json"
_KEPT = 3


class HandoverSink:
    """See `anew.ports.sink.Sink`. Repeating a fact changes nothing.

    ``VERSION/`` has the verified files of the artifact. ``champion.json`` names the version, and is replaced in one
    step when all of these are there: whoever reads it never finds half of a model. A rollback is a champion like any
    other. The last three versions stay.

    Parameters
    ----------
    folder
        Made when it is not there.
    artifacts
        Opens the store, which may not be there before the first version is.
    """

    def __init__(self, folder: Path, artifacts: Callable[[], ArtifactStore]) -> None:
        self._folder = folder
        self._artifacts = artifacts

    @property
    def name(self) -> str:
        """``handover``."""
        return "handover"

    def take(self, recorded: Recorded) -> None:
        """Leave the champion of a routing, where it is another one than is there."""
        fact = recorded.fact
        if not isinstance(fact, TrafficShifted) or not fact.champion[0]:
            return
        try:
            self._leave(fact)
        except (OSError, AnewError) as exc:
            raise UnavailableError(f"{self._folder} does not have {fact.champion[0]} yet: {exc}") from exc

    def _leave(self, fact: TrafficShifted) -> None:
        version, digest = fact.champion
        there = self._there()
        if there.get("digest") == digest and there.get("version") == version:
            return
        stored = self._artifacts().get(digest)
        manifest = Manifest.from_json((stored / "manifest.json").read_text("utf-8"))
        self._folder.mkdir(parents=True, exist_ok=True)
        place, aside = self._folder / version, self._folder / f".{version}.part"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(stored, aside, copy_function=shutil.copyfile)
        aside.chmod(0o755)
        shutil.rmtree(place, ignore_errors=True)
        aside.rename(place)
        told = {
            "schema": "anew.champion/1",
            "model": fact.model,
            "version": version,
            "digest": digest,
            "epoch": fact.epoch,
            "at": fact.at.isoformat(),
            "format": manifest.format,
            "file": f"{version}/{manifest.model_file}",
            "inputs": list(manifest.inputs),
            "classes": list(manifest.classes),
        }
        draft = self._folder / f".{CHAMPION}.part"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(told, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / CHAMPION)
        self._tidy({version, fact.fallback[0]})

    def _there(self) -> dict[str, object]:
        try:
            told: dict[str, object] = json.loads((self._folder / CHAMPION).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def _tidy(self, needed: set[str]) -> None:
        versions = [each for each in self._folder.glob("v[0-9]*") if each.is_dir() and each.name[1:].isdigit()]
        for each in sorted(versions, key=lambda each: int(each.name[1:]))[:-_KEPT]:
            if each.name not in needed:
                shutil.rmtree(each, ignore_errors=True)
