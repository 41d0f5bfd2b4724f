"""Static files from one folder: the door behind the chat page.

Reads files in worker threads, so that a slow disk stops nobody. Nothing outside the folder is ever
served: names are checked after decoding, and links are followed only to where they stay inside.
Every answer can be revalidated (ETag, Last-Modified) and says that it must be, so that a deployed
page is the page that people see. Source: Plug.Static; RFC 9110, 13.
"""

from __future__ import annotations

import os
import stat
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO, Final

import attrs
import trio

from channels.endpoint.http import Headers, Request, Response, text

__all__ = ("DEFAULT_CONTENT_SECURITY_POLICY", "StaticFiles")

_INDEX: Final = "index.html"
_IN_MEMORY: Final = 256 * 1024  # bytes; a larger file is read as it is sent

DEFAULT_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)

# Written down here, because the operating system's table differs from machine to machine.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "text/xml; charset=utf-8",
}


@attrs.frozen
class _OpenFile:
    """A regular file inside the folder: small ones are read, large ones stay open."""

    name: str
    size: int
    modified: float  # seconds since 1970
    tag: str
    content: bytes
    handle: BinaryIO | None


class StaticFiles:
    """The files below `folder`.

    `content_security_policy` is the header of every answer, `cache_control` too; both can be left
    off with "". Raises NotADirectoryError where the folder is missing.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        cache_control: str = "no-cache",
        content_security_policy: str = DEFAULT_CONTENT_SECURITY_POLICY,
    ) -> None:
        if not os.fspath(folder):  # as a path it would be the current folder, source and all
            raise ValueError("static is empty; expected a folder, '.' for the current one")
        self._root = Path(folder).resolve()
        if not self._root.is_dir():
            raise NotADirectoryError(f"the folder of static files is missing: {self._root}")
        headers = {
            "cache-control": cache_control,
            "content-security-policy": content_security_policy,
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
        }
        self._headers: Headers = tuple((name, value) for name, value in headers.items() if value)

    def __repr__(self) -> str:
        return f"StaticFiles({str(self._root)!r})"

    async def respond_to(self, request: Request) -> Response:
        """The answer to a request: 200, 304, 404, or 405 for other methods than GET and HEAD."""
        if request.method not in {"GET", "HEAD"}:
            return text(405, "Only GET and HEAD are served here.", (("allow", "GET, HEAD"),))
        found = await trio.to_thread.run_sync(self._open, request.path)
        if found is None:
            return text(404, "There is no such page.")
        modified = formatdate(found.modified, usegmt=True)
        headers = (*self._headers, ("etag", found.tag), ("last-modified", modified))
        if _is_fresh(request, found):
            _close(found)
            return Response(304, headers)
        headers = (("content-type", _type_of(found.name)), *headers)
        if found.handle is None:
            return Response(200, headers, found.content)
        return Response(200, headers, trio.wrap_file(found.handle), found.size)

    def _open(self, path: str) -> _OpenFile | None:
        """In a worker thread: the file that a decoded path names, or None."""
        place = self._locate(path)
        if place is None:
            return None
        try:
            # Not to be stopped by a pipe that somebody put into the folder.
            descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        handle = os.fdopen(descriptor, "rb")  # closed here, or by whoever sends it
        small = status.st_size <= _IN_MEMORY
        try:
            content = handle.read(_IN_MEMORY) if small else b""
        except OSError:
            handle.close()
            return None
        if small:
            handle.close()
        return _OpenFile(
            name=place.name,
            size=status.st_size,
            modified=status.st_mtime,
            tag=f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
            content=content,
            handle=None if small else handle,
        )

    def _locate(self, path: str) -> Path | None:
        """Where a decoded path leads, if that is a legal place inside the folder."""
        names = path.split("/")[1:]
        if names[-1] == "":
            names[-1] = _INDEX
        if not all(map(_is_legal, names)):
            return None
        try:
            place = self._root.joinpath(*names).resolve(strict=True)
        except (OSError, RuntimeError):  # missing, too long, or links in a circle
            return None
        return place if place.is_relative_to(self._root) else None


def _is_legal(name: str) -> bool:
    """Names that begin with a dot (`.git`, `..`) are nobody's business; neither are the others."""
    return name != "" and not name.startswith(".") and not {"\0", "\\"} & set(name)


def _is_fresh(request: Request, found: _OpenFile) -> bool:
    """Whether the client still has it (RFC 9110, 13.2.2: the tag counts before the date)."""
    tags = request.header("if-none-match")
    if tags is not None:
        given = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return found.tag in given or "*" in given
    since = request.header("if-modified-since")
    if since is None:
        return False
    try:
        return int(found.modified) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def _type_of(name: str) -> str:
    return _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


def _close(found: _OpenFile) -> None:
    if found.handle is not None:
        found.handle.close()
