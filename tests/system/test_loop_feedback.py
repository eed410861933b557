"""What comes back from outside, through the real programs: corrections, feedback, a program that asks, people told."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from anew.adapters.standard_webhook import signed_headers, webhook_key
from anew.domain.facts import RetrainCommanded, RetrainRequested, WindowScored
from tests.adapters.receiver import receiver
from tests.system.loop_project import LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
POLICY = {
    "- {psi": "{above: 0.5}, for: 500 windows}\n  - {webhook: {secret: 'env:HOOK_SECRET'}}",
    "policy": "{cooldown: 0s}\nfeedback: {events: [clicked], trust: [audit]}\nnotify: ['env:NOTIFY_URL']",
}


def say(ours: LoopProject, path: str, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Post labels or feedback and return the ids of the deliveries."""
    reply = httpx.post(f"http://127.0.0.1:{ours.port}/{path}", json={path: entries}, timeout=20)
    assert reply.status_code == 200, (reply.text, ours.log())
    ids: list[str] = reply.json()["ids"]
    return ids


def ask(ours: LoopProject, id: str, body: bytes = b'{"reason":"a new catalogue"}', **changed: bytes) -> int:
    """Post a signed request for a retrain; `sent` is another body than the one that was signed."""
    headers = dict(signed_headers(webhook_key(SECRET), id, int(time.time()), body))
    headers["content-type"] = "application/json"
    url = f"http://127.0.0.1:{ours.port}/retrain"
    return httpx.post(url, content=changed.get("sent", body), headers=headers, timeout=20).status_code


@pytest.mark.fault("L3")
@pytest.mark.fault("L5")
@pytest.mark.fault("L11")
def test_what_comes_back_is_heard_by_the_real_loop(
    stale: LoopProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with receiver() as people:
        monkeypatch.setenv("NOTIFY_URL", people.url.replace("http://", "json://"))
        with loop_project(tmp_path / "project", POLICY, like=stale) as ours:
            ours.up()
            ours.serves()
            rows = ours.predict()
            ours.unlabelled = []
            ours.label(rows)
            at = {"at": rows[0]["at"].isoformat()}
            feedback = [{"prediction": row["id"], "thumb": "down", **at} for row in rows[:10]]
            feedback += [{"prediction": row["id"], "event": "clicked", **at} for row in rows[:5]]
            say(ours, "feedback", feedback)
            for _ in range(3):
                ours.hour()
            ours.settle()
            wait(lambda: (ours.status()["stored"] or {}).get("feedback") == 15, ours.log)
            first = wait(lambda: scores(ours, rows), ours.log)[0]
            assert first.labelled == first.n

            corrected = [
                {"prediction": row["id"], "value": row["y"] + 5.0, "source": "audit", "revision": 1, **at}
                for row in rows
            ]
            ours.acknowledged.labels += say(ours, "labels", corrected)
            ours.hour()
            wait(lambda: len(scores(ours, rows)) > 1, ours.log)
            assert error(scores(ours, rows)[-1]) > error(first) + 2.0

            withdrawn = [
                {"prediction": row["id"], "withdraw": True, "source": "audit", "revision": 2, **at} for row in rows
            ]
            ours.acknowledged.labels += say(ours, "labels", withdrawn)
            ours.hour()
            wait(lambda: len(scores(ours, rows)) > 2, ours.log)
            assert error(scores(ours, rows)[-1]) == pytest.approx(error(first)), "the first label stands again"

            assert ask(ours, "msg-1", sent=b'{"reason":"another"}') == 401
            assert [ask(ours, "msg-1") for _ in range(3)] == [202, 202, 202]
            ours.wait_for(RetrainRequested, triggers=("webhook",))
            assert len(ours.facts(RetrainCommanded, by="webhook")) == 1
            ours.drive(lambda: people.got)
            said = [json.loads(body)["title"] for _, body in people.got]
            assert any(each.startswith("demand: ") for each in said)
            assert ours.down() == 0


def scores(ours: LoopProject, rows: Sequence[Mapping[str, Any]]) -> list[WindowScored]:
    """Return the scores of the window in which most of the rows were answered, oldest first."""
    middle = rows[len(rows) // 2]["at"]
    return [each for each in ours.facts(WindowScored) if each.window.start <= middle < each.window.end]


def error(score: WindowScored) -> float:
    """Return the mean absolute error on record."""
    (value,) = [each.value for each in score.evidence if each.subject == "mae"]
    assert value is not None, score
    return value
