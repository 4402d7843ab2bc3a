"""The ten requests of the demo, and for each the lines that have to be in the logs: the table that the demo is judged by."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

ExpectedLine = tuple[str, str]
"""The service, and the message; without the client's address that uvicorn puts before some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One request: what is sent, what has to come back, and what has to be logged."""

    title: str
    about: str
    method: Literal["GET", "POST", "WS"] = "POST"
    path: str
    body: dict[str, object] | None = None
    says: str = ""
    """What is sent over a WebSocket."""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    tracking_id: str = ""
    """The ID that the request has to get; empty where it is to be a new one, 32 hex digits."""
    trace_id: str = ""
    """The trace that it has to belong to; empty where it is derived from the tracking ID."""
    traceparent: str = ""
    """What each service has to log that it has received; empty where there is to be none."""
    lines: Counter[ExpectedLine]
    proves: str
    """What it shows that these lines are there."""


def ten_scenes() -> list[Scene]:
    """Give the ten, with IDs of their own in each run, so that two runs in one folder would not meet."""
    order_id = f"order-{secrets.token_hex(4)}"
    both_id = f"shop/{secrets.token_hex(4)}"
    case_id = f"case-{secrets.token_hex(4)}"
    trace_id, other_trace_id = _trace_id(), _trace_id()
    traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    other_traceparent = f"00-{other_trace_id}-{secrets.token_hex(8)}-01"

    return [
        Scene(
            title="None of the headers",
            about="The gateway makes an ID. The two services behind it get the same one.",
            path="/checkout",
            lines=_lines(*_CHECKOUT),
            proves="a new ID, in all three services",
        ),
        Scene(
            title="traceparent",
            about="The caller traces already: its trace is joined and passed on, and the trace ID is the tracking ID.",
            path="/checkout",
            headers={"traceparent": traceparent, "tracestate": "shop=demo"},
            tracking_id=trace_id,
            trace_id=trace_id,
            traceparent=traceparent,
            lines=_lines(*_CHECKOUT),
            proves="one trace, the caller's; all three services received this traceparent",
        ),
        Scene(
            title="X-Request-ID",
            about="The caller has an ID: it is kept to the letter. The trace ID is derived from it, in each service the same.",
            path="/checkout",
            headers={"X-Request-ID": order_id},
            tracking_id=order_id,
            lines=_lines(*_CHECKOUT),
            proves="the ID that was sent, in all three services; one trace ID, derived from it",
        ),
        Scene(
            title="X-Request-ID and traceparent",
            about="X-Request-ID is what people search for, and the trace is still the caller's.",
            path="/checkout",
            headers={"X-Request-ID": both_id, "traceparent": other_traceparent},
            tracking_id=both_id,
            trace_id=other_trace_id,
            traceparent=other_traceparent,
            lines=_lines(*_CHECKOUT),
            proves="the ID that was sent, and the trace that was sent, in all three services",
        ),
        Scene(
            title="A hostile X-Request-ID",
            about="What could not be an ID is as though absent: not echoed, not logged, no 400. The request gets a new ID.",
            path="/checkout",
            headers={"X-Request-ID": "<script>alert(1)</script> " + "A" * 200},
            lines=_lines(*_CHECKOUT),
            proves="a new ID; nothing of what was sent is in the response or in any file",
        ),
        Scene(
            title="A failure in the third service",
            about="payments raises and answers 500, orders answers 502, the gateway 502. A customer sends this ID: what happened?",
            path="/checkout",
            body={"card": "expired"},
            headers={"X-Request-ID": case_id},
            status=502,
            tracking_id=case_id,
            lines=_lines(*_FAILED_CHECKOUT),
            proves="the ID is on the 502, and on the traceback in payments",
        ),
        Scene(
            title="A background job",
            about="The response is out before the work is done. The work has the ID all the same.",
            path="/receipts/1742",
            status=202,
            lines=_lines(
                ("gateway", "receipt 1742: will be sent"),
                ("gateway", "POST /receipts/1742 202"),
                ("gateway", "receipt job: asking orders"),
                *_looked_up(1742),
                ("gateway", "receipt job: receipt sent"),
            ),
            proves="what was logged, and called, after the response was sent",
        ),
        Scene(
            title="A sync endpoint",
            about="An endpoint that is not async runs in a thread, and calls with httpx.Client.",
            method="GET",
            path="/stock/mug",
            lines=_lines(
                ("gateway", "stock of mug: asking orders"),
                ("orders", "mug counted"),
                ("orders", "GET /stock/mug 200"),
                ("gateway", "stock of mug: 7 left"),
                ("gateway", "GET /stock/mug 200"),
            ),
            proves="the ID, from the threads of both services",
        ),
        Scene(
            title="A WebSocket",
            about="The handshake's response carries the ID; so does all that is done for the connection.",
            method="WS",
            path="/live",
            says="1742",
            status=101,
            lines=_lines(
                ("gateway", "WebSocket /live 101, closed with 1000"),
                ("gateway", "live: connected"),
                ("gateway", "live: asking orders for 1742"),
                *_looked_up(1742),
                ("gateway", "live: closed by the client"),
            ),
            proves="one ID from the handshake to the close",
        ),
        Scene(
            title="A streamed response",
            about="The status is sent long before the last line of the stream.",
            method="GET",
            path="/export",
            lines=_lines(
                ("gateway", "GET /export 200"),
                *_looked_up(1741),
                ("gateway", "export: streaming order 1741"),
                *_looked_up(1742),
                ("gateway", "export: streaming order 1742"),
                ("gateway", "export: end of stream"),
            ),
            proves="the ID, from the first line of the stream to the last",
        ),
    ]


_CHECKOUT = (
    ("gateway", "2 x mug: asking orders"),
    ("orders", "2 x mug: asking payments"),
    ("payments", "charging EUR 18"),
    ("payments", "charged"),
    ("payments", "POST /charges 201"),
    ("orders", "order 1742 taken"),
    ("orders", "POST /orders 201"),
    ("gateway", "checkout done: order 1742"),
    ("gateway", "POST /checkout 200"),
)
_FAILED_CHECKOUT = (
    ("gateway", "2 x mug: asking orders"),
    ("orders", "2 x mug: asking payments"),
    ("payments", "charging EUR 18"),
    ("payments", "POST /charges 500, trackline.demo.payments.BankError"),
    ("payments", "Exception in ASGI application"),
    ("orders", "order not taken: payments answered 500"),
    ("orders", "POST /orders 502, fastapi.exceptions.HTTPException"),
    ("gateway", "checkout failed: orders answered 502"),
    ("gateway", "POST /checkout 502, fastapi.exceptions.HTTPException"),
)


def _looked_up(number: int) -> tuple[ExpectedLine, ExpectedLine]:
    return ("orders", f"order {number} looked up"), ("orders", f"GET /orders/{number} 200")


def _lines(*lines: ExpectedLine) -> Counter[ExpectedLine]:
    return Counter(lines)


def _trace_id() -> str:
    # The 13th digit, as in a UUID of no version: 32 hex digits that cannot be mistaken for a UUID without its dashes.
    digits = secrets.token_hex(16)
    return f"{digits[:12]}0{digits[13:]}"
