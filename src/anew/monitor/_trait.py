"""What a version knows of its columns besides their distribution."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from anew.domain.errors import IntegrityError, InvariantError

__all__ = ["Traits"]

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Traits of the declared features, measured when the version was trained.

    Attributes
    ----------
    reliance
        Share of the model's output that each column carries: by how much the answers change when the column's values
        are shuffled among rows, over the sum of that for all columns. Empty when it could not be measured.
    calendar
        What each calendar-like column follows, ``the day of the week``; other columns are left out.
    inertia
        Rows of each column that tell as much as one independent row, 1 or more.
    rows
        Rows that the reliance was measured on.
    """

    reliance: Mapping[str, float]
    calendar: Mapping[str, str]
    rows: int
    inertia: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(math.isfinite(each) and 0 <= each <= 1 for each in self.reliance.values()) or self.rows < 0:
            raise InvariantError(f"reliance is a share of each column, on 0 rows or more: {dict(self.reliance)}")
        if not all(1 <= each < math.inf for each in self.inertia.values()):
            raise InvariantError(f"one row or more count as one: {dict(self.inertia)}")

    def to_json(self) -> str:
        """Write as JSON, the same for the same traits."""
        plain = {
            "schema": _SCHEMA,
            "reliance": dict(self.reliance),
            "calendar": dict(self.calendar),
            "rows": self.rows,
            "inertia": dict(self.inertia),
        }
        return json.dumps(plain, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Traits":
        """Read what `to_json` wrote.

        Raises
        ------
        IntegrityError
            It is something else, or was written by a newer version.
        """
        try:
            plain = json.loads(text)
            if plain["schema"] != _SCHEMA:
                raise IntegrityError(f"traits of schema {plain['schema']}, this anew reads {_SCHEMA}: update anew")
            return cls(
                reliance={str(name): float(each) for name, each in plain["reliance"].items()},
                calendar={str(name): str(each) for name, each in plain["calendar"].items()},
                rows=int(plain["rows"]),
                inertia={str(name): float(each) for name, each in plain["inertia"].items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError, InvariantError) as exc:
            if isinstance(exc, IntegrityError):
                raise
            raise IntegrityError(f"the traits of the columns cannot be read: {exc!r}") from exc
