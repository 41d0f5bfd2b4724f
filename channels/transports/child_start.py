"""Asking a DynamicSupervisor for a child without waiting: the answer is a callback.

For processes that handle their messages in place and so have no task that could wait. Like any
call, the request stands among the supervisor's pending ones, and fails if it dies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors import NOPROC, Pid
from actors.calls import Call
from actors.process import Process
from supervisors import ChildSpec

__all__ = ("start_child_in_place",)


def start_child_in_place(
    caller: Pid, supervisor: Pid, spec: ChildSpec, answered: Callable[[Any], None]
) -> None:
    """Ask `supervisor` to start a child; `answered(outcome)` gets the pid, or what went wrong.

    It runs in the step in which the answer comes, and must neither raise nor wait.
    """
    process = supervisor.target
    if not isinstance(process, Process):
        answered(NOPROC)
        return

    def tell(call: Call) -> None:
        answered(call.value if call.error is None else call.error)

    process.ask(Call(caller, supervisor, ("start_child", spec), on_answer=tell))
