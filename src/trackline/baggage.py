"""
W3C Baggage: one entry of the ``baggage`` request headers.

A pure function over header values. Section numbers are those of https://www.w3.org/TR/baggage/.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

# What every platform has to carry, section 3.3.2; we read that and no more, so that nobody makes us read a megabyte.
_MAX_MEMBERS = 64
_MAX_BYTES = 8192

# list-member   = key OWS "=" OWS value *( OWS ";" OWS property )                   section 3.3.1
# key           = token                                                             RFC 9110 section 5.6.2
# value         = *baggage-octet                                                    section 3.3.1.3
# baggage-octet = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E
# "=" is one of the octets: only the first one separates. Properties are opaque, and none of our business.
_MEMBER = re.compile(
    rb"""
    [ \t]*+ ( [!\#$%&'*+\-.^_`|~0-9A-Za-z]++ )
    [ \t]*+ =
    [ \t]*+ ( [\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*+ )
    [ \t]*+ (?: ; .*+ )?
    """,
    re.VERBOSE | re.DOTALL,
)


def baggage_entry(values: Sequence[bytes], key: str) -> str | None:
    """
    Return the decoded value of the first ``baggage`` member with that key, or None.

    `values` are all ``baggage`` header values of the request; they are joined in order (RFC 9110 section 5.3). Keys
    are case-sensitive and never percent-encoded. A member that breaks the grammar is as though absent, the rest counts.
    What is beyond 64 members or 8,192 bytes is not read, nor is a member that goes over the edge (section 3.3.2).

    The value is percent-decoded: ``+`` stays a plus, and octets that are no UTF-8 become U+FFFD (section 3.3.1.3). It
    can hold any character by then, control characters too, so check it before it goes anywhere. Never raises.

    >>> baggage_entry([b"userId=alice,serverNode=DF%2028;secure"], "serverNode")
    'DF 28'
    >>> baggage_entry([b"userId=alice"], "tracking_id") is None
    True
    """
    baggage = b",".join(values)
    if len(baggage) > _MAX_BYTES:
        # A comma at the edge ends a member that is still inside; with none at all nothing fits.
        baggage = baggage[: max(baggage.rfind(b",", 0, _MAX_BYTES + 1), 0)]
    # surrogatepass: a key that is no token finds nothing, and does not raise either.
    wanted = key.encode("utf-8", "surrogatepass")
    # Most baggage is somebody else's: see that at once, without taking it apart.
    if wanted not in baggage:
        return None
    members = baggage.split(b",")
    if len(members) > _MAX_MEMBERS:
        # Empty members are ignored (RFC 9110 section 5.6.1.2), so they do not count.
        members = [member for member in members if member.strip(b" \t")][:_MAX_MEMBERS]
    for member in members:
        if wanted in member and (match := _MEMBER.fullmatch(member)) and match[1] == wanted:
            return unquote_to_bytes(match[2]).decode("utf-8", "replace")
    return None
