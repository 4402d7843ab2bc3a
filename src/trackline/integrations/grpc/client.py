"""Calls of blocking channels: every one of the process's, or those of one channel by an interceptor."""

from __future__ import annotations

import functools
from collections import namedtuple
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from grpc import _channel

from trackline.integrations.grpc.metadata import ids_beside, say_lost, with_ids

if TYPE_CHECKING:
    from collections.abc import Callable

# Private, because there is nothing public inside of all interceptors, OTel's too, which a channel that exists already passes: only
# there it shows whether a traceparent has been written.
_CALLS = {
    "_UnaryUnaryMultiCallable": ("__call__", "with_call", "future"),
    "_StreamUnaryMultiCallable": ("__call__", "with_call", "future"),
    "_UnaryStreamMultiCallable": ("__call__",),
    "_SingleThreadedUnaryStreamMultiCallable": ("__call__",),
    "_StreamStreamMultiCallable": ("__call__",),
}


def places() -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """Give what `instrument` wraps: owner, name, and what makes the wrapper of the original."""
    return [(getattr(_channel, cls), name, _wrap) for cls, names in _CALLS.items() for name in names]


def _wrap(original: Any) -> Any:
    @functools.wraps(original, updated=())
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:  # request, timeout, metadata, …
        target = getattr(self, "_target", "")
        if len(args) > 2:
            args = (*args[:2], with_ids(args[2], target), *args[3:])
        else:
            kwargs["metadata"] = with_ids(kwargs.get("metadata"), target)
        return original(self, *args, **kwargs)

    return call


class _Details(
    namedtuple("_Details", ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")),  # noqa: PYI024
    grpc.ClientCallDetails,  # type: ignore[misc]
):
    """What an interceptor hands on."""


def _details_with_ids(details: Any) -> Any:
    try:
        added = ids_beside(details.metadata)
        if not added:
            return details
        rest = (getattr(details, name, None) for name in ("credentials", "wait_for_ready", "compression"))
        return _Details(details.method, details.timeout, (*(details.metadata or ()), *added), *rest)
    except Exception:  # noqa: BLE001  (never fail a call of the user's)
        say_lost()
        return details


class TrackingClientInterceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
    grpc.StreamStreamClientInterceptor,  # type: ignore[misc]
):
    """
    Has the calls of one channel carry the tracking ID and the trace, wherever that leads to; `instrument` does it for all.

        channel = grpc.intercept_channel(channel, TrackingClientInterceptor())
    """

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(_details_with_ids(client_call_details), request)

    intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = intercept_unary_unary
