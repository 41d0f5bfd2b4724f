import attrs
import pytest

from channels.transports.websocket import BadUpgradeError, check_upgrade
from channels.transports.websocket.handshake import accept_key, header_tokens, switching_protocols

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = (
    ("host", "localhost"),
    ("upgrade", "websocket"),
    ("connection", "keep-alive, Upgrade"),
    ("sec-websocket-key", KEY),
    ("sec-websocket-version", "13"),
)


@attrs.frozen
class Request:
    headers: tuple[tuple[str, str], ...] = GOOD
    method: str = "GET"
    http_version: str = "1.1"


def but(name, *values):
    """The good headers, with one replaced."""
    kept = tuple((key, value) for key, value in GOOD if key != name)
    return kept + tuple((name, value) for value in values)


def test_the_key_of_the_rfc_is_answered_as_in_the_rfc():
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_good_upgrade_passes():
    check_upgrade(Request())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(Request(method="POST"), 400, id="method"),
        pytest.param(Request(http_version="1.0"), 400, id="version of HTTP"),
        pytest.param(Request(but("upgrade")), 400, id="no upgrade"),
        pytest.param(Request(but("upgrade", "h2c")), 400, id="other upgrade"),
        pytest.param(Request(but("connection", "keep-alive")), 400, id="connection"),
        pytest.param(Request(but("sec-websocket-version", "8")), 400, id="old version"),
        pytest.param(Request(but("sec-websocket-version")), 400, id="no version"),
        pytest.param(Request(but("sec-websocket-key")), 400, id="no key"),
        pytest.param(Request(but("sec-websocket-key", KEY, KEY)), 400, id="two keys"),
        pytest.param(Request(but("sec-websocket-key", "c2hvcnQ=")), 400, id="short key"),
        pytest.param(
            Request(but("sec-websocket-key", "not base64 at all!!!!")), 400, id="no base64"
        ),
        pytest.param(Request(but("content-length", "5")), 400, id="body"),
        pytest.param(Request(but("transfer-encoding", "chunked")), 400, id="chunked body"),
    ],
)
def test_what_is_no_upgrade_is_refused(request_, status):
    with pytest.raises(BadUpgradeError) as refused:
        check_upgrade(request_)
    assert refused.value.status == status


def test_a_refused_version_says_which_one_is_spoken():
    with pytest.raises(BadUpgradeError) as refused:
        check_upgrade(Request(but("sec-websocket-version", "8")))
    assert refused.value.headers == (("sec-websocket-version", "13"),)


def test_the_answer_carries_what_was_agreed_on():
    answer = switching_protocols(GOOD, subprotocol="mqtt", extensions="permessage-deflate")
    assert answer.decode().split("\r\n") == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: mqtt",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "",
        "",
    ]


def test_an_answer_without_a_key_is_not_made():
    with pytest.raises(ValueError, match="check_upgrade"):
        switching_protocols(())


def test_the_tokens_of_a_header_are_collected_over_its_lines():
    headers = [("a", "x, y"), ("b", "no"), ("a", " z ,")]
    assert header_tokens(headers, "a") == ["x", "y", "z"]
