"""Does a column hold its values in another unit, or those of another column? Its distribution tells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anew.stats.column import ColumnProfile, Floats
from anew.stats.edge import NumericBinning

__all__ = ["FAR", "UNITS", "Misread", "distance_from", "swapped", "unit_of"]

UNITS: Mapping[str, tuple[float, float]] = {
    "Fahrenheit for Celsius": (1.8, 32.0),
    "Celsius for Fahrenheit": (1 / 1.8, -32.0 / 1.8),
    "Kelvin for Celsius": (1.0, 273.15),
    "Celsius for Kelvin": (1.0, -273.15),
    "a thousand times": (1e3, 0.0),
    "a thousandth": (1e-3, 0.0),
    "a hundred times": (1e2, 0.0),
    "a hundredth": (1e-2, 0.0),
    "a million times": (1e6, 0.0),
    "a millionth": (1e-6, 0.0),
    "sixty times": (60.0, 0.0),
    "a sixtieth": (1 / 60.0, 0.0),
    "pounds for kilograms": (2.2046226, 0.0),
    "kilograms for pounds": (1 / 2.2046226, 0.0),
    "inches for centimetres": (1 / 2.54, 0.0),
    "centimetres for inches": (2.54, 0.0),
    "feet for metres": (1 / 0.3048, 0.0),
    "metres for feet": (0.3048, 0.0),
    "the opposite sign": (-1.0, 0.0),
}
"""How a value comes out in each: ``factor * value + shift``. What grew by a half is no unit, but a changed world."""

FAR = 0.75
"""Distance from training above which a column is looked at: the two have little in common."""
_APART = 0.95
_LOOSE = 0.6
_SEASON = 0.3
_GREAT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Misread:
    """What explains values that are far from training: read by `reading` they are `after` away, no more `as_is`."""

    reading: str
    as_is: float
    after: float


def distance_from(binning: NumericBinning, base: ColumnProfile, values: Floats) -> float:
    """Return how far `values`, shape (n,), finite, n > 0, are from the reference, from 0 to 1.

    The Kolmogorov distance at the reference's edges, or the share beyond its ends where that is greater: spread a
    thousandfold about the middle, two distributions are only half apart by the former.
    """
    heaped = np.cumsum(base.counts[1:-3])
    if not heaped[-1]:
        return 0.0
    below = np.searchsorted(np.sort(values), np.asarray(binning.edges), side="left") / len(values)
    beyond = float(below[0] + 1 - below[-1]) - float(heaped[0] / heaped[-1])
    return max(float(np.abs(heaped[:-1] / heaped[-1] - below).max()), beyond)


def unit_of(binning: NumericBinning, base: ColumnProfile, values: Floats) -> Misread | None:
    """Return the unit that the values are in by mistake; None when they are near as they are, or none explains them.

    Parameters
    ----------
    values
        Shape (n,), finite, n > 0.
    """
    as_is = distance_from(binning, base, values)
    if as_is <= FAR:
        return None
    found = {
        reading: distance_from(binning, base, (values - shift) / factor) for reading, (factor, shift) in UNITS.items()
    }
    explaining = [each for each in found if found[each] < _near(each, as_is, len(values))]
    if not explaining:
        return None
    reading = min(explaining, key=lambda each: found[each])
    return Misread(reading=reading, as_is=as_is, after=found[reading])


def _near(reading: str, as_is: float, n: int) -> float:
    """Return the distance below which a reading explains n values.

    That of chance (Kolmogorov, 5 %) and a little, for a world may grow threefold; more, for what no world does, where
    training and the window have nothing in common: a season may lie between them.
    """
    factor, shift = UNITS.get(reading, (1.0, 0.0))
    if as_is > _APART and (not 1 / _GREAT < abs(factor) < _GREAT or (shift != 0 and factor == 1)):
        return _LOOSE
    chance = 0.02 + 1.36 / float(np.sqrt(n))
    return max(_SEASON, chance) if as_is > _APART and shift != 0 else chance


def swapped(
    one: tuple[NumericBinning, ColumnProfile, Floats], other: tuple[NumericBinning, ColumnProfile, Floats]
) -> Misread | None:
    """Return that two columns hold each other's values; None when each is near its own, or not near the other's.

    Parameters
    ----------
    one, other
        Bins and counts in training, and the values now, shape (n,), finite, n > 0.
    """
    as_is = min(distance_from(*one), distance_from(*other))
    after = max(distance_from(one[0], one[1], other[2]), distance_from(other[0], other[1], one[2]))
    n = min(len(one[2]), len(other[2]))
    explained = as_is > FAR and after < (_LOOSE if as_is > _APART else _near("", as_is, n))
    return Misread(reading="swapped", as_is=as_is, after=after) if explained else None
