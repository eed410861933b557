"""Gates that compare with the champion, on held-out rows, suites, slices, old regimes, and with a pinned version."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.validate import Gate, HeldOut
from anew.validate._paired import judge_excess, loss_excess
from anew.validate.anchor import Anchor
from anew.validate.beats_champion import BeatsChampion
from anew.validate.forgetting import Forgetting
from anew.validate.slices import Slices
from anew.validate.suites import Suites
from tests.validate.trials import N, binary, judged, unusable, with_suite

PASS, FAIL, ERROR, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE


@pytest.mark.parametrize("metric", ["loss", "error", "accuracy", "f1", "recall"])
def test_a_worse_candidate_is_refused_in_any_metric_and_one_as_good_is_not(metric: str) -> None:
    gate = BeatsChampion(metric=metric)
    assert judged(gate, binary(0.3, 0.1)) is FAIL
    assert judged(gate, binary(0.1, 0.1)) is PASS
    assert judged(gate, binary(0.1, 0.3)) is PASS


@pytest.mark.parametrize(
    ("interval", "said"),
    [((-0.16, -0.13), "clearly below 0"), ((-0.01, 0.05), "clearly below the margin 0.1"),
     ((-0.01, 0.12), "not clearly above the margin 0.1")],
)  # fmt: skip
def test_a_pass_says_what_is_proved_and_excuses_nothing_that_is_better(
    interval: tuple[float, float], said: str
) -> None:
    found = Evidence.of("beats_champion", sum(interval) / 2, 500, subject="loss", interval=interval)
    judgement = judge_excess(found, margin=0.1, at_least_rows=1, at_most_width=1.0)
    assert (judgement.verdict, judgement.reason.partition("; ")[2]) == (PASS, said)


def test_a_metric_of_probabilities_is_compared_too() -> None:
    rows = binary(0.1)
    sure = np.where(rows.label == "1", 0.9, 0.1)
    good, bad = np.column_stack((1 - sure, sure)), np.full((N, 2), 0.5)
    for metric in ("log_loss", "brier", "roc_auc"):
        gate = BeatsChampion(metric=metric, at_most_width=1.0)
        assert judged(gate, replace(rows, challenger_chance=bad, champion_chance=good)) is FAIL, metric
        assert judged(gate, replace(rows, challenger_chance=good, champion_chance=bad)) is PASS, metric
        assert judged(gate, rows) is ERROR, "no probabilities, and no verdict on them"


def test_a_business_metric_is_compared_in_the_direction_that_it_has() -> None:
    gate = BeatsChampion(
        metric="business.profit", better="higher", definition="avg(prediction * (2 * label - 1))", at_most_width=1.0
    )
    assert gate.key == "beats_champion(business.profit)"
    assert judged(gate, binary(0.4, 0.05)) is FAIL
    assert judged(gate, binary(0.05, 0.4)) is PASS
    with pytest.raises(InvariantError, match="needs higher or lower"):
        BeatsChampion(metric="business.profit", definition="1")


def test_a_business_metric_that_is_code_is_compared_with_its_interval_and_one_that_breaks_is_an_error() -> None:
    def profit(rows: pl.DataFrame) -> float:
        return float((rows["prediction"] * (2 * rows["label"] - 1)).mean())  # type: ignore[arg-type]  # a number

    def broken(rows: pl.DataFrame) -> float:
        return float(rows["clicked"].sum())

    in_sql = BeatsChampion(metric="business.p", better="higher", definition="avg(prediction * (2 * label - 1))")
    in_code = BeatsChampion(metric="business.p", better="higher", definition="pipeline:profit", function=profit)
    for rows in (binary(0.4, 0.05), binary(0.05, 0.4)):
        (told, *_), (wanted, *_) = in_code.measure(rows), in_sql.measure(rows)
        assert (told.value, told.low, told.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
        assert wanted.low is not None
        assert wanted.low < wanted.value < wanted.high  # type: ignore[operator]  # measured
    assert judged(replace(in_code, at_most_width=1.0), binary(0.4, 0.05)) is FAIL
    assert judged(replace(in_code, at_most_width=1.0), binary(0.05, 0.4)) is PASS
    assert judged(replace(in_code, function=broken), binary(0.05, 0.4)) is ERROR
    suite = Suites(names=("golden",), metric="business.p", better="higher", definition="pipeline:p", function=profit)
    assert judged(replace(suite, at_most_width=1.0), with_suite(binary(0.1), golden=binary(0.4, 0.05))) is FAIL


def test_the_bootstrap_agrees_with_the_exact_interval() -> None:
    rows = binary(0.2, 0.15, n=2000)
    (exact, *_), (drawn, *_) = BeatsChampion().measure(rows), BeatsChampion(metric="error").measure(rows)
    assert drawn.value == pytest.approx(exact.value)
    assert (drawn.low, drawn.high) == pytest.approx((exact.low, exact.high), abs=0.006)


def test_rows_that_resemble_each_other_count_as_fewer() -> None:
    chance = np.random.default_rng(0)
    alone = (chance.random(1000) < 0.3).astype(float)
    together = np.repeat(alone[:50], 20)
    widths = [np.subtract(*loss_excess(each, 0 * each, 0.95)[1][::-1]) for each in (alone, together)]
    assert widths[1] > 3 * widths[0]


def test_just_as_good_is_seldom_refused_and_clearly_worse_nearly_always() -> None:
    gate = BeatsChampion(margin=0.0)
    equal = sum(judged(gate, binary(0.2, 0.2, seed=seed)) is FAIL for seed in range(200))
    worse = sum(judged(gate, binary(0.3, 0.2, seed=seed)) is FAIL for seed in range(200))
    assert equal <= 12
    assert worse >= 180


@pytest.mark.parametrize(
    ("gate", "good", "bad"),
    [
        (Suites(names=("golden",)), binary(0.1), binary(0.3)),
        (Forgetting(suites=("golden",)), binary(0.1), binary(0.3)),
        (Forgetting(suites=("golden",), at_most=0.5, flips=0.1), binary(0.05, 0.05), binary(0.3)),
        (
            Anchor(suite="golden"),
            binary(0.1, anchor_loss=binary(0.1).challenger_loss),
            binary(0.3, anchor_loss=binary(0.1).challenger_loss),
        ),
    ],
    ids=["suites", "forgetting", "flips", "anchor"],
)
def test_a_suite_stops_what_held_out_rows_do_not_see(gate: Gate, good: HeldOut, bad: HeldOut) -> None:
    rows = binary(0.05, 0.1)
    assert judged(gate, with_suite(rows, golden=good)) is PASS
    assert judged(gate, with_suite(rows, golden=bad)) is FAIL
    assert judged(gate, with_suite(rows, golden=good.at(np.arange(20)))) is INCONCLUSIVE
    assert judged(gate, with_suite(rows, golden=unusable)) is ERROR
    assert judged(gate, rows) is ERROR, "a suite that is not there proves nothing"
    assert judged(gate, with_suite(rows, golden=replace(good, trained_on=1))) is ERROR, "a row was trained on"
    assert gate.judge(()).verdict is INCONCLUSIVE


def test_a_limit_of_flips_that_nobody_measured_lets_nobody_through() -> None:
    (excess,) = Forgetting(suites=("golden",)).measure(with_suite(binary(0.1), golden=binary(0.1)))
    assert Forgetting(suites=("golden",)).judge((excess,)).verdict is PASS
    assert Forgetting(suites=("golden",), flips=0.1).judge((excess,)).verdict is INCONCLUSIVE


def test_of_two_suites_the_worse_decides_and_none_may_be_left_out() -> None:
    gate = Suites(names=("golden", "stress"))
    both = with_suite(binary(0.1), golden=binary(0.1), stress=binary(0.3))
    assert judged(gate, both) is FAIL
    assert "stress" in gate.judge(gate.measure(both)).reason
    (golden, _) = gate.measure(both)
    assert gate.judge((golden,)).verdict is INCONCLUSIVE


def test_without_a_pinned_version_an_anchor_holds_nothing() -> None:
    assert judged(Anchor(suite="golden"), with_suite(binary(0.1), golden=binary(0.1))) is ERROR


@pytest.mark.fault("A3")
def test_thirty_small_steps_of_poison_are_stopped_before_the_budget_is_spent() -> None:
    """Each retrain is two points worse than the last on rows that are poisoned with it, so no step looks like harm."""
    budget, sealed = 0.03, np.random.default_rng(1).random(4000)
    label = np.array(["1"] * 4000)

    def loss_on_sealed(poison: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return (sealed < 0.1 + poison).astype(float)

    def trial(poison: float, champion: float, step: int) -> HeldOut:
        golden = HeldOut(
            task=binary(0.1).task,
            label=label,
            challenger=label,
            challenger_loss=loss_on_sealed(poison),
            champion=label,
            champion_loss=loss_on_sealed(champion),
            anchor_loss=loss_on_sealed(0.0),
        )
        return with_suite(binary(0.1, 0.1, seed=step), golden=golden)

    def led_to(anchored: bool) -> float:
        champion = 0.0
        for step in range(30):
            poison = champion + 0.004
            rows = trial(poison, champion, step)
            gates: list[Gate] = [BeatsChampion(), Suites(names=("golden",))]
            gates += [Anchor(suite="golden", budget=budget)] if anchored else []
            if all(judged(gate, rows) is PASS for gate in gates):
                champion = poison
        return float((loss_on_sealed(champion) - loss_on_sealed(0.0)).mean())

    assert led_to(anchored=False) > 2 * budget, "the steps are too large to be a test"
    assert led_to(anchored=True) <= budget


def sliced(worse: str, by: float = 0.3, n: int = N) -> HeldOut:
    rows = binary(0.1, 0.1, n=n)
    country = np.array(["DE", "FR", "IT"])[np.arange(n) % 3]
    hit = (country == worse) & (np.random.default_rng(3).random(n) < by)
    table = pl.DataFrame({"country": country, "age": np.arange(n, dtype=float)})
    return replace(rows, challenger_loss=np.maximum(rows.challenger_loss, hit.astype(float)), table=table)


def test_a_slice_that_got_worse_is_found_where_the_whole_hides_it() -> None:
    gate = Slices(by=("country",))
    assert judged(gate, sliced("none")) is PASS
    found = gate.judge(gate.measure(sliced("IT")))
    assert found.verdict is FAIL
    assert "country = IT" in found.reason
    assert "country = DE" not in found.reason


def test_slices_of_numbers_are_quarters_and_small_ones_are_left_out() -> None:
    by_age = Slices(by=("age",))
    assert [each.n for each in by_age.measure(sliced("none"))] == [150] * 4
    assert judged(Slices(by=("country",), at_least_rows=300), sliced("IT")) is INCONCLUSIVE
    assert judged(Slices(by=("city",)), sliced("IT")) is ERROR


def test_a_first_champion_is_held_to_the_absolute_limit_of_its_slices() -> None:
    rows = replace(sliced("IT", 0.9), champion=None, champion_loss=None)
    assert judged(Slices(by=("country",), at_most=0.3), rows) is FAIL
    assert judged(Slices(by=("country",), at_most=0.95), rows) is PASS
    assert judged(Slices(by=("country",)), rows) is INCONCLUSIVE


def test_a_slice_above_the_absolute_limit_never_passes() -> None:
    rows = replace(sliced("IT", 0.9), champion=None, champion_loss=None)
    gate = Slices(by=("country",))
    loss = max(each.value or 0.0 for each in replace(gate, at_most=0.5).measure(rows))
    assert judged(replace(gate, at_most=loss - 0.01), rows) is INCONCLUSIVE
    said = (near := replace(gate, at_most=loss + 0.001)).judge(near.measure(rows))
    assert said.verdict is PASS
    assert said.reason.startswith(f"3 slices, the worst loss of country = IT {loss:.4g} (")
    assert said.reason.endswith(f" on 200 rows, at most {loss + 0.001:.4g}")


def test_slices_that_are_too_small_are_named_the_largest_first() -> None:
    shop = np.array([f"s{min(at // 10, 40)}" for at in range(N)])
    shop[:15] = "s0"
    rows = replace(sliced("none"), table=pl.DataFrame({"shop": shop}))
    gate = Slices(by=("shop",), at_most=0.5)
    found = gate.measure(rows)
    small = [each for each in found if each.problem]
    assert (small[0].subject, small[0].n, len(small)) == ("shop = s0", 15, 11)
    assert small[0].problem == "too small to be compared: 15 rows, 50 are needed"
    assert (small[-1].subject, small[-1].n) == ("30 more", 295)
    said = gate.judge(found)
    assert said.verdict is PASS
    assert said.reason.startswith("1 slice, the worst shop = s40: excess ")
    assert "; too small to be compared: shop = s0 (15 rows), " in said.reason
    assert said.reason.endswith("30 more (295 rows)")
    assert judged(gate, rows) is PASS
    none = replace(gate, at_least_rows=500)
    assert none.judge(none.measure(rows)).reason.startswith("no slice: none has 500 rows; too small to be compared: ")


def test_what_a_few_rows_hold_is_not_named_and_what_is_named_is_short_and_on_one_line() -> None:
    shop = np.array(["big"] * N, dtype=object)
    shop[:4], shop[4:10] = "ada", "\x1b[2J\n" + "x" * 100
    rows = replace(sliced("none"), table=pl.DataFrame({"shop": pl.Series(shop, dtype=pl.String)}))
    gate = Slices(by=("shop",))
    found = [each for each in gate.measure(rows) if each.problem]
    assert [(each.subject, each.n) for each in found[1:]] == [("1 more", 4)]
    assert found[0].subject == "shop = '\\x1b[2J\\n" + "x" * 50 + "…"
    assert "ada" not in gate.judge(gate.measure(rows)).reason


def test_many_slices_seldom_find_one_that_is_not_there() -> None:
    chance = np.random.default_rng(4)

    def rows(seed: int) -> HeldOut:
        return replace(binary(0.2, 0.2, n=2000, seed=seed), table=pl.DataFrame({"shop": chance.choice(20, 2000)}))

    assert sum(judged(Slices(by=("shop",), margin=0.0), rows(seed)) is FAIL for seed in range(100)) <= 6
