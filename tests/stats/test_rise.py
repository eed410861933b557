"""Rises that ADWIN and Page-Hinkley see: as river alarms, seldom without a change, mostly with one."""

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np
import pytest
from river.drift import ADWIN, PageHinkley

from anew.domain.errors import InvariantError, MissingExtraError
from anew.stats import rise
from anew.stats.rise import Rise, adwin_rise, page_hinkley_rise

Floats = np.ndarray
Seen = Callable[[Floats], Rise | None]

ABRUPT = np.repeat([0.2, 0.35], [1500, 500])
GRADUAL = np.concatenate([np.full(1000, 0.2), np.linspace(0.2, 0.4, 1000)])
NONE = np.full(2000, 0.2)
FALL = np.repeat([0.3, 0.15], 1000)


def errors(seed: int, rate: Floats) -> Floats:
    return (np.random.default_rng(seed).random(len(rate)) < rate).astype(np.float64)


def share(seen: Seen, rate: Floats, seeds: int) -> float:
    return float(np.mean([seen(errors(seed, rate)) is not None for seed in range(seeds)]))


@pytest.mark.parametrize("seen", [adwin_rise, page_hinkley_rise])
def test_without_a_rise_alarms_are_rare(seen: Seen) -> None:
    assert share(seen, NONE, 60) <= 0.05
    assert share(seen, FALL, 20) <= 0.05


@pytest.mark.parametrize("seen", [adwin_rise, page_hinkley_rise])
def test_abrupt_and_gradual_rises_are_mostly_seen(seen: Seen) -> None:
    assert share(seen, ABRUPT, 30) >= 0.8
    assert share(seen, GRADUAL, 30) >= 0.8


@pytest.mark.parametrize("seen", [adwin_rise, page_hinkley_rise])
def test_a_rise_is_placed_and_measured(seen: Seen) -> None:
    found = seen(errors(1, np.repeat([0.1, 0.5], [1200, 800])))
    assert found is not None
    assert 1150 <= found.at <= 1260
    assert found.before == pytest.approx(0.1, abs=0.03)
    assert found.after == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("seen", [adwin_rise, page_hinkley_rise])
def test_a_rise_that_went_back_is_none(seen: Seen) -> None:
    assert seen(errors(1, np.repeat([0.1, 0.5, 0.1], 1000))) is None


@pytest.mark.parametrize("seen", [adwin_rise, page_hinkley_rise])
def test_steps_upwards_are_told_from_the_first_level(seen: Seen) -> None:
    found = seen(errors(3, np.repeat([0.1, 0.4, 0.8], 1000)))
    assert found is not None
    assert found.at == pytest.approx(2000, abs=100)
    assert found.before == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("seen", "river"), [(adwin_rise, ADWIN), (page_hinkley_rise, PageHinkley)])
def test_a_rise_is_seen_at_the_row_at_which_river_alarms(seen: Seen, river: Any) -> None:
    losses = errors(2, ABRUPT)
    detector, alarm = river(), 0
    for i, loss in enumerate(losses.tolist()):
        detector.update(loss)
        if detector.drift_detected:
            alarm = i
            break
    assert alarm > 1500
    assert seen(losses[:alarm]) is None
    assert seen(losses[: alarm + 1]) is not None


def test_page_hinkley_alarms_on_rows_that_vary_without_any_change() -> None:
    normal = np.random.default_rng(0).normal(size=20_000)
    alarms = list(rise._changes(normal, PageHinkley()))
    assert 5 < len(alarms) < 25  # about 63 in 100,000: what it costs to watch what has no bounds


@pytest.mark.parametrize("losses", [np.array([0.1, np.nan]), np.zeros((2, 2))])
def test_what_is_no_row_of_losses_is_refused(losses: Floats) -> None:
    for seen in (adwin_rise, page_hinkley_rise):
        with pytest.raises(InvariantError, match="finite"):
            seen(losses)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvariantError, match="delta"):
        adwin_rise(np.zeros(3), delta=1.0)
    with pytest.raises(InvariantError, match="threshold"):
        page_hinkley_rise(np.zeros(3), threshold=0.0)
    assert adwin_rise(np.zeros(0)) is None


def test_without_river_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rise, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"anew\[streaming\]"):
        rise._river("adwin", "ADWIN")


def test_a_river_that_keeps_its_classes_elsewhere_is_asked_by_its_public_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    spec = ModuleSpec("river", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(rise, "find_spec", lambda _: spec)
    assert rise._river("adwin", "ADWIN") is ADWIN
