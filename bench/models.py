"""Many small models in one installation: ``make bench-models ARGS="--models 200"``.

Makes as many projects, each with a policy, a pipeline and a history of its own, and as many broken ones as asked for;
brings them up with `anew up`; and prints, as JSON, what that takes: seconds until every loop runs, until every model
has a champion (each is trained, measured by its gates and promoted, so many at a time as ``--at-once`` says), memory,
the CPU of a second in which nothing happens, and how long `anew models` takes. While the others wait, a person asks
for a retrain of the first model that has a champion, and the seconds until it has its turn are counted.

Exit 0 only if every model that is not broken had its champion in time, never more runs were under way than allowed but
for the person's, and every broken one was told apart.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from anew.adapters.fact_reader import read_facts
from anew.domain.facts import RetrainAdmitted, TrainingEnded

__all__ = ["main"]

ANEW = Path(sys.executable).with_name("anew")
BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
POLICY = """\
model: {name}
task: regression
columns: {{time: at, target: y, features: {{x: number, z: number}}}}
data: {{history: history.parquet, holdout: 0.1}}
monitor: {{window: 1h, label_delay: 1h, clock: data}}
slos: [{{metric: mae, at_most: 2.0}}]
validate: [slos: {{or_closer: true}}]
serving: {{workers: 0}}
dashboard: {{others: ["../*"]}}
"""
PIPELINE = """\
import lightgbm


def train(data, params):
    rows = lightgbm.Dataset(data.x.to_numpy(), data.y.to_numpy())
    told = {"objective": "regression", "num_leaves": 15, "min_data_in_leaf": 5, "seed": data.seed, "num_threads": 1,
            "verbose": -1, "deterministic": True}
    return lightgbm.train(told, rows, num_boost_round=20)
"""


def make(root: Path, models: int, broken: int, at_once: int) -> None:
    """Make the installation."""
    root.mkdir(parents=True)
    (root / "installation.yaml").write_text(f"models: [models/*]\ncompute: {{at_once: {at_once}}}\n", "utf-8")
    for number in range(models + broken):
        folder = root / "models" / f"m{number:03d}"
        folder.mkdir(parents=True)
        rng = np.random.default_rng(number)
        x, z, noise = rng.normal(size=(3, 720))
        at = [BEGIN + i * timedelta(seconds=30) for i in range(720)]
        pl.DataFrame({"at": at, "x": x, "z": z, "y": 3 * x + z + 0.1 * noise}).write_parquet(folder / "history.parquet")
        (folder / "anew.yaml").write_text(POLICY.format(name=folder.name), "utf-8")
        (folder / "pipeline.py").write_text(PIPELINE, "utf-8")
        if number >= models:
            how = number % 3
            if how == 0:
                (folder / "anew.yaml").write_text("model: [", "utf-8")
            elif how == 1:
                (folder / "pipeline.py").unlink()
            else:
                (folder / ".anew").mkdir()
                (folder / ".anew" / "anew.db").write_bytes(b"no database" * 500)


def stand(root: Path) -> Mapping[str, Any]:
    """Return what `anew models` says, nothing before it says anything."""
    done = subprocess.run([ANEW, "models", str(root), "--json"], capture_output=True, text=True, check=False)
    found: Mapping[str, Any] = json.loads(done.stdout)["data"] if done.returncode == 0 else {}
    return found


def wait(found: Callable[[], Any], until: float, every: float = 1.0) -> Any:
    """Return the first true answer, None after `until`."""
    while time.monotonic() < until:
        answer = found()
        if answer:
            return answer
        time.sleep(every)
    return None


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> int:
    """Return the memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def most_at_once(root: Path) -> int:
    """Count from the records how many runs were under way at a time, those that a person asked for left out."""
    moments: list[tuple[datetime, int]] = []
    for state in sorted(root.glob("models/*/.anew/anew.db")):
        try:
            facts = list(read_facts(state, kinds={"RetrainAdmitted", "TrainingEnded"}))
        except Exception:  # noqa: BLE001, S112  the broken ones
            continue
        held = False
        for each in facts:
            if isinstance(each.fact, RetrainAdmitted):
                held = each.fact.reason != "command"
                moments += [(each.recorded_at, 1)] if held else []
            elif isinstance(each.fact, TrainingEnded) and held:
                moments.append((each.recorded_at, -1))
                held = False
    count = most = 0
    for _, step in sorted(moments):
        count += step
        most = max(most, count)
    return most


