"""Attacks on the labels of a training: what is flipped, who is trained on it, and what the defences let through."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Task
from anew.domain.errors import TrainingError
from anew.domain.facts import TrainingPlanned
from anew.domain.interval import Interval
from anew.domain.verdict import Verdict
from anew.loop.snapshot_rows import snapshot_rows
from anew.train.sources import Sources
from anew.validate import HeldOut
from anew.validate.beats_champion import BeatsChampion

__all__ = ["AUDITED", "CAP", "DEFENCES", "RATES", "ROWS", "Outcome", "Trial", "promoted_bad", "tried"]

Floats = npt.NDArray[np.float64]
START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS, CLEAN, HOLDOUT, CAP, MARGIN = 5_000, 10_000, 0.2, 0.05, 0.01
RATES = (0.0, 0.01, 0.05, 0.10, 0.20)
AUDITED = 0.2
"""Share of the rows that an audit labels."""
DEFENCES = ("none", "gate", "gate + cap", "gate + cap + audit")


@dataclass(frozen=True)
class Trial:
    """One attack: which labels are flipped, the share of all rows, how many sources send them, and a seed."""

    kind: str
    rate: float
    spread: bool
    seed: int


@dataclass(frozen=True)
class Outcome:
    """Was the candidate bad, and promoted, under each defence?"""

    bad: tuple[bool, ...]
    promoted: tuple[bool, ...]


def world(chance: np.random.Generator, n: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return inputs and true labels; one in twenty is noise."""
    x = chance.normal(size=(n, 6))
    y = (x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.3 * x[:, 3] > 0).astype(np.int64)
    return x, np.where(chance.random(n) < 0.05, 1 - y, y)


def fitted(x: Floats, y: npt.NDArray[np.int64], seed: int) -> Callable[[Floats], npt.NDArray[np.int64]]:
    """Train a model and return what answers."""
    model = lightgbm.LGBMClassifier(
        n_estimators=60, num_leaves=31, learning_rate=0.15, random_state=seed, n_jobs=1, verbose=-1
    )
    model.fit(x, y)
    return lambda rows: np.asarray(model.predict(rows), dtype=np.int64)


def poisoned(trial: Trial, chance: np.random.Generator) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """Return the rows of the next snapshot, with what the attacker made of them and who says so; and the truth."""
    x, y = world(chance, ROWS)
    wanted = round(trial.rate * ROWS)
    targets = np.flatnonzero((x[:, 0] > 0.3) & (y == 1)) if trial.kind == "targeted" else np.arange(ROWS)
    hit = chance.choice(targets, size=min(wanted, len(targets)), replace=False)
    label, source = y.copy(), np.array([f"crm {i}" for i in chance.integers(0, 40, ROWS)], dtype=object)
    label[hit] = 1 - label[hit]
    source[hit] = [f"mallory {i}" for i in chance.integers(0, 40, len(hit))] if trial.spread else "mallory"
    at = [START + timedelta(minutes=i) for i in range(ROWS)]
    columns = {f"x{k}": x[:, k] for k in range(x.shape[1])}
    said = pl.Series(source.tolist(), dtype=pl.String)
    return pl.DataFrame({"_at": at, "_label": label, "_source": said, **columns}), y


def audited(rows: pl.DataFrame, true: npt.NDArray[np.int64], seed: int) -> pl.DataFrame:
    """Return the rows with the word of an audit in the place of anybody else's, on a share drawn at random."""
    own = pl.Series(np.random.default_rng([seed, 1]).random(rows.height) < AUDITED)
    return rows.with_columns(
        pl.when(own).then(pl.Series(true)).otherwise(pl.col("_label")).alias("_label"),
        pl.when(own).then(pl.lit("audit")).otherwise(pl.col("_source")).alias("_source"),
    )


def tried(trial: Trial) -> Outcome:
    """Run one attack against every defence."""
    chance = np.random.default_rng([trial.seed, round(1000 * trial.rate), trial.kind == "targeted", trial.spread])
    champion = fitted(*world(chance, round(ROWS * (1 - HOLDOUT))), trial.seed)
    (rows, true), clean = poisoned(trial, chance), world(chance, CLEAN)
    base = float(np.mean(champion(clean[0]) != clean[1]))
    bad, promoted = [], []
    own = audited(rows, true, trial.seed)
    for given, cap in ((rows, 1.0), (rows, CAP), (own, CAP)):
        candidate, passed = judged(given, champion, cap, trial.seed)
        bad.append(candidate is not None and float(np.mean(candidate(clean[0]) != clean[1])) > base + MARGIN)
        promoted.append(passed)
    return Outcome((bad[0], *bad), (True, *promoted))


def judged(
    rows: pl.DataFrame, champion: Callable[[Floats], npt.NDArray[np.int64]], cap: float, seed: int
) -> tuple[Callable[[Floats], npt.NDArray[np.int64]] | None, bool]:
    """Train on what the cap lets in, and say whether the gate would promote it; None where nothing is trained."""
    audits = ("audit",) if "audit" in rows.get_column("_source") else ()
    plan = TrainingPlanned(
        model="m", at=START, version="v2", champion="v1", span=Interval(start=START, end=START + timedelta(days=9)),
        holdout_share=HOLDOUT, seed=seed, code="", settings="", max_source_share=cap,
        uncapped_sources=audits, holdout_sources=audits, holdout_least=BeatsChampion().at_least_rows,
    )  # fmt: skip
    try:
        taken = snapshot_rows(rows, plan)
    except TrainingError:
        return None, False
    names = [name for name in rows.columns if name.startswith("x")]
    x, y = taken.rows.select(names).to_numpy(), taken.rows.get_column("_label").to_numpy()
    cut = taken.rows.height - taken.holdout
    candidate = fitted(x[:cut], y[:cut], seed)
    ours, theirs = candidate(x[cut:]), champion(x[cut:])
    held = HeldOut(
        task=Task.BINARY,
        label=y[cut:].astype(np.str_),
        challenger=ours.astype(np.str_),
        challenger_loss=(ours != y[cut:]).astype(np.float64),
        champion=theirs.astype(np.str_),
        champion_loss=(theirs != y[cut:]).astype(np.float64),
        positive="1",
        classes=("0", "1"),
    )
    gate = BeatsChampion()
    passed = gate.judge(gate.measure(held)).verdict is Verdict.PASS
    share = Sources(max_share=cap, uncapped=audits)
    flooded = any(share.is_above(name, came, rows.height) for name, came, _ in taken.sources)
    return candidate, passed and not flooded  # a flood waits for a person


def promoted_bad(outcomes: Sequence[Outcome]) -> tuple[float, ...]:
    """Return the share of trials in which a bad candidate was promoted, for each of `DEFENCES`."""
    counts = (sum(each.bad[i] and each.promoted[i] for each in outcomes) for i in range(len(DEFENCES)))
    return tuple(count / len(outcomes) for count in counts)
