"""The gateway's process: ``python -m anew.app.gateway_worker --project DIR --worker NAME --port P``."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from socket import socket

from anew.adapters.connection_pass import Passage
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.http_server import ServerSettings, listen, run, serve, stop_on_signals
from anew.adapters.process_table import process_started
from anew.adapters.sided_traffic import SidedTraffic
from anew.adapters.system_clock import SystemClock
from anew.app.gateway_parts import GatewayParts, PartsMaker, named
from anew.app.log_line import log_to_stderr
from anew.domain.errors import AnewError, SettingsError
from anew.gateway.app import GatewayApp
from anew.gateway.gate import Gate, together
from anew.gateway.worker import GatewayWorker, Identity
from anew.rollout import Side

__all__ = ["main"]

_PARTS = "anew.app.gateway_wiring:gateway_parts"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; exit code 0 after a clean end, 1 when the worker could not begin."""
    parser = argparse.ArgumentParser(prog="anew gateway")
    parser.add_argument("--project", type=Path, required=True, action="append", help="several times for several models")
    parser.add_argument("--worker", default="0", help="its name: that of its journal and of its status")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, which the status names")
    parser.add_argument("--listener", type=int, help="descriptor of a bound socket, in place of a port")
    parser.add_argument("--beside", type=int, action="append", default=[], help="descriptor of another worker's socket")
    parser.add_argument("--side", type=Side, choices=list(Side), help="which of two sets of workers it belongs to")
    parser.add_argument("--peer", type=int, help="descriptor of the way to the worker of the other set")
    parser.add_argument("--after-end", action="store_true", help="the one before it, of its name, ended by itself")
    parser.add_argument("--parts", default=_PARTS, help="package.module:function that makes the parts")
    given = parser.parse_args(arguments)
    # the loop shares the interpreter with threads that load versions: 5 ms would be a long wait for its turn
    sys.setswitchinterval(0.0005)
    log_to_stderr(logging.INFO)
    try:
        make: PartsMaker = named(given.parts)
        parts = [make(project, given.worker) for project in given.project]
        marks = [each.mark for each in parts] if given.after_end else []
        for mark in [each for each in marks if each.answered] or marks:
            mark.blame()
        with ExitStack() as held:
            inherited = [held.enter_context(socket(fileno=each)) for each in given.beside]
            bound = listen(parts[0].host, given.port) if given.listener is None else socket(fileno=given.listener)
            place = _Place(
                worker=given.worker,
                listener=held.enter_context(bound),
                beside=inherited,
                side=given.side,
                peer=None if given.peer is None else held.enter_context(socket(fileno=given.peer)),
            )
            run(partial(_work, _on_side(parts, given.side), place))
    except (AnewError, OSError) as exc:
        logging.getLogger("anew.gateway").error("worker_ended worker=%s problem=%s", given.worker, exc)
        return 1
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a worker stands: its name and sockets, and the set that it belongs to, where there are two."""

    worker: str
    listener: socket
    beside: Sequence[socket]
    side: Side | None = None
    peer: socket | None = None


def _on_side(parts: Sequence[GatewayParts], side: Side | None) -> Sequence[GatewayParts]:
    """Return the parts of a worker that follows the routing as its set serves it."""
    if side is None:
        return parts
    if len(parts) > 1 or not isinstance(parts[0].traffic, FileTraffic):
        raise SettingsError("two sets of workers serve one project")
    return [replace(parts[0], traffic=SidedTraffic(parts[0].traffic, side))]


def _passage(place: _Place, parts: GatewayParts, worker: GatewayWorker) -> Passage | None:
    """Return the way to the other set; this one's turn begins when its worker answers by the routing that says so."""
    traffic = parts.traffic
    if place.peer is None or not isinstance(traffic, SidedTraffic):
        return None

    def here() -> bool:
        route, epoch = worker.switch.route, traffic.answers_from
        if not epoch:
            return epoch == 0
        return route is not None and (route.epoch >= epoch or not route.epoch)  # 0: the fallback stands in

    passage = Passage(place.peer, here)

    def left() -> None:
        worker.endpoint.serving.finish()
        passage.leave()

    traffic.left = left
    return passage


async def _work(parts: Sequence[GatewayParts], place: _Place) -> None:
    models = [each.settings.model for each in parts]
    if len(set(models)) < len(models):
        raise SettingsError(f"the projects' models are called {models}; one gateway needs a name for each")
    stop = stop_on_signals()
    workers = [_worker(each, place.worker, place.listener.getsockname()[1]) for each in parts]
    async with AsyncExitStack() as stack:
        for worker in workers:
            stack.push_async_callback(worker.stop)
            await worker.start()

        def drain() -> None:
            for worker in workers:
                worker.drain()

        # what is loaded by now stays: to look through it for cycles, under load, would hold up every answer
        gc.collect()
        gc.freeze()
        desks = {each.settings.model: each.desk for each in parts if each.desk is not None}
        meters = [each.meter for each in parts if each.meter is not None]
        app = GatewayApp([worker.endpoint for worker in workers], desks, meters)
        await serve(
            Gate(app, app.asked, together({each.settings.model: each.rules for each in parts}), now=SystemClock().now),
            place.listener,
            stop,
            on_stop=drain,
            beside=place.beside,
            passage=_passage(place, parts[0], workers[0]),
            settings=ServerSettings(most_body_bytes=max(each.settings.most_body_bytes for each in parts)),
        )


def _worker(parts: GatewayParts, name: str, port: int) -> GatewayWorker:
    pid = os.getpid()
    return GatewayWorker(
        settings=parts.settings,
        identity=Identity(worker=name, pid=pid, started=process_started(pid) or 0, port=port),
        traffic=parts.traffic,
        store=parts.store,
        loader=named(parts.loader)(),
        journal=parts.journal,
        launch=partial(_scorer, parts.loader),
        clock=SystemClock(),
        hook=parts.hook,
        verify=parts.verify,
        features=parts.features,
        mark=parts.mark,
    )


def _scorer(loader: str, version: str, digest: str, folder: Path, descriptor: int) -> list[str]:
    """Return the command of a challenger's process."""
    return [
        *(sys.executable, "-m", "anew.app.scorer_worker"),
        *("--socket", str(descriptor), "--loader", loader, "--folder", str(folder)),
        *("--version", version, "--digest", digest),
    ]


if __name__ == "__main__":
    sys.exit(main())
