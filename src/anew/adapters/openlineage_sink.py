"""Runs of training, validation and rollout as OpenLineage events, to a file or to a server.

Reference: OpenLineage object model; the classes are those of its own Python client.
"""

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anew.adapters.outbound import Outbound
from anew.domain.errors import MissingExtraError, UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateAccepted,
    CandidateRefused,
    CandidateTrained,
    RolledBack,
    RolloutStarted,
    RolloutSuperseded,
    SnapshotTaken,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
)
from anew.ports.eventlog import Recorded

if TYPE_CHECKING:
    from openlineage.client import event_v2, facet_v2

__all__ = ["FileEvents", "HttpEvents", "OpenLineageSink", "run_id"]

_NAMES = uuid.UUID("8c1b4a50-4d3c-5b0e-9c55-0d0a7f0f4b5e")
_PRODUCER = "urn:anew"
_STATES: Mapping[type, tuple[str, str]] = {
    TrainingPlanned: ("train", "START"),
    SnapshotTaken: ("train", "RUNNING"),
    CandidateTrained: ("train", "COMPLETE"),
    CandidateAccepted: ("validate", "COMPLETE"),
    CandidateRefused: ("validate", "FAIL"),
    RolloutStarted: ("rollout", "START"),
    VersionPromoted: ("rollout", "COMPLETE"),
}
"""Facts that are told, with the job and the state of its run; what ends badly and the begin of validation apart."""
_BEFORE = frozenset({"CandidateTrained", "RolloutStarted", "VersionPromoted", "RolledBack", "RolloutSuperseded"})


class FileEvents:
    """Appends events to a file, one a line, each brought to disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, event: str) -> None:
        """Append the event; raises UnavailableError when the file cannot be written."""
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, f"{event}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise UnavailableError(f"{self._path} cannot be written ({exc.strerror})") from exc


class HttpEvents:
    """Posts events to an OpenLineage server, such as Marquez."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def send(self, event: str) -> None:
        """Post the event; raises UnavailableError when nobody takes it."""
        self._outbound.post(event.encode(), {"content-type": "application/json"})


