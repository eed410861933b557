"""How heavy and how quick the dashboard's pages are, beside those of others: ``make bench-ui``.

It serves a record of ``--runs`` runs whose windows have ``--columns`` columns, over a project with ``--predictions``
stored predictions; opens every page cold in the machine's own Chromium (a new context, an empty cache, the median of a
few times), looks at each with axe in both themes, and asks the server for each again and again. The pages of MLflow,
Evidently and Prefect are opened in the same browser in the same run. Ends with 1 where a bound is missed or one of them
could not be measured.
"""

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))

from measured import FailedError, tell
from playwright.sync_api import Browser
from ui_others import OTHERS, others
from ui_pages import Opened, opened, violations

from anew.adapters.delta_lake import DeltaLake
from anew.app.dashboard_source import ProjectSource
from anew.dashboard.place import PLACES
from anew.dashboard.source import Bar, Shift, Source, Surroundings
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.fact import Fact
from anew.domain.facts import WindowClosed
from anew.domain.observation import Answer, Prediction, id_prefix
from tests.cli.recorded import write_record
from tests.dashboard.story import ToldSource, story
from tests.system.browsed import Served, browser, served, visiting

KB, REQUESTS, PAINT, SERVER_MS = 80, 12, 2.5, 50
THEMES = ("light", "dark")
_GROUP = 100_000


@dataclass
class Large(ToldSource):
    """A source whose windows have many columns, beside a project that stores many predictions."""

    columns: int = 500
    project: Source | None = None

    def shifts(self, window: WindowClosed, digest: str) -> Sequence[Shift]:  # noqa: ARG002  of the Protocol
        """As many columns as were asked for."""
        bars = tuple(Bar(name=str(i), reference=0.1, current=0.1) for i in range(10))
        shift = Shift(column="", kind="numeric", psi=0.1, p_value=0.5, ks=0.1, bars=bars)
        return [replace(shift, column=f"column {i} of {window.n}", psi=1 / (i + 1)) for i in range(self.columns)]

    def surroundings(self, asked: Sequence[Fact]) -> Surroundings:
        """What stands beside the project's record, read each time."""
        told = super().surroundings(asked)
        if self.project is None:
            return told
        found = self.project.surroundings([])
        return replace(told, waiting=found.waiting, stored=found.stored, to_review=found.to_review)


