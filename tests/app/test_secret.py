"""Secrets by reference."""

from pathlib import Path

import pytest

from anew.app.secret import is_reference, read_secret
from anew.domain.errors import SettingsError


def test_a_secret_is_read_from_where_its_reference_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "s3cret")
    (tmp_path / "hook").write_text("s3cret\n")
    assert read_secret("env:HOOK", tmp_path) == read_secret("file:hook", tmp_path) == "s3cret"
    assert read_secret(f"file:{tmp_path / 'hook'}", Path("elsewhere")) == "s3cret"


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    "reference", ["s3cret", "env:", "file:", "env:NOWHERE", "file:nowhere", "file:empty", "http://s3cret"]
)
def test_what_points_nowhere_is_refused_and_no_secret_is_repeated(reference: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingsError) as refused:
        read_secret(reference, tmp_path)
    assert "s3cret" not in str(refused.value)
    assert is_reference(reference) is reference.startswith(("env:N", "file:n", "file:e"))
