"""What a mirror is to show, folded from the record; and whether it still shows what it was told to."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from anew.domain.fact import Fact
from anew.domain.facts import CandidateMeasured, CandidateTrained, TrainingEnded
from anew.domain.manifest import Manifest
from anew.ports.mirror import MirroredRun, ModelMirror
from anew.registry import ALIASES, Registry, RegistryState

__all__ = ["Mirroring", "Wanted", "Wish", "wanted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the record says is to be shown: runs in order of their end, and the version that each alias names."""

    runs: tuple[MirroredRun, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)


class Wish:
    """Hears the record as it comes: runs that have ended, with what their gates measured, and who bears which alias."""

    def __init__(self) -> None:
        self._registry: RegistryState = Registry().initial()
        self._runs: dict[str, MirroredRun] = {}
        self._ended: set[str] = set()

    def hear(self, fact: Fact) -> None:
        """Take note of the next fact."""
        self._registry, runs = Registry().apply(self._registry, fact), self._runs
        match fact:
            case CandidateTrained():
                told = {"snapshot": fact.snapshot, "fact": fact.id, "against": fact.champion}
                if fact.both is not None:
                    told |= {"snapshot_beside": fact.both.snapshot, "weight_beside": f"{1 - fact.both.weight:.4g}"}
                runs[fact.version] = MirroredRun(version=fact.version, at=fact.at, digest=fact.digest, facts=told)
            case CandidateMeasured() if fact.version in runs:
                values = {f"{e.name}.{e.subject}".strip("."): e.value for e in fact.evidence if e.value is not None}
                runs[fact.version] = replace(runs[fact.version], metrics=values)
            case TrainingEnded():
                run = runs.get(fact.version, MirroredRun(version=fact.version, at=fact.at))
                told = {**run.facts, "outcome": fact.outcome, "detail": fact.detail[:500]}
                runs[fact.version] = replace(run, facts=told)
                self._ended.add(fact.version)

    def wanted(self) -> Wanted:
        """Return what a mirror has to show by what was heard."""
        aliases = {alias: record.version if (record := self._registry.named(alias)) else "" for alias in ALIASES}
        runs = tuple(run for version, run in self._runs.items() if version in self._ended)
        return Wanted(runs=runs, aliases=aliases)


def wanted(facts: Iterable[Fact]) -> Wanted:
    """Return what a mirror has to show by a whole record."""
    wish = Wish()
    for fact in facts:
        wish.hear(fact)
    return wish.wanted()


class Mirroring:
    """Brings a mirror to what is wanted, each thing once, and finds what somebody else changed there.

    What was shown is remembered in a file: a run or a model that was deleted by hand is not shown again, and an alias
    that was moved by hand is not moved back until it is to name another version.

    Parameters
    ----------
    fetch
        Returns the folder of a verified artifact.
    """

    def __init__(self, mirror: ModelMirror, memory: Path, fetch: Callable[[str], Path]) -> None:
        self._mirror = mirror
        self._memory = memory
        self._fetch = fetch
        self._shown, self._pointed = self._recalled()

    def bring(self, to: Wanted) -> None:
        """Show what is not shown, and move aliases that are to name another version. Raises as the mirror does."""
        for run in to.runs:
            if run.version not in self._shown:
                self._shown[run.version] = self._mirror.show(self._whole(run))
                self._remember()
        for alias in ALIASES:
            version = to.aliases.get(alias, "")
            if version != self._pointed.get(alias, "") and (not version or self._shown.get(version)):
                self._mirror.point(alias, version)
                self._pointed[alias] = version
                self._remember()

    def altered(self) -> tuple[str, ...]:
        """Return a sentence for each thing that is not as it was left. Raises as the mirror does."""
        there, named = self._mirror.versions(), self._mirror.aliases()
        gone = [version for version, name in self._shown.items() if name and version not in there]
        found = [f"the model of {version} was deleted there; by whom cannot be known" for version in gone]
        for alias in ALIASES:
            left, now = self._pointed.get(alias, ""), named.get(alias, "")
            if left != now:
                says = f"names {now or 'nothing'}, it was left at {left or 'nothing'}"
                found.append(f"the alias {alias} {says}; who moved it cannot be known")
        return tuple(found)

    def _whole(self, run: MirroredRun) -> MirroredRun:
        if not run.digest:
            return run
        folder = self._fetch(run.digest)
        manifest = Manifest.from_json((folder / "manifest.json").read_text("utf-8"))
        return replace(run, folder=folder, manifest=manifest, metrics={**manifest.metrics, **run.metrics})

    def _recalled(self) -> tuple[dict[str, str], dict[str, str]]:
        try:
            plain = json.loads(self._memory.read_text("utf-8"))
            return dict(plain["shown"]), dict(plain["pointed"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}, {}  # the mirror is asked what it has before anything is written to it

    def _remember(self) -> None:
        draft = self._memory.with_suffix(".part")
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"shown": self._shown, "pointed": self._pointed}), encoding="utf-8")
        draft.replace(self._memory)
