"""A supervision tree as text."""

from __future__ import annotations

from actors import call, whereis
from actors.exceptions import CallError
from actors.kernel import Destination
from actors.pid import Pid
from supervisors.children import ChildInfo
from supervisors.dynamic_supervisor_server import DynamicSupervisorServer
from supervisors.supervisor_server import SupervisorServer

__all__ = ("draw_tree",)


async def draw_tree(supervisor: Destination) -> str:
    """`supervisor` and everything below it, one process a line, in start order."""
    pid = whereis(supervisor)
    lines = [repr(pid or supervisor)]
    lines += await _branches(supervisor, "")
    return "\n".join(lines)


async def _branches(supervisor: Destination, indent: str) -> list[str]:
    children: list[ChildInfo] = await call(supervisor, ("which_children",), timeout=None)
    lines: list[str] = []
    if not isinstance(_server(supervisor), DynamicSupervisorServer):
        children.reverse()  # newest first (S30)
    for child in children:
        last = child is children[-1]
        lines.append(f"{indent}{'└── ' if last else '├── '}{_describe(child)}")
        if isinstance(child.pid, Pid) and _is_supervisor(child.pid):
            lines += await _below(child.pid, f"{indent}{'    ' if last else '│   '}")
    return lines


def _is_supervisor(pid: Pid) -> bool:
    """By what it is, and not by its spec: others than ours may call themselves one, and know no
    `which_children`.
    """
    return isinstance(_server(pid), SupervisorServer | DynamicSupervisorServer)


def _server(supervisor: Destination) -> object:
    pid = whereis(supervisor)
    return None if pid is None else getattr(pid.target, "server", None)


async def _below(supervisor: Pid, indent: str) -> list[str]:
    try:
        return await _branches(supervisor, indent)
    except CallError as error:  # it ended between the question and the answer
        return [f"{indent}└── ({error.reason!r})"]


def _describe(child: ChildInfo) -> str:
    state = "stopped" if child.pid is None else repr(child.pid)
    if child.id is None:
        return state
    name = child.id.__qualname__ if isinstance(child.id, type) else child.id
    return f"{name}: {state}"
