"""Losses of retired champions as evidence: paired, on one scale, on the rows that all could be scored on."""

import math

import numpy as np
import pytest

from anew.loop.retired import retired_losses


def test_means_and_the_error_of_the_paired_difference() -> None:
    champion = np.array([0.0, 1.0, 0.0, 1.0])
    retired = np.array([1.0, 1.0, 0.0, 1.0])
    first, second = retired_losses({"v2": champion, "v1": retired}, ["v2", "v1"])
    assert (first.subject, first.value, first.high) == ("v2", 0.5, 0.5)
    assert (second.subject, second.value, second.reference, second.n) == ("v1", 0.75, 0.5, 4)
    assert second.high == pytest.approx(0.75 + np.std(retired - champion) / 2)


def test_a_row_that_one_could_not_be_scored_on_counts_for_none() -> None:
    found = retired_losses({"a": np.array([0.0, 1.0]), "b": np.array([math.nan, 0.0])}, ["a", "b"])
    assert [each.n for each in found] == [1, 1]
    assert found[0].value == 1.0


def test_no_rows_are_no_evidence() -> None:
    (found,) = retired_losses({"a": np.empty(0)}, ["a"])
    assert not found.measured
