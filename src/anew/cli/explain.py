"""Say why a version exists and what became of it, from the window that began it to where it stands."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from anew.adapters.fact_codec import encode
from anew.adapters.fact_reader import read_facts
from anew.app.alias import version_of
from anew.app.lineage import manifest_of
from anew.app.narration import narrate
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.cli._output import emit_json, say
from anew.domain.facts import CandidateTrained
from anew.domain.manifest import Manifest
from anew.lineage import history_of, index

__all__ = ["run"]

_ASIDE = frozenset({"RolloutObserved", "CandidateMeasured"})


def run(
    version: Annotated[str, typer.Argument(help="a version (v3), or champion, challenger or fallback")],
    project: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="print anew.explain/1")] = False,
) -> None:
    """Walk the causes of a version back, and what it did forward."""
    facts = index(recorded.fact for recorded in read_facts(record_place(state_folder(project))))
    version = version_of(project, version)
    history = history_of(facts, version)
    made_by = _made_by(facts.trained(version), manifest_of(project, facts, version))
    if json:
        plain = [
            {"kind": fact.kind, "said": narrate(fact), "fact": msgspec.json.decode(encode(fact))} for fact in history
        ]
        emit_json("anew.explain/1", {"version": version, "facts": plain, "made_by": made_by})
        return
    for fact in history:
        if fact.kind not in _ASIDE:
            say(f"{fact.at:%Y-%m-%d %H:%M}  {narrate(fact)}")
        if isinstance(fact, CandidateTrained) and fact.version == version:
            for name, value in made_by.items():
                say(f"{'':<18}{name}: {value}")


def _made_by(trained: CandidateTrained | None, manifest: Manifest | str) -> dict[str, str]:
    """Return what a version was fitted by, in words; nothing of one that was not."""
    if trained is None:
        return {}
    changed = " with changes that are in no commit" if trained.dirty else ""
    found = {"commit": f"{trained.commit}{changed}"} if trained.commit else {}
    if isinstance(manifest, str):
        return found | {"artifact not at hand": manifest}
    return found | {
        "environment": manifest.environment,
        "parameters": ", ".join(f"{name}={value}" for name, value in sorted(manifest.params.items())) or "none",
        "features": ", ".join(manifest.inputs),
    }
