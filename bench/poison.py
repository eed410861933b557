"""How often does a poisoned candidate get through, with and without the defences?

Run it as ``make bench-poison``. A champion was trained on clean labels. Then a source sends flipped ones: a share of
all rows of the next snapshot, chosen at random, or targeted at one region of the inputs and one class. A candidate is
trained on them and judged; the labels that judge are poisoned like those that teach. It is *bad* when, on clean labels,
it errs by more than a point more often than the champion; some are, for no share at all, because it saw other rows.

Defences, each with those before: none; the gate (`beats_champion`, defaults, on the held-out rows); the cap on a
source's share, with which none of a flooding source's rows are held out and its candidate waits for a person; an audit
that labels one row in five truly, and whose rows alone are held out. The curve is printed for one source and for an
attack spread over forty, against which a cap does nothing: then, without an audit, the gate stands on labels that the
attacker wrote too, and before a rollout, which is not part of this. Exit 0 only if the cap lets no bad candidate of a
source above it through, and the gate never more than nothing does. Everything is seeded.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from measured import tell
from poison_trials import CAP, DEFENCES, RATES, ROWS, Outcome, Trial, promoted_bad, tried

__all__ = ["main"]


def report(found: dict[tuple[str, bool, float], Sequence[Outcome]]) -> bool:
    """Print the curve and return whether the target is met."""
    met = True
    print(f"{'attack':<10}{'sources':>8}{'share':>7}{'bad':>7}" + "".join(f"{each:>20}" for each in DEFENCES))
    for (kind, spread, rate), outcomes in found.items():
        rates = promoted_bad(outcomes)
        bad = sum(o.bad[0] for o in outcomes) / len(outcomes)
        print(
            f"{kind:<10}{'forty' if spread else 'one':>8}{rate:>7.0%}{bad:>7.0%}"
            + "".join(f"{r:>20.1%}" for r in rates)
        )
        met &= rates[1] <= rates[0] and (spread or rate <= CAP or rates[2] == rates[3] == 0)
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
    tell(f"{len(trials)} attacks on a champion of {ROWS} rows, {len(DEFENCES)} defences each")
    with ProcessPoolExecutor(given.workers) as pool:
        outcomes = list(pool.map(tried, trials, chunksize=10))
    found = {kind: outcomes[i * given.trials : (i + 1) * given.trials] for i, kind in enumerate(kinds)}
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main())
