"""What a shift of a column would cost: against the loss of rows drawn anew, and of nothing where nothing is known."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from anew.domain.errors import InvariantError
from anew.stats.loss_profile import LossProfile, profile_losses
from anew.stats.profile import Reference

ROWS = 20_000


def world(seed: int = 1) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    level = chance.choice(["a", "b", "c"], ROWS, p=[0.6, 0.3, 0.1])
    return {"x": chance.normal(size=ROWS), "idle": chance.normal(size=ROWS), "level": pa.array(level)}


def losses(rows: dict[str, Any], seed: int = 2) -> npt.NDArray[np.float64]:
    """Lose more where x is large and in level c; `idle` tells nothing."""
    x, level = np.asarray(rows["x"]), np.asarray(rows["level"])
    risk = 0.1 + 0.5 * (x > 1.0) + 0.3 * (level == "c")
    lost: npt.NDArray[np.float64] = (np.random.default_rng(seed).random(ROWS) < risk).astype(np.float64)
    return lost


def test_the_effect_is_the_change_of_the_loss_of_rows_drawn_by_the_shifted_column() -> None:
    rows = world()
    lost = losses(rows)
    reference = Reference.fit(rows)
    known = profile_losses(reference, rows, lost)
    assert known.mean == pytest.approx(lost.mean(), abs=1e-3)
    x = np.asarray(rows["x"])
    weight = np.exp(0.7 * x)
    drawn = np.random.default_rng(3).choice(ROWS, ROWS, p=weight / weight.sum())
    moved = reference.profile({name: pa.array(np.asarray(values)[drawn]) for name, values in rows.items()})
    found = {name: known.effect(name, reference.own.columns[name], moved.columns[name]) for name in rows}
    assert found["x"] == pytest.approx(lost[drawn].mean() - lost.mean(), abs=0.03)
    assert found["x"] is not None and found["x"] > 0.08
    assert abs(found["idle"] or 0.0) < 0.01 and abs(found["level"] or 0.0) < 0.01


def test_a_column_that_moves_far_costs_nothing_where_the_loss_does_not_follow_it() -> None:
    rows = world()
    reference = Reference.fit(rows)
    known = profile_losses(reference, rows, losses(rows))
    later = rows | {"idle": np.asarray(rows["idle"]) + 3.0, "level": pa.array(["c"] * ROWS)}
    moved = reference.profile(later)
    found = {name: known.effect(name, reference.own.columns[name], moved.columns[name]) or 0.0 for name in rows}
    assert abs(found["idle"]) < 0.03
    assert found["level"] == pytest.approx(0.27, abs=0.03)  # 0.3 more in c, which a tenth was of before
    assert found["x"] == 0.0


def test_a_level_that_was_never_seen_has_the_average_loss() -> None:
    rows = {"level": pa.array(["a", "b"] * 500)}
    reference = Reference.fit(rows)
    known = profile_losses(reference, rows, np.array([0.0, 1.0] * 500))
    new = reference.profile({"level": pa.array(["z"] * 100)}).columns["level"]
    assert known.effect("level", reference.own.columns["level"], new) == pytest.approx(0.0, abs=1e-9)


def test_what_cancels_out_but_for_rounding_costs_nothing() -> None:
    rows = {"level": pa.array(["a"] * 3 + ["b"] * 7 + ["c"] * 11)}
    reference = Reference.fit(rows)
    known = profile_losses(reference, rows, np.full(21, 0.1))
    own = reference.own.columns["level"]
    for a, b, c in [(1, 1, 1), (5, 2, 4), (1, 12, 6), (10, 1, 1), (3, 3, 7)]:
        now = reference.profile({"level": pa.array(["a"] * a + ["b"] * b + ["c"] * c)}).columns["level"]
        assert known.effect("level", own, now) == 0.0, "every part loses the same, wherever the rows are"


def test_the_least_that_a_shift_can_cost_is_no_rounding() -> None:
    level = pa.array(["a", "b"] * 1000)
    reference = Reference.fit({"level": level})
    known = profile_losses(reference, {"level": level}, np.array([0.0] * 1999 + [1 / 255]))
    moved = reference.profile({"level": pa.array(["a", "b"] * 500_000 + ["b"])}).columns["level"]
    assert (known.effect("level", reference.own.columns["level"], moved) or 0.0) > 1e-12


def test_a_few_rows_say_little() -> None:
    rows = {"x": np.arange(20.0)}
    reference = Reference.fit({"x": np.arange(2000.0) / 100})
    known = profile_losses(reference, rows, (np.arange(20) >= 18).astype(float))
    top = reference.profile({"x": np.full(50, 19.5)}).columns["x"]
    effect = known.effect("x", reference.own.columns["x"], top)
    assert effect is not None and 0.0 < effect < 0.3, "two rows that were wrong are no reason to expect only errors"


def test_losses_in_between_and_unknown_ones_are_counted_as_they_are() -> None:
    reference = Reference.fit({"x": np.arange(100.0)})
    known = profile_losses(reference, {"x": np.arange(4.0)}, np.array([0.25, 0.75, 1.0, np.nan]))
    assert known.rows.n == 3
    assert known.mean == pytest.approx(2 / 3, abs=0.005)


def test_it_is_stored_to_the_last_bit_and_nothing_else_is_taken_for_it() -> None:
    rows = world()
    reference = Reference.fit(rows)
    known = profile_losses(reference, rows, losses(rows))
    assert LossProfile.from_bytes(known.to_bytes()) == known
    for spoilt in (b"", b"12345678", known.to_bytes()[:-3], known.rows.to_bytes()):
        with pytest.raises(InvariantError):
            LossProfile.from_bytes(spoilt)


def test_nothing_is_said_of_what_nothing_is_known_of() -> None:
    rows = {"x": np.arange(50.0)}
    reference = Reference.fit(rows)
    own = reference.own.columns["x"]
    none = profile_losses(reference, {"x": np.arange(0.0)}, np.arange(0.0))
    assert (none.mean, none.effect("x", own, own)) == (0.0, None)
    known = profile_losses(reference, rows, np.zeros(50))
    assert known.effect("y", own, own) is None
    other = Reference.fit({"x": np.arange(9.0)}).own.columns["x"]
    with pytest.raises(InvariantError, match="other bins"):
        known.effect("x", other, other)
