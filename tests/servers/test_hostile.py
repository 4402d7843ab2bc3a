"""What somebody may send for an ID who means harm, over a raw socket: never echoed, never a 400 of ours, never in a line."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass

import pytest

MARK = "evil"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}

UNUSABLE = {
    "empty": b"X-Request-ID:\r\n",
    "only-spaces": b"X-Request-ID:    \r\n",
    "a-space": b"X-Request-ID: evil id\r\n",
    "a-tab": b"X-Request-ID: evil\tid\r\n",
    "too-long": b"X-Request-ID: " + b"evil" + b"x" * 125 + b"\r\n",
    "very-long": b"X-Request-ID: " + b"evil" * 1500 + b"\r\n",
    "latin-1": b"X-Request-ID: evil-\xe4\xff\r\n",
    "utf-8": "X-Request-ID: evil-\u00fc\u2028\U0001f600\r\n".encode(),
    "not-utf-8": b"X-Request-ID: evil-\xc3\x28\r\n",
    "percent-encoded": b"X-Request-ID: evil%0d%0aSet-Cookie:evil=1\r\n",
    "markup": b"X-Request-ID: <script>evil</script>\r\n",
    "json": b'X-Request-ID: evil","tracking_id":"evil\r\n',
    "a-look-up": b"X-Request-ID: ${jndi:ldap://evil/a}\r\n",
    "an-escape": b"X-Request-ID: evil\\u0000\\n\r\n",
    "two-of-them": b"X-Request-ID: evil one\r\nX-Request-ID: evil two\r\n",
    "two-names": b"X-Request-ID: evil one\r\nX-Tracking-ID: evil\r\nX-Correlation-ID: evil\r\n",
    "bad-traceparent": b"traceparent: 00-evil-evil-01\r\ntracestate: evil=1\r\nbaggage: tracking_id=evil\r\n",
    "two-traceparents": b"traceparent: 00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01\r\ntraceparent: 00-evil-evil-01\r\n",
    "bad-baggage": b"X-Request-ID: evil id\r\nbaggage: tracking_id=evil%0Aid\r\n",
}
"""Where nothing is usable: what the application, the answer and the lines have is a new ID."""

BROKEN = {
    "bare-newline": b"X-Request-ID: evil!\nSet-Cookie: evil=1\r\n",
    "bare-return": b"X-Request-ID: evil!\rSet-Cookie: evil=1\r\n",
    "zero-byte": b"X-Request-ID: evil\0id\r\n",
    "control": b"X-Request-ID: evil\x1b[31m\r\n",
    "folded": b"X-Request-ID: evil!\r\n evil\r\n",
    "space-before-colon": b"X-Request-ID : evil id\r\n",
}
"""What HTTP does not allow, so that a server may refuse it by itself, before there is an application to answer."""

FIRST_USABLE = {
    "two-usable": b"X-Request-ID: good-1\r\nX-Request-ID: good-2\r\n",
    "the-second-usable": b"X-Request-ID: evil id\r\nX-Request-ID: good-1\r\n",
    "the-first-usable": b"X-Request-ID: good-1\r\nX-Request-ID: evil id\r\n",
    "spaces-around": b"X-Request-ID: \t good-1 \t \r\n",
    "header-injected": b"X-Request-ID: good-1\r\nX-Request-ID\x3a evil id\r\nCookie: a=1\r\n",
}

HANDSHAKES = ("a-space", "latin-1", "utf-8", "two-of-them", "markup", "too-long")

NEW = re.compile(r"[0-9a-f]{32}")


@dataclass
class Answer:
    raw: bytes

    @property
    def status(self) -> int:
        return int(self.raw.split()[1])

    def is_complete(self) -> bool:
        """Whether all is there; granian leaves the connection open where it has refused an upgrade."""
        _, end, body = self.raw.partition(b"\r\n\r\n")
        return bool(end) and any(len(body) >= int(length) for length in self.header("Content-Length"))

    def header(self, name: str) -> list[str]:
        head = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return [value.strip() for key, _, value in (line.partition(":") for line in head) if key.lower() == name.lower()]


def ask(server, token: str, lines: bytes, *, path: str = "async", **headers: str) -> Answer:
    """Send bytes as they are, and read until the answer is complete."""
    more = "".join(f"{name}: {value}\r\n" for name, value in {"Connection": "close", **headers}.items()).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"GET /main/{token}/{path} HTTP/1.1\r\nHost: shop.example\r\n".encode() + more + lines + b"\r\n")
        answer = Answer(b"")
        while not answer.is_complete() and (chunk := connection.recv(65_536)):
            answer = Answer(answer.raw + chunk)
    return answer


@pytest.fixture(scope="module")
def asked(server) -> dict[str, tuple[Answer, list[dict]]]:
    """Ask a server in all of these ways; then give each answer with the lines of its request."""
    answers = {name: ask(server, f"case-{name}-hostile", lines) for name, lines in {**UNUSABLE, **BROKEN, **FIRST_USABLE}.items()}
    for name in HANDSHAKES:
        answers[f"websocket {name}"] = ask(server, f"case-websocket-{name}-hostile", UNUSABLE[name], path="ws/deny", **UPGRADE)
    ask(server, "case-after-all", b"")
    server.wait_for_lines("case-after-all", ["async endpoint", "GET"])
    return {name: (answer, server.lines(f"case-{name.replace(' ', '-')}-hostile")) for name, answer in answers.items()}


def seen(lines) -> list[list[str]]:
    return [line["labels"]["seen"] for line in lines if line["message"].startswith("middleware")]


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_id_is_as_though_absent(asked, name):
    answer, lines = asked[name]

    assert answer.status == 200
    [tracking_id] = answer.header("X-Request-ID")
    assert NEW.fullmatch(tracking_id)
    assert answer.header("X-Tracking-ID") == [tracking_id]
    assert {(line["tracking_id"], line["trace.id"]) for line in lines} == {(tracking_id, tracking_id)}
    assert seen(lines) == [[tracking_id]]
    assert MARK.encode() not in answer.raw
    assert MARK not in json.dumps(lines)


@pytest.mark.parametrize("name", BROKEN)
def test_what_http_does_not_allow_is_never_echoed(asked, name):
    answer, lines = asked[name]

    assert MARK.encode() not in answer.raw
    assert not answer.header("Set-Cookie")
    if answer.status == 200:
        assert {line["tracking_id"] for line in lines} == set(answer.header("X-Request-ID"))
    else:  # refused by the server, which knows no application yet: no header, and no line of a request
        assert (answer.status, answer.header("X-Request-ID"), lines) == (400, [], [])


@pytest.mark.parametrize("name", FIRST_USABLE)
def test_first_usable_value_counts(asked, name):
    answer, lines = asked[name]

    assert (answer.status, answer.header("X-Request-ID"), answer.header("X-Tracking-ID")) == (200, ["good-1"], ["good-1"])
    assert {line["tracking_id"] for line in lines} == {"good-1"}
    assert seen(lines) == [["good-1"]]


@pytest.mark.parametrize("name", HANDSHAKES)
def test_unusable_id_at_a_handshake_is_as_though_absent(asked, name):
    answer, lines = asked[f"websocket {name}"]

    assert answer.status == 401
    [tracking_id] = answer.header("X-Request-ID")
    assert NEW.fullmatch(tracking_id)
    assert {line["tracking_id"] for line in lines if line["log.logger"] == "app"} == {tracking_id}
    assert MARK.encode() not in answer.raw


def test_no_line_at_all_has_what_was_not_usable(asked, server):
    assert [line for line in server.raw_lines() if MARK in line] == []
