import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.endpoint.query import decode_query, percent_decode


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "2"}),
        ("vsn[]=1", {"vsn": ["1"]}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[b]=1&a[c]=2", {"a": {"b": "1", "c": "2"}}),
        ("a[b][]=1&a[b][]=2", {"a": {"b": ["1", "2"]}}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("=1", {"": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1+2%2B3", {"a": "1 2+3"}),
        ("n%C3%A4me=gr%C3%BC%C3%9Fe", {"näme": "grüße"}),
        ("&&a=1&", {"a": "1"}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b]=1&a=2", {"a": "2"}),
        ("a=1&a[]=2", {"a": ["2"]}),
        ("a[b=1", {"a[b": "1"}),
        ("a]=1", {"a]": "1"}),
        ("[]=1", {"[]": "1"}),
    ],
)
def test_a_query_is_read_as_plug_reads_it(query, params):
    assert decode_query(query) == params


@pytest.mark.parametrize(
    "query", ["a=%", "a=%1", "a=%zz", "a=%ff", "%00=1", "a" + "[b]" * 20 + "=1"]
)
def test_a_malformed_query_is_refused(query):
    with pytest.raises(ValueError):
        decode_query(query)


def test_a_path_is_decoded_once():
    assert percent_decode("/a%2525") == "/a%25"


@given(st.text(alphabet="ab[]=&+%01", max_size=40))
def test_any_query_is_decoded_or_refused(query):
    try:
        params = decode_query(query)
    except ValueError:
        return
    assert isinstance(params, dict)
