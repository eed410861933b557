"""Label Studio as a place where people answer what is reviewed, through its REST API.

Reference: Label Studio 1.23, API of projects, tasks, predictions, annotations and webhooks.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from xml.sax.saxutils import quoteattr

from anew.adapters.outbound import OutboundService, RefusedStatusError
from anew.domain.column import Columns, out_of_reach
from anew.domain.errors import AnewError, SettingsError, UnavailableError
from anew.ports.labelling import PlacedTask, Placement, Reading
from anew.ports.review import LabelValue

__all__ = ["CONTROL", "SECRET_HEADER", "LabelStudio", "StudioHook", "label_config"]

_LOG = logging.getLogger("anew.labelling")
CONTROL = "label"
"""Name of the control in a project's configuration that answers are read from."""
SECRET_HEADER = "X-Anew-Secret"  # noqa: S105  where it is, not what it is
_PAGE = 200
_SLACK = timedelta(minutes=1)
_WHOLE = timedelta(hours=1)
_ACTIONS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED")
_TITLE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioHook:
    """Where Label Studio calls when somebody answered, and the secret that it sends along."""

    url: str
    secret: str


class LabelStudio:
    """See `anew.ports.labelling.LabellingTool`. The project is made when there is none, and never deleted.

    A reading takes what changed since the one before, by Label Studio's own clock; all of it once an hour, since a task
    that somebody deletes while pages are being read moves others to a page that was read already.

    Parameters
    ----------
    model, columns
        Whose answers are reviewed, and what they may be.
    token
        A personal access token, or one of the older kind.
    project
        Number of the project; None for one of anew's own.
    hook
        Where it should call; None to be asked from time to time alone.
    personal
        Columns that are not sent there.
    """

    prefix = "label-studio/"

    def __init__(
        self,
        service: OutboundService,
        token: str,
        model: str,
        columns: Columns,
        *,
        project: int | None = None,
        hook: StudioHook | None = None,
        personal: Collection[str] = (),
    ) -> None:
        self._personal = frozenset(personal)
        self._service = service
        self._token = token
        self._model = model
        self._columns = columns
        self._project = project
        self._hook = hook
        self._headers: Mapping[str, str] = {}
        self._target = ""
        self._since: datetime | None = None
        self._whole: datetime | None = None

    def prepare(self) -> None:
        """See that there is a project with a control to answer by, and that it calls."""
        if not self._target:
            with _understood():
                self._prepare()

    def _prepare(self) -> None:
        found = self._found()
        control = (found.get("parsed_label_config") or {}).get(CONTROL) or {}
        kind = "Choices" if self._columns.task.classifies else "Number"
        lacking = {str(each) for each in self._columns.classes} - set(control.get("labels") or ())
        if control.get("type") != kind or lacking or not control.get("to_name"):
            raise SettingsError(
                f"project {found['id']} of Label Studio has no <{kind} name={CONTROL!r}> that offers every class "
                f"({', '.join(map(str, self._columns.classes)) or 'a number'}); its configuration could be "
                + label_config(self._columns)
            )
        self._project = int(found["id"])
        self._see_to_hook()
        self._target = str(control["to_name"][0])

    def changed(self) -> Reading:
        """Return what changed since the reading before."""
        with _understood():
            return self._changed()

    def _changed(self) -> Reading:
        found, newest, page = list[PlacedTask](), self._since, 1
        whole = self._since is None or self._whole is None or self._since - self._whole > _WHOLE
        stop = None if whole or self._since is None else self._since - _SLACK
        while True:
            tasks = self._page(page)
            for task in tasks:
                at = datetime.fromisoformat(task["updated_at"])
                newest = at if newest is None else max(newest, at)
                if stop is not None and at < stop:
                    break
                item = task["data"].get("item")
                if isinstance(item, str):
                    found.append(PlacedTask(task=int(task["id"]), item=item, votes=self._votes(task)))
            else:
                if len(tasks) == _PAGE:
                    page += 1
                    continue
            break
        self._since, self._whole = newest, newest if whole else self._whole
        return Reading(tasks=found, whole=whole)

    def place(self, tasks: Sequence[Placement]) -> Mapping[str, int]:
        """Make tasks, each with what the model said."""
        body = [self._task(each) for each in tasks]
        with _understood():
            made = self._ask("POST", f"/api/projects/{self._project}/import", body, return_task_ids="true")
            return {each.item: int(id) for each, id in zip(tasks, made["task_ids"], strict=True)}

    def widen(self, task: int, people: int) -> None:
        """Have so many people asked."""
        self._ask("PATCH", f"/api/tasks/{task}/", {"overlap": people})

    def remove(self, task: int) -> None:
        """Delete a task; one that is gone is no mistake."""
        try:
            self._ask("DELETE", f"/api/tasks/{task}/")
        except RefusedStatusError as exc:
            if exc.status != 404:
                raise

    # the project

    def _found(self) -> Any:
        if self._project is not None:
            return self._ask("GET", f"/api/projects/{self._project}/")
        title = _title(self._model)
        listed = self._ask("GET", "/api/projects/", title=title, page_size="100")["results"]
        for each in listed:
            if each["title"] == title:
                return self._ask("GET", f"/api/projects/{each['id']}/")
        return self._ask(
            "POST",
            "/api/projects/",
            {
                "title": title,
                "label_config": label_config(self._columns),
                "show_collab_predictions": True,
                "enable_empty_annotation": False,
            },
        )

    def _see_to_hook(self) -> None:
        if self._hook is None:
            return
        wanted = {
            "url": self._hook.url,
            "headers": {SECRET_HEADER: self._hook.secret},
            "send_payload": False,  # anew looks for itself
            "send_for_all_actions": False,
            "is_active": True,
        }
        for each in self._ask("GET", "/api/webhooks/", project=str(self._project)):
            if each["url"] == self._hook.url:
                same = wanted.items() <= each.items() and set(_ACTIONS) <= set(each["actions"])
                if not same:
                    self._ask("PATCH", f"/api/webhooks/{each['id']}/", {**wanted, "actions": list(_ACTIONS)})
                return
        self._ask("POST", "/api/webhooks/", {**wanted, "project": self._project, "actions": list(_ACTIONS)})

    # tasks and answers

    def _page(self, number: int) -> Sequence[Any]:
        query = json.dumps({"ordering": ["-tasks:updated_at"]})
        asked = {"project": str(self._project), "fields": "all", "page": str(number), "page_size": str(_PAGE)}
        try:
            tasks: Sequence[Any] = self._ask("GET", "/api/tasks/", query=query, **asked)["tasks"]
        except RefusedStatusError as exc:
            if exc.status == 404 and number > 1:  # a page beyond the last
                return []
            raise
        return tasks

    def _task(self, placement: Placement) -> Mapping[str, Any]:
        data = {"item": placement.item, "at": placement.at.isoformat(), "row": self._row(placement)}
        if placement.answer is None:
            return {"data": data}
        answer = placement.answer
        value = {"choices": [str(answer)]} if self._columns.task.classifies else {"number": answer}
        kind = next(iter(value))
        result = {"from_name": CONTROL, "to_name": self._target, "type": kind, "value": value}
        said: dict[str, Any] = {"model_version": placement.version, "result": [result]}
        if placement.score is not None:
            said["score"] = placement.score
        return {"data": data, "predictions": [said]}

    def _row(self, placement: Placement) -> Mapping[str, Any]:
        return {name: value for name, value in placement.row.items() if name not in self._personal}

    def _votes(self, task: Mapping[str, Any]) -> Mapping[str, LabelValue | None]:
        """Return what each person said last; what cannot be a label is no vote."""
        votes: dict[str, LabelValue | None] = {}
        for each in sorted(task["annotations"], key=lambda each: (each["updated_at"], each["id"])):
            who = f"{self.prefix}{_person(each['completed_by'])}"
            if each["was_cancelled"]:
                votes.setdefault(who, None)
                continue
            value = self._value(each["result"])
            if value is None:
                _LOG.warning("an annotation is no label task=%d annotation=%d", task["id"], each["id"])
                votes.pop(who, None)
            else:
                votes[who] = value
        return votes

    def _value(self, result: Sequence[Any]) -> LabelValue | None:
        said = [each["value"] for each in result if each.get("from_name") == CONTROL]
        if len(said) != 1:
            return None
        if self._columns.task.classifies:
            chosen = said[0].get("choices") or []
            known = {str(each): each for each in self._columns.classes}
            return known.get(chosen[0]) if len(chosen) == 1 else None
        number = said[0].get("number")
        if isinstance(number, bool) or not isinstance(number, int | float) or out_of_reach(number):
            return None
        return float(number)

    # the wire

    def _ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Ask; log in anew, once, when the token that was got for a while is not taken any more."""
        for attempt in range(2):
            if not self._headers:
                self._headers = self._login()
            try:
                return self._service.ask(method, path, self._headers, body, query)
            except RefusedStatusError as exc:
                if exc.status in (401, 403):
                    self._headers = {}
                    if exc.status == 401 and attempt == 0:
                        continue
                    raise SettingsError(
                        "Label Studio refuses the token that the policy names, or may not do it"
                    ) from exc
                raise
        raise UnavailableError("Label Studio takes no token")  # pragma: no cover

    def _login(self) -> Mapping[str, str]:
        """Return the header to ask with; a personal access token is exchanged for one of a few minutes."""
        if self._token.count(".") != 2:
            return {"authorization": f"Token {self._token}"}
        try:
            got = self._service.ask("POST", "/api/token/refresh/", {}, {"refresh": self._token}, {})
        except RefusedStatusError as exc:
            raise SettingsError("Label Studio refuses the personal access token that the policy names") from exc
        return {"authorization": f"Bearer {got['access']}"}


def label_config(columns: Columns) -> str:
    """Return the configuration of a project: the row as a table, and what may be said of it."""
    if columns.task.classifies:
        choices = "".join(f"<Choice value={quoteattr(str(each))}/>" for each in columns.classes)
        control = f'<Choices name="{CONTROL}" toName="row" choice="single" required="true">{choices}</Choices>'
    else:
        control = f'<Number name="{CONTROL}" toName="row" required="true"/>'
    header = quoteattr(f"What is {columns.target}?")
    return (
        f'<View><Header value={header}/><Text name="at" value="$at"/><Table name="row" value="$row"/>{control}</View>'
    )


@contextmanager
def _understood() -> Iterator[None]:
    """Take what makes no sense for no answer."""
    try:
        yield
    except AnewError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
        raise UnavailableError(f"Label Studio answered something else than was asked for ({exc!r})") from exc


def _title(model: str) -> str:
    title = f"anew {model}"
    if len(title) <= _TITLE:
        return title
    return f"{title[: _TITLE - 9]} {hashlib.sha256(model.encode()).hexdigest()[:8]}"


def _person(given: Any) -> int:
    """Return the number of who answered: servers say it, or more about them."""
    return int(given["id"] if isinstance(given, Mapping) else given)
