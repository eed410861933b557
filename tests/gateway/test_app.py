"""The ASGI face, driven without a server."""

import asyncio
import gzip
import json
import resource
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from anew.domain.column import Value
from anew.domain.facts.rollout import Stage
from anew.domain.observation import Answer, Label, Observation, Prediction, ShadowAnswer
from anew.gateway.app import GatewayApp
from anew.gateway.commit import GroupCommit
from anew.gateway.endpoint import ModelEndpoint
from anew.gateway.guard import Guard
from anew.gateway.identity import prediction_id
from anew.gateway.routing import Route, Switch
from anew.gateway.serving import Serving
from anew.gateway.settings import GatewaySettings, OnFull
from anew.ports.http import Reply, Request
from anew.ports.journal import Written
from anew.testing.fake_journal import FakeJournal
from anew.testing.fake_predictor import FAKE_COLUMNS, FakePredictor
from anew.testing.journal_thread import JournalThread

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SETTINGS = GatewaySettings(model="m", columns=FAKE_COLUMNS)
ROW = {"amount": 1.5, "shop": "x", "count": 2, "customer": "c"}


def champion(behaviour: str = "constant") -> FakePredictor:
    return FakePredictor(version="v1", digest="d", value=3.0, behaviour=behaviour)


def make(
    journal: FakeJournal,
    predictor: FakePredictor | None = None,
    settings: GatewaySettings = SETTINGS,
    fallback: FakePredictor | None = None,
) -> GatewayApp:
    switch = Switch(
        Route(
            epoch=4,
            stage=Stage.STEADY,
            champion=predictor or champion(),
            guard=Guard("v1", settings),
            fallback=fallback,
        )
    )
    serving = Serving(settings, switch, GroupCommit(JournalThread(journal)), lambda: NOW)
    endpoint = ModelEndpoint(
        serving=serving,
        ready=lambda: (200, {"status": "ready"}),
        stats=lambda: dict(serving.counts),
        workers=list,
        now=lambda: NOW,
    )
    return GatewayApp([endpoint])


def serving(app: GatewayApp) -> Serving:
    """Return what serves the app's one model."""
    return app.endpoints[0].serving


async def call(
    app: GatewayApp,
    path: str,
    body: bytes = b"",
    method: str = "POST",
    headers: Mapping[bytes, bytes] | None = None,
) -> tuple[int, Any]:
    """Return status and decoded body of the one reply."""
    reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    app(Request(method, path, headers or {}, body), reply.set_result)
    got = await reply
    return got.status, json.loads(got.body)


def post(app: GatewayApp, path: str, body: Any, headers: Mapping[bytes, bytes] | None = None) -> tuple[int, Any]:
    return asyncio.run(call(app, path, json.dumps(body).encode(), headers=headers))


def test_a_prediction_is_in_the_journal_as_it_was_answered() -> None:
    journal = FakeJournal()
    status, body = post(make(journal), "/predict", {"rows": [ROW, ROW | {"age": 30}]})
    assert status == 200
    assert {name: body[name] for name in ("model", "version", "epoch")} == {"model": "m", "version": "v1", "epoch": 4}
    assert [entry["id"] for entry in body["predictions"]] == [
        one.id for one in journal.records if isinstance(one, Prediction)
    ]
    first = journal.records[0]
    assert isinstance(first, Prediction)
    assert replace(first, id="", latency_us=0) == Prediction(
        id="",
        model="m",
        at=NOW,
        received_at=NOW,
        key="c",
        row={"amount": 1.5, "shop": "x", "count": 2.0},
        version="v1",
        arm="champion",
        answer=Answer(output=3.0),
        epoch=4,
        latency_us=0,
        extra={"customer": "c"},
    )


@pytest.mark.parametrize("behaviour", ["raise", "nan", "short", "text"])
def test_a_champion_that_fails_is_a_500_without_its_secrets_and_leaves_no_record(behaviour: str) -> None:
    journal = FakeJournal()
    app = make(journal, champion(behaviour))
    status, body = post(app, "/predict", {"row": ROW})
    assert (status, body["error"]["code"]) == (500, "model_failed")
    assert "ordered" not in json.dumps(body)
    assert journal.records == []
    assert serving(app).counts["champion_failed"] == 1


