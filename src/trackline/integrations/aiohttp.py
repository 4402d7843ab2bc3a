"""aiohttp's client: outgoing requests and WebSockets carry the tracking ID and the trace, to where they may."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from trackline.carriers import inject
from trackline.environment import CLIENTS, else_from_env
from trackline.targets import parse_targets

if TYPE_CHECKING:
    from trackline.targets import Allows, Targets

_log = logging.getLogger("trackline")


@else_from_env(CLIENTS)
def instrument(*, targets: Targets = "internal") -> None:
    """
    Have the tracking ID and the trace sent along with every request and WebSocket, of sessions that exist already too.

    ``targets`` says where to (see `trackline.targets.parse_targets`); what is redirected elsewhere loses the headers again. A header
    that the request has already stays, and where OTel's own instrumentation writes ``traceparent``, it is OTel's. Call it again to
    change the targets. Raises ValueError where ``targets`` is wrong, ImportError where aiohttp is not there.
    """
    global _allows, _trace_config  # noqa: PLW0603  (it is the process's sessions that are instrumented)
    allows = parse_targets(targets)
    from aiohttp import ClientSession

    _allows = allows
    if _trace_config is None:
        _trace_config = _make_trace_config()
    _wrap(ClientSession)


def uninstrument() -> None:
    """Undo `instrument`. Never raises."""
    global _allows, _wrapped  # noqa: PLW0603
    _allows = None
    if _wrapped is None:
        return
    from aiohttp import ClientSession

    for session in list(_sessions):
        session._trace_configs = [config for config in session._trace_configs if config is not _trace_config]  # noqa: SLF001
    _sessions.clear()
    if ClientSession._request is _wrapped:  # noqa: SLF001  (who has wrapped it after us keeps one that does nothing more of ours)
        ClientSession._request = _original  # type: ignore[method-assign]  # noqa: SLF001
        _wrapped = None


_allows: Allows | None = None
_trace_config: Any = None
_original: Any = None
_wrapped: Any = None
_sessions: WeakSet[Any] = WeakSet()


def _wrap(cls: Any) -> None:
    global _original, _wrapped
    original = inner = cls._request
    while inner is not None:
        if inner is _wrapped:
            return
        inner = getattr(inner, "__wrapped__", None)

    @functools.wraps(original, updated=())  # what others keep on theirs is not ours
    def _request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _allows is not None and _trace_config not in self._trace_configs:
            # Behind those of others: the header of a client span is there already. A new list: theirs may serve several sessions.
            self._trace_configs = [*self._trace_configs, _trace_config]
            _sessions.add(self)
        return original(self, *args, **kwargs)

    _original, _wrapped = original, _request
    cls._request = _request


def _make_trace_config() -> Any:
    from aiohttp import TraceConfig

    config = TraceConfig()
    config.on_request_start.append(_on_start)
    config.on_request_redirect.append(_on_redirect)
    config.freeze()
    return config


async def _on_start(_session: Any, context: Any, params: Any) -> None:
    context.added = _add(params.headers, params.url)


async def _on_redirect(_session: Any, context: Any, params: Any) -> None:
    """Decide anew: the next request gets the same headers."""
    try:
        for name, value in context.added.items():
            if params.headers.get(name) == value:
                del params.headers[name]
        context.added = {}
        location = params.response.headers.get("Location") or params.response.headers.get("URI")
        if location is not None:
            context.added = _add(params.headers, params.url.join(type(params.url)(location)))
    except Exception:  # noqa: BLE001  (never fail a request of the user's)
        _log.warning("a redirected request goes out without its tracking ID", exc_info=True)


def _add(headers: Any, url: Any) -> dict[str, str]:
    """Add ours to a request's headers, if they may go there; give what was added."""
    try:
        if _allows is None or url.host is None or not _allows(url.host, url.explicit_port):
            return {}
        before = {name.lower() for name in headers}
        inject(headers)
        return {name: headers[name] for name in headers if name.lower() not in before}
    except Exception:  # noqa: BLE001  (never fail a request of the user's)
        _log.warning("a request goes out without its tracking ID", exc_info=True)
        return {}
