"""The pages: who may see them, what they promise browsers, and that no name on them is ever more than text."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from starlette.testclient import TestClient

from anew.dashboard.asset import Assets
from anew.dashboard.at_hand import AtHand
from anew.dashboard.place import PLACES
from anew.dashboard.shield import Shield, headers_of
from anew.dashboard.source import Desk, Neighbour, Shift
from anew.dashboard.web import _Web, dashboard_app
from anew.domain.access import Principal
from anew.domain.column import Task, Value
from anew.domain.errors import UnavailableError
from anew.domain.evidence import Counts, Evidence
from anew.domain.facts import (
    AlertRaised,
    Arm,
    CandidateTrained,
    GateJudged,
    RetrainApproved,
    RetrainQueued,
    RetrainRequested,
    RolloutObserved,
    RolloutStarted,
    Stage,
    TrafficApplied,
    TrafficShifted,
    WindowClosed,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.domain.verdict import Verdict
from anew.ports.eventlog import Recorded
from anew.validate import HeldOut
from anew.validate.beats_champion import BETTER, WORSE
from anew.validate.leakage import LEAP, Leakage
from anew.validate.slos import BESIDE
from tests.dashboard.hostile import PAYLOADS
from tests.dashboard.story import AT, DAY, ToldSource, among_others, dashboard_over, story

HTML = {"accept": "text/html"}
HERE = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}


def client(source: ToldSource | None = None) -> TestClient:
    source = source or ToldSource(story("x"), "x")
    return TestClient(dashboard_app(dashboard_over(source)), raise_server_exceptions=False, follow_redirects=False)


def signed_in(source: ToldSource | None = None, role: str = "admin") -> TestClient:
    made = client(source)
    answer = made.post("/sign-in", data={"token": role, "next": "/"}, headers=HERE)
    assert answer.status_code == 303
    return made


def paths(text: str) -> list[str]:
    """Return the path of every page, with `text` in the places of names."""
    return [place.path.replace("{version:path}", f"v2{text}") for place in PLACES]


class _Skeleton(HTMLParser):
    """The elements of a page with the names of their attributes, and the values of those that lead somewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found.append((tag, sorted(name for name, _ in attrs)))


def skeleton(html: str) -> list[object]:
    parser = _Skeleton()
    parser.feed(html)
    return parser.found


@cache
def skeletons(text: str) -> Mapping[str, object]:
    """Return the skeleton of every page of a record that bears `text`; names in paths are written as browsers do."""
    made = client(among_others(text))
    found = {}
    for place in PLACES:
        if "{" in place.path and "%" in text:
            continue  # the test client decodes a path twice; a browser's way to such a page is a system test
        path = place.path.replace("{version:path}", quote(f"v2{text}", safe="/"))
        answer = made.get(path, headers=HTML | {"authorization": "Bearer admin"})
        assert answer.status_code == 200, answer.text
        found[place.name] = skeleton(answer.text)
    return found


