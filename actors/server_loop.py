"""The machine room of GenServer: one message at a time, results, the end.

`serve` is flat on purpose: it is the frame in which every idle server is parked, so each nested
coroutine would cost its memory once per server, and each helper call its time once per message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from typing import Any, ClassVar, NoReturn, Protocol

import trio

from actors import reports
from actors.calls import Call, System
from actors.exceptions import ProcessExit, reason_of
from actors.exits import ALIVE, BadReturn, is_orderly
from actors.failures import concerns_trio
from actors.messages import Exit
from actors.pid import Cast
from actors.process import Process
from actors.results import ACTIONS, NO_REPLY, Continue, Hibernate, Ignore, NoReply, Reply, Stop
from actors.server_init import finish_init
from actors.server_timers import Fired, Nap, ServerTimers
from actors.sleep import Sleep
from actors.system import answer_system, describe
from actors.turns import UNTIMED, Turn

__all__ = ("Server", "serve")


class Server(Protocol):
    """The callbacks; see `gen_server.GenServer`."""

    trap_exit: ClassVar[bool | None]
    hibernate_after: ClassVar[float | None]
    _process: Process

    async def handle_call(self, request: Any, sender: Call) -> Any:
        """Answer."""

    async def handle_cast(self, message: Any) -> Any:
        """Take a cast."""

    async def handle_continue(self, token: Any) -> Any:
        """Go on."""

    def _stopping(self, reason: Any) -> None:
        """A callback has returned `Stop`; `terminate` follows."""

    async def terminate(self, reason: Any) -> None:
        """Clean up."""

    def hibernate(self) -> None:
        """Drop what can be computed again."""

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """Leave secrets out."""

    def _receive(self, message: Any) -> Awaitable[Any]:
        """Take anything else: `handle_info`, unless a behaviour on GenServer comes before it."""

    def _get_state(self) -> Any:
        """What introspection shows."""

    def _set_state(self, state: Any) -> None:
        """The counterpart."""


async def serve(  # noqa: PLR0912, PLR0915  # flat: see the head of this file
    server: Server,
    then: Any = None,
    initialising: Awaitable[Any] | None = None,
    *,
    may_sleep: bool = True,
) -> Sleep:
    """The life of a server, which does `then` first; `initialising` is an `init` that waits.

    Leaves with `ProcessExit(reason)`, or cancelled by an exit signal; or returns, if it `may_sleep`
    and has hibernated: there is nothing on the stack that it needs, so its task can go.
    """
    process = server._process
    if initialising is not None:
        then = await finish_init(process, initialising)
        initialising = None
    mailbox = process.mailbox
    nap = None if server.hibernate_after is None else Nap(process, server.hibernate_after)
    tired = False  # it has hibernated, and nothing has come since
    parent = process.parent
    timers: ServerTimers | None = None  # most servers never ask for one
    item: Any = None
    result: Any = None
    stop: Stop | None = None
    turn: Turn | None = None  # none but the busy take one
    credit = UNTIMED  # messages until the turn is looked at
    try:
        while stop is None:
            if process.exit_reason is not ALIVE:  # an exit signal came while a callback ran
                await trio.lowlevel.checkpoint()
            credit -= 1
            if credit < 0:
                turn = turn or Turn()
                credit = turn.look()
                if not credit:
                    await trio.lowlevel.checkpoint()
                    credit = turn.begin()

            # What is next: what the last callback asked for, or else the oldest message.
            queue = mailbox.queue
            if queue and then is None:
                item = queue.popleft()
            else:
                item = None
                if type(then) is Hibernate:
                    server.hibernate()
                    tired, then = True, None
                elif then is not None:
                    if timers is None:
                        timers = ServerTimers(process)
                    item, then = timers.begin(then), None
                if item is None:
                    if not mailbox.queue:
                        result = None  # whoever waits for long holds nothing of the last message
                        if tired and may_sleep and (timers is None or timers.quiet):
                            if nap is not None:
                                nap.cancel()
                            if timers is not None:
                                timers.cancel()
                            return Sleep(serve, (server,))
                        if nap is not None and not tired:
                            nap.begin()
                        process.idle = True
                        await mailbox.wait()
                        process.idle = False
                        credit = UNTIMED if turn is None else turn.begin()
                    if mailbox.queue:
                        item = mailbox.queue.popleft()
                    else:
                        item = None if timers is None else timers.idle_expired()
                        if item is None:
                            if nap is not None and nap.is_due():
                                then = Hibernate()
                            continue
                tired = False
            if timers is not None:
                idle = timers.end_idle()
                if type(item) is System or (type(item) is Fired and timers.is_stale(item)):
                    then = idle  # neither counts as a message
            debug = process.debug
            if debug is not None:
                debug.takes(item)

            kind = type(item)
            if kind is Call:
                result = await server.handle_call(item.request, item)
                if type(result) not in _RESULTS:
                    item.resolve(result)
                elif type(result) is Reply:
                    item.resolve(result.value)
                    then = result.then
                else:
                    then, stop = _interpret(server, result, "handle_call")
                if debug is not None:
                    debug.handled(item, stop)
                continue
            if kind is Cast:
                result = await server.handle_cast(item.message)
                callback = "handle_cast"
                if debug is None and type(queue) is deque:
                    # A burst: those behind it, as long as there is nothing else to think of.
                    while (
                        result is None
                        and credit > 0
                        and queue
                        and type(queue[0]) is Cast
                        and queue is mailbox.queue  # not if the callback has received something
                        and process.exit_reason is ALIVE
                    ):
                        credit -= 1
                        item = queue.popleft()
                        result = await server.handle_cast(item.message)
            elif kind is Continue:
                result = await server.handle_continue(item.token)
                callback = "handle_continue"
            elif kind is System:
                stop = await answer_system(process, server, item)
                continue
            elif kind is Exit and item.pid is parent:
                stop = Stop(item.reason)
                continue
            else:
                if kind is Fired:
                    if timers is None or not timers.is_current(item):
                        continue
                    item = item.message
                result = await server._receive(item)
                callback = "handle_info"
            if result is not None:
                then, stop = _interpret(server, result, callback)
            if debug is not None:
                debug.handled(item, stop)
        reason = stop.reason
    except BaseException as error:  # noqa: ASYNC103  # raised again where it is not the server's
        if concerns_trio(error):
            raise
        reason = reason_of(_from_the_callback_on(error))
    if timers is not None:
        timers.cancel()
    if nap is not None:
        nap.cancel()
    return await _end(process, server, item, reason, stop)


def _from_the_callback_on(error: BaseException) -> BaseException:
    """`error` without our frame, which says nothing to users, takes long to format, and holds the
    process.
    """
    trace = error.__traceback__
    return error if trace is None or trace.tb_next is None else error.with_traceback(trace.tb_next)


def _interpret(server: Server, result: Any, callback: str) -> tuple[Any, Stop | None]:
    """A callback's result as (what to do next, whether to stop)."""
    if type(result) is NoReply:
        return result.then, None
    if type(result) is Stop:
        server._stopping(result.reason)
        return None, result
    raise ProcessExit(BadReturn(result, callback))


async def _end(
    process: Process, server: Server, last: Any, reason: Any, stop: Stop | None
) -> NoReturn:
    """`terminate`, then the reply of a stop, the report, the exit (G11, G16, G20, G32)."""
    try:
        await server.terminate(reason)
    except BaseException as error:  # noqa: ASYNC103  # as above
        if concerns_trio(error):
            raise
        reason = reason_of(error)
    if stop is not None and stop.reply is not NO_REPLY and isinstance(last, Call):
        last.resolve(stop.reply)
        if process.debug is not None:
            process.debug.handled(last, stop)
    if not is_orderly(reason):
        reports.server_crashed(process, describe(process, server, last, reason))
        process.silent = True
    raise ProcessExit(reason)


_RESULTS = ACTIONS | {Reply, NoReply, Stop, Ignore}
