"""Pieces of work on a real Ray cluster: the contract, and the batches that anew makes; run by `make test-ray`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anew.adapters.local_workers import LocalWorkers
from anew.adapters.ray_workers import RayWorkers
from anew.app.backtest import BacktestOptions, backtest
from anew.app.profile_over import profile_windows, whole_files
from anew.app.settings import load
from anew.domain.errors import UnavailableError
from anew.testing.contract_workers import WorkersContract
from tests.app.small_project import YAML, write_project
from tests.app.test_backtest import stream
from tests.app.test_profile_over import WIDTH, columns, history, packed
from tests.ray_cluster.ray_bed import RayBed, ray_bed

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def ray() -> Iterator[RayBed]:
    """Start a cluster, and end it."""
    with ray_bed() as bed:
        yield bed


class TestRayWorkers(WorkersContract):
    """The contract."""

    @pytest.fixture
    def workers(self, ray: RayBed) -> RayWorkers:
        """Return those of a cluster with two cores."""
        return RayWorkers(ray.address)


def test_a_history_is_counted_there_as_here(ray: RayBed, tmp_path: Path) -> None:
    pieces = whole_files(history(tmp_path), least_rows=1)
    told = (packed(), columns(), WIDTH)
    there = profile_windows(RayWorkers(ray.address), told, pieces)
    here = profile_windows(LocalWorkers(1), told, pieces)
    assert {number: each.to_bytes() for number, each in there.items()} == {
        number: each.to_bytes() for number, each in here.items()
    }


def test_a_backtest_finds_there_what_it_finds_here(ray: RayBed, tmp_path: Path) -> None:
    here = write_project(tmp_path / "here")
    there = write_project(tmp_path / "there", YAML + f"stores: {{compute: '{ray.address}'}}\n")
    stream(tmp_path)
    options = BacktestOptions(data=tmp_path / "stream.parquet", windows=12, processes=1, policies=("never",))
    found = [backtest(load(each), options).hindsight.path.loss.tolist() for each in (here, there)]
    assert found[0] == found[1]


def test_a_cluster_that_is_not_there_is_said(ray: RayBed) -> None:
    with pytest.raises(UnavailableError, match="Ray cluster at"):
        list(replace(RayWorkers(ray.address), address="127.0.0.2:1", patience_s=5.0).each(int, "1", divmod, [1, 2]))
