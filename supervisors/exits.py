"""Exit reasons that only supervisors give, as values."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = (
    "CHILD_PROCESS_UNLINKED",
    "REACHED_MAX_RESTART_INTENSITY",
    "ApplicationEnded",
    "FailedToStartChild",
    "SupervisorReason",
)


class SupervisorReason(enum.Enum):
    """Reasons without details."""

    CHILD_PROCESS_UNLINKED = "child_process_unlinked"
    REACHED_MAX_RESTART_INTENSITY = "reached_max_restart_intensity"

    def __repr__(self) -> str:
        return self.name


CHILD_PROCESS_UNLINKED = SupervisorReason.CHILD_PROCESS_UNLINKED
REACHED_MAX_RESTART_INTENSITY = SupervisorReason.REACHED_MAX_RESTART_INTENSITY


@attrs.frozen
class FailedToStartChild:
    """Why a supervisor did not start: child `id` failed with `reason` (S7).

    It travels as `Shutdown(FailedToStartChild(id, reason))`, so the parent takes it as orderly.
    """

    id: Hashable
    reason: object

    def __str__(self) -> str:
        return f"child {self.id!r} did not start: {self.reason!r}"


@attrs.frozen
class ApplicationEnded:
    """Why a program ends: `application`, which it cannot be without, ended for `reason` (AP2).

    It travels as `Shutdown(ApplicationEnded(application, reason))`, to the node's main process.
    """

    application: str
    reason: object

    def __str__(self) -> str:
        return f"application {self.application} ended: {self.reason!r}"