@pytest.mark.fault("U2")
def test_every_response_bears_the_headers() -> None:
    made = signed_in()
    answers = [
        *(made.get(path, headers=HTML) for path in paths("x")),
        *(made.get(place.twin.replace("{version:path}", "v2x")) for place in PLACES),
        made.get("/no-such-page", headers=HTML),
        made.get("/static/none.css"),
        made.get("/sign-in"),
        made.post("/rollback", headers=HERE),
        made.post("/rollback"),
        made.get("/", headers={"host": "evil.example"}),
        client().get("/", headers=HTML),
    ]
    assert {each.status_code for each in answers} == {200, 303, 403, 404, 421}
    headers = headers_of(Assets().style_source)
    for answer in answers:
        for name, value in headers.items():
            assert answer.headers[name] == value, answer.url
        assert answer.headers["cache-control"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "data:" not in headers["content-security-policy"]


def test_a_page_holds_its_style_and_what_brings_it_up_to_date_does_not() -> None:
    made = signed_in()
    (style,) = re.findall(r"<style>(.*?)</style>", made.get("/", headers=HTML).text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in made.get("/", headers=HTML).headers["content-security-policy"]
    assert "<style>" not in made.get("/", headers=HTML | {"hx-request": "true"}).text


@pytest.mark.fault("U1")
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_name_is_ever_more_than_text(payload: str) -> None:
    assert len(PAYLOADS) >= 60
    hostile, plain = skeletons(payload), skeletons("x" * 8)
    assert hostile == {name: plain[name] for name in hostile}


def test_an_unescaped_name_would_be_seen() -> None:
    assert skeleton("<p>&lt;b&gt;</p>") == skeleton("<p>x</p>")
    assert skeleton("<p><b></p>") != skeleton("<p>x</p>")
    assert skeleton('<p title="" onclick="x">') != skeleton('<p title="x">')


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_page_has_a_twin_with_the_same_data(place: object) -> None:
    made = signed_in()
    twin = made.get(place.twin.replace("{version:path}", "v2x"))  # type: ignore[attr-defined]  # a Place
    assert twin.status_code == 200
    assert twin.headers["content-type"] == "application/json"
    found = json.loads(twin.content)
    assert found["schema"] == f"anew.page.{place.name}/1"  # type: ignore[attr-defined]  # a Place
    assert found["data"]


def test_models_of_other_projects_are_listed_each_as_far_as_it_lets_somebody_in() -> None:
    made = signed_in(among_others("x"))
    found = json.loads(made.get("/models.json").content)["data"]["models"]
    assert [each["model"] for each in found] == ["m", "m", "closedx"]
    assert [each["address"] for each in found] == ["/", "http://127.0.0.1:1/", ""]
    assert [each["champion"] for each in found] == ["v1x", "v1x", ""]
    assert found[0]["challengers"] == [{"version": "v2x", "stage": "canary", "share": 0.1}]
    assert found[0]["waits"] == ["v3x for a signature"]
    assert (found[2]["problem"], found[2]["health"]["state"]) == ("nobody mayx", "unknown")
    page = made.get("/models", headers=HTML).text
    assert "nothing to be seen" in page and "nobody mayx" in page
    assert '<a href="/models"' in made.get("/", headers=HTML).text
    assert '<a href="/models"' not in signed_in().get("/", headers=HTML).text, "there is only one"


def test_a_retrain_that_waits_for_shared_compute_says_why_until_it_has_its_turn() -> None:
    told = story("x")
    asked = RetrainRequested(
        model="m", at=AT + 30 * DAY, reason="old", triggers=("economic",), severity=Severity.LOW
    ).caused_by("window")
    queued = RetrainQueued(
        model="m", at=asked.at, wall=asked.at, request=asked.id, reason="turn", detail="<b>fraud</b> is before it",
        due=asked.at + DAY, place=3, of=12,
    ).caused_by(asked.id)  # fmt: skip
    waiting = signed_in(ToldSource([*told, asked, queued], "x"))
    assert waiting.get("/models.json").json()["data"]["models"][0]["queued"] == (
        "3 of 12 when it asked: <b>fraud</b> is before it"
    )
    page = waiting.get("/models", headers=HTML).text
    assert "a retrain waits for compute" in page and "<b>fraud" not in page
    approved = RetrainApproved(model="m", at=asked.at, by="policy", request=asked.id).caused_by("turn")
    going = signed_in(ToldSource([*told, asked, queued, approved], "x"))
    assert going.get("/models.json").json()["data"]["models"][0]["queued"] == ""


def test_the_newest_window_is_shown_though_an_older_one_was_scored_again() -> None:
    told = story("x")
    first = next(each for each in told if isinstance(each, WindowScored))
    again = replace(first, at=AT + 30 * DAY, revision=1, labelled=200).caused_by("late labels")
    for given in (told, [*told, again]):
        page = signed_in(ToldSource(given, "x")).get("/loop.json").json()["data"]
        assert (page["labels"]["end"][:10], page["labels"]["labelled"]) == ("2026-03-09", 180)
        assert page["score"][0]["value"] == pytest.approx(0.17)


def test_a_page_whose_record_is_away_asks_again_by_itself() -> None:
    class Away(ToldSource):
        def catalogue(self) -> Path | None:
            raise UnavailableError("its database is away")

    made = signed_in(Away(story("x"), "x"))
    page, twin = made.get("/runs", headers=HTML), made.get("/runs.json")
    assert (page.status_code, page.headers["refresh"]) == (503, "5")
    assert "its database is away" in page.text
    assert (twin.status_code, "refresh" in twin.headers) == (503, False)
    assert "refresh" not in made.get("/nowhere", headers=HTML).headers


def test_another_project_that_breaks_spoils_no_page() -> None:
    class Away(AtHand):
        def after(self, seq: int, most: int) -> Sequence[Recorded]:
            raise UnavailableError(f"its database is away after {seq}, {most} wanted")

    class Broken(ToldSource):
        @contextmanager
        def reading(self) -> Iterator[AtHand]:
            yield Away(self.told)

    beside = (Neighbour(name="broken", source=Broken(story("y")), address=""),)
    made = signed_in(ToldSource(story("x"), "x", beside=beside))
    mine, other = json.loads(made.get("/models.json").content)["data"]["models"]
    assert (mine["champion"], other["problem"]) == ("v1x", "its database is away after 0, 10000 wanted")


def test_a_page_of_a_project_without_a_record_says_so() -> None:
    made = signed_in(ToldSource([]))
    for place in PLACES:
        answer = made.get(place.path.replace("{version:path}", "v9"), headers=HTML)
        assert answer.status_code == (404 if "{" in place.path else 200), answer.text
    assert "No model serves yet" in made.get("/", headers=HTML).text


def test_nobody_sees_anything_without_having_signed_in() -> None:
    made = client()
    assert made.get("/", headers=HTML).headers["location"] == "/sign-in?next=/"
    assert made.get("/loop.json").status_code == 401
    assert made.get("/events").status_code == 401
    assert made.post("/rollback", headers=HERE).status_code == 401
    assert made.post("/sign-in", data={"token": "nobody's"}, headers=HERE).status_code == 401
    made.cookies.set("session", "e30.00")
    assert made.get("/loop.json").status_code == 401


@pytest.mark.parametrize(("role", "status"), [("viewer", 200), ("machine", 403), ("approver", 200)])
def test_a_role_sees_what_it_may(role: str, status: int) -> None:
    assert signed_in(role=role).get("/", headers=HTML).status_code == status
    assert client().get("/loop.json", headers={"authorization": f"Bearer {role}"}).status_code == status


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_who_may_not_operate_finds_no_form_and_could_not_send_it(role: str) -> None:
    source = ToldSource(story("x"), "x")
    made = signed_in(source, role)
    assert 'action="/rollback"' not in made.get("/", headers=HTML).text
    assert made.post("/rollback", data={"form": form_of(signed_in(source))}, headers=HERE).status_code == 403
    assert not source.ordered


def form_of(made: TestClient, path: str = "/", action: str = "/rollback") -> str:
    text = made.get(path, headers=HTML).text
    return text.split(f'action="{action}"')[1].split('name="form" value="')[1].split('"')[0]


@pytest.mark.fault("U5")
def test_a_form_sent_twice_acts_once_and_says_what_came_of_it_both_times() -> None:
    source = ToldSource(story("x"), "x")
    made = signed_in(source, "operator")
    fields = {"form": form_of(made), "version": "v2x", "to": "v1x", "reason": "why"}
    first, second = (made.post("/rollback", data=fields, headers=HERE) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert [(each[0], each[1], each[3]) for each in source.ordered] == [("rollback", "name of operator", "why")]
    assert "ordered by name of operator" in made.get(first.headers["location"], headers=HTML).text


@pytest.mark.fault("U6")
def test_a_form_that_expects_something_else_changes_nothing_and_says_what_differs() -> None:
    source = ToldSource(story("x"), "x", routed=("v9", "v8"))
    made = signed_in(source, "operator")
    answer = made.post("/rollback", data={"form": form_of(made), "version": "v2x", "to": "v1x"}, headers=HERE)
    page = made.get(answer.headers["location"], headers=HTML).text
    assert "Nothing was changed" in page
    assert "it was to go from v2x to v1x, and would go to v8 now" in page
    assert not source.ordered


@pytest.mark.fault("U5")
@pytest.mark.fault("U6")
def test_a_signature_is_for_the_candidate_that_was_shown_and_counts_once() -> None:
    source = ToldSource(story("x"), "x")
    made = signed_in(source, "approver")
    page, act = "/approvals", "/approvals/approve"
    fields = {
        "form": form_of(made, page, act),
        "version": "v3x",
        "digest": "3" * 64,
        "gate": "gatex",
        "reason": "sound",
    }
    answers = [made.post(act, data=fields, headers=HERE) for _ in range(2)]
    assert "signed by name of approver" in made.get(answers[1].headers["location"], headers=HTML).text
    assert source.ordered == [("approve", "name of approver", "gatex", "sound")]
    stale = fields | {"form": form_of(made, page, act), "digest": "4" * 64}
    answer = made.post(act, data=stale, headers=HERE)
    assert "the candidate is another now" in made.get(answer.headers["location"], headers=HTML).text
    assert len(source.ordered) == 1


def test_a_labeller_comes_to_the_question_and_to_nothing_else() -> None:
    source = ToldSource(story("x"), "x")
    made = signed_in(source, "labeller")
    assert made.get("/", headers=HTML).headers["location"] == "/review"
    text = made.get("/review", headers=HTML).text
    assert "Review" in text and "/approvals" not in text and "v1x" not in text
    fields = {"form": form_of(made, "/review", "/review/answer"), "item": "q" * 26, "value": "1"}
    assert made.post("/review/answer", data=fields, headers=HERE).headers["location"] == "/review"
    assert source.judged == {"name of labeller": "1"}
    late = fields | {"form": form_of(signed_in(source, "operator"), "/review", "/review/answer"), "item": "other"}
    assert made.post("/review/answer", data=late, headers=HERE).status_code == 403


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (12.300000190734863, "12.3"),
        (-61.0, "-61"),
        (0.0, "0"),
        (2, "2"),
        (1767225600.25, "1767225600.25"),
        (1.5e-9, "1.5e-09"),
        (1234567.89, "1234567.89"),
        (1234567.875, "1234567.9"),
        (12.3456789, "12.3456789"),
        (9999999.9, "9999999.9"),
        (12_000_000.0, "12000000"),
        (0.10000000149011612, "0.1"),
        (1e300, "1e+300"),
        (None, "missing"),
        ("1.0", "1.0"),
    ],
)
def test_a_row_is_shown_as_people_would_write_it(value: Value, said: str) -> None:
    text = signed_in(ToldSource(story("x"), "x", number=value), "labeller").get("/review", headers=HTML).text
    assert f"<dt>number</dt><dd>{said}</dd>" in text


def test_a_cause_is_found_by_its_link_however_long_the_record_is(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = story("x")
    effect = next(each for each in facts if each.kind == "TrainingPlanned")
    monkeypatch.setattr("anew.dashboard.audit._FAR", 40)
    idle = [replace(story("x")[-1], id=f"{i:026x}") for i in range(200)]
    made = signed_in(ToldSource([*facts, *idle], "x"))
    page = made.get(f"/audit?before={facts.index(effect) + 2}", headers=HTML).text
    (link,) = {each for each in re.findall(r'href="(/audit[?]text=[^"]+)"', page) if effect.cause in each}
    found = made.get(unescape(link), headers=HTML).text
    assert f"<strong>{next(each.kind for each in facts if each.id == effect.cause)}</strong>" in found
    assert "Nothing among the newest" in made.get(f"/audit?text={effect.cause}", headers=HTML).text


def test_a_time_between_midnight_and_one_is_written_whole() -> None:
    class Early(ToldSource):
        def review(self, who: Principal) -> Desk | None:
            found = super().review(who)
            assert found is not None and found.question is not None
            return replace(found, question=replace(found.question, until=AT + timedelta(minutes=22)))

    text = signed_in(Early(story("x"), "x"), "labeller").get("/review", headers=HTML).text
    assert ">00:22</time> UTC" in text
    assert ">1 Mar 2026" in signed_in().get("/", headers=HTML).text, "days are without a zero"


def test_an_answer_that_comes_too_late_says_so() -> None:
    made = signed_in(role="labeller")
    fields = {"form": form_of(made, "/review", "/review/answer"), "item": "other", "value": "1"}
    answer = made.post("/review/answer", data=fields, headers=HERE)
    assert "somebody else&#39;s now" in made.get(answer.headers["location"], headers=HTML).text


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_approve_finds_no_form(role: str) -> None:
    text = signed_in(role=role).get("/approvals", headers=HTML).text
    assert "An approver may sign" in text
    assert 'action="/approvals/approve"' not in text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://testserver"},
        {"sec-fetch-site": "same-origin", "origin": "http://testserver:81"},
    ],
)
def test_a_form_from_elsewhere_is_refused(headers: dict[str, str]) -> None:
    source = ToldSource(story("x"), "x")
    made = signed_in(source)
    assert made.post("/rollback", data={"form": form_of(made)}, headers=headers).status_code == 403
    assert not source.ordered


