"""Who asks."""

import os
import pwd

__all__ = ["who_asks"]


def who_asks() -> str:
    """Return the name of the user who runs this program, or the number of one that has no name.

    By the process, not by its environment, in which anybody may call himself what he likes.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user that has no name
        return f"uid {os.getuid()}"
