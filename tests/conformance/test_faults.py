"""The npm client behind connections that break 200 times: it is always back, order holds, only what was under way
is lost.

One storm for all tests: two clients write all the time, each behind a proxy that mistreats its connection; a witness
with a good connection hears everything that the room got.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from tests.conformance.demo_node import DemoNode
from tests.conformance.faulty_proxy import FaultyProxy
from tests.conformance.node_script import NodeScript, open_script

pytestmark = pytest.mark.conformance

SEED = 20_261_123
FAULTS = 200
TOPIC = "room:storm"
WRITERS = ("ana", "bob")

# What happens how often; the first four cost the client its connection.
KINDS = {
    "reset": 60,
    "close": 40,
    "cut within a chunk": 35,
    "swallow": 4,
    "pause": 30,
    "crumble": 31,
}
BREAKING = ("reset", "close", "cut within a chunk", "swallow")


@attrs.frozen
class Spell:
    """What one client did and heard between two joins."""

    sent: list[int]
    heard: list[tuple[str, int]]


@attrs.frozen
class Storm:
    """What is known afterwards."""

    faults: Counter[str]
    connections: dict[str, int]  # that its proxy saw
    records: dict[str, list[list[Any]]]
    log: str

    def heard(self, listener: str) -> list[tuple[str, int]]:
        return [(entry[1], entry[2]) for entry in self.records[listener] if entry[0] == "heard"]

    def numbers(self, writer: str, *kinds: str) -> list[int]:
        return [entry[1] for entry in self.records[writer] if entry[0] in kinds]

    def spells(self, client: str) -> list[Spell]:
        """What was kept during an outage goes out with the next join."""
        spells: list[Spell] = []
        kept: list[int] = []  # it is joined before it writes
        for kind, *rest in self.records[client]:
            if kind == "joined":
                spells.append(Spell(kept, []))
                kept = []
            elif kind == "kept":
                kept.append(rest[0])
            elif kind == "sent":
                spells[-1].sent.append(rest[0])
            elif kind == "heard":
                spells[-1].heard.append((rest[0], rest[1]))
        return spells


@pytest.fixture(scope="module")
def storm(node_js: str, npm_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Storm:
    node = DemoNode(tmp_path_factory.mktemp("storm") / "node.log", "--debug")
    node.start()
    try:
        return trio.run(rage, node_js, node)
    finally:
        node.kill()


async def rage(node_js: str, node: DemoNode) -> Storm:
    proxies = {name: FaultyProxy(node.port, SEED) for name in WRITERS}
    async with trio.open_nursery() as nursery:
        for proxy in proxies.values():
            await nursery.start(proxy.serve)
        addresses = [
            f"{name}=ws://127.0.0.1:{proxy.port}/socket" for name, proxy in proxies.items()
        ]
        witness = f"witness={node.socket_url}"
        async with open_script(node_js, "storm_client.mjs", TOPIC, *addresses, witness) as script:
            for name in (*WRITERS, "witness"):
                await script.expect(client=name, joined=1)
            await script.tell(do="flood", everyMs=5, names=WRITERS)
            faults = await make_faults(script, proxies)
            await script.tell(do="settle")
            for name in (*WRITERS, "witness"):
                await script.expect(client=name, happened="settled")
            await script.tell(do="report")
            records = (await script.expect(happened="reported"))["records"]
        await all_connections_ended(node)
        nursery.cancel_scope.cancel()
    connections = {name: proxy.connections for name, proxy in proxies.items()}
    return Storm(faults, connections, records, node.log())


async def make_faults(script: NodeScript, proxies: dict[str, FaultyProxy]) -> Counter[str]:
    """One after the other, each where there is traffic. A client that does not come back ends it."""
    dice = random.Random(SEED)
    kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
    dice.shuffle(kinds)
    for kind in kinds:
        name = dice.choice(WRITERS)
        joins = max(happening["joined"] for happening in script.seen(client=name))
        await proxies[name].traffic(dice.randint(1, 8))
        await make_fault(kind, proxies[name], dice)
        if kind in BREAKING:
            await script.expect(client=name, joined=joins + 1)
    return Counter(kinds)


async def make_fault(kind: str, proxy: FaultyProxy, dice: random.Random) -> None:
    match kind:
        case "reset" | "close":
            proxy.cut(reset=kind == "reset")
        case "cut within a chunk":
            await proxy.cut_within_a_chunk()
        case "swallow":
            await proxy.swallow()
        case "pause":
            await proxy.pause(dice.uniform(0.005, 0.1))
        case "crumble":
            await proxy.crumble(dice.randint(2, 10))


async def all_connections_ended(node: DemoNode) -> None:
    """The node has noticed the end of every connection that it had."""
    with trio.fail_after(15):
        while len(re.findall(r"\] connected ", node.log())) != len(
            re.findall(r"\] disconnected ", node.log())
        ):
            await trio.sleep(0.05)


def is_stretch_of(whole: list[tuple[str, int]], part: list[tuple[str, int]]) -> bool:
    """Whether `part` stands in `whole` without a gap; nothing stands in `whole` twice."""
    if not part:
        return True
    start = whole.index(part[0])
    return whole[start : start + len(part)] == part


def test_a_client_is_back_after_each_of_200_faults(storm: Storm):
    assert storm.faults == KINDS
    assert storm.faults.total() == FAULTS
    reconnects = sum(storm.connections.values()) - len(WRITERS)
    assert reconnects >= sum(KINDS[kind] for kind in BREAKING)


def test_the_storm_was_one(storm: Storm):
    sent = sum(len(storm.numbers(name, "sent", "kept")) for name in WRITERS)
    lost = sent - sum(by in WRITERS for by, _ in storm.heard("witness"))
    assert sent > 1000
    assert lost > 0
    print(f"written {sent}, lost {lost}, connections {storm.connections}")
    assert any(storm.numbers(name, "kept") for name in WRITERS)


@pytest.mark.parametrize("listener", [*WRITERS, "witness"])
def test_what_one_sender_writes_is_heard_in_order_and_once(storm: Storm, listener: str):
    for writer in WRITERS:
        numbers = [number for by, number in storm.heard(listener) if by == writer]
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("writer", WRITERS)
def test_what_was_answered_ok_has_been_heard(storm: Storm, writer: str):
    heard = {number for by, number in storm.heard("witness") if by == writer}
    assert set(storm.numbers(writer, "ok")) <= heard


@pytest.mark.parametrize("writer", WRITERS)
def test_only_what_was_under_way_when_the_connection_broke_is_lost(storm: Storm, writer: str):
    heard = {number for by, number in storm.heard("witness") if by == writer}
    *broken, last = storm.spells(writer)
    for spell in broken:
        arrived = [number in heard for number in spell.sent]
        assert arrived == sorted(arrived, reverse=True), "something later than a lost one arrived"
    assert heard.issuperset(last.sent)


@pytest.mark.parametrize("listener", WRITERS)
def test_a_member_misses_nothing_between_its_join_and_the_end_of_its_connection(
    storm: Storm, listener: str
):
    whole = storm.heard("witness")
    assert all(is_stretch_of(whole, spell.heard) for spell in storm.spells(listener))


def test_broken_connections_are_no_errors_of_the_node(storm: Storm):
    assert "Traceback" not in storm.log
    assert not re.findall(r"\[(?:error|critical)", storm.log)
