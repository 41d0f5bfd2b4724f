import socket

import pytest
import trio


@pytest.fixture
async def pair():
    """(our stream, the client's stream): a real loopback connection with small kernel buffers."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        host, port = listener.socket.getsockname()[:2]
        client = trio.socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await client.connect((host, port))
        ours = await listener.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        async with trio.SocketStream(client) as client_stream:
            yield ours, client_stream
            await trio.aclose_forcefully(ours)


async def read_exactly(stream, count):
    """The next `count` bytes; fewer only where the stream ends."""
    data = b""
    while len(data) < count:
        piece = await stream.receive_some(count - len(data))
        if not piece:
            break
        data += piece
    return data


async def read_to_end(stream):
    """All that comes until the stream ends."""
    data = b""
    while piece := await stream.receive_some():
        data += piece
    return data
