"""Every alert says since when its finding lasts: window after window, of one version."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from anew.domain.evidence import Evidence
from anew.domain.facts import AlertRaised, WindowClosed, WindowScored
from anew.domain.interval import Interval
from anew.monitor import Monitor
from anew.monitor.psi import PSI
from anew.monitor.slo import SLO

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def closed(hour: int, values: dict[str, float | None], version: str = "v1") -> WindowClosed:
    evidence = tuple(Evidence.of("psi>0.25", value, 500, subject=name) for name, value in values.items())
    window = Interval(start=T0 + hour * HOUR, end=T0 + (hour + 1) * HOUR)
    return WindowClosed(model="m", at=window.end, version=version, window=window, n=500, rows="r", evidence=evidence)


def told(*facts: WindowClosed | WindowScored) -> Sequence[AlertRaised | None]:
    """Return the alert that each fact leads to."""
    stage = Monitor({each.key: each for each in (PSI(), SLO(metric="error", at_most=0.1))})
    state, found = stage.initial(), []
    for fact in facts:
        state = stage.apply(state, fact)
        alerts = [each for each in stage.decide(state, fact) if isinstance(each, AlertRaised)]
        for alert in alerts:
            state = stage.apply(state, alert)
        found.append(alerts[0] if alerts else None)
    return found


def hours(alerts: Sequence[AlertRaised | None]) -> list[float | None]:
    return [None if each is None or each.since is None else (each.since - T0) / HOUR for each in alerts]


def test_it_lasts_since_the_first_window_in_a_row() -> None:
    facts = [closed(hour, {"a": value}) for hour, value in enumerate([0.1, 0.3, 0.4, 0.3, 0.1, 0.5])]
    assert hours(told(*facts)) == [None, 1, 1, 1, None, 5]


def test_each_column_has_its_own_beginning_and_the_earliest_one_counts() -> None:
    facts = [closed(0, {"a": 0.3, "b": 0.1}), closed(1, {"a": 0.3, "b": 0.3}), closed(2, {"a": 0.1, "b": 0.3})]
    assert hours(told(*facts)) == [0, 0, 1]


def test_a_window_that_was_not_measured_neither_ends_it_nor_counts() -> None:
    facts = [closed(0, {"a": 0.3}), closed(1, {"a": None}), closed(2, {}), closed(3, {"a": 0.3})]
    assert hours(told(*facts)) == [0, None, None, 0]


def test_another_version_begins_anew() -> None:
    assert hours(told(closed(0, {"a": 0.3}), closed(1, {"a": 0.3}, version="v2"))) == [0, 1]


def scored(hour: int, error: float, revision: int = 0) -> WindowScored:
    window = Interval(start=T0 + hour * HOUR, end=T0 + (hour + 1) * HOUR)
    evidence = (Evidence.of("slo(error<=0.1)", error, 400, subject="error"),)
    return WindowScored(
        model="m", at=window.end, version="v1", window=window, n=500, labelled=400, revision=revision, evidence=evidence
    )


def test_labels_that_came_later_judge_their_window_again() -> None:
    facts = [scored(0, 0.3), scored(1, 0.3), scored(1, 0.05, revision=1), scored(2, 0.3)]
    assert hours(told(*facts)) == [0, 0, None, 2]
    assert hours(told(scored(0, 0.3), scored(1, 0.05), scored(1, 0.3, revision=1), scored(2, 0.3))) == [0, None, 0, 0]
    assert hours(told(scored(0, 0.3), scored(1, 0.3), scored(0, 0.3, revision=1), scored(2, 0.3))) == [0, 0, 0, 0]
