"""Compare sets of rows; take back what a source taught; answer a file of rows; export answers."""

import importlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anew.app.drift import QUANTILES, DriftOptions, DriftReport, Quantiles, measure_drift, measure_quantiles
from anew.cli._intent import intent_options
from anew.cli._output import emit_json, say
from anew.cli._parser import Commands, run_command
from anew.stats.column import ColumnProfile
from anew.stats.comparison import ColumnDrift, DriftVerdict

if TYPE_CHECKING:
    from anew.app.drift_sample import Compared, SampleDrift

__all__ = ["COMMANDS", "drift", "export", "log", "main", "profile", "purge", "score"]

_WORDS = {
    DriftVerdict.DRIFT: "DRIFT",
    DriftVerdict.SHIFT: "shift within the margin",
    DriftVerdict.NONE_SEEN: "no drift seen",
    DriftVerdict.INCONCLUSIVE: "inconclusive: no rows",
}


def main(words: Sequence[str]) -> None:
    """Run the command that the words after ``anew data`` name."""
    run_command("data", __doc__, COMMANDS, words)


def _drift_options(parser: ArgumentParser) -> None:
    default = DriftOptions(current=Path(), reference=Path())
    for flag, said in (
        ("--current", "Parquet file of the rows to judge"),
        ("--reference", "Parquet file of the rows to judge them by"),
        ("--reference-profile", "instead of --reference: what --save-profile stored"),
        ("--save-profile", "store the profile of the reference here"),
    ):
        parser.add_argument(flag, type=Path, metavar="FILE", required=flag == "--current", help=said)
    parser.add_argument(
        "--alpha",
        type=float,
        metavar="SHARE",
        default=default.alpha,
        help="chance of any false finding among all columns (default: %(default)s)",
    )
    parser.add_argument(
        "--margin",
        type=float,
        metavar="PSI",
        default=default.margin,
        help="population stability index up to which a change is no drift (default: %(default)s)",
    )
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        default=0,
        help="compare N rows of each side as well, by column and together: maximum mean discrepancy, and how well a "
        "classifier tells them apart",
    )
    parser.add_argument(
        "--quantiles",
        action="store_true",
        help="sketch the quantiles of numbers on both sides as well (needs the extra sketches)",
    )
    parser.add_argument(
        "--fail-on-drift", action="store_true", help="exit 3 if a column drifted, is missing or changed its type"
    )
    parser.add_argument("--json", action="store_true", help="print anew.data.drift/1")


def drift(given: Namespace) -> None:
    """Say of each column whether it drifted from a reference, how far, and how sure that is.

    One pass over the rows, in batches: memory does not grow with the table. A finding is
    data, so the exit code is 0 unless --fail-on-drift is given.
    """
    options = DriftOptions(
        current=given.current,
        reference=given.reference,
        reference_profile=given.reference_profile,
        save_profile=given.save_profile,
        alpha=given.alpha,
        margin=given.margin,
    )
    report = measure_drift(options)
    # By name: it loads libraries that take longer than all else, and few ask for it.
    samples = (
        importlib.import_module("anew.app.drift_sample").measure_samples(options, given.samples)
        if given.samples
        else None
    )
    quantiles = measure_quantiles(options, report) if given.quantiles else {}
    if given.json:
        more = {} if samples is None else {"samples": _plain_samples(samples)}
        more |= {"quantiles": _plain_quantiles(quantiles)} if given.quantiles else {}
        emit_json("anew.data.drift/1", _plain(report) | more)
    else:
        _say(report)
        if samples is not None:
            _say_samples(samples)
        if given.quantiles:
            _say_quantiles(quantiles)
    if given.fail_on_drift and report.unsettled:
        sys.exit(3)


def _purge_options(parser: ArgumentParser) -> None:
    parser.add_argument("project", type=Path, nargs="?", default=Path(), help="the project's folder")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument(
        "--source", metavar="NAME", help="leave its labels and rows out of training; they stay on record"
    )
    whose.add_argument("--subject", metavar="KEY", help="erase every row of this key, for good")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    parser.add_argument("--retrain", action="store_true", help="ask for a retrain without it at once")
    intent_options(parser)
    parser.add_argument("--json", action="store_true", help="print anew.data.purge/1")


def purge(given: Namespace) -> None:
    """Learn nothing more from a source, or erase a subject's rows.

    A source's rows are left out of every snapshot from now on and stay on record: snapshots
    taken before can still be made again, and lineage shows which versions learned from it.
    A subject's rows are erased from every version of the tables, with the snapshots that have
    any; what was trained on them cannot be made again bit for bit, which is on record too.
    """
    importlib.import_module("anew.cli._purge").run(given)


