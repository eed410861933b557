"""An installation: its file, its projects, and that what is broken in one stops none of the others."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from anew.app.host import HostOptions, up_installation
from anew.app.installation import load_installation
from anew.app.shared_gateway import serve_projects
from anew.app.standing import installation_status, say_standing
from anew.cli.models import main
from anew.domain.errors import ConflictError, NotFoundError, SettingsError
from tests.cli.schema import complaints

POLICY = """\
model: {model}
task: regression
pipeline: pipeline.py
columns: {{time: at, target: y, features: {{x: number}}}}
monitor: {{window: 1h, label_delay: 1h}}
serving: {{workers: {workers}}}
dashboard: {{serve: false}}
"""
AT = "2030-01-01T00:00:00+00:00"
PIPELINE = "def train(data, params):\n    return None\n"


def project(root: Path, model: str, workers: int = 0) -> Path:
    root.mkdir(parents=True)
    (root / "anew.yaml").write_text(POLICY.format(model=model, workers=workers), "utf-8")
    (root / "pipeline.py").write_text(PIPELINE, "utf-8")
    return root


def installation(root: Path, text: str = "models: [models/*]\n") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "installation.yaml").write_text(text, "utf-8")
    return root


@pytest.mark.parametrize(
    "word",
    [
        "command",
        "economic",
        "webhook",
        "changed",
        "new_data",
        "new_data>=100",
        "every 24h",
        "psi>0.5",
        "mine",
        "mine(x)",
    ],
)
def test_control_a_trigger_goes_first_by_its_kind_or_by_its_whole_name(tmp_path: Path, word: str) -> None:
    assert load_installation(installation(tmp_path, f"compute: {{first: ['{word}']}}\n")).sharing.first == (word,)


def test_its_file_says_what_all_share(tmp_path: Path) -> None:
    text = "models: ['m/*', extra]\ncompute: {at_once: 2, hours: 20 per 12h, patience: 3h, first: [slo, psi]}\n"
    root = installation(tmp_path, text)
    for place, model in (("m/b", "b"), ("m/a", "a"), ("extra", "c"), ("other", "d")):
        project(root / place, model)
    found = load_installation(root)
    assert list(found.projects()) == ["extra", "m/a", "m/b"]
    sharing = found.sharing
    assert (sharing.at_once, sharing.hours, sharing.period) == (2, 20.0, timedelta(hours=12))
    assert (sharing.patience, sharing.first) == (timedelta(hours=3), ("slo", "psi"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modles: [a]\n", "installation.yaml:1:1: unknown key 'modles' (known: compute, dashboard, models)"),
        ("compute: {hour: 1}\n", "unknown key 'compute.hour' (known: at_once, first, hours, patience)"),
        ("compute: {hours: 20}\n", "compute.hours: write how many in which period, e.g. 20 per 1d (found 20)"),
        ("compute: {first: [command, slos]}\n", "no trigger is called 'slos'; did you mean slo?"),
        ("compute: {first: [' ']}\n", "no trigger is called ' ' (known: ab_outcome, "),
        ("compute: {hours: 0 per 1d}\n", "compute"),
        ("compute: {patience: soon}\n", "compute"),
        ("compute: {at_once: 0}\n", "compute.at_once"),
        ("models: [../else]\n", "leads out of the folder"),
        ("models: [/else]\n", "leads out of the folder"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_installation(installation(tmp_path, text))
    assert said in str(raised.value)
    assert "installation.yaml:1:" in str(raised.value)


@contextmanager
def running(root: Path) -> Iterator[None]:
    stop = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            up_installation(root, HostOptions(), stop)
        except BaseException as exc:  # noqa: BLE001  whatever ends it ends the test
            failed.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not failed
    assert not thread.is_alive()


def wait(found: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline, pause = monotonic() + seconds, threading.Event()
    while not found():
        assert monotonic() < deadline, "in vain"
        pause.wait(0.1)


def states(root: Path) -> dict[str, str]:
    try:
        return {each["project"]: each["state"] for each in installation_status(root)["models"]}
    except NotFoundError:
        return {}


@pytest.mark.system
def test_what_is_broken_in_one_stops_none_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No policy, no pipeline, a pipeline that is none, a detector that exits, a spoilt record, a name taken twice."""
    root = installation(tmp_path / "all")
    models = root / "models"
    for name in ("a-well", "z-well"):
        project(models / name, name)
    (project(models / "policy", "policy") / "anew.yaml").write_text("model: [", "utf-8")
    (project(models / "pipeline", "pipeline") / "pipeline.py").unlink()
    exits = project(models / "exits", "exits")
    with (exits / "anew.yaml").open("a") as policy:
        policy.write("triggers: [{'broken_detector:Exits': {}}]\n")
    (tmp_path / "broken_detector.py").write_text("raise SystemExit(3)\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    garbage = project(models / "record", "record") / ".anew"
    garbage.mkdir()
    (garbage / "anew.db").write_bytes(b"no database at all" * 300)
    project(models / "twin", "z-well")
    project(models / "own-gateway", "own", workers=1)
    well = {"models/a-well": "runs"}
    with running(root):
        wait(lambda: len(states(root)) == 8 and set(states(root).values()) == {"runs", "broken"})
        found = states(root)
        broken = {name for name, state in found.items() if state == "broken"}
        assert well.items() <= found.items()
        assert broken >= {f"models/{each}" for each in ("policy", "pipeline", "exits", "record", "own-gateway")}
        assert len(broken & {"models/twin", "models/z-well"}) == 1
        with pytest.raises(ConflictError):
            up_installation(root, HostOptions(), threading.Event())
        project(models / "new", "new")
        (models / "policy" / "anew.yaml").write_text(POLICY.format(model="policy", workers=0), "utf-8")
        wait(lambda: [states(root).get(f"models/{each}") for each in ("new", "policy")] == ["runs", "runs"])
        main([str(root), "--json"])
        printed = capsys.readouterr().out
        assert complaints(printed) == []
        said = {each["project"]: each["problem"] for each in json.loads(printed)["data"]["models"]}
        assert "anew gateway" in said["models/own-gateway"]
        assert "SystemExit" in said["models/exits"]
        main([str(root)])
        assert "broken      models/exits: " in capsys.readouterr().out
    assert set(states(root).values()) == {"stopped"}
    main([str(root)])
    assert "not running" in capsys.readouterr().out


def test_what_was_never_brought_up_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="anew up"):
        installation_status(installation(tmp_path))


