"""python-socketio under uvicorn: one room, an event that goes to all of it, an acknowledgement."""
# mypy: disable-error-code="import-not-found,untyped-decorator"
# (python-socketio is installed in an environment of its own.)

from __future__ import annotations

import asyncio
import socket

import socketio
import uvicorn

from benchmarks.harness.greeting import say_port
from benchmarks.harness.machine import allow_many_files

sio = socketio.AsyncServer(async_mode="asgi", ping_interval=600, ping_timeout=600)


@sio.event
async def connect(sid: str, _environ: object) -> None:
    await sio.enter_room(sid, "bench")


@sio.event
async def new_msg(_sid: str, payload: object) -> None:
    await sio.emit("new_msg", payload, room="bench")


@sio.event
async def ping(_sid: str, payload: object) -> object:
    return payload


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        socketio.ASGIApp(sio),
        log_level="warning",
        ws="websockets",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
    )
    say_port(listener.getsockname()[1], ["python-socketio", "uvicorn", "websockets"])
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    allow_many_files()
    asyncio.run(main())
