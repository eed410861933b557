"""The card has its facts, and says what people have not written."""

from pathlib import Path

import pytest
import yaml

from anew.app.model_card import (
    CARD,
    Carded,
    card_differences,
    card_problems,
    card_seal,
    model_card,
    write_section,
)
from anew.domain.errors import IntegrityError, PolicyError
from tests.validate.trials import MANIFEST

OF = Carded(name="fraud", version="v3", digest="d" * 64, manifest=MANIFEST)
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
    card = model_card(tmp_path, OF)
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["pipeline_tag"] == "tabular-classification"
    assert all(each in body for each in ("# Model card of fraud v3", "900 rows", "`shop` (category)", "fraud team"))


def test_the_card_is_of_one_artifact_and_says_which(tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(f"---\nlicense: apache-2.0\ntags: [cards]\nanew: {{digest: mine}}\n---\n{WRITTEN}")
    card = model_card(tmp_path, OF)
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["tags"]) == ("apache-2.0", ["anew", "binary", "cards"])
    assert head["anew"]["digest"] == "d" * 64, "what only anew says, nobody else does"
    (result,) = head["model-index"][0]["results"]
    assert result["task"]["type"] == "binary"
    assert {each["type"]: each["value"] for each in result["metrics"]} == dict(MANIFEST.metrics)
    assert card_differences(card, OF) == []
    assert card_differences(card.replace("fraud team", "card team"), OF) == [], "people's words may be any"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("d" * 64, "e" * 64, "it is the card of eeee"),
        ("900 rows", "9000 rows", "a section of facts was changed"),
        ("pipeline_tag: tabular-classification", "pipeline_tag: other", "pipeline_tag of its head was changed"),
        ("---", "", "nothing that is named"),
    ],
)
def test_a_card_of_something_else_or_with_other_facts_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / CARD).write_text(WRITTEN)
    found = card_differences(model_card(tmp_path, OF).replace(old, new), OF)
    assert any(said in each for each in found), found


def test_a_section_is_written_in_its_place_and_no_other_is_touched(tmp_path: Path) -> None:
    write_section(tmp_path, "Limitations", "first words of it")
    write_section(tmp_path, "Contact", "risk@example.org answers within a day, and reads what the review queue says")
    before = card_seal(tmp_path)
    write_section(tmp_path, "limitations", "Knows nothing of cards that were issued in the last week, nor of refunds.")
    text = (tmp_path / CARD).read_text()
    assert text.count("##") == 2
    assert "first words" not in text
    assert text.index("limitations") < text.index("Contact")
    assert card_seal(tmp_path) != before
    assert card_problems(tmp_path, ("Limitations", "Contact")) == []
    (tmp_path / CARD).write_text(f"---\nlicense: mit\n---\n\n# Our card\n\n{WRITTEN}")
    write_section(tmp_path, "Intended uses", "Nothing that anybody depends on, which is what these ten words are for.")
    text = (tmp_path / CARD).read_text()
    assert text.startswith("---\nlicense: mit\n---\n\n# Our card\n\n## Intended uses\n\nNothing")
    assert "Limitations" in text


@pytest.mark.parametrize(
    ("heading", "text"), [("Training data", "mine"), ("", "x"), ("a\nb", "x"), ("Uses", "## x"), ("Uses", " ")]
)
def test_facts_are_not_for_people_to_write(tmp_path: Path, heading: str, text: str) -> None:
    with pytest.raises(PolicyError):
        write_section(tmp_path, heading, text)
    assert not (tmp_path / CARD).exists()


@pytest.mark.parametrize("head", ["a: [", "- x", "!!python/object/apply:os.system [x]"])
def test_a_head_that_is_none_is_said(tmp_path: Path, head: str) -> None:
    (tmp_path / CARD).write_text(f"---\n{head}\n---\n{WRITTEN}")
    with pytest.raises(IntegrityError, match="head of model_card"):
        model_card(tmp_path, OF)