def test_a_journal_that_takes_nothing_follows_the_policy() -> None:
    journal = FakeJournal(problem="full")
    status, body = post(make(journal), "/predict", {"row": ROW})
    assert (status, body["error"]["code"]) == (503, "journal_unavailable")
    app = make(journal, settings=replace(SETTINGS, on_full=OnFull.DROP_COUNTED))
    assert post(app, "/predict", {"rows": [ROW, ROW]})[0] == 200
    assert (serving(app).counts["dropped"], serving(app).counts["predictions"]) == (2, 0)


def test_an_id_that_comes_with_an_event_time_is_for_one_row_too() -> None:
    app = make(FakeJournal())

    async def story() -> None:
        body = {"row": ROW, "ids": ["a"], "at": "2026-06-01T11:00:00Z"}
        first = await call(app, "/predict", json.dumps(body).encode())
        assert await call(app, "/predict", json.dumps(body).encode()) == first
        for other in ({"row": ROW | {"amount": 2.5}}, {"at": "2026-06-01T11:30:00Z"}):
            status, said = await call(app, "/predict", json.dumps(body | other).encode())
            assert (status, said["error"]["code"]) == (409, "id_reused")
            assert "for another row" in said["error"]["message"]

    asyncio.run(story())


def test_a_refused_id_may_be_tried_again() -> None:
    journal = FakeJournal(problem="full")
    app = make(journal)

    async def story() -> None:
        body = json.dumps({"row": ROW, "ids": ["a"]}).encode()
        assert (await call(app, "/predict", body))[0] == 503
        journal.problem = ""
        first = await call(app, "/predict", body)
        assert first[0] == 200
        assert await call(app, "/predict", body) == first
        together = await asyncio.gather(*(call(app, "/predict", body.replace(b'"a"', b'"b"')) for _ in range(5)))
        assert len({reply["predictions"][0]["id"] for _, reply in together}) == 1

    asyncio.run(story())
    assert len(journal.records) == 2


def test_labels_are_journaled() -> None:
    journal = FakeJournal()
    entry = {"prediction": "0" * 32, "value": 2, "id": "d1"}
    assert post(make(journal), "/labels", {"labels": [entry]}) == (200, {"accepted": 1, "ids": ["d1"]})
    assert isinstance(journal.records[0], Label)


def test_labels_and_feedback_about_ids_of_another_system_are_counted() -> None:
    app = make(FakeJournal())
    assert post(app, "/labels", {"labels": [{"prediction": prediction_id(NOW), "value": 2}]})[0] == 200
    assert serving(app).counts["foreign_ids"] == 0
    post(app, "/labels", {"labels": [{"prediction": each * 32, "value": 2} for each in "0f"]})
    post(app, "/feedback", {"feedback": [{"prediction": "f" * 32, "thumb": "up"}]})
    assert (serving(app).counts["labels"], serving(app).counts["foreign_ids"]) == (3, 3)


def test_paths_and_methods_are_matched_exactly() -> None:
    app = make(FakeJournal())
    for path in ("/", "/predict/", "/x/ready", "/predict/live", "/PREDICT"):
        assert asyncio.run(call(app, path))[0] == 404
    assert asyncio.run(call(app, "/predict", method="GET"))[0] == 405
    assert asyncio.run(call(app, "/live", method="POST"))[0] == 405
    for method in ("GET", "HEAD"):  # the server leaves the body of the latter out
        assert asyncio.run(call(app, "/live", method=method)) == (200, {"status": "live"})
    assert asyncio.run(call(app, "/predict", method="HEAD"))[0] == 405


def test_bodies_in_another_dress_are_refused() -> None:
    app = make(FakeJournal())
    for headers in ({b"content-type": b"text/plain"}, {b"content-encoding": b"gzip"}):
        assert post(app, "/predict", {"row": ROW}, headers)[0] == 415
    assert post(app, "/predict", {"row": ROW}, {b"content-type": b"application/json; charset=utf-8"})[0] == 200


