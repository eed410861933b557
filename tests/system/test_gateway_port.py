"""The port of one project lets in no other one, whatever became of who began its gateway."""

from pathlib import Path

import pytest

from anew.app.accepted import accept
from anew.app.settings import load
from anew.app.workers import free_port
from anew.domain.errors import ConflictError
from tests.system.gateway_bed import wait
from tests.system.test_gateway_sides import answered_by, gateway
from tests.system.test_shared_gateway import served_project

pytestmark = pytest.mark.system


def test_a_port_is_one_projects_as_long_as_any_of_its_workers_lives(tmp_path: Path) -> None:
    own, other = (served_project(tmp_path / name, "small", workers=1) for name in ("own", "other"))
    for each in (own, other):
        accept(load(each))
    port = free_port("127.0.0.1")
    first, again, stranger = gateway(own, port, 1), gateway(own, port, 1), gateway(other, port, 1)
    try:
        first.start()
        with pytest.raises(ConflictError, match=r"serving\.port"):  # none of its workers listens yet
            stranger.start()
        wait(lambda: answered_by(port) == "0")
        first._let_go(0)  # as when it is killed; its worker goes on
        assert first._claim is not None
        first._claim.close()
        with pytest.raises(ConflictError, match=r"serving\.port"):
            stranger.start()
        assert again.start()
        again.stop()
        wait(lambda: not answered_by(port))
        assert not stranger.start()
        wait(lambda: answered_by(port) == "0")
    finally:
        for begun in (first, again, stranger):
            begun.stop()
