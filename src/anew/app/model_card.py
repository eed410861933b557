"""Model cards in the form of the Hugging Face Hub: facts filled in, what only people know from `model_card.md`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from anew.domain.manifest import Manifest

__all__ = ["CARD", "card_problems", "model_card"]

CARD = "model_card.md"
"""The file of the project that people write."""

_LEAST_WORDS = 10
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.M)


def model_card(project: Path, name: str, version: str, manifest: Manifest) -> str:
    """Return the card of a version: a YAML head, sections of facts, and the sections that people wrote."""
    columns = manifest.columns
    head = {
        "library_name": manifest.format,
        "pipeline_tag": "tabular-classification" if columns.task.classifies else "tabular-regression",
        "tags": ["anew", columns.task.value],
        "model-index": [
            {
                "name": f"{name} {version}",
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
    features = "\n".join(f"- `{column.name}` ({column.kind.value})" for column in columns.features)
    params = ", ".join(f"{key} = {value}" for key, value in sorted(manifest.params.items())) or "the pipeline's own"
    facts = f"""# Model card of {name} {version}

## Model details

A {columns.task.value} model of `{columns.target}`, kept as {manifest.format}. Code {manifest.code[:12]}, environment
{manifest.environment[:12]}, seed {manifest.seed}, parameters: {params}.

{features}

## Training data

{manifest.rows} rows of the snapshot {manifest.snapshot[:12] or "(none)"}; {manifest.holdout_rows} newer ones were held
out. Sensitive columns kept from the model: {", ".join(columns.sensitive) or "none declared"}.

## Evaluation

What every gate measured and judged is on record: `anew explain {version}`.
"""
    written = _written(project)
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{facts}\n{written}"


def card_problems(project: Path, sections: Sequence[str]) -> Sequence[str]:
    """Return what people have not written, a sentence each."""
    found = _sections(_written(project))
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
    return file.read_text("utf-8") if file.is_file() else ""


def _sections(text: str) -> Mapping[str, str]:
    parts = _HEADING.split(text)
    return {heading.casefold(): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)}
