"""Contestants: something that can be opened, sampled again and again, and closed.

`Worker` is an actor library in a process of its own; `Service` is a server with its load client.
A contestant that cannot be installed or started raises UnavailableError from `open`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import attrs

from benchmarks.harness import environments
from benchmarks.harness.environments import UnavailableError
from benchmarks.harness.lines import Remote
from benchmarks.harness.machine import server_core
from benchmarks.harness.servers import Server, load_client

Figures = Mapping[str, float]
Parameters = Mapping[str, Any]


class Role(Enum):
    """What a contestant stands for in a table."""

    LIMIT = "limit"
    OURS = "ours"
    PEER = "peer"


class Contestant(Protocol):
    """What a contest needs of a contestant."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> Role: ...
    def open(self) -> Mapping[str, str]:
        """Install and start it; returns its versions."""

    def sample(self) -> Figures:
        """Measure once."""

    def close(self) -> None:
        """Stop it; harmless if it is not open."""


@attrs.frozen
class Program:
    """How to start something: the command and its folder. Made when asked, for it may install."""

    name: str
    role: Role
    make: Callable[[], tuple[list[str], Path]]
    speaks: str = ""  # the load's dialect, for servers


def in_house(module: str, *arguments: str) -> Callable[[], tuple[list[str], Path]]:
    """`python -m module` with the interpreter of the house."""

    def make() -> tuple[list[str], Path]:
        interpreter, directory = environments.house()
        return [interpreter, "-m", module, *arguments], directory

    return make


def in_venv(
    module: str, requirements: Sequence[str], python: tuple[int, int] | None = None
) -> Callable[[], tuple[list[str], Path]]:
    """`python -m module` in a venv with `requirements`, out of sight of the house."""

    def make() -> tuple[list[str], Path]:
        interpreter = environments.venv(requirements, python=python)
        return [interpreter, "-m", module], environments.alone()

    return make


def on_node(script: str, packages: Sequence[str]) -> Callable[[], tuple[list[str], Path]]:
    """A script of `peers/` on Node, in a folder with `packages`."""

    def make() -> tuple[list[str], Path]:
        node, directory = environments.npm(packages)
        return [node, str(environments.ROOT / "benchmarks/peers" / script)], directory

    return make


@attrs.define(eq=False)
class Worker:
    """One operation of an actor library; the process stays for all rounds unless `fresh`.

    Memory is measured in a fresh process each time: what an earlier round freed is used again.
    """

    program: Program
    operation: str
    parameters: Parameters
    fresh: bool = False
    _remote: Remote | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def role(self) -> Role:
        return self.program.role

    def open(self) -> Mapping[str, str]:
        command, directory = self.program.make()
        log = environments.log_file(self.name.replace(" ", "-"))
        self._remote = Remote(command, directory=directory, log=log, core=server_core())
        return self._remote.versions

    def sample(self) -> Figures:
        if self._remote is None:
            self.open()
        assert self._remote is not None
        answer = self._remote.request(self.operation, **self.parameters)
        if "unsupported" in answer:
            raise UnavailableError(answer["unsupported"])
        if self.fresh:
            self.close()
        return answer

    def close(self) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None


Measure = Callable[[Server, Remote], Figures]


@attrs.define(eq=False)
class Service:
    """A server, with `connections` clients that are opened once and stay for all rounds."""

    program: Program
    measure: Measure
    connections: int
    _server: Server | None = None
    _load: Remote | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def role(self) -> Role:
        return self.program.role

    def open(self) -> Mapping[str, str]:
        command, directory = self.program.make()
        name = self.name.replace(" ", "-")
        self._server = Server(name, command, directory)
        self._load = load_client(name)
        if self.connections:
            self.add(self.connections)
        return self._server.versions

    def add(self, connections: int, *, speaks: str = "") -> None:
        """Open that many more connections, in another dialect if one is given."""
        assert self._server is not None
        assert self._load is not None
        speaks = speaks or self.program.speaks
        self._load.request("open", port=self._server.port, speaks=speaks, connections=connections)

    def sample(self) -> Figures:
        assert self._server is not None
        assert self._load is not None
        if self.connections:
            self._load.request("rest")
        return self.measure(self._server, self._load)

    def close(self) -> None:
        if self._load is not None:
            self._load.close()
        if self._server is not None:
            self._server.close()
        self._load = self._server = None


@attrs.define(eq=False)
class FreshService:
    """A server that is started anew for each sample; `measure` opens what connections it wants."""

    program: Program
    measure: Measure

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def role(self) -> Role:
        return self.program.role

    def open(self) -> Mapping[str, str]:
        service = Service(self.program, self.measure, 0)
        try:
            return service.open()
        finally:
            service.close()

    def sample(self) -> Figures:
        service = Service(self.program, self.measure, 0)
        try:
            service.open()
            return service.sample()
        finally:
            service.close()

    def close(self) -> None:
        pass  # nothing outlives a sample


def weighed(program: Program, connections: int) -> FreshService:
    """Memory of a connection: a fresh server, warmed up, weighed without and with connections."""

    def weigh(server: Server, load: Remote) -> Figures:
        orders = {"port": server.port, "speaks": program.speaks}
        # The first connections pay for what a server loads lazily.
        load.request("open", connections=50, **orders)
        before = server.resident_bytes()
        load.request("open", connections=connections, **orders)
        return {"bytes": (server.resident_bytes() - before) / connections}

    return FreshService(program, weigh)
