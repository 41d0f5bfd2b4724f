"""Testing channels without a network, in the words of `Phoenix.ChannelTest`.

    async def test_ping(node):
        socket = await connect(Socket, {"token": "t"}, pubsub=pubsub)
        room = await subscribe_and_join(socket, "room:lobby", {})
        ref = push(room, "ping", {"a": 1})
        await assert_reply(ref, "ok", {"a": 1})

Channels, PubSub and all that a connection does for its channels are the real ones; only the
WebSocket is left out, and the limits on rates. What is sent passes through the V2 serializer, in
both directions, so a test sees what a client would see. What Phoenix writes with an exclamation
mark is the only kind here: a join that is refused raises.

Each `assert_` takes the oldest match out of what has arrived and waits `timeout` seconds for it;
each `refute_` waits that long for nothing. A pattern is a value that must be equal, a function that
says whether it matches, or `ANY`.

Everything is called from a process of a node: within `open_node()`, or a fixture that opens one.
"""

from channels.testing.connection import TestSocket
from channels.testing.verbs import (
    ANY,
    JoinedChannel,
    JoinRefusedError,
    PushRef,
    assert_broadcast,
    assert_closed,
    assert_push,
    assert_reply,
    broadcast_from,
    close,
    connect,
    disconnect,
    join,
    leave,
    push,
    refresh,
    refute_broadcast,
    refute_closed,
    refute_push,
    refute_reply,
    socket,
    subscribe_and_join,
)

__all__ = (
    "ANY",
    "JoinRefusedError",
    "JoinedChannel",
    "PushRef",
    "TestSocket",
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
