"""Which tracking ID and which trace does this request have? Headers in, Identity out. Pure, and never raises."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from trackline.baggage import baggage_entry
from trackline.generate import looks_like_uuid, new_trace_id
from trackline.tracecontext import TraceContext, parse_traceparent, parse_tracestate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Headers = Sequence[tuple[bytes, bytes]]

MAX_LENGTH = 128
BAGGAGE_KEY = "tracking_id"
TRACE_HEADERS = (b"traceparent", b"tracestate", b"baggage")

_ALPHABET = r"[A-Za-z0-9\-._~:/+=@|;,]{1,128}"
_usable_bytes = re.compile(_ALPHABET.encode()).fullmatch
_usable_text = re.compile(_ALPHABET).fullmatch
# OWS around a field value is no part of it (RFC 9110, section 5.5), but not every server takes it off: httptools leaves what is behind.
_usable_field = re.compile(rf"[ \t]*+({_ALPHABET})[ \t]*+".encode()).fullmatch
_trace_id = re.compile(r"[0-9a-f]{32}").fullmatch
_ZERO = "0" * 32


class Identity:
    """
    What a request is known by. Made once for each request; safe to share between threads.

    ``tracking_id`` is what people search for. What the caller's trace headers say is read when it is first asked for, and most
    requests never ask: ``trace_context`` and ``tracestate`` are what came in, if it is valid, to be passed on as it came;
    ``trace_id`` is the trace of the request, 32 lower-case hex digits: the span's where there is one, else the caller's, else the one
    derived from the tracking ID.
    """

    __slots__ = ("_found", "_trace_context", "_trace_id", "tracking_id")

    def __init__(self, tracking_id: str, trace_id: str | int | None = None, found: Headers = ()) -> None:
        self.tracking_id = tracking_id
        self._trace_id = trace_id
        self._found = found
        self._trace_context: TraceContext | Literal[False] | None = False  # not read yet

    @property
    def trace_context(self) -> TraceContext | None:
        """The caller's ``traceparent``, or None where none came or it is not valid."""
        if self._trace_context is False:
            self._trace_context = parse_traceparent([value for name, value in self._found if name == b"traceparent"])
        return self._trace_context

    @property
    def tracestate(self) -> str | None:
        """The caller's ``tracestate``, or None: without a valid ``traceparent`` it means nothing (Trace Context, section 3.3)."""
        if self.trace_context is None:
            return None
        return parse_tracestate([value for name, value in self._found if name == b"tracestate"])

    @property
    def trace_id(self) -> str:
        """The trace ID of the request."""
        trace_id = self._trace_id
        if trace_id is None:
            self._trace_id = trace_id = self.trace_context.trace_id if self.trace_context else derive_trace_id(self.tracking_id)
        elif isinstance(trace_id, int):  # as a span has it
            self._trace_id = trace_id = f"{trace_id:032x}"
        return trace_id

    def __repr__(self) -> str:
        return f"Identity(tracking_id={self.tracking_id!r}, trace_id={self.trace_id!r})"


def is_usable(value: str | bytes) -> bool:
    """
    Say whether a value may serve as a tracking ID: 1 to 128 characters out of letters, digits and ``- . _ ~ : / + = @ | ; ,``.

    >>> is_usable("req/42"), is_usable("a b"), is_usable("")
    (True, False, False)
    """
    return (_usable_bytes(value) if isinstance(value, bytes) else _usable_text(value)) is not None


def is_trace_id(value: str) -> bool:
    """
    Say whether a tracking ID serves as its own trace ID: 32 lower-case hex digits, not all zero, no UUID without its dashes.

    A UUID is no trace ID because two of its low 64 bits are fixed, and ratio samplers decide by the low 64 bits.
    """
    return len(value) == 32 and not looks_like_uuid(value) and value != _ZERO and _trace_id(value) is not None


def derive_trace_id(tracking_id: str) -> str:
    """
    Give the trace ID of a tracking ID: itself if it is one already, else the first 16 bytes of its SHA-256, in hex.

    Every service derives the same one, with nothing but the tracking ID passed on. Takes any text.

    >>> derive_trace_id("0af7651916cd43dd0448eb211c80319c")
    '0af7651916cd43dd0448eb211c80319c'
    >>> derive_trace_id("order-1742")
    '30e84667a6a714479ba877d018503ee1'
    """
    if is_trace_id(tracking_id):
        return tracking_id
    return sha256(tracking_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def claim(found: Headers, id_headers: Iterable[bytes], trace_id: str | None = None) -> Identity | None:
    """
    Read the identity that the caller of a request claims, or None where nothing usable came.

    ``found`` are the request's headers, names in lower case; others than the ID headers, ``traceparent``, ``tracestate`` and
    ``baggage`` do not matter. ``id_headers`` says which carry a tracking ID; the first in order with a usable value counts.
    ``trace_id`` is that of the current span, if there is one: it is the trace's, whatever came in.
    """
    for wanted in id_headers:
        for name, value in found:
            if name == wanted and (usable := _usable_field(value)):
                return Identity(usable[1].decode("ascii"), trace_id, found)

    trace_context = Identity("", None, found).trace_context
    if trace_context is None:
        return None
    entry = baggage_entry([value for name, value in found if name == b"baggage"], BAGGAGE_KEY)
    return Identity(entry if entry is not None and is_usable(entry) else trace_context.trace_id, trace_id, found)


def identify(found: Headers, id_headers: Iterable[bytes], trace_id: str | None = None) -> Identity:
    """Decide the identity of a request: what its caller claims (see `claim`), else the trace of the span, else a new one."""
    return claim(found, id_headers, trace_id) or Identity(trace_id or new_trace_id(), trace_id)
