"""DDM against river's, which follows the same paper."""

from typing import Any

import numpy as np
import pytest
from river.drift.binary import DDM

from anew.stats.ddm import ddm_alarm


@pytest.mark.parametrize("seed", range(20))
def test_it_alarms_where_rivers_does(seed: int) -> None:
    chance = np.random.default_rng(seed)
    rates = (0.2, 0.2 + 0.02 * (seed % 10))
    losses = np.concatenate([chance.random(400) < rate for rate in rates]).astype(float)
    theirs: Any = DDM(warm_start=30, drift_threshold=3.0)
    alarmed = False
    for loss in losses:
        theirs.update(bool(loss))
        alarmed = alarmed or theirs.drift_detected
    assert ddm_alarm(losses) == alarmed


def test_nothing_is_said_of_a_few_rows() -> None:
    assert not ddm_alarm(np.ones(20))
    assert not ddm_alarm(np.empty(0))
