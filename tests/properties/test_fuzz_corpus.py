"""The corpus of the fuzzers is kept, and every input in it is harmless: to the pure rooms, and to a node.

`make fuzz` and `make fuzz-guided` go on from here with random bytes for minutes.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio

from channels import Endpoint, Limits, Mount
from examples.chat.room import DebugChatSocket
from tests.channels.long_poll import Poller, request
from tests.channels.phoenix import connected, running
from tests.conftest import ROOT
from tests.fuzz.attack import CORPUS, UPGRADE, client_frame, mutate
from tests.fuzz.targets import TARGETS

KINDS = ("http", "messages", "frames", "bodies")
MUTATIONS = 10
AT_ONCE = 16
CRASHES = {"process exited", "GenServer terminating", "death listener failed", "deadline failed"}


def inputs(*kinds: str) -> list[Path]:
    return [path for kind in kinds for path in sorted((CORPUS / kind).iterdir())]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_of_each_kind_is_kept_in_the_repository(kind):
    assert len(inputs(kind)) > 15
    ignored = subprocess.run(
        ["git", "check-ignore", "-q", str(CORPUS / kind / "x")], cwd=ROOT, check=False
    )
    assert ignored.returncode != 0  # 1: it is not; 128: there is no repository here


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", inputs(*KINDS), ids=name_of)
def test_every_input_is_refused_in_the_documented_way_or_taken(target, path):
    run, _ = TARGETS[target]
    run(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_so_is_what_is_like_it(target):
    run, kind = TARGETS[target]
    for path in inputs(kind):
        rng = random.Random(name_of(path))
        for _ in range(MUTATIONS):
            run(mutate(path.read_bytes(), rng))


@pytest.fixture
async def endpoint(node):
    mount = Mount(DebugChatSocket, longpoll=True)
    limits = Limits().without_rates()
    endpoint = Endpoint({"/socket": mount}, port=0, limits=limits)
    with structlog.testing.capture_logs() as logs:
        async with running(endpoint), connected(endpoint) as healthy:
            join_ref = await healthy.join("room:healthy")
            yield endpoint
            ref = await healthy.push(join_ref, "room:healthy", "ping", {"n": 1})
            assert await healthy.expect_reply(ref) == {"status": "ok", "response": {"n": 1}}
    assert [log for log in logs if log["event"] in CRASHES and "asked for" not in repr(log)] == []


async def send_all(endpoint: Endpoint, conversations: list[bytes]) -> None:
    """Each on a connection of its own, of which the client's side ends behind it."""
    limit = trio.CapacityLimiter(AT_ONCE)

    async def send(conversation: bytes) -> None:
        async with limit, await trio.open_tcp_stream(*endpoint.addresses[0]) as stream:
            try:
                await stream.send_all(conversation)
                await stream.send_eof()
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass  # thrown out

    async with trio.open_nursery() as nursery:
        for conversation in conversations:
            nursery.start_soon(send, conversation)


async def test_every_http_request_and_every_frame_leaves_a_node_and_its_clients_alone(endpoint):
    heads = [path.read_bytes() for path in inputs("http")]
    frames = [UPGRADE + path.read_bytes() for path in inputs("frames")]
    await send_all(endpoint, heads + frames)


async def test_so_does_every_message_as_text_and_as_bytes_with_and_without_a_join(endpoint):
    join = client_frame((CORPUS / "messages" / "join").read_bytes(), 1)
    conversations: list[bytes] = []
    for path in inputs("messages"):
        message = path.read_bytes()
        for before in (b"", join):
            conversations += [UPGRADE + before + client_frame(message, kind) for kind in (1, 2)]
    await send_all(endpoint, conversations)


async def test_so_does_every_body_of_a_long_poll(endpoint):
    for path in inputs("bodies", "messages"):
        for content_type in ("application/json", "application/x-ndjson"):
            client = await Poller(endpoint).open()
            headers = {"x-phoenix-longpoll-token": client.token, "content-type": content_type}
            body = path.read_bytes()
            answer: Any = await request(endpoint, "POST", client.path, headers, body)
            assert answer.status in {200, 400}


def test_a_short_run_of_make_fuzz_passes():
    command = [sys.executable, "-m", "tests.fuzz.run", "--seconds", "2", "--seed", "1"]
    done = subprocess.run(
        [*command, "--patience", "30"],  # whether it is quick is measured elsewhere
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
