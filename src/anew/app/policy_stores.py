"""The section of the policy that says where things are kept."""

from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from anew.app.policy_section import Section
from anew.app.secret import is_reference

__all__ = ["StoresPolicy"]


class StoresPolicy(Section):
    """Where things are kept or shown besides the project's own folder."""

    database: str = Field(
        default="sqlite",
        description="the record of facts: sqlite (a file in the project's folder), or a PostgreSQL server's URL, by "
        "env:NAME or file:PATH where it has a password",
    )
    lake: str = Field(
        default="local",
        pattern=r"^(local|s3://[^/?@]+(/[^?@]*)?)$",
        description="predictions and labels: local (the project's folder) or s3://BUCKET/PREFIX; who may is what the "
        "environment says, as for every AWS program",
    )
    artifacts: str = Field(
        default="local",
        pattern=r"^(local|s3://[^/?@]+(/[^?@]*)?)$",
        description="versions, and the rows that they were trained on: local (the project's folder) or "
        "s3://BUCKET/PREFIX, as lake",
    )
    replicas: str = Field(
        default="none",
        pattern=r"^(none|s3://[^/?@]+(/[^?@]*)?)$",
        description="by what gateways on other hosts (anew gateway --from) serve this project too: none, or "
        "s3://BUCKET/PREFIX, where they take their orders from and leave what they answered; artifacts have to be in a "
        "bucket too",
    )
    drainers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="processes that read journals for the lake: 1 is the loop itself; with more, that many read and "
        "prepare rows beside it, several journals at once, and it stores them",
    )
    compute: str = Field(
        default="local",
        pattern=r"^(local|ray|(ray://)?[A-Za-z0-9.-]+:[0-9]{1,5})$",
        description="where models are trained: local (this machine), or a Ray cluster: ray (what RAY_ADDRESS names, or "
        "the one on this machine), HOST:PORT of its head, or ray://HOST:PORT from a machine that is no node of it",
    )
    registry: str = Field(
        default="none",
        description="where versions are mirrored to: none, mlflow (a database in the project's folder), or the URL of "
        "an MLflow server, or env:NAME or file:PATH of it",
    )

    @property
    def places(self) -> tuple[str, ...]:
        """Return where what cannot move while it runs is kept."""
        return self.database, self.lake, self.artifacts, self.compute, self.replicas

    @property
    def on_this_disk(self) -> bool:
        """Is everything that the loop needs to begin on this machine?"""
        return (self.database, self.lake, self.artifacts) == ("sqlite", "local", "local")

    @field_validator("replicas")
    @classmethod
    def _with_artifacts(cls, text: str, given: ValidationInfo) -> str:
        """Refuse replicas that could fetch no version."""
        if text != "none" and given.data.get("artifacts") == "local":
            raise ValueError("other hosts cannot fetch a version from this one's disk; write artifacts: s3://… too")
        return text

    @field_validator("database")
    @classmethod
    def _known(cls, text: str) -> str:
        """Refuse what is no database, and a password that stands in the policy."""
        if text == "sqlite" or is_reference(text):
            return text
        if not text.startswith(("postgresql://", "postgres://")):
            raise PydanticCustomError("reference", "write sqlite, a postgresql:// URL, or env:NAME or file:PATH of one")
        if urlsplit(text).password is not None or "password=" in text:
            raise PydanticCustomError("reference", "it holds a password, so write env:NAME or file:PATH, where it is")
        return text
