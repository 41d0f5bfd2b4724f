"""The chat's channel and socket: everything that is particular to it on the server."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from channels import Channel, ConnectInfo, Reply, UserSocket

INVALID_PAYLOAD = {"reason": "invalid payload", "expected": "an object"}


class RoomChannel(Channel):
    """A room: whoever joins `room:<name>` gets what is said there."""

    log_handle_in = None  # a line for each push would slow down the load tools, which use --debug

    async def join(self, topic: str, payload: Any) -> dict[str, Any]:
        """Everybody is welcome in every room."""
        self._serials = itertools.count(1)
        return {}

    async def handle_in(self, event: str, payload: Any) -> Any:
        """`ping`, `new_msg` and `typing`; see the README for the protocol."""
        match event:
            case "ping":
                return Reply.ok(payload)
            case "new_msg" | "typing" if not isinstance(payload, dict):
                return Reply.error(INVALID_PAYLOAD)
            case "new_msg":
                self.broadcast(
                    "new_msg", {"user": self.assigns["name"], **payload, **self._stamp()}
                )
                return Reply.ok()
            case "typing":
                self.broadcast_from("typing", {"user": self.assigns["name"], **payload})
                return None
        return await super().handle_in(event, payload)

    def _stamp(self) -> dict[str, str]:
        """What the server adds to a message: an id that no other message has, and the time."""
        serial = f"{self.pid.serial}-{next(self._serials)}"
        return {"id": serial, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}


class DebugRoomChannel(RoomChannel):
    """A room in which a client can make the server's handler crash, to see it heal."""

    async def handle_in(self, event: str, payload: Any) -> Any:
        """`crash` besides what a room knows."""
        if event == "crash":
            raise RuntimeError("crash was asked for")
        return await super().handle_in(event, payload)


class ChatSocket(UserSocket):
    """Connections to the chat. `name` may be anything: this is a demo without accounts."""

    channels = {"room:*": RoomChannel}

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        """Let everybody in."""
        name = params.get("name")
        self.assigns["name"] = name[:80] if isinstance(name, str) and name else "anonymous"


class DebugChatSocket(ChatSocket):
    """The same with rooms that can crash."""

    channels = {"room:*": DebugRoomChannel}