@pytest.mark.fault("H6")
@pytest.mark.parametrize("path", ["/predict", "/labels", "/feedback"])
def test_a_body_that_is_packed_is_refused_and_not_unpacked(path: str) -> None:
    journal = FakeJournal()
    bomb = gzip.compress(b" " * 100_000_000, 9)
    assert len(bomb) < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = asyncio.run(call(make(journal), path, bomb, headers={b"content-encoding": b"gzip"}))
    assert told[0] == 415
    assert told[1]["error"]["code"] == "encoding"
    assert journal.records == []
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 50


class Counted(FakePredictor):
    """Notes how many rows it is asked for at once."""

    calls: ClassVar[list[int]] = []

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Answer."""
        self.calls.append(len(rows))
        return FakePredictor.answer(self, rows)


class Noting(list[int]):
    """Notes that the model was called."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def append(self, _: int) -> None:
        """Note it."""
        self.seen.append("called")


def counted() -> tuple[Counted, list[int]]:
    """Return a champion, and what it notes."""
    Counted.calls = []
    return Counted(version="v1", digest="d", behaviour="amount"), Counted.calls


def test_requests_of_one_turn_share_a_call_of_the_model_and_a_commit() -> None:
    journal = FakeJournal()
    version, calls = counted()
    app = make(journal, version)

    async def story() -> None:
        bodies = [json.dumps({"row": ROW | {"amount": i}}).encode() for i in range(20)]
        replies = await asyncio.gather(*(call(app, "/predict", body) for body in bodies))
        assert [body["predictions"][0]["output"] for _, body in replies] == list(range(20))

    asyncio.run(story())
    assert (calls, journal.commits, len(journal.records)) == ([20], 1, 20)


class Held(FakeJournal):
    """A disk that takes its time."""

    free: ClassVar[threading.Event] = threading.Event()

    def append(self, observations: Sequence[Observation | ShadowAnswer]) -> int:
        """Wait, then keep."""
        assert self.free.wait(20)
        return FakeJournal.append(self, observations)


def test_requests_that_come_during_a_commit_are_answered_together_at_its_end() -> None:
    journal = Held()
    Held.free = threading.Event()
    version, calls = counted()
    app = make(journal, version)

    async def story() -> None:
        tasks = [asyncio.ensure_future(call(app, "/predict", json.dumps({"row": ROW}).encode()))]
        while serving(app).commit.waiting_s == 0:
            await asyncio.sleep(0.001)
        serving(app).admission.row_s = 0.00001  # a quick model, however busy this machine is
        for _ in range(9):  # each in a turn of its own
            tasks.append(asyncio.ensure_future(call(app, "/predict", json.dumps({"row": ROW}).encode())))
            await asyncio.sleep(0.001)
        assert calls == [1]
        Held.free.set()
        assert [status for status, _ in await asyncio.gather(*tasks)] == [200] * 10

    asyncio.run(story())
    assert (calls, journal.commits) == ([1, 9], 2)


def test_control_as_many_rows_as_fill_a_turn_do_not_wait_for_the_disk() -> None:
    Held.free = threading.Event()
    version, calls = counted()
    app = make(Held(), version)

    async def story() -> None:
        ask = json.dumps({"row": ROW}).encode()
        tasks = [asyncio.ensure_future(call(app, "/predict", ask))]
        while serving(app).commit.waiting_s == 0:
            await asyncio.sleep(0.001)
        serving(app).admission.row_s = 0.005  # so a turn takes two
        for _ in range(2):
            tasks.append(asyncio.ensure_future(call(app, "/predict", ask)))
            await asyncio.sleep(0.001)
        assert calls == [1, 2]
        Held.free.set()
        await asyncio.gather(*tasks)

    asyncio.run(story())


class Quick(JournalThread):
    """Says that the disk was quick, however long it was held."""

    def write(self, records: Sequence[Observation | ShadowAnswer], told: Written) -> None:
        """Write, and say so."""
        JournalThread.write(self, records, lambda problem, _: told(problem, 0.0))


@pytest.mark.parametrize(("row_s", "order"), [(0.004, ["told", "called"]), (0.00001, ["called", "told"])])
def test_an_answer_that_is_on_disk_does_not_wait_for_a_slow_call_of_the_model(row_s: float, order: list[str]) -> None:
    Held.free = threading.Event()
    version, _ = counted()
    app, seen = make(Held(), version), list[str]()
    serving(app).commit.journal = Quick(Held())

    async def story() -> None:
        ask = json.dumps({"row": ROW}).encode()
        app(Request("POST", "/predict", {}, ask), lambda _: seen.append("told"))
        while serving(app).commit.waiting_s == 0:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(call(app, "/predict", ask))
        await asyncio.sleep(0)
        serving(app).admission.row_s = row_s
        Counted.calls = Noting(seen)
        Held.free.set()
        await second

    asyncio.run(story())
    assert seen == order


