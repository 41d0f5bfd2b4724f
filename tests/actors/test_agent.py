"""Agent (semantics A1)."""

from typing import Any

import pytest
import trio

from actors import (
    Agent,
    AlreadyStartedError,
    BadReturn,
    CallTimeoutError,
    Crash,
    Exit,
    NoProcessError,
    Reply,
    ServerExitedError,
    StartError,
    open_node,
    receive,
    self_pid,
    trap_exit,
)


def add(value, number):
    return value + number


async def test_the_start_function_makes_the_first_value(node):
    assert await Agent.get(await Agent.start_link(lambda: 1), lambda value: value) == 1
    assert await Agent.get(await Agent.start(add, 1, 2), lambda value: value) == 3


async def test_get_update_get_and_update_and_cast(node):
    agent = await Agent.start_link(dict)
    await Agent.update(agent, lambda value: value | {"colour": "red"})
    assert await Agent.get(agent, lambda value: value["colour"]) == "red"
    assert await Agent.get_and_update(agent, lambda value: (value["colour"], {})) == "red"
    Agent.cast_update(agent, lambda value: {"size": 1})
    assert await Agent.get(agent, lambda value: value) == {"size": 1}
    await agent.stop()
    assert not agent.is_alive()


async def test_functions_take_further_arguments(node):
    agent = await Agent.start_link(lambda: 1)
    await Agent.update(agent, add, 10)
    assert await Agent.get(agent, add, 100) == 111
    assert await Agent.get_and_update(agent, lambda value, n: (value + n, n), 5) == 16
    Agent.cast_update(agent, add, 1)
    assert await Agent.get(agent, add, 0) == 6


async def test_functions_run_in_the_agent(node):
    agent = await Agent.start_link(self_pid)
    assert await Agent.get(agent, lambda value: value) is agent
    assert await Agent.get(agent, lambda _: self_pid()) is agent


async def test_coroutine_functions_are_awaited_in_the_agent(node, autojump_clock):
    async def later(value):
        await trio.sleep(1)
        return value, self_pid()

    agent = await Agent.start_link(lambda: 1)
    assert await Agent.get(agent, later) == (1, agent)


async def test_any_object_may_be_an_answer(node):
    agent = await Agent.start_link(lambda: Reply(1))
    assert await Agent.get(agent, lambda value: value) == Reply(1)
    assert await Agent.get_and_update(agent, lambda value: (value, 2)) == Reply(1)


async def test_an_agent_may_have_a_name(node):
    await Agent.start_link(lambda: 1, name="counter")
    await Agent.update("counter", add, 1)
    assert await Agent.get("counter", add, 0) == 2
    with pytest.raises(AlreadyStartedError):
        await Agent.start_link(lambda: 1, name="counter")


async def test_a_start_function_that_raises_fails_the_start(node):
    with pytest.raises(StartError) as failed:
        await Agent.start(lambda: 1 // 0)
    assert isinstance(failed.value.reason, Crash)


async def test_a_function_that_raises_ends_the_agent(node):
    agent = await Agent.start(lambda: 1)
    with pytest.raises(ServerExitedError) as failed:
        await Agent.get(agent, lambda value: value // 0)
    assert isinstance(failed.value.reason.exception, ZeroDivisionError)
    with pytest.raises(NoProcessError):
        await Agent.get(agent, lambda value: value)
    Agent.cast_update(agent, lambda value: value)


async def test_what_cannot_be_called_is_refused_and_does_not_end_the_agent(node):
    """A1: Elixir's guards raise in the caller too."""
    agent = await Agent.start(lambda: 1)
    nothing: Any = 7
    for verb in (Agent.get, Agent.update, Agent.get_and_update):
        with pytest.raises(TypeError, match="7 cannot be called"):
            await verb(agent, nothing)
    with pytest.raises(TypeError, match="7 cannot be called"):
        Agent.cast_update(agent, nothing)
    assert await Agent.get(agent, lambda value: value) == 1


async def test_an_agent_is_linked_by_start_link():
    async with open_node():
        trap_exit()
        agent = await Agent.start_link(lambda: 1)
        Agent.cast_update(agent, lambda value: value // 0)
        exit_message = await receive(Exit)
        assert exit_message.pid is agent
        assert isinstance(exit_message.reason, Crash)


@pytest.mark.parametrize("result", [1, (1,), (1, 2, 3), [1, 2]])
async def test_get_and_update_needs_a_reply_and_a_value(node, result):
    agent = await Agent.start(lambda: 1)
    with pytest.raises(ServerExitedError) as failed:
        await Agent.get_and_update(agent, lambda _: result)
    assert failed.value.reason == BadReturn(result, "get_and_update")


async def test_the_verbs_take_a_timeout(node, autojump_clock):
    async def slow(value):
        await trio.sleep(10)
        return value

    agent = await Agent.start_link(lambda: 1)
    for verb in (Agent.get, Agent.update, Agent.get_and_update):
        with pytest.raises(CallTimeoutError):
            await verb(agent, slow, timeout=1)
    agent.unlink()


async def test_the_child_spec_of_an_agent_names_its_function():
    spec = Agent.child_spec(add, 1, 2, id="sum", restart="temporary")
    assert spec["id"] == "sum"
    assert spec["restart"] == "temporary"
    start, args, options = spec["start"]
    assert (args, options) == ((add, 1, 2), {})
    assert start == Agent.start_link
    assert Agent.child_spec(dict)["id"] is Agent
