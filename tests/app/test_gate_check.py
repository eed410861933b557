"""`anew gate` asks the project's gates about a stored version, its suites and its package, and records nothing."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.local_snapshot import LocalSnapshotStore
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.signing import Signer
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.gate_check import GateCheck, check_gates
from anew.app.settings import load
from anew.app.training_job import training_kit
from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import CandidateTrained, RolloutStarted, VersionPromoted
from anew.domain.verdict import Verdict
from anew.loop.training import Recipe, fit
from tests.app.small_project import YAML, write_project
from tests.cli.call import call

T0 = datetime(2024, 1, 1, tzinfo=UTC)
ROWS, HELD = 600, 200


def rows(start: int, n: int, seed: int) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    x, z = chance.normal(size=(2, n))
    at = [T0 + timedelta(hours=start + i) for i in range(n)]
    frame = pl.DataFrame({"x": x, "z": z, "_at": at, "_label": ((x > 0) ^ (chance.random(n) < 0.05)).astype(int)})
    return frame.with_columns(pl.col("_at").cast(pl.Datetime("us", "UTC")), pl.col("_label").cast(pl.String))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a champion, v1, and a candidate that was trained on permuted labels, v2."""
    folder = write_project(tmp_path_factory.mktemp("gate") / "small")
    settings = load(folder)
    settings.state.mkdir()
    signer = Signer.load_or_create(settings.state / "keys")
    artifacts = LocalArtifactStore(root=settings.state / "models", verifier=signer.verifier, signer=signer)
    snapshots = LocalSnapshotStore(settings.state / "snapshots")
    clean = rows(0, ROWS, 1)
    permuted = clean.with_columns(
        _label=pl.concat([clean["_label"].head(ROWS - HELD).shuffle(seed=1), clean["_label"].tail(HELD)])
    )
    facts: list[Fact] = []
    for version, frame in (("v1", clean), ("v2", permuted)):
        recipe = Recipe(columns=settings.columns, seed=1, holdout_rows=HELD)
        candidate = fit(frame, recipe, load_pipeline(settings.pipeline), training_kit()).candidate
        made = folder.parent / version
        made.mkdir()
        for name, data in candidate.files.items():
            (made / name).write_bytes(data)
        trained = CandidateTrained(
            model="small",
            at=T0,
            cause=f"snapshot-{version}",
            version=version,
            champion="" if version == "v1" else "v1",
            digest=artifacts.put(made),
            snapshot=snapshots.put(frame),
            rows=ROWS - HELD,
            compute_s=1.0,
        )
        facts.append(trained)
        if version == "v1":
            facts.append(RolloutStarted(model="small", at=T0, version="v1", digest=trained.digest, champion=""))
            facts.append(
                VersionPromoted(
                    model="small", at=T0, version="v1", digest=trained.digest, previous="", evidence=(), reason=""
                )
            )
    clock = SystemClock()
    database = Database(settings.state / "anew.db")
    lease = SQLLease(database, clock=clock)
    grant = lease.acquire("test", 60)
    assert grant is not None
    SQLEventLog(database, clock=clock).append([each.caused_by(each.cause) for each in facts], grant=grant)
    lease.release(grant)
    database.close()
    for name, frame in (("golden", rows(10_000, 400, 2)), ("known", clean.head(300))):
        frame.rename({"_at": "at", "_label": "y"}).write_parquet(folder / f"{name}.parquet")
    return folder


def checked(project: Path, version: str, gates: str) -> GateCheck:
    seals = {
        name: hashlib.sha256((project / f"{name}.parquet").read_bytes()).hexdigest() for name in ("golden", "known")
    }
    suites = "".join(f"  {name}: {{file: {name}.parquet, digest: {seal}}}\n" for name, seal in seals.items())
    suites += "  recorded: {recorded: 100 rows}\n"
    (project / "anew.yaml").write_text(f"{YAML}suites:\n{suites}validate: [{gates}]\n", encoding="utf-8")
    return check_gates(load(project), version)


def verdict(check: GateCheck) -> Verdict:
    (found,) = check.verdicts
    return found.verdict