def test_a_form_is_good_for_its_session_and_its_place_alone() -> None:
    source = ToldSource(story("x"), "x")
    app = dashboard_app(dashboard_over(source))
    ann, bob = (TestClient(app, follow_redirects=False) for _ in range(2))
    for each, role in ((ann, "operator"), (bob, "admin")):
        each.post("/sign-in", data={"token": role}, headers=HERE)
    assert bob.post("/rollback", data={"form": form_of(ann)}, headers=HERE).status_code == 403
    assert ann.post("/rollback", data={"form": form_of(ann, action="/sign-out")}, headers=HERE).status_code == 403
    assert ann.post("/rollback", data={"form": "x.y"}, headers=HERE).status_code == 403
    assert not source.ordered


def test_a_session_ends_when_its_token_does_when_it_is_over_and_when_one_signs_out() -> None:
    source = ToldSource(story("x"), "x")
    made = signed_in(source, "operator")
    assert made.get("/loop.json").status_code == 200
    source.revoked.add("id-operator")
    assert made.get("/loop.json").status_code == 401
    source.revoked.clear()
    began = source.clock
    source.clock = began.replace(year=began.year + 1)
    assert made.get("/loop.json").status_code == 401
    source.clock = began
    cookie = made.cookies["session"]
    assert made.post("/sign-out", data={"form": form_of(made, action="/sign-out")}, headers=HERE).status_code == 303
    made.cookies.set("session", cookie)
    assert made.get("/loop.json").status_code == 401


