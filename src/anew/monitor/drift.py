"""Drift of the features, with its false alarms held to what the project declared."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.severity import Severity
from anew.monitor._budget import promised, refuse_alpha
from anew.monitor._detector import Finding, ScoredRows, SeenRows
from anew.stats.change import measure_change
from anew.stats.multiple import holm

__all__ = ["Drift"]

_CARRIED, _ALIKE = "output carried by ", "independent rows of "
_MODERATE, _LARGE = 0.1, 0.25
"""Population stability index from which on credit-risk practice speaks of a moderate and of a major shift."""
_LITTLE, _SOME, _MUCH = 0.02, 0.05, 0.2
"""Shares of the model's output."""
_ALPHA = 1 / 365
"""Chance of a false alert in a window where nobody declared one: one in a year of days."""
_NAMED = 5
_LEAST_INDEPENDENT = 20
"""Rows that a window counts as at least, however alike they are: else nothing at all would be seen in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Alert when columns have changed by more than a margin, and chance does not explain it.

    Parameters
    ----------
    margin
        Population stability index up to which a change does not matter; 0.005 is a shift of the mean by 0.07 standard
        deviations. 0: any change at all is found, and with enough rows there always is one.
    columns
        The columns to watch, calendar-like ones too if they are named; empty: all declared features.
    leave_out
        Columns that are not watched.
    at_least_rows
        Below it nothing is judged.
    alpha
        Chance that a window without drift raises an alert; None: this detector's share of `monitor.false_alarms`.
    declared
        The budget that `alpha` comes from, in words, for the alert; set when the project is read.

    Notes
    -----
    Each column is tested (`anew.stats.change`), and Holm's correction holds the chance of any false finding in a window
    to `alpha`, however the columns depend on each other. Rows that resemble those before them tell less than as many
    independent ones; how many count as one is measured when a version is trained, and a window is judged by so many
    fewer, though by no fewer than 20: where that is too many, the alert says that the promise does not hold.
    Of a column of vectors its parts are tested (`anew.stats.vector`): the distance from the training vectors' centre,
    and the place along the directions in which those varied most.

    Columns that follow the calendar are recognised at the same time, and left out; a season that training never saw is
    drift all the same. Versions that were stored without these traits are judged as if every row were independent.

    LOW, MEDIUM or HIGH follows from the lower end of the 95 % interval of the index (0.1 is moderate, 0.25 large), and
    from the share of the model's output that the changed columns carry. Where that share is not known, severity follows
    from the size alone. An alert says that the inputs changed, not that the model got worse: it never looks at labels,
    and sees nothing of concept drift.
    """

    labels: ClassVar[bool] = False
    needs_traits: ClassVar[bool] = True
    calibrated: ClassVar[bool] = True

    margin: float = 0.005
    columns: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    at_least_rows: int = 50
    alpha: float | None = None
    declared: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1 or self.at_least_rows < 1:
            raise InvariantError(
                f"drift: margin {self.margin} lies in [0, 1), at_least_rows {self.at_least_rows} is 1 or more"
            )
        refuse_alpha("drift", self.alpha)
        if self.columns and set(self.columns) <= set(self.leave_out):
            raise InvariantError(f"drift: the columns {list(self.columns)} are all left out; nothing would be watched")

    @property
    def key(self) -> str:
        """``drift>margin``, or ``drift(columns)>margin``."""
        return f"drift({', '.join(self.columns)})>{self.margin:g}" if self.columns else f"drift>{self.margin:g}"

    @property
    def over(self) -> timedelta | None:
        """One window."""
        return None

    def measure_seen(self, seen: SeenRows) -> tuple[Evidence, ...]:
        """Measure each column: size and interval of its change, and the p-value that it is within the margin.

        The size of the evidence is that of independent rows. For each column that was measured, the share of the
        model's output that it carries follows, where it is known.
        """
        reference = seen.yardstick.features
        names = [
            part
            for name in (self.columns or reference.names)
            if name not in self.leave_out and name in reference.names
            for part in reference.parts(name)
        ]
        found = tuple(self._measured(seen, name) for name in names)
        measured = [each.subject for each in found if each.measured]
        return (*found, *self._carried(seen, measured), *self._alike(seen, measured))

    def _carried(self, seen: SeenRows, names: list[str]) -> list[Evidence]:
        """Return the shares of the output; that of vectors is spread evenly over their parts."""
        traits, reference = seen.yardstick.traits, seen.yardstick.features
        if traits is None:
            return []
        shares = {
            part: traits.reliance[name] / len(reference.parts(name))
            for name in reference.names
            if name in traits.reliance
            for part in reference.parts(name)
        }
        return [
            Evidence.of(self.key, shares[name], traits.rows, subject=_CARRIED + name)
            for name in names
            if name in shares
        ]

    def _alike(self, seen: SeenRows, names: list[str]) -> list[Evidence]:
        """Return how many independent rows the window tells as much as, for columns where that is too few."""
        independent = {name: seen.n / _inertia(seen, name) for name in names}
        return [
            Evidence.of(self.key, each, seen.n, subject=_ALIKE + name)
            for name, each in independent.items()
            if each < min(_LEAST_INDEPENDENT, seen.n)
        ]

    def measure_scored(self, rows: ScoredRows) -> tuple[Evidence, ...]:  # noqa: ARG002  the detector's contract
        """Measure nothing: this detector needs no labels."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Finding | None:
        """Find drift where the corrected p-value of a column is at most `alpha`."""
        tested = [each for each in evidence if each.measured and each.p_value is not None]
        corrected = holm([each.p_value or 0.0 for each in tested])
        alpha = self._alpha
        changed = [each for each, p in zip(tested, corrected, strict=True) if p <= alpha]
        if not changed:
            return None
        carried, alike = _noted(evidence, _CARRIED), _noted(evidence, _ALIKE)
        reliance = {name: each.value or 0.0 for name, each in carried.items()}
        changed.sort(key=lambda each: (-_at_least(each), each.p_value or 0.0, each.subject))
        return Finding(
            severity=_severity(changed, reliance),
            message=f"drift of {_named(changed)}; {_carrying(changed, reliance)}; {self._promise(changed, alike)}",
            evidence=(
                *changed,
                *(notes[each.subject] for notes in (carried, alike) for each in changed if each.subject in notes),
            ),
        )

    @property
    def _alpha(self) -> float:
        return _ALPHA if self.alpha is None else self.alpha

    def _promise(self, changed: list[Evidence], alike: Mapping[str, Evidence]) -> str:
        names = [each.subject for each in changed if each.subject in alike]
        but = f", which does not hold for {', '.join(names)}: too few independent rows" if names else ""
        return promised(self._alpha, self.declared) + but

    def _measured(self, seen: SeenRows, name: str) -> Evidence:
        traits = seen.yardstick.traits
        if traits is not None and name in traits.calendar and name not in self.columns:
            problem = f"left out: it follows {traits.calendar[name]}, and so differs between windows by construction"
            return Evidence.of(self.key, None, seen.n, subject=name, problem=problem)
        if seen.n < self.at_least_rows:
            problem = f"{seen.n} rows, {self.at_least_rows} are needed"
            return Evidence.of(self.key, None, seen.n, subject=name, problem=problem)
        base = seen.yardstick.features.own.columns[name]
        inertia = min(_inertia(seen, name), max(seen.n / _LEAST_INDEPENDENT, 1.0))
        change = measure_change(base, seen.profile().columns[name], margin=self.margin, inertia=inertia)
        if change is None:
            return Evidence.of(self.key, None, seen.n, subject=name, problem="the version was trained on no rows")
        return Evidence.of(
            self.key,
            change.size,
            int(change.n / inertia),
            subject=name,
            reference=self.margin,
            interval=change.interval,
            p_value=change.p_beyond,
        )


def _noted(evidence: tuple[Evidence, ...], what: str) -> dict[str, Evidence]:
    """Return by column what was noted of columns besides their change."""
    return {
        each.subject.removeprefix(what): each
        for each in evidence
        if each.measured and each.p_value is None and each.subject.startswith(what)
    }


def _inertia(seen: SeenRows, name: str) -> float:
    """Return the rows of a column that count as one."""
    traits = seen.yardstick.traits
    return 1.0 if traits is None else traits.inertia.get(name, 1.0)


def _at_least(each: Evidence) -> float:
    return each.low or 0.0


def _severity(changed: list[Evidence], reliance: dict[str, float]) -> Severity:
    """Weigh the changed columns by the share of the output that they carry; by size alone where no share is known."""

    def carried(least: float) -> float:
        return sum(reliance.get(each.subject, _SOME) for each in changed if _at_least(each) >= least)

    if not reliance:
        worst = max(map(_at_least, changed))
        return Severity.HIGH if worst >= _LARGE else Severity.MEDIUM if worst >= _MODERATE else Severity.LOW
    if carried(_LARGE) >= _SOME or carried(_MODERATE) >= _MUCH:
        return Severity.HIGH
    return Severity.MEDIUM if carried(_MODERATE) >= _LITTLE or carried(0.0) >= _MUCH else Severity.LOW


def _named(changed: list[Evidence]) -> str:
    named = ", ".join(
        f"{each.subject} (PSI {each.value:.2g}, at least {_at_least(each):.2g}, p {each.p_value:.1g})"
        for each in changed[:_NAMED]
    )
    return named + (f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else "")


def _carrying(changed: list[Evidence], reliance: dict[str, float]) -> str:
    known = [each.subject for each in changed if each.subject in reliance]
    if not known:
        return "how much of the model's output they carry is not known: the version was stored without it"
    share = f"carrying {sum(reliance[name] for name in known):.0%} of the model's output"
    unknown = len(changed) - len(known)
    return f"{share}, that of {unknown} columns is not known" if unknown else share
