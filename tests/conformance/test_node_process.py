"""The demo node as a process of the operating system: signals, exit codes, what it prints."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest
import trio

from tests.conformance.conftest import ENGINES, NodeFactory
from tests.conformance.demo_node import DemoNode, first_line, run_node
from tests.conformance.wire import Wire, connect

pytestmark = pytest.mark.conformance

STOPS = pytest.mark.parametrize(
    "signum", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"]
)


def end_of(tmp_path: Path, *options: str) -> tuple[int, str]:
    """Exit code and log of a node that ends by itself."""
    log = tmp_path / "failed.log"
    with run_node(*options, log=log) as process:
        assert first_line(process) == ""
        return process.wait(20), log.read_text()


@STOPS
def test_an_idle_node_stops_with_exit_code_0(own_chat: DemoNode, signum: signal.Signals):
    """That it waits for nothing meanwhile is shown on a virtual clock (test_drainer.py)."""
    assert own_chat.stop(signum) == 0, own_chat.log()


@STOPS
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_node_with_clients_sends_them_1012_and_stops(
    own_node: NodeFactory, signum: signal.Signals, engine: str
):
    node = own_node("--engine", engine)
    node.start()
    codes: list[int] = []

    async def wait_for_end(wire: Wire) -> None:
        codes.append(await wire.closed())

    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(connect(node)) for _ in range(5)]
        for wire in wires[1:]:  # one connection has not joined anything
            await wire.join("room:a")
        async with trio.open_nursery() as nursery:
            for wire in wires:
                nursery.start_soon(wait_for_end, wire)
            code = await trio.to_thread.run_sync(node.stop, signum)
    assert (codes, code) == ([1012] * 5, 0), node.log()


def test_a_node_that_stops_in_order_logs_no_error(own_chat: DemoNode):
    own_chat.stop()
    assert "error" not in own_chat.log()
    assert "Traceback" not in own_chat.log()


async def test_a_node_whose_clients_do_not_answer_its_close_stops_all_the_same(
    own_chat: DemoNode,
):
    async with await trio.open_tcp_stream("127.0.0.1", own_chat.port) as stream:
        await stream.send_all(
            b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 101 ")
        assert await trio.to_thread.run_sync(own_chat.stop) == 0


def test_port_0_takes_a_free_port_and_prints_it(own_node: NodeFactory):
    one, two = own_node(), own_node()
    one.start()
    two.start()
    assert 0 < one.port != two.port > 0


def test_a_node_takes_back_its_port_after_a_restart(own_chat: DemoNode):
    port = own_chat.port
    own_chat.stop()
    own_chat.start()
    assert own_chat.port == port


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(own_chat: DemoNode, tmp_path: Path):
    code, log = end_of(tmp_path, "--port", str(own_chat.port))
    assert code == 2
    assert len(log.splitlines()) == 1, log
    assert str(own_chat.port) in log
    assert "Address already in use" in log


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--static", "/nowhere/at/all"), "/nowhere/at/all"),
        (("--engine", "steam"), "steam"),
        (("--port", "70000"), "70000"),
        (("--host", "256.1.1.1"), "256.1.1.1"),
    ],
    ids=["static folder", "engine", "port", "host"],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(
    tmp_path: Path, options: tuple[str, ...], words: str
):
    code, log = end_of(tmp_path, *options)
    assert code == 2
    assert len(log.splitlines()) == 1, log
    assert words in log
