"""The gateway's server and gate, reading the same requests and answering a constant: what the rest may cost at most."""

import argparse
import gc
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from anew.adapters.http_server import listen, run, serve, stop_on_signals
from anew.app.gateway_wiring import gateway_settings
from anew.app.settings import load
from anew.domain.access import Permission
from anew.gateway.gate import OPEN, Gate
from anew.gateway.infer_request import InferParser
from anew.gateway.settings import GatewaySettings
from anew.ports.http import Reply, Request, Respond


class Constant:
    """Reads, forgets, answers."""

    def __init__(self, settings: GatewaySettings, answer: bytes) -> None:
        self._parser = InferParser(settings)
        self._answer = answer

    def __call__(self, request: Request, respond: Respond) -> None:
        """Answer the constant to what can be read."""
        self._parser.parse(request.body, datetime.now(UTC))
        respond(Reply(200, self._answer))

    def refusal(self, status: int, message: str) -> Reply:
        """Say it."""
        return Reply(status, message.encode(), b"text/plain")


async def main(settings: GatewaySettings, port: int, answer: bytes) -> None:
    """Serve until told to stop."""
    gc.collect()
    gc.freeze()  # as the gateway does
    with listen("127.0.0.1", port) as listener:
        asked = {"/v2/infer": (Permission.PREDICT, settings.model)}
        gate = Gate(Constant(settings, answer), asked, OPEN, now=lambda: datetime.now(UTC))
        await serve(gate, listener, stop_on_signals())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", type=Path, required=True)
    given = parser.parse_args()
    run(partial(main, gateway_settings(load(given.project)), given.port, given.answer.read_bytes()))
