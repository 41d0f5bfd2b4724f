"""Child specifications (OTP `supervisor`, child_spec()): how to start, restart and stop one child.

A `ChildSpec` is a value. Whoever writes a tree rarely builds one by hand: `ChildSpec.of` makes it
from a class that has `child_spec()`, from `(class, *arguments)`, from a mapping such as
`GenServer.child_spec` returns, or from a ChildSpec, and checks it. Each field has one check, whose
error carries OTP's word (S3).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from supervisors.backoff import Backoff
from supervisors.exceptions import InvalidSpecError

__all__ = (
    "BRUTAL_KILL",
    "INFINITY",
    "SPEC_FIELDS",
    "BrutalKill",
    "ChildLike",
    "ChildSpec",
    "ChildType",
    "Restart",
    "Start",
    "without_arguments",
)

WORKER_SHUTDOWN_SECONDS: Final = 5.0  # OTP's default for workers (S2)
INFINITY: Final = math.inf  # as a shutdown: wait for the child for ever


class BrutalKill(enum.Enum):
    """The shutdown that asks nothing: the child is killed at once."""

    BRUTAL_KILL = "brutal_kill"

    def __repr__(self) -> str:
        return self.name


BRUTAL_KILL: Final = BrutalKill.BRUTAL_KILL


class Restart(enum.StrEnum):
    """When a child that ended is started again (S8)."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # when it did not end in order: NORMAL, SHUTDOWN, Shutdown(...)
    TEMPORARY = "temporary"  # never


