"""Reads the words of verbs that answer before typer would have been imported."""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from inspect import cleandoc
from typing import NoReturn

__all__ = ["Commands", "Parser", "run_command"]

Commands = Mapping[str, tuple[Callable[[ArgumentParser], None], Callable[[Namespace], None]]]
"""The commands of a verb by name: what declares the options of each, and what runs it."""


class Parser(ArgumentParser):
    """Refuses as the verbs that typer reads do."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments and exit 2."""
        unknown = message.removeprefix("unrecognized arguments: ").split()
        said = f"No such option: {unknown[0]}" if unknown[0].startswith("-") else f"{message[:1].upper()}{message[1:]}"
        self.exit(2, f"{self.format_usage()}Try '{self.prog} --help' for help.\n\nError: {said}\n")


def run_command(verb: str, about: str | None, commands: Commands, words: Sequence[str]) -> None:
    """Run the command of `verb` that `words` name; without any, show what there is and exit 2."""
    parser = Parser(prog=f"anew {verb}", description=about, allow_abbrev=False)
    choices = parser.add_subparsers(title="Commands", metavar="COMMAND")
    known: dict[str, ArgumentParser] = {}
    for name, (describe, run) in commands.items():
        described = cleandoc(run.__doc__ or "")
        known[name] = command = choices.add_parser(
            name,
            help=described.partition("\n")[0],
            description=described,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        describe(command)
        command.set_defaults(run=run)
    if words and words[0].startswith("-") and words[0] not in ("-h", "--help"):
        # Argparse would take the option's value for the command.
        parser.error(f"unrecognized arguments: {words[0]}")
    own = known.get(words[0]) if words else None
    # By itself a command takes what may be left out after its options, too.
    given = parser.parse_args(words) if own is None else own.parse_intermixed_args(words[1:])
    if not hasattr(given, "run"):
        parser.print_help(sys.stderr)
        sys.exit(2)
    given.run(given)
