"""Asynchronous requests and their collections (semantics G27)."""

from typing import Any

import pytest
import structlog
import trio

from actors import (
    NOPROC,
    NORMAL,
    Bounded,
    CallError,
    CallTimeoutError,
    GenServer,
    MailboxFullError,
    NoProcessError,
    NoReply,
    Overflow,
    ReceiveTimeoutError,
    RequestCollection,
    Response,
    ServerExitedError,
    Stop,
    check_response,
    exit,
    receive,
    receive_response,
    self_pid,
    send,
    send_request,
    spawn,
    wait_response,
)
from actors.testing import wait_settled


class Slow(GenServer):
    """Replies with the request after as many seconds as it says, handling many at a time."""

    async def init(self):
        self.handled = []

    async def handle_call(self, request, sender):
        match request:
            case ("after", seconds, value):
                self.handled.append(value)
                from actors import send_after

                send_after(seconds, self.pid, (sender, value))
                return NoReply()
            case ("stop", reason):
                return Stop(reason)
            case "handled":
                return self.handled
        return request

    async def handle_info(self, message):
        sender, value = message
        sender.resolve(value)


async def nothing_is_left():
    with pytest.raises(ReceiveTimeoutError):
        await receive(timeout=0)


async def test_a_request_is_answered_later(node):
    pid = await Slow.start(name="slow")
    by_pid = send_request(pid, 1)
    by_name = send_request("slow", 2)
    assert await wait_response(by_name) == 2
    assert await receive_response(by_pid) == 1


async def test_the_asker_goes_on_meanwhile(node, autojump_clock):
    pid = await Slow.start()
    requests = [send_request(pid, ("after", 3, n)) for n in range(3)]
    await trio.sleep(1)
    assert [await wait_response(request) for request in requests] == [0, 1, 2]
    assert trio.current_time() == pytest.approx(3)


async def test_a_request_to_nobody_is_answered_with_noproc(node):
    pid = await Slow.start()
    await pid.stop()
    for server in (pid, "nobody"):
        with pytest.raises(NoProcessError) as caught:
            await wait_response(send_request(server, "x"))
        assert caught.value.reason is NOPROC
        assert caught.value.server == server


@pytest.mark.parametrize("reason", [NORMAL, "crash"])
async def test_a_server_that_ends_answers_with_its_reason(node, reason):
    pid = await Slow.start()
    with pytest.raises(ServerExitedError) as caught:
        await receive_response(send_request(pid, ("stop", reason)))
    assert caught.value.reason == reason


async def test_a_request_to_one_that_is_exiting_is_answered_with_noproc(node):
    pid = await Slow.start()
    exit(pid, "x")
    with pytest.raises(NoProcessError):
        await wait_response(send_request(pid, "x"))


async def test_waiting_may_be_repeated_after_a_timeout(node, autojump_clock):
    pid = await Slow.start()
    request = send_request(pid, ("after", 3, "value"))
    with pytest.raises(CallTimeoutError):
        await wait_response(request, 1)
    with pytest.raises(CallTimeoutError) as caught:
        await wait_response(request, 1)
    assert caught.value.request == ("after", 3, "value")
    assert await wait_response(request, 2) == "value"


async def test_receiving_abandons_the_request_after_a_timeout(node, autojump_clock):
    pid = await Slow.start()
    request = send_request(pid, ("after", 3, "value"))
    with pytest.raises(CallTimeoutError):
        await receive_response(request, 1)
    await trio.sleep(5)
    await nothing_is_left()
    assert await pid.call("handled") == ["value"]
    assert not node.processes[pid].pending


async def test_waiting_skips_other_messages_and_leaves_them(node):
    pid = await Slow.start()
    send(self_pid(), "other")
    assert await wait_response(send_request(pid, 1)) == 1
    assert await receive() == "other"


async def test_a_response_can_be_recognised_among_other_messages(node):
    pid = await Slow.start()
    request, other = send_request(pid, 1), send_request(pid, 2)
    message = await receive(Response)
    assert check_response(message, other) is None
    assert check_response("noise", request) is None
    response = check_response(message, request)
    assert response is not None
    assert response.result() == 1


