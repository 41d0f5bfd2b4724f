"""`receive`: a process takes a message out of its mailbox, the oldest that matches (P4).

For plain processes; a GenServer is handed its messages, but may receive in a callback too. Runs in
the task of the process itself. System messages are answered on the way (`special_process`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from types import FunctionType
from typing import Any, TypeAlias

import trio

from actors.calls import System
from actors.exceptions import ActorsError, ProcessExit
from actors.pid import Reference
from actors.process import Process, answer_without_loop, current_process
from actors.selective import NOTHING, Mark
from actors.special_process import SpecialProcess
from actors.system import answer_system

__all__ = ("Match", "ReceiveTimeoutError", "receive")


class ReceiveTimeoutError(ActorsError, TimeoutError):
    """No message that `receive` asked for arrived in time."""


Match: TypeAlias = type | tuple[type, ...] | Reference | Callable[[Any], bool] | None


async def receive(match: Match = None, timeout: float | None = None) -> Any:
    """The oldest message that matches; the others stay where they are, in order.

    `match` is a type or several, a `MonitorRef` (its `Down`), a predicate, or None for any message.
    `timeout` is in seconds; 0 looks once. Raises `ReceiveTimeoutError`, `ValueError` or `TypeError`
    if `timeout` is none, and `RuntimeError` if called from another Trio task than the process's
    own.

    The cost does not grow with what is skipped: the mailbox remembers how far types, references and
    predicates that are no closures have looked, and does not show them a message twice. So let such
    a predicate depend on the message alone. A closure, or a function whose parameters have
    defaults, looks at everything again in each `receive`.
    """
    process = current_process()
    if process.task not in (None, trio.lowlevel.current_task()):
        raise RuntimeError(
            f"receive() belongs to the own task of {process.pid!r}, not to its helpers"
        )
    if process.takes_a_turn():
        await trio.lowlevel.checkpoint()
    queue = process.mailbox.queue
    if match is None and queue and type(queue) is deque and type(queue[0]) is not System:
        return queue.popleft()
    return await _look_and_wait(process, match, timeout)


async def _look_and_wait(process: Process, match: Match, timeout: float | None) -> Any:
    timer = None
    if timeout:
        timer = process.node.deadlines.call_later(timeout, process.mailbox.wake)
    look = _Look(process, match)
    try:
        while True:
            message = look.find()
            if type(message) is System:
                await _answer(process, message)
                continue
            if message is not NOTHING:
                return message
            if timeout is not None and (timer is None or not timer.active):
                raise ReceiveTimeoutError(
                    f"{process.pid!r} received nothing that matches {match!r}"
                )
            process.turn = 0
            await process.mailbox.wait()
    finally:
        if timer is not None:
            timer.cancel()


async def _answer(process: Process, request: System) -> None:
    """A system message, to a process without the loop of a behaviour."""
    special = process.server
    if not isinstance(special, SpecialProcess):
        answer_without_loop(request)
        return
    stop = await answer_system(process, special, request)
    if stop is not None:
        await special.terminate(stop.reason)
        raise ProcessExit(stop.reason)


class _Look:
    """One receive: the matcher, and how far it has looked."""

    __slots__ = ("_mailbox", "_matches", "_memory", "_reference", "_since")

    def __init__(self, process: Process, match: Match) -> None:
        self._mailbox = process.mailbox
        self._memory = _memory(match)
        self._reference = match if isinstance(match, Reference) else None
        self._since: Mark | None = self._reference.mark if self._reference is not None else None
        wanted = _predicate(match)
        has_loop = process.has_loop

        def matches(message: Any) -> bool:
            if type(message) is System:  # a server's loop answers them itself
                return not has_loop
            return wanted(message)

        self._matches = matches

    def find(self) -> Any:
        """The message, or NOTHING so far; or a system message that comes before."""
        found = self._mailbox.find(self._matches, since=self._since, memory=self._memory)
        if found is NOTHING:
            self._look_no_further_back()
        return found

    def _look_no_further_back(self) -> None:
        if self._memory is None:
            self._since = self._mailbox.mark()
            if self._reference is not None:
                self._reference.mark = self._since


def _predicate(match: Match) -> Callable[[Any], bool]:
    if match is None:
        return _anything
    if isinstance(match, Reference):
        return match.is_answered_by
    if isinstance(match, type | tuple):
        return lambda message: isinstance(message, match)
    if callable(match):
        return match
    raise TypeError(
        f"match must be a type, a tuple of types, a MonitorRef or a predicate; got {match!r}"
    )


def _anything(_message: Any) -> bool:
    return True


def _memory(match: Match) -> Hashable | None:
    """Under what the mailbox remembers how far this matcher has looked; None: not at all."""
    if isinstance(match, type | tuple):
        return match
    if not isinstance(match, FunctionType) or match.__closure__ is not None:
        return None
    if match.__defaults__ or match.__kwdefaults__:  # as good as a closure: they differ each time
        return None
    # A lambda in a loop is a new function each time, of the same code; two modules may have equal
    # code, which means something else in each.
    return match.__code__, id(match.__globals__)
