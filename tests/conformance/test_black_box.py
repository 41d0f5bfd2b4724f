"""What a bad or unusual client may send to the running demo node, and what it gets for it (protocol 1.1 to 1.12)."""

from __future__ import annotations

import contextlib

import pytest
import trio
import trio_websocket

from tests.conformance.demo_node import DemoNode
from tests.conformance.wire import BINARY, TEXT, V2, connect, raw_frame, refusal, reply

pytestmark = pytest.mark.conformance

MALFORMED = {
    "not JSON": "hello",
    "cut off": '["1","1","room:a","phx_join",',
    "too short": '["1","2","room:a","ping"]',
    "empty": "",
    "an object": '{"topic":"room:a","event":"ping","payload":{},"ref":"1"}',
    "a number": "7",
    "topic is no string": '["1","2",3,"ping",{}]',
    "event is no string": '["1","2","room:a",null,{}]',
    "very deep": "[" * 100_000,
}

BAD_BINARY = {
    "empty": b"",
    "short": b"\x00\x01\x01",
    "fields end beyond the frame": b"\x00\xff\x01\x01\x01abc",
    "of a kind that only servers send": b"\x02\x01\x01te",
    "field is not UTF-8": b"\x00\x01\x01\x01\x011\xff\xfee",
}


# -- malformed input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_text_frame_closes_with_1011(chat: DemoNode, text: str):
    async with connect(chat) as wire:
        await wire.send_text(text)
        assert await wire.closed() == 1011


@pytest.mark.parametrize("data", BAD_BINARY.values(), ids=BAD_BINARY.keys())
async def test_a_malformed_binary_frame_closes_with_1011(chat: DemoNode, data: bytes):
    async with connect(chat) as wire:
        await wire.send_bytes(data)
        assert await wire.closed() == 1011


async def test_a_malformed_frame_harms_nobody_else_and_is_logged_once(
    each_engine: DemoNode, room: str
):
    before = each_engine.log().count("malformed frame")
    async with connect(each_engine) as good, connect(each_engine) as bad:
        await good.join(room)
        await bad.join(room)
        await bad.send_text("nonsense")
        assert await bad.closed() == 1011
        await good.expect_silence(room)
    assert each_engine.log().count("malformed frame") == before + 1


async def test_a_text_frame_that_is_not_utf_8_closes_with_1007(each_engine: DemoNode):
    async with connect(each_engine) as wire:
        await wire.send_raw(raw_frame(b'["1","1","room:\xff","phx_join",{}]'))
        assert await wire.closed() == 1007


async def test_a_message_of_more_than_a_mebibyte_closes_with_1009(each_engine: DemoNode, room: str):
    async with connect(each_engine) as good, connect(each_engine) as bad:
        await good.join(room)
        await bad.join(room)
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            await bad.send("1", "2", room, "ping", "x" * 1_048_576)
        assert await bad.closed() == 1009
        await good.expect_silence(room)


async def test_a_message_of_just_under_a_mebibyte_is_served(each_engine: DemoNode, room: str):
    async with connect(each_engine) as wire:
        await wire.join(room)
        words = "x" * 1_000_000
        await wire.send("1", "2", room, "ping", words)
        assert await wire.receive() == reply("1", "2", room, response=words)


@pytest.mark.parametrize(
    "frame",
    [
        raw_frame(b"[]", masked=False),
        raw_frame(b"[]", head=0xC0),
        raw_frame(b"[]", opcode=0x3),
        raw_frame(b"[]", opcode=0x0),
    ],
    ids=["unmasked", "reserved bit", "reserved opcode", "continuation of nothing"],
)
async def test_a_frame_against_rfc_6455_closes_with_1002(each_engine: DemoNode, frame: bytes):
    async with connect(each_engine) as wire:
        await wire.send_raw(frame)
        assert await wire.closed() == 1002


async def test_a_message_in_fragments_is_one_message(each_engine: DemoNode, room: str):
    async with connect(each_engine) as wire:
        text = f'["1","1","{room}","phx_join",{{}}]'.encode()
        await wire.send_raw(raw_frame(text[:9], head=0))
        for byte in text[9:-1]:
            await wire.send_raw(raw_frame(bytes([byte]), opcode=0, head=0))
        await wire.send_raw(raw_frame(text[-1:], opcode=0))
        assert await wire.receive() == reply("1", "1", room)