@pytest.mark.parametrize(
    ("gates", "champion", "candidate"),
    [
        ("beats_champion: {}", None, Verdict.FAIL),
        ("suites: {names: [golden]}", None, Verdict.FAIL),
        ("anchor: {suite: golden}", None, Verdict.FAIL),
        ("forgetting: {suites: [golden], flips: 0.2}", None, Verdict.FAIL),
        ("training_rows: {}", Verdict.PASS, Verdict.FAIL),
        ("calibration: {at_most: 0.3}", Verdict.PASS, Verdict.PASS),
        ("slices: {by: [z], at_most: 0.3}", Verdict.PASS, Verdict.FAIL),
        ("robustness: {}", Verdict.PASS, Verdict.PASS),
        ("skew: {}", Verdict.PASS, Verdict.PASS),
        ("leakage: {column_at_most: 0.9}", Verdict.FAIL, Verdict.FAIL),
        ("rules: {keep: ['prediction >= 0']}", Verdict.PASS, Verdict.PASS),
        ("latency: {p99_ms: 10000}", Verdict.PASS, Verdict.PASS),
        ("footprint: {size_mb: 0.001}", Verdict.FAIL, Verdict.FAIL),
        ("artifact: {}", Verdict.PASS, Verdict.PASS),
        ("model_card: {}", Verdict.FAIL, Verdict.FAIL),
        ("suites: {names: [known]}", None, Verdict.ERROR),
        ("suites: {names: [recorded]}", None, Verdict.ERROR),
    ],
)
def test_each_gate_is_asked_about_the_stored_version(
    project: Path, gates: str, champion: Verdict | None, candidate: Verdict
) -> None:
    assert verdict(checked(project, "v2", gates)) is candidate
    if champion is not None:
        assert verdict(checked(project, "v1", gates)) is champion


def test_the_version_is_compared_with_the_champion_and_its_card_has_its_facts(project: Path) -> None:
    check = checked(project, "v2", "slos: {}, beats_champion: {}")
    assert (check.champion, check.outcome) == ("v1", "refused")
    assert "# Model card of small v2" in check.card
    assert checked(project, "v1", "slos: {}").champion == ""
    with pytest.raises(NotFoundError, match="known are v1, v2"):
        check_gates(load(project), "v9")


@pytest.mark.parametrize(
    ("version", "gates", "code", "outcome"),
    [
        ("v1", "slos: {}", 0, "accepted"),
        ("v2", "slos: {}", 3, "refused"),
        ("v2", "{beats_champion: {}, mode: ask}", 8, "waiting"),
        ("v2", "{slos: {}, mode: advisory}, {skew: {}}", 0, "accepted"),
        ("v9", "slos: {}", 4, ""),
    ],
)
def test_ci_reads_the_exit_code(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    gates: str,
    code: int,
    outcome: str,
) -> None:
    checked(project, "v1", gates)
    called = call(capsys, monkeypatch, "gate", version, "--project", str(project), "--json")
    assert called.code == code, called
    assert not outcome or json.loads(called.out)["data"]["outcome"] == outcome


LACKS = """
from dataclasses import dataclass
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.validate import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacks:
    needs_champion: ClassVar[bool] = False
    key: ClassVar[str] = "lacks"

    def measure(self, rows):
        problems = {"told": "told already", "night": "no rows of the night"}
        return tuple(Evidence.of(self.key, None, 0, subject=name, problem=said) for name, said in problems.items())

    def judge(self, evidence):
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason="told already")
"""


def test_problems_of_evidence_that_the_reason_does_not_tell_are_printed(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gate_that_lacks.py").write_text(LACKS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    checked(project, "v1", '{"gate_that_lacks:Lacks": {}}')
    called = call(capsys, monkeypatch, "gate", "v1", "--project", str(project))
    assert called.code == 3, called
    assert [line.split() for line in called.out.splitlines()[:-1]] == [
        ["INCONCLUSIVE", "lacks:", "told", "already"],
        ["night:", "no", "rows", "of", "the", "night"],
    ]
