"""System messages: what the loop of a server answers itself, whatever its user code does.

OTP: `sys`, SY1 to SY6. The verbs that ask are in `introspection`. System messages queue behind the
others; a suspended server answers nothing else.
"""

from __future__ import annotations

from typing import Any

import attrs

from actors.calls import Call, System
from actors.debug import Debug
from actors.exits import Crash
from actors.failures import concerns_trio
from actors.messages import Exit
from actors.process import Process
from actors.reports import shorten
from actors.results import Stop
from actors.selective import NOTHING
from actors.snapshot import content_of, snapshot

__all__ = ("answer_system", "describe")


async def answer_system(process: Process, server: Any, request: System) -> Stop | None:
    """Answer one system message; a `Stop` if the server is to end."""
    verb, *arguments = request.request
    if verb == "terminate":
        return Stop(arguments[0])
    if verb == "suspend":
        request.resolve(None)
        return await _suspended(process, server)
    _answer(process, server, request, suspended=False)
    return None


def _answer(process: Process, server: Any, request: System, *, suspended: bool) -> None:
    """Answer what needs no waiting. Whatever goes wrong, it is the asker's: looking at a server
    does not harm it (SY3).
    """
    verb, *arguments = request.request
    try:
        match verb:
            case "get_state":
                request.resolve(server._get_state())
            case "replace_state":
                request.resolve(_replace_state(server, arguments[0]))
            case "get_status":
                request.resolve(_status(process, server, suspended=suspended))
            case "resume":
                request.resolve(None)
            case _:
                _answer_debug(process, server, request)
    except BaseException as error:  # noqa: ASYNC103  # what concerns Trio passes
        if concerns_trio(error):
            raise
        request.fail_with(("callback_failed", Crash(error)))


async def _suspended(process: Process, server: Any) -> Stop | None:
    """Answer only system messages and the parent's exit until resumed; the rest waits in order."""

    def concerns_us(message: Any) -> bool:
        return type(message) is System or (type(message) is Exit and message.pid is process.parent)

    while True:
        item = process.mailbox.find(concerns_us, memory="suspended")
        if item is NOTHING:
            await process.mailbox.wait()
        elif isinstance(item, Exit):
            return Stop(item.reason)
        elif item.request[0] == "suspend":
            item.resolve(None)
        elif item.request[0] == "terminate":
            return Stop(item.request[1])
        else:
            _answer(process, server, item, suspended=True)
            if item.request[0] == "resume":
                return None


def _replace_state(server: Any, change: Any) -> Any:
    before = server._get_state()
    state = change(server._get_state())
    try:
        server._set_state(state)
    except BaseException:
        server._set_state(before)  # one attribute was refused; the others are set already
        raise
    return state


# -- debugging -----------------------------------------------------------------------------------


def _answer_debug(process: Process, server: Any, request: System) -> None:
    verb, *arguments = request.request
    debug: Debug = process.debug or Debug(server)
    match verb:
        case "log":
            debug.log(arguments[0])
        case "get_log":
            request.resolve(debug.logged())
        case "statistics":
            debug.count(on=arguments[0])
        case "get_statistics":
            request.resolve(debug.statistics())
        case "trace":
            debug.trace = process.pid if arguments[0] else None
        case "install":
            if not debug.install(*arguments):
                request.fail_with(("already_installed", arguments[0]))
        case "remove":
            debug.remove(arguments[0])
        case "no_debug":
            process.debug = None
            request.resolve(None)
            return
        case _:
            request.fail_with(("unknown_system_msg", verb))
    process.debug = None if debug.idle else debug
    request.resolve(None)  # unless it has been answered


# -- describing ----------------------------------------------------------------------------------


def describe(process: Process, server: Any, message: Any, reason: Any) -> dict[str, Any]:
    """What a report shows of a server: state, message, reason, log; who had called, if anyone; and
    what is around it (`snapshot`).

    `format_status` may rewrite the first four, and must not lose the report (G31). It is also asked
    about each message that waits, as the only one in a status.
    """
    debug: Debug | None = process.debug
    status = {"state": None, "message": content_of(message), "reason": reason}
    if debug is not None and debug.logged():
        status["log"] = debug.logged()
    status = _format(server, status)
    if isinstance(message, Call):
        status["client"] = message.caller
    status["around"] = around = snapshot(process)
    if around.messages:
        shown = tuple(_format(server, {"message": item})["message"] for item in around.messages)
        status["around"] = attrs.evolve(around, messages=shown)
    return status


def _status(process: Process, server: Any, *, suspended: bool) -> dict[str, Any]:
    """`get_status`: what is known of a server, state and log as `format_status` shows them."""
    debug: Debug | None = process.debug
    options: dict[str, Any] = {} if debug is None else dict(debug.options())
    shown: dict[str, Any] = {"state": None}
    if options.get("log"):
        shown["log"] = options["log"]
    shown = _format(server, shown)
    options |= {field: value for field, value in shown.items() if field == "log"}
    return {
        "pid": process.pid,
        "module": type(server),
        "status": "suspended" if suspended else "running",
        "name": process.name,
        "parent": process.parent,
        "ancestors": process.ancestors,
        "debug": options,
        "state": shown["state"],
    }


def _format(server: Any, status: dict[str, Any]) -> dict[str, Any]:
    """`status`, with the server's state if that is asked for, as `format_status` shows it."""
    try:
        if "state" in status:
            status["state"] = server._get_state()
        formatted: dict[str, Any] = server.format_status(dict(status))
        return status | formatted
    except BaseException as error:  # noqa: ASYNC103  # what concerns Trio passes
        if concerns_trio(error):
            raise
        told = f"format_status raised {shorten(error)}"
    return {field: value if field == "reason" else told for field, value in status.items()}
