"""Where a project's record of facts and its artifacts are: in its folder, or where its settings say."""

import json
import os
import secrets
from pathlib import Path

from anew.adapters.postgres_link import Place, PostgresPlace
from anew.app.secret import is_reference, read_secret
from anew.domain.errors import IntegrityError, SettingsError, UnavailableError

__all__ = [
    "LOCAL",
    "SQLITE",
    "artifact_place",
    "effects_place",
    "effects_schema",
    "had_record",
    "has_record",
    "owner_of",
    "place_of",
    "put_down",
    "record_place",
    "settled",
]

_FILE = "record.json"
"""Says, in a project's state folder, where its record is when that is not the folder itself."""
_SCHEMA = "anew.record/1"
SQLITE = "sqlite"
"""The setting of who keeps the record in the project's folder."""
LOCAL = "local"
"""The setting of who keeps artifacts and snapshots in the project's folder."""
_BROUGHT_UP = ("project.id", "lake.db", "keys/signing.key", "routing")
"""What `anew up` makes, after the record."""
_LONGEST = 58
"""PostgreSQL's names have 63 bytes, and ours begin with five of our own."""


def record_place(state: Path) -> Place:
    """Return where the record of the project whose ``.anew`` folder is `state` is, as `anew up` settled it.

    Raises
    ------
    SettingsError
        The URL's reference points nowhere.
    IntegrityError
        The file that says so cannot be read.
    """
    return place_of(state, *settled(state))


def put_down(state: Path, database: str, model: str, *, artifacts: str | None = None) -> None:
    """Put down, on disk, where the record is, and where the artifacts are (None: where they were)."""
    new, place = state / f"{_FILE}.new", artifact_place(state) if artifacts is None else artifacts
    with new.open("w", encoding="utf-8") as file:
        json.dump({"schema": _SCHEMA, "database": database, "model": model, "artifacts": place}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(state / _FILE)
    folder = os.open(state, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def effects_place(state: Path) -> Place:
    """Return where the checkpoints of effects are: beside the record."""
    place = record_place(state)
    if isinstance(place, Path):
        return place.with_name("dbos.db")
    return PostgresPlace(url=place.url, schema=effects_schema(place.schema))


def effects_schema(schema: str) -> str:
    """Return the schema with the checkpoints of effects that stands beside the record's."""
    return schema.replace("anew_", "dbos_", 1)


def has_record(state: Path) -> bool:
    """Was the project ever brought up?"""
    return (state / _FILE).is_file() or _file(state).is_file()


def had_record(state: Path) -> bool:
    """Was it, though its record may be lost? What only a project has that was brought up says so."""
    return has_record(state) or any((state / name).exists() for name in _BROUGHT_UP)


def _file(state: Path) -> Path:
    return state / "anew.db"


def owner_of(state: Path) -> str:
    """Return what tells this project from others on one server, made when there is none; durable on return."""
    file = state / "project.id"
    try:
        said = file.read_text("utf-8").strip()
        return f"{int(said, 16):032x}"
    except FileNotFoundError:
        pass
    except ValueError as exc:
        raise IntegrityError(f"{file} names no project; restore it from a copy") from exc
    owner, draft = secrets.token_hex(16), state / "project.id.new"
    with draft.open("w", encoding="utf-8") as opened:
        opened.write(f"{owner}\n")
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)
    return owner


def settled(state: Path) -> tuple[str, str]:
    """Return what `put_down` was given: the setting and the model's name; ``sqlite`` when it never was."""
    return _put_down(state)[:2]


def artifact_place(state: Path) -> str:
    """Return where artifacts and snapshots are: ``local``, or the URL of a bucket's folder.

    Raises
    ------
    IntegrityError
        The file that says so cannot be read.
    """
    return _put_down(state)[2]


def _put_down(state: Path) -> tuple[str, str, str]:
    try:
        said = json.loads((state / _FILE).read_text("utf-8"))
        if said["schema"] != _SCHEMA:
            raise IntegrityError(f"{state / _FILE} is {said['schema']!r}, this anew reads {_SCHEMA}; upgrade anew")
        return str(said["database"]), str(said["model"]), str(said.get("artifacts", LOCAL))
    except FileNotFoundError:
        return SQLITE, "", LOCAL
    except PermissionError as exc:
        said = "whoever brought the project up is its owner, and runs this"
        raise UnavailableError(f"{state / _FILE} may not be read by this user: {said}") from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise IntegrityError(f"{state / _FILE} cannot be read ({exc!r}); restore it from a backup") from exc


def place_of(state: Path, database: str, model: str) -> Place:
    """Return the place that a setting stands for.

    Raises
    ------
    SettingsError
        It is no such URL, or there is none where the reference points. No message holds it.
    """
    if database == SQLITE:
        return _file(state)
    url = read_secret(database, state.parent) if is_reference(database) else database
    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(f"stores.database: what {database} names is no postgresql:// URL (it may be a secret)")
    if len(model) > _LONGEST:
        raise SettingsError(f"the model's name {model!r} is too long for a schema: at most {_LONGEST} signs")
    return PostgresPlace(url=url, schema=f"anew_{model}")
