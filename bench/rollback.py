"""How soon no worker answers by a version that was rolled back, with everything else down: `make bench-rollback`.

Four gateway workers serve v2, v1 is its fallback. The record is a file of garbage, the artifact store and the lake are
gone, and no control plane runs. Then a person orders a rollback; the clock runs from the order to the first answer of
the last of the four workers by v1. The second row runs the command `anew rollback` itself, its start included.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.journal_process import JournalProcess
from anew.adapters.signing import Signer, Verifier
from anew.app.gateway_parts import GatewayParts
from anew.app.order import order
from anew.domain.facts import Order, Stage, TrafficShifted
from anew.gateway.settings import GatewaySettings
from anew.testing.fake_predictor import FAKE_COLUMNS, FakeStore

MODEL, WORKERS = "fraud", 4
ROUNDS, COMMANDS = 200, 40
MOST_S = 1.0
ANEW = Path(sys.executable).with_name("anew")
ROW = json.dumps({"rows": [{"amount": 1.0, "shop": "a:b", "count": 1, "customer": "c"}]}).encode()


def parts(project: Path, worker: str) -> GatewayParts:
    """Return the parts of a gateway worker, as its process asks for them."""
    state = project / ".anew"
    return GatewayParts(
        settings=GatewaySettings(model=MODEL, columns=FAKE_COLUMNS),
        host="127.0.0.1",
        traffic=FileTraffic(state, Verifier.load(state / "keys")),
        store=FakeStore(state / "models"),
        journal=JournalProcess(state / "journal" / worker, most_bytes=1 << 28, segment_bytes=1 << 22),
        loader="anew.testing.fake_predictor:FakeLoader",
    )


@dataclass
class Bed:
    """Workers on ports of their own, a client for each, and the hands of a control plane that has died."""

    project: Path
    traffic: FileTraffic
    store: FakeStore
    processes: list[subprocess.Popen] = field(default_factory=list)
    clients: list[http.client.HTTPConnection] = field(default_factory=list)

    def begin(self) -> None:
        """Start the workers."""
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        for worker in range(WORKERS):
            command = [sys.executable, "-m", "anew.app.gateway_worker", "--project", str(self.project)]
            command += ["--worker", str(worker), "--port", "0", "--parts", "rollback:parts"]
            with (self.project / "log").open("ab") as log:
                self.processes.append(subprocess.Popen(command, env=environment, stderr=log))
        wait(lambda: len(self.traffic.workers(MODEL)) == WORKERS)
        for status in self.traffic.workers(MODEL):
            self.clients.append(http.client.HTTPConnection("127.0.0.1", status.port, timeout=30))

    def answered_by(self, client: http.client.HTTPConnection) -> str:
        """Ask one worker, and return who answered."""
        try:
            client.request("POST", "/predict", ROW, {"content-type": "application/json"})
            reply = client.getresponse()
            body = json.loads(reply.read())
        except (OSError, http.client.HTTPException):
            client.close()
            return ""
        return body["predictions"][0]["version"] if reply.status == 200 else ""

    def all_by(self, version: str) -> Callable[[], bool]:
        """Return a condition: that every worker has answered by `version`, each asked until it did."""
        left = list(self.clients)

        def met() -> bool:
            left[:] = [client for client in left if self.answered_by(client) != version]
            return not left

        return met

    def promote(self, champion: tuple[str, str], fallback: tuple[str, str]) -> None:
        """Serve v2 with v1 warm behind it, as after a promotion; then take everything away that is not a gateway."""
        self.away(back=True)
        present = self.traffic.published(MODEL)
        epoch = 1 if present is None else present.epoch + 1
        self.traffic.publish(
            TrafficShifted(
                model=MODEL,
                at=datetime.now(UTC),
                epoch=epoch,
                stage=Stage.STEADY,
                share=0.0,
                champion=champion,
                fallback=fallback,
            )
        )
        wait(lambda: self.traffic.applied(MODEL) == (WORKERS, epoch))
        wait(self.all_by(champion[0]))
        self.away(back=False)

    def away(self, *, back: bool) -> None:
        """Take artifact store and record away, or bring the store back."""
        models, aside, record = (self.project / ".anew" / name for name in ("models", "models-away", "anew.db"))
        if back and aside.exists():
            aside.rename(models)
        elif not back:
            models.rename(aside)
            record.write_bytes(b"no database " * 500)


def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("a worker did not do what it was to do within a minute")
        time.sleep(0.001)


def measure(bed: Bed, versions: list[tuple[str, str]], go_back: Callable[[], object], rounds: int) -> np.ndarray:
    """Return the seconds of each rollback from the second version to the first."""
    took = []
    for number in range(rounds):
        bed.promote(versions[1], versions[0])
        if number == 0:
            time.sleep(1.0)  # the fallback is warmed up after the first promotion alone
        began = time.perf_counter()
        go_back()
        wait(bed.all_by("v1"))
        took.append(time.perf_counter() - began)
    return np.array(took)


def main() -> int:
    """Print the table, and say whether the bound is met."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / ".anew"
        signer = Signer.load_or_create(state / "keys")
        bed = Bed(Path(folder), FileTraffic(state, signer.verifier, signer), FakeStore(state / "models"))
        versions = [(name, bed.store.make(value=float(name[1:]))) for name in ("v1", "v2")]
        bed.traffic.publish(
            TrafficShifted(
                model=MODEL, at=datetime.now(UTC), epoch=1, stage=Stage.STEADY, share=0.0, champion=versions[0]
            )
        )
        try:
            bed.begin()
            ordered = measure(bed, versions, lambda: order(bed.project, Order.ROLLBACK, "bench"), ROUNDS)
            command = [str(ANEW), "rollback", str(bed.project)]
            run = subprocess.run
            commanded = measure(bed, versions, lambda: run(command, check=True, capture_output=True), COMMANDS)
        finally:
            for process in bed.processes:
                process.kill()
                process.wait()
            shutil.rmtree(state, ignore_errors=True)
    print(f"{WORKERS} workers, record damaged, artifact store and lake gone, no control plane; seconds\n")
    print(f"  {'from':<42}{'rounds':>8}{'median':>9}{'p99':>9}{'worst':>9}")
    for name, took in (("the order to the last worker's answer", ordered), ("the start of the command", commanded)):
        print(f"  {name:<42}{len(took):>8}{np.median(took):>9.3f}{np.quantile(took, 0.99):>9.3f}{took.max():>9.3f}")
    p99 = max(float(np.quantile(took, 0.99)) for took in (ordered, commanded))
    met = p99 <= MOST_S
    print(f"\n  {'met  ' if met else 'MISSED'} both within {MOST_S:g} s, the larger 99th percentile: {p99:.3f} s")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
