"""Steer the rollout under way; the gateways obey at once, also while nothing else works."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from anew.app.accepted import accepted
from anew.app.command import told_waiting
from anew.app.prune import prune
from anew.app.release import refuse_release
from anew.app.release import release as let_go
from anew.app.rollout_status import rollout_status
from anew.cli._intent import Intent, agreed, check_champion, intent_options
from anew.cli._order import give_order, order_options
from anew.cli._output import emit_json, minute, say
from anew.cli._parser import Commands, run_command
from anew.domain.facts import Order

__all__ = ["COMMANDS", "abort", "hold", "main", "prune_", "release", "resume", "status"]


def main(words: Sequence[str]) -> None:
    """Run the command that the words after ``anew rollout`` name."""
    run_command("rollout", __doc__, COMMANDS, words)


def _options(parser: ArgumentParser, *, command: str) -> None:
    parser.add_argument("project", nargs="?", type=Path, default=Path(), help="the project's folder (default: this)")
    parser.add_argument("--json", action="store_true", help=f"print anew.rollout.{command}/1")


def hold(given: Namespace) -> None:
    """Keep the traffic as it is: no step, no promotion, until it is resumed; harm is still taken back."""
    _do(Order.HOLD, given)


def resume(given: Namespace) -> None:
    """Let a rollout that was held go on."""
    _do(Order.RESUME, given)


def abort(given: Namespace) -> None:
    """Take the challenger off traffic; it is quarantined, the champion serves on."""
    _do(Order.ABORT, given)


def release(given: Namespace) -> None:
    """Let a version that was taken back be tried again, once a retrain makes its bytes anew."""
    settings, intent = accepted(given.project), Intent.of(given)
    check_champion(given.project, intent)
    refuse_release(settings, given.version)
    would = f"release {given.version} from quarantine: a candidate of the same bytes may be served again"
    asked = agreed(intent, would, as_json=given.json)
    taken = asked and let_go(settings, given.version, given.reason)[0]
    if given.json:
        emit_json("anew.rollout.release/1", {"version": given.version, "asked": asked, "taken": taken})
    elif asked:
        say(f"{given.version} is released from quarantine" if taken else told_waiting(settings.state))


def _release_options(parser: ArgumentParser) -> None:
    parser.add_argument("version", help="the version that was taken back")
    _options(parser, command="release")
    parser.add_argument("--reason", required=True, help="why, for the record")
    intent_options(parser)


def status(given: Namespace) -> None:
    """Show where traffic stands and what was seen of the challenger."""
    found = rollout_status(given.project)
    if given.json:
        emit_json("anew.rollout.status/1", found)
        return
    share = f" at {found['share']:.0%}" if found["share"] else ""
    beside = f", {found['challenger']} in {found['stage']}{share}" if found["challenger"] else ""
    if found["stage"] == "ab":
        beside = ", others on trial beside it"
    say(f"{found['champion']} serves{beside} (epoch {found['epoch']}, fallback {found['fallback'] or 'none'})")
    if not found["recorded"]:
        say(f"what was seen of it is not known: {found['problem']}")
    if "since" not in found:
        return
    for arm in found["arms"]:
        _say_arm(arm)
    for word in ("held", "frozen"):
        if found[word]:
            say(f"{word:<11} {found[word]}")


def _say_arm(arm: Mapping[str, Any]) -> None:
    share = f" at {arm['share']:.0%}" if arm["share"] else ""
    say(f"{arm['version']:<11} on probation since {minute(arm['since'])}{share}")
    paired, ours, theirs = arm["paired"], arm["challenger_loss"], arm["champion_loss"]
    if paired["n"]:
        say(f"paired      gain {paired['mean']:+.4f} on {paired['n']} labels")
    if ours["n"] and theirs["n"]:
        say(
            f"this step   loss {ours['mean']:.4f} on {ours['n']} labels; champion {theirs['mean']:.4f} on {theirs['n']}"
        )
    if arm["stalled"]:
        say(f"stalled     {arm['stalled']}")


def prune_(given: Namespace) -> None:
    """Delete artifacts of versions that are done with; never of one that may have to serve again."""
    intent = Intent.of(given)
    check_champion(given.project, intent)
    found = prune(given.project, keep=given.keep, version=given.only, dry_run=True)
    which = ", ".join(found.deleted) or "nothing"
    if found.deleted and agreed(intent, f"delete {which}", as_json=given.json):
        found = prune(given.project, keep=given.keep, version=given.only)
    if given.json:
        emit_json("anew.rollout.prune/1", {"deleted": list(found.deleted), "pinned": list(found.pinned)})
        return
    if not given.dry_run or not found.deleted:
        say(f"{'would delete' if given.dry_run else 'deleted'} {', '.join(found.deleted) or 'nothing'}")
    say(f"pinned  {', '.join(found.pinned)}")


def _prune_options(parser: ArgumentParser) -> None:
    _options(parser, command="prune")
    intent_options(parser)
    parser.add_argument("--keep", type=int, default=3, metavar="N", help="champions that are kept (default: 3)")
    parser.add_argument("--only", default="", metavar="VERSION", help="this version alone")


def _do(action: Order, given: Namespace) -> None:
    give_order(_schema(action), action, given)


def _schema(action: Order) -> str:
    return f"anew.rollout.{action}/1"


def _order_options(parser: ArgumentParser, *, action: Order) -> None:
    order_options(parser, _schema(action))


COMMANDS: Commands = {
    "abort": (partial(_order_options, action=Order.ABORT), abort),
    "hold": (partial(_order_options, action=Order.HOLD), hold),
    "prune": (_prune_options, prune_),
    "release": (_release_options, release),
    "resume": (partial(_order_options, action=Order.RESUME), resume),
    "status": (partial(_options, command="status"), status),
}
"""The commands of `anew rollout` by name: what declares the options of each, and what runs it."""
