"""What a hostile client tries at the door, against a running endpoint; see SECURITY.md."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio

import examples.chat
from channels import Channel, Endpoint, UserSocket
from tests.channels.phoenix import DEADLINE, connected, running


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        return None


class Socket(UserSocket):
    channels = {"room:*": Room}


async def exchange(endpoint: Endpoint, request: bytes) -> bytes:
    """Everything that the server answers until it closes."""
    async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
        await stream.send_all(request)
        with trio.fail_after(DEADLINE):
            return b"".join([bytes(chunk) async for chunk in stream])


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"content-length: 30\r\ntransfer-encoding: chunked", id="CL.TE"),
        pytest.param(b"transfer-encoding: chunked\r\ncontent-length: 4", id="TE.CL"),
        pytest.param(b"transfer-encoding: chunked\r\ntransfer-encoding: identity", id="TE.TE"),
        pytest.param(b"transfer-encoding: \x0bchunked", id="TE with a control character"),
        pytest.param(b"transfer-encoding : chunked", id="TE with a space"),
        pytest.param(b"content-length: 0, 44", id="list of lengths"),
        pytest.param(b"content-length: 4\r\ncontent-length: 44", id="two lengths"),
        pytest.param(b"content-length: +4", id="signed length"),
        pytest.param(b"content-length: 0x4", id="hexadecimal length"),
        pytest.param(b"x: y\ncontent-length: 44", id="bare line feed"),
        pytest.param(b"x: y\rcontent-length: 44", id="bare carriage return"),
    ],
)
async def test_no_second_request_hides_in_the_body_of_a_first(node, tmp_path, headers):
    (tmp_path / "index.html").write_text("page")
    smuggled = b"0\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    request = b"POST / HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n\r\n" + smuggled
    async with running(Endpoint({"/socket": Socket}, port=0, static=tmp_path)) as endpoint:
        with structlog.testing.capture_logs():
            answer = await exchange(endpoint, request)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.split()[1] in {b"400", b"405", b"501"}
    assert b'"ok"' not in answer


async def test_the_body_of_an_upgrade_request_is_not_read_as_frames(node):
    upgrade = (
        b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n"
        b"connection: upgrade\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncontent-length: 6\r\n\r\n"
    )
    async with running(Endpoint({"/socket": Socket}, port=0)) as endpoint:
        answer = await exchange(endpoint, upgrade + b"\x88\x80\0\0\0\0")
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "target",
    [
        b"/../secret.txt",
        b"/%2e%2e/secret.txt",
        b"/..%2fsecret.txt",
        b"/..%5csecret.txt",
        b"/%2e%2e%2fsecret.txt",
        b"//secret.txt",
        b"/./../secret.txt",
        b"/%252e%252e/secret.txt",
        b"/.secret.txt",
        b"/secret.txt%00.html",
    ],
)
async def test_no_file_outside_the_folder_is_served(node, tmp_path, target):
    (tmp_path / "secret.txt").write_text("SECRET")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / ".secret.txt").write_text("SECRET")
    request = b"GET " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    async with running(Endpoint({}, port=0, static=tmp_path / "www")) as endpoint:
        with structlog.testing.capture_logs():
            answer = await exchange(endpoint, request)
    assert answer.split()[1] in {b"400", b"404"}
    assert b"SECRET" not in answer


UPGRADE = (
    b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
DIGITS = b"9" * 5_000  # more than Python makes a number of


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"host: a:" + DIGITS, b"101"),
        (b"host: a:" + DIGITS + b"\r\norigin: http://a:" + DIGITS, b"403"),
        (b"host: a:80\r\norigin: http://a:" + DIGITS, b"403"),
        (b"host: a:100000", b"101"),
    ],
    ids=["host", "host and origin", "origin", "six digits"],
)
async def test_a_port_that_is_no_number_is_answered_and_crashes_nothing(node, headers, status):
    class Curious(Socket):
        async def connect(self, params: dict[str, Any], info: Any) -> None:
            self.assigns["uri"] = info.uri

    async with running(Endpoint({"/socket": Curious}, port=0)) as endpoint:
        with structlog.testing.capture_logs() as logs:
            async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
                await stream.send_all(UPGRADE + headers + b"\r\n\r\n")
                with trio.fail_after(DEADLINE):
                    answer = bytes(await stream.receive_some())
    assert answer.split()[1] == status
    assert not {"process exited", "connect crashed"} & {log["event"] for log in logs}


async def test_a_page_is_served_with_security_headers(node, tmp_path):
    (tmp_path / "index.html").write_text("page")
    async with running(Endpoint({}, port=0, static=tmp_path)) as endpoint:
        request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        head = (await exchange(endpoint, request)).lower()
    assert b"\r\ncontent-security-policy: default-src 'self';" in head
    assert b"frame-ancestors 'none'" in head
    assert b"\r\nx-content-type-options: nosniff\r\n" in head
    assert b"\r\nreferrer-policy: same-origin\r\n" in head
    assert b"\r\nserver:" not in head


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
@pytest.mark.parametrize("limit", [None, 1])
async def test_a_connection_joins_a_hundred_topics_unless_it_is_told_otherwise(node, vsn, limit):
    attributes = {} if limit is None else {"max_channels": limit}
    socket = type("S", (Socket,), attributes)
    endpoint = Endpoint({"/socket": socket}, port=0)
    async with running(endpoint), connected(endpoint, f"/socket/websocket?vsn={vsn}") as client:
        for n in range(limit or 100):
            assert await joined(client, vsn, f"room:{n}") == {"status": "ok", "response": {}}
        refused = {"status": "error", "response": {"reason": "too many channels joined"}}
        assert await joined(client, vsn, "room:more") == refused


async def joined(client: Any, vsn: str, topic: str) -> Any:
    ref = client.ref()
    if vsn == "2.0.0":
        await client.send(ref, ref, topic, "phx_join", {})
        return await client.expect_reply(ref)
    frame = {"topic": topic, "event": "phx_join", "ref": ref, "payload": {}}
    await client.websocket.send_message(json.dumps(frame))
    answer: Any = await client.expect()
    assert (answer["ref"], answer["topic"], answer["event"]) == (ref, topic, "phx_reply")
    assert "join_ref" not in answer
    return answer["payload"]


STATIC = Path(examples.chat.__path__[0]) / "static"

PAGE = """
import { Socket } from "%(static)s/phoenix_v2.js";
import { Room } from "%(static)s/room.js";
let ws;
globalThis.location = { href: "http://localhost/" };
globalThis.WebSocket = class { constructor() { ws = this; } send(text) { this.sent = text; } close() {} };
const socket = new Socket("/socket/websocket");
socket.connect();
ws.onopen();
const page = { isWatching: () => false, logChanged() {}, arrived() {}, typingChanged() {}, stateChanged() {} };
const get = (text) => ws.onmessage({ data: text });
for (const name of ["__proto__", "constructor", "hasOwnProperty", "lobby"]) {
  const room = new Room(name, socket, () => name, page);
  room.channel.join();
  const [joinRef, ref, topic] = JSON.parse(ws.sent);
  get(JSON.stringify([joinRef, ref, topic, "phx_reply", { status: "ok", response: {} }]));
  await new Promise((resolve) => setTimeout(resolve)); // replies settle in a task of their own
  if (room.channel.state !== "joined") throw new Error(`${name}: ${room.channel.state}`);
  const evil = `{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}, "user": "__proto__", "body": "hi", "nonce": "__proto__"}`;
  for (const event of ["new_msg", "typing", "__proto__", "constructor", "toString"]) {
    get(`[null, null, ${JSON.stringify(topic)}, ${JSON.stringify(event)}, ${evil}]`);
    get(`[null, "__proto__", "__proto__", "phx_reply", ${evil}]`);
  }
  if (room.messages.length !== 1 || room.messages[0].author !== "__proto__") throw new Error("lost");
  for (const typist of room.typists.values()) clearTimeout(typist);
}
if ({}.polluted !== undefined || Object.prototype.polluted !== undefined) throw new Error("polluted");
process.exit(0);
"""


def test_names_from_the_wire_do_not_reach_the_pages_prototypes(node_js):
    program = PAGE % {"static": STATIC.as_uri()}
    done = subprocess.run(
        [node_js, "--input-type=module", "-e", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
