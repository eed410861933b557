"""Feast's online store, read through its feature server."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from anew.domain.column import Value
from anew.domain.errors import UnavailableError

__all__ = ["FeastOnline"]


class FeastOnline:
    """See `anew.ports.feature_store.OnlineFeatures`; one request to the server for all rows.

    Parameters
    ----------
    server
        Address of the feature server (``feast serve``), e.g. ``http://127.0.0.1:6566``.
    entity
        Feast's join keys, each with the column that has it.
    features
        Names of columns, each with its reference ``view:feature``.
    timeout_ms
        Milliseconds that the server may take.
    """

    def __init__(
        self, server: str, entity: Mapping[str, str], features: Mapping[str, str], *, timeout_ms: float = 100.0
    ) -> None:
        self._entity = dict(entity)
        self._features = dict(features)
        self._timeout_ms = timeout_ms
        self._client = httpx.AsyncClient(
            base_url=server, timeout=timeout_ms / 1e3, follow_redirects=False, trust_env=False
        )

    async def read(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Mapping[str, Value]]:
        """Ask the server, and hold its answer against what was asked."""
        order = {
            "features": list(self._features.values()),
            "entities": {key: [row.get(column) for row in rows] for key, column in self._entity.items()},
            "full_feature_names": True,
        }
        try:
            reply = await self._client.post("/get-online-features", json=order)
            reply.raise_for_status()
            return self._told(reply.json(), len(rows))
        except httpx.TimeoutException as exc:
            raise UnavailableError(f"the feature server did not answer within {self._timeout_ms:g} ms") from exc
        except httpx.HTTPError as exc:
            raise UnavailableError(f"the feature server does not answer: {exc}") from exc
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
            raise UnavailableError(f"the feature server answered something else than features: {exc!r}") from exc

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _told(self, answer: Any, n: int) -> Sequence[Mapping[str, Value]]:
        found: dict[str, list[Value]] = {}
        for name, result in zip(answer["metadata"]["feature_names"], answer["results"], strict=True):
            values, statuses = result["values"], result["statuses"]
            if len(values) != n or len(statuses) != n:
                raise ValueError(f"{len(values)} values of {name} for {n} rows")
            found[name] = [_value(v) if s == "PRESENT" else None for v, s in zip(values, statuses, strict=True)]
        columns = {name: found[of.replace(":", "__", 1)] for name, of in self._features.items()}
        return [{name: values[i] for name, values in columns.items()} for i in range(n)]


def _value(value: Any) -> Value:
    if isinstance(value, bool | int | float):
        return float(value)
    if value is None or isinstance(value, str):
        return value
    return tuple(float(each) for each in value)
