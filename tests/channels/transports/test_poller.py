"""The poller: who reads when. Readers of the test's own on real sockets; no connection in sight."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from channels.transports import poller as poller_module
from channels.transports.poller import Poller

pytestmark = pytest.mark.skipif(not Poller.available, reason="needs epoll, which Linux has")


class Letters:
    """Reads letters; handles `turn` of them at a time and writes down which, and whose."""

    def __init__(self, name: str, diary: list[str], turn: int = 2) -> None:
        self.near, self.far = socket.socketpair()
        for each in (self.near, self.far):
            each.setblocking(False)
        self.name = name
        self.diary = diary
        self.turn = turn
        self.left = ""
        self.reads = 0

    def fileno(self) -> int:
        return self.near.fileno()

    def read(self) -> bool:
        self.reads += 1
        self.left += self.near.recv(4096).decode()
        return self.go_on()

    def go_on(self) -> bool:
        now, self.left = self.left[: self.turn], self.left[self.turn :]
        self.diary += [f"{self.name}{letter}" for letter in now]
        return bool(self.left)

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def diary() -> list[str]:
    return []


@pytest.fixture
def readers(diary: list[str]) -> Iterator[tuple[Letters, Letters]]:
    pair = Letters("a", diary), Letters("b", diary)
    yield pair
    for reader in pair:
        reader.close()


@pytest.fixture
def poller(readers: tuple[Letters, Letters]) -> Poller:
    poller = Poller()
    for reader in readers:
        poller.add(reader)
    return poller


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step has lasted too long."""
    monkeypatch.setattr(poller_module, "SECONDS_PER_STEP", -1.0)


async def test_what_comes_is_read_by_whom_it_is_for(poller, readers, diary, nursery):
    a, b = readers
    nursery.start_soon(poller.run)
    await wait_all_tasks_blocked()
    assert diary == []
    a.far.send(b"1")
    await wait_all_tasks_blocked()
    b.far.send(b"2")
    await wait_all_tasks_blocked()
    assert diary == ["a1", "b2"]


async def test_who_brings_more_than_a_turns_worth_is_served_to_the_end(
    poller, readers, diary, nursery
):
    a, _ = readers
    a.far.send(b"12345")
    nursery.start_soon(poller.run)
    await wait_all_tasks_blocked()
    assert diary == ["a1", "a2", "a3", "a4", "a5"]
    a.far.send(b"6")  # it is watched again
    await wait_all_tasks_blocked()
    assert diary[-1] == "a6"


async def test_who_is_behind_gets_a_turn_only_after_those_whose_messages_have_just_come(
    poller, readers, diary, nursery, hurried
):
    a, b = readers
    a.far.send(b"123456")
    nursery.start_soon(poller.run)
    while not diary:
        await trio.lowlevel.checkpoint()
    b.far.send(b"x")  # while a is behind
    await wait_all_tasks_blocked()
    assert diary.index("bx") < diary.index("a5")
    assert [entry for entry in diary if entry[0] == "a"] == ["a1", "a2", "a3", "a4", "a5", "a6"]


async def test_nothing_more_is_read_of_who_is_behind(poller, readers, diary, nursery, hurried):
    a, _ = readers
    a.far.send(b"123456")
    nursery.start_soon(poller.run)
    while not diary:
        await trio.lowlevel.checkpoint()
    a.far.send(b"7")
    while a.left:
        assert a.reads == 1
        await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()
    assert a.reads == 2
    assert diary[-1] == "a7"


async def test_two_that_are_behind_take_turns(poller, readers, diary, nursery):
    a, b = readers
    a.far.send(b"123456")
    b.far.send(b"123456")
    nursery.start_soon(poller.run)
    await wait_all_tasks_blocked()
    turns = [diary[n][0] for n in range(0, 12, 2)]
    assert turns in (list("ababab"), list("bababa"))


async def test_other_tasks_run_while_somebody_is_behind(poller, readers, diary, nursery):
    a, _ = readers
    a.turn = 1
    ran: list[int] = []

    async def other() -> None:
        while a.left or not diary:
            ran.append(len(diary))
            await trio.lowlevel.checkpoint()

    a.far.send(b"123456")
    nursery.start_soon(poller.run)
    nursery.start_soon(other)
    await wait_all_tasks_blocked()
    assert len(ran) >= 5


@pytest.mark.parametrize("sent", [b"1", b"12345"])
async def test_a_reader_may_remove_itself_or_another_while_it_reads(
    poller, readers, diary, nursery, sent
):
    a, b = readers

    class Leaving(Letters):
        def go_on(self) -> bool:
            left = super().go_on()
            if not left:
                for each in (self, a):
                    poller.remove(each)
            return left

    leaving = Leaving("c", diary)
    poller.add(leaving)
    leaving.far.send(sent)
    nursery.start_soon(poller.run)
    await wait_all_tasks_blocked()
    assert len(poller) == 1
    a.far.send(b"1")
    b.far.send(b"1")
    await wait_all_tasks_blocked()
    assert diary[-1] == "b1"
    assert "a1" not in diary
    leaving.close()


async def test_a_poller_that_is_run_again_goes_on_where_it_was(
    poller, readers, diary, nursery, hurried
):
    a, b = readers
    a.far.send(b"123456")
    with trio.CancelScope() as scope:

        async def stop() -> None:
            while not diary:
                await trio.lowlevel.checkpoint()
            scope.cancel()

        nursery.start_soon(stop)
        await poller.run()
    assert a.left
    nursery.start_soon(poller.run)
    b.far.send(b"x")
    await wait_all_tasks_blocked()
    assert diary.count("bx") == 1
    assert [entry for entry in diary if entry[0] == "a"] == ["a1", "a2", "a3", "a4", "a5", "a6"]


async def test_a_peer_that_hangs_up_is_something_to_read(poller, readers, nursery):
    a, _ = readers
    nursery.start_soon(poller.run)
    a.far.close()
    while not a.reads:
        await trio.lowlevel.checkpoint()
    poller.remove(a)
    await wait_all_tasks_blocked()
    poller.remove(a)  # twice is not an error
    assert len(poller) == 1
