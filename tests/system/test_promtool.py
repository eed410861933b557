"""Prometheus' own tool reads the page of a real worker."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.gateway.test_metrics import example
from tests.system.gateway_bed import bed
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def check(page: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run ``promtool check metrics``; Debian has it in the package `prometheus`."""
    return subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)


def test_promtool_accepts_the_page(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        port = ours.begin()
        ours.applied(1)
        for i in range(5):
            assert ours.client(port).predict(customer=str(i))[0] == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
            page = reply.read()
            assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    for text in (page, example()):
        done = check(text)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), (done.stdout, done.stderr)


def test_control_promtool_finds_a_page_that_is_wrong() -> None:
    assert check(example().replace(b"_total{", b"_count{", 1)).returncode != 0


def test_promtool_accepts_the_page_of_a_running_loop(stale: LoopProject, tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", QUIET, like=stale) as ours:
        ours.up()
        ours.serves()
        wait(lambda: re.search(rb"anew_promotions_total{[^}]*} 1\n", _page(ours.port)) is not None, ours.log)
        page = _page(ours.port)
        done = check(page)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), (done.stdout, done.stderr)
        for name in (b"anew_drift{", b"anew_performance{", b"anew_gate_verdicts_total{", b"anew_rollout_stage{"):
            assert name in page
        assert ours.down() == 0


def _page(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
        return bytes(reply.read())


def rules(text: str, folder: Path) -> int:
    """Have ``promtool check rules`` read them."""
    file = folder / "rules.yml"
    file.write_text(text)
    return subprocess.run(["promtool", "check", "rules", file], capture_output=True, check=False).returncode


def test_promtool_loads_the_alert_rules(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "examples" / "monitoring" / "alerts.yml").read_text()
    assert rules(text, tmp_path) == 0
    assert rules(text.replace("> 60", "> > 60"), tmp_path) != 0


def asked_by_the_dashboard() -> list[str]:
    """Return the dashboard's queries with what Grafana puts in the place of its variables."""
    board = json.loads((Path(__file__).parents[2] / "examples" / "monitoring" / "grafana.json").read_text())
    return [
        target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h").replace("$model", "fraud")
        for panel in board["panels"]
        for target in panel["targets"]
    ]


def test_promtool_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = asked_by_the_dashboard()
    assert len(queries) > 15
    recorded = [{"record": f"board:{i}", "expr": query} for i, query in enumerate(queries)]
    assert not [query for query in queries if "$" in query]
    assert rules(yaml.safe_dump({"groups": [{"name": "board", "rules": recorded}]}), tmp_path) == 0
    recorded[3]["expr"] += ")"
    assert rules(yaml.safe_dump({"groups": [{"name": "board", "rules": recorded}]}), tmp_path) != 0


ALARMS = {
    "AnewRolledBack": ('anew_rollbacks_total{model="m"}', "0x30 1x90"),
    "AnewDataBroken": ('anew_incidents_total{model="m",detector="quality"}', "0x30 1x90"),
    "AnewSevereAlert": ('anew_alerts_total{model="m",detector="psi",severity="high"}', "0x30 1x90"),
    "AnewEffectFailed": ('anew_loop_effects_total{model="m",effect="train",outcome="failed"}', "0x30 1x90"),
    "AnewBudgetSpent": ('anew_trigger_withheld_total{model="m",reason="budget"}', "0x30 1x90"),
    "AnewReceiverBehind": ('anew_told_timestamp_seconds{model="m",receiver="webhook-0"}', "0x120"),
    "AnewUnreachable": ('up{job="anew",instance="a"}', "0x120"),
}
"""Series that each rule has to fire on within the hour, from the first time that what it is there for happens."""


def firing(alert: str, folder: Path, *given: tuple[str, str]) -> int:
    """Have Prometheus's own tool say how many alerts of the name fire after an hour of these series."""
    series = [{"series": name, "values": numbers} for name, numbers in given]
    asked = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    for count in range(9):
        test = {
            "rule_files": [str(Path(__file__).parents[2] / "examples" / "monitoring" / "alerts.yml")],
            "tests": [
                {
                    "interval": "1m",
                    "input_series": series,
                    "promql_expr_test": [
                        {"expr": asked, "eval_time": "1h", "exp_samples": [{"labels": "{}", "value": count}]}
                    ],
                }
            ],
        }
        file = folder / "test.yml"
        file.write_text(yaml.safe_dump(test))
        if subprocess.run(["promtool", "test", "rules", file], capture_output=True, check=False).returncode == 0:
            return count
    raise AssertionError(f"{alert} cannot be asked about")


@pytest.mark.parametrize("alert", ALARMS)
def test_a_rule_fires_when_it_has_to(alert: str, tmp_path: Path) -> None:
    series, numbers = ALARMS[alert]
    quiet = {"AnewReceiverBehind": "0+60x120", "AnewUnreachable": "1x120"}.get(alert, "0x120")
    behind = ('anew_told_behind_facts{model="m",receiver="webhook-0"}', "1+1x120")
    assert firing(alert, tmp_path, (series, numbers), behind) == 1
    assert firing(alert, tmp_path, (series, quiet), behind) == 0


def test_targets_that_are_scraped_no_more_are_missed(tmp_path: Path) -> None:
    assert firing("AnewUnreachable", tmp_path) == 1
