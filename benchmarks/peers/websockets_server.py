"""`websockets` on asyncio: its broadcast() for B, send() for E; no compression, no pings."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.harness.greeting import say_port
from benchmarks.harness.machine import allow_many_files

members: set[ServerConnection] = set()


async def connection(client: ServerConnection) -> None:
    members.add(client)
    try:
        async for message in client:
            assert isinstance(message, str)
            if message.startswith("B"):
                broadcast(members, message)
            else:
                await client.send(message)
    except ConnectionClosed:
        pass  # the load closes without a farewell
    finally:
        members.discard(client)


async def main() -> None:
    async with serve(
        connection, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=1024
    ) as server:
        say_port(next(iter(server.sockets)).getsockname()[1], ["websockets"])
        await server.serve_forever()


if __name__ == "__main__":
    allow_many_files()
    asyncio.run(main())