async def test_a_server_gets_responses_in_handle_info(node):
    class Asking(GenServer):
        async def init(self, server):
            self.server = server
            self.open = {}

        async def handle_call(self, request, sender):
            self.open[send_request(self.server, request)] = sender
            return NoReply()

        async def handle_info(self, message):
            self.open.pop(message.ref).resolve(("forwarded", message.result()))

    server = await Slow.start()
    asking = await Asking.start(server)
    assert await asking.call("x") == ("forwarded", "x")


async def test_a_request_to_oneself_is_an_ordinary_message(node):
    class Selfish(GenServer):
        async def handle_call(self, request, sender):
            if request == "ask yourself":
                self.waiting = sender
                self.request = send_request(self.pid, "x")
                return NoReply()
            return "from myself"

        async def handle_info(self, message):
            self.waiting.resolve(message.result())

    pid = await Selfish.start()
    assert await pid.call("ask yourself") == "from myself"


# -- collections ---------------------------------------------------------------------------------


async def test_responses_come_as_they_arrive_with_their_labels(node, autojump_clock):
    pid = await Slow.start()
    collection = RequestCollection()
    for seconds in (3, 1, 2):
        collection.send(pid, ("after", seconds, f"value {seconds}"), label=seconds)
    assert len(collection) == 3
    got: list[Any] = []
    while outcome := await collection.wait():
        response, label = outcome
        got.append((label, response.result()))
    assert got == [(1, "value 1"), (2, "value 2"), (3, "value 3")]
    assert len(collection) == 0


async def test_an_empty_collection_has_no_request(node):
    assert await RequestCollection().wait() is None
    assert await RequestCollection().receive() is None


async def test_a_response_that_came_before_its_request_was_added_is_found(node):
    pid = await Slow.start()
    request = send_request(pid, 1)
    await pid.call("let it come")
    send(self_pid(), "noise")
    collection = RequestCollection()
    with pytest.raises(CallTimeoutError):
        await collection.send(pid, ("after", 10, 2), "slow").wait(0)
    collection.add(request, "label")
    outcome = await collection.wait(0)
    assert outcome is not None
    assert outcome[1] == "label"


async def test_the_same_request_twice_is_refused(node):
    pid = await Slow.start()
    request = send_request(pid, 1)
    collection = RequestCollection().add(request, "a")
    with pytest.raises(ValueError, match="already"):
        collection.add(request, "b")


async def test_wait_keeps_requests_after_a_timeout_and_receive_abandons_them(node, autojump_clock):
    pid = await Slow.start()
    collection = RequestCollection().send(pid, ("after", 2, 1), "a").send(pid, ("after", 3, 2), "b")
    with pytest.raises(CallTimeoutError):
        await collection.wait(1)
    assert len(collection) == 2
    with pytest.raises(CallTimeoutError):
        await collection.receive(0.5)
    assert len(collection) == 0
    await trio.sleep(5)
    await nothing_is_left()


async def test_a_response_can_be_taken_without_forgetting_its_request(node):
    pid = await Slow.start()
    collection = RequestCollection().send(pid, 1, "a")
    outcome = await collection.wait(delete=False)
    assert outcome is not None
    assert [label for _, label in collection] == ["a"]


async def test_a_message_can_be_checked_against_a_collection(node):
    pid = await Slow.start()
    collection = RequestCollection().send(pid, 1, "a")
    foreign = send_request(pid, 2)
    messages = [await receive(Response) for _ in range(2)]
    assert collection.check("noise") is None
    assert collection.check(next(m for m in messages if m.ref is foreign)) is None
    outcome = collection.check(next(m for m in messages if m.ref is not foreign))
    assert outcome is not None
    assert (outcome[0].result(), outcome[1]) == (1, "a")
    assert len(collection) == 0


async def test_dead_servers_answer_in_a_collection_too(node):
    pid = await Slow.start()
    collection = RequestCollection().send("nobody", 1, "a").send(pid, ("stop", "x"), "b")
    outcomes = {}
    with structlog.testing.capture_logs():
        while outcome := await collection.wait():
            response, label = outcome
            assert isinstance(response.error, CallError)
            outcomes[label] = response.error.reason
    assert outcomes == {"a": NOPROC, "b": "x"}


