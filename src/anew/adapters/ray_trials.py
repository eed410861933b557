"""The trials of a search as Ray tasks: each runs where there is room, confined as on one machine."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from anew.adapters.job_ground import JobGround, pieces
from anew.adapters.job_record import JobRecord, job_from_json, job_to_json
from anew.adapters.ray_actor import clear_grounds, new_ground
from anew.adapters.trial_pool import TrialPool
from anew.ports.compute import Job, Request
from anew.ports.search import Attempt, Scores

__all__ = ["TrialDesk", "options_of", "score", "trial_tasks"]

_RETRIES = 2
"""How often a trial is begun again when its worker or its node died."""

Parcel = Mapping[str, bytes]


def options_of(request: Request) -> dict[str, float]:
    """Return a request in Ray's words."""
    asked = {"num_cpus": request.cpus, "num_gpus": request.gpus}
    return asked | ({"memory": float(request.memory_bytes)} if request.memory_bytes else {})


def trial_tasks(ground: JobGround, job: Job) -> Scores | None:
    """Return what scores trials as tasks; None when the cluster could not hold one of them besides the job.

    A task is given what the first step of the job may read, hence no rows that are held out.
    """
    import ray  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - an extra, there where actors run

    request, there = job.request, ray.cluster_resources()
    if there.get("CPU", 0.0) < 2 * request.cpus or there.get("GPU", 0.0) < 2 * request.gpus:
        return None
    laid = [str(ground.place(name)) for name in job.files or ()]
    laid = [place for place in laid if job.reads is None or place in job.reads]
    parcel: dict[str, bytes] = {}
    for name, piece in pieces(laid):
        parcel[name] = parcel.get(name, b"") + piece
    told = job_to_json(replace(job, files=tuple(laid)))
    shared, task = ray.put(parcel), ray.remote(score).options(max_retries=_RETRIES, **options_of(request))

    def scores(attempts: Sequence[Attempt]) -> Sequence[float | str]:
        asked = [task.remote(shared, told, json.dumps(asdict(each))) for each in attempts]
        return [_outcome(ray, each) for each in asked]

    return scores


def _outcome(ray: Any, asked: Any) -> float | str:
    try:
        found: float | str = ray.get(asked)
    except ray.exceptions.RayError as exc:
        return f"its worker was lost: {str(exc).strip().splitlines()[0][:200]}"
    return found


def score(parcel: Parcel, told: str, attempt: str) -> float | str:
    """Score one attempt in a confined process beside this worker, which stays for the next."""
    (found,) = _desk(parcel, told).pool.scores([Attempt(**json.loads(attempt))])
    return found


_desks: dict[str, "TrialDesk"] = {}


def _desk(parcel: Parcel, told: str) -> "TrialDesk":
    key = hashlib.sha256(told.encode()).hexdigest()
    if key not in _desks:
        for old in list(_desks):  # a worker works on one search at a time
            _desks.pop(old).close()
        _desks[key] = TrialDesk(parcel, told)
    return _desks[key]


class TrialDesk:
    """The files of a search on this node, and a process that scores its attempts there.

    Parameters
    ----------
    parcel
        The files, by the paths that the job names.
    told
        The job, as JSON.
    """

    def __init__(self, parcel: Parcel, told: str) -> None:
        clear_grounds()
        self._folder = new_ground()
        ground = JobGround(self._folder / "files")
        for name, data in parcel.items():
            ground.add(name, data)
        job = ground.moved(job_from_json(told))
        record = JobRecord(self._folder / "trials")
        record.create(job)
        self.pool = TrialPool(job.trial, Path(job.arguments["run"]), record=record)

    def close(self) -> None:
        """End the process and delete the files."""
        self.pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)
