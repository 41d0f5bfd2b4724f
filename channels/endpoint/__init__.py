"""The endpoint: HTTP, origin check, static files, listener, drainer. See `endpoint.py`."""

from channels.endpoint.endpoint import Endpoint

__all__ = ("Endpoint",)
