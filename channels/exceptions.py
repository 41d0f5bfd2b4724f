"""What the channel layer raises: one class for each thing that can be wrong, with what was legal in
its text.

Nothing here is raised across a connection: a malformed frame of one client is that client's affair,
and `JoinRefused` and `ConnectRefused` are control flow of the user's page (Phoenix's `{:error,
reason}`).
"""

from __future__ import annotations

import math
from typing import Any, Final

from actors.exceptions import ActorsError
from channels.close_reason import close_reason
from channels.excerpts import excerpt

__all__ = (
    "ChannelsError",
    "ConnectRefused",
    "FieldTooLongError",
    "InvalidMountError",
    "InvalidPatternError",
    "InvalidPayloadError",
    "InvalidRouteError",
    "JoinRefused",
    "MalformedFrameError",
    "NotAcknowledgedError",
    "NotJoinedError",
)

_ECHO: Final = 80  # characters: a log line must not carry a stranger's ten-megabyte frame
TRY_AGAIN_LATER: Final = 1013  # registered with IANA, as the codes of RFC 6455 are
REFUSED: Final = 4003
_SHOWN: Final = 120  # characters of names and values of our own side


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


class ChannelsError(ActorsError):
    """The base of everything this package raises."""


class MalformedFrameError(ChannelsError, ValueError):
    """A frame from the client is not one of the protocol's (protocol reference 1.12).

    `problem` is what was wrong, `legal` what would have been right, `data` the frame, of which at
    most 80 characters are repeated. `close_code` is what to close the WebSocket with: 1007 for text
    that is not UTF-8, else 1011, as Phoenix does.
    """

    def __init__(
        self,
        problem: str,
        *,
        legal: str,
        data: bytes | bytearray | memoryview,
        invalid_utf8: bool = False,
    ) -> None:
        excerpt = _cut(repr(bytes(data[:_ECHO])), _ECHO)
        super().__init__(f"{problem}; expected {legal}; got {len(data)} bytes: {excerpt}")
        self.problem = problem
        self.invalid_utf8 = invalid_utf8

    @property
    def close_code(self) -> int:
        """The RFC 6455 close code that says this."""
        return 1007 if self.invalid_utf8 else 1011


class InvalidPayloadError(ChannelsError, TypeError):
    """A payload that this serializer cannot write; raised to whoever pushed, replied or broadcast
    it.
    """

    def __init__(self, topic: str, event: str, problem: str) -> None:
        where = _cut(f"{event!r} on {topic!r}", _SHOWN)
        super().__init__(f"the payload of {where} {problem}")
        self.topic = topic
        self.event = event


class FieldTooLongError(ChannelsError, ValueError):
    """A head field of a binary frame is longer than its one length byte can say."""

    def __init__(self, field: str, value: str, size: int) -> None:
        shown = _cut(repr(value), _ECHO)
        super().__init__(
            f"{field} is {size} bytes of UTF-8; a binary frame takes at most 255: {shown}"
        )
        self.field = field
        self.size = size


class InvalidMountError(ChannelsError, ValueError):
    """An endpoint is to serve something that it cannot, or where it cannot."""

    def __init__(self, path: str, socket_class: object, problem: str) -> None:
        super().__init__(f"cannot mount {socket_class!r} at {path!r}: {problem}")


class InvalidPatternError(ChannelsError, ValueError):
    """A topic pattern of a socket's routes is wrong."""

    def __init__(self, pattern: object, problem: str) -> None:
        super().__init__(
            f"topic pattern {pattern!r} {problem}; "
            "expected an exact topic ('room:lobby') or a prefix and one trailing * ('room:*')"
        )
        self.pattern = pattern


class InvalidRouteError(ChannelsError, TypeError):
    """A socket class routes a topic to something that is not a Channel."""

    def __init__(self, socket_class: type, pattern: str, channel: object) -> None:
        super().__init__(
            f"{socket_class.__name__}.channels routes {pattern!r} to {channel!r}; "
            "expected a subclass of channels.Channel, or a pair of it and a mapping of assigns"
        )


class NotJoinedError(ChannelsError, RuntimeError):
    """`push`, `broadcast` or `socket_ref` before the channel has joined (Phoenix raises too)."""

    def __init__(self, verb: str, topic: str) -> None:
        super().__init__(
            f"{verb} on {excerpt(topic)!r} before it is joined, which it is when `join` has "
            "returned; send a message to the own process in `join` and do it in handle_info"
        )
        self.topic = topic


class JoinRefused(ChannelsError):
    """Raise it in `Channel.join` to refuse: the client gets an error reply with `response` (any
    JSON value).

    Phoenix: `{:error, reason}` of `join/3`.
    """

    def __init__(self, response: Any = None) -> None:
        super().__init__(f"join refused: {response!r}")
        self.response: Any = {} if response is None else response


class ConnectRefused(ChannelsError):
    """Raise it in `UserSocket.connect` to refuse: the upgrade is answered with HTTP `status`.

    Phoenix: `:error` (403) and `{:error, reason}` of `connect/3`, where an error handler picks the
    status; the documented other use is 429 for rate limits. `reason` is for the log, not for the
    client, unless it is told after the upgrade.

    Beyond Phoenix, whose browsers see 1006 for every refusal: with `after_upgrade` the WebSocket
    is accepted and closed at once with `code`, and a close reason that is a JSON object with
    `reason` (cut to fit) and, where it is given, `retry_after`. None: as the mount says. The code
    is 4003, "refused: do not come back with the same credentials", or 1013, "try again later",
    where there is a `retry_after`, unless it is given. `retry_after` (seconds) advises when to come
    back, over HTTP as the Retry-After header.
    """

    def __init__(
        self,
        reason: object = "refused",
        *,
        status: int = 403,
        after_upgrade: bool | None = None,
        code: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(
                f"a refused connect is answered with a status of 400 to 599, not {status!r}"
            )
        if code is not None and code != TRY_AGAIN_LATER and not 4000 <= code <= 4999:
            raise ValueError(
                f"a refused connect is closed with {TRY_AGAIN_LATER} or 4000 to 4999, not {code!r}"
            )
        if retry_after is not None and not 0 <= retry_after < math.inf:
            raise ValueError(f"retry_after is 0 or more seconds, not {retry_after!r}")
        super().__init__(f"connect refused with HTTP {status}: {reason!r}")
        self.reason = reason
        self.status = status
        self.after_upgrade = after_upgrade
        self.code = code or (REFUSED if retry_after is None else TRY_AGAIN_LATER)
        self.retry_after = retry_after

    @property
    def close_reason(self) -> str:
        """The JSON object for a close frame; the words of the reason give way to its limit."""
        return close_reason(str(self.reason), self.retry_after)


class NotAcknowledgedError(ChannelsError, TimeoutError):
    """The client of a channel did not acknowledge a push in time, or has gone."""

    def __init__(self, topic: str, event: str, problem: str) -> None:
        where = _cut(f"{event!r} on {topic!r}", _SHOWN)
        super().__init__(f"{where} was not acknowledged: {problem}")
        self.topic = topic
        self.event = event
