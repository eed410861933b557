"""Runs under way: how far each is, and how to end them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anew.adapters.fact_reader import read_facts
from anew.adapters.job_record import JobRecord
from anew.app.person import person_here
from anew.app.progress import describe_run, job_under_way
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import FACTS

__all__ = ["cancel_run", "cancellable", "runs_under_way"]

_ASKING = {name for name, kind in FACTS.items() if kind.asks or kind.ends}


def runs_under_way(project: Path) -> list[Mapping[str, Any]]:
    """Return each effect that was asked for and has not ended, with how far its job is.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    """
    state = state_folder(project)
    asked: dict[str, Fact] = {}
    for recorded in read_facts(record_place(state), kinds=_ASKING):
        if recorded.fact.ends:
            asked.pop(recorded.fact.cause, None)
        if recorded.fact.asks:
            asked[recorded.fact.id] = recorded.fact
    return [describe_run(state, fact) for fact in asked.values()]


def cancel_run(project: Path, reason: str) -> list[Mapping[str, Any]]:
    """Ask every job under way to end; its effect then ends as failed, with who cancelled it and why.

    Raises
    ------
    NotFoundError
        There is none.
    """
    who, found = person_here(state_folder(project)), cancellable(project)
    for run in found:
        _job(project, run).cancel(f"cancelled by {who}: {reason}")
    return found


def cancellable(project: Path) -> list[Mapping[str, Any]]:
    """Return the runs under way that `cancel_run` would end; raises as it does."""
    found = [run for run in runs_under_way(project) if _is_alive(_job(project, run))]
    if not found:
        raise NotFoundError("no run is under way that could be cancelled; see anew status")
    return found


def _job(project: Path, run: Mapping[str, Any]) -> JobRecord:
    return job_under_way(state_folder(project) / "jobs", run["id"])


def _is_alive(record: JobRecord) -> bool:
    return (record.folder / "job.json").exists() and record.ended() is None
