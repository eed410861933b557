"""Gives a verb that typer reads the options of an intent."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from anew.cli._intent import CHAMPION, DRY_RUN, YES, Intent

__all__ = ["changing"]


def changing(run: Callable[..., None]) -> Callable[..., None]:
    """Return `run` as typer reads it: its first argument becomes ``--dry-run``, ``--yes`` and ``--expect-champion``."""

    @wraps(run)
    def called(*, dry_run: bool, yes: bool, expect_champion: str, **given: Any) -> None:
        run(Intent(dry_run=dry_run, yes=yes, expect_champion=expect_champion), **given)

    _, *own = inspect.signature(run).parameters.values()
    more = inspect.signature(_options).parameters.values()
    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *more)]
    last = [each for each in named if each.name == "json"]
    order = [*(each for each in named if each.name != "json"), *last]
    called.__signature__ = inspect.Signature(order)  # type: ignore[attr-defined]  # what inspect looks for
    called.__annotations__ = {each.name: each.annotation for each in order}
    return called


def _options(
    dry_run: Annotated[bool, typer.Option("--dry-run", help=DRY_RUN)] = False,
    yes: Annotated[bool, typer.Option("--yes", help=YES)] = False,
    expect_champion: Annotated[str, typer.Option(metavar="VERSION", help=CHAMPION)] = "",
) -> None:
    """Stand for the options of an intent."""
