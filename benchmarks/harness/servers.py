"""A server under test and the load client that talks to it: two processes, one core each."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import environments
from benchmarks.harness.environments import UnavailableError
from benchmarks.harness.lines import Remote
from benchmarks.harness.machine import load_core, resident_bytes, server_core, started_on

START_PATIENCE = 30.0  # seconds until a server must have said its port
_URL = re.compile(rb"http://127\.0\.0\.1:(\d+)")


class Server:
    """One server process, pinned to the server's core. Owned by one contestant."""

    def __init__(self, name: str, command: Sequence[str], directory: Path) -> None:
        """Start it and wait for its port; raises UnavailableError with its last line."""
        self._log = environments.log_file(name)
        with self._log.open("wb") as log, started_on(server_core()):
            self._process = subprocess.Popen(
                command, cwd=directory, stdout=log, stderr=subprocess.STDOUT, env=_environment()
            )
        self.versions: dict[str, str] = {}
        self.port = self._wait_for_port()

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def resident_bytes(self) -> int:
        """Resident memory, in bytes, once it has stood still for a moment."""
        last = 0
        while (now := resident_bytes(self.pid)) != last:
            last = now
            time.sleep(0.2)
        return now

    def close(self) -> None:
        """SIGTERM, and SIGKILL to one that is still there after five seconds."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            for line in self._log.read_bytes().splitlines():
                if (port := self._port_in(line)) is not None:
                    return port
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        self._process.kill()
        self._process.wait()
        raise UnavailableError(f"the server did not start: {words[-1] if words else 'no output'}")

    def _port_in(self, line: bytes) -> int | None:
        if line.startswith(b'{"port"'):
            greeting: dict[str, Any] = json.loads(line)
            self.versions = greeting["versions"]
            return int(greeting["port"])
        found = _URL.search(line)
        return int(found[1]) if found else None


def load_client(name: str) -> Remote:
    """A load client on the load's core."""
    interpreter, directory = environments.house()
    return Remote(
        [interpreter, "-m", "benchmarks.load"],
        directory=directory,
        log=environments.log_file(f"{name}-load"),
        core=load_core(),
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "NODE_ENV": "production"}
