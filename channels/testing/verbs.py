"""The verbs of a test: connect, join, push, and what to assert about the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs
import trio

from actors import KILL, Pid, Shutdown
from channels import fastlane
from channels.exceptions import ChannelsError
from channels.messages import AUTH_TOKEN, HEARTBEAT_TOPIC, JOIN, LEAVE, REPLY, Broadcast, Message
from channels.pubsub import PubSub
from channels.socket import ConnectInfo, PeerData, UserSocket
from channels.testing.connection import TestSocket, open_socket
from channels.transports.connection import DISCONNECT

__all__ = (
    "ANY",
    "JoinRefusedError",
    "JoinedChannel",
    "PushRef",
    "assert_broadcast",
    "assert_closed",
    "assert_push",
    "assert_reply",
    "broadcast_from",
    "close",
    "connect",
    "disconnect",
    "join",
    "leave",
    "push",
    "refresh",
    "refute_broadcast",
    "refute_closed",
    "refute_push",
    "refute_reply",
    "socket",
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
    """A join was refused, or crashed; `response` is what the client has got."""

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


async def socket(
    socket_class: type[UserSocket],
    id: str | None = None,
    assigns: Mapping[str, Any] | None = None,
    *,
    pubsub: PubSub,
) -> TestSocket:
    """A connection with this id and these assigns, of which `connect` was not asked."""
    made = socket_class()
    made.assigns.update(assigns or {})
    return await open_socket(made, id, pubsub)


async def connect(
    socket_class: type[UserSocket],
    params: Mapping[Any, Any] | None = None,
    *,
    pubsub: PubSub,
    info: ConnectInfo | None = None,
    auth_token: str | None = None,
) -> TestSocket:
    """Let a client connect, whose params have strings as keys. Its id is asked for.

    `info` is what the socket is told of the client, by default a local one; `auth_token` what it
    has sent as such. Raises what the socket's `connect` raises: `ConnectRefused`; TypeError for an
    id that is none.
    """
    made = socket_class()
    where = info or ConnectInfo(PeerData("127.0.0.1", 0), "/socket", "", ())
    if auth_token is not None:
        where = attrs.evolve(where, auth_token=auth_token)
    await made.connect(_with_strings_as_keys(params or {}), where)
    socket_id = made.id()
    if not isinstance(socket_id, str | None):
        raise TypeError(f"{socket_class.__name__}.id() gave {socket_id!r}; expected a str or None")
    return await open_socket(made, socket_id, pubsub)


def _with_strings_as_keys(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _with_strings_as_keys(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_with_strings_as_keys(item) for item in value]
    return value


async def join(
    socket: TestSocket, topic: str, payload: Any = None, *, timeout: float = 5.0
) -> JoinedChannel:
    """Join, and wait for the answer. Raises `JoinRefusedError`."""
    ref = PushRef(socket, socket.next_ref())
    socket.send(Message(ref.ref, ref.ref, topic, JOIN, {} if payload is None else payload))
    answer = (await assert_reply(ref, timeout=timeout)).payload
    if answer["status"] != "ok":
        raise JoinRefusedError(topic, answer["response"])
    return JoinedChannel(socket, topic, ref.ref, socket.channel_of(topic), answer["response"])


async def subscribe_and_join(
    socket: TestSocket, topic: str, payload: Any = None, *, timeout: float = 5.0
) -> JoinedChannel:
    """Subscribe the test to `topic`, for `assert_broadcast`, and join.

    Raises `JoinRefusedError`.
    """
    socket.subscribe(topic)
    return await join(socket, topic, payload, timeout=timeout)


async def leave(channel: JoinedChannel) -> PushRef:
    """Leave; the reply is ok, and `phx_close` follows."""
    return push(channel, LEAVE, {})


async def close(where: TestSocket | JoinedChannel, *, timeout: float = 5.0) -> None:
    """The client goes: end one channel, or the connection with all of its channels.

    Waits for their end, which `terminate` hears as `Shutdown("closed")`, and kills those that live
    after `timeout` seconds.
    """
    if isinstance(where, JoinedChannel):
        connection, doomed = where.socket, [where.pid]
        connection.forget(where.pid)
        where.pid.target.receive_exit(connection.pid, Shutdown("closed"), linked=False)
    else:
        doomed = [where.pid, *where.channels()]
        where.close(1000, "closed by the test")
    with trio.move_on_after(timeout):
        for pid in doomed:
            await pid.wait_exited()
    for pid in doomed:
        pid.exit(KILL)
        await pid.wait_exited()


# -- pushing -------------------------------------------------------------------------------------


def push(channel: JoinedChannel, event: str, payload: Any = None) -> PushRef:
    """Push as the client would; the ref for `assert_reply`."""
    socket = channel.socket
    ref = PushRef(socket, socket.next_ref())
    payload = {} if payload is None else payload
    socket.send(Message(channel.join_ref, ref.ref, channel.topic, event, payload))
    return ref


def refresh(socket: TestSocket, params: Any) -> PushRef:
    """New credentials, as a client sends them (`auth_token`); the ref for `assert_reply`."""
    ref = PushRef(socket, socket.next_ref())
    socket.send(Message(None, ref.ref, HEARTBEAT_TOPIC, AUTH_TOKEN, params))
    return ref


def broadcast_from(channel: JoinedChannel, event: str, payload: Any) -> None:
    """Broadcast on the channel's topic to everybody but the test itself."""
    message = Broadcast(channel.topic, event, payload)
    channel.socket.pubsub.broadcast_from(
        channel.socket.pid, channel.topic, message, fastlane.dispatch
    )


def disconnect(pubsub: PubSub, socket_id: str) -> None:
    """Close all connections of an id, as `Endpoint.disconnect` does."""
    pubsub.broadcast(socket_id, Broadcast(socket_id, DISCONNECT, {}), fastlane.dispatch)


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


async def assert_closed(
    socket: TestSocket, code: Any = ANY, *, timeout: float = TIMEOUT
) -> tuple[int, str]:
    """The server has closed the connection with this code; code and reason."""

    def closed() -> tuple[int, str] | None:
        return socket.closed if socket.closed and _matches(code, socket.closed[0]) else None

    return await socket.take_when_there(
        closed, timeout, lambda: f"no close {code!r}; there is {socket.closed!r}"
    )


async def refute_closed(socket: TestSocket, code: Any = ANY, *, timeout: float = TIMEOUT) -> None:
    """The server does not close the connection."""
    await _refute(assert_closed(socket, code, timeout=timeout))


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

    return await socket.take_when_there(first, timeout, lambda: f"no {what}; there is {items!r}")


def _matches(pattern: Any, value: Any) -> bool:
    if pattern is ANY:
        return True
    if callable(pattern):
        return bool(pattern(value))
    return bool(pattern == value)


def _socket(where: TestSocket | JoinedChannel) -> TestSocket:
    return where.socket if isinstance(where, JoinedChannel) else where
