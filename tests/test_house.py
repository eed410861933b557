"""The tree keeps the rules of the house, and each rule finds the fault it is there for."""

import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import anew
from tests import house_rules
from tests.house_rules import Source

ROOT = Path(__file__).parents[1]

Rule = Callable[[Source], Iterator[str]]

OF_THE_PACKAGE: tuple[Rule, ...] = (
    house_rules.long_modules,
    house_rules.long_functions,
    house_rules.hidden_imports,
    house_rules.impurities,
    house_rules.undocumented,
    house_rules.unlisted,
    house_rules.unsorted,
    house_rules.broad_excepts,
    house_rules.missing_components,
)
OF_ALL_CODE: tuple[Rule, ...] = (house_rules.nameless_modules, house_rules.bare_exceptions, house_rules.unfinished)

READ_UP_TO = 1_000_000
"""Bytes; larger files are data."""


def tracked() -> list[Source]:
    """Return the text files that git knows or would take in; outside a repository, none."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sources = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size <= READ_UP_TO:
            try:
                sources.append(Source(name, path.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
    return sources


TRACKED = tracked()
CODE = [each for each in TRACKED if each.path.endswith(".py")]
OF_USERS = re.compile(r"/(demo_project|ready_projects)/")
PACKAGE = [each for each in CODE if each.path.startswith("src/anew/") and not OF_USERS.search(each.path)]
"""Without the demo's project, which is written as a user would write it."""


def broken(rule: Rule, sources: list[Source]) -> list[str]:
    return [each for source in sources for each in rule(source)]


def test_the_tree_is_seen() -> None:
    assert {"anew", "anew.loop.engine", "anew.monitor.psi"} <= {each.name for each in PACKAGE}
    assert any(each.path == "requirements/test.txt" for each in TRACKED)


@pytest.mark.parametrize("rule", OF_THE_PACKAGE, ids=lambda rule: rule.__name__)
def test_package_keeps(rule: Rule) -> None:
    found = broken(rule, PACKAGE)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", OF_ALL_CODE, ids=lambda rule: rule.__name__)
def test_code_keeps(rule: Rule) -> None:
    found = broken(rule, CODE)
    assert not found, "\n".join(found)


def test_tracked_files_name_no_machine_and_no_registry() -> None:
    found = broken(house_rules.leaks, TRACKED)
    assert not found, "\n".join(found)
    assert [each.path for each in TRACKED if str(ROOT) in each.text] == []


def test_most_functions_are_modest() -> None:
    sizes = house_rules.function_sizes(PACKAGE)
    modest = sum(size <= house_rules.MODEST_FUNCTION for size in sizes)
    assert modest >= house_rules.MODEST_SHARE * len(sizes), f"{modest} of {len(sizes)} functions"


def test_places_that_catch_everything_still_do() -> None:
    catching = {
        each.name
        for each in PACKAGE
        if "except Exception" in each.text or "except (Exception" in each.text or "except BaseException" in each.text
    }
    assert set(house_rules.OUTERMOST) <= catching


@pytest.mark.parametrize("source", PACKAGE, ids=lambda source: source.name)
def test_exported_names_are_there(source: Source) -> None:
    module = importlib.import_module(source.name)
    assert [name for name in source.exported or [] if not hasattr(module, name)] == []


def test_top_level_is_small() -> None:
    assert len(anew.__all__) <= 25


def test_decisions_are_on_record() -> None:
    records = [each for each in TRACKED if each.path.startswith("docs/decisions/")]
    assert records
    assert list(house_rules.decision_records(records)) == []


LONG_BODY = "\n".join(f"    a{i} = {i}" for i in range(house_rules.LONGEST_FUNCTION + 1))

