"""The reference is made from the code, and what is not documented there fails."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from anew.app.component import known_components
from anew.app.policy import ProjectPolicy
from anew.domain.facts import FACTS, VersionPromoted
from anew.stats.metric import METRICS
from tests.docs.reference import PAGES, STAGES, UndocumentedError, components, facts, metrics, settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"command-line"}))
def test_a_page_has_all_that_it_is_about(name: str) -> None:
    text = "\n".join(PAGES[name]())
    expected = {
        "settings": [field.alias or key for key, field in ProjectPolicy.model_fields.items()],
        "http": ["POST /predict", "POST /labels", "GET /metrics"],
        "facts": sorted(FACTS),
        "components": [each for stage in STAGES for each in known_components(stage)],
        "metrics": sorted(METRICS),
    }[name]
    for each in expected:
        assert f"`{each}`" in text or f"# {each}\n" in text or f"`{each}`](" in text


BY_SETTING = {"auto_span": "span: auto", "performance": "slos:", "slo": "slos:"}
"""Components that a project has by a setting of another name."""


@pytest.mark.parametrize("stage", STAGES)
def test_each_component_stands_in_a_page_that_says_how_to_use_it(stage: str) -> None:
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "how-to").glob("*.md"))
    missing = [
        name
        for name in known_components(stage)
        if not re.search(rf"\b{re.escape(BY_SETTING.get(name, name))}(?!\w)", pages)
    ]
    assert missing == []


def test_each_section_of_the_policy_and_each_store_does_too() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "how-to").glob("*.md"))
    stores = ProjectPolicy.model_fields["stores"].annotation
    assert isinstance(stores, type) and issubclass(stores, BaseModel)
    keys = [field.alias or name for name, field in ProjectPolicy.model_fields.items()]
    assert [key for key in keys if f"{key}:" not in pages and f"--{key}" not in pages] == []
    assert [key for key in stores.model_fields if not re.search(rf"stores: {{[^}}]*{key}:", pages)] == []


@pytest.mark.parametrize("page", [facts, settings, metrics, components])
def test_the_undocumented_fails(page: Callable[[], Iterator[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VersionPromoted, "__doc__", "")
    monkeypatch.setattr(ProjectPolicy.model_fields["slos"], "description", "")
    monkeypatch.setitem(METRICS, "nameless", lambda: None)
    monkeypatch.setattr("tests.docs.reference.find_component", lambda *_: VersionPromoted)
    with pytest.raises(UndocumentedError):
        list(page())
