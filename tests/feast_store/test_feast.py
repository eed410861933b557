"""A real Feast: history joined as it was known then, requests answered with what is known now, from one repository."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.feast_history import FeastHistory
from anew.adapters.feast_online import FeastOnline
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.app.status import stored_rows
from anew.app.workers import free_port
from anew.domain.errors import SchemaError
from anew.domain.interval import Interval
from tests.feast_store.feast_bed import FEAST, FeastBed, feast_bed, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ENTITY = {"customer_id": "customer_id"}
FEATURES = {"usual": "spending:usual", "orders": "spending:orders"}
TTL = timedelta(days=3)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeastBed]:
    with feast_bed(tmp_path_factory.mktemp("feast")) as made:
        made.serve()
        yield made


def history_of(bed: FeastBed) -> FeastHistory:
    return FeastHistory(python=FEAST / "python", repository=bed.root / "feature_repo", entity=ENTITY, features=FEATURES)


def known_then(spending: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the newest value of each row's customer at its instant that has not expired: an independent join."""
    ours = rows.with_row_index("_n").sort("_at")
    found = ours.join_asof(
        spending.rename({"at": "known"}).sort("known"), left_on="_at", right_on="known", by="customer_id",
        strategy="backward", tolerance=TTL,
    )  # fmt: skip
    return found.sort("_n").select("usual", orders=pl.col("orders").cast(pl.Float64))


def asked(bed: FeastBed) -> pl.DataFrame:
    """Return rows of every kind: usual ones, strangers, before anything was known, and long after it had expired."""
    events = pl.read_parquet(bed.root / "events.parquet").rename({"at": "_at"}).sample(300, seed=1)
    first, last = events.get_column("_at").min(), events.get_column("_at").max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    odd = pl.DataFrame(
        {
            "customer_id": ["nobody", "c1", "c2", "c3"],
            "_at": [last, first - timedelta(days=9), last + timedelta(days=30), last],
        }
    ).with_columns(pl.col("_at").cast(pl.Datetime("us", "UTC")))
    return pl.concat([events.select("customer_id", "_at"), odd]).sample(fraction=1.0, shuffle=True, seed=2)


def test_history_gets_what_was_known_then_and_nothing_of_later(bed: FeastBed) -> None:
    rows = asked(bed)
    joined = history_of(bed).join(rows)
    spending = pl.read_parquet(bed.root / "feature_repo" / "build" / "spending.parquet")
    expected = known_then(spending, rows)
    found = joined.select("usual", orders=pl.col("orders").cast(pl.Float64))
    assert found.equals(expected)
    assert joined.select(rows.columns).equals(rows)
    assert expected.get_column("usual").null_count() == 3
    # The control: what is known now is something else, and would have leaked.
    newest = spending.sort("at").unique("customer_id", keep="last")
    leaked = rows.join(newest, on="customer_id", how="left", maintain_order="left").get_column("usual")
    assert (leaked != found.get_column("usual")).sum() > 250


def test_a_join_that_feast_refuses_says_why(bed: FeastBed) -> None:
    store = history_of(bed)
    wrong = FeastHistory(
        python=store.python, repository=store.repository, entity=ENTITY, features={"usual": "spending:unheard"}
    )
    with pytest.raises(SchemaError, match="Feast refuses the join"):
        wrong.join(asked(bed))


def test_the_server_tells_what_is_known_now(bed: FeastBed) -> None:
    async def read() -> list[dict[str, Any]]:
        store = FeastOnline(bed.server, ENTITY, FEATURES, timeout_ms=5000.0)
        try:
            return [dict(each) for each in await store.read([{"customer_id": "c1"}, {"customer_id": "nobody"}])]
        finally:
            await store.close()

    known, unknown = asyncio.run(read())
    assert known == newest_of(bed, "c1")
    assert unknown == {"usual": None, "orders": None}


def newest_of(bed: FeastBed, customer: str) -> Mapping[str, float]:
    spending = pl.read_parquet(bed.root / "feature_repo" / "build" / "spending.parquet")
    newest = spending.filter(customer_id=customer).sort("at").tail(1).to_dicts()[0]
    return {"usual": newest["usual"], "orders": float(newest["orders"])}


def test_the_example_is_replayed_on_joined_history(bed: FeastBed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANEW_FEAST_PYTHON", str(FEAST / "python"))
    report = replay(load(bed.root), ReplayOptions(data=bed.root / "events.parquet", windows=20))
    assert report.data["loss"] < 0.1  # the usual amount says nearly all; without it the amount alone says little
    assert pl.read_parquet(bed.root / "events.parquet").columns == ["at", "customer_id", "amount", "is_fraud"]


def test_the_gateway_answers_with_the_store_and_records_what_it_used(bed: FeastBed) -> None:
    port = free_port("127.0.0.1")
    environment = {**os.environ, "ANEW_FEAST_PYTHON": str(FEAST / "python")}
    command = [Path(sys.executable).with_name("anew"), "up", bed.root, "--port", str(port)]
    with (bed.root / "up.log").open("ab") as log:
        program = subprocess.Popen([str(each) for each in command], env=environment, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/ready", bed.root / "up.log")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
            usual = newest_of(bed, "c1")["usual"]
            at = "2026-03-02T12:00:00Z"

            def predict(**row: object) -> httpx.Response:
                return client.post("/predict", json={"row": row, "at": at})

            plain = predict(amount=usual, customer_id="c1")
            assert plain.status_code == 200, plain.text
            assert plain.json()["predictions"][0]["output"] == 0
            assert predict(amount=usual * 4, customer_id="c1").json()["predictions"][0]["output"] == 1
            assert predict(amount=usual, customer_id="nobody").status_code == 200  # nothing known is null
            told = predict(amount=usual * 4, customer_id="c1", usual=usual * 4, orders=1)
            assert told.json()["predictions"][0]["output"] == 0  # what a request says itself counts
            bed.stop()
            refused = predict(amount=usual, customer_id="c1")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "features_unavailable")
            assert predict(amount=usual, customer_id="c1", usual=usual, orders=1).status_code == 200
            bed.serve()
            assert predict(amount=usual, customer_id="c1").status_code == 200
            deadline = time.monotonic() + 30
            while stored(bed) < 6:  # what is answered last is drained from the journal a moment later
                assert time.monotonic() < deadline, (bed.root / "up.log").read_text()[-3000:]
                time.sleep(0.1)
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait(timeout=60)
    assert program.returncode == 0
    rows = served(bed)
    assert rows.height == 6  # the one that was refused is not among them
    recorded = rows.filter(pl.col("amount") == usual).select("_key", "usual", "orders").rows()
    assert ("c1", *newest_of(bed, "c1").values()) in recorded
    assert ("nobody", None, None) in recorded


def stored(bed: FeastBed) -> int:
    return (stored_rows(load(bed.root).state) or {}).get("predictions", 0)


def served(bed: FeastBed) -> pl.DataFrame:
    settings = load(bed.root)
    lake = DeltaLake(settings.state / "lake", settings.columns, settings.model, settings.state / "lake.db")
    try:
        start = datetime.fromisoformat("2026-03-02T00:00:00+00:00")
        return lake.predictions(Interval(start=start, end=start + timedelta(days=1)))
    finally:
        lake.close()
