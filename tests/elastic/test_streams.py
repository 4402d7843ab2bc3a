"""Which template a data stream has, and whose streams would change theirs. Pure."""

from __future__ import annotations

import pytest

from trackline.elastic.streams import Stream, Template, taken_over, winner

OURS = Template("trackline-logs", ("logs-*-*",), 110)
BUILT_IN = Template("logs", ("logs-*-*",), 100)
OTEL = Template("logs-otel@template", ("logs-*.otel-*",), 120)
NGINX = Template("logs-nginx.access", ("logs-nginx.access-*",), 200)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("logs-*-*", "logs-orders-default", True),
        ("logs-*-*", "logs-orders", False),
        ("logs-*-live", "logs-orders-live", True),
        ("logs-*-live", "logs-orders-alive", False),
        ("logs-a.b-*", "logs-axb-default", False),  # a dot is a dot
        ("logs-*-*", "metrics-orders-default", False),
        ("*", "anything", True),
    ],
)
def test_a_pattern_matches_with_stars_alone(pattern, name, matches):
    assert Template("t", (pattern,), 1).covers(name) is matches


def test_the_highest_priority_that_covers_it_wins():
    templates = [BUILT_IN, NGINX, OTEL]

    assert winner("logs-nginx.access-default", templates) == "logs-nginx.access"
    assert winner("logs-orders-default", templates) == "logs"
    assert winner("metrics-orders-default", templates) is None


def streams(*names):
    return [Stream(name, f".ds-{name}-000001") for name in names]


def test_integrations_and_otels_own_streams_are_never_taken_over():
    found = taken_over(
        streams("logs-nginx.access-default", "logs-orders.otel-default", "logs-orders-default"), [BUILT_IN, NGINX, OTEL], [OURS]
    )

    assert found == [("logs-orders-default", "logs")]


def test_a_stream_without_a_template_is_somebodys_too():
    assert taken_over(streams("logs-orders-default"), [], [OURS]) == [("logs-orders-default", "none")]


def test_what_is_ours_already_is_not_taken_over():
    assert taken_over(streams("logs-orders-default"), [BUILT_IN, OURS], [OURS]) == []


def test_our_own_earlier_patterns_do_not_count_for_what_will_be():
    narrowed = Template("trackline-logs", ("logs-orders-*",), 110)

    assert taken_over(streams("logs-billing-default"), [BUILT_IN, OURS], [narrowed]) == []
    assert taken_over(streams("logs-billing-default"), [BUILT_IN, narrowed], [OURS]) == [("logs-billing-default", "logs")]
