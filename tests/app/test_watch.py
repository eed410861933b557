"""What `triggers` may say reaches the trigger as conditions, schedules and changes; nonsense is refused."""

from datetime import timedelta
from pathlib import Path

import pytest

from anew.adapters.cron_schedule import CronSchedule
from anew.app.settings import load
from anew.app.watch import Watch, watched_by
from anew.domain.errors import SettingsError
from anew.domain.severity import Severity
from anew.monitor.domain_classifier import DomainClassifier
from anew.monitor.drift import Drift
from anew.monitor.label_shift import LabelShift
from anew.monitor.mmd import MMD
from anew.monitor.rule import Rule
from anew.trigger import Changes, Condition, NewData
from anew.trigger.every import Every
from tests.app.small_project import YAML, write_project

LINE = "  - {psi: {above: 0.5}, for: 2 windows}\n"


def watch_of(folder: Path, *lines: str) -> Watch:
    text = YAML.replace(LINE, "".join(f"  - {line}\n" for line in lines))
    assert text != YAML
    return watched_by(load(write_project(folder, text)))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{psi: {}, for: 3}", Condition(detectors=("psi>0.25",), windows=3)),
        ("{psi: {}, severity: high}", Condition(detectors=("psi>0.25",), severity=Severity.HIGH)),
        (
            "{psi: {}, rearm: 2 windows, bypass: cooldown}",
            Condition(detectors=("psi>0.25",), rearm=2, past_cooldown=True),
        ),
        ("{rule: 'prediction >= 0'}", Condition(detectors=("rule(prediction >= 0)",))),
        ("{rule: 'x >= 0', data: corrected}", Condition(detectors=("rule(x >= 0)",), corrected=True)),
        (
            "{all: [{psi: {}}, {label_shift: {}}], for: 2 windows}",
            Condition(detectors=("psi>0.25", "label_shift(p<0.01)"), needs=2, windows=2),
        ),
        (
            "{any: [{psi: {column: x}}, {slo: {metric: f1, at_least: 0.5}}]}",
            Condition(detectors=("psi(x)>0.25", "slo(f1>=0.5)")),
        ),
        (
            "{at_least: 2, of: [{psi: {}}, {label_shift: {}}, {prediction_shift: {}}]}",
            Condition(detectors=("psi>0.25", "label_shift(p<0.01)", "prediction_shift(psi>0.25)"), needs=2),
        ),
    ],
)
def test_an_entry_is_a_condition(tmp_path: Path, line: str, expected: Condition) -> None:
    found = watch_of(tmp_path, line)
    assert found.conditions[-1] == expected
    assert set(expected.detectors) <= set(found.detectors)


def test_schedules_changes_and_new_data(tmp_path: Path) -> None:
    found = watch_of(
        tmp_path,
        "{every: 24h}",
        "{cron: '0 3 * * MON', zone: Europe/Berlin, bypass: cooldown}",
        "{changed: [code, policy]}",
        "{new_data: 5000 rows}",
    )
    assert found.schedules == [
        Every(length=timedelta(days=1)),
        CronSchedule(expression="0 3 * * MON", zone="Europe/Berlin", past_cooldown=True),
    ]
    assert found.changes == Changes(code=True, policy=True)
    assert found.new_data == NewData(rows=5000)
    assert len(found.conditions) == 1  # the objective's


def test_a_period_is_called_over(tmp_path: Path) -> None:
    found = watch_of(tmp_path, "{label_shift: {test: psi, above: 0.1, over: 7d}}")
    assert found.detectors["label_shift(psi>0.1)"] == LabelShift(test="psi", above=0.1, period=timedelta(days=7))


def test_a_detector_may_stand_alone_and_in_a_combination(tmp_path: Path) -> None:
    found = watch_of(tmp_path, "{psi: {}, for: 3}", "{all: [{psi: {}}, {label_shift: {}}]}")
    assert len(found.conditions) == 3


def test_only_what_need_not_last_is_looked_at_at_once(tmp_path: Path) -> None:
    found = watch_of(tmp_path, "{rule: 'x > 0', data: corrected}", "{rule: 'z > 0', for: 2 windows}", "{psi: {}}")
    assert list(found.at_once) == ["rule(x > 0)"]
    assert found.rules == (Rule(keep="x > 0", data="corrected"),)


