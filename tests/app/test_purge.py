"""A subject's rows are erased everywhere, once, by an order that no fact repeats."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from anew.adapters.fact_codec import encode
from anew.app.purge import order_purge, subject_purge
from anew.app.settings import load
from anew.app.stores import open_stores
from anew.domain.errors import NotFoundError
from anew.domain.facts import SubjectPurgeAsked
from anew.domain.interval import Interval
from anew.domain.observation import Answer, Label, Prediction
from anew.ports.review import ReviewItem
from tests.app.small_project import YAML, write_project
from tests.cli.recorded import AT

KEYED = YAML.replace("classes: [0, 1]", "classes: [0, 1]\n  key: customer")
ASKED = SubjectPurgeAsked(model="small", at=AT, command="c1", by="ada", reason="their wish").caused_by("")


def asked_about(key: str) -> ReviewItem:
    return ReviewItem(
        prediction=f"of {key}", at=AT, key=key, row={"x": 1.0}, reason="random", propensity=0.5, window=AT
    )


def test_rows_snapshots_and_the_order_itself_go(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path / "p", KEYED))
    with open_stores(settings) as stores:
        keys = ["ann", "bob", "ann", "bob"]
        frame = pl.DataFrame({"_at": [AT] * 4, "_label": [0, 1, 0, 1], "x": [1.0, 2.0, 3.0, 4.0], "z": [0.0] * 4})
        stores.lake.import_history(frame.with_columns(pl.Series("_key", keys)), source="file")
        whole = frame.with_columns(pl.Series("_key", keys))
        with_ann = stores.snapshots.put(whole)
        without = stores.snapshots.put(whole.filter(pl.col("_key") == "bob"))
        stores.review.add([asked_about("ann"), asked_about("bob")], reached=AT)
        order_purge(settings, "c1", "ann")
        order = settings.state / "purge" / "c1.json"
        assert order.stat().st_mode & 0o777 == 0o600
        purge = subject_purge(stores, settings.state)
        done = purge(ASKED)
        assert dict(done.rows) == {"feedback": 0, "history": 2, "labels": 0, "predictions": 0}
        assert done.snapshots == (with_ann,)
        assert stores.snapshots.get(without).exists()
        with pytest.raises(NotFoundError):
            stores.snapshots.get(with_ann)
        assert stores.lake.counts()["history"] == 2
        assert not order.exists()
        assert [item.key for item in stores.review.untold()] == ["bob"], "what people are asked about has rows, too"
        for fact in (ASKED, done.caused_by(ASKED.id)):
            assert b"ann" not in encode(fact)
        with pytest.raises(NotFoundError, match="ask again"):
            purge(ASKED)


PROGRAM = """
import os, sys
from pathlib import Path
from anew.adapters.killpoint import install
from anew.app.purge import subject_purge
from anew.app.settings import load
from anew.app.stores import open_stores
from tests.app.test_purge import ASKED
settings = load(Path(sys.argv[1]))
with open_stores(settings) as stores:
    install(os.environ)
    print(dict(subject_purge(stores, settings.state)(ASKED).rows)["predictions"])
"""


@pytest.mark.system
@pytest.mark.fault("K9")
def test_a_purge_that_is_killed_at_any_of_its_boundaries_erases_all_of_it_in_the_end(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path / "p", KEYED))
    served = [
        Prediction(
            id=f"{number:032x}", model="small", at=AT + number * timedelta(minutes=1), received_at=AT, key=key,
            row={"x": float(number), "z": 0.0}, version="v1", epoch=1, arm="champion", answer=Answer(output=0),
            latency_us=1,
        )
        for number, key in enumerate(["ann", "bob"] * 20)
    ]  # fmt: skip
    labels = [
        Label(id=f"l{each.id}", model="small", prediction=each.id, at=each.at, received_at=AT, value=1, source="user")
        for each in served
    ]
    with open_stores(settings) as stores:
        stores.lake.append("w", 1, [*served[:20], *labels[:20]])
        stores.lake.append("w", 2, [*served[20:], *labels[20:]])
    order_purge(settings, "c1", "ann")

    def purge(kill: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(settings.root)],
            env={**os.environ, "ANEW_KILL": kill},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode

    kills = ("purge.rewritten:1", "lake.marked_gone:1", "purge.rewritten:1", "purge.lake_done:1")
    assert [purge(kill) for kill in kills] == [-signal.SIGKILL] * 4
    assert purge("") == 0
    span = Interval(start=AT, end=AT + timedelta(days=1))
    with open_stores(settings) as stores:
        left = stores.lake.predictions(span)
        assert set(left["_key"]) == {"bob"}
        assert left.height == stores.lake.labels(span).height == 20
        assert stores.lake.verify() == []
    assert not any(b"ann" in path.read_bytes() for path in (settings.state / "lake").rglob("*.parquet"))
    assert not list((settings.state / "purge").iterdir())
