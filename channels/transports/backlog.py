"""What waits in a connection's outbox: whole frames in order, and what to do with too many.

Pure: bytes in, bytes out. A `Backlog` is owned by one `Outbox` and exists only while something
waits, so an idle connection pays nothing for it. It promises three things: frames leave in the
order in which they came, a frame of which one byte has left leaves whole, and a control frame
(RFC 6455, 5.5) is only given up for a newer one with the same key.

An *overflow policy* decides what becomes of a frame that does not fit. `Disconnect`, `DropOldest`,
`DropNewest` and `CoalesceByKey` are values; anything with their two members is one.
"""

import enum
from collections import deque
from collections.abc import Hashable
from typing import Protocol

import attrs

__all__ = (
    "Backlog",
    "CoalesceByKey",
    "Disconnect",
    "DropNewest",
    "DropOldest",
    "OverflowPolicy",
    "Verdict",
)

# Superseded frames leave holes in the queue; too many of them are swept out.
_SWEEP_AT = 32


class Verdict(enum.Enum):
    """What an overflow policy says about a frame that does not fit."""

    QUEUE = enum.auto()  # there is room now, or it is worth exceeding the limit
    DROP = enum.auto()  # give up the new frame
    DISCONNECT = enum.auto()  # the peer is too slow for us


class _Special:
    """A queued frame that is more than bytes: it has a key, or it is a control frame.

    Ordinary frames stand in the queue as plain `bytes`, so that a broadcast adds only a pointer to
    the queue of each slow client.
    """

    __slots__ = ("control", "frame", "key")

    def __init__(self, frame: bytes, key: Hashable | None, *, control: bool) -> None:
        self.frame = frame  # b"" once superseded or dropped: a hole
        self.key = key
        self.control = control


class Backlog:
    """Whole frames that wait to be written, behind the rest of the one that is half out."""

    # One for each connection that is behind: slots, and the index only when there are keys.
    __slots__ = ("_frames", "_holes", "_latest", "_rest", "_specials", "dropped", "size")

    def __init__(self) -> None:
        self.size = 0  # bytes that wait, the rest of a half-sent frame included
        self.dropped = 0  # whole frames given up: superseded, or dropped to make room
        self._frames: deque[bytes | _Special] = deque()
        self._rest: memoryview | None = None
        self._latest: dict[Hashable, _Special] | None = None  # key -> the frame that still counts
        self._specials = 0  # entries of `_frames` that are not plain bytes
        self._holes = 0

    def __len__(self) -> int:
        """How many frames wait, the half-sent one included."""
        return len(self._frames) - self._holes + (self._rest is not None)

    def __repr__(self) -> str:
        return f"<Backlog {len(self)} frames, {self.size} bytes>"

    def append(self, frame: bytes, key: Hashable | None = None, *, control: bool = False) -> None:
        """Queues a frame at the end; one that waits under the same `key` is given up."""
        self.size += len(frame)
        if key is None and not control:
            self._frames.append(frame)
            return
        special = _Special(frame, key, control=control)
        if key is not None:
            self._supersede(key, special)
        self._frames.append(special)
        self._specials += 1

    def append_rest(self, rest: memoryview) -> None:
        """Puts the rest of a half-sent frame in front. Only for an empty backlog."""
        self._rest = rest
        self.size += len(rest)

    def peek(self, limit: int) -> bytes | memoryview:
        """The next bytes to write, at most `limit` of them, joined from as many frames as fit."""
        rest = self._rest
        if rest is not None and (len(rest) >= limit or not self._frames):
            return rest[:limit]
        pieces: list[bytes | memoryview] = [] if rest is None else [rest]
        if self.size <= limit and not self._specials:
            pieces.extend(self._frames)  # type: ignore[arg-type]  # no specials: all plain bytes
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        room = limit - (0 if rest is None else len(rest))
        for entry in self._frames:
            frame = entry.frame if isinstance(entry, _Special) else entry
            pieces.append(frame if len(frame) <= room else memoryview(frame)[:room])
            room -= len(frame)
            if room <= 0:
                break
        return b"".join(pieces)

    def consume(self, count: int) -> None:
        """Forgets the first `count` bytes: they are written. The frame they end in is half-sent."""
        self.size -= count
        if not self.size:
            self._forget_all()
            return
        if self._rest is not None:
            if count < len(self._rest):
                self._rest = self._rest[count:]
                return
            count -= len(self._rest)
            self._rest = None
        while count:
            frame = self._pop_front()
            if count < len(frame):
                self._rest = memoryview(frame)[count:]
                return
            count -= len(frame)

    def take_all(self) -> list[bytes]:
        """Every frame that waits, oldest first; nothing waits afterwards."""
        frames = [entry.frame if isinstance(entry, _Special) else entry for entry in self._frames]
        self.size = 0
        self._forget_all()
        return [frame for frame in frames if frame]

    def drop_oldest(self) -> int:
        """Gives up the oldest frame that may be; returns its size in bytes, 0 if there is none.

        Holes on the way are swept out: walked over again at each push, they would cost every
        broadcaster.
        """
        frames, size = self._frames, 0
        kept: list[_Special] = []  # control frames, of which there are few
        while frames and not size:
            entry = frames.popleft()
            if not isinstance(entry, _Special):
                size = len(entry)
            elif not entry.frame:
                self._specials -= 1
                self._holes -= 1
            elif entry.control:
                kept.append(entry)
            else:
                size = len(entry.frame)
                self._specials -= 1
                self._forget_key(entry)
        frames.extendleft(reversed(kept))
        if size:
            self.size -= size
            self.dropped += 1
        return size

    def drop_all(self) -> None:
        """Gives up all that may be: what remains is a half-sent frame and control frames."""
        kept = [
            entry
            for entry in self._frames
            if isinstance(entry, _Special) and entry.control and entry.frame
        ]
        self.dropped += len(self._frames) - self._holes - len(kept)
        rest = 0 if self._rest is None else len(self._rest)
        self.size = rest + sum(len(entry.frame) for entry in kept)
        self._frames = deque(kept)
        self._latest = {entry.key: entry for entry in kept if entry.key is not None}
        self._specials = len(kept)
        self._holes = 0

    def _supersede(self, key: Hashable, special: _Special) -> None:
        if self._latest is None:
            self._latest = {}
        before = self._latest.get(key)
        if before is not None and before.frame:
            self._punch(before)
            if self._holes > _SWEEP_AT + len(self._frames) // 2:
                self._sweep()
        self._latest[key] = special

    def _punch(self, special: _Special) -> None:
        self.size -= len(special.frame)
        self.dropped += 1
        self._holes += 1
        special.frame = b""

    def _sweep(self) -> None:
        self._frames = deque(
            entry for entry in self._frames if not isinstance(entry, _Special) or entry.frame
        )
        self._specials -= self._holes
        self._holes = 0

    def _pop_front(self) -> bytes:
        entry = self._frames.popleft()
        if not isinstance(entry, _Special):
            return entry
        self._specials -= 1
        if not entry.frame:
            self._holes -= 1
        else:
            self._forget_key(entry)
        return entry.frame

    def _forget_key(self, special: _Special) -> None:
        if self._latest is not None and self._latest.get(special.key) is special:
            del self._latest[special.key]

    def _forget_all(self) -> None:
        self._frames.clear()
        self._rest = None
        self._latest = None
        self._specials = self._holes = 0


