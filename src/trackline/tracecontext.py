"""
W3C Trace Context Level 2: the ``traceparent`` and ``tracestate`` request headers, parsed and formatted.

Pure functions over header values. Nothing here raises: a caller's bad header must not fail the request, it is as though
it had not come. Section numbers are those of Trace Context Level 2 (https://www.w3.org/TR/trace-context-2/).

Two rules are not in the functions, because they need both headers: a ``tracestate`` counts only where the
``traceparent`` is valid, and a bad ``tracestate`` leaves the ``traceparent`` as it is (section 3.3).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

_SAMPLED = 0x01  # section 3.2.2.5.1
_RANDOM = 0x02  # section 3.2.2.5.2

# Hex digits are lower case only (3.2.2); version ff and ids of nothing but zeros are forbidden (3.2.2.1, 3.2.2.2).
# Version 00 ends after the flags; a higher one may go on, after a dash, with what nobody here can read (3.2.4): only
# printable ASCII, because it is passed on as it came. OWS around a field value is no part of it (RFC 9110 5.5).
_TRACEPARENT = re.compile(
    rb"""
    [ \t]*+
    (
        (?: (00) | (?!00|ff)[0-9a-f]{2} ) -
        (?!0{32})[0-9a-f]{32} -
        (?!0{16})[0-9a-f]{16} -
        [0-9a-f]{2}
        (?(2) | (?: -[\x20-\x7e]* (?<![ ]) )? )
    )
    [ \t]*+
    """,
    re.VERBOSE,
)

# The flags by their digits: a look-up costs a third of int(digits, 16).
_FLAGS = {f"{flags:02x}": flags for flags in range(256)}

# key      = ( lcalpha / DIGIT ) 0*255( lcalpha / DIGIT / "_" / "-" / "*" / "/" / "@" )       section 3.3.2.2.1
# value    = 0*255( chr ) nblk-chr                                                           section 3.3.2.2.2
# chr      = %x20 / nblk-chr; nblk-chr = %x21-2B / %x2D-3C / %x3E-7E
# The possessive quantifiers keep a long list that fails at its end linear.
_MEMBER = r"[a-z0-9][a-z0-9_\-*/@]{0,255}+=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}+(?<! )"

# list     = list-member 0*31( OWS "," OWS list-member )                                     section 3.3.2.1
_LIST = re.compile(rf"{_MEMBER}(?:,{_MEMBER}){{0,31}}+".encode())

# The longest list without OWS: 32 members of 256 + "=" + 256, 31 commas. The standard asks for 512 at least (3.3.3.1);
# empty members are to be ignored, but not so many that they deny service (RFC 9110 5.6.1.2).
_MAX_LIST = 32 * 513 + 31


class TraceContext(NamedTuple):
    """What a valid ``traceparent`` says: which trace the request belongs to, and which span called."""

    trace_id: str
    """32 lower-case hex digits, not all zero."""

    parent_id: str
    """16 lower-case hex digits, not all zero: the caller's span ID."""

    flags: int
    """0 to 255, as they came; only the two lowest bits have a meaning today."""

    header: str
    """The header's value as it came, without the whitespace around it: what a service that has no SDK passes on."""

    @property
    def is_sampled(self) -> bool:
        """The caller may have recorded its part of the trace. Section 3.2.2.5.1."""
        return self.flags & _SAMPLED != 0

    @property
    def is_random(self) -> bool:
        """The last 7 bytes of the trace ID are random, so that samplers may read them. Section 3.2.2.5.2."""
        return self.flags & _RANDOM != 0


def parse_traceparent(values: Sequence[bytes]) -> TraceContext | None:
    """
    Parse all ``traceparent`` header values of a request, or return None if there is not exactly one valid one.

    Two of them are none: the field is no list, and which of two traces to join is anybody's guess (RFC 9110 section
    5.3, and the conformance suite's ``test_traceparent_duplicated``). A version above 00 is read as far as 00 goes
    (section 3.2.4). Never raises: a caller's bad header must not fail the request. Trace Context Level 2, section 3.2.

    >>> parse_traceparent([b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]).is_sampled
    True
    >>> parse_traceparent([b"garbage"]) is None
    True
    """
    if len(values) != 1:
        return None
    match = _TRACEPARENT.fullmatch(values[0])
    if match is None:
        return None
    # What has matched has its fields at fixed places: one decode and three slices cost less than four groups.
    header = match[1].decode("ascii")
    return TraceContext(header[3:35], header[36:52], _FLAGS[header[53:55]], header)


def parse_tracestate(values: Sequence[bytes]) -> str | None:
    """
    Return the ``tracestate`` to pass on, or None if the request has none, or one that is empty or not valid.

    Several headers are joined in order (RFC 9110 section 5.3). Members keep their order; whitespace around them and
    empty members are left out, and do not count towards the 32. One member that breaks the grammar, a 33rd, or more
    than 16,447 bytes (all that 32 members can need) drop the whole. What is valid is never truncated.

    A key that comes twice stays twice: that keys are unique is the duty of whoever adds one. A receiver may discard
    duplicates but does not have to, and should not delete what others have added (section 3.5); which of the two
    counts, only their owner knows. Never raises. Trace Context Level 2, section 3.3.

    >>> parse_tracestate([b"rojo=00f067aa0ba902b7 ,", b"congo=t61rcWkgMzE"])
    'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'
    >>> parse_tracestate([b"rojo=1,CONGO=2"]) is None
    True
    """
    if not values:
        return None
    # Nearly all come as one header without whitespace: then the grammar is the only thing to see to.
    if len(values) == 1 and _LIST.fullmatch(values[0]):
        return values[0].decode("ascii")
    return _parse_untidy_tracestate(values)


def _parse_untidy_tracestate(values: Sequence[bytes]) -> str | None:
    joined = b",".join(values)
    if len(joined) > _MAX_LIST:
        return None
    # Trailing spaces are OWS, leading ones of a value (after "=") are its own (3.3.2.2.2).
    members = [member for part in joined.split(b",") if (member := part.strip(b" \t"))]
    tidy = b",".join(members)
    return tidy.decode("ascii") if _LIST.fullmatch(tidy) else None


def format_traceparent(trace_id: str, parent_id: str, flags: int) -> str:
    """
    Return a ``traceparent`` of version 00 for an outgoing call.

    The ids are taken as they are: 32 and 16 lower-case hex digits, not all zero. Of the flags, *sampled* and *random*
    go out; the others are reserved and have to be zero in a header that we make (section 3.2.2.5.3).

    >>> format_traceparent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    """
    return f"00-{trace_id}-{parent_id}-{flags & (_SAMPLED | _RANDOM):02x}"
