"""A Node program of `clients/` as a Trio process: commands go in and happenings come out as JSON lines."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import PIPE
from typing import Any, TypeAlias

import trio

CLIENTS = Path(__file__).parent / "clients"

DEADLINE = 15.0
"""Seconds after which something that has not happened is said to never happen."""

Happening: TypeAlias = dict[str, Any]


class NodeScript:
    """What the program has said so far, in order, and a way to tell it what to do."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._untaken: list[Happening] = []
        self._news = trio.Event()
        self._telling = trio.Lock()
        self._ended = False
        self.happenings: list[Happening] = []

    async def tell(self, **command: Any) -> None:
        """Send one command."""
        assert self._process.stdin is not None
        async with self._telling:
            line = json.dumps(command, default=_to_json).encode() + b"\n"
            await self._process.stdin.send_all(line)

    async def expect(self, *, within: float = DEADLINE, **wanted: Any) -> Happening:
        """Wait for the first happening, not yet taken, that has these values; take it."""
        with trio.move_on_after(within):
            while True:
                for index, happening in enumerate(self._untaken):
                    if _has(happening, wanted):
                        return self._untaken.pop(index)
                if self._ended:
                    break
                await self._news.wait()
        raise AssertionError(
            f"{wanted} did not happen; what did:\n" + "\n".join(map(str, self.happenings[-40:]))
        )

    def seen(self, **wanted: Any) -> list[Happening]:
        """All happenings so far that have these values, taken or not."""
        return [happening for happening in self.happenings if _has(happening, wanted)]

    async def read(self) -> None:
        """Take down what the program says until it ends."""
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            self._note([json.loads(line, object_hook=_from_json) for line in lines])
        self._ended = True
        self._note([])

    def _note(self, happenings: list[Happening]) -> None:
        self.happenings += happenings
        self._untaken += happenings
        self._news.set()
        self._news = trio.Event()


@contextlib.asynccontextmanager
async def open_script(
    node_js: str, name: str, *arguments: str, authority: Path | None = None
) -> AsyncIterator[NodeScript]:
    """Run `clients/<name>` until the block ends; it trusts the certificates of an `authority` (PEM) too."""
    command = [node_js, str(CLIENTS / name), *arguments]
    trusted = {} if authority is None else {"NODE_EXTRA_CA_CERTS": str(authority)}
    async with trio.open_nursery() as nursery:
        run = functools.partial(
            trio.run_process,
            command,
            stdin=PIPE,
            stdout=PIPE,
            check=False,
            env={**os.environ, **trusted},
        )
        process: trio.Process = await nursery.start(run)
        script = NodeScript(process)
        nursery.start_soon(script.read)
        try:
            yield script
        finally:
            assert process.stdin is not None
            with trio.CancelScope(shield=True), trio.move_on_after(5):
                await process.stdin.aclose()
                await process.wait()
            nursery.cancel_scope.cancel()


def _has(happening: Happening, wanted: dict[str, Any]) -> bool:
    return all(key in happening and happening[key] == value for key, value in wanted.items())


def _to_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{value!r} cannot be sent to the script")


def _from_json(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if value.keys() == {"$bytes"} else value
