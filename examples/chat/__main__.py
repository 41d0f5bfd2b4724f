"""The demo chat node: `python -m examples.chat --host 127.0.0.1 --port 4000`, or `make chat`.

Open the address that it prints in two browsers. Ctrl-C or SIGTERM stops it in order.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from actors import Pid
from channels import Endpoint, Limits, Mount
from examples.chat.log import configure_logging
from examples.chat.room import ChatSocket, DebugChatSocket
from supervisors import Application

STATIC = Path(__file__).parent / "static"


class Chat(Application):
    """The chat's supervision tree: one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__([endpoint], name="chat")
        self.endpoint = endpoint

    async def started(self, root: Pid) -> None:
        """Say where to go."""
        print(f"Chat is running at {self.endpoint.url} (Ctrl-C stops it)", flush=True)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.chat", description="A chat node.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=4000, help="port; 0 picks one (%(default)s)")
    parser.add_argument("--static", default=STATIC, help="folder of the page")
    parser.add_argument("--engine", default=None, help="WebSocket library")
    parser.add_argument(
        "--debug", action="store_true", help="rooms understand `crash`; log more; --no-rate-limits"
    )
    parser.add_argument(
        "--no-rate-limits", action="store_true", help="lift the limits on rates, for load tools"
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Run the node until a signal comes."""
    options = parse_arguments()
    configure_logging(debug=options.debug)
    socket = DebugChatSocket if options.debug else ChatSocket
    engine = {"engine": options.engine} if options.engine else {}
    unlimited = options.debug or options.no_rate_limits
    limits = Limits().without_rates() if unlimited else Limits()
    try:
        endpoint = Endpoint(
            {"/socket": Mount(socket, longpoll=True)},
            host=options.host,
            port=options.port,
            static=options.static,
            limits=limits,
            **engine,
        )
    except (ValueError, OSError) as error:
        raise SystemExit(_complain(error)) from None
    Chat(endpoint).run()


def _complain(error: Exception) -> int:
    print(f"chat: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
