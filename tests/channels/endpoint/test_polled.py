"""Connections that the poller reads for: they have no task, and it may fall."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing
import trio
from trio.testing import wait_all_tasks_blocked

from actors import KILL, Node, Pid, current_node
from actors.waker import MOST
from channels import Channel, Endpoint, Reply, UserSocket
from channels.transports import poller
from channels.transports.connection import Connection
from channels.transports.poller import Poller
from tests.channels.endpoint.hostile import UPGRADE
from tests.channels.phoenix import Client, connected, running

pytestmark = pytest.mark.skipif(not Poller.available, reason="needs epoll, which Linux has")


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> None: ...

    async def handle_in(self, event: str, payload: Any) -> Any:
        if event == "all":
            self.broadcast("all", payload)
            return None
        return Reply.ok(payload)


class Socket(UserSocket):
    channels = {"room:*": Room}


def endpoint() -> Endpoint:
    return Endpoint({"/socket": Socket}, port=0)


def labelled(node: Node, label: str) -> Pid:
    (pid,) = (pid for pid in node.processes if pid.label == label)
    return pid


async def replies(client: Client, join_ref: str, n: int) -> None:
    ref = await client.push(join_ref, "room:1", "echo", {"n": n})
    assert (await client.expect_reply(ref))["response"] == {"n": n}


async def test_a_poller_that_is_killed_is_started_again_and_no_client_notices(node):
    async with running(endpoint()) as served, connected(served) as client:
        join_ref = await client.join("room:1")
        for n in range(3):
            first = labelled(node, "Poller")
            first.exit(KILL)
            ref = await client.push(join_ref, "room:1", "echo", {"n": n})
            assert (await client.expect_reply(ref))["response"] == {"n": n}
            assert labelled(node, "Poller") is not first


async def test_a_connection_sleeps_and_is_woken_for_its_end_only(node):
    async with running(endpoint()) as served:
        async with connected(served) as client:
            join_ref = await client.join("room:1")
            connection = node.processes[labelled(node, "Connection")]
            for n in range(3):
                await replies(client, join_ref, n)
                assert connection.asleep
        await connection.pid.wait_exited()
        await wait_all_tasks_blocked()
        assert not [pid for pid in node.processes if pid.label in {"Connection", "Room"}]


async def test_a_connection_that_is_killed_in_its_sleep_closes_its_socket_and_its_channels(node):
    async with running(endpoint()) as served, connected(served) as client:
        await client.join("room:1")
        labelled(node, "Connection").exit(KILL)
        with pytest.raises(Exception, match=r"1006|closed"), trio.fail_after(5):
            while True:
                await client.expect()
        await wait_all_tasks_blocked()
        assert not [pid for pid in node.processes if pid.label in {"Connection", "Room"}]


async def test_many_connections_that_end_at_once_are_seen_off_a_few_in_each_step(node, monkeypatch):
    monkeypatch.setattr(poller, "SECONDS_PER_STEP", 60.0)  # it sees all of them end in one step
    many = 6 * MOST
    async with running(endpoint()) as served:
        sockets = []
        for _ in range(many):
            stream = await trio.open_tcp_stream(*served.addresses[0])
            await stream.send_all(UPGRADE)
            assert b" 101 " in await stream.receive_some()
            sockets.append(stream.socket)
        await wait_all_tasks_blocked()
        for each in sockets:
            each.close()
        before = many
        while before:
            await trio.lowlevel.checkpoint()
            now = sum(pid.label == "Connection" for pid in node.processes)
            assert before - now <= 2 * MOST
            before = now


async def test_a_frame_that_crashes_the_connection_ends_that_connection_alone(node, monkeypatch):
    """K4: it is handled in the poller's step, and is none of the poller's business."""
    async with running(endpoint()) as served, connected(served) as other:
        join_ref = await other.join("room:1")
        poller = labelled(node, "Poller")
        async with connected(served) as victim:
            await victim.join("room:2")
            mine = max(pid for pid in node.processes if pid.label == "Connection")
            (connection,) = (c for pid, c in served._services.websockets.items() if pid is mine)

            def fail(*_: Any) -> Any:
                raise RuntimeError("a bug of ours")

            monkeypatch.setattr(type(connection._multiplexer), "receive", fail)
            with structlog.testing.capture_logs() as logs:
                await victim.push(None, "room:2", "echo")
                await mine.wait_exited()
            monkeypatch.undo()
            assert "process exited" in [log["event"] for log in logs]
        await replies(other, join_ref, 1)
        assert labelled(current_node(), "Poller") is poller


@pytest.mark.parametrize("where", ["_watch_idleness", "_be_polled"])
async def test_a_connection_that_crashes_before_it_is_polled_is_closed_and_reported(
    node, monkeypatch, where
):
    """K4: the client does not wait for one who is dead, and nobody else notices."""
    async with running(endpoint()) as served, connected(served) as other:
        join_ref = await other.join("room:1")

        def fail(*_: Any) -> Any:
            raise RuntimeError("a bug of ours")

        monkeypatch.setattr(Connection, where, fail)
        stream = await trio.open_tcp_stream(*served.addresses[0])
        with structlog.testing.capture_logs() as logs, trio.fail_after(5):
            async with stream:
                await stream.send_all(UPGRADE)
                while await stream.receive_some():
                    pass
            await wait_all_tasks_blocked()
        monkeypatch.undo()
        (report,) = (log for log in logs if log["event"] == "process exited")
        assert "a bug of ours" in report["reason"]
        assert [log["by"] for log in logs if log["event"] == "disconnected"] == ["server"]
        assert list(served.list_sockets()) == [labelled(node, "Connection")]
        await replies(other, join_ref, 1)
