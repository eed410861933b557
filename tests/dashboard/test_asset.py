"""What is vendored is what was published, and is served under a name that changes with it."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

from anew.dashboard.asset import Assets

STATIC = files("anew.dashboard") / "static"


def test_vendored_files_are_those_whose_digests_are_noted() -> None:
    for folder in (STATIC / "vendor", Path(__file__).parent / "vendor"):
        noted = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (folder / "README.md").read_text(), re.M))
        found = {each.name for each in folder.iterdir() if each.name.endswith((".js", ".css"))}
        assert found == noted.keys()
        for name, digest in noted.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_every_file_is_served_under_its_digest() -> None:
    assets = Assets()
    for name, path in assets.paths.items():
        plain = (STATIC / name).read_bytes()
        assert hashlib.sha256(plain).hexdigest()[:12] in path
        assert assets.files[path].plain == plain