PLANTED: tuple[tuple[Rule, str, str], ...] = (
    (house_rules.long_modules, "src/anew/x.py", "a = 1\n" * (house_rules.LONGEST_MODULE + 1)),
    (house_rules.long_functions, "src/anew/x.py", f"async def f():\n    '''Doc.'''\n{LONG_BODY}\n"),
    (house_rules.hidden_imports, "src/anew/adapters/x.py", "def f():\n    if True:\n        import json\n"),
    (house_rules.hidden_imports, "src/anew/loop/x.py", "def f():\n    import json  # noqa: PLC0415  as adapters may\n"),
    (house_rules.hidden_imports, "src/anew/stats/x.py", "def f():\n    from sklearn.a import b\n"),
    (
        house_rules.hidden_imports,
        "src/anew/stats/x.py",
        "def f():\n    from sklearnex import b  # noqa: PLC0415  slow\n",
    ),
    (house_rules.impurities, "src/anew/monitor/_x.py", "at = datetime.now(UTC)\n"),
    (house_rules.impurities, "src/anew/stats/x.py", "rng = np.random.default_rng()\n"),
    (house_rules.impurities, "src/anew/domain/x.py", "print(1)\n"),
    (house_rules.undocumented, "src/anew/x.py", ""),
    (house_rules.undocumented, "src/anew/x.py", '"""Doc."""\nclass A:\n    pass\n'),
    (house_rules.undocumented, "src/anew/x.py", '"""Doc."""\nasync def f():\n    pass\n'),
    (house_rules.unlisted, "src/anew/x.py", '"""Doc."""\na = 1\n'),
    (house_rules.unlisted, "src/anew/x.py", "__all__: list[str] = []\nclass A:\n    pass\n"),
    (house_rules.unsorted, "src/anew/x.py", "__all__ = ['b', 'a']\n"),
    (house_rules.unsorted, "src/anew/x.py", "__all__ = ['a', 'a']\n"),
    (house_rules.unsorted, "src/anew/x.py", "__all__ = ['Beta', 'ALPHA']\n"),
    (
        house_rules.broad_excepts,
        "src/anew/x.py",
        "try:\n    f()\nexcept Exception:  # for no outermost reason\n    pass\n",
    ),
    (house_rules.broad_excepts, "src/anew/x.py", "try:\n    f()\nexcept (ValueError, BaseException):\n    pass\n"),
    (house_rules.broad_excepts, "src/anew/x.py", "try:\n    f()\nexcept:\n    pass\n"),
    (
        house_rules.broad_excepts,
        f"src/{next(iter(house_rules.OUTERMOST)).replace('.', '/')}.py",
        "try:\n    f()\nexcept Exception:\n    pass\n",
    ),
    (house_rules.missing_components, "src/anew/monitor/x_y.py", "__all__ = ['f']\ndef f():\n    pass\n"),
    (house_rules.missing_components, "src/anew/monitor/x_y.py", "__all__ = ['XY']\n@dataclass\nclass XY:\n    pass\n"),
    (
        house_rules.missing_components,
        "src/anew/monitor/x.py",
        "__all__ = []\n@dataclass(frozen=True)\nclass X:\n    pass\n",
    ),
    (house_rules.nameless_modules, "src/anew/loop/_utils.py", ""),
    (house_rules.nameless_modules, "tests/helpers/x.py", ""),
    (house_rules.nameless_modules, "src/anew/stats/profile_part2.py", ""),
    (house_rules.bare_exceptions, "x.py", "a = 1  # no" + "qa\n"),
    (house_rules.bare_exceptions, "x.py", "a = 1  # no" + "qa: E501\n"),
    (house_rules.bare_exceptions, "x.py", "a = 1  # type: " + "ignore  # has no code\n"),
    (house_rules.bare_exceptions, "x.py", "a = 1  # type: " + "ignore[misc]  # no" + "qa: E501\n"),
    (house_rules.unfinished, "x.py", "# TO" + "DO: later\n"),
    (house_rules.leaks, "docs/x.md", "see /ro" + "ot/notes\n"),
    (house_rules.leaks, "docs/x.md", "from py" + "pi.org\n"),
    (house_rules.leaks, "requirements/run.txt", "a @ https://example.com/a.whl\n"),
)

KEPT: tuple[tuple[Rule, str, str], ...] = (
    (
        house_rules.hidden_imports,
        "src/anew/adapters/x.py",
        "def f():\n    import lib  # noqa: PLC0415  takes seconds\n",
    ),
    (
        house_rules.hidden_imports,
        "src/anew/stats/x.py",
        "def f():\n    from sklearn.a import b  # noqa: PLC0415  slow\n",
    ),
    (house_rules.impurities, "src/anew/stats/x.py", "rng = np.random.default_rng(seed)\n"),
    (house_rules.impurities, "src/anew/loop/x.py", "at = datetime.now(UTC)\n"),
    (house_rules.broad_excepts, "src/anew/x.py", "try:\n    f()\nexcept BaseException:\n    g()\n    raise\n"),
    (house_rules.unlisted, "src/anew/x/__init__.py", '"""Doc."""\n'),
    (house_rules.unsorted, "src/anew/x.py", "__all__ = ['ALPHA', 'Beta', 'alpha']\n"),
    (house_rules.missing_components, "src/anew/monitor/_x.py", ""),
    (
        house_rules.missing_components,
        "src/anew/monitor/x_y.py",
        "__all__ = ['XY']\n@dataclass(frozen=True)\nclass XY:\n    pass\n",
    ),
    (house_rules.bare_exceptions, "x.py", "a = 1  # type: ignore[misc]  # noqa: E501  the reason why\n"),
    (house_rules.leaks, "docs/x.md", "$HOME/work/x, ~/work/x and a/root/b\n"),
)


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_rule_finds_the_planted_fault(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text)))


@pytest.mark.parametrize(("rule", "path", "text"), KEPT)
def test_rule_lets_be_what_is_right(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text))) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("0002-second.md", "## Context\n## Choice\n## What it costs\n## What would change our mind\n"),
        ("0001-first.md", "## Context\n## Choice\n## What it costs\n"),
    ],
)
def test_faulty_decision_record_is_found(name: str, text: str) -> None:
    assert list(house_rules.decision_records([Source(f"docs/decisions/{name}", text)]))


@pytest.mark.parametrize("place", [("192.0.2.1", 9), ("2001:db8::1", 9, 0, 0), ("example.com", 80)])
def test_no_test_reaches_beyond_loopback(place: tuple[object, ...]) -> None:
    with pytest.raises(RuntimeError, match="beyond loopback"):
        sys.audit("socket.connect", None, place)


@pytest.mark.parametrize("place", [("127.0.0.1", 9), ("localhost", 9), ("::1", 9, 0, 0), "a.socket"])
def test_loopback_is_free(place: object) -> None:
    sys.audit("socket.connect", None, place)
