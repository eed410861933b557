"""What `anew approve` and `anew override` have in common: sign, say what the loop decided, and how the command ends."""

from collections.abc import Sequence
from pathlib import Path

import typer

from anew.app.accepted import accepted
from anew.app.consent import consent
from anew.app.narration import narrate
from anew.cli._output import emit_json, say
from anew.domain.fact import Fact
from anew.domain.facts import ApprovalSigned, OverrideSigned, RolloutApproved, RolloutRefused

__all__ = ["sign"]


def sign(
    verb: str, kind: type[ApprovalSigned] | type[OverrideSigned], project: Path, asked: tuple[str, str, str], json: bool
) -> None:
    """Sign for (version, gate, reason); exit 8 when more signatures are needed, 3 when governance refuses."""
    version, gate, reason = asked
    if not reason.strip():
        raise typer.BadParameter("say why: the reason is signed and stays on record", param_hint="--reason")
    taken, facts = consent(accepted(project), kind, version, gate, reason)
    if json:
        data = {"taken": taken, "outcome": _outcome(taken, facts), "facts": [narrate(fact) for fact in facts]}
        emit_json(f"anew.{verb}/1", {"version": version, "gate": gate} | data)
    elif not taken:
        say("not taken yet: the signature is kept for the loop, which takes it when it runs (anew up)")
    elif not facts:
        say(f"signed; other gates of {version} are still in the way")
    for fact in () if json else facts:
        say(narrate(fact))
    code = {"refused": 3, "waiting": 8}.get(_outcome(taken, facts), 0)
    if code:
        raise typer.Exit(code)


def _outcome(taken: bool, facts: Sequence[Fact]) -> str:
    if not taken:
        return "kept"
    if any(isinstance(fact, RolloutRefused) for fact in facts):
        return "refused"
    return "approved" if any(isinstance(fact, RolloutApproved) for fact in facts) else "waiting"
