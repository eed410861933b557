"""How heavy and how quick the dashboard's pages are, in the machine's own Chromium: ``make bench-ui``.

It serves a record as large as ``--runs`` and ``--columns`` say, opens every page cold (a new browser context, an empty
cache), and prints what came over the wire, how many requests there were, when something was painted first, how long
scripts blocked, and how long the server took at the 95th percentile.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser

from anew.dashboard.place import PLACES
from anew.dashboard.source import Bar, Shift
from anew.domain.fact import Fact
from anew.domain.facts import WindowClosed
from tests.dashboard.story import ToldSource, story
from tests.system.browsed import Served, browser, served, visiting

PAINT = """() => {
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  const files = performance.getEntriesByType('resource').filter((each) => !each.name.includes('/events'));
  const page = performance.getEntriesByType('navigation')[0];
  return [paint ? paint.startTime : 0, page.transferSize + files.reduce((sum, each) => sum + each.transferSize, 0),
          1 + files.length, window.blocked || 0];
}"""
BLOCKED = """new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.blocked = (window.blocked || 0) + Math.max(0, each.duration - 50);
}).observe({ type: 'longtask', buffered: true });"""


@dataclass
class Large(ToldSource):
    """A source whose windows have many columns."""

    columns: int = 500

    def shifts(self, window: WindowClosed) -> Sequence[Shift]:
        """As many columns as were asked for."""
        bars = tuple(Bar(name=str(i), reference=0.1, current=0.1) for i in range(10))
        shift = Shift(column="", kind="numeric", psi=0.1, p_value=0.5, ks=0.1, bars=bars)
        return [replace(shift, column=f"column {i} of {window.n}", psi=1 / (i + 1)) for i in range(self.columns)]


def record(runs: int) -> list[Fact]:
    """Return a record of about `runs` runs: the same story again and again under other names."""
    found: list[Fact] = []
    for i in range(max(1, runs // 3)):
        found += story(f"-{i}", days=4)
    return found


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


def measure(chromium: Browser, at: Served, path: str) -> tuple[float, float, int, float]:
    """Return first paint in ms, bytes over the wire, requests and blocked ms of a page that is opened cold."""
    context = chromium.new_context()
    context.add_init_script(BLOCKED)
    with visiting(chromium, at) as seen:
        cookies = seen.page.context.cookies()
    context.add_cookies(cookies)  # type: ignore[arg-type]  # as Playwright gave them
    page = context.new_page()
    page.goto(at.url + path)
    page.wait_for_timeout(400)
    paint, size, requests, blocked = page.evaluate(PAINT)
    context.close()
    return paint, size, requests, blocked


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--columns", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    facts = record(given.runs)
    print(f"{len(facts)} facts, {given.columns} columns; load {os.getloadavg()[0]:.1f}")
    print(f"{'page':<12}{'KB':>8}{'requests':>10}{'first paint ms':>16}{'blocked ms':>12}{'server p95 ms':>15}")
    with served(Large(facts, "some", columns=given.columns)) as at, browser() as chromium:
        newest = max(0, given.runs // 3 - 1)
        for place in PLACES:
            path = place.path.replace("{version:path}", f"v2-{newest}")
            served_in(at, path, 1)
            paint, size, requests, blocked = measure(chromium, at, path)
            taken = served_in(at, path, given.rounds)
            print(f"{place.name:<12}{size / 1000:>8.1f}{requests:>10}{paint:>16.0f}{blocked:>12.0f}{taken:>15.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
