"""How often the judge of rollouts decides wrongly, how many labels it takes, and what others do: `make bench-judge`.

Requests are simulated one by one and every run is read after each of them, by the judge that ships: `Shadow` and
`Canary` themselves, with the bets of `anew.stats.betting` on the counts that facts hold. Scenarios are named in
points: a challenger one point worse errs on 11 requests in 100 where its champion errs on 10.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
from judge_peers import PEERS, decided
from judge_trials import (
    AB_HORIZON,
    HORIZON,
    Trial,
    ZTest,
    delayed,
    rolled_out,
    side_by_side,
    skewed,
    sticky,
)

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
SEED = 20_261_128
ALPHA = 0.05
"""The level that the judge promises."""


@dataclass(frozen=True)
class Bound:
    """A figure that has to be met."""

    what: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Is it?"""
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def __str__(self) -> str:
        limit = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        return f"{'met  ' if self.met else 'MISSED'} {self.what:<78} {self.value:>8.3g}   {limit}"


def broken(runs: int) -> float:
    """Return the share of false decisions from which on a way of judging breaks the level for certain.

    A control has to show that what it leaves out is what keeps the level, so it has to lie above the level by more than
    chance gives in so many runs: four standard errors, one series in thirty thousand. How far above is a matter of the
    scenario, and promised by nobody.
    """
    return ALPHA + 4 * (ALPHA * (1 - ALPHA) / runs) ** 0.5


def main() -> int:
    """Print the tables and say whether every bound is met."""
    began = time.perf_counter()
    bounds: list[Bound] = []
    bounds += whole_rollouts()
    bounds += beside_others()
    bounds += dependent_users()
    bounds += late_labels()
    bounds += skewed_losses()
    bounds += arms_side_by_side()
    print("\nWhat has to hold")
    for bound in bounds:
        print(f"  {bound}")
    print(f"\n{time.perf_counter() - began:.0f} s")
    return 0 if all(bound.met for bound in bounds) else 1


def whole_rollouts() -> list[Bound]:
    """Roll out from shadow through both canary steps, read after every request."""
    print(
        f"Whole rollouts: shadow (margin 1 point), canary 10 % and 50 % (harm 5 points); {RUNS} runs each, read after"
    )
    print(f"every request, given up after {HORIZON:,} labels; champion right in 90 %, 5 % of answers disagree.\n")
    heads = ("promoted", "taken back", "undecided", "labels, median", "90 % within")
    print(f"  {'challenger':<16}" + "".join(f"{each:>16}" for each in heads))
    bounds = []
    for name, points in (
        ("equal (A/A)", 0.0),
        ("1 point better", 1.0),
        ("1 point worse", -1.0),
        ("3 points worse", -3.0),
    ):
        found = rolled_out(points / 100, RUNS, SEED)
        labels = found.labels[found.decided]
        print(
            f"  {name:<16}{found.promoted:>16.1%}{found.back:>16.1%}{1 - found.promoted - found.back:>16.1%}"
            f"{np.median(labels):>16,.0f}{np.quantile(labels, 0.9):>16,.0f}"
        )
        if points == 0:
            bounds.append(Bound("A/A read at every request: false decisions (taken back)", found.back, at_most=ALPHA))
        if points >= 0:
            within = float((found.good & (found.labels <= 12_000)).mean())
            bounds.append(Bound(f"{name}: promoted within 12,000 labels", within, at_least=0.8))
        else:
            bounds.append(Bound(f"{name}: promoted", found.promoted, at_most=ALPHA))
    return bounds


def beside_others() -> list[Bound]:
    """Read the first question, is it worse by a point, with paired bets and with what others use."""
    print(f"\nIs it worse by a point? {RUNS} runs each, read after every 100 requests. Promoted / taken back /")
    print("median requests to a decision; whoever cannot decide within 20,000 counts as 20,000.\n")
    names = list(PEERS)
    print(f"  {'':<46}" + "".join(f"{each:>26}" for each in ("equal", "1 better", "1 worse", "3 worse")))
    medians: dict[str, list[float]] = {}
    falls: dict[str, list[float]] = {}
    for name in names:
        cells, medians[name], falls[name] = [], [], []
        for points in (0.0, 1.0, -1.0, -3.0):
            found: Trial = decided(name, points / 100, RUNS, SEED)
            medians[name].append(float(np.median(found.labels)))
            falls[name].append(found.promoted)
            cells.append(f"{found.promoted:.1%} / {found.back:.1%} / {np.median(found.labels):,.0f}")
        print(f"  {name:<46}" + "".join(f"{cell:>26}" for cell in cells))
    ours, unpaired = medians["paired shadow, bets (ships)"], medians["A/B, mSPRT"]
    return [
        Bound(f"paired shadow needs this share of the unpaired requests: {what}", ours[i] / unpaired[i], at_most=1 / 3)
        for i, what in ((0, "equal"), (1, "1 point better"), (3, "3 points worse"))
    ] + [
        Bound("1 point worse: promoted by paired shadow", falls["paired shadow, bets (ships)"][2], at_most=ALPHA),
    ]


