"""TLS: https and wss with a certificate of the test's own."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing
import trio_websocket
import trustme
from cryptography.hazmat.primitives import serialization

from actors import KILL, open_node
from channels import TLS, Channel, Endpoint, Limits, Reply, UserSocket
from supervisors import Supervisor
from tests.channels.phoenix import Client, connected, running


class Room(Channel):
    async def join(self, topic: str, payload: Any) -> Any:
        info = self.assigns["info"]
        return {"scheme": info.uri.scheme, "certificate": info.peer.certificate is not None}

    async def handle_in(self, event: str, payload: Any) -> Any:
        return Reply.ok(payload)


class Socket(UserSocket):
    channels = {"room:*": Room}

    async def connect(self, params: dict[str, Any], info: Any) -> None:
        self.assigns["info"] = info


class Files:
    """A certificate in files, as an administrator would place it."""

    def __init__(self, folder: Path) -> None:
        self.certfile = folder / "cert.pem"
        self.keyfile = folder / "key.pem"
        self.authority = trustme.CA()
        self.issue()

    def issue(self) -> None:
        issued = self.authority.issue_cert("localhost", "127.0.0.1")
        self.keyfile.write_bytes(issued.private_key_pem.bytes())
        self.certfile.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def tls(self, **options: Any) -> TLS:
        return TLS(self.certfile, self.keyfile, **options)


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(tmp_path)


def endpoint_with(tls: Any, **options: Any) -> Endpoint:
    return Endpoint({"/socket": Socket}, port=0, tls=tls, **options)


async def shake_hands(endpoint: Endpoint, context: ssl.SSLContext) -> trio.SSLStream[Any]:
    stream = trio.SSLStream(
        await trio.open_tcp_stream(*endpoint.addresses[0]),
        context,
        server_hostname="localhost",
        https_compatible=True,
    )
    await stream.do_handshake()
    return stream


async def serial_of(endpoint: Endpoint, context: ssl.SSLContext) -> Any:
    async with await shake_hands(endpoint, context) as stream:
        return stream.getpeercert()["serialNumber"]


@pytest.mark.parametrize("engine", ["websockets", "wsproto", "trio-websocket"])
async def test_a_client_joins_pushes_and_is_broadcast_to_over_wss(node, files, engine):
    async with running(endpoint_with(files.tls(), engine=engine)) as endpoint:
        assert str(endpoint.url).startswith("https://")
        async with connected(endpoint, tls=files.client()) as client:
            ref = client.ref()
            await client.send(ref, ref, "room:1", "phx_join", {})
            joined = await client.expect_reply(ref)
            assert joined["response"] == {"scheme": "https", "certificate": False}
            for size in (1, 1_000, 300_000):
                push = await client.push(ref, "room:1", "echo", {"x": "y" * size})
                assert (await client.expect_reply(push))["response"] == {"x": "y" * size}
            for n in range(100):
                endpoint.broadcast("room:1", "news", {"n": n})
            assert [(await client.expect())[4]["n"] for _ in range(100)] == list(range(100))


async def test_a_wss_client_is_told_the_close_code(node, files):
    async with (
        running(endpoint_with(files.tls())) as endpoint,
        connected(endpoint, tls=files.client()) as client,
    ):
        await client.websocket.send_message("garbage")
        assert (await client.expect_close())[0] == 1011


async def test_a_wss_client_that_still_sends_is_told_the_close_code(node, files):
    endpoint = endpoint_with(files.tls(), limits=Limits(max_message_size=100))
    async with (
        running(endpoint),
        connected(endpoint, tls=files.client()) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send_and_forget, client, "x" * 3_000_000)
        assert (await client.expect_close())[0] == 1009
        nursery.cancel_scope.cancel()


async def send_and_forget(client: Client, text: str) -> None:
    with contextlib.suppress(trio_websocket.ConnectionClosed):
        await client.websocket.send_message(text)


async def test_an_https_client_that_still_sends_reads_the_refusal(node, files):
    async with (
        running(endpoint_with(files.tls())) as endpoint,
        await shake_hands(endpoint, files.client()) as stream,
    ):
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(b"GET / HTTP/1.1\r\nx: " + b"x" * 200_000)
        assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 431 ")


async def test_check_origin_conn_knows_that_the_page_is_https(node, files):
    async with running(endpoint_with(files.tls())) as endpoint:
        host, port = endpoint.addresses[0]
        own = [(b"origin", f"https://{host}:{port}".encode())]
        async with connected(endpoint, headers=own, tls=files.client()) as client:
            await client.settle()
        other = f"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nhost: {host}:{port}\r\norigin: http://{host}:{port}\r\n\r\n"
        async with await shake_hands(endpoint, files.client()) as stream:
            with structlog.testing.capture_logs():
                await stream.send_all(other.encode())
                assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 403 ")


async def test_pages_are_served_over_https(node, files, tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("x" * 400_000)
    async with (
        running(endpoint_with(files.tls(), static=tmp_path / "www")) as endpoint,
        await shake_hands(endpoint, files.client()) as stream,
    ):
        assert stream.selected_alpn_protocol() is None  # it asked for none
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = b"".join([bytes(chunk) async for chunk in stream])
    assert answer.endswith(b"\r\n\r\n" + b"x" * 400_000)


async def test_old_versions_of_tls_are_refused_and_http_1_1_is_chosen(node, files):
    async with running(endpoint_with(files.tls())) as endpoint:
        modern = files.client()
        modern.set_alpn_protocols(["h2", "http/1.1"])
        async with await shake_hands(endpoint, modern) as stream:
            assert stream.version() == "TLSv1.3"
            assert stream.selected_alpn_protocol() == "http/1.1"
    assert files.tls().context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_client_that_speaks_plain_http_gets_nothing_and_is_no_crash(node, files):
    async with running(endpoint_with(files.tls())) as endpoint:
        with structlog.testing.capture_logs() as logs:
            async with await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                with trio.fail_after(5):
                    answer = b"".join([bytes(chunk) async for chunk in stream])
        assert b"HTTP" not in answer
        assert "no TLS handshake" in [entry["event"] for entry in logs]
        assert "process exited" not in [entry["event"] for entry in logs]
        async with connected(endpoint, tls=files.client()) as client:
            await client.settle()


async def test_a_client_that_does_not_shake_hands_is_given_up_after_the_timeout(node, files):
    endpoint = endpoint_with(files.tls(handshake_timeout=0.05))
    async with running(endpoint), await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
        with trio.fail_after(5):
            assert await stream.receive_some() == b""


async def test_a_new_certificate_is_used_after_sighup_and_old_connections_stand(node, files):
    async with running(endpoint_with(files.tls())) as endpoint:
        before = await serial_of(endpoint, files.client())
        async with connected(endpoint, tls=files.client()) as client:
            files.issue()
            assert await serial_of(endpoint, files.client()) == before
            with structlog.testing.capture_logs() as logs:
                os.kill(os.getpid(), signal.SIGHUP)
                with trio.fail_after(5):
                    while not logs:
                        await trio.sleep(0.001)
            assert logs[0]["event"] == "certificate reloaded"
            assert await serial_of(endpoint, files.client()) != before
            await client.settle()


# -- SIGHUP, and several endpoints ---------------------------------------------------------------


@pytest.fixture
def sighup():
    """What the program did on SIGHUP before it had endpoints: count."""
    received: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def others(tmp_path) -> Files:
    (tmp_path / "others").mkdir()
    return Files(tmp_path / "others")


async def hang_up(*certificates: Files) -> list[str]:
    """Issue new certificates and send SIGHUP; what was logged for each."""
    for files in certificates:
        files.issue()
    with structlog.testing.capture_logs() as logs:
        os.kill(os.getpid(), signal.SIGHUP)
        with trio.fail_after(5):
            while len(logs) < len(certificates):
                await trio.sleep(0.001)
    return [entry["event"] for entry in logs]


async def serials(*pairs: tuple[Endpoint, Files]) -> list[Any]:
    return [await serial_of(endpoint, files.client()) for endpoint, files in pairs]


async def test_one_sighup_reloads_the_certificates_of_all_endpoints(node, files, others, sighup):
    async with (
        running(endpoint_with(files.tls())) as first,
        running(endpoint_with(others.tls())) as second,
    ):
        before = await serials((first, files), (second, others))
        assert await hang_up(files, others) == ["certificate reloaded"] * 2
        after = await serials((first, files), (second, others))
        assert all(old != new for old, new in zip(before, after, strict=True))
    assert sighup == []


@pytest.mark.parametrize("first_to_end", [0, 1])
async def test_an_endpoint_that_ends_leaves_sighup_to_the_others(
    node, files, others, sighup, first_to_end
):
    endpoints = [endpoint_with(files.tls()), endpoint_with(others.tls())]
    supervisors = [await Supervisor.start_link([endpoint]) for endpoint in endpoints]
    await Supervisor.stop(supervisors[first_to_end])
    rest = 1 - first_to_end
    left = [files, others][rest]
    before = await serial_of(endpoints[rest], left.client())
    assert await hang_up(left) == ["certificate reloaded"]
    assert await serial_of(endpoints[rest], left.client()) != before
    await Supervisor.stop(supervisors[rest])
    await trio.testing.wait_all_tasks_blocked()
    assert sighup == []
    os.kill(os.getpid(), signal.SIGHUP)  # nobody is left: the program's own handler is back
    assert sighup == [signal.SIGHUP]


@pytest.mark.parametrize("label", ["TlsReloader", "SighupReceiver"])
async def test_whatever_dies_of_the_reloading_comes_back(node, files, others, sighup, label):
    async with (
        running(endpoint_with(files.tls())) as first,
        running(endpoint_with(others.tls())) as second,
    ):
        victim = next(pid for pid in node.processes if pid.label == label)
        with structlog.testing.capture_logs():
            victim.exit(KILL)
            await victim.wait_exited()
            await trio.testing.wait_all_tasks_blocked()
        before = await serials((first, files), (second, others))
        assert await hang_up(files, others) == ["certificate reloaded"] * 2
        after = await serials((first, files), (second, others))
        assert all(old != new for old, new in zip(before, after, strict=True))


async def test_an_endpoint_that_starts_while_the_last_one_ends_is_heard_all_the_same(
    node, files, sighup
):
    for _ in range(3):
        async with running(endpoint_with(files.tls())) as endpoint:
            before = await serial_of(endpoint, files.client())
            await hang_up(files)
            assert await serial_of(endpoint, files.client()) != before


async def test_a_node_that_ends_with_its_endpoints_still_running_gives_sighup_back(files, sighup):
    async with open_node():
        await endpoint_with(files.tls()).start_link()
    os.kill(os.getpid(), signal.SIGHUP)
    assert sighup == [signal.SIGHUP]


# -- SIGHUP, and several nodes in one OS process -------------------------------------------------


class Node:
    """A node of its own with an endpoint, for as long as a test wants it."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.endpoint = endpoint_with(files.tls())
        self._stopping = trio.Event()
        self._stopped = trio.Event()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        async with open_node(), running(self.endpoint):
            task_status.started()
            await self._stopping.wait()
        self._stopped.set()

    async def start(self, nursery: trio.Nursery) -> None:
        await nursery.start(self._run)

    async def stop(self) -> None:
        self._stopping.set()
        await self._stopped.wait()

    async def reloads(self) -> bool:
        """Whether a new certificate is in use after SIGHUP."""
        before = await serial_of(self.endpoint, self.files.client())
        await hang_up(self.files)
        return bool(await serial_of(self.endpoint, self.files.client()) != before)


