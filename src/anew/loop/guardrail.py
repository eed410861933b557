"""Which version breaks a limit that needs no labels, by what the gateway workers report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Final

from scipy.special import bdtrc

from anew.domain.evidence import Evidence
from anew.domain.facts import GuardrailTripped
from anew.ports.traffic import VersionHealth, WorkerStatus
from anew.rollout import RolloutState

__all__ = ["Guardrails"]

_Broken = tuple[str, Evidence, str]
"""Version, what was measured, and why that is too much."""

_CHANCE: Final = 1e-4
"""That a version at the limit shows so many slow answers; small, since it is looked at all the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """Limits on a version that need no labels.

    `error_rate` in (0, 1) is judged from `at_least_errors` failures on. `p99_ms` of a challenger, where there is such a
    limit, is judged by the answers of all workers: by more slow ones, `at_least_errors` at least, than a version at the
    limit, of which one answer in a hundred is slow, would show by chance.

    Attributes
    ----------
    switched
        Do versions take all traffic at once? Then `p99_ms` is held against a new champion, too.
    """

    error_rate: float
    at_least_errors: int
    p99_ms: float | None
    switched: bool = False

    def broken(
        self, rollout: RolloutState, workers: Sequence[WorkerStatus], model: str, at: datetime
    ) -> GuardrailTripped | None:
        """Return the first limit that is broken by a challenger, or by a champion with a fallback.

        The fact is caused by the routing under which it happened, so that it comes once for each: a version that a
        person has released may break the same limit again.
        """
        found = self._failing(rollout, workers) or self._slow(rollout, workers, at)
        if found is None:
            return None
        version, evidence, reason = found
        return GuardrailTripped(
            model=model,
            at=at,
            cause=rollout.shifts,
            version=version,
            guardrail=evidence.name,
            evidence=(evidence,),
            reason=reason,
        )

    def _failing(self, rollout: RolloutState, workers: Sequence[WorkerStatus]) -> _Broken | None:
        """Look for too many failures at a single worker."""
        champion = rollout.champion[0] if rollout.fallback[0] else ""
        for worker in workers:
            found = None
            for challenger in worker.challengers:
                if found is None and rollout.arm(challenger.version) is not None:
                    found = self._tripped(challenger) or self._failed(challenger)
            if found is None and worker.champion is not None and worker.champion.version == champion:
                found = self._tripped(worker.champion)
            if found is not None:
                version, evidence, reason = found
                return version, evidence, f"worker {worker.worker}: {reason}"
        return None

    def _slow(self, rollout: RolloutState, workers: Sequence[WorkerStatus], at: datetime) -> _Broken | None:
        """Look for a version that is slow over all workers."""
        if self.p99_ms is None:
            return None
        healths = [each for worker in workers for each in worker.challengers if rollout.arm(each.version) is not None]
        if self.switched:
            new = rollout.newcomer(at)
            healths += [each.champion for each in workers if each.champion and each.champion.version == new]
        for version in dict.fromkeys(each.version for each in healths):
            times = zip_longest(*(each.latency for each in healths if each.version == version), fillvalue=0)
            found = self._late(VersionHealth(version=version, latency=tuple(map(sum, times))), self.p99_ms)
            if found is not None:
                return found
        return None

    def _late(self, health: VersionHealth, limit: float) -> _Broken | None:
        answered, above = sum(health.latency), health.slower(limit)
        if above < self.at_least_errors or bdtrc(above - 1, answered, 0.01) > _CHANCE:
            return None
        evidence = Evidence.of("p99_ms", health.latency_ms(0.99), answered, reference=limit)
        reason = f"{above} of {answered} answers took longer than {limit:g} ms; one in a hundred may"
        return health.version, evidence, reason

    def _tripped(self, health: VersionHealth) -> _Broken | None:
        """Judge by the last rows, as the worker did: however much went well before, it outweighs nothing."""
        if not health.tripped or not health.recent_asked:
            return None
        share = health.recent_failed / health.recent_asked
        evidence = Evidence.of("error_rate", share, health.recent_asked, reference=self.error_rate)
        return health.version, evidence, health.tripped

    def _failed(self, health: VersionHealth) -> _Broken | None:
        """Judge by all rows."""
        failed = sum(health.failed.values())
        if health.asked and failed >= self.at_least_errors and failed > self.error_rate * health.asked:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(health.failed.items()))
            return (
                health.version,
                Evidence.of("error_rate", failed / health.asked, health.asked, reference=self.error_rate),
                f"{failed} of {health.asked} rows without a usable answer ({reasons})",
            )
        return None
