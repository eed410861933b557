"""A subject's rows are erased everywhere, once, by an order that no fact repeats."""

from pathlib import Path

import polars as pl
import pytest

from anew.adapters.fact_codec import encode
from anew.app.purge import order_purge, subject_purge
from anew.app.settings import load
from anew.app.stores import open_stores
from anew.domain.errors import NotFoundError
from anew.domain.facts import SubjectPurgeAsked
from tests.app.small_project import YAML, write_project
from tests.cli.recorded import AT

KEYED = YAML.replace("classes: [0, 1]", "classes: [0, 1]\n  key: customer")
ASKED = SubjectPurgeAsked(model="small", at=AT, command="c1", by="ada", reason="their wish").caused_by("")


def test_rows_snapshots_and_the_order_itself_go(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path / "p", KEYED))
    with open_stores(settings) as stores:
        keys = ["ann", "bob", "ann", "bob"]
        frame = pl.DataFrame({"_at": [AT] * 4, "_label": [0, 1, 0, 1], "x": [1.0, 2.0, 3.0, 4.0], "z": [0.0] * 4})
        stores.lake.import_history(frame.with_columns(pl.Series("_key", keys)), source="file")
        whole = frame.with_columns(pl.Series("_key", keys))
        with_ann = stores.snapshots.put(whole)
        without = stores.snapshots.put(whole.filter(pl.col("_key") == "bob"))
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
        for fact in (ASKED, done.caused_by(ASKED.id)):
            assert b"ann" not in encode(fact)
        with pytest.raises(NotFoundError, match="ask again"):
            purge(ASKED)
