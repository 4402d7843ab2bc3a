"""
Coverage-guided fuzzing of everything that reads what a client sends: `make fuzz`.

Claims: nothing raises; what is accepted reads back as itself; what goes out is usable and cannot split a header or a line.
"""

import sys

import atheris

with atheris.instrument_imports(include=["trackline"]):
    from trackline.baggage import baggage_entry
    from trackline.carriers import extract, inject
    from trackline.identity import BAGGAGE_KEY, derive_trace_id, identify, is_usable
    from trackline.otel.propagator import TrackingPropagator
    from trackline.tracecontext import format_traceparent, parse_traceparent, parse_tracestate

NAMES = (b"x-request-id", b"traceparent", b"tracestate", b"baggage", b"x-correlation-id")
HEX = frozenset("0123456789abcdef")


def read_headers(data: bytes) -> list[tuple[bytes, bytes]]:
    """A line is a header: its first byte says which, so that the seeds are legible and the fuzzer can splice them."""
    return [(NAMES[line[0] % len(NAMES)], line[1:]) for line in data.split(b"\n")[:8] if line]


def check_parsers(headers: list[tuple[bytes, bytes]]) -> None:
    values = {name: [value for other, value in headers if other == name] for name in NAMES}
    if (context := parse_traceparent(values[b"traceparent"])) is not None:
        assert len(values[b"traceparent"]) == 1
        assert len(context.trace_id) == 32
        assert set(context.trace_id + context.parent_id) <= HEX
        assert context.trace_id != "0" * 32
        assert context.parent_id != "0" * 16
        assert parse_traceparent([context.header.encode("ascii")]) == context
        assert parse_traceparent([format_traceparent(context.trace_id, context.parent_id, context.flags).encode()]) is not None
    if (state := parse_tracestate(values[b"tracestate"])) is not None:
        assert all(0x20 <= ord(one) <= 0x7E for one in state)
        assert parse_tracestate([state.encode("ascii")]) == state
    baggage_entry(values[b"baggage"], BAGGAGE_KEY)


def check_identity(headers: list[tuple[bytes, bytes]]) -> None:
    identity = identify(headers, (b"x-request-id", b"x-correlation-id"))
    assert is_usable(identity.tracking_id)
    assert set(identity.trace_id) <= HEX
    assert identity.tracestate is None or identity.trace_context is not None
    with extract(headers) as tracking_id:
        assert is_usable(tracking_id)
        carrier: dict[str, str] = {}
        inject(carrier)
        assert not any(ord(one) < 0x20 or ord(one) > 0x7E for value in carrier.values() for one in value)
    propagator = TrackingPropagator()
    sent: dict[str, list[str]] = {}
    for name, value in headers:
        sent.setdefault(name.decode(), []).append(value.decode("latin-1"))
    carrier = {}
    propagator.inject(carrier, propagator.extract(sent))
    assert not any(ord(one) < 0x20 or ord(one) > 0x7E for value in carrier.values() for one in value)


def check(data: bytes) -> None:
    headers = read_headers(data)
    check_parsers(headers)
    check_identity(headers)
    derive_trace_id(data.decode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
