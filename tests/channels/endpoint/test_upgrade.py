"""What a socket learns of who connects, and what the log learns of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import structlog.testing
import trio

from channels import (
    Channel,
    ConnectInfo,
    ConnectRefused,
    Endpoint,
    Mount,
    ParameterFilter,
    UserSocket,
)
from channels.socket import PeerData
from tests.channels.phoenix import connected, refusal, running
from tests.channels.transports.websocket.raw_client import CLOSE, RawClient, upgrade

PATH = "/socket/websocket?vsn=2.0.0"
PREFIX = "base64url.bearer.phx."


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        return None


class Socket(UserSocket):
    channels = {"room:*": Room}
    seen: list[ConnectInfo]

    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        self.seen.append(info)
        if "refuse" in params:
            raise ConnectRefused("by test")


def mounted(engine: str = "websockets", **options: Any) -> tuple[Endpoint, list[ConnectInfo]]:
    seen: list[ConnectInfo] = []
    socket = type("Socket", (Socket,), {"seen": seen})
    return Endpoint({"/socket": Mount(socket, **options)}, port=0, engine=engine), seen


def offer(token: str) -> str:
    """As phoenix.js: btoa without padding."""
    return PREFIX + base64.b64encode(token.encode()).decode().rstrip("=")


# -- auth token and subprotocols -----------------------------------------------------------------


@pytest.mark.parametrize("engine", ["websockets", "wsproto", "trio-websocket"])
@pytest.mark.parametrize("token", ["1234", "a", "ab", "abc", "abcd", "US1.e30.x-_", ""])
async def test_a_token_comes_beside_the_subprotocol_and_the_answer_names_phoenix_only(
    node, engine, token
):
    endpoint, seen = mounted(auth_token=True, engine=engine)
    offered = ["phoenix", offer(token)]
    async with running(endpoint), connected(endpoint, PATH, subprotocols=offered) as client:
        assert client.websocket.subprotocol == "phoenix"
        await client.settle()
    assert seen[0].auth_token == token


async def test_a_token_in_the_url_safe_alphabet_is_understood_too(node):
    endpoint, seen = mounted(auth_token=True)
    encoded = base64.urlsafe_b64encode("??>>é".encode()).decode().rstrip("=")
    assert {"-", "_"} & set(encoded)
    offered = ["phoenix", PREFIX + encoded]
    async with running(endpoint), connected(endpoint, PATH, subprotocols=offered):
        assert seen[0].auth_token == "??>>é"


async def test_a_client_that_sends_no_token_has_none(node):
    endpoint, seen = mounted(auth_token=True)
    async with running(endpoint):
        async with connected(endpoint, PATH) as client:
            assert client.websocket.subprotocol is None
        async with connected(endpoint, PATH, subprotocols=["phoenix"]) as client:
            assert client.websocket.subprotocol == "phoenix"
    assert [info.auth_token for info in seen] == [None, None]


async def test_two_tokens_are_none(node):
    endpoint, seen = mounted(auth_token=True)
    offered = ["phoenix", offer("a"), offer("b")]
    async with running(endpoint), connected(endpoint, PATH, subprotocols=offered):
        assert seen[0].auth_token is None


@pytest.mark.parametrize("encoded", ["a", "%%%%", "gICA"])  # gICA: not UTF-8
async def test_a_token_that_does_not_decode_is_refused_and_not_logged(node, encoded):
    endpoint, seen = mounted(auth_token=True)
    headers = [(b"sec-websocket-protocol", f"phoenix, {PREFIX}{encoded}".encode())]
    async with running(endpoint):
        with structlog.testing.capture_logs() as logs:
            assert await refusal(endpoint, PATH, headers) == 403
    assert seen == []
    assert PREFIX not in repr(logs)


async def test_a_mount_that_wants_no_token_does_not_look_for_one(node):
    endpoint, seen = mounted()
    headers = [(b"sec-websocket-protocol", f"phoenix, {offer('a')}".encode())]
    async with running(endpoint):
        assert await refusal(endpoint, PATH, headers) == 101
    assert seen[0].auth_token is None


@pytest.mark.parametrize(
    ("spoken", "offered", "agreed"),
    [
        ((), ["a", "b"], None),
        (("b", "a"), ["a", "b"], "a"),
        (("b",), ["a", "b"], "b"),
        (("b",), None, None),
    ],
)
async def test_the_first_offered_subprotocol_that_is_spoken_is_agreed_to(
    node, spoken, offered, agreed
):
    endpoint, _ = mounted(subprotocols=spoken)
    async with running(endpoint):
        if not spoken:  # its client would not go on without an answer
            headers = [(b"sec-websocket-protocol", b"a, b")]
            assert await refusal(endpoint, PATH, headers) == 101
            return
        async with connected(endpoint, PATH, subprotocols=offered) as client:
            assert client.websocket.subprotocol == agreed


async def test_a_client_that_offers_other_subprotocols_only_is_refused(node):
    endpoint, seen = mounted(subprotocols=("a",))
    async with running(endpoint):
        assert await refusal(endpoint, PATH, [(b"sec-websocket-protocol", b"x, y")]) == 403
    assert seen == []


# -- connect_info --------------------------------------------------------------------------------


async def test_connect_info_holds_what_is_known_of_the_connection(node):
    endpoint, seen = mounted(connect_info={"region": "eu"})
    headers = [
        (b"x-one", b"1"),
        (b"X-Two", b"2"),
        (b"user-agent", b"test/1"),
        (b"traceparent", b"00-a-b-01"),
        (b"tracestate", b"c=d"),
    ]
    async with running(endpoint), connected(endpoint, f"{PATH}&a=b", headers) as client:
        await client.settle()
        host, port = endpoint.addresses[0]
        local: Any = client.websocket.local
    [info] = seen
    assert (info.peer.address, info.peer.port, info.peer.certificate) == (
        "127.0.0.1",
        local.port,
        None,
    )
    assert info.x_headers == (("x-one", "1"), ("x-two", "2"))
    assert info.trace_context_headers == (("traceparent", "00-a-b-01"), ("tracestate", "c=d"))
    assert dict(info.sec_websocket_headers)["sec-websocket-version"] == "13"
    assert info.user_agent == "test/1"
    uri = info.uri
    assert (uri.scheme, uri.host, uri.port) == ("http", host, port)
    assert (uri.path, uri.query) == ("/socket/websocket", "vsn=2.0.0&a=b")
    assert info.custom == {"region": "eu"}
    assert info.auth_token is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Example.com", ("example.com", 80)),
        ("example.com:8080", ("example.com", 8080)),
        ("[::1]:81", ("::1", 81)),
        ("[::1]", ("::1", 80)),
        ("", (None, 80)),
    ],
)
async def test_the_uri_is_where_the_host_header_says(host, expected):
    info = ConnectInfo(PeerData("1.2.3.4", 5), "/", "", (("host", host),))
    assert (info.uri.host, info.uri.port) == expected


def test_the_repr_of_connect_info_shows_neither_tokens_nor_headers():
    headers = (("cookie", "secret"), ("authorization", "secret"))
    peer = PeerData("1.2.3.4", 5)
    info = ConnectInfo(peer, "/", "token=secret", headers, auth_token="secret")
    assert "secret" not in repr((info, info.uri))


# -- logs ----------------------------------------------------------------------------------------


async def events(endpoint: Endpoint, path: str = PATH) -> list[Any]:
    with structlog.testing.capture_logs() as logs:
        async with running(endpoint), connected(endpoint, path) as client:
            await client.settle()
    return [entry for entry in logs if entry["event"] == "connected"]


async def test_a_connect_is_logged_with_its_parameters_filtered(node):
    endpoint, _ = mounted()
    path = f"{PATH}&name=ann&token=s3cret&user[password]=s3cret"
    [entry] = await events(endpoint, path)
    assert (entry["log_level"], entry["transport"], entry["serializer"]) == (
        "info",
        "websocket",
        "V2",
    )
    assert entry["params"] == {
        "vsn": "2.0.0",
        "name": "ann",
        "token": "[FILTERED]",
        "user": {"password": "[FILTERED]"},
    }


async def test_connects_are_logged_at_the_level_that_the_socket_says_or_not_at_all(node):
    for level, expected in (("debug", ["debug"]), (None, [])):
        socket = type("S", (Socket,), {"seen": [], "log": level})
        logged = await events(Endpoint({"/socket": socket}, port=0))
        assert [entry["log_level"] for entry in logged] == expected


async def test_a_socket_may_name_the_parameters_that_its_log_keeps(node):
    keep = ParameterFilter(keep=["vsn"])
    socket = type("S", (Socket,), {"seen": [], "log_filter": keep})
    [entry] = await events(Endpoint({"/socket": socket}, port=0), f"{PATH}&name=ann")
    assert entry["params"] == {"vsn": "2.0.0", "name": "[FILTERED]"}


async def test_no_secret_of_the_url_reaches_the_log_whatever_goes_wrong(node):
    endpoint, _ = mounted()
    paths = [
        f"{PATH}&token=s3cret&refuse=1",
        "/socket/websocket?vsn=9.9.9&token=s3cret",
        f"{PATH}&token=s3cret%zz",
        f"{PATH}&token=s3cret%ff",
        "/nowhere?token=s3cret",
    ]
    async with running(endpoint):
        with structlog.testing.capture_logs() as logs:
            for path in paths:
                assert await refusal(endpoint, path) in {400, 403, 404}
    assert "s3cret" not in repr(logs)


# -- what is not ASCII ---------------------------------------------------------------------------


async def test_a_refusal_behind_the_upgrade_agrees_to_no_subprotocol_that_is_no_name(node):
    mount = Mount(UserSocket, refuse_after_upgrade=True)
    async with (
        running(Endpoint({"/socket": mount}, port=0)) as endpoint,
        await trio.open_tcp_stream(*endpoint.addresses[0]) as stream,
    ):
        client = RawClient(stream)
        request = upgrade("/socket/websocket?vsn=9.0.0", Sec_WebSocket_Protocol="\xe9, good")
        await client.send(request.decode().encode("latin-1"))
        head = await client.head()
        assert b"101" in head
        assert b"Sec-WebSocket-Protocol: good" in head
        assert (await client.frame())[0] == CLOSE


@pytest.mark.parametrize("name", ["\xe9", "two words", "", "a,b"])
def test_a_subprotocol_that_is_no_token_cannot_be_mounted(name):
    with pytest.raises(ValueError, match="subprotocols"):
        Mount(UserSocket, subprotocols=(name,))


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({"subprotocols": ("chat",)}, "phoenix, {}"),
        ({"auth_token": True}, "{}, {}x"),
    ],
)
async def test_no_token_reaches_the_log_with_the_subprotocols_that_are_refused(
    node, options, offered
):
    """C21: also where the mount wants no token, or two came."""
    secret = offer("a secret")
    endpoint, _ = mounted(**options)
    async with running(endpoint):
        with structlog.testing.capture_logs() as logs:
            header = (b"sec-websocket-protocol", offered.format(secret, secret).encode())
            assert await refusal(endpoint, PATH, [header]) == 403
    assert "no common subprotocol" in [entry["event"] for entry in logs]
    assert secret not in repr(logs)
