"""`TestSocket`: the connection of a test. It stands where a WebSocket's process would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from actors import NORMAL, Pid, spawn
from actors.process import Process
from channels.messages import Broadcast, Message
from channels.pubsub import PubSub
from channels.serializers import V2
from channels.socket import UserSocket, router_of
from channels.testing.wire import read, unframe, write
from channels.transports.base import TransportProcess
from channels.transports.limits import Limits
from channels.transports.limits_addresses import Gatekeeper
from supervisors import DynamicSupervisor

__all__ = ("TestSocket", "open_socket")

T = TypeVar("T")


async def open_socket(socket: UserSocket, socket_id: str | None, pubsub: PubSub) -> TestSocket:
    """A connection for `socket`, whose channels live under a supervisor of their own, which is
    linked to the calling process.
    """
    supervisor = await DynamicSupervisor.start_link()
    process = spawn(trio.sleep_forever, label="TestSocket").target
    assert isinstance(process, Process)
    return TestSocket(process, socket, socket_id, pubsub, supervisor)


class TestSocket(TransportProcess):
    """The connection of a test: what every transport is, without a wire. Entity.

    `closed` is the code and reason with which the server has closed it.
    """

    __test__ = False  # pytest: it is not a test case

    def __init__(
        self,
        process: Process,
        socket: UserSocket,
        socket_id: str | None,
        pubsub: PubSub,
        supervisor: Pid,
    ) -> None:
        limits = Limits(held=1_000, held_bytes=0).without_rates()
        gatekeeper = Gatekeeper(limits.address)
        address = gatekeeper.enter("test", trio.current_time())
        assert not isinstance(address, str)  # there are no limits
        super().__init__(
            process,
            socket,
            socket_id,
            "test",
            router_of(type(socket)).route,
            serializer=V2(),
            pubsub=pubsub,
            channel_supervisor=lambda: supervisor,
            limits=limits,
            gatekeeper=gatekeeper,
            address=address,
        )
        self.push = self._receive
        self.closed: tuple[int, str] | None = None
        self.received: list[Message] = []
        """What the client has got and no assertion has taken, oldest first."""
        self.broadcasts: list[Broadcast] = []
        """What was broadcast on the topics of `subscribe_and_join`, oldest first."""
        self._changed = trio.Event()
        self._serial = 0
        self._subscribed: set[str] = set()  # by the test
        process.handle_in_place(self.on_message)
        if socket_id is not None:
            pubsub.subscribe(socket_id, pid=self.pid)

    def __repr__(self) -> str:
        return f"<TestSocket {type(self._socket).__name__} {self._multiplexer!r}>"

    @property
    def id(self) -> str | None:
        """The topic on which it can be told to disconnect."""
        return self._socket_id

    @property
    def assigns(self) -> dict[str, Any]:
        """What `connect` has learnt."""
        return self._socket.assigns

    # -- as a client ---------------------------------------------------------------------------

    def next_ref(self) -> str:
        """A ref that was not used before."""
        self._serial += 1
        return str(self._serial)

    def send(self, message: Message) -> None:
        """Give the server a message, as it comes over the wire (strings as keys)."""
        if self.closed is None:
            self.take(*write(message))

    def subscribe(self, topic: str) -> None:
        """Let `broadcasts` have what is broadcast on `topic`. Once."""
        if topic != self.id and topic not in self._subscribed:
            self.pubsub.subscribe(topic, pid=self.pid)
        self._subscribed.add(topic)

    async def take_when_there(
        self, wanted: Callable[[], T | None], timeout: float, describe: Callable[[], str]
    ) -> T:
        """Wait until `wanted()` gives something; if not, AssertionError with `describe()`."""
        with trio.move_on_after(timeout):
            while True:
                changed = self._changed
                found = wanted()
                if found is not None:
                    return found
                await changed.wait()
        raise AssertionError(describe())

    # -- as a transport ------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """End: nobody waits for an answer to a close frame here."""
        if self.closed is None:
            self.closed = (int(code), reason)
            self.end_channels()
            self._process.begin_exit(NORMAL)
            self._notify()

    def on_message(self, message: Any) -> None:
        """For `Process.handle_in_place`."""
        if type(message) is Broadcast:
            if message.topic in self._subscribed:
                self.broadcasts.append(message)
                self._notify()
            if message.topic != self.id:
                return
        super().on_message(message)

    def _receive(self, data: bytes, _key: object = None) -> None:
        """`push`: keep what the client would get."""
        if self.closed is None:
            self.received.append(read(*unframe(data)))
            self._notify()

    # -- inside --------------------------------------------------------------------------------

    def channels(self) -> list[Pid]:
        """The processes of all its channels."""
        return list(self._keys)

    def channel_of(self, topic: str) -> Pid:
        """The process that serves a joined topic."""
        [pid] = [info.channel for info in self._multiplexer.topics() if info.topic == topic]
        assert isinstance(pid, Pid)
        return pid

    def forget(self, channel: Pid) -> None:
        """The test closes one of its channels: its end is no news to the client."""
        key = self._keys.pop(channel, None)
        if key is not None:
            self._multiplexer.exited(key, crashed=False)

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
