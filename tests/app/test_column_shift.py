"""What moved in a window, and what it would cost, from what is stored of a version and of the window alone."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.profile_folder import ProfileFolder
from anew.adapters.signing import Signer
from anew.app.column_shift import column_shifts
from anew.dashboard.source import Shift
from anew.domain.errors import IntegrityError, NotFoundError
from anew.domain.facts import WindowClosed
from anew.domain.interval import Interval
from anew.loop.held_loss import LOSSES
from anew.stats.loss_profile import profile_losses
from anew.stats.profile import Reference

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Interval(start=START, end=START + timedelta(days=1))
CLOSED = WindowClosed(model="m", at=WINDOW.end, version="v1", window=WINDOW, n=400, rows="9" * 64, evidence=())


def keep(state: Path, files: Mapping[str, bytes]) -> str:
    """Store an artifact, signed, and return its digest."""
    signer = Signer.load_or_create(state / "keys")
    made = state / f"made{len(files)}"
    made.mkdir(exist_ok=True)
    for name, data in files.items():
        (made / name).write_bytes(data)
    return LocalArtifactStore(root=state / "models", signer=signer, verifier=signer.verifier).put(made)


def spoil(file: Path) -> None:
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"?")


class Stored(NamedTuple):
    """The project's folder, the artifact of its version, and the files of it."""

    state: Path
    digest: str
    files: Mapping[str, bytes]

    def shifts(self, digest: str = "") -> Mapping[str, Shift]:
        """Return what moved, by column."""
        return {each.column: each for each in column_shifts(self.state, digest or self.digest, CLOSED)}

    def other(self, files: Mapping[str, bytes]) -> str:
        """Store another artifact that served the same window."""
        digest = keep(self.state, files)
        profiles = ProfileFolder(self.state / "profiles")
        profiles.put(digest, WINDOW, CLOSED.rows, profiles.get(self.digest, WINDOW, CLOSED.rows) or b"")
        return digest


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """A version that errs where `x` is large, and a window in which `x` moved a little and `idle` far."""
    chance = np.random.default_rng(1)
    rows = {"idle": chance.normal(size=2000), "x": chance.normal(size=2000)}
    reference = Reference.fit(rows)
    losses = profile_losses(reference, rows, (rows["x"] > 1).astype(float))
    files = {"reference.bin": reference.to_bytes(), LOSSES: losses.to_bytes(), "model.bin": b"model"}
    digest = keep(tmp_path, files)
    window = {"idle": rows["idle"][:400] + 2.0, "x": rows["x"][:400] + 0.5}
    ProfileFolder(tmp_path / "profiles").put(digest, WINDOW, CLOSED.rows, reference.profile(window).to_bytes())
    return Stored(tmp_path, digest, files)


def test_each_column_says_how_far_it_moved_and_what_that_would_cost(stored: Stored) -> None:
    found = stored.shifts()
    assert found["idle"].psi > 5 * found["x"].psi
    assert (found["x"].effect or 0.0) > 0.1 > 2 * abs(found["idle"].effect or 0.0)  # chance alone makes some 0.03
    assert {each.held for each in found.values()} == {2000}


def test_a_version_that_was_stored_without_says_nothing_of_it(stored: Stored) -> None:
    digest = stored.other({"reference.bin": stored.files["reference.bin"]})
    assert {(each.effect, each.held) for each in stored.shifts(digest).values()} == {(None, 0)}


def test_what_is_spoilt_is_no_answer(stored: Stored) -> None:
    for name in ("reference.bin", LOSSES):
        digest = stored.other({**stored.files, name: b"spoilt and long enough"})
        with pytest.raises(IntegrityError, match="v1 cannot be read"):
            stored.shifts(digest)


@pytest.mark.parametrize("name", ["reference.bin", LOSSES])
def test_no_byte_is_read_that_is_not_what_was_signed(stored: Stored, name: str) -> None:
    spoil(stored.state / "models" / stored.digest / name)
    with pytest.raises(IntegrityError, match=f"{name} is not what was signed"):
        stored.shifts()


def test_a_version_without_a_reference_or_that_is_gone_is_not_compared(stored: Stored) -> None:
    with pytest.raises(NotFoundError, match="v1 was stored without a reference"):
        stored.shifts(stored.other({"model.bin": b"model"}))
    shutil.rmtree(stored.state / "models")
    with pytest.raises(NotFoundError, match="no artifact"):
        stored.shifts()
