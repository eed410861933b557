"""What a stored version says of itself, and what its jobs wrote, without verifying every byte of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anew.dashboard.source import Artifact, Log, Tried
from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.loop.job_name import job_ids

__all__ = ["artifact_of", "logs_of"]

_TAIL = 4_000
_LOGS = ("stdout.log", "stderr.log", "supervisor.log")


def artifact_of(models: Path, digest: str) -> Artifact:
    """Return what the artifact's manifest says; whoever serves it verifies it.

    Raises
    ------
    NotFoundError
        It is not there, or cannot be read.
    """
    folder = models / digest
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    except (OSError, ValueError) as exc:
        raise NotFoundError(f"nothing of {digest[:12]} can be read in {models.name}: {exc}") from exc
    return Artifact(
        format=str(manifest.get("format", "")),
        inputs=len(manifest.get("inputs", ())),
        metrics=manifest.get("metrics", {}),
        params={name: str(value) for name, value in manifest.get("params", {}).items()},
        files=files,
        **_search(folder / "search.json"),
    )


def _search(file: Path) -> Mapping[str, Any]:
    """Return what the record of a search says; nothing where there is none."""
    try:
        plain: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {"search": {}}
    trials = plain["trials"]
    told = {"metric": str(plain["plan"]["metric"]), "trials": str(len(trials)), "value": f"{plain['value']:.4g}"}
    return {"search": told, "trials": tuple(_tried(each, plain["best"]) for each in trials)}


def _tried(trial: Mapping[str, Any], best: int) -> Tried:
    return Tried(
        number=trial["number"],
        state=trial["state"],
        value=trial["means"][-1] if trial["means"] else None,
        params={name: str(value) for name, value in trial["params"].items()},
        problem=trial["problem"],
        best=trial["number"] == best,
    )


def logs_of(jobs: Path, asked: Sequence[Fact]) -> Sequence[Log]:
    """Return the ends of what the jobs of these facts wrote; of a job without a word, nothing."""
    found = []
    for fact, job in ((each, job) for each in asked for job in job_ids(each.id)):
        for name in _LOGS:
            try:
                with (jobs / job / name).open("rb") as file:
                    file.seek(max(0, file.seek(0, 2) - _TAIL))
                    tail = file.read().decode("utf-8", "replace").strip()
            except OSError:
                continue
            if tail:
                part = job.removeprefix(fact.id).replace("-", " ")
                found.append(Log(effect=f"{fact.asks}{part}", name=name, tail=tail))
    return found
