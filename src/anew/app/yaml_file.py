"""Reading YAML safely, with the place of every value for error messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from anew.domain.errors import NotFoundError, SettingsError

__all__ = ["Document", "read_yaml"]

Path_ = tuple[str | int, ...]
_PLAIN_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as plain values, with the line and column (from 1) of each.

    `places` maps the path of keys and indices to a value; of a mapping's key, to the key.
    """

    file: Path
    values: Mapping[str, Any]
    places: Mapping[Path_, tuple[int, int]]

    def where(self, path: Path_) -> str:
        """Return ``file:line:column`` of the value at `path`, or of its nearest parent that is in the file."""
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        return f"{self.file.name}:{line}:{column}"


def read_yaml(file: Path) -> Document:
    """Read a YAML file whose top is a mapping; no tags, no duplicate keys, no aliases (a few could stand for millions).

    Raises
    ------
    NotFoundError
        There is no such file.
    SettingsError
        It is not UTF-8, not YAML, or says what is not allowed; with its place.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise NotFoundError(f"{file} is not there; make a project with: anew init") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{file.name}: not UTF-8 ({exc.reason} at byte {exc.start})") from exc
    except OSError as exc:
        raise SettingsError(f"{file}: cannot be read ({exc.strerror})") from exc
    node = _composed(file.name, text)
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{file.name}:1:1: the file must be a mapping such as 'model: NAME'")
    reader = _Reader(file.name)
    values = reader.value(node, ())
    if reader.problems:
        raise SettingsError(*reader.problems)
    return Document(file=file, values=values, places=reader.places)


def _composed(name: str, text: str) -> yaml.Node | None:
    try:
        aliases = [_place(name, event.start_mark) for event in yaml.parse(text) if isinstance(event, yaml.AliasEvent)]
        if aliases:
            raise SettingsError(*(f"{place}: aliases are not allowed; write the value out" for place in aliases))
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = _place(name, mark) if mark else name
        raise SettingsError(f"{place}: {', '.join(filter(None, (exc.context, exc.problem)))}") from exc
    except yaml.YAMLError as exc:
        raise SettingsError(f"{name}: {exc}") from exc
    except RecursionError as exc:
        raise SettingsError(f"{name}: nested too deeply") from exc
    return node


def _place(name: str, mark: Any) -> str:  # the library's types know two kinds of mark, and none
    return f"{name}:{mark.line + 1}:{mark.column + 1}"


class _Reader:
    """Turns nodes into values and remembers where each stood."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._constructor = yaml.constructor.SafeConstructor()
        self.places: dict[Path_, tuple[int, int]] = {}
        self.problems: list[str] = []

    def value(self, node: yaml.Node, path: Path_) -> Any:
        """Return the plain value of `node`."""
        self.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_TAGS:
            self.problems.append(f"{_place(self._name, node.start_mark)}: the tag {node.tag} is not allowed")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, i)) for i, child in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._constructor.construct_object(node)
        except yaml.YAMLError:
            self.problems.append(f"{_place(self._name, node.start_mark)}: the tag {node.tag} is not allowed")
        except ValueError as exc:
            self.problems.append(f"{_place(self._name, node.start_mark)}: {node.value[:40]!r} cannot be read: {exc}")
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node)
            place = _place(self._name, key_node.start_mark)
            if not isinstance(key, str):
                self.problems.append(f"{place}: the key {key!r} is not text; put it in quotes")
                continue
            if key in found:
                self.problems.append(f"{place}: the key {key!r} stands twice")
            self.places[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            found[key] = self.value(value_node, (*path, key))
        return found
