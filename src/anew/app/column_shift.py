"""How far the columns of a window are from the rows that its version was trained on, from stored profiles alone."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from anew.adapters.profile_folder import ProfileFolder
from anew.app.kept import artifact_files
from anew.dashboard.source import Bar, Shift
from anew.domain.errors import IntegrityError, InvariantError, NotFoundError
from anew.domain.facts import WindowClosed
from anew.loop.held_loss import LOSSES
from anew.stats.column import ColumnProfile
from anew.stats.comparison import measure
from anew.stats.distance import coarsen
from anew.stats.edge import CategoricalBinning
from anew.stats.loss_profile import LossProfile
from anew.stats.profile import Profile, Reference

__all__ = ["column_shifts"]

_MOST_LEVELS = 12
_REFERENCE = "reference.bin"


def column_shifts(state: Path, digest: str, window: WindowClosed, *, hidden: Collection[str] = ()) -> Sequence[Shift]:
    """Compare every column of a window with the reference of the artifact `digest`, which served it.

    Parameters
    ----------
    hidden
        Columns whose values are counted, not named.

    Raises
    ------
    NotFoundError
        The window left no profile, or the artifact is gone.
    IntegrityError
        One of them is spoilt, or is not what was signed.
    UnavailableError
        The artifact is in a bucket that does not answer.
    """
    packed = ProfileFolder(state / "profiles").get(digest, window.window, window.rows)
    if packed is None:
        raise NotFoundError(f"the window from {window.window.start:%Y-%m-%d %H:%M} left no profile")
    try:
        stored = artifact_files(state, digest, _REFERENCE, LOSSES)
        if _REFERENCE not in stored:
            raise NotFoundError(f"{window.version} was stored without a reference to compare with")
        reference = Reference.from_bytes(stored[_REFERENCE])
        losses = LossProfile.from_bytes(stored[LOSSES]) if LOSSES in stored else None  # one that was stored without
        profile = Profile.from_bytes(packed)
        return [
            _shift(name, reference, column, losses, named=name not in hidden)
            for name, column in profile.columns.items()
            if name in reference.own.columns and column.n and reference.own.columns[name].n
        ]
    except InvariantError as exc:
        raise IntegrityError(f"a profile of {window.version} cannot be read ({exc})") from exc


def _shift(
    name: str, reference: Reference, current: ColumnProfile, losses: LossProfile | None, *, named: bool
) -> Shift:
    own, binning = reference.own.columns[name], reference.binnings[name]
    measured = measure(own, current)
    if isinstance(binning, CategoricalBinning):
        levels = binning.levels if named else [f"value {i + 1}" for i in range(len(binning.levels))]
        bars = _levels(levels, own, current)
    else:
        bars = _tenths(own, current)
    return Shift(
        column=name,
        kind=own.kind,
        psi=measured.psi if measured else 0.0,
        p_value=measured.p_value if measured else None,
        ks=measured.ks if measured else None,
        bars=bars,
        effect=losses.effect(name, own, current) if losses else None,
        held=losses.rows.n if losses else 0,
    )


def _tenths(own: ColumnProfile, current: ColumnProfile) -> tuple[Bar, ...]:
    """Return shares of tenths of the reference; what is neither a number of a tenth nor empty comes after them."""
    first, second = coarsen(own, current)
    names = [str(i + 1) for i in range(10)] if len(first) >= 10 else [str(i + 1) for i in range(len(first))]
    names += ["other"] * (len(first) - len(names))
    return tuple(
        Bar(name=name, reference=float(a) / own.n, current=float(b) / current.n)
        for name, a, b in zip(names, first, second, strict=True)
    )


def _levels(levels: Sequence[str], own: ColumnProfile, current: ColumnProfile) -> tuple[Bar, ...]:
    names = [*levels, "other", "new", "missing"]
    order = np.argsort(-(own.counts + current.counts), kind="stable")
    shown = [int(i) for i in order if own.counts[i] or current.counts[i]]
    bars = [
        Bar(name=names[i], reference=float(own.counts[i]) / own.n, current=float(current.counts[i]) / current.n)
        for i in shown[:_MOST_LEVELS]
    ]
    rest = shown[_MOST_LEVELS:]
    if rest:
        shares = [float(side.counts[rest].sum()) / side.n for side in (own, current)]
        bars.append(Bar(name=f"{len(rest)} more", reference=shares[0], current=shares[1]))
    return tuple(bars)
