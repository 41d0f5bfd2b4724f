"""A process whose only work is to own a table that others read and write in place (OTP: a process
with public ETS tables).

A registry or a scope of process groups is a *name* that code can hold anywhere, also at module
level; the table behind it belongs to a process under a supervisor. Whoever uses the name reaches
the table without a message. The table is gone when its owner ends, and each death in the node is
told to it in the death procedure, before any DOWN.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from actors.exceptions import NoProcessError
from actors.exits import NOPROC
from actors.gen_server import GenServer
from actors.node import current_node
from actors.pid import Pid

__all__ = ("OwnedTable", "TableOwner", "find_table")


class OwnedTable(Protocol):
    """What the owner tells its table."""

    def process_ended(self, pid: Pid) -> None:
        """Forget `pid`. Must not raise: it is called in the death procedure of `pid`."""

    def close(self, owner: Pid, reason: Any) -> None:
        """The owner ended with `reason`, and the table with it."""


class TableOwner(GenServer):
    """The owner. It serves nothing but system messages."""

    table: OwnedTable

    def init(self, table: OwnedTable) -> None:
        """Take `table`; from now on it can be found."""
        self.table = table
        self._node = current_node()
        self._node.on_exit(self._process_ended)

    def _process_ended(self, pid: Pid) -> None:
        if pid is self.pid:
            self._node.remove_exit_listener(self._process_ended)
            self.table.close(pid, self._process.exit_reason)
        else:
            self.table.process_ended(pid)


T = TypeVar("T")


def find_table(name: str, kind: type[T], asked: object) -> T:
    """The table of `kind` that the process called `name` owns on the current node.

    Raises `NoProcessError`, about `asked`, if it is not running, and TypeError if the name belongs
    to something else.
    """
    pid = current_node().names.get(name)
    server: Any = None if pid is None else current_node().processes[pid].server
    if server is None:
        raise NoProcessError(NOPROC, asked, kind.__name__)
    table = getattr(server, "table", None)
    if isinstance(table, kind):
        return table
    raise TypeError(f"{asked!r} is looked for under {name!r}, but that is the name of {pid!r}")
