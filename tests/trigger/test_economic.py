"""Economic: waiting, rises, trust, revival; and that nothing unmeasured ever counts."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from anew.domain.errors import InvariantError
from anew.trigger.economic import Bought, Choice, Economic, Ledger, Standing, WindowLosses

PRICE = 100.0
RULE = Economic()


def windows(
    losses: Callable[[int], float], first: int, last: int, champion: str = "v1", **others: Callable[[int], float]
) -> tuple[WindowLosses, ...]:
    return tuple(
        WindowLosses(
            index=i,
            champion=champion,
            loss={champion: losses(i)} | {name: of(i) for name, of in others.items()},
            error=dict.fromkeys(others, 3.0),
        )
        for i in range(first, last)
    )


def choose(seen: tuple[WindowLosses, ...], **other: object) -> Choice:
    now = seen[-1].index + 1
    ledger = Ledger(champion=Standing(name="v1", end=10), windows=seen, now=now, since=10, price=PRICE)
    return RULE.choose(replace(ledger, **other))  # type: ignore[arg-type]  # by name


def first_retrain(losses: Callable[[int], float], last: int = 60, **other: object) -> int | None:
    for now in range(11, last):
        if choose(windows(losses, 10, now), **other).kind == "retrain":
            return now
    return None


def test_a_jump_by_more_than_the_price_is_answered_at_once() -> None:
    assert first_retrain(lambda i: 30.0 if i < 20 else 300.0) == 21


def test_the_dearer_a_retrain_the_longer_it_waits() -> None:
    def risen(i: int) -> float:
        return 30.0 if i < 20 else 60.0

    found = [first_retrain(risen, price=price) for price in (50.0, 100.0, 200.0)]
    assert all(each is not None and each > 20 for each in found)
    assert found == sorted(found, key=lambda each: each or 0)
    assert found[0] != found[2]


def test_noise_about_a_level_is_no_rise() -> None:
    def noisy(i: int) -> float:
        return 30.0 + (5.0 if i % 2 else -5.0)

    assert choose(windows(noisy, 10, 40)).numbers["regret of a rise"] == 0.0


def test_a_flawless_model_is_left_alone_even_when_a_retrain_is_free() -> None:
    assert first_retrain(lambda _: 0.0, price=0.0) is None
    assert first_retrain(lambda i: 0.0 if i < 20 else 50.0, price=0.0) == 21


def test_nothing_scored_is_no_reason_to_retrain() -> None:
    ledger = Ledger(champion=Standing(name="v1", end=10), now=500, since=10, price=PRICE)
    assert RULE.choose(ledger).kind == "keep"
    only_trained_on = windows(lambda i: 900.0 + i, 5, 10)
    assert RULE.choose(replace(ledger, windows=only_trained_on)).kind == "keep"


def test_a_gap_to_the_retired_champion_makes_it_retrain_sooner() -> None:
    old = Standing(name="v0", end=5)

    def waits(gap: float) -> int:
        for now in range(11, 200):
            seen = windows(lambda _: 30.0, 10, now, v0=lambda _: 30.0 + gap)
            if choose(seen, archive=(old,)).kind == "retrain":
                return now
        raise AssertionError("never")

    assert waits(40.0) < waits(10.0) < waits(0.0)


def test_retired_champions_of_about_as_many_rows_are_asked_about_age_where_there_are_any() -> None:
    seen = windows(lambda _: 30.0, 10, 16, odd=lambda _: 70.0, like=lambda _: 31.0)

    def slope(**rows: int) -> float:
        archive = tuple(Standing(name=name, end=5, rows=count) for name, count in rows.items())
        return choose(seen, champion=Standing(name="v1", end=10, rows=900), archive=archive).numbers["slope"]

    assert slope(odd=900) > slope(odd=900, like=900) > slope(like=900)
    assert slope(odd=674, like=675) == slope(odd=1201, like=1200) == slope(like=900)
    assert slope(odd=674, like=600) == slope(odd=1201, like=2000) == slope(odd=0, like=0) == slope(odd=900, like=900)


def test_one_that_is_no_older_or_was_not_scored_is_not_asked_about_age() -> None:
    seen = windows(lambda _: 30.0, 10, 16, same=lambda _: 70.0, old=lambda _: 70.0)
    champion, old = Standing(name="v1", end=10, rows=900), Standing(name="old", end=5, rows=100)
    same, unknown = Standing(name="same", end=10, rows=900), Standing(name="unknown", end=5, rows=900)
    alone = choose(seen, champion=champion, archive=(old,)).numbers
    assert alone["asked about age"] == 1
    assert choose(seen, champion=champion, archive=(same, old, unknown)).numbers == alone
    assert choose(seen, champion=champion, archive=(same, unknown)).numbers["asked about age"] == 0


def test_no_more_are_asked_about_age_than_are_scored() -> None:
    names = [f"o{i}" for i in range(RULE.archive + 1)]
    others: dict[str, Callable[[int], float]] = {name: lambda _: 40.0 for name in names}
    seen = windows(lambda _: 30.0, 10, 16, "v1", **others)
    archive = tuple(Standing(name=name, end=5) for name in names)
    assert choose(seen, archive=archive).numbers["asked about age"] == RULE.archive


def test_windows_without_labels_count_as_waiting() -> None:
    seen = windows(lambda _: 30.0, 10, 13, v0=lambda _: 50.0)
    archive = (Standing(name="v0", end=5),)
    assert choose(seen, archive=archive).kind == "keep"
    assert choose(seen, archive=archive, now=40).kind == "retrain"


def test_a_rise_that_retrains_never_took_off_is_trusted_less() -> None:
    seen = windows(lambda i: 30.0 if i < 14 else 70.0, 10, 16, old=lambda _: 70.0, new=lambda _: 70.0)
    in_vain = tuple(Bought(old="old", new="new", rise=40.0, level=10.0) for _ in range(3))
    kept = (Bought(old="old", new="v1", rise=1.0, level=10.0),)
    doubted, believed = choose(seen, bought=in_vain).numbers, choose(seen, bought=kept).numbers
    assert doubted["trust"] < 0.2 < 0.7 < believed["trust"]
    assert doubted["regret of a rise"] < believed["regret of a rise"]


def test_an_archived_champion_comes_back_when_it_is_clearly_better() -> None:
    archive = (Standing(name="v0", end=5),)
    better = windows(lambda _: 60.0, 10, 12, v0=lambda _: 30.0)
    assert (choose(better, archive=archive).kind, choose(better, archive=archive).version) == ("revive", "v0")
    hardly = windows(lambda _: 33.0, 10, 12, v0=lambda _: 30.0)
    assert choose(hardly, archive=archive).kind == "keep"


def test_what_was_compared_with_another_champion_revives_nobody() -> None:
    seen = windows(lambda _: 60.0, 10, 12, champion="v1", v0=lambda _: 30.0)
    stale = tuple(replace(each, champion="v9") for each in seen)
    assert choose(stale, archive=(Standing(name="v0", end=5),)).kind == "keep"


def test_a_model_is_never_judged_on_what_it_was_trained_on() -> None:
    seen = windows(lambda _: 60.0, 10, 12, v0=lambda _: 0.0)
    assert choose(seen, archive=(Standing(name="v0", end=12),)).kind == "keep"


@pytest.mark.parametrize(
    "bad",
    [
        {"revive_z": 0.0},
        {"doubling": 1.0},
        {"forget": 0.0},
        {"archive": -1},
        {"noise": -1},
        {"alike": 1.01},
        {"alike": -0.1},
    ],
)
def test_settings_that_cannot_be_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvariantError, match="economic"):
        Economic(**bad)  # type: ignore[arg-type]  # by name
