"""No name of a policy stands on another, nor beyond the picture, wherever their points are."""

import random
import re

import pytest

from anew.dashboard.backtest_svg import _HEIGHT, _LETTER, _LINE, _WIDTH, backtest_svg

TEXT = re.compile(r'<text x="([\d.]+)" y="([\d.]+)">((?:every|psi|never)[^<]*)</text>')


def report(places: list[tuple[int, float]], long: str = "") -> dict[str, object]:
    kinds = ("every {} windows", "psi > 0.25, {} in a row", "never {}")
    policies = [
        {"policy": kinds[i % 3].format(i) + long, "fits": [0] * fits, "probes": 0, "loss": loss}
        for i, (fits, loss) in enumerate(places)
    ]
    return {"oracle": [0.4, 0.3, 0.25], "policies": policies, "recommended": {"policy": policies[0]["policy"]}}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", ["apart", "close", "one place"])
def test_names_are_apart_and_inside(seed: int, shape: str) -> None:
    chance = random.Random(seed)
    spread = {"apart": (20, 0.2), "close": (3, 0.004), "one place": (0, 0.0)}[shape]
    places = [(5 + chance.randint(0, spread[0]), 0.2 + chance.random() * spread[1]) for _ in range(14)]
    boxes = []
    for x, y, name in TEXT.findall(backtest_svg(report(places))):
        left, right, middle = float(x), float(x) + _LETTER * len(name.replace("&gt;", ">")), float(y) - 4
        assert left >= 0 and right <= _WIDTH and 0 <= middle <= _HEIGHT
        boxes.append((left, right, middle))
    assert len(boxes) == 14
    for i, (left, right, middle) in enumerate(boxes):
        for other_left, other_right, other_middle in boxes[:i]:
            apart = right <= other_left or other_right <= left or abs(middle - other_middle) >= _LINE - 0.11
            assert apart, (shape, boxes)


def test_no_line_to_a_name_is_drawn_over_a_point_and_the_numbers_at_the_axes_are_round() -> None:
    drawn = backtest_svg(report([(i % 7, 0.2 + 0.003 * i) for i in range(14)]))
    assert drawn.rindex('class="lead"') < drawn.index("<circle")
    below = re.findall(r'text-anchor="middle">([\d.]+)</text>', drawn)
    beside = re.findall(r'text-anchor="end">([\d.]+)</text>', drawn)
    assert (below, beside) == (["0", "2", "4", "6"], ["0.2", "0.25", "0.3", "0.35", "0.4"])


def test_a_name_of_hundreds_of_letters_is_cut_and_said_whole_by_its_point() -> None:
    drawn = backtest_svg(report([(1, 0.2)], long="x" * 300))
    assert max(len(name) for _, _, name in TEXT.findall(drawn)) == 60
    assert "x" * 300 in drawn
