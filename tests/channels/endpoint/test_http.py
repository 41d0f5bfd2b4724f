import pytest
import trio
import trio.testing

from channels.endpoint.http import HttpConnection, HttpError, Response, text

GET = b"GET /path?a=1&b=2 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(headers, body=b""):
    return b"POST / HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n\r\n" + body


@pytest.fixture
async def wire():
    """(our side of the connection, the client's stream)."""
    ours, client = trio.testing.memory_stream_pair()
    return HttpConnection(ours), client


async def received(client):
    """All that the client gets, once nothing more comes."""
    data = b""
    while True:
        with trio.move_on_after(1) as scope:
            data += await client.receive_some()
        if scope.cancelled_caught:
            return data


async def refusal(connection):
    with pytest.raises(HttpError) as refused:
        await connection.read_head(timeout=5)
    return refused.value.response


# -- heads --------------------------------------------------------------------------------------


async def test_a_head_is_read(wire):
    connection, client = wire
    await client.send_all(
        b"GET /a%20b?x=1&x=2&l[]=3 HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-one: 2\r\n\r\n"
    )
    request = await connection.read_head(timeout=5)
    assert (request.method, request.path, request.target) == ("GET", "/a b", "/a%20b?x=1&x=2&l[]=3")
    assert request.params == {"x": "2", "l": ["3"]}
    assert request.query_string == "x=1&x=2&l[]=3"
    assert request.header("X-One") == "1, 2"
    assert request.header("missing") is None
    assert (request.http_version, request.keep_alive, request.has_body) == ("1.1", True, False)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://other:81/a%20b?x=1", "/a b", "x=1"),
        ("HTTPS://other:81/a%20b?x=1", "/a b", "x=1"),
        ("http://other:81?x=1", "/", "x=1"),
        ("http://other:81", "/", ""),
    ],
)
async def test_an_absolute_target_is_read_and_names_the_host(wire, target, path, query):
    """RFC 9112, 3.2.2: it is accepted, and the Host header is ignored."""
    connection, client = wire
    head = f"GET {target} HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"
    await client.send_all(head.encode())
    request = await connection.read_head(timeout=5)
    assert (request.path, request.query_string) == (path, query)
    assert request.target.startswith("/")
    assert request.headers == (("host", "other:81"), ("x", "y"))


async def test_a_head_may_come_in_pieces(wire):
    connection, client = wire
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _send():
            for byte in GET:
                await client.send_all(bytes([byte]))

        request = await connection.read_head(timeout=5)
    assert request.path == "/path"


async def test_what_follows_an_upgrade_is_left_over(wire):
    connection, client = wire
    head = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    await client.send_all(head + b"\x81\x80frames")
    assert (await connection.read_head(timeout=5)).leftover == b"\x81\x80frames"


async def test_a_client_that_closes_before_a_request_is_no_error(wire):
    connection, client = wire
    await client.aclose()
    assert await connection.read_head(timeout=5) is None


async def test_a_client_that_sends_nothing_is_no_error(wire, autojump_clock):
    connection, _ = wire
    assert await connection.read_head(timeout=5) is None


async def test_a_head_that_does_not_end_in_time_is_408(wire, autojump_clock):
    connection, client = wire
    await client.send_all(GET[:20])
    assert (await refusal(connection)).status == 408


async def test_a_head_that_drips_in_does_not_prolong_its_time(wire, autojump_clock):
    connection, client = wire
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _drip():
            for byte in GET * 10:
                await client.send_all(bytes([byte]))
                await trio.sleep(1)

        before = trio.current_time()
        assert (await refusal(connection)).status == 408
        assert trio.current_time() - before == pytest.approx(5)
        nursery.cancel_scope.cancel()


async def test_a_head_that_is_too_long_is_431(wire):
    connection, client = wire
    await client.send_all(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 20_000)
    assert (await refusal(connection)).status == 431


