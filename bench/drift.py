"""Drift verdicts on a million rows of thirty columns: ours beside Evidently, whylogs and NannyML, as whole processes.

Run it as ``make bench-drift``. Each peer has its own pinned environment under build/bench-envs, made once. Seconds are
of CPU, of the whole process: start, imports, reading, verdict. "Work" is what lies between loaded rows and verdict, of
the peers alone. Exit 0 only if every target is met; a peer that cannot be measured is a target that is not.
"""

import argparse
import functools
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from measured import FailedError, Run, environment, run, tell, typical

__all__ = ["main"]

FOLDER = Path(__file__).parent
PEERS = FOLDER / "drift_peers"
DATA = FOLDER.parent / "build" / "bench-data"
ANEW = Path(sys.executable).with_name("anew")
DRIFTED = ("c2", "x03", "x07", "x12")  # as drift_data.py makes them
REFERENCE_ROWS, ROWS, MANY_ROWS = 100_000, 1_000_000, 10_000_000
QUIET = {
    "DO_NOT_TRACK": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "PYTHONWARNINGS": "ignore",
    "WHYLOGS_NO_ANALYTICS": "True",
}
PROGRAMS = {
    "Evidently, default report": ("evidently", "evidently_report"),
    "Evidently, bare functions": ("evidently", "evidently_bare"),
    "whylogs": ("whylogs", "whylogs_profiles"),
    "NannyML": ("nannyml", "nannyml_univariate"),
}
"""Each peer's environment and program."""

OURS, STORED, READ = "anew", "anew, stored profile", "bare batched read"
MANY = f", {MANY_ROWS // 1_000_000} M rows"


@dataclass
class Measured:
    """The runs so far, by what ran; and why others did not."""

    runs: dict[str, Run] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def take(self, name: str, measure: Callable[[], Run]) -> None:
        """Measure something, or keep why it could not be."""
        tell(f"measuring {name}")
        try:
            self.runs[name] = measure()
        except FailedError as exc:
            self.failures.append(f"{name}: {exc}")


@dataclass(frozen=True)
class Target:
    """What is asked for, and what was found, if it could be measured."""

    asked: str
    found: str
    met: bool


def rows(name: str, count: int, *, seed: int, drifted: bool) -> Path:
    """Return the file of so many rows, written if it is not there; its name tells the code that made it."""
    made_by = hashlib.sha256((FOLDER / "drift_data.py").read_bytes()).hexdigest()[:8]
    file = DATA / f"{name}-{count}-{made_by}.parquet"
    if not file.is_file():
        tell(f"writing {count:,} rows")
        DATA.mkdir(parents=True, exist_ok=True)
        for old in DATA.glob(f"{name}-{count}-*.parquet"):
            old.unlink()
        asked = {"file": str(file), "rows": count, "seed": seed, "drifted": drifted}
        # By a child: a process begins with its parent's peak memory, so this one stays small.
        run([sys.executable, FOLDER / "drift_data.py", json.dumps(asked)])
    return file


