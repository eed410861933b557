"""Profiles and drift of data frames, as `anew data drift` measures them."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.adapters.table_stream import open_table
from anew.app.drift import DriftOptions, DriftReport, measure_drift
from anew.notebook.frame import Frame, write_frame
from anew.notebook.markup import BAD, GOOD, UNSURE, bar, mark, table, title
from anew.stats.column import ColumnProfile
from anew.stats.comparison import DriftVerdict
from anew.stats.profile import Reference
from anew.stats.vector import is_ragged

__all__ = ["DriftResult", "ProfileResult", "drift", "profile"]

_COLOURS = {
    DriftVerdict.DRIFT: BAD,
    DriftVerdict.SHIFT: UNSURE,
    DriftVerdict.NONE_SEEN: GOOD,
    DriftVerdict.INCONCLUSIVE: UNSURE,
}
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class DriftResult:
    """How two frames compare; `report` has every distance.

    Attributes
    ----------
    drifted
        Columns found to have drifted, the furthest first.
    settled
        Did no column drift, go missing or change into another type? Not a proof that nothing has changed.
    """

    report: DriftReport

    @property
    def drifted(self) -> Sequence[str]:
        """Columns found to have drifted, the furthest first."""
        return self.report.drifted

    @property
    def settled(self) -> bool:
        """Did no column drift, go missing or change into another type?"""
        return not self.report.unsettled

    def __repr__(self) -> str:
        """Say it in a line."""
        report = self.report
        found = [", ".join(report.drifted) or "no drift seen"]
        found += [
            f"{what}: {', '.join(names)}"
            for what, names in (("missing", report.missing), ("type changed", report.broken))
            if names
        ]
        return f"<anew drift: {'; '.join(found)}; {len(report.columns)} columns, alpha {report.options.alpha:g}>"

    def _repr_html_(self) -> str:
        report = self.report
        ranked = sorted(report.columns.items(), key=lambda each: -(each[1].measured.psi if each[1].measured else -1.0))
        most = max((each.measured.psi for _, each in ranked if each.measured), default=0.0)
        rows = [
            (
                name,
                mark(
                    str(each.verdict).replace("_", " "), _COLOURS.get(each.verdict, GOOD if each.measured else UNSURE)
                ),
                None if each.measured is None else bar(each.measured.psi, most, f"{each.measured.psi:.4f}"),
                None if each.measured is None else each.measured.p_value,
                report.reference.columns[name].mean,
                report.current.columns[name].mean,
            )
            for name, each in ranked[:_SHOWN]
        ]
        chance = f"chance of any false finding {report.options.alpha:g}"
        about = f"{report.reference.n:,} rows against {report.current.n:,}, {chance}"
        more = f"<p>and {len(ranked) - _SHOWN} more columns</p>" if len(ranked) > _SHOWN else ""
        beside = (
            ("missing", ", ".join(report.missing)),
            ("type changed", "; ".join(f"{name} {change}" for name, change in report.retyped.items())),
            ("new", ", ".join(report.new)),
            ("not looked at", ", ".join(report.unsupported)),
        )
        lost = "".join(title(what, said) for what, said in beside if said)
        heads = ("column", "verdict", "PSI", "p-value", "mean before", "mean now")
        return title("Drift", about) + table(heads, rows) + more + lost


@dataclass(frozen=True, slots=True)
class ProfileResult:
    """What the columns of a frame hold; `unsupported` are those that hold neither numbers, levels nor vectors."""

    rows: int
    columns: Mapping[str, ColumnProfile]
    unsupported: Sequence[str]

    def __repr__(self) -> str:
        """Say it in a line."""
        return f"<anew profile: {self.rows:,} rows, {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        rows = [
            (
                name,
                each.kind,
                bar(each.nulls, max(each.n, 1), f"{each.nulls / max(each.n, 1):.1%}"),
                each.mean,
                each.minimum if each.kind == "numeric" else None,
                each.maximum if each.kind == "numeric" else None,
            )
            for name, each in self.columns.items()
        ]
        heads = ("column", "kind", "missing", "mean", "least", "greatest")
        left = title("not looked at", ", ".join(self.unsupported)) if self.unsupported else ""
        return title("Profile", f"{self.rows:,} rows") + table(heads, rows) + left


def profile(frame: Frame) -> ProfileResult:
    """Count what a frame holds, column by column; vectors part by part.

    Raises
    ------
    SchemaError
        It is no frame, or two of its columns bear one name.
    """
    with tempfile.TemporaryDirectory() as folder:
        stream = open_table(write_frame(frame, Path(folder) / "frame"))
        fitted, left = [], list(stream.unsupported)
        for name in stream.types:
            column = None if name in stream.unsupported else stream.column(name)
            if column is not None and not (name in stream.widths and is_ragged(column)):
                fitted.append(Reference.fit({name: column}))
            elif column is not None:
                left.append(name)
        own = Reference.together(fitted).own
    return ProfileResult(stream.rows, dict(own.columns), sorted(left))


def drift(reference: Frame, current: Frame, *, alpha: float = 0.01, margin: float = 0.005) -> DriftResult:
    """Judge the rows of `current` by those of `reference`, column by column.

    Parameters
    ----------
    alpha
        Chance of any false finding among the columns.
    margin
        Population stability index up to which a change does not matter.

    Raises
    ------
    SchemaError
        One of them is no frame, or they have no column in common.
    SettingsError
        `alpha` or `margin` cannot be.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = DriftOptions(
            reference=write_frame(reference, Path(folder) / "reference"),
            current=write_frame(current, Path(folder) / "current"),
            alpha=alpha,
            margin=margin,
        )
        return DriftResult(measure_drift(options))
