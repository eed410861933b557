"""Find components by name: `psi` is `anew/monitor/psi.py`, a stranger's is `package.module:Class`."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from anew.app.duration import parse_duration
from anew.domain.errors import AnewError, SettingsError

__all__ = ["find_component", "known_components", "make_component"]


def known_components(stage: str) -> tuple[str, ...]:
    """Return the names of the components of a stage, sorted: its public files."""
    package = importlib.import_module(f"anew.{stage}")
    return tuple(sorted(each.name for each in pkgutil.iter_modules(package.__path__) if not each.name.startswith("_")))


def find_component(stage: str, name: str) -> type[Any]:
    """Return the component class called `name` in `stage`, or the stranger's class ``package.module:Class``.

    Raises
    ------
    SettingsError
        There is none; the message lists the known ones.
    """
    if ":" in name:
        module_name, _, class_name = name.partition(":")
        try:
            found = getattr(importlib.import_module(module_name), class_name)
        except (ImportError, AttributeError) as exc:
            raise SettingsError(f"{name}: {exc}") from exc
    else:
        known = known_components(stage)
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"{name!r} is no component of {stage}{hint} (known: {', '.join(known)})")
        module = importlib.import_module(f"anew.{stage}.{name}")
        plain = name.replace("_", "")
        found = next(getattr(module, each) for each in module.__all__ if each.casefold() == plain)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise SettingsError(f"{name} is {found!r}; a component is a frozen dataclass")
    return found


def make_component(kind: type[Any], settings: Mapping[str, Any]) -> Any:
    """Make a component from its settings; durations may be written as text.

    Raises
    ------
    SettingsError
        An option is unknown or a value cannot be; the message names it.
    """
    known = [field.name for field in fields(kind)]
    for name in settings:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"unknown option {name!r}{hint} (known: {', '.join(known)})")
    hints = get_type_hints(kind)
    ready = {
        name: parse_duration(value) if isinstance(value, str) and _is_duration(hints[name]) else value
        for name, value in settings.items()
    }
    try:
        return TypeAdapter(kind).validate_python(ready)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{place + ': ' if place else ''}{first['msg']} (found {first['input']!r})") from exc
    except AnewError as exc:
        raise SettingsError(str(exc)) from exc


def _is_duration(hint: Any) -> bool:
    return hint is timedelta or timedelta in getattr(hint, "__args__", ())
