"""How many spoilt candidates the gates and the rollout stop, what that costs when nothing is spoilt, on real streams.

One retrain in five is spoilt, seeded: half of its training labels are permuted, or two of its features are. A spoilt
candidate is *bad* when it loses more than its own twin, trained on the same rows unspoilt, on the rows that come next;
some are not: two features that the model does not need do no harm. Every project is what `anew init` writes, with a
schedule of retrains besides, so that every stream has some.

    make bench-gates ARGS="FOLDER [--seeds 3] [--streams elec2,…]"

FOLDER holds the streams as Parquet files with a ``manifest.json``.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl

from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.schema_inference import Roles
from anew.adapters.table_file import labelled_rows, read_table
from anew.app.project_template import create_from_file
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import Settings, load
from anew.app.training_job import training_kit
from anew.domain.duration import write_duration
from anew.domain.facts import CandidateRefused, CandidateTrained, GateJudged, RolledBack, VersionPromoted
from anew.domain.manifest import Manifest
from anew.domain.verdict import Verdict
from anew.loop.blending import blended_draft
from anew.loop.measure import as_values, losses
from anew.loop.replay_stream import TrainedVersion
from anew.loop.training import Fitted, Recipe, finish, fit
from anew.ports.predictor import Predictor

STREAMS = ("acs_employment_ma", "bank_marketing", "bike_demand", "elec2", "gas_turbine_nox", "insects_gradual")
FAULTS = ("labels", "features")
SHARE = 0.2
WINDOWS = 100
EVERY = 3
NEXT = 5
"""Windows on which a spoilt candidate is compared with its twin."""
HARM = 0.02
"""Relative loss over its twin's from which a spoilt candidate is bad, over the champion's up to which one is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One replay to be made: `fault` is empty for a clean one; without `gated` the gates ask for rows alone."""

    stream: str
    file: Path
    task: str
    fault: str = ""
    seed: int = 0
    gated: bool = True


@dataclass(slots=True)
class Outcome:
    """What became of the candidates of a run."""

    run: Run
    loss: float
    spoilt: dict[str, bool] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    back: set[str] = field(default_factory=set)
    promoted: set[str] = field(default_factory=set)
    retrains: tuple[str, ...] = ()
    reasons: list[str] = field(default_factory=list)
    good: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    windows: list[tuple[str, int, float, str]] = field(default_factory=list)
    born: dict[str, datetime] = field(default_factory=dict)

    @property
    def bad(self) -> set[str]:
        """Spoilt candidates that lose more than their twins."""
        return {version for version, harms in self.spoilt.items() if harms}

    @property
    def worse(self) -> set[str]:
        """Those of them that lose more than the champion as well: the others did no harm by serving."""
        return self.bad - self.good

    def missed(self, versions: set[str]) -> set[str]:
        """Return those that came to serve and were never taken back."""
        return (versions & self.promoted) - self.back


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """What a spoilt candidate should have been trained on: its rows, so many held out, and those beside if any.

    `columns` are the features that were scrambled, in both.
    """

    rows: pl.DataFrame
    held: int
    columns: tuple[str, ...]
    beside: pl.DataFrame | None = None


class Spoiler:
    """Spoils one retrain in five, on both of its spans, and knows which."""

    def __init__(self, run: Run, settings: Settings, frame: pl.DataFrame) -> None:
        self._run = run
        self._settings = settings
        self._frame = frame
        self._chance = np.random.default_rng([run.seed, FAULTS.index(run.fault)])
        self._spoilt: dict[str, Spoilt] = {}

    def __call__(self, name: str, rows: pl.DataFrame, held: int) -> pl.DataFrame:
        """Return the rows, spoilt or not; the first champion never is."""
        version = name.removesuffix(" beside")
        if version != name:
            if version not in self._spoilt:
                return rows
            spoilt = self._spoilt[version] = replace(self._spoilt[version], beside=rows)
            chance = np.random.default_rng([self._run.seed, FAULTS.index(self._run.fault), int(version[1:])])
            return self._scrambled(rows, held, spoilt.columns, chance)
        if version == "v1" or self._chance.random() >= SHARE:
            return rows
        names: tuple[str, ...] = ()
        if self._run.fault == "features":
            names = tuple(self._chance.choice(self._settings.columns.names, 2, replace=False).tolist())
        self._spoilt[version] = Spoilt(rows=rows, held=held, columns=names)
        return self._scrambled(rows, held, names, self._chance)

    def _scrambled(
        self, rows: pl.DataFrame, held: int, names: tuple[str, ...], chance: np.random.Generator
    ) -> pl.DataFrame:
        """Return the rows with half of the labels trained on permuted, or with these columns of them."""
        kept = rows.height - held
        index = np.arange(rows.height)
        if not names:
            index[chosen] = chance.permutation(chosen := chance.choice(kept, kept // 2, replace=False))
            return rows.with_columns(rows.get_column("_label").gather(index))
        index[:kept] = chance.permutation(kept)
        return rows.with_columns(rows.get_column(name).gather(index) for name in names)

    def harmful(self, versions: Mapping[str, TrainedVersion]) -> dict[str, bool]:
        """Return for each spoilt version whether it loses more than its twin, made of rows that are not."""
        made = {version: versions[version].predictor for version in self._spoilt if version in versions}
        # one that was revived was not trained on these rows, and bears the name that it had
        return {name: self._harms(made[name], self._spoilt[name]) for name in made if made[name].version == name}

    def _harms(self, made: Predictor, spoilt: Spoilt) -> bool:
        coming = self._frame.filter(pl.col("_at") > spoilt.rows.get_column("_at")[-1])
        coming = coming.head(NEXT * self._frame.height // WINDOWS)
        if not coming.height:
            return False
        twin = self._twin(made.manifest, spoilt)
        scale = twin.manifest.loss_scale
        return loss_of(made, coming, scale) > (1 + HARM) * loss_of(twin, coming, scale)

    def _twin(self, manifest: Manifest, spoilt: Spoilt) -> Predictor:
        kit, pipeline = training_kit(), load_pipeline(self._settings.pipeline)
        recipe = Recipe(columns=self._settings.columns, seed=manifest.seed, holdout_rows=spoilt.held)

        def assembled(fitted: Fitted) -> Predictor:
            return kit.loader.assemble(fitted.candidate, pipeline=pipeline, version="twin")

        alone = assembled(fit(spoilt.rows, recipe, pipeline, kit))
        if not manifest.blend or spoilt.beside is None:
            return alone
        beside = assembled(fit(spoilt.beside, replace(recipe, holdout_rows=0), pipeline, kit))
        made = blended_draft(alone, beside, manifest.blend[0][1], kit)
        return assembled(finish(made, spoilt.rows, recipe, pipeline, kit))


def loss_of(predictor: Predictor, rows: pl.DataFrame, scale: float) -> float:
    """Return the mean loss of a version on rows."""
    task = predictor.columns.task
    label, output = (as_values(each, task) for each in (rows.get_column("_label"), predictor.predict(rows).output))
    return float(losses(task, label, output, scale or 1.0).mean())


def project_of(folder: Path, run: Run) -> Settings:
    """Write the project that `anew init` makes of the stream, with a schedule, and read it."""
    roles = Roles(time="ts", target="target", task=run.task, sensitive=SENSITIVE.get(run.stream, ()))
    project = create_from_file(folder, run.file, roles).folder
    policy = project / "anew.yaml"
    text = policy.read_text("utf-8")
    span = read_table(run.file).get_column("ts")
    every = write_duration(EVERY * (span.max() - span.min()) / WINDOWS)
    text = text.replace("triggers:\n", f"triggers:\n  - {{every: {every}}}\n")
    if not run.gated:
        text = (
            text[: text.index("\nvalidate:")]
            + "\nvalidate: [slos: {objectives: []}]\n"
            + text[text.index("\nrollout:") :]
        )
    policy.write_text(text, "utf-8")
    return load(project)


SENSITIVE = {"bank_marketing": ("age_band",)}


def perform(run: Run) -> Outcome:
    """Replay one stream under one fault."""
    with tempfile.TemporaryDirectory() as folder:
        settings = project_of(Path(folder), run)
        frame = labelled_rows(read_table(run.file), settings.columns, run.file.name)
        spoiler = Spoiler(run, settings, frame) if run.fault else None
        report = replay(settings, ReplayOptions(data=run.file, windows=WINDOWS), spoil=spoiler)
        found = Outcome(run, loss=report.data["loss"], spoilt=spoiler.harmful(report.versions) if spoiler else {})
    found.windows = [(each["start"], each["n"], each["loss"], each["version"]) for each in report.data["windows"]]
    found.born = {fact.version: fact.at for fact in report.facts if isinstance(fact, CandidateTrained)}
    for fact in report.facts:
        match fact:
            case CandidateTrained() if fact.champion:
                found.retrains += (fact.version,)
                ours, theirs = (report.versions[name].predictor for name in (fact.version, fact.champion))
                coming = frame.filter(pl.col("_at") > fact.at).head(NEXT * frame.height // WINDOWS)
                scale = ours.manifest.loss_scale
                if coming.height and loss_of(ours, coming, scale) <= (1 + HARM) * loss_of(theirs, coming, scale):
                    found.good.add(fact.version)
            case GateJudged() if fact.verdict is not Verdict.PASS or fact.gate == "training_rows":
                found.notes.append(f"{fact.version} {fact.gate} {fact.verdict.name} {fact.reason}")
            case CandidateRefused():
                found.refused.add(fact.version)
                found.reasons.append(f"{fact.version} {fact.reason}")
            case RolledBack():
                found.back.add(fact.version)
            case VersionPromoted():
                found.promoted.add(fact.version)
    return found


def runs(folder: Path, streams: Sequence[str], seeds: int) -> list[Run]:
    """Return every run of the bench."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    found = []
    for stream in streams:
        kind = "regression" if "regression" in str(task_of(manifest, stream)) else "classification"
        common = {"stream": stream, "file": folder / f"{stream}.parquet", "task": kind}
        found += [Run(**common, gated=False), Run(**common)]
        found += [Run(**common, fault=fault, seed=seed) for fault in FAULTS for seed in range(seeds)]
    return found


