"""A port is one gateway's: also between programs that would share it, and before any of them listens."""

import socket

import pytest

from anew.adapters.http_server import listen
from anew.adapters.port_claim import claim_port, port_problem
from anew.domain.errors import ConflictError, UnavailableError

HOST = "127.0.0.1"


def free() -> int:
    with listen(HOST, 0) as taken:
        return int(taken.getsockname()[1])


def test_a_port_that_somebody_listens_on_and_would_share_is_no_port_to_begin_on() -> None:
    with listen(HOST, 0) as shared:
        port = int(shared.getsockname()[1])
        shared.listen()
        assert "in use" in port_problem(HOST, port)
        with pytest.raises(ConflictError, match=rf"127.0.0.1:{port} .*ss -ltnp .*serving.port"):
            claim_port(HOST, port)
        with pytest.raises(ConflictError):
            claim_port("0.0.0.0", port)  # noqa: S104  what is tried is that it is refused


def test_of_two_that_begin_at_once_one_has_the_port_and_its_own_sockets_share_it() -> None:
    port = free()
    with claim_port(HOST, port):
        with pytest.raises(ConflictError, match="in use"):
            claim_port("localhost", port)
        with listen(HOST, port) as one, listen(HOST, port) as two:
            one.listen()
            two.listen()
    with claim_port(HOST, port):
        assert port_problem(HOST, port) == ""


def test_a_port_that_was_served_a_moment_ago_can_be_begun_on_again() -> None:
    with listen(HOST, 0) as served:
        served.listen()
        port = int(served.getsockname()[1])
        with socket.create_connection((HOST, port)) as caller:
            let_in, _ = served.accept()
            let_in.close()  # this end closes first, and waits a minute for what may be under way
            caller.recv(1)
    with claim_port(HOST, port):
        assert port_problem(HOST, port) == ""


def test_a_place_that_nobody_could_have_is_not_called_taken() -> None:
    with pytest.raises(UnavailableError, match=r"192.0.2.1:8080 cannot be served on: .*serving.host"):
        claim_port("192.0.2.1", 8080)
