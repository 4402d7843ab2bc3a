"""TrackingMiddleware round any ASGI application: what goes in, what comes out, and what is left behind."""

from __future__ import annotations

import asyncio
import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from trackline import TRACKING_ID, TrackingMiddleware, get_tracking_id
from trackline.context import current_span_ids, get_identity
from trackline.identity import is_trace_id

TRACE_ID = "0af7651916cd43dd0448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
tracer = TracerProvider().get_tracer("test")


def scope_of(*headers, kind="http", **more):
    return {"type": kind, "method": "GET", "path": "/", "headers": list(headers), "client": ("127.0.0.1", 5), **more}


class Application:
    """Answers with 200 and these headers, and keeps what it saw."""

    def __init__(self, *headers, error=None):
        self.headers, self.error = headers, error
        self.seen_headers = self.seen_id = self.seen_ids = None

    async def __call__(self, scope, receive, send):
        self.seen_headers, self.seen_id, self.seen_ids = list(scope["headers"]), get_tracking_id(), current_span_ids()
        self.identity = get_identity()
        if self.error:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": b"ok"})


async def call(app, scope):
    """Give the messages that an application sends."""
    messages = []

    async def send(message):
        messages.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, send)
    return messages


def values(headers, name):
    return [value for key, value in headers if key.lower() == name]


async def answer(app, *headers, **more):
    return (await call(app, scope_of(*headers, **more)))[0]["headers"]


async def test_response_and_request_carry_the_new_id_once():
    inner = Application()
    sent = await answer(TrackingMiddleware(inner), (b"host", b"a"))

    assert is_trace_id(inner.seen_id)
    assert values(inner.seen_headers, b"x-request-id") == [inner.seen_id.encode()]
    assert values(sent, b"x-request-id") == values(sent, b"x-tracking-id") == [inner.seen_id.encode()]


async def test_incoming_request_id_is_verbatim_everywhere():
    inner = Application()
    sent = await answer(TrackingMiddleware(inner), (b"x-request-id", b"order/42"))

    assert inner.seen_id == "order/42"
    assert values(inner.seen_headers, b"x-request-id") == values(sent, b"x-request-id") == [b"order/42"]


async def test_no_sdk_a_valid_traceparent_is_kept_as_it_came_and_no_span_is_made():
    inner = Application()
    headers = (b"traceparent", f"cc-{TRACE_ID}-b7ad6b7169203331-01-more".encode()), (b"tracestate", b"a=1,b=2")
    await answer(TrackingMiddleware(inner), *headers)

    assert inner.seen_id == TRACE_ID
    assert inner.seen_ids == (TRACE_ID, None, None)
    assert inner.identity.trace_context.header.startswith("cc-")
    assert inner.identity.tracestate == "a=1,b=2"


@pytest.mark.parametrize("value", [b"", b"a b", b"\xff\xfe", b"a" * 129, b"<script>", b"a\r\nSet-Cookie: x"])
async def test_unusable_value_is_as_though_absent(value):
    inner = Application()
    sent = await answer(TrackingMiddleware(inner), (b"x-request-id", value))

    assert is_trace_id(inner.seen_id)
    assert values(inner.seen_headers, b"x-request-id") == [inner.seen_id.encode()]
    assert values(sent, b"x-request-id") == [inner.seen_id.encode()]


async def test_duplicated_request_id_gives_the_application_one():
    inner = Application()
    await answer(TrackingMiddleware(inner), (b"x-request-id", b"one"), (b"accept", b"*/*"), (b"x-request-id", b"two"))

    assert inner.seen_id == "one"
    assert values(inner.seen_headers, b"x-request-id") == [b"one"]
    assert values(inner.seen_headers, b"accept") == [b"*/*"]


async def test_other_id_headers_count_in_order_and_unusable_ones_are_taken_away():
    inner = Application()
    middleware = TrackingMiddleware(inner, id_headers=["X-Correlation-ID", "X-Request-ID"])
    await answer(middleware, (b"x-request-id", b"second"), (b"x-correlation-id", b"not usable"), (b"x-correlation-id", b"first"))

    assert inner.seen_id == "first"
    assert values(inner.seen_headers, b"x-request-id") == [b"first"]
    assert values(inner.seen_headers, b"x-correlation-id") == [b"first"]


