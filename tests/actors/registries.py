"""Registries that the tests use, and processes that stand in them."""

from typing import Any

import pytest

from actors import GenServer, Pid, Registry

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


class DictRegistry:
    """The smallest registry that `Via` can use."""

    def __init__(self, error: Exception | None = None) -> None:
        self.names: dict[Any, Pid] = {}
        self.error = error

    def register_name(self, key: Any, pid: Pid) -> bool:
        if self.error is not None:
            raise self.error
        return self.names.setdefault(key, pid) is pid

    def unregister_name(self, key: Any) -> None:
        del self.names[key]

    def whereis_name(self, key: Any) -> Pid | None:
        return self.names.get(key)
