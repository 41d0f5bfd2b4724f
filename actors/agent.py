"""`Agent`: a process around one value (Elixir: `Agent`).

    counter = await Agent.start_link(lambda: 0)
    await Agent.update(counter, lambda value: value + 1)
    await Agent.get(counter, lambda value: value)        # 1

The functions run in the agent's process, one after the other; keep them short, because everybody
else waits. A function may be a coroutine function, which is awaited there. One that raises ends the
agent with `Crash(exception)`. In one thread a plain object does most of what an agent does; an
agent is for a value that belongs in a supervision tree, or whose changes have to wait for
something.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs

from actors.calls import Call
from actors.exits import BadReturn
from actors.gen_server import GenServer
from actors.kernel import Destination, call, cast
from actors.pid import DEFAULT_CALL_TIMEOUT
from actors.reports import shorten
from actors.results import NoReply, Stop

__all__ = ("Agent",)


class Agent(GenServer):
    """Start it with a function that makes the value: `Agent.start_link(function, *args)`."""

    value: Any

    @staticmethod
    async def get(
        agent: Destination,
        function: Callable[..., Any],
        *args: Any,
        timeout: float | None = DEFAULT_CALL_TIMEOUT,
    ) -> Any:
        """`function(value, *args)`, run in the agent.

        Raises `CallError` as a call does, and, as all verbs, `TypeError` if `function` is none.
        """
        return await call(agent, _request("get", function, args), timeout)

    @staticmethod
    async def update(
        agent: Destination,
        function: Callable[..., Any],
        *args: Any,
        timeout: float | None = DEFAULT_CALL_TIMEOUT,
    ) -> None:
        """Let `function(value, *args)` be the new value, and wait for that."""
        await call(agent, _request("update", function, args), timeout)

    @staticmethod
    async def get_and_update(
        agent: Destination,
        function: Callable[..., Any],
        *args: Any,
        timeout: float | None = DEFAULT_CALL_TIMEOUT,
    ) -> Any:
        """`function(value, *args)` returns `(reply, new value)`; the reply.

        A function that returns anything else ends the agent with `BadReturn`.
        """
        return await call(agent, _request("get_and_update", function, args), timeout)

    @staticmethod
    def cast_update(agent: Destination, function: Callable[..., Any], *args: Any) -> None:
        """`update` without waiting, whoever is there (Elixir: `Agent.cast`)."""
        cast(agent, _request("update", function, args))

    # -- callbacks -------------------------------------------------------------------------------

    async def init(self, function: Callable[..., Any], *args: Any) -> None:
        """The first value."""
        self.value = await _run(function, *args)

    async def handle_call(self, request: _Request, sender: Call) -> Any:
        """One of the verbs."""
        result = await _run(request.function, self.value, *request.args)
        if request.verb == "get":
            sender.resolve(result)  # any object may be the answer, also one that means something
            return NoReply()
        if request.verb == "update":
            self.value = result
            return None
        if not (isinstance(result, tuple) and len(result) == 2):
            return Stop(BadReturn(result, "get_and_update"))
        reply, self.value = result
        sender.resolve(reply)
        return NoReply()

    async def handle_cast(self, message: _Request) -> None:
        """An update for which nobody waits."""
        self.value = await _run(message.function, self.value, *message.args)


@attrs.frozen
class _Request:
    verb: str
    function: Callable[..., Any]
    args: tuple[Any, ...]


def _request(verb: str, function: Callable[..., Any], args: tuple[Any, ...]) -> _Request:
    """What cannot be called is refused here: it would end the agent, and its value."""
    if not callable(function):
        raise TypeError(f"an agent runs a function, and {shorten(function)} cannot be called")
    return _Request(verb, function, args)


async def _run(function: Callable[..., Any], *args: Any) -> Any:
    result = function(*args)
    return await result if inspect.iscoroutine(result) else result
