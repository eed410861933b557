"""What `anew demo` is told before it runs."""

from pathlib import Path

import pytest

from anew.app.demo import Demo, Teller
from anew.app.settings import load
from tests.cli.call import call

QUIET = Teller(fact=lambda *_: None, remark=lambda _: None, progress=lambda *_: None)


@pytest.mark.parametrize("line", ["lake", "lake=", "=s3://x"])
def test_a_store_without_a_place_is_refused_before_anything_is_written(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = call(capsys, monkeypatch, "demo", "--folder", str(tmp_path / "demo"), "--store", line)
    assert called.code == 2
    assert not (tmp_path / "demo").exists()


def test_stores_stand_in_the_policy_that_it_writes(tmp_path: Path) -> None:
    told = {"lake": "s3://somewhere/bikes", "compute": "127.0.0.1:6379"}
    Demo(tmp_path / "demo", QUIET, stores=told)._prepare()
    stores = load(tmp_path / "demo").policy.stores
    assert (stores.lake, stores.compute, stores.database) == (told["lake"], told["compute"], "sqlite")
