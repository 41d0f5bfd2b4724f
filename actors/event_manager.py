"""`EventManager`: a process that gives events to handlers, one after the other (OTP: `gen_event`).

    manager = await EventManager.start_link(name="alarms")
    await EventManager.add_handler("alarms", Pager, "on-call@example.org")
    EventManager.notify("alarms", "disk full")

Handlers are objects in the manager's process, newest first. A slow one holds up the others and one
that fails is removed, so for work that may take time or fail often a process of its own is better,
which subscribes by `Registry` or `ProcessGroups`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import attrs

from actors import reports
from actors.calls import Call
from actors.event_handler import (
    EventHandler,
    HandlerEnd,
    HandlerError,
    HandlerExited,
    HandlerFailed,
    HandlerId,
    NoHandlerError,
    OwnerExited,
    RemoveHandler,
    SwapHandler,
    Swapped,
    class_of,
)
from actors.exceptions import CallError, ProcessExit, reason_of
from actors.exits import NORMAL, SHUTDOWN, BadReturn
from actors.failures import concerns_trio
from actors.gen_server import GenServer
from actors.kernel import Destination, call, cast
from actors.messages import Exit
from actors.pid import DEFAULT_CALL_TIMEOUT, Pid
from actors.results import NoReply, Reply

__all__ = ("EventManager",)


class EventManager(GenServer):
    """The manager. All functions take its pid or name."""

    trap_exit = True

    # -- for everybody ---------------------------------------------------------------------------

    @staticmethod
    def notify(manager: Destination, event: Any) -> None:
        """Give `event` to all handlers, without waiting. Never fails."""
        cast(manager, event)

    @staticmethod
    async def sync_notify(manager: Destination, event: Any) -> None:
        """Give `event` to all handlers; returns when each has handled it."""
        await call(manager, _Notify(event), None)

    @staticmethod
    async def add_handler(manager: Destination, handler: HandlerId, *args: Any) -> None:
        """Make a handler and put it before the others; `args` go to its `init`.

        Raises `HandlerError(reason)` if its `init` failed, and `TypeError` if `handler` is none.
        """
        class_of(handler)
        _answered(await call(manager, _Add(handler, args, supervised=False), None))

    @staticmethod
    async def add_sup_handler(manager: Destination, handler: HandlerId, *args: Any) -> None:
        """`add_handler`, with a link between handler and calling process (GE3).

        When the process ends the handler is removed; when the handler ends otherwise the process
        gets `HandlerExited`.
        """
        class_of(handler)
        _answered(await call(manager, _Add(handler, args, supervised=True), None))

    @staticmethod
    async def delete_handler(manager: Destination, handler: HandlerId, argument: Any = None) -> Any:
        """End a handler; the result of its `terminate(argument)`.

        Raises `NoHandlerError`, and `HandlerError` if `terminate` failed.
        """
        return _answered(await call(manager, _Delete(handler, argument), None))

    @staticmethod
    async def swap_handler(
        manager: Destination, old: HandlerId, argument: Any, new: HandlerId, *args: Any
    ) -> None:
        """End `old` with `terminate(argument)`; its result is the `handed_over` of `new`, made with
        `args`.

        If there is no `old` the new one is added all the same. It is supervised if the old one was.
        Raises `HandlerError` if the new one's `init` failed, and `TypeError` if `new` is none.
        """
        class_of(new)
        swap = SwapHandler(argument, new, args)
        _answered(await call(manager, _Swap(old, swap, supervised=False), None))

    @staticmethod
    async def swap_sup_handler(
        manager: Destination, old: HandlerId, argument: Any, new: HandlerId, *args: Any
    ) -> None:
        """`swap_handler`; the new one is supervised by the calling process."""
        class_of(new)
        swap = SwapHandler(argument, new, args)
        _answered(await call(manager, _Swap(old, swap, supervised=True), None))

    @staticmethod
    async def call_handler(
        manager: Destination,
        handler: HandlerId,
        request: Any,
        timeout: float | None = DEFAULT_CALL_TIMEOUT,
    ) -> Any:
        """Ask one handler (OTP: `gen_event:call/4`).

        Raises `NoHandlerError`, `HandlerError` if it failed, and `CallError` as a call does.
        """
        return _answered(await call(manager, _Ask(handler, request), timeout))

    @staticmethod
    async def which_handlers(manager: Destination) -> list[HandlerId]:
        """The handlers, newest first."""
        handlers: list[HandlerId] = await call(manager, _Which(), None)
        return handlers

    # -- callbacks -------------------------------------------------------------------------------

    async def init(self) -> None:
        """Without handlers."""
        self._handlers = _Handlers()

    async def handle_cast(self, message: Any) -> None:
        """An event of `notify`."""
        await self._give("handle_event", message)

    async def handle_info(self, message: Any) -> None:
        """The end of an owner, or something for the handlers."""
        owned = self._handlers.of(message.pid) if isinstance(message, Exit) else []
        for installed in owned:
            await self._remove(installed, OwnerExited(message.reason), None)
        if not owned:
            await self._give("handle_info", message)

    async def handle_call(self, request: Any, sender: Call) -> Any:
        """One of the verbs. Who asks for anything else gets `CallError`; nothing happens to the
        handlers.
        """
        if not isinstance(request, _Verb):
            reports.unexpected_message(self.pid, request)
            sender.fail(CallError("unknown_call", sender.server, request))
            return NoReply()
        try:
            return Reply(await self._answer(request, sender.pid))
        except (HandlerError, NoHandlerError) as error:
            return _Refusal(error)

    async def terminate(self, reason: Any) -> None:
        """End the handlers, newest first."""
        for installed in list(self._handlers):
            await self._remove(installed, HandlerEnd.STOP, SHUTDOWN)

    # -- the handlers ----------------------------------------------------------------------------

    async def _answer(self, request: _Verb, caller: Pid) -> Any:
        match request:
            case _Notify(event=event):
                await self._give("handle_event", event)
            case _Add(handler=handler, args=args, supervised=supervised):
                await self._add(handler, args, caller if supervised else None)
            case _Delete(handler=handler, argument=argument):
                return await self._delete(self._find(handler), argument)
            case _Swap(old=old, swap=swap, supervised=supervised):
                await self._swap_by_request(old, swap, caller if supervised else None)
            case _Ask(handler=handler, request=asked):
                return await self._ask(self._find(handler), asked)
            case _Which():
                return [installed.id for installed in self._handlers]
        return None

    async def _give(self, callback: str, item: Any) -> None:
        for installed in list(self._handlers):
            outcome = await _outcome(self._handle, installed, callback, item)
            if isinstance(outcome, _Failure):
                await self._fail(installed, outcome.reason, item)

    async def _handle(self, installed: _Installed, callback: str, item: Any) -> None:
        result = await getattr(installed.handler, callback)(item)
        if result is not None:
            await self._obey(installed, result, callback)

    async def _ask(self, installed: _Installed, request: Any) -> Any:
        outcome = await _outcome(self._handle_call, installed, request)
        if isinstance(outcome, _Failure):
            await self._fail(installed, outcome.reason, request)
            raise HandlerError(installed.id, outcome.reason)
        return outcome

    async def _handle_call(self, installed: _Installed, request: Any) -> Any:
        result = await installed.handler.handle_call(request)
        if isinstance(result, RemoveHandler | SwapHandler):
            await self._obey(installed, result, "handle_call")
            return result.reply
        return result

    async def _obey(self, installed: _Installed, result: Any, callback: str) -> None:
        """What a callback returned that is not nothing."""
        if isinstance(result, RemoveHandler):
            await self._remove(installed, HandlerEnd.REMOVE_HANDLER, NORMAL)
        elif isinstance(result, SwapHandler):
            try:
                await self._swap(installed, result, installed.owner)
            except HandlerError as error:
                reports.handler_failed(self.pid, error.handler, result, error.reason)
        else:
            raise ProcessExit(BadReturn(result, callback))

    async def _add(
        self,
        id: HandlerId,
        args: tuple[Any, ...],
        owner: Pid | None,
        instead: _Installed | None = None,
        handed_over: Any = None,
    ) -> None:
        """Make a handler and put it before the others, or in the place of one that has left."""
        handler = await _outcome(_make, id, args, handed_over)
        if isinstance(handler, _Failure):
            raise HandlerError(id, handler.reason)
        self._handlers.put(_Installed(id, handler, owner), instead)
        if owner is not None:
            self._process.link(owner)

    async def _remove(self, installed: _Installed, argument: Any, told: Any) -> Any:
        """Run `terminate`, tell the owner (unless `told` is None), unlink; the result of
        `terminate`.

        If that fails it is reported, the owner hears of it, and the result is `HandlerFailed`.
        """
        self._handlers.remove(installed)
        result = await _outcome(installed.handler.terminate, argument)
        if isinstance(result, _Failure):
            result = HandlerFailed(result.reason)
            reports.handler_failed(self.pid, installed.id, argument, result.reason)
            told = None if told is None else result.reason
        self._leave_owner(installed, told)
        return result

    async def _delete(self, installed: _Installed, argument: Any) -> Any:
        result = await self._remove(installed, argument, NORMAL)
        if isinstance(result, HandlerFailed):
            raise HandlerError(installed.id, result.reason)
        return result

    def _leave_owner(self, installed: _Installed, told: Any) -> None:
        owner = installed.owner
        if owner is None:
            return
        if told is not None:
            owner.send(HandlerExited(self.pid, installed.id, told))
        if not self._handlers.has(owner) and owner is not self._process.parent:
            self._process.unlink(owner)

    async def _fail(self, installed: _Installed, reason: Any, item: Any) -> None:
        if installed in self._handlers:
            reports.handler_failed(self.pid, installed.id, item, reason)
            await self._remove(installed, HandlerFailed(reason), reason)

    async def _swap(self, installed: _Installed, swap: SwapHandler, owner: Pid | None) -> None:
        """Put another handler in the place of this one."""
        told = Swapped(swap.handler, owner)
        result = await self._remove(installed, swap.argument, told)
        await self._add(swap.handler, swap.args, owner, installed, result)

    async def _swap_by_request(self, old: HandlerId, swap: SwapHandler, owner: Pid | None) -> None:
        try:
            installed = self._find(old)
        except NoHandlerError:
            await self._add(swap.handler, swap.args, owner)
        else:
            await self._swap(installed, swap, owner or installed.owner)

    def _find(self, id: HandlerId) -> _Installed:
        for installed in self._handlers:
            if installed.id == id:
                return installed
        raise NoHandlerError(id)

    def _get_state(self) -> Any:
        return [(installed.id, dict(vars(installed.handler))) for installed in self._handlers]

    def _set_state(self, state: Any) -> None:
        for installed, (id, attributes) in zip(self._handlers, state, strict=True):
            if installed.id != id:
                raise ValueError(f"expected the state of {installed.id!r}, got that of {id!r}")
            vars(installed.handler).clear()
            vars(installed.handler).update(attributes)


@attrs.define(eq=False)
class _Installed:
    id: HandlerId
    handler: EventHandler
    owner: Pid | None
    place: int = 0


class _Handlers:
    """The handlers of one manager, newest first, and which are whose: an owner that ends costs what
    it owns. Owner: that manager.
    """

    def __init__(self) -> None:
        self._added = 0
        self._all: dict[int, _Installed] = {}  # by place, and so in the order of adding
        self._owned: dict[Pid, dict[int, _Installed]] = {}  # likewise

    def __iter__(self) -> Iterator[_Installed]:
        return reversed(self._all.values())

    def __contains__(self, installed: _Installed) -> bool:
        return self._all.get(installed.place) is installed

    def has(self, owner: Pid) -> bool:
        """Is there one of this owner?"""
        return owner in self._owned

    def of(self, owner: Pid) -> list[_Installed]:
        """Those of one owner."""
        return list(reversed(self._owned.get(owner, {}).values()))

    def put(self, installed: _Installed, instead: _Installed | None) -> None:
        """Enter it before the others, or in the place of one that was removed."""
        self._added += 1
        installed.place = self._added if instead is None else instead.place
        _enter(self._all, installed, last=instead is None)
        if installed.owner is not None:
            owned = self._owned.setdefault(installed.owner, {})
            _enter(owned, installed, last=instead is None)

    def remove(self, installed: _Installed) -> None:
        """It is there."""
        del self._all[installed.place]
        if installed.owner is not None:
            owned = self._owned[installed.owner]
            del owned[installed.place]
            if not owned:
                del self._owned[installed.owner]


def _enter(handlers: dict[int, _Installed], installed: _Installed, *, last: bool) -> None:
    handlers[installed.place] = installed
    if not last:  # a swap, which is rare enough to put all in order again
        in_order = sorted(handlers.items())
        handlers.clear()
        handlers.update(in_order)


# -- requests ------------------------------------------------------------------------------------


@attrs.frozen
class _Notify:
    event: Any


@attrs.frozen
class _Add:
    handler: HandlerId
    args: tuple[Any, ...]
    supervised: bool = attrs.field(kw_only=True)


@attrs.frozen
class _Delete:
    handler: HandlerId
    argument: Any


@attrs.frozen
class _Swap:
    old: HandlerId
    swap: SwapHandler
    supervised: bool = attrs.field(kw_only=True)


@attrs.frozen
class _Ask:
    handler: HandlerId
    request: Any


@attrs.frozen
class _Which:
    pass


_Verb: TypeAlias = _Notify | _Add | _Delete | _Swap | _Ask | _Which


@attrs.frozen(eq=False)
class _Refusal:
    """A reply that the caller's side raises."""

    error: HandlerError | NoHandlerError


# -- running a handler ---------------------------------------------------------------------------


@attrs.frozen
class _Failure:
    """A handler raised; the exit reason that a process would have had."""

    reason: Any


async def _outcome(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """What it returns, or a `_Failure`, whatever it raises (GE2)."""
    try:
        return await function(*args)
    except BaseException as error:  # noqa: ASYNC103  # what concerns Trio passes
        if concerns_trio(error):
            raise
        return _Failure(reason_of(error))  # noqa: ASYNC104  # as above


async def _make(id: HandlerId, args: tuple[Any, ...], handed_over: Any) -> EventHandler:
    handler = class_of(id)()
    handler.handed_over = handed_over
    result = await handler.init(*args)
    if result is not None:
        raise ProcessExit(BadReturn(result, "init"))
    return handler


def _answered(reply: Any) -> Any:
    if isinstance(reply, _Refusal):
        raise reply.error
    return reply
