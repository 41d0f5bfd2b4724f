"""A bare echo on each WebSocket engine under Trio: what a connection costs without a channel.

`python -m benchmarks.peers.bare_engines trio-websocket|wsproto|websockets`
"""

from __future__ import annotations

import sys

import trio
import trio_websocket
import wsproto
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from wsproto.events import AcceptConnection, CloseConnection, TextMessage
from wsproto.events import Request as WsprotoRequest

from benchmarks.harness.greeting import say_port
from benchmarks.harness.machine import allow_many_files


async def on_trio_websocket(stream: trio.SocketStream) -> None:
    async with trio.open_nursery() as nursery:
        request = await trio_websocket.wrap_server_stream(nursery, stream)
        connection = await request.accept()
        try:
            while True:
                await connection.send_message(await connection.get_message())
        except trio_websocket.ConnectionClosed:
            nursery.cancel_scope.cancel()


async def on_wsproto(stream: trio.SocketStream) -> None:
    connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    async for data in stream:
        connection.receive_data(bytes(data))
        answers = b""
        for event in connection.events():
            match event:
                case WsprotoRequest():
                    answers += connection.send(AcceptConnection())
                case TextMessage():
                    answers += connection.send(TextMessage(event.data))
                case CloseConnection():
                    answers += connection.send(event.response())
                case _:
                    pass  # the load sends nothing else
        await stream.send_all(answers)


async def on_websockets(stream: trio.SocketStream) -> None:
    protocol = ServerProtocol()
    async for data in stream:
        protocol.receive_data(data)
        for event in protocol.events_received():
            match event:
                case Request():
                    protocol.send_response(protocol.accept(event))
                case Frame(opcode=Opcode.TEXT):
                    protocol.send_text(event.data)
        await stream.send_all(b"".join(protocol.data_to_send()))


ENGINES = {
    "trio-websocket": on_trio_websocket,
    "wsproto": on_wsproto,
    "websockets": on_websockets,
}


async def main(engine: str) -> None:
    serve = ENGINES[engine]

    async def connection(stream: trio.SocketStream) -> None:
        try:
            await serve(stream)
        except* (trio.BrokenResourceError, trio_websocket.ConnectionClosed):
            pass  # the load closes without a farewell
        finally:
            await trio.aclose_forcefully(stream)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    say_port(listeners[0].socket.getsockname()[1], [engine, "trio"])
    await trio.serve_listeners(connection, listeners)


if __name__ == "__main__":
    allow_many_files()
    trio.run(main, sys.argv[1])
