"""Sources: how much of what is learned may be the word of one, and whose word judges."""

from dataclasses import dataclass

from anew.domain.errors import InvariantError

__all__ = ["NAMED_SOURCES", "Sources"]

NAMED_SOURCES = 100
"""Sources of a snapshot that are counted by name, those with most rows; the others are summed up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """A source may have at most a share `max_share` of a snapshot's rows; those named in `uncapped` may have more.

    What comes above the cap is left out by a seeded sample, none of that source's rows are held out, and an alarm names
    it: whoever floods the loop with wrong labels is heard no more than that. Where every source has more than the cap,
    nothing is trained at all. With `holdout`, the labels that judge a candidate are of these sources alone.

    When not to use it: with one source of labels alone, there is nothing to weigh it against.

    Parameters
    ----------
    max_share
        In (0, 1]; 1 caps nothing.
    uncapped
        Names of sources that are trusted with more, e.g. the imported ``history``.
    holdout
        Names of sources whose rows alone are held out for the gates, e.g. those of an audit; empty for any.

    Examples
    --------
    >>> Sources(max_share=0.2, uncapped=("history",)).max_share
    0.2
    """

    max_share: float = 1.0
    uncapped: tuple[str, ...] = ()
    holdout: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.max_share <= 1:
            raise InvariantError(f"a source's share of {self.max_share}: use one above 0 and up to 1, e.g. 0.2")

    def is_above(self, source: str, rows: int, total: int) -> bool:
        """Are `rows` of `total` more than `source` may have?"""
        return self.max_share < 1 and rows > self.max_share * total and source not in self.uncapped
