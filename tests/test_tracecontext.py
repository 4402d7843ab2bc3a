"""The rules of W3C Trace Context Level 2 for one request's headers, each with its section.

The cases named ``test_…`` are those of W3C's conformance suite that concern parsing. What needs both headers, the names
of headers or an outgoing call belongs to the middleware's tests.
"""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trackline.tracecontext import (
    TraceContext,
    _parse_untidy_tracestate,
    format_traceparent,
    parse_traceparent,
    parse_tracestate,
)

TRACE_ID = "12345678901234567890123456789012"
PARENT_ID = "1234567890123456"
VALID = f"00-{TRACE_ID}-{PARENT_ID}-01"


def rule(section, name, *values):
    """One row of a table: its id in pytest's output is the section and the rule."""
    return pytest.param([v if isinstance(v, bytes) else v.encode() for v in values], id=f"{section} {name}")


def row(section, name, values, expected):
    return pytest.param([v.encode() for v in values], expected, id=f"{section} {name}")


# traceparent


@pytest.mark.parametrize(
    "values",
    [
        rule("3.2.2", "test_traceparent_included_tracestate_missing", VALID),
        rule("3.2.2", "hex digits a to f", "00-abcdefabcdefabcdefabcdefabcdefab-abcdefabcdefabcd-0a"),
        rule("3.2.2.3", "leading zeros of a trace id", f"00-{'0' * 31}1-{PARENT_ID}-01"),
        rule("3.2.2.3", "trailing zeros of a trace id", f"00-1{'0' * 31}-{PARENT_ID}-01"),
        rule("3.2.2.4", "leading zeros of a parent id", f"00-{TRACE_ID}-{'0' * 15}1-01"),
        rule("3.2.2.4", "trailing zeros of a parent id", f"00-{TRACE_ID}-1{'0' * 15}-01"),
        rule("3.2.2.5", "unknown flags", f"00-{TRACE_ID}-{PARENT_ID}-ff"),
        rule("3.2.4", "test_traceparent_version_0xcc of 55 characters", f"cc{VALID[2:]}"),
        rule("3.2.4", "test_traceparent_version_0xcc with more fields", f"cc{VALID[2:]}-what-the-future-will-be-like"),
        rule("3.2.4", "a higher version with an empty field", f"01{VALID[2:]}-"),
        rule("3.2.4", "a higher version with a space in an unknown field", f"01{VALID[2:]}-a b"),
        rule("3.2.4", "version fe", f"fe{VALID[2:]}"),
    ],
)
def test_traceparent_is_accepted_as_it_came(values):
    header = values[0].decode()

    assert parse_traceparent(values) == TraceContext(header[3:35], header[36:52], int(header[53:55], 16), header)


@pytest.mark.parametrize(
    "values",
    [
        rule("RFC 9110 5.5", "test_traceparent_ows_handling: space before", f" {VALID}"),
        rule("RFC 9110 5.5", "test_traceparent_ows_handling: tab before", f"\t{VALID}"),
        rule("RFC 9110 5.5", "test_traceparent_ows_handling: space after", f"{VALID} "),
        rule("RFC 9110 5.5", "test_traceparent_ows_handling: tab after", f"{VALID}\t"),
        rule("RFC 9110 5.5", "test_traceparent_ows_handling: both around", f"\t {VALID} \t"),
    ],
)
def test_whitespace_around_a_traceparent_is_stripped(values):
    assert parse_traceparent(values) == TraceContext(TRACE_ID, PARENT_ID, 1, VALID)


def test_whitespace_after_an_unknown_field_is_stripped():
    assert parse_traceparent([f"cc{VALID[2:]}-a b \t".encode()]).header == f"cc{VALID[2:]}-a b"


