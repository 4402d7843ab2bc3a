"""grpc: calls carry the tracking ID and the trace as metadata, servers read them; blocking and asyncio, unary and streaming."""

from __future__ import annotations

import functools
import inspect
import logging
import weakref
from collections import namedtuple
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
from grpc import _channel, _server
from grpc.aio import _call
from grpc.aio import _channel as _aio_channel
from grpc.aio import _server as _aio_server

from trackline.carriers import inject
from trackline.config import DEFAULT_ID_HEADERS, TrackingSettings
from trackline.context import IDENTITY, TRACKING_ID
from trackline.request import RequestReader
from trackline.targets import parse_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trackline.config import Trust
    from trackline.targets import Allows, Targets

    Pairs = Iterable[tuple[str, Any]]

_REQUEST_ID = "x-request-id"  # metadata's names are in lower case
_log = logging.getLogger("trackline")


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
    global _allows, _reader
    reader, allows = _make_reader(id_headers, trust), parse_targets(targets)
    _allows, _reader = allows, reader
    for cls, name, make in _places():
        _wrap(cls, name, make)


def uninstrument() -> None:
    """Undo `instrument`; servers that were made in between go on without. Never raises."""
    global _allows, _reader  # noqa: PLW0603
    _allows = _reader = None
    for (cls, name), (original, wrapped) in list(_wrapped.items()):
        if getattr(cls, name) is wrapped:  # who has wrapped it after us keeps one that does nothing more of ours
            setattr(cls, name, original)
            del _wrapped[cls, name]


_allows: Allows | None = None
_reader: RequestReader | None = None
_wrapped: dict[tuple[Any, str], tuple[Any, Any]] = {}


def _places() -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """Give what is replaced: what is inside of all interceptors, OTel's too. Public ones would come too late for a channel that is."""
    blocking = {
        "_UnaryUnaryMultiCallable": ("__call__", "with_call", "future"),
        "_StreamUnaryMultiCallable": ("__call__", "with_call", "future"),
        "_UnaryStreamMultiCallable": ("__call__",),
        "_SingleThreadedUnaryStreamMultiCallable": ("__call__",),
        "_StreamStreamMultiCallable": ("__call__",),
    }
    calls = ("UnaryUnaryCall", "UnaryStreamCall", "StreamUnaryCall", "StreamStreamCall")
    return [
        *((getattr(_channel, cls), name, _make_blocking) for cls, names in blocking.items() for name in names),
        *((getattr(_call, cls), "__init__", _make_call) for cls in calls),
        (_aio_channel.Channel, "__init__", _make_channel),
        (_server._Server, "__init__", functools.partial(_make_server, _InstalledServerInterceptor)),  # noqa: SLF001
        (_aio_server.Server, "__init__", functools.partial(_make_server, _InstalledAioServerInterceptor)),
    ]