@pytest.mark.parametrize("name", [b"x-request-id", b"X-Request-ID", b"x-tracking-id"])
async def test_ids_that_the_application_sets_are_replaced(name):
    sent = await answer(TrackingMiddleware(Application((name, b"other"), (b"a", b"1"))), (b"x-request-id", b"abc"))

    assert sent == [(b"a", b"1"), (b"x-request-id", b"abc"), (b"x-tracking-id", b"abc")]


async def test_what_the_application_sends_is_not_changed_in_place():
    message = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1")]}

    async def inner(scope, receive, send):
        await send(message)

    await call(TrackingMiddleware(inner), scope_of())
    assert message["headers"] == [(b"a", b"1")]


async def test_response_header_names_are_a_setting():
    sent = await answer(TrackingMiddleware(Application(), response_headers=["X-Correlation-ID"]), (b"x-request-id", b"abc"))

    assert sent == [(b"x-correlation-id", b"abc")]


@pytest.mark.parametrize(
    ("cors", "exposed"),
    [
        ([(b"access-control-allow-origin", b"*")], [b"X-Request-ID, X-Tracking-ID"]),
        (
            [(b"access-control-allow-origin", b"https://a"), (b"access-control-expose-headers", b"X-Total, x-request-id")],
            [b"X-Total, x-request-id, X-Tracking-ID"],
        ),
        ([(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"*")], [b"*"]),
        (
            [
                (b"access-control-allow-origin", b"https://a"),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", b"*"),
            ],
            [b"*, X-Request-ID, X-Tracking-ID"],
        ),
        ([], []),
    ],
)
async def test_cors_exposes_our_headers_beside_the_applications(cors, exposed):
    sent = await answer(TrackingMiddleware(Application(*cors)))

    assert values(sent, b"access-control-expose-headers") == exposed


async def test_the_id_is_gone_after_a_clean_end():
    await answer(TrackingMiddleware(Application()))

    assert TRACKING_ID.get() is None


async def test_the_id_is_still_there_when_the_server_logs_the_error():
    with pytest.raises(KeyError):
        await answer(TrackingMiddleware(Application(error=KeyError("x"))), (b"x-request-id", b"abc"))

    assert TRACKING_ID.get() == "abc"


async def test_a_caller_in_this_process_gets_its_own_id_back_after_an_error():
    TRACKING_ID.set("callers")
    with pytest.raises(KeyError):
        await answer(TrackingMiddleware(Application(error=KeyError("x"))), (b"x-request-id", b"abc"))

    assert TRACKING_ID.get() == "callers"


async def test_unhandled_error_of_an_application_without_error_handling_is_answered_with_the_header():
    messages = []

    async def send(message):
        messages.append(message)

    with pytest.raises(KeyError):
        await TrackingMiddleware(Application(error=KeyError("x")))(scope_of((b"x-request-id", b"abc")), None, send)

    assert messages[0]["status"] == 500
    assert values(messages[0]["headers"], b"x-request-id") == [b"abc"]


async def test_inside_of_starlette_an_unhandled_error_is_left_to_it():
    messages = []

    async def send(message):
        messages.append(message)

    with pytest.raises(KeyError):
        await TrackingMiddleware(Application(error=KeyError("x")))(scope_of(app=object()), None, send)

    assert messages == []


async def test_error_after_the_start_is_not_answered_again():
    messages = []

    async def send(message):
        messages.append(message)

    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("x")

    with pytest.raises(KeyError):
        await TrackingMiddleware(inner)(scope_of(), None, send)

    assert [message["type"] for message in messages] == ["http.response.start"]


async def test_cancellation_is_not_answered():
    messages = []

    async def send(message):
        messages.append(message)

    async def inner(scope, receive, send):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await TrackingMiddleware(inner)(scope_of(), None, send)

    assert messages == []