def test_the_cookie_is_kept_from_scripts_and_from_other_sites() -> None:
    answer = client().post("/sign-in", data={"token": "admin"}, headers=HERE)
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert "admin" not in said.split(";")[0].split(".")[0]


@pytest.mark.parametrize("back", ["//evil.example", "/\\evil.example", "https://evil.example", "/x\r\ny: z", ""])
def test_signing_in_leads_nowhere_else(back: str) -> None:
    answer = client().post("/sign-in", data={"token": "admin", "next": back}, headers=HERE)
    assert answer.headers["location"] == "/"


def test_a_page_hears_what_was_recorded_since_and_reads_a_record_again_that_was_replaced() -> None:
    source = ToldSource(story("x")[:2], "x")
    made = signed_in(source)
    assert made.get("/loop.json").json()["data"]["head"] == 2
    source.told = story("x")
    assert made.get("/loop.json").json()["data"]["champion"]["version"] == "v1x"
    source.told = story("y")[:30]
    assert made.get("/loop.json").json()["data"]["champion"]["version"] == "v1y"


def test_too_much_is_refused() -> None:
    made = signed_in()
    assert made.post("/rollback", content=b"x" * 70_000, headers=HERE).status_code == 413
    assert made.post("/rollback", content=iter([b"x"]), headers=HERE).status_code == 413


