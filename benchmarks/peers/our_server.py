"""The demo chat with one more topic, `node`, whose `ping` answers what lives in the process.

Whether anything leaks is the server's own knowledge: Trio tasks, our processes, open files, and
what the collector tracks. Counted in the server, by its public API, and read through a channel.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any, ClassVar

import trio

from actors import current_node
from benchmarks.harness.machine import allow_many_files
from channels import Channel, Endpoint, Limits, Reply
from examples.chat.__main__ import Chat
from examples.chat.log import configure_logging
from examples.chat.room import ChatSocket, RoomChannel


class NodeChannel(Channel):
    """Answers `ping` with the counts of this OS process."""

    async def join(self, topic: str, payload: Any) -> dict[str, Any]:
        del topic, payload
        return {}

    async def handle_in(self, event: str, payload: Any) -> Any:
        del payload
        if event != "ping":
            return None
        return Reply.ok(_counts())


def _counts() -> dict[str, int]:
    gc.collect()
    return {
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "processes": current_node().statistics().processes,
        "files": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "objects": len(gc.get_objects()),
    }


class SoakSocket(ChatSocket):
    """Chat rooms, and the node's counts."""

    channels: ClassVar = {"node": NodeChannel, "room:*": RoomChannel}


def main() -> None:
    allow_many_files()
    configure_logging(debug=False)
    limits = Limits().without_rates()  # the whole crowd comes from one address
    Chat(Endpoint({"/socket": SoakSocket}, host="127.0.0.1", port=0, limits=limits)).run()


if __name__ == "__main__":
    main()
