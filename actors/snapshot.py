"""What a crash report shows of a process besides its end: what waited for it, and who stood around
it (PL4; OTP: the crash report of `proc_lib`).

Taken while links and mailbox are still there, and only of a process that crashes. Everything is
bounded, because a process may have a million messages and a supervisor a hundred thousand links.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

import attrs

from actors.calls import Call
from actors.pid import Cast, Pid
from actors.process import Process
from actors.results import Continue
from actors.server_timers import Fired

__all__ = ("Neighbour", "Snapshot", "content_of", "snapshot")

MESSAGES = 10
"""How many of the messages that wait are shown, the oldest."""
NEIGHBOURS = 15
"""How many neighbours are shown, as in OTP."""
_TIES = 20  # links and monitors that are shown
_LOOKED_AT = 1_000  # links that are followed in the search for neighbours


@attrs.frozen
class Neighbour:
    """A process that the crash takes along, because it is linked and does not trap exits."""

    pid: Pid
    name: str | None
    label: str
    message_queue_len: int
    ancestors: tuple[str | Pid, ...]


@attrs.frozen
class Snapshot:
    """A process at its end. Of long rows the first are shown; `message_queue_len` counts all."""

    message_queue_len: int
    messages: tuple[Any, ...]
    links: tuple[Pid, ...]
    monitors: tuple[Any, ...]
    """Whom it watched."""
    monitored_by: tuple[Pid, ...]
    trap_exit: bool
    neighbours: tuple[Neighbour, ...]


def snapshot(process: Process) -> Snapshot:
    """How it is with `process` now."""
    return Snapshot(
        message_queue_len=len(process.mailbox),
        messages=tuple(content_of(item) for item in islice(process.mailbox.queue or (), MESSAGES)),
        links=_some(process.links),
        monitors=tuple(ref.object for ref in _some(process.monitors)),
        monitored_by=tuple(ref.watcher for ref in _some(process.watchers)),
        trap_exit=process.trap_exit,
        neighbours=tuple(_neighbours(process)),
    )


def content_of(item: Any) -> Any:
    """The user's part of what stands in a mailbox."""
    match item:
        case Call():
            return item.request
        case Cast() | Fired():
            return item.message
        case Continue():
            return item.token
    return item


def _some(row: Iterable[Any] | None) -> tuple[Any, ...]:
    return tuple(islice(row or (), _TIES))


def _neighbours(process: Process) -> Iterable[Neighbour]:
    """Those that are linked, to the process or to a neighbour, and do not trap exits; near ones
    first.
    """
    seen = {process.pid}
    following = deque([process])
    found = 0
    while following:
        for pid in islice(following.popleft().links or (), _LOOKED_AT):
            other = pid.target
            if pid in seen or not isinstance(other, Process) or other.trap_exit:
                continue
            seen.add(pid)
            following.append(other)
            queued = len(other.mailbox)
            yield Neighbour(pid, other.name, other.label, queued, other.ancestors)
            found += 1
            if found == NEIGHBOURS:
                return
