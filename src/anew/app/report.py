"""`anew report`: one version of a project as one HTML file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anew.adapters.fact_reader import reading_facts
from anew.adapters.system_clock import SystemClock
from anew.app.lineage import lineage_among
from anew.app.model import show_version
from anew.app.narration import narrate
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.dashboard.records import heard
from anew.dashboard.report import report_html, report_of
from anew.domain.errors import IntegrityError, NotFoundError

__all__ = ["write_report"]


def write_report(project: Path, version: str, file: Path) -> int:
    """Write the report of a version into `file`, replacing what is there at once; returns its size in bytes.

    Raises
    ------
    NotFoundError
        The project was never brought up, or has no such version.
    """
    with reading_facts(record_place(state_folder(project))) as reader:
        record = heard(reader)
        lineage, made_of = lineage_among(project, version, record), _made_of(project, version)
        report = report_of(record, lineage, narrate, made_of=made_of, at=SystemClock().now())
    html = report_html(report).encode("utf-8")
    draft = file.with_name(f".{file.name}.part")
    draft.write_bytes(html)
    draft.replace(file)
    return len(html)


def _made_of(project: Path, version: str) -> Mapping[str, str]:
    """Return what the artifact says of itself; what is wrong with it is said in its place."""
    try:
        found = show_version(project, version)
    except NotFoundError:
        return {}
    except IntegrityError as exc:
        return {"artifact": f"damaged: {exc}"}
    manifest: Mapping[str, Any] = found["manifest"]
    said = {
        "format": manifest["format"],
        "rows": f"{manifest['rows']:,} trained on, {manifest['holdout_rows']:,} held out",
        "inputs": ", ".join(manifest["inputs"]),
        "parameters": json.dumps(manifest["params"], sort_keys=True),
        "seed": str(manifest["seed"]),
        "measured in training": ", ".join(f"{name} {value:.4g}" for name, value in manifest["metrics"].items()),
        "snapshot": manifest["snapshot"],
        "code": manifest["code"],
        "environment": manifest["environment"],
        "files": ", ".join(f"{name} ({size:,} bytes)" for name, size in found["files"].items()),
    }
    search = found["search"]
    if search:
        said["search"] = f"{search['trials']} trials, best {search['metric']} {search['value']:.4g}"
    return {name: value for name, value in said.items() if value}
