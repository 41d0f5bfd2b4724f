"""The endpoint: HTTP heads, origin check, static files, listener, drainer. Start with `endpoint.py`."""

from channels.endpoint.endpoint import Endpoint

__all__ = ("Endpoint",)
