"""A challenger's own process: loads one version and answers questions on an inherited socket.

Started by the gateway: ``python -m anew.app.scorer_worker --socket FD --loader package.module:Class --folder DIR
--version V --digest D``.
"""

import argparse
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from anew.app.gateway_parts import named
from anew.gateway.failure_log import FirstOfKind, describe_failure
from anew.gateway.routing import Answerer, VersionLoader
from anew.gateway.wire import HEAD, Question, Reply, decode_question, encode_frame

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the other end of the socket closes."""
    parser = argparse.ArgumentParser(prog="anew scorer")
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--loader", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--digest", required=True)
    given = parser.parse_args(arguments)
    _die_with_parent()
    with socket.socket(fileno=given.socket) as connection:
        try:
            loader: VersionLoader = named(given.loader)()
            answerer = loader.load(given.folder, version=given.version, digest=given.digest)
        except Exception as exc:  # noqa: BLE001 - whatever keeps it from loading is what the gateway has to know
            connection.sendall(encode_frame(Reply(id=0, problem=f"{type(exc).__name__}: {exc}"[:500])))
            return 1
        connection.sendall(encode_frame(Reply(id=0, cpu_s=time.process_time())))
        _serve(connection, answerer)
    return 0


def _serve(connection: socket.socket, answerer: Answerer) -> None:
    names = answerer.columns.names
    stream, first = connection.makefile("rb"), FirstOfKind()
    while len(head := stream.read(HEAD.size)) == HEAD.size:
        (length,) = HEAD.unpack(head)
        question = decode_question(stream.read(length))
        if time.monotonic() < question.deadline:  # else nobody waits for the answer any more
            connection.sendall(_reply(answerer, names, question, first))


def _reply(answerer: Answerer, names: tuple[str, ...], question: Question, first: FirstOfKind) -> bytes:
    try:
        rows = [{name: row[name] for name in names} for row in question.rows]
        answers = list(answerer.answer(rows))
        return encode_frame(Reply(id=question.id, answers=answers, cpu_s=time.process_time()))
    except Exception as exc:  # noqa: BLE001 - the user's code may raise anything; the gateway counts it as an error
        kind = type(exc).__name__
        return encode_frame(
            Reply(id=question.id, problem=describe_failure(exc, question.rows) if first(kind) else kind)
        )


def _die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the gateway dies, even while the model hangs."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:  # it died before the order was in force
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
