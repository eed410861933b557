"""Seeded worlds for the judge of rollouts: requests one by one, and the judge that ships reading after each."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import log

import numpy as np

from anew.domain.evidence import Counts
from anew.domain.facts import Stage
from anew.loop.look import Counted, Outcomes, look
from anew.rollout import Judge, Outcome, Probation, Ruling
from anew.rollout.ab import AB
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow
from anew.stats.betting import e_value_threshold, paired_e_values

__all__ = [
    "AB_HORIZON",
    "GRID",
    "HORIZON",
    "ArmTrials",
    "Trial",
    "ZTest",
    "delayed",
    "pairs",
    "read_shadow",
    "rolled_out",
    "side_by_side",
    "skewed",
    "sticky",
]

HORIZON = 20_000
DISAGREE, ERRORS = 0.05, 0.10
GRID = np.array([-1.0, 0.0, 1.0])
STEPS = (0.1, 0.5)
SHADOW = Shadow()
CANARY = Canary(alpha=0.05 / len(STEPS))
T0 = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Trial:
    """How many runs ended well or badly for the challenger, and after how many labels."""

    good: np.ndarray
    bad: np.ndarray
    labels: np.ndarray

    @property
    def promoted(self) -> float:
        """Share promoted."""
        return float(self.good.mean())

    @property
    def back(self) -> float:
        """Share taken back."""
        return float(self.bad.mean())

    @property
    def decided(self) -> np.ndarray:
        """Which came to an end."""
        return self.good | self.bad


def pairs(gain: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n paired gains of -1, 0 and 1 with this mean, shape (n,): 5 % of the answers disagree."""
    disagree = max(DISAGREE, abs(gain))
    won = (disagree + gain) / 2
    drawn = rng.random(n)
    return np.where(drawn < won, 1, np.where(drawn < disagree, -1, 0))


def probation(stage: Stage, **counts: Counts) -> Probation:
    """Return what a judge is asked about."""
    return Probation(challenger=("v2", "d"), stage=stage, share=0.0, since=T0, progress=T0, **counts)


def read_shadow(gains: np.ndarray) -> tuple[int, bool | None]:
    """Return after how many of the gains, in order, `Shadow` decides when it is asked after each, and how.

    The e-values after each are those of the judge's own function, all at once; where they first pass the bar the judge
    is asked, and it has to say the same there, and to hold just before.
    """
    counts = np.stack([np.cumsum(gains == point) for point in GRID], axis=1)
    bar = log(e_value_threshold(SHADOW.alpha))
    enough = np.arange(1, len(gains) + 1) >= SHADOW.at_least_rows
    proof = (paired_e_values(counts, GRID, SHADOW.margin, "non_inferiority") >= bar) & enough
    harm = (paired_e_values(counts, GRID, SHADOW.margin, "harm") >= bar) & enough
    ends = np.flatnonzero(proof | harm)
    if not len(ends):
        _agree(_ruled(counts[-1]), Outcome.HOLD)
        return len(gains), None
    at = int(ends[0])
    ruled = _ruled(counts[at])
    _agree(ruled, Outcome.HARM if harm[at] else Outcome.ADVANCE)
    if at:
        _agree(_ruled(counts[at - 1]), Outcome.HOLD)
    return at + 1, ruled is Outcome.ADVANCE


def _agree(ruled: Outcome, expected: Outcome) -> None:
    if ruled is not expected:
        raise SystemExit(f"the judge that ships says {ruled}, its e-values say {expected}")


def _ruled(counts: np.ndarray) -> Outcome:
    held = Counts(low=-1.0, high=1.0, counts=tuple(counts.tolist()))
    return SHADOW.rule(probation(Stage.SHADOW, paired_down=held, paired_up=held)).outcome


