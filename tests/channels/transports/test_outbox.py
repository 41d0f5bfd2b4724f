import contextlib
import socket
import ssl
import subprocess

import pytest
import trio
import trio.testing

from channels.transports.backlog import CoalesceByKey, DropNewest, DropOldest
from channels.transports.outbox import Outbox
from tests.channels.transports.conftest import read_exactly, read_to_end
from tests.conftest import require

BIG = b"x" * 1_000_000  # more than the kernel takes while nobody reads


class Spawner:
    """Counts writer tasks, and can hold them back."""

    def __init__(self, nursery):
        self.nursery = nursery
        self.running = 0
        self.spawned = 0

    def __call__(self, function):
        self.spawned += 1
        self.nursery.start_soon(self._run, function)

    async def _run(self, function):
        self.running += 1
        try:
            await function()
        finally:
            self.running -= 1


@pytest.fixture
async def spawner(nursery):
    return Spawner(nursery)


@pytest.fixture
async def opened():
    """Opens outboxes, and closes them when the test is over."""
    outboxes = []

    def open_outbox(*arguments, **options):
        outboxes.append(Outbox(*arguments, **options))
        return outboxes[-1]

    yield open_outbox
    for outbox in outboxes:
        await outbox.close_after_flush(0)


async def idle():
    """Let everything run that can."""
    await trio.testing.wait_all_tasks_blocked(0.01)


async def test_a_frame_is_on_the_wire_before_push_returns(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner)
    outbox.push(b"hello")
    assert outbox.queued_bytes == 0
    assert spawner.spawned == 0
    assert await client.receive_some() == b"hello"


