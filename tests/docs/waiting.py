"""What waits for people, brought about in the folder that a demo left as its user would, so that it can be pictured.

The policy comes to ask people; traffic goes on without labels, so that there is something to review; and somebody asks
for a retrain, whose candidate one of two approvers has signed for.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import polars.selectors as cs

from anew.adapters.fact_reader import read_facts
from anew.app.access import NewUser, add_user, create_token
from anew.app.asker import who_asks
from anew.app.order import order
from anew.app.record_place import record_place
from anew.app.settings import load
from anew.app.status import challengers, gateway_address, project_status
from anew.domain.access import Role
from anew.domain.errors import ConflictError, PolicyError
from anew.domain.facts import Order

__all__ = ["PATIENCE_S", "anew", "ask_people", "bring_questions"]

PATIENCE_S = 240.0
_WITHHELD, _MORE = 3, 8
"""Exit codes: no retrain comes of it; more signatures are needed."""
_POLICY = """
feedback: {review: {per_day: 20}}
governance: {approvals: {promotion: 2}}
"""
_WEEKS = timedelta(weeks=53)
"""Traffic goes on as it was so long ago: about a year, on the same days of the week."""
_HOURS = 60
"""From new year's day, the end of the demo, over the end of the third day's window; labels are not due by then."""


def anew(*words: str, token: str = "", also: int = 0) -> int:
    """Run the program, which has to end well, or with the exit code `also`; return the code."""
    command = [sys.executable, "-m", "anew.cli", *words]
    done = subprocess.run(command, env=os.environ | {"TOKEN": token}, capture_output=True, text=True, check=False)
    if done.returncode not in (0, also):
        raise RuntimeError(f"anew {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.returncode


def ask_people(project: Path) -> str:
    """Have the policy of a project that is down ask people, say who they are, and return the token of an approver.

    Of ann there is a token already; bob runs this program.
    """
    with (project / "anew.yaml").open("a", encoding="utf-8") as policy:
        policy.write(_POLICY)
    for name, role, account in (
        ("bob", Role.OPERATOR, who_asks()),
        ("ann", Role.ADMIN, ""),
        ("ada", Role.APPROVER, ""),
    ):
        add_user(project, NewUser(name=name, role=role, without=True, account=account))
    return create_token(project, "ada", Role.APPROVER)[0]


def bring_questions(project: Path, token: str) -> None:
    """Have something wait for people in a project that is up, where the holder of `token` has signed already.

    A gate may refuse the candidate; then it waits for somebody to override that.

    Raises
    ------
    RuntimeError
        Nothing has come to wait.
    """
    _send(project, _going_on(project))
    newest = project_status(project)["versions"][-1]["version"]
    deadline = time.monotonic() + PATIENCE_S
    while _is_withheld(project) and time.monotonic() < deadline:
        time.sleep(1.0)
    while not (_is_asked(project, newest) and _is_reviewed(project)):
        if time.monotonic() > deadline:
            raise RuntimeError("nothing waits for people")
        time.sleep(0.2)
    waiting = project_status(project)["waiting"]
    if waiting is not None:
        words = ("approve", waiting["version"], "--project", str(project), "--reason", "trained on the whole autumn")
        anew(*words, "--token", "env:TOKEN", token=token, also=_MORE)


def _going_on(project: Path) -> Sequence[Mapping[str, Any]]:
    """Return the rows of the hours after the demo's."""
    rows = pl.read_parquet(project / "bike_demand.parquet")
    found = rows.filter(pl.col("ts") > rows.get_column("ts")[-1] - _WEEKS).head(_HOURS).cast({pl.Float32: pl.Float64})
    found = found.with_columns(pl.col("ts") + _WEEKS, pl.col("weather").cast(pl.String), cs.float().round(4))
    found = found.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), month=pl.col("ts").dt.month())
    return found.select("ts", *load(project).columns.names).to_dicts()


def _send(project: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Ask the gateway about rows, as soon as it serves."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            url = gateway_address(project / ".anew", 0)
            if httpx.post(f"{url}/predict", json={"rows": rows}, timeout=20).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise RuntimeError("the gateway did not answer")


def _is_withheld(project: Path) -> bool:
    """Ask for a retrain; is there no room for it? A challenger that the demo left on probation makes room."""
    status = project_status(project)
    for each in challengers(status):
        with suppress(ConflictError, PolicyError):  # it was decided on meanwhile
            expected = each["version"], status["champion"]["version"]
            order(project, Order.ROLLBACK, "its weeks are over", expect=expected)
    return anew("retrain", str(project), "--reason", "the new year begins", also=_WITHHELD) == _WITHHELD


def _is_asked(project: Path, after: str) -> bool:
    """Does a candidate that came after `after` wait for a person, to approve it or to override a gate?"""
    status = project_status(project)
    newest = status["versions"][-1]
    return status["waiting"] is not None or (newest["version"] != after and newest["standing"] == "refused")


def _is_reviewed(project: Path) -> bool:
    """Are there answers that people are asked about?"""
    return any(True for _ in read_facts(record_place(project / ".anew"), kinds={"ReviewQueued"}))
