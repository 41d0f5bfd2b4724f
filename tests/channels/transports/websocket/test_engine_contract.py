"""What every engine promises. The same rules for all of them, over real loopback connections."""

import zlib

import attrs
import pytest
import trio

from channels.endpoint.http import HttpConnection
from channels.transports import frames
from channels.transports.outbox import Outbox
from channels.transports.websocket import (
    ENGINES,
    ConnectionClosed,
    Engine,
    Inbound,
    check_upgrade,
    load_engine,
)
from tests.channels.transports.websocket.raw_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawClient,
    close,
    frame,
    upgrade,
)

LIMIT = 10_000


@attrs.define(eq=False)
class Server:
    """One accepted connection, echoing in the background."""

    client: RawClient
    outbox: Outbox
    engine: Engine
    batches: list[list[Inbound]] = attrs.Factory(list)
    end: ConnectionClosed | None = None
    over: trio.Event = attrs.Factory(trio.Event)

    async def echo(self):
        try:
            while True:
                batch = await self.engine.receive()
                self.batches.append(batch)
                with self.outbox.corked():
                    for opcode, data in batch:
                        self.outbox.push(frames.frame(opcode, data))
        except ConnectionClosed as end:
            self.end = end
        await self.outbox.close_after_flush(5)
        self.over.set()


@pytest.fixture(params=ENGINES)
def engine_name(request):
    return request.param