@pytest.mark.parametrize(
    "values",
    [
        rule("3.2", "test_both_traceparent_and_tracestate_missing"),
        rule("3.2", "empty", ""),
        rule("3.2", "whitespace alone", " \t "),
        rule("RFC 9110 5.3", "test_traceparent_duplicated: two traces", f"00-{TRACE_ID[:-1]}1-{PARENT_ID}-01", VALID),
        rule("RFC 9110 5.3", "test_traceparent_duplicated: the same twice", VALID, VALID),
        rule("RFC 9110 5.3", "test_traceparent_duplicated: a valid one and garbage", VALID, "garbage"),
        rule("RFC 9110 5.3", "test_traceparent_duplicated: an empty one and a valid one", "", VALID),
        rule("RFC 9110 5.3", "test_traceparent_duplicated: joined by a proxy", f"{VALID}, {VALID}"),
        rule("RFC 9110 5.3", "test_traceparent_duplicated: joined, higher version", f"cc{VALID[2:]}, {VALID}"),
        rule("3.2.2.2", "test_traceparent_version_0x00: one character more", f"{VALID}."),
        rule("3.2.2.2", "test_traceparent_version_0x00: more fields", f"{VALID}-what-the-future-will-be-like"),
        rule("3.2.2.2", "test_traceparent_version_0x00: an empty field", f"{VALID}-"),
        rule("3.2.4", "test_traceparent_version_0xcc: no dash after the flags", f"cc{VALID[2:]}.what-the-future"),
        rule("3.2.4", "a higher version of 54 characters", f"cc{VALID[2:-1]}"),
        rule("3.2.4", "a higher version with three digits of flags", f"cc{VALID[2:]}1"),
        rule("3.2.4", "a higher version with a control character", f"cc{VALID[2:]}-a\x1fb"),
        rule("3.2.4", "a higher version with a tab in an unknown field", f"cc{VALID[2:]}-a\tb"),
        rule("3.2.4", "a higher version with a line feed", f"cc{VALID[2:]}-a\nx-evil: 1"),
        rule("3.2.4", "a higher version with DEL", f"cc{VALID[2:]}-a\x7fb"),
        rule("3.2.4", "a higher version with non-ASCII", f"cc{VALID[2:]}-é"),
        rule("3.2.2.1", "test_traceparent_version_0xff", f"ff{VALID[2:]}"),
        rule("3.2.2.1", "version ff with more fields", f"ff{VALID[2:]}-more"),
        rule("3.2.2.1", "test_traceparent_version_illegal_characters: first", f".0{VALID[2:]}"),
        rule("3.2.2.1", "test_traceparent_version_illegal_characters: second", f"0.{VALID[2:]}"),
        rule("3.2.2.1", "version in upper case", f"CC{VALID[2:]}"),
        rule("3.2.2.1", "test_traceparent_version_too_long: 3", f"0{VALID}"),
        rule("3.2.2.1", "test_traceparent_version_too_long: 4", f"00{VALID}"),
        rule("3.2.2.1", "test_traceparent_version_too_short", VALID[1:]),
        rule("3.2.2.3", "test_traceparent_trace_id_all_zero", f"00-{'0' * 32}-{PARENT_ID}-01"),
        rule("3.2.2.3", "test_traceparent_trace_id_illegal_characters: first", f"00-.{TRACE_ID[1:]}-{PARENT_ID}-01"),
        rule("3.2.2.3", "test_traceparent_trace_id_illegal_characters: last", f"00-{TRACE_ID[:-1]}.-{PARENT_ID}-01"),
        rule("3.2.2.3", "trace id in upper case", f"00-{TRACE_ID[:-1]}A-{PARENT_ID}-01"),
        rule("3.2.2.3", "test_traceparent_trace_id_too_long", f"00-{TRACE_ID}3-{PARENT_ID}-01"),
        rule("3.2.2.3", "test_traceparent_trace_id_too_short", f"00-{TRACE_ID[:-1]}-{PARENT_ID}-01"),
        rule("3.2.2.4", "test_traceparent_parent_id_all_zero", f"00-{TRACE_ID}-{'0' * 16}-01"),
        rule("3.2.2.4", "test_traceparent_parent_id_illegal_characters: first", f"00-{TRACE_ID}-.{PARENT_ID[1:]}-01"),
        rule("3.2.2.4", "test_traceparent_parent_id_illegal_characters: last", f"00-{TRACE_ID}-{PARENT_ID[:-1]}.-01"),
        rule("3.2.2.4", "parent id in upper case", f"00-{TRACE_ID}-{PARENT_ID[:-1]}A-01"),
        rule("3.2.2.4", "test_traceparent_parent_id_too_long", f"00-{TRACE_ID}-{PARENT_ID}7-01"),
        rule("3.2.2.4", "test_traceparent_parent_id_too_short", f"00-{TRACE_ID}-{PARENT_ID[:-1]}-01"),
        rule("3.2.2.5", "test_traceparent_trace_flags_illegal_characters: first", f"00-{TRACE_ID}-{PARENT_ID}-.0"),
        rule("3.2.2.5", "test_traceparent_trace_flags_illegal_characters: last", f"00-{TRACE_ID}-{PARENT_ID}-0."),
        rule("3.2.2.5", "flags in upper case", f"00-{TRACE_ID}-{PARENT_ID}-0A"),
        rule("3.2.2.5", "test_traceparent_trace_flags_too_long", f"00-{TRACE_ID}-{PARENT_ID}-001"),
        rule("3.2.2.5", "test_traceparent_trace_flags_too_short", f"00-{TRACE_ID}-{PARENT_ID}-1"),
        rule("3.2.2", "another delimiter after the version", f"00_{VALID[3:]}"),
        rule("3.2.2", "another delimiter after the trace id", f"{VALID[:35]}_{VALID[36:]}"),
        rule("3.2.2", "another delimiter after the parent id", f"{VALID[:52]}_{VALID[53:]}"),
        rule("3.2.2", "no delimiters", VALID.replace("-", "")),
        rule("RFC 9110 5.5", "line feed after", f"{VALID}\n"),
        rule("RFC 9110 5.5", "carriage return after", f"{VALID}\r"),
        rule("RFC 9110 5.5", "vertical tab before", f"\v{VALID}"),
        rule("RFC 9110 5.5", "NUL after", f"{VALID}\0"),
        rule("RFC 9110 5.5", "no-break space before", f"\xa0{VALID}"),
        rule("3.2.2.3", "non-ASCII digits", f"00-{'٣' * 32}-{PARENT_ID}-01"),
        rule("3.2.2.1", "no UTF-8", b"\xff" * 55),
    ],
)
def test_traceparent_is_refused(values):
    assert parse_traceparent(values) is None


