"""The mailbox: who waits, and what an idle one holds."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.mailbox import Mailbox, MailboxStatistics


async def read(mailbox: Mailbox) -> None:
    """A reader, in the task of its own that `wait` must be called in."""
    await mailbox.wait()


@pytest.fixture
def mailbox():
    return Mailbox()


async def test_a_message_wakes_the_reader(mailbox, nursery):
    nursery.start_soon(read, mailbox)
    await wait_all_tasks_blocked()
    assert mailbox.statistics() == MailboxStatistics(queued=0, reader_waiting=True)
    mailbox.put("x")
    await wait_all_tasks_blocked()
    assert mailbox.statistics() == MailboxStatistics(queued=1, reader_waiting=False)
    assert mailbox.take() == "x"


async def test_many_messages_wake_the_reader_once(mailbox, nursery):
    nursery.start_soon(read, mailbox)
    await wait_all_tasks_blocked()
    mailbox.put(1)
    mailbox.put(2)
    await wait_all_tasks_blocked()
    assert mailbox.clear() == [1, 2]


async def test_wake_lets_the_reader_go_on_without_a_message(mailbox, nursery):
    nursery.start_soon(read, mailbox)
    await wait_all_tasks_blocked()
    mailbox.wake()
    mailbox.wake()
    await wait_all_tasks_blocked()
    assert not mailbox.statistics().reader_waiting


async def test_a_reader_that_is_cancelled_is_forgotten(mailbox):
    with trio.move_on_after(0):
        await mailbox.wait()
    mailbox.put("x")
    assert len(mailbox) == 1


async def test_an_idle_mailbox_holds_no_queue(mailbox, nursery):
    mailbox.put("x")
    mailbox.take()
    nursery.start_soon(read, mailbox)
    await wait_all_tasks_blocked()
    assert mailbox.queue is None
    mailbox.wake()


def test_taking_from_an_empty_mailbox_raises(mailbox):
    with pytest.raises(IndexError, match="empty"):
        mailbox.take()


def test_a_mailbox_shows_what_is_in_it(mailbox):
    mailbox.put("x")
    assert repr(mailbox) == "<Mailbox queued=1 reader_waiting=False>"
