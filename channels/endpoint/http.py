"""HTTP/1.1 heads and small answers, on h11: the door in front of WebSockets and static files.

An `HttpConnection` belongs to the task that serves its stream. It reads one request at a time and
answers it; what follows on the stream is not looked at before that. h11 refuses what is ambiguous
about where a message ends; requests that name both a length and a transfer encoding are refused
here. Every wait has a deadline and every buffer a bound. Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol

import attrs
import h11
import trio

from channels.endpoint.query import Params, QueryTooDeepError, decode_query, percent_decode
from channels.transports.sockets import linger_encrypted
from channels.transports.websocket.handshake import announces_body

__all__ = (
    "Body",
    "HttpConnection",
    "HttpError",
    "PeerDoesNotReadError",
    "Request",
    "Response",
    "text",
)

Headers = tuple[tuple[str, str], ...]

_MAX_HEAD: Final = 16 * 1024  # bytes
_MAX_HEADERS: Final = 100
_CHUNK: Final = 64 * 1024  # bytes of a body in one write
_WRITE_TIMEOUT: Final = 30.0  # seconds for one write: a peer that reads nothing for so long is gone
_ABSOLUTE: Final = re.compile(r"(?i:https?)://(?P<host>[^/?#@]+)(?P<path>(?:[/?][^#]*)?)")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_WORDS: Final = re.compile(r"[A-Za-z][A-Za-z -]*")  # up to the first mark: a colon, a quote


@attrs.frozen
class Request:
    """The head of one request."""

    method: str
    target: str  # path and query as they came
    path: str  # without the query, percent-decoded
    query_string: str
    params: Params  # the query, decoded as Plug does
    headers: Headers  # name in lower case, value; in order
    http_version: str  # "1.1" or "1.0"
    keep_alive: bool  # the client would like to send another request on this connection
    has_body: bool
    leftover: bytes = attrs.field(default=b"", repr=False)  # what was read behind the head

    def header(self, name: str) -> str | None:
        """The value of a header; where it stands several times, its values joined by commas."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None


class Body(Protocol):
    """A body that is read as it is sent; an open file, for one."""

    async def read(self, size: int, /) -> bytes:
        """The next piece of at most `size` bytes, b"" at the end."""
        ...

    async def aclose(self) -> None:
        """Called when it is sent, or cannot be."""
        ...


@attrs.frozen
class Response:
    """An answer. `length` is only given with a body that is read as it is sent."""

    status: int
    headers: Headers = ()
    body: bytes | Body = attrs.field(default=b"", repr=False)
    length: int | None = None

    @property
    def size(self) -> int:
        """The bytes of the body."""
        if isinstance(self.body, bytes):
            return len(self.body)
        if self.length is None:
            raise ValueError("a body that is read as it is sent needs a length")
        return self.length


def text(status: int, words: str, headers: Headers = ()) -> Response:
    """A plain answer for people."""
    plain = (("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff"))
    return Response(status, plain + headers, words.encode() + b"\n")


class HttpError(Exception):
    """A request that cannot be served. `response` is the answer; close the connection after it.

    `limit` is what it exceeds, as the counters call it (`transports.limits`), if it is one of them.
    """

    def __init__(
        self, status: int, words: str, headers: Headers = (), *, limit: str | None = None
    ) -> None:
        super().__init__(f"{status} {HTTPStatus(status).phrase}: {words}")
        self.response = text(status, words, headers)
        self.limit = limit


class PeerDoesNotReadError(trio.BrokenResourceError):
    """One write took too long: the peer is as good as gone."""