def task_of(manifest: object, stream: str) -> object:
    """Return the task of a stream as the manifest has it."""
    entries = manifest.get("streams", manifest) if isinstance(manifest, dict) else manifest
    entry = entries[stream] if isinstance(entries, dict) else next(e for e in entries if e.get("name") == stream)
    return entry["task"]


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--reasons", action="store_true", help="say why good candidates were refused")
    given = parser.parse_args()
    planned = runs(given.folder, given.streams.split(","), given.seeds)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        outcomes = []
        for outcome in pool.map(perform, planned):
            outcomes.append(outcome)
            run = outcome.run
            line = (
                f"{len(outcomes)}/{len(planned)} {run.stream} {run.fault or 'clean'} {'' if run.gated else 'no gates'}"
            )
            print(f"{line} {counted(outcome)} loss {outcome.loss:.4f}", file=sys.stderr, flush=True)
    return report(outcomes, given.reasons)


def report(outcomes: Sequence[Outcome], reasons: bool) -> int:
    """Print the table; return 0 only if it is met."""
    columns = (
        "retrains",
        "spoilt",
        "bad",
        "stopped",
        "missed",
        "clean",
        "refused",
        "good",
        "refused",
        "worse",
        "missed",
    )
    print(f"{'stream':<20}{'fault':<10}" + "".join(f"{each:>9}" for each in columns) + f"{'loss':>9}")
    whole_runs = {each.run.stream: each for each in outcomes if not each.run.fault and each.run.gated}
    clean = {stream: each.loss for stream, each in whole_runs.items()}
    free = {each.run.stream: each.loss for each in outcomes if not each.run.fault and not each.run.gated}
    total = np.zeros(len(columns), dtype=int)
    extra: list[float] = []
    for fault in ("", *FAULTS):
        for stream, unspoilt in clean.items():
            mine = [e for e in outcomes if e.run.stream == stream and e.run.fault == fault and e.run.gated]
            counts = np.sum([counted(each) for each in mine], axis=0)
            total += counts
            loss = float(np.mean([each.loss for each in mine]))
            against = loss / unspoilt - 1 if fault else unspoilt / free[stream] - 1
            extra += [against] if fault else []
            print(f"{stream:<20}{fault or 'none':<10}" + "".join(f"{each:>9}" for each in counts) + f"{against:>+9.2%}")
            for each in mine if reasons else ():
                explain(each)
    _, _, bad, _, missed, whole, refused, good, wrongly, worse, harmful = total.tolist()
    cost = float(np.mean([clean[stream] / free[stream] - 1 for stream in clean]))
    rows = [
        (
            "bad candidates stopped by gates and rollout",
            1 - missed / max(bad, 1),
            ">= 90 %",
            bad and missed <= 0.1 * bad,
        ),
        ("... of those that lose more than the champion, too", 1 - harmful / max(worse, 1), "", True),
        ("good candidates refused by a gate", wrongly / max(good, 1), "<= 5 %", wrongly <= 0.05 * good),
        ("... of all that were not spoilt, worse than the champion or not", refused / max(whole, 1), "", True),
        ("loss over the clean run, mean of streams", float(np.mean(extra)), "<= 2 %", np.mean(extra) <= 0.02),
        *(
            (f"... {name}", float(np.mean(each)), "", True)
            for name, each in sources(whole_runs, [each for each in outcomes if each.run.fault]).items()
        ),
        ("loss of the clean run over one without gates", cost, "<= 0.5 %", cost <= 0.005),
    ]
    print()
    for name, value, target, met in rows:
        print(f"{name:<66}{value:>8.2%}  {target:<10}{'' if met else 'NOT MET'}")
    return 0 if all(met for *_, met in rows) else 1


