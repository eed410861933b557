"""A release: built twice from a commit, described, signed; and told from anything else.

``python -m tests.supply.release build FOLDER --key PRIVATE.pem`` writes a wheel, a source archive, an SBOM (CycloneDX),
the provenance of the three (in-toto, SLSA) and ``SHA256SUMS``, both signed; ``verify FOLDER --key PUBLIC.pem`` looks at
all of it again. Keys are Ed25519: ``openssl genpkey -algorithm ed25519``.
"""

import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tests.supply.lock import ROOT, read_lock

__all__ = ["ReleaseError", "build", "sbom", "verify"]

SUMS, SIGNATURE, SBOM, PROVENANCE = "SHA256SUMS", "SHA256SUMS.sig", "anew.cdx.json", "anew.intoto.json"
_TYPE: Final = "application/vnd.in-toto+json"


class ReleaseError(Exception):
    """A release that is none, or that could not be made: what was found, and what to do."""


def build(root: Path, to: Path, key: Ed25519PrivateKey) -> Sequence[str]:
    """Build what is committed in `root` into the new folder `to`, and return the names of the files.

    Raises
    ------
    ReleaseError
        Something is not committed, two builds differ, or the wheel has another file than the commit.
    """
    changed = _git(root, "status", "--porcelain")
    if changed:
        raise ReleaseError(
            f"a release is of a commit, and these are in none: {changed.split()[1::2][:5]}; commit first"
        )
    commit = _git(root, "rev-parse", "HEAD")
    to.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        first, second = (_built(root, commit, Path(place) / name) for name in ("a", "b"))
        if first.keys() != second.keys() or first != second:
            raise ReleaseError(
                "two builds of one commit differ, so nobody could check this one; see what the builder adds"
            )
        _check_wheel(root, commit, first)
    for name, data in first.items():
        (to / name).write_bytes(data)
    version = next(name for name in first if name.endswith(".whl")).split("-")[1]
    lock = _show(root, commit, "requirements/run.txt")
    (to / SBOM).write_text(json.dumps(sbom(version, lock), indent=1, sort_keys=True) + "\n", "utf-8")
    subjects = [{"name": name, "digest": {"sha256": _sha256(to / name)}} for name in sorted([*first, SBOM])]
    (to / PROVENANCE).write_text(
        json.dumps(_enveloped(_statement(root, commit, subjects), key), indent=1) + "\n", "utf-8"
    )
    names = sorted(each.name for each in to.iterdir())
    (to / SUMS).write_text("".join(f"{_sha256(to / name)}  {name}\n" for name in names), "utf-8")
    (to / SIGNATURE).write_bytes(key.sign((to / SUMS).read_bytes()))
    return [*names, SUMS, SIGNATURE]


def verify(folder: Path, key: Ed25519PublicKey) -> Mapping[str, Any]:
    """Return the provenance of a release once all of it was found to be what the holder of the key signed.

    Raises
    ------
    ReleaseError
        It is not: a file was changed, added or taken away, or another signed it.
    """
    try:
        sums = (folder / SUMS).read_bytes()
        key.verify((folder / SIGNATURE).read_bytes(), sums)
    except FileNotFoundError as exc:
        raise ReleaseError(f"{exc.filename} is missing: this is no release") from exc
    except InvalidSignature as exc:
        raise ReleaseError(f"{SUMS} is not signed by this key; take the release from where it was published") from exc
    told = {name: digest for digest, _, name in (line.partition("  ") for line in sums.decode().splitlines())}
    there = {each.name for each in folder.iterdir()} - {SUMS, SIGNATURE}
    if there != told.keys():
        raise ReleaseError(f"there are {sorted(there ^ told.keys())} that only the folder has, or only the list")
    for name, digest in told.items():
        if _sha256(folder / name) != digest:
            raise ReleaseError(f"{name} is another file than the one that was signed")
    statement = _opened(json.loads((folder / PROVENANCE).read_text("utf-8")), key)
    vouched = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    if vouched != {name: digest for name, digest in told.items() if name != PROVENANCE}:
        raise ReleaseError("the provenance is of other files")
    return statement


def sbom(version: str, lock: str) -> Mapping[str, Any]:
    """Return what a release runs with, as CycloneDX 1.6: each release of the lock, and what it may be."""
    about = f"pkg:pypi/anew@{version}"
    refs = {f"pkg:pypi/{each.name}@{each.version}": each for each in read_lock(lock, "run.txt")}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": about, "name": "anew", "version": version, "purl": about}
        },
        "components": [
            {
                "type": "library",
                "bom-ref": ref,
                "name": each.name,
                "version": each.version,
                "purl": ref,
                "properties": [{"name": "anew:file:sha256", "value": digest} for digest in each.hashes],
            }
            for ref, each in sorted(refs.items())
        ],
        "dependencies": [{"ref": about, "dependsOn": sorted(refs)}],
    }


