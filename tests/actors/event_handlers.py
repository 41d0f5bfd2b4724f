"""Event handlers that the tests use."""

import trio

from actors import EventHandler, EventManager


class Noting(EventHandler):
    """Notes what happens to it; does what an event tells it."""

    async def init(self, log, name="noting"):
        self.log, self.name = log, name
        self.log.append((name, "init", self.handed_over))

    async def handle_event(self, event):
        self.log.append((self.name, "event", event))
        return await self.obey(event)

    async def handle_info(self, message):
        self.log.append((self.name, "info", message))
        return await self.obey(message)

    async def handle_call(self, request):
        return await self.obey(request)

    async def terminate(self, argument):
        self.log.append((self.name, "terminate", argument))
        if argument == "fail":
            raise ValueError("in terminate")
        return f"{self.name} ended"

    async def obey(self, order):
        match order:
            case ("return", value):
                return value
            case ("raise", error):
                raise error
            case ("sleep", seconds):
                await trio.sleep(seconds)
        return None


class Refusing(EventHandler):
    async def init(self, what):
        if isinstance(what, BaseException):
            raise what
        return what


async def settled(manager):
    """Everything that was sent is handled."""
    await EventManager.which_handlers(manager)


def events(log, kind="event"):
    return [(name, what) for name, found, what in log if found == kind]