async def test_a_client_that_vanishes_without_a_close_frame_harms_nobody(
    each_engine: DemoNode, room: str
):
    async with connect(each_engine) as good:
        await good.join(room)
        async with connect(each_engine) as bad:
            await bad.join(room)
            await bad.send("1", "2", room, "new_msg", {"body": "bye"})
            await bad.receive()
        event = await good.receive()
        assert event[3:] == ["new_msg", {**event[4], "body": "bye"}]
        await good.expect_silence(room)


# -- joins and join_refs -----------------------------------------------------------------------------


async def test_a_message_with_the_join_ref_of_an_earlier_join_is_dropped(chat: DemoNode, room: str):
    async with connect(chat) as wire:
        await wire.join(room, "7")
        await wire.send("6", "8", room, "ping", {})
        await wire.expect_silence(room, "7")


async def test_a_message_with_a_null_join_ref_is_accepted(chat: DemoNode, room: str):
    async with connect(chat) as wire:
        await wire.join(room, "7")
        await wire.send(None, "8", room, "ping", {"a": 1})
        assert await wire.receive() == reply("7", "8", room, response={"a": 1})


async def test_a_push_with_a_null_ref_is_handled(chat: DemoNode, room: str):
    async with connect(chat) as wire:
        await wire.join(room)
        await wire.send("1", None, room, "ping", {"a": 1})
        assert await wire.receive() == reply("1", None, room, response={"a": 1})


async def test_a_second_join_of_a_topic_is_answered_before_the_first_is_closed(
    chat: DemoNode, room: str
):
    async with connect(chat) as wire:
        await wire.join(room, "1")
        await wire.send("2", "2", room, "phx_join", {})
        assert await wire.receive() == reply("2", "2", room)
        assert await wire.receive() == ["1", "1", room, "phx_close", {}]
        await wire.expect_silence(room, "2")


async def test_a_leave_is_answered_and_then_closed(chat: DemoNode, room: str):
    async with connect(chat) as wire:
        await wire.join(room)
        await wire.send("1", "2", room, "phx_leave", {})
        assert await wire.receive() == reply("1", "2", room)
        assert await wire.receive() == ["1", "1", room, "phx_close", {}]


async def test_a_leave_is_answered_ok_where_there_is_nothing_to_leave(chat: DemoNode, room: str):
    async with connect(chat) as wire:
        await wire.join(room)
        await wire.send("1", "2", room, "phx_leave", {})
        await wire.send("1", "3", room, "phx_leave", {})
        frames = [await wire.receive() for _ in range(3)]
        assert sorted(frames, key=str) == sorted(
            [
                reply("1", "2", room),
                ["1", "1", room, "phx_close", {}],
                reply("1", "3", room),
            ],
            key=str,
        )
        await wire.send("1", "4", "room:never-joined", "phx_leave", {})
        assert await wire.receive() == reply("1", "4", "room:never-joined")


async def test_an_event_on_a_topic_that_is_not_joined_is_unmatched(chat: DemoNode, room: str):
    async with connect(chat) as wire:
        await wire.send("1", "2", room, "ping", {})
        expected = reply(None, "2", room, "error", {"reason": "unmatched topic"})
        assert await wire.receive() == expected


async def test_a_heartbeat_in_the_same_write_as_a_join_is_answered_too(
    each_engine: DemoNode, room: str
):
    """That a pending join holds up no heartbeat is shown by `test_edge_features` and the multiplexer's tests."""
    async with connect(each_engine) as wire:
        join = raw_frame(f'["1","1","{room}","phx_join",{{}}]'.encode())
        heartbeat = raw_frame(b'[null,"2","phoenix","heartbeat",{}]')
        await wire.send_raw(join + heartbeat)
        answers = [await wire.receive() for _ in range(2)]
        assert sorted(answers, key=str) == sorted(
            [reply(None, "2", "phoenix"), reply("1", "1", room)], key=str
        )


async def test_the_hundred_and_first_join_of_a_connection_is_refused(chat: DemoNode, room: str):
    async with connect(chat) as wire:
        for number in range(100):
            await wire.join(f"{room}-{number}", str(number))
        await wire.send("x", "x", room, "phx_join", {})
        refused = {"reason": "too many channels joined"}
        assert await wire.receive() == reply("x", "x", room, "error", refused)


