"""Design: the identity contract, row by row."""

from __future__ import annotations

import hashlib
import os
import re
import string
import subprocess
import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackline import generate
from trackline.generate import new_trace_id
from trackline.identity import claim, derive_trace_id, identify, is_trace_id, is_usable

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01".encode()
ID_HEADERS = (b"x-request-id",)
ALPHABET = string.ascii_letters + string.digits + "-._~:/+=@|;,"


def headers(**named: bytes) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value) for name, value in named.items()]


def test_nothing_usable_gives_a_new_trace_id_as_tracking_id():
    identity = identify([], ID_HEADERS)

    assert re.fullmatch(r"[0-9a-f]{32}", identity.tracking_id)
    assert identity.trace_id == identity.tracking_id
    assert identity.trace_context is None


def test_nothing_usable_under_a_span_gives_its_trace_id():
    identity = identify([], ID_HEADERS, TRACE_ID)

    assert (identity.tracking_id, identity.trace_id) == (TRACE_ID, TRACE_ID)


def test_traceparent_gives_its_trace_id_and_is_joined():
    identity = identify(headers(traceparent=TRACEPARENT, tracestate=b"a=1"), ID_HEADERS)

    assert (identity.tracking_id, identity.trace_id) == (TRACE_ID, TRACE_ID)
    assert identity.trace_context is not None
    assert identity.trace_context.header == TRACEPARENT.decode()
    assert identity.tracestate == "a=1"


def test_baggage_entry_beside_traceparent_is_the_tracking_id():
    identity = identify(headers(traceparent=TRACEPARENT, baggage=b"a=b,tracking_id=order%2F42"), ID_HEADERS)

    assert (identity.tracking_id, identity.trace_id) == ("order/42", TRACE_ID)


def test_unusable_baggage_entry_is_as_though_absent():
    identity = identify(headers(traceparent=TRACEPARENT, baggage=b"tracking_id=a%0Ab"), ID_HEADERS)

    assert identity.tracking_id == TRACE_ID


def test_baggage_entry_without_traceparent_does_not_count():
    assert claim(headers(baggage=b"tracking_id=abc"), ID_HEADERS) is None


def test_request_id_is_taken_verbatim_and_its_trace_id_is_derived():
    identity = identify(headers(x_request_id=b"order/42"), ID_HEADERS)

    assert identity.tracking_id == "order/42"
    assert identity.trace_id == hashlib.sha256(b"order/42").hexdigest()[:32]
    assert identity.trace_context is None


def test_both_give_the_request_id_verbatim_and_the_trace_joined():
    identity = identify(headers(x_request_id=b"order/42", traceparent=TRACEPARENT), ID_HEADERS)

    assert (identity.tracking_id, identity.trace_id) == ("order/42", TRACE_ID)


def test_tracestate_without_a_valid_traceparent_means_nothing():
    assert identify(headers(x_request_id=b"a", traceparent=b"garbage", tracestate=b"a=1"), ID_HEADERS).tracestate is None


def test_first_usable_header_in_order_of_the_setting_counts():
    found = headers(x_correlation_id=b"second", x_request_id=b"not usable", x_tracking_id=b"third")

    assert identify(found, (b"x-request-id", b"x-correlation-id", b"x-tracking-id")).tracking_id == "second"


def test_first_usable_value_of_a_repeated_header_counts():
    found = [(b"x-request-id", b""), (b"x-request-id", b"one"), (b"x-request-id", b"two")]

    assert identify(found, ID_HEADERS).tracking_id == "one"


def test_span_outside_decides_the_trace_whatever_came():
    identity = identify(headers(x_request_id=b"abc", traceparent=TRACEPARENT), ID_HEADERS, "1" * 32)

    assert (identity.tracking_id, identity.trace_id) == ("abc", "1" * 32)


