"""Registry against a plain list of entries: any sequence of operations, with deaths in between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import AlreadyRegisteredError, GenServer, Keys, NotRegisteredError, Registry, run

KEYS = st.integers(0, 3)
VALUES = st.integers(0, 2)
PROCESSES = st.integers(0, 2)
OPERATIONS = st.one_of(
    st.tuples(st.just("register"), PROCESSES, KEYS, VALUES),
    st.tuples(st.just("unregister"), PROCESSES, KEYS),
    st.tuples(st.just("unregister_match"), PROCESSES, KEYS, VALUES),
    st.tuples(st.just("update"), PROCESSES, KEYS),
    st.tuples(st.just("kill"), PROCESSES),
)


class Doer(GenServer):
    async def handle_call(self, request, sender):
        return request()


class Model:
    """The entries as a list of [key, process number, value], oldest first."""

    def __init__(self, unique):
        self.unique = unique
        self.entries = []

    def of(self, number, key=None):
        return [e for e in self.entries if e[1] == number and key in (None, e[0])]

    def register(self, number, key, value):
        if self.unique and any(e[0] == key for e in self.entries):
            return "already registered"
        self.entries.append([key, number, value])
        return None

    def remove(self, entries):
        self.entries = [e for e in self.entries if e not in entries]

    def update(self, number, key):
        if not self.unique:
            return "not unique"
        held = self.of(number, key)
        if not held:
            return "not registered"
        held[0][2] += 10
        return held[0][2], held[0][2] - 10


class Program:
    """The same operations on the real registry, each run in the process that it is about."""

    def __init__(self, registry):
        self.registry = registry
        self.pids = []

    async def start(self, count):
        self.pids = [await Doer.start() for _ in range(count)]

    async def register(self, number, key, value):
        def do():
            try:
                self.registry.register(key, value)
            except AlreadyRegisteredError:
                return "already registered"
            return None

        return await self.pids[number].call(do)

    async def unregister(self, number, key):
        await self.pids[number].call(lambda: self.registry.unregister(key))

    async def unregister_match(self, number, key, value):
        await self.pids[number].call(lambda: self.registry.unregister_match(key, value))

    async def update(self, number, key):
        def do():
            try:
                return tuple(self.registry.update_value(key, lambda value: value + 10))
            except NotRegisteredError:
                return "not registered"
            except ValueError:
                return "not unique"

        return await self.pids[number].call(do)

    async def kill(self, number):
        await self.pids[number].stop("killed by the test")
        self.pids[number] = await Doer.start()


def apply_to_model(model, operation):
    match operation:
        case ("register", number, key, value):
            return model.register(number, key, value)
        case ("unregister", number, key):
            model.remove(model.of(number, key))
        case ("unregister_match", number, key, value):
            model.remove([e for e in model.of(number, key) if e[2] == value])
        case ("update", number, key):
            return model.update(number, key)
        case ("kill", number):
            model.remove(model.of(number))
    return None


def check_agreement(model, program):
    registry, pids = program.registry, program.pids
    assert registry.count() == len(model.entries)
    found = [(key, pids.index(pid), value) for key, pid, value in registry.select()]
    assert sorted(found) == sorted(tuple(entry) for entry in model.entries)
    for key in range(4):
        here = sorted((number, value) for k, number, value in model.entries if k == key)
        assert sorted((pids.index(pid), value) for pid, value in registry.lookup(key)) == here
        for number, pid in enumerate(pids):
            assert registry.values(key, pid) == [e[2] for e in model.of(number, key)]
    for number, pid in enumerate(pids):
        assert sorted(registry.keys(pid)) == sorted(e[0] for e in model.of(number))


@pytest.mark.parametrize("keys", list(Keys))
@settings(max_examples=60, deadline=None)
@given(operations=st.lists(OPERATIONS, max_size=40))
def test_a_registry_agrees_with_a_plain_list_of_entries(keys, operations):
    async def main():
        registry = Registry("registry", keys=keys)
        await registry.start_link()
        program, model = Program(registry), Model(unique=keys is Keys.UNIQUE)
        await program.start(3)
        for operation in operations:
            result = await getattr(program, operation[0])(*operation[1:])
            assert result == apply_to_model(model, operation)
            check_agreement(model, program)
        for number in range(3):
            await program.kill(number)
        assert registry.count() == 0
        assert registry.select() == []
        assert registry._tables.table.processes() == []

    run(main)
