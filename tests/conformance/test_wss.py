"""The real npm `phoenix` client over TLS: WebSocket (wss) and long poll (https), with a certificate of the test's own."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest
import trio
import trustme

from tests.conformance.conftest import EDGE
from tests.conformance.demo_node import DemoNode
from tests.conformance.node_script import DEADLINE, open_script
from tests.conformance.phoenix import Answer, PhoenixClient, PhoenixClients

pytestmark = pytest.mark.conformance


@attrs.frozen
class Certificates:
    """The files of an authority and of the certificate that it has issued."""

    folder: Path
    authority: trustme.CA = attrs.field(factory=trustme.CA, repr=False)

    def issue(self, authority: trustme.CA | None = None) -> None:
        """A certificate for the node, in its place."""
        issued = (authority or self.authority).issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(self.folder / "key.pem")
        (self.folder / "cert.pem").write_bytes(
            b"".join(part.bytes() for part in issued.cert_chain_pems)
        )
        self.authority.cert_pem.write_to_path(self.trusted)

    @property
    def trusted(self) -> Path:
        """The authority, for NODE_EXTRA_CA_CERTS."""
        return self.folder / "authority.pem"

    @property
    def options(self) -> tuple[str, ...]:
        """Those of the node."""
        return ("--certificate", str(self.folder / "cert.pem"), str(self.folder / "key.pem"))


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path)
    made.issue()
    return made


@pytest.fixture(params=["websockets", "trio-websocket"])
def node(
    request: pytest.FixtureRequest, certificates: Certificates, tmp_path: Path
) -> Iterator[DemoNode]:
    options = (*certificates.options, "--engine", request.param)
    node = DemoNode(tmp_path / "node.log", *options, module=EDGE)
    node.start()
    assert node.socket_url.startswith("wss://")
    yield node
    node.kill()


@pytest.fixture
async def by_wss(
    node_js: str, npm_packages: Path, certificates: Certificates
) -> AsyncIterator[PhoenixClients]:
    arguments = ("phoenix_client.mjs", "phoenix")
    async with open_script(node_js, *arguments, authority=certificates.trusted) as script:
        yield PhoenixClients(script)


@pytest.fixture
async def by_https(
    node_js: str, npm_packages: Path, certificates: Certificates
) -> AsyncIterator[PhoenixClients]:
    async with open_script(node_js, "longpoll.mjs", authority=certificates.trusted) as script:
        yield PhoenixClients(script)


async def converse(client: PhoenixClient, room: str) -> None:
    """All that a room is for, once."""
    joined = await client.join(room, name="Ana")
    assert joined["params"] == {"name": "Ana"}
    assert await client.heard(room, "welcome") == {"topic": room}
    assert await client.push(room, "ping", {"a": [1, None, "é"]}) == Answer(
        "ok", {"a": [1, None, "é"]}
    )
    assert await client.push(room, "decline", {}) == Answer("error", {"reason": "declined"})
    assert await client.push(room, "broadcast", {"n": 1}) == Answer("ok", {})
    assert await client.heard(room, "broadcast") == {"n": 1}
    large = {"text": "x" * 200_000}  # many TLS records
    assert await client.push(room, "ping", large) == Answer("ok", large)
    assert await client.leave(room) == {}


async def test_a_client_converses_over_wss(node: DemoNode, by_wss: PhoenixClients, room: str):
    ana = await by_wss.connect(node.socket_url, authToken="token-of-ana", heartbeatIntervalMs=1_000)
    await converse(ana, room)
    assert (await ana.join(f"{room}-2"))["assigns"]["user"] == "token-of-ana"
    await ana.push(f"{room}-2", "broadcast bytes", bytes(range(256)))
    assert await ana.heard(f"{room}-2", "bytes") == bytes(range(256))
    await ana.expect("heartbeat answered")
    await ana.disconnect()
    assert ana.seen("error") == []


@pytest.mark.parametrize("way", ["longpoll", "fallback"])
async def test_a_client_converses_by_long_poll_over_https(
    node: DemoNode, by_https: PhoenixClients, room: str, way: str
):
    ana = await by_https.start(node.socket_url, way=way, authToken="token-of-ana")
    assert (await ana.expect("open"))["transport"] == "LongPoll"
    await converse(ana, room)
    assert (await ana.join(f"{room}-2"))["assigns"]["user"] == "token-of-ana"
    await ana.disconnect()


async def test_clients_of_both_transports_hear_each_other_over_tls(
    node: DemoNode, by_wss: PhoenixClients, by_https: PhoenixClients, room: str
):
    ana = await by_wss.connect(node.socket_url, "ana")
    bob = await by_https.connect(node.socket_url, "bob", way="longpoll")
    for client in (ana, bob):
        await client.join(room)
    for client in (ana, bob):
        await client.push(room, "broadcast", {"by": client.name})
        for listener in (ana, bob):
            assert await listener.heard(room, "broadcast") == {"by": client.name}


async def test_a_client_that_is_put_out_over_wss_sees_1001_and_comes_back(
    node: DemoNode, by_wss: PhoenixClients, room: str
):
    ana = await by_wss.connect(node.socket_url, "ana")
    bob = await by_wss.connect(node.socket_url, "bob", params={"name": room})
    await ana.join(room)
    await bob.join(room)
    await ana.push(room, "put out", {"user": room})
    assert (await bob.expect("close"))["code"] == 1001
    await bob.expect("joined", room)
    assert ana.seen("close") == []


async def test_a_certificate_that_nobody_vouches_for_lets_no_client_in(
    node: DemoNode, phoenix: PhoenixClients
):
    eve = await phoenix.start(node.socket_url, "eve")
    await eve.expect("error")
    assert (await eve.expect("close"))["code"] == 1006
    assert eve.seen("open") == []


async def test_a_new_certificate_is_shown_after_sighup_and_disturbs_nobody(
    node: DemoNode, by_wss: PhoenixClients, certificates: Certificates, room: str
):
    ana = await by_wss.connect(node.socket_url, "ana")
    await ana.join(room)
    certificates.issue(trustme.CA())  # of an authority that the clients do not know
    node.send_signal(signal.SIGHUP)
    with trio.fail_after(DEADLINE):
        while "certificate reloaded" not in node.log():
            await trio.sleep(0.01)
    eve = await by_wss.start(node.socket_url, "eve")
    await eve.expect("error")
    assert eve.seen("open") == []
    assert await ana.push(room, "ping", {"a": 1}) == Answer("ok", {"a": 1})
    assert ana.seen("close") == []
