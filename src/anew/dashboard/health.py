"""What the project stands on: the policy in force, the processes, and what an examination found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from anew.dashboard.asking import Asking
from anew.dashboard.source import Worker
from anew.domain.health import Finding

__all__ = ["HealthPage", "health_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPage:
    """All of it; `examined` is None while the first examination is under way."""

    holder: str
    workers: tuple[Worker, ...]
    mirror: Mapping[str, str] | None
    stored: Mapping[str, int] | None
    examined: datetime | None
    findings: tuple[Finding, ...]
    worst: str
    settings: str
    code: str
    text: str


def health_page(asking: Asking) -> HealthPage:
    """Make the page."""
    beside = asking.source.surroundings(())
    examined, findings = asking.source.findings()
    order = ("bad", "warning", "skipped", "good")
    ranked = sorted(findings, key=lambda each: order.index(each.health.value))
    return HealthPage(
        holder=beside.holder,
        workers=beside.workers,
        mirror=beside.mirror,
        stored=beside.stored,
        examined=examined,
        findings=tuple(ranked),
        worst=ranked[0].health.value if ranked else "",
        settings=asking.policy.settings,
        code=asking.policy.code,
        text=asking.policy.text,
    )
