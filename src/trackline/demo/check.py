"""Judge the demo: every expected line is there once, under the ID of its request and under no other. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackline.identity import derive_trace_id, is_trace_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trackline.demo.scenes import ExpectedLine, Scene
    from trackline.search.line import Line

_CLIENT = re.compile(r"^\S+:\d+ - ")
_DURATION = re.compile(r" in \d+\.\d m?s\b")
_SERVERS = frozenset({"trackline", "uvicorn.error"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a request."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: str

    def all(self, name: str) -> list[str]:
        """Give all values of a header."""
        return [value for header, value in self.headers if header.lower() == name.lower()]

    @property
    def tracking_id(self) -> str:
        """The ID of the request, as the response says it; empty where it does not."""
        return next(iter(self.all("X-Request-ID")), "")


@dataclass(frozen=True, slots=True)
class Story:
    """A request that was sent, and the lines that were found by its ID."""

    scene: Scene
    tracking_id: str
    lines: Sequence[Line]


def expected_line(line: Line) -> ExpectedLine:
    """Give a line as the table has it: one of the access log without its duration, one of uvicorn's without the client's address."""
    return line.service, (_DURATION if line.logger == "trackline.access" else _CLIENT).sub("", line.message, count=1).strip()


def answer_problems(scene: Scene, answer: Answer) -> list[str]:
    """Say what is wrong with a response: its status, its ID, how often it says it, and whether it echoes what it should not."""
    if not answer.status:
        return [f"no response: {answer.body}"]
    problems = []
    tracking_id = answer.tracking_id
    if answer.status != scene.status:
        problems.append(f"the status is {answer.status}, expected {scene.status}")
    problems += [
        f"the response has {name} {answer.all(name)}, expected one, the same as X-Request-ID"
        for name in ("X-Request-ID", "X-Tracking-ID")
        if answer.all(name) != [tracking_id] or not tracking_id
    ]
    if scene.tracking_id:
        if tracking_id != scene.tracking_id:
            problems.append(f"the ID is {tracking_id!r}, expected {scene.tracking_id!r}")
    elif not is_trace_id(tracking_id):
        problems.append(f"the ID is {tracking_id!r}, expected a new one, 32 hex digits")
    whole = "\n".join([answer.body, *(value for _, value in answer.headers)])
    return problems + [f"the response echoes {value[:40]!r}" for value in _hostile(scene) if value in whole]


def line_problems(story: Story) -> list[str]:
    """Say what is wrong with the lines that were found for a request: none missing, none twice, none of another, all in its trace."""
    counted = _counted(story.lines)
    expected = story.scene.lines
    problems = [f"missing: {_quoted(one)}{_times(times)}" for one, times in (expected - counted).items()]
    problems += [f"found {counted[one]} times: {_quoted(one)}" for one in counted - expected if one in expected]
    strange = {expected_line(line) for line in story.lines if not _is_of_the_server(line)} - set(expected)
    problems += [f"not of this request: {_quoted(one)}" for one in sorted(strange)]
    return problems + _wrong_traces(story)


def stray_problems(stories: Sequence[Story], lines: Iterable[Line]) -> list[str]:
    """Say what is wrong with the lines of all files: those under an ID of nobody, those under none, those with what is hostile."""
    known = {story.tracking_id for story in stories}
    hostile = [value.encode() for story in stories for value in _hostile(story.scene)]
    problems = []
    for line in lines:
        quoted = _quoted(expected_line(line))
        if line.tracking_id and line.tracking_id not in known:
            problems.append(f"under {line.tracking_id!r}, the ID of no request: {quoted}")
        if not line.tracking_id and not _is_of_the_server(line):
            problems.append(f"under no ID: {quoted}")
        if any(value in line.raw for value in hostile):
            problems.append(f"a hostile header was logged: {quoted}")
    return problems


def _wrong_traces(story: Story) -> list[str]:
    scene, lines = story.scene, story.lines
    wanted = scene.trace_id or derive_trace_id(story.tracking_id)
    problems = [
        f"trace ID {line.trace_id!r}, expected {wanted!r}: {_quoted(expected_line(line))}" for line in lines if line.trace_id != wanted
    ]
    received = {(line.service, str(line.extra["traceparent"])) for line in lines if "traceparent" in line.extra}
    expected = {(service, scene.traceparent) for service, _ in scene.lines if scene.traceparent}
    problems += [f"{service} has not received traceparent {value!r}" for service, value in sorted(expected - received)]
    return problems + [
        f"{service} has received traceparent {value!r}, which was not sent" for service, value in sorted(received - expected)
    ]


def _counted(lines: Iterable[Line]) -> Counter[ExpectedLine]:
    return Counter(map(expected_line, lines))


def _hostile(scene: Scene) -> list[str]:
    """Give what a request sent that is no ID and no trace: nobody may repeat it."""
    good = (scene.tracking_id, scene.traceparent)
    return [value for name, value in scene.headers.items() if value not in good and name != "tracestate"]


def _is_of_the_server(line: Line) -> bool:
    """Say whether a line may be there without being expected: what uvicorn says of itself is not the same in each version."""
    return line.logger in _SERVERS and not line.is_error


def _times(times: int) -> str:
    return f", {times} times" if times > 1 else ""


def _quoted(one: ExpectedLine) -> str:
    service, message = one
    return f"{service}: {message!r}"