def read_canary(gain: float, share: float, most: int, rng: np.random.Generator) -> tuple[int, bool | None]:
    """Return after how many labels a canary step ends when it is asked after each, and how."""
    ours = rng.random(most) < share
    wrong = rng.random(most) < np.where(ours, ERRORS - gain, ERRORS)
    n1, n0 = np.cumsum(ours), np.cumsum(~ours)
    w1, w0 = np.cumsum(ours & wrong), np.cumsum(~ours & wrong)
    with np.errstate(divide="ignore", invalid="ignore"):
        p1, p0 = w1 / n1, w0 / n0
        excess = p1 - p0
        # No confidence sequence leaves out what a fixed interval of 95 % holds: those looks need not be asked.
        error = np.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)
        suspect = (excess > CANARY.harm) & (excess > 1.96 * error)
    fine = (np.minimum(n1, n0) >= CANARY.at_least_rows) & (excess <= CANARY.harm)
    for at in np.flatnonzero(suspect | fine).tolist():
        arms = (
            Counts(low=0.0, high=1.0, counts=(int(n0[at] - w0[at]), int(w0[at]))),
            Counts(low=0.0, high=1.0, counts=(int(n1[at] - w1[at]), int(w1[at]))),
        )
        ruled = CANARY.rule(probation(Stage.CANARY, champion_loss=arms[0], challenger_loss=arms[1])).outcome
        if ruled is not Outcome.HOLD:
            return at + 1, ruled is Outcome.ADVANCE
    return most, None


def rolled_out(gain: float, runs: int, seed: int) -> Trial:
    """Take a challenger that gains so much through shadow and every canary step."""
    good, bad, labels = np.zeros(runs, bool), np.zeros(runs, bool), np.zeros(runs, int)
    for run in range(runs):
        rng = np.random.default_rng((seed, run, round(gain * 1000) + 1000))
        spent, on = read_shadow(pairs(gain, HORIZON, rng))
        for share in STEPS:
            if not on or spent >= HORIZON:
                break
            more, on = read_canary(gain, share, HORIZON - spent, rng)
            spent += more
        good[run], bad[run], labels[run] = on is True and spent < HORIZON, on is False, spent
    return Trial(good, bad, labels)


def shadowed(gains: list[np.ndarray], spent: list[np.ndarray] | None = None) -> Trial:
    """Read each run's gains in shadow."""
    ends = [read_shadow(each) if len(each) else (0, None) for each in gains]
    labels = np.array([at if spent is None else spent[i][max(at - 1, 0)] for i, (at, _) in enumerate(ends)])
    return Trial(
        np.array([on is True for _, on in ends]),
        np.array([on is False for _, on in ends]),
        labels,
    )


