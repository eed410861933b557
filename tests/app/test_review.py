"""Who votes in a name that the review queue has: the same person, whatever way they came in."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.adapters.review_db import ReviewDB
from anew.app.person import access_file, user_file
from anew.app.review import review_of
from anew.app.settings import load
from anew.domain.access import Role
from tests.app.small_project import YAML, write_project

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.fault("L10")
def test_all_ways_in_lead_to_one_person_and_others_stay_themselves(tmp_path: Path) -> None:
    project = write_project(tmp_path / "small", YAML + "feedback: {review: {per_day: 10}}\n")
    state = project / ".anew"
    store = ReviewDB(state / "review.db")
    review = review_of(load(project), store)
    assert review is not None
    ways = ["ann", "account:ann-os", "ann-os", "ann-laptop", "label-studio/3"]
    assert len({review.person(each) for each in ways}) == 4, "the control: nobody has said who they are"
    assert review.person("account:root") == review.person("root") == "root"
    user_file(state).add("ann", Role.LABELLER, now=NOW, account="ann-os")
    user_file(state).link("ann", now=NOW, account="label-studio/3")
    access_file(state).create("ann-laptop", Role.LABELLER, now=NOW, user="ann")
    assert {review.person(each) for each in ways} == {"ann"}
    user_file(state).revoke("ann", now=NOW)
    assert {review.person(each) for each in ways} == {"ann"}, "who is let in no more is nobody else"
    assert review.person("bob") == "bob"
    store.close()
