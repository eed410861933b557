"""Every shell block of the documentation runs, in one project that is made as the pages say, or says why it does not.

What ends is run in this process, as its entry point does; what goes on is started, and ended when it has done its part.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import lightgbm
import numpy as np
import polars as pl
import pytest
import yaml

import anew
from anew.adapters.file_traffic import FileTraffic
from anew.adapters.review_db import ReviewDB
from anew.adapters.signing import Signer
from anew.app.asker import who_asks
from anew.app.settings import load
from anew.app.status import project_status
from anew.app.stores import review_file
from anew.app.workers import free_port
from anew.domain.column import Value
from anew.domain.facts import ApprovalAsked, CandidateAccepted, CandidateTrained, GateJudged, Stage, TrafficShifted
from anew.domain.verdict import Verdict
from anew.ports.review import ReviewItem
from tests.cli.call import Called, call
from tests.cli.recorded import record
from tests.docs.shell_block import APART, ELSEWHERE, ROOT, Block, apart, blocks

ANEW = Path(sys.executable).with_name("anew")
PATIENCE_S = 120.0
BLOCKS = {block.name: block for block in blocks()}
HERE = {name: [line for line in block.lines if not apart(block, line)] for name, block in BLOCKS.items()}
LIMITS = "Never shown payments in other currencies than euros and zloty, nor above a million of them."
NOTEBOOK = re.findall(r"(?:^ {4}.*\n)+", (ROOT / "docs" / "how-to" / "notebook.md").read_text("utf-8"), re.M)


def events(rows: int = 1_500) -> pl.DataFrame:
    """Return the rows that the pages tell of: payments with their amount, country and customer."""
    chance = np.random.default_rng(7)
    amount, country = chance.lognormal(3.0, 1.0, rows), chance.choice(["DE", "FR", "PL"], rows)
    risky = 1 / (1 + np.exp(-(np.log(amount) - 3.0) * 3))
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "at": [begin + i * timedelta(minutes=30) for i in range(rows)],
            "customer": [f"customer {4700 + i % 40}" for i in range(rows)],
            "amount": amount.round(2),
            "country": country,
            "is_fraud": (chance.random(rows) < risky).astype(int),
        }
    )


@dataclass
class Shell:
    """Types what a page says, where it says so."""

    folder: Path
    anew: Callable[..., Called]
    port: int = field(default_factory=lambda: free_port("127.0.0.1"))
    typed: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    programs: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def project(self) -> Path:
        """The project of the pages."""
        return self.folder / "fraud"

    def type(
        self,
        name: str,
        said: Mapping[str, str] = MappingProxyType({}),
        *,
        inside: bool = False,
        codes: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Type a block; `said` stands in the place of words of the page, `codes` are ends that the page tells of."""
        self.typed.update(HERE[name])
        known = {"v7": "v1", "v6": "v1", **said, "/mnt/backups": "backups"}
        for line in HERE[name]:
            text = re.sub("|".join(map(re.escape, known)), lambda found: known[found[0]], line)
            wanted = next((code for part, code in codes.items() if part in line), 0)
            os.chdir(self.project if inside else self.folder)
            code, told = self._run(text)
            if code != wanted:
                self.failed.append(f"{name}: {line}\nended with {code}, not {wanted}\n{told[-2000:]}")

    def _run(self, line: str) -> tuple[int, str]:
        line, _, path = line.partition("| jq ")
        line, _, file = line.partition(" >")
        words = shlex.split(line, comments=True)
        if words[0] == "curl":
            return self._asked([each.replace("localhost:8080", f"127.0.0.1:{self.port}") for each in words])
        if words[:2] == ["anew", "up"]:
            self.up(*words[2:])
            return (self.down(), "") if words[2:] else (0, "")
        if words[:2] == ["anew", "watch"]:
            return self._watched(words)
        done = self.anew(*words[1:])
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(done.out, "utf-8")
        if path and not done.code:
            found = json.loads(done.out)
            for part in path.strip().strip(".").split("."):
                found = found[part] if found else None  # as jq does
        return done.code, done.out + done.err

    def _asked(self, words: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            [*words, "--fail-with-body", "--silent", "--show-error"], capture_output=True, text=True, check=False
        )
        assert done.returncode or json.loads(done.stdout)["predictions"]
        return done.returncode, done.stdout + done.stderr

    def _watched(self, words: list[str]) -> tuple[int, str]:
        with subprocess.Popen([ANEW, *words[1:]], stdout=subprocess.PIPE) as program:
            assert program.stdout is not None
            first = program.stdout.readline().decode()
            program.send_signal(signal.SIGINT)
            assert first.strip()
            return program.wait(PATIENCE_S), first

    def up(self, *words: str) -> None:
        """Bring a project up, and return when its gateway answers by a champion."""
        log = self.folder / "up.log"
        with log.open("ab") as out:
            command = [str(ANEW), "up", *words, "--port", str(self.port)]
            program = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        self.programs.append(program)
        wait(lambda: program.poll() is not None or serving(self.port), log)
        assert program.poll() is None, log.read_text()

    def down(self) -> int:
        """End the last program, and return its exit code."""
        self.programs[-1].send_signal(signal.SIGTERM)
        return self.programs[-1].wait(PATIENCE_S)


