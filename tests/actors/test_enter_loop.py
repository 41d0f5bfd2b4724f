"""GenServer: a plain process that becomes a server (semantics G6)."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import (
    NORMAL,
    GenServer,
    ProcessExit,
    Registry,
    Timeout,
    Via,
    receive,
    register,
    self_pid,
    send,
    spawn,
    spawn_link,
    spawn_monitor,
    trap_exit,
)
from tests.actors.servers import Scripted

# -- enter_loop (G6) -----------------------------------------------------------------------------


async def test_a_plain_process_can_become_a_server(node, autojump_clock):
    """G6."""
    log: list[Any] = []

    async def prepares():
        server = Scripted()
        server.log = log
        register("prepared", self_pid())
        await server.enter_loop(name="prepared", then=Timeout(1, "first"))

    pid, ref = spawn_monitor(prepares)
    assert await pid.call(("return", "served")) == "served"
    await trio.sleep(2)
    assert log[-1] == ("info", "first")
    await pid.stop()
    assert (await receive(ref)).reason is NORMAL
    assert log[-1] == ("terminate", NORMAL)


async def test_the_parent_of_a_process_that_became_a_server_can_end_it_in_order(node):
    log: list[Any] = []

    async def becomes():
        trap_exit()
        server = Scripted()
        server.log = log
        await server.enter_loop()

    async def parent():
        register("parent", self_pid())
        spawn_link(becomes)
        raise ProcessExit(await receive())

    pid, ref = spawn_monitor(parent)
    await wait_all_tasks_blocked()
    send(pid, "reason")
    await receive(ref)
    await wait_all_tasks_blocked()
    assert log == [("terminate", "reason")]


NAMES = Registry("names")


@pytest.mark.parametrize("name", ["not mine", Via(NAMES, "not mine")], ids=["local", "via"])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_process_becomes_a_server_only_under_its_own_name(name, taken, node):
    """G6; gen_server_SUITE otp_5854: whether nobody has the name or another."""
    await NAMES.start_link()
    if taken:
        await Scripted.start(name=name)

    async def prepares():
        register("mine", self_pid())
        await Scripted().enter_loop(name=name)

    _, ref = spawn_monitor(prepares)
    told = str((await receive(ref)).reason.exception)
    assert "is not registered as" in told
    assert "not mine" in told


@pytest.mark.parametrize("way", ["local", "via"])
async def test_a_process_becomes_a_server_under_the_name_that_it_has(way, node):
    """G6; gen_server_SUITE otp_5854."""
    await NAMES.start_link()
    name: Any = "mine" if way == "local" else Via(NAMES, "mine")

    async def prepares():
        if way == "local":
            register("mine", self_pid())
        else:
            NAMES.register("mine")
        server = Scripted()
        server.log = []
        await server.enter_loop(name=name)

    spawn(prepares)
    await wait_all_tasks_blocked()
    assert await GenServer.call(name, ("return", "served")) == "served"


async def test_a_server_cannot_become_another_and_the_body_of_a_node_none(node):
    class Changing(GenServer):
        async def handle_call(self, request, sender):
            try:
                await Scripted().enter_loop()
            except RuntimeError as error:
                return str(error)

    assert "is a server already" in await (await Changing.start()).call("x")
    with pytest.raises(RuntimeError, match="spawned process"):
        await Scripted().enter_loop()
