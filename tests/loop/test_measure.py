"""Losses, looks and what the gates are asked: numbers by hand, and nothing measured where there is nothing."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.evidence import BROKEN, Evidence
from anew.domain.interval import Interval
from anew.domain.verdict import Verdict
from anew.loop.measure import as_values, losses, measure_gates, measure_scored, measure_seen, seen_rows
from anew.monitor import Detectors, ScoredRows, Yardstick
from anew.monitor.psi import PSI
from anew.monitor.slo import SLO
from anew.stats.profile import Reference
from anew.validate import Gates, HeldOut
from anew.validate.beats_champion import BeatsChampion
from anew.validate.calibration import Calibration
from anew.validate.slos import SLOs

NAN = float("nan")


@pytest.mark.parametrize("kind", [pl.Int64, pl.String])
def test_classes_are_compared_as_text_whatever_held_them(kind: type[pl.DataType]) -> None:
    series = pl.Series([1, None, 0]).cast(kind)
    assert as_values(series, Task.BINARY).tolist() == ["1", "", "0"]


def test_no_answers_are_no_values() -> None:
    assert len(as_values(pl.Series([], dtype=pl.String), Task.MULTICLASS)) == 0


def test_numbers_are_floats_and_what_is_missing_is_nan() -> None:
    assert as_values(pl.Series([1, None]), Task.REGRESSION).tolist() == [1.0, pytest.approx(NAN, nan_ok=True)]


def test_a_wrong_class_loses_one_and_a_missing_label_nothing() -> None:
    found = losses(Task.BINARY, np.array(["1", "0", "", "1"]), np.array(["1", "1", "1", ""]), 1.0)
    np.testing.assert_array_equal(found, [0.0, 1.0, NAN, 1.0])


def test_an_error_loses_its_part_of_the_scale_and_at_most_one() -> None:
    label = np.array([1.0, 1.0, 1.0, NAN, 1.0, 1.0])
    output = np.array([1.0, 2.0, 99.0, 1.0, NAN, np.inf])
    np.testing.assert_array_equal(losses(Task.REGRESSION, label, output, 4.0), [0.0, 0.25, 1.0, NAN, 1.0, 1.0])


def test_each_detector_is_asked_only_for_its_half() -> None:
    psi, slo = PSI(at_least_rows=1), SLO(metric="error", at_most=0.1, at_least_rows=1)
    detectors: Detectors = {psi.key: psi, slo.key: slo}
    reference = Reference.fit({"x": pl.Series([float(i) for i in range(100)]).to_arrow()})
    window = Interval(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    columns = Columns(
        time="at", target="y", features=(Column(name="x", kind=ColumnKind.NUMBER),), task=Task.BINARY, classes=(0, 1)
    )
    seen = seen_rows(pl.DataFrame({"x": [1.0, 2.0]}), columns, Yardstick(features=reference), window)
    assert {each.name for each in measure_seen(detectors, seen)} == {psi.key}
    rows = ScoredRows(
        task=Task.BINARY, label=np.array(["1"]), output=np.array(["0"]), loss=np.array([1.0]), rows=1, positive="1"
    )
    assert {each.name for each in measure_scored(detectors, {slo.key: rows, psi.key: rows})} == {slo.key}
    assert measure_scored(detectors, {}) == ()


@pytest.mark.parametrize("champion", [True, False])
def test_gates_that_need_a_champion_are_not_asked_about_a_first_one(champion: bool) -> None:
    gates: Gates = {"slos": (SLOs(), True), "beats_champion": (BeatsChampion(at_least_rows=2), False)}
    answers, loss = np.array(["1"] * 60), np.zeros(60)
    rows = HeldOut(
        task=Task.BINARY,
        label=answers,
        challenger=answers,
        challenger_loss=loss,
        champion=answers if champion else None,
        champion_loss=loss if champion else None,
    )
    asked = {each.name for each in measure_gates(gates, rows)}
    assert asked == ({"slos", "beats_champion"} if champion else {"slos"})


class Spoilt(SLOs):
    """A gate of somebody's own, with a mistake in it."""

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:  # noqa: ARG002  the gate's contract
        """Fail."""
        raise KeyError("amount")


def test_what_fails_to_measure_is_evidence_of_nothing_and_the_others_go_on() -> None:
    gates: Gates = {"mine": (Spoilt(), True), "slos": (SLOs(), True)}
    answers = np.array(["1"] * 60)
    rows = HeldOut(task=Task.BINARY, label=answers, challenger=answers, challenger_loss=np.zeros(60))
    mine, *others = measure_gates(gates, rows)
    assert (mine.name, mine.value, mine.n, mine.problem) == ("mine", None, 0, "KeyError: 'amount'")
    assert {each.name for each in others} == {"slos"}


class Leaving(SLOs):
    """A gate of somebody's own that ends the program."""

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:  # noqa: ARG002  the gate's contract
        """Fail."""
        raise SystemExit(0)


def test_what_exits_while_it_measures_has_failed() -> None:
    answers = np.array(["1"] * 60)
    rows = HeldOut(task=Task.BINARY, label=answers, challenger=answers, challenger_loss=np.zeros(60))
    (mine,) = measure_gates({"mine": (Leaving(), True)}, rows)
    assert (mine.value, mine.problem) == (None, "SystemExit: 0")


def test_evidence_in_the_name_of_another_gate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spoilt, "measure", lambda *_: (Evidence.of("slos", 0.0, 60, subject="error at most 0.1"),))
    answers = np.array(["1"] * 60)
    rows = HeldOut(task=Task.BINARY, label=answers, challenger=answers, challenger_loss=np.zeros(60))
    (mine,) = measure_gates({"mine": (Spoilt(), True)}, rows)
    assert (mine.name, mine.value) == ("mine", None)
    assert "called 'slos'" in mine.problem


@pytest.mark.parametrize("measured", [None, 0.3, (0.3,), "much"])
def test_what_is_measured_and_is_no_evidence_is_a_failure(monkeypatch: pytest.MonkeyPatch, measured: object) -> None:
    monkeypatch.setattr(Spoilt, "measure", lambda *_: measured)
    answers = np.array(["1"] * 60)
    rows = HeldOut(task=Task.BINARY, label=answers, challenger=answers, challenger_loss=np.zeros(60))
    mine, *others = measure_gates({"mine": (Spoilt(), True), "slos": (SLOs(), True)}, rows)
    assert (mine.name, mine.value) == ("mine", None)
    assert mine.problem.startswith("TypeError: it measured ")
    assert {each.name for each in others} == {"slos"}


class Greedy(Calibration):
    """A gate of somebody's own that asks for more memory than there is, in a library that wraps what it raises."""

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Fail."""
        try:
            np.empty((rows.n, 1 << 44))
        except MemoryError as exc:
            raise ValueError("the library cannot go on") from exc
        return ()


def test_a_gate_that_ran_out_of_memory_says_so_and_lets_nobody_through() -> None:
    gates: Gates = {"mine": (Greedy(), True), "slos": (SLOs(), True)}
    answers = np.array(["1"] * 60)
    rows = HeldOut(task=Task.BINARY, label=answers, challenger=answers, challenger_loss=np.zeros(60))
    mine, *others = measure_gates(gates, rows)
    assert mine.value is None
    assert mine.problem.startswith("oom: out of memory: ValueError: the library cannot go on")
    assert {each.name for each in others} == {"slos"}
    judged = Greedy().judge((mine,))
    assert judged.verdict is not Verdict.PASS
    assert "oom: out of memory" in judged.reason
    assert mine.subject == BROKEN, "whatever it would say, it is not asked"