def record(runs: int) -> list[Fact]:
    """Return a record of about `runs` runs: the same story again and again under other names."""
    found: list[Fact] = []
    for i in range(max(1, runs // 3)):
        found += story(f"-{i}", days=4)
    return found


def stored(folder: Path, predictions: int) -> Source:
    """Make a project whose lake holds so many predictions, and return the source of its pages."""
    state = write_record(folder / "project") / ".anew"
    features = (Column(name="x", kind=ColumnKind.NUMBER),)
    columns = Columns(time="at", target="y", features=features, task=Task.BINARY, classes=(0, 1))
    lake = DeltaLake(state / "lake", columns, "small", state / "lake.db")
    for start in range(0, predictions, _GROUP):
        lake.append("journal", start + _GROUP, list(_predictions(start, min(_GROUP, predictions - start))))
    lake.close()
    return ProjectSource(state.parent)


def _predictions(start: int, many: int) -> Iterator[Prediction]:
    answer, first = Answer(output=1, proba=(0.4, 0.6)), datetime(2026, 1, 1, tzinfo=UTC)
    for row in range(start, start + many):
        at = first + timedelta(seconds=row)
        yield Prediction(
            id=id_prefix(at) + f"{row:020x}", model="small", at=at, received_at=at, row={"x": 0.5}, answer=answer,
            latency_us=1, version="v1", arm="champion", epoch=0, key=str(row),
        )  # fmt: skip


def served_in(at: Served, path: str, rounds: int) -> float:
    """Return the 95th percentile of how long the server took for a page, in milliseconds."""
    taken = []
    for _ in range(rounds):
        asked = Request(at.url + path, headers={"authorization": "Bearer admin", "accept": "text/html"})  # noqa: S310  loopback
        began = time.perf_counter()
        with urlopen(asked) as answer:  # noqa: S310  loopback
            answer.read()
        taken.append(1_000 * (time.perf_counter() - began))
    return sorted(taken)[int(0.95 * (len(taken) - 1))]


def broken(chromium: Browser, at: Served, paths: Sequence[str]) -> list[int]:
    """Return how many elements of each page break a rule of axe, in both themes together."""
    found = [0] * len(paths)
    for theme in THEMES:
        with visiting(chromium, at, color_scheme=theme, bypass_csp=True) as seen:
            for i, path in enumerate(paths):
                found[i] += violations(seen.page.context, at.url + path, 100)
    return found


def ours(chromium: Browser, at: Served, given: argparse.Namespace) -> tuple[Opened, list[tuple[str, bool]]]:
    """Print a line for each page of ours; returns the first, and whether the bounds of all are met."""
    newest = max(0, given.runs // 3 - 1)
    paths = {place.name: place.path.replace("{version:path}", f"v2-{newest}") for place in PLACES}
    served_in(at, "/", 1)  # the record is read once, whoever comes first
    with visiting(chromium, at) as seen:
        cookies = seen.page.context.cookies()
    axe, found, servers = broken(chromium, at, list(paths.values())), [], []
    for (name, path), nodes in zip(paths.items(), axe, strict=True):
        served_in(at, path, 1)
        servers.append(served_in(at, path, given.rounds))
        found.append(opened(chromium, at.url + path, cookies=cookies, settle_ms=400))
        line(f"anew {name}", found[-1], nodes, f"{servers[-1]:.0f}")
    home = found[0]
    blocked = max(each.blocked_ms for each in found)
    return home, [
        (f"home is at most {KB} KB: {home.kb:.0f}", home.kb <= KB),
        (f"home asks at most {REQUESTS} times: {home.requests}", home.requests <= REQUESTS),
        (f"no page blocks: {blocked:.0f} ms at most", not blocked),
        (f"axe finds nothing on any page in either theme: {sum(axe)}", not sum(axe)),
        ("no page asks another host", not any(each.foreign for each in found)),
        ("every page has a policy of content without unsafe-*", all(_strict(each.policy) for each in found)),
        (f"the server takes at most {SERVER_MS} ms at p95: {max(servers):.0f}", max(servers) <= SERVER_MS),
    ]


def _strict(policy: str) -> bool:
    return bool(policy) and "unsafe" not in policy


def line(page: str, found: Opened, nodes: int, server: str) -> None:
    """Print a line of the table."""
    policy = "strict" if _strict(found.policy) else "unsafe" if found.policy else "none"
    print(
        f"{page:<20}{found.kb:>8.0f}{found.requests:>10}{found.paint_ms:>16.0f}{found.blocked_ms:>12.0f}{nodes:>11}"
        f"{len(found.foreign):>13}{policy:>9}{server:>15}",
        flush=True,
    )


def theirs(chromium: Browser, home: Opened, folder: Path) -> list[tuple[str, bool]]:
    """Print a line for each page of others, and return whether ours is so much sooner."""
    said: list[tuple[str, bool]] = []
    for name in OTHERS:
        try:
            with others(name, folder, _free()) as pages:
                for what, url in pages.items():
                    found = opened(chromium, url, settle_ms=3_000)
                    context = chromium.new_context(bypass_csp=True)
                    line(f"{name} {what}", found, violations(context, url, 3_000), "")
                    context.close()
                    ratio = found.paint_ms / home.paint_ms
                    wanted = f"home is painted {PAINT} times sooner than {name} {what}"
                    said.append((f"{wanted}: {ratio:.1f}", ratio >= PAINT))
        except FailedError as exc:
            said.append((f"{name} could not be measured: {exc}", False))
    return said


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main() -> int:
    """Measure, print a table and what of it is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--columns", type=int, default=500)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    facts = record(given.runs)
    with tempfile.TemporaryDirectory() as folder:
        tell(f"storing {given.predictions} predictions")
        project = stored(Path(folder), given.predictions)
        size = f"{len(facts)} facts, {given.columns} columns, {given.predictions} predictions"
        print(f"{size}; load {os.getloadavg()[0]:.1f}")
        heads = ("KB", 8), ("requests", 10), ("first paint ms", 16), ("blocked ms", 12), ("axe nodes", 11)
        more = ("other hosts", 13), ("CSP", 9), ("server p95 ms", 15)
        print(f"{'page':<20}" + "".join(f"{name:>{width}}" for name, width in (*heads, *more)))
        with browser() as chromium:
            with served(Large(facts, "some", columns=given.columns, project=project)) as at:
                home, said = ours(chromium, at, given)
            said += theirs(chromium, home, Path(folder))
    for what, met in said:
        print(f"{'met   ' if met else 'MISSED'}  {what}")
    return 0 if all(met for _, met in said) else 1


if __name__ == "__main__":
    sys.exit(main())
