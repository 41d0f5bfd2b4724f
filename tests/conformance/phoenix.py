"""Phoenix's npm client, driven from Python: `PhoenixClient` is one `Socket` in a Node process."""

from __future__ import annotations

import itertools
from typing import Any

import attrs

from tests.conformance.node_script import Happening, NodeScript


@attrs.frozen
class Answer:
    """How a push was answered: "ok", "error" or, by the client itself, "timeout"."""

    status: str
    response: Any


class PhoenixClients:
    """The clients of one Node process."""

    def __init__(self, script: NodeScript) -> None:
        self._script = script

    async def connect(self, url: str, name: str = "ana", **options: Any) -> PhoenixClient:
        """A client that has connected. `options` go to `new Socket` (see `phoenix_client.mjs`)."""
        client = await self.start(url, name, **options)
        await client.expect("open")
        return client

    async def start(self, url: str, name: str = "ana", **options: Any) -> PhoenixClient:
        """A client that tries to connect."""
        command = {"params": {"name": name.title()}, **options}
        await self._script.tell(do="connect", client=name, url=url, **command)
        return PhoenixClient(self._script, name)


class PhoenixClient:
    """One client; a channel is called by its topic unless it was given another name."""

    def __init__(self, script: NodeScript, name: str) -> None:
        self._script = script
        self._pushes = itertools.count(1)
        self.name = name

    async def expect(self, happened: str, channel: str | None = None, **wanted: Any) -> Happening:
        """Wait for something to happen to the client or, with `channel`, to a channel of it."""
        if channel is not None:
            wanted["channel"] = channel
        return await self._script.expect(client=self.name, happened=happened, **wanted)

    def seen(self, happened: str, **wanted: Any) -> list[Happening]:
        """All that has happened so far and has these values."""
        return self._script.seen(client=self.name, happened=happened, **wanted)

    def seen_all(self) -> list[Happening]:
        """All that has happened to the client so far, in order."""
        return self._script.seen(client=self.name)

    async def start_join(
        self, topic: str, channel: str | None = None, *, timeout: int | None = None, **params: Any
    ) -> None:
        """Ask for a join; its outcome will be "joined", "refused" or, after `timeout` milliseconds, "unanswered"."""
        patience = {} if timeout is None else {"timeout": timeout}
        await self._tell("join", channel or topic, topic=topic, params=params, **patience)

    async def join(self, topic: str, channel: str | None = None, **params: Any) -> Any:
        """Join, and return what the server answered."""
        await self.start_join(topic, channel, **params)
        return (await self.expect("joined", channel or topic))["response"]

    async def start_push(
        self, channel: str, event: str, payload: Any, *, timeout: int | None = None
    ) -> int:
        """Push without waiting; returns the number of the push, by which its "answer" is found."""
        push = next(self._pushes)
        patience = {} if timeout is None else {"timeout": timeout}
        await self._tell("push", channel, event=event, payload=payload, push=push, **patience)
        return push

    async def push(
        self, channel: str, event: str, payload: Any, *, timeout: int | None = None
    ) -> Answer:
        """Push, and return the answer: after `timeout` milliseconds the client's own."""
        push = await self.start_push(channel, event, payload, timeout=timeout)
        answer = await self.expect("answer", channel, push=push)
        return Answer(answer["status"], answer["response"])

    async def heard(self, channel: str, event: str) -> Any:
        """The payload of the next such event that the channel gets from the server."""
        return (await self.expect("event", channel, event=event))["payload"]

    async def acknowledge(self, channel: str, event: str) -> None:
        """From now on, acknowledge the server's pushes of that event with their own payload."""
        await self._tell("acknowledge", channel, event=event)

    async def leave(self, channel: str) -> Any:
        """Leave, and return what the server answered."""
        await self._tell("leave", channel)
        return (await self.expect("left", channel))["response"]

    async def refresh(self, token: str) -> Answer:
        """Send a new token on the connection that stands."""
        await self._script.tell(do="refresh", client=self.name, payload={"token": token})
        answer = await self.expect("refreshed")
        return Answer(answer["status"], answer["response"])

    async def disconnect(self) -> None:
        """Close the connection for good."""
        await self._script.tell(do="disconnect", client=self.name)
        await self.expect("disconnected")

    async def _tell(self, verb: str, channel: str, **command: Any) -> None:
        await self._script.tell(do=verb, client=self.name, channel=channel, **command)
