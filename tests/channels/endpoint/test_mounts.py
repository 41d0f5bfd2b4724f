"""Where sockets are mounted: paths, variables, options."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import Channel, Endpoint, Mount, UserSocket
from channels.endpoint.mounts import PathTable
from channels.exceptions import InvalidMountError
from tests.channels.long_poll import request
from tests.channels.phoenix import connected, refusal, running


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        return {"params": self.assigns["params"]}


class Socket(UserSocket):
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        self.assigns["params"] = params


async def params_seen(endpoint: Endpoint, path: str) -> Any:
    async with connected(endpoint, path) as client:
        ref = client.ref()
        await client.send(ref, ref, "room:1", "phx_join", {})
        return (await client.expect_reply(ref))["response"]["params"]


TABLE = PathTable(
    [
        ("/socket/websocket", "plain"),
        ("/ws/:user/websocket", "one"),
        ("/ws/admin/websocket", "exact"),
        ("/a/:x/:y", "two"),
        ("/a/:x/z", "never"),
    ]
)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/socket/websocket", ("plain", {})),
        ("/socket/websocket?vsn=2.0.0", ("plain", {})),
        ("/socket/web%73ocket", ("plain", {})),
        ("/ws/7/websocket", ("one", {"user": "7"})),
        ("/ws/admin/websocket", ("exact", {})),
        ("/ws/a%2Fb/websocket", ("one", {"user": "a/b"})),
        ("/ws/%C3%A9/websocket?x=1", ("one", {"user": "é"})),
        ("/a/1/z", ("two", {"x": "1", "y": "z"})),
        ("/ws//websocket", None),
        ("/ws/websocket", None),
        ("/ws/7/8/websocket", None),
        ("/socket/websocket/", ("plain", {})),
        ("//socket///websocket/?vsn=2.0.0", ("plain", {})),
        ("/ws//7/websocket/", ("one", {"user": "7"})),
        ("/socket%2Fwebsocket", None),
        ("/socket/websocket%2F", None),
        ("/", None),
        ("//", None),
    ],
)
def test_what_serves_a_path(target, found):
    assert TABLE.find(target) == found


pieces = st.sampled_from(
    ["/", "ws", "websocket", "a", "%2F", "%", "%ff", "%c3%a9", "?", "..", ":user"]
)


@given(st.lists(pieces).map("".join) | st.text(max_size=20))
def test_any_target_is_found_or_not_or_an_error(target):
    try:
        found = TABLE.find(target)
    except ValueError:
        return
    if found is not None:
        entry, variables = found
        assert all(variables.values())
        assert len(variables) == {"plain": 0, "exact": 0, "one": 1, "two": 2}[entry]


def test_a_segment_that_does_not_decode_is_an_error():
    with pytest.raises(ValueError, match="%"):
        TABLE.find("/ws/%zz/websocket")


async def test_a_mount_may_have_several_segments(node):
    async with running(Endpoint({"/api/v1/live": Socket}, port=0)) as endpoint:
        assert await params_seen(endpoint, "/api/v1/live/websocket?vsn=2.0.0") == {"vsn": "2.0.0"}


async def test_the_variables_of_a_path_are_parameters_and_win_over_the_query(node):
    async with running(Endpoint({"/ws/:user_id": Socket}, port=0)) as endpoint:
        seen = await params_seen(endpoint, "/ws/7/websocket?vsn=2.0.0&user_id=8&a=b")
        assert seen == {"vsn": "2.0.0", "user_id": "7", "a": "b"}
        assert await refusal(endpoint, "/ws/websocket?vsn=2.0.0") == 404
        assert await refusal(endpoint, "/ws/%ff/websocket?vsn=2.0.0") == 400


async def test_needless_slashes_in_a_request_or_a_mount_change_nothing(node):
    """Plug splits a path at its slashes and drops what is empty."""
    async with running(Endpoint({"/api//live/": Mount(Socket, longpoll=True)}, port=0)) as endpoint:
        for path in ("/api/live/websocket", "//api/live//websocket/"):
            assert await params_seen(endpoint, f"{path}?vsn=2.0.0") == {"vsn": "2.0.0"}
        answer = await request(endpoint, "GET", "/api/live/longpoll/?vsn=2.0.0")
        assert answer.json["status"] == 410


async def test_the_suffix_may_be_another_and_have_variables_too(node):
    mount = Mount(Socket, suffix="/:version/ws")
    async with running(Endpoint({"/socket": mount}, port=0)) as endpoint:
        seen = await params_seen(endpoint, "/socket/beta/ws?vsn=2.0.0")
        assert seen == {"vsn": "2.0.0", "version": "beta"}
        assert await refusal(endpoint, "/socket/websocket?vsn=2.0.0") == 404


async def test_each_mount_has_its_own_origin_policy(node):
    sockets = {
        "/open": Mount(Socket, check_origin=False),
        "/closed": Mount(Socket, check_origin=[]),
    }
    async with running(Endpoint(sockets, port=0)) as endpoint:
        evil = [(b"origin", b"http://evil.example")]
        async with connected(endpoint, "/open/websocket?vsn=2.0.0", evil) as client:
            await client.settle()
        assert await refusal(endpoint, "/closed/websocket?vsn=2.0.0", evil) == 403


@pytest.mark.parametrize("suffix", ["websocket", "", "ws/"])
def test_a_suffix_begins_with_a_slash(suffix):
    with pytest.raises(InvalidMountError, match="suffix"):
        Endpoint({"/socket": Mount(Socket, suffix=suffix)})


def test_subprotocols_are_names():
    wrong: Any = "phoenix"
    with pytest.raises(ValueError, match="expected a tuple"):
        Mount(Socket, subprotocols=wrong)
