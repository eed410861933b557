"""The rules of the house that no linter holds: each takes sources and returns what breaks it, as ``place: what``."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = [
    "COMPONENT_STAGES",
    "LONGEST_FUNCTION",
    "LONGEST_MODULE",
    "MODEST_FUNCTION",
    "MODEST_SHARE",
    "OUTERMOST",
    "PURE",
    "Source",
    "bare_exceptions",
    "broad_excepts",
    "decision_records",
    "function_sizes",
    "hidden_imports",
    "impurities",
    "leaks",
    "long_functions",
    "long_modules",
    "missing_components",
    "nameless_modules",
    "undocumented",
    "unfinished",
    "unlisted",
    "unsorted",
]

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
MODEST_FUNCTION = 30
MODEST_SHARE = 0.9
"""Share of the functions whose bodies are no longer than `MODEST_FUNCTION` lines."""
SLOW = ("scipy.stats", "sklearn")
"""What takes half a second to import, which every `anew up` would pay."""

COMPONENT_STAGES = ("governance", "monitor", "rollout", "train", "trigger", "validate")
"""Stages whose public files are found by name in the settings, and so are one component each."""

PURE = (
    "domain",
    "feedback",
    "governance",
    "lineage",
    "monitor",
    "registry",
    "rollout",
    "stats",
    "train",
    "trigger",
    "validate",
)
"""Packages that neither look at a clock nor touch the world; what they may import, `.importlinter` says."""

OUTERMOST = {
    "anew.adapters.dbos_effects": "the reaper's loop: logged, tried again in the next pass",
    "anew.adapters.job_worker": "a job's process: becomes how the job ended",
    "anew.adapters.model_loader": "the user's model: becomes the reason it is refused",
    "anew.app.followers": "somebody outside is told: logged, tried again, and the loop waits for nobody",
    "anew.app.host": "one loop of many: told, tried again, and the others go on",
    "anew.app.repeating": "a step beside serving and the loop: logged, and tried again",
    "anew.app.scorer_worker": "the challenger's process: becomes a problem that the gateway counts",
    "anew.gateway.app": "a request: becomes a 500 that says nothing of the inside",
    "anew.adapters.journal_process": "the start of another process: becomes what whoever waits is told",
    "anew.gateway.commit": "a group that cannot be sent: becomes what everyone who waits is told",
    "anew.testing.journal_thread": "the journal's thread: becomes what everyone who waits is told",
    "anew.gateway.serving": "a turn of the loop: becomes a 500, counted",
    "anew.gateway.swap": "a swap and its loading thread: becomes the reason it is refused, or is raised where awaited",
    "anew.gateway.version_call": "the user's model: becomes the reason why there is no answer, counted",
    "anew.loop.measure": "a component of anybody's: becomes evidence of nothing, with the problem",
    "anew.monitor._stage": "a detector of anybody's: becomes an incident",
    "anew.validate.robustness": "the user's model: becomes a verdict",
    "anew.validate.skew": "the user's model: becomes evidence of nothing, with the problem",
    "anew.validate._stage": "a gate of anybody's: becomes the verdict ERROR",
}
"""Modules in which an outermost loop or a border may catch everything, and what becomes of what it caught."""

_VAGUE = re.compile(r"_?(utils?|helpers?|commons?|managers?|core|misc|stuff)|.*part_?\d+")
_MARK = re.compile("|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bXX" + r"X\b", r"\bHA" + r"CK\b")))
_MACHINE_PATH = re.compile(r"(?<![\w.$}>)~*-])/(?:root/\w|work/\w|home/\w+/|Users/\w+/)")
_REGISTRY = re.compile(r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:com|org)|deb\.debian\.org)\b")
_NO_LINT = r"#\s*(?:ruff:\s*|flake8:\s*)?(?:no" + r"qa|NO" + r"QA)(?P<codes>:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)?"
_NO_TYPE = r"#\s*type:\s*ignore(?P<kinds>\[[a-z, -]+\])?"
_EXCEPTION = re.compile(f"{_NO_LINT}|{_NO_TYPE}")
_SECTIONS = ("Context", "Choice", "What it costs", "What would change our mind")


@dataclass(frozen=True)
class Source:
    """One file of the tree: its path from the root, with forward slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed text."""
        return ast.parse(self.text, self.path)

    @property
    def name(self) -> str:
        """The module's dotted name."""
        parts = Path(self.path.removeprefix("src/")).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def exported(self) -> list[str] | None:
        """What ``__all__`` lists, or None when there is none."""
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(each, ast.Name) and each.id == "__all__" for each in targets):
                return list(ast.literal_eval(node.value))  # type: ignore[attr-defined]  # both kinds of assignment have it
        return None

    @cached_property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method, nested ones too."""
        return [each for each in ast.walk(self.tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]

    @cached_property
    def comments(self) -> dict[int, str]:
        """The comment on each line that has one."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {each.start[0]: each.string for each in tokens if each.type == tokenize.COMMENT}


