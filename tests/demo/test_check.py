"""The judge of the demo: a line that is missing, there twice, strange, in another trace or without an ID is said by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from trackline.demo.check import Answer, Story, answer_problems, expected_line, line_problems, stray_problems
from trackline.demo.scenes import ten_scenes
from trackline.identity import derive_trace_id
from trackline.search.line import read_line

NEW_ID = "0af7651916cd43dd0448eb211c80319c"
SCENES = {scene.title: scene for scene in ten_scenes()}
TRACED = SCENES["traceparent"]


def line(service, message, tracking_id, **fields):
    fields = {
        "@timestamp": "2026-11-22T14:40:01.5Z",
        "log.level": "info",
        "message": message,
        "tracking_id": tracking_id,
        "service.name": service,
        "log.logger": service,
        **fields,
    }
    return read_line(str(fields).encode(), Path("app.log"), 1, fields)


def good_story(scene=TRACED):
    tracking_id = scene.tracking_id or NEW_ID
    fields = {"trace.id": scene.trace_id or derive_trace_id(tracking_id)}
    if scene.traceparent:
        fields["labels"] = {"traceparent": scene.traceparent}
    return Story(scene, tracking_id, [line(*one, tracking_id, **fields) for one in scene.lines.elements()])


def good_answer(scene):
    tracking_id = scene.tracking_id or NEW_ID
    return Answer(scene.status, [("X-Request-ID", tracking_id), ("x-tracking-id", tracking_id)], "{}")


def changed(change):
    story = good_story()
    return line_problems(replace(story, lines=change(story.lines)))


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_what_is_as_expected_has_no_problems(scene):
    story = good_story(scene)

    assert answer_problems(scene, good_answer(scene)) == line_problems(story) == stray_problems([story], story.lines) == []


def test_a_missing_line_is_named():
    assert "missing: payments: 'charged'" in changed(lambda lines: [one for one in lines if one.message != "charged"])


def test_a_line_that_is_there_twice_is_named():
    twice = changed(lambda lines: [*lines, *(one for one in lines if one.message == "charged")])

    assert twice == ["found 2 times: payments: 'charged'"]


def test_a_line_of_another_request_is_named():
    strange = line("gateway", "export: end of stream", TRACED.tracking_id, **{"trace.id": TRACED.trace_id})

    assert changed(lambda lines: [*lines, strange]) == ["not of this request: gateway: 'export: end of stream'"]


def test_the_same_message_of_another_service_is_not_the_expected_line():
    problems = changed(lambda lines: [replace(one, service="orders") if one.message == "charged" else one for one in lines])

    assert problems == ["missing: payments: 'charged'", "not of this request: orders: 'charged'"]


def test_a_line_in_another_trace_is_named():
    problems = changed(lambda lines: [replace(one, trace_id=NEW_ID) if one.message == "charged" else one for one in lines])

    assert problems == [f"trace ID '{NEW_ID}', expected '{TRACED.trace_id}': payments: 'charged'"]


def test_a_traceparent_that_did_not_arrive_is_said():
    problems = changed(lambda lines: [replace(one, extra={}) if one.service == "payments" else one for one in lines])

    assert problems == [f"payments has not received traceparent '{TRACED.traceparent}'"]


def test_a_traceparent_that_was_made_up_is_said():
    story = good_story(SCENES["X-Request-ID"])
    lines = [replace(one, extra={"traceparent": "00-made-up"}) if one.message == "charged" else one for one in story.lines]

    assert line_problems(replace(story, lines=lines)) == ["payments has received traceparent '00-made-up', which was not sent"]


def test_what_a_server_says_of_itself_may_be_there_but_not_its_errors():
    server = {"log.logger": "uvicorn.error", "trace.id": TRACED.trace_id}
    chatter = line("gateway", "connection open", TRACED.tracking_id, **server)
    error = line("gateway", "Exception in ASGI application", TRACED.tracking_id, **server, **{"log.level": "error"})

    assert changed(lambda lines: [*lines, chatter]) == []
    assert changed(lambda lines: [*lines, error]) == ["not of this request: gateway: 'Exception in ASGI application'"]


@pytest.mark.parametrize(
    ("tracking_id", "problem"),
    [("", "under no ID: payments: 'charged'"), ("x-1", "under 'x-1', the ID of no request: payments: 'charged'")],
)
def test_a_line_under_no_id_or_the_id_of_nobody_is_a_stray(tracking_id, problem):
    assert stray_problems([good_story()], [line("payments", "charged", tracking_id)]) == [problem]


def test_a_hostile_header_in_a_line_is_a_stray():
    scene = SCENES["A hostile X-Request-ID"]
    story = good_story(scene)
    leaked = line("gateway", scene.headers["X-Request-ID"], NEW_ID)

    assert len(stray_problems([story], [*story.lines, leaked])) == 1


def test_the_clients_address_does_not_count():
    assert expected_line(line("gateway", '127.0.0.1:41234 - "GET / HTTP/1.1" 200', "x")) == ("gateway", '"GET / HTTP/1.1" 200')


def test_duration_of_a_request_does_not_count():
    access = line("gateway", "WebSocket /live 101 in 143.3 ms, closed with 1000", "x", **{"log.logger": "trackline.access"})

    assert expected_line(access) == ("gateway", "WebSocket /live 101, closed with 1000")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": 500}, "the status is 500, expected 200"),
        ({"status": 0, "body": "ConnectError: refused"}, "no response: ConnectError: refused"),
        ({"headers": []}, "the response has X-Request-ID [], expected one"),
        ({"headers": [("X-Request-ID", NEW_ID)]}, "the response has X-Tracking-ID [], expected one"),
        ({"headers": [("X-Request-ID", NEW_ID)] * 2 + [("X-Tracking-ID", NEW_ID)]}, "the response has X-Request-ID ["),
        ({"headers": [("X-Request-ID", "me"), ("X-Tracking-ID", "me")]}, "the ID is 'me', expected a new one"),
        ({"body": "no such ID: <script>alert(1)</script> " + "A" * 200}, "the response echoes '<script>"),
    ],
)
def test_a_wrong_response_is_said(change, problem):
    scene = SCENES["A hostile X-Request-ID"]

    problems = answer_problems(scene, replace(good_answer(scene), **change))

    assert any(one.startswith(problem) for one in problems), problems


def test_an_id_that_was_not_kept_is_said():
    scene = SCENES["X-Request-ID"]
    headers = [("X-Request-ID", NEW_ID), ("X-Tracking-ID", NEW_ID)]

    assert answer_problems(scene, Answer(200, headers, "")) == [f"the ID is {NEW_ID!r}, expected {scene.tracking_id!r}"]
