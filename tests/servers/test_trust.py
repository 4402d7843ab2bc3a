"""A caller who is not trusted: what it sent is as though absent, for us and for whoever makes the server span; kept as a link."""

from __future__ import annotations

import json
import re

import pytest

from servers.visits import Case, collect, send

STRANGERS = ("nobody", "elsewhere", "partners")
FRIENDS = ("here", "partners")
MAKERS = ("native", "contrib-before", "contrib-after", "starlette")
NEW = re.compile(r"[0-9a-f]{32}").fullmatch


def cases_for(app: str) -> list[Case]:
    path = f"/{app}/{{case}}/"
    said = "starlette endpoint" if app.startswith("starlette") else "async endpoint"
    raised = "boom starlette" if app.startswith("starlette") else "boom sync"
    return [Case("async", path + "async", says=(said,)), Case("boom", path + "boom-sync", 500, raises=raised)]


def visit_all(server, app: str, **more: str):
    """Send the requests of an application, with each kind of ID and more headers; give the visits."""
    more = {"tracestate": "vendor=secret", "baggage": "tracking_id=secret-baggage", **more}
    visits = {
        f"{case.name} with {comes_in}": send(server, case, comes_in, **more)
        for case in cases_for(app)
        for comes_in in ("request-id", "traceparent", "both")
    }
    # The access line is the last but for the traceback; so all is there when both are.
    collect(
        server,
        visits.values(),
        lambda visit: f"{visit.case.raises} {visit.token}" if visit.case.raises else f"GET /{app}/{visit.token}",
    )
    return visits


def claimed(visit) -> set[str]:
    """Give everything of the caller's that nobody may see."""
    secrets = {"secret"}
    if "X-Request-ID" in visit.sent:
        secrets.add(visit.sent["X-Request-ID"])
    if "traceparent" in visit.sent:
        secrets |= {visit.sent["traceparent"][3:35], visit.sent["traceparent"][36:52]}
    return secrets


def leaks(visit) -> set[str]:
    """Give what of it can be seen in the answer or in a line."""
    seen = json.dumps([visit.headers, visit.body.decode("latin-1"), visit.lines])
    return {secret for secret in claimed(visit) if secret in seen}


def assert_is_as_though_nothing_came(visits) -> None:
    assert {key: leaks(visit) for key, visit in visits.items()} == {key: set() for key in visits}
    for visit in visits.values():
        [tracking_id] = visit.header("x-request-id")
        assert NEW(tracking_id)
        assert {(line["tracking_id"], line["trace.id"]) for line in visit.lines} == {(tracking_id, tracking_id)}
        [middleware] = [line["labels"] for line in visit.lines if line["message"].startswith("middleware")]
        assert middleware == {"seen": [tracking_id], "trace_headers": []}


def assert_counts(visits) -> None:
    for visit in visits.values():
        expected = visit.sent.get("X-Request-ID", "secret-baggage")
        assert visit.header("x-request-id") == [expected]
        assert {line["tracking_id"] for line in visit.lines} == {expected}
        if "traceparent" in visit.sent:
            assert {line["trace.id"] for line in visit.lines} == {visit.sent["traceparent"][3:35]}


@pytest.mark.parametrize("who", STRANGERS)
def test_ids_of_a_stranger_are_as_though_absent(server, who):
    assert_is_as_though_nothing_came(visit_all(server, f"main-{who}"))


@pytest.mark.parametrize("who", FRIENDS)
def test_ids_of_who_is_trusted_count(server, who):
    assert_counts(visit_all(server, f"main-{who}", **({"X-Partner": "yes"} if who == "partners" else {})))


@pytest.fixture(scope="module", params=[f"{maker}-{who}" for maker in MAKERS for who in STRANGERS])
def strangers(request, start_traced):
    """Give what strangers have sent to an application under the SDK, with the server spans."""
    server = start_traced("sdk")
    visits = visit_all(server, request.param)
    found = {}
    for key, visit in visits.items():

        def spans(visit=visit):
            return [span for span in server.spans() if span["kind"] == "SERVER" and visit.token in json.dumps(span["attributes"])]

        server.wait_for(spans)
        found[key] = visit, spans()
    return found


def test_ids_of_a_stranger_are_as_though_absent_under_the_sdk(strangers):
    assert_is_as_though_nothing_came({key: visit for key, (visit, _) in strangers.items()})


def test_trace_of_a_stranger_is_not_joined(strangers):
    for visit, spans in strangers.values():
        [span] = spans
        assert span["parent_id"] is None
        assert span["trace_id"] == visit.header("x-request-id")[0]
        assert span["trace_id"] not in claimed(visit)


def test_ids_of_a_stranger_are_kept_on_the_span(strangers):
    for key, (visit, [span]) in strangers.items():
        sent = visit.sent.get("X-Request-ID", "secret-baggage")
        if "traceparent" in visit.sent:
            _, trace_id, span_id, _ = visit.sent["traceparent"].split("-")
            links = [(link["trace_id"], link["span_id"], link["attributes"]) for link in span["links"]]
            assert links == [(trace_id, span_id, {"trackline.caller.tracking_id": sent})], key
        else:
            assert span["links"] == []
            assert span["attributes"]["trackline.caller.tracking_id"] == sent
        assert span["attributes"]["tracking_id"] == visit.header("x-request-id")[0]


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("who", FRIENDS)
def test_ids_of_who_is_trusted_count_under_the_sdk(start_traced, maker, who):
    assert_counts(visit_all(start_traced("sdk"), f"{maker}-{who}", **({"X-Partner": "yes"} if who == "partners" else {})))
