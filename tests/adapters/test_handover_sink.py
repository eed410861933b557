"""Another server finds the champion in a folder: whole, verified, and one step back after a rollback."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.handover_sink import CHAMPION, HandoverSink
from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.signing import Signer
from anew.domain.errors import UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import Stage, Ticked, TrafficShifted
from anew.domain.manifest import Manifest
from anew.ports.eventlog import Recorded
from tests.loop.observed import COLUMNS

AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Bed:
    """A sink, and a store that really verifies."""

    root: Path

    def __post_init__(self) -> None:
        signer = Signer.load_or_create(self.root / "keys")
        self.store = LocalArtifactStore(root=self.root / "models", verifier=signer.verifier, signer=signer)
        self.sink = HandoverSink(self.root / "served", lambda: self.store)

    def made(self, text: str) -> str:
        """Store a version and return its digest."""
        folder = self.root / f"made-{text}"
        folder.mkdir()
        manifest = Manifest(
            format="fake", model_file="model.txt", columns=COLUMNS, inputs=("x",), classes=(0, 1), rows=1,
            holdout_rows=0, seed=1, code="", environment="",
        )  # fmt: skip
        (folder / "manifest.json").write_text(manifest.to_json())
        (folder / "model.txt").write_text(text)
        return self.store.put(folder)

    def shift(self, epoch: int, version: str, digest: str, **more: Any) -> None:
        """Tell of a routing."""
        self.take(
            TrafficShifted(
                model="m", at=AT, epoch=epoch, stage=Stage.STEADY, share=0, champion=(version, digest), **more
            )
        )

    def take(self, fact: Fact) -> None:
        """Tell of a fact."""
        self.sink.take(Recorded(seq=1, recorded_at=AT, fact=fact))

    def told(self) -> dict[str, Any]:
        """Return what another server reads."""
        said: dict[str, Any] = json.loads((self.root / "served" / CHAMPION).read_text())
        return said | {"text": (self.root / "served" / said["file"]).read_text()}


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def test_each_champion_is_left_whole_and_a_rollback_goes_back(bed: Bed) -> None:
    one, two = bed.made("one"), bed.made("two")
    bed.shift(1, "v1", one)
    assert (bed.told()["version"], bed.told()["text"], bed.told()["inputs"]) == ("v1", "one", ["x"])
    bed.shift(2, "v2", two, fallback=("v1", one))
    assert (bed.told()["version"], bed.told()["text"], bed.told()["digest"]) == ("v2", "two", two)
    bed.shift(3, "v1", one)
    assert (bed.told()["version"], bed.told()["text"], bed.told()["epoch"]) == ("v1", "one", 3)


def test_a_fact_that_comes_again_and_one_of_others_change_nothing(bed: Bed) -> None:
    digest = bed.made("one")
    bed.shift(1, "v1", digest)
    before = (bed.root / "served" / CHAMPION).stat().st_mtime_ns
    bed.shift(1, "v1", digest)
    bed.take(Ticked(model="m", at=AT, wall=AT))
    bed.take(TrafficShifted(model="m", at=AT, epoch=0, stage=Stage.STEADY, share=0, champion=("", "")))
    assert (bed.root / "served" / CHAMPION).stat().st_mtime_ns == before


def test_a_model_that_was_tampered_with_is_never_handed_over(bed: Bed) -> None:
    one, two = bed.made("one"), bed.made("two")
    bed.shift(1, "v1", one)
    file = bed.store.get(two) / "model.txt"
    file.chmod(0o600)
    file.write_text("too")
    with pytest.raises(UnavailableError, match="does not have v2 yet"):
        bed.shift(2, "v2", two)
    assert bed.told()["version"] == "v1"


def test_only_the_last_versions_stay(bed: Bed) -> None:
    for number in range(1, 7):
        bed.shift(number, f"v{number}", bed.made(str(number)))
    assert sorted(each.name for each in (bed.root / "served").iterdir()) == [CHAMPION, "v4", "v5", "v6"]
