"""The review queue on disk: one person at a time, nothing lost, nothing told that would give an answer away."""

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anew.adapters.review_db import ReviewDB
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError
from anew.ports.review import ReviewItem

T0 = datetime(2026, 1, 5, tzinfo=UTC)
LEASE = timedelta(minutes=15)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewDB]:
    found = ReviewDB(tmp_path / "review.db")
    yield found
    found.close()


def item(name: str, *, needed: int = 1, truth: int | None = None, key: str = "k") -> ReviewItem:
    return ReviewItem(
        prediction=name,
        at=T0,
        key=key,
        row={"x": 1.5, "c": "über"},
        reason="gold" if truth is not None else "random",
        propensity=0.5,
        window=T0,
        needed=needed,
        truth=truth,
    )


def take(store: ReviewDB, who: str, now: datetime = T0, gold: float = 0.0) -> str:
    found = store.lease(who, now, LEASE, gold=gold)
    return "" if found is None else found.id


@pytest.mark.fault("L10")
def test_an_item_is_one_persons_until_the_time_is_up(store: ReviewDB) -> None:
    store.add([item("p1")], reached=T0)
    mine = take(store, "ada")
    assert mine
    assert take(store, "ada") == mine, "asking again gives the same"
    assert take(store, "bob") == ""
    with pytest.raises(NotFoundError):
        store.answer(mine, "bob", 1, T0)
    late = T0 + LEASE
    assert take(store, "bob", late) == mine, "she closed the tab, and it is not lost"
    with pytest.raises(ConflictError, match="somebody else has it now"):
        store.answer(mine, "ada", 1, late)
    store.answer(mine, "bob", 0, late)
    store.answer(mine, "bob", 0, late)
    with pytest.raises(ConflictError, match="already"):
        store.answer(mine, "bob", 1, late)
    (asked,) = store.voted()
    assert asked.votes == [("bob", 0)]
    assert take(store, "bob", late) == ""


@pytest.mark.fault("L10")
def test_an_answer_that_comes_late_counts_while_nobody_else_has_the_item(store: ReviewDB) -> None:
    store.add([item("p1")], reached=T0)
    mine = take(store, "ada")
    store.answer(mine, "ada", 1, T0 + 3 * LEASE)
    assert store.voted()[0].votes == [("ada", 1)]
    assert take(store, "bob") == "", "one vote is all that was wanted"
    store.want(mine, 2)
    assert take(store, "bob") == mine


