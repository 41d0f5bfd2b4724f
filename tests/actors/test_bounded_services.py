"""Bounded mailboxes and the services of the runtime: what those send is always taken (semantics BM2)."""

from typing import Any

import pytest
import trio

from actors import (
    KILL,
    NORMAL,
    Consumer,
    EventHandler,
    EventManager,
    GroupJoined,
    GroupLeft,
    HandlerExited,
    IterableProducer,
    ProcessGroups,
    Registered,
    Registry,
    Task,
    TaskDone,
    exit,
    receive,
    register,
    self_pid,
    spawn,
)
from actors.bounded import Bounded, Overflow
from actors.testing import assert_down, wait_settled

POLICIES = list(Overflow)

GROUPS = ProcessGroups("groups")
NAMES = Registry("names", listeners=["listener"])


async def ask_for_task_done():
    """Each of these lets the calling process wait for a message of a service; what sends it."""
    gate = trio.Event()
    Task.async_link(gate.wait).notify()
    return gate.set


async def ask_for_handler_exited():
    manager = await EventManager.start()
    await EventManager.add_sup_handler(manager, EventHandler)
    return lambda: spawn(EventManager.delete_handler, manager, EventHandler)


async def ask_for_group_joined():
    GROUPS.monitor("group")
    return lambda: GROUPS.join("group", spawn(trio.sleep_forever))


async def ask_for_group_left():
    member = spawn(trio.sleep_forever)
    GROUPS.join("group", member)
    GROUPS.monitor("group")
    return lambda: exit(member, KILL)


async def ask_for_registered():
    register("listener", self_pid())

    async def enter():
        NAMES.register("key")

    return lambda: spawn(enter)


SERVICES = {
    TaskDone: ask_for_task_done,
    HandlerExited: ask_for_handler_exited,
    GroupJoined: ask_for_group_joined,
    GroupLeft: ask_for_group_left,
    Registered: ask_for_registered,
}


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.__name__)
async def test_what_a_service_of_the_runtime_tells_always_comes_and_harms_no_service(
    service, policy, node
):
    """BM2, K4: a task tells in its death procedure, a manager in its loop."""
    await GROUPS.start_link()
    await NAMES.start_link()
    gate, told = trio.Event(), []

    async def full_process():
        send_it = await SERVICES[service]()
        self_pid().send("the only message for which there is room")
        send_it()
        await gate.wait()
        told.append(await receive(service))

    pid = spawn(full_process, mailbox=Bounded(1, policy))
    await wait_settled()
    gate.set()
    assert await assert_down(pid) is NORMAL
    assert len(told) == 1


@pytest.mark.parametrize("policy", POLICIES, ids=str)
async def test_stages_with_bounded_mailboxes_pass_their_events_on(policy, node):
    """BM2: the demand is their bound."""

    class Collector(Consumer):
        async def init(self, producer):
            self.got = []
            self.subscribe(producer, max_demand=4)

        async def handle_events(self, events, producer):
            self.got.extend(events)

    small = Bounded(1, policy)
    producer = await IterableProducer.start(range(40), mailbox=small)
    consumer = await Collector.start(producer, mailbox=small)
    server: Any = node.processes[consumer].server
    assert await assert_down(consumer) is NORMAL
    assert server.got == list(range(40))
