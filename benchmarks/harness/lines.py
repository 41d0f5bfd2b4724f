"""Requests to a child process: one line of JSON to its stdin, one line back.

Both ends are here. `serve` is the child's: a contestant's worker or the load client, in whatever
environment that runs, hence standard library only. `Remote` is the parent's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

from benchmarks.harness.machine import started_on

Operation = Callable[..., Mapping[str, Any]]


class RemoteError(Exception):
    """The child refused a request or ended; the message is its own last word."""


def serve(operations: Mapping[str, Operation], distributions: Sequence[str] = ()) -> None:
    """Greet with the versions of `distributions`, then answer requests until stdin ends."""
    # Contestants print and log as they like: stdout is theirs, the answers have a descriptor apart.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _say(answers, {"versions": versions(distributions)})
        for line in sys.stdin:
            request = json.loads(line)
            operation = operations.get(request.pop("do"))
            if operation is None:
                _say(answers, {"unsupported": "has no such operation"})
                continue
            try:
                _say(answers, operation(**request))
            except NotImplementedError as error:
                _say(answers, {"unsupported": str(error)})
            except Exception as error:  # the parent decides; it gets the whole text
                _say(answers, {"error": _words(error)})


def versions(distributions: Sequence[str]) -> dict[str, str]:
    """The installed versions of `distributions`, and of Python."""
    found = {name: metadata.version(name) for name in distributions}
    return {**found, "Python": python_version()}


def _words(error: BaseException) -> str:
    """One line for an exception; of a group, its first leaf: the group itself says nothing."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _say(stream: Any, message: Mapping[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


class Remote:
    """A child process that answers requests. Owned by one contestant."""

    def __init__(
        self, command: Sequence[str], *, directory: Path, log: Path, core: int | None
    ) -> None:
        """Start `command` in `directory` on `core`; its stderr goes to the file `log`."""
        self._log = log
        with log.open("wb") as errors, started_on(core):
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.versions: dict[str, str] = self._read()["versions"]

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def request(self, do: str, **parameters: Any) -> dict[str, Any]:
        """Ask the child to `do` something; raises RemoteError with the child's words."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **parameters}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RemoteError(self._last_words()) from None
        return self._read()

    def close(self) -> None:
        """End the child: by the end of its input, or by force after five seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(5.0)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RemoteError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RemoteError(answer["error"])
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"ended with code {code}: {words[-1] if words else 'without a word'}"
