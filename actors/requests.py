"""Asynchronous requests: ask now, take the response later, perhaps of many (G27).

OTP: `gen_server:send_request` and its family. The response comes as a `Response` message into the
mailbox of the process that asked, where one of the functions here takes it, or `handle_info` gets
it. It also comes if the server is not there or ends: then it carries the error. A request that was
abandoned gets no response.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Self, cast

import attrs

from actors.calls import Call
from actors.exceptions import ActorsError, CallError, call_error
from actors.exits import NOPROC, TIMEOUT
from actors.kernel import Destination, whereis
from actors.pid import Answer, Reference
from actors.process import Process, current_process
from actors.receive import ReceiveTimeoutError, receive

__all__ = (
    "Request",
    "RequestCollection",
    "Response",
    "check_response",
    "receive_response",
    "send_request",
    "wait_response",
)


class Request(Reference):
    """A request under way: what was asked of whom."""

    __slots__ = ("_asker", "_call", "request", "server")

    def __init__(self, asker: Process, server: Destination, request: Any) -> None:
        super().__init__()
        self.server = server
        self.request = request
        self._asker = asker
        self._call: Call | None = None

    def __repr__(self) -> str:
        return f"<Request {self.request!r} to {self.server!r}>"

    def abandon(self) -> None:
        """Let no response come any more; the server will handle the request all the same."""
        call, self._call = self._call, None
        self._asker.disown_timer(self)
        if call is not None:
            call.on_answer = None
            call.abandon()

    def cancel(self) -> None:
        """For the runtime: who asked has ended."""
        self.abandon()


@attrs.frozen
class Response(Answer):
    """The response to `ref`: `value`, or `error` if the server did not reply: a `CallError`, or
    `MailboxFullError` if it had no room for the request.
    """

    ref: Request
    value: Any = None
    error: ActorsError | None = None

    def result(self) -> Any:
        """The reply; raises the error if there was none."""
        if self.error is not None:
            raise self.error
        return self.value


def send_request(server: Destination, request: Any) -> Request:
    """Ask `server`, a GenServer, and do not wait. Never raises because nobody is there, or there is
    no room: the response tells (G27).
    """
    asker = current_process()
    ref = Request(asker, server, request)
    ref.mark = asker.mailbox.mark()
    pid = whereis(server)
    target = None if pid is None else pid.target
    if not isinstance(target, Process):
        asker.deliver(Response(ref, error=call_error(NOPROC, server, request)))
        return ref

    def answered(call: Call) -> None:
        ref._call = None
        asker.disown_timer(ref)
        asker.deliver(Response(ref, call.value, cast("ActorsError | None", call.error)))

    ref._call = call = Call(asker.pid, server, request, on_answer=answered)
    asker.own_timer(ref)  # it is given up when the asker ends
    target.ask(call)
    return ref


async def wait_response(request: Request, timeout: float | None = None) -> Any:
    """The reply. Raises `CallError`, or `MailboxFullError`, if there is none.

    After `timeout` seconds it raises `CallTimeoutError`, and the request stays live: one may wait
    again.
    """
    try:
        response: Response = await receive(request, timeout)
    except ReceiveTimeoutError:
        raise call_error(TIMEOUT, request.server, request.request) from None
    return response.result()


async def receive_response(request: Request, timeout: float | None = None) -> Any:
    """`wait_response`, but a timeout abandons the request."""
    try:
        response: Response = await receive(request, timeout)
    except ReceiveTimeoutError:
        request.abandon()
        raise call_error(TIMEOUT, request.server, request.request) from None
    return response.result()


def check_response(message: Any, request: Request) -> Response | None:
    """`message` if it is the response to `request`, for use in `handle_info`; None if not."""
    return message if isinstance(message, Response) and message.ref is request else None


class RequestCollection(Reference):
    """Requests whose responses are taken as they come, each with a label of the caller's.

    Used by one process. What is taken out is forgotten, unless `delete=False` asks to keep it.
    """

    __slots__ = ("_labels",)

    def __init__(self) -> None:
        super().__init__()
        self._labels: dict[Request, Hashable] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[tuple[Request, Hashable]]:
        return iter(list(self._labels.items()))

    def send(self, server: Destination, request: Any, label: Hashable) -> Self:
        """`send_request` and `add`."""
        sent = send_request(server, request)
        if not self._labels:
            self.mark = sent.mark
        self._labels[sent] = label  # its response comes behind all that was looked at already
        return self

    def add(self, request: Request, label: Hashable) -> Self:
        """Take responsibility for `request`. Raises `ValueError` if it is here already."""
        if request in self._labels:
            raise ValueError(f"{request!r} is in this collection already")
        self._labels[request] = label
        self.mark = None  # its response may have come before
        return self

    async def wait(
        self, timeout: float | None = None, *, delete: bool = True
    ) -> tuple[Response, Hashable] | None:
        """The next response with its label; None if the collection is empty (OTP: `no_request`).

        Raises `CallTimeoutError` after `timeout` seconds; all requests stay live.
        """
        if not self._labels:
            return None
        try:
            response: Response = await receive(self, timeout)
        except ReceiveTimeoutError:
            server, request = self._first()
            raise call_error(TIMEOUT, server, request) from None
        return response, self._label_of(response.ref, delete=delete)

    async def receive(
        self, timeout: float | None = None, *, delete: bool = True
    ) -> tuple[Response, Hashable] | None:
        """`wait`, but a timeout abandons all requests of the collection."""
        try:
            return await self.wait(timeout, delete=delete)
        except CallError:
            for request in self._labels:
                request.abandon()
            self._labels.clear()
            raise

    def check(self, message: Any, *, delete: bool = True) -> tuple[Response, Hashable] | None:
        """The response that `message` is, with its label; None if it is not one of ours."""
        if not isinstance(message, Response) or message.ref not in self._labels:
            return None
        return message, self._label_of(message.ref, delete=delete)

    def is_answered_by(self, message: Any) -> bool:
        """Is it the response to one of ours?"""
        return isinstance(message, Response) and message.ref in self._labels

    def _label_of(self, request: Request, *, delete: bool) -> Hashable:
        return self._labels.pop(request) if delete else self._labels[request]

    def _first(self) -> tuple[Any, Any]:
        first = next(iter(self._labels))
        return first.server, first.request