async def test_the_limit_of_a_head_is_exact(autojump_clock):
    head = GET[:-4] + b"\r\nx: "
    for size, status in ((1_000, None), (1_001, 431), (1_002, 431), (1_900, 431)):
        ours, client = trio.testing.memory_stream_pair()
        connection = HttpConnection(ours, max_head=1_000)
        await client.send_all(head + b"y" * (size - len(head) - 4) + b"\r\n\r\n")
        if status is None:
            assert await connection.read_head(timeout=5) is not None
        else:
            assert (await refusal(connection)).status == status


async def test_heads_that_follow_each_other_have_a_limit_each(wire):
    connection, client = wire
    await client.send_all(GET * 2_000)
    for _ in range(2_000):
        assert await connection.read_head(timeout=5) is not None
        await connection.respond(text(200, "ok"))


async def test_too_many_headers_are_431(wire):
    connection, client = wire
    await client.send_all(b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 150 + b"\r\n")
    assert (await refusal(connection)).status == 431


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\r\n\r\n\0\1\2\r\n\r\n", id="noise"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", id="TLS hello"),
        pytest.param(b"GET /\r\n\r\n", id="no version"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", id="space before the colon"),
        pytest.param(b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", id="foreign scheme"),
        pytest.param(b"GET http:///path HTTP/1.1\r\nHost: h\r\n\r\n", id="no authority"),
        pytest.param(b"GET http://a@h/ HTTP/1.1\r\nHost: h\r\n\r\n", id="user in the target"),
        pytest.param(b"GET h HTTP/1.1\r\nHost: h\r\n\r\n", id="neither path nor URL"),
        pytest.param(b"GET / HTTP/1.1\nHost: h\n\n", id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", id="bare LF behind a header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\n\n", id="bare LF at the end"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", id="asterisk"),
        pytest.param(b"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", id="bad escape"),
        pytest.param(b"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", id="no UTF-8"),
        pytest.param(b"GET /?a=%00 HTTP/1.1\r\nHost: h\r\n\r\n", id="NUL"),
    ],
)
async def test_a_malformed_head_is_400(wire, head):
    connection, client = wire
    await client.send_all(head)
    assert (await refusal(connection)).status == 400


@pytest.mark.parametrize(
    ("head", "words"),
    [
        pytest.param(
            b"GET /?token=S3CRET x HTTP/1.1\r\nHost: h\r\n\r\n", "illegal request line", id="target"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization : Bearer S3CRET\r\n\r\n",
            "illegal header line",
            id="header",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: S3CRET\r\n\r\n",
            "Only Transfer-Encoding",
            id="coding",
        ),
        pytest.param(b"GET / S3CRET/1.1\r\nHost: h\r\n\r\n", "illegal request line", id="version"),
    ],
)
async def test_neither_answer_nor_error_repeats_a_malformed_head(wire, head, words):
    """The error's text is logged, and the head may hold a token."""
    connection, client = wire
    await client.send_all(head)
    with pytest.raises(HttpError, match=words) as refused:
        await connection.read_head(timeout=5)
    assert "S3CRET" not in str(refused.value)
    assert isinstance(answer := refused.value.response.body, bytes)
    assert b"S3CRET" not in answer


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"2\nhe\r\n0\r\n\r\n", id="size"),
        pytest.param(b"2;a=\nb\r\nhe\r\n0\r\n\r\n", id="extension"),
        pytest.param(b"2\r\nhe\r\n0\r\n\nGET /smuggled HTTP/1.1\r\n\r\n", id="end"),
        pytest.param(b"2\r\nhe\r\n0\r\nx: y\ntoken: z\r\n\r\n", id="trailer"),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["at once", "byte by byte"])
async def test_a_bare_lf_around_chunks_is_400(wire, body, whole):
    """A proxy that knows no such line end would see another end of the body."""
    connection, client = wire
    await client.send_all(post(b"Transfer-Encoding: chunked"))
    await connection.read_head(timeout=5)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _send():
            for piece in [body] if whole else [bytes([byte]) for byte in body]:
                await client.send_all(piece)

        with pytest.raises(HttpError, match="400"):
            await connection.read_body(max_bytes=100, timeout=5)


