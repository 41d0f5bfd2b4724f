"""What an endpoint says of options that are wrong: at construction, in words (7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from channels import (
    AddressLimits,
    Channel,
    ConnectRefused,
    DrainOptions,
    DropOldest,
    Endpoint,
    Limits,
    Mount,
    Rate,
    UserSocket,
)
from channels.endpoint.origin import parse_origin
from channels.exceptions import InvalidMountError, InvalidRouteError


class Socket(UserSocket):
    channels = {}


def socket_with(**attributes: Any) -> Any:
    return type("Wrong", (UserSocket,), attributes)


def mounted(socket: Any, **options: Any) -> Endpoint:
    return Endpoint({"/s": socket}, **options)


MOUNTS = [
    (socket_with(channels={"room:*": dict}), InvalidRouteError, "subclass of channels.Channel"),
    (dict, InvalidMountError, "subclass of channels.UserSocket"),
    (socket_with(max_channels=-1), InvalidMountError, "max_channels=-1"),
    (socket_with(max_channels="many"), InvalidMountError, "max_channels='many'"),
    (socket_with(overflow=DropOldest), InvalidMountError, "DropOldest()"),
    (socket_with(overflow=None), InvalidMountError, "a policy"),
]
OPTIONS = [
    ({"port": 70_000}, ValueError, "65535"),
    ({"port": "4000"}, TypeError, "port='4000'"),
    ({"check_origin": True}, ValueError, "public_host"),
    ({"public_scheme": "wss"}, ValueError, "public_scheme"),
    ({"public_port": 0}, ValueError, "public_port"),
    ({"public_host": "a:1"}, ValueError, "public_host"),
    ({"engine": "other"}, ValueError, "trio-websocket"),
    ({"limits": {}}, TypeError, "Limits"),
    ({"drainer": True}, TypeError, "DrainOptions"),
    ({"serializers": [5]}, TypeError, "pairs of a serializer"),
    ({"serializers": ()}, TypeError, "one at least"),
    ({"pubsub": "x"}, TypeError, "a PubSub"),
    ({"tls": "cert.pem"}, TypeError, "tls='cert.pem'"),
]


@pytest.mark.parametrize(("socket", "error", "words"), MOUNTS)
def test_a_socket_that_cannot_be_mounted_is_refused(socket, error, words):
    with pytest.raises(error, match=words):
        mounted(socket)


@pytest.mark.parametrize(("options", "error", "words"), OPTIONS, ids=repr)
def test_an_option_that_is_none_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        mounted(Socket, **options)


def test_a_path_without_a_slash_and_a_missing_folder_are_refused(tmp_path: Path):
    with pytest.raises(InvalidMountError, match="begin with /"):
        Endpoint({"socket": Socket})
    with pytest.raises(NotADirectoryError, match="missing"):
        Endpoint({}, static=tmp_path / "no")


def test_sockets_are_given_by_path():
    with pytest.raises(TypeError, match="a mapping of paths"):
        Endpoint(Socket)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("drainer", [None, False, DrainOptions()])
def test_a_drainer_may_be_switched_off_as_in_phoenix(drainer):
    mounted(Socket, drainer=drainer)


@pytest.mark.parametrize("option", ["messages", "bytes", "joins"])
@pytest.mark.parametrize("kind", [Limits, AddressLimits])
def test_a_rate_is_not_a_number(kind, option):
    """Nor zero, which is no limit elsewhere: that is `NO_RATE`."""
    with pytest.raises(TypeError, match=f"{option}=0; expected Rate"):
        kind(**{option: 0})


def test_what_limits_hold_is_checked():
    with pytest.raises(TypeError, match="AddressLimits"):
        Limits(address=5)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="expected a number"):
        Rate("5", 5)  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match="0 is no limit"):
        Limits(outbox=-1)
    for option in ("max_head_size", "max_message_size", "outbox", "held"):
        with pytest.raises(TypeError, match=f"{option}=16000.0; expected a whole number"):
            Limits(**{option: 16e3})  # type: ignore[arg-type]  # as above


def test_options_that_can_be_read_once_are_kept():
    class Room(Channel):
        intercept = (f"{word}_changed" for word in ("price", "name"))

    assert [*Room.intercept] == [*Room.intercept] == ["price_changed", "name_changed"]
    origins = (f"https://{host}" for host in ["good.example"])
    endpoint = Endpoint({"/a": Socket, "/b": Socket}, check_origin=origins)
    own = parse_origin("https://own.example")
    for path in ("/a/websocket", "/b/websocket"):
        found = endpoint._config.mounts.find(path)
        assert found is not None
        assert found[0].check_origin.allows("https://good.example", own)


def test_a_long_poll_is_on_off_or_described():
    with pytest.raises(TypeError, match="longpoll"):
        Mount(Socket, longpoll={"window": 5})  # type: ignore[arg-type]  # that is the point


def test_intercepted_events_are_several():
    with pytest.raises(TypeError, match="names of events"):
        type("Room", (Channel,), {"intercept": "new_msg"})


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_advice_when_to_come_back_is_a_time(seconds):
    with pytest.raises(ValueError, match="retry_after"):
        ConnectRefused(retry_after=seconds)