@pytest.mark.parametrize("value", ["a", "A.b-c_d~e:f/g+h=i@j|k;l,m", "0" * 128, str(uuid.uuid4())])
def test_usable(value):
    assert is_usable(value)
    assert is_usable(value.encode())


@pytest.mark.parametrize(
    "value", ["", "a" * 129, "a b", "a\n", "\n", "a\r\nSet-Cookie: b", "ä", "a\0", 'a"', "<b>", "a\\b", "{}", "a%20"]
)
def test_not_usable(value):
    assert not is_usable(value)
    assert not is_usable(value.encode())


@given(st.text(max_size=200))
def test_usable_is_the_alphabet_and_the_length_and_nothing_else(value):
    assert is_usable(value) == (1 <= len(value) <= 128 and all(one in ALPHABET for one in value))


@given(st.lists(st.tuples(st.sampled_from([b"x-request-id", b"traceparent", b"tracestate", b"baggage"]), st.binary(max_size=300))))
def test_identify_never_raises_and_never_gives_what_is_not_usable(found):
    identity = identify(found, ID_HEADERS)

    assert is_usable(identity.tracking_id)
    assert re.fullmatch(r"[0-9a-f]{32}", identity.trace_id)
    assert identity.tracestate is None or identity.trace_context is not None


@pytest.mark.parametrize(
    ("tracking_id", "is_its_own"),
    [
        (TRACE_ID, True),
        ("0" * 32, False),
        (TRACE_ID.upper(), False),
        (TRACE_ID[:31], False),
        ("f47ac10b58cc4372a5670e02b2c3d479", False),  # a UUIDv4 without its dashes
        ("0190163d8694739b8a3b6ef8ac0a8b71", False),  # a UUIDv7
        ("2c1d43b8e49011ef9cd20242ac120002", False),  # a UUIDv1
        ("1ef90e4c2d1d63b89cd20242ac120002", False),  # a UUIDv6
        ("886313e13b8a53729b900c9aee199e5d", True),  # a UUIDv5: the same for the same name, so no request's
        ("f47ac10b58cc0372a5670e02b2c3d479", True),  # 13th digit 0
        ("f47ac10b58cc437215670e02b2c3d479", True),  # 17th digit 1
        ("f47ac10b58cc9372a5670e02b2c3d479", True),  # 13th digit 9: no version of UUID
        ("f47ac10b-58cc-4372-a567-0e02b2c3d479", False),
    ],
)
def test_a_trace_id_is_its_own_and_a_uuid_is_none(tracking_id, is_its_own):
    assert is_trace_id(tracking_id) is is_its_own
    assert (derive_trace_id(tracking_id) == tracking_id) is is_its_own


@given(st.text())
def test_derived_is_the_sha256_or_itself_for_any_text(value):
    derived = derive_trace_id(value)

    assert derived == value or derived == hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def test_made_trace_ids_are_their_own_and_differ():
    made = [new_trace_id() for _ in range(20_000)]

    assert all(map(is_trace_id, made))
    assert len(set(made)) == len(made)


def test_made_trace_ids_keep_the_low_64_bits_random():
    # The 17th digit holds the first of the bits that a ratio sampler reads: each of its 16 values is as likely.
    counts = dict.fromkeys("0123456789abcdef", 0)
    for _ in range(16_000):
        counts[new_trace_id()[16]] += 1

    assert min(counts.values()) > 800
    assert max(counts.values()) < 1200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_does_not_make_what_its_parent_makes():
    code = (
        "import os\n"
        "from trackline.generate import new_trace_id\n"
        "new_trace_id()\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        "print(*(new_trace_id() for _ in range(100)), flush=True)\n"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert len(lines) == len(set(lines)) == 200


def test_zero_is_never_made(monkeypatch):
    drawn = iter([0, (1 << 128) - 1])
    monkeypatch.setattr(generate, "getrandbits", lambda bits: next(drawn))

    assert generate._make_trace_ids(1) == ["f" * 32]
