"""The test kit: probes, assertions about messages and ends, deterministic runs."""

import pytest
import trio

from actors import (
    KILL,
    KILLED,
    NOPROC,
    NORMAL,
    Crash,
    Down,
    Exit,
    From,
    MonitorRef,
    ProcessExit,
    RequestCollection,
    call,
    cast,
    open_node,
    receive,
    reply,
    self_pid,
    send,
    send_after,
    spawn,
    spawn_link,
)
from actors.determinism import DeterminismError, seeded_scheduling
from actors.pid import Cast
from actors.testing import (
    Probe,
    assert_down,
    assert_receive,
    refute_receive,
    run_deterministic,
    wait_settled,
)
from tests.actors.helpers import Boom, exit_when_told, fail, forever


async def test_assert_receive_takes_the_first_match_and_leaves_the_rest(autojump_clock):
    async with open_node():
        for message in ("a", 1, "b"):
            send(self_pid(), message)
        assert await assert_receive(int) == 1
        assert [await receive(), await receive()] == ["a", "b"]


@pytest.mark.parametrize(
    ("match", "message"),
    [(None, 7), (int, 7), ((str, int), 7), (lambda m: m > 6, 7), (7, 7), (("a", 1), ("a", 1))],
    ids=["anything", "type", "types", "predicate", "value", "tuple of values"],
)
async def test_assert_receive_matches_by(match, message, autojump_clock):
    async with open_node():
        send(self_pid(), message)
        assert await assert_receive(match) == message


async def test_assert_receive_waits_for_its_timeout_and_shows_the_mailbox(autojump_clock):
    async with open_node():
        send(self_pid(), "other")
        with pytest.raises(AssertionError, match="in the mailbox: 'other'"):
            await assert_receive("wanted", timeout=3.0)
        assert trio.current_time() == pytest.approx(3.0)


async def test_refute_receive_hears_what_is_still_under_way(autojump_clock):
    async with open_node():
        main = self_pid()

        async def messenger():
            await trio.lowlevel.checkpoint()
            send(main, "late")

        spawn(messenger)
        with pytest.raises(AssertionError, match="not to come"):
            await refute_receive("late")


async def test_refute_receive_waits_for_its_timeout(autojump_clock):
    async with open_node():
        send_after(2.0, self_pid(), "later")
        await refute_receive("later", timeout=1.0)
        with pytest.raises(AssertionError):
            await refute_receive("later", timeout=1.5)


async def test_assert_down_returns_the_reason(autojump_clock):
    async with open_node():
        reason = await assert_down(spawn(fail, Boom("x")), Crash)
        assert isinstance(reason.exception, Boom)


async def test_assert_down_refuses_another_reason(autojump_clock):
    async with open_node():
        with pytest.raises(AssertionError, match="ended with killed, not with normal"):
            pid = spawn(forever)
            pid.exit(KILL)
            await assert_down(pid, NORMAL)


async def test_assert_down_refuses_a_process_that_lives(autojump_clock):
    async with open_node():
        with pytest.raises(AssertionError, match="still lives after"):
            await assert_down(spawn(forever))


async def test_assert_down_takes_the_monitor_of_a_process_that_has_ended(autojump_clock):
    async with open_node():
        pid = spawn(forever)
        ref = pid.monitor()
        pid.exit(KILL)
        await wait_settled()
        await assert_down(ref, KILLED)
        with pytest.raises(AssertionError, match="monitor it first"):
            await assert_down(pid, KILLED)
        assert await assert_down(pid) is NOPROC


async def test_a_probe_keeps_what_it_is_sent_in_order(autojump_clock):
    async with open_node():
        probe = Probe.spawn()
        for message in ("a", 1, "b"):
            probe.pid.send(message)
        assert await probe.assert_receive(int) == 1
        assert probe.messages == ["a", "b"]


async def test_a_probe_waits_for_its_timeout_and_shows_what_it_has(autojump_clock):
    async with open_node():
        probe = Probe.spawn()
        probe.pid.send("other")
        with pytest.raises(AssertionError, match="in the mailbox: 'other'"):
            await probe.assert_receive("wanted", timeout=3.0)
        assert trio.current_time() == pytest.approx(3.0)


