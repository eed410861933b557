"""Reads a pickled model in a process of its own and writes it as data; ``-m anew.adapters.unpickle_child FILE FOLDER``.

Reading a pickle runs whatever it brings. This process can read no other file of the machine's users, write only into
FOLDER, and open no socket; where the kernel cannot hold it so, nothing is read.
"""

import sys
from pathlib import Path

from anew.adapters.confinement import LANDLOCK, SECCOMP, confine
from anew.adapters.model_format import DataFormats
from anew.domain.errors import AnewError, PolicyError

__all__ = ["main"]


def main(file: Path, folder: Path) -> None:
    """Write the model of `file` into `folder` under the name that its format gives it.

    Raises
    ------
    PolicyError
        This kernel cannot confine the process.
    TrainingError
        It is of no kind that a data-only format keeps.
    """
    import joblib  # type: ignore[import-untyped]  # noqa: PLC0415 - without types; for this one program

    lacking = [name for name in (LANDLOCK, SECCOMP) if name not in confine((str(file),), (str(folder),))]
    if lacking:
        raise PolicyError(f"a pickle is read only in a confined process, and this kernel does not do {lacking}")
    model = joblib.load(file)  # plain pickles too
    kept_as = DataFormats().accepting(model)
    (folder / kept_as.file).write_bytes(kept_as.encode(model))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except AnewError as exc:
        sys.exit(str(exc))