async def test_a_bare_lf_inside_a_body_is_the_bodys_own(wire):
    connection, client = wire
    await client.send_all(post(b"Transfer-Encoding: chunked", b"3\r\na\nb\r\n0\r\n\r\n"))
    await connection.read_head(timeout=5)
    assert await connection.read_body(max_bytes=5, timeout=5) == b"a\nb"


@pytest.mark.parametrize("body", [b"S3CRET\r\nhe\r\n0\r\n\r\n", b"2\r\nheS3CRET\r\n0\r\n\r\n"])
async def test_neither_answer_nor_error_repeats_a_malformed_chunk(wire, body):
    connection, client = wire
    await client.send_all(post(b"Transfer-Encoding: chunked", body))
    await connection.read_head(timeout=5)
    with pytest.raises(HttpError, match="chunk") as refused:
        await connection.read_body(max_bytes=100, timeout=5)
    assert "S3CRET" not in str(refused.value)
    assert isinstance(answer := refused.value.response.body, bytes)
    assert b"S3CRET" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6", id="two lengths"),
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked", id="length and chunks"),
        pytest.param(b"Transfer-Encoding: gzip, chunked", id="coding that is not spoken"),
        pytest.param(b"Content-Length: -1", id="negative length"),
        pytest.param(b"Content-Length: 5x", id="length that is no number"),
    ],
)
async def test_a_body_whose_end_is_in_doubt_is_refused(wire, headers):
    connection, client = wire
    await client.send_all(post(headers, b"5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"))
    assert (await refusal(connection)).status in {400, 501}


async def test_a_refused_request_is_answered_and_closed(wire, autojump_clock):
    connection, client = wire
    await client.send_all(b"nonsense\r\n\r\n")
    assert not await connection.respond(await refusal(connection))
    answer = await received(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer.lower()


# -- bodies -------------------------------------------------------------------------------------


async def test_a_body_is_read(wire):
    connection, client = wire
    await client.send_all(post(b"Content-Length: 5", b"hello"))
    assert (await connection.read_head(timeout=5)).has_body
    assert await connection.read_body(max_bytes=5, timeout=5) == b"hello"


async def test_a_chunked_body_is_read(wire):
    connection, client = wire
    await client.send_all(post(b"Transfer-Encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"))
    await connection.read_head(timeout=5)
    assert await connection.read_body(max_bytes=5, timeout=5) == b"hello"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: 6", b"hello!"),
        (b"Transfer-Encoding: chunked", b"6\r\nhello!\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_over_the_limit_is_413(wire, headers, body):
    connection, client = wire
    await client.send_all(post(headers, body))
    await connection.read_head(timeout=5)
    with pytest.raises(HttpError, match="413"):
        await connection.read_body(max_bytes=5, timeout=5)


async def test_a_body_that_does_not_come_in_time_is_408(wire, autojump_clock):
    connection, client = wire
    await client.send_all(post(b"Content-Length: 5", b"he"))
    await connection.read_head(timeout=5)
    with pytest.raises(HttpError, match="408"):
        await connection.read_body(max_bytes=5, timeout=5)


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(wire, autojump_clock):
    connection, client = wire
    await client.send_all(post(b"Content-Length: 5\r\nExpect: 100-continue"))
    await connection.read_head(timeout=5)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _send():
            assert (await client.receive_some()).startswith(b"HTTP/1.1 100 ")
            await client.send_all(b"hello")

        assert await connection.read_body(max_bytes=5, timeout=5) == b"hello"


# -- answers ------------------------------------------------------------------------------------


async def test_an_answer_has_its_length_and_date(wire, autojump_clock):
    connection, client = wire
    await client.send_all(GET)
    await connection.read_head(timeout=5)
    assert await connection.respond(text(200, "hello"))
    head, _, body = (await received(client)).partition(b"\r\n\r\n")
    assert body == b"hello\n"
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 6" in head.lower()
    assert b"\r\ndate: " in head.lower()
    assert b"connection: close" not in head.lower()


async def test_requests_follow_one_another_on_a_connection(wire, autojump_clock):
    connection, client = wire
    await client.send_all(GET + GET.replace(b"/path", b"/next"))  # even sent together
    for path in ("/path", "/next"):
        request = await connection.read_head(timeout=5)
        assert request.path == path
        assert await connection.respond(text(200, path))
    assert (await received(client)).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(GET.replace(b"1.1", b"1.0"), id="HTTP/1.0"),
        pytest.param(GET.replace(b"Host", b"Connection: close\r\nHost"), id="asked to close"),
        pytest.param(post(b"Content-Length: 5", b"he"), id="unread body"),
    ],
)
async def test_a_connection_that_cannot_go_on_says_so(wire, autojump_clock, request_):
    connection, client = wire
    await client.send_all(request_)
    await connection.read_head(timeout=5)
    assert not await connection.respond(text(200, "bye"))
    assert b"connection: close" in (await received(client)).lower()


