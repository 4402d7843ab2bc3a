"""Asyncio's servers: each call runs under its tracking ID, those of blocking handlers too."""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio  # type: ignore[import-untyped]
from grpc.aio import _server

from trackline.config import DEFAULT_ID_HEADERS
from trackline.context import IDENTITY, TRACKING_ID
from trackline.integrations.grpc.context import AioTrackedContext, TrackedContext, begin
from trackline.integrations.grpc.server import each, rebuild, wrap_server
from trackline.integrations.grpc.settings import CURRENT, make_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trackline.config import Trust
    from trackline.request import RequestReader


def places() -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """Give what `instrument` wraps: owner, name, and what makes the wrapper of the original."""
    return [(_server.Server, "__init__", functools.partial(wrap_server, _InstalledAioServerInterceptor))]


class TrackingAioServerInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """
    The same as `TrackingServerInterceptor` for an asyncio server, whose handlers may be blocking ones.

        grpc.aio.server(interceptors=[TrackingAioServerInterceptor()])
    """

    def __init__(self, *, id_headers: Sequence[str] = DEFAULT_ID_HEADERS, trust: Trust = "all") -> None:
        self._reader: RequestReader | None = make_reader(id_headers, trust)

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler, reader = await continuation(handler_call_details), self._reader
        return handler if handler is None or reader is None else rebuild(handler, reader, _track)


class _InstalledAioServerInterceptor(TrackingAioServerInterceptor):
    """What `instrument` adds to an asyncio server: does what is asked for now, if anything is."""

    def __init__(self) -> None:
        pass

    @property
    def _reader(self) -> RequestReader | None:  # type: ignore[override]
        return CURRENT.reader


def _track(behavior: Any, reader: RequestReader, is_streaming: bool) -> Any:
    # gRPC looks at what kind of function it is.
    if inspect.isasyncgenfunction(behavior):

        @functools.wraps(behavior)
        async def generate(request: Any, context: Any) -> Any:
            tracked = begin(reader, context, AioTrackedContext)
            async for response in behavior(request, context if tracked is None else tracked):
                if tracked is not None:
                    await tracked.start()
                yield response
            if tracked is not None:
                await tracked.start()

        return generate
    if inspect.iscoroutinefunction(behavior):

        @functools.wraps(behavior)
        async def answer(request: Any, context: Any) -> Any:
            tracked = begin(reader, context, AioTrackedContext)
            response = await behavior(request, context if tracked is None else tracked)
            if tracked is not None:
                await tracked.start()
            return response

        return answer
    return _track_blocking(behavior, reader, is_streaming)


def _track_blocking(behavior: Any, reader: RequestReader, is_streaming: bool) -> Any:
    if is_streaming:

        @functools.wraps(behavior)
        def generate(request: Any, context: Any) -> Any:
            with _restored():
                tracked = begin(reader, context, TrackedContext)
                yield from behavior(request, context) if tracked is None else each(behavior(request, tracked), tracked)

        return generate

    @functools.wraps(behavior)
    def answer(request: Any, context: Any) -> Any:
        with _restored():
            tracked = begin(reader, context, TrackedContext)
            response = behavior(request, context if tracked is None else tracked)
            if tracked is not None:
                tracked.start()
            return response

    return answer


@contextmanager
def _restored() -> Iterator[None]:
    """Give the ContextVars back what they had: a pool's thread runs a blocking handler in its own context, as it does the next one."""
    before = TRACKING_ID.get(), IDENTITY.get()
    try:
        yield
    finally:
        TRACKING_ID.set(before[0])
        IDENTITY.set(before[1])
