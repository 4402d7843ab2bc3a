"""Calls of asyncio's channels: every one of the process's, or those of one channel by interceptors."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

import grpc.aio  # type: ignore[import-untyped]
from grpc.aio import _call, _channel

from trackline.integrations.grpc.metadata import ids_beside, say_lost, with_ids

if TYPE_CHECKING:
    from collections.abc import Callable

# Private for the same reason as those of the blocking ones: inside of all interceptors, and of channels that exist already.
_CALLS = ("UnaryUnaryCall", "UnaryStreamCall", "StreamUnaryCall", "StreamStreamCall")


def places() -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """Give what `instrument` wraps: owner, name, and what makes the wrapper of the original."""
    return [*((getattr(_call, cls), "__init__", _wrap) for cls in _CALLS), (_channel.Channel, "__init__", wrap_channel)]


def _wrap(original: Any) -> Any:
    @functools.wraps(original, updated=())
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  (request, deadline, metadata, …: all by position)
        if len(args) > 5:
            args = (*args[:2], with_ids(args[2], target_of(args[5])), *args[3:])
        original(self, *args, **kwargs)

    return __init__


def wrap_channel(original: Any) -> Any:
    """Have each channel's target kept: before grpcio 1.81 it does not say it, and calls know nothing else of it."""

    @functools.wraps(original, updated=())
    def __init__(self: Any, target: str, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, target, *args, **kwargs)
        if not hasattr(self._channel, "target"):
            _targets[id(self._channel)] = target
            weakref.finalize(self, _targets.pop, id(self._channel), None)

    return __init__


_targets: dict[int, str] = {}


def target_of(channel: Any) -> str | bytes:
    """Give what a call's channel leads to; nothing where that is not known."""
    target: str | bytes | None = getattr(channel, "target", None)
    return target or _targets.get(id(channel), "")


def _details_with_ids(details: Any) -> Any:
    try:
        added = ids_beside(details.metadata)
        if not added:
            return details
        metadata = grpc.aio.Metadata(*(details.metadata or ()), *added)
        return grpc.aio.ClientCallDetails(details.method, details.timeout, metadata, details.credentials, details.wait_for_ready)
    except Exception:  # noqa: BLE001  (never fail a call of the user's)
        say_lost()
        return details


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_details_with_ids(client_call_details), request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
    intercept_unary_stream = _UnaryUnary.intercept_unary_unary


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):  # type: ignore[misc]
    intercept_stream_unary = _UnaryUnary.intercept_unary_unary


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):  # type: ignore[misc]
    intercept_stream_stream = _UnaryUnary.intercept_unary_unary


def aio_client_interceptors() -> list[Any]:
    """
    Give interceptors which have the calls of one asyncio channel carry the tracking ID and the trace, wherever that leads to.

    One for each kind of call, because a channel takes an interceptor for one of them only; `instrument` does it for all channels.

        channel = grpc.aio.insecure_channel("orders:50051", interceptors=aio_client_interceptors())
    """
    return [_UnaryUnary(), _UnaryStream(), _StreamUnary(), _StreamStream()]
