"""Orders to the gateways: in force at once, whatever else is down, and on record as soon as there is one."""

import logging
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.fact_reader import read_facts, read_lease, watch_record
from anew.adapters.postgres_link import Place
from anew.adapters.system_clock import SystemClock
from anew.app.hold import HOLDING, Holding
from anew.app.person import person_here
from anew.app.record_place import record_place
from anew.app.replica_loop import tell_routing
from anew.app.routed import traffic_of
from anew.app.status import state_folder
from anew.domain.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    PolicyError,
    SettingsError,
    UnavailableError,
)
from anew.domain.fact import Fact
from anew.domain.facts import Order, TrafficOrdered, TrafficShifted
from anew.domain.order import ordered

__all__ = ["Ordered", "check_order", "order"]

_LOG = logging.getLogger("anew.order")
_PATIENCE_S = 10.0
_LOOK_S = 0.5
_READ_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """An order that the gateways obey.

    Attributes
    ----------
    recorded
        Has a loop taken note of it? Without one, it does when it runs.
    facts
        What the loop made of it.
    """

    order: TrafficOrdered
    recorded: bool
    facts: Sequence[Fact]


def order(
    project: Path,
    action: Order,
    reason: str,
    *,
    by: str = "",
    command: str = "",
    expect: tuple[str, str] | None = None,
) -> Ordered:
    """Order the project's gateways; needs its routing and its key, and nothing else.

    Parameters
    ----------
    by
        Who orders it; empty for who runs this program.
    command
        Its unique id; empty for a new one.
    expect
        Which version the order is to take off traffic, or to hold, and which is to serve then; None for whatever is.

    Raises
    ------
    NotFoundError
        The project was never brought up, or never served.
    PolicyError
        There is nothing to hold, to let go on, to end or to go back to; or who would serve cannot.
    ConflictError
        It would come to something else than is expected.
    """
    check_order(project, action, command=command)
    traffic, model = traffic_of(project)
    who = by or person_here(state_folder(project))

    def make(routing: TrafficShifted) -> TrafficOrdered:
        made = ordered(routing, action, command=command or uuid.uuid4().hex, by=who, reason=reason)
        if expect is not None and expect != (made.version, made.champion[0]):
            raise ConflictError(
                f"it was to go from {expect[0]} to {expect[1]}, and would go from {made.version} to "
                f"{made.champion[0]} now: the traffic has changed meanwhile; look again and decide again"
            )
        unfit = [each.unfit for each in traffic.workers(model) if each.unfit]
        if made.champion == routing.fallback and unfit:
            raise PolicyError(f"{made.champion[0]} cannot serve: {unfit[0]}; nothing was changed")
        return made

    made = traffic.order(model, make)
    assert traffic.signer is not None, "looked after by traffic_of"  # noqa: S101  an invariant of ours
    problem = tell_routing(project, traffic.signer)
    if problem:
        _LOG.warning("replicas on other hosts have not heard of it yet problem=%s", problem)
    facts = _recorded(project, made)
    return Ordered(order=made, recorded=facts is not None, facts=facts or ())


def check_order(project: Path, action: Order, *, command: str = "") -> None:
    """Refuse to hold what is held, and to let go on what nobody holds, where that is known at once.

    The gateways' own word counts, and the record's if it can be read whole within a second: an order may not wait for
    a database. Where neither says that it is so already, the order goes through.

    Raises
    ------
    PolicyError
        It is so already, and not by the order `command`.
    NotFoundError, ConflictError
        As `traffic_of`.
    """
    if action not in (Order.HOLD, Order.RESUME):
        return
    traffic, model = traffic_of(project)
    orders, routing = traffic.ordered(model), traffic.published(model)  # before the record, with which orders go
    recorded = _recorded_hold(project)
    holding = recorded or Holding()
    seen = {each.command for each in (*orders, *((holding.last,) if holding.last else ()))}
    if routing is None or not routing.challenger[0] or command in seen:
        return  # there is nothing under way, as `ordered` says; or it is the same order once more
    version, held = routing.challenger[0], holding.held_after(orders)
    under_way = {each.version for each in routing.challengers}
    named = ", ".join(sorted(under_way))
    known = recorded is not None and version in holding.arms
    if action is Order.HOLD and held is not None and under_way & {each.version for each in held.challengers}:
        raise PolicyError(
            f"nothing to hold: the rollout of {named} is held already, by {held.by}: {held.reason}; "
            "let it go on with: anew rollout resume"
        )
    if action is Order.RESUME and held is None and (known or orders):
        waits = "; a freeze of the policy keeps it where it is until its end" if holding.frozen else ""
        raise PolicyError(f"nothing to resume: nobody holds the rollout of {named}{waits}")


def _recorded_hold(project: Path) -> Holding | None:
    """Return what the record says; None where it cannot be read whole, or not soon."""
    found: list[Holding] = []

    def read() -> None:
        holding = Holding()
        with suppress(Exception):  # whatever keeps it from being read, the order does not need it
            for each in read_facts(record_place(state_folder(project)), kinds=HOLDING):
                holding.hear(each.fact)
            found.append(holding)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(_READ_S)
    return found[0] if found else None


def _recorded(project: Path, made: TrafficOrdered) -> Sequence[Fact] | None:
    """Wait until a running loop has taken note, and return what it made of the order; None when none does."""
    deadline = time.monotonic() + _PATIENCE_S
    try:
        place = record_place(state_folder(project))
        with watch_record(place) as wait:
            while read_lease(place, clock=SystemClock()) is not None and time.monotonic() < deadline:
                found = _made_of(place, made)
                if found is not None:
                    return found
                wait(_LOOK_S)
    except (NotFoundError, UnavailableError, IntegrityError, SettingsError):
        return None  # the order is in force all the same
    return None


def _made_of(place: Place, made: TrafficOrdered) -> Sequence[Fact] | None:
    """Return what is on record as following from the order; None while the order is not."""
    heard = [each.seq for each in read_facts(place, kinds={made.kind}) if each.fact.id == made.id]
    if not heard:
        return None
    caused = {made.id}
    found = []
    for each in read_facts(place, after=heard[0]):
        if each.fact.cause in caused:
            caused.add(each.fact.id)
            found.append(each.fact)
    return found
