"""What is logged of channels, and what never is."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog
import structlog.testing
import trio.testing

from actors import GenServer
from channels import Broadcast, Channel, Endpoint, JoinRefused, ParameterFilter, Reply, UserSocket
from tests.channels.endpoint.hostile import attacking, masked, message
from tests.channels.phoenix import Client, connected, refusal, running

SECRET = "s3cret"


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        self.kept = {"password": payload.get("password")}
        match payload:
            case {"refuse": _}:
                raise JoinRefused({"reason": "no"})
            case {"crash": _}:
                raise RuntimeError("in join")

    async def handle_in(self, event: str, payload: Any) -> Any:
        if event == "crash":
            raise RuntimeError("in handle_in")
        return Reply.ok()


class Silent(Room):
    log_join = None
    log_handle_in = None


class Chatty(Room):
    log_join = "debug"
    log_handle_in = "info"


class Socket(UserSocket):
    channels = {
        "room:*": Room,
        "silent:*": Silent,
        "chatty:*": Chatty,
        "phoenix:*": Chatty,
        "static:*": (Room, {"kind": "public", "user": "route"}),
    }

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        self.assigns.update(user="socket", token=SECRET)


async def say(client: Client, topic: str, event: str, payload: Any) -> None:
    await client.push(None, topic, event, payload)
    await client.expect()


async def logged(*messages: tuple[str, str, Any], socket: type[UserSocket] = Socket) -> list[Any]:
    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": socket}, port=0)
        async with running(endpoint), connected(endpoint) as client:
            for message in messages:
                await say(client, *message)
    return logs


def named(logs: list[Any], *events: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] in events]


async def test_joins_are_logged_with_their_parameters_filtered(node):
    params = {"name": "ann", "password": SECRET}
    logs = await logged(
        ("room:1", "phx_join", params), ("room:2", "phx_join", {**params, "refuse": 1})
    )
    joined, refused = named(logs, "joined", "join refused")
    assert (joined["event"], joined["topic"], joined["log_level"]) == ("joined", "room:1", "info")
    assert joined["params"] == {"name": "ann", "password": "[FILTERED]"}
    assert (refused["event"], refused["topic"]) == ("join refused", "room:2")


async def test_a_channel_says_at_which_level_its_joins_are_logged(node):
    logs = await logged(("silent:1", "phx_join", {}), ("chatty:1", "phx_join", {}))
    assert [(e["topic"], e["log_level"]) for e in named(logs, "joined")] == [("chatty:1", "debug")]


async def test_pushes_are_logged_only_where_the_channel_wants_it(node):
    logs = await logged(
        ("silent:1", "phx_join", {}),
        ("silent:1", "save", {"a": 1}),
        ("chatty:1", "phx_join", {}),
        ("chatty:1", "save", {"a": 1, "user": {"auth_token": SECRET}}),
    )
    [entry] = named(logs, "handled")
    assert (entry["event_name"], entry["topic"], entry["log_level"]) == ("save", "chatty:1", "info")
    assert entry["params"] == {"a": 1, "user": {"auth_token": "[FILTERED]"}}
    assert entry["microseconds"] >= 0


async def test_a_client_gets_twenty_lines_about_its_mistakes_into_the_log(node):
    """C22: of each connection, and of each channel."""
    wrong: list[tuple[str, str, Any]] = [("nowhere", "phx_join", {})] * 30
    logs = await logged(("room:1", "phx_join", {}), *wrong)
    told = named(logs, "unmatched topic")
    assert ["note" in entry for entry in told] == [False] * 19 + [True]


async def test_a_channel_logs_twenty_events_that_it_does_not_know(node):
    """C22: the next channel of the same client has its own twenty."""

    class Plain(Channel):
        async def join(self, topic: str, payload: Any) -> Any:
            pass

    class Plainly(UserSocket):
        channels = {"room:*": Plain}

    wrong: list[tuple[str, str, Any]] = [("room:1", "what", {})] * 30 + [("room:2", "what", {})]
    first: tuple[str, str, Any] = ("room:1", "phx_join", {})
    second: tuple[str, str, Any] = ("room:2", "phx_join", {})
    told = named(await logged(first, second, *wrong, socket=Plainly), "unmatched event")
    assert ["note" in entry for entry in told] == [False] * 19 + [True, False]
    assert told[-1]["topic"] == "room:2"


async def test_joins_that_are_not_served_are_logged(node):
    """C22: WS-26, 1.7, 1.10."""

    class Small(Socket):
        max_channels = 1

    long = "nowhere" * 1000
    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": Small}, port=0)
        async with running(endpoint), connected(endpoint) as client:
            await say(client, "nowhere", "phx_join", {})
            await say(client, long, "phx_join", {})
            join_ref = await client.join("room:1")
            await say(client, "room:2", "phx_join", {})
            await client.push("again", "room:1", "phx_join", {})
            assert [(await client.expect())[3] for _ in range(2)] == ["phx_reply", "phx_close"]
            await say(client, "nowhere", "event", {})  # no join, no news
    told = named(logs, "unmatched topic", "too many channels joined", "duplicate join")
    assert join_ref
    assert [(entry["log_level"], entry["event"], entry["topic"]) for entry in told] == [
        ("warning", "unmatched topic", "nowhere"),
        ("warning", "unmatched topic", f"{long[:200]}..."),
        ("error", "too many channels joined", "room:2"),
        ("debug", "duplicate join", "room:1"),
    ]
    assert {entry["socket"] for entry in told} == {"Small"}


async def test_a_client_that_goes_during_its_join_is_no_error(node):
    """C15: here it is gone before the channel's process is there."""
    joins = b"".join(message(None, str(n), f"room:{n}", "phx_join", {}) for n in range(5))
    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": Socket}, port=0)
        async with running(endpoint), attacking(endpoint) as client:
            await client.send(joins + masked(b"\x03\xe8", first=0x88))  # 1000 in the same read
            await client.read_to_the_end()
            await trio.testing.wait_all_tasks_blocked()
            assert [process for process in node.processes if process.label == "Room"] == []
    assert named(logs, "disconnected")
    assert [entry for entry in logs if entry["log_level"] in ("warning", "error")] == []