@pytest.mark.parametrize("headers", [None, (), iter([(b"x-request-id", b"abc")]), ((b"x-request-id", b"abc"),)])
async def test_any_iterable_of_headers_and_none_will_do(headers):
    inner = Application()
    scope = scope_of()
    scope["headers"] = headers
    if headers is None:
        del scope["headers"]
    await call(TrackingMiddleware(inner), scope)

    assert values(inner.seen_headers, b"x-request-id") == [inner.seen_id.encode()]


async def test_lifespan_and_unknown_scopes_pass_untouched():
    seen = []

    async def inner(scope, receive, send):
        seen.append((scope, receive, send, get_tracking_id()))

    for kind in ("lifespan", "something.new"):
        scope = {"type": kind}
        await TrackingMiddleware(inner)(scope, 1, 2)
        assert seen.pop() == (scope, 1, 2, None)


async def test_excluded_request_is_not_touched():
    inner = Application()
    middleware = TrackingMiddleware(inner, exclude=lambda scope: scope["path"] == "/")
    sent = await answer(middleware, (b"x-request-id", b"abc"))

    assert sent == []
    assert inner.seen_id is None


async def test_exclude_that_raises_is_said_and_the_request_is_tracked(caplog):
    inner = Application()
    await answer(TrackingMiddleware(inner, exclude=lambda scope: scope["nothing"]))

    assert inner.seen_id is not None
    assert "raised" in caplog.messages[0]


async def test_an_error_in_our_own_code_does_not_fail_the_request(caplog):
    inner = Application((b"a", b"1"))
    sent = await answer(TrackingMiddleware(inner), (b"x-request-id", 5))  # no server sends that: is_usable raises on it

    assert sent == [(b"a", b"1")]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_nested_middleware_tracks_once():
    inner = Application()
    sent = await answer(TrackingMiddleware(TrackingMiddleware(inner)))

    assert values(sent, b"x-request-id") == [inner.seen_id.encode()]
    assert values(inner.seen_headers, b"x-request-id") == [inner.seen_id.encode()]


async def test_many_requests_at_once_keep_their_own_ids():
    async def inner(scope, receive, send):
        mine = get_tracking_id()
        for _ in range(5):
            await asyncio.sleep(0)
            assert get_tracking_id() == mine
        await send({"type": "http.response.start", "status": 200, "headers": []})

    middleware = TrackingMiddleware(inner)
    sent = await asyncio.gather(*(answer(middleware, (b"x-request-id", b"id-%d" % number)) for number in range(100)))

    assert [values(headers, b"x-request-id") for headers in sent] == [[b"id-%d" % number] for number in range(100)]


class TestWithASpanOutside:
    async def test_its_trace_id_is_the_tracking_id(self):
        inner = Application()
        with tracer.start_as_current_span("server", kind=SpanKind.SERVER) as span:
            sent = await answer(TrackingMiddleware(inner))
        trace_id = f"{span.get_span_context().trace_id:032x}"

        assert inner.seen_id == trace_id
        assert values(sent, b"x-request-id") == [trace_id.encode()]
        assert span.attributes["tracking_id"] == trace_id

    async def test_request_id_is_verbatim_and_the_trace_the_spans(self):
        inner = Application()
        with tracer.start_as_current_span("server", kind=SpanKind.SERVER) as span:
            await answer(TrackingMiddleware(inner), (b"x-request-id", b"abc"), (b"traceparent", TRACEPARENT.encode()))

        assert inner.seen_id == "abc"
        assert inner.seen_ids[0] == f"{span.get_span_context().trace_id:032x}"
        assert span.attributes["tracking_id"] == "abc"
        assert span.attributes["http.request.header.x-request-id"] == ("abc",)

    async def test_a_callers_span_made_current_without_sdk_is_the_callers_trace(self):
        inner = Application()
        remote = trace.NonRecordingSpan(trace.SpanContext(int(TRACE_ID, 16), 2, is_remote=True))
        with trace.use_span(remote):
            await answer(TrackingMiddleware(inner), (b"traceparent", TRACEPARENT.encode()))

        assert (inner.seen_id, inner.seen_ids) == (TRACE_ID, (TRACE_ID, None, None))