class HttpConnection:
    """One connection's requests, one after another. Never closes `stream`, except in `aclose`."""

    __slots__ = ("_announced", "_h11", "_head_only", "_max_head", "_stream", "_take")

    def __init__(
        self, stream: trio.abc.Stream, received: bytes = b"", *, max_head: int = _MAX_HEAD
    ) -> None:
        """`received` has been read of `stream` before; `max_head` bounds the bytes of the request
        line and headers.
        """
        self._stream = stream
        self._max_head = max_head
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=max_head)
        if received:  # nothing would be the end
            self._h11.receive_data(received)
        self._head_only = False
        self._announced = 0  # bytes of the body, by the head that was read last
        self._take: Callable[[int], object] | None = None  # asked for each read of a body

    async def read_head(self, *, timeout: float) -> Request | None:
        """Read the head of the next request, within `timeout` seconds.

        Returns None where the client closed, or sent nothing in time, before the request began.
        Raises `HttpError` (400, 408, 414, 431, 501, 505) for what cannot be served, and
        trio.BrokenResourceError where the peer is gone.
        """
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        event = None
        try:
            with trio.fail_after(timeout):
                event = await self._next_event()
        except trio.TooSlowError:
            if not self._h11.trailing_data[0]:
                return None
            words = "The head of the request did not arrive in time."
            raise HttpError(408, words, limit="head_timeout") from None
        if isinstance(event, h11.ConnectionClosed):
            return None
        assert isinstance(event, h11.Request)
        self._head_only = event.method == b"HEAD"
        self._announced = int(dict(event.headers).get(b"content-length", 0))
        return _request(event, self._h11.trailing_data[0])

    async def read_body(
        self, *, max_bytes: int, timeout: float, take: Callable[[int], object] | None = None
    ) -> bytes:
        """Read the body of the request whose head was read last. Zero `max_bytes`: any number.

        `take(size)` is told of each read, in bytes of the wire; what it raises ends the reading.
        Raises `HttpError`: 413 for more than `max_bytes`, at once where the head says so, 408 after
        `timeout` seconds, 400.
        """
        self._check_size(self._announced, max_bytes)
        self._take = take
        try:
            if take is not None:  # what came with the head
                take(len(self._h11.trailing_data[0]))
            with trio.fail_after(timeout):
                if self._h11.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                return await self._read_pieces(max_bytes)
        except trio.TooSlowError:
            words = "The body of the request did not arrive in time."
            raise HttpError(408, words, limit="body_timeout") from None
        finally:
            self._take = None

    async def wait_hung_up(self) -> None:
        """Wait until the client has hung up, while the answer to its request is made.

        Cancel it when that is there. The next request, which the client may send meanwhile, is
        kept, a head's worth of it.
        """
        with contextlib.suppress(trio.BrokenResourceError):
            while len(self._h11.trailing_data[0]) <= self._max_head:
                data = bytes(await self._stream.receive_some(self._room()))
                self._h11.receive_data(data)
                if not data:
                    return
            await trio.sleep_forever()

    async def _read_pieces(self, max_bytes: int) -> bytes:
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            self._check_size(len(body), max_bytes)
        return bytes(body)

    def _check_size(self, size: int, max_bytes: int) -> None:
        if 0 < max_bytes < size:
            words = f"The body may have {max_bytes} bytes."
            raise HttpError(413, words, limit="message_size")

    async def respond(self, response: Response) -> bool:
        """Send the answer; return whether another request may follow on this connection.

        Raises trio.BrokenResourceError where the peer is gone or reads nothing for half a minute.
        """
        try:
            keep_alive = self._request_is_over()
            headers = [*response.headers, ("date", formatdate(usegmt=True))]
            if response.status != HTTPStatus.NOT_MODIFIED:
                headers.append(("content-length", str(response.size)))
            if not keep_alive:
                headers.append(("connection", "close"))
            phrase = HTTPStatus(response.status).phrase
            # As the heads of requests are read: what a client has sent may be echoed to it.
            encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
            head = self._h11.send(
                h11.Response(status_code=response.status, headers=encoded, reason=phrase)
            )
            await self._send_body(head or b"", response)
        finally:
            if not isinstance(response.body, bytes):
                with trio.CancelScope(shield=True):  # closing a file does not wait for anybody
                    await response.body.aclose()
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    async def aclose(self, *, timeout: float = 2.0) -> None:
        """Close, after the peer has had the chance to read the last answer.

        Unread input would reset the connection and take the answer with it, so the sending side is
        shut first and what still comes is forgotten, for at most `timeout` seconds.
        """
        try:
            with trio.move_on_after(timeout), contextlib.suppress(trio.BrokenResourceError):
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._stream.send_eof()
                    while await self._stream.receive_some(_CHUNK):
                        pass
                else:
                    await linger_encrypted(self._stream)
                    await self._stream.aclose()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _next_event(self) -> h11.Event:
        try:
            while (event := self._parse()) is h11.NEED_DATA:
                data = bytes(await self._stream.receive_some(self._room()))
                if self._take is not None:
                    self._take(len(data))
                self._h11.receive_data(data)
                del data  # the frame waits, and holds what it names
        except h11.RemoteProtocolError as error:
            hint = error.error_status_hint
            status = hint if hint in {414, 431, 501, 505} else 400
            limit = "head_size" if status == 431 else None
            raise HttpError(status, f"{_kind(error)}.", limit=limit) from None
        assert not isinstance(event, type)  # NEED_DATA and PAUSED: only behind a whole request
        return event

    def _room(self) -> int:
        """How much to read: of a head one byte more than the limit, so that h11 sees it."""
        waiting = len(self._h11.trailing_data[0])
        return min(max(1, self._max_head + 1 - waiting), _CHUNK)

    def _parse(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        """h11 takes a bare LF for the end of a line. Others do not, and would see other headers, so
        it is refused wherever lines are read: in heads and behind the last chunk of a body.
        """
        before, _ = self._h11.trailing_data
        event = self._h11.next_event()
        if not isinstance(event, h11.Data):
            read = before[: len(before) - len(self._h11.trailing_data[0])]
            if _BARE_LF.search(read):
                raise HttpError(400, "Lines must end with CRLF.")
            if len(read) > self._max_head:  # by the one byte more
                raise HttpError(431, f"A head may have {self._max_head} bytes.", limit="head_size")
        return event

    def _request_is_over(self) -> bool:
        """Whether nothing of the request is left to read, so that the next one can be found."""
        if self._h11.their_state is h11.SEND_BODY:
            with contextlib.suppress(h11.RemoteProtocolError):
                self._h11.next_event()
        return self._h11.their_state not in {h11.IDLE, h11.SEND_BODY, h11.ERROR}

    async def _send_body(self, head: bytes, response: Response) -> None:
        if self._head_only or response.status == HTTPStatus.NOT_MODIFIED:
            await self._send_bytes(head + (self._h11.send(h11.EndOfMessage()) or b""))
            return
        if isinstance(response.body, bytes):
            body = self._h11.send(h11.Data(data=response.body)) or b""
            await self._send_bytes(head + body + (self._h11.send(h11.EndOfMessage()) or b""))
            return
        await self._send_bytes(head)
        left = response.size
        while left:
            piece = await response.body.read(min(_CHUNK, left))
            if not piece:  # it was cut while it was sent: the length cannot be kept
                raise trio.BrokenResourceError("the body ended before its announced length")
            left -= len(piece)
            await self._send(h11.Data(data=piece))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        await self._send_bytes(self._h11.send(event) or b"")

    async def _send_bytes(self, data: bytes) -> None:
        try:
            with trio.fail_after(_WRITE_TIMEOUT):
                await self._stream.send_all(data)
        except trio.TooSlowError:
            raise PeerDoesNotReadError("the peer does not read") from None


def _kind(error: h11.RemoteProtocolError) -> str:
    """What was wrong, in h11's words, which it begins with. Behind them it quotes the line, which
    may hold a token: it goes neither to the log nor into the answer.
    """
    words = _WORDS.match(str(error))
    return words[0].strip() if words else "malformed request"


def _origin_form(target: str, headers: Headers) -> tuple[str, Headers]:
    """Path and query of a target, and the headers. Of an absolute target (proxies send them) the
    authority goes before the Host header, as RFC 9112, 3.2.2 wants.
    """
    if target.startswith("/"):
        return target, headers
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise HttpError(400, "The target of a request must be a path, or an absolute http URL.")
    others = tuple(header for header in headers if header[0] != "host")
    path = absolute["path"]
    return path if path.startswith("/") else f"/{path}", (("host", absolute["host"]), *others)


def _request(event: h11.Request, leftover: bytes) -> Request:
    if len(event.headers) > _MAX_HEADERS:
        raise HttpError(431, f"A request may have {_MAX_HEADERS} headers.", limit="head_size")
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers
    )
    names = {name for name, _ in headers}
    version = event.http_version.decode("ascii")
    if "transfer-encoding" in names and ("content-length" in names or version != "1.1"):
        raise HttpError(400, "Content-Length and Transfer-Encoding contradict each other.")
    target, headers = _origin_form(event.target.decode("ascii"), headers)
    path, _, query_string = target.partition("?")
    try:
        path, params = percent_decode(path), decode_query(query_string)
    except QueryTooDeepError as error:
        raise HttpError(400, f"{error}.", limit="query_depth") from None
    except ValueError:  # without its text, which repeats the query: this goes to the log
        raise HttpError(400, "The path or the query is malformed.") from None
    options = [value.lower() for name, value in headers if name == "connection"]
    tokens = {token.strip() for option in options for token in option.split(",")}
    return Request(
        method=event.method.decode("ascii"),
        target=target,
        path=path,
        query_string=query_string,
        params=params,
        headers=headers,
        http_version=version,
        keep_alive=version == "1.1" and "close" not in tokens,
        has_body=announces_body(headers),
        leftover=leftover,
    )
