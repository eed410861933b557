"""Verify, show and export the record of every decision."""

import json as plain_json
from pathlib import Path
from typing import Annotated

import typer

from anew.adapters.signing import Verifier
from anew.app.audit import entries, read_head, signed_head, verify
from anew.app.audit_export import export, is_export, verify_export
from anew.app.status import state_folder
from anew.cli._output import emit_json, say
from anew.domain.errors import NotFoundError
from anew.domain.facts import FACTS

__all__ = ["COMMANDS"]

Project = Annotated[Path, typer.Argument(help="the project's folder")]
Named = Annotated[Path | None, typer.Option("--project", help="the same by name, as other verbs take it")]


def _verify(
    project: Project = Path(),
    named: Named = None,
    head: Annotated[Path | None, typer.Option(help="a head exported earlier: finds a tail that was cut off")] = None,
    exported: Annotated[
        Path | None, typer.Option("--export", help="a file of audit export, in place of the project's record")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="with --export: the public key, where the project is not at hand (signing.pub)")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print anew.audit.verify/1")] = False,
) -> None:
    """Recompute the hash chain; name the first bad row when the record was altered."""
    if key is not None and exported is None:
        raise typer.BadParameter("it goes with --export; a record is held to its project's own key", param_hint="--key")
    earlier = None if head is None else read_head(head)
    keys = state_folder(named or project) / "keys"
    if exported is not None:
        found = verify_export(exported, Verifier.load(keys) if key is None else Verifier.read(key), earlier)
    else:
        found = verify(named or project, earlier)
    if head is not None and is_export(head):
        verify_export(head, Verifier.load(keys) if key is None else Verifier.read(key))
    if json:
        plain = {"facts": found.seq, "head": found.hash, "against": str(head or ""), "export": str(exported or "")}
        emit_json("anew.audit.verify/1", plain)
        return
    against = f"; it goes on from the head in {head}" if head else ""
    within = f" in {exported}" if exported else ""
    say(f"{found.seq} facts{within} verified, head {found.hash}{against}")
    if not head:
        say(
            "A tail that was cut off shows only against a head kept elsewhere: anew audit head > FILE, then --head FILE"
        )


def _show(
    project: Project = Path(),
    named: Named = None,
    after: Annotated[int, typer.Option(min=0, help="only facts after this number")] = 0,
    kind: Annotated[list[str] | None, typer.Option(help="only facts of this kind; may be given again")] = None,
    json: Annotated[bool, typer.Option("--json", help="print anew.audit.show/1")] = False,
) -> None:
    """Print the record, oldest first: number, when it was recorded, what happened."""
    unknown = sorted(set(kind or ()) - FACTS.keys())
    if unknown:
        raise NotFoundError(f"there is no fact called {', '.join(unknown)}; there are {', '.join(sorted(FACTS))}")
    found = entries(named or project, after=after, kinds=kind or None)
    if json:
        emit_json("anew.audit.show/1", {"facts": list(found)})
        return
    for entry in found:
        say(f"{entry['seq']:>6}  {entry['recorded_at'][:19]}  {entry['kind']:<18}  {entry['said']}")


def _head(
    project: Project = Path(),
    named: Named = None,
    json: Annotated[bool, typer.Option("--json", help="print anew.audit.head/1")] = False,
) -> None:
    """Verify the record and print its signed head, to be kept where nobody who can write the record can."""
    signed = signed_head(named or project, verify(named or project))
    if json:
        emit_json("anew.audit.head/1", plain_json.loads(signed.to_json()))
        return
    say(signed.to_json())


def _export(
    project: Project = Path(),
    named: Named = None,
    to: Annotated[Path, typer.Option(help="a new file: a fact a line, the signed head last")] = Path("audit.jsonl"),
    json: Annotated[bool, typer.Option("--json", help="print anew.audit.export/1")] = False,
) -> None:
    """Write the verified record into a file of its own."""
    signed = export(named or project, to)
    if json:
        emit_json("anew.audit.export/1", {"file": str(to), **plain_json.loads(signed.to_json())})
        return
    say(f"{signed.head.seq} facts in {to}, head {signed.head.hash}")


COMMANDS = {"verify": _verify, "show": _show, "head": _head, "export": _export}
"""The commands of `anew audit` by name."""