def turn_of_a_person(root: Path, name: str, until: float) -> float | None:
    """Ask for a retrain of a model in the middle of the queue; return the seconds until it has its turn."""
    record = root / "models" / name / ".anew" / "anew.db"
    began = time.monotonic()
    subprocess.run(
        [ANEW, "retrain", str(root / "models" / name), "--reason", "bench", "--yes"], check=True, capture_output=True
    )

    def admitted() -> bool:
        return any(
            isinstance(each.fact, RetrainAdmitted) and each.fact.reason == "command"
            for each in read_facts(record, kinds={"RetrainAdmitted"})
        )

    return round(time.monotonic() - began, 1) if wait(admitted, until, 0.2) else None


def measured(root: Path, process: "subprocess.Popen[bytes]", given: argparse.Namespace) -> dict[str, Any]:
    """Bring all up and measure."""
    began, until = time.monotonic(), time.monotonic() + given.limit
    said: dict[str, Any] = {"models": given.models, "broken": given.broken, "at_once": given.at_once}

    def states() -> list[str]:
        return [each["state"] for each in stand(root).get("models", ())]

    def champions() -> int:
        return sum(bool(each["champion"]) for each in stand(root).get("models", ()))

    wait(lambda: states().count("runs") == given.models and states().count("broken") == given.broken, until)
    said["seconds_until_all_run"] = round(time.monotonic() - began, 1)
    said["states"] = {each: states().count(each) for each in sorted(set(states()))}
    said["memory_mb_when_all_run"] = memory_mb(process.pid)
    wait(lambda: champions() >= 1, until)
    crowned = [each["project"] for each in stand(root)["models"] if each["champion"]]
    if crowned and champions() < given.models:
        said["waiting_when_a_person_asks"] = len(stand(root)["queue"])
        said["seconds_until_a_person_has_a_turn"] = turn_of_a_person(root, Path(crowned[0]).name, until)
    wait(lambda: champions() == given.models, until)
    said["champions"] = champions()
    said["seconds_until_all_have_champions"] = round(time.monotonic() - began, 1)
    wait(lambda: not stand(root)["compute"]["under_way"], until)
    time.sleep(5)
    before, at = cpu_s(process.pid), time.monotonic()
    time.sleep(20)
    share = "idle_cpu_share" if said["champions"] == given.models else "cpu_share_with_runs_under_way"
    said[share] = round((cpu_s(process.pid) - before) / (time.monotonic() - at), 3)
    said["memory_mb_at_the_end"] = memory_mb(process.pid)
    before_ask = time.monotonic()
    stand(root)
    said["anew_models_s"] = round(time.monotonic() - before_ask, 2)
    said["most_runs_at_once"] = most_at_once(root)
    return said


def main() -> int:
    """Make, bring up, measure, print."""
    told = argparse.ArgumentParser()
    told.add_argument("--models", type=int, default=200)
    told.add_argument("--broken", type=int, default=6)
    told.add_argument("--at-once", type=int, default=2)
    told.add_argument("--limit", type=float, default=1800.0, help="seconds after which it is given up")
    given = told.parse_args()
    with tempfile.TemporaryDirectory(prefix="anew-models-") as place:
        root = Path(place, "all")
        make(root, given.models, given.broken, given.at_once)
        load = round(os.getloadavg()[0], 2)
        with Path(place, "log").open("wb") as log:
            process = subprocess.Popen([ANEW, "up", str(root)], stdout=log, stderr=log)
            try:
                said = measured(root, process, given)
            finally:
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                code = process.wait(120)
        said |= {"load_at_begin": load, "seconds_to_stop": round(time.monotonic() - began, 1), "exit_code": code}
        print(json.dumps(said, indent=1), flush=True)
    told_apart = said["states"] == {"broken": given.broken, "runs": given.models}
    return 0 if told_apart and said["champions"] == given.models and said["most_runs_at_once"] <= given.at_once else 1


if __name__ == "__main__":
    sys.exit(main())
