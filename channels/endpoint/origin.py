"""Which web pages may connect: Phoenix's `check_origin`, pure.

Browsers let any page open a WebSocket to any host and send the cookies along; the Origin header,
which a page cannot forge, is the only sign of where it comes from. Source: Phoenix
Socket.Transport.check_origin; protocol reference 1.18.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import attrs

__all__ = ("CheckOrigin", "Origin", "OriginOption", "parse_origin")

_MAX_SHOWN: Final = 200  # characters of an origin in the log
_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@attrs.frozen
class Origin:
    """Where a page comes from, or where a request went to. Scheme and host are in lower case.

    A part that is missing is None; `port` is the scheme's own where none is written.
    """

    scheme: str | None
    host: str | None
    port: int | None

    def __str__(self) -> str:
        scheme = f"{self.scheme}:" if self.scheme else ""
        port = f":{self.port}" if self.port and self.port != _DEFAULT_PORTS.get(scheme[:-1]) else ""
        return f"{scheme}//{self.host or ''}{port}"


OriginOption: TypeAlias = bool | Literal["conn"] | Iterable[str] | Callable[[Origin], bool]


def parse_origin(text: str) -> Origin:
    """Read an origin; whatever does not parse ("null", "file://") has no host."""
    try:
        parts = urlsplit(text.strip())
        scheme, host, port = parts.scheme or None, parts.hostname or None, parts.port
    except ValueError:
        return Origin(None, None, None)
    return Origin(scheme, host, port if port is not None else _DEFAULT_PORTS.get(scheme or ""))


class CheckOrigin:
    """The policy of one socket.

    `option` is one of: True: the page's host must be `host`, the one that the endpoint says it is
    reached by (None: any); False: every page may connect; "conn": scheme, host and port must be
    those of the request itself; a list of origins, each with an optional scheme and port
    (`"//example.com"`, `"https://example.com"`, `"//*.example.com"`, `"//host:81"`), where `*.`
    stands for the host itself and any subdomain; or a function that is called with the `Origin` and
    returns whether it may connect.

    Raises ValueError for an entry that names no host.
    """

    __slots__ = ("_allowed", "_host", "_option")

    def __init__(self, option: OriginOption, *, host: str | None = None) -> None:
        self._option = option
        self._host = None if host is None else host.lower()
        self._allowed: tuple[Origin, ...] = ()
        if not (isinstance(option, bool) or option == "conn" or callable(option)):
            self._allowed = tuple(map(_entry, _entries(option)))

    def __repr__(self) -> str:
        return f"CheckOrigin({self._option!r}, host={self._host!r})"

    def allows(self, origin: str | None, request: Origin) -> bool:
        """Whether a page with this Origin header may connect; `request` says where it connects to.

        None, no header at all, is allowed: it is not a browser that sends none.
        """
        if origin is None or self._option is False:
            return True
        page = parse_origin(origin)
        if callable(self._option):
            return self._option(page)
        if page.host is None:
            return False
        if self._option is True:
            return self._host is None or page.host == self._host
        if self._option == "conn":
            return page == request
        return any(_matches(page, allowed) for allowed in self._allowed)

    def explain(self, origin: str, request: Origin) -> str:
        """Why `origin` is refused and what to do, for the log."""
        shown, page = origin[:_MAX_SHOWN], parse_origin(origin)
        advice = f'list it: check_origin=["{str(page)[:_MAX_SHOWN]}"]'
        if self._option is True:
            why = f"the endpoint's public_host is {self._host!r}"
            advice = f"set public_host to it, or {advice}"
        elif self._option == "conn":
            why = f"the request went to {str(request)[:_MAX_SHOWN]}"
            advice = f"let the proxy pass on its Host header, or {advice}"
            if page.host == request.host and page.scheme == "https" != request.scheme:
                advice = f'give the endpoint public_scheme="https" if a proxy ends TLS, or {advice}'
        else:
            why = f"check_origin is {self._option!r}"
        return f"refused a connection from the origin {shown!r}: {why}. If it is yours, {advice}."


def _entries(option: object) -> Iterable[str]:
    if isinstance(option, str) or not isinstance(option, Iterable):
        raise ValueError(  # noqa: TRY004  # a wrong option, as every other one
            f"check_origin={option!r}; expected True, False, 'conn', a function or a list"
        )
    return option


def _entry(text: str) -> Origin:
    origin = parse_origin(text)
    if origin.host is None:
        raise ValueError(
            f"check_origin lists {text!r}, which names no host; "
            f"legal are '//example.com', 'https://example.com', '//*.example.com', '//host:81'"
        )
    return origin


def _matches(page: Origin, allowed: Origin) -> bool:
    return (
        (allowed.scheme is None or page.scheme == allowed.scheme)
        and (allowed.port is None or page.port == allowed.port)
        and _matches_host(page.host or "", allowed.host or "")
    )


def _matches_host(host: str, allowed: str) -> bool:
    if not allowed.startswith("*."):
        return host == allowed
    return host == allowed[2:] or host.endswith(allowed[1:])
