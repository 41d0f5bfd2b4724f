"""Supervision trees as in OTP: who starts, watches, restarts and stops whom.

`Supervisor` for a fixed list with an order, `DynamicSupervisor` for children on demand,
`Application` for the root. Specifications are in child_spec.py, what a supervisor decides in
strategies.py.
"""

from supervisors.application import Application
from supervisors.application_controller import RunningApplication
from supervisors.backoff import Backoff
from supervisors.child_spec import BRUTAL_KILL, INFINITY, ChildLike, ChildSpec, ChildType, Restart
from supervisors.children import RESTARTING, ChildCount, ChildInfo
from supervisors.dynamic_supervisor import DynamicSupervisor
from supervisors.exceptions import (
    AlreadyPresentError,
    ApplicationNotStartedError,
    ApplicationStartError,
    ChildAlreadyStartedError,
    ChildNotFoundError,
    ChildRestartingError,
    ChildRunningError,
    ChildStartError,
    ConfigurationError,
    InvalidFlagError,
    InvalidSpecError,
    MaxChildrenError,
    SimpleOneForOneError,
    SupervisorsError,
)
from supervisors.exits import CHILD_PROCESS_UNLINKED, ApplicationEnded, FailedToStartChild
from supervisors.flags import AutoShutdown, DynamicSupervisorFlags, Strategy, SupervisorFlags
from supervisors.garbage_collection import GarbageCollection
from supervisors.partition_supervisor import PartitionSupervisor
from supervisors.start_types import StartType
from supervisors.supervisor import Supervisor
from supervisors.task_supervisor import TaskSupervisor

__all__ = (
    "BRUTAL_KILL",
    "CHILD_PROCESS_UNLINKED",
    "INFINITY",
    "RESTARTING",
    "AlreadyPresentError",
    "Application",
    "ApplicationEnded",
    "ApplicationNotStartedError",
    "ApplicationStartError",
    "AutoShutdown",
    "Backoff",
    "ChildAlreadyStartedError",
    "ChildCount",
    "ChildInfo",
    "ChildLike",
    "ChildNotFoundError",
    "ChildRestartingError",
    "ChildRunningError",
    "ChildSpec",
    "ChildStartError",
    "ChildType",
    "ConfigurationError",
    "DynamicSupervisor",
    "DynamicSupervisorFlags",
    "FailedToStartChild",
    "GarbageCollection",
    "InvalidFlagError",
    "InvalidSpecError",
    "MaxChildrenError",
    "PartitionSupervisor",
    "Restart",
    "RunningApplication",
    "SimpleOneForOneError",
    "StartType",
    "Strategy",
    "Supervisor",
    "SupervisorFlags",
    "SupervisorsError",
    "TaskSupervisor",
)
