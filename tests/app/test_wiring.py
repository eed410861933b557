"""The policy reaches the stages, and a rule that could never fire is an error."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from anew.app.gates import chosen_gates
from anew.app.settings import Settings, load
from anew.app.watch import watched_by
from anew.app.wiring import stages
from anew.domain.errors import SettingsError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.governance import Governance
from anew.governance.approvals import Approvals
from anew.monitor.psi import PSI
from anew.monitor.slo import SLO
from anew.rollout import Rollout
from anew.train import Train
from anew.train.auto_span import AutoSpan
from anew.train.since_change import SinceChange
from anew.train.sources import Sources
from anew.train.span import Span
from anew.trigger import Trigger
from anew.trigger.budget import Allowance, Budget
from anew.validate.slos import SLOs
from tests.app.small_project import YAML, write_project

SLO_LINE = "  - {metric: error, at_most: 0.3}\n"
TRIGGER_LINE = "  - {psi: {above: 0.5}, for: 2 windows}\n"


def settings_of(folder: Path, yaml: str = YAML) -> Settings:
    return load(write_project(folder, yaml))


def refused(folder: Path, yaml: str, make: Callable[[Settings], object] = stages) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as found:
        make(settings_of(folder, yaml))
    return found.value.problems


def test_the_stages_hear_facts_in_the_order_of_the_loop(tmp_path: Path) -> None:
    made = stages(settings_of(tmp_path))
    expected = ["registry", "feedback", "monitor", "trigger", "governance", "train", "validate", "rollout"]
    assert list(made) == expected


def test_the_policy_reaches_the_stages(tmp_path: Path) -> None:
    extra = (
        "policy: {cooldown: 2d, budget: {retrains: 3 per 1w}}\n"
        "rollout: {shadow: {margin: 0.02, at_least_rows: 40}, canary: [0.2], judge: {harm: 0.1}, expire: 9d}\n"
    )
    made = stages(
        settings_of(tmp_path, YAML.replace("error, at_most: 0.3", "f1, at_least: 0.6, over: 3d, for: 4") + extra)
    )
    trigger, train, rollout = made["trigger"], made["train"], made["rollout"]
    assert isinstance(trigger, Trigger)
    assert [(each.name, each.windows) for each in trigger.conditions] == [("slo(f1>=0.6 over 72h)", 4), ("psi>0.5", 2)]
    assert trigger.cooldown.length == timedelta(days=2)
    assert trigger.budget == Budget(retrains=3, period=timedelta(weeks=1))
    assert isinstance(train, Train)
    assert (train.span, train.holdout_share) == (Span(length=timedelta(days=10)), 0.2)
    assert isinstance(rollout, Rollout)
    assert (rollout.steps, rollout.expire) == ((0.2,), timedelta(days=9))
    assert watched_by(settings_of(tmp_path)).detectors == {
        "slo(error<=0.3)": SLO(metric="error", at_most=0.3),
        "psi>0.5": PSI(above=0.5),
    }


def test_budgets_of_compute_and_money_reach_the_trigger(tmp_path: Path) -> None:
    extra = "policy: {cost: %s, budget: {compute_hours: 2.5 per 7d, cost: 9 per 30d}}\n"
    month = timedelta(days=30)
    hours = Allowance(of="compute hours", amount=2.5, period=timedelta(days=7))
    for cost, priced in (
        ("{compute_hour: 0.2}", Allowance(of="money", amount=9, period=month, per_hour=0.2)),
        ("{retrain: 3, error: 1}", Allowance(of="money", amount=9, period=month, per_hour=0.0, per_run=3.0)),
    ):
        trigger = stages(settings_of(tmp_path, YAML + extra % cost))["trigger"]
        assert isinstance(trigger, Trigger)
        assert trigger.allowances == (hours, priced)
        assert trigger.budget is None


@pytest.mark.parametrize(
    ("window", "patience", "expire"),
    [("1h", timedelta(days=3), timedelta(days=30)), ("7d", timedelta(days=35), timedelta(days=70))],
)
def test_a_rollout_waits_for_windows_of_labels_unless_told(
    tmp_path: Path, window: str, patience: timedelta, expire: timedelta
) -> None:
    yaml = YAML.replace("window: 1d", f"window: {window}")
    at_once, late = (
        stages(settings_of(tmp_path, yaml), label_delay=each)["rollout"] for each in (timedelta(), timedelta(days=2))
    )
    assert isinstance(at_once, Rollout)
    assert isinstance(late, Rollout)
    assert (at_once.patience, at_once.expire) == (patience, expire)
    assert (late.patience, late.expire) == (patience + timedelta(days=2), expire + timedelta(days=2))


def test_the_gates_keep_the_projects_objectives(tmp_path: Path) -> None:
    made = chosen_gates(
        settings_of(tmp_path, YAML + "validate: [{slos: {or_closer: true}}, {beats_champion: {}, mode: advisory}]\n")
    ).gates
    slos, required = made["slos"]
    assert isinstance(slos, SLOs)
    assert [str(each) for each in slos.objectives] == ["error at most 0.3"]
    assert (slos.or_closer, required) == (True, True)
    assert made["beats_champion"][1] is False


def test_gates_that_count_and_judge_all_rows_say_how_many_have_to_be_held_out(tmp_path: Path) -> None:
    gates = "[{beats_champion: {at_least_rows: 120}}, {calibration: {at_least_rows: 900}, mode: advisory}]"
    assert chosen_gates(settings_of(tmp_path, f"{YAML}validate: {gates}\n")).least_rows == 120
    assert stages(settings_of(tmp_path, f"{YAML}validate: {gates}\n"))["train"].holdout_least == 120  # type: ignore[attr-defined] # the stage of that name


def test_a_gate_may_have_objectives_of_its_own(tmp_path: Path) -> None:
    own = "validate: [{slos: {objectives: [{metric: f1, at_least: 0.5}]}}]\n"
    slos, _ = chosen_gates(settings_of(tmp_path, YAML + own)).gates["slos"]
    assert isinstance(slos, SLOs)
    assert [str(each) for each in slos.objectives] == ["f1 at least 0.5"]


def test_a_business_metric_is_watched_and_not_asked_of_a_candidate(tmp_path: Path) -> None:
    own = "  - {metric: business.ctr, at_least: 0.3}\nbusiness: {ctr: avg(label)}\n"
    settings = settings_of(tmp_path, YAML.replace(SLO_LINE, SLO_LINE + own))
    watched = watched_by(settings).detectors
    assert watched["slo(business.ctr>=0.3)"] == SLO(metric="business.ctr", at_least=0.3, definition="avg(label)")
    slos, _ = chosen_gates(settings).gates["slos"]
    assert isinstance(slos, SLOs)
    assert [str(each) for each in slos.objectives] == ["error at most 0.3"]
    kept = Evidence.of("slos", 0.1, 60, subject="error at most 0.3")
    said = slos.judge((kept,))
    assert said.verdict is Verdict.PASS
    assert said.reason.endswith("business.ctr at least 0.3: not asked of held-out rows, but of what is served")


@pytest.mark.fault("P8")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{metric: eror, at_most: 0.3}", "anew.yaml:11:5: slo on metric 'eror': known are accuracy, brier"),
        ("{metric: business.ctr, at_least: 0.3}", "'business.ctr', which `business` does not define"),
        ("{metric: business.ctr, at_least: 0.3}\nbusiness: {cts: avg(label)}", "did you mean cts?"),
        ("{metric: business.ctr, at_least: 0.3}\nbusiness: {ctr: avg(label}", "'avg(label' is no aggregate in SQL"),
        ("{metric: error, at_most: 0.3, definition: avg(label)}", "stand under `business`"),
        ("{metric: mae, at_most: 0.3}", "anew.yaml:11:5: metric 'mae' makes no sense for binary"),
        ("{metric: error}", "give exactly one of at_most and at_least"),
        ("{metric: error, at_most: 0.1, at_least: 0.1}", "give exactly one"),
        ("{metric: error, at_most: .inf}", "finite"),
        ("{metric: error, at_most: a lot}", "anew.yaml:11:5: at_most: "),
        ("{at_most: 0.3}", "anew.yaml:11:5: metric is missing"),
        ("{metric: error, at_most: 0.3, for: 2 days}", "anew.yaml:11:5: '2 days' is no number of windows"),
        ("{metric: error, at_most: 0.3, over: 1h}", "is less than the window"),
        ("{metric: error, at_most: 0.3, over: never}", "'never' is no duration"),
        ("{metric: error, at_most: 0.3, period: 7d}", "did you mean over?"),
        ("{metric: error, atmost: 0.3}", "did you mean at_most?"),
        (
            "{metric: error, at_most: 0.3}\n" + SLO_LINE.rstrip(),
            "anew.yaml:12:5: the detector slo(error<=0.3) stands twice",
        ),
    ],
)
def test_an_objective_that_could_never_be_kept_watch_on_is_an_error(tmp_path: Path, line: str, said: str) -> None:
    assert any(said in each for each in refused(tmp_path, YAML.replace(SLO_LINE, f"  - {line}\n")))


def test_regression_has_metrics_of_its_own(tmp_path: Path) -> None:
    yaml = YAML.replace("task: binary", "task: regression").replace("  classes: [0, 1]\n", "")
    assert refused(tmp_path, yaml) == (
        "anew.yaml:10:5: metric 'error' makes no sense for regression (known: mae, quantile_loss(0.9), rmse)",
    )
    assert "slo(mae<=0.3)" in watched_by(settings_of(tmp_path, yaml.replace("error", "mae"))).detectors


@pytest.mark.fault("P8")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{pis: {above: 0.25}}", "anew.yaml:13:5: 'pis' is no component of monitor; did you mean psi?"),
        ("{psi: {column: w}}", "anew.yaml:13:5: 'w' is no feature (known: x, z)"),
        ("{psi: {abov: 0.25}}", "did you mean above?"),
        ("{psi: 0.25}", "write its options as {NAME: VALUE}"),
        ("{psi: {above: 0}}", "give one limit, a positive one"),
        ("{psi: {}, slo: {}}", "an entry of triggers is one detector"),
        ("{for: 3 windows}", "an entry of triggers is one detector"),
        ("{psi: {}, for: 3 weeks}", "'3 weeks' is no number of windows"),
        ("{slo: {metric: rmse, at_most: 1}}", "metric 'rmse' makes no sense for binary"),
        ("{'json:dumps': {}}", "a component is a frozen dataclass"),
        ("{'anew.domain.interval:Interval': {}}", "no component of monitor: it lacks judge"),
        ("{psi: {above: 0.5}}\n" + TRIGGER_LINE.rstrip(), "anew.yaml:14:5: the detector psi>0.5 stands twice"),
    ],
)
def test_a_trigger_that_could_never_fire_is_an_error(tmp_path: Path, line: str, said: str) -> None:
    assert any(said in each for each in refused(tmp_path, YAML.replace(TRIGGER_LINE, f"  - {line}\n")))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[{slo: {}}]", "'slo' is no component of validate; did you mean slos?"),
        ("[{slos: {}, beats_champion: {}}]", "an entry of validate is one gate"),
        ("[{mode: ask}]", "an entry of validate is one gate"),
        ("[{slos: {}, mode: askk}]", "did you mean ask?"),
        ("[{slos: {}}, {slos: {}}]", "the gate slos stands twice"),
        ("[{slos: {objectives: [{metric: mae, at_most: 1}]}}]", "metric 'mae' makes no sense for binary"),
        ("[{slos: {objectives: [{metric: oops, at_most: 1}]}}]", "objective on metric 'oops'"),
        ("[{slos: 3}]", "write its options as {NAME: VALUE}"),
        ("[{beats_champion: {margin: 2}}]", "no candidate could fail"),
        ("[{slos: {}, mode: advisory}]", "at least one gate has to be required"),
        ("[]", "at least one gate has to be required"),
    ],
)
def test_gates_that_could_prove_nothing_are_an_error(tmp_path: Path, given: str, said: str) -> None:
    found = refused(tmp_path, YAML + f"validate: {given}\n", chosen_gates)
    assert any(each.startswith("anew.yaml:14:") and said in each for each in found)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("fairness: {columns: [x]}", "metric 'equalized_odds' is of binary tasks, and this one is regression"),
        ("forgetting: {suites: [past], flips: 0.05}", "flips: answers that turn wrong are known of classes"),
    ],
)
def test_a_gate_of_another_task_is_an_error(tmp_path: Path, gate: str, said: str) -> None:
    more = f"suites: {{past: {{past: 500 rows}}}}\nvalidate: [{{{gate}}}]\n"
    assert chosen_gates(settings_of(tmp_path / "binary", YAML + more)).gates
    yaml = YAML.replace("task: binary", "task: regression").replace("  classes: [0, 1]\n", "").replace("error", "mae")
    assert any(said in each for each in refused(tmp_path / "numbers", yaml + more, chosen_gates))


@pytest.mark.fault("V10")
def test_what_is_too_good_asks_a_person_unless_told_otherwise(tmp_path: Path) -> None:
    for number, (mode, asks) in enumerate([("", True), (", mode: ask", True), (", mode: required", False)]):
        chosen = chosen_gates(settings_of(tmp_path / str(number), f"{YAML}validate: [{{leakage: {{}}{mode}}}]\n"))
        assert ("leakage" in chosen.asking) is asks
        assert chosen.gates["leakage"][1]


def test_canary_steps_ascend(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, YAML + "rollout: {canary: [0.5, 0.1]}\n")
    assert problem.startswith("anew.yaml:14:11: canary steps (0.5, 0.1)")


def test_all_problems_of_all_parts_are_told_once(tmp_path: Path) -> None:
    yaml = YAML.replace("metric: error", "metric: oops").replace("{psi: {", "{pis: {")
    found = refused(tmp_path, yaml + "validate: [{beat_champion: {}}]\nrollout: {canary: [0.5, 0.1]}\n")
    assert len(found) == 4


def test_the_span_reaches_back_from_the_newest_mature_label(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, YAML.replace("window: 1d", "window: 1d, label_delay: 3d"))
    live, replayed = stages(settings)["train"], stages(settings, label_delay=timedelta(days=1))["train"]
    assert isinstance(live, Train)
    assert isinstance(replayed, Train)
    assert (live.span, replayed.span) == (Span(length=timedelta(days=13)), Span(length=timedelta(days=11)))


@pytest.mark.parametrize(
    ("span", "least", "said"),
    [
        ("10d", "13d", "data.span: 10d and monitor.label_delay are 13d"),
        ("all", "4d", "a window and monitor.label_delay are 4d"),
        (
            "since_change",
            "8d",
            "the 5 windows that data.span: since_change has at least and monitor.label_delay are 8d",
        ),
    ],
)
def test_rows_are_kept_until_they_were_trained_on(tmp_path: Path, span: str, least: str, said: str) -> None:
    yaml = YAML.replace("window: 1d", "window: 1d, label_delay: 3d").replace("span: 10d", f"span: {span}, keep: %s")
    (problem,) = refused(tmp_path / "short", yaml % "3d")
    assert problem.startswith("anew.yaml:8:")
    assert f"data.keep: 3d deletes rows before they are trained on: {said}; keep that or longer" in problem
    assert stages(settings_of(tmp_path / "enough", yaml % least))


def test_spans_that_are_chosen_and_what_a_snapshot_may_hold(tmp_path: Path) -> None:
    data = (
        "data: {span: %s, holdout: 0.2, rehearsal: 0.1, max_source_share: 0.3, uncapped_sources: [history], "
        "holdout_sources: [audit]}"
    )
    for number, (text, kind) in enumerate([("auto", AutoSpan), ("since_change", SinceChange), ("all", Span)]):
        yaml = YAML.replace("data: {span: 10d, holdout: 0.2}", data % text)
        train = stages(settings_of(tmp_path / str(number), yaml), label_delay=timedelta(hours=3))["train"]
        assert isinstance(train, Train)
        assert isinstance(train.span, kind)
        assert isinstance(train.span, Span) or train.span.delay == timedelta(hours=3)
        assert train.rehearsal == 0.1
        assert train.sources == Sources(max_share=0.3, uncapped=("history",), holdout=("audit",))
    rows = YAML.replace("window: 1d", "window: 500 rows").replace("span: 10d", "span: auto")
    with pytest.raises(SettingsError, match=r"anew\.yaml:8:8: data\.span: auto counts in windows of time"):
        stages(settings_of(tmp_path / "rows", rows))
    with pytest.raises(SettingsError, match=r"data\.span"):
        settings_of(tmp_path / "bad", YAML.replace("span: 10d", "span: automatic"))


GOVERNANCE = (
    "governance: {approvals: {promotion: 1, overridden: 2}, expires: 3d, four_eyes: none, approvers: [ada, bob],"
    " freeze: [Fri 16:00 - Mon 08:00 Europe/Berlin, 2026-12-20 00:00 - 2027-01-04 08:00],"
    " freeze_holds: [promotions, retrains]}\n"
)


def test_governance_is_as_the_policy_says(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, YAML + GOVERNANCE)
    made = stages(settings)["governance"]
    assert isinstance(made, Governance)
    assert made.approvals == Approvals(
        promotion=1, overridden=2, expires=timedelta(days=3), four_eyes=False, approvers=("ada", "bob")
    )
    assert [each.name for each in made.freezes] == list(settings.policy.governance.freeze)
    assert made.holds_retrains
    replayed = stages(settings, packaged=False)["governance"]
    assert isinstance(replayed, Governance)
    assert (replayed.approvals, replayed.freezes) == (Approvals(), made.freezes)


@pytest.mark.parametrize(
    ("governance", "said"),
    [
        ("{freeze: [weekends]}", "anew.yaml:14:23: governance.freeze: 'weekends' is no freeze"),
        ("{approvals: {promotion: 2}, approvers: [ada]}", "anew.yaml:14:1: governance: 2 have to sign, and only 1 may"),
        ("{expires: soon}", "governance: 'soon' is no duration"),
    ],
)
def test_governance_that_cannot_be_is_refused_with_its_place(tmp_path: Path, governance: str, said: str) -> None:
    (problem,) = refused(tmp_path, f"{YAML}governance: {governance}\n")
    assert said in problem


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("avg(foo)", "'avg(foo)' cannot be read on the project's rows: unable to find column \"foo\""),
        ("avg(z)", "'avg(z)' cannot be read on the project's rows: "),
        ("x", "'x' is one value for each row; make one number of them, as avg() does"),
        ("max(z)", "'max(z)' is String; it has to be a number"),
        ("avg(sold >", "cannot be read"),
    ],
)
def test_a_metric_that_is_no_number_of_any_row_is_refused_at_its_place(
    tmp_path: Path, definition: str, said: str
) -> None:
    yaml = YAML.replace("z: number", "z: category") + f"business: {{shown: '{definition}'}}\n"
    (problem,) = refused(tmp_path, yaml)
    assert problem.startswith("anew.yaml:14:12: business.shown: ")
    assert said in problem


@pytest.mark.parametrize("classes", ["[0, 1]", "['0', '1']", "[a, b]"])
@pytest.mark.parametrize(
    "definition", ["avg(x)", "count(*)", "avg(z = ''a'')", "sum(sold) / count(*)", "avg(thumb)", "avg(sex = ''f'')"]
)
def test_a_metric_may_read_features_events_and_what_gates_are_shown(
    tmp_path: Path, classes: str, definition: str
) -> None:
    yaml = YAML.replace("[0, 1]", classes).replace("z: number}", "z: category}\n  sensitive: [sex]")
    stages(settings_of(tmp_path, yaml + f"feedback: {{events: [sold]}}\nbusiness: {{shown: '{definition}'}}\n"))


@pytest.mark.parametrize(("classes", "right"), [("[0, 1]", True), ("['0', '1']", True), ("[a, b]", False)])
def test_a_metric_reads_classes_as_numbers_where_every_one_is(tmp_path: Path, classes: str, right: bool) -> None:
    yaml = YAML.replace("[0, 1]", classes) + "business: {shown: avg(prediction - label)}\n"
    if right:
        stages(settings_of(tmp_path, yaml))
    else:
        assert "business.shown" in refused(tmp_path, yaml)[0]


def test_a_gate_refuses_a_rule_that_cannot_be_read(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, YAML + "validate:\n  - rules: {keep: [\"prediction = '1'\"]}\n", chosen_gates)
    assert problem.startswith("anew.yaml:15:5: rule \"prediction = '1'\" cannot be read: cannot compare")
