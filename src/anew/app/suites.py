"""The project's benchmark suites: sealed files, the champion's recorded traffic, and rows of old regimes."""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

import polars as pl

from anew.adapters.table_file import file_digest, labelled_rows, read_table
from anew.app.duration import parse_count
from anew.app.gates import chosen_gates
from anew.app.policy import SuitePolicy
from anew.app.settings import Settings
from anew.domain.errors import IntegrityError, SettingsError
from anew.loop.trial import SuiteSource
from anew.loop.trial_order import TrialNeeds

__all__ = ["suite_sources", "trial_needs"]


def suite_sources(settings: Settings) -> Mapping[str, SuiteSource]:
    """Return where each suite's rows come from; a file is read and compared with its seal when it is asked for.

    Raises
    ------
    SettingsError
        A suite is of no kind or of two, or a file is not sealed; each with its place in `anew.yaml`.
    """
    found, problems = {}, []
    for name, suite in settings.policy.suites.items():
        where = settings.document.where(("suites", name))
        try:
            found[name] = _source(settings, name, suite)
        except SettingsError as exc:
            problems += [f"{where}: suites.{name}: {problem}" for problem in exc.problems]
    if problems:
        raise SettingsError(*problems)
    return found


def trial_needs(settings: Settings) -> TrialNeeds:
    """Return what the project's gates need besides the snapshot."""
    sources = suite_sources(settings).values()
    return TrialNeeds(
        recorded=max((each.recorded for each in sources), default=0),
        past=max((each.past for each in sources), default=0),
        anchor=chosen_gates(settings).anchor,
    )


def _source(settings: Settings, name: str, suite: SuitePolicy) -> SuiteSource:
    given = [kind for kind in ("file", "recorded", "past") if getattr(suite, kind)]
    if len(given) != 1:
        raise SettingsError(f"found {', '.join(given) or 'nothing'}; give one of file, recorded and past")
    if given == ["recorded"]:
        return SuiteSource(recorded=parse_count(suite.recorded, "row"))
    if given == ["past"]:
        return SuiteSource(past=parse_count(suite.past, "row"))
    file = settings.root / suite.file
    if not file.is_file():
        raise SettingsError(f"there is no file {suite.file} in the project's folder")
    if not suite.digest:
        raise SettingsError(f"{suite.file} is not sealed; once its rows are right, add digest: {file_digest(file)}")
    return SuiteSource(file=cache(partial(_read, settings, name, file, suite.digest)))


def _read(settings: Settings, name: str, file: Path, sealed: str) -> pl.DataFrame:
    if not file.is_file():
        raise IntegrityError(f"the file of the suite {name} is gone: {file.name}")
    found = file_digest(file)
    if found != sealed:
        raise IntegrityError(
            f"{file.name} of the suite {name} is not what was sealed: its digest is {found}, the seal says {sealed}"
        )
    return labelled_rows(read_table(file), settings.columns, file.name)
