"""Components are found by name, made from checked options, and refused when they could not serve."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from anew.app.component import find_component, known_components, make_component
from anew.domain.errors import SettingsError
from anew.monitor.psi import PSI
from anew.monitor.slo import SLO
from anew.validate.beats_champion import BeatsChampion
from anew.validate.slos import Objective, SLOs

OWN = """
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Always:
    labels: ClassVar[bool] = False
    limit: float = 1.0
    key = "always"
    over = None

    def measure_seen(self, seen):
        return ()

    def measure_scored(self, rows):
        return ()

    def judge(self, evidence):
        return None


@dataclass
class Melting:
    limit: float = 1.0


@dataclass(frozen=True)
class Stone:
    limit: float = 1.0


plain = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "anew_test_own.py").write_text(OWN)
    (tmp_path / "anew_test_broken.py").write_text("raise NameError('no luck')\n")
    (tmp_path / "anew_test_needy.py").write_text("import anew_test\n")
    (tmp_path / "anew_test_package").mkdir()
    (tmp_path / "anew_test_package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("anew_test_own", "anew_test_broken", "anew_test_needy", "anew_test_package"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("stage", "name", "kind"),
    [
        ("monitor", "psi", PSI),
        ("monitor", "slo", SLO),
        ("validate", "slos", SLOs),
        ("validate", "beats_champion", BeatsChampion),
    ],
)
def test_a_component_is_found_by_the_name_of_its_file(stage: str, name: str, kind: type) -> None:
    assert find_component(stage, name) is kind


@pytest.mark.parametrize("stage", ["monitor", "validate", "trigger", "train", "rollout"])
def test_every_public_file_of_a_stage_is_a_component(stage: str) -> None:
    names = known_components(stage)
    assert names
    assert all(find_component(stage, name) for name in names)
    assert not any(name.startswith("_") for name in names)


def test_an_unknown_name_lists_the_known_and_guesses() -> None:
    with pytest.raises(SettingsError, match=r"'pis' is no component of monitor; did you mean psi\?"):
        find_component("monitor", "pis")
    with pytest.raises(SettingsError, match=r"known: .*label_shift, .*psi, .*slo"):
        find_component("monitor", "zzz")


@pytest.mark.usefixtures("own")
def test_a_stranger_is_found_by_module_and_class() -> None:
    found = find_component("monitor", "anew_test_own:Always")
    assert make_component(found, {"limit": 2}).limit == 2.0


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("anew_test_own:Melting", "a component is a frozen dataclass"),
        ("anew_test_own:plain", "a component is a frozen dataclass"),
        ("anew_test_own:Stone", "it lacks judge, key, labels, measure_scored, measure_seen, over"),
        ("anew_test_own:Nothing", "AttributeError"),
        (
            "anew_test_missing:X",
            "ModuleNotFoundError: .*; install the package that it is in .* or name its folder in PYTHONPATH",
        ),
        ("anew_test_package.sub.module:X", "No module named 'anew_test_package.sub'; install the package"),
        ("anew_test_needy:X", "No module named 'anew_test'$"),
        ("anew_test_broken:X", "NameError: no luck"),
        (":X", "cannot be loaded"),
        (".x:X", "cannot be loaded"),
        ("json:", "cannot be loaded"),
        ("anew.validate.slos:SLOs", "no component of monitor"),
    ],
)
def test_a_stranger_that_cannot_serve_is_refused(name: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        find_component("monitor", name)


def test_durations_may_be_text() -> None:
    assert make_component(SLO, {"metric": "error", "at_most": 0.1, "period": "7d"}).period == timedelta(days=7)


def test_parts_may_be_mappings() -> None:
    made = make_component(SLOs, {"objectives": [{"metric": "error", "at_most": 0.1}]})
    assert made.objectives == (Objective(metric="error", at_most=0.1),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"abov": 1}, "unknown option 'abov'; did you mean above?"),
        ({1: 2}, "unknown option 1 (known: above, p_below, column, at_least_rows, period)"),
        ({"above": "much"}, "above: Input should be a valid number"),
        ({"above": True}, "above: found true"),
        ({"above": -1}, "psi: above -1.0, p_below None, at_least_rows 100; give one limit, a positive one"),
        ({"above": float("nan")}, "psi: above nan"),
        ({"at_least_rows": 1.5}, "at_least_rows"),
        (0.25, "write its options as {NAME: VALUE}"),
        ([], "write its options as {NAME: VALUE}"),
    ],
)
def test_options_that_cannot_be_are_named(given: object, said: str) -> None:
    with pytest.raises(SettingsError) as found:
        make_component(PSI, given)
    assert said in str(found.value)


def test_every_problem_is_told() -> None:
    with pytest.raises(SettingsError) as found:
        make_component(SLO, {"metrik": "error", "period": "soon", "at_most": False})
    assert len(found.value.problems) == 3
    with pytest.raises(SettingsError, match="metric is missing"):
        make_component(SLO, {"at_most": 0.1})