@pytest.fixture
def at_level():
    """Configure what structlog writes, for one test."""
    before = structlog.get_config()
    yield lambda level: structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level)
    )
    structlog.configure(**before)


class Unspecified(Room):
    """As `Room`, with the default levels."""


@pytest.mark.parametrize(("level", "lines"), [(logging.DEBUG, 1), (logging.INFO, 0)])
async def test_pushes_are_logged_for_debugging_and_cost_nothing_where_nobody_debugs(
    node, at_level, level, lines
):
    """C23, as in Phoenix. Where the level is off nothing is measured and nothing filtered."""
    filtered: list[Any] = []

    class Filter:
        def __call__(self, parameters: Any) -> Any:
            filtered.append(parameters)
            return parameters

    at_level(level)
    socket = type("S", (Socket,), {"channels": {"*": Unspecified}, "log_filter": Filter()})
    push = ("a", "save", {"secret": 1})
    logs = await logged(("a", "phx_join", {}), push, socket=socket)
    assert [entry["log_level"] for entry in named(logs, "handled")] == ["debug"] * lines
    assert filtered.count({"secret": 1}) == lines


async def test_topics_that_begin_with_phoenix_are_not_logged(node):
    logs = await logged(("phoenix:live", "phx_join", {}), ("phoenix:live", "save", {}))
    assert named(logs, "joined", "handled") == []


async def test_a_socket_says_what_its_logs_show(node):
    socket = type("S", (Socket,), {"log_filter": ParameterFilter(keep=["a"])})
    [joined] = named(
        await logged(("room:1", "phx_join", {"a": 1, "b": 2}), socket=socket), "joined"
    )
    assert joined["params"] == {"a": 1, "b": "[FILTERED]"}


