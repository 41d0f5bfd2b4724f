"""What a long poll client posts: one frame, or lines of them (protocol reference 2.2). Pure.

Any content type but exactly `application/x-ndjson` means one text frame. In ndjson a line that
begins with `[` is a V2 text frame and any other the base64 of a binary one; empty lines, which
Phoenix stumbles over, are nothing. What is behind the hundredth frame is ignored, as in Phoenix.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from channels.exceptions import MalformedFrameError
from channels.messages import Opcode

__all__ = ("MAX_FRAMES", "NDJSON", "frames_of", "text_of")

NDJSON: Final = "application/x-ndjson"
MAX_FRAMES: Final = 100

_TEXT: Final = 0x81  # FIN and the opcode: what a whole text frame begins with
_SIZE_16: Final = 126
_SIZE_64: Final = 127


def frames_of(body: bytes, content_type: str | None) -> list[tuple[Opcode, bytes]]:
    """The frames of a body, in order, at most 100. Raises `MalformedFrameError` for bad base64."""
    if content_type != NDJSON:
        return [(Opcode.TEXT, body)]
    frames: list[tuple[Opcode, bytes]] = []
    start = 0
    while start < len(body) and len(frames) < MAX_FRAMES:
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        line = body[start:end].removesuffix(b"\r")
        start = end + 1
        if line.startswith(b"["):
            frames.append((Opcode.TEXT, line))
        elif line:
            frames.append((Opcode.BINARY, _binary(line)))
    return frames


def _binary(line: bytes) -> bytes:
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise MalformedFrameError(
            f"malformed line of ndjson: {error}",
            legal="a line that begins with [ (a V2 text frame), or base64 of a binary frame",
            data=line,
        ) from error


def text_of(frame: bytes) -> bytes | None:
    """The payload of one of our WebSocket frames, which is what channels push; None: it is binary,
    for which the transport has no room.
    """
    if frame[0] != _TEXT:
        return None
    size = frame[1]
    if size < _SIZE_16:
        return frame[2:]
    return frame[4:] if size == _SIZE_16 else frame[10:]
