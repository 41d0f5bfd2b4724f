"""What the supervisor API raises to its callers: OTP's error words as exceptions.

Where OTP returns `{error, already_present}` this package raises `AlreadyPresentError`; each class
names the OTP word it stands for in `word` and derives from the nearest builtin too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from actors.exceptions import ActorsError, AlreadyStartedError, StartError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from actors.pid import Pid

__all__ = (
    "AlreadyPresentError",
    "ApplicationNotStartedError",
    "ApplicationStartError",
    "ChildAlreadyStartedError",
    "ChildNotFoundError",
    "ChildRestartingError",
    "ChildRunningError",
    "ChildStartError",
    "ConfigurationError",
    "InvalidFlagError",
    "InvalidSpecError",
    "MaxChildrenError",
    "SimpleOneForOneError",
    "SupervisorsError",
)


class SupervisorsError(ActorsError):
    """The base of everything this package raises."""


class ConfigurationError(SupervisorsError, ValueError):
    """Whoever configured the program can mend this: it ends with one line and exit code 2.

    For start functions and `init` of yours too.
    """


class InvalidSpecError(ConfigurationError):
    """A child specification is wrong (S3). `word` is OTP's error word, `value` what was given."""

    def __init__(self, word: str, value: object, legal: str) -> None:
        super().__init__(f"{word}: got {value!r}; expected {legal}")
        self.word = word
        self.value = value


class InvalidFlagError(ConfigurationError):
    """A supervisor flag is wrong (S1, D1). `word` is OTP's error word, `value` what was given."""

    def __init__(self, word: str, value: object, legal: str) -> None:
        super().__init__(f"{word}: got {value!r}; expected {legal}")
        self.word = word
        self.value = value


class _ChildError(SupervisorsError):
    """An operation on one child was refused."""

    word: ClassVar[str]
    explanation: ClassVar[str]

    def __init__(self, id: Hashable) -> None:
        super().__init__(f"{self.word}: child {id!r} {self.explanation}")
        self.id = id


class AlreadyPresentError(_ChildError, ValueError):
    """`start_child`: a child with this id is in the table but not running (S26)."""

    word = "already_present"
    explanation = "is specified already but not running; use restart_child or delete_child first"


class ChildRunningError(_ChildError, RuntimeError):
    """`restart_child`, `delete_child`: the child runs (S28, S29)."""

    word = "running"
    explanation = "is running; use terminate_child first"


class ChildRestartingError(_ChildError, RuntimeError):
    """`restart_child`, `delete_child`: the supervisor is trying to restart the child (S28, S29)."""

    word = "restarting"
    explanation = "is being restarted; terminate_child ends the attempts"


class ChildNotFoundError(_ChildError, LookupError):
    """No child has this id or pid (S27 to S30, D6)."""

    word = "not_found"
    explanation = "is not known to this supervisor; which_children lists those that are"


class SimpleOneForOneError(SupervisorsError, TypeError):
    """What asks for a child by its id was asked of a dynamic supervisor (S27 to S30)."""

    word: ClassVar[str] = "simple_one_for_one"

    def __init__(self, verb: str, supervisor: object) -> None:
        super().__init__(
            f"simple_one_for_one: {verb} was asked of {supervisor!r}, which is dynamic and knows "
            "its children by pid; see DynamicSupervisor for what can be asked of it"
        )
        self.verb = verb


class MaxChildrenError(SupervisorsError, RuntimeError):
    """`DynamicSupervisor.start_child`: as many children as allowed run or restart (D3)."""

    word: ClassVar[str] = "max_children"

    def __init__(self, max_children: int) -> None:
        super().__init__(f"max_children: this supervisor takes {max_children} children, all in use")
        self.max_children = max_children


class ChildAlreadyStartedError(AlreadyStartedError):
    """`start_child`: a child with this id runs already, as `pid` (S26)."""

    def __init__(self, id: Hashable, pid: Pid) -> None:
        super().__init__(pid)
        self.id = id

    def __str__(self) -> str:
        return f"already_started: child {self.id!r} runs already as {self.pid!r}"


class ChildStartError(StartError):
    """`start_child`, `restart_child`: the start function failed; `reason` says why (S26, S28)."""

    def __init__(self, id: Hashable, reason: object) -> None:
        super().__init__(reason)
        self.id = id

    def __str__(self) -> str:
        return f"child {self.id!r} did not start: {self.reason!r}"


class ApplicationNotStartedError(SupervisorsError, LookupError):
    """`Application.start`: one that it needs does not run; `Application.stop`: it does not run
    itself (AP1).
    """

    word: ClassVar[str] = "not_started"

    def __init__(self, application: Any, needed_by: Any = None) -> None:
        whose = f", which {needed_by!r} needs; ensure_all_started starts both" if needed_by else ""
        super().__init__(f"not_started: {application!r} does not run{whose}")
        self.application = application
        self.needed_by = needed_by


class ApplicationStartError(StartError):
    """An application did not start; `reason` says why (AP1). Nothing of it is left."""

    def __init__(self, application: Any, reason: object) -> None:
        super().__init__(reason)
        self.application = application

    def __str__(self) -> str:
        return f"{self.application!r} did not start: {self.reason!r}"
