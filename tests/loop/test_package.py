"""What is never data is found in a file, whatever its name."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from anew.loop.package import file_findings


def zipped(name: str, data: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return held.getvalue()


class Runs:
    """Runs code when it is read back."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Return what a pickle would call."""
        return (print, ("hello",))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("model.bin", pickle.dumps({"a": 1}), "a pickle"),
        ("model.json", pickle.dumps(Runs(), protocol=0), "a pickle"),
        ("model.bin", b"\x7fELF\x02\x01", "a program"),
        ("notes.txt", b"#!/bin/sh\nrm -rf /", "a script"),
        ("model.pkl", b"{}", "not expected"),
        ("other.py", b"x = 1", "not expected"),
        ("model.skops", zipped("inner.pkl", b"x"), "code or a pickle"),
        ("model.skops", zipped("inner.json", pickle.dumps(Runs())), "code or a pickle"),
        ("model.skops", zipped("zeros", b"\0" * (4 << 20)), "unpacks to"),
    ],
)
def test_what_is_no_data_is_found(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert any(said in each for each in file_findings(tmp_path / name))


def test_a_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "model.bin").symlink_to("/etc/hostname")
    assert [*file_findings(tmp_path / "model.bin")] == ["model.bin: no plain file"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("pipeline.py", b"x = 1"),
        ("manifest.json", json.dumps({"a": 1.0}).encode()),
        ("environment.txt", b"a==1.0.\n"),
        ("model.txt", b"tree\nversion=v4\nend of trees."),
        ("model.skops", zipped("schema.json", b"{}")),
    ],
)
def test_data_is_let_be(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert [*file_findings(tmp_path / name)] == []