@pytest.mark.parametrize(
    ("flags", "is_sampled", "is_random"),
    [
        ("00", False, False),
        ("01", True, False),
        ("02", False, True),
        ("03", True, True),
        ("fc", False, False),
        ("ff", True, True),
    ],
)
def test_each_flag_is_its_own_bit(flags, is_sampled, is_random):
    context = parse_traceparent([f"00-{TRACE_ID}-{PARENT_ID}-{flags}".encode()])

    assert (context.flags, context.is_sampled, context.is_random) == (int(flags, 16), is_sampled, is_random)


def test_a_trace_context_cannot_be_changed():
    with pytest.raises(AttributeError):
        parse_traceparent([VALID.encode()]).flags = 0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(0, "00"), (1, "01"), (2, "02"), (3, "03"), (0xFD, "01"), (0xFF, "03"), (0x100, "00")],
)
def test_reserved_flags_are_zero_in_a_header_that_we_make(flags, expected):
    assert format_traceparent(TRACE_ID, PARENT_ID, flags) == f"00-{TRACE_ID}-{PARENT_ID}-{expected}"


hex_digits = st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda digits: digits.strip("0"))
near_traceparents = st.from_regex(rb"[ \t]*[0-9a-fA-F]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{2}(-.{0,9})?[ \t]*", fullmatch=True)
any_bytes = st.lists(st.binary(max_size=80) | near_traceparents, max_size=3)


