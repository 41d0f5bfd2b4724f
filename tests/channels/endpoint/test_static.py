import os
from email.utils import formatdate

import pytest
import trio

from channels.endpoint.http import Request
from channels.endpoint.query import percent_decode
from channels.endpoint.static import StaticFiles


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "static"
    (root / "sub").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "index.html").write_text("<h1>chat</h1>")
    (root / "sub" / "index.html").write_text("sub")
    (root / "chat.js").write_text("export {}")
    (root / "grüße und so.txt").write_text("hi")
    (root / ".env").write_text("SECRET")
    (root / ".git" / "config").write_text("SECRET")
    (tmp_path / "secret.txt").write_text("SECRET")
    (tmp_path / "static-too").mkdir()
    (tmp_path / "static-too" / "secret.txt").write_text("SECRET")
    return root


@pytest.fixture
def files(folder):
    return StaticFiles(folder)


def request_of(target, method="GET", **headers):
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    path = percent_decode(target.partition("?")[0])
    return Request(method, target, path, "", {}, fields, "1.1", keep_alive=True, has_body=False)


async def get(files, target, method="GET", **headers):
    return await files.respond_to(request_of(target, method, **headers))


@pytest.mark.parametrize(
    ("target", "kind", "body"),
    [
        ("/", "text/html; charset=utf-8", b"<h1>chat</h1>"),
        ("/index.html?v=1", "text/html; charset=utf-8", b"<h1>chat</h1>"),
        ("/sub/", "text/html; charset=utf-8", b"sub"),
        ("/chat.js", "text/javascript; charset=utf-8", b"export {}"),
        ("/gr%C3%BC%C3%9Fe%20und%20so.txt", "text/plain; charset=utf-8", b"hi"),
    ],
)
async def test_a_file_is_served_with_its_type(files, target, kind, body):
    response = await get(files, target)
    assert (response.status, response.body) == (200, body)
    assert dict(response.headers)["content-type"] == kind


async def test_every_answer_carries_the_security_headers(files):
    headers = dict((await get(files, "/")).headers)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-cache"
    policy = headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "connect-src 'self' ws: wss:" in policy


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/sub/../../secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/../static-too/secret.txt",
        "/.env",
        "/.git/config",
        "/./index.html",
        "/sub//index.html",
        "/missing",
        "/sub",
        "/index.html/",
        "/chat.js/x",
        "/" + "x" * 5_000,
        "/" + "x/" * 2_000,
    ],
)
async def test_nothing_else_is_served(files, target):
    response = await get(files, target)
    assert response.status == 404
    assert b"SECRET" not in response.body


async def test_a_name_with_a_nul_is_not_served(files):
    request = Request("GET", "/", "/a\0b", "", {}, (), "1.1", keep_alive=True, has_body=False)
    assert (await files.respond_to(request)).status == 404


async def test_a_link_is_followed_only_inside_the_folder(files, folder):
    (folder / "out.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "out").symlink_to(folder.parent)
    (folder / "in.js").symlink_to(folder / "chat.js")
    (folder / "circle").symlink_to(folder / "circle")
    assert (await get(files, "/out.txt")).status == 404
    assert (await get(files, "/out/secret.txt")).status == 404
    assert (await get(files, "/circle")).status == 404
    assert (await get(files, "/in.js")).body == b"export {}"


async def test_a_pipe_in_the_folder_does_not_stop_the_server(files, folder):
    os.mkfifo(folder / "pipe")
    with trio.fail_after(5):
        assert (await get(files, "/pipe")).status == 404


async def test_an_unreadable_type_of_file_is_told_as_bytes(files, folder):
    (folder / "data.unheard").write_bytes(b"\0")
    headers = dict((await get(files, "/data.unheard")).headers)
    assert headers["content-type"] == "application/octet-stream"


async def test_a_copy_with_the_same_tag_is_still_good(files):
    tag = dict((await get(files, "/")).headers)["etag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = await get(files, "/", if_none_match=given)
        assert (response.status, response.body) == (304, b"")
        assert dict(response.headers)["etag"] == tag


async def test_a_changed_file_is_sent_again(files, folder):
    tag = dict((await get(files, "/")).headers)["etag"]
    (folder / "index.html").write_text("<h1>new</h1>")
    assert (await get(files, "/", if_none_match=tag)).body == b"<h1>new</h1>"


async def test_a_copy_that_is_as_new_is_still_good(files, folder):
    modified = dict((await get(files, "/")).headers)["last-modified"]
    assert (await get(files, "/", if_modified_since=modified)).status == 304
    older = formatdate((folder / "index.html").stat().st_mtime - 100, usegmt=True)
    assert (await get(files, "/", if_modified_since=older)).status == 200
    assert (await get(files, "/", if_modified_since="yesterday")).status == 200


async def test_the_tag_counts_before_the_date(files):
    modified = dict((await get(files, "/")).headers)["last-modified"]
    response = await get(files, "/", if_none_match='"other"', if_modified_since=modified)
    assert response.status == 200


async def test_a_large_file_is_read_as_it_is_sent(files, folder):
    (folder / "big.bin").write_bytes(b"x" * 1_000_000)
    response = await get(files, "/big.bin")
    assert (response.status, response.size) == (200, 1_000_000)
    assert await response.body.read(3) == b"xxx"
    await response.body.aclose()


async def test_a_large_file_that_is_still_good_is_not_left_open(files, folder):
    (folder / "big.bin").write_bytes(b"x" * 1_000_000)
    response = await get(files, "/big.bin", if_none_match="*")
    assert response.status == 304


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(files, method):
    response = await get(files, "/", method)
    assert response.status == 405
    assert ("allow", "GET, HEAD") in response.headers


async def test_head_is_served_like_get(files):
    assert (await get(files, "/", "HEAD")).status == 200


def test_a_missing_folder_is_told_at_once(tmp_path):
    with pytest.raises(NotADirectoryError, match="static files is missing"):
        StaticFiles(tmp_path / "nowhere")


def test_an_empty_folder_is_not_the_current_one():
    """It would serve the program's source, where an option was not set."""
    with pytest.raises(ValueError, match="static is empty"):
        StaticFiles("")
