"""The live effect of training: fit the candidate, and where its plan has two spans, make it of two models."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from anew.domain.blend import Blend
from anew.domain.boundary import reach
from anew.domain.errors import AnewError, DiskFullError, IntegrityError, TrainingError, UnavailableError
from anew.domain.facts import CandidateTrained, SnapshotTaken, TrainingPlanned
from anew.domain.manifest import Manifest
from anew.loop.adopted import ADOPTED
from anew.loop.job_name import job_ids
from anew.loop.job_result import stored_artifact
from anew.loop.past import Past
from anew.loop.retired_effect import revived_candidate
from anew.loop.span_effects import SpanEffects
from anew.loop.training import SEARCH
from anew.loop.training_order import Training, TrainingInputs
from anew.ports.artifact import ArtifactStore
from anew.ports.code import CodeRevision
from anew.ports.compute import JobStatus
from anew.ports.snapshot import SnapshotStore
from anew.train.span import asked_beside

__all__ = ["TrainEffect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainEffect:
    """The effect; what it needs is given by the live effects that it is part of.

    Attributes
    ----------
    training
        How the project's versions are trained.
    run
        Runs a training of these inputs to its end.
    used
        Returns the CPU seconds of the job with this id, however it ended.
    blends
        Can two models of this format answer as one?
    """

    artifacts: ArtifactStore
    snapshots: SnapshotStore
    past: Past
    training: Training
    spans: SpanEffects
    run: Callable[[Training, TrainingInputs], JobStatus]
    used: Callable[[str], float]
    blends: Callable[[str], bool]
    revision: Callable[[], CodeRevision]

    def __call__(self, fact: SnapshotTaken) -> CandidateTrained:
        """Train what `fact` asks for; may be repeated from its beginning."""
        plan = self.past.record.find(fact.cause)
        if isinstance(plan, TrainingPlanned) and plan.revive:
            digest = self.past.record.digest_of(plan.revive)
            return revived_candidate(fact, plan.revive, digest, self.artifacts)
        code = self.revision()
        inputs = self._inputs(fact, plan.code if isinstance(plan, TrainingPlanned) else "")
        status = self.run(self.training, inputs)
        reach("train.collected")
        digest = stored_artifact(self.artifacts, status)
        reach("train.stored")
        made = CandidateTrained(
            model=fact.model,
            at=fact.at,
            cause=fact.id,
            version=fact.version,
            champion=fact.champion,
            digest=digest,
            snapshot=fact.digest,
            rows=fact.rows - fact.holdout_rows,
            compute_s=status.cpu_s,
            commit=code.commit,
            dirty=code.dirty,
            repository=code.repository,
        )
        if isinstance(plan, TrainingPlanned) and plan.beside_s and plan.span_weight < 1:
            return self._of_two(made, fact, plan, inputs)
        return made

    def _inputs(self, fact: SnapshotTaken, code: str) -> TrainingInputs:
        warm = self.past.warm(fact.champion)
        return TrainingInputs(
            id=fact.id,
            rows=self.snapshots.get(fact.digest),
            snapshot=fact.digest,
            kept=fact.rows - fact.holdout_rows,
            held=fact.holdout_rows,
            seed=fact.seed,
            code=code,
            previous=warm,
            tried=self.past.tried(warm[0]) if self.training.search is not None else (),
        )

    def _of_two(
        self, made: CandidateTrained, fact: SnapshotTaken, plan: TrainingPlanned, inputs: TrainingInputs
    ) -> CandidateTrained:
        """Fit the model beside `made`, and return the candidate that is both; `made` itself where nothing comes of it.

        What the format cannot blend is for the stage to have fitted beside, in its own time.
        """
        folder = self.artifacts.get(made.digest)
        alone = Manifest.from_json((folder / "manifest.json").read_text("utf-8"))
        if not self.blends(alone.format) or ADOPTED in alone.params:
            return made
        _, id, last = job_ids(fact.id)
        try:
            asked = replace(asked_beside(plan, fact), id=id)
            beside = self.spans.fitted(asked, plan, alone.params, dict(fact.tables))
        except AnewError as exc:
            return replace(made, alone_because=_harmless(exc), compute_s=made.compute_s + self.used(id))
        reach("train.beside")
        made = replace(made, compute_s=made.compute_s + beside.compute_s)
        pair = Blend(
            alone=made.digest,
            beside=beside.digest,
            weight=plan.span_weight,
            snapshot=beside.snapshot,
            rows=beside.rows,
            sources=beside.sources,
        )
        try:
            status = self._blended(inputs, pair, folder)
        except AnewError as exc:
            because, compute_s = _harmless(exc), made.compute_s + self.used(last)
            return replace(made, blend=replace(pair, weight=1.0), alone_because=because, compute_s=compute_s)
        reach("train.blended")
        digest = stored_artifact(self.artifacts, status)
        return replace(made, digest=digest, blend=pair, compute_s=made.compute_s + status.cpu_s)

    def _blended(self, inputs: TrainingInputs, pair: Blend, folder: Path) -> JobStatus:
        _, _, id = job_ids(inputs.id)
        record = folder / SEARCH
        members = (
            (pair.alone, str(folder), pair.weight),
            (pair.beside, str(self.artifacts.get(pair.beside)), 1.0 - pair.weight),
        )
        whole = replace(inputs, id=id, searched=str(record) if record.is_file() else "", blend=members)
        return self.run(replace(self.training, search=None), whole)


def _harmless(problem: AnewError) -> str:
    """Return what kept a second model from a candidate that is whole without it; raise what has to end its run.

    That is a person who ends it, what is not what was stored, and a store that may answer later.
    """
    later = isinstance(problem, UnavailableError) and not isinstance(problem, DiskFullError)
    ended = isinstance(problem, TrainingError) and problem.reason == "cancelled"
    if later or ended or isinstance(problem, IntegrityError):
        raise problem
    return str(problem)
