"""Stop the rollout under way, or go back from the champion to the one before it."""

from collections.abc import Sequence
from pathlib import Path

from anew.app.narration import narrate
from anew.app.order import Ordered, order
from anew.cli._output import emit_json, say
from anew.cli._parser import Parser
from anew.domain.facts import Order

__all__ = ["main", "plain_order", "say_order"]


def main(words: Sequence[str]) -> None:
    """Order it at the gateways, which obey at once, and say what the loop made of it."""
    parser = Parser(prog="anew rollback", description=__doc__, allow_abbrev=False)
    parser.add_argument("project", nargs="?", type=Path, default=Path(), help="the project's folder (default: this)")
    parser.add_argument("--reason", default="asked for at the command line", help="why, for the record")
    parser.add_argument("--json", action="store_true", help="print anew.rollback/1")
    given = parser.parse_args(words)
    done = order(given.project, Order.ROLLBACK, given.reason)
    if given.json:
        emit_json("anew.rollback/1", plain_order(done))
    else:
        say_order(done)


def plain_order(done: Ordered) -> dict[str, object]:
    """Return what was ordered as plain values."""
    made = done.order
    return {
        "action": made.action.value,
        "from": made.version,
        "to": made.champion[0],
        "epoch": made.epoch,
        "recorded": done.recorded,
        "facts": [narrate(fact) for fact in done.facts],
    }


def say_order(done: Ordered) -> None:
    """Say what was ordered, and what the loop made of it."""
    say(narrate(done.order))
    for fact in done.facts:
        say(narrate(fact))
    if not done.recorded:
        say("the gateways obey it now; it comes on record when the loop runs (anew up)")
