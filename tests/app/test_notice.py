"""What people are told of: what needs them, and what became of a version."""

from dataclasses import replace
from pathlib import Path

import pytest

from anew.app.followers import sinks
from anew.app.notice import notice
from anew.app.settings import load
from anew.domain.errors import SettingsError
from anew.domain.facts import FACTS, AlertRaised, EffectFailed, RetrainWithheld, RolloutSuperseded
from anew.domain.severity import Severity
from tests.adapters.fact_samples import sample
from tests.cli.recorded import write_record


def test_a_retrain_with_nothing_to_correct_with_is_told_and_urgent() -> None:
    failed = sample(EffectFailed)
    assert isinstance(failed, EffectFailed)
    found = notice(replace(failed, reason="nothing_to_correct", detail="no row of the history breaks prediction >= 0"))
    assert found is not None
    assert found.urgent
    assert "held: there is nothing to correct with" in found.title
    assert "no row of the history breaks" in found.body


@pytest.mark.parametrize(("severity", "told"), [(Severity.MEDIUM, False), (Severity.HIGH, True)])
def test_an_alert_is_told_when_it_is_high(severity: Severity, told: bool) -> None:
    alert = sample(AlertRaised)
    assert isinstance(alert, AlertRaised)
    assert (notice(replace(alert, severity=severity)) is not None) is told


def test_the_same_alert_again_has_the_same_key_and_another_detector_s_another() -> None:
    alert = sample(AlertRaised)
    assert isinstance(alert, AlertRaised)
    one, again, other = (
        notice(replace(alert, severity=Severity.HIGH, message=message, detector=detector))
        for message, detector in (("now", "psi"), ("later", "psi"), ("now", "ood"))
    )
    assert one is not None
    assert again is not None
    assert other is not None
    assert one.key == again.key != other.key


@pytest.mark.parametrize("reason", ["cooldown", "busy", "budget"])
def test_of_what_is_withheld_a_spent_budget_alone_is_told(reason: str) -> None:
    fact = sample(RetrainWithheld)
    assert isinstance(fact, RetrainWithheld)
    assert (notice(replace(fact, reason=reason)) is not None) is (reason == "budget")


def test_a_candidate_that_gives_way_is_told_and_needs_nobody() -> None:
    found = notice(sample(RolloutSuperseded))
    assert found is not None
    assert (found.urgent, "a candidate gave way" in found.title) == (False, True)


def test_everyday_business_is_not_told() -> None:
    for name in ("Ticked", "WindowClosed", "WindowScored", "RolloutObserved", "TrafficShifted", "TrainingPlanned"):
        assert notice(sample(FACTS[name])) is None


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    ("notify", "said"),
    [
        ("[slack://s3cret]", r"notify: it may hold a secret, so write env:NAME"),
        ("[env:NOWHERE_AT_ALL]", r"notify\.0: env:NOWHERE_AT_ALL"),
        ("['file:hook']", r"notify\.0: it is no URL that Apprise knows"),
    ],
)
def test_an_address_comes_by_reference_and_is_not_repeated(tmp_path: Path, notify: str, said: str) -> None:
    project = write_record(tmp_path / "small")
    (project / "hook").write_text("s3cret\n")
    policy = project / "anew.yaml"
    policy.write_text(f"{policy.read_text()}\nnotify: {notify}\n")
    with pytest.raises(SettingsError, match=said) as refused:
        sinks(load(project))
    assert "s3cret" not in str(refused.value)
    assert "anew.yaml:" in str(refused.value)
