"""Load a project's `pipeline.py` as a module of its own, however many versions of it are loaded.

The unit of code is that one file: its bytes are what an artifact carries and what `digest` covers. A module beside it
would be missing from both, so importing one is refused; packages that are installed are covered by the environment.
"""

import ast
import hashlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
from polars import selectors

from anew.domain.errors import SettingsError
from anew.ports.pipeline import TrainingData

__all__ = ["PipelineModule", "defines", "load_function", "load_pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineModule:
    """A loaded `pipeline.py`; see `anew.ports.pipeline.Pipeline`.

    `transform` is its `features`, `correct` and `search_space` its functions of these names; None for what it lacks.
    """

    path: Path
    source: bytes
    digest: str
    fit: Callable[[TrainingData, Mapping[str, Any]], object]
    transform: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    correct: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    search_space: Callable[[Any], Mapping[str, Any]] | None = None

    @property
    def inputs_are_numbers(self) -> bool:
        """Does it define no `features`?"""
        return self.transform is None

    def features(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Turn declared columns into model inputs; without the user's own, numbers and vectors as they are."""
        return rows.select(selectors.numeric() | selectors.array()) if self.transform is None else self.transform(rows)

    def train(self, data: TrainingData, params: Mapping[str, Any]) -> object:
        """Fit the user's model."""
        return self.fit(data, params)


def load_pipeline(path: Path, source: bytes | None = None) -> PipelineModule:
    """Load and check `path`; what it said is `source`, where that is given.

    Neither `sys.path` nor any folder is touched: no bytecode is written, because the file may lie in an artifact. Each
    call makes a fresh module, so that versions share no global state.

    Raises
    ------
    SettingsError
        The file is not there, cannot be imported, or lacks a function; the message has file and line.
    """
    try:
        source = path.read_bytes() if source is None else source
    except OSError as exc:
        raise SettingsError(
            f"{path}: cannot be read ({exc.strerror}); `pipeline` must name a Python file of the project"
        ) from exc
    digest = hashlib.sha256(source).hexdigest()
    module = _run(path, source, f"anew_pipeline_{digest[:16]}")
    train = getattr(module, "train", None)
    problems = [*_problems(path, "train", train, 2, "(data, params)")]
    optional = {name: getattr(module, name, None) for name in ("features", "correct", "search_space")}
    for name, function in optional.items():
        if function is not None:
            problems += _problems(path, name, function, 1, "(trial)" if name == "search_space" else "(rows)")
    if problems or train is None:
        raise SettingsError(*problems)
    return PipelineModule(
        path=path,
        source=source,
        digest=digest,
        fit=train,
        transform=optional["features"],
        correct=optional["correct"],
        search_space=optional["search_space"],
    )


def defines(path: Path, name: str, source: bytes | None = None) -> bool:
    """Say whether the file, or `source`, defines a function of that name; it is not run, and may be no Python."""
    try:
        tree = ast.parse(path.read_bytes() if source is None else source, filename=str(path))
    except (OSError, SyntaxError, ValueError):
        return False
    return any(isinstance(each, ast.FunctionDef) and each.name == name for each in tree.body)


def load_function(path: Path, name: str, source: bytes | None = None) -> Callable[[pl.DataFrame], object]:
    """Load `path`, or `source`, as `load_pipeline` does, and return its function `name` of one frame.

    Raises
    ------
    SettingsError
        The file cannot be imported, or has no such function; the message has file and line.
    """
    source = path.read_bytes() if source is None else source
    module = _run(path, source, f"anew_pipeline_{hashlib.sha256(source).hexdigest()[:16]}")
    found: Callable[[pl.DataFrame], object] | None = getattr(module, name, None)
    problems = _problems(path, name, found, 1, "(rows)")
    if problems or found is None:
        raise SettingsError(*problems)
    return found


def _run(path: Path, source: bytes, name: str) -> ModuleType:
    try:
        tree = ast.parse(source, filename=str(path))
        code = compile(tree, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as exc:
        line = getattr(exc, "lineno", None) or 1
        raise SettingsError(f"{path}:{line}: this is not Python: {getattr(exc, 'msg', exc)}") from exc
    _refuse_neighbours(path, tree)
    module = ModuleType(name)
    module.__file__ = str(path)
    # what looks its source up, as `inspect` and tracebacks do, is to find what is run, not what the file says by now
    linecache.cache[str(path)] = (
        len(source),
        None,
        source.decode(errors="replace").splitlines(keepends=True),
        str(path),
    )
    # Dataclasses and typing look a class's module up by its name.
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - running the user's code is what a project asks for
    except (Exception, SystemExit) as exc:  # the user's module may raise anything
        sys.modules.pop(name, None)
        frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(path)]
        line = (frames[-1].lineno if frames else None) or 1
        raise SettingsError(f"{path}:{line}: importing it raised {type(exc).__name__}: {exc}") from exc
    return module


def _refuse_neighbours(path: Path, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            roots = ["."] if node.level else [(node.module or "").split(".")[0]]
        else:
            continue
        for root in roots:
            beside = path.parent / root
            if root == "." or beside.with_suffix(".py").is_file() or (beside / "__init__.py").is_file():
                raise SettingsError(
                    f"{path}:{node.lineno}: imports {root!r} from the project folder; a version carries {path.name} "
                    "alone, so put that code into it or install it as a package"
                )


def _problems(path: Path, name: str, function: object, count: int, shape: str) -> list[str]:
    if function is None:
        return [f"{path}:1: defines no `{name}`; write `def {name}{shape}:`"]
    line = getattr(getattr(function, "__code__", None), "co_firstlineno", 1)
    if not callable(function):
        return [f"{path}:1: `{name}` is {type(function).__name__}; write `def {name}{shape}:`"]
    if inspect.iscoroutinefunction(function):
        return [f"{path}:{line}: `{name}` is asynchronous; write `def {name}{shape}:`"]
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError as exc:
        return [f"{path}:{line}: `{name}` cannot be called as `{name}{shape}`: {exc}"]
    except ValueError:  # a builtin without a signature: only calling it will tell
        return []
    return []
