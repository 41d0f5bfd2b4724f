"""`SpecialProcess`: a plain process with a loop of its own that answers system messages (SY1; OTP:
*special processes*, `sys` and `proc_lib`).

    class Counter(SpecialProcess):
        count = 0

        async def run(self):
            self.answer_system_messages()
            while True:
                message = await receive()
                self.record("in", message)
                self.count += message

    pid = spawn(Counter().run)
    await introspection.get_state(pid)      # {"count": …}

For what a GenServer does not fit: selective receive, a protocol of its own. `receive` answers the
system messages itself, in order with the others, while the process waits in it; so they wait while
it does something else. A suspended process stays in its `receive` until it is resumed.
"""

from __future__ import annotations

from typing import Any, ClassVar

from actors.pid import Pid
from actors.process import Process, current_process

__all__ = ("SpecialProcess",)


class SpecialProcess:
    """Subclass it, and call `answer_system_messages` in the process that it is to answer for."""

    tells_events: ClassVar[bool] = True

    _process: Process

    def answer_system_messages(self) -> None:
        """From now on `receive` answers system messages for the calling process, by this object.

        Raises `RuntimeError` in a process that is a server, a task or such already.
        """
        process = current_process()
        if process.server is not None:
            raise RuntimeError(f"{process.pid!r} answers system messages, or is a task, already")
        self._process = process
        process.server = self

    @property
    def pid(self) -> Pid:
        """Of the process for which it answers."""
        return self._process.pid

    # -- callbacks, all run in the process -------------------------------------------------------

    def get_state(self) -> Any:
        """What `introspection.get_state` gives: the attributes, unless this says otherwise."""
        return {name: value for name, value in vars(self).items() if name != "_process"}

    def set_state(self, state: Any) -> None:
        """The counterpart, for `introspection.replace_state`. What it raises changes nothing."""
        for name in self.get_state().keys() - state.keys():
            delattr(self, name)
        vars(self).update(state)

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """What `introspection.get_status` shows; leave secrets out here (G31)."""
        return status

    async def terminate(self, reason: Any) -> None:
        """Clean up, when it is stopped by a system message, or by its parent while suspended (SY6).

        Then the process ends with `reason`; an exception here replaces it.
        """

    # -- for debugging ---------------------------------------------------------------------------

    def record(self, kind: str, message: Any = None, peer: Pid | None = None) -> None:
        """Tell an event to whoever looks at this process: log, trace, hooks (OTP:
        `sys:handle_debug`, SY5).
        """
        if self._process.debug is not None:
            self._process.debug.tell(kind, message, peer)

    def _get_state(self) -> Any:
        return self.get_state()

    def _set_state(self, state: Any) -> None:
        self.set_state(state)