def _told_by_leakage() -> tuple[Evidence, ...]:
    label = np.zeros(400)
    ours, theirs = (np.where(np.arange(400) % 10 < share, 1.0, 0.0) for share in (1, 3))
    rows = HeldOut(
        task=Task.REGRESSION, label=label, challenger=label, challenger_loss=ours, champion=label, champion_loss=theirs
    )
    return Leakage().measure(rows)


def test_what_would_change_is_measured_of_both_on_the_same_rows() -> None:
    told = story("x")
    common: dict[str, Any] = {"model": "m", "at": AT, "verdict": Verdict.PASS, "required": True, "reason": ""}
    before = Evidence.of("slos", 0.2, 400, subject="mae at most 2")
    now = Evidence.of("slos", 1.9, 400, subject="mae at most 2", reference=3.1)
    excess = Evidence.of("beats_champion", -0.15, 400, subject="excess loss", reference=0.3)
    for version, gate, evidence in (("v1x", "slos", before), ("v3x", "slos", now), ("v3x", "beats_champion", excess)):
        judged = GateJudged(**common, version=version, gate=gate, evidence=(evidence,))
        told.append(judged.caused_by("trained"))
    found = signed_in(ToldSource(told, "x")).get("/approvals.json").json()["data"]
    assert found["version"] == "v3x"
    measured = [each for each in found["changes"] if ": " in each["what"]]
    assert measured == [{"what": "slos: mae at most 2", "before": "3.1", "after": "1.9"}]