@given(hex_digits, hex_digits.map(lambda digits: digits[:16]).filter(lambda digits: digits.strip("0")), st.integers(0, 255))
def test_what_is_formatted_parses_to_the_same(trace_id, parent_id, flags):
    header = format_traceparent(trace_id, parent_id, flags)

    assert parse_traceparent([header.encode()]) == TraceContext(trace_id, parent_id, flags & 3, header)


@given(any_bytes)
@example([f" cc{VALID[2:]}-a b\t".encode()])
def test_any_traceparent_is_refused_or_reparses_to_itself(values):
    context = parse_traceparent(values)

    if context is not None:
        assert parse_traceparent([context.header.encode()]) == context
        assert context.header.isascii()
        assert context.header.isprintable()
        assert context.header == context.header.strip()


# tracestate

KEY = "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
VALUE = "".join(chr(c) for c in range(0x20, 0x7F) if chr(c) not in ",=")
LONGEST = f"{'k' * 256}={'v' * 256}"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        row("3.3.2.1", "test_tracestate_included_traceparent_included", ["foo=1,bar=2"], "foo=1,bar=2"),
        row(
            "RFC 9110 5.3",
            "test_tracestate_multiple_headers_different_keys",
            ["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
            "foo=1,bar=2,rojo=1,congo=2,baz=3",
        ),
        row("RFC 9110 5.3", "order of headers, not of keys", ["baz=3", "bar=2"], "baz=3,bar=2"),
        row("3.5", "test_tracestate_duplicated_keys: same value", ["foo=1,foo=1"], "foo=1,foo=1"),
        row("3.5", "test_tracestate_duplicated_keys: other value", ["foo=1,foo=2"], "foo=1,foo=2"),
        row("3.5", "test_tracestate_duplicated_keys: two headers", ["foo=1", "foo=1"], "foo=1,foo=1"),
        row("3.5", "test_tracestate_duplicated_keys: two headers, other value", ["foo=1", "foo=2"], "foo=1,foo=2"),
        row("3.3.2.2", "test_tracestate_all_allowed_characters", [f"{KEY}={VALUE}"], f"{KEY}={VALUE}"),
        row(
            "3.3.2.2",
            "test_tracestate_all_allowed_characters: at sign",
            [f"{KEY}@a-z0-9_-*/={VALUE}"],
            f"{KEY}@a-z0-9_-*/={VALUE}",
        ),
        row("3.3.2", "test_tracestate_empty_header: after a member", ["foo=1", ""], "foo=1"),
        row("3.3.2", "test_tracestate_empty_header: before a member", ["", "foo=1"], "foo=1"),
        row("3.3.2.1", "empty members", [",foo=1,,bar=2,"], "foo=1,bar=2"),
        row("3.3.2.1", "whitespace-only members", [" \t,foo=1, \t,bar=2"], "foo=1,bar=2"),
        row("3.3.2.1", "empty members do not count", [",".join(["a=1"] * 32 + [""] * 9)], ",".join(["a=1"] * 32)),
        row(
            "3.3.2.1",
            "test_tracestate_ows_handling: spaces first",
            ["foo=1 \t , \t bar=2, \t baz=3"],
            "foo=1,bar=2,baz=3",
        ),
        row(
            "3.3.2.1",
            "test_tracestate_ows_handling: tabs first",
            ["foo=1\t \t,\t \tbar=2,\t \tbaz=3"],
            "foo=1,bar=2,baz=3",
        ),
        row("3.3.2.1", "test_tracestate_ows_handling: space before", [" foo=1"], "foo=1"),
        row("3.3.2.1", "test_tracestate_ows_handling: tab before", ["\tfoo=1"], "foo=1"),
        row("3.3.2.1", "test_tracestate_ows_handling: space after", ["foo=1 "], "foo=1"),
        row("3.3.2.1", "test_tracestate_ows_handling: tab after", ["foo=1\t"], "foo=1"),
        row("3.3.2.1", "test_tracestate_ows_handling: around", ["\t foo=1 \t"], "foo=1"),
        row("3.3.2.2.2", "leading spaces belong to a value", ["foo=  1,bar= 2"], "foo=  1,bar= 2"),
        row("3.3.2.2.2", "spaces inside a value", ["foo=a b,bar=2 "], "foo=a b,bar=2"),
        row("3.3.2.2.2", "trailing spaces do not count", [f"foo={'v' * 256} "], f"foo={'v' * 256}"),
        row("3.3.2.2.1", "a key starts with a digit", ["1special=1"], "1special=1"),
        row("3.3.2.2.1", "test_tracestate_key_illegal_vendor_format: at sign last", ["foo@=1,bar=2"], "foo@=1,bar=2"),
        row("3.3.2.2.1", "test_tracestate_key_illegal_vendor_format: two", ["foo@@bar=1,bar=2"], "foo@@bar=1,bar=2"),
        row(
            "3.3.2.2.1",
            "test_tracestate_key_illegal_vendor_format: apart",
            ["foo@bar@baz=1,bar=2"],
            "foo@bar@baz=1,bar=2",
        ),
        row("3.3.2.2.1", "test_tracestate_key_length_limit: 256", ["foo=1", f"{'z' * 256}=1"], f"foo=1,{'z' * 256}=1"),
        row("3.3.2.2.1", "test_tracestate_key_length_limit: tenant of 242", [f"{'t' * 242}@v=1"], f"{'t' * 242}@v=1"),
        row("3.3.2.2.1", "test_tracestate_key_length_limit: vendor of 15", [f"t@{'v' * 15}=1"], f"t@{'v' * 15}=1"),
        row("3.3.2.2.2", "a value of 256", [f"foo={'v' * 256}"], f"foo={'v' * 256}"),
        row(
            "3.3.2.1",
            "test_tracestate_member_count_limit: 32",
            [",".join(["a=1"] * 30), "a=1,b=2"],
            ",".join(["a=1"] * 31 + ["b=2"]),
        ),
        row("3.3.3.1", "more than 512 characters", [",".join([LONGEST] * 2)], ",".join([LONGEST] * 2)),
        row("3.3.3.1", "the longest list there can be", [",".join([LONGEST] * 32)], ",".join([LONGEST] * 32)),
    ],
)
def test_tracestate_is_passed_on(values, expected):
    assert parse_tracestate(values) == expected