@pytest.mark.fault("L10")
def test_of_many_who_ask_at_once_each_gets_an_item_of_his_own(tmp_path: Path) -> None:
    store = ReviewDB(tmp_path / "review.db")
    store.add([item(f"p{i}") for i in range(30)], reached=T0)
    got: list[str] = []
    begin = threading.Barrier(8)

    def work(name: str) -> None:
        own = ReviewDB(tmp_path / "review.db")
        begin.wait()
        for _ in range(5):
            id = take(own, name)
            if id:
                own.answer(id, name, 1, T0)
                got.append(id)
        own.close()

    threads = [threading.Thread(target=work, args=(f"n{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == len(got) == 30
    assert [len(asked.votes) for asked in store.voted()] == [1] * 30
    store.close()


def test_an_item_that_was_skipped_is_somebody_elses(store: ReviewDB) -> None:
    store.add([item("p1")], reached=T0)
    mine = take(store, "ada")
    store.skip(mine, "ada", T0)
    store.skip(mine, "ada", T0)
    assert take(store, "ada") == ""
    with pytest.raises(ConflictError):
        store.answer(mine, "ada", 1, T0)
    assert take(store, "bob") == mine
    assert store.voted() == []
    store.answer(mine, "bob", 1, T0)
    with pytest.raises(ConflictError, match="answered"):
        store.skip(mine, "bob", T0)
    assert [asked.votes for asked in store.voted()] == [[("bob", 1)]]


def test_settled_items_are_not_asked_again_and_say_their_words_in_order(store: ReviewDB) -> None:
    store.add([item("p1"), item("p2")], reached=T0)
    first, second = take(store, "ada"), take(store, "bob")
    assert first != second
    store.answer(first, "ada", 1, T0)
    store.settle(first, 1, T0, ["ada"], agreed=True)
    assert store.voted() == []
    assert [asked.settled for asked in store.voted({"ada"})] == [1]
    with pytest.raises(ConflictError, match="settled"):
        store.settle(second, 0, T0, ["kim"], agreed=True)
        store.answer(second, "bob", 0, T0)
    store.settle(first, None, T0, ["ada"], agreed=False)
    said = [(word.value, word.revision, word.by) for word in store.words(0)]
    assert said == [(1, 1, ("ada",)), (0, 1, ("kim",)), (None, 2, ("ada",))]
    store.stored(2)
    assert [word.number for word in store.words(0)] == [3]
    store.stored(3)
    store.settle(second, 1, T0, ["kim"], agreed=True)
    assert [word.number for word in store.words(0)] == [4], "numbers are never given again"
    store.want(first, 2)
    assert take(store, "kim") == first, "it is open again"


@pytest.mark.fault("A7")
def test_known_answers_look_like_any_other_and_are_had_once_by_each(store: ReviewDB) -> None:
    store.add([item("p1"), item("g1", truth=1)], reached=T0)
    for who in ("ada", "bob"):
        question = store.lease(who, T0, LEASE, gold=1.0)
        assert question is not None
        assert question.row == {"x": 1.5, "c": "über"}
        assert "g1" not in repr(question), "the record names which predictions have known answers"
        store.answer(question.id, who, 1 if who == "ada" else 0, T0)
    assert store.gold() == {"ada": [(1, 1)], "bob": [(0, 1)]}
    assert store.voted() == [], "nobody settles what is known"
    other = store.lease("ada", T0, LEASE, gold=1.0)
    assert other is not None, "without another known one, an open one"
    assert store.lease("ada", T0 + 2 * LEASE, LEASE, gold=0.0) is not None


@pytest.mark.fault("A7")
def test_whom_to_believe_outlives_what_they_were_asked(store: ReviewDB, tmp_path: Path) -> None:
    for name in ("g1", "g2"):
        store.add([item(name, truth=1)], reached=T0)
        question = store.lease("ada", T0, LEASE, gold=1.0)
        assert question is not None
        store.answer(question.id, "ada", 0, T0)
    assert store.gold() == {"ada": [(0, 1), (0, 1)]}
    assert store.forget(before=T0 + LEASE) == 2
    assert store.gold() == {"ada": [(0, 1), (0, 1)]}
    assert ReviewDB(tmp_path / "review.db").gold() == {"ada": [(0, 1), (0, 1)]}
    assert store.forget(before=T0 + LEASE) == 0
    assert store.gold() == {"ada": [(0, 1), (0, 1)]}, "counted once"
    store.add([item("g3", truth=1)], reached=T0)
    question = store.lease("bob", T0, LEASE, gold=1.0)
    assert question is not None
    store.answer(question.id, "bob", 1, T0)
    key = store.all("SELECT key FROM item")[0][0]
    assert store.forget(key=key, before=T0 + LEASE) == 1
    assert "bob" not in store.gold(), "what is erased about somebody is erased whole"


def test_what_was_chosen_is_added_once_and_told_once(tmp_path: Path) -> None:
    store = ReviewDB(tmp_path / "review.db")
    assert store.reached() is None
    store.add([item("p1"), item("p2")], reached=T0 + LEASE)
    store.add([item("p1")], reached=T0 + LEASE)
    store.close()
    store = ReviewDB(tmp_path / "review.db")
    assert store.reached() == T0 + LEASE
    assert [each.prediction for each in store.untold()] == ["p1", "p2"]
    store.told(T0)
    assert store.untold() == []
    status = store.status(T0)
    assert (status["open"], status["settled"], status["leased"]) == (2, 0, 0)
    store.close()


def test_a_subject_is_erased_from_the_file(tmp_path: Path) -> None:
    store = ReviewDB(tmp_path / "review.db")
    store.add([item("p1", key="ann"), item("p2", key="bob")], reached=T0)
    ids = {asked: take(store, asked) for asked in ("ada", "kim")}
    for who, id in ids.items():
        store.answer(id, who, 1, T0)
        store.settle(id, 1, T0, [who], agreed=True)
    assert any(b"ann" in file.read_bytes() for file in tmp_path.iterdir())
    assert store.forget(key="ann") == 1
    assert not any(b"ann" in file.read_bytes() for file in tmp_path.iterdir()), "not in the log beside it either"
    assert [word.prediction for word in store.words(0)] == ["p2"]
    assert store.forget(before=T0 + LEASE) == 1
    assert [word.prediction for word in store.words(0)] == ["p2"], "what was said and not stored yet is not lost"
    store.close()
    assert stat.S_IMODE((tmp_path / "review.db").stat().st_mode) == 0o600


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "review.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(IntegrityError):
        ReviewDB(tmp_path / "review.db")


def test_a_file_of_before_gets_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    before = ReviewDB(tmp_path / "old.db")
    before.add([item("p1")], reached=T0)
    with before.writing() as db:
        for name in ("answer", "score", "version"):
            db.execute(f"ALTER TABLE item DROP COLUMN {name}")
        db.execute("DROP TABLE retold")
        db.execute("DROP TABLE placed")
    before.close()
    now = ReviewDB(tmp_path / "old.db")
    now.add([item("p2")], reached=T0)
    assert {take(now, "ada"), take(now, "bob")} == {id for (id,) in now.all("SELECT id FROM item")}
    assert now.retold() == (0, [])
    assert now.last_vote() == 0
    now.close()


@pytest.mark.fault("L10")
def test_control_without_a_lease_two_get_one_item(store: ReviewDB) -> None:
    store.add([item("p1")], reached=T0)
    first, second = (store.lease(who, T0, timedelta(0), gold=0.0) for who in ("ada", "bob"))
    assert first is not None
    assert second is not None
    assert first.id == second.id, "no time at all: nobody has it"
