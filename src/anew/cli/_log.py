"""Runs `anew data log`."""

from argparse import Namespace

from anew.app.log_file import LogColumns, LogTaker, model_address, send_log
from anew.app.settings import load
from anew.cli._output import emit_json, say

__all__ = ["run"]


def run(given: Namespace) -> None:
    """Send, and say how much the gateway has."""
    settings = load(given.project)
    token = given.token_file.read_text("utf-8").strip() if given.token_file else ""
    url = given.url or model_address(settings)
    named = LogColumns(output=given.output, id=given.id, version=given.version_column)
    sent = send_log(settings, given.data, named, LogTaker(url, token))
    if given.json:
        emit_json("anew.data.log/1", {"predictions": sent.predictions, "labels": sent.labels})
    else:
        say(f"{sent.predictions:,} answers of another server taken, {sent.labels:,} of them with their label")
