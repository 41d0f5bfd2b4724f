"""What the callbacks of a GenServer return, and what happens next (`then`).

| callback | may return |
|---|---|
| `init` | `None`, `Continue`, `Timeout`, `IdleTimeout`, `Hibernate`, `Ignore()`, `Stop(reason)` |
| `handle_call` | the reply, `Reply(value, then)`, `NoReply(then)`, `Stop(reason, reply=…)` |
| `handle_cast`, `handle_info`, `handle_continue` | `None`, `NoReply(then)`, `Stop(reason)` |

Source: OTP `gen_server`, callback results.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs

from actors.exits import NORMAL, TIMEOUT

__all__ = (
    "NO_REPLY",
    "Action",
    "Continue",
    "Hibernate",
    "IdleTimeout",
    "Ignore",
    "NoReply",
    "Reply",
    "Stop",
    "Timeout",
)


@attrs.frozen
class Continue:
    """Call `handle_continue(token)` next, before anything in the mailbox."""

    token: Any


@attrs.frozen
class Timeout:
    """A timer: `handle_info(message)` in `seconds`, whatever arrives meanwhile.

    A server has one; a later `Timeout` replaces it and `Timeout(None)` cancels it. Zero means:
    before the mailbox.
    """

    seconds: float | None
    message: Any = TIMEOUT


@attrs.frozen
class IdleTimeout:
    """`handle_info(message)` if nothing at all arrives within `seconds`; any message cancels it."""

    seconds: float
    message: Any = TIMEOUT


@attrs.frozen
class Hibernate:
    """Call the server's `hibernate()` hook, where it may drop what it can compute again, before it
    waits.
    """


Action: TypeAlias = Continue | Timeout | IdleTimeout | Hibernate
ACTIONS: Final = frozenset({Continue, Timeout, IdleTimeout, Hibernate})
"""Their types."""


@attrs.frozen
class Reply:
    """Reply `value` to the caller, then do `then`."""

    value: Any
    then: Action | None = None


@attrs.frozen
class NoReply:
    """Do not reply now (`reply(sender, value)` does it later, from any process), then do `then`."""

    then: Action | None = None


class _NoReplyGiven:
    def __repr__(self) -> str:
        return "NO_REPLY"


NO_REPLY: Final = _NoReplyGiven()
"""The `reply` of a `Stop` that replies nothing: the caller gets the exit reason."""


@attrs.frozen
class Stop:
    """Run `terminate(reason)`, then give `reply` to the caller if there is one, then end with
    `reason`.
    """

    reason: Any = NORMAL
    reply: Any = NO_REPLY


@attrs.frozen
class Ignore:
    """From `init`: there is nothing to do; end `NORMAL` without being an error."""
