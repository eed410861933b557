"""OpenLineage events hold to the project's own schemas, facet by facet, in a file and over HTTP."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from anew.adapters.openlineage_sink import FileEvents, HttpEvents, OpenLineageSink
from anew.adapters.outbound import Outbound
from anew.domain.fact import Fact
from anew.domain.facts import FACTS, CandidateTrained
from anew.ports.eventlog import Recorded
from tests.adapters.receiver import receiver
from tests.adapters.test_sinks import made, recorded

FOLDER = Path(__file__).with_name("openlineage")
SCHEMAS: Mapping[str, Any] = {
    found["$id"]: found for found in (json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json"))
}
REGISTRY = jsonschema_rs.Registry(list(SCHEMAS.items()))


def problems(of: Any, url: str) -> list[str]:
    """Return what is wrong by the schema at `url`, which has to be one of those that are here."""
    assert url.partition("#")[0] in SCHEMAS, f"{url} is none of the vendored schemas"
    asked = jsonschema_rs.validator_for({"$ref": url}, registry=REGISTRY, validate_formats=True)
    return [f"{url}: {error.message}" for error in asked.iter_errors(of)]


def facets(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every facet of an event."""
    for place in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        yield from place.get("facets", {}).values()


def complaints(event: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong with an event."""
    found = problems(event, event["schemaURL"])
    for facet in facets(event):
        found += problems(facet, facet["_schemaURL"])
    return found


def told_of(kind: str) -> Fact:
    """Return a sample of a fact, whose repository is where one can be."""
    fact = made(kind)
    if not isinstance(fact, CandidateTrained):
        return fact
    return replace(fact, commit="c" * 40, dirty=True, repository="https://example.org/team/models.git")


def events(folder: Path) -> list[dict[str, Any]]:
    """Return what is told of one fact of each kind."""
    sink = OpenLineageSink(FileEvents(folder / "runs.jsonl"))
    for kind in FACTS:
        sink.take(recorded(told_of(kind)))
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text("utf-8").splitlines()]


def test_every_event_and_every_facet_holds_to_the_official_schemas(tmp_path: Path) -> None:
    told = events(tmp_path)
    assert len(told) > 8
    assert [complaint for event in told for complaint in complaints(event)] == []
    used = {facet["_schemaURL"].partition("#")[0] for event in told for facet in facets(event)}
    assert used | {event["schemaURL"].partition("#")[0] for event in told} == set(SCHEMAS)


def test_what_is_sent_over_http_holds_to_them_too(tmp_path: Path) -> None:
    with receiver() as there:
        sink = OpenLineageSink(HttpEvents(Outbound(there.url)))
        for kind in FACTS:
            sink.take(recorded(told_of(kind)))
        assert len(there.got) > 8
        for headers, body in there.got:
            assert headers["content-type"] == "application/json"
            assert complaints(json.loads(body)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("eventTime",), "yesterday"),
        (("eventType",), "BEGUN"),
        (("run", "runId"), "v2"),
        (("job", "name"), None),
        (("run", "facets", "executionParameters", "parameters"), "seed=3"),
        (("outputs", 0, "facets", "version", "datasetVersion"), 3),
        (("job", "facets", "sourceCodeLocation", "url"), None),
    ],
)
def test_a_planted_mistake_is_found(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    event = next(each for each in events(tmp_path) if each["job"].get("facets"))
    assert complaints(event) == []
    place: Any = event
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert complaints(event)


def test_commit_and_changes_are_told(tmp_path: Path) -> None:
    event = next(each for each in events(tmp_path) if each["job"].get("facets"))
    told = {each["key"]: each["value"] for each in event["run"]["facets"]["executionParameters"]["parameters"]}
    assert (told["commit"], told["dirty"]) == ("c" * 40, "true")
    where = event["job"]["facets"]["sourceCodeLocation"]
    assert (where["type"], where["url"], where["version"]) == ("git", "https://example.org/team/models.git", "c" * 40)


def test_the_schemas_are_those_that_were_published() -> None:
    listed = dict(re.findall(r"^\| (\S+\.json) \|.*\| ([0-9a-f]{64}) \|$", (FOLDER / "README.md").read_text(), re.M))
    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.json")}


class Told:
    """A record, told fact by fact, and what was sent of it."""

    def __init__(self, folder: Path) -> None:
        self.record: list[Recorded] = []
        self.reads = 0
        self._file = folder / "runs.jsonl"
        self._sink = self._begun()

    def take(self, kind: str, version: str = "v2", **other: Any) -> None:
        """Record a fact of this kind about a version and tell it."""
        changed: Any = {"model": "m", "version": version, **other}
        fact = replace(made(kind), **changed).caused_by(f"{len(self.record):026x}")
        self.record.append(replace(recorded(fact), seq=len(self.record) + 1))
        self._sink.take(self.record[-1])

    def again(self) -> None:
        """Tell the last fact once more: to the same sink, and as after a crash to another, with which it goes on."""
        self._sink.take(self.record[-1])
        self._sink = self._begun()
        self._sink.take(self.record[-1])

    def _begun(self) -> OpenLineageSink:
        return OpenLineageSink(FileEvents(self._file), past=self._past)

    def _past(self, kinds: Collection[str]) -> Iterator[Recorded]:
        self.reads += 1
        return (each for each in self.record if each.fact.kind in kinds)

    def events(self, job: str) -> list[dict[str, Any]]:
        """Return what was told of a job."""
        found = map(json.loads, self._file.read_text("utf-8").splitlines())
        return [each for each in found if each["job"]["name"] == f"m.{job}"]


def names(event: Mapping[str, Any], side: str) -> list[str]:
    return [each["name"] for each in event[side]]


def test_training_validation_and_rollout_join_up_by_the_model(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.take("CandidateTrained", champion="v1")
    told.take("CandidateAccepted", champion="v1")
    told.take("RolloutStarted", champion="v1")
    told.take("VersionPromoted", previous="v1")
    (trained,) = told.events("train")
    assert names(trained, "outputs") == ["m/models/v2"]
    for event in (*told.events("validate"), told.events("rollout")[0]):
        assert names(event, "inputs") == ["m/models/v2", "m/models/v1"]
    assert names(told.events("rollout")[-1], "outputs") == ["m/champion"]
    assert [complaint for each in told.events("rollout") for complaint in complaints(each)] == []


def test_no_run_ends_twice_and_a_version_that_is_offered_again_has_a_run_of_its_own(tmp_path: Path) -> None:
    told = Told(tmp_path)
    for kind in ("RolloutStarted", "RolledBack", "RolloutStarted", "VersionPromoted"):
        told.take(kind)
    told.take("RolledBack", to="v1")
    told.again()
    rollouts = [(each["run"]["runId"], each["eventType"]) for each in told.events("rollout")]
    first, second = rollouts[0][0], rollouts[2][0]
    assert first != second
    assert rollouts == [(first, "START"), (first, "ABORT"), (second, "START"), (second, "COMPLETE")]
    back = told.events("rollback")
    assert [each["eventType"] for each in back] == ["START", "COMPLETE"] * 3
    assert len({each["run"]["runId"] for each in back}) == 1
    assert names(back[0], "inputs") == ["m/models/v2"]
    assert [(each["name"], each["facets"]["version"]["datasetVersion"]) for each in back[1]["outputs"]] == [
        ("m/champion", "v1")
    ]
    assert [complaint for each in back for complaint in complaints(each)] == []


def test_a_candidate_that_gives_way_ends_its_rollout_once_and_none_that_never_began(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.take("RolloutStarted", "v3")
    told.take("RolloutSuperseded", "v4", by="v3")
    for kind in ("RolloutStarted", "RolledBack", "RolloutSuperseded", "RolloutStarted", "RolloutSuperseded"):
        told.take(kind, "v4")
    told.again()
    told.take("RolledBack", "v4", to="v3")
    rollouts = [(each["run"]["runId"], each["eventType"]) for each in told.events("rollout")]
    other, first, _, second, *_ = [run for run, _ in rollouts]
    assert len({other, first, second}) == 3
    assert rollouts == [
        (other, "START"), (first, "START"), (first, "ABORT"), (second, "START"), *[(second, "ABORT")] * 3,
    ]  # fmt: skip
    assert [each["eventType"] for each in told.events("rollback")] == ["START", "COMPLETE"]


def test_a_run_that_fails_after_training_fails_in_validation(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.take("TrainingEnded", outcome="failed")
    told.take("CandidateTrained", "v3")
    told.take("TrainingEnded", "v3", outcome="failed")
    assert [each["eventType"] for each in told.events("train")] == ["FAIL", "COMPLETE"]
    assert [each["eventType"] for each in told.events("validate")] == ["START", "FAIL"]


def test_the_past_is_read_once_however_many_versions_there_are(tmp_path: Path) -> None:
    told = Told(tmp_path)
    for version in ("v2", "v3", "v4"):
        for kind in ("CandidateTrained", "RolloutStarted", "VersionPromoted", "RolledBack"):
            told.take(kind, version)
        told.take("TrainingEnded", version, outcome="failed")
    assert told.reads == 1
    assert [each["eventType"] for each in told.events("rollout")] == ["START", "COMPLETE"] * 3
    assert [each["eventType"] for each in told.events("validate")] == ["START", "FAIL"] * 3
