"""The verbs of a test: connect, join, push, and what to assert about the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs
import trio

from actors import Pid, Shutdown, spawn
from actors.process import Process
from channels import fastlane
from channels.exceptions import ChannelsError
from channels.messages import JOIN, LEAVE, REPLY, Broadcast, Message, Reply
from channels.pubsub import PubSub
from channels.socket import ConnectInfo, PeerData, UserSocket
from channels.testing.connection import TestSocket

__all__ = (
    "ANY",
    "JoinRefusedError",
    "JoinedChannel",
    "PushRef",
    "assert_broadcast",
    "assert_push",
    "assert_reply",
    "broadcast_from",
    "close",
    "connect",
    "join",
    "leave",
    "push",
    "refute_broadcast",
    "refute_push",
    "refute_reply",
    "subscribe_and_join",
)

T = TypeVar("T")

TIMEOUT: Final = 0.1
"""Seconds that an assertion waits, as in Phoenix."""


class _Any:
    def __repr__(self) -> str:
        return "ANY"


ANY: Final = _Any()
"""The pattern that everything matches."""


class JoinRefusedError(ChannelsError, AssertionError):
    """`subscribe_and_join` was refused; `response` is what the client would have got."""

    def __init__(self, topic: str, response: Any) -> None:
        super().__init__(f"the join of {topic!r} was refused: {response!r}")
        self.response = response


@attrs.frozen
class PushRef:
    """Which push a reply answers."""

    socket: TestSocket = attrs.field(repr=False)
    ref: str


@attrs.frozen
class JoinedChannel:
    """A channel that was joined: `pid` is its process, `reply` what its join answered."""

    socket: TestSocket = attrs.field(repr=False)
    topic: str
    join_ref: str
    pid: Pid
    reply: Any


# -- connecting and joining ----------------------------------------------------------------------


async def connect(
    socket_class: type[UserSocket],
    params: Mapping[str, Any] | None = None,
    *,
    pubsub: PubSub,
    info: ConnectInfo | None = None,
) -> TestSocket:
    """Let a client connect. Raises what the socket's `connect` raises: `ConnectRefused`."""
    socket = socket_class()
    where = info or ConnectInfo(PeerData("127.0.0.1", 0), "/socket", "", ())
    await socket.connect(dict(params or {}), where)
    pid = spawn(trio.sleep_forever, label="TestSocket")
    process = pid.target
    assert isinstance(process, Process)
    return TestSocket(socket, pubsub, process)


async def join(
    socket: TestSocket, topic: str, payload: Any = None, *, timeout: float = 5.0
) -> tuple[PushRef, Reply]:
    """Join, and wait for the answer, whatever it is."""
    ref = PushRef(socket, socket.next_ref())
    socket.send(Message(ref.ref, ref.ref, topic, JOIN, payload or {}))
    message = await assert_reply(ref, timeout=timeout)
    return ref, Reply(message.payload["status"], message.payload["response"])


async def subscribe_and_join(
    socket: TestSocket, topic: str, payload: Any = None, *, timeout: float = 5.0
) -> JoinedChannel:
    """Subscribe the test to `topic`, for `assert_broadcast`, and join.

    Raises `JoinRefusedError`.
    """
    socket.pubsub.subscribe(topic, pid=socket.pid)
    ref, reply = await join(socket, topic, payload, timeout=timeout)
    if reply.status != "ok":
        raise JoinRefusedError(topic, reply.response)
    return JoinedChannel(socket, topic, ref.ref, socket.channel_of(topic), reply.response)


async def leave(channel: JoinedChannel) -> PushRef:
    """Leave; the reply is ok, and `phx_close` follows."""
    return push(channel, LEAVE, {})


async def close(socket: TestSocket, *, timeout: float = 5.0) -> None:
    """End the connection and wait until its channels have ended, `timeout` seconds at most."""
    channels = socket.channels()
    socket.pid.exit(Shutdown("closed"))
    with trio.fail_after(timeout):
        for pid in (socket.pid, *channels):
            await pid.wait_exited()


