"""The ties of a process to others: links and monitors (L, M).

Each half of a tie is entered in the table of the process that it belongs to; the other half is
reached through the other's `Pid`, so that a tie to the dead is refused there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from actors.exceptions import call_error
from actors.exits import ALIVE, NOPROC
from actors.mailbox import Mailbox
from actors.messages import Down, Exit
from actors.pid import MonitorRef, Pid

if TYPE_CHECKING:
    from actors.seams import ProcessNode

__all__ = ("PORTION", "Tied")

PORTION: Final = 16
"""Watchers that hear of an end before others have had a turn."""


class Tied:
    """What has links and monitors: the half of `Process` that keeps them."""

    __slots__ = ("links", "monitors", "watchers")

    pid: Pid
    node: ProcessNode
    trap_exit: bool
    exit_reason: Any
    dead: bool
    mailbox: Mailbox
    deliver: Callable[[Any], None]
    links: dict[Pid, None] | None
    """In the order in which they were made."""
    watchers: dict[MonitorRef, None] | None
    """Who watches this process."""
    monitors: dict[MonitorRef, None] | None
    """Whom this process watches."""

    # -- of this process -------------------------------------------------------------------------

    def link(self, other: Pid) -> None:
        """Link this process with `other`; the dead give an `Exit`, or raise, by `trap_exit`."""
        if other is self.pid:
            return
        if other.target.link_to(self.pid):
            self._enter_link(other)  # also while exiting: what it starts now must hear of its end
        elif self.trap_exit:
            self.deliver(Exit(other, NOPROC))
        else:
            raise call_error(NOPROC, other, "link")

    def unlink(self, other: Pid) -> None:
        """Undo `link`, both halves; no exit signal passes any more (L3)."""
        self.unlink_from(other)
        other.target.unlink_from(self.pid)

    def watch(self, pid: Pid | None, object: Any) -> MonitorRef:
        """Monitor `pid`; a dead one gives a `Down` with `NOPROC` at once (M2)."""
        ref = MonitorRef(self.pid, pid, object)
        ref.mark = self.mailbox.mark()
        if pid is not None and pid.target.add_monitor(ref):
            if self.monitors is None:
                self.monitors = {}
            self.monitors[ref] = None
        else:
            self.deliver(Down(ref, object, NOPROC))
        return ref

    def unwatch(self, ref: MonitorRef) -> bool:
        """Undo `watch`; False if the DOWN was delivered before. ValueError if it is another's."""
        if ref.watcher is not self.pid:
            raise ValueError(
                f"{ref!r} was made by {ref.watcher!r}, and nobody else can undo it; asked by"
                f" {self.pid!r}"
            )
        if ref.pid is not None:
            ref.pid.target.remove_monitor(ref)
        return self.remove_own_monitor(ref)

    # -- asked for by others ---------------------------------------------------------------------

    def link_to(self, other: Pid) -> bool:
        """Enter this half of a link; False when this process has begun to exit."""
        if self.exit_reason is not ALIVE:
            return False
        self._enter_link(other)
        return True

    def _enter_link(self, other: Pid) -> None:
        if self.links is None:
            self.links = {}
        self.links[other] = None

    def unlink_from(self, other: Pid) -> None:
        """Remove this half of a link."""
        if self.links is not None:
            self.links.pop(other, None)

    def add_monitor(self, ref: MonitorRef) -> bool:
        """Let `ref.watcher` hear of the end; False when this process has ended."""
        if self.dead:
            return False
        if self.watchers is None:
            self.watchers = {}
        self.watchers[ref] = None
        return True

    def remove_monitor(self, ref: MonitorRef) -> bool:
        """Forget a watcher; False if it was not there."""
        if self.watchers is None or ref not in self.watchers:
            return False
        del self.watchers[ref]
        return True

    def remove_own_monitor(self, ref: MonitorRef) -> bool:
        """This process does not watch any more; False if it did not."""
        if self.monitors is None or ref not in self.monitors:
            return False
        del self.monitors[ref]
        return True

    # -- at the end ------------------------------------------------------------------------------

    def signal_links(self, reason: Any) -> None:
        """Send the exit signal to every link, and be linked no more."""
        links, self.links = self.links, None
        for pid in links or ():
            pid.target.unlink_from(self.pid)
            pid.target.receive_exit(self.pid, reason, linked=True)

    def signal_watchers(self, reason: Any) -> None:
        """Send every watcher its DOWN, and watch nobody any more."""
        self._tell_watchers(reason)
        monitors, self.monitors = self.monitors, None
        for ref in monitors or ():
            if ref.pid is not None:
                ref.pid.target.remove_monitor(ref)

    def _tell_watchers(self, reason: Any) -> None:
        """Many are told in portions: the rest of the node does not wait for them all (P14)."""
        watchers = self.watchers or {}
        for ref in list(islice(watchers, PORTION)):
            del watchers[ref]
            watcher = ref.watcher.target
            if watcher.remove_own_monitor(ref):  # otherwise it has undone it since
                watcher.deliver(Down(ref, ref.object, reason))
        if watchers:
            self.node.waker.call(partial(self._tell_watchers, reason))
        else:
            self.watchers = None
