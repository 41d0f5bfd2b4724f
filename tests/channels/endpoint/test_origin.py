import pytest

from channels.endpoint.origin import CheckOrigin, Origin, parse_origin

HERE = Origin("http", "chat.example.com", 4000)


@pytest.mark.parametrize("option", [True, False, "conn", ["//other.com"], lambda _: False])
def test_a_client_that_sends_no_origin_is_no_browser_and_may_connect(option):
    assert CheckOrigin(option, host="example.com").allows(None, HERE)


def test_false_lets_every_page_connect():
    assert CheckOrigin(False).allows("https://evil.example", HERE)
    assert CheckOrigin(False).allows("null", HERE)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://chat.example.com", True),
        ("https://chat.example.com:8443", True),
        ("https://CHAT.example.com", True),
        ("https://example.com", False),
        ("https://evil-chat.example.com", False),
    ],
)
def test_true_compares_the_host_with_the_endpoints(origin, allowed):
    check = CheckOrigin(True, host="Chat.Example.com")
    assert check.allows(origin, HERE) is allowed


def test_true_without_a_host_allows_any_host():
    assert CheckOrigin(True).allows("https://anything.example", HERE)


@pytest.mark.parametrize(
    "origin", ["null", "", "file://", "//", "https://", "http://[bad", "http://h:x"]
)
@pytest.mark.parametrize("option", [True, "conn", ["//example.com"]])
def test_an_origin_that_names_no_host_is_refused(option, origin):
    assert not CheckOrigin(option).allows(origin, HERE)


@pytest.mark.parametrize(
    ("entry", "origin", "allowed"),
    [
        ("//example.com", "http://example.com", True),
        ("//example.com", "https://example.com:444", True),
        ("//example.com", "https://www.example.com", False),
        ("https://example.com", "https://example.com", True),
        ("https://example.com", "http://example.com", False),
        ("https://example.com", "https://example.com:8443", False),
        ("//*.example.com", "https://example.com", True),
        ("//*.example.com", "https://a.b.example.com", True),
        ("//*.example.com", "https://badexample.com", False),
        ("//*.example.com", "https://example.com.evil.com", False),
        ("//host:81", "http://host:81", True),
        ("//host:81", "http://host", False),
        ("//host:80", "http://host", True),
        ("//EXAMPLE.com", "http://example.COM", True),
    ],
)
def test_a_list_names_hosts_with_optional_scheme_port_and_subdomains(entry, origin, allowed):
    assert CheckOrigin(["//unrelated.org", entry]).allows(origin, HERE) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://chat.example.com:4000", True),
        ("https://chat.example.com:4000", False),
        ("http://chat.example.com", False),
        ("http://example.com:4000", False),
    ],
)
def test_conn_compares_with_the_request_itself(origin, allowed):
    assert CheckOrigin("conn").allows(origin, HERE) is allowed


def test_a_function_decides_about_every_origin_even_one_without_a_host():
    seen = []

    def decide(origin):
        seen.append(origin)
        return origin.host is None

    assert CheckOrigin(decide).allows("null", HERE)
    assert not CheckOrigin(decide).allows("https://example.com", HERE)
    assert seen == [Origin(None, None, None), Origin("https", "example.com", 443)]


@pytest.mark.parametrize("entry", ["example.com", "", "https://", "*.example.com"])
def test_an_entry_that_names_no_host_is_refused_when_the_policy_is_made(entry):
    with pytest.raises(ValueError, match="names no host"):
        CheckOrigin([entry])


@pytest.mark.parametrize("option", ["//example.com", None, 1.5])
def test_an_option_that_is_none_of_the_five_is_refused(option):
    with pytest.raises(ValueError, match="expected True, False"):
        CheckOrigin(option)


@pytest.mark.parametrize(
    ("option", "origin", "said"),
    [
        (True, "https://b.com", ["public_host is 'chat.example.com'", "set public_host"]),
        ("conn", "http://b.com", ["went to http://chat.example.com:4000", "Host header"]),
        ("conn", "https://chat.example.com", ['public_scheme="https"', "went to http://"]),
        (["//a.com"], "https://b.com", ["check_origin is ['//a.com']"]),
    ],
)
def test_the_log_line_says_what_was_compared_and_what_to_do(option, origin, said):
    words = CheckOrigin(option, host="chat.example.com").explain(origin, HERE)
    for part in (repr(origin), f'check_origin=["{origin}"]', *said):
        assert part in words


def test_the_log_line_is_short_whatever_was_sent():
    assert len(CheckOrigin("conn").explain("http://" + "a" * 16_000, HERE)) < 1000


def test_the_port_of_an_origin_is_its_schemes_own_unless_written():
    assert [parse_origin(f"{scheme}://h").port for scheme in ("http", "https", "ws", "wss")] == [
        80,
        443,
        80,
        443,
    ]
    assert parse_origin("//h").port is None
