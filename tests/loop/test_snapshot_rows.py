"""Which rows make a snapshot: caps, purges, rehearsal and the hold-out, the same for the same plan."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from anew.adapters.memory_lake import MemoryLake
from anew.domain.errors import TrainingError
from anew.domain.facts import TrainingPlanned
from anew.domain.interval import Interval
from anew.feedback.address import rows_address
from anew.loop.snapshot_rows import held_out_rows, snapshot_rows, usable_rows
from anew.testing.contract_lake import COLUMNS, EVER, label, prediction
from anew.testing.contract_lake import START as DAWN
from tests.loop.observed import PLAN, START, hour


def rows(**sources: int) -> pl.DataFrame:
    """Return so many rows of each source, shuffled through time, one an hour."""
    names = [name for name, n in sources.items() for _ in range(n)]
    frame = pl.DataFrame({"x": [float(i) for i in range(len(names))], "_label": [i % 2 for i in range(len(names))]})
    mixed = pl.Series("_source", names, dtype=pl.String).shuffle(seed=3)
    at = pl.Series("_at", [hour(i) for i in range(len(names))], dtype=pl.Datetime("us", "UTC"))
    return frame.with_columns(mixed, at)


def counted(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame.group_by("_source").len().iter_rows())


@pytest.mark.fault("A1")
def test_a_source_that_floods_is_cut_to_its_share_and_never_judges() -> None:
    plan = replace(PLAN, max_source_share=0.2)
    taken = snapshot_rows(rows(mallory=900, ada=50, bob=50), plan)
    found = counted(taken.rows)
    assert found["ada"] == found["bob"] == 50
    assert 0 < found["mallory"] <= 0.2 * taken.rows.height
    assert "mallory" not in counted(taken.rows.tail(taken.holdout))
    assert taken.sources == (("mallory", 900, found["mallory"]), ("ada", 50, 50), ("bob", 50, 50))
    assert taken.rows.get_column("_at").is_sorted()
    # Planted: without the cap, the flood is nearly all that is trained on and all but a tenth of what judges.
    flooded = snapshot_rows(rows(mallory=900, ada=50, bob=50), PLAN)
    assert counted(flooded.rows)["mallory"] == 900
    assert counted(flooded.rows.tail(flooded.holdout))["mallory"] > 0.8 * flooded.holdout


def test_several_floods_get_their_share_each() -> None:
    taken = snapshot_rows(rows(a=400, b=400, c=100, d=100), replace(PLAN, max_source_share=0.25))
    found = counted(taken.rows)
    assert found["c"] == found["d"] == 100
    for name in "ab":
        assert 0.8 * 0.25 <= found[name] / taken.rows.height <= 0.25


def test_trusted_sources_and_shares_that_are_kept_are_not_touched() -> None:
    plan = replace(PLAN, max_source_share=0.5, uncapped_sources=("history",))
    frame = rows(history=900, web=100)
    assert snapshot_rows(frame, plan).rows.equals(frame)
    assert snapshot_rows(rows(a=50, b=50), plan).rows.height == 100


@pytest.mark.parametrize("sources", [{"only": 100}, {"a": 50, "b": 50}])
def test_a_cap_that_nobody_keeps_trains_nothing_and_says_so(sources: dict[str, int]) -> None:
    with pytest.raises(TrainingError, match="uncapped_sources") as caught:
        snapshot_rows(rows(**sources), replace(PLAN, max_source_share=0.2))
    assert caught.value.reason == "source_share"


@pytest.mark.fault("A4")
def test_a_purged_source_and_broken_windows_are_left_out() -> None:
    frame = rows(mallory=100, ada=100)
    broken = Interval(start=hour(0), end=hour(10))
    found = usable_rows(frame, replace(PLAN, purged=("mallory",), left_out=(broken,)))
    assert set(counted(found)) == {"ada"}
    assert found.get_column("_at").min() >= hour(10)  # type: ignore[operator]  # a column of instants
    assert usable_rows(frame, PLAN).equals(frame)


@pytest.mark.fault("L4")
def test_the_same_plan_makes_the_same_snapshot_and_another_seed_another() -> None:
    plan = replace(PLAN, max_source_share=0.2, rehearsal=0.3, span=Interval(start=hour(300), end=hour(1000)))
    frame = rows(mallory=600, ada=200, bob=100, eve=100)
    first, again = snapshot_rows(frame, plan), snapshot_rows(frame.clone(), plan)
    assert rows_address(first.rows) == rows_address(again.rows)
    assert rows_address(snapshot_rows(frame, replace(plan, seed=8)).rows) != rows_address(first.rows)


@pytest.mark.fault("L4")
def test_a_label_that_comes_after_the_window_was_frozen_is_in_the_next_snapshot_alone() -> None:
    lake = MemoryLake(COLUMNS)
    lake.append("w0", 40, [prediction(i) for i in range(40)])
    lake.append("w0", 70, [label(i) for i in range(30)])
    frozen, plan = lake.versions(), replace(PLAN, span=Interval(start=DAWN, end=DAWN + timedelta(days=1)))

    def address(versions: Mapping[str, int] | None) -> tuple[str, int]:
        taken = snapshot_rows(usable_rows(lake.labelled(EVER, versions=versions), plan), plan)
        return rows_address(taken.rows), taken.rows.height

    before = address(frozen)
    assert before[1] == 30
    late, corrected = label(30), replace(label(3, 0, delay=timedelta(hours=9), id="again"), revision=1)
    lake.append("w0", 72, [late, corrected])
    assert address(frozen) == before, "as of then it is the same snapshot, byte for byte"
    now = address(None)
    assert (now[0] != before[0], now[1]) == (True, 31), "the control: the next one has both"


def test_rehearsed_rows_are_their_share_of_what_is_trained_on_and_come_first() -> None:
    plan = replace(PLAN, rehearsal=0.25, span=Interval(start=hour(500), end=hour(1000)))
    taken = snapshot_rows(rows(a=1000), plan)
    trained = taken.rows.height - taken.holdout
    assert taken.holdout == held_out_rows(500, 0.2)
    assert taken.rehearsed == round(trained * 0.25)
    old = taken.rows.head(taken.rehearsed).get_column("_at")
    assert old.max() < hour(500)  # type: ignore[operator]  # likewise
    assert old.is_sorted()
    assert taken.rows.get_column("_at")[taken.rehearsed] == hour(500)
    # Spread over all of the past, not its end.
    assert old.to_list()[len(old) // 2] < START + timedelta(hours=350)


def test_no_more_rows_are_held_out_than_are_enough() -> None:
    frame = rows(a=1000)
    assert snapshot_rows(frame, replace(PLAN, holdout_most=50)).holdout == 50
    assert snapshot_rows(frame, replace(PLAN, holdout_most=500)).holdout == 200
    flooded = snapshot_rows(rows(mallory=600, ada=400), replace(PLAN, max_source_share=0.5, holdout_most=30))
    assert flooded.holdout == 30


def test_as_many_rows_are_held_out_as_a_gate_needs_but_never_over_half() -> None:
    few = rows(a=100)
    assert snapshot_rows(few, PLAN).holdout == 20
    assert snapshot_rows(few, replace(PLAN, holdout_least=35)).holdout == 35
    assert snapshot_rows(few, replace(PLAN, holdout_least=35, holdout_most=10)).holdout == 35
    assert snapshot_rows(few, replace(PLAN, holdout_least=80)).holdout == 50


@pytest.mark.fault("A1")
def test_only_named_sources_are_held_out_and_nothing_else_is_as_new() -> None:
    frame = rows(mallory=600, ada=200, audit=200)
    taken = snapshot_rows(frame, replace(PLAN, holdout_sources=("audit",)))
    held = taken.rows.tail(taken.holdout)
    assert taken.holdout == 40  # a fifth of those of the audit
    assert counted(held) == {"audit": 40}
    assert held.equals(frame.filter(pl.col("_source") == "audit").tail(40))
    begin = held.get_column("_at")[0]
    assert taken.rows.head(-taken.holdout).equals(frame.filter(pl.col("_at") < begin))
    assert [(name, came) for name, came, _ in taken.sources] == [("mallory", 600), ("ada", 200), ("audit", 200)]
    # Planted: without the names, the flood is most of what judges.
    open_to_all = snapshot_rows(frame, PLAN)
    assert counted(open_to_all.rows.tail(open_to_all.holdout))["mallory"] > 0.5 * open_to_all.holdout


def test_where_all_rows_are_of_named_sources_the_same_are_held_out() -> None:
    for plan in (PLAN, replace(PLAN, holdout_most=50), replace(PLAN, holdout_least=80), replace(PLAN, rehearsal=0.2)):
        taken = snapshot_rows(rows(a=60, b=40), plan)
        named = snapshot_rows(rows(a=60, b=40), replace(plan, holdout_sources=("a", "b")))
        assert named.rows.equals(taken.rows)
        assert named.holdout == taken.holdout


def test_gates_get_as_many_rows_of_named_sources_as_they_ask_for_of_the_newer_half() -> None:
    frame, plan = rows(web=800, audit=200), replace(PLAN, holdout_sources=("audit",))
    newer = counted(frame.tail(500))["audit"]
    assert snapshot_rows(frame, replace(plan, holdout_most=10)).holdout == 10
    assert snapshot_rows(frame, replace(plan, holdout_least=70)).holdout == 70
    most = snapshot_rows(frame, replace(plan, holdout_least=1000))
    assert most.holdout == newer
    assert most.rows.height - most.holdout >= 500


@pytest.mark.fault("A1")
def test_a_cap_holds_for_what_is_left_to_learn_from() -> None:
    plan = replace(PLAN, max_source_share=0.2, uncapped_sources=("ada",), holdout_sources=("audit",), holdout_least=60)
    taken = snapshot_rows(rows(mallory=500, ada=350, audit=150), plan)
    trained = counted(taken.rows.head(-taken.holdout))
    assert 0 < trained["mallory"] <= 0.2 * sum(trained.values())
    assert counted(taken.rows.tail(taken.holdout)) == {"audit": taken.holdout}
    again = snapshot_rows(rows(mallory=500, ada=350, audit=150), plan)
    assert rows_address(again.rows) == rows_address(taken.rows)


@pytest.mark.fault("A1")
@pytest.mark.parametrize(
    ("sources", "plan", "said"),
    [
        ({"web": 60, "crm": 40}, PLAN, "come from web 60, crm 40;"),
        ({f"s{i:02}": 5 for i in range(20)}, PLAN, "s09 5 and 10 more;"),
        (
            {"audit": 60, "web": 20, "crm": 20},
            replace(PLAN, max_source_share=0.3),
            "audit: above data.max_",
        ),
        ({}, PLAN, "of the 0 rows, which come from nobody by name;"),
    ],
)
def test_where_no_row_may_be_held_out_the_run_fails_and_says_which_sources_there_are(
    sources: dict[str, int], plan: TrainingPlanned, said: str
) -> None:
    with pytest.raises(TrainingError, match=r"data\.holdout_sources has audit") as caught:
        snapshot_rows(rows(**sources), replace(plan, holdout_sources=("audit",)))
    assert caught.value.reason == "holdout_sources"
    assert said in caught.value.detail


def test_old_rows_of_named_sources_do_not_keep_a_model_from_what_is_new() -> None:
    old = pl.concat([rows(audit=100), rows(web=100).with_columns(_at=pl.col("_at") + timedelta(hours=100))])
    with pytest.raises(TrainingError, match="no label of these is on the newer half of the 200 rows"):
        snapshot_rows(old, replace(PLAN, holdout_sources=("audit",)))


def test_what_the_champion_was_trained_on_is_not_held_out_to_compare_it_with_others() -> None:
    frame, plan = rows(web=800, audit=200), replace(PLAN, holdout_sources=("audit",), holdout_least=1000)
    free = snapshot_rows(frame, plan).rows.tail(60)
    taken = snapshot_rows(frame, plan, free.get_column("_at")[29])
    assert taken.rows.tail(taken.holdout).equals(free.tail(30))
    assert taken.rows.head(-taken.holdout).equals(frame.filter(pl.col("_at") < free.get_column("_at")[30]))
    with pytest.raises(TrainingError, match=r"v1 was trained on rows up to .*it knows all") as caught:
        snapshot_rows(frame, plan, free.get_column("_at")[-1])
    assert caught.value.reason == "holdout_sources"
    everybody = replace(PLAN, holdout_least=300)
    assert snapshot_rows(frame, everybody, hour(1000)).rows.equals(snapshot_rows(frame, everybody).rows)


@pytest.mark.parametrize("batch", [1, 30, 100, 1000], ids=lambda n: f"{n} rows an instant")
def test_no_more_than_the_half_is_kept_from_training_however_rows_are_stamped(batch: int) -> None:
    frame = rows(web=800, audit=200)
    stamped = pl.Series("_at", [hour(i // batch) for i in range(1000)], dtype=pl.Datetime("us", "UTC"))
    plan = replace(PLAN, holdout_sources=("audit",), holdout_least=1000)
    taken = snapshot_rows(frame.with_columns(stamped), plan)
    trained, held = taken.rows.head(-taken.holdout), taken.rows.tail(taken.holdout)
    assert trained.height >= 500
    assert counted(held) == counted(frame.tail(500).filter(pl.col("_source") == "audit"))
    assert taken.rows.get_column("_at").is_sorted()
    assert taken.rows.get_column("x").is_unique().all()


def test_rows_of_a_file_that_do_not_say_are_history() -> None:
    frame = rows(a=100).drop("_source")
    assert snapshot_rows(frame, replace(PLAN, holdout_sources=("audit", "history"))).rows.equals(frame)
    with pytest.raises(TrainingError, match="nobody by name"):
        snapshot_rows(frame, replace(PLAN, holdout_sources=("audit",)))


def test_nothing_older_means_nothing_rehearsed() -> None:
    assert snapshot_rows(rows(a=100), replace(PLAN, rehearsal=0.5)).rehearsed == 0


def test_rows_that_say_nothing_of_their_source_are_taken_as_they_are() -> None:
    frame = rows(a=100).drop("_source")
    taken = snapshot_rows(frame, replace(PLAN, max_source_share=0.1))
    assert taken.rows.equals(frame)
    assert taken.sources == ()


def test_many_sources_are_summed_up() -> None:
    taken = snapshot_rows(rows(**{f"s{i}": 2 for i in range(150)}), PLAN)
    assert len(taken.sources) == 101
    assert taken.sources[-1] == ("", 100, 100)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(TrainingError, match="3 labelled rows"):
        snapshot_rows(rows(a=3), PLAN)


@pytest.mark.fault("L4")
def test_control_rows_with_the_labels_of_now_are_another_snapshot() -> None:
    """What a reader without versions would train on: the same plan, and no longer the same rows."""
    lake = MemoryLake(COLUMNS)
    lake.append("w0", 40, [prediction(i) for i in range(40)])
    lake.append("w0", 70, [label(i) for i in range(30)])
    plan = replace(PLAN, span=Interval(start=DAWN, end=DAWN + timedelta(days=1)))
    before = rows_address(snapshot_rows(usable_rows(lake.labelled(EVER), plan), plan).rows)
    lake.append("w0", 71, [label(30)])
    assert rows_address(snapshot_rows(usable_rows(lake.labelled(EVER), plan), plan).rows) != before


@pytest.mark.fault("A4")
def test_control_without_a_purge_the_rows_of_a_source_are_learned_from() -> None:
    frame = rows(mallory=100, ada=100)
    assert counted(usable_rows(frame, PLAN))["mallory"] == 100
    assert "mallory" not in counted(usable_rows(frame, replace(PLAN, purged=("mallory",))))
