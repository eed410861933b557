"""Every release reads the records of whole runs that earlier ones wrote, and comes to what those came to."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from anew.app.narration import narrate
from anew.domain.facts import RolledBack, VersionPromoted
from tests.loop.recorded_run import FOLDER, came_to, kept

RUNS = sorted(FOLDER.glob("*.jsonl.gz"))


def test_there_are_some() -> None:
    assert RUNS


@pytest.mark.fault("O1")
@pytest.mark.parametrize("file", RUNS, ids=lambda file: file.name)
def test_a_kept_record_comes_to_what_it_came_to(file: Path) -> None:
    facts, then = kept(file)
    assert json.loads(json.dumps(came_to(facts))) == then
    assert {VersionPromoted, RolledBack} <= {type(fact) for fact in facts}, "it is a story worth keeping"
    assert all(narrate(fact) for fact in facts)
    known = {fact.id for fact in facts}
    assert [fact for fact in facts if fact.cause and fact.cause not in known and fact.ends] == []


@pytest.mark.fault("O1")
def test_planted_a_fact_that_is_read_as_another_is_found() -> None:
    facts, then = kept(RUNS[0])
    last = max(i for i, fact in enumerate(facts) if isinstance(fact, VersionPromoted))
    read_wrongly = [
        replace(fact, version="v1") if i == last and isinstance(fact, VersionPromoted) else fact
        for i, fact in enumerate(facts)
    ]
    assert json.loads(json.dumps(came_to(read_wrongly))) != then
