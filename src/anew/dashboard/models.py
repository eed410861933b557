"""The models of this and of other projects, one line each: which is healthy, what is under way, what waits for whom."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic

from anew.dashboard.approvals import approvals_page
from anew.dashboard.asking import Asking
from anew.dashboard.loop import Health, loop_page
from anew.dashboard.source import Neighbour
from anew.domain.errors import AnewError

__all__ = ["Challenger", "ModelLine", "ModelsPage", "models_page"]

_PATIENCE_S = 2.0
"""How long this page waits for records of others that have yet to be read, all of them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """A version on its way to traffic, and its share of it."""

    version: str
    stage: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLine:
    """One model.

    Attributes
    ----------
    model
        Its name; what the policy calls its project, where nothing is to be seen of it.
    address
        Where its Loop page is; empty when nobody serves it.
    champion
        A version; empty for none.
    challengers
        Every version on its way to traffic, with where it is and what part of the traffic it has.
    running
        Is its loop running? Of what does not run, nothing is newer than `event_time`.
    waits
        What waits for people.
    queued
        Why a retrain waits for compute that models share; empty where none does.
    problem
        Why there is nothing else on this line; empty where there is.
    """

    model: str
    address: str
    health: Health
    champion: str = ""
    since: datetime | None = None
    challengers: tuple[Challenger, ...] = ()
    running: bool = False
    event_time: datetime | None = None
    waits: tuple[str, ...] = ()
    queued: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsPage:
    """All of them, this project's first."""

    at: datetime
    models: tuple[ModelLine, ...]


def models_page(asking: Asking) -> ModelsPage:
    """Make the page."""
    until = monotonic() + _PATIENCE_S
    others = [_other(asking, each, until - monotonic()) for each in asking.source.others(asking.who)]
    return ModelsPage(at=asking.source.now(), models=(_line(asking, "/"), *others))


def _other(asking: Asking, other: Neighbour, patience_s: float) -> ModelLine:
    if other.source is None:
        return _closed(other, other.problem)
    try:
        there, address = replace(asking, source=other.source, policy=other.source.in_force()), other.address
        return asking.records.read(
            other.name,
            other.source,
            lambda record: _line(replace(there, record=record), f"{address}/" if address else ""),
            patience_s=max(0.0, patience_s),
        )
    except (AnewError, OSError) as exc:
        return _closed(other, str(exc))


def _closed(other: Neighbour, problem: str) -> ModelLine:
    health = Health(state="unknown", headline="Nothing to be seen", detail=problem)
    return ModelLine(model=other.name, address=other.address, health=health, problem=problem)


def _line(asking: Asking, address: str) -> ModelLine:
    loop = loop_page(asking)
    arms = () if loop.probation is None else (loop.probation, *loop.rivals)
    return ModelLine(
        model=loop.model,
        address=address,
        health=loop.health,
        champion=loop.champion.version if loop.champion else "",
        since=loop.champion.since if loop.champion else None,
        challengers=tuple(Challenger(version=each.version, stage=each.stage, share=each.share) for each in arms),
        running=loop.running,
        event_time=loop.event_time,
        waits=tuple(_waits(asking, loop.to_review)),
        queued=_queued(asking),
    )


def _queued(asking: Asking) -> str:
    found = asking.record.governance.queued
    return "" if found is None else f"{found.place} of {found.of} when it asked: {found.detail}"


def _waits(asking: Asking, to_review: int) -> Sequence[str]:
    approvals = approvals_page(asking)
    found = [f"{approvals.version} for a signature"] if approvals.promotion or approvals.asked else []
    return [*found, f"{to_review} answers to be judged"] if to_review else found
