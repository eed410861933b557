"""Kept losses come back as they were; what is damaged is as if it were not there."""

from pathlib import Path

import numpy as np
import pytest

from anew.adapters.loss_store import LossStore
from anew.domain.errors import UnavailableError

LOSSES = np.array([0.0, 1.0, 0.25], dtype=np.float32)


def test_losses_come_back(tmp_path: Path) -> None:
    store = LossStore(tmp_path / "new")
    assert store.get("a", 3) is None
    store.put("a", LOSSES)
    store.put("b", LOSSES[:0])
    found, failed = store.get("a", 3), store.get("b", 3)
    assert found is not None
    assert found.tolist() == LOSSES.tolist()
    assert failed is not None
    assert failed.size == 0


def test_of_another_length_they_are_not_there(tmp_path: Path) -> None:
    store = LossStore(tmp_path)
    store.put("a", LOSSES)
    assert store.get("a", 4) is None


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY broken", b"no array at all"])
def test_damaged_they_are_not_there(tmp_path: Path, damage: bytes) -> None:
    store = LossStore(tmp_path)
    store.put("a", LOSSES)
    (tmp_path / "a.npy").write_bytes(damage)
    assert store.get("a", 3) is None


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot be kept"):
        LossStore(tmp_path / "file").put("a", LOSSES)
