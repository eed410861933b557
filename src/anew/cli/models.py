"""Show how the models of an installation stand, what is under way, and whose retrain is next."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anew.app.standing import installation_status
from anew.cli._output import emit_json, minute, say
from anew.cli._parser import Parser

__all__ = ["main", "show"]

_MOST = 20
"""Lines of a kind that are printed; the others are counted."""


def main(words: Sequence[str]) -> None:
    """Read what `anew up` said last and print it."""
    parser = Parser(prog="anew models", description=__doc__, allow_abbrev=False)
    parser.add_argument("installation", nargs="?", type=Path, default=Path(), help="its folder (default: this)")
    parser.add_argument("--json", action="store_true", help="print anew.models/1")
    given = parser.parse_args(words)
    show(given.installation, as_json=given.json)


def show(installation: Path, *, as_json: bool) -> None:
    """Print how the models stand."""
    status = installation_status(installation)
    if as_json:
        emit_json("anew.models/1", status)
        return
    models = status["models"]
    say(f"models      {len(models)}, {_counted(models)}   (as of {minute(status['at'])} UTC)")
    say(f"loops       {'run by process ' + str(status['pid']) if status['running'] else 'not running'}")
    compute, under_way = status["compute"], status["compute"]["under_way"]
    left = "" if compute["left_s"] is None else f", {max(compute['left_s'], 0.0) / 3600:.3g} left"
    named = f" ({', '.join(under_way[:3])})" if under_way else ""
    say(f"compute     {len(under_way)} of {compute['at_once']} runs under way{named}; {compute['limit']}{left}")
    _say_queue(status["queue"])
    troubled = [each for each in models if each["problem"] or each["state"] == "hangs"]
    for each in troubled[:_MOST]:
        say(f"{each['state']:<11} {each['project']}: {each['problem'] or 'its loop has not turned for a minute'}")
    _say_rest(len(troubled))
    unserved = [each for each in models if each["unserved"]]
    for each in unserved[:_MOST]:
        place = shlex.quote(str(installation / each["project"]))
        say(f"unserved    {each['project']}: {each['unserved']}; what to do says: anew status {place}")
    _say_rest(len(unserved))


def _counted(models: Sequence[Mapping[str, Any]]) -> str:
    states = [each["state"] for each in models]
    served = sum(bool(each["champion"]) for each in models)
    return ", ".join([f"{states.count(each)} {each}" for each in sorted(set(states))] + [f"{served} with a champion"])


def _say_queue(queue: Sequence[Mapping[str, Any]]) -> None:
    for each in queue[:_MOST]:
        rate = "" if each["rate"] is None else f"; an hour costs {each['rate']:.2g} of its price"
        say(f"waiting     {each['place']}. {each['model']}: {each['detail']}{rate}; due {minute(each['due'])}")
    _say_rest(len(queue))


def _say_rest(count: int) -> None:
    if count > _MOST:
        say(f"            and {count - _MOST} more: anew models --json")
