"""Looks at a candidate as it is packaged: its files, how fast it answers, and what it takes of memory."""

import io
import pickletools
import resource
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import polars as pl

from anew.ports.predictor import Predictor
from anew.validate import Package

__all__ = ["file_findings", "measure_package", "resident_bytes"]

_SUFFIXES = frozenset({"", ".arrow", ".bin", ".json", ".md", ".onnx", ".parquet", ".skops", ".txt", ".ubj", ".yaml"})
_CODE = "pipeline.py"
_PROGRAMS = {b"\x7fELF": "a program", b"MZ": "a program", b"#!": "a script", b"\xcf\xfa\xed\xfe": "a program"}
_WARM, _ANSWERS, _BATCHES, _BATCH = 20, 300, 15, 1_000
_MOST_RATIO = 200


def measure_package(
    folder: Path, load: Callable[[], Predictor], rows: pl.DataFrame, card_problems: Sequence[str]
) -> Package:
    """Load the artifact in `folder` anew, time its answers to `rows`, and look at its files.

    Raises
    ------
    AnewError
        It cannot be loaded, or cannot answer.
    """
    before = resident_bytes()
    predictor = load()
    names = predictor.columns.names
    cells = rows.select(names).head(_ANSWERS).iter_rows(named=True)
    single = list(cells) or [dict.fromkeys(names)]
    asked = [[single[i % len(single)]] for i in range(_ANSWERS)]
    for each in asked[:_WARM]:
        predictor.answer(each)
    one = tuple(_timed(partial(predictor.answer, each)) for each in asked)
    batch = rows.head(_BATCH)
    many = tuple(_timed(partial(predictor.predict, batch)) for _ in range(_BATCHES)) if batch.height else ()
    return Package(
        files={each.name: each.stat().st_size for each in sorted(folder.iterdir())},
        findings=tuple(finding for each in sorted(folder.rglob("*")) for finding in file_findings(each)),
        one_ms=one,
        batch_ms=many,
        batch_rows=batch.height,
        memory_bytes=max(resident_bytes() - before, 1),
        card_problems=tuple(card_problems),
    )


def _timed(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return 1e3 * (perf_counter() - start)


def resident_bytes() -> int:
    """Return the resident memory of this process; where that cannot be read, the most it ever was."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def file_findings(file: Path) -> Iterator[str]:
    """Yield what a file of an artifact should not be, a sentence each."""
    mode = file.lstat().st_mode
    if stat.S_ISLNK(mode) or not stat.S_ISREG(mode):
        yield f"{file.name}: no plain file"
        return
    if file.suffix not in _SUFFIXES and file.name != _CODE:
        yield f"{file.name}: files of this kind are not expected in an artifact"
    data = file.read_bytes()
    yield from (f"{file.name}: {what}" for magic, what in _PROGRAMS.items() if data.startswith(magic))
    if _is_pickle(data):
        yield f"{file.name}: a pickle, which runs code when it is read"
    if data.startswith(b"PK\x03\x04"):
        yield from _inside(file.name, data)


def _is_pickle(data: bytes) -> bool:
    if not data.endswith(b"."):
        return False
    try:
        found = [opcode.name for opcode, _, _ in pickletools.genops(data)]
    except (ValueError, IndexError, UnicodeError, OverflowError):
        return False
    return bool(found) and (found[0] == "PROTO" or bool({"GLOBAL", "REDUCE", "INST", "OBJ"} & set(found)))


def _inside(name: str, data: bytes) -> Iterator[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for each in archive.infolist():
                if each.file_size > _MOST_RATIO * max(each.compress_size, 1) and each.file_size > 1 << 20:
                    yield f"{name}: {each.filename} in it unpacks to {each.file_size} bytes"
                elif each.filename.endswith((".pkl", ".pickle", ".py", ".so")) or _is_pickle(archive.read(each)):
                    yield f"{name}: {each.filename} in it is code or a pickle"
    except (zipfile.BadZipFile, RuntimeError) as exc:
        yield f"{name}: a broken archive ({exc})"
