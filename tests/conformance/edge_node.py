"""A node whose channels do what the demo's do not: `python -m tests.conformance.edge_node --port 0`.

Every feature of `Channel`, `UserSocket` and `Endpoint` that a client can see has an event or a topic here.
"""

from __future__ import annotations

import argparse
from typing import Any

import attrs
import trio

from actors import NORMAL, GenServer, Pid, Stop
from channels import (
    TLS,
    Binary,
    Channel,
    ConnectInfo,
    ConnectRefused,
    Endpoint,
    JoinRefused,
    Mount,
    Reply,
    SocketRef,
    UserSocket,
    on,
    reply,
)
from examples.chat.log import configure_logging
from supervisors import Application


@attrs.frozen
class Sum:
    """What `add` takes."""

    left: int
    right: int


@attrs.frozen
class Later:
    """A message of a channel to itself: answer that push now."""

    ref: SocketRef
    response: Any


class RoomChannel(Channel):
    """`room:*`: one event for each thing that a channel can do."""

    intercept = ("secret",)

    async def join(self, topic: str, payload: Any) -> Any:
        self.pid.send("after join")
        return {"assigns": self.assigns, "params": payload}

    async def handle_info(self, message: Any) -> Any:
        match message:
            case "after join":
                self.push("welcome", {"topic": self.topic})
            case Later(ref, response):
                reply(ref, Reply.ok(response))

    async def handle_out(self, event: str, payload: Any) -> Any:
        self.push(event, {**payload, "for": self.assigns["user"]})

    async def handle_in(self, event: str, payload: Any) -> Any:
        match event:
            case "ping":
                return Reply.ok(payload)
            case "silence":
                return None
            case "decline":
                return Reply.error({"reason": "declined"})
            case "later":
                self.pid.send(Later(self.socket_ref(), payload))
                return None
            case "push bytes":
                self.push("bytes", Binary(b"\x00\xff"))
                return None
            case "broadcast" | "secret":
                self.broadcast(event, payload)
                return Reply.ok()
            case "broadcast bytes":
                self.broadcast("bytes", payload)
                return Reply.ok()
            case "broadcast from":
                self.broadcast_from("from", payload)
                return Reply.ok()
            case "stop in order":
                return Stop(NORMAL, reply=Reply.ok({"bye": True}))
            case "stop with a reason":
                return Stop("out of order", reply=Reply.ok({"bye": False}))
            case "put out":
                GenServer.cast("doorkeeper", payload["user"])
                return Reply.ok()
            case "ask":
                self.push("answer", {"got": await self.push_and_wait("question", payload)})
                return None
        return await super().handle_in(event, payload)

    @on("add")
    async def add(self, payload: Sum) -> Reply:
        return Reply.ok({"sum": payload.left + payload.right})


class LockedChannel(Channel):
    """`locked:*`: says no."""

    async def join(self, topic: str, payload: Any) -> Any:
        raise JoinRefused({"reason": "unauthorized", "topic": topic})


class BrokenChannel(Channel):
    """`broken:*`: crashes in its join."""

    async def join(self, topic: str, payload: Any) -> Any:
        raise RuntimeError("no join today")


class StuckChannel(Channel):
    """`stuck:*`: never answers a join."""

    async def join(self, topic: str, payload: Any) -> Any:
        await trio.sleep_forever()


class EdgeSocket(UserSocket):
    """Everybody is called by their token, and may be disconnected by it."""

    channels = {
        "room:*": RoomChannel,
        "marked:*": (RoomChannel, {"marked": True}),
        "locked:*": LockedChannel,
        "broken:*": BrokenChannel,
        "stuck:*": StuckChannel,
    }
    max_channels = 3

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        refusal = params.get("refuse")
        if refusal == "before":
            raise ConnectRefused("go away", status=429)
        if refusal == "after":
            raise ConnectRefused("go away", after_upgrade=True)
        if refusal == "for now":
            raise ConnectRefused("too many", after_upgrade=True, retry_after=7)
        self.assigns["user"] = info.auth_token or params.get("name", "nobody")
        self.assigns["tenant"] = params.get("tenant")

    async def refresh(self, params: dict[str, Any]) -> Any:
        if params["token"] == "stolen":
            raise ConnectRefused("stolen", after_upgrade=True)
        self.assigns["user"] = params["token"]

    def id(self) -> str | None:
        user: str = self.assigns["user"]
        return f"user:{user}"


class Doorkeeper(GenServer):
    """Puts people out: `GenServer.cast("doorkeeper", user)`."""

    async def init(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def handle_cast(self, user: Any) -> None:
        self._endpoint.disconnect(f"user:{user}")


class Edge(Application):
    """One endpoint, and who may put people out."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__([endpoint, Doorkeeper.child_spec(endpoint, name="doorkeeper")])
        self._endpoint = endpoint

    async def started(self, root: Pid) -> None:
        print(f"Edge is running at {self._endpoint.url} (SIGTERM stops it)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--engine", default="trio-websocket")
    parser.add_argument("--certificate", nargs=2, metavar=("CERTFILE", "KEYFILE"))
    options = parser.parse_args()
    configure_logging(debug=True)  # on stderr: nobody reads what stands on stdout after the address
    mounts: dict[str, type[UserSocket] | Mount] = {
        "/socket": Mount(EdgeSocket, auth_token=True, longpoll=True),
        "/tenants/:tenant": EdgeSocket,
    }
    tls = TLS(*options.certificate) if options.certificate else None
    place = {"host": options.host, "port": options.port}
    Edge(Endpoint(mounts, **place, engine=options.engine, tls=tls)).run()


if __name__ == "__main__":
    main()
