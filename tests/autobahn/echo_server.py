"""A bare echo server: outbox and engine, nothing of channels on top.

`python tests/autobahn/echo_server.py --engine wsproto --port 0` prints the port and echoes until it
is killed. It is what Autobahn's client is let loose on, and what bare echo rates are measured on.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from channels.endpoint.http import HttpConnection, HttpError, Request
from channels.transports.frames import frame
from channels.transports.outbox import Outbox
from channels.transports.websocket import (
    ENGINES,
    BadUpgradeError,
    ConnectionClosed,
    check_upgrade,
    load_engine,
)

HANDSHAKE_TIMEOUT = 10.0  # seconds
CLOSE_TIMEOUT = 1.0


async def echo(
    options: argparse.Namespace, nursery: trio.Nursery, stream: trio.SocketStream
) -> None:
    """Serve one connection until it ends."""
    request = await read_upgrade(stream)
    if request is None:
        return
    outbox = Outbox(stream, spawn=nursery.start_soon, limit=0)
    try:
        engine = await load_engine(options.engine)(
            outbox,
            request,
            nursery=nursery,
            max_message_size=options.max_message_size,
            deflate=options.deflate,
        )
        del request  # it is of no use any more, but would be as much memory as the engine
        while True:
            messages = await engine.receive()
            if len(messages) == 1:
                outbox.push(frame(*messages[0]))
                continue
            with outbox.corked():
                for opcode, data in messages:
                    outbox.push(frame(opcode, data))
    except (ConnectionClosed, trio.BrokenResourceError):
        pass
    finally:
        await outbox.close_after_flush(CLOSE_TIMEOUT)


async def read_upgrade(stream: trio.SocketStream) -> Request | None:
    """Read the request, or close the stream."""
    connection = HttpConnection(stream)
    try:
        request = await connection.read_head(timeout=HANDSHAKE_TIMEOUT)
        if request is not None:
            check_upgrade(request)
            return request
    except (HttpError, BadUpgradeError, trio.BrokenResourceError):
        pass
    await trio.aclose_forcefully(stream)
    return None


async def main() -> None:
    """Listen, say where, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="trio-websocket")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--max-message-size", type=int, default=64 * 1024 * 1024)
    parser.add_argument("--deflate", action="store_true")
    options = parser.parse_args()
    listeners = await trio.open_tcp_listeners(options.port, host="127.0.0.1", backlog=1024)
    print(listeners[0].socket.getsockname()[1], flush=True)
    async with trio.open_nursery() as nursery:
        await trio.serve_listeners(functools.partial(echo, options, nursery), listeners)


if __name__ == "__main__":
    trio.run(main)
