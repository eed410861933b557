"""Show what serves, what is on probation, what was decided last, and whether everything acknowledged is stored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anew.app.standing import is_installation
from anew.app.status import (
    challengers,
    project_status,
    state_folder,
    told_hold,
    told_loop,
    told_problem,
    told_run,
    told_traffic,
)
from anew.app.unheard import told_unheard, unheard_since
from anew.cli._output import emit_json, minute, say
from anew.cli._parser import Parser
from anew.cli.models import show
from anew.domain.duration import lasting
from anew.domain.unserved import signatures

__all__ = ["main", "told_waiting"]


def main(words: Sequence[str]) -> None:
    """Read the record and say where everything stands."""
    parser = Parser(prog="anew status", description=__doc__, allow_abbrev=False)
    parser.add_argument("project", nargs="?", type=Path, default=Path(), help="the project's folder (default: this)")
    parser.add_argument("--json", action="store_true", help="print anew.status/1")
    given = parser.parse_args(words)
    if is_installation(given.project):
        show(given.project, as_json=given.json)
        return
    status = project_status(given.project)
    if given.json:
        emit_json("anew.status/1", status)
        return
    say(f"model       {status['model']}   ({status['facts']} facts on record)")
    say(f"loop        {told_loop(status)}")
    if status["standstill"]:
        say(f"event time  ahead of the clock: until {minute(status['standstill'])} nothing is watched; see anew doctor")
    if status["dashboard"]:
        say(f"dashboard   {status['dashboard']}")
    if status["ordered"]:
        say(f"ordered     {status['ordered']['said']}")
        say("            gateways obey it; not on record yet, so that what follows is from before: start anew up")
    if status["routing_problem"]:
        say(f"ordered     not known: {status['routing_problem']}")
    say(f"champion    {_version(status['champion'])}")
    if status["unserved"]:
        say(f"            {status['unserved']['found']}")
        say(f"            what to do: {status['unserved']['fix']}")
    for each in challengers(status) or (None,):
        say(f"challenger  {_version(each)}")
    if status["traffic"]:
        say(f"traffic     {told_traffic(status['traffic'])}")
    if held := told_hold(status["rollout"]):
        say(f"rollout     {held}; let it go on with: anew rollout resume")
    if status["champion"] and not status["workers"]:
        _say_nobody(given.project)
    for each in status["workers"]:
        if each["problem"]:
            say(f"gateway     {told_problem(each['worker'], each['epoch'], each['problem'])}")
    _say_consent(status)
    _say_score(status["last_score"], status["champion"])
    if status["stored"]:
        say("stored      " + ", ".join(f"{rows} {table}" for table, rows in sorted(status["stored"].items())))
    if status["mirror"]:
        say(f"mirror      {' '.join(filter(None, (status['mirror']['state'], status['mirror']['detail'])))}")
    for run in status["runs"]:
        say(f"under way   {told_run(run)}")
    if status["quarantined"]:
        say(f"quarantined {', '.join(status['quarantined'])}")
    for decision in status["decisions"][-5:]:
        said = decision["detail"] or decision["reason"]
        say(f"  {minute(decision['at'])}  {decision['kind']} {decision['version']} {said}")


def _say_nobody(project: Path) -> None:
    """Say that no worker is known to live: who is on another host may answer all the same."""
    since = unheard_since(state_folder(project))
    if since is None:
        say("gateway     nobody answers: no worker of it is alive; start it with anew up, or anew gateway")
    else:
        say(f"gateway     nobody answers here (start it with anew up, or anew gateway); {told_unheard(since)}")


def _version(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "none"
    reason = f": {record['reason']}" if record["reason"] else ""
    return f"{record['version']} since {minute(record['since'])}{reason}"


def _say_consent(status: Mapping[str, Any]) -> None:
    frozen = status["frozen"]
    if (waits := told_waiting(status)) and not (status["unserved"] and status["asking"]):
        say(f"waiting     {waits}")
    if frozen:
        say(f"frozen      {frozen['window']}, until {minute(frozen['until'])}")
    if status["held"]:
        asked = f" that {status['held']['by']} asked for" if status["held"]["by"] else ""
        say(f"held        a retrain{asked} waits for the end of the freeze")


def told_waiting(status: Mapping[str, Any]) -> str:
    """Say in a line which candidate waits for persons, and by which command it goes on; empty where none does."""
    waiting, asking = status["waiting"], status["asking"]
    if waiting and waiting["needed"]:
        persons = f"{len(waiting['signed'])} of {waiting['needed']} approvals, until {minute(waiting['expires'])}"
        return f"{waiting['version']}: {persons} (anew approve {waiting['version']} --reason …)"
    if asking is None:
        return ""
    return f"{asking['version']}: {asking['reason']} ({signatures(asking['version'], asking['gates'])})"


def _say_score(score: Mapping[str, Any] | None, champion: Mapping[str, Any] | None) -> None:
    if score is None:
        return
    if champion and not score["of_champion"]:
        whose = f"{score['version']}, from before" if score["version"] == champion["version"] else score["version"]
        say(f"measured    {champion['version']} not yet, since it serves; these are the numbers of {whose}")
    labels = score["labels"]
    if labels["coverage"] is not None:
        late = "" if labels["delay_p50_s"] is None else f", half of them within {lasting(labels['delay_p50_s'])}"
        say(f"labels      of {labels['coverage']:.0%} of the answers up to {minute(score['end'])}{late}")
    for metric, found in score["metrics"].items():
        if found["problem"]:
            say(f"{metric:<11} inconclusive: {found['problem']}")
        if found["value"] is not None:
            interval = f" ({found['low']:.4g} to {found['high']:.4g})" if found["low"] is not None else ""
            say(f"{metric:<11} {found['value']:.4g}{interval} on {found['n']} labels up to {minute(score['end'])}")
