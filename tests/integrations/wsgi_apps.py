"""WSGI applications which say what they see, and how to serve them: ``python -m integrations.wsgi_apps SERVER``."""

from __future__ import annotations

import json
import logging
import os
import sys
from io import BytesIO
from pathlib import Path
from wsgiref.util import FileWrapper

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from flask import Flask, Response, request

from trackline import get_tracking_id
from trackline.context import current_span_ids
from trackline.integrations import wsgi as integration

log = logging.getLogger("of.app")


def seen(environ):
    """Give what an application sees of the request."""
    ids = {name: value for name, value in environ.items() if name.startswith(("HTTP_X_", "HTTP_TRACE"))}
    trace_id, span_id, _ = current_span_ids()
    return {"tracking_id": get_tracking_id(), "trace_id": trace_id, "span_id": span_id, **ids}


def plain(environ, start_response):
    """Serve without any framework."""
    place = environ["PATH_INFO"].rpartition("/")[2]
    log.info("asked for %s", place)
    headers = [("Content-Type", "application/json")]
    if place == "boom":
        raise KeyError("before it began")
    if place == "begun":
        start_response("200 OK", [*headers, ("Content-Length", "100")])
        raise KeyError("when it had begun")
    if place == "stream":
        start_response("200 OK", headers)
        return Stream()
    if place == "lazy":
        return lazy(start_response, headers)
    if place == "broken":
        start_response("200 OK", headers)
        return broken()
    if place == "file":
        start_response("200 OK", [*headers, ("Content-Length", "4")])
        file = Path(__file__).open("rb") if "real" in environ["QUERY_STRING"] else BytesIO(b"true")  # noqa: SIM115  (the server's)
        return environ.get("wsgi.file_wrapper", FileWrapper)(file)
    if place == "own":
        start_response(
            "200 OK",
            [
                *headers,
                ("X-Request-ID", "other"),
                ("x-request-id", "others"),
                ("X-TRACKING-ID", "other"),
                ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Expose-Headers", "X-Of-App"),
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
            ],
        )
        return [b"{}"]
    start_response("200 OK", headers)
    return [json.dumps(seen(environ)).encode()]


class Stream:
    """A body that logs while it is sent, and when it is closed."""

    def __init__(self):
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        log.info("sending")
        return f"{get_tracking_id()}\n".encode()

    def close(self):
        log.info("closing")


def lazy(start_response, headers):
    if start_response is not None:
        raise KeyError("before it began, in the body")
    yield b""


def broken():
    yield b"a beginning"
    raise KeyError("in the middle")


flask_app = Flask("of_flask")


@flask_app.get("/<place>")
def in_flask(place):
    log.info("asked for %s", place)
    if place == "boom":
        raise KeyError("in flask")
    if place == "stream":
        return Response(Stream())
    return {**seen(request.environ), "header": request.headers.getlist("X-Request-ID")}, {"X-Request-ID": "other"}


def in_django(request, place):
    log.info("asked for %s", place)
    if place == "boom":
        raise KeyError("in django")
    if place == "stream":
        return StreamingHttpResponse(Stream())
    if place == "missing":
        return HttpResponse(status=404)
    return JsonResponse({**seen(request.environ), "header": [request.headers["X-Request-ID"]]}, headers={"X-Request-ID": "other"})


urlpatterns = [path("<place>", in_django)]


def configure_django(**more):
    if not settings.configured:
        settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[], LOGGING_CONFIG=None, **more)
        django.setup()


def excluded(environ):
    return environ["PATH_INFO"].endswith("/excluded")


def make_app():
    """Give one application of all three, each tracked by itself."""
    configure_django()
    integration.install(flask_app, exclude=excluded)
    apps = {
        "plain": integration.TrackingMiddleware(plain, exclude=excluded),
        "flask": flask_app,
        "django": integration.TrackingMiddleware(get_wsgi_application()),
    }

    def dispatch(environ, start_response):
        _, name, place = environ["PATH_INFO"].split("/", 2)
        environ["PATH_INFO"] = f"/{place}"
        return apps[name](environ, start_response)

    return dispatch


def serve(server):
    """Serve it on a port of the server's choice, which is said on standard output, with one thread for all requests."""
    from trackline import setup_logging

    setup_logging("wsgi", log_dir=os.environ["TEST_DIRECTORY"], console=False)
    if server == "werkzeug":
        from werkzeug.serving import make_server

        made = make_server("127.0.0.1", 0, make_app())
        print(f"listens on {made.server_port}.", flush=True)
        made.serve_forever()
    elif server == "waitress":
        from waitress import create_server

        made = create_server(make_app(), host="127.0.0.1", port=0, threads=1)
        print(f"listens on {made.effective_port}.", flush=True)
        made.run()
    else:
        from gunicorn.app.base import BaseApplication

        class Application(BaseApplication):
            def load_config(self):
                ours = {
                    "bind": "127.0.0.1:0",
                    "worker_class": server,
                    "workers": 1,
                    "threads": 1,
                    "accesslog": "-",
                    "control_socket_disable": True,
                    "when_ready": lambda arbiter: print(f"listens on {arbiter.LISTENERS[0].sock.getsockname()[1]}.", flush=True),
                }
                for name, value in ours.items():
                    if name in self.cfg.settings:
                        self.cfg.set(name, value)

            def load(self):
                return make_app()

        Application().run()


if __name__ == "__main__":
    serve(sys.argv[1])
