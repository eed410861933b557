"""Candidates to be tried: rows with known losses, and somebody to ask about them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import InvariantError
from anew.domain.facts import CandidateMeasured, CandidateTrained, GateJudged
from anew.domain.manifest import Manifest
from anew.domain.verdict import Verdict
from anew.validate import Answers, Examinee, Gate, HeldOut, Package, Validate

__all__ = ["N", "binary", "examined", "judged", "unusable", "with_suite"]

N = 600
T0 = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = Columns(
    time="at",
    target="y",
    features=(Column(name="x", kind=ColumnKind.NUMBER), Column(name="shop", kind=ColumnKind.CATEGORY)),
    task=Task.BINARY,
    classes=(0, 1),
)
MANIFEST = Manifest(
    format="lightgbm",
    model_file="model.txt",
    columns=COLUMNS,
    inputs=("x",),
    classes=(0, 1),
    rows=900,
    holdout_rows=N,
    seed=1,
    code="c",
    environment="e",
)


def binary(ours: float, theirs: float | None = 0.1, *, n: int = N, seed: int = 0, **more: Any) -> HeldOut:
    """Return binary rows on which the candidate errs with the chance `ours`, the champion with `theirs`."""
    chance = np.random.default_rng(seed)
    truth = chance.random(n) < 0.5
    label = np.where(truth, "1", "0")

    def said(error: float) -> np.ndarray[Any, Any]:
        return np.where(truth ^ (chance.random(n) < error), "1", "0")

    first = said(ours)
    second = None if theirs is None else said(theirs)
    table = pl.DataFrame({"x": chance.normal(size=n), "shop": chance.choice(["a", "b"], n)})
    rows = HeldOut(
        task=Task.BINARY,
        label=label,
        challenger=first,
        challenger_loss=(first != label).astype(float),
        champion=second,
        champion_loss=None if second is None else (second != label).astype(float),
        positive="1",
        classes=("0", "1"),
        table=table,
    )
    return replace(rows, **more)


def with_suite(rows: HeldOut, **suites: HeldOut | Callable[[], HeldOut]) -> HeldOut:
    """Return `rows` with suites by name."""
    made = {name: each if callable(each) else (lambda each=each: each) for name, each in suites.items()}
    return replace(rows, suites=made)


def unusable() -> HeldOut:
    """Read a suite that cannot be used."""
    raise InvariantError("golden.parquet is not what was sealed")


def examined(
    rows: HeldOut,
    answer: Callable[[pl.DataFrame], Answers],
    *,
    online: Callable[[pl.DataFrame], Answers] | None = None,
    inputs: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame.select("x"),
    package: Package | None = None,
) -> HeldOut:
    """Return `rows` with a candidate to be asked."""
    candidate = Examinee(
        manifest=MANIFEST,
        answer=answer,
        online=online or answer,
        inputs=inputs,
        package=None if package is None else lambda: package,
    )
    return replace(rows, candidate=candidate)


def judged(gate: Gate, rows: HeldOut) -> Verdict:
    """Measure and judge, as a candidate is: what passes has to rest on what was measured."""
    about: Any = {"model": "m", "at": T0, "version": "v2", "champion": "v1", "digest": "d2"}
    asked = CandidateTrained(**about, id="asked", snapshot="", rows=1, compute_s=0.0)
    stage = Validate(gates={gate.key: (gate, True)})
    found = CandidateMeasured(**about, cause="asked", evidence=gate.measure(rows))
    said = stage.decide(stage.apply(stage.initial(), asked), found)
    return next(each.verdict for each in said if isinstance(each, GateJudged))
