"""Topic patterns and the router: which channel serves a topic (Phoenix: `channel "room:*",
RoomChannel`).

A pattern is an exact topic, or a prefix and one trailing `*` that stands for anything, nothing
included. Patterns are tried in the order of declaration and the first match wins. A router is a
value: built once per socket class, shared by all its connections, never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

from channels.exceptions import InvalidPatternError

__all__ = ("TopicRouter", "check_pattern", "matches")

T = TypeVar("T")

WILDCARD: Final = "*"


def check_pattern(pattern: str) -> str:
    """Return `pattern` if it is one; raises `InvalidPatternError` if not."""
    if not isinstance(pattern, str):
        raise InvalidPatternError(pattern, f"is a {type(pattern).__name__}, not a string")
    if not pattern:
        raise InvalidPatternError(pattern, "is empty")
    if WILDCARD in pattern[:-1]:
        raise InvalidPatternError(pattern, "has a * that is not its last character")
    return pattern


def matches(pattern: str, topic: str) -> bool:
    """Whether a single pattern covers `topic`."""
    if pattern.endswith(WILDCARD):
        return topic.startswith(pattern[:-1])
    return topic == pattern


class TopicRouter(Generic[T]):
    """Topic → channel, first match wins.

    `routes` is an ordered mapping or pairs of pattern and channel; a channel is anything but
    `None`. A lookup is one dict access for exact patterns, however many there are, and otherwise
    walks the wildcard patterns in order.
    """

    __slots__ = ("_exact", "_prefixes", "_routes")

    def __init__(self, routes: Mapping[str, T] | Iterable[tuple[str, T]]) -> None:
        pairs = routes.items() if isinstance(routes, Mapping) else routes
        self._routes = tuple((check_pattern(pattern), channel) for pattern, channel in pairs)
        self._prefixes: tuple[tuple[str, T], ...] = tuple(
            (pattern[:-1], channel)
            for pattern, channel in self._routes
            if pattern.endswith(WILDCARD)
        )
        # exact topic -> channel; an earlier wildcard that covers it has already won here
        self._exact: dict[str, T] = {
            pattern: self._first_match(pattern)
            for pattern, _ in self._routes
            if not pattern.endswith(WILDCARD)
        }

    def route(self, topic: str) -> T | None:
        """Return the channel that serves `topic`, or `None` if nothing does."""
        exact = self._exact.get(topic)
        if exact is not None:
            return exact
        for prefix, channel in self._prefixes:
            if topic.startswith(prefix):
                return channel
        return None

    def patterns(self) -> tuple[str, ...]:
        """All patterns, in the order of declaration."""
        return tuple(pattern for pattern, _ in self._routes)

    def _first_match(self, topic: str) -> T:
        return next(channel for pattern, channel in self._routes if matches(pattern, topic))

    def __len__(self) -> int:
        return len(self._routes)

    def __repr__(self) -> str:
        return f"<TopicRouter {' '.join(self.patterns())}>"
