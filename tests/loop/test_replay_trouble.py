"""What breaks in a replay is counted as often as it came."""

from datetime import UTC, datetime, timedelta

from anew.domain.evidence import BROKEN, Evidence
from anew.domain.facts import WindowClosed
from anew.domain.interval import Interval
from anew.loop.replay_trouble import troubles

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def closed(day: int, *evidence: Evidence) -> WindowClosed:
    window = Interval(start=T0 + timedelta(days=day), end=T0 + timedelta(days=day + 1))
    return WindowClosed(model="m", at=window.end, version="v1", window=window, n=9, rows="", evidence=evidence)


def unmeasured(name: str, subject: str) -> Evidence:
    return Evidence.of(name, None, 0, subject=subject, problem=f"nothing of {subject}")


def test_a_detector_that_fails_on_many_subjects_of_a_window_failed_once() -> None:
    never = [unmeasured("psi", subject) for subject in ("x", "z", "shop")]
    facts = [closed(day, *never, unmeasured("own", BROKEN)) for day in (0, 1)]
    facts.append(closed(2, Evidence.of("own", 0.1, 9), unmeasured("own", "z")))
    assert [(each["kind"], each["name"], each["count"], each["said"]) for each in troubles(facts)] == [
        ("unmeasured", "psi", 2, "nothing of x"),
        ("unmeasured", "own", 2, f"nothing of {BROKEN}"),
    ]
