"""Labels meet their predictions in any order, and losses and coverage follow."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.domain.column import Task
from anew.domain.errors import SchemaError
from anew.feedback.address import rows_address
from anew.feedback.join import LabelRules, coverage, join, losses, one_per_id

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
PREDICTIONS: dict[str, Any] = {"_id": pl.String, "_at": INSTANT, "_received_at": INSTANT, "_output": pl.String}
LABELS: dict[str, Any] = {
    "_id": pl.String, "_prediction": pl.String, "_received_at": INSTANT, "_value": pl.String, "_source": pl.String,
    "_revision": pl.Int64,
}  # fmt: skip
SOURCES = ("audit", "api", "clerk", "user")
RULES = LabelRules(trust=("audit",), park=timedelta(minutes=3))
RANKS = {"audit": 1, "api": 0, "clerk": 0, "user": -1}


def _at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


Delivery = tuple[int, int, str | None, str, int]
"""Number of the prediction, minute of arrival, value or withdrawal, source, revision."""
Deliveries = list[Delivery]
Again = Sequence[tuple[int, int]]
"""Number of a delivery, and the minute in which it comes once more."""


def _more(i: int, deliveries: Deliveries, again: Again) -> list[int]:
    return [at for number, at in again if number % len(deliveries) == i]


def _reference(n: int, deliveries: Deliveries, again: Again) -> list[str | None]:
    """Join by dictionaries: each source's last word, then the most trusted source that has not withdrawn."""
    words: dict[int, dict[str, tuple[tuple[int, int, str], str | None]]] = {}
    for i, (of, first, value, source, revision) in enumerate(deliveries):
        came = [at for at in (first, *_more(i, deliveries, again)) if of - at <= 3]  # answered in minute `of`
        if of < n and came:
            place, said = (revision, min(came), f"l{i:05d}"), words.setdefault(of, {})
            if source not in said or said[source][0] < place:
                said[source] = (place, value)
    found: list[str | None] = []
    for of in range(n):
        standing = [
            (RANKS[source], place[1:], value)
            for source, (place, value) in words.get(of, {}).items()
            if value is not None
        ]
        found.append(max(standing)[2] if standing else None)
    return found


def _frames(
    n: int, deliveries: Deliveries, chance: random.Random, again: Again = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    predictions = [(f"p{i:05d}", _at(i), _at(i), "0") for i in range(n)]
    labels = [
        (f"l{i:05d}", f"p{of:05d}", _at(at), value, source, revision)
        for i, (of, first, value, source, revision) in enumerate(deliveries)
        for at in (first, *_more(i, deliveries, again))
    ]
    chance.shuffle(predictions)
    chance.shuffle(labels)
    return (
        pl.DataFrame(predictions, schema=PREDICTIONS, orient="row"),
        pl.DataFrame(labels, schema=LABELS, orient="row"),
    )


@pytest.mark.fault("L9")
@pytest.mark.fault("L3")
@given(
    n=st.integers(0, 2),
    deliveries=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 12),
            st.sampled_from(["0", "1", None]),
            st.sampled_from(SOURCES),
            st.integers(0, 1),
        ),
        max_size=60,
    ),
    again=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 12)), max_size=20),
    chance=st.randoms(use_true_random=False),
)
def test_labels_in_any_order_and_again_join_as_the_reference(
    n: int, deliveries: Deliveries, again: Again, chance: random.Random
) -> None:
    joined = join(*_frames(n, deliveries, chance, again), RULES)
    assert joined["_label"].to_list() == _reference(n, deliveries, again)
    assert joined["_id"].to_list() == [f"p{i:05d}" for i in range(n)]


def _one(*deliveries: Delivery, rules: LabelRules = RULES) -> str | None:
    frames = _frames(1, list(deliveries), random.Random(1))
    label: str | None = join(*frames, rules)["_label"][0]
    return label


@pytest.mark.fault("L3")
def test_what_a_more_trusted_source_says_outranks_what_comes_later() -> None:
    audited, later = (0, 1, "1", "audit", 0), (0, 9, "0", "api", 7)
    assert _one(audited, later) == "1"
    assert _one(audited, later, rules=LabelRules()) == "0"  # nobody is trusted more: the latest counts
    assert _one((0, 1, "1", "api", 0), (0, 9, "0", "user", 9)) == "1"


@pytest.mark.fault("L3")
def test_a_source_corrects_itself_by_revision_and_a_late_old_revision_changes_nothing() -> None:
    assert _one((0, 1, "0", "api", 2), (0, 9, "1", "api", 1)) == "0"
    assert _one((0, 1, "0", "api", 0), (0, 9, "1", "api", 0)) == "1"


