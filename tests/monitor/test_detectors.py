"""What the detectors find in evidence and in windows; and what the stage makes of it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.facts import AlertRaised, IncidentRaised, Ticked, WindowClosed, WindowScored
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.monitor import Finding, Monitor, ScoredRows, SeenRows, Yardstick
from anew.monitor.psi import PSI
from anew.monitor.slo import SLO
from anew.stats.profile import Reference

T0 = datetime(2024, 1, 1, tzinfo=UTC)
NAN = float("nan")


def index(value: float | None, n: int = 500, subject: str = "amount", problem: str = "") -> Evidence:
    return Evidence.of("psi>0.25", value, n, subject=subject, problem=problem)


@pytest.mark.parametrize(
    ("evidence", "severity"),
    [
        ((), None),
        ((index(0.25),), None),
        ((index(0.26),), Severity.MEDIUM),
        ((index(0.5),), Severity.MEDIUM),
        ((index(0.51),), Severity.HIGH),
        ((index(None),), None),
        ((index(NAN),), None),
        ((index(9.0, problem="broke"),), None),
        ((index(9.0, n=0),), None),
        ((index(0.1), index(0.3, subject="hour")), Severity.MEDIUM),
    ],
)
def test_psi_judges_what_was_measured(evidence: tuple[Evidence, ...], severity: Severity | None) -> None:
    finding = PSI().judge(evidence)
    assert (finding.severity if finding else None) is severity


def test_psi_names_the_worst_columns_first() -> None:
    finding = PSI().judge(tuple(index(0.3 + i / 10, subject=f"c{i}") for i in range(7)))
    assert finding is not None
    assert finding.message == "PSI above 0.25: c6 0.900, c5 0.800, c4 0.700, c3 0.600, c2 0.500 and 2 more"
    assert [each.subject for each in finding.evidence][:2] == ["c6", "c5"]


def reference(n: int = 2000) -> tuple[Reference, np.random.Generator]:
    chance = np.random.default_rng(1)
    return Reference.fit({"amount": chance.normal(size=n), "hour": chance.normal(size=n)}), chance


def seen(base: Reference, columns: dict[str, np.ndarray]) -> SeenRows:
    profile = base.profile(columns)
    return SeenRows(
        task=Task.BINARY,
        window=Interval(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC)),
        yardstick=Yardstick(features=base),
        profile=lambda: profile,
        rows=pl.DataFrame(columns),
    )


def test_psi_finds_the_column_that_moved_and_not_the_other() -> None:
    base, chance = reference()
    current = seen(base, {"amount": chance.normal(loc=2.0, size=500), "hour": chance.normal(size=500)})
    detector = PSI()
    evidence = detector.measure_seen(current)
    assert [each.subject for each in evidence] == ["amount", "hour"]
    assert all(each.p_value is not None for each in evidence)
    finding = detector.judge(evidence)
    assert finding is not None
    assert [each.subject for each in finding.evidence] == ["amount"]
    assert PSI(column="hour").judge(PSI(column="hour").measure_seen(current)) is None


def test_psi_of_too_few_rows_is_no_evidence() -> None:
    base, chance = reference()
    current = seen(base, {"amount": chance.normal(loc=9.0, size=99), "hour": chance.normal(size=99)})
    evidence = PSI().measure_seen(current)
    assert [each.measured for each in evidence] == [False, False]
    assert "99 rows, 100 are needed" in evidence[0].problem
    assert PSI().judge(evidence) is None


@pytest.mark.parametrize("above", [0.0, -1.0, NAN, float("inf")])
def test_psi_needs_a_threshold_that_can_be_exceeded(above: float) -> None:
    with pytest.raises(InvariantError):
        PSI(above=above)


def error(value: float | None, interval: tuple[float, float] | None = None, problem: str = "") -> Evidence:
    return Evidence.of("slo(error<=0.1)", value, 400, subject="error", interval=interval, problem=problem)


@pytest.mark.parametrize(
    ("evidence", "severity"),
    [
        ((), None),
        ((error(0.1, (0.05, 0.15)),), None),
        ((error(0.15, (0.05, 0.25)),), Severity.MEDIUM),
        ((error(0.15, (0.0, 0.25)),), Severity.MEDIUM),
        ((error(0.15, (0.12, 0.18)),), Severity.HIGH),
        ((error(0.15),), Severity.HIGH),
        ((error(None),), None),
        ((error(NAN, (0.0, 1.0)),), None),
        ((error(0.9, problem="broke"),), None),
    ],
)
def test_slo_at_most(evidence: tuple[Evidence, ...], severity: Severity | None) -> None:
    finding = SLO(metric="error", at_most=0.1).judge(evidence)
    assert (finding.severity if finding else None) is severity


@pytest.mark.parametrize(
    ("value", "interval", "severity"),
    [
        (0.8, (0.7, 0.9), None),
        (0.7, (0.6, 0.85), Severity.MEDIUM),
        (0.7, (0.65, 0.75), Severity.HIGH),
        (0.0, (0.0, 0.0), Severity.HIGH),
    ],
)
def test_slo_at_least(value: float, interval: tuple[float, float], severity: Severity | None) -> None:
    slo = SLO(metric="accuracy", at_least=0.8)
    finding = slo.judge((Evidence.of(slo.key, value, 400, interval=interval),))
    assert (finding.severity if finding else None) is severity


def scored(n: int, wrong: int) -> ScoredRows:
    label = np.array(["a"] * n)
    output = np.array(["b"] * wrong + ["a"] * (n - wrong))
    return ScoredRows(
        task=Task.MULTICLASS, label=label, output=output, loss=(label != output).astype(np.float64), rows=n
    )


@pytest.mark.parametrize(("n", "wrong", "found"), [(100, 9, False), (100, 30, True), (49, 49, False), (0, 0, False)])
def test_slo_measures_served_answers(n: int, wrong: int, found: bool) -> None:
    slo = SLO(metric="error", at_most=0.1)
    assert (slo.judge(slo.measure_scored(scored(n, wrong))) is not None) is found


@pytest.mark.parametrize("metric", ["mae", "rmse", "quantile_loss(0.5)"])
def test_an_error_too_large_for_a_number_breaks_its_objective(metric: str) -> None:
    slo, output = SLO(metric=metric, at_most=5), np.zeros(100)
    label = np.where(np.arange(100) < 2, 1.7e308, 27.0)
    rows = ScoredRows(task=Task.REGRESSION, label=label, output=output, loss=np.ones(100), rows=100)
    sums = slo.sums(rows)
    assert sums is not None
    for evidence in (slo.measure_scored(rows), slo.measure_sums(rows, [sums, sums])):
        found = slo.judge(evidence)
        assert found is not None
        assert found.severity is Severity.HIGH


@pytest.mark.parametrize(
    "given",
    [
        {"metric": "error"},
        {"metric": "error", "at_most": 0.1, "at_least": 0.1},
        {"metric": "no such", "at_most": 0.1},
        {"metric": "error", "at_most": NAN},
        {"metric": "accuracy", "at_least": float("inf")},
    ],
)
def test_slo_needs_one_finite_limit(given: dict[str, object]) -> None:
    """A limit that is not a number is never broken: the objective would watch nothing."""
    with pytest.raises(InvariantError):
        SLO(**given)  # type: ignore[arg-type]  # fields of the table


def test_two_periods_of_one_objective_have_two_keys() -> None:
    day, week = (SLO(metric="error", at_most=0.1, period=timedelta(days=days)) for days in (1, 7))
    assert len({day.key, week.key, SLO(metric="error", at_most=0.1).key}) == 3


def window(
    kind: type[WindowClosed] | type[WindowScored], evidence: tuple[Evidence, ...]
) -> WindowClosed | WindowScored:
    span = Interval(start=T0, end=T0 + timedelta(hours=1))
    if kind is WindowClosed:
        return WindowClosed(model="m", at=span.end, version="v1", window=span, n=500, rows="r", evidence=evidence)
    return WindowScored(
        model="m", at=span.end, version="v1", window=span, n=500, labelled=400, revision=1, evidence=evidence
    )


@pytest.mark.parametrize("kind", [WindowClosed, WindowScored])
def test_each_detector_hears_its_own_evidence(kind: type[WindowClosed] | type[WindowScored]) -> None:
    detectors = {each.key: each for each in (PSI(), SLO(metric="error", at_most=0.1))}
    stage = Monitor(detectors)
    fact = window(kind, (error(0.3, (0.2, 0.4)), index(0.1), Evidence.of("other", 9.0, 500)))
    (alert,) = stage.decide(stage.apply(stage.initial(), fact), fact)
    assert isinstance(alert, AlertRaised)
    assert (alert.detector, alert.version, alert.window, alert.at) == ("slo(error<=0.1)", "v1", fact.window, fact.at)
    assert alert.severity is Severity.HIGH


def test_no_evidence_and_other_facts_raise_nothing() -> None:
    stage = Monitor({PSI().key: PSI()})
    for fact in (window(WindowClosed, ()), Ticked(model="m", at=T0, wall=T0)):
        assert stage.decide(stage.initial(), fact) == ()


class Raising(SLO):
    """A detector of somebody's own, with a mistake in it."""

    def judge(self, evidence: tuple[Evidence, ...]) -> None:  # noqa: ARG002  the contract
        """Fail."""
        raise KeyError("amount")


