"""Strategies against a list model: whatever dies or is stopped, plan and model agree on who runs and in which order."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.exits import KILLED, NORMAL
from actors.pid import Pid
from supervisors.child_spec import ChildSpec, Restart
from supervisors.children import Child, Children
from supervisors.flags import Strategy
from supervisors.strategies import AfterExit, after_exit, plan_restart


class Nobody:
    """Stands where the process of a pid would; nothing here sends."""

    name = None


async def start() -> Any:
    """Never called here."""


# The model: a list of [id, restart type, running or not] in start order, and the ten lines that restart.
Row = list[Any]


def model_restart(strategy: Strategy, rows: list[Row], failed: int) -> tuple[list[Row], list[int]]:
    """The rows after a restart that succeeds, and who was stopped, in order."""
    at = next(index for index, (id, _, _) in enumerate(rows) if id == failed)
    first, end = {
        "one_for_one": (at, at + 1),
        "rest_for_one": (at, len(rows)),
        "one_for_all": (0, len(rows)),
    }[strategy]
    group = rows[first:end]
    stopped = [id for id, _, running in reversed(group) if running and id != failed]
    started = [[id, restart, True] for id, restart, _ in group if restart != "temporary"]
    return rows[:first] + started + rows[end:], stopped


class StrategiesMachine(RuleBasedStateMachine):
    """A supervisor without processes: the table and the plans, carried out by hand."""

    @initialize(strategy=st.sampled_from(Strategy))
    def begin(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.children = Children()
        self.model: list[Row] = []
        self.serials = count()

    def _run(self, child: Child) -> None:
        serial = next(self.serials)
        self.children.set_running(child, Pid("test", serial, "child", Nobody()))  # type: ignore[arg-type]  # never reached

    def _any(self, data: st.DataObject, *, running: bool) -> Child:
        ids = [id for id, _, runs in self.model if runs is running]
        child = self.children.by_id(data.draw(st.sampled_from(ids)))
        assert child is not None
        return child

    @rule(restart=st.sampled_from(Restart))
    def start_child(self, restart: Restart) -> None:
        id = next(self.serials)
        self._run(self.children.add(ChildSpec(id, start, restart=restart)))
        self.model.append([id, restart, True])

    @precondition(lambda self: any(runs for _, _, runs in self.model))
    @rule(data=st.data())
    def terminate_child(self, data: st.DataObject) -> None:
        child = self._any(data, running=True)
        self.children.set_stopped(child)
        for row in list(self.model):
            if row[0] == child.id:
                row[2] = False
                if row[1] is Restart.TEMPORARY:
                    self.model.remove(row)

    @precondition(lambda self: any(not runs for _, _, runs in self.model))
    @rule(data=st.data())
    def delete_child(self, data: st.DataObject) -> None:
        child = self._any(data, running=False)
        self.children.remove(child)
        self.model = [row for row in self.model if row[0] != child.id]

    @precondition(lambda self: any(runs for _, _, runs in self.model))
    @rule(data=st.data(), orderly=st.booleans())
    def die(self, data: st.DataObject, orderly: bool) -> None:
        child = self._any(data, running=True)
        match after_exit(child.spec.restart, NORMAL if orderly else KILLED):
            case AfterExit.RESTART:
                self._restart(child)
            case AfterExit.KEEP:
                self.children.set_stopped(child)
                next(row for row in self.model if row[0] == child.id)[2] = False
            case AfterExit.FORGET:
                self.children.set_stopped(child)
                self.model = [row for row in self.model if row[0] != child.id]

    def _restart(self, failed: Child) -> None:
        self.model, stopped = model_restart(self.strategy, self.model, failed.id)  # type: ignore[arg-type]  # ids are ints
        self.children.set_stopped(failed)
        plan = plan_restart(self.strategy, self.children, failed)
        assert list(plan.stop) == stopped
        for id in plan.stop:
            child = self.children.by_id(id)
            assert child is not None
            assert child.pid is not None
            self.children.set_stopped(child)
        for id in plan.start:
            child = self.children.by_id(id)
            assert child is not None
            assert child.stopped
            self._run(child)

    @invariant()
    def the_table_and_the_model_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        assert [[c.id, c.spec.restart, c.pid is not None] for c in self.children] == self.model
        assert self.children.count().active == sum(runs for _, _, runs in self.model)


TestStrategies = StrategiesMachine.TestCase
TestStrategies.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