@pytest.mark.fault("L3")
def test_a_withdrawn_label_counts_no_more_and_another_sources_stands_again() -> None:
    said, withdrawn = (0, 1, "1", "api", 0), (0, 2, None, "api", 0)
    assert _one(said, withdrawn) is None
    assert _one((0, 0, "0", "user", 0), said) == "1"
    assert _one((0, 0, "0", "user", 0), said, withdrawn) == "0"
    assert _one(said, withdrawn, (0, 3, "0", "api", 0)) == "0"


def _twice(rows: list[tuple[Any, ...]]) -> str | None:
    predictions = pl.DataFrame([("p", _at(0), _at(0), "0")], schema=PREDICTIONS, orient="row")
    labels = pl.DataFrame([(id, "p", *rest) for id, *rest in rows], schema=LABELS, orient="row")
    found: set[str | None] = {join(predictions, each, LabelRules())["_label"][0] for each in (labels, labels.reverse())}
    assert len(found) == 1, "whatever the order"
    return found.pop()


@pytest.mark.fault("L3")
@pytest.mark.fault("L11")
def test_what_is_delivered_again_undoes_no_correction() -> None:
    first, corrected = ("a", _at(1), "1", "crm", 0), ("b", _at(2), "0", "crm", 0)
    assert _twice([first, corrected, ("a", _at(3), "1", "crm", 0)]) == "0"
    assert _twice([first, corrected, ("c", _at(3), "1", "crm", 0)]) == "1", "control: said anew, it counts"
    assert _twice([first, ("a", _at(3), "0", "crm", 9)]) == "1", "an id is one delivery, whatever it says later"
    assert _twice([first, ("a", _at(1), "0", "crm", 0)]) == "0", "at one instant: the lesser"


@pytest.mark.fault("L3")
def test_nobody_takes_the_place_of_what_another_says_by_its_id() -> None:
    assert _twice([("a", _at(1), "0", "mallory", 0), ("a", _at(2), "1", "crm", 0)]) == "1"


@pytest.mark.fault("L1")
def test_a_label_waits_for_its_prediction_for_so_long_and_no_longer() -> None:
    predictions = pl.DataFrame([("p", _at(5), _at(5), "0")], schema=PREDICTIONS, orient="row")
    for came, joined in ((2, "1"), (1.99, None)):
        labels = pl.DataFrame([("l", "p", _at(came), "1", "api", 0)], schema=LABELS, orient="row")
        assert join(predictions, labels, RULES)["_label"].to_list() == [joined]


@pytest.mark.fault("L1")
def test_control_without_waiting_an_early_label_is_lost() -> None:
    predictions = pl.DataFrame([("p", _at(5), _at(5), "0")], schema=PREDICTIONS, orient="row")
    labels = pl.DataFrame([("l", "p", _at(2), "1", "api", 0)], schema=LABELS, orient="row")
    assert join(predictions, labels, LabelRules(park=timedelta(0)))["_label"].to_list() == [None]


@pytest.mark.fault("L3")
@pytest.mark.fault("L9")
@pytest.mark.parametrize("forgotten", ["_revision", "_id", "_source", "order"])
def test_planted_a_join_that_forgets_what_decides_is_found(forgotten: str) -> None:
    """Without revisions, ids of deliveries, trust or an order of its own, a join is another than the reference."""

    def careless(labels: pl.DataFrame) -> pl.DataFrame:
        blind: dict[str, pl.Expr] = {
            "_revision": pl.lit(0, pl.Int64), "_id": pl.int_range(pl.len()).cast(pl.String), "_source": pl.lit("api"),
        }  # fmt: skip
        if forgotten == "order":
            return labels.unique("_prediction", keep="first", maintain_order=True)
        return labels.with_columns(blind[forgotten].alias(forgotten))

    chance, differ = random.Random(5), 0
    for _ in range(40):
        deliveries: Deliveries = [
            (chance.randrange(2), chance.randrange(12), chance.choice(["0", "1"]), chance.choice(SOURCES),
             chance.randrange(2)) for _ in range(8)
        ]  # fmt: skip
        again = [(chance.randrange(8), chance.randrange(12)) for _ in range(6)]
        predictions, labels = _frames(2, deliveries, chance, again)
        expected = _reference(2, deliveries, again)
        assert join(predictions, labels, RULES)["_label"].to_list() == expected
        differ += join(predictions, careless(labels), RULES)["_label"].to_list() != expected
    assert differ > 0


def test_a_prediction_twice_is_one_row_the_first_received() -> None:
    rows = [("b", _at(1), _at(9), "late"), ("b", _at(1), _at(2), "first"), ("a", _at(1), _at(3), "x")]
    frame = one_per_id(pl.DataFrame(rows, schema=PREDICTIONS, orient="row"))
    assert frame.select("_id", "_output").rows() == [("a", "x"), ("b", "first")]


