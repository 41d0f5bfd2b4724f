"""`StateMachine`: a process whose answer to an event depends on its state (OTP: `gen_statem`).

    class Door(StateMachine):
        async def init(self, code):
            self.code = code
            return NextState("locked")

        async def handle_event(self, event, state):
            match state, event:
                case "locked", CastEvent(code) if code == self.code:
                    return NextState("open", StateTimeout(10))
                case "open", StateTimedOut():
                    return NextState("locked")
                case _, CallEvent("state", sender):
                    return KeepState(ReplyTo(sender, state))

    door = await Door.start_link("1234")

The data is `self`, the state is what the callbacks return. Beyond a GenServer it has: events that
are postponed until the state changes, events to itself, enter calls, and timers that belong to the
state. The words are in `state_results.py`; the order of things, in short: enter call, inserted
events, postponed events, timeouts of zero seconds, and only then what waits outside.

Two callback modes, as in OTP. `"handle_event"` (default): one callback, any state that can be
compared. `"state_functions"`: a method per state, whose name is the state; then states are strings.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NoReturn

from actors.bounded import Bounded
from actors.debug import DebugOptions
from actors.gen_server import UndefinedCallbackError
from actors.kernel import Destination, Name, call, cast, stop
from actors.pid import MonitorRef, Pid
from actors.process import Process, current_process
from actors.results import Continue
from actors.server_start import StartOptions, start_monitored_server, start_server
from actors.state_loop import MachineServer
from actors.state_results import Event, StateAction

__all__ = ("CallbackMode", "StateMachine")

CallbackMode = Literal["handle_event", "state_functions"]


class StateMachine:
    """Subclass it and write `init` and `handle_event`, or `init` and a method per state."""

    callback_mode: ClassVar[CallbackMode] = "handle_event"
    state_enter: ClassVar[bool] = False
    """Call the state's callback with `Enter(old)` whenever a state is entered."""
    trap_exit: ClassVar[bool | None] = None
    """As in `GenServer`. None: yes if the class has a `terminate`."""
    hibernate_after: ClassVar[float | None] = None
    """Call `hibernate()` when nothing has come for so many seconds; None: never."""

    state: Any = None
    """The state, for the callbacks to read; it changes by what they return."""
    _process: Process

    # -- callbacks, all run in the machine's process ---------------------------------------------

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Set up the data. Return `NextState(first state, *actions)`, `Ignore()` or `Stop`.

        As in `GenServer`: write it as `async def` if it has to wait; the starter then waits too.
        """
        raise UndefinedCallbackError(f"{type(self).__name__} has no init, which names its state")

    async def handle_event(self, event: Event, state: Any) -> Any:
        """Take `event` in `state`; what may be returned is listed in `state_results.py`."""
        raise UndefinedCallbackError(
            f"{type(self).__name__} has no handle_event, but was given {event!r} in {state!r}"
        )

    async def terminate(self, reason: Any) -> None:
        """Clean up; `self.state` is the last state. As in `GenServer`."""

    def hibernate(self) -> None:
        """Drop what can be computed again; called for `Hibernate()` when no events are left, and
        after `hibernate_after`.
        """

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        """What reports show of `state` (the pair of state and data), `message` and `reason`."""
        return status

    # -- oneself ---------------------------------------------------------------------------------

    @property
    def pid(self) -> Pid:
        """The machine's own pid."""
        return self._process.pid

    # -- starting --------------------------------------------------------------------------------

    @classmethod
    async def start_link(
        cls,
        *args: Any,
        name: Name | None = None,
        timeout: float | None = None,
        mailbox: Bounded | None = None,
        debug: DebugOptions | None = None,
        **kwargs: Any,
    ) -> Pid:
        """Start a machine linked to the calling process; returns when `init` has (G5 holds here
        too).

        `args` and `kwargs` go to `init`; `name` registers it; `timeout` is the seconds that `init`
        may take; `mailbox` bounds what may wait (`bounded`). Raises `StartError(reason)`,
        `AlreadyStartedError(pid)`, `StartIgnoredError`.
        """
        machine = cls._to_start(args, kwargs)
        options = StartOptions(name, timeout, mailbox, debug)
        return await start_server(MachineServer, *machine, options, link=True)

    @classmethod
    async def start(
        cls,
        *args: Any,
        name: Name | None = None,
        timeout: float | None = None,
        mailbox: Bounded | None = None,
        debug: DebugOptions | None = None,
        **kwargs: Any,
    ) -> Pid:
        """`start_link` without the link."""
        machine = cls._to_start(args, kwargs)
        options = StartOptions(name, timeout, mailbox, debug)
        return await start_server(MachineServer, *machine, options, link=False)

    @classmethod
    async def start_monitor(
        cls,
        *args: Any,
        name: Name | None = None,
        timeout: float | None = None,
        mailbox: Bounded | None = None,
        debug: DebugOptions | None = None,
        **kwargs: Any,
    ) -> tuple[Pid, MonitorRef]:
        """`start`, watched by the calling process from its first step; a failed start leaves no
        `Down` (G1, SM1).
        """
        machine = cls._to_start(args, kwargs)
        options = StartOptions(name, timeout, mailbox, debug)
        return await start_monitored_server(MachineServer, *machine, options)

    @classmethod
    def _to_start(
        cls, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the machine's server is started with."""
        flag = cls.trap_exit
        traps = cls.terminate is not StateMachine.terminate if flag is None else flag
        return (cls(), args, kwargs), {"trap_exit": traps}

    async def enter_loop(
        self, state: Any, *actions: StateAction, name: Name | None = None
    ) -> NoReturn:
        """Turn the calling process into this machine, in `state`, without `init`.

        As `GenServer.enter_loop`: for processes that set themselves up in their own way. Never
        returns. Raises `RuntimeError` where that cannot be.
        """
        server = MachineServer()
        server.take_on(self, current_process(), state)
        await server.enter_loop(name=name, then=Continue(actions))

    @classmethod
    def child_spec(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """How a supervisor starts this machine; as `GenServer.child_spec`."""
        fields = ("id", "restart", "shutdown", "significant", "backoff", "type")
        spec = {field: options.pop(field) for field in fields if field in options}
        spec.setdefault("id", options.get("name") or cls)
        return spec | {"start": (cls.start_link, args, options)}

    # -- by name ---------------------------------------------------------------------------------

    @staticmethod
    async def call(machine: Destination, request: Any, timeout: float | None = None) -> Any:
        """`Pid.call`, but it waits for ever unless told otherwise, as `gen_statem:call/2` does."""
        return await call(machine, request, timeout)

    cast = staticmethod(cast)
    stop = staticmethod(stop)

    # -- for the machine room --------------------------------------------------------------------

    async def _handle(self, event: Event) -> Any:
        if self.callback_mode == "handle_event":
            return await self.handle_event(event, self.state)
        state = self.state
        function = getattr(self, state, None) if isinstance(state, str) else None
        if function is None or hasattr(StateMachine, state):
            raise UndefinedCallbackError(
                f"{type(self).__name__} has no state function for {state!r}: the state must be "
                "the name of a method of its own"
            )
        return await function(event)

    def _callback(self) -> str:
        return "handle_event" if self.callback_mode == "handle_event" else str(self.state)

    def _get_data(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _NOT_DATA}

    def _set_data(self, data: dict[str, Any]) -> None:
        for name in self._get_data().keys() - data.keys():
            delattr(self, name)
        vars(self).update(data)


_NOT_DATA = frozenset({"state", "_process"})
