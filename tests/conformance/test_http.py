"""What the running demo node answers to plain HTTP."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from tests.conformance.demo_node import DemoNode

pytestmark = pytest.mark.conformance

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}

TWO_LENGTHS = (
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)

TRAVERSALS = (
    "/../room.py",
    "/../../../../../../etc/passwd",
    "/%2e%2e/room.py",
    "/..%2froom.py",
    "/static/../../room.py",
    "/..%5croom.py",
    "//etc/passwd",
    "/.git/config",
    "/%00",
    "/chat.js%00.html",
)


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()


def ask(
    node: DemoNode, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=15)
    try:
        connection.request(method, path, headers=headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def test_health_says_ok(chat: DemoNode):
    answer = ask(chat, "/health")
    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "ok"}


def test_the_page_is_served_with_a_policy_that_runs_no_foreign_script(chat: DemoNode):
    answer = ask(chat, "/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<!doctype html>" in answer.body.lower()
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_modules_are_served_as_javascript(chat: DemoNode):
    answer = ask(chat, "/chat.js")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


def test_a_page_that_has_not_changed_is_not_sent_again(chat: DemoNode):
    tag = ask(chat, "/").headers["etag"]
    again = ask(chat, "/", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")


def test_head_sends_the_headers_alone(chat: DemoNode):
    answer = ask(chat, "/", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_an_unknown_path_is_404(chat: DemoNode):
    assert ask(chat, "/nothing").status == 404


@pytest.mark.parametrize("path", TRAVERSALS)
def test_nothing_outside_the_folder_is_served(chat: DemoNode, path: str):
    answer = ask(chat, path)
    assert answer.status in {400, 404}
    assert b"import" not in answer.body
    assert b"root:" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_a_socket_is_only_got(chat: DemoNode, method: str):
    assert ask(chat, "/socket/websocket?vsn=2.0.0", method).status == 400


def test_a_plain_get_of_a_socket_is_told_to_upgrade(chat: DemoNode):
    answer = ask(chat, "/socket/websocket?vsn=2.0.0")
    assert answer.status == 400
    assert answer.headers["upgrade"] == "websocket"
    assert b"Upgrade: websocket" in answer.body


@pytest.mark.parametrize(
    ("missing", "status"),
    [
        ("Connection", 400),
        ("Upgrade", 400),
        ("Sec-WebSocket-Version", 400),
        ("Sec-WebSocket-Key", 400),
    ],
)
def test_an_upgrade_without_a_header_is_told_what_is_missing(
    each_engine: DemoNode, missing: str, status: int
):
    headers = {name: value for name, value in UPGRADE.items() if name != missing}
    answer = ask(each_engine, "/socket/websocket?vsn=2.0.0", headers=headers)
    assert answer.status == status
    assert answer.body.strip()


def test_two_requests_are_served_on_one_connection(chat: DemoNode):
    connection = http.client.HTTPConnection("127.0.0.1", chat.port, timeout=15)
    try:
        for path in ("/health", "/nothing", "/health"):
            connection.request("GET", path)
            Answer(connection.getresponse())
        assert connection.sock is not None
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 431),
        (TWO_LENGTHS, 400),
    ],
    ids=["no host", "nonsense", "foreign scheme", "bare LF", "too long a head", "two lengths"],
)
def test_a_bad_request_is_answered_and_closed(chat: DemoNode, request_bytes: bytes, status: int):
    with socket.create_connection(("127.0.0.1", chat.port), timeout=15) as client:
        client.sendall(request_bytes)
        answer = b""
        while data := client.recv(65_536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 %d " % status)
