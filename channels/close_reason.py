"""The reason of a close frame as a JSON object, for clients that look for advice in it. Pure; see
docs/protocol-extensions.md.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ("close_reason",)

_LIMIT: Final = 123  # bytes of a close frame's reason (RFC 6455, 5.5.1)


def close_reason(words: str, retry_after: float | None = None) -> str:
    """`{"reason": words, "retry_after": seconds}`; the words are cut until it fits."""
    advice = {} if retry_after is None else {"retry_after": retry_after}
    words = words[:_LIMIT]
    while True:
        encoded = msgspec.json.encode({"reason": words, **advice})
        if len(encoded) <= _LIMIT or not words:
            return encoded.decode()
        words = words[:-1]
