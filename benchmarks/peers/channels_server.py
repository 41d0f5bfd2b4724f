"""Django Channels under Daphne, with its in-memory layer: one group for B, an answer for E."""
# mypy: disable-error-code="import-not-found,misc,no-untyped-call"
# (Django Channels is installed in an environment of its own; our package has the same import name.)

from __future__ import annotations

import socket

from benchmarks.harness.greeting import say_port
from benchmarks.harness.machine import allow_many_files

from django.conf import settings  # isort: skip  # settings come before what reads them

settings.configure(
    SECRET_KEY="benchmark",
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            # Above the default of 100: a slower reader than the publisher loses nothing here.
            "CONFIG": {"capacity": 100_000},
        }
    },
)

import django  # noqa: E402

django.setup()

from daphne.endpoints import build_endpoint_description_strings  # noqa: E402
from daphne.server import Server  # noqa: E402

from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[attr-defined, unused-ignore]  # noqa: E402


class Room(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("bench", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        del code
        await self.channel_layer.group_discard("bench", self.channel_name)

    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        del bytes_data
        if text_data.startswith("B"):
            event = {"type": "new.message", "text": text_data}
            await self.channel_layer.group_send("bench", event)
        else:
            await self.send(text_data=text_data)

    async def new_message(self, event: dict[str, str]) -> None:
        await self.send(text_data=event["text"])


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    server = Server(
        application=Room.as_asgi(),
        endpoints=build_endpoint_description_strings(file_descriptor=listener.fileno()),
        signal_handlers=False,
        ping_interval=3600,
        ping_timeout=3600,
        websocket_timeout=-1,
        ready_callable=lambda: say_port(port, ["channels", "daphne", "Twisted"]),
    )
    server.run()


if __name__ == "__main__":
    allow_many_files()
    main()
