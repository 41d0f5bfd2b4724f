"""Who takes part: the raw limits, ourselves and the peers, for actors and for servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.harness.contestants import (
    Measure,
    Program,
    Role,
    Service,
    Worker,
    in_house,
    in_venv,
    on_node,
)
from channels.endpoint.config import DEFAULT_ENGINE

_PEERS = "benchmarks.peers"

RAW_TRIO = Program("bare Trio tasks", Role.LIMIT, in_house(f"{_PEERS}.trio_limits"))
OUR_ACTORS = Program("understudy", Role.OURS, in_house(f"{_PEERS}.our_actors"))
ACTOR_PEERS = (
    Program("asyncio queue + future", Role.PEER, in_house(f"{_PEERS}.asyncio_actors")),
    Program("Thespian", Role.PEER, in_venv(f"{_PEERS}.thespian_actors", ["thespian"])),
    Program("triotp", Role.PEER, in_venv(f"{_PEERS}.triotp_actors", ["triotp"], (3, 13))),
    Program("xoscar", Role.PEER, in_venv(f"{_PEERS}.xoscar_actors", ["xoscar"])),
    Program("Pykka", Role.PEER, in_venv(f"{_PEERS}.pykka_actors", ["pykka"])),
)

RAW_SERVER = Program("raw non-blocking send", Role.LIMIT, in_house(f"{_PEERS}.raw_server"), "plain")
ENGINES = ("trio-websocket", "wsproto", "websockets")
BARE_ENGINES = tuple(
    Program(f"bare {engine}", Role.LIMIT, in_house(f"{_PEERS}.bare_engines", engine), "plain")
    for engine in ENGINES
)
OUR_ENGINE = BARE_ENGINES[ENGINES.index(DEFAULT_ENGINE)]
OTHER_ENGINES = tuple(bare for bare in BARE_ENGINES if bare is not OUR_ENGINE)
_CHAT = ("examples.chat", "--host", "127.0.0.1", "--port", "0", "--no-rate-limits")
OUR_SERVER = Program("understudy", Role.OURS, in_house(*_CHAT), "phoenix")
ENGINE_PAIRS = tuple(  # each bare engine, and the chat on it
    (
        bare,
        Program(
            f"understudy on {engine}", Role.OURS, in_house(*_CHAT, "--engine", engine), "phoenix"
        ),
    )
    for bare, engine in zip(BARE_ENGINES, ENGINES, strict=True)
)
SERVER_PEERS = (
    Program("Node ws", Role.PEER, on_node("ws_server.mjs", ["ws"]), "plain"),
    Program("Node socket.io", Role.PEER, on_node("socketio_server.mjs", ["socket.io"]), "socketio"),
    Program(
        "websockets asyncio",
        Role.PEER,
        in_venv(f"{_PEERS}.websockets_server", ["websockets"]),
        "plain",
    ),
    Program(
        "python-socketio, uvicorn",
        Role.PEER,
        in_venv(f"{_PEERS}.socketio_server", ["python-socketio", "uvicorn", "websockets"]),
        "socketio",
    ),
    Program(
        "Django Channels, Daphne",
        Role.PEER,
        in_venv(f"{_PEERS}.channels_server", ["channels", "daphne"]),
        "plain",
    ),
)


def actors(operation: str, *, fresh: bool = False, **parameters: Any) -> list[Worker]:
    """Every actor contestant with one operation."""
    programs = (RAW_TRIO, OUR_ACTORS, *ACTOR_PEERS)
    return [Worker(program, operation, parameters, fresh) for program in programs]


def services(limits: Sequence[Program], measure: Measure, connections: int) -> list[Service]:
    """Every server contestant with one measure."""
    programs = (*limits, OUR_SERVER, *SERVER_PEERS)
    return [Service(program, measure, connections) for program in programs]
