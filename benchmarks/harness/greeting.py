"""What a server says first: its port and its versions, as one line of JSON on stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchmarks.harness.lines import versions


def say_port(port: int, distributions: Sequence[str]) -> None:
    """Print the line that `harness.servers` waits for."""
    print(json.dumps({"port": port, "versions": versions(distributions)}), flush=True)
