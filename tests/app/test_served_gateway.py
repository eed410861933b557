"""What keeps a gateway worker from its work is told by who began it."""

from pathlib import Path

import pytest

from anew.app.served_gateway import ServedGateway
from anew.app.settings import load
from anew.app.workers import GatewayProcesses
from tests.cli.recorded import report_worker, write_record


def test_a_problem_of_a_worker_is_told_once_each_time_that_it_begins(tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    gateway = ServedGateway(load(project), 0)
    told = []
    for problem in ("", "it is damaged", "it is damaged", "", "it is damaged"):
        report_worker(project, problem)
        told.append(gateway.problems())
    begun = ["gateway worker 0 answers nobody: it is damaged"]
    assert told == [[], begun, [], [], begun]


@pytest.mark.parametrize("workers", [0, 1])
def test_where_it_is_served_is_told_once_and_so_is_that_another_gateway_is_to_serve_it(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_record(tmp_path / "p")
    with (project / "anew.yaml").open("a") as file:
        file.write(f"serving: {{workers: {workers}}}\n")
    monkeypatch.setattr(GatewayProcesses, "start", lambda _: False)
    gateway = ServedGateway(load(project), 9)
    gateway.start(same=True)
    heard: list[object] = []
    for _ in range(2):
        gateway.announce(lambda *place: heard.append(place), heard.append)
    nobody = f"not serving (serving.workers is 0): to serve it, run: anew gateway {project.resolve()}"
    assert heard == [("127.0.0.1", 9) if workers else nobody]