async def test_no_password_or_token_reaches_a_log_whatever_a_channel_does(node):
    logs = await logged(
        ("room:1", "phx_join", {"password": SECRET}),
        ("room:1", "crash", {"password": SECRET}),
        ("room:2", "phx_join", {"password": SECRET, "crash": 1}),
        ("nowhere", "phx_join", {"password": SECRET}),
        ("room:3", "phx_join", {"password": SECRET, "refuse": 1}),
    )
    assert len(named(logs, "GenServer terminating")) == 2
    assert SECRET not in repr(logs)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (Broadcast("user:1", "welcome", {"token": SECRET, "name": "ann"}), "ann"),
        ({"password": SECRET, "name": "ann"}, "ann"),
        (["welcome", {"password": SECRET}], "welcome"),
        (f"token={SECRET}&name=ann", "ann"),
        (("what", "is", "this"), "what"),
    ],
    ids=["broadcast", "mapping", "list", "form", "tuple"],
)
async def test_a_message_that_no_handle_info_takes_is_logged_without_secrets(node, message, shown):
    """C21: Phoenix warns of it too. A channel that subscribes to other topics gets their broadcasts."""
    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": Socket}, port=0)
        async with running(endpoint), connected(endpoint) as client:
            await client.join("room:1")
            [room] = [process for process in node.processes if process.label == "Room"]
            room.send(message)
            await client.join("room:2")  # it has had its turn
            await client.push(None, "room:1", "save")
            await client.expect()
    [entry] = named(logs, "unexpected message")
    assert (entry["log_level"], entry["topic"], entry["channel"]) == ("warning", "room:1", "Room")
    assert SECRET not in repr(entry)
    assert shown in entry["message"]


async def test_what_a_log_shows_of_an_unexpected_message_is_short(node):
    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": Socket}, port=0)
        async with running(endpoint), connected(endpoint) as client:
            await client.join("room:1")
            [room] = [process for process in node.processes if process.label == "Room"]
            room.send([{"a": "x" * 1000}] * 1000)
            await client.push(None, "room:1", "save")
            await client.expect()
    [entry] = named(logs, "unexpected message")
    assert len(entry["message"]) <= 200


async def test_what_crashes_in_a_socket_is_logged_without_the_values_of_variables(node):
    """`exc_info` is printed with them where `rich` is installed."""

    class Crashing(Socket):
        async def connect(self, params: dict[str, Any], info: Any) -> None:
            if "boom" in params:
                raise RuntimeError("in connect")

        async def refresh(self, params: dict[str, Any]) -> Any:
            raise RuntimeError("in refresh")

    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": Crashing}, port=0)
        async with running(endpoint):
            path = f"/socket/websocket?vsn=2.0.0&boom=1&token={SECRET}"
            assert await refusal(endpoint, path) == 500
            async with connected(endpoint) as client:
                await say(client, "phoenix", "auth_token", {"token": SECRET})
    entries = named(logs, "connect crashed", "refresh crashed")
    for entry, words in zip(entries, ("in connect", "in refresh"), strict=True):
        assert entry["stack"].startswith("Traceback")
        assert entry["stack"].endswith(f"RuntimeError: {words}")
        assert "exc_info" not in entry
    assert SECRET not in repr(logs)


async def test_a_malformed_frame_is_logged_without_its_text(node):
    with structlog.testing.capture_logs() as logs:
        endpoint = Endpoint({"/socket": Socket}, port=0)
        async with running(endpoint), connected(endpoint) as client:
            await client.websocket.send_message('["1","1","room:1",{"password":"s3cret"}]')
            assert (await client.expect_close())[0] == 1011
    assert named(logs, "malformed frame")
    assert SECRET not in repr(logs)


async def test_static_assigns_of_a_route_go_over_the_sockets(node):
    seen: dict[str, Any] = {}

    class Static(Room):
        async def join(self, topic: str, payload: Any) -> Any:
            seen[topic] = dict(self.assigns)

    socket = type(
        "S", (Socket,), {"channels": {"a": (Static, {"user": "route", "k": 1}), "b": Static}}
    )
    await logged(("a", "phx_join", {}), ("b", "phx_join", {}), socket=socket)
    assert seen["a"] == {"user": "route", "k": 1, "token": SECRET}
    assert seen["b"] == {"user": "socket", "token": SECRET}


def test_a_channel_is_a_gen_server_whose_reports_are_filtered():
    assert Channel.format_status is not GenServer.format_status
