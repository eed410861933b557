"""Requests per second and p99 of one worker, every answer recorded durably, beside servers that record nothing.

Run it as ``make bench-serve``; it needs wrk. The model is the same everywhere (30 numbers, 200 trees of LightGBM), so
are the requests (one row as JSON), the load (wrk with 1, 32 and 128 connections) and the machine; each peer runs in an
environment of its own, in each of its settings, of which its best counts. anew is measured before and after the peers,
and the worse of the two counts.

Exit 0 only if, at 32 connections, anew answers at least 6 times as many requests as the best peer, with a lower 99th
percentile, at least half as many as the same server that reads the same requests and answers a constant; and if every
answer that it gave is in its journal.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from measured import FailedError, environment, tell
from serve_project import FEATURES, MODEL, make_project, rows_of

from anew.adapters.segment_reader import SegmentReader
from anew.domain.observation import Prediction

__all__ = ["main"]

HERE = Path(__file__).parent
PEERS = HERE / "serve_peers"
CONNECTIONS = (1, 32, 128)
TIMES, SHARE = 6.0, 0.5
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Contender:
    """A server: how it is started (with ``PORT`` in the words), where and what it is asked."""

    name: str
    command: Sequence[str]
    path: str
    body: object
    settings: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


@dataclass
class Measured:
    """Requests per second, 99th percentile in ms and processor time in µs a request, by connections; answers.

    Processor time is that of all processes of the server: steady also where others use the machine.
    """

    rate: dict[int, float] = field(default_factory=dict)
    p99: dict[int, float] = field(default_factory=dict)
    cpu_us: dict[int, float] = field(default_factory=dict)
    failed: int = 0
    answers: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and say whether it is met."""
    parser = argparse.ArgumentParser(prog="make bench-serve")
    parser.add_argument("--seconds", type=int, default=4, help="of load for each figure")
    parser.add_argument("--only", nargs="*", help="names of peers, else all")
    given = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        tell("wrk makes the load and is not here: apt-get install wrk")
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        bench = _Bench(Path(temporary), given.seconds)
        return bench.run(given.only)


