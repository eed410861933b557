"""The card has its facts, and says what people have not written."""

from pathlib import Path

import yaml

from anew.app.model_card import CARD, card_problems, model_card
from tests.validate.trials import MANIFEST

WRITTEN = """## Intended uses

Scores card payments for the fraud team, who look at each one that is flagged.

## Limitations

Unknown.
"""


def test_what_people_have_not_written_is_named(tmp_path: Path) -> None:
    sections = ("Intended uses", "Limitations", "Contact")
    assert len(card_problems(tmp_path, sections)) == 3
    (tmp_path / CARD).write_text(WRITTEN, encoding="utf-8")
    few, missing = card_problems(tmp_path, sections)
    assert "Limitations: 1 words" in few
    assert "Contact" in missing


def test_the_card_is_a_yaml_head_facts_and_what_people_wrote(tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(WRITTEN, encoding="utf-8")
    card = model_card(tmp_path, "fraud", "v3", MANIFEST)
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["pipeline_tag"] == "tabular-classification"
    assert all(each in body for each in ("# Model card of fraud v3", "900 rows", "`shop` (category)", "fraud team"))
