"""What the tests of the multiplexer say to it, and what it says."""

from __future__ import annotations

from channels.messages import Message
from channels.multiplexer import Join, Multiplexer, Notice, Send, SendReply
from channels.topics import TopicRouter

ROUTES = TopicRouter({"room:*": "RoomChannel", "user:*": "UserChannel"})
LOBBY = "room:lobby"


def multiplexer(**options):
    return Multiplexer(ROUTES.route, **options)


def message(join_ref, ref, topic, event, payload=None):
    return Message(join_ref, ref, topic, event, {} if payload is None else payload)


def join(mux, topic=LOBBY, ref="1", join_ref="same"):
    """Send a phx_join; return the key of the Join effect."""
    sent = message(ref if join_ref == "same" else join_ref, ref, topic, "phx_join")
    [effect] = mux.receive(sent)
    assert isinstance(effect, Join)
    return effect.key


def joined(mux, topic=LOBBY, ref="1", channel="pid", join_ref="same"):
    """Join a topic through to its reply; return the key."""
    key = join(mux, topic, ref, join_ref)
    assert mux.started(key, channel) == ()
    [reply] = mux.joined(key, {})
    assert reply.status == "ok"
    return key


def unmatched(ref, topic=LOBBY):
    return SendReply(None, ref, topic, "error", {"reason": "unmatched topic"})


def unmatched_join(ref, topic):
    return unmatched(ref, topic), Notice("unmatched topic", topic)


DUPLICATE = Notice("duplicate join", LOBBY)


def close(join_ref, topic=LOBBY):
    return Send(Message(join_ref, join_ref, topic, "phx_close", {}))
