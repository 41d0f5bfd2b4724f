"""A server that does what it is told, and one that counts, for the tests of GenServer."""

from typing import Any

import trio

from actors import GenServer, NoReply, monitor, receive


class Scripted(GenServer):
    """Does what the message says: `("return", value)`, `("raise", error)`; writes down everything."""

    async def init(self, log=None, first=None):
        self.log = [] if log is None else log
        return first

    async def do(self, callback, message):
        self.log.append((callback, message))
        match message:
            case ("return", value):
                return value
            case ("raise", error):
                raise error
            case ("sleep", seconds):
                await trio.sleep(seconds)
        return None

    async def handle_call(self, request, sender):
        self.sender = sender
        return await self.do("call", request)

    async def handle_cast(self, message):
        return await self.do("cast", message)

    async def handle_info(self, message):
        return await self.do("info", message)

    async def handle_continue(self, token):
        return await self.do("continue", token)

    async def terminate(self, reason):
        self.log.append(("terminate", reason))


async def start(**options) -> tuple[Any, list[Any]]:
    log: list[Any] = []
    return await Scripted.start(log, **options), log


async def end_of(pid):
    """The reason with which it ends, or has just ended."""
    return (await receive(monitor(pid))).reason


class Counter(GenServer):
    """Counts calls and casts."""

    async def init(self, count=0):
        self.count = count

    async def handle_call(self, request, sender):
        self.count += 1
        return self.count

    async def handle_cast(self, message):
        if isinstance(message, NoReply):
            return message
        self.count += 1
        return None

    async def handle_continue(self, token):
        pass
