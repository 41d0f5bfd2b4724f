"""What tests of processes need (Elixir: ExUnit's `assert_receive` and its family).

    from actors.testing import Probe, assert_down, wait_settled

    async def test_a_counter_tells_its_listeners(autojump_clock):
        async with open_test_node():
            probe = Probe.spawn()
            counter = await Counter.start_link(listener=probe.pid)
            counter.cast("increment")
            assert await probe.assert_receive(Counted) == Counted(1)

Plain functions and values, for any runner of tests that can run Trio. Time is Trio's: on a mock
clock that jumps (`autojump_clock` of pytest-trio, or `run_deterministic`) no timeout here costs
real time. What does not hold raises `AssertionError` and shows the mailbox.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self

import trio
import trio.testing

from actors.calls import System
from actors.context import current
from actors.determinism import DeterminismError, run_deterministic, seeded_scheduling
from actors.exceptions import ProcessExit
from actors.exits import NOPROC, NORMAL
from actors.kernel import demonitor
from actors.messages import Down
from actors.node import Node, current_node, open_node
from actors.pid import MonitorRef, Pid, Reference
from actors.process import Process, current_process
from actors.receive import ReceiveTimeoutError, receive
from actors.reports import shorten

__all__ = (
    "ANY_REASON",
    "DeterminismError",
    "Probe",
    "assert_down",
    "assert_receive",
    "open_test_node",
    "refute_receive",
    "run_deterministic",
    "seeded_scheduling",
    "wait_settled",
)

DEFAULT_TIMEOUT = 1.0
"""Seconds that an assertion waits for a message."""


class _AnyReason:
    def __repr__(self) -> str:
        return "ANY_REASON"


ANY_REASON: Final = _AnyReason()
"""`assert_down` with whatever reason."""


@asynccontextmanager
async def open_test_node(name: str = "test", **options: Any) -> AsyncIterator[Node]:
    """`open_node` for tests: calls that would wait for each other raise `DeadlockError` at once,
    and a process that was killed and did not unwind fails the test. `options` go to `open_node`.
    """
    options.setdefault("detect_deadlocks", True)
    async with open_node(name, **options) as node:
        yield node
    zombies = node.statistics().zombies
    if zombies:
        raise AssertionError(f"{zombies} killed processes did not unwind; the log says where")


async def wait_settled() -> None:
    """Wait until no task can go on by itself: everything that was sent has been handled.

    Timers and timeouts have not fired: that is what moving the clock is for. Tasks that wait for a
    thread or a socket count as waiting.
    """
    await trio.testing.wait_all_tasks_blocked()


async def assert_receive(match: Any = None, timeout: float = DEFAULT_TIMEOUT) -> Any:
    """Take a message that matches out of the mailbox of the calling process and return it.

    `match` is a type, a tuple of types, a reference (its answer), a predicate, None (anything), or
    else a value that the message must equal. Waits `timeout` seconds at most.
    """
    mailbox = current_process().mailbox
    try:
        return await receive(_predicate(match), timeout)
    except ReceiveTimeoutError:
        waiting = list(mailbox.queue or ())
        raise AssertionError(_nothing_matched(match, timeout, waiting)) from None


async def refute_receive(match: Any = None, timeout: float = 0.0) -> None:
    """Nothing that matches is in the mailbox of the calling process, nor comes in `timeout` seconds
    and until everything has settled.
    """
    mailbox = current_process().mailbox
    await trio.sleep(timeout)
    await wait_settled()
    _refute(match, list(mailbox.queue or ()))


async def assert_down(
    process: Pid | MonitorRef, reason: Any = ANY_REASON, timeout: float = DEFAULT_TIMEOUT
) -> Any:
    """The process ends within `timeout` seconds, for `reason`; the actual reason.

    `reason` is a value, a type (`Crash`) or a predicate. Of a process that may have ended already,
    give the `MonitorRef` that was taken while it lived: nobody remembers the reasons of the dead.
    """
    ref = process if isinstance(process, MonitorRef) else process.monitor()
    if ref.watcher is not current_process().pid:
        raise ValueError(f"{ref!r} is of {ref.watcher!r}, which alone will hear of it")
    try:
        down: Down = await receive(ref, timeout)
    except ReceiveTimeoutError:
        demonitor(ref, flush=True)
        raise AssertionError(f"{ref.object!r} still lives after {timeout} s") from None
    wanted = _is_none if reason is None else _predicate(reason)
    if reason is ANY_REASON or wanted(down.reason):
        return down.reason
    hint = ""
    if down.reason is NOPROC and ref is not process:
        hint = " (it had ended before assert_down: monitor it first and give the MonitorRef)"
    raise AssertionError(f"{ref.object!r} ended with {down.reason!r}, not with {reason!r}{hint}")


class Probe:
    """A process that keeps all that it is sent: messages, `Down`, `Exit`, calls, casts.

    Use it as the other side of what is tested. A call stays unanswered until the test replies:
    `call = await probe.assert_receive(From)`, then `await reply(call, value)`. With `as_probe`, or
    the verbs here, it links, monitors and sends itself. It ends with its node, or by `exit`.
    """

    def __init__(self, process: Process) -> None:
        self.pid: Pid = process.pid
        self.messages: list[Any] = []
        """What it was sent and no assertion has taken, oldest first."""
        self._process = process
        self._arrived = trio.Event()
        process.handle_in_place(self._keep)

    def __repr__(self) -> str:
        return f"<Probe {self.pid!r} messages={len(self.messages)}>"

    @classmethod
    def spawn(cls, label: str = "probe", *, trap_exit: bool = False) -> Self:
        """Start a probe; it is linked to nobody."""
        process = current_node().spawn(
            trio.sleep_forever, (), label=label, parent=current_process(), trap_exit=trap_exit
        )
        return cls(process)

    # -- what it was sent ------------------------------------------------------------------------

    async def assert_receive(self, match: Any = None, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """Take the oldest message that matches, waiting `timeout` seconds at most; the others stay.

        `match` is as for `assert_receive`, the function.
        """
        matches = _predicate(match)
        with trio.move_on_after(timeout):
            while True:
                for index, message in enumerate(self.messages):
                    if matches(message):
                        return self.messages.pop(index)
                await self._arrived.wait()
        raise AssertionError(_nothing_matched(match, timeout, self.messages))

    async def refute_receive(self, match: Any = None, timeout: float = 0.0) -> None:
        """Nothing that matches is there, nor comes in `timeout` seconds and until all has
        settled.
        """
        await trio.sleep(timeout)
        await wait_settled()
        _refute(match, self.messages)

    # -- what it does ----------------------------------------------------------------------------

    @contextmanager
    def as_probe(self) -> Iterator[None]:
        """The code of the block runs as this process: `self_pid()`, `link`, `call`, the start of
        servers.
        """
        token = current.set(self._process)
        try:
            yield
        finally:
            current.reset(token)

    def link(self, pid: Pid) -> None:
        """Link the probe with a process."""
        self._process.link(pid)

    def monitor(self, pid: Pid) -> MonitorRef:
        """Let the probe get a `Down` of a process."""
        return self._process.watch(pid, pid)

    def exit(self, reason: Any = NORMAL) -> None:
        """The probe ends with `reason`."""
        self._process.begin_exit(reason)

    def _keep(self, message: Any) -> None:
        if type(message) is System:
            verb, *arguments = message.request
            if verb == "terminate":
                raise ProcessExit(arguments[0])
            message.fail_with(("unknown_system_msg", message.request))
            return
        self.messages.append(message)
        arrived, self._arrived = self._arrived, trio.Event()
        arrived.set()


# -- matching ------------------------------------------------------------------------------------


def _predicate(match: Any) -> Callable[[Any], bool]:
    if match is None:
        return lambda _message: True
    if isinstance(match, Reference):
        return match.is_answered_by
    if isinstance(match, type) or (
        isinstance(match, tuple) and match and all(isinstance(kind, type) for kind in match)
    ):
        return lambda message: isinstance(message, match)
    if callable(match):
        return match  # type: ignore[no-any-return]  # what is callable here is a predicate
    return lambda message: bool(message == match)


def _is_none(reason: Any) -> bool:
    return reason is None


def _nothing_matched(match: Any, timeout: float, waiting: list[Any]) -> str:
    return f"no message matches {match!r} after {timeout} s; in the mailbox: {_listed(waiting)}"


def _refute(match: Any, waiting: list[Any]) -> None:
    matches = _predicate(match)
    for message in waiting:
        if type(message) is not System and matches(message):
            raise AssertionError(f"{shorten(message)} matches {match!r}, which was not to come")


def _listed(messages: list[Any]) -> str:
    return ", ".join(map(shorten, messages)) or "nothing"