@pytest.mark.parametrize(
    "values",
    [
        rule("3.3", "test_both_traceparent_and_tracestate_missing"),
        rule("3.3.2", "test_tracestate_empty_header", ""),
        rule("3.3.2", "two empty headers", "", ""),
        rule("3.3.2.1", "nothing but empty members", " ,\t, ,"),
        rule("3.3.2.2.1", "test_tracestate_key_illegal_characters: space", "foo =1"),
        rule("3.3.2.2.1", "test_tracestate_key_illegal_characters: upper case", "FOO=1"),
        rule("3.3.2.2.1", "test_tracestate_key_illegal_characters: dot", "foo.bar=1"),
        rule("3.3.2.2.1", "test_tracestate_key_illegal_vendor_format: at sign first", "@foo=1,bar=2"),
        rule("3.3.2.2.1", "a key starts with an underscore", "_foo=1"),
        rule("3.3.2.2.1", "no key", "=1"),
        rule("3.3.2.2.1", "test_tracestate_key_length_limit: 257", "foo=1", f"{'z' * 257}=1"),
        rule("3.3.2.2.2", "no value", "foo"),
        rule("3.3.2.2.2", "test_tracestate_value_illegal_characters: equals sign", "foo=bar=baz"),
        rule("3.3.2.2.2", "test_tracestate_value_illegal_characters: empty", "foo=,bar=3"),
        rule("3.3.2.2.2", "a value of spaces", "foo=  ,bar=3"),
        rule("3.3.2.2.2", "a value of 257", f"foo={'v' * 257}"),
        rule("3.3.2.2.2", "a tab inside a value", "foo=a\tb"),
        rule("3.3.2.2.2", "a tab at the start of a value", "foo=\t1"),
        rule("3.3.2.2.2", "a control character", "foo=a\x1fb"),
        rule("3.3.2.2.2", "DEL", "foo=a\x7f"),
        rule("3.3.2.2.2", "a line feed after", "foo=1\n"),
        rule("3.3.2.2.2", "non-ASCII", "foo=é"),
        rule("3.3.2.2.2", "no UTF-8", b"foo=\xff"),
        rule("3.3.2.1", "one bad member drops the whole", "foo=1,bar=2,baz"),
        rule("3.3.2.1", "one bad header drops the whole", "foo=1", "BAR=2"),
        rule("3.3.2.1", "another separator", "foo=1;bar=2=3"),
        rule("3.3.2.1", "test_tracestate_member_count_limit: 33", ",".join(["a=1"] * 33)),
        rule("3.3.2.1", "test_tracestate_member_count_limit: 33 in two headers", ",".join(["a=1"] * 32), "b=1"),
        rule("RFC 9110 5.6.1.2", "more empty members than a mistake explains", "a=1" + "," * 16_445),
    ],
)
def test_tracestate_is_dropped(values):
    assert parse_tracestate(values) is None