def test_a_detector_that_fails_to_judge_is_an_incident_and_keeps_no_other_from_judging() -> None:
    slo, broken = SLO(metric="error", at_most=0.1), Raising(metric="error", at_most=0.2)
    evidence = tuple(Evidence.of(each.key, 0.5, 100, subject="error", reference=0.1) for each in (slo, broken))
    window = Interval(start=T0, end=T0 + timedelta(days=1))
    fact = WindowScored(
        model="m", at=window.end, version="v1", window=window, n=100, labelled=100, revision=0, evidence=evidence
    )
    stage = Monitor({slo.key: slo, broken.key: broken})
    incident, alert = stage.decide(stage.initial(), fact)
    assert isinstance(incident, IncidentRaised)
    assert incident.message == "slo(error<=0.2) cannot judge what it measured: KeyError: 'amount'"
    assert isinstance(alert, AlertRaised)
    assert alert.detector == slo.key


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (True, "it returned True; it has to return an anew.monitor.Finding, or None"),
        (Finding(severity="high", message="much", evidence=()), "severity has to be an anew.domain.severity.Severity"),  # type: ignore[arg-type]  # the mistake
        (Finding(severity=Severity.HIGH, message="much", evidence=None), "it returned the evidence None"),  # type: ignore[arg-type]  # the mistake
    ],
)
def test_a_detector_that_says_what_none_may_say_is_an_incident_with_its_name(
    monkeypatch: pytest.MonkeyPatch, said: object, told: str
) -> None:
    slo, broken = SLO(metric="error", at_most=0.1), Raising(metric="error", at_most=0.2)
    monkeypatch.setattr(Raising, "judge", lambda *_: said)
    evidence = tuple(Evidence.of(each.key, 0.5, 100, subject="error", reference=0.1) for each in (slo, broken))
    stage = Monitor({slo.key: slo, broken.key: broken})
    incident, alert = stage.decide(stage.initial(), window(WindowScored, evidence))
    assert isinstance(incident, IncidentRaised)
    assert incident.message.startswith("slo(error<=0.2) cannot judge what it measured: TypeError: ")
    assert told in incident.message
    assert isinstance(alert, AlertRaised)


def test_evidence_in_a_list_is_as_good_as_in_a_tuple(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Raising(metric="error", at_most=0.2)
    evidence = (Evidence.of(own.key, 0.5, 100, subject="error", reference=0.1),)
    found = Finding(severity=Severity.HIGH, message="much", evidence=list(evidence))  # type: ignore[arg-type]  # the list
    monkeypatch.setattr(Raising, "judge", lambda *_: found)
    stage = Monitor({own.key: own})
    (alert,) = stage.decide(stage.initial(), window(WindowScored, evidence))
    assert isinstance(alert, AlertRaised)
    assert alert.evidence == evidence
