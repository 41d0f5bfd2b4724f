"""The real npm `phoenix` client over long poll, on Node, against the running demo node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.browser import Browser
from tests.conformance.demo_node import DemoNode
from tests.conformance.node_script import open_script
from tests.conformance.phoenix import Answer, PhoenixClients

pytestmark = pytest.mark.conformance

MANY = 250  # more than fit into one POST


@pytest.fixture
async def polling(node_js: str, npm_packages: Path) -> AsyncIterator[PhoenixClients]:
    """Clients of the newest npm `phoenix` that reach the node by long poll only."""
    async with open_script(node_js, "longpoll.mjs") as script:
        yield PhoenixClients(script)


@pytest.mark.parametrize("way", ["longpoll", "fallback"])
async def test_a_client_without_websockets_joins_pushes_hears_and_leaves(
    chat: DemoNode, polling: PhoenixClients, room: str, way: str
):
    ana = await polling.start(chat.socket_url, way=way)
    assert (await ana.expect("open"))["transport"] == "LongPoll"
    assert await ana.join(room) == {}
    assert await ana.push(room, "ping", {"a": 1}) == Answer("ok", {"a": 1})
    assert (await ana.push(room, "new_msg", {"body": "hello"})).status == "ok"
    assert (await ana.heard(room, "new_msg"))["body"] == "hello"
    assert await ana.leave(room) == {}
    await ana.disconnect()


async def test_clients_of_both_transports_hear_each_other(
    chat: DemoNode, polling: PhoenixClients, phoenix: PhoenixClients, room: str
):
    ana = await polling.connect(chat.socket_url, "ana", way="longpoll")
    bob = await phoenix.connect(chat.socket_url, "bob")
    await ana.join(room)
    await bob.join(room)
    await ana.start_push(room, "new_msg", {"body": "by long poll"})
    assert (await bob.heard(room, "new_msg"))["body"] == "by long poll"
    await ana.heard(room, "new_msg")
    await bob.start_push(room, "new_msg", {"body": "by WebSocket"})
    assert (await ana.heard(room, "new_msg"))["body"] == "by WebSocket"


async def test_what_is_pushed_in_one_go_arrives_whole_and_in_order(
    chat: DemoNode, polling: PhoenixClients, room: str
):
    ana = await polling.connect(chat.socket_url, way="longpoll")
    await ana.join(room)
    for n in range(MANY):
        await ana.start_push(room, "new_msg", {"body": str(n)})
    bodies = [(await ana.heard(room, "new_msg"))["body"] for _ in range(MANY)]
    assert bodies == [str(n) for n in range(MANY)]


async def test_a_channel_that_crashes_heals_over_long_poll_too(
    chat: DemoNode, polling: PhoenixClients, room: str
):
    ana = await polling.connect(chat.socket_url, way="longpoll")
    await ana.join(room)
    await ana.start_push(room, "crash", {})
    await ana.expect("errored", room)
    await ana.expect("joined", room)
    assert (await ana.push(room, "ping", {})).status == "ok"


async def test_a_client_comes_back_after_its_node_was_started_anew(
    own_chat: DemoNode, polling: PhoenixClients, room: str
):
    ana = await polling.connect(own_chat.socket_url, way="longpoll")
    await ana.join(room)
    assert own_chat.stop() == 0
    await ana.expect("close")
    own_chat.start()
    await ana.expect("joined", room)
    assert (await ana.push(room, "ping", {})).status == "ok"


# -- in a browser ------------------------------------------------------------------------------------

BLOCKED = "window.WebSocket = class { constructor() { setTimeout(() => this.onerror?.({}), 0) } close() {} }"

CONVERSATION = """
new Promise((resolve, reject) => {
  const said = [];
  const socket = new Phoenix.Socket("/socket", { params: { name: "Ana" }, longPollFallbackMs: 300 });
  socket.onOpen(() => said.push(socket.conn.constructor === Phoenix.LongPoll ? "long poll" : "WebSocket"));
  const channel = socket.channel(ROOM);
  channel.on("new_msg", ({ user, body }) => { said.push(user, body); resolve(said); });
  channel.join().receive("ok", () => channel.push("new_msg", { body: "hello" }));
  socket.connect();
  setTimeout(() => reject(new Error(`only ${said}`)), 10_000);
})
"""


@pytest.mark.browser
async def test_a_browser_without_websockets_falls_back_to_long_poll(
    browser: Browser, chat: DemoNode, npm_packages: Path, room: str
):
    phoenix_js = (npm_packages / "phoenix" / "priv" / "static" / "phoenix.js").read_text()
    ana = await browser.person("Ana", chat.url)
    await ana.call("page", "evaluate", f"{BLOCKED}; {phoenix_js}; window.Phoenix = Phoenix; null")
    said = await ana.call("page", "evaluate", CONVERSATION.replace("ROOM", repr(room)))
    assert said == ["long poll", "Ana", "hello"]
