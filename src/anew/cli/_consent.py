"""What `anew approve`, `reject` and `override` have in common: sign, say what was decided, and how the command ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from anew.app.accepted import accepted
from anew.app.access import token_holder
from anew.app.command import told_waiting
from anew.app.consent import Signed, ready_consent
from anew.app.narration import narrate
from anew.cli._intent import Intent, agreed, check_champion
from anew.cli._output import emit_json, say
from anew.domain.access import Permission
from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalRefused,
    ApprovalSigned,
    OverrideSigned,
    RejectionSigned,
    RolledBack,
    RolloutApproved,
    RolloutDelayed,
    RolloutRefused,
    RolloutSuperseded,
)
from anew.governance import PROMOTION

__all__ = ["Asked", "Token", "sign"]

Token = Annotated[
    str, typer.Option(help="where your token is, env:NAME or file:PATH; without, the user who runs this signs")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be signed for, and whose token does it; an empty one for the user who runs this."""

    version: str
    gate: str
    reason: str
    token: str = ""


_VERBS: Mapping[type[Signed], tuple[str, str]] = {
    ApprovalSigned: ("approve", "approve"),
    OverrideSigned: ("override", "override"),
    RejectionSigned: ("reject", "refuse"),
}
"""The verb by which each is signed, and what signing it does."""


def sign(intent: Intent, kind: type[Signed], project: Path, asked: Asked, *, json: bool) -> None:
    """Sign; exit 8 when more signatures or a freeze's end are waited for, 3 if refused, 5 if it gave way to another."""
    if not asked.reason.strip():
        raise typer.BadParameter("say why: the reason is signed and stays on record", param_hint="--reason")
    settings = accepted(project)
    check_champion(project, intent)
    by = token_holder(settings, asked.token, Permission.APPROVE) if asked.token else ""
    ready = ready_consent(settings, kind, asked.version, asked.gate, asked.reason, by)
    verb, doing = _VERBS[kind]
    what = "the promotion" if asked.gate == PROMOTION else f"gate {asked.gate}"
    would = f"{doing} {what} of {asked.version} (artifact {ready.digest[:12]}), signed by {ready.by}"
    outcome, taken = "planned", False
    facts: Sequence[Fact] = ()
    if agreed(intent, would, as_json=json):
        taken, facts = ready.sign()
        outcome = _outcome(asked.version, taken, facts)
    if json:
        data = {"taken": taken, "outcome": outcome, "facts": [narrate(fact) for fact in facts]}
        emit_json(f"anew.{verb}/1", {"version": asked.version, "gate": asked.gate} | data)
    elif outcome == "planned":
        return
    elif not taken:
        say(told_waiting(settings.state, "the signature"))
    elif not facts:
        say(f"signed; other gates of {asked.version} are still in the way")
    for fact in () if json else facts:
        say(narrate(fact))
    codes = {
        "refused": 0 if kind is RejectionSigned else 3,
        "not counted": 3,
        "gave way": 5,
        "waiting": 8,
        "delayed": 8,
    }
    code = codes.get(outcome, 0)
    if code:
        raise typer.Exit(code)


def _outcome(version: str, taken: bool, facts: Sequence[Fact]) -> str:
    if not taken:
        return "kept"
    if any(isinstance(fact, RolloutSuperseded) and fact.version == version for fact in facts):
        return "gave way"
    kinds = {type(fact) for fact in facts}
    barred = any(isinstance(fact, RolledBack) and fact.version == version for fact in facts)
    if RolloutRefused in kinds or barred:
        return "refused"
    if ApprovalRefused in kinds:
        return "not counted"
    return "approved" if RolloutApproved in kinds else "delayed" if RolloutDelayed in kinds else "waiting"
