"""What a page is made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from anew.dashboard.record import Record
from anew.dashboard.records import Records
from anew.dashboard.source import InForce, Source
from anew.domain.access import Principal

__all__ = ["Asking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The record as it is now, the policy in force, where the rest comes from, who asks, and what the address says.

    Attributes
    ----------
    params
        Names in the path.
    records
        What was heard of other projects.
    query
        What stands behind the question mark; of a name that comes twice, the last.
    """

    record: Record
    source: Source
    who: Principal
    policy: InForce
    params: Mapping[str, str]
    query: Mapping[str, str]
    records: Records