@pytest.fixture
async def connect(engine_name, nursery):
    """Opens connections: the client's side raw, ours with the engine under test."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    streams: list[trio.abc.AsyncResource] = [listener]

    async def open_connection(*more, path="/", headers=None, **options):
        stream = await trio.open_tcp_stream(*listener.socket.getsockname()[:2])
        streams.append(stream)
        ours = await listener.accept()
        await stream.send_all(b"".join([upgrade(path, **(headers or {})), *more]))
        request = await HttpConnection(ours).read_head(timeout=5)
        assert request is not None
        check_upgrade(request)
        outbox = Outbox(ours, spawn=nursery.start_soon)
        streams.append(outbox)
        accept = load_engine(engine_name)
        options = {"max_message_size": LIMIT} | options
        engine = await accept(outbox, request, nursery=nursery, **options)
        server = Server(RawClient(stream), outbox, engine)
        nursery.start_soon(server.echo)
        return server

    with trio.fail_after(30):
        yield open_connection
        for stream in reversed(streams):
            await trio.aclose_forcefully(stream)


@pytest.fixture
async def server(connect):
    """A connection after its handshake."""
    server = await connect()
    await server.client.head()
    return server


# -- the handshake ------------------------------------------------------------------------------


async def test_the_handshake_is_answered_as_the_rfc_says(connect):
    server = await connect()
    lines = (await server.client.head()).decode().split("\r\n")
    assert lines[0].startswith("HTTP/1.1 101 ")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["upgrade"] == "websocket"
    assert headers["connection"] == "upgrade"
    assert headers["sec-websocket-accept"] == "s3pplmbitxaq9kygzzhzrbk+xoo="  # RFC 6455, 1.3
    assert "sec-websocket-extensions" not in headers


async def test_a_subprotocol_is_agreed_on(connect):
    server = await connect(headers={"Sec_WebSocket_Protocol": "a, b"}, subprotocol="b")
    assert b"sec-websocket-protocol: b" in (await server.client.head()).lower()


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Host": "café.example"}, id="a host that is no ASCII"),
        pytest.param({"Host": "a" * 100}, id="a host that is no name"),
        pytest.param({"Host": ""}, id="an empty host"),
        pytest.param({"Sec_WebSocket_Protocol": "é, b"}, id="an offer that is no ASCII"),
        pytest.param({"Connection": "Upgrade\r\nConnection: keep-alive"}, id="connection twice"),
        pytest.param({"Connection": "keep-alive\r\nConnection: Upgrade"}, id="upgrade second"),
        pytest.param({"Upgrade": "h2c, websocket"}, id="another protocol too"),
    ],
)
async def test_what_is_no_business_of_the_engine_does_not_harm_the_handshake(connect, headers):
    server = await connect(frame(TEXT, b"hello"), path="/?q=%C3%A9", headers=headers)
    assert (await server.client.head()).startswith(b"HTTP/1.1 101 ")
    assert await server.client.frame() == (TEXT, b"hello")


async def test_of_the_subprotocols_that_a_client_offers_only_the_agreed_one_counts(connect):
    server = await connect(headers={"Sec_WebSocket_Protocol": "é, b, base64url.x"}, subprotocol="b")
    assert b"sec-websocket-protocol: b\r\n" in (await server.client.head()).lower() + b"\r\n"


async def test_frames_that_come_with_the_request_are_not_lost(connect):
    server = await connect(frame(TEXT, b"early"), frame(TEXT, b"bird"))
    await server.client.head()
    assert await server.client.frames(2) == [(TEXT, b"early"), (TEXT, b"bird")]


async def test_compression_is_not_offered_unless_asked_for(connect):
    server = await connect(headers={"Sec_WebSocket_Extensions": "permessage-deflate"})
    assert b"permessage-deflate" not in await server.client.head()


# -- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 4_000, LIMIT])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_of_any_legal_size_arrives(server, opcode, size):
    await server.client.send(frame(opcode, b"x" * size))
    assert await server.client.frame() == (opcode, b"x" * size)


async def test_a_message_longer_than_sixteen_bits_can_count_arrives(connect):
    server = await connect(max_message_size=1_000_000)
    await server.client.head()
    await server.client.send(frame(BINARY, b"x" * 200_000))
    assert await server.client.frame() == (BINARY, b"x" * 200_000)


async def test_payloads_are_bytes_and_text_is_told_from_binary(server):
    await server.client.send(frame(TEXT, "grüße".encode()), frame(BINARY, b"\xff"))
    await server.client.frames(2)
    messages = [message for batch in server.batches for message in batch]
    assert messages == [
        (frames.Opcode.TEXT, "grüße".encode()),
        (frames.Opcode.BINARY, b"\xff"),
    ]
    assert all(type(data) is bytes for _, data in messages)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_fragments_become_one_message(server, opcode):
    await server.client.send(
        frame(opcode, b"one ", fin=False),
        frame(CONTINUATION, b"two ", fin=False),
        frame(CONTINUATION, b"three"),
        frame(opcode, b"next"),
    )
    assert await server.client.frames(2) == [(opcode, b"one two three"), (opcode, b"next")]


async def test_a_character_may_be_split_between_fragments(server):
    await server.client.send(
        frame(TEXT, b"\xe2\x82", fin=False), frame(CONTINUATION, b"\xac", fin=True)
    )
    assert await server.client.frame() == (TEXT, "€".encode())


async def test_a_control_frame_may_come_between_fragments(server):
    await server.client.send(
        frame(TEXT, b"one ", fin=False), frame(PING, b"now"), frame(CONTINUATION, b"two")
    )
    assert await server.client.frames(2) == [(PONG, b"now"), (TEXT, b"one two")]


async def test_many_messages_in_one_packet_arrive_in_order(server):
    texts = [b"%d" % number for number in range(200)]
    await server.client.send(*(frame(TEXT, text) for text in texts))
    assert await server.client.frames(200) == [(TEXT, text) for text in texts]


async def test_a_message_that_comes_byte_by_byte_arrives(server):
    for byte in frame(TEXT, b"slow") + frame(BINARY, b"y" * 130):
        await server.client.send(bytes([byte]))
    assert await server.client.frames(2) == [(TEXT, b"slow"), (BINARY, b"y" * 130)]


# -- control frames -----------------------------------------------------------------------------


async def test_a_ping_is_answered_with_its_payload(server):
    await server.client.send(frame(PING, b"p" * 125), frame(PING))
    assert await server.client.frames(2) == [(PONG, b"p" * 125), (PONG, b"")]
    assert server.batches == []


async def test_a_ping_does_not_count_towards_the_size_of_a_message(server):
    await server.client.send(
        frame(BINARY, b"x" * (LIMIT - 1), fin=False),
        frame(PING, b"p" * 125),
        frame(CONTINUATION, b"x"),
    )
    assert await server.client.frames(2) == [(PONG, b"p" * 125), (BINARY, b"x" * LIMIT)]


async def test_a_pong_that_nobody_asked_for_is_ignored(server):
    await server.client.send(frame(PONG, b"hello"), frame(TEXT, b"x"))
    assert await server.client.frame() == (TEXT, b"x")


async def test_our_ping_reaches_the_client(server):
    server.engine.ping(b"still there?")
    assert await server.client.frame() == (PING, b"still there?")


# -- the closing handshake ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (close(1000, b"bye"), 1000, "bye"),
        (close(1001), 1001, ""),
        (close(4001, "tschüß".encode()), 4001, "tschüß"),
    ],
)
async def test_a_close_frame_is_echoed_and_its_words_are_told(server, sent, code, reason):
    await server.client.send(sent)
    assert await server.client.close_code() == code
    assert await server.client.ends()
    await server.client.stream.aclose()
    await server.over.wait()
    assert (server.end.code, server.end.reason, server.end.clean) == (code, reason, True)


async def test_a_close_frame_without_a_code_is_1005(server):
    await server.client.send(close())
    await server.client.close_code()
    await server.client.stream.aclose()
    await server.over.wait()
    assert (server.end.code, server.end.clean) == (1005, True)


async def test_messages_before_a_close_frame_are_still_delivered_and_answered(server):
    await server.client.send(frame(TEXT, b"last words"), close(1000))
    assert await server.client.frame() == (TEXT, b"last words")
    assert await server.client.close_code() == 1000
    await server.client.stream.send_eof()
    await server.over.wait()
    assert server.batches == [[(TEXT, b"last words")]]
    assert server.end.clean


async def test_our_close_reaches_the_client_and_its_answer_ends_the_connection(server):
    server.engine.close(4008, "slow client")
    server.engine.close(1000, "twice")
    assert await server.client.frame() == (CLOSE, b"\x0f\xa8slow client")
    await server.client.send(close(4008))
    assert await server.client.ends()
    await server.client.stream.aclose()
    await server.over.wait()
    assert (server.end.code, server.end.clean) == (4008, True)


async def test_after_our_close_no_message_is_delivered_and_nothing_follows_it(server):
    server.engine.close(1001)
    server.outbox.push(frames.frame(frames.Opcode.TEXT, b"late"))
    await server.client.send(frame(TEXT, b"too late"), frame(PING), close(1001))
    assert await server.client.close_code() == 1001
    assert await server.client.ends()
    assert server.batches == []


async def test_a_close_code_that_must_not_be_sent_is_refused(server):
    with pytest.raises(ValueError, match="1006"):
        server.engine.close(1006)


async def test_a_connection_that_is_over_stays_over(server):
    await server.client.send(close(1000))
    await server.client.close_code()
    await server.client.stream.aclose()
    await server.over.wait()
    with pytest.raises(ConnectionClosed):
        await server.engine.receive()


async def test_a_peer_that_hangs_up_is_1006(server):
    await server.client.stream.aclose()
    await server.over.wait()
    assert (server.end.code, server.end.clean) == (1006, False)


async def test_a_peer_that_resets_is_1006(server):
    server.client.stream.setsockopt(
        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
    )
    await server.client.stream.aclose()
    await server.over.wait()
    assert (server.end.code, server.end.clean) == (1006, False)


async def test_a_peer_that_goes_in_the_middle_of_a_message_is_1006(server):
    await server.client.send(frame(TEXT, b"x" * 100)[:50])
    await server.client.stream.aclose()
    await server.over.wait()
    assert server.end.code == 1006
    assert server.batches == []


# -- breaches of the protocol -------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(frame(TEXT, b"x", masked=False), id="unmasked"),
        pytest.param(frame(TEXT, b"x", rsv=4), id="reserved bit"),
        pytest.param(frame(3, b"x"), id="unknown opcode"),
        pytest.param(frame(PING, b"x", fin=False), id="fragmented control frame"),
        pytest.param(frame(PING, b"x" * 126), id="long control frame"),
        pytest.param(frame(CONTINUATION, b"x"), id="continuation of nothing"),
        pytest.param(
            frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), id="message within a message"
        ),
        pytest.param(frame(CLOSE, b"\x03"), id="close frame of one byte"),
        pytest.param(close(999), id="close code out of range"),
        pytest.param(close(1005), id="close code that is never sent"),
    ],
)
async def test_a_breach_of_the_protocol_ends_with_1002(server, bad):
    await server.client.send(bad)
    assert await server.client.close_code() == 1002
    assert await server.client.ends()
    await server.client.stream.aclose()
    await server.over.wait()
    assert (server.end.code, server.end.clean) == (1002, False)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(frame(TEXT, b"\xff\xfe"), id="whole message"),
        pytest.param(frame(TEXT, b"\xed\xa0\x80"), id="surrogate"),
        pytest.param(frame(TEXT, b"\xe2\x82"), id="cut character"),
        pytest.param(
            frame(TEXT, b"ok", fin=False) + frame(CONTINUATION, b"\xff", fin=False), id="fragment"
        ),
        pytest.param(
            frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"x"), id="across fragments"
        ),
        pytest.param(close(1000, b"\xff"), id="close reason"),
    ],
)
async def test_text_that_is_not_utf8_ends_with_1007(server, bad):
    """C11."""
    await server.client.send(bad)
    assert await server.client.close_code() == 1007
    assert await server.client.ends()
    await server.client.stream.aclose()
    await server.over.wait()
    assert server.end.code == 1007
    assert server.batches == []


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(frame(TEXT, b"x" * (LIMIT + 1)), id="one frame"),
        pytest.param(frame(TEXT, "é".encode() * (LIMIT // 2 + 1)), id="bytes, not characters"),
        pytest.param(
            frame(BINARY, b"x" * LIMIT, fin=False) + frame(CONTINUATION, b"x"), id="fragments"
        ),
    ],
)
async def test_a_message_over_the_limit_ends_with_1009(server, bad):
    """C11."""
    await server.client.send(bad)
    assert await server.client.close_code() == 1009
    await server.client.stream.aclose()
    await server.over.wait()
    assert server.end.code == 1009
    assert server.batches == []


async def test_a_message_that_only_claims_to_be_huge_costs_nothing(server):
    await server.client.send(b"\x82\xff" + (2**40).to_bytes(8, "big") + b"mask")
    await server.client.stream.send_eof()
    await server.over.wait()
    assert server.end.code in {1006, 1009}
    assert server.batches == []


async def test_good_messages_before_a_breach_are_delivered_and_answered(server):
    await server.client.send(frame(TEXT, b"good"), frame(3, b"bad"))
    assert await server.client.frame() == (TEXT, b"good")
    assert await server.client.close_code() == 1002
    await server.client.stream.send_eof()
    await server.over.wait()
    assert server.batches == [[(TEXT, b"good")]]
    assert server.end.code == 1002


async def test_empty_fragments_without_end_do_not_pile_up(server):
    await server.client.send(frame(BINARY, b"", fin=False))
    for _ in range(20):
        await server.client.send(frame(CONTINUATION, b"", fin=False) * 1_000)
    await server.client.send(frame(CONTINUATION, b"end"))
    assert await server.client.frame() == (BINARY, b"end")


async def test_pings_that_nobody_reads_the_answers_of_do_not_pile_up(connect):
    server = await connect()
    await server.client.head()
    pings = frame(PING, b"p" * 125) * 500
    with trio.move_on_after(0.5):  # the client reads nothing, so at last it cannot send any more
        while server.end is None and server.outbox.statistics().queued_bytes < 2**20:
            await server.client.send(pings)
    assert server.outbox.queued_bytes < 2**20


async def test_a_cancelled_receive_loses_nothing(connect, nursery):
    server = await connect()
    await server.client.head()
    await server.client.send(frame(TEXT, b"one"))
    await server.client.frame()
    with trio.move_on_after(0.01):
        # the echo task reads; cancelling a wait of ours must not disturb it
        await trio.sleep_forever()
    await server.client.send(frame(TEXT, b"two"))
    assert await server.client.frame() == (TEXT, b"two")


# -- compression --------------------------------------------------------------------------------


INFLATING = pytest.mark.parametrize("engine_name", ["wsproto", "websockets"])


def deflated(opcode, data):
    """One compressed client message (RFC 7692, 7.2.1)."""
    squeezer = zlib.compressobj(wbits=-15)
    body = squeezer.compress(data) + squeezer.flush(zlib.Z_SYNC_FLUSH)
    return frame(opcode, body[:-4], rsv=4)


@pytest.fixture
async def deflating(connect):
    """A connection that has agreed on permessage-deflate."""
    server = await connect(
        headers={"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"},
        deflate=True,
    )
    head = (await server.client.head()).lower()
    assert b"permessage-deflate" in head
    assert b"client_no_context_takeover" in head
    return server


@pytest.mark.parametrize("engine_name", ["trio-websocket"])
async def test_trio_websocket_declines_compression(connect):
    server = await connect(headers={"Sec_WebSocket_Extensions": "permessage-deflate"}, deflate=True)
    assert b"permessage-deflate" not in await server.client.head()


@INFLATING
async def test_compressed_messages_are_inflated_each_for_itself(deflating):
    text = "grüße ".encode() * 100
    await deflating.client.send(deflated(TEXT, text), frame(TEXT, b"plain"), deflated(BINARY, text))
    assert await deflating.client.frames(3) == [(TEXT, text), (TEXT, b"plain"), (BINARY, text)]


@INFLATING
async def test_a_message_that_inflates_over_the_limit_ends_with_1009(deflating):
    await deflating.client.send(deflated(BINARY, b"\0" * 10_000_000))
    assert await deflating.client.close_code() == 1009
    await deflating.client.stream.aclose()
    await deflating.over.wait()
    assert deflating.batches == []


@INFLATING
async def test_compressed_text_is_checked_to_be_utf8(deflating):
    await deflating.client.send(deflated(TEXT, b"\xff" * 50))
    assert await deflating.client.close_code() == 1007


# -- the choice ---------------------------------------------------------------------------------


async def test_an_engine_with_a_task_of_its_own_asks_for_a_nursery():
    with pytest.raises(ValueError, match="needs a nursery"):
        await load_engine("trio-websocket")(None, None, nursery=None)  # type: ignore[arg-type]


def test_an_unknown_engine_is_refused_with_the_names_of_the_known():
    with pytest.raises(ValueError, match="trio-websocket, wsproto, websockets"):
        load_engine("twisted")


# -- how much is read at once -------------------------------------------------------------------


@pytest.mark.parametrize("engine_name", ["websockets", "wsproto"], indirect=True)
async def test_a_flood_of_tiny_frames_is_taken_in_small_portions(server):
    await server.client.send(*[frame(TEXT, b"tiny")] * 1000)
    await server.client.frames(1000)
    assert max(map(len, server.batches[1:])) <= 256 // len(frame(TEXT, b"tiny")) + 1
    assert server.engine.read_size < 1024


@pytest.mark.parametrize("engine_name", ["websockets", "wsproto"], indirect=True)
async def test_within_a_large_frame_much_is_read_at_once(server):
    large = frame(BINARY, bytes(LIMIT))
    await server.client.send(large[:2000])
    while server.engine.read_size < LIMIT:
        await trio.lowlevel.checkpoint()
    await server.client.send(large[2000:])
    assert await server.client.frame() == (BINARY, bytes(LIMIT))
    assert server.engine.read_size <= 1024
