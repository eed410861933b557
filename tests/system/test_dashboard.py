"""The dashboard in real Chromium: nothing runs that should not, nothing is hidden, nothing stale looks fresh."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as TooLateError

from anew.dashboard.place import PLACES
from anew.domain.fact import Fact
from anew.domain.facts import Stage, Ticked, TrafficShifted
from tests.dashboard.hostile import PAYLOADS
from tests.dashboard.story import AT, ToldSource, story
from tests.system.browsed import Served, browser, served, visiting

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

AXE = (Path(__file__).parents[1] / "dashboard" / "vendor" / "axe.min.js").read_text("utf-8")
_CHUNKS = 6
"""Names that hold the corpus between them: each payload by itself is a unit test's."""
EDGES = """() => {
  const drawn = (what, of) => [...document.querySelectorAll(what)].map((each) => getComputedStyle(each)[of]);
  const own = getComputedStyle(document.body).color;
  const edges = drawn(".badge, .tile, .card, .steps li", "borderTopStyle");
  return [edges, drawn(".chart .line, .chart .limit", "stroke"), own];
}"""
"""What tells cards and curves apart where the reader's own colours hold: edges, strokes, and the colour of text."""
SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 400, "height": 800}}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture
def plain() -> Iterator[Served]:
    with served(ToldSource(story("x"), "x")) as made:
        yield made


def addresses(text: str = "x") -> list[str]:
    return [place.path.replace("{version:path}", quote(f"v2{text}", safe="")) for place in PLACES]


def to_keys(page: Page, reached: str) -> None:
    """Press Tab until what the keyboard is at is what was looked for."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(reached):
            return
    raise AssertionError(f"the keyboard never came to where {reached}")


def live(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("data-state", "live", timeout=20_000)


@pytest.mark.fault("U1")
def test_no_payload_runs_on_any_page(chromium: Browser, record_property: Callable[[str, object], None]) -> None:
    source = ToldSource(story("x"), "x")
    with served(source) as made, visiting(chromium, made) as seen:
        for start in range(_CHUNKS):
            text = " ".join(PAYLOADS[start::_CHUNKS])
            source.told = []
            seen.page.goto(made.url)  # a record that is gone is forgotten
            source.text, source.told = text, story(text, days=2)
            for path in addresses(text):
                seen.page.goto(f"{made.url}{path}", wait_until="domcontentloaded")
                assert seen.page.evaluate("typeof window.pwned") == "undefined", (path, text)
            expect(seen.page.locator("main")).to_contain_text("mend " + text)
        assert seen.problems == []
        assert all(each.startswith(made.url) for each in seen.requests)
        record_property("figure", f"{len(PAYLOADS)} payloads on {len(list(addresses('x')))} pages, 0 run")


def test_a_script_that_got_in_would_be_seen(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        seen.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.pwned=1>')")
        seen.page.wait_for_timeout(200)
        assert seen.page.evaluate("typeof window.pwned") == "undefined"
        assert any("Content Security Policy" in each for each in seen.problems)


@pytest.mark.fault("U2")
def test_the_policy_of_content_is_never_broken(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        for path in addresses():
            seen.page.goto(plain.url + path)
            live(seen.page)
        assert seen.problems == []


@pytest.mark.fault("U10")
def test_nothing_is_asked_of_any_other_host(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        for path in addresses():
            seen.page.goto(plain.url + path)
        assert {each.split("/")[2] for each in seen.requests} == {f"127.0.0.1:{plain.port}"}
        seen.page.goto(plain.url)
        cold = [each for each in seen.requests[-12:] if each.startswith(plain.url)]
        assert len(cold) <= 12


@pytest.mark.fault("U4")
def test_a_page_whose_server_died_says_how_old_it_is_and_acts_on_nothing(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        live(seen.page)
        button = seen.page.get_by_role("button", name="Roll back")
        expect(button).to_be_enabled()
        plain.stop()
        expect(seen.page.locator("html")).to_have_attribute("data-state", "stale", timeout=30_000)
        expect(button).to_be_disabled()
        expect(seen.page.locator("#stale")).to_contain_text("s old")
        plain.start()
        live(seen.page)
        expect(button).to_be_enabled()


@pytest.mark.fault("U3")
def test_a_page_resumes_where_it_was_and_stops_when_the_session_ends(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        live(seen.page)
        head = plain.source.head()
        plain.stop()
        plain.source.told = [*plain.source.told, Ticked(model="m", at=AT, wall=AT).caused_by("later")]
        plain.start()
        with seen.page.expect_request(lambda request: "/events" in request.url, timeout=20_000) as asked:
            pass
        assert f"after={head}" in asked.value.url or asked.value.header_value("last-event-id") is not None
        plain.source.revoked.add("id-admin")
        expect(seen.page.locator("#stale")).to_contain_text("signed out", timeout=30_000)


TURN = """(hidden) => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""
"""What a browser does to a tab that goes behind another, or comes back; without a window all are in front."""


