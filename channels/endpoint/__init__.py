"""The endpoint: HTTP, origin check, static files, TLS, listener, drainer. See `endpoint.py`."""

from channels.endpoint.config import DrainOptions
from channels.endpoint.endpoint import Endpoint
from channels.endpoint.mounts import LongPoll, Mount
from channels.endpoint.tls import TLS

__all__ = ("TLS", "DrainOptions", "Endpoint", "LongPoll", "Mount")