def _profile_options(parser: ArgumentParser) -> None:
    parser.add_argument("project", type=Path, nargs="?", default=Path(), help="the project's folder")
    parser.add_argument("--since", required=True, metavar="INSTANT", help="event time, ISO 8601; UTC without a zone")
    parser.add_argument("--until", required=True, metavar="INSTANT", help="event time at which the period ends")
    parser.add_argument("--version", default="", metavar="NAME", help="the last that served in the period by default")
    parser.add_argument("--json", action="store_true", help="print anew.data.profile/1")


def profile(given: Namespace) -> None:
    """Say what was seen over a period, from the profiles that its windows left, and how far it is from training.

    No row is read: a year takes as long as its number of windows.
    """
    importlib.import_module("anew.cli._profile").run(given)


def _score_options(parser: ArgumentParser) -> None:
    parser.add_argument("project", type=Path, nargs="?", default=Path(), help="the project's folder")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="Parquet file of the rows to answer")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="Parquet file to write, not there yet")
    parser.add_argument("--version", default="", metavar="NAME", help="one that the gateway has, else the champion")
    parser.add_argument("--json", action="store_true", help="print anew.data.score/1")


def score(given: Namespace) -> None:
    """Answer a file of rows as the gateway would, batch by batch, into a new file.

    The loop need not run. These answers are not predictions on record: nothing is monitored or
    learned from them.
    """
    importlib.import_module("anew.cli._score").run(given)


def _log_options(parser: ArgumentParser) -> None:
    parser.add_argument("project", type=Path, nargs="?", default=Path(), help="the project's folder")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="Parquet or CSV file of the log")
    parser.add_argument("--output", required=True, metavar="COLUMN", help="what was answered")
    parser.add_argument("--id", required=True, metavar="COLUMN", help="which request it was, as the server calls it")
    parser.add_argument("--version-column", default="", metavar="COLUMN", help="which version answered, e.g. v3")
    parser.add_argument(
        "--url",
        default="",
        metavar="URL",
        help="the gateway, as http://HOST:PORT/models/NAME where it serves several; else this machine's",
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="where the gateway asks for a token")
    parser.add_argument("--json", action="store_true", help="print anew.data.log/1")


def log(given: Namespace) -> None:
    """Tell a project that answers nobody itself (serving.log_only) what another server answered.

    The file has the declared columns, and the target where it is known. Sent again, or grown, it
    brings each request once.
    """
    importlib.import_module("anew.cli._log").run(given)


def _export_options(parser: ArgumentParser) -> None:
    parser.add_argument("project", type=Path, nargs="?", default=Path(), help="the project's folder")
    parser.add_argument("--since", required=True, metavar="INSTANT", help="event time, ISO 8601; UTC without a zone")
    parser.add_argument("--until", required=True, metavar="INSTANT", help="event time at which the period ends")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FILE", help="file to write, not there yet: .parquet, .csv or .jsonl"
    )
    parser.add_argument("--personal", action="store_true", help="keep the values of personal columns as they are")
    parser.add_argument("--json", action="store_true", help="print anew.data.export/1")


def export(given: Namespace) -> None:
    """Write the stored answers of a period, with the labels that count, into a new file.

    Columns that are declared personal are pseudonyms: the same value has the same one, and it
    leads back to nobody without the project's key. The loop need not run.
    """
    importlib.import_module("anew.cli._export").run(given)


COMMANDS: Commands = {
    "drift": (_drift_options, drift),
    "export": (_export_options, export),
    "log": (_log_options, log),
    "profile": (_profile_options, profile),
    "purge": (_purge_options, purge),
    "score": (_score_options, score),
}
"""The commands of `anew data` by name: what declares the options of each, and what runs it."""


def _plain(report: DriftReport) -> dict[str, Any]:
    retyped = {
        name: {"before": change.before, "after": change.after, "comparable": change.comparable}
        for name, change in report.retyped.items()
    }
    return {
        "reference_rows": report.reference.n,
        "current_rows": report.current.n,
        "alpha": report.options.alpha,
        "margin": report.options.margin,
        "drifted": list(report.drifted),
        "missing": list(report.missing),
        "new": list(report.new),
        "retyped": retyped,
        "unsupported": list(report.unsupported),
        "columns": {name: _column(report, name) for name in report.columns},
    }


