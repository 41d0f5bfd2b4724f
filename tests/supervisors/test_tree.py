"""A supervision tree as text."""

from __future__ import annotations

import re

import structlog.testing

from actors import GenServer, Registry
from supervisors import ChildSpec, DynamicSupervisor, Supervisor
from tests.supervisors.workers import Play, Worker


def without_numbers(tree: str) -> str:
    return re.sub(r"node\.\d+ ", "", tree)


async def test_the_tree_shows_every_level_in_start_order(play: Play):
    inner = Supervisor.child_spec([play.child("x"), play.child("y")], id="inner")
    named = ChildSpec("db", (Worker.start_link, (play, "db"), {"name": "database"}))
    specs = [named, inner, DynamicSupervisor.child_spec(name="rooms"), Worker.child_spec(play, "w")]
    supervisor = await Supervisor.start_link(specs, name="app")
    await DynamicSupervisor.start_child("rooms", play.child("lobby"))
    await Supervisor.terminate_child(supervisor, Worker)
    assert without_numbers(await Supervisor.tree("app")).splitlines() == [
        '<Pid Supervisor "app">',
        '├── db: <Pid Worker "database">',
        "├── inner: <Pid Supervisor>",
        "│   ├── x: <Pid Worker>",
        "│   └── y: <Pid Worker>",
        '├── rooms: <Pid DynamicSupervisor "rooms">',
        "│   └── <Pid Worker>",
        "└── Worker: stopped",
    ]


async def test_a_tree_begins_anywhere(play: Play):
    rooms = await DynamicSupervisor.start_link()
    await DynamicSupervisor.start_child(rooms, DynamicSupervisor)
    assert without_numbers(await DynamicSupervisor.tree(rooms)) == (
        "<Pid DynamicSupervisor>\n└── <Pid DynamicSupervisor>"
    )


async def test_only_supervisors_are_asked_for_their_children(play: Play):
    """A registry says that it is one, and knows no such question; who asks must harm nobody."""
    users = Registry("users")

    class Pretends(GenServer):
        def init(self):
            pass

    pretends = Pretends.child_spec(id="pretends", type="supervisor")
    supervisor = await Supervisor.start_link([users, pretends, play.child("a")], name="app")
    before = await Supervisor.which_children(supervisor)
    with structlog.testing.capture_logs() as logs:
        tree = without_numbers(await Supervisor.tree("app"))
    assert tree.splitlines()[1:] == [
        '├── users: <Pid TableOwner "users">',
        "├── pretends: <Pid Pretends>",
        "└── a: <Pid Worker>",
    ]
    assert logs == []
    assert await Supervisor.which_children(supervisor) == before


async def test_the_children_of_a_dynamic_supervisor_are_in_start_order_too(play: Play):
    rooms = await DynamicSupervisor.start_link()
    pids = [await DynamicSupervisor.start_child(rooms, play.child("a")) for _ in range(3)]
    tree = await DynamicSupervisor.tree(rooms)
    assert [line[4:] for line in tree.splitlines()[1:]] == [repr(pid) for pid in pids]
