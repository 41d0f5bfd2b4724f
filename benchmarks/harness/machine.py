"""The machine as the operating system accounts for it: cores, CPU time, resident memory.

Standard library only: workers that run in a peer's environment import it too.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CLOCK_OF_A_PROCESS = 2  # CPUCLOCK_SCHED of the kernel's clock ids, see clock_getcpuclockid(3)


def cores() -> list[int]:
    """The cores that this process may use, in order."""
    return sorted(os.sched_getaffinity(0))


def server_core() -> int | None:
    """The core of what is measured; None where there is only one (then nothing is pinned)."""
    usable = cores()
    return usable[0] if len(usable) > 1 else None


def load_core() -> int | None:
    """The core of the load; None where there is only one."""
    usable = cores()
    return usable[-1] if len(usable) > 1 else None


@contextmanager
def started_on(core: int | None) -> Iterator[None]:
    """Whatever is started inside inherits `core`, its threads included; None leaves all as it is.

    Pinning a process after its start would miss the threads that it already has.
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def priority(nice: int) -> Iterator[None]:
    """Run ahead of the rest of a busy machine (negative `nice`, root only); 0 changes nothing.

    Where the kernel groups processes by session, niceness counts within the session only, and it is
    the session's own niceness that matters (sched(7), "The autogroup feature").
    """
    if nice == 0:
        yield
        return
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    session = Path("/proc/self/autogroup")
    if session.exists():
        session.write_text(str(nice), encoding="ascii")
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        if session.exists():
            session.write_text("0", encoding="ascii")


def cpu_seconds(pid: int) -> float:
    """CPU time that the process `pid` has used so far, all threads, user and system, in seconds.

    This is the CPU clock of the process, with nanoseconds; `/proc/<pid>/stat` counts in ticks of
    10 ms, which is too coarse for a sample of half a second.
    """
    return time.clock_gettime((~pid << 3) | _CLOCK_OF_A_PROCESS)


def resident_bytes(pid: int) -> int:
    """Resident memory of the process `pid` (RSS), in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def allow_many_files() -> int:
    """Raise the limit of open files as far as it may be raised; returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def description() -> dict[str, str]:
    """What a reader of the figures must know about the machine."""
    return {
        "cpu": _cpu_model(),
        "cores": str(len(cores())),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load average": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
