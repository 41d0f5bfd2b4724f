"""Thespian on its simpleSystemBase: synchronous, one thread, no concurrency; its fastest base."""
# mypy: disable-error-code="import-not-found,misc"
# (Thespian is installed in an environment of its own.)

from __future__ import annotations

import time

from thespian.actors import Actor, ActorExitRequest, ActorSystem

from benchmarks.harness.lines import serve
from benchmarks.harness.stopwatch import LATENCY_SAMPLES, Figures, Scales, Stopwatch, latencies

BURST = 1_000
SYSTEM = ActorSystem("simpleSystemBase")


class Echo(Actor):
    def __init__(self) -> None:
        self.casts = 0

    def receiveMessage(self, message: object, sender: object) -> None:  # noqa: N802  # Thespian's name
        if message == "cast":
            self.casts += 1
        elif message == "call":
            self.send(sender, self.casts)


def call(callers: int, seconds: float) -> Figures:
    if callers > 1:
        raise NotImplementedError("its simpleSystemBase runs in the thread of its one caller")
    echo = SYSTEM.createActor(Echo)
    count = 0
    with Stopwatch() as watch:
        while watch.running(seconds):
            SYSTEM.ask(echo, "call", 5.0)
            count += 1
    times = []
    for _ in range(LATENCY_SAMPLES):
        start = time.perf_counter_ns()
        SYSTEM.ask(echo, "call", 5.0)
        times.append(time.perf_counter_ns() - start)
    SYSTEM.tell(echo, ActorExitRequest())
    return {**watch.figures(count), **latencies(times)}


def cast(seconds: float) -> Figures:
    echo = SYSTEM.createActor(Echo)
    casts = 0
    with Stopwatch() as watch:
        while watch.running(seconds):
            for _ in range(BURST):
                SYSTEM.tell(echo, "cast")
            casts = SYSTEM.ask(echo, "call", 5.0)
    SYSTEM.tell(echo, ActorExitRequest())
    return watch.figures(casts)


def spawn(count: int) -> Figures:
    with Stopwatch() as watch:
        actors = [SYSTEM.createActor(Echo) for _ in range(count)]
    for actor in actors:
        SYSTEM.tell(actor, ActorExitRequest())
    return watch.figures(count)


def memory(count: int) -> Figures:
    scales = Scales()
    actors = [SYSTEM.createActor(Echo) for _ in range(count)]
    figures = scales.figures(count)
    for actor in actors:
        SYSTEM.tell(actor, ActorExitRequest())
    return figures


if __name__ == "__main__":
    serve({"call": call, "cast": cast, "spawn": spawn, "memory": memory}, ["thespian"])
