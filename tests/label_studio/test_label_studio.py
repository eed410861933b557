"""A real Label Studio: questions with what the model said, answers back, calls, corrections, and nothing twice."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from anew.adapters.label_studio import LabelStudio
from anew.adapters.outbound import OutboundService
from anew.adapters.review_db import ReviewDB
from anew.adapters.review_places import ReviewPlaces
from anew.app.workers import free_port
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import SettingsError, UnavailableError
from anew.domain.facts import ReviewReopened, ReviewSettled
from anew.loop.labelling import Labelling
from anew.ports.review import LabelValue, ReviewItem
from tests.label_studio.studio_bed import StudioBed, said, studio_bed
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

T0 = datetime(2026, 1, 5, tzinfo=UTC)
SECRET = "a-secret-of-the-webhook"  # noqa: S105  of this test alone


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioBed]:
    with studio_bed(tmp_path_factory.mktemp("studio")) as made:
        yield made


class Queue:
    """A review queue with some items, and a Label Studio project of its own."""

    def __init__(self, bed: StudioBed, folder: Path, columns: Columns) -> None:
        self.bed = bed
        self.model = f"m{secrets.token_hex(4)}"
        self.columns = columns
        self.file = folder / "review.db"
        self.store = ReviewDB(self.file)
        self.places = ReviewPlaces(self.file)
        self.service = OutboundService(bed.url)
        self.keep = self.restarted()

    def restarted(self, token: str = "") -> Labelling:
        """Return what another process would begin with."""
        tool = LabelStudio(self.service, token or self.bed.token, self.model, self.columns)
        return Labelling(tool, self.places, lambda: T0, answers=True)

    def add(self, count: int, answer: LabelValue, key: str = "k", needed: int = 1) -> None:
        """Have some answers reviewed."""
        items = [
            ReviewItem(
                prediction=f"{key}{i}", at=T0, key=key, row={"amount": float(i), "shop": "<b>é</b>"}, reason="random",
                propensity=0.5, window=T0, needed=needed, answer=answer, score=0.75, version="v1",
            )
            for i in range(count)
        ]  # fmt: skip
        self.store.add(items, reached=T0)

    def step(self) -> None:
        """Do all that is to be done."""
        while self.keep.step():
            pass

    @property
    def project(self) -> int:
        """Its number."""
        return self.bed.project(self.model)

    @property
    def tasks(self) -> list[Any]:
        """What the server has."""
        return list(self.bed.tasks(self.project))

    def close(self) -> None:
        """Close everything."""
        self.store.close()
        self.places.close()
        self.service.close()


def binary() -> Columns:
    features = (Column(name="amount", kind=ColumnKind.NUMBER), Column(name="shop", kind=ColumnKind.CATEGORY))
    return Columns(time="at", target="is_fraud", features=features, task=Task.BINARY, classes=(0, 1))


@pytest.fixture
def queue(bed: StudioBed, tmp_path: Path) -> Iterator[Queue]:
    made = Queue(bed, tmp_path, binary())
    yield made
    made.close()


def votes(queue: Queue) -> list[LabelValue]:
    return [value for asked in queue.store.voted() for _, value in asked.votes]


def test_questions_are_pushed_once_with_what_the_model_said(queue: Queue) -> None:
    queue.add(3, 1)
    for _ in range(2):
        queue.step()
        queue.keep = queue.restarted()
    queue.keep = queue.restarted(queue.bed.old_token)
    queue.step()
    tasks = queue.tasks
    assert len(tasks) == 3
    assert {task["data"]["item"] for task in tasks} == {item for (item,) in queue.places.all("SELECT id FROM item")}
    assert tasks[0]["data"]["row"]["shop"] == "<b>é</b>"
    (prediction,) = tasks[0]["predictions"]
    assert prediction["result"] == said("1")
    assert (prediction["score"], prediction["model_version"]) == (0.75, "v1")


def test_what_is_in_doubt_is_looked_for_and_a_second_task_is_removed(queue: Queue) -> None:
    queue.add(2, 1)
    queue.keep.step()
    first = [task["id"] for task in queue.tasks]
    with queue.places.writing() as db:  # killed after the server made them, before they were noted
        db.execute("UPDATE placed SET task = NULL")
    queue.keep = queue.restarted()
    queue.step()
    assert [task["id"] for task in queue.tasks] == first
    queue.bed.ask("POST", f"/api/projects/{queue.project}/import", [{"data": queue.tasks[0]["data"]}])
    assert len(queue.tasks) == 3
    queue.step()
    assert [task["id"] for task in queue.tasks] == first


def test_answers_are_pulled_once_corrected_withdrawn_and_skipped(queue: Queue) -> None:
    queue.add(2, 1)
    queue.step()
    one, two = (task["id"] for task in queue.tasks)
    given = queue.bed.annotate(one, "0")
    queue.step()
    before = queue.store.last_vote()
    for _ in range(2):
        queue.step()
        queue.keep = queue.restarted()
    queue.step()
    assert votes(queue) == [0]
    assert queue.store.last_vote() == before, "seen again, it is nothing new"
    queue.bed.correct(given, "1")
    queue.step()
    assert votes(queue) == [1]
    queue.bed.withdraw(given)
    queue.step()
    assert votes(queue) == []
    skipped = {"result": [], "was_cancelled": True}
    queue.bed.ask("POST", f"/api/tasks/{two}/annotations/", skipped)
    queue.bed.ask("POST", f"/api/tasks/{one}/annotations/", {"result": []})
    queue.step()
    assert votes(queue) == []
    (labeller,) = queue.store.status(T0)["labellers"].items()
    assert labeller == ("label-studio/1", {"answered": 0, "skipped": 1, "gold": 0})


def test_what_is_erased_here_is_erased_there(queue: Queue) -> None:
    queue.add(1, 1, key="gone")
    queue.add(1, 1, key="kept")
    queue.step()
    assert len(queue.tasks) == 2
    queue.store.forget(key="gone")
    queue.step()
    (left,) = queue.tasks
    assert queue.places.task(left["data"]["item"]) == left["id"]


def test_two_people_are_asked_where_one_is_not_enough(queue: Queue) -> None:
    queue.add(1, 1, needed=2)
    queue.step()
    (task,) = queue.tasks
    assert task["overlap"] == 2
    queue.bed.annotate(task["id"], "0")
    assert not queue.tasks[0]["is_labeled"]


def test_numbers_are_asked_for_and_what_is_no_number_is_no_vote(bed: StudioBed, tmp_path: Path) -> None:
    features = (Column(name="amount", kind=ColumnKind.NUMBER),)
    queue = Queue(bed, tmp_path, Columns(time="at", target="y", features=features, task=Task.REGRESSION))
    queue.add(2, 3.5)
    queue.step()
    one, two = queue.tasks
    assert one["predictions"][0]["result"] == said(3.5)
    bed.annotate(one["id"], 4.25)
    bed.annotate(two["id"], "0")
    queue.step()
    assert votes(queue) == [4.25]
    queue.close()


def test_a_refused_token_and_a_project_without_the_control_are_said(queue: Queue, bed: StudioBed) -> None:
    for token in ("0" * 40, f"{bed.token[:-4]}AAAA"):
        with pytest.raises(SettingsError, match="refuses the") as refused:
            queue.restarted(token).step()
        assert token not in str(refused.value)
    config = (
        '<View><Text name="row" value="$at"/><Choices name="label" toName="row"><Choice value="0"/></Choices></View>'
    )
    made = bed.ask("POST", "/api/projects/", {"title": "other", "label_config": config})
    tool = LabelStudio(queue.service, bed.token, queue.model, queue.columns, project=made["id"])
    with pytest.raises(SettingsError, match="every class"):
        tool.prepare()
    with pytest.raises(UnavailableError):
        LabelStudio(OutboundService("http://127.0.0.1:9"), bed.token, "m", queue.columns).prepare()


REVIEW = """\
{cooldown: 0s}
feedback:
  trust: [review, api]
  review:
    per_day: 240
    double: 0
    label_studio: {url: URL, token: "file:token", every: 1h, webhook: {url: HOOK, secret: "file:secret"}}