def test_where_candidate_and_champion_disagree_is_shown_and_how_sure_it_may_be() -> None:
    told = story("x")
    empty = signed_in(ToldSource(told, "x")).get("/compare?version=v2x", headers=HTML).text
    assert "live requests that both answered" in empty and "held-out rows:" not in empty
    assert "No gate asks how sure it may be" in empty
    shares = [Evidence.of("beats_champion", share, 400, subject=name) for name, share in ((BETTER, 0.2), (WORSE, 0.05))]
    excess = Evidence.of("beats_champion", -0.15, 400, subject="excess loss", reference=0.3, interval=(-0.2, -0.1))
    sure = Evidence.of("calibration", 0.0625, 400, subject="calibration error", reference=0.09, interval=(0.03, 0.1))
    missed = Evidence.of("slos", 1.9, 400, subject="mae at most 1", reference=3.1)
    beside = Evidence.of("slos", -1.2, 400, subject=f"mae at most 1{BESIDE}", reference=3.1)
    for gate, evidence in (
        ("beats_champion", (excess, *shares)),
        ("calibration", (sure,)),
        ("slos", (missed, beside)),
        ("leakage", _told_by_leakage()),
    ):
        judged = GateJudged(
            model="m",
            at=AT,
            version="v2x",
            gate=gate,
            verdict=Verdict.PASS,
            required=True,
            reason="",
            evidence=evidence,
        )
        told.append(judged.caused_by("trained"))
    made = signed_in(ToldSource(told, "x"))
    found = made.get("/compare.json?version=v2x").json()["data"]
    assert found["held_out"] == {"n": 400, "gain": 0.15, "better": 0.2, "same": pytest.approx(0.75), "worse": 0.05}
    theirs = {each["subject"]: each["reference"] for each in found["measures"] if each["subject"] != "x"}
    assert theirs == {
        "excess loss": None,
        "mae at most 1": 3.1,
        f"mae at most 1{BESIDE}": None,
        "loss": pytest.approx(0.3),
        LEAP: None,
    }, "what the champion has of the same kind, or nothing"
    assert [(each["value"], each["reference"]) for each in found["calibration"]] == [(0.0625, 0.09)]
    page = made.get("/compare?version=v2x", headers=HTML).text
    assert "better on <strong>20 %</strong> and worse on <strong>5 %</strong>" in page and "0.0625" in page


def test_where_candidate_and_champion_disagree_on_every_row_nothing_is_left_over() -> None:
    told, better, worse = story("x"), 534 / 655, 121 / 655
    assert 1.0 - better - worse > 0, "what is left over in floats"
    shares = [Evidence.of("any", share, 655, subject=name) for name, share in ((BETTER, better), (WORSE, worse))]
    judged = GateJudged(
        model="m",
        at=AT,
        version="v2x",
        gate="any",
        verdict=Verdict.PASS,
        required=True,
        reason="",
        evidence=tuple(shares),
    )
    told.append(judged.caused_by("trained"))
    found = signed_in(ToldSource(told, "x")).get("/compare.json?version=v2x").json()["data"]
    assert found["held_out"]["same"] == 0