def test_a_folder_that_is_no_installation_is_told_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"is no installation: it has no installation\.yaml"):
        installation_status(tmp_path)
    one = project(tmp_path / "fraud", "fraud")
    with pytest.raises(NotFoundError, match=r"is one project .*: anew status "):
        installation_status(one)


def test_a_gateway_that_comes_too_early_says_what_to_wait_for(tmp_path: Path) -> None:
    root = installation(tmp_path)
    project(root / "models" / "m", "m")
    with pytest.raises(NotFoundError, match=f"anew up {root}, and wait until it says how many models run"):
        serve_projects([root], threading.Event())


def test_nothing_is_said_to_run_after_its_process_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = installation(tmp_path)
    (root / ".anew").mkdir()
    model = {"project": "models/m", "model": "m", "state": "runs", "champion": "v1", "problem": "", "unserved": ""}
    compute = {"at_once": 1, "under_way": ["m"], "limit": "1 run at a time", "left_s": None}
    queue = [{"place": 1, "model": "m", "reason": "turn", "detail": "next", "rate": None, "since": AT, "due": AT}]
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    said = {"at": AT, "running": True, "pid": process.pid, "compute": compute, "queue": queue, "models": [model]}
    try:
        say_standing(root, said)
        assert states(root) == {"models/m": "runs"}
    finally:
        process.kill()
        process.communicate()
    main([str(root), "--json"])
    printed = capsys.readouterr().out
    assert complaints(printed) == []
    found = json.loads(printed)["data"]
    assert (found["running"], found["models"]) == (False, [model | {"state": "stopped"}])
    assert (found["compute"]["under_way"], found["queue"]) == ([], [])
    main([str(root)])
    assert "models      1, 1 stopped, 1 with a champion" in capsys.readouterr().out


@pytest.mark.system
def test_every_line_of_the_log_says_which_model_it_is_about(tmp_path: Path) -> None:
    root = installation(tmp_path)
    for name in ("bank", "bike"):
        project(root / "models" / name, name)
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as said, err.open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "anew.cli", "up", str(root)], stdout=said, stderr=log)
    try:
        wait(
            lambda: (
                out.read_text().count("project read") == 2 and err.read_text().count("no labelled rows to train") == 2
            )
        )
    finally:
        process.terminate()
        process.wait(60)
    read = [line.split()[2] for line in out.read_text().splitlines() if "project read" in line]
    rows = [line.split()[3] for line in err.read_text().splitlines() if "no labelled rows to train" in line]
    assert (sorted(read), sorted(rows)) == (["bank", "bike"], ["loop-models/bank", "loop-models/bike"])
