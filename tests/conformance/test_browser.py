"""The demo's page in a real Chromium: people in contexts of their own who chat with each other."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from tests.conformance.browser import DESKTOP, PHONE, Browser, Person, find
from tests.conformance.demo_node import DemoNode
from tests.conftest import ROOT

pytestmark = [pytest.mark.conformance, pytest.mark.browser]

SCREENSHOTS = ROOT / "artifacts" / "conformance"

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    '"><svg onload=alert(3)>',
    "javascript:alert(4)",
    "{{7*7}} ${7*7} &lt;b&gt;",
)


async def two_people(browser: Browser, chat: DemoNode, room: str) -> tuple[Person, Person]:
    ana = await browser.person("Ana", chat.url)
    bob = await browser.person("Bob", chat.url)
    for person in (ana, bob):
        await person.enter(room)
    return ana, bob


@pytest.fixture
def room_name(room: str) -> str:
    return room.removeprefix("room:")


async def test_two_people_chat_with_each_other(browser: Browser, chat: DemoNode, room_name: str):
    ana, bob = await two_people(browser, chat, room_name)
    await ana.say("Hello, Bob!")
    await bob.sees("message", ":not(.own)", text="Hello, Bob!")
    await bob.say("Hello, Ana!")
    await ana.sees("message", ":not(.own)", text="Hello, Ana!")
    for person in (ana, bob):
        assert await person.texts("body") == ["Hello, Bob!", "Hello, Ana!"]
        assert person.complaints() == []


async def test_a_page_asks_no_other_host_for_anything(
    browser: Browser, chat: DemoNode, room_name: str
):
    ana, bob = await two_people(browser, chat, room_name)
    await ana.say("Hello!")
    await bob.sees("message", text="Hello!")
    asked = {urlsplit(request["url"]).netloc for request in ana.happened("request")}
    assert asked == {f"127.0.0.1:{chat.port}"}


async def test_the_others_see_who_is_typing_until_the_message_is_there(
    browser: Browser, chat: DemoNode, room_name: str
):
    ana, bob = await two_people(browser, chat, room_name)
    await ana.call(find("message-input"), "pressSequentially", "Hm")
    await bob.sees("typing", text="Ana is typing")
    await ana.press("Enter")
    await bob.sees("message", text="Hm")
    await bob.sees_no("typing")
    assert not await ana.call(find("typing"), "isVisible")


async def test_a_room_that_is_not_open_counts_what_is_unread(
    browser: Browser, chat: DemoNode, room_name: str
):
    ana, bob = await two_people(browser, chat, room_name)
    await bob.go_to(f"{room_name}-2")
    await ana.say("one")
    await ana.say("two")
    await bob.sees("unread", text="2")
    await bob.click("room", f'[data-room="{room_name}"]')
    await bob.sees("message", text="two")
    await bob.sees_no("unread")
    await bob.sees("room", f'[data-room="{room_name}"][aria-current="page"]')


async def test_people_in_different_rooms_do_not_hear_each_other(
    browser: Browser, chat: DemoNode, room_name: str
):
    ana, bob = await two_people(browser, chat, room_name)
    await bob.go_to(f"{room_name}-2")
    await ana.say("only here")
    await bob.say("only there")
    assert await ana.texts("body") == ["only here"]
    assert await bob.texts("body") == ["only there"]


async def test_what_looks_like_html_is_shown_as_text(
    browser: Browser, chat: DemoNode, room_name: str
):
    ana, bob = await two_people(browser, chat, room_name)
    for words in HOSTILE:
        await ana.say(words)
        await bob.sees("message", text=words)
    assert await bob.texts("body") == list(HOSTILE)
    assert (
        await bob.look("document.querySelectorAll('.log img, .log script, .log svg *').length") == 0
    )
    assert ana.complaints() == bob.complaints() == []


async def test_a_hostile_name_is_shown_as_text(browser: Browser, chat: DemoNode, room_name: str):
    eve = await browser.person("<img src=x onerror=alert(1)>", chat.url)
    ana = await browser.person("Ana", chat.url)
    await eve.enter(room_name)
    await ana.enter(room_name)
    await eve.say("Who am I?")
    await ana.sees("author", text="<img src=x onerror=alert(1)>")
    assert ana.complaints() == eve.complaints() == []


@pytest.mark.parametrize(
    ("locale", "form"),
    [("en-GB", r"\w+,? \d+ \w+"), ("en-US", r"\w+, \w+ \d+"), ("fr", r"\w+, \w+ \d+")],
)
async def test_the_day_is_written_as_the_reader_writes_it(
    browser: Browser, chat: DemoNode, room_name: str, locale: str, form: str
):
    ana = await browser.person("Ana", chat.url, locale=locale)
    await ana.enter(room_name)
    await ana.say("hello")
    day = await ana.call(find("message"), "getAttribute", "data-day")
    assert re.fullmatch(form, day), day


async def test_everything_can_be_done_with_the_keyboard(
    browser: Browser, chat: DemoNode, room_name: str
):
    ana = await browser.person("Ana", chat.url)
    await ana.sees("name-dialog")
    await ana.type("Ana")
    await ana.press("Enter")
    await ana.sees("connection", "[data-state=online]")
    await ana.sees("message-input", ":focus")
    await ana.press("Shift+Tab", *["Shift+Tab"] * await tabs_back_to(ana, "room-input"))
    await ana.type(room_name)
    await ana.press("Enter")
    await ana.sees("room-title", text=room_name)
    await ana.sees("message-input", ":focus")
    await ana.type("line one")
    await ana.press("Shift+Enter")
    await ana.type("line two")
    await ana.press("Enter")
    await ana.sees("message", ".own[data-status=sent]")
    assert await ana.texts("body") == ["line one\nline two"]


async def test_a_reload_keeps_the_name_and_the_rooms(
    browser: Browser, chat: DemoNode, room_name: str
):
    ana = await browser.person("Ana", chat.url)
    await ana.enter(room_name)
    await ana.call("page", "reload")
    await ana.sees("connection", "[data-state=online]")
    await ana.sees("room-title", text=room_name)
    assert not await ana.call(find("name-dialog"), "isVisible")
    await ana.say("still me")
    assert (await ana.texts("author"))[-1] == "Ana"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_pages_come_back_by_themselves_when_the_server_restarts(
    browser: Browser, own_chat: DemoNode, room_name: str, signum: signal.Signals
):
    ana, bob = await two_people(browser, own_chat, room_name)
    await ana.say("before")
    await trio.to_thread.run_sync(own_chat.stop, signum)
    for person in (ana, bob):
        await person.sees("connection", "[data-state=offline]")
    await trio.to_thread.run_sync(own_chat.start)
    for person in (ana, bob):
        await person.sees("connection", "[data-state=online]")
    await ana.say("after")
    await bob.sees("message", ":not(.own)", text="after")
    await bob.say("welcome back")
    await ana.sees("message", ":not(.own)", text="welcome back")
    # Chromium itself reports connections that were refused; nothing else is wrong.
    for person in (ana, bob):
        assert [text for text in person.complaints() if "WebSocket connection to" not in text] == []


async def test_what_is_written_while_the_server_is_away_is_sent_once_when_it_is_back(
    browser: Browser, own_chat: DemoNode, room_name: str
):
    ana, bob = await two_people(browser, own_chat, room_name)
    await trio.to_thread.run_sync(own_chat.stop)
    for person in (ana, bob):
        await person.sees("connection", "[data-state=offline]")
    await ana.fill("message-input", "patience")
    await ana.press("Enter")
    await ana.sees("message", "[data-status=queued]", text="patience")
    await trio.to_thread.run_sync(own_chat.start)
    await ana.sees("message", "[data-status=sent]", text="patience")
    await ana.say("and now?")
    assert (await ana.texts("body")).count("patience") == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("desktop-light", {**DESKTOP, "colorScheme": "light"}),
        ("desktop-dark", {**DESKTOP, "colorScheme": "dark"}),
        ("phone-light", {**PHONE, "colorScheme": "light"}),
        ("phone-dark", {**PHONE, "colorScheme": "dark"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_page_fits_its_window(
    browser: Browser, chat: DemoNode, room_name: str, name: str, options: dict[str, object]
):
    bob = await browser.person("Bob", chat.url)
    await bob.enter(room_name)
    ana = await browser.person("Ana", f"{chat.url}/#{room_name}", **options)
    await picture(ana, f"{name}-name")
    await ana.fill("name-input", "Ana")
    await ana.call(find("name-submit"), "tap" if "hasTouch" in options else "click")
    await ana.sees("connection", "[data-state=online]")
    await ana.sees("room-title", text=room_name)
    await bob.say("Good morning! Did the deploy go through?")
    await ana.say("It did. Nobody noticed, which is how it should be.")
    await bob.say("A longer one, to see how it wraps: " + "the quick brown fox jumps over it " * 4)
    await bob.say("https://example.com/" + "averylongwordwithoutanybreak" * 5)
    await bob.call(find("message-input"), "pressSequentially", "Hm")
    await ana.sees("typing", text="Bob is typing")
    await picture(ana, name)
    assert await ana.look("document.documentElement.scrollWidth <= innerWidth")
    assert await ana.look("document.documentElement.scrollHeight <= innerHeight")
    if "hasTouch" in options:
        await ana.call(find("menu-button"), "tap")
        await ana.call("body.sidebar-open", "waitFor")
        await picture(ana, f"{name}-menu")
    assert ana.complaints() == []


async def tabs_back_to(person: Person, testid: str) -> int:
    """How often Shift+Tab must be pressed after the next time to get to an element."""
    order = await person.look(
        "[...document.querySelectorAll('a[href], button, input, textarea, [tabindex=\"0\"]')]"
        ".filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0).map((e) => e.dataset.testid ?? '')"
    )
    return order.index("message-input") - order.index(testid) - 1  # type: ignore[no-any-return]  # a list of str


async def picture(person: Person, name: str) -> Path:
    """A screenshot, for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    await person.call("page", "screenshot", {"path": str(path), "animations": "disabled"})
    return path
