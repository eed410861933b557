"""A mirror is brought to the record, each thing once, whatever fails; what others change there is found."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import UnavailableError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    RolledBack,
    RolloutStarted,
    Stage,
    TrafficShifted,
    TrainingEnded,
    VersionPromoted,
)
from anew.domain.manifest import Manifest
from anew.loop.mirroring import Mirroring, Wish, wanted
from anew.ports.mirror import MirroredRun
from anew.testing.fake_mirror import FakeMirror

AT = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = Columns(
    time="at", target="y", task=Task.REGRESSION, features=(Column(name="a", kind=ColumnKind.NUMBER),), classes=()
)


def trained(version: str) -> list[Fact]:
    digest = version * 32
    return [
        CandidateTrained(
            model="m", at=AT, version=version, champion="", digest=digest, snapshot="s", rows=5, compute_s=1.0
        ),
        CandidateMeasured(
            model="m",
            at=AT,
            version=version,
            champion="",
            digest=digest,
            evidence=(Evidence.of("slos", 0.25, 10, subject="error"),),
        ),
    ]


def ended(version: str, outcome: str = "accepted") -> Fact:
    return TrainingEnded(model="m", at=AT, version=version, outcome=outcome, detail="why", compute_s=1.0)


def promoted(version: str, previous: str = "") -> Fact:
    return VersionPromoted(
        model="m", at=AT, version=version, digest=version * 32, previous=previous, evidence=(), reason="good"
    )


def shifted(epoch: int, champion: str, fallback: str = "") -> Fact:
    return TrafficShifted(
        model="m",
        at=AT,
        epoch=epoch,
        stage=Stage.STEADY,
        share=0.0,
        champion=(champion, champion * 32),
        fallback=(fallback, fallback * 32),
    )


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    manifest = Manifest(
        format="skops", model_file="m", columns=COLUMNS, inputs=("a",), classes=(), rows=5, holdout_rows=1, seed=1,
        code="c", environment="e", metrics={"training_mae": 0.5},
    )  # fmt: skip
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def mirroring(mirror: FakeMirror, fetched: Path) -> Mirroring:
    return Mirroring(mirror, fetched.parent / "shown.json", lambda _: fetched)


def test_runs_are_shown_when_they_have_ended_with_all_that_was_measured(fetched: Path) -> None:
    mirror = FakeMirror()
    ours = mirroring(mirror, fetched)
    ours.bring(wanted(trained("v1")))
    assert mirror.calls == []
    ours.bring(wanted([*trained("v1"), ended("v1"), promoted("v1"), ended("v2", "failed")]))
    assert mirror.calls == ["show v1", "show v2", "point champion v1"]
    shown = mirror.shown["v1"]
    assert shown.metrics == {"training_mae": 0.5, "slos.error": 0.25}
    assert (shown.facts["outcome"], shown.facts["snapshot"], shown.folder) == ("accepted", "s", fetched)
    assert (mirror.shown["v2"].digest, mirror.shown["v2"].facts["outcome"]) == ("", "failed")
    assert ours.altered() == ()


@pytest.mark.fault("R1")
def test_what_could_not_be_shown_is_shown_later_and_once(fetched: Path) -> None:
    mirror = FakeMirror(away=True)
    facts = [*trained("v1"), ended("v1"), promoted("v1")]
    with pytest.raises(UnavailableError):
        mirroring(mirror, fetched).bring(wanted(facts))
    mirror.away = False
    for _ in range(3):  # as if started anew each time
        mirroring(mirror, fetched).bring(wanted(facts))
    assert mirror.calls == ["show v1", "point champion v1"]


def test_aliases_follow_a_rollout_and_a_rollback(fetched: Path) -> None:
    mirror = FakeMirror()
    ours = mirroring(mirror, fetched)
    facts = [*trained("v1"), ended("v1"), promoted("v1"), *trained("v2"), ended("v2")]
    ours.bring(wanted(facts))
    facts.append(RolloutStarted(model="m", at=AT, version="v2", digest="v2" * 32, champion="v1"))
    ours.bring(wanted(facts))
    assert mirror.named == {"champion": "v1", "challenger": "v2"}
    facts += [promoted("v2", "v1"), shifted(2, "v2", "v1")]
    ours.bring(wanted(facts))
    assert mirror.named == {"champion": "v2", "fallback": "v1"}
    facts += [RolledBack(model="m", at=AT, version="v2", to="v1", evidence=(), reason="bad"), shifted(3, "v1")]
    ours.bring(wanted(facts))
    assert mirror.named == {"champion": "v1"}


@pytest.mark.fault("R4")
@pytest.mark.fault("R5")
def test_what_was_changed_by_hand_is_found_and_left(fetched: Path) -> None:
    mirror = FakeMirror()
    ours = mirroring(mirror, fetched)
    facts = [*trained("v1"), ended("v1"), promoted("v1"), *trained("v2"), ended("v2")]
    ours.bring(wanted(facts))
    mirror.named["champion"] = "v2"
    del mirror.shown["v1"]
    assert ours.altered() == (
        "the model of v1 was deleted there; by whom cannot be known",
        "the alias champion names v2, it was left at v1; who moved it cannot be known",
    )
    calls = list(mirror.calls)
    mirroring(mirror, fetched).bring(wanted(facts))
    assert mirror.calls == calls, "neither is put back"


@pytest.mark.fault("R1")
def test_control_a_mirror_that_is_there_is_told_at_once(fetched: Path) -> None:
    mirror = FakeMirror()
    mirroring(mirror, fetched).bring(wanted([*trained("v1"), ended("v1"), promoted("v1")]))
    assert mirror.calls == ["show v1", "point champion v1"]


@pytest.mark.fault("R1")
def test_planted_a_mirror_that_hides_that_it_is_away_never_shows_the_version(fetched: Path) -> None:
    class Hiding(FakeMirror):
        def show(self, run: MirroredRun) -> str:
            return "1" if self.away else super().show(run)

    mirror, facts = Hiding(away=True), [*trained("v1"), ended("v1")]
    mirroring(mirror, fetched).bring(wanted(facts))
    mirror.away = False
    mirroring(mirror, fetched).bring(wanted(facts))
    assert mirror.calls == []
    assert mirroring(mirror, fetched).altered() == ("the model of v1 was deleted there; by whom cannot be known",)


@pytest.mark.fault("R4")
@pytest.mark.fault("R5")
def test_planted_a_mirroring_that_remembers_nothing_finds_nothing_changed(fetched: Path) -> None:
    mirror, memory = FakeMirror(), fetched.parent / "shown.json"
    mirroring(mirror, fetched).bring(wanted([*trained("v1"), ended("v1"), promoted("v1")]))
    assert mirroring(mirror, fetched).altered() == (), "control: nobody has changed anything"
    mirror.named["champion"] = "v2"
    del mirror.shown["v1"]
    assert len(mirroring(mirror, fetched).altered()) == 2
    memory.unlink()
    assert not [said for said in mirroring(mirror, fetched).altered() if "deleted" in said]


def test_what_was_heard_is_kept_while_more_is_heard() -> None:
    wish, facts = Wish(), [*trained("v1"), ended("v1"), promoted("v1"), *trained("v2"), ended("v2")]
    for i, fact in enumerate(facts, 1):
        wish.hear(fact)
        assert wish.wanted() == wanted(facts[:i])