@pytest.fixture
def nodes(files, others) -> list[Node]:
    return [Node(files), Node(others)]


async def test_one_sighup_reaches_all_nodes_of_an_os_process(nursery, nodes, files, others, sighup):
    for node in nodes:
        await node.start(nursery)
    pairs = [(node.endpoint, node.files) for node in nodes]
    before = await serials(*pairs)
    assert await hang_up(files, others) == ["certificate reloaded"] * 2
    assert all(old != new for old, new in zip(before, await serials(*pairs), strict=True))
    for node in nodes:
        await node.stop()
    assert sighup == []


@pytest.mark.parametrize("first_to_end", [0, 1])
async def test_nodes_end_in_any_order_and_the_last_one_gives_sighup_back(
    nursery, nodes, sighup, first_to_end
):
    for node in nodes:
        await node.start(nursery)
    first, last = nodes[first_to_end], nodes[1 - first_to_end]
    await first.stop()
    assert await last.reloads()
    assert sighup == []
    await last.stop()
    os.kill(os.getpid(), signal.SIGHUP)
    assert sighup == [signal.SIGHUP]


async def test_a_node_that_starts_when_an_older_one_has_ended_is_heard(
    nursery, files, others, sighup
):
    first, second, third = (Node(given) for given in (files, others, files))
    await first.start(nursery)
    await second.start(nursery)
    await first.stop()
    await third.start(nursery)
    await second.stop()
    assert await third.reloads()
    await third.stop()
    os.kill(os.getpid(), signal.SIGHUP)
    assert sighup == [signal.SIGHUP]


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
async def test_what_was_no_function_comes_back_too(nursery, nodes, sighup, before):
    signal.signal(signal.SIGHUP, before)
    for node in nodes:
        await node.start(nursery)
    for node in nodes:
        await node.stop()
    assert signal.getsignal(signal.SIGHUP) is before


