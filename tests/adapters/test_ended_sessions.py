"""Sessions that have ended: still so after a restart, and all of them when it is not known any more which."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anew.adapters.ended_sessions import EndedSessions
from anew.dashboard.entrance import Vouched
from anew.dashboard.session import Sessions
from anew.domain.access import Principal, Role
from anew.domain.errors import IntegrityError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN = Principal(id="a", name="ann", role=Role.VIEWER)


def book(path: Path, now: datetime = NOW) -> EndedSessions:
    return EndedSessions(path / "access" / "ended.json", lambda: now)


def sessions(path: Path, now: datetime = NOW) -> Sessions:
    return Sessions(b"k" * 32, lambda _: ANN, lambda: now, book(path, now))


def _delete(file: Path) -> None:
    file.unlink()


def _empty(file: Path) -> None:
    file.write_text("")


def _open(file: Path) -> None:
    file.chmod(0o644)


@pytest.mark.fault("H8")
@pytest.mark.parametrize("spoil", [_delete, _empty, _open])
def test_whatever_becomes_of_the_file_no_session_that_was_ended_comes_back(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    cookie, other = sessions(tmp_path).open(ANN), sessions(tmp_path).open(ANN)
    ended = sessions(tmp_path).find(cookie)
    assert ended is not None
    sessions(tmp_path).end(ended)
    assert sessions(tmp_path).find(cookie) is None
    assert sessions(tmp_path).find(other) is not None, "the control: another one is good"
    spoil(tmp_path / "access" / "ended.json")
    for each in (cookie, other):
        try:
            assert sessions(tmp_path).find(each) is None
        except IntegrityError:
            assert spoil is not _delete
    if spoil is _delete:
        again = sessions(tmp_path).open(ANN)
        assert sessions(tmp_path).find(again) is not None
        assert sessions(tmp_path).find(cookie) is None


def test_a_file_of_before_keeps_what_it_says_and_a_cookie_of_before_is_over(tmp_path: Path) -> None:
    (tmp_path / "access").mkdir()
    file = tmp_path / "access" / "ended.json"
    file.write_text(json.dumps({"schema": 1, "ended": {"n": (NOW + timedelta(hours=1)).timestamp()}}))
    file.chmod(0o600)
    assert book(tmp_path).is_over("n", (), NOW)
    cookie = sessions(tmp_path).open(ANN)
    book(tmp_path).add("m", NOW + timedelta(hours=1))
    assert json.loads(file.read_text())["schema"] == 2
    assert sessions(tmp_path).find(cookie) is not None
    file.unlink()
    assert sessions(tmp_path).find(cookie) is None


def test_a_tie_is_cut_up_to_a_time_and_forgotten_after_the_longest_session(tmp_path: Path) -> None:
    def opened(at: datetime) -> str:
        return sessions(tmp_path).open(ANN, timedelta(hours=8), Vouched(who=ANN, at=at, ties=("t", "u")))

    early, late = opened(NOW), opened(NOW + timedelta(seconds=1))
    sessions(tmp_path).cut(NOW, ("u", "none of these"))
    assert sessions(tmp_path).find(early) is None
    assert sessions(tmp_path).find(late) is not None
    sessions(tmp_path).cut(NOW - timedelta(hours=1), ("u",))
    assert sessions(tmp_path).find(early) is None, "a word of before takes nothing back"
    afterwards = NOW + timedelta(hours=13)
    book(tmp_path, afterwards).add("n", afterwards + timedelta(hours=1))
    held = json.loads((tmp_path / "access" / "ended.json").read_text())
    assert (list(held["ended"]), held["cut"]) == (["n"], {})


@pytest.mark.fault("V3")
@pytest.mark.parametrize(
    "text",
    ['{"schema": 2, "era": "1", "ended": NaN}', '{"schema": 2, "era": "1", "ended": {}, "cut": 1}', "[]", "[" * 9_999],
)
def test_a_file_that_holds_something_else_is_refused_in_words_of_ours(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ended.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(IntegrityError, match=r"holds no .* restore it from a copy"):
        EndedSessions(file, lambda: NOW).is_over("a", ("b",), NOW)