def dependent_users() -> list[Bound]:
    """Let the same users come again: an A/A test, and one that is worse by the margin."""
    runs = RUNS // 2
    print("\nUsers who come again: 20 requests each on average; what is right for one of them resembles itself,")
    print(f"correlation 0.3; {runs} runs.\n")
    print(f"  {'judged by':<24}{'A/A: taken back':>18}{'1 point worse: promoted':>26}")
    found = {}
    for name in ("requests", "users"):
        same = sticky(0.0, runs, SEED, by_user=name == "users")
        worse = sticky(-0.01, runs, SEED, by_user=name == "users")
        found[name] = (same.back, worse.promoted)
        print(f"  {name:<24}{same.back:>18.1%}{worse.promoted:>26.1%}")
    return [
        Bound("users who come again, judged by users: A/A taken back", found["users"][0], at_most=ALPHA),
        Bound("users who come again, judged by users: 1 point worse promoted", found["users"][1], at_most=ALPHA),
        Bound(
            "control: judged by requests, false decisions of either kind",
            max(found["requests"]),
            at_least=broken(runs),
        ),
    ]


def late_labels() -> list[Bound]:
    """Let a label's delay depend on what it says."""
    print("\nLabels whose delay depends on the outcome: one in five is bad and known late, and the challenger loses")
    print(f"on those alone; {RUNS} runs.\n")
    print(f"  {'labels are read':<24}{'1 point worse: promoted':>26}{'taken back':>14}")
    found = {}
    for name in ("as they arrive", "at a fixed age"):
        trial = delayed(-0.01, RUNS, SEED, fixed_age=name == "at a fixed age")
        found[name] = trial.promoted
        print(f"  {name:<24}{trial.promoted:>26.1%}{trial.back:>14.1%}")
    return [
        Bound("labels at a fixed age: 1 point worse promoted", found["at a fixed age"], at_most=ALPHA),
        Bound("control: labels as they arrive", found["as they arrive"], at_least=broken(RUNS)),
    ]


def skewed_losses() -> list[Bound]:
    """Let a challenger lose rarely and much: its mean lies on the margin."""
    print(
        "\nRare large losses: the mean lies on the margin, so that every promotion is false; read after every request;"
    )
    print(f"{RUNS} runs.\n")
    found = skewed(RUNS, SEED)
    for name, share in found.items():
        print(f"  {name:<46}{share:>10.1%} promoted")
    return [Bound("rare large losses: promoted by bets", found["bets (ships)"], at_most=ALPHA)]


def arms_side_by_side() -> list[Bound]:
    """Try three arms beside the champion at once: two that equal it, and one that does or does not."""
    fewer = max(RUNS // 4, 1)
    print("\nA/B of three arms, a fifth of the requests each; the champion errs in 10 %, second and third arm as well;")
    print(f"given up after {AB_HORIZON:,} requests; equal arms: {RUNS} runs read after every 100, else {fewer}, 500.\n")
    heads = ("it is promoted", "another is", "it is taken back", "another is", "requests, median", "90 % within")
    print(f"  {'first arm':<34}" + "".join(f"{each:>18}" for each in heads))
    bounds = []
    for name, points, judge in (
        ("equal (A/A/A/A)", 0.0, None),
        ("equal, a z-test of each arm", 0.0, ZTest()),
        ("5 points better", 5.0, None),
        ("3 points better", 3.0, None),
        ("3 points worse", -3.0, None),
    ):
        found = side_by_side(points / 100, fewer if points else RUNS, SEED, every=500 if points else 100, judge=judge)
        won, back = found.won, found.back
        print(
            f"  {name:<34}{(won == 0).mean():>18.1%}{(won > 0).mean():>18.1%}{back[:, 0].mean():>18.1%}"
            f"{back[:, 1:].any(axis=1).mean():>18.1%}{np.median(found.requests):>18,.0f}"
            f"{np.quantile(found.requests, 0.9):>18,.0f}"
        )
        if judge is not None:
            bounds.append(
                Bound("control: a z-test of each arm, any decision", found.any_decision, at_least=broken(RUNS))
            )
        elif not points:
            bounds.append(Bound("three arms, A/A: any arm decided on", found.any_decision, at_most=ALPHA))
        elif points > 0:
            what = f"three arms, one {name}: it is promoted within {AB_HORIZON:,} requests"
            bounds.append(Bound(what, float((won == 0).mean()), at_least=0.8))
        else:
            bounds.append(Bound(f"three arms, one {name}: it is promoted", float((won == 0).mean()), at_most=ALPHA))
    return bounds


if __name__ == "__main__":
    sys.exit(main())
