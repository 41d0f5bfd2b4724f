"""PubSub: processes subscribe to topics; a broadcast reaches every subscriber (`Phoenix.PubSub`).

Start with `pubsub.py`; `adapter.py` holds the seams: what carries broadcasts to other nodes, and
what is done with one here.
"""

from channels.pubsub.adapter import (
    Adapter,
    BatchDispatcher,
    Dispatcher,
    LocalBroadcast,
    Subscription,
    send_to_each,
)
from channels.pubsub.local import LocalAdapter
from channels.pubsub.pubsub import CHUNK, PubSub, PubSubNotStartedError

__all__ = (
    "CHUNK",
    "Adapter",
    "BatchDispatcher",
    "Dispatcher",
    "LocalAdapter",
    "LocalBroadcast",
    "PubSub",
    "PubSubNotStartedError",
    "Subscription",
    "send_to_each",
)
