"""WSGI applications (Flask, Django and others): every request has its identity, and every answer the header."""

from __future__ import annotations

import contextlib
import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import get_current_span

from trackline.config import DEFAULT_ID_HEADERS, DEFAULT_RESPONSE_HEADERS, TrackingSettings
from trackline.context import IDENTITY, TRACKING_ID
from trackline.identity import TRACE_HEADERS, is_usable
from trackline.request import REQUEST_ID, RequestReader, holds
from trackline.response import ResponseHeaders
from trackline.startup import server_started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trackline.config import Exclude, Trust
    from trackline.identity import Identity

    Environ = dict[str, Any]
    WSGIApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

TRACKED_KEY = "trackline.tracking_id"
"""Where in the environ the tracking ID is: the mark of a request that is tracked already."""

_REQUEST_KEY = "trackline.request"
_OTEL = "opentelemetry.instrumentation."
_INSTALLED = "_trackline"
_log = logging.getLogger("trackline")


class TrackingMiddleware:
    """
    Track every request of a WSGI application; put it outside of everything else, but inside of what makes the server span.

    For Flask use `install`. In Django's wsgi.py:

        application = TrackingMiddleware(get_wsgi_application())

    and, if OTel instruments Django, `django_middleware` too. The contract is that of `trackline.TrackingMiddleware`: one X-Request-ID
    in the environ, the ID in ``TRACKING_ID`` during the call and while the answer is sent and closed, the headers on every answer once.
    Where an application raises before it has begun to answer, the client gets a plain 500 with the headers, and the server the error.

    - ``id_headers``, ``response_headers``: as for `trackline.install`. Several headers of one name reach a WSGI application joined
      by commas; where that is no usable ID, the first usable part counts.
    - ``trust``: whose IDs count: "all", "none", a list of networks (of REMOTE_ADDR), or a callable of the environ.
    - ``exclude``: a callable of the environ; a request for which it is true is not touched at all.

    Raises ValueError where a setting is wrong. Nothing that a client sends makes it raise, and no error of its own fails a request.
    An instance keeps nothing of a request, so it serves any number of threads.
    """

    def __init__(
        self,
        app: WSGIApp,
        *,
        id_headers: Sequence[str] = DEFAULT_ID_HEADERS,
        response_headers: Sequence[str] = DEFAULT_RESPONSE_HEADERS,
        trust: Trust = "all",
        exclude: Exclude | None = None,
    ) -> None:
        settings = TrackingSettings(id_headers, response_headers, _of_environ(trust), exclude)
        self.app = app
        self._exclude = settings.exclude
        self._parts = _Parts(settings)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        last = _last.get()
        if last is not None and not last.is_running:
            last.end()  # a thread serves one request after the other: this one was left for the server's log of its error
        self._parts.start_up()
        if TRACKED_KEY in environ or (self._exclude is not None and holds(self._exclude, environ, otherwise=False)):
            return self.app(environ, start_response)
        try:
            request = _Request(self._parts, environ, start_response)
        except Exception:  # noqa: BLE001  (never fail a request)
            _log.warning("a request goes through untracked: an error in trackline itself", exc_info=True)
            return self.app(environ, start_response)
        return request.followed(request.run(self.app, environ, request.start))


def install(
    app: Any,
    *,
    id_headers: Sequence[str] = DEFAULT_ID_HEADERS,
    response_headers: Sequence[str] = DEFAULT_RESPONSE_HEADERS,
    trust: Trust = "all",
    exclude: Exclude | None = None,
) -> None:
    """
    Track every request of a Flask application; the keywords are those of `TrackingMiddleware`.

    May be called before or after OTel's instrumentation, at any time before the first request; a second call changes nothing. OTel's
    begins its server span inside of the application, so the ID of a request that came with nothing is its trace ID from there on.
    Raises ValueError where a setting is wrong, TypeError where ``app`` has no ``wsgi_app``.
    """
    if not hasattr(app, "wsgi_app"):
        raise TypeError(f"install(app={app!r}): expected a Flask application; for others: TrackingMiddleware(app)")
    if getattr(app, _INSTALLED, False):
        return
    options: dict[str, Any] = {"id_headers": id_headers, "response_headers": response_headers, "trust": trust, "exclude": exclude}
    outer, name = app, "wsgi_app"
    while type(inner := getattr(outer, name)).__module__ == f"{_OTEL}wsgi":  # go right inside of OTel's middleware
        outer, name = inner, "wsgi"
    setattr(outer, name, _FlaskMiddleware(inner, app, options))
    setattr(app, _INSTALLED, True)


