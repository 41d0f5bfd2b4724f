"""RFC 6455 frames as a server writes them: whole (FIN set), unmasked, uncompressed; and the close
codes.

A value: bytes in, bytes out. `frame` runs once for each outgoing message (once for a whole room's
broadcast), so the two-byte heads are made beforehand.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, Self

from channels.messages import Opcode

__all__ = ("CloseCode", "Opcode", "close_frame", "frame")

_FIN: Final = 0x80
_CONTROL: Final = 0x8  # RFC 6455, 5.5: opcodes with this bit are control frames
_CONTROL_LIMIT: Final = 125  # bytes of a control frame's payload
_REASON_LIMIT: Final = _CONTROL_LIMIT - 2  # the close code comes first
_SIZE_16: Final = 126
_SIZE_64: Final = 127

_HEAD_16: Final = Struct("!BBH").pack
_HEAD_64: Final = Struct("!BBQ").pack
_CODE: Final = Struct("!H").pack
# opcode -> payload size -> head, for the sizes that fit in seven bits
_SHORT_HEADS: Final = tuple(
    tuple(bytes((_FIN | opcode, size)) for size in range(_SIZE_16)) for opcode in range(16)
)


class CloseCode(IntEnum):
    """RFC 6455, 7.4: why a WebSocket ends. `meaning` is for people.

    `returns` says whether Phoenix's JavaScript client reconnects by itself: after every code but
    1000. So 1000 is only for ends that the client asked for.
    """

    meaning: str
    returns: bool

    def __new__(cls, code: int, meaning: str, returns: bool) -> Self:  # noqa: FBT001  # the table below reads best so
        """One row of the table."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.returns = returns
        return member

    NORMAL = (1000, "the client asked for it", False)
    GOING_AWAY = (1001, "the server disconnects this socket", True)
    PROTOCOL_ERROR = (1002, "the peer broke RFC 6455", True)
    INVALID_TEXT = (1007, "a text frame was not UTF-8", True)
    TOO_BIG = (1009, "a message was larger than the limit", True)
    INTERNAL_ERROR = (1011, "a malformed message or a crash of the connection", True)
    SERVICE_RESTART = (1012, "the server drains: come back in a moment", True)
    TRY_AGAIN_LATER = (1013, "refused for now; the reason may say for how long", True)
    # 4000 to 4999 belong to the application; these are ours.
    REFUSED = (4003, "connect was refused: do not come back with the same credentials", True)
    SLOW_CLIENT = (4008, "the client reads slower than it is sent to", True)
    TOO_MANY = (4029, "the client sends more than a limit allows; the reason says which", True)


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return one whole frame of `payload`.

    Raises `ValueError` for a control frame of more than 125 bytes.
    """
    size = len(payload)
    if size < _SIZE_16:
        return _SHORT_HEADS[opcode][size] + payload
    if opcode & _CONTROL:
        raise ValueError(
            f"{opcode.name} frame of {size} bytes; a control frame takes at most {_CONTROL_LIMIT}"
        )
    if size < 0x1_0000:
        return _HEAD_16(_FIN | opcode, _SIZE_16, size) + payload
    return _HEAD_64(_FIN | opcode, _SIZE_64, size) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; `reason` is cut to 123 bytes where a character ends.

    Raises `ValueError` for a code that must not stand in a frame (RFC 6455, 7.4: 1005, 1006 and
    1015 are local).
    """
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ValueError(
            f"close code {code} cannot be sent; legal are 1000-1003, 1007-1014 and 3000-4999"
        )
    text = reason.encode(errors="replace")[:_REASON_LIMIT].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, _CODE(code) + text)