def test_columns_are_ranked_by_what_their_shift_would_cost() -> None:
    class Costly(ToldSource):
        def shifts(self, window: WindowClosed, digest: str) -> Sequence[Shift]:
            shift = Shift(
                column="", kind="numeric", psi=0.0, p_value=None, ks=None, bars=super().shifts(window, digest)[0].bars
            )
            told = (
                ("far", 0.9, 0.001), ("idle", 0.4, 0.0), ("less", 0.1, -0.05), ("more", 0.2, 0.02), ("new", 0.5, None)
            )  # fmt: skip
            return [replace(shift, column=name, psi=psi, effect=cost, held=300) for name, psi, cost in told]

    made = signed_in(Costly(story("x"), "x"))
    shifts = made.get("/data.json").json()["data"]["shifts"]
    assert [each["column"] for each in shifts] == ["less", "more", "far", "idle", "new"]
    page = made.get("/data", headers=HTML).text
    assert re.search(r'>idle</a></th><td class="num">0</td><td class="num">0.4</td>', page), "zero without a sign"
    assert "by what their shift would cost" in page and "300 newest rows" in page and "\N{MINUS SIGN}0.05" in page
    without = signed_in().get("/data", headers=HTML).text
    assert "by how far they moved" in without and "stored without where it errs" in without


def test_what_the_window_before_found_is_not_told_of_the_last() -> None:
    told = story("x", days=2)
    found = [each for each in told if isinstance(each, AlertRaised)]
    before = replace(found[0], detector="slo", message="of before").caused_by("scored late")
    alerts = signed_in(ToldSource([*told, before], "x")).get("/data.json").json()["data"]["alerts"]
    assert [each["message"] for each in alerts] == [found[-1].message]


def test_every_arm_of_a_trial_is_shown_with_what_was_seen_of_it() -> None:
    told = story("x")[:-3]
    arms = (
        Arm(version="v2x", digest="2" * 64, share=0.25),
        Arm(version="v3x", digest="3" * 64, low=0.25, share=0.2),
    )
    at = AT + 20 * DAY
    told.append(RolloutStarted(model="m", at=at, version="v3x", digest="3" * 64, champion="v1x").caused_by("join"))
    shift = TrafficShifted(
        model="m", at=at, epoch=3, stage=Stage.AB, share=0.25, champion=("v1x", "1" * 64),
        challenger=arms[0].pair, arms=arms, trial="v2x",
    )  # fmt: skip
    told.append(shift.caused_by("join"))
    told.append(TrafficApplied(model="m", at=at, cause=shift.caused_by("join").id, epoch=3, workers=1).caused_by("in"))
    young = signed_in(ToldSource(told, "x"))
    for path in ("/rollout", "/"):
        assert "All arms of the trial" in young.get(path, headers=HTML).text, "v3x was not looked at yet"
    for arm, wrong in zip(arms, (20, 5), strict=True):
        look = RolloutObserved(
            model="m", at=at + DAY, version=arm.version, stage=Stage.AB, look=1, span=Interval(start=at, end=at + DAY),
            paired_down=Counts(low=-1.0, high=1.0, counts=(0, 0, 0)),
            paired_up=Counts(low=-1.0, high=1.0, counts=(0, 0, 0)),
            champion_loss=Counts(low=0.0, high=1.0, counts=(180, 20)),
            challenger_loss=Counts(low=0.0, high=1.0, counts=(180 - wrong, wrong)),
        )  # fmt: skip
        told.append(look.caused_by("look"))
    made = signed_in(ToldSource(told, "x"))
    page = made.get("/rollout", headers=HTML).text
    assert "All arms of the trial" in page
    assert "beside v1x, on trial, since" in page
    for shown in ("v2x", "v3x", "Undecided"):
        assert shown in page
    twin = made.get("/rollout.json").json()["data"]
    for path in ("/rollout", "/"):
        shown = unescape(made.get(path, headers=HTML).text)
        assert "Takes v2x, v3x off traffic; v1x serves on. Each is quarantined until somebody releases it." in shown
        assert "Roll back from v2x, v3x to v1x" in shown
    assert "Hold v2x, v3x" in unescape(made.get("/rollout", headers=HTML).text)
    assert [(each["version"], each["labels"]) for each in (twin["probation"], *twin["rivals"])] == [
        ("v2x", 180),
        ("v3x", 180),
    ]
    assert [each["looks"][-1]["n"] for each in (twin["probation"], *twin["rivals"])] == [180, 180]
    loop = made.get("/loop.json").json()["data"]
    assert [each["version"] for each in (loop["probation"], *loop["rivals"])] == ["v2x", "v3x"]
    assert [(each["version"], len(each["gates"])) for each in loop["origins"]] == [("v2x", 2), ("v3x", 2)]
    assert [said.split()[0] for said in loop["ahead"] if "stays in its trial" in said] == ["v2x", "v3x"]
    shown = made.get("/", headers=HTML).text
    assert shown.count("All arms of the trial") == 1 and "Why v2x" in shown and "Why v3x" in shown
    (line,) = made.get("/models.json").json()["data"]["models"]
    assert [(each["version"], each["stage"], each["share"]) for each in line["challengers"]] == [
        ("v2x", "ab", 0.25),
        ("v3x", "ab", 0.2),
    ]
    assert "v3x" in made.get("/models", headers=HTML).text


