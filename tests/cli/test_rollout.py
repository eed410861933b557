"""Steering a rollout from the command line: in force at once, with a record or without one."""

import io
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.signing import Signer
from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.asker import who_asks
from anew.app.model import list_versions
from anew.domain.blend import Blend
from anew.domain.errors import NotFoundError, PolicyError
from anew.domain.fact import Fact
from anew.domain.facts import (
    Arm,
    CandidateTrained,
    Order,
    QuarantineReleased,
    RolledBack,
    RolloutStarted,
    SpanFitted,
    Stage,
    TrafficShifted,
    VersionArchived,
    VersionPromoted,
)
from tests.cli.call import Called, call
from tests.cli.recorded import AT, record, write_record

Run = Callable[..., Called]
_Kind = TypeVar("_Kind", bound=Fact)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, *arguments)


def published(project: Path, **changes: Any) -> FileTraffic:
    """Publish a canary of v2 beside v1 for the project."""
    state = project / ".anew"
    signer = Signer.load_or_create(state / "keys")
    traffic = FileTraffic(state, verifier=signer.verifier, signer=signer)
    canary: dict[str, Any] = {
        "epoch": 3,
        "stage": Stage.CANARY,
        "share": 0.1,
        "champion": ("v1", "d1"),
        "challenger": ("v2", "d2"),
    }
    traffic.publish(TrafficShifted(model="small", at=AT, **(canary | changes)))
    return traffic


def steady(project: Path, **changes: Any) -> FileTraffic:
    return published(project, **({"stage": Stage.STEADY, "share": 0.0, "challenger": ("", "")} | changes))


@pytest.mark.parametrize(
    ("verb", "action", "challenger"),
    [
        (["rollout", "hold"], Order.HOLD, "v2"),
        (["rollout", "resume"], Order.RESUME, "v2"),
        (["rollout", "abort"], Order.ABORT, ""),
        (["rollback"], Order.ROLLBACK, ""),
    ],
)
def test_an_order_is_in_force_when_the_command_returns(
    run: Run, tmp_path: Path, verb: list[str], action: Order, challenger: str
) -> None:
    project = write_record(tmp_path / "p")
    traffic = published(project)
    found = json.loads(run(*verb, project, "--reason", "I say so", "--json").out)
    assert found["schema"] == f"anew.{'.'.join(verb)}/1"
    assert found["data"] == {
        "action": action.value,
        "from": "v2",
        "to": "v1",
        "epoch": 1000,
        "given": True,
        "recorded": False,
        "facts": [],
    }
    routing = traffic.published("small")
    assert routing is not None
    assert (routing.epoch, routing.champion[0], routing.challenger[0]) == (1000, "v1", challenger)
    (order,) = traffic.ordered("small")
    assert (order.action, order.version, order.reason) == (action, "v2", "I say so")