async def test_a_probe_refutes_what_it_has(autojump_clock):
    async with open_node():
        probe = Probe.spawn()
        probe.pid.send("a")
        await probe.refute_receive("b", timeout=1.0)
        with pytest.raises(AssertionError, match="not to come"):
            await probe.refute_receive("a")


async def test_a_probe_stands_in_for_a_server(autojump_clock):
    async with open_node():
        probe = Probe.spawn()
        answers = []

        async def client():
            answers.append(await call(probe.pid, "question"))

        spawn(client)
        request = await probe.assert_receive(From)
        assert request.request == "question"
        await reply(request, 42)
        await wait_settled()
        cast(probe.pid, "noted")
        assert answers == [42]
        assert (await probe.assert_receive(Cast)).message == "noted"
        await probe.pid.stop()


async def test_a_probe_links_and_monitors_as_itself(autojump_clock):
    async with open_node():
        probe = Probe.spawn(trap_exit=True)
        pid = spawn(exit_when_told)
        probe.link(pid)
        ref = probe.monitor(pid)
        pid.send("bye")
        assert await probe.assert_receive(Exit) == Exit(pid, "bye")
        assert await probe.assert_receive(Down) == Down(ref, pid, "bye")


async def test_code_can_run_as_a_probe(autojump_clock):
    async with open_node():
        probe = Probe.spawn()
        with probe.as_probe():
            assert self_pid() is probe.pid
            child = spawn_link(forever)
        probe.exit("enough")
        await assert_down(child, "enough")


async def shuffled(seed: int) -> list[int]:
    order: list[int] = []

    async def runner(number: int) -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
            order.append(number)

    for number in range(10):
        spawn(runner, number)
    await wait_settled()
    return order


def test_one_seed_gives_one_order():
    first, again = (run_deterministic(shuffled, 0, seed=7) for _ in range(2))
    assert first == again


def test_seeds_give_different_orders():
    orders = {tuple(run_deterministic(shuffled, 0, seed=seed)) for seed in range(5)}
    assert len(orders) == 5


def test_a_deterministic_run_costs_no_real_time():
    async def main() -> float:
        await trio.sleep(1_000_000)
        return trio.current_time()

    assert run_deterministic(main) == 1_000_000


def test_a_deterministic_run_leaves_the_chances_of_others_alone():
    import random

    random.seed("ours")
    before = random.getstate()
    run_deterministic(shuffled, 0, seed=1)
    assert random.getstate() == before


def test_a_trio_that_cannot_be_seeded_is_told(monkeypatch):
    monkeypatch.delattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING")
    with pytest.raises(DeterminismError, match="cannot be seeded"), seeded_scheduling(1):
        pass


async def test_assert_down_tells_none_from_any_reason():
    """None is a reason like others."""
    async with open_node():
        with pytest.raises(AssertionError, match="not with None"):
            await assert_down(spawn(fail, Boom("x")), None)

        async def ends():
            raise ProcessExit(None)

        assert await assert_down(spawn(ends), None) is None


async def test_assert_down_of_a_monitor_of_another_process_is_refused():
    async with open_node():
        refs: list[MonitorRef] = []

        async def monitors():
            refs.append(spawn(forever).monitor())

        await spawn(monitors).wait_exited()
        with pytest.raises(ValueError, match="alone will hear of it"):
            await assert_down(refs[0])


async def test_a_message_that_cannot_be_shown_hides_no_failed_assertion(autojump_clock):
    class Unspeakable:
        def __repr__(self):
            raise RuntimeError("no words")

    async with open_node():
        send(self_pid(), Unspeakable())
        with pytest.raises(AssertionError, match="its repr raised RuntimeError"):
            await assert_receive("x", timeout=0)
        with pytest.raises(AssertionError, match="its repr raised RuntimeError"):
            await refute_receive()


def test_a_dying_server_fails_its_requests_in_the_order_in_which_they_came():
    """A run of one seed is the same each time, wherever its objects lie in memory."""

    async def main():
        async def never():
            await trio.sleep_forever()

        server, requests = spawn(never), RequestCollection()
        for number in range(30):
            requests.send(server, "x", number)
        await wait_settled()
        server.exit("bye")
        return [(await requests.wait())[1] for _ in range(30)]  # type: ignore[index]  # there is one

    assert run_deterministic(main, seed=1) == list(range(30))