def django_middleware(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """
    Follow the span that OTel's instrumentation of Django makes; first in ``MIDDLEWARE``, beside `TrackingMiddleware` in wsgi.py.

    That span begins inside of the application. With this the ID of a request that came with nothing is its trace ID, and the span has
    the attribute ``tracking_id``. Without OTel it does nothing.

        MIDDLEWARE = ["trackline.integrations.wsgi.django_middleware", …]
    """

    def follow(request: Any) -> Any:
        _follow_span(getattr(request, "environ", None) or {})
        return get_response(request)

    return follow


class _FlaskMiddleware(TrackingMiddleware):
    def __init__(self, app: WSGIApp, flask: Any, options: dict[str, Any]) -> None:
        super().__init__(app, **options)
        self._flask = flask

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._flask is not None:  # the first request: whatever is to be set up is
            flask, self._flask = self._flask, None
            with contextlib.suppress(Exception):
                functions = flask.before_request_funcs.get(None, [])
                modules = [getattr(function, "__module__", None) for function in functions]
                if f"{_OTEL}flask" in modules:
                    functions.insert(modules.index(f"{_OTEL}flask") + 1, _follow_span_in_flask)
        return super().__call__(environ, start_response)


def _follow_span_in_flask() -> None:
    import flask

    _follow_span(flask.request.environ)


def _follow_span(environ: Mapping[str, Any]) -> None:
    """Decide the identity of a request anew, now that there is a server span, which was not there when it came."""
    request = environ.get(_REQUEST_KEY)
    if isinstance(request, _Request) and get_current_span().get_span_context().is_valid:
        try:
            request.identify()
        except Exception:  # noqa: BLE001  (never fail a request)
            _log.warning("a request does not follow its span: an error in trackline itself", exc_info=True)


def _of_environ(trust: Trust) -> Trust:
    if not callable(trust):
        return trust
    asked = trust

    def trusts(scope: Mapping[str, Any]) -> bool:
        return asked(scope["wsgi.environ"])

    return trusts


class _Parts:
    """What the requests of a middleware have in common: the core's reader of a request and its stamp, and WSGI's names for headers."""

    def __init__(self, settings: TrackingSettings) -> None:
        self.reader = RequestReader(settings)
        self._answers = ResponseHeaders(settings.response_headers)
        self._names = {name.lower().encode("ascii"): name for name in settings.response_headers}
        self.keys = {name: "HTTP_" + name.decode("ascii").upper().replace("-", "_") for name in self.reader.wanted}
        self._is_started = False

    def start_up(self) -> None:
        """Do, at the first request, what is to be done once the server has set itself up."""
        if not self._is_started:
            self._is_started = True
            server_started()

    def headers_of(self, environ: Environ) -> list[tuple[bytes, bytes]]:
        """Give the headers that matter, as ASGI has them."""
        found: list[tuple[bytes, bytes]] = []
        for name, key in self.keys.items():
            text = environ.get(key)
            if not text:
                continue
            value = str(text).encode("latin-1", "replace")  # PEP 3333, "Unicode Issues"
            several = name not in TRACE_HEADERS and b"," in value and not is_usable(value)
            found.extend((name, part.strip(b" \t")) for part in (value.split(b",") if several else (value,)))
        return found

    def stamp(self, headers: Iterable[tuple[str, str]], tracking_id: str) -> list[tuple[str, str]]:
        """Give the headers of an answer with ours."""
        given = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        stamped = self._answers.stamp({"headers": given}, tracking_id.encode("ascii"))["headers"]
        return [(self._names.get(name) or name.decode("latin-1"), value.decode("latin-1")) for name, value in stamped]


class _Request:
    """
    A request on its way: under its ID while the application, or the body of its answer, runs.

    In between the ID stays, for what the server logs; it goes when the server closes the answer. Where the application has raised, the
    server logs the error after that, so the ID stays until the thread's next request.
    """

    def __init__(self, parts: _Parts, environ: Environ, start_response: Callable[..., Any]) -> None:
        self._parts, self._environ, self._start_response = parts, environ, start_response
        self._headers = parts.headers_of(environ)
        self._before = TRACKING_ID.get(), IDENTITY.get()
        self._is_begun = False
        self.is_running = False
        self._outer = _last.get()
        self.tracking_id = ""
        self.identify()
        environ[_REQUEST_KEY] = self
        _last.set(self)

    def identify(self) -> None:
        """Decide the identity, and write the ID into the environ and the ContextVars."""
        environ = self._environ
        address = environ.get("REMOTE_ADDR")
        scope: dict[str, Any] = {
            "type": "http",
            "headers": self._headers,
            "client": (address, environ.get("REMOTE_PORT")) if address else None,
            "wsgi.environ": environ,
        }
        self.tracking_id, _, identity = self._parts.reader.identify(scope)
        kept = {name for name, _ in scope["headers"]}
        for name, key in self._parts.keys.items():
            if name not in kept:
                environ.pop(key, None)
        environ[self._parts.keys[REQUEST_ID]] = environ[TRACKED_KEY] = self.tracking_id
        self._enter(identity)

    def _enter(self, identity: Identity | None) -> None:
        TRACKING_ID.set(self.tracking_id)
        IDENTITY.set(identity)
        self._identity = identity

    def end(self) -> None:
        """Give the thread back as it was; in another one there is nothing to give back."""
        self._release()
        if _last.get() is self:
            _last.set(self._outer)
            if TRACKING_ID.get() == self.tracking_id:
                TRACKING_ID.set(self._before[0])
                IDENTITY.set(self._before[1])

    def _release(self) -> None:
        self._environ.pop(_REQUEST_KEY, None)  # they hold each other
        self._environ = {}

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run the application's code."""
        if TRACKING_ID.get() is None:  # a server may take another thread for the body
            self._enter(self._identity)
            _last.set(self)
        self.is_running = True
        try:
            return function(*args)
        except StopIteration:
            raise
        except BaseException as error:
            if isinstance(error, Exception) and not self._is_begun:
                self._answer_failed()
            if self._before[0] is not None:  # a caller in this process gets its own ID back, or it would go on under ours
                self.end()
            self._release()
            raise
        finally:
            self.is_running = False

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Begin the answer, with our headers: what the application calls as ``start_response``."""
        self._is_begun = True
        try:
            headers = self._parts.stamp(headers, self.tracking_id)
        except Exception:  # noqa: BLE001  (what is wrong with them is the server's to say)
            _log.warning("an answer goes out without its tracking ID: an error in trackline itself", exc_info=True)
        return self._start_response(status, headers, *exc_info)

    def _answer_failed(self) -> None:
        """
        Answer an unhandled error before the server does, which would leave out the header.

        By ``write``, which PEP 3333 has for such: the application has no iterable to give any more, and the error goes on to the
        server, which logs it. A debugger outside of us shows its own page, which it could not any more.
        """
        environ = self._environ
        if "werkzeug.debug.preserve_context" in environ or environ.get("paste.throw_errors"):
            return
        body = b"Internal Server Error"
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        with contextlib.suppress(Exception):  # the client may be gone; the application's own error is what counts
            write = self.start("500 Internal Server Error", headers, sys.exc_info())
            write(b"" if environ.get("REQUEST_METHOD") == "HEAD" else body)

    def followed(self, answer: Iterable[bytes]) -> Iterable[bytes]:
        """Give the answer's body, sent and closed under the ID."""
        wrapper = self._environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(answer, wrapper):
            self._follow_file(answer)
            return answer  # as it is: the server may have a faster way to send a file of its own kind
        return (_SizedBody if hasattr(answer, "__len__") else _Body)(self, answer)

    def _follow_file(self, answer: Any) -> None:
        close = getattr(answer, "close", None)

        def close_and_end() -> None:
            try:
                if close is not None:
                    close()
            finally:
                self.end()

        with contextlib.suppress(Exception):  # it may be no object of Python's: then the next request ends this one
            answer.close = close_and_end


_last: ContextVar[_Request | None] = ContextVar("trackline_wsgi_request", default=None)


class _Body:
    """The body of an answer: an iterator over what the application gave, which is closed in the end."""

    def __init__(self, request: _Request, answer: Iterable[bytes]) -> None:
        self._request, self._answer = request, answer
        self._chunks: Iterator[bytes] | None = None
        self._has_failed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._chunks is None:
                self._chunks = self._request.run(iter, self._answer)
            return self._request.run(next, self._chunks)  # type: ignore[no-any-return]
        except StopIteration:
            raise
        except BaseException:
            self._has_failed = True
            raise

    def close(self) -> None:
        """Close what the application gave, and end the request."""
        close = getattr(self._answer, "close", None)
        if close is not None:
            self._request.run(close)
        if not self._has_failed:
            self._request.end()


class _SizedBody(_Body):
    """A body of a known number of parts, by which a server may tell the content's length (PEP 3333)."""

    def __len__(self) -> int:
        return len(self._answer)  # type: ignore[arg-type]
