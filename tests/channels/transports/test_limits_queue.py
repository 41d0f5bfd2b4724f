"""What waits for channels that are behind, as numbers."""

from __future__ import annotations

from channels.transports.limits_queue import Behind


class Mailboxes:
    """Two channels and what waits for them."""

    def __init__(self, messages: int, size: int) -> None:
        self.lengths = {"a": 1, "b": 1}  # each has one message in hand that nobody counted
        self.behind: Behind[str] = Behind(messages, size, self.lengths.__getitem__)

    def put(self, channel: str, size: int) -> bool:
        taken = self.behind.take(channel, size)
        self.lengths[channel] += taken
        return taken

    def handle(self, channel: str, count: int = 1) -> None:
        self.lengths[channel] -= count


def test_so_many_messages_may_wait_for_one_channel():
    mailboxes = Mailboxes(3, 0)
    assert [mailboxes.put("a", 1) for _ in range(4)] == [True, True, False, False]
    assert mailboxes.put("b", 1)
    mailboxes.handle("a")
    assert [mailboxes.put("a", 1) for _ in range(2)] == [True, False]


def test_so_many_bytes_may_wait_for_all_channels_together():
    mailboxes = Mailboxes(0, 100)
    assert [mailboxes.put("a", 60), mailboxes.put("b", 41), mailboxes.put("b", 40)] == [
        True,
        False,
        True,
    ]
    assert not mailboxes.put("a", 1)


def test_what_one_channel_has_handled_makes_room_for_another():
    mailboxes = Mailboxes(0, 100)
    assert mailboxes.put("a", 60)
    assert mailboxes.put("a", 40)
    mailboxes.handle("a", 2)  # what was not counted, and the first
    assert not mailboxes.put("b", 61)
    assert mailboxes.put("b", 60)
    assert mailboxes.behind.size == 100


def test_what_others_have_sent_is_counted_as_messages_and_not_as_bytes():
    mailboxes = Mailboxes(10, 100)
    mailboxes.lengths["a"] = 9
    assert mailboxes.put("a", 60)
    assert not mailboxes.put("a", 1)
    assert mailboxes.behind.size == 60


def test_a_channel_that_is_gone_holds_nothing():
    mailboxes = Mailboxes(0, 100)
    assert mailboxes.put("a", 100)
    mailboxes.behind.forget("a")
    mailboxes.behind.forget("never seen")
    assert mailboxes.behind.size == 0
    assert mailboxes.put("b", 100)


def test_zero_is_no_limit():
    mailboxes = Mailboxes(0, 0)
    assert all(mailboxes.put("a", 1_000_000) for _ in range(1_000))


def test_a_channel_that_catches_up_leaves_nothing_behind():
    mailboxes = Mailboxes(0, 100)
    for _ in range(50):
        assert mailboxes.put("a", 90)
        mailboxes.handle("a", 1)
        assert mailboxes.put("a", 10)
        mailboxes.handle("a", 1)
    assert mailboxes.behind.size <= 100
