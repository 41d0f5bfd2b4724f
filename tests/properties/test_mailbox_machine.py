"""The mailbox against a list: whatever is put, taken and searched for, in any order."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.mailbox import Mailbox
from actors.selective import NOTHING, Mark, SelectiveQueue

messages = st.integers(0, 5)
divisors = st.integers(1, 4)


class MailboxMachine(RuleBasedStateMachine):
    """A mailbox and the list that it must be."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox = Mailbox()
        self.model: list[tuple[int, int]] = []  # (serial, message): no two are equal
        self.serial = 0
        self.mark: Mark | None = None
        self.marked_serial = 0

    @rule(message=messages)
    def put(self, message: int) -> None:
        item = (self.serial, message)
        self.serial += 1
        self.mailbox.put(item)
        self.model.append(item)

    @rule(count=st.integers(20, 120), message=messages)
    def put_many(self, count: int, message: int) -> None:
        for _ in range(count):
            self.put(message)

    @rule()
    def take(self) -> None:
        if self.model:
            assert self.mailbox.take() == self.model.pop(0)
        else:
            with pytest.raises(IndexError):
                self.mailbox.take()

    @rule(message=messages)
    def find_by_a_closure(self, message: int) -> None:
        self._check_found(self.mailbox.find(lambda item: item[1] == message), message)

    @rule(message=messages)
    def find_with_a_memory(self, message: int) -> None:
        found = self.mailbox.find(lambda item: item[1] == message, memory=("wants", message))
        self._check_found(found, message)

    @rule(message=messages)
    def find_all_with_a_memory(self, message: int) -> None:
        while self.mailbox.find(lambda item: item[1] == message, memory=message) is not NOTHING:
            self.model.remove(next(item for item in self.model if item[1] == message))
        assert all(item[1] != message for item in self.model)

    @rule()
    def set_mark(self) -> None:
        self.mark = self.mailbox.mark()
        self.marked_serial = self.serial

    @rule()
    def find_behind_the_mark(self) -> None:
        if self.mark is None or self.mark.queue is not self.mailbox.queue:
            return
        found = self.mailbox.find(lambda _: True, since=self.mark)
        # A single read at the head is not bound by the mark: a mark only saves looking.
        behind = [item for item in self.model if item[0] >= self.marked_serial]
        assert found == (behind[0] if behind else NOTHING)
        if behind:
            self.model.remove(found)

    @rule()
    def clear(self) -> None:
        assert self.mailbox.clear() == self.model
        self.model.clear()

    @rule()
    def become_selective(self) -> None:
        assert self.mailbox.find(lambda _: False) is NOTHING

    @invariant()
    def they_hold_the_same(self) -> None:
        assert list(self.mailbox.queue or ()) == self.model
        assert len(self.mailbox) == len(self.model)
        assert self.mailbox.statistics().queued == len(self.model)

    @invariant()
    def gaps_do_not_pile_up(self) -> None:
        if isinstance(self.mailbox.queue, SelectiveQueue):
            assert len(self.mailbox.queue._order) <= 3 * len(self.model) + 128

    def _check_found(self, found: Any, message: int) -> None:
        expected = next((item for item in self.model if item[1] == message), NOTHING)
        assert found == expected
        if expected is not NOTHING:
            self.model.remove(found)


TestMailboxMachine = MailboxMachine.TestCase
