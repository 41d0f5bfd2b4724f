"""Pykka: an actor is a thread with a queue; `ask` blocks on a future."""
# mypy: disable-error-code="import-not-found,misc"
# (Pykka is installed in an environment of its own.)

from __future__ import annotations

import threading
import time

import pykka

from benchmarks.harness.lines import serve
from benchmarks.harness.stopwatch import LATENCY_SAMPLES, Figures, Scales, Stopwatch, latencies

BURST = 1_000


class Echo(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.casts = 0

    def on_receive(self, message: object) -> object:
        if message == "cast":
            self.casts += 1
        return self.casts


def call(callers: int, seconds: float) -> Figures:
    echo = Echo.start()
    watch = Stopwatch()
    counts = [0] * callers

    def caller(index: int) -> None:
        while watch.running(seconds):
            echo.ask("call", timeout=5.0)
            counts[index] += 1

    with watch:
        threads = [threading.Thread(target=caller, args=(index,)) for index in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    times = []
    for _ in range(LATENCY_SAMPLES if callers == 1 else 0):
        start = time.perf_counter_ns()
        echo.ask("call", timeout=5.0)
        times.append(time.perf_counter_ns() - start)
    echo.stop()
    return {**watch.figures(sum(counts)), **(latencies(times) if times else {})}


def cast(seconds: float) -> Figures:
    echo = Echo.start()
    casts = 0
    with Stopwatch() as watch:
        while watch.running(seconds):
            for _ in range(BURST):
                echo.tell("cast")
            casts = echo.ask("done", timeout=5.0)
    echo.stop()
    return watch.figures(casts)


def spawn(count: int) -> Figures:
    with Stopwatch() as watch:
        actors = [Echo.start() for _ in range(count)]
    for actor in actors:
        actor.stop(block=False)
    pykka.ActorRegistry.stop_all()
    return watch.figures(count)


def memory(count: int) -> Figures:
    scales = Scales()
    for _ in range(count):
        Echo.start()
    time.sleep(0.2)
    figures = scales.figures(count)
    pykka.ActorRegistry.stop_all()
    return figures


if __name__ == "__main__":
    serve({"call": call, "cast": cast, "spawn": spawn, "memory": memory}, ["pykka"])