@pytest.mark.fault("U3")
def test_seven_tabs_and_an_hour_behind_them_leave_none_waiting_or_falsely_fresh(
    chromium: Browser, plain: Served
) -> None:
    with visiting(chromium, plain) as seen:
        tabs = [seen.page, *(seen.page.context.new_page() for _ in range(6))]
        tabs[0].clock.install()
        for tab in tabs:
            tab.goto(plain.url)
            live(tab)
            tab.evaluate(TURN, True)
        head = plain.source.head()
        plain.source.told = [*plain.source.told, Ticked(model="m", at=AT, wall=AT).caused_by("later")]
        tabs[0].clock.fast_forward("01:00:00")
        expect(tabs[0].locator("html")).to_have_attribute("data-state", "stale")
        with tabs[0].expect_request(lambda request: "/events" in request.url) as asked:
            tabs[0].evaluate(TURN, False)
        assert f"after={head}" in asked.value.url
        live(tabs[0])


def test_control_tabs_that_all_kept_their_stream_would_leave_the_seventh_waiting(
    chromium: Browser, plain: Served
) -> None:
    with visiting(chromium, plain) as seen:
        for _ in range(5):
            tab = seen.page.context.new_page()
            tab.goto(plain.url)
            live(tab)
        with pytest.raises(TooLateError):
            seen.page.context.new_page().goto(plain.url, timeout=4_000)


@pytest.mark.fault("U5")
def test_a_double_click_rolls_back_once_and_so_does_the_way_back_to_the_page(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain, "operator") as seen:
        seen.page.get_by_role("button", name="Roll back").dblclick()
        expect(seen.page.locator(".outcome")).to_contain_text("ordered by name of operator")
        assert len(plain.source.ordered) == 1
        seen.page.go_back()
        seen.page.reload()
        assert len(plain.source.ordered) == 1


@pytest.mark.fault("U5")
@pytest.mark.fault("U6")
def test_who_comes_second_is_told_what_has_changed(chromium: Browser, plain: Served) -> None:
    plain.source.routed = ("v2x", "v1x")
    with visiting(chromium, plain, "operator") as ann, visiting(chromium, plain, "admin") as bob:
        bob.page.get_by_label("Why, for the record").fill("as I said")
        ann.page.get_by_role("button", name="Roll back").click()
        expect(ann.page.locator(".outcome")).to_contain_text("Rolled back")
        bob.page.get_by_role("button", name="Roll back").click()
        expect(bob.page.locator(".outcome")).to_contain_text("Nothing was changed")
        expect(bob.page.locator(".outcome")).to_contain_text("it was to go from v2x to v1x")
        assert [each[1] for each in plain.source.ordered] == ["name of operator"]


