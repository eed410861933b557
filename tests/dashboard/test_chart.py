"""Promotions are marked within the picture, with their names beside them, wherever they are."""

import re
from datetime import timedelta

import pytest

from anew.dashboard.chart import _LETTER, _WIDTH, course_svg
from anew.dashboard.part import Point, Series
from tests.dashboard.story import AT, DAY

NAME = re.compile(r'<text class="mark-name" x="([\d.]+)" y="[\d.]+" text-anchor="(\w+)">([^<]+)</text>')
LINE = re.compile(r'<line class="mark" x1="([\d.]+)"')


def drawn(*promotions: timedelta) -> str:
    points = tuple(Point(at=AT + i * DAY, value=0.1, low=None, high=None, n=9, version="v1") for i in range(9))
    return str(
        course_svg(
            Series(
                metric="mae",
                limit=None,
                points=points,
                promotions=tuple((AT + after, f"v{i}") for i, after in enumerate(promotions, 2)),
            )
        )
    )


@pytest.mark.parametrize("after", [0 * DAY, 4 * DAY, 8 * DAY, 8.5 * DAY, 30 * DAY])
def test_a_promotion_is_named_within_the_picture(after: timedelta) -> None:
    (place,), ((x, anchor, name),) = LINE.findall(drawn(after)), NAME.findall(drawn(after))
    assert name == "v2"
    assert 0 <= float(place) <= _WIDTH
    left = float(x) - (_LETTER * len(name) if anchor == "end" else 0.0)
    assert left >= 0 and left + _LETTER * len(name) <= _WIDTH


def test_names_that_would_stand_on_each_other_are_left_out() -> None:
    text = drawn(2 * DAY, 2.1 * DAY, 7.9 * DAY, 8 * DAY)
    assert len(LINE.findall(text)) == 4
    assert [name for _, _, name in NAME.findall(text)] == ["v2", "v4"]