def _size(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_modules(source: Source) -> Iterator[str]:
    """Find a module over `LONGEST_MODULE` lines."""
    lines = len(source.text.splitlines())
    if lines > LONGEST_MODULE:
        yield f"{source.path}: {lines} lines, at most {LONGEST_MODULE}"


def long_functions(source: Source) -> Iterator[str]:
    """Find functions whose bodies, docstring apart, are over `LONGEST_FUNCTION` lines."""
    for each in source.functions:
        if _size(each) > LONGEST_FUNCTION:
            yield f"{source.path}:{each.lineno}: {each.name} has {_size(each)} lines, at most {LONGEST_FUNCTION}"


def function_sizes(sources: Iterable[Source]) -> list[int]:
    """Return the lines of every function's body."""
    return [_size(each) for source in sources for each in source.functions]


def hidden_imports(source: Source) -> Iterator[str]:
    """Find imports inside functions, save an adapter's and slow ones, with the lint exception and its reason."""
    inside = {each for function in source.functions for each in ast.walk(function)}
    for node in inside:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        excused = "PLC0415" in source.comments.get(node.lineno, "")
        slow = isinstance(node, ast.ImportFrom) and any(f"{node.module}.".startswith(f"{each}.") for each in SLOW)
        if not (excused and (slow or source.name.startswith("anew.adapters."))):
            yield f"{source.path}:{node.lineno}: an import inside a function"


def impurities(source: Source) -> Iterator[str]:
    """Find calls in pure packages that read a clock, draw without a seed, or reach the world without an import."""
    if source.name.removeprefix("anew.").partition(".")[0] not in PURE:
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        draws = ".random." in called and not (called.endswith((".default_rng", ".PCG64", ".Generator")) and node.args)
        if (
            draws
            or called in {"open", "print", "input", "breakpoint"}
            or called.endswith((".now", ".utcnow", ".today"))
        ):
            yield f"{source.path}:{node.lineno}: {called} is not pure"


def undocumented(source: Source) -> Iterator[str]:
    """Find a module, public class or public function without a docstring."""
    if not ast.get_docstring(source.tree):
        yield f"{source.path}: the module has no docstring"
    for each in _public(source):
        if not ast.get_docstring(each):
            yield f"{source.path}:{each.lineno}: {each.name} has no docstring"


def _public(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [each for each in source.tree.body if isinstance(each, kinds) and not each.name.startswith("_")]


def unlisted(source: Source) -> Iterator[str]:
    """Find public classes and functions that ``__all__`` does not list, and modules without it."""
    exported = source.exported
    if exported is None:
        if len(source.tree.body) > 1:
            yield f"{source.path}: no __all__"
        return
    for each in _public(source):
        if each.name not in exported:
            yield f"{source.path}:{each.lineno}: {each.name} is not in __all__"


def unsorted(source: Source) -> Iterator[str]:
    """Find an ``__all__`` that is not sorted (constants, classes, functions) or lists a name twice."""
    exported = source.exported or []
    if exported != sorted(set(exported), key=lambda name: (not name.isupper(), not name[0].isupper(), name)):
        yield f"{source.path}: __all__ is not sorted"


def broad_excepts(source: Source) -> Iterator[str]:
    """Find handlers of everything that neither raise again nor stand, with their reason, in an outermost place."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if not any(each is None or getattr(each, "id", "") in {"Exception", "BaseException"} for each in caught):
            continue
        if isinstance(node.body[-1], ast.Raise):
            continue
        if source.name not in OUTERMOST:
            yield f"{source.path}:{node.lineno}: catches everything, and the module is no outermost place"
        elif node.lineno not in source.comments:
            yield f"{source.path}:{node.lineno}: catches everything and gives no reason on its line"


def unfinished(source: Source) -> Iterator[str]:
    """Find marks of unfinished work."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := _MARK.search(line):
            yield f"{source.path}:{number}: {found[0]}"


def leaks(source: Source) -> Iterator[str]:
    """Find paths of a machine and hosts of package registries; in a lock, any address at all."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if _MACHINE_PATH.search(line):
            yield f"{source.path}:{number}: a path of somebody's machine"
        if _REGISTRY.search(line) or (source.path.startswith("requirements/") and "://" in line):
            yield f"{source.path}:{number}: a host of a package registry"


def nameless_modules(source: Source) -> Iterator[str]:
    """Find modules and folders whose names say nothing."""
    for part in source.name.split("."):
        if _VAGUE.fullmatch(part):
            yield f"{source.path}: the name {part!r} says nothing"


def missing_components(source: Source) -> Iterator[str]:
    """Find a stage's public file that is not one component: a frozen dataclass called as the file is."""
    stage, _, name = source.name.removeprefix("anew.").partition(".")
    if stage not in COMPONENT_STAGES or not name or name.startswith("_"):
        return
    for each in source.tree.body:
        if isinstance(each, ast.ClassDef) and each.name.casefold() == name.replace("_", ""):
            if each.name not in (source.exported or []):
                yield f"{source.path}:{each.lineno}: {each.name} is not in __all__"
            if not any(_freezes(decorator) for decorator in each.decorator_list):
                yield f"{source.path}:{each.lineno}: {each.name} is not a frozen dataclass"
            return
    yield f"{source.path}: no component in it; a file of machinery begins with an underscore"


def _freezes(decorator: ast.expr) -> bool:
    return (
        isinstance(decorator, ast.Call)
        and getattr(decorator.func, "id", "") == "dataclass"
        and any(each.arg == "frozen" and getattr(each.value, "value", False) is True for each in decorator.keywords)
    )


def bare_exceptions(source: Source) -> Iterator[str]:
    """Find lint and type exceptions without a code or without a reason on their line."""
    for number, comment in source.comments.items():
        exceptions = list(_EXCEPTION.finditer(comment))
        if any(not (each["codes"] or each["kinds"]) for each in exceptions):
            yield f"{source.path}:{number}: an exception from every rule; name the one"
        elif exceptions and not re.search(r"[^\W\d_]{3,}", _EXCEPTION.sub("", comment)):
            yield f"{source.path}:{number}: an exception without its reason"


def decision_records(records: Iterable[Source]) -> Iterator[str]:
    """Find decision records that are misnumbered or lack one of the four sections, or have them in another order."""
    for number, record in enumerate(sorted(records, key=lambda each: each.path), 1):
        if not re.fullmatch(rf"{number:04}-[a-z0-9-]+\.md", Path(record.path).name):
            yield f"{record.path}: expected {number:04}-title.md"
        sections = tuple(re.findall(r"^## (.+)$", record.text, re.MULTILINE))
        if sections != _SECTIONS:
            yield f"{record.path}: has the sections {', '.join(sections)}; expected {', '.join(_SECTIONS)}"
