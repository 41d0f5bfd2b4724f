"""What a parked task gets when it is woken for nothing but to go on: None.

Trio makes a `Value(None)` for each wake, which may be unwrapped once and costs more than half a
microsecond. Most of our parked tasks find what they waited for in a record or a queue, so one
outcome serves them all, for ever.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, Final

import outcome

__all__ = ("WOKEN",)


class _Woken(outcome.Outcome[None]):
    """An outcome that is None, as often as it is asked."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Nothing."""

    def send(self, gen: Generator[Any, None, Any]) -> Any:
        """Go on."""
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[Any, None]) -> Any:
        """Go on."""
        return await agen.asend(None)


WOKEN: Final = _Woken()
