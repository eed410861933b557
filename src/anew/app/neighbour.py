"""Another project beside one whose pages are shown: what is seen of it, and by whom."""

from collections.abc import Callable
from pathlib import Path

from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted
from anew.app.dashboard_status import dashboard_address
from anew.app.person import access_file, user_file
from anew.app.record_place import has_record
from anew.app.status import state_folder
from anew.dashboard.source import Neighbour, Source
from anew.domain.access import Permission, Principal
from anew.domain.errors import AnewError
from anew.governance import may

__all__ = ["neighbour"]


def neighbour(project: Path, name: str, who: Principal, source_of: Callable[[Path], Source]) -> Neighbour:
    """Return what `who`, signed in elsewhere, sees of a project: all that somebody of the same name may read there.

    Parameters
    ----------
    name
        What the project is called where nothing is to be seen of it.
    source_of
        Makes the source of its pages.
    """
    try:
        settings = accepted(project)
    except (AnewError, OSError) as exc:
        return Neighbour(name=name, problem=str(exc))
    if not has_record(settings.state):
        return Neighbour(name=name, problem=f"it was never brought up: begin with anew up {name}")
    address = settings.policy.dashboard.origin or dashboard_address(state_folder(project))
    if not _reads(settings.state, who.name, settings.model):
        problem = f"nobody called {who.name} may read it: anew access add-user {who.name} --project {name}"
        return Neighbour(name=name, address=address, problem=problem)
    return Neighbour(name=name, address=address, source=source_of(project))


def _reads(state: Path, name: str, model: str) -> bool:
    now, tokens = SystemClock().now(), access_file(state)
    person = user_file(state).named(name, now=now)
    if person is not None:
        return may(person.principal, Permission.READ, model)
    holders = [tokens.holder(each.id, now=now) for each in tokens.records() if each.name == name]
    return any(each is not None and each.name == name and may(each, Permission.READ, model) for each in holders)
