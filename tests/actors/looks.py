"""Entries that count how often somebody looks at them: what a step costs, told without a clock."""

from __future__ import annotations

from typing import Any


class Looks:
    """How often the entries of `entries` were looked at."""

    def __init__(self) -> None:
        self.count = 0

    def entries(self, kind: type[Any]) -> type[Any]:
        """`kind`, with objects that count here who reads an attribute of them or compares them."""

        def read(entry: object, name: str) -> Any:
            self.count += 1
            return object.__getattribute__(entry, name)

        def compare(entry: object, other: object) -> bool:
            self.count += 1
            return entry is other

        counting = {"__getattribute__": read, "__eq__": compare, "__hash__": object.__hash__}
        return type(kind.__name__, (kind,), {"__slots__": (), **counting})
