"""Blocking servers: each call runs under its tracking ID."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from grpc import _server

from trackline.config import DEFAULT_ID_HEADERS
from trackline.integrations.grpc.context import TrackedContext, begin
from trackline.integrations.grpc.settings import CURRENT, make_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackline.config import Trust
    from trackline.request import RequestReader


def places() -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """Give what `instrument` wraps: owner, name, and what makes the wrapper of the original."""
    return [(_server._Server, "__init__", functools.partial(wrap_server, _InstalledServerInterceptor))]  # noqa: SLF001


def wrap_server(interceptor: Callable[[], Any], original: Any) -> Any:
    """
    Have each server that is made get an interceptor of ours, right inside of OTel's, which puts itself first: its span is there then.

    Private, and not `grpc.server` itself: contrib replaces that, by a function which hides ours, and gives back the one before it; and
    who has imported the name has it already.
    """

    @functools.wraps(original, updated=())
    def __init__(self: Any, thread_pool: Any, handlers: Any, interceptors: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        others = list(interceptors or ())
        place = 0
        while place < len(others) and type(others[place]).__module__.startswith("opentelemetry."):
            place += 1
        original(self, thread_pool, handlers, [*others[:place], interceptor(), *others[place:]], *args, **kwargs)

    return __init__


class TrackingServerInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """
    Runs each call of a server under its tracking ID; put it first, but behind OTel's. `instrument` does it for all servers.

    ``id_headers`` and ``trust`` are those of `trackline.install`; a callable gets the call's ``ServicerContext``. The answer has
    ``x-request-id`` in its trailing metadata, of errors too, and in the initial metadata if there is a response. Raises ValueError
    where a setting is wrong; nothing that a client sends makes it raise.

        grpc.server(pool, interceptors=[TrackingServerInterceptor()])
    """

    def __init__(self, *, id_headers: Sequence[str] = DEFAULT_ID_HEADERS, trust: Trust = "all") -> None:
        self._reader: RequestReader | None = make_reader(id_headers, trust)

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler, reader = continuation(handler_call_details), self._reader
        return handler if handler is None or reader is None else rebuild(handler, reader, _track)


class _InstalledServerInterceptor(TrackingServerInterceptor):
    """What `instrument` adds to a server: does what is asked for now, if anything is."""

    def __init__(self) -> None:
        pass

    @property
    def _reader(self) -> RequestReader | None:  # type: ignore[override]
        return CURRENT.reader


def rebuild(handler: Any, reader: RequestReader, track: Callable[[Any, RequestReader, bool], Any]) -> Any:
    """Give a method's handler with its function wrapped by ``track(function, reader, is_streaming)``; streaming are the responses."""
    kinds = ("unary", "stream")
    kind = f"{kinds[handler.request_streaming]}_{kinds[handler.response_streaming]}"
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    behavior = track(getattr(handler, kind), reader, handler.response_streaming)
    return make(behavior, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer)


def _track(behavior: Any, reader: RequestReader, is_streaming: bool) -> Any:
    @functools.wraps(behavior)  # gRPC looks at attributes of it
    def behave(request: Any, context: Any, *more: Any) -> Any:
        tracked = begin(reader, context, TrackedContext)
        if tracked is None:
            return behavior(request, context, *more)
        if is_streaming and not more:
            return each(behavior(request, tracked), tracked)
        response = behavior(request, tracked, *more)
        tracked.start()
        return response

    return behave


def each(responses: Any, tracked: TrackedContext) -> Any:
    """Hand on a stream of responses, with the initial metadata before the first, or in the end."""
    for response in responses:
        tracked.start()
        yield response
    tracked.start()
