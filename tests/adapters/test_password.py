"""Passwords: kept as Argon2id, of any script, told apart in as long a time for everybody."""

import time
import unicodedata
from threading import Thread

import pytest
from argon2 import extract_parameters

from anew.adapters import password as adapter
from anew.adapters.password import check_password, hash_password
from anew.domain.errors import PolicyError, UnavailableError

GOOD = "correct horse battery"


def test_a_password_is_kept_as_a_salted_slow_hash_and_known_again() -> None:
    kept, again = hash_password(GOOD), hash_password(GOOD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert kept != again, "a salt of its own each time"
    assert GOOD not in kept
    assert check_password(kept, GOOD)
    assert not check_password(kept, GOOD + "x")
    assert not check_password(kept, "")
    assert not check_password("", GOOD)
    assert not check_password("no hash", GOOD)


def test_a_password_is_the_same_however_its_signs_were_composed() -> None:
    assert check_password(hash_password("pässword länger"), "pa\u0308ssword la\u0308nger")


@pytest.mark.parametrize("sign", ["\u00e4", "\u1f82", "\ud55c", "\u1e69"])
def test_a_password_as_long_as_may_be_is_known_again_when_its_signs_come_in_parts(sign: str) -> None:
    apart = unicodedata.normalize("NFD", sign * 128)
    assert 256 <= len(apart) <= 512
    kept = hash_password(apart)
    assert check_password(kept, apart)
    assert check_password(kept, sign * 128)
    assert not check_password(kept, apart + unicodedata.normalize("NFD", sign))
    with pytest.raises(PolicyError, match="12 to 128 characters"):
        hash_password(apart + unicodedata.normalize("NFD", sign))


def test_no_sign_is_made_of_more_than_four() -> None:
    signs = map(chr, range(0x110000))
    assert (
        max(len(unicodedata.normalize("NFD", each)) for each in signs if unicodedata.is_normalized("NFKC", each)) == 4
    )


@pytest.mark.parametrize("text", ["", "short", "x" * 11, "x" * 129])
def test_what_is_too_short_or_too_long_is_none(text: str) -> None:
    with pytest.raises(PolicyError, match="12 to 128 characters"):
        hash_password(text)


def test_a_very_long_one_is_no_work() -> None:
    kept = hash_password("x" * 128)
    assert not check_password(kept, "x" * 1_000_000)


def test_nobody_s_hash_is_one_like_anybody_s() -> None:
    assert extract_parameters(adapter._NOBODY) == extract_parameters(hash_password(GOOD))


def test_no_password_is_nobody_s() -> None:
    for text in ("", "nobody's", "nobody's, and long enough", "x" * 129, "x" * 1_000_000):
        assert not check_password("", text)
        assert not check_password(adapter._NOBODY, text)


@pytest.mark.fault("H8")
def test_nobody_s_name_takes_as_long_as_somebody_s() -> None:
    """By the CPU time of hashing, which is all that differs; a planted short cut is a hundred times quicker."""
    kept = hash_password(GOOD)

    def cost(of: str) -> float:
        began = time.process_time()
        for _ in range(3):
            check_password(of, "wrong, and long enough")
        return time.process_time() - began

    known, unknown = min(cost(kept) for _ in range(2)), min(cost("") for _ in range(2))
    assert unknown > known / 3
    assert known > 0.02, "the control: it is work"


def test_many_at_once_take_no_more_memory_than_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_PATIENCE_S", 0.01)
    taken = [adapter._AT_ONCE.acquire() for _ in range(2)]
    refused: list[str] = []

    def ask() -> None:
        try:
            check_password("", GOOD)
        except UnavailableError as exc:
            refused.append(str(exc))

    threads = [Thread(target=ask) for _ in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for _ in taken:
        adapter._AT_ONCE.release()
    assert len(refused) == 5
    assert not check_password("", GOOD)
