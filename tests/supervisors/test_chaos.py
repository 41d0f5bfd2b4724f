"""The fault injector hits whom it may, and the watch sees each broken promise."""

import random

import pytest
import trio

from actors import (
    KILL,
    GenServer,
    Ignore,
    Node,
    Pid,
    self_pid,
    spawn,
)
from actors.calls import Call
from actors.process import Process
from actors.testing import assert_down, wait_settled
from supervisors import DynamicSupervisor, PartitionSupervisor, Restart, Supervisor
from supervisors.chaos import FaultInjector, InvariantError, Watch, processes_below, settle_down
from tests.actors.helpers import forever


class Idle(GenServer):
    pass


async def tree(**options) -> Pid:
    inner = Supervisor.child_spec([Idle], id="inner", **options)
    return await Supervisor.start_link(
        [inner, Idle, DynamicSupervisor], name="app", max_restarts=1_000, **options
    )


def process(pid: Pid) -> Process:
    assert isinstance(pid.target, Process)
    return pid.target


async def test_everything_below_a_supervisor_can_be_hit(node: Node):
    app = await tree()
    await DynamicSupervisor.start_child(
        [p.pid for p in processes_below(app)][-1], Idle.child_spec()
    )
    assert [p.label for p in processes_below(app)] == [
        "Supervisor",
        "Idle",
        "Idle",
        "DynamicSupervisor",
        "Idle",
    ]


async def test_one_seed_hits_the_same_processes(node: Node):
    struck = []
    for _ in range(2):
        app = await tree()
        injector = FaultInjector(app, random.Random(5))
        for _ in range(10):
            injector.strike()
            await wait_settled()
        struck.append([(pid.label, reason) for pid, reason in injector.struck])
        await app.stop()
    assert struck[0] == struck[1]


async def test_supervisors_can_be_spared(node: Node):
    app = await tree()
    injector = FaultInjector(app, random.Random(1), spare_supervisors=True)
    for _ in range(20):
        injector.strike()
        await wait_settled()
    assert {pid.label for pid, _ in injector.struck} == {"Idle"}


async def test_below_a_dead_supervisor_there_is_nobody(node: Node):
    app = await tree()
    injector = FaultInjector("app", random.Random(1))
    await app.stop()
    assert injector.strike() is None
    assert list(processes_below(app)) == []


async def test_a_tree_under_fire_keeps_the_promises(node: Node):
    app = await tree()
    watch, injector = Watch(node), FaultInjector(app, random.Random(3))
    for _ in range(50):
        injector.strike()
        await settle_down()
        watch.check()
    watch.close()


async def test_the_watch_sees_a_server_that_outlives_its_supervisor(node: Node):
    watch = Watch(node)
    child = await Idle.start()
    app = await tree()
    process(child).parent = app
    await app.stop()
    with pytest.raises(InvariantError, match="outlives its supervisor"):
        watch.check()


async def test_the_watch_sees_a_server_that_its_supervisor_has_forgotten(node: Node):
    app = await tree()
    watch = Watch(node)
    book = process(app).server._children
    book.set_stopped(book.by_id(Idle))
    with pytest.raises(InvariantError, match="is in no book of its supervisor"):
        watch.check()


async def test_the_watch_sees_a_child_that_is_believed_to_run(node: Node):
    app = await tree()
    watch = Watch(node)
    dead = spawn(forever)
    dead.exit(KILL)
    await wait_settled()
    book = process(app).server._children
    book.set_running(book.by_id(Idle), dead)
    with pytest.raises(InvariantError, match="believes that its child"):
        watch.check()


async def test_the_watch_sees_a_permanent_child_that_is_not_back(node: Node):
    app = await tree()
    watch = Watch(node)
    await Supervisor.terminate_child(app, Idle)
    with pytest.raises(InvariantError, match="has not restarted its permanent child"):
        watch.check()
    watch.check(stopped_by_hand={(app, Idle)})


async def test_the_watch_knows_which_partitions_are_in_use(node: Node):
    await PartitionSupervisor.start_link(child_spec=Idle, name="idle", partitions=2)
    watch = Watch(node)
    await PartitionSupervisor.resize("idle", 1)
    watch.check()
    await Supervisor.terminate_child("idle", 0)
    with pytest.raises(InvariantError, match="has not restarted its permanent child 0"):
        watch.check()


async def test_a_transient_child_may_stay_away(node: Node):
    app = await Supervisor.start_link([Idle.child_spec(restart=Restart.TRANSIENT)])
    watch = Watch(node)
    await Supervisor.terminate_child(app, Idle)
    watch.check()


async def test_the_watch_sees_a_name_that_is_not_free(node: Node):
    watch = Watch(node)
    pid = spawn(forever)
    node.names["forgotten"] = pid
    pid.exit(KILL)
    await assert_down(pid)
    del node.names["forgotten"]
    with pytest.raises(InvariantError, match="ended and is still 'forgotten'"):
        watch.check()


async def test_the_watch_sees_a_second_end(node: Node):
    watch = Watch(node)
    pid = spawn(forever)
    pid.exit(KILL)
    await assert_down(pid)
    for listener in node._exit_listeners:
        listener(pid)
    with pytest.raises(InvariantError, match="ended twice"):
        watch.check()


async def test_the_watch_sees_a_request_of_the_dead(node: Node):
    watch = Watch(node)
    caller = spawn(forever)
    server = process(await Idle.start_link())
    call = Call(caller, self_pid(), "?")
    server.pending = call.pending = {call: None}
    call.task = trio.lowlevel.current_task()
    caller.exit(KILL)
    await assert_down(caller)
    with pytest.raises(InvariantError, match="its caller has ended"):
        watch.check()
    call.task = None  # the end of the server must not wake the test


async def test_a_permanent_child_that_does_not_want_to_run_may_stay_away(node: Node):
    """S6."""

    class Unwilling(GenServer):
        def init(self):
            return Ignore()

    await Supervisor.start_link([Unwilling])
    watch = Watch(node)
    await settle_down()
    watch.check()
    watch.close()
