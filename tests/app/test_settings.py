"""What is wrong with a project is told at once, all of it, each with its place."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from anew.app.settings import load
from anew.domain.column import ColumnKind, Task
from anew.domain.errors import NotFoundError, SettingsError
from anew.feedback.outcome import Implicit
from tests.app.small_project import YAML, write_project


def problems(folder: Path, old: str, new: str) -> tuple[str, ...]:
    assert old in YAML
    write_project(folder, YAML.replace(old, new))
    with pytest.raises(SettingsError) as found:
        load(folder)
    return found.value.problems


def test_a_project_is_read_with_its_revision(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path))
    assert (settings.model, settings.task, settings.window) == ("small", Task.BINARY, timedelta(days=1))
    assert settings.columns.names == ("x", "z")
    assert {column.kind for column in settings.columns.features} == {ColumnKind.NUMBER}
    assert settings.state == tmp_path / ".anew"
    other = load(write_project(tmp_path, YAML + "# a remark\n"))
    assert other.code == settings.code
    assert other.digest != settings.digest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model: small", "model: Small", "anew.yaml:1:1: model: "),
        ("model: small\n", "", "anew.yaml:1:1: model is missing"),
        ("task: binary", "task: classification", "anew.yaml:2:1: task: "),
        ("triggers:", "trigers:", "anew.yaml:12:1: unknown key 'trigers'; did you mean triggers?"),
        ("window: 1d", "windw: 1d", "anew.yaml:9:11: unknown key 'monitor.windw'; did you mean window?"),
        ("window: 1d", "window: 1 day", "anew.yaml:9:11: monitor.window: '1 day' is no duration"),
        ("window: 1d", "window: 0s", "anew.yaml:9:11: monitor.window: '0s' is no length of time"),
        ("window: 1d", "window: 12", "anew.yaml:9:11: monitor.window: Input should be a valid string (found 12)"),
        ("window: 1d", "window: 1d, clock: sun", "anew.yaml:9:23: monitor.clock"),
        ("span: 10d", "span: lots", "anew.yaml:8:8: data.span: 'lots' is no duration"),
        ("span: 10d", "span: 0d", "data.span: '0d' is no length of time"),
        ("holdout: 0.2", "holdout_sources: audit", "holdout_sources: write a list, such as [a, b] (found 'audit')"),
        ("holdout: 0.2", "holdout: 1.0", "anew.yaml:8:19: data.holdout"),
        ("holdout: 0.2", "holdout: .nan", "data.holdout"),
        ("holdout: 0.2", "holdout: yes", "data.holdout: true is a truth value"),
        ("{x: number, z: number}", "{x: numeric}", "anew.yaml:7:14: columns.features.x"),
        ("{x: number, z: number}", "{}", "anew.yaml:3:1: no feature column is declared"),
        ("{x: number, z: number}", "{x: number, X: number}", "differ at most in case"),
        ("{x: number, z: number}", "{x: number, y: number}", "time or target column is also listed"),
        ("{x: number, z: number}", "{_x: number}", "not an underscore"),
        ("target: y", "target: at", "anew.yaml:5:3: columns.target: 'at' is the time column as well"),
        ("target: y", "target: y\n  sensitive: [z]", "anew.yaml:6:3: columns.sensitive: z: what is kept"),
        ("target: y", "target: y\n  zone: Europe/Berlin", "columns.zone"),
        (
            "x: number",
            "x: vector",
            "columns.features.x: a feature is number, category or vector(WIDTH)",
        ),
        ("x: number", "x: vector(5000)", "columns.features.x: column 'feature': a vector has 1 to 4096 numbers"),
        ("x: number", "x: 3", "columns.features.x: Input should be a valid string"),
        ("classes: [0, 1]", "classes: [0]", "needs at least two classes"),
        ("classes: [0, 1]", "classes: [0, 1, 2]", "anew.yaml:6:3: columns.classes: task binary has 2 classes"),
        ("classes: [0, 1]", "classes: [no, yes]", "false is a truth value; put words such as yes and no in quotes"),
        ("classes: [0, 1]", "classes: [1, '1']", "two are written the same"),
        ("classes: [0, 1]", "classes: ['', a]", "or one is empty"),
        ("classes: [0, 1]", "classes: [0, a]", "use numbers or text, not both"),
        ("task: binary", "task: regression", "only a classification has classes"),
        ("model: small", "model: small\npipeline: ../other.py", "pipeline"),
        ("model: small", "model: small\npipeline: other.py", "anew.yaml:2:1: pipeline: "),
        (
            "model: small",
            "model: small\npolicy: {budget: {retrains: 8}}",
            "policy.budget.retrains: write how many in wh",
        ),
        (
            "model: small",
            "model: small\npolicy: {cost: {retrain: 0}}",
            "retrain: write a number above 0, or measured (found 0)",
        ),
        (
            "model: small",
            "model: small\npolicy: {cost: {retrain: much}}",
            "a number above 0, or measured (found 'much')",
        ),
        ("model: small", "model: small\npolicy: {budget: {retrains: 8 a week}}", "'8 a week' is no rate"),
        ("model: small", "model: small\npolicy: {budget: {euros: 8 per 7d}}", "policy.budget.euros"),
        ("model: small", "model: small\nrollout: {expire: 0d}", "anew.yaml:2:11: rollout.expire"),
        ("model: small", "model: small\nrollout: {canary: [0.1, 1.0]}", "anew.yaml:2:25: rollout.canary.1"),
        ("model: small", "model: small\nrollout: {judge: {alpha: 0.5}}", "rollout.judge.alpha"),
        ("model: small", "model: small\nserving: {port: 70000}", "serving.port"),
        ("model: small", "model: small\nserving: {workers: 65}", "serving.workers"),
        ("model: small", "model: small\nserving: {workers: yes}", "true is a truth value"),
        ("model: small", "model: small\ntrain: {timeout: 0h}", "train.timeout"),
        ("  target: y", "  target: y\n  key: y", "anew.yaml:6:3: columns.key: 'y' is the target"),
        *(
            ("model: small", f"model: small\naccess: {{hosts: ['{host}']}}", f"access.hosts: '{host}': write names")
            for host in (
                "http://x:80/",
                "x:80",
                "x y",
                "",
                "*.x",
                "10.0.0.7/8",
                "x/y",
                "fd00::7",
                "[x]",
                "[10.0.0.7]",
                ".x",
            )
        ),
        ("model: small", "model: small\nevents: {traces: {url: x}}", "events.traces.url: it is no http or https URL"),
        ("model: small", "model: small\nevents: {traces: {url: 'http://'}}", "events.traces.url: it is no http"),
        ("model: small", "model: small\nevents: {openlineage: x}", "events.openlineage: it is no http or https URL"),
        ("model: small", "model: small\nevents: {openlineage: 'env:X'}", "events.openlineage: it is no http"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert any(said in problem for problem in problems(tmp_path, old, new))


def test_control_what_a_gateway_can_be_called_by_is_taken(tmp_path: Path) -> None:
    hosts = [
        "anew",
        "models.Example.org",
        "xn--bcher-kva.example.",
        "a_b.c-d",
        "10.0.0.7",
        "[fd00::7]",
        "10.0.0.0/8",
        "fd00::/8",
    ]
    write_project(tmp_path, f"{YAML}access: {{hosts: {json.dumps(hosts)}}}\n")
    assert load(tmp_path).policy.access.hosts == tuple(hosts)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1", "192.168.1.2", "example.com", "", "127.0.0.1.evil.test"])  # noqa: S104  what has to be refused
@pytest.mark.fault("H11")
def test_an_address_that_others_can_reach_is_refused(tmp_path: Path, host: str) -> None:
    (problem,) = problems(tmp_path, "model: small", f"model: small\nserving: {{host: '{host}'}}")
    assert problem.startswith("anew.yaml:2:11: serving.host: ")
    assert "127.0.0.1" in problem
    assert problems(
        tmp_path, "model: small", f"model: small\naccess: {{anonymous: machine}}\nserving: {{host: '{host}'}}"
    )


@pytest.mark.fault("H11")
@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2"])  # noqa: S104  what may be bound with tokens
def test_control_an_address_that_others_can_reach_is_taken_when_nobody_is_let_in_unasked(
    tmp_path: Path, host: str
) -> None:
    write_project(tmp_path, YAML + f"serving: {{host: {host}}}\naccess: {{anonymous: nobody}}\n")
    assert load(tmp_path).policy.serving.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_loopback_is_served(tmp_path: Path, host: str) -> None:
    write_project(tmp_path, YAML + f"serving: {{host: {host}}}\n")
    assert load(tmp_path).policy.serving.host == host


@pytest.mark.fault("P8")
@pytest.mark.parametrize("guardrail", ["eror_rate", "business.ctr", "p99", "latency"])
def test_a_guardrail_on_what_nobody_measures_is_an_error(tmp_path: Path, guardrail: str) -> None:
    new = f"model: small\nrollout:\n  guardrails: {{{guardrail}: 0.01}}"
    (problem,) = problems(tmp_path, "model: small", new)
    assert problem.startswith(f"anew.yaml:3:16: unknown key 'rollout.guardrails.{guardrail}'")
    assert "did you mean" in problem or "error_rate" in problem


@pytest.mark.fault("P8")
@pytest.mark.parametrize("guardrail", ["error_rate: 0.01", "p99_ms: 100"])
def test_control_a_guardrail_on_what_is_measured_is_taken(tmp_path: Path, guardrail: str) -> None:
    write_project(tmp_path, YAML.replace("model: small", f"model: small\nrollout:\n  guardrails: {{{guardrail}}}"))
    name, _, limit = guardrail.partition(": ")
    assert getattr(load(tmp_path).policy.rollout.guardrails, name) == float(limit)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = YAML.replace("window: 1d", "window: often").replace("target: y", "target: at").replace("10d", "0d")
    write_project(tmp_path, text + "pipeline: gone.py\n")
    with pytest.raises(SettingsError) as found:
        load(tmp_path)
    assert len(found.value.problems) == 4
    assert all(re.match(r"anew\.yaml:\d+:\d+: ", problem) for problem in found.value.problems)


def test_classes_are_sorted_so_that_the_last_is_the_positive_one(tmp_path: Path) -> None:
    write_project(tmp_path, YAML.replace("[0, 1]", "[1, 0]"))
    assert load(tmp_path).columns.classes == (0, 1)
    write_project(tmp_path, YAML.replace("[0, 1]", "[yellow, green]"))
    assert load(tmp_path).columns.classes == ("green", "yellow")
    write_project(tmp_path, YAML.replace("[0, 1]", "[10, 9]"))
    assert load(tmp_path).columns.classes == (9, 10)


def test_a_folder_without_a_project_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="anew init"):
        load(tmp_path / "nowhere")


def test_a_window_is_a_length_of_time_or_a_number_of_rows(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path, YAML.replace("window: 1d", "window: 500 rows")))
    assert (settings.window, settings.window_rows) == (None, 500)
    timed = load(write_project(tmp_path, YAML))
    assert (timed.window, timed.window_rows) == (timedelta(days=1), None)
    with pytest.raises(SettingsError, match=r"anew\.yaml:9:11: monitor\.window: '0 rows' is no number of rows"):
        load(write_project(tmp_path, YAML.replace("window: 1d", "window: 0 rows")))


@pytest.mark.parametrize(
    ("feedback", "said"),
    [
        ("{events: [x]}", "feedback.events: 'x' is the name of something else"),
        ("{events: [Bought]}", "feedback.events.0"),
        ("{park: soon}", "feedback.park: 'soon' is no duration"),
        ("{revise: 29d}", "feedback.revise: '29d' is too short"),
        ("{revise: later}", "feedback.revise: 'later' is no duration"),
        ("{implicit: {event: bought, within: 1h, otherwise: 2}}", "2 is none of the classes"),
        ("{implicit: {event: bought, within: 1h, otherwise: 0}}", "longer than monitor.label_delay"),
        ("{implicit: {event: bought, within: 0h, otherwise: 0}}", "no length of time"),
        ("{trsut: [api]}", "did you mean trust?"),
    ],
)
def test_what_is_wrong_about_feedback_is_said_with_its_place(tmp_path: Path, feedback: str, said: str) -> None:
    with pytest.raises(SettingsError, match=rf"anew\.yaml:14:\d+: .*{re.escape(said)}"):
        load(write_project(tmp_path, YAML + f"feedback: {feedback}\n"))


def test_feedback_is_read(tmp_path: Path) -> None:
    given = "feedback: {events: [clicked], trust: [audit], implicit: {event: bought, within: 1h, otherwise: 0}}\n"
    settings = load(write_project(tmp_path, YAML.replace("window: 1d", "window: 1d, label_delay: 1h") + given))
    assert settings.events == ("clicked", "bought")
    assert settings.label_rules.trust == ("audit",)
    assert settings.implicit == Implicit(
        event="bought", within=timedelta(hours=1), then=1, otherwise=0, skew=timedelta(minutes=5)
    )


@pytest.mark.parametrize(
    ("review", "said"),
    [
        ("{per_day: 5, confidence_below: 0.6}", "numbers have no probability"),
        ("{per_day: 5, lease: 0s}", "feedback.review.lease: '0s' is no length of time"),
        ("{per_day: 5, keep: soon}", "feedback.review.keep: 'soon' is no duration"),
        ("{per_day: 0}", "greater than or equal to 1"),
        ("{per_day: 5, gold: {sources: []}}", "at least 1 item"),
    ],
)
def test_a_review_that_cannot_be_is_refused(tmp_path: Path, review: str, said: str) -> None:
    text = YAML.replace("task: binary", "task: regression").replace("  classes: [0, 1]\n", "")
    with pytest.raises(SettingsError, match=said):
        load(write_project(tmp_path, f"{text}feedback: {{review: {review}}}\n"))