class OpenLineageSink:
    """Tells of every run as it begins and ends; see `anew.ports.sink.Sink`.

    A run's id follows from model, version and job, and that of a rollout from the fact that began it, so that a
    repeated event is the same event, and a version that is offered again has a run of its own.

    Parameters
    ----------
    past
        Returns the facts of these kinds that are on record, in order: read once, for what came before the first fact
        that is taken; what comes later is remembered.

    Raises
    ------
    MissingExtraError
        The extra `lineage` is not installed.
    """

    name = "openlineage"

    def __init__(
        self,
        events: FileEvents | HttpEvents,
        *,
        namespace: str = "anew",
        past: Callable[[Collection[str]], Iterable[Recorded]] = lambda _: (),
    ) -> None:
        self._events = events
        self._past = past
        self._trained: set[tuple[str, str]] = set()
        self._under_way: dict[tuple[str, str], str] = {}
        self._last: Recorded | None = None
        self._namespace = namespace
        self._library = _Library()

    def take(self, recorded: Recorded) -> None:
        """Send what the fact means for a run, if anything."""
        self._recall(recorded)
        for event in self._told(recorded):
            self._events.send(self._library.text(event))

    def _told(self, recorded: Recorded) -> "Iterator[event_v2.RunEvent]":
        fact = recorded.fact
        found = _STATES.get(type(fact))
        if found is not None:
            yield self._event(recorded, *found)
        if isinstance(fact, CandidateTrained):
            yield self._event(recorded, "validate", "START")
        if isinstance(fact, TrainingEnded) and fact.outcome == "failed":
            yield self._event(recorded, "validate" if _about(fact) in self._trained else "train", "FAIL")
        if isinstance(fact, RolledBack | RolloutSuperseded):
            yield from self._taken_back(recorded)

    def _taken_back(self, recorded: Recorded) -> "Iterator[event_v2.RunEvent]":
        """Tell of the end of a rollout; where none is under way, of a way back, and nothing of a mere giving way."""
        if _about(recorded.fact) in self._under_way:
            yield self._event(recorded, "rollout", "ABORT")
        elif isinstance(recorded.fact, RolledBack):
            yield self._event(recorded, "rollback", "START")
            yield self._event(recorded, "rollback", "COMPLETE")

    def _recall(self, recorded: Recorded) -> None:
        """Know what came before the fact; it counts itself only when another comes: it may be told again."""
        if self._last is None:
            for each in self._past(_BEFORE):
                if each.seq >= recorded.seq:
                    break
                self._remember(each.fact)
        elif self._last.seq < recorded.seq:
            self._remember(self._last.fact)
        self._last = recorded

    def _remember(self, fact: Fact) -> None:
        """Keep of each version whether it was trained, and which fact began the rollout that it is in."""
        match fact:
            case CandidateTrained():
                self._trained.add(_about(fact))
            case RolloutStarted():
                self._under_way[_about(fact)] = fact.id
            case VersionPromoted() | RolledBack() | RolloutSuperseded():
                self._under_way.pop(_about(fact), None)

    def _run(self, recorded: Recorded, job: str) -> str:
        """Return the id of the run that the fact is of."""
        fact, began = recorded.fact, ""
        if job == "rollback" or isinstance(fact, RolloutStarted):
            began = fact.id
        elif job == "rollout":
            began = self._under_way.get(_about(fact), "")
        return run_id(*_about(fact), job, began)

    def _event(self, recorded: Recorded, job: str, state: str) -> "event_v2.RunEvent":
        fact, library = recorded.fact, self._library
        event: event_v2.RunEvent = library.events.RunEvent(
            eventType=library.events.RunState(state),
            eventTime=recorded.recorded_at.isoformat(),
            run=library.events.Run(runId=self._run(recorded, job), facets=self._about(recorded)),
            job=library.events.Job(
                namespace=self._namespace, name=f"{fact.model}.{job}", facets=self._where(recorded, job)
            ),
            producer=_PRODUCER,
            inputs=self._inputs(recorded, job),
            outputs=self._outputs(recorded.fact) if state == "COMPLETE" else [],
        )
        return event

    def _about(self, recorded: Recorded) -> "dict[str, facet_v2.RunFacet]":
        fact, facets = recorded.fact, self._library.facets
        told: dict[str, Any] = {"fact": fact.id, "version": getattr(fact, "version", "")}
        if isinstance(fact, TrainingPlanned):
            told |= {"seed": fact.seed, "code": fact.code, "settings": fact.settings, "champion": fact.champion}
        if isinstance(fact, SnapshotTaken):
            told |= {"snapshot": fact.digest, "rows": fact.rows, "holdout_rows": fact.holdout_rows}
        if isinstance(fact, CandidateTrained) and fact.commit:
            told |= {"commit": fact.commit, "dirty": str(fact.dirty).lower()}
        if isinstance(fact, CandidateTrained) and fact.both is not None:
            told |= {"snapshot_beside": fact.both.snapshot, "weight_beside": 1 - fact.both.weight}
        parameter = facets.execution_parameters_run.ExecutionParameter
        about: dict[str, facet_v2.RunFacet] = {
            "executionParameters": facets.execution_parameters_run.ExecutionParametersRunFacet(
                parameters=[parameter(key=name, value=str(value)) for name, value in told.items() if value != ""]
            )
        }
        span = getattr(fact, "span", None)
        if span is not None:
            about["nominalTime"] = facets.nominal_time_run.NominalTimeRunFacet(
                nominalStartTime=span.start.isoformat(), nominalEndTime=span.end.isoformat()
            )
        reason = getattr(fact, "detail", "") or getattr(fact, "reason", "")
        if reason and isinstance(fact, TrainingEnded | CandidateRefused | RolledBack):
            about["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(
                message=reason, programmingLanguage="PYTHON"
            )
        return about

    def _where(self, recorded: Recorded, job: str) -> "dict[str, facet_v2.JobFacet]":
        """Return where the code of a training is, if it is where others can find it."""
        fact = recorded.fact
        if job != "train" or not isinstance(fact, CandidateTrained) or not (fact.commit and fact.repository):
            return {}
        facet = self._library.facets.source_code_location_job.SourceCodeLocationJobFacet
        return {"sourceCodeLocation": facet(type="git", url=fact.repository, version=fact.commit)}

    def _inputs(self, recorded: Recorded, job: str) -> "list[event_v2.InputDataset]":
        """Return what a run reads: training the tables, what comes after it the model, and whom it is compared with."""
        fact = recorded.fact
        read: list[tuple[str, str]] = []
        if job != "train":
            model, version = _about(fact)
            read = [(f"{model}/models/{version}", str(getattr(fact, "digest", "")))]
            champion = str(getattr(fact, "champion", ""))
            read += [(f"{model}/models/{champion}", "")] if champion else []
        elif isinstance(fact, SnapshotTaken):
            read = [(f"{fact.model}/lake/{table}", str(number)) for table, number in fact.tables]
        make = self._library.events.InputDataset
        return [make(namespace=self._namespace, name=name, facets=self._at(version)) for name, version in read]

    def _outputs(self, fact: Fact) -> "list[event_v2.OutputDataset]":
        """Return what a complete run made: training the model, a rollout or a way back who answers as champion."""
        made: list[tuple[str, str]] = []
        if isinstance(fact, CandidateTrained):
            made = [(f"{fact.model}/models/{fact.version}", fact.digest)]
        elif isinstance(fact, VersionPromoted | RolledBack):
            made = [(f"{fact.model}/champion", fact.to if isinstance(fact, RolledBack) else fact.version)]
        make = self._library.events.OutputDataset
        return [make(namespace=self._namespace, name=name, facets=self._at(version)) for name, version in made]

    def _at(self, version: str) -> "dict[str, facet_v2.DatasetFacet]":
        make = self._library.facets.dataset_version_dataset.DatasetVersionDatasetFacet
        return {"version": make(datasetVersion=version)} if version else {}


def _about(fact: Fact) -> tuple[str, str]:
    return fact.model, str(getattr(fact, "version", ""))


def run_id(model: str, version: str, job: str, began: str = "") -> str:
    """Return the id of a run, a UUID of version 5; `began` is the fact that began it, where a job may run again.

    >>> run_id("fraud", "v2", "train") == run_id("fraud", "v2", "train") != run_id("fraud", "v3", "train")
    True
    """
    return str(uuid.uuid5(_NAMES, "/".join((model, version, job, *([began] if began else [])))))


class _Library:
    """The OpenLineage client, which not every installation has."""

    def __init__(self) -> None:
        try:
            from openlineage.client import event_v2, facet_v2, set_producer  # noqa: PLC0415  the extra `lineage`
            from openlineage.client.serde import Serde  # noqa: PLC0415  likewise
        except ImportError as exc:
            raise MissingExtraError("openlineage-python", "lineage") from exc
        set_producer(_PRODUCER)
        self.events = event_v2
        self.facets = facet_v2
        self._serde = Serde

    def text(self, event: "event_v2.RunEvent") -> str:
        """Return an event as one line of JSON."""
        return self._serde.to_json(event)
