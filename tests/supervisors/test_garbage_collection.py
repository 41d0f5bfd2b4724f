"""The collector's settings last as long as the program and are undone afterwards."""

from __future__ import annotations

import gc

from supervisors.garbage_collection import GarbageCollection, tuned


def test_inside_the_block_the_collector_is_set_and_afterwards_as_before():
    before = gc.get_threshold()
    with tuned(GarbageCollection((1_234, 5, 6))):
        assert gc.get_threshold() == (1_234, 5, 6)
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0  # from Python 3.12 on the interpreter starts with some frozen


def test_none_leaves_the_collector_alone():
    before = gc.get_threshold()
    with tuned(None):
        assert gc.get_threshold() == before
