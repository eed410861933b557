"""Distances and tests are those of SciPy, Evidently, NannyML, whylogs and alibi-detect, each in its own terms."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.conformance_data import TOGETHER, pairs
from bench.conformance_relations import RELATIONS, TOGETHER_RELATION

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "peer_distances.json").read_text("utf-8"))
"""What the peers said; `make bench-conformance ARGS="--record FILE"` asks them anew."""
VALUES = [
    (peer, column, measure, value)
    for peer, told in RECORDED.items()
    for column, values in told["values"].items()
    for measure, value in values.items()
    if column != "together"
]
PAIRS = pairs()


@pytest.mark.parametrize(("peer", "column", "measure", "value"), VALUES)
def test_ours_is_what_they_say(peer: str, column: str, measure: str, value: float) -> None:
    relation = RELATIONS[peer, measure]
    theirs = -math.log10(value) if measure == "ks_p" else value
    ours = relation.ours(*PAIRS[column])
    assert ours == pytest.approx(theirs, rel=relation.relative, abs=relation.absolute), relation.why


def test_a_classifier_tells_rows_apart_as_well_as_theirs() -> None:
    theirs = RECORDED["nannyml"]["values"]["together"]["domain_classifier"]
    first, second = (np.column_stack([PAIRS[name][side] for name in TOGETHER]) for side in (0, 1))
    assert TOGETHER_RELATION.ours(first, second) == pytest.approx(theirs, abs=TOGETHER_RELATION.absolute)


def test_every_relation_was_measured_and_every_peer_has_a_version() -> None:
    assert {(peer, measure) for peer, _, measure, _ in VALUES} == set(RELATIONS)
    assert {peer: told["version"] for peer, told in RECORDED.items()}.keys() == {
        "scipy", "evidently", "nannyml", "whylogs", "alibi",
    }  # fmt: skip
    assert all(told["version"] for told in RECORDED.values())


def test_the_columns_are_the_same_for_ever() -> None:
    sums = {name: [round(float(side.sum()), 6) for side in pair] for name, pair in PAIRS.items() if name in TOGETHER}
    assert sums == {
        "normal": [-11.683873, 264.681372],
        "lognormal": [5288.084859, 2196.258001],
        "uniform": [1507.492379, 669.969831],
    }
