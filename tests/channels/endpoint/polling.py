"""What the tests of long poll run: a socket, its endpoint, a poll that stays empty."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from channels import (
    Binary,
    Channel,
    ConnectInfo,
    ConnectRefused,
    Endpoint,
    LongPoll,
    Mount,
    Reply,
    UserSocket,
)
from tests.channels.long_poll import Poller
from tests.channels.phoenix import DEADLINE

OK = {"status": "ok", "response": {}}
UNMATCHED = {"status": "error", "response": {"reason": "unmatched topic"}}


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        if topic == "room:slow":
            await trio.sleep_forever()
        self.pid.send("after join")

    async def handle_info(self, message: Any) -> Any:
        if message == "after join":
            self.broadcast("user_entered", {"user": "ann"})
            self.push("joined", {"status": "connected"})

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "echo":
                return Reply.ok({"size": len(payload.data)} if type(payload) is Binary else payload)
            case "crash":
                raise RuntimeError("asked for")
            case "binary":
                self.push("bytes", Binary(b"abc"))
                return Reply.ok()
            case "slow":
                await trio.sleep_forever()
        return await super().handle_in(event, payload)


class Socket(UserSocket):
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        match params:
            case {"refuse": status}:
                raise ConnectRefused("by test", status=int(status))
            case {"crash": _}:
                raise RuntimeError("in connect")
        self.assigns["info"] = info

    def id(self) -> str | None:
        return "users:ann"


def endpoint_with(
    socket: type[UserSocket] = Socket,
    *,
    window: float = 60.0,  # no session ends because a machine is busy
    path: str = "/socket",
    **options: Any,
) -> Endpoint:
    mount = Mount(socket, longpoll=LongPoll(window=window, max_body=20_000))
    return Endpoint({path: mount}, port=0, **options)


async def empty_poll(client: Poller, endpoint: Endpoint, clock: Any) -> Any:
    """The answer to a poll for which nothing comes in its whole window."""
    [session] = endpoint._services.sessions.values()
    answers: list[Any] = []

    async def poll() -> None:
        answers.append(await client.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        await until(lambda: session._poll is not None)
        clock.jump(session.window)
    return answers[0]


async def until(condition: Any) -> None:
    with trio.fail_after(DEADLINE):
        while not condition():
            await trio.lowlevel.checkpoint()