def test_the_budget_of_false_alarms_is_shared_over_windows_and_calibrated_detectors(tmp_path: Path) -> None:
    found = watch_of(tmp_path / "a", "{drift: {}}", "{psi: {}}")
    assert found.detectors["drift>0.005"] == Drift(alpha=1 / 365, declared="1 per 365d declared")
    assert found.needs_traits
    both = watch_of(tmp_path / "b", "{drift: {columns: [x]}}", "{drift: {columns: [z]}}", "{drift: {alpha: 0.01}}")
    shared = "1 per 365d declared, shared by 2 detectors"
    assert both.detectors["drift(x)>0.005"] == Drift(columns=("x",), alpha=1 / 730, declared=shared)
    assert both.detectors["drift>0.005"] == Drift(alpha=0.01)
    assert not watch_of(tmp_path / "c", "{psi: {}}").needs_traits


def test_detectors_of_whole_rows_share_the_budget_unless_they_have_a_limit_of_their_own(tmp_path: Path) -> None:
    found = watch_of(tmp_path / "a", "{drift: {}}", "{mmd: {}}", "{domain_classifier: {}}", "{mmd: {p_below: 0.01}}")
    shared = {"alpha": 1 / 1095, "declared": "1 per 365d declared, shared by 3 detectors"}
    assert found.detectors == {
        "drift>0.005": Drift(**shared),  # type: ignore[arg-type]  # as its fields have them
        "mmd": MMD(**shared),  # type: ignore[arg-type]  # likewise
        "domain_classifier": DomainClassifier(**shared),  # type: ignore[arg-type]  # likewise
        "mmd:p<0.01": MMD(p_below=0.01),
    } | {key: each for key, each in found.detectors.items() if key.startswith("slo")}
    assert watch_of(tmp_path / "b", "{mmd: {}}").needs_traits
    assert not watch_of(tmp_path / "c", "{mmd: {p_below: 0.01}}").needs_traits


def test_a_budget_that_a_test_cannot_promise_is_refused_with_its_name(tmp_path: Path) -> None:
    text = YAML.replace(LINE, "  - {drift: {}}\n  - {mmd: {}}\n").replace("{window: 1d}", "{window: 1h}")
    settings = load(write_project(tmp_path, text))
    with pytest.raises(
        SettingsError, match=r"a chance of 5\.7e-05 in a window, and these cannot promise.*: mmd \(0.0001\)"
    ):
        watched_by(settings)
    wide = watched_by(settings, window=timedelta(days=1))
    assert wide.detectors["mmd"].alpha == pytest.approx(1 / 730)  # type: ignore[attr-defined]  # an MMD


def test_a_budget_is_read_and_follows_the_length_of_windows(tmp_path: Path) -> None:
    text = YAML.replace(LINE, "  - {drift: {}}\n").replace("{window: 1d}", "{window: 1h, false_alarms: 3 per 30d}")
    settings = load(write_project(tmp_path, text))
    assert watched_by(settings).detectors["drift>0.005"].alpha == pytest.approx(3 / 720)  # type: ignore[attr-defined]  # a Drift
    wide = watched_by(settings, window=timedelta(days=1))
    assert wide.detectors["drift>0.005"].alpha == pytest.approx(0.1)  # type: ignore[attr-defined]  # a Drift
    with pytest.raises(SettingsError, match=r"anew.yaml:9:\d+: false_alarms: '3 per 30d' over windows of 2w lets 140%"):
        watched_by(settings, window=timedelta(days=14))


@pytest.mark.parametrize("rate", ["0 per 30d", "often", "1 per 0d", "1 per"])
def test_a_budget_that_is_none_is_refused_at_its_place(tmp_path: Path, rate: str) -> None:
    text = YAML.replace("{window: 1d}", f"{{window: 1d, false_alarms: {rate}}}")
    with pytest.raises(SettingsError, match=r"anew.yaml:9:\d+: monitor.false_alarms: "):
        load(write_project(tmp_path, text))


