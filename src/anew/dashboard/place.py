"""Every page and every form of the dashboard by its path, with what it asks of who comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from anew.dashboard.approvals import approvals_page
from anew.dashboard.asking import Asking
from anew.dashboard.audit import audit_page
from anew.dashboard.compare import compare_page
from anew.dashboard.data import data_page
from anew.dashboard.health import health_page
from anew.dashboard.lab import lab_page
from anew.dashboard.lineage import lineage_page
from anew.dashboard.loop import loop_page
from anew.dashboard.models import models_page
from anew.dashboard.review import review_page
from anew.dashboard.rollout import rollout_page
from anew.dashboard.run import run_page
from anew.dashboard.runs import runs_page
from anew.dashboard.source import Consent, Source
from anew.domain.access import Permission, Principal
from anew.domain.facts import Order

__all__ = ["ACTS", "NAVIGATION", "PLACES", "Act", "Outcome", "Place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page; `twin` is the path of its JSON, `title` what the navigation calls it, empty where others lead to it."""

    name: str
    path: str
    twin: str
    build: Callable[[Asking], object]
    title: str = ""
    permission: Permission = Permission.READ


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a form."""

    ok: bool
    title: str
    said: tuple[str, ...]


Do = Callable[[Source, Principal, str, Mapping[str, str]], Sequence[str]]
"""Does what a form asks, for (who, the form's own id, its fields), and says what became of it."""


def _nothing(_source: Source, _who: Principal, _id: str, _fields: Mapping[str, str]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a form posts to; `back` is the page that then says what came of it, with `quiet` only when it failed."""

    path: str
    permission: Permission | None
    title: str = ""
    do: Do = _nothing
    back: Callable[[Mapping[str, str]], str] = lambda _: "/"
    quiet: bool = False


def _ordered(action: Order, source: Source, who: Principal, id: str, fields: Mapping[str, str]) -> Sequence[str]:
    return source.order(
        action,
        who=who,
        command=id,
        reason=fields.get("reason", "").strip()[:500] or "asked for on the dashboard",
        expect=(fields.get("version", ""), fields.get("to", "")),
    )


def _signed(how: Consent, source: Source, who: Principal, _id: str, fields: Mapping[str, str]) -> Sequence[str]:
    return source.sign(
        how,
        who=who,
        candidate=(fields.get("version", ""), fields.get("digest", "")),
        gate=fields.get("gate", ""),
        reason=fields.get("reason", "").strip()[:500],
    )


def _answered(source: Source, who: Principal, _id: str, fields: Mapping[str, str]) -> Sequence[str]:
    source.answer(who, fields.get("item", ""), fields.get("value", "").strip())
    return ()


def _skipped(source: Source, who: Principal, _id: str, fields: Mapping[str, str]) -> Sequence[str]:
    source.skip(who, fields.get("item", ""))
    return ()


def _consent(how: Consent, title: str) -> Act:
    return Act(
        path=f"/approvals/{how}",
        permission=Permission.APPROVE,
        title=title,
        do=partial(_signed, how),
        back=lambda _: "/approvals",
    )


PLACES: Final[Sequence[Place]] = (
    Place(name="loop", path="/", twin="/loop.json", title="Loop", build=loop_page),
    Place(name="models", path="/models", twin="/models.json", title="Models", build=models_page),
    Place(name="runs", path="/runs", twin="/runs.json", title="Runs", build=runs_page),
    Place(name="run", path="/runs/{version:path}", twin="/runs/{version:path}.json", build=run_page),
    Place(name="rollout", path="/rollout", twin="/rollout.json", title="Rollout", build=rollout_page),
    Place(name="compare", path="/compare", twin="/compare.json", title="Compare", build=compare_page),
    Place(name="data", path="/data", twin="/data.json", title="Data & drift", build=data_page),
    Place(name="lineage", path="/lineage", twin="/lineage.json", title="Lineage", build=lineage_page),
    Place(name="approvals", path="/approvals", twin="/approvals.json", title="Approvals", build=approvals_page),
    Place(
        name="review",
        path="/review",
        twin="/review.json",
        title="Review",
        build=review_page,
        permission=Permission.REVIEW,
    ),
    Place(name="lab", path="/lab", twin="/lab.json", title="Policy lab", build=lab_page),
    Place(name="audit", path="/audit", twin="/audit.json", title="Audit", build=audit_page),
    Place(name="health", path="/health", twin="/health.json", title="Settings & health", build=health_page),
)

NAVIGATION: Final = tuple(place for place in PLACES if place.title)

ACTS: Final[Sequence[Act]] = (
    Act(path="/rollback", permission=Permission.OPERATE, title="Rolled back", do=partial(_ordered, Order.ROLLBACK)),
    Act(
        path="/rollout/hold",
        permission=Permission.OPERATE,
        title="Held",
        do=partial(_ordered, Order.HOLD),
        back=lambda _: "/rollout",
    ),
    Act(
        path="/rollout/resume",
        permission=Permission.OPERATE,
        title="Resumed",
        do=partial(_ordered, Order.RESUME),
        back=lambda _: "/rollout",
    ),
    _consent("approve", "Signed: approved"),
    _consent("override", "Signed: overridden"),
    _consent("reject", "Signed: rejected"),
    Act(path="/review/answer", permission=Permission.REVIEW, do=_answered, back=lambda _: "/review", quiet=True),
    Act(path="/review/skip", permission=Permission.REVIEW, do=_skipped, back=lambda _: "/review", quiet=True),
)