async def test_requests_show_what_was_asked_of_whom(node):
    assert "'question'" in repr(send_request("nobody", "question"))


# -- bounded mailboxes ---------------------------------------------------------------------------


class Gated(GenServer):
    """Replies with the request, once its gate is open."""

    async def init(self, gate):
        self.gate = gate

    async def handle_call(self, request, sender):
        await self.gate.wait()
        return request


async def full_server(overflow):
    """A server that is busy with "first", whose mailbox holds one request and is full."""
    gate = trio.Event()
    pid = await Gated.start(gate, mailbox=Bounded(1, overflow))
    send_request(pid, "first")
    await wait_settled()
    return pid, send_request(pid, "second"), gate


@pytest.mark.parametrize("overflow", [Overflow.REFUSE, Overflow.DROP_NEWEST], ids=str)
async def test_a_request_for_which_there_is_no_room_is_answered_with_that(overflow, node):
    """G27, BM3."""
    pid, second, gate = await full_server(overflow)
    third = send_request(pid, "third")
    with pytest.raises(MailboxFullError) as refused:
        await wait_response(third)
    assert (refused.value.pid, refused.value.message) == (pid, "third")
    gate.set()
    assert await wait_response(second) == "second"


async def test_a_request_that_is_dropped_as_the_oldest_is_answered_with_that(node):
    """G27, BM3."""
    pid, second, gate = await full_server(Overflow.DROP_OLDEST)
    third = send_request(pid, "third")
    with pytest.raises(MailboxFullError) as dropped:
        await receive_response(second)
    assert dropped.value.message == "second"
    gate.set()
    assert await wait_response(third) == "third"


async def test_a_request_waits_for_room_where_callers_do(node):
    """G27, BM4."""
    pid, second, gate = await full_server(Overflow.BLOCK)
    third, fourth = send_request(pid, "third"), send_request(pid, "fourth")
    third.abandon()
    gate.set()
    assert [await wait_response(second), await wait_response(fourth)] == ["second", "fourth"]
    await wait_settled()
    assert len(node.processes[pid].mailbox.blocked) == 0


async def test_a_refused_request_of_a_collection_comes_with_its_label(node):
    """G27, BM3."""
    pid, _, _ = await full_server(Overflow.REFUSE)
    requests = RequestCollection().send(pid, "third", "label")
    answered = await requests.wait()
    assert answered is not None
    response, label = answered
    assert isinstance(response.error, MailboxFullError)
    assert (response.value, label, len(requests)) == (None, "label", 0)


# -- what is left, and what it costs -------------------------------------------------------------


class Never(GenServer):
    async def handle_call(self, request, sender):
        return NoReply()


async def test_requests_of_a_process_that_has_ended_are_given_up(node):
    """As its calls are: nobody will take the response."""
    server = await Never.start()

    async def asks():
        send_request(server, "x")

    for _ in range(10):
        await spawn(asks).wait_exited()
    assert len(node.processes[server].pending) == 0


async def test_a_request_that_is_answered_or_abandoned_leaves_nothing_in_who_asked(node):
    server = await Slow.start()
    await wait_response(send_request(server, ("after", 0, "x")))
    send_request(server, ("after", 1000, "x")).abandon()
    assert node.processes[self_pid()].timers == set()


async def test_a_collection_looks_only_at_what_has_come_since_it_looked_last(node):
    """However many other messages wait."""
    looked = 0

    class Counting(RequestCollection):
        def is_answered_by(self, message):
            nonlocal looked
            looked += 1
            return super().is_answered_by(message)

    server, requests = await Slow.start(), Counting()
    for _ in range(10_000):
        send(self_pid(), "other")
    for number in range(50):
        requests.send(server, ("after", 0, number), number)
        response = await requests.wait()
        assert response is not None
        assert response[0].value == number
    assert looked < 10_000 + 50 * 3
