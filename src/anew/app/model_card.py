"""Model cards in the form of the Hugging Face Hub: facts filled in, what only people know from `model_card.md`.

A card is of one artifact: its head bears the digest, and facts that were changed afterwards are found.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from anew.domain.errors import IntegrityError, PolicyError
from anew.domain.manifest import Manifest

__all__ = ["CARD", "Carded", "card_differences", "card_problems", "card_seal", "model_card", "write_section"]

CARD = "model_card.md"
"""The file of the project that people write."""

_LEAST_WORDS = 10
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.M)
_HEAD = re.compile(r"\A---\n(.*?)^---\n", re.M | re.S)
_OURS = frozenset({"anew", "library_name", "pipeline_tag", "model-index"})
"""What of a card's head only anew says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carded:
    """What a card is of: a version of a model, and the artifact under exactly this digest."""

    name: str
    version: str
    digest: str
    manifest: Manifest


def model_card(project: Path, of: Carded) -> str:
    """Return the card of a version: a YAML head, sections of facts, and the sections that people wrote.

    The head of people's file may say what else the Hub knows, e.g. license and language.
    """
    said, body = _split(_written(project))
    head = {name: value for name, value in said.items() if name not in _OURS} | _head(of)
    head["tags"] = list(dict.fromkeys([*_tags(of), *(said.get("tags") or ())]))
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n{_facts(of)}\n{body}"


def card_differences(card: str, of: Carded) -> Sequence[str]:
    """Return in what a card is not that of this version, a sentence each; people's own words may be any."""
    head, body = _split(card)
    ours, found = _head(of), []
    anew = head.get("anew")
    named: Mapping[str, Any] = anew if isinstance(anew, Mapping) else {}
    if named.get("digest") != of.digest:
        found.append(f"it is the card of {named.get('digest', 'nothing that is named')}, not of {of.digest}")
    found += [f"{name} of its head was changed" for name in ours if name != "anew" and head.get(name) != ours[name]]
    if _facts(of).strip() not in body:
        found.append("a section of facts was changed")
    return found


def write_section(project: Path, heading: str, text: str) -> None:
    """Write a section of people's file, in the place of the one that had this heading; the file is replaced as a whole.

    Raises
    ------
    PolicyError
        It is a section of facts, no heading, or the text holds headings of its own.
    """
    if not heading.strip() or "\n" in heading or heading.casefold() in _FACTS:
        raise PolicyError(f"{heading!r} is no section for people to write; facts fill in {', '.join(sorted(_FACTS))}")
    if _HEADING.search(text) or not text.strip():
        raise PolicyError("the text of a section has words and no headings of its own: lines that begin with #")
    whole, section = _written(project), f"## {heading.strip()}\n\n{text.strip()}\n"
    parts = re.split(r"(?m)^(?=#{1,6}\s)", whole)
    place = next((i for i, part in enumerate(parts) if heading.strip().casefold() in _sections(part)), None)
    if place is None:
        made = f"{whole.rstrip()}\n\n{section}" if whole.strip() else section
    else:
        last = place == len(parts) - 1
        parts[place] = section if last else f"{section}\n"
        made = "".join(parts)
    draft = project / f".{CARD}.{os.getpid()}"
    draft.write_text(made, "utf-8")
    draft.replace(project / CARD)


def card_seal(project: Path) -> str:
    """Return the SHA-256 of what people wrote."""
    return hashlib.sha256(_written(project).encode()).hexdigest()


_FACTS = frozenset({"model details", "training data", "evaluation"})


def _tags(of: Carded) -> Sequence[str]:
    return ["anew", of.manifest.columns.task.value]


def _head(of: Carded) -> dict[str, Any]:
    manifest, columns = of.manifest, of.manifest.columns
    return {
        "anew": {
            "version": of.version,
            "digest": of.digest,
            "snapshot": manifest.snapshot,
            "code": manifest.code,
            "environment": manifest.environment,
        },
        "library_name": manifest.format,
        "pipeline_tag": "tabular-classification" if columns.task.classifies else "tabular-regression",
        "model-index": [
            {
                "name": f"{of.name} {of.version}",
                "results": [
                    {
                        "task": {"type": columns.task.value},
                        "dataset": {"name": manifest.snapshot or "unknown", "type": "snapshot"},
                        "metrics": [{"type": each, "value": value} for each, value in sorted(manifest.metrics.items())],
                    }
                ],
            }
        ],
    }


def _facts(of: Carded) -> str:
    name, version, manifest, columns = of.name, of.version, of.manifest, of.manifest.columns
    features = "\n".join(f"- `{column.name}` ({column.kind.value})" for column in columns.features)
    params = ", ".join(f"{key} = {value}" for key, value in sorted(manifest.params.items())) or "the pipeline's own"
    parts = " and ".join(f"{weight:.3g} of the artifact {digest[:12]}" for digest, weight in manifest.blend)
    both = f" It answers by two models, fitted on two spans of history: {parts}." if parts else ""
    return f"""# Model card of {name} {version}

## Model details

A {columns.task.value} model of `{columns.target}`, kept as {manifest.format}. Code {manifest.code[:12]}, environment
{manifest.environment[:12]}, seed {manifest.seed}, parameters: {params}.

{features}

Artifact {of.digest}.

## Training data

{manifest.rows} rows of the snapshot {manifest.snapshot[:12] or "(none)"}; {manifest.holdout_rows} newer ones were held
out.{both} Sensitive columns kept from the model: {", ".join(columns.sensitive) or "none declared"}.

## Evaluation

What every gate measured and judged is on record: `anew explain {version}`.
"""


def card_problems(project: Path, sections: Sequence[str]) -> Sequence[str]:
    """Return what people have not written, a sentence each."""
    found = _sections(_split(_written(project))[1])
    problems = []
    for section in sections:
        words = len(found.get(section.casefold(), "").split())
        if section.casefold() not in found:
            problems.append(f"{section}: {CARD} has no such section")
        elif words < _LEAST_WORDS:
            problems.append(f"{section}: {words} words in {CARD}, {_LEAST_WORDS} are the least that say anything")
    return problems


def _written(project: Path) -> str:
    file = project / CARD
    try:
        return file.read_text("utf-8") if file.is_file() else ""
    except UnicodeDecodeError as exc:
        raise IntegrityError(f"{CARD} is no text in UTF-8 (byte {exc.start}); write it again") from exc


def _split(text: str) -> tuple[Mapping[str, Any], str]:
    """Return what the YAML head says, and the text behind it.

    Raises
    ------
    IntegrityError
        The head is no YAML, or no mapping.
    """
    found = _HEAD.match(text)
    if found is None:
        return {}, text
    try:
        said = yaml.safe_load(found[1]) or {}
    except yaml.YAMLError as exc:
        raise IntegrityError(f"the head of {CARD} is no YAML ({type(exc).__name__}); mend it or take it out") from exc
    if not isinstance(said, dict):
        raise IntegrityError(f"the head of {CARD} names nothing; write NAME: VALUE, or take it out")
    return said, text[found.end() :]


def _sections(text: str) -> Mapping[str, str]:
    parts = _HEADING.split(text)
    return {heading.casefold(): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)}
