"""What every lake must do: a class of tests to inherit, with two fixtures to define.

class TestMyLake(LakeContract):
    @pytest.fixture
    def lake(self): return MyLake(COLUMNS)
"""
# ruff: noqa: S101, D102 - a contract suite asserts, and its tests say by their names what they do

import math
import pickle
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from anew.domain.column import Column, ColumnKind, Columns, Task, Value
from anew.domain.errors import ConflictError, IntegrityError, InvariantError, NotFoundError, SchemaError
from anew.domain.interval import Interval
from anew.domain.observation import Answer, FeedbackEvent, Label, Observation, Prediction, id_prefix
from anew.ports.lake import Lake

__all__ = ["COLUMNS", "DAY", "EVER", "START", "LakeContract", "label", "prediction"]

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EVER = Interval(start=datetime(1900, 1, 1, tzinfo=UTC), end=datetime(2200, 1, 1, tzinfo=UTC))

COLUMNS = Columns(
    time="ts",
    target="y",
    features=(
        Column(name="temp", kind=ColumnKind.NUMBER),
        Column(name="sky", kind=ColumnKind.CATEGORY),
        Column(name="view", kind=ColumnKind.VECTOR, width=2),
    ),
    task=Task.BINARY,
    classes=(0, 1),
)


def prediction(
    i: int, *, at: datetime | None = None, row: Mapping[str, Value] | None = None, output: int = 0
) -> Prediction:
    """Make the `i`-th prediction of a world: one each minute, received a second after its event time."""
    at = START + timedelta(minutes=i) if at is None else at
    return Prediction(
        id=f"p{i:08d}",
        model="m",
        at=at,
        received_at=at + timedelta(seconds=1),
        key=f"k{i % 7}",
        row={"temp": float(i), "sky": "clear", "view": (float(i), 0.5)} if row is None else row,
        version="v1",
        arm="champion",
        answer=Answer(output=output, proba=(1.0 - output, float(output))),
        epoch=1,
        latency_us=900 + i,
    )


def label(i: int, value: int = 1, *, delay: timedelta = timedelta(hours=1), id: str = "", of: str = "") -> Label:
    """Make a label of the `i`-th prediction that arrives `delay` after it."""
    at = START + timedelta(minutes=i)
    return Label(
        id=id or f"l{i:08d}", model="m", prediction=of or f"p{i:08d}", at=at, received_at=at + delay, value=value
    )


def _minutes(first: int, last: int) -> Interval:
    return Interval(start=START + timedelta(minutes=first), end=START + timedelta(minutes=last))


