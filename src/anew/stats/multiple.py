"""Many tests at once: p-values that keep the chance of any false alarm among them."""

import math
from collections.abc import Sequence

from anew.domain.errors import InvariantError

__all__ = ["holm"]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's adjusted p-values, each at the place of its own: reject those that are at most alpha.

    The chance that any true hypothesis is rejected is then at most alpha, however the tests depend on each other.
    Whatever Bonferroni's correction rejects, this rejects too.

    Raises
    ------
    InvariantError
        A p-value is not within [0, 1]; what was not measured is no test.

    References
    ----------
    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    if not all(0.0 <= p <= 1.0 for p in p_values):
        raise InvariantError(f"p-values lie within [0, 1], not so {[p for p in p_values if not 0.0 <= p <= 1.0]}")
    adjusted = [math.nan] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min((len(p_values) - rank) * p_values[place], 1.0))
        adjusted[place] = least
    return tuple(adjusted)
