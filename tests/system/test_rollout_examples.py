"""The rollouts of `examples/rollouts`, driven on real HTTP traffic: who answers in which step, and the way back."""

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

EXAMPLES = Path(__file__).parents[2] / "examples" / "rollouts"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drive_rollouts", EXAMPLES / "drive.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_answers_of_a_worker_that_has_just_begun_are_named_too() -> None:
    shifted = {"epoch": 2, "stage": "canary", "share": 0.1}
    project = SimpleNamespace(folder="p", anew=lambda *_: {"facts": [{"fact": shifted}]})
    assert script().steps(project) == {0: "a worker began", 2: "canary 10%"}


@pytest.mark.parametrize(
    ("policy", "steps"),
    [
        ("shadow", ["shadow"]),
        ("canary", ["shadow", "canary 10%", "canary 50%"]),
        ("blue_green", []),
        ("ab", ["ab v2", "ab v2 v3"]),
    ],
)
def test_a_rollout_goes_its_way_and_back(tmp_path: Path, policy: str, steps: list[str]) -> None:
    seen: list[tuple[str, Counter[str]]] = script().drive(policy, tmp_path / policy)
    # a version is a shadow until the other set has loaded it; whether anybody asks meanwhile is luck
    names = [step for step, _ in seen if (policy, step) != ("blue_green", "shadow")]
    assert names == ["steady", *steps, "steady", "back"]
    for step, arms in seen:
        if step == "shadow":
            assert arms.keys() <= {"v1 as champion", "v2 as challenger"}
        elif step.startswith("canary"):
            assert arms["v2 as challenger"] > 0
        elif step == "ab v2 v3":
            assert arms["v2 as challenger"] > 0
            assert arms["v3 as challenger"] > 0
    assert any(seen[-2][1][f"{version} as champion"] > 0 for version in ("v2", "v3"))
    assert set(seen[-1][1]) == {"v1"}
    workers = {each.stem.removeprefix("gateway-") for each in (tmp_path / policy).rglob("gateway-*.log")}
    served = {each.parent.name for each in (tmp_path / policy / ".anew" / "journal").rglob("*.seg")}
    if policy == "blue_green":
        assert workers == {"0", "1", "green0", "green1"}
        assert {name.startswith("green") for name in served} == {True, False}  # both sets have answered
    else:
        assert workers == {"0", "1"}
