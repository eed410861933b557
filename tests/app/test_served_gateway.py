"""What keeps a gateway worker from its work is told by who began it."""

from pathlib import Path

from anew.app.served_gateway import ServedGateway
from anew.app.settings import load
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