async def test_a_handler_that_the_program_has_put_above_ours_is_left_in_place(
    nursery, files, sighup
):
    node = Node(files)
    await node.start(nursery)
    theirs: list[int] = []
    ours = signal.signal(signal.SIGHUP, lambda number, _: theirs.append(number))
    await node.stop()
    os.kill(os.getpid(), signal.SIGHUP)
    assert (theirs, sighup) == ([signal.SIGHUP], [])
    signal.signal(signal.SIGHUP, ours)  # the program restores what it had found; no node is left
    os.kill(os.getpid(), signal.SIGHUP)
    assert (len(theirs), len(sighup)) == (1, 1)
    again = Node(files)
    await again.start(nursery)
    assert await again.reloads()
    await again.stop()


async def test_a_node_that_starts_while_an_ended_ones_handler_is_back_is_heard(
    nursery, files, sighup
):
    node, again = Node(files), Node(files)
    await node.start(nursery)
    ours = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    await node.stop()
    signal.signal(signal.SIGHUP, ours)
    await again.start(nursery)
    assert await again.reloads()
    await again.stop()
    os.kill(os.getpid(), signal.SIGHUP)
    assert sighup == [signal.SIGHUP]


# -- files and clients ---------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["missing", "garbage", "of another key"])
async def test_a_certificate_that_cannot_be_used_leaves_the_old_one(node, files, tmp_path, damage):
    async with running(endpoint_with(files.tls())) as endpoint:
        before = await serial_of(endpoint, files.client())
        match damage:
            case "missing":
                files.certfile.unlink()
            case "garbage":
                files.certfile.write_bytes(b"nonsense")
            case _:
                old_key = files.keyfile.read_bytes()
                files.issue()
                files.keyfile.write_bytes(old_key)
        with structlog.testing.capture_logs() as logs:
            os.kill(os.getpid(), signal.SIGHUP)
            with trio.fail_after(5):
                while not logs:
                    await trio.sleep(0.001)
        assert logs[0]["event"] == "certificate not reloaded"
        with pytest.raises(OSError):
            endpoint.reload_certificate()
        assert await serial_of(endpoint, files.client()) == before