# -- pushing -------------------------------------------------------------------------------------


def push(channel: JoinedChannel, event: str, payload: Any = None) -> PushRef:
    """Push as the client would; the ref for `assert_reply`."""
    socket = channel.socket
    ref = PushRef(socket, socket.next_ref())
    payload = {} if payload is None else payload
    socket.send(Message(channel.join_ref, ref.ref, channel.topic, event, payload))
    return ref


def broadcast_from(channel: JoinedChannel, event: str, payload: Any) -> None:
    """Broadcast on the channel's topic to everybody but the test itself."""
    message = Broadcast(channel.topic, event, payload)
    channel.socket.pubsub.broadcast_from(
        channel.socket.pid, channel.topic, message, fastlane.dispatch
    )


# -- asserting -----------------------------------------------------------------------------------


async def assert_reply(
    ref: PushRef, status: Any = ANY, response: Any = ANY, *, timeout: float = TIMEOUT
) -> Message:
    """The reply to a push came, with this status and response."""
    socket = ref.socket

    def wanted(message: Message) -> bool:
        return message.event == REPLY and message.ref == ref.ref and _matches_reply(message)

    def _matches_reply(message: Message) -> bool:
        answer = message.payload
        return _matches(status, answer["status"]) and _matches(response, answer["response"])

    return await _take(socket, socket.received, wanted, timeout, f"reply {status!r} {response!r}")


async def assert_push(
    socket: TestSocket | JoinedChannel,
    event: str,
    payload: Any = ANY,
    *,
    timeout: float = TIMEOUT,
) -> Message:
    """The client got `event`, pushed or broadcast, with this payload."""
    socket = _socket(socket)

    def wanted(message: Message) -> bool:
        return message.event == event and _matches(payload, message.payload)

    return await _take(socket, socket.received, wanted, timeout, f"push {event!r} {payload!r}")


async def assert_broadcast(
    socket: TestSocket | JoinedChannel,
    event: str,
    payload: Any = ANY,
    *,
    timeout: float = TIMEOUT,
) -> Broadcast:
    """`event` was broadcast on a topic of `subscribe_and_join`, with this payload."""
    socket = _socket(socket)

    def wanted(message: Broadcast) -> bool:
        return message.event == event and _matches(payload, message.payload)

    what = f"broadcast {event!r} {payload!r}"
    return await _take(socket, socket.broadcasts, wanted, timeout, what)


async def refute_reply(
    ref: PushRef, status: Any = ANY, response: Any = ANY, *, timeout: float = TIMEOUT
) -> None:
    """No such reply comes."""
    await _refute(assert_reply(ref, status, response, timeout=timeout))


async def refute_push(
    socket: TestSocket | JoinedChannel,
    event: str,
    payload: Any = ANY,
    *,
    timeout: float = TIMEOUT,
) -> None:
    """The client gets no such event."""
    await _refute(assert_push(socket, event, payload, timeout=timeout))


async def refute_broadcast(
    socket: TestSocket | JoinedChannel,
    event: str,
    payload: Any = ANY,
    *,
    timeout: float = TIMEOUT,
) -> None:
    """No such event is broadcast."""
    await _refute(assert_broadcast(socket, event, payload, timeout=timeout))


async def _refute(assertion: Any) -> None:
    try:
        found = await assertion
    except AssertionError:
        return
    raise AssertionError(f"it came: {found!r}")


async def _take(
    socket: TestSocket,
    items: list[T],
    wanted: Callable[[T], bool],
    timeout: float,
    what: str,
) -> T:
    def first() -> T | None:
        for index, item in enumerate(items):
            if wanted(item):
                return items.pop(index)
        return None

    return await socket.take(first, timeout, lambda: f"no {what}; there is {items!r}")


def _matches(pattern: Any, value: Any) -> bool:
    if pattern is ANY:
        return True
    if callable(pattern):
        return bool(pattern(value))
    return bool(pattern == value)


def _socket(where: TestSocket | JoinedChannel) -> TestSocket:
    return where.socket if isinstance(where, JoinedChannel) else where
