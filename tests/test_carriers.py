"""inject and extract: through any carrier and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import attach, detach, get_current, set_value
from opentelemetry.sdk.trace import TracerProvider

from trackline import extract, get_tracking_id, inject, use_tracking_id
from trackline.context import current_span_ids
from trackline.identity import derive_trace_id, is_trace_id, is_usable
from trackline.otel.propagator import TrackingPropagator

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
tracer = TracerProvider().get_tracer("test")


def injected(**carrier):
    inject(carrier)
    return carrier


def test_outside_of_a_request_nothing_is_injected():
    assert injected() == {}


def test_without_a_span_the_id_goes_out_and_no_trace_is_made_up():
    with use_tracking_id("abc"):
        assert injected() == {"X-Request-ID": "abc"}


def test_what_came_in_goes_out_as_it_came():
    came = {"X-Request-ID": "abc", "traceparent": f"cc-{TRACE_ID}-b7ad6b7169203331-01-x", "tracestate": "a=1,b=2"}
    with extract(came) as tracking_id:
        assert tracking_id == get_tracking_id() == "abc"
        assert current_span_ids() == (TRACE_ID, None, None)
        assert injected() == came
    assert get_tracking_id() is None


def test_a_span_of_this_process_is_the_parent_of_what_follows():
    with extract({"X-Request-ID": "abc", "traceparent": TRACEPARENT}), tracer.start_as_current_span("work") as span:
        context = span.get_span_context()
        sent = injected()

    assert span.parent.span_id == 0xB7AD6B7169203331
    assert sent["traceparent"] == f"00-{TRACE_ID}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert sent["X-Request-ID"] == "abc"


def test_a_span_alone_gives_its_trace_id_as_tracking_id():
    with tracer.start_as_current_span("job") as span:
        assert injected()["X-Request-ID"] == f"{span.get_span_context().trace_id:032x}"


def test_what_is_in_the_carrier_stays_in_any_case():
    with extract({"X-Request-ID": "abc", "traceparent": TRACEPARENT}):
        carrier = {"x-request-ID": "mine", "TRACEPARENT": "mine"}
        inject(carrier)

    assert carrier == {"x-request-ID": "mine", "TRACEPARENT": "mine"}


def test_what_is_in_the_carrier_stays_with_our_propagator_set_up_globally(monkeypatch):
    monkeypatch.setattr("opentelemetry.propagate._HTTP_TEXT_FORMAT", TrackingPropagator())
    with use_tracking_id("abc"), tracer.start_as_current_span("work"):
        sent = injected(**{"x-request-id": "mine"})

    assert sent.keys() == {"x-request-id", "traceparent"}
    assert sent["x-request-id"] == "mine"


def test_an_unusable_id_that_was_set_by_hand_is_not_sent():
    from trackline import TRACKING_ID

    TRACKING_ID.set("a\r\nb")
    assert injected() == {}


@pytest.mark.parametrize(
    "carrier",
    [
        {"x-request-id": "abc"},
        {"X-REQUEST-ID": b"abc"},
        {b"X-Request-ID": b"abc"},
        {"X-Request-ID": ["abc", "other"]},
        [("X-Request-ID", b"abc"), ("other", None)],  # as Kafka's clients have them
        (pair for pair in [(b"x-request-id", "abc")]),
    ],
)
def test_carriers_of_all_kinds(carrier):
    with extract(carrier) as tracking_id:
        assert tracking_id == "abc"


def test_nothing_usable_gives_a_new_id():
    with extract({"X-Request-ID": "not usable", "traceparent": "garbage"}) as tracking_id:
        assert is_trace_id(tracking_id)
        assert not trace.get_current_span().get_span_context().is_valid


def test_a_trace_that_is_not_valid_by_level_2_is_not_joined():
    with extract([("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT), ("X-Request-ID", "abc")]):
        assert not trace.get_current_span().get_span_context().is_valid
        assert current_span_ids()[0] == derive_trace_id("abc")


def test_the_block_may_raise():
    with pytest.raises(ZeroDivisionError), extract({"X-Request-ID": "abc"}):
        _ = 1 / 0
    assert get_tracking_id() is None


@given(
    st.dictionaries(
        st.sampled_from(["X-Request-ID", "traceparent", "tracestate", "baggage"]) | st.text() | st.binary(),
        st.text() | st.binary() | st.none() | st.integers() | st.lists(st.text()),
    )
)
def test_no_carrier_makes_it_raise_and_what_comes_out_is_usable(carrier):
    with extract(carrier) as tracking_id:
        assert is_usable(tracking_id)
        assert is_usable(injected()["X-Request-ID"])


def test_a_span_that_somebody_has_begun_for_the_message_may_stay():
    with tracer.start_as_current_span("publisher"):
        sent = injected()
        with tracer.start_as_current_span("consumer") as consumer, extract(sent, keep_span="same trace"):
            assert trace.get_current_span() is consumer
        with tracer.start_as_current_span("consumer"), extract(sent):
            assert trace.get_current_span().get_span_context().is_remote


@pytest.mark.parametrize("keep_span", ["same trace", "always"])
def test_a_span_of_another_trace_stays_only_if_always(keep_span):
    with (
        tracer.start_as_current_span("other") as other,
        extract({"X-Request-ID": "abc", "traceparent": TRACEPARENT}, keep_span=keep_span),
    ):
        assert (trace.get_current_span() is other) == (keep_span == "always")
        assert get_tracking_id() == "abc"


def test_with_nothing_in_the_carrier_the_id_is_the_trace_id_of_the_span_that_stays():
    with tracer.start_as_current_span("consumer") as span, extract({}, keep_span="always") as tracking_id:
        assert tracking_id == f"{span.get_span_context().trace_id:032x}"


def test_where_a_span_is_to_begin_otels_context_is_left_alone_from_the_start():
    before = get_current()
    scope = extract({"X-Request-ID": "abc", "traceparent": TRACEPARENT}, keep_span="always")
    scope.__enter__()
    token = attach(set_value("theirs", 1))
    assert get_tracking_id() == "abc"
    scope.__exit__()  # signals come in the order of their connection: before theirs

    assert get_current() == {**before, "theirs": 1}
    detach(token)
    assert get_current() == before
