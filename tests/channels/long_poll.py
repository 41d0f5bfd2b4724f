"""A long poll client for tests: each request on a connection of its own, answers as JSON."""

from __future__ import annotations

import json
from typing import Any

import attrs
import trio

from channels import Endpoint
from tests.channels.phoenix import DEADLINE


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def request(
    endpoint: Endpoint,
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """One HTTP request; the host is the endpoint's own."""
    host, port = endpoint.addresses[0]
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}:{port}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    answer = b""
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)
        with trio.fail_after(DEADLINE):
            async for piece in stream:
                answer += piece
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in rest)
    return Answer(int(first.split()[1]), {name: value for name, _, value in pairs}, content)


class Poller:
    """One session."""

    def __init__(self, endpoint: Endpoint, query: str = "vsn=2.0.0") -> None:
        self.endpoint = endpoint
        self.path = f"/socket/longpoll?{query}"
        self.token = ""
        self.headers: dict[str, str] = {}
        self.inbox: list[Any] = []

    async def get(self) -> Any:
        """The JSON of a poll; a token that comes is kept."""
        answer = await request(self.endpoint, "GET", self.path, self._headers())
        assert answer.status == 200, answer
        self.token = answer.json.get("token", self.token)
        return answer.json

    async def open(self) -> Poller:
        status = (await self.get())["status"]
        assert status == 410
        return self

    async def frames(self, count: int) -> list[Any]:
        """The next so many frames; polls until they have come."""
        while len(self.inbox) < count:
            answer = await self.get()
            assert answer["status"] in {200, 204}, answer
            self.inbox += map(json.loads, answer["messages"])
        frames, self.inbox = self.inbox[:count], self.inbox[count:]
        return frames

    async def post(self, *frame: Any, content_type: str = "application/json") -> int:
        return await self.post_body(json.dumps(frame).encode(), content_type)

    async def post_lines(self, *lines: bytes) -> int:
        return await self.post_body(b"\n".join(lines), "application/x-ndjson")

    async def post_body(self, body: bytes, content_type: str) -> int:
        headers = {**self._headers(), "content-type": content_type}
        answer = await request(self.endpoint, "POST", self.path, headers, body)
        assert answer.status == 200, answer
        status: int = answer.json["status"]
        return status

    async def join(self, topic: str, payload: Any = None, ref: str = "1") -> list[Any]:
        """Join; the reply."""
        assert await self.post(ref, ref, topic, "phx_join", payload or {}) == 200
        return (await self.frames(1))[0]  # type: ignore[no-any-return]  # JSON

    def _headers(self) -> dict[str, str]:
        token = {"x-phoenix-longpoll-token": self.token} if self.token else {}
        return {**token, **self.headers}
