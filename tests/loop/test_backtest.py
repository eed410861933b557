"""The board, what a policy may know of it, and what it is charged."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from anew.domain.errors import InvariantError
from anew.loop.backtest import Act, Board, Model, Sight, play
from anew.loop.backtest_policy import CostAware, EconomicPolicy, Every, InputDrift, LossDrift, Never
from anew.loop.backtest_report import described, hindsight_of, recommended
from anew.trigger.economic import Economic

WINDOWS, ROWS, FIRST = 40, 50, 2


def board(change: int = 20, *, back: int = WINDOWS, spans: tuple[int, ...] = (0, 5)) -> Board:
    """Two worlds: a model errs in 10 % of its own world's rows and in 90 % of the other's."""
    bounds = tuple(range(0, WINDOWS * ROWS + 1, ROWS))
    chance = np.random.default_rng(3).random(WINDOWS * ROWS)
    world = np.array([change <= i < back for i in range(WINDOWS)])
    rows = {}
    for end in range(FIRST, WINDOWS):
        for span in spans:
            known = world[end - span if 0 < span < end else 0 : end]
            knows = known.mean() > 0.5
            rate = np.repeat(np.where(world[end:] == knows, 0.1, 0.9), ROWS)
            rows[Model(end, span if span < end else 0)] = (chance[end * ROWS :] < rate).astype(np.float32)
    return Board(bounds=bounds, first=FIRST, spans=spans, rows=rows)


@dataclass
class Script:
    """Does what it is told to, and looks where it is told to."""

    acts: dict[int, Act] = field(default_factory=dict)
    look: int = 0

    def act(self, sight: Sight) -> Act:
        """Follow the script."""
        if self.look:
            sight.losses(sight.champion, sight.now - 1 + self.look)
        return self.acts.get(sight.now, Act())


def test_every_fit_and_every_probe_is_counted_and_served_from_then_on() -> None:
    acts = {22: Act(fit=5, probes=0.1), 25: Act(fit=5), 30: Act(revive=Model(2, 0), probes=0.2)}
    run = play(Script(acts), board(), delay=0, price=1.0)
    assert [(each.window, each.rows, each.span) for each in run.fits] == [(22, 250, 5), (25, 250, 5)]
    assert run.revived == (30,)
    assert run.spent == pytest.approx(2.3)
    assert run.by_window[26 - FIRST] < 15 < run.by_window[31 - FIRST]


def test_labels_that_are_not_mature_cannot_be_seen() -> None:
    with pytest.raises(InvariantError, match="not mature"):
        play(Script(look=1), board(), delay=0, price=1.0)
    with pytest.raises(InvariantError, match="trained on"):
        board().losses(Model(9, 0), 8)


def test_a_late_label_makes_a_fit_know_less() -> None:
    run = play(Script({24: Act(fit=5)}), board(), delay=3, price=1.0)
    assert run.fits[0].rows == 250
    assert run.by_window[-1] > 25  # of windows 16 to 20 hardly any was of the new world


def test_a_model_that_cannot_be_trained_is_paid_for_and_not_served() -> None:
    whole = board()
    rows = {model: losses for model, losses in whole.rows.items() if model.end != 22}
    holed = Board(bounds=whole.bounds, first=FIRST, spans=whole.spans, rows=rows)
    run = play(Script({22: Act(fit=5)}), holed, delay=0, price=1.0)
    assert len(run.fits) == 1
    assert run.by_window.tolist() == play(Never(), holed, delay=0, price=1.0).by_window.tolist()
    with pytest.raises(InvariantError, match="no first model"):
        Board(bounds=whole.bounds, first=FIRST, spans=whole.spans, rows={})


def test_schedules_and_detectors_retrain_when_they_should() -> None:
    found = play(Every(10, 0), board(), delay=0, price=1.0)
    assert [each.window for each in found.fits] == [12, 22, 32]
    drift = InputDrift(lambda model, window: float(model.end < 21 <= window), 0.5, 2, 5)
    assert [each.window for each in play(drift, board(), delay=0, price=1.0).fits] == [23]
    risen = LossDrift(lambda losses: bool(losses[-50:].mean() > 0.5), 5)
    assert play(risen, board(), delay=0, price=1.0).fits[0].window == 21
    assert play(CostAware(5), board(), delay=0, price=20.0).fits[0].window <= 22


def test_economic_answers_a_change_within_two_windows_and_costs_little_over_hindsight() -> None:
    whole = board()
    found = hindsight_of(whole, delay=0)
    run = play(EconomicPolicy(Economic(), 5), whole, delay=0, price=0.01 * found.gain)
    assert any(20 < each.window <= 22 for each in run.fits)
    regret, idle = found.regret(run, 0.01), found.regret(play(Never(), whole, delay=0, price=1.0), 0.01)
    assert regret is not None
    assert idle is not None
    assert regret < 0.4 < 0.8 < idle


def test_economic_brings_back_the_champion_of_a_world_that_comes_back() -> None:
    whole = board(15, back=30)
    price = 0.01 * hindsight_of(whole, delay=0).gain
    run = play(EconomicPolicy(Economic(), 5), whole, delay=0, price=price)
    assert run.revived
    assert run.by_window[32 - FIRST :].mean() < 15


def test_where_models_lose_less_by_more_rows_alone_economic_retrains_more_seldom_once_there_are_no_more() -> None:
    span, many = 10, 100
    rows = {
        Model(end, span if span < end else 0): np.full((many - end) * ROWS, 0.1 + 0.6 / min(end, span), np.float32)
        for end in range(FIRST, many)
    }
    bounds = tuple(range(0, many * ROWS + 1, ROWS))
    still = Board(bounds=bounds, first=FIRST, spans=(span,), rows=rows)

    def bought(alike: float) -> list[int]:
        run = play(EconomicPolicy(Economic(alike=alike), span), still, delay=0, price=10.0)
        return [each.window for each in run.fits]

    assert bought(0.75) == [6, 10, 15, 51]  # that nothing grows old was seen in few windows, and is believed by and by
    assert bought(0.0) == [6, 10, 15, 22, 32, 46, 65, 90]


def test_the_report_charges_what_was_done_and_recommends_the_least_regret() -> None:
    whole = board()
    found = hindsight_of(whole, delay=0)
    never, every = (play(each, whole, delay=0, price=1.0) for each in (Never(), Every(1, 5)))
    prices = (0.002, 0.01, 0.05)
    runs = {"never": dict.fromkeys(prices, never), "every_1": dict.fromkeys(prices, every)}
    report = described(whole, found, runs)
    least = min(loss * found.rows + 0.05 * found.gain * k for k, loss in enumerate(report["oracle"]))
    by_hand = (never.by_window.sum() - least) / found.gain
    assert report["policies"][0]["normalised_regret"]["0.05"] == pytest.approx(by_hand)
    assert report["policies"][0]["loss"] == pytest.approx(never.by_window.sum() / found.rows)
    assert len(report["policies"][1]["fits"]) == len(every.fits) == WINDOWS - FIRST - 1
    best = recommended(found, runs)
    assert best is not None
    assert best.policy == min(runs, key=lambda name: sum(found.regret(runs[name][p], p) or 0.0 for p in prices))
    assert best.low <= best.regret <= best.high


def test_where_retraining_gains_nothing_there_is_no_regret() -> None:
    whole = board(change=WINDOWS)
    still = Board(
        bounds=whole.bounds,
        first=FIRST,
        spans=(0,),
        rows={Model(end, 0): np.ones((WINDOWS - end) * ROWS, np.float32) for end in range(FIRST, WINDOWS)},
    )
    found = hindsight_of(still, delay=0)
    run = play(Never(), still, delay=0, price=0.0)
    report = described(still, found, {"never": dict.fromkeys((0.002, 0.01, 0.05), run)})
    assert report["recommended"] is None
    assert report["policies"][0]["normalised_regret"]["0.01"] is None
