"""The projects that `anew init --template` writes: each works as it stands, with rows that its own script generates."""

import runpy
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import polars as pl

from anew.adapters.schema_inference import Roles
from anew.app.project_template import Created, Given, create_from_frame, model_name
from anew.domain.errors import MissingExtraError, SettingsError

__all__ = ["HISTORY", "STREAM", "TEMPLATES", "ReadyProject", "create_from_template"]

HISTORY, STREAM = "history.parquet", "stream.parquet"
"""What a project begins with, from before its world changes; and all of its rows, for a replay."""

_SHIFT = "{label_shift: {test: psi, above: 0.1}, for: 3 windows}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyProject:
    """What a template is about, the roles of its columns, its triggers, and the extra that it needs."""

    about: str
    roles: Roles
    triggers: tuple[str, ...] = ()
    extra: str = ""


TEMPLATES = {
    "tabular": ReadyProject(
        about="classification of rows with numbers and categories",
        roles=Roles(time="at", target="is_fraud", task="classification", key="customer", sensitive=("age",)),
    ),
    "forecast": ReadyProject(
        about="regression and forecasting, with calendar and lagged columns",
        roles=Roles(time="at", target="load_mw", task="regression"),
        triggers=("{prediction_shift: {test: psi, above: 0.25, over: 1w}, for: 3 windows}",),
    ),
    "text": ReadyProject(
        about="classification of text by hashed words",
        roles=Roles(time="at", target="desk", task="classification"),
        triggers=(_SHIFT,),
    ),
    "embeddings": ReadyProject(
        about="a head on embeddings that another model makes",
        roles=Roles(time="at", target="kind", task="classification"),
        triggers=("{ood: {method: mahalanobis, columns: [embedding], share_above: 0.15}, for: 3 windows}",),
    ),
    "pytorch": ReadyProject(
        about="a network in PyTorch, kept and served as an ONNX graph",
        roles=Roles(time="at", target="fails", task="classification"),
        extra="torch",
    ),
}


def create_from_template(parent: Path, template: str, *, name: str = "") -> Created:
    """Write the project of a template into ``parent/name``, with the rows that its ``data.py`` generates.

    Raises
    ------
    SettingsError
        There is no such template.
    MissingExtraError
        Its library is not installed.
    ConflictError
        The folder has a project already.
    """
    ready = TEMPLATES.get(template)
    if ready is None:
        known = ", ".join(f"{each} ({one.about})" for each, one in TEMPLATES.items())
        raise SettingsError(f"there is no template {template!r}; there are: {known}")
    if ready.extra and find_spec(ready.extra) is None:
        raise MissingExtraError(ready.extra, ready.extra)
    shipped = files("anew.app") / "ready_projects" / template
    pipeline = shipped / "pipeline.py"
    script = (shipped / "data.py").read_bytes()
    frame = _generated(Path(str(shipped / "data.py")))
    model = model_name(name, template)
    given = Given(
        pipeline=pipeline.read_text("utf-8") if pipeline.is_file() else "",
        history=HISTORY,
        triggers=ready.triggers,
        files={"data.py": script, HISTORY: _parquet(frame.head(frame.height // 2)), STREAM: _parquet(frame)},
    )
    return create_from_frame(parent / model, model, frame, ready.roles, given)


def _parquet(frame: pl.DataFrame) -> bytes:
    written = BytesIO()
    frame.write_parquet(written)
    return written.getvalue()


def _generated(script: Path) -> pl.DataFrame:
    """Run a script that we ship and return its rows."""
    made: pl.DataFrame = runpy.run_path(str(script))["rows"]()
    return made
