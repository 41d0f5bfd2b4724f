"""Random trees under random faults keep the promises of supervision (`supervisors.chaos`)."""

from __future__ import annotations

import random
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import GenServer, Node, NoReply, current_node, send_request, whereis
from actors.process import Process
from actors.testing import run_deterministic, wait_settled
from supervisors import (
    BRUTAL_KILL,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Restart,
    Strategy,
    Supervisor,
)
from supervisors.chaos import FaultInjector, Watch, processes_below, settle_down

PATIENCE = 60.0  # seconds on a clock that jumps: longer than any shutdown, call or backoff here


class Worker(GenServer):
    """Traps exits or not; takes `slow` seconds to start and to stop."""

    async def init(self, slow: float, traps: bool) -> None:
        self.slow = slow
        self._process.trap_exit = traps
        await trio.sleep(slow)

    async def handle_call(self, request: Any, sender: Any) -> Any:
        return NoReply()

    async def terminate(self, reason: Any) -> None:
        await trio.sleep(self.slow)


restarts = st.sampled_from(list(Restart))
shutdowns = st.sampled_from([BRUTAL_KILL, 0.5, 5.0])
backoffs = st.sampled_from([None, None, Backoff(base=0.5, cap=4.0)])
limits = st.sampled_from([0, 1, 3, 1_000])


@st.composite
def workers(draw: st.DrawFn, id: int) -> ChildSpec:
    slow = draw(st.sampled_from([0.0, 0.0, 1.0]))
    return ChildSpec(
        id,
        (Worker.start_link, (slow, draw(st.booleans())), {}),
        restart=draw(restarts),
        shutdown=draw(shutdowns),
        backoff=draw(backoffs),
    )


@st.composite
def supervisors(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    if draw(st.integers(0, 4)) == 0:
        return DynamicSupervisor.child_spec(max_restarts=draw(limits), restart=draw(restarts))
    count = draw(st.integers(0, 4))
    children: list[Any] = []
    for id in range(count):
        nested = depth > 0 and draw(st.booleans())
        child = draw(supervisors(depth - 1) if nested else workers(id))
        children.append(ChildSpec.of(child, id=id))
    return Supervisor.child_spec(
        children,
        strategy=draw(st.sampled_from(list(Strategy))),
        max_restarts=draw(limits),
        restart=draw(restarts),
    )


async def fill(node: Node, extra: ChildSpec) -> None:
    """A child for each dynamic supervisor."""
    for process in list(node.processes.values()):
        if process.label == "DynamicSupervisor":
            await DynamicSupervisor.start_child(process.pid, extra)


async def bombard(tree: dict[str, Any], extra: ChildSpec, seed: int, strikes: int) -> None:
    node = current_node()
    node.main.trap_exit = True
    watch = Watch(node)
    root = await Supervisor.start_link([ChildSpec.of(tree, id="tree")], max_restarts=5, name="root")
    await fill(node, extra)
    chance = random.Random(seed)
    injector = FaultInjector("root", chance)
    requests = []
    for _ in range(strikes):
        requests += [send_request(p.pid, "?") for p in processes_below(root)]
        for _ in range(chance.randint(1, 3)):
            injector.strike()
            if chance.random() < 0.3:
                await wait_settled()
        await settle_down(PATIENCE if chance.random() < 0.5 else 0.0)
        watch.check()
    await settle_down(PATIENCE)
    watch.check()
    family = [root, *(process.pid for process in processes_below(root))]
    if whereis("root") is not None:
        await Supervisor.stop(root)
    await settle_down(PATIENCE)
    watch.check()
    assert whereis("root") is None
    assert [pid for pid in family if isinstance(pid.target, Process)] == []
    assert list(node.processes.values()) == [node.main], "started after the tree was stopped"
    assert all(request._call is None for request in requests), "a request was never answered"


@given(
    tree=supervisors(depth=2),
    extra=workers(0),
    seed=st.integers(0, 2**32 - 1),
    strikes=st.integers(1, 12),
)
@settings(max_examples=60)
def test_a_random_tree_under_random_faults_keeps_the_promises(
    tree: dict[str, Any], extra: ChildSpec, seed: int, strikes: int
) -> None:
    run_deterministic(bombard, tree, extra, seed, strikes, seed=seed)


def test_the_same_seed_hits_the_same_processes_at_the_same_times() -> None:
    async def main() -> list[tuple[int, Any, float]]:
        tree = [ChildSpec(n, (Worker.start_link, (0.5, True), {})) for n in range(5)]
        root = await Supervisor.start_link(tree, max_restarts=1_000)
        injector = FaultInjector(root, random.Random(1))
        hits: list[tuple[int, Any, float]] = []
        for _ in range(30):
            struck = injector.strike()
            if struck is not None:  # all may be starting
                hits.append((struck.serial, injector.struck[-1][1], trio.current_time()))
            await trio.sleep(0.3)
        return hits

    hits = run_deterministic(main, seed=4)
    assert len(hits) > 10
    assert hits == run_deterministic(main, seed=4)
