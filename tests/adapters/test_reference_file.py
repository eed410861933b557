"""A stored reference comes back to the last bit, is replaced whole, and is refused when damaged."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from anew.adapters.reference_file import StoredReference, read_reference, write_reference
from anew.domain.errors import IntegrityError, NotFoundError, UnavailableError
from anew.stats.profile import Reference


def stored(seed: int = 0) -> StoredReference:
    rng = np.random.default_rng(seed)
    rows = {"x": rng.lognormal(size=2000), "c": np.array(["a", "b"])[rng.integers(0, 2, 2000)]}
    return StoredReference(Reference.fit(rows), {"x": "double", "c": "string", "items": "list<item: int64>"})


def test_it_comes_back_to_the_last_bit_and_replaces_what_was_there(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_reference(tmp_path / "r", stored(seed))
        found = read_reference(tmp_path / "r")
        assert found.types == stored(seed).types
        assert found.reference == stored(seed).reference
    assert [each.name for each in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("at", [20, 200, -1])
def test_a_changed_byte_is_found(tmp_path: Path, at: int) -> None:
    write_reference(tmp_path / "r", stored())
    raw = bytearray((tmp_path / "r").read_bytes())
    raw[at] ^= 0x55
    (tmp_path / "r").write_bytes(raw)
    with pytest.raises(IntegrityError, match="r is damaged"):
        read_reference(tmp_path / "r")


def test_what_is_no_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_reference(tmp_path / "gone")
    (tmp_path / "rows").write_bytes(b"PAR1")
    with pytest.raises(IntegrityError, match="--save-profile"):
        read_reference(tmp_path / "rows")
    for plain, said in (({"schema": 2}, "update anew"), ({"schema": 1}, "damaged"), ([], "damaged")):
        (tmp_path / "r").write_bytes(b"anew reference\n" + zlib.compress(json.dumps(plain).encode()))
        with pytest.raises(IntegrityError, match=said):
            read_reference(tmp_path / "r")


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be written"):
        write_reference(tmp_path / "gone" / "r", stored())
