"""Take back what a source taught: nothing is learned from it from now on."""

from argparse import Namespace

from anew.app.accepted import accepted
from anew.app.command import command
from anew.app.narration import narrate
from anew.cli._output import emit_json, say
from anew.domain.facts import RetrainCommanded, SourcePurged

__all__ = ["run"]


def run(given: Namespace) -> None:
    """Post the command, and that of a retrain where it is wanted, and say what the loop decided."""
    settings = accepted(given.project)
    reason = given.reason or f"source {given.source} purged"
    taken, facts = command(
        settings,
        lambda id, by, at: SourcePurged(
            model=settings.model, at=at, command=id, source=given.source, by=by, reason=reason
        ),
    )
    told = [narrate(fact) for fact in facts]
    if given.retrain:
        also, more = command(
            settings,
            lambda id, by, at: RetrainCommanded(model=settings.model, at=at, command=id, by=by, reason=reason),
        )
        taken, told = taken and also, [*told, *(narrate(fact) for fact in more)]
    if given.json:
        emit_json("anew.data.purge/1", {"taken": taken, "source": given.source, "facts": told})
        return
    if not taken:
        say("not taken yet: the command is kept for the loop, which takes it when it runs (anew up)")
    for sentence in told:
        say(sentence)
