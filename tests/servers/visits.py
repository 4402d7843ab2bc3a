"""One request with an ID, what came back, and the lines that it left: sent all at once, looked at one by one."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from trackline.identity import derive_trace_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from servers.serving import Server

COMES_IN = ("nothing", "request-id", "traceparent", "both")
_numbers = itertools.count(1)


@dataclass
class Case:
    """A way for a request to go: where it is sent, how it is answered, what is logged on the way."""

    name: str
    path: str
    status: int = 200
    says: tuple[str, ...] = ()
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    raises: str | None = None
    """What the server logs with a traceback: the message of the error, without the case at its end."""
    is_seen: bool = True
    """Whether the middleware `Seeing` is on the way."""
    is_complete: bool = True
    """Whether the answer comes to its end."""
    talk: Callable[[Any], None] | None = None
    """What is said over a WebSocket; None for HTTP, or where the handshake is refused."""
    is_websocket: bool = False


@dataclass
class Visit:
    """What one request gave."""

    case: Case
    token: str
    sent: dict[str, str]
    tracking_id: str | None = None
    trace_id: str | None = None
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    lines: list[dict] = field(default_factory=list)

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def messages(self) -> list[str]:
        return [f"{message} {self.token}" for message in self.case.says]


def send(server: Server, case: Case, comes_in: str, **more: str) -> Visit:
    """Send a request, and read its answer to the end."""
    token = f"case-{next(_numbers):05}x"
    tracking_id, trace_id = f"order/{secrets.token_hex(4)}", secrets.token_hex(16)
    sent = dict(more)
    if comes_in in ("request-id", "both"):
        sent["X-Request-ID"] = tracking_id
    if comes_in in ("traceparent", "both"):
        sent["traceparent"] = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    visit = Visit(case, token, sent)
    (_send_websocket if case.is_websocket else _send_http)(server, visit, {**case.headers, **sent})
    visit.tracking_id = {"nothing": None, "traceparent": trace_id}.get(comes_in, tracking_id)
    visit.trace_id = trace_id if comes_in in ("traceparent", "both") else None
    return visit


def _send_http(server: Server, visit: Visit, headers: dict[str, str]) -> None:
    case = visit.case
    with server.http.stream(case.method, server.url + case.path.format(case=visit.token), headers=headers) as response:
        visit.status, visit.headers = response.status_code, response.headers.multi_items()
        if not case.is_complete:
            with contextlib.suppress(httpx.TransportError):
                chunks = response.iter_raw()
                visit.body = next(chunks, b"")
                if case.raises:
                    visit.body += b"".join(chunks)
        else:
            visit.body = response.read()


def _send_websocket(server: Server, visit: Visit, headers: dict[str, str]) -> None:
    uri = f"ws://127.0.0.1:{server.port}" + visit.case.path.format(case=visit.token)
    try:
        with connect(uri, additional_headers=headers, compression=None) as websocket:
            visit.status, visit.headers = websocket.response.status_code, list(websocket.response.headers.raw_items())
            with contextlib.suppress(ConnectionClosed):
                visit.case.talk(websocket)
    except InvalidStatus as refusal:
        visit.status, visit.headers = refusal.response.status_code, list(refusal.response.headers.raw_items())
        visit.body = bytes(refusal.response.body or b"")


def collect(server: Server, visits: Iterable[Visit], traceback_of: Callable[[Visit], str | None], seconds: float = 8) -> None:
    """Wait until all is logged that is to be logged, and sort the lines by request."""
    expected = [f"{text}" for visit in visits for text in (*visit.messages(), traceback_of(visit)) if text]

    def missing() -> list[str]:
        text = "".join(server.raw_lines())
        told = [line for line in text.splitlines() if '"log.logger":"trackline.access"' in line]
        unsaid = [visit.token for visit in visits if not any(visit.token in line for line in told)]
        return unsaid + [one for one in expected if one not in text]

    assert server.wait_for(lambda: not missing(), seconds), missing()
    everything = [(line, server.parse(line)) for line in server.raw_lines()]
    for visit in visits:
        visit.lines = [parsed for line, parsed in everything if visit.token in line]
        if visit.tracking_id is None:  # nothing came in: what the application was told is what all the others are to have as well
            visit.tracking_id = next((line["tracking_id"] for line in visit.lines if "tracking_id" in line), None)
        if visit.trace_id is None and visit.tracking_id is not None:
            visit.trace_id = derive_trace_id(visit.tracking_id)


def only(*names):
    return pytest.mark.parametrize("server", names, indirect=True)


def each(visits, **wanted):
    """Give each visit under the name that a failure is to show; `wanted` are what its case has to have."""
    for (name, comes_in), visit in visits.items():
        if all(getattr(visit.case, key) == value for key, value in wanted.items()):
            yield f"{name} with {comes_in}", visit