"""


@pytest.fixture(scope="module")
def running(bed: StudioBed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopProject]:
    """A running loop that has asked, and Label Studio that was told to call its gateway."""
    folder = tmp_path_factory.mktemp("loop")
    with loop_project(folder / "project", QUIET) as ours:
        ours.port = free_port("127.0.0.1")
        text = REVIEW.replace("URL", bed.url).replace("HOOK", f"http://127.0.0.1:{ours.port}/review/label-studio")
        policy = (ours.root / "anew.yaml").read_text()
        (ours.root / "anew.yaml").write_text(policy.replace("policy: {cooldown: 3h}", f"policy: {text.rstrip()}"))
        (ours.root / "token").write_text(bed.token)
        (ours.root / "secret").write_text(SECRET)
        ours.up()
        ours.serves()
        ours.hour(labels=False)
        ours.hour(labels=False)
        _patient(lambda: bed.ask("GET", "/api/projects/", title="anew demand")["results"], ours)
        _call(ours, SECRET)
        _patient(lambda: bed.tasks(bed.project("demand")), ours)
        yield ours
        assert ours.down() == 0


def _patient(condition: Callable[[], Any], ours: LoopProject) -> Any:
    """Wait for something, and have Label Studio asked meanwhile: it is asked once an hour otherwise."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, ours.log()
        _call(ours, SECRET)
        time.sleep(0.5)
    return found