@pytest.mark.fault("U8")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_is_accessible(chromium: Browser, plain: Served, theme: str, size: str) -> None:
    with visiting(chromium, plain, color_scheme=theme, viewport=SIZES[size], bypass_csp=True) as seen:
        for path in [*addresses(), "/no-such-page", "/sign-in"]:
            seen.page.goto(plain.url + path)
            seen.page.add_script_tag(content=AXE)
            found = seen.page.evaluate("axe.run().then((done) => done.violations)")
            said = [(each["id"], [node["html"][:160] for node in each["nodes"][:3]]) for each in found]
            assert said == [], (path, theme, size)
            assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, size)


@pytest.mark.fault("U8")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_the_readers_own_leave_every_edge_and_line(chromium: Browser, plain: Served, theme: str) -> None:
    with visiting(chromium, plain, color_scheme=theme, forced_colors="active") as seen:
        found: Counter[str] = Counter()
        for path in addresses():
            seen.page.goto(plain.url + path)
            edges, lines, own = seen.page.evaluate(EDGES)
            assert set(edges) <= {"solid"}, path
            assert set(lines) <= {own}, path
            found.update(edges=len(edges), lines=len(lines))
        assert found["edges"] and found["lines"]


def test_an_inaccessible_page_would_be_seen(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain, bypass_csp=True) as seen:
        seen.page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=x><input>')")
        seen.page.add_script_tag(content=AXE)
        found = seen.page.evaluate("axe.run().then((done) => done.violations)")
        assert {"image-alt", "label"} <= {each["id"] for each in found}


@pytest.mark.fault("U8")
def test_the_way_back_is_gone_by_keyboard_alone(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain, "operator", reduced_motion="reduce", forced_colors="active") as seen:
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        seen.page.keyboard.press("Enter")
        to_keys(seen.page, "document.activeElement.textContent.startsWith('Roll back')")
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator(".outcome")).to_contain_text("Rolled back")
        assert len(plain.source.ordered) == 1


@pytest.mark.fault("U8")
def test_a_question_is_answered_and_skipped_by_its_keys(chromium: Browser, plain: Served) -> None:
    for role, key, noted in (("admin", "2", "1"), ("operator", "s", "skipped q")):
        with visiting(chromium, plain, role) as seen:
            seen.page.goto(f"{plain.url}/review")
            for other in ("Control+2", "Alt+s", "9"):
                seen.page.keyboard.press(other)
            expect(seen.page.locator("kbd")).to_have_text(["1", "2", "s"])
            assert f"name of {role}" not in plain.source.judged
            seen.page.keyboard.press(key)
            expect(seen.page.locator("kbd")).to_have_count(0)
            assert plain.source.judged[f"name of {role}"] == noted
            assert seen.problems == []


@pytest.mark.fault("U8")
def test_a_candidate_is_approved_by_keyboard_alone(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain, "approver", reduced_motion="reduce", forced_colors="active") as seen:
        seen.page.goto(f"{plain.url}/approvals")
        to_keys(seen.page, "document.activeElement.name === 'reason'")
        seen.page.keyboard.type("looked at 2 of its columns, and so on")
        to_keys(seen.page, "document.activeElement.textContent.startsWith('Approve')")
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator(".outcome")).to_contain_text("signed by name of approver")
        ((how, who, _, reason),) = plain.source.ordered
        assert (how, who, reason) == ("approve", "name of approver", "looked at 2 of its columns, and so on")


@pytest.mark.fault("U9")
def test_without_javascript_everything_is_there_and_forms_work(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain, "operator", java_script_enabled=False) as seen:
        for path in addresses():
            seen.page.goto(plain.url + path)
            assert seen.page.locator("main h1").count() == 1, path
        seen.page.goto(plain.url)
        expect(seen.page.locator("svg.chart").first).to_be_visible()
        seen.page.get_by_role("button", name="Roll back").click()
        expect(seen.page.locator(".outcome")).to_contain_text("Rolled back")
        assert len(plain.source.ordered) == 1


