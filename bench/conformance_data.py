"""Fixed columns, on which everybody's distances are compared: the same numbers on every machine, for ever."""

import numpy as np

__all__ = ["CATEGORIES", "NUMBERS", "TOGETHER", "Pair", "pairs"]

Pair = tuple[np.ndarray, np.ndarray]
"""A column of the reference and of the current rows."""

REFERENCE, CURRENT = 3000, 1200
NUMBERS = ("normal", "lognormal", "uniform", "mixture")
CATEGORIES = ("five", "forty")
TOGETHER = ("normal", "lognormal", "uniform")
"""The columns that are compared as whole rows."""


def pairs() -> dict[str, Pair]:
    """Make them; RandomState, not Generator, since its stream is promised not to change."""
    draw = np.random.RandomState(20261128)
    found: dict[str, Pair] = {
        "normal": (draw.normal(size=REFERENCE), draw.normal(0.2, 1.1, size=CURRENT)),
        "lognormal": (draw.lognormal(size=REFERENCE), 1.15 * draw.lognormal(size=CURRENT)),
        "uniform": (draw.uniform(size=REFERENCE), draw.beta(1.3, 1.0, size=CURRENT)),
        "mixture": (_mixture(draw, REFERENCE, 0.1), _mixture(draw, CURRENT, 0.2)),
    }
    for name, size, moved in (("five", 5, 1.3), ("forty", 40, 1.1)):
        levels = np.array([f"level {i:02}" for i in range(size)])
        shares = 1.0 / np.arange(1, size + 1)
        now = shares * np.where(np.arange(size) % 2, moved, 1.0)
        found[name] = (
            draw.choice(levels, REFERENCE, p=shares / shares.sum()),
            draw.choice(levels, CURRENT, p=now / now.sum()),
        )
    return {name: (np.round(a, 6), np.round(b, 6)) if a.dtype.kind == "f" else (a, b) for name, (a, b) in found.items()}


def _mixture(draw: np.random.RandomState, n: int, share: float) -> np.ndarray:
    return np.where(draw.uniform(size=n) < share, draw.normal(6.0, 0.5, size=n), draw.normal(size=n))