@pytest.mark.fault("P8")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{every: 10s}", "anew.yaml:13:5: every 0:00:10: a minute is the least"),
        ("{every: daily}", "anew.yaml:13:5: 'daily' is no duration"),
        ("{every: 24h, for: 2 windows}", "anew.yaml:13:5: unknown option 'for'"),
        ("{cron: '0 3 * *'}", "anew.yaml:13:5: '0 3 * *' is no cron expression"),
        ("{cron: '0 3 * * *', zone: Berlin}", "anew.yaml:13:5: 'Berlin' is no time zone"),
        ("{cron: '0 3 * * *', zne: UTC}", "unknown option 'zne'; did you mean zone?"),
        ("{changed: [data]}", "anew.yaml:13:5: changed: found ['data']; write code, policy"),
        ("{changed: []}", "changed: found []"),
        ("{new_data: many}", "anew.yaml:13:5: 'many' is no number of rows"),
        ("{rule: 'nobody >= 0'}", "anew.yaml:13:5: 'nobody' is no feature"),
        ("{rule: 'x >'}", "anew.yaml:13:5: rule 'x >' is no condition in SQL"),
        ("{rule: \"prediction IN ('0', '1')\"}", "anew.yaml:13:5: rule \"prediction IN ('0', '1')\" cannot be read: "),
        ("{rule: \"x = 'a'\"}", "; x is a number. A rule is true or false for each row"),
        ("{rule: 'x'}", "rule 'x' cannot be read: x gives Float64, not true or false; x is a number"),
        ("{rule: 'avg(prediction) >= 0.5'}", "is one value for all rows, not one for each; prediction is a number"),
        ("{any: [{rule: 'x'}, {psi: {}}]}", "anew.yaml:13:5: number 1: rule 'x' cannot be read"),
        ("{rule: 'x > 0', data: fixed}", "anew.yaml:13:5: data: "),
        ("{rule: 'x > 0', keep: 1}", "unknown option 'keep'"),
        ("{all: [{psi: {}}]}", "anew.yaml:13:5: all: found"),
        ("{all: [{psi: {}}, {pis: {}}]}", "anew.yaml:13:5: number 2: 'pis' is no component of monitor"),
        ("{all: [{psi: {}}, {psi: {}}]}", "anew.yaml:13:5: a detector stands twice in it"),
        ("{any: [{psi: {}}, psi]}", "anew.yaml:13:5: number 2: found 'psi'; write {NAME: OPTIONS}"),
        ("{any: [{psi: {}}, {every: 24h}]}", "number 2: 'every' is no detector of windows; let it stand by itself"),
        ("{at_least: 3, of: [{psi: {}}, {label_shift: {}}]}", "at_least: found 3; write a number from 1 to 2"),
        ("{at_least: 1}", "of: found None"),
        ("{psi: {}, severity: severe}", "severity: found 'severe'; known are low, medium, high, critical"),
        ("{psi: {}, bypass: budget}", "bypass: found 'budget'; known are cooldown"),
        ("{psi: {}, rearm: often}", "'often' is no number of windows"),
        ("{label_shift: {period: 7d}}", "did you mean over?"),
        ("{label_shift: {over: 1h}}", "is less than the window"),
        ("{every: 24h}\n  - {every: 1d}", "anew.yaml:14:5: the schedule every 24h stands twice"),
    ],
)
def test_what_could_never_ask_is_refused_at_its_place(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(SettingsError) as found:
        watch_of(tmp_path, line)
    assert any(said in each for each in found.value.problems), found.value.problems


def test_a_rule_reads_classes_as_they_are_declared(tmp_path: Path) -> None:
    text = YAML.replace(LINE, "  - {rule: 'prediction < 1'}\n")
    assert "rule(prediction < 1)" in watched_by(load(write_project(tmp_path / "p", text))).detectors
    settings = load(write_project(tmp_path / "q", text.replace("[0, 1]", "['0', '1']")))
    with pytest.raises(SettingsError, match=r"cannot compare string with numeric type .*; prediction is text"):
        watched_by(settings)


@pytest.mark.parametrize("name", ["ks", "wasserstein"])
def test_a_distance_of_numbers_is_refused_on_a_category(tmp_path: Path, name: str) -> None:
    text = YAML.replace("z: number", "z: category").replace(LINE, f"  - {{{name}: {{column: z}}}}\n")
    settings = load(write_project(tmp_path, text))
    with pytest.raises(SettingsError, match="13:5: it is a distance of numbers, and 'z' is a category; use psi, js or"):
        watched_by(settings)