def serving(port: int) -> str:
    """Return which version answers on a port, empty for none."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).json().get("version") or ""
    except httpx.TransportError:
        return ""


def wait(until: Callable[[], object], log: Path) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    made = Shell(tmp_path, lambda *words: call(capsys, monkeypatch, *words))
    yield made
    for each in made.programs:
        if each.poll() is None:
            each.kill()
            each.wait()


def test_whatever_is_posted_says_that_it_is_json() -> None:
    posts = [line for block in blocks() for line in block.lines if line.startswith("curl") and " -d " in line]
    assert len(posts) >= 3
    assert [line for line in posts if "-H 'content-type: application/json'" not in line] == []


def test_what_is_run_elsewhere_or_not_at_all_is_still_on_a_page() -> None:
    lines = [(block.page, line) for block in BLOCKS.values() for line in block.lines]
    begun = [page for page, _ in lines] + [line for _, line in lines]
    assert [each for each in (*ELSEWHERE, *APART) if not any(line.startswith(each) for line in begun)] == []
    named = [each for why in (*ELSEWHERE.values(), *APART.values()) for each in re.findall(r"tests/[\w/.]+\w", why)]
    assert named and [each for each in named if not (ROOT / each).exists()] == []


def test_a_line_of_another_program_is_not_forgotten() -> None:
    block = Block("page", 1, ("anew status", "docker build ."))
    assert apart(block, "anew status") == "" and "daemon" in apart(block, "docker build .")


@pytest.mark.system
@pytest.mark.timeout(600)
def test_every_shell_block_runs(shell: Shell) -> None:
    events().write_parquet("events.parquet")
    begin(shell)
    live(shell)
    look(shell)
    ask_people(shell)
    steer(shell)
    keep(shell)
    assert "\n".join(shell.failed) == ""
    assert {line for lines in HERE.values() for line in lines} - shell.typed == set()


def begin(shell: Shell) -> None:
    """Make projects in the four ways, and change the first one's policy as its pages tell."""
    shell.type("begin-1")
    shell.type("begin-2")
    shell.type("begin-4")
    around_a_model(shell)
    os.chdir(shell.folder)
    policy = yaml.safe_load((shell.project / "anew.yaml").read_text("utf-8"))
    (shell.project / "history.parquet").write_bytes(Path("events.parquet").read_bytes())
    changed = {
        "data": policy.get("data", {}) | {"history": "history.parquet"},
        "feedback": {"review": {"per_day": 5}},
    }
    (shell.project / "anew.yaml").write_text(yaml.safe_dump(policy | changed, sort_keys=False), "utf-8")
    Path("history.parquet").write_bytes(Path("events.parquet").read_bytes())
    events().write_csv("history.csv")


def around_a_model(shell: Shell) -> None:
    """Make a project around a model, beside the others, and bring it up."""
    rows = events().drop("country", "customer")
    fitted = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(
        rows.select("amount").to_pandas(), rows["is_fraud"]
    )
    there = replace(shell, folder=shell.folder / "around")
    there.folder.mkdir()
    rows.write_parquet(there.folder / "events.parquet")
    fitted.booster_.save_model(there.folder / "model.txt")
    there.type("begin-3")


def live(shell: Shell) -> None:
    """Bring it up, ask it, tell it what was true, and watch it."""
    shell.type("dashboard-1", inside=True)
    shell.type("serving-1", {'"amount"': '"customer": "customer 4711", "amount"'})  # this project has a key
    with anew.Client(f"http://127.0.0.1:{shell.port}", token="") as client:
        ids = [each.id for each in client.predict(events(40).drop("is_fraud").to_dicts())]
    pl.DataFrame({"id": ids, "rented": [0, 1] * 20}).write_csv("truth.csv")
    shell.type("feedback-1", {"--project rentals": "--project fraud"})
    names: dict[str, Any] = {"anew": anew, "rows": [{"customer": "customer 4711", "amount": 12.5, "country": "DE"}]}
    exec("".join(line[4:] + "\n" for line in NOTEBOOK[1].replace("8080", str(shell.port)).splitlines()), names)  # noqa: S102  our own page
    shell.type("operate-3")
    assert shell.down() == 0


