"""urllib3: outgoing requests carry the tracking ID and the trace, to where they may."""

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
    Have the tracking ID and the trace sent along with every request, of pools that exist already too.

    ``targets`` says where to (see `trackline.targets.parse_targets`), for each hop of a redirect by itself. A header that the request
    has already stays (so nothing is sent twice under requests, which uses urllib3), and where OTel's own instrumentation writes
    ``traceparent``, it is OTel's. Call it again to change the targets. Raises ValueError where ``targets`` is wrong, ImportError where
    urllib3 is not there.
    """
    global _allows  # noqa: PLW0603  (it is the process's pools that are instrumented)
    allows = parse_targets(targets)
    from urllib3.connectionpool import HTTPConnectionPool

    _allows = allows
    _patches.wrap(HTTPConnectionPool, "urlopen", _wrap)


def uninstrument() -> None:
    """Undo `instrument`. Never raises."""
    global _allows  # noqa: PLW0603
    _allows = None
    _patches.undo()


_allows: Allows | None = None
_patches = Patches()


def _wrap(original: Any) -> Any:
    @functools.wraps(original, updated=())  # what others keep on theirs is not ours
    def urlopen(self: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any) -> Any:
        return original(self, method, url, body, _with_ids(self, url, headers), *args, **kwargs)

    return urlopen


class _Ours(str):
    """A header's value that we have set: a retry, and a redirect that a pool follows by itself, have the same objects in them."""

    __slots__ = ()


def _with_ids(pool: Any, url: str, headers: Any) -> Any:
    """Give the headers with ours, in a copy: the caller's own serve for the next hop, and perhaps for the next request."""
    try:
        if _allows is None:
            return headers
        given = pool.headers if headers is None else headers
        sent = given.copy() if hasattr(given, "copy") else dict(given)
        for name in [name for name, value in sent.items() if type(value) is _Ours]:
            del sent[name]
        host, port = pool.host, pool.port
        if not url.startswith("/"):  # through a proxy: the pool is the proxy's
            from urllib3.util import parse_url

            target = parse_url(url)
            host, port = target.host or host, target.port
        if _allows(host, port):
            before = set(sent)
            inject(sent)
            for name in set(sent) - before:
                sent[name] = _Ours(sent[name])
    except Exception:  # noqa: BLE001  (never fail a request of the user's)
        _log.warning("a request goes out without its tracking ID", exc_info=True)
        return headers
    return sent
