"""Who asks."""

import getpass
import os

__all__ = ["who_asks"]


def who_asks() -> str:
    """Return the name of the user who runs this program, or the number of one that has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that has no name
        return f"uid {os.getuid()}"
