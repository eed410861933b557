"""The reference is made from the code, and what is not documented there fails."""

from collections.abc import Callable, Iterator

import pytest

from anew.app.component import known_components
from anew.app.policy import ProjectPolicy
from anew.domain.facts import FACTS, VersionPromoted
from anew.stats.metric import METRICS
from tests.docs.reference import PAGES, STAGES, UndocumentedError, components, facts, metrics, settings


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


@pytest.mark.parametrize("page", [facts, settings, metrics, components])
def test_the_undocumented_fails(page: Callable[[], Iterator[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VersionPromoted, "__doc__", "")
    monkeypatch.setattr(ProjectPolicy.model_fields["slos"], "description", "")
    monkeypatch.setitem(METRICS, "nameless", lambda: None)
    monkeypatch.setattr("tests.docs.reference.find_component", lambda *_: VersionPromoted)
    with pytest.raises(UndocumentedError):
        list(page())