def test_an_order_that_is_not_on_record_yet_is_told_by_status(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    traffic = steady(project, epoch=1, fallback=("v0", "d0"))

    def ordered() -> Any:
        return json.loads(run("status", project, "--json").out)["data"]["ordered"]

    assert ordered() is None
    run("rollback", project, "--reason", "dead loop")
    found = ordered()
    assert (found["action"], found["version"], found["champion"], found["epoch"]) == ("rollback", "v1", "v0", 1000)
    assert (found["by"], found["reason"]) == (f"account:{who_asks()}", "dead loop")
    text = run("status", project).out
    assert "ordered     rollback of v1 ordered at the gateways" in text
    assert "not on record yet" in text
    assert text.index("ordered") < text.index("champion    v1")
    (order,) = traffic.ordered("small")
    record(project, order)
    assert ordered() is None
    assert "ordered" not in run("status", project).out


def test_status_says_that_it_cannot_tell_what_gateways_obey(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    steady(project, epoch=1)
    (routing,) = (project / ".anew" / "routing").glob("*.json")
    routing.write_bytes(routing.read_bytes()[:-9])
    found = json.loads(run("status", project, "--json").out)["data"]
    assert (found["champion"]["version"], found["ordered"]) == ("v1", None)
    assert "is not a routing that this project signed" in found["routing_problem"]
    assert found["routing_problem"] in " ".join(run("status", project).out.split())


@pytest.mark.parametrize("verb", [["rollback"], ["rollout", "abort"], ["rollout", "hold"]])
def test_an_order_can_be_looked_at_and_bound_to_who_serves(run: Run, tmp_path: Path, verb: list[str]) -> None:
    project = write_record(tmp_path / "p")
    traffic = published(project)
    planned = json.loads(run(*verb, project, "--dry-run", "--json").out)["data"]
    assert (planned["given"], planned["from"], planned["to"], planned["epoch"]) == (False, "v2", "v1", 1000)
    assert run(*verb, project, "--dry-run").out.startswith("would come to: ")
    refused = run(*verb, project, "--expect-champion", "v7")
    assert refused.code == 5
    assert "v1 serves, not v7" in refused.err
    assert not traffic.ordered("small")
    assert run(*verb, project, "--expect-champion", "v1").code == 0
    assert len(traffic.ordered("small")) == 1


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("\n", 1), ("", 1), ("yes\n", 0)])
def test_a_person_at_a_terminal_is_asked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    project = write_record(tmp_path / "p")
    traffic = published(project)
    monkeypatch.setattr("sys.stdin", _Terminal(answer))
    monkeypatch.setattr("anew.cli._intent.sys.stderr.isatty", lambda: True, raising=False)
    assert run("rollback", project).code == code
    assert len(traffic.ordered("small")) == (0 if code else 1)
    assert run("rollback", project, "--yes").code == 0 or not code


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_retrain_can_be_looked_at_and_bound_to_who_serves(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    assert run("retrain", project, "--dry-run").out == "would ask for a retrain; v1 serves meanwhile\n"
    assert not json.loads(run("retrain", project, "--dry-run", "--json").out)["data"]["asked"]
    assert run("retrain", project, "--expect-champion", "v7").code == 5
    assert run("retrain", project, "--expect-champion", "v1").code == 0


@pytest.mark.parametrize("damage", ["gone", "garbage"])
def test_it_needs_no_record(run: Run, tmp_path: Path, damage: str) -> None:
    project = write_record(tmp_path / "p")
    traffic = steady(project, champion=("v2", "d2"), fallback=("v1", "d1"))
    record = project / ".anew" / "anew.db"
    record.unlink()
    if damage == "garbage":
        record.write_bytes(b"garbage" * 1000)
    (project / "anew.yaml").unlink()
    called = run("rollback", project)
    assert called.code == 0
    assert "v1 serves" in called.out
    assert "comes on record when the loop runs" in called.out
    routing = traffic.published("small")
    assert routing is not None
    assert (routing.champion, routing.fallback) == (("v1", "d1"), ("", ""))
    seen = run("rollout", "status", project)
    assert seen.code == 0
    assert seen.out.startswith("v1 serves (epoch 1000, fallback none)")
    assert "is not known" in seen.out


@pytest.mark.parametrize("verb", [["rollback"], ["rollout", "hold"], ["rollout", "resume"], ["rollout", "abort"]])
def test_what_there_is_nothing_of_is_refused_and_changes_nothing(run: Run, tmp_path: Path, verb: list[str]) -> None:
    project = write_record(tmp_path / "p")
    traffic = steady(project)
    called = run(*verb, project)
    assert called.code == 3
    assert "v1" in called.err
    routing = traffic.published("small")
    assert routing is not None
    assert routing.epoch == 3


@pytest.mark.parametrize("verb", [["rollback"], ["rollout", "hold"], ["rollout", "status"]])
def test_what_never_served_or_lost_its_key_is_not_found(run: Run, tmp_path: Path, verb: list[str]) -> None:
    project = write_record(tmp_path / "p")
    assert run(*verb, project).code == 4
    steady(project)
    (project / ".anew" / "keys" / "signing.key").unlink()
    called = run(*verb, project)
    assert called.code == 4
    assert "signing key" in called.err
    assert not (project / ".anew" / "keys" / "signing.key").exists(), "no other key is made in its place"


def test_status_shows_where_it_stands(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    published(project)
    found = json.loads(run("rollout", "status", project, "--json").out)
    assert found["schema"] == "anew.rollout.status/1"
    assert found["data"]["recorded"]
    assert (found["data"]["stage"], found["data"]["share"], found["data"]["challenger"]) == ("canary", 0.1, "v2")
    assert run("rollout", "status", project).out.startswith("v1 serves, v2 in canary at 10% (epoch 3")


def test_status_shows_every_arm_of_a_trial(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    arms = tuple(Arm(version=f"v{i + 2}", digest=f"d{i + 2}", low=0.2 * i, share=0.2) for i in range(2))
    traffic = published(project, stage=Stage.AB, share=0.2, arms=arms, trial="v2")
    assert run("rollout", "status", project).out.startswith("v1 serves, others on trial beside it (epoch 3")
    called = run("rollout", "abort", project, "--json")
    assert called.code == 0
    routing = traffic.published("small")
    assert routing is not None
    assert (routing.arms, routing.trial, routing.challengers) == ((), "", ())
    (order,) = traffic.ordered("small")
    assert (order.trial, order.arms) == ("v2", ())


@pytest.mark.fault("P13")
def test_what_may_have_to_serve_again_is_not_deleted(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    state = project / ".anew"
    signer = Signer.load_or_create(state / "keys")
    store = LocalArtifactStore(root=state / "models", verifier=signer.verifier, signer=signer)
    digests = []
    for name in ("fallback", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.txt").write_text(name)
        digests.append(store.put(tmp_path / name))
    steady(project, champion=("v1", "a" * 64), fallback=("v0", digests[0]))
    with pytest.raises(PolicyError, match="pinned"):
        store.forget(digests[0], pinned={digests[0]})
    assert store.has(digests[0])
    assert store.forget(digests[1], pinned={digests[0]})
    assert not store.has(digests[1])
    refused = run("rollout", "prune", project, "--only", "v1")
    assert refused.code == 3
    assert "is pinned" in refused.err
    assert run("rollout", "prune", project, "--keep", "1").code == 3
    found = json.loads(run("rollout", "prune", project, "--json").out)
    assert found["data"] == {"deleted": [], "pinned": ["v0", "v1"]}
    assert store.has(digests[0])


@pytest.mark.fault("P13")
def test_control_what_nobody_pins_is_deleted_and_there_is_no_way_back_to_it(tmp_path: Path) -> None:
    signer = Signer.load_or_create(tmp_path / "keys")
    store = LocalArtifactStore(root=tmp_path / "models", verifier=signer.verifier, signer=signer)
    (tmp_path / "fallback").mkdir()
    (tmp_path / "fallback" / "model.txt").write_text("fallback")
    digest = store.put(tmp_path / "fallback")
    assert store.forget(digest, pinned=set())
    with pytest.raises(NotFoundError):
        store.get(digest)


def test_what_is_deleted_is_archived_on_record_and_the_first_champion_stays(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    state = project / ".anew"
    signer = Signer.load_or_create(state / "keys")
    store = LocalArtifactStore(root=state / "models", verifier=signer.verifier, signer=signer)
    names = [f"v{number}" for number in range(2, 6)]
    digests = {}
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.txt").write_text(name)
        digests[name] = store.put(tmp_path / name)
    facts: list[Fact] = []
    for before, name in zip(["v1", *names], names, strict=False):
        made: dict[str, Any] = {"model": "small", "at": AT, "version": name, "digest": digests[name]}
        facts += [
            CandidateTrained(champion=before, snapshot="", rows=1, compute_s=1.0, **made),
            VersionPromoted(previous=before, evidence=(), reason="proved", **made),
        ]
    record(project, *facts)
    steady(project, champion=("v5", digests["v5"]))
    assert json.loads(run("rollout", "prune", project, "--keep", "2", "--dry-run", "--json").out)["data"] == {
        "deleted": ["v2", "v3"],
        "pinned": ["v1", "v4", "v5"],
    }
    assert posted(project, VersionArchived) == []
    assert "deleted v2, v3" in run("rollout", "prune", project, "--keep", "2", "--yes").out
    assert [(each.version, each.digest) for each in posted(project, VersionArchived)] == [
        (v, digests[v]) for v in ("v2", "v3")
    ]
    assert [store.has(digests[name]) for name in names] == [False, False, True, True]
    assert run("rollout", "prune", project, "--keep", "2", "--yes").out.startswith("deleted nothing")
    record(project, *posted(project, VersionArchived))
    standings = {each["version"]: each["standing"] for each in list_versions(project)}
    assert standings == {"v1": "retired", "v2": "archived", "v3": "archived", "v4": "retired", "v5": "champion"}
    shown = run("model", "show", "v2", "--project", project)
    assert shown.code == 4
    assert "nothing of v2 is stored: retired before; archived by" in shown.err


def posted(project: Path, kind: type[_Kind]) -> list[_Kind]:
    with closing(Database(project / ".anew" / "anew.db")) as database:
        return [each for each in SQLInbox(database, clock=SystemClock()).pending() if isinstance(each, kind)]


def test_models_that_were_compared_go_once_others_are(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    state = project / ".anew"
    signer = Signer.load_or_create(state / "keys")
    store = LocalArtifactStore(root=state / "models", verifier=signer.verifier, signer=signer)
    digests = []
    for name in ("before", "last"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.txt").write_text(name)
        digests.append(store.put(tmp_path / name))
    record(
        project,
        *(
            SpanFitted(model="small", at=AT, version=version, digest=digest, rows=9, compute_s=0.1)
            for version, digest in zip(("v1", "v2"), digests, strict=True)
        ),
    )
    steady(project, champion=("v1", "a" * 64))
    found = json.loads(run("rollout", "prune", project, "--json").out)
    assert found["data"] == {"deleted": ["v1 beside"], "pinned": ["v1", "v2", "v2 beside"]}
    assert [store.has(digest) for digest in digests] == [False, True]


@pytest.mark.parametrize("revived", [False, True])
def test_the_models_that_a_version_is_made_of_stay_as_long_as_it_does(run: Run, tmp_path: Path, revived: bool) -> None:
    project = write_record(tmp_path / "p")
    state = project / ".anew"
    signer = Signer.load_or_create(state / "keys")
    store = LocalArtifactStore(root=state / "models", verifier=signer.verifier, signer=signer)
    names = [f"{version}{part}" for version in ("v2", "v3", "v4", "v5") for part in ("", " alone", " beside")]
    digests = {}
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.txt").write_text(name)
        digests[name] = store.put(tmp_path / name)
    facts: list[Fact] = []
    made: dict[str, Any] = {}
    for before, name in pairwise(["v1", "v2", "v3", "v4", "v5"]):
        made = {"model": "small", "at": AT, "version": name, "digest": digests[name]}
        pair = Blend(
            alone=digests[f"{name} alone"], beside=digests[f"{name} beside"], weight=0.5, snapshot="s" * 64, rows=9
        )
        facts += [
            CandidateTrained(**made, champion=before, snapshot="s" * 64, rows=9, compute_s=1.0, blend=pair),
            VersionPromoted(previous=before, evidence=(), reason="proved", **made),
        ]
    champion = "v5"
    if revived:  # it is v2 under a new name, and made of v2's two models
        champion, made = "v6", {"model": "small", "at": AT, "version": "v6", "digest": digests["v2"]}
        facts += [
            CandidateTrained(**made, champion="v5", snapshot="s" * 64, rows=9, compute_s=1.0),
            VersionPromoted(previous="v5", evidence=(), reason="proved", **made),
        ]
    record(project, *facts)
    steady(project, champion=(champion, made["digest"]))
    run("rollout", "prune", project, "--keep", "2", "--yes")
    left = {name for name in names if store.has(digests[name])}
    assert left == {name for name in names if name.startswith(("v2", "v5") if revived else ("v4", "v5"))}


def test_a_rollout_that_is_held_is_told_by_status(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    traffic = published(project)
    started = RolloutStarted(model="small", at=AT, version="v2", digest="d2", champion="v1")
    record(project, started, traffic.published("small"))  # type: ignore[arg-type]  # it was published

    def rollout() -> Any:
        return json.loads(run("status", project, "--json").out)["data"]["rollout"]

    assert rollout() == {"challengers": ["v2"], "held": None}
    assert "rollout " not in run("status", project).out
    run("rollout", "hold", project, "--reason", "fair week")
    assert json.loads(run("rollout", "status", project, "--json").out)["data"]["held"] == f"{who()}: fair week"
    record(project, *traffic.ordered("small"))
    assert rollout()["held"] == {"by": who(), "reason": "fair week"}
    assert f"rollout     of v2 held by {who()}: fair week; let it go on with" in run("status", project).out
    assert json.loads(run("watch", project, "--json", "--once").out)["data"]["status"]["rollout"] == rollout()
    run("rollout", "resume", project)
    record(project, traffic.ordered("small")[-1])
    assert rollout() == {"challengers": ["v2"], "held": None}


def who() -> str:
    return f"account:{who_asks()}"


def test_what_is_held_is_not_held_again_and_what_goes_on_is_not_resumed(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    traffic = published(project)
    assert run("rollout", "resume", project).code == 0  # the record knows of no rollout, nor do the gateways of a hold
    started = RolloutStarted(model="small", at=AT, version="v2", digest="d2", champion="v1")
    record(project, started, *traffic.ordered("small"))
    published(project, epoch=1001)
    for options in ([], ["--dry-run"]):
        refused = run("rollout", "resume", project, *options)
        assert (refused.code, "nobody holds the rollout of v2" in refused.err) == (3, True)
    assert run("rollout", "hold", project, "--reason", "fair week").code == 0
    for recorded in (False, True):
        for options in ([], ["--dry-run"], ["--json"]):
            refused = run("rollout", "hold", project, "--reason", "me too", *options)
            assert refused.code == 3
            assert f"held already, by {who()}: fair week" in " ".join(refused.err.split())
        if not recorded:
            record(project, *traffic.ordered("small"))
    (project / ".anew" / "anew.db").rename(tmp_path / "away.db")  # the gateways' own word is enough
    assert run("rollout", "hold", project).code == 3
    assert run("rollout", "resume", project).code == 0
    assert run("rollout", "resume", project).code == 3
    assert [each.action for each in traffic.ordered("small")] == [Order.HOLD, Order.RESUME]


@pytest.mark.parametrize("record_is", ["of another rollout", "torn", "silent"])
def test_a_hold_goes_through_where_the_record_does_not_say_that_this_rollout_is_held(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_is: str
) -> None:
    project = write_record(tmp_path / "p")
    traffic = published(project, challenger=("v9", "d9"))
    started = RolloutStarted(model="small", at=AT, version="v9", digest="d9", champion="v1")
    record(project, started)
    assert run("rollout", "hold", project, "--reason", "weeks ago").code == 0
    record(project, *traffic.ordered("small"))
    torn = record_is == "torn"
    if torn:  # what was ordered next cannot be read
        assert run("rollout", "resume", project).code == 0
        record(project, traffic.ordered("small")[-1])
        with closing(sqlite3.connect(project / ".anew" / "anew.db")) as database, database:
            database.execute("UPDATE fact SET body = '{' WHERE seq = (SELECT max(seq) FROM fact)")
    release = threading.Event()
    if record_is == "silent":
        monkeypatch.setattr("anew.app.order.read_facts", lambda *_, **__: release.wait(60) or ())
        monkeypatch.setattr("anew.app.order.read_lease", lambda *_, **__: None)
    published(project, epoch=3000, challenger=("v9", "d9") if torn else ("v2", "d2"))
    try:
        assert run("rollout", "hold", project).code == 0
    finally:
        release.set()
    assert traffic.ordered("small")[-1].action is Order.HOLD


def test_a_version_that_was_taken_back_is_released_by_a_persons_word(tmp_path: Path, run: Run) -> None:
    project = write_record(tmp_path / "p")
    trained = CandidateTrained(
        model="small", at=AT, version="v2", champion="v1", digest="d" * 64, snapshot="", rows=1, compute_s=0.0
    )
    back = RolledBack(model="small", at=AT, version="v2", to="v1", evidence=(), reason="outage of the store")
    record(project, trained, back)
    words = ("rollout", "release", "v2", project, "--reason", "the store failed, not the version")
    assert "required: --reason" in run("rollout", "release", "v2", project).err
    none = run("rollout", "release", "v9", project, "--reason", "x")
    for mixed in (("v9", "--reason", "x", project), ("--reason", "x", "v9", project)):
        assert run("rollout", "release", *mixed).err == none.err
    assert "required: version" in run("rollout", "release", "--reason", "x").err
    assert (none.code, none.err) == (4, "anew: there is no version 'v9'; quarantined: v2\n")
    kept = run("rollout", "release", "v1", project, "--reason", "x")
    assert kept.code == 5
    assert "v1 is champion, not quarantined; quarantined: v2" in kept.err
    assert run(*words, "--expect-champion", "v7").code == 5
    assert run(*words, "--dry-run").out.startswith("would release v2 from quarantine")
    assert posted(project, QuarantineReleased) == []
    assert json.loads(run(*words, "--json").out)["data"] == {"version": "v2", "asked": True, "taken": False}
    (fact,) = posted(project, QuarantineReleased)
    assert (fact.version, fact.reason) == ("v2", "the store failed, not the version")
    record(project, fact)
    (found,) = (each for each in list_versions(project) if each["version"] == "v2")
    assert found["standing"] == "retired"
    assert run(*words).code == 5