def look(shell: Shell) -> None:
    """Look at what it did and what stands where."""
    for name in ("operate-1", "incident-canary-1", "incident-labels-1", "data-3"):
        shell.type(name, inside=name == "data-3")
    os.chdir(shell.folder)
    exec("".join(line[4:] + "\n" for line in NOTEBOOK[0].replace("v2", "v1").splitlines()), {"anew": anew})  # noqa: S102  our own page
    shell.type("operate-4", {"v3": "v1"})
    shell.type("serving-2")
    shell.type("training-1", inside=True)
    shell.type("gates-2")
    Path("limits.txt").write_text(LIMITS)
    card = "".join(f"# {name}\n\n{LIMITS}\n\n" for name in ("Intended uses", "Limitations", "Contact"))
    (shell.project / "model_card.md").write_text(card)
    shell.type("gates-3")
    Path("history").mkdir()
    events(800).write_parquet("history/march.parquet")
    shell.type("scale-2")
    shell.type("backtest-1")
    shell.type("ci-1", {"rentals": "fraud"})


def ask_people(shell: Shell) -> None:
    """Let people in, and have them label and consent."""
    made = json.loads(shell.anew("access", "create", "x", "--role", "machine", "--project", "fraud", "--json").out)
    (shell.project / "new.txt").write_text("correct horse battery staple")
    shell.type("access-1", {"ID": made["data"]["id"]}, inside=True)
    shell.type("access-2", inside=True)
    with closing(ReviewDB(review_file(load(shell.project).state))) as store:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        row: dict[str, Value] = {"amount": 1.0, "country": "DE"}
        item = ReviewItem(prediction="p", at=at, key="k", row=row, reason="random", propensity=0.5, window=at)
        store.add([replace(item, prediction=f"p{i}") for i in range(2)], reached=at)
        items = {str(id) for (id,) in store.all("SELECT id FROM item")}
    item = json.loads(shell.anew("label", "next", "--project", shell.project, "--json").out)["data"]["item"]["id"]
    (other,) = items - {item}
    shell.type("review-1", {"0f3c…": item, "9d27…": other}, inside=True)
    shell.type("ci-2")
    candidate: dict[str, Any] = {"model": "fraud", "at": at, "version": "v2", "champion": "v1", "digest": "d" * 64}
    trained = CandidateTrained(**candidate, cause="v2", snapshot="", rows=1, compute_s=0.0)
    said = [
        GateJudged(
            model="fraud", at=at, version="v2", gate=gate, verdict=Verdict.FAIL, required=True, reason="", ask=ask
        )
        for gate, ask in (("leakage", True), ("slices", False))
    ]
    record(shell.project, trained, *said)
    shell.type("gates-1", {"v7": "v2"}, inside=True)
    accepted = CandidateAccepted(**candidate)
    asked = ApprovalAsked(
        **candidate, needed=1, why=("policy",), requester="", barred=(), expires=at + timedelta(days=300)
    )
    record(shell.project, accepted, asked)
    known = ("--no-password", "--role", "approver", "--account", who_asks(), "--project", shell.project)
    assert shell.anew("access", "add-user", "kim", *known).code == 0  # a promotion asks who that is
    canary(shell, 3_000)
    shell.type("operate-2", {"approve v7": "approve v2"}, inside=True)
    shell.type("governance-1", {"v7": "v2"}, inside=True)


def canary(shell: Shell, epoch: int) -> None:
    """Send a tenth of the traffic to v2."""
    signer = Signer.load_or_create(shell.project / ".anew" / "keys")
    traffic = FileTraffic(shell.project / ".anew", verifier=signer.verifier, signer=signer)
    now = traffic.published("fraud")
    assert now is not None
    traffic.publish(
        TrafficShifted(
            model="fraud", at=now.at, epoch=epoch, stage=Stage.CANARY, share=0.1, champion=now.champion,
            challenger=("v2", "d" * 64), fallback=now.fallback,
        )
    )  # fmt: skip


def steer(shell: Shell) -> None:
    """Steer a canary, and go back when nothing is left to go back to."""
    canary(shell, 5_000)
    shell.type("rollout-1", inside=True, codes={"rollout release": 5, "anew rollback": 3})  # v1 was never taken back
    canary(shell, 9_000)
    shell.type("incident-canary-2")


def keep(shell: Shell) -> None:
    """Take rows out, keep a copy, and bring it back."""
    shell.type("data-1", inside=True)
    shell.type("data-2", inside=True)
    shell.type("operate-5")
    kept = next(Path("backups").iterdir())
    (shell.project / ".anew").rename("lost")
    shell.type("operate-6", {"/mnt/backups/fraud-20261128T030000000000Z": str(kept)})
    assert project_status(shell.project)["champion"]["version"] == "v1"
