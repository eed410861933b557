"""Machinery of the detectors whose false alarms a project's budget holds."""

from anew.domain.errors import InvariantError

__all__ = ["promised", "refuse_alpha"]


def promised(alpha: float, declared: str) -> str:
    """Say what an alert promises of its kind."""
    return f"false alarms at most {alpha:.2g} per window" + (f" ({declared})" if declared else "")


def refuse_alpha(name: str, alpha: float | None, least: float = 0.0, *, plain: str = "") -> None:
    """Raise InvariantError for a chance of false alarms that cannot be had, or one beside a `plain` limit."""
    if alpha is None:
        return
    if plain:
        raise InvariantError(f"{name}: {plain} is a limit of its own, and alpha a promise: give one of them")
    if not least <= alpha < 0.5 or not alpha > 0:
        lowest = f"from {least:g}" if least else "above 0"
        raise InvariantError(f"{name}: alpha {alpha} is a chance {lowest} up to 0.5 in each window, e.g. 0.01")
