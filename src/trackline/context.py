"""Where the tracking ID of this moment is kept: the ContextVar, and what is read from and put into it."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import types
from contextvars import Context, ContextVar, Token, copy_context
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, format_span_id, format_trace_id, get_current_span

from trackline.generate import new_trace_id
from trackline.identity import Identity, derive_trace_id, is_usable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

P = ParamSpec("P")
R = TypeVar("R")

TRACKING_ID: ContextVar[str | None] = ContextVar("tracking_id", default=None)
"""The tracking ID of the request that this code runs for; None outside of one."""

IDENTITY: ContextVar[Identity | None] = ContextVar("trackline_identity", default=None)
"""The whole identity behind TRACKING_ID. It counts only while its tracking ID is TRACKING_ID's: a user may set that alone."""

OTEL_KEY = "trackline.tracking_id"
"""The key in OTel's Context under which a propagator leaves the tracking ID where no middleware runs (a task queue's worker)."""

ROOT_KEY = "trackline.root"
"""In OTel's Context: the `Root` whose trace is to have the trace ID that is derived from a tracking ID."""

_log = logging.getLogger("trackline")


class Root:
    """A tracking ID that came without a trace: the next root span gets the derived trace ID, further ones do not."""

    __slots__ = ("is_taken", "tracking_id")

    is_asked_for = False
    """Whether there is a `TrackingIdGenerator` in this process."""

    def __init__(self, tracking_id: str) -> None:
        self.tracking_id = tracking_id
        self.is_taken = False


def get_tracking_id() -> str | None:
    """
    Give the tracking ID of the request that this code runs for, or None outside of one. ``Depends(get_tracking_id)`` works.

    Reads the ContextVar `TRACKING_ID`; where that is empty, OTel's Context. Safe in any thread.
    """
    tracking_id = TRACKING_ID.get()
    if tracking_id is None:
        passed_on = otel_context.get_value(OTEL_KEY)
        return passed_on if isinstance(passed_on, str) else None
    return tracking_id


def get_identity() -> Identity | None:
    """Give the identity behind the current tracking ID, also one that was only set in TRACKING_ID; None outside of a request."""
    identity = IDENTITY.get()
    tracking_id = get_tracking_id()
    if identity is not None and identity.tracking_id == tracking_id:
        return identity
    return None if tracking_id is None else Identity(tracking_id)


def current_span_ids() -> tuple[str | None, str | None, int | None]:
    """
    Give trace ID, span ID and trace flags of this moment, as hex and an int: what a log line carries.

    The trace ID is the current span's, else the request's own (also after the span has ended), else None. The span ID and the flags
    are those of a span of this process only: a caller's span is no place where a line was written.
    """
    span = get_current_span()
    if span is not INVALID_SPAN:
        context = span.get_span_context()
        if context.is_valid:
            if context.is_remote:
                return format_trace_id(context.trace_id), None, None
            return format_trace_id(context.trace_id), format_span_id(context.span_id), context.trace_flags
    tracking_id = get_tracking_id()
    if tracking_id is None:
        return None, None, None
    identity = IDENTITY.get()
    if identity is not None and identity.tracking_id == tracking_id:
        return identity.trace_id, None, None
    return derive_trace_id(tracking_id), None, None


class use_tracking_id:  # noqa: N801  (it is used like a function)
    """
    Run a block, or each call of a function, under a tracking ID; a context manager and a decorator, for sync and async functions.

    Yields the ID. ``None`` makes a new one, as does a value that could not be passed on (see `trackline.identity.is_usable`): work
    that should have got its ID from a request and did not is still searchable; the log says so, once for each such place.

        with use_tracking_id(message["tracking_id"]) as tracking_id: ...

        @use_tracking_id()              # a new one for each call
        async def nightly() -> None: ...

    One object may be used again, but not entered twice at the same time; the decorator may, by any number of threads and tasks.
    """

    __slots__ = ("_given", "_tokens")

    _NEW = "\0new"  # tells use_tracking_id() from use_tracking_id(None): only the latter has lost something

    def __init__(self, tracking_id: str | None = _NEW) -> None:
        self._given = tracking_id
        self._tokens: tuple[Token[str | None], Token[Identity | None]] | None = None

    def __enter__(self) -> str:
        given = self._given
        if given is not None and given is not use_tracking_id._NEW and is_usable(given):
            tracking_id = str(given)
        else:
            tracking_id = new_trace_id()
            if given is not use_tracking_id._NEW:
                _warn_lost(tracking_id, given, sys._getframe(1))  # noqa: SLF001  (as logging does to find its caller)
        self._tokens = TRACKING_ID.set(tracking_id), IDENTITY.set(Identity(tracking_id))
        return tracking_id

    def __exit__(self, *exc_info: object) -> None:
        if self._tokens is not None:
            tracking, identity = self._tokens
            self._tokens = None
            IDENTITY.reset(identity)
            TRACKING_ID.reset(tracking)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        given = self._given

        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(
                f"use_tracking_id on {function.__qualname__!r}: expected a function or an async function, not a generator; "
                "use the with statement inside of it"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with use_tracking_id(given):
                    return await function(*args, **kwargs)

            return run_async  # type: ignore[return-value]

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with use_tracking_id(given):
                return function(*args, **kwargs)

        return run


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """
    Give a function that runs in the context of now: the tracking ID, OTel's span and every other ContextVar go along.

    For threads, executors and callbacks, which start with an empty context: ``executor.submit(carry(work), 1)``. For sync and async
    functions. Each call gets a copy of its own, so the result may be called many times and in many threads at once.
    """
    context = copy_context()
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            return await _drive(context.copy(), function(*args, **kwargs))

        return run_async  # type: ignore[return-value]

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)

    return run


@types.coroutine
def _drive(context: Context, coroutine: Awaitable[R]) -> Generator[Any, Any, R]:
    # Step by step and not as a task of its own: works on any event loop, and cancellation and timeouts stay the caller's.
    steps = coroutine.__await__()
    resume: Callable[[], Any] = functools.partial(context.run, next, steps)
    try:
        while True:
            awaited = resume()
            try:
                sent = yield awaited
            except GeneratorExit:
                context.run(steps.close)
                raise
            except BaseException as error:  # noqa: BLE001  (handed on to the coroutine, as `yield from` does)
                resume = functools.partial(context.run, steps.throw, error)
            else:
                resume = functools.partial(context.run, steps.send, sent)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


_MAX_WARNED = 1000
_warned: set[tuple[str, int]] = set()


def _warn_lost(tracking_id: str, given: object, frame: types.FrameType) -> None:
    # `with` is entered from the user's frame, the decorator from ours: the function's own place says more than this file's.
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    place = frame.f_code.co_filename, frame.f_lineno
    if place in _warned or len(_warned) >= _MAX_WARNED:
        return
    _warned.add(place)
    what = "no tracking ID was passed on" if given is None else "the tracking ID that was passed on is not usable"
    token = TRACKING_ID.set(tracking_id)
    try:
        _log.warning("%s, a new one was made: %s (%s:%d; said once for this place)", what, tracking_id, *place)
    finally:
        TRACKING_ID.reset(token)
