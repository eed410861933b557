"""A trained model before it is stored: everything its artifact will hold, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from anew.domain.manifest import FileEntry, Manifest, digest_of

__all__ = ["Candidate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a training run made.

    Attributes
    ----------
    manifest
        What the artifact says of itself.
    files
        Every file of the artifact by its name, the manifest's included.
    model
        The model as decoded from `files`: what serves from memory is what will serve from disk, bit for bit.
    """

    manifest: Manifest
    files: Mapping[str, bytes]
    model: object

    @property
    def digest(self) -> str:
        """Digest that the artifact store will give to these files."""
        return digest_of(FileEntry.of(path, data) for path, data in self.files.items())