class _Bench:
    """One run."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self.folder = folder
        self.seconds = seconds
        self.project = make_project(folder / "project").folder
        self.row = rows_of(1)[0].tolist()
        self.model_file = next((self.project / ".anew" / "models").rglob("model.txt"))
        self.tensors = {"inputs": [{"name": "x", "shape": [1, len(FEATURES)], "datatype": "FP64", "data": self.row}]}

    def run(self, only: Sequence[str] | None) -> int:
        """Measure everyone, and judge."""
        plain = {"row": dict(zip(FEATURES, self.row, strict=True))}
        table = {"anew, /v2 … infer": self.measure(self.ours("infer", self.tensors))}
        table["anew, /predict"] = self.measure(self.ours("predict", plain))
        table["… a constant, same server"] = self.measure(self.constant())
        peers: dict[str, Measured] = {}
        for contender in self.peers(only):
            try:
                peers[contender.name] = self.measure(contender)
            except FailedError as exc:
                tell(f"{contender.name}: {exc}")
                peers[contender.name] = Measured()
        table["anew, /v2 … infer, again"] = self.measure(self.ours("infer again", self.tensors))
        kept = self.kept()
        answers = sum(each.answers for name, each in table.items() if name.startswith("anew"))
        _print(table | peers)
        print(f"\npredictions acknowledged {answers}, in the journals {kept}")
        return _judge(table, peers, kept >= answers)

    def ours(self, name: str, body: object) -> Contender:
        """Return the gateway, as it is used."""
        path = f"/v2/models/{MODEL}/infer" if "infer" in name else "/predict"
        command = [sys.executable, "-m", "anew.app.gateway_worker", "--project", str(self.project), "--port", "PORT"]
        worker = name.replace(" ", "-")
        return Contender(name, [*command, "--worker", worker], path, body, {"OMP_NUM_THREADS": "1"})

    def constant(self) -> Contender:
        """Return the gateway's server that answers the same to all."""
        answer = self.folder / "answer.json"
        one = {"name": "output", "datatype": "INT64", "shape": [1], "data": [0]}
        answer.write_text(json.dumps({"model_name": MODEL, "model_version": "v1", "outputs": [one]}))
        command = [sys.executable, str(HERE / "serve_constant.py"), "--project", str(self.project), "--port", "PORT"]
        return Contender("constant", [*command, "--answer", str(answer)], "/v2/infer", self.tensors)

    def peers(self, only: Sequence[str] | None) -> Iterator[Contender]:
        """Yield the peers, each setting by itself."""
        makers = {
            "MLServer": self._mlserver,
            "BentoML": self._bentoml,
            "LitServe": self._litserve,
            "mlflow": self._mlflow,
            "Ray": self._ray,
        }
        for name, make in makers.items():
            if only is None or name in only:
                try:
                    python = environment(f"serve-{name.lower()}", PEERS / f"{name.lower()}.txt")
                    yield from make(python)
                except FailedError as exc:
                    tell(str(exc))

    def _mlserver(self, python: Path) -> Iterator[Contender]:
        for name, batch in (("MLServer, in its process", 0), ("MLServer, batches of 64", 64)):
            folder = self.folder / f"mlserver-{batch}"
            folder.mkdir()
            port = _free_port()
            settings = {
                "host": "127.0.0.1", "http_port": port, "grpc_port": _free_port(), "metrics_port": _free_port(),
                "parallel_workers": 0, "debug": False, "use_structured_logging": False,
            }  # fmt: skip
            model = {"name": MODEL, "implementation": "mlserver_runtime.Scorer"}
            model |= {"parameters": {"uri": str(self.model_file)}}
            model |= {"max_batch_size": batch, "max_batch_time": 0.001} if batch else {}
            (folder / "settings.json").write_text(json.dumps(settings))
            (folder / "model-settings.json").write_text(json.dumps(model))
            shutil.copy(PEERS / "mlserver_runtime.py", folder)
            command = [str(python.with_name("mlserver")), "start", str(folder), f"@{port}"]
            yield Contender(name, command, f"/v2/models/{MODEL}/infer", self.tensors, {"PYTHONPATH": str(folder)})

    def _bentoml(self, python: Path) -> Iterator[Contender]:
        command = [str(python.with_name("bentoml")), "serve", "bentoml_service:Scorer", "--host", "127.0.0.1"]
        told = {
            "MODEL_FILE": str(self.model_file),
            "BENTOML_HOME": str(self.folder / "bento"),
            "BENTOML_DO_NOT_TRACK": "1",
        }
        for name, more in (("BentoML, async", {}), ("BentoML, batches of 64", {"BATCH": "64"})):
            yield Contender(name, [*command, "--port", "PORT"], "/predict", {"x": [self.row]}, told | more, PEERS)

    def _litserve(self, python: Path) -> Iterator[Contender]:
        for name, batch in (("LitServe", 1), ("LitServe, batches of 64", 64)):
            command = [str(python), str(PEERS / "litserve_server.py"), str(self.model_file), "PORT", str(batch)]
            yield Contender(name, command, "/predict", {"input": self.row})

    def _mlflow(self, python: Path) -> Iterator[Contender]:
        folder = self.folder / "mlflow-model"
        made = [str(python), str(PEERS / "mlflow_model.py"), str(self.model_file), str(folder)]
        done = subprocess.run(made, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FailedError(f"mlflow: {done.stderr.strip().splitlines()[-1]}")
        command = [str(python), "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local"]
        command += ["--host", "127.0.0.1", "--port", "PORT", "--workers", "1"]
        told = {"PATH": f"{python.parent}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
        yield Contender("mlflow models serve", command, "/invocations", {"inputs": [self.row]}, told)

    def _ray(self, python: Path) -> Iterator[Contender]:
        told = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": tempfile.gettempdir()}
        for name, batch in (("Ray Serve", 1), ("Ray Serve, batches of 64", 64)):
            command = [str(python), str(PEERS / "ray_server.py"), str(self.model_file), "PORT", str(batch)]
            yield Contender(name, command, "/", {"input": self.row}, told)

    def measure(self, contender: Contender) -> Measured:
        """Start it, load it, end it."""
        tell(f"measuring {contender.name}")
        script = self.folder / "load.lua"
        script.write_text(
            f"wrk.method='POST'\nwrk.headers['Content-Type']='application/json'\nwrk.body=[=[{json.dumps(contender.body)}]=]\n"
        )
        found = Measured()
        with _started(contender, self.folder / "server.log") as (url, session):
            _load(url, script, 8, 1)
            for connections in CONNECTIONS:
                before = _cpu_s(session)
                said = _load(url, script, connections, self.seconds)
                spent = _cpu_s(session) - before
                found.rate[connections], found.p99[connections] = _read(said)
                answers = int(re.search(r"(\d+) requests in", said)[1])
                found.answers += answers
                found.cpu_us[connections] = 1e6 * spent / max(answers, 1)
                lost = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
                found.failed += int(lost[1]) if lost else 0
                tell(
                    f"{contender.name}, {connections}: {found.rate[connections]:,.0f} ({found.p99[connections]:.1f} ms)"
                )
        return found

    def kept(self) -> int:
        """Count the predictions on disk."""
        reader, total = SegmentReader(self.project / ".anew" / "journal"), 0
        for journal in reader.journals():
            after = 0
            while (batch := reader.read(journal, after=after, most=20_000)).position > after:
                total += sum(isinstance(each, Prediction) for each in batch.observations)
                after = batch.position
        return total


@contextmanager
def _started(contender: Contender, log: Path) -> Iterator[tuple[str, int]]:
    """Run it in a session of its own until left; gives its address and the session once it answers.

    Raises
    ------
    FailedError
        It does not.
    """
    fixed = next((word[1:] for word in contender.command if re.fullmatch(r"@\d+", word)), "")
    port = int(fixed) if fixed else _free_port()
    command = [word.replace("PORT", str(port)) for word in contender.command if not word.startswith("@")]
    url = f"http://127.0.0.1:{port}{contender.path}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, **contender.settings}, cwd=contender.folder,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait(url, json.dumps(contender.body).encode(), process, log)
            yield url, process.pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, body: bytes, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 120
    said = "nothing"
    while time.monotonic() < until and process.poll() is None:
        request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - loopback
                reply.read()
                return
        except urllib.error.HTTPError as exc:
            said = f"{exc.code} {exc.read()[:200]!r}"
        except OSError as exc:
            said = str(exc)
        time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise FailedError(f"does not answer (last: {said}); it said: {' | '.join(lines)}")


def _cpu_s(session: int) -> float:
    """Return the seconds of processor time that the living processes of a session have used, and those they started."""
    ticks, parents, ours = dict[int, int](), dict[int, int](), {session}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            said = file.read_text().rpartition(")")[2].split()
            pid = int(file.parent.name)
            ticks[pid], parents[pid] = int(said[11]) + int(said[12]), int(said[1])
            if int(said[3]) == session:
                ours.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks.get(pid, 0) for pid in ours) / os.sysconf("SC_CLK_TCK")


def _load(url: str, script: Path, connections: int, seconds: int) -> str:
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        "--timeout",
        "10s",
        "-s",
        str(script),
        url,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _read(said: str) -> tuple[float, float]:
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", said).groups()
    return rate, float(value) * _UNITS[unit]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _print(table: Mapping[str, Measured]) -> None:
    print("requests per second (99th percentile in ms)")
    counts = "".join(f"{count:>20}" for count in CONNECTIONS)
    print(f"{'':28}{counts}{'CPU µs at 32':>15}{'not 2xx':>10}")
    for name, each in table.items():
        cells = [f"{each.rate[c]:,.0f} ({each.p99[c]:.1f})" if c in each.rate else "did not run" for c in CONNECTIONS]
        cpu = f"{each.cpu_us[32]:.0f}" if 32 in each.cpu_us else "-"
        print(f"{name:28}" + "".join(f"{cell:>20}" for cell in cells) + f"{cpu:>15}{each.failed:>10}")


def _judge(table: Mapping[str, Measured], peers: Mapping[str, Measured], whole: bool) -> int:
    ran = {name: each for name, each in peers.items() if each.rate}
    ours = [table["anew, /v2 … infer"], table["anew, /v2 … infer, again"]]
    worse = min(ours, key=lambda each: each.rate[32])
    constant = table["… a constant, same server"].rate[32]
    verdicts = {
        "every answer is in a journal": whole,
        "no request failed": not sum(each.failed for name, each in table.items()),
        f"at least {SHARE:.0%} of the constant: {worse.rate[32] / constant:.0%}": worse.rate[32] >= SHARE * constant,
        f"all {len(peers)} peers ran": len(ran) == len(peers) and len(ran) > 0,
    }
    if ran:
        best = max(ran, key=lambda name: ran[name].rate[32])
        times = worse.rate[32] / ran[best].rate[32]
        verdicts[f"at least {TIMES:g} times the best peer at 32 ({best}): {times:.1f}"] = times >= TIMES
        verdicts["a lower 99th percentile than it"] = worse.p99[32] < ran[best].p99[32]
    print()
    for sentence, held in verdicts.items():
        print(f"{'met   ' if held else 'MISSED'} {sentence}")
    return 0 if all(verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