async def test_a_head_request_gets_the_length_and_no_body(wire, autojump_clock):
    connection, client = wire
    await client.send_all(GET.replace(b"GET", b"HEAD"))
    await connection.read_head(timeout=5)
    assert await connection.respond(Response(200, (), b"12345"))
    head, _, body = (await received(client)).partition(b"\r\n\r\n")
    assert b"content-length: 5" in head.lower()
    assert body == b""


class Chunks:
    def __init__(self, *chunks):
        self.chunks = list(chunks)
        self.closed = False

    async def read(self, size, /):
        return self.chunks.pop(0) if self.chunks else b""

    async def aclose(self):
        self.closed = True


async def test_a_body_can_be_read_as_it_is_sent(wire, autojump_clock):
    connection, client = wire
    await client.send_all(GET)
    await connection.read_head(timeout=5)
    body = Chunks(b"one", b"two")
    assert await connection.respond(Response(200, (), body, 6))
    assert (await received(client)).endswith(b"\r\n\r\nonetwo")
    assert body.closed


async def test_a_body_that_turns_out_shorter_breaks_the_connection(wire):
    connection, client = wire
    await client.send_all(GET)
    await connection.read_head(timeout=5)
    body = Chunks(b"one")
    with pytest.raises(trio.BrokenResourceError):
        await connection.respond(Response(200, (), body, 6))
    assert body.closed


async def test_a_client_that_does_not_read_is_given_up(autojump_clock):
    ours, client = trio.testing.lockstep_stream_pair()
    connection = HttpConnection(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, GET)
        await connection.read_head(timeout=5)
        with pytest.raises(trio.BrokenResourceError):
            await connection.respond(text(200, "hello"))


async def test_closing_lets_the_client_read_the_answer_though_input_is_unread():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, await trio.open_tcp_stream(*listener.socket.getsockname()[:2]) as client:
        connection = HttpConnection(await listener.accept())
        await client.send_all(b"nonsense\r\n\r\n" + b"x" * 100_000)
        await connection.respond(await refusal(connection))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            data = b""
            while piece := await client.receive_some():
                data += piece
            assert data.startswith(b"HTTP/1.1 400 ")
            await client.aclose()


async def test_closing_never_waits_longer_than_its_timeout():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, await trio.open_tcp_stream(*listener.socket.getsockname()[:2]):
        connection = HttpConnection(await listener.accept())
        with trio.fail_after(5):
            await connection.aclose(timeout=0.01)


async def test_an_answer_may_echo_what_is_not_ascii(wire):
    connection, client = wire
    await client.send_all(b"GET / HTTP/1.1\r\nHost: h\r\nX-Odd: \xe9\r\n\r\n")
    request = await connection.read_head(timeout=5)
    await connection.respond(Response(200, (("x-echo", request.header("x-odd")),)))
    assert b"x-echo: \xe9\r\n" in await received(client)
