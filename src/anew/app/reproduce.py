"""`anew model reproduce`: train a version again from what is on record, and compare."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from tempfile import mkdtemp

from anew.adapters.fact_reader import read_facts
from anew.adapters.local_compute import LocalCompute
from anew.app.accepted import accepted
from anew.app.kept import kept_artifacts, kept_snapshots
from anew.app.progress import ProgressReporter
from anew.app.record_place import record_place
from anew.app.settings import Settings
from anew.app.training import limits_of
from anew.app.training_job import FINISH, FIT
from anew.domain.errors import NotFoundError, TrainingError
from anew.domain.facts import CandidateTrained, SubjectPurged
from anew.domain.manifest import Manifest
from anew.loop.adopted import Adopted
from anew.loop.held_loss import LOSSES
from anew.loop.training import SAMPLE_ROWS, SEARCH
from anew.loop.training_order import Training, TrainingInputs, training_job
from anew.loop.training_run import ARTIFACT, read_outcome
from anew.ports.artifact import ArtifactStore
from anew.ports.compute import JobState

__all__ = ["Difference", "Reproduction", "reproduce", "trained_version", "version_store"]

_POLL_S = 0.1
_ENVIRONMENT = "environment.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not as it was: `then` is empty for what is new, `now` for what is gone."""

    what: str
    then: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of training a version again.

    Attributes
    ----------
    digest, again
        Of the artifact on record, and of the one that was made.
    verdict
        ``identical_digest``: every byte is the same. ``identical_model``: the model is, something beside it differs.
        ``identical_metrics``: the model differs, what it was measured by does not. ``differs``: neither is the same.
    differences
        What exactly is not the same.
    """

    version: str
    digest: str
    again: str
    verdict: str
    differences: tuple[Difference, ...] = ()


def reproduce(project: Path, version: str, told: Callable[[str], None] = lambda _: None) -> Reproduction:
    """Train `version` again: the rows of its snapshot, the code and the parameters that its artifact holds, its seed.

    It runs as a training does, confined and within the project's limits, in the environment that is installed now.
    Nothing of the project changes. Where parameters were searched, the fit is repeated with what was found. `told` is
    called with a sentence on how far it is, every few seconds at most. A version that is made of two models is made of
    them again, after both were.

    Raises
    ------
    NotFoundError
        There is no such version, or its snapshot or the version it was warm-started from is gone: the message says
        whether rows in it were erased on order.
    IntegrityError
        What is stored is not what was stored.
    TrainingError
        Training it again came to nothing.
    """
    settings = accepted(project)
    fact, artifacts = trained_version(settings, version), version_store(settings)
    kept = artifacts.get(fact.digest)
    manifest = _manifest(kept)
    with ExitStack() as stack:
        members: list[tuple[str, str, float]] = []
        for digest, weight in manifest.blend:
            part = artifacts.get(digest)
            again = stack.enter_context(_trained_again(settings, part, artifacts, told))
            members.append((read_outcome(again).digest, str(again / ARTIFACT), weight))
        made = stack.enter_context(_trained_again(settings, kept, artifacts, told, tuple(members)))
        return _compared(version, fact.digest, kept, read_outcome(made).digest, made / ARTIFACT)


def trained_version(settings: Settings, version: str) -> CandidateTrained:
    """Return the fact that `version` was trained.

    Raises
    ------
    NotFoundError
        It never was; the message names those that were.
    """
    facts = [each.fact for each in read_facts(record_place(settings.state), kinds={"CandidateTrained"})]
    found = [fact for fact in facts if isinstance(fact, CandidateTrained)]
    for fact in found:
        if fact.version == version:
            return fact
    known = ", ".join(fact.version for fact in found[-10:]) or "none"
    raise NotFoundError(f"no version {version!r} was ever trained; the newest are {known}")


def version_store(settings: Settings) -> ArtifactStore:
    """Return the project's artifacts, to read."""
    return kept_artifacts(settings.state)


def _as_it_was(settings: Settings, kept: Path, manifest: Manifest) -> Training:
    policy = settings.policy.train
    return Training(
        fit=FIT,
        finish=FINISH,
        pipeline=kept / "pipeline.py",
        columns=manifest.columns,
        params=manifest.params,
        sample_rows=SAMPLE_ROWS if (kept / "sample.arrow").is_file() else 0,
        traits=(kept / "traits.json").is_file(),
        losses=(kept / LOSSES).is_file(),
        export=(kept / "export.onnx").is_file(),
        reads=tuple(str(settings.root / path) for path in policy.reads),
        confined=policy.sandbox,
        adopt=Adopted.again(manifest.params, kept / manifest.model_file, manifest.format),
    )


def _manifest(folder: Path) -> Manifest:
    return Manifest.from_json((folder / "manifest.json").read_text("utf-8"))


