"""What kind of file system a path lies on, as the kernel tells it."""

import os
from pathlib import Path

__all__ = ["MEMORY", "NETWORK", "mounted_on"]

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "fuse.glusterfs"}
)
"""File systems on another machine, where SQLite's write-ahead log loses facts."""
MEMORY = frozenset({"tmpfs", "ramfs"})
"""File systems that are gone with the power."""


def mounted_on(path: Path, mounts: Path = Path("/proc/self/mounts")) -> tuple[str, str]:
    """Return (kind, mount point) of the file system that `path` lies on; empty where the kernel does not tell."""
    if not mounts.exists():
        return "", ""
    there = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, name, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        inside = there == point or there.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, name
    return kind, best
