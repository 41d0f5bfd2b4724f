"""The tables of a registry: who stands under which key, with which value. Pure: dictionaries and
nothing else.

Owner: one registry. A table answers and changes at once; that only living processes are entered,
and that the dead are removed, is the business of `registry.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from actors.exceptions import ActorsError, NameTakenError
from actors.pid import Pid

__all__ = (
    "ANY",
    "AlreadyRegisteredError",
    "DuplicateTable",
    "Entry",
    "NotRegisteredError",
    "Registration",
    "UniqueTable",
    "matcher",
)


class AlreadyRegisteredError(NameTakenError):
    """The key of a unique registry is held by `pid`, perhaps the calling process itself."""

    def __init__(self, key: Any, pid: Pid) -> None:
        super().__init__(f"the key {key!r} is held by {pid!r}, and the registry's keys are unique")
        self.key = key
        self.pid = pid


class NotRegisteredError(ActorsError, LookupError):
    """The calling process has no entry under the key."""


class Entry(NamedTuple):
    """A process under a key, with its value. A tuple, because dispatching unpacks one per
    subscriber.
    """

    pid: Pid
    value: Any


class Registration(NamedTuple):
    """An entry with its key."""

    key: Any
    pid: Pid
    value: Any


class _Any:
    """Equal to everything: the wildcard of patterns."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # so it cannot be a key by accident

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return "ANY"


ANY: Final[Any] = _Any()
"""Stands for any value in a pattern, at any depth of tuples, lists and mappings (OTP: `'_'`)."""

Pattern: TypeAlias = Any
Matches: TypeAlias = Callable[[Any], bool]


def matcher(pattern: Pattern) -> Matches:
    """The test that a pattern stands for: a type asks `isinstance`, a function is asked, all else
    is compared.
    """
    if isinstance(pattern, type):
        return lambda value: isinstance(value, pattern)
    if callable(pattern):
        return pattern  # type: ignore[no-any-return]  # a predicate
    return lambda value: bool(pattern == value)


class UniqueTable:
    """At most one process under a key."""

    unique: Final = True

    def __init__(self) -> None:
        self._entries: dict[Hashable, Entry] = {}
        self._keys: dict[Pid, dict[Hashable, None]] = {}  # what to remove when the process ends

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Registration]:
        for key, (pid, value) in self._entries.items():
            yield Registration(key, pid, value)

    def add(self, key: Hashable, pid: Pid, value: Any) -> None:
        """Enter `pid`. Raises `AlreadyRegisteredError` if the key is held, by whomever."""
        holder = self._entries.get(key)
        if holder is not None:
            raise AlreadyRegisteredError(key, holder.pid)
        self._entries[key] = Entry(pid, value)
        self._keys.setdefault(pid, {})[key] = None

    def lookup(self, key: Hashable) -> list[Entry]:
        """The entry under `key`, or nothing."""
        entry = self._entries.get(key)
        return [] if entry is None else [entry]

    def keys(self, pid: Pid) -> list[Hashable]:
        """The keys of one process, in the order of their registration."""
        return list(self._keys.get(pid, ()))

    def values(self, key: Hashable, pid: Pid) -> list[Any]:
        """The values of one process under `key`."""
        return [value for owner, value in self.lookup(key) if owner is pid]

    def replace(self, key: Hashable, pid: Pid, value: Any) -> None:
        """Give the entry of `pid` under `key` another value."""
        self._entries[key] = Entry(pid, value)

    def remove(self, key: Hashable, pid: Pid, matches: Matches | None = None) -> bool:
        """Remove the entry of `pid` under `key`, if its value matches; was there one?"""
        entry = self._entries.get(key)
        if entry is None or entry.pid is not pid or not (matches is None or matches(entry.value)):
            return False
        del self._entries[key]
        keys = self._keys[pid]
        del keys[key]
        if not keys:
            del self._keys[pid]
        return True

    def remove_process(self, pid: Pid) -> None:
        """Remove all entries of `pid`."""
        for key in self._keys.pop(pid, ()):
            del self._entries[key]

    def processes(self) -> list[Pid]:
        """Everybody who has an entry."""
        return list(self._keys)


class DuplicateTable:
    """Any number of processes under a key, and any number of entries of one process."""

    unique: Final = False

    def __init__(self) -> None:
        self._entries: dict[Hashable, dict[Pid, list[Entry]]] = {}
        self._keys: dict[Pid, dict[Hashable, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Registration]:
        for key, processes in self._entries.items():
            for entries in processes.values():
                for pid, value in entries:
                    yield Registration(key, pid, value)

    def add(self, key: Hashable, pid: Pid, value: Any) -> None:
        """Enter `pid`, once more if it stands there already."""
        processes = self._entries.setdefault(key, {})
        processes.setdefault(pid, []).append(Entry(pid, value))
        self._keys.setdefault(pid, {})[key] = None
        self._count += 1

    def lookup(self, key: Hashable) -> list[Entry]:
        """All entries under `key`."""
        processes = self._entries.get(key)
        if processes is None:
            return []
        return [entry for entries in processes.values() for entry in entries]

    def keys(self, pid: Pid) -> list[Hashable]:
        """The keys of one process; a key that it registered twice stands there twice."""
        return [key for key in self._keys.get(pid, ()) for _ in self._entries[key][pid]]

    def values(self, key: Hashable, pid: Pid) -> list[Any]:
        """The values of one process under `key`, in the order of their registration."""
        return [entry.value for entry in self._entries.get(key, {}).get(pid, ())]

    def remove(self, key: Hashable, pid: Pid, matches: Matches | None = None) -> bool:
        """Remove the entries of `pid` under `key` whose value matches; was there one?"""
        entries = self._entries.get(key, {}).get(pid, [])
        kept = [] if matches is None else [entry for entry in entries if not matches(entry.value)]
        if len(kept) == len(entries):
            return False
        self._count -= len(entries) - len(kept)
        if kept:
            self._entries[key][pid] = kept
            return True
        self._forget(key, pid)
        keys = self._keys[pid]
        del keys[key]
        if not keys:
            del self._keys[pid]
        return True

    def remove_process(self, pid: Pid) -> None:
        """Remove all entries of `pid`."""
        for key in self._keys.pop(pid, ()):
            self._count -= len(self._entries[key][pid])
            self._forget(key, pid)

    def processes(self) -> list[Pid]:
        """Everybody who has an entry."""
        return list(self._keys)

    def _forget(self, key: Hashable, pid: Pid) -> None:
        processes = self._entries[key]
        del processes[pid]
        if not processes:
            del self._entries[key]