async def test_frames_arrive_whole_and_in_order_where_the_peer_is_slow(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    frames = [b"%06d" % number * 500 for number in range(2_000)]
    for frame in frames:
        outbox.push(frame)
    assert outbox.queued_bytes > 0
    assert await read_exactly(client, sum(map(len, frames))) == b"".join(frames)


async def test_a_writer_exists_only_while_something_waits(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    outbox.push(BIG)
    outbox.push(b"end")
    await idle()
    assert (spawner.spawned, spawner.running) == (1, 1)
    await read_exactly(client, len(BIG) + 3)
    await idle()
    assert (spawner.running, outbox.queued_bytes) == (0, 0)


async def test_frames_go_straight_out_again_once_nothing_waits(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    outbox.push(BIG)
    await read_exactly(client, len(BIG))
    await idle()
    outbox.push(b"next")
    assert spawner.spawned == 1
    assert await client.receive_some() == b"next"


async def test_a_corked_batch_leaves_at_the_end_of_the_block(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner)
    with outbox.corked():
        outbox.push(b"one")
        with outbox.corked():
            outbox.push(b"two")
        assert outbox.queued_bytes == 6
    assert (outbox.queued_bytes, spawner.spawned) == (0, 0)
    assert await client.receive_some() == b"onetwo"


async def test_a_corked_batch_larger_than_the_limit_is_no_overflow_while_the_peer_reads(
    opened, pair, spawner
):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=100)
    with outbox.corked():
        for _ in range(50):
            outbox.push(b"0123456789")
    assert outbox.is_open
    assert await read_exactly(client, 500) == b"0123456789" * 50


async def test_an_uncorked_batch_that_does_not_fit_waits_for_the_writer(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    with outbox.corked():
        outbox.push(BIG)
        outbox.push(b"end")
    assert spawner.spawned == 1
    assert (await read_exactly(client, len(BIG) + 3))[-3:] == b"end"


async def test_a_full_queue_gives_the_peer_up_and_frees_its_memory(opened, pair, spawner):
    """C13."""
    ours, _ = pair
    told: list[object] = []
    outbox = opened(ours, spawn=spawner, limit=2_000_000, on_overflow=told.append)
    outbox.push(BIG)
    for _ in range(30):
        outbox.push(b"y" * 100_000)
    assert told == [outbox]
    assert not outbox.is_open
    assert outbox.queued_bytes < 1_000_000  # the half-sent frame only
    assert outbox.statistics().frames_dropped > 10


async def test_the_close_frame_of_a_slow_peer_follows_the_half_sent_frame(opened, pair, spawner):
    ours, client = pair
    outbox = opened(
        ours, spawn=spawner, limit=1_500_000, on_overflow=lambda box: box.finish(b"CLOSE")
    )
    outbox.push(BIG)
    for _ in range(10):
        outbox.push(b"y" * 100_000)
    assert await read_exactly(client, len(BIG) + 5) == BIG + b"CLOSE"


async def test_one_frame_is_accepted_whatever_its_size_where_nothing_waits(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=10)
    outbox.push(BIG)
    assert outbox.is_open
    assert await read_exactly(client, len(BIG)) == BIG


async def test_dropping_the_oldest_never_drops_a_half_sent_frame_or_a_control_frame(
    opened, pair, spawner
):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=len(BIG) + 30, policy=DropOldest())
    outbox.push(BIG)
    rest = outbox.queued_bytes
    outbox._limit = rest + 30
    outbox.push(b"old-------")
    outbox.push_control(b"pong------")
    outbox.push(b"middle----")
    outbox.push(b"newest----")
    outbox.finish(b"close")
    expected = BIG + b"pong------middle----newest----close"
    assert await read_exactly(client, len(expected)) == expected
    assert outbox.statistics().frames_dropped == 1


async def test_dropping_the_newest_keeps_what_waits(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, policy=DropNewest())
    outbox.push(BIG)
    outbox._limit = outbox.queued_bytes + 5
    outbox.push(b"first")
    outbox.push(b"second")
    outbox.finish(b"close")
    assert (await read_exactly(client, len(BIG) + 10))[-10:] == b"firstclose"


async def test_a_pong_waits_beyond_the_limit_where_the_newest_data_is_dropped(
    opened, pair, spawner
):
    """It is dropped for no data, and a client that pings is not given up."""
    ours, client = pair
    outbox = opened(ours, spawn=spawner, policy=DropNewest())
    outbox.push(BIG)
    outbox._limit = outbox.queued_bytes + 5
    outbox.push(b"first")
    for number in range(100):
        outbox.push_control(b"pong%02d" % number, "pong")
    outbox.push(b"second")
    outbox.finish(b"close")
    assert (await read_exactly(client, len(BIG) + 16))[-16:] == b"firstpong99close"


async def test_coalescing_sends_only_the_newest_of_a_key(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0, policy=CoalesceByKey())
    outbox.push(BIG)
    for number in range(100):
        outbox.push(b"a%02d" % number, "a")
        outbox.push(b"b%02d" % number, "b")
    assert (await read_exactly(client, len(BIG) + 6))[-6:] == b"a99b99"
    assert outbox.statistics().frames_dropped == 198


async def test_the_frame_that_finds_the_socket_full_has_its_key_too(opened, pair, spawner):
    """Of each key one frame waits, from the first on."""
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0, policy=CoalesceByKey())
    filled = fill(outbox.plain_socket)
    outbox.push(b"old", "key")
    outbox.push(b"new", "key")
    assert outbox.queued_bytes == 3
    outbox.finish(b"close")
    assert (await read_exactly(client, filled + 8))[-8:] == b"newclose"


def fill(full: socket.socket) -> int:
    """Write until the kernel takes no more byte; how many it took."""
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += full.send(b"x" * 1000)
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += full.send(b"x")
    return filled


async def test_keys_mean_nothing_to_a_policy_that_does_not_coalesce(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    outbox.push(BIG)
    outbox.push(b"one", "key")
    outbox.push(b"two", "key")
    assert (await read_exactly(client, len(BIG) + 6))[-6:] == b"onetwo"


async def test_pongs_that_nobody_reads_do_not_pile_up(opened, pair, spawner):
    ours, _ = pair
    outbox = opened(ours, spawn=spawner, limit=2_000_000)
    outbox.push(BIG)
    before = outbox.queued_bytes
    for _ in range(100_000):
        outbox.push_control(b"pong", "pong")
    assert outbox.queued_bytes == before + 4
    assert outbox.is_open


async def test_nothing_follows_the_last_frame(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner)
    outbox.push(b"data")
    outbox.finish(b"close")
    outbox.push(b"late")
    outbox.push_control(b"late")
    outbox.finish(b"again")
    assert outbox.statistics().frames_dropped == 2
    await outbox.close_after_flush(0)
    assert await read_to_end(client) == b"dataclose"


async def test_a_peer_that_is_gone_is_told_once_and_never_raised(opened, pair, spawner):
    ours, client = pair
    told: list[object] = []
    outbox = opened(ours, spawn=spawner, on_broken=told.append)
    await client.aclose()
    await trio.testing.wait_all_tasks_blocked(0.05)
    for _ in range(3):
        outbox.push(b"anybody?")
        await trio.testing.wait_all_tasks_blocked(0.05)
    assert len(told) == 1
    assert isinstance(told[0], OSError)
    assert outbox.broken is told[0]
    assert outbox.statistics().broken


async def test_a_peer_that_is_gone_is_noticed_by_the_writer_too(opened, pair, spawner):
    ours, client = pair
    broken = trio.Event()
    outbox = opened(ours, spawn=spawner, limit=0, on_broken=lambda _: broken.set())
    outbox.push(BIG)
    await client.aclose()
    await broken.wait()
    await idle()
    assert (outbox.queued_bytes, spawner.running) == (0, 0)


async def test_sending_waits_until_it_is_written_and_keeps_the_order(
    opened, pair, spawner, nursery
):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    outbox.push(BIG)
    sent = trio.Event()

    async def send():
        await outbox.send_all(b"pong")
        sent.set()

    nursery.start_soon(send)
    await idle()
    assert not sent.is_set()
    outbox.push(b"data")
    assert (await read_exactly(client, len(BIG) + 8))[-8:] == b"pongdata"
    await sent.wait()


async def test_sending_raises_what_trio_streams_raise(opened, pair, spawner):
    ours, _ = pair
    outbox = opened(ours, spawn=spawner)
    outbox.finish(b"close")
    with pytest.raises(trio.ClosedResourceError):
        await outbox.send_all(b"late")
    await outbox.close_after_flush(0)
    with pytest.raises(trio.ClosedResourceError):
        await outbox.send_all(b"later")
    with pytest.raises(trio.ClosedResourceError):
        await outbox.receive_some()


async def test_closing_delivers_what_waits(opened, pair, spawner, nursery):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    outbox.push(BIG)
    outbox.finish(b"close")
    received = []

    async def read():
        received.append(await read_to_end(client))
        await client.aclose()

    nursery.start_soon(read)
    await outbox.close_after_flush(10)
    assert received == [BIG + b"close"]


async def test_closing_does_not_reset_a_peer_that_is_still_sending(opened, pair, spawner, nursery):
    ours, client = pair
    outbox = opened(ours, spawn=spawner)
    await client.send_all(b"unread input")
    await idle()
    outbox.finish(b"close")
    with trio.move_on_after(5):
        nursery.start_soon(outbox.close_after_flush, 5)
        assert await read_to_end(client) == b"close"


async def test_closing_never_waits_longer_than_its_timeout_for_a_peer_that_does_not_read(
    opened, pair, spawner
):
    ours, _ = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    outbox.push(BIG)
    with trio.fail_after(5):
        await outbox.close_after_flush(0.05)
    await idle()
    assert spawner.running == 0


async def test_closing_without_lingering_does_not_wait_for_the_peer_to_close(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner)
    outbox.finish(b"close")
    with trio.fail_after(5):
        await outbox.close_after_flush(60, lingering=False)
    assert await read_to_end(client) == b"close"


async def test_closing_twice_is_legal(opened, pair, spawner):
    ours, _ = pair
    outbox = opened(ours, spawn=spawner, close_timeout=0)
    await outbox.aclose()
    await outbox.aclose()


async def test_a_cancelled_close_closes_at_once(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    outbox.push(b"data")
    with trio.CancelScope() as scope:
        scope.cancel()
        await outbox.close_after_flush(60)
    assert await read_to_end(client) == b"data"


async def test_closing_wakes_the_reader(opened, pair, spawner, nursery):
    ours, _ = pair
    outbox = opened(ours, spawn=spawner)
    woken = trio.Event()

    async def read():
        with pytest.raises(trio.ClosedResourceError):
            await outbox.receive_some()
        woken.set()

    nursery.start_soon(read)
    await idle()
    await outbox.close_after_flush(0)
    await woken.wait()


async def test_a_push_after_the_close_does_not_reach_whoever_got_the_descriptor_next(
    opened, pair, spawner
):
    ours, _ = pair
    outbox = opened(ours, spawn=spawner)
    push = outbox.push
    await outbox.close_after_flush(0)
    push(b"late")
    assert outbox.statistics().frames_dropped == 1


async def test_a_cancelled_writer_breaks_the_connection(opened, pair):
    ours, _ = pair
    told: list[object] = []
    async with trio.open_nursery() as writers:
        outbox = opened(ours, spawn=writers.start_soon, limit=0, on_broken=told.append)
        outbox.push(BIG)
        await idle()
        writers.cancel_scope.cancel()
    assert len(told) == 1
    outbox.push(b"half a frame is out, so nothing may follow")
    assert outbox.queued_bytes == 0


async def test_a_spawner_that_refuses_breaks_the_connection_instead_of_raising(opened, pair):
    ours, _ = pair
    async with trio.open_nursery() as closed:
        pass
    outbox = opened(ours, spawn=closed.start_soon, limit=0)
    outbox.push(BIG)
    assert outbox.broken is not None


async def test_reading_returns_what_there_is_and_the_end(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner)
    await client.send_all(b"abcdef")
    await idle()
    assert [await outbox.receive_some(4), await outbox.receive_some(4)] == [b"abcd", b"ef"]
    await client.send_eof()
    assert await outbox.receive_some() == b""


async def test_a_stream_that_is_no_socket_is_written_by_the_writer(opened, spawner):
    ours, client = trio.testing.memory_stream_pair()
    outbox = opened(ours, spawn=spawner)
    for frame in (b"one", b"two", b"three"):
        outbox.push(frame)
    assert outbox.queued_bytes == 11
    assert await read_exactly(client, 11) == b"onetwothree"
    await idle()
    assert (spawner.spawned, spawner.running, outbox.queued_bytes) == (1, 0, 0)
    assert outbox.statistics().bytes_out == 11


async def test_a_stream_that_does_not_take_its_data_counts_it_as_queued(opened, spawner):
    ours, _ = trio.testing.lockstep_stream_pair()
    outbox = opened(ours, spawn=spawner)
    outbox.push(b"in flight")
    await idle()
    outbox.push(b"behind it")
    assert outbox.queued_bytes == 18
    await outbox.close_after_flush(0)
    await idle()
    assert (outbox.queued_bytes, spawner.running) == (0, 0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            require("openssl", "apt install openssl"),
            *(
                [
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-days",
                    "2",
                    "-subj",
                    "/CN=localhost",
                ]
            ),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return key, cert


async def test_tls_carries_the_same_frames_in_the_same_order(
    opened, pair, spawner, nursery, certificate
):
    key, cert = certificate
    ours, client = pair
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(cert, key)
    client_context = ssl.create_default_context(cafile=str(cert))
    outbox = opened(
        trio.SSLStream(ours, server_context, server_side=True, https_compatible=True),
        spawn=spawner,
        limit=0,
    )
    secure = trio.SSLStream(
        client, client_context, server_hostname="localhost", https_compatible=True
    )
    nursery.start_soon(secure.send_all, b"hello")
    assert await outbox.receive_some() == b"hello"
    frames = [b"%05d" % number * 100 for number in range(500)]
    for frame in frames:
        outbox.push(frame)
    outbox.finish(b"close")
    received = await read_exactly(secure, sum(map(len, frames)) + 5)
    assert received == b"".join(frames) + b"close"
    await outbox.close_after_flush(1)


async def test_the_numbers_add_up(opened, pair, spawner):
    ours, client = pair
    outbox = opened(ours, spawn=spawner, limit=0)
    outbox.push(b"12345")
    outbox.push(BIG)
    outbox.push(b"123")
    numbers = outbox.statistics()
    assert (numbers.frames_out, numbers.queued_frames, numbers.open) == (3, 2, True)
    assert numbers.bytes_out + numbers.queued_bytes == len(BIG) + 8
    await read_exactly(client, len(BIG) + 8)
    await idle()
    assert outbox.statistics().bytes_out == len(BIG) + 8


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="limit=-1"):
        Outbox(trio.testing.memory_stream_pair()[0], spawn=lambda _: None, limit=-1)
