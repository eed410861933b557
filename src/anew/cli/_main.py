"""The `anew` command: finds the verb's file when it is asked for, and turns errors into exit codes."""

import importlib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from anew import __version__
from anew.cli._ending import heard
from anew.cli._exit import EXIT_CODES, exits
from anew.cli._light import LIGHT

__all__ = ["EXIT_CODES", "VERBS", "main"]

VERBS = {
    "access": "Let programs and people use this project: tokens, and people with passwords.",
    "audit": "Verify, show and export the record of every decision.",
    "approve": "Approve a promotion, or a gate that asks a person.",
    "backtest": "Compare retraining policies on a historical file, and with what hindsight could have done.",
    "backup": "Copy all that a project keeps, while it runs, into a folder that is signed and checked.",
    "ci": "Check a project as continuous integration does: its policy, a backtest, its gates; or print the pipeline.",
    "completion": "Print the script that completes commands and options in bash, zsh or fish.",
    "data": "Compare sets of rows, take back what a source taught, answer a file: `anew data drift`, `purge`, `score`.",
    "demo": "Watch a model go stale and come back: the whole loop on real data, in about a minute.",
    "doctor": "Look at everything that a project stands on, and say what to do where it is not well.",
    "explain": "Say why a version exists and what became of it.",
    "gateway": "Serve the models of several projects on one port, beside the loops that keep them.",
    "label": "Look at answers that people are asked about: `anew label next`, `answer`, `skip`, `status`.",
    "lineage": "Show where a version, a prediction or a decision came from, and what it led to.",
    "gate": "Run the gates on a version, as CI does.",
    "init": "Make a project, empty or from a file of labelled rows.",
    "migrate": "Move the record of facts to another database, and versions into a bucket, verified.",
    "models": "Show how the models of an installation stand, and whose retrain is next.",
    "model": "List and show versions, and train one again from what is on record.",
    "override": "Override a required gate, by a signed reason.",
    "profile": "Profile a history by windows against a version's training rows, spread over workers.",
    "reject": "Say no to a promotion that waits for persons.",
    "replay": "Run a project's own policy over a historical file, in virtual time.",
    "report": "Write a version into one HTML file: what it is, why it exists, what became of it.",
    "restore": "Put a project back from its backup, never beneath gateways that know more.",
    "retrain": "Ask for a retrain now.",
    "rollback": "Go back to the fallback, or stop the rollout under way.",
    "rollout": "Hold, resume or abort the rollout under way, show how far it is, delete what is done with.",
    "run": "Show how far the run under way is, or cancel it.",
    "status": "Show what serves, what is on probation and what was decided last.",
    "up": "Serve and run the loop until interrupted.",
    "validate": "Check a project's files and say everything that is wrong with them.",
    "watch": "Watch where everything stands, and each decision as it is made.",
}
"""Each verb is the file of its name in this package, loaded only when it is called."""


class _Verbs(TyperGroup):
    """The group of verbs; help needs none of their files."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002  typer's own base
        """Return the verbs, sorted."""
        return sorted(VERBS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ARG002  likewise
        """Load a verb's file and return its command."""
        if cmd_name not in VERBS or cmd_name in LIGHT:
            return None
        return _command(cmd_name, importlib.import_module(f"anew.cli.{cmd_name}"))

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]  # likewise
        """Find the verb; what is none is refused with the verb that was probably meant."""
        near = [] if args[0] in VERBS else get_close_matches(args[0], VERBS, n=1)
        if near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ARG002  likewise
        """Write the list of verbs."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb]) for verb in sorted(VERBS)])


def _command(name: str, module: ModuleType) -> Any:
    """Return a verb's command: its `run`, or the group of its ``COMMANDS``, functions by name."""
    commands: Mapping[str, Callable[..., None]] = getattr(module, "COMMANDS", {})
    app = typer.Typer(name=name, help=module.__doc__, add_completion=False, rich_markup_mode=None)
    if not commands:
        app.command(name=name, help=module.__doc__)(heard(module.run))
        return get_command(app)
    app.callback(no_args_is_help=True)(lambda: None)
    for each, run in commands.items():
        app.command(name=each)(heard(run))
    return get_command(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"anew {__version__}")
        raise typer.Exit


def _anew(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep a served model current: watch it, retrain it, prove it, roll it out, roll it back."""


def main() -> None:
    """Run the command line and exit."""
    app = typer.Typer(
        cls=_Verbs,
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_anew)
    with exits():
        get_command(app)()
