"""The economic policy in the trigger: what it asks for, what it withholds, and that its books follow the facts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from anew.domain.blend import Blend
from anew.domain.evidence import Counts, Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateTrained,
    EffectFailed,
    RetiredScored,
    RetiredScoringAsked,
    RetrainRequested,
    RetrainWithheld,
    RolledBack,
    RolloutObserved,
    SnapshotTaken,
    Stage,
    TrainingEnded,
    TrainingPlanned,
    VersionArchived,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.trigger import Economy, Trigger, TriggerState
from anew.trigger.budget import Budget
from anew.trigger.cost import Cost
from anew.trigger.economic import Standing

T0 = datetime(2024, 1, 1, tzinfo=UTC)
H = timedelta(hours=1)
ROWS = 100


def at(hour: float) -> datetime:
    return T0 + hour * H


def span(start: int, end: int) -> Interval:
    return Interval(start=at(start), end=at(end))


class Story:
    """A trigger that is told facts; windows last an hour, the first champion's rows five."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self.state = trigger.initial()
        self.said: list[Fact] = []
        self.hour = 5
        self.version("v1", "")

    def tell(self, *facts: Fact) -> list[Fact]:
        """Tell of facts, and return what was said to them."""
        before = len(self.said)
        for fact in facts:
            self.state = self.trigger.apply(self.state, fact)
            for each in self.trigger.decide(self.state, fact):
                self.said.append(each)
                self.state = self.trigger.apply(self.state, each)
        return self.said[before:]

    def version(
        self,
        name: str,
        champion: str,
        revive: str = "",
        *,
        promoted: bool = True,
        compute_s: float = 60.0,
        rows: int = 450,
        blend: Blend | None = None,
    ) -> None:
        """Train a version, or bring one back, and promote it."""
        now = at(self.hour)
        planned = TrainingPlanned(
            model="m",
            at=now,
            version=name,
            champion=champion,
            span=span(0, self.hour),
            holdout_share=0.1,
            seed=1,
            code="c",
            settings="s",
            revive=revive,
        )
        taken = SnapshotTaken(
            model="m",
            at=now,
            version=name,
            champion=champion,
            digest="rows",
            tables=(),
            span=span(0, self.hour),
            rows=500,
            holdout_rows=50,
            seed=1,
        )
        trained = CandidateTrained(
            model="m",
            at=now,
            version=name,
            champion=champion,
            digest=f"digest of {revive or name}",
            snapshot="rows",
            rows=rows,
            compute_s=compute_s,
            blend=blend,
        )
        ended = TrainingEnded(
            model="m",
            at=now,
            version=name,
            outcome="accepted" if promoted else "refused",
            detail="",
            compute_s=compute_s,
        )
        self.tell(planned, taken, trained, ended)
        if promoted:
            self.tell(
                VersionPromoted(
                    model="m", at=now, version=name, digest="", previous=champion, evidence=(), reason="proved"
                )
            )

    def window(self, *, labelled: int = ROWS, failed: bool = False, **losses: float) -> list[Fact]:
        """Close and score the next window; `losses` are means by version."""
        window, self.hour = span(self.hour, self.hour + 1), self.hour + 1
        champion = self.state.champion
        closed = WindowClosed(model="m", at=window.end, version=champion, window=window, n=ROWS, rows="", evidence=())
        scored = WindowScored(
            model="m",
            at=window.end,
            version=champion,
            window=window,
            n=ROWS,
            labelled=labelled,
            revision=0,
            evidence=(),
        )
        said = self.tell(closed, scored)
        asked = next((each for each in said if isinstance(each, RetiredScoringAsked)), None)
        if asked is None:
            return said
        if failed:
            lost: Fact = EffectFailed(
                model="m", at=window.end, effect="score_retired", version=champion, reason="oom", detail="no memory"
            )
        else:
            lost = RetiredScored(
                model="m",
                at=window.end,
                version=asked.version,
                window=asked.window,
                evidence=tuple(scored_loss(name, losses[name]) for name, _ in asked.versions),
            )
        return said + self.tell(lost)


def scored_loss(name: str, mean: float) -> Evidence:
    return Evidence.of("loss", mean, ROWS, subject=name, interval=(mean, mean + 0.03))


def story(cost: Cost | None = None, budget: int = 100) -> Story:
    economy = Economy(cost=cost or Cost(retrain=50.0, error=1.0))
    return Story(Trigger(economy=economy, budget=Budget(retrains=budget, period=timedelta(days=365))))


def requests(facts: Iterable[Fact]) -> list[RetrainRequested]:
    return [each for each in facts if isinstance(each, RetrainRequested)]


