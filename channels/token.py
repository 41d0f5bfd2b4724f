"""Signed and encrypted tokens (Phoenix: `Phoenix.Token`): who a client is, told without a database.

    tokens = Token(os.environ["SECRET_KEY"])
    token = tokens.sign("user socket", {"user": 9})       # into the page
    data = tokens.verify("user socket", params["token"])  # in `UserSocket.connect`

A signed token can be read by whoever has it and not be changed; an encrypted one can be neither.
Neither can be taken back before its time is over, so give it one. The salt says what a token is
for: one that was made for something else is invalid.

The format is our own (Phoenix's holds an Erlang term): `US1.<data>.<mac>` with HMAC-SHA-256,
`UX1.<nonce, data and tag>` with ChaCha20-Poly1305 (RFC 8439), in URL-safe base64 without padding.
The data is a JSON array [value, signed at (ms since 1970), max_age (s) or null]. Keys are derived
from the secret by PBKDF2-HMAC-SHA-256, as Phoenix's are, one for each salt and use. Pure but for
the clock and the nonces.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from channels.exceptions import ChannelsError

__all__ = ("Token", "TokenError", "TokenProblem")

TokenProblem: TypeAlias = Literal["missing", "invalid", "expired"]

_SIGNED: Final = "US1"
_ENCRYPTED: Final = "UX1"
_DAY: Final = 86_400.0  # seconds
_SHORTEST_SECRET: Final = 20  # bytes; Phoenix's limit
_KEY_SIZE: Final = 32  # bytes
_NONCE_SIZE: Final = 12  # bytes; random, so one key should make fewer than 2**32 tokens
_MAX_KEYS: Final = 128  # derived keys that are remembered; salts are few and the program's own


class TokenError(ChannelsError, ValueError):
    """A token that is not good. `problem` is "missing", "invalid" or "expired"; the token itself is
    not part of the text, so that it may go to a log.
    """

    def __init__(self, problem: TokenProblem) -> None:
        super().__init__(f"the token is {problem}")
        self.problem: TokenProblem = problem


class _Content(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    value: Any
    signed_at: int  # milliseconds since 1970
    max_age: float | None  # seconds; None: as the verifier says


class Token:
    """Makes and checks tokens. A value but for the keys that it remembers.

    - `secret`: at least 20 bytes that nobody else knows, better 32 random ones; or several, newest
      first: the first one makes tokens and all of them check, which is how a secret is replaced.
    - `max_age`: seconds that a token is good for, where neither its maker nor its checker says;
      `math.inf` is for ever, zero or less is over.
    - `iterations`: of the key derivation.
    - `clock`: seconds since 1970.

    Raises ValueError for a secret that is too short.
    """

    def __init__(
        self,
        secret: str | bytes | Sequence[str | bytes],
        *,
        max_age: float = _DAY,
        iterations: int = 1000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        given = [secret] if isinstance(secret, str | bytes) else list(secret)
        self._secrets = tuple(each.encode() if isinstance(each, str) else each for each in given)
        if not self._secrets or any(len(each) < _SHORTEST_SECRET for each in self._secrets):
            raise ValueError(f"a secret has at least {_SHORTEST_SECRET} bytes, and there is one")
        self._max_age = max_age
        self._iterations = iterations
        self._clock = clock
        self._keys: dict[tuple[str, str], tuple[bytes, ...]] = {}  # (use, salt) -> newest first

    def __repr__(self) -> str:
        return f"<Token {len(self._secrets)} secrets>"

    # -- signed ----------------------------------------------------------------------------------

    def sign(
        self,
        salt: str,
        data: Any,
        *,
        signed_at: float | None = None,
        max_age: float | None = None,
    ) -> str:
        """A token that says `data` (any JSON value); it can be read, not changed.

        `signed_at` (seconds since 1970) is now unless given, `max_age` is in seconds. Raises
        TypeError for what is not JSON.
        """
        payload = f"{_SIGNED}.{_encode(self._content(data, signed_at, max_age))}"
        return f"{payload}.{_encode(_mac(self._keys_of(_SIGNED, salt)[0], payload))}"

    def verify(self, salt: str, token: Any, *, max_age: float | None = None) -> Any:
        """The data of a signed token. `max_age` (seconds) goes before what its maker said.

        Raises `TokenError`.
        """
        payload, _, mac = _text_of(token, _SIGNED).rpartition(".")
        given = _decode(mac)
        good = [
            hmac.compare_digest(_mac(key, payload), given) for key in self._keys_of(_SIGNED, salt)
        ]
        if not any(good):
            raise TokenError("invalid")
        return self._check(_decode(payload.partition(".")[2]), max_age)

    # -- encrypted -------------------------------------------------------------------------------

    def encrypt(
        self,
        salt: str,
        data: Any,
        *,
        signed_at: float | None = None,
        max_age: float | None = None,
    ) -> str:
        """A token that hides `data`; otherwise as `sign`."""
        cipher = _cipher(self._keys_of(_ENCRYPTED, salt)[0])
        nonce = os.urandom(_NONCE_SIZE)
        content = self._content(data, signed_at, max_age)
        return (
            f"{_ENCRYPTED}.{_encode(nonce + cipher.encrypt(nonce, content, _ENCRYPTED.encode()))}"
        )

    def decrypt(self, salt: str, token: Any, *, max_age: float | None = None) -> Any:
        """The data of an encrypted token; otherwise as `verify`. Raises `TokenError`."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # see _cipher

        sealed = _decode(_text_of(token, _ENCRYPTED).partition(".")[2])
        nonce, rest = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
        if len(nonce) < _NONCE_SIZE:
            raise TokenError("invalid")
        for key in self._keys_of(_ENCRYPTED, salt):
            try:
                content = _cipher(key).decrypt(nonce, rest, _ENCRYPTED.encode())
            except InvalidTag:
                continue
            return self._check(content, max_age)
        raise TokenError("invalid")

    # -- both ------------------------------------------------------------------------------------

    def _content(self, data: Any, signed_at: float | None, max_age: float | None) -> bytes:
        now = self._clock() if signed_at is None else signed_at
        if max_age == math.inf:
            max_age = 1e300  # JSON has no infinity
        elif max_age is not None and not max_age > 0:
            max_age = 0.0  # nor its opposite, nor NaN
        return msgspec.json.encode(_Content(data, round(now * 1000), max_age))

    def _check(self, content: bytes, max_age: float | None) -> Any:
        try:
            read = msgspec.json.decode(content, type=_Content)
        except msgspec.MsgspecError:
            raise TokenError("invalid") from None
        age = self._clock() - read.signed_at / 1000
        if age < -0.001:  # the clock has more digits than the token
            raise TokenError("invalid")  # signed in the future
        if max_age is None:
            max_age = self._max_age if read.max_age is None else read.max_age
        if not max_age > 0 or not age < max_age:  # NaN is over, too
            raise TokenError("expired")
        return read.value

    def _keys_of(self, use: str, salt: str) -> tuple[bytes, ...]:
        keys = self._keys.get((use, salt))
        if keys is None:
            if len(self._keys) >= _MAX_KEYS:
                self._keys.clear()
            grains = f"{use}:{salt}".encode()
            keys = self._keys[use, salt] = tuple(
                hashlib.pbkdf2_hmac("sha256", secret, grains, self._iterations, _KEY_SIZE)
                for secret in self._secrets
            )
        return keys


def _text_of(token: Any, kind: str) -> str:
    if token is None:
        raise TokenError("missing")
    if not isinstance(token, str) or not token.isascii() or not token.startswith(f"{kind}."):
        raise TokenError("invalid")
    return token


def _mac(key: bytes, payload: str) -> bytes:
    return hmac.digest(key, payload.encode(), "sha256")


def _cipher(key: bytes) -> Any:
    # Imported here: it takes 10 to 20 ms, and most programs only sign.
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415

    return ChaCha20Poly1305(key)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenError("invalid") from None
    if _encode(data) != text:  # one token, one spelling
        raise TokenError("invalid")
    return data
