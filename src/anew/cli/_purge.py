"""Take back what a source taught, or erase what is known of a subject."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime

from anew.app.accepted import accepted
from anew.app.command import command, told_waiting
from anew.app.narration import narrate
from anew.app.purge import order_purge, stored_of
from anew.cli._intent import Intent, agreed, check_champion
from anew.cli._output import emit_json, say
from anew.domain.fact import Fact
from anew.domain.facts import RetrainCommanded, SourcePurged, SubjectPurgeAsked, SubjectPurged

__all__ = ["run"]


def run(given: Namespace) -> None:
    """Post the command, and that of a retrain where it is wanted, and say what the loop decided."""
    settings, intent = accepted(given.project), Intent.of(given)
    check_champion(given.project, intent)
    reason = given.reason or (f"source {given.source} purged" if given.source else "a subject's rows erased")

    def order(id: str, by: str, at: datetime) -> Fact:
        if given.source:
            return SourcePurged(model=settings.model, at=at, command=id, source=given.source, by=by, reason=reason)
        order_purge(settings, id, given.subject)
        return SubjectPurgeAsked(model=settings.model, at=at, command=id, by=by, reason=reason)

    rows = stored_of(settings, given.subject) if given.dry_run and given.subject else None
    if not agreed(intent, _would(given, rows), as_json=given.json):
        if given.json:
            _emit(given, ordered=False, taken=False, pending=False, erased=None, told=[], stored=rows)
        return
    taken, facts = command(settings, order)
    told = [narrate(fact) for fact in facts]
    pending = not taken or not (given.source or any(fact.ends for fact in facts))
    erased = next((fact for fact in facts if isinstance(fact, SubjectPurged)), None)
    if given.retrain:
        also, more = command(
            settings,
            lambda id, by, at: RetrainCommanded(model=settings.model, at=at, command=id, by=by, reason=reason),
        )
        pending = pending or not also
        taken, told = taken and also, [*told, *(narrate(fact) for fact in more)]
    if given.json:
        _emit(given, ordered=True, taken=taken, pending=pending, erased=erased, told=told)
        return
    if not taken:
        say(told_waiting(settings.state))
    elif given.source:
        say(f"{given.source}: nothing is learned from it from now on")
    elif not facts:
        say("the rows are being erased still: anew audit show --kind SubjectPurged says how many were")
    for sentence in told:
        say(sentence)
    if erased is not None and not any(n for _, n in erased.rows):
        say(f"no stored row has the key {given.subject}, letter by letter (columns.key): look whether it is meant so")


def _emit(
    given: Namespace,
    *,
    ordered: bool,
    taken: bool,
    pending: bool,
    erased: SubjectPurged | None,
    told: Sequence[str],
    stored: Mapping[str, int] | None = None,
) -> None:
    rows = None if erased is None else dict(erased.rows)
    what = {"source": given.source, "stored": stored, "erased": rows, "facts": told}
    emit_json("anew.data.purge/1", {"ordered": ordered, "taken": taken, "pending": pending, **what})


def _would(given: Namespace, stored: Mapping[str, int] | None) -> str:
    also = ", and ask for a retrain" if given.retrain else ""
    if given.source:
        return f"leave the labels and rows of {given.source} out of every training from now on{also}"
    what = f"erase every row of {given.subject} from the tables, the journals and the snapshots, for good{also}"
    if stored is None:
        return what
    found = ", ".join(f"{rows} {table}" for table, rows in sorted(stored.items()) if rows)
    none = f"no row has the key {given.subject}, letter by letter (columns.key): look whether it is meant so"
    return f"{what}; stored now: {found or none}"
