"""How to say the same things to different servers: join, publish to all, ask for a reply.

Every dialect carries the same body of about 100 bytes, so that the servers move about as much.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Protocol

BODY = "The quick brown fox jumps over the lazy dog, and then it comes back to do it all again."
_PAYLOAD = json.dumps({"body": BODY}, separators=(",", ":"))
_HEARTBEAT = b'[null,"9","phoenix","heartbeat",{}]'
LEAST_SIZE = len(BODY)  # a shorter message from the server carries no body: an acknowledgement


class Dialect(Protocol):
    """What a load client must know about a server's protocol."""

    path: str  # of the upgrade request

    def greetings(self) -> list[tuple[bytes, bytes]]:
        """Messages to send after the upgrade, each with a text that its answer contains."""

    def publish(self) -> bytes:
        """A message that the server sends on to every connection."""

    def ask(self) -> bytes:
        """A message that the server answers to this connection alone."""

    def heartbeat(self) -> bytes | None:
        """A message that keeps an idle connection alive; None where the server closes none."""


class Plain:
    """Servers without a protocol of their own: the first letter says Broadcast or Echo."""

    path = "/"

    def greetings(self) -> list[tuple[bytes, bytes]]:
        return []

    def publish(self) -> bytes:
        return b"B" + _PAYLOAD.encode()

    def ask(self) -> bytes:
        return b"E" + _PAYLOAD.encode()

    def heartbeat(self) -> bytes | None:
        return b"E" + _HEARTBEAT  # these servers close no idle connection; for `idle`


class Phoenix:
    """Phoenix Channels V2, as JSON text frames: [join_ref, ref, topic, event, payload]."""

    path = "/socket/websocket?vsn=2.0.0"

    def __init__(self, topic: str = "room:bench") -> None:
        self._topic = topic

    def message(self, ref: str | None, event: str, payload: str, join_ref: str = "1") -> bytes:
        """A message to the topic; `payload` is JSON already."""
        parts = [json.dumps(part) for part in (join_ref, ref, self._topic, event)]
        return f"[{','.join(parts)},{payload}]".encode()

    def greetings(self) -> list[tuple[bytes, bytes]]:
        return [(self.message("1", "phx_join", "{}"), b'"status":"ok"')]

    def publish(self) -> bytes:
        return self.message(None, "new_msg", _PAYLOAD)  # without a ref: no reply is wanted

    def ask(self) -> bytes:
        return self.message("7", "ping", _PAYLOAD)

    def heartbeat(self) -> bytes | None:
        return _HEARTBEAT

    def visit(self) -> list[tuple[bytes, bytes]]:
        """Join one more topic and leave it again; each with what ends the server's answer."""
        other = Phoenix("room:visited")
        join = other.message("v", "phx_join", "{}", join_ref="v")
        leave = other.message("w", "phx_leave", "{}", join_ref="v")
        return [(join, b'"status":"ok"'), (leave, b'"phx_close"')]


class PhoenixApart(Phoenix):
    """Every connection joins a topic of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count()

    def greetings(self) -> list[tuple[bytes, bytes]]:
        return Phoenix(f"room:{next(self._numbers)}").greetings()


class SocketIO:
    """socket.io 4 over engine.io 4, WebSocket transport from the start."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def greetings(self) -> list[tuple[bytes, bytes]]:
        return [(b"40", b'40{"sid"')]

    def publish(self) -> bytes:
        return f'42["new_msg",{_PAYLOAD}]'.encode()

    def ask(self) -> bytes:
        return f'427["ping",{_PAYLOAD}]'.encode()

    def heartbeat(self) -> bytes | None:
        return None  # the server pings, and the benchmark's server does so once in ten minutes


def dialect(name: str) -> Dialect:
    """The dialect called `name`."""
    match name:
        case "plain":
            return Plain()
        case "phoenix":
            return Phoenix()
        case "phoenix, a topic each":
            return PhoenixApart()
        case "socketio":
            return SocketIO()
        case _:
            raise ValueError(f"no dialect {name!r}; there are plain, phoenix and socketio")
