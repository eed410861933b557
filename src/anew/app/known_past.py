"""What the effects of a running loop have to know of the past."""

from anew.domain.fact import Fact
from anew.loop.live import LiveLoop
from anew.loop.past import Record
from anew.ports.eventlog import EventLog

__all__ = ["known_past"]


def known_past(loop: LiveLoop, log: EventLog) -> Record:
    """Return what looks it up in the states of `loop`, as they are when it is asked, and in its record."""

    def find(id: str) -> Fact | None:
        recorded = log.find(id)
        return None if recorded is None else recorded.fact

    def newest() -> str:
        trained = [each.digest for each in loop.state("registry").versions.values() if each.digest]
        return trained[-1] if trained else ""

    def first() -> str:
        served = loop.state("registry").served
        return served[0] if served else ""

    def digest_of(version: str) -> str:
        digest: str = loop.state("rollout").digest(version)
        return digest

    return Record(digest_of=digest_of, find=find, newest=newest, first_champion=first)
