"""Are the times on record such that time goes on: none ahead of the clock, none ahead of event time?"""

from datetime import UTC, datetime

from anew.adapters.fact_reader import count_facts, read_facts, reading_facts
from anew.app.doctor.examined import Examined
from anew.app.record_place import record_place
from anew.domain.health import Finding
from anew.loop.event_clock import TOLERANCE

__all__ = ["event_time", "recorded_times"]

_COUNTED_FROM = ("VersionPromoted", "RetrainRequested")


def recorded_times(project: Examined) -> Finding:
    """Was anything recorded later than it is by the clock?"""
    now, place = datetime.now(UTC), record_place(project.state)
    last = read_facts(place, after=max(0, count_facts(place) - 1))
    newest = next((each.recorded_at for each in reversed(list(last))), None)
    if newest is not None and newest > now + TOLERANCE:
        fix = "set the clock, if it is wrong; if it is right, it was ahead then: see what is said of event time"
        return Finding.bad("recorded times", f"the newest fact was recorded at {newest:%Y-%m-%d %H:%M:%S} UTC", fix)
    said = "nothing on record" if newest is None else f"newest {newest:%Y-%m-%d %H:%M:%S} UTC"
    return Finding.good("recorded times", said)


def event_time(project: Examined) -> Finding:
    """Is event time ahead of the clock, or what windows and retrains are counted from ahead of event time?"""
    with reading_facts(record_place(project.state)) as reader:
        ticked = reader.last("Ticked")
        dated = [each for kind in _COUNTED_FROM if (each := reader.last(kind)) is not None]
    if ticked is None:
        return Finding.skipped("event time", "no time has passed yet")
    now = ticked.fact.at
    wall, latest = datetime.now(UTC), max((now, *(each.fact.at for each in dated)))
    if project.settings.policy.monitor.clock == "wall" and latest > wall + TOLERANCE:
        found = f"it is {latest:%Y-%m-%d %H:%M} on record, and {wall:%Y-%m-%d %H:%M} by this machine's clock"
        fix = (
            "set the clock, if it is wrong; if it is right, it was ahead before: what serves serves on, but monitoring "
            "stands still until the clock has passed that: wait, restore a backup from before, or begin another folder"
        )
        return Finding.bad("event time", found, fix)
    ahead = [each.fact for each in dated if each.seq < ticked.seq and each.fact.at > now + TOLERANCE]
    if ahead:
        newest = max(ahead, key=lambda fact: fact.at)
        found = f"it is {now:%Y-%m-%d %H:%M}, and {newest.kind} bears {newest.at:%Y-%m-%d %H:%M}"
        fix = "until then nothing is watched or asked for: restore a backup from before, or begin in another folder"
        return Finding.bad("event time", found, fix)
    return Finding.good("event time", f"it is {now:%Y-%m-%d %H:%M}, and nothing lies after it")
