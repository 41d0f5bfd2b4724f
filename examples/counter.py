"""A GenServer: a counter that several processes share. Run it: `python -m examples.counter`."""

from __future__ import annotations

from typing import Any

from actors import From, GenServer, run


class Counter(GenServer):
    """Counts."""

    def init(self, start: int = 0) -> None:
        """The state is `self`."""
        self.count = start

    async def handle_call(self, request: Any, sender: From) -> int:
        """A plain value is the reply."""
        return self.count

    async def handle_cast(self, message: int) -> None:
        """A cast is not answered."""
        self.count += message


async def main() -> None:
    """Count to 42."""
    counter = await Counter.start_link(40, name="counter")
    counter.cast(1)
    counter.cast(1)
    print("count:", await counter.call("how many?"))
    print("by name:", await Counter.call("counter", "how many?"))


if __name__ == "__main__":
    run(main)
