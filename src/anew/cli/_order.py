"""What every order to the gateways has in common: look before, ask where a person sits there, give it, say it."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from anew.app.narration import narrate
from anew.app.order import Ordered, check_order, order
from anew.app.person import person_here
from anew.app.routed import routed
from anew.app.status import state_folder
from anew.cli._intent import Intent, agreed, check_champion, intent_options
from anew.cli._output import emit_json, say
from anew.domain.facts import Order, TrafficOrdered
from anew.domain.order import ordered

__all__ = ["give_order", "order_options"]


def order_options(parser: ArgumentParser, schema: str) -> None:
    """Declare the options of an order that prints `schema`."""
    parser.add_argument("project", nargs="?", type=Path, default=Path(), help="the project's folder (default: this)")
    parser.add_argument("--reason", default="asked for at the command line", help="why, for the record")
    intent_options(parser)
    parser.add_argument("--json", action="store_true", help=f"print {schema}")


def give_order(schema: str, action: Order, given: Namespace) -> None:
    """Give the order that `given` asks for, unless it would come to something else than was agreed to."""
    routing, intent = routed(given.project), Intent.of(given)
    check_champion(given.project, intent)
    check_order(given.project, action)
    by = person_here(state_folder(given.project))
    planned = ordered(routing, action, command="planned", by=by, reason=given.reason)
    if not agreed(intent, f"come to: {narrate(planned)}", as_json=given.json):
        if given.json:
            _tell(schema, planned, None, as_json=True)
        return
    done = order(given.project, action, given.reason, expect=(planned.version, planned.champion[0]))
    _tell(schema, done.order, done, as_json=given.json)


def _tell(schema: str, made: TrafficOrdered, done: Ordered | None, *, as_json: bool) -> None:
    """Say what was ordered, or would be, and what the loop made of it."""
    facts = [] if done is None else [narrate(fact) for fact in done.facts]
    recorded = done is not None and done.recorded
    if as_json:
        plain = {"action": made.action.value, "from": made.version, "to": made.champion[0], "epoch": made.epoch}
        emit_json(schema, plain | {"given": done is not None, "recorded": recorded, "facts": facts})
        return
    say(narrate(made))
    for sentence in facts:
        say(sentence)
    if done is not None and not recorded:
        say("the gateways obey it now; it comes on record when the loop runs (anew up) and is done with what it is at")
