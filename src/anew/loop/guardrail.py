"""Which version breaks a limit that needs no labels, by what the gateway workers report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from anew.domain.evidence import Evidence
from anew.domain.facts import GuardrailTripped
from anew.ports.traffic import VersionHealth, WorkerStatus
from anew.rollout import RolloutState

__all__ = ["Guardrails"]

_P99_FROM = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """Limits on a version that need no labels.

    `error_rate` in (0, 1) is judged from `at_least_errors` failures on; `p99_ms` of a challenger, where there is such a
    limit, from 200 answers on.
    """

    error_rate: float
    at_least_errors: int
    p99_ms: float | None

    def broken(
        self, rollout: RolloutState, workers: Sequence[WorkerStatus], model: str, at: datetime
    ) -> GuardrailTripped | None:
        """Return the first limit that is broken at a worker by a challenger, or by a champion with a fallback.

        The fact is caused by the routing under which it happened, so that it comes once for each: a version that a
        person has released may break the same limit again.
        """
        champion = rollout.champion[0] if rollout.fallback[0] else ""
        for worker in workers:
            found = None
            for challenger in worker.challengers:
                if found is None and rollout.arm(challenger.version) is not None:
                    found = self._tripped(challenger) or self._over(challenger)
            if found is None and worker.champion is not None and worker.champion.version == champion:
                found = self._tripped(worker.champion)
            if found is not None:
                version, evidence, reason = found
                return GuardrailTripped(
                    model=model,
                    at=at,
                    cause=rollout.shifts,
                    version=version,
                    guardrail=evidence.name,
                    evidence=(evidence,),
                    reason=f"worker {worker.worker}: {reason}",
                )
        return None

    def _tripped(self, health: VersionHealth) -> tuple[str, Evidence, str] | None:
        """Judge by the last rows, as the worker did: however much went well before, it outweighs nothing."""
        if not health.tripped or not health.recent_asked:
            return None
        share = health.recent_failed / health.recent_asked
        evidence = Evidence.of("error_rate", share, health.recent_asked, reference=self.error_rate)
        return health.version, evidence, health.tripped

    def _over(self, health: VersionHealth) -> tuple[str, Evidence, str] | None:
        """Judge by all rows."""
        failed = sum(health.failed.values())
        if health.asked and failed >= self.at_least_errors and failed > self.error_rate * health.asked:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(health.failed.items()))
            return (
                health.version,
                Evidence.of("error_rate", failed / health.asked, health.asked, reference=self.error_rate),
                f"{failed} of {health.asked} rows without a usable answer ({reasons})",
            )
        p99 = health.latency_ms(0.99)
        answered = sum(health.latency)
        if self.p99_ms is not None and p99 is not None and answered >= _P99_FROM and p99 > self.p99_ms:
            return (
                health.version,
                Evidence.of("p99_ms", p99, answered, reference=self.p99_ms),
                f"99 % of {answered} answers came within {p99:.0f} ms; allowed are {self.p99_ms:g} ms",
            )
        return None