def withheld(facts: Iterable[Fact]) -> list[str]:
    return [each.reason for each in facts if isinstance(each, RetrainWithheld)]


def test_a_rise_is_answered_with_every_number_and_staying_too() -> None:
    told = story()
    for _ in range(6):
        assert withheld(told.window(v1=0.1)) == ["not_yet"]
    (asked,) = requests(told.window(v1=0.9))
    numbers = dict(asked.considered)
    assert asked.triggers == ("economic",)
    assert float(numbers["price"]) == 50.0
    assert float(numbers["regret of a rise"]) >= 50.0
    assert {"slope", "level", "noise", "trust", "price is", "budget left"} <= set(numbers)
    # The mean rise of the last two windows, of an hour each, is what the next is expected to lose beyond its noise.
    rises = (0.0 + 80.0) / 2
    assert float(numbers["regret an hour"]) == pytest.approx(rises - float(numbers["noise"]))


def test_windows_without_labels_or_evidence_withhold_and_never_pass() -> None:
    told = story()
    assert withheld(told.window(labelled=0)) == ["labels"]
    assert withheld(told.window(failed=True)) == ["evidence"]
    assert not told.state.books.windows
    assert withheld(told.window(v1=0.1)) == ["not_yet"]


def test_an_unknown_price_withholds_until_a_run_was_measured() -> None:
    told = Story(Trigger(economy=Economy(cost=Cost(error=1e-6, compute_hour=1.0))))
    told.state = replace(told.state, books=replace(told.state.books, runs_s={}))
    assert withheld(told.window(v1=0.5)) == ["cost"]
    told.version("v2", "v1", promoted=False)
    assert withheld(told.window(v1=0.5)) == ["not_yet"]


def price_of(told: Story) -> float:
    """Return what a retrain costs by the books, in seconds of CPU: one costs an error's 1/3600."""
    cost = Cost(error=1 / 3600, compute_hour=1.0)
    found = cost.price(None, tuple(told.state.books.runs_s.values())).value
    assert found is not None
    return found


def looked(version: str, compute_s: float) -> RolloutObserved:
    nothing = Counts(low=-1.0, high=1.0, counts=(0, 0, 0))
    return RolloutObserved(
        model="m",
        at=at(6),
        version=version,
        stage=Stage.SHADOW,
        look=1,
        span=span(5, 6),
        paired_down=nothing,
        paired_up=nothing,
        champion_loss=nothing,
        challenger_loss=nothing,
        compute_s=compute_s,
    )


def test_the_measured_price_has_the_share_of_the_rollout() -> None:
    told = story()
    assert price_of(told) == pytest.approx(60.0)
    told.version("v2", "v1", promoted=False)
    told.tell(looked("v2", 30.0), looked("v2", 10.0), looked("v9", 1000.0))
    assert price_of(told) == pytest.approx((60.0 + 100.0) / 2)


def test_a_model_that_came_back_is_no_measure_of_what_a_retrain_costs() -> None:
    told = story()
    told.version("v2", "v1")
    told.version("v3", "v2", revive="v1", compute_s=1.0)
    told.tell(looked("v3", 5.0))
    assert price_of(told) == pytest.approx(60.0)


def test_one_that_is_under_way_and_a_spent_budget_hold_it() -> None:
    told = story(budget=1)
    for _ in range(6):
        told.window(v1=0.1)
    assert requests(told.window(v1=0.9))
    assert not told.window(v1=0.9)[1:]  # it scores on, and asks for nothing while one is under way
    told.version("v2", "v1")
    for _ in range(4):
        told.window(v1=0.9, v2=0.1)
    assert withheld(told.window(v1=0.9, v2=0.9)) == ["budget"]


def test_a_retired_champion_comes_back_under_a_new_name_and_keeps_its_age() -> None:
    told = story()
    for _ in range(4):
        told.window(v1=0.1)
    told.version("v2", "v1")
    assert [each.name for each in told.state.books.archive] == ["v1"]
    told.window(v1=0.1, v2=0.1)
    (asked,) = requests(told.window(v1=0.1, v2=0.6))
    assert asked.revive == "v1"
    told.version("v3", "v2", revive="v1")
    books = told.state.books
    assert books.champion is not None
    assert (books.champion.name, books.champion.end, books.revived) == ("v3", 5, True)
    assert [each.name for each in books.archive] == ["v2"]
    assert books.digests["v3"] == "digest of v1"


