"""System messages: what the loop of a server answers itself, whatever its user code does (OTP:
`sys`, SY1–SY6).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from actors.calls import System
from actors.exits import Crash
from actors.messages import Exit
from actors.process import Process
from actors.results import Stop

__all__ = ("answer_system", "describe")


async def answer_system(process: Process, server: Any, request: System) -> Stop | None:
    """Answer one system message; a `Stop` if the server is to end."""
    verb, *arguments = request.request
    match verb:
        case "terminate":
            return Stop(arguments[0])
        case "get_state":
            request.resolve(server)
        case "replace_state":
            _replace_state(server, request, arguments[0])
        case "suspend":
            request.resolve(None)
            return await _suspended(process, server)
        case "resume":
            request.resolve(None)
        case _:
            request.fail_with(("unknown_system_msg", verb))
    return None


def describe(server: Any, message: Any, reason: Any) -> dict[str, Any]:
    """What a report shows of a server; `format_status` may leave things out, and must not lose the
    report (G31).
    """
    state = {name: value for name, value in vars(server).items() if name != "_process"}
    status = {"state": state, "message": message, "reason": reason}
    try:
        formatted: dict[str, Any] = server.format_status(dict(status))
    except Exception as error:
        told = f"format_status raised {error!r}"
        return status | {"state": told, "message": told}
    return status | formatted


def _replace_state(server: Any, request: System, change: Any) -> None:
    try:
        change(server)
    except Exception as error:
        request.fail_with(("callback_failed", Crash(error)))
    else:
        request.resolve(server)


async def _suspended(process: Process, server: Any) -> Stop | None:
    """Answer only system messages and the parent's exit until resumed; the rest waits in order
    (SY2, G18).
    """
    held: deque[Any] = deque()
    try:
        while True:
            if not process.mailbox.queue:
                await process.mailbox.wait()
                continue
            item = process.mailbox.take()
            if isinstance(item, System):
                verb = item.request[0]
                if verb == "suspend":
                    item.resolve(None)
                    continue
                stop = await answer_system(process, server, item)
                if stop is not None or verb == "resume":
                    return stop
            elif isinstance(item, Exit) and item.pid is process.parent:
                return Stop(item.reason)
            else:
                held.append(item)
    finally:
        held.extend(process.mailbox.clear())
        for item in held:
            process.mailbox.put(item)
