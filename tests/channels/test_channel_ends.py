"""How a channel may end, and what its client is told: phx_close or phx_error (C9).

phx_close is final for a client, phx_error lets it join again. Phoenix's socket is told of a close by
the channel that stops; of every other end it says phx_error.
"""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from actors import (
    NORMAL,
    SHUTDOWN,
    Continue,
    NoReply,
    Pid,
    ProcessExit,
    Shutdown,
    Stop,
    current_node,
)
from actors import spawn as spawn_process
from channels import Channel, Endpoint, Reply, UserSocket
from supervisors import DynamicSupervisor
from tests.channels.phoenix import Client, connected, running

STOPS = ["in", "in with a reply", "out", "info", "call", "cast", "continue"]
REASONS = [NORMAL, SHUTDOWN, Shutdown("done")]


class Room(Channel):
    intercept = ("out",)

    async def join(self, topic: str, payload: Any) -> Any:
        return None

    async def handle_in(self, event: str, payload: Any) -> Any:
        reason = self.assigns["reason"]
        match event:
            case "in":
                return Stop(reason)
            case "in with a reply":
                return Stop(reason, reply=Reply.ok())
            case "continue":
                return NoReply(then=Continue(reason))
            case "out":
                self.broadcast("out", {})
            case "info":
                self.pid.send(("stop", reason))
            case "cast":
                self.pid.cast(reason)
            case "call":
                spawn_process(self.pid.call, reason)
            case "raise":
                raise ProcessExit(reason)
        return None

    async def handle_out(self, event: str, payload: Any) -> Any:
        return Stop(self.assigns["reason"])

    async def handle_info(self, message: Any) -> Any:
        match message:
            case ("stop", reason):
                return Stop(reason)

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return Stop(request, reply="stopped")

    async def handle_cast(self, message: Any) -> Any:
        return Stop(message)

    async def handle_continue(self, token: Any) -> Any:
        return Stop(token)

    async def terminate(self, reason: Any) -> None:
        self.push("bye", {})


class Careless(Room):
    trap_exit = False


def endpoint_with(reason: Any, room: type[Room] = Room) -> Endpoint:
    async def connect(self: UserSocket, params: Any, info: Any) -> None:
        self.assigns["reason"] = reason

    socket = type("Socket", (UserSocket,), {"channels": {"room:*": room}, "connect": connect})
    return Endpoint({"/socket": socket}, port=0)


def the_channel() -> Pid:
    [pid] = [pid for pid in current_node().processes if pid.label in {"Room", "Careless"}]
    return pid


async def frames(client: Client, count: int) -> list[str]:
    return [(await client.expect())[3] for _ in range(count)]


@pytest.mark.parametrize("reason", REASONS, ids=str)
@pytest.mark.parametrize("stop", STOPS)
async def test_an_orderly_stop_of_any_callback_is_phx_close_and_then_what_terminate_pushes(
    node, stop, reason
):
    async with running(endpoint_with(reason)) as endpoint, connected(endpoint) as client:
        await client.push(await client.join("room:1"), "room:1", stop)
        if stop == "in with a reply":
            assert await frames(client, 1) == ["phx_reply"]
        assert await frames(client, 2) == ["phx_close", "bye"]
        await trio.testing.wait_all_tasks_blocked()
        await client.settle()


@pytest.mark.parametrize("stop", STOPS)
async def test_a_stop_that_is_not_orderly_is_phx_error_behind_what_terminate_pushes(node, stop):
    async with running(endpoint_with("bad end")) as endpoint, connected(endpoint) as client:
        await client.push(await client.join("room:1"), "room:1", stop)
        with structlog.testing.capture_logs():
            if stop == "in with a reply":
                assert await frames(client, 1) == ["phx_reply"]
            assert await frames(client, 2) == ["bye", "phx_error"]


@pytest.mark.parametrize("reason", REASONS, ids=str)
async def test_an_exit_raised_in_a_callback_is_phx_error_however_orderly(node, reason):
    async with running(endpoint_with(reason)) as endpoint, connected(endpoint) as client:
        await client.push(await client.join("room:1"), "room:1", "raise")
        assert await frames(client, 2) == ["bye", "phx_error"]
        await client.join("room:1")


@pytest.mark.parametrize("reason", [SHUTDOWN, Shutdown("done")], ids=str)
async def test_an_exit_signal_is_phx_error_however_orderly(node, reason):
    async with running(endpoint_with(NORMAL, Careless)) as endpoint, connected(endpoint) as client:
        join_ref = await client.join("room:1")
        the_channel().exit(reason)
        error = ["phx_error", {"reason": "channel_crash"}]
        assert await client.expect() == [join_ref, join_ref, "room:1", *error]


async def test_stop_from_outside_is_phx_error(node):
    """GenServer.stop is not announced in Phoenix either."""
    async with running(endpoint_with(NORMAL)) as endpoint, connected(endpoint) as client:
        await client.join("room:1")
        await the_channel().stop()
        assert await frames(client, 2) == ["bye", "phx_error"]


async def test_a_supervisor_that_stops_a_channel_gives_phx_error(node):
    async with running(endpoint_with(NORMAL)) as endpoint, connected(endpoint) as client:
        await client.join("room:1")
        supervisor = endpoint._services.channel_supervisor()
        await DynamicSupervisor.terminate_child(supervisor, the_channel())
        assert await frames(client, 2) == ["bye", "phx_error"]


async def test_a_linked_process_that_dies_in_order_takes_the_channel_along_as_phx_error(node):
    async with running(endpoint_with(NORMAL, Careless)) as endpoint, connected(endpoint) as client:
        await client.join("room:1")
        other = spawn_process(trio.sleep_forever)
        other.target.link(the_channel())  # type: ignore[attr-defined]  # as it would itself
        other.exit(SHUTDOWN)
        assert await frames(client, 1) == ["phx_error"]
