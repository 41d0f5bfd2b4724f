"""`TestSocket`: the connection of a test. It stands where a WebSocket's process would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import trio

from actors import Down, Pid, Shutdown, StartError, current_node, is_orderly
from actors.process import Process
from channels.channel import JoinRequest
from channels.effects import Effect, Forward, Join, Leave, Send, SendReply, StopChannel
from channels.messages import Binary, Broadcast, Message, Opcode
from channels.multiplexer import Multiplexer
from channels.pubsub import PubSub
from channels.serializers import V2, Serializer
from channels.socket import UserSocket, router_of
from channels.testing.wire import read, unframe
from supervisors import ChildSpec

__all__ = ("TestSocket",)

T = TypeVar("T")


class TestSocket:
    """The connection of a test: stands where the WebSocket's process would. Entity."""

    __test__ = False  # pytest: it is not a test case

    def __init__(self, socket: UserSocket, pubsub: PubSub, process: Process) -> None:
        self.socket = socket
        self.pid = process.pid
        self.serializer: Serializer = V2()
        self.pubsub = pubsub
        self.received: list[Message] = []
        """What the client has got and no assertion has taken, oldest first."""
        self.broadcasts: list[Broadcast] = []
        """What was broadcast on the topics of `subscribe_and_join`, oldest first."""
        self._process = process
        self._changed = trio.Event()
        self._serial = 0
        self._keys: dict[Pid, int] = {}
        self._multiplexer: Multiplexer[Any, Pid] = Multiplexer(
            router_of(type(socket)).route, max_channels=type(socket).max_channels
        )
        process.handle_in_place(self._on_message)

    def __repr__(self) -> str:
        return f"<TestSocket {type(self.socket).__name__} {self._multiplexer!r}>"

    @property
    def assigns(self) -> dict[str, Any]:
        """What `connect` has learnt."""
        return self.socket.assigns

    # -- as a client ---------------------------------------------------------------------------

    def next_ref(self) -> str:
        """A ref that was not used before."""
        self._serial += 1
        return str(self._serial)

    def send(self, message: Message) -> None:
        """Give the server a message, as if it had come over the wire (strings as keys)."""
        payload = message.payload
        if not isinstance(payload, Binary):
            payload = msgspec.json.decode(msgspec.json.encode(payload))
        message = msgspec.structs.replace(message, payload=payload)
        self._carry_out(self._multiplexer.receive(message))

    async def take(
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

    def push(self, data: bytes, key: object = None) -> None:
        """See `channel.Transport`: keep what the client would get."""
        opcode, payload = unframe(data)
        self.received.append(read(opcode, payload))
        self._notify()

    def started(self, key: int, channel: Pid) -> None:
        """See `channel.Transport`."""
        self._keys[channel] = key
        self._process.watch(channel, channel)
        self._carry_out(self._multiplexer.started(key, channel))

    def joined(self, key: int, response: Any) -> None:
        """See `channel.Transport`."""
        self._carry_out(self._multiplexer.joined(key, response))

    def refused(self, key: int, response: Any) -> None:
        """See `channel.Transport`."""
        self._carry_out(self._multiplexer.refused(key, response))

    def closing(self, key: int) -> None:
        """See `channel.Transport`."""
        self._carry_out(self._multiplexer.exited(key, crashed=False))

    # -- inside --------------------------------------------------------------------------------

    def channels(self) -> list[Pid]:
        """The processes of all its channels."""
        return list(self._keys)

    def channel_of(self, topic: str) -> Pid:
        """The process that serves a joined topic."""
        [pid] = [info.channel for info in self._multiplexer.topics() if info.topic == topic]
        assert isinstance(pid, Pid)
        return pid

    def _carry_out(self, effects: tuple[Effect[Any, Pid], ...]) -> None:
        for effect in effects:
            match effect:
                case Forward() | Leave():
                    effect.channel.send(effect.message)
                case SendReply(join_ref, ref, topic, status, response):
                    encode = self.serializer.encode_reply
                    self._keep(encode(join_ref, ref, topic, status, response))
                case Send(message):
                    self._keep(self.serializer.encode_message(message))
                case StopChannel(channel, reason):
                    channel.target.receive_exit(self.pid, Shutdown(reason), linked=False)
                case Join():
                    self._start_channel(effect)

    def _keep(self, encoded: tuple[Opcode, bytes]) -> None:
        self.received.append(read(*encoded))
        self._notify()

    def _start_channel(self, effect: Join[Any]) -> None:
        """In a process of its own, which stands where the supervisor of all channels would."""
        assigns = dict(self.socket.assigns)
        request = JoinRequest(
            self, effect.key, effect.topic, effect.join_ref, effect.payload, assigns
        )
        function, args, kwargs = ChildSpec.of(effect.handler.child_spec(request)).start

        async def start() -> None:
            try:
                await function(*args, **kwargs)
            except StartError:
                self._carry_out(self._multiplexer.exited(effect.key, crashed=True))
            await trio.sleep_forever()

        current_node().spawn(
            start, (), label="channel starter", parent=self._process, link=True, trap_exit=True
        )

    def _on_message(self, message: Any) -> None:
        match message:
            case Down(object=channel, reason=reason):
                key = self._keys.pop(channel, None)
                if key is not None:
                    crashed = not is_orderly(reason)
                    self._carry_out(self._multiplexer.exited(key, crashed=crashed))
            case Broadcast():
                self.broadcasts.append(message)
                self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
