"""How much is measured: in full for a table, quickly for a smoke test in CI."""

from __future__ import annotations

import attrs


@attrs.frozen
class Options:
    """What the command line decided; questions ask it for their sizes."""

    quick: bool = False
    rounds: int | None = None  # None: as many as the question finds right
    peers: bool = True  # False leaves the peers out: limits and ours only

    @property
    def warm_up(self) -> int:
        """Rounds that are thrown away."""
        return 0 if self.quick else 1

    def seconds(self, full: float) -> float:
        """The length of a sample, in seconds."""
        return min(full, 0.05) if self.quick else full

    def count(self, full: int, least: int = 20) -> int:
        """How many of something: connections, processes, messages."""
        return max(least, full // 20) if self.quick else full
