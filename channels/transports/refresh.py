"""New credentials on a connection that stands: `auth_token` on the topic `phoenix`.

Phoenix has no such thing: there a client whose token ends must connect again. The client sends
`[null, ref, "phoenix", "auth_token", {"token": ...}]` and gets a `phx_reply` with that ref; a
client that knows nothing of it never sends it, and a socket class without `refresh` answers what
Phoenix does, `unmatched topic`.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import structlog
import trio

from actors.tracebacks import plain_traceback
from channels.exceptions import ConnectRefused
from channels.socket import UserSocket

__all__ = ("Outcome", "refresh")

_log = structlog.get_logger("channels")

TIMEOUT: Final = 5.0
"""Seconds that the user's page has to decide."""


@attrs.frozen
class Outcome:
    """The reply to the client, the close code and reason if the connection is to end too, and the
    limit that it has met, if it has.
    """

    status: str
    response: Any
    close: tuple[int, str] | None = None
    limit: str | None = None


async def refresh(socket: UserSocket, payload: Any) -> Outcome:
    """Ask the user's page. Never raises, and takes no longer than `TIMEOUT`."""
    name = type(socket).__name__
    if type(socket).refresh is UserSocket.refresh:
        return Outcome("error", {"reason": "unmatched topic"})
    if not isinstance(payload, dict):
        return Outcome("error", {"reason": "invalid payload"})
    try:
        with trio.fail_after(TIMEOUT):
            response = await socket.refresh(payload)
    except ConnectRefused as refusal:
        _log.info("refresh refused", socket=name, reason=repr(refusal.reason))
        close = (refusal.code, refusal.close_reason) if refusal.after_upgrade else None
        return Outcome("error", {"reason": str(refusal.reason)}, close)
    except trio.TooSlowError:
        _log.error("refresh took too long", socket=name, seconds=TIMEOUT)
        return Outcome("error", {"reason": "timeout"}, limit="refresh_timeout")
    except Exception as error:
        _log.error("refresh crashed", socket=name, stack=plain_traceback(error))
        return Outcome("error", {"reason": "refresh crashed"})
    return Outcome("ok", {} if response is None else response)