# -- payloads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["new_msg", "typing"])
@pytest.mark.parametrize("payload", [None, [], "words", 7, True], ids=str)
async def test_a_message_whose_payload_is_no_object_is_an_invalid_payload(
    chat: DemoNode, room: str, event: str, payload: object
):
    async with connect(chat) as wire:
        await wire.join(room)
        await wire.send("1", "2", room, event, payload)
        *_, answer = await wire.receive()
        assert answer["status"] == "error"
        assert answer["response"]["reason"] == "invalid payload"
        await wire.expect_silence(room)


async def test_a_ping_with_bytes_is_answered_with_the_bytes_in_a_binary_frame(
    each_engine: DemoNode,
):
    async with connect(each_engine) as wire:
        await wire.join("room:b")
        await wire.send_bytes(b"\x00\x01\x02\x06\x04112room:bping\x00\xff!")
        expected = b"\x01\x01\x02\x06\x02112room:bok\x00\xff!"
        assert await wire.receive() == expected


async def test_extra_elements_of_a_frame_are_ignored(chat: DemoNode, room: str):
    async with connect(chat) as wire:
        await wire.send("1", "1", room, "phx_join", {}, "extra", 6)
        assert await wire.receive() == reply("1", "1", room)


async def test_the_close_of_a_client_is_answered_with_its_own_code(each_engine: DemoNode):
    async with connect(each_engine) as wire:
        await wire.send_raw(raw_frame((4321).to_bytes(2, "big") + b"bye", opcode=0x8))
        assert await wire.closed() == 4321


async def test_a_ping_frame_is_answered_with_a_pong(each_engine: DemoNode):
    async with connect(each_engine) as wire:
        with trio.fail_after(10):
            await wire._websocket.ping(b"are you there?")


# -- connecting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "vsn", ["3.0.0", "2.1.0", "1.1.0", "0.9.0", "two", "2", ""], ids=lambda vsn: vsn or "empty"
)
async def test_an_unknown_vsn_is_refused_with_403(chat: DemoNode, vsn: str):
    assert await refusal(chat, f"/socket/websocket?vsn={vsn}") == 403


async def test_a_vsn_that_is_no_string_is_refused_with_403(chat: DemoNode):
    assert await refusal(chat, "/socket/websocket?vsn[]=2.0.0") == 403


async def test_a_client_without_vsn_speaks_v1(chat: DemoNode, room: str):
    async with connect(chat, "/socket/websocket") as wire:
        await wire.send_text(f'{{"topic":"{room}","event":"phx_join","payload":{{}},"ref":"1"}}')
        answer = await wire.receive()
        assert answer == {
            "topic": room,
            "event": "phx_reply",
            "ref": "1",
            "payload": {"status": "ok", "response": {}},
        }


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "null",
        "file://",
        "",
    ],
)
async def test_a_foreign_origin_is_refused_with_403(chat: DemoNode, origin: str):
    assert await refusal(chat, origin=origin.format(port=chat.port)) == 403


async def test_the_nodes_own_origin_is_allowed(each_engine: DemoNode, room: str):
    async with connect(each_engine, origin=each_engine.url) as wire:
        await wire.join(room)


async def test_a_client_without_an_origin_is_allowed(each_engine: DemoNode, room: str):
    async with connect(each_engine) as wire:
        await wire.join(room)


async def test_connect_params_may_hold_anything(chat: DemoNode, room: str):
    params = "&name=%C5%BB%00x"[:-4] + "&token=a.b.c&x[y][]=1&flag"
    async with connect(chat, V2 + params) as wire:
        await wire.join(room)
        await wire.send("1", "2", room, "new_msg", {})
        frames = [await wire.receive(), await wire.receive()]
        assert [frame[4]["user"] for frame in frames if frame[3] == "new_msg"] == ["Ż"]


def test_frames_of_the_tests_have_the_bits_that_they_should() -> None:
    assert raw_frame(b"ab", masked=False) == b"\x81\x02ab"
    assert raw_frame(b"", opcode=BINARY)[:2] == b"\x82\x80"
    assert raw_frame(b"", opcode=TEXT, head=0)[:2] == b"\x01\x80"
