"""A request that is not served, and why."""

from anew.domain.errors import SchemaError

__all__ = ["RefusedError"]

_MOST = 300


class RefusedError(SchemaError):
    """Ends a request with an HTTP status; `code` is for machines, the message for people, `path` names the field."""

    def __init__(self, status: int, code: str, message: str, path: str = "") -> None:
        super().__init__(message[:_MOST], path[:_MOST])
        self.status = status
        self.code = code

    def body(self) -> dict[str, dict[str, str]]:
        """Return what the caller is told."""
        return {"error": {"code": self.code, "message": str(self), "path": self.path}}
