"""Stop the rollout under way, or go back from the champion to the one before it."""

from collections.abc import Sequence

from anew.cli._order import give_order, order_options
from anew.cli._parser import Parser
from anew.domain.facts import Order

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Order it at the gateways, which obey at once, and say what the loop made of it."""
    parser = Parser(prog="anew rollback", description=__doc__, allow_abbrev=False)
    order_options(parser, "anew.rollback/1")
    give_order("anew.rollback/1", Order.ROLLBACK, parser.parse_args(words))
