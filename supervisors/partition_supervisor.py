"""`PartitionSupervisor`: the same child several times, found by key (Elixir `PartitionSupervisor`).

    await PartitionSupervisor.start_link(child_spec=DynamicSupervisor, name="rooms", partitions=4)
    rooms = PartitionSupervisor.via("rooms", "room:lobby")
    await DynamicSupervisor.start_child(rooms, Room)

One server that everybody asks is a queue; partitions of it are several. All of a key's requests
meet in one partition, so whatever belongs to the key keeps its order. The partitions are ordinary
children with the ids 0, 1, 2, …
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

import attrs

from actors import NoProcessError, Via, call, stop, whereis
from actors.exits import NOPROC, NORMAL
from actors.kernel import Destination
from actors.pid import Pid
from actors.results import Stop
from supervisors.child_spec import ChildLike, ChildSpec
from supervisors.children import ChildCount, ChildInfo
from supervisors.exceptions import InvalidFlagError
from supervisors.flags import (
    DEFAULT_MAX_RESTARTS,
    DEFAULT_MAX_SECONDS,
    AutoShutdown,
    Strategy,
    SupervisorFlags,
)
from supervisors.supervisor import Supervisor, SupervisorInit
from supervisors.supervisor_server import (
    SupervisorServer,
    answered,
    supervisor_child_spec,
)

__all__ = ("PartitionSupervisor", "WithArguments", "partition_of")

# (the start arguments of the specification, the number of the partition) -> its start arguments
WithArguments = Callable[[tuple[Any, ...], int], Sequence[Any]]


class PartitionSupervisor:
    """Supervises `partitions` equal children. All functions take its pid or name."""

    @classmethod
    async def start_link(
        cls,
        *,
        child_spec: ChildLike,
        name: str | Via,
        partitions: int | None = None,
        with_arguments: WithArguments | None = None,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = DEFAULT_MAX_RESTARTS,
        max_seconds: float = DEFAULT_MAX_SECONDS,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
    ) -> Pid:
        """Start `child_spec` once per partition, linked to the calling process (PS1).

        `partitions` is at least 1 (default: as many as the machine has processors).
        `with_arguments(arguments, partition)` gives each partition its own start arguments. The
        rest is as for `Supervisor`, but that `auto_shutdown` must be `NEVER`.

        Raises `InvalidSpecError` and `InvalidFlagError` before anything is started, and what
        `Supervisor.start_link` raises.
        """
        count = _check_partitions(os.cpu_count() or 1 if partitions is None else partitions)
        flags = SupervisorFlags(strategy, max_restarts, max_seconds, auto_shutdown)
        _check_name(name)
        _check_never(flags.auto_shutdown)
        _check_with_arguments(with_arguments)
        template = ChildSpec.of(child_spec)
        children = [_partition(template, number, with_arguments) for number in range(count)]

        async def init() -> SupervisorInit:
            return flags, children

        return await PartitionSupervisorServer.start_link(cls.__name__, init, (), {}, name=name)

    @classmethod
    def child_spec(cls, **options: Any) -> dict[str, Any]:
        """How another supervisor starts this one: options of `start_link` and of a ChildSpec."""
        return supervisor_child_spec(cls, (), options)

    @staticmethod
    def via(supervisor: Destination, key: object) -> Via:
        """The name of the partition in charge of `key`, for use wherever a name is taken (PS2)."""
        return Via(Partitions(supervisor), key)

    @staticmethod
    def partitions(supervisor: Destination) -> int:
        """How many partitions there are now. Raises `NoProcessError` (PS3)."""
        return _server(supervisor).partitions

    @staticmethod
    async def resize(supervisor: Destination, partitions: int) -> int:
        """Stop the last partitions, or start some again, so that there are `partitions`; the former
        number (PS3).

        Raises `InvalidFlagError` for more than there were at first.
        """
        _server(supervisor)  # another kind of process would not know what is asked
        former: int = answered(await call(supervisor, ("resize", partitions), timeout=None))
        return former

    @staticmethod
    async def which_children(supervisor: Destination) -> list[ChildInfo]:
        """As `Supervisor.which_children` (PS4)."""
        return await Supervisor.which_children(supervisor)

    @staticmethod
    async def count_children(supervisor: Destination) -> ChildCount:
        """As `Supervisor.count_children` (PS4)."""
        return await Supervisor.count_children(supervisor)

    @staticmethod
    async def stop(
        supervisor: Destination, reason: Any = NORMAL, timeout: float | None = None
    ) -> None:
        """As `Supervisor.stop` (PS4)."""
        await stop(supervisor, reason, timeout)


@attrs.frozen
class Partitions:
    """The partitions of one supervisor as a registry of names, for `Via`.

    It reads the supervisor's book without asking it, as Elixir reads an ETS table: looking up takes
    no turn.
    """

    supervisor: Destination

    def whereis_name(self, key: object) -> Pid | None:
        """The partition in charge of `key`; None while it is restarting, or without supervisor."""
        if whereis(self.supervisor) is None:
            return None
        server = _server(self.supervisor)
        if server.partitions == 0:
            raise LookupError(f"{self.supervisor!r} has no partitions now; see resize()")
        return server.pid_of_partition(partition_of(key, server.partitions))

    def register_name(self, key: object, pid: Pid) -> bool:
        """Partitions are started by their supervisor, not registered."""
        raise TypeError(f"{pid!r} cannot be registered as a partition of {self.supervisor!r}")

    def unregister_name(self, key: object) -> None:
        """As `register_name`."""
        raise TypeError(f"partitions of {self.supervisor!r} are not registered by hand")


class PartitionSupervisorServer(SupervisorServer):
    """The process behind a `PartitionSupervisor`."""

    def __init__(self) -> None:
        super().__init__()
        self.partitions = 0
        """How many are in use; nobody is sent to the children from here on."""

    async def _start_all(self, children: Iterable[ChildLike]) -> Stop | None:
        specs = list(children)
        self.partitions = len(specs)  # whoever looks one up meanwhile finds those that have started
        return await super()._start_all(specs)

    async def answer(self, request: Any) -> Any:
        """`resize`, or what a Supervisor is asked."""
        match request:
            case ("resize", partitions):
                return await self._resize(partitions)
        return await super().answer(request)

    def pid_of_partition(self, number: int) -> Pid | None:
        """The process of a partition, if it runs."""
        child = self._children.by_id(number)
        return child.pid if child else None

    async def _resize(self, partitions: object) -> int:
        most, former = len(self._children), self.partitions
        if type(partitions) is not int or not 0 <= partitions <= most:
            legal = f"0 to {most}: partitions cannot grow beyond their first number"
            raise InvalidFlagError("invalid_partitions", partitions, legal)
        self.partitions = min(partitions, former)  # nobody is sent to one that is about to stop
        for number in range(former - 1, partitions - 1, -1):
            await self._stop(self._find(number))
        for number in range(former, partitions):
            child = self._find(number)
            if child.stopped:  # a restart of the whole group may have brought it back (S12)
                await self._restart_child(child)
            self.partitions = number + 1
        return former


def partition_of(key: object, partitions: int) -> int:
    """The number of the partition in charge of `key`.

    The same in every run, unless the key is of a kind that only `hash` knows: a frozenset, a
    dataclass.
    """
    if isinstance(key, float) and key.is_integer():
        key = int(key)  # equal keys meet the same partition
    if isinstance(key, int):
        return abs(key) % partitions
    return _stable_hash(key) % partitions


def _stable_hash(key: object) -> int:
    match key:
        case str():
            return zlib.crc32(key.encode("utf-8", "surrogatepass"))
        case bytes():
            return zlib.crc32(key)
        case Pid():
            return _stable_hash((key.node_name, key.serial))
        case tuple():
            return zlib.crc32(b"".join(b"%d," % _stable_hash(item) for item in key))
        case Enum():
            return _stable_hash((type(key).__qualname__, key.name))
        case int():
            return zlib.crc32(b"%d" % key)  # True is 1
        case float() if key.is_integer():
            return _stable_hash(int(key))
        case float() | None:
            return zlib.crc32(repr(key).encode())
    return hash(key)


def _partition(template: ChildSpec, number: int, with_arguments: WithArguments | None) -> ChildSpec:
    function, args, kwargs = template.start
    if with_arguments is not None:
        args = _check_arguments(with_arguments(args, number))
    return attrs.evolve(template, id=number, start=(function, args, kwargs))


def _server(supervisor: Destination) -> PartitionSupervisorServer:
    pid = whereis(supervisor)
    server = getattr(pid.target, "server", None) if pid is not None else None
    if server is None:
        raise NoProcessError(NOPROC, supervisor, "partitions")
    if not isinstance(server, PartitionSupervisorServer):
        raise TypeError(f"{supervisor!r} is not a PartitionSupervisor but {server!r}")
    return server


def _check_partitions(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise InvalidFlagError("invalid_partitions", value, "an integer >= 1")


def _check_with_arguments(value: object) -> None:
    if value is not None and not callable(value):
        legal = "a function of the arguments and the number of the partition, or None"
        raise InvalidFlagError("invalid_with_arguments", value, legal)


def _check_arguments(value: object) -> tuple[Any, ...]:
    if isinstance(value, tuple | list):
        return tuple(value)
    raise InvalidFlagError("invalid_with_arguments", value, "that it returns a tuple or list")


def _check_name(value: object) -> None:
    if not isinstance(value, str | Via):
        raise InvalidFlagError("invalid_name", value, "a str or Via(registry, key)")


def _check_never(value: AutoShutdown) -> None:
    if value is not AutoShutdown.NEVER:
        raise InvalidFlagError("invalid_auto_shutdown", str(value), "never")