def _column(report: DriftReport, name: str) -> dict[str, Any]:
    found, sides = report.columns[name], (report.reference.columns[name], report.current.columns[name])
    plain: dict[str, Any] = {"kind": sides[0].kind, "verdict": str(found.verdict)}
    if found.measured is not None:
        measured = found.measured
        plain |= {
            "psi": measured.psi,
            "psi_low": measured.psi_interval.low,
            "psi_high": measured.psi_interval.high,
            "js": measured.js,
            "kl": measured.kl,
            "total_variation": measured.total_variation,
            "chi_squared": measured.chi_squared,
            "ks": measured.ks,
            "wasserstein": measured.wasserstein,
            "p_value": found.p_value,
            "p_beyond_margin": found.p_margin,
        }
    for side, profile in zip(("reference", "current"), sides, strict=True):
        plain[side] = {"nulls": profile.nulls, "mean": profile.mean, "unseen": _unseen(profile)}
    return plain


def _unseen(profile: ColumnProfile) -> int:
    """Return the rows outside what the reference had: unknown levels, or numbers beyond its range."""
    counts = profile.counts
    return int(counts[-2]) if profile.kind == "categorical" else int(counts[:2].sum() + counts[-4:-2].sum())


def _say(report: DriftReport) -> None:
    heads = ("column", "verdict", "PSI", "JS", "KL", "TV", "KS", "Wasserstein", "chi2", "p", "nulls", "unseen")
    order = list(DriftVerdict)
    found = sorted((order.index(each.verdict), -_size(each), name) for name, each in report.columns.items())
    rows = [heads, *(_row(report, name) for _, _, name in found)]
    _say_table(rows)
    say()
    for name in report.missing:
        say(f"missing: {name} is in the reference, not in the current rows")
    for name, change in report.retyped.items():
        say(f"type changed: {name} {change}")
    for name in report.new:
        say(f"new: {name} is not in the reference")
    for name in report.unsupported:
        say(f"not looked at: {name} holds lists or structs")
    say(
        f"{len(report.drifted)} of {len(report.columns)} columns drifted: {report.current.n:,} rows against "
        f"{report.reference.n:,}, alpha {report.options.alpha:g} over all columns, margin {report.options.margin:g}"
    )


def _size(found: ColumnDrift) -> float:
    return found.measured.psi if found.measured is not None else -1.0


def _row(report: DriftReport, name: str) -> tuple[str, ...]:
    found, column = report.columns[name], report.current.columns[name]
    measured = found.measured
    if measured is None:
        return (name, _WORDS[found.verdict], *[""] * 10)
    sizes = (measured.psi, measured.js, measured.kl, measured.total_variation, measured.ks, measured.wasserstein)
    return (
        name,
        _WORDS[found.verdict],
        *("" if size is None else f"{size:.4f}" for size in sizes),
        f"{measured.chi_squared:.4g}",
        f"{found.p_value:.2g}",
        f"{column.nulls / column.n:.2%}",
        f"{_unseen(column) / column.n:.2%}",
    )


def _say_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of cells, the first two to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        say("  ".join(cells).rstrip())


def _plain_samples(samples: "SampleDrift") -> dict[str, Any]:
    return {
        "reference_rows": samples.rows[0],
        "current_rows": samples.rows[1],
        "together": None if samples.together is None else _plain_compared(samples.together),
        "columns": {name: _plain_compared(each) for name, each in samples.columns.items()},
    }


def _plain_compared(found: "Compared") -> dict[str, float]:
    return {
        "mmd": found.mmd.value,
        "mmd_p_value": found.mmd.p_value,
        "classifier_auc": found.classifier.auc,
        "classifier_p_value": found.classifier.p_value,
    }


def _say_samples(samples: "SampleDrift") -> None:
    say()
    named = sorted(samples.columns.items(), key=lambda each: -each[1].classifier.auc)
    if samples.together is not None:
        named = [("(together)", samples.together), *named]
    cells = [
        (
            name,
            "",
            f"{each.mmd.value:.4f}",
            f"{each.mmd.p_value:.2g}",
            f"{each.classifier.auc:.3f}",
            f"{each.classifier.p_value:.2g}",
        )
        for name, each in named
    ]
    _say_table([(f"{samples.rows[1]:,} rows against {samples.rows[0]:,}", "", "MMD2", "p", "AUC", "p"), *cells])


def _plain_quantiles(found: Mapping[str, tuple[Quantiles, Quantiles]]) -> dict[str, Any]:
    plain = {name: dict(zip(("reference", "current"), sides, strict=True)) for name, sides in found.items()}
    return {"shares": list(QUANTILES), "columns": plain}


def _say_quantiles(found: Mapping[str, tuple[Quantiles, Quantiles]]) -> None:
    say()
    heads = ("quantiles", "", *(f"{share:.0%}" for _ in range(2) for share in QUANTILES))
    cells = [
        (name, "", *("" if side is None else f"{side[i]:.5g}" for side in sides for i in range(len(QUANTILES))))
        for name, sides in found.items()
    ]
    _say_table([heads, *cells])
    say("the reference's, then the current rows'")
