"""TLS of an endpoint: `TLS` says which certificate, and makes the context that connections use.

Defaults: TLS 1.2 and 1.3, the cipher suites of the Python release, ALPN http/1.1 (a WebSocket
begins as HTTP/1.1), no renegotiation. The certificate is read again on SIGHUP (`tls_reload`); a
pair that does not fit is refused with a log line, and the old one stays in use. Source: `ssl`; RFC
8446, RFC 9325.
"""

from __future__ import annotations

import math
import os
import ssl
from typing import Final

import trio

__all__ = ("TLS",)

ALPN: Final = ("http/1.1",)


class TLS:
    """The certificate of an endpoint.

    - `certfile`: PEM file with the certificate and its chain; `keyfile`: the key, if it is in a
      file of its own; `password`: of the key, if it has one.
    - `client_ca`: PEM file of authorities; then clients must show a certificate of one of them,
      which `ConnectInfo.peer.certificate` has.
    - `handshake_timeout`: the seconds in which a client must have shaken hands; 0: no limit.
    - `context`: an `ssl.SSLContext` that is used as it is, in place of all others; it is not
      reloaded.

    The files are read at construction, and again on SIGHUP, which reaches all endpoints of a node
    that runs in the main thread; `Endpoint.reload_certificate` is for the others. Raises OSError,
    `ssl.SSLError`, ValueError.
    """

    def __init__(
        self,
        certfile: str | os.PathLike[str] | None = None,
        keyfile: str | os.PathLike[str] | None = None,
        *,
        password: str | None = None,
        client_ca: str | os.PathLike[str] | None = None,
        handshake_timeout: float = 10.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        if (certfile is None) == (context is None):
            raise ValueError("TLS wants either a certfile or a context")
        self._certfile = certfile
        self._keyfile = keyfile
        self._password = password
        self._client_ca = client_ca
        if not handshake_timeout >= 0:
            raise ValueError(
                f"handshake_timeout={handshake_timeout!r}; expected seconds, 0: no limit"
            )
        self.handshake_timeout = handshake_timeout
        self._context = self._load() if context is None else context

    def __repr__(self) -> str:
        return f"TLS({'context' if self._certfile is None else os.fspath(self._certfile)!r})"

    @property
    def context(self) -> ssl.SSLContext:
        """What the next connection shakes hands with."""
        return self._context

    @property
    def reloadable(self) -> bool:
        """Whether there are files to read again."""
        return self._certfile is not None

    def reload(self) -> None:
        """Read the files again. Connections that stand keep what they have.

        Raises OSError, `ssl.SSLError`; then nothing has changed.
        """
        if self.reloadable:
            self._context = self._load()  # a new one: half a change of the old would be in use

    def _load(self) -> ssl.SSLContext:
        assert self._certfile is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(ALPN)
        context.load_cert_chain(self._certfile, self._keyfile, self._given_password)
        if self._client_ca is not None:
            context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _given_password(self) -> str:
        """Without this OpenSSL would ask for the password on the terminal."""
        if self._password is None:
            raise ValueError(f"the key of {self!r} has a password, and none was given")
        return self._password

    async def shake_hands(self, stream: trio.SocketStream) -> trio.SSLStream[trio.SocketStream]:
        """Encrypt a connection. Raises trio.TooSlowError, trio.BrokenResourceError."""
        # https_compatible: the peers are HTTP clients, which close without TLS's own goodbye.
        encrypted = trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)
        with trio.fail_after(self.handshake_timeout or math.inf):
            await encrypted.do_handshake()
        return encrypted
