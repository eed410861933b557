"""A whole project whose versions are trained on a Ray cluster; run by `make test-ray`."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from anew.domain.facts import CandidateTrained, EffectFailed, TrainingEnded, TrainingPlanned, VersionPromoted
from tests.ray_cluster.ray_bed import RayBed, ray_bed
from tests.system.loop_project import PIPELINE, QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]


@pytest.fixture
def ray() -> Iterator[RayBed]:
    """Start a cluster, and end it."""
    with ray_bed() as bed:
        yield bed


@pytest.fixture
def project(ray: RayBed, tmp_path: Path) -> Iterator[LoopProject]:
    """A project that is down, whose pipeline says in the project itself when it trains."""
    root = tmp_path / "project"
    told = {**QUIET, "policy": f"{{cooldown: 3h}}\nstores: {{compute: '{ray.address}'}}"}
    with loop_project(root, told) as made:
        found = 'next(folder for folder in Path(__file__).parents if (folder / ".anew").exists())'
        assert found in PIPELINE
        (root / "pipeline.py").write_text(PIPELINE.replace(found, f"Path({str(root)!r})"))
        yield made


@pytest.mark.fault("O7")
def test_a_training_whose_worker_is_preempted_is_repeated_and_charged_once(ray: RayBed, project: LoopProject) -> None:
    begun, hold = project.root / "begun", project.root / "hold"
    hold.touch()
    program = project.start()
    wait(lambda: begun.exists() and len(begun.read_text().splitlines()) == 1, project.log)
    for pid in ray.workers("FarJob"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait(lambda: len(begun.read_text().splitlines()) == 2, project.log)
    hold.unlink()
    wait(lambda: project.ready() is not None, project.log)
    assert program.poll() is None
    project.wait_for(CandidateTrained)
    project.wait_for(VersionPromoted)
    assert len(project.facts(TrainingPlanned)) == len(project.facts(CandidateTrained)) == 1
    assert project.facts(EffectFailed) == []
    (ended,) = project.facts(TrainingEnded)
    assert ended.compute_s > 0, "what a run is charged with stands in the one fact of its end"
    assert project.down() == 0
