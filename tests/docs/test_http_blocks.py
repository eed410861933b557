"""Every request of the documentation is one that the gateway takes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.domain.column import Task
from anew.gateway.feedback_request import FeedbackParser
from anew.gateway.label_request import LabelParser
from anew.gateway.refusal import RefusedError
from anew.gateway.settings import GatewaySettings
from anew.testing.fake_predictor import FAKE_COLUMNS

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(re.findall(r"^```http\n(.*?)^```", page.read_text("utf-8"), re.S | re.M), 1)
]
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SETTINGS = GatewaySettings(
    model="m",
    columns=replace(FAKE_COLUMNS, task=Task.BINARY, classes=(0, 1)),
    events=("item_purchased",),
)
PARSERS: Mapping[str, LabelParser | FeedbackParser] = {
    "POST /labels": LabelParser(SETTINGS),
    "POST /feedback": FeedbackParser(SETTINGS),
    "POST /webhook/labels": LabelParser(SETTINGS),
}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("block", BLOCKS)
def test_a_request_is_taken(block: str) -> None:
    way, _, body = block.partition("\n")
    body = re.sub(r"0190…", "0190" + "0" * 28, body)
    assert PARSERS[way].parse(body.encode(), NOW)
    with pytest.raises(RefusedError):
        PARSERS[way].parse(body.replace("prediction", "predicton").encode(), NOW)
