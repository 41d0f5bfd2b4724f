"""Running chat nodes and the programs that talk to them."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.conformance.browser import Browser
from tests.conformance.demo_node import DemoNode, first_line
from tests.conformance.node_script import CLIENTS, open_script
from tests.conformance.phoenix import PhoenixClients

ENGINES = ("trio-websocket", "wsproto", "websockets")

EDGE = "tests.conformance.edge_node"

NodeFactory = Callable[..., DemoNode]


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeFactory]:
    """A function from an engine to a node that many tests use, each in a room of its own."""
    nodes: dict[str, DemoNode] = {}

    def get(engine: str) -> DemoNode:
        if engine not in nodes:
            log = tmp_path_factory.mktemp("node") / f"{engine}.log"
            nodes[engine] = DemoNode(log, "--debug", "--engine", engine)
            nodes[engine].start()
        return nodes[engine]

    with contextlib.ExitStack() as stack:
        yield get
        for node in nodes.values():
            stack.callback(node.kill)


@pytest.fixture
def chat(shared_node: NodeFactory) -> DemoNode:
    """A running node that others use too."""
    return shared_node(ENGINES[0])


@pytest.fixture(params=ENGINES)
def each_engine(request: pytest.FixtureRequest, shared_node: NodeFactory) -> DemoNode:
    """As `chat`, on each WebSocket engine."""
    return shared_node(request.param)


@pytest.fixture(scope="session")
def edge_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoNode]:
    """A running `edge_node.py`, used by many tests."""
    node = DemoNode(tmp_path_factory.mktemp("edge") / "node.log", module=EDGE)
    node.start()
    yield node
    node.kill()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[NodeFactory]:
    """A function that makes a node, not yet started, for the test alone."""
    with contextlib.ExitStack() as stack:

        def make(*options: str) -> DemoNode:
            node = DemoNode(tmp_path / "node.log", "--debug", *options)
            stack.callback(node.kill)
            return node

        yield make


@pytest.fixture
def own_chat(own_node: NodeFactory) -> DemoNode:
    """A running node for the test alone, which may stop and freeze it."""
    node = own_node()
    node.start()
    return node


@pytest.fixture
def room() -> str:
    """A topic that no other test uses."""
    return f"room:{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def phoenix(node_js: str, npm_packages: Path) -> AsyncIterator[PhoenixClients]:
    """Clients of the newest npm `phoenix`."""
    async with open_script(node_js, "phoenix_client.mjs", "phoenix") as script:
        yield PhoenixClients(script)


@pytest.fixture
async def phoenix_v1(node_js: str, npm_packages: Path) -> AsyncIterator[PhoenixClients]:
    """Clients of npm `phoenix` 1.2.1, the last release that speaks V1."""
    async with open_script(node_js, "phoenix_client.mjs", "phoenix-v1") as script:
        yield PhoenixClients(script)


@pytest.fixture(scope="session")
def chromium_address(node_js: str, npm_packages: Path, chromium: str) -> Iterator[str]:
    """Where a running Chromium can be driven; all tests use the same one, in contexts of their own."""
    command = [node_js, str(CLIENTS / "browser_server.mjs"), chromium]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as server:
        yield first_line(server).strip()
        server.communicate(timeout=20)


@pytest.fixture
async def browser(node_js: str, chromium_address: str) -> AsyncIterator[Browser]:
    """The people at a Chromium."""
    async with open_script(node_js, "browser.mjs", chromium_address) as script:
        yield Browser(script)
