"""`Writer.push_all` is `push` for each frame, in one write where that can be."""

import pytest
import trio

from channels.transports.backlog import Disconnect, DropNewest, DropOldest
from channels.transports.outbox import Outbox
from tests.channels.transports.conftest import read_exactly

FRAMES = [b"first", b"2nd", b"the third"]
JOINED = b"".join(FRAMES)


class Wire:
    """A socket that takes the next so many bytes."""

    def __init__(self, takes):
        self.takes = takes
        self.taken = b""
        self.writes = 0

    def send(self, data):
        if not self.takes:
            raise BlockingIOError
        self.writes += 1
        data = bytes(data[: self.takes])
        self.takes -= len(data)
        self.taken += data
        return len(data)


@pytest.fixture
async def opened():
    """Opens outboxes whose writer task never gets to run."""
    outboxes = []

    def open_on(wire, **options):
        ours, client = trio.socket.socketpair()
        outbox = Outbox(trio.SocketStream(ours), spawn=lambda _: None, **options)
        outbox._direct = wire.send
        outboxes.append((outbox, client))
        return outbox

    yield open_on
    for outbox, client in outboxes:
        client.close()
        await outbox.close_after_flush(0)


def waiting(outbox):
    return b"" if outbox._backlog is None else bytes(outbox._backlog.peek(10**6))


async def test_all_leave_in_one_write(opened):
    wire = Wire(1_000)
    outbox = opened(wire)
    outbox.push_all(FRAMES, JOINED)
    assert (wire.taken, wire.writes) == (JOINED, 1)
    assert (outbox.frames_out, outbox.bytes_out, outbox.queued_bytes) == (3, len(JOINED), 0)


@pytest.mark.parametrize("takes", range(len(JOINED) + 1))
async def test_what_does_not_fit_waits_in_order(takes, opened):
    wire = Wire(takes)
    outbox = opened(wire)
    outbox.push_all(FRAMES, JOINED)
    assert wire.taken + waiting(outbox) == JOINED
    assert (outbox.frames_out, outbox.bytes_out) == (3, takes)
    assert outbox.queued_bytes == len(JOINED) - takes


@pytest.mark.parametrize("policy", [Disconnect(), DropNewest(), DropOldest()], ids=repr)
@pytest.mark.parametrize("limit", [1, 8, 12, 100])
@pytest.mark.parametrize("takes", [0, 2, 5, 6, 8, 9])
async def test_a_limit_and_its_policy_see_single_frames(takes, limit, policy, opened):
    together = opened(Wire(takes), limit=limit, policy=policy)
    together.push_all(FRAMES, JOINED)
    apart = opened(Wire(takes), limit=limit, policy=policy)
    for frame in FRAMES:
        apart.push(frame)
    assert together.statistics() == apart.statistics()
    assert waiting(together) == waiting(apart)


async def test_in_a_corked_batch_they_leave_with_the_others(pair):
    ours, client = pair
    outbox = Outbox(ours, spawn=lambda _: None)
    with outbox.corked():
        outbox.push(b"before ")
        outbox.push_all(FRAMES, JOINED)
        assert outbox.queued_bytes == len(b"before ") + len(JOINED)
    assert await read_exactly(client, 7 + len(JOINED)) == b"before " + JOINED
    await outbox.close_after_flush(0)


async def test_after_the_last_frame_they_are_counted_as_dropped(opened):
    wire = Wire(1_000)
    outbox = opened(wire)
    outbox.finish(b"last")
    outbox.push_all(FRAMES, JOINED)
    assert outbox.statistics().frames_dropped == 3
    assert JOINED not in wire.taken


async def test_a_peer_that_is_gone_is_told_once(pair):
    broken: list[BaseException] = []
    outbox = Outbox(pair[0], spawn=lambda _: None, on_broken=broken.append)

    def fails(_):
        raise ConnectionResetError

    outbox._direct = fails
    outbox.push_all(FRAMES, JOINED)
    outbox.push_all(FRAMES, JOINED)
    assert [type(error) for error in broken] == [ConnectionResetError]
    await outbox.close_after_flush(0)
