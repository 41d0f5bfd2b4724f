"""Real Chromium, driven from Python through playwright-core: a `Person` has a browser context of their own."""

from __future__ import annotations

import itertools
from typing import Any

from tests.conformance.node_script import Happening, NodeScript

DESKTOP = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "deviceScaleFactor": 2,
    "isMobile": True,
    "hasTouch": True,
    "locale": "en-GB",
}


class Browser:
    """The people at one running Chromium."""

    def __init__(self, script: NodeScript) -> None:
        self.script = script
        self._numbers = itertools.count(1)

    async def person(self, name: str, url: str, **options: Any) -> Person:
        """Somebody who has opened the page. `options` are those of Playwright's `newContext`."""
        await self.ask(do="open", person=name, options={**DESKTOP, **options})
        person = Person(self, name)
        await person.call("page", "goto", url)
        return person

    async def ask(self, **command: Any) -> Any:
        """Carry out a command; its result."""
        number = next(self._numbers)
        await self.script.tell(number=number, **command)
        answer = await self.script.expect(within=20, answer=number)
        assert "error" not in answer, answer["error"]
        return answer.get("result")


class Person:
    """A page in a context of its own. Elements are found by their `data-testid`."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self.name = name

    async def call(self, on: str, method: str, *args: Any, text: str | None = None) -> Any:
        """Call a method of "page", "keyboard", "context", or of a locator: a CSS selector and a text in it."""
        more = {} if text is None else {"hasText": text}
        return await self._browser.ask(
            do="call", person=self.name, on=on, method=method, args=args, **more
        )

    async def fill(self, testid: str, words: str) -> None:
        """Replace what stands in a field."""
        await self.call(find(testid), "fill", words)

    async def click(self, testid: str, state: str = "") -> None:
        """Click an element."""
        await self.call(find(testid, state), "click")

    async def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            await self.call("keyboard", "press", key)

    async def type(self, words: str) -> None:
        """Type, wherever the focus is."""
        await self.call("keyboard", "type", words)

    async def sees(self, testid: str, state: str = "", text: str | None = None) -> None:
        """Wait until an element is visible, in a state (`[data-state=online]`), with a text in it."""
        await self.call(find(testid, state), "waitFor", text=text)

    async def sees_no(self, testid: str, state: str = "", text: str | None = None) -> None:
        """Wait until no such element is visible."""
        await self.call(find(testid, state), "waitFor", {"state": "hidden"}, text=text)

    async def texts(self, testid: str, state: str = "") -> list[str]:
        """What all such elements say."""
        found: list[str] = await self.call(find(testid, state), "allInnerTexts")
        return found

    async def look(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return await self.call("page", "evaluate", expression)

    # -- chatting

    async def enter(self, room: str) -> None:
        """Say one's name and go to a room; returns when the connection is up."""
        await self.fill("name-input", self.name)
        await self.click("name-submit")
        await self.go_to(room)
        await self.sees("connection", "[data-state=online]")

    async def go_to(self, room: str) -> None:
        """Join or open a room through the form in the sidebar."""
        await self.fill("room-input", room)
        await self.call(find("room-input"), "press", "Enter")
        await self.sees("room-title", text=room)

    async def say(self, words: str) -> None:
        """Write a message and see it confirmed by the server."""
        await self.fill("message-input", words)
        await self.click("send-button")
        await self.sees("message", ".own[data-status=sent]", text=words)

    # -- what a test did not ask for

    def happened(self, what: str, **wanted: Any) -> list[Happening]:
        """Happenings of one kind in this page so far."""
        return self._browser.script.seen(person=self.name, happened=what, **wanted)

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, exceptions, dialogs."""
        console = [
            line
            for line in self.happened("console")
            if line["type"] in {"error", "warning", "assert"}
        ]
        others = self.happened("page error") + self.happened("dialog")
        return [happening["text"] for happening in console + others]


def find(testid: str, state: str = "") -> str:
    """The CSS selector of a `data-testid`, with more CSS behind it."""
    return f'[data-testid="{testid}"]{state}'
