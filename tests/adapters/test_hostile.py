"""A corpus of hostile files: none of them runs anything, each is refused by the rule that it breaks."""

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.model_format import DataFormats
from anew.adapters.signing import Signer
from anew.app.yaml_file import read_yaml
from anew.domain.errors import AnewError, IntegrityError, SettingsError
from tests.adapters.hostile import corpus, onnx_corpus, payload

NAMES = tuple(corpus(Path("canary")))
RULES = {"skops-function": "not allowed", "skops-partial": "not allowed", "skops-eval-type": "not allowed"}


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    found = tmp_path / "canary"
    yield found
    assert not found.exists(), "the file ran what it brought"


def readers() -> list[Any]:
    return [each for each in DataFormats().formats if _installed(each)]


def _installed(reader: Any) -> bool:
    try:
        reader.decode(b"")
    except ImportError:
        return False
    except AnewError:
        return True
    return True


@pytest.mark.fault("R7")
def test_control_the_payload_of_the_corpus_works(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The negative control: what reads a pickle runs it."""
    ran = tmp_path / "ran"
    pickle.loads(pickle.dumps(payload(ran)))  # noqa: S301  on purpose
    assert ran.exists()
    assert len(NAMES) + 5 >= 25
    record_property("figure", f"{len(NAMES) + 5} hostile files, 0 run")


@pytest.mark.fault("R7")
@pytest.mark.parametrize("name", NAMES)
def test_no_format_reads_a_hostile_file(name: str, canary: Path) -> None:
    data = corpus(canary)[name]
    for reader in readers():
        with pytest.raises(AnewError, match=RULES.get(name) if reader.name == "skops" else None) as refused:
            reader.decode(data)
        assert isinstance(refused.value, IntegrityError), f"{reader.name} has to say that the file is not what it reads"


@pytest.mark.fault("R7")
@pytest.mark.parametrize(
    "name", ["outside-passwd", "outside-up", "outside-canary", "foreign-operator", "foreign-in-a-branch"]
)
def test_no_graph_reaches_outside_of_itself(name: str, canary: Path) -> None:
    pytest.importorskip("onnxruntime")
    data = onnx_corpus(canary)[f"onnx-{name}"]
    said = "lies outside of the file" if name.startswith("outside") else "not of the standard"
    with pytest.raises(IntegrityError, match=said):
        DataFormats().named("onnx").decode(data)


@pytest.mark.fault("R7")
@pytest.mark.fault("R2")
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_in_the_place_of_a_model_is_not_even_parsed(name: str, tmp_path: Path, canary: Path) -> None:
    signer = Signer.load_or_create(tmp_path / "keys")
    store = LocalArtifactStore(root=tmp_path / "models", verifier=signer.verifier, signer=signer)
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.skops").write_bytes(b"a model")
    digest = store.put(made)
    file = tmp_path / "models" / digest / "model.skops"
    file.parent.chmod(0o700)
    file.unlink()
    file.write_bytes(corpus(canary)[name])
    with pytest.raises(IntegrityError, match="not what was signed"):
        store.get(digest)


@pytest.mark.fault("R7")
@pytest.mark.parametrize("kind", ["link", "link to a folder", "fifo", "hard link"])
def test_a_folder_with_more_than_files_is_no_artifact(kind: str, tmp_path: Path) -> None:
    signer = Signer.load_or_create(tmp_path / "keys")
    store = LocalArtifactStore(root=tmp_path / "models", verifier=signer.verifier, signer=signer)
    made, secret = tmp_path / "made", tmp_path / "secret"
    made.mkdir()
    secret.write_text("not for others")
    (made / "model.txt").write_bytes(b"a model")
    place = made / "more"
    if kind == "link":
        place.symlink_to(secret)
    elif kind == "link to a folder":
        place.symlink_to(tmp_path, target_is_directory=True)
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.hardlink_to(secret)
    with pytest.raises(IntegrityError):
        store.put(made)


@pytest.mark.fault("R7")
def test_settings_make_no_objects(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "anew.yaml").write_bytes(b"model: " + corpus(canary)["yaml-object"])
    with pytest.raises(SettingsError):
        read_yaml(tmp_path / "anew.yaml")
