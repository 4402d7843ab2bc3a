"""requests: outgoing requests carry the tracking ID and the trace, to where they may."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from trackline.carriers import inject
from trackline.environment import CLIENTS, else_from_env
from trackline.patching import Patches
from trackline.targets import parse_targets

if TYPE_CHECKING:
    from trackline.targets import Allows, Targets

_log = logging.getLogger("trackline")


@else_from_env(CLIENTS)
def instrument(*, targets: Targets = "internal") -> None:
    """
    Have the tracking ID and the trace sent along with every request, of sessions that exist already too.

    ``targets`` says where to (see `trackline.targets.parse_targets`); what is redirected elsewhere loses the headers again. A header
    that the request has already stays, and where OTel's own instrumentation writes ``traceparent``, it is OTel's. Call it again to
    change the targets. Raises ValueError where ``targets`` is wrong, ImportError where requests is not there.
    """
    global _allows  # noqa: PLW0603  (it is the process's sessions that are instrumented)
    allows = parse_targets(targets)
    from requests import Session

    _allows = allows
    _patches.wrap(Session, "send", _wrap)


def uninstrument() -> None:
    """Undo `instrument`. Never raises."""
    global _allows  # noqa: PLW0603
    _allows = None
    _patches.undo()


_allows: Allows | None = None
_patches = Patches()


class _Ours(str):
    """A header's value that we have set: a redirect is a copy of the request before it, and has the same objects in it."""

    __slots__ = ()


def _wrap(original: Any) -> Any:
    @functools.wraps(original, updated=())  # what others keep on theirs is not ours
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        _prepare(request)
        return original(self, request, **kwargs)

    return send


def _prepare(request: Any) -> None:
    try:
        headers = request.headers
        for name in [name for name, value in headers.items() if type(value) is _Ours]:
            del headers[name]
        if _allows is None:
            return
        from urllib3.util import parse_url

        url = parse_url(request.url)
        if url.host is None or not _allows(url.host, url.port):
            return
        before = set(headers)
        inject(headers)
        for name in set(headers) - before:
            headers[name] = _Ours(headers[name])
    except Exception:  # noqa: BLE001  (never fail a request of the user's)
        _log.warning("a request goes out without its tracking ID", exc_info=True)
