"""Flipped labels, at random and on purpose: how often what they made worse gets through, with and without defences."""

from collections.abc import Callable

import pytest

from bench.poison_trials import CAP, DEFENCES, RATES, Trial, promoted_bad, tried

SEEDS = 3


@pytest.mark.fault("A2")
@pytest.mark.parametrize("kind", ["random", "targeted"])
def test_what_flipped_labels_made_worse_does_not_get_through(
    kind: str, record_property: Callable[[str, object], None]
) -> None:
    """`make bench-poison` draws the same curve from forty trials, and for labels that many sources flip."""
    found = {rate: promoted_bad([tried(Trial(kind, rate, False, seed)) for seed in range(SEEDS)]) for rate in RATES}
    for rate, each in found.items():
        said = ", ".join(f"{name} {share:.0%}" for name, share in zip(DEFENCES, each, strict=True))
        record_property(f"{kind} flips of {rate:.0%}, promoted though bad", said)
    for none, gate, *_ in found.values():
        assert gate <= none
    assert {each[2:] for rate, each in found.items() if rate > CAP} == {(0.0, 0.0)}


@pytest.mark.fault("A2")
def test_what_many_sources_flip_on_purpose_passes_a_cap_and_not_an_audit_that_judges_alone() -> None:
    """Random flips of as many harm less than so few audited rows can tell."""
    _, gate, capped, audited = promoted_bad([tried(Trial("targeted", 0.20, True, seed)) for seed in range(SEEDS)])
    assert capped == gate > 0.5
    assert audited == 0.0


@pytest.mark.fault("A2")
@pytest.mark.parametrize("kind", ["random", "targeted"])
def test_control_with_no_defence_what_they_made_worse_is_promoted(kind: str) -> None:
    undefended, _, defended, _ = promoted_bad([tried(Trial(kind, 0.20, False, seed)) for seed in range(SEEDS)])
    assert undefended > 0.5
    assert defended == 0.0
