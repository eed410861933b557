"""Completes rows with what the feature store knows of them: what a request leaves out, it need not know."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from anew.domain.column import Columns
from anew.domain.errors import UnavailableError
from anew.gateway.refusal import RefusedError
from anew.gateway.row import RequestRow
from anew.ports.feature_store import OnlineFeatures

__all__ = ["Enricher"]

_LOG = logging.getLogger("anew.gateway")


@dataclass(frozen=True, slots=True)
class Enricher:
    """Asks `store` for the features that rows lack. Belongs to one event loop.

    What is answered on, is what is recorded: the lake has the values that were served, and training sees the same.
    """

    columns: Columns
    store: OnlineFeatures

    def lacks(self, rows: Sequence[RequestRow]) -> bool:
        """Does any row lack a declared feature?"""
        width = len(self.columns.names)
        return any(len(row.values) < width for row in rows)

    async def complete(self, rows: Sequence[RequestRow]) -> Sequence[RequestRow]:
        """Return the rows with every declared feature; one that the store does not know is null.

        Raises
        ------
        RefusedError
            The store does not answer in time (503): nothing is guessed.
        """
        try:
            known = await self.store.read([{**row.extra, **row.values} for row in rows])
        except UnavailableError as exc:
            _LOG.warning("features_unavailable problem=%s", exc)
            message = "the feature store does not answer, so neither can the model; try again later"
            raise RefusedError(503, "features_unavailable", message) from exc
        whole = []
        for row, found in zip(rows, known, strict=True):
            both = {**found, **row.values}
            whole.append(msgspec.structs.replace(row, values={name: both[name] for name in self.columns.names}))
        return whole
