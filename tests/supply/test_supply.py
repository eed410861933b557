"""What anew is built from is pinned and looked at; a release is reproducible, and told from any other file."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.supply.advisory import affects, hits, recorded, taken
from tests.supply.audit import accepted, problems
from tests.supply.lock import LOCKS, ROOT, Pinned, alike, locked, read_lock
from tests.supply.release import PROVENANCE, SBOM, ReleaseError, build, sbom, verify
from tests.supply.test_sbom import wrong_with

pytestmark = pytest.mark.fault("H12")
HASH = "0" * 64


def pin(name: str, version: str) -> Pinned:
    return Pinned(lock="x.txt", name=name, version=version, hashes=(HASH,))


def test_every_lock_pins_every_file_and_what_is_declared_is_locked(
    record_property: Callable[[str, object], None],
) -> None:
    pins = locked()
    assert {each.lock for each in pins} == {path.name for path in LOCKS}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    names = {each.name for each in pins if each.lock == "run.txt"}
    assert {canonicalize_name(Requirement(each).name) for each in declared} <= names
    run, test = ({(each.name, each.version) for each in pins if each.lock == f"{lock}.txt"} for lock in ("run", "test"))
    both = {name for name, _ in run} & {name for name, _ in test}
    assert {each for each in run if each[0] in both} == {each for each in test if each[0] in both}, "tested as it runs"
    files = sum(len(each.hashes) for each in pins)
    record_property("figure", f"{len(pins)} releases pinned, {files} files by SHA-256")


@pytest.mark.parametrize("lock", ["ray.txt", "torch.txt"])
def test_what_is_installed_over_the_environment_has_the_releases_that_it_has(lock: str) -> None:
    pins = locked()
    own, under = ({each.name: {e.version for e in pins if (e.lock, e.name) == (name, each.name)} for each in pins
                   if each.lock == name} for name in (lock, "test.txt"))  # fmt: skip
    assert len(own.keys() & under.keys()) > 3
    assert {name for name in own.keys() & under.keys() if not own[name] <= under[name]} == set()


def test_pytorch_is_the_build_for_processors_alone() -> None:
    names = {each.name for each in locked() if each.lock == "torch.txt"}
    assert not {name for name in names if name.startswith(("nvidia", "cuda", "triton"))}
    (line,) = (
        line
        for line in (ROOT / "requirements" / "torch.txt").read_text("utf-8").splitlines()
        if re.match(r"torch==\S+ ; sys_platform == 'linux'", line)
    )
    assert line.startswith("torch==2.13.0+cpu ")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    installs = [line for line in makefile.splitlines() if re.search(r"(-m pip|\$\(PIP\)).* install ", line)]
    assert len(installs) > 8
    assert [line for line in installs if "--require-hashes" not in line and "--no-deps" not in line] == []


def test_a_build_of_a_release_is_affected_as_the_release_is() -> None:
    def told(affected: dict[str, Any]) -> dict[str, Any]:
        return {"id": "X-1", "affected": [{"package": {"name": "torch", "ecosystem": "PyPI"}, **affected}]}

    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "2.13.0"}]}]
    for each in ({"versions": ["2.13.0"]}, {"ranges": ranges}):
        assert affects(told(each), "torch", "2.13.0+cpu")
        assert not affects(told(each), "torch", "2.13.1+cpu")


@pytest.mark.fault("O5")
def test_the_oldest_releases_that_are_tried_are_the_oldest_that_are_admitted() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    oldest, newest = (
        {each.name: Version(each.version) for each in reversed(locked()) if each.lock == f"{lock}.txt"}
        for lock in ("oldest", "run")
    )
    for wanted in map(Requirement, declared):
        name = canonicalize_name(wanted.name)
        (least,) = (Version(each.version) for each in wanted.specifier if each.operator == ">=")
        # a little newer where another one asks for that, or where the very first was taken back
        assert least <= oldest[name] <= newest[name]
        assert least.release[:1] == oldest[name].release[:1], name


@pytest.mark.parametrize(
    "line",
    [
        "requests",
        "requests==2.32.3",
        f"requests>=2 --hash=sha256:{HASH}",
        f"requests==2.* --hash=sha256:{HASH}",
        f"requests==2.32.3 --hash=md5:{'0' * 32}",
        f"requests==2.32.3 --hash=sha256:{HASH} --hash=sha256:short",
        f"requests @ https://evil.example/requests.whl --hash=sha256:{HASH}",
        f"git+https://evil.example/requests --hash=sha256:{HASH}",
        "--index-url https://evil.example/simple",
        "-e .",
    ],
)
def test_planted_a_line_that_pins_nothing_is_refused(line: str) -> None:
    more = f"--hash=sha256:{HASH} \\\n    --hash=sha256:{'1' * 64}"
    good = f"# a lock\nrequests==2.32.3 ; python_version >= '3' \\\n    {more}\n"
    assert [(each.name, each.version, len(each.hashes)) for each in read_lock(good)] == [("requests", "2.32.3", 2)]
    with pytest.raises(ValueError, match=r"no (exact )?release"):
        read_lock(good + line + "\n", "x.txt")


def test_nothing_that_is_locked_has_a_known_hole(record_property: Callable[[str, object], None]) -> None:
    pins, record = locked(), recorded()
    assert list(problems(pins, record, accepted(), datetime.now(UTC).date())) == []
    told = sum(map(len, record["packages"].values()))
    record_property(
        "figure", f"{told} advisories as of {record['taken']} on {len(record['packages'])} packages, 0 hits"
    )


@pytest.mark.parametrize(
    ("name", "version", "hit"),
    [
        ("jinja2", "2.7.1", True),
        ("requests", "2.5.0", True),
        ("mlflow", "2.0.0", True),
        ("pillow", "9.0.0", True),
        ("jinja2", "3.1.6", False),
        ("no-such-build", "1", False),
    ],
)
def test_planted_a_release_with_a_known_hole_is_found(name: str, version: str, hit: bool) -> None:
    record = recorded()
    if name == "no-such-build":
        with pytest.raises(ValueError, match="of which no advisory was ever looked for"):
            list(hits([pin(name, version)], record))
        return
    assert bool(list(problems([pin(name, version)], record, accepted(), date(2026, 1, 1)))) is hit


def test_what_is_accepted_has_a_reason_and_an_end() -> None:
    record, today = recorded(), date(2026, 1, 1)
    found = list(hits([pin("jinja2", "2.7.1")], record))
    decided: dict[str, Any] = {"alike": [], "advisories": {}}
    for each in found:
        decided["advisories"][each.id] = {"why": "only used in a test", "until": "2026-01-01"}
    assert list(problems([pin("jinja2", "2.7.1")], record, decided, today)) == []
    assert len(list(problems([pin("jinja2", "2.7.1")], record, decided, today + timedelta(days=1)))) == len(found)
    decided["advisories"][found[0].id]["why"] = ""
    assert len(list(problems([pin("jinja2", "2.7.1")], record, decided, today))) == 1


@pytest.mark.parametrize(
    ("ranges", "version", "hit"),
    [
        ([{"introduced": "0"}, {"fixed": "2"}], "1.9", True),
        ([{"introduced": "0"}, {"fixed": "2"}], "2", False),
        ([{"introduced": "0"}, {"fixed": "2"}], "2rc1", True),
        ([{"introduced": "1"}, {"last_affected": "3"}], "3", True),
        ([{"introduced": "1"}, {"last_affected": "3"}], "3.1", False),
        ([{"introduced": "1"}], "0.9", False),
        ([{"introduced": "1"}], "99", True),
        ([{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"fixed": "3"}], "1.5", False),
        ([{"introduced": "2"}, {"fixed": "3"}, {"introduced": "0"}, {"fixed": "1"}], "2.5", True),
        ([{"introduced": "0"}, {"fixed": "what"}], "5", True),
        ([{"introduced": "0"}, {"fixed": "1"}], "what", True),
    ],
)
def test_a_range_is_read_as_the_standard_says_and_what_cannot_be_read_counts(
    ranges: list[dict[str, str]], version: str, hit: bool
) -> None:
    told = {
        "id": "X-1",
        "modified": "2026-01-01T00:00:00Z",
        "affected": [
            {"package": {"name": "A_b", "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": ranges}]}
        ],
    }
    assert affects(told, "a-b", version) is hit
    assert not affects(told, "other", version)
    assert not affects(told | {"withdrawn": "2026-01-02T00:00:00Z"}, "a-b", version)
    kept = taken([told], {"a-b", "other"}, date(2026, 1, 1))["packages"]
    assert (affects(kept["a-b"][0], "a-b", version), kept["other"]) == (hit, [])


@pytest.mark.parametrize(
    ("trap", "of"),
    [("reqeusts", "requests"), ("request", "requests"), ("polarz", "polars"), ("scikitlearn", "scikit-learn"),
     ("uvicornn", "uvicorn"), ("msgspac", "msgspec")],
)  # fmt: skip
def test_planted_a_name_one_slip_from_another_is_noticed(trap: str, of: str) -> None:
    names = {each.name for each in locked()} | {of}
    assert (min(trap, of), max(trap, of)) in set(alike(names | {trap}))
    assert any(
        trap in each for each in problems([*locked(), pin(trap, "1")], _knowing(trap), accepted(), date(2026, 1, 1))
    )


def _knowing(name: str) -> dict[str, Any]:
    record = recorded()
    return record | {"packages": record["packages"] | {name: []}}


def test_pip_takes_the_file_that_is_pinned_and_no_other_of_its_name(tmp_path: Path) -> None:
    """As `make setup` installs: a file with another digest is refused before any of it runs."""
    wheel = tmp_path / "wheels" / "small-1-py3-none-any.whl"
    wheel.parent.mkdir()

    def write(code: str) -> str:
        with zipfile.ZipFile(wheel, "w") as made:
            made.writestr("small.py", code)
            made.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1\n")
            made.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            made.writestr("small-1.dist-info/RECORD", "small.py,,\n")
        return hashlib.sha256(wheel.read_bytes()).hexdigest()

    def install(to: str) -> int:
        words = [
            "--disable-pip-version-check",
            "install",
            "--no-index",
            "--find-links",
            wheel.parent,
            "--require-hashes",
            "-r",
            tmp_path / "lock.txt",
        ]
        ran = subprocess.run(
            [sys.executable, "-m", "pip", "-q", *map(str, words), "--target", str(tmp_path / to)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return ran.returncode

    (tmp_path / "lock.txt").write_text(f"small==1 --hash=sha256:{write('good = True')}\n")
    assert install("good") == 0
    write("good = False")
    assert install("bad") != 0
    assert not (tmp_path / "bad" / "small.py").exists()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Ed25519PrivateKey]:
    """Build a release from a commit of this tree as it is; give the repository, the release and its key."""
    place = tmp_path_factory.mktemp("release")
    tree = place / "tree"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "requirements", tree / "requirements")
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tree / name)
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "x")
    key = Ed25519PrivateKey.generate()
    build(tree, place / "dist", key)
    return tree, place / "dist", key


def git(tree: Path, *words: str) -> None:
    subprocess.run(["git", "-C", tree, *words], check=True, capture_output=True)


def test_a_release_says_what_it_is_of_and_is_known_again(released: tuple[Path, Path, Ed25519PrivateKey]) -> None:
    _, dist, key = released
    statement = verify(dist, key.public_key())
    assert {Path(each["name"]).suffix for each in statement["subject"]} == {".whl", ".gz", ".json"}
    commit = statement["predicate"]["buildDefinition"]["externalParameters"]["commit"]
    assert len(commit) == 40
    told = json.loads((dist / SBOM).read_text())
    assert wrong_with(told) == [], "it is as the official schema says"
    assert {(each["name"], each["version"]) for each in told["components"]} == {
        (each.name, each.version) for each in locked() if each.lock == "run.txt"
    }


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
def test_a_release_is_checked_by_programs_that_are_not_ours(
    released: tuple[Path, Path, Ed25519PrivateKey], tmp_path: Path
) -> None:
    _, dist, key = released
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "release.pub.pem").write_bytes(pem)
    signed = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(tmp_path / "release.pub.pem"), "-rawin"]
    for words in ([*signed, "-in", "SHA256SUMS", "-sigfile", "SHA256SUMS.sig"], ["sha256sum", "--check", "SHA256SUMS"]):
        assert subprocess.run(words, cwd=dist, check=False, capture_output=True).returncode == 0, words


def _spoil_wheel(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel, "a") as made:
        made.writestr("anew/more.py", "print('not ours')")


def _spoil_wheel_and_sum(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    before = hashlib.sha256(wheel.read_bytes()).hexdigest()
    _spoil_wheel(dist)
    after = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (dist / "SHA256SUMS").write_text((dist / "SHA256SUMS").read_text().replace(before, after))


def _add(dist: Path) -> None:
    (dist / "anew-9-py3-none-any.whl").write_bytes(b"")


def _forge(dist: Path) -> None:
    envelope = json.loads((dist / PROVENANCE).read_text())
    (dist / PROVENANCE).write_text(json.dumps(envelope | {"signatures": []}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_spoil_wheel, "another file than the one that was signed"),
        (_spoil_wheel_and_sum, "not signed by this key"),
        (_add, "only the folder has"),
        (_forge, "another file"),
        (lambda dist: (dist / SBOM).unlink(), "only the list"),
        (lambda dist: (dist / "SHA256SUMS.sig").unlink(), "is missing"),
        (lambda dist: (dist / "SHA256SUMS.sig").write_bytes(b"0" * 64), "not signed by this key"),
    ],
)
def test_planted_a_release_that_was_touched_is_refused(
    released: tuple[Path, Path, Ed25519PrivateKey], tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    _, dist, key = released
    shutil.copytree(dist, tmp_path / "dist")
    verify(tmp_path / "dist", key.public_key())
    spoil(tmp_path / "dist")
    with pytest.raises(ReleaseError, match=said):
        verify(tmp_path / "dist", key.public_key())


def test_another_s_key_and_what_is_in_no_commit_are_refused(
    released: tuple[Path, Path, Ed25519PrivateKey], tmp_path: Path
) -> None:
    tree, dist, key = released
    with pytest.raises(ReleaseError, match="not signed by this key"):
        verify(dist, Ed25519PrivateKey.generate().public_key())
    (tree / "src" / "anew" / "more.py").write_text("x = 1\n")
    try:
        with pytest.raises(ReleaseError, match="a release is of a commit"):
            build(tree, tmp_path / "dist", key)
    finally:
        (tree / "src" / "anew" / "more.py").unlink()


def test_what_a_release_runs_with_is_its_lock() -> None:
    made = sbom("1", f"a==1 --hash=sha256:{HASH}\nb==2 --hash=sha256:{HASH}\n")
    assert [each["purl"] for each in made["components"]] == ["pkg:pypi/a@1", "pkg:pypi/b@2"]
    assert made["dependencies"] == [{"ref": "pkg:pypi/anew@1", "dependsOn": ["pkg:pypi/a@1", "pkg:pypi/b@2"]}]
