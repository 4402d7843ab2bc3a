"""TrackingPropagator and TrackingIdGenerator: the ID goes where the trace goes, and samplers decide as ever."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Setter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased

from trackline import get_tracking_id, use_tracking_id
from trackline.context import IDENTITY, TRACKING_ID
from trackline.identity import Identity, derive_trace_id, is_usable
from trackline.otel.id_generator import TrackingIdGenerator
from trackline.otel.propagator import TrackingPropagator

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
propagator = TrackingPropagator()
both = CompositePropagator([propagator, W3CBaggagePropagator()])


def extracted(**carrier):
    return propagator.extract({name.replace("_", "-"): value for name, value in carrier.items()})


def injected(context=None, using=propagator):
    carrier = {}
    using.inject(carrier, context)
    return carrier


def test_nothing_gives_the_context_as_it_is():
    assert extracted() == {}
    assert extracted(X_Request_ID="not usable", traceparent="garbage", baggage="tracking_id=a") == {}


def test_an_id_alone_makes_no_span():
    context = extracted(X_Request_ID="abc")

    assert not trace.get_current_span(context).get_span_context().is_valid
    assert injected(context) == {"X-Request-ID": "abc"}


def test_a_trace_is_joined_with_its_state_and_flags():
    span = trace.get_current_span(extracted(traceparent=TRACEPARENT.replace("-01", "-03"), tracestate="a=1,b=2")).get_span_context()

    assert (span.trace_id, span.span_id, span.trace_flags, span.is_remote) == (int(TRACE_ID, 16), 0xB7AD6B7169203331, 3, True)
    assert list(span.trace_state.items()) == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize(
    "carrier",
    [
        {"traceparent": [TRACEPARENT, TRACEPARENT]},
        {"traceparent": TRACEPARENT.upper()},
        {"traceparent": TRACEPARENT + "-"},
        {"traceparent": TRACEPARENT.replace("00-", "ff-")},
        {"traceparent": TRACEPARENT.replace(TRACE_ID, "0" * 32)},
    ],
)
def test_what_is_not_valid_by_level_2_is_not_joined_and_not_passed_on(carrier):
    context = propagator.extract(carrier)

    assert not trace.get_current_span(context).get_span_context().is_valid
    assert injected(context) == {}


def test_without_sdk_a_newer_version_goes_out_as_it_came():
    carrier = {"traceparent": f"cc-{TRACE_ID}-b7ad6b7169203331-01-more", "tracestate": "a=1"}

    assert injected(propagator.extract(carrier)) == {"X-Request-ID": TRACE_ID, **carrier}


def test_a_span_of_ours_goes_out_in_version_00_with_known_flags_only():
    context = extracted(X_Request_ID="abc", traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-ff")
    with TracerProvider().get_tracer("t").start_as_current_span("server", context=context) as span:
        sent = injected()

    assert sent["X-Request-ID"] == TRACE_ID  # outside of our middleware only the trace is current...
    assert injected(trace.set_span_in_context(span, context))["X-Request-ID"] == "abc"  # ...but the context has the ID
    assert sent["traceparent"] == f"00-{TRACE_ID}-{span.get_span_context().span_id:016x}-03"


def test_the_middlewares_id_is_what_goes_out():
    with use_tracking_id("abc"):
        assert injected() == {"X-Request-ID": "abc"}


def test_an_attached_context_is_read_where_no_middleware_runs():
    token = attach(extracted(X_Request_ID="abc"))
    try:
        assert get_tracking_id() == "abc"
    finally:
        detach(token)


def test_the_id_survives_a_service_that_passes_on_only_what_is_otels():
    first = both.extract({"X-Request-ID": "abc", "traceparent": TRACEPARENT, "baggage": "user=7"})
    sent = injected(first, both)
    del sent["X-Request-ID"]
    second = both.extract(sent)

    assert baggage.get_baggage("user", second) == "7"
    assert injected(second, both)["X-Request-ID"] == "abc"


@pytest.mark.parametrize("name", ["X-Request-ID", "x-request-id"])
def test_an_id_that_the_user_has_put_into_the_carrier_stays(name):
    carrier = {name: "mine"}
    with use_tracking_id("abc"):
        propagator.inject(carrier)

    assert carrier == {name: "mine"}


def test_a_carrier_that_is_no_container_will_do():
    sent = []

    class Pairs(Setter):
        def set(self, carrier, key, value):
            sent.append((key, value))

    with use_tracking_id("abc"):
        propagator.inject(object(), setter=Pairs())

    assert sent == [("X-Request-ID", "abc")]


def test_names_are_found_in_either_case():
    assert injected(propagator.extract({"x-request-id": "abc"})) == {"X-Request-ID": "abc"}


@given(st.dictionaries(st.sampled_from(["X-Request-ID", "traceparent", "tracestate", "baggage"]), st.text() | st.lists(st.text())))
def test_no_carrier_makes_it_raise_and_what_goes_out_is_usable(carrier):
    context = propagator.extract(carrier)

    assert is_usable(injected(context).get("X-Request-ID", "x"))


def root_of(tracer, context):
    """Start a server span as FastAPI's telemetry and contrib do: with the extracted context attached."""
    token = attach(context)
    try:
        return tracer.start_span("server", context=context, kind=trace.SpanKind.SERVER)
    finally:
        detach(token)