def counted(each: Outcome) -> tuple[int, ...]:
    """Return the numbers of a run's line."""
    unspoilt = set(each.retrains) - set(each.spoilt)
    missed = each.missed(each.bad)
    good = unspoilt & each.good
    return (
        len(each.retrains),
        len(each.spoilt),
        len(each.bad),
        len(each.bad) - len(missed),
        len(missed),
        len(unspoilt),
        len(each.refused & unspoilt),
        len(good),
        len(each.refused & good),
        len(each.worse),
        len(each.missed(each.worse)),
    )


def sources(clean: Mapping[str, Outcome], spoilt: Sequence[Outcome]) -> dict[str, list[float]]:
    """Return by whom the loss over the clean run was made, a share of that run's loss for each spoilt one.

    Window by window: by a bad champion, by one that was trained before the clean run's of that window, or by others,
    among them bad challengers on their share of the traffic.
    """
    found: dict[str, list[float]] = {"while a bad one served": [], "while an older one served": [], "otherwise": []}
    for each in spoilt:
        before = clean[each.run.stream]
        there = {start: (lost, version) for start, _, lost, version in before.windows}
        rows = sum(n for _, n, _, _ in each.windows)
        shares = dict.fromkeys(found, 0.0)
        for start, n, lost, version in each.windows:
            theirs, instead = there[start]
            older = version in each.born and instead in before.born and each.born[version] < before.born[instead]
            name = list(found)[0 if version in each.bad else 1 if older else 2]
            shares[name] += n * (lost - theirs) / rows / before.loss
        for name, share in shares.items():
            found[name].append(share)
    return found


def explain(each: Outcome) -> None:
    """Say what gates said of candidates that were missed or wrongly refused."""
    wrong = each.missed(each.bad) | (each.refused & each.good - set(each.spoilt))
    for note in each.notes:
        version = note.split()[0]
        if version in wrong:
            print(f"      {'missed ' if version in each.spoilt else 'refused'} {note[:170]}")


if __name__ == "__main__":
    sys.exit(main())
