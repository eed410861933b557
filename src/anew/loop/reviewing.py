"""People's review in the loop: what they are asked about, what their votes come to, and the labels that follow."""

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Value
from anew.domain.errors import InvariantError
from anew.domain.facts import LabellerWeighed, ReviewQueued, ReviewReopened, ReviewSettled
from anew.domain.interval import Interval
from anew.domain.observation import REVIEWED, Label
from anew.feedback import FeedbackState
from anew.feedback.choice import Chosen, choose, disagreeing, quota, unsure
from anew.feedback.vote import Vote, decide_votes, vote_weight
from anew.loop.observer_plan import ObserverPlan, Review
from anew.loop.recorder import Recorder
from anew.monitor.ood import OOD
from anew.ports.lake import Lake
from anew.ports.review import Asked, LabelValue, ReviewItem, Word

__all__ = ["Reviewing"]

"""Source of the labels, and the lake's name for the words that are stored; its position is the number of a word."""

_LOG = logging.getLogger("anew.loop")
_DAY = timedelta(days=1)
_EVENTS = ("user", "implicit")
"""Sources whose word makes no review needless."""


class Reviewing:
    """Turns closed windows into questions, and votes into labels. What it did is in the store, the lake and the record.

    Killed anywhere, it goes on: a question is added once for each prediction, a word is stored once by its number, and
    a fact that was submitted before changes nothing.
    """

    def __init__(self, plan: ObserverPlan, review: Review, recorder: Recorder, lake: Lake) -> None:
        self._plan = plan
        self._review = review
        self._recorder = recorder
        self._lake = lake
        self._heard = -1
        self._weights: dict[str, float] = {}
        self._people: Mapping[str, str] = {}

    def turn(self, now: datetime, wall: datetime) -> None:
        """Do what has become ripe at event time `now`."""
        self._choose(now)
        newest = self._review.store.last_vote()
        if newest != self._heard or any(self._review.person(each) != who for each, who in self._people.items()):
            self._count(now, wall)
            self._heard = newest
        self._say(now)

    # questions

    def _choose(self, now: datetime) -> None:
        state: FeedbackState = self._recorder.state("feedback")
        store = self._review.store
        if state.closed is not None and state.served is not None:
            since = store.reached() or max(state.served, state.closed - _DAY)
            if since < state.closed:
                self._ask(Interval(start=since, end=state.closed))
        for window, items in groupby(store.untold(), key=lambda item: item.window):
            told = tuple((item.prediction, item.reason, item.propensity) for item in items)
            self._recorder.submit(ReviewQueued(model=self._plan.model, at=now, since=window, items=told))
            store.told(window)

    def _ask(self, span: Interval) -> None:
        rows = self._unlabelled(span)
        chosen = self._chosen(rows, quota(self._review.rule, span)) if rows.height else []
        known = self._known(span) if chosen else []
        self._review.store.add([*self._items(rows, chosen, span), *known], reached=span.end)
        self._review.store.forget(before=span.end - self._review.keep)

    def _unlabelled(self, span: Interval) -> pl.DataFrame:
        rows, labels = self._lake.predictions(span), self._lake.labels(span)
        said = labels.filter(~pl.col("_source").is_in(_EVENTS)).get_column("_prediction")
        return rows.filter(~pl.col("_id").is_in(said.implode()))

    def _chosen(self, rows: pl.DataFrame, most: int) -> Sequence[Chosen]:
        rule, pools = self._review.rule, dict[str, npt.NDArray[np.bool_]]()
        if rule.confidence_below is not None:
            pools["confidence"] = unsure(rows, rule.confidence_below)
        if rule.disagreement is not None:
            scale = self._plan.known(self._champion[1]).loss_scale
            pools["disagreement"] = disagreeing(rows, rule.disagreement * scale)
        if rule.ood is not None:
            detector = OOD(share_above=0.5, false_share=rule.ood)
            try:
                pools["ood"] = detector.strange(rows, self._plan.known(self._champion[1]).yardstick)
            except InvariantError as exc:  # e.g. a version that was trained before anybody asked for strange rows
                _LOG.warning("no strange rows are reviewed version=%s problem=%s", self._champion[0], exc)
        return choose(rows.get_column("_id").to_list(), pools, most, rule.random)

    @property
    def _champion(self) -> tuple[str, str]:
        champion: tuple[str, str] = self._recorder.state("rollout").champion
        return champion

    def _items(self, rows: pl.DataFrame, chosen: Sequence[Chosen], span: Interval) -> Iterator[ReviewItem]:
        by_id = {each.prediction: each for each in chosen}
        for row in rows.filter(pl.col("_id").is_in(list(by_id))).iter_rows(named=True):
            one = by_id[row["_id"]]
            yield ReviewItem(
                prediction=one.prediction,
                at=row["_at"],
                key=row["_key"],
                row=self._shown(row),
                reason=one.reason,
                propensity=one.propensity,
                window=span.start,
                needed=2 if _lot(one.prediction) < self._review.rule.double else 1,
                **_said(row),
            )

    def _shown(self, row: Mapping[str, Any]) -> dict[str, Value]:
        return {name: row[name] for name in self._plan.columns.names if name not in self._review.hidden}

    def _known(self, span: Interval) -> list[ReviewItem]:
        """Return answers whose labels are the word of a trusted source: questions that weigh labellers."""
        rule, delay = self._review.rule, self._plan.label_delay
        if not rule.gold_sources:
            return []
        mature = Interval(start=span.start - delay - _DAY, end=span.end - delay)
        labels = self._lake.labels(mature).filter(pl.col("_source").is_in(rule.gold_sources))
        truths = labels.select("_prediction", "_value")
        rows = self._lake.predictions(mature).join(truths, left_on="_id", right_on="_prediction")
        most = math.ceil(rule.gold_share * rule.per_day)
        found = sorted(rows.iter_rows(named=True), key=lambda row: _lot(row["_id"]))[:most]
        return [
            ReviewItem(
                prediction=row["_id"],
                at=row["_at"],
                key=row["_key"],
                row=self._shown(row),
                reason="gold",
                propensity=min(1.0, most / rows.height),
                window=span.start,
                truth=row["_value"],
                **_said(row),
            )
            for row in found
        ]

    # votes

    def _count(self, now: datetime, wall: datetime) -> None:
        """Weigh labellers, settle what their votes come to, and open again what was settled by those who failed."""
        before, store = self._people, self._review.store
        self._people = {each: self._review.person(each) for each in store.labellers()}
        turned = self._weigh(now)
        number, retold = store.retold()
        other = {each for each, who in self._people.items() if who in turned or before.get(each, each) != who}
        for asked in store.voted(other, retold):
            self._settle(asked, wall)
        if number:
            store.counted(number)

    def _weigh(self, now: datetime) -> frozenset[str]:
        """Return the people whose weight came from nothing or went to nothing."""
        turned = set[str]()
        classes, answers = len(self._plan.columns.classes), dict[str, list[tuple[LabelValue, LabelValue]]]()
        for name, found in self._review.store.gold().items():
            answers.setdefault(self._people[name], []).extend(found)
        for labeller, said in answers.items():
            right = sum(_agrees(one, truth, self._review.within) for one, truth in said)
            weight = vote_weight(right, len(said), self._review.gold, classes)
            before = self._weights.get(labeller)
            if (weight > 0) != (before is None or before > 0):
                turned.add(labeller)
            self._weights[labeller] = weight
            fact = LabellerWeighed(
                model=self._plan.model, at=now, labeller=labeller, right=right, asked=len(said), trusted=weight > 0
            )
            self._recorder.submit(fact)
        return frozenset(turned)

    def _settle(self, asked: Asked, wall: datetime) -> None:
        unknown = vote_weight(0, 0, self._review.gold, len(self._plan.columns.classes))
        said = dict[str, LabelValue]()
        for name, value in asked.votes:  # one vote for each person, whatever they came in as: the last one
            said.pop(self._people[name], None)
            said[self._people[name]] = value
        weights = {labeller: self._weights.get(labeller, unknown) for labeller in said}
        votes = [Vote(labeller=labeller, value=value) for labeller, value in said.items()]
        decided = decide_votes(votes, weights, asked.item.needed, within=self._review.within)
        if decided is None:
            failed = [labeller for labeller, weight in weights.items() if not weight]
            more = max(1, asked.item.needed - len(votes) + len(failed))
            self._review.store.want(asked.id, len(asked.votes) + more)
            if asked.settled is not None:
                self._review.store.settle(asked.id, None, wall, failed, agreed=False)
        elif decided.value != asked.settled:
            self._review.store.settle(asked.id, decided.value, wall, decided.by, agreed=decided.agreed)

    # labels

    def _say(self, now: datetime) -> None:
        """Put on record that something was said, but not what, and then store it: what is stored is on record."""
        words = self._review.store.words(self._lake.drained(REVIEWED))
        for word in words:
            self._recorder.submit(self._fact(word, now))
        if words:
            self._lake.append(REVIEWED, words[-1].number, [self._label(word) for word in words])
            self._review.store.stored(words[-1].number)

    def _fact(self, word: Word, now: datetime) -> ReviewSettled | ReviewReopened:
        if word.value is None:
            return ReviewReopened(
                model=self._plan.model, at=now, prediction=word.prediction, revision=word.revision, by=word.by
            )
        return ReviewSettled(
            model=self._plan.model,
            at=now,
            prediction=word.prediction,
            revision=word.revision,
            by=word.by,
            agreed=word.agreed,
        )

    def _label(self, word: Word) -> Label:
        return Label(
            id=f"{REVIEWED}/{word.prediction}/{word.revision}",
            model=self._plan.model,
            prediction=word.prediction,
            at=word.at,
            received_at=word.said_at,
            value=word.value,
            source=REVIEWED,
            revision=word.revision,
        )


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model answered to a row: as it is shown where answers come with the questions."""
    return {"answer": row["_output"], "score": max(row["_proba"] or (), default=None), "version": row["_version"]}


def _agrees(one: float | str, truth: float | str, within: float) -> bool:
    if isinstance(one, str) or isinstance(truth, str):
        return str(one) == str(truth)
    return abs(one - truth) <= within


def _lot(id: str) -> float:
    """Return a number in [0, 1) that is the id's own."""
    return int(hashlib.sha256(f"double/{id}".encode()).hexdigest()[:12], 16) / 16**12
