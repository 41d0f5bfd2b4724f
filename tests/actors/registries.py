"""Registries that the tests use, and processes that stand in them."""

import pytest

from actors import (
    GenServer,
    Registry,
)

UNIQUE = Registry("unique")
DUPLICATE = Registry("duplicate", keys="duplicate")
BOTH = pytest.mark.parametrize("registry", [UNIQUE, DUPLICATE], ids=["unique", "duplicate"])


class Doer(GenServer):
    """Does what it is told, as another process than the test."""

    async def handle_call(self, request, sender):
        result = request()
        return await result if hasattr(result, "__await__") else result


class Counter(GenServer):
    async def init(self, start=0):
        self.value = start

    async def handle_call(self, request, sender):
        self.value += 1
        return self.value


async def other(registry, key, value=None):
    """Another process that stands under `key`."""
    pid = await Doer.start()
    await pid.call(lambda: registry.register(key, value))
    return pid
