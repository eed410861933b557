"""Requests that leave out what the feature store knows: completed, refused when it does not answer, never guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from anew.domain.column import Value
from anew.domain.errors import UnavailableError
from anew.domain.observation import Prediction
from anew.gateway.app import GatewayApp
from anew.gateway.enrich import Enricher
from anew.testing.fake_journal import FakeJournal
from tests.gateway.test_app import ROW, SETTINGS, make, post

FETCHED = replace(SETTINGS, fetched=("count", "shop"))
BARE = {"amount": 1.5, "customer": "c"}


@dataclass
class Store:
    """Knows the same of everybody, or does not answer."""

    known: Mapping[str, Value] | None
    asked: list[Mapping[str, Value]] = field(default_factory=list)

    async def read(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Mapping[str, Value]]:
        """Answer."""
        self.asked += rows
        if self.known is None:
            raise UnavailableError("no answer")
        return [self.known for _ in rows]

    async def close(self) -> None:
        """Nothing is open."""


def gateway(store: Store, journal: FakeJournal) -> GatewayApp:
    app = make(journal, settings=FETCHED)
    app.endpoints[0].enricher = Enricher(FETCHED.columns, store)
    return app


def answered(store: Store, body: Mapping[str, Any], journal: FakeJournal | None = None) -> tuple[int, Any]:
    return post(gateway(store, journal or FakeJournal()), "/predict", body)


def test_what_a_request_leaves_out_is_fetched_and_recorded() -> None:
    store, journal = Store({"count": 7.0, "shop": "y"}), FakeJournal()
    status, body = answered(store, {"row": BARE}, journal)
    assert (status, body["predictions"][0]["output"]) == (200, 3.0)
    (kept,) = journal.records
    assert isinstance(kept, Prediction)
    assert dict(kept.row) == {"amount": 1.5, "shop": "y", "count": 7.0}
    assert list(kept.row) == list(FETCHED.columns.names)
    assert store.asked == [{"customer": "c", "amount": 1.5}]


def test_what_a_request_says_itself_counts_and_whole_rows_ask_nobody() -> None:
    store, journal = Store({"count": 7.0, "shop": "y"}), FakeJournal()
    status, _ = answered(store, {"row": BARE | {"count": 2}}, journal)
    assert status == 200
    (kept,) = journal.records
    assert isinstance(kept, Prediction)
    assert dict(kept.row) == {"amount": 1.5, "shop": "y", "count": 2.0}
    silent = Store(None)
    assert answered(silent, {"row": ROW})[0] == 200
    assert silent.asked == []


def test_a_store_that_does_not_answer_is_a_503_and_leaves_no_record() -> None:
    journal = FakeJournal()
    status, body = answered(Store(None), {"row": BARE}, journal)
    assert (status, body["error"]["code"]) == (503, "features_unavailable")
    assert journal.records == []


def test_rows_with_ids_are_completed_and_answered_once() -> None:
    store, journal = Store({"count": 7.0, "shop": "y"}), FakeJournal()
    app = gateway(store, journal)
    body = {"rows": [BARE, BARE], "ids": ["a", "b"]}
    first = post(app, "/predict", body)
    store.known = {"count": 8.0, "shop": "z"}
    assert post(app, "/predict", body) == first  # a repeat is known by what was asked, not by what was found for it
    assert len(journal.records) == 2


def test_other_features_are_still_asked_for() -> None:
    status, body = answered(Store({"count": 7.0, "shop": "y"}), {"row": {"customer": "c"}})
    assert status == 422
    assert "amount" in body["error"]["message"]


@pytest.mark.parametrize("missing", ["count", "shop"])
def test_without_a_store_every_feature_is_needed(missing: str) -> None:
    app = make(FakeJournal())
    status, _ = post(app, "/predict", {"row": {k: v for k, v in ROW.items() if k != missing}})
    assert status == 422
