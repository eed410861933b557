"""`anew doctor`: look at everything that a project stands on, and say what to do where it is not well."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from anew.app.doctor.examined import Examined
from anew.app.doctor.machine import MACHINE
from anew.app.doctor.project import PROJECT
from anew.app.doctor.store import STORE
from anew.app.record_place import has_record
from anew.app.settings import FILE, load
from anew.domain.errors import AnewError, NotFoundError, SettingsError
from anew.domain.health import Finding

__all__ = ["examine"]

_AGAIN = "mend that and run anew doctor again"


def examine(folder: Path, *, quick: bool = False) -> Sequence[Finding]:
    """Return what was found about the machine, and about the project in `folder` where there is one.

    Nothing is changed. What cannot be looked at, because what it needs is not there, is said to be skipped.

    Parameters
    ----------
    quick
        Leave out what takes long: every byte of the lake and every link of the record.

    Raises
    ------
    NotFoundError
        There is no such folder.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}; name the project's")
    found = [_looked(name, partial(check, folder)) for name, check in MACHINE.items()]
    if not (folder / FILE).is_file():
        said = f"there is no {FILE} in {folder}"
        return [*found, *(Finding.skipped(name, said) for name in (*PROJECT, *STORE))]
    try:
        settings = load(folder)
    except SettingsError as exc:
        found.append(Finding.bad("policy", str(exc), "mend anew.yaml"))
        rest = (*PROJECT, *STORE)
        return [*found, *(Finding.skipped(name, "the policy cannot be read") for name in rest if name != "policy")]
    found += [_looked(name, partial(check, settings)) for name, check in PROJECT.items()]
    if not has_record(settings.state) and not (settings.state / "routing").exists():
        return [*found, *(Finding.skipped(name, "the project was never brought up") for name in STORE)]
    project = Examined(settings=settings, quick=quick)
    return [*found, *(_looked(name, partial(check, project)) for name, check in STORE.items())]


def _looked(name: str, look: Callable[[], Finding]) -> Finding:
    """Return what was found; what keeps a look from its end is what was found."""
    try:
        return look()
    except (AnewError, OSError) as exc:
        found, _, fix = str(exc).rpartition("; ")
        return Finding.bad(name, found or fix, fix if found else _AGAIN)
