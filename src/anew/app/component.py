"""Find components by name: `psi` is `anew/monitor/psi.py`, a stranger's is `package.module:Class`."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from anew.app.duration import parse_duration
from anew.domain.errors import AnewError, SettingsError

__all__ = ["collect", "find_component", "hint", "known_components", "make_component"]

T = TypeVar("T")

_CONTRACTS: Mapping[str, Sequence[str]] = {
    "monitor": ("judge", "key", "labels", "measure_scored", "measure_seen", "over"),
    "validate": ("judge", "key", "measure", "needs_champion"),
}
"""What a component of a stage must have: the members of its Protocol."""


def known_components(stage: str) -> tuple[str, ...]:
    """Return the names of the components of a stage, sorted: its public files."""
    package = importlib.import_module(f"anew.{stage}")
    return tuple(sorted(each.name for each in pkgutil.iter_modules(package.__path__) if not each.name.startswith("_")))


def find_component(stage: str, name: str) -> type[Any]:
    """Return the component class called `name` in `stage`, or the stranger's class ``package.module:Class``.

    Raises
    ------
    SettingsError
        There is none, or it is none: the message lists the known ones, or says what it lacks.
    """
    if ":" in name:
        found = _stranger(name)
    else:
        known = known_components(stage)
        if name not in known:
            raise SettingsError(f"{name!r} is no component of {stage}{hint(name, known)}")
        module = importlib.import_module(f"anew.{stage}.{name}")
        plain = name.replace("_", "")
        found = next(getattr(module, each) for each in module.__all__ if each.casefold() == plain)
    if not (isinstance(found, type) and is_dataclass(found) and _is_frozen(found)):
        raise SettingsError(f"{name} is {found!r}; a component is a frozen dataclass")
    lacking = [each for each in _CONTRACTS.get(stage, ()) if not hasattr(found, each)]
    if lacking:
        raise SettingsError(f"{name} is no component of {stage}: it lacks {', '.join(lacking)}")
    return found


def _is_frozen(kind: type) -> bool:
    return bool(getattr(kind, "__dataclass_params__").frozen)  # noqa: B009  typeshed does not know it


def _stranger(name: str) -> object:
    module_name, _, class_name = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (Exception, SystemExit) as exc:  # a stranger's module may raise anything while it is imported
        raise SettingsError(f"{name} cannot be loaded: {type(exc).__name__}: {exc}{_way(exc, module_name)}") from exc


def _way(raised: BaseException, module: str) -> str:
    """Say what to do about a module of somebody's own that is not found: no folder of a project is looked into."""
    if not isinstance(raised, ModuleNotFoundError) or not f"{module}.".startswith(f"{raised.name}."):
        return ""
    return (
        "; install the package that it is in beside anew, or name its folder in PYTHONPATH for every command; a file "
        "beside anew.yaml is not found"
    )


def hint(name: str, known: Sequence[str]) -> str:
    """Return ``; did you mean X?``, or what is known, to stand behind an unknown name."""
    close = get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else f" (known: {', '.join(known)})"


def make_component(kind: type[Any], settings: object) -> Any:
    """Make a component from its settings, a mapping; durations may be written as text.

    Raises
    ------
    SettingsError
        An option is unknown or missing, or a value cannot be; one problem for each.
    """
    known = [field.name for field in fields(kind)]
    if not isinstance(settings, Mapping):
        raise SettingsError(f"found {settings!r}; write its options as {{NAME: VALUE}} (known: {', '.join(known)})")
    hints = get_type_hints(kind)
    problems = [f"unknown option {name!r}{hint(str(name), known)}" for name in settings if name not in known]
    ready: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, bool) and name in known and hints[name] is not bool:
            problems.append(f"{name}: found {str(value).lower()}, which is a truth value; put words in quotes")
            continue
        try:
            if name in known:
                ready[name] = parse_duration(value) if _is_duration(hints[name], value) else value
        except SettingsError as exc:
            problems.append(f"{name}: {exc}")
    if problems:
        raise SettingsError(*problems)
    try:
        return TypeAdapter(kind).validate_python(ready)
    except ValidationError as exc:
        raise SettingsError(*(_problem(error) for error in exc.errors())) from exc
    except AnewError as exc:
        raise SettingsError(str(exc)) from exc


def collect(problems: list[str], where: str, make: Callable[[], T]) -> T | None:
    """Make something, or note what is wrong with it: at `where`, or at the places that the problems name themselves."""
    prefix = f"{where}: " if where else ""
    try:
        return make()
    except SettingsError as exc:
        problems.extend(prefix + problem for problem in exc.problems)
    except AnewError as exc:
        problems.append(f"{prefix}{exc}")
    return None


def _problem(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])  # the component's own sentence
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{place} is missing"
    return f"{place}: {error['msg']} (found {error['input']!r})"


def _is_duration(hint: Any, value: object) -> bool:
    return isinstance(value, str) and (hint is timedelta or timedelta in getattr(hint, "__args__", ()))