async def test_clients_may_be_asked_for_a_certificate(node, files, tmp_path):
    ca_file = tmp_path / "clients.pem"
    files.authority.cert_pem.write_to_path(ca_file)
    async with running(endpoint_with(files.tls(client_ca=ca_file))) as endpoint:
        known = files.client()
        files.authority.issue_cert("client").configure_cert(known)
        async with connected(endpoint, tls=known) as client:
            ref = client.ref()
            await client.send(ref, ref, "room:1", "phx_join", {})
            assert (await client.expect_reply(ref))["response"]["certificate"] is True
        answer = b""
        with structlog.testing.capture_logs() as logs:
            async with await shake_hands(endpoint, files.client()) as stream:
                # TLS 1.3: the client hears of it only after its own side of the handshake.
                with contextlib.suppress(trio.BrokenResourceError, ssl.SSLError):
                    await stream.send_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                    answer = bytes(await stream.receive_some())
        assert answer == b""
        assert "no TLS handshake" in [entry["event"] for entry in logs]


async def test_a_key_may_have_a_password_which_must_be_given(node, files):
    key = serialization.load_pem_private_key(files.keyfile.read_bytes(), None)
    files.keyfile.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    with pytest.raises(ValueError, match="has a password"):
        files.tls()
    endpoint = endpoint_with(files.tls(password="open sesame"))
    async with running(endpoint), connected(endpoint, tls=files.client()) as client:
        await client.settle()


async def test_a_context_of_ones_own_is_used_as_it_is(node, files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certfile, files.keyfile)
    async with running(endpoint_with(context)) as endpoint:
        endpoint.reload_certificate()  # nothing to read again
        async with connected(endpoint, tls=files.client()) as client:
            await client.settle()


def test_what_is_wrong_with_the_files_is_said_at_construction(files, tmp_path):
    with pytest.raises(FileNotFoundError):
        TLS(tmp_path / "no.pem")
    with pytest.raises(ssl.SSLError):
        TLS(files.keyfile)
    with pytest.raises(ValueError, match="either"):
        TLS()
    with pytest.raises(ValueError, match="either"):
        TLS(files.certfile, context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
