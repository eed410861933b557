"""Gates that ask the candidate itself: calibration, fairness, rules, robustness, skew, leakage, its training rows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.fairlearn_disparity import fairlearn_disparity
from anew.domain.column import Column, ColumnKind, Task
from anew.domain.errors import InvariantError
from anew.domain.verdict import Verdict
from anew.validate import Answers, Gate, HeldOut, Package
from anew.validate.artifact import Artifact
from anew.validate.beats_champion import BeatsChampion
from anew.validate.calibration import Calibration
from anew.validate.fairness import OVER, Fairness
from anew.validate.footprint import Footprint
from anew.validate.latency import Latency
from anew.validate.leakage import Leakage
from anew.validate.model_card import ModelCard
from anew.validate.robustness import Robustness
from anew.validate.rules import Rules
from anew.validate.skew import Skew
from anew.validate.slos import Objective, SLOs
from anew.validate.training_rows import TrainingRows
from tests.validate.trials import N, binary, examined, judged

CODES = {"a0": 0, "a1": 1, "b1": 2, "b0": 3}

PASS, FAIL, ERROR, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE


def chances(rows: HeldOut, sure: float) -> HeldOut:
    up = np.where(rows.challenger == "1", sure, 1 - sure)
    return replace(rows, challenger_chance=np.column_stack((1 - up, up)))


def test_probabilities_that_do_not_hold_are_refused() -> None:
    rows = binary(0.3)
    assert judged(Calibration(), chances(rows, 0.7)) is PASS
    assert judged(Calibration(), chances(rows, 0.99)) is FAIL
    assert judged(Calibration(), rows) is ERROR, "no probabilities"
    assert judged(Calibration(), chances(rows, 0.7).at(np.arange(50))) is INCONCLUSIVE


def test_numbers_that_are_off_on_average_are_refused() -> None:
    label = np.random.default_rng(0).normal(size=N)
    loss = np.zeros(N)

    def rows(off: float) -> HeldOut:
        return HeldOut(task=Task.REGRESSION, label=label, challenger=label + off, challenger_loss=loss, loss_scale=4.0)

    assert judged(Calibration(), rows(0.1)) is PASS
    assert judged(Calibration(), rows(-1.0)) is FAIL


def grouped(unfair: float, *, n: int = 2000, seed: int = 5) -> HeldOut:
    rows = binary(0.1, 0.1, n=n, seed=seed)
    sex = np.where(np.arange(n) % 2 == 0, "f", "m")
    turned = (sex == "f") & (np.random.default_rng(6).random(n) < unfair)
    said = np.where(turned, "0", rows.challenger)
    table = pl.DataFrame({"sex": sex, "age": np.random.default_rng(7).choice(["old", "young"], n)})
    return replace(rows, challenger=said, challenger_loss=(said != rows.label).astype(float), table=table)


@pytest.mark.parametrize("metric", ["demographic_parity", "equal_opportunity", "equalized_odds", "error"])
def test_a_candidate_that_treats_a_group_worse_is_refused(metric: Any) -> None:
    gate = Fairness(metric=metric, columns=("sex", "age"), at_most=0.15)
    fair, unfair = (replace(grouped(share), disparity=fairlearn_disparity) for share in (0.0, 0.6))
    assert judged(gate, fair) is PASS
    assert judged(gate, unfair) is FAIL
    assert [each.subject for each in gate.measure(fair)] == ["sex", "age", "sex & age"]
    assert judged(gate, replace(unfair, disparity=lambda *_: 0.5)) in (ERROR, FAIL)
    assert judged(gate, replace(fair, disparity=lambda *_: 0.5)) is ERROR, "two computations that differ prove nothing"


@pytest.mark.parametrize("metric", ["demographic_parity", "equal_opportunity", "equalized_odds", "error"])
def test_a_candidate_clearly_less_fair_than_the_champion_is_refused_within_the_limit(metric: Any) -> None:
    gate = Fairness(metric=metric, columns=("sex",), at_most=0.9, margin=0.05)
    assert judged(gate, grouped(0.6)) is FAIL
    assert judged(gate, grouped(0.0)) is PASS
    assert judged(replace(gate, at_least_rows=1100), grouped(0.6)) is INCONCLUSIVE
    assert judged(gate, replace(grouped(0.0), champion=None, champion_loss=None)) is PASS, "nobody to be held against"


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION])
def test_the_error_of_groups_is_held_against_the_champion_for_any_task(task: Task) -> None:
    rows = grouped(0.6)
    chance = np.random.default_rng(8).random(rows.n) / 10
    loss = rows.challenger_loss if task.classifies else 0.3 * rows.challenger_loss + chance
    theirs = np.asarray(rows.champion != rows.label, float) if task.classifies else chance
    rows = replace(rows, task=task, challenger_loss=loss, champion_loss=theirs)
    gate = Fairness(metric="error", columns=("sex", "age"), at_most=0.9, margin=0.02)
    found = {each.subject: each for each in gate.measure(rows)}
    assert set(found) == {f"{name}{over}" for name in ("sex", "age", "sex & age") for over in ("", OVER)}
    ours, over = found["sex"], found[f"sex{OVER}"]
    assert ours.value is not None and ours.reference is not None
    assert over.value == pytest.approx(ours.value - ours.reference)
    assert over.low is not None and over.low > 0.02
    assert judged(gate, rows) is FAIL
    assert judged(replace(gate, margin=0.5), rows) is PASS
    assert judged(gate, replace(rows, challenger_loss=theirs)) is PASS


def test_candidates_as_fair_as_the_champion_are_seldom_refused_for_the_margin() -> None:
    gate = Fairness(metric="error", columns=("sex", "age"), at_most=0.9, margin=0.0)
    assert sum(judged(gate, grouped(0.0, seed=seed)) is FAIL for seed in range(100)) <= 6


def test_groups_that_are_too_small_prove_nothing() -> None:
    gate = Fairness(columns=("sex",))
    assert judged(gate, grouped(0.9, n=60)) is INCONCLUSIVE
    assert judged(Fairness(columns=("race",)), grouped(0.0)) is ERROR
    assert judged(Fairness(), grouped(0.0)) is ERROR
    assert judged(gate, replace(grouped(0.0), task=Task.MULTICLASS)) is ERROR


def test_groups_that_are_too_small_are_counted_and_their_values_are_not_told() -> None:
    rows = grouped(0.0)
    sex = np.where(np.arange(rows.n) % 40 == 0, "x", np.where(np.arange(rows.n) % 2 == 0, "f", "m"))
    rows = replace(rows, table=rows.table.with_columns(sex=pl.Series(sex)))
    gate = Fairness(metric="demographic_parity", columns=("sex", "age"), at_least_rows=51)
    found = gate.measure(rows)
    small = [(each.subject, each.n) for each in found if each.problem]
    assert small == [("1 group of sex", 50), ("2 groups of sex & age", 50)]
    assert found[0].problem == "too small to be compared: 50 rows, 51 are needed in every rate"
    said = gate.judge(found)
    assert said.verdict is PASS
    assert said.reason.endswith("too small to be compared: 1 group of sex (50 rows), 2 groups of sex & age (50 rows)")
    assert judged(gate, rows) is PASS, "the evidence with a problem does not make an error of it"


def test_a_column_whose_groups_cannot_be_compared_proves_nothing_and_crossed_groups_do_not_stop_it() -> None:
    rows = grouped(0.0)
    single = Fairness(metric="demographic_parity", columns=("sex", "age"), at_least_rows=600)
    said = single.judge(single.measure(rows))
    assert said.verdict is PASS
    assert said.reason.endswith(f"too small to be compared: sex & age ({rows.n} rows)")
    rows = replace(rows, table=rows.table.with_columns(age=pl.lit("old")))
    for crossed in (True, False):
        gate = replace(single, crossed=crossed, at_most=0.5)
        said = gate.judge(gate.measure(rows))
        assert (said.verdict, said.reason.split("; ")[0]) == (
            INCONCLUSIVE,
            "age: groups with 600 rows in every rate: 1, two are needed",
        )
        assert judged(gate, rows) is INCONCLUSIVE
    assert judged(replace(single, at_most=0.1), replace(grouped(0.6), table=rows.table)) is FAIL, (
        "what is clear is said"
    )


def test_fair_candidates_are_seldom_refused() -> None:
    gate = Fairness(metric="demographic_parity", columns=("sex", "age"), at_most=0.001)
    assert sum(judged(gate, grouped(0.0, seed=seed)) is FAIL for seed in range(100)) <= 6


def test_a_rule_of_the_business_is_kept_by_every_answer() -> None:
    rows = replace(binary(0.1), table=pl.DataFrame({"x": np.zeros(N), "shop": ["a"] * N}))
    assert judged(Rules(keep=("prediction IN ('0', '1')",)), rows) is PASS
    assert judged(Rules(keep=("prediction = '0'",)), rows) is FAIL
    assert judged(Rules(keep=("prediction = '0'",), at_most=0.9), rows) is PASS
    numbered = replace(rows, numbered=True)
    assert judged(Rules(keep=("prediction IN (0, 1)", "prediction >= 0")), numbered) is PASS
    assert judged(Rules(keep=("prediction < 1",)), numbered) is FAIL
    assert judged(Rules(keep=("prediction < 1",)), rows) is ERROR, "classes that are declared as text are text"
    assert judged(Rules(keep=("no_such_column > 1",)), rows) is ERROR
    with pytest.raises(InvariantError, match="no condition in SQL"):
        Rules(keep=("prediction >",))


@pytest.mark.parametrize("known", [0, 49, 50])
def test_a_rule_is_judged_by_the_rows_on_which_it_is_true_or_false(known: int) -> None:
    limit = [2.0] * known + [None] * (N - known)
    rows = replace(binary(0.1), numbered=True, table=pl.DataFrame({"limit": limit}, schema={"limit": pl.Float64}))
    gate = Rules(keep=("prediction <= limit",))
    (found,) = gate.measure(rows)
    assert found.n == known
    assert gate.judge((found,)).verdict is (PASS if known >= 50 else INCONCLUSIVE)
    assert judged(Rules(keep=("prediction <= limit - 2",)), rows) is (FAIL if known >= 50 else INCONCLUSIVE)


def test_a_rule_that_is_null_on_all_rows_proves_nothing() -> None:
    rows = replace(binary(0.1), numbered=True, table=pl.DataFrame({"x": np.ones(N)}))
    for keep in ("prediction <= NULLIF(x, x)", "CASE WHEN x < 0 THEN TRUE END"):
        gate = Rules(keep=(keep, "prediction >= 0"))
        said = gate.judge(gate.measure(rows))
        assert (said.verdict, said.reason) == (INCONCLUSIVE, f"{keep} broken: it is null on all {N} rows")


def answering(change: Callable[[pl.DataFrame], Any]) -> Callable[[pl.DataFrame], Answers]:
    return lambda rows: Answers(np.asarray(change(rows)), None)


def test_missing_and_extreme_values_may_not_break_the_candidate() -> None:
    rows = binary(0.0)
    said = dict(zip(rows.table["x"].to_list(), rows.label.tolist(), strict=True))

    def robust(frame: pl.DataFrame) -> list[str]:
        return [said.get(x, "0") for x in frame["x"].to_list()]

    def brittle(frame: pl.DataFrame) -> list[str]:
        return [said.get(x, "0") for x in frame["x"].to_list() if (x is not None and abs(x) < 1e5) or 1 / 0]

    gate = Robustness()
    assert judged(gate, examined(rows, answering(robust))) is PASS
    found = gate.judge(gate.measure(examined(rows, answering(brittle))))
    assert found.verdict is FAIL
    assert "ZeroDivisionError" in found.reason
    assert judged(Robustness(missing_at_most=0.1), examined(rows, answering(robust))) is FAIL, "x carries it all"
    assert judged(gate, rows) is ERROR, "nobody to ask"
    assert judged(gate, examined(rows, answering(robust)).at(np.arange(9))) is INCONCLUSIVE


@pytest.mark.fault("S9")
def test_features_that_look_at_other_rows_are_found() -> None:
    rows = binary(0.1)

    def own(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(pl.col("x") * 2)

    def of_all(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(pl.col("x") - pl.col("x").mean())

    same = answering(lambda frame: np.where(frame["x"].to_numpy() > 0, "1", "0"))
    other = answering(lambda frame: ["0"] * frame.height)
    assert judged(Skew(), examined(rows, same, inputs=own)) is PASS
    found = Skew().judge(Skew().measure(examined(rows, same, inputs=of_all)))
    assert found.verdict is FAIL
    assert "model inputs" in found.reason
    assert judged(Skew(), examined(rows, same, online=other, inputs=own)) is FAIL
    assert judged(Skew(), examined(rows, same, inputs=lambda _: 1 / 0)) is ERROR  # type: ignore[arg-type, return-value]  # planted
    assert judged(Skew(), rows) is INCONCLUSIVE


def test_serving_that_is_not_what_was_trained_on_is_found() -> None:
    same = answering(lambda frame: np.where(frame["x"].to_numpy() > 0, "1", "0"))
    rows = examined(binary(0.1), same)
    moved = rows.table.with_columns(pl.col("x") + 3)
    gate = Skew(psi_at_most=0.25)
    assert judged(gate, replace(rows, training=rows.table)) is PASS
    assert judged(gate, replace(rows, training=moved)) is FAIL
    assert judged(gate, rows) is INCONCLUSIVE
    assert judged(Skew(), replace(rows, training=moved)) is PASS, "columns are compared where that is asked for"


@pytest.mark.fault("V10")
@pytest.mark.parametrize(
    ("column", "verdict"),
    [
        (lambda label: (label == "1").astype(float), FAIL),
        (lambda label: np.where(label == "1", "refunded", "kept"), FAIL),
        (lambda label: np.where(label == "1", np.nan, 1.0), FAIL),
        (lambda label: np.random.default_rng(1).normal(size=len(label)), PASS),
    ],
    ids=["number", "category", "missing", "nothing"],
)
def test_a_column_that_gives_the_answer_away_is_too_good(column: Callable[[Any], Any], verdict: Verdict) -> None:
    rows = binary(0.1)
    rows = replace(rows, table=rows.table.with_columns(leak=pl.Series(column(rows.label))))
    found = Leakage().judge(Leakage().measure(rows))
    assert found.verdict is verdict
    assert verdict is PASS or "leak alone tells the label" in found.reason


@pytest.mark.fault("V10")
@pytest.mark.parametrize(
    ("inputs", "verdict"),
    [
        (lambda table: table.select("x"), PASS),
        (lambda table: table.select("x", leak=pl.col("kind").replace_strict(CODES, return_dtype=pl.Float64)), FAIL),
        (lambda table: table.select("x", leak=-1 / (1 + pl.col("later"))), FAIL),
        (lambda table: table.select("x", "later").rename({"x": "embedding.0", "later": "embedding.1"}), PASS),
    ],
    ids=["left out", "codes", "derived", "vector"],
)
def test_what_the_model_takes_is_looked_at_and_nothing_else(
    inputs: Callable[[pl.DataFrame], pl.DataFrame], verdict: Verdict
) -> None:
    rows = binary(0.1)
    up = pl.Series(rows.label == "1")
    kind = pl.Series(np.where(np.arange(N) % 2 == 0, "a", "b")) + pl.Series(rows.label)
    rows = replace(rows, table=rows.table.with_columns(kind=kind, later=up.cast(pl.Float64), sensitive=up))
    rows = examined(rows, answering(lambda frame: ["0"] * frame.height), inputs=inputs)
    assert rows.candidate is not None
    vector = Column(name="embedding", kind=ColumnKind.VECTOR, width=2)
    columns = replace(rows.candidate.manifest.columns, features=(vector,))
    manifest = replace(rows.candidate.manifest, columns=columns)
    rows = replace(rows, candidate=replace(rows.candidate, manifest=manifest))
    found = Leakage().judge(Leakage().measure(rows))
    assert found.verdict is verdict
    assert verdict is PASS or found.reason.startswith("leak alone tells the label")


def test_of_many_inputs_those_that_tell_most_are_on_record() -> None:
    rows = binary(0.1)
    noise = np.random.default_rng(4).normal(size=(N, 60))
    table = pl.DataFrame({f"w{i}": noise[:, i] for i in range(60)}).with_columns(leak=pl.Series(rows.label))
    found = [each.subject for each in Leakage().measure(replace(rows, table=table))]
    assert "leak" in found
    assert len(found) < 30


@pytest.mark.fault("V10")
@pytest.mark.parametrize("gate", [SLOs(objectives=(Objective(metric="error", at_most=0.1),)), BeatsChampion()])
def test_control_gates_that_ask_only_how_good_it_is_pass_what_the_answer_was_given_away_to(gate: Gate) -> None:
    rows = binary(0.0, 0.1)
    rows = replace(rows, table=rows.table.with_columns(leak=pl.Series(rows.label)))
    assert judged(gate, rows) is PASS
    assert judged(Leakage(), rows) is FAIL


@pytest.mark.fault("V10")
def test_values_that_are_the_same_tell_nothing_whatever_order_the_rows_are_in() -> None:
    rows = binary(0.1)
    rows = rows.at(np.argsort(rows.label, kind="stable"))
    rows = replace(rows, table=rows.table.with_columns(same=pl.lit(1.0)))
    assert judged(Leakage(), rows) is PASS


@pytest.mark.fault("V10")
def test_a_handful_of_rows_of_a_class_and_vectors_are_not_told() -> None:
    rows = binary(0.1, None, n=200)
    label = np.array(["0"] * 200)
    label[[0, 1]] = "1"
    first = np.where(label == "1", 9.0, np.random.default_rng(3).normal(size=200))
    table = pl.DataFrame({"first": first, "kind": np.where(label == "1", "rare", "common")})
    embedding = pl.Series("embedding", np.random.default_rng(4).normal(size=(200, 3)), dtype=pl.Array(pl.Float64, 3))
    rows = replace(rows, label=label, table=table.with_columns(embedding))
    assert [each.subject for each in Leakage().measure(rows)] == ["loss"]
    assert judged(Leakage(), rows) is PASS
    label[2:12], first[2:12] = "1", 9.0
    found = Leakage().judge(Leakage().measure(replace(rows, table=table.with_columns(embedding, first=first))))
    assert "first alone tells the label" in found.reason


def test_a_leap_over_the_champion_and_a_loss_next_to_none_are_too_good() -> None:
    assert judged(Leakage(), binary(0.02, 0.4)) is FAIL
    assert judged(Leakage(), binary(0.0, None)) is FAIL
    assert judged(Leakage(), binary(0.2, 0.3)) is PASS
    assert judged(Leakage(), binary(0.2, 0.3, n=20)) is INCONCLUSIVE


def trained_on(fresh: HeldOut, error: float, order: bool = True) -> HeldOut:
    """Return held-out rows in an order that tells something, after training rows with that error."""
    walk = np.sin(np.arange(fresh.n) / 15)
    there = walk if order else np.random.default_rng(2).permutation(walk)
    trained = replace(binary(error, error, seed=9), table=pl.DataFrame({"x": there}))
    return replace(fresh, table=pl.DataFrame({"x": walk}), trained=lambda _: trained)


def test_damaged_training_rows_are_found() -> None:
    gate = TrainingRows()
    fresh = binary(0.1, 0.1)
    assert judged(gate, trained_on(fresh, 0.1)) is PASS
    assert judged(gate, trained_on(fresh, 0.02)) is PASS, "what was learned is known better than what is new"
    assert judged(gate, trained_on(fresh, 0.3)) is FAIL
    assert judged(gate, trained_on(binary(0.1, 0.35), 0.3)) is PASS, "the champion finds them no harder"
    found = gate.judge(gate.measure(trained_on(fresh, 0.1, order=False)))
    assert found.verdict is FAIL
    assert "order of x" in found.reason
    assert judged(gate, fresh) is ERROR, "the rows are not at hand"
    assert judged(gate, trained_on(fresh.at(np.arange(40)), 0.1)) is INCONCLUSIVE


def learned_by_heart(newest: float, further: float, fresh: float = 0.2, ours: float = 0.3) -> HeldOut:
    """Return held-out rows after training rows that the candidate knows all of, and the champion errs on."""
    rows = binary(ours, fresh, n=200)
    before = replace(binary(0.0, further, n=800, seed=3), table=pl.DataFrame({"x": np.zeros(800)}))
    asked = {200: binary(0.0, newest, n=200, seed=4), 800: before}
    return replace(rows, trained=asked.__getitem__, training=before.table)


def test_damage_that_the_candidate_has_learned_by_heart_is_found_by_the_champion() -> None:
    gate = TrainingRows()
    found = gate.judge(gate.measure(learned_by_heart(0.4, 0.4)))
    assert found.verdict is FAIL
    assert "the champion loses" in found.reason
    assert judged(gate, learned_by_heart(0.25, 0.35)) is FAIL, "more rows tell what few do not"
    assert judged(gate, learned_by_heart(0.4, 0.4, ours=0.05)) is PASS, "a damaged champion does not keep its place"
    assert judged(gate, learned_by_heart(0.2, 0.1)) is PASS, "control: what it was trained on it knows better"
    assert judged(gate, learned_by_heart(0.25, 0.21)) is PASS, "control: a chance of so few rows"


def test_rows_that_became_no_harder_are_seldom_called_damaged() -> None:
    gate, refused = TrainingRows(margin=0.0), 0
    for seed in range(200):
        rows, newest, further = (binary(0.4, 0.2, n=n, seed=1000 + 3 * seed + i) for i, n in enumerate((200, 200, 800)))
        asked = {200: newest, 800: further}
        refused += judged(gate, replace(rows, trained=asked.__getitem__, training=further.table)) is FAIL
    assert refused <= 9, "of 200 at a margin of 0: 1.7 % at the most, and their chance"


@pytest.mark.parametrize("kind", [pl.Array(pl.Float64, 3), pl.List(pl.Float64)])
def test_vectors_have_an_order_as_numbers_have(kind: pl.DataType) -> None:
    fresh = binary(0.1, 0.1)
    walk = np.sin(np.arange(fresh.n) / 15)[:, None] + np.arange(3)

    def said(learned: np.ndarray) -> Verdict:
        trained = replace(binary(0.1, 0.1, seed=9), table=pl.DataFrame({"x": pl.Series(learned.tolist(), dtype=kind)}))
        held = pl.DataFrame({"x": pl.Series(walk.tolist(), dtype=kind)})
        return judged(TrainingRows(), replace(fresh, table=held, trained=lambda _: trained))

    assert said(walk) is PASS
    assert said(np.random.default_rng(2).permutation(walk)) is FAIL, "control: joined to the wrong rows"


def test_a_column_that_hardly_varies_has_no_order_to_lose() -> None:
    fresh = binary(0.1, 0.1, n=400)
    runs = np.array(["a"] * 394 + ["b"] * 6)
    apart = np.where(np.arange(400) % 70 == 10, "b", "a")
    often = np.repeat(["a", "b", "a", "b"], 100)

    def said(held: np.ndarray, learned: np.ndarray) -> Verdict:
        trained = replace(fresh, table=pl.DataFrame({"x": learned}))
        rows = replace(fresh, table=pl.DataFrame({"x": held}), trained=lambda _: trained)
        return judged(TrainingRows(), rows)

    assert said(runs, apart) is PASS
    assert said(often, np.random.default_rng(1).permutation(often)) is FAIL, "control: one that varies has"


GOOD = Package(files={"model.txt": 2_000_000}, one_ms=(1.0,) * 300, batch_ms=(5.0,) * 9, batch_rows=100, memory_bytes=9)


@pytest.mark.parametrize(
    ("gate", "bad"),
    [
        (Latency(p99_ms=20), replace(GOOD, one_ms=(1.0,) * 280 + (50.0,) * 20)),
        (Latency(p99_ms=20, batch_ms=0.1), replace(GOOD, batch_ms=(50.0,) * 9)),
        (Footprint(size_mb=5), replace(GOOD, files={"model.txt": 6_000_000})),
        (Footprint(size_mb=5, memory_mb=1), replace(GOOD, memory_bytes=2_000_000)),
        (Artifact(), replace(GOOD, findings=("model.bin: a pickle",))),
        (ModelCard(), replace(GOOD, card_problems=("Contact: missing",))),
    ],
    ids=["p99", "batch", "size", "memory", "artifact", "card"],
)
def test_what_is_packaged_badly_is_refused(gate: Gate, bad: Package) -> None:
    answer = answering(lambda frame: ["0"] * frame.height)
    assert judged(gate, examined(binary(0.1), answer, package=GOOD)) is PASS
    assert judged(gate, examined(binary(0.1), answer, package=bad)) is FAIL
    assert judged(gate, examined(binary(0.1), answer)) is INCONCLUSIVE
    assert gate.judge(()).verdict is INCONCLUSIVE
    assert getattr(gate, "packaged", False), "a replay has to leave it out"


def test_too_few_timed_answers_are_no_percentile() -> None:
    few = replace(GOOD, one_ms=(1.0,) * 50)
    rows = examined(binary(0.1), answering(lambda frame: ["0"] * frame.height), package=few)
    assert judged(Latency(p99_ms=20), rows) is INCONCLUSIVE
