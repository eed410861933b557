"""The process that speaks with a Ray cluster; started as ``-m anew.adapters.ray_link ADDRESS NAMESPACE LEASE_S``.

It reads requests and writes answers as lines of JSON. It is a process of its own because Ray ends the process that it
is in when a cluster goes away, and the control plane has to outlive every cluster.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import anew
from anew.adapters.job_ground import pieces
from anew.adapters.job_record import Ended, JobRecord, job_to_json
from anew.adapters.ray_actor import FarJob
from anew.adapters.ray_trials import options_of, trial_tasks

__all__ = ["main"]

_ANSWER_S = 5.0
_KEPT_LOGS = ("stdout.log", "stderr.log", "supervisor.log")

Answer = Mapping[str, str]


def main(address: str, namespace: str, lease_s: float) -> int:
    """Answer requests until there are no more, or the cluster is gone."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what Ray prints is no answer
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    link = _Link(address, namespace, lease_s)
    while True:
        asked = json.loads(requests.get())
        answers.write(json.dumps(link.answer(asked["do"], asked["id"], JobRecord(Path(asked["folder"])))) + "\n")
        answers.flush()


def _listen(requests: "queue.Queue[str]") -> None:
    """Pass on what is asked; when nobody can ask any more, end, whatever Ray is waiting for."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


class _Link:
    """A connection to a cluster, and the deliveries that are under way."""

    def __init__(self, address: str, namespace: str, lease_s: float) -> None:
        import ray  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - an extra, and slow to load

        where = "auto" if address == "ray" else address
        ray.init(address=where, namespace=namespace, log_to_driver=False, configure_logging=False)
        self._ray: Any = ray
        self._lease_s = lease_s
        self._deliveries: dict[str, threading.Thread] = {}
        self._refused: dict[str, str] = {}

    def answer(self, do: str, id: str, record: JobRecord) -> Answer:
        """Do what is asked for; what it came to is a ``state``, with ``why`` where that is not plain."""
        if do == "submit":
            return self._submit(id, record)
        try:
            actor = self._ray.get_actor(id)
        except ValueError:
            return {"state": "gone", "why": self._refused.get(id, "")}
        if do == "kill":
            self._ray.kill(actor)
            return {"state": "gone"}
        try:
            return self._look(id, actor, record)
        except self._ray.exceptions.GetTimeoutError:
            return {"state": "waiting"}
        except self._ray.exceptions.RayActorError as exc:
            return {"state": "gone", "why": _words(exc)}

    def _submit(self, id: str, record: JobRecord) -> Answer:
        try:
            self._ray.get_actor(id)
        except ValueError:
            pass
        else:
            return {"state": "known"}
        self._refused.pop(id, None)
        job = record.job()
        options = {"name": id, "lifetime": "detached", "get_if_exists": True, "max_restarts": 0, "max_concurrency": 8}
        actor = (
            self._ray.remote(FarJob).options(**options, **options_of(job.request)).remote(self._lease_s, trial_tasks)
        )
        self._deliver(id, actor, record)
        return {"state": "made"}

    def _look(self, id: str, actor: Any, record: JobRecord) -> Answer:
        status = self._ray.get(actor.status.remote(), timeout=_ANSWER_S)
        if status["state"] == "opening":
            if id in self._refused:
                self._ray.kill(actor)
                return {"state": "refused", "why": self._refused[id]}
            if id not in self._deliveries or not self._deliveries[id].is_alive():
                self._deliver(id, actor, record)
            return {"state": "waiting"}
        if record.cancelled is not None:
            actor.cancel.remote(record.cancelled)
        started, cpu_s = record.started() or {}, cast("float", status["cpu_s"])
        used_s = started.get("used", 0.0) + cpu_s
        if status["state"] == "running":
            record.use(used_s)
            self._checkpoint(actor, record, status["checkpoint"])
            return {"state": "running"}
        self._collect(actor, record, {**status, "cpu_s": used_s})
        return {"state": "ended"}

    def _deliver(self, id: str, actor: Any, record: JobRecord) -> None:
        """Bring a job its files, and the unfinished results of before, once there is room for it."""

        def deliver() -> None:
            get = self._ray.get
            try:
                token = get(actor.open.remote(job_to_json(record.job()), anew.__version__))
                if not token:
                    return
                for name, piece in pieces(record.job().files or ()):
                    get(actor.write.remote(token, "files", name, piece))
                before = [str(path) for path in record.results.glob("*") if path.is_file()]
                for name, piece in pieces(before):
                    get(actor.write.remote(token, "results", Path(name).name, piece))
                get(actor.start.remote(token))
            except self._ray.exceptions.RayActorError as exc:
                self._refused[id] = _words(exc)
            except (self._ray.exceptions.RayTaskError, OSError) as exc:
                self._refused[id] = _words(exc)

        self._deliveries[id] = threading.Thread(target=deliver, daemon=True)
        self._deliveries[id].start()

    def _checkpoint(self, actor: Any, record: JobRecord, there: Mapping[str, Sequence[int]]) -> None:
        """Fetch what has changed at the top of unfinished results."""
        for name, (size, changed_ns) in there.items():
            here = record.folder / name
            if not here.exists() or (here.stat().st_size, here.stat().st_mtime_ns) != (size, changed_ns):
                self._fetch(actor, record, name, size)
                os.utime(here, ns=(changed_ns, changed_ns))

    def _collect(self, actor: Any, record: JobRecord, status: Mapping[str, object]) -> None:
        """Fetch results and logs, record how the job ended, and let its actor go; by one of us at a time."""
        lock = record.lock()
        if lock is None:
            return
        try:
            if record.ended() is None:
                for name, size in self._ray.get(actor.files.remote()):
                    self._fetch(actor, record, name, size)
                told = {name: status[name] for name in ("reason", "detail", "wall_s", "cpu_s")}
                record.end(Ended(**cast("dict[str, Any]", told)))
        finally:
            os.close(lock)
        self._ray.kill(actor)

    def _fetch(self, actor: Any, record: JobRecord, name: str, size: int) -> None:
        """Fetch a file whole."""
        target = record.folder / name
        inside = target.parent.resolve().is_relative_to(record.results.resolve())
        if ".." in Path(name).parts or not (name in _KEPT_LOGS or inside):
            return  # a node may not write where it likes
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        with draft.open("wb") as file:
            while file.tell() < size:
                piece = self._ray.get(actor.read.remote(name, file.tell()))
                if not piece:
                    break
                file.write(piece)
        draft.replace(target)


def _words(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return (lines[-1] if lines else type(exc).__name__)[:300]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
