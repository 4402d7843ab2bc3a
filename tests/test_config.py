"""A wrong setting says the option, the value and what is allowed."""

from __future__ import annotations

import pytest

from trackline import TrackingMiddleware
from trackline.config import header_names, parse_trust, resource_from_env
from trackline.targets import parse_targets


async def app(scope, receive, send):
    raise AssertionError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trust": "everybody"}, "trust='everybody': expected 'all', 'none', a list of networks or a callable"),
        ({"trust": []}, r"trust=\[\]: expected"),
        ({"trust": ["10.0.0.0/99"]}, "trust=.*10.0.0.0/99.*expected networks such as"),
        ({"trust": ["10.0.0.1/8"]}, "has host bits set"),
        ({"id_headers": "X-Request-ID"}, "id_headers='X-Request-ID': expected a list of header names"),
        ({"id_headers": ["X Request"]}, "'X Request' is not a header name"),
        ({"id_headers": ["traceparent"]}, "belongs to the trace context"),
        ({"id_headers": [5]}, "5 is not a header name"),
        ({"response_headers": ["a\r\nb"]}, "response_headers=.* is not a header name"),
        ({"response_headers": None}, "response_headers=None: expected a list"),
        ({"exclude": "/health"}, "exclude='/health': expected None or a callable"),
    ],
)
def test_wrong_setting_raises_at_start_up(options, message):
    with pytest.raises(ValueError, match=message):
        TrackingMiddleware(app, **options)


def test_header_names_keep_their_order_and_count_once():
    assert header_names("id_headers", ["X-B", "X-A", "x-b"]) == ("X-B", "X-A")


@pytest.mark.parametrize(
    ("networks", "client", "is_trusted"),
    [
        (["10.0.0.0/8"], ("10.1.2.3", 1), True),
        (["10.0.0.0/8"], ("11.1.2.3", 1), False),
        (["10.0.0.0/8", "fd00::/8"], ("fd12::1", 1), True),
        (["10.0.0.0/8"], ("::ffff:10.1.2.3", 1), True),  # a dual-stack socket's IPv4 peer
        (["10.0.0.0/8"], None, False),  # a Unix socket
        (["10.0.0.0/8"], ("testclient", 1), False),
        (["10.0.0.0/8"], ("", 0), False),
    ],
)
def test_trust_in_networks_is_by_the_clients_address(networks, client, is_trusted):
    trusts = parse_trust(networks)

    assert trusts({"client": client}) is is_trusted
    assert trusts({"client": client}) is is_trusted  # the answer that is kept is the same


@pytest.mark.parametrize(
    ("targets", "host", "port", "is_allowed"),
    [
        ("internal", "orders", None, True),
        ("internal", "localhost", 8000, True),
        ("internal", "127.0.0.1", 8000, True),
        ("internal", "10.3.4.5", None, True),
        ("internal", "::1", None, True),
        ("internal", "orders.shop.svc.cluster.local", None, True),
        ("internal", "ORDERS.INTERNAL.", None, True),
        ("internal", "api.stripe.com", 443, False),
        ("internal", "8.8.8.8", None, False),
        ("internal", "internal.example.com", None, False),
        ("internal", "", None, False),
        ("all", "api.stripe.com", 443, True),
        (["*.example.com"], "api.example.com", None, True),
        (["*.example.com"], "example.com.evil.net", None, False),
        (["api.example.com"], "API.example.com", None, True),
        (["api.example.com:8443"], "api.example.com", 8443, True),
        (["api.example.com:8443"], "api.example.com", None, False),
        (["192.168.0.0/16"], "192.168.7.7", None, True),
        (["192.168.0.0/16"], "192.169.7.7", None, False),
        ([], "orders", None, False),
    ],
)
def test_targets(targets, host, port, is_allowed):
    assert parse_targets(targets)(host, port) is is_allowed


@pytest.mark.parametrize("targets", ["intern", None, 5, [5], [""]])
def test_wrong_targets_raise(targets):
    with pytest.raises(ValueError, match=r"targets=.*expected 'internal', 'all'"):
        parse_targets(targets)


def test_resource_is_read_from_otels_environment(monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=a, service.version=1%2C2,broken,=x")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders")

    assert resource_from_env() == {"service.name": "orders", "service.version": "1,2"}
