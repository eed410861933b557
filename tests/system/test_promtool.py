"""Prometheus' own tool reads the page of a real worker."""

import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.gateway.test_metrics import example
from tests.system.gateway_bed import bed

pytestmark = pytest.mark.system


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