def _wrap(cls: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = inner = getattr(cls, name)
    known = _wrapped.get((cls, name), (None, None))[1]
    while inner is not None:
        if inner is known:
            return
        inner = getattr(inner, "__wrapped__", None)
    wrapped = functools.wraps(original, updated=())(make(original))
    _wrapped[cls, name] = original, wrapped
    setattr(cls, name, wrapped)


def _make_blocking(original: Any) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:  # request, timeout, metadata, …
        if len(args) > 2:
            args = (*args[:2], _with_ids(args[2], self), *args[3:])
        else:
            kwargs["metadata"] = _with_ids(kwargs.get("metadata"), self)
        return original(self, *args, **kwargs)

    return call


def _make_call(original: Any) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  (request, deadline, metadata, …: all by position)
        if len(args) > 5:
            args = (*args[:2], _with_ids(args[2], args[5]), *args[3:])
        original(self, *args, **kwargs)

    return __init__


def _make_channel(original: Any) -> Any:
    def __init__(self: Any, target: str, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, target, *args, **kwargs)
        if not hasattr(self._channel, "target"):  # before grpcio 1.81 it does not say, and calls know nothing else of it
            _targets[id(self._channel)] = target
            weakref.finalize(self, _targets.pop, id(self._channel), None)

    return __init__


_targets: dict[int, str] = {}


def _make_server(interceptor: Callable[[], Any], original: Any) -> Any:
    def __init__(self: Any, thread_pool: Any, handlers: Any, interceptors: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        others = list(interceptors or ())
        # Right inside of OTel's, which puts itself first: its span is there then.
        place = 0
        while place < len(others) and type(others[place]).__module__.startswith("opentelemetry."):
            place += 1
        original(self, thread_pool, handlers, [*others[:place], interceptor(), *others[place:]], *args, **kwargs)

    return __init__


def _with_ids(metadata: Any, channel: Any) -> Any:
    """Give a call's metadata with ours, if they may go where the channel leads to."""
    try:
        if _allows is None or not all(_allows(host, port) for host, port in _hosts_of(channel)):
            return metadata
        added = _ids_beside(metadata)
        return (*(metadata or ()), *added) if added else metadata
    except Exception:  # noqa: BLE001  (never fail a call of the user's)
        _log.warning("a call goes out without its tracking ID", exc_info=True)
        return metadata


def _ids_beside(metadata: Pairs | None) -> list[tuple[str, str]]:
    """Give the metadata that is to be added."""
    carrier = {str(name).lower(): value for name, value in metadata or ()}
    before = set(carrier)
    inject(carrier)
    return [(name.lower(), value) for name, value in carrier.items() if name.lower() not in before]


def _hosts_of(channel: Any) -> list[tuple[str, int | None]]:
    """Give the hosts and ports that a channel leads to (gRPC Name Resolution), such as ``dns:///orders:50051``."""
    target = getattr(channel, "_target", None) or getattr(channel, "target", None) or _targets.get(id(channel), "")
    text = target.decode() if isinstance(target, bytes) else str(target)
    scheme, colon, rest = text.partition(":")
    if scheme in ("unix", "unix-abstract", "vsock"):
        return [("localhost", None)]
    if rest.startswith("//"):
        text = rest.rpartition("/")[2]
    elif colon and scheme in ("ipv4", "ipv6", "dns"):
        text = rest
    return [_host_and_port(one) for one in text.split(",")]


def _host_and_port(address: str) -> tuple[str, int | None]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.endswith("]")):
        return address.strip("[]"), None
    return host.strip("[]"), int(port)


class _Details(
    namedtuple("_Details", ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression")),  # noqa: PYI024
    grpc.ClientCallDetails,  # type: ignore[misc]
):
    """What an interceptor hands on."""


def _details_with_ids(details: Any) -> Any:
    try:
        added = _ids_beside(details.metadata)
        if not added:
            return details
        metadata = (*(details.metadata or ()), *added)
        if isinstance(details, grpc.aio.ClientCallDetails):
            given = details.method, details.timeout, grpc.aio.Metadata(*metadata), details.credentials, details.wait_for_ready
            return grpc.aio.ClientCallDetails(*given)
        rest = (getattr(details, name, None) for name in ("credentials", "wait_for_ready", "compression"))
        return _Details(details.method, details.timeout, metadata, *rest)
    except Exception:  # noqa: BLE001  (never fail a call of the user's)
        _log.warning("a call goes out without its tracking ID", exc_info=True)
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


class _AioUnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_details_with_ids(client_call_details), request)


class _AioUnaryStream(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
    intercept_unary_stream = _AioUnaryUnary.intercept_unary_unary


class _AioStreamUnary(grpc.aio.StreamUnaryClientInterceptor):  # type: ignore[misc]
    intercept_stream_unary = _AioUnaryUnary.intercept_unary_unary


class _AioStreamStream(grpc.aio.StreamStreamClientInterceptor):  # type: ignore[misc]
    intercept_stream_stream = _AioUnaryUnary.intercept_unary_unary


def aio_client_interceptors() -> list[Any]:
    """
    Give interceptors which have the calls of one asyncio channel carry the tracking ID and the trace, wherever that leads to.

    One for each kind of call, because a channel takes an interceptor for one of them only; `instrument` does it for all channels.

        channel = grpc.aio.insecure_channel("orders:50051", interceptors=aio_client_interceptors())
    """
    return [_AioUnaryUnary(), _AioUnaryStream(), _AioStreamUnary(), _AioStreamStream()]


def _make_reader(id_headers: Sequence[str], trust: Trust) -> RequestReader:
    if callable(trust):
        asked = trust

        def trusts(scope: Any) -> bool:
            return asked(scope["grpc.context"])

        trust = trusts
    return RequestReader(TrackingSettings(id_headers=id_headers, trust=trust))


class TrackingServerInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """
    Runs each call of a server under its tracking ID; put it first, but behind OTel's. `instrument` does it for all servers.

    ``id_headers`` and ``trust`` are those of `trackline.install`; a callable gets the call's ``ServicerContext``. The answer has
    ``x-request-id`` in its trailing metadata, of errors too, and in the initial metadata if there is a response. Raises ValueError
    where a setting is wrong; nothing that a client sends makes it raise.

        grpc.server(pool, interceptors=[TrackingServerInterceptor()])
    """

    def __init__(self, *, id_headers: Sequence[str] = DEFAULT_ID_HEADERS, trust: Trust = "all") -> None:
        self._reader: RequestReader | None = _make_reader(id_headers, trust)

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler, reader = continuation(handler_call_details), self._reader
        return handler if handler is None or reader is None else _rebuilt(handler, reader, _blocking)


class TrackingAioServerInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """
    The same as `TrackingServerInterceptor` for an asyncio server, whose handlers may be blocking ones.

        grpc.aio.server(interceptors=[TrackingAioServerInterceptor()])
    """

    def __init__(self, *, id_headers: Sequence[str] = DEFAULT_ID_HEADERS, trust: Trust = "all") -> None:
        self._reader: RequestReader | None = _make_reader(id_headers, trust)

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler, reader = await continuation(handler_call_details), self._reader
        return handler if handler is None or reader is None else _rebuilt(handler, reader, _asyncio)


class _InstalledServerInterceptor(TrackingServerInterceptor):
    """What `instrument` adds to a server: does what is asked for now, if anything is."""

    def __init__(self) -> None:
        pass

    @property
    def _reader(self) -> RequestReader | None:  # type: ignore[override]
        return _reader


class _InstalledAioServerInterceptor(TrackingAioServerInterceptor):
    """What `instrument` adds to an asyncio server: does what is asked for now, if anything is."""

    def __init__(self) -> None:
        pass

    @property
    def _reader(self) -> RequestReader | None:  # type: ignore[override]
        return _reader


def _rebuilt(handler: Any, reader: RequestReader, wrap: Callable[[Any, RequestReader, bool], Any]) -> Any:
    kinds = ("unary", "stream")
    kind = f"{kinds[handler.request_streaming]}_{kinds[handler.response_streaming]}"
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    behavior = wrap(getattr(handler, kind), reader, handler.response_streaming)
    return make(behavior, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer)


# No ContextVar is reset below where gRPC runs a call in a context of its own (a Context, a task): it logs what a handler raises
# after our frame is gone, and the ID has to be there still.


def _blocking(behavior: Any, reader: RequestReader, is_streaming: bool) -> Any:
    @functools.wraps(behavior)  # gRPC looks at attributes of it
    def behave(request: Any, context: Any, *more: Any) -> Any:
        tracked = _begin(reader, context, _Context)
        if tracked is None:
            return behavior(request, context, *more)
        if is_streaming and not more:
            return _each(behavior(request, tracked), tracked)
        response = behavior(request, tracked, *more)
        tracked.start()
        return response

    return behave


def _each(responses: Any, tracked: _Context) -> Any:
    for response in responses:
        tracked.start()
        yield response
    tracked.start()


def _asyncio(behavior: Any, reader: RequestReader, is_streaming: bool) -> Any:
    # gRPC looks at what kind of function it is.
    if inspect.isasyncgenfunction(behavior):

        @functools.wraps(behavior)
        async def generate(request: Any, context: Any) -> Any:
            tracked = _begin(reader, context, _AioContext)
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
            tracked = _begin(reader, context, _AioContext)
            response = await behavior(request, context if tracked is None else tracked)
            if tracked is not None:
                await tracked.start()
            return response

        return answer
    return _in_thread(behavior, reader, is_streaming)


def _in_thread(behavior: Any, reader: RequestReader, is_streaming: bool) -> Any:
    """Wrap a blocking handler of an asyncio server: a pool's thread runs it, in its own context, which the next call has too."""
    if is_streaming:

        @functools.wraps(behavior)
        def generate(request: Any, context: Any) -> Any:
            before = TRACKING_ID.get(), IDENTITY.get()
            tracked = _begin(reader, context, _Context)
            try:
                yield from behavior(request, context) if tracked is None else _each(behavior(request, tracked), tracked)
            finally:
                TRACKING_ID.set(before[0])
                IDENTITY.set(before[1])

        return generate

    @functools.wraps(behavior)
    def answer(request: Any, context: Any) -> Any:
        before = TRACKING_ID.get(), IDENTITY.get()
        tracked = _begin(reader, context, _Context)
        try:
            response = behavior(request, context if tracked is None else tracked)
            if tracked is not None:
                tracked.start()
            return response
        finally:
            TRACKING_ID.set(before[0])
            IDENTITY.set(before[1])

    return answer


def _begin(reader: RequestReader, context: Any, wrap: type[Any]) -> Any:
    """Decide the identity of a call, set the ContextVars, and give the context for the handler; None where that fails."""
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
    return _host_and_port(address) if scheme in ("ipv4", "ipv6") else None


class _Context:
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


class _AioContext(_Context):
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


grpc.ServicerContext.register(_Context)
grpc.aio.ServicerContext.register(_AioContext)