def sticky(gain: float, runs: int, seed: int, *, by_user: bool, correlation: float = 0.3) -> Trial:
    """Let users come again, 20 times on average, and what is right for one resemble itself.

    By user, the rows go through the counting that ships, 100 at a time, and the means of users are read as they are.
    """
    ends = []
    for run in range(runs):
        rng = np.random.default_rng((seed, run, round(gain * 1000) + 5000))
        users = rng.integers(0, HORIZON // 20, HORIZON)
        own = pairs(gain, HORIZON // 20, rng)
        gains = np.where(rng.random(HORIZON) < np.sqrt(correlation), own[users], pairs(gain, HORIZON, rng))
        ends.append(_by_user(gains, users) if by_user else read_shadow(gains))
    on = [each for _, each in ends]
    return Trial(
        np.array([x is True for x in on]), np.array([x is False for x in on]), np.array([at for at, _ in ends])
    )


def _by_user(gains: np.ndarray, users: np.ndarray, look_at: int = 100) -> tuple[int, bool | None]:
    counted = Counted()
    down = up = None
    for start in range(0, len(gains), look_at):
        gain = gains[start : start + look_at].astype(float)
        flags = np.zeros(len(gain), bool)
        losses = (np.maximum(gain, 0.0), np.maximum(-gain, 0.0))
        seen = look(
            Outcomes(
                champion=losses[0],
                challenger=losses[1],
                champion_arm=losses[0],
                challenger_arm=losses[1],
                by_champion=flags,
                by_challenger=flags,
                in_step=flags,
                users=users[start : start + look_at].astype(np.str_),
            ),
            counted,
        )
        down = seen.paired_down if down is None else down + seen.paired_down
        up = seen.paired_up if up is None else up + seen.paired_up
        ruled = SHADOW.rule(probation(Stage.SHADOW, paired_down=down, paired_up=up)).outcome
        if ruled is not Outcome.HOLD:
            return start + look_at, ruled is Outcome.ADVANCE
        if len(counted.paired) == HORIZON // 20:
            break  # everybody was counted
    return len(gains), None


def delayed(gain: float, runs: int, seed: int, *, fixed_age: bool) -> Trial:
    """Let one label in five be bad and late, 1,500 requests on average, and the challenger lose on those alone.

    At a fixed age of 6,000 requests all but one in 50 of the late ones are there; those that are not, never count.
    """
    late_share, age = 0.2, 6_000
    gains = []
    for run in range(runs):
        rng = np.random.default_rng((seed, run, 9000))
        late = rng.random(HORIZON) < late_share
        # On labels that come at once it wins a little; overall it loses.
        soon = 0.01
        worse = (gain - (1 - late_share) * soon) / late_share
        drawn = np.where(late, pairs(worse, HORIZON, rng), pairs(soon, HORIZON, rng))
        delay = np.where(late, rng.exponential(1_500, HORIZON), rng.exponential(20, HORIZON))
        if fixed_age:
            gains.append(drawn[delay <= age])
        else:
            arrived = np.arange(HORIZON) + delay
            order = np.argsort(arrived, kind="stable")
            gains.append(drawn[order][np.sort(arrived) <= HORIZON])
    return shadowed(gains)


def skewed(runs: int, seed: int) -> dict[str, float]:
    """Return how often a challenger whose mean gain is the margin, by rare large losses, is promoted by whom."""
    rare, loss, margin = 0.002, 1.0, SHADOW.margin
    small = (rare * loss - margin) / (1 - rare)  # what is left of the margin for all the others, a little each
    bar = log(e_value_threshold(SHADOW.alpha))
    grid = np.array([-1.0, small, 0.0, 1.0])
    found = {"bets (ships)": 0, "paired mSPRT": 0, "paired asymptotic confidence sequence": 0}
    n = np.arange(1, HORIZON + 1)
    for run in range(runs):
        rng = np.random.default_rng((seed, run, 7000))
        hit = np.cumsum(rng.random(HORIZON) < rare)
        counts = np.stack([hit, n - hit, 0 * n, 0 * n], axis=1)
        enough = n >= SHADOW.at_least_rows
        found["bets (ships)"] += bool(
            ((paired_e_values(counts, grid, margin, "non_inferiority") >= bar) & enough).any()
        )
        mean = (hit * -loss + (n - hit) * small) / n
        variance = np.maximum((hit * loss**2 + (n - hit) * small**2) / n - mean**2, 1e-12)
        tau = 0.01**2
        width = np.sqrt(
            variance
            * (variance + n * tau)
            / (n**2 * tau)
            * (2 * np.log(1 / 0.05) + np.log((variance + n * tau) / variance))
        )
        found["paired mSPRT"] += bool(((mean - width > -margin) & enough).any())
        rho = np.sqrt((-2 * np.log(0.05) + np.log(-2 * np.log(0.05) + 1)) / 1_000)
        half = np.sqrt(variance * 2 * (n * rho**2 + 1) / (n**2 * rho**2) * np.log(np.sqrt(n * rho**2 + 1) / 0.05))
        found["paired asymptotic confidence sequence"] += bool(((mean - half > -margin) & enough).any())
    return {name: count / runs for name, count in found.items()}


PLACES = 3
PLACE_SHARE = 0.2
AB_HORIZON = 40_000
"""Requests of a trial of several arms, all of which get a label."""


@dataclass(frozen=True)
class ArmTrials:
    """How trials of several arms ended, by run; the first arm is the one that may differ from the champion.

    `won` is the arm that was promoted, -1 for none; `back` says which arms were taken back, shape (runs, arms);
    `requests` is when the trial ended.
    """

    won: np.ndarray
    back: np.ndarray
    requests: np.ndarray

    @property
    def any_decision(self) -> float:
        """Share of trials in which any arm was promoted or taken back."""
        return float(((self.won >= 0) | self.back.any(axis=1)).mean())


class ZTest:
    """A test of two proportions for each arm by itself, as if it were read once."""

    def rule(self, probation: Probation) -> Ruling:
        """Decide at two standard errors, from 100 labels of each arm on."""
        ours, theirs = probation.challenger_loss, probation.champion_loss
        outcome = Outcome.HOLD
        if ours is not None and theirs is not None and min(ours.n, theirs.n) >= _LEAST:
            (z,) = _standard_errors(np.array([theirs.counts, ours.counts]))
            outcome = Outcome.HARM if z > _FAR else Outcome.ADVANCE if z < -_FAR else Outcome.HOLD
        return Ruling(outcome=outcome, reason="")


_LEAST, _FAR = 100, 1.96


def _standard_errors(counts: np.ndarray) -> np.ndarray:
    """Return by how many standard errors each arm loses more than the first: counts (…, arms, 2), right and wrong."""
    n = np.maximum(counts.sum(axis=-1), 1)
    rate = counts[..., 1] / n
    variance = rate * (1 - rate) / n
    error = np.sqrt(np.maximum(variance[..., 1:] + variance[..., :1], 1e-12))
    return (rate[..., 1:] - rate[..., :1]) / error


def side_by_side(gain: float, runs: int, seed: int, *, every: int, judge: Judge | None = None) -> ArmTrials:
    """Try three arms at once, the first of which gains so much, the others nothing; read after `every` requests.

    Each arm has a fifth of the requests, the champion what is left; what an arm that is taken back leaves is the
    champion's. The best of the arms that are shown to be better is promoted and ends the trial.
    """
    asked = judge or AB(arms=PLACES)
    won, back = np.full(runs, -1), np.zeros((runs, PLACES), bool)
    looks = np.zeros(runs, int)
    most = AB_HORIZON // every
    rates = np.array([ERRORS, ERRORS - gain, *[ERRORS] * (PLACES - 1)])
    for run in range(runs):
        rng = np.random.default_rng((seed, run, round(gain * 1000) + 3000))
        counts = np.zeros((PLACES + 1, 2), dtype=int)
        while looks[run] < most and won[run] < 0 and not back[run].all():
            shares = np.where(back[run], 0.0, PLACE_SHARE)
            answered = rng.multinomial(every, [1 - shares.sum(), *shares], size=most - looks[run])
            wrong = rng.binomial(answered, rates)
            seen = counts + np.cumsum(np.stack([answered - wrong, wrong], axis=-1), axis=0)
            at, won[run] = _first_decision(asked, seen, back[run])
            counts, looks[run] = seen[at], looks[run] + at + 1
    return ArmTrials(won, back, looks * every)


def _first_decision(judge: Judge, seen: np.ndarray, back: np.ndarray) -> tuple[int, int]:
    """Return the first look, of counts (looks, arms, 2), at which the judge decides, and which arm won, or -1.

    Arms that it takes back are marked in `back`. Bets on a mean never make more than its likelihood ratio, so that the
    bounds of two arms come apart only far beyond two standard errors, and neither judge decides before: looks at which
    no arm is so far off need not be asked.
    """
    before = int(back.sum())
    far = (np.abs(_standard_errors(seen)) >= _FAR) & ~back
    for at in np.flatnonzero(far.any(axis=1)).tolist():
        held = [Counts(low=0.0, high=1.0, counts=tuple(each)) for each in seen[at].tolist()]
        found = {}
        for arm in np.flatnonzero(far[at]).tolist():
            ours = held[arm + 1]
            ruled = judge.rule(probation(Stage.AB, champion_loss=held[0], challenger_loss=ours)).outcome
            back[arm] = ruled is Outcome.HARM
            if ruled is Outcome.ADVANCE:
                found[arm] = ours.mean or 0.0
        if found or back.sum() > before:
            return at, min(found, key=found.__getitem__, default=-1)
    return len(seen) - 1, -1
