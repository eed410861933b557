"""What moved in a window, and what it would cost, from what is stored of a version and of the window alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from anew.adapters.profile_folder import ProfileFolder
from anew.app.column_shift import column_shifts
from anew.domain.errors import IntegrityError
from anew.domain.facts import WindowClosed
from anew.domain.interval import Interval
from anew.loop.held_loss import LOSSES
from anew.stats.loss_profile import profile_losses
from anew.stats.profile import Reference

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Interval(start=START, end=START + timedelta(days=1))
CLOSED = WindowClosed(model="m", at=WINDOW.end, version="v1", window=WINDOW, n=400, rows="9" * 64, evidence=())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A version that errs where `x` is large, and a window in which `x` moved a little and `idle` far."""
    chance = np.random.default_rng(1)
    rows = {"idle": chance.normal(size=2000), "x": chance.normal(size=2000)}
    reference = Reference.fit(rows)
    kept = tmp_path / "models" / "d1"
    kept.mkdir(parents=True)
    (kept / "reference.bin").write_bytes(reference.to_bytes())
    (kept / LOSSES).write_bytes(profile_losses(reference, rows, (rows["x"] > 1).astype(float)).to_bytes())
    window = {"idle": rows["idle"][:400] + 2.0, "x": rows["x"][:400] + 0.5}
    ProfileFolder(tmp_path / "profiles").put("d1", WINDOW, CLOSED.rows, reference.profile(window).to_bytes())
    return tmp_path


def test_each_column_says_how_far_it_moved_and_what_that_would_cost(state: Path) -> None:
    found = {each.column: each for each in column_shifts(state, "d1", CLOSED)}
    assert found["idle"].psi > 5 * found["x"].psi
    assert (found["x"].effect or 0.0) > 0.1 > 2 * abs(found["idle"].effect or 0.0)  # chance alone makes some 0.03
    assert {each.held for each in found.values()} == {2000}


def test_a_version_that_was_stored_without_says_nothing_of_it(state: Path) -> None:
    (state / "models" / "d1" / LOSSES).unlink()
    assert {(each.effect, each.held) for each in column_shifts(state, "d1", CLOSED)} == {(None, 0)}


def test_what_is_spoilt_is_no_answer(state: Path) -> None:
    (state / "models" / "d1" / LOSSES).write_bytes(b"spoilt and long enough")
    with pytest.raises(IntegrityError, match="v1 cannot be read"):
        column_shifts(state, "d1", CLOSED)