def measure(times: int, peers: bool) -> Measured:
    """Run everything, ours before and after the peers, since machines change their pace."""
    reference = rows("reference", REFERENCE_ROWS, seed=1, drifted=False)
    current = rows("current", ROWS, seed=2, drifted=True)
    many = rows("current", MANY_ROWS, seed=3, drifted=True)
    found = Measured()
    with tempfile.TemporaryDirectory() as scratch:
        profile = Path(scratch) / "reference"
        drift = [ANEW, "data", "drift", "--json"]
        whole = [*drift, "--reference", reference, "--current"]
        stored = [*drift, "--reference-profile", profile, "--current"]
        bare = [sys.executable, PEERS / "bare_read.py"]
        run([*whole, current, "--save-profile", profile])
        first = {
            name: typical(lambda at=at: run([*at, current]), times) for name, at in ((OURS, whole), (STORED, stored))
        }
        for name, (home, program) in PROGRAMS.items() if peers else ():
            found.take(name, functools.partial(peer, home, program, reference, current))
        for name, at in ((OURS, whole), (STORED, stored), (READ, bare)):
            found.take(name, lambda at=at: typical(lambda: run([*at, current]), times))
            if name in first:
                found.runs[name] = max(first[name], found.runs[name], key=lambda each: each.cpu_s)
        for name, at in ((STORED, stored), (READ, bare)):
            found.take(name + MANY, lambda at=at: typical(lambda: run([*at, many]), max(times // 2, 1)))
    return found


def peer(home: str, program: str, reference: Path, current: Path) -> Run:
    """Run a peer's program in its environment."""
    return run([environment(home, PEERS / f"{home}.txt"), PEERS / f"{program}.py", reference, current], QUIET)


def targets(found: Measured) -> Iterator[Target]:
    """Compare what was measured with what is asked for."""
    cpu = {name: each.cpu_s for name, each in found.runs.items()}
    peak = {name: each.peak_mb for name, each in found.runs.items()}
    report, bare, whylogs, nannyml = PROGRAMS
    for slow, quick, least in (
        (report, OURS, 60), (bare, OURS, 8), (whylogs, OURS, 30), (nannyml, OURS, 8), (report, STORED, 100),
    ):  # fmt: skip
        yield limit(f"CPU of {slow} over {quick}, at least", lambda s=slow, q=quick: cpu[s] / cpu[q], least, above=True)
    yield limit(f"peak memory of {report} over {OURS}, at least", lambda: peak[report] / peak[OURS], 5, above=True)
    further = "CPU for each further row, pass over bare batched read, at most"
    yield limit(further, lambda: (cpu[STORED + MANY] - cpu[STORED]) / (cpu[READ + MANY] - cpu[READ]), 3)
    growth = MANY_ROWS / ROWS
    yield limit(f"CPU of {growth:g} times the rows, at most", lambda: cpu[STORED + MANY] / cpu[STORED], growth)
    yield limit(f"memory of {growth:g} times the rows, at most", lambda: peak[STORED + MANY] / peak[STORED], 1.25)
    yield limit("peak MB of 10 M rows, at most", lambda: peak[STORED + MANY], 1024)
    ours = found.runs[OURS].answer["data"]["drifted"] if OURS in found.runs else None
    yield Target("the four drifted columns found, and no other", f"{len(ours or [])}", sorted(ours or []) == [*DRIFTED])


def limit(asked: str, figure: Callable[[], float], bound: float, *, above: bool = False) -> Target:
    """Hold a figure to its bound; without it the target is not met."""
    try:
        value = figure()
    except KeyError:
        return Target(f"{asked} {bound:g}", "not measured", False)
    return Target(f"{asked} {bound:g}", f"{value:.2f}", value >= bound if above else value <= bound)


def show(found: Measured) -> bool:
    """Print the tables; return whether every target is met."""
    print(f"\n{'':<34}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'work s':>8}{'CPU / ours':>12}  found to have drifted")
    for name, each in found.runs.items():
        answer = each.answer if name not in (READ, READ + MANY) else {}
        columns = answer.get("drifted", answer.get("data", {}).get("drifted"))
        work = f"{answer['work_s']:.1f}" if "work_s" in answer else ""
        times = f"{each.cpu_s / found.runs[OURS].cpu_s:.1f}" if OURS in found.runs else ""
        told = "" if columns is None else " ".join(sorted(columns)) or "none"
        print(f"{name:<34}{each.cpu_s:>8.2f}{each.wall_s:>8.2f}{each.peak_mb:>9.0f}{work:>8}{times:>12}  {told}")
    print(f"{'the truth':<79}  {' '.join(DRIFTED)}\n")
    for failure in found.failures:
        print(f"not measured: {failure}")
    judged = list(targets(found))
    for target in judged:
        print(f"{'met   ' if target.met else 'MISSED'}  {target.asked}: {target.found}")
    return all(target.met for target in judged)


def main() -> None:
    """Measure, print, exit."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--times", type=int, default=5, help="runs of each of ours, of which the median counts")
    asked.add_argument("--no-peers", action="store_true", help="leave the peers out; their targets are then missed")
    given = asked.parse_args()
    sys.exit(0 if show(measure(given.times, not given.no_peers)) else 1)


if __name__ == "__main__":
    main()
