"""The load client: thousands of WebSocket connections on raw sockets, in a process of its own.

Its framing is its own too, so that no library under test measures itself.
"""
