"""Review in the loop: closed windows become questions, votes become labels, and failed labellers lose theirs."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from anew.adapters.review_db import ReviewDB
from anew.domain.errors import UnavailableError
from anew.domain.facts import LabellerWeighed, ReviewQueued, ReviewReopened, ReviewSettled
from anew.domain.interval import Interval
from anew.domain.observation import Answer
from anew.feedback.choice import ReviewRule
from anew.loop.observer_plan import Review
from tests.loop.observed import COLUMNS, START, WALL, Bed, hour

RULE = ReviewRule(per_day=48, confidence_below=0.6, random=0.5, double=0.0, disagreement=0.1)
EVER = Interval(start=START, end=hour(1000))
LEASE = timedelta(minutes=5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewDB]:
    found = ReviewDB(tmp_path / "review.db")
    yield found
    found.close()


def started(
    store: ReviewDB,
    rule: ReviewRule = RULE,
    person: Callable[[str], str] = str,
    hidden: frozenset[str] = frozenset(),
    **settings: object,
) -> Bed:
    bed = Bed(review=Review(rule=rule, store=store, person=person, hidden=hidden), **settings)  # type: ignore[arg-type]  # names and types are those of the call
    bed.approve("v1", START)
    return bed


def serve(bed: Bed, count: int, *, begin: float = 0.0, name: str = "p") -> None:
    for i in range(count):
        sure = i % 2
        answer = Answer(output=1, proba=(0.1, 0.9) if sure else (0.45, 0.55))
        bed.serve(f"{name}{i}", hour(begin + (i + 0.5) / count), answer=answer)


def ask(store: ReviewDB, who: str, now: datetime = WALL, gold: float = 0.0) -> str:
    found = store.lease(who, now, LEASE, gold=gold)
    return "" if found is None else found.id


def labels(bed: Bed) -> list[tuple[str, str]]:
    rows = bed.lake.labels(EVER)
    return sorted(rows.select("_value", "_source").rows())


@pytest.mark.parametrize("restarts", [False, True])
def test_each_closed_window_gives_its_part_of_the_quota_and_says_why(store: ReviewDB, restarts: bool) -> None:
    bed = started(store, restarts=restarts)
    for number in range(6):
        serve(bed, 40, begin=number, name=f"w{number}-")
        bed.turn(hour(number + 1.5))
        bed.turn(hour(number + 1.6))
    queued = bed.facts(ReviewQueued)
    assert len(queued) == 6
    for fact in queued:
        assert 1 <= len(fact.items) <= 2, "48 a day are two an hour"
        assert all(0 < propensity <= 1 for _, _, propensity in fact.items)
    reasons = {reason for fact in queued for _, reason, _ in fact.items}
    assert reasons == {"random", "confidence"}
    assert store.status(WALL)["open"] == sum(len(fact.items) for fact in queued)


@pytest.mark.fault("H10")
@pytest.mark.parametrize("hidden", [frozenset[str](), frozenset({"x"})])
def test_the_queue_does_not_hold_what_nobody_is_to_see(store: ReviewDB, hidden: frozenset[str]) -> None:
    bed = started(store, replace(RULE, gold_share=0.5, gold_sources=("lab",)), hidden=hidden)
    serve(bed, 40, name="old")
    for i in range(20):
        bed.label(f"old{i}", 1, hour(1.1), source="lab")
    bed.turn(hour(1.5))
    serve(bed, 40, begin=1.6, name="new")
    bed.turn(hour(3.5))
    rows = [json.loads(shown) for (shown,) in store.all("SELECT shown FROM item")]
    assert {item[1] for fact in bed.facts(ReviewQueued) for item in fact.items} >= {"gold", "random"}
    assert {name for row in rows for name in row} == set(COLUMNS.names) - hidden


def test_strange_and_disputed_answers_have_pools_of_their_own(store: ReviewDB) -> None:
    rule = ReviewRule(per_day=24 * 20, random=0.2, ood=0.01, disagreement=0.1)
    sample = pl.DataFrame({"x": [float(i % 50) for i in range(500)]})
    bed = started(store, rule, sample=sample)
    strange, disputed = {f"s{i}" for i in range(8)}, {f"d{i}" for i in range(8)}
    for name in sorted(strange):
        bed.serve(name, hour(0.1), row={"x": 1e6})
    for name in sorted(disputed):
        bed.serve(name, hour(0.2), shadow_version="v2", shadow=Answer(output=0))
    serve(bed, 40)
    bed.turn(hour(1.5))
    (queued,) = bed.facts(ReviewQueued)
    by_reason = {name: {id for id, reason, _ in queued.items if reason == name} for name in ("ood", "disagreement")}
    assert by_reason["ood"]
    assert by_reason["ood"] <= {bed.id(name) for name in strange}
    assert by_reason["disagreement"]
    assert by_reason["disagreement"] <= {bed.id(name) for name in disputed}


def test_a_version_without_a_sample_says_that_it_knows_no_strange_rows(
    store: ReviewDB, caplog: pytest.LogCaptureFixture
) -> None:
    bed = started(store, ReviewRule(per_day=240, ood=0.01))
    serve(bed, 40)
    bed.turn(hour(1.5))
    assert "no strange rows are reviewed version=v1" in caplog.text
    assert {reason for _, reason, _ in bed.facts(ReviewQueued)[0].items} == {"random"}


@pytest.mark.parametrize("restarts", [False, True])
def test_a_vote_becomes_a_label_once_and_the_record_says_by_whom(store: ReviewDB, restarts: bool) -> None:
    bed = started(store, restarts=restarts)
    serve(bed, 40)
    bed.turn(hour(1.5))
    id = ask(store, "ada")
    store.answer(id, "ada", 0, WALL)
    assert labels(bed) == []
    for _ in range(3):
        bed.turn(hour(1.6))
    assert labels(bed) == [("0", "review")]
    (settled,) = bed.facts(ReviewSettled)
    assert (settled.by, settled.agreed, settled.revision) == (("ada",), True, 1)
    assert "value" not in settled.__slots__, "what people said can be erased; facts cannot"
    assert bed.lake.counts()["labels"] == 1


def test_two_have_to_agree_on_their_share_and_a_third_is_asked_where_they_do_not(store: ReviewDB) -> None:
    bed = started(store, replace(RULE, per_day=24, double=1.0))
    serve(bed, 40)
    bed.turn(hour(1.5))
    for who, value in (("ada", 0), ("bob", 1)):
        id = ask(store, who)
        assert id
        store.answer(id, who, value, WALL)
        if who == "ada":
            assert ask(store, "ada") == ""
        bed.turn(hour(1.6))
        assert labels(bed) == []
    store.answer(ask(store, "eve"), "eve", 0, WALL)
    bed.turn(hour(1.7))
    assert labels(bed) == [("0", "review")]
    (settled,) = bed.facts(ReviewSettled)
    assert (settled.by, settled.agreed) == (("ada", "eve"), False)
    assert ask(store, "kim") == "", "it is settled"


@pytest.mark.fault("A7")
@pytest.mark.parametrize("restarts", [False, True])
def test_who_fails_known_answers_loses_his_labels_and_the_items_are_asked_again(
    store: ReviewDB, restarts: bool
) -> None:
    rule = replace(RULE, per_day=240, gold_share=0.5, gold_sources=("lab",))
    bed = started(store, rule, restarts=restarts)
    serve(bed, 40, name="old")
    for i in range(20):
        bed.label(f"old{i}", 1, hour(1.1), source="lab")
    bed.turn(hour(1.5))
    serve(bed, 40, begin=1.6, name="new")
    bed.turn(hour(3.5))
    known = [item for fact in bed.facts(ReviewQueued) for item in fact.items if item[1] == "gold"]
    assert known
    before = len(labels(bed))
    for _ in range(2):  # his labels count while nothing is known of him
        store.answer(ask(store, "eve"), "eve", 0, WALL)
    bed.turn(hour(3.6))
    assert len(labels(bed)) == before + 2
    for _ in range(5):
        store.answer(ask(store, "eve", gold=1.0), "eve", 0, WALL)
        store.answer(ask(store, "ada", gold=1.0), "ada", 1, WALL)
    bed.turn(hour(3.7))
    weighed = {fact.labeller: fact for fact in bed.facts(LabellerWeighed)}
    assert (weighed["eve"].right, weighed["eve"].asked, weighed["eve"].trusted) == (0, 5, False)
    assert weighed["ada"].trusted
    assert [fact.by for fact in bed.facts(ReviewReopened)] == [("eve",)] * 2
    assert len(labels(bed)) == before, "what he said is withdrawn"
    store.answer(ask(store, "eve"), "eve", 0, WALL)
    bed.turn(hour(3.8))
    assert len(labels(bed)) == before, "and counts no more"
    asked = {item for item in (ask(store, f"n{i}") for i in range(30)) if item}
    open_again = {each.id for each in store.voted({"eve"}) if each.settled is None}
    assert open_again
    assert open_again <= asked, "others are asked"


@pytest.mark.fault("L10")
@pytest.mark.parametrize("second", ["account:root", "bob"])
def test_one_person_who_comes_in_two_ways_has_one_vote(store: ReviewDB, second: str) -> None:
    bed = started(store, replace(RULE, per_day=24, double=1.0), person=lambda name: name.removeprefix("account:"))
    serve(bed, 40)
    bed.turn(hour(1.5))
    for who in ("root", second):
        store.answer(ask(store, who), who, 0, WALL)
    bed.turn(hour(1.6))
    assert labels(bed) == ([("0", "review")] if second == "bob" else []), "the control: two persons agree"
    assert (ask(store, "eve") == "") is (second == "bob"), "a second person is asked"


@pytest.mark.fault("L10")
@pytest.mark.parametrize("restarts", [False, True])
def test_what_two_agreed_on_is_asked_again_when_they_turn_out_to_be_one(store: ReviewDB, restarts: bool) -> None:
    who = dict[str, str]()
    bed = started(
        store, replace(RULE, per_day=24, double=1.0), restarts=restarts, person=lambda name: who.get(name, name)
    )
    serve(bed, 40)
    bed.turn(hour(1.5))
    for name in ("ann", "account:ann-os"):
        store.answer(ask(store, name), name, 0, WALL)
    bed.turn(hour(1.6))
    assert labels(bed) == [("0", "review")]
    who["account:ann-os"] = "ann"
    bed.turn(hour(1.7))
    assert labels(bed) == []
    assert [each.by for each in bed.facts(ReviewReopened)] == [()]
    store.answer(ask(store, "eve"), "eve", 0, WALL)
    bed.turn(hour(1.8))
    assert labels(bed) == [("0", "review")]
    assert bed.facts(ReviewSettled)[-1].by == ("ann", "eve")


@pytest.mark.fault("A7")
def test_who_failed_known_answers_in_one_name_is_not_believed_in_another(store: ReviewDB) -> None:
    rule = replace(RULE, per_day=240, gold_share=0.5, gold_sources=("lab",))
    bed = started(store, rule, person=lambda name: "eve" if name.startswith("eve") else name)
    serve(bed, 40, name="old")
    for i in range(20):
        bed.label(f"old{i}", 1, hour(1.1), source="lab")
    bed.turn(hour(1.5))
    serve(bed, 40, begin=1.6, name="new")
    bed.turn(hour(3.5))
    before = len(labels(bed))
    for i in range(5):
        store.answer(ask(store, f"eve{i}", gold=1.0), f"eve{i}", 0, WALL)
    for who in ("eve9", "ada"):
        store.answer(ask(store, who), who, 0, WALL)
    bed.turn(hour(3.6))
    (weighed,) = [fact for fact in bed.facts(LabellerWeighed) if fact.labeller == "eve"]
    assert (weighed.asked, weighed.trusted) == (5, False)
    assert len(labels(bed)) == before + 1, "ada's alone"


def test_rows_that_have_a_label_are_not_asked_about(store: ReviewDB) -> None:
    bed = started(store, replace(RULE, per_day=24 * 40))
    serve(bed, 40)
    for i in range(10):
        bed.label(f"p{i}", 1, hour(0.9), source="api")
        bed.label(f"p{i + 10}", 1, hour(0.9), source="implicit")
    bed.turn(hour(1.5))
    (queued,) = bed.facts(ReviewQueued)
    asked = {prediction for prediction, _, _ in queued.items}
    assert not asked & {bed.id(f"p{i}") for i in range(10)}
    assert asked & {bed.id(f"p{i + 10}") for i in range(10)}, "a proxy makes no review needless"


@pytest.mark.parametrize("broken", ["append", "stored", "told"])
def test_a_process_that_dies_in_the_middle_loses_nothing_and_repeats_nothing(
    store: ReviewDB, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed = started(store)
    serve(bed, 40)

    def dies(*_: object, **__: object) -> None:
        raise UnavailableError("killed here")

    if broken == "told":
        with monkeypatch.context() as patched, pytest.raises(UnavailableError):
            patched.setattr(store, "told", dies)
            bed.turn(hour(1.5))
        bed.boot()
    bed.turn(hour(1.6))
    assert len(bed.facts(ReviewQueued)) == 1
    store.answer(ask(store, "ada"), "ada", 1, WALL)
    with monkeypatch.context() as patched, pytest.raises(UnavailableError):
        patched.setattr(bed.lake if broken == "append" else store, "append" if broken == "append" else "stored", dies)
        bed.turn(hour(1.7))
    bed.boot()
    bed.turn(hour(1.8))
    assert labels(bed) == [("1", "review")]
    assert bed.lake.counts()["labels"] == 1
    assert len(bed.facts(ReviewSettled)) == 1
    assert store.words(bed.lake.drained("review")) == []
