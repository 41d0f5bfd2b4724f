"""WebSocket engines, one behind the other's back: the same seam, three libraries.

`load_engine(name)` returns an engine's `accept`. Importing this package imports none of the
libraries.
"""

from __future__ import annotations

import importlib
from typing import Final, cast

from channels.transports.websocket.engine import (
    DEFAULT_MAX_MESSAGE_SIZE,
    Accept,
    ConnectionClosed,
    Engine,
    Inbound,
    SansIOEngine,
    UpgradeRequest,
)
from channels.transports.websocket.handshake import BadUpgradeError, check_upgrade

__all__ = (
    "DEFAULT_MAX_MESSAGE_SIZE",
    "ENGINES",
    "Accept",
    "BadUpgradeError",
    "ConnectionClosed",
    "Engine",
    "Inbound",
    "SansIOEngine",
    "UpgradeRequest",
    "check_upgrade",
    "load_engine",
)

ENGINES: Final = ("trio-websocket", "wsproto", "websockets")


def load_engine(name: str) -> Accept:
    """Return the `accept` of the engine `name`, importing its library.

    Raises ValueError for a name that is not in `ENGINES`, ImportError where its library is missing.
    """
    if name not in ENGINES:
        raise ValueError(f"no WebSocket engine {name!r}; there are {', '.join(ENGINES)}")
    module = importlib.import_module(f"{__name__}.engine_{name.replace('-', '_')}")
    return cast("Accept", module.accept)
