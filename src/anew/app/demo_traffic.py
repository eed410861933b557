"""The demo's users: a real stream sent over HTTP, its labels a day late, event time as far as it is told."""

import threading
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
import polars as pl

__all__ = ["DemoTraffic"]

_DAY = timedelta(days=1)


class DemoTraffic(threading.Thread):
    """Sends the rows of `frame` day by day, and each day's labels with the day after.

    Attributes
    ----------
    granted
        How many days may be sent in all; more are not, until it is raised.
    day
        The day that was sent last.
    outputs
        What was answered, by row number.
    acknowledged
        Predictions and labels that the gateway acknowledged.
    failures
        Requests that it refused or that got no answer, with what came instead.
    """

    def __init__(self, url: str, frame: pl.DataFrame, columns: Sequence[str]) -> None:
        super().__init__(name="demo-traffic", daemon=True)
        self._url = url
        self._rows = (
            frame.select("ts", *columns).with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_dicts()
        )
        self._labels: list[float] = frame.get_column("target").to_list()
        self._days = _days(frame)
        self._halt = threading.Event()
        self._late: list[tuple[str, int]] = []
        self.granted = 0
        self.day: datetime | None = None
        self.sent_days = 0
        self.outputs: dict[int, float] = {}
        self.versions: dict[int, str] = {}
        self.acknowledged = {"predictions": 0, "labels": 0}
        self.failures: list[str] = []

    @property
    def days(self) -> int:
        """How many days there are in all."""
        return len(self._days)

    @property
    def ended(self) -> bool:
        """Has every day been sent?"""
        return self.sent_days == len(self._days)

    def days_within(self, rows: int) -> int:
        """Return how many whole days the first `rows` rows are."""
        return bisect_right(self._days, rows, key=lambda day: day[1].stop)

    def ready(self) -> bool:
        """Is the first champion served?"""
        try:
            return httpx.get(f"{self._url}/ready", timeout=5.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Send nothing more."""
        self._halt.set()

    def run(self) -> None:
        """Send day after day until the stream or the demo ends."""
        with httpx.Client(base_url=self._url, timeout=30.0) as client:
            for day, rows in self._days:
                while not self._halt.is_set() and self.sent_days >= self.granted:
                    time.sleep(0.005)
                if self._halt.is_set():
                    return
                self._send(client, rows)
                self.day = day
                self.sent_days += 1
            if self._late:
                self._label(client, self._rows[-1]["ts"])

    def _send(self, client: httpx.Client, rows: range) -> None:
        """Send a day's rows; the labels of the day before come with them."""
        answer = self._post(client, "/predict", {"rows": [self._rows[i] for i in rows]})
        if self._late:
            self._label(client, self._rows[rows[0]]["ts"])
        if answer is None:
            return
        for i, said in zip(rows, answer["predictions"], strict=True):
            self.outputs[i] = float(said["output"])
            self.versions[i] = str(said["version"])
            self._late.append((said["id"], i))
        self.acknowledged["predictions"] += len(rows)

    def _label(self, client: httpx.Client, at: str) -> None:
        late, self._late = self._late, []
        labels = [{"prediction": id, "value": self._labels[i], "at": at, "source": "demo"} for id, i in late]
        if self._post(client, "/labels", {"labels": labels}) is not None:
            self.acknowledged["labels"] += len(labels)

    def _post(self, client: httpx.Client, path: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            response = client.post(path, json=body)
        except httpx.HTTPError as exc:
            self.failures.append(f"{path} {exc!r}")
            return None
        if response.status_code != httpx.codes.OK:
            self.failures.append(f"{path} {response.status_code} {response.text}")
            return None
        found: Mapping[str, Any] = response.json()
        return found


def _days(frame: pl.DataFrame) -> list[tuple[datetime, range]]:
    """Return each day with the numbers of its rows."""
    at = frame.get_column("ts").to_list()
    days: list[tuple[datetime, range]] = []
    start = 0
    for i in range(1, len(at) + 1):
        if i == len(at) or at[i].date() != at[start].date():
            days.append((at[start], range(start, i)))
            start = i
    return days
