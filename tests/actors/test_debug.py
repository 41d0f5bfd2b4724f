"""What the debugging state of a server records of it, and where that can go (semantics SY4, SY5)."""

from pathlib import Path
from typing import Any

import pytest
import structlog
from trio.testing import wait_all_tasks_blocked

from actors import (
    CastEvent,
    GenServer,
    KeepState,
    NextState,
    NoReply,
    Postpone,
    StateMachine,
    StateTimeout,
    Stop,
    self_pid,
    spawn,
)
from actors import introspection as sys

# -- events --------------------------------------------------------------------------------------


class Deferring(GenServer):
    """Answers a call never, later, from a cast, or by its end."""

    async def handle_call(self, request, sender):
        self.sender = sender
        match request:
            case "reply at once":
                sender.resolve("early")
                return NoReply()
            case "stop":
                return Stop("bye", reply="last")
        return NoReply()

    async def handle_cast(self, message):
        return Stop("bye") if message == "stop" else None


async def kinds_after(pid, *, casts=(), calls=()):
    """What kinds of events the server tells of a call and a cast; its end included."""
    kinds: list[str] = []
    await sys.install(pid, lambda kinds, event, _: kinds.append(event.kind) or kinds, kinds)
    for message in casts:
        pid.cast(message)
    for request in calls:
        spawn(pid.call, request)
    await wait_all_tasks_blocked()
    return kinds


@pytest.mark.parametrize(
    ("casts", "calls", "kinds"),
    [
        (["x"], [], ["in", "noreply"]),
        ([], ["later"], ["in", "noreply"]),
        ([], ["reply at once"], ["in", "out"]),
        (["stop"], [], ["in"]),
        ([], ["stop"], ["in", "out"]),
    ],
    ids=str,
)
async def test_what_became_of_a_message_is_an_event(casts, calls, kinds, node):
    """SY5: a reply, or none; the end is told by the report."""
    with structlog.testing.capture_logs():
        assert await kinds_after(await Deferring.start(), casts=casts, calls=calls) == kinds


async def test_a_machine_tells_what_it_did_with_its_events(node):
    """SY5: as gen_statem does, and no "noreply"."""
    told: list[Any] = []

    class Door(StateMachine):
        state_enter = True

        async def init(self):
            return NextState("closed")

        async def handle_event(self, event, state):
            match state, event:
                case "closed", CastEvent("knock"):
                    return KeepState(Postpone())
                case "closed", CastEvent("open"):
                    return NextState("open", StateTimeout(100))

    def hook(_, event, state):
        told.append((event.kind, event.message))

    pid = await Door.start()
    await sys.install(pid, hook)
    pid.cast("knock")
    pid.cast("open")
    await sys.get_state(pid)
    assert told == [
        ("in", "knock"),
        ("postpone", CastEvent("knock")),
        ("in", "open"),
        ("enter", "open"),
        ("consume", CastEvent("open")),
        ("start_timer", StateTimeout(100)),
        ("consume", CastEvent("knock")),
    ]


# -- into a file ---------------------------------------------------------------------------------


class Echo(GenServer):
    """Answers what it is asked."""

    async def handle_call(self, request, sender):
        return request

    async def handle_cast(self, message):
        pass


def kinds_in(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines()]


async def test_the_log_can_go_to_a_file(node, tmp_path):
    """SY4; sys_SUITE log_to_file."""
    path = tmp_path / "events.log"
    path.write_text("from an earlier time\n")
    pid = await Echo.start()
    await sys.log_to_file(pid, path)
    assert path.read_text() == ""
    await pid.call("hello")
    pid.cast("x\ny")
    await sys.log_to_file(pid, None)
    await pid.call("not logged")
    lines = path.read_text().splitlines()
    assert lines == [
        f"in 'hello' {self_pid()!r}",
        f"out 'hello' {self_pid()!r}",
        "in 'x\\ny'",
        "noreply",
    ]
    assert node.processes[pid].debug is None


async def test_the_file_of_a_log_can_be_changed(node, tmp_path):
    """SY4."""
    pid = await Echo.start()
    for name in ("first", "second"):
        await sys.log_to_file(pid, tmp_path / name)
        pid.cast(name)
    assert (await sys.get_status(pid))["debug"]["hooks"] == ("log_to_file",)
    assert kinds_in(tmp_path / "first") == kinds_in(tmp_path / "second") == ["in", "noreply"]


async def test_a_file_that_cannot_be_written_is_told_to_the_caller(node, tmp_path):
    """SY4: OTP's {error, open_file}."""
    pid = await Echo.start()
    with pytest.raises(OSError, match="no such directory"):
        await sys.log_to_file(pid, tmp_path / "no such directory" / "file")
    assert await pid.call("alive") == "alive"
    assert node.processes[pid].debug is None


async def test_a_file_that_goes_away_harms_no_server(node, tmp_path):
    """SY4, SY5: writing is a hook, and a hook that raises is removed."""
    directory = tmp_path / "directory"
    directory.mkdir()
    pid = await Echo.start()
    await sys.log_to_file(pid, directory / "file")
    (directory / "file").unlink()
    directory.rmdir()
    with structlog.testing.capture_logs() as logs:
        assert await pid.call("x") == "x"
    assert [log["event"] for log in logs] == ["debug hook removed"]
    assert await pid.call("alive") == "alive"


async def test_the_file_of_a_log_does_not_depend_on_the_directory_of_the_program(
    node, tmp_path, monkeypatch
):
    """SY4."""
    monkeypatch.chdir(tmp_path)
    pid = await Echo.start()
    await sys.log_to_file(pid, "events.log")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pid.cast("x")
    await wait_all_tasks_blocked()
    assert kinds_in(tmp_path / "events.log") == ["in", "noreply"]