class ChildType(enum.StrEnum):
    """What a child is; only counted and shown, except for the default of `shutdown`."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


# (function, arguments, keyword arguments): awaited in the supervisor's process, returns a Pid or
# (Pid, info)
Start: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]

# A ChildSpec, a mapping, an object with child_spec(), or (such an object, *arguments)
ChildLike: TypeAlias = Any

_NO_ARGUMENTS: Final[Mapping[str, Any]] = {}
_RESTARTS: Final = {str(restart): restart for restart in Restart}
_TYPES: Final = {str(type_): type_ for type_ in ChildType}


def _check_id(value: Hashable) -> Hashable:
    if value is None:
        raise InvalidSpecError("missing_id", value, "an id: any hashable value but None")
    try:
        hash(value)
    except TypeError:
        raise InvalidSpecError("invalid_id", value, "a hashable value") from None
    return value


# A connection or a joined channel is one dynamic child each, so the checks look first for what
# `GenServer.child_spec` gives, by exact type; a class pattern or an ABC costs more
# than all of it.


def _check_start(value: object) -> Start:
    if type(value) is tuple and len(value) == 3:
        function, args, kwargs = value
        if callable(function) and type(args) is tuple and type(kwargs) is dict:
            return value
    match value:
        case (function, tuple() | list() as args, Mapping() as kwargs) if callable(function):
            return function, tuple(args), kwargs
        case (function, tuple() | list() as args) if callable(function):
            return function, tuple(args), _NO_ARGUMENTS
        case function if callable(function):
            return function, (), _NO_ARGUMENTS
    legal = "a start function, or (function, arguments) or (function, arguments, keywords)"
    raise InvalidSpecError("missing_start" if value is None else "invalid_mfa", value, legal)


def _check_restart(value: object) -> Restart:
    if type(value) is Restart:
        return value
    restart = _RESTARTS.get(value) if isinstance(value, str) else None
    if restart is None:
        raise InvalidSpecError("invalid_restart_type", value, " or ".join(_RESTARTS))
    return restart


def _check_type(value: object) -> ChildType:
    if type(value) is ChildType:
        return value
    type_ = _TYPES.get(value) if isinstance(value, str) else None
    if type_ is None:
        raise InvalidSpecError("invalid_child_type", value, " or ".join(_TYPES))
    return type_


def _check_shutdown(value: object) -> float | BrutalKill | None:
    if value is None or value is BRUTAL_KILL:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        try:
            return float(value)
        except OverflowError:  # an int may be more than a float
            return INFINITY
    raise InvalidSpecError("invalid_shutdown", value, "seconds >= 0, INFINITY or BRUTAL_KILL")


def _check_significant(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidSpecError("invalid_significant", value, "True or False")


def _check_backoff(value: object) -> Backoff | None:
    if value is None or isinstance(value, Backoff):
        return value
    raise InvalidSpecError("invalid_backoff", value, "a Backoff or None")


def _permanent_is_not_significant(
    spec: ChildSpec,
    _: attrs.Attribute[bool],
    significant: bool,  # noqa: FBT001  # attrs calls it
) -> None:
    if significant and spec.restart is Restart.PERMANENT:
        value = {"restart": "permanent", "significant": True}
        legal = "a significant child to be transient or temporary"
        raise InvalidSpecError("bad_combination", value, legal)


@attrs.frozen
class ChildSpec:
    """How to start, restart and stop one child (S2).

    - `id`: names the child within its supervisor; any hashable value but None. Dynamic supervisors
      ignore it.
    - `start`: the start function, `(function, arguments)` or `(function, arguments, keywords)`. It
      is awaited in the supervisor's process, must link the child to it, and returns a `Pid` or
      `(Pid, info)`.
    - `restart`: `Restart.PERMANENT` (default), `TRANSIENT` or `TEMPORARY`.
    - `shutdown`: seconds to wait after asking the child to stop and before killing it; `INFINITY`
      never kills, `BRUTAL_KILL` does not ask. Default: 5 seconds for workers, `INFINITY` for
      supervisors.
    - `type`: `ChildType.WORKER` (default) or `SUPERVISOR`.
    - `significant`: whether its end may end the supervisor (`auto_shutdown`, S32).
    - `backoff`: delay between restart attempts; None (default) restarts at once, as OTP does.

    Raises `InvalidSpecError`, whose `word` is OTP's.
    """

    id: Hashable = attrs.field(converter=_check_id)
    start: Start = attrs.field(converter=_check_start)
    restart: Restart = attrs.field(
        default=Restart.PERMANENT, converter=_check_restart, kw_only=True
    )
    shutdown: float | BrutalKill = attrs.field(converter=_check_shutdown, kw_only=True)
    type: ChildType = attrs.field(default=ChildType.WORKER, converter=_check_type, kw_only=True)
    significant: bool = attrs.field(
        default=False,
        converter=_check_significant,
        validator=_permanent_is_not_significant,
        kw_only=True,
    )
    backoff: Backoff | None = attrs.field(default=None, converter=_check_backoff, kw_only=True)

    @shutdown.default
    def _default_shutdown(self) -> None:
        """None until `type` is known; `__attrs_post_init__` fills it in."""

    def __attrs_post_init__(self) -> None:
        if self.shutdown is None:
            worker = self.type is ChildType.WORKER
            object.__setattr__(self, "shutdown", WORKER_SHUTDOWN_SECONDS if worker else INFINITY)

    @classmethod
    def of(cls, child: ChildLike, /, **overrides: Any) -> ChildSpec:
        """The specification of `child`, with some fields replaced (Elixir
        `Supervisor.child_spec/2`).

        `child` is a ChildSpec, a mapping of its fields (other keys are ignored), a class or object
        with a `child_spec()` method, or a tuple of such a class and the arguments for its
        `child_spec`.
        """
        spec = _resolve(child)
        if isinstance(spec, ChildSpec):
            return attrs.evolve(spec, **overrides) if overrides else spec
        return _from_mapping({**spec, **overrides} if overrides else spec)


SPEC_FIELDS: Final = frozenset(field.name for field in attrs.fields(ChildSpec))


def _resolve(child: ChildLike) -> ChildSpec | Mapping[str, Any]:
    args: tuple[Any, ...] = ()
    if isinstance(child, tuple) and child:
        child, *rest = child
        args = tuple(rest)
    make = getattr(child, "child_spec", None)
    if callable(make):
        child = make(*args)
    elif args:
        child = (child, *args)
    if type(child) is dict or isinstance(child, (ChildSpec, Mapping)):
        return child
    raise InvalidSpecError(
        "invalid_child_spec",
        child,
        "a class with child_spec(), (class, *arguments), a mapping or a ChildSpec",
    )


def _from_mapping(mapping: Mapping[str, Any]) -> ChildSpec:
    try:
        return ChildSpec(**mapping)
    except TypeError:  # a field is missing or unknown
        return _from_any_mapping(mapping)


def _from_any_mapping(mapping: Mapping[str, Any]) -> ChildSpec:
    legal = "a mapping with at least 'id' and 'start'"
    if "id" not in mapping:
        raise InvalidSpecError("missing_id", dict(mapping), legal)
    if "start" not in mapping:
        raise InvalidSpecError("missing_start", dict(mapping), legal)
    if not mapping.keys() <= SPEC_FIELDS:
        mapping = {key: value for key, value in mapping.items() if key in SPEC_FIELDS}
    return ChildSpec(**mapping)


def without_arguments(spec: ChildSpec) -> ChildSpec:
    """`spec` as a supervisor keeps it for a temporary child: it is never started again (S31)."""
    function, args, kwargs = spec.start
    return attrs.evolve(spec, start=(function, (), _NO_ARGUMENTS)) if args or kwargs else spec
