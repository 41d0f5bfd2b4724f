"""The attackers: they connect to a node and send it what no decent client sends.

`python -m tests.fuzz.attack --port P --seed S --seconds N` runs some dozens of them side by side.
The same seed makes the same bytes. Each input is a file of the corpus, mutated, or random bytes.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Callable
from pathlib import Path

import trio

CORPUS = Path(__file__).parent / "corpus"
ATTACKERS = 24
MASK = bytes(4)  # a client's frames must be masked; zeros leave the payload readable

UPGRADE = (CORPUS / "http" / "upgrade").read_bytes()


def corpus(kind: str) -> list[bytes]:
    """The inputs of one kind, in a stable order."""
    return [path.read_bytes() for path in sorted((CORPUS / kind).iterdir())]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """`data` with some bytes changed, cut, doubled or inserted."""
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(mutated))
        match rng.randrange(5):
            case 0 if mutated:
                mutated[at % len(mutated)] ^= 1 << rng.randrange(8)
            case 1:
                del mutated[at : at + rng.randint(1, 8)]
            case 2:
                mutated[at:at] = mutated[at : at + rng.randint(1, 64)]
            case 3:
                mutated[at:at] = rng.randbytes(rng.randint(1, 16))
            case _:
                mutated[at:at] = rng.choice([b"\x00", b"\xff\xff", b'"', b"[", b"\r\n", b"\\u"])
    return bytes(mutated)


def client_frame(payload: bytes, opcode: int) -> bytes:
    """One whole masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    else:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    return head + MASK + payload


class Attacker:
    """One stream of inputs from one seed."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._rng = random.Random(seed)
        self._http = corpus("http")
        self._messages = corpus("messages")
        self._frames = corpus("frames")
        self._tricks: list[Callable[[], list[bytes]]] = [
            self._noise,
            self._bad_http,
            self._bad_frames,
            self._bad_messages,
            self._odd_conversation,
        ]

    async def run(self) -> int:
        """Attack until cancelled."""
        while True:
            await self._attack_once(self._rng.choice(self._tricks)())

    async def _attack_once(self, pieces: list[bytes]) -> None:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        except OSError:
            await trio.sleep(0.05)  # the node's backlog is full, or the run is over
            return
        try:
            with trio.move_on_after(1):
                for piece in pieces:
                    await stream.send_all(piece)
                    if self._rng.random() < 0.2:
                        await trio.lowlevel.checkpoint()
                if self._rng.random() < 0.7:
                    await stream.send_eof()
                while await stream.receive_some():
                    pass
        except (trio.BrokenResourceError, OSError):
            pass  # to be thrown out is what an attacker expects
        finally:
            await trio.aclose_forcefully(stream)

    def _noise(self) -> list[bytes]:
        return [self._rng.randbytes(self._rng.randint(1, 2000))]

    def _bad_http(self) -> list[bytes]:
        return [mutate(self._rng.choice(self._http), self._rng)]

    def _bad_frames(self) -> list[bytes]:
        frames = [self._rng.choice(self._frames) for _ in range(self._rng.randint(1, 4))]
        return [UPGRADE, *(mutate(frame, self._rng) for frame in frames)]

    def _bad_messages(self) -> list[bytes]:
        return [UPGRADE, self._as_frame(mutate(self._rng.choice(self._messages), self._rng))]

    def _odd_conversation(self) -> list[bytes]:
        """Legal messages in an order that no client would choose."""
        count = self._rng.randint(1, 40)
        return [UPGRADE] + [self._as_frame(self._rng.choice(self._messages)) for _ in range(count)]

    def _as_frame(self, message: bytes) -> bytes:
        return client_frame(message[:60_000], self._rng.choice([1, 1, 1, 2]))


async def attack(port: int, seed: int, seconds: float) -> None:
    """Run all attackers for `seconds`."""
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for number in range(ATTACKERS):
                nursery.start_soon(Attacker(port, seed * 1_000 + number).run)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--seconds", type=float, default=300.0)
    options = parser.parse_args()
    trio.run(attack, options.port, options.seed, options.seconds)


if __name__ == "__main__":
    main()
