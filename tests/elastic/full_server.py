"""
A stand-in for what no Elasticsearch from a package registry has: ILM, pipelines, the data stream lifecycle, the failure store.

It speaks HTTP, keeps what is put, and answers as Elastic's documentation of the REST API has it, with defaults, spellings and dates.
What a real node can show is shown with a real one, in tests/stack.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit


class FullServer:
    """``objects`` is what was put, by its path, ``requests`` what was asked; ``answers`` and ``warnings`` are for single paths."""

    def __init__(self, version="9.2.1"):
        self.objects = {}
        self.requests = []
        self.warnings = {}
        self.answers = {
            "/": {"version": {"number": version, "build_flavor": "default"}, "tagline": "You Know, for Search"},
            "/_ilm/status": {"operation_mode": "RUNNING"},
            "/_data_stream/trackline-none*/_lifecycle": {"data_streams": []},
            "/_data_stream/trackline-none*/_options": {"data_streams": []},
            "/_security/_authenticate": {"username": "elastic", "roles": ["superuser"], "enabled": True},
            "/_nodes/ingest": {
                "nodes": {
                    "n": {"roles": ["ingest"], "ingest": {"processors": [{"type": of} for of in ("dot_expander", "rename", "set")]}}
                }
            },
            "/_index_template/_simulate": {"template": {"settings": {}, "mappings": {}}},
        }
        self.url = ""

    def answer(self, method, path, body):
        """Give a status and an answer."""
        if path in self.answers:
            found = self.answers[path]
            return found if isinstance(found, tuple) else (200, found)
        if method == "PUT":
            self.objects[path] = body
            return 200, {"acknowledged": True}
        if path.startswith("/_resolve/index/"):
            return 200, {"indices": [], "aliases": [], "data_streams": []}
        kind, name = path.rsplit("/", 1)
        if path == "/_index_template":
            kind, found = (
                path,
                {key.rsplit("/", 1)[1]: body for key, body in self.objects.items() if key.startswith("/_index_template/")},
            )
        else:
            found = {name: self.objects[path]} if path in self.objects else {}
            if not found:
                return 404, {}
        return 200, ANSWERS[kind](found)


def _template(body):
    """Give a template as it comes back: settings nested, all of them texts; a lifecycle that says that it is on."""
    body = json.loads(json.dumps(body))
    template = body.get("template", {})
    if "settings" in template:
        nested = {}
        for key, value in template["settings"].items():
            *parents, last = key.split(".")
            place = nested
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = [str(item) for item in value] if isinstance(value, list) else json.dumps(value).strip('"')
        template["settings"] = nested
    if "lifecycle" in template:
        template["lifecycle"] = {"enabled": True, **template["lifecycle"]}
    return body | {"created_date_millis": 1, "modified_date_millis": 2}


def _index_template(body):
    body = _template(body)
    return body | {"data_stream": {"hidden": False, "allow_custom_routing": False}}


def _policy(body):
    policy = json.loads(json.dumps(body["policy"]))
    for phase in policy["phases"].values():
        if "delete" in phase["actions"]:
            phase["actions"]["delete"] = {"delete_searchable_snapshot": True}
    return {
        "version": 3,
        "modified_date": "2026-11-22T14:40:01.123Z",
        "policy": policy,
        "in_use_by": {"indices": [], "data_streams": [], "composable_templates": []},
    }


def _role(body):
    indices = [rights | {"allow_restricted_indices": False, "privileges": rights["privileges"][::-1]} for rights in body["indices"]]
    return body | {"indices": indices, "applications": [], "run_as": [], "transient_metadata": {"enabled": True}}


ANSWERS = {
    "/_component_template": lambda found: {
        "component_templates": [{"name": name, "component_template": _template(body)} for name, body in found.items()]
    },
    "/_index_template": lambda found: {
        "index_templates": [{"name": name, "index_template": _index_template(body)} for name, body in found.items()]
    },
    "/_ilm/policy": lambda found: {name: _policy(body) for name, body in found.items()},
    "/_ingest/pipeline": lambda found: {
        name: body | {"created_date_millis": 1, "modified_date_millis": 2} for name, body in found.items()
    },
    "/_security/role": lambda found: {name: _role(body) for name, body in found.items()},
}


@contextmanager
def running(server):
    """Run it on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = urlsplit(self.path).path
            server.requests.append((self.command, path))
            status, answer = server.answer(self.command, path, json.loads(body) if body else None)
            said = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("x-elastic-product", "Elasticsearch")
            if path in server.warnings:
                self.send_header("warning", f'299 Elasticsearch-9.2.1-abc "{server.warnings[path]}"')
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_PUT = do_POST = do_DELETE = handle_any

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