def test_a_champion_is_known_with_age_and_rows_of_its_training_whoever_comes_back() -> None:
    told = story()
    told.window(v1=0.1)
    told.version("v2", "v1", rows=900)
    told.window(v1=0.1, v2=0.1)
    for name in ("v3", "v4"):
        told.version(name, "v2", rows=100, promoted=False)
    assert told.state.books.champion == Standing(name="v2", end=6, rows=900)
    assert told.state.books.archive == (Standing(name="v1", end=5, rows=450),)
    told.version("v5", "v2", revive="v1", rows=77)
    told.window(v2=0.1, v5=0.1)
    assert told.state.books.champion == Standing(name="v5", end=5, rows=450)
    for back, away in (("v2", "v5"), ("v5", "v2"), ("v4", "v5")):
        told.tell(RolledBack(model="m", at=at(9), version=away, to=back, evidence=(), reason="harm"))
        assert told.state.books.champion is not None
        assert told.state.books.champion.name == back
    assert told.state.books.champion == Standing(name="v4", end=7, rows=100)


def test_what_comes_back_after_its_first_name_was_archived_is_as_old_as_it_was() -> None:
    told = story()
    told.window(v1=0.1)
    told.version("v2", "v1", rows=900)
    told.window(v1=0.1, v2=0.1)
    told.version("v3", "v2", revive="v1", rows=77, promoted=False)
    told.tell(VersionArchived(model="m", at=at(9), command="c", version="v1", digest="d", by="ada", reason="room"))
    told.tell(
        VersionPromoted(model="m", at=at(9), version="v3", digest="", previous="v2", evidence=(), reason="proved")
    )
    assert told.state.books.champion == Standing(name="v3", end=5, rows=450)


def test_two_models_that_answer_as_one_count_the_rows_of_both_by_their_weight() -> None:
    for weight, rows in ((0.75, 500), (1.0, 600)):
        told = story()
        both = Blend(alone="a", beside="b", weight=weight, snapshot="s", rows=200)
        told.version("v2", "v1", rows=600, blend=both)
        assert told.state.books.champion is not None
        assert told.state.books.champion.rows == rows


def test_one_that_was_archived_is_asked_no_more_and_does_not_come_back() -> None:
    told = story()
    for _ in range(4):
        told.window(v1=0.1)
    told.version("v2", "v1")
    told.tell(VersionArchived(model="m", at=at(9), command="c", version="v1", digest="d", by="ada", reason="room"))
    said = [*told.window(v2=0.1), *told.window(v2=0.6)]
    assert {names for each in said if isinstance(each, RetiredScoringAsked) for names, _ in each.versions} == {"v2"}
    assert not any(each.revive for each in requests(said))


def test_what_was_hoped_for_is_kept_only_of_what_was_promoted() -> None:
    told = story()
    for _ in range(6):
        told.window(v1=0.1)
    assert requests(told.window(v1=0.9))
    told.version("v2", "v1", promoted=False)
    assert not told.state.books.bought
    assert requests(told.window(v1=0.9))
    told.version("v3", "v1")
    (bought,) = told.state.books.bought
    assert (bought.old, bought.new) == ("v1", "v3")


def test_each_request_in_vain_makes_the_next_dearer_until_one_is_promoted() -> None:
    told = story()
    for _ in range(6):
        told.window(v1=0.1)
    prices = []
    for name in ("v2", "v3", "v4"):
        asked: list[RetrainRequested] = []
        while not asked:
            asked = requests(told.window(v1=0.9))
        prices.append(float(dict(asked[0].considered)["price"]))
        told.version(name, "v1", promoted=False)
    assert prices == [50.0, 100.0, 200.0]
    told.version("v5", "v1")
    assert told.state.books.vain == 0


def test_after_a_rollback_the_old_champion_stands_again() -> None:
    told = story()
    told.window(v1=0.1)
    told.version("v2", "v1")
    told.tell(RolledBack(model="m", at=at(9), version="v2", to="v1", evidence=(), reason="harm"))
    assert told.state.books.champion is not None
    assert told.state.books.champion.name == "v1"
    assert not told.state.books.archive


def test_without_an_economy_nothing_is_asked() -> None:
    told = Story(Trigger())
    assert told.window() == []


@pytest.mark.parametrize("late", [True, False])
def test_a_window_that_is_scored_again_changes_nothing(late: bool) -> None:
    told = story()
    told.window(v1=0.1)
    before: TriggerState = told.state
    again = WindowScored(
        model="m",
        at=at(30),
        version="v1",
        window=span(5, 6),
        n=ROWS,
        labelled=ROWS if late else 0,
        revision=1,
        evidence=(),
    )
    assert told.tell(again) == []
    assert told.state.books == before.books
