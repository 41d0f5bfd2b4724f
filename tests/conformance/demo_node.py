"""`DemoNode`: the chat node (`python -m examples.chat`), or another program, as a process seen from outside."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

CHAT = "examples.chat"

DEADLINE = 20.0
"""Seconds in which a node has to start or to end."""


class DemoNode:
    """One node at a time, on the same port after a restart. What it logs is added to the file `log`."""

    def __init__(self, log: Path, *options: str, module: str = CHAT) -> None:
        self._log = log
        self._module = module
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self._scheme = "http"
        self.port = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        """The mount of the socket, as phoenix.js wants it; the WebSocket is `/websocket` below it."""
        return f"{self.url.replace('http', 'ws')}/socket"

    def start(self) -> None:
        """Returns when the node has said where it is."""
        self._process = run_node(
            "--port", str(self.port), *self._options, log=self._log, module=self._module
        )
        line = first_line(self._process)
        found = re.fullmatch(r"\w+ is running at (https?)://127\.0\.0\.1:(\d+) .*\n", line)
        assert found, f"the node printed {line!r} and logged {self.log()}"
        self._scheme, self.port = found[1], int(found[2])

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        self.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        with self._process as process:
            return process.wait(DEADLINE)

    def send_signal(self, signum: signal.Signals) -> None:
        """Send a signal; SIGSTOP freezes it, SIGCONT thaws it."""
        assert self._process is not None
        self._process.send_signal(signum)

    def kill(self) -> None:
        """End it whatever it does; for cleaning up."""
        if self._process is not None:
            with self._process as process:
                process.kill()

    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text(errors="replace")


def run_node(*options: str, log: Path, module: str = CHAT) -> subprocess.Popen[str]:
    """Start a node and return at once."""
    command = [sys.executable, "-m", module, "--host", "127.0.0.1", *options]
    with log.open("a") as stderr:
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    """What a program prints first; empty if it ends without a word."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], DEADLINE)
    assert ready, f"it printed nothing within {DEADLINE} s"
    return process.stdout.readline()
