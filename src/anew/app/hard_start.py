"""Would a first champion trained from a file keep the objective that was measured on the file's first rows?"""

from collections.abc import Sequence
from pathlib import Path

from anew.adapters.table_file import read_table
from anew.app.first_look import look_at_newest
from anew.app.settings import load
from anew.loop.snapshot_rows import held_out_rows

__all__ = ["hard_start"]


def hard_start(folder: Path, source: Path) -> Sequence[str]:
    """Return what to say where a first champion with the file as its history would be refused; nothing elsewhere.

    The objective stays as it was measured: a replay of the file is not to know how it ends.
    """
    settings = load(folder)
    data, (slo, *_) = settings.policy.data, settings.policy.slos
    pipeline = settings.pipeline.read_text("utf-8")
    look = look_at_newest(
        read_table(source),
        settings.columns,
        pipeline,
        lambda rows: held_out_rows(rows, data.holdout, data.holdout_most),
    )
    if look is None or look.loss <= float(slo["at_most"]):
        return ()
    return (
        f"the newest {look.test_rows} rows are harder than the first: a model of those before had {look.metric} "
        f"{look.loss:.4g} on them, and the objective is at most {slo['at_most']}. With the file as data.history the "
        "first champion is refused until slos in anew.yaml says what you can live with",
    )