class OverflowPolicy(Protocol):
    """Decides about a frame that does not fit. One value serves every connection."""

    @property
    def coalesces(self) -> bool:
        """Whether a waiting frame is given up for a newer one with the same key."""
        ...

    def make_room(self, backlog: Backlog, excess: int) -> Verdict:
        """Called where `excess` bytes are too many. May drop from the backlog; says what to do."""
        ...


@attrs.frozen
class Disconnect:
    """The peer is too slow: give up what waits, let the owner close the connection."""

    coalesces: bool = False

    def make_room(self, backlog: Backlog, excess: int) -> Verdict:  # decides blindly
        """Always `DISCONNECT`."""
        return Verdict.DISCONNECT


@attrs.frozen
class DropOldest:
    """Drop the oldest frames until the new one fits; disconnect where none is left to drop."""

    coalesces: bool = False

    def make_room(self, backlog: Backlog, excess: int) -> Verdict:
        """`QUEUE` once enough is dropped."""
        while excess > 0:
            dropped = backlog.drop_oldest()
            if not dropped:
                return Verdict.DISCONNECT
            excess -= dropped
        return Verdict.QUEUE


@attrs.frozen
class DropNewest:
    """Give up the new frame: the peer keeps the oldest news."""

    coalesces: bool = False

    def make_room(self, backlog: Backlog, excess: int) -> Verdict:  # decides blindly
        """Always `DROP`."""
        return Verdict.DROP


@attrs.frozen
class CoalesceByKey:
    """Of the frames pushed with one key only the newest waits; `otherwise` decides about the rest.

    Fits state that is sent whole each time (a cursor, a price): a slow client then gets fewer,
    newer values.
    """

    otherwise: OverflowPolicy = Disconnect()
    coalesces: bool = True

    def make_room(self, backlog: Backlog, excess: int) -> Verdict:
        """As `otherwise` says."""
        return self.otherwise.make_room(backlog, excess)
