"""Long schedules: who holds the loop is told, with the place. Real time, and no less than the limit."""

import time
from typing import Any

import pytest
import structlog

from actors import GenServer, open_node, spawn
from actors.telemetry import attach
from actors.testing import assert_down

LIMIT = 0.02  # seconds


class Greedy(GenServer):
    async def handle_call(self, request: Any, sender: Any) -> Any:
        hold_the_loop(request)
        return "done"


def hold_the_loop(until: Any) -> None:
    """At least for the limit, and until somebody has noticed."""
    latest = time.monotonic() + 30
    began = time.monotonic()
    while time.monotonic() < latest and not (until() and time.monotonic() - began > LIMIT):
        time.sleep(0.001)


async def test_a_callback_that_holds_the_loop_is_reported_while_it_does():
    """DL2."""
    with structlog.testing.capture_logs() as reports:
        async with open_node(long_schedule=LIMIT):
            greedy = await Greedy.start()
            await greedy.call(lambda: [r for r in reports if r["event"] == "long schedule"], 60.0)
    report = next(r for r in reports if r["event"] == "long schedule")
    assert report["process"] == repr(greedy)
    assert "hold_the_loop" in report["stack"]
    assert report["seconds"] >= LIMIT


async def test_its_whole_length_is_told_when_it_ends():
    told: list[Any] = []
    with structlog.testing.capture_logs() as reports:
        async with open_node(long_schedule=LIMIT):
            attach("h", "process.long_schedule", lambda *event: told.append(event))
            greedy = await Greedy.start()
            await greedy.call(lambda: [r for r in reports if r["event"] == "long schedule"], 60.0)
    _, measured, metadata, _ = next(event for event in told if event[2]["pid"] is greedy)
    assert measured["seconds"] >= LIMIT
    assert "hold_the_loop" in metadata["stack"]


async def test_who_waits_does_not_hold_the_loop(autojump_clock):
    async def waits() -> None:
        import trio

        await trio.sleep(100)

    with structlog.testing.capture_logs() as reports:
        async with open_node(long_schedule=30.0):
            await assert_down(spawn(waits), timeout=200)
    assert reports == []


async def test_the_watch_ends_with_its_node():
    import threading

    async with open_node("watched", long_schedule=LIMIT):
        threads = [t for t in threading.enumerate() if t.name == "watched: long_schedule"]
        assert len(threads) == 1
    threads[0].join(timeout=30)
    assert not threads[0].is_alive()


@pytest.mark.parametrize("limit", [0, -1.0])
async def test_a_limit_is_more_than_nothing(limit):
    with pytest.raises(ValueError, match="seconds > 0"):
        async with open_node(long_schedule=limit):
            pass
