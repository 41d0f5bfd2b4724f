"""A supervision tree as text."""

from __future__ import annotations

import re

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
