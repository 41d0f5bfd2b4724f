"""The process of a PubSub: dispatches what is too much for one step.

Owner: its `PubSub`, which hands it the broadcasts for large topics, and all that come until it has
caught up.
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar, Protocol, cast

import attrs
import structlog
import trio

from actors import AlreadyStartedError, GenServer, Node, Pid
from actors.failures import concerns_trio
from actors.pid import Cast
from actors.process import Process, current_process
from actors.reports import emit, fact
from actors.tracebacks import plain_traceback
from channels.pubsub.adapter import BatchDispatcher, Dispatcher, Subscription

__all__ = ("CHUNK", "MOST_TOGETHER", "Job", "PubSubServer")

_log = structlog.get_logger("channels")

CHUNK = 256
"""Subscribers that are served before other processes get a turn."""
MOST_TOGETHER = 16
"""Broadcasts that are dispatched together."""


@attrs.frozen
class Job:
    """A broadcast to be dispatched in parts."""

    topic: str
    subscriptions: tuple[Subscription, ...]
    sender: Pid | None
    message: Any
    dispatcher: Dispatcher

    def goes_with(self, other: object) -> bool:
        """Whether both are for the same subscribers, in the same way."""
        return (
            isinstance(other, Job)
            and other.subscriptions is self.subscriptions
            and other.dispatcher is self.dispatcher
        )


class Table(Protocol):
    """What the process serves: the `PubSub`."""

    @property
    def pid(self) -> Pid | None:
        """The process that serves it."""

    def attach(self, node: Node, process: Process) -> None:
        """`process` runs: from now on others may subscribe."""

    def without_who_left(
        self, topic: str, crowd: tuple[Subscription, ...], part: tuple[Subscription, ...]
    ) -> tuple[Subscription, ...]:
        """Who of a part of a crowd is still subscribed to `topic`."""

    def jobs_done(self, server: Pid, count: int) -> None:
        """So many broadcasts that were dispatched in parts are complete."""


class PubSubServer(GenServer):
    """The process of a PubSub: dispatches what is too much for one step."""

    hibernate_after: ClassVar[float | None] = 1.0  # seconds; a PubSub of small topics needs no task

    def init(self, pubsub: Table) -> None:
        """Open the table for subscribers; it is closed in the death procedure of this process.

        Raises `AlreadyStartedError` if another one serves it.
        """
        if pubsub.pid is not None:
            raise AlreadyStartedError(pubsub.pid)
        self._pubsub = pubsub
        process = current_process()
        self._mailbox = process.mailbox
        pubsub.attach(cast("Node", process.node), process)

    async def handle_cast(self, message: Job) -> None:
        """Dispatch a broadcast, and those behind it that go with it; other processes run between
        the parts.
        """
        jobs = [message]
        if isinstance(message.dispatcher, BatchDispatcher):
            jobs += self._take_those_that_go_with(message)
        everyone = message.subscriptions
        failure: BaseException | None = None
        try:
            for start in range(0, len(everyone), CHUNK):
                part = everyone[start : start + CHUNK]
                try:
                    _dispatch_part(
                        self._pubsub.without_who_left(message.topic, everyone, part), jobs
                    )
                except BaseException as error:  # noqa: ASYNC103  # costs nobody's subscription
                    if concerns_trio(error):
                        raise
                    failure = failure or error  # the other parts are served all the same
                await trio.lowlevel.checkpoint()
        finally:
            self._pubsub.jobs_done(self.pid, len(jobs))
        if failure is not None:
            stack = plain_traceback(failure)
            messages = [fact(job.message) for job in jobs]
            emit(_log, "error", "broadcast failed", messages=messages, stack=stack)

    def _take_those_that_go_with(self, job: Job) -> list[Job]:
        """Out of the mailbox, which this process alone reads."""
        queue, taken = self._mailbox.queue, list[Job]()
        while queue and isinstance(queue, deque) and len(taken) < MOST_TOGETHER - 1:
            following = queue[0]
            if type(following) is not Cast or not job.goes_with(following.message):
                break
            taken.append(queue.popleft().message)
        return taken


def _dispatch_part(part: tuple[Subscription, ...], jobs: list[Job]) -> None:
    dispatcher = jobs[0].dispatcher
    if len(jobs) > 1 and isinstance(dispatcher, BatchDispatcher):
        dispatcher.together(part, [(job.sender, job.message) for job in jobs])
    else:
        dispatcher(part, jobs[0].sender, jobs[0].message)