def _built(root: Path, commit: str, place: Path) -> dict[str, bytes]:
    """Return what is built of a commit in a folder that has nothing else."""
    tree = place / "tree"
    tree.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", root, "archive", commit], capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", tree], input=archive, check=True)
    env = {**os.environ, "SOURCE_DATE_EPOCH": _git(root, "show", "-s", "--format=%ct", commit), "PYTHONHASHSEED": "0"}
    made = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", place / "dist"],
        cwd=tree, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise ReleaseError(f"it does not build: {made.stderr.strip()[-500:]}")
    return {each.name: each.read_bytes() for each in sorted((place / "dist").iterdir())}


def _check_wheel(root: Path, commit: str, built: Mapping[str, bytes]) -> None:
    """Refuse a wheel that holds code that is not the commit's."""
    name = next(each for each in built if each.endswith(".whl"))
    with tempfile.NamedTemporaryFile(suffix=".whl") as file:
        file.write(built[name])
        file.flush()
        with zipfile.ZipFile(file.name) as wheel:
            inside = {each: wheel.read(each) for each in wheel.namelist() if ".dist-info/" not in each}
    listed = _git(root, "ls-tree", "-r", "--name-only", commit, "src/").splitlines()
    expected = {each.removeprefix("src/") for each in listed}
    if inside.keys() != expected:
        raise ReleaseError(f"wheel and commit differ in {sorted(inside.keys() ^ expected)[:5]}")
    for each, data in inside.items():
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        if blob != _git(root, "rev-parse", f"{commit}:src/{each}"):
            raise ReleaseError(f"{each} of the wheel is not the commit's")


def _statement(root: Path, commit: str, subjects: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    locks = _git(root, "ls-tree", "--name-only", commit, "requirements/").splitlines()
    named = [
        {"name": each, "digest": {"sha256": hashlib.sha256(_show(root, commit, each).encode()).hexdigest()}}
        for each in locks
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:anew:release:1",
                "externalParameters": {"commit": commit},
                "internalParameters": {"python": sys.version.split()[0]},
                "resolvedDependencies": [{"name": "source", "digest": {"gitCommit": commit}}, *named],
            },
            "runDetails": {"builder": {"id": "urn:anew:make-release"}},
        },
    }


def _enveloped(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> Mapping[str, Any]:
    """Return a statement in a signed envelope (DSSE 1.0)."""
    payload = json.dumps(statement, sort_keys=True).encode()
    signature = {"keyid": _key_id(key.public_key()), "sig": base64.b64encode(key.sign(_encoding(payload))).decode()}
    return {"payloadType": _TYPE, "payload": base64.b64encode(payload).decode(), "signatures": [signature]}


def _opened(envelope: Mapping[str, Any], key: Ed25519PublicKey) -> Mapping[str, Any]:
    payload = base64.b64decode(envelope["payload"])
    for each in envelope["signatures"]:
        try:
            key.verify(base64.b64decode(each["sig"]), _encoding(payload))
        except InvalidSignature:
            continue
        found: Mapping[str, Any] = json.loads(payload)
        return found
    raise ReleaseError("the provenance is not signed by this key")


def _encoding(payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(_TYPE), _TYPE.encode(), len(payload), payload)


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()


def _show(root: Path, commit: str, path: str) -> str:
    shown = subprocess.run(["git", "-C", root, "show", f"{commit}:{path}"], capture_output=True, text=True, check=True)
    return shown.stdout


def main() -> int:
    """Build or verify."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["build", "verify"])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--key", type=Path, required=True, help="Ed25519 key as PEM: private to build, public to verify"
    )
    given = parser.parse_args()
    try:
        if given.what == "build":
            private = load_pem_private_key(given.key.read_bytes(), None)
            if not isinstance(private, Ed25519PrivateKey):
                raise ReleaseError(f"{given.key} is no Ed25519 key")
            sys.stdout.writelines(f"{name}\n" for name in build(ROOT, given.folder, private))
            return 0
        public = load_pem_public_key(given.key.read_bytes())
        if not isinstance(public, Ed25519PublicKey):
            raise ReleaseError(f"{given.key} is no Ed25519 key")
        statement = verify(given.folder, public)
    except (ReleaseError, OSError, ValueError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    commit = statement["predicate"]["buildDefinition"]["externalParameters"]["commit"]
    sys.stdout.writelines(f"{each['digest']['sha256']}  {each['name']}\n" for each in statement["subject"])
    sys.stdout.write(f"built from commit {commit}, signed by this key\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