def plain_tracestate(values):
    """The standard's words, one step each, against which the two regular expressions are held."""
    joined = b",".join(values)
    if len(joined) > 32 * 513 + 31:
        return None
    members = [part.strip(b" \t") for part in joined.split(b",")]
    members = [member for member in members if member]
    for member in members:
        key, equals, value = member.partition(b"=")
        if not equals or not 1 <= len(key) <= 256 or not 1 <= len(value) <= 256:
            return None
        if chr(key[0]) not in KEY[:36] or any(chr(c) not in KEY + "@" for c in key):
            return None
        if any(chr(c) not in VALUE for c in value):
            return None
    return b",".join(members).decode() if 1 <= len(members) <= 32 else None


tidy_members = st.from_regex(rf"[a-z0-9][{KEY}@]{{0,4}}=[ -+\--<>-~]{{0,4}}[!-+\--<>-~]".replace("-*/", r"\-*/"), fullmatch=True)
untidy_members = st.from_regex(rb"[ \t]?[a-z@A=\t ]{0,3}=?[ a=\t\x7f\x80]{0,3}[ \t]?", fullmatch=True)
members = tidy_members.map(str.encode) | untidy_members | st.just(b"") | st.just(b"k" * 256 + b"=" + b"v" * 256)
headers = st.lists(members, max_size=36).map(b",".join) | st.binary(max_size=40)


@given(st.lists(headers, max_size=3))
def test_tracestate_is_what_the_plain_reading_of_the_standard_gives(values):
    assert parse_tracestate(values) == plain_tracestate(values)


@given(headers | st.lists(tidy_members, min_size=1, max_size=34).map(lambda parts: ",".join(parts).encode()))
def test_the_fast_path_gives_what_the_slow_one_gives(value):
    assert parse_tracestate([value]) == _parse_untidy_tracestate([value])


@given(st.lists(headers, max_size=3))
def test_any_tracestate_is_dropped_or_reparses_to_itself(values):
    state = parse_tracestate(values)

    if state is not None:
        assert parse_tracestate([state.encode()]) == state
        assert state.isascii()
        assert state.isprintable()
