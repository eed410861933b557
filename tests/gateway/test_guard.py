"""When a version is not asked any more."""

from anew.gateway.guard import Guard
from anew.gateway.settings import GatewaySettings
from anew.testing.fake_predictor import FAKE_COLUMNS


def guard() -> Guard:
    return Guard("v2", GatewaySettings(model="m", columns=FAKE_COLUMNS))


def test_it_trips_at_the_fifth_failure_and_says_why() -> None:
    watch = guard()
    for _ in range(4):
        watch.missed(1, "deadline")
        assert not watch.tripped
    watch.missed(1, "nonsense")
    assert watch.health().tripped == "5 of its last 5 rows failed (in all: deadline 4, nonsense 1)"


def test_failures_below_the_share_do_not_trip_it() -> None:
    watch = guard()
    for _ in range(100):
        watch.answered(99, 0.001)
        watch.missed(1, "error")
    assert not watch.tripped
    assert watch.health().asked == 10_000
    assert watch.health().failed == {"error": 100}


def test_a_long_good_past_buys_nothing() -> None:
    watch = guard()
    for _ in range(10_000):
        watch.answered(1, 0.001)
    for _ in range(5):
        watch.missed(1, "crashed")
    assert not watch.tripped  # 5 of 250 are exactly the share
    watch.missed(1, "crashed")
    assert watch.tripped


def test_a_newer_epoch_asks_again_and_keeps_the_counts() -> None:
    watch = guard()
    watch.missed(9, "crashed")
    watch.reset()
    assert not watch.tripped
    watch.missed(4, "crashed")
    assert not watch.tripped
    assert watch.health().failed == {"crashed": 13}


def test_latency_is_counted_on_the_grid() -> None:
    watch = guard()
    watch.answered(98, 0.0009)
    watch.answered(2, 0.15)
    watch.answered(1, 1e9)
    watch.answered(1, 0.0)
    health = watch.health()
    median = health.latency_ms(0.5)
    assert median is not None
    assert 0.9 <= median <= 0.9 * 2**0.25
    assert sum(health.latency) == 102
    assert health.latency[-1] == 1


def test_rows_that_nobody_could_answer_are_counted_and_trip_nothing() -> None:
    watch = guard()
    watch.answered(1, 0.001)
    watch.excused(100, "error")
    health = watch.health()
    assert (health.asked, health.failed, health.tripped) == (101, {"error": 100}, "")
    assert (health.recent_asked, health.recent_failed) == (1, 0)
    watch.missed(5, "nonsense")
    assert (watch.health().recent_asked, watch.health().recent_failed) == (6, 5)
    assert watch.tripped
