"""The multiplexer against a model of the topic table: a list of all joins ever, searched from the
end.

The machine plays client and connection process in any order that the contract allows. After every
step the effects must be those of the model; and whatever the model thinks, the laws at the end of
the class hold for the whole trace.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from channels.messages import Message
from channels.multiplexer import (
    Forward,
    Join,
    Leave,
    Multiplexer,
    Notice,
    Send,
    SendReply,
    StopChannel,
)

ROOMS = ("room:a", "room:b", "room:c")
MAX_CHANNELS = 2
MAX_HELD = 2

TOPICS = st.sampled_from(["room:a"] * 5 + ["room:b", "room:c", "nope", "phoenix"])

UNMATCHED = "unmatched topic"


@dataclass(eq=False)
class Attempt:
    """One phx_join that was let in."""

    topic: str
    join_ref: str | None
    ref: str
    status: str  # queued, joining, joined, leaving; replaced (has to die); over
    pid: str | None = None
    answered: bool = False
    held: list[tuple[str, str | None, str]] = field(default_factory=list)  # event, join_ref, ref
    closes: list[str | None] = field(default_factory=list)  # join_refs, after the answer


class Model:
    """What the protocol says, without any table: every question is a search through the list."""

    def __init__(self):
        self.attempts = []

    def current(self, topic):
        alive = ("queued", "joining", "joined", "leaving")
        found = [a for a in self.attempts if a.topic == topic and a.status in alive]
        assert len(found) <= 1
        return found[0] if found else None

    def held(self):
        return [ref for a in self.attempts for _, _, ref in a.held]

    def message(self, topic, event, join_ref, ref):
        if (topic, event) == ("phoenix", "heartbeat"):
            return [("reply", None, ref, topic, "ok", None)]
        attempt = self.current(topic)
        if event == "phx_join":
            return self.join(attempt, topic, join_ref, ref)
        if attempt is None:
            return [self.gone(topic, event, join_ref, ref)]
        if join_ref is not None and attempt.join_ref is not None and join_ref != attempt.join_ref:
            return []
        if attempt.status == "joined":
            return [self.deliver(attempt, event, ref)]
        if attempt.status == "leaving" or any(held[0] == "phx_leave" for held in attempt.held):
            return [self.gone(topic, event, join_ref, ref)]
        if event != "phx_leave" and len(attempt.held) >= MAX_HELD:
            return [("reply", join_ref, ref, topic, "error", "join pending")]
        attempt.held.append((event, join_ref, ref))
        return []

    def join(self, old, topic, join_ref, ref):
        if old is None and topic not in ROOMS:
            return [("reply", None, ref, topic, "error", UNMATCHED), ("notice", UNMATCHED)]
        if old is None and sum(self.current(room) is not None for room in ROOMS) == MAX_CHANNELS:
            reason = "too many channels joined"
            return [("reply", join_ref, ref, topic, "error", reason), ("notice", reason)]
        new = Attempt(topic, join_ref, ref, "queued")
        self.attempts.append(new)
        if old is None:
            return [self.begin(new)]
        new.closes = [old.join_ref] if old.status in ("joined", "leaving") else old.closes
        stop = [("stop", old.pid)] if old.pid and old.status != "queued" else []
        left = old.status == "leaving" or any(held[0] == "phx_leave" for held in old.held)
        notice = [] if left else [("notice", "duplicate join")]
        old.status = "over" if old.status == "queued" else "replaced"
        return stop + self.turn_away(old) + notice

    def begin(self, attempt):
        attempt.status = "joining"
        return ("start", attempt.topic, attempt.join_ref or attempt.ref, attempt.ref)

    def deliver(self, attempt, event, ref):
        if event == "phx_leave":
            attempt.status = "leaving"
            return ("leave", attempt.pid, ref)
        return ("forward", attempt.pid, ref)

    def gone(self, topic, event, join_ref, ref):
        if event == "phx_leave":
            return ("reply", join_ref, ref, topic, "ok", None)
        return ("reply", None, ref, topic, "error", UNMATCHED)

    def turn_away(self, attempt):
        held, attempt.held = attempt.held, []
        return [self.gone(attempt.topic, *message) for message in held]

    def started(self, attempt, pid):
        attempt.pid = pid
        return [("stop", pid)] if attempt.status == "replaced" else []

    def answer(self, attempt, status, reason=None):
        if attempt.status != "joining":
            return []
        attempt.answered = True
        reply = ("reply", attempt.join_ref, attempt.ref, attempt.topic, status, reason)
        closes = [("push", jr, attempt.topic, "phx_close", None) for jr in attempt.closes]
        attempt.closes = []
        attempt.status = "joined" if status == "ok" else "over"
        if status == "error":
            return [reply, *closes, *self.turn_away(attempt)]
        held, attempt.held = attempt.held, []
        return [reply, *closes, *[self.deliver(attempt, event, ref) for event, _, ref in held]]

    def exited(self, attempt, crashed):
        if attempt.status == "over":
            return []
        if attempt.status == "joining":
            return self.answer(attempt, "error", "join crashed")
        before, attempt.status = attempt.status, "over"
        if before == "replaced":
            return [self.begin(self.current(attempt.topic))]
        if before == "joined" and crashed:
            return [("push", attempt.join_ref, attempt.topic, "phx_error", "channel_crash")]
        return [("push", attempt.join_ref, attempt.topic, "phx_close", None)]


def plain(effect):
    """An effect as the model writes it."""
    match effect:
        case Join(topic=topic, join_ref=join_ref, ref=ref):
            return ("start", topic, join_ref, ref)
        case Forward(channel=pid, message=message):
            return ("forward", pid, message.ref)
        case Leave(channel=pid, message=message):
            return ("leave", pid, message.ref)
        case StopChannel(channel=pid, reason="duplicate_join"):
            return ("stop", pid)
        case SendReply(join_ref, ref, topic, status, response):
            return ("reply", join_ref, ref, topic, status, response.get("reason"))
        case Send(message=message):
            assert message.ref == message.join_ref
            reason = message.payload.get("reason")
            return ("push", message.join_ref, message.topic, message.event, reason)
        case Notice(what=what):
            return ("notice", what)
    pytest.fail(f"unexpected effect {effect!r}")


class MultiplexerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        routes = {room: room for room in ROOMS}
        self.mux: Multiplexer[str, str] = Multiplexer(
            routes.get, max_channels=MAX_CHANNELS, max_held=MAX_HELD
        )
        self.model = Model()
        self.trace = []
        self.refs = 0
        self.sent = {}  # ref -> what was sent with it: join, event or heartbeat
        self.processes = {}  # key -> the attempt whose process may live
        self.dead = []  # keys whose exit has been reported
        self.refused = set()  # keys that have refused: their processes end by themselves

    def step(self, effects, expected):
        for effect in effects:
            if isinstance(effect, Join):
                attempt = next(a for a in self.model.attempts if a.ref == effect.ref)
                self.processes[effect.key] = attempt
        plainly = [plain(effect) for effect in effects]
        assert plainly == expected
        self.trace += plainly

    def send(self, topic, event, join_ref, ref):
        self.sent[ref] = event
        expected = self.model.message(topic, event, join_ref, ref)
        self.step(self.mux.receive(Message(join_ref, ref, topic, event, {})), expected)

    def next_ref(self):
        self.refs += 1
        return str(self.refs)

    def some_process(self, data, wanted):
        keys = [key for key, attempt in self.processes.items() if wanted(key, attempt)]
        return data.draw(st.sampled_from(keys)) if keys else None

    def unanswered(self, key, attempt):
        return attempt.pid is not None and not attempt.answered and key not in self.refused

    # -- the client

    @rule(topic=TOPICS, v1=st.integers(0, 4))
    def join(self, topic, v1):
        ref = self.next_ref()
        self.send(topic, "phx_join", None if v1 == 0 else ref, ref)

    @rule(
        topic=TOPICS,
        event=st.sampled_from(["x", "x", "phx_reply", "phx_leave"]),
        join_ref=st.sampled_from(["current", "current", "null", "stale", "earlier"]),
        times=st.sampled_from([1, 1, MAX_HELD + 1]),
    )
    def event(self, topic, event, join_ref, times):
        of_topic = [a.join_ref for a in self.model.attempts if a.topic == topic]
        known = {
            "current": of_topic[-1] if of_topic else "0",
            "null": None,
            "stale": "0",
            "earlier": of_topic[0] if of_topic else "0",
        }
        for _ in range(times):
            self.send(topic, event, known[join_ref], self.next_ref())

    @rule(join_ref=st.sampled_from([None, "1"]))
    def heartbeat(self, join_ref):
        before = len(self.trace)
        ref = self.next_ref()
        self.send("phoenix", "heartbeat", join_ref, ref)
        assert self.trace[before:] == [("reply", None, ref, "phoenix", "ok", None)]

    # -- the connection process and its channels

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def start(self, data):
        key = self.some_process(data, lambda _, attempt: attempt.pid is None)
        if key is not None:
            attempt = self.processes[key]
            self.step(self.mux.started(key, f"pid{key}"), self.model.started(attempt, f"pid{key}"))

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def accept(self, data):
        key = self.some_process(data, self.unanswered)
        if key is not None:
            self.step(self.mux.joined(key, {}), self.model.answer(self.processes[key], "ok"))

    @precondition(lambda self: self.processes)
    @rule()
    def start_and_accept_all(self):
        for key, attempt in list(self.processes.items()):
            if attempt.pid is None:
                self.step(
                    self.mux.started(key, f"pid{key}"), self.model.started(attempt, f"pid{key}")
                )
            if self.unanswered(key, attempt):
                self.step(self.mux.joined(key, {}), self.model.answer(attempt, "ok"))

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def refuse(self, data):
        key = self.some_process(data, self.unanswered)
        if key is not None:
            self.refused.add(key)
            expected = self.model.answer(self.processes[key], "error", "no")
            self.step(self.mux.refused(key, {"reason": "no"}), expected)

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), crashed=st.booleans())
    def die(self, data, crashed):
        key = self.some_process(data, lambda *_: True)
        expected = self.model.exited(self.processes.pop(key), crashed)
        self.dead.append(key)
        self.step(self.mux.exited(key, crashed=crashed), expected)

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def hear_late_of_the_dead(self, data):
        key = data.draw(st.sampled_from(self.dead))
        assert self.mux.started(key, "ghost") == ()
        assert self.mux.joined(key, {}) == ()
        assert self.mux.refused(key, {}) == ()
        assert self.mux.exited(key, crashed=True) == ()

    # -- laws of the whole trace

    @invariant()
    def a_topic_has_one_live_channel_at_most(self):
        live = Counter(a.topic for key, a in self.processes.items() if key not in self.refused)
        assert all(count == 1 for count in live.values())

    @invariant()
    def the_limit_holds(self):
        assert len(self.mux.topics()) <= MAX_CHANNELS
        assert self.mux.statistics().held == len(self.model.held())

    @invariant()
    def every_join_gets_one_reply_unless_it_is_superseded_or_pending(self):
        replies = Counter(effect[2] for effect in self.trace if effect[0] == "reply")
        for attempt in self.model.attempts:
            assert replies[attempt.ref] == attempt.answered
        admitted = {attempt.ref for attempt in self.model.attempts}
        for ref, event in self.sent.items():
            if event == "phx_join" and ref not in admitted:
                assert replies[ref] == 1

    @invariant()
    def no_event_is_both_delivered_and_answered_or_either_twice(self):
        fates = Counter(
            effect[2] for effect in self.trace if effect[0] in ("reply", "forward", "leave")
        )
        assert all(count == 1 for count in fates.values())
        assert not fates.keys() & set(self.model.held())

    @invariant()
    def a_channel_gets_its_messages_in_the_order_they_were_sent(self):
        mailboxes: dict[str, list[int]] = {}
        for effect in self.trace:
            if effect[0] in ("forward", "leave"):
                mailboxes.setdefault(effect[1], []).append(int(effect[2]))
        assert all(refs == sorted(refs) for refs in mailboxes.values())

    @invariant()
    def the_first_frame_of_a_join_is_its_reply(self):
        joins = {a.join_ref for a in self.model.attempts if a.join_ref is not None}
        seen = set()
        for effect in self.trace:
            if effect[0] == "reply" and effect[1] == effect[2]:
                seen.add(effect[1])
            elif effect[0] == "push" and effect[1] in joins:
                assert effect[1] in seen

    def teardown(self):
        told = {effect[1] for effect in self.trace if effect[0] == "stop"}
        live = {a.pid for key, a in self.processes.items() if a.pid and key not in self.refused}
        stopped = [stop.channel for stop in self.mux.closed() if isinstance(stop, StopChannel)]
        assert sorted(stopped) == sorted(live - told)


TestMultiplexer = MultiplexerMachine.TestCase
TestMultiplexer.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
