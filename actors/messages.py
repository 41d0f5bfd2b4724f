"""What the runtime itself puts into mailboxes."""

from __future__ import annotations

from typing import Any

import attrs

from actors.pid import Answer, MonitorRef, Pid

__all__ = ("Down", "Exit", "Promised")


class Promised:
    """What the runtime has promised to deliver: a bounded mailbox takes it always (BM2).

    So do the answers to a reference (`Answer`) and system messages.
    """

    __slots__ = ()


@attrs.frozen
class Exit(Promised):
    """An exit signal, for a process that traps exits (OTP: `{'EXIT', Pid, Reason}`)."""

    pid: Pid
    reason: Any


@attrs.frozen
class Down(Answer):
    """A monitored process ended (OTP: `{'DOWN', Ref, process, Object, Reason}`).

    `object` is what was monitored: the pid, or the name when it was monitored by name.
    """

    ref: MonitorRef
    object: Any
    reason: Any