def _inputs(
    settings: Settings, kept: Path, artifacts: ArtifactStore, members: tuple[tuple[str, str, float], ...]
) -> TrainingInputs:
    manifest = _manifest(kept)
    warm = bool(manifest.previous) and not members
    return TrainingInputs(
        id=f"reproduce-{token_hex(8)}",
        rows=_rows(settings, manifest.snapshot),
        snapshot=manifest.snapshot,
        kept=manifest.rows,
        held=manifest.holdout_rows,
        seed=manifest.seed,
        code=manifest.code,
        previous=(manifest.previous, str(artifacts.get(manifest.previous)) if warm else ""),
        searched=str(kept / SEARCH) if (kept / SEARCH).is_file() else "",
        blend=members,
    )


def _rows(settings: Settings, snapshot: str) -> Path:
    """Return the rows of a snapshot; one that is gone is looked for among those that went with what was erased."""
    try:
        return kept_snapshots(settings.state).get(snapshot)
    except NotFoundError as exc:
        facts = [each.fact for each in read_facts(record_place(settings.state), kinds={"SubjectPurged"})]
        erased = next((fact for fact in facts if isinstance(fact, SubjectPurged) and snapshot in fact.snapshots), None)
        if erased is None:
            why = "and no erasure on record took it; copy it back from a backup (state/snapshots)"
        else:
            why = (
                f"it went when a subject's rows were erased on order (command {erased.command}, {erased.at:%Y-%m-%d}); "
                "the version cannot be made again: retrain for one that can (anew retrain), and let this one retire"
            )
        raise NotFoundError(f"{exc}, {why}") from exc


@contextmanager
def _trained_again(
    settings: Settings,
    kept: Path,
    artifacts: ArtifactStore,
    told: Callable[[str], None],
    members: tuple[tuple[str, str, float], ...] = (),
) -> Iterator[Path]:
    """Train the artifact `kept` again in a folder of its own, which is gone afterwards; yields that of its results.

    With `members`, digest, folder and weight of each, it is made of their models instead.
    """
    how, inputs = _as_it_was(settings, kept, _manifest(kept)), _inputs(settings, kept, artifacts, members)
    folder = Path(mkdtemp(prefix="reproduce-", dir=settings.state))
    compute = LocalCompute(root=folder / "jobs")
    reporter = ProgressReporter(folder, lambda _, said: told(said))
    try:
        compute.submit(training_job(how, inputs, folder / "orders", limits_of(settings)))
        while (status := compute.poll(inputs.id)).state is JobState.RUNNING:
            reporter.look([inputs.id])
            time.sleep(_POLL_S)
        if status.folder is None:
            raise TrainingError(status.reason or "error", status.detail or "it left nothing behind")
        yield status.folder
    finally:
        compute.cancel(inputs.id, "nobody waits for it any more")
        rmtree(folder, ignore_errors=True)


def _compared(version: str, digest: str, kept: Path, again: str, made: Path) -> Reproduction:
    if digest == again:
        return Reproduction(version=version, digest=digest, again=again, verdict="identical_digest")
    then, now = _manifest(kept), _manifest(made)
    same_model = then.model_file == now.model_file and _bytes(kept / then.model_file) == _bytes(made / now.model_file)
    verdict = "identical_model" if same_model else "identical_metrics" if then.metrics == now.metrics else "differs"
    found = [*_of_environment(kept, made), *_of_manifest(then, now), *_of_files(kept, made)]
    return Reproduction(version=version, digest=digest, again=again, verdict=verdict, differences=tuple(found))


def _of_environment(kept: Path, made: Path) -> Iterator[Difference]:
    then, now = (_packages(folder / _ENVIRONMENT) for folder in (kept, made))
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            yield Difference(what=f"package {name}", then=then.get(name, ""), now=now.get(name, ""))


def _packages(file: Path) -> Mapping[str, str]:
    pairs = (line.partition("==") for line in file.read_text("utf-8").splitlines())
    return {name: release for name, _, release in pairs}


def _of_manifest(then: Manifest, now: Manifest) -> Iterator[Difference]:
    for each in fields(Manifest):
        before, after = getattr(then, each.name), getattr(now, each.name)
        if before != after and each.name != "environment":
            yield Difference(what=f"manifest {each.name}", then=str(before), now=str(after))


def _of_files(kept: Path, made: Path) -> Iterator[Difference]:
    names = {path.name for folder in (kept, made) for path in folder.iterdir()}
    for name in sorted(names - {_ENVIRONMENT, "manifest.json"}):
        then, now = _bytes(kept / name), _bytes(made / name)
        if then != now:
            yield Difference(what=f"file {name}", then=_said(then), now=_said(now))


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _said(data: bytes | None) -> str:
    return "" if data is None else f"{len(data)} bytes"
