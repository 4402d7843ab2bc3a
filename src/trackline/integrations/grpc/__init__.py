"""grpc: calls carry the tracking ID and the trace as metadata, servers read them; blocking and asyncio, unary and streaming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackline.config import DEFAULT_ID_HEADERS
from trackline.environment import CLIENTS, else_from_env
from trackline.integrations.grpc import aio_client, aio_server, client, server
from trackline.integrations.grpc.aio_client import aio_client_interceptors
from trackline.integrations.grpc.aio_server import TrackingAioServerInterceptor
from trackline.integrations.grpc.client import TrackingClientInterceptor
from trackline.integrations.grpc.server import TrackingServerInterceptor
from trackline.integrations.grpc.settings import CURRENT, make_reader
from trackline.patching import Patches
from trackline.targets import parse_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackline.config import Trust
    from trackline.targets import Targets

__all__ = [
    "TrackingAioServerInterceptor",
    "TrackingClientInterceptor",
    "TrackingServerInterceptor",
    "aio_client_interceptors",
    "instrument",
    "uninstrument",
]


@else_from_env(CLIENTS)
def instrument(
    *,
    targets: Targets = "internal",
    id_headers: Sequence[str] = DEFAULT_ID_HEADERS,
    trust: Trust = "all",
) -> None:
    """
    Have every call carry the tracking ID and the trace, and every server that is made from now on read them; blocking and asyncio.

    Channels that exist already are covered (those of asyncio with grpcio before 1.81 by ``targets="all"`` only: they do not say where
    they lead). Metadata that a call has already stays, and where OTel's own instrumentation writes ``traceparent``, it is OTel's. A
    server runs each call under its tracking ID, inside of OTel's server span, and answers with ``x-request-id`` in the trailing
    metadata, of errors too, and in the initial metadata of what has a response.

    - ``targets``: where the ID may go to (see `trackline.targets.parse_targets`); the host is that of the channel's target.
    - ``id_headers``, ``trust``: as for `trackline.install`; a callable gets the call's ``ServicerContext``.

    Call it again to change the settings. Raises ValueError where one is wrong.
    """
    reader, allows = make_reader(id_headers, trust), parse_targets(targets)
    CURRENT.allows, CURRENT.reader = allows, reader
    for owner, name, wrap in _places():
        _patches.wrap(owner, name, wrap)


def uninstrument() -> None:
    """Undo `instrument`; servers that were made in between go on without. Never raises."""
    CURRENT.allows = CURRENT.reader = None
    _patches.undo()


_patches = Patches()


def _places() -> list[tuple[Any, str, Callable[[Any], Any]]]:
    return [*client.places(), *aio_client.places(), *server.places(), *aio_server.places()]