def test_a_row_that_the_champion_cannot_answer_harms_no_other_request() -> None:
    journal = FakeJournal()
    app = make(journal, champion("raise_sometimes"))

    async def story() -> None:
        bodies = [json.dumps({"row": ROW | {"amount": 50 * i + 50}}).encode() for i in range(6)]
        replies = await asyncio.gather(*(call(app, "/predict", body) for body in bodies))
        assert [status for status, _ in replies] == [200, 500, 200, 500, 200, 500]

    asyncio.run(story())
    assert len(journal.records) == 3
    assert (serving(app).counts["champion_failed"], serving(app).counts["predictions"]) == (3, 3)


def test_a_defect_of_ours_is_a_500_that_tells_nothing() -> None:
    app = make(FakeJournal())
    serving(app).commit = None  # type: ignore[assignment] # the defect
    status, body = post(app, "/predict", {"row": ROW})
    assert (status, body["error"]["code"]) == (500, "internal")


def test_a_version_gets_the_columns_that_it_was_trained_on() -> None:
    seen: list[Mapping[str, Value]] = []

    class Older(FakePredictor):
        """Was trained before two columns came, in another order."""

        def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
            """Note the rows."""
            seen.extend(rows)
            return FakePredictor.answer(self, rows)

    older = Older(version="v0", digest="d", columns=replace(FAKE_COLUMNS, features=FAKE_COLUMNS.features[:1]))
    assert post(make(FakeJournal(), older), "/predict", {"row": ROW})[0] == 200
    assert seen == [{"amount": 1.5}]


def test_feedback_is_on_disk_before_it_is_acknowledged() -> None:
    journal = FakeJournal()
    entry = {"prediction": "0" * 32, "thumb": "down", "id": "f1"}
    assert post(make(journal), "/feedback", {"feedback": [entry]}) == (200, {"accepted": 1, "ids": ["f1"]})
    (kept,) = journal.records
    assert (kept.id, kept.event, kept.value) == ("f1", "thumb", 0.0)  # type: ignore[union-attr]  # it is feedback


@pytest.mark.fault("V8")
def test_an_id_that_the_caller_repeats_gets_the_same_answer_and_one_row_and_another_row_under_it_is_refused() -> None:
    journal = FakeJournal()
    app = make(journal)

    async def talk() -> list[tuple[int, Any]]:
        ask = {"row": ROW, "ids": ["order-7"], "at": "2026-05-01T00:00:00Z"}
        other = ask | {"row": ROW | {"amount": 99.0}}
        return [await call(app, "/predict", json.dumps(each).encode()) for each in (ask, ask, other)]

    first, again, other = asyncio.run(talk())
    assert first == again
    assert first[0] == 200
    assert other[0] == 409
    assert len(journal.records) == 1


def _asked_elsewhere(**more: Any) -> str:
    """Ask a worker that was asked nothing before under an id, and return the prediction's."""
    status, body = post(make(FakeJournal()), "/predict", {"row": ROW, "ids": ["order-7"]} | more)
    assert status == 200
    return str(body["predictions"][0]["id"])


def test_a_repeat_at_another_worker_is_the_same_prediction_and_another_row_is_another() -> None:
    at = {"at": "2026-05-01T00:00:00Z"}
    others: list[dict[str, Any]] = [
        {"row": ROW | {"amount": 99.0}},
        {"row": ROW | {"customer": "d"}},
        {"ids": ["order-8"]},
    ]
    first = _asked_elsewhere(**at)
    assert _asked_elsewhere(**at) == first
    assert len({first, *(_asked_elsewhere(**at, **each) for each in others)}) == 4


def test_a_repeat_at_another_worker_without_an_event_time_is_a_prediction_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = _asked_elsewhere()
    monkeypatch.setitem(globals(), "NOW", NOW.replace(second=1))
    assert _asked_elsewhere() != first
