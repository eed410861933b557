"""Verbs that are over before typer would have been imported: they read their arguments with the standard library."""

import importlib
import os
import sys

from anew.cli._exit import exits
from anew.cli._processor import NUMPY_FEATURES, slow_at_sorting, this_processor

__all__ = ["LIGHT", "main"]

LIGHT = frozenset({"data", "models", "rollback", "rollout", "status"})
"""Verbs whose file has a `main` of its own, which is given the words after the verb."""


def main() -> None:
    """Run the command line and exit."""
    verb, *words = sys.argv[1:] or [""]
    if verb not in LIGHT:
        importlib.import_module("anew.cli._main").main()
        return
    if "numpy" not in sys.modules:
        # Nothing here multiplies matrices; the idle threads of BLAS would spin for a tenth of a second of CPU.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        if slow_at_sorting(this_processor()):
            os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", NUMPY_FEATURES)
    with exits():
        importlib.import_module(f"anew.cli.{verb}").main(words)
    sys.exit(0)
