"""A model's file that somebody brings: what kind it is, by what it holds, and never by running it."""

import os
import pickletools
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from anew.adapters.model_format import DataFormats
from anew.domain.errors import PolicyError, SettingsError

__all__ = ["ModelFile", "read_model_file"]

_PICKLES = {".pkl", ".pickle", ".joblib"}
_PATIENCE_S = 120.0
_INSTEAD = (
    "reading a pickle runs whatever it brings. Where the model was made, write it as data: "
    "skops.io.dump(model, 'model.skops') for scikit-learn, model.booster_.save_model('model.txt') for LightGBM, "
    "model.save_model('model.json') for XGBoost, or export an ONNX graph"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """The bytes of a model, the name of their format, and the model's own names of its inputs; none when it has none.

    `file` is what an artifact calls it.
    """

    data: bytes
    format: str
    file: str
    inputs: tuple[str, ...] = ()


def read_model_file(path: Path, *, unpickle: bool = False) -> ModelFile:
    """Read a LightGBM text, a skops file, an XGBoost JSON or an ONNX graph.

    With `unpickle` a pickle is read too, once, in a confined process that writes it as data.

    Raises
    ------
    SettingsError
        The file cannot be read, or is none of these.
    PolicyError
        It is a pickle, which was not allowed, or came to nothing.
    IntegrityError
        It is damaged, or names types that are not allowed.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise SettingsError(f"{path} cannot be read ({exc.strerror})") from exc
    kind = _kind(path, data)
    if kind == "pickle":
        if not unpickle:
            raise PolicyError(
                f"{path} is a pickle, and {_INSTEAD}. --unpickle reads it once all the same, confined, and keeps data"
            )
        return _unpickled(path)
    return _read(data, kind)


def _read(data: bytes, kind: str) -> ModelFile:
    kept_as = DataFormats().named(kind)
    model = kept_as.decode(data)
    names = getattr(model, "feature_names_in_", None)
    if names is None and kind == "lightgbm":
        names = model.feature_name()  # type: ignore[attr-defined]  # a Booster
    found = () if names is None else tuple(str(each) for each in names)
    unnamed = all(each == f"Column_{i}" for i, each in enumerate(found))
    return ModelFile(data=data, format=kind, file=kept_as.file, inputs=() if unnamed else found)


def _kind(path: Path, data: bytes) -> str:
    if data.startswith(b"tree\n"):
        return "lightgbm"
    if zipfile.is_zipfile(BytesIO(data)):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if "schema.json" in archive.namelist():
                return "skops"
    if path.suffix in _PICKLES or _is_pickle(data):
        return "pickle"
    if data[:1] == b"{" and b'"learner"' in data:
        return "xgboost"
    if path.suffix == ".onnx":
        return "onnx"
    raise SettingsError(
        f"{path} is no model that anew knows by its content: bring a LightGBM text, a skops file, an XGBoost JSON, or "
        "an ONNX graph whose name ends in .onnx"
    )


def _is_pickle(data: bytes) -> bool:
    """Look at the opcodes without running any: do they end as a pickle does?"""
    if not data.startswith(b"\x80"):
        return False
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(data))
    except (ValueError, IndexError, EOFError):
        return False


def _unpickled(path: Path) -> ModelFile:
    with TemporaryDirectory(prefix="anew-unpickle-") as folder:
        command = [sys.executable, "-P", "-m", "anew.adapters.unpickle_child", str(path.resolve()), folder]
        keep = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
        try:
            done = subprocess.run(  # noqa: S603  our own program
                command,
                cwd=folder,
                env=keep | {"TMPDIR": folder, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise PolicyError(f"{path} was not read in {_PATIENCE_S:.0f} s") from exc
        left = {each.file: each.name for each in DataFormats().formats if (Path(folder) / each.file).is_file()}
        if done.returncode or not left:
            said = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
            raise PolicyError(f"{path} could not be written as data: {said}")
        name, kind = next(iter(left.items()))
        return _read((Path(folder) / name).read_bytes(), kind)
