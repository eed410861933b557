"""`anew init` says where a first champion trained from the file would be refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.hard_start import hard_start
from anew.app.settings import load
from tests.cli.call import call

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def stream(file: Path, *, noisy_from: int) -> Path:
    """Write 1,000 rows whose labels say nothing from a row on."""
    chance = np.random.default_rng(1)
    x = chance.normal(size=1_000)
    noise = np.where(np.arange(1_000) < noisy_from, x, chance.normal(size=1_000))
    at = [BEGIN + i * timedelta(hours=1) for i in range(1_000)]
    pl.DataFrame({"at": at, "x": x, "y": (noise > 0).astype(int)}).write_parquet(file)
    return file


@pytest.mark.parametrize(("noisy_from", "hard"), [(700, True), (1_000, False)])
def test_newest_rows_that_the_first_objective_does_not_hold_for_are_said(
    noisy_from: int, hard: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = stream(tmp_path / "rows.parquet", noisy_from=noisy_from)
    made = tmp_path / "made"
    how = ("--time", "at", "--target", "y", "--task", "classification")
    called = call(capsys, monkeypatch, "init", "--data", file, *how, made)
    assert called.code == 0, called
    assert ("the first champion is refused" in called.out) is hard
    said = hard_start(made, file)
    assert len(said) == hard
    policy = load(made).policy
    assert all(f"newest {policy.data.holdout_most} rows" in each for each in said)
    assert float(policy.slos[0]["at_most"]) < 0.2, "the objective itself knows nothing of how the file ends"


def test_columns_that_cannot_be_leave_no_project_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, made = stream(tmp_path / "rows.parquet", noisy_from=1_000), tmp_path / "made"
    how = ("--time", "at", "--target", "y", "--task", "classification")
    refused = call(capsys, monkeypatch, "init", "--data", file, *how, "--sensitive", "y", made)
    assert (refused.code, made.exists()) == (2, False), refused
    assert call(capsys, monkeypatch, "init", "--data", file, *how, made).code == 0
