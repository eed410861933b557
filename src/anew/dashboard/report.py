"""A version in one file: what it is, why it exists, what was measured and decided, to be kept or sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from anew.dashboard.asset import Assets
from anew.dashboard.lineage_svg import lineage_svg
from anew.dashboard.part import Gate, Narrate, Said, Series, Standing, gates_of, sentences, series_of, standing
from anew.dashboard.record import Record
from anew.dashboard.view import View
from anew.domain.errors import NotFoundError
from anew.domain.facts import TrainingPlanned
from anew.lineage import Lineage

__all__ = ["Report", "report_html", "report_of"]

_ASIDE = frozenset({"Ticked", "RolloutObserved", "CandidateMeasured", "TrafficApplied"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of it.

    Attributes
    ----------
    at, head
        When it was made, and the last fact on record then.
    made_of
        What the verified artifact says of itself, by name; empty where none of it is stored any more.
    why, became
        What led to its plan, and what came after it, the first first.
    """

    model: str
    version: str
    at: datetime
    head: int
    standing: Standing
    made_of: Mapping[str, str]
    gates: tuple[Gate, ...]
    series: Series | None
    why: tuple[Said, ...]
    became: tuple[Said, ...]
    lineage: Lineage


def report_of(
    record: Record, lineage: Lineage, narrate: Narrate, *, made_of: Mapping[str, str], at: datetime
) -> Report:
    """Return the report of the version that `lineage` is about.

    Raises
    ------
    NotFoundError
        The record knows no such version.
    """
    version = lineage.subject
    where = standing(record.version(version))
    if where is None:
        raise NotFoundError(f"there is no version {version!r} on record; anew model list shows them")
    about: Sequence[Any] = record.about(version, but=_ASIDE)
    plan = next((fact for fact in about if isinstance(fact, TrainingPlanned)), None)
    return Report(
        model=about[0].model if about else "",
        version=version,
        at=at,
        head=record.head,
        standing=where,
        made_of=made_of,
        gates=gates_of(about),
        series=series_of(record),
        why=sentences(reversed(list(record.causes(plan))) if plan else (), narrate),
        became=sentences(about, narrate),
        lineage=lineage,
    )


def report_html(report: Report) -> str:
    """Return the report as one HTML document that needs nothing beside itself and runs no script."""
    return View(Assets()).render(
        "report.html",
        report=report,
        graph=Markup(lineage_svg(report.lineage)),  # noqa: S704  it escapes what it draws
    )