def _call(ours: LoopProject, secret: str) -> int:
    headers = {"x-anew-secret": secret} if secret else {}
    return httpx.post(
        f"http://127.0.0.1:{ours.port}/review/label-studio", json={"action": "ANNOTATION_CREATED"}, headers=headers
    ).status_code


def test_an_answer_comes_by_a_call_becomes_one_label_and_follows_its_correction(
    running: LoopProject, bed: StudioBed
) -> None:
    task = bed.tasks(bed.project("demand"))[0]
    assert task["predictions"][0]["model_version"] == "v1"
    given = bed.annotate(task["id"], 777.0)
    wait(lambda: running.facts(ReviewSettled), running.log)  # nobody asked: Label Studio called
    for _ in range(2):
        assert _call(running, SECRET) == 202  # a call that comes again
    bed.correct(given, 778.0)
    wait(lambda: len(running.facts(ReviewSettled)) == 2, running.log)
    bed.withdraw(given)
    (reopened,) = wait(lambda: running.facts(ReviewReopened), running.log)
    assert (reopened.by, reopened.revision) == ((), 3)
    bed.annotate(task["id"], 779.0)
    wait(lambda: len(running.facts(ReviewSettled)) == 3, running.log)
    revisions = [fact.revision for fact in running.facts(ReviewSettled)]
    assert revisions == [1, 2, 4]
    assert {fact.by for fact in running.facts(ReviewSettled)} == {("label-studio/1",)}
    expected = {**running.expected(), "labels": len(running.acknowledged.labels) + 4}
    wait(lambda: running.stored() == expected, running.log)


def test_whoever_does_not_know_the_secret_is_refused_and_the_secret_is_in_no_log(
    running: LoopProject, bed: StudioBed
) -> None:
    for secret in ("", "wrong", SECRET + "x", SECRET[:-1]):
        assert _call(running, secret) == 401
    assert httpx.get(f"http://127.0.0.1:{running.port}/review/label-studio").status_code == 405
    written = running.log() + "".join(path.read_text() for path in (running.state / "logs").glob("*"))
    assert SECRET not in written
    assert bed.token not in written
    (hook,) = bed.ask("GET", "/api/webhooks/", project=str(bed.project("demand")))
    assert json.dumps(hook["send_payload"]) == "false", "no row travels with a call"
