"""Which rows make a snapshot: sources purged and capped, incidents left out, older rows rehearsed, the newest held out.

Pure over frames, the plan and how far the champion's rows reach: the same of these give the same snapshot, live, in
replay and when a version is made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import numpy as np
import polars as pl

from anew.domain.errors import TrainingError
from anew.domain.facts import TrainingPlanned
from anew.domain.interval import Interval
from anew.train.sources import NAMED_SOURCES, Sources

__all__ = ["SnapshotRows", "held_out_rows", "kept_rows", "snapshot_rows", "usable_rows"]

LEAST_ROWS = 4
_HISTORY = "history"
_SAID_SOURCES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRows:
    """The rows of a snapshot in time order, the newest `holdout` of which are held out.

    Attributes
    ----------
    sources
        For each source its name, the rows that came and those that were kept, most first.
    rehearsed
        How many are from before the span; they come first.
    """

    rows: pl.DataFrame
    holdout: int
    sources: tuple[tuple[str, int, int], ...] = ()
    rehearsed: int = 0


def held_out_rows(rows: int, share: float, most: int = 0, least: int = 0) -> int:
    """Return how many of `rows` are held out: the share, `most` (if any) at most, `least` at least, never over half."""
    return min(_wanted(rows, share, most, least), rows // 2)


def _wanted(rows: int, share: float, most: int, least: int) -> int:
    return max(1, least, min(round(rows * share), most or rows))


def kept_rows(rows: pl.DataFrame, left_out: Sequence[Interval]) -> pl.DataFrame:
    """Return the rows whose event time lies in none of the parts to be left out."""
    for each in left_out:
        rows = rows.filter(~pl.col("_at").is_between(each.start, each.end, closed="left"))
    return rows


def usable_rows(rows: pl.DataFrame, plan: TrainingPlanned) -> pl.DataFrame:
    """Return the rows that the plan lets in: none from incidents, none of a source that was purged."""
    rows = kept_rows(rows, plan.left_out)
    if plan.purged and "_source" in rows.columns:
        rows = rows.filter(~pl.col("_source").is_in(plan.purged))
    return rows


def snapshot_rows(rows: pl.DataFrame, plan: TrainingPlanned, learned: datetime | None = None) -> SnapshotRows:
    """Make the snapshot of usable rows, which reach back before the plan's span where it rehearses.

    A source with more than its share of the span's rows is cut down to it, by a sample that the plan's seed draws, and
    none of its rows are held out: what judges a candidate is not what may have been flooded. Rehearsed rows are drawn
    by the same seed from before the span, after the same cap.

    Where the plan names sources to hold out, only their rows are: the newest share of these, or as many as gates ask
    for. Rows of others that are newer than the oldest one held out are left out. Learned from, they would tell the
    candidate of the time that it is judged on, while in service it answers for a time that it has not seen. What is
    held out is of the newer half of all rows, so that no more than the half is ever kept from training; therefore rows
    of the same instant as the oldest one held out are learned from, as they are where anybody's rows are held out. It
    is newer than `learned`, the instant of the newest row that the champion was trained on, where that is known: on
    rows that the champion knows, no candidate is compared with it fairly.

    Raises
    ------
    TrainingError
        Too few rows are left, no source is within its share, so that the cap cannot be kept, or none of the rows may be
        held out.
    """
    older = rows.filter(pl.col("_at") < plan.span.start) if plan.rehearsal else rows.clear()
    span = rows.filter(pl.col("_at") >= plan.span.start)
    chance = np.random.default_rng(plan.seed)
    sources = _counted(span)
    limits = _limits(sources, plan)
    if plan.holdout_sources:
        held, kept = _audited(span, plan, limits, chance, learned)
    else:
        held, begin = _held(span, plan, limits)
        kept = _thinned(span, limits, chance, begin)
    if kept.height < LEAST_ROWS:
        raise TrainingError(
            "error",
            f"{kept.height} labelled rows lie in the span from {plan.span.start}; {LEAST_ROWS} are the least",
        )
    drawn = _rehearsed(older, kept.height - held, plan, chance)
    left = _counted(kept)
    return SnapshotRows(
        rows=pl.concat([drawn, kept]),
        holdout=held,
        sources=_named([(name, came, left.get(name, 0)) for name, came in sources.items()]),
        rehearsed=drawn.height,
    )


def _counted(rows: pl.DataFrame) -> Mapping[str, int]:
    """Return the rows of each source, most first; nothing of rows that do not say."""
    if "_source" not in rows.columns or not rows.height:
        return MappingProxyType({})
    counted = rows.group_by("_source").len().sort("len", "_source", descending=[True, False])
    return MappingProxyType({str(name): int(n) for name, n in counted.iter_rows()})


def _limits(sources: Mapping[str, int], plan: TrainingPlanned) -> Mapping[str, int]:
    """Return how many rows each source that has more than its share may keep.

    With `m` sources above the share `s` and `n` rows of the others, each keeps n·s / (1 − m·s): then it has exactly the
    share of what is left.
    """
    total, share = sum(sources.values()), plan.max_source_share
    cap = Sources(max_share=share, uncapped=plan.uncapped_sources)
    above = [name for name, n in sources.items() if cap.is_above(name, n, total)]
    if not above:
        return MappingProxyType({})
    others = total - sum(sources[name] for name in above)
    room = 1 - len(above) * share
    if not others or room <= 0:
        named = ", ".join(f"{name or '(no name)'} {sources[name] / total:.0%}" for name in above)
        raise TrainingError(
            "source_share",
            f"no source may have more than {share:.0%} of the rows, and there are too few others beside {named}; name "
            "those that may have more in data.uncapped_sources, or raise data.max_source_share",
        )
    return MappingProxyType({name: min(sources[name], int(others * share / room)) for name in above})


def _thinned(
    rows: pl.DataFrame, limits: Mapping[str, int], chance: np.random.Generator, before: datetime | None = None
) -> pl.DataFrame:
    """Return the rows with a sample of those of limited sources, of those from `before`, in the same order."""
    if not limits:
        return rows
    numbered = rows.with_row_index("_row")
    stays = ~rows.get_column("_source").is_in(list(limits)).to_numpy()
    early = numbered if before is None else numbered.filter(pl.col("_at") < before)
    for name, most in sorted(limits.items()):
        own = early.filter(pl.col("_source") == name).get_column("_row").to_numpy()
        stays[chance.choice(own, size=min(most, len(own)), replace=False)] = True
    return rows.filter(pl.Series(stays))


def _held(rows: pl.DataFrame, plan: TrainingPlanned, limits: Mapping[str, int]) -> tuple[int, datetime | None]:
    """Return how many rows are held out, and since when no row of a limited source is taken; None without any."""
    limit = (plan.holdout_share, plan.holdout_most, plan.holdout_least)
    if not limits:
        return held_out_rows(rows.height, *limit), None
    sound = rows.filter(~pl.col("_source").is_in(list(limits))).get_column("_at")
    held = min(held_out_rows(len(sound) + sum(limits.values()), *limit), max(1, len(sound) // 2))
    begin: datetime = sound[len(sound) - held]
    return held, begin


def _audited(
    rows: pl.DataFrame,
    plan: TrainingPlanned,
    flooding: Mapping[str, int],
    chance: np.random.Generator,
    learned: datetime | None,
) -> tuple[int, pl.DataFrame]:
    """Return how many rows of the plan's sources are held out, and the rows with nothing else newer than the oldest.

    The caps are kept among the rows before: what is left out must not have made room for anybody.
    """
    sound = numbered = rows.with_row_index("_row")
    judges = pl.lit(_HISTORY in plan.holdout_sources)  # a file of rows that do not say is history
    if "_source" in rows.columns:
        sound = numbered.filter(~pl.col("_source").is_in(list(flooding)))
        judges = pl.col("_source").is_in(plan.holdout_sources)
    own = sound.with_row_index("_sound").filter(judges)
    newer = own.filter(pl.col("_sound") >= sound.height - sound.height // 2)
    if not newer.height:
        raise TrainingError("holdout_sources", _nobody_judges(rows, plan, flooding))
    if learned is not None:
        newer = newer.filter(pl.col("_at") > learned)
    if not newer.height:
        raise TrainingError(
            "holdout_sources",
            f"{plan.champion} was trained on rows up to {learned}, and no label of data.holdout_sources "
            f"({', '.join(plan.holdout_sources)}) is on a newer one: it knows all that it would be compared on; have "
            "newer rows labelled by those",
        )
    wanted = _wanted(own.height, plan.holdout_share, plan.holdout_most, plan.holdout_least)
    held = newer.tail(min(wanted, newer.height))
    # Others of the very instant stay, or of rows that are stamped by the batch most would be dropped.
    before = (pl.col("_at") <= held.get_column("_at")[0]) & ~pl.col("_row").is_in(held.get_column("_row").to_list())
    early = numbered.filter(before).drop("_row")
    early = _thinned(early, _limits(_counted(early), plan), chance)
    return held.height, pl.concat([early, held.drop("_row", "_sound")])


def _nobody_judges(rows: pl.DataFrame, plan: TrainingPlanned, flooding: Mapping[str, int]) -> str:
    """Say which sources the rows have, where none of those that may be held out has any that are new enough."""
    came = [f"{name or '(no name)'} {n}" for name, n in _counted(rows).items()]
    more = f" and {len(came) - _SAID_SOURCES} more" if len(came) > _SAID_SOURCES else ""
    above = ", ".join(each for each in plan.holdout_sources if each in flooding)
    hint = f" ({above}: above data.max_source_share, and not in data.uncapped_sources)" if above else ""
    return (
        f"data.holdout_sources has {', '.join(plan.holdout_sources)}{hint}, and no label of these is on the newer half "
        f"of the {rows.height} rows, which come from {', '.join(came[:_SAID_SOURCES]) or 'nobody by name'}{more}; have "
        "newer rows labelled by those, or name others there"
    )


def _rehearsed(older: pl.DataFrame, trained: int, plan: TrainingPlanned, chance: np.random.Generator) -> pl.DataFrame:
    """Return the sample of older rows that makes up the plan's share of all that is trained on."""
    if not older.height:
        return older
    older = _thinned(older, _limits(_counted(older), plan), chance)
    wanted = min(older.height, round(trained * plan.rehearsal / (1 - plan.rehearsal)))
    drawn = np.zeros(older.height, dtype=np.bool_)
    drawn[chance.choice(older.height, size=wanted, replace=False)] = True
    return older.filter(pl.Series(drawn))


def _named(sources: Sequence[tuple[str, int, int]]) -> tuple[tuple[str, int, int], ...]:
    """Return the largest, and the sum of the others under an empty name."""
    if len(sources) <= NAMED_SOURCES:
        return tuple(sources)
    rest = sources[NAMED_SOURCES:]
    return (*sources[:NAMED_SOURCES], ("", sum(each[1] for each in rest), sum(each[2] for each in rest)))