def test_the_root_trace_has_the_derived_id():
    tracer = TracerProvider(id_generator=TrackingIdGenerator()).get_tracer("t")

    for tracking_id in ("abc", TRACE_ID, str(uuid.uuid4())):
        span = root_of(tracer, extracted(X_Request_ID=tracking_id))
        assert f"{span.get_span_context().trace_id:032x}" == derive_trace_id(tracking_id)
        assert span.parent is None


def test_a_second_root_of_the_same_request_is_another_trace():
    tracer = TracerProvider(id_generator=TrackingIdGenerator()).get_tracer("t")
    context = extracted(X_Request_ID="abc")

    first, second = root_of(tracer, context), root_of(tracer, context)
    assert first.get_span_context().trace_id != second.get_span_context().trace_id


def test_a_joined_trace_keeps_its_id():
    tracer = TracerProvider(id_generator=TrackingIdGenerator()).get_tracer("t")
    span = root_of(tracer, extracted(X_Request_ID="abc", traceparent=TRACEPARENT))

    assert f"{span.get_span_context().trace_id:032x}" == TRACE_ID


CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def uuid7():
    bits = (time.time_ns() // 1_000_000) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=bits))


def ulid():
    bits = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(CROCKFORD[bits >> shift & 31] for shift in range(125, -1, -5))


# One in sixteen of nginx's random IDs looks like a UUID and is hashed. None of those would have been sampled as it is (their 17th
# digit is 8 to b), and a tenth of the hashes is: a tenth and a sixteenth of a tenth, 10.625 %. Its numbers are always the same ones,
# since 11 % is less than two standard deviations away.
nginx = random.Random(1742)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: str(uuid.uuid4()), 2000),
        (lambda: uuid.uuid4().hex, 2000),
        (uuid7, 2000),
        (ulid, 2000),
        (lambda: f"{nginx.getrandbits(128):032x}", 2125),
        (lambda: None, 2000),
    ],
    ids=["UUIDv4", "UUIDv4 without dashes", "UUIDv7", "ULID", "nginx", "none"],
)
def test_a_ratio_of_a_tenth_samples_a_tenth_of_20_000(make, expected):
    tracer = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.1)), id_generator=TrackingIdGenerator()).get_tracer("t")
    sampled = 0
    for _ in range(20_000):
        tracking_id = make()
        span = root_of(tracer, extracted(X_Request_ID=tracking_id) if tracking_id else Context())
        sampled += span.get_span_context().trace_flags & 1

    assert abs(sampled - expected) <= 200  # more than four standard deviations
    assert 1800 <= sampled <= 2200


@pytest.mark.parametrize(("sampler", "is_sampled"), [(ALWAYS_OFF, 0), (None, 1)])
def test_a_service_with_sdk_behind_one_without_has_its_trace_id_and_decides_by_itself(sampler, is_sampled):
    TRACKING_ID.set("order-1742")
    IDENTITY.set(Identity("order-1742"))
    first_trace_id = IDENTITY.get().trace_id
    sent = injected()  # no SDK there
    TRACKING_ID.set(None)
    IDENTITY.set(None)

    tracer = TracerProvider(sampler=sampler, id_generator=TrackingIdGenerator()).get_tracer("second")
    span = root_of(tracer, propagator.extract(sent)).get_span_context()
    assert f"{span.trace_id:032x}" == first_trace_id
    assert span.trace_flags & 1 == is_sampled


@pytest.mark.parametrize("first", ["trackline", "trackline.carriers", "trackline.otel.propagator", "opentelemetry.propagate"])
def test_the_environment_may_name_it_whatever_is_imported_first(first):
    code = f"import {first}; from opentelemetry import propagate; print(*sorted(propagate.get_global_textmap().fields))"
    environment = {**os.environ, "OTEL_PROPAGATORS": "trackline,baggage"}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=environment, capture_output=True, text=True, timeout=60)

    assert (done.stdout.split(), done.stderr) == (["X-Request-ID", "baggage", "traceparent", "tracestate"], "")
