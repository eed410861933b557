"""How often does a poisoned candidate get through, with and without the defences?

Run it as ``make bench-poison``. A champion was trained on clean labels. Then a source sends flipped ones: a share of
all rows of the next snapshot, chosen at random, or targeted at one region of the inputs and one class. A candidate is
trained on them and judged; the labels that judge are poisoned like those that teach. It is *bad* when, on clean labels,
it errs by more than a point more often than the champion; some are, for no share at all, because it saw other rows.

Defences, each with those before: none; the gate (`beats_champion`, defaults, on the held-out rows); the cap on a
source's share, with which none of a flooding source's rows are held out and its candidate waits for a person. The curve
is printed for one source and for an attack spread over forty, against which a cap does nothing: then the gate stands
alone, on labels that the attacker wrote too, and before a rollout, which is not part of this. Exit 0 only if the cap
lets no bad candidate of a source above it through, and the gate never more than nothing does. Everything is seeded.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl
from measured import tell

from anew.domain.column import Task
from anew.domain.errors import TrainingError
from anew.domain.facts import TrainingPlanned
from anew.domain.interval import Interval
from anew.domain.verdict import Verdict
from anew.loop.snapshot_rows import snapshot_rows
from anew.validate import HeldOut
from anew.validate.beats_champion import BeatsChampion

__all__ = ["main"]

Floats = npt.NDArray[np.float64]
START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS, CLEAN, HOLDOUT, CAP, MARGIN = 5_000, 10_000, 0.2, 0.05, 0.01
RATES = (0.0, 0.01, 0.05, 0.10, 0.20)
DEFENCES = ("none", "gate", "gate + cap")


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


def poisoned(trial: Trial, chance: np.random.Generator) -> pl.DataFrame:
    """Return the rows of the next snapshot, with what the attacker made of them and who says so."""
    x, y = world(chance, ROWS)
    wanted = round(trial.rate * ROWS)
    targets = np.flatnonzero((x[:, 0] > 0.3) & (y == 1)) if trial.kind == "targeted" else np.arange(ROWS)
    hit = chance.choice(targets, size=min(wanted, len(targets)), replace=False)
    label, source = y.copy(), np.array([f"crm {i}" for i in chance.integers(0, 40, ROWS)], dtype=object)
    label[hit] = 1 - label[hit]
    source[hit] = [f"mallory {i}" for i in chance.integers(0, 40, len(hit))] if trial.spread else "mallory"
    at = [START + timedelta(minutes=i) for i in range(ROWS)]
    columns = {f"x{k}": x[:, k] for k in range(x.shape[1])}
    return pl.DataFrame({"_at": at, "_label": label, "_source": pl.Series(source.tolist(), dtype=pl.String), **columns})


def tried(trial: Trial) -> Outcome:
    """Run one attack against every defence."""
    chance = np.random.default_rng([trial.seed, round(1000 * trial.rate), trial.kind == "targeted", trial.spread])
    champion = fitted(*world(chance, round(ROWS * (1 - HOLDOUT))), trial.seed)
    rows, clean = poisoned(trial, chance), world(chance, CLEAN)
    base = float(np.mean(champion(clean[0]) != clean[1]))
    bad, promoted = [], []
    for cap in (1.0, CAP):
        candidate, passed = judged(rows, champion, cap, trial.seed)
        bad.append(candidate is not None and float(np.mean(candidate(clean[0]) != clean[1])) > base + MARGIN)
        promoted.append(passed)
    return Outcome((bad[0], *bad), (True, *promoted))


def judged(
    rows: pl.DataFrame, champion: Callable[[Floats], npt.NDArray[np.int64]], cap: float, seed: int
) -> tuple[Callable[[Floats], npt.NDArray[np.int64]] | None, bool]:
    """Train on what the cap lets in, and say whether the gate would promote it; None where nothing is trained."""
    plan = TrainingPlanned(
        model="m", at=START, version="v2", champion="v1", span=Interval(start=START, end=START + timedelta(days=9)),
        holdout_share=HOLDOUT, seed=seed, code="", settings="", max_source_share=cap,
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
    flooded = any(kept < came for _, came, kept in taken.sources)
    return candidate, passed and not flooded  # a flood waits for a person


def report(found: dict[tuple[str, bool, float], Sequence[Outcome]]) -> bool:
    """Print the curve and return whether the target is met."""
    met = True
    print(f"{'attack':<10}{'sources':>8}{'share':>7}{'bad':>7}" + "".join(f"{each:>14}" for each in DEFENCES))
    for (kind, spread, rate), outcomes in found.items():
        rates = [np.mean([o.bad[i] and o.promoted[i] for o in outcomes]) for i in range(len(DEFENCES))]
        bad = np.mean([o.bad[0] for o in outcomes])
        print(
            f"{kind:<10}{'forty' if spread else 'one':>8}{rate:>7.0%}{bad:>7.0%}"
            + "".join(f"{r:>14.1%}" for r in rates)
        )
        met &= rates[1] <= rates[0] and (spread or rate <= CAP or rates[2] == 0)
    print(
        f"promoted though bad, of {len(next(iter(found.values())))} trials each; a source above the cap of {CAP:.0%} "
        f"promotes nobody, and a gate never lets more through than none: {'met' if met else 'NOT MET'}"
    )
    return met


def main() -> int:
    """Run the trials and print the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="trials of each kind (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    given = parser.parse_args()
    kinds = list(product(("random", "targeted"), (False, True), RATES))
    trials = [Trial(kind, rate, spread, seed) for kind, spread, rate in kinds for seed in range(given.trials)]
    tell(f"{len(trials)} attacks on a champion of {ROWS} rows, three defences each")
    with ProcessPoolExecutor(given.workers) as pool:
        outcomes = list(pool.map(tried, trials, chunksize=10))
    found = {kind: outcomes[i * given.trials : (i + 1) * given.trials] for i, kind in enumerate(kinds)}
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main())