class TestTrust:
    HEADERS = ((b"x-request-id", b"claimed"), (b"traceparent", TRACEPARENT.encode()), (b"baggage", b"tracking_id=c"), (b"accept", b"a"))

    @pytest.mark.parametrize("trust", ["none", ["10.0.0.0/8"], lambda scope: False, lambda scope: 1 / 0])
    async def test_untrusted_is_as_though_nothing_came(self, trust):
        inner = Application()
        sent = await answer(TrackingMiddleware(inner, trust=trust), *self.HEADERS)

        assert is_trace_id(inner.seen_id)
        assert inner.seen_id != TRACE_ID
        assert inner.seen_headers == [(b"accept", b"a"), (b"x-request-id", inner.seen_id.encode())]
        assert values(sent, b"x-request-id") == [inner.seen_id.encode()]
        assert b"claimed" not in repr(sent).encode()

    @pytest.mark.parametrize("trust", ["all", ["127.0.0.0/8"], lambda scope: True])
    async def test_trusted_counts(self, trust):
        inner = Application()
        await answer(TrackingMiddleware(inner, trust=trust), *self.HEADERS)

        assert (inner.seen_id, inner.seen_ids[0]) == ("claimed", TRACE_ID)

    async def test_what_was_claimed_is_a_link_on_the_span(self):
        inner = Application()
        with tracer.start_as_current_span("server", kind=SpanKind.SERVER) as span:
            await answer(TrackingMiddleware(inner, trust="none"), *self.HEADERS)

        assert inner.seen_id == f"{span.get_span_context().trace_id:032x}"
        assert f"{span.links[0].context.trace_id:032x}" == TRACE_ID
        assert span.links[0].attributes == {"trackline.caller.tracking_id": "claimed"}

    async def test_a_trace_that_was_joined_outside_does_not_make_the_callers_id_ours(self):
        inner = Application()
        parent = trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(int(TRACE_ID, 16), 2, is_remote=True)))
        with tracer.start_as_current_span("server", context=parent, kind=SpanKind.SERVER):
            await answer(TrackingMiddleware(inner, trust="none"), *self.HEADERS)

        assert inner.seen_id not in (TRACE_ID, "claimed")
        assert inner.seen_ids[0] == TRACE_ID  # OTel has decided that, outside of us


class TestWebSocket:
    async def run(self, inner, *headers, extensions=None):
        return await call(TrackingMiddleware(inner), scope_of(*headers, kind="websocket", extensions=extensions))

    async def test_acceptance_carries_the_header(self):
        async def inner(scope, receive, send):
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": get_tracking_id()})
            await send({"type": "websocket.close"})

        accept, text, close = await self.run(inner, (b"x-request-id", b"abc"))

        assert values(accept["headers"], b"x-request-id") == [b"abc"]
        assert text["text"] == "abc"
        assert close == {"type": "websocket.close"}

    async def test_refusal_becomes_a_403_with_the_header_where_the_server_can(self):
        async def inner(scope, receive, send):
            await send({"type": "websocket.close"})

        start, body = await self.run(inner, (b"x-request-id", b"abc"), extensions={"websocket.http.response": {}})

        assert (start["type"], start["status"], body["body"]) == ("websocket.http.response.start", 403, b"")
        assert values(start["headers"], b"x-request-id") == [b"abc"]

    async def test_refusal_stays_a_close_where_the_server_cannot(self):
        async def inner(scope, receive, send):
            await send({"type": "websocket.close"})

        assert await self.run(inner) == [{"type": "websocket.close"}]

    async def test_error_before_an_answer_becomes_a_500_with_the_header(self):
        messages = []

        async def send(message):
            messages.append(message)

        async def inner(scope, receive, send):
            raise KeyError("x")

        scope = scope_of((b"x-request-id", b"abc"), kind="websocket", extensions={"websocket.http.response": {}})
        with pytest.raises(KeyError):
            await TrackingMiddleware(inner)(scope, None, send)

        assert messages[0]["status"] == 500
        assert values(messages[0]["headers"], b"x-request-id") == [b"abc"]
