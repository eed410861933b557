"""What each gate says of rows and of evidence; too few, NaN and nothing never pass."""

import numpy as np
import pytest

from anew.domain.column import Task
from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.validate import HeldOut
from anew.validate.beats_champion import BETTER, WORSE, BeatsChampion
from anew.validate.slos import Objective, SLOs

NAN = float("nan")


def rows(n: int, ours: float, theirs: float | None) -> HeldOut:
    """Return `n` regression rows on which every answer has the given loss, spread by a hundredth."""
    spread = np.where(np.arange(n) % 2 == 0, 0.01, -0.01)
    label = np.zeros(n)
    return HeldOut(
        task=Task.REGRESSION,
        label=label,
        challenger=label + ours,
        challenger_loss=ours + spread,
        champion=None if theirs is None else label + theirs,
        champion_loss=None if theirs is None else np.full(n, theirs),
    )


@pytest.mark.parametrize(
    ("n", "ours", "theirs", "verdict"),
    [
        (200, 0.2, 0.3, Verdict.PASS),
        (200, 0.3, 0.3, Verdict.PASS),
        (200, 0.304, 0.3, Verdict.PASS),
        (200, 0.32, 0.3, Verdict.FAIL),
        (199, 0.2, 0.3, Verdict.INCONCLUSIVE),
        (0, 0.2, 0.3, Verdict.INCONCLUSIVE),
        (200, 0.2, None, Verdict.INCONCLUSIVE),
        (200, NAN, 0.3, Verdict.ERROR),
    ],
)
def test_beats_champion_on_rows(n: int, ours: float, theirs: float | None, verdict: Verdict) -> None:
    gate = BeatsChampion()
    assert gate.judge(gate.measure(rows(n, ours, theirs))).verdict is verdict


def test_beats_champion_says_where_the_two_disagree_and_who_is_right() -> None:
    label = np.array(["0", "1"] * 200)
    ours, theirs = np.zeros(400), np.zeros(400)
    ours[:30], theirs[20:120] = 1.0, 1.0
    held_out = HeldOut(
        task=Task.BINARY, label=label, challenger=label, champion=label, challenger_loss=ours, champion_loss=theirs
    )
    found = BeatsChampion().measure(held_out)
    assert [(each.subject, each.value) for each in found[1:]] == [(BETTER, 90 / 400), (WORSE, 20 / 400)]
    assert BeatsChampion().judge(found) == BeatsChampion().judge(found[:1]), "that is told, not judged"
    assert len(BeatsChampion().measure(rows(400, 0.1, None))) == 1, "there is nobody to disagree with"


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        ((), Verdict.INCONCLUSIVE),
        ((Evidence.of("beats_champion", -0.1, 500),), Verdict.INCONCLUSIVE),
        ((Evidence.of("beats_champion", -0.1, 500, interval=(-0.4, 0.1)),), Verdict.INCONCLUSIVE),
        ((Evidence.of("beats_champion", -0.3, 500, interval=(-0.6, 0.0)),), Verdict.PASS),
        ((Evidence.of("beats_champion", 0.3, 500, interval=(0.1, 0.5)),), Verdict.FAIL),
        ((Evidence.of("beats_champion", -0.1, 500, interval=(-0.2, 0.0)),), Verdict.PASS),
        ((Evidence.of("beats_champion", -0.1, 3, interval=(-0.2, 0.0)),), Verdict.INCONCLUSIVE),
        ((Evidence.of("beats_champion", -0.1, 500, interval=(-0.2, 0.0), problem="broke"),), Verdict.ERROR),
        ((Evidence.of("beats_champion", NAN, 500, interval=(-0.2, 0.0)),), Verdict.ERROR),
    ],
)
def test_beats_champion_on_evidence(evidence: tuple[Evidence, ...], verdict: Verdict) -> None:
    assert BeatsChampion().judge(evidence).verdict is verdict


@pytest.mark.parametrize("given", [{"margin": NAN}, {"confidence": 1.0}, {"at_least_rows": 1}, {"at_most_width": 0.0}])
def test_a_gate_that_could_not_refuse_is_no_gate(given: dict[str, float]) -> None:
    with pytest.raises(InvariantError):
        BeatsChampion(**given)  # type: ignore[arg-type]  # fields of the table


KEEP = SLOs(objectives=(Objective(metric="mae", at_most=0.5), Objective(metric="rmse", at_most=0.6)))


@pytest.mark.parametrize(
    ("n", "ours", "verdict"),
    [
        (100, 0.4, Verdict.PASS),
        (100, 0.5, Verdict.PASS),
        (100, 0.55, Verdict.FAIL),
        (100, 0.7, Verdict.FAIL),
        (100, 1.7e308, Verdict.FAIL),
        (49, 0.1, Verdict.INCONCLUSIVE),
        (0, 0.1, Verdict.INCONCLUSIVE),
        (100, NAN, Verdict.INCONCLUSIVE),
    ],
)
def test_slos_on_rows(n: int, ours: float, verdict: Verdict) -> None:
    assert KEEP.judge(KEEP.measure(rows(n, ours, None))).verdict is verdict


def test_slos_on_evidence_of_too_few_rows_or_of_one_objective_alone() -> None:
    whole = KEEP.measure(rows(100, 0.1, None))
    assert KEEP.judge(whole[:1]).verdict is Verdict.INCONCLUSIVE
    few = tuple(Evidence.of(each.name, each.value, 3, subject=each.subject) for each in whole)
    assert KEEP.judge(few).verdict is Verdict.INCONCLUSIVE
    assert KEEP.judge(()).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("n", "verdict"), [(0, Verdict.INCONCLUSIVE), (49, Verdict.INCONCLUSIVE), (50, Verdict.PASS)])
def test_without_objectives_there_still_have_to_be_rows(n: int, verdict: Verdict) -> None:
    gate = SLOs()
    evidence = gate.measure(rows(n, 0.1, None))
    assert [each.n for each in evidence] == [n]
    assert gate.judge(evidence).verdict is verdict
    assert gate.judge(()).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "given",
    [
        {"metric": "mae"},
        {"metric": "mae", "at_most": 1.0, "at_least": 0.0},
        {"metric": "no such", "at_most": 1.0},
        {"metric": "mae", "at_most": NAN},
        {"metric": "mae", "at_most": float("inf")},
    ],
)
def test_an_objective_has_one_finite_limit(given: dict[str, object]) -> None:
    with pytest.raises(InvariantError):
        Objective(**given)  # type: ignore[arg-type]  # fields of the table
