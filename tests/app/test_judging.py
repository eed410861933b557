"""How a project says that its challengers are judged; what could never act is refused."""

from pathlib import Path

import pytest

from anew.app.judging import guardrails, judged_by
from anew.app.settings import load
from anew.app.watch import watched_by
from anew.app.wiring import stages
from anew.domain.errors import SettingsError
from anew.rollout.ab import AB
from anew.rollout.canary import Canary
from anew.rollout.shadow import Shadow
from anew.trigger import Trigger
from tests.app.small_project import YAML, write_project

KPI = 'kpis: {worth: {value: "CASE WHEN prediction = label THEN x END", low: 0, high: 10}}'


def judging(folder: Path, rollout: str, more: str = "") -> object:
    settings = load(write_project(folder, f"{YAML}rollout: {rollout}\n{more}"))
    return judged_by(settings, watched_by(settings))


def refused(folder: Path, rollout: str, more: str = "") -> str:
    with pytest.raises(SettingsError) as said:
        stages(load(write_project(folder, f"{YAML}rollout: {rollout}\n{more}")))
    return str(said.value)


def test_without_a_word_the_error_is_what_counts(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path))
    found = judged_by(settings, watched_by(settings))
    assert (found.paired_by, found.arms_by, found.rules) == (None, None, None)
    assert guardrails(settings).p99_ms is None


def test_shadow_and_canary_may_be_judged_by_a_kpi(tmp_path: Path) -> None:
    settings = load(
        write_project(tmp_path, f"{YAML}rollout: {{{KPI}, shadow: {{metric: error}}, judge: {{metric: worth}}}}\n")
    )
    found = judged_by(settings, watched_by(settings))
    assert found.paired_by is None
    assert found.arms_by is not None
    assert (found.arms_by.name, found.arms_by.high, found.arms_by.better) == ("worth", 10, "higher")


def test_the_level_is_shared_by_the_steps(tmp_path: Path) -> None:
    settings = load(
        write_project(tmp_path, f"{YAML}rollout: {{canary: [0.1, 0.5], judge: {{alpha: 0.04, margin: 0.02}}}}\n")
    )
    rollout = judged_by(settings, watched_by(settings)).rollout
    assert rollout.canary == Canary(alpha=0.02, margin=0.02)
    assert rollout.shadow == Shadow()


@pytest.mark.fault("P8")
@pytest.mark.parametrize(
    ("rollout", "where", "said"),
    [
        ("{judge: {metric: worht}, " + KPI + "}", "rollout.judge.metric", "did you mean worth?"),
        ("{shadow: {metric: worth}}", "rollout.shadow.metric", "measured nowhere"),
        ('{kpis: {worth: {value: "prise * 2", low: 0, high: 1}}}', "anew.yaml:14", "which no row has"),
        ('{kpis: {error: {value: "x", low: 0, high: 1}}}', "anew.yaml:14", "cannot be called error"),
        ('{kpis: {worth: {value: "x", low: 1, high: 1}}}', "anew.yaml:14", "no bounds"),
        ("{guardrails: {p99_ms: 1000}}", "rollout.guardrails.p99_ms", "serving.deadline_ms cuts it off at 200 ms"),
        ("{guardrails: {rules: 0.0}}", "rollout.guardrails.rules", "no rule among the triggers"),
        ("{guardrails: {error_rat: 0.1}}", "rollout.guardrails.error_rat", "did you mean error_rate?"),
    ],
)
def test_what_would_never_act_is_an_error_with_its_place(tmp_path: Path, rollout: str, where: str, said: str) -> None:
    found = refused(tmp_path, rollout)
    assert found.startswith("anew.yaml:14:")
    assert where in found
    assert said in found


@pytest.mark.fault("P8")
def test_control_a_guardrail_with_its_signal_is_taken(tmp_path: Path) -> None:
    settings = load(
        write_project(
            tmp_path,
            YAML.replace("triggers:\n", 'triggers:\n  - {rule: "x > -1000"}\n')
            + "rollout: {guardrails: {rules: 0.0, p99_ms: 150}}\n",
        )
    )
    found = judged_by(settings, watched_by(settings))
    assert found.rules is not None
    assert [each.keep for each in found.rules.rules] == ["x > -1000"]
    assert found.rules.steps
    assert guardrails(settings).p99_ms == 150
    assert not guardrails(settings).switched


def test_blue_green_takes_no_steps_in_which_a_rule_could_wait(tmp_path: Path) -> None:
    settings = load(
        write_project(
            tmp_path,
            YAML.replace("triggers:\n", 'triggers:\n  - {rule: "x > -1000"}\n')
            + "rollout: {strategy: blue_green, guardrails: {rules: 0.0}}\n",
        )
    )
    found = judged_by(settings, watched_by(settings))
    assert found.rules is not None
    assert not found.rules.steps
    assert guardrails(settings).switched


def test_a_trial_is_judged_at_a_level_that_its_arms_share(tmp_path: Path) -> None:
    told = "{strategy: ab, arms: [0.2, 0.3], judge: {alpha: 0.04, margin: 0.02, at_least_rows: 500}}"
    settings = load(write_project(tmp_path, f"{YAML}rollout: {told}\n"))
    rollout = judged_by(settings, watched_by(settings)).rollout
    assert rollout.arms == (0.2, 0.3)
    assert rollout.ab == AB(alpha=0.04, arms=2, margin=0.02, at_least_rows=500)
    trigger = stages(settings)["trigger"]
    assert isinstance(trigger, Trigger)
    assert trigger.arms == 2


@pytest.mark.parametrize(
    ("rollout", "where", "said"),
    [
        ("{strategy: ab}", "rollout.strategy", "arms: [0.2, 0.2, 0.2]"),
        ("{arms: [0.2]}", "rollout.arms", "write strategy: ab"),
        ("{strategy: blue_green, arms: [0.2]}", "rollout.arms", "the strategy is blue_green"),
        ("{strategy: ab, arms: [0.5, 0.45]}", "rollout.arms", "they take 95% of the traffic"),
        ("{strategy: ab, arms: [0.2], canary: [0.5]}", "rollout.canary", "leave it out"),
        ("{strategy: ab, arms: [0.2], shadow: {margin: 0.1}}", "rollout.shadow", "leave it out"),
        ("{strategy: ab, arms: [1.5]}", "rollout.arms", "less than 1"),
        ("{strategy: ab, arms: [0.2]}\nserving: {log_only: true}", "rollout.strategy", "no arm could"),
    ],
)
def test_a_trial_that_cannot_be_is_an_error_with_its_place(tmp_path: Path, rollout: str, where: str, said: str) -> None:
    found = refused(tmp_path, rollout)
    assert found.startswith("anew.yaml:14:")
    assert where in found
    assert said in found
