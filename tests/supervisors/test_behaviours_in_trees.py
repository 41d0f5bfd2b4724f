"""Every behaviour of actors as the child of a supervisor, by its own child specification."""

from typing import Any

import pytest
import trio

from actors import (
    KILL,
    Agent,
    CallEvent,
    EventManager,
    KeepState,
    NextState,
    NoProcessError,
    Pid,
    ProcessGroups,
    Registry,
    ReplyTo,
    StateMachine,
    Task,
    spawn,
)
from supervisors import BRUTAL_KILL, ChildSpec, Supervisor

REGISTRY = Registry("registry")
GROUPS = ProcessGroups("groups")


class Switch(StateMachine):
    async def init(self, first):
        return NextState(first)

    async def handle_event(self, event, state):
        match event:
            case CallEvent(request="state", sender=sender):
                return KeepState(ReplyTo(sender, state))


def one():
    return 1


CHILDREN: dict[str, Any] = {
    "registry": REGISTRY,
    "process groups": GROUPS,
    "agent": (Agent, one),
    "event manager": EventManager,
    "state machine": (Switch, "off"),
}
ALL = pytest.mark.parametrize("child", CHILDREN.values(), ids=list(CHILDREN))


async def only_child(supervisor):
    [child] = await Supervisor.which_children(supervisor)
    assert isinstance(child.pid, Pid)
    return child.pid


@ALL
async def test_it_starts_in_a_tree_and_ends_with_it(node, child):
    supervisor = await Supervisor.start_link([child])
    pid = await only_child(supervisor)
    assert pid.is_alive()
    await Supervisor.stop(supervisor)
    assert not pid.is_alive()


@ALL
async def test_it_is_restarted_when_it_fails(node, child):
    supervisor = await Supervisor.start_link([child])
    pid = await only_child(supervisor)
    pid.exit(KILL)
    await trio.testing.wait_all_tasks_blocked()
    again = await only_child(supervisor)
    assert again is not pid
    assert again.is_alive()


async def test_a_restarted_agent_begins_with_its_first_value(node):
    supervisor = await Supervisor.start_link([Agent.child_spec(one, name="agent")])
    await Agent.update("agent", lambda value: value + 1)
    (await only_child(supervisor)).exit("oops")
    await trio.testing.wait_all_tasks_blocked()
    assert await Agent.get("agent", lambda value: value) == 1


async def test_a_restarted_registry_is_found_under_its_name_and_is_empty(node):
    async def registered():
        REGISTRY.register("key")
        await trio.sleep_forever()

    supervisor = await Supervisor.start_link([REGISTRY])
    pid = spawn(registered)
    await trio.testing.wait_all_tasks_blocked()
    assert REGISTRY.count() == 1
    (await only_child(supervisor)).exit(KILL)
    await trio.testing.wait_all_tasks_blocked()
    assert not pid.is_alive()  # as by a link (R2)
    assert REGISTRY.count() == 0
    REGISTRY.register("key")
    assert REGISTRY.count() == 1
    REGISTRY.unregister("key")
    await Supervisor.stop(supervisor)
    with pytest.raises(NoProcessError):
        REGISTRY.count()


@pytest.mark.parametrize(("restart", "runs"), [("temporary", 1), ("transient", 3)])
async def test_a_task_is_a_child_that_is_not_restarted_unless_it_says_so(node, restart, runs):
    seen: list[int] = []

    async def work(number):
        seen.append(number)
        if len(seen) < 3:
            raise ValueError(number)

    await Supervisor.start_link([Task.child_spec(work, 7, restart=restart)])
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [7] * runs


def test_specifications_take_what_a_supervisor_takes():
    assert ChildSpec.of((Task, one)).restart == "temporary"
    assert ChildSpec.of((Task, one), id="x", restart="permanent").id == "x"
    assert ChildSpec.of((Agent, one), shutdown=BRUTAL_KILL).shutdown is BRUTAL_KILL
    assert ChildSpec.of((Agent, one)).restart == "permanent"
    assert ChildSpec.of(REGISTRY).type == "supervisor"