def test_losses_of_classes_are_errors_and_unlabelled_rows_have_none() -> None:
    joined = pl.DataFrame({"_output": ["a", "b", None, "a"], "_label": ["a", "a", "a", None]})
    np.testing.assert_array_equal(losses(joined, Task.MULTICLASS), [0.0, 1.0, 1.0, np.nan])


def test_losses_of_numbers_are_bounded_and_a_broken_answer_is_wrong() -> None:
    joined = pl.DataFrame(
        {"_output": [1.0, 3.0, 9.0, float("nan"), None, 1.0], "_label": [1.5, 2.0, 1.0, 1.0, 1.0, None]}
    )
    np.testing.assert_array_equal(losses(joined, Task.REGRESSION, scale=2.0), [0.25, 0.5, 1.0, 1.0, 1.0, np.nan])
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SchemaError, match="positive finite"):
            losses(joined, Task.REGRESSION, scale=scale)


def test_coverage_counts_labels_and_their_delay() -> None:
    received = [_at(0), _at(0), _at(10), _at(0)]
    arrived = [_at(1), _at(3), _at(5), None]
    joined = pl.DataFrame(
        {"_received_at": received, "_labelled_at": arrived, "_label": ["1", "1", "1", None]},
        schema_overrides={"_received_at": INSTANT, "_labelled_at": INSTANT},
    )
    found = coverage(joined)
    assert (found.n, found.labelled, found.share) == (4, 3, 0.75)
    assert found.delay_p50_s == 60.0  # of 60 s, 180 s and one that came before its prediction: 0 s
    assert found.delay_p90_s == pytest.approx(156.0)


def test_coverage_of_nothing_measures_nothing() -> None:
    empty = pl.DataFrame(schema={"_received_at": INSTANT, "_labelled_at": INSTANT, "_label": pl.String})
    found = coverage(empty)
    assert (found.n, found.share, found.delay_p50_s, found.delay_p90_s) == (0, None, None, None)


def test_the_address_of_rows_sees_every_difference() -> None:
    base = {"t": ["a", "", None, "b"], "x": [0.0, 1.0, None, float("nan")], "p": [[0.1], [], None, [0.2, 0.3]]}
    frame = pl.DataFrame(base)
    changed = [
        frame.with_columns(t=pl.Series(["a", None, "", "b"])),
        frame.with_columns(t=pl.Series(["", "a", None, "b"])),
        frame.with_columns(x=pl.Series([-0.0, 1.0, None, float("nan")])),
        frame.with_columns(x=pl.Series([0.0, 1.0, float("nan"), None])),
        frame.with_columns(p=pl.Series([[0.1], None, [], [0.2, 0.3]])),
        frame.with_columns(p=pl.Series([[0.1, 0.2], [], None, [0.3]])),
        frame.rename({"x": "y"}),
        frame.reverse(),
        frame.head(3),
    ]
    addresses = {rows_address(f) for f in [frame, *changed]}
    assert len(addresses) == len(changed) + 1
    parts = pl.concat([frame.head(1), frame.slice(1)], rechunk=False).select("x", "p", "t")
    assert rows_address(parts) == rows_address(frame)


@pytest.mark.system
@pytest.mark.fault("L9")
def test_a_million_predictions_join_in_random_order_as_the_reference(
    record_property: Callable[[str, object], None],
) -> None:
    n, chance = 1_000_000, np.random.default_rng(7)
    of = chance.integers(0, n, n)
    value, at = chance.integers(0, 2, n), chance.permutation(n)
    ids = pl.Series("_id", np.arange(n)).cast(pl.String).str.zfill(32)
    minute = pl.from_epoch(pl.Series(np.full(n, START.timestamp() * 1e6).astype(np.int64)), time_unit="us")
    first = minute.dt.replace_time_zone("UTC")
    order = chance.permutation(n)
    predictions = pl.DataFrame({"_id": ids, "_at": first, "_received_at": first})[order]
    came = first + pl.Series(at).cast(pl.Duration("us"))
    labels = pl.DataFrame(
        {"_id": ids, "_prediction": ids[of], "_received_at": came, "_value": pl.Series(value).cast(pl.String)}
    ).with_columns(_source=pl.lit("api"), _revision=pl.lit(0))
    expected = np.full(n, -1)
    by_arrival = np.argsort(at)
    expected[of[by_arrival]] = value[by_arrival]  # the last to arrive is written last
    joined = join(predictions, labels).get_column("_label").cast(pl.Int64).fill_null(-1)
    np.testing.assert_array_equal(joined.to_numpy(), expected)
    record_property("figure", f"{n:,} predictions joined as the reference joins them")