def test_a_version_of_two_models_says_how_much_of_it_the_second_is() -> None:
    facts = story("x")
    versions = [fact.version for fact in facts if isinstance(fact, CandidateTrained) and fact.blend is not None]
    assert versions
    made = signed_in()
    page = made.get(f"/runs/{versions[0]}").text
    assert "<h3>Second model</h3>" in page
    assert "36 %" in page
    assert "340 rows of another span" in page
    (other,) = [fact.version for fact in facts if isinstance(fact, CandidateTrained) and fact.blend is None][:1]
    assert "Second model" not in made.get(f"/runs/{other}").text


def test_a_page_that_asks_again_by_itself_hears_no_news_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.dashboard.records._AT_ONCE", 5)
    monkeypatch.setattr("anew.dashboard.web._PATIENCE_S", 0.0)
    made = signed_in()
    answer = made.get("/", headers=HTML)
    assert (answer.status_code, answer.headers["refresh"]) == (503, "5")
    assert not [each for each in ("data-live", "<script", "hx-get") if each in answer.text]
    assert "Sign out" in answer.text


def test_whoever_waits_for_a_page_waits_no_longer_than_patience_and_orders_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = ToldSource(story("x"), "x")
    web = _Web(dashboard_over(source))
    made = TestClient(Shield(web.app(), {"testserver"}), follow_redirects=False)
    assert made.post("/sign-in", data={"token": "admin", "next": "/"}, headers=HERE).status_code == 303
    form = form_of(made)
    with web._lock:  # a page that takes long
        monkeypatch.setattr("anew.dashboard.web._PATIENCE_S", 0.1)
        assert made.get("/", headers=HTML).status_code == 503
        assert made.post("/rollback", data={"form": form, "reason": "harm"}, headers=HERE).status_code == 303


def test_what_is_on_record_is_heard_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.dashboard.records._AT_ONCE", 5)
    monkeypatch.setattr("anew.dashboard.web._TURN_S", 0.0)
    monkeypatch.setattr("anew.dashboard.web._PAUSE_S", 0.0)
    facts = story("x")
    web = _Web(dashboard_over(ToldSource(facts, "x")))
    web.read_ahead()
    assert web._read(lambda record: record.head, 0.0) == len(facts)


def test_an_order_is_taken_however_many_wait_for_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.dashboard.web._PATIENCE_S", 60.0)
    web = _Web(dashboard_over(ToldSource(story("x"), "x")))
    with TestClient(Shield(web.app(), {"testserver"}), follow_redirects=False) as made, ThreadPoolExecutor(60) as many:
        made.post("/sign-in", data={"token": "admin", "next": "/"}, headers=HERE)
        form = form_of(made)
        with web._lock:
            waiting = [many.submit(made.get, "/loop.json") for _ in range(50)]
            told = many.submit(made.post, "/rollback", data={"form": form, "reason": "harm"}, headers=HERE)
            assert told.result(timeout=30).status_code == 303
            assert [each.result().status_code for each in waiting if each.done()] == []
        assert {each.result(timeout=60).status_code for each in waiting} == {200}