def _steady(champion: str, fallback: str) -> Fact:
    return TrafficShifted(
        model="m",
        at=AT,
        epoch=9,
        stage=Stage.STEADY,
        share=0.0,
        champion=(champion, "7" * 64),
        fallback=(fallback, "6" * 64),
    ).caused_by("")


def test_a_page_shows_what_is_recorded_without_being_asked(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        live(seen.page)
        plain.source.told = [*plain.source.told, _steady("v7", "v6")]
        expect(seen.page.get_by_role("button", name="Roll back")).to_contain_text("from v7 to v6", timeout=10_000)


ASKED = """() => {
  const [page] = performance.getEntriesByType('navigation');
  const asked = performance.getEntriesByType('resource').filter((each) => each.startTime < page.loadEventStart);
  return asked.map((each) => each.name.split('/').at(-1).split(/[.?]/)[0]);
}"""
"""What was asked for before the page was whole."""


def test_a_page_is_whole_before_what_updates_it_is_asked_for(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        for path in addresses():
            seen.page.goto(plain.url + path)
            live(seen.page)
            assert not {"htmx", "events"} & set(seen.page.evaluate(ASKED)), path


def test_a_page_asks_again_for_what_updates_it_and_misses_nothing_meanwhile(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        seen.page.route("**/htmx*", lambda route: route.abort(), times=2)
        seen.page.reload()
        plain.source.told = [*plain.source.told, _steady("v7", "v6")]
        expect(seen.page.get_by_role("button", name="Roll back")).to_contain_text("from v7 to v6", timeout=20_000)
        live(seen.page)


def test_a_page_that_cannot_be_brought_up_to_date_says_so_and_asks_again(chromium: Browser, plain: Served) -> None:
    """The server answers, so orders are taken: what has changed since refuses them."""
    with visiting(chromium, plain) as seen:
        live(seen.page)
        seen.page.route(f"{plain.url}/", lambda route: route.fulfill(status=503, body="not now"))
        plain.source.told = [*plain.source.told, _steady("v7", "v6")]
        expect(seen.page.locator("#stale")).to_contain_text("cannot be brought up to date", timeout=10_000)
        expect(seen.page.locator("button[data-acts]").first).to_be_enabled()
        seen.page.unroute(f"{plain.url}/")
        expect(seen.page.get_by_role("button", name="Roll back")).to_contain_text("from v7 to v6", timeout=20_000)
        live(seen.page)
        expect(seen.page.locator("#stale")).to_be_hidden()


def test_without_what_updates_it_a_page_is_loaded_again(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        seen.page.route("**/htmx*", lambda route: route.abort())
        seen.page.reload()
        live(seen.page)
        expect(seen.page.locator("button[data-acts]").first).to_be_enabled()
        plain.source.told = [*plain.source.told, _steady("v7", "v6")]
        expect(seen.page.get_by_role("button", name="Roll back")).to_contain_text("from v7 to v6", timeout=20_000)


NAMED = """(wrap) => {
  const name = document.querySelector('th.prose a'), range = document.createRange();
  name.textContent = 'temperature_celsius';
  name.parentElement.style.overflowWrap = wrap;
  range.selectNodeContents(name);
  return new Set([...range.getClientRects()].map((each) => Math.round(each.top))).size;
}"""
"""In how many lines the name of a column stands."""


@pytest.mark.parametrize("width", [400, 1000, 1280])
def test_the_name_of_a_column_is_not_broken_within(chromium: Browser, plain: Served, width: int) -> None:
    with visiting(chromium, plain, viewport={"width": width, "height": 800}) as seen:
        seen.page.goto(f"{plain.url}/data")
        assert seen.page.evaluate(NAMED, "") == 1
        assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_name_that_is_broken_would_be_seen(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain, viewport=SIZES["narrow"]) as seen:
        seen.page.goto(f"{plain.url}/data")
        assert seen.page.evaluate(NAMED, "anywhere") > 1
