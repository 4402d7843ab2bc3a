"""The context that a handler gets: its call's tracking ID is current, and in whatever the handler answers."""

from __future__ import annotations

import logging
from collections import namedtuple
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from trackline.context import IDENTITY, TRACKING_ID
from trackline.integrations.grpc.hosts import host_and_port

if TYPE_CHECKING:
    from trackline.request import RequestReader

_REQUEST_ID = "x-request-id"  # metadata's names are in lower case
_log = logging.getLogger("trackline")


def begin(reader: RequestReader, context: Any, wrap: type[Any]) -> Any:
    """
    Decide the identity of a call, set the ContextVars, and give the context for the handler; None where that fails.

    Nobody resets the ContextVars where gRPC runs a call in a context of its own (a Context, a task): it logs what a handler raises
    after our frame is gone, and the ID has to be there still.
    """
    try:
        metadata = context.invocation_metadata() or ()
        headers = [
            (name.lower().encode("ascii", "replace"), value if isinstance(value, bytes) else str(value).encode("latin-1", "replace"))
            for name, value in metadata
        ]
        scope = {"type": "http", "headers": headers, "client": _client_of(context), "grpc.context": context}
        tracking_id, _, identity = reader.identify(scope)
        tracked = wrap(context, tracking_id, metadata)
        context.set_trailing_metadata(tracked.merge(()))
        TRACKING_ID.set(tracking_id)
        IDENTITY.set(identity)
    except Exception:  # noqa: BLE001  (never fail a call)
        _log.warning("a call goes through untracked: an error in trackline itself", exc_info=True)
        return None
    return tracked


def _client_of(context: Any) -> tuple[str, int | None] | None:
    """Give address and port of the caller; of ``ipv6:%5B::1%5D:50001`` too, and none of a Unix socket."""
    scheme, _, address = unquote(str(context.peer() or "")).partition(":")
    return host_and_port(address) if scheme in ("ipv4", "ipv6") else None


class TrackedContext:
    """A ServicerContext that answers with the tracking ID, exactly once, whatever the handler sets."""

    def __init__(self, context: Any, tracking_id: str, metadata: Any) -> None:
        self._context, self._tracking_id, self._metadata = context, tracking_id, metadata
        self._is_started = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def merge(self, metadata: Any) -> Any:
        """Give metadata with the ID in it, once; what is no metadata as it is, for gRPC to complain about."""
        try:
            pairs = [(name, value) for name, value in metadata or () if name.lower() != _REQUEST_ID]
        except Exception:  # noqa: BLE001
            return metadata
        return (*pairs, (_REQUEST_ID, self._tracking_id))

    def invocation_metadata(self) -> Any:
        """Give what the caller has sent, with one ID: the call's."""
        metadata = self._metadata
        if [value for name, value in metadata if name == _REQUEST_ID] == [self._tracking_id]:
            return metadata
        make = getattr(type(metadata[0]), "_make", tuple) if metadata else tuple
        others = (pair for pair in metadata if pair[0] != _REQUEST_ID)
        return (*others, make((_REQUEST_ID, self._tracking_id)))

    def set_trailing_metadata(self, trailing_metadata: Any) -> Any:
        return self._context.set_trailing_metadata(self.merge(trailing_metadata))

    def send_initial_metadata(self, initial_metadata: Any) -> Any:
        self._is_started = True
        return self._context.send_initial_metadata(self.merge(initial_metadata))

    def abort_with_status(self, status: Any) -> Any:
        return self._context.abort_with_status(_Status(status.code, status.details, self.merge(status.trailing_metadata)))

    def start(self) -> None:
        """Send the initial metadata, if the handler has not."""
        if not self._is_started:
            self._is_started = True
            try:
                self._context.send_initial_metadata(self.merge(()))
            except Exception:  # noqa: BLE001  (the caller is gone, or it was sent some other way)
                _log.debug("no initial metadata was sent", exc_info=True)


class _Status(namedtuple("_Status", ("code", "details", "trailing_metadata")), grpc.Status):  # type: ignore[misc]  # noqa: PYI024
    """A status with other trailing metadata."""


class AioTrackedContext(TrackedContext):
    """The same for asyncio, where some of it is awaited."""

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> Any:
        await self._context.abort(code, details, self.merge(trailing_metadata))

    async def write(self, message: Any) -> Any:
        await self.start()
        return await self._context.write(message)

    async def start(self) -> None:  # type: ignore[override]
        if not self._is_started:
            self._is_started = True
            try:
                await self._context.send_initial_metadata(self.merge(()))
            except Exception:  # noqa: BLE001
                _log.debug("no initial metadata was sent", exc_info=True)


grpc.ServicerContext.register(TrackedContext)
grpc.aio.ServicerContext.register(AioTrackedContext)
