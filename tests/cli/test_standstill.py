"""`anew status` says when event time is ahead of the clock, so that nothing is watched meanwhile."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anew.domain.fact import Fact
from anew.domain.facts import AccessChanged, IncidentRaised, Ticked
from anew.loop.event_clock import CLOCK
from tests.adapters.fact_samples import sample
from tests.cli.call import call
from tests.cli.recorded import AT, record, write_record

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def _stepped(at: datetime) -> IncidentRaised:
    found = sample(IncidentRaised)
    assert isinstance(found, IncidentRaised)
    return replace(found, model="small", at=at, detector=f"{CLOCK}{NOW.isoformat()}")


@pytest.mark.parametrize(
    ("facts", "until"),
    [
        ([_stepped(NOW + DAY)], NOW + DAY),
        ([_stepped(NOW - DAY), replace(sample(IncidentRaised), model="small", at=NOW + 2 * DAY)], NOW + 2 * DAY),
        ([_stepped(NOW - DAY)], None),
        ([_stepped(NOW - DAY), replace(sample(AccessChanged), model="small", at=NOW + DAY)], None),
        ([Ticked(model="small", at=NOW + DAY, wall=AT)], None),
        ([replace(sample(IncidentRaised), model="small", at=NOW + DAY)], None),
    ],
    ids=["behind", "came on since", "caught up", "by the wall", "nothing stepped", "another incident"],
)
def test_event_time_that_waits_for_the_clock_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    facts: list[Fact],
    until: datetime | None,
) -> None:
    project = write_record(tmp_path / "p")
    record(project, *facts)
    said = json.loads(call(capsys, monkeypatch, "status", project, "--json").out)["data"]["standstill"]
    assert said == (until and until.isoformat())
    assert ("nothing is watched" in call(capsys, monkeypatch, "status", project).out) is (until is not None)
