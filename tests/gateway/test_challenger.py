"""A challenger's process that ends between two turns of the loop: the caller hears of it as of any crash."""

import asyncio
import sys
from collections.abc import Mapping, Sequence

import pytest
import uvloop

from anew.domain.column import Value
from anew.gateway.challenger import Challenger, ChallengerError
from anew.gateway.settings import GatewaySettings
from anew.testing.fake_predictor import FAKE_COLUMNS

_READY = """
import socket, sys, time
from anew.gateway.wire import Reply, encode_frame
line = socket.socket(fileno=int(sys.argv[1]))
line.sendall(encode_frame(Reply(id=0)))
time.sleep(60)
"""
ROWS: Sequence[Mapping[str, Value]] = [{"amount": 1.0}]


_FAILING = """
import os, socket, sys, time
from anew.app.scorer_worker import _serve
from anew.domain.observation import Answer
from anew.gateway.wire import Reply, encode_frame
from anew.testing.fake_predictor import FAKE_COLUMNS

class Version:
    columns = FAKE_COLUMNS
    def answer(self, rows):
        amount = rows[0]["amount"]
        if amount == 7.0:
            os._exit(7)
        if amount == 8.0:
            return []
        if amount == 9.0:
            time.sleep(0.3)
            raise OSError("too late")
        raise ValueError(f"boom at {amount}")

line = socket.socket(fileno=int(sys.argv[1]))
line.sendall(encode_frame(Reply(id=0)))
_serve(line, Version())
"""


def challenger(program: str = _READY, deadline_ms: float = 1000.0) -> Challenger:
    settings = GatewaySettings(model="fraud", columns=FAKE_COLUMNS, deadline_ms=deadline_ms)
    return Challenger("v2", "d2", FAKE_COLUMNS, settings, lambda line: [sys.executable, "-c", program, str(line)])


@pytest.mark.fault("P6")
def test_a_process_that_ended_a_moment_ago_is_a_crash_and_raises_nothing() -> None:
    async def story() -> None:
        ours, loop = challenger(), asyncio.get_running_loop()
        await ours.start()
        assert ours._writer is not None
        assert ours._process is not None
        heard: asyncio.Future[BaseException | None] = loop.create_future()

        def ask() -> None:  # the connection is closed by now, and whoever reads it was not woken yet
            try:
                heard.set_result(ours.ask(ROWS).exception())
            except (RuntimeError, asyncio.InvalidStateError) as exc:
                heard.set_exception(exc)

        protocol = ours._writer.transport.get_protocol()
        lost = protocol.connection_lost

        def losing(problem: Exception | None) -> None:
            loop.call_soon(ask)
            lost(problem)

        protocol.connection_lost = losing  # type: ignore[assignment, method-assign]  # the moment cannot be met otherwise
        unread = ours.ask(ROWS)  # so that its end is a reset
        ours._process.kill()
        try:
            problem = await asyncio.wait_for(heard, 20)
            assert isinstance(problem, ChallengerError)
            assert str(problem) == "crashed"
            assert str((await asyncio.gather(unread, return_exceptions=True))[0]) == "crashed"
        finally:
            ours.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


def test_the_log_says_why_it_failed_once_for_each_kind_and_without_values(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        ours = challenger(_FAILING)
        await ours.start()
        try:
            for amount in (1234.5, 1234.5, 8.0, 7.0):
                row = dict.fromkeys(FAKE_COLUMNS.names, amount)
                assert isinstance((await asyncio.gather(ours.ask([row]), return_exceptions=True))[0], ChallengerError)
            async with asyncio.timeout(20):
                while "challenger_ended" not in caplog.text:
                    await asyncio.sleep(0.01)
        finally:
            ours.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
    said = [each.getMessage() for each in caplog.records]
    (error,) = [each for each in said if "reason=error" in each]
    assert "challenger_failed version=v2" in error
    assert "problem=ValueError: boom at … (<string>, line" in error
    assert "in answer)" in error
    assert "1234" not in caplog.text
    assert any("reason=nonsense problem=0 answers to 1 rows" in each for each in said)
    assert any("challenger_ended version=v2 reason=exit code 7" in each for each in said)


def test_the_log_says_why_it_failed_also_when_that_comes_after_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        ours = challenger(_FAILING, deadline_ms=100.0)
        await ours.start()
        try:
            (problem,) = await asyncio.gather(
                ours.ask([dict.fromkeys(FAKE_COLUMNS.names, 9.0)]), return_exceptions=True
            )
            assert str(problem) == "deadline"
            async with asyncio.timeout(20):
                while "too late" not in caplog.text:
                    await asyncio.sleep(0.01)
        finally:
            ours.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
