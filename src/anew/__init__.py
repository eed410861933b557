"""anew keeps a served model current: it watches, retrains, proves, rolls out and rolls back.

In a notebook: `anew.profile(frame)` and `anew.drift(reference, current)` look at data frames of pandas, polars or
pyarrow, `anew.Project(folder)` reads what a project decided, `anew.Client(url)` asks its gateway. Nothing is loaded
before it is used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anew.notebook import Client, Project, drift, profile

__all__ = ["Client", "Project", "__version__", "drift", "profile"]

__version__ = "0.1.0"

_LAZY = frozenset({"Client", "Project", "drift", "profile"})


def __getattr__(name: str) -> object:
    """Load what notebooks use when it is used."""
    if name in _LAZY:
        return getattr(importlib.import_module("anew.notebook"), name)
    raise AttributeError(f"module 'anew' has no attribute {name!r}")
