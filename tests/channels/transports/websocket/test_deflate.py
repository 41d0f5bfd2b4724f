import pytest

from channels.transports.websocket.deflate import agree

OURS = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ([], None),
        (["x-webkit-deflate-frame"], None),
        (["permessage-deflate"], OURS),
        (["permessage-deflate; client_max_window_bits"], OURS),
        (["permessage-deflate; client_max_window_bits=10"], OURS),
        (["permessage-deflate; server_max_window_bits=9"], f"{OURS}; server_max_window_bits=9"),
        (['permessage-deflate; server_max_window_bits="9"'], f"{OURS}; server_max_window_bits=9"),
        (["permessage-deflate; server_no_context_takeover"], OURS),
    ],
)
def test_the_first_offer_that_can_be_taken_is_answered(offers, answer):
    assert agree(offers) == answer


@pytest.mark.parametrize(
    "parameter",
    [
        "unheard_of",
        "client_no_context_takeover=1",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "client_max_window_bits=abc",
        "client_max_window_bits=08",
    ],
)
def test_a_malformed_offer_is_passed_over(parameter):
    bad = f"permessage-deflate; {parameter}"
    assert agree([bad]) is None
    assert agree([bad, "permessage-deflate"]) == OURS
