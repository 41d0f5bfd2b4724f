"""`Registry`: which processes stand under which key, with a value (Elixir: `Registry`).

    ROOMS = Registry("rooms")                        # a value; it may stand at module level
    Supervisor children: [ROOMS, ...]                # the process that owns the table
    ROOMS.register("lobby", {"topic": "tea"})        # the calling process
    ROOMS.lookup("lobby")                            # [Entry(pid, value)]
    await pid_or_name.call(...); Via(ROOMS, "lobby") # a name for everything that takes one

With `Keys.DUPLICATE` any number of processes stand under a key, which is the table of a
publish/subscribe.

Everything but `lock` is synchronous and works on the table in place, in the calling process: no
message, no queue. The table belongs to a process (`table_owner.py`); when that ends, every
registered process gets its exit signal, so none believes to be registered when it is not. Entries
of a process are removed in its death procedure, so whoever has seen its DOWN cannot find it any
more.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import attrs

from actors.exceptions import NoProcessError
from actors.exits import NOPROC
from actors.kernel import Via, whereis
from actors.key_locks import KeyLocks
from actors.messages import Promised
from actors.pid import Pid
from actors.process import current_process
from actors.registry_table import (
    ANY,
    AlreadyRegisteredError,
    DuplicateTable,
    Entry,
    Matches,
    NotRegisteredError,
    Pattern,
    Registration,
    UniqueTable,
    matcher,
)
from actors.table_owner import TableOwner, find_table

__all__ = ("Keys", "Registered", "Registry", "Unregistered", "Updated")


class Keys(enum.StrEnum):
    """How many processes may stand under one key."""

    UNIQUE = "unique"
    DUPLICATE = "duplicate"


@attrs.frozen
class Registered(Promised):
    """To the listeners of a registry: `pid` has entered itself."""

    registry: str
    key: Any
    pid: Pid
    value: Any


@attrs.frozen
class Unregistered(Promised):
    """To the listeners of a registry: `pid` has removed itself. There is none for a death; monitor
    for that (R7).
    """

    registry: str
    key: Any
    pid: Pid


class Updated(NamedTuple):
    """What `update_value` did."""

    new: Any
    old: Any


def _listeners(given: Iterable[str | Pid]) -> tuple[str | Pid, ...]:
    listeners = tuple(given)
    for listener in listeners:  # told now, not in the step of whoever registers
        if not isinstance(listener, str | Pid):
            raise TypeError(f"a listener is a name (str) or a Pid; got {listener!r}")
    return listeners


@attrs.frozen
class Registry:
    """The name of a registry, with the verbs. Holds no entries itself; two with the same name are
    the same registry.

    - `name`: of the owner process, on each node where the registry is started.
    - `keys`: `Keys.UNIQUE` (default) or `Keys.DUPLICATE`.
    - `listeners`: names or pids that get `Registered` and `Unregistered`.
    - `metadata`: what `meta` finds from the start.

    The verbs raise `NoProcessError` while the registry is not started.
    """

    name: str
    keys_: Keys = attrs.field(default=Keys.UNIQUE, converter=Keys, alias="keys", kw_only=True)
    listeners: tuple[str | Pid, ...] = attrs.field(default=(), converter=_listeners, kw_only=True)
    metadata: Mapping[Any, Any] = attrs.field(factory=dict, kw_only=True, eq=False, repr=False)

    # -- the owner -------------------------------------------------------------------------------

    async def start_link(self) -> Pid:
        """Start the owner process, linked to the caller. Raises `AlreadyStartedError`."""
        return await TableOwner.start_link(_Tables(self), name=self.name)

    def child_spec(self) -> dict[str, Any]:
        """How a supervisor starts it; `id` is the name."""
        return {"id": self.name, "start": (self.start_link, (), {}), "type": "supervisor"}

    # -- the calling process ---------------------------------------------------------------------

    def register(self, key: Hashable, value: Any = None) -> None:
        """Enter the calling process under `key` (R2).

        Raises `AlreadyRegisteredError` if the keys are unique and a living process holds it,
        oneself included.
        """
        self._tables.register(key, current_process().pid, value)

    def unregister(self, key: Hashable) -> None:
        """Remove all entries of the calling process under `key`; none is fine (R4)."""
        self._tables.unregister(key, current_process().pid, None)

    def unregister_match(self, key: Hashable, value: Pattern) -> None:
        """Remove entries of the calling process under `key` by their value, as in `match`."""
        self._tables.unregister(key, current_process().pid, matcher(value))

    def update_value(self, key: Hashable, change: Callable[[Any], Any]) -> Updated:
        """Replace the value under `key` by `change(value)`; the calling process must hold it (R5).

        Raises `NotRegisteredError`, and ValueError if the keys are not unique. What `change` raises
        passes through and leaves the value as it was.
        """
        return self._tables.update_value(key, current_process().pid, change)

    # -- reading ---------------------------------------------------------------------------------

    def lookup(self, key: Hashable) -> list[Entry]:
        """Who stands under `key`: `(pid, value)` in the order of registration; one at most if keys
        are unique.
        """
        return self._tables.lookup(key)

    def whereis(self, key: Hashable) -> Pid | None:
        """The living process that holds `key`. Raises ValueError if keys are not unique."""
        return self._tables.whereis(key)

    def keys(self, pid: Pid) -> list[Hashable]:
        """The keys of a process; one it has registered twice stands there twice."""
        return self._tables.table.keys(pid)

    def values(self, key: Hashable, pid: Pid) -> list[Any]:
        """The values of a process under `key`."""
        return self._tables.table.values(key, pid)

    def count(self) -> int:
        """How many entries there are."""
        return len(self._tables.table)

    def match(self, key: Hashable, value: Pattern) -> list[Entry]:
        """The entries under `key` whose value matches.

        `value` is a predicate, a type, or a pattern that is compared with `==` and in which `ANY`
        equals everything: `match("room", ("member", ANY))`.
        """
        matches = matcher(value)
        return [entry for entry in self.lookup(key) if matches(entry.value)]

    def count_match(self, key: Hashable, value: Pattern) -> int:
        """How many entries `match` finds."""
        return len(self.match(key, value))

    def select(
        self,
        *,
        key: Pattern = ANY,
        pid: Pattern = ANY,
        value: Pattern = ANY,
        where: Callable[[Registration], bool] | None = None,
    ) -> list[Registration]:
        """All entries that match in every part; patterns as in `match`, `where` sees the whole
        `(key, pid, value)`.

        Looks at every entry. Raises TypeError if `where` cannot be called.
        """
        if where is not None and not callable(where):
            raise TypeError(f"where must be a function of one Registration, got {where!r}")
        tests = matcher(key), matcher(pid), matcher(value)
        return [
            found
            for found in self._tables.table
            if all(test(part) for test, part in zip(tests, found, strict=True))
            and (where is None or where(found))
        ]

    def count_select(
        self,
        *,
        key: Pattern = ANY,
        pid: Pattern = ANY,
        value: Pattern = ANY,
        where: Callable[[Registration], bool] | None = None,
    ) -> int:
        """How many entries `select` finds."""
        return len(self.select(key=key, pid=pid, value=value, where=where))

    def dispatch(self, key: Hashable, send: Callable[[list[Entry]], Any]) -> None:
        """Call `send(entries)` in the calling process with whoever stands under `key`; not at all
        if nobody does (R6).
        """
        entries = self.lookup(key)
        if entries:
            send(entries)

    # -- values of the registry itself -----------------------------------------------------------

    def meta(self, key: Hashable, default: Any = None) -> Any:
        """What `put_meta` put there."""
        return self._tables.metadata.get(key, default)

    def put_meta(self, key: Hashable, value: Any) -> None:
        """Keep a value with the registry, until it ends."""
        current_process()  # raises in a zombie, which changes nothing any more (K1)
        self._tables.metadata[key] = value

    def delete_meta(self, key: Hashable) -> None:
        """Remove it; none is fine."""
        current_process()  # as above
        self._tables.metadata.pop(key, None)

    # -- exclusion -------------------------------------------------------------------------------

    def lock(self, key: Hashable) -> AbstractAsyncContextManager[None]:
        """`async with registry.lock(key)`: one holder per key, in the order in which they asked
        (R5).

        Needs no entry under `key`. Free again when the block is left in any way, or its process
        ends. A process that holds the lock and asks again gets RuntimeError; who waits when the
        registry ends gets `NoProcessError`.
        """
        return self._tables.locks.lock(key)

    # -- as a name -------------------------------------------------------------------------------

    def via(self, key: Hashable, value: Any = None) -> Via:
        """`Via(self, key)` for a start whose process is to be registered with `value` (R8)."""
        return Via(_WithValue(self, value), key)

    def register_name(self, key: Hashable, pid: Pid) -> bool:
        """For `Via`: enter `pid`, without a value; False if the key is held."""
        return self._register_name(key, pid, None)

    def unregister_name(self, key: Hashable) -> None:
        """For `Via`: as `unregister`."""
        self.unregister(key)

    def whereis_name(self, key: Hashable) -> Pid | None:
        """For `Via`: as `whereis`."""
        return self.whereis(key)

    def _register_name(self, key: Hashable, pid: Pid, value: Any) -> bool:
        here = current_process()  # raises in a zombie, which changes nothing any more (K1)
        if pid.target.node is not here.node:  # nobody would remove it when it ends
            raise ValueError(f"{pid!r} is a process of another node, and a registry knows its own")
        self._tables.require_unique("Via")
        try:
            self._tables.register(key, pid, value)
        except AlreadyRegisteredError:
            return False
        return True

    @property
    def _tables(self) -> _Tables:
        return find_table(self.name, _Tables, self)


@attrs.frozen
class _WithValue:
    """A registry as `Via` sees it, that enters processes with a value."""

    registry: Registry
    value: Any

    def register_name(self, key: Any, pid: Pid) -> bool:
        return self.registry._register_name(key, pid, self.value)

    def unregister_name(self, key: Any) -> None:
        self.registry.unregister(key)

    def whereis_name(self, key: Any) -> Pid | None:
        return self.registry.whereis(key)


class _Tables:
    """What the owner process owns: entries, metadata, locks."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.table: UniqueTable | DuplicateTable = (
            UniqueTable() if registry.keys_ is Keys.UNIQUE else DuplicateTable()
        )
        self.metadata = dict(registry.metadata)
        self.locks = KeyLocks(registry)

    def register(self, key: Hashable, pid: Pid, value: Any) -> None:
        if not pid.is_alive():
            raise NoProcessError(NOPROC, pid, ("register", key))
        if self.table.unique:
            self._drop_stale(key)
        self.table.add(key, pid, value)
        self._tell(Registered(self.registry.name, key, pid, value))

    def unregister(self, key: Hashable, pid: Pid, matches: Matches | None) -> None:
        if self.table.remove(key, pid, matches):
            self._tell(Unregistered(self.registry.name, key, pid))

    def update_value(self, key: Hashable, pid: Pid, change: Callable[[Any], Any]) -> Updated:
        self.require_unique("update_value")
        for old in self.table.values(key, pid):
            new = change(old)
            if self.table.values(key, pid):  # unless `change` has removed it
                self.table.replace(key, pid, new)  # type: ignore[union-attr]  # it is unique
                return Updated(new, old)
        raise NotRegisteredError(f"{pid!r} holds no {key!r} in {self.registry!r}")

    def lookup(self, key: Hashable) -> list[Entry]:
        entries = self.table.lookup(key)
        if self.table.unique and entries and not entries[0].pid.is_alive():
            return []
        return entries

    def whereis(self, key: Hashable) -> Pid | None:
        self.require_unique("whereis")
        entries = self.lookup(key)
        return entries[0].pid if entries else None

    def require_unique(self, verb: str) -> None:
        if not self.table.unique:
            raise ValueError(f"{verb} needs a registry with unique keys; {self.registry!r} has not")

    def process_ended(self, pid: Pid) -> None:
        self.table.remove_process(pid)
        self.locks.process_ended(pid)

    def close(self, owner: Pid, reason: Any) -> None:
        """Everybody who is registered dies with the registry, as by a link (R2)."""
        self.locks.close()
        for pid in self.table.processes():
            pid.target.receive_exit(owner, reason, linked=True)

    def _drop_stale(self, key: Hashable) -> None:
        """A holder that has begun to exit may still unwind; it holds nothing any more (R3)."""
        for pid, _ in self.table.lookup(key):
            if not pid.is_alive():
                self.table.remove(key, pid)

    def _tell(self, message: Registered | Unregistered) -> None:
        for listener in self.registry.listeners:
            pid = whereis(listener)
            if pid is not None:
                pid.send(message)