class LakeContract:
    """Inherit and define the fixture `lake`: an empty lake for `COLUMNS` and the model ``m``."""

    @pytest.fixture
    def lake(self) -> Lake:
        """Return an empty lake for COLUMNS."""
        raise NotImplementedError("define the fixture `lake` in the class that inherits the contract")

    def test_an_empty_lake_answers_with_empty_frames(self, lake: Lake) -> None:
        assert lake.predictions(EVER).height == lake.labels(EVER).height == lake.labelled(EVER).height == 0
        assert lake.drained("w0") == 0
        assert dict(lake.counts()) == {"predictions": 0, "labels": 0, "feedback": 0, "history": 0}
        assert list(lake.verify()) == []
        assert lake.labelled(EVER).columns == ["temp", "sky", "view", "_at", "_label", "_source", "_id", "_key"]

    def test_what_goes_in_comes_out(self, lake: Lake) -> None:
        lake.append("w0", 1, [prediction(3, output=1)])
        row: dict[str, Any] = lake.predictions(EVER).to_dicts()[0]
        assert (row["_id"], row["_key"], row["_version"], row["_arm"]) == ("p00000003", "k3", "v1", "champion")
        assert (row["_output"], row["_proba"], row["_epoch"], row["_latency_us"]) == ("1", [0.0, 1.0], 1, 903)
        assert (row["temp"], row["sky"], row["view"]) == (3.0, "clear", [3.0, 0.5])
        assert (row["_shadow_output"], row["_shadow_version"]) == (None, "")
        assert row["_at"] == START + timedelta(minutes=3)
        assert row["_received_at"] == START + timedelta(minutes=3, seconds=1)

    def test_instants_of_other_zones_are_the_same_instants(self, lake: Lake) -> None:
        east = prediction(0, at=datetime.fromisoformat("2026-03-01T03:00:00.000001+03:00"))
        lake.append("w0", 1, [east])
        assert lake.predictions(EVER)["_at"].to_list() == [START + timedelta(microseconds=1)]
        assert str(lake.predictions(EVER)["_at"].dtype) == str(pl.Datetime("us", "UTC"))

    def test_a_batch_that_comes_again_changes_nothing(self, lake: Lake) -> None:
        batch: list[Observation] = [prediction(0), label(0), prediction(1)]
        lake.append("w0", 3, batch)
        before = (dict(lake.versions()), dict(lake.counts()))
        lake.append("w0", 3, batch)
        assert (dict(lake.versions()), dict(lake.counts())) == before
        assert lake.drained("w0") == 3

    def test_a_batch_without_observations_still_moves_the_position(self, lake: Lake) -> None:
        lake.append("w0", 4, [])
        assert lake.drained("w0") == 4
        lake.append("w0", 5, [prediction(0)])
        assert (lake.drained("w0"), lake.counts()["predictions"]) == (5, 1)

    @pytest.mark.fault("D14")
    def test_what_was_prepared_elsewhere_is_stored_as_if_it_had_been_appended(self, lake: Lake) -> None:
        lake.append("w0", 3, [prediction(0), label(0), prediction(1)])
        batch = lake.prepare("w1", 3, [prediction(5), label(0, 0, id="a"), prediction(3)], after=0)
        assert (batch.observations, batch.oldest, batch.newest) == (3, prediction(3).at, prediction(5).at)
        assert (lake.drained("w1"), lake.counts()["predictions"]) == (0, 2)
        lake.commit(pickle.loads(pickle.dumps(batch)))  # noqa: S301 - our own bytes, as they come from another process
        assert (lake.drained("w1"), lake.counts()["predictions"], lake.counts()["labels"]) == (3, 4, 2)
        assert lake.predictions(EVER)["temp"].to_list() == [0.0, 1.0, 3.0, 5.0]
        assert lake.labels(EVER)["_id"].to_list() == ["l00000000"]
        lake.commit(lake.prepare("w1", 5, [], after=3))
        lake.commit(lake.prepare("w0", 4, [label(1)], after=3))
        assert (lake.drained("w1"), lake.drained("w0"), list(lake.verify())) == (5, 4, [])

    @pytest.mark.fault("D14")
    def test_what_does_not_begin_where_the_lake_stands_is_refused(self, lake: Lake) -> None:
        first, again = (lake.prepare("w0", 2, [prediction(0), prediction(1)], after=0) for _ in range(2))
        longer = lake.prepare("w0", 3, [prediction(0), prediction(1), prediction(2)], after=0)
        beyond = lake.prepare("w0", 4, [prediction(3)], after=3)
        with pytest.raises(ConflictError, match="w0 was read after 3 and is stored up to 0"):
            lake.commit(beyond)
        lake.commit(first)
        for late in (first, again, longer, beyond):
            with pytest.raises(ConflictError, match="is stored up to 2"):
                lake.commit(late)
        assert (lake.drained("w0"), lake.counts()["predictions"]) == (2, 2)
        lake.append("w0", 3, [prediction(2)])
        lake.commit(beyond)
        assert lake.predictions(EVER)["_id"].to_list() == [f"p{i:08d}" for i in range(4)]

    def test_bytes_that_changed_on_the_way_are_refused(self, lake: Lake) -> None:
        batch = lake.prepare("w0", 1, [prediction(0)], after=0)
        packed = batch.tables["predictions"]
        wrong = {"predictions": replace(packed, content=packed.content[:-1] + b"!")}
        with pytest.raises(IntegrityError, match="other bytes than were prepared"):
            lake.commit(replace(batch, tables=wrong))
        assert (lake.drained("w0"), dict(lake.counts())["predictions"], list(lake.verify())) == (0, 0, [])
        lake.commit(batch)
        assert lake.drained("w0") == 1

    def test_a_batch_of_other_rows_than_were_read_cannot_be(self, lake: Lake) -> None:
        batch = lake.prepare("w0", 2, [prediction(0), label(0)], after=0)
        with pytest.raises(InvariantError, match="3 observations after 0 up to 2 cannot be a batch of 2 rows"):
            replace(batch, observations=3)
        with pytest.raises(InvariantError, match="after 2 up to 2"):
            replace(batch, after=2)

    def test_journals_do_not_mix(self, lake: Lake) -> None:
        lake.append("w0", 1, [prediction(0)])
        lake.append("w1", 1, [prediction(1)])
        assert (lake.drained("w0"), lake.drained("w1"), lake.drained("w2")) == (1, 1, 0)
        assert lake.counts()["predictions"] == 2

    def test_a_span_is_half_open_and_in_time_order(self, lake: Lake) -> None:
        lake.append("w0", 3, [prediction(2), prediction(0), prediction(1)])
        lake.append("w0", 5, [prediction(4), prediction(3)])
        assert lake.predictions(_minutes(1, 4))["_id"].to_list() == ["p00000001", "p00000002", "p00000003"]

    @pytest.mark.fault("V8")
    def test_one_row_per_prediction_id(self, lake: Lake) -> None:
        lake.append("w0", 2, [prediction(0), prediction(0)])
        lake.append("w1", 1, [prediction(0)])
        assert lake.predictions(EVER).height == 1
        assert lake.counts()["predictions"] == 3  # counts are rows stored: what journals acknowledged

    @pytest.mark.fault("L1")
    def test_a_label_before_its_prediction_waits_for_it(self, lake: Lake) -> None:
        lake.append("w0", 1, [label(0)])
        assert lake.labels(EVER).height == 0
        lake.append("w0", 2, [prediction(0)])
        assert lake.labels(EVER)["_id"].to_list() == ["l00000000"]
        assert lake.labelled(EVER)["_label"].to_list() == ["1"]

    @pytest.mark.fault("L2")
    def test_a_label_of_an_unknown_prediction_never_joins(self, lake: Lake) -> None:
        lake.append("w0", 3, [prediction(0), prediction(2), label(1, of="p00000001")])
        assert lake.labels(EVER).height == lake.labelled(EVER).height == 0
        assert lake.counts()["labels"] == 1

    @pytest.mark.fault("L3")
    def test_the_last_label_wins_by_receipt_then_id(self, lake: Lake) -> None:
        late, early = timedelta(hours=9), timedelta(hours=2)
        lake.append("w0", 2, [prediction(0), label(0, 1, delay=late, id="b")])
        lake.append("w0", 4, [label(0, 0, delay=early, id="z"), label(0, 0, delay=late, id="c")])
        assert lake.labels(EVER).select("_id", "_value").rows() == [("c", "0")]

    @pytest.mark.fault("L3")
    @pytest.mark.fault("L11")
    def test_a_label_that_is_delivered_again_undoes_no_correction(self, lake: Lake) -> None:
        first = label(0, 1, id="a")
        lake.append("w0", 3, [prediction(0), first, label(0, 0, id="b", delay=2 * DAY)])
        lake.append("w0", 4, [replace(first, received_at=first.received_at + 3 * DAY)])
        assert lake.labels(EVER).select("_id", "_value").rows() == [("b", "0")]
        assert lake.labelled(EVER)["_label"].to_list() == ["0"]
        assert lake.counts()["labels"] == 3

    @pytest.mark.fault("L3")
    def test_a_label_is_corrected_and_withdrawn_and_its_history_kept(self, lake: Lake) -> None:
        lake.append("w0", 2, [prediction(0), label(0, 1, id="a")])
        then = dict(lake.versions())
        lake.append("w0", 3, [replace(label(0, 0, id="b"), revision=1)])
        lake.append("w0", 4, [label(0, 1, id="c", delay=9 * DAY)])  # an older revision that comes late
        assert lake.labels(EVER).select("_id", "_value").rows() == [("b", "0")]
        lake.append("w0", 5, [replace(label(0, id="d", delay=10 * DAY), value=None, revision=2)])
        assert lake.labels(EVER).height == lake.labelled(EVER).height == 0
        said = lake.deliveries(EVER, lake.predictions(EVER)["_id"])
        assert sorted(said["_id"].to_list()) == ["a", "b", "c", "d"]
        assert lake.labelled(EVER, versions=then)["_label"].to_list() == ["1"]

    @pytest.mark.fault("L2")
    def test_labels_of_ids_that_nobody_answered_are_found_by_the_time_in_the_id(self, lake: Lake) -> None:
        ids = [f"{id_prefix(START + timedelta(minutes=i))}{'7' * 20}" for i in (0, 5, 60)]
        lake.append("w0", 5, [prediction(0), label(0), *(label(1, of=id, id=id) for id in ids)])
        of_hour = _minutes(0, 60)
        said = lake.deliveries(of_hour, lake.predictions(of_hour)["_id"])
        assert sorted(said["_prediction"].to_list()) == sorted([*ids[:2], "p00000000"])

    def test_feedback_is_found_by_the_time_of_its_prediction_each_delivery_once(self, lake: Lake) -> None:
        said = [
            FeedbackEvent(
                id=f"f{i}", model="m", prediction=f"p{i:08d}", at=START, received_at=START, event="thumb", value=i % 2
            )
            for i in range(4)
        ]
        lake.append("w0", 8, [prediction(i) for i in range(4)])
        lake.append("w0", 13, [*said, said[1]])
        found = lake.feedback(_minutes(1, 3))
        assert found.select("_id", "_prediction", "_event", "_value", "_source").rows() == [
            ("f1", "p00000001", "thumb", 1.0, "api"),
            ("f2", "p00000002", "thumb", 0.0, "api"),
        ]
        assert lake.counts()["feedback"] == 5
        later = replace(said[1], value=0.0, at=START - DAY, received_at=START + DAY)
        lake.append("w0", 15, [later, replace(later, source="other")])
        values = lake.feedback(_minutes(1, 2)).select("_source", "_value").rows()
        assert sorted(values) == [("api", 1.0), ("other", 0.0)], "an id is its source's own, and its first word stands"

    def test_fresh_rows_are_those_that_came_since(self, lake: Lake) -> None:
        lake.append("w0", 2, [prediction(0), label(0)])
        then = lake.versions()["labels"]
        lake.append("w0", 3, [prediction(1)])
        assert lake.fresh("labels", after=then, upto=lake.versions()["labels"]).height == 0
        lake.append("w0", 5, [label(1), label(0, 0, id="again")])
        now = lake.versions()["labels"]
        assert lake.fresh("labels", after=then, upto=now)["_id"].to_list() == ["l00000001", "again"]
        assert lake.fresh("labels", after=now, upto=now).height == 0

    def test_labels_are_found_by_the_time_of_their_prediction(self, lake: Lake) -> None:
        lake.append("w0", 10, [prediction(i) for i in range(10)])
        lake.append("w0", 20, [label(i, i % 2, delay=30 * DAY) for i in range(10)])
        assert lake.labels(_minutes(2, 5))["_prediction"].to_list() == ["p00000002", "p00000003", "p00000004"]
        assert lake.labelled(_minutes(2, 5))["temp"].to_list() == [2.0, 3.0, 4.0]

    def test_history_is_stored_once_per_source(self, lake: Lake) -> None:
        frame = pl.DataFrame(
            {
                "ts": [START - DAY, START - 2 * DAY],
                "y": [1, 0],
                "temp": [1, 2],
                "sky": ["fog", None],
                "view": [[1, 2], None],
            },
            schema_overrides={"ts": pl.Datetime("ns", "UTC"), "temp": pl.UInt8, "sky": pl.Categorical},
        )
        assert not lake.imported("file.parquet")
        assert lake.import_history(frame, source="file.parquet") == 2
        assert lake.import_history(frame, source="file.parquet") == 0
        assert lake.imported("file.parquet")
        assert not lake.imported("other.parquet")
        lake.append("w0", 2, [prediction(0), label(0)])
        rows = lake.labelled(EVER)
        assert rows["_label"].to_list() == ["0", "1", "1"]
        assert rows["temp"].to_list() == [2.0, 1.0, 0.0]
        assert rows["sky"].to_list() == [None, "fog", "clear"]
        assert rows["view"].to_list() == [None, [1.0, 2.0], [0.0, 0.5]]
        assert lake.counts()["history"] == 2
        assert rows.select("_source", "_id").rows() == [("history", ""), ("history", ""), ("api", "p00000000")]

    def test_history_may_say_where_each_row_comes_from(self, lake: Lake) -> None:
        frame = pl.DataFrame({
            "_at": [START, START + DAY], "_label": [1, 0], "temp": [1, 2], "sky": ["fog", None], "view": [None, [1, 2]],
            "_source": ["crm", "web"],
        })  # fmt: skip
        lake.import_history(frame, source="file.parquet")
        assert lake.labelled(EVER)["_source"].to_list() == ["crm", "web"]

    @pytest.mark.fault("V7")
    def test_history_without_a_zone_or_a_label_is_refused(self, lake: Lake) -> None:
        start = datetime(2026, 1, 1)  # noqa: DTZ001 - the fault itself
        naive = pl.DataFrame({"ts": [start], "y": [1], "temp": [1.0], "sky": ["fog"], "view": [[0.0, 1.0]]})
        with pytest.raises(SchemaError, match="no time zone"):
            lake.import_history(naive, source="a")
        bare = naive.with_columns(pl.col("ts").dt.replace_time_zone("UTC"), y=pl.lit(None, pl.Int64))
        with pytest.raises(SchemaError, match="have no y"):
            lake.import_history(bare, source="b")
        with pytest.raises(SchemaError, match="lack the columns"):
            lake.import_history(bare.drop("sky"), source="c")
        assert lake.counts()["history"] == 0

    @pytest.mark.fault("L4")
    def test_an_old_version_reads_as_it_was(self, lake: Lake) -> None:
        lake.append("w0", 3, [prediction(0), prediction(1), label(0, 0)])
        then = dict(lake.versions())
        before = lake.labelled(EVER, versions=then)
        lake.append("w0", 5, [label(0, 1, id="m", delay=DAY), label(1, 1)])
        lake.append("w0", 6, [prediction(2)])
        assert lake.labelled(EVER, versions=then).equals(before)
        assert lake.predictions(EVER, versions=then).height == 2
        assert lake.labelled(EVER)["_label"].to_list() == ["1", "1"]
        corrected = lake.labelled(EVER, versions={k: v for k, v in then.items() if k != "labels"})
        assert corrected.select("_id", "_label").rows() == [("p00000000", "1"), ("p00000001", "1")]
        with pytest.raises(NotFoundError, match="version"):
            lake.predictions(EVER, versions={"predictions": 1000})

    @pytest.mark.fault("V1")
    def test_odd_values_are_kept_or_become_null_and_never_block(self, lake: Lake) -> None:
        odd: list[Mapping[str, Value]] = [
            {"temp": float("nan"), "sky": ""},
            {"temp": float("-inf"), "sky": "\U0001f600 \x00"},
            {"temp": None, "sky": None},
            {},
            {"temp": "warm", "sky": 3.0},
            {"temp": 10**400, "sky": "\ud800"},
            {"temp": 1.0, "view": (1.0,)},
            {"temp": 2.0, "view": "far"},
            {"temp": 3.0, "view": (1.0, math.nan)},
        ]
        lake.append("w0", len(odd), [prediction(i, row=row) for i, row in enumerate(odd)])
        rows = lake.predictions(EVER)
        temps = [float("nan"), float("-inf"), None, None, None, float("inf"), 1.0, 2.0, 3.0]
        assert str(rows["temp"].to_list()) == str(temps)
        assert rows["sky"].to_list() == ["", "\U0001f600 \x00", None, None, "3", "?", None, None, None]
        assert str(rows["view"].to_list()) == str([None] * 8 + [[1.0, math.nan]])
        assert lake.counts()["predictions"] == len(odd)

    def test_a_whole_number_and_its_float_are_one_class(self, lake: Lake) -> None:
        one = label(1, 1)
        lake.append("w0", 2, [label(0, 1), prediction(0)])
        lake.append("w0", 4, [prediction(1), Label(
            id=one.id, model="m", prediction=one.prediction, at=one.at, received_at=one.received_at, value=1.0
        )])  # fmt: skip
        assert lake.labelled(EVER)["_label"].to_list() == ["1", "1"]
