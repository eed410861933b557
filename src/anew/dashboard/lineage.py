"""Where a version, a prediction or a decision comes from, as a graph and as a list."""

from dataclasses import dataclass

from anew.dashboard.asking import Asking
from anew.domain.errors import AnewError
from anew.lineage import Lineage

__all__ = ["LineagePage", "lineage_page"]

_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LineagePage:
    """The lineage of `subject`; `problem` says why there is none, `versions` what may be asked for."""

    subject: str
    versions: tuple[str, ...]
    problem: str
    graph: Lineage | None


def lineage_page(asking: Asking) -> LineagePage:
    """Make the page: of what was asked for, else of the version that serves, else of the newest."""
    champion, runs = asking.record.champion, asking.record.runs
    served = champion.version if champion else ""
    newest = [each.version for each in asking.record.versions(max(0, runs - _MOST), runs)]
    subject = asking.query.get("subject", "").strip() or served or next(reversed(newest), "")
    graph, problem = _lineage(asking, subject)
    versions = tuple(reversed(newest))
    return LineagePage(subject=subject, versions=versions, problem=problem, graph=graph)


def _lineage(asking: Asking, subject: str) -> tuple[Lineage | None, str]:
    if not subject:
        return None, ""
    try:
        return asking.source.lineage(subject, asking.record), ""
    except AnewError as exc:
        return None, str(exc)
