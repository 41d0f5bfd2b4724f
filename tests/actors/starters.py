"""Servers whose `init` does what it is told, for the tests of starts."""

from actors import GenServer, exit
from tests.actors.helpers import Boom

BOOM = Boom("init")


class Starting(GenServer):
    """Its `init` does what it is told."""

    async def init(self, behaviour):
        return await behaviour(self)

    async def handle_call(self, request, sender):
        return "served"

    async def handle_info(self, message):
        pass

    async def handle_continue(self, token):
        pass


class PlainlyStarting(Starting):
    """The same, with an `init` that is a plain function."""

    def init(self, behaviour):  # the base has it async
        try:
            behaviour(self).send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("it waits")


def gives(value):
    async def behaviour(server):
        return value

    return behaviour


def raises(error):
    async def behaviour(server):
        raise error

    return behaviour


def exits(reason):
    async def behaviour(server):
        exit(server.pid, reason)

    return behaviour
