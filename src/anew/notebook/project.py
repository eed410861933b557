"""A project's record in a notebook: where it stands, why a version exists, what its gates and its rollout said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anew.adapters.fact_reader import read_facts
from anew.app.narration import narrate
from anew.app.record_place import record_place
from anew.app.rollout_status import rollout_status
from anew.app.status import project_status, state_folder
from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import GateJudged
from anew.domain.verdict import Verdict
from anew.lineage import history_of, index
from anew.notebook.markup import BAD, GOOD, UNSURE, Markup, bar, mark, table, title

__all__ = ["GateResult", "Project", "RolloutResult", "RunResult", "StatusResult"]

_COLOURS = {Verdict.PASS: GOOD, Verdict.INCONCLUSIVE: UNSURE, Verdict.ERROR: BAD, Verdict.FAIL: BAD}


@dataclass(frozen=True, slots=True)
class StatusResult:
    """Where everything stands; `data` is what ``anew status --json`` prints."""

    data: Mapping[str, Any]

    @property
    def champion(self) -> str:
        """The version that serves by right, empty for none."""
        return self.data["champion"]["version"] if self.data["champion"] else ""

    @property
    def challenger(self) -> str:
        """The version on probation, empty for none."""
        return self.data["challenger"]["version"] if self.data["challenger"] else ""

    def __repr__(self) -> str:
        """Say it in a line."""
        return f"<anew status: {self.data['model']}, champion {self.champion or 'none'}>"

    def _repr_html_(self) -> str:
        rows = [
            (each["version"], each["standing"], each["since"][:16], each["reason"]) for each in self.data["versions"]
        ]
        loop = "the loop runs" if self.data["holder"] else "the loop does not run"
        about = f"{self.data['facts']:,} facts, {loop}"
        return title(self.data["model"], about) + table(("version", "standing", "since", "because"), rows)


@dataclass(frozen=True, slots=True)
class RunResult:
    """Why a version exists and what became of it; `facts` are those on record, oldest first."""

    version: str
    standing: str
    facts: Sequence[Fact]

    def __repr__(self) -> str:
        """Say it in a line."""
        return f"<anew run: {self.version}, {self.standing}, {len(self.facts)} facts>"

    def _repr_html_(self) -> str:
        rows = [(f"{fact.at:%Y-%m-%d %H:%M}", fact.kind, narrate(fact)) for fact in self.facts]
        return title(f"Run of {self.version}", self.standing) + table(("event time", "fact", "what it says"), rows)


@dataclass(frozen=True, slots=True)
class GateResult:
    """What each gate said of a version, as it is on record; the worst of the required ones decides."""

    version: str
    verdicts: Sequence[GateJudged]

    @property
    def passed(self) -> bool:
        """Did gates say something, and did every required one pass?"""
        return bool(self.verdicts) and all(each.verdict is Verdict.PASS for each in self.verdicts if each.required)

    def __repr__(self) -> str:
        """Say it in a line."""
        said = ", ".join(f"{each.gate} {each.verdict.name}" for each in self.verdicts)
        return f"<anew gates of {self.version}: {said or 'none on record'}>"

    def _repr_html_(self) -> str:
        rows = [
            (
                each.gate,
                mark(each.verdict.name, _COLOURS[each.verdict]),
                "asks a person" if each.ask else "required" if each.required else "advisory",
                each.reason,
            )
            for each in self.verdicts
        ]
        return title(f"Gates of {self.version}") + table(("gate", "verdict", "mode", "because"), rows)


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """How far the rollout is; `data` is what ``anew rollout status --json`` prints."""

    data: Mapping[str, Any]

    def __repr__(self) -> str:
        """Say it in a line."""
        data = self.data
        beside = f", {data['challenger']} in {data['stage']} at {data['share']:.0%}" if data["challenger"] else ""
        return f"<anew rollout: {data['champion']} serves{beside}>"

    def _repr_html_(self) -> str:
        data = self.data
        rows: list[tuple[str, object]] = [("champion", data["champion"]), ("fallback", data["fallback"] or None)]
        if data["challenger"]:
            share: Markup = bar(data["share"], 1.0, f"{data['share']:.0%}")
            rows += [("challenger", data["challenger"]), ("stage", data["stage"]), ("share", share)]
        for name in ("paired", "champion_loss", "challenger_loss"):
            if data.get(name, {}).get("n"):
                rows.append((name.replace("_", " "), f"{data[name]['mean']:+.4g} on {data[name]['n']:,} labels"))
        rows += [(name, data[name]) for name in ("held", "stalled", "problem") if data.get(name)]
        return title("Rollout", f"{data['model']}, epoch {data['epoch']}") + table(("", ""), rows)


class Project:
    """A project that was brought up, by its folder. Everything is read from the record at each call.

    Parameters
    ----------
    folder
        The project's folder, with `anew.yaml`.

    Raises
    ------
    NotFoundError
        It is no folder of a project that was brought up.
    """

    def __init__(self, folder: Path | str = ".") -> None:
        self._folder = Path(folder)
        if not state_folder(self._folder).is_dir():
            raise NotFoundError(f"{self._folder} was never brought up (anew up), or is no project's folder")

    def __repr__(self) -> str:
        """Say where it is."""
        return f"<anew project in {self._folder}>"

    def status(self) -> StatusResult:
        """Return where everything stands."""
        return StatusResult(project_status(self._folder))

    def run(self, version: str) -> RunResult:
        """Return why a version exists and what became of it; raises NotFoundError when there is none."""
        facts = index(recorded.fact for recorded in read_facts(record_place(state_folder(self._folder))))
        history = history_of(facts, version)
        found = {each["version"]: each["standing"] for each in self.status().data["versions"]}
        return RunResult(version, found.get(version, "planned"), tuple(history))

    def gates(self, version: str) -> GateResult:
        """Return what the gates said of a version, the newest verdict of each; `anew gate` asks them anew.

        Raises NotFoundError when there is no such version.
        """
        newest: dict[str, GateJudged] = {}
        for recorded in read_facts(record_place(state_folder(self._folder)), kinds={GateJudged.__name__}):
            if isinstance(recorded.fact, GateJudged) and recorded.fact.version == version:
                newest[recorded.fact.gate] = recorded.fact
        if not newest:
            self.run(version)  # raises where there is no such version
        return GateResult(version, tuple(newest.values()))

    def rollout(self) -> RolloutResult:
        """Return how far the rollout is; raises NotFoundError when no model was ever served."""
        return RolloutResult(rollout_status(self._folder))
