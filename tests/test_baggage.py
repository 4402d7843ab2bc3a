"""The rules of W3C Baggage for reading one entry, each with its section."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackline.baggage import baggage_entry

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
OCTETS = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '",;\\')


def row(section, name, values, key, expected):
    """One row of a table: its id in pytest's output is the section and the rule."""
    return pytest.param([v if isinstance(v, bytes) else v.encode() for v in values], key, expected, id=f"{section} {name}")


@pytest.mark.parametrize(
    ("values", "key", "expected"),
    [
        row("3.3.1", "one member", ["SomeKey=SomeValue"], "SomeKey", "SomeValue"),
        row("3.3.1.1", "a later member", ["a=1,tracking_id=abc,b=2"], "tracking_id", "abc"),
        row("3.3.1.1", "the first of duplicates", ["a=1,a=2"], "a", "1"),
        row("RFC 9110 5.3", "a later header", ["a=1", "b=2,c=3", "d=4"], "c", "3"),
        row("RFC 9110 5.3", "the first of duplicates over headers", ["a=1", "a=2"], "a", "1"),
        row("RFC 9110 5.6.1.2", "empty members", [",, a=1 ,\t,b=2,"], "b", "2"),
        row("3.3.1", "whitespace around everything", ["a \t = \t 1 \t , \t b \t = \t 2 \t ; \t p \t = \t 3"], "b", "2"),
        row("3.3.1.2", "all characters of a token", [f"{TOKEN}=1"], TOKEN, "1"),
        row("3.3.1.3", "all octets of a value", [f"a={OCTETS.replace('%', '%25')}"], "a", OCTETS),
        row("3.3.1.3", "equals signs in a value", ["a=b=c==,d=1"], "a", "b=c=="),
        row("3.3.1.3", "an empty value", ["a=,b=1"], "a", ""),
        row("3.3.1.3", "an empty value with a property", ["a= ;p"], "a", ""),
        row("3.3.1.3", "percent-encoding", ["a=DF%2028%2C%3b%22"], "a", 'DF 28,;"'),
        row("3.3.1.3", "percent-encoded UTF-8", ["a=Am%C3%A9lie"], "a", "Amélie"),
        row("3.3.1.3", "a plus stays a plus", ["a=1+1"], "a", "1+1"),
        row("3.3.1.3", "a percent-encoded plus", ["a=1%2B1"], "a", "1+1"),
        row("3.3.1.3", "decoded once", ["a=%2541"], "a", "%41"),
        row("3.3.1.3", "no UTF-8 after decoding", ["a=x%FFy%C3"], "a", "x\ufffdy\ufffd"),
        row("3.3.1.3", "an encoded surrogate is no UTF-8", ["a=%ED%A0%80"], "a", "\ufffd\ufffd\ufffd"),
        row("3.3.1.3", "a percent sign that encodes nothing", ["a=100%,b=%zz"], "a", "100%"),
        row("3.3.1.4", "properties are not part of the value", ["a=1;p;q=2,b=2;r"], "a", "1"),
        row("3.3.1.4", "properties are opaque", ['a=1;"\\ =;;,b=2'], "a", "1"),
        row("3.3.1.4", "a property is no member", ["a=1;b=2"], "b", None),
        row("3.3.1.2", "keys are case-sensitive", ["Tracking_ID=1"], "tracking_id", None),
        row("3.3.1.2", "keys are case-sensitive, whatever the value", ["Tracking_ID=tracking_id"], "tracking_id", None),
        row("3.3.1.2", "keys are not percent-encoded", ["%61=1"], "a", None),
        row("3.3.1.2", "a part of a key is none", ["tracking_id2=1,x_tracking_id=2"], "tracking_id", None),
        row("3.3.1.2", "a value is no key", ["a=tracking_id"], "tracking_id", None),
        row("3.3.1.2", "no key", ["=1"], "", None),
        row("3.3.1.2", "a key that is no token", ["a b=1"], "a b", None),
        row("3.3.1.2", "a key with whitespace around it", [" a =1"], " a ", None),
        row("3.3.1.2", "a key that is not ASCII", ["é=1"], "é", None),
        row("3.3.1.2", "a key that is a surrogate", [b"\xed\xa0\x80=1"], "\ud800", None),
        row("3.3.1", "no equals sign", ["a"], "a", None),
        row("3.3.1.3", "a space inside a value: the next one counts", ["a=1 2,a=3"], "a", "3"),
        row("3.3.1.3", "a quoted value", ['a="1"'], "a", None),
        row("3.3.1.3", "a backslash", ["a=1\\2"], "a", None),
        row("3.3.1.3", "a control character", ["a=1\x1f"], "a", None),
        row("3.3.1.3", "a line feed after", ["a=1\n"], "a", None),
        row("3.3.1.3", "DEL", ["a=1\x7f"], "a", None),
        row("3.3.1.3", "raw non-ASCII", ["a=é"], "a", None),
        row("3.3.1", "a bad member hides no other", ["garbage,é,=,a=1"], "a", "1"),
        row("3.2", "no header", [], "a", None),
        row("3.3.1", "an empty header", [""], "a", None),
        row("3.3.2", "the 64th member", [",".join(f"k{n}={n}" for n in range(1, 66))], "k64", "64"),
        row("3.3.2", "the 65th member", [",".join(f"k{n}={n}" for n in range(1, 66))], "k65", None),
        row("3.3.2", "the 65th member, in a later header", [",".join(["a=1"] * 64), "b=2"], "b", None),
        row("3.3.2", "empty members do not count", ["," * 99 + ",".join(["a=1"] * 63) + ",b=2"], "b", "2"),
        row("3.3.2", "8192 bytes", [f"a={'v' * 8190}"], "a", "v" * 8190),
        row("3.3.2", "8193 bytes", [f"a={'v' * 8191}"], "a", None),
        row("3.3.2", "a member that ends at byte 8192", [f"a={'v' * 8186},b=2,c=3"], "b", "2"),
        row("3.3.2", "a member that goes over the edge", [f"a={'v' * 8186},b=23"], "b", None),
        row("3.3.2", "a member that goes over the edge, and more", [f"a={'v' * 8186},b=23,c=3"], "b", None),
        row("3.3.2", "a member before one that goes over the edge", [f"a={'v' * 8186},b=23"], "a", "v" * 8186),
        row("3.3.2", "the limit is for all headers", ["x=" + "v" * 8000, "y=" + "v" * 200, "a=1"], "a", None),
    ],
)
def test_baggage_entry_is(values, key, expected):
    assert baggage_entry(values, key) == expected


@given(st.text(TOKEN, min_size=1, max_size=9), st.text(max_size=50), st.sampled_from(["", " ", "\t ", ";p=1", " ; p"]))
def test_any_value_that_was_percent_encoded_comes_back(key, value, tail):
    header = f"first,{key}\t={tail if not tail.strip() else ''}{quote(value)}{tail}"

    assert baggage_entry([header.encode()], key) == value


near_headers = st.from_regex(rb"([ \t]?[aab\x80]{1,2}[ \t]?=?[ \t]?[%0-9A-Fa;\"\x00-\x20\xc3]{0,6},?){0,5}", fullmatch=True)
headers = st.lists(st.binary(max_size=60) | near_headers, max_size=3)


@given(headers, st.just("a") | st.text(max_size=3) | st.characters(categories=["Cs"]))
def test_no_bytes_and_no_key_raise_and_every_value_is_valid_unicode(values, key):
    value = baggage_entry(values, key)

    assert value is None or value.encode().decode() == value


@given(headers.map(lambda values: [value.replace(b"%", b"") for value in values]))
def test_a_value_that_was_not_encoded_has_no_control_characters(values):
    value = baggage_entry(values, "a")

    assert value is None or (value.isascii() and value.isprintable())
