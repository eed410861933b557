"""Keeps a port for one gateway: SO_REUSEPORT alone would let every program of a user in beside its workers."""

import errno
import hashlib
import os
import socket

from anew.domain.errors import ConflictError, UnavailableError

__all__ = ["claim_port", "port_problem"]


def port_problem(host: str, port: int) -> str:
    """Return why nobody can begin to listen there, as a program that shares with nobody finds it; empty for a free one.

    A socket that is bound and not listened on yet is not found.
    """
    try:
        _address(host, port)
    except OSError as exc:
        return exc.strerror or str(exc)
    return ""


def claim_port(host: str, port: int) -> socket.socket:
    """Return what holds the port for this process until it is closed or the process ends, and is no way to it.

    The name that it takes is the network's, as the port is: nobody else gets it while workers are about to listen.

    Raises
    ------
    ConflictError
        Another program listens there or is about to.
    UnavailableError
        Nobody could listen there.
    """
    try:
        address = _address(host, port)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0anew-{os.getuid()}-{hashlib.sha256(repr(address).encode()).hexdigest()[:32]}")
        except OSError:
            claim.close()
            raise
    except OSError as exc:
        found = f"{host}:{port} cannot be served on: {exc.strerror or exc}"
        if exc.errno != errno.EADDRINUSE:
            raise UnavailableError(f"{found}; set serving.host or serving.port") from exc
        raise ConflictError(
            f"{found}. End the program that has it (ss -ltnp 'sport = :{port}' shows which; it may serve another "
            "project), or set serving.port"
        ) from exc
    return claim


def _address(host: str, port: int) -> tuple[str, int]:
    """Return the address in numbers, if a socket that shares with nobody can have it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        name = probe.getsockname()
        return str(name[0]), int(name[1])
