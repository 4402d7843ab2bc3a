"""httpx and httpx2: outgoing requests carry the tracking ID and the trace, to where they may."""

from __future__ import annotations

import functools
import importlib
import logging
from typing import TYPE_CHECKING, Any

from trackline.carriers import inject
from trackline.environment import CLIENTS, else_from_env
from trackline.patching import Patches
from trackline.targets import parse_targets

if TYPE_CHECKING:
    from types import ModuleType

    from trackline.targets import Allows, Targets

_OURS = "trackline"  # in a request's extensions, which httpx hands on to the requests of its redirects: these headers are ours
_HEADERS = ("X-Request-ID", "traceparent", "tracestate", "baggage")
_log = logging.getLogger("trackline")


@else_from_env(CLIENTS)
def instrument(client: Any = None, *, targets: Targets = "internal") -> None:
    """
    Have the tracking ID and the trace sent along with every request: of one client, or of all, also of those that exist already.

    ``targets`` says where to (see `trackline.targets.parse_targets`); what is redirected elsewhere loses the headers again. A header
    that the request has already stays, and where OTel's own instrumentation writes ``traceparent``, it is OTel's. Call it again to
    change the targets. Raises ValueError where ``targets`` is wrong, ImportError where neither httpx nor httpx2 is there.
    """
    hook = _Hook(parse_targets(targets))
    if client is not None:
        _add(client, hook)
        return
    global _everywhere  # noqa: PLW0603  (it is the process's clients that are instrumented)
    modules = list(_modules())
    if not modules:
        raise ImportError("neither httpx nor httpx2 is installed: pip install 'trackline[httpx]'")
    _everywhere = hook
    for module in modules:
        for name in ("Client", "AsyncClient"):
            _patches.wrap(getattr(module, name), "send", _wrap)


def uninstrument(client: Any = None) -> None:
    """Undo `instrument`: for one client that was given to it, or for all. Never raises."""
    global _everywhere  # noqa: PLW0603
    if client is not None:
        _remove(client)
        return
    _everywhere = None
    _patches.undo()


_everywhere: _Hook | None = None
_patches = Patches()


class _Hook:
    """What is done with each request, redirected ones included."""

    def __init__(self, allows: Allows) -> None:
        self.allows = allows

    def __call__(self, request: Any) -> None:
        try:
            ours = request.extensions.get(_OURS)
            for name in ours or ():  # a redirect: copied from the request before it
                if request.headers.get(name) == ours[name]:
                    del request.headers[name]
            if self.allows(request.url.host, request.url.port):
                before = {name: request.headers.get(name) for name in _HEADERS}
                inject(request.headers)
                added = {name: request.headers[name] for name in _HEADERS if before[name] is None and name in request.headers}
                request.extensions = {**request.extensions, _OURS: added}
        except Exception:  # noqa: BLE001  (never fail a request of the user's)
            _log.warning("a request goes out without its tracking ID", exc_info=True)

    async def run(self, request: Any) -> None:
        self(request)


def _modules() -> list[ModuleType]:
    found = []
    for name in ("httpx", "httpx2"):
        try:
            found.append(importlib.import_module(name))
        except ImportError:
            continue
    return found


def _hook_of(client: Any, hook: _Hook) -> Any:
    return hook.run if any(base.__name__ == "AsyncClient" for base in type(client).__mro__) else hook


def _is_ours(hook: Any) -> bool:
    return isinstance(hook, _Hook) or isinstance(getattr(hook, "__self__", None), _Hook)


def _add(client: Any, hook: _Hook) -> None:
    # Behind the user's own hooks: a header that one of them sets is there already.
    others = [other for other in client.event_hooks["request"] if not _is_ours(other)]
    client.event_hooks = {**client.event_hooks, "request": [*others, _hook_of(client, hook)]}


def _remove(client: Any) -> None:
    others = [other for other in client.event_hooks["request"] if not _is_ours(other)]
    client.event_hooks = {**client.event_hooks, "request": others}


def _wrap(original: Any) -> Any:
    @functools.wraps(original)
    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _everywhere is not None and not any(map(_is_ours, self.event_hooks["request"])):
            _add(self, _Global())
        return original(self, *args, **kwargs)

    return send


class _Global(_Hook):
    """The hook of a client that was not instrumented by itself: does what is asked for everywhere now, if anything is."""

    def __init__(self) -> None:
        super().__init__(lambda host, port: _everywhere is not None and _everywhere.allows(host, port))
